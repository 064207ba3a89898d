"""What the host has asked for: kept, done in its order, tried so often, and never lost by a cut or a damaged row."""

import pytest

from emulator.standins.store import StandIn
from firmware import chores
from firmware.chores import Chores
from firmware.iso8583 import frame
from firmware.ports import StoreFull


class Clock:
    now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return StandIn()


def test_every_digit_of_the_header_is_a_chore_a_note_or_the_sessions():
    names = set(frame.REQUIREMENTS.values()) - {"none", "sign-on"}
    assert names == set(chores.DOWNLOADS) | set(chores.NOTED)


def test_what_is_asked_for_survives_a_restart_and_is_done_in_its_order(store, clock):
    first = Chores(store, clock)
    for name in ("card-keys", "parameters", "program", "sign-on", "none", "card-keys"):
        first.required(name)
    again = Chores(store, clock)
    assert again.due == ["parameters", "card-keys"] and again.noted == ["program"] and again.next() == "parameters"


def test_the_same_again_is_not_written_again(store, clock):
    kept = Chores(store, clock)
    kept.required("parameters")
    commits = store.commits
    kept.required("parameters")
    kept.required("sign-on")
    assert store.commits == commits


def test_a_chore_is_tried_three_times_a_power_on_with_a_pause_between(store, clock):
    kept = Chores(store, clock)
    kept.required("blacklist")
    for _ in range(chores.MOST_TRIES):
        assert kept.next() == "blacklist" and not kept.given_up()
        kept.ended("blacklist", False)
        assert kept.next() == ""
        clock.now += chores.RETRY_MS
    assert kept.next() == "" and kept.given_up()
    clock.now += 100 * chores.AGAIN_MS
    assert kept.next() == ""
    assert Chores(store, clock).next() == "blacklist"


def test_after_a_success_the_same_waits_an_hour(store, clock):
    kept = Chores(store, clock)
    kept.required("parameters")
    kept.take(kept.done("parameters"))
    kept.ended("parameters", True)
    assert kept.loaded("parameters") and kept.due == []
    kept.required("parameters")
    assert kept.due == ["parameters"] and kept.next() == "" and not kept.given_up()
    clock.now += chores.AGAIN_MS
    assert kept.next() == "parameters"


def test_what_is_being_done_is_not_asked_for_anew_by_its_own_replies(store, clock):
    kept = Chores(store, clock)
    kept.doing = "parameters"
    kept.required("parameters")
    kept.required("card-keys")
    assert kept.due == ["card-keys"]


def test_a_store_that_refuses_is_said_and_the_chore_is_done_all_the_same(store, clock):
    kept = Chores(store, clock)
    store.full = True
    with pytest.raises(StoreFull):
        kept.required("parameters")
    said = []
    chores.required(kept, "card-keys", said.append)
    assert kept.due == ["parameters", "card-keys"] and len(said) == 1


@pytest.mark.parametrize("damage", [b"x", b"\xff\xfe", b"[]", b'{"due": 1, "sizes": {}, "pending": []}', b"[" * 5000])
def test_a_damaged_row_is_an_empty_one(store, clock, damage):
    store.commit([(chores.TABLE, chores.KEY, damage, None)])
    kept = Chores(store, clock)
    assert kept.due == [] and kept.sizes == [] and kept.pending == {} and kept.next() == ""
    kept.required("parameters")
    assert Chores(store, clock).due == ["parameters"]


def test_lengths_that_no_card_number_has_are_not_asked_for(store, clock):
    kept = Chores(store, clock)
    kept.take({"sizes": [6, 0, 1, -1, 20, "8", 19]})
    assert kept.sizes == [6, 1, 19]


def test_the_numbers_of_the_status_begin_anew_when_it_was_told(store, clock):
    kept = Chores(store, clock)
    for answered in (True, False, True):
        kept.counted(answered)
    assert (kept.asked, kept.answered) == (3, 2)
    clock.now = 5
    kept.told_status()
    assert (kept.asked, kept.answered, kept.since_ms) == (0, 0, 5)


def test_a_note_is_taken_off_by_who_has_seen_it(store, clock):
    kept = Chores(store, clock)
    kept.required("program")
    kept.required("currency-rates")
    kept.forget_note("program")
    assert Chores(store, clock).noted == ["currency-rates"]
