"""At the desk: lists, totals, reprints, locks; and what never answers is not waited for without end."""

from firmware import events
from firmware.draft import Draft
from firmware.events import Event
from firmware.money import masked, yuan
from firmware.transactions import SALE
from tests.flows.counter import Counter, tap
from tests.flows.test_unknown import unresolved
from tests.flows.test_void import void


def test_a_voided_sale_is_marked_in_the_list_and_adds_nothing_to_the_totals(counter):
    counter.sell(1234)
    counter.sell(500)
    void(counter, "000002")
    counter.walk(("6 管理", "4"), ("交易明细", "1"), ("-12.34 5.00 12.34撤", "CANCEL"), ("6 管理", "4"), ("按凭证号", "3"))
    counter.until(lambda: counter.state == "Totals")
    assert counter.screen.big == yuan(500) and counter.terminal.ledger.totals() == {"sale": [2, 1734], "void": [1, 1234]}


def test_a_decline_is_said_by_the_lamps_too(counter):
    counter.rules.add("next on sale decline 51")
    counter.walk(("6 管理", "1"), ("请输入金额", "800 ENTER"), ("请挥卡", tap("debit")), ("51", None))
    assert counter.ports["light"].name == "error"


def test_the_list_goes_on_and_back(counter):
    for fen in range(101, 107):
        counter.sell(fen)
    counter.walk(("6 管理", "4"), ("交易明细", "1"), ("1.06 1.03", "DOWN"), ("1.02 1.01", "BACK"), ("1.06 1.03", None))
    assert "1.02" not in counter.text


def test_the_last_slip_is_that_of_the_last_sale_that_was_approved(counter):
    counter.sell(700)
    counter.rules.add("next on sale decline 51")
    counter.walk(("6 管理", "1"), ("请输入金额", "800 ENTER"), ("请挥卡", tap("debit")), ("51", "ENTER"))
    before = len(counter.paper)
    counter.walk(("6 管理", "5"), ("重打最后一笔", "1"), ("请撕下", None))
    assert "RMB 7.00" in counter.paper[before:] and "8.00" not in counter.paper


def test_a_page_that_was_opened_before_a_reversal_ended_prints_no_report_of_it(counter):
    unresolved(counter)
    counter.walk(("未知", "CANCEL"), ("6 管理", "4"), ("交易明细", "1"), ("12.34", "1"), ("待冲正", None))
    counter.rules.clear()
    for _ in range(30):
        counter.type("DOWN DOWN")  # somebody looks at both halves of it, or the page would end
        counter.run(5_000)
    assert counter.state == "TransactionPage" and not counter.terminal.ledger.to_reverse()
    before = counter.paper
    counter.type("ENTER")
    assert counter.state == "TransactionPage" and "待冲正" not in counter.text and counter.paper == before


def test_five_wrong_passwords_at_a_locked_device_lock_its_operator(counter):
    counter.walk(("6 管理", "6"), ("锁定终端", "3"))
    for _ in range(5):
        counter.walk(("终端已锁定", "ENTER"), ("请输入4位密码", "1111 ENTER"))
    counter.walk(("操作员已锁定 操作员 01", "ENTER"), ("操作员号", "01 ENTER"), ("操作员已锁定", None))


def test_five_wrong_old_passwords_log_the_operator_out(counter):
    for _ in range(4):
        counter.walk(("6 管理", "6"), ("修改密码", "4"), ("请输入4位密码", "1111 ENTER"), ("密码错误", "ENTER"))
    counter.walk(
        ("6 管理", "6"), ("修改密码", "4"), ("请输入4位密码", "1111 ENTER"), ("操作员已锁定", "ENTER"), ("操作员号", None)
    )


def test_the_operators_from_the_factory_cannot_be_removed():
    counter = Counter()
    counter.log_in("00", "123456")
    for number in ("01", "00", "99"):
        counter.walk(("柜员管理", "1"), ("删除柜员", "2"), ("请输入柜员号", number + " ENTER"))
        assert counter.state == "RemoveOperator" and "请输入柜员号" not in counter.text
        counter.type("CANCEL")
    assert counter.terminal.operators.numbers() == ["00", "01", "99"]


def test_the_language_is_kept_over_a_restart():
    counter = Counter()
    counter.log_in("99", "12345678")
    counter.walk(("解锁主管00", "3"))
    counter.plug()
    counter.power_on()
    counter.until(lambda: counter.state == "Login")
    assert counter.terminal.texts.language == "en" and counter.terminal.texts("login.title") in counter.text


def test_the_confirmation_shows_no_whole_card_number():
    counter = Counter(parameters={"sale.confirm_after_tap": True})
    counter.log_in()
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")))
    counter.until(lambda: counter.state == "ConfirmAmount")
    pan = counter.shelf.card("debit").pan
    assert masked(pan) in counter.text and pan not in counter.text
    draft = Draft(SALE)
    draft.pan = pan
    assert pan not in repr(draft)


def test_a_reader_that_swallows_a_command_is_not_waited_for_without_end(counter):
    counter.reader.transmit = lambda ticket, apdu: None
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", lambda at: at.place("debit")))
    counter.until("请取走卡片", within_ms=15_000)
    assert counter.record() is None


def test_a_printer_that_never_answers_is_given_up_and_the_sale_stands(counter):
    counter.printer.print = lambda ticket, job: None
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")))
    counter.until(lambda: counter.state == "PrinterTrouble")
    assert counter.record()["phase"] == "approved" and counter.books_agree()


def test_a_store_that_refuses_the_trace_number_sends_no_sign_on(counter):
    counter.run(3_000)
    counter.store.full = True
    counter.messages.clear()
    counter.walk(("6 管理", "6"), ("签到", "1"), ("存储已满", None))
    assert counter.messages == []


def test_a_note_of_a_defect_holds_no_value():
    counter = Counter(strict=False)
    counter.log_in()
    pan = counter.shelf.card("debit").pan

    def broken(part, state):
        raise ValueError(pan)

    counter.machine.state.on_part = broken
    counter.machine.handle(Event(events.PART, 0, ("printer", "gone")))
    assert counter.state == "Fault" and pan not in counter.text
    logged = "\n".join(text for _, text in counter.log.lines)
    assert "ValueError in Menu" in logged and pan not in logged


def test_dates_and_copies_in_the_ledger_never_go_back(counter):
    counter.sell(100)
    ledger = counter.terminal.ledger
    at, record = ledger.counters["at_s"], counter.record()
    ledger.printed(record, 0)
    assert counter.record()["printed"] == 2
    ledger.sent({"kind": "sale", "trace": "%06d" % ledger.next_trace(), "fen": 1, "original": 0}, at - 1_000)
    assert ledger.counters["at_s"] == at


def test_a_sale_takes_the_hosts_turn_from_a_round_in_the_background():
    counter = Counter(parameters={"sale.unresolved": "supervisor"})
    counter.log_in()
    unresolved(counter)
    counter.walk(("未知", "ENTER"), ("6 管理", None))
    counter.until(lambda: counter.terminal._going_on(counter.terminal._resolver))
    counter.walk(
        ("管理", "1"),
        ("有未冲正", "DOWN"),
        ("主管放行", "123456 ENTER"),
        ("请输入金额", "200 ENTER"),
        ("请挥卡", tap("debit", 600)),
    )
    counter.until(lambda: counter.state == "Authorise")
    began = counter.time_ms
    counter.until(lambda: counter.state != "Authorise")
    assert counter.time_ms - began < counter.terminal.parameter("host.reply_ms") + 3_000
