"""The serial frames of a CCID reader: taken apart from any bytes, and asked for again when they are damaged."""

import os
import random

import pytest

from drivers import ccid_wire
from drivers.ccid_wire import Dropped, Frames, Garbled, Wire, WireError, frame, message
from emulator.cards.iso7816 import ContactCard
from emulator.chips.ccid import CcidChip
from tests.toys import until

ANSWER = bytes.fromhex("80 02000000 00 07 00 00 00 9000")
SOUND = bytes(frame(ANSWER))


def test_a_frame_is_start_message_and_xor():
    assert frame(message(0x65, 9, bytes(3), b"")).hex() == "0306650000000000090000" + "0069"
    assert message(0x6F, 1, b"\x02\x00\x00", bytes(300))[:10].hex() == "6f2c01000000010200" + "00"


WHOLE = {
    "an answer": (SOUND, [("message", ANSWER)]),
    "two answers": (SOUND * 2, [("message", ANSWER)] * 2),
    "a NAK": (bytes.fromhex("031516"), [("nak", None)]),
    "a card comes and goes": (bytes.fromhex("50035002"), [("moved", True), ("moved", False)]),
    "the card takes its time": (bytes.fromhex("80ff"), [("alive", None)] * 2),
    "noise before": (b"\x00\x11\x50\x03\x03\x00" + SOUND, [("moved", True), ("message", ANSWER)]),
    "a wrong check byte": (SOUND[:-1] + b"\x00" + SOUND, [("damaged", None), ("message", ANSWER)]),
    "a length that cannot be": (SOUND[:3] + b"\xff\xff\xff\xff" + bytes(9), [("damaged", None)]),
}


@pytest.mark.parametrize(("data", "things"), WHOLE.values(), ids=WHOLE.keys())
def test_bytes_are_taken_apart_in_any_portions(data, things):
    assert Frames().feed(data) == things
    if things != [("damaged", None)]:
        single = Frames()
        assert [thing for byte in data for thing in single.feed(bytes((byte,)))] == things


def test_a_frame_that_stops_is_damaged_after_the_pause():
    frames = Frames()
    assert frames.feed(SOUND[:-1]) == [] and frames.begun
    assert frames.stalled() == [("damaged", None)]
    assert not frames.begun and frames.stalled() == []


def test_a_movement_in_the_middle_of_a_frame_damages_it_and_nothing_more():
    frames = Frames()
    things = frames.feed(SOUND[:9] + b"\x50\x02" + SOUND[9:])
    assert ("message", ANSWER) not in things
    things += frames.stalled()
    assert ("damaged", None) in things
    assert frames.feed(SOUND) == [("message", ANSWER)]


def test_any_bytes_are_taken_apart_and_little_is_kept():
    chance = random.Random(6)
    frames = Frames()
    for _ in range(3000):
        frames.feed(chance.choice((b"\x03\x06", b"\x50", SOUND, b"")) + chance.randbytes(chance.randrange(20)))
        assert len(frames._buffer) <= 2 + ccid_wire.HEAD + ccid_wire.LARGEST + 1


@pytest.fixture(params=["sec1210", "gempc-twin"])
def line(request):
    chip = CcidChip.on_pty(request.param)
    bell = os.eventfd(0, os.EFD_NONBLOCK)
    dropped = []
    wire = Wire(chip.path, 115200, bell, lambda: bool(dropped))
    yield chip, wire, bell, dropped
    wire.close()
    chip.close()
    os.close(bell)


def test_a_command_has_its_answer_whether_the_reader_echoes_or_not(line):
    chip, wire, _, _ = line
    reply = wire.command(ccid_wire.STATUS)
    assert (reply.kind, reply.failed, reply.card) == (0x81, False, ccid_wire.ABSENT)
    chip.insert(ContactCard(lambda command: b"\x90\x00"))
    assert wire.command(ccid_wire.STATUS).card == ccid_wire.INACTIVE
    assert wire.command(ccid_wire.POWER_ON, three=b"\x01\x00\x00").data.hex() == "3b650000300102aabb"
    assert wire.command(ccid_wire.STATUS).card == ccid_wire.ACTIVE


