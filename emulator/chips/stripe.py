"""A reader of magnetic stripes at the other end of its wire: it writes what is swiped, and hears nothing.

framing   what comes round the text of a swipe
stx       STX before, ETX behind
cr, lf    CR, or LF, behind each track
bare      nothing: the text ends when no more comes
"""

import os
import re
import struct
from collections.abc import Callable

FRAMINGS = ("stx", "cr", "lf", "bare")
TRACK = re.compile(rb"[^?]*\?|[^?]+")

# Linux's codes of the keys of a US keyboard (input-event-codes.h): plain and with shift.
PLAIN = {
    **{ord(char): 2 + at for at, char in enumerate("1234567890-=")},
    **{ord(char): 16 + at for at, char in enumerate("qwertyuiop[]")},
    **{ord(char): 30 + at for at, char in enumerate("asdfghjkl;'`")},
    **{ord(char): 43 + at for at, char in enumerate("\\zxcvbnm,./")},
    0x20: 57,
    0x0D: 28,
}
SHIFTED = {
    **{ord(char): 2 + at for at, char in enumerate("!@#$%^&*()_+")},
    **{ord(char): 16 + at for at, char in enumerate("QWERTYUIOP{}")},
    **{ord(char): 30 + at for at, char in enumerate('ASDFGHJKL:"~')},
    **{ord(char): 43 + at for at, char in enumerate("|ZXCVBNM<>?")},
}
LEFT_SHIFT = 42
EV_SYN, EV_KEY = 0, 1
EVENT = struct.Struct("llHHi")


def framed(text: bytes, framing: str) -> bytes:
    """The bytes of one swipe on the line."""
    if framing == "stx":
        return b"\x02" + text + b"\x03"
    if framing == "bare":
        return text
    end = b"\r" if framing == "cr" else b"\n"
    return b"".join(track + end for track in TRACK.findall(text))


def keystrokes(text: bytes) -> bytes:
    """The input events of a keyboard-like reader (struct input_event) that types the text."""
    events = []
    for char in text:
        keys = (PLAIN[char],) if char in PLAIN else (LEFT_SHIFT, SHIFTED[char])
        for value, order in ((1, keys), (0, keys[::-1])):
            for key in order:
                events += [EVENT.pack(0, 0, EV_KEY, key, value), EVENT.pack(0, 0, EV_SYN, 0, 0)]
    return b"".join(events)


class StripeChip:
    """Writes to the master of a raw pty. log(kind, text): lines without any card data."""

    def __init__(self, fd: int, framing: str = "stx", log: Callable[[str, str], None] | None = None) -> None:
        if framing not in FRAMINGS:
            raise ValueError(f"stripe: {framing!r} is none of {', '.join(FRAMINGS)}")
        self.fd, self.framing = fd, framing
        self.silent = False  # the line is dead
        self._log = log or (lambda kind, text: None)

    def swipe(self, text: "str | bytes") -> None:
        """A card is drawn through; text as the reader sends it ("%B...?;...?"), without framing."""
        data = text.encode("ascii", "replace") if isinstance(text, str) else bytes(text)
        self._log("card", f"swiped, {len(data)} characters")
        self.send(framed(data, self.framing))

    def send(self, data: bytes) -> None:
        """Bytes as they are: noise."""
        if not self.silent:
            os.write(self.fd, data)

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """The pty is somebody else's."""
