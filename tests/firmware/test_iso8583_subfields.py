"""What lies inside the private fields: split as deployed hosts send them, joined as they want them."""

import random
import re

import pytest

from firmware import transactions
from firmware.iso8583 import describe, subfields, unionpay
from firmware.iso8583.codec import Iso8583Error
from firmware.iso8583.dialects import codec
from firmware.iso8583.image import TOGETHER, image
from tests.firmware.test_iso8583_unionpay import messages

PAN = "6222620000000004"


def values(parts):
    return [(part.name, value) for part, value in parts]


def test_private_60_is_split_into_its_parts_as_far_as_it_goes():
    layout = subfields.layout_of("0200", {60: "22000002000601"}, 60)
    assert values(subfields.split(60, layout, "22000002000601")) == [
        ("60.1", "22"), ("60.2", "000002"), ("60.3", "000"), ("60.4", "6"), ("60.5", "0"), ("60.6", "1")]  # fmt: skip
    assert values(subfields.split(60, layout, "01000000")) == [("60.1", "01"), ("60.2", "000000")]
    assert values(subfields.split(60, layout, "2600000100060000000"))[-1] == ("60.8", "00")
    assert subfields.split(60, layout, "") == []


def test_what_is_split_joins_to_the_same():
    for field, mti, fields in (
        (60, "0200", {60: "22000002000601"}),
        (61, "0220", {61: "0000020000030611"}),
        (53, "0200", {53: "2610000000000000"}),
        (22, "0200", {22: "051"}),
        (48, "0500", {60: "00000002201", 48: "0" * 62}),
        (62, "0320", {60: "00000002203", 62: b"610000000000001000156"}),
        (62, "0200", {25: "64", 62: b"12" + b" " * 30 + b"0"}),
    ):
        layout = subfields.layout_of(mti, fields, field)
        parts = dict(values(subfields.split(field, layout, fields[field])))
        assert subfields.join(field, layout, parts) == fields[field]


def test_the_items_of_a_batch_are_a_group_that_repeats():
    fields = {
        60: "00000002201",
        48: "02" + "00" + "000002" + PAN.rjust(20, "0") + "%012d" % 1234 + "01" + "000003" + "0" * 20 + "0" * 12,
    }
    layout = subfields.layout_of("0320", fields, 48)
    parts = subfields.split(48, layout, fields[48])
    assert [part.name for part, _ in parts] == ["48.1"] + ["48.2", "48.3", "48.4", "48.5"] * 2
    columns = {"48.1": "02"}
    for name in ("48.2", "48.3", "48.4", "48.5"):
        columns[name] = [value for part, value in parts if part.name == name]
    assert subfields.join(48, layout, columns) == fields[48]
    with pytest.raises(Iso8583Error):
        subfields.split(48, layout, fields[48] + "00")
    del columns["48.5"][0]
    with pytest.raises(Iso8583Error):
        subfields.join(48, layout, columns)


def test_the_tags_of_a_code_payment_are_split_by_their_lengths():
    value = b"A3019" + b"6" * 19 + b"A4003abcZZ0011"
    layout = subfields.layout_of("0200", {59: value}, 59)
    parts = subfields.split(59, layout, value)
    assert values(parts) == [("59.A3", b"6" * 19), ("59.A4", b"abc"), ("59.ZZ", b"1")]
    assert [part.mask for part, _ in parts] == ["hide", "", "hide"]
    assert subfields.join(59, layout, {"59.A4": b"abc", "59.A3": b"6"}) == b"A30016A4003abc"
    for wrong in (b"A3", b"A30x1", b"A3002a", b"A3999"):
        with pytest.raises(Iso8583Error):
            subfields.split(59, layout, wrong)


@pytest.mark.parametrize(
    "field, parts",
    [
        (60, {"60.1": "22", "60.3": "000"}),
        (60, {"60.1": "2"}),
        (60, {"60.9": "2"}),
        (60, {"60.1": 22}),
        (60, {}),
        (59, {"59.A9": b"1"}),
        (59, {"59.A3": b"1" * 1000}),
        (61, {"61.1": "000002", "61.2": "000003", "61.5": "0" * 11}),
    ],
)
def test_parts_that_do_not_fit_are_not_joined(field, parts):
    with pytest.raises(Iso8583Error) as caught:
        subfields.join(field, subfields.layout_of("0200", {}, field), parts)
    assert caught.value.field == field


