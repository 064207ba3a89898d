"""Offline data authentication: is this the issuer's card, and are these the issuer's data?

    method   by contacts   what the card signs                                 who looks
    SDA      "sda"         once and for all: its static data                   static
    DDA      "dda"         what the terminal sends it, by the DDOL             dynamic
    CDA      "cda"         its cryptogram, with all that went to and fro       combined_key, then combined
    fDDA     contactless   unpredictable number, amount, currency, 9F69        fast

The best method that card (82) and terminal (9F33) share is the one; one that fails is not followed by another. The keys
come down from the authority by certificates: 8F names its key, 90 holds the issuer's, 9F46 the card's. The static data
that 9F46 and 93 cover are the records that the file locator lists, then the AIP where 9F4A says exactly 82.

    bit                 says
    TVR 1:80            card and terminal have no method in common
    TVR 1:40, 08, 04    SDA, DDA, CDA failed
    TVR 1:20            an object that the method needs is absent; the method has then failed as well
    TVR 1:02            SDA was the method
    TSI 80              a method was carried out, well or badly; for CDA: once a cryptogram was checked, or could not be

A key of the authority has an expiry date for those who load keys; here only the certificates' own dates count, and
none of them may be later than the key's.

Source: EMV Book 2, 5 to 7; Book 3, 7.5 and 10.3; Book C-7 and the makers' texts on fDDA (reference/emv.md).
"""

import hashlib
from binascii import hexlify

from firmware.emv import certificates, dol, tlv
from firmware.emv.apdu import OK
from firmware.emv.card import Ended, exchange
from firmware.emv.certificates import CardKey
from firmware.emv.data import ODA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Step
    from firmware.emv.data import Data

# method, AIP bit of its byte 1, 9F33 bit of its byte 3; the best first
METHODS = (("cda", 0x01, 0x08), ("dda", 0x20, 0x40), ("sda", 0x40, 0x80))

SDA_SELECTED, DATA_MISSING, NOT_PERFORMED = 0x02, 0x20, 0x80
SDA_FAILED, DDA_FAILED, CDA_FAILED = 0x40, 0x08, 0x04

_ISSUER = (0x8F, 0x90, 0x9F32)  # what the issuer's key needs
_CARD = (0x9F46, 0x9F47, 0x9F48)  # certificate, exponent, remainder
_CARD_PIN = (0x9F2D, 0x9F2E, 0x9F2F)

_SIZES_9F69 = (5, 16)  # version, unpredictable number; CTQ and more


def select(data: "Data") -> str:
    """The method: "cda", "dda", "sda" or "" for none, which sets TVR 1:80."""
    for method, card, terminal in METHODS:
        if data.profile(1, card) and data.capability(3, terminal):
            return method
    data.set_tvr(1, NOT_PERFORMED)
    return ""


def static(data: "Data") -> None:
    """SDA: the data authentication code goes to 9F45, failure to TVR 1:40."""
    data.set_tvr(1, SDA_SELECTED)
    data.set_tsi(ODA)
    code = None
    try:
        signature = _needed(data, _ISSUER + (0x93,))[-1]
        issuer, covered = _issuer_key(data), _static_data(data)
        if issuer is not None and covered is not None:
            code = certificates.static_code(signature, issuer, covered)
    except certificates.Missing:
        data.set_tvr(1, DATA_MISSING)
    if code is None:
        data.set_tvr(1, SDA_FAILED)
    else:
        data.said[0x9F45] = code


def dynamic(data: "Data") -> "Step":
    """DDA with INTERNAL AUTHENTICATE: the card's dynamic number goes to 9F4C, failure to TVR 1:08.

    A refusal of the command and an answer without 9F4B end the transaction (EMV Book 3, 6.5.9).
    """
    data.set_tsi(ODA)
    key, asked = _marked_key(data), _authentication_data(data)
    signed = None
    if key is not None and asked is not None:
        response, word = yield from exchange(b"\x00\x88\x00\x00" + bytes((len(asked),)) + asked + b"\x00")
        if word != OK:
            raise Ended("refused")
        signed = certificates.dynamic_data(_signature(response), key, asked)
    if signed is None:
        data.set_tvr(1, DDA_FAILED)
    else:
        _keep_number(data, signed)


