import json
import random
import stat

import pytest

from emulator.cards import builder, recorded
from emulator.cards.builder import build
from emulator.cards.catalogue import LONG, NEVER
from emulator.cards.recorded import Pair, RecordedCard, Recorder, RecordError
from emulator.cards.stripe import text
from firmware.emv import contact, contactless, tlv
from firmware.emv.settings import Request
from tests.emulator.holder import ALONE, Holder, settings
from tests.firmware.test_tlv import vectors

OFFLINE = settings(**ALONE)


def taken(card, tap=False):
    """(outcome, pairs) of a transaction with a card."""
    holder = Holder(card, record=builder.record_of(card))
    recorder = Recorder(card if tap else card.chip)
    flow = contactless.tap if tap else contact.insert
    outcome = holder.drive(flow(OFFLINE, Request(1234, "261120", "101500", bytes(4), 17)), recorder)
    return outcome, recorder.pairs


def played(pairs, tap=False, number=bytes(4), strict=False, at=OFFLINE):
    card = RecordedCard(pairs, strict)
    flow = contactless.tap if tap else contact.insert
    return Holder(card, record={}).drive(flow(at, Request(1234, "261120", "101500", number, 17)), card), card


def offline_card(**changes):
    return build(iac=NEVER, offline_fen=50_000, rules="1F03", **changes)


# Playing


@pytest.mark.parametrize("tap", [False, True])
def test_a_recorded_transaction_is_played_back_to_the_same_end(tap):
    outcome, pairs = taken(offline_card(), tap)
    again, card = played(pairs, tap)
    assert (
        (again.status, again.why, again.pan)
        == (outcome.status, outcome.why, outcome.pan)
        == ("approved", "approved", outcome.pan)
    )
    assert again.tags == outcome.tags and card.missed == 0


def test_another_unpredictable_number_is_answered_and_its_signature_is_wrong():
    _, pairs = taken(offline_card(oda="cda", format=0x77))
    outcome, card = played(pairs, number=b"\1\1\1\1")
    assert (outcome.why, outcome.hex_of(0x95)) == ("forged", "0400000000") and card.missed == 0


def test_a_strict_card_answers_only_what_it_was_asked():
    _, pairs = taken(offline_card())
    assert played(pairs, strict=True)[0].status == "approved"
    outcome, card = played(pairs, number=b"\1\1\1\1", strict=True)
    assert outcome.status == "end-application" and card.missed == 1


def test_what_was_never_recorded_is_refused_as_a_card_would():
    card = RecordedCard([Pair(bytes.fromhex("00A4040000"), b"\x90\x00")])
    answers = {"00A4040002315000": "6a82", "00B2010C00": "6a83", "80CA9F1700": "6d00", "00": "6d00"}
    assert {command: card.apdu(bytes.fromhex(command)).hex() for command in answers} == answers and card.missed == 4


def test_a_command_that_comes_twice_gets_its_answers_in_order_and_again_after_a_reset():
    command = bytes.fromhex("0084000000")
    card = RecordedCard([Pair(command, b"\1\x90\x00"), Pair(command, b"\2\x90\x00")])
    assert [card.apdu(command)[0] for _ in range(3)] == [1, 2, 1]
    card.reset()
    assert card.apdu(command)[0] == 1


def test_pairs_of_a_t0_reader_are_joined():
    pairs = [("00A4040000", "6104"), ("00C0000004", "6F0201029000"), ("00B2010C00", "6C02"), ("00B2010C02", "70009000")]
    joined = recorded.joined([Pair(bytes.fromhex(command), bytes.fromhex(response)) for command, response in pairs])
    assert [(command.hex(), response.hex()) for command, response in joined] == [
        ("00a4040000", "6f0201029000"), ("00b2010c00", "70009000"),
    ]  # fmt: skip


def test_the_public_transcripts_can_be_inserted_and_tapped_and_end_with_a_name():
    file = json.dumps(vectors("transcripts.json"))
    cases = recorded.read(file)
    assert len(cases) == len(vectors("transcripts.json")["cases"])
    keys = settings()
    for name, pairs in cases:
        for flow in (contact.insert, contactless.tap):
            card = RecordedCard(pairs, name=name)
            outcome = Holder(card, record={"pan": "", "sequence": "", "issuer_key": b""}).drive(
                flow(keys, Request(1234, "261120", "101500", bytes(4), 17)), card
            )
            assert outcome.status


# Files


