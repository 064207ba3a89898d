"""Makes a card from a row of the catalogue, or from a short description in a test.

    build("mine", aid="A000000333010101", oda="cda", rules="41031F03", run=(2, 4), faults={"torn_at": 5})

What is not said is that of an ordinary UnionPay debit card. Keys and number may be given; else they are the test's own.
"""

from typing import Any

from emulator.cards import stripe
from emulator.cards.card import FAULTS, Card
from emulator.cards.catalogue import Row, debit
from emulator.cards.profile import Holder, Profile

TEST_NUMBER = "6200123456789012347"
TEST_KEYS = {"issuer_key": b"\x11" * 16, "mac_key": b"\x22" * 16, "data_key": b"\x33" * 16}


def make(row: Row, drawn: "list[dict[str, Any]]") -> Card:
    """A card of the catalogue. drawn: for each application pan, pin, issuer_key, mac_key, data_key (keys as bytes)."""
    card = Card(row.name, row.title, row.interfaces, row.balance_fen, row.protocol, row.directory)
    for profile, own in zip(row.applications, drawn, strict=True):
        holder = Holder(own["pan"], row.expiry, service=row.service)
        card.add(profile, holder, own["pin"], own["issuer_key"], own["mac_key"], own["data_key"])
    if row.damaged:
        card.stripe = stripe.DAMAGED
    for name, value in row.faults.items():
        setattr(card, name, dict(value) if isinstance(value, dict) else value)
    return card


def build(
    name: str = "card",
    title: str = "",
    pan: str = TEST_NUMBER,
    expiry: str = "3512",
    pin: str = "123456",
    interfaces: "tuple[str, ...]" = ("contact", "contactless", "stripe"),
    faults: "dict[str, Any] | None" = None,
    more: "tuple[Profile, ...]" = (),
    keys: "dict[str, bytes] | None" = None,
    service: str = "220",
    directory: bool = True,
    protocol: str = "T=0",
    **changes: Any,
) -> Card:
    """A card from what differs from an ordinary one.

    changes    fields of Profile for the first application (aid as hex or bytes);  more: further profiles, same number
    faults     attributes of Card, FAULTS or "refuses". Raises ValueError for a name that is none.
    """
    if isinstance(changes.get("aid"), str):
        changes["aid"] = bytes.fromhex(changes["aid"])
    unknown = set(changes) - set(Profile._fields) | set(faults or {}) - {*FAULTS, "refuses"}
    if unknown:
        raise ValueError(f"neither a property nor a fault: {', '.join(sorted(unknown))}")
    first = debit._replace(**changes)
    row = Row(name, title or name, (first, *more), interfaces, expiry=expiry, faults=faults or {}, service=service,
              protocol=protocol, directory=directory)  # fmt: skip
    return make(row, [{"pan": pan, "pin": pin, **TEST_KEYS, **(keys or {})}] * (1 + len(more)))


def record_of(card: Card, at: int = 0) -> "dict[str, Any]":
    """What the issuer of an application knows: a record for the acquirer's books."""
    application = card.applications[at]
    return {
        "pan": application.holder.pan, "expiry": application.holder.expiry, "sequence": application.holder.sequence,
        "pin": application.state.pin, "issuer_key": application.issuer_key, "mac_key": application.mac_key,
        "data_key": application.data_key, "scheme": application.profile.scheme, "balance_fen": card.balance_fen,
        "status": "active", "last_atc": 0,
    }  # fmt: skip
