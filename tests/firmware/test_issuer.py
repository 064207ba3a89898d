"""Issuer authentication and scripts against the cases written from EMV Book 3, 10.9 and 10.10."""

import random
from binascii import hexlify

import pytest

from firmware.emv import card, issuer, tlv
from tests.firmware.dialogue import Script, data_of, hexes, run, why_ends
from tests.firmware.test_tlv import vectors

PROOF = "B9814EF5DE5213D43030"
AUTHENTICATE = "008200000A" + PROOF
UNBLOCK = "8424000008CF323F09A0F6AB9E"
NAME = "9F180411223344"


def authenticated(proof=PROOF, profile="3C00", commands=()):
    data = data_of({"82": profile})
    run(issuer.authenticate(data, hexes(proof)), commands=commands)
    return upper(data.tvr), upper(data.tsi), data


def upper(value):
    return hexlify(value).decode().upper()


def test_every_case_of_issuer_authentication():
    ran = 0
    for case in vectors("flow_made.json")["cases"]:
        if case["topic"] != "issuer_authentication":
            continue
        ran += 1
        given, expected = case["inputs"], case["expected"]
        data = data_of({"82": given["aip"]})
        script = Script(given.get("card", [(AUTHENTICATE, "9000")] if given["tag91"] else []))
        run(issuer.authenticate(data, hexes(given["tag91"] or "")), script)
        if "rule" in expected:  # the second time, the script has no answer left
            run(issuer.authenticate(data, hexes(given["tag91"])))
        else:
            assert upper(data.tvr[4:]) == expected["tvr_byte5"], case["id"]
            assert upper(data.tsi[:1]) == expected["tsi_bit"], case["id"]
    assert ran >= 3


def test_a_card_that_refuses_the_issuer_is_told_in_the_results():
    for status in ("6300", "6985", "6D00"):
        tvr, tsi, _ = authenticated(commands=[(AUTHENTICATE, status)])
        assert (tvr, tsi) == ("0000000040", "1000")


def test_a_card_that_does_not_want_the_command_gets_the_proof_with_its_list():
    tvr, tsi, data = authenticated(profile="3800")
    assert (tvr, tsi) == ("0000000000", "0000")
    assert data.values()[0x91] == hexes(PROOF)


def test_without_a_proof_or_with_one_that_no_command_carries_nothing_is_sent():
    assert authenticated("")[:2] == ("0000000000", "0000")
    assert authenticated("00" * 256)[:2] == ("0000000000", "0000")


def test_a_card_that_leaves_meanwhile_is_lost():
    data = data_of({"82": "3C00"})
    assert why_ends(issuer.authenticate(data, hexes(PROOF)), commands=[(AUTHENTICATE, None)]) == "lost"
    assert data.tsi[0] == 0x10


def scripted(*scripts, before=True, statuses=()):
    """(results, TVR byte 5, TSI byte 1); a status for each command that is to be sent, all of them UNBLOCK."""
    data = data_of()
    templates = [(0x71 if before else 0x72, hexes(value)) for value in scripts]
    commands = [(UNBLOCK, status) for status in statuses]
    results = run(issuer.run_scripts(data, tuple(templates), before), commands=commands)
    assert data.told.get(0xDF31, b"") == results
    return upper(results), data.tvr[4], data.tsi[0]


def commands(count):
    return ("860D" + UNBLOCK) * count


def test_every_case_of_issuer_scripts():
    ran = 0
    for case in vectors("flow_made.json")["cases"]:
        if case["topic"] != "issuer_script":
            continue
        ran += 1
        given, expected = case["inputs"], case["expected"]
        before = given["template"] == "71"
        value = hexes(given["data"])[2:]
        data = data_of()
        script = Script([(UNBLOCK, status) for status in given["card_sw"]])
        results = run(issuer.run_scripts(data, ((int(given["template"], 16), value),), before), script)
        assert upper(results) == expected["result"], case["id"]
        assert upper(data.tvr[4:]) == expected["tvr_byte5"], case["id"]
        assert upper(data.tsi[:1]) == expected["tsi_bit"], case["id"]
    assert ran >= 4


def test_each_script_is_carried_out_at_its_time_and_in_its_order():
    both = ((0x72, hexes("9F180400000002" + commands(1))), (0x71, hexes("9F180400000001" + commands(1))))
    data = data_of()
    assert upper(run(issuer.run_scripts(data, both, True), commands=[(UNBLOCK, "9000")])) == "2000000001"
    assert upper(run(issuer.run_scripts(data, both, False), commands=[(UNBLOCK, "6985")])) == "1100000002"
    assert upper(data.told[0xDF31]) == "20000000011100000002"
    assert upper(data.tvr) == "0000000010" and data.tsi[0] == 0x04


