"""Certification authority public keys, and the issuer certificates that have been revoked.

A row of keys, plain data:

    rid        hex, 5 bytes            index   hex, 1 byte
    modulus    hex                     exponent   hex, "03" or "010001"
    expiry     "YYYYMMDD": good to the end of that day; "" never ends
    hash       hex, 20 bytes: SHA-1 over rid, index, modulus, exponent without leading zeros
    kind       "test" or "live"

A row of revocations: {"rid", "index", "serial"}: serial three bytes in hex, of an issuer certificate.

Test and live keys share indices (Mastercard 05, FA ...), so one set is all test or all live; a set with both is refused.

Source: EMV Book 2, 11.2 and Book 4, 10.2; reference/emv.md c.
"""

import hashlib
from binascii import hexlify, unhexlify

from firmware import calendar

KINDS = ("test", "live")
MAX_KEYS = 512
SIZES = (64, 248)  # bytes of a modulus: 248 is the longest that EMV allows

_COLUMNS = ("rid", "index", "modulus", "exponent", "expiry", "hash", "kind")


class AuthorityError(ValueError):
    """A key or a revocation that cannot be taken; the text says which and why."""


class Key:
    """One public key. rid: 5 bytes; index: integer; modulus: bytes; exponent: integer; expiry: "YYYYMMDD" or ""."""

    def __init__(self, rid: bytes, index: int, modulus: bytes, exponent: int, expiry: str, kind: str) -> None:
        self.rid = rid
        self.index = index
        self.modulus = modulus
        self.exponent = exponent
        self.expiry = expiry
        self.kind = kind

    def __repr__(self) -> str:
        return "Key(%s %02X, %d bits, %s)" % (hexlify(self.rid).decode().upper(), self.index, 8 * len(self.modulus), self.kind)

    def expired(self, day: str) -> bool:
        """Whether it has ended before YYYYMMDD."""
        return bool(self.expiry) and self.expiry < day


class Authority:
    """The keys by application provider and index. Raises AuthorityError for a row that cannot be taken."""

    def __init__(self, keys: "list[dict] | tuple" = (), revoked: "list[dict] | tuple" = ()) -> None:
        if len(keys) > MAX_KEYS:
            raise AuthorityError("keys: %d, at most %d" % (len(keys), MAX_KEYS))
        self._keys: dict[tuple[bytes, int], Key] = {}
        self.kind = ""
        for row in keys:
            key = key_of(row)
            if self.kind and key.kind != self.kind:
                raise AuthorityError("keys: test and live keys in one set")
            self.kind = key.kind
            if (key.rid, key.index) in self._keys:
                raise AuthorityError("keys: %s is there twice" % _name(row))
            self._keys[key.rid, key.index] = key
        self._revoked = set([_revocation(row) for row in revoked])

    def find(self, rid: bytes, index: int) -> "Key | None":
        """The key of an application provider (5 bytes), or None."""
        return self._keys.get((bytes(rid), index))

    def is_revoked(self, rid: bytes, index: int, serial: bytes) -> bool:
        """Whether the issuer certificate with that serial number (3 bytes) was withdrawn."""
        return (bytes(rid), index, bytes(serial)) in self._revoked

    def all(self) -> "list[Key]":
        """Every key, by provider and index."""
        return [self._keys[name] for name in sorted(self._keys)]


def key_of(row: dict) -> Key:
    """A row as a key. Raises AuthorityError, with the reason: a wrong checksum, a length, a kind."""
    name = _name(row)
    for column in row:
        if column not in _COLUMNS:
            raise AuthorityError("key %s: unknown column %s" % (name, column))
    try:
        rid, index = unhexlify(row["rid"]), unhexlify(row["index"])
        modulus, exponent = unhexlify(row["modulus"]), unhexlify(row["exponent"])
        digest = unhexlify(row["hash"])
    except (KeyError, ValueError, TypeError):
        raise AuthorityError("key %s: a part is missing, or not hex" % name)
    expiry, kind = row.get("expiry", ""), row.get("kind")
    if len(rid) != 5 or len(index) != 1:
        raise AuthorityError("key %s: provider and index have five bytes and one" % name)
    if not SIZES[0] <= len(modulus) <= SIZES[1] or not modulus[0] or not modulus[-1] & 1:
        raise AuthorityError("key %s: no modulus" % name)
    while exponent[:1] == b"\x00":
        exponent = exponent[1:]
    number = int.from_bytes(exponent, "big")
    if number not in (3, 65537):
        raise AuthorityError("key %s: the exponent is neither 3 nor 65537" % name)
    if kind not in KINDS:
        raise AuthorityError("key %s: neither test nor live" % name)
    if not isinstance(expiry, str) or (expiry and not _is_day(expiry)):
        raise AuthorityError("key %s: the expiry date is none" % name)
    if digest != checksum(rid, index[0], modulus, exponent):
        raise AuthorityError("key %s: its checksum is wrong" % name)
    return Key(rid, index[0], modulus, number, expiry, kind)


def checksum(rid: bytes, index: int, modulus: bytes, exponent: bytes) -> bytes:
    """SHA-1 over provider, index, modulus and exponent; the exponent as it is given."""
    return hashlib.sha1(rid + bytes((index,)) + modulus + exponent).digest()


def _is_day(text: str) -> bool:
    try:
        calendar.parse_stamp(text + "000000")
    except ValueError:
        return False
    return True


def _name(row: object) -> str:
    if not isinstance(row, dict):
        raise AuthorityError("keys: a row is no table")
    return "%s %s" % (row.get("rid", "?"), row.get("index", "?"))


def _revocation(row: dict) -> "tuple[bytes, int, bytes]":
    name = _name(row)
    try:
        rid, index, serial = unhexlify(row["rid"]), unhexlify(row["index"]), unhexlify(row["serial"])
    except (KeyError, ValueError, TypeError):
        raise AuthorityError("revoked %s: a part is missing, or not hex" % name)
    if len(rid) != 5 or len(index) != 1 or len(serial) != 3:
        raise AuthorityError("revoked %s: five, one and three bytes are wanted" % name)
    return rid, index[0], serial
