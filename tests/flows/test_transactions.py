"""Refund, pre-authorisation and what follows it, offline sale, tip, mail order, instalments: each from the menu to its slip."""

import pytest

from emulator.world import TERMINAL
from tests.flows.counter import Counter, tap
from tests.flows.scenarios import Shop

EVERYTHING = {"module.offline": True, "module.tip": True, "module.moto": True, "module.instalment": True}


@pytest.fixture
def shop():
    shop = Shop(EVERYTHING)
    shop.log_in()
    return shop


def supervised(shop, *steps):
    """With the supervisor's password before the steps."""
    shop.walk(("请输入6位密码", "123456 ENTER"), *steps)


def home(shop):
    shop.walk(("请撕下", "ENTER"), ("6 管理", None))


def refund(shop, reference, fen="", date="", card="debit"):
    shop.walk(("6 管理", "7"))
    supervised(shop, ("原参考号", reference + " ENTER"))
    shop.walk(("原交易日期", date + " ENTER") if date else ("确认退货", "ENTER"))
    shop.walk(("请输入金额", (fen + " ENTER").strip()), ("卡", tap(card)))


def test_a_refund_gives_a_part_back_and_then_the_rest_and_no_more(shop):
    pan = shop.shelf.card("debit").pan
    before = shop.bank.balance(pan)
    shop.sell(10000)
    reference = shop.record()["reference"]
    refund(shop, reference, "3000")
    home(shop)
    assert shop.bank.balance(pan) == before - 7000
    assert "交易类型:退货" in shop.paper and "金额:RMB -30.00" in shop.paper and "原参考号:" + reference in shop.paper
    refund(shop, reference)
    home(shop)
    assert shop.bank.balance(pan) == before and shop.record()["fen"] == 7000
    shop.walk(("6 管理", "7"))
    supervised(shop, ("原参考号", reference + " ENTER"), ("已全部退完", "CANCEL"), ("已取消", "ENTER"))
    assert shop.books_agree()


def test_a_refund_of_a_sale_that_is_in_no_record_here_names_its_day(shop):
    shop.sell(5000)
    record = shop.record()
    shop.terminal.ledger._store.commit([("references", record["reference"], None, None)])
    shop.walk(("6 管理", "7"))
    supervised(
        shop, ("原参考号", record["reference"] + " ENTER"), ("本机没有此交易 月日", "9999 ENTER"), ("没有这一天", "1120 ENTER"),
        ("请输入金额", "5000 ENTER"), ("卡", tap("debit")),
    )  # fmt: skip
    home(shop)
    assert shop.record()["kind"] == "refund" and "原交易日期:1120" in shop.paper
    assert shop.bank.standing(TERMINAL) == [] or shop.bank.balanced()


def test_an_unanswered_refund_is_sent_again_until_it_is_known_and_blocks_the_next(shop):
    pan = shop.shelf.card("debit").pan
    before = shop.bank.balance(pan)
    shop.sell(10000)
    reference = shop.record()["reference"]
    shop.rules.add("always on refund silence")
    refund(shop, reference, "3000")
    shop.walk(("结果未知 是否退款未知 请勿重做", "ENTER"), ("6 管理 有待确认", "7"))
    assert "故障报告单" in shop.paper and "尚不能确定" in shop.paper
    assert shop.said().count("0220") >= 3 and "0400" not in shop.said()
    supervised(shop, ("原参考号", reference + " ENTER"), ("上笔退货结果未知", "CANCEL"), ("已取消", "ENTER"), ("6 管理", None))
    shop.sell(500)  # other business goes on
    shop.rules.clear()
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=1_800_000)
    assert shop.bank.balance(pan) == before - 10000 + 3000 - 500 and shop.books_agree()


def test_a_refund_that_the_bank_refuses_gives_nothing_back(shop):
    shop.sell(10000)
    shop.rules.add("next on refund decline 57")
    refund(shop, shop.record()["reference"], "3000")
    shop.walk(("57 未退款", "ENTER"), ("6 管理", None))
    assert shop.record()["phase"] == "declined" and shop.books_agree()


def held(shop, fen="10000"):
    """A pre-authorisation; returns the bank's code."""
    shop.walk(("6 管理", "8"), ("1 预授权", "1"), ("请输入金额", fen + " ENTER"), ("卡", tap("debit")))
    home(shop)
    return shop.record()["authorisation"]


def on_code(shop, digit, code, *steps):
    """One of the pre-authorisation menu, up to the original's code and what comes after."""
    shop.walk(("6 管理", "8"), ("1 预授权", digit))
    if digit in "45":
        supervised(shop)
    shop.walk(("原授权码", code + " ENTER"), *steps)


def pin(shop):
    shop.walk(("密码", shop.shelf.card("debit").pin + " ENTER"))


