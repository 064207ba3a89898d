"""A 58 mm thermal printer at its serial line: bytes in, paper out, answers back.

`Head` is the printer without the wire. It keeps what it has received in a buffer and works it off command by
command, as fast as the paper moves. There is a kind for each profile of `drivers.escpos`:

    csn-a2       answers ESC v in its turn; without paper it goes on through its buffer and the lines are lost
    epson-tm     answers DLE EOT at once, even in the middle of a picture; without paper it stops where it is, keeps
                 its buffer and goes on when paper is there; DLE DC4 8 empties the buffer
    generic-58   like csn-a2, but its answers go nowhere: the wire is not connected
    raster-58    like epson-tm, without a Chinese font

`PrinterChip` is a head on the master side of a pty, with a thread that sleeps until bytes come or paper has moved.

Sources: as for `drivers.escpos`.
"""

import os
import re
import select
import threading
import time
from collections import namedtuple

from drivers.slipfont import HEIGHT, Cell, burn
from emulator.paper import DOTS, ROW, Paper

Kind = namedtuple("Kind", "answers real_time chinese")
KINDS = {
    "csn-a2": Kind(True, False, True),
    "epson-tm": Kind(True, True, True),
    "generic-58": Kind(False, False, True),
    "raster-58": Kind(True, True, False),
}
CLEAR = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"  # DLE DC4 8
BUFFER = 16_384
DEFAULT_PITCH = 30

# Commands with a fixed number of argument bytes, by their first two bytes. Those without a method are swallowed.
_ARGUMENTS = {
    b"\x1b@": 0, b"\x1b2": 0, b"\x1b3": 1, b"\x1ba": 1, b"\x1bE": 1, b"\x1bG": 1, b"\x1b!": 1, b"\x1bd": 1, b"\x1bJ": 1,
    b"\x1b-": 1, b"\x1b{": 1, b"\x1bM": 1, b"\x1bt": 1, b"\x1bR": 1, b"\x1b ": 1, b"\x1b$": 2, b"\x1b7": 3, b"\x1b8": 2,
    b"\x1b9": 1, b"\x1bv": 1, b"\x1bp": 3, b"\x1c&": 0, b"\x1c.": 0, b"\x1c!": 1, b"\x1d!": 1, b"\x1dB": 1, b"\x1dr": 1,
    b"\x1da": 1, b"\x1dL": 2, b"\x1dW": 2, b"\x1dh": 1, b"\x1dw": 1, b"\x1dH": 1, b"\x12#": 1,
}  # fmt: skip
_PAN = re.compile(r"\d{13,19}")


