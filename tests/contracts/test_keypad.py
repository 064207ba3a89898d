"""`firmware.ports.Keypad`: the driver on its matrix, and the stand-in."""

import pytest

from drivers.keypad import MatrixKeypad
from emulator.standins.keypad import StandIn
from firmware.events import KEY, KEYS, Event
from tests.toys import DEADLINE_S, Inbox, World
from tests.wired import Wired


class DriverRig:
    def __init__(self, folder):
        self.wired = Wired(folder)
        self.matrix = self.wired.keys()
        self.inbox = Inbox()
        self.port = MatrixKeypad(self.inbox.post, self.wired.board.parts["keypad"], self.wired.near.gpio())
        self.port.start()

    def press(self, *names):
        for name in names:
            self.matrix.press(name)
        self.rest()

    def release(self, *names):
        for name in names:
            self.matrix.release(name)
        self.rest()

    def rest(self):
        """The driver has taken in how the keys lie now."""
        assert self.wired.far.gpio.wait_seen(DEADLINE_S)

    def posted(self):
        return self.inbox.rest()

    def close(self):
        self.port.close()
        self.wired.close()


class StandInRig:
    def __init__(self, folder):
        self.world = World()
        self.port = StandIn(self.world)

    def press(self, *names):
        for name in names:
            self.port.press(name)
        self.world.run()

    def release(self, *names):
        for name in names:
            self.port.release(name)
        self.world.run()

    def posted(self):
        events, self.world.events = self.world.events, []
        return events

    def close(self):
        pass


@pytest.fixture(params=[DriverRig, StandInRig], ids=["driver", "stand-in"])
def rig(request, tmp_path):
    rig = request.param(tmp_path)
    yield rig
    rig.close()


def keys(*names):
    return [Event(KEY, 0, name) for name in names]


def test_each_key_is_posted_once_a_press(rig):
    for name in KEYS:
        rig.press(name)
        rig.release(name)
    assert rig.posted() == keys(*KEYS)


def test_a_held_key_is_not_repeated_and_its_release_not_posted(rig):
    rig.press("5")
    rig.press()
    assert rig.posted() == keys("5")
    rig.release("5")
    assert rig.posted() == []


def test_a_second_key_counts_while_the_first_is_down(rig):
    rig.press("1")
    rig.press("6")
    rig.release("1")
    rig.press("ENTER")
    rig.release("6", "ENTER")
    assert rig.posted() == keys("1", "6", "ENTER")


def test_a_borrowed_keypad_tells_its_taker_and_nobody_else(rig):
    taken = []
    rig.port.borrow(taken.append)
    rig.press("1")
    rig.release("1")
    rig.port.give_back()
    rig.press("2")
    assert taken == ["1"]
    assert rig.posted() == keys("2")


def test_keys_pressed_together_do_not_count_for_a_secret(rig):
    taken = []
    rig.port.borrow(taken.append)
    rig.press("1", "6")
    rig.release("1", "6")
    assert taken == []


def test_a_key_pressed_while_another_is_down_does_not_count_for_a_secret(rig):
    taken = []
    rig.port.borrow(taken.append)
    rig.press("1")
    rig.press("6")
    rig.release("1")
    rig.release("6")
    rig.press("6")
    assert taken == ["1", "6"]


def test_a_taker_may_give_the_keypad_back_itself(rig):
    taken = []

    def take(name):
        taken.append(name)
        rig.port.give_back()

    rig.port.borrow(take)
    for name in ("ENTER", "1"):
        rig.press(name)
        rig.release(name)
    assert taken == ["ENTER"]
    assert rig.posted() == keys("1")


def test_a_key_that_cannot_be_told_from_a_ghost_waits_until_it_can(rig):
    rig.press("1")
    rig.press("2")
    assert rig.posted() == keys("1", "2")
    # Current finds its way to 5 as well: neither it nor 4 can be taken in.
    rig.press("4")
    assert rig.posted() == []
    rig.release("2")
    assert rig.posted() == keys("4")


def test_words_are_typed_as_keys_by_the_stand_in():
    world = World()
    StandIn(world).type("01 ENTER 12. DOWN")
    world.run()
    assert world.events == keys("0", "1", "ENTER", "1", "2", "00", "DOWN")
