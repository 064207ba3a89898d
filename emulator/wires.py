"""The other end of every wire of an emulated board.

Makes the folder that `drivers/wires_emulated.py` describes and serves it:

    UART    a pty in raw mode; the chip has the master, the firmware opens the slave through a link
    I2C     a socket of whole messages; each transfer is given to the chip at its address, a chip that raises OSError
            or is not there does not acknowledge
    GPIO    a page of levels and two pipes (`chips/gpio.py`)
    points  the firmware names the point that it has reached, and waits until it may go on

Two threads, both asleep until the firmware moves: one for I2C and GPIO, one for the points, whose callback may take
its time (it may kill the firmware).
"""

import contextlib
import errno
import fcntl
import os
import selectors
import socket
import struct
import termios
import threading
import tty
from collections.abc import Callable

from drivers.gpio_page import PAGE_NAME
from drivers.wires_emulated import GO_ON, HEAD, LONGEST_MESSAGE, MESSAGE, MOST_MESSAGES, POINTS_NAME, REPLY
from emulator.chips.gpio import Page, no_log

REQUEST_MOST = HEAD.size + MOST_MESSAGES * (MESSAGE.size + LONGEST_MESSAGE)

# asm-generic/ioctls.h and termbits.h: the only way to see a speed that has no name, such as 250000.
TCGETS2, TCSETS2, BOTHER, CBAUD = 0x802C542A, 0x402C542B, 0o010000, 0o010017
TERMIOS2 = struct.Struct("<4IB19s2I")


def speed_of(master: int) -> int:
    """The speed in baud that the client of this pty has set."""
    return TERMIOS2.unpack(fcntl.ioctl(master, TCGETS2, bytes(TERMIOS2.size)))[7]


def set_speed(master: int, baud: int) -> None:
    """Sets the speed of this pty, as its client would."""
    fields = list(TERMIOS2.unpack(fcntl.ioctl(master, TCGETS2, bytes(TERMIOS2.size))))
    fields[2] = fields[2] & ~CBAUD | BOTHER
    fields[6] = fields[7] = baud
    fcntl.ioctl(master, TCSETS2, TERMIOS2.pack(*fields))


