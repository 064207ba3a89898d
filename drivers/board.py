"""Reads a board file and finds what is wrong with it before anything is switched on.

A board file is data (`boards/*.py`, one dict BOARD). It is checked whole against `catalogue.py`: keys, types, buses,
drivers, pins. The first thing that is wrong is a BoardError that names file and key:

    boards/pi_4.py: parts.keypad.rows: pin 17 is taken by parts.contactless.reset

Nothing here touches hardware or imports a driver, so that a board is checked anywhere.
"""

import importlib
import os

from drivers.catalogue import BUSES, CATALOGUE, HEADERS, NEEDED_PORTS, NO_DRIVER, PIN_CHECKS, SIGNALS, node, one_of, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "boards")

KEYS = {"name": word, "wires": one_of("real", "emulated"), "header": one_of(*HEADERS), "mode": one_of("test", "production")}
TABLES = {"buses": dict, "parts": dict, "setup": tuple}
OPTIONAL = {"parameters": dict}  # what the board sets instead of a default of `firmware/parameters.py`, which checks it


class BoardError(ValueError):
    """A board file is wrong: `file`, `key` (dotted) and what about it."""

    def __init__(self, file: str, key: str, what: str):
        super().__init__("%s: %s: %s" % (file, key, what) if key else "%s: %s" % (file, what))
        self.file = file
        self.key = key


class Board:
    """A checked board.

    name    how it is asked for ("pi_4")        title   what a person calls it ("Raspberry Pi 4")
    file    "boards/pi_4.py"                    wires   "real" or "emulated"
    mode    "test" or "production"              header  {GPIO number: place on the header}
    buses   {bus: {...}}                        parts   {port: {"driver": ..., ...}}, in the order of the file
    pins    {GPIO number: dotted key that holds it}
    setup   ((where, (line, ...)), ...): what a technician sets up on the board's system
    parameters  {name: value}: defaults of this board
    """

    def __init__(self, name: str, file: str, data: dict, pins: dict):
        self.name = name
        self.file = file
        self.title = data["name"]
        self.wires = data["wires"]
        self.mode = data["mode"]
        self.header = HEADERS[data["header"]]
        self.buses = data["buses"]
        self.parts = {port: part for port, part in data["parts"].items() if part["driver"] != NO_DRIVER}
        self.pins = pins
        self.setup = data["setup"]
        self.parameters = data.get("parameters", {})

    def has(self, port: str) -> bool:
        """Whether the board has this port of `firmware.ports.PORTS`."""
        return port in self.parts

    def row(self, port: str):
        """The catalogue's row for the part at this port: module, class and kind of bus."""
        return CATALOGUE[port, self.parts[port]["driver"]]

    def __repr__(self):
        return "Board(%r)" % self.name


def names() -> list:
    """The boards there are, sorted."""
    return sorted(name[:-3] for name in os.listdir(FOLDER) if name.endswith(".py") and not name.startswith("_"))


def load(name: str) -> Board:
    """The board of this name, checked. Raises BoardError."""
    file = "boards/%s.py" % name
    if name not in names():
        raise BoardError(file, "", "there is no such board; there are %s" % ", ".join(names()))
    module = importlib.import_module("boards." + name)
    return validate(getattr(module, "BOARD", None), name, file)


def validate(data, name: str, file: str) -> Board:
    """Checks the data of one board file. Raises BoardError."""
    return _Reading(name, file).board(data)


def bus_kind(bus: str) -> str:
    """The kind of a bus, by its name: i2c1 is an i2c, uart-usb a uart."""
    return bus.split("-")[0].rstrip("0123456789")


