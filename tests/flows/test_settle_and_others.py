"""A settlement and everything else: a transaction that is open, what the bank has not heard of, a batch that it names anew."""

import pytest

from emulator.world import MERCHANT, TERMINAL
from firmware.tasks import Pause, Turn
from tests.flows.counter import tap
from tests.flows.scenarios import CANTEEN, OUT, insert
from tests.flows.test_money_rules import close_batch, differ, kinds, opened, to_void
from tests.flows.test_settlement import batches, done, host
from tests.flows.test_transactions import home, offline_sale, refund

MINUTE = 60_000
SETTLE = (("6 管理", "6"), ("签到", "9"), ("净额", "ENTER"))


def settled(shop):
    """What the bank has settled: (batch, what the terminal claimed of UnionPay's cards)."""
    return [(int(one.batch), tuple(one.claimed[0])[:4]) for one in host(shop).settled(TERMINAL)]


# -- by the clock, under somebody's hands


def a_conversation(ms):
    """Somebody who has the line to the host for so long."""
    yield Turn("host")
    yield Pause(ms)


def at_eleven(**parameters):
    """Two sales, and the settlement of 11:00 stands in line behind another conversation, which takes two minutes."""
    shop = opened(**{**CANTEEN, "settle.time": "1100", "idle.lock_minutes": 240, "settle.sign_off": False, **parameters})
    shop.sell(1000)
    shop.sell(2000)
    shop.until(lambda: shop.terminal.calendar_stamp()[8:12] == "1059", 30 * MINUTE)
    shop.terminal.tasks.start(a_conversation(3 * MINUTE))
    shop.until(lambda: shop.terminal.calendar_stamp()[8:12] == "1101", 3 * MINUTE)
    assert shop.state == "Menu" and batches(shop) == (1, 1) and shop.terminal.settlement.running is None
    if shop.display.asleep:
        shop.type("BACK")
    return shop


def chip_alone(shop):
    shop.link.down = "unreachable"
    insert("offline")(shop)
    shop.walk(OUT)
    shop.link.down = None


BEGUN = {  # kind: (up to where it waits for somebody, what he does then)
    "tip": (
        lambda shop, trace: shop.walk(
            ("6 管理", "9"), ("小费", "3"), ("原凭证号", trace + " ENTER"), ("确认加小费", "ENTER"), ("请输入小费", "100")
        ),
        lambda shop: shop.type("ENTER"),
    ),
    "sale": (lambda shop, trace: shop.sale(4321), chip_alone),
    "void": (
        lambda shop, trace: (to_void(shop, trace), shop.walk(("确认撤销", "ENTER"), ("卡", None))),
        tap("debit"),
    ),
}


def keep_awake(shop, ms):
    """So long at a page, whose time does not run out."""
    end = shop.time_ms + ms
    while shop.time_ms < end:
        shop.run(10_000)
        shop.machine.arm(shop.machine.state)


@pytest.mark.parametrize("kind", BEGUN)
def test_a_settlement_that_stood_in_line_leaves_the_batch_to_who_has_begun_since(kind):
    shop = at_eleven()
    trace = shop.record()["trace"]
    reach, act = BEGUN[kind]
    reach(shop, trace)
    page = shop.state
    keep_awake(shop, 2 * MINUTE)
    assert shop.state == page and shop.terminal.settlement.running is None and settled(shop) == [], (
        "the line is free, and nobody settles"
    )
    act(shop)
    home(shop)
    assert (shop.record()["kind"], shop.record()["batch"], shop.record()["phase"]) == (kind, "000001", "approved")
    mine = kinds(shop)
    shop.until(lambda: batches(shop) == (2, 2), 30 * MINUTE)
    last = shop.terminal.settlement.last()
    assert last["last"] == shop.record()["id"] and last["by_itself"] and settled(shop)[0][0] == 1
    assert {name: row for name, row in shop.terminal.ledger.totals("000001").items() if row[0]} == mine
    debit = sum(mine[name][1] for name in ("sale", "tip") if name in mine)
    assert settled(shop)[0][1][0] == debit and host(shop).disputes(TERMINAL) == [] and differ(shop) == []


def test_a_settlement_by_the_clock_waits_for_a_balance_inquiry_too():
    shop = at_eleven()
    shop.walk(("6 管理", "3"), ("余额查询", None))
    keep_awake(shop, 2 * MINUTE)
    assert shop.terminal.draft is not None and settled(shop) == [] and shop.terminal.settlement.running is None
    shop.type("CANCEL")
    shop.until(lambda: batches(shop) == (2, 2), 30 * MINUTE)
    assert differ(shop) == []


