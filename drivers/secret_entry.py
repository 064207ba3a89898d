"""One PIN, password, number or key component while it is typed: keys in, what to tell in return. No port, no thread.

    digit      goes to the end; once `maximum` are there, more do nothing
    CLEAR      empties        BACK     takes the last one back
    ENTER      "ready" from `minimum` digits on; on nothing "bypass" where that is allowed; else nothing
    CANCEL     "cancel"       others   nothing ("00" is for amounts)

Hexadecimal digits have six letters more than the keypad has keys: DOWN and then 1 to 6 is A to F, DOWN and another digit is
nothing, a second DOWN and every other key take the first one back.

Source: firmware/ports.py, class Vault.
"""

from drivers.libcrypto import cleanse
from firmware.events import BACK, CANCEL, CLEAR, CONFIRM, DIGITS, DOWN

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
            self._put(ord(key))
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

    def _put(self, digit):
        if self.typed < len(self._digits):
            self._digits[self.typed] = digit
            self.typed += 1

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


class HexadecimalEntry(SecretEntry):
    """`digits` hexadecimal digits, no fewer: ASCII, capitals."""

    LETTERS = dict(zip("123456", b"ABCDEF", strict=True))

    def __init__(self, digits: int) -> None:
        super().__init__(digits, digits)
        self._shifted = False

    def press(self, key: str) -> "str | None":
        shifted, self._shifted = self._shifted, key == DOWN and not self._shifted
        if shifted and key in DIGITS:
            if key in self.LETTERS:
                self._put(self.LETTERS[key])
            return TYPED
        return super().press(key)
