"""A CCID reader of chip cards at the other end of a serial line, byte by byte, with a card in its slot.

    bytes  ->  frames (03 06 message LRC)  ->  CCID messages  ->  the card (`emulator.cards.iso7816`)

The kinds are those of `drivers.chip`:

    kind         takes    echoes   tells of movements
    sec1210      TPDUs    no       at once
    gempc-twin   TPDUs    yes      once it was asked to (escape 01 01 01); sends a byte while a T=0 card takes its time
    short-apdu   APDUs    no       never

At the wrong speed nothing is understood. Sources: as for `drivers.ccid_wire`.
"""

import os
import pty
import select
import termios
import threading
import time
import tty
from collections import namedtuple
from collections.abc import Callable

from emulator.cards.iso7816 import ContactCard, card_in_slot

Kind = namedtuple("Kind", ("baud", "apdus", "echoes", "tells", "ticks"))
KINDS = {
    "sec1210": Kind(termios.B115200, False, False, True, False),
    "gempc-twin": Kind(termios.B115200, False, True, False, True),
    "short-apdu": Kind(termios.B115200, True, False, False, False),
}
START, NAK = b"\x03\x06", b"\x03\x15\x16"
HEAD = 10
LARGEST = 271 - HEAD
DATA, SLOT, PARAMETERS, ESCAPED = 0x80, 0x81, 0x82, 0x83
ACTIVE, INACTIVE, ABSENT = 0, 1, 2
FAILED, EXTENDED = 0x40, 0x80
MUTE, NO_SUCH_COMMAND, WRONG_LENGTH, WRONG_PROTOCOL = 0xFE, 0x00, 0x01, 0x07
TELL = b"\x01\x01\x01"
TICK = b"\xff"
MOVED = {False: b"\x50\x02", True: b"\x50\x03"}


def lrc(data: "bytes | bytearray") -> int:
    value = 0
    for byte in data:
        value ^= byte
    return value


def frame(message: bytes) -> bytes:
    """A message with its start and check bytes."""
    whole = START + message
    return whole + bytes((lrc(whole),))


class _Torn(Exception):
    """The card leaves in the middle of what it does."""


