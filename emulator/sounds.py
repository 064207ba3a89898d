"""What the buzzer sounded: the last tones, each with its pitch and how long it was heard."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

KEPT = 32


class Sound(NamedTuple):
    number: int
    hz: int
    ms: int


class Sounds:
    """The last tones. `touch` gives each its number: rising, and shared with everything else that changes."""

    def __init__(self, touch: Callable[[], int]) -> None:
        self._touch = touch
        self._last: deque[Sound] = deque(maxlen=KEPT)
        self._sounding: tuple[int, float] | None = None

    def heard(self, on: bool, hz: int) -> None:
        """The buzzer begins a tone, changes it or falls silent."""
        now = time.monotonic()
        if self._sounding:
            tone, start = self._sounding
            self._last.append(Sound(self._touch(), tone, round((now - start) * 1000)))
        self._sounding = (hz, now) if on else None
        self._touch()

    @property
    def last(self) -> list[Sound]:
        """Oldest first; a tone is there when it has ended."""
        return list(self._last)
