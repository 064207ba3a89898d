"""Random messages of a dialect: legal values for its codings, and nothing more."""

from __future__ import annotations

from random import Random
from typing import Any

from firmware.iso8583.coding import Coding, parse
from firmware.iso8583.dialects import DIALECTS

DIGITS = "0123456789"
TEXT = "ABCXYZabcxyz0123456789 -*/.,"
LONGEST = 300  # characters of one value


def value(chance: Random, coding: Coding) -> Any:
    """A value that may be sent in a field of this coding; seldom an empty one."""
    size = coding.size
    if coding.dots:
        size = chance.choice((1, size, chance.randrange(1, size + 1), chance.randrange(1, size + 1)))
        size = min(size, LONGEST)
    if coding.unit == "bytes" and coding.pad != "F":
        size += size % 2
    if coding.kind == "b":
        return bytes(chance.randrange(256) for _ in range(size))
    if coding.kind == "x":
        return chance.choice("CD") + "".join(chance.choice(DIGITS) for _ in range(size))
    if coding.kind == "z":
        digits = "".join(chance.choice(DIGITS) for _ in range(size))
        separator = "D" if coding.written == "packed" else "="
        return digits[: size // 2] + separator + digits[size // 2 + 1 :] if size > 8 else digits
    letters = DIGITS if coding.kind == "n" else TEXT
    return "".join(chance.choice(letters) for _ in range(size))


def codings(dialect: str) -> dict[int, Coding]:
    """{field: coding} of a dialect, message type and bitmap left out."""
    row = DIALECTS[dialect]
    return {field: parse(line[0], row.words) for field, line in row.table.items() if field > 1}


def fields(chance: Random, dialect: str, most: int = 12, without: tuple[int, ...] = ()) -> dict[int, Any]:
    """1 to `most` fields of a dialect with random values, in random order."""
    known = codings(dialect)
    numbers = sorted(set(known) - set(without))
    return {field: value(chance, known[field]) for field in chance.sample(numbers, chance.randrange(1, most + 1))}


def message_type(chance: Random, dialect: str) -> str:
    return ("1" if dialect.startswith("1993") else "0") + chance.choice(("100", "110", "200", "210", "400", "800"))
