"""What is soldered to the GPIO pins: the emulator's side of the page, and the parts on it.

The page and its layout are `drivers/gpio_page.py`. `Page` drives inputs, closes the switches of the key matrix and is
told when a watched output changes. A finger on a key, a lamp and a buzzer have no memory: when power is lost the
page is cleared (`Page.reset`), and with it everything that the firmware had driven.
"""

import os
import select
import threading
import time

from drivers.gpio_page import (
    ARMED,
    ASLEEP,
    CHANGED_NAME,
    COLUMNS,
    DRIVE,
    DRIVEN,
    LEVEL,
    OUTPUT,
    PAGE_NAME,
    PINS,
    PWM,
    PWM_FORMAT,
    ROWS,
    RUNNING,
    SHORTS,
    SIZE,
    SWITCHES,
    WAKE_NAME,
    WATCH,
    WIDTH,
    drain,
    map_page,
    open_pipe,
    ring,
)

# How often `wait_seen` looks, and how long a finger stays on a key that nothing answers.
LOOK_S = 0.001
PATIENCE_S = 1.0


def no_log(kind: str, text: str) -> None:
    """Nobody wants to know."""


class Page:
    """The emulator's side of the pins. Callbacks come from the thread that calls `look`."""

    def __init__(self, folder: str):
        """Makes the page and its pipes in this folder."""
        path = os.path.join(folder, PAGE_NAME)
        with open(path, "wb") as file:
            file.truncate(SIZE)
        for name in (WAKE_NAME, CHANGED_NAME):
            os.mkfifo(os.path.join(folder, name), 0o600)
        self._page = map_page(path)
        self._wake = open_pipe(os.path.join(folder, WAKE_NAME))
        self.changed = open_pipe(os.path.join(folder, CHANGED_NAME))
        self._watched: dict = {}
        self._lock = threading.Lock()

    def drive(self, pin: int, level: "int | None") -> None:
        """Something outside holds this input at a level; None lets it go."""
        self._page[DRIVE + pin] = 0 if level is None else DRIVEN | int(bool(level))
        ring(self._wake)

    def level(self, pin: int) -> int:
        """The level of an output; 0 for a pin that the firmware does not drive."""
        state = self._page[pin]
        return state & LEVEL if state & OUTPUT else 0

    def is_output(self, pin: int) -> bool:
        """Whether the firmware drives the pin."""
        return bool(self._page[pin] & OUTPUT)

    def pwm(self, pin: int) -> tuple:
        """(hz, duty in percent); (0.0, 0.0) when no PWM runs on the pin."""
        if not self._page[pin] & RUNNING:
            return 0.0, 0.0
        place = PWM + PWM_FORMAT.size * pin
        millihertz, duty = PWM_FORMAT.unpack(self._page[place : place + PWM_FORMAT.size])
        return millihertz / 1000, duty / 100

    def watch(self, pins, callback) -> None:
        """callback() whenever one of these outputs may have changed."""
        for pin in pins:
            self._page[WATCH + pin] = 1
        self._watched.setdefault(callback, set()).update(pins)

    def look(self) -> None:
        """The pipe `changed` rang: tells who watches."""
        drain(self.changed)
        for callback in list(self._watched):
            callback()

    def matrix(self, rows, columns) -> None:
        """Which pins the key matrix joins."""
        self._page[ROWS : ROWS + 1 + len(rows)] = bytes((len(rows), *rows))
        self._page[COLUMNS : COLUMNS + 1 + len(columns)] = bytes((len(columns), *columns))

    def switch(self, row: int, column: int, closed: bool) -> None:
        """Closes or opens one switch of the matrix."""
        with self._lock:
            bits = self._page[SWITCHES + row]
            self._page[SWITCHES + row] = bits | 1 << column if closed else bits & ~(1 << column)
        ring(self._wake)

    def wait_seen(self, timeout_s: float) -> bool:
        """Until the firmware has seen every change and waits for the next; False when it does not for that long."""
        end = time.monotonic() + timeout_s
        while not self._page[ASLEEP] or select.select((self._wake,), (), (), 0)[0]:
            if time.monotonic() >= end:
                return False
            time.sleep(LOOK_S)
        return True

    @property
    def shorts(self) -> int:
        """How often two outputs were seen against each other through the matrix: each may burn a pin."""
        return self._page[SHORTS]

    def arm(self, on: bool) -> None:
        """Whether the firmware tells each point that it reaches."""
        self._page[ARMED] = int(on)

    def process_ended(self) -> None:
        """The firmware's process is gone: its software PWM stands still, levels stay as they were."""
        for pin in range(PINS):
            self._page[pin] &= ~RUNNING & 0xFF
        self._page[ASLEEP] = 0
        self.look()

    def reset(self) -> None:
        """Power lost: no pin is driven any more. What is outside (fingers, switches) stays."""
        self._page[0:PINS] = bytes(PINS)
        self._page[SHORTS] = self._page[ASLEEP] = 0
        drain(self._wake)
        self.look()

    def close(self) -> None:
        """Lets the page go."""
        self._page.close()
        os.close(self._wake)
        os.close(self.changed)


