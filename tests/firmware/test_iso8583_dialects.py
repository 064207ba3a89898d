"""Dialects as data: every one comes back as it was, differs where it says, and refuses whatever it cannot read."""

import random

import pytest

from firmware.iso8583 import coding, parts
from firmware.iso8583.codec import Codec, Iso8583Error
from firmware.iso8583.dialects import DIALECTS, ISO_1987, ISO_1993, codec, profile
from firmware.iso8583.fields import UNIONPAY, quirks
from tools.interop import messages

NAMES = sorted(DIALECTS)
SALE = {
    2: "6222620000000004", 3: "000000", 4: "000000001234", 11: "000002", 22: "072", 35: "6222620000000004D3012",
    39: "00", 41: "TERM0001", 52: b"\x01\x23\x45\x67\x89\xab\xcd\xef", 55: b"\x9f\x26",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_random_messages_come_back_as_they_were(name):
    chance = random.Random(name)
    made = codec(name)
    for _ in range(250):
        mti, fields = messages.message_type(chance, name), messages.fields(chance, name)
        packed = made.pack(mti, fields)
        assert made.unpack(packed) == (mti, fields)
        assert made.pack(*made.unpack(packed)) == packed


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_every_dialect_comes_back_alone(name):
    chance = random.Random(8583)
    made = codec(name)
    for field, one in messages.codings(name).items():
        fields = {field: messages.value(chance, one)}
        assert made.unpack(made.pack("0200", fields)) == ("0200", fields), field


@pytest.mark.parametrize("name", NAMES)
def test_empty_values_behind_a_length_come_back(name):
    made = codec(name)
    for field, one in messages.codings(name).items():
        if one.dots:
            fields = {field: b"" if one.kind == "b" else ""}
            assert made.unpack(made.pack("0200", fields)) == ("0200", fields), field


@pytest.mark.parametrize("name", NAMES)
def test_whatever_the_bytes_are_the_only_error_is_the_named_one(name):
    chance = random.Random(name + "fuzz")
    made = codec(name)
    taken = refused = 0
    for _ in range(700):
        mti, fields = messages.message_type(chance, name), messages.fields(chance, name, 6)
        data = bytearray(made.pack(mti, fields))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(data))
            how = chance.randrange(4)
            if how == 0:
                data[at] = chance.randrange(256)
            elif how == 1:
                data = data[:at] or bytearray(1)
            elif how == 2:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
            else:
                data[at] ^= 1 << chance.randrange(8)
        try:
            mti, fields = made.unpack(bytes(data))
        except Iso8583Error as error:
            refused += 1
            assert 0 <= error.field <= 128 and 0 <= error.position <= len(data)
            assert "stopped in F%d" % error.field in error.image
            continue
        taken += 1
        assert len(mti) == 4 and mti.isdigit()
        assert all(isinstance(value, (str, bytes)) for value in fields.values())
    assert taken > 50 and refused > 50


@pytest.mark.parametrize("name", NAMES)
def test_every_cut_of_a_message_is_refused(name):
    made = codec(name)
    message = made.pack("0200", {n: SALE[n] for n in SALE if name != "1993-ascii" or n not in (22, 39)})
    for size in range(len(message)):
        with pytest.raises(Iso8583Error):
            made.unpack(message[:size])


# ---- what the bytes of a dialect are


def test_everything_is_characters_in_the_ascii_dialect():
    message = codec("1987-ascii").pack("0200", SALE)
    assert message.startswith(b"0200" + b"7020040022801200" + b"16" + b"6222620000000004" + b"000000" + b"000000001234")
    assert message.endswith(
        b"072" + b"21" + b"6222620000000004D3012" + b"00" + b"TERM0001" + b"0123456789ABCDEF" + b"004" + b"9F26"
    )


