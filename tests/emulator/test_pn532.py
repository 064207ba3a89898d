"""The emulated reader chip and the cards in its field, as bytes; and as nfcpy, unchanged, sees them."""

import os
import random
import time

import pytest
import serial

from emulator.cards.iso14443 import ACTIVE, HALT, PROTOCOL, IsoDepTag, PlainTag
from emulator.chips.pn532 import ACK, Pn532Chip, frame, host_speed
from tests.toys import DEADLINE_S, until

WAKE = bytes(10)
GET_VERSION = bytes.fromhex("0000ff02fed4022a00")
VERSION = bytes.fromhex("0000ff06fad50332010607e800")
SELECT = bytes.fromhex("00A404000E325041592E5359532E444446303100")
FCI = bytes.fromhex("6F23840E325041592E5359532E4444463031A511BF0C0E610C4F07A00000033301018701019000")


class Host:
    """The other end of the wire, in bytes."""

    def __init__(self, chip):
        self.chip = chip
        self.port = serial.Serial(chip.path, 115200, timeout=DEADLINE_S)

    def read(self, size):
        return self.port.read(size)

    def silence(self):
        """What arrives although nothing should: the chip answers within its own thread, so a served bell is enough."""
        before = self.chip.heard
        self.port.write(b"\x55")
        until(lambda: self.chip.heard > before)
        return self.port.read(self.port.in_waiting)

    def wake(self):
        self.port.write(WAKE + GET_VERSION)
        assert self.read(len(ACK + VERSION)) == ACK + VERSION

    def ask(self, code, data=b""):
        """One command -> the data of its answer; None for the error frame."""
        self.port.write(frame(bytes([0xD4, code]) + data))
        assert self.read(6) == ACK
        head = self.read(5)
        if head[3:5] == b"\xff\xff":
            more = self.read(3)
            size = more[0] << 8 | more[1]
        else:
            size = head[3]
        body = self.read(size + 2)[:size]
        if body == b"\x7f":
            return None
        assert body[:2] == bytes([0xD5, code + 1])
        return body[2:]


@pytest.fixture
def chip():
    chip = Pn532Chip.on_pty()
    yield chip
    chip.close()


@pytest.fixture
def host(chip):
    host = Host(chip)
    host.wake()
    host.ask(0x12, b"\x00")
    yield host
    host.port.close()


def card(**options):
    return IsoDepTag(lambda command: FCI, **options)


# The wire.


def test_an_answer_has_the_bytes_of_the_manual(chip):
    Host(chip).wake()


def test_a_sleeping_chip_does_not_hear_the_frame_that_wakes_it(chip):
    host = Host(chip)
    host.port.write(GET_VERSION)
    until(lambda: not chip.asleep)
    assert host.silence() == b""
    host.port.write(GET_VERSION)
    assert host.read(len(ACK + VERSION)) == ACK + VERSION


def test_the_last_answer_is_said_again_when_the_host_asks(host):
    host.port.write(GET_VERSION)
    assert host.read(len(ACK + VERSION)) == ACK + VERSION
    host.port.write(bytes.fromhex("0000ffff0000"))
    assert host.read(len(VERSION)) == VERSION


def test_an_unknown_command_gets_the_error_frame(host):
    host.port.write(frame(b"\xd4\x99"))
    assert host.read(14) == ACK + bytes.fromhex("0000ff01ff7f8100")


def test_a_long_frame_is_extended_both_ways(host):
    data = b"\x00" + bytes(range(256)) + b"abcde"
    assert host.ask(0x00, data) == data
    assert frame(bytes(256))[3:8] == b"\xff\xff\x01\x00\xff"


@pytest.mark.parametrize("split", range(1, 9))
def test_frames_arrive_in_any_pieces(host, split):
    for start in range(0, len(GET_VERSION), split):
        before = host.chip.heard
        host.port.write(GET_VERSION[start : start + split])
        until(lambda before=before: host.chip.heard > before)
    assert host.read(len(ACK + VERSION)) == ACK + VERSION


@pytest.mark.parametrize("at", range(3, 8))
def test_a_damaged_frame_is_not_acknowledged(host, at):
    damaged = bytearray(GET_VERSION)
    damaged[at] ^= 0x10
    host.port.write(damaged)
    assert host.silence() == b""
    host.port.write(bytes(40))  # ends whatever a damaged length still waits for
    host.port.write(bytes.fromhex("0000ff00ff00") + GET_VERSION)
    assert VERSION in host.read(len(ACK + VERSION))


