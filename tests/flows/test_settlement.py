"""The end of the day: both ends' totals, the upload, the paper, and everything that may come between."""

import json
from itertools import pairwise

import pytest

from emulator.acquirer.books import APPROVED, Transaction
from emulator.world import MERCHANT, TERMINAL, Lost
from firmware.host.messages import card_data
from firmware.iso8583 import batch
from firmware.tasks import Ask
from tests.books import disagreements, openings
from tests.flows.counter import Counter, tap
from tests.flows.test_cut import Till
from tests.flows.test_replies import listen
from tests.flows.test_transactions import held, home, on_code, refund

SETTLE = (("6 管理", "6"), ("签到", "9"))
CLOSE = (("主管结账", "DOWN"), ("请输入6位密码", "123456 ENTER"))
STRIPE = {"stripe.pin": False}


def opened(**parameters):
    shop = Counter(parameters={**STRIPE, **parameters})
    shop.before = openings(shop.bank)
    shop.log_in()
    return shop


@pytest.fixture
def shop():
    return opened()


def swiped(shop, fen, card="stripe"):
    shop.walk(
        ("6 管理", "1"),
        ("请输入金额", "%d ENTER" % fen),
        ("请挥卡", lambda shop: shop.swipe(card)),
        ("请撕下", "ENTER"),
        ("6 管理", None),
    )


def void(shop, trace):
    shop.walk(
        ("6 管理", "2"),
        ("请输入6位密码", "123456 ENTER"),
        ("原凭证号", trace + " ENTER"),
        ("确认撤销", "ENTER"),
        ("请挥卡", tap("debit")),
    )
    shop.walk(("请撕下", "ENTER"), ("6 管理", None))


def day(shop):
    """A sale by tap, one that was voided, two by stripe, one of a foreign card."""
    shop.sell(1000)
    shop.sell(250)
    void(shop, shop.record()["trace"])
    swiped(shop, 300)
    swiped(shop, 400)
    shop.sell(5000, "visa")


def settle(shop, *more):
    shop.walk(*SETTLE, ("净额", "ENTER"), *more)


def done(shop, *words):
    """The result page, the slip, and no other paper."""
    shop.walk((" ".join(("新批次号", *words)), "ENTER"))
    shop.until(lambda: "打印交易明细" in shop.text)
    while shop.state == "AskPrint":
        shop.type("CANCEL")
        shop.run(100)
    shop.walk(("6 管理", None))


def said(shop, since=0):
    """What has gone to the bank and come back, by message type."""
    return " ".join(line.split()[1] for line in shop.messages[since:] if line[:1] in "→←")


def host(shop):
    return shop.acquirer.providers["Settlement"]


def batches(shop):
    return int(shop.terminal.ledger.batch), shop.bank.terminal(TERMINAL).batch


def differ(shop):
    return disagreements(shop.terminal.ledger, shop.store, shop.bank, TERMINAL, MERCHANT, shop.before)


def paper_of(shop):
    """The last paper that came out."""
    return shop.paper[shop.paper.rindex("测试/TESTING") :]


# -- balanced, unbalanced, error


def test_a_balanced_day_uploads_what_the_chips_have_said_and_both_begin_the_next_batch(shop):
    day(shop)
    since = len(shop.messages)
    settle(shop)
    done(shop, "对账平", "已上送 3笔")
    assert said(shop, since) == "0500 0510" + " 0320 0330" * 4
    paper = paper_of(shop)
    for words in (
        "批次号:000001",
        "消费             4         19.50",
        "撤销             1         -2.50",
        "VIS",
        "净额:RMB 67.00",
        "已上送:3笔",
    ):
        assert words in paper, paper
    assert paper.count("对账平") == 2
    assert batches(shop) == (2, 2) and host(shop).settled(TERMINAL)[0].state == "settled" and host(shop).disputes(TERMINAL) == []
    shop.sell(77)
    assert shop.record()["batch"] == "000002" and differ(shop) == []


def test_an_unbalanced_day_uploads_every_transaction_of_the_half_that_differs(shop):
    day(shop)
    shop.rules.add("next on settlement unbalance")
    texts, note = [], shop.acquirer.log
    shop.acquirer.log = lambda kind, text: (texts.append(text), note(kind, text))
    settle(shop)
    done(shop, "对账不平", "已上送 6笔")
    lists = [text for text in texts if "0320" in text and "201" in text]
    assert len(lists) == 1 and "202" in texts[-2] and host(shop).settled(TERMINAL)[0].uploaded == 6
    paper = paper_of(shop)
    assert "内卡/UNIONPAY           对账不平" in paper and "外卡/OTHERS               对账平" in paper
    assert "主机借记         4         19.51" in paper and "差额/DIFF        0         -0.01" in paper
    assert batches(shop) == (2, 2) and differ(shop) == [] and host(shop).disputes(TERMINAL) == [], "the details agree"


