import os
import pty
import tty

import pytest

from drivers.printer import EscposPrinter
from emulator.chips.printer import PrinterChip
from emulator.standins.printer import StandIn
from firmware.events import PRINT_DONE, PRINT_STOPPED
from tests.toys import Inbox, World, of, until

SLIP = [
    ("cbhw", "签购单"), ("", "商户存根 MERCHANT COPY"), ("rule", ""), ("", "凭证号 TRACE NO: 000012"),
    ("bh", "RMB 12.34"), ("c", "测试/TEST"), ("feed", 1), ("", ""), ("cut", ""),
]  # fmt: skip
TEXT = """\
          签购单
商户存根 MERCHANT COPY
--------------------------------
凭证号 TRACE NO: 000012
RMB 12.34
           测试/TEST"""


class DriverRig:
    def __init__(self, profile):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.master)
        tty.setraw(self.slave)
        self.faults = PrinterChip(self.master, profile)
        self.inbox = Inbox()
        part = {"driver": "escpos", "baud": 115200, "profile": profile, "pace": False}
        self.port = EscposPrinter(self.inbox.post, part, os.ttyname(self.slave))
        self.port.look_s = 0.02
        self.port.start()
        self.wait = self.inbox.wait

    @property
    def text(self):
        return self.faults.paper.text

    def tear(self):
        self.faults.paper.tear()

    def status(self, wanted):
        until(lambda: self.port.status() == wanted)
        return True

    def close(self):
        self.port.close()
        self.faults.close()
        os.close(self.master)
        os.close(self.slave)


class StandInRig:
    def __init__(self, profile):
        self.world = World()
        self.port = self.faults = StandIn(self.world)
        self.wait = self.world.wait
        self.tear = self.port.tear

    @property
    def text(self):
        return self.port.text

    def status(self, wanted):
        return self.port.status() == wanted

    def close(self):
        pass


@pytest.fixture(params=["csn-a2", "epson-tm", "stand-in"])
def rig(request):
    rig = (StandInRig if request.param == "stand-in" else DriverRig)(request.param)
    rig.name = request.param
    yield rig
    rig.close()


def test_a_job_is_on_the_paper_when_it_is_done(rig):
    rig.port.print(3, SLIP)
    assert rig.wait(of(3)) == (PRINT_DONE, 3, None)
    assert rig.text.rstrip() == TEXT
    assert rig.text.endswith("\n\n")


def test_jobs_come_out_one_after_the_other(rig):
    for ticket in (1, 2, 3):
        rig.port.print(ticket, [("", f"copy {ticket}"), ("", "end")])
    assert [rig.wait(of(ticket)).name for ticket in (1, 2, 3)] == [PRINT_DONE] * 3
    assert rig.text == "copy 1\nend\ncopy 2\nend\ncopy 3\nend"


def test_an_empty_job_is_done(rig):
    rig.port.print(1, [])
    assert rig.wait(of(1)).name == PRINT_DONE
    assert rig.text == ""


def test_the_paper_is_32_columns_wide_and_text_goes_on_below(rig):
    assert rig.port.columns == 32
    rig.port.print(1, [("", "0123456789" * 4), ("w", "银联" * 5), ("", "本人确认以上交易 I ACKNOWLEDGE RECEIPT")])
    rig.wait(of(1, PRINT_DONE))
    assert rig.text.split("\n") == [
        "01234567890123456789012345678901", "23456789", "银联银联银联银联", "银联", "本人确认以上交易 I ACKNOWLEDGE", "RECEIPT",
    ]  # fmt: skip


def test_text_is_no_command(rig):
    rig.port.print(1, [("", "a\x1b@b\nc\x00d\x10\x04\x01\u3000e\ud800")])
    rig.wait(of(1, PRINT_DONE))
    assert rig.text == "a?@b c?d???  e?"


def test_without_paper_nothing_is_printed_and_the_first_line_is_named(rig):
    rig.faults.paper_out = True
    rig.port.print(1, SLIP)
    assert rig.wait(of(1)) == (PRINT_STOPPED, 1, ("paper-out", 0))
    assert rig.text == ""
    assert rig.status("paper-out")


