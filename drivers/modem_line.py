"""The serial line to a modem, and the time by which its driver waits.

A `Line` is opened and closed many times in its life: modems vanish and come back, at another speed too. `wait` sleeps until
bytes have come, `wake` was called, or the time is over. What a test puts in its place has the same methods and its own time.
"""

import os
import select
import termios
import time
from typing import Any

WRITE_S = 5.0  # how long the port may refuse to take bytes


class LineError(Exception):
    """The port failed. gone: it is not there; else it takes no bytes."""

    def __init__(self, what: str, gone: bool = True) -> None:
        super().__init__(what)
        self.gone = gone


class Line:
    """path: the port's device. Methods are called from one thread, but for `wake`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._serial: Any = None
        self._fd: int | None = None
        self._bell: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def now(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()

    def open(self, baud: int) -> None:
        """Opens the port, or sets another speed. Raises LineError."""
        import serial  # here, because start-up does not wait for it

        try:
            if self._serial is not None:
                self._serial.baudrate = baud
                return
            self._serial = serial.Serial(self._path, baud, timeout=0, exclusive=True)
            self._fd = self._serial.fileno()
        except (OSError, ValueError, termios.error):
            self.close()
            raise LineError("the port cannot be opened") from None

    def close(self) -> None:
        """Closes the port; it may be opened again."""
        port, self._serial, self._fd = self._serial, None, None
        try:
            if port is not None:
                port.close()
        except (OSError, termios.error):
            pass

    def shut(self) -> None:
        """The end: no more `wait`, no more `wake`."""
        self.close()
        bell, self._bell = self._bell, None
        if bell is not None:
            os.close(bell)

    def read(self) -> bytes:
        """What has come, b"" for nothing. Raises LineError."""
        if self._fd is None:
            raise LineError("the port is not open")
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return b""
        except OSError:
            raise LineError("the port has gone") from None
        if not data:
            # A serial port without bytes says the same as one that is away; the poll knows which it is.
            poll = select.poll()
            poll.register(self._fd, 0)
            if poll.poll(0):
                raise LineError("the port has gone")
        return data

    def write(self, data: "bytes | bytearray") -> None:
        """All of it. Raises LineError."""
        if self._fd is None:
            raise LineError("the port is not open")
        view = memoryview(data)
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        end = time.monotonic() + WRITE_S
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                left_s = end - time.monotonic()
                if left_s <= 0:
                    raise LineError("the port takes no more", gone=False) from None
                poll.poll(max(1, int(left_s * 1000)))
            except OSError:
                raise LineError("the port has gone") from None

    def wait(self, until: float) -> None:
        """Sleeps until `now` says `until`, or less."""
        left_s = until - time.monotonic()
        if left_s <= 0 or self._bell is None:
            return
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if self._fd is not None:
            poll.register(self._fd, select.POLLIN)
        for fd, _ in poll.poll(max(1, int(min(left_s, 3600.0) * 1000 + 0.999))):
            if fd == self._bell:
                try:
                    os.eventfd_read(self._bell)
                except BlockingIOError:
                    pass

    def wake(self) -> None:
        """Ends a `wait`, from any thread."""
        if self._bell is not None:
            try:
                os.eventfd_write(self._bell, 1)
            except OSError:
                pass  # shut between the two lines
