"""ISO 8583 and TLV beside pyiso8583 and pyemv, on the same bytes.

The peers are set up for the same message: UnionPay's BCD fields, nibble lengths, binary bitmap. A row is refused when the two
sides do not agree on what the message says. Best of many rounds, CPU time of this thread.
"""

from __future__ import annotations

import time
from typing import Any

from firmware.emv import tlv
from firmware.iso8583 import unionpay
from firmware.iso8583.codec import Codec
from tools.bench.table import Row, best_of

# A contactless sale as the terminal sends it: 16 fields, a MAC at the end.
SALE: dict[int, Any] = {
    2: "6222620000000004", 3: "000000", 4: "000000001234", 11: "000002", 14: "3012", 22: "072", 23: "001", 25: "00",
    35: "6222620000000004D30122011234500000000", 41: "12345678", 42: "898310012345678", 49: "156",
    53: "2600000000000000", 55: bytes(range(140)), 60: "22000002000601", 64: b"12345678",
}  # fmt: skip


FCI_BYTES = 250


def digits(most: int, prefix: int = 0, **pad: str) -> dict[str, Any]:
    """A row of pyiso8583's specification for packed digits."""
    return {"data_enc": "b", "len_enc": "bcd", "len_type": prefix, "len_count": "nibbles", "max_len": most, "desc": "", **pad}


def text(size: int) -> dict[str, Any]:
    return {"data_enc": "ascii", "len_enc": "ascii", "len_type": 0, "max_len": size, "desc": ""}


def binary(most: int, prefix: int = 0) -> dict[str, Any]:
    return {"data_enc": "b", "len_enc": "bcd", "len_type": prefix, "max_len": most, "desc": ""}


PEER_SPEC = {
    "h": text(0), "t": digits(4), "p": binary(8), "1": binary(8),
    "2": digits(19, 1, right_pad="0"), "3": digits(6), "4": digits(12), "11": digits(6), "14": digits(4),
    "22": digits(3, right_pad="0"), "23": digits(3, left_pad="0"), "25": digits(2), "35": digits(37, 1, right_pad="0"),
    "41": text(8), "42": text(15), "49": text(3), "53": digits(16), "55": binary(255, 2), "60": digits(17, 2, right_pad="0"),
    "64": binary(8),
}  # fmt: skip


def fci() -> bytes:
    """The answer to SELECT of a talkative card: 250 bytes, four levels."""
    directory = [(0x4F, bytes.fromhex("A000000333010101")), (0x50, b"UNIONPAY"), (0x87, b"\x01")]
    issuer = [
        (0x9F4D, b"\x0b\x0a"), (0xDF4D, b"\x0c\x0a"), (0x5F54, b"ICBKCNBJXXX"), (0x9F5A, bytes(5)), (0x9F0A, bytes(8)),
        (0x61, directory), (0x61, [(0x4F, bytes.fromhex("A000000333010102")), (0x50, b"UNIONPAY CREDIT"), (0x87, b"\x02")]),
    ]  # fmt: skip
    proprietary = [
        (0x50, b"PBOC DEBIT"), (0x87, b"\x01"), (0x9F38, bytes(27)), (0x5F2D, b"zhen"), (0x9F11, b"\x01"),
        (0x9F12, b"UnionPay Debit"), (0xBF0C, issuer), (0x9F7F, b""),
    ]  # fmt: skip
    name = (0x84, bytes.fromhex("A000000333010101"))
    rest = FCI_BYTES - len(tlv.encode([(0x6F, [name, (0xA5, proprietary)])]))
    proprietary[-1] = (0x9F7F, bytes(rest))
    data = tlv.encode([(0x6F, [name, (0xA5, proprietary)])])
    if len(data) != FCI_BYTES:
        raise AssertionError("the FCI has %d bytes" % len(data))
    return data


def agreed() -> tuple[Codec, bytes, dict[str, str]]:
    """Our codec, the message, and its fields as pyiso8583 wants them; AssertionError when the two sides do not agree."""
    import iso8583

    codec = unionpay.codec()
    message = codec.pack("0200", SALE)
    theirs = {str(field): value.hex().upper() if isinstance(value, bytes) else value for field, value in SALE.items()}
    theirs["t"] = "0200"
    packed, _ = iso8583.encode(dict(theirs), PEER_SPEC)
    read, _ = iso8583.decode(message, PEER_SPEC)
    if bytes(packed) != message or {key: value for key, value in read.items() if key in theirs} != theirs:
        raise AssertionError("pyiso8583 and we do not agree on the message")
    if codec.unpack(message) != ("0200", SALE):
        raise AssertionError("the message does not come back")
    return codec, message, theirs


def iso8583_rows() -> list[Row]:
    import iso8583

    codec, message, theirs = agreed()
    rows = []
    for name, ours, peer in (
        ("pack", lambda: codec.pack("0200", SALE), lambda: iso8583.encode(theirs, PEER_SPEC)),
        ("unpack", lambda: codec.unpack(message), lambda: iso8583.decode(message, PEER_SPEC)),
    ):
        rows.append(
            Row(
                "ISO 8583 %s, 16-field sale" % name,
                best_of(ours, time.thread_time, 500) * 1e6,
                "µs",
                best_of(peer, time.thread_time, 100) * 1e6,
                least=3,
                faster=True,
                note="pyiso8583, same %d bytes" % len(message),
            )
        )
    return rows


def tlv_row() -> Row:
    import pyemv.tlv

    data = fci()
    if not pyemv.tlv.decode(data).get("6F", {}).get("A5", {}).get("BF0C", {}).get("61", {}).get("4F"):
        raise AssertionError("pyemv and we do not agree on the FCI")
    return Row(
        "TLV decode, %d-byte FCI" % FCI_BYTES,
        best_of(lambda: tlv.decode(data), time.thread_time, 500) * 1e6,
        "µs",
        best_of(lambda: pyemv.tlv.decode(data), time.thread_time, 200) * 1e6,
        least=1.5,
        faster=True,
        note="pyemv",
    )


def rows() -> list[Row]:
    return [*iso8583_rows(), tlv_row()]
