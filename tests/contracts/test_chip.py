"""`ports.ChipReader`: the driver on its emulated reader, both kinds and both protocols, and the stand-in."""

import pytest

from drivers.chip import CcidReader
from emulator.cards.iso7816 import ContactCard
from emulator.chips.ccid import CcidChip
from emulator.standins.chip import StandIn
from firmware.events import CARD_FOUND, CARD_GONE, CARD_LOST, CARD_PROBLEM, CARD_REPLY, PART, Event
from tests.toys import Inbox, World, of, until

SELECT = bytes.fromhex("00A404000E315041592E5359532E444446303100")
READ = bytes.fromhex("00B2010C00")


class Application:
    """Answers each command with its header backwards and 9000, and counts how often it lost its power while in use."""

    def __init__(self):
        self.commands = []
        self.resets = 0

    def apdu(self, command):
        self.commands.append(command[:4])
        return command[3::-1] + b"\x90\x00"

    def reset(self):
        if self.commands:
            self.resets += 1


def reply(command):
    return command[3::-1] + b"\x90\x00"


class DriverRig:
    def __init__(self, profile, protocol):
        self.protocol = protocol
        self.inbox = Inbox()
        self.bench = CcidChip.on_pty(profile)
        self.port = CcidReader(self.inbox.post, {"profile": profile}, self.bench.path)
        self.port.poll_s = self.port.leave_s = 0.005
        self.port.check_s, self.port.status_s, self.port.retry_s = 0.02, 0.04, (0.01,)
        self.wait = self.inbox.wait

    def unplug(self):
        self.bench.silent = True

    def plug_in(self):
        self.bench.silent = False

    def look_again(self):
        """Goes on until the reader was asked several times more."""
        before = self.bench.heard
        until(lambda: self.bench.heard > before + 40)

    def dark(self):
        until(lambda: not self.bench.powered)
        return True

    def settle(self, wanted):
        until(wanted)
        return True

    def a_little_later(self, some):
        before = self.bench.heard
        until(lambda: self.bench.heard >= before + some)

    def posted(self):
        return self.inbox.rest()

    seen = posted

    def carried(self, apdu):
        box = Inbox()
        self.port.carry(apdu, lambda answer: box.post((answer,)))
        return box.wait(lambda answer: True)[0]

    def close(self):
        self.port.close()
        self.bench.close()
        assert self.port.fault is None


class StandInRig:
    def __init__(self, profile, protocol):
        self.protocol = protocol
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
        return not self.bench.powered

    def settle(self, wanted):
        self.world.run()
        return wanted()

    def a_little_later(self, some):
        self.world.run(2 * some)

    def seen(self):
        self.world.run()
        return self.posted()

    def posted(self):
        events, self.world.events[:] = list(self.world.events), []
        return events

    def carried(self, apdu):
        box = []
        self.port.carry(apdu, box.append)
        self.world.run()
        assert len(box) == 1
        return box[0]

    def close(self):
        self.port.close()


RIGS = {
    "sec1210-t0": (DriverRig, "sec1210", "T=0"),
    "gempc-twin-t1": (DriverRig, "gempc-twin", "T=1"),
    "short-apdu-t0": (DriverRig, "short-apdu", "T=0"),
    "stand-in": (StandInRig, "", "T=0"),
}


@pytest.fixture(params=RIGS)
def unstarted(request):
    make, profile, protocol = RIGS[request.param]
    rig = make(profile, protocol)
    yield rig
    rig.close()


@pytest.fixture
def rig(unstarted):
    unstarted.port.start()
    assert unstarted.wait(of(0)) == Event(PART, 0, ("chip", "ready"))
    assert unstarted.port.state == "ready"
    return unstarted


def inserted(rig, application, ticket=1):
    """Inserts and waits until it is found."""
    rig.port.activate(ticket)
    card = ContactCard(application, rig.protocol) if not isinstance(application, ContactCard) else application
    rig.bench.insert(card)
    assert rig.wait(of(ticket)) == Event(CARD_FOUND, ticket, card.protocol)
    return card


def said(rig, ticket, apdu):
    rig.port.transmit(ticket, apdu)
    return rig.wait(of(ticket))


def away(event):
    return event.name == PART and event.value[1] in ("failed", "gone")


def test_an_activation_before_the_reader_is_ready_waits_until_it_is(unstarted):
    unstarted.bench.insert(ContactCard(Application(), unstarted.protocol))
    unstarted.port.activate(1)
    unstarted.port.start()
    assert unstarted.wait(of(1)) == Event(CARD_FOUND, 1, unstarted.protocol)


