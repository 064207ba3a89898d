"""Many terminals in one process, and books that outlive it: what is looked up, what is kept, what an older file lacks."""

import sqlite3

import pytest

from emulator.acquirer.books import Books, Transaction
from emulator.acquirer.core import Acquirer
from emulator.acquirer.profile import ProfileError
from tests.emulator.acquirer_desk import Desk
from tests.emulator.test_acquirer import CARD, MASTER_KEY, MERCHANT, NOW_S, OTHER, TERMINAL


def crowd(count):
    return [("%08d" % number, MERCHANT, MASTER_KEY) for number in range(20_000_000, 20_000_000 + count)]


def test_thousands_of_terminals_are_registered_at_once_all_or_none():
    books = Books()
    books.add_terminals(crowd(3000), {"limit_fen": 7})
    assert len(books.terminals()) == 3000
    assert books.terminal("20002999").profile.limit_fen == 7 and books.terminal("20003000") is None
    books.add_terminals(crowd(2))
    assert books.terminal("20000001").batch == 2 and books.terminal("20000002").batch == 1
    with pytest.raises(ProfileError):
        books.add_terminals(crowd(5), {"suite": "none"})
    with pytest.raises(sqlite3.IntegrityError):
        books.add_terminals([("1", MERCHANT, MASTER_KEY), ("2", None, MASTER_KEY)])
    assert books.terminal("1") is None
    books.close()


@pytest.fixture
def busy():
    """Books with a thousand terminals, and the text of every statement that one more sale takes."""
    desk = Desk()
    desk.books.add_terminals(crowd(1000))
    seen = []
    desk.books._db.set_trace_callback(seen.append)
    yield desk, seen
    desk.books._db.set_trace_callback(None)
    desk.books.close()


def plan(desk, statement):
    rows = desk.books._db.execute("EXPLAIN QUERY PLAN " + statement).fetchall()
    return [row[-1] for row in rows]


def work(desk):
    """One of everything."""
    request, sale = desk.sell(1000)
    desk.done("0220", desk.refund(sale, 100))
    desk.code("0200", desk.void(request, sale))
    preauth = desk.done("0100", desk.preauth(1000))
    desk.done("0100", desk.preauth_add(preauth[1], 10))
    desk.done("0200", desk.complete_void(*desk.done("0200", desk.complete(preauth[1], 900))))
    desk.done("0100", desk.preauth_void(*preauth))
    desk.done("0220", desk.tip(desk.sell(1000)[0], 1100, 100))
    desk.reverse(desk.sell(1)[0])
    desk.reverse(desk.sale())
    desk.ask("0200", desk.balance())
    desk.sign_on()


def test_no_request_reads_a_whole_table(busy):
    desk, seen = busy
    work(desk)
    statements = {statement for statement in seen if statement.split()[0] in ("SELECT", "UPDATE", "INSERT")}
    assert len(statements) > 40
    desk.books._db.set_trace_callback(None)
    for statement in statements:
        for step in plan(desk, statement):
            assert not step.startswith("SCAN") or "CONSTANT" in step, (step, statement)


def test_a_sale_takes_as_many_statements_among_a_thousand_terminals_as_alone(busy):
    desk, seen = busy
    alone = Desk()
    few = []
    alone.books._db.set_trace_callback(few.append)
    for till in (desk, alone):
        till.sell(10)
    del seen[:], few[:]
    for till in (desk, alone):
        till.sell(10)
    assert 0 < len(seen) == len(few) < 30
    alone.books._db.set_trace_callback(None)
    alone.books.close()


def test_a_terminal_that_changed_is_never_answered_from_memory():
    desk = Desk()
    books = desk.books
    assert books.terminal(TERMINAL) is books.terminal(TERMINAL)
    for change, name, value in (
        (lambda: books.sign_off(TERMINAL), "signed_on", 0), (lambda: books.next_batch(TERMINAL), "batch", 2),
        (lambda: books.set_master(TERMINAL, b"m" * 16), "master_key", b"m" * 16),
        (lambda: books.use_ksn(TERMINAL, 5), "ksn_counter", 5),
        (lambda: books.sign_on(TERMINAL, b"p", b"m", b"t", "sm4"), "cipher", "sm4"),
    ):  # fmt: skip
        change()
        assert getattr(books.terminal(TERMINAL), name) == value
    with pytest.raises(ZeroDivisionError), books.writing():
        books.sign_off(TERMINAL)
        assert books.terminal(TERMINAL).signed_on == 0
        _ = 1 // 0
    assert books.terminal(TERMINAL).signed_on == 1
    books.close()


