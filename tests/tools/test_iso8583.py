"""The tool for messages: what is read is masked, what is made is right, and a mistake is told in one line."""

import io
import json
import random

import pytest

from firmware.emv import tlv
from firmware.iso8583 import frame, unionpay
from firmware.iso8583.dialects import codec
from tests.firmware.test_iso8583_unionpay import messages
from tools import iso8583, iso8583_redact
from tools.interop import messages as random_messages

NUMBER = "6222620000000004"
TRACK = NUMBER + "D30122011234500000000"
CHIP = tlv.encode(
    [(0x9F26, b"\x11" * 8), (0x5A, bytes.fromhex(NUMBER)), (0x57, bytes.fromhex(TRACK + "F")), (0x5F20, b"ZHANG/SAN")]
)
SALE = {
    2: NUMBER, 3: "000000", 4: "000000001234", 11: "000002", 14: "3012", 22: "051", 23: "001", 25: "00", 26: "12", 35: TRACK,
    41: "12345678", 42: "898310012345678", 49: "156", 52: b"\xa1\xb2\xc3\xd4\xe5\xf6\x07\x18", 53: "2600000000000000",
    55: CHIP, 60: "22000002000601", 64: b"12345678",
}  # fmt: skip
BODY = unionpay.codec().pack("0200", SALE)
TPDU, HEADER = bytes.fromhex("6000030000"), bytes.fromhex("603103310000")
WHOLE = frame.pack(TPDU, HEADER, BODY)
SECRETS = (NUMBER, TRACK, "D3012", "A1B2C3D4E5F60718", "ZHANG", "3012201")


def run(*arguments, text=""):
    """(status, everything that was said)."""
    said = []
    status = iso8583.main(list(arguments), say=said.append, stdin=io.StringIO(text))
    return status, "\n".join(said)


# ---- decode


@pytest.mark.parametrize(
    "data", [WHOLE, WHOLE[2:], BODY, frame.Framing(header_size=0).pack(TPDU, b"", BODY), TPDU + BODY, b"\x00\xea" + BODY]
)
def test_a_message_is_found_whatever_stands_in_front(data):
    status, text = run("decode", data.hex())
    assert status == 0 and "0200 消费 Sale" in text and "F4 交易金额 Amount: 12.34" in text
    assert ("TPDU 6000030000: to 0003, from 0000" in text) == (b"\x60\x00\x03" in data)
    assert ("required sign-on" in text) == (HEADER in data)


def test_what_is_secret_is_not_shown():
    status, text = run("decode", WHOLE.hex())
    assert "622262******0004" in text and "F35 2磁道数据 Track 2: (37 digits)" in text
    for secret in SECRETS:
        assert secret not in text, secret
    _, text = run("decode", "--json", WHOLE.hex())
    content = json.loads(text)
    assert content["mti"] == "0200" and content["fields"]["2"] == "622262******0004" and content["tpdu"] == "6000030000"
    for secret in SECRETS:
        assert secret not in text, secret


def test_parts_of_private_fields_are_named():
    _, text = run("decode", WHOLE.hex())
    assert "  60.2 批次号 Batch: 000002" in text and "  22.1 输入方式 Entry: 05" in text
    assert "  9F26 Application Cryptogram: 1111111111111111" in text


def test_hex_may_have_any_layout(tmp_path):
    spaced = " ".join(WHOLE.hex()[at : at + 2] for at in range(0, len(WHOLE) * 2, 2))
    wrapped = "\n".join(WHOLE.hex()[at : at + 32] for at in range(0, len(WHOLE) * 2, 32)) + "\n"
    raw = tmp_path / "message.bin"
    raw.write_bytes(WHOLE)
    text_file = tmp_path / "message.hex"
    text_file.write_text(wrapped)
    wanted = run("decode", WHOLE.hex())
    assert wanted[0] == 0
    for arguments, text in (((spaced,), ""), (("-",), wrapped), ((), spaced), ((str(raw),), ""), ((str(text_file),), "")):
        assert run("decode", *arguments, text=text) == wanted


def test_several_messages_are_all_shown():
    echo = unionpay.codec().pack("0820", {41: "12345678", 42: "898310012345678", 60: "00000002301"})
    for text in (
        "%s\n# what the terminal sends\n%s\n" % (WHOLE.hex(), echo.hex()),
        (WHOLE + frame.pack(TPDU, HEADER, echo)).hex(),
    ):
        status, said = run("decode", text=text)
        assert status == 0 and "-- 1 of 2" in said and "0820 回响测试 Echo" in said and "0200 消费 Sale" in said


def test_a_length_that_does_not_fit_is_told():
    status, text = run("decode", (b"\x00\xaa" + WHOLE[2:]).hex())
    assert status == 0 and "the length says 170, %d bytes follow" % (len(WHOLE) - 2) in text


