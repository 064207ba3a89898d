"""The acquirer's books: who has what, what moved it, and what is held, in SQLite.

Double entry: every booking is postings that add up to nothing. A transaction's kind says what is posted (MOVES):

    sale, moto, instalment, offline-sale   card -amount    merchant +amount
    void, refund                           card +amount    merchant -amount     a voided sale is "voided"
    adjust, tip                            the difference to the original, which is "adjusted"
    preauth, preauth-add                   held +amount    holds -amount        the card cannot spend what is held
    preauth-void                           held -all       holds +all           the hold is "voided"
    complete, complete-notice              as a sale, and the hold is given back: it is "completed"
    complete-void                          as a void, and the hold is in force again
    expiry                                 held -all       holds +all           the hold is "expired"
    reversal                               all postings of the original with opposite signs; what the original had done to
                                           others is undone: the sale under a void is "approved" again

Accounts: "card:NUMBER", "held:NUMBER", "merchant:NUMBER", "holds", "opening".

A transaction is what a terminal asked for, approved or not; its state says what stands now: "approved" stands, "declined"
moved nothing, and "voided", "adjusted", "completed", "expired", "reversed" stood once.

A reversal whose original never came is remembered, and refuses the original should it still come.
"""

import json
import sqlite3
import threading
from collections import namedtuple
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from emulator.acquirer import profile as profiles
from emulator.acquirer.profile import Profile
from emulator.acquirer.statements import Statements

SCHEMA = """
CREATE TABLE IF NOT EXISTS terminals (
    number TEXT PRIMARY KEY, merchant TEXT NOT NULL, master_key BLOB NOT NULL, batch INTEGER NOT NULL,
    signed_on INTEGER NOT NULL DEFAULT 0, pin_key BLOB, mac_key BLOB, track_key BLOB,
    cipher TEXT NOT NULL DEFAULT 'tdes', ksn_counter INTEGER NOT NULL DEFAULT -1, profile TEXT NOT NULL DEFAULT ''
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
    authorisation TEXT NOT NULL, original INTEGER, state TEXT NOT NULL, asked_fen INTEGER NOT NULL DEFAULT 0,
    tip_fen INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS by_trace ON transactions (terminal, batch, trace);
CREATE INDEX IF NOT EXISTS by_reference ON transactions (reference);
CREATE INDEX IF NOT EXISTS by_original ON transactions (original) WHERE original IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_amount ON transactions (amount_fen) WHERE state = 'approved' AND kind = 'sale';
CREATE TABLE IF NOT EXISTS holds (
    id INTEGER PRIMARY KEY, pan TEXT NOT NULL, merchant TEXT NOT NULL, authorisation TEXT NOT NULL, date TEXT NOT NULL,
    amount_fen INTEGER NOT NULL, expires_s INTEGER NOT NULL, state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_authorisation ON holds (pan, authorisation);
CREATE INDEX IF NOT EXISTS by_expiry ON holds (pan, expires_s) WHERE state = 'approved';
CREATE TABLE IF NOT EXISTS postings (
    id INTEGER PRIMARY KEY, transaction_id INTEGER NOT NULL, account TEXT NOT NULL, amount_fen INTEGER NOT NULL
);
DROP INDEX IF EXISTS by_account;
CREATE INDEX IF NOT EXISTS by_account_in_order ON postings (account, transaction_id);
CREATE INDEX IF NOT EXISTS by_transaction ON postings (transaction_id);
CREATE TABLE IF NOT EXISTS notices (
    id INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, terminal TEXT NOT NULL, batch TEXT NOT NULL, trace TEXT NOT NULL,
    kind TEXT NOT NULL, pan TEXT NOT NULL, results TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS notices_by_terminal ON notices (terminal);
CREATE TABLE IF NOT EXISTS refused (
    terminal TEXT, batch TEXT, trace TEXT, PRIMARY KEY (terminal, batch, trace)
) WITHOUT ROWID;
"""
# Columns that books of an older make lack.
ADDED = (
    ("terminals", "cipher", "TEXT NOT NULL DEFAULT 'tdes'"),
    ("terminals", "ksn_counter", "INTEGER NOT NULL DEFAULT -1"),
    ("terminals", "profile", "TEXT NOT NULL DEFAULT ''"),
    ("transactions", "asked_fen", "INTEGER NOT NULL DEFAULT 0"),
    ("transactions", "tip_fen", "INTEGER NOT NULL DEFAULT 0"),
)

APPROVED, DECLINED, VOIDED, REVERSED = "approved", "declined", "voided", "reversed"
ADJUSTED, COMPLETED, EXPIRED = "adjusted", "completed", "expired"
RAISED = "raised"  # what an additional pre-authorisation does to a hold
CARD_STATUSES = ("active", "lost", "stolen", "restricted", "closed")

