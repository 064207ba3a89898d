import random

import pytest

from drivers.text import Gb18030
from emulator.standins.text import StandIn


@pytest.fixture(params=["driver", "stand-in"])
def port(request):
    return Gb18030(None, {}) if request.param == "driver" else StandIn()


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("SALE 12.34", b"SALE 12.34"),
        ("消费", bytes.fromhex("cffbb7d1")),
        ("银联", bytes.fromhex("d2f8c1aa")),
        ("￥", bytes.fromhex("a3a4")),
        ("㐀", bytes.fromhex("8139ee39")),
        ("😀", bytes.fromhex("9439fc36")),
    ],
)
def test_text_goes_both_ways(port, text, data):
    assert port.encode(text) == data
    assert port.decode(data) == text


def test_what_has_no_code_becomes_a_question_mark(port):
    assert port.encode("a\ud800b") == b"a?b"


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"\xff", "?"), (b"a\x81", "a?"), (b"\xcf\xfb\xb7", "消?"), (b"\x81\x30", "?"), (b"ok\xff\xffok", "ok??ok")],
)
def test_bad_bytes_become_question_marks(port, data, text):
    assert port.decode(data) == text


def test_any_bytes_decode_to_something_that_encodes_again(port):
    chance = random.Random(20)
    for _ in range(500):
        data = chance.randbytes(chance.randrange(40))
        text = port.decode(bytearray(data))
        assert "\ufffd" not in text
        assert isinstance(port.encode(text), bytes)
