"""The loop: the next event or deadline, to completion, and again.

`inbox.wait(ms)` is the only place where the firmware waits. It returns an Event, or None when nothing came in that
time; ms None means for ever.
"""

from firmware.events import CLOCK_JUMP, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from firmware.machine import Machine
    from firmware.ports import Clock, Watchdog

    class Inbox(Protocol):
        def wait(self, ms: "int | None") -> "Event | None": ...


JUMP_MS = 2_000  # the board's clock has one second of grain, and adjtime moves it slowly


class ClockWatch:
    """Notices that somebody set the board's clock: its distance to the monotonic one has changed."""

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._distance = self._measure()

    def _measure(self) -> int:
        return self._clock.utc_s() * 1000 - self._clock.ticks_ms()

    def jump(self) -> int:
        """Milliseconds that the clock jumped since the last look, 0 when it did not."""
        change = self._measure() - self._distance
        if -JUMP_MS < change < JUMP_MS:
            return 0
        self._distance += change
        return change


def run(machine: "Machine", inbox: "Inbox", clock: "Clock", watchdog: "Watchdog | None" = None) -> None:
    """Runs until the machine has stopped. Nothing is raised but what a strict machine raises."""
    watch = ClockWatch(clock)
    if watchdog is not None:
        watchdog.ready()
    while not machine.stopped:
        wait = machine.tick()
        if machine.stopped:
            break
        if watchdog is not None and watchdog.interval_ms:
            watchdog.feed()
            wait = watchdog.interval_ms if wait is None else min(wait, watchdog.interval_ms)
        event = inbox.wait(wait)
        jump = watch.jump()
        if jump:
            machine.handle(Event(CLOCK_JUMP, 0, jump))
        if event is not None:
            machine.handle(event)
    if watchdog is not None:
        watchdog.stopping()