def test_what_the_host_has_otherwise_becomes_a_dispute_in_its_books(shop):
    day(shop)
    trace = shop.terminal.ledger.newest(2)[1]["trace"]
    shop.bank._db.execute("UPDATE transactions SET amount_fen = amount_fen + 5 WHERE trace = ?", (trace,))
    lost = shop.terminal.ledger.newest(3)[2]["trace"]
    shop.bank._db.execute("DELETE FROM transactions WHERE trace = ?", (lost,))
    settle(shop)
    done(shop, "对账不平")
    found = {(one.trace, one.what, one.booked_fen, one.uploaded_fen) for one in host(shop).disputes(TERMINAL)}
    assert found == {(trace, "amount", 405, 400), (lost, "not-booked", None, 300)}
    assert batches(shop) == (2, 2)


def test_an_error_of_the_host_is_settled_as_unbalanced(shop):
    day(shop)
    shop.rules.add("next on settlement settle-error")
    settle(shop)
    done(shop, "对账出错", "已上送 6笔")
    assert paper_of(shop).count("对账出错") == 2 and batches(shop) == (2, 2) and host(shop).disputes(TERMINAL) == []


def test_a_host_that_says_by_its_code_that_the_totals_differ_gets_every_transaction(shop):
    swiped(shop, 300)
    acts = shop.acquirer._acts
    own = acts["settlement"]
    acts["settlement"] = lambda request, terminal: own(request, terminal)._replace(code="95", extra={48: None})
    settle(shop)
    done(shop, "对账不平", "已上送 1笔")


def test_an_empty_batch_is_not_settled(shop):
    since = len(shop.messages)
    shop.walk(*SETTLE, ("本批没有交易", "ENTER"), ("6 管理", None))
    assert len(shop.messages) == since


def test_chips_that_refused_are_uploaded_as_failed(shop):
    shop.sell(1000)
    shop.rules.add("next on sale wrong-arpc")
    shop.walk(("6 管理", "1"), ("请输入金额", "900 ENTER"), ("请挥卡", lambda shop: shop.insert("strict")))
    pin = shop.shelf.card("strict").pin
    shop.walk(("密码", pin + " ENTER"), ("请拔出卡片", lambda shop: shop.pull()), ("已冲正", "ENTER"), ("6 管理", None))
    settle(shop)
    done(shop, "对账平", "已上送 2笔")
    assert "→ 0320 失败芯片交易" in " ".join(shop.messages) or "failed-chip" in {n.kind for n in shop.bank.notices(TERMINAL)}


# -- what the host refuses or is silent about


def test_refused_transactions_are_listed_and_never_stop_the_settlement(shop):
    day(shop)
    shop.rules.add("next on batch-chip decline 30")
    refused = shop.terminal.ledger.newest(6)[-1]["trace"]
    settle(shop)
    shop.walk(("新批次号 有 1笔", "ENTER"), ("打印交易明细", "ENTER"), ("打印失败明细", "ENTER"), ("6 管理", None))
    paper = paper_of(shop)
    assert "被平台拒绝/DENIED LIST" in paper and refused in paper and "应答码30" in paper
    assert batches(shop) == (2, 2) and shop.terminal.settlement.last()["uploaded"] == 2


def test_a_list_that_is_refused_is_sent_one_by_one_to_find_which_is_meant(shop):
    for fen in (100, 200, 300):
        swiped(shop, fen)
    shop.rules.add("next on settlement unbalance")
    shop.rules.add("next 2 on batch-list decline 30")
    settle(shop)
    done(shop, "有 1笔")
    kept = shop.terminal.settlement.last()
    assert kept["uploaded"] == 2 and [code for _, code in kept["denied"]] == ["30"]


def test_one_message_that_the_host_never_answers_cannot_hold_up_the_batch(shop):
    day(shop)
    shop.rules.add("next 3 on batch-chip ignore")
    settle(shop)
    done(shop, "有 1笔")
    kept = shop.terminal.settlement.last()
    assert kept["uploaded"] == 2 and [code for _, code in kept["unsent"]] == [""] and batches(shop) == (2, 2)
    assert "→ 0820" in " ".join(shop.messages[-14:]), "an echo tells a silent host from a silent answer"