def test_a_new_speed_counts_from_the_hosts_acknowledgement(host, chip):
    assert host.ask(0x10, b"\x07") == b""
    assert chip.baud == 115200
    host.port.write(ACK)
    until(lambda: chip.baud == 921600)
    host.port.write(GET_VERSION)
    assert host.silence() == b""
    host.port.baudrate = 921600
    assert host_speed(chip.fd) == 921600
    assert host.ask(0x02) == bytes.fromhex("32010607")


def test_a_new_speed_counts_also_when_the_host_is_seen_to_use_it(host, chip):
    host.ask(0x10, b"\x05")
    host.port.baudrate = 230400
    assert host.ask(0x02) == bytes.fromhex("32010607")
    assert chip.baud == 230400


def test_a_speed_that_the_chip_does_not_have_is_an_error(host, chip):
    assert host.ask(0x10, b"\x09") is None


def test_power_lost_forgets_everything(host, chip):
    host.ask(0x10, b"\x07")
    host.port.write(ACK)
    until(lambda: chip.baud == 921600)
    chip.place(card())
    chip.reset()
    assert (chip.baud, chip.asleep, chip.field) == (115200, True, False)
    host.wake()
    # It activates cards by itself again.
    assert host.ask(0x4A, b"\x01\x00").endswith(card().ats)


def test_power_down_sleeps_with_the_field_off(host, chip):
    host.ask(0x4A, b"\x01\x00")
    assert chip.field
    assert host.ask(0x16, b"\xb0\x00") == b"\x00"
    assert (chip.asleep, chip.field) == (True, False)


def test_registers_keep_what_is_written(host):
    assert host.ask(0x08, bytes.fromhex("630280630381")) == b""
    assert host.ask(0x06, bytes.fromhex("630263036305")) == b"\x80\x81\x00"


def test_real_speed_takes_real_time(chip):
    chip.pace = True
    host = Host(chip)
    host.wake()
    data = bytes(262)
    began = time.monotonic()
    host.ask(0x00, data)
    assert time.monotonic() - began >= 2 * len(frame(data)) * 10 / 115200


def test_a_hosts_acknowledgement_ends_the_command_under_way(host, chip):
    chip.air_time = True
    host.ask(0x32, b"\x02\x0a\x0b\x10")
    chip.place(card())
    host.ask(0x4A, b"\x01\x00")
    chip.remove()
    host.port.write(frame(b"\xd4\x42\xe0\x80"))
    assert host.read(6) == ACK
    host.port.write(ACK)
    assert host.ask(0x02) == bytes.fromhex("32010607")


@pytest.mark.parametrize("fault", ["lose_ack", "corrupt_ack", "lose_answer", "corrupt_answer"])
def test_a_fault_of_the_line_happens_as_often_as_it_is_set(host, chip, fault):
    setattr(chip, fault, 1)
    host.port.write(GET_VERSION)
    until(lambda: getattr(chip, fault) == 0)
    assert (host.silence() == ACK + VERSION) is False
    assert host.ask(0x02) == bytes.fromhex("32010607")


def test_a_silent_chip_hears_and_does_nothing(host, chip):
    chip.silent = True
    host.port.write(GET_VERSION)
    assert host.silence() == b""
    chip.silent = False
    assert host.ask(0x02) == bytes.fromhex("32010607")


@pytest.mark.parametrize("seed", range(4))
def test_no_bytes_from_the_host_stop_the_chip(host, chip, seed):
    chance = random.Random(seed)
    chip.place(card())
    codes = (0x00, 0x04, 0x06, 0x08, 0x10, 0x12, 0x14, 0x32, 0x40, 0x42, 0x44, 0x4A, 0x52, 0x54, 0x99)
    for _ in range(150):
        data = chance.choice(
            (
                chance.randbytes(chance.randrange(1, 40)),
                frame(b"\xd4" + bytes([chance.choice(codes)]) + chance.randbytes(chance.randrange(8))),
                frame(chance.randbytes(chance.randrange(1, 4))),
            )
        )
        host.port.write(data)
        host.silence()
    chip.reset()
    host.port.baudrate = 115200
    host.port.reset_input_buffer()
    host.port.write(bytes(600))
    host.wake()


def test_a_host_that_does_not_read_does_not_block_the_chip(host, chip):
    chip.mangle = lambda data: bytes(60_000)
    host.port.write(GET_VERSION)
    until(lambda: chip.said > 60_000)
    chip.mangle = None
    assert len(host.port.read(1000)) == 1000
    host.port.write(GET_VERSION)
    assert host.port.read_until(ACK + VERSION).endswith(ACK + VERSION)


def test_the_chip_leaves_no_descriptor_behind():
    before = len(os.listdir("/proc/self/fd"))
    Pn532Chip.on_pty().close()
    assert len(os.listdir("/proc/self/fd")) == before


# The field.


