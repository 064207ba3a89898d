"""A payment scheme's public keys for the emulator's cards: authority, issuer, card, each certified by the one before.

Made once and kept (`shelf.py`); from a seeded `random.Random` the same each time. Keys are for tests: short, and their
primes are only probable ones.

Certificates are those of EMV Book 2, 5.3 and 6.3: recovered with the signer's key they read

    6A format identity expiry serial 01 01 length exponent-length modulus-left hash BC

where the hash (SHA-1) covers all between 6A and hash, the rest of the modulus, the exponent, and for a card the static
data that the file locator marks.
"""

import hashlib
from random import Random

RID = bytes.fromhex("A000000333")
CA_INDEX = 0xE1
EXPONENT = 3
CA_BITS, ISSUER_BITS, CARD_BITS = 1152, 1024, 768
ISSUER, CARD = 0x02, 0x04
_ROUNDS = 20
_EXPIRY = bytes.fromhex("1235")  # MMYY of every certificate

_SMALL = [number for number in range(3, 2000, 2) if all(number % divisor for divisor in range(3, int(number**0.5) + 1, 2))]


class Key:
    """An RSA key pair with public exponent 3. `modulus` and `private` are integers; `size` is the modulus in bytes."""

    def __init__(self, modulus: int, private: int) -> None:
        self.modulus = modulus
        self.private = private
        self.size = (modulus.bit_length() + 7) // 8

    def sign(self, block: bytes) -> bytes:
        """The signature with message recovery of a block as long as the modulus."""
        return pow(int.from_bytes(block, "big"), self.private, self.modulus).to_bytes(self.size, "big")

    def recover(self, signature: bytes) -> bytes:
        """The block that was signed."""
        return pow(int.from_bytes(signature, "big"), EXPONENT, self.modulus).to_bytes(self.size, "big")

    @property
    def public(self) -> bytes:
        """The modulus as bytes."""
        return self.modulus.to_bytes(self.size, "big")

    def to_json(self) -> "dict[str, str]":
        return {"modulus": f"{self.modulus:x}", "private": f"{self.private:x}"}

    @classmethod
    def from_json(cls, data: "dict[str, str]") -> "Key":
        return cls(int(data["modulus"], 16), int(data["private"], 16))

    def __repr__(self) -> str:
        return f"Key({self.size * 8} bits)"


def make_key(bits: int, random: Random) -> Key:
    """A fresh key whose modulus has exactly `bits` bits."""
    first = _prime(bits // 2, random)
    second = first
    while second == first:
        second = _prime(bits - bits // 2, random)
    return Key(first * second, pow(EXPONENT, -1, (first - 1) * (second - 1)))


def certify(signer: Key, subject: Key, kind: int, identity: bytes, serial: int, static: bytes = b"") -> "tuple[bytes, bytes]":
    """(certificate, remainder of the modulus) for a subject's key.

    kind: ISSUER with the number's first digits, 4 bytes padded with F; CARD with the whole number, 10 bytes likewise.
    static: what the card's certificate also covers.
    """
    body = bytes((kind,)) + identity + _EXPIRY + serial.to_bytes(3, "big") + b"\x01\x01" + bytes((subject.size, 1))
    room = signer.size - 22 - len(body)
    left, remainder = subject.public[:room], subject.public[room:]
    body += left + b"\xbb" * (room - len(left))
    digest = hashlib.sha1(body + remainder + bytes((EXPONENT,)) + static).digest()
    return signer.sign(b"\x6a" + body + digest + b"\xbc"), remainder


def _prime(bits, random):
    """A probable prime that EXPONENT suits, its two highest bits set."""
    while True:
        number = random.getrandbits(bits) | 3 << (bits - 2) | 1
        if number % EXPONENT == 1 or any(number % small == 0 for small in _SMALL):
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
