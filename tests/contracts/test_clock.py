import time

import pytest

from drivers.clock import SystemClock
from emulator.standins.clock import StandIn
from tests.toys import World


def _pass_on_the_system(clock):
    end = clock.ticks_ms() + 3
    while clock.ticks_ms() < end:
        pass


@pytest.fixture(params=["driver", "stand-in"])
def rig(request):
    """(clock, pass): pass(clock) lets at least 3 ms go by."""
    if request.param == "driver":
        return SystemClock(None, {}), _pass_on_the_system
    world = World()

    def pass_in_the_world(clock):
        world.later(3, lambda: None)
        world.run()

    return StandIn(world, utc_s=int(time.time())), pass_in_the_world


def test_ticks_are_whole_milliseconds_that_go_on(rig):
    clock, let_pass = rig
    before = clock.ticks_ms()
    let_pass(clock)
    assert isinstance(before, int)
    assert before >= 0
    assert clock.ticks_ms() >= before + 3


def test_wall_time_is_whole_seconds_since_1970(rig):
    clock, _ = rig
    assert isinstance(clock.utc_s(), int)
    assert abs(clock.utc_s() - time.time()) < 60


def test_a_jump_of_the_stand_in_moves_the_wall_clock_and_not_the_ticks():
    world = World()
    clock = StandIn(world, utc_s=1_000_000)
    clock.jump(-86_400_000)
    assert (clock.ticks_ms(), clock.utc_s()) == (0, 913_600)
    world.later(2_500, lambda: None)
    world.run()
    assert (clock.ticks_ms(), clock.utc_s()) == (2_500, 913_602)
    clock.set_utc(42)
    assert clock.utc_s() == 42
    clock.power_on_ms = world.now_ms()
    assert clock.ticks_ms() == 0
