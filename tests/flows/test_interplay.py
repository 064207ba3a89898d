"""What goes on behind the pages meets what goes on before them; a global event comes in the middle of something."""

import pytest

from emulator.acquirer.core import Outcome
from firmware import slip
from firmware.events import CLOCK_JUMP, LOW_POWER, TAMPER, Event
from firmware.host import messages, session
from firmware.machine import State
from tests.flows.counter import Counter, tap
from tests.flows.test_void import to_original, void

TWO_YEARS_MS = 2 * 365 * 86_400_000


def start(counter, fen=1234):
    counter.walk(("6 管理", "1"), ("请输入金额", "%d ENTER" % fen), ("请挥卡", tap("debit")))


def power(counter, percent):
    counter.machine.handle(Event(LOW_POWER, 0, percent))
    counter.run(100)


def sign_on(counter):
    counter.walk(("6 管理", "6"), ("签到", "1"), ("成功", "ENTER"), ("6 管理", None))


# -- the resolver behind the pages


def test_a_slip_that_is_printed_while_its_void_is_reversed_leaves_the_sale_free(counter):
    counter.sell(1234)
    trace = counter.record()["trace"]
    counter.rules.add("next on void silence")
    counter.rules.add("always on reversal ignore")
    to_original(counter, trace)
    counter.walk(("确认撤销", "ENTER"), ("请挥卡", tap("debit")), ("交易结果未知", "CANCEL"), ("6 管理", "4"), ("按凭证号", "2"))
    counter.walk(("请输入凭证号", trace + " ENTER"), ("已撤销", None))
    counter.printer.paper_out = True
    counter.walk(("已撤销", "ENTER"), ("打印机缺纸", None))
    counter.rules.clear()
    counter.until(lambda: not counter.terminal.ledger.to_reverse())
    counter.printer.paper_out = False
    counter.walk(("打印机缺纸", "ENTER"), ("请撕下", "ENTER"), ("6 管理", None))
    assert counter.books_agree()
    void(counter, trace)
    assert counter.books_agree()


def test_a_balance_is_told_though_a_reversal_is_open(counter):
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    start(counter)
    counter.walk(("交易结果未知", "CANCEL"), ("6 管理", "3"), ("请挥卡", tap("debit")))
    counter.walk(("密码", counter.shelf.card("debit").pin + " ENTER"), ("余额查询 .", None))
    assert counter.terminal.ledger.to_reverse()


def test_the_line_is_free_while_a_pin_is_typed(counter):
    counter.run(3_000)
    counter.terminal.signed_off()
    counter.walk(("6 管理", "3"), ("请挥卡", tap("debit")), ("密码: 取消", None))
    ends = []
    counter.terminal.tasks.start(session.plain(counter.terminal, messages.echo), ends.append)
    counter.run(10_000)
    assert ends == [""] and counter.state == "EnterPin"


def test_a_host_that_cannot_be_reached_does_not_make_a_sale_wait_for_one_sign_on_after_the_other():
    counter = Counter()
    counter.power_on()
    counter.link.down = "timeout"
    counter.log_in()
    for _ in range(10):
        counter.walk(("6 管理", "6"), ("锁定终端", "CANCEL"))
    began = counter.time_ms
    start(counter)
    counter.until("交易未完成")
    assert counter.time_ms - began < 3 * counter.terminal.parameter("host.connect_ms")


def test_a_pin_block_is_never_sent_under_keys_that_came_after_it(counter):
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    start(counter)
    counter.walk(("交易结果未知", "CANCEL"), ("6 管理", "3"), ("请挥卡", tap("debit")), ("密码", None))
    counter.rules.clear()
    counter.terminal.signed_off()  # as a reply to the resolver would: the balance signs on again on its way
    counter.messages.clear()
    counter.type(counter.shelf.card("debit").pin + " ENTER")
    counter.walk(("工作密钥已更换 未扣款", "ENTER"), ("6 管理", None))
    assert any("0800" in line for line in counter.messages) and not any("0200" in line for line in counter.messages)


def test_a_sign_on_without_answer_leaves_the_terminal_signed_off_and_the_next_sale_signs_on_first(counter):
    counter.run(3_000)
    counter.rules.add("next on sign-on silence")
    counter.walk(("6 管理", "6"), ("签到", "1"), ("没有应答", None))
    assert not counter.terminal.signed_on()  # the host has keys by now that we never got
    counter.walk(("没有应答", "ENTER"))
    counter.sell(1234)
    assert counter.record()["phase"] == "approved" and counter.books_agree()


