import itertools
import logging
import os
import pty
import random
import sys
import threading
import time
import tty

import pytest

import drivers
from drivers.nfc import Pn532
from drivers.nfc_wire import NACK, Wire
from emulator.cards.iso14443 import IsoDepTag
from emulator.chips.pn532 import ACK, Pn532Chip, frame
from firmware.events import CARD_FOUND, CARD_GONE, CARD_LOST, CARD_PROBLEM, CARD_REPLY, PART, Event
from tests.toys import Inbox, of, until

SELECT = bytes.fromhex("00A404000E325041592E5359532E444446303100")
FCI = bytes.fromhex("6F23840E325041592E5359532E4444463031A511BF0C0E610C4F07A00000033301018701019000")
LEGAL_ATS = ("01", "0208", "031880", "032881", "034802", "04388081", "04588002", "0528814142", "0538808141", "0578807002",
             "0608e1f2c1c2", "067880700280", "020f", "03280f", "0328f1")  # fmt: skip


class Bench:
    """A driver on an emulated chip."""

    def __init__(self, baud=921600, start=True, reset=None, **options):
        self.inbox = Inbox()
        self.wait = self.inbox.wait
        self.chip = Pn532Chip.on_pty(**options)
        self.tickets = itertools.count(1)
        self.driver = self.new_driver(baud, reset)
        if start:
            self.start()

    def new_driver(self, baud, reset=None):
        driver = Pn532(self.inbox.post, {"baud": baud}, self.chip.path, reset)
        driver.poll_s = driver.leave_s = 0.005
        driver.retry_s = (0.02,)
        return driver

    def start(self):
        self.driver.start()
        assert self.wait(of(0)) == Event(PART, 0, ("contactless", "ready"))

    def find(self):
        ticket = next(self.tickets)
        self.driver.activate(ticket)
        return self.wait(of(ticket))

    def tap(self, card):
        self.chip.place(card)
        assert self.find().name == CARD_FOUND

    def say(self, apdu=SELECT):
        ticket = next(self.tickets)
        self.driver.transmit(ticket, apdu)
        return self.wait(of(ticket))

    def more_heard(self, size):
        before = self.chip.heard
        until(lambda: self.chip.heard > before + size)

    def close(self):
        self.driver.close()
        self.chip.close()
        assert self.driver.fault is None


@pytest.fixture
def make(request):
    """Makes benches that are closed at the end."""

    def made(**options):
        bench = Bench(**options)
        request.addfinalizer(bench.close)
        return bench

    return made


@pytest.fixture
def bench(make):
    return make()


def card(**options):
    return IsoDepTag(lambda command: FCI, **options)


def scripted(*answers, then=b""):
    """A card whose block layer says what is written here, whatever it hears."""
    tag = card()
    rest = iter(answers)
    activation = tag.frame
    tag.frame = lambda data: activation(data) if tag.state != "protocol" else next(rest, then) or None
    return tag


# What a card may say of itself.


def test_the_answer_to_select_is_read_as_the_standard_says():
    from drivers.nfc_chip import parse_ats

    def read(text):
        size, waiting_s, guard_s = parse_ats(bytes.fromhex(text))
        return size, round(waiting_s * 1e3, 3), round(guard_s * 1e3, 3)

    assert read("01") == (32, 4.833, 0)
    assert read("0208") == (256, 4.833, 0)
    assert read("031880") == (256, 4.833, 0)
    assert read("032881") == (256, 77.329, 0.604)
    assert read("034802") == (256, 4.833, 0)
    assert read("0578807002") == (256, 38.664, 0)
    assert read("04588002") == (256, 4.833, 0)
    assert read("0525f34142")[1:] == (4.833, 2.417)  # FWI 15 is for future use
    assert read("032fee") == (256, 4949.031, 4949.031)
    for bad in ("", "00", "02", "0578", "0220", "0210", "0370ff"):
        with pytest.raises(ValueError, match="ATS"):
            parse_ats(bytes.fromhex(bad))


def test_the_chips_time_out_is_the_next_one_that_is_long_enough():
    from drivers.nfc_chip import timeout_index

    assert [timeout_index(s) for s in (0, 100e-6, 101e-6, 0.0128, 0.0129, 3.2768, 10)] == [1, 1, 2, 8, 9, 16, 16]


@pytest.mark.parametrize("ats", LEGAL_ATS)
def test_a_card_with_any_legal_answer_to_select_takes_commands(bench, ats):
    bench.tap(card(ats=bytes.fromhex(ats)))
    assert bench.say().value == FCI