class KeyMatrix:
    """A keypad of switches without diodes.

    `bounce_ms`: a switch chatters for so long when it closes or opens. Names are not logged: they may be a PIN's.
    """

    CHATTER_S = 0.0007

    def __init__(self, page: Page, rows, columns, keys, log=no_log):
        """rows, columns: pins; keys: a tuple of names for each row."""
        if len(rows) > WIDTH or len(columns) > WIDTH:
            raise ValueError("a matrix has at most %d rows and columns" % WIDTH)
        page.matrix(rows, columns)
        self._page = page
        self._places = {name: (row, column) for row, names in enumerate(keys) for column, name in enumerate(names)}
        self._log = log
        self.bounce_ms = 0
        self.held: set[str] = set()

    def press(self, name: str) -> None:
        """A finger goes down on this key. KeyError when there is none of that name."""
        self._move(name, True)

    def release(self, name: str) -> None:
        """The finger leaves the key."""
        self._move(name, False)

    def strike(self, name: str, hold_s: float = 0.0) -> bool:
        """Down for as long as the firmware needs to see it, and at least `hold_s`; then up, likewise.

        False when nobody looked: the device is off or hangs.
        """
        self.press(name)
        if hold_s:
            time.sleep(hold_s)
        seen = self._page.wait_seen(PATIENCE_S)
        self.release(name)
        return seen and self._page.wait_seen(PATIENCE_S)

    def release_all(self) -> None:
        """All fingers leave."""
        for name in list(self.held):
            self.release(name)

    def reset(self) -> None:
        """Power lost: switches do not care."""

    def _move(self, name, down):
        row, column = self._places[name]
        if down:
            self.held.add(name)
        else:
            self.held.discard(name)
        self._log("key", "down" if down else "up")
        end = time.monotonic() + self.bounce_ms / 1000
        closed = down
        while time.monotonic() < end:
            self._page.switch(row, column, closed)
            closed = not closed
            time.sleep(self.CHATTER_S)
        self._page.switch(row, column, down)


class Lamps:
    """Lamps on outputs. `levels`: what is lit now, as a tuple of bools; `on_change(levels)` when that changes."""

    def __init__(self, page: Page, pins, active_low: bool = False, on_change=None, log=no_log):
        self._page = page
        self._pins = tuple(pins)
        self._active_low = active_low
        self._log = log
        self.on_change = on_change
        self._told = self.levels
        page.watch(self._pins, self._look)

    @property
    def levels(self) -> tuple:
        page = self._page
        return tuple(page.is_output(pin) and page.level(pin) != self._active_low for pin in self._pins)

    def reset(self) -> None:
        """Power lost: dark."""
        self._look()

    def _look(self):
        levels = self.levels
        if levels != self._told:
            self._told = levels
            self._log("light", "".join("*" if lit else "." for lit in levels))
            if self.on_change:
                self.on_change(levels)


class Pushed:
    """A line that an output pulls: `on_push()` each time it becomes active."""

    def __init__(self, page: Page, pin: int, active_low: bool, on_push):
        self._page, self._pin, self._active_low = page, pin, active_low
        self._on_push = on_push
        self._told = False
        page.watch((pin,), self._look)

    def _look(self):
        active = self._page.is_output(self._pin) and self._page.level(self._pin) != self._active_low
        if active != self._told:
            self._told = active
            if active:
                self._on_push()


class Buzzer:
    """A buzzer on a PWM output. `hz`: what sounds now, 0 for silence; `on_change(on, hz)` when that changes."""

    def __init__(self, page: Page, pin: int, on_change=None, log=no_log):
        self._page = page
        self._pin = pin
        self._log = log
        self.on_change = on_change
        self._told = 0
        page.watch((pin,), self._look)

    @property
    def hz(self) -> int:
        hz, duty = self._page.pwm(self._pin)
        return round(hz) if duty else 0

    def reset(self) -> None:
        """Power lost: silent."""
        self._look()

    def _look(self):
        hz = self.hz
        if hz != self._told:
            self._told = hz
            self._log("sound", "%d Hz" % hz if hz else "off")
            if self.on_change:
                self.on_change(hz > 0, hz)
