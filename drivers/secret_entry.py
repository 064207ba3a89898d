"""One PIN or password while it is typed: keys in, what to tell in return. No port, no thread.

    digit      goes to the end; once `maximum` are there, more do nothing
    CLEAR      empties        BACK     takes the last one back
    ENTER      "ready" from `minimum` digits on; on nothing "bypass" where that is allowed; else nothing
    CANCEL     "cancel"       others   nothing ("00" is for amounts)

Source: firmware/ports.py, class Vault.
"""

from drivers.libcrypto import cleanse
from firmware.events import BACK, CANCEL, CLEAR, CONFIRM, DIGITS

TYPED, READY, STOPPED_CANCEL, STOPPED_BYPASS = "typed", "ready", "cancel", "bypass"


class SecretEntry:
    """Digits in memory that `wipe` clears; the repr shows their number only."""

    def __init__(self, minimum: int, maximum: int, bypass: bool = False) -> None:
        self._digits = bytearray(maximum)
        self._minimum = minimum
        self._bypass = bypass
        self.typed = 0

    def press(self, key: str) -> "str | None":
        """TYPED when the key counted, READY, STOPPED_CANCEL, STOPPED_BYPASS at the end, or None."""
        if key in DIGITS:
            if self.typed < len(self._digits):
                self._digits[self.typed] = ord(key)
                self.typed += 1
            return TYPED
        if key == CLEAR:
            self.wipe()
            return TYPED
        if key == BACK:
            if self.typed:
                self.typed -= 1
                self._digits[self.typed] = 0
            return TYPED
        if key == CANCEL:
            self.wipe()
            return STOPPED_CANCEL
        if key == CONFIRM:
            if self.typed >= self._minimum:
                return READY
            if not self.typed and self._bypass:
                return STOPPED_BYPASS
        return None

    def take(self) -> bytearray:
        """The digits in ASCII, for the caller to wipe; the entry is empty afterwards."""
        digits = self._digits[: self.typed]
        self.wipe()
        return digits

    def wipe(self) -> None:
        cleanse(self._digits)
        self.typed = 0

    def __repr__(self) -> str:
        return "SecretEntry(%d typed)" % self.typed