def test_an_empty_field_has_no_cards(host):
    assert host.ask(0x4A, b"\x02\x00") == b"\x00"
    assert host.ask(0x4A, b"\x01\x03\x00") == b"\x00"


def test_a_card_of_type_a_is_listed_with_its_identifier(host, chip):
    chip.place(card(uid=bytes.fromhex("04112233445566")))
    assert host.ask(0x4A, b"\x01\x00") == bytes.fromhex("0101000420070411223344" + "5566")


def test_two_cards_are_listed_and_reached_again_after_the_field_was_off(host, chip):
    chip.place(card(uid=b"\x08\x01\x01\x01"))
    chip.place(card(uid=b"\x08\x02\x02\x02"))
    assert host.ask(0x4A, b"\x02\x00")[0] == 2
    assert host.ask(0x4A, b"\x02\x00")[0] == 0
    host.ask(0x32, b"\x01\x02")
    assert host.ask(0x4A, b"\x01\x00")[0] == 1


def test_a_card_of_type_b_is_reached_as_nfcpy_does_it(host, chip):
    tag = card(technology="B")
    chip.place(tag)
    assert host.ask(0x4A, b"\x01\x03\x00") == b"\x01\x01" + tag.atqb + b"\x01\x01"
    assert host.ask(0x42, b"\xca\x01") == b"\x00\xca\x01"
    assert host.ask(0x42, b"\x05\x00\x08") == b"\x00" + tag.atqb
    assert host.ask(0x42, b"\x1d" + tag.atqb[1:5] + b"\x00\x08\x01\x00") == b"\x00\x00"
    assert host.ask(0x42, b"\x02" + SELECT) == b"\x00\x02" + FCI


def test_two_cards_that_answer_at_once_collide(host, chip):
    for uid in (b"\x08\x01\x01\x01", b"\x08\x02\x02\x02"):
        chip.place(card(technology="B", atqb=b"\x50" + uid + bytes.fromhex("00000000008171")))
    host.ask(0x4A, b"\x01\x03\x00")
    host.ask(0x42, b"\xca\x01")
    assert host.ask(0x42, b"\x05\x00\x08") == b"\x02"


def test_a_card_out_of_the_field_does_not_answer(host, chip):
    tag = card()
    chip.place(tag)
    host.ask(0x4A, b"\x01\x00")
    chip.remove(tag)
    assert host.ask(0x42, b"\xe0\x80") == b"\x01"
    assert chip.cards == []


def test_every_command_to_the_card_is_shown(host, chip):
    shown = []
    chip._on_apdu = lambda direction, apdu: shown.append((direction, apdu))
    chip.place(card())
    host.ask(0x4A, b"\x01\x00")
    host.ask(0x42, b"\xe0\x80")
    host.ask(0x42, b"\x02" + SELECT)
    assert shown == [("command", SELECT), ("answer", FCI)]


def test_the_log_holds_nothing_of_what_the_card_says(chip):
    lines = []
    chip._log = lambda kind, text: lines.append(f"{kind} {text}")
    host = Host(chip)
    host.wake()
    host.ask(0x12, b"\x00")
    chip.place(card())
    for _ in range(3):
        host.ask(0x4A, b"\x01\x00")
    host.ask(0x42, b"\xe0\x80")
    host.ask(0x42, b"\x02" + SELECT)
    chip.remove()
    assert lines == [
        "card type A card in the field",
        "reader looks for type A: 1 in the field",
        "reader looks for type A: 0 in the field",
        "reader looks for type A: 1 in the field",
        "card type A card out of the field",
    ]


# Cards, block by block (ISO/IEC 14443-4, 7.5).


def activated(answer=FCI, size_code=0x80, **options):
    tag = IsoDepTag(lambda command: answer, **options)
    tag.select()
    assert tag.frame(bytes([0xE0, size_code])) == tag.ats
    return tag


def test_a_card_toggles_its_number_with_each_command():
    tag = activated(b"\x90\x00")
    assert [tag.frame(b"\x02" + SELECT), tag.frame(b"\x03" + SELECT), tag.frame(b"\x02" + SELECT)] == [
        b"\x02\x90\x00", b"\x03\x90\x00", b"\x02\x90\x00"]  # fmt: skip


def test_a_lost_answer_is_said_again_and_the_command_done_once():
    tag = activated(b"\x90\x00")
    commands = []
    tag.heard = lambda direction, apdu: commands.append(direction)
    tag.lose_answers = 1
    assert tag.frame(b"\x02" + SELECT) is None
    assert tag.frame(b"\xb2") == b"\x02\x90\x00"
    assert tag.frame(b"\xb2") == b"\x02\x90\x00"
    assert commands == ["command", "answer"]