def test_a_command_that_was_not_understood_is_said_again(line):
    chip, wire, _, _ = line
    chip.naks = 2
    assert wire.command(ccid_wire.STATUS).card == ccid_wire.ABSENT
    assert chip.commands == [0x65]
    chip.naks = 3
    with pytest.raises(WireError):
        wire.command(ccid_wire.STATUS)


@pytest.mark.parametrize("fault", ["wrong_lrc", "split"])
def test_a_damaged_answer_is_asked_for_again_and_the_command_is_not(line, fault):
    chip, wire, _, _ = line
    setattr(chip, fault, 1)
    assert wire.command(ccid_wire.STATUS, within_s=2.0).card == ccid_wire.ABSENT
    assert chip.commands == [0x65]
    chip.mangle = lambda data: data[:-1] + bytes((data[-1] ^ 1,))
    with pytest.raises(Garbled):
        wire.command(ccid_wire.STATUS, within_s=2.0)


def test_a_silent_reader_is_an_error_in_time(line):
    chip, wire, _, _ = line
    chip.lose_answer = 1
    with pytest.raises(WireError) as caught:
        wire.command(ccid_wire.POWER_ON, within_s=0.03)
    assert not caught.value.gone
    assert wire.command(ccid_wire.STATUS).card == ccid_wire.ABSENT


def test_junk_between_frames_is_passed_over(line):
    chip, wire, _, _ = line
    chip.junk = b"\x00\x07\x03\x50\x03"
    assert wire.command(ccid_wire.STATUS).card == ccid_wire.ABSENT


def test_time_extensions_keep_the_wait_alive(line):
    chip, wire, _, _ = line
    chip.insert(ContactCard(lambda command: b"\x90\x00"))
    wire.command(ccid_wire.POWER_ON, three=b"\x01\x00\x00")
    chip.extensions, chip.late_s, chip.extension_s = 3, 0.2, 0.02
    assert wire.command(ccid_wire.TRANSFER, bytes(5), within_s=0.1).data == b"\x90\x00"


def test_a_wait_is_cut_short_and_the_late_answer_belongs_to_nobody(line):
    chip, wire, bell, dropped = line
    chip.insert(ContactCard(lambda command: b"\x90\x00"))
    wire.command(ccid_wire.POWER_ON, three=b"\x01\x00\x00")
    chip.late_s = 0.1
    dropped.append(True)
    os.eventfd_write(bell, 1)
    with pytest.raises(Dropped):
        wire.command(ccid_wire.TRANSFER, bytes(5), within_s=3.0, cut=True)
    dropped.clear()
    assert wire.command(ccid_wire.STATUS).kind == 0x81


def test_movements_are_heard_while_it_rests_and_while_it_waits(line):
    chip, wire, _, _ = line
    wire.command(ccid_wire.ESCAPE, b"\x01\x01\x01")
    chip.insert(lambda command: b"")
    wire.rest(2.0)
    assert wire.moved and wire.pulled == 0
    chip.pull()
    wire.moved = False
    until(lambda: wire.command(ccid_wire.STATUS).card == ccid_wire.ABSENT and wire.pulled == 1)


def test_what_was_sent_is_wiped(line, monkeypatch):
    chip, wire, _, _ = line
    kept = []
    make = ccid_wire.frame
    monkeypatch.setattr(ccid_wire, "frame", lambda inside: kept.append(inside) or kept.append(make(inside)) or kept[-1])
    wire.command(ccid_wire.ESCAPE, b"\x12\x34")
    assert [len(one) > 10 and not any(one) for one in kept] == [True, True]


def test_a_port_that_is_not_there_says_so():
    with pytest.raises(WireError) as caught:
        Wire("/dev/does-not-exist", 115200, 0, lambda: False)
    assert caught.value.gone
