"""Any bytes from host and card, any key order, a full disk, damaged records: a clear page, nothing lost, books that agree.

The world is strict: an exception in a handler, an undeclared move or a page that cannot be drawn fails the test.
"""

import json
from random import Random

import pytest

from drivers.render import Renderer
from emulator.acquirer.rules import parse
from emulator.world import HOST, MERCHANT, TERMINAL
from firmware.iso8583 import frame, unionpay
from firmware.parameters import REQUIRED, TABLE
from firmware.ports import StoreCorrupt, StoreError
from tests.flows.counter import Counter, tap
from tests.flows.monkey import WRONG, Monkey

RENDERER = Renderer((128, 64))


def shop(seed=1, **parameters):
    counter = Counter(seed=seed, parameters=parameters)
    counter.log_in()
    counter.run(3_000)  # signed on
    return counter


def logged(counter):
    return "\n".join(text for _, text in counter.log.lines)


def bend(counter, *changes):
    """The next replies of the host go through `changes`, one each: bytes -> bytes, or a list of pieces."""
    waiting = list(changes)
    acquirer = counter.acquirer

    def answered(receive, data):
        answers = receive(data)
        out = []
        for delay, answer in answers:
            if answer is not None and waiting:
                answer = waiting.pop(0)(answer)
            pieces = answer if isinstance(answer, list) else [answer]
            out += [(delay + place, piece) for place, piece in enumerate(pieces)]
        return out

    def open_conversation():
        receive = acquirer.open().receive
        return lambda data: answered(receive, data)

    counter.link.hosts[HOST] = open_conversation
    return waiting


def sale_to_its_end(counter, fen=1234):
    """A sale, whatever becomes of it, back to the menu. The state in which it ended."""
    counter.walk(("6", "1"), ("请输入金额", "%d ENTER" % fen), ("请挥卡", tap("debit", 600)))
    ends = ("NextCopy", "Declined", "Reversed", "Unresolved", "NotSent", "Blocked")
    counter.until(lambda: counter.state in ends)
    end = counter.state
    back_to_menu(counter)
    return end


def back_to_menu(counter, within=40):
    for _ in range(within):
        if counter.state == "Menu":
            return
        if counter.state == "Locked":
            counter.type("ENTER 0000")
        elif counter.state == "Login":
            counter.type("01 ENTER 0000")
        counter.type("ENTER" if counter.state != "Blocked" else "CANCEL")
        counter.run(5_000)
    raise AssertionError("stuck in %s:\n%s" % (counter.state, counter.text))


# -- the host


def test_a_reply_cut_at_any_byte_is_no_answer_and_the_sale_is_reversed():
    counter = shop()
    size = []
    bend(counter, lambda reply: size.append(len(reply)) or reply)
    assert sale_to_its_end(counter) == "NextCopy"
    for end in range(size[0]):
        bend(counter, lambda reply, end=end: reply[:end])
        assert sale_to_its_end(counter) == "Reversed", end
    assert counter.books_agree()


def test_a_reply_in_pieces_of_any_size_is_the_same_reply():
    counter = shop()
    for size in (1, 2, 3, 7, 50):
        bend(counter, lambda reply, size=size: [reply[i : i + size] for i in range(0, len(reply), size)])
        assert sale_to_its_end(counter) == "NextCopy"
    assert counter.books_agree()