@pytest.mark.parametrize("ats", ["", "00", "05788070", "0578", "0370ff"])
def test_a_card_with_a_broken_answer_to_select_is_unreadable(bench, ats):
    bench.chip.place(card(ats=bytes.fromhex(ats)))
    assert bench.find() == Event(CARD_PROBLEM, 1, "unreadable")


@pytest.mark.parametrize("sak", [0x20, 0x28, 0x38, 0x60])
def test_every_card_with_the_block_protocol_is_taken_whatever_else_it_can_do(bench, sak):
    bench.tap(card(sak=sak))
    assert bench.say().value == FCI


@pytest.mark.parametrize("uid", ["08112233", "04112233445566", "04112233445566778899"])
def test_identifiers_of_any_length_are_taken(bench, uid):
    bench.tap(card(uid=bytes.fromhex(uid)))
    assert bench.say().value == FCI


def test_a_card_of_type_b_without_the_block_protocol_is_unreadable(bench):
    bench.chip.place(card(technology="B", atqb=bytes.fromhex("501122334400000000008071")))
    assert bench.find() == Event(CARD_PROBLEM, 1, "unreadable")


# The block protocol.


@pytest.mark.parametrize("technology", ["A", "B"])
@pytest.mark.parametrize("wtx", [0, 3])
@pytest.mark.parametrize("chained", [False, True])
def test_chains_and_waiting_time_extensions_change_no_byte(bench, technology, wtx, chained):
    answer = bytes(range(256)) + b"\x90\x00"
    tag = IsoDepTag(lambda command: answer, technology, wtx=wtx, ats=bytes.fromhex("0575807002"), block_size=50)
    tag.wtx_chained = chained
    bench.tap(tag)
    for _ in range(3):
        assert bench.say(bytes(range(200))).value == answer


@pytest.mark.parametrize("fault", ["lose_blocks", "lose_answers"])
@pytest.mark.parametrize("times", [1, 2])
def test_blocks_lost_in_the_air_are_sent_again_and_the_command_is_done_once(bench, fault, times):
    done = []
    tag = IsoDepTag(lambda command: done.append(command) or FCI, block_size=16)
    bench.tap(tag)
    setattr(tag, fault, times)
    assert bench.say().value == FCI
    assert bench.say().value == FCI
    assert done == [SELECT, SELECT]


@pytest.mark.parametrize(
    "block",
    ["a3", "f201", "1200", "1300", "f2", "f200", "f23f", "02", "03", "0390", "a2", "c2", "ff", "0a0102", "00"],
    ids=lambda block: "block " + block,
)
def test_a_card_that_says_one_block_for_ever_ends_in_an_answer(bench, block):
    bench.tap(scripted(then=bytes.fromhex(block)))
    event = bench.say()
    assert event.name == CARD_LOST and event.value in ("protocol", "removed")
    bench.chip.remove()
    bench.tap(card())
    assert bench.say().value == FCI


def test_a_receipt_in_the_middle_of_a_chained_answer_is_no_end_of_it(bench):
    bench.tap(scripted(b"\x12\x6f\x10", b"\xa3\x90\x00"))
    assert bench.say().value == "protocol"


def test_the_start_up_guard_time_is_kept(bench):
    bench.chip.place(card(ats=bytes.fromhex("03288a")))  # SFGI 10: 309 ms
    began = time.monotonic()
    assert bench.find().name == CARD_FOUND
    assert time.monotonic() - began > 0.309


# The line to the chip.


@pytest.mark.parametrize("fault", ["lose_ack", "corrupt_ack", "lose_answer", "corrupt_answer"])
@pytest.mark.parametrize("times", [1, 2])
def test_frames_lost_or_damaged_on_the_line_cost_no_sale(bench, fault, times):
    done = []
    bench.tap(IsoDepTag(lambda command: done.append(command) or FCI))
    setattr(bench.chip, fault, times)
    assert bench.say().value == FCI
    assert bench.say().value == FCI
    assert done == [SELECT, SELECT]


@pytest.mark.parametrize("fault", ["lose_ack", "corrupt_ack", "lose_answer", "corrupt_answer"])
def test_frames_lost_while_it_looks_are_looked_over(bench, fault):
    ticket = next(bench.tickets)
    bench.driver.activate(ticket)
    for _ in range(2):
        setattr(bench.chip, fault, 1)
        until(lambda: getattr(bench.chip, fault) == 0)
        bench.more_heard(60)
    bench.chip.place(card())
    assert bench.wait(of(ticket)) == Event(CARD_FOUND, ticket, "A")


