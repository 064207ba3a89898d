"""Locks, pages that wait for somebody, parts that are missing: what a person at the counter meets besides sales."""

import pytest

from emulator.standins.store import StandIn
from firmware import calendar
from firmware.events import LOW_POWER, Event
from firmware.ledger import Ledger, LedgerError
from tests.flows.counter import Counter, tap
from tests.flows.test_void import to_original


def wrong(counter, operator, password, times=1):
    for _ in range(times):
        counter.walk(("操作员号", operator + " ENTER"), ("请输入 位密码", password + " ENTER"), ("密码错误", "ENTER"))


def test_a_wrong_password_of_one_operator_takes_no_other_operator_away():
    counter = Counter()
    counter.power_on()
    wrong(counter, "01", "1111")
    counter.plug()
    counter.power_on()
    counter.log_in("00", "123456")
    counter.walk(("柜员管理", "4"), ("签到", "5"))
    counter.log_in("99", "12345678")


def test_a_locked_supervisor_is_not_asked_for_his_password(counter):
    counter.sell(100)
    for _ in range(4):
        counter.walk(("6 管理", "2"), ("请输入6位密码", "111111 ENTER"), ("密码错误", "ENTER"))
    counter.walk(("6 管理", "2"), ("请输入6位密码", "111111 ENTER"), ("操作员已锁定", "ENTER"))
    counter.walk(("6 管理", "2"), ("操作员已锁定 操作员 00", None))


def test_a_person_who_types_slowly_is_not_given_up(counter):
    counter.walk(("6 管理", "1"), ("请输入金额", None))
    for _ in range(4):
        counter.run(50_000)
        counter.type("1")
    assert counter.state == "EnterAmount" and "11.11" in counter.text


def test_the_page_of_an_empty_battery_stays_until_there_is_charge(counter):
    counter.machine.handle(Event(LOW_POWER, 0, 2))
    for key in ("ENTER", "CANCEL"):
        counter.type(key)
        assert counter.state == "PowerLow"
    counter.run(120_000)
    assert counter.state == "PowerLow" and "2%" in counter.text
    counter.machine.handle(Event(LOW_POWER, 0, 60))
    counter.type("ENTER")
    assert counter.state == "Menu"


def test_a_board_without_a_printer_lists_nothing_to_print():
    counter = Counter()
    del counter.ports["printer"]
    counter.power_on()
    counter.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "0000 ENTER"), ("消费", None))
    assert "打印" not in counter.text
    counter.walk(("消费", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("交易成功 12.34", None))


def test_only_the_merchants_copy_is_signed(counter):
    counter.walk(
        ("6 管理", "1"), ("请输入金额", "100001 ENTER"), ("请挥卡", tap("debit")), ("无则按确认", "ENTER"), ("未输入密码", "ENTER")
    )
    counter.walk(("请撕下", "ENTER"), ("6 管理", None))
    merchant, customer = counter.paper.split("持卡人存根")
    assert "持卡人签名" in merchant and "持卡人签名" not in customer


def test_a_slip_printed_again_from_the_list_says_so(counter):
    counter.sell(100)
    assert "重打印" not in counter.paper
    counter.walk(("6 管理", "5"), ("任意", "2"), ("000002", "1"), ("凭证号", "ENTER"), ("请撕下", "ENTER"), ("6 管理", None))
    assert counter.paper.count("重打印/DUPLICATED") == 2


def test_a_sale_of_an_older_batch_is_not_offered_for_a_void(counter):
    counter.sell(100)
    counter.sell(200)
    trace = counter.record()["trace"]
    counter.terminal.ledger.note(batch=2)
    to_original(counter, trace)
    counter.walk(("没有这笔交易", "ENTER"))
    counter.until(lambda: counter.state == "PickOriginal")
    assert "1.00" not in counter.text and "2.00" not in counter.text


def test_the_time_that_the_host_gave_holds_after_a_restart_without_a_network():
    counter = Counter()
    counter.clock.jump(-7 * 86_400_000)
    counter.log_in()
    counter.run(3_000)
    before = counter.terminal.calendar.now_s()
    assert counter.terminal.calendar.now()[:3] == (2026, 11, 20) and counter.terminal.calendar.trusted
    counter.plug()
    counter.link.down = "unreachable"
    counter.power_on()
    assert 0 <= counter.terminal.calendar.now_s() - before < 60 and counter.terminal.calendar.trusted


def test_a_reversal_that_has_not_had_its_round_is_not_called_unresolved():
    ledger = Ledger(StandIn())
    record = ledger.sent({"kind": "sale", "trace": "000001", "fen": 1, "original": 0}, 1)
    assert ledger.unresolved() == []
    ledger.unknown(record, "98")
    assert ledger.to_reverse() and ledger.unresolved() == []
    ledger.tried(record)
    assert [one["id"] for one in ledger.unresolved()] == [record["id"]]


def test_nothing_is_reversed_that_was_not_written_down_as_to_be_reversed_first():
    ledger = Ledger(StandIn())
    record = ledger.sent({"kind": "sale", "trace": "000001", "fen": 1, "original": 0}, 1)
    with pytest.raises(LedgerError):
        ledger.reversed_(record, {"code": "00"})


@pytest.mark.parametrize("text", ["20260132000000", "20261301000000", "20260100000000", "20260101240000", "20260101006000"])
def test_a_day_or_an_hour_that_no_calendar_has_is_no_date(text):
    with pytest.raises(ValueError):
        calendar.parse_stamp(text)
