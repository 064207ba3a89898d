"""`ports.Stripe`: the drivers on their emulated readers, in each framing, and the stand-in."""

import os
import pty
import tty

import pytest

from drivers.stripe import SerialStripe
from drivers.stripe_hid import HidStripe
from emulator.chips.stripe import FRAMINGS, StripeChip, keystrokes
from emulator.standins.stripe import StandIn
from firmware.events import CARD_SWIPED, PART, Event
from tests.toys import Inbox, World, of, until

FIRST = b"%B6225880000000000000^A/B^25122010000?"
SECOND = b";6225880000000000000=25122010000?"
BOTH = FIRST + SECOND


class DriverRig:
    def __init__(self, framing):
        self.inbox = Inbox()
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.bench = StripeChip(self.master, framing)
        self.port = SerialStripe(self.inbox.post, {"baud": 9600}, os.ttyname(self.slave))
        self.port.retry_s = (0.02,)
        self.port._swipes.settle_s, self.port._swipes.gap_s = 0.01, 0.02
        self.wait = self.inbox.wait
        self.swipe = self.bench.swipe

    def through(self, text):
        """A swipe that the driver has heard to its end: a pty hands bytes over in its own time."""
        before = self.port.heard
        self.swipe(text)
        until(lambda: self.port.heard >= before + self.size(text))

    def size(self, text):
        return len(text)

    def text(self, event):
        """The tracks of a swipe, whatever stood between them."""
        assert event.value == event.value.strip(b"\x02\x03\r\n")
        return event.value.replace(b"\r", b"").replace(b"\n", b"")

    def seen(self):
        """Everything so far; what was swiped is read before a later swipe is."""
        self.port.activate(99)
        self.swipe(b";1=2?")
        events = []
        while not events or events[-1].ticket != 99:
            events.append(self.wait(lambda event: True))
        self.port.cancel(99)
        return events[:-1]

    def close(self):
        self.port.close()
        os.close(self.master)
        os.close(self.slave)
        assert self.port.fault is None


class Typing(HidStripe):
    """On a pipe, which nobody can grab."""

    def _grab(self, fd):
        pass


class HidRig(DriverRig):
    def __init__(self, folder):
        self.inbox = Inbox()
        path = folder / "event0"
        os.mkfifo(path)
        self.port = Typing(self.inbox.post, {"node": str(path)})
        self.port.retry_s = (0.02,)
        self.port._swipes.settle_s, self.port._swipes.gap_s = 0.01, 0.02
        self.wait = self.inbox.wait
        self.master = os.open(path, os.O_RDWR)

    def swipe(self, text):
        os.write(self.master, keystrokes(text + b"\r"))

    def size(self, text):
        return len(keystrokes(text + b"\r"))

    def close(self):
        self.port.close()
        os.close(self.master)
        assert self.port.fault is None


class StandInRig:
    def __init__(self):
        self.world = World()
        self.port = self.bench = StandIn(self.world)
        self.wait = self.world.wait
        self.swipe = self.bench.swipe

    def through(self, text):
        self.swipe(text)

    def text(self, event):
        return event.value

    def seen(self):
        self.world.run()
        events, self.world.events[:] = list(self.world.events), []
        return events

    def close(self):
        self.port.close()


@pytest.fixture(params=[*FRAMINGS, "hid", "stand-in"])
def rig(request, tmp_path):
    made = StandInRig() if request.param == "stand-in" else HidRig(tmp_path) if request.param == "hid" else None
    rig = made or DriverRig(request.param)
    rig.port.start()
    assert rig.wait(of(0)) == Event(PART, 0, ("stripe", "ready"))
    assert rig.port.state == "ready"
    yield rig
    rig.close()


def test_a_swipe_is_told_once_with_all_its_tracks(rig):
    rig.port.activate(1)
    rig.swipe(BOTH)
    event = rig.wait(of(1))
    assert event.name == CARD_SWIPED and rig.text(event) == BOTH
    rig.port.cancel(1)
    assert rig.seen() == []


def test_every_swipe_is_told_until_cancel(rig):
    rig.port.activate(1)
    for text in (SECOND, b";E?", BOTH):
        rig.swipe(text)
        assert rig.text(rig.wait(of(1))) == text
    rig.port.cancel(1)
    rig.through(SECOND)
    assert rig.seen() == []


def test_what_was_swiped_before_is_not_told(rig):
    rig.through(BOTH)
    rig.port.activate(1)
    rig.swipe(SECOND)
    assert rig.text(rig.wait(of(1))) == SECOND


def test_a_swipe_without_anybody_waiting_is_lost(rig):
    rig.through(BOTH)
    assert rig.seen() == []


def test_a_new_activation_replaces_the_open_one_and_the_old_ticket_cancels_nothing(rig):
    rig.port.activate(1)
    rig.port.activate(2)
    rig.port.cancel(1)
    rig.swipe(SECOND)
    assert rig.wait(lambda event: event.name == CARD_SWIPED).ticket == 2


@pytest.mark.parametrize("size", [1, 512])
def test_a_text_of_any_legal_length_is_told(rig, size):
    rig.port.activate(1)
    rig.swipe(b"1" * size)
    assert rig.wait(of(1)).value == b"1" * size


def test_a_text_that_is_too_long_is_none_and_the_next_swipe_is(rig):
    rig.port.activate(1)
    rig.through(b"1" * 2000)
    rig.port.activate(2)
    rig.swipe(SECOND)
    assert rig.text(rig.wait(of(2))) == SECOND
    rig.port.cancel(2)
    assert rig.seen() == []
