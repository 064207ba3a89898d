"""GPIO of an emulated board: pin levels in one page of memory that firmware and emulator both map.

The firmware's side has RPi.GPIO's API and works out the level of an input itself, from what the page says is driven
and which switches are closed, so that scanning a keypad costs no call to another process. Two pipes beside the page
carry wakes only: a byte means "look".

The page, one byte a pin where nothing else is said:

    0     pins      firmware   0x80 output, 0x40 input, 0x20 PWM runs, 0x04 pulled down, 0x02 pulled up, 0x01 level
    64    drive     emulator   0x02 something outside drives the pin, 0x01 its level
    128   watch     emulator   1: tell me when the firmware changes this output
    192   armed     emulator   1: tell me each point (`reach`)
    193   shorts    firmware   how often two outputs were seen against each other, up to 255
    194   asleep    firmware   1: it waits for a change
    200   rows      emulator   number of rows of the key matrix, then their pins (up to 8)
    209   columns   emulator   number of columns, then their pins (up to 8)
    224   switches  emulator   closed switches, 64 bits, little endian: bit 8 * row + column
    256   pwm       firmware   8 bytes a pin: frequency in mHz, duty in 1/100 %, both 32 bits little endian

A matrix has no diodes here: current finds every way through closed switches, so three keys on the corners of a
rectangle show the fourth, as they do on a bench.
"""

import mmap
import os
import select
import struct

SIZE = 4096
PINS = 64
OUTPUT, INPUT, RUNNING, PULLED_DOWN, PULLED_UP, LEVEL = 0x80, 0x40, 0x20, 0x04, 0x02, 0x01
DRIVEN = 0x02
DRIVE, WATCH, ARMED, SHORTS, ASLEEP, ROWS, COLUMNS, SWITCHES, PWM = 64, 128, 192, 193, 194, 200, 209, 224, 256
WIDTH = 8
PWM_FORMAT = struct.Struct("<II")

PAGE_NAME, WAKE_NAME, CHANGED_NAME = "gpio", "gpio.wake", "gpio.changed"


def map_page(path: str) -> mmap.mmap:
    """The page, shared with whoever else maps the file."""
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(handle, SIZE)
    finally:
        os.close(handle)


def open_pipe(path: str) -> int:
    """A named pipe for reading and writing: never at its end, never in the way of a writer."""
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def ring(pipe: int) -> None:
    """Puts a wake into the pipe. A full pipe is a wake already."""
    try:
        os.write(pipe, b"!")
    except BlockingIOError:
        pass


def drain(pipe: int) -> None:
    """Takes all wakes out of the pipe."""
    try:
        while len(os.read(pipe, SIZE)) == SIZE:
            pass
    except BlockingIOError:
        pass


def net(rows: int, closed: list, column: int) -> int:
    """Which of the rows hang together with this column through closed switches; bits.

    closed[row] has a bit for each column whose switch in that row is closed.
    """
    columns, joined, grew = 1 << column, 0, True
    while grew:
        grew = False
        for row in range(rows):
            if closed[row] & columns and not joined >> row & 1:
                joined |= 1 << row
                columns |= closed[row]
                grew = True
    return joined