def test_every_published_message_is_read_as_it_was_printed():
    for vector, message, (mti, _) in messages():
        status, text = run("decode", vector["hex"])
        assert status == 0 and "\n%s " % mti in "\n" + text, vector["id"]
        assert run("decode", message.hex())[0] == 0


def test_another_dialect_is_chosen_by_name(tmp_path):
    made = codec("1987-ascii")
    message = made.pack("0200", {2: NUMBER, 4: "000000001234", 11: "000002", 39: "00", 52: bytes(8)})
    raw = tmp_path / "message.txt"
    raw.write_bytes(message)
    for arguments in ((message.hex(),), (str(raw),)):
        status, text = run("decode", "--dialect", "1987-ascii", *arguments)
        assert status == 0 and "0200 金融 Financial" in text and "622262******0004" in text
    framed = frame.Framing("binary", 0, 0).pack(b"", b"", message)
    assert "length %d" % len(message) in run("decode", "--dialect", "1987-ascii", framed.hex())[1]


def test_quirks_come_from_a_file(tmp_path):
    path = tmp_path / "host.json"
    path.write_text('{"62": "b...499 halves"}')
    message = bytes.fromhex("0800" + "0020000000000004" + "000001" + "0006" + "414243")
    assert run("decode", "--quirks", str(path), message.hex())[0] == 0
    assert run("decode", message.hex())[0] == 1
    path.write_text('{"dialect": "1987-ascii", "fields": {"1": "b8 raw"}, "frame": {"length": "ascii"}}')
    made = codec("1987-ascii", {"1": "b8 raw"}).pack("0800", {11: "000001"})
    framed = b"%04d" % len(made) + made
    status, text = run("decode", "--quirks", str(path), framed.hex())
    assert status == 0 and "length %d" % len(made) in text


def test_the_shape_may_be_given():
    assert run("decode", "--frame", "length,tpdu,header", WHOLE.hex())[0] == 0
    assert run("decode", "--frame", "none", BODY.hex())[0] == 0
    assert run("decode", "--frame", "none", WHOLE.hex())[0] == 1
    assert run("decode", "--frame", "tpdu,header", WHOLE[2:].hex())[0] == 0


# ---- what cannot be read


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (("decode", BODY.hex()[:120]), 1, "no message of unionpay in 60 bytes: F"),
        (("decode", "12"), 1, "no message"),
        (("decode", "xyz"), 2, "no such file, and not hex"),
        (("decode", "-"), 2, "nothing in it"),
        (("decode", "--dialect", "2003", "00"), 2, "invalid choice"),
        (("decode", "--quirks", "/nowhere.json", "00"), 2, "--quirks /nowhere.json: No such file"),
        (("decode", "--frame", "tail", "00"), 2, "--frame: auto, none, or some of length,tpdu,header"),
        (("encode", "{"), 2, "no JSON"),
        (("encode", "[]"), 2, "no such file"),
        (("encode", '{"mti": "0200"}'), 2, 'takes {"mti"'),
        (("encode", '{"mti": "0200", "fields": {"99": "1"}}'), 2, "field 99: not in this dialect"),
        (("encode", '{"mti": "0200", "fields": {"64": "xyz"}}'), 2, "field 64: bytes are hex"),
        (("encode", '{"mti": "0200", "fields": {"3": 5}}'), 2, "field 3: takes a text"),
        (("encode", '{"mti": "0200", "fields": {"60": {"60.9": "1"}}}'), 2, "field 60: F60: no part 60.9"),
        (("encode", '{"mti": "0200", "fields": {"3": {"3.1": "1"}}}'), 2, "field 3: has no parts"),
        (("encode", '{"mti": "0200", "fields": {"3": "1"}}'), 1, "F3: needs 6 digits"),
        (("encode", '{"mti": "0200", "fields": {"3": "000000"}, "tpdu": "60"}'), 2, "tpdu: 5 bytes in hex"),
        (("encode", '{"mti": "0200", "fields": {"3": "000000"}, "key": "60"}'), 2, "key: there are mti"),
        (("diff", BODY.hex(), "xyz"), 2, "no such file"),
        (("diff", BODY.hex()), 2, "the following arguments are required"),
        (("shout",), 2, "invalid choice"),
        ((), 2, "required"),
    ],
)
def test_a_mistake_is_told_in_a_line_with_its_status(capsys, arguments, status, words):
    assert run(*arguments)[0] == status
    told = capsys.readouterr().err
    assert words in told and "Traceback" not in told
    assert NUMBER not in told and "62226200" not in told


