"""ESC/POS for 58 mm thermal printers: a job of `ports.Printer` into bytes, answers into a status. No I/O here.

The dialects differ where it hurts, so everything that differs is a column of `PROFILES`:

    text       "gb": characters of the printer's own font, two bytes each (four where `four_byte` says so);
               "raster": text is drawn here, for heads without a Chinese font
    mark       A question that is answered in its turn, when the bytes before it have been dealt with: asked after
               each line, its answer proves the line. Empty: there is none.
    ask        Questions answered at once, in the middle of anything. Empty: there are none.
    answers    "always": silence is a fault; "maybe": silence is normal until the printer has answered once;
               "never": nothing is asked
    drop       What makes the printer forget the lines that it has not printed

A line is 24 dots of glyph, 48 of a double one, and 6 of gap; 8 dots are a millimetre, 384 of them a row; a Han
character is 24 dots wide, an ASCII character 12.

Sources: Epson ESC/POS command reference (ESC, FS, GS, DLE commands); DP-EH600 manual for the CSN-A2 class.
"""

from collections import namedtuple

DOTS = 384
PITCH = 30
BAND = 64  # rows of a picture in one command: cheap heads buffer little

Profile = namedtuple("Profile", "name text four_byte columns mark ask answers drop cutter tear_lines heat mm_s")

ESC_V = b"\x1bv\x00"
GS_R = b"\x1dr\x01"
DLE_EOT = b"\x10\x04\x02\x10\x04\x03\x10\x04\x04"
DLE_EOT_ANSWERS = 3
DLE_DC4_CLEAR = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"
INIT = b"\x1b@"

PROFILES = {
    row.name: row
    for row in (
        #       name          text      4-byte columns mark   ask      answers   drop           cutter tear heat          mm/s
        Profile("csn-a2",     "gb",     False, 32,     ESC_V, b"",     "always", b"",           False, 4,   (11, 120, 40), 50),
        Profile("epson-tm",   "gb",     True,  32,     GS_R,  DLE_EOT, "always", DLE_DC4_CLEAR, True,  1,   None,          100),
        Profile("generic-58", "gb",     False, 32,     b"",   b"",     "never",  b"",           False, 4,   None,          50),
        Profile("raster-58",  "raster", True,  32,     b"",   DLE_EOT, "maybe",  b"",           False, 4,   None,          50),
    )
}  # fmt: skip

# data: bytes of one line of the job; dots: how far the paper moves for it.
Chunk = namedtuple("Chunk", ("data", "dots"))

LETTERS = "cbhw"
_LOOKALIKES = {ord("¥"): "￥", 0xA0: " "}


def check_job(job: list) -> None:
    """Raises ValueError unless each line of the job has one of the shapes that `ports.Printer.print` names."""
    for index, line in enumerate(job):
        try:
            style, value = line
            good = _CHECKS.get(style, _is_text)(style, value)
        except (TypeError, ValueError):
            good = False
        if not good:
            raise ValueError(f"printer: line {index} of the job is none that a printer knows")


def _is_text(style, value):
    letters = isinstance(style, str) and set(style) <= set(LETTERS) and len(set(style)) == len(style)
    return letters and isinstance(value, str)


def _is_picture(style, value):
    width, rows = value
    return 0 < width <= DOTS and len(rows) > 0 and all(len(row) == (width + 7) // 8 for row in rows)


_CHECKS = {
    "rule": lambda style, value: value == "",
    "cut": lambda style, value: value == "",
    "feed": lambda style, value: type(value) is int and 0 <= value <= 100,
    "picture": _is_picture,
}


def printable(text: str, profile: Profile) -> str:
    """The text as this printer can show it: what it lacks becomes "?", and nothing in it is a command."""
    text = text.translate(_LOOKALIKES)
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _has(character, profile) else _instead(character) for character in text)


def _has(character, profile):
    if character < "\x80":
        return character.isprintable()
    if not character.isprintable():
        return False
    try:
        return profile.four_byte or len(character.encode("gb18030")) == 2
    except UnicodeEncodeError:
        return False


