"""Readers of chips and stripes that mean harm: each request is answered, soon and once; what is kept of their noise is little."""

import os
import pty
import random
import tracemalloc
import tty

import pytest

from drivers import ccid_wire
from drivers.ccid_wire import Frames
from drivers.ccid_wire import frame as framed_message
from drivers.stripe import MOST, SerialStripe, Swipes
from drivers.stripe_hid import EVENT, HidStripe, Typist
from emulator.cards.iso7816 import ContactCard
from emulator.chips.ccid import CcidChip
from emulator.chips.stripe import StripeChip, framed, keystrokes
from firmware.events import CARD_FOUND, CARD_LOST, CARD_PROBLEM, CARD_REPLY, CARD_SWIPED, Event
from tests.drivers.test_chip import FCI, READ, Bench
from tests.toys import Inbox, of, until

SWIPE = b";6225880000000000000=25122010000?"
POWER_ON, TRANSFER = 0x62, 0x6F


def head(kind, number, status=0, error=0, size=0):
    return bytes((kind,)) + size.to_bytes(4, "little") + bytes((0, number, status, error, 0))


def extended(number, times):
    return framed_message(head(0x80, number, 0x80, times))


# what a hostile reader says in place of the answer to a command: (number of the command) -> bytes
LIES = {
    "nothing": lambda number: b"",
    "a length of four gigabytes": lambda number: b"\x03\x06" + head(0x80, number, size=0xFFFFFFFF) + b"\x00" * 40,
    "a length that never comes": lambda number: b"\x03\x06" + head(0x80, number, size=290) + b"\x00" * 9,
    "answers to other numbers": lambda number: b"".join(
        framed_message(head(0x80, (number + at) & 0xFF, size=2) + b"\x90\x00") for at in range(1, 256)
    ),
    "its own command": lambda number: framed_message(head(TRANSFER, number)),
    "always say it again": lambda number: b"\x03\x15\x16" * 5,
    "damage": lambda number: b"\x03\x06" + head(0x80, number) + b"\x55",
    "movements": lambda number: b"\x50\x02\x50\x03" * 500,
    "signs of life": lambda number: b"\xff" * 4000,
    "the longest extension": lambda number: bytes(extended(number, 255)),
    "an extension a byte too short": lambda number: b"\x03\x06" + head(0x80, number, 0x80, 255),
    "an answer without a status word": lambda number: framed_message(head(0x80, number, size=1) + b"\x90"),
    "noise": lambda number: random.Random(number).randbytes(700),
}


class HostileChip(CcidChip):
    """Tells the truth of its slot, and lies about what the card says. lie: of LIES, or None; about: the command it lies to."""

    lie, about = None, TRANSFER

    def _answer(self, kind, number, failed, error, data, after_s):
        if self.lie and self.commands[-1] == self.about:
            self._say(self.lie(number), 0)
        else:
            super()._answer(kind, number, failed, error, data, after_s)


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(ccid_wire, "LONGEST_S", 0.15)
    monkeypatch.setattr(ccid_wire, "SETTLE_S", 0.05)
    monkeypatch.setattr(ccid_wire, "GAP_S", 0.02)
    monkeypatch.setattr("tests.drivers.test_chip.CcidChip", HostileChip)
    made = Bench()
    made.driver.answer_s = 0.05
    yield made
    made.close()


def again(bench):
    """The reader has come to its senses: the next card is read. What it said too late may spoil a try."""
    bench.chip.lie = None
    bench.driver.answer_s = 0.5
    for _ in range(10):
        until(lambda: bench.driver.state == "ready")
        if bench.insert(ContactCard(lambda command: FCI, "T=0")).name == CARD_FOUND and bench.say().value == FCI:
            return True
    return False


@pytest.mark.parametrize("lie", LIES)
def test_whatever_the_reader_says_to_a_command_it_is_answered_once_and_soon(bench, lie):
    assert bench.insert(lambda command: FCI).name == CARD_FOUND
    bench.chip.lie = LIES[lie]
    event = bench.say(READ)
    assert event.name == CARD_LOST and event.value in ("protocol", "reader-gone", "removed"), event
    assert again(bench)


