import random
from binascii import unhexlify

import pytest

from firmware.emv import apdu, meanings, tags, tlv, track2
from tests.firmware.test_tlv import vectors

NUMBER = "6200001234567890"


def cases(op):
    found = [case for case in vectors("misc.json")["cases"] if case["op"] == op]
    assert found, op
    return found


def test_the_public_compressed_numbers_are_read():
    for case in cases("compressed_numeric"):
        if case["expected"] == "rejected":
            with pytest.raises(track2.Track2Error):
                track2.compressed(unhexlify(case["input"]))
        else:
            assert track2.compressed(unhexlify(case["input"])) == case["expected"]["digits"]


def test_the_public_masked_number_is_ours():
    # Its neighbour, the masked track 2 that shows eight digits, is another project's rule: six and four here, always.
    for case in cases("mask_pan"):
        assert tags.mask_digits(case["input"]) == case["expected"]


def test_the_public_commands_are_written():
    for case in cases("read_record_command"):
        assert apdu.read_record(case["input"]["sfi"], case["input"]["record"]) == unhexlify(case["expected"])
    for case in cases("get_data_command"):
        assert apdu.get_data(int(case["input"], 16)) == unhexlify(case["expected"])


def test_the_public_cvm_rule_is_told():
    (case,) = cases("cvm_list")
    assert tags.words(0x8E, unhexlify(case["input"])) == [
        "plaintext offline PIN, where the terminal has the method, else the next"
    ]


@pytest.mark.parametrize(
    "tag, value, said",
    [
        (0x95, "8000048000", ["offline data authentication not performed", "online PIN entered", "floor limit exceeded"]),
        (0x95, "0000000000", []),
        (0x9B, "E800", [
            "offline data authentication performed", "cardholder verification performed",
            "card risk management performed", "terminal risk management performed",
        ]),
        (0x82, "7D00", ["SDA", "DDA", "cardholder verification", "terminal risk management", "issuer authentication", "CDA"]),
        (0x82, "2080", ["DDA", "EMV mode over contactless"]),
        (0x9F07, "FF00", [
            "domestic cash", "international cash", "domestic goods", "international goods", "domestic services",
            "international services", "at ATMs", "at terminals other than ATMs",
        ]),
        (0x9F07, "0080", ["domestic cashback"]),
        (0x9F33, "E0F8C8", [
            "manual key entry", "magnetic stripe", "chip with contacts", "plaintext offline PIN", "online PIN", "signature",
            "enciphered offline PIN", "no verification", "SDA", "DDA", "CDA",
        ]),
        (0x9F40, "6000F0A001", [
            "goods", "services", "numeric keys", "letter keys", "command keys", "function keys", "prints for the attendant",
            "display for the attendant", "code table 1",
        ]),
        (0x9F35, "22", ["a merchant's", "attended, offline with online"]),
        (0x9F35, "14", ["a bank's", "unattended, online only"]),
        (0x9F35, "00", []),
        (0x9F66, "26804080", [
            "qPBOC/qVSDC", "online PIN", "signature", "online cryptogram required", "on-device verification", "fDDA version 01",
        ]),
        (0x9F6C, "8080", ["online PIN required", "on-device verification performed"]),
        (0x9F27, "80", ["ARQC (go online)"]),
        (0x9F27, "4A", ["TC (approved offline)", "advice required", "PIN try limit exceeded"]),
        (0x9F27, "01", ["AAC (declined)", "service not allowed"]),
        (0x9F27, "C4", ["RFU", "reason 4"]),
        (0x9F34, "3F0000", ["none performed", "result unknown"]),
        (0x9F34, "420302", ["online PIN", "where the terminal has the method", "successful"]),
        (0x9F34, "5E0300", ["signature", "where the terminal has the method", "result unknown"]),
        (0x8E, "000003E80000000042061F00", ["X 10.00", "online PIN, under X, else the next", "no verification, always"]),
        (0x8E, "0000000000000000", []),
        (0x8E, "00", ["no CVM list"]),
        (0x94, "0801010010010301", ["SFI 1, record 1", "SFI 2, records 1 to 3, 1 signed"]),
        (0x94, "080101", ["no file locator"]),
        (0x87, "81", ["priority 1", "to be confirmed by the holder"]),
        (0x9F02, "000000001234", ["12.34"]),
        (0x81, "0000C350", ["500.00"]),
        (0x9A, "261120", ["2026-11-20"]),
        (0x5F25, "991231", ["1999-12-31"]),
        (0x9F21, "101500", ["10:15:00"]),
        (0x9F36, "001A", ["26"]),
        (0x9F1A, "0156", ["China"]),
        (0x5F2A, "0156", ["CNY"]),
        (0x8A, "5933", ["not reached, approved offline"]),
        (0x9F39, "07", ["contactless chip"]),
        (0x5F30, "0201", ["international, chip", "normal authorisation", "no restriction"]),
        (0x9F69, "015A5AA5A50080", ["fDDA version 01", "card's number 5A5AA5A5", "on-device verification performed"]),
        (0xDF31, "2000000001" + "1300000002" + "0F00000003", [
            "script 00000001 carried out", "script 00000002 failed at command 3", "script 00000003 not carried out",
        ]),
        (0x9F10, "07010103A00000010A010000000000", ["key 01", "cryptogram version 01", "first: ARQC", "3DES"]),
        (0x9F10, "06010A03942408", [
            "key 01", "cryptogram version 0A", "first: TC", "offline PIN verified", "velocity counters exceeded",
            "issuer authentication not performed last time", "script failed last time",
        ]),
        (0x9F10, "07010103640000", [
            "key 01", "cryptogram version 01", "first: ARQC", "second: TC", "offline PIN verified",
        ]),
        (0x9F10, "0110A00003220000", []),
    ],
)  # fmt: skip
def test_a_value_is_told_in_words(tag, value, said):
    assert tags.words(tag, unhexlify(value)) == said


