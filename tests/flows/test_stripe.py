"""A card drawn through the groove: when it may be, what is looked at, what is typed, and what the bank is told."""

import pytest

from firmware.iso8583 import unionpay
from tests.flows.scenarios import HOME, NOBODY_ASKED, OUT, PIN, PIN_LEFT_OUT, SLIPS, Shop, again, insert, swipe, tap
from tests.flows.test_replies import listen

VOID = (("6 管理", "2"), ("请输入6位密码", "123456 ENTER"))


def open_shop(**parameters):
    shop = Shop(parameters=parameters)
    shop.log_in()
    return shop


def requests(shop):
    """The texts of what goes to the bank from now on."""
    texts, note = [], shop.acquirer.log
    shop.acquirer.log = lambda kind, text: (texts.append(text), note(kind, text))
    return texts


@pytest.fixture
def shop():
    return open_shop()


def test_a_stripe_card_is_asked_online_with_a_pin_and_signs(shop):
    texts = requests(shop)
    shop.sale(1234)
    swipe("stripe")(shop)
    shop.walk(PIN, *SLIPS)
    assert shop.record()["entry"] == "02" and "持卡人签名" in shop.paper and "已验证密码" in shop.paper
    assert "  55 " not in texts[0] and shop.books_agree()


def test_a_stripe_card_only_signs_where_the_terminal_asks_for_no_pin():
    shop = open_shop(**{"stripe.pin": False})
    shop.sale(1234)
    swipe("stripe")(shop)
    shop.walk(*SLIPS)
    assert not shop.record()["pin"] and "持卡人签名" in shop.paper and shop.books_agree()


def test_a_holder_without_a_pin_leaves_it_out(shop):
    shop.sale(1234)
    swipe("stripe")(shop)
    shop.walk(PIN_LEFT_OUT, ("将不带密码交易", "ENTER"), *SLIPS)
    assert not shop.record()["pin"] and shop.books_agree()


def test_the_last_four_digits_must_be_those_of_the_stripe():
    shop = open_shop(**{"stripe.last_four": True})
    right = shop.shelf.card("stripe").pan[-4:]
    wrong = "%04d" % ((int(right) + 1) % 10_000)
    shop.sale(1234)
    swipe("stripe")(shop)
    shop.walk(("后四位", wrong + " ENTER"), ("不符", right + " ENTER"), PIN, *SLIPS)
    assert shop.books_agree()


def test_a_copied_stripe_is_found_out_by_its_last_four_digits():
    shop = open_shop(**{"stripe.last_four": True})
    wrong = "%04d ENTER" % ((int(shop.shelf.card("stripe").pan[-4:]) + 1) % 10_000)
    shop.sale(1234)
    swipe("stripe")(shop)
    shop.walk(("后四位", wrong), ("不符", wrong), ("不符", wrong), ("后四位与磁条不符 未扣款 联系收单机构", "CANCEL"), HOME)
    assert shop.said(2) == NOBODY_ASKED and shop.record() is None


def test_an_expired_stripe_is_refused_before_anybody_is_asked(shop):
    text = shop.shelf.card("stripe").stripe
    shop.sale(1234)
    shop.stripe.swipe(text.replace("3512", "2512"))
    shop.walk(("过期 未扣款", "CANCEL"), HOME)
    assert shop.said(2) == NOBODY_ASKED


def test_a_listed_card_that_is_swiped_is_refused_before_anybody_is_asked(shop):
    text = shop.shelf.card("listed").stripe
    shop.sale(1234)
    shop.stripe.swipe(text.replace("3512220", "3512120"))
    shop.walk(("黑名单 未扣款", "CANCEL"), HOME)
    assert shop.said(2) == NOBODY_ASKED


def test_a_swipe_that_cannot_be_read_is_done_again(shop):
    shop.sale(1234)
    swipe("stripe-damaged")(shop)
    shop.walk(("磁条读不出 请再刷 12.34", swipe("stripe")), PIN, *SLIPS)
    assert shop.books_agree()


def test_a_chip_card_that_is_swiped_is_inserted_without_typing_the_amount_again(shop):
    shop.sale(1234)
    swipe("debit")(shop)
    shop.walk(("芯片卡请插卡 12.34", insert("debit")), PIN, OUT, *SLIPS)
    assert shop.record()["entry"] == "05" and shop.books_agree()


def test_a_chip_that_cannot_be_read_is_swiped_and_the_bank_is_told_that_it_failed(shop):
    texts = requests(shop)
    shop.sale(1234)
    insert("chip-dead")(shop)
    shop.walk(("请再插 12.34", again("chip-dead")), ("芯片读不出 请刷卡 12.34", swipe("chip-dead")), PIN, ("请撕下", "ENTER"), HOME)
    assert shop.record()["fallback"] and shop.record()["entry"] == "02" and shop.books_agree()
    assert texts[0].startswith("→ 0200")


def test_a_chip_is_looked_at_anew_only_when_it_was_out(shop):
    """The page says: once more. It stays until the person has done so."""
    shop.sale(1234)
    insert("chip-dead")(shop)
    shop.walk(("请再插", lambda shop: shop.run(20_000)), ("请再插 插卡", None))


def test_after_a_failed_chip_another_card_may_still_be_inserted(shop):
    shop.sale(1234)
    insert("chip-dead")(shop)
    shop.walk(("请再插", lambda shop: (shop.pull(), shop.run(300), insert("debit")(shop))), PIN, OUT, *SLIPS)
    assert shop.record()["entry"] == "05" and shop.books_agree()