@pytest.mark.parametrize("lie", LIES)
def test_whatever_the_reader_says_to_a_reset_the_card_is_no_card(bench, lie):
    bench.chip.about, bench.chip.lie = POWER_ON, LIES[lie]
    event = bench.insert(lambda command: FCI)
    assert event.name == CARD_PROBLEM and event.value in ("unreadable", "reader-gone"), event
    assert again(bench)


def test_time_asked_for_without_end_is_given_for_a_minute_in_all(bench):
    assert ccid_wire.LONGEST_S == 0.15, "a minute of this bench"
    bench.insert(lambda command: FCI)
    bench.chip.extensions = 0
    bench.chip.lie = lambda number: bytes(extended(number, 1)) * 2000
    assert bench.say(READ) == Event(CARD_LOST, 2, "reader-gone")
    assert again(bench)


def test_any_answer_to_reset_is_a_card_or_none():
    chance = random.Random(11)
    bench = Bench()
    for number in range(120):
        atr = bytes((chance.choice((0x3B, 0x3F)),)) + chance.randbytes(chance.choice((0, 1, 4, 12, 32, 33, 200)))
        bench.chip.insert(ContactCard(lambda command: FCI, "T=0", atr=atr))
        bench.driver.activate(1000 + number)
        assert bench.wait(of(1000 + number)).name in (CARD_FOUND, CARD_PROBLEM)
        bench.chip.pull()
    bench.close()


def test_a_card_that_asks_for_time_without_end_is_lost(bench):
    done = []
    card = ContactCard(lambda command: done.append(command) or FCI, "T=1", wtx=1_000_000)
    bench.driver.answer_s = 0.5
    assert bench.insert(card).name == CARD_FOUND
    assert bench.say(READ) == Event(CARD_LOST, 2, "protocol")
    assert done == [], "it had asked for time before it did anything"


@pytest.mark.parametrize("size, name", [(60_000, CARD_REPLY), (65_536, CARD_REPLY), (70_000, CARD_LOST)])
def test_a_chained_answer_has_an_end(bench, size, name):
    bench.driver.answer_s = 0.5
    bench.insert(ContactCard(lambda command: bytes(size) + b"\x90\x00", "T=1"))
    event = bench.say(READ)
    assert event.name == name and (name == CARD_LOST or len(event.value) == size + 2)


def test_an_answer_in_single_bytes_has_an_end(bench):
    bench.driver.answer_s = 0.5
    bench.insert(ContactCard(lambda command: bytes(5000) + b"\x90\x00", "T=1", part=1))
    assert bench.say(READ) == Event(CARD_LOST, 2, "protocol")


def test_more_is_waiting_without_end_is_no_answer(bench):
    bench.driver.answer_s = 0.5
    for number, answer in enumerate((b"\x61\xff", b"\x6c\xff", b"\x62\x00"), 1):
        card = ContactCard(lambda command: FCI, "T=0")
        card._header = lambda tpdu, answer=answer: answer
        assert bench.insert(card).name == CARD_FOUND
        event = bench.say(bytes.fromhex("00A40400023F0000"))
        assert event.name == CARD_LOST or event.value == answer, number


def test_frames_keep_little_of_what_has_no_end():
    chance = random.Random(5)
    for noise in (b"\x03\x06" + bytes(8), b"\x50", b"\x03", b"\x03\x06\x80\x2c\x01" + b"\xff" * 7, b"\x03\x15"):
        frames = Frames()
        for _ in range(2000):
            frames.feed(noise * chance.randrange(1, 5))
            assert len(frames._buffer) < 2 + 10 + 300 + 1
    frames = Frames()
    for _ in range(2000):
        for what, value in frames.feed(chance.randbytes(200) if chance.random() < 0.5 else b"\x03\x06\x80"):
            assert what in ("message", "nak", "moved", "alive", "damaged") and (what == "message") == isinstance(value, bytes)


# Stripes


