"""Frames in a stream: any split, any merge, any nonsense."""

import json
import random
from pathlib import Path

import pytest

from firmware.iso8583 import frame
from firmware.iso8583.frame import FRAME_LIMIT, Deframer, FrameError, Framing, framing

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


# ---- links that look otherwise

KINDS = [
    Framing(), Framing(header_size=0), Framing(tpdu_size=0, header_size=0), Framing("ascii"), Framing("packed", 5, 0),
    Framing("ascii", 0, 0, counts_itself=True), Framing("binary", counts_itself=True),
]  # fmt: skip


def frame_of(kind, body=BODY):
    return kind.pack(TPDU[: kind.tpdu_size], HEADER[: kind.header_size], body)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3, 50, 500])
def test_frames_of_every_kind_of_link_come_back_however_they_are_split(kind, size):
    stream = b"".join(frame_of(kind, BODY + bytes(count)) for count in range(5))
    deframer = kind.deframer()
    got = []
    for begin in range(0, len(stream), size):
        deframer.feed(stream[begin : begin + size])
        got += drain(deframer)
    deframer.finish()
    assert got == [(TPDU[: kind.tpdu_size], HEADER[: kind.header_size], BODY + bytes(count)) for count in range(5)]


def test_the_length_is_written_as_the_link_has_it():
    size = len(BODY)
    assert frame_of(Framing("ascii", 0, 0)) == b"%04d" % size + BODY
    assert frame_of(Framing("packed", 0, 0)) == bytes.fromhex("%04d" % size) + BODY
    assert frame_of(Framing("binary", 0, 0, counts_itself=True)) == bytes((0, size + 2)) + BODY
    assert frame_of(Framing("none", 5, 0)) == TPDU + BODY
    assert frame_of(Framing()) == frame.pack(TPDU, HEADER, BODY)


def test_one_whole_frame_is_unpacked_and_nothing_else_is():
    for kind in [*KINDS, Framing("none", 5, 6)]:
        whole = frame_of(kind)
        assert kind.unpack(whole) == (TPDU[: kind.tpdu_size], HEADER[: kind.header_size], BODY)
        if kind.length != "none":
            for wrong in (whole[:-1], whole + b"0", b"", whole[:1]):
                with pytest.raises(FrameError):
                    kind.unpack(wrong)
        with pytest.raises(FrameError):
            kind.unpack(b"")


@pytest.mark.parametrize("data", [b"00x4", b"00 4" + bytes(20), b"9999", b"0009", b"-001"])
def test_a_length_in_characters_that_cannot_be_right_ends_the_stream(data):
    deframer = Framing("ascii", 0, 0).deframer()
    deframer.feed(data)
    with pytest.raises(FrameError):
        deframer.next()


def test_a_packed_length_that_is_no_number_ends_the_stream():
    deframer = Framing("packed").deframer()
    deframer.feed(b"\x0a\x00")
    with pytest.raises(FrameError):
        deframer.next()


def test_a_host_may_answer_with_the_addresses_as_they_came():
    assert Framing().answering(b"\x60\x00\x03\x00\x01") == b"\x60\x00\x01\x00\x03"
    assert Framing(swaps=False).answering(b"\x60\x00\x03\x00\x01") == b"\x60\x00\x03\x00\x01"


def test_a_link_of_another_shape_is_refused():
    for wrong in (lambda: Framing("roman"), lambda: Framing(tpdu_size=4), lambda: Framing(header_size=5)):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(ValueError):
        Framing("none").deframer()
    with pytest.raises(FrameError):
        Framing(header_size=0).pack(TPDU, HEADER, BODY)


def test_a_link_is_data():
    made = framing({"length": "ascii", "tpdu": False, "header": False, "counts_itself": True, "swaps": False})
    assert (made.length, made.tpdu_size, made.header_size, made.own, made.swaps) == ("ascii", 0, 0, 4, False)
    assert framing({"header": False}).tpdu_size == 5
    assert framing({}, Framing("packed")).length == "packed"


def test_a_message_that_never_ends_takes_bounded_memory():
    """Bytes that drip for ever behind the longest length, and lengths that promise more than may come."""
    for kind in KINDS:
        deframer = kind.deframer()
        deframer.feed(frame_of(kind)[: kind.length_size])
        fed = 0
        with pytest.raises(FrameError):
            while fed < 100 * FRAME_LIMIT:
                deframer.feed(bytes(64))
                fed += 64
        assert fed <= 9 * FRAME_LIMIT


def test_bytes_that_drip_one_by_one_make_the_same_frame():
    deframer = Deframer()
    for byte in frame.pack(TPDU, HEADER, BODY):
        assert deframer.next() is None
        deframer.feed(bytes([byte]))
    assert drain(deframer) == [(TPDU, HEADER, BODY)]
