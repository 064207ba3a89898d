"""What only the driver on a wire can show: pulled plugs, noise, silence, pace. The rest is the contract's."""

import os
import pty
import random
import select
import threading
import time
import tty

import pytest

from drivers.printer import EscposPrinter
from emulator.chips.printer import PrinterChip
from firmware.events import PART, PRINT_DONE, PRINT_STOPPED
from tests.toys import Inbox, of, until

SLIP = [("", f"line {number} 第{number}行") for number in range(8)]


class Bench:
    """A printer's driver whose serial device is a name that can be plugged and pulled."""

    def __init__(self, folder):
        self.path = folder / "uart-printer"
        self.inbox = Inbox()
        self.ends = []
        self.chip = None
        self.driver = None

    def plug(self, profile="csn-a2", chip=True, **more):
        master, slave = pty.openpty()
        tty.setraw(slave)
        self.ends = [master, slave]
        if chip:
            self.chip = PrinterChip(master, profile, **more)
        temporary = self.path.with_suffix(".new")
        temporary.symlink_to(os.ttyname(slave))
        temporary.replace(self.path)
        return master

    def pull(self):
        if self.chip:
            self.chip.close()
            self.chip = None
        for fd in self.ends:
            os.close(fd)
        self.ends = []
        self.path.unlink(missing_ok=True)

    def drive(self, profile="csn-a2", pace=False, baud=115200, look_s=0.02):
        self.driver = EscposPrinter(self.inbox.post, {"profile": profile, "baud": baud, "pace": pace}, str(self.path))
        self.driver.look_s, self.driver.reopen_s = look_s, 0.02
        self.driver.patience_s = 0.3
        self.driver.start()
        return self.driver

    def part(self):
        return self.inbox.wait(of(0, PART)).value

    def close(self):
        if self.driver:
            self.driver.close()
            assert not self.driver._thread.is_alive()
        self.pull()


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_a_printer_that_is_there_is_a_ready_part(bench):
    bench.plug()
    driver = bench.drive()
    assert bench.part() == ("printer", "ready")
    assert driver.status() == "ok"


def test_a_printer_that_comes_later_is_found(bench):
    driver = bench.drive()
    assert bench.part() == ("printer", "gone")
    driver.print(1, SLIP)
    assert bench.inbox.wait(of(1)) == (PRINT_STOPPED, 1, ("silent", 0))
    assert driver.status() == "silent"
    bench.plug()
    assert bench.part() == ("printer", "ready")
    driver.print(2, SLIP)
    assert bench.inbox.wait(of(2)).name == PRINT_DONE


@pytest.mark.parametrize("profile", ["csn-a2", "epson-tm", "generic-58", "raster-58"])
def test_a_printer_that_is_pulled_and_plugged_is_gone_and_ready_again(bench, profile):
    bench.plug(profile)
    driver = bench.drive(profile)
    assert bench.part() == ("printer", "ready")
    bench.pull()
    assert bench.part() == ("printer", "gone")
    bench.plug(profile)
    assert bench.part() == ("printer", "ready")
    driver.print(1, [("", "again")])
    assert bench.inbox.wait(of(1)).name == PRINT_DONE


def test_a_printer_that_is_pulled_in_the_middle_stops_the_job_at_the_line(bench):
    bench.plug(speed=50)
    driver = bench.drive()
    bench.part()
    driver.print(1, SLIP)
    until(lambda: bench.chip.paper.text.count("line") >= 3)
    bench.pull()
    assert bench.part() == ("printer", "gone")
    event = bench.inbox.wait(of(1))
    assert (event.name, event.value[0]) == (PRINT_STOPPED, "silent")
    assert 0 < event.value[1] < 6


def test_a_printer_that_falls_silent_stops_the_job_and_is_a_failed_part_until_it_answers(bench):
    bench.plug(speed=50)
    driver = bench.drive()
    bench.part()
    driver.print(1, SLIP)
    until(lambda: bench.chip.paper.text.count("line") >= 3)
    bench.chip.silent = True
    event = bench.inbox.wait(of(1))
    assert (event.name, event.value[0]) == (PRINT_STOPPED, "silent")
    assert 2 <= event.value[1] <= 4
    bench.chip.silent = False
    bench.inbox.wait(lambda event: event.value == ("printer", "ready"))
    assert driver.status() == "ok"


@pytest.mark.parametrize("profile", ["csn-a2", "epson-tm", "raster-58"])
def test_paper_that_is_taken_away_in_the_middle_and_back_gives_a_clean_second_slip(bench, profile):
    bench.plug(profile, speed=100)
    driver = bench.drive(profile, pace=profile == "raster-58")
    bench.part()
    driver.print(1, SLIP)
    until(lambda: bench.chip.paper.rows >= 90)
    bench.chip.paper_out = True
    event = bench.inbox.wait(of(1))
    assert (event.name, event.value[0]) == (PRINT_STOPPED, "paper-out")
    until(lambda: driver.status() == "paper-out")
    bench.chip.paper.tear()
    bench.chip.speed = 0
    bench.chip.paper_out = False
    until(lambda: driver.status() == "ok")
    # What a head without a command to forget still held comes out above, on the piece that is thrown away.
    bench.chip.paper.tear()
    driver.print(2, SLIP)
    assert bench.inbox.wait(of(2)).name == PRINT_DONE
    assert bench.chip.paper.rows == 8 * 30
    if profile != "raster-58":
        assert bench.chip.paper.text.split("\n") == [text for _, text in SLIP]


