"""What the private fields of a UnionPay message hold.

A field with an inner layout has a builder and a reader here. Builders are strict and raise Iso8583Error with the field's
number; readers take what deployed hosts send (short fields, missing tails) and raise it for what cannot be read.

    F22   entry mode 2, PIN 1                            how the card came, whether a PIN was typed
    F53   PIN format 1, cipher 1, track enciphered 1     present when there is a PIN block or a track
    F54   20 characters an amount                        balance
    F60   type 2, batch 6, management code 3,            and for financial messages
          terminal 1, chip 1, partial 1, account 3
    F61   batch 6, trace 6, date 4, mode 2, institution 11   the transaction that this one undoes or completes
    F62   "Sequence No" and the device's number (sign-on), working keys (its reply)
    F63   operator and a space (request), organisation 3 and text (reply)
    F64   MAC over everything before it, bitmap included

A host that codes a field otherwise gets a table of its own: `Codec(fields.changed(UNIONPAY, {...}))`.

Source: reference/host.md §2 (composite fields), §3 (sign-on, tags of field 55), §4 (keys, MAC), §6 (reversal).
"""

from collections import namedtuple

from firmware.iso8583.codec import Codec, Iso8583Error
from firmware.iso8583.fields import UNIONPAY

CURRENCY = "156"  # F49, renminbi
AMOUNT_LIMIT_FEN = 999_999_999_999
TRACE_LIMIT = 999_999
PIN_CAPTURE = "12"  # F26
MAC_SIZE = 8

_codecs: "list[Codec]" = []


def codec() -> Codec:
    """The codec of the standard table, made once."""
    if not _codecs:
        _codecs.append(Codec(UNIONPAY))
    return _codecs[0]


# ---- F4, F11


def amount(fen: int) -> str:
    """F4 of an amount in fen: 12 digits."""
    if not 0 <= fen <= AMOUNT_LIMIT_FEN:
        raise Iso8583Error(4, None, "amount out of range")
    return "%012d" % fen


def fen(text: str) -> int:
    """The amount of an F4."""
    if len(text) != 12 or not text.isdigit():
        raise Iso8583Error(4, None, "needs 12 digits")
    return int(text)


def trace(number: int) -> str:
    """F11 of a trace number."""
    if not 1 <= number <= TRACE_LIMIT:
        raise Iso8583Error(11, None, "trace number out of range")
    return "%06d" % number


def next_trace(number: int) -> int:
    """The trace number after `number`: 1 comes after 999999."""
    return number % TRACE_LIMIT + 1


# ---- F22, F53

ENTRIES = {
    "unknown": "00",
    "manual": "01",
    "stripe": "02",
    "code": "03",
    "chip": "05",
    "contactless": "07",
}
ENTRY_NAMES = {ENTRIES[name]: name for name in ENTRIES}


def entry_mode(entry: str, pin: "bool | None") -> str:
    """F22: entry one of ENTRIES; pin True typed, False not, None not told."""
    if entry not in ENTRIES:
        raise Iso8583Error(22, None, "unknown entry")
    return ENTRIES[entry] + ("0" if pin is None else "1" if pin else "2")


def read_entry_mode(text: str) -> "tuple[str, bool | None]":
    """(entry, pin) of an F22; entry "unknown" for what this terminal does not use."""
    return ENTRY_NAMES.get(text[:2], "unknown"), {"1": True, "2": False}.get(text[2:3])


def security(pin: bool, track_enciphered: bool = False, cipher: str = "6", with_pan: bool = True) -> str:
    """F53: whether a PIN block is there and how made (with the PAN, or without), under which kind of key: cipher "0" single
    DES, "6" keys of double length, or a host's own digit."""
    first = "0" if not pin else "2" if with_pan else "1"
    return first + _digits(53, cipher, 1) + ("1" if track_enciphered else "0") + "0" * 13


# ---- F54

Balance = namedtuple("Balance", ("account", "kind", "currency", "fen"))  # two digits, two digits, three digits, int


def balance(account: str, kind: str, amount_fen: int, currency: str = CURRENCY) -> str:
    """F54 of one balance: account "10" savings, "30" credit ..., kind "01" ledger, "02" available."""
    if len(account) != 2 or len(kind) != 2 or len(currency) != 3 or abs(amount_fen) > AMOUNT_LIMIT_FEN:
        raise Iso8583Error(54, None, "not a balance")
    return account + kind + currency + ("C" if amount_fen >= 0 else "D") + "%012d" % abs(amount_fen)