@pytest.mark.parametrize(
    "junk",
    [b"\x12\x34", b"\x00\x00\xff", bytes(40), b"\xff" * 9, b"\x00\xff\x05\xfb", frame(b"\xd5\x43"), ACK * 20],
    ids=lambda junk: "junk " + junk.hex()[:20],
)
def test_junk_before_an_answer_is_passed_over(bench, junk):
    bench.tap(card())
    bench.chip.junk = junk
    assert bench.say().value == FCI
    assert bench.say().value == FCI


@pytest.fixture
def wire(make):
    """The bare wire to a chip that is awake."""
    bench = make(start=False)
    bench.chip.asleep = False
    bell = os.eventfd(0)
    wire = Wire(bench.chip.path, 115200, bell, lambda: False)
    yield wire, bench.chip
    wire.close()
    os.close(bell)


def test_a_damaged_answer_is_asked_for_again_at_once(wire):
    port, chip = wire
    chip.corrupt_answer = 1
    port.write(frame(b"\xd4\x02"))
    assert port.read(100) == ACK
    assert port.read(100) == frame(b"\xd5\x03\x32\x01\x06\x07")
    assert chip.heard == len(frame(b"\xd4\x02") + NACK)


def test_a_wire_does_not_read_acknowledgements_for_ever(wire):
    port, chip = wire
    chip.mangle = lambda data: ACK * 50
    port.write(frame(b"\xd4\x02"))
    for _ in range(4):
        assert port.read(100) == ACK
    with pytest.raises(OSError, match="without end"):
        port.read(100)


def test_acknowledgements_without_end_are_a_failed_reader(bench):
    bench.chip.mangle = lambda data: ACK * 50
    bench.driver.activate(1)
    assert bench.wait(of(0)) == Event(PART, 0, ("contactless", "failed"))
    bench.chip.mangle = None
    assert bench.wait(of(0)) == Event(PART, 0, ("contactless", "ready"))


def test_a_reader_that_fails_together_with_the_card_still_answers(bench):
    def fail(command):
        bench.chip.silent = True
        return b""

    bench.tap(IsoDepTag(fail))
    assert bench.say().name == CARD_LOST
    bench.wait(lambda event: event.value == ("contactless", "failed"))
    assert bench.say() == Event(CARD_LOST, 3, "reader-gone")


def test_a_new_activation_of_a_reader_that_has_failed_meanwhile_is_answered(bench):
    bench.tap(card())
    bench.chip.silent = True
    assert bench.find() == Event(CARD_PROBLEM, 2, "reader-gone")


# Opening.


@pytest.mark.parametrize("left_at", [115200, 230400, 460800, 921600])
@pytest.mark.parametrize("baud", [115200, 921600])
def test_a_chip_left_at_another_speed_by_a_crash_is_found(make, left_at, baud):
    bench = make(start=False, baud=baud)
    bench.chip.baud, bench.chip.asleep = left_at, False
    bench.start()
    assert bench.chip.baud == baud
    bench.tap(card())
    assert bench.say().value == FCI


def test_a_board_that_says_115200_never_leaves_it(make):
    lines = []
    bench = make(baud=115200, log=lambda kind, text: lines.append(text))
    bench.tap(card())
    assert not [line for line in lines if "baud" in line]


def test_a_speed_that_the_board_cannot_have_is_refused():
    with pytest.raises(ValueError, match="baud 9600 is none of"):
        Pn532(print, {"baud": 9600}, "nowhere")


def test_a_line_that_fails_at_the_boards_speed_is_driven_at_115200(make):
    bench = make(start=False)
    chip = bench.chip
    # The long test of the line is the first to suffer from a speed that is not quite right.
    chip.mangle = lambda data: data if chip.baud == 115200 or len(data) < 100 else ACK + frame(b"\xd5\x01\x00" + bytes(262))
    bench.driver.start()
    bench.wait(lambda event: event.value == ("contactless", "ready"))
    assert chip.baud == 115200
    bench.tap(card())
    assert bench.say().value == FCI


def test_the_reset_pin_brings_back_a_chip_that_does_not_listen(make):
    pulses = []

    def reset():
        pulses.append(1)
        bench.chip.silent = False
        bench.chip.reset()

    bench = make(start=False, reset=reset)
    bench.chip.silent = True
    bench.start()
    assert pulses == [1]


