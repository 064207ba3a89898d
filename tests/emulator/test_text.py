"""The text face: how a picture becomes characters, and that the terminal is put back as it was."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from emulator import blocks, text
from tests.emulator.bench import on, toy_device

ROOT = Path(__file__).parents[2]


def test_two_rows_of_pixels_are_one_row_of_half_blocks():
    assert blocks.half_blocks(["..##", ".#.#", "####"]) == [" ▄▀█", "▀▀▀▀"]


def test_eight_pixels_are_one_braille_character():
    assert blocks.braille(["#.", "..", "..", ".#"]) == [chr(0x2800 + 0x01 + 0x80)]
    assert blocks.braille(["###"]) == [chr(0x2800 + 0x09) + chr(0x2801)]


def test_no_picture_is_no_lines():
    assert blocks.half_blocks([]) == blocks.braille([]) == []


FITTED = [("消费ab", 5, "消费a"), ("消费", 3, "消 "), ("a\x1b[2Jb", 6, "a[2Jb "), ("", 2, "  ")]


@pytest.mark.parametrize(("given", "width", "fitted"), FITTED)
def test_text_fits_its_columns_and_brings_no_control_characters(given, width, fitted):
    assert text.fit(given, width) == fitted


TYPED = [(b"\x1b[3~5", 4), (b"\x1b[B", 3), (b"\x1bOB1", 3), (b"\x1b", 1), (b"1", 1), (b"\x1b[", 2), (b"\x1b[9999", 6)]


@pytest.mark.parametrize(("typed", "size"), TYPED)
def test_a_key_of_the_keyboard_is_as_long_as_it_is(typed, size):
    assert text._sequence(typed) == size


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with toy_device(tmp_path_factory.mktemp("device")) as device:
        yield on(device)


@pytest.mark.parametrize("size", [(200, 60), (168, 44), (150, 50), (120, 40), (80, 24), (66, 20), (40, 10), (1, 3)])
def test_the_face_has_the_terminals_size(device, size):
    device.keys("5 ENTER")
    assert device.wait_paper("typed 5")
    lines = text.draw(device, size, "", "done")
    assert len(lines) <= size[1]
    if size[0] >= 120:
        assert any("typed 5" in line for line in lines)
    for line in lines[-2:]:
        assert text.cells(line.replace(text.DIM, "").replace(text.BOLD, "").replace(text.PLAIN, "")) <= size[0]


class Terminal:
    """The face running in a pty, and what it has written so far."""

    def __init__(self, folder):
        program = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from tests.emulator.bench import toy_device; from emulator.text import Face\n"
            "with toy_device(sys.argv[2]) as device: device.power_on(); Face(device).run()\n"
        )
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(self.master)
        environment = os.environ | {"COLUMNS": "120", "LINES": "40"}
        command = [sys.executable, "-c", program, str(ROOT), str(folder)]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True)
        self.slave = slave
        self.written = ""

    def wait(self, words, seconds=20):
        end = time.monotonic() + seconds
        while words not in self.written:
            ready = select.select([self.master], [], [], max(0, end - time.monotonic()))[0]
            assert ready, f"{words!r} never came: {self.written[-2000:]}"
            self.written += os.read(self.master, 65536).decode("utf-8", "replace")

    def write(self, data):
        os.write(self.master, data)

    def close(self):
        self.process.kill()
        self.process.wait(10)
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(tmp_path):
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


def test_keys_and_steps_are_done_and_the_terminal_is_put_back(terminal):
    terminal.wait("reader: speaks")
    terminal.write(b"12\x1b[3~\r")
    terminal.wait("typed 12CLEAR")
    terminal.write(b":second debit\r")
    terminal.wait("there is no first card on the reader")
    terminal.write(b":tap xx\x7f\x7fdebit\r")
    terminal.wait("tap debit ✓")
    terminal.write(b":insert debit\r")
    terminal.wait("insert debit ✓")
    terminal.write(b":swipe debit\r")
    terminal.wait("swipe debit ✓")
    terminal.write(b":pull\r")
    terminal.wait("pull ✓")
    terminal.write(":消费\r".encode())
    terminal.wait("not understood")
    terminal.write(b":quit\r")
    terminal.wait(text.LEAVE)
    assert terminal.process.wait(10) == 0
    assert termios.tcgetattr(terminal.master) == terminal.before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_puts_the_terminal_back_too(terminal, number):
    terminal.wait("power")
    terminal.process.send_signal(number)
    terminal.wait(text.LEAVE)
    assert terminal.process.wait(10) == 0
    assert termios.tcgetattr(terminal.master) == terminal.before


def test_any_bytes_from_the_keyboard_do_no_harm(terminal):
    terminal.wait("reader: speaks")
    terminal.write(b"\x1b[\xff\xfe:\xe6\xb6\x1b\x00\x1b[99999999~:\x01\x02\r")
    terminal.write(b"\x1b:tear\r")
    terminal.wait("tear ✓")