def test_help_is_no_error(capsys):
    for arguments in (("--help",), ("decode", "--help"), ("diff", "--help")):
        assert run(*arguments)[0] == 0
        assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["{", "[]", '{"62": "q"}', '{"dialect": "2003"}', '{"frame": {"length": 5}}', "\x00"])
def test_quirks_that_are_not_understood_are_told(tmp_path, capsys, content):
    path = tmp_path / "host.json"
    path.write_text(content)
    assert run("decode", "--quirks", str(path), BODY.hex())[0] == 2
    assert capsys.readouterr().err.startswith("decode: ")


def test_whatever_the_input_is_it_ends_with_a_status(capsys):
    chance = random.Random(2)
    for _ in range(300):
        data = bytearray(WHOLE)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        text = bytes(data[: chance.randrange(1, len(data) + 1)]).hex()
        for verb in ("decode", "redact"):
            assert run(verb, text=text)[0] in (0, 1, 2)
    assert NUMBER not in capsys.readouterr().err


# ---- encode


def test_json_becomes_a_message():
    fields = {str(field): value.hex() if isinstance(value, bytes) else value for field, value in SALE.items()}
    content = {"mti": "0200", "fields": fields}
    assert run("encode", json.dumps(content)) == (0, BODY.hex().upper())
    content.update(tpdu=TPDU.hex(), header=HEADER.hex())
    assert run("encode", text=json.dumps(content)) == (0, WHOLE.hex().upper())
    assert run("encode", "--frame", "tpdu,header", text=json.dumps(content)) == (0, WHOLE[2:].hex().upper())


def test_fields_may_be_given_by_parts_tags_and_text():
    content = {
        "mti": "0210",
        "fields": {
            "3": "000000", "63": {"text": "CUP余额不足"}, "60": {"60.1": "22", "60.2": "000002", "60.3": "000"},
            "55": {"9F26": "1111111111111111", "95": "0000000000"},
        },
    }  # fmt: skip
    status, text = run("encode", json.dumps(content))
    _, fields = unionpay.codec().unpack(bytes.fromhex(text))
    assert status == 0 and fields[63].decode("gbk") == "CUP余额不足" and fields[60] == "22000002000"
    assert tlv.decode(fields[55]) == [(0x9F26, b"\x11" * 8), (0x95, bytes(5))]


def test_every_random_message_goes_through_json_and_back():
    chance = random.Random(4)
    for name in ("unionpay", "1987-ascii", "1993-ascii"):
        for _ in range(20):
            mti, fields = "0200", random_messages.fields(chance, name)
            content = {str(field): value.hex() if isinstance(value, bytes) else value for field, value in fields.items()}
            status, text = run("encode", "--dialect", name, json.dumps({"mti": mti, "fields": content}))
            assert status == 0 and codec(name).unpack(bytes.fromhex(text)) == (mti, fields)


# ---- diff


def packed(**changes):
    fields = {**SALE, **{int(name[1:]): value for name, value in changes.items()}}
    return unionpay.codec().pack("0200", {field: value for field, value in fields.items() if value is not None}).hex()


def test_the_same_message_is_the_same():
    assert run("diff", BODY.hex(), WHOLE[2 + 11 :].hex()) == (0, "the same: 0200 消费 Sale")


def test_a_difference_is_named_field_by_field():
    status, text = run("diff", BODY.hex(), packed(f4="000000001235", f52=None, f39="98"))
    assert status == 1
    assert text.splitlines() == [
        "F4 交易金额 Amount: 12.34 | 12.35",
        "F39 应答码 Response code: only in the second: 98 no answer",
        "F52 个人标识码数据 PIN block: only in the first: (8 bytes)",
    ]


def test_a_hidden_difference_is_told_without_being_shown():
    other = "6222629999990004"
    status, text = run("diff", BODY.hex(), packed(f2=other, f35=other + TRACK[16:], f52=bytes(8)))
    assert status == 1
    assert text.splitlines() == [
        "F2 主账号 PAN: 622262******0004 | 622262******0004 (what is hidden differs)",
        "F35 2磁道数据 Track 2: (37 digits) | (37 digits) (what is hidden differs)",
        "F52 个人标识码数据 PIN block: (8 bytes) | (8 bytes) (what is hidden differs)",
    ]


def test_chip_data_and_private_fields_are_compared_inside():
    chip = tlv.encode(
        [(0x9F26, b"\x22" * 8), (0x5A, bytes.fromhex(NUMBER)), (0x57, bytes.fromhex(TRACK + "F")), (0x95, bytes(5))]
    )
    _, text = run("diff", BODY.hex(), packed(f55=chip, f60="22000003000601"))
    assert "  9F26 Application Cryptogram: 1111111111111111 | 2222222222222222" in text
    assert (
        "  5F20 Cardholder Name: only in the first" in text and "  95 Terminal Verification Results: only in the second" in text
    )
    assert "  60.2 批次号 Batch: 000002 | 000003" in text
    for secret in SECRETS:
        assert secret not in text