def test_whatever_the_value_is_the_only_error_is_the_named_one():
    chance = random.Random(60)
    for _ in range(3000):
        field, _, _, _, layout = chance.choice(subfields.RULES)
        value = "".join(chance.choice("0123456789A ") for _ in range(chance.randrange(120)))
        try:
            parts = subfields.split(field, layout, value.encode() if chance.randrange(2) else value)
        except Iso8583Error as error:
            assert error.field == field
            continue
        assert sum(len(piece) for _, piece in parts) <= len(value)


# ---- names


def test_every_transaction_of_the_table_has_a_name_of_its_own():
    names = {}
    for row in transactions.TABLE:
        zh, en = describe.title(row.mti, {3: row.processing, 25: row.condition, 60: row.kind + "000002000601"})
        assert zh not in ("报文", "金融", "授权") and en not in ("Message", "Financial", "Authorisation"), row.name
        assert (zh, en) not in names, (row.name, names[(zh, en)])
        names[(zh, en)] = row.name
        reversal = describe.title("0400", {3: row.processing, 25: row.condition, 60: row.kind + "000002000601"})
        assert reversal == ("冲正 " + zh, "Reversal " + en)


@pytest.mark.parametrize(
    "mti, code, en",
    [
        ("0800", "001", "Sign-on"), ("0800", "003", "Sign-on"), ("0810", "004", "Sign-on reply"), ("0800", "006", "Sign-on"),
        ("0820", "002", "Sign-off"), ("0820", "301", "Echo"), ("0800", "360", "Parameters"), ("0800", "361", "End of parameters"),
        ("0820", "362", "Status upload"), ("0820", "372", "List of card scheme keys"), ("0800", "370", "Card scheme key"),
        ("0800", "371", "End of card scheme keys"), ("0820", "382", "List of card applications"),
        ("0800", "380", "Card application"), ("0800", "381", "End of card applications"), ("0800", "390", "Black list"),
        ("0800", "394", "Contactless limits"), ("0800", "999", "Master key"), ("0500", "201", "Settlement"),
        ("0510", "201", "Settlement reply"), ("0320", "201", "Batch upload"), ("0330", "201", "Batch upload reply"),
        ("0320", "203", "Chip batch upload"), ("0320", "205", "Chip batch upload, not balanced"),
        ("0320", "204", "Upload of failed chip"), ("0320", "206", "Upload of failed chip, not balanced"),
        ("0320", "207", "End of batch upload"), ("0320", "202", "End of batch upload, not balanced"),
        ("0620", "951", "Script result"), ("0630", "951", "Script result reply"),
    ],
)  # fmt: skip
def test_every_management_message_has_a_name(mti, code, en):
    zh, name = describe.title(mti, {60: "00000002" + code})
    assert name == en and zh not in ("报文", "网络管理", "文件", "对账", "管理")


def test_a_script_result_and_an_uploaded_notice_are_named_for_what_they_are():
    assert describe.title("0620", {3: "000000", 60: "00000002951"})[1] == "Script result"
    assert describe.title("0320", {3: "200000", 25: "00", 60: "25000002201"}) == ("批上送 退货", "Batch upload Refund")
    assert describe.title("0320", {4: "1", 60: "00000002203"})[1] == "Chip batch upload"


def test_a_code_payment_and_an_unknown_message_have_names():
    assert describe.title("0200", {3: "000000", 22: "031", 60: "22000002000601"}) == ("扫码消费", "Code sale")
    assert describe.title("0210", {}) == ("金融 应答", "Financial reply")
    assert describe.title("1804", {}) == ("网络管理", "Network management")
    assert describe.title("0900", {}) == ("报文", "Message")


# ---- what is shown