def test_a_host_that_goes_dead_in_the_middle_leaves_the_settlement_there(shop):
    day(shop)
    shop.rules.add("always on batch-chip,echo ignore")
    settle(shop)
    shop.walk(("结算未完成 批次冻结", None))
    assert shop.terminal.settlement.running["step"] == "upload"
    shop.rules.clear()
    shop.walk(("确认重试", "ENTER"))
    done(shop, "对账平", "已上送 3笔")
    assert batches(shop) == (2, 2)


@pytest.mark.parametrize("kind", ["settlement", "batch-end"])
@pytest.mark.parametrize("fault", ["silence", "cut-after", "cut-before", "garbage", "half", "late 40"])
def test_totals_and_end_are_sent_again_until_they_are_answered(shop, kind, fault):
    day(shop)
    shop.rules.add("next on %s %s" % (kind, fault))
    settle(shop)
    done(shop, "对账平", "已上送 3笔")
    assert batches(shop) == (2, 2) and len(host(shop).settled(TERMINAL)) == 1 and differ(shop) == []


@pytest.mark.parametrize("code", ["77", "A0"])
def test_a_host_that_wants_a_sign_on_first_gets_one(shop, code):
    day(shop)
    shop.rules.add("next on settlement decline " + code)
    settle(shop)
    done(shop, "对账平")
    assert batches(shop) == (2, 2)


def test_totals_that_are_never_answered_freeze_the_batch_until_they_are(shop):
    day(shop)
    shop.rules.add("always on settlement silence")
    settle(shop)
    shop.walk(("结算未完成 批次冻结", "CANCEL"), ("6 管理", "1"), ("结算未完成 批次冻结", None))
    assert shop.terminal.settlement.running["step"] == "ask" and shop.terminal.draft is None
    shop.rules.clear()
    shop.walk(("确认重试", "ENTER"))
    done(shop, "对账平")
    assert batches(shop) == (2, 2) and len(host(shop).settled(TERMINAL)) == 1


def test_totals_that_the_host_refuses_are_said_in_its_words(shop):
    shop.sell(100)
    shop.rules.add("always on settlement decline 03")
    settle(shop)
    shop.walk(("结算未完成 应答码03 商户未登记 主管结账", None))


def test_a_dead_line_changes_nothing(shop):
    day(shop)
    shop.link.down = "refused"
    settle(shop)
    shop.walk(("结算未完成 没有结算 账目未变", "CANCEL"), ("6 管理", None))
    assert shop.terminal.settlement.running is None and shop.terminal.settlement.last() is None
    shop.link.down = None
    shop.sell(5)
    settle(shop)
    done(shop, "对账平")
    assert batches(shop) == (2, 2)


def test_a_full_disk_stops_it_at_its_step(shop):
    day(shop)
    shop.walk(*SETTLE, ("净额", None))
    shop.store.full = True
    shop.walk(("净额", "ENTER"), ("结算未完成", None))
    shop.store.full = False
    shop.walk(("确认重试", "ENTER"))
    done(shop, "对账平")


# -- open transactions


def unresolved(shop):
    shop.rules.add("next on sale silence")
    shop.rules.add("always on reversal ignore")
    shop.walk(("6 管理", "1"), ("请输入金额", "99 ENTER"), ("请挥卡", tap("debit")), ("交易结果未知", "ENTER"), ("6 管理", None))


def test_an_open_reversal_is_tried_and_then_refuses_the_settlement_by_name(shop):
    shop.sell(1000)
    unresolved(shop)
    trace = shop.record()["trace"]
    tried = sum("0400" in line for line in shop.messages)
    settle(shop)
    shop.walk(("结算未完成 1笔结果未知:%s 账目未变" % trace, None))
    assert sum("0400" in line for line in shop.messages) > tried and "→ 0500" not in " ".join(shop.messages)
    shop.rules.clear()
    shop.walk(("确认重试", "ENTER"))
    done(shop, "对账平")
    assert batches(shop) == (2, 2) and differ(shop) == []


def test_refunds_completions_and_what_was_sold_without_the_host_are_uploaded_as_they_were_told():
    shop = opened(**{"module.offline": True})
    shop.sell(10_000)
    refund(shop, shop.record()["reference"], "3000")
    home(shop)
    code = held(shop)
    on_code(shop, "3", code, ("确认完成", "ENTER"), ("请输入金额", "ENTER"), ("卡", tap("debit")))
    home(shop)
    keep_offline(shop, 700)
    sent = []
    note = shop.acquirer.log
    shop.acquirer.log = lambda kind, text: (sent.append(text), note(kind, text))
    settle(shop)
    done(shop, "对账平", "已上送 4笔")
    uploads = [text for text in sent if text.startswith("→ 0320")]
    kinds = [next(line for line in text.splitlines() if line.strip().startswith("F60 ")).split(": ")[1][:2] for text in uploads]
    assert kinds == ["30", "25", "24", "00", "00"], kinds
    assert not [text for text in uploads if " F35 " in text or " F52 " in text or " F64 " in text]
    assert differ(shop) == [] and batches(shop) == (2, 2)


