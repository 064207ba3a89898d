"""GENERATE AC: its command, its answers in both formats, and the cases written from EMV Book 3, 10.8 and 10.11."""

import hashlib
import random
from binascii import hexlify

import pytest

from firmware.emv import action, ask, card, contact, cryptogram, dol, tlv
from firmware.emv.settings import Request, Settings
from tests.card_settings import TERMINAL_DATA, UNIONPAY_ROWS
from tests.firmware.dialogue import data_of, hexes, run, why_ends
from tests.firmware.test_tlv import vectors
from tests.portable import plain_keys

LISTS = {"8C": "9F0206 9505 9F3704", "8D": "8A02 9F0206"}
FIRST = "80AE{}000F 000000005000 0000000000 CAFE0123 00"
SECOND = "80AE{}0008 3030 000000005000 00"
PROOF = "1122334455667788"
KINDS = {"AAC": action.AAC, "TC": action.TC, "ARQC": action.ARQC}


def bare(cid, more=""):
    """The answer in format 80."""
    return "80%02X%s0017%s%s9000" % (11 + len(more) // 2, cid, PROOF, more)


def objects(*given):
    return hexlify(tlv.encode([(0x77, [(int(tag, 16), hexes(value)) for tag, value in given])])).decode() + "9000"


def asked(answer, kind=action.ARQC, said=LISTS, cda=False, tag=cryptogram.CDOL_1, command=None):
    """(data, cryptogram)"""
    data = data_of(said)
    data.told[0x8A] = b"00"
    code = "%02X" % (kind | (0x10 if cda else 0))
    command = command or (FIRST if tag == cryptogram.CDOL_1 else SECOND).format(code)
    given = run(cryptogram.generate(data, kind, tag, cda), commands=[(command, answer)])
    assert data.tsi[0] == 0x20
    return data, given


def refused(answer, kind=action.ARQC, said=LISTS, tag=cryptogram.CDOL_1):
    data = data_of(said)
    data.told[0x8A] = b"00"
    command = (FIRST if tag == cryptogram.CDOL_1 else SECOND).format("%02X" % kind)
    return why_ends(cryptogram.generate(data, kind, tag), commands=[(command, answer)])


def test_an_answer_without_tags_is_cut_into_its_four_objects():
    data, given = asked(bare("80", "07010103A00000"))
    assert (given.status, given.kind, given.template, given.signed) == (0x9000, action.ARQC, 0x80, False)
    said = {tag: hexlify(data.said[tag]).decode().upper() for tag in (0x9F27, 0x9F36, 0x9F26, 0x9F10)}
    assert said == {0x9F27: "80", 0x9F36: "0017", 0x9F26: PROOF, 0x9F10: "07010103A00000"}
    assert given.dol_values == hexes("000000005000 0000000000 CAFE0123")
    assert given.response == hexes(bare("80", "07010103A00000"))[:-2]


def test_an_answer_with_tags_says_the_same():
    answer = objects(("9F27", "40"), ("9F36", "0017"), ("9F26", PROOF), ("9F10", ""), ("DF01", "01"))
    data, given = asked(answer, action.TC)
    assert (given.kind, given.template) == (action.TC, 0x77)
    assert data.said[0x9F10] == b"" and data.said[0xDF01] == b"\x01"


def test_a_combined_signature_is_asked_for_in_p1_and_may_stand_for_the_cryptogram():
    data, given = asked(objects(("9F27", "80"), ("9F36", "0017"), ("9F4B", "AA55")), cda=True)
    assert given.signed and 0x9F26 not in data.said


def test_no_combined_signature_is_asked_for_with_a_refusal():
    data = data_of(LISTS)
    commands = [(FIRST.format("00"), bare("00"))]
    assert run(cryptogram.generate(data, action.AAC, cryptogram.CDOL_1, True), commands=commands).kind == action.AAC


def test_advice_and_reason_are_read_from_the_card():
    given = asked(bare("0A"))[1]
    assert (given.kind, given.advice, given.reason) == (action.AAC, True, 2)
    given = asked(bare("81"))[1]
    assert (given.kind, given.advice, given.reason) == (action.ARQC, False, 1)


def test_a_refused_command_is_for_the_caller_to_judge():
    data, given = asked("6985")
    assert (given.status, 0x9F27 in data.said) == (0x6985, False)


ORDER = ("AAC", "ARQC", "TC")


@pytest.mark.parametrize("wanted", ORDER)
@pytest.mark.parametrize("returned", ORDER)
def test_a_card_gives_what_was_asked_for_or_less(wanted, returned):
    answer, kind = bare("%02X" % KINDS[returned]), KINDS[wanted]
    if ORDER.index(returned) > ORDER.index(wanted):
        assert refused(answer, kind) == "malformed"
    else:
        assert asked(answer, kind)[1].kind == KINDS[returned]


def test_the_second_time_a_card_cannot_ask_for_the_issuer():
    assert refused(bare("80"), action.TC, tag=cryptogram.CDOL_2) == "malformed"
    assert asked(bare("00"), action.TC, tag=cryptogram.CDOL_2)[1].kind == action.AAC
    assert asked(bare("40"), action.TC, tag=cryptogram.CDOL_2)[1].kind == action.TC


def test_the_fourth_kind_is_none():
    assert refused(bare("C0"), action.TC) == "malformed"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (objects(("9F36", "0017"), ("9F26", PROOF)), "missing"),
        (objects(("9F27", "80"), ("9F26", PROOF)), "missing"),
        (objects(("9F27", "80"), ("9F36", "0017")), "missing"),
        (objects(("9F27", "8000"), ("9F36", "0017"), ("9F26", PROOF)), "malformed"),
        (objects(("9F27", ""), ("9F36", "0017"), ("9F26", PROOF)), "malformed"),
        (objects(("9F27", "80"), ("9F36", "17"), ("9F26", PROOF)), "malformed"),
        (objects(("9F27", "80"), ("9F36", "0017"), ("9F26", PROOF[2:])), "malformed"),
        (objects(("9F27", "80"), ("9F36", "0017"), ("9F26", PROOF), ("9F10", "00" * 33)), "malformed"),
        (objects(("9F27", "80"), ("9F36", "0017"), ("9F26", PROOF), ("9F36", "0018")), "malformed"),
        ("800A" + "80" + "0017" + PROOF[:14] + "9000", "malformed"),
        (bare("80", "00" * 33), "malformed"),
        (bare("80")[:-4] + "9F3600 9000", "malformed"),
        ("9F2701809000", "malformed"),
        ("9000", "malformed"),
        (None, "lost"),
    ],
)
def test_an_answer_that_no_card_may_give_ends_the_transaction(answer, why):
    assert refused(answer) == why


