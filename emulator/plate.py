"""What lies on the reader: no card, one, or two that disturb each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from emulator.chips.pn532 import Pn532Chip

MOST = 2


class Plate:
    """The top of the reader. Every method may be called from any thread.

    card(name)    the card of the name; ValueError when there is none
    touch()       told that something was laid down or taken away
    """

    def __init__(self, reader: Pn532Chip, card: Callable[[str], Any], touch: Callable[[], object]) -> None:
        self._reader = reader
        self._card = card
        self._touch = touch
        self._names: list[str] = []
        self._lock = threading.RLock()

    @property
    def names(self) -> list[str]:
        """The cards that lie there, the first one first. Never waits for a hand."""
        return list(self._names)

    def tap(self, name: str) -> None:
        """Puts this card, and no other, on the reader."""
        with self._lock:
            card = self._card(name)
            self._take_away(list(self._names))
            self._put(name, card)

    def second(self, name: str) -> None:
        """Lays another card beside the one on the reader."""
        with self._lock:
            if not self._names:
                raise ValueError("there is no first card on the reader")
            self.place(name)

    def place(self, name: str) -> None:
        """Lays a card on the reader, beside what lies there. ValueError when there is no room or it lies there."""
        with self._lock:
            card = self._card(name)
            if name in self._names:
                raise ValueError(f"{name} is on the reader already")
            if len(self._names) == MOST:
                raise ValueError("two cards are on the reader already")
            self._put(name, card)

    def remove(self, name: str | None = None) -> None:
        """Takes a card, or all of them, off the reader."""
        with self._lock:
            if name is None:
                self._take_away(list(self._names))
                return
            self._card(name)
            if name not in self._names:
                raise ValueError(f"{name} is not on the reader")
            self._take_away([name])

    def _put(self, name: str, card: Any) -> None:
        self._names.append(name)
        self._reader.place(card)
        self._touch()

    def _take_away(self, names: list[str]) -> None:
        for name in names:
            self._names.remove(name)
            self._reader.remove(self._card(name))
        if names:
            self._touch()
