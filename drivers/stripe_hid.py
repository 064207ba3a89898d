"""A reader of magnetic stripes that says it is a keyboard and types what was swiped (`ports.Stripe`).

The kernel gives its key presses as events at /dev/input. The device is taken for this program alone (EVIOCGRAB): else
a card's data would also be typed into whatever console there is. It types as on a US keyboard: LAYOUT, by key code.
Sources: linux/input.h, linux/input-event-codes.h.
"""

import fcntl
import os
import struct
from collections.abc import Callable

from drivers.stripe import Reader
from firmware.events import Event

EVENT = struct.Struct("llHHi")
EV_KEY = 1
EVIOCGRAB = 0x40044590
SHIFTS = (42, 54)
CAPS_LOCK = 58
ENTERS = (28, 96)

# first code of a run of keys: the characters, plain and with shift
RUNS = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
)
LAYOUT = {start + at: pair for start, plain, shifted in RUNS for at, pair in enumerate(zip(plain, shifted, strict=True))}
# The number pad, whatever its lock says.
KEYPAD = {code: char for start, chars in ((71, "789-456+1230."), (98, "/"), (55, "*")) for code, char in enumerate(chars, start)}


class Typist:
    """Key events in, text out: struct input_event bytes, in any portions; sans I/O."""

    def __init__(self) -> None:
        self._rest = b""
        self._down: set[int] = set()
        self._caps = False

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data
        whole = len(data) // EVENT.size * EVENT.size
        self._rest = data[whole:]
        text = bytearray()
        for _, _, kind, code, value in EVENT.iter_unpack(data[:whole]):
            if kind == EV_KEY:
                text += self._key(code, value)
        return bytes(text)

    def _key(self, code, value):
        """value: 1 pressed, 0 let go, 2 repeated by the kernel because it is held."""
        if code in SHIFTS:
            self._down.discard(code)
            if value:
                self._down.add(code)
            return b""
        if value != 1:
            return b""
        if code == CAPS_LOCK:
            self._caps = not self._caps
            return b""
        if code in ENTERS:
            return b"\r"
        if code in KEYPAD:
            return KEYPAD[code].encode()
        plain, shifted = LAYOUT.get(code, ("", ""))
        upper = bool(self._down) != (self._caps and plain.isalpha())
        return (shifted if upper else plain).encode()


class HidStripe(Reader):
    """`ports.Stripe`.

    post     takes events, from any thread
    part     its part of the board: "node", the path of the input device
    """

    def __init__(self, post: Callable[[Event], None], part: dict) -> None:
        super().__init__(post)
        self._path = part["node"]
        self._device = -1
        self._typist = Typist()

    def _open(self):
        self._device = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._grab(self._device)
        except OSError:
            self._shut()
            raise PermissionError("somebody else reads it too") from None
        self._typist = Typist()
        return self._device

    def _grab(self, fd: int) -> None:
        """Takes the device for us alone."""
        fcntl.ioctl(fd, EVIOCGRAB, 1)

    def _shut(self):
        if self._device >= 0:
            os.close(self._device)
            self._device = -1

    def _take(self, data):
        return self._typist.feed(data)
