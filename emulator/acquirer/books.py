"""The acquirer's books: who has what, and what moved it, in SQLite.

Double entry: every booking is two postings that add up to nothing, one on the card's account and one on the merchant's.

    sale        card -amount    merchant +amount
    void        card +amount    merchant -amount      the sale is "voided"
    reversal    the reversed booking with opposite signs; reversing a void makes its sale "approved" again

A transaction is what a terminal asked for, approved or not; its state says what stands now:

    approved    stands
    declined    nothing moved
    voided      a sale that a void took back
    reversed    a sale or a void that a reversal took back

A reversal whose original never came is remembered, and refuses the original should it still come.
"""

import json
import sqlite3
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

from firmware.emv.tags import mask_digits

SCHEMA = """
CREATE TABLE IF NOT EXISTS terminals (
    number TEXT PRIMARY KEY, merchant TEXT NOT NULL, master_key BLOB NOT NULL, batch INTEGER NOT NULL,
    signed_on INTEGER NOT NULL DEFAULT 0, pin_key BLOB, mac_key BLOB, track_key BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cards (
    pan TEXT PRIMARY KEY, record TEXT NOT NULL, status TEXT NOT NULL, last_atc INTEGER NOT NULL,
    wrong_pins INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (pan TEXT, atc INTEGER, PRIMARY KEY (pan, atc)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, balance_fen INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions (
    id INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, terminal TEXT NOT NULL, merchant TEXT NOT NULL,
    batch TEXT NOT NULL, trace TEXT NOT NULL, kind TEXT NOT NULL, pan TEXT NOT NULL,
    amount_fen INTEGER NOT NULL, code TEXT NOT NULL, reference TEXT NOT NULL,
    authorisation TEXT NOT NULL, original INTEGER, state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_trace ON transactions (terminal, batch, trace);
CREATE INDEX IF NOT EXISTS by_amount ON transactions (amount_fen) WHERE state = 'approved' AND kind = 'sale';
CREATE TABLE IF NOT EXISTS postings (
    id INTEGER PRIMARY KEY, transaction_id INTEGER NOT NULL, account TEXT NOT NULL, amount_fen INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS by_account ON postings (account);
CREATE TABLE IF NOT EXISTS notices (
    id INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, terminal TEXT NOT NULL, batch TEXT NOT NULL, trace TEXT NOT NULL,
    kind TEXT NOT NULL, pan TEXT NOT NULL, results TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refused (
    terminal TEXT, batch TEXT, trace TEXT, PRIMARY KEY (terminal, batch, trace)
) WITHOUT ROWID;
"""

APPROVED, DECLINED, VOIDED, REVERSED = "approved", "declined", "voided", "reversed"
CARD_STATUSES = ("active", "lost", "stolen", "restricted", "closed")

STANDING = "kind = 'sale' AND state = 'approved'"
INSERT_TRANSACTION = "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Terminal = namedtuple("Terminal", "number merchant master_key batch signed_on pin_key mac_key track_key")
Transaction = namedtuple(
    "Transaction", "id at_s terminal merchant batch trace kind pan amount_fen code reference authorisation original state"
)
Notice = namedtuple("Notice", "batch trace kind card results")
Posting = namedtuple("Posting", "batch trace kind card amount_fen code reference authorisation state")


