"""An OLED panel on I2C: SSD1306 or SH1106, driven by luma.oled, painted by difference.

luma initialises the chip and carries every byte; only its `display` is ours, because it sends the whole memory for
each picture. The memory is eight-row pages of column bytes. What changed is cut into windows and only they travel:

    chip      a window costs                              one window holds
    SSD1306   10 bytes + its area (21 a b 22 p q)         any rectangle of pages and columns
    SH1106     7 bytes + its columns (B0+p, column)       columns of one page

counted with every address and control byte, as `luma.core`'s serial interface and the bus send them.
Two changed stretches are joined where that is cheaper than a window of its own.

    one digit of a line     22 (SSD1306), 25 (SH1106)     worst amount digit, 9,999,999.99     246, 250
    one password star       26, 30                        the same picture                     0, 0

A panel that stops answering is reported once; from then on nothing waits for it: pictures are kept, a thread asks
once a second, and when the panel answers it is initialised again and painted whole, for it has forgotten everything.

Sources: SSD1306 data sheet rev 1.1, 8.1.5, 9; SH1106 data sheet V2.3, 8; luma.core 2.6, luma.oled 3.16.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import reduce

from firmware.events import PART, Event

from .fonts import Fonts
from .picture import columns_of, picture
from .render import Renderer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.screens import Screen

NOP = 0xE3
DISPLAY_ON, DISPLAY_OFF = 0xAF, 0xAE
COLUMN_WINDOW, PAGE_WINDOW = 0x21, 0x22
PAGE, COLUMN_HIGH = 0xB0, 0x10
DATA = b"\x40"

SSD1306_WINDOW = 10
SH1106_WINDOW = 7
SH1106_LEFT = 2

Frame = list[bytes]
Window = tuple[int, int, int, int]


def spans(old: Frame | None, new: Frame, gap: int) -> list[Window]:
    """What differs, page by page: (page, page, first column, last column); stretches nearer than `gap` are one.

    `old` is None when nothing is known of the panel's memory: then everything differs.
    """
    if old is None:
        return [(page, page, 0, len(row) - 1) for page, row in enumerate(new)]
    found = []
    for page, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        changed = [x for x in range(len(after)) if before[x] != after[x]]
        first = last = changed[0]
        for x in changed[1:]:
            if x - last > gap:
                found.append((page, page, first, last))
                first = x
            last = x
        found.append((page, page, first, last))
    return found


def windows(old: Frame | None, new: Frame) -> list[Window]:
    """Rectangles (first page, last page, first column, last column) that cover what differs, cheaply joined."""
    joined: list[Window] = []
    for window in spans(old, new, SSD1306_WINDOW):
        _join(joined, window)
    if not joined:
        return []
    # Joining two at a time can stop short of the one box around everything.
    whole = reduce(_around, joined)
    return [whole] if _cost(whole) <= sum(map(_cost, joined)) else joined


def _join(joined: list[Window], window: Window) -> None:
    """Adds a window to the list: within the one where that saves most, or on its own."""
    best, saving = len(joined), 0
    for place, other in enumerate(joined):
        saved = _cost(other) + _cost(window) - _cost(_around(other, window))
        if saved > saving:
            best, saving = place, saved
    joined[best : best + 1] = [_around(joined[best], window) if saving else window]


def _around(one: Window, other: Window) -> Window:
    return min(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), max(one[3], other[3])


def _cost(window: Window) -> int:
    first_page, last_page, first, last = window
    return SSD1306_WINDOW + (last_page - first_page + 1) * (last - first + 1)


def _wire(bus: Any, address: int) -> Any:
    """luma's I2C on an open bus, or on a port that it opens; it keeps the commands it sends while `keep` is a list."""
    from luma.core.interface.serial import i2c
    from smbus2 import i2c_msg

    class Wire(i2c):
        keep: list[tuple[int, ...]] | None = None

        def command(self, *command: int) -> None:
            super().command(*command)
            if self.keep is not None:
                self.keep.append(command)

        def data(self, data: bytes) -> None:
            # One message a window: luma's 32-byte blocks would add two bytes to each.
            self._bus.i2c_rdwr(i2c_msg.write(self._addr, DATA + data))

    return Wire(port=bus, address=address) if isinstance(bus, (int, str)) else Wire(bus, address=address)


