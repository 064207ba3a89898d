"""The technician's log in memory, bounded."""

from collections import deque


class StandIn:
    """`ports.Log`: `lines` holds the newest entries as (world time in ms, text)."""

    def __init__(self, world, keep=1000):
        self._world = world
        self.lines: deque[tuple[int, str]] = deque(maxlen=keep)

    def line(self, text: str) -> None:
        self.lines.append((self._world.now_ms(), str(text)))
