"""The driver of the chip slot when card, reader or wire misbehave."""

import itertools
import os
import pty
import random
import tty

import pytest

from drivers import chip as chip_driver
from drivers.catalogue import CHIP_PROFILES
from drivers.chip import CcidReader
from emulator.cards.iso7816 import ContactCard
from emulator.chips.ccid import CcidChip
from emulator.livelog import describe_command
from firmware.events import CARD_FOUND, CARD_LOST, CARD_PROBLEM, CARD_REPLY, PART, Event
from tests.toys import Inbox, of, until

SELECT = bytes.fromhex("00A404000E315041592E5359532E444446303100")
READ = bytes.fromhex("00B2010C00")
FCI = bytes.fromhex("6F1A840E315041592E5359532E4444463031A5088801015F2D02656E9000")


class Bench:
    """A driver on an emulated reader."""

    def __init__(self, profile="sec1210", **options):
        self.inbox = Inbox()
        self.wait = self.inbox.wait
        self.chip = CcidChip.on_pty(profile, **options)
        self.tickets = itertools.count(1)
        self.driver = CcidReader(self.inbox.post, {"profile": profile}, self.chip.path)
        self.driver.poll_s = self.driver.leave_s = 0.005
        self.driver.check_s, self.driver.status_s, self.driver.answer_s = 0.02, 0.1, 0.5
        self.driver.retry_s = (0.02,)
        self.driver.start()
        assert self.wait(of(0)) == Event(PART, 0, ("chip", "ready"))

    def insert(self, card):
        ticket = next(self.tickets)
        self.chip.insert(card)
        self.driver.activate(ticket)
        return self.wait(of(ticket))

    def say(self, apdu=SELECT):
        ticket = next(self.tickets)
        self.driver.transmit(ticket, apdu)
        return self.wait(of(ticket))

    def close(self):
        self.driver.close()
        self.chip.close()
        assert self.driver.fault is None


@pytest.fixture(params=["sec1210", "gempc-twin"])
def bench(request):
    made = Bench(request.param)
    yield made
    made.close()


def counted(answer=FCI):
    done = []
    return done, lambda command: done.append(command) or answer


def test_the_profiles_are_those_of_the_catalogue():
    assert tuple(chip_driver.PROFILES) == CHIP_PROFILES


@pytest.mark.parametrize("protocol", ["T=0", "T=1"])
def test_wire_faults_are_mended_and_a_command_is_done_once(bench, protocol):
    done, application = counted()
    assert bench.insert(ContactCard(application, protocol)).value == protocol
    for fault in ("naks", "wrong_lrc", "split"):
        setattr(bench.chip, fault, 1)
        assert bench.say().value == FCI
    bench.chip.junk = b"\x50\x03\x03\x15"
    assert bench.say().value == FCI
    assert len(done) == 4


@pytest.mark.parametrize("protocol", ["T=0", "T=1"])
def test_a_slow_card_is_waited_for(bench, protocol):
    done, application = counted()
    card = ContactCard(application, protocol, wtx=2)
    card.nulls = 3
    assert bench.insert(card).name == CARD_FOUND
    bench.driver.answer_s = 0.06
    bench.chip.extension_s, bench.chip.late_s, bench.chip.extensions = 0.02, 0.08, 2
    assert bench.say().value == FCI
    assert len(done) == 1


def test_an_answer_that_never_comes_loses_the_card_and_not_the_sale(bench):
    done, application = counted()
    bench.driver.check_s = 60.0
    bench.insert(application)
    bench.driver.answer_s = 0.03
    bench.chip.lose_answer = 1
    ticket = next(bench.tickets)
    bench.driver.transmit(ticket, READ)
    assert bench.wait(of(ticket)) == Event(CARD_LOST, ticket, "reader-gone")
    assert bench.insert(application).name in (CARD_FOUND, CARD_PROBLEM)
    assert len(done) == 1


@pytest.mark.parametrize("fault", ["bad_blocks", "lost_blocks"])
def test_damage_between_card_and_reader_is_mended_by_t1(bench, fault):
    done, application = counted(bytes(200) + b"\x90\x00")
    card = ContactCard(application, "T=1", part=32)
    bench.insert(card)
    for _ in range(5):
        setattr(card, fault, 2)
        assert bench.say(SELECT + bytes(40)).value == bytes(200) + b"\x90\x00"
    assert len(done) == 5
    setattr(card, fault, 9)
    assert bench.say() == Event(CARD_LOST, 6 + 1, "protocol")


@pytest.mark.parametrize("protocol", ["T=0", "T=1"])
@pytest.mark.parametrize("number", range(4))
def test_a_card_pulled_at_any_command_is_lost_there(bench, protocol, number):
    done, application = counted()
    bench.chip.tear_after = number
    bench.insert(ContactCard(application, protocol))
    events = [bench.say() for _ in range(number + 1)]
    assert [event.name for event in events] == [CARD_REPLY] * number + [CARD_LOST]
    assert events[-1].value == "removed" and len(done) == number
    assert not bench.driver.present


