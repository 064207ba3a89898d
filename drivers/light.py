"""Four lamps on GPIO pins, as EMV's card-processing sequence has them (Book A, 9.3): idle, ready, reading, done. The
last one is also the red one of the errors. How long a flash takes was not checked against the book.
"""

import threading
from functools import partial

# Name: which of the four are lit.
PATTERNS = {
    "off": (0, 0, 0, 0),
    "idle": (1, 0, 0, 0),
    "ready": (1, 0, 0, 0),
    "reading": (1, 1, 0, 0),
    "done": (1, 1, 1, 1),
    "error": (0, 0, 0, 1),
}
BLINKING = "idle"
BLINK_ON_MS = 200
BLINK_PERIOD_MS = 5000


class Lamps:
    """`firmware.ports.Light` on four pins."""

    def __init__(self, post, part: dict, gpio):
        """part: pins, and active_low where a lamp is lit by a low level; gpio: `wires.gpio()`. Posts nothing."""
        self._gpio = gpio
        self._pins = part["pins"]
        self._active_low = part.get("active_low", False)
        self._name = "off"
        self._shown = 0
        self._closing = False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._blink, name="light", daemon=True)

    def start(self) -> None:
        """Makes the pins outputs, dark."""
        self._gpio.setup(self._pins, self._gpio.OUT, initial=int(self._active_low))
        self._thread.start()

    def show(self, name: str) -> None:
        """Shows a pattern of PATTERNS until the next. ValueError for a name that is none."""
        if name not in PATTERNS:
            raise ValueError("no pattern %r" % (name,))
        with self._turn:
            if name == self._name:
                return
            self._name = name
            self._shown += 1
            self._light(True)
            self._turn.notify()

    def close(self) -> None:
        """Dark."""
        self.show("off")
        with self._turn:
            self._closing = True
            self._turn.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _light(self, lit):
        levels = PATTERNS[self._name] if lit else PATTERNS["off"]
        self._gpio.output(self._pins, [level ^ self._active_low for level in levels])

    def _blink(self):
        """Sleeps until a pattern blinks; then until the next edge of the blinking or the next pattern."""
        with self._turn:
            while not self._closing:
                moved = partial(self._moved, self._shown)
                lit = True
                while not self._turn.wait_for(moved, self._pause_s(lit)):
                    lit = not lit
                    self._light(lit)

    def _moved(self, shown):
        return self._closing or self._shown != shown

    def _pause_s(self, lit):
        if self._name != BLINKING:
            return None
        return (BLINK_ON_MS if lit else BLINK_PERIOD_MS - BLINK_ON_MS) / 1000
