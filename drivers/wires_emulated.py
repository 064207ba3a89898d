"""The wires of an emulated board: a folder that holds one end of each, named by the environment variable KAIFU_WIRES.

    gpio, gpio.wake, gpio.changed    the page of pin levels and its two pipes (`gpio_page.py`)
    <i2c bus>                        a socket of whole messages: one I2C transfer is a request and its reply
    <uart bus>                       a link to a pty
    points                           a socket: the name of a point, then a byte when the program may go on

The other ends are `emulator/wires.py`. The I2C bus is the real smbus2.SMBus on that socket, with ioctl answered here
as `i2c-bcm2835` answers it: I2C_RDWR as it is, I2C_SMBUS put together from transfers as the kernel does.

An I2C request: sequence number (16 bits), number of messages (8), then address, flags, length (16 bits each) and, for
a write, the bytes. The reply: the sequence number, an errno (0: done), the bytes of all reads. All little endian.
"""

import ctypes
import errno
import mmap
import os
import select
import socket
import struct
import threading

from drivers.gpio_page import ARMED, PAGE_NAME, SIZE, PageGpio, map_page
from drivers.wires import WiresError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "KAIFU_WIRES"
POINTS_NAME = "points"
GO_ON = b"."

HEAD = struct.Struct("<HB")
MESSAGE = struct.Struct("<HHH")
REPLY = struct.Struct("<HH")

# As i2c-dev has them.
MOST_MESSAGES = 42
LONGEST_MESSAGE = 8192

# What i2c-bcm2835 says it can do: I2C itself and SMBus put together from it.
FUNCTIONS = 0x00000001 | 0x0EFF0008

I2C_TIMEOUT_S = 1.0
POINT_TIMEOUT_S = 30.0


