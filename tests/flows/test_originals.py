"""What may be undone, changed or given back is judged again on the way to the host: the bank may have refused it since."""

import json

import pytest

from tests.flows.counter import tap
from tests.flows.scenarios import CANTEEN, OUT, insert
from tests.flows.test_money_rules import adjust, differ, kinds, opened, tip, to_refund, to_void, void
from tests.flows.test_transactions import held, home, offline_sale, on_code, pin, refund, supervised, typed_card

CHANGED = ("原交易已有变化 没有送往银行 请先查询原交易", "ENTER")


def card_money(shop):
    """What the debit card has paid, in fen."""
    pan = shop.shelf.card("debit").pan
    return shop.before[pan] - shop.bank.balance(pan)


def reprinted(shop):
    """The paper of the last transaction, once more."""
    since = len(shop.paper)
    shop.walk(("6 管理", "5"), ("1 重打", "1"), ("请撕下", "CANCEL"), ("6 管理", None))
    return shop.paper[since:]


# -- refused on the way


def test_a_sale_whose_tip_the_bank_refuses_on_the_way_is_not_refunded_with_the_tip():
    shop = opened()
    shop.sell(10000)
    sale = shop.record()
    shop.link.down = "unreachable"
    tip(shop, sale["trace"], 1000)
    shop.rules.add("always on tip decline 57")
    to_refund(shop, sale["reference"])
    shop.walk(("确认退货 110.00", "ENTER"), ("请输入金额 110.00", "ENTER"))
    shop.link.down = None
    shop.walk(("卡", tap("debit")), CHANGED, ("6 管理", None))
    assert shop.said().count("0220") == 1 and shop.terminal.ledger.refunded(sale["reference"]) == (0, 0)
    assert kinds(shop) == {"sale": [1, 10000]} and card_money(shop) == 10000 and differ(shop) == []
    refund(shop, sale["reference"])
    home(shop)
    assert card_money(shop) == 0 and differ(shop) == [], "what stands is still given back"


def test_a_sale_that_the_bank_refuses_on_the_way_is_not_voided():
    shop = opened(**CANTEEN)
    shop.link.down = "unreachable"
    shop.sale(1000)
    insert("offline")(shop)
    shop.walk(OUT)
    home(shop)
    sale = shop.record()
    assert sale["owed"] and sale["offline55"]
    shop.rules.add("always on upload decline 51")
    to_void(shop, sale["trace"])
    shop.walk(("确认撤销", "ENTER"), ("插卡", lambda shop: shop.run(150)))
    shop.link.down = None
    insert("offline")(shop)
    shop.walk(OUT, CHANGED, ("6 管理", None))
    assert shop.record()["id"] == sale["id"] and shop.record()["refused"] == "51" and not shop.record().get("void")
    assert kinds(shop) == {} and differ(shop) == []


def test_an_offline_sale_that_the_bank_refuses_while_its_new_total_is_typed_is_not_adjusted():
    shop = opened()
    shop.rules.add("always on offline-sale decline 51")
    shop.acquirer.latency_ms = 9_000
    offline_sale(shop)
    sale = shop.record()
    shop.terminal.resolve_behind()
    shop.walk(("6 管理", "9"), ("结算调整", "2"))
    supervised(shop, ("原凭证号", sale["trace"] + " ENTER"), ("确认调整", "ENTER"), ("请输入金额 80.00", "9000"))
    assert shop.record()["owed"]
    shop.until(lambda: not shop.record()["owed"])
    shop.walk(("请输入金额 90.00", "ENTER"), CHANGED, ("6 管理", None))
    assert shop.record()["id"] == sale["id"] and kinds(shop) == {} and differ(shop) == []


def test_a_sale_of_a_batch_that_is_closed_while_its_tip_is_typed_gets_none():
    shop = opened()
    shop.sell(10000)
    shop.walk(
        ("6 管理", "9"),
        ("小费", "3"),
        ("原凭证号", shop.record()["trace"] + " ENTER"),
        ("确认加小费", "ENTER"),
        ("请输入小费", "500"),
    )
    shop.terminal.ledger.roll([])
    shop.walk(("请输入小费", "ENTER"), CHANGED, ("6 管理", None))
    assert shop.record()["kind"] == "sale" and kinds(shop) == {}


def test_a_void_with_a_wrong_pin_is_typed_again_and_still_has_its_original():
    shop = opened(**{"void.pin": True})
    shop.sell(1000)
    to_void(shop, shop.record()["trace"])
    shop.walk(
        ("确认撤销", "ENTER"), ("卡", tap("debit")), ("密码", "000000 ENTER"), ("55 原消费仍有效", "ENTER"), ("卡", tap("debit"))
    )
    pin(shop)
    home(shop)
    assert [record["phase"] for record in shop.terminal.ledger.newest(2)] == ["approved", "declined"] and differ(shop) == []


# -- reprints


def test_the_reprint_of_what_the_bank_has_refused_is_no_receipt():
    shop = opened()
    shop.rules.add("always on offline-sale decline 51")
    offline_sale(shop)
    shop.settle()
    assert "银行拒收 本单无效" not in shop.paper and "银行拒收 本单无效" in reprinted(shop)


def test_the_reprint_of_a_voided_sale_says_that_it_is_void():
    shop = opened()
    shop.sell(1000)
    sale = shop.record()
    assert "本单无效" not in reprinted(shop)
    void(shop, sale["trace"])
    assert "本单无效" not in reprinted(shop), "the void itself is a receipt"
    shop.walk(("6 管理", "5"), ("2 重打", "2"), (sale["trace"], "2"), ("消费 10.00 已撤销", "ENTER"))
    home(shop)
    assert "已撤销 本单无效" in shop.paper


