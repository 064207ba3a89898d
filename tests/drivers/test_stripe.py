"""Swipes out of the bytes of any reader, and out of key presses."""

import os
import pty
import random
import tty

import pytest

from drivers.stripe import MOST, SerialStripe, Swipes
from drivers.stripe_hid import EVENT, HidStripe, Typist
from emulator.chips.stripe import StripeChip, framed, keystrokes
from firmware.events import CARD_SWIPED, PART, Event
from tests.toys import Inbox, of, until

FIRST = b"%B6225880000000000000^A/B^25122010000?"
SECOND = b";6225880000000000000=25122010000?"


def test_a_framed_swipe_ends_with_etx():
    swipes = Swipes()
    assert swipes.feed(b"\x02" + FIRST + SECOND + b"\x03") == [FIRST + SECOND]
    assert swipes.pause_s is None


def test_two_framed_swipes_at_once_are_two():
    assert Swipes().feed(framed(FIRST, "stx") + framed(SECOND, "stx")) == [FIRST, SECOND]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_lines_end_with_a_short_pause_and_are_one_swipe(end):
    swipes = Swipes()
    assert swipes.feed(FIRST + end + SECOND + end) == []
    assert swipes.pause_s == swipes.settle_s
    assert swipes.paused() == FIRST + end + SECOND
    assert swipes.pause_s is None


def test_without_any_framing_a_swipe_ends_with_a_longer_pause():
    swipes = Swipes()
    assert swipes.feed(SECOND) == []
    assert swipes.pause_s == swipes.gap_s > swipes.settle_s
    assert swipes.paused() == SECOND


def test_a_frame_whose_end_is_lost_ends_with_the_pause():
    swipes = Swipes()
    assert swipes.feed(b"\x02" + FIRST + b"\r") == []
    assert swipes.pause_s == swipes.gap_s
    assert swipes.paused() == FIRST


def test_a_new_start_drops_what_had_no_end():
    assert Swipes().feed(b"\x02;123" + b"\x02" + SECOND + b"\x03") == [SECOND]


def test_garbage_is_bounded_and_no_swipe():
    swipes = Swipes()
    for _ in range(100):
        assert swipes.feed(b"7" * 100) == []
        assert len(swipes._text) <= MOST + 16
    assert swipes.pause_s == swipes.gap_s
    assert swipes.paused() is None
    assert swipes.feed(b"\x02" + SECOND + b"\x03") == [SECOND]


@pytest.mark.parametrize(("size", "whole"), [(MOST, True), (MOST + 1, False)])
def test_a_swipe_is_no_longer_than_the_port_allows(size, whole):
    swipes = Swipes()
    assert swipes.feed(b"\x02" + b"7" * size + b"\x03") == ([b"7" * size] if whole else [])


@pytest.mark.parametrize("noise", [b"\x00", b"\r\n", b"\x02\x03", b"\x80\xff\x00"])
def test_what_has_no_printable_character_is_no_swipe(noise):
    swipes = Swipes()
    assert swipes.feed(noise) == []
    assert swipes.paused() is None


def test_any_bytes_make_swipes_of_legal_length():
    chance = random.Random(3)
    swipes = Swipes()
    for _ in range(2000):
        found = swipes.feed(chance.randbytes(chance.randrange(300)))
        if chance.randrange(3) == 0:
            found.append(swipes.paused() or b" ")
        assert all(0 < len(swipe) <= MOST for swipe in found)


def test_a_swipe_is_wiped_when_it_is_told():
    swipes = Swipes()
    text = swipes._text
    swipes.feed(b"\x02" + SECOND)
    seen = [bytes(text)]
    swipes.feed(b"\x03")
    assert seen == [SECOND] and not text


# Key presses.


def test_every_character_of_a_stripe_can_be_typed():
    text = bytes(range(0x20, 0x7F)) + b"\r"
    assert Typist().feed(keystrokes(text)) == text


def test_key_events_come_in_any_portions():
    data, typist = keystrokes(FIRST), Typist()
    assert b"".join(typist.feed(data[at : at + 7]) for at in range(0, len(data), 7)) == FIRST


def press(*keys):
    return b"".join(EVENT.pack(0, 0, 1, code, value) for code, value in keys)


def test_held_keys_are_not_repeated_and_caps_lock_turns_letters_only():
    assert Typist().feed(press((30, 1), (30, 2), (30, 2), (30, 0))) == b"a"
    caps = (58, 1), (58, 0)
    assert Typist().feed(press(*caps, (30, 1), (30, 0), (2, 1), (2, 0), *caps, (30, 1))) == b"A1a"
    assert Typist().feed(press(*caps, (42, 1), (30, 1), (30, 0), (2, 1), (42, 0))) == b"a!"


def test_the_number_pad_types_digits_and_unknown_keys_nothing():
    assert Typist().feed(press((79, 1), (82, 1), (96, 1), (700, 1))) == b"10\r"


def test_noise_for_key_events_is_no_error():
    chance, typist = random.Random(4), Typist()
    for _ in range(500):
        typist.feed(chance.randbytes(chance.randrange(100)))


def test_a_device_that_somebody_else_has_is_failed(tmp_path):
    path = tmp_path / "event0"
    os.mkfifo(path)
    holder = os.open(path, os.O_RDWR)
    inbox = Inbox()
    port = HidStripe(inbox.post, {"node": str(path)})  # a pipe cannot be grabbed
    port.retry_s = (0.02,)
    port.start()
    assert inbox.wait(of(0)) == Event(PART, 0, ("stripe", "failed"))
    port.close()
    os.close(holder)
    assert port.fault is None


# The port.


def test_a_port_that_is_pulled_out_is_gone_and_taken_when_it_is_back(tmp_path):
    inbox, path = Inbox(), tmp_path / "stripe"
    port = SerialStripe(inbox.post, {}, str(path))
    port.retry_s = (0.01,)
    port.start()
    assert inbox.wait(of(0)).value == ("stripe", "gone")
    for _ in range(2):
        master, slave = pty.openpty()
        tty.setraw(slave)
        path.symlink_to(os.ttyname(slave))
        assert inbox.wait(of(0)).value == ("stripe", "ready")
        port.activate(1)
        StripeChip(master).swipe(SECOND)
        assert inbox.wait(of(1)) == Event(CARD_SWIPED, 1, SECOND)
        path.unlink()
        os.close(slave)
        os.close(master)
        assert inbox.wait(of(0)).value == ("stripe", "gone")
    port.close()
    assert port.fault is None


def test_the_log_of_the_bench_shows_no_character_of_a_swipe():
    master, slave = pty.openpty()
    tty.setraw(slave)
    told = []
    StripeChip(master, log=lambda kind, text: told.append((kind, text))).swipe(SECOND.decode())
    assert told == [("card", f"swiped, {len(SECOND)} characters")]
    os.close(master)
    os.close(slave)


def test_a_flood_is_read_to_its_end_and_the_next_swipe_is_one():
    master, slave = pty.openpty()
    tty.setraw(slave)
    inbox = Inbox()
    port = SerialStripe(inbox.post, {}, os.ttyname(slave))
    port._swipes.gap_s = 0.03
    port.start()
    inbox.wait(of(0))
    port.activate(1)
    chip = StripeChip(master)
    for _ in range(50):
        chip.send(b"9" * 400)
    until(lambda: port.heard == 20_000)
    chip.swipe(SECOND)
    assert inbox.wait(of(1)) == Event(CARD_SWIPED, 1, SECOND)
    port.close()
    os.close(master)
    os.close(slave)