class PageGpio:
    """RPi.GPIO's API on the page. Pins are BCM numbers. `wait_change` is for one thread."""

    BOARD, BCM = 10, 11
    OUT, IN = 0, 1
    LOW, HIGH = 0, 1
    PUD_OFF, PUD_DOWN, PUD_UP = 20, 21, 22
    RISING, FALLING, BOTH = 31, 32, 33
    UNKNOWN, SERIAL, SPI, I2C, HARD_PWM = -1, 40, 41, 42, 43
    VERSION = "0.7.1"
    RPI_INFO = {"TYPE": "Emulated", "P1_REVISION": 3}

    def __init__(self, folder: str):
        self._page = map_page(os.path.join(folder, PAGE_NAME))
        self._wake = open_pipe(os.path.join(folder, WAKE_NAME))
        self._changed = open_pipe(os.path.join(folder, CHANGED_NAME))
        self._mode: int | None = None
        self._pwm: dict[int, PagePwm] = {}

    def setmode(self, mode: int) -> None:
        if mode != self.BCM:
            raise ValueError("An invalid mode was passed to setmode()")
        self._mode = mode

    def getmode(self):
        return self._mode

    def setwarnings(self, wanted: bool) -> None:
        """There are none."""

    def setup(self, channel, direction: int, pull_up_down: int = PUD_OFF, initial: int = -1) -> None:
        """channel: a pin, or a list or tuple of pins. An output without `initial` keeps its level."""
        if self._mode is None:
            raise RuntimeError("Please set pin numbering mode using GPIO.setmode(GPIO.BOARD) or GPIO.setmode(GPIO.BCM)")
        if direction not in (self.IN, self.OUT):
            raise ValueError("An invalid direction was passed to setup()")
        if direction == self.OUT and pull_up_down != self.PUD_OFF:
            raise ValueError("pull_up_down parameter is not valid for outputs")
        for pin in _many(channel):
            self._known(pin)
            if direction == self.OUT:
                level = self._page[pin] & LEVEL if initial == -1 else int(bool(initial))
                self._put(pin, OUTPUT | level)
            else:
                pull = {self.PUD_UP: PULLED_UP, self.PUD_DOWN: PULLED_DOWN}.get(pull_up_down, 0)
                self._put(pin, INPUT | pull)

    def output(self, channel, value) -> None:
        """value: a level for all, or as many levels as there are pins."""
        pins = _many(channel)
        levels = list(value) if isinstance(value, (list, tuple)) else [value] * len(pins)
        if len(levels) != len(pins):
            raise RuntimeError("Number of channels != number of values")
        for pin, level in zip(pins, levels, strict=True):
            self._known(pin)
            if not self._page[pin] & OUTPUT:
                raise RuntimeError("The GPIO channel has not been set up as an OUTPUT")
            self._put(pin, OUTPUT | int(bool(level)))

    def input(self, pin: int) -> int:
        page = self._page
        self._known(pin)
        state = page[pin]
        if not state & (OUTPUT | INPUT):
            raise RuntimeError("You must setup() the GPIO channel first")
        if state & OUTPUT:
            return state & LEVEL
        drive = page[DRIVE + pin]
        if drive & DRIVEN:
            return drive & LEVEL
        if any(page[SWITCHES : SWITCHES + WIDTH]):
            level = self._through_switches(pin)
            if level is not None:
                return level
        return 1 if state & PULLED_UP else 0

    def gpio_function(self, pin: int) -> int:
        self._known(pin)
        return self.OUT if self._page[pin] & OUTPUT else self.IN

    def cleanup(self, channel=None) -> None:
        for pin in range(PINS) if channel is None else _many(channel):
            self._known(pin)
            self._put(pin, 0)

    def PWM(self, pin: int, hz: float) -> "PagePwm":
        self._known(pin)
        if not self._page[pin] & OUTPUT:
            raise RuntimeError("You must setup() the GPIO channel as an output first")
        if pin in self._pwm:
            raise RuntimeError("A PWM object already exists for this GPIO channel")
        self._pwm[pin] = PagePwm(self, pin, hz)
        return self._pwm[pin]

    def add_event_detect(self, *arguments, **settings) -> None:
        """Refused, as kernels since 6.6 do."""
        raise RuntimeError("Failed to add edge detection")

    wait_for_edge = add_event_detect

    def wait_change(self, timeout_s: float) -> bool:
        """True as soon as the emulator has changed something (or `wake` was called), False after that long."""
        self._page[ASLEEP] = 1
        changed = select.select((self._wake,), (), (), max(timeout_s, 0))[0]
        # Awake before the pipe is emptied: asleep on an empty pipe means that every change was seen.
        self._page[ASLEEP] = 0
        if not changed:
            return False
        drain(self._wake)
        return True

    def wake(self) -> None:
        """Ends a `wait_change`."""
        ring(self._wake)

    def close(self) -> None:
        """Lets the page and the pipes go."""
        self._page.close()
        os.close(self._wake)
        os.close(self._changed)

    def _known(self, pin):
        if type(pin) is not int or not 0 <= pin < PINS:
            raise ValueError("The channel sent is invalid on a Raspberry Pi")

    def _put(self, pin, state):
        page = self._page
        if page[pin] != state:
            page[pin] = state
            if page[WATCH + pin]:
                ring(self._changed)

    def _put_pwm(self, pin, running, hz, duty):
        page = self._page
        place = PWM + PWM_FORMAT.size * pin
        page[place : place + PWM_FORMAT.size] = PWM_FORMAT.pack(int(hz * 1000), int(duty * 100))
        # The level of a PWM pin between pulses is low; it is never read as a level.
        page[pin] = OUTPUT | (RUNNING if running else 0)
        if page[WATCH + pin]:
            ring(self._changed)

    def _through_switches(self, pin):
        """The level that outputs give to this pin through the matrix, or None where none reaches it."""
        page = self._page
        rows = page[ROWS + 1 : ROWS + 1 + page[ROWS]]
        columns = page[COLUMNS + 1 : COLUMNS + 1 + page[COLUMNS]]
        column = columns.find(pin)
        if column < 0:
            return None
        joined = net(len(rows), list(page[SWITCHES : SWITCHES + WIDTH]), column)
        driven = [page[row] & LEVEL for place, row in enumerate(rows) if joined >> place & 1 and page[row] & OUTPUT]
        if 0 in driven and 1 in driven:
            page[SHORTS] = min(page[SHORTS] + 1, 255)
        return min(driven) if driven else None


class PagePwm:
    """RPi.GPIO's software PWM: its frequency and duty, in the page."""

    def __init__(self, gpio, pin, hz):
        self._gpio = gpio
        self._pin = pin
        self._hz = _hz(hz)
        self._duty = 0.0
        self._running = False

    def start(self, duty: float) -> None:
        """duty: 0..100 %."""
        self._duty = _percent(duty)
        self._running = True
        self._put()

    def ChangeFrequency(self, hz: float) -> None:
        self._hz = _hz(hz)
        self._put()

    def ChangeDutyCycle(self, duty: float) -> None:
        self._duty = _percent(duty)
        self._put()

    def stop(self) -> None:
        self._running = False
        self._put()

    def _put(self):
        self._gpio._put_pwm(self._pin, self._running, self._hz, self._duty)


def _many(channel):
    return list(channel) if isinstance(channel, (list, tuple)) else [channel]


def _hz(hz):
    if hz <= 0:
        raise ValueError("frequency must be greater than 0.0")
    return float(hz)


def _percent(duty):
    if not 0 <= duty <= 100:
        raise ValueError("dutycycle must have a value from 0.0 to 100.0")
    return float(duty)
