"""The lint for MicroPython finds a planted fault of each kind, and lets right code through."""

import sys

import pytest

from tools import mpylint

PLANTED = (
    # rule, source
    ("import", "import os"),
    ("import", "import time"),
    ("import", "from dataclasses import dataclass"),
    ("import", "from collections.abc import Callable"),
    ("import", "def f():\n    import logging"),
    ("import", "from emulator import wires"),
    ("api", "from collections import defaultdict"),
    ("api", "import math\nx = math.gcd(4, 6)"),
    ("api", "import struct\nx = struct.Struct('>H')"),
    ("api", "import errno as numbers\nx = numbers.ENOSPC"),
    ("api", "import json\njson.load(f)"),
    ("api", "import re\nre.findall(p, s)"),
    ("outside", "x = open('file')"),
    ("outside", "print('here')"),
    ("outside", "eval('1')"),
    ("outside", "__import__('os')"),
    ("match", "match x:\n    case 1:\n        pass"),
    ("except-star", "try:\n    f()\nexcept* ValueError:\n    pass"),
    ("async", "async def f():\n    pass"),
    ("positional-only", "def f(a, /, b):\n    pass"),
    ("positional-only", "f = lambda a, /: a"),
    ("star-display", "x = [*a, 1]"),
    ("star-display", "x = (*a, 1)"),
    ("star-display", "x = {*a}"),
    ("star-display", "def f():\n    return 1, *b"),
    ("dict-unpack", "x = {**a, 'k': 1}"),
    ("star-order", "f(k=1, *a)"),
    ("decorator", "@table[0]\ndef f():\n    pass"),
    ("decorator", "@(lambda f: f)\nclass C:\n    pass"),
    ("never-called", "class C:\n    def __format__(self, spec):\n        return ''"),
    ("never-called", "class C:\n    def __index__(self):\n        return 1"),
    ("metaclass", "class C(metaclass=M):\n    pass"),
    ("bases", "class C(A, B):\n    pass"),
    ("private-name", "class C:\n    def f(self):\n        self.__x = 1"),
    ("private-name", "class C:\n    def __f(self):\n        pass"),
    ("fstring", "x = f'{y!a}'"),
    ("fstring", "x = f'{(lambda: 1)()}'"),
    ("fstring", "x = f'{y:,.2f}'"),
    ("fstring", "x = '{:,.2f}'.format(y)"),
    ("fstring-join", "x = 'a{}' f'{y}'"),
    ("fstring-join", "x = (f'{y}'\n    'b}')"),
    ("format", "x = '{0.real}'.format(y)"),
    ("format", "x = '{0[1]}'.format(y)"),
    ("chaining", "raise ValueError() from error"),
    ("chaining", "raise ValueError() from None"),
    ("slice-step", "x = y[::-1]"),
    ("slice-step", "x = y[1::2]"),
    ("del-slice", "del buffer[:4]"),
    ("slice-object", "x = slice(1, 2)"),
    ("type-union", "x = int | None"),
    ("type-union", "isinstance(x, int | str)"),
    ("builtin", "try:\n    f()\nexcept FileNotFoundError:\n    pass"),
    ("builtin", "x = vars(y)"),
    ("method", "x = '1'.zfill(6)"),
    ("method", "x = name.ljust(10)"),
    ("method", "x = n.bit_length()"),
    ("method", "x = hash.hexdigest()"),
    ("method", "x = row._replace(a=1)"),
    ("method", "x = Row._fields"),
    ("attribute", "x = error.__cause__"),
    ("attribute", "x = f.__doc__"),
    ("exception-init", "class E(ValueError):\n    def __init__(self):\n        ValueError.__init__(self, 'x')"),
    ("function-attribute", "def f():\n    pass\nf.count = 0"),
    ("super-property", "class C(B):\n    def f(self):\n        return super().name"),
    ("super-property", "x = super()"),
    ("keyword", "x = (5).to_bytes(2, 'big', signed=True)"),
    ("keyword", "x = int.from_bytes(b, byteorder='big')"),
    ("keyword", "x = int('ff', base=16)"),
    ("keyword", "for a, b in zip(x, y, strict=True):\n    pass"),
    ("keyword", "import json\njson.dumps(x, sort_keys=True)"),
    ("keyword", "x = b.decode(encoding='ascii')"),
    ("encoding", "x = s.encode('gbk')"),
    ("encoding", "x = b.decode('utf-8', 'replace')"),
    ("encoding", "x = str(b, 'gb18030')"),
    ("deque", "from collections import deque\nx = deque()"),
    ("sort-key", "x = sorted(rows, key=f)"),
    ("sort-key", "rows.sort(key=f)"),
    ("keys-set", "x = a.keys() & b.keys()"),
    ("keys-set", "x = wanted - d.keys()"),
    ("startswith-tuple", "x = s.startswith(('a', 'b'))"),
    ("regex", "import re\nx = re.compile(r'\\d{3}')"),
    ("regex", "import re\nx = re.match(r'(?P<a>.)', s)"),
    ("regex", "import re\nx = re.search(rb'(.)\\1', s)"),
    ("struct", "import struct\nx = struct.pack('>HH', 1)"),
    ("struct", "from struct import pack\nx = pack('>4sB', b'abcd', 1, 2)"),
    ("struct", "import struct\nx = struct.unpack('> H', b)"),
    ("struct", "import struct\nx = struct.calcsize('?')"),
    ("yield-in-with", "def f():\n    with lock:\n        yield 1"),
    ("unused-skip", "x = 1  # mpylint: skip slice-step: it is a list"),
)

