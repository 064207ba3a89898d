"""The wires by their names: the machine's own, and the firmware's ends of the emulated ones."""

import errno
import random
import socket
import sys
import threading

import pytest
import smbus2

from drivers import wires_emulated
from drivers.board import load
from drivers.wires import RealWires, WiresError, open_wires, reset_line, tty_at
from drivers.wires_emulated import HEAD, MESSAGE, VARIABLE, connect
from tests.toys import DEADLINE_S
from tests.wired import Wired

MODULE = """
BCM, IN, OUT, LOW, HIGH, PUD_UP = 11, 1, 0, 0, 1, 22
calls = []
def setwarnings(wanted): calls.append(("warnings", wanted))
def setmode(mode): calls.append(("mode", mode))
def setup(pin, direction, initial): calls.append(("setup", pin, direction, initial))
def output(pin, level): calls.append(("output", pin, level))
def cleanup(): calls.append(("cleanup",))
"""


class Registers:
    """A chip with 256 registers behind a pointer that counts on."""

    def __init__(self):
        self.registers = bytearray(range(256))
        self.pointer = 0
        self.absent = False
        self.writes = []

    def write(self, data):
        self._answer()
        self.writes.append(data)
        if data:
            self.pointer = data[0]
        for value in data[1:]:
            self.registers[self.pointer] = value
            self.pointer = (self.pointer + 1) % 256

    def read(self, count):
        self._answer()
        read = bytes(self.registers[(self.pointer + place) % 256] for place in range(count))
        self.pointer = (self.pointer + count) % 256
        return read

    def _answer(self):
        if self.absent:
            raise OSError(errno.EREMOTEIO, "no acknowledge")


@pytest.fixture
def wired(tmp_path):
    wired = Wired(tmp_path)
    yield wired
    wired.close()


@pytest.fixture
def chip(wired):
    chip = Registers()
    wired.far.add_i2c("i2c1", {0x36: chip})
    return chip


@pytest.fixture
def bus(wired, chip):
    return wired.near.i2c("i2c1")


