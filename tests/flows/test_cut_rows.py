"""The power goes in the middle of each kind of transaction: before any event, at any commit, at any point of any message.

A case is a kind, what the bank does to it, and the place of the cut. Afterwards the device is switched on and left alone:
nothing is open, nothing is owed, and terminal and bank have the same to the fen. The tests here take a sample of the cases;
`make campaign-cuts` takes them all.
"""

from collections import Counter
from random import Random

import pytest

from tests.flows.scenarios import SWIPE, Shop
from tests.flows.test_cut import AGAIN, RESOLVED_MS, Till
from tests.flows.test_rows import ROWS, finish, go_on
from tests.flows.test_transactions import EVERYTHING

STEP, BEFORE, AFTER = "step", "before commit", "after commit"
POINTS = ("link:connect", "link:send", "link:sent", "link:receive")
ANSWERS = ("", "next on %s silence", "next 4 on %s silence", "next on %s decline 57", "next on %s cut-before")
SAMPLE = 2  # of each way in which a place is named
CARDS = {name: row.ways[0] for name, row in ROWS.items()}
CHIP = {name: "insert" for name, row in ROWS.items() if "insert" in row.ways}  # the chip has its word after the bank's
WALKS = [(name, way) for name, way in [*CARDS.items(), *CHIP.items()]]


class Desk(Till, Shop):
    """A till that has every kind, and notes what is reached."""

    def __init__(self):
        super().__init__(parameters={**EVERYTHING, **AGAIN})
        self.reached = Counter()
        self.pull_at = None
        self.link.reach = self._reach

    def _reach(self, point):
        self.reached[point] += 1
        if (point, self.reached[point]) == self.pull_at:
            self.pull_at = None
            self.later(0, self._go)

    def _go(self):
        self.plug()
        self.cut = True

    def again(self):
        self.pull_at = None
        self.pull()
        super().again()


def ready(name, way):
    """At the menu, with what the kind needs, everything quiet."""
    desk = Desk()
    desk.log_in()
    desk.run(3_000)
    row = ROWS[name]
    desk.first = row.needs(desk, SWIPE if way == SWIPE else "tap") if row.needs else {}
    desk.run(5_000)
    desk.reached.clear()
    return desk


def walk(desk, name, way, answer):
    """The whole transaction, and until nothing is left to be told."""
    if answer:
        desk.rules.add(answer % name)
    ROWS[name].reach(desk)
    go_on(desk, way)
    finish(desk)
    desk.run(RESOLVED_MS)


def places(name, way, answer):
    """Every place of the walk at which the power may go: (how it is named, which)."""
    desk = ready(name, way)
    commits = desk.store.commits
    desk.arm()
    walk(desk, name, way, answer)
    assert desk.differ() == []
    found = [(STEP, step) for step in range(desk.steps)]
    found += [(when, number) for when in (BEFORE, AFTER) for number in range(1, desk.store.commits - commits + 1)]
    return found + [(point, number) for point in POINTS for number in range(1, desk.reached[point] + 1)]


def cut(name, way, answer, place):
    """The walk with the power going there, and coming back: what is wrong afterwards, in words; [] for nothing."""
    how, number = place
    desk = ready(name, way)
    if how == STEP:
        desk.arm(number)
    elif how in (BEFORE, AFTER):
        desk.store.fuse(number, how == AFTER)
    else:
        desk.pull_at = place
    try:
        walk(desk, name, way, answer)
    except AssertionError:  # Lost, or stuck on a page that is dark
        if not desk.cut:
            raise
    if not desk.cut:
        return ["the power did not go"]
    desk.again()
    found = desk.differ()
    if desk.terminal.ledger.notices():
        found.append("notices are left")
    if desk.machine.stopped or desk.terminal.ledger.open() != desk.terminal.ledger.to_print():
        found.append("something is left to do")
    return found


def sample(name, way, answer, count):
    """Some of the places, the same ones each time: of each way of naming them, and of every message point and commit at least
    as many as of the events."""
    chance = Random(name + way + answer)
    by_name = {}
    for place in places(name, way, answer):
        by_name.setdefault(place[0], []).append(place)
    return [place for kind in by_name.values() for place in chance.sample(kind, min(count, len(kind)))]


def every():
    """Every case there is: (name, way, answer)."""
    return [(name, way, answer) for name, way in WALKS for answer in ANSWERS]


@pytest.mark.parametrize(("name", "way"), CARDS.items(), ids=lambda word: str(word))
def test_the_books_agree_wherever_the_power_goes_in_each_kind(name, way):
    answer = Random(name).choice(ANSWERS[1:3])
    for each in ("", answer):
        for place in sample(name, way, each, SAMPLE):
            assert cut(name, way, each, place) == [], (each, place)


@pytest.mark.parametrize(("name", "way"), CHIP.items(), ids=lambda word: str(word))
def test_the_books_agree_wherever_the_power_goes_while_the_chip_is_in_the_slot(name, way):
    for place in sample(name, way, "", 1):
        assert cut(name, way, "", place) == [], place