def test_a_chip_that_lost_its_power_for_a_moment_is_set_up_again(make):
    bench = make(baud=115200)
    bench.chip.reset()
    bench.chip.asleep = False
    bench.chip.place(card())
    assert bench.find() == Event(CARD_PROBLEM, 1, "reader-gone")
    bench.wait(lambda event: event.value == ("contactless", "ready"))
    assert bench.find().name == CARD_FOUND
    assert bench.say().value == FCI


def test_a_plug_pulled_under_the_chip_is_noticed_and_repaired(bench):
    bench.chip.reset()
    assert bench.find() == Event(CARD_PROBLEM, 1, "reader-gone")
    bench.wait(lambda event: event.value == ("contactless", "ready"))
    bench.tap(card())
    assert bench.say().value == FCI


def test_a_port_that_appears_late_is_opened_when_it_is_there(make, tmp_path):
    bench = make(start=False)
    path = tmp_path / "port"
    driver = Pn532(bench.inbox.post, {}, str(path))
    driver.retry_s = (0.01,)
    driver.start()
    assert bench.wait(of(0)).value == ("contactless", "gone")
    path.symlink_to(bench.chip.path)
    assert bench.wait(of(0)).value == ("contactless", "ready")
    driver.close()


def test_a_port_that_disappears_is_gone():
    master, slave = pty.openpty()
    tty.setraw(slave)
    chip = Pn532Chip(master)
    chip.start()
    inbox = Inbox()
    driver = Pn532(inbox.post, {}, os.ttyname(slave))
    driver.check_s = 0.02
    driver.start()
    assert inbox.wait(of(0)).value == ("contactless", "ready")
    chip.close()
    os.close(slave)
    os.close(master)
    assert inbox.wait(of(0)).value == ("contactless", "gone")
    driver.close()
    assert driver.fault is None


def test_a_port_that_another_program_holds_is_failed(make):
    bench = make()
    second = bench.new_driver(921600)
    second.start()
    assert bench.wait(of(0)).value == ("contactless", "failed")
    second.close()
    bench.tap(card())
    assert bench.say().value == FCI


def test_close_leaves_the_chip_asleep_at_115200_and_the_field_off(make):
    bench = make()
    bench.tap(card())
    bench.driver.close()
    assert (bench.chip.baud, bench.chip.asleep, bench.chip.field) == (115200, True, False)
    bench.driver = bench.new_driver(921600)
    bench.start()


def test_a_driver_that_was_never_started_closes():
    driver = Pn532(print, {}, "nowhere")
    driver.activate(1)
    driver.cancel(1)
    driver.close()
    driver.close()


def test_without_nfcpy_the_reader_is_failed_and_says_so(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "drivers.nfc_chip", None)
    monkeypatch.delattr(drivers, "nfc_chip", raising=False)
    inbox = Inbox()
    driver = Pn532(inbox.post, {}, "nowhere")
    driver.start()
    assert inbox.wait(of(0)).value == ("contactless", "failed")
    driver.activate(1)
    assert inbox.wait(of(1)) == Event(CARD_PROBLEM, 1, "reader-gone")
    driver.close()
    assert "Import" in driver.fault or "Module" in driver.fault


# Promptness and thrift.


def test_cancel_is_prompt_while_a_slow_card_thinks(make):
    bench = make(air_time=True)
    tag = card(ats=bytes.fromhex("057880e002"))  # FWI 14: may think for 3.3 s
    bench.tap(tag)
    tag.delay_s = 3.0
    bench.driver.transmit(99, SELECT)
    bench.more_heard(0)
    began = time.monotonic()
    bench.driver.cancel(99)
    until(lambda: not bench.chip.field)
    assert time.monotonic() - began < 0.15


def test_a_card_found_in_the_moment_of_the_cancel_is_not_told(bench):
    chip = bench.driver._chip
    activate = chip.activate

    def activate_and_cancel(technology):
        found = activate(technology)
        bench.driver.cancel(1)
        return found

    chip.activate = activate_and_cancel
    bench.chip.place(card())
    bench.driver.activate(1)
    until(lambda: bench.chip.heard and bench.driver._tap is None)
    until(lambda: not bench.chip.field)
    chip.activate = activate
    bench.driver.activate(2)
    assert bench.wait(lambda event: True) == Event(CARD_FOUND, 2, "A")


def test_close_is_prompt_while_the_reader_is_silent(bench):
    bench.chip.silent = True
    bench.driver.activate(1)
    bench.wait(lambda event: event.name == PART)
    began = time.monotonic()
    bench.driver.close()
    assert time.monotonic() - began < 0.5


def test_nothing_is_said_to_the_chip_when_nobody_taps(bench):
    bench.tap(card())
    bench.driver.cancel(1)
    until(lambda: not bench.chip.field)
    before = bench.chip.heard
    threading.Event().wait(0.2)
    assert bench.chip.heard == before


