"""Vectors: 3GPP TS 23.038 and 23.040 by hand; the PDUs are those that are found in every text on the matter."""

import random

import pytest

from drivers import sms
from drivers.sms import Joiner, Message, SmsError

HEAD = "0891683108200505F0"  # a service centre
FROM = "0D91683108108300F0"  # +8613800138000
STAMP = "62110201435023"  # 2026-11-20 10:34:05, eight hours east


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("hellohello", "E8329BFD4697D9EC37"),
        ("How are you?", "C8F71D14969741F977FD07"),
        ("1234567", "31D98C56B3DD00"),
        ("12345678", "31D98C56B3DD70"),
        ("{}", "1BD42605"),
        ("", ""),
    ],
)
def test_eight_characters_fill_seven_bytes(text, packed):
    codes = sms.septets(text)
    assert sms.pack(codes).hex().upper() == packed
    assert sms.from_septets(sms.unpack(bytes.fromhex(packed), len(codes))) == text


def test_the_extension_is_behind_an_escape():
    assert sms.septets("€[") == [0x1B, 0x65, 0x1B, 0x3C]
    assert sms.pack(sms.septets("€")).hex().upper() == "9B32"
    assert sms.from_septets([0x1B, 0x65, 0x1B, 0x41, 0x1B]) == "€A "  # unknown: the character without escape


def test_what_the_alphabet_lacks_is_not_in_it():
    assert sms.septets("中") is None and sms.septets("\x1b") is None and sms.septets("`") is None


def test_a_short_text_is_one_pdu_in_seven_bits():
    assert sms.submit("+8613800138000", "hellohello", 0) == [(24, "0011000D91683108108300F00000A70AE8329BFD4697D9EC37")]


def test_chinese_is_ucs2_and_a_short_number_is_of_no_country():
    ((length, pdu),) = sms.submit("10086", "余额", 0)
    assert pdu == "001100" + "05810180F6" + "0008A704" + "4F59989D"
    assert length == len(pdu) // 2 - 1


@pytest.mark.parametrize(("size", "parts"), [(160, 1), (161, 2), (306, 2), (307, 3)])
def test_a_long_text_goes_in_parts_of_153(size, parts):
    pdus = sms.submit("10086", "a" * size, 7)
    assert len(pdus) == parts
    if parts > 1:
        assert [pdu[2:4] for _, pdu in pdus] == ["51"] * parts
        assert ["05000307%02X%02X" % (parts, at + 1) in pdu for at, (_, pdu) in enumerate(pdus)] == [True] * parts


@pytest.mark.parametrize(("size", "parts"), [(70, 1), (71, 2), (134, 2), (135, 3)])
def test_a_long_chinese_text_goes_in_parts_of_67(size, parts):
    assert len(sms.submit("10086", "中" * size, 7)) == parts


def test_no_part_ends_in_the_middle_of_a_character():
    for text in ("a" * 152 + "€" * 20, "中" * 66 + "😀" * 20):
        for _, pdu in sms.submit("10086", text, 7):
            assert not sms.deliver(received(pdu)).text.endswith(("\x1b", "\ufffd", " "))
        assert "".join(sms.deliver(received(pdu)).text for _, pdu in sms.submit("10086", text, 7)) == text


def received(pdu):
    """The same message as it comes to its reader: another head, the same body. pdu: to "10086"."""
    first, coding, body = int(pdu[2:4], 16), pdu[18:20], pdu[22:]
    assert pdu[6:16] == "05810180F6"
    return HEAD + "%02X" % (0x04 | first & 0x40) + FROM + "00" + coding + STAMP + body


@pytest.mark.parametrize(
    "text",
    ["a", "hello {world} [^~\\|€]", "您尾号1234的账户消费12.34元", "x" * 160, "中" * 70, "\n\r@£ÄÖÑÜ§", "😀 ok", ""],
)
def test_what_leaves_is_what_comes(text):
    ((_, pdu),) = sms.submit("10086", text, 0)
    assert sms.deliver(received(pdu)) == Message("+8613800138000", "20261120103405", text, None)


@pytest.mark.parametrize("text", ["b" * 400, "账" * 200, "€" * 200, "x" * 153 + "{" * 100])
def test_parts_that_leave_are_joined_when_they_come_in_any_order(text):
    pdus = [pdu for _, pdu in sms.submit("10086", text, 200)]
    chance = random.Random(1)
    chance.shuffle(pdus)
    joiner, whole = Joiner(), []
    for place, pdu in enumerate(pdus):
        assert not whole
        whole = joiner.add(sms.deliver(received(pdu)), place, 0.0)
    ((message, places),) = whole
    assert message.text == text and sorted(places) == list(range(len(pdus)))


@pytest.mark.parametrize(
    ("pdu", "sender", "stamp", "text"),
    [
        ("07911326040000F0040B911346610089F60000208062917314080CC8F71D14969741F977FD07",
         "+31641600986", "20020826193741", "How are you?"),
        (HEAD + "04" + "05A10180F6" + "0008" + STAMP + "04" + "4F59989D", "10086", "20261120103405", "余额"),
        (HEAD + "04" + FROM + "00F6" + STAMP + "03414243", "+8613800138000", "20261120103405", "ABC"),
        (HEAD + "04" + FROM + "0000" + "00000000000000" + "02E834", "+8613800138000", "", "hi"),
        ("00" + "04" + "0081" + "0000" + STAMP + "02E834", "", "20261120103405", "hi"),
    ],
)  # fmt: skip
def test_messages_of_all_sorts_are_read(pdu, sender, stamp, text):
    assert sms.deliver(pdu) == Message(sender, stamp, text, None)