# What booking a kind does. money: +1 card to merchant, -1 back. original: the state that the original comes to; an adjusted one
# has its amount given back. hold: the state that the hold comes to; before: the one it goes back to when this is reversed.
Move = namedtuple("Move", "money original hold before", defaults=(0, "", "", ""))
MOVES = {
    "sale": Move(+1),
    "moto": Move(+1),
    "instalment": Move(+1),
    "offline-sale": Move(+1),
    "void": Move(-1, original=VOIDED),
    "refund": Move(-1),
    "adjust": Move(+1, original=ADJUSTED),
    "tip": Move(+1, original=ADJUSTED),
    "preauth": Move(hold=APPROVED, before=REVERSED),
    "preauth-add": Move(hold=RAISED),
    "preauth-void": Move(hold=VOIDED, before=APPROVED),
    "complete": Move(+1, hold=COMPLETED, before=APPROVED),
    "complete-notice": Move(+1, hold=COMPLETED, before=APPROVED),
    "complete-void": Move(-1, original=VOIDED, hold=APPROVED, before=COMPLETED),
    "expiry": Move(hold=EXPIRED, before=APPROVED),
}
NO_MOVE = Move()

INSERT_TRANSACTION = "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
TERMINALS_KEPT = 65_536  # in memory

Transaction = namedtuple(
    "Transaction",
    "id at_s terminal merchant batch trace kind pan amount_fen code reference authorisation original state asked_fen tip_fen",
    defaults=(0, 0),
)
Hold = namedtuple("Hold", "id pan merchant authorisation date amount_fen expires_s state")


class Terminal(NamedTuple):
    """A terminal as it is now. Its text shows no key."""

    number: str
    merchant: str
    master_key: bytes
    batch: int
    signed_on: int
    pin_key: "bytes | None"
    mac_key: "bytes | None"
    track_key: "bytes | None"
    cipher: str
    ksn_counter: int
    profile: Profile

    def __repr__(self) -> str:
        return f"<Terminal {self.number}>"


