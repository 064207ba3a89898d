import pytest

from tests.flows.counter import Counter


@pytest.fixture
def counter():
    """A shop with the power on and clerk 01 logged in."""
    world = Counter()
    world.log_in()
    return world