def test_what_stands_in_front_is_compared_too():
    other = frame.pack(bytes.fromhex("6000000003"), HEADER, BODY)
    status, text = run("diff", WHOLE.hex(), other.hex())
    assert (status, text) == (1, "TPDU: 6000030000 | 6000000003")


# ---- redact


def test_a_redacted_message_is_as_long_decodes_and_holds_no_secret():
    status, text = run("redact", WHOLE.hex())
    data = bytes.fromhex(text)
    assert status == 0 and len(data) == len(WHOLE)
    mti, fields = unionpay.codec().unpack(data[13:])
    assert mti == "0200" and sorted(fields) == sorted(SALE)
    for secret in SECRETS:
        assert secret not in text and secret.encode().hex().upper() not in text
    for field in (3, 4, 11, 22, 23, 25, 26, 41, 42, 49, 53, 60, 64):
        assert fields[field] == SALE[field]
    assert fields[2][:6] == NUMBER[:6] and fields[2] != NUMBER and fields[35].startswith(fields[2] + "D4912")
    assert fields[14] == "4912" and fields[52] == bytes(8)
    tags = dict(tlv.decode(fields[55]))
    assert tags[0x9F26] == b"\x11" * 8 and tags[0x5A].hex() == fields[2] and tags[0x5F20] == bytes(9)
    assert tags[0x57].hex().upper().startswith(fields[2] + "D4912")


def test_what_is_redacted_reads_the_same_for_who_may_read_it():
    """Only what is hidden differs: every line of the masked view has the same shape."""
    for vector, message, (mti, fields) in messages():
        status, text = run("redact", vector["hex"])
        assert status == 0 and len(text) == len(vector["hex"]), vector["id"]
        begin = len(bytes.fromhex(vector["hex"])) - len(message)
        again_mti, again = unionpay.codec().unpack(bytes.fromhex(text)[begin:])
        assert again_mti == mti and sorted(again) == sorted(fields)
        for field, value in fields.items():
            assert len(again[field]) == len(value), (vector["id"], field)
            if field in (2, 35, 36, 52) and set(str(value)) - {"0"} and value != bytes(8):
                assert again[field] != value, (vector["id"], field)


def test_keys_payment_codes_and_the_cards_of_a_batch_are_redacted():
    made = unionpay.codec()
    keys = bytes(range(1, 61))
    fields = {11: "000001", 39: "00", 60: "00000001004", 62: keys}
    again = made.unpack(bytes.fromhex(run("redact", made.pack("0810", fields).hex())[1]))[1]
    assert again[62] == bytes(16) + keys[16:20] + bytes(16) + keys[36:40] + bytes(16) + keys[56:60]
    fields = {3: "000000", 59: b"A3019" + b"6212345678901234567" + b"A4003abc", 60: "22000002000601"}
    again = made.unpack(bytes.fromhex(run("redact", made.pack("0200", fields).hex())[1]))[1]
    assert again[59] == b"A3019" + b"0" * 19 + b"A4003abc"
    items = "01" + "00" + "000002" + NUMBER.rjust(20, "0") + "000000001234"
    again = made.unpack(bytes.fromhex(run("redact", made.pack("0320", {48: items, 60: "00000002201"}).hex())[1]))[1]
    assert NUMBER not in again[48] and again[48][:10] == items[:10] and again[48][-12:] == items[-12:]


def test_other_dialects_are_redacted_too():
    made = codec("1987-ascii")
    fields = {2: NUMBER, 35: NUMBER + "=3012201123", 45: "B6222^X", 48: "PRIVATE", 52: b"\x01" * 8, 55: CHIP, 102: NUMBER}
    status, text = run("redact", "--dialect", "1987-ascii", made.pack("0200", fields).hex())
    mti, again = made.unpack(bytes.fromhex(text))
    assert status == 0 and again[35] == again[2] + "=4912000000" and again[45] == "0000000" and again[102] == "0" * 16
    assert NUMBER not in bytes.fromhex(text).decode()


@pytest.mark.parametrize("digits", [NUMBER, "6222629999999997", "622262" + "9" * 13, "6" * 13, "1", ""])
def test_a_number_in_place_of_a_card_is_another_one_whose_check_digit_holds(digits):
    made = iso8583_redact.number(digits)
    assert len(made) == len(digits) and (made != digits or len(digits) < 2)
    total = sum(int(digit) if place % 2 == 0 else sum(divmod(2 * int(digit), 10)) for place, digit in enumerate(reversed(made)))
    assert total % 10 == 0
    assert made[:6] == digits[:6] or len(digits) < 7
