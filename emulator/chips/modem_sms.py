"""Short messages: PDUs made and read, the module's memory, and the commands on both.

A PDU is what crosses the air: SMS-DELIVER to the module, SMS-SUBMIT from it, text in 7 bits of GSM's alphabet or in
UCS-2, long ones in parts that a user data header counts. The module keeps PDUs and shows them as such (+CMGF=0) or as
text (+CMGF=1), UCS-2 in hexadecimal.

Sources: 3GPP TS 23.040 9.2 (PDUs), 9.2.3.24.1 (parts), 23.038 6.2.1 (alphabet), 27.005 3, 4 (commands).
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from emulator.chips.modem_at import Prompt, Refusal, number, word
from emulator.radio import QUARTERS, Message

if TYPE_CHECKING:
    from emulator.chips.modem import ModemChip

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = {"\f": 10, "^": 20, "{": 40, "}": 41, "\\": 47, "[": 60, "~": 61, "]": 62, "|": 64, "€": 101}
SHIFT = 0x1B
SEPTETS, PART_SEPTETS = 160, 153
UNITS, PART_UNITS = 70, 67
PLACES = 25
FIRST_PLACE = 0


class PduError(Exception):
    """What is no SMS-SUBMIT."""


def septets(text: str) -> list[int] | None:
    """The text in GSM's alphabet, or None."""
    found: list[int] = []
    for character in text:
        place = BASIC.find(character)
        if place >= 0 and place != SHIFT:
            found.append(place)
        elif character in EXTENDED:
            found += [SHIFT, EXTENDED[character]]
        else:
            return None
    return found


def spelt(values: list[int]) -> str:
    """The text of septets."""
    back = {code: character for character, code in EXTENDED.items()}
    text, shifted = "", False
    for value in values:
        if shifted:
            text += back.get(value, BASIC[value])
            shifted = False
        elif value == SHIFT:
            shifted = True
        else:
            text += BASIC[value]
    return text


