"""End of the day at the host: the terminal's totals against its own, the details it uploads, the batch closed.

    0500            per half (UnionPay's cards, others): the totals that the books come to are the terminal's, or not
    0320 lists, chips, notices   kept by trace number: the same again changes nothing
    0320 end        where the totals differ, what was uploaded is laid beside the books, and each difference is a dispute; the
                    batch is settled, the next one begins

A settled batch may be settled once more, for the answer may have been lost: it is given again, and nothing changes. 77 where
the batch is none of those, or nobody has signed on; 22 for an upload that no totals came before.

`Settlement.settled` and `Settlement.disputes` are the books of it.

Source: reference/host.md §6 (settlement).
"""

from collections import namedtuple
from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.acquirer.books import Terminal
from emulator.acquirer.request import PLAIN, Kind, Message, Outcome, Request
from emulator.acquirer.statements import CREDIT, DEBIT
from firmware import schemes
from firmware.emv.tags import mask_digits
from firmware.iso8583 import batch, codes
from firmware.iso8583.batch import BALANCED, ERROR, UNBALANCED, UNTOLD, Half
from firmware.iso8583.codec import Iso8583Error

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

ROWS = (
    Kind("settlement", (Message("0500", code=batch.UPLOAD),), (11, 48), **PLAIN),
    Kind("batch-list", (Message("0320", kind="00", code=batch.UPLOAD),), (11, 48), **PLAIN),
    Kind(
        "batch-chip",
        (Message("0320", code=batch.CHIP[True]), Message("0320", code=batch.CHIP[False])),
        (2, 4, 11, 55, 62),
        **PLAIN,
    ),
    Kind(
        "batch-notice",
        tuple(Message("0320", kind=kind, code=batch.UPLOAD) for kind in ("24", "25", "30", "32", "34", "36")),
        (2, 4, 11),
        **PLAIN,
    ),
    Kind(
        "batch-end",
        (Message("0320", code=batch.END[True]), Message("0320", code=batch.END[False])),
        (11, 48),
        **PLAIN,
    ),
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS settlements (
    terminal TEXT, batch TEXT, at_s INTEGER NOT NULL, state TEXT NOT NULL, claimed TEXT NOT NULL, answer TEXT NOT NULL,
    uploaded INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (terminal, batch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    terminal TEXT, batch TEXT, trace TEXT, pan TEXT NOT NULL, amount_fen INTEGER NOT NULL, PRIMARY KEY (terminal, batch, trace)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS disputes (
    id INTEGER PRIMARY KEY, terminal TEXT NOT NULL, batch TEXT NOT NULL, trace TEXT NOT NULL, pan TEXT NOT NULL,
    what TEXT NOT NULL, booked_fen INTEGER, uploaded_fen INTEGER
);
"""
ASKED, SETTLED = "asked", "settled"

# state: ASKED, SETTLED. claimed, answer: two Half each, what the terminal said and what it was told. uploaded: by its own count.
Settled = namedtuple("Settled", "batch at_s state claimed answer uploaded")
# what: "not-uploaded" the terminal has not named it; "not-booked" the books do not have it; "amount", "card" differs.
Dispute = namedtuple("Dispute", "batch trace card what booked_fen uploaded_fen")


def half_of(pan: str) -> int:
    """Which half of the totals a card belongs to: 0 UnionPay's, 1 others."""
    return 0 if schemes.of_card("", pan) == schemes.UNIONPAY else 1


class Settlement:
    """Settles with the terminals of one acquirer."""

    def __init__(self, host: "Acquirer") -> None:
        self._host = host
        self._books = host.books
        self._db = host.books._db
        with self._books.lock:
            self._db.executescript(SCHEMA)

    def acts(self) -> "dict[str, Callable[[Request, Terminal], Outcome]]":
        """What it answers."""
        return {
            "settlement": self.settlement,
            "batch-list": self.upload,
            "batch-chip": self.upload,
            "batch-notice": self.upload,
            "batch-end": self.end,
        }

    # What is asked

    def settlement(self, request: Request, terminal: Terminal) -> Outcome:
        try:
            claimed = batch.read_totals(request.fields[48])
        except Iso8583Error:
            return Outcome("30")
        if not terminal.signed_on:
            return Outcome("77")
        name = request.private.batch
        if name != "%06d" % terminal.batch:
            before = self._find(terminal.number, name, SETTLED)
            return Outcome("", {48: batch.totals(*before.answer)}) if before else Outcome("77")
        answer = self._compare(terminal.number, name, claimed, request.rule.action if request.rule else "")
        said, told = (batch.totals(*(half._replace(flag=UNTOLD) for half in claimed)), batch.totals(*answer))
        row = (terminal.number, name, int(self._host.clock()), ASKED, said, told)
        self._db.execute("INSERT OR REPLACE INTO settlements VALUES (?, ?, ?, ?, ?, ?, 0)", row)
        self._db.execute("DELETE FROM uploads WHERE terminal = ? AND batch = ?", (terminal.number, name))
        return Outcome("", {48: told})

    def _compare(self, terminal: str, name: str, claimed: "tuple[Half, Half]", bent: str) -> "tuple[Half, Half]":
        """What the books come to, each half with what that makes of the terminal's."""
        if bent == "settle-error":
            return (claimed[0]._replace(flag=ERROR), claimed[1]._replace(flag=ERROR))
        found = []
        used = 1 if claimed[1].debits + claimed[1].credits and not claimed[0].debits + claimed[0].credits else 0
        for at, own in enumerate(self.totals(terminal, name)):
            if bent == "unbalance" and at == used:
                own = own._replace(debit_fen=own.debit_fen + 1)
            same = own == claimed[at]._replace(flag=own.flag)
            found.append(own._replace(flag=BALANCED if same else UNBALANCED))
        return (found[0], found[1])

    def upload(self, request: Request, terminal: Terminal) -> Outcome:
        number, name = terminal.number, request.private.batch
        if name != "%06d" % terminal.batch:
            return Outcome(codes.APPROVED if self._find(number, name, SETTLED) else "77")
        if self._find(number, name, ASKED) is None:
            return Outcome("22")
        try:
            listed = self._listed(request)
        except Iso8583Error:
            return Outcome("30")
        rows = [(number, name, trace, pan, amount_fen) for trace, pan, amount_fen in listed]
        self._db.executemany("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", rows)
        return Outcome(codes.APPROVED)

    def _listed(self, request: Request) -> "list[tuple[str, str, int]]":
        """(trace, card number, fen) of each transaction of a message."""
        if request.kind == "batch-list":
            return [(item.trace, item.pan, item.fen) for item in batch.read_items(request.fields[48])]
        if request.kind == "batch-chip" and batch.read_chip(request.fields[62]).fen != request.amount_fen:
            raise Iso8583Error(62, None, "another amount")
        return [(request.trace, request.pan, request.amount_fen)]

    def end(self, request: Request, terminal: Terminal) -> Outcome:
        number, name = terminal.number, request.private.batch
        if name != "%06d" % terminal.batch:
            return Outcome(codes.APPROVED if self._find(number, name, SETTLED) else "77")
        asked = self._find(number, name, ASKED)
        if asked is None:
            return Outcome("22")
        try:
            uploaded = batch.read_count(request.fields[48])
        except Iso8583Error:
            return Outcome("30")
        for half in (0, 1):
            if asked.answer[half].flag != BALANCED:
                self._dispute(number, name, half)
        self._db.execute(
            "UPDATE settlements SET state = ?, uploaded = ? WHERE terminal = ? AND batch = ?", (SETTLED, uploaded, number, name)
        )
        self._books.next_batch(number)
        return Outcome(codes.APPROVED)

    def _dispute(self, terminal: str, name: str, half: int) -> None:
        """Notes every difference between what was uploaded of a half and what the books have of it."""
        moved = [row for row in self._booked(terminal, name) if row[1] in DEBIT + CREDIT]
        booked = {trace: (pan, fen) for trace, _, pan, fen in moved if half_of(pan) == half}
        query = "SELECT trace, pan, amount_fen FROM uploads WHERE terminal = ? AND batch = ?"
        rows = self._db.execute(query, (terminal, name)).fetchall()
        told = {trace: (pan, fen) for trace, pan, fen in rows if half_of(pan) == half}
        for trace in sorted(set(booked) | set(told)):
            (pan, ours), (named, theirs) = booked.get(trace, ("", None)), told.get(trace, ("", None))
            if theirs is None:
                what = "not-uploaded"
            elif ours is None:
                what = "not-booked"
            elif ours != theirs:
                what = "amount"
            elif pan != named:
                what = "card"
            else:
                continue
            self._db.execute(
                "INSERT INTO disputes (terminal, batch, trace, pan, what, booked_fen, uploaded_fen) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (terminal, name, trace, pan or named, what, ours, theirs),
            )

    # The books

    def _booked(self, terminal: str, name: str) -> "list[tuple[str, str, str, int]]":
        """[(trace, kind, card number, fen)] of a batch, as a settlement counts them."""
        query = (
            "SELECT trace, kind, pan, amount_fen FROM transactions WHERE terminal = ? AND batch = ? "
            "AND state IN ('approved', 'voided') ORDER BY id"
        )
        return self._db.execute(query, (terminal, name)).fetchall()

    def totals(self, terminal: str, name: str) -> "tuple[Half, Half]":
        """What the books come to: (UnionPay's cards, others). name: the batch, six digits."""
        sums = [[0, 0, 0, 0], [0, 0, 0, 0]]
        with self._books.lock:
            for _, kind, pan, fen in self._booked(terminal, name):
                at = 0 if kind in DEBIT else 2 if kind in CREDIT else None
                if at is not None:
                    half = sums[half_of(pan)]
                    half[at] += fen
                    half[at + 1] += 1
        return (Half._make([*sums[0], UNTOLD]), Half._make([*sums[1], UNTOLD]))

    def _find(self, terminal: str, name: str, state: str) -> "Settled | None":
        found = self._asked("terminal = ? AND batch = ? AND state = ?", (terminal, name, state))
        return found[0] if found else None

    def settled(self, terminal: str) -> "list[Settled]":
        """The settlements of a terminal, oldest batch first, the one that is under way too."""
        return self._asked("terminal = ?", (terminal,))

    def _asked(self, which: str, values: "tuple[str, ...]") -> "list[Settled]":
        query = f"SELECT batch, at_s, state, claimed, answer, uploaded FROM settlements WHERE {which} ORDER BY at_s, batch"
        with self._books.lock:
            rows = self._db.execute(query, values).fetchall()
        return [Settled._make([*row[:3], batch.read_totals(row[3]), batch.read_totals(row[4]), row[5]]) for row in rows]

    def disputes(self, terminal: str) -> "list[Dispute]":
        """The differences that settlements of a terminal have left, oldest first; the card masked, None for what is not there."""
        query = "SELECT batch, trace, pan, what, booked_fen, uploaded_fen FROM disputes WHERE terminal = ? ORDER BY id"
        with self._books.lock:
            rows = self._db.execute(query, (terminal,)).fetchall()
        return [Dispute(name, trace, mask_digits(pan), *rest) for name, trace, pan, *rest in rows]
