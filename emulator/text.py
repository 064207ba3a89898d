"""The text face: the device in a terminal.

    +-- screen ------------+  +-- paper ------+     half blocks where there are 168 columns and 44 rows,
    |  128 x 64 pixels     |  |  what hangs   |     braille where there are fewer
    +----------------------+  |  out          |
    power, lamps, cards       +---------------+
    the last lines of the log
    : command

Keys: digits, Enter, Esc (cancel), Backspace, Delete (clear), down, `.` (00). A line that begins with `:` is a step of
the script language (`script.py`): `:tap debit`, `:remove card`, `:insert debit`, `:pull`, `:swipe stripe`,
`:fault paper-out`, `:signal 0`, `:sim out`, `:plug`, `:power on`, `:tear`. `:quit` or Ctrl-C ends. The terminal is put
back as it was, however this ends.
"""

from __future__ import annotations

import os
import queue
import select
import shutil
import signal
import sys
import termios
import threading
import tty
import unicodedata
from types import FrameType
from typing import TYPE_CHECKING

from emulator import blocks, script

if TYPE_CHECKING:
    from emulator.device import Device

KEYS = {
    b"\r": "ENTER", b"\n": "ENTER", b"\x1b": "CANCEL", b"\x7f": "BACK", b"\x08": "BACK", b"\x1b[3~": "CLEAR", b"\x1b[B": "DOWN",
    b"\x1bOB": "DOWN", b".": ".", b"*": ".",
} | {b"%d" % digit: str(digit) for digit in range(10)}  # fmt: skip

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[2J", "\x1b[?25h\x1b[?1049l"
DIM, BOLD, RED, GREEN, PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[0m"
WIDE_ENOUGH = (168, 44)
NOISE = "i2c: "  # every digit crosses the display's bus several times: the log would show nothing else
BARS = ("×", "▂", "▂▄", "▂▄▆", "▂▄▆█")
POWER = {"on": "已开机 on", "off": "已关机 off", "crashed": "已崩溃 crashed"}


def cells(text: str) -> int:
    """How many columns a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, width: int) -> str:
    """The text cut or filled to so many columns, without control characters."""
    out, used = [], 0
    for c in text:
        if unicodedata.category(c) == "Cc":
            continue
        size = cells(c)
        if used + size > width:
            break
        out.append(c)
        used += size
    return "".join(out) + " " * (width - used)


def draw(device: Device, size: tuple[int, int], command: str, answer: str) -> list[str]:
    """The whole face as lines for a terminal of (columns, rows)."""
    columns, rows = size
    pixels = blocks.rows_of(device.screen.image)
    large = columns >= WIDE_ENOUGH[0] and rows >= WIDE_ENOUGH[1]
    screen = blocks.framed(blocks.half_blocks(pixels) if large else blocks.braille(pixels))
    width = len(screen[0])
    lamps = " ".join(_lamp(number, lit) for number, lit in device.leds.items())
    on_reader = " ".join(device.on_reader) or "—"
    signal = BARS[device.radio.bars] if device.radio.inserted else "无SIM"
    status = fit(f"{POWER[device.power]}  4G {signal}  卡 {on_reader}  插卡 {device.in_slot or '—'}  灯 ", width - 7) + lamps
    left = [*screen, status]
    room = rows - len(left) - 2
    told = [entry for entry in device.log if not entry.text.startswith(NOISE)][-max(room, 1) :]
    logged = [line for entry in told for line in f"{entry.kind:8} {entry.text}".split("\n")]
    left += [DIM + fit(line, width) + PLAIN for line in logged[-room:]] if room > 0 else []
    left = left[: rows - 2] + [" " * width] * (rows - 2 - len(left))
    paper_width = min(columns - width - 4, 40)
    if paper_width >= 20:
        paper = device.paper_text.split("\n")[-(rows - 4) :]
        right = ["┌" + "─" * paper_width + "┐", *("│" + fit(line, paper_width) + "│" for line in paper)]
        right.append("└" + "─" * paper_width + "┘")
        right += [" " * (paper_width + 2)] * (rows - 2 - len(right))
        left = [a + "  " + b for a, b in zip(left, right, strict=True)]
    left.append(BOLD + fit(answer, columns - 1) + PLAIN)
    hint = "数字 Enter Esc Backspace Delete ↓ . | :tap debit  :remove card  :insert debit  :pull  :swipe debit  :tear  :quit"
    left.append(fit(command, columns - 1) if command else DIM + fit(hint, columns - 1) + PLAIN)
    return left


def _lamp(number: str, lit: bool) -> str:
    return (RED if number == "4" else GREEN) + "●" + PLAIN if lit else DIM + "○" + PLAIN


class Face:
    """One terminal showing one device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._player = script.Player(device)
        self._command = ""
        self._answer = ""
        self._drawn: list[str] = []
        self._ending = False
        self._work: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._woken, self._bell = os.pipe()

    def run(self) -> None:
        """Until the person has enough."""
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._end_on)
        signal.signal(signal.SIGWINCH, lambda *_: self._ring())
        threads = [threading.Thread(target=run, daemon=True) for run in (self._watch, self._do_all)]
        try:
            tty.setcbreak(terminal)
            sys.stdout.write(ENTER)
            for thread in threads:
                thread.start()
            while not self._ending:
                self._show()
                ready, _, _ = select.select([terminal, self._woken], [], [])
                if self._woken in ready:
                    os.read(self._woken, 4096)
                if terminal in ready:
                    typed = os.read(terminal, 256)
                    if not typed:
                        break
                    self._take(typed)
        except KeyboardInterrupt:
            pass
        finally:
            self._ending = True
            self._work.put(None)
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
            sys.stdout.write(LEAVE)
            sys.stdout.flush()

    def _end_on(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        self._ring()

    def _ring(self) -> None:
        os.write(self._bell, b"!")

    def _watch(self) -> None:
        number = 0
        while not self._ending:
            newer = self._device.changes.wait(number, 60)
            if newer > number:
                number = newer
                self._ring()

    def _take(self, typed: bytes) -> None:
        """What came from the keyboard: keys, or a part of a command line."""
        while typed:
            if self._command:
                typed = self._edit(typed)
                continue
            if typed[:1] == b":":
                self._command, typed = ":", typed[1:]
                continue
            size = _sequence(typed)
            key = KEYS.get(typed[:size])
            if key:
                self._work.put(("keys", key))
            typed = typed[size:]

    def _edit(self, typed: bytes) -> bytes:
        """One character of the command line; returns what is left."""
        size = _sequence(typed)
        if typed[:1] in b"\r\n":
            line, self._command = self._command[1:].strip(), ""
            if line in ("quit", "q"):
                self._ending = True
            elif line:
                self._work.put(("step", line))
        elif typed[:1] in b"\x7f\x08":
            self._command = self._command[:-1]
        elif typed[:1] == b"\x1b":
            self._command = ""
        else:
            text = typed.decode("utf-8", "ignore")
            stop = next((i for i, c in enumerate(text) if c in "\r\n\x7f\x08\x1b"), len(text))
            self._command += "".join(c for c in text[:stop] if c.isprintable())[:200]
            size = max(len(text[:stop].encode()), 1)
        return typed[size:]

    def _do_all(self) -> None:
        """Does what was asked, in order, while the face goes on drawing."""
        while (work := self._work.get()) is not None:
            kind, text = work
            try:
                if kind == "keys":
                    self._device.keys(text)
                else:
                    self._answer = "…"
                    self._ring()
                    script.step(text)(self._player)
                    self._answer = text + " ✓"
            except (script.ScriptError, ValueError, LookupError, OSError) as error:
                self._answer = str(error.args[0]) if error.args else str(error)
            self._ring()

    def _show(self) -> None:
        """Sends the lines that differ from those on the terminal."""
        size = shutil.get_terminal_size()
        lines = draw(self._device, size, self._command, self._answer.replace("\n", " "))
        out = []
        if len(lines) != len(self._drawn):
            out.append("\x1b[2J")
            self._drawn = [""] * len(lines)
        for row, (line, drawn) in enumerate(zip(lines, self._drawn, strict=True), 1):
            if line != drawn:
                out.append(f"\x1b[{row};1H\x1b[2K{line}")
        self._drawn = lines
        sys.stdout.write("".join(out))
        sys.stdout.flush()


def _sequence(typed: bytes) -> int:
    """How many of the bytes belong to the first key."""
    if typed[:2] in (b"\x1b[", b"\x1bO"):
        for size in range(3, len(typed) + 1):
            if 0x40 <= typed[size - 1] <= 0x7E:
                return size
        return len(typed)
    return 1


def main(arguments) -> int:
    """`python -m emulator text`."""
    from emulator.device import Device, Unusable

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("text needs a terminal; without one: python -m emulator script FILE", file=sys.stderr)
        return 2
    try:
        device = Device(arguments.folder, tls=True)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 1
    with device:
        device.power_on()
        Face(device).run()
    return 0
