"""What an answer settles, and what it leaves open: in part, by telephone, undecided, a number that is taken, another organisation."""

import json

import pytest

from emulator.world import TERMINAL
from firmware.iso8583 import unionpay
from firmware.iso8583.batch import Item
from tests.flows.counter import tap
from tests.flows.scenarios import OUT, insert, switches
from tests.flows.test_money_rules import differ, kinds, opened, tip, to_void
from tests.flows.test_originals import card_money
from tests.flows.test_transactions import held, home, on_code, pin, refund, typed_card


def in_part(shop, kind, fen):
    """The bank does no more than this of one kind, with code 10."""
    act = shop.acquirer._acts[kind]

    def part(request, terminal):
        outcome = act(request, terminal)
        if outcome.code != "00" or request.amount_fen <= fen:
            return outcome
        return outcome._replace(code="10", extra={**dict(outcome.extra), 4: unionpay.amount(fen)}, amount_fen=fen)

    shop.acquirer._acts[kind] = part


def answers(shop, change):
    """Every answer of the bank goes through change(kind, outcome) -> outcome, after it is booked."""
    fields = shop.acquirer._replies.fields
    shop.acquirer._replies.fields = lambda request, outcome: fields(request, change(request.kind, outcome))


# -- in part


def test_the_rest_of_a_refund_in_part_is_not_sold():
    shop = opened()
    shop.sell(10000)
    sale = shop.record()
    in_part(shop, "refund", 6000)
    refund(shop, sale["reference"])
    home(shop)
    assert (shop.record()["fen"], shop.record()["asked_fen"]) == (6000, 10000) and "原请求金额:100.00" in shop.paper
    assert shop.state == "Menu" and "AskRest" not in shop.pages and shop.terminal.ledger.refunded(sale["reference"]) == (0, 6000)
    assert kinds(shop) == {"sale": [1, 10000], "refund": [1, 6000]}


@pytest.mark.parametrize("kind", ["preauth", "complete"])
def test_the_rest_of_a_hold_or_a_completion_in_part_is_not_sold(kind):
    shop = opened()
    code = held(shop, "20000") if kind == "complete" else ""
    in_part(shop, kind, 6000)
    if code:
        on_code(shop, "2", code, ("确认完成", "ENTER"), ("请输入金额", "10000 ENTER"), ("卡", tap("debit")))
        pin(shop)
    else:
        shop.walk(("6 管理", "8"), ("1 预授权", "1"), ("请输入金额", "10000 ENTER"), ("卡", tap("debit")))
    home(shop)
    assert "AskRest" not in shop.pages and shop.record()["fen"] == 6000 and kinds(shop)[kind] == [1, 6000]


def test_the_rest_of_a_mail_order_is_another_mail_order():
    shop = opened()
    in_part(shop, "moto", 500)
    shop.walk(("6 管理", "9"), ("订购", "4"), ("请输入金额", "1234 ENTER"))
    typed_card(shop)
    shop.walk(("请核对金额", "ENTER"), ("请撕下 5.00", "ENTER"), ("部分批准 7.34", "ENTER"))
    typed_card(shop)
    shop.walk(("请核对金额 7.34", "ENTER"), ("请撕下 5.00", "ENTER"), ("部分批准 2.34", "CANCEL"), ("6 管理", None))
    assert kinds(shop) == {"moto": [2, 1000]}


# -- by telephone