def test_a_pin_that_was_typed_for_the_chip_is_typed_again_for_the_stripe(shop):
    shop.sale(1234)
    insert("chip-refuses")(shop)
    shop.walk(PIN, OUT, ("请刷卡", swipe("stripe")), PIN, *SLIPS)
    assert shop.record()["pin"] and shop.books_agree()


def test_a_terminal_that_allows_no_fallback_sends_the_card_away():
    shop = open_shop(**{"fallback.allowed": False})
    shop.sale(1234)
    insert("chip-dead")(shop)
    shop.walk(("请再插", again("chip-dead")), ("芯片读不出 未扣款", "CANCEL"), HOME)
    assert shop.said(2) == NOBODY_ASKED


def test_an_allowed_fallback_does_not_outlive_its_transaction(shop):
    shop.sale(1234)
    insert("chip-dead")(shop)
    shop.walk(("请再插", again("chip-dead")), ("请刷卡", "CANCEL"), ("交易已取消", "ENTER"), HOME)
    shop.pull()
    shop.sale(1234)
    swipe("chip-dead")(shop)
    shop.walk(("芯片卡请插卡", None))


def test_a_sale_by_stripe_is_undone_by_stripe(shop):
    shop.sale(1234)
    swipe("stripe")(shop)
    shop.walk(PIN, *SLIPS)
    trace = shop.record()["trace"]
    shop.walk(*VOID, ("原凭证号", trace + " ENTER"), ("确认撤销", "ENTER"), ("刷卡", lambda shop: shop.run(150)))
    swipe("stripe")(shop)
    shop.walk(*SLIPS)
    assert (shop.record()["kind"], shop.record()["phase"], shop.record()["entry"]) == ("void", "approved", "02")
    assert shop.books_agree()


def test_a_sale_by_stripe_is_not_undone_with_another_card(shop):
    shop.sale(1234)
    swipe("stripe")(shop)
    shop.walk(PIN, *SLIPS)
    trace = shop.record()["trace"]
    shop.walk(*VOID, ("原凭证号", trace + " ENTER"), ("确认撤销", "ENTER"), ("刷卡", lambda shop: shop.run(150)))
    tap("debit")(shop)
    shop.walk(("不是原交易的卡", "CANCEL"), HOME)
    assert shop.record()["kind"] == "sale" and shop.books_agree()


def test_a_sale_by_stripe_is_not_undone_with_another_stripe(shop):
    shop.sale(1234)
    swipe("stripe")(shop)
    shop.walk(PIN, *SLIPS)
    trace = shop.record()["trace"]
    shop.walk(*VOID, ("原凭证号", trace + " ENTER"), ("确认撤销", "ENTER"), ("刷卡", lambda shop: shop.run(150)))
    shop.stripe.swipe(shop.shelf.card("debit").stripe.replace("3512220", "3512120"))
    shop.walk(("不是原交易的卡", "CANCEL"), HOME)
    assert shop.record()["kind"] == "sale" and shop.books_agree()


def test_where_there_is_no_slot_a_chip_card_is_swiped_and_no_chip_has_failed():
    shop = Shop()
    del shop.ports["chip"]
    shop.log_in()
    heard = listen(shop)
    shop.sale(1234)
    swipe("debit")(shop)
    shop.walk(PIN, ("交易失败", None))  # the bank would rather see the chip
    (fields,) = [fields for mti, fields in heard if mti == "0200"]
    assert unionpay.read_private60(fields[60]).chip == unionpay.CHIP_NORMAL and not shop.record().get("fallback")


def test_the_third_track_travels_with_the_second(shop):
    heard = listen(shop)
    shop.sale(1234)
    shop.card = "stripe"
    shop.stripe.swipe(shop.shelf.card("stripe").stripe + "+99" + shop.shelf.card("stripe").pan + "=1561560?")
    shop.walk(PIN, *SLIPS)
    (fields,) = [fields for mti, fields in heard if mti == "0200"]
    assert fields[36] == "99" + shop.shelf.card("stripe").pan + "D1561560" and shop.books_agree()


def test_the_reversal_of_a_sale_by_fallback_says_that_the_chip_had_failed(shop):
    heard = listen(shop)
    shop.rules.add("next on sale silence")
    shop.sale(1234)
    insert("chip-dead")(shop)
    shop.walk(("请再插", again("chip-dead")), ("请刷卡", swipe("chip-dead")), PIN, ("已冲正", "ENTER"), HOME)
    said = [(mti, unionpay.read_private60(fields[60])) for mti, fields in heard if mti in ("0200", "0400")]
    assert [mti for mti, _ in said] == ["0200", "0400"] and said[0][1] == said[1][1]
    assert said[0][1].chip == unionpay.CHIP_FALLBACK


def test_the_balance_is_asked_by_stripe(shop):
    shop.walk(("6 管理", "3"), ("刷卡", lambda shop: shop.run(150)))
    swipe("stripe")(shop)
    shop.walk(PIN, ("余额查询 100,000.00", "CANCEL"), HOME)


def test_a_stripe_that_is_not_answered_is_undone(shop):
    shop.rules.add("next on sale silence")
    shop.sale(1234)
    swipe("stripe")(shop)
    shop.walk(PIN, ("已冲正 未扣款", "ENTER"), HOME)
    assert shop.record()["phase"] == "reversed" and shop.books_agree()