def test_a_card_is_found_and_answers(rig):
    application = Application()
    inserted(rig, application)
    assert said(rig, 2, SELECT) == Event(CARD_REPLY, 2, reply(SELECT))
    assert said(rig, 3, READ) == Event(CARD_REPLY, 3, reply(READ))
    assert application.commands == [SELECT[:4], READ[:4]]


def test_a_card_that_is_there_already_is_taken(rig):
    rig.bench.insert(ContactCard(Application(), rig.protocol))
    rig.port.activate(1)
    assert rig.wait(of(1)).name == CARD_FOUND


def test_a_card_may_come_long_after_the_activation(rig):
    rig.port.activate(1)
    rig.look_again()
    rig.bench.insert(Application())
    assert rig.wait(of(1)) == Event(CARD_FOUND, 1, "T=0")


def test_it_is_known_whether_a_card_is_there_with_power_and_without(rig):
    assert not rig.port.present
    rig.bench.insert(Application())
    assert rig.settle(lambda: rig.port.present)
    assert rig.dark()
    rig.port.activate(1)
    assert rig.wait(of(1)).name == CARD_FOUND
    assert rig.port.present
    rig.bench.pull()
    assert rig.settle(lambda: not rig.port.present)


def test_a_command_without_data_and_one_without_answer_are_carried(rig):
    card = inserted(rig, lambda command: b"\x90\x00")
    assert card.protocol == rig.protocol
    for ticket, apdu in enumerate((bytes.fromhex("00010203"), bytes.fromhex("0082000002ABCD"), READ), 2):
        assert said(rig, ticket, apdu) == Event(CARD_REPLY, ticket, b"\x90\x00")


@pytest.mark.parametrize("size", [1, 29, 255, 256])
def test_long_commands_and_answers_arrive_whole(rig, size):
    heard = []

    def answer(command):
        heard.append(command[:260])
        return bytes(range(256))[:size] + b"\x90\x00"

    inserted(rig, ContactCard(answer, rig.protocol, part=29))
    command = bytes.fromhex("80AE4000FF") + bytes(range(255)) + b"\x00"
    assert said(rig, 2, command).value == bytes(range(256))[:size] + b"\x90\x00"
    assert said(rig, 3, READ).value == bytes(range(256))[:size] + b"\x90\x00"
    assert [len(one) for one in heard] == [260, 5] and heard[0] == command[:260]


@pytest.mark.parametrize("status", ["6283", "6A82", "6985", "63C2", "9F10"])
def test_any_status_comes_back_as_it_is(rig, status):
    inserted(rig, lambda command: bytes.fromhex(status))
    assert said(rig, 2, bytes.fromhex("00200080080000000000000000")).value == bytes.fromhex(status)
    assert said(rig, 3, READ).value == bytes.fromhex(status)


def test_a_warning_comes_with_its_data(rig):
    inserted(rig, lambda command: b"\x6f\x00\x62\x83")
    assert said(rig, 2, SELECT).value == b"\x6f\x00\x62\x83"


@pytest.mark.parametrize("size", [0, 3, 262])
def test_what_is_no_short_apdu_is_the_callers_mistake(rig, size):
    with pytest.raises(ValueError, match=f"an APDU of {size} bytes"):
        rig.port.transmit(1, bytes(size))


BAD_RESETS = {"silent": b"", "not-emv": "3B804014", "cut": "3BE50000", "check": "3BE5000081312045300102AABB13"}


@pytest.mark.parametrize("atr", BAD_RESETS.values(), ids=BAD_RESETS.keys())
def test_a_card_that_does_not_answer_its_reset_as_emv_wants_is_unreadable_once(rig, atr):
    atr = bytes.fromhex(atr) if isinstance(atr, str) else atr
    rig.port.activate(1)
    for _ in range(2):
        rig.bench.insert(ContactCard(Application(), atr=atr))
        assert rig.wait(of(1)) == Event(CARD_PROBLEM, 1, "unreadable")
        rig.look_again()
        assert rig.seen() == []
        assert rig.dark() and rig.port.present
        rig.bench.pull()
        rig.look_again()
    rig.bench.insert(Application())
    assert rig.wait(of(1)) == Event(CARD_FOUND, 1, "T=0")


