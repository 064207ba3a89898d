"""`ports.Reader`: the driver on its emulated chip, and the stand-in."""

import pytest

from drivers.nfc import Pn532
from emulator.cards.iso14443 import IsoDepTag, PlainTag
from emulator.chips.pn532 import Pn532Chip
from emulator.standins.reader import StandIn
from firmware.events import CARD_FOUND, CARD_GONE, CARD_LOST, CARD_PROBLEM, CARD_REPLY, PART, Event
from tests.toys import Inbox, World, of, until

SELECT = bytes.fromhex("00A404000E325041592E5359532E444446303100")
READ = bytes.fromhex("00B2010C00")


class Application:
    """Answers each command with itself and 9000, and counts how often it lost its power while it was in use."""

    def __init__(self):
        self.commands = []
        self.resets = 0

    def apdu(self, command):
        self.commands.append(command)
        return command[::-1] + b"\x90\x00"

    def reset(self):
        if self.commands:
            self.resets += 1


class DriverRig:
    def __init__(self):
        self.inbox = Inbox()
        self.bench = Pn532Chip.on_pty()
        self.port = Pn532(self.inbox.post, {"baud": 921600}, self.bench.path)
        self.port.poll_s = self.port.leave_s = 0.005
        self.port.check_s, self.port.retry_s = 0.02, (0.02,)
        self.wait = self.inbox.wait

    def unplug(self):
        self.bench.silent = True

    def plug_in(self):
        self.bench.silent = False

    def look_again(self):
        """Goes on until the reader has looked several times more."""
        before = self.bench.heard
        until(lambda: self.bench.heard > before + 200)

    def dark(self):
        until(lambda: not self.bench.field)
        return True

    def a_little_later(self, some):
        before = self.bench.heard
        until(lambda: self.bench.heard >= before + 5 * some)

    def posted(self):
        return self.inbox.rest()

    seen = posted

    def close(self):
        self.port.close()
        self.bench.close()
        assert self.port.fault is None


class StandInRig:
    def __init__(self):
        self.world = World()
        self.port = self.bench = StandIn(self.world)
        self.wait = self.world.wait

    def unplug(self):
        self.bench.unplug()

    def plug_in(self):
        self.bench.plug_in()

    def look_again(self):
        self.world.run(1_000)

    def dark(self):
        return not self.bench.field

    def a_little_later(self, some):
        self.world.run(2 * some)

    def seen(self):
        self.world.run()
        return self.posted()

    def posted(self):
        events, self.world.events[:] = list(self.world.events), []
        return events

    def close(self):
        self.port.close()


@pytest.fixture(params=[DriverRig, StandInRig], ids=["driver", "stand-in"])
def unstarted(request):
    rig = request.param()
    yield rig
    rig.close()


@pytest.fixture
def rig(unstarted):
    unstarted.port.start()
    unstarted.wait(lambda event: event == Event(PART, 0, ("contactless", "ready")))
    return unstarted


def tapped(rig, card, ticket=1):
    rig.bench.place(card)
    rig.port.activate(ticket)
    assert rig.wait(of(ticket)).name == CARD_FOUND


def said(rig, ticket, apdu):
    rig.port.transmit(ticket, apdu)
    return rig.wait(of(ticket))


def test_it_says_when_it_is_ready(unstarted):
    assert unstarted.port.state == "starting"
    unstarted.port.start()
    assert unstarted.wait(of(0)) == Event(PART, 0, ("contactless", "ready"))
    assert unstarted.port.state == "ready"


def test_what_is_asked_while_it_starts_is_done_when_it_is_ready(unstarted):
    unstarted.bench.place(Application())
    unstarted.port.activate(1)
    unstarted.port.start()
    assert unstarted.wait(of(1)) == Event(CARD_FOUND, 1, "A")


@pytest.mark.parametrize("technology", ["A", "B"])
def test_a_card_is_found_and_answers(rig, technology):
    tapped(rig, IsoDepTag(Application(), technology))
    assert said(rig, 2, SELECT) == Event(CARD_REPLY, 2, SELECT[::-1] + b"\x90\x00")
    assert said(rig, 3, READ) == Event(CARD_REPLY, 3, READ[::-1] + b"\x90\x00")


def test_the_technology_is_told(rig):
    rig.port.activate(7)
    rig.bench.place(IsoDepTag(Application(), "B"))
    assert rig.wait(of(7)) == Event(CARD_FOUND, 7, "B")


def test_a_card_may_come_long_after_the_activation(rig):
    rig.port.activate(1)
    rig.look_again()
    rig.bench.place(Application())
    assert rig.wait(of(1)).name == CARD_FOUND