def test_a_record_that_cannot_be_made_into_a_message_is_noted_and_the_rest_goes(shop):
    shop.sell(100)
    record = shop.record()
    for damage in ({"sequence": "1"}, {"chip55": "x"}, {"sealed": ""}):
        shop.store.commit([("transactions", "%010d" % record["id"], json.dumps({**record, **damage}).encode(), None)])
        settle(shop)
        done(shop, "有 1笔")
        assert shop.terminal.settlement.last()["unsent"] == [[record["id"], ""]]
        shop.sell(100)
        record = shop.record()


def test_what_waits_to_be_uploaded_goes_before_the_totals(shop):
    ledger = shop.terminal.ledger
    shop.sell(1000)
    keep_offline(shop, 700)
    assert ledger.owed == 1
    settle(shop)
    done(shop, "对账平")
    assert ledger.owed == 0 and batches(shop) == (2, 2) and differ(shop) == []


def keep_offline(shop, fen):
    """A sale that the bank approved by telephone, and that it has not been told of."""
    terminal = shop.terminal
    record = {**STRIPE_RECORD, "kind": "offline-sale", "entry": "01", "fen": fen, "trace": "%06d" % terminal.ledger.next_trace(),
              "pan": "", "sealed": sealed(shop), "authorisation": "123456"}  # fmt: skip
    record["pan"] = shop.shelf.card("debit").pan[:6] + "*" * 9 + shop.shelf.card("debit").pan[-4:]
    terminal.ledger.offline(record, terminal.calendar.now_s())
    terminal.ledger.printed(record, 2)


# -- the supervisor


def test_a_supervisor_closes_a_batch_with_a_reason_and_the_difference_on_paper(shop):
    day(shop)
    shop.rules.add("always on settlement ignore")
    settle(shop)
    shop.walk(("结算未完成", None), *CLOSE, ("1 主机没有应答", "1"), ("按确认结束本批", "ENTER"))
    done(shop, "主管结账", "主机没有应答")
    paper = paper_of(shop)
    assert "主管结账:主机没有应答" in paper and "净额:RMB 67.00" in paper and "主管签字" in paper
    assert shop.terminal.settlement.last()["closed"] == 1 and shop.terminal.settlement.running is None
    shop.rules.clear()
    shop.sell(5)
    # The host has named batch 1 anew, and the totals of that number are those of the new one.
    assert [line for line in differ(shop) if not line.startswith("totals of batch 000001")] == []
    settle(shop)
    done(shop, "对账不平")
    assert {one.what for one in host(shop).disputes(TERMINAL)} == {"not-uploaded"}, "and the host says so when they meet again"
    assert batches(shop) == (2, 2)


def test_what_is_open_stays_open_when_a_supervisor_closes_the_batch(shop):
    shop.sell(1000)
    unresolved(shop)
    trace = shop.record()["trace"]
    settle(shop)
    shop.walk(("结果未知", None), *CLOSE, ("2 对账不符", "2"), ("按确认结束本批", "ENTER"))
    done(shop, "主管结账")
    assert "未完成/UNRESOLVED LIST" in paper_of(shop) and trace in paper_of(shop)
    assert [record["trace"] for record in shop.terminal.ledger.to_reverse()] == [trace]
    shop.rules.clear()
    shop.run(120_000)
    assert shop.terminal.ledger.to_reverse() == [] and differ(shop) == []


def test_a_wrong_password_closes_nothing(shop):
    shop.sell(100)
    shop.rules.add("always on settlement ignore")
    settle(shop)
    shop.walk(("结算未完成", "DOWN"), ("请输入6位密码", "111111 ENTER"), ("密码错误", "ENTER"), ("6 管理", None))
    assert shop.terminal.settlement.running["step"] == "ask" and shop.terminal.settlement.last() is None


def test_cancel_at_the_reason_closes_nothing(shop):
    shop.sell(100)
    shop.rules.add("always on settlement ignore")
    settle(shop)
    shop.walk(
        ("结算未完成", None),
        *CLOSE,
        ("1 主机没有应答", "1"),
        ("按确认结束本批", "CANCEL"),
        ("结算未完成", "CANCEL"),
        ("6 管理", None),
    )
    assert shop.terminal.settlement.running["step"] == "ask"


# -- the limit, the clock