@pytest.mark.parametrize("kind", ["void", "preauth", "instalment"])
def test_what_the_bank_alone_decides_is_not_approved_by_telephone(kind):
    shop = opened(**switches(referral=True))
    if kind == "void":
        shop.sale(1000)
        insert("offline")(shop)
        shop.walk(OUT)
        home(shop)
        to_void(shop, shop.record()["trace"])
        shop.walk(("确认撤销", "ENTER"))
    elif kind == "preauth":
        shop.walk(("6 管理", "8"), ("1 预授权", "1"), ("请输入金额", "10000 ENTER"))
    else:
        shop.walk(("6 管理", "9"), ("分期", "5"), ("请输入金额", "60000 ENTER"), ("请选分期期数", "2"))
    shop.rules.add("next on %s decline 01" % kind)
    shop.walk(("插卡", lambda shop: shop.run(150)))
    insert("offline")(shop)
    shop.walk(OUT, ("交易失败 01", "CANCEL"), ("6 管理", None))
    assert "Refer" not in shop.pages and (shop.record()["kind"], shop.record()["phase"]) == (kind, "declined")
    assert (
        shop.terminal.ledger.owed == 0 and kinds(shop) == ({"sale": [1, 1000]} if kind == "void" else {}) and differ(shop) == []
    )


# -- undecided, and answered


@pytest.mark.parametrize("code", ["09", "68", "98"])
def test_a_refund_of_which_the_acquirer_does_not_know_yet_is_asked_about_again_and_booked_once(code):
    shop = opened()
    shop.sell(10000)
    sale = shop.record()
    codes = [code]
    answers(shop, lambda kind, outcome: outcome._replace(code=codes.pop()) if kind == "refund" and codes else outcome)
    refund(shop, sale["reference"])
    shop.walk(("结果未知 是否退款未知 请勿重做", "ENTER"))
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=1_800_000)
    assert shop.record()["phase"] == "approved" and shop.terminal.ledger.refunded(sale["reference"]) == (0, 10000)
    assert (
        [row[2] for row in shop.bank.standing_all(TERMINAL)] == ["sale", "refund"]
        and card_money(shop) == 0
        and differ(shop) == []
    )


def test_a_notice_of_which_the_acquirer_does_not_know_yet_is_owed_and_told_again():
    shop = opened()
    shop.sell(10000)
    codes = ["98"]
    answers(shop, lambda kind, outcome: outcome._replace(code=codes.pop()) if kind == "tip" and codes else outcome)
    tip(shop, shop.record()["trace"])
    shop.settle()
    assert codes == [] and "refused" not in shop.record() and kinds(shop) == {"tip": [1, 10500]} and differ(shop) == []


@pytest.mark.parametrize("refused", [False, True], ids=["taken", "refused"])
def test_the_message_that_is_kept_for_repeating_goes_with_its_answer_and_the_track_with_it(refused):
    shop = opened(**{"stripe.pin": False})
    shop.walk(("6 管理", "1"), ("请输入金额", "5000 ENTER"), ("请挥卡", lambda shop: shop.swipe("stripe")))
    home(shop)
    reference = shop.record()["reference"]
    shop.rules.add("next 6 on refund ignore")
    to_be_swiped = ("卡", lambda shop: shop.swipe("stripe"))
    shop.walk(("6 管理", "7"), ("请输入6位密码", "123456 ENTER"), ("原参考号", reference + " ENTER"), ("确认退货", "ENTER"))
    shop.walk(("请输入金额", "ENTER"), to_be_swiped, ("结果未知", "ENTER"))
    assert shop.record()["phase"] == "repeating" and "message" in shop.record()
    shop.rules.clear()
    if refused:
        shop.rules.add("always on refund decline 57")
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=1_800_000)
    record = shop.record()
    assert record["phase"] == ("declined" if refused else "approved") and not {"message", "track_key"} & set(record)
    assert differ(shop) == []


def test_a_new_refund_that_the_bank_calls_a_duplicate_has_given_nothing_back():
    shop = opened()
    shop.sell(10000)
    shop.sell(10000)
    second, first = shop.terminal.ledger.newest(2)
    image = shop.store.image()
    refund(shop, first["reference"])
    home(shop)
    trace = int(shop.record()["trace"])
    shop.plug()
    shop.store.restore(image)
    shop.power_on()
    shop.log_in()
    shop.run(3000)
    shop.terminal.ledger.note(trace=trace - 1)
    refund(shop, second["reference"])
    shop.walk(("94 未退款", "ENTER"), ("6 管理", None))
    assert (shop.record()["phase"], shop.record()["trace"]) == ("declined", "%06d" % trace) and card_money(shop) == 10000
    refund(shop, second["reference"])
    home(shop)
    assert card_money(shop) == 0, "the next trace number is further on"


