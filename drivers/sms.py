"""Short messages as modems take and give them: PDUs in hexadecimal, or texts in UCS-2. Sans I/O.

A message is at most 140 bytes. What it holds is said by its data coding scheme:

    GSM 7-bit    160 characters of a table of 128, ten more behind an escape; eight characters fill seven bytes
    UCS-2        70 characters of 16 bits: Chinese; what lies beyond them takes two (UTF-16, as everybody does it)
    8-bit        data

A longer text goes in parts with a header of 6 bytes (reference, how many, which), which leaves 153 or 67 characters each.

    submit(number, text, reference)    -> [(length for AT+CMGS, PDU in hexadecimal), ...]
    deliver(pdu)                       -> Message that came; SmsError for anything that is none
    Joiner                             puts parts together, in whatever order they come

Text mode (AT+CMGF=0 is not to be had) is one message a part without a header: `texts`, `ucs2`, `from_ucs2`.

Sources: 3GPP TS 23.040 (9.1.2.5, 9.2.3), 23.038 (4, 6.2.1), 27.005.
"""

import re
from collections import namedtuple

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE = 0x1B
_EXTENSION = {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€"}
_SEPTETS = {
    **{char: (code,) for code, char in enumerate(_BASIC) if code != _ESCAPE},
    **{char: (_ESCAPE, code) for code, char in _EXTENSION.items()},
}

SEVEN, EIGHT, SIXTEEN = "7", "8", "16"
WHOLE_SEPTETS, PART_SEPTETS = 160, 153
WHOLE_UNITS, PART_UNITS = 70, 67
MOST_PARTS = 255
LONGEST_PDU = 200  # bytes; a DELIVER is at most 176 with its service centre
_DIGITS = "0123456789*#abc"
_NUMBER = re.compile(r"\+?[0-9*#]{1,20}")
_WRITTEN = re.compile(
    "[\\n\\r -~\xa0-\xff\u2000-\u22ff\u2460-\u27bf\u3000-\u9fff\uf900-\ufaff\ufe30-\uffef\U0001f300-\U0003ffff]"
)

Message = namedtuple("Message", ("sender", "stamp", "text", "part"))
Message.__doc__ = """One that came. stamp: "YYYYMMDDhhmmss" by the centre's clock, or ""; part: (reference, of, number) or None"""


class SmsError(ValueError):
    """Not a message that came to us; says why, and nothing of what it holds."""


def check_number(number: str) -> str:
    """The number, or ValueError: it goes into a command."""
    if not isinstance(number, str) or not _NUMBER.fullmatch(number):
        raise ValueError("sms: a number is 1 to 20 digits")
    return number


# Seven bits.


def septets(text: str) -> "list[int] | None":
    """The text in the GSM alphabet, its extension escaped; None when it lacks a character."""
    codes: list[int] = []
    for char in text:
        if char not in _SEPTETS:
            return None
        codes += _SEPTETS[char]
    return codes


def from_septets(codes: "list[int]") -> str:
    """What the codes mean. An escape that means nothing is a space, and so is one at the end (23.038, 6.2.1.1)."""
    text, escaped = [], False
    for code in codes:
        if escaped:
            text.append(_EXTENSION.get(code, _BASIC[code] if code != _ESCAPE else " "))
            escaped = False
        elif code == _ESCAPE:
            escaped = True
        else:
            text.append(_BASIC[code])
    return "".join(text) + (" " if escaped else "")


def pack(codes: "list[int]", skip: int = 0) -> bytes:
    """Seven bits each, the first lowest, behind `skip` bits of zero."""
    value = 0
    for place, code in enumerate(codes):
        value |= code << (skip + 7 * place)
    return value.to_bytes((skip + 7 * len(codes) + 7) // 8, "little")


def unpack(data: bytes, count: int, skip: int = 0) -> "list[int]":
    """`count` codes behind `skip` bits, or as many as there are."""
    value = int.from_bytes(data, "little") >> skip
    count = max(0, min(count, (8 * len(data) - skip) // 7))
    return [value >> 7 * place & 0x7F for place in range(count)]


# Out.


def submit(number: str, text: str, reference: int) -> "list[tuple[int, str]]":
    """The parts of a text to `number`; reference: 0..255, the same for no two long ones in a row. ValueError when it is
    too long, or no number."""
    address = _address(check_number(number))
    codes = septets(text)
    if codes is not None:
        bodies, coding = _seven(codes, reference), 0x00
    else:
        bodies, coding = _sixteen(text, reference), 0x08
    if len(bodies) > MOST_PARTS:
        raise ValueError("sms: the text is too long")
    parts = []
    for header, length, data in bodies:
        # SMS-SUBMIT, a relative validity; the modem numbers it; nothing but text in it; 24 hours.
        first = 0x51 if header else 0x11
        unit = bytes((first, 0x00)) + address + bytes((0x00, coding, 0xA7, length)) + header + data
        parts.append((len(unit), "00" + unit.hex().upper()))
    return parts


def _address(number):
    """Length in digits, type, digits in swapped halves (23.040, 9.1.2.5)."""
    digits = number.lstrip("+")
    halves = [_DIGITS.index(digit) for digit in digits] + [0x0F] * (len(digits) % 2)
    data = bytes(low | high << 4 for low, high in zip(halves[::2], halves[1::2], strict=True))
    return bytes((len(digits), 0x91 if number.startswith("+") else 0x81)) + data


def _header(reference, of, number):
    return bytes((0x05, 0x00, 0x03, reference & 0xFF, of, number))


def _seven(codes, reference):
    """[(header, length in septets, data)]; a header is followed by a bit that fills its last septet."""
    if len(codes) <= WHOLE_SEPTETS:
        return [(b"", len(codes), pack(codes))]
    pieces = _cut(codes, PART_SEPTETS, lambda last: last == _ESCAPE)
    of = len(pieces) if len(pieces) <= MOST_PARTS else 0
    return [(_header(reference, of, (at + 1) & 0xFF), 7 + len(one), pack(one, 1)) for at, one in enumerate(pieces)]


def _sixteen(text, reference):
    units = _units(text)
    if len(units) <= WHOLE_UNITS:
        return [(b"", 2 * len(units), _bytes(units))]
    pieces = _cut(units, PART_UNITS, lambda last: 0xD800 <= last < 0xDC00)
    of = len(pieces) if len(pieces) <= MOST_PARTS else 0
    return [(_header(reference, of, (at + 1) & 0xFF), 6 + 2 * len(one), _bytes(one)) for at, one in enumerate(pieces)]


def _cut(codes, most, opens):
    """Pieces of at most so many, none of which ends in the first half of something."""
    pieces, start = [], 0
    while start < len(codes):
        end = min(start + most, len(codes))
        if end < len(codes) and opens(codes[end - 1]):
            end -= 1
        pieces.append(codes[start:end])
        start = end
    return pieces


def _units(text):
    data = text.encode("utf-16-be", "replace")
    return [data[at] << 8 | data[at + 1] for at in range(0, len(data), 2)]


def _bytes(units):
    return b"".join(unit.to_bytes(2, "big") for unit in units)


def texts(text: str) -> "list[str]":
    """What text mode sends one after the other: pieces of at most 70 characters of 16 bits."""
    pieces = _cut(_units(text), WHOLE_UNITS, lambda last: 0xD800 <= last < 0xDC00)
    return [_bytes(one).decode("utf-16-be", "replace") for one in pieces] or [""]


def ucs2(text: str) -> str:
    """Text in hexadecimal, as AT+CSCS="UCS2" wants and gives it."""
    return text.encode("utf-16-be", "replace").hex().upper()


def from_ucs2(text: str) -> str:
    """What the hexadecimal says. What is none, and what would be no text that people write here, is taken as it stands:
    some firmware gives plain text all the same, and "1234" is no Ethiopic."""
    if not text or len(text) % 4 or not re.fullmatch(r"[0-9A-Fa-f]*", text):
        return text
    told = bytes.fromhex(text).decode("utf-16-be", "replace")
    return told if all(_WRITTEN.match(char) for char in told) else text


# In.


class _Octets:
    """A PDU that is read from its beginning."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    def take(self, count):
        if self._at + count > len(self._data):
            raise SmsError("sms: the message ends early")
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def byte(self):
        return self.take(1)[0]

    def rest(self):
        return self.take(len(self._data) - self._at)


def deliver(pdu: str) -> Message:
    """A message that came (SMS-DELIVER, its service centre in front). Raises SmsError."""
    if len(pdu) > 2 * LONGEST_PDU or len(pdu) % 2 or not re.fullmatch(r"[0-9A-Fa-f]+", pdu):
        raise SmsError("sms: not a message in hexadecimal")
    octets = _Octets(bytes.fromhex(pdu))
    octets.take(octets.byte())
    first = octets.byte()
    if first & 0x03:
        raise SmsError("sms: not a message that came")
    sender = _sender(octets)
    octets.byte()  # the protocol, which is of no matter here
    coding = alphabet(octets.byte())
    stamp = _stamp(octets.take(7))
    length = octets.byte()
    data = octets.rest()
    header, part = b"", None
    if first & 0x40:
        if not data or 1 + data[0] > len(data):
            raise SmsError("sms: its header is longer than itself")
        header = data[: 1 + data[0]]
        part = _part(header[1:])
    return Message(sender, stamp, _text(coding, data, length, header), part)


def alphabet(scheme: int) -> "str | None":
    """SEVEN, EIGHT or SIXTEEN for a data coding scheme; None for what is packed in a way that nobody uses (23.038, 4)."""
    group = scheme >> 4
    if group < 0x08:  # general, and marked for deletion
        if scheme & 0x20:
            return None
        return (SEVEN, EIGHT, SIXTEEN, SEVEN)[scheme >> 2 & 3]
    if group == 0x0F:
        return EIGHT if scheme & 0x04 else SEVEN
    return SIXTEEN if group == 0x0E else SEVEN


def _text(coding, data, length, header):
    if coding == SEVEN:
        skipped = (8 * len(header) + 6) // 7
        skip = 7 * skipped
        return from_septets(unpack(data, length - skipped, skip))
    body = data[len(header) : length] if length <= len(data) else data[len(header) :]
    if coding == SIXTEEN:
        return body[: len(body) // 2 * 2].decode("utf-16-be", "replace")
    return "" if coding is None else body.decode("latin-1")


def _sender(octets):
    digits, kind = octets.byte(), octets.byte()
    if digits > 20:
        raise SmsError("sms: its sender is too long")
    data = octets.take((digits + 1) // 2)
    if kind & 0x70 == 0x50:  # a name
        return from_septets(unpack(data, digits * 4 // 7)).strip()
    halves = [half for byte in data for half in (byte & 0x0F, byte >> 4)][:digits]
    number = "".join(_DIGITS[half] for half in halves if half < 0x0F)
    return "+" + number if kind & 0x70 == 0x10 else number


def _stamp(data):
    """Swapped digits; the zone behind them says what local is."""
    text = "".join("%X%X" % (byte & 0x0F, byte >> 4) for byte in data[:6])
    return "20" + text if is_time(text) else ""


def is_time(text: str) -> bool:
    """Whether YYMMDDhhmmss could be a time."""
    if not re.fullmatch(r"[0-9]{12}", text):
        return False
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(2, 12, 2))
    return 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60


def _part(elements):
    """(reference, of, number) out of a header's elements, with an 8- or a 16-bit reference; None without one."""
    at = 0
    while at + 2 <= len(elements):
        kind, size = elements[at], elements[at + 1]
        value = elements[at + 2 : at + 2 + size]
        if (kind, len(value)) in ((0x00, 3), (0x08, 4)):
            of, number = value[-2:]
            return (int.from_bytes(value[:-2], "big"), of, number) if 1 <= number <= of and of > 1 else None
        at += 2 + size
    return None


class Joiner:
    """Parts of long messages until they are whole.

    add(message, place, now)   place: where the modem keeps it -> [(message, [places])] that is whole, or []
    due(now)                   what has waited for `patience_s` and is given out as it is, gaps as "…"

    At most `most` messages wait; a newer one sends the oldest out.
    """

    patience_s = 600.0
    most = 16

    def __init__(self) -> None:
        self._waiting: dict = {}  # (sender, reference, of): (since, {number: (message, place)}), in the order they began

    def add(self, message: Message, place: object, now: float) -> "list[tuple[Message, list]]":
        if message.part is None:
            return [(message, [place])]
        reference, of, number = message.part
        key = (message.sender, reference, of)
        since, parts = self._waiting.setdefault(key, (now, {}))
        extra = []
        if number in parts and parts[number][1] != place:
            extra.append(parts[number][1])  # the same part twice: the older place is given free with the whole
        parts[number] = (message, place)
        parts.setdefault(0, []).extend(extra)
        if len(parts) - 1 == of:
            return [self._out(key)]
        return [self._out(next(iter(self._waiting)))] if len(self._waiting) > self.most else []

    def due(self, now: float) -> "list[tuple[Message, list]]":
        return [self._out(key) for key, (since, _) in list(self._waiting.items()) if now - since >= self.patience_s]

    def clear(self) -> None:
        """The places mean nothing any more: another SIM, another start of the modem."""
        self._waiting.clear()

    @property
    def next_due(self) -> "float | None":
        """When `due` has something at the latest."""
        return min((since for since, _ in self._waiting.values()), default=None)

    def _out(self, key):
        _, parts = self._waiting.pop(key)
        places = parts.pop(0)
        sender, _, of = key
        first = parts[min(parts)][0]
        text = "".join(parts[number][0].text if number in parts else "…" for number in range(1, of + 1))
        return Message(sender, first.stamp, text, None), places + [place for _, place in parts.values()]