def test_a_name_as_sender_is_seven_bits():
    name = sms.pack(sms.septets("KAIFU"))
    pdu = HEAD + "04" + "09D0" + name.hex() + "0000" + STAMP + "02E834"
    assert sms.deliver(pdu).sender == "KAIFU"


@pytest.mark.parametrize(
    ("scheme", "alphabet"),
    [(0x00, "7"), (0x08, "16"), (0x04, "8"), (0x18, "16"), (0xF0, "7"), (0xF6, "8"), (0xC8, "7"), (0xE0, "16"), (0x28, None)],
)
def test_the_coding_scheme_says_which_alphabet(scheme, alphabet):
    assert sms.alphabet(scheme) == alphabet


def test_a_sixteen_bit_reference_is_one_too():
    pdu = HEAD + "44" + FROM + "0008" + STAMP + "09" + "0608041234" + "0201" + "4E2D"
    assert sms.deliver(pdu).part == (0x1234, 2, 1)


def test_a_part_that_is_nothing_but_its_header_is_a_part_without_text():
    pdu = HEAD + "44" + FROM + "0008" + STAMP + "06" + "050003070202"
    assert sms.deliver(pdu) == Message("+8613800138000", "20261120103405", "", (7, 2, 2))


@pytest.mark.parametrize("header", ["0500030702" + "03", "0500030702" + "00", "0500030701" + "01"])
def test_a_part_that_cannot_be_is_taken_as_a_whole_message(header):
    pdu = HEAD + "44" + FROM + "0008" + STAMP + "08" + header + "4E2D"
    assert sms.deliver(pdu).part is None and sms.deliver(pdu).text == "中"


@pytest.mark.parametrize(
    "pdu", ["", "0", "ZZ", "07", HEAD, HEAD + "01" + FROM, HEAD + "44" + FROM + "0008" + STAMP + "0512", "00" * 300]
)
def test_what_is_no_message_is_one_error(pdu):
    with pytest.raises(SmsError):
        sms.deliver(pdu)


def test_any_bytes_are_a_message_or_the_one_error():
    chance = random.Random(5)
    base = bytes.fromhex(HEAD + "44" + FROM + "0000" + STAMP + "A0" + "050003070301") + bytes(range(134))
    read = 0
    for _ in range(3000):
        data = bytearray(base[: chance.randrange(len(base) + 1)])
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            message = sms.deliver(data.hex())
            assert isinstance(message.text, str)
            read += 1
        except SmsError as error:
            assert len(str(error)) < 60
    assert read > 100


@pytest.mark.parametrize("number", ["", "+", "12a", "1 2", '1"', "1" * 21, None, "１２"])
def test_what_is_no_number_is_refused(number):
    with pytest.raises(ValueError, match="sms: a number"):
        sms.submit(number, "x", 0)


def test_a_text_of_more_than_255_parts_is_refused():
    with pytest.raises(ValueError, match="too long"):
        sms.submit("1", "中" * (67 * 255 + 1), 0)
    assert len(sms.submit("1", "中" * (67 * 255), 0)) == 255


def part(number, of=3, reference=1, sender="1", text=None):
    return Message(sender, "", text or "%d" % number, (reference, of, number))


def test_parts_of_two_messages_do_not_mix():
    joiner = Joiner()
    for number in (1, 2):
        assert joiner.add(part(number), number, 0.0) == []
        assert joiner.add(part(number, reference=2, text="x%d" % number), 10 + number, 0.0) == []
    assert joiner.add(part(3, reference=2, text="x3"), 13, 0.0) == [(Message("1", "", "x1x2x3", None), [11, 12, 13])]
    assert joiner.add(part(3), 3, 0.0) == [(Message("1", "", "123", None), [1, 2, 3])]


def test_a_part_that_comes_twice_frees_both_places():
    joiner = Joiner()
    joiner.add(part(1, 2), 1, 0.0)
    joiner.add(part(1, 2), 5, 0.0)
    ((message, places),) = joiner.add(part(2, 2), 2, 0.0)
    assert message.text == "12" and sorted(places) == [1, 2, 5]


def test_parts_do_not_wait_for_ever_nor_without_bound():
    joiner = Joiner()
    joiner.add(part(2), 1, 100.0)
    assert joiner.next_due == 100.0 and joiner.due(699.0) == []
    assert joiner.due(700.0) == [(Message("1", "", "…2…", None), [1])] and joiner.next_due is None
    out = []
    for reference in range(40):
        out += joiner.add(part(1, reference=reference), reference, 0.0)
    assert len(out) == 40 - Joiner.most


@pytest.mark.parametrize(
    ("told", "text"),
    [("4F59989D", "余额"), ("00480069", "Hi"), ("Hello", "Hello"), ("1234", "1234"), ("", ""), ("95588", "95588")],
)
def test_text_in_hexadecimal_is_read_and_plain_text_is_left_alone(told, text):
    assert sms.from_ucs2(told) == text


def test_what_takes_two_is_one_character_in_hexadecimal():
    assert sms.from_ucs2(sms.ucs2("😀 好")) == "😀 好"


def test_texts_are_cut_for_text_mode():
    assert [len(one) for one in sms.texts("中" * 150)] == [70, 70, 10]
    assert sms.texts("") == [""]
    assert "".join(sms.texts("😀" * 100)) == "😀" * 100
