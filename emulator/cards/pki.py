"""The schemes' public key infrastructures for emulated cards: authority, issuer, card, each certified by the one before.

The key pairs are in `keys.json`, made once by `make_key` and published with this emulator: whoever has them can make any
card. They are for tests, and so are the rows of authorities that `authority_rows` gives to a terminal (kind "test").
Cards share key pairs; each has a certificate of its own.

Certificates are those of EMV Book 2, 5.3 and 6.3: recovered with the signer's key they read

    6A format identity expiry serial 01 01 length exponent-length modulus-left hash BC

where the hash (SHA-1) covers all between 6A and hash, the rest of the modulus, the exponent, and for a card the static
data that the file locator marks.
"""

import hashlib
import json
from functools import cache, lru_cache
from pathlib import Path
from random import Random
from typing import NamedTuple

ISSUER, CARD = 0x02, 0x04
FILE = Path(__file__).with_name("keys.json")
_ROUNDS = 20
_EXPIRY = bytes.fromhex("1249")  # MMYY of every certificate
_LAST_DAY = "20491231"

_SMALL = [number for number in range(3, 2000, 2) if all(number % divisor for divisor in range(3, int(number**0.5) + 1, 2))]


class Key:
    """An RSA key pair. `modulus` and `exponent` are integers; `size` is the modulus in bytes."""

    def __init__(self, first: int, second: int, exponent: int = 3) -> None:
        self.first, self.second, self.exponent = first, second, exponent
        self.modulus = first * second
        self.size = (self.modulus.bit_length() + 7) // 8
        self._of_first = pow(exponent, -1, first - 1)
        self._of_second = pow(exponent, -1, second - 1)
        self._inverse = pow(second, -1, first)

    def sign(self, block: bytes) -> bytes:
        """The signature with message recovery of a block as long as the modulus; also what was enciphered for it, in clear."""
        number = int.from_bytes(block, "big")
        one, other = pow(number, self._of_first, self.first), pow(number, self._of_second, self.second)
        return (other + (one - other) * self._inverse % self.first * self.second).to_bytes(self.size, "big")

    def recover(self, signature: bytes) -> bytes:
        """The block that was signed; also a block enciphered for the holder of the key."""
        return pow(int.from_bytes(signature, "big"), self.exponent, self.modulus).to_bytes(self.size, "big")

    @property
    def public(self) -> bytes:
        """The modulus as bytes."""
        return self.modulus.to_bytes(self.size, "big")

    @property
    def exponent_bytes(self) -> bytes:
        """The public exponent as certificates have it: 03 or 010001."""
        return self.exponent.to_bytes((self.exponent.bit_length() + 7) // 8, "big")

    def to_json(self) -> "dict[str, str | int]":
        return {"first": f"{self.first:x}", "second": f"{self.second:x}", "exponent": self.exponent}

    @classmethod
    def from_json(cls, data: dict) -> "Key":
        return cls(int(data["first"], 16), int(data["second"], 16), data["exponent"])

    def __repr__(self) -> str:
        return f"Key({self.size * 8} bits)"


class Authority(NamedTuple):
    """A key of a scheme. rid: 5 bytes; number: its index; name: in keys.json; known: whether terminals are given it."""

    rid: bytes
    number: int
    name: str
    known: bool = True


UNIONPAY, VISA, MASTERCARD = (bytes.fromhex(rid) for rid in ("A000000333", "A000000003", "A000000004"))
AUTHORITIES = {
    "unionpay-1152": Authority(UNIONPAY, 0xE1, "authority-1152"),
    "unionpay-1408": Authority(UNIONPAY, 0xE2, "authority-1408"),
    "unionpay-1984": Authority(UNIONPAY, 0xE3, "authority-1984"),
    "unionpay-1984-f4": Authority(UNIONPAY, 0xE4, "authority-1984-f4"),
    "unionpay-unknown": Authority(UNIONPAY, 0xE9, "authority-1408-f4", False),
    "visa-1408": Authority(VISA, 0xE2, "authority-1408-f4"),
    "visa-1984": Authority(VISA, 0xE3, "authority-1984"),
    "mastercard-1152": Authority(MASTERCARD, 0xE1, "authority-1152"),
    "mastercard-1984": Authority(MASTERCARD, 0xE4, "authority-1984-f4"),
}
# What keys.json holds: name: (bits, exponent)
KEYS = {
    "authority-1152": (1152, 3), "authority-1408": (1408, 3), "authority-1408-f4": (1408, 65537),
    "authority-1984": (1984, 3), "authority-1984-f4": (1984, 65537),
    "issuer-1024": (1024, 3), "issuer-1152-f4": (1152, 65537), "issuer-1408-f4": (1408, 65537), "issuer-1984": (1984, 3),
    "card-768": (768, 3), "card-1024": (1024, 3), "card-1024-f4": (1024, 65537), "card-1152-f4": (1152, 65537),
    "card-1408": (1408, 3), "card-1984": (1984, 3), "pin-896": (896, 3),
}  # fmt: skip


@cache
def _kept():
    return json.loads(FILE.read_text())["keys"]


@cache
def key(name: str) -> Key:
    """A key pair of keys.json, made when it is first asked for. KeyError for a name that is not there."""
    return Key.from_json(_kept()[name])


def authority_rows() -> "list[dict[str, str]]":
    """The authorities' public keys as rows for `firmware.emv.settings.Settings(keys=...)`, all of kind "test"."""
    return [dict(row) for row in _authority_rows()]


@cache
def _authority_rows():
    rows = []
    for authority in AUTHORITIES.values():
        if not authority.known:
            continue
        pair = key(authority.name)
        index = bytes((authority.number,))
        rows.append(
            {
                "rid": authority.rid.hex().upper(), "index": index.hex().upper(), "modulus": pair.public.hex().upper(),
                "exponent": pair.exponent_bytes.hex(), "expiry": _LAST_DAY, "kind": "test",
                "hash": hashlib.sha1(authority.rid + index + pair.public + pair.exponent_bytes).hexdigest().upper(),
            }
        )  # fmt: skip
    return rows


def make_key(bits: int, random: Random, exponent: int = 3) -> Key:
    """A fresh key whose modulus has exactly `bits` bits. Its primes are only probable ones."""
    first = _prime(bits // 2, random, exponent)
    second = first
    while second == first:
        second = _prime(bits - bits // 2, random, exponent)
    return Key(first, second, exponent)


@lru_cache(maxsize=256)
def certify(signer: Key, subject: Key, kind: int, identity: bytes, serial: int, static: bytes = b"") -> "tuple[bytes, bytes]":
    """(certificate, remainder of the modulus) for a subject's key.

    kind: ISSUER with the number's first digits, 4 bytes padded with F; CARD with the whole number, 10 bytes likewise.
    static: what the card's certificate also covers.
    """
    exponent = subject.exponent_bytes
    body = bytes((kind,)) + identity + _EXPIRY + serial.to_bytes(3, "big") + b"\x01\x01" + bytes((subject.size, len(exponent)))
    room = signer.size - 22 - len(body)
    left, remainder = subject.public[:room], subject.public[room:]
    body += left + b"\xbb" * (room - len(left))
    digest = hashlib.sha1(body + remainder + exponent + static).digest()
    return signer.sign(b"\x6a" + body + digest + b"\xbc"), remainder


def is_whole(block: bytes, kind: int, more: bytes) -> bool:
    """Whether a recovered certificate is one: head, tail and hash. more: remainder and exponent, for a card static data too."""
    if len(block) < 43 or block[0] != 0x6A or block[1] != kind or block[-1] != 0xBC:
        return False
    return hashlib.sha1(block[1:-21] + more).digest() == block[-21:-1]


def sign_static(signer: Key, static: bytes, code: bytes = b"\x00\x00") -> bytes:
    """Signed static application data, tag 93 (EMV Book 2, 5.4). code: data authentication code, two bytes."""
    return _sign(signer, b"\x03\x01" + code, static)


def sign_dynamic(signer: Key, dynamic: bytes, terminal: bytes) -> bytes:
    """Signed dynamic application data (EMV Book 2, 6.5). dynamic: the card's data; terminal: what the hash covers besides."""
    return _sign(signer, b"\x05\x01" + bytes((len(dynamic),)) + dynamic, terminal)


def _sign(signer, head, covered):
    body = head + b"\xbb" * (signer.size - 22 - len(head))
    return signer.sign(b"\x6a" + body + hashlib.sha1(body + covered).digest() + b"\xbc")


def _prime(bits, random, exponent):
    """A probable prime that the exponent suits, its two highest bits set."""
    while True:
        number = random.getrandbits(bits) | 3 << (bits - 2) | 1
        if number % exponent == 1 or any(number % small == 0 for small in _SMALL):
            continue
        if _probably_prime(number, random):
            return number


def _probably_prime(number, random):
    """Miller and Rabin's test."""
    odd, halvings = number - 1, 0
    while odd % 2 == 0:
        odd, halvings = odd // 2, halvings + 1
    for _ in range(_ROUNDS):
        power = pow(random.randrange(2, number - 1), odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(halvings - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True
