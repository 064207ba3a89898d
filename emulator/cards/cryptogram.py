"""The keys and the cryptogram of an emulated card, and their check by the acquirer.

    issuer master key  --- card number, sequence --->  card key  --- counter --->  session key  --- data --->  ARQC

    card key       option A of EMV Book 2, A1.4.1: the last 16 digits of number and sequence, and their complement,
                   enciphered; odd parity
    session key    PBOC 3.0 part 7: the transaction counter, and its complement, on the right of a block of zeros,
                   enciphered under the card key
    ARQC           ISO/IEC 9797-1 MAC algorithm 3, padding method 2, of the version-01 list below

What is simulated: issuers' keys are random, the list of data is that of cryptogram version 01 for every card, and the
discretionary part of 9F10 holds no balance. The session key rule was not checked against the standard's own text;
the arithmetic of card key and MAC is (`crypto_vectors.json`).
"""

import hmac
from functools import lru_cache

from drivers.libcrypto import tdes_cbc_encrypt, tdes_ecb_encrypt
from firmware.emv import tlv

# Cryptogram version 01: what the terminal says, then what the card says. Of 9F10 only the CVR, bytes 4 to 7.
TERMINAL_DATA = ((0x9F02, 6), (0x9F03, 6), (0x9F1A, 2), (0x95, 5), (0x5F2A, 2), (0x9A, 3), (0x9C, 1), (0x9F37, 4))
CARD_DATA = ((0x82, 2), (0x9F36, 2))
_CVR = slice(3, 7)


def odd_parity(key: bytes) -> bytes:
    """A DES key with each byte's lowest bit set so that the number of ones is odd."""
    return bytes((byte & 0xFE) | (bin(byte >> 1).count("1") + 1) % 2 for byte in key)


@lru_cache(maxsize=1024)
def card_key(issuer_key: bytes, pan: str, sequence: str) -> bytes:
    """The 16-byte key of one card. sequence: digits, the last two of which count. ValueError for a key of another length."""
    _double(issuer_key)
    block = bytes.fromhex((pan + sequence[-2:])[-16:].rjust(16, "0"))
    return odd_parity(tdes_ecb_encrypt(issuer_key, block + bytes(byte ^ 0xFF for byte in block)))


def session_key(key: bytes, atc: int) -> bytes:
    """The 16-byte key for one value of the transaction counter, 0 .. 65535."""
    counters = bytes(6) + atc.to_bytes(2, "big") + bytes(6) + (atc ^ 0xFFFF).to_bytes(2, "big")
    return odd_parity(tdes_ecb_encrypt(_double(key), counters))


def mac(key: bytes, data: bytes) -> bytes:
    """ISO/IEC 9797-1 algorithm 3 with padding method 2, 8 bytes."""
    left = _double(key)[:8]
    data += b"\x80" + bytes(-(len(data) + 1) % 8)
    chained = tdes_cbc_encrypt(left, data[:-8])[-8:] if len(data) > 8 else bytes(8)
    return tdes_ecb_encrypt(key, bytes(one ^ other for one, other in zip(chained, data[-8:], strict=True)))


def signed_data(values: "dict[int, bytes]") -> bytes:
    """What a version-01 cryptogram covers. Raises ValueError for an object that is missing or has another length."""
    parts = []
    for tag, size in TERMINAL_DATA + CARD_DATA:
        value = values.get(tag)
        if not isinstance(value, bytes) or len(value) != size:
            raise ValueError(f"{tag:X} is not {size} bytes")
        parts.append(value)
    issuer_data = values.get(0x9F10, b"")
    if len(issuer_data) < _CVR.stop:
        raise ValueError("9F10 is too short")
    return b"".join(parts) + issuer_data[_CVR]


def arqc(key: bytes, values: "dict[int, bytes]") -> bytes:
    """The cryptogram, 8 bytes, of a card with this card key. Raises ValueError as `signed_data`."""
    data = signed_data(values)
    return mac(session_key(key, int.from_bytes(values[0x9F36], "big")), data)


def verify(record: dict, chip: bytes) -> bool:
    """Whether field 55 carries the cryptogram of the card in `record` (pan, sequence, issuer_key). False for anything odd."""
    try:
        values = dict(tlv.primitives(tlv.decode(chip)))
        expected = arqc(card_key(record["issuer_key"], record["pan"], record["sequence"]), values)
    except (tlv.TlvError, ValueError, KeyError):
        return False
    return hmac.compare_digest(expected, values.get(0x9F26, b""))


def _double(key: bytes) -> bytes:
    if len(key) != 16:
        raise ValueError("a double-length key has 16 bytes")
    return key
