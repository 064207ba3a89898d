"""What the first page does not need is not imported before it: the heavy packages wait for their first use."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import importlib, sys
from drivers.assemble import FIRST
from drivers.board import load
import firmware.__main__, firmware.states.catalogue
board = load(sys.argv[1])
for port in FIRST:
    if board.has(port):
        importlib.import_module(board.row(port).module)
print(*sorted(name for name in ("RPi", "luma", "nfc", "serial", "smbus2", "sqlite3", "ssl") if name in sys.modules))
"""


@pytest.mark.parametrize("board", ["emulator", "pi_4"])
def test_the_drivers_of_the_first_page_bring_no_heavy_package_along(board):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, board], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["sqlite3"]


FIRST_PAGE = """
import sys
import firmware.__main__, firmware.states.catalogue, firmware.terminal
from firmware import reading
heavy = ("contact", "contactless", "tags", "meanings", "oda", "kernel2", "kernel3", "unionpay")
print(*(name for name in heavy if "firmware.emv." + name in sys.modules))
reading.kernels()
print(*(name for name in ("contact", "contactless", "oda") if "firmware.emv." + name in sys.modules))
"""


def test_the_first_page_does_without_the_card_kernels_and_reading_brings_them():
    done = subprocess.run(
        [sys.executable, "-c", FIRST_PAGE], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["", "contact contactless oda"]
