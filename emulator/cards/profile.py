"""What an application of a card is, in words, and the data objects and records that follow from it.

A profile is a row of plain values; `Profile(aid, label)` alone is a UnionPay debit application with CDA by contacts and
qPBOC by contactless. Records are packed greedily in this order, and read by two file locators:

    file   by contacts                                  by contactless                       authenticated
    1      number, dates, usage, CVM list, action codes  number, dates, country, usage        the first records, all of them
    2      DOLs, limits, track, name                                                          no
    3      certificates                                 certificates, 9F69, 9F4B last        no

Sources: EMV Book 3, 5.3.3, 10.2 and Annex A; PBOC 3.0 parts 5 and 12.
"""

from functools import lru_cache
from typing import NamedTuple

from emulator.cards import pki
from firmware.emv import tlv

PDOL = bytes.fromhex("9F66049F02069F03069F1A0295055F2A029A039C019F3704DF6001")  # qPBOC
PDOL_VISA = bytes.fromhex("9F66049F02069F03069F1A0295055F2A029A039C019F3704")
TERMINAL = "9F02069F03069F1A0295055F2A029A039C019F3704"
CDOL1, CDOL2 = bytes.fromhex(TERMINAL), bytes.fromhex("8A02" + TERMINAL)
CDOL1_HASH, CDOL2_HASH = bytes.fromhex(TERMINAL + "9814"), bytes.fromhex("8A02" + TERMINAL + "9814")
CDOL1_MASTERCARD = bytes.fromhex(TERMINAL + "9F35019F45029F4C089F3403")
CDOL2_MASTERCARD = bytes.fromhex("910A8A0295059F37049F4C08" + TERMINAL)
DDOL = bytes.fromhex("9F3704")
LOG = bytes.fromhex("0b0a")
MOST = 250  # bytes of objects in a record: tag 70, its length and the status word still fit into 256

# AIP, first byte
SDA, DDA, HOLDER, RISK, ISSUER, DEVICE, CDA = 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
METHODS = {"": 0, "sda": SDA, "dda": SDA | DDA, "cda": SDA | DDA | CDA}

QPBOC, FULL, MCHIP, STRIPE_MODE, NOT = "quick", "full", "m/chip", "stripe mode", ""
MONTH_ENDS = {"02": "28", "04": "30", "06": "30", "09": "30", "11": "30"}


class Profile(NamedTuple):
    """One application.

    scheme         a name of `cryptogram.VERSIONS`
    preferred      9F12; priority, confirm: 87
    contact        taken by contacts;  contactless: QPBOC (qVSDC for Visa), FULL (only the flow of the contacts), MCHIP,
                   STRIPE_MODE or NOT
    oda            "", "sda", "dda", "cda";  chain: names of (authority, issuer's key, card's key);  quick: the same for
                   contactless, () without fDDA;  pin_key: name of a key for enciphered PINs, "" the card's own
    rules          of the CVM list, hex pairs;  limit_fen: X of the list;  holder: AIP says that it is looked at
    issuer         AIP asks for issuer authentication;  strict: AAC when it fails or was not done
    iac            action codes (denial, online, default), hex; "" leaves one out
    offline_fen    what the card approves by itself at most, one transaction; 0: never
    run            how many offline in a row: (9F14, 9F23), or () for a card that does not say
    tries          PIN tries;  tries_left: at the start, -1 all;  seen: the card has been online before
    format         80 or 77 of the answers;  pdol, tdol: by contacts, hex;  tc_hash: the CDOLs ask for it
    usage, country, currency, effective, version   9F07, 5F28, 9F42, 5F25, 9F08, hex
    blocked        the application is blocked from the start
    habit          how its holder is verified by contactless, a key of `quick.HABITS`;  ctq: more of its bits, hex
    document       number of an identity card that the CVM list may ask for (9F61)
    options        status word that GET PROCESSING OPTIONS is answered with, hex; "" for an answer
    """

    aid: bytes
    label: str
    scheme: str = "unionpay"
    preferred: str = ""
    priority: int = 1
    confirm: bool = False
    contact: bool = True
    contactless: str = QPBOC
    oda: str = "cda"
    chain: "tuple[str, ...]" = ("unionpay-1408", "issuer-1024", "card-1024")
    quick: "tuple[str, ...]" = ("unionpay-1152", "issuer-1024", "card-768")
    pin_key: str = ""
    rules: str = "42031E031F03"
    limit_fen: int = 0
    holder: bool = True
    issuer: bool = True
    strict: bool = False
    iac: "tuple[str, str, str]" = ("0010000000", "D84004F800", "D84000A800")
    offline_fen: int = 0
    run: "tuple[int, ...]" = ()
    tries: int = 3
    tries_left: int = -1
    seen: bool = True
    format: int = 0x80
    pdol: str = ""
    tdol: str = ""
    tc_hash: bool = False
    usage: str = "FF00"
    country: str = "0156"
    currency: str = "0156"
    effective: str = "200101"
    version: str = "0020"
    blocked: bool = False
    habit: str = "by amount"
    ctq: str = "0000"
    document: str = ""
    options: str = ""