def test_a_pre_authorisation_holds_and_its_completion_takes(shop):
    pan = shop.shelf.card("debit").pan
    before = shop.bank.balance(pan)
    code = held(shop)
    assert "交易类型:预授权" in shop.paper and shop.terminal.ledger.totals()["preauth"] == [1, 10000]
    on_code(shop, "2", code, ("确认完成", "ENTER"), ("请输入金额 100.00", "8000 ENTER"), ("卡", tap("debit")))
    pin(shop)
    home(shop)
    assert "交易类型:预授权完成请求" in shop.paper and "原授权码:" + code in shop.paper
    assert shop.bank.balance(pan) == before - 8000 and shop.books_agree()
    on_code(shop, "2", code, ("已完成", "CANCEL"), ("已取消", "ENTER"))


def test_a_completion_is_at_most_115_percent_of_what_is_held(shop):
    code = held(shop)
    on_code(shop, "2", code, ("确认完成", "ENTER"), ("请输入金额", "11501"), ("最多115.00", "CANCEL"), ("已取消", "ENTER"))
    on_code(shop, "2", code, ("确认完成", "ENTER"), ("请输入金额", "11500 ENTER"), ("卡", tap("debit")))
    pin(shop)
    home(shop)
    assert shop.record()["fen"] == 11500 and shop.books_agree()


def test_a_completion_may_be_voided_and_then_made_again(shop):
    code = held(shop)
    on_code(shop, "2", code, ("确认完成", "ENTER"), ("请输入金额", "ENTER"), ("卡", tap("debit")))
    pin(shop)
    home(shop)
    trace = shop.record()["trace"]
    shop.walk(("6 管理", "8"), ("1 预授权", "5"))
    supervised(shop, ("原凭证号", trace + " ENTER"), ("确认撤销完成", "ENTER"), ("卡", tap("debit")))
    pin(shop)
    home(shop)
    assert shop.record()["kind"] == "complete-void" and "交易类型:完成撤销" in shop.paper and shop.books_agree()
    on_code(shop, "2", code, ("确认完成", "ENTER"), ("请输入金额", "ENTER"), ("卡", tap("debit")))
    pin(shop)
    home(shop)
    assert shop.record()["kind"] == "complete" and shop.record()["phase"] == "approved" and shop.books_agree()


def test_a_completion_notice_takes_without_a_pin(shop):
    code = held(shop)
    on_code(shop, "3", code, ("确认完成", "ENTER"), ("请输入金额", "ENTER"), ("卡", tap("debit")))
    home(shop)
    assert shop.record()["kind"] == "complete-notice" and shop.said().count("0220") == 1 and shop.books_agree()


def test_a_voided_pre_authorisation_frees_the_money(shop):
    code = held(shop)
    on_code(shop, "4", code, ("确认撤销预授权", "ENTER"), ("卡", tap("debit")))
    pin(shop)
    home(shop)
    assert "交易类型:预授权撤销" in shop.paper and shop.books_agree()
    on_code(shop, "2", code, ("已撤销", "CANCEL"), ("已取消", "ENTER"))


def test_a_pre_authorisation_of_another_terminal_is_named_by_code_day_and_amount(shop):
    code = held(shop)
    for key, _ in shop.store.range("codes"):
        shop.store.commit([("codes", key, None, None)])
    on_code(shop, "4", code, ("本机没有此交易", "1120 ENTER"), ("请输入金额 0.00", "10000 ENTER"), ("卡", tap("debit")))
    pin(shop)
    home(shop)
    assert shop.record()["kind"] == "preauth-void"


def test_more_may_be_held_and_then_taken(shop):
    code = held(shop)
    on_code(shop, "6", code, ("确认追加", "ENTER"), ("请输入金额 0.00", "5000 ENTER"), ("卡", tap("debit")))
    home(shop)
    assert shop.record()["kind"] == "preauth-add"
    on_code(shop, "2", code, ("确认完成", "ENTER"), ("请输入金额 150.00", "ENTER"), ("卡", tap("debit")))
    pin(shop)
    home(shop)
    assert shop.record()["fen"] == 15000 and shop.books_agree()


@pytest.mark.parametrize("fault", ["silence", "wrong-mac", "cut-before"])
def test_an_unanswered_pre_authorisation_is_reversed(shop, fault):
    pan = shop.shelf.card("debit").pan
    shop.rules.add("next on preauth " + fault)
    shop.walk(("6 管理", "8"), ("1 预授权", "1"), ("请输入金额", "10000 ENTER"), ("卡", tap("debit")))
    shop.walk(("已冲正 未冻结", "ENTER"), ("6 管理", None))
    assert shop.record()["phase"] == "reversed" and shop.books_agree() and shop.shelf.card("debit").pan == pan