def combined_key(data: "Data") -> "CardKey | None":
    """The card's key for CDA, before GENERATE AC; None, TVR 1:04 and TSI when there is none to be had."""
    key = _marked_key(data)
    if key is None:
        data.set_tvr(1, CDA_FAILED)
        data.set_tsi(ODA)
    return key


def combined(data: "Data", key: "CardKey | None", response: bytes, transaction_data: bytes) -> bool:
    """CDA: whether a GENERATE AC response (a template 77, raw) is signed by the card, over all that went before.

    transaction_data: the values of PDOL and CDOL1, at the second cryptogram also those of CDOL2, as they were sent.
    Sets TSI; TVR 1:04 when it does not hold. When it does, 9F26 and 9F4C are the signed ones.
    """
    data.set_tsi(ODA)
    signed = None if key is None else _combined(data, key, response, transaction_data)
    if signed is None:
        data.set_tvr(1, CDA_FAILED)
        return False
    _keep_number(data, signed)
    data.said[0x9F26] = signed[2 + signed[0] : 10 + signed[0]]
    return True


def fast(data: "Data", allow_old: bool = False) -> bool:
    """fDDA: whether 9F4B is signed over what the terminal sent with GET PROCESSING OPTIONS. No bit is set: over contactless
    the kernel says what a failure means.

    Version 01 (first byte of 9F69) covers 9F37, 9F02, 5F2A and 9F69; the old 00, or no 9F69, only 9F37: for kernel 3.
    """
    signature, related = data.said.get(0x9F4B), data.said.get(0x9F69)
    number = data.get(0x9F37) or b""
    if related is not None and related[:1] == b"\x01":
        if not _SIZES_9F69[0] <= len(related) <= _SIZES_9F69[1]:
            return False
        sent = number + (data.get(0x9F02) or b"") + (data.get(0x5F2A) or b"") + related
    elif allow_old and (related is None or related[:1] == b"\x00"):
        sent = number
    else:
        return False
    key = _key(data, _CARD) if signature else None
    signed = certificates.dynamic_data(signature, key, sent) if signature and key else None
    if signed is None:
        return False
    _keep_number(data, signed)
    return True


def pin_key(data: "Data") -> "CardKey | None":
    """The key for an enciphered PIN: the card's PIN key where it has one, else its key of DDA. None: neither holds.

    No bit is set: what a PIN that cannot be enciphered means is the matter of cardholder verification.
    """
    return _key(data, _CARD_PIN if data.said.get(_CARD_PIN[0]) else _CARD)


def _combined(data: "Data", key: "CardKey", response: bytes, transaction_data: bytes) -> "bytes | None":
    """The card's dynamic data (number, CID, cryptogram, hash) if everything fits, else None."""
    said: dict[int, bytes] = {}
    hashed = [transaction_data]
    for tag, value, raw in _objects(response):
        said[tag] = value
        if tag != 0x9F4B:
            hashed.append(raw)
    signed = certificates.dynamic_data(said.get(0x9F4B, b""), key, data.get(0x9F37) or b"")
    if signed is None:
        return None
    rest = signed[1 + signed[0] :]
    identifier, cryptogram, digest = rest[:1], rest[1:9], rest[9:29]
    if identifier != said.get(0x9F27) or cryptogram != said.get(0x9F26, cryptogram):
        return None
    return signed if hashlib.sha1(b"".join(hashed)).digest() == digest else None


def _objects(response: bytes) -> "list[tuple[int, bytes, bytes]]":
    """[(tag, value, the object as it came)] of a template 77; [] for anything else. Padding is no object.

    As it came: a length may be coded in more bytes than it needs, and the card has signed those.
    """
    try:
        if [tag for tag, _ in tlv.decode(response)] != [0x77]:
            return []
    except tlv.TlvError:
        return []
    found = []
    at, end = _head(response, _past_padding(response, 0))[1:]
    at = _past_padding(response, at)
    while at < end:
        tag, value_at, stop = _head(response, at)
        found.append((tag, response[value_at:stop], response[at:stop]))
        at = _past_padding(response, stop)
    return found