def test_a_full_batch_leads_to_its_settlement():
    shop = opened(**{"batch.limit": 2})
    shop.sell(1)
    shop.sell(2)
    shop.walk(("6 管理", "1"), ("批次已满 未扣款", "ENTER"), ("净额", "ENTER"))
    done(shop, "对账平")
    shop.sell(3)
    assert batches(shop) == (2, 2)


def at_night(**parameters):
    """10:34 in the morning; it settles at 11:00."""
    return opened(**{"settle.time": "1100", "idle.lock_minutes": 5, **parameters})


MINUTES = 60_000


def test_at_its_time_of_day_an_idle_terminal_settles_by_itself_and_shows_it_to_the_next_person():
    shop = at_night()
    shop.sell(1000)
    shop.run(20 * MINUTES)
    assert batches(shop) == (1, 1)
    shop.run(10 * MINUTES)
    assert batches(shop) == (2, 2) and shop.state == "Locked" and shop.terminal.settlement.last()["by_itself"]
    assert "结算总计单" not in shop.paper
    shop.walk(("终端已锁定", "ENTER"), ("密码", "0000 ENTER"))
    done(shop, "结算完成", "对账平")
    assert "结算总计单" in paper_of(shop) and shop.terminal.settlement.to_print() is None


def test_by_the_clock_it_settles_once_a_day_and_only_what_there_is():
    shop = at_night()
    shop.run(60 * MINUTES)
    assert batches(shop) == (1, 1) and host(shop).settled(TERMINAL) == []
    shop.walk(("终端已锁定", "ENTER"), ("密码", "0000 ENTER"), ("6 管理", None))
    shop.sell(5)
    shop.run(3 * 60 * MINUTES)
    assert batches(shop) == (1, 1), "11:00 is over for today"
    shop.run(24 * 60 * MINUTES)
    assert batches(shop) == (2, 2)


def test_by_the_clock_it_waits_for_the_open_transaction():
    shop = at_night()
    shop.sell(1000)
    while "11:0" not in shop.terminal.calendar_stamp()[8:10] + ":" + shop.terminal.calendar_stamp()[10:11]:
        shop.walk(("6 管理", "1"), ("请输入金额", "5"))
        shop.run(30_000)
        shop.type("CANCEL")
        shop.walk(("已取消", "ENTER"), ("6 管理", "1"), ("请输入金额", "5"))
        shop.run(20_000)
        assert batches(shop) == (1, 1)
        shop.walk(("请输入金额", "CANCEL"), ("已取消", "ENTER"))
    shop.run(5 * MINUTES)
    assert batches(shop) == (2, 2)


def test_a_settlement_by_the_clock_that_nobody_answers_goes_on_until_it_is_over():
    shop = at_night()
    shop.sell(1000)
    shop.rules.add("always on batch-end ignore")
    shop.run(60 * MINUTES)
    assert shop.terminal.settlement.running["step"] == "end" and shop.state == "Locked"
    shop.rules.clear()
    shop.run(15 * MINUTES)
    assert batches(shop) == (2, 2) and len(host(shop).settled(TERMINAL)) == 1


def test_a_page_takes_over_what_goes_on_behind_it():
    shop = at_night(**{"idle.lock_minutes": 60})
    shop.sell(1000)
    shop.rules.add("always on settlement silence")
    shop.until(lambda: shop.terminal.settlement.running is not None and shop.terminal.settlement.frozen, 60 * MINUTES)
    assert shop.state == "Menu"
    shop.rules.clear()
    shop.walk(("6 管理", "1"))
    done(shop, "对账平")
    assert batches(shop) == (2, 2) and len(host(shop).settled(TERMINAL)) == 1


def test_a_sale_is_not_held_up_by_a_settlement_that_the_host_has_not_heard_of():
    shop = at_night(**{"idle.lock_minutes": 60})
    shop.sell(1000)
    shop.link.down = "timeout"
    shop.until(lambda: shop.terminal.settlement.running is not None or not shop.terminal.signed_on(), 60 * MINUTES)
    shop.link.down = None
    shop.sell(5)
    assert differ(shop) == []


# -- paper, sign-off


def test_automatic_sign_off_ends_the_day_at_the_log_in_page():
    shop = opened(**{"settle.sign_off": True})
    shop.sell(100)
    settle(shop)
    shop.walk(("新批次号 对账平", "ENTER"), ("打印交易明细", "CANCEL"), ("操作员号", None))
    assert not shop.terminal.signed_on() and not shop.bank.terminal(TERMINAL).signed_on and batches(shop) == (2, 2)
    shop.log_in()
    shop.sell(5)
    assert differ(shop) == []