def read_balances(text: str) -> "list[Balance]":
    """The balances of an F54, debit balances negative. Raises Iso8583Error."""
    if not text or len(text) % 20:
        raise Iso8583Error(54, None, "not a multiple of 20 characters")
    out = []
    for begin in range(0, len(text), 20):
        part = text[begin : begin + 20]
        digits = part[8:]
        if part[7] not in "CD" or not digits.isdigit():
            raise Iso8583Error(54, None, "not a balance")
        out.append(Balance(part[:2], part[2:4], part[4:7], int(digits) if part[7] == "C" else -int(digits)))
    return out


# ---- F60, F61

# F60.1 of the transactions that are not told apart by MTI and processing code alone.
BALANCE, SALE, VOID = "01", "22", "23"
MANAGEMENT = "00"

# F60.3
FINANCIAL = "000"
KEYS_SINGLE, KEYS_DOUBLE = "001", "003"
SIGN_OFF, ECHO = "002", "301"

CAPABILITY_CONTACTLESS = "6"  # F60.4; "2" is stripe alone, "5" contacts
# F60.5
CHIP_NORMAL, CHIP_FALLBACK = "0", "2"

Private60 = namedtuple("Private60", ("kind", "batch", "code", "capability", "chip", "partial", "account"))
Original = namedtuple("Original", ("batch", "trace", "date", "mode", "institution"))


def _digits(field: int, text: str, size: int) -> str:
    if len(text) != size or not text.isdigit():
        raise Iso8583Error(field, None, "needs %d digits" % size)
    return text


def management(batch: str, code: str) -> str:
    """F60 of sign-on, sign-off, echo, downloads, settlement: batch six digits, code F60.3."""
    return MANAGEMENT + _digits(60, batch, 6) + _digits(60, code, 3)


def financial(
    kind: str,
    batch: str,
    capability: str = CAPABILITY_CONTACTLESS,
    chip: str = CHIP_NORMAL,
    partial: bool = True,
    code: str = FINANCIAL,
) -> str:
    """F60 of a transaction: kind F60.1, batch six digits, the terminal's capability, how the chip went.

    `partial`: the terminal takes an approval of less than the amount, and a balance in the reply.
    """
    tail = _digits(60, capability, 1) + _digits(60, chip, 1) + ("1" if partial else "0")
    return _digits(60, kind, 2) + _digits(60, batch, 6) + _digits(60, code, 3) + tail


def read_private60(text: str) -> Private60:
    """The parts of an F60; "" for what is not there. Raises Iso8583Error when even type and batch are missing."""
    if len(text) < 8 or not text.isdigit():
        raise Iso8583Error(60, None, "needs type and batch")
    return Private60(text[:2], text[2:8], text[8:11], text[11:12], text[12:13], text[13:14], text[14:17])


def original(batch: str, trace: str, date: str = "", mode: str = "", institution: str = "") -> str:
    """F61: the original's batch and trace, its date MMDD, and for an authorisation its mode and institution."""
    if mode and not date or institution and not mode:
        raise Iso8583Error(61, None, "a part is missing before another")
    text = _digits(61, batch, 6) + _digits(61, trace, 6)
    text += _digits(61, date, 4) if date else ""
    text += _digits(61, mode, 2) if mode else ""
    return text + (_digits(61, institution, 11) if institution else "")


def read_original(text: str) -> Original:
    """The parts of an F61; "" for what is not there. Raises Iso8583Error."""
    if len(text) < 12 or not text.isdigit():
        raise Iso8583Error(61, None, "needs batch and trace")
    return Original(text[:6], text[6:12], text[12:16], text[16:18], text[18:29])


# ---- F62 of sign-on and its reply

SEQUENCE = b"Sequence No"

# Length of the block -> (bytes of a key, bytes of a check value, slots). 38 and 57: a host with short check values.
# 56 and 84: keys of 24 bytes. 72 and 108: of 32.
KEY_BLOCKS = {
    24: (8, 4, ("pin", "mac")),
    38: (16, 3, ("pin", "mac")),
    40: (16, 4, ("pin", "mac")),
    56: (24, 4, ("pin", "mac")),
    57: (16, 3, ("pin", "mac", "track")),
    60: (16, 4, ("pin", "mac", "track")),
    72: (32, 4, ("pin", "mac")),
    84: (24, 4, ("pin", "mac", "track")),
    108: (32, 4, ("pin", "mac", "track")),
}


def device(number: str) -> bytes:
    """F62 of a sign-on: the type's certificate number followed by the device's serial number, ASCII."""
    if not 0 < len(number) <= 99 or len(number.encode()) != len(number):
        raise Iso8583Error(62, None, "needs 1 to 99 ASCII characters")
    return SEQUENCE + b"%02d" % len(number) + number.encode()


