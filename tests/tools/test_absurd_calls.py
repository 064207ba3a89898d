"""The programs called as nobody would call them, and on files that nobody wrote: a line that says why not, status 1 or 2."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drivers import card_file
from drivers.provisioning import provision
from drivers.store import SqliteStore
from emulator.cards import pki, recorded
from emulator.cards.recorded import RecordError
from tests.tools.test_provision import COMPONENTS, SETTINGS
from tools import __main__ as tools
from tools.discreet import LONGEST, discreet

ROOT = Path(__file__).parents[2]
NUMBER, KEY = "6212345678901234567", "8C1F6A03D97E42B5F0A1886D3C5E7712"
CHIP = '{"apdus": [{"c": "00A404000E315041592E5359532E444446303100", "r": "6A82"}]}'
DEEP = "[" * 100_000
JSON = (
    "",
    "null",
    "[]",
    "{}",
    "[[1,2]]",
    '{"cases":[1]}',
    '{"cases":{}}',
    '{"apdus":[["",""]]}',
    '{"c":"","r":""}',
    "[NaN]",
    '{"c":1e999}',
    DEEP,
    '{"a":' * 50_000,
    '{"keys":' + "9" * 50_000 + "}",
    '{"applications":[[]]}',
    '{"keys":{}}',
    "\ufeff{}",
    '{"terminal":{"":""}}',
    '{"exceptions":[""]}',
    '{"revoked":[null]}',
    "C: 00",
    "R: 9000",
    "C:\nR:",
    "9F",
    "\x00",
    "{" * 9,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("device") / "data"
    provision(folder, SETTINGS, COMPONENTS, cost=1)
    return folder


def said(capsys, *words):
    """(status, all that was said), in one line or a few, of which none is a traceback or a secret."""
    status = tools.main([str(word) for word in words])
    out = "".join(capsys.readouterr())
    assert status in (0, 1, 2) and (out.strip() or status == 0), words
    assert "Traceback" not in out and not re.search("[\x00-\x09\x0b-\x1f]", out), words
    assert NUMBER not in out and KEY not in out and "1234 5678" not in out, words
    return status, out


def test_a_call_without_sense_is_told_so(data, tmp_path, capsys):
    good, binary = tmp_path / "card.json", tmp_path / "binary"
    good.write_text(CHIP)
    binary.write_bytes(bytes(range(256)))
    loaded, emv = ("--data", data), ("emv", good, "--run")
    for words in (
        (),
        ("nothing",),
        (NUMBER,),
        ("cards",),
        ("cards", "--data"),
        ("cards", "--show", "--data", ""),
        ("cards", tmp_path, *loaded),
        ("cards", "--show", "--data", "/dev/null"),
        ("cards", "/dev/zero", *loaded),
        ("cards", data / "store.db", *loaded),
        ("cards", binary, *loaded),
        ("cards", "\udcff\0", *loaded),
        ("cards", good, "--kind", NUMBER, *loaded),
        ("cards", KEY, *loaded),
        ("cards", "a", "b", NUMBER, *loaded),
        ("cards", good, "--data", "\udcff"),
        ("cards", "x" * 5000, *loaded),
        ("emv",),
        ("emv", ""),
        ("emv", "/dev/zero"),
        ("emv", tmp_path),
        ("emv", binary),
        ("emv", "\udcff\0"),
        ("emv", "7" * 90_001),
        ("emv", "5A", "0A", "6212 3456 7890 1234 567F"),
        ("emv", NUMBER),
        ("emv", "9000", "--keys", tmp_path),
        ("emv", "x" * 90_000),
        ("emv", "9000", "--keys", NUMBER),
        ("emv", "9000", "--keys", binary),
        ("emv", "9000", "--case", "\udcff"),
        (*emv, "--amount", "-5"),
        (*emv, "--amount", "9" * 30),
        (*emv, "--amount", NUMBER + "x"),
        (*emv, "--date", "999999"),
        (*emv, "--date", NUMBER),
        (*emv, "--time", "999999"),
        (*emv, "--number", KEY),
        (*emv, "--answer", NUMBER),
        (*emv, "--settings", tmp_path),
        (*emv, "--settings", NUMBER),
        (*emv, "--way", NUMBER),
        ("emv", good, "--case", NUMBER),
        ("provision",),
        ("provision", *loaded, KEY),
        ("provision", *loaded, "--component", KEY, "--component", KEY, "--check-value", KEY),
        ("provision", *loaded, "--cards", NUMBER),
        ("provision", *loaded, "--settings", tmp_path, "--component", "a"),
        ("provision", "--data", "/dev/null", "--component", KEY, "--component", "b", "--check-value", "c"),
    ):
        assert said(capsys, *words)[0] in (1, 2) or words in ((), ("emv", "9000", "--case", "\udcff")), words


def test_any_words_in_any_order_are_told_so(data, tmp_path, capsys):
    chance = random.Random(8)
    good = tmp_path / "card.json"
    good.write_text(CHIP)
    words = (
        "emv",
        "cards",
        "--run",
        "--keys",
        "--case",
        "--date",
        "--amount",
        "--number",
        "--kind",
        "--show",
        "--data",
        "--partial",
        "--settings",
        "--answer",
        str(data),
        str(good),
        "9000",
        "9F02",
        NUMBER,
        KEY,
        "",
        "-",
        "--",
        "-1",
        "test",
        "\u202e",
        "\udc80",
    )
    for _ in range(250):
        call = [chance.choice(("emv", "cards"))] + [chance.choice(words) for _ in range(chance.randrange(6))]
        if "-" not in call:  # the keyboard of whoever runs the tests
            said(capsys, *call)


@pytest.mark.parametrize("number", range(len(JSON)))
def test_a_file_that_is_none_is_refused_by_every_tool(number, data, tmp_path, capsys):
    path = tmp_path / "file.json"
    path.write_text(JSON[number])
    for words in (
        ("emv", path),
        ("emv", path, "--run"),
        ("emv", "9000", "--keys", path),
        ("cards", path, "--data", data),
        ("provision", "--data", data, "--settings", path, "--component", path, "--component", path, "--check-value", "0"),
        ("emv", path, "--run", "--settings", path),
    ):
        assert said(capsys, *words)[0] in (1, 2), words
    with pytest.raises(RecordError):
        recorded.read(JSON[number])


def test_a_damaged_file_of_parameters_is_taken_whole_or_refused_whole(data, tmp_path, capsys):
    chance = random.Random(9)
    whole = json.dumps(json.loads(card_file.fetch()) | {"keys": pki.authority_rows()}).encode()
    path = tmp_path / "damaged.json"
    counts = [0, 0]
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 3)):
            at = chance.randrange(len(content))
            spoil = chance.randrange(8)
            if spoil > 3:  # a slip of the finger, which need not be wrong
                at = content.find(b"0000", at // 2)
                content[at : at + 1] = b"%d" % chance.randrange(10)
            elif spoil == 0:
                content[at] = chance.randrange(256)
            elif spoil == 1:
                del content[at : at + chance.randrange(1, 200)]
            elif spoil == 2:
                content[at:at] = content[: chance.randrange(200)]
            else:
                content[at : at + 1] = chance.choice((b'"', b"{", b"0", b"null", b"F", b"-1"))
        path.write_bytes(bytes(content))
        before = kept(data)
        status, out = said(capsys, "cards", path, "--data", data)
        counts[status == 0] += 1
        assert status == 0 or ("nothing was written" in out and kept(data) == before)
    assert min(counts) > 2, counts


def kept(data):
    store = SqliteStore(None, {}, data, read_only=True)
    try:
        return store.range("parameters")
    finally:
        store.close()


def test_what_is_typed_in_the_wrong_place_is_not_said_back():
    for text in (
        NUMBER,
        " ".join(NUMBER[at : at + 4] for at in range(0, 19, 4)),
        KEY,
        KEY.lower(),
        "x" + NUMBER + "y",
        NUMBER + "F",
    ):
        assert discreet("file: %s: no" % text).count("*") == 1 and not re.search("[0-9]{5}", discreet(text))
    assert discreet("A000000333010101, A0000000031010, 20301231") == "A000000333010101, A0000000031010, 20301231"
    assert discreet("\x1b[2J\u202e\udcff") == "?[2J??" and len(discreet("x" * 10_000)) < LONGEST + 10


# What a process says and how it ends; in any language of the machine.
CALLS = (
    (("tools", "cards", b"\xff\x1b[2J", "--data", "x"), 2),
    (("tools", "cards", "x", "--data", b"\xff"), 2),
    (("emulator", "script", "/"), 2),
    (("emulator", "script", "SCRIPT", "--folder", "/dev/null"), 1),
    (("emulator", "script", "SCRIPT", "--record", "/dev/null"), 1),
    (("emulator", "browser", "--folder", "/dev/null"), 1),
    (("emulator", "browser", "--port", "99999", "--folder", "FOLDER"), 1),
    (("firmware", "--board", "../x"), 2),
    (("firmware", "--nonsense"), 1),
)


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_a_process_that_cannot_start_says_why_in_a_line(number, tmp_path):
    words, status = CALLS[number]
    (tmp_path / "script.txt").write_text("tear\n")
    places = {"SCRIPT": str(tmp_path / "script.txt"), "FOLDER": str(tmp_path / "new")}
    command = [sys.executable, "-m", *(places.get(word, word) for word in words)]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, timeout=60, stdin=subprocess.DEVNULL, env={"PYTHONIOENCODING": "utf-8:strict"}
    )
    out = ended.stdout + ended.stderr
    assert ended.returncode == status and b"Traceback" not in out and b"\x1b" not in out, out
    assert 0 < len(out.strip().splitlines()) < 8, out