def _instead(character):
    return {"\t": " ", "\n": " ", "\r": " ", "\u3000": "  "}.get(character, "?")


def cells(text: str) -> int:
    """How many columns the text takes: one for an ASCII character, two for any other."""
    return len(text) if text.isascii() else sum(1 if character < "\x80" else 2 for character in text)


def wrap(text: str, columns: int) -> list[str]:
    """The text in lines of at most so many columns; the empty text is one empty line. A line ends beside a Han
    character or at a space; a word that is longer than a line is broken."""
    lines = []
    while cells(text) > columns:
        end = used = 0
        while (used := used + (1 if text[end] < "\x80" else 2)) <= columns:
            end += 1
        at = end
        while at and text[at] != " " and text[at - 1] != " " and text[at - 1 : at + 1].isascii():
            at -= 1
        at = at or end
        lines.append(text[:at].rstrip(" "))
        text = text[at:].lstrip(" ")
    return [*lines, text]


def plain_lines(style: str, value, profile: Profile) -> list[str]:
    """What a person reads of one line of a job, as lines of text."""
    if style == "feed":
        return [""] * value
    if style == "cut":
        return [""] * profile.tear_lines
    if style == "picture":
        return ["[picture]"]
    if style == "rule":
        return ["-" * profile.columns]
    columns = profile.columns // 2 if "w" in style else profile.columns
    lines = wrap(printable(value, profile), columns)
    if "c" in style:
        scale = 2 if "w" in style else 1
        lines = [" " * ((profile.columns - scale * cells(line)) // 2) + line for line in lines]
    return [line.rstrip() for line in lines]


def begin(profile: Profile) -> bytes:
    """What goes before each job: a known state whatever was before."""
    heat = b"\x1b7" + bytes(profile.heat) if profile.heat else b""
    return INIT + heat + b"\x1b3" + bytes((PITCH,)) + (b"\x1c." if profile.text == "gb" else b"")


def forget(profile: Profile) -> bytes:
    """What makes the printer drop the rest of a job that was stopped. Answers to it may come and mean nothing."""
    return profile.drop + INIT


def encode(job: list, profile: Profile) -> list[Chunk]:
    """One chunk for each line of the job, to be sent in order after `begin`. Raises ValueError for a bad job."""
    check_job(job)
    writer = _Writer(profile) if profile.text == "gb" else _Painter(profile)
    return [_encode_line(writer, profile, style, value) for style, value in job]


def _encode_line(writer, profile, style, value):
    if style == "feed":
        return writer.feed(value)
    if style == "picture":
        return _picture(*value)
    if style == "cut":
        feed = writer.feed(profile.tear_lines)
        return Chunk(feed.data + (b"\x1dV\x42\x00" if profile.cutter else b""), feed.dots)
    if style == "rule":
        style, value = "", "-" * profile.columns
    columns = profile.columns // 2 if "w" in style else profile.columns
    return writer.text(style, wrap(printable(value, profile), columns))


class _Writer:
    """Text by the printer's own font. Modes are sent when they change."""

    def __init__(self, profile):
        self._modes = {b"\x1ba": 0, b"\x1bE": 0, b"\x1d!": 0, b"\x1b3": PITCH}

    def _mode(self, command, value):
        if self._modes[command] == value:
            return b""
        self._modes[command] = value
        return command + bytes((value,))

    def feed(self, lines):
        return Chunk(self._mode(b"\x1b3", PITCH) + b"\x1bd" + bytes((lines,)) if lines else b"", lines * PITCH)

    def text(self, style, lines):
        wide, high = "w" in style, "h" in style
        data = self._mode(b"\x1ba", int("c" in style)) + self._mode(b"\x1bE", int("b" in style))
        pitch = PITCH + 24 * high
        data += self._mode(b"\x1d!", 0x10 * wide + 0x01 * high) + self._mode(b"\x1b3", pitch)
        for line in lines:
            if line.isascii():
                data += line.encode("ascii") + b"\n"
                continue
            # Some heads size Han characters by their own command; on the others it says the same again.
            size = b"\x1c!" + bytes((0x04 * wide + 0x08 * high,)) if wide or high else b""
            end = b"\x1c!\x00" if size else b""
            data += b"\x1c&" + size + line.encode("gb18030") + b"\n" + end + b"\x1c."
        return Chunk(data, len(lines) * pitch)


class _Painter:
    """Text drawn here and sent as pictures, on the same grid as a printer's own font."""

    def __init__(self, profile):
        from drivers import slipfont

        self._font = slipfont

    def feed(self, lines):
        return Chunk(b"\x1bd" + bytes((lines,)) if lines else b"", lines * PITCH)

    def text(self, style, lines):
        height = 48 if "h" in style else 24
        gap = PITCH - 24
        data = b""
        for line in lines:
            rows = self._font.rows(line, "b" in style, 1 + ("w" in style), 1 + ("h" in style), "c" in style)
            data += raster(_trim(rows)) + b"\x1bJ" + bytes((gap,)) if any(map(any, rows)) else b"\x1bJ" + bytes((height + gap,))
        return Chunk(data, len(lines) * (height + gap))


def _trim(rows):
    """Without the white bytes at the right of all rows."""
    width = max(len(row.rstrip(b"\0")) for row in rows)
    return [row[:width] for row in rows]


def _picture(width, rows):
    # Alignment is not obeyed by all heads for pictures: the left margin is part of the picture.
    margin = bytes((DOTS - width) // 16)
    mask = 0xFF << (-width % 8) & 0xFF
    rows = [margin + bytes(row[:-1]) + bytes((row[-1] & mask,)) for row in rows]
    return Chunk(raster(rows), len(rows))


def raster(rows: list[bytes]) -> bytes:
    """GS v 0 for rows of equal length, the left dot in the highest bit, 1 is black."""
    data = b""
    for start in range(0, len(rows), BAND):
        band = rows[start : start + BAND]
        size = len(band[0]).to_bytes(2, "little") + len(band).to_bytes(2, "little")
        data += b"\x1dv0\x00" + size + _without_real_time(b"".join(band))
    return data


def _without_real_time(dots):
    """Real-time commands (DLE EOT, ENQ, DC4) are obeyed even inside a picture; one more black dot makes them dots."""
    for second in (b"\x04", b"\x05", b"\x14"):
        dots = dots.replace(b"\x10" + second, b"\x11" + second)
    return dots


# Answers.

OK, LOW, OUT, COVER, HOT, FAILED = "ok", "paper-low", "paper-out", "cover-open", "too-hot", "silent"
TROUBLE = (OUT, COVER, HOT, FAILED)


def read_mark(byte: int, profile: Profile) -> str | None:
    """The status that an answer to `mark` tells, or None when the byte is no such answer."""
    if profile.mark == ESC_V:
        # Bit 2 no paper, bit 6 head above 60 degrees; bit 3 is the supply's voltage.
        if byte & 0xB3:
            return None
        return OUT if byte & 0x04 else HOT if byte & 0x40 else OK
    if byte & 0x90:  # GS r 1: bits 0, 1 near end, bits 2, 3 end
        return None
    return OUT if byte & 0x0C else LOW if byte & 0x03 else OK


def is_real_time(byte: int) -> bool:
    """Whether the byte can be an answer to DLE EOT: bits 1 and 4 on, bits 0 and 7 off."""
    return byte & 0x93 == 0x12


def read_ask(answer: bytes) -> str | None:
    """The status that the three answers to `ask` tell, or None when they are no such answers."""
    if len(answer) != DLE_EOT_ANSWERS or not all(map(is_real_time, answer)):
        return None
    offline, error, paper = answer
    if offline & 0x04:
        return COVER
    if paper & 0x60 or offline & 0x20:
        return OUT
    if error & 0x40:
        return HOT
    if error & 0x2C:
        return FAILED  # cutter or mechanics: it will not print until a person has looked
    return LOW if paper & 0x0C else OK
