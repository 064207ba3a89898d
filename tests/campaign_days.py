"""Random days of a shop, with every kind of transaction and everything that goes wrong: `python -m tests.campaign_days`.

A day is a seed: a monkey (`tests/flows/monkey.py`) types so many keys, taps, inserts and swipes cards, settles, downloads; paper,
disk, readers, line and power fail round it. In the evening everything is mended, the power goes once more, and terminal and bank
must have the same to the fen. A line a day; exit status 1 when a day went wrong, and its seed is a test case.
"""

import argparse
import sys
import time
from collections import Counter

from tests.flows.monkey import Monkey


def day(seed: int, keys: int, kinds: Counter) -> "list[str]":
    """One day: what is wrong in the evening, in words; [] for nothing. kinds: what was done is added."""
    monkey = Monkey(seed)
    try:
        monkey.work(keys)
        found = monkey.leave()
    except Exception as fault:  # noqa: BLE001 a defect of any kind is what it is looking for
        return ["%s: %s" % (type(fault).__name__, fault)]
    world = monkey.world
    kinds.update("%s %s" % (record["kind"], record["phase"]) for record in world.terminal.ledger.newest(100_000))
    if not world.books_agree():
        found.append("the books do not agree")
    if world.state != "Login":
        found.append("the evening ends at " + world.state)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="random days with every kind of transaction")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keys", type=int, default=4_000)
    words = parser.parse_args()
    start, kinds, wrong = time.monotonic(), Counter(), 0
    for seed in range(words.seed, words.seed + words.count):
        found = day(seed, words.keys, kinds)
        wrong += bool(found)
        print("day %d: %s" % (seed, "; ".join(found) or "books agree"), flush=True)
    for what, count in sorted(kinds.items()):
        print("%6d %s" % (count, what))
    took = time.monotonic() - start
    print("%d days of %d keys, %.0f s: %d went wrong" % (words.count, words.keys, took, wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