class Books(Statements):
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
        self._db = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None, cached_statements=256)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        self._upgrade()
        self._db.executescript(SCHEMA)
        self._terminals: dict[str, Terminal] = {}
        self._profiles: dict[str, Profile] = {"": profiles.STANDARD}
        for (text,) in self._db.execute("SELECT DISTINCT profile FROM terminals"):
            self._profile(text)

    def _upgrade(self) -> None:
        for table, column, coding in ADDED:
            known = [row[1] for row in self._db.execute(f"PRAGMA table_info({table})")]
            if known and column not in known:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {coding}")

    def close(self) -> None:
        with self.lock:
            self._db.close()

    def writing(self) -> "_Writing":
        return _Writing(self.lock, self._db, self._terminals)

    # Terminals

    def add_terminal(self, number: str, merchant: str, master_key: bytes, profile: "dict[str, Any] | None" = None) -> None:
        """Registers a terminal. One that is there already begins a new batch: its old traces may come again.

        profile: entries of `acquirer.profile`; None: as it was, or the standard one. Raises ProfileError.
        """
        self.add_terminals([(number, merchant, master_key)], profile)

    def add_terminals(
        self, terminals: "Iterable[tuple[str, str, bytes]]", profile: "dict[str, Any] | None" = None
    ) -> None:  # fmt: skip
        """`add_terminal` for each (number, merchant, master key), all or none, with one profile."""
        text = None if profile is None else self._text(profile)
        rows = [(number, merchant, bytes(master_key), text) for number, merchant, master_key in terminals]
        with self.writing():
            self._db.executemany(
                "INSERT INTO terminals (number, merchant, master_key, batch, profile) VALUES (?1, ?2, ?3, 1, coalesce(?4, '')) "
                "ON CONFLICT (number) DO UPDATE SET "
                "merchant = excluded.merchant, master_key = excluded.master_key, batch = batch % 999999 + 1, signed_on = 0, "
                "pin_key = NULL, mac_key = NULL, track_key = NULL, ksn_counter = -1, profile = coalesce(?4, profile)",
                rows,
            )
            for row in rows:
                self._terminals.pop(row[0], None)

    def terminal(self, number: str) -> "Terminal | None":
        """A terminal as it is now; its profile checked."""
        found = self._terminals.get(number)
        if found is not None:
            return found
        with self.lock:
            row = self._db.execute("SELECT * FROM terminals WHERE number = ?", (number,)).fetchone()
            if row is None:
                return None
            found = Terminal._make((*row[:10], self._profile(row[10])))
            if len(self._terminals) >= TERMINALS_KEPT:
                self._terminals.clear()
            self._terminals[number] = found
        return found

    def _profile(self, text: str) -> Profile:
        if text not in self._profiles:
            self._profiles[text] = profiles.read(text)
        return self._profiles[text]

    def _text(self, entries: "dict[str, Any]") -> str:
        text = profiles.text_of(profiles.of(entries))
        self._profile(text)
        return text

    def profiles(self) -> "list[Profile]":
        """Every profile that there is, the standard one first."""
        return list(self._profiles.values())

    def set_profile(self, number: str, entries: "dict[str, Any]") -> None:
        """Changes entries of a terminal's profile. Raises ProfileError, and KeyError for a terminal that nobody knows."""
        with self.writing():
            terminal = self.terminal(number)
            if terminal is None:
                raise KeyError(number)
            self._set(number, "profile", self._text(profiles.told(terminal.profile) | entries))

    def sign_on(
        self, number: str, pin_key: "bytes | None", mac_key: "bytes | None", track_key: "bytes | None", cipher: str = "tdes"
    ) -> None:  # fmt: skip
        """New working keys, and from now on it may trade."""
        self._terminals.pop(number, None)
        self._db.execute(
            "UPDATE terminals SET signed_on = 1, pin_key = ?, mac_key = ?, track_key = ?, cipher = ? WHERE number = ?",
            (pin_key, mac_key, track_key, cipher, number),
        )

    def sign_off(self, number: str) -> None:
        self._set(number, "signed_on", 0)

    def set_master(self, number: str, master_key: bytes) -> None:
        """A new master key; the working keys stay until the next sign-on."""
        self._set(number, "master_key", master_key)

    def next_batch(self, number: str) -> int:
        """Begins the next batch, 1 after 999999; its number."""
        terminal = self.terminal(number)
        assert terminal is not None, "no such terminal"
        batch = terminal.batch % 999_999 + 1
        self._set(number, "batch", batch)
        return batch

    def use_ksn(self, number: str, counter: int) -> bool:
        """Notes a DUKPT counter; False when it, or a later one, was used before."""
        self._terminals.pop(number, None)
        query = "UPDATE terminals SET ksn_counter = ?1 WHERE number = ?2 AND ksn_counter < ?1"
        return self._db.execute(query, (counter, number)).rowcount == 1

    def _set(self, number: str, column: str, value: object) -> None:
        self._terminals.pop(number, None)
        self._db.execute(f"UPDATE terminals SET {column} = ? WHERE number = ?", (value, number))

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
            known = {row[0] for row in rows if self._has(row[0])}
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

    def by_reference(self, merchant: str, reference: str) -> "Transaction | None":
        """The newest transaction of a merchant with this reference number (F37)."""
        query = "SELECT * FROM transactions WHERE reference = ? AND merchant = ? ORDER BY id DESC LIMIT 1"
        row = self._db.execute(query, (reference, merchant)).fetchone()
        return Transaction._make(row) if row else None

    def followers(self, number: int, kinds: "tuple[str, ...]") -> "list[Transaction]":
        """The transactions of these kinds that are booked and have this one as their original, oldest first."""
        rows = self._db.execute("SELECT * FROM transactions WHERE original = ? ORDER BY id", (number,))
        return [one for one in map(Transaction._make, rows) if one.state in (APPROVED, ADJUSTED) and one.kind in kinds]

    def record(self, transaction: Transaction, hold: "Hold | None" = None) -> None:
        """Writes it down and, when it is approved, books it. hold: the one that its kind makes, raises or ends."""
        self._db.execute(INSERT_TRANSACTION, transaction)
        if transaction.state != APPROVED:
            return
        move = MOVES.get(transaction.kind, NO_MOVE)
        amount = transaction.amount_fen
        if move.original and transaction.original is not None:
            original = self.by_id(transaction.original)
            assert original is not None, "its original is gone"
            amount -= original.amount_fen if move.original == ADJUSTED else 0
            self.set_state(original.id, move.original)
        if move.money and amount:
            self._post(transaction.id, "merchant:" + transaction.merchant, move.money * amount)
            self._post(transaction.id, "card:" + transaction.pan, -move.money * amount)
        if hold is not None:
            self._hold(transaction, hold, move)

    def _hold(self, transaction: Transaction, hold: Hold, move: Move) -> None:
        if transaction.kind == "preauth":
            self._db.execute("INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, ?, ?)", hold)
            amount = hold.amount_fen
        elif move.hold == RAISED:
            amount = transaction.amount_fen
            self._db.execute("UPDATE holds SET amount_fen = amount_fen + ? WHERE id = ?", (amount, hold.id))
        else:
            amount = hold.amount_fen if move.hold == APPROVED else -hold.amount_fen
            self._set_hold(hold.id, move.hold)
        self._post(transaction.id, "held:" + transaction.pan, amount)
        self._post(transaction.id, "holds", -amount)

    def undo(self, transaction: Transaction, at_s: int) -> None:
        """Reverses what is booked: its postings, and what it had done to an original and to a hold."""
        move = MOVES.get(transaction.kind, NO_MOVE)
        number = self.next_id()
        undoing = transaction._replace(id=number, at_s=at_s, kind="reversal", original=transaction.id, code="00")
        self._db.execute(INSERT_TRANSACTION, undoing)
        posted = self._db.execute("SELECT account, amount_fen FROM postings WHERE transaction_id = ?", (transaction.id,))
        for account, amount in posted.fetchall():
            self._post(number, account, -amount)
        self.set_state(transaction.id, REVERSED)
        if move.original and transaction.original is not None:
            self.set_state(transaction.original, APPROVED)
        hold = self.hold_of(transaction)
        if hold is not None and move.hold == RAISED:
            query = "UPDATE holds SET amount_fen = amount_fen - ? WHERE id = ?"
            self._db.execute(query, (transaction.amount_fen, hold.id))
        elif hold is not None:
            self._set_hold(hold.id, move.before)

    def set_state(self, number: int, state: str) -> None:
        self._db.execute("UPDATE transactions SET state = ? WHERE id = ?", (state, number))

    # Holds. One has the number of its pre-authorisation, and both the same state.

    def hold(self, number: int) -> "Hold | None":
        row = self._db.execute("SELECT * FROM holds WHERE id = ?", (number,)).fetchone()
        return Hold._make(row) if row else None

    def hold_of(self, transaction: Transaction) -> "Hold | None":
        """The hold that a transaction made, raised, ended, or brought back."""
        if not MOVES.get(transaction.kind, NO_MOVE).hold:
            return None
        if transaction.kind == "preauth":
            return self.hold(transaction.id)
        if transaction.original is None:
            return None
        if transaction.kind == "complete-void":
            completion = self.by_id(transaction.original)
            return self.hold(completion.original) if completion and completion.original is not None else None
        return self.hold(transaction.original)

    def find_hold(self, pan: str, merchant: str, authorisation: str) -> "Hold | None":
        """The newest hold of this card at this merchant with this authorisation code, one in force before others."""
        row = self._db.execute(
            "SELECT * FROM holds WHERE pan = ? AND authorisation = ? AND merchant = ? ORDER BY state = 'approved' DESC, id DESC",
            (pan, authorisation, merchant),
        ).fetchone()
        return Hold._make(row) if row else None

    def expire(self, pan: str, at_s: int) -> None:
        """Ends the holds of a card whose time is over."""
        query = "SELECT * FROM holds WHERE pan = ? AND expires_s <= ? AND state = 'approved'"
        for row in self._db.execute(query, (pan, at_s)).fetchall():
            hold = Hold._make(row)
            made = self.by_id(hold.id)
            assert made is not None, "a hold without its pre-authorisation"
            amounts = {"amount_fen": hold.amount_fen, "asked_fen": hold.amount_fen}
            ended = made._replace(id=self.next_id(), at_s=at_s, kind="expiry", original=hold.id, state=APPROVED, **amounts)
            self.record(ended, hold)

    def _set_hold(self, number: int, state: str) -> None:
        self._db.execute("UPDATE holds SET state = ? WHERE id = ?", (state, number))
        self.set_state(number, state)

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

    def _post(self, transaction_id: int, account: str, amount: int) -> None:
        self._db.execute(
            "INSERT INTO postings (transaction_id, account, amount_fen) VALUES (?, ?, ?)", (transaction_id, account, amount)
        )
        self._db.execute(
            "INSERT INTO accounts VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET balance_fen = balance_fen + excluded.balance_fen",
            (account, amount),
        )


class _Writing:
    def __init__(self, lock, database, kept) -> None:
        self._lock, self._db, self._kept = lock, database, kept

    def __enter__(self) -> None:
        self._lock.acquire()
        self._begun = not self._db.in_transaction
        if self._begun:
            self._db.execute("BEGIN")

    def __exit__(self, kind, *_) -> None:
        try:
            if self._begun and kind is None:
                try:
                    self._db.execute("COMMIT")
                except sqlite3.Error:
                    self._roll_back()
                    raise
            elif self._begun:
                self._roll_back()
        finally:
            self._lock.release()

    def _roll_back(self) -> None:
        self._kept.clear()  # what was read in between may be what is taken back
        if self._db.in_transaction:  # a full disk ends it by itself
            self._db.execute("ROLLBACK")
