"""The emulated reader chip and the cards in its slot, as bytes."""

import random

import pytest
import serial

from emulator.cards.iso7816 import ContactCard, card_in_slot
from emulator.chips.ccid import NAK, CcidChip, frame, lrc
from tests.toys import DEADLINE_S, until

ATR = bytes.fromhex("3B650000300102AABB")
READ = bytes.fromhex("00B2010C00")


class Host:
    """The other end of the wire, in bytes."""

    def __init__(self, chip):
        self.chip = chip
        self.port = serial.Serial(chip.path, 115200, stopbits=2, timeout=DEADLINE_S)
        self.number = 0

    def message(self, code, data=b"", three=bytes(3)):
        self.number += 1
        return bytes((code, len(data), 0, 0, 0, 0, self.number)) + three + data

    def send(self, code, data=b"", three=bytes(3)):
        self.port.write(frame(self.message(code, data, three)))

    def hear(self):
        """(type, status, error, data) of the next frame; the two bytes of a movement; three of a NAK; one tick."""
        first = self.port.read(1)
        if first == b"\x50":
            return first + self.port.read(1)
        if first != b"\x03":
            return first
        second = self.port.read(1)
        if second == b"\x15":
            return first + second + self.port.read(1)
        head = self.port.read(10)
        data = self.port.read(head[1] | head[2] << 8)
        whole = first + second + head + data + self.port.read(1)
        assert lrc(whole) == 0
        return head[0], head[7], head[8], data

    def ask(self, code, data=b"", three=bytes(3)):
        self.send(code, data, three)
        return self.hear()


@pytest.fixture
def chip():
    made = CcidChip.on_pty()
    yield made
    made.close()


@pytest.fixture
def host(chip):
    made = Host(chip)
    yield made
    made.port.close()


def test_the_state_of_the_slot_is_told(chip, host):
    assert host.ask(0x65) == (0x81, 2, 0, b"")
    chip.insert(lambda command: b"\x90\x00")
    assert host.hear() == b"\x50\x03"
    assert host.ask(0x65) == (0x81, 1, 0, b"")
    assert host.ask(0x62) == (0x80, 0, 0, ATR)
    assert host.ask(0x63) == (0x81, 1, 0, b"")
    chip.pull()
    assert host.hear() == b"\x50\x02"
    assert host.ask(0x62) == (0x80, 0x42, 0xFE, b"")


def test_a_card_speaks_only_while_it_has_power(chip, host):
    chip.insert(lambda command: b"\x90\x00")
    host.hear()
    assert host.ask(0x6F, READ)[:2] == (0x80, 0x41)
    host.ask(0x62)
    assert host.ask(0x6F, READ) == (0x80, 0, 0, b"\x90\x00")


def test_a_mute_card_has_no_answer(chip, host):
    card = ContactCard(lambda command: b"\x90\x00")
    card.dead = True
    chip.insert(card)
    host.hear()
    assert host.ask(0x62) == (0x80, 0x41, 0xFE, b"")


def test_parameters_must_be_those_of_the_card(chip, host):
    chip.insert(lambda command: b"\x90\x00")
    host.hear()
    host.ask(0x62)
    assert host.ask(0x61, bytes.fromhex("1100000A00"), b"\x00\x00\x00")[1] == 0
    assert host.ask(0x61, bytes.fromhex("11100045002000"), b"\x01\x00\x00")[1] == 0x40
    assert host.ask(0x61, b"\x11", b"\x00\x00\x00")[1] == 0x40


def test_an_unknown_message_is_refused(chip, host):
    assert host.ask(0x77) == (0x81, 0x42, 0, b"")


def test_a_wrong_check_byte_is_a_nak_and_a_nak_the_last_answer_again(chip, host):
    whole = bytearray(frame(host.message(0x65)))
    whole[-1] ^= 1
    host.port.write(whole)
    assert host.hear() == NAK
    assert host.ask(0x65) == (0x81, 2, 0, b"")
    host.port.write(NAK)
    assert host.hear() == (0x81, 2, 0, b"")
    assert chip.commands == [0x65]


def test_a_length_that_cannot_be_is_a_nak(chip, host):
    host.port.write(b"\x03\x06\x6f\xff\xff\x00\x00\x00\x01\x00\x00\x00")
    assert host.hear() == NAK


def test_a_slow_card_makes_the_reader_ask_for_time(chip, host):
    card = ContactCard(lambda command: b"\x90\x00")
    card.nulls = 2
    chip.insert(card)
    host.hear()
    host.send(0x62)
    assert [host.hear()[1] for _ in range(3)] == [0x80, 0x80, 0]


