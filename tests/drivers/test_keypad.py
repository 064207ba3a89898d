"""What is the matrix driver's own: bounce, ghosts, current, latency and rest."""

import random

import pytest

from drivers.gpio_page import PageGpio, net
from drivers.keypad import REST_S, STABLE, MatrixKeypad, Presses, ghosted
from emulator.chips import gpio as gpio_chips
from firmware.events import KEY, PART, Event
from tests.toys import DEADLINE_S, Inbox
from tests.wired import Wired


@pytest.fixture
def wired(tmp_path):
    wired = Wired(tmp_path)
    yield wired
    wired.close()


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def keypad(wired, inbox):
    keypad = MatrixKeypad(inbox.post, wired.board.parts["keypad"], wired.near.gpio())
    keypad.start()
    yield keypad
    keypad.close()


def scan(*keys):
    return frozenset(keys)


def physical(held):
    """What a scan of a 4x4 matrix without diodes shows when these keys are down."""
    closed = [sum(1 << column for at, column in held if at == row) for row in range(4)]
    return frozenset((row, column) for column in range(4) for row in range(4) if net(4, closed, column) >> row & 1)


def test_three_scans_in_a_row_make_a_press():
    presses = Presses()
    assert [presses.feed(scan((1, 2))) for _ in range(STABLE + 1)] == [[], [], [(1, 2)], []]
    assert presses.down == {(1, 2)}


def test_a_scan_that_disagrees_begins_the_count_anew():
    presses = Presses()
    for seen in (scan((1, 2)), scan((1, 2)), scan(), scan((1, 2)), scan((1, 2))):
        assert presses.feed(seen) == []
    assert not presses.settled
    assert presses.feed(scan((1, 2))) == [(1, 2)]
    assert presses.settled


def test_a_chattering_release_is_not_a_new_press():
    presses = Presses()
    for _ in range(STABLE):
        presses.feed(scan((1, 2)))
    for seen in (scan(), scan((1, 2)), scan(), scan(), scan((1, 2)), scan(), scan(), scan()):
        assert presses.feed(seen) == []
    assert presses.down == frozenset()


def test_two_rows_that_share_two_columns_are_a_ghost():
    assert not ghosted(scan((0, 0), (0, 1), (1, 1), (2, 3)))
    assert ghosted(scan((0, 0), (0, 1), (1, 0), (1, 1)))
    assert ghosted(scan((0, 0), (0, 3), (2, 0), (2, 1), (2, 3)))


def test_no_key_is_ever_made_up_whatever_fingers_do():
    chance = random.Random(4)
    everything = [(row, column) for row in range(4) for column in range(4)]
    for _ in range(200):
        presses = Presses()
        held = set()
        touched = set()
        for _ in range(60):
            if chance.random() < 0.4:
                held ^= {chance.choice(everything)}
            touched |= held
            made_up = set(presses.feed(physical(held))) - touched
            assert not made_up


def test_a_bouncing_key_is_one_press(wired, keypad, inbox):
    keys = wired.keys()
    keys.bounce_ms = 12
    for _ in range(5):
        assert keys.strike("8")
    assert inbox.rest() == [Event(KEY, 0, "8")] * 5


def test_two_keys_of_one_column_never_join_two_outputs(wired, keypad, inbox):
    keys = wired.keys()
    for name in ("1", "4", "7"):
        keys.press(name)
        inbox.wait(lambda event: event.name == KEY)
    keys.release_all()
    assert wired.far.gpio.wait_seen(DEADLINE_S)
    assert wired.far.gpio.shorts == 0


class CountingGpio(PageGpio):
    """Counts how often it is asked."""

    def __init__(self, folder):
        super().__init__(folder)
        self.setmode(self.BCM)
        self.inputs = 0
        self.waits = []

    def input(self, pin):
        self.inputs += 1
        return super().input(pin)

    def wait_change(self, timeout_s):
        self.waits.append(timeout_s)
        return super().wait_change(timeout_s)


@pytest.mark.parametrize("held", [False, True], ids=["no-key-down", "a-key-held"])
def test_at_rest_the_pins_are_read_only_when_the_wires_say_so(wired, inbox, held):
    gpio = CountingGpio(wired.far.folder)
    keypad = MatrixKeypad(inbox.post, wired.board.parts["keypad"], gpio)
    keypad.start()
    keys = wired.keys()
    if held:
        keys.press("5")
    else:
        keys.strike("5")
    assert wired.far.gpio.wait_seen(DEADLINE_S)
    inputs = gpio.inputs
    for _ in range(3):
        wired.far.gpio.drive(26, 1)
        assert wired.far.gpio.wait_seen(DEADLINE_S)
    assert set(gpio.waits) == {REST_S}
    # One probe of four columns for each wake, or one scan of sixteen crossings.
    assert gpio.inputs - inputs == 3 * (16 if held else 4)
    keypad.close()
    gpio.close()


def test_gpio_that_fails_is_told_once(wired, inbox):
    class BrokenGpio(PageGpio):
        def input(self, pin):
            raise OSError(5, "the chip is gone")

    gpio = BrokenGpio(wired.far.folder)
    gpio.setmode(gpio.BCM)
    keypad = MatrixKeypad(inbox.post, wired.board.parts["keypad"], gpio)
    keypad.start()
    inbox.wait(lambda event: event == Event(PART, 0, ("keypad", "failed")))
    keypad.close()
    assert inbox.rest() == []
    gpio.close()


def test_a_key_struck_at_a_device_that_is_off_is_seen_by_nobody(wired, monkeypatch):
    monkeypatch.setattr(gpio_chips, "PATIENCE_S", 0.02)
    assert not wired.keys().strike("1")
    assert wired.keys().held == set()


def test_a_firmware_that_died_asleep_does_not_look_awake(wired, keypad):
    assert wired.far.gpio.wait_seen(DEADLINE_S)
    wired.far.process_ended()
    assert not wired.far.gpio.wait_seen(0)


def test_nothing_is_posted_after_close(wired, keypad, inbox):
    keypad.close()
    wired.keys().press("1")
    assert inbox.rest() == []
    keypad.close()