def test_the_last_settlement_can_be_printed_again_and_says_so(shop):
    day(shop)
    settle(shop)
    done(shop, "对账平")
    first = paper_of(shop)
    shop.sell(5)
    shop.walk(("6 管理", "5"), ("打印", "5"), ("打印交易明细", "ENTER"), ("6 管理", None))
    again = shop.paper[shop.paper.rindex("结算总计单") :]
    assert "重打印" in again and "净额:RMB 67.00" in again and again.count("对账平") == 2
    assert "交易明细单" in again and "000002 消费" in again and first.count("对账平") == 2


def test_totals_and_details_are_printed_before_the_settlement_too(shop):
    day(shop)
    shop.walk(("6 管理", "5"), ("打印", "3"), ("6 管理", "5"))
    assert "交易汇总单" in shop.paper and "净额:RMB 67.00" in shop.paper and "对账" not in shop.paper
    shop.walk(("打印", "4"), ("6 管理", None))
    assert "交易明细单" in paper_of(shop) and paper_of(shop).count(" /C") == 4


def test_an_empty_paper_roll_delays_the_slip_and_nothing_else(shop):
    shop.sell(100)
    shop.printer.paper_out = True
    settle(shop)
    shop.walk(("新批次号", "ENTER"), ("打印机缺纸 账目已保存", None))
    assert batches(shop) == (2, 2)
    shop.printer.paper_out = False
    shop.walk(("缺纸", "ENTER"), ("打印交易明细", "CANCEL"), ("6 管理", None))
    assert "结算总计单" in paper_of(shop)


# -- five hundred

RECORD = {
    "pin": False,
    "at": "20261120103400",
    "operator": "01",
    "scheme": "CUP",
    "sequence": "001",
    "condition": "00",
    "original": 0,
}
STRIPE_RECORD = {**RECORD, "entry": "02", "cvm": "none"}
SALES = 500
ROUND_TRIP_MS = 300


def sealed(shop, card="debit"):
    kept = []

    def work():
        from binascii import b2a_base64

        event = yield Ask("vault", "seal", card_data(shop.shelf.card(card).pan, "3012"))
        return b2a_base64(event.value).decode().strip()

    shop.terminal.tasks.start(work(), kept.append)
    shop.run(100)
    return kept[0]


def fill(shop, **what):
    """So many sales on both sides, without anybody selling them."""
    ledger, pan, ciphertext = shop.terminal.ledger, shop.shelf.card("debit").pan, sealed(shop)
    with shop.bank.writing():
        for fen in range(1, SALES + 1):
            record = {
                **STRIPE_RECORD,
                "kind": "sale",
                "trace": "%06d" % ledger.next_trace(),
                "fen": fen,
                "sealed": ciphertext,
                "pan": pan[:6],
                **what,
            }
            ledger.sent(record, shop.terminal.calendar.now_s())
            reference = "%012d" % record["id"]
            ledger.approved(record, {"code": "00", "reference": reference})
            ledger.printed(record, 2)
            number = shop.bank.next_id()
            booked = Transaction(
                number,
                0,
                TERMINAL,
                MERCHANT,
                record["batch"],
                record["trace"],
                "sale",
                pan,
                fen,
                "00",
                reference,
                "",
                None,
                APPROVED,
            )
            shop.bank.record(booked)


@pytest.mark.parametrize(
    ("what", "messages"),
    [({}, 63 + 2), ({"entry": "05", "chip55": "9F26081122334455667788"}, SALES + 2)],
    ids=["stripe", "chip"],
)
def test_five_hundred_sales_are_uploaded_in_as_many_round_trips_as_there_are_messages(shop, what, messages):
    fill(shop, **what)
    shop.rules.add("next on settlement unbalance")
    shop.link.connect_ms, shop.link.travel_ms = ROUND_TRIP_MS, ROUND_TRIP_MS // 2
    since, connections = len(shop.messages), []
    shop.link.reach = lambda point: connections.append(point) if point == "link:connect" else None
    shop.walk(*SETTLE, ("净额", None))
    shop.type("ENTER")
    begun = shop.time_ms
    shop.until("新批次号", within_ms=3_600_000)
    floor_ms = (messages + 1) * ROUND_TRIP_MS
    assert len(connections) == 1 and said(shop, since).count("→") == 0 and said(shop, since).count("0320") == messages - 1
    assert shop.time_ms - begun <= floor_ms * 11 // 10
    assert host(shop).settled(TERMINAL)[0].uploaded == SALES and host(shop).disputes(TERMINAL) == [] and batches(shop) == (2, 2)


