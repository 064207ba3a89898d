import copy
import importlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.board import BoardError, check, load, names, validate
from drivers.catalogue import ADDRESS, CATALOGUE, PROFILES, ROWS, Row
from firmware.ports import PORTS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pi_4():
    return copy.deepcopy(importlib.import_module("boards.pi_4").BOARD)


def complaint(data):
    with pytest.raises(BoardError) as caught:
        validate(data, "pi_4", "boards/pi_4.py")
    return str(caught.value)


@pytest.mark.parametrize("name", ["emulator", "pi_4", "pi_5", "pi_zero_2w"])
def test_each_board_of_the_project_is_in_order(name):
    board = load(name)
    assert board.name == name
    assert board.mode == "test"
    assert board.wires == ("emulated" if name == "emulator" else "real")
    assert set(board.parts) <= set(PORTS)


def test_a_board_says_what_it_has():
    board = load("pi_4")
    assert board.has("printer")
    assert not board.has("scanner")
    assert board.title == "Raspberry Pi 4"
    assert board.row("printer").cls == "EscposPrinter"
    assert board.pins[17] == "parts.keypad.rows"


def test_a_part_without_a_driver_is_left_out():
    assert not load("emulator").has("watchdog")
    assert load("pi_4").has("watchdog")


def test_a_board_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(BoardError) as caught:
        load("pi_9")
    assert str(caught.value) == "boards/pi_9.py: there is no such board; there are %s" % ", ".join(names())


@pytest.mark.parametrize("name", ["", "__init__", "../drivers/board", "pi_4.py", "os"])
def test_only_names_of_boards_are_loaded(name):
    with pytest.raises(BoardError):
        load(name)


def test_a_pin_used_twice_names_both_users(pi_4):
    pi_4["parts"]["contactless"]["reset"] = 17
    assert complaint(pi_4) == "boards/pi_4.py: parts.contactless.reset: pin 17 is taken by parts.keypad.rows"


def test_a_pin_of_a_bus_is_taken(pi_4):
    pi_4["parts"]["sound"]["pin"] = 4
    assert complaint(pi_4) == "boards/pi_4.py: parts.sound.pin: pin 4 is taken by buses.uart3.pins"


def test_a_pin_twice_in_one_key_is_used_twice(pi_4):
    pi_4["parts"]["keypad"]["rows"] = (17, 27, 22, 17)
    assert complaint(pi_4) == "boards/pi_4.py: parts.keypad.rows: pin 17 is taken by parts.keypad.rows"


def test_a_pin_that_the_header_lacks_is_refused(pi_4):
    pi_4["parts"]["sound"]["pin"] = 28
    assert complaint(pi_4) == "boards/pi_4.py: parts.sound.pin: pin 28 is not on the header"


