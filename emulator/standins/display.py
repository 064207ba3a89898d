"""The display port without a panel: it keeps the screen instead of drawing it.

It behaves as `drivers/display.py` does on an emulated chip; `tests/contracts/test_display.py` holds both to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from firmware.events import PART, Event

if TYPE_CHECKING:
    from firmware.screens import Screen


class StandIn:
    """A display port in one process.

    screen      the last screen asked for; None before the first.
    visible     the screen that a person sees: None while asleep, gone or before the first.
    shown       how many different pictures were drawn.
    level       the contrast asked for, or None.
    absent      fault: set it, and the panel answers no more; clear it, and it is found within `retry_ms`.
    """

    retry_ms = 1000

    def __init__(self, world: Any, size: tuple[int, int] = (128, 64)) -> None:
        self.size = size
        self.chinese = True
        self.state = "starting"
        self.screen: Screen | None = None
        self.shown = 0
        self.level: int | None = None
        self.asleep = False
        self.absent = False
        self._world = world

    @property
    def visible(self) -> Screen | None:
        return None if self.asleep or self.absent or self.state != "ready" else self.screen

    def show(self, screen: Screen) -> None:
        """Keeps the screen; the same one again costs nothing."""
        if screen != self.screen:
            self.screen = screen
            if self._answers():
                self.shown += 1

    def contrast(self, level: int) -> None:
        """Brightness, 0..255. Raises ValueError beyond."""
        if not 0 <= level <= 255:
            raise ValueError("contrast is 0..255, not %r" % level)
        self.level = level
        self._answers()

    def sleep(self) -> None:
        self.asleep = True
        self._answers()

    def wake(self) -> None:
        self.asleep = False
        self._answers()

    def _answers(self) -> bool:
        """Whether the panel is there; one PART event when it is found missing."""
        if self.state == "gone":
            return False
        if not self.absent:
            self.state = "ready"
            return True
        self.state = "gone"
        self._world.post(Event(PART, 0, ("display", "gone")))
        self._world.later(self.retry_ms, self._ask_again)
        return False

    def _ask_again(self) -> None:
        if self.absent:
            self._world.later(self.retry_ms, self._ask_again)
            return
        self.state = "ready"
        if self.screen is not None:
            self.shown += 1
        self._world.post(Event(PART, 0, ("display", "ready")))