def test_a_repetition_that_the_bank_calls_a_duplicate_is_booked():
    shop = opened()
    shop.sell(10000)
    codes = ["98", "94"]
    answers(shop, lambda kind, outcome: outcome._replace(code=codes.pop(0)) if kind == "refund" and codes else outcome)
    refund(shop, shop.record()["reference"])
    shop.walk(("结果未知", "ENTER"))
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=1_800_000)
    assert codes == [] and shop.record()["phase"] == "approved" and card_money(shop) == 0 and differ(shop) == []


def test_after_a_cut_a_refund_is_said_to_be_sent_again_and_a_sale_to_be_undone():
    shop = opened()
    shop.sell(10000)
    shop.rules.add("always on refund silence")
    refund(shop, shop.record()["reference"], "3000")
    shop.run(1000)
    shop.plug()
    shop.power_on()
    shop.walk(("上笔交易 退货 30.00 结果未知 正在自动重发", "ENTER"))
    shop.rules.clear()
    shop.log_in()
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=1_800_000)
    shop.rules.add("always on sale,reversal silence")
    shop.walk(("6 管理", "1"), ("请输入金额", "500 ENTER"), ("请挥卡", tap("debit", 300)))
    shop.until(lambda: shop.record()["phase"] == "sent")
    shop.plug()
    shop.power_on()
    shop.walk(("上笔交易 消费 5.00 结果未知 正在自动冲正", "ENTER"))
    shop.rules.clear()
    shop.log_in()
    shop.settle()
    assert differ(shop) == []


# -- whose card it is


def organisation(shop, name, kinds=()):
    """The bank says in every answer whose card it is."""

    def change(request, outcome, fields=shop.acquirer._replies.fields):
        reply = fields(request, outcome)
        if 63 in reply and (not kinds or request.kind in kinds):
            reply[63] = name + reply[63][3:]
        return reply

    shop.acquirer._replies.fields = change


def counted(shop):
    """{scheme: {kind: [count, fen]}} without what came to nothing."""
    totals = shop.terminal.ledger.totals_by_scheme()
    found = {scheme: {kind: row for kind, row in kinds.items() if row[0]} for scheme, kinds in totals.items()}
    return {scheme: kinds for scheme, kinds in found.items() if kinds}


def test_a_tip_counts_among_the_cards_that_the_bank_counted_its_sale_among():
    shop = opened()
    organisation(shop, b"CUP")
    shop.sell(10000, "visa")
    tip(shop, shop.record()["trace"], 1000)
    assert shop.record()["scheme"] == "CUP" and counted(shop) == {"CUP": {"tip": [1, 11000]}}
    shop.settle()
    assert counted(shop) == {"CUP": {"tip": [1, 11000]}} and differ(shop) == []


@pytest.mark.parametrize("end", ["taken", "refused"])
def test_what_the_bank_says_of_a_card_only_with_a_notice_moves_it_among_the_totals(end):
    shop = opened()
    shop.sell(10000, "visa")
    organisation(shop, b"CUP")
    tip(shop, shop.record()["trace"], 1000)
    if end == "refused":
        shop.rules.add("always on tip decline 57")
    shop.settle()
    assert counted(shop) == ({"CUP": {"tip": [1, 11000]}} if end == "taken" else {"VIS": {"sale": [1, 10000]}})
    assert json.loads(shop.store.get("totals", "000001")) == shop.terminal.ledger.totals_by_scheme() and differ(shop) == []


def test_a_line_of_the_upload_shows_nobody_a_card_number():
    assert repr([Item("00", "000001", "6212345678901234", 100)]) == "[Item(000001)]"
