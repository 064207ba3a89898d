"""What a person, a script or a test asks the acquirer's books. Nothing here changes them, but for accounts that are opened.

Card numbers come out masked; amounts are integer fen.
"""

import sqlite3
import threading
from collections import namedtuple

from firmware.emv.tags import mask_digits

APART = ("reversal", "expiry")  # kinds that no terminal asks for as such
DEBIT = ("sale", "moto", "instalment", "offline-sale", "adjust", "tip", "complete", "complete-notice")
CREDIT = ("void", "refund", "complete-void")
OF_BATCH = "(?2 IS NULL OR batch = ?2)"

Notice = namedtuple("Notice", "batch trace kind card results")
Posting = namedtuple("Posting", "batch trace kind card amount_fen code reference authorisation state")
Held = namedtuple("Held", "card merchant authorisation date amount_fen expires_s state")
Entry = namedtuple("Entry", "at_s terminal batch trace kind amount_fen")
Standing = namedtuple("Standing", "batch trace kind amount_fen")


class Statements:
    """The asking half of `Books`."""

    lock: threading.RLock
    _db: sqlite3.Connection

    def _opened(self, pan: str) -> bool:
        raise NotImplementedError

    # Accounts

    def balance(self, pan: str) -> int:
        """What a card can still spend, in fen: what is on its account less what is held."""
        with self.lock:
            self._opened(pan)
            return self._account("card:" + pan) - self._account("held:" + pan)

    def held(self, pan: str) -> int:
        """What is held on a card by pre-authorisations, in fen."""
        return self._account("held:" + pan)

    def takings(self, merchant: str) -> int:
        """What a merchant has been credited, in fen."""
        return self._account("merchant:" + merchant)

    def _account(self, name: str) -> int:
        with self.lock:
            row = self._db.execute("SELECT balance_fen FROM accounts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else 0

    def merchants(self) -> "dict[str, int]":
        """{merchant: what it has been credited, in fen}."""
        with self.lock:
            rows = self._db.execute("SELECT substr(name, 10), balance_fen FROM accounts WHERE name GLOB 'merchant:*' ORDER BY 1")
            return dict(rows.fetchall())

    def terminals(self) -> "list[tuple[str, str, int, bool]]":
        """[(number, merchant, batch, whether signed on)], by number."""
        with self.lock:
            rows = self._db.execute("SELECT number, merchant, batch, signed_on FROM terminals ORDER BY number").fetchall()
        return [(number, merchant, batch, bool(signed_on)) for number, merchant, batch, signed_on in rows]

    def statement(self, account: str, count: int = 50) -> "list[Entry]":
        """The last entries of an account, newest first. account: "card:" or "held:" and a whole card number, or "merchant:" and a
        merchant's number."""
        with self.lock:
            rows = self._db.execute(
                "SELECT t.at_s, t.terminal, t.batch, t.trace, t.kind, p.amount_fen FROM postings p "
                "JOIN transactions t ON t.id = p.transaction_id WHERE p.account = ? ORDER BY p.transaction_id DESC LIMIT ?",
                (account, count),
            )
            return [Entry._make(row) for row in rows]

    def holds(self, pan: str = "", count: int = 50) -> "list[Held]":
        """The newest holds, of one card or of all; state "approved" is in force."""
        with self.lock:
            rows = self._db.execute(
                "SELECT pan, merchant, authorisation, date, amount_fen, expires_s, state FROM holds "
                "WHERE ?1 = '' OR pan = ?1 ORDER BY id DESC LIMIT ?2",
                (pan, count),
            ).fetchall()
        return [Held(mask_digits(number), *rest) for number, *rest in rows]

    # Transactions

    def approved(self, amount_fen: int) -> int:
        """How many sales of this amount stand."""
        with self.lock:
            query = "SELECT count(*) FROM transactions WHERE amount_fen = ? AND kind = 'sale' AND state = 'approved'"
            return self._db.execute(query, (amount_fen,)).fetchone()[0]

    def standing(self, terminal: str, batch: "str | None" = None) -> "list[tuple[str, str, int]]":
        """[(batch, trace, amount in fen)] of the sales that stand, in the order in which they came."""
        return [(row.batch, row.trace, row.amount_fen) for row in self.standing_all(terminal, batch) if row.kind == "sale"]

    def standing_all(self, terminal: str, batch: "str | None" = None) -> "list[Standing]":
        """[(batch, trace, kind, amount in fen)] of everything that stands, in the order in which it came.

        A voided sale does not stand, its void does; an adjusted one does not, its adjustment does, with the new total; a
        pre-authorisation stands until it is voided, completed or over, an additional one until it is reversed. What chip and
        terminal approved is a "sale".
        """
        with self.lock:
            rows = self._db.execute(
                "SELECT batch, trace, kind, amount_fen FROM transactions "
                f"WHERE terminal = ?1 AND {OF_BATCH} AND state = 'approved' AND kind NOT IN {APART} ORDER BY id",
                (terminal, batch),
            )
            return [Standing._make(row) for row in rows]

    def totals(self, terminal: str, batch: str) -> "dict[str, tuple[int, int]]":
        """{kind: (count, fen)} of a batch as a settlement counts it: a voided sale counts, and its void; a reversed one does
        not; an adjusted one has made room for its adjustment."""
        with self.lock:
            rows = self._db.execute(
                "SELECT kind, count(*), sum(amount_fen) FROM transactions WHERE terminal = ? AND batch = ? "
                f"AND state IN ('approved', 'voided') AND kind NOT IN {APART} GROUP BY kind",
                (terminal, batch),
            ).fetchall()
        return {kind: (count, amount_fen) for kind, count, amount_fen in rows}

    def postings(self, terminal: str, batch: "str | None" = None) -> "list[Posting]":
        """What this terminal asked for, in the order in which it came; the card masked. kind "reversal": what undid another.

        amount_fen is what moved to the merchant, 0 when nothing did, negative for a void and the reversal of a sale.
        """
        with self.lock:
            rows = self._db.execute(
                "SELECT t.batch, t.trace, t.kind, t.pan, coalesce(p.amount_fen, 0), t.code, t.reference, t.authorisation, "
                "t.state FROM transactions t "
                "LEFT JOIN postings p ON p.transaction_id = t.id AND p.account = 'merchant:' || t.merchant "
                f"WHERE t.terminal = ?1 AND {OF_BATCH} ORDER BY t.id",
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
        """The last transactions of all terminals, newest first, as `postings` gives them; amounts as booked."""
        with self.lock:
            rows = self._db.execute(
                "SELECT batch, trace, kind, pan, amount_fen, code, reference, authorisation, state FROM transactions "
                "ORDER BY id DESC LIMIT ?",
                (count,),
            ).fetchall()
        return [Posting(batch, trace, kind, mask_digits(pan), *rest) for batch, trace, kind, pan, *rest in rows]

    def balanced(self) -> bool:
        """Whether all postings add up to nothing, in whole and per transaction, every account is the sum of its own, and what
        is held is what the holds in force say."""
        checks = (
            "SELECT coalesce(sum(balance_fen), 0) FROM accounts",
            "SELECT count(*) FROM (SELECT 1 FROM postings GROUP BY transaction_id HAVING sum(amount_fen) <> 0)",
            "SELECT count(*) FROM accounts a WHERE balance_fen <> (SELECT sum(amount_fen) FROM postings WHERE account = a.name)",
            "SELECT count(*) FROM accounts a WHERE name GLOB 'held:*' AND balance_fen <> "
            "(SELECT coalesce(sum(amount_fen), 0) FROM holds WHERE pan = substr(a.name, 6) AND state = 'approved')",
        )
        with self.lock:
            return all(self._db.execute(query).fetchone()[0] == 0 for query in checks)
