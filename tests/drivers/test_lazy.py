"""What the first page does not need is not imported before it: heavy packages and the pages behind wait for their first use."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def printed(program, *arguments):
    """What a fresh interpreter prints, by lines."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


DRIVERS = """
import importlib, sys
from drivers.assemble import FIRST
from drivers.board import load
import firmware.__main__, firmware.states.first, firmware.terminal
board = load(sys.argv[1])
for port in FIRST:
    if board.has(port):
        importlib.import_module(board.row(port).module)
print(*sorted(name for name in ("RPi", "luma", "nfc", "serial", "smbus2", "sqlite3", "ssl") if name in sys.modules))
print(*sorted(name for name in sys.modules if name.startswith(("drivers.at", "drivers.modem", "drivers.sms"))))
"""


@pytest.mark.parametrize("board", ["emulator", "pi_4"])
def test_the_drivers_of_the_first_page_bring_no_heavy_package_and_no_modem_along(board):
    assert printed(DRIVERS, board) == ["sqlite3", ""]


# A terminal in memory, whose ports bring nothing of the firmware along but the framing of its host.
TO_THE_PAGE = """
import sys
from tests.portable.plain_ports import Shop

BEHIND = (
    "reading", "questions", "slip", "host.", "states.", "emv.contact", "emv.kernel", "emv.oda", "emv.tags",
)
FIRST = ("states.first", "states.start", "states.login", "states.trouble", "states.common")

def behind():
    own = [name[9:] for name in sorted(sys.modules) if name.startswith("firmware.")]
    return [name for name in own if name.startswith(BEHIND) and name not in FIRST]

shop = Shop()
shop.power_on()
shop.until("Login")
print(*behind())
"""


def test_the_log_in_page_does_without_menus_kernels_conversations_and_slips():
    assert printed(TO_THE_PAGE) == [""]


def test_the_pages_behind_are_imported_together_and_the_kernels_by_themselves():
    then = """
from firmware.states import first
first.others()
print("states.menu" in behind(), "emv.contact" in behind())
from firmware import reading
reading.kernels()
print("emv.contact" in behind(), "emv.contactless" in behind(), "emv.oda" in behind())
"""
    assert printed(TO_THE_PAGE + then)[1:] == ["True False", "True True True"]


def test_a_page_is_the_same_class_by_either_catalogue():
    from firmware.states import catalogue, first

    assert first.BY_NAME and all(catalogue.BY_NAME[name] is first.BY_NAME[name] for name in first.BY_NAME)