def test_m_chip_has_its_own_words_and_names():
    said = tags.words(0x9F10, unhexlify("0110A00003220000000000000000000000FF"), "mastercard")
    assert said == [
        "key 01", "cryptogram version 10", "first: ARQC", "offline PIN not performed", "domestic", "scripts 0", "PIN tries 3",
    ]  # fmt: skip
    assert tags.name_of(0x9F66, "mastercard") == "PUNATC of Track 2" and tags.words(0x9F66, b"\xff\xff", "mastercard") == []
    assert tags.name_of(0x9F66) == tags.name_of(0x9F66, "visa") == "Terminal Transaction Qualifiers"
    assert tags.words(0x9F6E, unhexlify("0156800000"), "mastercard") == ["China"]
    assert tags.words(0x9F6E, unhexlify("23800000"), "visa") == ["phone"]


def test_every_bit_of_the_tvr_and_tsi_that_the_standard_names_has_words():
    assert len(tags.words(0x95, b"\xff" * 5)) == 8 + 5 + 6 + 5 + 6
    assert len(tags.words(0x9B, b"\xff\xff")) == 6


def test_a_scheme_is_told_from_the_application_in_the_data():
    record = [(0x84, unhexlify("A0000000041010")), (0x9F6C, b"\x00\x01")]
    assert tags.describe(record)[1].startswith("9F6C Mag-stripe Application Version Number")
    record = [(0x84, unhexlify("A000000333010101")), (0x9F6C, b"\x00\x80")]
    assert tags.describe(record)[1] == "9F6C Card Transaction Qualifiers: 0080 (on-device verification performed)"


def test_a_tag_has_templates_where_it_may_lie():
    assert tags.templates_of(0x9F38) == [0xA5] and tags.templates_of(0x4F) == [0x61]
    assert tags.templates_of(0x5A) == [0x70, 0x77] and tags.templates_of(0x95) == []
    for template in tags.TEMPLATES:
        for tag in tags.TEMPLATES[template]:
            assert tags.name_of(tag) != "unknown", "%X" % tag


def test_foreign_rows_can_be_written_and_have_a_format():
    for rows in tags.FOREIGN.values():
        for tag, name, form, source in rows:
            assert tlv.tag_bytes(tag) and name and form in ("a", "an", "ans", "n", "cn", "b") and source in ("card", "terminal")


def test_every_tag_with_words_is_in_the_dictionary():
    for table in (meanings.BITS, meanings.CODES, meanings.READERS):
        for tag in table:
            assert tags.name_of(tag) != "unknown", "%X" % tag


@pytest.mark.parametrize(
    "tag, value, shown",
    [
        (0x5A, "N", "620000******7890"),
        (0x57, "ND30122200000012345F", "620000******7890"),
        (0x9F6B, "ND3012", "620000******7890"),
        (0x57, "N30122200000012345F", "(17 bytes)"),
        (0x5A, "N3012", "(10 bytes)"),
        (0x5A, "10000000000F", "***********"),
        (0x5F20, "4C49", "(2 bytes)"),
        (0x9F20, "N", "(8 bytes)"),
        (0x9F05, "N", "(8 bytes)"),
        (0x99, "2412345FFFFFFFFF", "(8 bytes)"),
        (0xDF7F, "0102030405", "0102030405"),
        (0xDF7F, "010203040506", "(6 bytes)"),
    ],
)
def test_a_value_is_shown_without_its_secret(tag, value, shown):
    value = value.replace("N", NUMBER)
    value = value + "0" if len(value) % 2 else value
    assert tags.show(tag, unhexlify(value)) == shown


def test_words_of_any_bytes_are_words_and_never_an_error():
    chance = random.Random(17)
    known = [row[0] for row in tags.TAGS] + [0xDF7F]
    for _ in range(6000):
        tag = chance.choice(known)
        value = chance.randbytes(chance.randrange(20))
        scheme = chance.choice(("", "unionpay", "visa", "mastercard"))
        assert all(isinstance(word, str) and word for word in tags.words(tag, value, scheme)), "%X" % tag
        assert isinstance(tags.show(tag, value, scheme), str)
