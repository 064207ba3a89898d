"""What one transaction does to another: marks, totals, what is left, what may follow. The bank's books are the judge."""

import pytest

from emulator.world import MERCHANT, TERMINAL
from firmware.ledger import Ledger
from firmware.transactions import REFUND, TIP, VOID
from tests.books import disagreements, openings
from tests.flows.counter import tap
from tests.flows.scenarios import Shop
from tests.flows.test_transactions import EVERYTHING, held, home, offline_sale, on_code, pin, refund, supervised, typed_card

CLOSE = (("主管结账", "DOWN"), ("请输入6位密码", "123456 ENTER"), ("1", "1 ENTER"))
MINUTE_MS = 60_000


def opened(**parameters):
    shop = Shop({**EVERYTHING, **parameters})
    shop.before = openings(shop.bank)
    shop.log_in()
    shop.run(3_000)
    return shop


@pytest.fixture
def shop():
    return opened()


def differ(shop):
    return disagreements(shop.terminal.ledger, shop.store, shop.bank, TERMINAL, MERCHANT, shop.before)


def kinds(shop):
    """{kind: [count, fen]} of the batch, without those that came to nothing."""
    return {kind: row for kind, row in shop.terminal.ledger.totals().items() if row[0]}


def tip(shop, trace, fen=500):
    shop.walk(("6 管理", "9"), ("小费", "3"), ("原凭证号", trace + " ENTER"), ("确认加小费", "ENTER"), ("请输入小费", "%d ENTER" % fen))
    home(shop)


def adjust(shop, trace, fen):
    shop.walk(("6 管理", "9"), ("结算调整", "2"))
    supervised(shop, ("原凭证号", trace + " ENTER"), ("确认调整", "ENTER"), ("请输入金额", "%d ENTER" % fen))
    home(shop)


def to_void(shop, trace):
    shop.walk(("6 管理", "2"))
    supervised(shop, ("原凭证号", trace + " ENTER"))


def void(shop, trace):
    to_void(shop, trace)
    shop.walk(("确认撤销", "ENTER"), ("卡", tap("debit")))
    home(shop)


def refused(shop, *words):
    """The original is not had, and nothing was sent."""
    shop.walk((" ".join(words), "CANCEL"), ("已取消", "ENTER"), ("6 管理", None))


def to_refund(shop, reference):
    shop.walk(("6 管理", "7"))
    supervised(shop, ("原参考号", reference + " ENTER"))


def close_batch(shop):
    """A supervisor ends the batch without the host."""
    shop.walk(("6 管理", "6"), ("签到", "9"), ("净额", "ENTER"), *CLOSE)
    shop.until(lambda: shop.state == "SettleDone")
    shop.type("ENTER")
    shop.until(lambda: shop.state == "AskPrint")
    while shop.state == "AskPrint":
        shop.type("CANCEL")
        shop.run(100)
    shop.walk(("6 管理", None))


# -- tips and adjustments


def test_a_tipped_sale_is_refunded_by_its_own_number_up_to_the_total_with_the_tip(shop):
    shop.sell(10000)
    sale = shop.record()
    tip(shop, sale["trace"], 1000)
    to_refund(shop, sale["reference"])
    shop.walk(("确认退货 110.00", "ENTER"), ("请输入金额 110.00", "11001"), ("最多110.00", "CLEAR 4000 ENTER"), ("卡", tap("debit")))
    home(shop)
    refund(shop, sale["reference"])
    home(shop)
    assert shop.record()["fen"] == 7000 and kinds(shop) == {"tip": [1, 11000], "refund": [2, 11000]} and differ(shop) == []
    to_refund(shop, sale["reference"])
    refused(shop, "已全部退完")


def test_a_tip_names_its_sale_by_its_own_reference_too(shop):
    shop.sell(10000)
    sale = shop.record()
    tip(shop, sale["trace"])
    shop.settle()
    own = shop.record()["reference"]
    assert own and own != sale["reference"]
    refund(shop, own)
    home(shop)
    assert shop.record()["of_reference"] == sale["reference"] and shop.record()["fen"] == 10500 and differ(shop) == []


def test_a_tip_is_brought_to_the_bank_before_its_sale_is_refunded(shop):
    shop.sell(10000)
    sale = shop.record()
    shop.link.down = "unreachable"
    tip(shop, sale["trace"])
    to_refund(shop, sale["reference"])
    shop.walk(("确认退货", "ENTER"), ("请输入金额", "ENTER"), ("卡", tap("debit")), ("原交易还没上送 未退款", "ENTER"), ("6 管理", None))
    shop.link.down = None
    refund(shop, sale["reference"])
    home(shop)
    assert shop.record()["fen"] == 10500 and differ(shop) == []