def test_a_start_without_an_end_is_forgotten_and_the_next_swipe_is_one():
    swipes = Swipes()
    tracemalloc.start()
    for _ in range(500):
        assert swipes.feed(b"\x02" + b"5" * 4000) == []
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()
    assert swipes.paused() is None
    assert swipes.feed(b"\x02\x02\x02" + SWIPE + b"\x03") == [SWIPE]
    assert swipes.feed(b"\x03" * 1000) == []


@pytest.mark.parametrize("noise", [bytes(range(0x80, 0x100)) * 4, b"\x00" * 512, b"\r\n" * 256, b"\x03" * 600, b"%" * 513])
def test_what_is_no_text_is_no_swipe(noise):
    swipes = Swipes()
    assert swipes.feed(noise) == [] and swipes.paused() is None


@pytest.fixture
def line():
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def poured(master, data):
    """Writes it all, as fast as it is read."""
    while data:
        try:
            data = data[os.write(master, data) :]
        except BlockingIOError:
            os.sched_yield()


def test_thousands_of_swipes_are_told_one_by_one_and_to_nobody_who_did_not_ask(line):
    master, path = line
    inbox = Inbox()
    port = SerialStripe(inbox.post, {}, path)
    port.start()
    inbox.wait(of(0))
    port.activate(7)
    poured(master, framed(SWIPE, "stx") * 3000)
    assert all(inbox.wait(of(7)) == Event(CARD_SWIPED, 7, SWIPE) for _ in range(3000))
    port.cancel(7)
    before = port.heard
    poured(master, framed(SWIPE, "stx") * 3000)
    while port.heard < before + 3000 * (len(SWIPE) + 2):
        os.sched_yield()
    port.activate(8)
    StripeChip(master).swipe(SWIPE)
    assert inbox.wait(lambda event: event.name == CARD_SWIPED) == Event(CARD_SWIPED, 8, SWIPE)
    port.close()
    assert inbox.rest() == [] and port.fault is None


# Key presses


class Ungrabbed(HidStripe):
    """On a pipe, which nobody can grab."""

    def _grab(self, fd):
        pass


def events(*rows):
    return b"".join(EVENT.pack(0, 0, *row) for row in rows)


HOSTILE_EVENTS = {
    "keys of no keyboard": events(*((1, code, 1) for code in range(65536))),
    "kinds of no event": events(*((kind, 30, 1) for kind in range(0, 65536, 7) if kind != 1)),
    "values of no press": events(*((1, 30, value) for value in (-1, -(2**31), 2**31 - 1, 2, 3))),
    "a shift that is never let go": events((1, 42, 1), (1, 54, 1), (1, 42, 2)) * 500,
    "a finger on a key": events(*((1, 30, 2) for _ in range(5000))),
}


@pytest.mark.parametrize("name", HOSTILE_EVENTS)
def test_hostile_events_type_little_and_the_next_swipe_is_read(name, tmp_path):
    path = tmp_path / "event0"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    inbox = Inbox()
    port = Ungrabbed(inbox.post, {"node": str(path)})
    port._swipes.gap_s = 0.05
    port.start()
    inbox.wait(of(0))
    port.activate(1)
    poured(writer, HOSTILE_EVENTS[name])
    poured(writer, events((1, 42, 0), (1, 54, 0), (1, 28, 1), (1, 28, 0)))
    port.activate(2)  # what was typed before is gone by then
    text = b"\r" + SWIPE + b"\r"
    poured(writer, keystrokes(text))
    event = inbox.wait(of(2))
    assert event.name == CARD_SWIPED and len(event.value) <= MOST
    if event.value != SWIPE:  # the noise had not all been read: the next one is as clean as a person's second try
        port.activate(3)
        poured(writer, keystrokes(text))
        assert inbox.wait(of(3)).value == SWIPE
    port.close()
    os.close(writer)
    assert port.fault is None


def test_a_typist_keeps_no_more_than_half_an_event():
    chance, typist = random.Random(6), Typist()
    for _ in range(3000):
        typist.feed(chance.randbytes(chance.randrange(60)))
        assert len(typist._rest) < EVENT.size and typist._down <= {42, 54}
