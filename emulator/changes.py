"""What changed on the bench, numbered, so that nobody has to look twice.

Every face shows the same device and none of them polls. Each change gets the next number and is filed under a
section ("screen", "paper", "log", ...). A face remembers the number it has seen and waits for a higher one:

    number = changes.wait(number, 25)          # returns at once when something newer is there
    changes.newer(number)                      # which sections to draw again

`until(check, seconds)` is the same for a condition: it is looked at when something changed, never on a timer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Changes:
    def __init__(self, sections: tuple[str, ...]) -> None:
        self._condition = threading.Condition()
        self._number = 1
        self._sections = dict.fromkeys(sections, 1)
        self._closed = False

    @property
    def number(self) -> int:
        return self._number

    def touch(self, section: str) -> int:
        """Something in the section is new. Returns the number it was given; safe from any thread."""
        with self._condition:
            self._number += 1
            self._sections[section] = self._number
            self._condition.notify_all()
            return self._number

    def newer(self, number: int) -> list[str]:
        """The sections changed after this number."""
        with self._condition:
            return [name for name, changed in self._sections.items() if changed > number]

    def of(self, section: str) -> int:
        """The number of the section's last change."""
        return self._sections[section]

    def wait(self, number: int, seconds: float) -> int:
        """Waits until something is newer than `number`, or the seconds are over. Returns the number now."""
        with self._condition:
            self._condition.wait_for(lambda: self._number > number or self._closed, seconds)
            return self._number

    def until(self, check: Callable[[], object], seconds: float) -> bool:
        """Waits until `check()` is true; looks again after each change. False when the seconds are over first."""
        end = time.monotonic() + seconds
        while True:
            number = self._number
            if check():
                return True
            left = end - time.monotonic()
            if left <= 0 or self._closed:
                return False
            self.wait(number, left)

    def close(self) -> None:
        """Lets everybody go who waits."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
