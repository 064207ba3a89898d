"""The text messages that are kept: so many, newest first, and seen once."""

import pytest

from emulator.standins.store import StandIn
from firmware import sms
from firmware.sms import Messages

STAMP = "20261120103400"


@pytest.fixture
def store():
    return StandIn()


def test_the_newest_messages_are_kept_and_shown_first(store):
    kept = Messages(store)
    for number in range(sms.LIMIT + 3):
        kept.keep("10010", STAMP, "%d" % number)
    again = Messages(store)
    assert [one["text"] for one in again.newest()] == ["%d" % number for number in range(sms.LIMIT + 2, 2, -1)]
    assert again.newest()[0] == {"from": "10010", "at": STAMP, "text": "%d" % (sms.LIMIT + 2)}
    assert again.unread() == len(store.range("sms")) == sms.LIMIT


def test_a_message_is_new_until_all_have_been_shown(store):
    kept = Messages(store)
    assert kept.unread() == 0
    kept.keep("a", STAMP, "1")
    kept.keep("b", STAMP, "2")
    assert kept.unread() == 2 == Messages(store).unread()
    kept.seen()
    commits = store.commits
    kept.seen()
    assert kept.unread() == 0 == Messages(store).unread() and len(kept.newest()) == 2
    assert store.commits == commits, "nothing to write"
    kept.keep("c", STAMP, "3")
    assert kept.unread() == 1


def test_a_sender_and_a_text_without_end_are_cut(store):
    kept = Messages(store)
    kept.keep("1" * 20 + "2", STAMP, "x" * sms.LONGEST + "y")
    assert kept.newest() == [{"from": "1" * 20, "at": STAMP, "text": "x" * sms.LONGEST}]


@pytest.mark.parametrize("damage", [b"", b"\xff", b"[]", b"7", b"null", b'{"from": "a", "at": "b"}'])
def test_a_message_that_cannot_be_read_is_left_out_and_the_next_one_is_kept(store, damage):
    store.commit([("sms", "0000000004", damage, "new")])
    kept = Messages(store)
    assert kept.newest() == []
    kept.keep("a", STAMP, "1")
    assert [one["text"] for one in kept.newest()] == ["1"] and store.get("sms", "0000000005") is not None