class Books:
    """The books in a file, or in memory.

    `with books.writing():` makes what is done inside one transaction of the database. Safe for several threads.
    A card's record is a dict with at least pan, expiry (YYMM), sequence, pin, balance_fen, status, last_atc; what else
    is in it (bytes, text, numbers) is kept and given back.

    source    an object with record(card number) -> record or None, and records() -> all: where cards are found that were not
              added; an account is opened when its card is first asked for
    """

    source: "Any" = None

    def __init__(self, path: "Path | str" = ":memory:") -> None:
        self.lock = threading.RLock()
        self._db = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None, cached_statements=128)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + SCHEMA)

    def close(self) -> None:
        with self.lock:
            self._db.close()

    def writing(self) -> "_Writing":
        return _Writing(self.lock, self._db)

    # Terminals

    def add_terminal(self, number: str, merchant: str, master_key: bytes) -> None:
        """Registers a terminal. One that is there already begins a new batch: its old traces may come again."""
        with self.writing():
            self._db.execute(
                "INSERT INTO terminals (number, merchant, master_key, batch) VALUES (?, ?, ?, 1) "
                "ON CONFLICT (number) DO UPDATE SET "
                "merchant = excluded.merchant, master_key = excluded.master_key, batch = batch + 1, signed_on = 0, "
                "pin_key = NULL, mac_key = NULL, track_key = NULL",
                (number, merchant, bytes(master_key)),
            )

    def terminal(self, number: str) -> "Terminal | None":
        with self.lock:
            row = self._db.execute("SELECT * FROM terminals WHERE number = ?", (number,)).fetchone()
        return Terminal._make(row) if row else None

    def sign_on(self, number: str, pin_key: bytes, mac_key: bytes, track_key: "bytes | None") -> None:
        self._db.execute(
            "UPDATE terminals SET signed_on = 1, pin_key = ?, mac_key = ?, track_key = ? WHERE number = ?",
            (pin_key, mac_key, track_key, number),
        )

    def sign_off(self, number: str) -> None:
        self._db.execute("UPDATE terminals SET signed_on = 0 WHERE number = ?", (number,))

    # Cards

    def add_card(self, record: dict) -> None:
        """Opens an account with the record's balance; a card that is there already keeps its account and counters."""
        self.add_cards([record])

    def add_cards(self, records: "list[dict]") -> None:
        """`add_card` for each."""
        rows = []
        for record in records:
            record = dict(record)
            pan, balance = record.pop("pan"), record.pop("balance_fen")
            status, last_atc = record.pop("status", "active"), record.pop("last_atc", 0)
            if status not in CARD_STATUSES:
                raise ValueError(f"card status {status!r}: one of {', '.join(CARD_STATUSES)}")
            text = {key: {"hex": value.hex()} if isinstance(value, bytes) else value for key, value in record.items()}
            rows.append((pan, json.dumps(text), status, last_atc, balance))
        with self.writing():
            known = {pan for (pan,) in self._db.execute("SELECT pan FROM cards")}
            self._db.executemany(
                "INSERT INTO cards (pan, record, status, last_atc) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (pan) DO UPDATE SET record = excluded.record, status = excluded.status",
                [row[:4] for row in rows],
            )
            fresh = [("card:" + row[0], row[4]) for row in rows if row[0] not in known]
            if fresh:
                self._db.executemany("INSERT INTO postings (transaction_id, account, amount_fen) VALUES (0, ?, ?)", fresh)
                self._db.executemany("INSERT INTO accounts VALUES (?, ?)", fresh)
                self._post(0, "opening", -sum(balance for _, balance in fresh))

    def card(self, pan: str) -> "dict | None":
        """The record as it was added, with `wrong_pins`, and status, last_atc and balance_fen as they are now."""
        with self.lock:
            row = self._db.execute("SELECT record, status, last_atc, wrong_pins FROM cards WHERE pan = ?", (pan,)).fetchone()
            if row is None:
                return self.card(pan) if self._opened(pan) else None
            record = {
                key: bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
                for key, value in json.loads(row[0]).items()
            }
            record.update(pan=pan, status=row[1], last_atc=row[2], wrong_pins=row[3], balance_fen=self.balance(pan))
        return record

    def _opened(self, pan: str) -> bool:
        """Opens an account that the source knows and the books do not. Whether it did."""
        record = None if not self.source or self._has(pan) else self.source.record(pan)
        if record:
            self.add_card(record)
        return bool(record)

    def _has(self, pan):
        return self._db.execute("SELECT 1 FROM cards WHERE pan = ?", (pan,)).fetchone() is not None

    def cards(self) -> "list[str]":
        """Every card number."""
        with self.lock:
            if self.source:
                self.add_cards([record for record in self.source.records() if not self._has(record["pan"])])
            return [pan for (pan,) in self._db.execute("SELECT pan FROM cards ORDER BY pan")]

    def set_status(self, pan: str, status: str) -> None:
        """A card becomes lost, stolen, ...: one of CARD_STATUSES."""
        if status not in CARD_STATUSES:
            raise ValueError(f"card status {status!r}: one of {', '.join(CARD_STATUSES)}")
        with self.writing():
            self._opened(pan)
            self._db.execute("UPDATE cards SET status = ? WHERE pan = ?", (status, pan))

    def use_counter(self, pan: str, atc: int, late: bool = False) -> bool:
        """Notes a card's transaction counter; False when it was used before, or a later one was and this is not told `late`."""
        if late and self._db.execute("SELECT 1 FROM cards WHERE pan = ? AND last_atc > ?", (pan, atc)).fetchone():
            return self._db.execute("INSERT OR IGNORE INTO counters VALUES (?, ?)", (pan, atc)).rowcount == 1
        self._db.execute("INSERT OR IGNORE INTO counters VALUES (?, ?)", (pan, atc))
        return self._db.execute("UPDATE cards SET last_atc = ? WHERE pan = ? AND last_atc < ?", (atc, pan, atc)).rowcount == 1

    def count_wrong_pin(self, pan: str, wrong: int) -> None:
        self._db.execute("UPDATE cards SET wrong_pins = ? WHERE pan = ?", (wrong, pan))

    # Transactions

    def next_id(self) -> int:
        return self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM transactions").fetchone()[0]

    def find(self, terminal: str, batch: str, trace: str, kinds: "tuple[str, ...]") -> "Transaction | None":
        """The newest transaction of these kinds with this trace number."""
        rows = self._db.execute(
            "SELECT * FROM transactions WHERE terminal = ? AND batch = ? AND trace = ? ORDER BY id DESC", (terminal, batch, trace)
        )
        for row in rows:
            if row[6] in kinds:
                return Transaction._make(row)
        return None

    def by_id(self, number: int) -> "Transaction | None":
        row = self._db.execute("SELECT * FROM transactions WHERE id = ?", (number,)).fetchone()
        return Transaction._make(row) if row else None

    def record(self, transaction: Transaction) -> None:
        """Writes it down and books it when it is approved."""
        self._db.execute(INSERT_TRANSACTION, transaction)
        if transaction.state == APPROVED and transaction.kind in SIGNS:
            self._move(transaction, SIGNS[transaction.kind])

    def undo(self, transaction: Transaction, at_s: int) -> None:
        """Reverses a booked sale or void."""
        self.set_state(transaction.id, REVERSED)
        number = self.next_id()
        undoing = transaction._replace(id=number, at_s=at_s, kind="reversal", original=transaction.id, code="00")
        self._db.execute(INSERT_TRANSACTION, undoing)
        self._move(undoing, -SIGNS[transaction.kind])
        if transaction.kind == "void":
            self.set_state(transaction.original, APPROVED)

    def set_state(self, number: int, state: str) -> None:
        self._db.execute("UPDATE transactions SET state = ? WHERE id = ?", (state, number))

    def refuse_later(self, terminal: str, batch: str, trace: str) -> None:
        """The original of a reversal is not here: should it still come, it is refused."""
        self._db.execute("INSERT OR IGNORE INTO refused VALUES (?, ?, ?)", (terminal, batch, trace))

    def is_refused(self, terminal: str, batch: str, trace: str) -> bool:
        return (
            self._db.execute(
                "SELECT 1 FROM refused WHERE terminal = ? AND batch = ? AND trace = ?", (terminal, batch, trace)
            ).fetchone()
            is not None
        )

    def note(self, at_s: int, terminal: str, batch: str, trace: str, kind: str, pan: str, results: str) -> None:
        """Keeps a notice: trace of the transaction that it is about; results: of scripts, hex."""
        query = "INSERT INTO notices (at_s, terminal, batch, trace, kind, pan, results) VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._db.execute(query, (at_s, terminal, batch, trace, kind, pan, results))

    def _move(self, transaction: Transaction, sign: int) -> None:
        amount = sign * transaction.amount_fen
        self._post(transaction.id, "merchant:" + transaction.merchant, amount)
        self._post(transaction.id, "card:" + transaction.pan, -amount)

    def _post(self, transaction_id: int, account: str, amount: int) -> None:
        self._db.execute(
            "INSERT INTO postings (transaction_id, account, amount_fen) VALUES (?, ?, ?)", (transaction_id, account, amount)
        )
        self._db.execute(
            "INSERT INTO accounts VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET balance_fen = balance_fen + excluded.balance_fen",
            (account, amount),
        )

    # What a person, a script or a test asks

    def balance(self, pan: str) -> int:
        """What a card can still spend, in fen."""
        with self.lock:
            self._opened(pan)
            return self._account("card:" + pan)

    def takings(self, merchant: str) -> int:
        """What a merchant has been credited, in fen."""
        return self._account("merchant:" + merchant)

    def _account(self, name: str) -> int:
        with self.lock:
            row = self._db.execute("SELECT balance_fen FROM accounts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else 0

    def approved(self, amount_fen: int) -> int:
        """How many sales of this amount stand."""
        with self.lock:
            query = f"SELECT count(*) FROM transactions WHERE amount_fen = ? AND {STANDING}"
            return self._db.execute(query, (amount_fen,)).fetchone()[0]

    def standing(self, terminal: str, batch: "str | None" = None) -> "list[tuple[str, str, int]]":
        """[(batch, trace, amount in fen)] of the sales that stand, in the order in which they came."""
        with self.lock:
            rows = self._db.execute(
                "SELECT batch, trace, amount_fen FROM transactions "
                f"WHERE terminal = ?1 AND (?2 IS NULL OR batch = ?2) AND {STANDING} ORDER BY id",
                (terminal, batch),
            )
            return rows.fetchall()

    def postings(self, terminal: str, batch: "str | None" = None) -> "list[Posting]":
        """What this terminal asked for, in the order in which it came: kind "sale", "void", "reversal"; the card masked.

        amount_fen is what moved to the merchant, 0 when nothing did, negative for a void and the reversal of a sale.
        """
        with self.lock:
            rows = self._db.execute(
                "SELECT t.batch, t.trace, t.kind, t.pan, coalesce(p.amount_fen, 0), t.code, t.reference, t.authorisation, "
                "t.state FROM transactions t "
                "LEFT JOIN postings p ON p.transaction_id = t.id AND p.account = 'merchant:' || t.merchant "
                "WHERE t.terminal = ?1 AND (?2 IS NULL OR t.batch = ?2) ORDER BY t.id",
                (terminal, batch),
            ).fetchall()
        return [Posting(batch, trace, kind, mask_digits(pan), *rest) for batch, trace, kind, pan, *rest in rows]

    def notices(self, terminal: str) -> "list[Notice]":
        """What this terminal has told: kind "script-result", "failed-chip"; the card masked; results of scripts in hex."""
        with self.lock:
            query = "SELECT batch, trace, kind, pan, results FROM notices WHERE terminal = ? ORDER BY id"
            rows = self._db.execute(query, (terminal,)).fetchall()
        return [Notice(batch, trace, kind, mask_digits(pan), results) for batch, trace, kind, pan, results in rows]

    def latest(self, count: int = 20) -> "list[Posting]":
        """The last transactions of all terminals, newest first, as `postings` gives them; amounts as asked for."""
        with self.lock:
            rows = self._db.execute(
                "SELECT batch, trace, kind, pan, amount_fen, code, reference, authorisation, state FROM transactions "
                "ORDER BY id DESC LIMIT ?",
                (count,),
            ).fetchall()
        return [Posting(batch, trace, kind, mask_digits(pan), *rest) for batch, trace, kind, pan, *rest in rows]

    def balanced(self) -> bool:
        """Whether all postings add up to nothing, in whole and per transaction, and every account is the sum of its own."""
        with self.lock:
            one = self._db.execute("SELECT coalesce(sum(balance_fen), 0) FROM accounts").fetchone()[0]
            odd = self._db.execute(
                "SELECT count(*) FROM (SELECT 1 FROM postings GROUP BY transaction_id HAVING sum(amount_fen) <> 0)"
            ).fetchone()[0]
            off = self._db.execute(
                "SELECT count(*) FROM accounts a "
                "WHERE balance_fen <> (SELECT sum(amount_fen) FROM postings WHERE account = a.name)"
            ).fetchone()[0]
        return one == odd == off == 0


SIGNS = {"sale": 1, "void": -1}  # as the merchant sees it


class _Writing:
    def __init__(self, lock, database) -> None:
        self._lock, self._db = lock, database

    def __enter__(self) -> None:
        self._lock.acquire()
        self._begun = not self._db.in_transaction
        if self._begun:
            self._db.execute("BEGIN")

    def __exit__(self, kind, *_) -> None:
        try:
            if self._begun:
                self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        finally:
            self._lock.release()
