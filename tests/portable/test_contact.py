"""The whole flow by contacts under CPython and MicroPython alike, with real signatures of the card."""

from firmware.emv import ask, contact
from tests.portable.plain_chip import AAC, ARQC, ASKED, Person, PlainChip, carry_out, request_of, settings_of
from tests.portable.plain_keys import NUMBER, hexes

OFFLINE = {"terminal_floor_limit_fen": 100000, "tac_online": "", "tac_default": "", "tac_denial": ""}
SCRIPT = hexes("9F180411223344 860D8424000008CF323F09A0F6AB9E")


def insert(chip, person=None, row=None):
    return carry_out(contact.insert(settings_of(row), request_of()), chip, person)


def test_a_sale_goes_from_the_directory_to_the_second_scripts():
    chip = PlainChip("cda")
    reply = ask.Reply("00", True, hexes("B9814EF5DE5213D43030"), ((0x71, SCRIPT), (0x72, SCRIPT)))
    outcome = insert(chip, Person(reply))
    assert (outcome.status, outcome.why, outcome.response, outcome.entry) == ("approved", "host", "00", "05")
    assert [command[1] for command in chip.log][-6:] == [0xB2, 0xAE, 0x82, 0x24, 0xAE, 0x24]
    assert outcome.tags[0x95] == hexes("0000008000") and outcome.tags[0x9B] == hexes("FC00")
    assert outcome.tags[0xDF31] == hexes("2011223344 2011223344")
    assert outcome.pan == NUMBER and NUMBER not in repr(outcome)


def test_each_way_of_data_authentication_is_carried_out():
    for method, results in (("", "8000008000"), ("sda", "0200008000"), ("dda", "0000008000"), ("cda", "0000008000")):
        assert insert(PlainChip(method)).tags[0x95] == hexes(results), method


def test_a_wrong_signature_is_refused_at_once():
    chip = PlainChip("cda")
    chip.signs = False
    outcome = insert(chip)
    assert (outcome.status, outcome.why, [command[2] for command in chip.commands(0xAE)]) == ("declined", "forged", [0x90, 0x00])


def test_the_terminal_approves_alone_where_it_may():
    outcome = insert(PlainChip("cda", (ASKED,)), None, OFFLINE)
    assert (outcome.status, outcome.response) == ("approved", "Y1")


def test_an_approval_that_the_card_does_not_follow_is_to_be_undone():
    outcome = insert(PlainChip("cda", (ARQC, AAC)))
    assert (outcome.status, outcome.why, outcome.reverse) == ("declined", "card-declined", True)


def test_every_way_to_break_a_response_ends_in_an_outcome():
    for number in range(12):
        for bad in (None, b"", b"\x90\x00", b"\x6f\x85\x90\x00", b"\x77\x01\x9f\x90\x00", bytes(300)):
            chip = PlainChip("dda")
            chip.instead[number] = bad
            outcome = insert(chip)
            assert outcome.status in contact.result.STATUSES, (number, bad)