@pytest.mark.parametrize("kind", BEGUN)
def test_nothing_is_written_into_a_batch_whose_totals_the_bank_has(kind):
    shop = opened(**CANTEEN)
    shop.sell(1000)
    reach, act = BEGUN[kind]
    reach(shop, shop.record()["trace"])
    ledger, settlement = shop.terminal.ledger, shop.terminal.settlement
    settlement.begin(ledger, shop.terminal.calendar_stamp(), "01")
    settlement.asking(ledger)
    since = len(shop.messages)
    act(shop)
    shop.walk(("正在结算", "ENTER"))
    assert shop.record()["kind"] == "sale" and kinds(shop) == {"sale": [1, 1000]} and "02" not in shop.said(since)
    assert not shop.record().get("void") and not shop.record().get("adjusted")
    shop.until(lambda: settlement.running is None, 15 * MINUTE)
    assert batches(shop) == (2, 2) and differ(shop) == []


# -- what the bank has not heard of


def test_a_sale_that_the_bank_puts_off_holds_up_the_settlement_of_its_batch():
    shop = opened()
    shop.rules.add("always on offline-sale decline 96")
    offline_sale(shop)
    shop.walk(*SETTLE, ("结算未完成 1笔结果未知:" + shop.record()["trace"] + " 账目未变", "CANCEL"), ("6 管理", None))
    assert shop.terminal.settlement.running is None and settled(shop) == [] and batches(shop) == (1, 1)
    shop.rules.clear()
    shop.walk(*SETTLE)
    done(shop, "对账平")
    assert (
        batches(shop) == (2, 2)
        and shop.bank.takings(MERCHANT) == 8000
        and differ(shop) == []
        and host(shop).disputes(TERMINAL) == []
    )


def test_a_sale_that_the_bank_refuses_while_it_settles_is_not_in_the_totals():
    shop = opened()
    shop.sell(1000)
    shop.link.down = "unreachable"
    offline_sale(shop)
    shop.link.down = None
    shop.rules.add("always on offline-sale decline 51")
    shop.walk(*SETTLE)
    done(shop, "对账平")
    assert settled(shop) == [(1, (1000, 1, 0, 0))] and batches(shop) == (2, 2) and differ(shop) == []


def test_what_a_supervisor_has_closed_over_holds_up_no_later_batch_and_waits_while_that_one_settles():
    shop = opened()
    shop.rules.add("always on offline-sale decline 96")
    offline_sale(shop)
    sale = shop.record()
    close_batch(shop)
    shop.sell(500)
    batch = shop.record()["batch"]
    shop.rules.add("always on batch-end silence")
    shop.walk(*SETTLE, ("结算未完成 批次冻结", "CANCEL"), ("6 管理", None))
    frozen = shop.terminal.settlement.running["totals"]
    since = len(shop.messages)
    shop.run(5 * MINUTE)
    assert (
        shop.terminal.settlement.frozen and "0220" not in shop.said(since) and shop.terminal.ledger.totals_by_scheme() == frozen
    )
    assert shop.terminal.ledger.get(sale["id"])["owed"]
    shop.rules.clear()
    shop.walk(("6 管理", "1"))
    done(shop)
    shop.settle()
    assert shop.terminal.settlement.last()["batch"] == batch and shop.bank.takings(MERCHANT) == 8500
    assert not shop.terminal.ledger.get(sale["id"])["owed"] and shop.terminal.ledger.owed == 0


# -- a batch that the bank names anew


def test_a_batch_that_the_bank_names_waits_for_a_refund_that_is_not_answered():
    shop = opened(**{"settle.sign_off": False})
    shop.sell(10000)
    reference = shop.record()["reference"]
    shop.walk(*SETTLE)
    done(shop)
    shop.rules.add("always on refund silence")
    refund(shop, reference, "3000")
    shop.walk(("结果未知", "ENTER"))
    assert (shop.record()["phase"], shop.record()["batch"], shop.terminal.ledger.in_batch()) == ("repeating", "000002", 0)
    shop.bank.next_batch(TERMINAL)
    shop.terminal.signed_off()
    shop.rules.clear()
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=30 * MINUTE)
    assert shop.terminal.ledger.batch == "000002" and kinds(shop) == {"refund": [1, 3000]} and differ(shop) == []


def test_a_batch_that_the_bank_names_is_taken_where_nothing_of_the_old_one_is_open():
    shop = opened()
    shop.bank.next_batch(TERMINAL)
    shop.terminal.signed_off()
    shop.sell(700)
    assert shop.record()["batch"] == "000002" and batches(shop) == (2, 2) and differ(shop) == []
