"""A supervisor that only watches: it notes what it is told and can say whether it would have struck."""


class StandIn:
    """`ports.Watchdog` in virtual time. `interval_ms` is settable; 0 means that nobody supervises."""

    def __init__(self, world, interval_ms=10_000):
        self._world = world
        self.interval_ms = interval_ms
        self.told = ""  # the last status
        self.is_ready = False
        self.is_stopping = False
        self.fed = 0
        self.longest_hunger_ms = 0
        self._last_ms = world.now_ms()

    def ready(self) -> None:
        self.is_ready = True
        self._last_ms = self._world.now_ms()

    def feed(self) -> None:
        self.fed += 1
        self._eat()

    def status(self, text: str) -> None:
        self.told = " ".join(text.split())

    def stopping(self) -> None:
        self.is_stopping = True

    def struck(self) -> bool:
        """Whether a real supervisor would have killed the process by now: it bears twice the interval."""
        if self.interval_ms == 0 or not self.is_ready:
            return False
        hunger = max(self.longest_hunger_ms, self._world.now_ms() - self._last_ms)
        return hunger > 2 * self.interval_ms

    def _eat(self) -> None:
        now = self._world.now_ms()
        if self.is_ready:
            self.longest_hunger_ms = max(self.longest_hunger_ms, now - self._last_ms)
        self._last_ms = now