class EmulatedWires:
    """The buses of an emulated board. Has what `drivers/wires.py` says."""

    def __init__(self, board, folder: str | None = None):
        """folder: where the wires are; the environment's when not given. Raises WiresError."""
        self.folder = folder or os.environ.get(VARIABLE, "")
        if not os.path.exists(os.path.join(self.folder, PAGE_NAME)):
            raise WiresError("%s: no emulator: %s names no folder of wires (`make run` starts both)" % (board.file, VARIABLE))
        self._board = board
        self._page: mmap.mmap | bytes = map_page(os.path.join(self.folder, PAGE_NAME))
        self._buses: list = []
        self._gpio: PageGpio | None = None

    def uart(self, bus: str) -> str:
        return os.path.join(self.folder, bus)

    def i2c(self, bus: str):
        try:
            opened = open_i2c(os.path.join(self.folder, bus))
        except OSError as error:
            raise WiresError("%s: buses.%s: the emulator does not serve it (%s)" % (self._board.file, bus, error)) from error
        self._buses.append(opened)
        return opened

    def gpio(self) -> PageGpio:
        if self._gpio is None:
            self._gpio = PageGpio(self.folder)
            self._gpio.setmode(PageGpio.BCM)
        return self._gpio

    def reach(self, point: str) -> None:
        if self._page[ARMED]:
            self._tell(point)

    def close(self) -> None:
        if self._gpio is not None:
            self._gpio.cleanup()
            self._gpio.close()
            self._gpio = None
        while self._buses:
            self._buses.pop().close()
        # Who still reaches a point finds it not armed.
        page, self._page = self._page, bytes(SIZE)
        if isinstance(page, mmap.mmap):
            page.close()

    def _tell(self, point):
        """Names the point and waits for leave to go on; an emulator that is gone gives it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.settimeout(POINT_TIMEOUT_S)
            try:
                connect(line, os.path.join(self.folder, POINTS_NAME))
                line.send(point.encode())
                line.recv(1)
            except OSError:
                pass


def connect(line: socket.socket, path: str) -> None:
    """Connects to a socket by its path, however long: the address has room for 107 bytes only."""
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    try:
        line.connect("/proc/self/fd/%d/%s" % (folder, os.path.basename(path)))
    finally:
        os.close(folder)


# Descriptors of emulated buses, each with its Line. Whatever else is given to smbus2's ioctl is the kernel's.
_lines: dict = {}


def open_i2c(path: str):
    """A real smbus2.SMBus whose descriptor is the socket at this path."""
    from smbus2 import smbus2

    module: Any = smbus2
    if not hasattr(module.ioctl, "kernel"):
        module.ioctl = _ioctl_beside(module.ioctl)

    class Bus(module.SMBus):
        """An SMBus on a socket where the node was."""

        def open(self, bus):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
                connect(line, bus)
                self.fd = line.detach()
            _lines[self.fd] = Line(self.fd)
            self.funcs = self._get_funcs()

        def close(self):
            _lines.pop(self.fd, None)
            super().close()

    return Bus(path)


def _ioctl_beside(kernel):
    def ioctl(descriptor, request, argument=0):
        line = _lines.get(descriptor)
        return kernel(descriptor, request, argument) if line is None else line.ioctl(request, argument)

    ioctl.kernel = kernel
    return ioctl


class Line:
    """One open I2C bus: what the kernel's i2c-dev is to a descriptor. Raises OSError as it does."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.address = None
        self.sequence = 0
        self.lock = threading.Lock()

    def ioctl(self, request, argument):
        from smbus2 import smbus2

        if request == smbus2.I2C_RDWR:
            return self.combined(argument)
        if request == smbus2.I2C_SMBUS:
            return self.smbus(argument)
        if request in (smbus2.I2C_SLAVE, smbus2.I2C_SLAVE_FORCE):
            if argument > 0x7F:
                raise _error(errno.EINVAL)
            self.address = argument
            return 0
        if request == smbus2.I2C_FUNCS:
            argument.value = FUNCTIONS
            return 0
        if request == smbus2.I2C_PEC and not argument:
            return 0
        raise _error(errno.ENOTTY)

    def combined(self, argument):
        """I2C_RDWR: messages with one stop at the end."""
        if argument.nmsgs > MOST_MESSAGES:
            raise _error(errno.EINVAL)
        messages = [argument.msgs[place] for place in range(argument.nmsgs)]
        if any(message.len > LONGEST_MESSAGE for message in messages):
            raise _error(errno.EINVAL)
        read = self.transfer([(message.addr, message.len, None if message.flags & 1 else bytes(message)) for message in messages])
        for message in messages:
            if message.flags & 1:
                ctypes.memmove(message.buf, read, message.len)
                read = read[message.len :]
        return argument.nmsgs

    def smbus(self, argument):
        """I2C_SMBUS: the SMBus protocols that the kernel makes of plain transfers."""
        from smbus2 import smbus2

        reading = argument.read_write == smbus2.I2C_SMBUS_READ
        command = bytes((argument.command,))
        data: Any = argument.data.contents if argument.data else None
        size = argument.size
        if size == smbus2.I2C_SMBUS_QUICK:
            self.transfer([(self.address, 0, None if reading else b"")])
        elif size == smbus2.I2C_SMBUS_BYTE:
            if reading:
                data.byte = self.transfer([(self.address, 1, None)])[0]
            else:
                self.write(command)
        elif size == smbus2.I2C_SMBUS_BYTE_DATA:
            if reading:
                data.byte = self.read(command, 1)[0]
            else:
                self.write(command + bytes((data.byte,)))
        elif size == smbus2.I2C_SMBUS_WORD_DATA:
            if reading:
                data.word = struct.unpack("<H", self.read(command, 2))[0]
            else:
                self.write(command + struct.pack("<H", data.word))
        elif size == smbus2.I2C_SMBUS_PROC_CALL:
            data.word = struct.unpack("<H", self.read(command + struct.pack("<H", data.word), 2))[0]
        elif size == smbus2.I2C_SMBUS_I2C_BLOCK_DATA:
            count = min(data.block[0], smbus2.I2C_SMBUS_BLOCK_MAX)
            if reading:
                for place, byte in enumerate(self.read(command, count)):
                    data.block[1 + place] = byte
            else:
                self.write(command + bytes(data.block[1 : 1 + count]))
        elif size == smbus2.I2C_SMBUS_BLOCK_DATA and not reading:
            self.write(command + bytes(data.block[: 1 + min(data.block[0], smbus2.I2C_SMBUS_BLOCK_MAX)]))
        else:
            raise _error(errno.EOPNOTSUPP)
        return 0

    def write(self, data):
        self.transfer([(self.address, len(data), data)])

    def read(self, command, count):
        return self.transfer([(self.address, len(command), command), (self.address, count, None)])

    def transfer(self, messages):
        """messages: [(address, length, bytes to write or None to read)] -> what was read."""
        request = []
        expected = 0
        for address, length, data in messages:
            request.append(MESSAGE.pack(address, 1 if data is None else 0, length))
            if data is None:
                expected += length
            else:
                request.append(data)
        with self.lock:
            self.sequence = (self.sequence + 1) & 0xFFFF
            request.insert(0, HEAD.pack(self.sequence, len(messages)))
            try:
                os.write(self.descriptor, b"".join(request))
                reply = self.reply(REPLY.size + expected)
            except ConnectionError as error:
                # Nobody is at the other end: nobody acknowledges.
                raise _error(errno.EREMOTEIO) from error
        number = REPLY.unpack_from(reply)[1]
        if number:
            raise _error(number)
        read = reply[REPLY.size :]
        if len(read) != expected:
            raise _error(errno.EIO)
        return read

    def reply(self, most):
        """The reply to the last request; older ones, which came too late, are dropped."""
        while True:
            if not select.select((self.descriptor,), (), (), I2C_TIMEOUT_S)[0]:
                raise _error(errno.ETIMEDOUT)
            reply = os.read(self.descriptor, most)
            if len(reply) < REPLY.size:
                raise _error(errno.EREMOTEIO)
            if REPLY.unpack_from(reply)[0] == self.sequence:
                return reply


def _error(number):
    return OSError(number, os.strerror(number))
