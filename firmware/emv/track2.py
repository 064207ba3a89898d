"""Track 2 as the chip gives it (tag 57, 9F6B): card number, D, expiry YYMM, service code, the issuer's own digits,
and F as filler. An expiry of 0000 is how some debit cards say that it is elsewhere, or never.

Source: ISO/IEC 7813; EMV Book 3, Annex A.
"""

from binascii import hexlify

NO_EXPIRY = "0000"


class Track2Error(ValueError):
    """Not a track 2. The text has no digit of it."""


def parse(value: bytes) -> "tuple[str, str, str, str]":
    """(card number, expiry YYMM or "", service code or "", the whole track with D and without filler). Raises Track2Error."""
    track = hexlify(value).decode().upper().rstrip("F")
    number, mark, rest = track.partition("D")
    if not mark or len(track) > 37:
        raise Track2Error("no separator, or too long")
    expiry = rest[:4] if rest[:4] != NO_EXPIRY else ""
    if not rest.isdigit() or len(rest) < 4 or (expiry and not 1 <= int(expiry[2:]) <= 12):
        raise Track2Error("no expiry date")
    return card_number(number), expiry, rest[4:7] if len(rest) > 6 else "", track


def card_number(digits: str) -> str:
    """The digits, when they can be a card number (12 to 19). Raises Track2Error."""
    if not digits.isdigit() or not 12 <= len(digits) <= 19:
        raise Track2Error("no card number")
    return digits


def compressed(value: bytes) -> str:
    """The digits of a cn object, such as 5A: FF filler at the right only. Raises Track2Error."""
    digits = hexlify(value).decode().upper().rstrip("F")
    if digits and not digits.isdigit():
        raise Track2Error("not digits")
    return digits