def test_a_slow_printer_is_waited_for(bench):
    bench.plug(speed=30)
    driver = bench.drive()
    driver.print(1, SLIP[:4])
    assert bench.inbox.wait(of(1)).name == PRINT_DONE
    assert bench.chip.paper.rows == 4 * 30


def test_where_nothing_can_be_asked_the_job_is_done_when_its_time_has_passed(bench):
    bench.plug("generic-58")
    driver = bench.drive("generic-58", pace=True)
    bench.part()
    start = time.monotonic()
    driver.print(1, SLIP)
    assert bench.inbox.wait(of(1)).name == PRINT_DONE
    assert time.monotonic() - start >= 8 * 30 / 8 / 50 - 0.01
    assert driver.status() == "unknown"


def test_late_answers_of_a_stopped_job_are_not_taken_for_answers_of_now(bench):
    master = bench.plug(chip=False)
    # Answers to the questions in turn: two looks are answered, two lines are not, and then all come one by one.
    plan = [b"\x00", b"\x00", b"", b"", b"\x00\x00\x04"]

    def answer():
        data = b""
        while plan and select.select([master], [], [], 10)[0]:
            data += os.read(master, 4096)
            for _ in range(data.count(b"\x1bv\x00")):
                for byte in plan.pop(0):
                    os.write(master, bytes((byte,)))
                    until(lambda: not select.select([bench.ends[1]], [], [], 0)[0])
            data = data[-2:] if data[-3:] != b"\x1bv\x00" else b""

    thread = threading.Thread(target=answer)
    thread.start()
    driver = bench.drive(look_s=60)
    driver.print(1, SLIP[:3])
    assert bench.inbox.wait(of(1)).value == ("silent", 0)
    until(lambda: driver.status() == "paper-out")
    thread.join()


def test_a_slow_wire_is_not_flooded(bench):
    master = bench.plug("generic-58", chip=False)
    driver = bench.drive("generic-58", pace=True, baud=9600)
    start = time.monotonic()
    driver.print(1, [("picture", (384, [b"\xff" * 48] * 24))] * 10)
    came = 0
    while time.monotonic() - start < 0.5:
        if select.select([master], [], [], 0.05)[0]:
            came += len(os.read(master, 65_536))
    # 960 bytes a second, and half a second ahead of them.
    assert 400 < came < 1_400


def test_silence_is_normal_where_the_printer_never_spoke(bench):
    bench.plug("generic-58")
    driver = bench.drive("raster-58")
    assert bench.part() == ("printer", "ready")
    driver.print(1, SLIP[:2])
    assert bench.inbox.wait(of(1)).name == PRINT_DONE
    assert driver.status() == "unknown"


def test_silence_is_a_fault_where_the_printer_has_spoken(bench):
    bench.plug("raster-58")
    driver = bench.drive("raster-58")
    until(lambda: driver.status() == "ok")
    bench.chip.silent = True
    driver.print(1, SLIP[:2])
    assert bench.inbox.wait(of(1)).value == ("silent", 0)


@pytest.mark.parametrize("profile", ["csn-a2", "epson-tm", "raster-58"])
def test_noise_on_the_wire_ends_each_job_with_one_answer(bench, profile):
    master = bench.plug(profile, chip=False)
    chance = random.Random(31)
    ending = threading.Event()

    def babble():
        while not ending.is_set():
            try:
                if select.select([master], [], [], 0.05)[0]:
                    os.read(master, 4096)
                    os.write(master, chance.choice([b"", b"\x00", b"\x12\x12\x12", b"\x04", chance.randbytes(5)]))
            except OSError:
                return

    thread = threading.Thread(target=babble)
    thread.start()
    driver = bench.drive(profile)
    driver.patience_s = driver.answer_s = 0.03
    try:
        for ticket in range(1, 6):
            driver.print(ticket, SLIP[:4])
            event = bench.inbox.wait(of(ticket))
            assert event.name in (PRINT_DONE, PRINT_STOPPED)
            if event.name == PRINT_STOPPED:
                assert event.value[0] in ("paper-out", "cover-open", "too-hot", "silent")
                assert 0 <= event.value[1] < 4
        assert not [event for event in bench.inbox.rest() if event.ticket]
    finally:
        ending.set()
        thread.join()


def test_a_wire_that_takes_nothing_is_no_hang(bench):
    bench.plug("generic-58", chip=False)
    driver = bench.drive("generic-58")
    driver.print(1, [("picture", (384, [b"\xff" * 48] * 1000))])
    event = bench.inbox.wait(of(1))
    assert event.value == ("silent", 0)


def test_close_in_the_middle_of_a_job_is_prompt_and_answers_nothing(bench):
    bench.plug(speed=5)
    driver = bench.drive()
    driver.print(1, SLIP)
    until(lambda: bench.chip.paper.rows > 0)
    start = time.monotonic()
    driver.close()
    assert time.monotonic() - start < 1
    assert not [event for event in bench.inbox.rest() if event.ticket]


def test_an_idle_printer_costs_next_to_nothing(bench):
    bench.plug()
    driver = bench.drive()
    driver.look_s = 2.0
    bench.part()
    used = time.process_time()
    select.select([], [], [], 0.3)
    assert time.process_time() - used < 0.02


def test_opening_and_closing_leaves_no_descriptor(bench):
    bench.plug()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        driver = bench.drive()
        bench.part()
        driver.close()
    assert len(os.listdir("/proc/self/fd")) == before