def test_a_sale_that_has_a_tip_is_not_voided_and_gets_no_second_one(shop):
    shop.sell(10000)
    trace = shop.record()["trace"]
    tip(shop, trace)
    to_void(shop, trace)
    refused(shop, "已调整")
    shop.walk(("6 管理", "9"), ("小费", "3"), ("原凭证号", trace + " ENTER"))
    refused(shop, "已调整")
    shop.settle()
    assert differ(shop) == []


def test_a_tip_that_the_bank_refuses_leaves_the_sale_as_it_was(shop):
    shop.sell(10000)
    trace = shop.record()["trace"]
    shop.rules.add("next on tip decline 13")
    tip(shop, trace)
    shop.settle()
    assert kinds(shop) == {"sale": [1, 10000]}
    void(shop, trace)
    assert kinds(shop) == {"sale": [1, 10000], "void": [1, 10000]} and differ(shop) == []


def test_a_refunded_sale_gets_no_tip_and_is_not_voided(shop):
    shop.sell(10000)
    sale = shop.record()
    refund(shop, sale["reference"], "100")
    home(shop)
    to_void(shop, sale["trace"])
    refused(shop, "已退货")
    shop.walk(("6 管理", "9"), ("小费", "3"), ("原凭证号", sale["trace"] + " ENTER"))
    refused(shop, "已退货")
    assert differ(shop) == []


def test_an_adjustment_may_be_adjusted_again_by_its_own_number(shop):
    offline_sale(shop, "8000")
    first = shop.record()["trace"]
    adjust(shop, first, 9000)
    second = shop.record()["trace"]
    adjust(shop, second, 8500)
    shop.settle()
    assert kinds(shop) == {"adjust": [1, 8500]} and shop.bank.takings(MERCHANT) == 8500 and differ(shop) == []
    shop.walk(("6 管理", "9"), ("结算调整", "2"))
    supervised(shop, ("原凭证号", first + " ENTER"))
    refused(shop, "已调整")


def test_adjustments_wait_for_the_sale_that_they_change(shop):
    """The bank wants the sale later: what changes it would be refused for good."""
    shop.link.down = "unreachable"
    offline_sale(shop, "8000")
    adjust(shop, shop.record()["trace"], 9000)
    offline_sale(shop, "100")
    shop.rules.add("next on offline-sale decline 96")
    shop.link.down = None
    shop.until(lambda: len(shop.terminal.ledger.notices()) == 2, within_ms=10 * MINUTE_MS)
    assert [record["kind"] for _, record in shop.terminal.ledger.notices()] == ["offline-sale", "adjust"], "the third was told"
    shop.settle()
    assert kinds(shop) == {"adjust": [1, 9000], "offline-sale": [1, 100]} and differ(shop) == []


@pytest.mark.parametrize("fault", ["wrong-mac", "wrong-amount", "decline 96"])
def test_one_notice_that_the_bank_cannot_take_now_does_not_hold_up_the_others(shop, fault):
    shop.link.down = "unreachable"
    offline_sale(shop, "8000")
    offline_sale(shop, "100")
    shop.rules.add("amount 80.00 on offline-sale " + fault)
    shop.link.down = None
    shop.until(lambda: len(shop.terminal.ledger.notices()) == 1, within_ms=10 * MINUTE_MS)
    assert shop.terminal.ledger.notices()[0][1]["fen"] == 8000
    shop.rules.clear()
    shop.settle()
    assert differ(shop) == []


def test_an_offline_sale_that_is_refused_takes_its_adjustment_with_it(shop):
    shop.link.down = "unreachable"
    offline_sale(shop, "8000")
    adjust(shop, shop.record()["trace"], 9000)
    shop.rules.add("next on offline-sale decline 14")
    shop.link.down = None
    shop.settle()
    assert [record.get("refused") for record in shop.terminal.ledger.newest(2)] == ["25", "14"]
    assert kinds(shop) == {} and differ(shop) == []


def test_an_offline_sale_is_refunded_by_the_number_that_the_bank_gave_it(shop):
    offline_sale(shop, "8000")
    shop.settle()
    refund(shop, shop.record()["reference"], "3000")
    home(shop)
    assert shop.record()["original"] and differ(shop) == []
    refund(shop, shop.record()["of_reference"])
    home(shop)
    assert shop.record()["fen"] == 5000 and differ(shop) == []


# -- batches that are over


def late_refusal(shop):
    """An offline sale that is refused when its batch is over."""
    shop.sell(700)
    shop.link.down = "unreachable"
    offline_sale(shop, "8000")
    shop.rules.add("next on offline-sale decline 14")
    close_batch(shop)
    shop.link.down = None


