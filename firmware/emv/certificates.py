"""Certificates and signed data of a card: recovered with the key above, checked, and taken apart.

All are blocks of one make, as long as the key that signed them:

    6A  format  fields ...  body  SHA-1 (20)  BC

    format            signed by   fields after the format (bytes)                          the hash goes on over
    02 issuer key     authority   issuer id 4, expiry 2, serial 3, hash and key algorithm   92, 9F32
                                  1 + 1, key length 1, exponent length 1
    03 static data    issuer      hash algorithm 1, data authentication code 2              the static data
    04 card key       issuer      card number 10, expiry 2, serial 3, algorithms 1 + 1,     9F48, 9F47, the static data
                                  key length 1, exponent length 1
    04 card PIN key   issuer      the same                                                  9F2F, 9F2E
    05 dynamic data   card        hash algorithm 1, length of the dynamic data 1            what the terminal sent

A key that does not fit into the body has its tail in a remainder of its own (92, 9F48, 9F2F), exactly as long as is
missing. A remainder beside a key that fits is hashed, and is no part of the key. An expiry is MMYY, good to the end of
its month.

Functions give None for what does not hold; no bytes of a card make them raise anything but Missing.

Source: EMV Book 2, 5.2 to 5.4 (static), 6.2 to 6.6 (dynamic), 7.1 (PIN key), Annex B2 (algorithms).
"""

import hashlib
from binascii import hexlify

from firmware import calendar
from firmware.emv import rsa

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.authority import Key

SHA1 = 1  # the only hash algorithm of EMV with RSA
ISSUER, STATIC, CARD, DYNAMIC = 2, 3, 4, 5

_ALGORITHMS = b"\x01\x01"  # of the hash, and of the key certified: SHA-1, RSA
_TAIL = 21  # the hash and BC


class CardKey:
    """A public key out of a certificate. modulus: bytes; exponent: 3 or 65537."""

    def __init__(self, modulus: bytes, exponent: int) -> None:
        self.modulus = modulus
        self.exponent = exponent

    def __repr__(self) -> str:
        return "CardKey(%d bits)" % (8 * len(self.modulus))


class Missing(Exception):
    """A key's tail that must be there is not: the card lacks data, it does not lie."""


def issuer_key(
    certificate: bytes, signer: "CardKey | Key", remainder: bytes, exponent: bytes, pan: str, date: str
) -> "tuple[CardKey, bytes] | None":
    """The issuer's key and the serial number (3 bytes) of its certificate, tag 90.

    signer: the authority's key; remainder: tag 92 or b""; exponent: tag 9F32; pan: digits; date: "YYMMDD". Raises Missing.
    """
    block = _recover(certificate, signer, ISSUER)
    key = None if block is None else _key(block, 15, remainder, exponent)
    if block is None or key is None or block[11:13] != _ALGORITHMS or not _hash_fits(block, remainder + exponent):
        return None
    return None if expired(block[6:8], date) or not _begins(pan, block[2:6]) else (key, block[8:11])


def card_key(
    certificate: bytes, signer: "CardKey | Key", remainder: bytes, exponent: bytes, static: bytes, pan: str, date: str
) -> "CardKey | None":
    """The card's key, tag 9F46, or its PIN key, tag 9F2D, whose hash knows no static data (b""). Raises Missing.

    signer: the issuer's key; remainder: tag 9F48 (9F2F) or b""; exponent: tag 9F47 (9F2E); pan: digits; date: "YYMMDD".
    """
    block = _recover(certificate, signer, CARD)
    key = None if block is None else _key(block, 21, remainder, exponent)
    if block is None or key is None or block[17:19] != _ALGORITHMS or not _hash_fits(block, remainder + exponent + static):
        return None
    return None if expired(block[12:14], date) or digits(block[2:12]) != pan else key


def static_code(signature: bytes, signer: "CardKey | Key", static: bytes) -> "bytes | None":
    """The data authentication code, 2 bytes, of signed static data, tag 93, that fits the static data."""
    block = _recover(signature, signer, STATIC)
    if block is None or block[2] != SHA1 or not _hash_fits(block, static):
        return None
    return block[3:5]


def dynamic_data(signature: bytes, signer: "CardKey | Key", sent: bytes) -> "bytes | None":
    """The card's dynamic data out of tag 9F4B, signed together with what the terminal sent.

    Its first part is always the card's dynamic number: a length of 2 to 8 and so many bytes.
    """
    block = _recover(signature, signer, DYNAMIC)
    if block is None or block[2] != SHA1 or not _hash_fits(block, sent):
        return None
    dynamic = block[4 : 4 + block[3]]
    if block[3] > len(block) - 4 - _TAIL or not dynamic or not 2 <= dynamic[0] <= 8 or dynamic[0] >= len(dynamic):
        return None
    return dynamic


def expired(month_year: bytes, date: str) -> bool:
    """Whether a certificate of MMYY (2 bytes) has ended on the day YYMMDD. What is no date has ended.

    Years 00 to 49 are of this century, 50 to 99 of the last one (EMV Book 4, 6.7.3).
    """
    text = hexlify(month_year).decode()
    if len(text) != 4 or not text.isdigit() or not "01" <= text[:2] <= "12" or not _is_day(date):
        return True
    return _century(text[2:]) + text[:2] < _century(date[:2]) + date[2:4]


def _is_day(date: str) -> bool:
    try:
        calendar.parse_stamp(_century(date[:2]) + date[2:] + "000000")
    except ValueError:
        return False
    return True


def _century(year: str) -> str:
    return ("20" if year < "50" else "19") + year


def _recover(signature: bytes, signer: "CardKey | Key", form: int) -> "bytes | None":
    """The block under a signature if its frame is right, else None. It has 64 bytes at least: room for every table above."""
    block = rsa.recover(signature, signer.modulus, signer.exponent)
    if block is None or block[0] != 0x6A or block[1] != form or block[-1] != 0xBC:
        return None
    return block


def _hash_fits(block: bytes, more: bytes) -> bool:
    return hashlib.sha1(block[1:-_TAIL] + more).digest() == block[-_TAIL:-1]


def _key(block: bytes, at: int, remainder: bytes, exponent: bytes) -> "CardKey | None":
    """The key whose body begins at `at`; its length and that of its exponent are in the two bytes before."""
    size, body = block[at - 2], block[at:-_TAIL]
    number = int.from_bytes(exponent, "big")
    if not rsa.MIN_BYTES <= size <= rsa.MAX_BYTES or len(exponent) != block[at - 1] or number not in rsa.EXPONENTS:
        return None
    if size <= len(body):
        return CardKey(body[:size], number)
    if not remainder:
        raise Missing()
    if len(remainder) != size - len(body):
        return None
    return CardKey(body + remainder, number)


def digits(number: bytes) -> str:
    """The digits of a card number as tag 5A has them, filled with F."""
    return hexlify(number).decode().rstrip("f")


def _begins(pan: str, identifier: bytes) -> bool:
    """Whether a card number begins with an issuer identifier; F stands for any digit."""
    text = hexlify(identifier).decode()
    if len(pan) < len(text):
        return False
    for digit, mine in zip(text, pan):
        if digit not in ("f", mine):
            return False
    return True