def pack(values: list[int], fill: int = 0) -> bytes:
    """Septets in octets, behind so many fill bits."""
    bits = sum(value << (7 * place + fill) for place, value in enumerate(values))
    return bits.to_bytes((7 * len(values) + fill + 7) // 8, "little")


def unpack(data: bytes, count: int, fill: int = 0) -> list[int]:
    bits = int.from_bytes(data, "little") >> fill
    return [bits >> 7 * place & 0x7F for place in range(count)]


def semi(digits: str) -> bytes:
    """Digits with their nibbles swapped, F behind an odd one."""
    digits += "F" * (len(digits) % 2)
    return bytes(int(digits[place + 1] + digits[place], 16) for place in range(0, len(digits), 2))


def address(digits: str) -> bytes:
    """A number as TP-OA and TP-DA have it."""
    bare = digits.lstrip("+")
    return bytes((len(bare), 0x91 if digits.startswith("+") else 0xA1)) + semi(bare)


def stamp(at: float) -> bytes:
    """TP-SCTS, in the network's time zone."""
    local = time.gmtime(at + QUARTERS * 900)
    return semi(time.strftime("%y%m%d%H%M%S", local) + "%02d" % QUARTERS)


def _cut(text: str) -> tuple[bool, list[str]]:
    """Whether it is UCS-2, and the text in parts."""
    wide = septets(text) is None
    most, part = (UNITS, PART_UNITS) if wide else (SEPTETS, PART_SEPTETS)

    def size(piece: str) -> int:
        return len(piece.encode("utf-16-be")) // 2 if wide else len(septets(piece) or ())

    if size(text) <= most:
        return wide, [text]
    parts = [""]
    for character in text:
        if size(parts[-1] + character) > part:
            parts.append("")
        parts[-1] += character
    return wide, parts


def deliver(message: Message, centre: str) -> list[bytes]:
    """The SMS-DELIVER PDUs of a message, each after the address of its service centre."""
    wide, parts = _cut(message.text)
    service = semi(centre.lstrip("+"))
    before = bytes((len(service) + 1, 0x91)) + service
    found = []
    for place, part in enumerate(parts, 1):
        header = bytes((5, 0, 3, message.number & 0xFF, len(parts), place)) if len(parts) > 1 else b""
        if wide:
            data = header + part.encode("utf-16-be")
            length = len(data)
        else:
            values = septets(part) or []
            fill = -8 * len(header) % 7
            data = header + pack(values, fill)
            length = (8 * len(header) + fill) // 7 + len(values)
        first = 0x04 | (0x40 if header else 0)
        head = bytes((first,)) + address(message.other) + bytes((0, 8 if wide else 0)) + stamp(message.at)
        found.append(before + head + bytes((length,)) + data)
    return found


class Submitted(NamedTuple):
    """number: where to; part: (reference, how many, which) of a long one, or None."""

    number: str
    text: str
    part: tuple[int, int, int] | None


def submitted(pdu: bytes, length: int) -> Submitted:
    """Reads an SMS-SUBMIT behind its service centre; length: its octets without that. Raises PduError."""
    try:
        start = 1 + pdu[0]
        if len(pdu) - start != length:
            raise PduError("length")
        first, place = pdu[start], start + 2
        if first & 3 != 1:
            raise PduError("no submit")
        digits, kind = pdu[place], pdu[place + 1]
        packed = pdu[place + 2 : place + 2 + (digits + 1) // 2]
        place += 2 + len(packed)
        to = "".join(f"{byte & 15:X}{byte >> 4:X}" for byte in packed)[:digits]
        coding = pdu[place + 1]
        place += 2 + {0x00: 0, 0x10: 1, 0x08: 7, 0x18: 7}[first & 0x18]
        count, data = pdu[place], pdu[place + 1 :]
        header = data[: data[0] + 1] if first & 0x40 else b""
        part = (header[3], header[4], header[5]) if header[1:3] == b"\0\3" and len(header) == 6 else None
        if coding & 0x0C == 0x08:
            if len(data) != count:
                raise PduError("user data")
            text = data[len(header) :].decode("utf-16-be")
        elif coding & 0x0C == 0:
            if len(data) != (7 * count + 7) // 8:
                raise PduError("user data")
            fill = -8 * len(header) % 7
            skip = (8 * len(header) + fill) // 7
            text = spelt(unpack(data[len(header) :], count - skip, fill))
        else:
            raise PduError("coding")
    except (IndexError, KeyError, UnicodeDecodeError, ValueError) as error:
        raise PduError("malformed") from error
    return Submitted(("+" if kind & 0x70 == 0x10 else "") + to, text, part)


class Stored:
    """A message in the module's memory: what it is as a PDU and as text."""

    def __init__(self, pdu: bytes, message: Message, text: str, wide: bool) -> None:
        self.pdu, self.message, self.wide = pdu, message, wide
        self.text = text
        self.read = False

    @property
    def size(self) -> int:
        """Octets without the service centre."""
        return len(self.pdu) - 1 - self.pdu[0]

    @property
    def stamp(self) -> str:
        local = time.gmtime(self.message.at + QUARTERS * 900)
        return time.strftime("%y/%m/%d,%H:%M:%S", local) + "%+03d" % QUARTERS

    @property
    def body(self) -> str:
        """In text mode; UCS-2 is told in hexadecimal."""
        return self.text.encode("utf-16-be").hex().upper() if self.wide else self.text


class Messages:
    """The memory of one module."""

    def __init__(self, chip: ModemChip) -> None:
        self._chip = chip
        self.kept: dict[int, Stored] = {}
        self.reference = 0
        self._parts: dict[tuple[str, int], dict[int, str]] = {}

    def look(self) -> None:
        """Takes what waits in the network, if the module can be reached and has room."""
        radio = self._chip.radio
        if self._chip.network.stat not in (1, 5) or radio.dbm is None:
            return
        message = radio.next_message()
        if message is None:
            return
        parts = deliver(message, radio.centre)
        free = [place for place in range(FIRST_PLACE, FIRST_PLACE + PLACES) if place not in self.kept]
        if len(free) < len(parts):
            return
        wide, texts = _cut(message.text)
        for place, pdu, text in zip(free, parts, texts, strict=False):
            self._arrived(place, Stored(pdu, message, text, wide))
        radio.delivered(message)

    def _arrived(self, place: int, stored: Stored) -> None:
        how = self._chip.settings.get("+CNMI", "0,0").split(",")
        tell = how[1] if len(how) > 1 else "0"
        if tell in ("2", "3"):
            if self.text_mode:
                self._chip.urc_pair(f'+CMT: "{stored.message.other}",,"{stored.stamp}"', stored.body)
            else:
                self._chip.urc_pair(f"+CMT: ,{stored.size}", stored.pdu.hex().upper())
            return
        self.kept[place] = stored
        if tell == "1":
            self._chip.urc(f'+CMTI: "{self.memory}",{place}')

    @property
    def text_mode(self) -> bool:
        return self._chip.settings.get("+CMGF", "0") == "1"

    @property
    def memory(self) -> str:
        return self._chip.settings.get("+CPMS", "ME")

    def send(self, to: str, text: str, part: tuple[int, int, int] | None = None) -> int:
        """It leaves the module; parts are put together as its reader's telephone would. Returns its reference."""
        if part is None:
            self._chip.radio.receive(to, text)
        else:
            parts = self._parts.setdefault((to, part[0]), {})
            parts[part[2]] = text
            if len(parts) == part[1]:
                del self._parts[to, part[0]]
                self._chip.radio.receive(to, "".join(parts[place] for place in sorted(parts)))
        self.reference = self.reference % 255 + 1
        return self.reference


def _ready(m: ModemChip) -> Messages:
    if m.network.sim != "ready":
        raise Refusal(cms={"pin": 311, "puk": 316}.get(m.network.sim, 310))
    return m.messages


def cmgs(m: ModemChip, words: list[str]) -> Generator[Any, Any, None]:
    """AT+CMGS="number" or AT+CMGS=length, and what is typed at its prompt."""
    messages = _ready(m)
    if messages.text_mode:
        to = word(words, 0)
        if not (to.lstrip("+").isdigit() and len(to) <= 21):
            raise Refusal(cms=305)
        length = 0
    else:
        length = number(words, 0, low=8, high=164)
        to = ""
    typed = yield Prompt(None)
    if typed is None:
        return
    if not (m.network.stat in (1, 5) and m.radio.dbm is not None):
        raise Refusal(cms=331)
    yield m.times.message
    if messages.text_mode:
        text = typed.replace(b"\r", b"\n").decode("latin-1")
        if m.settings.get("+CSCS") == "UCS2":
            try:
                text = bytes.fromhex(text.strip()).decode("utf-16-be")
            except ValueError:
                raise Refusal(cms=305) from None
        m.line(f"+CMGS: {messages.send(to, text)}")
        return
    try:
        found = submitted(bytes.fromhex(typed.decode("ascii").strip()), length)
    except (PduError, ValueError):
        raise Refusal(cms=304) from None
    m.line(f"+CMGS: {messages.send(found.number, found.text, found.part)}")


def _stored(m: ModemChip, words: list[str]) -> tuple[int, Stored]:
    place = number(words, 0, high=PLACES)
    stored = _ready(m).kept.get(place)
    if stored is None:
        raise Refusal(cms=321)
    return place, stored


def cmgr(m: ModemChip, words: list[str]) -> None:
    _, stored = _stored(m, words)
    if m.messages.text_mode:
        status = "REC READ" if stored.read else "REC UNREAD"
        m.pair(f'+CMGR: "{status}","{stored.message.other}",,"{stored.stamp}"', stored.body)
    else:
        m.pair(f"+CMGR: {int(stored.read)},,{stored.size}", stored.pdu.hex().upper())
    stored.read = True


def cmgl(m: ModemChip, words: list[str]) -> None:
    messages = _ready(m)
    wanted = word(words, 0, "REC UNREAD" if messages.text_mode else "0")
    for place, stored in sorted(messages.kept.items()):
        if wanted not in ("ALL", "4", "REC READ" if stored.read else "REC UNREAD", str(int(stored.read))):
            continue
        if messages.text_mode:
            status = "REC READ" if stored.read else "REC UNREAD"
            m.pair(f'+CMGL: {place},"{status}","{stored.message.other}",,"{stored.stamp}"', stored.body)
        else:
            m.pair(f"+CMGL: {place},{int(stored.read)},,{stored.size}", stored.pdu.hex().upper())
        stored.read = True


def cmgd(m: ModemChip, words: list[str]) -> None:
    flag = number(words, 1, 0, high=4)
    if flag:
        messages = _ready(m)
        messages.kept = {place: stored for place, stored in messages.kept.items() if flag < 4 and not stored.read}
    else:
        place = number(words, 0, high=PLACES)
        _ready(m).kept.pop(place, None)


def cpms(m: ModemChip, words: list[str]) -> None:
    name = word(words, 0)
    if name not in ("ME", "SM", "MT"):
        raise Refusal(cms=305)
    _ready(m)
    m.settings["+CPMS"] = name
    used = len(m.messages.kept)
    m.line("+CPMS: " + ",".join([f"{used},{PLACES}"] * 3))


def cpms_read(m: ModemChip, words: list[str]) -> None:
    used = len(_ready(m).kept)
    m.line("+CPMS: " + ",".join([f'"{m.messages.memory}",{used},{PLACES}'] * 3))


def cmgf(m: ModemChip, words: list[str]) -> None:
    m.settings["+CMGF"] = str(number(words, 0, 0, high=1))


def cmgf_read(m: ModemChip, words: list[str]) -> None:
    m.line("+CMGF: " + m.settings.get("+CMGF", "0"))


def cnmi(m: ModemChip, words: list[str]) -> None:
    m.settings["+CNMI"] = ",".join(str(number(words, place, 0, high=3)) for place in range(5))


def cnmi_read(m: ModemChip, words: list[str]) -> None:
    m.line("+CNMI: " + m.settings.get("+CNMI", "0,0,0,0,0"))


def csca_read(m: ModemChip, words: list[str]) -> None:
    _ready(m)
    m.line(f'+CSCA: "{m.radio.centre}",145')


def cscs(m: ModemChip, words: list[str]) -> None:
    name = word(words, 0)
    if name not in ("GSM", "IRA", "UCS2"):
        raise Refusal(50)
    m.settings["+CSCS"] = name


def cscs_read(m: ModemChip, words: list[str]) -> None:
    m.line('+CSCS: "%s"' % m.settings.get("+CSCS", "GSM"))


COMMANDS = {
    "+CMGS=": cmgs,
    "+CMGR=": cmgr,
    "+CMGL=": cmgl,
    "+CMGL": cmgl,
    "+CMGD=": cmgd,
    "+CPMS=": cpms,
    "+CPMS?": cpms_read,
    "+CMGF=": cmgf,
    "+CMGF?": cmgf_read,
    "+CNMI=": cnmi,
    "+CNMI?": cnmi_read,
    "+CSCA?": csca_read,
    "+CSCS=": cscs,
    "+CSCS?": cscs_read,
}
