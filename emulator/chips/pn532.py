"""The PN532 reader chip at the other end of a UART, byte by byte, with cards in its field.

Sources: NXP UM0701-02 (PN532 user manual) §6.2.1 frames, §7 commands; ISO/IEC 14443-3 for what cards answer.

    bytes  ->  frames  ->  commands  ->  cards (`emulator.cards.iso14443`)

Frames: 00 00 FF LEN LCS body DCS 00, extended with FF FF LENM LENL LCS, ACK 00 00 FF 00 FF 00, NACK 00 00 FF FF 00 00
(say the last answer again), an error frame for a command that it does not know. A host's ACK or a new command ends
the command under way. A new speed counts from the host's ACK, or from when the host is seen to use it: a host that
closes its port at once may have flushed the ACK away. At the wrong speed nothing is understood.

Cards are searched as the chip does it: a card found is selected; with two wanted, the first is halted before the
second is looked for, so a card found that way is reached again only after the field was off. An InListPassiveTarget
with automatic RATS (the state after power-on) leaves the card activated already, its ATS in the answer.
"""

import os
import pty
import select
import termios
import threading
import time
import tty
from collections.abc import Callable

from emulator.cards.iso14443 import PROTOCOL, card_in_field

ACK = bytes.fromhex("0000ff00ff00")
SPEEDS = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 1288000)
SPEED_OF = {getattr(termios, f"B{speed}"): speed for speed in SPEEDS if hasattr(termios, f"B{speed}")}
VERSION = bytes.fromhex("32010607")
FIFO_DATA, TX_CONTROL = 0x6339, 0x6304
AUTOMATIC_RATS = 0x10
TIMEOUT, CRC_ERROR, CONTEXT = b"\x01", b"\x02", b"\x27"
WAKE_BYTES = 6


def frame(body: bytes) -> bytes:
    """An information frame round `body` (TFI, code, data), extended when it is long."""
    size = len(body)
    tail = body + bytes([-sum(body) & 0xFF, 0])
    if size < 256:
        return b"\x00\x00\xff" + bytes([size, -size & 0xFF]) + tail
    high, low = size >> 8, size & 0xFF
    return b"\x00\x00\xff\xff\xff" + bytes([high, low, -(high + low) & 0xFF]) + tail


def host_speed(fd: int) -> int:
    """The speed that the host has set on its end of the pty; 0 for one that the chip does not have."""
    return SPEED_OF.get(termios.tcgetattr(fd)[5], 0)


