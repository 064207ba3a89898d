"""The emulator's ends of the wires."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import serial

from emulator.wires import Wires, set_speed, speed_of
from tests.toys import DEADLINE_S, until
from tests.wired import Wired

ROOT = Path(__file__).parents[2]

PROGRAM = """
from drivers.board import load
from drivers.wires import open_wires
wires = open_wires(load("emulator"))
for point in ("commit:begin:sales", "commit:done:sales", "link:sent"):
    wires.reach(point)
    print(point, flush=True)
"""


@pytest.fixture
def wired(tmp_path):
    wired = Wired(tmp_path)
    yield wired
    wired.close()


def read(master, count):
    """So many bytes from the chip's end."""
    data = b""
    while len(data) < count:
        assert select.select((master,), (), (), DEADLINE_S)[0], "only %r came" % data
        data += os.read(master, count - len(data))
    return data


def test_a_uart_carries_every_byte_both_ways(wired):
    master = wired.far.add_uart("uart0")
    everything = bytes(range(256))
    with serial.Serial(wired.near.uart("uart0"), 115200, timeout=DEADLINE_S) as port:
        port.write(everything)
        assert read(master, 256) == everything
        os.write(master, everything)
        assert port.read(256) == everything


@pytest.mark.parametrize("baud", [9600, 115200, 250000, 921600])
def test_the_chip_sees_the_speed_of_its_client(wired, baud):
    master = wired.far.add_uart("uart0")
    with serial.Serial(wired.near.uart("uart0"), baud):
        assert speed_of(master) == baud


def test_the_speed_can_be_switched_from_the_chips_end(wired):
    master = wired.far.add_uart("uart0")
    for baud in (460800, 12345):
        set_speed(master, baud)
        assert speed_of(master) == baud


def test_a_uart_does_not_hang_up_when_its_client_leaves(wired):
    master = wired.far.add_uart("uart0")
    for word in (b"one", b"two"):
        with serial.Serial(wired.near.uart("uart0"), 115200) as port:
            port.write(word)
        assert read(master, 3) == word


def test_power_lost_takes_the_bytes_under_way(wired):
    master = wired.far.add_uart("uart0")
    with serial.Serial(wired.near.uart("uart0"), 115200, timeout=0) as port:
        port.write(b"to the chip")
        os.write(master, b"to the terminal")
        until(lambda: port.in_waiting == 15)
        wired.far.reset()
        assert port.read(20) == b""
        port.write(b"!")
        assert read(master, 1) == b"!"


def test_points_are_told_only_while_armed(wired):
    wired.near.reach("before")
    wired.far.arm()
    wired.near.reach("one")
    wired.near.reach("two")
    wired.far.disarm()
    wired.near.reach("after")
    assert wired.far.points == ["one", "two"]


def test_only_the_armed_points_are_told(wired):
    told = []
    wired.far.on_point(told.append)
    wired.far.arm("link:sent", "commit:done:sales")
    for point in ("link:send", "link:sent", "commit:begin:sales", "commit:done:sales"):
        wired.near.reach(point)
    assert told == wired.far.points == ["link:sent", "commit:done:sales"]


def test_the_firmware_waits_at_a_point_until_it_may_go_on(wired):
    at_point, may_go, went = threading.Event(), threading.Event(), threading.Event()

    def stop(point):
        at_point.set()
        may_go.wait(DEADLINE_S)

    def firmware():
        wired.near.reach("link:sent")
        went.set()

    wired.far.on_point(stop)
    wired.far.arm("link:sent")
    thread = threading.Thread(target=firmware)
    thread.start()
    assert at_point.wait(DEADLINE_S)
    assert not went.is_set()
    may_go.set()
    assert went.wait(DEADLINE_S)
    thread.join()


def test_a_callback_that_fails_lets_the_firmware_go_on(wired):
    wired.far.on_point(lambda point: {}[point])
    wired.far.arm()
    wired.near.reach("one")
    assert ("wire", "callback at one failed: KeyError") in wired.log


def test_the_firmware_can_be_killed_at_a_point(wired):
    process = subprocess.Popen(
        (sys.executable, "-c", PROGRAM), cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "KAIFU_WIRES": wired.far.folder},
    )  # fmt: skip
    wired.far.on_point(lambda point: process.kill())
    wired.far.arm("commit:done:sales")
    said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == -signal.SIGKILL
    assert said == "commit:begin:sales\n"
    assert wired.far.points == ["commit:done:sales"]


def test_an_armed_point_without_an_emulator_lets_the_firmware_go_on(wired):
    wired.far.arm()
    os.unlink(wired.far.folder + "/points")
    wired.near.reach("one")
    assert wired.far.points == []


def test_closing_leaves_no_thread_no_file_and_no_descriptor(tmp_path):
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    wired = Wired(tmp_path)
    wired.far.add_i2c("i2c1", {})
    wired.far.add_uart("uart0")
    wired.near.i2c("i2c1")
    wired.near.gpio()
    wired.near.reach("x")
    wired.close()
    wired.far.close()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
    assert os.listdir(tmp_path / "wires") == []


def test_a_folder_left_by_a_killed_emulator_is_used_again(tmp_path):
    folder = tmp_path / "wires"
    folder.mkdir()
    (folder / "gpio").write_text("old")
    os.mkfifo(folder / "gpio.wake")
    (folder / "uart0").symlink_to("/dev/pts/99999")
    wires = Wires(folder)
    wires.add_uart("uart0")
    assert set(os.listdir(folder)) == {"gpio", "gpio.wake", "gpio.changed", "points", "uart0"}
    wires.close()


def test_what_is_no_wire_is_left_in_the_folder(tmp_path):
    (tmp_path / "books.sqlite").write_text("precious")
    Wires(tmp_path).close()
    assert (tmp_path / "books.sqlite").read_text() == "precious"
    assert os.listdir(tmp_path) == ["books.sqlite"]
