"""A sale by tap, from the amount to the slip, and everything that may come between."""

import pytest

from firmware.money import masked, yuan
from tests.flows.counter import Counter, tap, tear


def test_a_sale_ends_with_two_slips_and_agreeing_books(counter):
    before = counter.bank.balance(counter.shelf.card("debit").pan)
    counter.sell(1234)
    record = counter.record()
    assert record["phase"] == "approved" and record["fen"] == 1234
    assert counter.bank.balance(counter.shelf.card("debit").pan) == before - 1234
    assert counter.books_agree()


def test_the_slip_says_what_the_ledger_says_field_by_field(counter):
    counter.sell(1234)
    record = counter.record()
    second = counter.paper.rindex("测试/TESTING")
    merchant, customer = counter.paper[:second], counter.paper[second:]
    assert "商户存根" in merchant and "持卡人存根" in customer
    pan = counter.shelf.card("debit").pan
    for line in (
        "测试/TESTING 凭证无效", "银联POS签购单", "商户名称:开付小店", "商户编号:898110153310001", "终端编号:KF000001", "操作员:01",
        "交易类型:消费", "批次号:%s" % record["batch"], "凭证号:%s" % record["trace"], "授权码:%s" % record["authorisation"],
        "参考号:%s" % record["reference"], "金额:RMB 12.34", "ARQC:", "TVR:", "AID:A000000333", "ATC:", "严禁借用",
    ):  # fmt: skip
        assert line in merchant and line in customer, line
    assert masked(pan) + " /C" in customer
    assert "免密免签" in customer and "签名/" not in customer
    assert pan not in counter.paper


@pytest.mark.parametrize("fen, asked", [(99999, False), (100000, False), (100001, True)])
def test_a_pin_is_asked_for_above_a_thousand_yuan_and_not_at_it(counter, fen, asked):
    counter.walk(("6 管理", "1"), ("请输入金额", "%d ENTER" % fen), ("请挥卡", tap("debit")))
    if asked:
        counter.walk(("无则按确认", counter.shelf.card("debit").pin + " ENTER"))
    counter.walk(("请撕下", "ENTER"), ("6 管理", None))
    assert counter.record()["pin"] is asked and counter.record()["phase"] == "approved"
    assert ("已验证密码" in counter.paper) is asked
    assert counter.books_agree()


def test_the_limit_without_pin_is_a_parameter():
    counter = Counter(parameters={"pin.free_fen": 500})
    counter.log_in()
    counter.walk(("6 管理", "1"), ("请输入金额", "501 ENTER"), ("请挥卡", tap("debit")), ("无则按确认", None))


def test_a_card_that_asks_for_a_pin_gets_one_below_the_limit(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "100 ENTER"), ("请挥卡", tap("pin-asking")), ("密码", None))
    counter.type(counter.shelf.card("pin-asking").pin + " ENTER")
    counter.walk(("请撕下", "ENTER"), ("6 管理", None))
    assert counter.record()["pin"] is True


def test_a_phone_that_verified_its_holder_needs_no_pin_above_the_limit(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "200000 ENTER"), ("请挥卡", tap("phone")), ("请撕下", "ENTER"), ("6 管理", None))
    assert counter.record()["phase"] == "approved" and not counter.record()["pin"]
    assert "持卡人设备上验证" in counter.paper


def test_only_stars_of_a_pin_are_shown_and_clear_and_back_work(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "100001 ENTER"), ("请挥卡", tap("debit")), ("无则按确认", "12"), ("密码: **", "BACK"))
    assert "密码: *" in counter.text and "**" not in counter.text
    counter.type("3 CLEAR")
    assert "*" not in counter.text


def test_a_pin_is_asked_for_only_when_the_card_has_left(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "100001 ENTER"), ("请挥卡", lambda c: c.place("debit")), ("请取走卡片", None))
    counter.run(20_000)
    assert "请取走卡片" in counter.text
    counter.take()
    counter.walk(("无则按确认", None))


def test_a_wrong_pin_offers_the_amount_again_with_a_new_trace_three_times(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "100001 ENTER"))
    traces = []
    for left in (2, 1, 0):
        counter.walk(("请挥卡 1,000.01", tap("debit")), ("无则按确认", "000000 ENTER"), ("交易失败 55 密码错误 未扣款", None))
        traces.append(counter.record()["trace"])
        assert ("重新输密码" in counter.text) == bool(left)
        counter.type("ENTER")
    counter.walk(("6 管理", None))
    assert len(set(traces)) == 3 and counter.books_agree()


