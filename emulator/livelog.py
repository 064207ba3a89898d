"""The live log: what crossed each wire, decoded, with every secret masked before it is kept.

    wire      chips: what the display, printer, reader, lamps and buzzer were told
    apdu      what passed between reader and card, decoded by tag
    iso8583   what passed between terminal and acquirer, decoded by field
    modem     AT commands and what the 4G module says; of payload the size alone, of polls what has changed
    key       that a key was pressed; never which, because the emulator cannot know what is a secret
    power     the process and its power
    terminal  what the firmware's process wrote to stdout and stderr

An APDU is shown by its meaning: of a value only what `firmware/emv/tags.py` lets through, of anything that is no TLV
only the length. A command that carries a PIN (VERIFY, CHANGE REFERENCE DATA, PIN CHANGE) is shown without its data.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from firmware.emv import tags, tlv
from firmware.emv.apdu import status_word

KINDS = ("wire", "apdu", "iso8583", "modem", "key", "power", "terminal")
KEPT = 2000
LONGEST = 4000  # characters of one entry


class Entry(NamedTuple):
    number: int
    at_ms: float
    kind: str
    text: str


class LiveLog:
    """The last entries. `touch` gives each its number: rising, and shared with everything else that changes."""

    def __init__(self, touch: Callable[[], int], sink: Callable[[Entry], None] | None = None, kept: int = KEPT) -> None:
        self._touch = touch
        self._sink = sink
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._lock = threading.Lock()
        self._start = time.monotonic()

    def add(self, kind: str, text: str) -> None:
        """One entry; the caller has masked it. Safe from any thread."""
        if kind not in KINDS:
            raise ValueError(f"no such kind of entry: {kind}")
        with self._lock:
            entry = Entry(self._touch(), (time.monotonic() - self._start) * 1000, kind, text[:LONGEST])
            self._entries.append(entry)
        if self._sink:
            self._sink(entry)

    def since(self, number: int) -> list[Entry]:
        """The entries kept with a higher number."""
        with self._lock:
            newer = []
            for entry in reversed(self._entries):
                if entry.number <= number:
                    break
                newer.append(entry)
        return newer[::-1]


class Polls:
    """Of what a driver asks its modem again and again only those answers that are not as they were: `hear` hands them on.

    What the module tells of itself ("... is up") makes everything worth telling again. For one thread, the module's.
    """

    ASKED = frozenset("→ AT+" + text for text in (
        "CSQ", "CESQ", "CREG?", "CGREG?", "CEREG?", "CPIN?", "QIACT?", "IPADDR", "CGPADDR=1",
    ))  # fmt: skip
    ENDS = ("← OK", "← ERROR", "← +CME ERROR", "← +CMS ERROR")

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: dict[str, list[str]] = {}
        self._held: list[str] = []  # question and answer, up to now

    def hear(self, text: str) -> None:
        """One line of the modem's log."""
        if self._held and text.startswith("← "):
            self._held.append(text)
            if text.startswith(self.ENDS):
                self._end()
            return
        self._end()
        if text in self.ASKED:
            self._held = [text]
            return
        if not text.startswith(("→ ", "← ")):
            self._told.clear()
        self._tell(text)

    def _end(self) -> None:
        held, self._held = self._held, []
        if held and self._told.get(held[0]) != held:
            self._told[held[0]] = held
            for text in held:
                self._tell(text)


COMMANDS = {
    0xA4: "SELECT", 0xA8: "GET PROCESSING OPTIONS", 0xAE: "GENERATE AC", 0xB2: "READ RECORD", 0xCA: "GET DATA", 0x20: "VERIFY",
    0x24: "CHANGE REFERENCE DATA", 0x88: "INTERNAL AUTHENTICATE", 0x82: "EXTERNAL AUTHENTICATE", 0x84: "GET CHALLENGE",
    0x2A: "COMPUTE CRYPTOGRAPHIC CHECKSUM", 0xC0: "GET RESPONSE", 0xD0: "EXCHANGE RELAY RESISTANCE DATA",
}  # fmt: skip


# What VERIFY carries, by its P2: not even its length is shown.
SECRETS = {0x80: "plaintext PIN", 0x88: "enciphered PIN"}


def describe_command(apdu: bytes) -> str:
    """One line: what the terminal asks of the card."""
    if len(apdu) < 4:
        return f"→ {len(apdu)} bytes, no command"
    ins, p1, p2 = apdu[1], apdu[2], apdu[3]
    name = COMMANDS.get(ins, f"INS {ins:02X}")
    length = apdu[4] if len(apdu) > 5 else 0
    data = apdu[5 : 5 + length]
    if ins == 0xA4:
        detail = data.decode("ascii") if data.startswith((b"1PAY", b"2PAY")) and data.isascii() else data.hex().upper()
    elif ins == 0xB2:
        detail = f"SFI {p2 >> 3} record {p1}"
    elif ins == 0xCA:
        detail = f"tag {p1:02X}{p2:02X}"
    elif ins == 0x20:
        detail = SECRETS.get(p2, "a secret")
    else:
        detail = f"{len(data)} bytes" if data else ""
    return f"→ {name} {detail}".rstrip()


def describe_answer(apdu: bytes) -> str:
    """What the card answers: status word, then one line a data object."""
    if len(apdu) < 2:
        return f"← {len(apdu)} bytes, no answer"
    lines = ["← " + status_word(apdu[-2] << 8 | apdu[-1])]
    data = apdu[:-2]
    if data:
        try:
            lines += ["  " + line for line in tags.describe(data)]
        except tlv.TlvError:
            lines.append(f"  {len(data)} bytes")
    return "\n".join(lines)