class Holder(NamedTuple):
    """Whose it is. pan, expiry YYMM, sequence: digits; service: of the stripe's image; name: as embossed."""

    pan: str
    expiry: str
    sequence: str = "001"
    service: str = "220"
    name: str = "TEST/CARD"
    discretionary: str = "0000000"

    def __repr__(self) -> str:
        return f"Holder({self.pan[:6]}..{self.pan[-4:]})"


class Records(NamedTuple):
    """files: {file: [record]}; locator: tag 94; static: what data authentication covers, without the AIP."""

    files: "dict[int, list[bytes]]"
    locator: bytes
    static: bytes


def compressed(digits: str, size: int = 0) -> bytes:
    """Digits as format cn: filled with F, to `size` bytes or to a whole byte."""
    return bytes.fromhex(digits + "F" * (2 * size - len(digits) if size else len(digits) % 2))


def track2(holder: Holder) -> bytes:
    """Tag 57."""
    return compressed(f"{holder.pan}D{holder.expiry}{holder.service}{holder.discretionary}")


def dates(profile: Profile, holder: Holder) -> list:
    """Number and dates, as both interfaces show them."""
    end = holder.expiry + MONTH_ENDS.get(holder.expiry[2:], "31")
    return [
        (0x5A, compressed(holder.pan)),
        (0x5F24, bytes.fromhex(end)),
        (0x5F25, bytes.fromhex(profile.effective)),
    ]


def profile_bytes(profile: Profile, contactless: bool) -> bytes:
    """AIP, two bytes."""
    if contactless and profile.contactless == STRIPE_MODE:
        return b"\x00\x00"
    if contactless and profile.contactless == QPBOC:
        return bytes((SDA | DDA | HOLDER | RISK if profile.quick else HOLDER | RISK | ISSUER, 0))
    first = METHODS[profile.oda] | (HOLDER if profile.holder else 0) | RISK | (ISSUER if profile.issuer else 0)
    return bytes((first, 0x80 if contactless and profile.contactless == MCHIP else 0))


def contact_records(profile: Profile, holder: Holder, contactless: bool = False) -> Records:
    """What the card shows by contacts, and in the same flow over contactless."""
    signed = dates(profile, holder)
    signed += [(0x5F34, bytes.fromhex(holder.sequence[-2:])), (0x9F07, bytes.fromhex(profile.usage))]
    signed += [(0x5F28, bytes.fromhex(profile.country))]
    if profile.rules:
        signed += [(0x8E, profile.limit_fen.to_bytes(4, "big") + bytes(4) + bytes.fromhex(profile.rules))]
    signed += [(tag, bytes.fromhex(code)) for tag, code in zip((0x9F0E, 0x9F0F, 0x9F0D), profile.iac, strict=True) if code]
    signed += [(0x9F4A, b"\x82")] if profile.oda else []
    first, second = cdols(profile)
    open_ = [(0x8C, first), (0x8D, second), (0x57, track2(holder)), (0x5F20, holder.name.encode())]
    open_ += [(0x9F08, bytes.fromhex(profile.version)), (0x9F42, bytes.fromhex(profile.currency)), (0x9F44, b"\x02")]
    if profile.document:
        open_ += [(0x9F61, profile.document.encode()), (0x9F62, b"\x00")]
    open_ += [(0x97, bytes.fromhex(profile.tdol))] if profile.tdol else []
    if profile.run:
        open_ += [(0x9F14, bytes((profile.run[0],))), (0x9F23, bytes((profile.run[1],)))]
    if profile.oda in ("dda", "cda"):
        open_ += [(0x9F49, DDOL)]
    certificates = _certificates(profile, holder, profile.chain, profile.oda, signed, profile_bytes(profile, contactless))
    return _laid_out(signed, open_, certificates)