def test_a_warm_reset_gets_a_second_chance(rig):
    good = ContactCard(Application(), rig.protocol)
    inserted(rig, ContactCard(Application(), rig.protocol, atr=b"\x3b\x60\x01\x0a", warm_atr=good.atr))
    assert said(rig, 2, SELECT).value == reply(SELECT)


def test_a_card_put_in_wrongly_and_then_rightly_is_taken(rig):
    rig.bench.insert(ContactCard(Application(), atr=b""))
    rig.port.activate(1)
    assert rig.wait(of(1)).name == CARD_PROBLEM
    rig.bench.pull()
    rig.look_again()
    rig.bench.insert(ContactCard(Application(), rig.protocol))
    assert rig.wait(of(1)) == Event(CARD_FOUND, 1, rig.protocol)


def test_a_pulled_card_is_lost_and_stays_lost(rig):
    application = Application()
    card = inserted(rig, application)
    assert said(rig, 2, SELECT).name == CARD_REPLY
    rig.bench.pull()
    assert said(rig, 3, READ) == Event(CARD_LOST, 3, "removed")
    rig.bench.insert(card)
    assert said(rig, 4, READ) == Event(CARD_LOST, 4, "removed")
    assert application.commands == [SELECT[:4]]


def test_a_card_pulled_and_put_back_between_two_commands_is_lost(rig):
    application = Application()
    card = inserted(rig, application)
    assert said(rig, 2, SELECT).name == CARD_REPLY
    rig.bench.pull()
    rig.bench.insert(card)
    assert said(rig, 3, READ) == Event(CARD_LOST, 3, "removed")
    assert application.commands == [SELECT[:4]]


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_a_card_pulled_after_some_commands_has_answered_just_those(rig, answered):
    rig.bench.tear_after = answered
    application = Application()
    inserted(rig, application)
    replies = [said(rig, 2 + n, SELECT).name for n in range(answered + 1)]
    assert replies == [CARD_REPLY] * answered + [CARD_LOST]
    assert len(application.commands) == answered


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_card_pulled_during_a_command_has_done_it_once(rig, number):
    rig.bench.tear_during = number
    application = Application()
    inserted(rig, application)
    events = [said(rig, 2 + n, SELECT) for n in range(number)]
    assert [event.name for event in events] == [CARD_REPLY] * (number - 1) + [CARD_LOST]
    assert events[-1].value == "removed"
    assert len(application.commands) == number


def test_an_answer_without_a_status_word_breaks_the_protocol(rig):
    inserted(rig, lambda command: b"\x90")
    assert said(rig, 2, SELECT) == Event(CARD_LOST, 2, "protocol")
    assert rig.dark()


def test_a_card_that_falls_silent_breaks_the_protocol(rig):
    card = inserted(rig, Application())
    assert said(rig, 2, SELECT).name == CARD_REPLY
    card.dead = True
    assert said(rig, 3, READ) == Event(CARD_LOST, 3, "protocol")
    assert said(rig, 4, READ) == Event(CARD_LOST, 4, "protocol")
    rig.port.release(5)
    rig.look_again()
    assert rig.seen() == []
    rig.bench.pull()
    assert rig.wait(of(5)) == Event(CARD_GONE, 5, None)


def test_after_release_it_tells_when_the_card_has_been_pulled(rig):
    application = Application()
    inserted(rig, application)
    said(rig, 2, SELECT)
    rig.port.release(3)
    rig.look_again()
    assert rig.seen() == []
    assert rig.dark() and application.resets >= 1
    rig.bench.pull()
    assert rig.wait(of(3)) == Event(CARD_GONE, 3, None)


def test_a_card_that_was_pulled_before_release_is_gone_at_once(rig):
    inserted(rig, Application())
    rig.bench.pull()
    rig.port.release(2)
    assert rig.wait(of(2)) == Event(CARD_GONE, 2, None)


def test_cancel_ends_the_look_and_a_new_one_begins_clean(rig):
    rig.port.activate(1)
    rig.look_again()
    rig.port.cancel(1)
    rig.bench.insert(Application())
    rig.port.activate(2)
    assert rig.wait(lambda event: event.name == CARD_FOUND) == Event(CARD_FOUND, 2, "T=0")


def test_cancel_takes_the_power_from_the_card_and_a_new_activation_resets_it(rig):
    application = Application()
    inserted(rig, application)
    said(rig, 2, SELECT)
    rig.port.cancel(1)
    assert rig.dark()
    assert application.resets >= 1
    rig.port.activate(3)
    assert rig.wait(of(3)).name == CARD_FOUND


