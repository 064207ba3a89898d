"""The serial line to a CCID reader of chip cards: commands out, answers in, whole and sound.

    03 06 message LRC     a CCID message, either way; LRC is the XOR of all bytes before it
    03 15 16              NAK: say the last one again; from the reader it means that our command was not heard
    50 02, 50 03          the card was pulled, was inserted; at any time between frames
    80..FF alone          the card takes its time (T=0); the reader is alive
    03 06 message LRC     again, as we sent it: some readers echo

A message is type, length (4 bytes, low first), slot, number, three bytes by the type, data. A reader that answers
"time extension" (bStatus 80) will answer once more. `Frames` is sans I/O; `Wire` is a port with a thread's worth of
waiting. A wait for the card can be cut short from another thread: `bell` is an eventfd, `dropped()` says whether a
ring of it means this wait. The answer that is still owed then is waited for, for a while, before the next command.

Sources: USB CCID 1.1, 6; reference/hardware.md 6.3.
"""

import errno
import os
import select
import termios
import time
from collections import namedtuple
from collections.abc import Callable

POWER_ON, POWER_OFF, STATUS, TRANSFER, SET_PARAMETERS, ESCAPE = 0x62, 0x63, 0x65, 0x6F, 0x61, 0x6B
START, NAK = b"\x03\x06", b"\x03\x15\x16"
HEAD = 10
LARGEST = 300  # bytes of data in one message; readers of this kind do 271 with the head
ACTIVE, INACTIVE, ABSENT = 0, 1, 2
FAILED, EXTENDED = 0x40, 0x80

GAP_S = 0.1  # within a frame: after such a pause it is over
SETTLE_S = 2.0  # for an answer that nobody waits for any more
LONGEST_S = 60.0  # for one answer, however often it is extended
NAKS = 3  # to one command, and to one answer

Reply = namedtuple("Reply", ("kind", "failed", "card", "error", "data"))
Reply.__doc__ = """kind: type of the message; failed: bool; card: ACTIVE, INACTIVE or ABSENT; error: bError; data: bytes"""


class WireError(Exception):
    """The reader does not answer. gone: the port itself failed, or it cannot be opened."""

    def __init__(self, what: str, gone: bool = False) -> None:
        super().__init__(what)
        self.gone = gone


class Garbled(Exception):
    """The answer could not be had, though the reader speaks: the command may have been carried out."""


class Dropped(Exception):
    """Nobody waits for this any more."""


def lrc(data: "bytes | bytearray") -> int:
    value = 0
    for byte in data:
        value ^= byte
    return value


def frame(message: "bytes | bytearray") -> bytearray:
    """A message with its start and check bytes."""
    whole = bytearray(START)
    whole += message
    whole.append(lrc(whole))
    return whole


def message(kind: int, number: int, three: bytes, data: bytes) -> bytearray:
    """A CCID message to slot 0."""
    whole = bytearray((kind, len(data) & 0xFF, len(data) >> 8, 0, 0, 0, number)) + three
    whole += data
    return whole


class Frames:
    """Takes the reader's bytes apart.

    feed(data)    ->  [(what, value)]: ("message", bytes), ("nak", None), ("moved", card is in: bool), ("alive", None),
                  ("damaged", None) for a frame whose check byte or length is wrong
    stalled()     ->  the same, when GAP_S have passed without a byte: a frame that has begun is over
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def begun(self) -> bool:
        """Whether the rest of something is awaited."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list:
        self._buffer += data
        found: list = []
        while self._buffer and self._take(found):
            pass
        return found

    def stalled(self) -> list:
        if not self._buffer:
            return []
        self.clear()
        return [("damaged", None)]

    def clear(self) -> None:
        """What was heard may hold a card's data."""
        self._buffer[:] = bytes(len(self._buffer))
        self._buffer.clear()

    def _take(self, found):
        """One thing out of the buffer; False when more is needed."""
        buffer = self._buffer
        first = buffer[0]
        if first not in (0x03, 0x50):
            if first >= 0x80:
                found.append(("alive", None))
            del buffer[:1]
            return True
        if len(buffer) < 2:
            return False
        second = buffer[1]
        if first == 0x50:
            if second not in (0x02, 0x03):
                del buffer[:1]
                return True
            found.append(("moved", second == 0x03))
            del buffer[:2]
            return True
        if second == 0x15:
            if len(buffer) < 3:
                return False
            found.append(("nak", None) if buffer[2] == 0x16 else ("damaged", None))
            del buffer[:3]
            return True
        if second != 0x06:
            del buffer[:1]
            return True
        if len(buffer) < 2 + HEAD:
            return False
        size = int.from_bytes(buffer[3:7], "little")
        if size > LARGEST:
            # Where this ends nobody knows: the pause after it will tell.
            self.clear()
            found.append(("damaged", None))
            return True
        end = 2 + HEAD + size
        if len(buffer) <= end:
            return False
        sound = lrc(buffer[:end]) == buffer[end]
        found.append(("message", bytes(buffer[2:end])) if sound else ("damaged", None))
        buffer[: end + 1] = bytes(end + 1)
        del buffer[: end + 1]
        return True


