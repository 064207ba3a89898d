import os
import re
import threading

import pytest

from drivers.log import LONGEST_LINE, FileLog
from emulator.standins.log import StandIn
from tests.toys import World


class DriverRig:
    def __init__(self, folder):
        self.port = FileLog(None, {}, folder)
        self.folder = folder

    def texts(self):
        lines = (self.folder / "kaifu.log").read_text("utf-8").splitlines()
        return [line.split("Z ", 1)[1] for line in lines]


class StandInRig:
    def __init__(self):
        self.port = StandIn(World())

    def texts(self):
        return [text for _, text in self.port.lines]


@pytest.fixture(params=["driver", "stand-in"])
def rig(request, tmp_path):
    return DriverRig(tmp_path / "logs") if request.param == "driver" else StandInRig()


def test_lines_are_kept_in_order(rig):
    for text in ("start 1.0", "打印机 paper-out", ""):
        rig.port.line(text)
    assert rig.texts() == ["start 1.0", "打印机 paper-out", ""]


def test_anything_is_taken(rig):
    for odd in (None, 7, b"\xff", "\ud800", "x" * 100_000):
        rig.port.line(odd)
    assert len(rig.texts()) == 5


def test_a_line_has_its_time_and_control_characters_are_shown(tmp_path):
    log = FileLog(None, {}, tmp_path)
    log.line("one\ntwo\x1b[2J\x9b")
    log.close()
    text = (tmp_path / "kaifu.log").read_text("utf-8")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z one\\x0atwo\\x1b\[2J\\x9b\n", text)


def test_the_folder_never_grows_beyond_its_bound(tmp_path):
    log = FileLog(None, {"bytes": 2_000, "files": 3}, tmp_path)
    for number in range(500):
        log.line("event %04d" % number)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sorted(sizes) == ["kaifu.1.log", "kaifu.2.log", "kaifu.log"]
    assert max(sizes.values()) <= 2_000
    assert "event 0499" in (tmp_path / "kaifu.log").read_text()
    kept = "".join((tmp_path / name).read_text() for name in ("kaifu.2.log", "kaifu.1.log", "kaifu.log"))
    numbers = [int(number) for number in re.findall(r"event (\d+)", kept)]
    assert numbers == list(range(numbers[0], 500))


def test_a_single_file_starts_anew_when_it_is_full(tmp_path):
    log = FileLog(None, {"bytes": 300, "files": 1}, tmp_path)
    for number in range(30):
        log.line("event %04d" % number)
    assert [path.name for path in tmp_path.iterdir()] == ["kaifu.log"]
    assert (tmp_path / "kaifu.log").stat().st_size <= 300


def test_a_restart_goes_on_in_the_same_file(tmp_path):
    for text in ("before", "after"):
        log = FileLog(None, {}, tmp_path)
        log.line(text)
        log.close()
    assert re.findall("before|after", (tmp_path / "kaifu.log").read_text()) == ["before", "after"]


def test_what_cannot_be_written_is_counted_and_told_later(tmp_path):
    in_the_way = tmp_path / "logs"
    in_the_way.write_text("a file where the folder should be")
    log = FileLog(None, {}, in_the_way)
    log.line("lost")
    log.line("lost too")
    assert log.lost == 2
    in_the_way.unlink()
    log.line("back")
    lines = (in_the_way / "kaifu.log").read_text().splitlines()
    assert lines[0].endswith("2 lines before this one could not be written")
    assert lines[1].endswith("back")
    assert log.lost == 0


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    log = FileLog(None, {}, tmp_path)
    log.line("whole")
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
    log.line("cut short")
    monkeypatch.undo()
    log.line("whole again")
    texts = [line.split("Z ")[1] for line in (tmp_path / "kaifu.log").read_text().splitlines()]
    assert texts == ["whole", "1 lines before this one could not be written", "whole again"]


def test_a_long_line_is_cut(tmp_path):
    log = FileLog(None, {}, tmp_path)
    log.line("y" * 1_000_000)
    assert (tmp_path / "kaifu.log").stat().st_size < LONGEST_LINE + 100


def test_stderr_gets_the_line_when_asked(tmp_path, capsys):
    FileLog(None, {"stderr": True}, tmp_path).line("shown")
    FileLog(None, {}, tmp_path).line("not shown")
    assert re.search(r"Z shown\n$", capsys.readouterr().err)


def test_threads_do_not_mix_their_lines(tmp_path):
    log = FileLog(None, {"bytes": 10_000, "files": 50}, tmp_path)
    threads = [threading.Thread(target=lambda n=n: [log.line("%d" % n * 50) for _ in range(100)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert len(lines) == 400
    assert all(re.search(r"Z (\d)\1{49}$", line) for line in lines)
