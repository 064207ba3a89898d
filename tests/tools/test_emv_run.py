import io
import json
import random
from binascii import unhexlify

import pytest

from emulator.cards import recorded
from emulator.cards.builder import build
from emulator.cards.catalogue import NEVER
from emulator.cards.recorded import Pair, Recorder
from firmware.emv import contact, contactless, meanings
from firmware.emv.settings import Request
from tests.emulator.holder import ALONE, Holder, settings
from tests.firmware.test_tlv import vectors
from tools import emv
from tools.emv_recording import Recording, request_of

AT = settings(**ALONE)
REQUEST = (1234, "261120", "101500", bytes.fromhex("A1B2C3D4"), 17)


def run(*arguments, text=""):
    """(status, everything that was said)."""
    said = []
    status = emv.main([*map(str, arguments), "--run"], say=said.append, stdin=io.StringIO(text))
    return status, "\n".join(said)


def taken(card, tap=False, at=AT, **holder):
    """(outcome, pairs) of a transaction with a card."""
    recorder = Recorder(card if tap else card.chip)
    outcome = Holder(card, **holder).drive((contactless.tap if tap else contact.insert)(at, Request(*REQUEST)), recorder)
    return outcome, recorder.pairs


def written(folder, pairs, masked=True):
    path = folder / "card.json"
    recorded.save(path, pairs, "card", masked)
    return path


# The same again

CARDS = {
    "offline": dict(iac=NEVER, offline_fen=50_000, rules="1F03"),
    "dda": dict(oda="dda"),
    "cda": dict(oda="cda", format=0x77),
    "plain pin": dict(rules="41031F03"),
    "enciphered pin": dict(rules="44031F03"),
    "no proof": dict(oda="", quick=()),
    "format 1": dict(format=0x80),
}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
@pytest.mark.parametrize("tap", [False, True], ids=["insert", "tap"])
def test_a_recording_is_the_same_transaction_again(tmp_path, card, tap):
    outcome, pairs = taken(build(**card), tap)
    status, text = run(written(tmp_path, pairs, masked=not recorded.may_show(pairs)), "--time", "101500")
    assert status == emv.GOOD, text
    assert f"({outcome.why})" in text and ("tap: " if tap else "insert: ") in text
    assert "A1B2C3D4 (recorded)" in text and "1234 (recorded)" in text and "261120 (recorded)" in text
    for tag in (0x95, 0x9B, 0x9F34):
        assert outcome.hex_of(tag) in text
    assert "other data" not in text and "not in the recording" not in text


@pytest.mark.parametrize("code", ["00", "51"])
def test_the_recorded_issuer_answers_again(tmp_path, code):
    outcome, pairs = taken(build(), code=code)
    status, text = run(written(tmp_path, pairs, masked=False))
    assert (status, outcome.why) == (emv.GOOD, "host" if code == "00" else "host-declined")
    assert f"answers {code}" in text and f"({outcome.why})" in text and f"response     {code}" in text


def test_an_issuer_that_was_not_reached_is_not_reached_again(tmp_path):
    outcome, pairs = taken(build(), code=None)
    status, text = run(written(tmp_path, pairs, masked=False))
    assert status == emv.GOOD and "is not reached" in text and f"({outcome.why})" in text
    assert f"response     {outcome.response}" in text


def test_scripts_of_the_issuer_are_carried_out_again(tmp_path):
    outcome, pairs = taken(build(), rule="script pin-unblock")
    status, text = run(written(tmp_path, pairs, masked=False))
    assert outcome.scripts and status == emv.GOOD
    assert "with Issuer Authentication Data, 7" in text and "told of its scripts" in text


# What is given instead


def test_another_number_is_told_with_the_recorded_one_and_breaks_the_signature(tmp_path):
    _, pairs = taken(build(oda="cda", format=0x77, iac=NEVER, offline_fen=50_000, rules="1F03"))
    status, text = run(written(tmp_path, pairs, masked=False), "--number", "00000001")
    assert status == emv.WRONG_INSIDE
    assert "9F37 Unpredictable Number: 00000001, recorded A1B2C3D4" in text and ": other data" in text
    assert "1:04 combined data authentication failed" in text and "(forged)" in text