RIGHT = (
    "import json\nfrom binascii import hexlify\nx = json.dumps({'a': 1}, separators=(',', ':'))",
    "from firmware.events import KEY",
    "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import Any\n    x = int | None",
    "def f(a: 'int | None' = None, *, b: int | None = 0) -> 'dict[str, int]':\n    x: int | str = 1\n    return x",
    "a, *b = x",
    "f(*a, k=1)\nf(*a, *b)\nf(**a, **b)",
    "x = a | b\nx = flags | 1",
    "class C(B):\n    def __init__(self):\n        super().__init__(1)\n        self.x = super().size()",
    "class E(ValueError):\n    def __init__(self, field):\n        super().__init__('%s' % field)",
    "x = f'{y:>4} {y!r} {{}} {y:,}'",
    "x = 'a' f'{y}'",
    "x = 'a{}', f'{y}'",
    "x = '%06d' % n\nx = '{:>8}'.format(n)",
    "x = y[1:2]\nx = y[:]\nx = y[::1]",
    "del row['a']\ndel row[0]",
    "def f():\n    with lock:\n        g = lambda: 1\n    yield 1",
    "from collections import deque\nx = deque((), 16)",
    "x = sorted(rows, reverse=True)",
    "import re\nx = re.compile('^[a-z]+\\\\{1$')",
    "import struct\nx = struct.pack('>4sHxB', a, 1, 2)\nx = struct.pack('>HH', *pair)",
    "x = self.title()\nx = screen.title",
    "x = codec.decode(message)\nx = b.decode('ascii')\nx = b.decode()",
    "x = y[::-1]  # mpylint: skip slice-step: y is a list",
)


@pytest.mark.parametrize(("rule", "source"), PLANTED)
def test_a_planted_fault_is_found(rule, source):
    findings = mpylint.check(source, "firmware/x.py", {"firmware"})
    assert rule in {finding.rule for finding in findings}


@pytest.mark.parametrize("source", RIGHT)
def test_right_code_is_let_through(source):
    assert mpylint.check(source, "firmware/x.py", {"firmware"}) == []


def test_every_rule_has_a_planted_fault():
    assert {rule for rule, _ in PLANTED} == set(mpylint.RULES)


def test_a_finding_names_file_line_and_reason():
    (finding,) = mpylint.check("x = 1\nx = y[::2]\n", "firmware/x.py", set())
    assert str(finding) == "firmware/x.py:2: slice-step: y[::2] (a slice with a step works for lists only)"


def test_a_skip_of_another_rule_hides_nothing():
    found = mpylint.check("x = y[::2]  # mpylint: skip method: no", "firmware/x.py", set())
    assert {finding.rule for finding in found} == {"slice-step", "unused-skip"}


def test_a_board_imports_nothing_at_all():
    assert mpylint.check("from firmware import money", "boards/x.py", mpylint.FOLDERS["boards"])


def test_the_composition_root_is_the_only_source_left_out():
    names = {path.relative_to(mpylint.ROOT).as_posix() for path in mpylint.sources("firmware")}
    there = {path.relative_to(mpylint.ROOT).as_posix() for path in (mpylint.ROOT / "firmware").rglob("*.py")}
    assert there - names == {"firmware/__main__.py"}


def test_the_command_ends_with_1_and_prints_what_it_found(tmp_path, capsys):
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "x.py").write_text("import os\n", encoding="utf-8")
    assert mpylint.main(["boards"], tmp_path) == 1
    assert capsys.readouterr().out == "boards/x.py:1: import: os (%s)\n" % mpylint.RULES["import"]


def test_python_that_cannot_be_read_is_named(tmp_path, capsys):
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "x.py").write_text("x = = 1\n", encoding="utf-8")
    assert mpylint.main(["boards"], tmp_path) == 1
    assert "x.py:1" in capsys.readouterr().out


def test_the_table_of_modules_names_nothing_that_cpython_lacks():
    from tools.mpy_subset import MODULES

    lacking = []
    for module, names in MODULES.items():
        lacking += [module + "." + name for name in names if not hasattr(__import__(module), name)]
    assert lacking == []
    assert set(MODULES) <= set(sys.stdlib_module_names)


def test_the_table_of_modules_names_nothing_that_micropython_lacks():
    from tools import mpy
    from tools.mpy_subset import MODULES

    if not mpy.micropython():
        assert not mpy.must_run()
        pytest.skip("no MicroPython for this machine: the table of modules is not held against it")
    asked = "import sys\nfor m, n in %r:\n    if not hasattr(__import__(m), n): print(m, n)"
    done = mpy.run(["-c", asked % [(module, name) for module, names in MODULES.items() for name in sorted(names)]])
    assert (done.returncode, done.stdout) == (0, "")