def test_the_right_pin_after_a_wrong_one_is_approved(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "100001 ENTER"), ("请挥卡", tap("debit")), ("无则按确认", "000000 ENTER"), ("55", "ENTER"))
    counter.walk(("请挥卡", tap("debit")), ("无则按确认", counter.shelf.card("debit").pin + " ENTER"), ("请撕下", None))


def test_confirm_on_an_empty_pin_page_says_so_and_goes_on_without(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "100001 ENTER"), ("请挥卡", tap("debit")), ("无则按确认", "ENTER"))
    counter.walk(("未输入密码 将不带密码交易", "BACK"), ("无则按确认", "ENTER"), ("未输入密码", "ENTER"), ("请撕下", "ENTER"), ("6 管理", None))
    assert counter.record()["pin"] is False
    assert "持卡人签名" in counter.paper


def test_without_bypass_the_pin_page_stays():
    counter = Counter(parameters={"pin.bypass": False})
    counter.log_in()
    counter.walk(("6 管理", "1"), ("请输入金额", "100001 ENTER"), ("请挥卡", tap("debit")), ("请输入卡密码", "ENTER"))
    counter.run(500)
    assert "请输入卡密码" in counter.text


@pytest.mark.parametrize(
    "steps",
    [
        (("6 管理", "1"), ("请输入金额", "123 CANCEL")),
        (("6 管理", "1"), ("请输入金额", "123 ENTER"), ("请挥卡", "CANCEL")),
        (("6 管理", "1"), ("请输入金额", "100001 ENTER"), ("请挥卡", tap("debit")), ("无则按确认", "12 CANCEL")),
        (("6 管理", "1"), ("请输入金额", "100001 ENTER"), ("请挥卡", tap("debit")), ("无则按确认", "ENTER"), ("未输入密码", "CANCEL")),
    ],
    ids=["amount", "tap", "PIN", "PIN left out"],
)
def test_cancel_at_each_step_says_that_no_money_was_taken(counter, steps):
    counter.walk(*steps, ("已取消 未扣款", "ENTER"), ("6 管理", None))
    assert counter.record() is None and not counter.reader.field and counter.books_agree()


def test_nothing_typed_for_a_minute_gives_the_sale_up(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "123"))
    counter.run(61_000)
    assert "已取消 未扣款".split()[0] in counter.text or counter.state == "Menu"


def test_the_amount_is_typed_in_fen_with_double_zero_back_and_clear(counter):
    counter.walk(("6 管理", "1"), ("请输入金额 0.00", "1 2"), ("0.12", "00"), ("12.00", "BACK"), ("1.20", "CLEAR"), ("0.00", "5"), ("0.05", None))


def test_an_amount_above_the_limit_is_refused_and_what_was_typed_stays():
    counter = Counter(parameters={"sale.maximum_fen": 5000})
    counter.log_in()
    counter.walk(("6 管理", "1"), ("请输入金额", "500"), ("5.00", "1"), ("最多50.00 5.00", "0"), ("50.00", "ENTER"))
    counter.walk(("请核对金额 50.00", "ENTER"), ("请挥卡 50.00", None))


def test_an_amount_that_lost_a_digit_to_the_limit_is_not_confirmed_by_the_key_that_follows_in_haste():
    counter = Counter(parameters={"sale.maximum_fen": 7000})
    counter.log_in()
    counter.walk(("6 管理", "1"), ("请输入金额", "9000 ENTER"), ("请核对金额 9.00", "CLEAR 6000 ENTER"), ("请挥卡 60.00", None))


def test_zero_is_no_amount(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "ENTER"), ("金额不能为零", None))


def test_a_confirmation_page_follows_the_tap_where_the_parameter_says_so():
    counter = Counter(parameters={"sale.confirm_after_tap": True})
    counter.log_in()
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("请核对金额 12.34", "ENTER"), ("请撕下", None))
    assert counter.record()["phase"] == "approved"


@pytest.mark.parametrize(
    "card, words", [("poor", "51 余额不足 未扣款"), ("expired", "已过期 未扣款")]
)
def test_a_decline_says_why_in_words_and_that_no_money_was_taken(counter, card, words):
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap(card)), (words, "CANCEL"), ("6 管理", None))
    assert counter.books_agree()