def test_a_bare_application_is_a_card(rig):
    tapped(rig, lambda command: b"\x6a\x82")
    assert said(rig, 2, SELECT).value == b"\x6a\x82"


def test_long_commands_and_answers_arrive_whole(rig):
    tapped(rig, IsoDepTag(lambda command: command[:5] + bytes(range(251)) + b"\x90\x00", block_size=29))
    command = bytes(range(1, 256)) + bytes(6)
    assert said(rig, 2, command).value == command[:5] + bytes(range(251)) + b"\x90\x00"


@pytest.mark.parametrize("size", [0, 3, 262])
def test_what_is_no_short_apdu_is_the_callers_mistake(rig, size):
    with pytest.raises(ValueError, match=f"an APDU of {size} bytes"):
        rig.port.transmit(1, bytes(size))


def test_two_cards_are_one_problem_told_once_and_the_one_that_stays_is_taken(rig):
    first, second = Application(), Application()
    rig.bench.place(first)
    rig.bench.place(second)
    rig.port.activate(1)
    assert rig.wait(of(1)) == Event(CARD_PROBLEM, 1, "many")
    rig.look_again()
    rig.bench.remove(first)
    assert rig.wait(of(1)) == Event(CARD_FOUND, 1, "A")
    assert said(rig, 2, SELECT).name == CARD_REPLY
    assert (first.commands, second.commands) == ([], [SELECT])


@pytest.mark.parametrize("technologies", ["AB", "BA", "AA"])
def test_two_cards_of_any_technology_are_too_many(rig, technologies):
    for technology in technologies:
        rig.bench.place(IsoDepTag(Application(), technology))
    rig.port.activate(1)
    assert rig.wait(of(1)) == Event(CARD_PROBLEM, 1, "many")


def test_a_tag_that_takes_no_apdus_is_unreadable_once_per_appearance(rig):
    rig.port.activate(1)
    for _ in range(2):
        rig.bench.place(PlainTag())
        assert rig.wait(of(1)) == Event(CARD_PROBLEM, 1, "unreadable")
        rig.look_again()
        assert rig.seen() == []
        rig.bench.remove()
        rig.look_again()
    rig.bench.place(Application())
    assert rig.wait(of(1)) == Event(CARD_FOUND, 1, "A")


def test_a_card_that_gives_no_answer_at_all_is_unreadable(rig):
    card = IsoDepTag(Application())
    card.dead = True
    rig.bench.place(card)
    rig.port.activate(1)
    assert rig.wait(of(1)) == Event(CARD_PROBLEM, 1, "unreadable")


def test_a_card_pulled_away_is_lost_and_stays_lost(rig):
    application = Application()
    tapped(rig, application)
    assert said(rig, 2, SELECT).name == CARD_REPLY
    rig.bench.remove()
    assert said(rig, 3, READ) == Event(CARD_LOST, 3, "removed")
    rig.bench.place(application)
    assert said(rig, 4, READ) == Event(CARD_LOST, 4, "removed")
    assert application.commands == [SELECT]


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_a_card_torn_after_some_commands_has_answered_just_those(rig, answered):
    rig.bench.tear_after = answered
    application = Application()
    tapped(rig, application)
    replies = [said(rig, 2 + n, SELECT).name for n in range(answered + 1)]
    assert replies == [CARD_REPLY] * answered + [CARD_LOST]
    assert len(application.commands) == answered


def test_a_card_torn_during_a_command_has_done_it(rig):
    rig.bench.tear_during = 2
    application = Application()
    tapped(rig, application)
    assert said(rig, 2, SELECT).name == CARD_REPLY
    assert said(rig, 3, READ) == Event(CARD_LOST, 3, "removed")
    assert application.commands == [SELECT, READ]


def test_an_answer_without_a_status_word_breaks_the_protocol(rig):
    tapped(rig, lambda command: b"\x90")
    assert said(rig, 2, SELECT) == Event(CARD_LOST, 2, "protocol")


def test_after_release_it_tells_when_the_card_has_left(rig):
    application = Application()
    tapped(rig, application)
    said(rig, 2, SELECT)
    rig.port.release(3)
    rig.look_again()
    assert rig.seen() == []
    assert application.resets >= 1
    rig.bench.remove()
    assert rig.wait(of(3)) == Event(CARD_GONE, 3, None)
    assert rig.dark()


def test_a_card_that_has_left_before_release_is_gone_at_once(rig):
    tapped(rig, Application())
    rig.bench.remove()
    rig.port.release(2)
    assert rig.wait(of(2)) == Event(CARD_GONE, 2, None)


