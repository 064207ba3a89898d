"""One row a figure: ours, the peer's, the ratio, what is wanted, and whether it is reached."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One measured figure.

    ours, peer    in `unit`; peer None where there is nobody to compare with
    most, least   what `ours` may be, or, with a peer, what the ratio may be; None: no target
    faster        whether the ratio says how many times faster we are (peer / ours) instead of how much larger (ours / peer)
    note          how it was measured, in a few words
    """

    name: str
    ours: float
    unit: str
    peer: float | None = None
    most: float | None = None
    least: float | None = None
    faster: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        if self.peer is None:
            return None
        above, below = (self.peer, self.ours) if self.faster else (self.ours, self.peer)
        return above / below if below else math.inf

    @property
    def reached(self) -> bool | None:
        """None where nothing is asked for."""
        if self.most is None and self.least is None:
            return None
        value = self.ours if self.ratio is None else self.ratio
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)


def number(value: float | None) -> str:
    """Three figures that matter, thousands with commas."""
    if value is None:
        return ""
    if abs(value) >= 100 or value == int(value):
        return "{:,d}".format(round(value))
    return "%.3g" % value


def target(row: Row) -> str:
    times = "x" if row.peer is not None else ""
    words = []
    if row.least is not None:
        words.append("≥ %s%s" % (number(row.least), times))
    if row.most is not None:
        words.append("≤ %s%s" % (number(row.most), times))
    return ", ".join(words)


HEAD = ("what", "ours", "peer's", "ratio", "wanted", "", "how")


def cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else number(row.ratio) + "x"
    peer = "" if row.peer is None else "%s %s" % (number(row.peer), row.unit)
    mark = {None: "", True: "ok", False: "MISSED"}[row.reached]
    return (row.name, ("%s %s" % (number(row.ours), row.unit)).strip(), peer.strip(), ratio, target(row), mark, row.note)


def lines(rows: list[Row]) -> list[str]:
    """The table, columns as wide as they need to be."""
    grid = [HEAD, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in grid) for column in range(len(HEAD))]
    right = {1, 2, 3}

    def joined(line: tuple[str, ...]) -> str:
        places = enumerate(zip(line, widths, strict=True))
        return "  ".join(text.rjust(width) if place in right else text.ljust(width) for place, (text, width) in places).rstrip()

    return [joined(HEAD), "  ".join("-" * width for width in widths), *(joined(cells(row)) for row in rows)]


def say(text: str) -> None:
    """What is being measured now, on stderr, so that the table can be kept."""
    print(text, file=sys.stderr, flush=True)


def best_of(function: Callable[[], object], clock: Callable[[], float], times: int, rounds: int = 15) -> float:
    """Seconds that one call takes: the best round of `rounds`, each of `times` calls. The least is the least disturbed."""
    best = math.inf
    for _ in range(rounds):
        start = clock()
        for _ in range(times):
            function()
        best = min(best, clock() - start)
    return best / times


def percentile(values: list[float], percent: float) -> float:
    """Nearest rank: the smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def median(values: list[float]) -> float:
    return percentile(values, 50)