def test_without_a_script_nothing_was_processed():
    assert scripted() == ("", 0x00, 0x00)
    data = data_of()
    assert run(issuer.run_scripts(data, ((0x72, hexes(commands(1))),), True)) == b""


@pytest.mark.parametrize("status", ["9000", "9001", "6200", "6283", "6300", "63C1"])
def test_a_warning_does_not_stop_a_script(status):
    assert scripted(NAME + commands(2), statuses=(status, "9000")) == ("2011223344", 0x00, 0x04)


@pytest.mark.parametrize("status", ["6400", "6700", "6A80", "6985", "6F00", "9100"])
def test_an_error_stops_this_script_and_not_the_next(status):
    got = scripted(NAME + commands(3), "9F180455667788" + commands(1), statuses=("9000", status, "9000"))
    assert got == ("12112233442055667788", 0x20, 0x04)


def test_the_fifteenth_command_and_those_after_it_are_told_alike():
    for good, digit in ((13, "E"), (14, "F"), (15, "F")):
        got = scripted(commands(17), before=False, statuses=("9000",) * good + ("6A80",))
        assert got == ("1" + digit + "00000000", 0x10, 0x04)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("", "0000000000"),
        (NAME, "0011223344"),
        (NAME + "8603842400", "0011223344"),  # no command is so short
        (NAME + "860D" + UNBLOCK[:-2], "0011223344"),
        (commands(1) + "86", "0000000000"),  # not even the first command is sent
        ("9F1803112233" + commands(1), "0000000000"),
        (NAME + "86" + "81FF" + "00" * 255, "0011223344"),  # more than a script may have
    ],
)
def test_a_script_that_cannot_be_read_is_not_performed(value, result):
    assert scripted(value) == (result, 0x20, 0x04)
    assert scripted(value, before=False) == (result, 0x10, 0x04)


def test_objects_that_a_script_does_not_know_are_passed_over():
    assert scripted("DF010100" + commands(1) + NAME, statuses=("9000",)) == ("2011223344", 0x00, 0x04)


def test_more_scripts_than_any_answer_holds_are_left_alone():
    got = scripted(*[commands(1)] * 40, statuses=("9000",) * issuer.MAX_SCRIPTS)
    assert got == ("2000000000" * issuer.MAX_SCRIPTS, 0x00, 0x04)


def test_what_was_carried_out_is_known_though_the_card_has_left():
    data = data_of()
    scripts = ((0x71, hexes("9F180400000001" + commands(1))), (0x71, hexes(NAME + commands(2))), (0x71, hexes(commands(1))))
    answers = [(UNBLOCK, "9000"), (UNBLOCK, "9000"), (UNBLOCK, None)]
    assert why_ends(issuer.run_scripts(data, scripts, True), commands=answers) == "lost"
    assert upper(data.told[0xDF31]) == "20000000011211223344"
    assert data.tvr[4] == 0x20


def test_whatever_scripts_and_answers_come_there_is_a_result_for_each():
    chance = random.Random(13)
    good = hexes(NAME + commands(2))
    for _ in range(1000):
        scripts = []
        for _ in range(chance.randrange(4)):
            value = bytearray(good)
            value[chance.randrange(len(value))] = chance.randrange(256)
            scripts.append((chance.choice((0x71, 0x72)), bytes(value[: chance.randrange(len(value) + 1)])))
        data = data_of()
        step, sent = issuer.run_scripts(data, tuple(scripts), True), None
        due = [tag for tag, _ in scripts].count(0x71)
        try:
            for _ in range(20):
                step.send(sent)
                sent = chance.choice((b"\x90\x00", b"\x6a\x80", b"\x63\x00", b"\x90", None))
            pytest.fail("it goes on")
        except StopIteration as end:
            assert len(end.value) == 5 * due and end.value == data.told.get(0xDF31, b"")
        except card.Ended as end:
            assert end.why in ("lost", "malformed") and len(data.told[0xDF31]) <= 5 * due


def test_a_script_is_read_as_it_is_written():
    value = tlv.encode([(0x9F18, hexes("11223344")), (0x86, hexes(UNBLOCK)), (0x86, hexes("84160000"))])
    assert issuer.parse(value) == (hexes("11223344"), [hexes(UNBLOCK), hexes("84160000")])
