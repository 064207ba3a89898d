"""Void: supervisor, original, the same card, and what an open void does to its original."""

import pytest

from firmware.transactions import VOID
from tests.flows.counter import Counter, tap


def to_original(counter, trace=""):
    counter.walk(("6 管理", "2"), ("请输入6位密码", "123456 ENTER"), ("原凭证号", (trace or counter.record()["trace"]) + " ENTER"))


def void(counter, trace="", card="debit"):
    to_original(counter, trace)
    counter.walk(("确认撤销", "ENTER"), ("请挥卡", tap(card)), ("请撕下", "ENTER"), ("6 管理", None))


def test_a_void_takes_the_sale_back_to_the_fen(counter):
    pan = counter.shelf.card("debit").pan
    before = counter.bank.balance(pan)
    counter.sell(1234)
    void(counter)
    assert counter.bank.balance(pan) == before and counter.books_agree()
    assert "原凭证号:000002" in counter.paper and "RMB -12.34" in counter.paper
    assert counter.terminal.ledger.totals() == {"sale": [1, 1234], "void": [1, 1234]}


def test_the_supervisor_must_approve(counter):
    counter.sell(1234)
    counter.walk(("6 管理", "2"), ("请输入6位密码", "000000 ENTER"), ("密码错误", "ENTER"), ("6 管理", None))


def test_the_original_can_be_found_in_a_list(counter):
    for fen in (100, 200, 300):
        counter.sell(fen)
    counter.walk(("6 管理", "2"), ("请输入6位密码", "123456 ENTER"), ("原凭证号", "ENTER"), ("选择 3.00 2.00 1.00", "2"), ("确认撤销 2.00", None))


@pytest.mark.parametrize("trace, words", [("999", "没有这笔交易"), ("0", "没有这笔交易")])
def test_what_is_not_there_cannot_be_voided(counter, trace, words):
    counter.sell(1234)
    to_original(counter, trace)
    counter.walk((words, None))


def test_a_sale_is_voided_once(counter):
    counter.sell(1234)
    trace = counter.record()["trace"]
    void(counter, trace)
    to_original(counter, trace)
    counter.walk(("已撤销或正在撤销", None))


def test_a_declined_sale_and_a_void_cannot_be_voided(counter):
    counter.rules.add("amount 12.51 decline 51")
    counter.walk(("6 管理", "1"), ("请输入金额", "1251 ENTER"), ("请挥卡", tap("debit")), ("51", "ENTER"))
    to_original(counter)
    counter.walk(("原交易没有成功", "CANCEL"), ("已取消", "ENTER"))
    counter.sell(100)
    void(counter)
    to_original(counter)
    counter.walk(("不是可选的交易", None))


def test_another_card_is_refused(counter):
    counter.sell(1234)
    to_original(counter)
    counter.walk(("确认撤销", "ENTER"), ("请挥卡", tap("credit")), ("不是原交易的卡 原消费仍有效", "ENTER"), ("请挥卡", tap("debit")), ("请撕下", None))


def test_without_card_the_vaults_number_is_used():
    counter = Counter(parameters={"void.card": False})
    counter.log_in()
    counter.sell(1234)
    to_original(counter)
    counter.walk(("确认撤销", "ENTER"), ("请撕下", "ENTER"), ("6 管理", None))
    assert counter.record()["kind"] == "void" and counter.record()["entry"] == "01" and counter.books_agree()


def test_a_pin_for_a_void_is_a_parameter():
    counter = Counter(parameters={"void.pin": True})
    counter.log_in()
    counter.sell(1234)
    to_original(counter)
    counter.walk(("确认撤销", "ENTER"), ("请挥卡", tap("debit")), ("密码", counter.shelf.card("debit").pin + " ENTER"), ("请撕下", None))


def test_a_void_without_answer_is_reversed_and_the_sale_stands_again(counter):
    counter.sell(1234)
    trace = counter.record()["trace"]
    counter.rules.add("next on void silence")
    to_original(counter, trace)
    counter.walk(("确认撤销", "ENTER"), ("请挥卡", tap("debit")), ("没有收到有效应答 已冲正", "ENTER"), ("6 管理", None))
    assert counter.books_agree()
    assert counter.terminal.ledger.problem(counter.terminal.ledger.by_trace(trace), VOID) == ""
    void(counter, trace)
    assert counter.books_agree()


def test_a_void_that_is_unresolved_blocks_another(counter):
    counter.sell(1234)
    trace = counter.record()["trace"]
    counter.rules.add("next on void silence")
    counter.rules.add("always on reversal ignore")
    to_original(counter, trace)
    counter.walk(("确认撤销", "ENTER"), ("请挥卡", tap("debit")), ("交易结果未知 是否退款未知", None))
    assert counter.terminal.ledger.problem(counter.terminal.ledger.by_trace(trace), VOID) == "void.already"