def quick_records(profile: Profile, holder: Holder, proven: bool) -> Records:
    """What the card shows in qPBOC. proven: with the certificates, for a terminal that is going to look at them."""
    signed = dates(profile, holder)
    rules = [(0x5F28, bytes.fromhex(profile.country)), (0x9F07, bytes.fromhex(profile.usage))]
    rules += [(0x9F08, bytes.fromhex(profile.version))]
    certificates = _certificates(profile, holder, profile.quick, "dda", signed, b"") if proven and profile.quick else []
    return _laid_out(signed, rules, certificates)


def cdols(profile: Profile) -> "tuple[bytes, bytes]":
    """Tags 8C and 8D."""
    if profile.tc_hash:
        return CDOL1_HASH, CDOL2_HASH
    return (CDOL1_MASTERCARD, CDOL2_MASTERCARD) if profile.scheme == "mastercard" else (CDOL1, CDOL2)


@lru_cache(maxsize=512)
def _certificates_kept(chain, oda, pan, static, pin_key):
    authority = pki.AUTHORITIES[chain[0]]
    top, issuer = pki.key(authority.name), pki.key(chain[1])
    serial = int(pan[-7:-1])
    issued, rest = pki.certify(top, issuer, pki.ISSUER, bytes.fromhex(pan[:6] + "FF"), serial)
    objects = [(0x8F, bytes((authority.number,))), (0x90, issued), (0x9F32, issuer.exponent_bytes)]
    objects += [(0x92, rest)] if rest else []
    if oda == "sda":
        return [*objects, (0x93, pki.sign_static(issuer, static))]
    own = pki.key(chain[2])
    certificate, rest = pki.certify(issuer, own, pki.CARD, compressed(pan, 10), serial, static)
    objects += [(0x9F46, certificate), (0x9F47, own.exponent_bytes)]
    objects += [(0x9F48, rest)] if rest else []
    if pin_key:
        other = pki.key(pin_key)
        certificate, rest = pki.certify(issuer, other, pki.CARD, compressed(pan, 10), serial)
        objects += [(0x9F2D, certificate), (0x9F2E, other.exponent_bytes)]
        objects += [(0x9F2F, rest)] if rest else []
    return objects


def _certificates(profile, holder, chain, oda, signed, aip):
    """Objects that prove the card. aip: b"" for what 9F4A does not name, and for a chain without a PIN key."""
    if not oda:
        return []
    static = tlv.encode(signed) + aip
    return list(_certificates_kept(tuple(chain), oda, holder.pan, static, profile.pin_key if aip else ""))


def _laid_out(signed, open_objects, certificates):
    files, locator, static = {}, b"", b""
    for file, objects in ((1, signed), (2, open_objects), (3, certificates)):
        records = _packed(objects)
        if not records:
            continue
        files[file] = [tlv.encode([(0x70, record)]) for record in records]
        locator += bytes((file << 3, 1, len(records), len(records) if file == 1 else 0))
        if file == 1:
            static = b"".join(tlv.encode(record) for record in records)
    return Records(files, locator, static)


def _packed(objects):
    records: list[list] = []
    room = 0
    for tag, value in objects:
        size = len(tlv.encode([(tag, value)]))
        if size > room:
            records.append([])
            room = MOST
        records[-1].append((tag, value))
        room -= size
    return records
