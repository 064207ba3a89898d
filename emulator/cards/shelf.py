"""The shelf of cards beside the emulated terminal: the rows of `catalogue.py`, with numbers, PINs and keys.

`load(folder)` keeps numbers, PINs, keys and what the cards remember in a folder of the emulator's own: random ones made at
the first start, in the same folder ever after; cards that are new on the shelf are drawn when they are first missing.
`sample(random)` makes a shelf in memory from a seed. A card is made when it is first taken from the shelf.

UnionPay's numbers begin with 62; all pass Luhn's check, and belong to nobody. The public keys are those of `pki.py`, the same
on every shelf: `authority_rows` gives the authorities' to a terminal.
"""

import json
import os
import random as chances
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from emulator.cards import builder, cryptogram, pki
from emulator.cards.card import Card, NoBankCard
from emulator.cards.catalogue import FIRST, NO_BANK_CARD, PREFIXES, ROWS, Row

SEQUENCE = "001"
FILE, COUNTERS = "cards.json", "counters.json"
_BY_NAME = {row.name: row for row in ROWS}
_DOUBLED = {str(digit): digit * 2 // 10 + digit * 2 % 10 for digit in range(10)}
_SINGLE = {str(digit): digit for digit in range(10)}


class ShelfError(Exception):
    """The folder's files cannot be used; the text names the file."""


class Shelf:
    """names: in order; card(name): the card; records(): for the acquirer; verify: its check of a cryptogram."""

    verify = staticmethod(cryptogram.verify)
    names = (*_BY_NAME, NO_BANK_CARD[0])

    def __init__(
        self,
        drawn: "dict[str, list[dict[str, str]]]",
        kept: "dict[str, Any]",
        keep: "Callable[[Card], None] | None" = None,
        random: "Random | None" = None,
    ) -> None:
        """drawn: what is known of the cards; random: for those that are missing in it, drawn when one of them is asked for."""
        self._drawn, self._kept, self._keep, self._random = drawn, kept, keep, random
        self._cards: dict[str, Any] = {NO_BANK_CARD[0]: NoBankCard(*NO_BANK_CARD)}

    def _of(self, name):
        if self._random and name not in self._drawn:
            _draw([row for row in ROWS if row.name not in self._drawn], self._random, self._drawn)
        return self._drawn[name]

    def card(self, name: str) -> Any:
        """The card: Card or NoBankCard. Raises KeyError for a name that is not on the shelf."""
        if name not in self._cards:
            card = builder.make(_BY_NAME[name], [_as_bytes(own) for own in self._of(name)])
            if name in self._kept:
                card.update(self._kept[name])
            card.changed = self._keep
            self._cards[name] = card
        return self._cards[name]

    def bank_cards(self) -> "list[Card]":
        """Those with a number."""
        return [self.card(name) for name in _BY_NAME]

    def records(self) -> "list[dict]":
        """What the issuers know, one for each application: pan, expiry, sequence, pin, issuer_key, mac_key, data_key (bytes),
        scheme, balance_fen, status, last_atc."""
        return [
            _record(row, profile, own) for row in ROWS for profile, own in zip(row.applications, self._of(row.name), strict=True)
        ]

    def record(self, pan: str) -> "dict | None":
        """The record of one number."""
        for names in (list(self._drawn), self.names[:-1]):
            for name in names:
                for profile, own in zip(_BY_NAME[name].applications, self._of(name), strict=True):
                    if own["pan"] == pan:
                        return _record(_BY_NAME[name], profile, own)
        return None

    def exceptions(self) -> "list[tuple[str, str]]":
        """[(pan, sequence)] that belong on the terminal's exception file."""
        return [(own["pan"], SEQUENCE) for row in ROWS if row.listed for own in self._of(row.name)]

    @staticmethod
    def authority_rows() -> "list[dict[str, str]]":
        """The authorities' public keys, for `firmware.emv.settings.Settings(keys=...)`."""
        return pki.authority_rows()


def sample(random: Random) -> Shelf:
    """A shelf in memory: the same for the same seed."""
    drawn: dict[str, list[dict[str, str]]] = {}
    _draw_first(random, drawn)
    rest = Random(drawn["debit"][0]["issuer_key"])
    _add_keys(drawn, rest)
    _draw([row for row in ROWS if row.listed], rest, drawn)  # every world asks for these
    return Shelf(drawn, {}, None, rest)


def load(folder: "Path | str", random: "Random | None" = None) -> Shelf:
    """The shelf kept in `folder`, made there when there is none. Raises ShelfError, OSError."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, counters_path = folder / FILE, folder / COUNTERS
    try:
        kept = json.loads(path.read_text()) if path.exists() else {"cards": {}}
        drawn = {name: own if isinstance(own, list) else [own] for name, own in kept["cards"].items() if name in _BY_NAME}
        if _complete(drawn, random or chances.SystemRandom()):
            _write(path, {"cards": {name: own if len(own) > 1 else own[0] for name, own in drawn.items()}})
        counters = json.loads(counters_path.read_text()) if counters_path.exists() else {}

        def keep(card):
            counters[card.name] = card.to_json()
            _write(counters_path, counters)

        shelf = Shelf(drawn, counters, keep)
        shelf.bank_cards()  # a damaged row is noticed now
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShelfError(
            f"{folder}: {FILE} or {COUNTERS} is damaged ({type(error).__name__}); remove both for new cards"
        ) from None
    return shelf


def luhn(digits: str) -> str:
    """The check digit that makes `digits` a card number (ISO/IEC 7812-1, Annex B)."""
    places = digits[::-1]
    return str(-(sum(map(_DOUBLED.__getitem__, places[::2])) + sum(map(_SINGLE.__getitem__, places[1::2]))) % 10)


def _as_bytes(own):
    return {**own, **{name: bytes.fromhex(own[name]) for name in ("issuer_key", "mac_key", "data_key")}}


def _key(random):
    return "%032x" % random.getrandbits(128)


def _record(row, profile, own):
    return {
        "pan": own["pan"], "expiry": row.expiry, "sequence": SEQUENCE, "pin": own["pin"],
        "issuer_key": bytes.fromhex(own["issuer_key"]), "mac_key": bytes.fromhex(own["mac_key"]),
        "data_key": bytes.fromhex(own["data_key"]), "scheme": profile.scheme, "balance_fen": row.balance_fen,
        "status": "active", "last_atc": 0,
    }  # fmt: skip


def _complete(drawn, random):
    """Adds what is missing: cards that are new on the shelf, keys that cards did not have before. Whether there was any."""
    if FIRST[0].name not in drawn:
        _draw_first(random, drawn)
    added = _add_keys(drawn, random)
    missing = [row for row in ROWS if row.name not in drawn]
    _draw(missing, random, drawn)
    return bool(missing or added)


def _add_keys(drawn, random):
    without = [own for owns in drawn.values() for own in owns if "mac_key" not in own]
    mac_key, data_key = _key(random), _key(random)
    for own in without:
        own.update(mac_key=mac_key, data_key=data_key)
    return bool(without)


def _draw(rows: "list[Row]", random: Random, drawn: dict) -> None:
    """Adds {name: [{"pan", "pin", "issuer_key", "mac_key", "data_key"} for each application]} for these rows.

    Each number has other last digits than the rest: people tell cards apart by those.
    """
    ends = {own["pan"][-4:] for name in drawn for own in drawn[name]}
    keys = {scheme: (_key(random), _key(random), _key(random)) for scheme in PREFIXES}
    for row in rows:
        drawn[row.name] = []
        for profile in row.applications:
            prefix = PREFIXES[profile.scheme]
            free = row.digits - len(prefix) - 1
            while True:
                number = prefix + "%0*d" % (free, random.randrange(10**free))
                number += luhn(number)
                if number[-4:] not in ends:
                    break
            ends.add(number[-4:])
            issuer_key, mac_key, data_key = keys[profile.scheme]
            drawn[row.name].append(
                {
                    "pan": number, "pin": "%06d" % random.randrange(10**6), "issuer_key": issuer_key, "mac_key": mac_key,
                    "data_key": data_key,
                }
            )  # fmt: skip


def _draw_first(random, drawn):
    """The first eight, digit by digit: a seed gives them the numbers that it always gave."""
    debit_key, credit_key = (bytes(random.getrandbits(8) for _ in range(16)).hex() for _ in range(2))
    ends: set[str] = set()
    for row in FIRST:
        while True:
            body = "62" + "".join(str(random.randrange(10)) for _ in range(row.digits - 3))
            number = body + luhn(body)
            if number[-4:] not in ends:
                break
        ends.add(number[-4:])
        pin = "".join(str(digit) for digit in random.sample(range(10), 6))
        key = credit_key if row.name == "credit" else debit_key
        drawn[row.name] = [{"pan": number, "pin": pin, "issuer_key": key}]


def _write(path, data):
    """Writes JSON beside the file and renames it: readable by its owner alone, never half written."""
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(data, file)
    os.replace(fresh, path)