class CcidChip:
    """Serves the master of a raw pty; whoever made it keeps a slave open, so that hosts may come and go.

    fd           the master
    kind         a key of KINDS
    log          log(kind, text): lines without any card data
    on_apdu      on_apdu("command" | "answer", bytes): every APDU in clear; whoever shows it masks it
    strict_baud  listen only when the host's speed is the chip's

    State: `card` (in the slot, or None), `heard` and `said` (bytes counted), `commands` (CCID types, in order).
    Faults that may be set at any time. Counted down: `naks` (commands answered NAK), `wrong_lrc` (answers with a wrong
    check byte; right when asked for again), `split` (answers with a card movement in the middle), `lose_answer` (of a card).
    `extensions` (time extensions before each answer of a card), `late_s` (each answer of a card so much later, with an
    extension every `extension_s`), `junk` (bytes, sent once before the next answer), `silent` (hears and does nothing),
    `mangle` (callable on all bytes that go out), `tear_after` = n: the card is pulled after n answered APDUs;
    `tear_during` = n: the card does the n-th APDU and is pulled before its answer is heard.
    """

    extension_s = 0.05

    def __init__(
        self,
        fd: int,
        kind: str = "sec1210",
        log: Callable[[str, str], None] | None = None,
        on_apdu: Callable[[str, bytes], None] | None = None,
        strict_baud: bool = True,
    ) -> None:
        self.fd = fd
        self.kind = KINDS[kind]
        self._log = log or (lambda kind, text: None)
        self._on_apdu = on_apdu or (lambda direction, apdu: None)
        self.strict_baud = strict_baud
        self.card: ContactCard | None = None
        self.heard = self.said = 0
        self.commands: list[int] = []
        self.naks = self.wrong_lrc = self.split = self.lose_answer = self.extensions = 0
        self.late_s = 0.0
        self.junk = b""
        self.silent = False
        self.mangle: Callable[[bytes], bytes] | None = None
        self.tear_after: int | None = None
        self.tear_during: int | None = None
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = False
        self._own_slave: int | None = None
        self.path = ""
        os.set_blocking(fd, False)
        self._power_on_state()

    @classmethod
    def on_pty(cls, kind: str = "sec1210", **options) -> "CcidChip":
        """A chip on a pty of its own, running; `path` is the host's end."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        chip = cls(master, kind, **options)
        chip._own_slave, chip.path = slave, os.ttyname(slave)
        chip.start()
        return chip

    # The bench.

    def insert(self, card) -> None:
        """Into the slot: a `ContactCard`, or an application, which becomes a T=0 card. The one that was there is pulled."""
        with self._lock:
            inserted = card_in_slot(card)
            if inserted is self.card:
                return
            self.pull()
            inserted.off()
            inserted.heard = self._apdu_heard
            self.card = inserted
            self._apdus = 0
            self._log("card", "card in the slot")
            self._moved(True)

    def pull(self) -> None:
        """Out of the slot."""
        with self._lock:
            card, self.card = self.card, None
            if card:
                card.off()
                self._log("card", "card out of the slot")
                self._moved(False)

    @property
    def powered(self) -> bool:
        """Whether a card in the slot has power."""
        card = self.card
        return card is not None and card.powered

    def reset(self) -> None:
        """Power lost and back: every setting forgotten."""
        with self._lock:
            self._power_on_state()
            if self.card:
                self.card.off()

    def start(self) -> None:
        """Serves from now on, in a thread."""
        self._thread = threading.Thread(target=self.serve, name="ccid-chip", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; the pty is closed only when it is the chip's own."""
        if self._closing:
            return
        self._closing = True
        os.eventfd_write(self._bell, 1)
        if self._thread:
            self._thread.join(5)
        os.close(self._bell)
        if self._own_slave is not None:
            os.close(self._own_slave)
            os.close(self.fd)

    def serve(self) -> None:
        """Hears and answers until `close`, or until the pty is gone."""
        while not self._closing:
            with self._lock:
                wait = max(0.0, self._outbox[0][0] - time.monotonic()) if self._outbox else None
            ready = select.select([self.fd, self._bell], [], [], wait)[0]
            with self._lock:
                if self._bell in ready:
                    os.eventfd_read(self._bell)
                if self.fd in ready:
                    try:
                        data = os.read(self.fd, 4096)
                    except BlockingIOError:
                        data = b""
                    except OSError:
                        return
                    self._hear(data)
                self._send_due()

    def _power_on_state(self):
        self._tells = self.kind.tells
        self._protocol = 0
        self._buffer = bytearray()
        self._outbox: list = []
        self._last = b""
        self._apdus = 0

    # Bytes.

    def _hear(self, data):
        self.heard += len(data)
        if self.silent or (self.strict_baud and termios.tcgetattr(self.fd)[5] != self.kind.baud):
            self._buffer.clear()
            return
        self._buffer += data
        while self._next_frame():
            pass

    def _next_frame(self):
        """Takes one frame out of the buffer and does what it says; False when there is no whole one."""
        buffer = self._buffer
        if len(buffer) < 3:
            return False
        if buffer.startswith(NAK):
            del buffer[:3]
            self._say(self._last, 0)
            return True
        if not buffer.startswith(START):
            del buffer[:1]
            return True
        if len(buffer) < 2 + HEAD:
            return False
        size = int.from_bytes(buffer[3:7], "little")
        if size > LARGEST:
            del buffer[:2]
            self._say(NAK, 0)
            return True
        end = 2 + HEAD + size
        if len(buffer) <= end:
            return False
        whole = bytes(buffer[: end + 1])
        buffer[: end + 1] = bytes(end + 1)
        del buffer[: end + 1]
        if self.kind.echoes:
            self._say(whole, 0)
        if self.naks or lrc(whole):
            self.naks -= self.naks > 0
            self._say(NAK, 0)
            return True
        self._command(whole[2:-1])
        return True

    def _say(self, data, after_s):
        """Sends `data` when `after_s` seconds have passed and all that was said before is out."""
        if self.mangle:
            data = self.mangle(data)
        due = time.monotonic() + after_s
        if self._outbox:
            due = max(due, self._outbox[-1][0])
        self._outbox.append((due, data))

    def _send_due(self):
        now = time.monotonic()
        while self._outbox and self._outbox[0][0] <= now:
            data = self._outbox.pop(0)[1]
            self.said += len(data)
            try:
                os.write(self.fd, data)
            except OSError:
                return  # the host does not read, or has gone: its loss

    def _moved(self, present):
        """Tells of a card movement, after what is being said."""
        if self._tells and not self.silent and not self._closing:
            self._say(MOVED[present], 0)
            os.eventfd_write(self._bell, 1)

    # Messages.

    def _command(self, message):
        code, number, data = message[0], message[6], message[HEAD:]
        self.commands.append(code)
        do = _COMMANDS.get(code)
        after_s = 0.0
        if do is None:
            kind, failed, error, answer = SLOT, True, NO_SUCH_COMMAND, b""
        else:
            kind, failed, error, answer = do(self, message, data)
            if code in (0x62, 0x6F):
                after_s = self._take_time(number)
        self._answer(kind, number, failed, error, answer, after_s)
        if self.tear_after is not None and self._apdus == self.tear_after > 0 and self.card and not self.card.busy:
            self._tear()

    def _take_time(self, number):
        """Tells that the card takes its time -> seconds until its answer."""
        card = self.card
        delay_s = self.late_s + (card.delay_s if card else 0.0)
        steps = int(delay_s / self.extension_s)
        for step in range(steps):
            self._extend(number, step * self.extension_s)
        for _ in range(self.extensions):
            self._extend(number, 0)
        for _ in range(card.nulls if card and card.protocol == "T=0" else 0):
            if self.kind.ticks:
                self._say(TICK, 0)
            else:
                self._extend(number, 0)
        return delay_s

    def _extend(self, number, after_s):
        self._say(frame(bytes((DATA, 0, 0, 0, 0, 0, number, EXTENDED | self._slot(), 1, 0))), after_s)

    def _answer(self, kind, number, failed, error, data, after_s):
        status = (FAILED if failed else 0) | self._slot()
        head = bytes((kind, len(data) & 0xFF, len(data) >> 8, 0, 0, 0, number, status, error, 0))
        self._last = frame(head + data)
        said = self._last
        if self.junk:
            said, self.junk = self.junk + said, b""
        if self.lose_answer and kind == DATA:
            self.lose_answer -= 1
            return
        if self.wrong_lrc:
            self.wrong_lrc -= 1
            said = said[:-1] + bytes((said[-1] ^ 0x55,))
        if self.split:
            self.split -= 1
            middle = len(said) // 2
            said = said[:middle] + MOVED[self.card is not None] + said[middle:]
        self._say(said, after_s)

    def _slot(self):
        if self.card is None:
            return ABSENT
        return ACTIVE if self.card.powered else INACTIVE

    def _power_on(self, message, data):
        card = self.card
        if card is None:
            return DATA, True, MUTE, b""
        atr = card.power(warm=card.powered)
        self._log("reader", "resets the card: %s" % (card.protocol if atr else "no answer"))
        if not atr:
            card.off()
        return DATA, not atr, 0 if atr else MUTE, atr

    def _power_off(self, message, data):
        if self.card:
            self.card.off()
        self._apdus = 0
        return SLOT, False, 0, b""

    def _status(self, message, data):
        return SLOT, False, 0, b""

    def _set_parameters(self, message, data):
        self._protocol = message[7]
        if len(data) != {0: 5, 1: 7}.get(self._protocol):
            return PARAMETERS, True, WRONG_LENGTH, b""
        if self.card is None or self.card.protocol != "T=%d" % self._protocol:
            return PARAMETERS, True, WRONG_PROTOCOL, b""
        return PARAMETERS, False, 0, data

    def _escape(self, message, data):
        if data == TELL and self.kind.echoes:
            self._tells = True
        return ESCAPED, False, 0, data

    def _transfer(self, message, data):
        card = self.card
        if card is None or not card.powered:
            return DATA, True, MUTE, b""
        try:
            if self.kind.apdus:
                answer = None if card.dead else card.apdu(data)
            else:
                answer = card.tpdu(data)
        except _Torn:
            self._tear()
            return DATA, True, MUTE, b""
        if answer is None:
            return DATA, True, MUTE, b""
        return DATA, False, 0, answer

    def _apdu_heard(self, direction, apdu):
        if direction == "command" and self.tear_after == 0:
            raise _Torn
        self._on_apdu(direction, apdu)
        if direction == "answer":
            self._apdus += 1
            if self._apdus == self.tear_during:
                raise _Torn

    def _tear(self):
        self.tear_after = self.tear_during = None
        self.pull()


_COMMANDS = {
    0x62: CcidChip._power_on,
    0x63: CcidChip._power_off,
    0x65: CcidChip._status,
    0x61: CcidChip._set_parameters,
    0x6B: CcidChip._escape,
    0x6F: CcidChip._transfer,
}