def _past_padding(data: bytes, at: int) -> int:
    while at < len(data) and data[at] in (0x00, 0xFF):
        at += 1
    return at


def _head(data: bytes, at: int) -> "tuple[int, int, int]":
    """(tag, where its value begins, where it ends) of the object at a place where there is one."""
    tag = data[at]
    at += 1
    if tag & 31 == 31:
        tag = tag << 8 | data[at]
        at += 1
        while tag & 0x80:
            tag = tag << 8 | data[at]
            at += 1
    length = data[at]
    at += 1
    if length > 127:
        size = length & 127
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    return tag, at, at + length


def _authentication_data(data: "Data") -> "bytes | None":
    """What INTERNAL AUTHENTICATE carries; None without a list that asks for the unpredictable number."""
    try:
        entries = dol.parse(data.said.get(0x9F49) or data.application.ddol)
    except dol.DolError:
        return None
    for tag, length in entries:
        if tag == 0x9F37 and length:
            return dol.build(entries, data.values())
    return None


def _signature(response: bytes) -> bytes:
    """9F4B out of the response to INTERNAL AUTHENTICATE: a template 80 that is nothing else, or one of a template 77."""
    try:
        tree = tlv.decode(response)
    except tlv.TlvError:
        raise Ended("malformed")
    if len(tree) == 1 and tree[0][0] == 0x80:
        return tree[0][1]
    found = tlv.find(tree[0][1], 0x9F4B) if len(tree) == 1 and tree[0][0] == 0x77 else None
    if found is None:
        raise Ended("malformed")
    return found


def _marked_key(data: "Data") -> "CardKey | None":
    """The card's key; None, and TVR 1:20 where it is for want of an object."""
    try:
        return _card_key(data, _CARD)
    except certificates.Missing:
        data.set_tvr(1, DATA_MISSING)
    return None


def _key(data: "Data", tags: "tuple[int, int, int]") -> "CardKey | None":
    try:
        return _card_key(data, tags)
    except certificates.Missing:
        return None


def _card_key(data: "Data", tags: "tuple[int, int, int]") -> "CardKey | None":
    """The key in `tags`: certificate, exponent, remainder. Raises Missing."""
    certificate, exponent = _needed(data, _ISSUER + tags[:2])[-2:]
    issuer, covered = _issuer_key(data), _static_data(data) if tags is _CARD else b""
    if issuer is None or covered is None:
        return None
    remainder = data.said.get(tags[2], b"")
    return certificates.card_key(certificate, issuer, remainder, exponent, covered, _number(data), data.request.date)


def _issuer_key(data: "Data") -> "CardKey | None":
    """The issuer's key, None where it does not hold or was withdrawn. Raises Missing."""
    index, certificate, exponent = _needed(data, _ISSUER)
    provider = (data.said.get(0x84) or data.told.get(0x9F06, b""))[:5]
    authority = data.settings.authority
    signer = authority.find(provider, index[0]) if len(index) == 1 else None
    if signer is None:
        return None
    remainder = data.said.get(0x92, b"")
    found = certificates.issuer_key(certificate, signer, remainder, exponent, _number(data), data.request.date)
    if found is None or authority.is_revoked(provider, index[0], found[1]):
        return None
    return found[0]


def _needed(data: "Data", tags: "tuple[int, ...]") -> "list[bytes]":
    """The values of objects that the card must have said; an empty one is none. Raises Missing."""
    values = [data.said.get(tag, b"") for tag in tags]
    if not all(values):
        raise certificates.Missing()
    return values


def _static_data(data: "Data") -> "bytes | None":
    """The bytes that the issuer has signed; None where no signature may fit."""
    listed = data.said.get(0x9F4A)
    if not data.static_fits or listed not in (None, b"\x82"):
        return None
    return data.static + (data.said.get(0x82, b"") if listed else b"")


def _number(data: "Data") -> str:
    """The card number in digits: 5A, or what stands before the D of track 2."""
    if data.said.get(0x5A):
        return certificates.digits(data.said[0x5A])
    return hexlify(data.said.get(0x57, b"")).decode().split("d")[0]


def _keep_number(data: "Data", signed: bytes) -> None:
    data.said[0x9F4C] = signed[1 : 1 + signed[0]]
