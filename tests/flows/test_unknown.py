"""No valid reply: never shown as failed, never forgotten, never charged twice."""

import json

import pytest

from firmware.host.session import VAULT_MS
from tests.flows.counter import Counter, tap

# What may go wrong with the reply, as the acquirer's rules say it; booked: the host has it in its books at first.
FAULTS = [
    "silence", "late 40", "wrong-mac", "no-mac", "wrong-trace", "wrong-amount", "wrong-terminal", "half", "garbage", "cut-before", "cut-after",
]  # fmt: skip


def start(counter, fen=1234):
    counter.walk(("6 管理", "1"), ("请输入金额", "%d ENTER" % fen), ("请挥卡", tap("debit")))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sale_without_a_valid_reply_is_reversed_at_once(counter, fault):
    pan = counter.shelf.card("debit").pan
    before = counter.bank.balance(pan)
    counter.rules.add("next on sale " + fault)
    start(counter)
    counter.walk(("没有收到有效应答 已冲正 未扣款", "ENTER"), ("6 管理", None))
    assert counter.record()["phase"] == "reversed"
    assert counter.bank.balance(pan) == before and counter.books_agree()


@pytest.mark.parametrize("fault", ["split", "merged", "twice", "late 20"])
def test_a_whole_reply_counts_however_it_came(counter, fault):
    counter.rules.add("next on sale " + fault)
    start(counter)
    counter.walk(("请撕下", "ENTER"), ("6 管理", None))
    assert counter.record()["phase"] == "approved" and counter.books_agree()


def unresolved(counter):
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    start(counter)
    counter.walk(("交易结果未知 有效应答 是否扣款未知 勿重复收款", None))


def test_after_its_round_a_reversal_is_unresolved_with_a_page_and_a_report(counter):
    unresolved(counter)
    assert sum("0400" in line for line in counter.messages) == 3
    counter.type("ENTER")
    counter.until("6 管理")
    assert "故障报告单" in counter.paper and "非签购单" in counter.paper and "12.34" in counter.paper
    assert counter.record()["phase"] == "reversing" and "有未冲正" in counter.text


def test_an_unresolved_reversal_blocks_new_sales_until_it_is_done(counter):
    unresolved(counter)
    counter.walk(("未知", "ENTER"), ("6 管理", "1"), ("有未冲正交易 1笔", "ENTER"), ("有未冲正交易 不成功", None))
    counter.rules.clear()
    counter.walk(("有未冲正", "ENTER"), ("请输入金额", "500 ENTER"), ("请挥卡", tap("debit")), ("请撕下", "ENTER"), ("6 管理", None))
    assert counter.books_agree()


def test_the_supervisor_may_release_one_sale_where_the_parameter_says_so():
    counter = Counter(parameters={"sale.unresolved": "supervisor"})
    counter.log_in()
    unresolved(counter)
    counter.walk(("未知", "ENTER"), ("6 管理", "1"), ("有未冲正交易 主管放行", "DOWN"), ("主管放行", "123456 ENTER"))
    counter.walk(("请输入金额", "500 ENTER"), ("请挥卡", tap("debit")), ("请撕下", "ENTER"), ("6 管理", "1"), ("有未冲正交易", None))


def test_an_unresolved_reversal_is_tried_again_after_a_restart_without_anybody_waiting(counter):
    unresolved(counter)
    counter.plug()
    counter.rules.clear()
    counter.power_on()
    counter.walk(("上笔交易 12.34 未知", None))
    counter.run(5_000)
    counter.log_in()
    assert counter.books_agree() and counter.record()["phase"] == "reversed"


def test_an_unresolved_reversal_is_never_deleted(counter):
    unresolved(counter)
    counter.walk(("未知", "ENTER"), ("6 管理", None))
    for _ in range(5):
        counter.run(20 * 60_000)
        counter.plug()
        counter.power_on()
    assert [r["phase"] for r in counter.terminal.ledger.unresolved()] == ["reversing"]
    counter.rules.clear()
    counter.run(120_000)
    assert counter.books_agree()


