"""Each row of the table of transactions, walked at the counter against the acquirer: what leaves, what comes of it, its slip.

ROWS says of each kind what a person does up to the card, and what the bank must hear, field by field. A row of the table that
is not in it fails the first test.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest

from emulator.acquirer.rules import KINDS
from emulator.world import MERCHANT, TERMINAL
from firmware import transactions
from firmware.iso8583 import unionpay
from firmware.settlement import halves
from firmware.states.online import Blocked
from firmware.states.result import Declined
from firmware.states.supervisor import Release
from firmware.transactions import FORGET, NOTICE, REPEAT, REVERSE, TABLE
from tests.books import disagreements, openings
from tests.flows.scenarios import INSERT, SWIPE, TAP, Shop, present
from tests.flows.test_replies import listen, of_type
from tests.flows.test_transactions import EVERYTHING, supervised, typed_card

CARDS = {TAP: "debit", INSERT: "debit", SWIPE: "stripe"}
TYPED = "typed"
ENDS = (
    "NextCopy", "Approved", "Declined", "Reversed", "Unresolved", "Repeating", "NotSent", "Blocked", "CardTrouble", "ShowBalance",
    "AskRest", "Cancelled", "Menu",
)  # fmt: skip
HOUR_MS = 3_600_000


# -- a person, from the menu to the card


def menu(shop, digits, *steps):
    first, *rest = digits
    shop.walk(("6 管理", first), *[("1 ", digit) for digit in rest])
    shop.walk(*steps)


def sale(shop):
    menu(shop, "1", ("请输入金额", "1234 ENTER"))


def void(shop):
    menu(shop, "2")
    supervised(shop, ("原凭证号", shop.first["trace"] + " ENTER"), ("确认撤销 100.00", "ENTER"))


def refund(shop):
    menu(shop, "7")
    supervised(shop, ("原参考号", shop.first["reference"] + " ENTER"), ("确认退货 100.00", "ENTER"), ("请输入金额", "3000 ENTER"))


def preauth(shop):
    menu(shop, "81", ("请输入金额", "10000 ENTER"))


def on_hold(shop, digit, *steps):
    menu(shop, "8" + digit)
    if digit == "4":
        supervised(shop)
    shop.walk(("原授权码", shop.first["authorisation"] + " ENTER"), *steps)


def add(shop):
    on_hold(shop, "6", ("确认追加", "ENTER"), ("请输入金额", "5000 ENTER"))


def free(shop):
    on_hold(shop, "4", ("确认撤销预授权", "ENTER"))


def complete(shop, digit="2"):
    on_hold(shop, digit, ("确认完成", "ENTER"), ("请输入金额", "8000 ENTER"))


def void_completion(shop):
    menu(shop, "85")
    supervised(shop, ("原凭证号", shop.first["trace"] + " ENTER"), ("确认撤销完成 80.00", "ENTER"))


def balance(shop):
    menu(shop, "3")


def offline_sale(shop):
    menu(shop, "91")
    supervised(shop, ("请输入金额", "8000 ENTER"))
    typed_card(shop)
    shop.walk(("银行授权码", "123456 ENTER"), ("请核对金额 80.00", "ENTER"))


def adjust(shop):
    menu(shop, "92")
    supervised(shop, ("原凭证号", shop.first["trace"] + " ENTER"), ("确认调整", "ENTER"), ("请输入金额 80.00", "9000 ENTER"))


def tip(shop):
    menu(shop, "93", ("原凭证号", shop.first["trace"] + " ENTER"), ("确认加小费", "ENTER"), ("请输入小费", "500 ENTER"))


def moto(shop):
    menu(shop, "94", ("请输入金额", "2500 ENTER"))
    typed_card(shop)
    shop.walk(("请核对金额 25.00", "ENTER"))


def instalment(shop):
    menu(shop, "95", ("请输入金额", "60000 ENTER"), ("请选分期期数", "2"))


# -- and on from there


def go_on(shop, way=TYPED, card=""):
    """The card, its PIN, whatever page there is, up to what came of it: the name of that page."""
    card = card or CARDS.get(way, "")
    while shop.state not in ENDS:
        state = shop.state
        if state == "PresentCard":
            shop.run(200)
            shop.card = card
            present(shop, card, way)
        elif state in ("EnterPin", "ChipPin"):
            shop.until(lambda: "取消" in shop.text or "无则按确认" in shop.text)
            shop.type(shop.shelf.card(card or "debit").pin + " ENTER")
        elif state == "TakeCard":
            shop.pull()
        elif state == "ConfirmAmount":
            shop.type("ENTER")
        shop.until(lambda state=state: shop.state != state)
    return shop.state


def finish(shop):
    """Back to the menu; the slip, where there is one, in both copies."""
    for _ in range(20):
        if shop.state == "Menu":
            return
        shop.pull()
        shop.type("CANCEL" if shop.state in ("AskRest", "Blocked") else "ENTER")
        shop.run(3_000)
    raise AssertionError("stuck in %s:\n%s" % (shop.state, shop.text))


def made(shop, way, reach):
    """A transaction that another one needs: its record."""
    reach(shop)
    assert go_on(shop, way) == "NextCopy", shop.text
    finish(shop)
    shop.settle()
    return shop.record()


def sold(shop, way):
    return made(shop, way, lambda shop: menu(shop, "1", ("请输入金额", "10000 ENTER")))


def holding(shop, way):
    return made(shop, way, preauth)


def completed(shop, way):
    shop.first = holding(shop, way)
    return made(shop, way, complete)


def sold_offline(shop, way):
    return made(shop, TYPED, offline_sale)


# -- what the bank must hear

HEADER = {3, 4, 11, 22, 25, 41, 42, 49, 60, 64}
# How the card came: its fields, and F22's first digits. F55 only where the chip is asked for more than its number.
INPUT = {TAP: ("07", {2, 14, 23, 35, 53}), INSERT: ("05", {2, 14, 23, 35, 53}), SWIPE: ("02", {35, 53}), TYPED: ("01", {2, 14})}
PIN_FIELDS = {26, 52, 53}
NOT_IN_REVERSAL = {26, 35, 36, 37, 52, 53, 55}
NONE6 = "000000"


def original(shop, date=""):
    """F61 of the first transaction."""
    return shop.first["batch"] + shop.first["trace"] + date


def day(shop):
    return shop.first["host_date"]


class Row(NamedTuple):
    """One kind, as host.md §3 has it.

    reach         from the menu up to the card, or all the way where there is none
    request       (message type, F3, F25, F60.1)
    fen           F4; None: not there
    more          shop -> {field: value} besides those that all have
    needs         what must be there before: (shop, way) -> its record, which is shop.first
    full          the chip is asked for a cryptogram
    supervisor    whether his password is asked for
    net           what it adds to the settlement: (debit fen, credit fen)
    slip          words of its copies; {names} are the first record's
    undone        F61 of its reversal names itself: "original" batch and trace, "dated" the day too, "" none
    no, back      the page's words about the money: refused, and after the reversal
    switches      (whether the card is wanted, whether a PIN is), where parameters say so
    module        the parameter that it is there by; title: its entry in the menu
    """

    reach: Callable[[Shop], None]
    request: tuple
    fen: "int | None"
    slip: tuple
    more: Callable[[Shop], dict] = lambda shop: {}
    needs: "Callable[[Shop, str], dict] | None" = None
    full: bool = True
    supervisor: bool = False
    net: tuple = (0, 0)
    undone: str = ""
    no: str = "未扣款"
    back: str = "已冲正 未扣款"
    switches: tuple = ("", "")
    module: str = ""
    title: str = ""
    ways: tuple = (TAP, INSERT, SWIPE)


def held_by(shop, dated=True):
    return {38: shop.first["authorisation"], 61: original(shop, day(shop)) if dated else "0" * 16}


def named(shop, date=False):
    return {37: shop.first["reference"], 38: shop.first["authorisation"], 61: original(shop, day(shop) if date else "")}


ROWS = {
    "sale": Row(sale, ("0200", "000000", "00", "22"), 1234, ("交易类型:消费", "金额:RMB 12.34"), net=(1234, 0)),
    "void": Row(
        void, ("0200", "200000", "00", "23"), 10000, ("交易类型:撤销", "金额:RMB -100.00", "原凭证号:{trace}"),
        named, sold, supervisor=True, net=(0, 10000), undone="original", no="原消费仍有效", back="已冲正 原消费有效",
        switches=("void.card", "void.pin"),
    ),
    "refund": Row(
        refund, ("0220", "200000", "00", "25"), 3000, ("交易类型:退货", "金额:RMB -30.00", "原参考号:{reference}"),
        lambda shop: named(shop, True) | {63: b"CUP"}, sold, full=False, supervisor=True, net=(0, 3000), no="未退款",
        switches=("refund.card", ""), module="module.refund", title="退货",
    ),
    "preauth": Row(
        preauth, ("0100", "030000", "06", "10"), 10000, ("交易类型:预授权", "金额:RMB 100.00"),
        no="未冻结", back="已冲正 未冻结", module="module.preauth", title="预授权",
    ),
    "preauth-add": Row(
        add, ("0100", "030000", "60", "10"), 5000, ("交易类型:追加预授权", "金额:RMB 50.00", "原授权码:{authorisation}"),
        lambda shop: held_by(shop, False), holding, no="未冻结", back="已冲正 未冻结", module="module.preauth", title="预授权",
    ),
    "preauth-void": Row(
        free, ("0100", "200000", "06", "11"), 10000, ("交易类型:预授权撤销", "原授权码:{authorisation}"),
        held_by, holding, full=False, supervisor=True, undone="dated", no="原预授权仍有效", back="已冲正 原授权有效",
        switches=("preauth_void.card", "preauth_void.pin"), module="module.preauth", title="预授权",
    ),
    "complete": Row(
        complete, ("0200", "000000", "06", "20"), 8000, ("交易类型:预授权完成请求", "金额:RMB 80.00", "原授权码:{authorisation}"),
        held_by, holding, full=False, net=(8000, 0), no="原预授权仍有效", back="已冲正 原授权有效",
        switches=("complete.card", "complete.pin"), module="module.preauth", title="预授权",
    ),
    "complete-notice": Row(
        partial(complete, digit="3"), ("0220", "000000", "06", "24"), 8000, ("交易类型:预授权完成通知", "金额:RMB 80.00"),
        held_by, holding, full=False, net=(8000, 0), no="原预授权仍有效", switches=("complete.card", ""), module="module.preauth",
        title="预授权",
    ),
    "complete-void": Row(
        void_completion, ("0200", "200000", "06", "21"), 8000, ("交易类型:完成撤销", "金额:RMB -80.00", "原凭证号:{trace}"),
        lambda shop: named(shop, True), completed, full=False, supervisor=True, net=(0, 8000), undone="dated",
        no="原消费仍有效", back="已冲正 原消费有效", switches=("complete_void.card", "complete_void.pin"), module="module.preauth",
        title="预授权",
    ),
    "balance": Row(balance, ("0200", "310000", "00", "01"), None, ()),
    "offline-sale": Row(
        offline_sale, ("0220", "000000", "00", "30"), 8000, ("交易类型:离线结算", "金额:RMB 80.00", "授权码:123456"),
        lambda shop: {38: "123456", 48: "0" * 12}, supervisor=True, net=(8000, 0), module="module.offline", title="离线结算",
        ways=(TYPED,),
    ),
    "adjust": Row(
        adjust, ("0220", "000000", "00", "32"), 9000, ("交易类型:结算调整", "金额:RMB 90.00", "原凭证号:{trace}"),
        lambda shop: named(shop) | {48: "0" * 12}, sold_offline, supervisor=True, net=(1000, 0), module="module.offline",
        title="结算调整", ways=(TYPED,),
    ),
    "tip": Row(
        tip, ("0220", "000000", "00", "34"), 10500, ("交易类型:小费", "小费:5.00", "金额:RMB 105.00", "原凭证号:{trace}"),
        lambda shop: named(shop) | {48: "%012d" % 500}, sold, net=(500, 0), module="module.tip", title="小费", ways=(TYPED,),
    ),
    "moto": Row(
        moto, ("0200", "000000", "08", "22"), 2500, ("交易类型:订购消费", "金额:RMB 25.00", "持卡人不在场"),
        net=(2500, 0), module="module.moto", title="订购", ways=(TYPED,),
    ),
    "instalment": Row(
        instalment, ("0200", "000000", "64", "22"), 60000, ("交易类型:分期付款", "金额:RMB 600.00", "分期期数:6"),
        lambda shop: {62: b"06" + b" " * 30 + b"0"}, net=(60000, 0), module="module.instalment", title="分期",
    ),
}  # fmt: skip
OF_TABLE = {row.name: row for row in TABLE}
EACH = [(name, way) for name, row in ROWS.items() for way in row.ways]
FIRST_WAYS = [(name, row.ways[0]) for name, row in ROWS.items()]


def unknown(*ends):
    """(name, way) of the rows whose unknown result becomes one of these."""
    return [(name, way) for name, way in FIRST_WAYS if name in OF_TABLE and OF_TABLE[name].unknown in ends]


def opened(name="", way=TAP, **parameters):
    """A shop at its menu, with what the row needs."""
    shop = Shop({**EVERYTHING, **parameters})
    shop.before = openings(shop.bank)
    shop.log_in()
    shop.run(3_000)
    shop.first = {}
    row = ROWS.get(name)
    if row is not None and row.needs:
        shop.first = row.needs(shop, SWIPE if way == SWIPE else TAP)
    shop.since = len(shop.messages)
    shop.heard = listen(shop)
    shop.claimed = claim(shop)
    return shop


def claim(shop):
    """What a settlement would tell of the batch: (debit fen, credit fen)."""
    both = halves(shop.terminal.ledger.totals_by_scheme())
    return (both[0].debit_fen + both[1].debit_fen, both[0].credit_fen + both[1].credit_fen)


def grown(shop):
    return tuple(after - before for before, after in zip(shop.claimed, claim(shop), strict=True))


def differ(shop):
    return disagreements(shop.terminal.ledger, shop.store, shop.bank, TERMINAL, MERCHANT, shop.before)


def test_every_row_of_the_table_has_its_scenarios():
    assert set(ROWS) == {row.name for row in TABLE} and set(ROWS) <= set(KINDS)
    assert all(row.slip for name, row in ROWS.items() if OF_TABLE[name].kept)


@pytest.mark.parametrize("row", [row for row in TABLE if row.kept], ids=repr)
def test_each_kind_of_the_table_looks_at_a_swiped_card_shows_the_amount_and_names_its_original(row):
    steps = row.steps
    if transactions.CARD in steps:
        assert steps[steps.index(transactions.CARD) + 1] == transactions.LAST_FOUR
    if not row.finds:  # nobody has seen an original: card and amount are shown together
        assert transactions.CONFIRM in steps and transactions.AMOUNT in steps
    assert ("code" in row.names) is bool(row.finds), "the bank's code of the original, where it gave one"
    assert bool(row.finds) is bool(row.undoes) is bool(row.holds)
    assert steps[-2:] == (transactions.AUTHORISE, transactions.SLIP)


# -- approved


@pytest.mark.parametrize(("name", "way"), EACH, ids=lambda word: str(word))
def test_each_kind_is_approved_booked_and_printed(name, way):
    row, shop = ROWS[name], opened(name, way)
    row.reach(shop)
    end = go_on(shop, way)
    assert end == ("ShowBalance" if name == "balance" else "NextCopy"), shop.text
    finish(shop)
    shop.settle()
    mti = row.request[0]
    assert shop.said(shop.since) == "%s %s" % (mti, unionpay.reply_to(mti))
    if OF_TABLE[name].kept:
        record = shop.record()
        assert (record["kind"], record["phase"], record["fen"]) == (name, "approved", row.fen)
        slip = shop.paper[shop.paper.rindex("商户存根") :]
        for words in row.slip:
            assert words.format(**shop.first) in slip, slip
        assert "流水号" in slip or record["trace"] in slip
    assert grown(shop) == row.net and differ(shop) == [] and shop.books_agree()


@pytest.mark.parametrize(("name", "way"), EACH, ids=lambda word: str(word))
def test_each_kind_says_to_the_bank_what_it_must_and_nothing_else(name, way):
    row, shop = ROWS[name], opened(name, way)
    row.reach(shop)
    go_on(shop, way)
    finish(shop)
    shop.settle()
    ((mti, fields),) = shop.heard
    more = row.more(shop)
    private = unionpay.read_private60(fields[60])
    assert (mti, fields[3], fields[25], private.kind) == row.request
    assert (private.batch, private.code, len(fields[60])) == (shop.terminal.ledger.batch, "000", 14), "60.1 to 60.6"
    assert fields.get(4) == (None if row.fen is None else "%012d" % row.fen)
    entry, named_by = INPUT[way]
    pin = 52 in fields
    wanted = HEADER | named_by | set(more) | (PIN_FIELDS if pin else set())
    if row.fen is None:
        wanted -= {4}
    if row.full and way in (TAP, INSERT):
        wanted |= {55}
    assert set(fields) == wanted
    assert {number: fields[number] for number in more} == more
    assert fields[22] == entry + ("1" if pin else "2") and fields[41] == TERMINAL and fields[42] == MERCHANT and fields[49] == "156"
    if 53 in fields:
        assert fields[53] == ("26" if pin else "06") + "0" * 14
    if name != "balance":
        assert fields[11] == shop.record()["trace"]


# -- refused


@pytest.mark.parametrize(("name", "way"), unknown(REVERSE, REPEAT, FORGET), ids=lambda word: str(word))
def test_each_kind_that_the_bank_refuses_moves_nothing_and_says_so(name, way):
    row, shop = ROWS[name], opened(name, way)
    shop.rules.add("next on %s decline 57" % name)
    row.reach(shop)
    assert go_on(shop, way) == "Declined" and "57" in shop.text
    assert all(word in shop.text for word in row.no.split()), shop.text
    finish(shop)
    if OF_TABLE[name].kept:
        assert (shop.record()["kind"], shop.record()["phase"], shop.record()["code"]) == (name, "declined", "57")
    assert grown(shop) == (0, 0) and differ(shop) == [] and shop.books_agree()


@pytest.mark.parametrize(("name", "way"), unknown(NOTICE), ids=lambda word: str(word))
def test_each_kind_that_is_told_later_and_then_refused_is_listed_and_not_counted(name, way):
    row, shop = ROWS[name], opened(name, way)
    shop.rules.add("next on %s decline 57" % name)
    row.reach(shop)
    assert go_on(shop, way) == "NextCopy"
    finish(shop)
    shop.settle()
    assert shop.record()["refused"] == "57" and shop.terminal.ledger.refused_uploads == 1
    shop.walk(("6 管理 上送被拒", None))
    assert grown(shop) == (0, 0) and differ(shop) == [] and shop.books_agree()


# -- no answer


@pytest.mark.parametrize("fault", ["silence", "ignore", "wrong-mac", "cut-after"])
@pytest.mark.parametrize(("name", "way"), unknown(REVERSE), ids=lambda word: str(word))
def test_each_kind_that_can_be_undone_is_reversed_when_nobody_answers(name, way, fault):
    row, shop = ROWS[name], opened(name, way)
    shop.rules.add("next on %s %s" % (name, fault))
    row.reach(shop)
    assert go_on(shop, way) == "Reversed"
    assert all(word in shop.text for word in row.back.split()), shop.text
    finish(shop)
    said = shop.said(shop.since).replace(" %s" % unionpay.reply_to(row.request[0]), "")
    assert said == "%s 0400 0410" % row.request[0]
    assert shop.record()["phase"] == "reversed" and grown(shop) == (0, 0) and differ(shop) == [] and shop.books_agree()


@pytest.mark.parametrize(("name", "way"), [one for one in EACH if one in unknown(REVERSE) or one[1] != TAP and one[0] in dict(unknown(REVERSE))])
def test_each_reversal_is_the_request_but_for_what_host_md_leaves_out(name, way):
    row, shop = ROWS[name], opened(name, way)
    shop.rules.add("next on %s silence" % name)
    row.reach(shop)
    go_on(shop, way)
    finish(shop)
    (_, request), (mti, fields) = shop.heard
    assert mti == "0400"
    wanted = set(request) - NOT_IN_REVERSAL - {61} | {2, 14, 39}
    if row.full and way in (TAP, INSERT):
        wanted |= {55}
    if row.undone:
        wanted |= {61}
        assert fields[61] == request[60][2:8] + request[11] + (request[61][12:16] if row.undone == "dated" else "")
    assert set(fields) == wanted
    same = set(request) & wanted - {55, 61, 64}
    assert {number: fields[number] for number in same} == {number: request[number] for number in same}
    assert fields[39] == "98" and fields[64] != request[64]
    if 55 in fields:
        assert fields[55][:1] == b"\x95" and len(fields[55]) < len(request[55])


@pytest.mark.parametrize("fault", ["silence", "ignore"])
@pytest.mark.parametrize(("name", "way"), [one for one in EACH if one[0] in dict(unknown(REPEAT))], ids=lambda word: str(word))
def test_each_kind_that_cannot_be_undone_is_repeated_identically_until_it_is_answered(name, way, fault):
    row, shop = ROWS[name], opened(name, way)
    shop.rules.add("always on %s %s" % (name, fault))
    row.reach(shop)
    assert go_on(shop, way) == "Repeating" and "未知" in shop.text
    finish(shop)
    assert grown(shop) == (0, 0) and shop.terminal.ledger.to_repeat()
    shop.rules.clear()
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=HOUR_MS)
    assert {mti for mti, _ in shop.heard} == {"0220"} and len(shop.heard) > 3
    assert len({repr(sorted(fields.items())) for _, fields in shop.heard}) == 1
    assert shop.record()["phase"] == "approved" and grown(shop) == row.net and differ(shop) == [] and shop.books_agree()


@pytest.mark.parametrize(("name", "way"), unknown(NOTICE), ids=lambda word: str(word))
def test_each_kind_that_is_told_later_is_told_until_it_is_answered_and_booked_once(name, way):
    row, shop = ROWS[name], opened(name, way)
    shop.rules.add("next 2 on %s silence" % name)
    row.reach(shop)
    assert go_on(shop, way) == "NextCopy" and shop.record()["owed"]
    finish(shop)
    shop.settle()
    assert [mti for mti, _ in shop.heard] == ["0220"] * 3 and grown(shop) == row.net and differ(shop) == []
    assert len({repr(sorted(fields.items())) for _, fields in shop.heard}) == 1


def test_a_balance_that_nobody_answers_leaves_nothing_behind():
    shop = opened("balance")
    shop.rules.add("next on balance silence")
    balance(shop)
    assert go_on(shop, TAP) == "NotSent" and "未扣款" in shop.text
    finish(shop)
    assert shop.said(shop.since) == "0200" and shop.record() is None and shop.books_agree()


# -- rights


@pytest.mark.parametrize("name", ROWS)
def test_each_kind_asks_for_the_supervisor_where_it_takes_money_back_or_makes_it_up(name):
    row, shop = ROWS[name], opened(name)
    shop.pages.clear()
    row.reach(shop)
    assert ("AskSupervisor" in shop.pages) is row.supervisor is (transactions.SUPERVISOR in OF_TABLE[name].steps)


@pytest.mark.parametrize("digits", ["2", "7", "84", "85", "91", "92"])
def test_a_wrong_password_of_the_supervisor_begins_nothing(digits):
    shop = opened()
    menu(shop, digits, ("请输入6位密码", "654321 ENTER"), ("密码错", "ENTER"), ("6 管理", None))
    assert shop.terminal.draft is None and shop.heard == [] and shop.record() is None


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.module])
def test_each_kind_whose_module_is_switched_off_is_in_no_menu(name):
    row = ROWS[name]
    assert OF_TABLE[name].module == row.module
    for on in (True, False):
        shop = opened(**{row.module: on})
        seen = []
        for digit in ("", "8", "9"):
            finish(shop)
            shop.type(digit)
            shop.run(100)
            for _ in range(2 if shop.state == "Menu" else 0):
                seen.append(shop.text)
                shop.type("DOWN")
            shop.type("CANCEL")
            shop.run(100)
            shop.type("CANCEL ENTER")
            shop.run(3_000)
        assert (row.title in "\n".join(seen)) is on, seen


# -- card and PIN by parameter

SWITCHED = [
    (name, card, pin)
    for name, row in ROWS.items() if row.switches[0]
    for card in (True, False)
    for pin in ((True, False) if row.switches[1] else (None,))
]  # fmt: skip


@pytest.mark.parametrize(("name", "card", "pin"), SWITCHED, ids=lambda word: str(word))
def test_each_kind_that_has_an_original_wants_card_and_pin_as_its_parameters_say(name, card, pin):
    row = ROWS[name]
    set_to = dict(zip(row.switches, (card, pin), strict=True))
    set_to.pop("", None)
    shop = opened(name, TAP, **set_to)
    shop.pages.clear()
    row.reach(shop)
    assert go_on(shop, TAP if card else TYPED) == "NextCopy", shop.text
    finish(shop)
    assert ("PresentCard" in shop.pages) is card and ("EnterPin" in shop.pages) is bool(pin)
    ((_, fields),) = shop.heard
    pin_fields = PIN_FIELDS if pin else set()
    wanted = HEADER | (INPUT[TAP if card else TYPED][1]) | pin_fields | set(row.more(shop))
    if card and row.full:
        wanted |= {55}
    assert set(fields) == wanted and fields[22] == ("07" if card else "01") + ("1" if pin else "2")
    assert fields[2] == shop.shelf.card("debit").pan and differ(shop) == []


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.switches[0]])
def test_another_card_than_the_originals_is_refused_before_anything_is_sent(name):
    shop = opened(name)
    ROWS[name].reach(shop)
    assert go_on(shop, TAP, "credit") == "CardTrouble" and "不是原" in shop.text, shop.text
    shop.type("CANCEL")
    finish(shop)
    assert shop.heard == [] and differ(shop) == []


@pytest.mark.parametrize("name", ["void", "preauth-void", "complete", "complete-void"])
def test_a_pin_that_is_typed_without_a_card_is_asked_for_anew_behind_a_reversal(name):
    """What was cut before is found out on the way to the host."""
    row = ROWS[name]
    shop = opened(name, TAP, **dict(zip(row.switches, (False, True), strict=True)))
    shop.link.reach = lambda point: shop.later(0, shop.plug) if point == "link:sent" else None
    shop.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", lambda shop: present(shop, "debit", TAP)))
    shop.run(1_000)
    assert shop.machine is None
    shop.link.reach = lambda point: None
    shop.take()
    shop.rules.add("always on reversal ignore")
    shop.power_on()
    shop.walk(("断电时结果未知", "ENTER"))
    shop.log_in()
    row.reach(shop)
    assert go_on(shop) == "Blocked"
    shop.rules.clear()
    shop.type("ENTER")
    shop.until(lambda: shop.state == "EnterPin")
    assert go_on(shop) == "NextCopy"
    finish(shop)
    assert differ(shop) == []


@pytest.mark.parametrize("page", [Blocked, Declined, Release], ids=lambda page: page.__name__)
def test_a_page_that_begins_anew_leads_to_whatever_step_the_parameters_leave_first(page):
    assert {"PresentCard", "ConfirmAmount", "EnterPin", "Authorise"} <= set(page.leads_to)


def test_a_refund_without_card_that_is_refused_for_its_pin_may_be_sent_again():
    shop = opened("refund", TAP, **{"refund.card": False})
    shop.rules.add("next on refund decline 55")
    refund(shop)
    assert go_on(shop) == "Declined"
    shop.type("ENTER")
    assert shop.state == "ConfirmAmount" and go_on(shop) == "NextCopy"
    finish(shop)
    assert differ(shop) == []


# -- how much


@pytest.mark.parametrize(("percent", "most"), [(100, "100.00"), (115, "115.00"), (150, "150.00")])
def test_a_completion_is_at_most_its_share_of_what_is_held(percent, most):
    for digit in "23":
        shop = opened("complete", **{"preauth.ceiling_percent": percent})
        on_hold(shop, digit, ("确认完成", "ENTER"), ("请输入金额", "99999"), ("最多" + most, "CANCEL"), ("已取消", "ENTER"), ("6 管理", None))
        assert shop.heard == []


def test_a_refund_is_at_most_the_parameters_amount():
    shop = opened("refund", **{"refund.maximum_fen": 2_000})
    menu(shop, "7")
    supervised(shop, ("原参考号", shop.first["reference"] + " ENTER"), ("确认退货", "ENTER"), ("请输入金额", "ENTER"))
    shop.walk(("最多20.00", "CLEAR 2001"), ("最多20.00", "CLEAR 2000 ENTER"))
    assert go_on(shop, TAP) == "NextCopy" and shop.record()["fen"] == 2000


@pytest.mark.parametrize(("days", "old"), [(1, True), (30, False)])
def test_a_refund_is_possible_for_so_many_days(days, old):
    shop = opened("refund", **{"refund.days": days})
    shop.run(2 * 24 * HOUR_MS)
    shop.walk(("终端已锁定", "ENTER"), ("密码", "0000 ENTER"))
    menu(shop, "7")
    supervised(shop, ("原参考号", shop.first["reference"] + " ENTER"), ("已过退货期限" if old else "确认退货", "CANCEL"))


@pytest.mark.parametrize(("percent", "most"), [(0, "0.00"), (10, "10.00"), (20, "20.00")])
def test_a_tip_is_at_most_its_share_of_the_sale(percent, most):
    shop = opened("tip", **{"tip.percent": percent})
    menu(shop, "93", ("原凭证号", shop.first["trace"] + " ENTER"), ("确认加小费", "ENTER"), ("请输入小费", "2001 ENTER"), ("最多" + most, None))


def test_a_partly_approved_sale_that_is_undone_asks_back_what_was_asked_for():
    """The chip refuses after the bank has approved a part."""
    shop = opened(**{"sale.partial": True})
    shop.rules.add("next on sale partial 5.00")
    sale(shop)
    go_on(shop, INSERT, "second-refuses")
    finish(shop)
    (request,), (fields,) = of_type(shop.heard, "0200"), of_type(shop.heard, "0400")
    assert fields[4] == request[4] == "%012d" % 1234 and fields[60] == request[60] and request[60][-1] == "1"
    assert shop.record()["phase"] == "reversed" and differ(shop) == []


def of(name: str) -> Any:
    """(row, a walk of it on a till that is at its menu), for those that cut the power."""
    row = ROWS[name]

    def walk(till):
        row.reach(till)
        go_on(till, row.ways[0])
        finish(till)

    return row, walk