def test_digits_are_packed_in_the_binary_dialect():
    message = codec("1987-binary").pack("0200", {**SALE, 2: "622262000000000", 28: "D00000150"})
    assert message[:10].hex() == "02007020041022801200"
    assert message[10:].hex() == (
        "15" + "6222620000000000" + "000000" + "000000001234" + "000002" + "0072" + "44" + "00000150"
        + "21" + "6222620000000004d30120" + "3030" + "5445524d30303031" + "0123456789abcdef" + "0002" + "9f26"
    )  # fmt: skip


def test_characters_are_ebcdic_and_bytes_are_raw_in_the_ebcdic_dialect():
    message = codec("1987-ebcdic").pack("0800", {11: "000001", 41: "TERM-01 ", 52: b"\x80" * 8})
    assert message == "0800".encode("cp037") + bytes.fromhex("0020000000801000") + "000001TERM-01 ".encode("cp037") + b"\x80" * 8


def test_dates_and_codes_are_longer_in_1993():
    fields = {12: "261120093001", 22: "A0010130114C", 39: "000", 53: b"\x12\x34", 24: "200", 25: "1510"}
    message = codec("1993-ascii").pack("1210", fields)
    assert message == (
        b"1210" + b"0010058002000800" + b"261120093001" + b"A0010130114C" + b"200" + b"1510" + b"000" + b"02" + b"1234"
    )
    assert codec("1993-ascii").unpack(message) == ("1210", fields)


def test_a_second_bitmap_is_in_characters_too():
    message = codec("1987-ascii").pack("0800", {11: "000001", 70: "301"})
    assert message == b"0800" + b"8020000000000000" + b"0400000000000000" + b"000001" + b"301"


def test_unionpay_with_128_fields_is_unionpay_where_64_are_enough():
    narrow, wide = codec("unionpay"), codec("unionpay-128")
    assert narrow.pack("0200", SALE) == wide.pack("0200", SALE)
    fields = {11: "000001", 62: b"abc", 90: "0" * 42, 100: "48520000", 128: b"12345678"}
    assert wide.unpack(wide.pack("0400", fields)) == ("0400", fields)
    assert wide.table[62] == UNIONPAY[62]


@pytest.mark.parametrize("table", [ISO_1987, ISO_1993])
def test_the_international_tables_name_every_field_that_they_have(table):
    assert set(table) == set(range(129)) - {65}
    for number, (text, mask, zh, en) in table.items():
        assert coding.parse(text) and zh and en, number
        assert mask in ("", "pan", "hide", "chip", "keys")
    assert {table[n][1] for n in (34, 35, 36, 45, 52)} == {"hide"} and table[2][1] == "pan" and table[55][1] == "chip"


# ---- tolerance and strictness


def test_lower_case_hexadecimal_is_taken_and_capitals_are_sent():
    made = codec("1987-ascii")
    message = made.pack("0200", SALE)
    assert made.unpack(message.replace(b"9F26", b"9f26").replace(b"ABCDEF", b"abcdef")) == ("0200", SALE)


@pytest.mark.parametrize(
    "old, new, field, why",
    [
        (b"7020040022801200", b"702004002280120G", 1, "not hexadecimal"),
        (b"16622262", b"1X622262", 2, "length is not digits"),
        (b"16622262", b"20622262", 2, "length 20 is over 19"),
        (b"000000001234", b"00000000 234", 4, "not digits"),
        ("000000001234".encode(), "0000000012\u0663".encode(), 4, "not digits"),
        (b"TERM0001", b"TERM000\xff", 41, "not ASCII"),
        (b"0123456789ABCDEF", b"0123456789ABCDEX", 52, "not hexadecimal"),
        (b"0049F26", b"0059F26", 55, "cut short"),
        (b"0200", b"02x0", 0, "not digits"),
    ],
)
def test_errors_of_the_ascii_dialect_name_field_place_and_reason(old, new, field, why):
    message = codec("1987-ascii").pack("0200", SALE)
    with pytest.raises(Iso8583Error) as caught:
        codec("1987-ascii").unpack(message.replace(old, new, 1))
    assert (caught.value.field, caught.value.why) == (field, why)
    assert 0 <= caught.value.position <= message.index(old) + 3