@pytest.fixture
def rpi(tmp_path, monkeypatch):
    """A folder on the path in which a test writes its RPi.GPIO."""
    for name in ("RPi", "RPi.GPIO"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    package = tmp_path / "site" / "RPi"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield package / "GPIO.py"
    for name in ("RPi", "RPi.GPIO"):
        sys.modules.pop(name, None)


def serial_ports(folder, **places):
    """A /sys/class/tty in which each name is a link to a device at a place below /devices."""
    for tty, place in places.items():
        device = folder / "devices" / place
        device.mkdir(parents=True)
        (folder / "tty" / tty).mkdir(parents=True)
        (folder / "tty" / tty / "device").symlink_to(device)
    return str(folder / "tty")


# The machine's own wires.


def test_a_uart_with_a_node_is_that_node():
    assert RealWires(load("pi_4")).uart("uart0") == "/dev/ttyAMA0"


def test_a_uart_is_found_by_its_hardware_address_whatever_its_number(tmp_path):
    ttys = serial_ports(
        tmp_path, ttyAMA0="platform/soc/fe201000.serial", ttyAMA1="platform/soc/fe201600.serial",
        ttyUSB0="platform/scb/usb1/1-1/1-1.2/1-1.2:1.0/ttyUSB0",
    )  # fmt: skip
    assert tty_at("fe201600.serial", ttys) == "/dev/ttyAMA1"
    assert tty_at("1-1.2:1.0", ttys) == "/dev/ttyUSB0"


def test_a_uart_that_is_not_there_is_a_path_that_cannot_be_opened(tmp_path):
    path = tty_at("fe201600.serial", serial_ports(tmp_path, ttyAMA0="platform/soc/fe201000.serial"))
    assert "fe201600.serial" in path
    with pytest.raises(FileNotFoundError):
        open(path)
    assert tty_at("fe201600.serial", str(tmp_path / "nothing")) == path


def test_an_i2c_bus_that_is_not_switched_on_is_named():
    board = load("pi_4")
    board.buses = {"i2c1": {"node": "/dev/i2c-99"}}
    with pytest.raises(WiresError) as caught:
        RealWires(board).i2c("i2c1")
    assert str(caught.value).startswith("boards/pi_4.py: buses.i2c1: /dev/i2c-99 cannot be opened")


def test_gpio_is_the_installed_package_in_bcm_numbers(rpi):
    rpi.write_text(MODULE)
    wires = open_wires(load("pi_4"))
    gpio = wires.gpio()
    assert gpio is wires.gpio()
    assert gpio.calls == [("warnings", False), ("mode", 11)]
    assert gpio.PUD_UP == 22
    wires.close()
    assert gpio.calls[-1] == ("cleanup",)


def test_real_gpio_lets_the_caller_look_at_least_each_probe_time(rpi):
    rpi.write_text(MODULE)
    gpio = open_wires(load("pi_4")).gpio()
    assert gpio.wait_change(60)
    assert not gpio.wait_change(0)
    gpio.wake()


@pytest.mark.parametrize("text", ["raise RuntimeError('This module can only be run on a Raspberry Pi!')", "import no_such_thing"])
def test_gpio_that_cannot_be_used_is_named(rpi, text):
    rpi.write_text(text)
    with pytest.raises(WiresError, match=r"boards/pi_4\.py: buses\.gpio: RPi\.GPIO cannot be used"):
        RealWires(load("pi_4")).gpio()


def test_real_wires_stop_at_no_point():
    assert RealWires(load("pi_4")).reach("commit:done:sales") is None


def test_a_reset_line_rests_high_and_pulses_low(rpi):
    rpi.write_text(MODULE)
    gpio = open_wires(load("pi_4")).gpio()
    reset = reset_line(gpio, 20)
    reset()
    assert gpio.calls[2:] == [("setup", 20, 0, 1), ("output", 20, 0), ("output", 20, 1)]


# The emulated ones.


def test_emulated_wires_are_in_the_folder_that_the_environment_names(wired, monkeypatch):
    monkeypatch.setenv(VARIABLE, wired.far.folder)
    wires = open_wires(load("emulator"))
    assert wires.folder == wired.far.folder
    wires.close()


@pytest.mark.parametrize("folder", [None, "/nonexistent"])
def test_without_an_emulator_the_board_says_how_to_start_one(monkeypatch, folder):
    monkeypatch.delenv(VARIABLE, raising=False)
    if folder:
        monkeypatch.setenv(VARIABLE, folder)
    with pytest.raises(WiresError, match="make run"):
        open_wires(load("emulator"))


def test_a_bus_that_the_emulator_does_not_serve_is_named(wired):
    with pytest.raises(WiresError, match=r"boards/emulator\.py: buses.i2c1"):
        wired.near.i2c("i2c1")


def test_the_bus_is_a_real_smbus(bus):
    assert isinstance(bus, smbus2.SMBus)
    assert bus.funcs == smbus2.I2cFunc.I2C | smbus2.I2cFunc.SMBUS_EMUL


def test_combined_transfers_reach_the_chip(bus, chip):
    read = smbus2.i2c_msg.read(0x36, 4)
    bus.i2c_rdwr(smbus2.i2c_msg.write(0x36, [0x10, 1, 2]), smbus2.i2c_msg.write(0x36, [0x0F]), read)
    assert bytes(read) == bytes([0x0F, 1, 2, 0x12])
    assert chip.writes == [bytes([0x10, 1, 2]), bytes([0x0F])]


def test_a_whole_picture_goes_in_one_transfer(bus, chip):
    bus.i2c_rdwr(smbus2.i2c_msg.write(0x36, bytes(8192)))
    assert chip.writes == [bytes(8192)]


SMBUS = [
    # call, what the chip is written, answer
    (lambda bus: bus.write_quick(0x36), [b""], None),
    (lambda bus: bus.write_byte(0x36, 5), [b"\x05"], None),
    (lambda bus: bus.read_byte(0x36), [], 0),
    (lambda bus: bus.write_byte_data(0x36, 5, 6), [b"\x05\x06"], None),
    (lambda bus: bus.read_byte_data(0x36, 7), [b"\x07"], 7),
    (lambda bus: bus.write_word_data(0x36, 5, 0x1234), [b"\x05\x34\x12"], None),
    (lambda bus: bus.read_word_data(0x36, 0x40), [b"\x40"], 0x4140),
    (lambda bus: bus.process_call(0x36, 5, 0x1234), [b"\x05\x34\x12"], 0x0807),
    (lambda bus: bus.write_block_data(0x36, 5, [9, 8]), [b"\x05\x02\x09\x08"], None),
    (lambda bus: bus.write_i2c_block_data(0x36, 5, [9, 8]), [b"\x05\x09\x08"], None),
    (lambda bus: bus.read_i2c_block_data(0x36, 0x20, 3), [b"\x20"], [0x20, 0x21, 0x22]),
]


@pytest.mark.parametrize(("call", "writes", "answer"), SMBUS, ids=range(len(SMBUS)))
def test_smbus_protocols_are_put_together_as_the_kernel_does(bus, chip, call, writes, answer):
    assert call(bus) == answer
    assert chip.writes == writes


def test_an_address_without_a_chip_does_not_acknowledge(bus):
    for call in (
        lambda: bus.write_quick(0x50),
        lambda: bus.write_byte(0x50, 1),
        lambda: bus.i2c_rdwr(smbus2.i2c_msg.write(0x50, [1])),
    ):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.EREMOTEIO


def test_a_chip_that_stops_acknowledging_comes_back(bus, chip):
    chip.absent = True
    with pytest.raises(OSError) as caught:
        bus.read_byte_data(0x36, 7)
    assert caught.value.errno == errno.EREMOTEIO
    chip.absent = False
    assert bus.read_byte_data(0x36, 7) == 7


def test_a_chip_with_a_bug_is_an_io_error_and_a_line_in_the_log(wired, bus, chip):
    chip.registers = None
    with pytest.raises(OSError) as caught:
        bus.read_byte_data(0x36, 7)
    assert caught.value.errno == errno.EIO
    assert ("wire", "i2c1: chip failed: TypeError") in wired.log


def test_what_the_bus_cannot_do_is_refused_as_by_the_kernel(bus):
    for call, number in (
        (lambda: bus.read_block_data(0x36, 1), errno.EOPNOTSUPP),
        (lambda: bus.block_process_call(0x36, 1, [1]), errno.EOPNOTSUPP),
        (lambda: bus.write_byte(0x99, 1), errno.EINVAL),
        (lambda: bus.i2c_rdwr(smbus2.i2c_msg.write(0x36, bytes(8193))), errno.EINVAL),
        (lambda: bus.i2c_rdwr(*[smbus2.i2c_msg.read(0x36, 1)] * 43), errno.EINVAL),
        (lambda: bus.enable_pec(True), errno.ENOTTY),
    ):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == number


def test_other_descriptors_are_still_the_kernels(bus):
    with pytest.raises(OSError) as caught:
        smbus2.SMBus("/dev/null")
    assert caught.value.errno == errno.ENOTTY


def test_an_emulator_that_is_gone_does_not_acknowledge(wired, bus):
    wired.far.close()
    with pytest.raises(OSError) as caught:
        bus.read_byte(0x36)
    assert caught.value.errno == errno.EREMOTEIO


def test_many_threads_share_one_bus(bus):
    wrong = []

    def read(register):
        for _ in range(100):
            if bus.read_i2c_block_data(0x36, register, 2) != [register, register + 1]:
                wrong.append(register)

    threads = [threading.Thread(target=read, args=(register,)) for register in (0x10, 0x40, 0x80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_junk_on_the_bus_harms_nobody(wired, bus, chip):
    chance = random.Random(3)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        connect(line, wired.far.folder + "/i2c1")
        line.settimeout(5)
        for _ in range(300):
            junk = bytearray(chance.randbytes(chance.randint(1, 40)))
            if len(junk) > HEAD.size + MESSAGE.size and chance.random() < 0.5:
                junk[HEAD.size : HEAD.size + 2] = b"\x36\x00"
            line.send(junk)
            assert line.recv(1 << 17)
    assert bus.read_byte_data(0x36, 7) in range(256)


def test_a_folder_with_a_long_name_serves_as_well(tmp_path):
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True)
    wired = Wired(folder)
    wired.far.add_i2c("i2c1", {0x36: Registers()})
    assert wired.near.i2c("i2c1").read_byte_data(0x36, 7) == 7
    wired.far.arm()
    wired.near.reach("far away")
    assert wired.far.points == ["far away"]
    wired.close()


def test_a_reply_that_comes_too_late_is_not_taken_for_the_next(bus, chip, monkeypatch):
    monkeypatch.setattr(wires_emulated, "I2C_TIMEOUT_S", 0.02)
    held = threading.Event()
    quick = chip.read
    chip.read = lambda count: (held.wait(DEADLINE_S), quick(count))[1]
    with pytest.raises(OSError) as caught:
        bus.read_byte_data(0x36, 7)
    assert caught.value.errno == errno.ETIMEDOUT
    monkeypatch.setattr(wires_emulated, "I2C_TIMEOUT_S", DEADLINE_S)
    held.set()
    assert bus.read_byte_data(0x36, 9) == 9