def test_a_notice_that_is_refused_late_leaves_the_totals_of_its_own_batch(shop):
    late_refusal(shop)
    ledger = shop.terminal.ledger
    with shop.bank.writing():
        shop.bank.next_batch(TERMINAL)
    shop.until(lambda: not ledger.notices(), within_ms=20 * MINUTE_MS)
    assert ledger.totals("000001") == {"sale": [1, 700], "offline-sale": [0, 0]} and kinds(shop) == {}


def test_a_batch_number_that_begins_anew_has_nothing_of_the_old_ones_late_answers(shop):
    """The host never heard of the close: its sign-on names the old number again."""
    late_refusal(shop)
    ledger = shop.terminal.ledger
    shop.until(lambda: not ledger.notices(), within_ms=20 * MINUTE_MS)
    assert ledger.batch == "000001" and kinds(shop) == {} and Ledger(shop.store).totals() == ledger.totals()
    shop.sell(300)
    assert kinds(shop) == {"sale": [1, 300]} and differ(shop) == []


def test_a_refund_that_is_answered_when_its_batch_number_began_anew_is_not_in_the_new_totals(shop):
    shop.sell(10000)
    shop.rules.add("always on refund silence")
    refund(shop, shop.record()["reference"], "3000")
    shop.walk(("结果未知", "ENTER"), ("6 管理", None))
    shop.link.down = "unreachable"
    close_batch(shop)
    shop.link.down = None
    shop.rules.clear()
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=20 * MINUTE_MS)
    assert shop.terminal.ledger.batch == "000001" and kinds(shop) == {} and differ(shop) == []


def test_trace_numbers_that_begin_anew_inside_a_batch_are_found_voided_and_settled(shop):
    shop.terminal.ledger.note(trace=999_997)
    for fen in (100, 200, 300):
        shop.sell(fen)
    assert [record["trace"] for record in shop.terminal.ledger.newest(3)] == ["000001", "999999", "999998"]
    void(shop, "000001")
    assert shop.record()["fen"] == 300 and len(list(shop.terminal.ledger.batch_records())) == 4
    shop.walk(("6 管理", "6"), ("签到", "9"), ("净额 3.00", "ENTER"), ("对账平", None))
    assert shop.terminal.ledger.batch == "000002" and differ(shop) == []


# -- pre-authorisations


@pytest.mark.parametrize("fault, phase", [("decline 51", "declined"), ("silence", "reversed"), ("cut-before", "reversed")])
def test_an_additional_hold_that_does_not_stand_raises_nothing(shop, fault, phase):
    code = held(shop)
    first = shop.record()
    shop.rules.add("next on preauth-add " + fault)
    on_code(shop, "6", code, ("确认追加", "ENTER"), ("请输入金额", "5000 ENTER"), ("卡", tap("debit")))
    shop.walk(("未", "ENTER"), ("6 管理", None))
    assert shop.record()["phase"] == phase and not shop.terminal.ledger.get(first["id"]).get("added_fen")
    on_code(shop, "2", code, ("确认完成", "ENTER"), ("请输入金额 100.00", "11501"), ("最多115.00", "CANCEL"), ("已取消", "ENTER"))
    assert differ(shop) == []


def test_a_hold_waits_for_what_may_have_been_added_to_it():
    """Though the supervisor lets a transaction pass: the bank could not undo the addition behind a completion."""
    shop = opened(**{"sale.unresolved": "supervisor"})
    code = held(shop)
    shop.rules.add("next on preauth-add silence")
    shop.rules.add("always on reversal ignore")
    on_code(shop, "6", code, ("确认追加", "ENTER"), ("请输入金额", "5000 ENTER"), ("卡", tap("debit")))
    shop.walk(("是否冻结未知", "ENTER"), ("6 管理", "8"), ("1 预授权", "2"), ("有未冲正", "DOWN"), ("请输入6位密码", "123456 ENTER"))
    shop.walk(("原授权码", code + " ENTER"))
    refused(shop, "追加结果未知")
    shop.rules.clear()
    shop.until(lambda: not shop.terminal.ledger.to_reverse(), within_ms=20 * MINUTE_MS)
    complete(shop, code)
    assert shop.record()["fen"] == 10000 and differ(shop) == []


