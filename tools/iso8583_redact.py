"""A message with harmless values of the same length in place of everything that may not leave the shop.

What is replaced is what the table and the layouts of the private fields mask: card numbers by one of the same bank that
nobody has (its check digit holds), tracks by that number and zeros, expiry by 49-12, PIN blocks, keys, payment codes and
whatever else is hidden by zeros; in chip data tag by tag. Lengths, tags, check values and everything that is shown stay, so the
result can be read, compared and sent to somebody. Its MAC does not hold any more.
"""

from __future__ import annotations

import re
from typing import Any

from firmware.emv import tags, tlv
from firmware.iso8583 import describe, subfields, unionpay
from firmware.iso8583.codec import Codec, Iso8583Error

EXPIRY = "4912"
BIN = 6


def number(digits: str) -> str:
    """Another card number of the same length and issuer, with a check digit that holds."""
    for fill in "98":
        body = (digits[:BIN] + fill * len(digits))[: max(0, len(digits) - 1)]
        made = body + check_digit(body) if digits else ""
        if made != digits:
            break
    return made


def check_digit(body: str) -> str:
    """ISO/IEC 7812-1, Annex B."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (1 if place % 2 else 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def track(value: str) -> str:
    """The number and zeros, the separators where they were; zeros alone for an enciphered track."""
    for separator in "D=":
        pan, found, rest = value.partition(separator)
        if found and pan.isdigit() and 11 < len(pan) < 20:
            return (
                number(pan)
                + separator
                + EXPIRY[: len(rest)]
                + "".join(character if character in "D=" else "0" for character in rest[4:])
            )
    return "0" * len(value)


def nothing(value: Any) -> Any:
    """Zeros of the same length: text or bytes."""
    return "0" * len(value) if isinstance(value, str) else bytes(len(value))


def chip(data: bytes) -> bytes:
    """Field 55 with the values of the masked tags replaced; zeros for what is no TLV."""
    try:
        return tlv.encode(_tree(tlv.decode(data))).ljust(len(data), b"\x00")
    except tlv.TlvError:
        return bytes(len(data))


def _tree(tree: Any) -> Any:
    return [(tag, _tree(value) if isinstance(value, list) else _tag(tag, value)) for tag, value in tree]


def _tag(tag: int, value: bytes) -> bytes:
    shown = tags.show(tag, value)
    if "*" not in shown and not shown.endswith("bytes)"):
        return value
    digits = value.hex().upper()
    bare = digits.rstrip("F")
    if tag in tags.NUMBERS and bare.isdigit():
        return bytes.fromhex(number(bare) + digits[len(bare) :])
    made = track(bare)
    return bytes.fromhex(made + digits[len(bare) :]) if "D" in made else bytes(len(value))


def _part(mask: str, value: Any) -> Any:
    if not mask:
        return value
    if mask == "chip":
        return chip(value)
    if mask == "pan":
        text = value if isinstance(value, str) else value.decode("ascii", "replace")
        digits = text.lstrip("0")
        if digits.isdigit():
            made = "0" * (len(text) - len(digits)) + number(digits)
            return made if isinstance(value, str) else made.encode()
    return "0" * len(value) if isinstance(value, str) else b"0" * len(value)


def _whole(mti: str, fields: dict[int, Any], field: int, mask: str) -> Any:
    value = fields[field]
    if mask == "pan":
        return number(value) if value.isdigit() else nothing(value)
    if mask == "chip":
        return chip(value)
    if field == 14:
        return EXPIRY if len(value) == 4 else nothing(value)
    if field in (35, 36):
        return track(value)
    if mask == "keys":
        if value[: len(unionpay.SEQUENCE)] == unionpay.SEQUENCE:
            return value
        if mti == "0810" and len(value) in unionpay.KEY_BLOCKS:
            return b"".join(bytes(len(key)) + check for _, key, check in unionpay.keys(value))
    return nothing(value)


def generous(codec: Codec) -> Codec:
    """A codec that also sends what this one only takes: hosts send longer fields than we do."""
    table = {field: (re.sub(r"[0-9]+/", "", row[0]), *row[1:]) for field, row in codec.table.items()}
    return Codec(table, codec.words)


def redacted(mti: str, fields: dict[int, Any], table: dict) -> dict[int, Any]:
    """The fields with everything masked replaced; the same lengths throughout."""
    ours = describe.knows_parts(table)
    out = {}
    for field, value in fields.items():
        mask = table[field][1]
        layout = subfields.layout_of(mti, fields, field) if ours else None
        if field == 63 and isinstance(value, bytes) and value[:2] == b"SM":
            out[field] = value[:5] + bytes(len(value) - 5)
        elif layout is not None and value and mask in ("", "hide", "keys"):
            out[field] = _by_parts(field, layout, value)
        elif mask:
            out[field] = _whole(mti, fields, field, mask)
        else:
            out[field] = value
    return out


def _by_parts(field: int, layout: subfields.Layout, value: Any) -> Any:
    try:
        parts = subfields.split(field, layout, value)
    except Iso8583Error:
        return nothing(value)
    if layout.tags is None:
        pieces = [_part(part.mask, piece) for part, piece in parts]
        return "".join(pieces) if isinstance(value, str) else b"".join(pieces)
    of_tag, of_length, _ = layout.tags
    out = b""
    at = 0
    for part, piece in parts:
        out += value[at : at + of_tag + of_length] + _part(part.mask, piece)
        at += of_tag + of_length + len(piece)
    return out