def test_day_and_amount_are_given(tmp_path):
    path = written(tmp_path, taken(build())[1], masked=False)
    _, text = run(path, "--date", "370101", "--amount", "999")
    assert "9A Transaction Date: 370101, recorded 261120" in text and "amount, fen 999 (given)" in text
    assert "9F02 Amount, Authorised: 000000000999, recorded 000000001234" in text and "2:40 application expired" in text


def test_another_answer_of_the_issuer_asks_the_card_what_it_was_never_asked(tmp_path):
    path = written(tmp_path, taken(build())[1], masked=False)
    status, text = run(path, "--answer", "51")
    assert status == emv.WRONG_INSIDE and "answers 51" in text
    assert "GENERATE AC 2, asks AAC  =>  6D00 command not supported: not in the recording" in text
    assert "       recorded: GENERATE AC 2, asks TC" in text
    assert "is not reached" in run(path, "--answer", "none")[1]


def test_the_other_way_finds_no_directory(tmp_path):
    path = written(tmp_path, taken(build())[1], masked=False)
    status, text = run(path, "--way", "tap")
    assert status == emv.WRONG_INSIDE and "(no-directory)" in text
    assert "Recorded, and not asked for\n  SELECT 1PAY.SYS.DDF01" in text


def test_a_terminals_file_goes_before_the_recording(tmp_path):
    path = written(tmp_path, taken(build())[1], masked=False)
    rows = {"aid": "A000000333010101", "kernel": "07", "tac_denial": "0000008000", "terminal_floor_limit_fen": 0}
    (tmp_path / "mine.json").write_text(json.dumps({"applications": [rows], "terminal": {"9F1A": "0826"}}))
    status, text = run(path, "--settings", tmp_path / "mine.json")
    assert (
        status == emv.WRONG_INSIDE
        and "GENERATE AC 1, asks AAC  =>  6D00" in text
        and "recorded: GENERATE AC 1, asks ARQC" in text
    )
    (tmp_path / "other.json").write_text(json.dumps({"applications": [{"aid": "A0000000031010"}]}))
    assert "(no-chip-application)" in run(path, "--settings", tmp_path / "other.json")[1]


def test_keys_that_are_not_the_cards_prove_nothing(tmp_path):
    path = written(tmp_path, taken(build(oda="dda"))[1], masked=False)
    rows = [row for row in vectors("capk.json")["keys"] if row["rid"] == "AFFFFFFFFF"]
    assert "1:08 dynamic data authentication failed" in run(path, "--keys", key_file(tmp_path, rows))[1]
    assert "data authentication failed" not in run(path)[1]


# Secrets


def test_nothing_of_number_track_name_or_pin_is_told(tmp_path):
    card = build(rules="41031F03")
    outcome, pairs = taken(card)
    for arguments in ((), ("--number", "00000000"), ("--amount", "5")):
        _, text = run(written(tmp_path, pairs, masked=False), *arguments)
        assert outcome.pan not in text and card.pin not in text and outcome.track2 not in text
        assert "TEST/CARD" not in text and outcome.pan[:6] + "*" * 9 + outcome.pan[-4:] in text


# The public transcripts


def key_file(folder, keys):
    rows = [
        {
            "rid": key["rid"], "index": key["index"], "modulus": key["modulus"], "exponent": key["exponent"], "expiry": "",
            "hash": key.get("hash_sha1") or key.get("hash"), "kind": "test",
        }
        for key in keys
    ]  # fmt: skip
    (folder / "keys.json").write_text(json.dumps({"keys": rows}))
    return folder / "keys.json"


def test_every_public_transcript_runs_to_a_named_end(tmp_path):
    data = vectors("transcripts.json")
    (tmp_path / "all.json").write_text(json.dumps(data))
    status, text = run(tmp_path / "all.json")
    assert status in (emv.GOOD, emv.WRONG_INSIDE)
    assert text.count("Outcome\n") == len(data["cases"])