def test_a_file_may_be_one_object_several_or_lines(tmp_path):
    pair = {"c": "00A4040000", "r": "9000"}
    for content in (
        {"name": "one", "apdus": [pair]},
        {"cases": [{"name": "none", "apdus": [pair, pair]}, {"name": "one", "apdus": [pair]}]},
    ):
        (tmp_path / "card.json").write_text(json.dumps(content))
        card = recorded.load(tmp_path / "card.json", name="one")
        assert (card.name, len(card.pairs)) == ("one", 1)
    (tmp_path / "card.jsonl").write_text("\n".join(json.dumps(pair) for _ in range(3)) + "\n")
    assert recorded.load(tmp_path / "card.jsonl").name == "card" and len(recorded.load(tmp_path / "card.jsonl").pairs) == 3
    with pytest.raises(RecordError, match="'two'"):
        recorded.load(tmp_path / "card.json", name="two")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "card 1"), ("{", "neither"), ("[]", "card 1"), ('{"cases": []}', "no card"), ('{"cases": 3}', "no card"),
        ("3", "card 1"), ('[{"c": "00A40400"}]', "pair 1"), ('[{"c": "zz", "r": "9000"}]', "pair 1"), ("[3]", "pair 1"),
        ('[{"c": "00A4", "r": "9000"}]', "too short"), ('[{"c": "00A4040000", "r": "90"}]', "too short"),
        ('[{"c": 1, "r": 2}]', "pair 1"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_card_is_refused_with_the_place(text, why):
    with pytest.raises(RecordError, match=why):
        recorded.read(text)


def test_any_text_is_a_card_or_refused():
    chance = random.Random(23)
    good = json.dumps({"name": "x", "apdus": [{"c": "00A4040000", "r": "6F009000"}] * 3})
    for _ in range(500):
        data = list(good)
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chr(chance.randrange(32, 127))
        try:
            cases = recorded.read("".join(data))
        except RecordError:
            continue
        assert all(pairs for _, pairs in cases)


# Writing


def written(tmp_path, pairs, masked=True):
    path = tmp_path / "card.json"
    recorded.save(path, pairs, "card", masked)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return path, path.read_text()


@pytest.mark.parametrize("tap", [False, True])
def test_what_is_written_has_neither_number_nor_track_nor_name_nor_certificate(tmp_path, tap):
    card = offline_card(quick=LONG)
    outcome, pairs = taken(card, tap)
    _, content = written(tmp_path, pairs)
    number = outcome.pan
    assert number not in content and number.encode().hex().upper() not in content
    assert number[:6] in content and number[-4:] in content
    assert outcome.tags[0x9F46].hex().upper() not in content and outcome.track2[:-1] not in content
    assert b"TEST/CARD".hex().upper() not in content


def test_a_masked_card_can_still_be_played_and_is_not_proved(tmp_path):
    _, pairs = taken(offline_card())
    path, _ = written(tmp_path, pairs)
    outcome, _ = played(recorded.load(path).pairs, at=settings(**ALONE))
    assert outcome.hex_of(0x95)[:2] == "08" and outcome.pan == "620012" + "0" * 9 + builder.TEST_NUMBER[-4:]


def test_a_card_of_the_test_authorities_may_be_written_as_it_is_and_no_other(tmp_path):
    outcome, pairs = taken(offline_card())
    path, content = written(tmp_path, pairs, masked=False)
    assert outcome.pan in content and played(recorded.load(path).pairs)[0].status == "approved"
    for faults in ({"wrong_certificate": True}, None):
        card = offline_card(faults=faults) if faults else offline_card(oda="", quick=())
        with pytest.raises(RecordError, match="test authorities"):
            recorded.save(tmp_path / "other.json", taken(card)[1], masked=False)
    assert not (tmp_path / "other.json").exists()


def test_no_public_transcript_may_be_written_as_it_is(tmp_path):
    for _, pairs in recorded.read(json.dumps(vectors("transcripts.json"))):
        assert not recorded.may_show(pairs)


def test_a_pin_is_never_written_even_where_the_card_may_be(tmp_path):
    card = build(rules="41031F03")
    recorder = Recorder(card.chip)
    Holder(card).drive(contact.insert(OFFLINE, Request(1234, "261120", "101500", bytes(4), 17)), recorder)
    _, content = written(tmp_path, recorder.pairs, masked=False)
    assert "0020008008" in content and "26" + card.pin not in content
    for shown in (repr(recorder.pairs), repr(RecordedCard(recorder.pairs))):
        assert card.pan not in shown and card.pin not in shown


def test_a_number_where_it_does_not_belong_is_hidden_too():
    number = builder.TEST_NUMBER
    inside = bytes.fromhex("DF2020") + b"my card is " + number.encode() + b"  "
    pairs = [
        Pair(bytes.fromhex("00B2010C00"), bytes.fromhex("700C5A0A" + number + "F") + b"\x90\x00"),
        Pair(bytes.fromhex("00B2020C00"), b"\x70" + bytes((len(inside),)) + inside + b"\x90\x00"),
    ]
    assert all(number.encode() not in response for _, response in recorded.hidden(pairs))
    assert text(build().applications[0].holder).startswith("%B62")


def test_what_names_the_holder_is_masked_in_every_track():
    number = "6225880000000006"
    said = [
        (0x56, b"B" + number.encode() + b"^LI/LEI^30122010000"), (0x5F20, b"LI/LEI"),
        (0x9F6B, bytes.fromhex(number + "D30122010000123F")),
    ]  # fmt: skip
    ((_, response),) = recorded.hidden([Pair(b"\x00\xb2\x01\x0c\x00", tlv.encode([(0x70, said)]) + b"\x90\x00")])
    masked = dict(tlv.decode(response[:-2])[0][1])
    assert masked[0x56] == b"X" * len(said[0][1]) and masked[0x5F20] == b"X" * 6
    assert masked[0x9F6B].hex().upper() == "622588" + "000000" + "0006" + "D30122010000000F"


def test_an_answer_that_cannot_be_read_is_masked_to_its_status():
    number = b"6225880000000006"
    ((_, response),) = recorded.hidden([Pair(b"\x00\xb2\x01\x0c\x00", b"\x70\x7f" + number + b"\x90\x00")])
    assert response == b"\x90\x00"


@pytest.mark.parametrize("masked", [True, False])
def test_what_verify_and_the_issuers_commands_carry_is_never_written(masked):
    pairs = [
        Pair(bytes.fromhex("0020008008" + "26482915FFFFFFFF"), b"\x90\x00"),
        Pair(bytes.fromhex("84DA9F580501AABBCCDD"), b"\x90\x00"),
    ]
    commands = [command.hex().upper() for command, _ in recorded.hidden(pairs, masked)]
    assert commands == ["0020008008" + "00" * 8, "84DA9F5805" + "00" * 5]
