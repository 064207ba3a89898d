"""The lamps in process: what is lit, by the driver's table of patterns."""

from drivers.light import BLINK_ON_MS, BLINK_PERIOD_MS, BLINKING, PATTERNS


class StandIn:
    """`ports.Light`. `name`: the pattern shown; `levels`: which of the four are lit now."""

    def __init__(self, world):
        self._world = world
        self._since_ms = 0
        self.name = "off"

    @property
    def levels(self) -> tuple:
        lit = self.name != BLINKING or (self._world.now_ms() - self._since_ms) % BLINK_PERIOD_MS < BLINK_ON_MS
        return tuple(bool(level) and lit for level in PATTERNS[self.name])

    def show(self, name: str) -> None:
        if name not in PATTERNS:
            raise ValueError("no pattern %r" % (name,))
        if name != self.name:
            self.name = name
            self._since_ms = self._world.now_ms()
