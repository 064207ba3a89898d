import pytest

from drivers.random import SystemRandom
from emulator.standins.random import StandIn
from tests.toys import World


@pytest.fixture(params=["driver", "stand-in"])
def port(request):
    return SystemRandom(None, {}) if request.param == "driver" else StandIn(World())


@pytest.mark.parametrize("n", [0, 1, 8, 16, 4096])
def test_as_many_bytes_come_as_were_asked_for(port, n):
    data = port.random(n)
    assert type(data) is bytes
    assert len(data) == n


def test_the_bytes_differ_each_time_and_use_all_values(port):
    assert port.random(16) != port.random(16)
    assert len(set(port.random(20_000))) == 256


def test_a_negative_number_is_the_callers_mistake(port):
    with pytest.raises(ValueError):
        port.random(-1)


def test_the_stand_in_repeats_itself_for_the_same_seed():
    assert StandIn(World(7)).random(32) == StandIn(World(7)).random(32) != StandIn(World(8)).random(32)