def test_one_command_is_one_frame_to_the_chip(bench):
    bench.tap(card())
    bench.say()
    chip = bench.chip
    heard, said = chip.heard, chip.said
    for _ in range(10):
        bench.say()
    # A frame is 7 bytes round TFI and code, its acknowledgement 6; then the block's PCB, in the answer also a status.
    assert chip.heard - heard == 10 * (7 + 2 + 1 + len(SELECT))
    assert chip.said - said == 10 * (6 + 7 + 2 + 2 + len(FCI))


def test_a_whole_tap_with_ten_commands_costs_the_terminal_at_most_six_milliseconds(bench):
    bench.chip.place(card())

    def spent_ms():
        with open(f"/proc/self/task/{bench.driver._thread.native_id}/schedstat") as stat:
            return int(stat.read().split()[0]) / 1e6

    costs = []
    for _ in range(5):
        before = spent_ms()
        bench.find()
        for _ in range(10):
            assert bench.say().value == FCI
        bench.driver.cancel(next(bench.tickets) - 1)
        until(lambda: not bench.chip.field)
        costs.append(spent_ms() - before)
    assert min(costs) <= 6


# Bad input and secrets.


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_chip_says_the_driver_answers_and_recovers(make, seed):
    chance = random.Random(seed)

    def mangle(data):
        kind = chance.randrange(10)
        if kind < 4:
            return data
        if kind == 4:
            return chance.randbytes(chance.randrange(80))
        if kind == 5:
            return data[: chance.randrange(len(data) + 1)]
        if kind == 6:
            return ACK + frame(b"\xd5" + chance.randbytes(1 + chance.randrange(30)))
        if kind == 7:
            code = bench.chip._last[6:7] if len(bench.chip._last) > 6 else b"\x43"
            return ACK + frame(b"\xd5" + code + chance.randbytes(chance.randrange(30)))
        if kind == 8:
            return data + chance.randbytes(5)
        at = chance.randrange(len(data) or 1)
        return data[:at] + chance.randbytes(1) + data[at + 1 :]

    bench = make(baud=115200)
    bench.chip.place(card())
    bench.chip.mangle = mangle
    for _ in range(4):
        ticket = next(bench.tickets)
        bench.driver.activate(ticket)
        try:
            event = bench.wait(of(ticket), seconds=0.15)
        except AssertionError:
            bench.driver.cancel(ticket)
            continue
        if event.name == CARD_FOUND:
            assert bench.say().name in (CARD_REPLY, CARD_LOST)
            ticket = next(bench.tickets)
            bench.driver.release(ticket)
    bench.chip.mangle = None
    ticket = next(bench.tickets)
    bench.driver.activate(ticket)
    while (event := bench.wait(lambda event: True)).name != CARD_FOUND or event.ticket != ticket:
        if event.value == "reader-gone" or event.name == PART:
            ticket = next(bench.tickets)
            bench.driver.activate(ticket)
    assert bench.say().value == FCI


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_card_says_the_command_is_answered(bench, seed):
    chance = random.Random(seed)

    def noise():
        while True:
            head = chance.choice((b"\x02", b"\x03", b"\x12", b"\x13", b"\xa2", b"\xa3", b"\xf2", b"\xb2", b"\xc2", b""))
            yield head + chance.randbytes(chance.randrange(5))

    for _ in range(40):
        bench.tap(scripted(*itertools.islice(noise(), 30)))
        assert bench.say().name in (CARD_REPLY, CARD_LOST)
        bench.driver.cancel(next(bench.tickets) - 2)
        bench.chip.remove()


def test_no_log_holds_what_card_and_terminal_say(bench, caplog):
    caplog.set_level(1)
    logging.getLogger().setLevel(1)
    track = bytes.fromhex("57136222021234567890123D2512")
    bench.tap(IsoDepTag(lambda command: track + b"\x90\x00"))
    bench.chip.lose_ack = 1
    assert bench.say().value == track + b"\x90\x00"
    bench.chip.remove()
    assert bench.say().name == CARD_LOST
    assert caplog.text == ""
    assert "6222021234567890123" not in repr(bench.driver)


def test_release_after_a_loss_tells_that_the_card_is_gone(bench):
    bench.tap(card())
    bench.chip.remove()
    assert bench.say() == Event(CARD_LOST, 2, "removed")
    bench.driver.release(3)
    assert bench.wait(of(3)) == Event(CARD_GONE, 3, None)
