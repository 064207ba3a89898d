"""Keys from keys: the card's from its issuer's, one transaction's from the card's. 3DES, 16 bytes each.

    card key      option A   the last 16 digits of number and sequence, and their complement, enciphered
                  option B   for numbers over 16 digits: the digits of a SHA-1 in their place
    session key   common     ATC and zeros, or a cryptogram, with F0 and 0F as third byte, enciphered
                  pboc       ATC, and its complement, on the right of a block of zeros, enciphered
                  xor        the card key with ATC, and its complement, added to the last bytes of its halves (VIS)
                  tree       EMV 2000: down a tree from the card key, a branch by each digit of the ATC

All results have odd parity. Every function raises ValueError for a key or a value of another length.

Sources: EMV Book 2, A1.3 and A1.4 (common, options A and B); EMV 2000 Book 2, A1.3.1 (tree); PBOC 3.0 part 7. The pboc
rule was not checked against the standard's own text; the others are against public vectors (`crypto_vectors.json`).
"""

import hashlib
from functools import lru_cache

from drivers.libcrypto import tdes_ecb_encrypt

LETTERS = str.maketrans("abcdef", "012345")


def odd_parity(key: bytes) -> bytes:
    """A DES key with each byte's lowest bit set so that the number of ones is odd."""
    return bytes((byte & 0xFE) | (bin(byte >> 1).count("1") + 1) % 2 for byte in key)


def double(key: bytes) -> bytes:
    """The key itself, when it has 16 bytes."""
    return sized("a double-length key", key, 16)


def sized(what: str, value: bytes, size: int) -> bytes:
    """The value itself, when it has this many bytes."""
    if len(value) != size:
        raise ValueError(f"{what} has {size} bytes")
    return value


@lru_cache(maxsize=1024)
def option_a(issuer_key: bytes, pan: str, sequence: str) -> bytes:
    """The key of one card. sequence: digits, the last two of which count."""
    return _of_digits(issuer_key, (pan + sequence[-2:])[-16:].rjust(16, "0"))


@lru_cache(maxsize=1024)
def option_b(issuer_key: bytes, pan: str, sequence: str) -> bytes:
    """The same by option B, which is option A for numbers up to 16 digits."""
    digits = pan + sequence[-2:]
    if len(pan) <= 16:
        return option_a(issuer_key, pan, sequence)
    digest = hashlib.sha1(bytes.fromhex("0" * (len(digits) % 2) + digits)).hexdigest()
    chosen = "".join(digit for digit in digest if digit.isdigit())
    chosen += "".join(digit for digit in digest if not digit.isdigit()).translate(LETTERS)
    return _of_digits(issuer_key, chosen[:16])


def _of_digits(issuer_key, digits):
    block = bytes.fromhex(digits)
    return odd_parity(tdes_ecb_encrypt(double(issuer_key), block + bytes(byte ^ 0xFF for byte in block)))


def common(key: bytes, value: bytes) -> bytes:
    """value: eight bytes; ATC and zeros for cryptograms, the cryptogram for scripts."""
    sized("a diversification value", value, 8)
    blocks = value[:2] + b"\xf0" + value[3:] + value[:2] + b"\x0f" + value[3:]
    return odd_parity(tdes_ecb_encrypt(double(key), blocks))


def of_counter(key: bytes, atc: int) -> bytes:
    """`common` for a transaction counter, 0 .. 65535."""
    return common(key, atc.to_bytes(2, "big") + bytes(6))


def pboc(key: bytes, atc: int) -> bytes:
    """The PBOC session key for a transaction counter, 0 .. 65535."""
    counters = bytes(6) + atc.to_bytes(2, "big") + bytes(6) + (atc ^ 0xFFFF).to_bytes(2, "big")
    return odd_parity(tdes_ecb_encrypt(double(key), counters))


def xor(key: bytes, atc: bytes) -> bytes:
    """The VIS key for scripts; atc: two bytes."""
    sized("a transaction counter", atc, 2)
    mask = bytes(6) + atc + bytes(6) + bytes(byte ^ 0xFF for byte in atc)
    return odd_parity(bytes(one ^ other for one, other in zip(double(key), mask, strict=True)))


def tree(key: bytes, atc: bytes, height: int = 8, branches: int = 4, start: bytes = bytes(16)) -> bytes:
    """The EMV 2000 session key. atc: two bytes; start: 16 bytes, the parent of the root."""
    sized("a transaction counter", atc, 2)
    sized("an initial value", start, 16)
    number = int.from_bytes(atc, "big")
    oldest, older, newest = b"", start, double(key)
    for level in range(1, height + 1):
        branch = number // branches ** (height - level) % branches
        left = older[:7] + bytes((older[7] ^ branch,))
        right = older[8:15] + bytes((older[15] ^ branch ^ 0xF0,))
        oldest, older, newest = older, newest, tdes_ecb_encrypt(newest, left + right)
    return odd_parity(bytes(one ^ other for one, other in zip(newest, oldest, strict=True)))