def test_any_ticket_of_the_visit_cancels_it_but_an_earlier_ones_does_not(rig):
    inserted(rig, Application(), ticket=1)
    rig.port.cancel(1)
    rig.port.activate(2)
    assert rig.wait(of(2)).name == CARD_FOUND
    rig.port.cancel(1)
    assert said(rig, 3, SELECT).name == CARD_REPLY
    rig.port.cancel(3)
    assert rig.dark()


def test_nothing_is_answered_to_a_ticket_after_it_was_cancelled(rig):
    rig.bench.insert(Application())
    for ticket in range(1, 10):
        rig.port.activate(ticket)
        rig.a_little_later(ticket)
        rig.port.cancel(ticket)
        rig.posted()
    rig.port.activate(50)
    assert rig.wait(lambda event: True) == Event(CARD_FOUND, 50, "T=0")


def test_a_new_activation_replaces_the_open_one(rig):
    rig.port.activate(1)
    rig.port.activate(2)
    rig.bench.insert(Application())
    assert rig.wait(lambda event: event.name == CARD_FOUND).ticket == 2


def test_without_a_card_a_command_is_lost_and_a_release_is_done(rig):
    assert said(rig, 1, SELECT) == Event(CARD_LOST, 1, "removed")
    rig.port.release(2)
    assert rig.wait(of(2)) == Event(CARD_GONE, 2, None)


def test_without_a_visit_a_card_has_no_power(rig):
    rig.bench.insert(Application())
    assert rig.settle(lambda: rig.port.present)
    assert rig.dark()
    assert rig.seen() == []


def test_the_vault_carries_a_command_and_no_event_tells_of_it(rig):
    application = Application()
    inserted(rig, application)
    assert rig.carried(bytearray(SELECT)) == reply(SELECT)
    assert rig.seen() == []
    assert said(rig, 2, READ).value == reply(READ)
    assert application.commands == [SELECT[:4], READ[:4]]


def test_the_vault_is_told_of_a_card_that_is_lost_or_was_never_there(rig):
    assert rig.carried(SELECT) is None
    inserted(rig, Application())
    rig.bench.tear_after = 0
    assert rig.carried(SELECT) is None
    assert said(rig, 2, READ) == Event(CARD_LOST, 2, "removed")
    rig.port.cancel(1)
    assert rig.carried(SELECT) is None


def test_a_reader_that_is_not_there_at_the_start_is_told_and_taken_when_it_comes(unstarted):
    unstarted.unplug()
    unstarted.port.activate(1)
    unstarted.port.start()
    unstarted.wait(away)
    assert unstarted.wait(of(1)) == Event(CARD_PROBLEM, 1, "reader-gone")
    unstarted.plug_in()
    assert unstarted.wait(of(0)) == Event(PART, 0, ("chip", "ready"))


def test_a_reader_that_goes_ends_the_look_and_comes_back_by_itself(rig):
    rig.port.activate(1)
    rig.look_again()
    rig.unplug()
    rig.wait(away)
    assert rig.wait(of(1)) == Event(CARD_PROBLEM, 1, "reader-gone")
    assert rig.port.state in ("failed", "gone")
    assert not rig.port.present
    rig.port.activate(2)
    assert rig.wait(of(2)) == Event(CARD_PROBLEM, 2, "reader-gone")
    assert rig.carried(SELECT) is None
    rig.plug_in()
    assert rig.wait(of(0)) == Event(PART, 0, ("chip", "ready"))
    inserted(rig, Application(), ticket=3)
    assert said(rig, 4, SELECT).name == CARD_REPLY


def test_a_reader_that_goes_with_a_card_in_it_is_told_from_a_lost_card(rig):
    inserted(rig, Application())
    rig.unplug()
    rig.wait(away)
    assert said(rig, 2, SELECT) == Event(CARD_LOST, 2, "reader-gone")
    rig.port.release(3)
    assert rig.wait(of(3)) == Event(CARD_GONE, 3, None)


def test_a_reader_that_goes_while_the_card_leaves_lets_the_sale_go_on(rig):
    inserted(rig, Application())
    rig.port.release(2)
    rig.look_again()
    rig.unplug()
    assert rig.wait(of(2)) == Event(CARD_GONE, 2, None)


def test_a_reader_that_goes_while_nobody_inserts_is_noticed(rig):
    rig.unplug()
    assert rig.wait(of(0)).value[1] in ("failed", "gone")
