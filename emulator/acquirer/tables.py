"""The books as tables for a page: card numbers masked, amounts in fen, at most MOST rows of each, the newest first.

    merchants     {"number", "takings_fen", "terminals"}
    cards         {"handle": what `statement` and `set_status` know it by, "card", "name", "status", "available_fen", "held_fen",
                  "wrong_pins"}
    holds         {"card", "merchant", "authorisation", "date", "amount_fen", "expires_s", "state"}
    transactions  {"at_s", "terminal", "batch", "trace", "kind", "card", "amount_fen", "code", "reference", "authorisation",
                  "state"}
    settlements   {"terminal", "batch", "at_s", "state", "uploaded", "halves": [{"claimed", "booked": [debit fen, debits,
                  credit fen, credits], "flag"}] for UnionPay's cards and others, "disputes": [{"trace", "card", "what",
                  "booked_fen", "uploaded_fen"}]}
    terminals     {"number", "merchant", "batch", "signed_on", "keys": of its profile, "last": {"at_s", "title", "code"} or
                  None, "open": kind -> [count, fen] of the batch that is open}

`find` narrows a table: the last digits of a card number, the first ones of any other.
"""

import secrets
import threading
from collections.abc import Callable
from typing import Any

from emulator.acquirer.books import Books
from emulator.acquirer.watch import Watched
from firmware.emv.tags import mask_digits
from firmware.iso8583.batch import read_totals

MOST = 100
STATEMENT = 50
SEARCHED = 20_000  # of the last transactions: the terminals wait meanwhile
CARD_DIGITS = 4  # of a card number are looked for: no more than is shown


