"""Sign-on, sign-off, echo, and a new master key: what is under which key, and whether the line is there.

    001       PIN key and MAC key of 8 bytes        003  of 16 (or 24)      004  and a track key
    005, 006  as 003 and 004, under SM4             999  a new master key, under the transport key

Each key is enciphered under the key above it and followed by its check value. A new master key may also come as a TR-31 key
block, or of a type that is diversified first. A terminal with DUKPT keys gets none: it signs on for the batch and the time.

Source: reference/host.md §4.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers import tr31
from emulator.acquirer.books import Terminal
from emulator.acquirer.keys import odd_parity
from emulator.acquirer.request import Outcome, Request
from firmware.iso8583 import codes, unionpay

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

SINGLE = "001"
WITH_TRACK = ("004", "006")
SM4 = ("005", "006")
MASTER_BYTES = 16
KEY_BLOCKS = {"tdes": ("B", "T"), "aes": ("D", "A")}  # version and algorithm of TR-31


class Management:
    """Looks after the terminals of one acquirer."""

    def __init__(self, host: "Acquirer") -> None:
        self._host = host
        self._books = host.books
        self._engine = host.engine

    def acts(self) -> "dict[str, Callable[[Request, Terminal], Outcome]]":
        """What it answers."""
        return {
            "sign-on": self.sign_on,
            "sign-off": self.sign_off,
            "echo": self.echo,
            "master-key": self.master_key,
        }

    def sign_on(self, request: Request, terminal: Terminal) -> Outcome:
        own, code = terminal.profile, request.private.code
        private = unionpay.management("%06d" % terminal.batch, code)
        if own.keys == "dukpt":
            self._books.sign_on(terminal.number, None, None, None, own.suite)
            return Outcome(codes.APPROVED, {60: private})
        cipher = "sm4" if code in SM4 else own.suite
        if code == SINGLE and cipher != "tdes":
            return Outcome("12")
        size = 8 if code == SINGLE else own.key_bytes
        short = cipher == "tdes" and 8 in (self._host.mac_key_bytes, own.mac_key_bytes)
        pin_key, mac_key = self._new(size, cipher), self._new(8 if short else size, cipher)
        track_key = self._new(size, cipher) if code in WITH_TRACK else None
        block = b""
        for key in (pin_key, mac_key, track_key):
            if key is not None:
                cryptogram = self._engine.encipher(terminal.master_key, key, cipher)
                block += cryptogram + bytes(size - len(cryptogram)) + self._check_value(request, key, own.check_bytes, cipher)
        self._books.sign_on(terminal.number, pin_key, mac_key, track_key, cipher)
        return Outcome(codes.APPROVED, {60: private, 62: block})

    def _check_value(self, request, key, size, cipher):
        value = self._engine.check_value(key, size, cipher)
        return bytes(byte ^ 0xFF for byte in value) if request.action == "wrong-check" else value

    def _new(self, size, cipher):
        key = self._host.random(size)
        return odd_parity(key) if cipher == "tdes" else key

    def sign_off(self, request: Request, terminal: Terminal) -> Outcome:
        if abs(int(request.private.batch) - terminal.batch) > 1:
            return Outcome("77")
        self._books.sign_off(terminal.number)
        return Outcome(codes.APPROVED)

    def echo(self, request: Request, terminal: Terminal) -> Outcome:
        return Outcome(codes.APPROVED)

    def master_key(self, request: Request, terminal: Terminal) -> Outcome:
        """A new master key; the terminal has to sign on under it."""
        own = terminal.profile
        if not own.transport_key:
            return Outcome("40")
        key = self._new(MASTER_BYTES, own.suite)
        check = self._check_value(request, key, 4, own.suite)
        self._books.set_master(terminal.number, key)
        if own.master_reply == "tr31":
            version, algorithm = KEY_BLOCKS[own.suite]
            header = tr31.Header(version, "K0", algorithm, "D", "00", "N")
            return Outcome(codes.APPROVED, {62: tr31.wrap(own.transport_key, header, key, self._host.random).encode()})
        told = self._engine.encipher(own.transport_key, key, own.suite) + check
        return Outcome(codes.APPROVED, {62: own.master_reply.encode() + told.hex().upper().encode()})