def test_the_reprint_of_an_adjusted_sale_names_the_newer_slip():
    shop = opened()
    offline_sale(shop)
    sale = shop.record()
    adjust(shop, sale["trace"], 9000)
    assert "以新单为准" not in reprinted(shop)
    shop.walk(("6 管理", "5"), ("2 重打", "2"), (sale["trace"], "2"), ("离线结算 80.00 已调整", "ENTER"))
    home(shop)
    assert "已调整 以新单为准" in shop.paper


# -- mail orders, a damaged mark, what a cancelled change leaves


def mail_order(shop):
    shop.walk(("6 管理", "9"), ("订购", "4"), ("请输入金额", "2500 ENTER"))
    typed_card(shop)
    shop.walk(("请核对金额 25.00", "ENTER"))
    home(shop)
    return shop.record()


@pytest.mark.parametrize("how", ["void", "refund"])
def test_a_mail_order_is_undone_without_the_card_that_nobody_has(how):
    shop = opened()
    order = mail_order(shop)
    if how == "void":
        to_void(shop, order["trace"])
        shop.walk(("确认撤销", "ENTER"))
    else:
        to_refund(shop, order["reference"])
        shop.walk(("确认退货", "ENTER"), ("请输入金额 25.00", "ENTER"), ("请核对金额", "ENTER"))
    home(shop)
    assert (shop.record()["kind"], shop.record()["entry"][:2], shop.record()["phase"]) == (how, "01", "approved")
    assert card_money(shop) == 0 and differ(shop) == []


def test_a_damaged_mark_of_a_refund_gives_nothing_back_twice():
    shop = opened()
    shop.sell(10000)
    sale = shop.record()
    refund(shop, sale["reference"])
    home(shop)
    shop.store.commit([("refunds", sale["reference"], b"\xff", None)])
    shop.plug()
    shop.power_on()
    shop.log_in()
    to_refund(shop, sale["reference"])
    shop.walk(("已全部退完", "ENTER"), ("没有可选的交易", "CANCEL"), ("已取消", "ENTER"), ("6 管理", None))
    assert card_money(shop) == 0 and sale["reference"] in shop.terminal.ledger.damaged


def test_a_damaged_mark_does_not_free_an_original_whose_refund_is_not_answered():
    shop = opened()
    shop.sell(10000)
    sale = shop.record()
    shop.rules.add("always on refund silence")
    refund(shop, sale["reference"], "3000")
    shop.walk(("结果未知", "ENTER"), ("6 管理", None))
    shop.store.commit([("refunds", sale["reference"], b"\xff", None)])
    to_refund(shop, sale["reference"])
    shop.walk(("上笔退货结果未知", "CANCEL"), ("已取消", "ENTER"), ("6 管理", None))
    to_void(shop, sale["trace"])
    shop.walk(("已退货", "CANCEL"), ("已取消", "ENTER"))
    shop.rules.clear()
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=1_800_000)
    assert shop.terminal.ledger.refunded(sale["reference"]) == (0, 3000) and differ(shop) == []


def test_a_damaged_mark_of_an_original_that_is_in_no_record_here_allows_no_refund():
    shop = opened()
    reference = "123456789012"
    shop.store.commit([("refunds", reference, b"[]", None)])
    to_refund(shop, reference)
    shop.walk(("上笔退货结果未知", "CANCEL"), ("已取消", "ENTER"))
    assert "0220" not in shop.said()


def test_a_cancelled_tip_or_completion_says_what_stands():
    shop = opened()
    shop.sell(10000)
    shop.walk(("6 管理", "9"), ("小费", "3"), ("原凭证号", shop.record()["trace"] + " ENTER"), ("确认加小费", "CANCEL"))
    shop.walk(("已取消 原消费仍有效", "ENTER"), ("6 管理", None))
    code = held(shop)
    on_code(shop, "2", code, ("确认完成", "CANCEL"), ("已取消 原预授权仍有效", "ENTER"), ("6 管理", None))
    assert differ(shop) == []


def test_an_original_whose_card_number_is_lost_is_not_undone_and_says_so():
    shop = opened()
    shop.sell(1000)
    sale = shop.record()
    shop.store.commit([("transactions", "%010d" % sale["id"], json.dumps({**sale, "sealed": "!"}).encode(), None)])
    to_void(shop, sale["trace"])
    shop.walk(("确认撤销", "ENTER"), ("取不到原卡号", "ENTER"), ("6 管理", None))
    assert shop.record()["kind"] == "sale" and differ(shop) == []


@pytest.mark.parametrize(("keys", "words"), [("2", "原凭证号"), ("7", "原参考号")])
def test_from_the_list_of_originals_a_number_can_still_be_typed(keys, words):
    shop = opened()
    shop.sell(1000)
    shop.walk(("6 管理", keys), ("请输入6位密码", "123456 ENTER"), (words, "ENTER"), ("10.00", "BACK"), (words, "CANCEL"))
    shop.walk(("已取消", "ENTER"), ("6 管理", None))


@pytest.mark.parametrize(("expiry", "words"), [("1126", "请核对金额"), ("1026", "过期")])
def test_a_card_is_good_to_the_end_of_the_month_that_stands_on_it(expiry, words):
    shop = opened()
    shop.walk(("6 管理", "9"), ("订购", "4"), ("请输入金额", "2500 ENTER"))
    shop.walk(("请输入卡号", shop.shelf.card("debit").pan + " ENTER"), ("有效期", expiry + " ENTER"), (words, None))