class Wires:
    """Serves the wires in `folder` until `close`.

    gpio     the `chips.gpio.Page`
    points   names of the points that the firmware told while armed, in order
    """

    def __init__(self, folder, log=no_log):
        """folder: made if it is not there; the wires that an earlier run left in it are taken away."""
        self.folder = os.fspath(folder)
        self._log = log
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self._sweep()
        self._directory = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        self._uarts: dict = {}
        self._armed: frozenset = frozenset()
        self._on_point = None
        self.points: list[str] = []
        self.gpio = Page(self.folder)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.gpio.changed, selectors.EVENT_READ, self.gpio.look)
        self._stop_read, self._stop_write = os.pipe()
        self._selector.register(self._stop_read, selectors.EVENT_READ, None)
        self._point_listener = self._listen(POINTS_NAME)
        self._threads = [
            threading.Thread(target=self._serve, name="wires", daemon=True),
            threading.Thread(target=self._serve_points, name="points", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def add_i2c(self, bus: str, chips: dict) -> None:
        """A bus with chips: {address: chip}. A chip has write(bytes) and read(n) -> n bytes; OSError: no acknowledge.

        The dict is looked at on every transfer: a chip taken out of it is off the bus.
        """
        listener = self._listen(bus)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener, bus, chips))

    def add_uart(self, bus: str) -> int:
        """A UART; returns the chip's end, the master of a raw pty. It never hangs up: the slave is kept open."""
        master, slave = os.openpty()
        tty.setraw(slave)
        os.symlink(os.ttyname(slave), os.path.join(self.folder, bus))
        self._uarts[bus] = (master, slave)
        return master

    def uart(self, bus: str) -> int:
        """The chip's end of a UART that was added. KeyError when there is none of the name."""
        return self._uarts[bus][0]

    def unplug(self, bus: str) -> None:
        """Takes a UART away, as a USB plug does: who has it open is hung up, and nothing is where it was."""
        for descriptor in self._uarts.pop(bus, ()):
            os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.folder, bus))

    def on_point(self, callback: "Callable[[str], None] | None") -> None:
        """callback(point) for each armed point that the firmware reaches, while it waits. From a thread of its own."""
        self._on_point = callback

    def arm(self, *points: str) -> None:
        """From now on the firmware tells the points that it reaches: these, or all when none is given."""
        self._armed = frozenset(points)
        self.points = []
        self.gpio.arm(True)

    def disarm(self) -> None:
        """No more points."""
        self.gpio.arm(False)

    def process_ended(self) -> None:
        """The firmware's process is gone, however: what lived in it (software PWM) stands still."""
        self.gpio.process_ended()

    def reset(self) -> None:
        """Power lost: no pin is driven, bytes under way on a UART are gone."""
        self.gpio.reset()
        for master, slave in list(self._uarts.values()):
            termios.tcflush(slave, termios.TCIOFLUSH)
            termios.tcflush(master, termios.TCIOFLUSH)

    def close(self) -> None:
        """Takes the wires away. The chips must have stopped reading their UARTs."""
        if not self._threads:
            return
        os.write(self._stop_write, b"!")
        # Wakes the thread that waits for a caller.
        self._point_listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._threads = []
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._point_listener.close()
        self.gpio.close()
        for pair in self._uarts.values():
            for descriptor in pair:
                os.close(descriptor)
        for descriptor in (self._stop_read, self._stop_write, self._directory):
            os.close(descriptor)
        self._sweep()

    def _sweep(self):
        """Takes wires out of the folder, and nothing else that may lie there."""
        for entry in list(os.scandir(self.folder)):
            if entry.name == PAGE_NAME or not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                os.unlink(entry.path)

    def _listen(self, name):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Through the descriptor of the folder, because an address has room for 107 bytes only.
        listener.bind("/proc/self/fd/%d/%s" % (self._directory, name))
        listener.listen()
        return listener

    def _serve(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                try:
                    key.data()
                except Exception as error:  # Somebody's callback must not take all wires down with it.
                    self._log("wire", "callback failed: %s" % type(error).__name__)

    def _accept(self, listener, bus, chips):
        line = listener.accept()[0]
        self._selector.register(line, selectors.EVENT_READ, lambda: self._transfer(line, bus, chips))

    def _transfer(self, line, bus, chips):
        """One I2C transfer, or the end of a client."""
        try:
            request = line.recv(REQUEST_MOST)
            if request:
                line.send(self._answer(request, bus, chips))
                return
        except OSError:
            # The client died between its request and our reply.
            pass
        self._selector.unregister(line)
        line.close()

    def _answer(self, request, bus, chips):
        try:
            sequence, count = HEAD.unpack_from(request)
        except struct.error:
            return REPLY.pack(0, errno.EINVAL)
        try:
            return REPLY.pack(sequence, 0) + self._run(request, count, chips)
        except OSError as error:
            return REPLY.pack(sequence, error.errno or errno.EREMOTEIO)
        except Exception as error:  # A chip with a bug must not take the bus down with it.
            self._log("wire", "%s: chip failed: %s" % (bus, type(error).__name__))
            return REPLY.pack(sequence, errno.EIO)

    def _run(self, request, count, chips):
        read = []
        place = HEAD.size
        for _ in range(count):
            address, flags, length = MESSAGE.unpack_from(request, place)
            place += MESSAGE.size
            chip = chips.get(address)
            if chip is None:
                raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))
            if flags & 1:
                read.append(bytes(chip.read(length))[:length].ljust(length, b"\xff"))
            else:
                chip.write(request[place : place + length])
                place += length
        return b"".join(read)

    def _serve_points(self):
        while True:
            try:
                line = self._point_listener.accept()[0]
            except OSError:
                return
            with line:
                try:
                    point = line.recv(256).decode("utf-8", "replace")
                    if point and (not self._armed or point in self._armed):
                        self.points.append(point)
                        self._tell(point)
                    line.send(GO_ON)
                except OSError:
                    # The firmware was killed at this point.
                    pass

    def _tell(self, point):
        if self._on_point is None:
            return
        try:
            self._on_point(point)
        except Exception as error:  # The firmware waits: it must be let go on.
            self._log("wire", "callback at %s failed: %s" % (point, type(error).__name__))
