"""The codec against messages of deployed terminals and hosts, against itself, and against nonsense."""

import json
import random
from pathlib import Path

import pytest

from firmware.iso8583 import frame
from firmware.iso8583.codec import MESSAGE_LIMIT, Codec, Iso8583Error
from firmware.iso8583.fields import UNIONPAY, changed

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
CODEC = Codec()

SALE = {
    2: "6222620000000004", 3: "000000", 4: "000000001234", 11: "000002", 14: "3012", 22: "072", 23: "001", 25: "00",
    35: "6222620000000004D30122011234500000000", 37: "061109300002", 41: "12345678", 42: "898310012345678", 49: "156",
    55: bytes(140), 60: "22000002000601", 64: b"12345678",
}  # fmt: skip

# Vectors that do not pack to the same bytes, and why. They are still unpacked and compared.
OTHER_BYTES = {
    "cup_signon_0810_tpdu_swapped": "this host fills the pad nibble of F60 with F",
    "cup_qr_like_0200_mac_ok": "F60 has 19 digits, we send at most 17",
}


def vectors():
    path = SHARED / "vectors" / "host" / "upmsg.json"
    if not path.exists():
        pytest.skip("no ../shared beside this clone: its vectors are not run")
    return json.loads(path.read_text())["vectors"]


def body(vector):
    data = bytes.fromhex(vector["hex"])
    begin = 2 * vector["has_length_prefix"] + 5 + vector["header_bytes"]
    return data[begin:]


def value_as_text(field, value):
    """As the vectors write it: text where it is text, hexadecimal where the table of the vectors says b."""
    if isinstance(value, str):
        return value
    if field in (40, 43, 44, 46, 63):
        try:
            return value.decode("gbk")
        except UnicodeDecodeError:
            return "hex:" + value.hex().upper()
    return value.hex().upper()


def test_messages_of_deployed_systems_decode_to_the_published_fields():
    checked = 0
    for vector in vectors():
        if "expect" not in vector:
            continue
        mti, fields = CODEC.unpack(body(vector))
        expect = vector["expect"]
        assert mti == expect["mti"], vector["id"]
        shown = {str(field): value_as_text(field, value) for field, value in fields.items()}
        assert shown == expect["fields"], vector["id"]
        assert sorted(fields) == expect["fields_present"], vector["id"]
        checked += 1
    assert checked >= 48


def test_messages_of_deployed_systems_pack_to_the_same_bytes():
    for vector in vectors():
        if "expect" not in vector:
            continue
        if vector["id"] not in OTHER_BYTES:
            message = body(vector)
            assert CODEC.pack(*CODEC.unpack(message)) == message, vector["id"]


def test_messages_that_must_be_refused_are_refused_by_the_codec_or_by_the_frame():
    refused = []
    for vector in vectors():
        if "expect_error" not in vector or vector["id"] == "neg_bad_mac":
            continue
        deframer = frame.Deframer(vector["header_bytes"])
        try:
            deframer.feed(bytes.fromhex(vector["hex"]))
            got = deframer.next()
            if got is None:
                deframer.finish()
            else:
                CODEC.unpack(got.body)
        except (frame.FrameError, Iso8583Error):
            refused.append(vector["id"])
            continue
        pytest.fail("%s was taken" % vector["id"])
    assert len(refused) == 8


def test_a_message_comes_back_as_it_was():
    assert CODEC.unpack(CODEC.pack("0200", SALE)) == ("0200", SALE)


def test_the_order_in_which_fields_are_given_does_not_matter():
    turned = dict(reversed(list(SALE.items())))
    assert CODEC.pack("0200", turned) == CODEC.pack("0200", SALE)


def test_odd_digits_lie_where_the_table_says():
    message = CODEC.pack("0200", {2: "62226", 22: "071", 23: "001", 35: "622=1"})
    assert message[10:].hex() == "0562226007100001" + "05622d10"


