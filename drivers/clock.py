"""The system's clocks as the clock port. The wall clock may be wrong: a board without a battery starts in the past."""

import time


class SystemClock:
    """`ports.Clock`: the kernel's monotonic clock, and the wall clock as the system has it."""

    def __init__(self, post, part):
        pass

    def ticks_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def utc_s(self) -> int:
        return int(time.time())

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to end."""