def test_a_host_that_closes_after_each_answer_gets_a_connection_a_message(shop):
    day(shop)
    ((place, opened_at),) = shop.link.hosts.items()

    def closing():
        receive = opened_at()
        return lambda data: [answer for one in receive(data) for answer in (one, (one[0], None))]

    shop.link.hosts[place] = closing
    begun = shop.time_ms
    settle(shop)
    shop.until("新批次号")
    assert shop.time_ms - begun < 20_000, "nobody waits for an answer on a connection that has gone"
    done(shop, "对账平", "已上送 3笔")


# -- the power goes


def ready(**parameters):
    """A till with a day behind it, quiet, whose totals the host will not agree with."""
    till = Till(parameters={**STRIPE, "reversal.again_s": 60, **parameters})
    till.log_in()
    till.sell(5678)
    swiped(till, 300)
    swiped(till, 400)
    till.rules.add("always on settlement unbalance")
    till.run(5_000)
    return till


def walk(till):
    settle(till)
    till.walk(("新批次号", "ENTER"), ("打印交易明细", "CANCEL"))
    till.until(lambda: till.state in ("Menu", "Login"))


def length(**parameters):
    till = ready(**parameters)
    commits = till.store.commits
    till.arm()
    walk(till)
    return till.steps, till.store.commits - commits


def cut(arm, what, **parameters):
    """The power goes in a settlement; it is back, and nobody is there. At which step it stood then."""
    till = ready(**parameters)
    arm(till)
    with pytest.raises(Lost):
        walk(till)
    assert till.cut, "%s: the power did not go" % what
    till.cut_at = None
    till.store.fuse(0)
    till.power_on()
    running = till.terminal.settlement.running
    step = running["step"] if running else ""
    if step:
        till.until(lambda: "上次结算中断" in till.text)
    till.run(20 * MINUTES)
    if till.terminal.ledger.batch == "000001":
        assert not step, "%s: it did not go on" % what
        till.log_in()
        walk(till)
    assert till.terminal.settlement.running is None and batches(till) == (2, 2), what
    kept = till.terminal.settlement.last()
    assert kept["uploaded"] == 3 and not kept["denied"] and not kept["unsent"], what
    (settled,) = host(till).settled(TERMINAL)
    assert settled.state == "settled" and settled.uploaded == 3 and host(till).disputes(TERMINAL) == [], what
    assert till.differ() == [], "%s: %s" % (what, till.differ())
    return step


def test_a_settlement_goes_on_at_its_step_whichever_event_the_power_goes_before():
    steps, _ = length()
    found = [cut(lambda till, n=n: till.arm(n), "before step %d" % n) for n in range(steps)]
    order = ["", "open", "ask", "upload", "end", ""]
    seen = [found[0]] + [after for before, after in pairwise(found) if before != after]
    assert seen == order, "each step was cut, one after the other"


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_a_settlement_goes_on_at_its_step_whichever_commit_the_power_goes_at(after):
    _, commits = length()
    found = [cut(lambda till, n=n: till.store.fuse(n, after), "at commit %d" % n) for n in range(1, commits + 1)]
    assert {"open", "ask", "upload", "end"} <= set(found)


def test_a_settlement_that_signs_off_goes_on_at_its_step_too():
    signs_off = {"settle.sign_off": True}
    _, commits = length(**signs_off)
    found = [cut(lambda till, n=n: till.store.fuse(n, True), "at commit %d" % n, **signs_off) for n in range(1, commits + 1)]
    assert "sign-off" in found


@pytest.mark.parametrize("point", ["link:connect", "link:send", "link:sent", "link:receive"])
def test_a_settlement_goes_on_whichever_message_was_under_way_when_the_power_went(point):
    seen = [0]
    till = ready()
    till.link.reach = lambda where: seen.__setitem__(0, seen[0] + (where == point))
    walk(till)
    assert seen[0] == (1 if point == "link:connect" else 4)
    for which in range(1, seen[0] + 1):

        def arm(till, which=which):
            count = [0]

            def reached(where):
                if where == point:
                    count[0] += 1
                    if count[0] == which:
                        till.later(0, lambda: (till.plug(), setattr(till, "cut", True)))

            till.link.reach = reached

        cut(arm, "%s %d" % (point, which))


def test_the_power_may_go_again_and_again():
    steps, _ = length()
    for first in range(5, steps, 3):
        till = ready()
        till.arm(first)
        with pytest.raises(Lost):
            walk(till)
        for again in (3, 9, 12, 15):
            till.power_on()
            till.arm(again)
            till.run(60_000)
            if not till.cut:
                till.plug()
        till.cut_at = None
        till.power_on()
        till.run(20 * MINUTES)
        if till.terminal.ledger.batch == "000001":
            till.log_in()
            walk(till)
        assert batches(till) == (2, 2) and till.differ() == [] and host(till).disputes(TERMINAL) == []


