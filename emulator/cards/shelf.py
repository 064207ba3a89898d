"""The shelf of cards beside the emulated terminal.

    name             is                                      tapped
    debit            a debit card, money on it               PIN from the terminal's limit on
    credit           a credit card                           likewise
    second           another debit card                      likewise; for the customer who takes the wrong one
    expired          a debit card that is over               declined by the terminal
    poor             a debit card with 1.00 on it            declined by the bank
    pin-asking       a debit card that always wants its PIN  PIN at any amount
    phone            a telephone that knows its holder       no PIN
    broken           answers noise                           cannot be read
    not-a-bank-card  a library card                          no application

`load(folder)` keeps numbers, PINs, keys and counters in a folder of the emulator's own: random ones made at the first
start, in the same folder ever after. `sample(random)` makes a shelf in memory from a seed, without public keys, which
cost time and are not needed to go online. Numbers begin with UnionPay's 62, pass Luhn's check, and belong to nobody.
"""

import json
import os
import random as chances
from pathlib import Path
from random import Random

from emulator.cards import cryptogram, pki
from emulator.cards.card import Card, NoBankCard

DEBIT, CREDIT = bytes.fromhex("A000000333010101"), bytes.fromhex("A000000333010102")

# name, title, application, label, digits of the number, expiry YYMM, balance in fen, habit
ROWS = (
    ("debit", "借记卡 Debit", DEBIT, "PBOC DEBIT", 19, "3512", 100_000_000, "by amount"),
    ("credit", "贷记卡 Credit", CREDIT, "PBOC CREDIT", 16, "3410", 5_000_000, "by amount"),
    ("second", "另一张借记卡 Second debit", DEBIT, "PBOC DEBIT", 19, "3606", 10_000_000, "by amount"),
    ("expired", "过期卡 Expired", DEBIT, "PBOC DEBIT", 19, "2305", 10_000_000, "by amount"),
    ("poor", "余额不足 Poor", DEBIT, "PBOC DEBIT", 19, "3311", 100, "by amount"),
    ("pin-asking", "需输密码 Always PIN", DEBIT, "PBOC DEBIT", 19, "3409", 10_000_000, "always PIN"),
    ("phone", "手机闪付 Phone", DEBIT, "UnionPay Pay", 19, "3303", 10_000_000, "device"),
    ("broken", "坏卡 Broken", DEBIT, "PBOC DEBIT", 19, "3512", 10_000_000, "by amount"),
)
NO_BANK_CARD = ("not-a-bank-card", "借书证 Library card")

FILE, COUNTERS = "cards.json", "counters.json"


class ShelfError(Exception):
    """The folder's files cannot be used; the text names the file."""


class Shelf:
    """names: in order; card(name): the card; records(): for the acquirer; verify: its check of a cryptogram."""

    verify = staticmethod(cryptogram.verify)

    def __init__(self, cards: "list[Card | NoBankCard]") -> None:
        self._cards = {card.name: card for card in cards}
        self.names = tuple(self._cards)

    def card(self, name: str) -> "Card | NoBankCard":
        """Raises KeyError for a name that is not on the shelf."""
        return self._cards[name]

    def bank_cards(self) -> "list[Card]":
        """Those with a number."""
        return [card for card in self._cards.values() if isinstance(card, Card)]

    def records(self) -> "list[dict]":
        """What the issuers know: pan, expiry, sequence, pin, issuer_key (bytes), balance_fen, status, last_atc."""
        return [
            {
                "pan": card.pan, "expiry": card.expiry, "sequence": card.sequence, "pin": card.pin,
                "issuer_key": card.issuer_key, "balance_fen": card.balance_fen, "status": "active", "last_atc": 0,
            }
            for card in self.bank_cards()
        ]  # fmt: skip


def sample(random: Random) -> Shelf:
    """A shelf in memory: the same for the same seed."""
    return _shelf(_draw(random))


def load(folder: "Path | str", random: "Random | None" = None) -> Shelf:
    """The shelf kept in `folder`, made there when there is none. Raises ShelfError, OSError."""
    folder = Path(folder)
    if not (folder / FILE).exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(folder / FILE, _make(random or chances.SystemRandom()))
    try:
        kept = json.loads((folder / FILE).read_text())
        counters = json.loads((folder / COUNTERS).read_text()) if (folder / COUNTERS).exists() else {}
        return _shelf(kept["cards"], kept["certificates"], counters, folder / COUNTERS)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShelfError(
            f"{folder}: {FILE} or {COUNTERS} is damaged ({type(error).__name__}); remove both for new cards"
        ) from None


def luhn(digits: str) -> str:
    """The check digit that makes `digits` a card number (ISO/IEC 7812-1, Annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def _draw(random):
    """{name: {"pan", "pin", "issuer_key"}}, each number with other last digits than the rest: people tell them apart by those."""
    debit_key, credit_key = (bytes(random.getrandbits(8) for _ in range(16)).hex() for _ in range(2))
    drawn: dict[str, dict[str, str]] = {}
    ends: set[str] = set()
    for name, _, application, _, length, *_ in ROWS:
        while True:
            body = "62" + "".join(str(random.randrange(10)) for _ in range(length - 3))
            number = body + luhn(body)
            if number[-4:] not in ends:
                break
        ends.add(number[-4:])
        pin = "".join(str(digit) for digit in random.sample(range(10), 6))
        drawn[name] = {"pan": number, "pin": pin, "issuer_key": debit_key if application == DEBIT else credit_key}
    return drawn


def _make(random):
    """All that is kept of a new shelf."""
    drawn = _draw(random)
    authority, issuer = pki.make_key(pki.CA_BITS, random), pki.make_key(pki.ISSUER_BITS, random)
    keys = {"authority": authority.to_json(), "issuer": issuer.to_json()}
    certificates = {}
    for card in _shelf(drawn).bank_cards():
        key = pki.make_key(pki.CARD_BITS, random)
        keys[card.name] = key.to_json()
        certificates[card.name] = [record.hex() for record in card.certificates(authority, issuer, key)]
    return {"cards": drawn, "keys": keys, "certificates": certificates}


def _shelf(drawn, certificates=None, counters=None, counters_file=None):
    counters = dict(counters or {})
    cards: list[Card | NoBankCard] = []

    def keep(card):
        counters[card.name] = card.atc
        _write(counters_file, counters)

    for name, title, application, label, _, expiry, balance_fen, habit in ROWS:
        own = drawn[name]
        card = Card(
            name, title, own["pan"], expiry, own["pin"], application, label, bytes.fromhex(own["issuer_key"]),
            atc=int(counters.get(name, 0)), balance_fen=balance_fen, habit=habit, changed=keep if counters_file else None,
        )  # fmt: skip
        card.garbage = name == "broken"
        if certificates:
            card.carry([bytes.fromhex(record) for record in certificates[name]])
        cards.append(card)
    return Shelf([*cards, NoBankCard(*NO_BANK_CARD)])


def _write(path, data):
    """Writes JSON beside the file and renames it: readable by its owner alone, never half written."""
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(data, file)
    os.replace(fresh, path)