class _Oled:
    """The display port on a panel that luma knows.

    post     takes events.
    part     the board's entry: size (width, height), address; may have rotate (quarter turns clockwise, 0..3)
             and contrast (0..255).
    bus      an open smbus2.SMBus or anything with its `write_i2c_block_data` and `i2c_rdwr`; or the number or
             node of an I2C port, which is then opened when the panel is first used.

    The panel is first touched by `start` or, without that, by the first picture.

    A chip's class says the two things in which they differ:

    chip                   luma's name for it.
    paint(panel, old, new) sends to luma's panel what differs between two pictures; old None: everything.
    """

    chip: str
    paint: Callable[[Any, Frame | None, Frame], None]
    retry_s = 1.0

    def __init__(self, post: Callable[[Event], None], part: dict[str, Any], bus: Any, fonts: Fonts | None = None) -> None:
        width, height = part["size"]
        self._turn = part.get("rotate", 0)
        self.size: tuple[int, int] = (height, width) if self._turn % 2 else (width, height)
        self.state = "starting"
        self._post = post
        self._part = part
        self._bus = bus
        fonts = fonts or Fonts()
        self.chinese = fonts.has_chinese
        self._renderer = Renderer(self.size, fonts)
        self._wire: Any = None
        self._panel: Any = None
        self._errors: tuple[type[Exception], ...] = (OSError,)
        self._opening: list[tuple[int, ...]] = []
        self._wanted: list[int] | None = None
        self._painted: Frame | None = None
        self._level: int | None = part.get("contrast")
        self._asleep = False
        self._lit = False
        self._lock = threading.RLock()
        self._closed = threading.Event()

    def start(self) -> None:
        """Initialises the panel; it stays dark until the first picture."""
        self._try(lambda: None)

    def close(self) -> None:
        """Ends the driver; the picture stays on the panel."""
        self._closed.set()

    def show(self, screen: Screen) -> None:
        """Draws a resolved screen; only what changed travels."""
        columns = self._renderer.columns(screen)
        with self._lock:
            if columns != self._wanted:
                self._wanted = columns
                self._try(self._repaint)

    def contrast(self, level: int) -> None:
        """Brightness, 0..255. Raises ValueError beyond."""
        if not 0 <= level <= 255:
            raise ValueError("contrast is 0..255, not %r" % level)
        with self._lock:
            self._level = level
            self._try(lambda: self._panel.contrast(level))

    def sleep(self) -> None:
        """Panel dark; the picture is kept and may change meanwhile."""
        with self._lock:
            self._asleep = True
            self._try(self._light)

    def wake(self) -> None:
        """Panel lit again."""
        with self._lock:
            self._asleep = False
            self._try(self._light)

    def _try(self, act: Callable[[], None]) -> None:
        """Does something on the panel; a panel that does not answer becomes "gone"."""
        with self._lock:
            if self.state == "gone" or self._closed.is_set():
                return
            try:
                if self._panel is None:
                    self._open()
                act()
                self.state = "ready"
            except Exception as problem:
                if not isinstance(problem, self._errors):
                    raise
                self._lost()

    def _lost(self) -> None:
        self.state = "gone"
        self._post(Event(PART, 0, ("display", "gone")))
        threading.Thread(target=self._await_panel, name="display", daemon=True).start()

    def _await_panel(self) -> None:
        while not self._closed.wait(self.retry_s):
            try:
                # Outside the lock: a bus that hangs must not hold up `show`.
                if self._wire is not None:
                    self._wire.command(NOP)
                with self._lock:
                    self._revive()
                return
            except Exception as problem:
                if not isinstance(problem, self._errors):
                    raise

    def _revive(self) -> None:
        """Initialises the panel as luma did and brings back contrast, picture and light."""
        self._painted = None
        self._lit = False
        if self._panel is None:
            self._open()
        else:
            # luma's constructor again would register one more exit handler each time.
            for command in self._opening:
                self._panel.command(*command)
            if self._level is not None:
                self._panel.contrast(self._level)
        self._repaint()
        self.state = "ready"
        self._post(Event(PART, 0, ("display", "ready")))

    def _open(self) -> None:
        import luma.core.error as error
        from luma.oled import device

        self._errors = (OSError, error.DeviceNotFoundError, error.DevicePermissionError)
        if self._wire is None:
            self._wire = _wire(self._bus, self._part["address"])
        # luma's constructor leaves an exit handler even where it fails: ask first whether somebody is there.
        self._wire.command(NOP)

        class Panel(getattr(device, self.chip)):  # type: ignore[misc]
            """luma's device, which leaves painting and lighting to us."""

            def clear(self) -> None:
                """Not needed: the first picture is painted before the panel is lit."""

            def show(self) -> None:
                """Not yet: the memory holds noise."""

        width, height = self._part["size"]
        self._opening.clear()
        self._wire.keep = self._opening
        try:
            panel = Panel(self._wire, width=width, height=height, rotate=self._turn)
        finally:
            self._wire.keep = None
        # Without this luma darkens the panel at exit.
        panel.persist = True
        if self._level is not None:
            panel.contrast(self._level)
        self._panel = panel

    def _repaint(self) -> None:
        if self._wanted is None:
            return
        frame = self._frame(self._wanted)
        old, self._painted = self._painted, None
        self.paint(self._panel, old, frame)
        self._painted = frame
        self._light()

    def _frame(self, columns: list[int]) -> Frame:
        """The picture as the chip keeps it: pages of column bytes."""
        width, height = self._part["size"]
        if self._turn:
            columns = columns_of(self._panel.preprocess(picture(columns, self.size)))
        deep = height // 8
        data = b"".join([column.to_bytes(deep, "little") for column in columns])
        return [data[page::deep] for page in range(deep)]

    def _light(self) -> None:
        """Turns the panel on or off where it is not yet as wanted."""
        lit = not self._asleep and self._painted is not None
        if lit != self._lit:
            self._panel.command(DISPLAY_ON if lit else DISPLAY_OFF)
            self._lit = lit


def _paint_windows(panel: Any, old: Frame | None, new: Frame) -> None:
    for first_page, last_page, first, last in windows(old, new):
        panel.command(COLUMN_WINDOW, first, last, PAGE_WINDOW, first_page, last_page)
        panel.data(b"".join([page[first : last + 1] for page in new[first_page : last_page + 1]]))


def _paint_pages(panel: Any, old: Frame | None, new: Frame) -> None:
    for page, _, first, last in spans(old, new, SH1106_WINDOW):
        column = first + SH1106_LEFT
        panel.command(PAGE + page, column & 0x0F, COLUMN_HIGH | column >> 4)
        panel.data(new[page][first : last + 1])


class Ssd1306(_Oled):
    """SSD1306: a window of columns and pages, filled row of bytes by row of bytes."""

    chip = "ssd1306"
    paint = staticmethod(_paint_windows)


class Sh1106(_Oled):
    """SH1106: page addressing only; its 132 columns stand two to the left of the glass's 128."""

    chip = "sh1106"
    paint = staticmethod(_paint_pages)
