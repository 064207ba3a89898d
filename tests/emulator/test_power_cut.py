"""The firmware is killed in the middle of a sale and of a void, on real wires. The books agree each time.

Every named point that a sale or a void passes is found by one walk that records them, so no list goes stale; each
occurrence counts. Afterwards the device is switched on, nobody logs in, and it must put its books in order itself.
"""

import sys
from pathlib import Path
from random import Random

import pytest

from emulator.device import Device
from tests.emulator.cuts import SALE_FEN, Shop

# Money moves between these: a walk that does not pass them all is none.
MUST_PASS = ["link:connect", "commit:begin:transactions", "commit:done:transactions", "link:send", "link:sent", "link:receive"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """One shop for all cuts: what was cut before is part of the case."""
    made = Shop(tmp_path_factory.mktemp("shop"))
    yield made
    made.close()


@pytest.mark.parametrize("walk", [Shop.sale, Shop.void])
def test_the_books_agree_whichever_point_the_firmware_is_killed_at(shop, walk, subtests):
    places = shop.points(walk)
    assert shop.differ() == []
    for point in MUST_PASS:
        assert (point, 1) in places
    assert ("commit:done:transactions", 3) in places  # sent, approved, printed
    for place in places:
        with subtests.test(msg="%s, time %d" % place):
            assert shop.cut_at(walk, place), "the walk came to its end"
            assert shop.recover() == []


def test_the_books_agree_whichever_point_of_the_reversal_the_firmware_is_killed_at(shop, subtests):
    places = shop.points(Shop.resolve)
    assert ("link:sent", 1) in places and ("commit:done:transactions", 2) in places  # reversing, reversed
    for place in places:
        with subtests.test(msg="%s, time %d" % place):
            assert shop.cut_at(Shop.resolve, place), "the start came to its end"
            assert shop.recover() == []


def test_the_books_agree_at_random_moments_of_pulled_plugs_and_crashes(shop, subtests):
    chance = Random(20)
    walks = (Shop.sale, Shop.chip, Shop.void)
    longest = {walk: shop.seconds(walk) for walk in walks}
    for number in range(12):
        walk, cut = chance.choice(walks), chance.choice([Device.plug, Device.crash])
        seconds = chance.random() * longest[walk]
        with subtests.test(msg="%d: %s of a %s after %.3f s" % (number, cut.__name__, walk.__name__, seconds)):
            shop.cut_after(walk, seconds, cut)
            if chance.random() < 0.3:
                shop.cut_start_after(chance.uniform(0.2, 1.0), cut)
            assert shop.recover() == []


def test_the_device_sells_as_before_after_all_that(shop):
    standing = shop.bank.approved(SALE_FEN)
    shop.open()
    shop.sale()
    assert shop.bank.approved(SALE_FEN) == standing + 1
    assert shop.differ() == []


def test_firmware_that_writes_after_it_has_sent_is_caught_by_a_cut(tmp_path):
    careless = [sys.executable, str(Path(__file__).with_name("careless_firmware.py")), "afterwards"]
    shop = Shop(tmp_path, command=[*careless, "--board", "emulator", "--data", str(tmp_path / "terminal")])
    try:
        assert shop.cut_at(Shop.sale, ("link:receive", 1))
        assert any(line.startswith("what stands") for line in shop.recover())
    finally:
        shop.close()
