"""ISO 8583 and TLV beside pyiso8583 and pyemv, on the same bytes.

The peers are set up for the same message: UnionPay's packed fields, nibble lengths and binary bitmap, then ISO 8583:1987 in
characters. A row is refused when the two sides do not agree on what the message says. Best of many rounds, CPU time of this
thread. For the peer bytes are text in hexadecimal; ours come back as bytes.
"""

from __future__ import annotations

import time
from typing import Any

from firmware.emv import tlv
from firmware.iso8583 import dialects
from firmware.iso8583.codec import Codec
from tools.bench.table import Row, best_of
from tools.interop import pyiso8583

# A contactless sale as the terminal sends it: 16 fields, a MAC at the end.
SALE: dict[int, Any] = {
    2: "6222620000000004", 3: "000000", 4: "000000001234", 11: "000002", 14: "3012", 22: "072", 23: "001", 25: "00",
    35: "6222620000000004D30122011234500000000", 41: "12345678", 42: "898310012345678", 49: "156",
    53: "2600000000000000", 55: bytes(range(140)), 60: "22000002000601", 64: b"12345678",
}  # fmt: skip


FCI_BYTES = 250


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


def agreed(dialect: str = "unionpay") -> tuple[Codec, bytes, dict[str, str]]:
    """Our codec, the message, and its fields as pyiso8583 wants them; AssertionError when the two sides do not agree."""
    import iso8583

    codec, spec = dialects.codec(dialect), pyiso8583.specification(dialect)
    message = codec.pack("0200", SALE)
    theirs = pyiso8583.as_theirs("0200", SALE)
    packed, _ = iso8583.encode(dict(theirs), spec)
    read, _ = iso8583.decode(message, spec)
    if bytes(packed) != message or {key: value for key, value in read.items() if key in theirs} != theirs:
        raise AssertionError("pyiso8583 and we do not agree on the message")
    if codec.unpack(message) != ("0200", SALE):
        raise AssertionError("the message does not come back")
    return codec, message, theirs


def iso8583_rows(dialect: str) -> list[Row]:
    import iso8583

    codec, message, theirs = agreed(dialect)
    spec = pyiso8583.specification(dialect)
    rows = []
    for name, ours, peer in (
        ("pack", lambda: codec.pack("0200", SALE), lambda: iso8583.encode(theirs, spec)),
        ("unpack", lambda: codec.unpack(message), lambda: iso8583.decode(message, spec)),
    ):
        rows.append(
            Row(
                "ISO 8583 %s, 16-field sale, %s" % (name, dialect),
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
    return [*iso8583_rows("unionpay"), *iso8583_rows("1987-ascii"), tlv_row()]