def read_device(data: bytes) -> str:
    """The number in the F62 of a sign-on. Raises Iso8583Error."""
    head = len(SEQUENCE)
    digits = data[head : head + 2]
    if data[:head] != SEQUENCE or len(digits) != 2 or not digits.isdigit():
        raise Iso8583Error(62, None, "no sequence number")
    number = data[head + 2 :]
    if len(number) != int(digits) or max(number or b"\xff") > 127:
        raise Iso8583Error(62, None, "the sequence number is cut short or not ASCII")
    return number.decode()


def keys(data: bytes) -> "list[tuple[str, bytes, bytes]]":
    """The working keys of a sign-on reply: [(slot, key enciphered under the master key, check value)].

    Slots "pin", "mac" and, in a long block, "track". A key of 16 bytes may be one of 8 followed by eight zero bytes
    (the check value tells). Raises Iso8583Error for a length that no host sends.
    """
    layout = KEY_BLOCKS.get(len(data))
    if layout is None:
        raise Iso8583Error(62, None, "%d bytes are no block of keys" % len(data))
    key, check, slots = layout
    out = []
    at = 0
    for slot in slots:
        out.append((slot, data[at : at + key], data[at + key : at + key + check]))
        at += key + check
    return out


def instalment(periods: int, project: str = "") -> bytes:
    """F62 of a sale in instalments: number of them n2, project code of the bank 30, how its fee is paid n1. From memory of
    deployed terminals: a host may want another layout."""
    text = project.encode()
    if not 2 <= periods <= 99 or len(text) > 30 or len(text) != len(project):
        raise Iso8583Error(62, None, "needs 2 to 99 instalments, a project of up to 30 ASCII characters")
    return b"%02d" % periods + text + b" " * (30 - len(text)) + b"0"


# ---- F63


def operator(number: str) -> bytes:
    """F63 of a request: the operator's two digits and a space."""
    return _digits(63, number, 2).encode() + b" "


def read_organisation(data: bytes) -> "tuple[str, bytes]":
    """(card organisation, text of the host in GBK) of a reply's F63; ("", b"") when it is empty."""
    name = data[:3]
    return (name.decode() if max(name or b"\xff") < 128 else ""), data[3:]


# ---- F55: the order in which tags are sent

ONLINE_TAGS = (
    0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A, 0x9F03, 0x9F33, 0x9F34,
    0x9F35, 0x9F1E, 0x84, 0x9F09, 0x9F41, 0x9F63, 0x9F74,
)  # fmt: skip
REVERSAL_TAGS = (0x95, 0x9F1E, 0x9F10, 0x9F36, 0xDF31)
SCRIPT_TAGS = (0x9F33, 0x95, 0x9F37, 0x9F1E, 0x9F10, 0x9F26, 0x9F36, 0x82, 0xDF31, 0x9F1A, 0x9A)


# ---- reversal

REASON_NO_ANSWER, REASON_MAC, REASON_FAULT = "98", "A0", "06"
NOT_REVERSED = (26, 35, 36, 37, 52, 53, 55, 64)


def reversal(fields: dict, reason: str, authorisation: str = "", chip: bytes = b"") -> dict:
    """The fields of the 0400 that undoes the request with these `fields`, MAC still to come.

    reason          F39: REASON_NO_ANSWER, REASON_MAC (the reply's was wrong), REASON_FAULT (it could not be read).
    authorisation   F38 of the reply, when one came.
    chip            F55 with REVERSAL_TAGS, when a chip was asked.
    Everything else is the request's, the trace number too. Where the request named an original (F61), the reversal
    names the request itself.
    """
    out = {}
    for number, value in fields.items():
        if number not in NOT_REVERSED:
            out[number] = value
    if 61 in fields:
        out[61] = original(read_private60(fields[60]).batch, fields[11], read_original(fields[61]).date)
    out[39] = reason
    if authorisation:
        out[38] = authorisation
    if chip:
        out[55] = chip
    return out


# ---- F64


def reply_to(mti: str) -> str:
    """The message type of the reply to `mti`."""
    return "%04d" % (int(mti) + 10)


def mac_span(message: bytes) -> bytes:
    """What the MAC of a packed message is made over: all but the last 8 bytes."""
    return message[:-MAC_SIZE]


def sealed(message: bytes, mac: bytes) -> bytes:
    """`message`, packed with any eight bytes as F64, with its MAC in their place."""
    if len(mac) != MAC_SIZE:
        raise Iso8583Error(64, None, "needs 8 bytes")
    return message[:-MAC_SIZE] + mac