class Pn532Chip:
    """Serves the master of a raw pty; whoever made it keeps a slave open, so that hosts may come and go.

    fd           the master
    log          log(kind, text): lines without any card data
    on_apdu      on_apdu("command" | "answer", bytes): every APDU in clear; whoever shows it masks it
    strict_baud  listen only when the host's speed is the chip's
    pace         bytes take the time that they take on a real wire
    air_time     a card that does not answer costs the time-out that the host has set, as in the air; else nothing

    State: `field`, `cards` (in the field's reach), `baud`, `asleep`, `heard` and `said` (bytes counted).
    Faults that may be set at any time. Counted down: `lose_ack`, `corrupt_ack`, `lose_answer`, `corrupt_answer`.
    `junk` (bytes, sent once before the next frame), `silent` (hears and does nothing), `mangle` (callable on all bytes
    that go out), `tear_after` = n: the card leaves after n answered APDUs; `tear_during` = n: the card does the n-th
    APDU and leaves before its answer is heard.
    """

    def __init__(
        self,
        fd: int,
        log: Callable[[str, str], None] | None = None,
        on_apdu: Callable[[str, bytes], None] | None = None,
        strict_baud: bool = True,
        pace: bool = False,
        air_time: bool = False,
    ):
        self.fd = fd
        self._log = log or (lambda kind, text: None)
        self._on_apdu = on_apdu or (lambda direction, apdu: None)
        self.strict_baud, self.pace, self.air_time = strict_baud, pace, air_time
        self.cards: list = []
        self.heard = self.said = 0
        self.lose_ack = self.corrupt_ack = self.lose_answer = self.corrupt_answer = 0
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
    def on_pty(cls, **options) -> "Pn532Chip":
        """A chip on a pty of its own, running; `path` is the host's end."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        chip = cls(master, **options)
        chip._own_slave, chip.path = slave, os.ttyname(slave)
        chip.start()
        return chip

    # The bench.

    def place(self, card) -> None:
        """Into the field. A card is in frames (`iso14443.IsoDepTag`) or an application, which becomes a type A card."""
        with self._lock:
            tag = card_in_field(card)
            if tag in self.cards:
                return
            tag.heard = self._apdu_heard
            tag.field_off()
            self.cards.append(tag)
            self._log("card", f"type {tag.technology} card in the field")

    def remove(self, card=None) -> None:
        """Out of the field: this card, or all of them."""
        with self._lock:
            for tag in list(self.cards):
                if card is None or tag is card or getattr(tag, "app", None) is card:
                    self._take_away(tag)

    def reset(self) -> None:
        """Power lost and back: 115200, asleep, every setting forgotten."""
        with self._lock:
            self._power_on_state()
            for tag in self.cards:
                tag.field_off()

    def start(self) -> None:
        """Serves from now on, in a thread."""
        self._thread = threading.Thread(target=self.serve, name="pn532-chip", daemon=True)
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
        self.baud, self.asleep, self.field = 115200, True, False
        self._next_baud = 0
        self._parameters = 0x14
        self._registers: dict = {}
        self._rf_timeout_s = 0.0512  # UM0701-02 §7.3.1: index 0A
        self._technology = ""
        self._buffer = bytearray()
        self._outbox: list = []
        self._last = b""
        self._noted: dict = {}
        self._apdus = 0

    # Bytes.

    def _hear(self, data):
        self.heard += len(data)
        speed = host_speed(self.fd)
        if self._next_baud and speed == self._next_baud:
            self._take_speed()
        if self.silent or (self.strict_baud and speed != self.baud):
            self._buffer.clear()
            return
        if self.asleep:
            self.asleep = False
            start = data.find(b"\x00\xff")
            if start < WAKE_BYTES or data[:start].strip(b"\x00\x55"):
                return
        self._buffer += data
        while self._next_frame():
            pass

    def _next_frame(self):
        """Takes one frame out of the buffer and does what it says; False when there is no whole one."""
        buffer = self._buffer
        start = buffer.find(b"\x00\xff")
        if start < 0:
            del buffer[:-1]
            return False
        at = start + 2
        if len(buffer) < at + 2:
            return False
        if buffer[at] == 0x00 and buffer[at + 1] == 0xFF:
            del buffer[: at + 2]
            self._outbox.clear()
            if self._next_baud:
                self._take_speed()
            return True
        if buffer[at] == 0xFF and buffer[at + 1] == 0x00:
            del buffer[: at + 2]
            self._say(self._last, 0)
            return True
        if buffer[at] == 0xFF and buffer[at + 1] == 0xFF:
            if len(buffer) < at + 5:
                return False
            size, sound, head = buffer[at + 2] << 8 | buffer[at + 3], not sum(buffer[at + 2 : at + 5]) & 0xFF, 5
        else:
            size, sound, head = buffer[at], not sum(buffer[at : at + 2]) & 0xFF, 2
        if not sound or size > 265:
            del buffer[:at]
            return True
        end = at + head + size + 1
        if len(buffer) < end:
            return False
        body = bytes(buffer[at + head : end - 1])
        sound = not sum(buffer[at + head : end]) & 0xFF
        del buffer[:end]
        if sound and size >= 2 and body[0] == 0xD4:
            self._command(body[1], body[2:], end - start)
        return True

    def _say(self, data, after_s):
        """Sends `data` when `after_s` seconds have passed and all that was said before is out."""
        if self.mangle:
            data = self.mangle(data)
        due = time.monotonic() + after_s
        if self.pace:
            if self._outbox:
                due = max(due, self._outbox[-1][0])
            due += len(data) * 10 / self.baud
        if self._outbox and not (after_s or self.pace):
            due, earlier = self._outbox.pop()
            data = earlier + data
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

    def _take_speed(self):
        self.baud, self._next_baud = self._next_baud, 0
        self._log("reader", f"speaks {self.baud} baud")

    # Commands.

    def _command(self, code, data, size):
        self._outbox.clear()
        received_s = size * 10 / self.baud if self.pace else 0.0
        ack = ACK
        if self.corrupt_ack:
            self.corrupt_ack -= 1
            ack = b"\x55" + ack[1:]
        if self.lose_ack:
            self.lose_ack -= 1
            ack = b""
        if self.junk:
            ack, self.junk = self.junk + ack, b""
        self._say(ack, received_s)
        do = _COMMANDS.get(code)
        self._busy_s = 0.0
        answer = do(self, data) if do else None
        self._last = frame(b"\x7f") if answer is None else frame(bytes([0xD5, code + 1]) + answer)
        if do is None:
            self._note("?", f"unknown command {code:02X}")
        if self.lose_answer:
            self.lose_answer -= 1
        elif self.corrupt_answer:
            self.corrupt_answer -= 1
            middle = len(self._last) // 2
            self._say(self._last[:middle] + bytes([self._last[middle] ^ 0x20]) + self._last[middle + 1 :], self._busy_s)
        else:
            self._say(self._last, received_s + self._busy_s)

    def _note(self, about, text):
        """A line for the log, unless it says the same as the last one about this."""
        if self._noted.get(about) != text:
            self._noted[about] = text
            self._log("reader", text)

    def _diagnose(self, data):
        return data if data[:1] == b"\x00" else b"\x00"

    def _version(self, data):
        return VERSION

    def _status(self, data):
        return bytes([0, self.field, 0, 0])

    def _read_registers(self, data):
        return bytes(self._register(data[i] << 8 | data[i + 1]) for i in range(0, len(data) - 1, 2))

    def _register(self, address):
        if address == FIFO_DATA:
            return 0x26  # the unanswered REQA is still there
        if address == TX_CONTROL:
            return 3 if self.field else 0
        return self._registers.get(address, 0)

    def _write_registers(self, data):
        for i in range(0, len(data) - 2, 3):
            self._registers[data[i] << 8 | data[i + 1]] = data[i + 2]
        return b""

    def _set_speed(self, data):
        if not data or data[0] >= len(SPEEDS):
            return None
        self._next_baud = SPEEDS[data[0]]
        return b""

    def _set_parameters(self, data):
        self._parameters = data[0] if data else 0
        return b""

    def _nothing(self, data):
        return b""

    def _power_down(self, data):
        self._field_off()
        self.asleep = True
        self._log("reader", "sleeps")
        return b"\x00"

    def _configure(self, data):
        if data[:1] == b"\x01" and len(data) == 2:
            if data[1] & 1:
                self.field = True
            else:
                self._field_off()
        if data[:1] == b"\x02" and len(data) == 4:
            self._rf_timeout_s = (100 << (data[3] - 1)) / 1e6 if 0 < data[3] <= 16 else 0.0
        return b""

    def _field_off(self):
        self.field = False
        self._technology = ""
        self._apdus = 0
        for tag in self.cards:
            tag.field_off()

    def _refused(self, data):
        return CONTEXT

    # The field.

    def _list(self, data):
        """InListPassiveTarget: type A and B at 106 kbit/s, one target or two."""
        if len(data) < 2 or data[0] not in (1, 2):
            return None
        self.field = True
        self._technology = {0: "A", 3: "B"}.get(data[1], "")
        found = b""
        count = 0
        for tag in [tag for tag in self.cards if tag.technology == self._technology]:
            if count < data[0] and tag.requested():
                count += 1
                found += bytes([count]) + (self._target_a(tag) if tag.technology == "A" else self._target_b(tag))
                if data[0] == 2 and (count == 1 or tag.technology == "B"):
                    tag.halt()
        self._note(data[1], f"looks for type {self._technology or '?'}: {count} in the field")
        return bytes([count]) + found

    def _target_a(self, tag):
        tag.select()
        found = tag.atqa + bytes([tag.sak, len(tag.uid)]) + tag.uid
        if self._parameters & AUTOMATIC_RATS and tag.sak & 0x20:
            found += tag.frame(b"\xe0\x80") or b""
        return found

    def _target_b(self, tag):
        tag.attrib(cid=1)
        return tag.atqb + b"\x01\x01"

    def _through(self, data):
        """InCommunicateThru: one frame to whatever is selected; two answers at once are a collision."""
        answers = []
        for tag in [tag for tag in self.cards if self.field and tag.technology == self._technology]:
            if self.tear_after == 0 and tag.state == PROTOCOL:
                self.tear_after = None
                self._take_away(tag)
                continue
            answer = tag.frame(data)
            self._busy_s = max(self._busy_s, tag.delay_s)
            if self._apdus and self._apdus == self.tear_during:
                self.tear_during = None
                self._take_away(tag)
                continue
            if self._apdus and self._apdus == self.tear_after and not tag.busy:
                self.tear_after = None
                self._take_away(tag)
            if answer is not None:
                answers.append(bytes(answer))
        if self.air_time and (not answers or self._busy_s > self._rf_timeout_s > 0):
            self._busy_s = self._rf_timeout_s or 3600.0
            answers = []
        if not answers:
            return TIMEOUT
        return b"\x00" + answers[0] if len(answers) == 1 else CRC_ERROR

    def _take_away(self, tag):
        if tag in self.cards:
            self.cards.remove(tag)
        tag.field_off()
        self._log("card", f"type {tag.technology} card out of the field")

    def _apdu_heard(self, direction, apdu):
        if direction == "answer":
            self._apdus += 1
        self._on_apdu(direction, apdu)


_COMMANDS = {
    0x00: Pn532Chip._diagnose,
    0x02: Pn532Chip._version,
    0x04: Pn532Chip._status,
    0x06: Pn532Chip._read_registers,
    0x08: Pn532Chip._write_registers,
    0x0C: Pn532Chip._nothing,  # ReadGPIO
    0x0E: Pn532Chip._nothing,  # WriteGPIO
    0x10: Pn532Chip._set_speed,
    0x12: Pn532Chip._set_parameters,
    0x14: Pn532Chip._nothing,  # SAMConfiguration
    0x16: Pn532Chip._power_down,
    0x32: Pn532Chip._configure,
    0x40: Pn532Chip._refused,  # InDataExchange: the block protocol is the host's here
    0x42: Pn532Chip._through,
    0x44: Pn532Chip._refused,  # InDeselect
    0x4A: Pn532Chip._list,
    0x52: Pn532Chip._refused,  # InRelease
    0x54: Pn532Chip._refused,  # InSelect
}
