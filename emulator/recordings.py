"""Recorded cards on the bench: one that comes from a file, and one that is taken down into a file while it is used.

    order(path)      the card that is used next is taken down
    around(...)      what goes to the reader in a card's place: the card itself, or a recorder round it
    begun(there)     it is at the reader, and `there` tells whether it still is
    look()           it may have left: then the file is written
    complain()       whoever has moved the card is told that the file could not be written

A card may leave in a thread of the reader's, where nobody can be told: so `look` never raises, and the next hand hears it.
What is in a file, and what is masked in it, is the business of `cards/recorded.py`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulator.cards import recorded
from emulator.cards.recorded import RecordedCard, Recorder, RecordError


def opened(path: str | os.PathLike[str]) -> RecordedCard:
    """The card in a file, called as the file is; of several the first. ValueError names the file, and what is wrong."""
    path = Path(path)
    try:
        card = recorded.load(path)
    except RecordError as error:
        raise ValueError(f"{path.name}: {str(error).removeprefix(path.name + ': ')}") from None
    except OSError as error:
        raise ValueError(f"{path.name}: {error.strerror or 'cannot be read'}") from None
    card.name = path.name
    return card


class Tape:
    """One recording at a time. Every method may be called from any thread.

    told    told in one line what became of a recording; nothing of the card but its name
    """

    def __init__(self, told: Callable[[str], object] = lambda text: None) -> None:
        self._told = told
        self._lock = threading.RLock()
        self._path: Path | None = None
        self._taken: tuple[str, Recorder] | None = None
        self._there: Callable[[], bool] | None = None
        self._failure = ""

    def order(self, path: str | os.PathLike[str]) -> None:
        """The next card is taken down into this file. ValueError where that cannot be."""
        path = Path(path)
        if not path.parent.is_dir():
            raise ValueError(f"{path.name}: no such folder")
        with self._lock:
            self.look()
            if self._taken:
                raise ValueError(f"{self._taken[0]} is being recorded")
            self._path = path

    def around(self, name: str, face: Any) -> Any:
        """The face of a card (its chip, or what it is in the field), recorded if that was ordered."""
        with self._lock:
            if self._path is None or self._taken:
                return face
            recorder = Recorder(face)
            self._taken = (name, recorder)
            return recorder

    def begun(self, there: Callable[[], bool]) -> None:
        """The face that was given last is at its place, as long as `there` says so."""
        with self._lock:
            if self._taken and self._there is None:
                self._there = there
        self.look()

    def look(self) -> None:
        """Writes the file if the card has left."""
        with self._lock:
            if self._there is not None and not self._there():
                self._end()

    def complain(self) -> None:
        """Raises ValueError once for a file that could not be written."""
        with self._lock:
            failure, self._failure = self._failure, ""
        if failure:
            raise ValueError(failure)

    def close(self) -> None:
        """The card is taken away, wherever it is."""
        with self._lock:
            self._end()
            self._path = None

    def _end(self) -> None:
        taken, self._taken, self._there = self._taken, None, None
        path = self._path
        if taken is None or path is None:
            return
        name, pairs = taken[0], list(taken[1].pairs)
        if not pairs:  # the order stands: nobody has asked this card anything
            return
        self._path = None
        masked = not recorded.may_show(pairs)
        try:
            recorded.save(path, pairs, name, masked)
        except OSError as error:
            self._failure = f"{path.name}: {error.strerror or 'cannot be written'}"
            self._told(f"{name} is not recorded: {self._failure}")
            return
        self._told(f"{name} is recorded in {path.name}, {len(pairs)} commands, {'masked' if masked else 'as it is'}")
