"""Fingers on the keypad: what is to be typed, and how long a person's finger stays on a key.

    text        ->  keys
    "01 ENTER"      0 1 ENTER
    "0000"          0 0 0 0
    ". 确认"        00 ENTER
    "PIN:debit"     the PIN of that card, as its holder knows it
    "CARD:debit"    its number, and "EXPIRY:debit" month and year, as they stand on it

Digits are typed one by one; the key 00 is "." or "*", as on the page's keyboard. Names are those of
`firmware.events.KEYS`, or the Chinese words on the keys.

The firmware debounces and may be late on a busy machine, so a finger does not count milliseconds: it stays down until
the keypad has made up its mind, and the next one comes when the keypad is at rest again. Both can be seen on the wires
(`Keypad`).
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers.gpio_page import WAKE_NAME, open_pipe, ring
from emulator.changes import Changes
from firmware.events import BACK, CANCEL, CLEAR, CONFIRM, DIGITS, DOUBLE_ZERO, DOWN, KEYS

if TYPE_CHECKING:
    from emulator.chips.gpio import KeyMatrix
    from emulator.wires import Wires

DECIDE_S = 5.0  # no driver thinks longer about a key, however busy the machine is
REST_S = 5.0  # a keypad that does not come to rest for so long is not there
LOOK_S = 0.001
MOST_KEYS = 500

NAMES = {name: name for name in KEYS if not name.isdigit()} | {
    ".": DOUBLE_ZERO, "*": DOUBLE_ZERO, "确认": CONFIRM, "取消": CANCEL, "清除": CLEAR, "退格": BACK, "▼": DOWN,
}  # fmt: skip


def keys_of(text: str, pin: Callable[[str], str], face: Callable[[str], tuple[str, str]] | None = None) -> list[str]:
    """The keys to press, in order; pin(card) is asked for a card's PIN, face(card) for what stands on it: number, MMYY.

    ValueError names the word that is no key, unless it might be digits of a secret.
    """
    keys: list[str] = []
    for word in text.split():
        name = NAMES.get(word) or NAMES.get(word.upper())
        if name:
            keys.append(name)
        elif word[:4].upper() == "PIN:":
            keys.extend(pin(word[4:]))
        elif face and word[:5].upper() == "CARD:":
            keys.extend(face(word[5:])[0])
        elif face and word[:7].upper() == "EXPIRY:":
            keys.extend(face(word[7:])[1])
        elif all(letter in DIGITS for letter in word):
            keys.extend(word)
        else:
            shown = "a word with digits in it" if any(letter.isdigit() for letter in word) else repr(word[:20])
            raise ValueError(f"{shown} is no key; keys are digits, '.' for 00, and " + " ".join(NAMES))
    if not keys:
        raise ValueError("no keys")
    if len(keys) > MOST_KEYS:
        raise ValueError(f"more than {MOST_KEYS} keys at once")
    return keys


class Keypad:
    """What the wires tell of the firmware's keypad driver (`drivers/keypad.py`).

    At rest it holds all rows low. To look for keys it lets them go, scans until its mind is made up, and sleeps until
    something wakes it; so a wake that was sent while it scans is taken when it has decided.

    watched()   whether a driver runs at all
    """

    def __init__(self, wires: Wires, rows: tuple[int, ...], watched: Callable[[], bool]) -> None:
        self._page = wires.gpio
        self._rows = rows
        self._watched = watched
        self._moves = Changes(("row",))
        self._bell = open_pipe(os.path.join(wires.folder, WAKE_NAME))
        self._page.watch(rows[-1:], self.moved)

    def moved(self) -> None:
        """A row is driven otherwise than before, or the driver is gone."""
        self._moves.touch("row")

    @property
    def resting(self) -> bool:
        return not self._watched() or all(map(self._page.is_output, self._rows))

    def wait_rest(self) -> None:
        """Until it sees no key down."""
        self._moves.until(lambda: self.resting, REST_S)

    def wait_decided(self) -> None:
        """After a key went down: until it knows."""
        self._moves.until(lambda: not self._watched() or not self.resting, REST_S)
        ring(self._bell)
        end = time.monotonic() + DECIDE_S
        while self._watched() and time.monotonic() < end and select.select([self._bell], [], [], 0)[0]:
            time.sleep(LOOK_S)

    def close(self) -> None:
        self._moves.close()
        os.close(self._bell)


class Hands:
    """Types on a key matrix. One pair: who comes second waits until the first has finished."""

    def __init__(self, matrix: KeyMatrix, keypad: Keypad) -> None:
        self._matrix = matrix
        self._keypad = keypad
        self._lock = threading.Lock()

    def type(self, keys: list[str]) -> None:
        """Presses the keys one after the other; returns when the last is up again and the keypad knows it."""
        with self._lock:
            for key in keys:
                self._keypad.wait_rest()
                self._matrix.press(key)
                try:
                    self._keypad.wait_decided()
                finally:
                    self._matrix.release(key)
            self._keypad.wait_rest()