def test_what_was_added_is_freed_and_completed_with_the_rest(shop):
    code = held(shop)
    on_code(shop, "6", code, ("确认追加", "ENTER"), ("请输入金额", "5000 ENTER"), ("卡", tap("debit")))
    home(shop)
    on_code(shop, "4", code, ("确认撤销预授权", "ENTER"), ("卡", tap("debit")))
    pin(shop)
    home(shop)
    assert shop.record()["fen"] == 15000 and shop.bank.held(shop.shelf.card("debit").pan) == 0 and differ(shop) == []


def complete(shop, code, digit="2"):
    on_code(shop, digit, code, ("确认完成", "ENTER"), ("请输入金额", "ENTER"), ("卡", tap("debit")))
    if digit == "2":
        pin(shop)
    home(shop)
    return shop.record()


def void_completion(shop, trace):
    shop.walk(("6 管理", "8"), ("1 预授权", "5"))
    supervised(shop, ("原凭证号", trace + " ENTER"), ("确认撤销完成", "ENTER"), ("卡", tap("debit")))
    pin(shop)


def test_each_completion_is_voided_once_and_the_hold_may_be_taken_again_after_each(shop):
    code = held(shop)
    for _ in range(2):
        trace = complete(shop, code)["trace"]
        void_completion(shop, trace)
        home(shop)
        shop.walk(("6 管理", "8"), ("1 预授权", "5"))
        supervised(shop, ("原凭证号", trace + " ENTER"))
        refused(shop, "已撤销")
    assert kinds(shop) == {"preauth": [1, 10000], "complete": [2, 20000], "complete-void": [2, 20000]}
    assert shop.bank.held(shop.shelf.card("debit").pan) == 10000 and differ(shop) == []


@pytest.mark.parametrize("fault, words", [("decline 05", "05"), ("silence", "已冲正")])
def test_a_completion_whose_void_does_not_stand_still_has_its_hold(shop, fault, words):
    code = held(shop)
    trace = complete(shop, code)["trace"]
    shop.rules.add("next on complete-void " + fault)
    void_completion(shop, trace)
    shop.walk((words, "ENTER"), ("6 管理", None))
    on_code(shop, "2", code)
    refused(shop, "已完成")
    void_completion(shop, trace)
    home(shop)
    assert differ(shop) == []


def test_an_unanswered_completion_notice_keeps_others_from_the_hold_until_it_is_answered(shop):
    code = held(shop)
    shop.rules.add("always on complete-notice ignore")
    on_code(shop, "3", code, ("确认完成", "ENTER"), ("请输入金额", "ENTER"), ("卡", tap("debit")))
    shop.walk(("结果未知", "ENTER"), ("6 管理", None))
    for digit in "24":
        on_code(shop, digit, code)
        refused(shop, "已完成")
    shop.rules.clear()
    shop.rules.add("next on complete-notice decline 61")
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=20 * MINUTE_MS)
    complete(shop, code)
    assert differ(shop) == []


def test_a_completion_is_refunded_like_a_sale_and_then_not_voided(shop):
    record = complete(shop, held(shop))
    refund(shop, record["reference"], "4000")
    home(shop)
    shop.walk(("6 管理", "8"), ("1 预授权", "5"))
    supervised(shop, ("原凭证号", record["trace"] + " ENTER"))
    refused(shop, "已退货")
    assert differ(shop) == []


# -- refunds


def unknown_here(shop, reference):
    """The sale was made at another terminal, as far as this one knows."""
    shop.store.commit([("references", reference, None, None)])


def test_refunds_of_one_reference_wait_for_each_other_whatever_day_is_typed(shop):
    shop.sell(10000)
    reference = shop.record()["reference"]
    unknown_here(shop, reference)
    shop.rules.add("always on refund silence")
    refund(shop, reference, "3000", date="1120")
    shop.walk(("结果未知", "ENTER"), ("6 管理", None))
    to_refund(shop, reference)
    refused(shop, "上笔退货结果未知")
    shop.rules.clear()
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=20 * MINUTE_MS)
    refund(shop, reference, "3000", date="1119")
    shop.walk(("25 未退款", "ENTER"), ("6 管理", None))
    refund(shop, reference, "7001", date="1120")
    shop.walk(("64 未退款", "ENTER"), ("6 管理", None))
    refund(shop, reference, "7000", date="1120")
    home(shop)
    assert shop.terminal.ledger.refunded(reference) == (0, 10000) and differ(shop) == []