@pytest.mark.parametrize("code", ["00", "12", "25"])
def test_no_parameter_lets_an_answer_without_mac_end_a_reversal(code):
    counter = Counter(parameters={"host.mac_on_declines": False})
    counter.log_in()
    counter.acquirer._acts["reversal"] = lambda request, terminal: Outcome(code)
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal no-mac")
    start(counter)
    counter.walk(("交易结果未知", None))
    assert counter.record()["phase"] == "reversing"


def test_a_round_of_many_reversals_is_waited_for_on_the_page_that_began_it(counter):
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    start(counter)
    counter.walk(("交易结果未知", "CANCEL"), ("6 管理", None))
    ledger = counter.terminal.ledger
    for _ in range(2):
        record = dict(ledger.to_reverse()[0], trace="%06d" % ledger.next_trace())
        ledger.sent(record, 0)
        ledger.unknown(record, "98")
        ledger.tried(record)
    counter.walk(("6 管理", "1"), ("3笔结果未知", "ENTER"), ("正在冲正", None))
    counter.run(80_000)
    assert counter.state == "Blocked" and counter.machine.state.busy
    counter.until(lambda: not counter.machine.state.busy)
    assert counter.state == "Blocked"


def test_a_report_of_an_unknown_result_is_printed_though_nobody_presses_a_key(counter):
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    start(counter)
    counter.walk(("交易结果未知", None), ("6 管理", None))
    assert "故障报告单" in counter.paper


@pytest.mark.parametrize("method, page", [("mac", "未扣款"), ("check_mac", "交易结果未知")])
def test_a_vault_that_never_answers_holds_nothing_up(counter, method, page):
    counter.run(3_000)
    setattr(counter.vault, method, lambda ticket, *arguments: None)
    start(counter)
    counter.walk((page, None))
    assert counter.state in ("NotSent", "Unresolved")


def test_a_request_that_was_made_leaves_no_pin_block_and_no_track_behind(counter):
    start(counter, 100_001)
    counter.walk(("密码", counter.shelf.card("debit").pin + " ENTER"), ("请撕下", None))
    draft = counter.terminal.draft
    assert counter.record()["pin"] and draft.pin_block is None and not draft.card.track2 and not draft.card.tags


# -- void


def test_a_void_names_the_date_of_its_sale(counter):
    counter.sell(1234)
    void(counter)
    assert "原交易日期:1120" in counter.paper


def test_a_void_that_fails_says_that_the_sale_stands(counter):
    counter.sell(1234)
    trace = counter.record()["trace"]
    counter.rules.add("next on void decline 05")
    to_original(counter, trace)
    counter.walk(("确认撤销", "ENTER"), ("请挥卡", tap("debit")), ("交易失败 05 原消费仍有效", "ENTER"))
    counter.rules.add("next on void silence")
    to_original(counter, trace)
    counter.walk(("确认撤销", "ENTER"), ("请挥卡", tap("debit")), ("没有收到有效应答 已冲正 原消费有效", "ENTER"))
    to_original(counter, trace)
    counter.walk(("确认撤销", "CANCEL"), ("已取消 原消费仍有效", None))


def test_a_void_without_card_and_with_a_wrong_pin_goes_on_without_card():
    counter = Counter(parameters={"void.card": False, "void.pin": True})
    counter.log_in()
    counter.sell(1234)
    pin = counter.shelf.card("debit").pin
    wrong = "%04d" % ((int(pin[:4]) + 1) % 10_000) + pin[4:]
    counter.rules.add("next on void decline 55")
    to_original(counter)
    counter.walk(("确认撤销", "ENTER"), ("密码", wrong + " ENTER"), ("55", "ENTER"), ("密码", pin + " ENTER"))
    counter.walk(("请撕下", "ENTER"), ("6 管理", None))
    assert counter.record()["entry"] == "01" and counter.books_agree()


def test_a_supervisor_with_the_factorys_password_approves_nothing_where_it_must_be_changed():
    counter = Counter(parameters={"operators.force_change": True})
    counter.power_on()
    counter.walk(
        ("操作员号", "01 ENTER"), ("密码", "0000 ENTER"), ("新密码", "2580 ENTER"), ("再输入", "2580 ENTER"), ("已修改", "ENTER")
    )
    counter.sell(1234)
    counter.walk(("6 管理", "2"), ("请输入6位密码", "123456 ENTER"), ("操作员 00 首次使用须改密码", "ENTER"), ("6 管理", None))


# -- global events