def test_a_lost_card_that_is_still_there_is_waited_for(rig):
    tapped(rig, lambda command: b"")
    assert said(rig, 2, SELECT) == Event(CARD_LOST, 2, "protocol")
    rig.port.release(3)
    rig.look_again()
    assert rig.seen() == []
    rig.bench.remove()
    assert rig.wait(of(3)) == Event(CARD_GONE, 3, None)


def test_cancel_ends_the_look_and_a_new_one_begins_clean(rig):
    rig.port.activate(1)
    rig.look_again()
    rig.port.cancel(1)
    assert rig.dark()
    rig.bench.place(Application())
    rig.port.activate(2)
    assert rig.wait(lambda event: event.name == CARD_FOUND) == Event(CARD_FOUND, 2, "A")


def test_cancel_takes_the_power_from_the_card(rig):
    application = Application()
    tapped(rig, application)
    said(rig, 2, SELECT)
    rig.port.cancel(1)
    assert rig.dark()
    assert application.resets == 1
    rig.port.activate(3)
    assert rig.wait(of(3)).name == CARD_FOUND


def test_any_ticket_of_the_tap_cancels_it_but_an_earlier_ones_does_not(rig):
    tapped(rig, Application(), ticket=1)
    rig.port.cancel(1)
    rig.port.activate(2)
    assert rig.wait(of(2)).name == CARD_FOUND
    rig.port.cancel(1)
    assert said(rig, 3, SELECT).name == CARD_REPLY
    rig.port.cancel(3)
    assert rig.dark()


def test_nothing_is_answered_to_a_ticket_after_it_was_cancelled(rig):
    rig.bench.place(Application())
    for ticket in range(1, 20):
        rig.port.activate(ticket)
        rig.a_little_later(ticket)
        rig.port.cancel(ticket)
        rig.posted()
    rig.port.activate(50)
    assert rig.wait(lambda event: True) == Event(CARD_FOUND, 50, "A")


def test_a_new_activation_replaces_the_open_one(rig):
    rig.port.activate(1)
    rig.port.activate(2)
    rig.bench.place(Application())
    assert rig.wait(lambda event: event.name == CARD_FOUND).ticket == 2


def test_without_a_card_a_command_is_lost_and_a_release_is_done(rig):
    assert said(rig, 1, SELECT) == Event(CARD_LOST, 1, "removed")
    rig.port.release(2)
    assert rig.wait(of(2)) == Event(CARD_GONE, 2, None)


def test_without_a_tap_the_field_is_off(rig):
    rig.bench.place(Application())
    assert rig.dark()
    assert rig.seen() == []


def test_a_reader_that_is_not_there_at_the_start_is_told_and_taken_when_it_comes(unstarted):
    unstarted.unplug()
    unstarted.port.activate(1)
    unstarted.port.start()
    unstarted.wait(away)
    assert unstarted.wait(of(1)) == Event(CARD_PROBLEM, 1, "reader-gone")
    unstarted.plug_in()
    assert unstarted.wait(of(0)) == Event(PART, 0, ("contactless", "ready"))


def away(event):
    return event.name == PART and event.value[1] in ("failed", "gone")


def test_a_reader_that_goes_ends_the_look_and_comes_back_by_itself(rig):
    rig.port.activate(1)
    rig.look_again()
    rig.unplug()
    rig.wait(away)
    assert rig.wait(of(1)) == Event(CARD_PROBLEM, 1, "reader-gone")
    assert rig.port.state in ("failed", "gone")
    rig.port.activate(2)
    assert rig.wait(of(2)) == Event(CARD_PROBLEM, 2, "reader-gone")
    rig.plug_in()
    assert rig.wait(of(0)) == Event(PART, 0, ("contactless", "ready"))
    tapped(rig, Application(), ticket=3)
    assert said(rig, 4, SELECT).name == CARD_REPLY


def test_a_reader_that_goes_with_a_card_on_it_is_told_from_a_lost_card(rig):
    tapped(rig, Application())
    rig.unplug()
    assert said(rig, 2, SELECT) == Event(CARD_LOST, 2, "reader-gone")
    rig.port.release(3)
    assert rig.wait(of(3)) == Event(CARD_GONE, 3, None)


def test_a_reader_that_goes_while_the_card_leaves_lets_the_sale_go_on(rig):
    tapped(rig, Application())
    rig.port.release(2)
    rig.look_again()
    rig.unplug()
    assert rig.wait(of(2)) == Event(CARD_GONE, 2, None)


def test_a_reader_that_goes_while_nobody_taps_is_noticed(rig):
    rig.unplug()
    assert rig.wait(of(0)).value[1] in ("failed", "gone")
