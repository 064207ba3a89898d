"""Frames in a stream: any split, any merge, any nonsense."""

import json
import random
from pathlib import Path

import pytest

from firmware.iso8583 import frame
from firmware.iso8583.frame import Deframer, FrameError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
TPDU, HEADER = bytes.fromhex("6000030000"), bytes.fromhex("603100310000")
BODY = bytes.fromhex("0820" + "0000000000C00010") + b"12345678" + b"898310012345678" + bytes.fromhex("0011000000023010")


def drain(deframer):
    out = []
    while True:
        got = deframer.next()
        if got is None:
            return out
        out.append(got)


def test_a_frame_comes_back_as_it_was():
    deframer = Deframer()
    deframer.feed(frame.pack(TPDU, HEADER, BODY))
    assert drain(deframer) == [(TPDU, HEADER, BODY)]
    deframer.finish()


def test_a_link_without_headers_has_frames_too():
    deframer = Deframer(header_size=0)
    deframer.feed(frame.pack(TPDU, b"", BODY))
    assert drain(deframer) == [(TPDU, b"", BODY)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_any_split_gives_the_same_frames(size):
    stream = b"".join(frame.pack(TPDU, HEADER, BODY + bytes(count)) for count in range(6))
    deframer = Deframer()
    got = []
    for begin in range(0, len(stream), size):
        deframer.feed(stream[begin : begin + size])
        got += drain(deframer)
    deframer.finish()
    assert [len(one.body) - len(BODY) for one in got] == [0, 1, 2, 3, 4, 5]


def test_merged_frames_are_all_there():
    deframer = Deframer()
    deframer.feed(frame.pack(TPDU, HEADER, BODY) * 9)
    assert len(drain(deframer)) == 9


@pytest.mark.parametrize("data", ["0000", "0005 6000030000", "0014" + "00" * 20, "FFFF", "1001"])
def test_a_length_that_cannot_be_right_ends_the_stream(data):
    deframer = Deframer()
    deframer.feed(bytes.fromhex(data))
    with pytest.raises(FrameError):
        deframer.next()
    for again in (deframer.next, deframer.finish, lambda: deframer.feed(b"\x00")):
        with pytest.raises(FrameError):
            again()


def test_the_place_of_a_bad_frame_is_told():
    good = frame.pack(TPDU, HEADER, BODY)
    deframer = Deframer()
    deframer.feed(good + b"\x00\x00")
    assert deframer.next() is not None
    with pytest.raises(FrameError) as caught:
        deframer.next()
    assert caught.value.position == len(good)


def test_a_stream_that_ends_in_a_frame_says_so():
    deframer = Deframer()
    deframer.feed(frame.pack(TPDU, HEADER, BODY)[:-1])
    assert deframer.next() is None
    with pytest.raises(FrameError):
        deframer.finish()


def test_a_length_copied_from_the_request_waits_for_bytes_that_never_come():
    path = SHARED / "vectors" / "host" / "upmsg.json"
    if not path.exists():
        pytest.skip("no ../shared beside this clone: its vectors are not run")
    (vector,) = [one for one in json.loads(path.read_text())["vectors"] if one["id"] == "cup_sale_0210_jiso"]
    deframer = Deframer()
    deframer.feed(bytes.fromhex(vector["hex"]))
    assert deframer.next() is None
    with pytest.raises(FrameError):
        deframer.finish()


def test_frames_of_deployed_systems_are_cut_as_published():
    path = SHARED / "vectors" / "host" / "upmsg.json"
    if not path.exists():
        pytest.skip("no ../shared beside this clone: its vectors are not run")
    checked = 0
    for vector in json.loads(path.read_text())["vectors"]:
        expect = vector.get("expect", {})
        if not vector["has_length_prefix"] or not expect.get("length_matches"):
            continue
        deframer = Deframer(vector["header_bytes"])
        deframer.feed(bytes.fromhex(vector["hex"]))
        got = deframer.next()
        assert (got.tpdu.hex().upper(), got.header.hex().upper()) == (expect["tpdu"], expect["header"]), vector["id"]
        assert frame.pack(got.tpdu, got.header, got.body) == bytes.fromhex(vector["hex"])
        if "header" in expect.get("sub", {}):
            digit = int(expect["sub"]["header"]["processing_requirement"])
            assert frame.requirement(got.header) == frame.REQUIREMENTS[digit]
        checked += 1
    assert checked > 40


def test_what_the_host_wants_next_is_in_the_header():
    assert frame.requirement(HEADER) == "none"
    assert frame.requirement(frame.require(HEADER, 3)) == "sign-on"
    assert frame.require(HEADER, 3).hex() == "603103310000"
    assert frame.requirement(b"") == "none"
    assert frame.requirement(bytes.fromhex("60310F310000")) == "none"


def test_a_reply_has_the_addresses_swapped():
    assert frame.answering(bytes.fromhex("6000030001")).hex() == "6000010003"


@pytest.mark.parametrize("tpdu, header, body", [(b"1234", HEADER, BODY), (TPDU, b"12345", BODY), (TPDU, HEADER, b"123456789"),
                                                (TPDU, HEADER, bytes(4090))])  # fmt: skip
def test_what_is_no_frame_is_not_packed(tpdu, header, body):
    with pytest.raises(FrameError):
        frame.pack(tpdu, header, body)


def test_bytes_that_nobody_asked_for_do_not_fill_the_memory():
    deframer = Deframer(limit=100)
    with pytest.raises(FrameError):
        for _ in range(1000):
            deframer.feed(bytes(100))


def test_whatever_comes_the_only_error_is_the_named_one():
    chance = random.Random(11)
    good = frame.pack(TPDU, HEADER, BODY)
    for _ in range(2000):
        deframer = Deframer(chance.choice((0, 6)))
        stream = bytearray(good * 3)
        for _ in range(chance.randrange(4)):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        total = 0
        try:
            while stream:
                size = chance.randrange(1, 60)
                deframer.feed(bytes(stream[:size]))
                stream = stream[size:]
                total += sum(len(one.body) for one in drain(deframer))
            deframer.finish()
        except FrameError:
            pass
        assert total <= 3 * len(good)
