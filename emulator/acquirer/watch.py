"""The acquirer with its last messages kept, for whoever looks on.

What is kept is what came and went, as it was unpacked; it is decoded and masked when somebody asks for it, so that a thousand
terminals cost nothing while nobody looks. `Watched.changes` wakes who waits (`emulator/changes.py`): "traffic" with each
message, "rules" and "line" when a person has changed them.
"""

import time
from collections import deque
from typing import Any, NamedTuple

from emulator.acquirer.core import Acquirer
from emulator.changes import Changes
from firmware.iso8583 import describe
from firmware.iso8583.frame import Frame

KEPT = 500
SECTIONS = ("traffic", "rules", "line")
IN, OUT, CLOSED = "in", "out", "closed"
_WAYS = {"→": IN, "←": OUT}


class Seen(NamedTuple):
    """What a terminal did last: when, what (Chinese, English), and the answer's code, "" where it has none."""

    at_s: float
    title: tuple[str, str]
    code: str


class Heard:
    """One message, or the end of a connection. Its text shows nothing of it.

    way     IN, OUT, CLOSED             number   rising, with gaps
    note    what a rule bent, or why a connection was closed
    """

    def __init__(self, number: int, at_s: float, way: str, mti: str, fields: "dict[int, Any]", note: str) -> None:
        self.number, self.at_s, self.way, self.note = number, at_s, way, note
        self._mti, self._fields = mti, fields

    def __repr__(self) -> str:
        return f"<Heard {self.number} {self.way} {self._mti}>"

    def as_json(self) -> "dict[str, Any]":
        """{"number", "at_ms": since 1970, "way", "note", "mti", "terminal", "trace", "code", "title": [Chinese, English],
        "lines": every field, masked}."""
        told: dict[str, Any] = {"number": self.number, "at_ms": round(self.at_s * 1000), "way": self.way, "note": self.note}
        if self._mti:
            fields = self._fields
            lines = describe.describe_fields(self._mti, fields, decode=lambda data: data.decode("gb18030", "replace"))
            told |= {
                "mti": self._mti,
                "terminal": fields.get(41, ""),
                "trace": fields.get(11, ""),
                "code": fields.get(39, ""),
                "title": list(describe.title(self._mti, fields)),
                "lines": lines[1:],
            }
        return told


class Watched(Acquirer):
    """The host and the last KEPT of what it heard and said.

    changes    emulator.changes.Changes of SECTIONS
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        self.changes = Changes(SECTIONS)
        self._kept: deque[Heard] = deque(maxlen=KEPT)
        self._seen: dict[str, Seen] = {}
        super().__init__(*given, **named)

    def tell(self, way: str, mti: str, fields: "dict[int, Any]", note: str = "") -> None:
        super().tell(way, mti, fields, note)
        self._keep(_WAYS[way], mti, dict(fields), note)
        number = fields.get(41, "")
        if _WAYS[way] == OUT and self.books.terminal(number):
            self._seen[number] = Seen(time.time(), describe.title(mti, fields), fields.get(39, ""))

    def broken(self, why: object) -> "list[tuple[int, bytes | None]]":
        self._keep(CLOSED, "", {}, str(why))
        return super().broken(why)

    def answer(self, got: Frame) -> "list[tuple[int, bytes | None]]":
        answers = super().answer(got)
        if not answers or answers[-1][1] is None:
            self.changes.touch("traffic")  # a `next` may have been used up without a word
        return answers

    def _keep(self, way, mti, fields, note):
        self._kept.append(Heard(self.changes.touch("traffic"), time.time(), way, mti, fields, note))

    def heard(self, since: int = 0) -> "list[Heard]":
        """What is kept with a higher number, oldest first."""
        newer = []
        for one in reversed(list(self._kept)):
            if one.number <= since:
                break
            newer.append(one)
        return newer[::-1]

    def seen(self, number: str) -> "Seen | None":
        """What a terminal was last answered since this host was started."""
        return self._seen.get(number)
