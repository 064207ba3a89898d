"""Fingers on the keypad: what is to be typed, and how long a person's finger stays on a key.

    text        ->  keys
    "01 ENTER"      0 1 ENTER
    "0000"          0 0 0 0
    ". 确认"        00 ENTER
    "PIN:debit"     the PIN of that card, as its holder knows it

Digits are typed one by one; the key 00 is "." or "*", as on the page's keyboard. Names are those of
`firmware.events.KEYS`, or the Chinese words on the keys.

The firmware debounces (three samples of 5 ms) and may be late on a busy machine. So a finger does what a person's
does: it stays down until the terminal has reacted by sound or picture, not less than HOLD_S and not more than
PATIENT_S, for some keys are rightly answered by nothing. The next one comes when the keypad has seen this one go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from firmware.events import BACK, CANCEL, CLEAR, CONFIRM, DIGITS, DOUBLE_ZERO, DOWN, KEYS

HOLD_S = 0.024
PATIENT_S = 0.200
REST_S = 1.0  # a keypad that does not come to rest for so long is not there
MOST_KEYS = 500

NAMES = {name: name for name in KEYS if not name.isdigit()} | {
    ".": DOUBLE_ZERO, "*": DOUBLE_ZERO, "确认": CONFIRM, "取消": CANCEL, "清除": CLEAR, "退格": BACK, "▼": DOWN,
}  # fmt: skip


def keys_of(text: str, pin: Callable[[str], str]) -> list[str]:
    """The keys to press, in order; pin(card) is asked for a card's PIN.

    ValueError names the word that is no key, unless it might be digits of a secret.
    """
    keys: list[str] = []
    for word in text.split():
        name = NAMES.get(word) or NAMES.get(word.upper())
        if name:
            keys.append(name)
        elif word[:4].upper() == "PIN:":
            keys.extend(pin(word[4:]))
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


class Hands:
    """Types on a key matrix. One pair: who comes second waits until the first has finished.

    press, release           of the matrix, by the key's name
    at_rest(rest, wait_s)    waits until the keypad sees no key down (rest), or some key (not rest)
    mark()                   a number; what the terminal does later has a higher one
    reacted(mark, wait_s)    waits until it has done something since then
    """

    def __init__(
        self,
        press: Callable[[str], None],
        release: Callable[[str], None],
        at_rest: Callable[[bool, float], object],
        mark: Callable[[], int],
        reacted: Callable[[int, float], object],
    ) -> None:
        self._press = press
        self._release = release
        self._at_rest = at_rest
        self._mark = mark
        self._reacted = reacted
        self._lock = threading.Lock()
        self._never = threading.Event()

    def type(self, keys: list[str]) -> None:
        """Presses the keys one after the other; returns when the last is up again."""
        with self._lock:
            for key in keys:
                self._at_rest(True, REST_S)
                before = self._mark()
                self._press(key)
                try:
                    self._at_rest(False, REST_S)
                    self._never.wait(HOLD_S)
                    self._reacted(before, PATIENT_S - HOLD_S)
                finally:
                    self._release(key)
            self._at_rest(True, REST_S)