def test_the_pad_nibble_of_others_is_ignored():
    message = bytearray(CODEC.pack("0810", {22: "071", 60: "00000001003"}))
    assert message[11] == 0x10 and message[-1] == 0x30
    message[11] |= 0x0F
    message[-1] |= 0x0F
    assert CODEC.unpack(bytes(message)) == ("0810", {22: "071", 60: "00000001003"})


@pytest.mark.parametrize(
    "field, value",
    [
        (2, "6" * 20), (2, "62X"), (3, "00000"), (3, "0000000"), (3, "00000A"), (4, 1234), (4, None), (11, "-00001"),
        (11, "٣٣٣٣٣٣"),
        (22, "71"), (35, "6" * 38), (35, "62=G"), (37, "1234567890123"), (37, "中文"), (39, "é"), (41, "1234567"),
        (42, b"8" * 15),
        (52, b"1234567"), (52, "12345678"), (55, bytes(256)), (55, "text"), (60, "1" * 18), (64, bytes(9)), (65, b""), (1, b""),
        (0, "0200"), ("2", "62"), (54, "x" * 21),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_coding_is_not_packed(field, value):
    with pytest.raises(Iso8583Error) as caught:
        CODEC.pack("0200", {11: "000001", field: value})
    assert caught.value.field == (field if isinstance(field, int) else 0)
    assert caught.value.position is None


@pytest.mark.parametrize("mti", ["020", "02000", "02A0", ""])
def test_a_message_type_is_four_digits(mti):
    with pytest.raises(Iso8583Error) as caught:
        CODEC.pack(mti, {11: "000001"})
    assert caught.value.field == 0


def test_a_message_without_fields_is_none():
    with pytest.raises(Iso8583Error):
        CODEC.pack("0800", {})


def test_an_error_names_field_and_place_and_never_the_value():
    message = CODEC.pack("0200", SALE)
    with pytest.raises(Iso8583Error) as caught:
        CODEC.unpack(message[:-3])
    assert (caught.value.field, caught.value.position) == (64, len(message) - 8)
    with pytest.raises(Iso8583Error) as caught:
        CODEC.pack("0200", {2: "62226200000000041234"})
    assert "6222" not in str(caught.value) and "6222" not in repr(caught.value)
    with pytest.raises(Iso8583Error) as caught:
        CODEC.unpack(message + b"\x00")
    assert "1 bytes too many" in str(caught.value)


def test_every_cut_of_a_message_is_refused():
    message = CODEC.pack("0200", SALE)
    for size in range(len(message)):
        with pytest.raises(Iso8583Error):
            CODEC.unpack(message[:size])


def test_a_second_bitmap_is_refused_where_the_table_has_no_such_fields():
    with pytest.raises(Iso8583Error) as caught:
        CODEC.unpack(bytes.fromhex("0200" + "8000000000000000" * 2))
    assert caught.value.field == 1


def test_a_second_bitmap_is_used_where_the_table_has_such_fields():
    wide = Codec(changed(UNIONPAY, {90: "n42", 128: "b8"}))
    fields = {11: "000001", 90: "0" * 41 + "1", 128: b"12345678"}
    message = wide.pack("0400", fields)
    assert message[2] & 0x80 and len(message) == 2 + 16 + 3 + 21 + 8
    assert wide.unpack(message) == ("0400", fields)
    assert wide.pack("0400", {11: "000001"}) == CODEC.pack("0400", {11: "000001"})
    with pytest.raises(Iso8583Error):
        wide.unpack(message[:12])


def test_hosts_that_count_otherwise_are_a_row_of_the_table():
    halves = Codec(changed(UNIONPAY, {62: "b...499 halves", 2: "n..19 bytes padF", 32: "n..11 right", 35: "z..37 bytes padF"}))
    fields = {2: "62226", 32: "123", 35: "6222D1", 62: b"abc"}
    message = halves.pack("0200", fields)
    assert message[10:].hex() == "03" + "62226f" + "03" + "0123" + "03" + "6222d1" + "0006" + "616263"
    assert halves.unpack(message) == ("0200", fields)
    odd = Codec(changed(UNIONPAY, {2: "n..19 bytes"}))
    with pytest.raises(Iso8583Error):
        odd.pack("0200", {2: "62226"})
    without = Codec(changed(UNIONPAY, {62: None}))
    with pytest.raises(Iso8583Error):
        without.pack("0200", {62: b"abc"})


@pytest.mark.parametrize(
    "coding", ["", "y6", "x..6", "n....6", "n6 sideways", "n", "z37", "b0", "n..100", "n.6", "n...9/8", "n6/7", "b...500 halves"]
)
def test_a_coding_that_is_none_is_refused_when_the_codec_is_made(coding):
    with pytest.raises(ValueError):
        Codec({3: (coding, "", "", "")})


@pytest.mark.parametrize("field", [0, 1, 65, 129])
def test_a_table_holds_only_fields_that_a_bitmap_can_announce(field):
    with pytest.raises(ValueError):
        Codec({field: ("n6", "", "", "")})


def test_a_message_that_is_too_long_is_refused_before_it_is_looked_at():
    with pytest.raises(Iso8583Error) as caught:
        CODEC.unpack(bytes(MESSAGE_LIMIT + 1))
    assert caught.value.field == 0


def test_made_up_bitmaps_do_not_fill_the_memory():
    codec = Codec()
    chance = random.Random(8583)
    for _ in range(500):
        bitmap = chance.getrandbits(63).to_bytes(8, "big")
        try:
            codec.unpack(b"\x02\x00" + bitmap + bytes(40))
        except Iso8583Error:
            pass
        numbers = chance.sample(sorted(UNIONPAY), 5)
        try:
            codec.pack("0200", {number: "1" for number in numbers})
        except Iso8583Error:
            pass
    assert len(codec._plans) <= 64 and len(codec._orders) <= 64


def test_whatever_the_bytes_are_the_only_error_is_the_named_one():
    chance = random.Random(20261120)
    good = [CODEC.pack("0200", SALE), CODEC.pack("0810", {11: "000001", 39: "00", 60: "00000001003", 62: bytes(60)})]
    taken = 0
    for _ in range(6000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randrange(1, 5)):
            how = chance.randrange(4)
            at = chance.randrange(len(data))
            if how == 0:
                data[at] = chance.randrange(256)
            elif how == 1:
                data = data[:at] or bytearray(1)
            elif how == 2:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
            else:
                data[chance.randrange(min(10, len(data)))] ^= 1 << chance.randrange(8)
        try:
            mti, fields = CODEC.unpack(bytes(data))
        except Iso8583Error:
            continue
        taken += 1
        # What was taken is a message: its fields are in the table and it can be unpacked again.
        assert set(fields) <= set(UNIONPAY)
        try:
            again = CODEC.pack(mti, fields)
        except Iso8583Error:
            continue
        assert CODEC.unpack(again) == (mti, fields)
    assert 200 < taken < 5900


def test_random_values_come_back_as_they_were():
    chance = random.Random(7)
    digits, text = "0123456789", "ABCxyz 0189*"
    for _ in range(300):
        fields = {}
        for field in chance.sample(sorted(UNIONPAY), chance.randrange(1, 12)):
            coding = UNIONPAY[field][0].split()[0]
            kind, dots = coding[0], coding.count(".")
            size = int(coding[1 + dots :].split("/")[0])
            count = chance.randrange(min(size, 300) + 1) if dots else size
            if kind == "n":
                fields[field] = "".join(chance.choice(digits) for _ in range(count))
            elif kind == "z":
                fields[field] = "".join(chance.choice(digits + "D") for _ in range(count))
            elif kind == "a":
                fields[field] = "".join(chance.choice(text) for _ in range(count))
            else:
                fields[field] = bytes(chance.randrange(256) for _ in range(count))
        assert CODEC.unpack(CODEC.pack("0320", fields)) == ("0320", fields)
