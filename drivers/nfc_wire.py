"""The UART to a PN532, in the shape that nfcpy's `Chipset` calls a transport: whole, sound frames or an OSError.

nfcpy's own `transport.TTY` takes the next bytes for a frame whatever they are; one stray byte costs it the frame
after as well. Here the start code is looked for, both check sums are checked, and a damaged answer is asked for again
(NACK). A long wait can be cut short from another thread: `bell` is an eventfd, `dropped()` says whether a ring of it
means this wait. A wait of up to 100 ms is never cut: it is the chip's own acknowledgement.
Source: NXP UM0701-02 §6.2.1.
"""

import errno
import math
import os
import select
import termios
import time
from collections.abc import Callable

ACK = bytes.fromhex("0000ff00ff00")
NACK = bytes.fromhex("0000ffff0000")
SHORT_MS = 100
LARGEST = 265
REPEATS = 2  # NACKs for one answer
MOST_ACKS = 4  # to one command; nfcpy would go on reading them for ever


class Wire:
    """An open port; the constructor raises OSError when it cannot be opened.

    gone     the port itself failed: unplugged, or it cannot be opened. Else it is the chip that is silent.
    """

    TYPE = "TTY"  # nfcpy asks

    def __init__(self, path: str, baud: int, bell: int, dropped: Callable[[], bool]):
        import serial  # here, because start-up does not wait for it

        self.port = path
        self.gone = False
        self._bell, self._dropped = bell, dropped
        self._buffer = bytearray()
        self._acks = 0
        self._serial = serial.Serial(path, baud, timeout=0, exclusive=True)
        self._fd = self._serial.fileno()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(bell, select.POLLIN)

    @property
    def baudrate(self) -> int:
        return self._serial.baudrate if self._serial else 0

    @baudrate.setter
    def baudrate(self, baud: int) -> None:
        if self._serial and self._serial.baudrate != baud:
            try:
                self._serial.baudrate = baud
            except (OSError, ValueError, termios.error) as error:
                raise OSError(errno.EINVAL, f"{self.port} cannot do {baud} baud") from error

    def write(self, frame: bytes) -> None:
        """Sends; what came before belongs to nothing any more."""
        if self._serial is None:
            raise OSError(errno.ENODEV, "closed")
        self._buffer.clear()
        self._acks = 0
        try:
            termios.tcflush(self._fd, termios.TCIFLUSH)
            sent = os.write(self._fd, frame)
        except BlockingIOError:
            raise OSError(errno.EIO, "the port takes no more") from None
        except (OSError, termios.error) as error:
            raise self._lost() from error
        if sent != len(frame):
            raise OSError(errno.EIO, "the port takes no more")

    def read(self, timeout: float) -> bytearray:
        """The next sound frame, with its start code and postamble, within `timeout` ms; ETIMEDOUT if there is none."""
        if self._serial is None:
            raise OSError(errno.ENODEV, "closed")
        if timeout > SHORT_MS and self._dropped():
            raise OSError(errno.ETIMEDOUT, "nobody waits any more")
        end = time.monotonic() + timeout / 1e3
        repeats = 0
        while True:
            frame, damaged = self._take()
            if frame == ACK:
                self._acks += 1
                if self._acks > MOST_ACKS:
                    raise OSError(errno.EIO, "acknowledgements without end")
            if frame:
                return frame
            if damaged and repeats < REPEATS:
                repeats += 1
                os.write(self._fd, NACK)
            left_ms = math.ceil((end - time.monotonic()) * 1e3)
            if left_ms <= 0:
                raise OSError(errno.ETIMEDOUT, "the reader is silent")
            for fd, what in self._poll.poll(left_ms):
                if fd == self._fd:
                    self._hear(what)
                elif timeout > SHORT_MS and self._dropped():
                    raise OSError(errno.ETIMEDOUT, "nobody waits any more")
                else:
                    self._silence_bell()

    def close(self) -> None:
        """Closes the port; the bell is not ours."""
        if self._serial is not None:
            port, self._serial = self._serial, None
            try:
                port.close()
            except (OSError, termios.error):
                pass

    def _hear(self, what):
        if not what & select.POLLIN:
            raise self._lost()
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            raise self._lost() from error
        if not data:
            raise self._lost()
        self._buffer += data

    def _lost(self):
        self.gone = True
        return OSError(errno.ENODEV, "the port has gone")

    def _silence_bell(self):
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            pass

    def _take(self):
        """(frame, damaged): the next frame in the buffer or None, and whether a damaged one was passed over."""
        buffer, damaged = self._buffer, False
        while True:
            start = buffer.find(b"\x00\xff")
            if start < 0:
                del buffer[:-1]
                return None, damaged
            at = start + 2
            if len(buffer) < at + 2:
                return None, damaged
            if buffer[at : at + 2] == b"\x00\xff":
                del buffer[: at + 2]
                return bytearray(ACK), damaged
            if buffer[at : at + 2] == b"\xff\xff":
                if len(buffer) < at + 5:
                    return None, damaged
                size, head = buffer[at + 2] << 8 | buffer[at + 3], 5
                sound = not sum(buffer[at + 2 : at + 5]) & 0xFF
            else:
                size, head = buffer[at], 2
                sound = not (size + buffer[at + 1]) & 0xFF
            if not sound or not 1 <= size <= LARGEST:
                # Before its acknowledgement a command has no answer that could be damaged.
                damaged = damaged or self._acks > 0
                del buffer[:at]
                continue
            end = at + head + size + 1
            if len(buffer) < end:
                return None, damaged
            sound = not sum(buffer[at + head : end]) & 0xFF
            frame = bytearray(b"\x00") + buffer[start:end] + b"\x00"
            del buffer[:end]
            if sound:
                return frame, damaged
            damaged = True