def test_parts_are_shown_where_the_field_is_hidden_and_secrets_are_not():
    fields = {11: "000013", 48: "01" + "00" + "000002" + PAN.rjust(20, "0") + "%012d" % 1234, 60: "00000002201"}
    lines = describe.describe_fields("0320", fields)
    assert "  48.4 卡号 Card: 622262******0004" in lines and "  48.3 流水号 Trace: 000002" in lines
    code = {3: "000000", 59: b"A3019" + b"62" + b"7" * 17 + b"A4003abc", 60: "22000002000601"}
    lines = describe.describe_fields("0200", code)
    assert "  59.A3 付款码 Payment code: (19 bytes)" in lines and "  59.A4 付款凭证号 Voucher: abc" in lines
    money = {54: "1002156C000000012345", 60: "01000002000601"}
    assert not [line for line in describe.describe_fields("0210", money) if "12345" in line]


def test_every_field_with_parts_is_shown_by_them_when_asked():
    for vector, message, _ in messages():
        plain, whole = describe.describe(message), describe.describe(message, parts=True)
        assert [line for line in whole if not line.startswith("  ")] == [line for line in plain if not line.startswith("  ")]
        assert len(whole) > len(plain), vector["id"]
        text = "\n".join(whole)
        for field in (2, 35, 36):
            value = unionpay.codec().unpack(message)[1].get(field)
            assert not value or value not in text


def test_private_fields_of_another_dialect_are_not_read_as_unionpays():
    made = codec("1987-ascii")
    message = made.pack("0200", {3: "000000", 39: "00", 60: "22000002000601", 90: "0" * 42})
    lines = describe.describe(message, made, parts=True)
    assert "F60 自定义域60 Reserved 60: (14 digits)" in lines and not [line for line in lines if line.startswith("  60")]
    made = codec("1993-ascii")
    assert "F39 动作代码 Action code: 116" in describe.describe(made.pack("1210", {39: "116"}), made)


# ---- the image of a message that cannot be read


def test_an_error_says_what_was_read_and_how_much_is_left():
    message = unionpay.codec().pack("0200", {2: PAN, 3: "000000", 4: "000000001234", 11: "000002", 41: "12345678"})
    with pytest.raises(Iso8583Error) as caught:
        unionpay.codec().unpack(message[:-2])
    assert caught.value.image == (
        "0200 F2 (16 digits), F3 000000, F4 (12 digits), F11 000002; stopped in F41, 6 of %d bytes left" % (len(message) - 2)
    )
    with pytest.raises(Iso8583Error) as caught:
        unionpay.codec().unpack(b"\x02")
    assert caught.value.image == "???? no field; stopped in F0, 1 of 1 bytes left"
    with pytest.raises(Iso8583Error) as caught:
        unionpay.codec().pack("0200", {2: "x"})
    assert caught.value.image == ""


def test_no_card_number_is_in_an_image_whatever_is_broken():
    """Cuts, flipped bits of bitmap and lengths: a card number moves into other fields."""
    chance = random.Random(16)
    for name in ("unionpay", "1987-ascii", "1987-binary"):
        made = codec(name)
        number = "6%015d" % chance.randrange(10**15)
        fields = {
            2: number,
            3: "000000",
            4: "000000001234",
            11: "000002",
            12: "101010",
            13: "1120",
            22: "072",
            35: number + "D30122",
        }
        good = made.pack("0200", fields)
        for _ in range(2500):
            data = bytearray(good)
            for _ in range(chance.randrange(1, 3)):
                data[chance.randrange(min(len(data), 40))] ^= 1 << chance.randrange(8)
            data = data[: chance.randrange(10, len(data))]
            try:
                made.unpack(bytes(data))
            except Iso8583Error as error:
                shown = "".join(re.findall(r"F[0-9]+ ([^ (;,]+)[,;]", error.image))
                assert number not in shown and number not in error.image
                assert number not in str(error)


def test_never_more_digits_are_shown_together_than_of_a_card_number():
    table = unionpay.UNIONPAY
    fields = {3: "622262", 11: "000000", 12: "000400", 13: "1234", 25: "00"}
    assert image("0200", fields, table, 32, 5, 50) == (
        "0200 F3 622262, F11 (6 digits), F12 000400, F13 1234, F25 (2 digits); stopped in F32, 5 of 50 bytes left"
    )
    assert TOGETHER == 10
