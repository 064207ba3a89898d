"""Whole transactions with cards that lie, by the thousand: `python -m tests.campaign_fuzz --count 20000`.

    --first N       the first seed, 1 if not said          --kind NAME    only this kind, whatever the seeds draw
    --seed N        one seed alone, with its traceback

Prints how often each end came, and each seed that did not end as it must, so that it can be repeated alone; exit status 1 when
there is one.
"""

import argparse
import sys
import time
import traceback
from collections import Counter

from tests import fuzz

EVERY = 2_000  # transactions between two words on how far it is


def failure(seed: int, kind: str) -> str:
    """What is wrong with a seed, in a line, after `run` has raised; "" when nothing is."""
    try:
        fuzz.run(seed, kind)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = str(error).splitlines()[0][:80] if str(error) else ""
        return "%s %s, %s:%d" % (type(error).__name__, words, place.filename.rpartition("/")[2], place.lineno)
    return ""


def campaign(seeds: range, kind: str, tell=print) -> "tuple[Counter[tuple[str, str]], dict[int, str]]":
    """({(kind, end): times}, {seed: what is wrong})."""
    ends: Counter[tuple[str, str]] = Counter()
    wrong: dict[int, str] = {}
    for done, seed in enumerate(seeds, 1):
        try:
            ends[fuzz.run(seed, kind)] += 1
        except Exception:
            wrong[seed] = failure(seed, kind) or "failed once, and not when repeated"
            tell("seed %d: %s" % (seed, wrong[seed]))
        if done % EVERY == 0:
            tell("%d of %d, %d wrong" % (done, len(seeds), len(wrong)))
    return ends, wrong


def table(ends: "Counter[tuple[str, str]]") -> "list[str]":
    """A line a kind: how many, and how they ended, the most frequent first."""
    lines = []
    for kind in fuzz.KINDS:
        found = Counter({end: times for (name, end), times in ends.items() if name == kind})
        if kind == "terminal":  # three sales each: their ends one by one
            found = Counter()
            for (name, end), times in ends.items():
                for sale in end.split(", ") if name == kind else ():
                    found[sale] += times
        if found:
            count = sum(times for (name, _), times in ends.items() if name == kind)
            lines.append("%-10s %6d  %s" % (kind, count, ", ".join("%s %d" % row for row in found.most_common())))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description="whole transactions with cards that lie")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kind", choices=tuple(fuzz.KINDS), default="")
    words = parser.parse_args()
    if words.seed is not None:
        print("%s: %s" % fuzz.run(words.seed, words.kind))
        return 0
    start = time.monotonic()
    ends, wrong = campaign(range(words.first, words.first + words.count), words.kind)
    print("\n".join(table(ends)))
    print("%d transactions from seed %d, %.0f s: %d wrong" % (words.count, words.first, time.monotonic() - start, len(wrong)))
    for seed in wrong:
        print("  again: python -m tests.campaign_fuzz --seed %d%s" % (seed, " --kind " + words.kind if words.kind else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
