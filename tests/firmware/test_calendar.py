"""Civil time from a clock that may be wrong."""

import datetime
import random

import pytest

from firmware import calendar


class Clock:
    def __init__(self, utc_s):
        self.now = utc_s

    def utc_s(self):
        return self.now


def test_dates_are_those_of_the_standard_library():
    chance = random.Random(7)
    for _ in range(2000):
        s = chance.randrange(0, 4_102_444_800)
        theirs = datetime.datetime.fromtimestamp(s, datetime.timezone.utc)
        assert calendar.date(s) == tuple(theirs.timetuple()[:6])
        assert calendar.seconds(calendar.date(s)) == s


@pytest.mark.parametrize(
    "board, mmdd, hhmmss, expected",
    [
        ((2026, 11, 20, 10, 0, 0), "1120", "101112", (2026, 11, 20, 10, 11, 12)),
        ((2026, 12, 31, 23, 59, 50), "0101", "000010", (2027, 1, 1, 0, 0, 10)),
        ((2027, 1, 1, 0, 0, 10), "1231", "235950", (2026, 12, 31, 23, 59, 50)),
        ((2026, 3, 1, 0, 0, 0), "1120", "101112", (2025, 11, 20, 10, 11, 12)),
    ],
)
def test_the_year_of_a_host_is_the_nearest(board, mmdd, hhmmss, expected):
    clock = Clock(calendar.seconds(board) - 8 * 3600)
    it = calendar.Calendar(clock, 480)
    it.set_by_host(mmdd, hhmmss)
    assert it.now() == expected and it.trusted


NO_DATES = (
    ("", ""), ("1320", "101112"), ("1120", "256161"), ("11a0", "101112"), ("0000", "000000"),
    ("0230", "101112"), ("0431", "101112"),
)  # fmt: skip


@pytest.mark.parametrize("mmdd, hhmmss", NO_DATES)
def test_what_is_no_date_is_refused_and_changes_nothing(mmdd, hhmmss):
    it = calendar.Calendar(Clock(1_790_000_000), 480)
    before = it.now()
    with pytest.raises(ValueError):
        it.set_by_host(mmdd, hhmmss)
    assert it.now() == before and not it.trusted


def test_a_clock_behind_the_last_transaction_is_not_trusted_and_time_does_not_run_backwards():
    clock = Clock(1_000_000)
    it = calendar.Calendar(clock, 480)
    it.restore(0, True, 1_790_000_000)
    assert not it.trusted and it.now_s() == 1_790_000_000


def test_setting_the_boards_clock_does_not_move_ours():
    clock = Clock(1_790_000_000)
    it = calendar.Calendar(clock, 480)
    it.set_by_host("0921", "222640")
    before = it.now_s()
    clock.now += 86_400
    it.jumped(86_400_000)
    assert it.now_s() == before and not it.trusted