def test_a_slip_that_the_power_cut_is_printed_for_the_next_person(shop):
    shop.sell(100)
    settle(shop)
    shop.until("新批次号")
    shop.plug()
    shop.power_on()
    shop.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "0000 ENTER"))
    done(shop, "结算完成")
    assert "结算总计单" in paper_of(shop)


def test_only_whole_answers_are_looked_at_while_the_connection_is_kept(shop):
    """Pieces, and an old answer in front of the right one."""
    day(shop)
    shop.rules.add("next 2 on batch-chip twice")
    shop.rules.add("next on batch-end merged")
    shop.link.split = 7
    settle(shop)
    done(shop, "对账平", "已上送 3笔")
    assert json.loads(shop.store.get("settlements", "0000000001"))["step"] == "done"


def test_the_upload_of_a_swiped_refund_names_its_card(shop):
    swiped(shop, 1000)
    reference = shop.terminal.ledger.last()["reference"]
    shop.walk(("6 管理", "7"), ("请输入6位密码", "123456 ENTER"), ("原参考号", reference + " ENTER"), ("确认退货", "ENTER"))
    shop.walk(("请输入金额", "ENTER"), ("卡", lambda shop: shop.swipe("stripe")), ("请撕下", "ENTER"), ("6 管理", None))
    told = []
    shop.acquirer.log = lambda kind, text: told.append(text)
    shop.walk(*SETTLE)
    shop.walk(("结算", "ENTER"))
    shop.until("结算完成")
    upload = [text for text in told if text.startswith("→ 0320") and "退货" in text]
    assert len(upload) == 1 and "F2 " in upload[0] and "F35" not in upload[0]


# -- why it does not go on, and what each upload says


def test_the_page_says_why_a_settlement_does_not_go_on(shop):
    shop.sell(100)
    shop.rules.add("always on settlement silence")
    settle(shop)
    shop.walk(("结算未完成 银行主机没有应答 批次冻结", "CANCEL"), ("6 管理", None))


def test_a_sign_on_that_is_refused_before_a_settlement_is_said_with_its_code(shop):
    shop.sell(100)
    shop.terminal.signed_off()
    shop.rules.add("always on sign-on decline 03")
    settle(shop)
    shop.walk(("结算未完成 应答码03 商户未登记", None))
    assert shop.terminal.settlement.running is None and "0500" not in said(shop)


def test_totals_that_do_not_fit_their_field_are_not_sent(shop):
    shop.sell(100)
    shop.terminal.ledger._totals = {"CUP": {"sale": [batch.COUNT_LIMIT + 1, 100]}}
    settle(shop)
    shop.walk(("结算未完成 超出对账报文的范围 账目未变", None))
    assert shop.terminal.settlement.running is None and "0500" not in said(shop)


def test_the_slip_of_a_settlement_comes_out_once(shop):
    shop.sell(100)
    settle(shop)
    done(shop)
    assert shop.paper.count("结算总计单") == 1


@pytest.mark.parametrize(("rule", "style"), [("", ""), ("next on settlement unbalance", "alert")])
def test_a_day_that_does_not_balance_is_shown_as_an_alarm(shop, rule, style):
    shop.sell(100)
    if rule:
        shop.rules.add(rule)
    settle(shop, ("新批次号", None))
    assert shop.screen.style == style


HEAD = {2, 4, 11, 14, 22, 41, 42, 49, 60, 62}


def test_the_upload_of_a_chip_has_every_field_that_it_must_have_and_no_other(shop):
    shop.sell(100)
    record = shop.record()
    heard = listen(shop)
    settle(shop)
    done(shop)
    (fields,) = [fields for mti, fields in heard if mti == "0320" and 62 in fields]
    assert set(fields) - {23} == HEAD | {55} and fields[22] == record["entry"] + "2" and fields[11] == record["trace"]
    assert fields[2] == shop.shelf.card("debit").pan and fields[4] == "%012d" % 100
    assert batch.read_chip(fields[62]) == batch.Result(batch.DONE, batch.UNIONPAY_CARDS, 100)


def test_the_upload_of_a_refund_has_no_tip_and_no_secrets(shop):
    shop.sell(10_000)
    refund(shop, shop.record()["reference"], "3000")
    home(shop)
    heard = listen(shop)
    settle(shop)
    done(shop)
    (fields,) = [fields for mti, fields in heard if mti == "0320" and fields.get(3) == "200000"]
    assert {2, 3, 4, 11, 37, 49, 60} <= set(fields) and not {35, 36, 48, 52, 53, 64} & set(fields)
    assert fields[60] == "25" + "000001" + batch.UPLOAD and fields[11] == shop.record()["trace"]
