import io
import json
import random
from binascii import unhexlify

import pytest

from firmware.emv import tlv
from tests.firmware.test_download import key_row
from tests.firmware.test_tlv import vectors
from tools import emv
from tools.emv_trace import Trace, folded, is_command

NUMBER = "6200001234567890"
TRACK = NUMBER + "D30122010000012345"
PDOL = "9F66049F02069F03069F1A025F2A029F3704"


def run(*arguments, text=""):
    """(status, everything that was said)."""
    said = []
    status = emv.main(list(arguments), say=said.append, stdin=io.StringIO(text))
    return status, "\n".join(said)


def explained(content):
    trace = Trace(content)
    return "\n".join(trace.lines()), trace


def pairs(*lines):
    return [(unhexlify(command), None if response is None else unhexlify(response)) for command, response in lines]


def test_a_tlv_string_is_told_with_the_place_of_each_bit():
    status, text = run("9502" + "0480" + "9B02E800")
    assert status == emv.GOOD
    assert "95   Terminal Verification Results: 0480\n     1:04 combined data authentication failed" in text
    assert "     2:80 application versions differ" in text and "     1:80 offline data authentication performed" in text


def test_a_list_of_data_objects_is_told_by_name():
    _, text = run("9F38 09 9F6604 9F0206 9F3704".replace(" ", ""))
    assert "9F02  6  Amount, Authorised" in text and "9F37  4  Unpredictable Number" in text


def test_an_answer_that_was_copied_whole_keeps_its_status_word():
    assert run("9F360200019000")[1] == "9F36 Application Transaction Counter: 0001  1\nSW   9000"


def test_a_lone_command_is_told():
    assert run("00B2011400") == (emv.GOOD, "  1  READ RECORD SFI 2 record 1  =>  no answer\n")


@pytest.mark.parametrize(
    "data, command",
    [
        ("00A404000E315041592E5359532E444446303100", True), ("80CA9F1700", True), ("0084000000", True),
        ("80A8000002830000", True),
        ("800E3C00080202001001020018010201", False), ("840E315041592E5359532E4444463031", False), ("00A40400FF00", False),
        ("6F00", False), ("9F3602", False), ("", False),
    ],
)  # fmt: skip
def test_a_command_is_told_from_tlv(data, command):
    assert is_command(unhexlify(data)) is command


def test_what_t_0_adds_is_folded_away():
    given = pairs(
        ("00A4040007A0000000031010", "6110"), ("00C0000010", "6F006103"), ("00C0000003", "0102039000"),
        ("00B2010C00", "6C05"), ("00B2010C05", "70035001419000"), ("00B2020C00", "6A83"), ("00B2030C00", None),
    )  # fmt: skip
    assert folded(given) == pairs(
        ("00A4040007A0000000031010", "6F000102039000"), ("00B2010C05", "70035001419000"), ("00B2020C00", "6A83"),
        ("00B2030C00", None),
    )  # fmt: skip


def told(template, *objects):
    """A template with objects of (tag, hex), and 9000."""
    return (tlv.encode([(template, [(tag, unhexlify(value)) for tag, value in objects])]) + b"\x90\x00").hex()


SALE = pairs(
    (
        "00A4040008A00000033301010100",
        told(0x6F, (0x84, "A000000333010101"), (0x50, b"PBOC DEBIT".hex()), (0x9F38, PDOL)),
    ),
    (
        "80A800001A8318" + "66004080" + "000000123456" + "000000000000" + "0156" + "0156" + "AABBCCDD" + "00",
        told(
            0x77, (0x82, "7C00"), (0x94, "0801010010010100"), (0x9F36, "0011"), (0x9F26, "11" * 8), (0x9F10, "07010103A00000"),
        ),
    ),
    ("00B2010C00", told(0x70, (0x5A, NUMBER), (0x5F34, "01"))),
    ("00B2011400", told(0x70, (0x57, TRACK), (0x5F20, "4C49"))),
    ("0020008008241234FFFFFFFFFF", "63C2"),
)  # fmt: skip