def test_the_contact_transcript_is_walked_with_its_pin_its_issuer_and_both_cryptograms(tmp_path):
    data = vectors("transcripts.json")
    (tmp_path / "all.json").write_text(json.dumps(data))
    keys = key_file(tmp_path, [key for key in vectors("capk.json")["keys"] if key["rid"] == "AFFFFFFFFF"])
    _, text = run(tmp_path / "all.json", "--case", "emvpt-test-data", "--keys", keys)
    assert "9F37 01234567 (recorded), date 200724 (recorded)" in text
    assert "INTERNAL AUTHENTICATE  =>  9000 ok: as recorded" in text
    assert "VERIFY enciphered PIN, not shown  =>  9000 ok: as recorded" in text
    assert "EXTERNAL AUTHENTICATE 8 bytes of the issuer  =>  9000 ok: as recorded" in text
    assert "95   Terminal Verification Results: 0040000000" in text  # its card had expired; its terminal did not look
    assert "CVM Results: 440302" in text and "(host)" in text


# Calls and files


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--number", "12"), "--number"), (("--number", "zz"), "--number"), (("--date", "261301"), "--date"),
        (("--date", "2611"), "--date"), (("--time", "250000"), "--time"), (("--amount", "-1"), "--amount"),
        (("--answer", "000"), "--answer"), (("--settings", "absent"), "absent"), (("--way", "sideways"), "sideways"),
        (("--case", "none"), "no case"),
    ],
)  # fmt: skip
def test_a_wrong_call_says_what_is_wrong(tmp_path, capsys, arguments, why):
    path = written(tmp_path, taken(build())[1])
    assert run(path, *arguments)[0] == emv.WRONG
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "begins like JSON"), ("", "nothing in it"), ('{"apdus": [{"c": "00A4", "r": "zz"}]}', "not hex"),
        ("9F3602000A", "no exchange with a card"), ('[{"c": "00A40400"}]', "no command with its answer"),
        ('[{"c": "00", "r": "9000"}]', "no command with its answer"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_an_error_and_no_run(tmp_path, capsys, content, why):
    (tmp_path / "torn").write_text(content)
    assert run(tmp_path / "torn")[0] == emv.WRONG
    assert why in capsys.readouterr().err


def test_any_recording_ends_with_an_outcome():
    chance = random.Random(29)
    _, good = taken(build(oda="cda", format=0x77))
    for _ in range(150):
        pairs = [Pair(*map(bytearray, pair)) for pair in good]
        for _ in range(chance.randrange(1, 6)):
            part = chance.choice(chance.choice(pairs))
            part[chance.randrange(len(part))] = chance.randrange(256)
        if chance.random() < 0.5:
            del pairs[chance.randrange(len(pairs)) :]
        trace = json.dumps([{"c": command.hex(), "r": response.hex()} for command, response in pairs])
        assert run("-", text=trace)[0] in (emv.GOOD, emv.WRONG_INSIDE, emv.WRONG)


def test_values_that_are_none_are_not_taken_from_a_recording():
    lists = unhexlify("700D8C0B9F0206" + "9A03" + "9F2103" + "9F3704" + "9000")
    told = unhexlify("80AE80001000000000123A261350259900AABBCCDD00")
    pairs = [Pair(unhexlify("00B2010C00"), lists), Pair(told, unhexlify("9000"))]
    assert Recording(pairs).request() == {"number": "AABBCCDD"}


def test_a_request_needs_every_value_right():
    values = {"amount": "5", "other": "9", "date": "261120", "time": "101500", "number": "00000001", "counter": "7", "kind": "00"}
    request = request_of(values)
    assert (request.amount_fen, request.other_fen, request.tags[0x9F41]) == (5, 5, bytes.fromhex("00000007"))
    assert meanings.words(0x9A, request.tags[0x9A], "") == ["2026-11-20"]