@pytest.mark.parametrize("why", ["unapproved", "wiped", "unprovisioned"])
def test_a_device_that_may_not_be_used_is_not_let_in_by_a_low_battery(why):
    counter = Counter()
    counter.board["mode"] = "production" if why == "unapproved" else "test"
    if why == "unprovisioned":
        counter.store.commit([("parameters", "terminal.number", None, None)])
    counter.power_on()
    if why == "wiped":
        counter.log_in()
        counter.machine.handle(Event(TAMPER, 0, None))
    counter.run(20_000)
    power(counter, 2)
    assert counter.state == "PowerLow"
    power(counter, 80)
    counter.type("ENTER")
    assert counter.state == ("Unprovisioned" if why == "unprovisioned" else "VaultTrouble")


def test_a_low_battery_does_not_let_an_operator_in_who_has_to_change_his_password():
    counter = Counter(parameters={"operators.force_change": True})
    counter.power_on()
    counter.walk(("操作员号", "01 ENTER"), ("密码", "0000 ENTER"), ("首次使用须改密码", None))
    power(counter, 2)
    power(counter, 80)
    counter.walk(("电量不足", "ENTER"), ("操作员号", None))


def test_a_low_battery_says_that_the_money_was_taken_when_it_was(counter):
    start(counter)
    counter.until("请撕下")
    power(counter, 2)
    assert counter.state == "PowerLow" and "已扣款" in counter.text.split("\n")


def test_a_low_battery_waits_for_the_result_and_is_then_said(counter):
    counter.rules.add("next on sale late 10")
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("正在联系银行", None))
    power(counter, 2)
    assert counter.state == "Authorise"
    counter.until("电量不足")
    assert counter.record()["phase"] == "approved" and "已扣款" in counter.text.split("\n")


def test_the_offset_to_a_clock_that_was_set_is_right_after_a_restart(counter):
    sign_on(counter)
    counter.sell(100)
    counter.plug()
    counter.clock.jump(-TWO_YEARS_MS)  # a board without a battery clock
    counter.power_on()
    counter.log_in()
    counter.until(lambda: counter.terminal.signed_on())
    year = counter.terminal.calendar.now()[0]
    counter.clock.jump(TWO_YEARS_MS)  # network time comes
    counter.machine.handle(Event(CLOCK_JUMP, 0, TWO_YEARS_MS))
    counter.plug()
    counter.power_on()
    counter.log_in()
    counter.until(lambda: counter.terminal.signed_on())
    assert counter.terminal.calendar.now()[0] == year == 2026


def test_a_sign_on_does_not_forget_the_date_of_the_last_sale(counter):
    counter.sell(100)
    last = counter.terminal.ledger.counters["at_s"]
    sign_on(counter)
    assert counter.terminal.ledger.counters["at_s"] >= last > 0


# -- the machine


class Endless(State):
    leads_to = ("Endless",)

    def enter(self):
        return Endless()