def test_without_its_list_there_is_no_cryptogram():
    assert why_ends(cryptogram.generate(data_of(), action.TC, cryptogram.CDOL_1)) == "missing"


def test_an_empty_list_sends_no_data():
    asked(bare("80"), said={"8C": ""}, command="80AE800000")


def test_a_list_that_no_command_can_carry_has_the_error_of_its_own():
    step = cryptogram.generate(data_of({"8C": "9F02FF9A01"}), action.TC, cryptogram.CDOL_1)
    with pytest.raises(dol.DolError):
        next(step)


def test_the_cryptogram_of_before_is_forgotten_and_what_the_records_said_is_not():
    data = data_of(LISTS)
    data.told[0x8A] = b"00"
    data.said.update({0x9F26: b"old", 0x9F10: b"old", 0x9F36: b"\x00\x16", 0x5A: b"\x62", 0x82: b"\x7d\x00"})
    answer = objects(("9F27", "40"), ("9F36", "0017"), ("9F4B", "AA"), ("5A", "99"), ("82", "0000"))
    run(cryptogram.generate(data, action.TC, cryptogram.CDOL_2), commands=[(SECOND.format("40"), answer)])
    assert 0x9F26 not in data.said and 0x9F10 not in data.said
    assert (data.said[0x9F36], data.said[0x5A], data.said[0x82]) == (b"\x00\x17", b"\x62", b"\x7d\x00")


