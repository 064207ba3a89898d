"""ISO 8583 under CPython and MicroPython alike."""

from firmware.iso8583 import codes, describe, dialects, frame, subfields, unionpay
from firmware.iso8583.codec import Codec, Iso8583Error
from firmware.iso8583.fields import UNIONPAY, changed, quirks

SALE = {
    2: "6222620000000004", 3: "000000", 4: "000000001234", 11: "000002", 22: "072", 23: "001", 25: "00",
    35: "6222620000000004D30122011234500000000", 41: "12345678", 42: "898310012345678", 49: "156",
    55: b"\x9f\x26\x08\x11\x22\x33\x44\x55\x66\x77\x88", 60: "22000002000601", 64: b"12345678",
}  # fmt: skip
SALE_HEX = (
    "02007020068020c08211166222620000000004000000000000001234000002072000010037622262000000"
    "0004d301220112345000000000" + "3132333435363738" + "383938333130303132333435363738" + "313536"
    "00119f26081122334455667788" + "001422000002000601" + "3132333435363738"
)


def refused(function, *arguments):
    try:
        function(*arguments)
    except Iso8583Error as error:
        return error
    raise AssertionError("taken")


def test_a_sale_has_these_bytes_everywhere():
    message = Codec().pack("0200", SALE)
    assert message == bytes.fromhex(SALE_HEX)
    assert Codec().unpack(message) == ("0200", SALE)


def test_every_cut_is_refused_with_the_named_error():
    codec = unionpay.codec()
    message = codec.pack("0200", SALE)
    for size in range(len(message)):
        refused(codec.unpack, message[:size])
    assert refused(codec.unpack, message + b"1").field == 64


def test_wrong_values_are_refused_with_the_named_error():
    codec = unionpay.codec()
    for field, value in ((3, 5), (3, "12345"), (4, None), (39, "\u4e2d"), (41, "1"), (55, "x"), (64, b""), (99, "")):
        assert refused(codec.pack, "0200", {11: "000001", field: value}).field == field


def test_text_that_is_not_ascii_is_refused():
    message = bytes.fromhex("0210" + "0000000002000000")
    for text in (b"\xff\xfe", b"\xc3\xa9"):
        assert refused(unionpay.codec().unpack, message + text).field == 39


def test_one_byte_wrong_anywhere_is_refused_or_another_message():
    codec = unionpay.codec()
    message = codec.pack("0200", SALE)
    taken = 0
    for at in range(len(message)):
        for bit in (1, 16, 128):
            data = bytearray(message)
            data[at] ^= bit
            try:
                codec.unpack(bytes(data))
                taken += 1
            except Iso8583Error:
                pass
            assert describe.describe(bytes(data))
    assert taken > 50


def test_a_wide_table_works_here_too():
    wide = Codec(changed(UNIONPAY, {128: "b8", 62: "b...499 halves"}))
    fields = {11: "000001", 62: b"abc", 128: b"12345678"}
    assert wide.unpack(wide.pack("0400", fields)) == ("0400", fields)


def test_frames_come_back_however_they_are_split():
    body = Codec().pack("0200", SALE)
    stream = frame.pack(b"\x60\x00\x03\x00\x00", b"\x60\x31\x03\x31\x00\x00", body) * 3
    deframer = frame.Deframer()
    got = []
    for at in range(0, len(stream), 7):
        deframer.feed(stream[at : at + 7])
        one = deframer.next()
        while one:
            got.append(one)
            one = deframer.next()
    deframer.finish()
    assert [one.body for one in got] == [body] * 3
    assert frame.requirement(got[0].header) == "sign-on"


def test_a_bad_length_is_refused():
    deframer = frame.Deframer()
    deframer.feed(b"\x00\x05\x60\x00\x03\x00\x00")
    try:
        deframer.next()
    except frame.FrameError as error:
        assert error.position == 0
    else:
        raise AssertionError("taken")