def typed_card(shop, prompt="请输入卡号"):
    card = shop.shelf.card("debit")
    shop.walk((prompt, card.pan + " ENTER"), ("有效期", card.expiry[2:] + card.expiry[:2] + " ENTER"))


def test_a_mail_order_takes_a_typed_number_and_can_be_voided(shop):
    pan = shop.shelf.card("debit").pan
    wrong = pan[:-1] + str((int(pan[-1]) + 1) % 10)
    shop.walk(("6 管理", "9"), ("订购", "4"), ("请输入金额", "2500 ENTER"), ("请输入卡号", wrong + " ENTER"))
    typed_card(shop, "卡号有误")
    shop.walk(("请核对金额 25.00", "ENTER"))
    home(shop)
    assert "交易类型:订购消费" in shop.paper and "持卡人不在场" in shop.paper and pan not in shop.paper
    trace = shop.record()["trace"]
    shop.walk(("6 管理", "2"))
    supervised(shop, ("原凭证号", trace + " ENTER"), ("确认撤销", "ENTER"))
    home(shop)
    assert shop.record()["condition"] == "08" and shop.books_agree()


def test_instalments_tell_the_bank_how_many(shop):
    shop.walk(("6 管理", "9"), ("分期", "5"), ("请输入金额", "60000 ENTER"), ("请选分期期数 2 6期", "2"), ("卡", tap("debit")))
    home(shop)
    assert shop.record()["periods"] == 6 and "分期期数:6" in shop.paper and shop.books_agree()


def offline_sale(shop, fen="8000"):
    shop.walk(("6 管理", "9"), ("离线结算", "1"))
    supervised(shop, ("请输入金额", fen + " ENTER"))
    typed_card(shop)
    shop.walk(("银行授权码", "123456 ENTER"), ("请核对金额", "ENTER"))
    home(shop)


def test_an_offline_sale_is_stored_first_and_told_later(shop):
    shop.link.down = "unreachable"
    offline_sale(shop)
    assert "交易类型:离线结算" in shop.paper and "授权码:123456" in shop.paper and shop.record()["owed"]
    assert "原凭证号" not in shop.paper and "原授权码" not in shop.paper
    shop.link.down = None
    shop.settle()
    assert shop.books_agree() and shop.terminal.ledger.totals() == {"offline-sale": [1, 8000]}


def test_an_adjusted_offline_sale_stands_with_its_new_total(shop):
    offline_sale(shop)
    trace = shop.record()["trace"]
    shop.walk(("6 管理", "9"), ("结算调整", "2"))
    supervised(shop, ("原凭证号", trace + " ENTER"), ("确认调整", "ENTER"), ("请输入金额 80.00", "9000 ENTER"))
    home(shop)
    shop.settle()
    assert shop.record()["fen"] == 9000 and shop.books_agree()
    assert shop.bank.takings("898110153310001") == 9000


def test_a_tip_is_added_to_its_sale_up_to_its_share(shop):
    pan = shop.shelf.card("debit").pan
    before = shop.bank.balance(pan)
    shop.sell(10000)
    trace = shop.record()["trace"]
    shop.walk(("6 管理", "9"), ("小费", "3"), ("原凭证号", trace + " ENTER"), ("确认加小费", "ENTER"), ("请输入小费", "1001 ENTER"))
    shop.walk(("最多10.00", "1000"), ("合计 110.00", "ENTER"))
    home(shop)
    shop.settle()
    assert "小费:10.00" in shop.paper and "金额:RMB 110.00" in shop.paper
    assert shop.bank.balance(pan) == before - 11000 and shop.books_agree()


def test_a_partial_approval_asks_for_the_rest(shop):
    counter = Counter(parameters={"sale.partial": True})
    counter.log_in()
    counter.rules.add("next on sale partial 5.00")
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("请撕下 5.00", "ENTER"))
    counter.walk(("部分批准 7.34", "ENTER"), ("请挥卡 7.34", tap("credit")), ("请撕下 7.34", "ENTER"), ("6 管理", None))
    assert "原请求金额:12.34" in counter.paper and counter.terminal.ledger.totals() == {"sale": [2, 1234]}
    assert counter.books_agree()


def test_offline_sales_are_stored_up_to_a_number_and_then_the_bank_has_to_hear_of_them():
    shop = Shop(EVERYTHING | {"offline.limit": 2})
    shop.log_in()
    shop.link.down = "unreachable"
    offline_sale(shop, "100")
    offline_sale(shop, "200")
    shop.walk(("6 管理", "9"), ("离线结算", "1"), ("未上送笔数已满 未扣款 请联网", "ENTER"), ("6 管理", None))
    shop.link.down = None
    shop.settle()
    offline_sale(shop, "300")
    shop.settle()
    assert shop.terminal.ledger.totals() == {"offline-sale": [3, 600]} and shop.books_agree()