@pytest.mark.parametrize("code, words", [("41", "挂失"), ("61", "限额"), ("91", "发卡行"), ("ZZ", "交易失败")])
def test_the_banks_reason_is_shown_in_words(counter, code, words):
    counter.rules.add("amount 12.51 decline " + code)
    counter.walk(("6 管理", "1"), ("请输入金额", "1251 ENTER"), ("请挥卡", tap("debit")), (code + " " + words + " 未扣款", "ENTER"), ("6 管理", None))
    assert counter.record()["phase"] == "declined" and counter.books_agree()


def test_a_card_that_is_not_a_bank_card_has_its_page(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "1 ENTER"), ("请挥卡", tap("not-a-bank-card")), ("未扣款 请换一张卡", "ENTER"), ("请挥卡", None))


@pytest.mark.parametrize("after_ms", [30, 45, 60])
def test_a_card_pulled_away_early_may_be_tapped_again(counter, after_ms):
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tear("debit", after_ms)), ("请重新挥卡", tap("debit")), ("请撕下", None))
    assert counter.record()["fen"] == 1234


def test_a_card_that_is_pulled_away_again_and_again_has_its_page(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"))
    for _ in range(3):
        counter.walk(("请 挥卡", tear("debit", 45)))
        counter.run(500)
    counter.walk(("卡片移开太早 未扣款", "CANCEL"), ("6 管理", None))


def test_two_cards_are_noticed_and_one_of_them_taken_away_goes_on(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"))
    counter.place("debit")
    counter.place("credit")
    counter.walk(("只能放一张卡", None))
    counter.reader.remove(counter.shelf.card("credit"))
    counter.walk(("请撕下", None))


def test_readers_that_are_gone_are_told_before_a_sale_and_one_that_works_is_used(counter):
    counter.reader.unplug()
    counter.run(500)
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请插卡 或刷卡", "CANCEL"), ("未扣款", "ENTER"), ("6 管理", None))
    counter.chip.unplug()
    counter.stripe.unplug()
    counter.run(500)
    counter.walk(("6 管理", "1"), ("读卡器没有响应 未扣款", "ENTER"), ("6 管理", None))


@pytest.mark.parametrize("trouble, words", [("paper_out", "缺纸"), ("cover_open", "盖未合"), ("too_hot", "过热"), ("silent", "无响应")])
def test_a_printer_in_trouble_starts_the_copy_again_from_its_top(counter, trouble, words):
    setattr(counter.printer, trouble, True)
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), (words + " 交易已成功", "ENTER"), (words, None))
    setattr(counter.printer, trouble, False)
    counter.type("ENTER")
    counter.walk(("请撕下", "ENTER"), ("6 管理", None))
    assert "商户存根" in counter.paper and "持卡人存根" in counter.paper
    assert counter.books_agree()


def test_a_slip_given_up_can_be_printed_from_the_menu(counter):
    counter.printer.paper_out = True
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("缺纸", "CANCEL"), ("6 管理", None))
    counter.printer.paper_out = False
    counter.walk(("6 管理", "5"), ("重打最后一笔", "1"), ("请撕下", "ENTER"), ("6 管理", None))
    assert "重打印/DUPLICATED" in counter.paper and counter.books_agree()


def test_the_second_copy_comes_by_itself_after_a_while(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("请撕下", None))
    counter.run(4_500)
    counter.until("6 管理")
    assert "持卡人存根" in counter.paper


def test_a_batch_that_is_full_takes_no_more_sales():
    counter = Counter(parameters={"batch.limit": 2})
    counter.log_in()
    counter.sell(100)
    counter.sell(200)
    counter.walk(("6 管理", "1"), ("笔数已到上限", "ENTER"), ("6 管理", None))


def test_the_balance_is_shown_and_never_printed(counter):
    card = counter.shelf.card("debit")
    counter.walk(("6 管理", "3"), ("请挥卡", tap("debit")), ("密码", card.pin + " ENTER"), ("余额查询", None))
    counter.until(lambda: counter.state == "ShowBalance")
    fen = counter.bank.balance(card.pan)
    assert yuan(fen) in counter.text
    counter.type("ENTER")
    assert yuan(fen) not in counter.paper and counter.record() is None


def test_where_nothing_is_printed_the_result_is_on_the_screen():
    counter = Counter(parameters={"slip.copies": 0})
    counter.log_in()
    counter.walk(("管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("交易成功 12.34", "ENTER"), ("管理", None))
    assert counter.terminal.ledger.open() == []