WRONG = [
    # where, value (... to delete the key), what the loader says after the file
    (("colour",), "red", "colour: unknown key"),
    (("name",), ..., "name: is missing"),
    (("name",), "", "name: '' is not a text"),
    (("wires",), "imagined", "wires: 'imagined' is none of 'real', 'emulated'"),
    (("mode",), "production ", "mode: 'production ' is none of 'test', 'production'"),
    (("header",), "none", "header: 'none' is none of 'raspberry-pi-40'"),
    (("parts",), ..., "parts: is missing"),
    (("buses",), [], "buses: is not a dict"),
    (("buses", "spi0"), {}, "buses.spi0: is no kind of bus; kinds are i2c, uart, gpio"),
    (("buses", "i2c1"), 1, "buses.i2c1: is not a dict"),
    (("buses", "i2c1", "node"), ..., "buses.i2c1.node: is missing"),
    (("buses", "i2c1", "node"), "i2c-1", "buses.i2c1.node: 'i2c-1' is not a path below /dev"),
    (("buses", "i2c1", "hz"), "fast", "buses.i2c1.hz: 'fast' is not a whole number"),
    (("buses", "i2c1", "pins"), (2,), "buses.i2c1.pins: 1 pins where 2 are needed"),
    (("buses", "i2c1", "baud"), 1, "buses.i2c1.baud: unknown key; known are node, hz, pins"),
    (("buses", "uart3", "by"), ..., "buses.uart3: needs node or by"),
    (("buses", "uart3", "node"), "/dev/ttyAMA3", "buses.uart3: has both node and by"),
    (("buses", "uart3", "hz"), 9600, "buses.uart3.hz: unknown key; known are by, pins"),
    (("buses", "gpio"), ..., "parts.keypad: needs the bus gpio, which is not in buses"),
    (("parts", "toaster"), {"driver": "x"}, "parts.toaster: is no port"),
    (("parts", "light"), (1, 2), "parts.light: is not a dict"),
    (("parts", "display"), ..., "parts.display: is missing"),
    (("parts", "display"), {"driver": "none"}, "parts.display: is missing"),
    (("parts", "display", "driver"), ..., "parts.display.driver: is missing"),
    (("parts", "display", "driver"), "ssd9999", "parts.display.driver: 'ssd9999' is no driver for it; there are ssd1306, sh1106"),
    (("parts", "display", "driver"), ["ssd1306"], "parts.display.driver: ['ssd1306'] is no driver for it"),
    (("parts", "display", "bus"), ..., "parts.display.bus: is missing"),
    (
        ("parts", "display", "bus"), "i2c7",
        "parts.display.bus: there is no bus i2c7; there are i2c1, uart0, uart3, uart5, uart-modem, gpio",
    ),
    (("parts", "display", "bus"), "uart3", "parts.display.bus: ssd1306 is not on uart3; ssd1306 needs i2c"),
    (("parts", "display", "address"), 0x3C3C, "parts.display.address: 15420 is not in 8..119"),
    (("parts", "display", "address"), True, "parts.display.address: True is not a whole number"),
    (("parts", "display", "size"), (128, 65), "parts.display.size: (128, 65) is none of (128, 64)"),
    (("parts", "display", "pin"), 4, "parts.display.pin: unknown key; known are driver, bus, address, size, rotate"),
    (("parts", "keypad", "keys"), ..., "parts.keypad.keys: is missing"),
    (("parts", "keypad", "keys"), (("1", "2"), ("3", "OK")), "parts.keypad.keys: 'OK' is no key"),
    (("parts", "keypad", "keys"), (("1", "2"), ("3", "1")), "parts.keypad.keys: 1 is there twice"),
    (("parts", "keypad", "keys"), (("1", "2"),), "parts.keypad.keys: 0, 3, 4, 5, 6, 7, 8, 9, 00, ENTER, CANCEL, CLEAR"),
    (("parts", "keypad", "rows"), (17, 27, 22), "parts.keypad.keys: is not 3 rows of 4 keys"),
    (("parts", "keypad", "rows"), [17, 27, 22, 23], "parts.keypad.rows: [17, 27, 22, 23] is not a tuple of pins"),
    (("parts", "keypad", "rows"), (17, 27, 22, "23"), "parts.keypad.rows: '23' is not a whole number"),
    (("parts", "contactless", "baud"), 9600, "parts.contactless.baud: 9600 is none of 115200, 230400"),
    (("parts", "contactless", "bus"), "uart3", "parts.printer.bus: uart3 is taken by parts.contactless"),
    (("parts", "printer", "profile"), "laser", "parts.printer.profile: 'laser' is none of 'csn-a2'"),
    (("parts", "light", "pins"), (10, 9, 11), "parts.light.pins: 3 pins where 4 are needed"),
    (("parts", "vault", "key"), "0011", "parts.vault.key: unknown key"),
    (("setup",), (("config.txt", "dtparam=spi=off"),), "setup.0: is not (where, (line, ...))"),
    (("setup",), (("config.txt", (1,)),), "setup.0: 1 is not a text"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value", "said"), WRONG, ids=[row[2].split(":")[0] for row in WRONG])
def test_what_is_wrong_is_named_by_file_and_key(pi_4, where, value, said):
    table = pi_4
    for key in where[:-1]:
        table = table[key]
    if value is ...:
        del table[where[-1]]
    else:
        table[where[-1]] = value
    assert complaint(pi_4).startswith("boards/pi_4.py: " + said)


def test_two_chips_cannot_share_an_address(pi_4, monkeypatch):
    row = Row("sound", "beeper", "", "", "i2c", {"address": ADDRESS}, {})
    monkeypatch.setitem(CATALOGUE, ("sound", "beeper"), row)
    pi_4["parts"]["sound"] = {"driver": "beeper", "bus": "i2c1", "address": 0x3C}
    assert complaint(pi_4) == "boards/pi_4.py: parts.sound.address: address 0x3C on i2c1 is taken by parts.display"


def test_emulated_buses_have_no_nodes():
    data = copy.deepcopy(importlib.import_module("boards.emulator").BOARD)
    data["buses"]["uart0"]["node"] = "/dev/ttyAMA0"
    with pytest.raises(BoardError, match=r"buses\.uart0\.node: unknown key"):
        validate(data, "emulator", "boards/emulator.py")


@pytest.mark.parametrize("data", [None, [], "board", 7])
def test_a_file_without_a_board_is_refused(data):
    assert complaint(data) == "boards/pi_4.py: BOARD is not a dict"


def test_broken_data_raises_nothing_but_a_board_error(pi_4):
    chance = random.Random(2)
    junk = [None, True, -1, 10**9, 0.5, "", "x", "none", b"", (), (1,), ((),), [], [1], {}, {"driver": "none"}, {1: 2}, chance]

    def shake(value):
        """The value with one place of it changed."""
        if isinstance(value, dict) and value and chance.random() < 0.9:
            key = chance.choice(list(value))
            change = chance.random()
            if change < 0.1:
                del value[key]
            elif change < 0.2:
                value[chance.choice([3, ("a", "b"), "new", None])] = chance.choice(junk)
            else:
                value[key] = shake(value[key])
            return value
        if isinstance(value, tuple) and value and chance.random() < 0.7:
            place = chance.randrange(len(value))
            return (*value[:place], shake(value[place]), *value[place + 1 :])
        return chance.choice(junk)

    refused = 0
    for _ in range(1500):
        data = copy.deepcopy(pi_4)
        for _ in range(chance.randint(1, 3)):
            data = shake(data)
        try:
            validate(data, "pi_4", "boards/pi_4.py")
        except BoardError:
            refused += 1
    assert refused > 1000


def test_all_boards_load_without_hardware_packages():
    program = (
        "import sys\n"
        "from drivers.board import load, names\n"
        "for name in names(): load(name)\n"
        "heavy = {'serial', 'smbus2', 'nfc', 'luma', 'PIL', 'RPi', 'ssl', 'sqlite3'}\n"
        "print(' '.join(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip() == ""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.port + "-" + row.driver)
def test_each_driver_of_the_catalogue_is_there(row):
    assert isinstance(getattr(importlib.import_module(row.module), row.cls), type)
    assert row.port in PORTS


def test_the_catalogue_knows_the_profiles_of_the_printer():
    from drivers.escpos import PROFILES as rows

    assert set(PROFILES) == set(rows)


def test_the_check_lists_parts_pins_and_what_to_set_up():
    lines = check("pi_4")
    assert lines[0] == "boards/pi_4.py: Raspberry Pi 4, real wires, test mode"
    assert "  uart3        fe201600.serial" in lines
    assert any(line.split()[:3] == ["printer", "escpos", "drivers.printer.EscposPrinter"] for line in lines)
    assert "  header 7    GPIO4   uart3 TX" in lines
    assert "  header 11   GPIO17  keypad row 1" in lines
    assert "  header 38   GPIO20  contactless reset" in lines
    assert "    dtoverlay=uart3" in lines
    assert lines[-1] == "boards/pi_4.py is in order"


@pytest.mark.parametrize("name", ["pi_4", "pi_5", "pi_zero_2w"])
def test_the_setup_agrees_with_the_buses(name):
    board = load(name)
    config = dict(board.setup)["/boot/firmware/config.txt"]
    assert "dtparam=i2c_arm_baudrate=%d" % board.buses["i2c1"]["hz"] in config
    # The lamps sit on pins of SPI0.
    assert "dtparam=spi=off" in config