@pytest.mark.parametrize("at", [False, True], ids=["before the commit", "after it"])
def test_a_cut_at_any_commit_of_a_refund_leaves_the_mark_that_fits_its_end(at):
    for number in range(1, 6):
        shop = opened(**{"reversal.again_s": 5})
        shop.sell(10000)
        reference = shop.record()["reference"]
        shop.store.fuse(number, at)
        try:
            refund(shop, reference, "3000")
            home(shop)
        except AssertionError:
            assert shop.cut
        if shop.machine is None:
            shop.store.fuse(0)
            shop.take()
            shop.power_on()
            shop.run(20 * MINUTE_MS)
        shop.store.fuse(0)
        given = 3000 if shop.record()["kind"] == "refund" else 0
        assert shop.terminal.ledger.refunded(reference) == (0, given), number
        assert differ(shop) == [], number


def test_a_voided_sale_is_not_refunded(shop):
    shop.sell(10000)
    sale = shop.record()
    void(shop, sale["trace"])
    to_refund(shop, sale["reference"])
    refused(shop, "已撤销")
    assert shop.terminal.ledger.problem(shop.terminal.ledger.by_reference(sale["reference"]), REFUND) == "void.already"


def test_a_sale_of_a_host_that_gives_no_reference_is_still_refunded_no_more_than_once(shop):
    """The mark goes by batch and trace then."""
    ledger = shop.terminal.ledger
    for fen in (10000, 500):
        shop.sell(fen)
        shop.store.commit([ledger._row(dict(shop.record(), reference=""))])
    other, record = ledger.newest(2)
    shop.walk(("6 管理", "7"))
    supervised(shop, ("原参考号", "ENTER"), ("2", "2"), ("确认退货 100.00", "ENTER"), ("请输入金额", "3000 ENTER"), ("卡", tap("debit")))
    home(shop)
    assert not ledger.problem(other, VOID) and ledger.problem(ledger.get(record["id"]), VOID) == "void.refunded"
    assert shop.bank.balanced() and kinds(shop)["refund"] == [1, 3000]


# -- what else undoes


def test_an_instalment_is_voided_under_its_own_condition(shop):
    shop.walk(("6 管理", "9"), ("分期", "5"), ("请输入金额", "60000 ENTER"), ("请选分期期数", "2"), ("卡", tap("debit")))
    home(shop)
    void(shop, shop.record()["trace"])
    assert shop.record()["condition"] == "64" and kinds(shop) == {"instalment": [1, 60000], "void": [1, 60000]} and differ(shop) == []
    assert shop.terminal.ledger.problem(shop.terminal.ledger.newest(2)[1], TIP)


def partly(fen=500):
    shop = opened(**{"sale.partial": True})
    shop.rules.add("next on sale partial %d.%02d" % divmod(fen, 100))
    shop.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("请撕下 5.00", "ENTER"), ("部分批准", "CANCEL"), ("6 管理", None))
    return shop


def test_what_was_approved_in_part_is_voided_for_what_was_approved():
    shop = partly()
    void(shop, shop.record()["trace"])
    assert shop.record()["fen"] == 500 and kinds(shop) == {"sale": [1, 500], "void": [1, 500]} and differ(shop) == []


def test_what_was_approved_in_part_is_refunded_up_to_what_was_approved():
    shop = partly()
    to_refund(shop, shop.record()["reference"])
    shop.walk(("确认退货 5.00", "ENTER"), ("请输入金额 5.00", "501"), ("最多5.00", "CLEAR 500 ENTER"), ("卡", tap("debit")))
    home(shop)
    assert differ(shop) == []


def test_the_totals_go_by_card_organisation_and_the_settlement_counts_each_half(shop):
    shop.sell(1000)
    shop.sell(5000, "visa")
    visa = shop.record()
    refund(shop, visa["reference"], "2000", card="visa")
    home(shop)
    shop.walk(("6 管理", "9"), ("订购", "4"), ("请输入金额", "2500 ENTER"))
    typed_card(shop)
    shop.walk(("请核对金额", "ENTER"))
    home(shop)
    to_void(shop, shop.record()["trace"])
    shop.walk(("确认撤销", "ENTER"))  # nobody brings the card of a mail order
    home(shop)
    totals = shop.terminal.ledger.totals_by_scheme()
    assert totals == {"CUP": {"sale": [1, 1000], "moto": [1, 2500], "void": [1, 2500]}, "VIS": {"sale": [1, 5000], "refund": [1, 2000]}}
    shop.walk(("6 管理", "6"), ("签到", "9"), ("净额 40.00", "ENTER"), ("对账平", None))
    ((unionpay, others),) = [settled.claimed for settled in shop.acquirer.providers["Settlement"].settled(TERMINAL)]
    assert (unionpay.debit_fen, unionpay.debits, unionpay.credit_fen, unionpay.credits) == (3500, 2, 2500, 1)
    assert (others.debit_fen, others.debits, others.credit_fen, others.credits) == (5000, 1, 2000, 1)
    assert differ(shop) == []
