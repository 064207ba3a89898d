"""`firmware.ports.Sound`: the driver on its buzzer, and the stand-in."""

import pytest

from drivers.sound import TONES, PwmBuzzer
from emulator.standins.sound import StandIn
from tests.toys import World, until
from tests.wired import Wired


class DriverRig:
    def __init__(self, folder):
        self.wired = Wired(folder)
        self.notes = []
        self.buzzer = self.wired.buzzer(on_change=lambda on, hz: self.notes.append(hz))
        self.port = PwmBuzzer(None, self.wired.board.parts["sound"], self.wired.near.gpio())
        self.port.start()

    def begun(self, name):
        first = TONES[name][0][0]
        until(lambda: first in self.notes)

    def silent(self):
        until(lambda: self.notes and self.notes[-1] == 0 and self.port._playing is None)

    def close(self):
        self.port.close()
        assert self.buzzer.hz == 0
        self.wired.close()


class StandInRig:
    def __init__(self, folder):
        self.world = World()
        self.port = StandIn(self.world)

    def begun(self, name):
        assert self.port.playing == name

    def silent(self):
        self.world.later(2000, lambda: None)
        self.world.run()
        assert self.port.playing is None

    def close(self):
        pass


@pytest.fixture(params=[DriverRig, StandInRig], ids=["driver", "stand-in"])
def rig(request, tmp_path):
    rig = request.param(tmp_path)
    yield rig
    rig.close()


@pytest.mark.parametrize("name", ["key", "ok", "alert", "error", "card"])
def test_each_tone_begins_and_can_be_cut_short(rig, name):
    assert rig.port.play(name) is None
    rig.begun(name)


def test_a_tone_ends_by_itself(rig):
    rig.port.play("key")
    rig.begun("key")
    rig.silent()


def test_the_newest_tone_ends_the_one_before(rig):
    rig.port.play("error")
    rig.begun("error")
    rig.port.play("card")
    rig.begun("card")


def test_a_key_does_not_click_into_another_tone(rig):
    rig.port.play("error")
    rig.port.play("key")
    rig.begun("error")
    rig.port.play("key")
    rig.port.play("card")
    rig.begun("card")
    if isinstance(rig, DriverRig):
        assert TONES["key"][0][0] not in rig.notes
    else:
        assert rig.port.played["key"] == 0


def test_a_name_that_is_no_tone_is_a_mistake(rig):
    with pytest.raises(ValueError, match="no tone"):
        rig.port.play("fanfare")


def test_the_notes_come_in_order(tmp_path):
    rig = DriverRig(tmp_path)
    rig.port.play("ok")
    rig.silent()
    assert [hz for hz in rig.notes if hz] == [1500, 2000]
    rig.close()


def test_a_tone_asked_for_before_the_start_is_played_then(tmp_path):
    wired = Wired(tmp_path)
    buzzer = wired.buzzer()
    port = PwmBuzzer(None, wired.board.parts["sound"], wired.near.gpio())
    port.play("card")
    port.start()
    until(lambda: buzzer.hz == 1500)
    port.close()
    assert buzzer.hz == 0
    wired.close()