@pytest.mark.parametrize(
    "field, value",
    [(2, "6" * 20), (3, "00000x"), (4, 12), (4, "٣" * 12), (28, "00000150X"), (28, "150"), (35, "62#"), (39, "é0"), (41, "1"),
     (43, "中" * 40), (48, "中"), (52, b"123"), (52, "0123456789ABCDEF"), (55, bytes(256)), (90, "1"), (999, "")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["1987-ascii", "1987-binary", "1987-ebcdic"])
def test_what_does_not_fit_is_not_packed_in_any_dialect(name, field, value):
    if (name, field) == ("1987-binary", 35):
        value = "62#D"
    with pytest.raises(Iso8583Error) as caught:
        codec(name).pack("0200", {11: "000001", field: value})
    assert caught.value.field == field


def test_a_message_type_is_four_digits_in_every_dialect():
    for name in NAMES:
        for wrong in ("020", "02000", "02A0", "", None, "٠٢٠٠"):
            with pytest.raises(Iso8583Error) as caught:
                codec(name).pack(wrong, {11: "000001"})
            assert caught.value.field == 0


# ---- the slices of the fast view and the general reader mean the same


def test_the_fast_reader_of_characters_and_the_general_one_agree():
    chance = random.Random(3)
    for text in ("n6", "n..19", "a8", "a...20/30", "n...17/60", "z..37"):
        one = coding.parse(text, "ascii length=ascii")
        fast, general = parts.closures(9, one, 0), parts._characters(9, one, 0)
        for _ in range(300):
            value = messages.value(chance, one)
            packed = bytearray(fast[0](value))
            assert packed == general[0](value)
            if chance.randrange(2):
                packed[chance.randrange(len(packed))] = chance.choice(b"0123456789AZ =\x00")
            if chance.randrange(3) == 0:
                del packed[chance.randrange(len(packed)) :]
            data, text_of = bytes(packed), packed.decode()
            results = []
            for _, unpack in (fast, general):
                try:
                    results.append(unpack(data, text_of, 0))
                except parts.Stop as stop:
                    results.append((stop.field, stop.at, stop.why))
            assert results[0] == results[1], (text, data)


# ---- what a host does differently is data


def test_quirks_that_acquirers_have_are_codings():
    """What deployed hosts do, each as one line of JSON, and the bytes that it makes."""
    for quirk, field, value, wire in (
        ({"62": "b...499 halves"}, 62, b"abc", "0006616263"),
        ({"2": "n..19 bytes padF"}, 2, "62226", "0362226f"),
        ({"2": "n..19 padF"}, 2, "62226", "0562226f"),
        ({"2": "n..19 right"}, 2, "62226", "05062226"),
        ({"2": "n..19 length=binary"}, 2, "622262622262", "0c622262622262"),
        ({"2": "n..19 ascii"}, 2, "62226", "053632323236"),
        ({"60": "n...17 length=ascii"}, 60, "00000001003", "303131000000010030"),
        ({"60": "a...17"}, 60, "000", "0003303030"),
        ({"22": "n3"}, 22, "071", "0071"),
        ({"23": "n3 left"}, 23, "001", "0010"),
        ({"64": "b8 hex"}, 64, bytes(8), "30" * 16),
        ({"55": "b...255 length=binary"}, 55, bytes(200), "00c8" + "00" * 200),
        ({"41": "a8 ebcdic"}, 41, "12345678", "f1f2f3f4f5f6f7f8"),
        ({"48": "b...322 hex"}, 48, b"\x12", "00013132"),
    ):
        made = Codec(quirks(quirk))
        message = made.pack("0200", {field: value})
        assert message[10:].hex() == wire, quirk
        assert made.unpack(message) == ("0200", {field: value}), quirk


def test_message_type_and_bitmap_may_be_written_otherwise():
    made = codec("1987-ascii", {"1": "b8 raw"})
    message = made.pack("0800", {11: "000001", 70: "301"})
    assert message == b"0800" + bytes.fromhex("80200000000000000400000000000000") + b"000001301"
    assert made.unpack(message) == ("0800", {11: "000001", 70: "301"})
    made = codec("unionpay", {"0": "n4 ascii", "1": "b8 hex"})
    message = made.pack("0800", {11: "000001"})
    assert message == b"0800" + b"0020000000000000" + bytes.fromhex("000001")
    assert made.unpack(message) == ("0800", {11: "000001"})
    for size in range(len(message)):
        with pytest.raises(Iso8583Error):
            made.unpack(message[:size])


def test_a_field_that_a_host_lacks_is_null():
    with pytest.raises(Iso8583Error) as caught:
        Codec(quirks({"62": None})).pack("0800", {62: b""})
    assert caught.value.field == 62


@pytest.mark.parametrize(
    "value, words",
    [
        ([], "takes a table"),
        ({"x": "n6"}, "field x"),
        ({"65": "b8"}, "field 65"),
        ({"129": "b8"}, "field 129"),
        ({"²": "n6"}, "field ²"),
        ({"0": "n5"}, "field 0: it is always n4"),
        ({"1": None}, "field 1: every message has it"),
        ({"62": "q9"}, "field 62: unknown coding 'q9': the kind is one of n z x a b"),
        ({"62": "b...600 halves"}, "field 62: unknown coding 'b...600 halves': the length has too few digits"),
        ({"62": "b...9 packed"}, "field 62: unknown coding 'b...9 packed': 'packed' is no word for it"),
        ({"62": 5}, "field 62: a coding is a text"),
    ],
)
def test_a_quirk_that_is_not_understood_names_its_field_and_the_reason(value, words):
    with pytest.raises(ValueError) as caught:
        quirks(value)
    assert words in str(caught.value)


def test_no_quirk_is_the_table_itself():
    assert quirks({}) is UNIONPAY


def test_a_host_is_a_profile_in_json():
    name, made, framing = profile(
        {"dialect": "unionpay", "fields": {"36": None, "62": "b...499 halves"}, "frame": {"header": False, "swaps": False}}
    )
    assert name == "unionpay" and 36 not in made.table
    assert framing.header_size == 0 and framing.tpdu_size == 5
    assert framing.answering(b"\x60\x00\x03\x00\x00") == b"\x60\x00\x03\x00\x00"
    assert profile({})[0] == "unionpay"
    assert profile({"dialect": "1987-ascii", "frame": {"length": "ascii"}})[2].length == "ascii"


@pytest.mark.parametrize(
    "value, words",
    [
        ([], "a profile is a table"),
        ({"dialect": "2003"}, "dialect: one of 1987-ascii"),
        ({"dialect": 7}, "dialect: one of"),
        ({"codec": {}}, "codec: a profile has"),
        ({"fields": {"62": "q"}}, "fields: field 62"),
        ({"fields": 3}, "fields: takes a table"),
        ({"frame": {"length": "roman"}}, "frame: length: one of ascii, binary, none, packed"),
        ({"frame": {"header": 6}}, "frame: header: one of False, True"),
        ({"frame": {"colour": 1}}, "frame: colour: one of"),
        ({"frame": []}, "frame: takes a table"),
    ],
)
def test_a_profile_that_is_wrong_says_where(value, words):
    with pytest.raises(ValueError) as caught:
        profile(value)
    assert words in str(caught.value)


def test_an_unknown_dialect_is_refused():
    with pytest.raises(ValueError):
        codec("1987")


@pytest.mark.parametrize("words", ["sideways", "ascii purple"])
def test_a_dialect_says_only_words_that_there_are(words):
    with pytest.raises(ValueError):
        Codec({3: ("n6", "", "", "")}, words)


def test_words_of_a_dialect_that_do_not_fit_a_kind_do_not_apply_to_it():
    assert coding.parse("b8", "ascii hex length=ascii").written == "hex"
    assert coding.parse("n6", "ascii hex length=ascii").written == "ascii"
    assert coding.parse("n6 packed", "ascii hex").written == "packed"
    assert coding.parse("a8", "packed").written == "ascii"