@pytest.mark.parametrize("code, ends", [("12", True), ("25", True), ("30", False), ("96", False)])
def test_only_00_12_and_25_end_a_reversal(counter, code, ends):
    counter.rules.add("next on sale cut-before")
    counter.rules.add("always on reversal decline " + code)
    start(counter)
    counter.walk(("已冲正" if ends else "交易结果未知", None))
    assert bool(counter.terminal.ledger.to_reverse()) is not ends


def test_an_answer_to_a_reversal_without_its_mac_does_not_end_it(counter):
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal no-mac")
    start(counter)
    counter.walk(("交易结果未知", None))


def test_a_decline_without_the_mac_that_the_profile_requires_is_no_answer(counter):
    counter.rules.add("next on sale no-mac")
    start(counter)
    counter.walk(("已冲正", None))


def test_nothing_is_sent_when_the_host_cannot_be_reached(counter):
    counter.link.down = "refused"
    start(counter)
    counter.walk(("交易未完成 拒绝连接 未扣款 可以重新交易", "ENTER"), ("6 管理", None))
    assert counter.record() is None and counter.books_agree()


def test_a_full_disk_stops_a_sale_before_it_is_sent(counter):
    start_state = counter.bank.balance(counter.shelf.card("debit").pan)
    counter.store.full = True
    start(counter)
    counter.walk(("存储已满 未扣款", "ENTER"), ("6 管理", None))
    assert counter.bank.balance(counter.shelf.card("debit").pan) == start_state and counter.record() is None


def test_an_approval_that_cannot_be_written_is_reversed_later(counter):
    counter.run(3_000)  # the sign-on of the log-in is written
    pan = counter.shelf.card("debit").pan
    before = counter.bank.balance(pan)
    commits = counter.store.commits
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"))
    counter.place("debit")
    while counter.store.commits == commits:
        counter.run(1)
    counter.store.full = True
    counter.walk(("交易结果未知 是否扣款未知", None))
    counter.store.full = False
    counter.plug()
    counter.take()
    counter.power_on()
    counter.run(10_000)
    assert counter.bank.balance(pan) == before and counter.books_agree()


def test_a_reply_may_ask_for_a_new_sign_on(counter):
    counter.acquirer.requirement = 3
    counter.sell(100)
    counter.acquirer.requirement = 0
    counter.run(3_000)
    assert counter.terminal.signed_on()


def test_a_host_that_refuses_our_mac_is_signed_on_to_and_the_sale_is_undone(counter):
    counter.rules.add("next on sale decline A0")
    start(counter)
    counter.walk(("没有收到有效应答 已冲正 未扣款", "ENTER"), ("6 管理", None))
    counter.run(3_000)
    assert counter.terminal.signed_on() and counter.books_agree()


@pytest.mark.parametrize("code", ["77", "99"])
def test_codes_that_want_a_sign_on_lead_to_one(counter, code):
    counter.rules.add("next on sale decline " + code)
    start(counter)
    counter.walk(("交易失败 " + code, "ENTER"), ("6 管理", None))
    counter.run(3_000)
    assert counter.terminal.signed_on()
    counter.sell(100)
    assert counter.books_agree()


@pytest.mark.parametrize("page", ["sale", "balance"])
def test_a_vault_that_says_nothing_sends_nothing(counter, page):
    """Its key is wanted for the card data of a record, and where there is no record for the MAC."""
    if page == "sale":
        counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", None))
    else:
        counter.walk(("6 管理", "3"), ("请挥卡", tap("debit")), ("密码", counter.shelf.card("debit").pin))
    since = len(counter.messages)
    counter.vault.quick_ms = 2 * VAULT_MS
    if page == "sale":
        tap("debit")(counter)
    else:
        counter.type("ENTER")
    counter.walk(("交易未完成 工作密钥不可用 未扣款", "CANCEL"))
    assert counter.messages[since:] == [] and counter.record() is None


def test_a_sale_that_was_cut_and_whose_card_number_is_lost_is_unresolved(counter):
    counter.rules.add("next on sale silence")
    start(counter)
    counter.until(lambda: counter.record() is not None)
    counter.plug()
    key, value = counter.store.range("transactions")[0]
    counter.store.commit([("transactions", key, json.dumps({**json.loads(value), "sealed": "!"}).encode(), "open")])
    counter.power_on()
    counter.run(5_000)
    assert [record["phase"] for record in counter.terminal.ledger.unresolved()] == ["reversing"]