def test_a_reply_with_one_bit_fallen_over_is_the_same_answer_or_none():
    """Behind the header every bit is under the MAC; before it nothing but the length decides anything."""
    counter, random = shop(), Random(5)
    ends = set()
    for _ in range(300):
        bit = []

        def flip(reply, bit=bit):
            bit.append(random.randrange(8 * len(reply)))
            bent = bytearray(reply)
            bent[bit[0] // 8] ^= 1 << bit[0] % 8
            return bytes(bent)

        bend(counter, flip)
        end = sale_to_its_end(counter)
        assert end == ("NextCopy" if 16 <= bit[0] < 13 * 8 else "Reversed"), bit
        ends.add(end)
        assert counter.books_agree()
    assert ends == {"NextCopy", "Reversed"}


def noise(random):
    """Replies that are none, of every kind that this test knows."""

    def lengths(reply):
        return random.choice((0, 1, 20, len(reply) - 3, len(reply), 4097, 65535)).to_bytes(2, "big") + reply[2:]

    def body(reply):
        return reply[:13] + random.randbytes(len(reply) - 13)

    def bitmap(reply):
        return reply[:15] + random.randbytes(8) + reply[23:]

    return random.choice((
        lambda reply: random.randbytes(random.randrange(1, 400)), lambda reply: b"\xff" * 70_000, lambda reply: bytes(100),
        lambda reply: [b"HTTP/1.1 400 Bad Request\r\n\r\n"], lambda reply: random.randbytes(5) + reply, lambda reply: b"",
        lambda reply: reply[:40] + reply, lengths, body, bitmap,
    ))  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_noise_instead_of_replies_ends_on_a_page_and_the_books_agree_when_it_is_over(seed):
    counter, random = shop(seed), Random(seed)
    for _ in range(25):
        rest = bend(counter, *[noise(random) for _ in range(random.randrange(1, 6))])
        assert sale_to_its_end(counter) in ("Reversed", "Unresolved", "Blocked", "NotSent", "NextCopy")
        rest.clear()
        counter.run(200_000)
        back_to_menu(counter)
        assert counter.books_agree()


def test_bytes_that_never_stop_end_with_the_time_for_the_reply():
    counter = shop()
    other = frame.pack(bytes(5), bytes(6), unionpay.codec().pack("0210", {11: "999999", 39: "00", 41: TERMINAL}))

    def host():
        return lambda data: [(10 * i, other) for i in range(9_000)]

    counter.link.hosts[HOST] = host
    before = counter.time_ms
    counter.walk(("6", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")))
    counter.until("交易结果未知", within_ms=200_000)
    assert counter.time_ms - before < 180_000


KEYS = bytes(range(16)) + b"\x01\x02\x03\x04" + bytes(range(16)) + b"\x01\x02\x03\x04"


@pytest.mark.parametrize(
    "changes",
    [{62: KEYS}, {62: KEYS[:-1]}, {62: b""}, {62: None}, {60: "00"}, {60: None}, {60: "00999999003"}, {39: "96"}, {39: None}, {41: "XX000001"}],
    ids=["check values", "short keys", "no bytes", "no keys", "short batch", "no batch", "other batch", "code", "no code", "terminal"],
)
def test_a_bad_reply_to_the_sign_on_changes_nothing_and_the_next_one_counts(changes):
    counter = shop()
    codec = unionpay.codec()

    def change(reply):
        mti, fields = codec.unpack(reply[13:])
        fields.update(changes)
        body = codec.pack(mti, {number: value for number, value in fields.items() if value is not None})
        return (len(body) + 11).to_bytes(2, "big") + reply[2:13] + body

    assert sale_to_its_end(counter) == "NextCopy"
    bend(counter, change)
    counter.walk(("6", "6"), ("签到", "1"))
    counter.until(lambda: counter.state == "Notice")
    if changes != {60: "00999999003"}:
        assert "完成" not in counter.text
    back_to_menu(counter)
    for _ in range(2):  # the host holds new keys, or another batch: one sale at most is refused for that
        end = sale_to_its_end(counter)
    assert end == "NextCopy" and counter.books_agree()


DATES = [
    ("0000", "000000"), ("1332", "256161"), ("0229", "120000"), ("1231", "235959"), ("0101", "000000"), ("9999", "999999"), ("0231", "000000"),
]  # fmt: skip


@pytest.mark.parametrize("date, time", DATES)
def test_any_date_of_the_host_leaves_a_terminal_that_sells(date, time):
    counter = shop()
    codec = unionpay.codec()

    def change(reply):
        mti, fields = codec.unpack(reply[13:])
        fields.update({13: date, 12: time})
        return reply[:13] + codec.pack(mti, fields)

    bend(counter, change)
    counter.walk(("6", "6"), ("签到", "1"))
    counter.until(lambda: counter.state == "Notice")
    back_to_menu(counter)
    assert sale_to_its_end(counter) == "NextCopy" and counter.books_agree()
    assert counter.record()["at"][:4] in ("2025", "2026", "2027")


def test_a_batch_number_that_changes_under_us_takes_nothing_from_the_old_batch():
    counter = shop()
    assert sale_to_its_end(counter, 100) == "NextCopy"
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    assert sale_to_its_end(counter, 200) == "Unresolved"
    old = counter.terminal.ledger.batch
    codec = unionpay.codec()

    def change(reply):
        mti, fields = codec.unpack(reply[13:])
        fields[60] = "00" + "%06d" % (int(old) + 5) + fields[60][8:]
        return reply[:13] + codec.pack(mti, fields)

    bend(counter, change)
    counter.walk(("6", "6"), ("签到", "1"))
    counter.until(lambda: counter.state == "Notice")
    assert counter.terminal.ledger.batch == old and counter.terminal.ledger.totals()["sale"] == [1, 100]
    assert any("is kept" in line[1] for line in counter.log.lines)
    counter.rules.clear()
    counter.run(100_000)
    back_to_menu(counter)
    assert sale_to_its_end(counter, 400) == "NextCopy"
    assert counter.books_agree() and counter.terminal.ledger.totals()["sale"] == [2, 500]


@pytest.mark.parametrize("jump_s", [-40 * 365 * 86400, -86400, -3600, 3600, 86400, 80 * 365 * 86400])
def test_a_clock_that_was_set_keeps_the_order_of_the_records(jump_s):
    counter = shop()
    assert sale_to_its_end(counter) == "NextCopy"
    first = counter.record()["at"]
    counter.plug()
    counter.clock.jump(jump_s * 1000)
    counter.power_on()
    if jump_s < 0:
        counter.until("时钟早于上笔交易")
    counter.log_in()
    assert sale_to_its_end(counter) == "NextCopy"
    assert counter.record()["at"] >= first and counter.books_agree()


# -- the card


class Bent:
    """A card whose answers go through `change(bytes) -> bytes`."""

    def __init__(self, card, change):
        self.card, self.change = card, change

    def reset(self):
        self.card.reset()

    def apdu(self, command):
        return self.change(self.card.apdu(command))


def spoilt(random):
    """Answers of a card in which something is wrong, most often only a little."""

    def flip(answer):
        bent = bytearray(answer)
        for _ in range(random.randrange(1, 4)):
            bent[random.randrange(len(bent))] ^= 1 << random.randrange(8)
        return bytes(bent)

    def digit(answer):
        at = random.randrange(len(answer))
        return answer[:at] + bytes((random.choice((0, 0x7F, 0x80, 0x81, 0xFF, 0xD0, 0x3A)),)) + answer[at + 1 :]

    changes = (
        lambda answer: random.randbytes(random.randrange(2, 259)), lambda answer: random.randbytes(8) + b"\x90\x00",
        lambda answer: answer[: random.randrange(2, len(answer) + 1)], lambda answer: b"\x90\x00", lambda answer: answer[:-2] + b"\x6a\x82",
        lambda answer: answer + answer, flip, flip, digit, digit,
    )  # fmt: skip
    change = random.choice(changes)
    chance = random.choice((0.15, 0.5, 1.0))
    return lambda answer: change(answer) if random.random() < chance else answer


@pytest.mark.parametrize("seed", range(4))
def test_any_answers_of_a_card_end_on_a_page_and_the_books_agree(seed):
    counter, random = shop(seed), Random(seed)
    ends = set()
    for _ in range(100):
        name = random.choice(("debit", "credit", "phone", "pin-asking"))
        counter.walk(("6", "1"), ("请输入金额", "%d ENTER" % random.choice((1, 1234, 100_001))))
        counter.until("请挥卡")
        for _ in range(3):
            if counter.state != "PresentCard":
                break
            counter.reader.place(Bent(counter.shelf.card(name), spoilt(random)))
            counter.run(1_500)
            counter.take()
            counter.run(1_500)
        ends.add(counter.state)
        for _ in range(40):
            if counter.state == "Menu":
                break
            counter.type("CANCEL" if counter.state in ("PresentCard", "EnterPin", "CardTrouble") else "ENTER")
            counter.run(2_000)
        assert counter.state == "Menu"
        counter.run(100_000)
        assert counter.books_agree()
    assert {"CardTrouble", "NextCopy"} <= ends


# -- any key order

def test_the_monkeys_faults_are_rules_that_there_are():
    for fault in WRONG:
        parse("next " + fault)


@pytest.mark.parametrize("seed", [3, 6, 11, 14, 120])
def test_any_order_of_keys_cards_faults_and_power_cuts_ends_with_agreeing_books(seed):
    monkey = Monkey(seed)
    monkey.work(5_000)
    world = monkey.world
    assert monkey.leave() == [] and world.books_agree() and world.state == "Login"
    records = world.terminal.ledger.newest(100_000)
    assert {"approved", "declined"} <= {record["phase"] for record in records}, "the monkey has not come far enough"
    assert len({record["kind"] for record in records}) >= 8 and len(monkey.states) > 45
    world.type("BACK BACK BACK 01 ENTER")  # lights the panel
    assert world.state in ("Password", "LockedOut") and world.text


def test_a_slip_printed_while_its_void_is_undone_leaves_the_sale_standing(counter):
    """The page holds the record as it was when it was opened; the reversal of the void changes it meanwhile."""
    counter.sell(1234)
    counter.rules.add("next on void silence")
    counter.rules.add("always on reversal ignore")
    counter.walk(("6 管理", "2"), ("密码", "123456 ENTER"), ("原凭证号", "ENTER"), ("选", "1"), ("12.34", "ENTER"), ("请挥卡", tap("debit")))
    counter.walk(("交易结果未知", None))
    counter.printer.paper_out = True
    back = counter.terminal.ledger.newest(2)[1]
    assert back["void"]
    counter.printer.paper_out = False
    counter.type("ENTER")
    counter.until("6 管理")
    counter.type("4 1")
    counter.until(lambda: counter.state == "Transactions")
    counter.type("2")
    counter.until(lambda: counter.state == "TransactionPage")
    counter.printer.paper_out = True
    counter.type("ENTER")
    counter.until(lambda: counter.state == "PrinterTrouble")
    counter.rules.clear()
    counter.run(70_000)
    assert not counter.terminal.ledger.to_reverse()
    counter.printer.paper_out = False
    counter.type("ENTER")
    back_to_menu(counter)
    assert not counter.terminal.ledger.newest(2)[1].get("void") and counter.books_agree()


# -- the disk

DAY = (
    ("sale", "1 1234 ENTER", "debit"), ("PIN", "1 150000 ENTER", "debit"), ("decline", "1 777 ENTER", "poor"), ("void", "2 123456 ENTER ENTER 1 ENTER", "debit"),
    ("reprint", "5 1", ""), ("password", "6 4 0000 ENTER 1357 ENTER 1357 ENTER", ""), ("echo", "6 6 3", ""),
    ("sign-on", "6 1", ""), ("wrong", "6 5 01 ENTER 9999 ENTER", ""), ("last", "1 500 ENTER", "debit"),
)  # fmt: skip


def whole_day(counter):
    """The acts of DAY one after the other; each is given up when its pages do not come."""
    counter.power_on()
    pin = counter.shelf.card("debit").pin
    for _, keys, card in DAY:
        back_to_menu_or_login(counter)
        counter.type(keys)
        counter.run(200)
        if card and counter.state == "PresentCard":
            tap(card)(counter)
            counter.run(300)
        if counter.state == "EnterPin":
            counter.type(pin + " ENTER")
        counter.run(20_000)
        pages(counter)
    back_to_menu_or_login(counter)


def pages(counter):
    """What stands on the screen can be drawn."""
    assert RENDERER.fits(counter.screen) == [], counter.text
    assert "终端故障" not in counter.text


def back_to_menu_or_login(counter):
    for _ in range(20):
        if counter.state == "Menu" and counter.terminal.operator == "01":
            return
        password = "0000" if counter.vault.is_factory("01") else "1357"
        if counter.state == "Locked":
            counter.type("ENTER " + password)
        elif counter.state == "Login":
            counter.type("01 ENTER " + password)
        counter.type("ENTER" if counter.state in ("Password", "Unlock") else "CANCEL")
        counter.run(1_500)
        pages(counter)


def test_a_disk_that_is_full_from_any_commit_of_a_day_on_loses_nothing():
    whole = Counter()
    set_up = whole.store.commits
    whole_day(whole)
    commits = whole.store.commits - set_up
    assert commits >= 20 and whole.books_agree()
    for first in range(commits):
        for length in (2, 1_000):
            counter = Counter()
            counts = []

            def reach(point, counter=counter, first=first, length=length, counts=counts):
                if point.startswith("commit:begin:"):
                    counts.append(point)
                    counter.store.full = first < len(counts) <= first + length

            shown = []
            show = counter.display.show
            counter.display.show = lambda screen, show=show, shown=shown: shown.append(screen.title + "".join(screen.lines)) or show(screen)
            counter.store._reach = reach
            whole_day(counter)
            counter.store._reach = None
            counter.store.full = False
            assert "存储" in "".join(shown) or counter.log.lines, (first, length)
            counter.plug()
            counter.power_on()
            counter.run(200_000)
            assert counter.books_agree(), (first, length)


def test_a_full_disk_says_so_where_something_must_be_kept(counter):
    counter.store.full = True
    counter.walk(("6 管理", "6"), ("签到", "5"), ("操作员号", "99 ENTER"), ("密码", "12345678 ENTER"))
    counter.walk(("3 English", "3"), ("存储故障 存储空间已满 未扣款 技术人员", "ENTER"), ("3 English", None))
    counter.store.full = False
    counter.walk(("3 English", "3"), ("Done", None))


def test_wrong_passwords_count_though_they_cannot_be_written(counter):
    counter.store.full = True
    counter.walk(("6 管理", "6"), ("签到", "5"))
    for _ in range(5):
        counter.walk(("操作员号", "01 ENTER"), ("密码", "1111 ENTER"), ("存储故障", "ENTER"))
    counter.walk(("操作员号", "01 ENTER"), ("操作员已锁定", None))


# -- what is stored

GARBAGE = (b"", b"\xff\xfe", b"{", b"null", b"true", b"0", b"-1", b"1e99", b'"x"', b'"\\u0000"', b"[]", b"[1]", b"{}", b'{"a": []}', b"[" * 3000)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_any_stored_value_of_a_parameter_leaves_a_terminal_that_sells_or_says_what_is_wrong(name):
    for garbage in (*GARBAGE, b'"' + "开\n".encode() + b'"', json.dumps("号" * 8).encode(), json.dumps("x" * 12).encode(), b"1", b'"1"'):
        counter = Counter()
        counter.store.commit([("parameters", name, garbage, None)])
        counter.power_on()
        terminal = counter.terminal
        if name in terminal.parameter.bad:
            assert name[:12] in counter.text, counter.text
            assert "damaged: parameter " + name in logged(counter)
        counter.run(6_000)
        if name in terminal.parameter.bad and TABLE[name][1] is REQUIRED:
            assert counter.state == "Unprovisioned"
            continue
        if counter.state in ("VaultTrouble",):
            continue
        counter.type("01 ENTER 0000 ENTER")
        counter.run(1_000)
        if counter.state == "NewPassword":
            counter.type("1357 ENTER 1357 ENTER")
            counter.run(9_000)
        assert counter.state == "Menu", (garbage, counter.text)
        counter.run(3_000)
        counter.type("1")
        counter.type("100001 ENTER")
        counter.run(100)
        if counter.state == "EnterAmount":
            counter.type("CLEAR 1 ENTER")
            counter.run(100)
        counter.place("debit")
        counter.run(1_000)
        counter.take()
        counter.run(1_000)
        if counter.state == "ConfirmAmount":
            counter.type("ENTER")
            counter.run(100)
        if counter.state == "EnterPin":
            counter.type(counter.shelf.card("debit").pin + " ENTER")
        counter.run(120_000)
        assert counter.state not in ("Fault", "StoreTrouble", "Authorise"), (garbage, counter.text)
        pages(counter)


def sold_twice():
    counter = shop()
    counter.sell(100)
    counter.sell(200)
    counter.plug()
    return counter


@pytest.mark.parametrize("garbage", GARBAGE + (b'{"trace": "x"}', b'{"trace": -5}', b'{"record": -1}', b'{"batch": 1234567}'), ids=lambda value: repr(value)[:12])
def test_damaged_counters_go_on_behind_the_newest_record(garbage):
    counter = sold_twice()
    counter.store.commit([("counters", "now", garbage, None)])
    counter.power_on()
    counter.until("账目损坏:counters")
    assert "damaged: ledger counters" in logged(counter)
    counter.log_in()
    counter.run(3_000)
    end = sale_to_its_end(counter, 300)
    assert end == "NextCopy" and counter.books_agree()
    assert [record["fen"] for record in counter.terminal.ledger.newest(9)] == [300, 200, 100]


@pytest.mark.parametrize("garbage", GARBAGE[:2] + (b'{"sale": 1}', b'{"sale": ["x", 1]}', b"[1]"), ids=lambda value: repr(value)[:12])
def test_damaged_totals_are_counted_anew(garbage):
    counter = sold_twice()
    counter.store.commit([("totals", counter.store.range("totals")[0][0], garbage, None)])
    counter.power_on()
    counter.until("账目损坏:totals")
    assert counter.terminal.ledger.totals() == {"sale": [2, 300]}


@pytest.mark.parametrize("index", [None, "open"])
@pytest.mark.parametrize("garbage", GARBAGE + (b'{"id": 1}', b'{"id": 2, "fen": 1, "kind": "sale", "phase": "none"}'), ids=lambda value: repr(value)[:12])
def test_a_damaged_record_is_told_passed_over_and_kept(garbage, index):
    counter = sold_twice()
    key = counter.store.range("transactions")[0][0]
    counter.store.commit([("transactions", key, garbage, index)])
    counter.power_on()
    if index:
        counter.until("账目损坏:" + key)
    counter.log_in()
    assert sale_to_its_end(counter, 300) == "NextCopy"
    counter.type("4 1")
    counter.until(lambda: counter.state == "Transactions")
    assert "2.00" in counter.text and "3.00" in counter.text and "1.00" not in counter.text
    counter.type("CANCEL")
    counter.type("4 2 000002 ENTER")
    counter.run(100)
    assert "没有" in counter.text
    assert counter.store.get("transactions", key) == garbage


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda value: repr(value)[:12])
def test_a_damaged_pointer_to_a_record_finds_nothing(garbage, counter):
    counter.sell(100)
    for key, _ in counter.store.range("traces"):
        counter.store.commit([("traces", key, garbage, None)])
    trace = counter.record()["trace"]
    counter.walk(("6 管理", "4"), ("按凭证号", "2"), ("凭证号", trace + " ENTER"))
    counter.run(100)
    assert counter.state in ("FindTransaction", "TransactionPage")


@pytest.mark.parametrize("sealed", ["", "!", "AAAA", 7, None])
def test_a_card_number_that_cannot_be_unsealed_keeps_its_record_open(sealed, counter):
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    assert sale_to_its_end(counter) == "Unresolved"
    counter.rules.clear()
    counter.plug()
    record = counter.store.range("transactions")[0]
    kept = json.loads(record[1])
    kept["sealed"] = sealed
    counter.store.commit([("transactions", record[0], json.dumps(kept).encode(), "open")])
    counter.power_on()
    counter.run(300_000)
    assert len(counter.terminal.ledger.unresolved()) == 1
    assert "cannot be unsealed" in logged(counter)
    counter.log_in()
    counter.walk(("6 管理", "1"), ("有未冲正", None))


@pytest.mark.parametrize("garbage", GARBAGE + (b'{"wrong": 1}', b'{"wrong": -1, "left_ms": 0}', b'{"wrong": "1", "left_ms": 0}'), ids=lambda value: repr(value)[:12])
def test_an_operator_whose_record_is_damaged_is_locked_until_he_is_unlocked(garbage):
    counter = Counter()
    counter.store.commit([("operators", "01", garbage, None), ("operators", "00", b'{"wrong": 0, "left_ms": 0}', None)])
    counter.power_on()
    assert "damaged: operator 01" in logged(counter)
    counter.walk(("操作员号", "01 ENTER"), ("操作员已锁定", "ENTER"))
    counter.log_in("00", "123456")


class Rotten:
    """A store of which some tables cannot be read any more."""

    def __init__(self, store):
        self.store = store
        self.tables = ()

    def commit(self, rows, sync=True):
        self.store.commit(rows, sync)

    def get(self, table, key):
        self._look(table)
        return self.store.get(table, key)

    def range(self, table, *arguments, **named):
        self._look(table)
        return self.store.range(table, *arguments, **named)

    def _look(self, table):
        if table in self.tables:
            raise StoreCorrupt("the page is not what was written")


@pytest.mark.parametrize("keys", ["4 1", "4 2 1 ENTER", "4 3", "5 1", "1 100 ENTER", "2 123456 ENTER 1 ENTER", "2 123456 ENTER ENTER", "6 6", "6 1"])
def test_a_store_that_rots_while_it_is_used_ends_on_a_page_of_its_own(keys):
    counter = Counter()
    rotten = counter.ports["store"] = Rotten(counter.store)
    counter.log_in()
    counter.run(3_000)
    counter.sell(100)
    rotten.tables = ("transactions", "traces", "totals", "counters", "operators")
    counter.type(keys)
    counter.run(1_000)
    if counter.state == "PresentCard":
        tap("debit")(counter)
        counter.run(60_000)
    assert counter.state not in ("Fault", "Authorise")
    pages(counter)
    rotten.tables = ()
    counter.run(200_000)
    counter.log_in() if counter.state == "Login" else back_to_menu(counter)
    counter.run(200_000)
    assert counter.books_agree()


def test_a_store_that_cannot_be_read_at_the_start_is_said_to_the_caller():
    counter = Counter()
    rotten = counter.ports["store"] = Rotten(counter.store)
    for table in ("counters", "parameters", "operators"):
        rotten.tables = (table,)
        with pytest.raises(StoreError):
            counter.power_on()


def test_a_defect_after_the_approval_says_that_the_money_was_taken(counter):
    """In the field: the page of a defect goes by the phase of the open transaction."""
    counter.machine.strict = False
    counter.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"))
    counter.printer.print = lambda ticket, job: 1 // 0
    counter.walk(("请挥卡", tap("debit")), ("终端故障 报告码 已扣款", "ENTER"), ("6 管理", None))
    assert counter.books_agree()


def test_a_page_that_cannot_be_drawn_does_not_leave_the_one_before_it_standing(counter):
    counter.machine.strict = False
    counter.walk(("6 管理", "1"), ("请输入金额", "12"))
    counter.machine.state.screen = lambda: 1 // 0
    counter.walk(("", "3"), ("终端故障 未扣款", "ENTER"), ("6 管理", None))


def test_the_terminal_of_this_shop_is_the_one_that_the_bank_knows(counter):
    assert counter.terminal.parameter("terminal.number") == TERMINAL and counter.terminal.parameter("merchant.number") == MERCHANT
