"""The cryptograms of emulated cards, and their check by the acquirer.

    issuer master key  --- card number, sequence --->  card key  --- counter --->  session key  --- data --->  cryptogram
                                                                                                  answer --->  ARPC

Which session key, which data and which padding is the cryptogram version's business, a row of VERSIONS; the version is
a byte of 9F10, and a scheme has the versions of SCHEMES:

    scheme       version   session key   data after the terminal's and 82, 9F36   padding
    unionpay     01        pboc          CVR, bytes 4 to 7 of 9F10                80 00 ..
    visa         0A (10)   the card key  CVR, bytes 4 to 7 of 9F10                00 .. where needed
    visa         12 (18)   common        the whole of 9F10                        80 00 ..
    mastercard   14 (20)   common        CVR, bytes 3 to 8 of 9F10                80 00 ..

ARPC, method 1: the cryptogram and the response code, enciphered. Method 2: a MAC over cryptogram, CSU and the issuer's data.
CVC3, of a card in stripe mode: a MAC of its track as initial value, the unpredictable number and the counter, enciphered.

What is simulated: issuers' keys are random, and the discretionary part of 9F10 holds no balance. The session key rule of
PBOC was not checked against the standard's own text; the rest is against public vectors (`crypto_vectors.json`).
"""

import hmac
from collections.abc import Callable
from typing import NamedTuple

from drivers.libcrypto import tdes_cbc_encrypt, tdes_ecb_encrypt
from emulator.cards import derivation
from emulator.cards.derivation import double, sized
from firmware.emv import tlv

# What the terminal says, then what the card says: of every version here.
TERMINAL_DATA = ((0x9F02, 6), (0x9F03, 6), (0x9F1A, 2), (0x95, 5), (0x5F2A, 2), (0x9A, 3), (0x9C, 1), (0x9F37, 4))
CARD_DATA = ((0x82, 2), (0x9F36, 2))

AAC, TC, ARQC = 0x00, 0x40, 0x80
KIND = 0xC0  # of 9F27


class Version(NamedTuple):
    """place: where 9F10 has the version; covered: the part of 9F10 in the data; session: (card key, counter) -> key."""

    place: int
    covered: slice
    session: Callable[[bytes, int], bytes]
    padding: int = 2


def _card_key_itself(key: bytes, atc: int) -> bytes:
    return key


VERSIONS = {
    ("unionpay", 0x01): Version(2, slice(3, 7), derivation.pboc),
    ("visa", 0x0A): Version(2, slice(3, 7), _card_key_itself, 1),
    ("visa", 0x12): Version(2, slice(0, 32), derivation.of_counter),
    ("mastercard", 0x14): Version(1, slice(2, 8), derivation.of_counter),
}

CHOSEN = {"unionpay": 0x01, "visa": 0x0A, "mastercard": 0x14}  # the version that the emulator's own cards have


def mac(key: bytes, data: bytes, padding: int = 2) -> bytes:
    """ISO/IEC 9797-1 algorithm 3, 8 bytes. padding: method 1 (zeros where needed) or 2 (80 and zeros, always)."""
    double(key)
    if padding == 2:
        data += b"\x80" + bytes(-(len(data) + 1) % 8)
    elif padding == 1:
        data += bytes(-len(data) % 8) if data else bytes(8)
    else:
        raise ValueError("padding method 1 or 2")
    chained = tdes_cbc_encrypt(key[:8], data[:-8])[-8:] if len(data) > 8 else bytes(8)
    return tdes_ecb_encrypt(key, bytes(one ^ other for one, other in zip(chained, data[-8:], strict=True)))


def version_of(scheme: str, issuer_data: bytes) -> Version:
    """The row for a card's 9F10. Raises ValueError for one that the scheme does not have."""
    for (name, number), row in VERSIONS.items():
        if name == scheme and issuer_data[row.place : row.place + 1] == bytes((number,)):
            return row
    raise ValueError("9F10 has no cryptogram version of its scheme")


def signed_data(values: "dict[int, bytes]", covered: slice = slice(3, 7)) -> bytes:
    """What a cryptogram covers. Raises ValueError for an object that is missing or has another length."""
    parts = []
    for tag, size in TERMINAL_DATA + CARD_DATA:
        value = values.get(tag)
        if not isinstance(value, bytes) or len(value) != size:
            raise ValueError(f"{tag:X} is not {size} bytes")
        parts.append(value)
    part = values.get(0x9F10, b"")[covered]
    if len(part) < min(covered.stop - covered.start, 4):
        raise ValueError("9F10 is too short")
    return b"".join(parts) + part


def application_cryptogram(scheme: str, key: bytes, values: "dict[int, bytes]") -> bytes:
    """AAC, TC or ARQC, 8 bytes, of a card with this card key: 9F10 says which. Raises ValueError as `signed_data`."""
    version = version_of(scheme, values.get(0x9F10, b""))
    data = signed_data(values, version.covered)
    return mac(version.session(key, int.from_bytes(values[0x9F36], "big")), data, version.padding)


def session_of(scheme: str, key: bytes, values: "dict[int, bytes]") -> bytes:
    """The key that the cryptogram in `values` and its ARPC are made with. Raises ValueError."""
    counter = sized("a transaction counter", values.get(0x9F36, b""), 2)
    return version_of(scheme, values.get(0x9F10, b"")).session(key, int.from_bytes(counter, "big"))


def arpc_1(key: bytes, cryptogram: bytes, code: bytes) -> bytes:
    """Method 1, 8 bytes. key: the session's; code: the response code, two bytes. Raises ValueError."""
    sized("a cryptogram", cryptogram, 8)
    mixed = bytes(one ^ other for one, other in zip(cryptogram, sized("a response code", code, 2) + bytes(6), strict=True))
    return tdes_ecb_encrypt(double(key), mixed)


def arpc_2(key: bytes, cryptogram: bytes, status: bytes, data: bytes = b"") -> bytes:
    """Method 2, 4 bytes. status: the card status update, four bytes; data: the issuer's own, up to 8. Raises ValueError."""
    double(key)
    sized("a cryptogram", cryptogram, 8)
    sized("a card status update", status, 4)
    if len(data) > 8:
        raise ValueError("the issuer's own data has up to 8 bytes")
    return mac(key, cryptogram + status + data)[:4]


def cvc3(key: bytes, track: bytes, atc: bytes, unpredictable: bytes) -> int:
    """0 .. 65535. key: the card's for CVC3; track: as it is on the card; atc: two bytes; unpredictable: four. ValueError."""
    sized("a transaction counter", atc, 2)
    sized("an unpredictable number", unpredictable, 4)
    initial = mac(key, track)[-2:]
    return int.from_bytes(tdes_ecb_encrypt(key, initial + unpredictable + atc)[-2:], "big")


def verify(record: dict, chip: bytes) -> bool:
    """Whether field 55 carries the cryptogram of the card in `record` (pan, sequence, issuer_key, scheme; without a scheme it
    is UnionPay's). False for anything odd."""
    try:
        values = dict(tlv.primitives(tlv.decode(chip)))
        key = derivation.option_a(record["issuer_key"], record["pan"], record["sequence"])
        expected = application_cryptogram(record.get("scheme", "unionpay"), key, values)
    except (tlv.TlvError, ValueError, KeyError):
        return False
    return hmac.compare_digest(expected, values.get(0x9F26, b""))