def test_a_transaction_is_told_step_by_step_and_as_a_whole():
    text, trace = explained(SALE)
    assert not trace.wrong, text
    assert "  1  SELECT A000000333010101 (unionpay)  =>  9000 ok" in text
    assert "       9F02 Amount, Authorised: 000000123456  1234.56" in text
    assert "       9F66 Terminal Transaction Qualifiers: 66004080" in text
    assert "  application  A000000333010101 unionpay PBOC DEBIT" in text
    assert "  card         620000******7890, good to 2030-12, sequence 01" in text
    assert "  cryptogram   first: ARQC" in text
    assert "  holder       plaintext PIN: 63C2 2 tries left" in text


def test_nothing_of_a_number_a_name_or_a_pin_is_shown():
    text, _ = explained(SALE)
    assert NUMBER not in text and "123456789" not in text and "4C49" not in text
    assert "241234" not in text and "D3012" not in text


def test_an_answer_that_is_no_tlv_is_told_and_counts():
    text, trace = explained(pairs(("00B2010C00", "7005019000")))
    assert trace.wrong and "no TLV" in text
    text, trace = explained(pairs(("00", "9000"), ("00A4040008A0", "6A82")))
    assert trace.wrong and "no command" in text and "cut off: 1 of 8 bytes" in text


def files(tmp_path, content):
    path = tmp_path / "trace"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


ANSWER = {"c": "80CA9F1700", "r": "9F1701039000"}


@pytest.mark.parametrize(
    "content",
    [
        "C: 80CA9F1700\nR: 9F1701039000",
        "# read off the wire\n> 80 CA 9F 17 00\n< 9F 17 01 03 90 00\n",
        "-> 80:CA:9F:17:00\n<- 9F:17:01:03:90:00",
        "80CA9F1700\n9F1701039000",
        [ANSWER],
        [["80CA9F1700", "9F1701039000"]],
        {"apdus": [ANSWER]},
        {"cases": [{"apdus": [ANSWER]}]},
        json.dumps({"card": "debit"}) + "\n" + json.dumps(ANSWER) + "\n",
        [{"command": "80CA9F1700", "response": "9F1701039000"}],
    ],
    ids=["C-R", "angles", "arrows", "turns", "list", "list-of-pairs", "apdus", "cases", "lines", "long-names"],
)
def test_a_trace_comes_in_many_clothes(tmp_path, content):
    status, text = run(files(tmp_path, content))
    assert status == emv.GOOD
    assert "  1  GET DATA 9F17 PIN Try Counter  =>  9000 ok\n     9F17 PIN Try Counter: 03  3" in text


def test_what_a_card_says_twice_is_told():
    text, trace = explained(pairs(("00B2010C00", "7003500141" + "9000"), ("00B2020C00", "7003500142" + "9000")))
    assert trace.wrong and "50 is said a second time" in text
    assert not explained(pairs(("00B2010C00", "7003500141" + "9000"), ("00B2010C00", "7003500141" + "9000")))[1].wrong


@pytest.mark.parametrize(
    "content, why",
    [
        ("", "nothing in it"),
        ("hello", "line 1: not hex"),
        ("C: 80CA9F1700\nhello", "line 2: neither C: nor R:"),
        ("R: 9000", "line 1: a response without a command"),
        ("C: 80CA9F170", "line 1: not hex"),
        ("{", "begins like JSON"),
        ({"cases": []}, "no case"),
        ({"cases": [{"name": "x"}]}, "case 1: no list"),
        ([{"c": "zz", "r": "9000"}], "exchange 1: not hex"),
        ([1], "exchange 1: neither"),
        ([], "no exchange"),
    ],
)
def test_what_cannot_be_read_says_where_and_quotes_nothing(tmp_path, capsys, content, why):
    assert run(files(tmp_path, content))[0] == emv.WRONG
    error = capsys.readouterr().err
    assert why in error and "hello" not in error and "zz" not in error