class Head:
    """The printer without its wire.

    receive(data)        Takes bytes; real-time questions in them are answered at once.
    work()               Does what the buffer holds; returns the seconds until there is more to do, or None.
    answers              Bytes for the other side, to be taken out by the caller.

    Faults, to be changed at any time: `paper_out`, `cover_open`, `too_hot`, `silent` (the line is dead: nothing is
    received, nothing answered), `paper_low`, `paper_left_lines` (None, or so many text lines until it runs out).
    `speed` is the paper's in mm/s, 0 for no time at all.
    """

    def __init__(self, kind="csn-a2", paper=None, speed=0, log=None, now=time.monotonic):
        if kind not in KINDS:
            raise ValueError(f"printer: {kind!r} is none of {', '.join(KINDS)}")
        self.kind = KINDS[kind]
        self.paper = paper or Paper()
        self.speed = speed
        self.log = log or (lambda kind, text: None)
        self.paper_out = self.cover_open = self.too_hot = self.silent = self.paper_low = False
        self.paper_left_lines: int | None = None
        self.unknown = 0  # commands that no such printer knows
        self.overrun = 0  # bytes that came when the buffer was full
        self._now = now
        self.reset()

    def reset(self) -> None:
        """Power was lost: buffer and modes are gone, the paper is where it was."""
        self.answers = bytearray()
        self._buffer = bytearray()
        self._real_time = b""
        self._free_at = 0.0
        self._init()

    def _init(self):
        self._align = 0
        self._bold = self._chinese = self._invert = self._underline = False
        self._size = (1, 1)
        self._chinese_size = (1, 1)
        self._pitch = DEFAULT_PITCH
        self._in_picture = False
        self._line: list[Cell] = []

    # What comes in.

    def receive(self, data: bytes) -> None:
        if self.silent:
            return
        if self.kind.real_time:
            data = self._obey_at_once(data)
        room = BUFFER - len(self._buffer)
        self.overrun += max(0, len(data) - room)
        self._buffer += data[:room]

    def _obey_at_once(self, data):
        """Obeys the real-time commands in what is received, whatever they are in the middle of. They stay where they
        are, and are passed over when their turn comes or are dots of a picture. Returns what goes into the buffer."""
        keep_from = len(self._real_time)
        data = self._real_time + data
        self._real_time = b""
        at = data.find(b"\x10")
        while at >= 0:
            part = data[at : at + len(CLEAR)]
            if part == CLEAR:
                self._buffer.clear()
                self._line.clear()
                keep_from = at + len(CLEAR)
                self._answer(0x37, 0x25, 0x00)
            elif part[:2] == b"\x10\x04" and len(part) > 2:
                if 1 <= part[2] <= 4:
                    self._answer(self._real_time_status(part[2]))
            elif at + len(part) == len(data) and (part == b"\x10\x04" or CLEAR.startswith(part)):
                self._real_time = part  # its end has not come yet
                break
            at = data.find(b"\x10", at + 1)
        return data[keep_from:]

    def _real_time_status(self, n):
        out = self.paper_out
        if n == 1:
            return 0x12 | (0x08 if out or self.cover_open or self.too_hot else 0)
        if n == 2:
            return 0x12 | (0x04 if self.cover_open else 0) | (0x20 if out else 0) | (0x40 if self.too_hot else 0)
        if n == 3:
            return 0x12 | (0x40 if self.too_hot else 0)
        return 0x12 | (0x60 if out else 0) | (0x0C if out or self.paper_low else 0)

    def _answer(self, *values):
        if self.kind.answers and not self.silent:
            self.answers += bytes(values)

    # What is done with it.

    def _can_print(self):
        return not (self.paper_out or self.cover_open or self.too_hot)

    def work(self) -> float | None:
        while self._buffer:
            wait = self._free_at - self._now()
            if wait > 0:
                return wait
            try:
                length = self._step()
            except _Stalled:
                return None
            if length == 0:
                return None
            del self._buffer[:length]
        return None

    def _step(self) -> int:
        """Does the first command of the buffer; returns its length, 0 when it is not whole yet."""
        if self.kind.real_time and not self._can_print():
            raise _Stalled
        if self._buffer[:2] not in (b"\x1dv", b"\x1bJ", b"\x1d", b"\x1b"):
            self._in_picture = False
        first = self._buffer[0]
        if first in (0x1B, 0x1C, 0x1D, 0x12):
            return self._command()
        if first == 0x0A:
            self._print_line()
        elif first >= 0x20:
            return self._character()
        elif first == 0x10 and self.kind.real_time:
            return self._pass_over()
        elif first not in (0x00, 0x0D, 0x09):
            self.unknown += 1
        return 1

    def _pass_over(self):
        """A real-time command whose turn has come: it was obeyed long ago."""
        return 0 if len(self._buffer) < 3 else 3 if self._buffer[1] in (0x04, 0x05) else 1

    def _command(self):
        if len(self._buffer) < 2:
            return 0
        name = bytes(self._buffer[:2])
        if name == b"\x1dv":
            return self._raster()
        if name == b"\x1d(":
            return self._block()
        if name == b"\x1dV":
            return self._cut()
        count = _ARGUMENTS.get(name)
        if count is None:
            self.unknown += 1
            return 1
        if len(self._buffer) < 2 + count:
            return 0
        act = _ACTS.get(name)
        if act is not None:
            act(self, *self._buffer[2 : 2 + count])
        return 2 + count

    def _character(self):
        first = self._buffer[0]
        length = 1
        if first >= 0x81 and self._chinese and self.kind.chinese:
            if len(self._buffer) < 2:
                return 0
            length = 4 if 0x30 <= self._buffer[1] <= 0x39 and self.kind.real_time else 2
            if len(self._buffer) < length:
                return 0
            character = bytes(self._buffer[:length]).decode("gb18030", "replace")[:1].replace("\ufffd", "?")
        else:
            character = bytes((first,)).decode("cp437")
        wide, high = self._chinese_size if length > 1 else self._size
        cell = Cell(character, wide, high, self._bold, self._invert, self._underline)
        if sum(other.dots for other in self._line) + cell.dots > DOTS:
            self._print_line()
        self._line.append(cell)
        return length

    # What moves the paper.

    def _moves(self, dots, lines=1) -> bool:
        """Whether there is paper to move; takes the time that it takes."""
        if self.paper_left_lines is not None:
            if self.paper_left_lines < lines:
                self.paper_left_lines = None
                self.paper_out = True
            else:
                self.paper_left_lines -= lines
        if not self._can_print():
            if self.kind.real_time:
                raise _Stalled
            return False
        if self.speed:
            self._free_at = max(self._now(), self._free_at) + dots / (8 * self.speed)
        return True

    def _print_line(self):
        line = self._line
        height = max((HEIGHT * cell.high for cell in line), default=0)
        pitch = max(self._pitch, height)
        printed = self._moves(pitch)
        self._line = []
        if not printed:
            return
        text = "".join(cell.character for cell in line)
        left = (DOTS - sum(cell.dots for cell in line)) * self._align // 2
        self.log("wire", "printer: " + _PAN.sub(lambda pan: pan[0][:6] + "*" * (len(pan[0]) - 10) + pan[0][-4:], text))
        if line:
            self.paper.print(burn(line, left, height), (" " * (left // 12) + text).rstrip())
            self.paper.feed(pitch - height)
        else:
            self.paper.feed(pitch, "")

    def _feed_lines(self, count):
        if self._line:
            self._print_line()
            count -= 1
        for _ in range(count):
            if self._moves(self._pitch):
                self.paper.feed(self._pitch, "")

    def _feed_dots(self, count):
        if self._line:
            self._print_line()
        if self._moves(count, 0):
            self.paper.feed(count)

    def _raster(self):
        if len(self._buffer) < 8:
            return 0
        width = int.from_bytes(self._buffer[4:6], "little")
        height = int.from_bytes(self._buffer[6:8], "little")
        if self._buffer[2] != 0x30 or not 0 < width <= ROW or not 0 < height <= 4095:
            self.unknown += 1
            return 2
        end = 8 + width * height
        if len(self._buffer) < end:
            return 0
        if self._line:
            self._print_line()
        if self._moves(height):
            left = (ROW - width) * self._align // 2
            pad = bytes(left), bytes(ROW - width - left)
            dots = bytes(self._buffer[8:end])
            rows = [pad[0] + dots[at : at + width] + pad[1] for at in range(0, len(dots), width)]
            # A picture comes in bands, and is read as one.
            self.paper.print(rows, None if self._in_picture else "[picture]")
            self._in_picture = True
            self.log("wire", f"printer: picture {width * 8}x{height}")
        return end

    def _block(self):
        """GS ( x pL pH ...: counted, so that it can be passed over."""
        if len(self._buffer) < 5:
            return 0
        end = 5 + int.from_bytes(self._buffer[3:5], "little")
        if len(self._buffer) < end:
            return 0
        return end

    def _cut(self):
        if len(self._buffer) < 3:
            return 0
        length = 4 if self._buffer[2] in (65, 66) else 3
        if len(self._buffer) < length:
            return 0
        if self._line:
            self._print_line()
        self.log("wire", "printer: cut")
        return length

    # Modes and questions.

    def _set_size(self, n):
        self._size = self._chinese_size = (1 + (n >> 4 & 7), 1 + (n & 7))

    def _set_print_mode(self, n):
        self._bold, self._underline = bool(n & 0x08), bool(n & 0x80)
        self._size = self._chinese_size = (2 if n & 0x20 else 1, 2 if n & 0x10 else 1)

    def _set_chinese_size(self, n):
        self._chinese_size = (2 if n & 0x04 else 1, 2 if n & 0x08 else 1)

    def _esc_v(self, n):
        # The heads of this class have no switch at the cover: an open one lets go of the paper.
        out = self.paper_out or self.cover_open
        self._answer((0x04 if out else 0) | (0x40 if self.too_hot else 0))

    def _gs_r(self, n):
        if n in (1, 49) and self._can_print():
            self._answer(0x03 if self.paper_low else 0x00)


class _Stalled(Exception):
    """Nothing goes on before a person has helped: the command stays where it is."""


def _mode(name, kind):
    return lambda head, n: setattr(head, name, kind(n))


def _fixed(name, value):
    return lambda head: setattr(head, name, value)


_ACTS = {
    b"\x1b@": Head._init,
    b"\x1b2": _fixed("_pitch", DEFAULT_PITCH),
    b"\x1b3": _mode("_pitch", int),
    b"\x1ba": _mode("_align", lambda n: min(n & 0x0F, 2)),
    b"\x1bE": _mode("_bold", lambda n: bool(n & 1)),
    b"\x1bG": _mode("_bold", lambda n: bool(n & 1)),
    b"\x1b-": _mode("_underline", lambda n: bool(n & 3)),
    b"\x1dB": _mode("_invert", lambda n: bool(n & 1)),
    b"\x1b!": Head._set_print_mode,
    b"\x1d!": Head._set_size,
    b"\x1c!": Head._set_chinese_size,
    b"\x1c&": _fixed("_chinese", True),
    b"\x1c.": _fixed("_chinese", False),
    b"\x1bd": Head._feed_lines,
    b"\x1bJ": Head._feed_dots,
    b"\x1bv": Head._esc_v,
    b"\x1dr": Head._gs_r,
}


_FAULTS = ("paper_out", "cover_open", "too_hot", "silent", "paper_low", "paper_left_lines", "speed")


class PrinterChip(Head):
    """A head on the master side of a pty. Changing a fault acts at once. `close` ends its thread, not the pty."""

    def __init__(self, fd, kind="csn-a2", paper=None, speed=0, log=None):
        self._closing = False
        self._lock = threading.RLock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._fd = fd
        super().__init__(kind, paper, speed, log)
        self._thread = threading.Thread(target=self._run, name="printer-chip", daemon=True)
        self._thread.start()

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name in _FAULTS and not self._closing:
            os.eventfd_write(self._wake, 1)

    def reset(self) -> None:
        with self._lock:
            super().reset()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            os.eventfd_write(self._wake, 1)
            self._thread.join(5)
            os.close(self._wake)

    def _run(self):
        wait = None
        while True:
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            poll.register(self._fd, select.POLLIN)
            ready = dict(poll.poll(None if wait is None else wait * 1000))
            if self._closing:
                return
            if self._wake in ready:
                os.eventfd_read(self._wake)
            with self._lock:
                if self._fd in ready and not self._exchange(ready[self._fd]):
                    return
                wait = self.work()
                answers, self.answers = self.answers, bytearray()
            if answers:
                try:
                    os.write(self._fd, answers)
                except OSError:
                    return

    def _exchange(self, event) -> bool:
        """Takes what has come; False when the other end is closed for good."""
        if not event & select.POLLIN:
            return False
        try:
            data = os.read(self._fd, 4096)
        except OSError:
            return False
        self.receive(data)
        return bool(data)
