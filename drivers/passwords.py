"""Operators' passwords: how long they are, what they are from the factory, and the record that is kept of one.

    record   1 made in the factory | cost (4) | salt (16) | PBKDF2-HMAC-SHA-256 (32)

A four-digit password has ten thousand values: the hash slows a thief of the *opened* key file by little, the seal of the
file is what protects it, and the lock-out (the firmware's) protects the keypad. The cost is chosen so that one check takes
about 50 ms on a Raspberry Pi Zero 2 W.
"""

import hashlib
import hmac
import struct

COST = 20_000
SALT_BYTES = 16
SUPERVISOR, ADMINISTRATOR, FIRST_CLERK = "00", "99", "01"
# (operators, digits, password from the factory): reference/products.md §0.
KINDS = {SUPERVISOR: (6, b"123456"), ADMINISTRATOR: (8, b"12345678")}
CLERK = (4, b"0000")

_RECORD = struct.Struct(">BI16s32s")


def password_digits(operator: str) -> int:
    """How many digits the operator's password has. ValueError when there can be no such operator."""
    return kind(operator)[0]


def kind(operator: str) -> "tuple[int, bytes]":
    """(digits, password from the factory). ValueError when there can be no such operator."""
    if type(operator) is not str or len(operator) != 2 or not (operator.isascii() and operator.isdigit()):
        raise ValueError("an operator is two digits")
    return KINDS.get(operator, CLERK)


def factory_record(operator: str, random, cost: int) -> bytearray:
    """The record of an operator who has the factory's password."""
    return record_of(bytearray(kind(operator)[1]), random(SALT_BYTES), cost, True)


def record_of(digits: bytearray, salt: bytes, cost: int, factory: bool = False) -> bytearray:
    return bytearray(_RECORD.pack(factory, cost, salt, hashlib.pbkdf2_hmac("sha256", digits, salt, cost)))


def record_of_nobody(cost: int) -> bytearray:
    """A record that no password fits, and that takes as long as any."""
    return bytearray(_RECORD.pack(False, cost, bytes(SALT_BYTES), bytes(32)))


def is_record(record: "bytes | bytearray") -> bool:
    return len(record) == _RECORD.size and _RECORD.unpack(record)[1] > 0


def is_factory(record: bytearray) -> bool:
    """Whether the password was never changed."""
    return _RECORD.unpack(record)[0] == 1


def password_fits(record: bytearray, digits: bytearray) -> bool:
    """Whether `digits` is the password of which `record` was made."""
    _, cost, salt, digest = _RECORD.unpack(record)
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha256", digits, salt, cost), digest)


def is_weak(operator: str, digits: bytearray) -> bool:
    """The factory's, or all digits equal."""
    return digits.count(digits[0]) == len(digits) or hmac.compare_digest(digits, kind(operator)[1])
