"""The paper in the printer: the dots that the head has burnt, and what a person can read of them.

58 mm paper; the head burns 384 dots across, 8 to the millimetre. The strip grows at its lower end until somebody
tears it off; what hangs out longer than three metres is lost from its upper end.
"""

import threading
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from drivers import picture

DOTS = 384
ROW = DOTS // 8
LONGEST = 24_000  # rows: three metres

MARGIN = 40  # dots of bare paper at each side: 58 mm of paper around 48 mm of print
PAPER = (252, 250, 243)
INK = (38, 36, 44)
TOOTH = 6  # the torn edge


class Piece(NamedTuple):
    number: int
    png: bytes
    text: str


class Paper:
    """A strip of paper. `version` changes with each change of it; `on_change` is called after one, from any thread."""

    def __init__(self, on_change=None):
        self.on_change = on_change or (lambda: None)
        self.version = 0
        self._lock = threading.Lock()
        self._rows = bytearray()
        self._lines: deque = deque()  # (row where it begins, text), rows counted from the first ever printed
        self._lost = 0  # rows that are no longer there
        self._drawn = (None, b"")

    # The head's side.

    def print(self, rows: list[bytes], text: str | None = None) -> None:
        """Burns rows of 48 bytes, 1 is black; `text` is what they say."""
        self._grow(b"".join(rows), text)

    def feed(self, dots: int, text: str | None = None) -> None:
        """Moves on without burning."""
        self._grow(bytes(ROW * dots), text)

    def _grow(self, rows, text):
        with self._lock:
            if text is not None:
                self._lines.append((self._lost + len(self._rows) // ROW, text))
            self._rows += rows
            surplus = len(self._rows) // ROW - LONGEST
            if surplus > 0:
                del self._rows[: surplus * ROW]
                self._lost += surplus
                while self._lines and self._lines[0][0] < self._lost:
                    self._lines.popleft()
            self.version += 1
        self.on_change()

    # A person's side.

    @property
    def rows(self) -> int:
        """Length in dots."""
        return len(self._rows) // ROW

    @property
    def text(self) -> str:
        """What can be read, line by line, as far to the right as it is printed."""
        with self._lock:
            return "\n".join(text for _, text in self._lines)

    def image(self):
        """The dots as an image of mode "1", 384 wide, at least 1 high; 0 is burnt."""
        with self._lock:
            rows = bytes(self._rows) or bytes(ROW)
        return picture.burnt(rows, DOTS)

    def png(self) -> bytes:
        """The strip as it looks, with its margins and its torn edges, as a PNG file with transparent surroundings."""
        version, png = self._drawn
        if version != self.version:
            version = self.version
            png = picture.strip_png(self.image(), MARGIN, TOOTH, PAPER, INK)
            self._drawn = (version, png)
        return png

    def tear(self) -> "Paper":
        """Tears the strip off; what was torn off is a paper of its own."""
        torn = Paper()
        with self._lock:
            torn._rows, self._rows = self._rows, bytearray()
            torn._lines, self._lines = self._lines, deque()
            self._lost = 0
            self.version += 1
        self.on_change()
        return torn


class Pieces:
    """The last pieces torn off a strip, numbered from 1."""

    def __init__(self, kept: int) -> None:
        self._pieces: deque[Piece] = deque(maxlen=kept)
        self._count = 0

    def add(self, paper: Paper) -> None:
        """Keeps what was torn off, unless nothing was."""
        if paper.rows:
            self._count += 1
            self._pieces.append(Piece(self._count, paper.png(), paper.text))

    def __iter__(self) -> "Iterator[Piece]":
        return iter(list(self._pieces))

    def png(self, number: int) -> bytes:
        """The picture of one piece. LookupError when it is not kept."""
        for piece in self:
            if piece.number == number:
                return piece.png
        raise LookupError("that piece of paper is not kept")
