"""OLED controllers at the end of an I2C bus: SSD1306 and SH1106, pixels rebuilt from the bytes.

A write is control bytes and what they announce (SSD1306 data sheet 8.1.5.2): bit 6 tells data from commands, bit 7
says that one byte follows and then another control byte; without it all the rest is of that kind.

The picture is what the glass shows on a module wired as they all are, columns and rows both reversed (A1, C8):
lit only with the display on and its voltage pump running (the SSD1306's must be started: 8D 14). Memory comes up as noise, as
on the real chip, so that a driver that lights the panel too early is seen. Any bytes are taken: commands that the
chip does not have are counted in `unknown` and do nothing.

Sources: SSD1306 data sheet rev 1.1, 9 and 10; SH1106 data sheet V2.3, "Commands".
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers.picture import drawn, picture

if TYPE_CHECKING:
    from drivers.picture import Image

PAGE_ROWS = 8
HORIZONTAL, VERTICAL, PAGED = 0, 1, 2
NOISE = bytes((n * 167 + 91) & 0xFF for n in range(256))


def _quiet(kind: str, text: str) -> None:
    """No log."""


class OledChip:
    """One controller.

    log(kind, text)     takes decoded traffic, kind "i2c".
    absent              fault: the panel does not answer and is dark. What it forgets meanwhile is `reset`.
    on_change           called when what the glass shows has changed, from the thread that did it; or None.
    version             counts those changes.
    bytes, transfers    seen on the bus, address bytes included.
    unknown             how many command bytes meant nothing to this chip.
    """

    name = "oled"
    glass = 128
    memory_columns = 128
    left = 0
    pump_at_reset = False
    arguments: dict[int, int] = {}

    def __init__(self, size: tuple[int, int] = (128, 64), log: Callable[[str, str], None] = _quiet) -> None:
        self.size = size
        self.log = log
        self._absent = False
        self.on_change: Callable[[], None] | None = None
        self.version = 0
        self.bytes = self.transfers = self.unknown = 0
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """The power was away: registers as after reset, memory full of noise, dark."""
        pages = self.size[1] // PAGE_ROWS
        with self._lock:
            self.memory = [bytearray(NOISE[n % len(NOISE)] for n in range(self.memory_columns)) for _ in range(pages)]
            self.on = self.inverse = self.all_on = False
            self.level = 0x7F
            self.mirrored = self.upside_down = True
            self.start_line = self.offset = 0
            self.ratio = self.size[1]
            self.pump = self.pump_at_reset
            self.mode = PAGED
            self.column_window = (0, self.memory_columns - 1)
            self.page_window = (0, pages - 1)
            self.column = self.page = 0
            self._command = 0
            self._missing = 0
            self._values: list[int] = []
        self._changed()

    @property
    def absent(self) -> bool:
        return self._absent

    @absent.setter
    def absent(self, absent: bool) -> None:
        if absent != self._absent:
            self._absent = absent
            self._changed()

    @property
    def lit(self) -> bool:
        """Whether the glass gives light at all."""
        return self.on and self.pump and not self.absent

    def write(self, payload: bytes) -> None:
        """One I2C write, the bytes after the address. Raises OSError where a real bus sees no acknowledge."""
        self._answer()
        before = self._shown()
        with self._lock:
            self.bytes += 1 + len(payload)
            self.transfers += 1
            self._take(payload)
        if self._shown() != before:
            self._changed()

    def read(self, count: int) -> bytes:
        """One I2C read: the status byte, bit 6 set while the display is off, over and over."""
        self._answer()
        with self._lock:
            self.bytes += 1 + count
            self.transfers += 1
        return bytes([0x06 if self.on else 0x46]) * count

    def columns(self) -> list[int]:
        """What the glass shows, column by column, bit 0 at the top."""
        with self._lock:
            return self._view()

    def image(self) -> Image:
        """What the glass shows, as an image of mode "1"."""
        return picture(self.columns(), self.size)

    def lines(self, lit: str = "#", dark: str = ".") -> list[str]:
        """What the glass shows, as text, one line a row."""
        return drawn(self.columns(), self.size[1], lit, dark)

    def _answer(self) -> None:
        if self.absent:
            raise OSError(errno.EREMOTEIO, "no acknowledge")

    def _shown(self) -> tuple[object, ...]:
        memory = b"".join(self.memory) if self.lit else b""
        return (memory, self.lit, self.inverse, self.all_on, self.level, self.mirrored, self.upside_down,
                self.start_line, self.offset, self.ratio)  # fmt: skip

    def _changed(self) -> None:
        with self._lock:
            self.version += 1
        if self.on_change is not None:
            self.on_change()

    def _take(self, payload: bytes) -> None:
        place = 0
        while place < len(payload):
            control = payload[place]
            place += 1
            end = min(place + 1, len(payload)) if control & 0x80 else len(payload)
            if control & 0x40:
                self._data(payload[place:end])
            else:
                for byte in payload[place:end]:
                    self._command_byte(byte)
            place = end

    def _command_byte(self, byte: int) -> None:
        if self._missing:
            self._values.append(byte)
            self._missing -= 1
        else:
            self._command, self._values = byte, []
            self._missing = self.arguments.get(byte, 0)
        if not self._missing:
            self._do(self._command, self._values)

    def _do(self, command: int, values: list[int]) -> None:
        """The commands that both chips have."""
        if 0x40 <= command <= 0x7F:
            self.start_line = command & 0x3F
        elif command <= 0x0F:
            self.column = self.column & 0xF0 | command
        elif command <= 0x1F:
            self.column = self.column & 0x0F | (command & 0x0F) << 4
        elif 0xB0 <= command <= 0xBF:
            self.page = command & 0x0F
        elif command == 0x81:
            self.level = values[0]
            self.log("i2c", "%s contrast %d" % (self.name, self.level))
        elif command in (0xA0, 0xA1):
            self.mirrored = command == 0xA1
        elif command in (0xC0, 0xC8):
            self.upside_down = command == 0xC8
        elif command in (0xA4, 0xA5):
            self.all_on = command == 0xA5
        elif command in (0xA6, 0xA7):
            self.inverse = command == 0xA7
        elif command == 0xA8:
            self.ratio = (values[0] & 0x7F) + 1
        elif command in (0xAE, 0xAF):
            self.on = command == 0xAF
            self.log("i2c", "%s %s" % (self.name, "on" if self.on else "off"))
        elif command == 0xD3:
            self.offset = values[0] & 0x7F
        elif command not in (0xD5, 0xD9, 0xDA, 0xDB, 0xE3):
            self._strange(command)

    def _strange(self, command: int) -> None:
        self.unknown += 1
        self.log("i2c", "%s has no command %02X" % (self.name, command))

    def _data(self, data: bytes) -> None:
        self.log("i2c", "%s %d bytes from page %d column %d" % (self.name, len(data), self.page, self.column))
        for byte in data:
            if self.page < len(self.memory) and self.column < self.memory_columns:
                self.memory[self.page][self.column] = byte
            self._step()

    def _step(self) -> None:
        """Moves on after a byte of data."""
        if self.mode == HORIZONTAL:
            self.column = self._next(self.column, self.column_window)
            if self.column == self.column_window[0]:
                self.page = self._next(self.page, self.page_window)
        elif self.mode == VERTICAL:
            self.page = self._next(self.page, self.page_window)
            if self.page == self.page_window[0]:
                self.column = self._next(self.column, self.column_window)
        else:
            self.column = self._after_last(self.column + 1)

    @staticmethod
    def _next(value: int, window: tuple[int, int]) -> int:
        return window[0] if value >= window[1] else value + 1

    def _after_last(self, column: int) -> int:
        return column

    def _view(self) -> list[int]:
        width, height = self.size
        if not self.lit:
            return [0] * width
        full = (1 << height) - 1
        if self.all_on:
            return [full] * width
        # Rows beyond the multiplex ratio are never driven.
        driven = (1 << min(self.ratio, height)) - 1
        shift = (self.start_line + self.offset) % height
        seen = []
        for x in range(width):
            place = self.left + (x if self.mirrored else width - 1 - x)
            column = 0
            for page in reversed(self.memory):
                column = column << PAGE_ROWS | page[place]
            column = (column >> shift | column << height - shift) & full
            if not self.upside_down:
                column = int(format(column, "0%db" % height)[::-1], 2)
            seen.append((column ^ full if self.inverse else column) & driven)
        return seen


class Ssd1306Chip(OledChip):
    """SSD1306: 128 columns, three ways of addressing, a charge pump that must be started."""

    name = "ssd1306"
    arguments = {
        0x20: 1, 0x21: 2, 0x22: 2, 0x26: 6, 0x27: 6, 0x29: 5, 0x2A: 5, 0x81: 1, 0x8D: 1, 0xA3: 2, 0xA8: 1, 0xD3: 1,
        0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1,
    }  # fmt: skip

    def _do(self, command: int, values: list[int]) -> None:
        if command == 0x20:
            self.mode = values[0] & 3
        elif command == 0x21:
            self.column_window = self._window(values, 0x7F)
            self.column = self.column_window[0]
        elif command == 0x22:
            self.page_window = self._window(values, len(self.memory) - 1)
            self.page = self.page_window[0]
        elif command == 0x8D:
            self.pump = bool(values[0] & 0x04)
        elif 0xB8 <= command <= 0xBF or command in (0x26, 0x27, 0x29, 0x2A, 0x2E, 0x2F, 0xA3):
            # Scrolling: no driver of ours uses it, so the glass does not follow.
            self._strange(command)
        else:
            super()._do(command, values)

    @staticmethod
    def _window(values: list[int], last: int) -> tuple[int, int]:
        return values[0] & last, values[1] & last

    def _after_last(self, column: int) -> int:
        return column & 0x7F


class Sh1106Chip(OledChip):
    """SH1106: 132 columns of which the glass shows the middle 128, pages only, a converter that runs after reset."""

    name = "sh1106"
    memory_columns = 132
    left = 2
    pump_at_reset = True
    arguments = {0x81: 1, 0xA8: 1, 0xAD: 1, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1}

    def _do(self, command: int, values: list[int]) -> None:
        if command == 0xAD:
            self.pump = bool(values[0] & 1)
        elif 0x30 <= command <= 0x33:
            return
        else:
            super()._do(command, values)