def test_paper_that_runs_out_in_the_middle_stops_the_job_at_the_line(rig):
    rig.faults.paper_left_lines = 3
    rig.port.print(1, SLIP)
    assert rig.wait(of(1)) == (PRINT_STOPPED, 1, ("paper-out", 3))
    assert rig.text == "\n".join(TEXT.split("\n")[:3])


def test_after_new_paper_the_next_job_begins_at_its_own_top(rig):
    rig.faults.paper_left_lines = 3
    rig.port.print(1, SLIP)
    rig.wait(of(1, PRINT_STOPPED))
    rig.tear()
    rig.faults.paper_out = False
    assert rig.status("ok")
    rig.port.print(2, SLIP)
    assert rig.wait(of(2)) == (PRINT_DONE, 2, None)
    assert rig.text.rstrip() == TEXT


def test_a_job_after_a_stopped_one_is_looked_at_anew(rig):
    rig.faults.paper_out = True
    rig.port.print(1, SLIP)
    rig.port.print(2, SLIP)
    assert rig.wait(of(1)).value == ("paper-out", 0)
    assert rig.wait(of(2)).value == ("paper-out", 0)


def test_a_hot_head_stops_the_job(rig):
    rig.faults.too_hot = True
    rig.port.print(1, SLIP)
    assert rig.wait(of(1)) == (PRINT_STOPPED, 1, ("too-hot", 0))
    assert rig.status("too-hot")


def test_an_open_cover_stops_the_job(rig):
    rig.faults.cover_open = True
    rig.port.print(1, SLIP)
    # A csn-a2 has no switch at its cover; what it notices is that the paper is loose.
    why = "paper-out" if rig.name == "csn-a2" else "cover-open"
    assert rig.wait(of(1)) == (PRINT_STOPPED, 1, (why, 0))
    assert rig.status(why)


def test_a_printer_that_says_nothing_is_silent(rig):
    rig.faults.silent = True
    rig.port.print(1, SLIP)
    assert rig.wait(of(1)) == (PRINT_STOPPED, 1, ("silent", 0))
    assert rig.status("silent")
    rig.faults.silent = False
    assert rig.status("ok")


def test_little_paper_is_known_where_there_is_a_sensor_and_stops_nothing(rig):
    rig.faults.paper_low = True
    rig.port.print(1, SLIP)
    assert rig.wait(of(1)).name == PRINT_DONE
    assert rig.status("ok" if rig.name == "csn-a2" else "paper-low")


def test_a_picture_is_printed(rig):
    rig.port.print(1, [("picture", (100, [b"\xff" * 13] * 100)), ("", "below")])
    assert rig.wait(of(1)).name == PRINT_DONE
    assert rig.text == "[picture]\nbelow"


@pytest.mark.parametrize(
    "line",
    [
        ("x", "text"), ("bb", "text"), ("", 5), ("", None), ("rule", "x"), ("cut", 1), ("feed", "1"), ("feed", -1), ("feed", 101),
        ("picture", (385, [b"\0" * 49])), ("picture", (8, [])), ("picture", (8, [b"\0\0"])), ("picture", 1), "text", None, ("",),
    ],
)  # fmt: skip
def test_a_line_that_no_printer_knows_is_the_callers_mistake(rig, line):
    with pytest.raises(ValueError, match="line 1"):
        rig.port.print(1, [("", "good"), line])


def test_the_stand_in_stops_where_it_is_told_once():
    world = World()
    printer = StandIn(world)
    printer.stop_at = ("silent", 1)
    printer.print(1, [("", "a"), ("", "b")])
    printer.print(2, [("", "c")])
    assert world.wait(of(1)).value == ("silent", 1)
    assert world.wait(of(2)).name == PRINT_DONE
    assert printer.text == "a\nc"


def test_the_stand_in_forgets_its_jobs_without_power():
    world = World()
    printer = StandIn(world)
    printer.print(1, [("", "a")])
    printer.power_off()
    world.run()
    assert (world.events, printer.text) == ([], "")
