"""A keypad of switches in rows and columns, read through GPIO pins.

Columns are inputs with pull-ups. A row is either an output at low or an input, never an output at high: two keys of
one column would join two outputs against each other.

    rest    all rows low. A pressed key pulls its column low; only the columns are read, and only when the wires say
            that something may have changed
    scan    one row low at a time, the columns read 10 us later, every 5 ms until three scans in a row agree
    held    keys are down and nothing changes: as at rest, but by whole scans, for a second key must be seen

Without diodes three keys on the corners of a rectangle show the fourth. Such a scan (two rows share two columns) is
dropped whole: keys that are down stay down, none is made up.

While the vault has borrowed the keypad a press counts only if no other key is down, so that two keys pressed
together never put a digit into a PIN that nobody sees.
"""

import threading
import time
from collections.abc import Callable

from firmware.events import KEY, PART, Event

SAMPLE_S = 0.005
SETTLE_NS = 10_000
STABLE = 3

# A wait ends earlier by a change of level or by `close`; this only bounds it.
REST_S = 60.0


def ghosted(scan: frozenset) -> bool:
    """Whether two rows of this scan share two columns or more: one of its keys may not be there."""
    rows: dict = {}
    for row, column in scan:
        rows.setdefault(row, set()).add(column)
    held = list(rows.values())
    return any(len(held[one] & held[other]) > 1 for one in range(len(held)) for other in range(one))


class Presses:
    """Debounce: scans in, presses out. A key has changed when STABLE scans in a row say so."""

    def __init__(self):
        self.down: frozenset = frozenset()
        self._counts: dict = {}

    @property
    def settled(self) -> bool:
        """Whether no key is on its way between up and down."""
        return not self._counts

    def feed(self, scan: frozenset) -> list:
        """The keys that this scan proves pressed, as (row, column), in order of rows."""
        if ghosted(scan):
            self._counts = {}
            return []
        counts = {}
        changed = set()
        for key in scan ^ self.down:
            counts[key] = self._counts.get(key, 0) + 1
            if counts[key] == STABLE:
                changed.add(key)
                del counts[key]
        self._counts = counts
        pressed = sorted(changed - self.down)
        self.down = self.down ^ changed
        return pressed


class MatrixKeypad:
    """`firmware.ports.Keypad` on a matrix. A GPIO that fails is posted once as PART(0, ("keypad", "failed"))."""

    def __init__(self, post, part: dict, gpio):
        """part: rows, columns (pins) and keys (a tuple of names for each row); gpio: `wires.gpio()`."""
        self._post = post
        self._gpio = gpio
        self._rows = part["rows"]
        self._columns = part["columns"]
        self._keys = part["keys"]
        self._presses = Presses()
        self._taker: Callable[[str], None] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keypad", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def close(self) -> None:
        """Ends; no press is delivered after it."""
        self._closing.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._gpio.wake()
            self._thread.join()

    def borrow(self, taker: Callable[[str], None]) -> None:
        """From now on presses go to taker(name), from the driver's thread, and none is posted."""
        self._taker = taker

    def give_back(self) -> None:
        """Presses are posted again. A taker that is being called just now is not interrupted."""
        self._taker = None

    def _run(self):
        try:
            self._gpio.setup(self._columns, self._gpio.IN, pull_up_down=self._gpio.PUD_UP)
            self._rest()
            while not self._closing.is_set():
                self._look()
        except (OSError, RuntimeError):
            if not self._closing.is_set():
                self._post(Event(PART, 0, ("keypad", "failed")))

    def _look(self):
        """One look at the keys, and the pause until the next."""
        presses = self._presses
        idle = presses.settled and not presses.down
        if idle and not self._touched():
            self._gpio.wait_change(REST_S)
            return
        scan = self._scan()
        for key in presses.feed(scan):
            self._deliver(key, scan)
        if not presses.settled:
            self._closing.wait(SAMPLE_S)
            return
        if not presses.down:
            self._rest()
        self._gpio.wait_change(REST_S)

    def _deliver(self, key, scan):
        name = self._keys[key[0]][key[1]]
        taker = self._taker
        if taker is None:
            self._post(Event(KEY, 0, name))
        elif self._presses.down == scan == {key}:
            taker(name)

    def _rest(self):
        self._gpio.setup(self._rows, self._gpio.OUT, initial=self._gpio.LOW)

    def _touched(self):
        read = self._gpio.input
        return not all(read(column) for column in self._columns)

    def _scan(self):
        gpio = self._gpio
        gpio.setup(self._rows, gpio.IN, pull_up_down=gpio.PUD_UP)
        scan = []
        for row, pin in enumerate(self._rows):
            gpio.setup(pin, gpio.OUT, initial=gpio.LOW)
            settled = time.monotonic_ns() + SETTLE_NS
            while time.monotonic_ns() < settled:
                pass
            scan += [(row, column) for column, line in enumerate(self._columns) if not gpio.input(line)]
            gpio.setup(pin, gpio.IN, pull_up_down=gpio.PUD_UP)
        return frozenset(scan)