def test_everything_is_there_after_a_restart(tmp_path):
    first = Desk()
    path = tmp_path / "books.db"
    target = sqlite3.connect(path)
    _, preauth = first.done("0100", first.preauth(1000))
    request, sale = first.sell(700)
    refund, _ = first.done("0220", first.refund(sale, 100))
    late = first.sale(30)
    first.reverse(late)
    first.books._db.backup(target)
    target.close()
    first.books.close()

    second = Books(path)
    first.books = second
    first.acquirer = Acquirer(second, clock=lambda: NOW_S, verify=lambda card, chip: True)
    assert first.code("0220", refund) == "94"
    assert first.code("0220", first.refund(sale, 601)) == "64"
    assert first.code("0200", late) == "68"
    assert first.code("0200", request) == "94"
    first.done("0200", first.complete(preauth, 1100))
    assert first.spent() == 700 - 100 + 1100 and second.balanced()
    second.close()


OLDER = """
CREATE TABLE terminals (
    number TEXT PRIMARY KEY, merchant TEXT NOT NULL, master_key BLOB NOT NULL, batch INTEGER NOT NULL,
    signed_on INTEGER NOT NULL DEFAULT 0, pin_key BLOB, mac_key BLOB, track_key BLOB
) WITHOUT ROWID;
CREATE TABLE transactions (
    id INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, terminal TEXT NOT NULL, merchant TEXT NOT NULL,
    batch TEXT NOT NULL, trace TEXT NOT NULL, kind TEXT NOT NULL, pan TEXT NOT NULL,
    amount_fen INTEGER NOT NULL, code TEXT NOT NULL, reference TEXT NOT NULL,
    authorisation TEXT NOT NULL, original INTEGER, state TEXT NOT NULL
);
CREATE TABLE postings (
    id INTEGER PRIMARY KEY, transaction_id INTEGER NOT NULL, account TEXT NOT NULL, amount_fen INTEGER NOT NULL
);
CREATE INDEX by_account ON postings (account);
CREATE TABLE accounts (name TEXT PRIMARY KEY, balance_fen INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO terminals VALUES ('12345678', '898310012345678', x'00', 3, 1, NULL, NULL, NULL);
INSERT INTO transactions VALUES
    (1, 5, '12345678', '898310012345678', '000003', '000009', 'sale', '6222620000000004', 700, '00', '092100000001', 'A', NULL,
     'approved');
INSERT INTO accounts VALUES ('merchant:898310012345678', 700), ('card:6222620000000004', -700);
INSERT INTO postings VALUES (1, 1, 'merchant:898310012345678', 700), (2, 1, 'card:6222620000000004', -700);
"""


def test_books_of_an_older_make_are_read_and_written_on(tmp_path):
    path = tmp_path / "books.db"
    database = sqlite3.connect(path)
    database.executescript(OLDER)
    database.close()
    for _ in range(2):
        books = Books(path)
        assert books.terminal(TERMINAL).batch == 3 and books.terminal(TERMINAL).profile.suite == "tdes"
        (sale,) = [books.find(TERMINAL, "000003", "000009", ("sale",))]
        assert sale.amount_fen == 700 and sale.asked_fen == 0
        assert books.balanced() and books.standing(TERMINAL) == [("000003", "000009", 700)]
        books.close()
    books = Books(path)
    with books.writing():
        books.undo(sale, 6)
    assert books.balanced() and books.takings(MERCHANT) == 0 and books.standing(TERMINAL) == []
    books.close()


def test_books_that_cannot_be_written_to_the_end_are_as_before():
    desk = Desk()
    before = desk.books.postings(TERMINAL)
    with pytest.raises(sqlite3.IntegrityError), desk.books.writing():
        desk.books.record(
            Transaction(1, 1, TERMINAL, MERCHANT, "000001", "000050", "sale", CARD, 5, "00", "r", "a", None, "approved", 5, 0)
        )
        desk.books.record(
            Transaction(1, 1, TERMINAL, MERCHANT, "000001", "000051", "sale", OTHER, 5, "00", "r", "a", None, "approved", 5, 0)
        )
    assert desk.books.postings(TERMINAL) == before and desk.books.balanced() and not desk.books._db.in_transaction
    desk.books.close()