def test_wrong_calls_are_told_without_what_was_typed(capsys):
    assert run(NUMBER + "D")[0] == emv.WRONG
    error = capsys.readouterr().err
    assert "no such file, and not hex" in error and NUMBER not in error
    assert run()[0] == 2 and run("--help")[0] == 0
    assert run("9F3602", "--keys", "absent")[0] == emv.WRONG


def test_the_standard_input_is_read():
    assert run("-", text="9F36020001")[1].startswith("9F36")


def test_a_case_is_picked_by_its_name(tmp_path):
    path = files(tmp_path, {"cases": [{"name": "one", "apdus": [ANSWER]}, {"name": "two", "apdus": [ANSWER]}]})
    assert run(path)[1].count("GET DATA") == 2
    assert run(path, "--case", "two")[1].startswith("two")
    assert run(path, "--case", "three")[0] == emv.WRONG


def key_file(tmp_path, keys):
    path = tmp_path / "keys.json"
    rows = [
        {
            "rid": key["rid"], "index": key["index"], "modulus": key["modulus"], "exponent": key["exponent"], "expiry": "",
            "hash": key.get("hash_sha1") or key.get("hash"), "kind": "test",
        }
        for key in keys
    ]  # fmt: skip
    path.write_text(json.dumps({"keys": rows}))
    return str(path)


def test_the_public_transcript_is_explained_and_its_signature_holds(tmp_path):
    path = files(tmp_path, vectors("transcripts.json"))
    keys = key_file(tmp_path, [key for key in vectors("capk.json")["keys"] if key["rid"] == "AFFFFFFFFF"])
    status, text = run(path, "--keys", keys)
    assert status == emv.GOOD, text
    for line in (
        "  card         123456******5608, good to 2018-11-30, sequence 01",
        "  key          AFFFFFFFFF 92, 1408 bits, test",
        "  DDA          holds",
        "  holder       enciphered PIN: right",
        "  first AC     asked ARQC, given ARQC",
        "  second AC    asked TC, given TC",
    ):
        assert line in text.splitlines()
    assert "123456001234" not in text
    text = run(path)[1]
    assert "--keys FILE" in text


def test_a_key_that_is_not_there_is_named(tmp_path):
    path = files(tmp_path, vectors("transcripts.json"))
    keys = key_file(tmp_path, [key for key in vectors("capk.json")["keys"] if key["rid"] == "B012345678"][:1])
    assert "AFFFFFFFFF 92 is not among the keys" in run(path, "--keys", keys)[1]


