"""Data object lists: the card names tags and lengths, the terminal answers with the bare values.

A value that does not have the length asked for is cut or filled by its format (EMV Book 3, 5.4):

    format   too long: drop   too short: fill
    n        the left         00 on the left
    cn       the right        FF on the right
    others   the right        00 on the right

What the terminal does not have, and every constructed tag, is zeros.
"""

from firmware.emv import tags

MAX_BYTES = 255  # one short APDU
MAX_OPTIONS = 252  # of GET PROCESSING OPTIONS: with tag 83 and a length of up to two bytes


class DolError(ValueError):
    """A list that is cut off, or that asks for more than one command can carry."""


def parse(dol: bytes, most: int = MAX_BYTES) -> "list[tuple[int, int]]":
    """[(tag, length)] in order. Raises DolError, also for more than `most` bytes of values."""
    entries = []
    at = total = 0
    try:
        while at < len(dol):
            tag = dol[at]
            at += 1
            if tag & 31 == 31:
                more = 0x80
                while more & 0x80:
                    if tag > 0xFFFFFF:
                        raise DolError("tag too long at %d" % at)
                    more = dol[at]
                    at += 1
                    tag = tag << 8 | more
            length = dol[at]
            at += 1
            total += length
            entries.append((tag, length))
    except IndexError:
        raise DolError("cut off at %d" % at)
    if total > most:
        raise DolError("asks for %d bytes, at most %d" % (total, most))
    return entries


def build(entries: "list[tuple[int, int]]", values: "dict[int, bytes]") -> bytes:
    """The values that a parsed list asks for, one after the other."""
    parts = []
    for tag, length in entries:
        value = values.get(tag)
        if value is None or tags.is_constructed(tag):
            value = bytes(length)
        elif len(value) != length:
            value = fit(value, length, tags.format_of(tag))
        parts.append(value)
    return b"".join(parts)


def fit(value: bytes, length: int, form: str) -> bytes:
    """`value` cut or filled to `length` by its format."""
    excess = len(value) - length
    if form == "n":
        return value[excess:] if excess > 0 else bytes(-excess) + value
    if excess > 0:
        return value[:length]
    return value + (b"\xff" if form == "cn" else b"\x00") * -excess