class _Reading:
    """One pass over one file: what was taken so far, and by which key."""

    def __init__(self, name, file):
        self.name = name
        self.file = file
        self.pins = {}
        self.chips = {}

    def wrong(self, key: str, what: str) -> "NoReturn":
        raise BoardError(self.file, key, what)

    def board(self, data):
        if not isinstance(data, dict):
            self.wrong("", "BOARD is not a dict")
        self.keys("", data, KEYS, {**TABLES, **OPTIONAL})
        if not isinstance(data.get("parameters", {}), dict):
            self.wrong("parameters", "is not a dict")
        for key, kind in TABLES.items():
            if key not in data:
                self.wrong(key, "is missing")
            if not isinstance(data[key], kind):
                self.wrong(key, "is not a %s" % kind.__name__)
        self.real = data["wires"] == "real"
        self.header = HEADERS[data["header"]]
        self.buses = data["buses"]
        for bus, spec in self.buses.items():
            self.bus(bus, spec)
        for port, part in data["parts"].items():
            self.part(port, part)
        for port in NEEDED_PORTS:
            if data["parts"].get(port, {}).get("driver", NO_DRIVER) == NO_DRIVER:
                self.wrong("parts." + port, "is missing")
        self.setup(data["setup"])
        return Board(self.name, self.file, data, self.pins)

    def keys(self, where, table, needs, takes):
        """Every key of `table` is known and right, none of `needs` is missing."""
        dot = where + "." if where else ""
        for key, value in table.items():
            if key in needs:
                check = needs[key]
            elif key in takes:
                check = takes[key]
            else:
                known = ", ".join(list(needs) + [key for key in takes if key not in needs]) or "none"
                self.wrong(dot + str(key), "unknown key; known are %s" % known)
            if isinstance(check, type):
                continue
            complaint = check(value)
            if complaint:
                self.wrong(dot + key, complaint)
            if check in PIN_CHECKS:
                self.take_pins(dot + key, value if isinstance(value, tuple) else (value,))
        for key in needs:
            if key not in table:
                self.wrong(dot + key, "is missing")

    def take_pins(self, key, pins):
        for pin in pins:
            if pin not in self.header:
                self.wrong(key, "pin %d is not on the header" % pin)
            if pin in self.pins:
                self.wrong(key, "pin %d is taken by %s" % (pin, self.pins[pin]))
            self.pins[pin] = key

    def bus(self, bus, spec):
        key = "buses.%s" % (bus,)
        if not isinstance(bus, str) or bus_kind(bus) not in BUSES:
            self.wrong(key, "is no kind of bus; kinds are %s" % ", ".join(BUSES))
        if not isinstance(spec, dict):
            self.wrong(key, "is not a dict")
        needs, takes = BUSES[bus_kind(bus)]
        if self.real and bus_kind(bus) == "uart":
            # One of the two says where it is: a path that is stable, or an address for the numbers that are not.
            found = [place for place in ("node", "by") if place in spec]
            if len(found) != 1:
                self.wrong(key, "needs node or by" if not found else "has both node and by")
            needs = {found[0]: node if found[0] == "node" else word}
        self.keys(key, spec, needs if self.real else {}, takes)

    def part(self, port, part):
        key = "parts.%s" % (port,)
        if port not in [row.port for row in CATALOGUE.values()]:
            self.wrong(key, "is no port")
        if not isinstance(part, dict):
            self.wrong(key, "is not a dict")
        if "driver" not in part:
            self.wrong(key + ".driver", "is missing")
        row = CATALOGUE.get((port, part["driver"])) if isinstance(part["driver"], str) else None
        if row is None:
            if part == {"driver": NO_DRIVER}:
                return
            known = [name for known_port, name in CATALOGUE if known_port == port]
            self.wrong(key + ".driver", "%r is no driver for it; there are %s" % (part["driver"], ", ".join(known)))
        needs = {"driver": word}
        if row.bus in ("i2c", "uart"):
            needs["bus"] = word
        needs.update(row.needs)
        self.keys(key, part, needs, row.takes)
        self.hang(key, part, row)
        if "keys" in part:
            self.legend(key, part)

    def hang(self, key, part, row):
        """The part's bus is there, is of the right kind, and has room for it."""
        if (row.bus == "gpio" or "reset" in part or "power" in part) and "gpio" not in self.buses:
            self.wrong(key, "needs the bus gpio, which is not in buses")
        if "bus" not in part:
            return
        bus = part["bus"]
        if bus not in self.buses:
            self.wrong(key + ".bus", "there is no bus %s; there are %s" % (bus, ", ".join(self.buses)))
        if bus_kind(bus) != row.bus:
            self.wrong(key + ".bus", "%s is not on %s; %s needs %s" % (part["driver"], bus, part["driver"], row.bus))
        # Chips share an I2C bus by their addresses; a UART has one.
        place, where = bus, ".bus"
        if row.bus == "i2c":
            place, where = "address 0x%02X on %s" % (part["address"], bus), ".address"
        if place in self.chips:
            self.wrong(key + where, "%s is taken by %s" % (place, self.chips[place]))
        self.chips[place] = key

    def legend(self, key, part):
        rows, columns = len(part["rows"]), len(part["columns"])
        if [len(row) for row in part["keys"]] != [columns] * rows:
            self.wrong(key + ".keys", "is not %d rows of %d keys" % (rows, columns))

    def setup(self, setup):
        for place, entry in enumerate(setup):
            key = "setup.%d" % place
            if not isinstance(entry, tuple) or len(entry) != 2 or word(entry[0]) or not isinstance(entry[1], tuple):
                self.wrong(key, "is not (where, (line, ...))")
            for line in entry[1]:
                if word(line):
                    self.wrong(key, word(line))


def check(name: str) -> list:
    """What the board is made of, as lines to print. Raises BoardError."""
    board = load(name)
    lines = ["%s: %s, %s wires, %s mode" % (board.file, board.title, board.wires, board.mode), "", "buses"]
    for bus, spec in board.buses.items():
        lines.append("  %-12s %s" % (bus, _where(board, spec)))
    lines += ["", "parts"]
    for port, part in board.parts.items():
        row = board.row(port)
        lines.append("  %-12s %-10s %-38s %s" % (port, row.driver, row.module + "." + row.cls, _settings(part)))
    lines += ["", "pins"]
    for place, pin in sorted((board.header[pin], pin) for pin in board.pins):
        lines.append("  header %-4d GPIO%-3d %s" % (place, pin, _signal(board, pin)))
    if board.setup:
        lines += ["", "set up on the board"]
    for where, todo in board.setup:
        lines.append("  " + where)
        lines += ["    " + line for line in todo]
    lines += ["", "%s is in order" % board.file]
    return lines


def _signal(board, pin):
    """What a pin is for: "i2c1 SDA", "keypad row 2", "contactless reset"."""
    holder, name, key = board.pins[pin].split(".")
    spec = board.buses[name] if holder == "buses" else board.parts[name]
    if holder == "buses":
        return "%s %s" % (name, SIGNALS[bus_kind(name)][spec[key].index(pin)])
    if isinstance(spec[key], tuple):
        return "%s %s %d" % (name, key[:-1], spec[key].index(pin) + 1)
    return "%s %s" % (name, key)


def _where(board, spec):
    words = []
    if board.wires == "emulated":
        words.append("emulated")
    words += [spec[key] for key in ("node", "by") if key in spec]
    if "hz" in spec:
        words.append("%d kHz" % (spec["hz"] // 1000))
    return ", ".join(words)


def _settings(part):
    shown = []
    for key, value in part.items():
        if key in ("driver", "keys"):
            continue
        if key == "address":
            value = "0x%02X" % value
        elif key == "size":
            value = "%dx%d" % value
        elif isinstance(value, tuple):
            value = ",".join(str(one) for one in value)
        shown.append("%s %s" % (key, value))
    return ", ".join(shown)
