"""Messages packed by us in the dialect 1987-ascii, read field by field by Wireshark's dissector.

    random messages -> a capture of one TCP conversation, written here byte by byte -> tshark -T json -> its fields

The dissector wants letters and digits where the standard says an, and takes no empty value; where its table differs from ISO
8583:1987 a field is left out.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from firmware.iso8583 import dialects, frame
from tools.interop import messages
from tools.interop.result import Result, Unavailable

DIALECT = "1987-ascii"
PORT = 8583
LINKTYPE_RAW = 101  # a packet begins with its IP header
# Its lengths are not those of the standard: F53 n8 and not n16, F86 to F89 n15 and not n16.
LEFT_OUT = {53: "n8 there", 86: "n15 there", 87: "n15 there", 88: "n15 there", 89: "n15 there"}
NUMBERS = (34, 92, 93)  # text for us, digits there
OPTIONS = ("iso8583.len_endian:bigendian", "iso8583.charset:ascii", "iso8583.binencode:ascii")


def packet(payload: bytes, sequence: int) -> bytes:
    """IPv4 and TCP around a payload; checksums stay empty, as in captures of cards that make them."""
    tcp = struct.pack(">HHIIBBHHH", 40000, PORT, sequence, 1, 5 << 4, 0x18, 65535, 0, 0)
    size = 20 + len(tcp) + len(payload)
    addresses = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, 6, 0, *addresses) + tcp + payload


def capture(payloads: list[bytes]) -> bytes:
    """A capture file of version 2.4 with one packet for each payload, one conversation."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_RAW)]
    sequence = 1
    for number, payload in enumerate(payloads):
        data = packet(payload, sequence)
        sequence += len(payload)
        out.append(struct.pack("<IIII", 1_700_000_000 + number, 0, len(data), len(data)) + data)
    return b"".join(out)


def dissected(payloads: list[bytes], tshark: str) -> list[dict[str, Any]]:
    """What the dissector says of each payload, one packet each: {"iso8583.bit2": "..."}."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "messages.pcap"
        path.write_bytes(capture(payloads))
        call = [tshark, "-r", str(path), "-T", "json", "-d", "tcp.port==%d,iso8583" % PORT]
        for option in OPTIONS:
            call += ["-o", option]
        done = subprocess.run(call, capture_output=True, timeout=300, check=True)
    return [one["_source"]["layers"].get("iso8583", {}) for one in json.loads(done.stdout)]


def plain(field: int, value: Any) -> Any:
    """A value of a kind that the dissector takes: letters and digits, digits alone where it wants those."""
    if not isinstance(value, str) or field in (28, 29, 30, 31, 97):
        return value
    return re.sub(r"[^0-9]" if field in NUMBERS else r"[^0-9A-Za-z=]", "7", value).replace("=", "=" if field == 35 else "7")


def compare(chance: Random, count: int) -> list[Result]:
    """`count` random messages, all fields but those that are left out."""
    tshark = shutil.which("tshark")
    if not tshark:
        raise Unavailable("tshark is not installed: sudo apt-get install tshark")
    version = subprocess.run([tshark, "--version"], capture_output=True, text=True, timeout=60).stdout.split("\n")[0]
    number = re.search(r"[0-9]+(\.[0-9]+)+", version)
    result = Result(
        "Wireshark %s, %s" % (number.group() if number else "?", DIALECT), "without F%s" % " F".join(map(str, LEFT_OUT))
    )
    codec, framing = dialects.codec(DIALECT), frame.Framing(tpdu_size=0, header_size=0)
    sent = []
    for _ in range(count):
        fields = messages.fields(chance, DIALECT, 20, without=tuple(LEFT_OUT))
        sent.append((messages.message_type(chance, DIALECT), {field: plain(field, value) for field, value in fields.items()}))
    payloads = [framing.pack(b"", b"", codec.pack(mti, fields)) for mti, fields in sent]
    told = dissected(payloads, tshark)
    result.same("messages", len(sent), len(told))
    for (mti, fields), layer in zip(sent, told, strict=False):
        result.messages += 1
        result.same("F0", mti, layer.get("iso8583.mti"))
        for field, value in sorted(fields.items()):
            ours = value.hex().upper() if isinstance(value, bytes) else value
            result.same("F%d" % field, ours, layer.get("iso8583.bit%d" % field))
        extra = {key for key in layer if key.startswith("iso8583.bit")} - {"iso8583.bit%d" % field for field in fields}
        result.same("what we did not send", set(), extra)
        result.same("malformed", False, "_ws.expert" in json.dumps(layer))
    return [result]