class Wire:
    """An open port; the constructor raises WireError when it cannot be opened.

    pulled   how often a card was seen to be pulled; moved: whether any movement was told since it was last set False
    """

    def __init__(self, path: str, baud: int, bell: int, dropped: Callable[[], bool]) -> None:
        import serial  # here, because start-up does not wait for it

        self.pulled = 0
        self.moved = False
        self._bell, self._dropped = bell, dropped
        self._frames = Frames()
        self._number = 0
        self._owed = 0.0  # until when an answer that was given up may still come
        try:
            self._serial = serial.Serial(path, baud, stopbits=serial.STOPBITS_TWO, timeout=0, exclusive=True)
        except (OSError, ValueError, termios.error):
            raise WireError("the port cannot be opened", gone=True) from None
        try:
            self._serial.rts = False
        except OSError:
            pass  # a line without modem signals
        self._fd = self._serial.fileno()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(bell, select.POLLIN)

    def close(self) -> None:
        """Closes the port; the bell is not ours."""
        self._frames.clear()
        try:
            self._serial.close()
        except (OSError, termios.error):
            pass

    def command(self, kind: int, data: bytes = b"", three: bytes = bytes(3), within_s: float = 1.0, cut: bool = False) -> Reply:
        """One command and its answer. cut: whether this wait may be cut short (Dropped).

        WireError when the reader is silent, Garbled when it speaks but its answer cannot be had.
        """
        self._settle()
        self._number = (self._number + 1) & 0xFF
        inside = message(kind, self._number, three, data)
        whole = frame(inside)
        try:
            for _ in range(NAKS):
                self._write(whole)
                reply = self._reply(self._number, within_s, cut)
                if reply is not None:
                    return reply
        finally:
            whole[:] = bytes(len(whole))
            inside[:] = bytes(len(inside))
        raise WireError("the reader does not understand")

    def rest(self, seconds: float) -> None:
        """Sleeps until the bell rings, a card moves, or the time is over."""
        end = time.monotonic() + seconds
        while not self.moved:
            left_s = end - time.monotonic()
            if left_s <= 0 or self._listen(left_s, []):
                return

    def _settle(self):
        """Lets an answer pass that was given up."""
        while self._owed:
            left_s = self._owed - time.monotonic()
            found: list = []
            if left_s > 0:
                self._listen(left_s, found)
            if left_s <= 0 or any(what == "message" and value[0] >= 0x80 and not value[7] & EXTENDED for what, value in found):
                self._owed = 0.0

    def _reply(self, number, within_s, cut):
        """The answer with this number; None for a NAK."""
        start = time.monotonic()
        end = start + min(within_s, LONGEST_S)
        repeats = 0
        while True:
            if cut and self._dropped():
                self._owed = time.monotonic() + SETTLE_S
                raise Dropped
            left_s = end - time.monotonic()
            if left_s <= 0:
                raise WireError("the reader is silent")
            found: list = []
            self._listen(left_s, found)
            for what, value in found:
                if what == "nak":
                    return None
                if what == "damaged":
                    repeats += 1
                    if repeats > NAKS:
                        raise Garbled
                    self._hush()
                    self._write(NAK)
                elif what == "alive":
                    end = max(end, min(time.monotonic() + within_s, start + LONGEST_S))
                elif what == "message" and value[0] >= 0x80 and value[6] == number:
                    if value[7] & 0xC0 == EXTENDED:
                        longer_s = within_s * max(1, value[8])
                        end = max(end, min(time.monotonic() + longer_s, start + LONGEST_S))
                        continue
                    return Reply(value[0], bool(value[7] & FAILED), value[7] & 3, value[8], value[HEAD:])

    def _hush(self):
        """Waits until the rest of something damaged is through."""
        until = time.monotonic() + 1.0
        while time.monotonic() < until and any(fd == self._fd for fd, _ in self._poll.poll(int(GAP_S * 200))):
            self._frames.clear()
            self._read()

    def _listen(self, seconds, found):
        """Waits once; appends what came to `found`; True when the bell rang or the time was over."""
        waiting = self._frames.begun
        if waiting:
            seconds = min(seconds, GAP_S)
        ready = self._poll.poll(max(1, int(seconds * 1000 + 0.999)))
        rang = not ready
        things = self._frames.stalled() if waiting and not ready else []
        for fd, what in ready:
            if fd != self._fd:
                self._silence_bell()
                rang = True
            elif not what & select.POLLIN:
                raise WireError("the port has gone", gone=True)
            else:
                things = self._frames.feed(self._read())
        for what, value in things:
            if what == "moved":
                self.moved = True
                self.pulled += not value
        found += things
        return rang

    def _read(self):
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return b""
        except OSError:
            raise WireError("the port has gone", gone=True) from None
        if not data:
            raise WireError("the port has gone", gone=True)
        return data

    def _write(self, whole):
        view = memoryview(whole)
        end = time.monotonic() + 2.0
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                if time.monotonic() > end:
                    raise WireError("the port takes no more") from None
                time.sleep(0.002)
            except OSError as error:
                raise WireError("the port has gone", gone=error.errno != errno.EAGAIN) from None

    def _silence_bell(self):
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            pass
