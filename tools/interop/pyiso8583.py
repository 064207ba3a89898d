"""Messages packed by us, read by pyiso8583 field by field, and the other way round.

For ISO 8583:1987 in characters the peer uses the specification that comes with it. It has none for UnionPay's terminals: the
one here is written from the description of the dialect, in the peer's own words, and not derived from our table.
"""

from __future__ import annotations

from random import Random
from typing import Any

from firmware.iso8583 import dialects
from tools.interop import messages
from tools.interop.result import Result


def digits(most: int, prefix: int = 0, **pad: str) -> dict[str, Any]:
    """Packed digits: prefix is the bytes of the length."""
    return {"data_enc": "b", "len_enc": "bcd", "len_type": prefix, "len_count": "nibbles", "max_len": most, "desc": "", **pad}


def text(most: int, prefix: int = 0) -> dict[str, Any]:
    return {"data_enc": "ascii", "len_enc": "bcd", "len_type": prefix, "max_len": most, "desc": ""}


def binary(most: int, prefix: int = 0) -> dict[str, Any]:
    return {"data_enc": "b", "len_enc": "bcd", "len_type": prefix, "max_len": most, "desc": ""}


BEHIND: dict[str, Any] = {"right_pad": "0"}  # the odd nibble
BEFORE: dict[str, Any] = {"left_pad": "0"}
# Source: reference/host.md §2, the table and the rules in front of it.
UNIONPAY: dict[str, dict[str, Any]] = {
    "h": text(0), "t": digits(4), "p": binary(8), "1": binary(8),
    "2": digits(19, 1, **BEHIND), "3": digits(6), "4": digits(12), "7": digits(10), "11": digits(6), "12": digits(6),
    "13": digits(4), "14": digits(4), "15": digits(4), "22": digits(3, **BEHIND), "23": digits(3, **BEFORE),
    "24": digits(3, **BEFORE), "25": digits(2), "26": digits(2), "32": digits(11, 1, **BEHIND), "33": digits(11, 1, **BEHIND),
    "35": digits(37, 1, **BEHIND), "36": digits(104, 2, **BEHIND), "37": text(12), "38": text(6), "39": text(2),
    "40": binary(999, 2), "41": text(8), "42": text(15), "43": binary(40), "44": binary(25, 1), "46": binary(999, 2),
    "47": binary(999, 2), "48": digits(322, 2, **BEHIND), "49": text(3), "52": binary(8), "53": digits(16), "54": text(20, 2),
    "55": binary(255, 2), "56": binary(512, 2), "57": binary(999, 2), "58": binary(100, 2), "59": binary(999, 2),
    "60": digits(17, 2, **BEHIND), "61": digits(29, 2, **BEHIND), "62": binary(512, 2), "63": binary(163, 2), "64": binary(8),
}  # fmt: skip


def specification(dialect: str) -> dict[str, Any]:
    """The peer's table for a dialect."""
    if dialect == "unionpay":
        return UNIONPAY
    from iso8583.specs import default_ascii

    return default_ascii


def as_theirs(mti: str, fields: dict[int, Any]) -> dict[str, str]:
    """Values as the peer wants them: text, bytes in hexadecimal."""
    theirs = {str(field): value.hex().upper() if isinstance(value, bytes) else value for field, value in fields.items()}
    return {**theirs, "t": mti}


def compare(chance: Random, count: int) -> list[Result]:
    """`count` random messages in either dialect, in both directions."""
    import iso8583

    results = []
    for dialect in ("unionpay", "1987-ascii"):
        codec, spec = dialects.codec(dialect), specification(dialect)
        result = Result("pyiso8583 %s, %s" % (iso8583.__version__, dialect))
        for _ in range(count):
            mti, fields = messages.message_type(chance, dialect), messages.fields(chance, dialect, 20)
            ours, theirs = codec.pack(mti, fields), as_theirs(mti, fields)
            read, _ = iso8583.decode(ours, spec)
            for key, value in theirs.items():
                result.same("F%s" % key.replace("t", "0"), value, read.get(key))
            for key in set(read) - set(theirs) - {"p", "1", "h"}:
                result.same("F%s" % key, None, read[key])
            packed, _ = iso8583.encode(dict(theirs), spec)
            for field in {0} | set(fields):
                got = codec.unpack(bytes(packed))
                result.same("F%d of theirs" % field, got[1].get(field) if field else got[0], fields[field] if field else mti)
            result.messages += 1
        results.append(result)
    return results
