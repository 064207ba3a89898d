"""Talking to a card from inside a kernel: one command, one answer, and the one way out when there is no going on.

A kernel is a generator: it yields a command APDU (bytes) and is sent the response APDU (bytes, status word included)
or None when the card has left, or it yields a question of `ask`. `exchange` is the step to the card; `Ended` ends the
reading with a reason from REASONS.
"""

from firmware.emv import outcome as result
from firmware.emv import tlv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    Flow = Generator[Any, Any, result.Outcome]  # yields a command or a question of `ask`
    Step = Generator[Any, Any, Any]
    Talk = Generator[Any, Any, tuple[bytes, int]]

# why: (status, message, what happened)
REASONS = {
    # The field or the card's hand, not the card
    "lost": (result.TRY_AGAIN, "try-again", "the card left the field"),
    "see-phone": (result.TRY_AGAIN, "see-phone", "the holder's device wants something first"),
    # Another way
    "over-limit": (result.TRY_ANOTHER_INTERFACE, "insert-or-swipe", "no application takes this amount by contactless"),
    "not-contactless": (result.TRY_ANOTHER_INTERFACE, "insert-or-swipe", "the card wants another interface"),
    "no-cryptogram": (result.TRY_ANOTHER_INTERFACE, "insert-or-swipe", "only the full debit/credit flow: not over contactless"),
    "not-authenticated": (result.TRY_ANOTHER_INTERFACE, "insert-or-swipe", "unproven, and the card wants another interface"),
    "no-cash": (result.TRY_ANOTHER_INTERFACE, "insert-or-swipe", "cash only over another interface"),
    "chip-instead": (result.TRY_ANOTHER_INTERFACE, "insert-card", "declined by contactless: the chip may be inserted"),
    # The card was read for its number
    "read": (result.ONLINE, "card-read-ok", "only its number was wanted"),
    # This card, here, no
    "no-directory": (result.END_APPLICATION, "try-another-card", "no payment directory: not a bank card"),
    "no-application": (result.END_APPLICATION, "try-another-card", "no application that the terminal knows and that answers"),
    "refused": (result.END_APPLICATION, "try-another-card", "the card refused a command"),
    "malformed": (result.END_APPLICATION, "try-another-card", "the card answered what no card may answer"),
    "missing": (result.END_APPLICATION, "try-another-card", "the card lacks an object that must be there"),
    "endless": (result.END_APPLICATION, "try-another-card", "more commands than any card needs"),
    "bad-signature": (result.END_APPLICATION, "try-another-card", "the signature over a contactless cryptogram is wrong"),
    "no-mode": (result.END_APPLICATION, "try-another-card", "the card knows only a mode that the terminal has switched off"),
    "data-only": (result.END_APPLICATION, "clear", "no sale: declined as it should be, and its data are read"),
    # No money moves
    "aac": (result.DECLINED, "not-authorised", "the card declined"),
    "expired": (result.DECLINED, "not-authorised", "the application has expired"),
    "unproven": (result.DECLINED, "not-authorised", "approved offline by a card that was not authenticated"),
    "no-method": (result.DECLINED, "not-authorised", "no way to verify the holder that card and terminal share"),
    "listed": (result.DECLINED, "not-authorised", "on the terminal's exception file"),
    "offline-only": (result.DECLINED, "not-authorised", "the card asks for its issuer, and the terminal never goes online"),
    "not-allowed": (result.DECLINED, "not-authorised", "the card may not be used for this"),
    # Go on
    "arqc": (result.ONLINE, "authorising", "the card asks the issuer"),
    "stripe-data": (result.ONLINE, "authorising", "the data of a stripe, with a code that the issuer checks"),
    "tc": (result.ONLINE, "authorising", "approved offline but unproven, and the card lets the issuer decide"),
    "approved": (result.APPROVED, "approved", "approved offline by card and terminal"),
    "host": (result.APPROVED, "approved", "approved by the issuer, and by the card"),
    # By contacts
    "cancelled": (result.CANCELLED, "not-authorised", "given up at a page"),
    "card-blocked": (result.END_APPLICATION, "try-another-card", "the card is blocked, or knows no selection"),
    "blocked": (result.END_APPLICATION, "try-another-card", "every application of the card is blocked"),
    "no-chip-application": (result.TRY_ANOTHER_INTERFACE, "insert-or-swipe", "the chip has no application of the terminal's"),
    "chip-refused": (result.TRY_ANOTHER_INTERFACE, "insert-or-swipe", "the chip refused its first cryptogram: by the stripe"),
    "terminal": (result.DECLINED, "not-authorised", "the terminal declined: action codes"),
    "host-declined": (result.DECLINED, "not-authorised", "the issuer declined"),
    "unreachable": (result.DECLINED, "not-authorised", "the issuer could not be reached, and the action codes say no"),
    "card-declined": (result.DECLINED, "not-authorised", "the issuer approved and the card did not"),
    "forged": (result.DECLINED, "not-authorised", "the card's signature over its cryptogram is wrong"),
}

# Answered by the next application of the card, while there is one.
SELECT_NEXT = ("no-pdol", "gpo-refused")


class Ended(Exception):
    """The tap is over. `why` is a key of REASONS, or of SELECT_NEXT while the card has more applications."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def outcome_of(why: str) -> result.Outcome:
    """The outcome for a reason, without card data."""
    status, message, _ = REASONS[why]
    return result.Outcome(status, message, why)


def exchange(command: bytes) -> "Talk":
    """Sends a command: (response data, status word as an integer). Ends the tap when the card is lost or answers no APDU."""
    response = yield command
    if response is None:
        raise Ended("lost")
    if not 2 <= len(response) <= 65538:
        raise Ended("malformed")
    return bytes(response[:-2]), response[-2] << 8 | response[-1]


def take(values: "dict[int, bytes]", tree: "tlv.Tree") -> None:
    """Adds all primitive objects to `values`. A card may not say the same object twice (EMV Book 3, 10.2)."""
    for tag, value in tlv.primitives(tree):
        if tag in values:
            raise Ended("malformed")
        values[tag] = value


def template(data: bytes, tag: int) -> "tlv.Tree":
    """The contents of a response that is one template and nothing else. Raises TlvError, ends the tap for another."""
    tree = tlv.decode(data)
    if len(tree) != 1 or tree[0][0] != tag:
        raise Ended("malformed")
    return tree[0][1]
