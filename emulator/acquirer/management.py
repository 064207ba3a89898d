"""Sign-on, sign-off and echo: new working keys under the terminal's master key, and whether the line is there.

Source: reference/host.md §4.
"""

from typing import TYPE_CHECKING

from emulator.acquirer.books import Terminal
from emulator.acquirer.keys import Engine, odd_parity
from emulator.acquirer.request import Outcome, Request
from firmware.iso8583 import codes, unionpay

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer


class Management:
    """Looks after the terminals of one acquirer."""

    def __init__(self, host: "Acquirer", engine: Engine) -> None:
        self._host = host
        self._books = host.books
        self._engine = engine

    def sign_on(self, request: Request, terminal: Terminal) -> Outcome:
        size = 8 if request.private.code == unionpay.KEYS_SINGLE else 16
        mac_size = min(size, self._host.mac_key_bytes)
        pin_key, mac_key = odd_parity(self._host.random(size)), odd_parity(self._host.random(mac_size))
        track_key = odd_parity(self._host.random(16)) if request.private.code == unionpay.KEYS_TRACK else None
        block = b""
        for key in (pin_key, mac_key, track_key):
            if key is not None:
                cryptogram = self._engine.encipher(terminal.master_key, key)
                block += cryptogram + bytes(size - len(cryptogram)) + self._engine.check_value(key)
        self._books.sign_on(terminal.number, pin_key, mac_key, track_key)
        private = unionpay.management("%06d" % terminal.batch, request.private.code)
        return Outcome(codes.APPROVED, {60: private, 62: block})

    def sign_off(self, request: Request, terminal: Terminal) -> Outcome:
        if abs(int(request.private.batch) - terminal.batch) > 1:
            return Outcome("77")
        self._books.sign_off(terminal.number)
        return Outcome(codes.APPROVED)

    def echo(self, request: Request, terminal: Terminal) -> Outcome:
        return Outcome(codes.APPROVED)