# Public cases of the kinds that a trace can hold: what is wrong with each shows in its method's line.
def trace_of(case):
    """The exchange in which a terminal would have seen the values of a case."""
    given = {tag: value for tag, value in case["inputs"].items() if isinstance(value, str)}
    static = unhexlify(given["records_static"])
    aid = unhexlify("AFFFFFFFFF1234")
    lists = {"fdda": "9F37049F02065F2A029A03", "sda": "9A03", "cda": ""}[case["kind"]]
    select = tlv.encode([(0x6F, [(0x84, aid), (0xA5, [(0x50, b"TEST")] + ([(0x9F38, unhexlify(lists))] if lists else []))])])
    sent = b"".join(
        unhexlify(given[tag]) for tag in {"fdda": ("9F37", "9F02", "5F2A", "9A"), "sda": ("9A",), "cda": ()}[case["kind"]]
    )
    options = [(0x82, unhexlify(given["82"])), (0x94, unhexlify("0801010108020200"))]
    options += [(int(tag, 16), unhexlify(given[tag])) for tag in ("9F36", "9F10") if tag in given]
    if case["kind"] == "fdda":
        options += [(0x9F4B, unhexlify(given["9F4B"]))]
    tags = ["90", "92", "9F32", "9F46", "9F48", "9F47", "9F69"] + (["93"] if case["kind"] == "sda" else [])
    other = [(int(tag, 16), unhexlify(given[tag])) for tag in tags if tag in given] + [(0x8F, b"\x92")]
    rows = [
        (b"\x00\xa4\x04\x00" + bytes((len(aid),)) + aid + b"\x00", select + b"\x90\x00"),
        (b"\x80\xa8\x00\x00" + bytes((len(sent) + 2,)) + b"\x83" + bytes((len(sent),)) + sent + b"\x00",
         tlv.encode([(0x77, options)]) + b"\x90\x00"),
        (b"\x00\xb2\x01\x0c\x00", tlv.encode([(0x70, static)]) + b"\x90\x00"),
    ]  # fmt: skip
    rows.append((b"\x00\xb2\x02\x0c\x00", tlv.encode([(0x70, other)]) + b"\x90\x00"))
    if case["kind"] == "cda":
        cdol = unhexlify(given["cdol1_data"])
        rows.append((b"\x80\xae\x50\x00" + bytes((len(cdol),)) + cdol + b"\x00", unhexlify(given["gac_response"]) + b"\x90\x00"))
    return [{"c": command.hex(), "r": response.hex()} for command, response in rows]


@pytest.mark.parametrize(
    "name, line, holds",
    [
        ("gen-sda-ok", "SDA", True),
        ("gen-sda-format", "SDA", False),
        ("gen-cda-tc", "CDA, first AC", True),
        ("gen-cda-wrong-un", "CDA, first AC", False),
        ("gen-fdda-ok", "fDDA", True),
        ("gen-fdda-amount", "fDDA", False),
        ("gen-fdda-un", "fDDA", False),
    ],
)
def test_a_public_signature_is_checked_in_a_trace(tmp_path, name, line, holds):
    (case,) = [case for case in vectors("oda_vectors.json")["cases"] if case["id"] == name]
    keys = key_file(tmp_path, [key for key in vectors("capk.json")["keys"] if key["rid"] == "AFFFFFFFFF"])
    status, text = run(files(tmp_path, trace_of(case)), "--keys", keys)
    told = "  %-12s %s" % (line, "holds" if holds else "does not hold")
    assert told in text.splitlines(), text
    assert status == (emv.GOOD if holds else emv.WRONG_INSIDE)


def test_any_exchange_is_told_and_nothing_is_raised():
    chance = random.Random(55)
    key = key_row()
    certificates = told(
        0x70, (0x8F, "08"), (0x90, "AB" * 128), (0x9F32, "03"), (0x9F46, "CD" * 96), (0x9F47, "03"), (0x93, "EF" * 96)
    )
    more = pairs(
        ("00B2021400", certificates),
        ("0088000004AABBCCDD00", told(0x77, (0x9F4B, "AB" * 96))),
        ("80AE90000400000000", told(0x77, (0x9F27, "80"), (0x9F36, "0011"), (0x9F26, "22" * 8), (0x9F4B, "33" * 96))),
        ("0082000008" + "44" * 8, "9000"),
        ("80AE400000", "80124000F3B0189101D11416C106010A03A4A0029000"),
    )
    for _ in range(400):
        trace = [list(pair) for pair in SALE + more]
        for _ in range(chance.randrange(1, 6)):
            pair = chance.choice(trace)
            side = bytearray(pair[chance.randrange(2)] or b"\x00")
            side[chance.randrange(len(side))] = chance.randrange(256)
            pair[chance.randrange(2)] = chance.choice([bytes(side), bytes(side[: chance.randrange(len(side))]), bytes(side)])
        chance.shuffle(trace) if chance.random() < 0.3 else None
        text = "\n".join(Trace([(pair[0], pair[1]) for pair in trace], [key], "261120").lines())
        assert text
