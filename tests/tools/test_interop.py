"""The comparison with other people's programs finds what is different, says what is absent, and is the same for the same seed."""

import json
import shutil
import struct
from random import Random

import pytest

from firmware.iso8583 import dialects, frame
from tools.interop import __main__ as interop
from tools.interop import messages, wireshark
from tools.interop.result import SHOWN, Result, Unavailable

FRAMING = frame.Framing(tpdu_size=0, header_size=0)


def run(*arguments):
    said = []
    return interop.main(list(arguments), say=said.append), said


def test_messages_of_both_dialects_are_the_same_for_pyiso8583():
    pytest.importorskip("iso8583", reason="pyiso8583 is not installed: no peer to compare with")
    status, said = run("pyiso8583", "--count", "40", "--seed", "1")
    assert status == 0 and said[0] == "seed 1"
    assert [line.split()[0] for line in said[1:]] == ["same", "same"]


def test_messages_are_the_same_for_wireshark():
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed: no peer to compare with")
    status, said = run("wireshark", "--count", "40", "--seed", "1")
    assert status == 0 and said[1].startswith("same   Wireshark")


def test_wireshark_tells_a_message_that_is_none():
    tshark = shutil.which("tshark")
    if not tshark:
        pytest.skip("tshark is not installed: no peer to compare with")
    codec = dialects.codec("1987-ascii")
    good = codec.pack("0200", {2: "6222620000000004", 3: "000000", 11: "000002"})
    other = codec.pack("0200", {2: "6222620000000004", 3: "000000", 11: "000003"})
    layers = wireshark.dissected(
        [FRAMING.pack(b"", b"", data) for data in (good, other, good.replace(b"000002", b"0000X2"))], tshark
    )
    assert [layer.get("iso8583.bit11") for layer in layers] == ["000002", "000003", "0000X2"]
    assert ["_ws.expert" in json.dumps(layer) for layer in layers] == [False, False, True]


def test_a_difference_is_told_with_both_values_and_ends_with_status_1(monkeypatch):
    result = Result("a peer")
    assert result.same("F3", "000000", "000000") and not result.wrong
    for number in range(SHOWN + 2):
        assert not result.same("F11", "%06d" % number, "x")
    assert result.line().startswith("DIFFER a peer") and "8 values of   2 kinds" in result.line()
    assert result.details()[0].strip() == "F11: ours '000000', theirs 'x'" and result.details()[-1].strip() == "and 2 more"
    monkeypatch.setitem(interop.PEERS, "mirror", ("tests.tools.test_interop", "itself"))
    status, said = run("mirror", "--count", "3", "--seed", "5")
    assert status == 1 and said[1].startswith("DIFFER mirror") and "theirs 'never'" in said[2]


def compare(chance, count):
    """This module as a peer that never agrees."""
    result = Result("mirror")
    for _ in range(count):
        result.messages += 1
        result.same("F11", "%06d" % chance.randrange(10**6), "never")
    return [result]


def test_a_peer_that_is_absent_is_told_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(wireshark.shutil, "which", lambda name: None)
    status, said = run("wireshark", "--count", "1", "--seed", "1")
    assert status == 1 and said[1] == "absent wireshark: tshark is not installed: sudo apt-get install tshark"
    with pytest.raises(Unavailable):
        wireshark.compare(Random(1), 1)
    monkeypatch.setitem(interop.PEERS, "nobody", ("tools.interop.nobody", "nothing"))
    status, said = run("nobody", "--seed", "1")
    assert status == 1 and said[1].startswith("absent nobody:")


def test_a_wrong_call_has_status_2(capsys):
    assert run("somebody")[0] == 2 and "pyiso8583, wireshark" in capsys.readouterr().err
    assert run("--count", "0")[0] == 2
    assert run("--count", "x")[0] == 2


def test_the_same_seed_makes_the_same_messages():
    for name in dialects.DIALECTS:
        assert messages.fields(Random(3), name) == messages.fields(Random(3), name)


def test_random_messages_reach_every_field():
    chance = Random(9)
    for name in ("unionpay", "1987-ascii"):
        seen = set()
        for _ in range(600):
            seen |= set(messages.fields(chance, name, 20))
        assert seen == set(messages.codings(name))


def test_a_capture_is_one_conversation():
    data = wireshark.capture([b"first", b"second!"])
    assert data[:4] == struct.pack("<I", 0xA1B2C3D4) and len(data) == 24 + 2 * (16 + 40) + 12
    sequences = [struct.unpack(">I", data[at + 24 : at + 28])[0] for at in (24 + 16, 24 + 16 + 45 + 16)]
    assert sequences == [1, 6] and data.endswith(b"second!")