class Tables:
    """The tables of one acquirer.

    names    {card number: what it is called}
    """

    def __init__(self, acquirer: Watched, names: "dict[str, str] | None" = None) -> None:
        self._acquirer = acquirer
        self._books: Books = acquirer.books
        self._names = names or {}
        self._handles: dict[str, str] = {}  # card number -> handle
        self._numbers: dict[str, str] = {}
        self._lock = threading.Lock()

    def ask(self, table: str, find: str = "") -> "dict[str, Any]":
        """{"rows", "more": whether there are others}. Raises KeyError for a table that there is not."""
        rows = _TABLES[table](self, find)
        return {"rows": rows[:MOST], "more": len(rows) > MOST}

    def statement(self, card: str = "", merchant: str = "") -> "list[dict[str, Any]]":
        """The last entries of a card, by its handle, or of a merchant. Raises LookupError."""
        account = "card:" + self._number(card) if card else "merchant:" + merchant
        return [entry._asdict() for entry in self._books.statement(account, STATEMENT)]

    def set_status(self, card: str, status: str) -> None:
        """Raises LookupError for a handle that was not given, ValueError for a status that there is not."""
        self._books.set_status(self._number(card), status)

    def _number(self, handle):
        with self._lock:
            if handle not in self._numbers:
                raise LookupError("no such card")
            return self._numbers[handle]

    def _handle(self, pan):
        with self._lock:
            handle = self._handles.get(pan)
            if handle is None:
                handle = self._handles[pan] = secrets.token_hex(6)
                self._numbers[handle] = pan
            return handle

    def _select(self, query, *values):
        with self._books.lock:
            return self._books._db.execute(query + f" LIMIT {MOST + 1}", values).fetchall()

    def _merchants(self, find):
        rows = self._select(
            "SELECT merchant, coalesce((SELECT balance_fen FROM accounts WHERE name = 'merchant:' || merchant), 0), count(*) "
            "FROM terminals WHERE merchant GLOB ?1 || '*' GROUP BY merchant ORDER BY 2 DESC, 1",
            _plain(find),
        )
        return [{"number": number, "takings_fen": fen, "terminals": count} for number, fen, count in rows]

    def _cards(self, find):
        rows = self._select(
            "SELECT pan, status, wrong_pins, "
            "coalesce((SELECT balance_fen FROM accounts WHERE name = 'card:' || pan), 0), "
            "coalesce((SELECT balance_fen FROM accounts WHERE name = 'held:' || pan), 0) "
            "FROM cards WHERE pan GLOB ?1 ORDER BY pan",
            _ending(find),
        )
        return [
            {
                "handle": self._handle(pan), "card": mask_digits(pan), "name": self._names.get(pan, ""), "status": status,
                "available_fen": fen - held, "held_fen": held, "wrong_pins": wrong,
            }
            for pan, status, wrong, fen, held in rows
        ]  # fmt: skip

    def _holds(self, find):
        rows = self._select(
            "SELECT pan, merchant, authorisation, date, amount_fen, expires_s, state FROM holds "
            "WHERE pan GLOB ?2 OR authorisation GLOB ?1 || '*' ORDER BY id DESC",
            _plain(find),
            _ending(find),
        )
        names = ("merchant", "authorisation", "date", "amount_fen", "expires_s", "state")
        return [{"card": mask_digits(pan)} | dict(zip(names, rest, strict=True)) for pan, *rest in rows]

    def _transactions(self, find):
        rows = self._select(
            "SELECT pan, at_s, terminal, batch, trace, kind, amount_fen, code, reference, authorisation, state "
            f"FROM (SELECT * FROM transactions ORDER BY id DESC LIMIT {SEARCHED}) "
            "WHERE terminal GLOB ?1 || '*' OR reference GLOB ?1 || '*' OR trace GLOB ?1 || '*' OR pan GLOB ?2 ORDER BY id DESC",
            _plain(find),
            _ending(find),
        )
        names = ("at_s", "terminal", "batch", "trace", "kind", "amount_fen", "code", "reference", "authorisation", "state")
        return [{"card": mask_digits(pan)} | dict(zip(names, rest, strict=True)) for pan, *rest in rows]

    def _settlements(self, find):
        rows = self._select(
            "SELECT terminal, batch, at_s, state, uploaded, claimed, answer FROM settlements WHERE terminal GLOB ?1 || '*' "
            "ORDER BY at_s DESC, batch DESC",
            _plain(find),
        )
        names = ("terminal", "batch", "at_s", "state", "uploaded")
        return [
            dict(zip(names, rest, strict=True))
            | {"halves": _halves(claimed, answer), "disputes": self._disputes(rest[0], rest[1])}
            for *rest, claimed, answer in rows
        ]

    def _disputes(self, terminal, batch):
        rows = self._select(
            "SELECT pan, trace, what, booked_fen, uploaded_fen FROM disputes WHERE terminal = ? AND batch = ? ORDER BY id",
            terminal,
            batch,
        )
        names = ("trace", "what", "booked_fen", "uploaded_fen")
        return [{"card": mask_digits(pan)} | dict(zip(names, rest, strict=True)) for pan, *rest in rows]

    def _terminals(self, find):
        begin = _plain(find)
        numbers = [number for number in self._acquirer.recent() if number.startswith(begin)][: MOST + 1]
        query = "SELECT number FROM terminals WHERE number GLOB ?1 || '*' ORDER BY signed_on DESC, number"
        numbers += [number for (number,) in self._select(query, begin) if number not in numbers]
        return [self._terminal(number) for number in numbers[: MOST + 1]]

    def _terminal(self, number):
        terminal = self._books.terminal(number)
        assert terminal is not None, "a terminal that went while it was listed"
        last = self._acquirer.seen(number)
        own = terminal.profile
        return {
            "number": number,
            "merchant": terminal.merchant,
            "batch": terminal.batch,
            "signed_on": bool(terminal.signed_on),
            "keys": "%s %s" % (own.keys, terminal.cipher if own.keys == "session" else own.suite),
            "last": last and {"at_s": last.at_s, "title": list(last.title), "code": last.code},
            "open": self._books.totals(number, "%06d" % terminal.batch),
        }


_TABLES: "dict[str, Callable[[Tables, str], list[dict[str, Any]]]]" = {
    "merchants": Tables._merchants,
    "cards": Tables._cards,
    "holds": Tables._holds,
    "transactions": Tables._transactions,
    "settlements": Tables._settlements,
    "terminals": Tables._terminals,
}
NAMES = tuple(_TABLES)


def _plain(text: str) -> str:
    """Letters and digits alone: what is left means nothing to GLOB."""
    return "".join(one for one in text if one.isascii() and one.isalnum())


def _ending(text: str) -> str:
    """A pattern for the end of a card number; "" fits none."""
    plain = _plain(text)
    return "*" + plain if len(plain) <= CARD_DIGITS else ""


def _halves(claimed: str, answer: str) -> "list[dict[str, Any]]":
    return [
        {"claimed": list(theirs[:4]), "booked": list(ours[:4]), "flag": ours.flag}
        for theirs, ours in zip(read_totals(claimed), read_totals(answer), strict=True)
    ]
