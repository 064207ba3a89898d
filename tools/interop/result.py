"""What a comparison found."""

from __future__ import annotations

from typing import Any

SHOWN = 5


class Unavailable(Exception):
    """The peer is not here; the text says what to install."""


class Result:
    """One comparison with one peer: how much was compared, and what was not the same."""

    def __init__(self, name: str, note: str = "") -> None:
        self.name = name
        self.note = note
        self.messages = 0  # or keys, blocks: whatever one round is
        self.compared = 0
        self.wrong: list[str] = []
        self.seen: set[str] = set()

    def same(self, what: str, ours: Any, theirs: Any) -> bool:
        """Notes whether two values are the same. Random values are no secrets: they are shown."""
        self.compared += 1
        self.seen.add(what)
        if ours == theirs:
            return True
        self.wrong.append("%s: ours %r, theirs %r" % (what, ours, theirs))
        return False

    def line(self) -> str:
        state = "DIFFER" if self.wrong else "same"
        counts = (self.messages, self.compared, len(self.seen))
        return "%-6s %-32s %7d rounds %8d values of %3d kinds  %s" % (state, self.name, *counts, self.note)

    def details(self) -> list[str]:
        more = len(self.wrong) - SHOWN
        return ["         " + one for one in self.wrong[:SHOWN]] + (["         and %d more" % more] if more > 0 else [])
