"""The buses of a board by the names that its board file gives them.

A driver is handed a device path, an I2C bus or a GPIO object and never asks which board it is on. A board's
`"wires"` says which of two kinds there is: `RealWires` here, `EmulatedWires` in `wires_emulated.py`. Both have

    uart(bus)      path of a device for pyserial
    i2c(bus)       an open smbus2.SMBus, a new one each time: one for each driver
    gpio()         RPi.GPIO's API, set to BCM numbers, and two more: `wait_change(timeout_s)` returns True when a
                   level may have changed, False when none has for that long; `wake()` ends a wait early
    reach(point)   the program is at a named point ("commit:done:sales"); nothing on real wires. The emulator may
                   have armed it, and then pulls the plug there
    close()        pins back to inputs, buses closed
"""

import os
import time

TTYS = "/sys/class/tty"

# How often a pin is looked at where the system tells nothing: kernels since 6.6 refuse RPi.GPIO's edge detection.
PROBE_S = 0.010

# A reset line is held for so long (PN532: 20 ns), and the chip is left alone for so long after (PN532: 2 ms).
RESET_S = 0.001
RESTART_S = 0.005


class WiresError(Exception):
    """A bus of the board file is not there on this machine. Says file, key and what to do."""


def open_wires(board):
    """The wires of a `drivers.board.Board`. Raises WiresError."""
    if board.wires == "emulated":
        from drivers.wires_emulated import EmulatedWires

        return EmulatedWires(board)
    return RealWires(board)


def reset_line(gpio, pin: int):
    """A function that resets the chip whose active-low reset is on this pin. The line is let go at once."""
    gpio.setup(pin, gpio.OUT, initial=gpio.HIGH)

    def reset():
        gpio.output(pin, gpio.LOW)
        time.sleep(RESET_S)
        gpio.output(pin, gpio.HIGH)
        time.sleep(RESTART_S)

    return reset


def tty_at(hardware: str, ttys: str = TTYS) -> str:
    """The /dev path of the UART whose sysfs path has this component ("fe201600.serial", "1-1.2:1.0").

    A UART that is not there gets a path that is not there either: its driver reports the part as gone, as it does
    for one that is pulled out.
    """
    for tty in sorted(os.listdir(ttys)) if os.path.isdir(ttys) else ():
        device = os.path.realpath(os.path.join(ttys, tty, "device"))
        if hardware in device.split("/"):
            return "/dev/" + tty
    return "/dev/serial/by-hardware/" + hardware


class RealWires:
    """The buses of the machine that this runs on."""

    def __init__(self, board):
        self._board = board
        self._buses: list = []
        self._gpio: RealGpio | None = None

    def uart(self, bus: str) -> str:
        spec = self._board.buses[bus]
        return spec["node"] if "node" in spec else tty_at(spec["by"])

    def i2c(self, bus: str):
        from smbus2 import SMBus

        node = self._board.buses[bus]["node"]
        try:
            opened = SMBus(node)
        except OSError as error:
            raise WiresError(self._say(bus, "%s cannot be opened (%s)" % (node, error.strerror))) from error
        self._buses.append(opened)
        return opened

    def gpio(self):
        if self._gpio is None:
            try:
                from RPi import GPIO
            except (ImportError, RuntimeError) as error:
                raise WiresError(self._say("gpio", "RPi.GPIO cannot be used: %s" % error)) from error
            self._gpio = RealGpio(GPIO)
        return self._gpio

    def reach(self, point: str) -> None:
        """Nothing: only an emulator stops a program at a point."""

    def close(self) -> None:
        if self._gpio is not None:
            self._gpio.cleanup()
            self._gpio = None
        while self._buses:
            self._buses.pop().close()

    def _say(self, bus, what):
        return "%s: buses.%s: %s; `--check` lists what to set up" % (self._board.file, bus, what)


class RealGpio:
    """RPi.GPIO (rpi-lgpio gives the same module on a Pi 5) with the two calls that it lacks."""

    def __init__(self, module):
        self._module = module
        module.setwarnings(False)
        module.setmode(module.BCM)

    def __getattr__(self, name):
        return getattr(self._module, name)

    def wait_change(self, timeout_s: float) -> bool:
        """Sleeps for a probe's time and lets the caller look for himself."""
        if timeout_s <= 0:
            return False
        time.sleep(min(timeout_s, PROBE_S))
        return True

    def wake(self) -> None:
        """Nothing: no wait is longer than a probe."""