class Stubborn(State):
    def leave(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("state", [Endless, Stubborn])
def test_a_state_that_loops_or_cannot_be_left_ends_on_the_fault_page(state):
    counter = Counter(strict=False)
    counter.log_in()
    counter.machine.state.leads_to += (state.__name__, "EnterAmount")
    counter.machine._goes = state()
    counter.machine._follow()
    if state is Stubborn:
        counter.machine.state.on_digit = lambda digit: 1 // 0
        counter.type("1")
    assert counter.state == "Fault"
    counter.run(100)
    counter.type("ENTER")
    assert counter.state == "Menu"


# -- operators


def test_looking_at_a_lock_again_and_again_writes_no_more_often(counter):
    counter.walk(("6 管理", "6"), ("签到", "5"))
    for _ in range(4):
        counter.walk(("操作员号", "01 ENTER"), ("密码", "1111 ENTER"), ("密码错误", "ENTER"))
    counter.walk(("操作员号", "01 ENTER"), ("密码", "1111 ENTER"), ("操作员已锁定", "ENTER"))
    for _ in range(10):
        counter.walk(("操作员号", "01 ENTER"), ("操作员已锁定", "ENTER"))
    before = counter.store.commits
    counter.run(180_000)
    assert 3 <= counter.store.commits - before <= 4


def test_a_new_password_needs_the_old_one(counter):
    counter.walk(
        ("6 管理", "6"), ("修改密码", "4"), ("修改密码 请输入4位密码", "1111 ENTER"), ("密码错误", "ENTER"), ("6 管理", "6")
    )
    counter.walk(
        ("修改密码", "4"),
        ("请输入4位密码", "0000 ENTER"),
        ("请输入新密码", "2580 ENTER"),
        ("再输入", "2580 ENTER"),
        ("已修改", "ENTER"),
    )
    counter.walk(("6 管理", "6"), ("签到", "5"))
    counter.log_in("01", "2580")


# -- the slip


@pytest.mark.parametrize(
    "ours, date, printed",
    [
        ("20261231235959", "0101", "2027/01/01"),
        ("20270101000001", "1231", "2026/12/31"),
        ("20261120103400", "1120", "2026/11/20"),
    ],
)
def test_the_hosts_date_at_new_year_is_printed_with_its_own_year(ours, date, printed):
    assert slip._when({"at": ours, "host_date": date, "host_time": "000001"}).startswith(printed)


def test_a_reprint_says_what_held_when_the_sale_was_made(counter):
    counter.sell(50_000)
    counter.terminal.parameter.set("pin.free_fen", 30_000)
    counter.walk(("6 管理", "5"), ("重打最后一笔", "1"), ("请撕下", "ENTER"), ("6 管理", None))
    assert counter.paper.count("未超过1,000.00元") == 4 and "持卡人签名" not in counter.paper


def test_a_batch_number_of_the_host_is_taken_while_the_batch_is_empty_and_only_then():
    counter = Counter()
    counter.log_in()
    counter.run(3_000)
    counter.terminal.signed_on_now(9)
    assert counter.terminal.ledger.batch == "000009"
    counter.terminal.ledger.note(batch=1)
    counter.sell(100)
    counter.terminal.signed_on_now(9)
    assert counter.terminal.ledger.batch == "000001"


def test_a_slip_given_up_after_a_cut_is_not_offered_again_and_one_left_alone_is():
    counter = Counter()
    counter.log_in()
    counter.printer.paper_out = True
    for fen in (100, 200):
        counter.walk(("管理", "1"), ("请输入金额", "%d ENTER" % fen), ("请挥卡", tap("debit")), ("缺纸", None))
        counter.plug()
        counter.take()
        counter.power_on()
        if fen == 100:
            counter.walk(("上笔交易", None))
            counter.run(20_000)
            counter.log_in()
    counter.walk(("上笔交易 2.00", "CANCEL"), ("上笔交易 1.00", "CANCEL"), ("操作员号", None))
    counter.plug()
    counter.power_on()
    counter.walk(("操作员号", None))
    assert counter.state == "Login" and counter.terminal.ledger.open() == []


def test_a_sale_does_not_wait_for_a_round_of_reversals_in_the_background():
    counter = Counter(parameters={"sale.unresolved": "supervisor"})
    counter.log_in()
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    counter.walk(("管理", "1"), ("请输入金额", "100 ENTER"), ("请挥卡", tap("debit")), ("交易结果未知", "ENTER"), ("管理", None))
    counter.run(61_000)  # the background has begun its round and waits for the host
    assert counter.link is not None and counter.terminal._going_on(counter.terminal._resolver)
    counter.walk(("管理", "1"), ("有未冲正", "DOWN"), ("主管放行", "123456 ENTER"), ("请输入金额", "200 ENTER"), ("请挥卡", tap("debit")))
    started = counter.time_ms
    counter.until(lambda: counter.state != "PresentCard")
    counter.until(lambda: counter.state != "Authorise")
    assert counter.time_ms - started < 2 * 30_000


def test_a_duplicate_trace_number_is_skipped_over():
    counter = Counter()
    counter.log_in()
    counter.run(3_000)
    counter.rules.add("next on sale decline 94")
    counter.walk(("管理", "1"), ("请输入金额", "100 ENTER"), ("请挥卡", tap("debit")), ("94", "ENTER"), ("管理", None))
    before = int(counter.record()["trace"])
    counter.sell(100)
    assert int(counter.record()["trace"]) == before + 51


def test_a_bypassed_pin_is_not_claimed_in_the_chip_data():
    counter = Counter()
    counter.log_in()
    told = []
    counter.acquirer.log = lambda kind, text: told.append(text)
    counter.walk(("管理", "1"), ("请输入金额", "100001 ENTER"), ("请挥卡", tap("debit")), ("无则按确认", "ENTER"), ("未输入密码", "ENTER"))
    counter.until("请撕下")
    assert any("0200" in text and "9F34 CVM Results: 3F0000" in text for text in told)


def test_the_report_of_an_unresolved_transaction_can_be_printed_again():
    counter = Counter()
    counter.log_in()
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    counter.walk(("管理", "1"), ("请输入金额", "100 ENTER"), ("请挥卡", tap("debit")), ("交易结果未知", "ENTER"), ("管理", "4"), ("交易明细", "1"))
    counter.walk(("交易明细", "1"), ("凭证号 待冲正", "ENTER"), ("管理", None))
    assert counter.paper.count("故障报告单") == 2
