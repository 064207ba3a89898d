"""A buzzer on a PWM pin.

Tones are a table. `card` and `alert` are the success and the alert tone of EMV's card-processing sequence (Book A,
9.3; the figures are as commonly quoted and were not checked against the book): 1500 Hz for half a second, 750 Hz
twice for 200 ms. The newest tone ends the one before, but the click of a key does not cut into another tone.
"""

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Name: notes of (Hz, ms); 0 Hz is silence.
TONES = {
    "key": ((2700, 25),),
    "card": ((1500, 500),),
    "ok": ((1500, 120), (0, 50), (2000, 220)),
    "alert": ((750, 200), (0, 200), (750, 200)),
    "error": ((400, 350), (0, 150), (400, 350)),
}
CLICK = "key"
LOUD_PERCENT = 50


class PwmBuzzer:
    """`firmware.ports.Sound` on RPi.GPIO's software PWM."""

    def __init__(self, post, part: dict, gpio):
        """part: pin; gpio: `wires.gpio()`. Posts nothing."""
        self._gpio = gpio
        self._pin = part["pin"]
        self._pwm: Any = None
        self._wanted: str | None = None
        self._playing: str | None = None
        self._closing = False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="sound", daemon=True)

    def start(self) -> None:
        """Makes the pin an output, silent."""
        self._gpio.setup(self._pin, self._gpio.OUT, initial=self._gpio.LOW)
        self._pwm = self._gpio.PWM(self._pin, TONES[CLICK][0][0])
        self._thread.start()

    def play(self, name: str) -> None:
        """Plays a tone of TONES. Returns at once. ValueError for a name that is none."""
        if name not in TONES:
            raise ValueError("no tone %r" % (name,))
        with self._turn:
            if name == CLICK and (self._wanted or self._playing or CLICK) != CLICK:
                return
            self._wanted = name
            self._turn.notify()

    def close(self) -> None:
        """Silence."""
        with self._turn:
            self._closing = True
            self._turn.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self):
        with self._turn:
            while not self._closing:
                self._playing, self._wanted = self._wanted, None
                if self._playing is None:
                    self._turn.wait()
                    continue
                for hz, ms in TONES[self._playing]:
                    self._sound(hz)
                    if self._turn.wait_for(self._interrupted, ms / 1000):
                        break
                self._sound(0)

    def _interrupted(self):
        return self._wanted or self._closing

    def _sound(self, hz):
        if hz:
            self._pwm.ChangeFrequency(hz)
            self._pwm.start(LOUD_PERCENT)
        else:
            self._pwm.stop()
            # A buzzer left at high would carry direct current.
            self._gpio.output(self._pin, self._gpio.LOW)
