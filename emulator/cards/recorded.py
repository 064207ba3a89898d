"""A card that was recorded: pairs of command and response, played back in the order in which they were taken.

    {"name": "...", "apdus": [{"c": "00A40400...", "r": "6F...9000"}, ...]}      one object, or {"cases": [such objects]}
    {"c": "...", "r": "..."}                                                     or a pair in every line

Pairs as a T=0 reader sees them (61xx and GET RESPONSE, 6Cxx and the command again) are joined to whole APDUs.

A command is answered by the first pair from where the last one was that has the same command; where there is none by the
first with the same header and as much data, because unpredictable number, date and time differ; with `strict` that
is not enough. From the end it goes on at the beginning. A command that was never recorded is 6D00; a record, 6A83; a name, 6A82.

`Recorder` takes down a card that is being used. What it writes is masked: card numbers but for the first six and last four
digits, tracks, names, and certificates that carry the number. Only a card whose issuer is certified by one of the
emulator's own test authorities may be written as it is. What VERIFY carries is never written.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from emulator.cards import pki
from firmware.emv import tlv

NOT_FOUND, NO_RECORD, NO_COMMAND = b"\x6a\x82", b"\x6a\x83", b"\x6d\x00"
VERIFY, GET_RESPONSE, SELECT, READ_RECORD = 0x20, 0xC0, 0xA4, 0xB2
MOST_PAIRS, MOST_BYTES = 4096, 4_000_000

NUMBERS = (0x5A, 0x57, 0x9F6B)  # digits: all but the first six and last four of the number become zeros
TEXTS = (0x56, 0x5F20, 0x9F0B, 0x9F1F, 0x9F20)  # become X
HIDDEN = (0x9F46, 0x9F2D, 0x93, 0x9F61, 0x86)  # become zeros


class RecordError(ValueError):
    """A file that is no recorded card; the text says where, and nothing of the card."""


class Pair(NamedTuple):
    """A command APDU and its response APDU."""

    command: bytes
    response: bytes

    def __repr__(self) -> str:
        return f"Pair({self.command[:4].hex()}, {len(self.response)} bytes)"


class RecordedCard:
    """A card made of pairs. technology, name, title and faults as other cards'.

    missed   counts the commands that had no pair
    last     the place in `pairs` of the one that answered the last command, None where there was none
    """

    technology = "A"
    protocol = ""  # as its answer to reset says
    pan = stripe = ""
    insertable = tappable = True
    swipeable = dead = False
    torn_at: "int | None" = None
    slow_ms = wtx = 0

    def __init__(self, pairs: "Iterable[Pair]", strict: bool = False, name: str = "recorded", atr: "bytes | None" = None) -> None:
        self.name = self.title = name
        self.pairs = list(pairs)
        self.strict = strict
        self.interfaces = ("contact", "contactless")
        self.chip = self
        self.missed = 0
        self.last: int | None = None
        self._at = 0
        if atr is not None:
            self.atr = atr

    def reset(self) -> None:
        """From the beginning."""
        self._at = 0

    def apdu(self, command: bytes) -> bytes:
        """The recorded answer."""
        count = len(self.pairs)
        for fits in (_same,) if self.strict else (_same, _alike):
            for step in range(count):
                at = (self._at + step) % count
                if fits(self.pairs[at].command, command):
                    self._at, self.last = (at + 1) % count, at
                    return self.pairs[at].response
        self.missed += 1
        self.last = None
        return {SELECT: NOT_FOUND, READ_RECORD: NO_RECORD}.get(command[1] if len(command) > 1 else 0, NO_COMMAND)


class Recorder:
    """A card that is used as before, and taken down. card: anything with apdu() and reset()."""

    technology = "A"

    def __init__(self, card: Any) -> None:
        self.card = card
        self.pairs: list[Pair] = []
        if hasattr(card, "atr"):
            self.atr = card.atr

    def reset(self) -> None:
        self.card.reset()

    def apdu(self, command: bytes) -> bytes:
        """The card's answer."""
        response = self.card.apdu(command)
        if len(self.pairs) < MOST_PAIRS:
            self.pairs.append(Pair(bytes(command), bytes(response)))
        return response


def load(path: "Path | str", strict: bool = False, name: str = "") -> RecordedCard:
    """The card in a file; name: which of its cases, the first without. Raises RecordError, OSError."""
    path = Path(path)
    if path.stat().st_size > MOST_BYTES:
        raise RecordError(f"{path.name}: more than {MOST_BYTES} bytes")
    cases = read(path.read_text(encoding="utf-8", errors="replace"))
    for label, pairs in cases:
        if name in ("", label):
            return RecordedCard(pairs, strict, label or path.stem)
    raise RecordError(f"{path.name}: no card {name!r}")


def read(text: str) -> "list[tuple[str, list[Pair]]]":
    """[(name, pairs)] of a file's text, at least one. Raises RecordError."""
    try:
        data = json.loads(text)
        cases = data.get("cases", [data]) if isinstance(data, dict) else [{"apdus": data}]
        if isinstance(data, dict) and "c" in data:
            cases = [{"apdus": [data]}]
    except (ValueError, RecursionError):
        try:
            cases = [{"apdus": [json.loads(line) for line in text.splitlines() if line.strip()]}]
        except (ValueError, RecursionError):
            raise RecordError("neither JSON nor lines of JSON") from None
    if not isinstance(cases, list) or not cases:
        raise RecordError("no card in it")
    return [_case(case, number) for number, case in enumerate(cases, 1)]


