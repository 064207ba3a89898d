"""What the terminal's decisions need of a card in another form than its objects have: counters, the account, an amount.

    counter                          tag     bytes   who asks
    application transaction counter  9F36    2       velocity checking
    the same, when last online       9F13    2       velocity checking
    PIN tries left                   9F17    1       cardholder verification

Source: EMV Book 3, 6.5.7 and Annex A.
"""

from binascii import hexlify

from firmware.emv import apdu, tlv, track2
from firmware.emv.card import Ended, exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Step
    from firmware.emv.data import Data

SIZES = {0x9F13: 2, 0x9F17: 1, 0x9F36: 2}


def counter(data: "Data", tag: int) -> "Step":
    """GET DATA of a tag of SIZES: its value as an integer, also kept in `data.said`; None when the card does not give it."""
    answer, status = yield from exchange(apdu.get_data(tag))
    if status != apdu.OK:
        return None
    try:
        tree = tlv.decode(answer)
    except tlv.TlvError:
        return None
    if len(tree) != 1 or tree[0][0] != tag or len(tree[0][1]) != SIZES[tag]:
        return None
    data.said[tag] = tree[0][1]
    return int.from_bytes(tree[0][1], "big")


def account(data: "Data") -> "tuple[str, str]":
    """(card number in digits or "", sequence number in three digits or ""). Ends with "malformed"."""
    try:
        digits = track2.compressed(data.said.get(0x5A, b""))
    except track2.Track2Error:
        raise Ended("malformed")
    sequence = hexlify(data.said.get(0x5F34, b"")).decode()
    return digits, "0" + sequence if len(sequence) == 2 and sequence.isdigit() else ""


def number(data: "Data", tag: int) -> int:
    """A binary object of the terminal's as an integer, 0 where it is absent."""
    return int.from_bytes(data.told.get(tag, b""), "big")


def first_byte(data: "Data", tag: int) -> int:
    """The first byte of an object of the terminal's, 0 where it is absent."""
    value = data.told.get(tag)
    return value[0] if value else 0


def terminal_type(data: "Data") -> "tuple[int, int]":
    """The digits of 9F35: who runs it (1 bank, 2 merchant, 3 holder), and how (1 to 3 attended, 4 to 6 not: online only,
    both, offline only). (0, 0) where there is none."""
    kind = first_byte(data, 0x9F35)
    return kind >> 4, kind & 15
