"""EMV under CPython and MicroPython alike."""

from binascii import hexlify

from firmware.emv import dol, tags, tlv
from firmware.emv.contactless import EntryPoint, tap
from firmware.emv.settings import Request
from tests.portable.plain_card import NUMBER, PDOL, PlainCard, drive, hexes
from tests.portable.plain_settings import card_settings
from tests.portable.proven_card import ProvenCard, offline_settings


def refused(function, argument, error):
    try:
        function(argument)
    except error:
        return True
    return False


def test_tlv_goes_there_and_back():
    data = hexes("6F1A840E315041592E5359532E4444463031A5088801025F2D02656E")
    tree = tlv.decode(data)
    assert tlv.encode(tree) == data
    assert tlv.find(tree, 0x5F2D) == b"en"


def test_bytes_that_are_no_tlv_have_one_error():
    for bad in ("9C", "9C01", "9F", "9C80", "9C85", "E0019F0001FF", "1FFFFFFFFFFFFFFF7F"):
        assert refused(tlv.decode, hexes(bad), tlv.TlvError), bad


def test_a_dol_is_filled_by_format():
    entries = dol.parse(hexes("9F02039A045A0A9F370695029F3501"))
    values = {
        0x9F02: hexes("000000123456"), 0x9A: hexes("261120"), 0x5A: hexes("6200001234567890"),
        0x9F37: hexes("01020304"), 0x95: hexes("1122334455"),
    }  # fmt: skip
    assert dol.build(entries, values) == hexes("123456 00261120 6200001234567890FFFF 010203040000 1122 00")


def test_a_tap_ends_online_with_what_the_host_needs():
    card = PlainCard()
    outcome = drive(tap(card_settings(), Request(1234, "261120", "101500", b"\xaa\xbb\xcc\xdd", 17)), card)
    assert (outcome.status, outcome.cvm, outcome.message) == ("online", "none", "authorising")
    assert outcome.pan == NUMBER and outcome.track2 == NUMBER + "D30122200000001230"
    assert (outcome.expiry, outcome.sequence, outcome.service, outcome.aid) == ("3012", "001", "220", "A000000333010101")
    sent = hexlify(card.log[2]).decode().upper()
    told = ("66804080", "000000001234", "000000000000", "0156", "0000000000", "0156", "261120", "00", "AABBCCDD", "00")
    assert sent == "80A80000248322" + "".join(told) + "00"
    field = tlv.decode(outcome.field55())
    assert [tag for tag, _ in field][:6] == [0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95]
    assert dict(field)[0x9F41] == hexes("00000017")
    assert NUMBER not in repr(outcome)


def test_a_proven_card_is_approved_offline_and_a_forged_one_is_not():
    for number, status in ((None, "approved"), (b"\x00\x00\x00\x01", "declined")):
        card = ProvenCard("0080")
        card.number = number
        outcome = drive(tap(offline_settings(), Request(1234, "261120", "101500", b"\xaa\xbb\xcc\xdd", 17)), card)
        assert (outcome.status, outcome.cvm) == (status, "cdcvm" if status == "approved" else "none")
        assert outcome.response == ("Y1" if status == "approved" else "Z1")


def test_a_transaction_goes_on_where_the_card_was_torn():
    point = EntryPoint(card_settings(), Request(1234, "261120", "101500", b"\xaa\xbb\xcc\xdd", 17))
    torn = PlainCard()
    torn.instead[3] = None
    assert drive(point.start(), torn).start == "B"
    assert point.ui_before("B").message == "try-again"
    assert drive(point.start("B"), PlainCard()).status == "online"


def test_every_way_to_break_a_response_ends_in_an_outcome():
    for number in range(5):
        for bad in (None, b"", b"\x90", b"\x90\x00", b"\x6a\x82", b"\x6f\x85\x90\x00", b"\x77\x01\x9f\x90\x00", bytes(300)):
            card = PlainCard()
            card.instead[number] = bad
            outcome = drive(tap(card_settings(), Request(1, "261120", "101500", bytes(4), 1)), card)
            assert outcome.status in ("try-again", "end-application"), (number, bad)


def test_a_description_of_what_a_card_says_has_no_card_number():
    card = PlainCard()
    drive(tap(card_settings(), Request(1, "261120", "101500", bytes(4), 1)), card)
    lines = []
    for command in list(card.log):
        lines.extend(tags.describe(card.apdu(command)[:-2]))
    shown = "\n".join(lines)
    assert NUMBER not in shown and "620000*********0123" in shown


def test_bits_are_told_in_words():
    assert tags.words(0x95, hexes("8000048000")) == [
        "offline data authentication not performed", "online PIN entered", "floor limit exceeded",
    ]  # fmt: skip
    assert tags.words(0x9F6C, hexes("8080")) == ["online PIN required", "on-device verification performed"]
    assert tags.words(0x9F27, b"\x80") == ["ARQC (go online)"]
    assert len(PDOL) == 54