def test_a_lost_command_is_asked_for():
    tag = activated(b"\x90\x00")
    tag.lose_blocks = 1
    assert tag.frame(b"\x02" + SELECT) is None
    assert tag.frame(b"\xb2") == b"\xa3"
    assert tag.frame(b"\x02" + SELECT) == b"\x02\x90\x00"


def test_a_chained_command_is_acknowledged_part_by_part():
    tag = activated(b"\x90\x00")
    commands = []
    tag.heard = lambda direction, apdu: commands.append(apdu)
    assert tag.frame(b"\x12" + SELECT[:8]) == b"\xa2"
    assert tag.frame(b"\x13" + SELECT[8:12]) == b"\xa3"
    assert tag.frame(b"\x02" + SELECT[12:]) == b"\x02\x90\x00"
    assert commands == [SELECT, b"\x90\x00"]


def test_an_answer_longer_than_the_readers_frames_is_chained():
    tag = activated(bytes(range(40)), size_code=0x10)  # frames of 24 bytes
    assert tag.frame(b"\x02" + SELECT) == b"\x12" + bytes(range(21))
    assert tag.busy
    assert tag.frame(b"\xa2") == b"\x12" + bytes(range(21))
    assert tag.frame(b"\xa3") == b"\x03" + bytes(range(21, 40))
    assert not tag.busy


def test_more_time_is_asked_for_before_the_answer():
    tag = activated(b"\x90\x00", wtx=2)
    assert [tag.frame(b"\x02" + SELECT), tag.frame(b"\xb2"), tag.frame(b"\xf2\x01"), tag.frame(b"\xf2\x01")] == [
        b"\xf2\x01", b"\xf2\x01", b"\xf2\x01", b"\x02\x90\x00"]  # fmt: skip


def test_a_frame_longer_than_the_card_takes_is_not_heard():
    tag = activated(ats=bytes.fromhex("0200"))
    assert tag.frame(b"\x02" + bytes(14)) is None
    assert tag.frame(b"\x02" + bytes(13)) is not None


def test_deselect_halts_the_card_and_only_a_wake_up_reaches_it():
    tag = activated()
    assert tag.frame(b"\xc2") == b"\xc2"
    assert tag.state == HALT
    assert (tag.requested(), tag.requested(wake=True)) == (False, True)


def test_a_selected_card_that_is_called_again_answers_the_call_after():
    tag = card()
    tag.select()
    assert tag.state == ACTIVE
    assert (tag.requested(), tag.requested()) == (False, True)


def test_without_the_field_a_card_forgets_all():
    resets = []

    class Application:
        def apdu(self, command):
            return b"\x90\x00"

        def reset(self):
            resets.append(1)

    tag = IsoDepTag(Application())
    tag.select()
    tag.frame(b"\xe0\x80")
    assert tag.state == PROTOCOL
    tag.field_off()
    assert resets == [1]
    assert tag.frame(b"\x02" + SELECT) is None


def test_a_plain_tag_never_answers_a_frame():
    tag = PlainTag()
    tag.select()
    assert tag.frame(b"\xe0\x80") is None


@pytest.mark.parametrize("seed", range(3))
def test_no_frame_breaks_a_card(seed):
    chance = random.Random(seed)
    for technology in "AB":
        tag = IsoDepTag(lambda command: b"\x90\x00", technology)
        for _ in range(3000):
            tag.frame(chance.randbytes(chance.randrange(12)))
            if not chance.randrange(20):
                tag.requested(), tag.select(), tag.frame(b"\xe0\x80")


# nfcpy as it is.


def test_nfcpy_unchanged_opens_the_chip_finds_both_types_and_exchanges_commands(chip):
    import nfc.clf.pn532
    import nfc.clf.transport
    import nfc.tag

    frontend = nfc.clf.ContactlessFrontend()
    frontend.device = nfc.clf.pn532.init(nfc.clf.transport.TTY(chip.path))
    frontend.device._path = chip.path
    assert chip.baud == 921600
    for technology in "AB":
        tag = IsoDepTag(lambda command: FCI if len(command) < 100 else command + b"\x90\x00", technology, wtx=1)
        chip.place(tag)
        found = frontend.sense(nfc.clf.RemoteTarget("106A"), nfc.clf.RemoteTarget("106B"), iterations=1)
        activated = nfc.tag.activate(frontend, found)
        assert activated.transceive(SELECT) == FCI
        assert activated.transceive(bytes(600)) == bytes(600) + b"\x90\x00"
        assert activated.is_present
        chip.remove()
        assert not activated.is_present
    frontend.close()
    assert (chip.baud, chip.asleep) == (115200, True)