def hashed(listed, tdol=None, row=None):
    """(what was sent for the hash, TVR as sent beside it, TVR byte 5)"""
    said = {"8C": "9814 9505"}
    if tdol is not None:
        said["97"] = tdol
    data = data_of(said, row=row)
    digest = hashlib.sha1(hexes(listed)).hexdigest()
    tvr = "0000000000" if tdol is not None else "0000000080"
    command = "80AE400019" + digest + tvr + "00"
    run(cryptogram.generate(data, action.TC, cryptogram.CDOL_1), commands=[(command, bare("40"))])
    return data.tvr[4]


def test_a_list_that_wants_a_hash_gets_one_over_the_cards_list_or_the_terminals_own():
    assert hashed("000000005000 CAFE0123", "9F0206 9F3704") == 0x00
    assert hashed("000000005000", row={"tdol": "9F0206"}) == 0x80
    assert hashed("0000000080", row={"tdol": "9505"}) == 0x80  # the terminal's own is told in what it hashes
    assert hashed("") == 0x80


def test_whatever_the_card_answers_there_is_a_cryptogram_or_a_named_end():
    chance = random.Random(11)
    good = hexes(objects(("9F27", "40"), ("9F36", "0017"), ("9F26", PROOF), ("9F10", "0701")))
    for _ in range(3000):
        answer = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            answer[chance.randrange(len(answer))] = chance.randrange(256)
        step = cryptogram.generate(data_of(LISTS), action.TC, cryptogram.CDOL_1)
        next(step)
        try:
            step.send(bytes(answer[: chance.choice((len(answer), len(answer), chance.randrange(len(answer) + 1)))]))
        except StopIteration as end:
            assert end.value.status != 0x9000 or end.value.kind in KINDS.values()
        except card.Ended as end:
            assert end.why in ("malformed", "missing")
        except tlv.TlvError:
            continue


# The cases in whole need the whole flow: a chip that answers one cryptogram after the other.

ALWAYS = "FFFFFFFFFF"
ACTION_CODES = {  # what makes the terminal ask for it, with data authentication not performed
    "AAC": {"tac_denial": ALWAYS},
    "ARQC": {"tac_denial": "", "tac_online": ALWAYS},
    "TC": {"tac_denial": "", "tac_online": ""},
}
APPROVES = ("00", "10", "11", "A2", "A4", "A5", "A6")
# First word of what comes of the first cryptogram: (status, 8A). What goes online is approved there.
FIRST_OUTCOMES = {
    "approve": ("approved", "Y1"), "decline": ("declined", "Z1"), "terminate:": ("end-application", ""), "go": ("approved", "00"),
}  # fmt: skip


class Chip:
    """A card with one object a record, and its cryptograms in their order."""

    def __init__(self, cryptograms, said=None, profile="0000"):
        self.records = [(0x5A, hexes(plain_keys.NUMBER)), (0x5F24, hexes("301231"))]
        self.records += [(0x8C, hexes(LISTS["8C"])), (0x8D, hexes(LISTS["8D"]))]
        self.records += [(tag, bytes(5)) for tag in (0x9F0D, 0x9F0E, 0x9F0F)] + sorted((said or {}).items())
        self.options = "8006" + profile + "0801%02X00" % len(self.records)
        self.cryptograms = [hexes(answer) for answer in cryptograms]
        self.asked = []

    def answer(self, command):
        if command[:4] == b"\x00\xa4\x04\x00":
            if command[5:-1] == b"1PAY.SYS.DDF01":
                return b"\x6a\x82"
            return (
                hexes("6F108408A000000333010101A50450025550 9000") if command[5:-1] == hexes("A000000333010101") else b"\x6a\x82"
            )
        if command[1] == 0xA8:
            return hexes(self.options + "9000")
        if command[1] == 0xB2:
            tag, value = self.records[command[2] - 1]
            return tlv.encode([(0x70, [(tag, value)])]) + b"\x90\x00"
        assert command[1] == 0xAE
        self.asked.append(command[2])
        return self.cryptograms.pop(0)


def inserted(chip, reply=None, keys=(), **codes):
    """The outcome of a transaction with this chip."""
    row = dict(UNIONPAY_ROWS[0], terminal_floor_limit_fen=999999, **codes)
    settings = Settings([row], TERMINAL_DATA, keys)
    flow, sent = contact.insert(settings, Request(5000, "261120", "101500", hexes("CAFE0123"), 17)), None
    while True:
        try:
            step = flow.send(sent)
        except StopIteration as end:
            assert not chip.cryptograms
            return end.value
        sent = chip.answer(step) if isinstance(step, bytes) else answers(step, reply)