def test_private_fields():
    assert unionpay.device("3125SN01") == b"Sequence No083125SN01"
    assert unionpay.read_private60("22000002000601").batch == "000002"
    assert unionpay.read_balances(unionpay.balance("10", "02", -5))[0].fen == -5
    assert [key[0] for key in unionpay.keys(bytes(60))] == ["pin", "mac", "track"]
    assert unionpay.reversal(SALE, "98")[39] == "98" and 35 not in unionpay.reversal(SALE, "98")
    assert codes.look_up("A0").action == "sign-on" and codes.approved("11")


def test_the_masked_view_works_here_too():
    lines = describe.describe(Codec().pack("0200", SALE))
    assert lines[1].endswith("622262******0004") and "F4 " in lines[3] and lines[3].endswith("12.34")


ASCII = (
    b"0200" + b"7020040020C01200" + b"16" + b"6222620000000004" + b"000000" + b"000000001234" + b"000002" + b"072"
    + b"21" + b"6222620000000004D3012" + b"12345678" + b"898310012345678" + b"0A0B0C0D0E0F0102" + b"006" + b"9F2600"
)  # fmt: skip
CHARACTERS = {
    2: "6222620000000004", 3: "000000", 4: "000000001234", 11: "000002", 22: "072", 35: "6222620000000004D3012", 41: "12345678",
    42: "898310012345678", 52: b"\x0a\x0b\x0c\x0d\x0e\x0f\x01\x02", 55: b"\x9f\x26\x00",
}  # fmt: skip


def test_a_message_in_characters_has_these_bytes_everywhere():
    made = dialects.codec("1987-ascii")
    message = made.pack("0200", CHARACTERS)
    assert message == ASCII
    assert made.unpack(message) == ("0200", CHARACTERS)


def test_every_dialect_comes_back_and_refuses_every_cut():
    for name in dialects.DIALECTS:
        made = dialects.codec(name)
        fields = {2: "622262000", 4: "000000001234", 37: "REF 12345678", 52: bytes(8), 53: "2" * 16}
        if name == "1993-ascii":
            fields[53] = b"\x12"
        if made.second_bitmap:
            fields[70] = "301"
            fields[128] = b"12345678"
        message = made.pack("0200", fields)
        assert made.unpack(message) == ("0200", fields), name
        for size in range(len(message)):
            refused(made.unpack, message[:size])


def test_wrong_bytes_in_characters_are_refused_or_another_message():
    made = dialects.codec("1987-ascii")
    message = made.pack("0200", CHARACTERS)
    for at in range(len(message)):
        for byte in (0x00, 0x2F, 0x47, 0xB2, 0xFF):
            data = bytearray(message)
            data[at] = byte
            try:
                made.unpack(bytes(data))
            except Iso8583Error:
                pass
    for wrong in ("٣" * 12, "²" * 12, "+00000000123", "0000_0000_12", "00000000 123"):
        refused(made.pack, "0200", {4: wrong})


def test_quirks_are_data_here_too():
    made = Codec(quirks({"62": "b...499 halves", "36": None, "1": "b8 hex"}))
    fields = {11: "000001", 62: b"abc"}
    assert made.unpack(made.pack("0800", fields)) == ("0800", fields)
    for wrong in ({"62": "q"}, {"65": "b8"}, {"0": None}, []):
        try:
            quirks(wrong)
        except ValueError:
            continue
        raise AssertionError("taken")


def test_an_error_carries_a_masked_image():
    message = Codec().pack("0200", SALE)
    error = refused(Codec().unpack, message[:40])
    assert error.image.startswith("0200 F2 (16 digits), F3 000000, F4 (12 digits), F11 000002, F22 072, ")
    assert "622262" not in error.image


def test_parts_of_private_fields():
    layout = subfields.layout_of("0200", SALE, 60)
    parts = subfields.split(60, layout, SALE[60])
    assert [part.name for part, _ in parts] == ["60.1", "60.2", "60.3", "60.4", "60.5", "60.6"]
    values = {}
    for part, value in parts:
        values[part.name] = value
    assert subfields.join(60, layout, values) == SALE[60]


def test_links_of_other_shapes():
    made = frame.framing({"length": "ascii", "tpdu": False, "header": False})
    body = Codec().pack("0200", SALE)
    deframer = made.deframer()
    deframer.feed(made.pack(b"", b"", body) * 2)
    assert deframer.next().body == body and deframer.next().body == body and deframer.next() is None
