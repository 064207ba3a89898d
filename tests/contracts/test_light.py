"""`firmware.ports.Light`: the driver on its lamps, and the stand-in."""

import pytest

from drivers import light
from drivers.light import Lamps
from emulator.standins.light import StandIn
from tests.toys import World, until
from tests.wired import Wired

LIT = {"off": "....", "ready": "*...", "reading": "**..", "done": "****", "error": "...*"}


class DriverRig:
    def __init__(self, folder, **part):
        self.wired = Wired(folder)
        self.changes = []
        self.lamps = self.wired.lamps(on_change=lambda levels: self.changes.append(text(levels)), **part)
        self.port = Lamps(None, {**self.wired.board.parts["light"], **part}, self.wired.near.gpio())
        self.port.start()

    def lit(self):
        return text(self.lamps.levels)

    def blinks(self):
        """Sees it lit, dark and lit again."""
        until(lambda: self.changes[-3:] == ["*...", "....", "*..."])

    def close(self):
        self.port.close()
        assert self.lit() == "...."
        self.wired.close()


class StandInRig:
    def __init__(self, folder):
        self.world = World()
        self.port = StandIn(self.world)

    def lit(self):
        return text(self.port.levels)

    def blinks(self):
        seen = []
        for ms in (100, 2000, light.BLINK_PERIOD_MS + 50 - 2100):
            self.world.later(ms, lambda: seen.append(self.lit()))
            self.world.run()
        assert seen == ["*...", "....", "*..."]

    def close(self):
        pass


def text(levels):
    return "".join("*" if lit else "." for lit in levels)


@pytest.fixture(params=[DriverRig, StandInRig], ids=["driver", "stand-in"])
def rig(request, tmp_path):
    rig = request.param(tmp_path)
    yield rig
    rig.close()


def test_it_begins_dark(rig):
    assert rig.lit() == "...."


@pytest.mark.parametrize(("name", "lit"), LIT.items())
def test_each_pattern_is_lit_at_once(rig, name, lit):
    rig.port.show("done" if name != "done" else "off")
    rig.port.show(name)
    assert rig.lit() == lit


def test_idle_blinks_with_the_first_lamp(rig, monkeypatch):
    if isinstance(rig, DriverRig):
        # The same blinking, faster than anybody waits for.
        monkeypatch.setattr(light, "BLINK_ON_MS", 15)
        monkeypatch.setattr(light, "BLINK_PERIOD_MS", 40)
    rig.port.show("idle")
    assert rig.lit() == "*..."
    rig.blinks()
    rig.port.show("ready")
    assert rig.lit() == "*..."


def test_a_pattern_that_does_not_blink_stays(rig):
    rig.port.show("idle")
    rig.port.show("reading")
    assert rig.lit() == "**.."
    rig.port.show("reading")
    assert rig.lit() == "**.."


def test_a_name_that_is_no_pattern_is_a_mistake(rig):
    with pytest.raises(ValueError, match="no pattern"):
        rig.port.show("disco")


def test_lamps_lit_by_a_low_level_show_the_same(tmp_path):
    rig = DriverRig(tmp_path, active_low=True)
    for name, lit in LIT.items():
        rig.port.show(name)
        assert rig.lit() == lit
    rig.close()