def test_a_gempc_echoes_ticks_and_tells_only_what_it_was_asked_to():
    chip = CcidChip.on_pty("gempc-twin")
    host = Host(chip)
    card = ContactCard(lambda command: b"\x90\x00")
    card.nulls = 1
    chip.insert(card)
    whole = host.message(0x62)
    host.port.write(frame(whole))
    assert host.port.read(len(whole) + 3) == frame(whole)
    assert host.hear() == b"\xff"
    assert host.hear() == (0x80, 0, 0, ATR)
    host.send(0x6B, b"\x01\x01\x01")
    host.hear()
    assert host.hear()[0] == 0x83
    chip.pull()
    assert host.hear() == b"\x50\x02"
    host.port.close()
    chip.close()


def test_at_the_wrong_speed_nothing_is_understood(chip):
    port = serial.Serial(chip.path, 9600, timeout=0)
    port.write(frame(bytes.fromhex("65000000000001000000")))
    until(lambda: chip.heard > 0)
    assert chip.commands == []
    port.close()


def test_power_lost_is_forgotten_by_the_card_too(chip, host):
    resets = []

    class Application:
        def apdu(self, command):
            return b"\x90\x00"

        def reset(self):
            resets.append(1)

    card = ContactCard(Application())
    chip.insert(card)
    host.hear()
    host.ask(0x62)
    before = len(resets)
    chip.reset()
    assert len(resets) == before + 1 and not card.powered
    assert host.ask(0x65)[1] == 1


def test_any_bytes_are_survived(chip, host):
    chance = random.Random(5)
    chip.insert(lambda command: b"\x90\x00")
    for _ in range(300):
        host.port.write(chance.choice((b"\x03\x06", NAK, b"")) + chance.randbytes(chance.randrange(30)))
        if host.port.in_waiting:
            host.port.read(host.port.in_waiting)
    host.port.write(bytes(300))
    host.send(0x65)
    until(lambda: chip.commands[-1:] == [0x65])


# The card's own half.


def powered(application, protocol="T=0", **options):
    card = ContactCard(application, protocol, **options)
    assert card.power() == card.atr
    return card


def test_a_t0_card_lets_its_answer_be_fetched():
    card = powered(lambda command: b"ab\x90\x00")
    assert card.tpdu(bytes.fromhex("00A4040001AA")) == bytes.fromhex("6102")
    assert card.busy
    assert card.tpdu(bytes.fromhex("00C0000005")) == bytes.fromhex("6C02")
    assert card.tpdu(bytes.fromhex("00C0000001")) == b"a" + bytes.fromhex("6101")
    assert card.tpdu(bytes.fromhex("00C0000001")) == b"b" + bytes.fromhex("9000")
    assert not card.busy
    assert card.tpdu(bytes.fromhex("00C0000001")) == bytes.fromhex("6985")


def test_a_t0_card_does_a_command_once_that_came_with_the_wrong_length():
    done = []
    card = powered(lambda command: done.append(command) or b"ab\x90\x00")
    assert card.tpdu(READ) == bytes.fromhex("6C02")
    assert card.tpdu(READ[:4] + b"\x02") == b"ab\x90\x00"
    assert done == [READ]
    assert card.tpdu(READ) == bytes.fromhex("6C02")
    assert len(done) == 2


def test_a_t0_card_may_say_a_warning_first():
    card = powered(lambda command: b"ab\x62\x83")
    card.warns_first = True
    assert card.tpdu(bytes.fromhex("00A4040001AA")) == bytes.fromhex("6283")
    assert card.tpdu(bytes.fromhex("00C0000002")) == b"ab\x90\x00"


def test_without_power_and_with_nonsense_a_card_is_silent_or_refuses():
    card = ContactCard(lambda command: b"\x90\x00")
    assert card.tpdu(READ) is None
    card.power()
    assert card.tpdu(b"\x00") is None
    other = powered(lambda command: b"\x90\x00", "T=1")
    assert other.tpdu(b"\x00\x00\x01")[1] == 0x81


def test_a_card_takes_its_answer_to_reset_from_its_application():
    class Application:
        atr = b"\x3b\x00"

        def apdu(self, command):
            return b"\x90\x00"

    card = card_in_slot(Application())
    assert (card.atr, card.protocol) == (b"\x3b\x00", "T=0")
    assert card_in_slot(card) is card


def test_any_blocks_are_survived_by_a_t1_card():
    chance = random.Random(8)
    card = powered(lambda command: bytes(300) + b"\x90\x00", "T=1")
    for _ in range(3000):
        body = chance.randbytes(chance.randrange(4))
        block = bytes((0, chance.choice((0, 0x20, 0x40, 0x80, 0x90, 0xC0, 0xC1, 0xE3, 0xC3)), len(body))) + body
        answer = card.tpdu(block + bytes((lrc(block),)))
        assert answer is not None and len(answer) >= 4