def test_a_reader_unplugged_and_back_goes_on(bench):
    bench.insert(lambda command: FCI)
    bench.chip.silent = True
    assert bench.wait(of(0)).value[1] == "failed"
    assert bench.say() == Event(CARD_LOST, 2, "reader-gone")
    bench.chip.silent = False
    bench.chip.reset()
    assert bench.wait(of(0)).value == ("chip", "ready")
    assert bench.insert(lambda command: FCI).name == CARD_FOUND
    assert bench.say().value == FCI


def test_a_port_that_is_away_is_gone_and_taken_when_it_is_there(tmp_path):
    inbox, path = Inbox(), tmp_path / "chip"
    driver = CcidReader(inbox.post, {"profile": "sec1210"}, str(path))
    driver.retry_s, driver.check_s = (0.01,), 0.02
    driver.start()
    assert inbox.wait(of(0)).value == ("chip", "gone")
    master, slave = pty.openpty()
    tty.setraw(slave)
    chip = CcidChip(master)
    chip.start()
    path.symlink_to(os.ttyname(slave))
    assert inbox.wait(of(0)).value == ("chip", "ready")
    driver.close()
    chip.close()
    os.close(master)
    os.close(slave)


def test_a_crashed_program_leaves_no_power_on_the_card():
    first = Bench()
    card = ContactCard(lambda command: FCI)
    first.insert(card)
    first.driver._closing = True  # the process dies: nothing is tidied up
    first.driver._ring()
    first.driver._thread.join(5)
    card.power()
    second = CcidReader(first.inbox.post, {"profile": "sec1210"}, first.chip.path)
    second.start()
    assert first.wait(of(0)).value == ("chip", "ready")
    until(lambda: not card.powered)
    second.close()
    first.chip.close()


def test_cancel_cuts_a_long_wait_short(bench):
    bench.insert(lambda command: FCI)
    bench.chip.late_s = 0.1
    bench.driver.transmit(50, READ)
    until(lambda: bench.chip.commands[-1] == 0x6F)
    bench.driver.cancel(50)
    bench.chip.late_s = 0
    assert bench.insert(ContactCard(lambda command: b"\x6a\x82")).name == CARD_FOUND
    assert bench.say().value == b"\x6a\x82"


def test_close_answers_the_vault_and_posts_nothing_more():
    bench = Bench()
    bench.insert(lambda command: FCI)
    bench.close()
    heard = []
    bench.driver.carry(READ, heard.append)
    bench.driver.transmit(60, READ)
    assert heard == [None]
    assert bench.inbox.rest() == []


def test_a_callback_that_fails_does_not_end_the_reader():
    bench = Bench()
    bench.insert(lambda command: FCI)

    def fails(answer):
        raise RuntimeError

    bench.driver.carry(READ, fails)
    assert bench.wait(of(0)).value == ("chip", "failed")
    assert bench.wait(of(0)).value == ("chip", "ready")
    assert bench.driver.fault == "RuntimeError"
    bench.driver.fault = None
    bench.close()


def test_a_reader_that_says_anything_never_ends_the_thread():
    chance = random.Random(7)
    bench = Bench()
    bench.driver.status_s = bench.driver.answer_s = 0.02
    bench.chip.insert(lambda command: FCI)

    def spoilt(data):
        data = bytearray(data)
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data) + (chance.randbytes(chance.randrange(5)) if chance.randrange(4) == 0 else b"")

    bench.chip.mangle = spoilt
    for ticket in range(100, 115):
        bench.driver.activate(ticket)
        bench.driver.transmit(ticket, READ)
        bench.wait(of(ticket))
    bench.chip.mangle = None
    bench.driver.status_s, bench.driver.answer_s = 0.2, 1.0
    bench.driver.cancel(ticket)
    until(lambda: bench.driver.state == "ready")
    bench.driver.check_s = 60.0
    bench.driver.activate(200)
    while bench.wait(of(200)) != Event(CARD_FOUND, 200, "T=0"):
        bench.driver.activate(200)
    bench.close()


def test_the_log_shows_no_more_of_a_pin_than_its_kind():
    told = []
    bench = Bench(on_apdu=lambda direction, apdu: told.append(describe_command(apdu)) if direction == "command" else None)
    bench.insert(lambda command: b"\x90\x00")
    for command in ("0020008008241234FFFFFFFFFF", "0020008810" + "12" * 16):
        bench.say(bytes.fromhex(command))
    bench.close()
    assert told == ["→ VERIFY plaintext PIN", "→ VERIFY enciphered PIN"]


def test_no_repr_or_error_of_the_driver_holds_a_command():
    bench = Bench()
    bench.insert(lambda command: b"\x63")
    assert bench.say(bytes.fromhex("0020008008241234FFFFFFFFFF")).name == CARD_LOST
    assert "1234" not in repr(bench.driver) + repr(vars(bench.driver))
    bench.close()
