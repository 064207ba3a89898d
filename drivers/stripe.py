"""A reader of magnetic stripes on a serial line, which sends text (`ports.Stripe`).

No two of them frame a swipe alike; `Swipes` takes what comes:

    STX ... ETX      a swipe
    CR, LF           the end of a track; the end of the swipe when nothing follows for `settle_s`
    nothing at all   the swipe ends when nothing comes for `gap_s`

More than 512 bytes without an end is no swipe: it is dropped up to the next pause, and so is what has no printable
character. One thread reads the port from the start on, so that what was swiped before `activate` is gone by then.
A port that is away is "gone"; it is opened again after `retry_s` until it is ready.
"""

import os
import select
import termios
import threading
from collections.abc import Callable
from typing import Any

from firmware.events import CARD_SWIPED, PART, Event

PART_NAME = "stripe"
BAUD = 9600
MOST = 512
MOST_FRAMING = 16
STX, ETX, CR, LF = 0x02, 0x03, 0x0D, 0x0A
FRAMING = b"\x00\x02\x03\r\n"


class Swipes:
    """Bytes in, swipes out; sans I/O.

    feed(data)   swipes that ended within the data
    pause_s      after how long without a byte `paused()` is due; None when nothing has begun
    paused()     the swipe that ends with the pause, or None
    """

    settle_s = 0.05
    gap_s = 0.25

    def __init__(self) -> None:
        self._text = bytearray()
        self._framed = False  # after STX: only ETX ends it, or a pause
        self._too_long = False

    @property
    def pause_s(self) -> "float | None":
        if not self._text and not self._framed and not self._too_long:
            return None
        return self.settle_s if not self._framed and self._text[-1:] in (b"\r", b"\n") else self.gap_s

    def feed(self, data: bytes) -> "list[bytes]":
        found = []
        for byte in data:
            if byte == STX:
                self.forget()
                self._framed = True
            elif byte == ETX:
                swipe = self.paused()
                if swipe:
                    found.append(swipe)
            elif not self._too_long:
                self._text.append(byte)
                if len(self._text) > MOST + MOST_FRAMING:
                    self.forget()
                    self._too_long = True
        return found

    def paused(self) -> "bytes | None":
        text = bytes(self._text.strip(FRAMING))
        self.forget()
        return text if len(text) <= MOST and any(0x20 <= byte < 0x7F for byte in text) else None

    def forget(self) -> None:
        """What was heard may hold a card's data."""
        self._text[:] = bytes(len(self._text))
        self._text.clear()
        self._framed = self._too_long = False


class Reader:
    """What the drivers of stripe readers have in common: a thread that reads a descriptor, and opens it again when lost.

    post, state, fault   as of the other drivers; `heard`: how many bytes have come. A subclass says how:
    _open()              opens it -> its descriptor, non-blocking; OSError when it cannot be had
    _shut()              closes it
    _take(data)          what was read -> bytes for `Swipes`
    """

    retry_s: "tuple[float, ...]" = (0.2, 0.5, 1.0, 2.0, 5.0)

    def __init__(self, post: Callable[[Event], None]) -> None:
        self.state = "starting"
        self.fault: str | None = None
        self.heard = 0
        self._post = post
        self._swipes = Swipes()
        self._fd: int | None = None
        self._ticket: int | None = None
        self._closing = False
        self._lock = threading.RLock()  # the descriptor, what was heard, and the ticket
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=PART_NAME, daemon=True)

    def start(self) -> None:
        """Begins to open the reader; PART tells how that went."""
        self._thread.start()

    def close(self) -> None:
        """Closes the port; no more events."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        os.eventfd_write(self._bell, 1)
        if self._thread.is_alive():
            self._thread.join(5)
        if not self._thread.is_alive():
            os.close(self._bell)

    # The port.

    def activate(self, ticket: int) -> None:
        """See `ports.Stripe`."""
        with self._lock:
            try:
                while self._read():
                    continue
            except OSError:
                pass  # the thread will find the same
            self._swipes.forget()
            self._ticket = ticket

    def cancel(self, ticket: int) -> None:
        """See `ports.Stripe`."""
        with self._lock:
            if self._ticket == ticket:
                self._ticket = None

    # The thread.

    def _run(self):
        failures = 0
        while not self._closing:
            try:
                fd = self._open()
                try:
                    with self._lock:
                        self._fd = fd
                    self._state("ready")
                    failures = 0
                    self._serve(fd)
                finally:
                    with self._lock:
                        self._fd = None
                        self._swipes.forget()
                        self._shut()
            except PermissionError:
                self._state("failed")
            except (OSError, termios.error):
                self._state("gone")
            except Exception as error:  # noqa: BLE001 - nothing that a wire says may end this thread
                self.fault = type(error).__name__
                self._state("failed")
            if not self._closing:
                self._wait(None, self.retry_s[min(failures, len(self.retry_s) - 1)])
                failures += 1

    def _wait(self, fd, seconds):
        """Sleeps until bytes come at `fd`, `seconds` (None: for ever) are over or the driver closes."""
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if fd is not None:
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(None if seconds is None else max(1, int(seconds * 1000 + 0.999))))

    def _serve(self, fd):
        """Reads until the driver closes (returns) or the port is lost (OSError)."""
        while not self._closing:
            came = self._wait(fd, self._swipes.pause_s)
            with self._lock:
                if came:
                    swipes = self._swipes.feed(self._read())
                else:
                    swipe = self._swipes.paused()
                    swipes = [swipe] if swipe else []
                for swipe in swipes:
                    if self._ticket is not None and not self._closing:
                        self._post(Event(CARD_SWIPED, self._ticket, swipe))

    def _read(self):
        """What has come, as `Swipes` takes it; b"" for nothing."""
        if self._fd is None:
            return b""
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return b""
        if not data:
            # A serial port without bytes says the same as one that is away; the poll knows which it is.
            poll = select.poll()
            poll.register(self._fd, 0)
            if poll.poll(0):
                raise OSError("the port has gone")
            return b""
        self.heard += len(data)
        return self._take(data)

    def _state(self, state):
        with self._lock:
            if state == self.state or self._closing:
                return
            self.state = state
            self._post(Event(PART, 0, (PART_NAME, state)))

    _open: Callable[[], int]  # opens the device: its descriptor; raises OSError
    _shut: Callable[[], None]

    def _take(self, data: bytes) -> bytes:
        return data


class SerialStripe(Reader):
    """`ports.Stripe`.

    post     takes events, from any thread
    part     its part of the board: "baud" (default 9600)
    path     the port's device
    """

    def __init__(self, post: Callable[[Event], None], part: dict, path: str) -> None:
        super().__init__(post)
        self._path, self._baud = path, part.get("baud", BAUD)
        self._serial: Any = None

    def _open(self):
        import serial  # here, because start-up does not wait for it

        self._serial = serial.Serial(self._path, self._baud, timeout=0, exclusive=True)
        return self._serial.fileno()

    def _shut(self):
        try:
            self._serial.close()
        except (OSError, termios.error):
            pass