def _case(case, number):
    rows = case.get("apdus") if isinstance(case, dict) else None
    if not isinstance(rows, list) or not rows or len(rows) > MOST_PAIRS:
        raise RecordError(f"card {number}: 1 to {MOST_PAIRS} pairs are wanted")
    pairs = []
    for at, row in enumerate(rows, 1):
        try:
            pair = Pair(bytes.fromhex(row["c"]), bytes.fromhex(row["r"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RecordError(f"card {number}, pair {at}: no command and response in hex") from None
        if len(pair.command) < 4 or len(pair.response) < 2:
            raise RecordError(f"card {number}, pair {at}: too short")
        pairs.append(pair)
    name = case.get("name", "")
    return (name if isinstance(name, str) and name.isprintable() else "", joined(pairs))


def joined(pairs: "list[Pair]") -> "list[Pair]":
    """Whole APDUs from what a T=0 reader sees."""
    whole: list[Pair] = []
    for command, response in pairs:
        if whole and command[1] == GET_RESPONSE and whole[-1].response[-2] == 0x61:
            whole[-1] = Pair(whole[-1].command, whole[-1].response[:-2] + response)
        elif whole and whole[-1].response[-2] == 0x6C and command[:4] == whole[-1].command[:4]:
            whole[-1] = Pair(whole[-1].command, response)
        else:
            whole.append(Pair(command, response))
    return whole


def save(path: "Path | str", pairs: "list[Pair]", name: str = "", masked: bool = True) -> None:
    """Writes pairs as one object. Raises RecordError when they may not be written unmasked, OSError."""
    if not masked and not may_show(pairs):
        raise RecordError("only a card of the test authorities may be written unmasked")
    rows = [{"c": command.hex().upper(), "r": response.hex().upper()} for command, response in hidden(pairs, masked)]
    text = json.dumps({"name": name, "masked": masked, "apdus": rows}, indent=1)
    with open(os.open(Path(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")


def hidden(pairs: "list[Pair]", masked: bool = True) -> "list[Pair]":
    """The pairs without what VERIFY and the issuer's commands carried, and masked."""
    numbers = _numbers(pairs) if masked else ()
    out = []
    for command, response in pairs:
        if command[1] == VERIFY or command[0] & 0x04 or _shows(command, numbers):
            command = command[:5] + bytes(len(command) - 5)
        out.append(Pair(command, _masked(response, numbers) if masked else response))
    return out


def _objects(pairs):
    """[(tag, value)] of all that the card has said in TLV."""
    for _, response in pairs:
        try:
            yield from tlv.primitives(tlv.decode(response[:-2]))
        except tlv.TlvError:
            continue


def _numbers(pairs):
    """The card numbers that it said, digits."""
    digits = {value.hex().upper().split("D")[0].rstrip("F") for tag, value in _objects(pairs) if tag in NUMBERS}
    return sorted(number for number in digits if len(number) >= 12)


def may_show(pairs: "list[Pair]") -> bool:
    """Whether the card's issuer is certified by a test authority of `pki`, and its own records say so."""
    objects: dict[int, bytes] = {}
    names = []
    for tag, value in _objects([pair for pair in pairs if pair.command[1] in (SELECT, READ_RECORD)]):
        objects.setdefault(tag, value)
        if tag == 0x84:
            names.append(value)
    certificate, index = objects.get(0x90, b""), objects.get(0x8F, b"")
    for authority in pki.AUTHORITIES.values():
        if index != bytes((authority.number,)) or not any(name.startswith(authority.rid) for name in names):
            continue
        top = pki.key(authority.name)
        issued = top.recover(certificate) if len(certificate) == top.size else b""
        remainder, exponent = objects.get(0x92, b""), objects.get(0x9F32, b"")
        if pki.is_whole(issued, pki.ISSUER, remainder + exponent):
            return True
    return False


def _same(recorded, command):
    return recorded == command or (_needs_length(recorded) and recorded.rstrip(b"\x00") == command.rstrip(b"\x00"))


def _needs_length(recorded):
    """Whether command and command without Le are the same: it has data."""
    return len(recorded) > 5


def _alike(recorded, command):
    """The same header and as much data: GENERATE AC with another number, an internal authentication."""
    if recorded[:4] != command[:4] or recorded[1] in (SELECT, READ_RECORD):
        return recorded[1] == READ_RECORD and recorded[:4] == command[:4]
    return recorded[4:5] == command[4:5] or len(recorded) == len(command)


def _masked(response, numbers):
    try:
        tree = tlv.decode(response[:-2])
        return tlv.encode(_masked_tree(tree, numbers)) + response[-2:] if tree else response[-2:]
    except tlv.TlvError:
        return response[-2:]


def _masked_tree(tree, numbers):
    out = []
    for tag, value in tree:
        if isinstance(value, list):
            value = _masked_tree(value, numbers)
        elif tag in NUMBERS:
            value = _masked_number(value)
        elif tag in TEXTS:
            value = b"X" * len(value)
        elif tag in HIDDEN or _shows(value, numbers):
            value = bytes(len(value))
        out.append((tag, value))
    return out


def _shows(value, numbers):
    """Whether a number is in an object that has no business with it."""
    return any(number in value.hex() or number.encode() in value for number in numbers)


def _masked_number(value):
    """A card number, or a track 2 of which service code and dates stay."""
    digits = value.hex().upper()
    number, mark, rest = digits.partition("D")
    pad = "" if mark else "F" * (len(number) - len(number.rstrip("F")))
    number = number.rstrip("F")
    rest = rest[:7] + "".join("F" if digit == "F" else "0" for digit in rest[7:])
    shown = number[:6] + "0" * (len(number) - 10) + number[-4:] if len(number) >= 13 else "0" * len(number)
    return bytes.fromhex(shown + pad + mark + rest)
