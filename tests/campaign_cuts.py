"""Cuts the power of everything that a terminal does: `python -m tests.campaign_cuts --count 50`.

At the port level, in virtual time: each kind of transaction, by tap, by chip or typed, answered, refused or not answered, at
every event, commit and message point (`tests/flows/test_cut_rows.py`). `--level port` does this alone.

On real wires, in real time (`--level wire` alone): sales (tapped and by chip), voids and reversals. First the firmware crashes
at each named point (the tests pull the plug there), then plugs are pulled and the firmware crashes at `--count` random
moments, some of them again while it starts. A line a cut.

Exit status 1 when the books of terminal and bank ever differ; the folder of the device is kept then.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from emulator.device import Device
from tests.emulator.cuts import Shop
from tests.flows import test_cut_rows

START_S = (0.2, 1.2)
WALKS = (Shop.sale, Shop.chip, Shop.void)


def at_rows(tell=print) -> "tuple[int, int]":
    """Each kind at every place: how many there were, and how many left something that is wrong."""
    count = wrong = 0
    for name, way, answer in test_cut_rows.every():
        found = test_cut_rows.places(name, way, answer)
        bad = 0
        for place in found:
            differ = test_cut_rows.cut(name, way, answer, place)
            if differ:
                tell("cut of a %s (%s, %r) at %s %d: %s" % (name, way, answer, *place, "; ".join(differ)))
            bad += bool(differ)
        count, wrong = count + len(found), wrong + bad
        tell("%s (%s, %r): %d places: %s" % (name, way, answer, len(found), bad or "books agree"))
    return count, wrong


def at_points(shop: Shop, tell=print) -> "tuple[int, int]":
    """A crash at each named point: how many there were, and how many left books that differ."""
    count = wrong = 0
    for walk in (Shop.sale, Shop.chip, Shop.void, Shop.resolve):
        for place in shop.points(walk):
            reached = shop.cut_at(walk, place, Device.crash)
            differ = shop.recover() if reached else ["the point was not reached"]
            count += 1
            wrong += bool(differ)
            tell("crash of a %-7s at %s, time %d: %s" % (walk.__name__, *place, "; ".join(differ) or "books agree"))
    return count, wrong


def at_random(shop: Shop, count: int, seed: int, tell=print) -> int:
    """Cuts so often: how many left books that differ."""
    chance = Random(seed)
    longest = {walk: shop.seconds(walk) for walk in WALKS}
    wrong = 0
    for number in range(1, count + 1):
        walk, cut = chance.choice(WALKS), chance.choice([Device.plug, Device.crash])
        seconds = chance.random() * longest[walk]
        starts = [chance.uniform(*START_S) for _ in range(chance.choice((0, 0, 0, 1, 2)))]
        inside = shop.cut_after(walk, seconds, cut)
        for after in starts:
            shop.cut_start_after(after, cut)
        differ = shop.recover()
        wrong += bool(differ)
        moment = "%.3f s" % seconds + ("" if inside else " (after its end)")
        moment += "".join(", start %.3f s" % after for after in starts)
        tell("%3d %-5s of a %-4s at %s: %s" % (number, cut.__name__, walk.__name__, moment, "; ".join(differ) or "books agree"))
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="power cuts at named points and random moments")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--level", choices=("port", "wire", "both"), default="both")
    words = parser.parse_args()
    start = time.monotonic()
    cases, wrong = at_rows() if words.level != "wire" else (0, 0)
    took = time.monotonic() - start
    print("%d cuts at the port level, %.0f s: %d left something that is wrong" % (cases, took, wrong))
    if words.level == "port":
        return 1 if wrong else 0
    return max(1 if wrong else 0, on_wires(words))


def on_wires(words: argparse.Namespace) -> int:
    """Those on real wires: the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="kaifu-cuts-"))
    start = time.monotonic()
    shop = Shop(folder)
    try:
        places, wrong = at_points(shop)
        wrong += at_random(shop, words.count, words.seed)
    finally:
        shop.close()
    took = time.monotonic() - start
    print("%d points and %d moments, seed %d, %.0f s: %d with books that differ" % (places, words.count, words.seed, took, wrong))
    if wrong:
        print("kept: %s" % folder)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
