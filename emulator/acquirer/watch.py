"""The acquirer with its last messages kept, for whoever looks on.

What is kept is what came and went, as it was unpacked; it is decoded and masked when somebody asks for it, so that a thousand
terminals cost nothing while nobody looks. `Watched.changes` wakes who waits (`emulator/changes.py`): "traffic" with each
message, "rules" and "line" when a person has changed them.
"""

import threading
from collections import deque
from typing import Any

from emulator.acquirer.core import Acquirer
from emulator.changes import Changes
from firmware.iso8583 import describe
from firmware.iso8583.frame import Frame

KEPT = 500
SECTIONS = ("traffic", "rules", "line")
IN, OUT, CLOSED = "in", "out", "closed"
_WAYS = {"→": IN, "←": OUT}
_TITLE = (3, 22, 25, 39, 60)  # fields that a message's title is made of, and its code


class Heard:
    """One message, or the end of a connection. Its text shows nothing of it.

    way     IN, OUT, CLOSED             number   rising, with gaps
    note    what a rule bent, or why a connection was closed
    code    field 39, "" without
    """

    def __init__(self, number: int, at_s: float, way: str, mti: str, fields: "dict[int, Any]", note: str) -> None:
        self.number, self.at_s, self.way, self.note = number, at_s, way, note
        self._mti, self._fields = mti, fields

    def __repr__(self) -> str:
        return f"<Heard {self.number} {self.way} {self._mti}>"

    @property
    def title(self) -> "tuple[str, str]":
        """What it is, in Chinese and English."""
        return describe.title(self._mti, self._fields)

    @property
    def code(self) -> str:
        return self._fields.get(39, "")

    def shortened(self) -> "Heard":
        """No more than title and code."""
        fields = {field: self._fields[field] for field in _TITLE if field in self._fields}
        return Heard(self.number, self.at_s, self.way, self._mti, fields, self.note)

    def as_json(self) -> "dict[str, Any]":
        """{"number", "at_ms": since 1970, "way", "note"}, and of a message {"mti", "terminal", "trace", "amount_fen", "code",
        "title": [Chinese, English], "lines": every field, masked}."""
        told: dict[str, Any] = {"number": self.number, "at_ms": round(self.at_s * 1000), "way": self.way, "note": self.note}
        if self._mti:
            fields = self._fields
            lines = describe.describe_fields(self._mti, fields, decode=lambda data: data.decode("gb18030", "replace"))
            told |= {
                "mti": self._mti,
                "terminal": fields.get(41, ""),
                "trace": fields.get(11, ""),
                "amount_fen": int(fields[4]) if fields.get(4, "").isdigit() else None,
                "code": self.code,
                "title": list(self.title),
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
        self._lock = threading.Lock()  # a number is given and its message kept in one
        self._seen: dict[str, Heard] = {}
        super().__init__(*given, **named)

    def tell(self, way: str, mti: str, fields: "dict[int, Any]", note: str = "") -> None:
        super().tell(way, mti, fields, note)
        heard = self._keep(_WAYS[way], mti, dict(fields), note)
        number = fields.get(41, "")
        if heard.way == OUT and self.books.terminal(number):
            with self._lock:
                self._seen[number] = heard.shortened()

    def broken(self, why: object) -> "list[tuple[int, bytes | None]]":
        self._keep(CLOSED, "", {}, str(why))
        return super().broken(why)

    def answer(self, got: Frame) -> "list[tuple[int, bytes | None]]":
        answers = super().answer(got)
        if not answers or answers[-1][1] is None:
            self.changes.touch("traffic")  # a `next` may have been used up without a word
        return answers

    def _keep(self, way, mti, fields, note):
        with self._lock:
            heard = Heard(self.changes.touch("traffic"), self.clock(), way, mti, fields, note)
            self._kept.append(heard)
        return heard

    def heard(self, since: int = 0) -> "list[Heard]":
        """What is kept with a higher number, oldest first."""
        newer = []
        with self._lock:
            for one in reversed(self._kept):
                if one.number <= since:
                    break
                newer.append(one)
        return newer[::-1]

    def recent(self) -> "list[str]":
        """The numbers of the terminals that were answered since this host was started, the last one first."""
        with self._lock:
            seen = list(self._seen.items())
        return [number for number, one in sorted(seen, key=lambda pair: -pair[1].number)]

    def seen(self, number: str) -> "Heard | None":
        """What a terminal was last answered since this host was started: title, code and time of it."""
        return self._seen.get(number)