def answers(question, reply):
    return {ask.OnException: False, ask.LastAmount: 0, ask.GoOnline: reply, ask.Choose: 0}[type(question)]


def signing_chip(answer):
    said = plain_keys.issuer_objects()
    said.update(plain_keys.card_objects())
    return Chip([answer, bare("00")], said, "0100"), [plain_keys.authority_row()]


WITHOUT_SIGNATURE = objects(("9F27", "80"), ("9F36", "0017"), ("9F26", PROOF))
WRONG_SIGNATURE = objects(("9F27", "80"), ("9F36", "0017"), ("9F4B", "11" * 96))


@pytest.mark.parametrize("answer", [bare("80"), WITHOUT_SIGNATURE, WRONG_SIGNATURE], ids=("bare", "without", "wrong"))
def test_a_combined_signature_that_fails_is_told_to_the_card_and_declined(answer):
    chip, keys = signing_chip(answer)
    outcome = inserted(chip, keys=keys, tac_denial="", tac_online=ALWAYS, threshold_fen=1, target_percent=99)
    assert chip.asked[0] & 0x10 and chip.asked[1:] == [0x00]
    assert outcome.status == "declined" and outcome.tags[0x95][0] & 0x04


def test_every_case_of_generate_ac_has_its_outcome():
    ran = 0
    for case in vectors("flow_made.json")["cases"]:
        if case["topic"] != "generate_ac":
            continue
        ran += 1
        given, expected = case["inputs"], case["expected"]
        if given.get("cda_requested"):
            chip, keys = signing_chip(bare(given["cid"]) if given.get("response_template") == "80" else WRONG_SIGNATURE)
            outcome = inserted(chip, keys=keys, tac_denial="", threshold_fen=1, target_percent=99, tac_online=ALWAYS)
            assert chip.asked == [0x90, 0x00], case["id"]
            assert outcome.status == "declined" and outcome.tags[0x95][0] == 0x04, case["id"]
        elif given["stage"] == 1:
            online = expected["outcome"].startswith("go")
            returned = [given["returned"]] + (["TC"] if online else [])
            chip = Chip([bare("%02X" % KINDS.get(kind, 0xC0)) for kind in returned])
            outcome = inserted(chip, ask.Reply("00", True), **ACTION_CODES[given["requested"]])
            assert chip.asked == [KINDS[given["requested"]]] + ([0x40] if online else []), case["id"]
            assert (outcome.status, outcome.response) == FIRST_OUTCOMES[expected["outcome"].split()[0]], case["id"]
            assert (outcome.why == "malformed") == expected["outcome"].startswith("terminate"), case["id"]
        else:
            reached = given.get("host_answered", True)
            approved = given.get("arc_8A") in APPROVES
            returned = given.get("returned", "TC" if approved else "AAC")
            chip = Chip([bare("80"), bare("%02X" % KINDS[returned])])
            reply = ask.Reply(given["arc_8A"], approved) if reached else ask.Reply()
            outcome = inserted(chip, reply, **ACTION_CODES["ARQC"])
            if not reached:
                assert KINDS[expected["request"]] == chip.asked[1], case["id"]
                continue
            assert chip.asked == [0x80, 0x40 if approved else 0x00], case["id"]
            if "request" in expected:
                assert KINDS[expected["request"]] == chip.asked[1], case["id"]
                assert (outcome.status == "approved") is approved, case["id"]
            else:
                assert outcome.status == "declined", case["id"]
                assert outcome.reverse is (returned == "AAC"), case["id"]
    assert ran >= 12


def test_every_case_written_for_the_flow_belongs_to_a_topic_that_is_run():
    topics = [case["topic"] for case in vectors("flow_made.json")["cases"]]
    run_here = {"cvm": 25, "taa": 10, "generate_ac": 12, "issuer_authentication": 3, "issuer_script": 4}
    assert set(topics) == set(run_here)
    assert all(topics.count(topic) >= run_here[topic] for topic in run_here)
