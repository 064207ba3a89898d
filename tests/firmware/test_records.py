"""GET PROCESSING OPTIONS and the records against the vectors of emv-utils, and each rule of EMV Book 3, 10.1 and 10.2."""

import random
from binascii import unhexlify

import pytest

from firmware.emv import apdu, card, dol, records, tlv, track2
from firmware.emv.data import Data
from firmware.emv.outcome import Outcome
from firmware.emv.settings import Request
from tests.card_settings import card_settings
from tests.firmware.test_selection import Replay, hexes, ok, upper
from tests.firmware.test_tlv import vectors

NUMBER, EXPIRY = (0x5A, hexes("6200001234567890")), (0x5F24, hexes("301231"))
CDOL_1, CDOL_2 = (0x8C, hexes("9F0206")), (0x8D, hexes("8A02"))
ALL = [NUMBER, EXPIRY, CDOL_1, CDOL_2]


def new_data(terminal=None):
    data = Data(card_settings(terminal=terminal or {}), Request(1234, "261120", "101500", b"\xaa\xbb\xcc\xdd", 17))
    data.choose(data.settings.applications[0])
    return data


def run(step, answer):
    """Drives a step; `answer` makes a response of a command."""
    sent = None
    while True:
        try:
            command = step.send(sent)
        except StopIteration as done:
            return done.value
        sent = answer(command)


def ends(step, answer):
    with pytest.raises(card.Ended) as end:
        run(step, answer)
    return end.value.why


def reading(locator, files, data=None):
    """The data after the records have been read. files: {(file, record): response}."""
    data = data or new_data()
    data.said[0x82] = b"\x7c\x00"
    data.said[0x94] = hexes(locator)
    step = records.read(data)
    return data, step, lambda command: files.get((command[3] >> 3, command[2]), b"\x6a\x83")


def read(locator, files, data=None):
    data, step, answer = reading(locator, files, data)
    run(step, answer)
    return data


def read_ends(locator, files):
    _, step, answer = reading(locator, files)
    return ends(step, answer)


def record(*objects):
    return ok([(0x70, list(objects))])


# The vectors


def test_the_public_options():
    file = vectors("gpo.json")
    for case in file["cases"]:
        data = new_data({row["tag"]: row["value"] for row in file["terminal_config"]})
        for row in file["transaction_data"]:
            data.told[int(row["tag"], 16)] = unhexlify(row["value"])
        records.fci(data, tlv.decode(unhexlify(case["fci"])))
        chip = Replay(case["apdus"])
        if case["expect"]["outcome"] != "OK":
            why = ends(records.options(data), chip.apdu)
            assert (why == "gpo-refused") == ("NOT_ACCEPTED" in case["expect"]["outcome"]), case["name"]
            assert not chip.pairs, case["name"]
            continue
        run(records.options(data), chip.apdu)
        assert upper(data.said[0x82]) == case["expect"]["aip"], case["name"]
        assert upper(data.said[0x94]) == case["expect"]["afl"], case["name"]
        assert not chip.pairs


def test_the_public_records():
    for case in vectors("read_records.json")["cases"]:
        data = new_data()
        data.said[0x82] = b"\x7c\x00"
        if case["afl"]:
            data.said[0x94] = unhexlify(case["afl"])
        chip = Replay(case["apdus"])
        if case["expect"]["result"] == "terminate":
            assert ends(records.read(data), chip.apdu) in ("missing", "malformed", "refused"), case["name"]
        else:
            run(records.read(data), chip.apdu)
            assert data.static_fits == ("ODA failed" not in case["expect"]["result"]), case["name"]
        assert not chip.pairs, case["name"]


def test_the_public_commands():
    ran = 0
    for case in vectors("misc.json")["cases"]:
        given, expected = case["input"], case["expected"]
        ran += 1
        if case["op"] == "read_record_command":
            assert upper(apdu.read_record(given["sfi"], given["record"])) == expected
        elif case["op"] == "get_data_command":
            assert upper(apdu.get_data(int(given, 16))) == expected
        elif case["op"] == "gpo":
            assert expected == "rejected"
            with pytest.raises(card.Ended):
                records.processing_options(unhexlify(given))
        elif case["op"] == "compressed_numeric":
            if expected == "rejected":
                with pytest.raises(track2.Track2Error):
                    track2.compressed(unhexlify(given))
            else:
                assert track2.compressed(unhexlify(given)) == expected["digits"]
        elif case["op"] == "dol":
            values = {int(tag, 16): unhexlify(value) for tag, value in given.get("values", {}).items()}
            assert upper(dol.build(dol.parse(unhexlify(given["dol"])), values)) == expected
        else:
            ran -= 1
    assert ran >= 7


# Options


def options(data, response):
    sent = []

    def answer(command):
        sent.append(command)
        return response

    run(records.options(data), answer)
    return sent


def test_a_card_that_asks_for_nothing_is_sent_an_empty_list():
    data = new_data()
    sent = options(data, hexes("8006 7C00 08010100 9000"))
    assert sent == [hexes("80A8000002830000")]
    assert (data.pdol, data.said[0x82], data.said[0x94]) == (b"", b"\x7c\x00", hexes("08010100"))


def test_the_values_that_were_sent_are_kept_for_the_combined_signature():
    data = new_data()
    data.said[0x9F38] = hexes("9F3704 9F0206")
    sent = options(data, ok([(0x77, [(0x94, hexes("08010100")), (0x82, b"\x7c\x00"), (0x9F36, b"\x00\x01")])]))
    assert data.pdol == hexes("AABBCCDD 000000001234")
    assert sent == [hexes("80A800000C830AAABBCCDD00000000123400")]
    assert data.said[0x9F36] == b"\x00\x01"


def test_a_list_that_no_command_carries_is_found_before_one_is_sent():
    data = new_data()
    data.said[0x9F38] = hexes("9F33FF")
    with pytest.raises(dol.DolError):
        next(records.options(data))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("6985", "gpo-refused"),
        ("6A81", "refused"),
        ("6984", "refused"),
        ("9000", "malformed"),
        ("80017C9000", "malformed"),
        ("710482027800 9000", "malformed"),
        ("770A 82027C00 82027C00 9400 9000", "malformed"),
    ],
)
def test_options_that_are_refused_or_none_end_with_a_reason(answer, why):
    assert ends(records.options(new_data()), lambda command: hexes(answer)) == why


# The locator


@pytest.mark.parametrize(
    ("locator", "why"),
    [
        ("", "missing"),
        ("080101", "malformed"),
        ("09010100", "malformed"),
        ("00010100", "malformed"),
        ("F8010100", "malformed"),
        ("08000100", "malformed"),
        ("08020100", "malformed"),
        ("08010102", "malformed"),
        ("08020303", "malformed"),
        ("0801FF00", "endless"),
        ("08010200 10016000", "endless"),
    ],
)
def test_a_locator_that_cannot_be_is_the_end(locator, why):
    sent = []
    _, step, _ = reading(locator, {})

    def answer(command):
        sent.append(command)
        return record((0xDF01 + len(sent), b""))

    assert ends(step, answer) == why
    assert len(sent) < 4


def test_a_card_without_a_profile_is_the_end():
    data, step, answer = reading("08010100", {(1, 1): record(*ALL)})
    del data.said[0x82]
    assert ends(step, answer) == "missing"
    data, step, answer = reading("08010100", {(1, 1): record(*ALL)})
    data.said[0x82] = b"\x7c"
    assert ends(step, answer) == "malformed"


# The records


def test_the_objects_of_all_records_are_the_cards_data():
    data = read("08010200 10010100", {(1, 1): record(NUMBER), (1, 2): record(EXPIRY), (2, 1): record(CDOL_1, CDOL_2)})
    assert [data.said[tag] for tag, _ in ALL] == [value for _, value in ALL]
    assert data.static == b"" and data.static_fits


@pytest.mark.parametrize("tag", [0x5A, 0x5F24, 0x8C, 0x8D])
def test_a_card_without_a_mandatory_object_is_the_end(tag):
    assert read_ends("08010100", {(1, 1): record(*[row for row in ALL if row[0] != tag])}) == "missing"


def test_an_object_that_comes_twice_is_the_end_even_with_the_same_value():
    assert read_ends("08010200", {(1, 1): record(*ALL), (1, 2): record(NUMBER)}) == "malformed"
    assert read_ends("08010100", {(1, 1): record(NUMBER, *ALL)}) == "malformed"


@pytest.mark.parametrize("answer", [b"\x6a\x83", b"\x62\x83", b"\x6a\x82"])
def test_a_record_that_the_locator_names_and_the_card_has_not_is_the_end(answer):
    assert read_ends("08010100", {(1, 1): answer}) == "refused"


@pytest.mark.parametrize("answer", ["9000", "71009000", "7000 7000 9000", "5A02 1234 9000"])
def test_a_record_that_is_no_template_is_the_end(answer):
    assert read_ends("08010100", {(1, 1): hexes(answer)}) == "malformed"


def test_static_data_are_the_inside_of_low_files_and_the_whole_of_high_ones_in_the_order_of_the_locator():
    low, high = tlv.encode(ALL), tlv.encode([(0x70, [(0xDF01, b"\x01")])])
    data = read("60010101 08010201", {(12, 1): high + b"\x90\x00", (1, 1): record(*ALL), (1, 2): record((0x5F28, b"\x01\x56"))})
    assert data.static == high + low and data.static_fits


def test_file_10_is_the_last_whose_template_is_not_authenticated():
    inner = tlv.encode([(0xDF01, b"\x01")])
    files = {(1, 1): record(*ALL), (10, 1): ok([(0x70, [(0xDF01, b"\x01")])]), (11, 1): ok([(0x70, [(0xDF01, b"\x01")])])}
    assert read("08010100 50010101", files).static == inner
    assert read("08010100 58010101", files).static == b"\x70\x04" + inner


def test_as_many_records_as_a_card_may_have_are_read():
    files = {(1, number): record((0xDF8100 + number, b"")) for number in range(2, 97)}
    assert read("08016000", {**files, (1, 1): record(*ALL)}).said[0x5A] == NUMBER[1]


def test_static_data_are_taken_as_they_came_with_the_length_forms_of_the_card():
    inner = b"\x5f\x24\x81\x03\x30\x12\x31" + tlv.encode([NUMBER, CDOL_1, CDOL_2])
    data = read("08010101", {(1, 1): b"\x70\x82\x00" + bytes((len(inner),)) + inner + b"\x90\x00"})
    assert data.static == inner


def test_padding_behind_a_record_is_not_authenticated():
    data = read("08010101", {(1, 1): record(*ALL)[:-2] + b"\x00\x00\x90\x00"})
    assert data.static == tlv.encode(ALL)


@pytest.mark.parametrize(
    "odd",
    [
        b"\xff\x90\x00",
        b"\x90\x00",
        b"\x71\x00\x90\x00",
        b"\x70\x05\x01\x90\x00",
        b"\x70\x80\x90\x00",
        b"\x70\x80" + bytes(128) + b"\x90\x00",
    ],
)
def test_a_high_record_of_another_format_fails_authentication_only_where_it_is_listed(odd):
    files = {(1, 1): record(*ALL), (11, 1): odd}
    assert not read("08010100 58010101", files).static_fits
    assert read("08010100 58010100", files).static_fits


def test_a_record_does_not_change_what_the_card_was_selected_and_started_with():
    data = new_data()
    data.said.update({0x84: b"NAME!", 0x50: b"old"})
    read("08010100", {(1, 1): record((0x82, b"\x00\x00"), (0x84, b"OTHER"), (0x50, b"new"), *ALL)}, data)
    assert (data.said[0x82], data.said[0x84], data.said[0x50]) == (b"\x7c\x00", b"NAME!", b"new")


def test_an_object_without_a_value_says_nothing():
    data = new_data()
    data.said[0x50] = b"old"
    read("08010100", {(1, 1): record((0x9F08, b""), (0x5F34, b""), (0x50, b""), (0x9F0E, b""), *ALL)}, data)
    assert data.said[0x50] == b"old"
    assert not [tag for tag in (0x9F08, 0x5F34, 0x9F0E) if tag in data.said]


def test_a_list_of_what_is_signed_is_wrong_without_a_value():
    assert read("08010100", {(1, 1): record((0x9F4A, b""), *ALL)}).said[0x9F4A] == b""


# Who the card is


def identity(*objects):
    outcome = Outcome("", "", "")
    records.identify(outcome, dict(objects))
    return outcome


def test_the_card_number_and_the_track_must_agree():
    track = (0x57, hexes("6200001234567890D30122200000001230F0")[:-1] + b"\x0f")
    it = identity(NUMBER, EXPIRY, track, (0x5F34, b"\x01"))
    assert (it.pan, it.expiry, it.service, it.sequence) == ("6200001234567890", "3012", "220", "001")
    with pytest.raises(card.Ended):
        identity((0x5A, hexes("6200001234567891")), EXPIRY, track)


@pytest.mark.parametrize(("date", "filler"), [("3012", "FFFF"), ("0000", "")])
def test_a_track_may_have_more_filler_and_no_date(date, filler):
    track = hexes("6200001234567890D" + date + "2200000" + filler)
    it = identity(NUMBER, EXPIRY, (0x57, track))
    assert (it.pan, it.expiry, it.service, it.track2) == ("6200001234567890", "3012", "220", "6200001234567890D%s2200000" % date)
    assert identity((0x57, track)).expiry == ("" if date == "0000" else date)


@pytest.mark.parametrize("date", ["", "3012", "301331", "30AB31", "300031", "30123101"])
def test_an_expiry_date_that_is_none_is_left_empty(date):
    assert identity(NUMBER, (0x5F24, hexes(date))).expiry == ""


@pytest.mark.parametrize("bad", [(0x5A, b""), (0x5A, b"\x12\x3a"), (0x57, b"\x12\x34"), (0x5F34, b"\x0a"), (0x5F34, b"\x00\x01")])
def test_an_identity_that_cannot_be_is_refused(bad):
    with pytest.raises((card.Ended, track2.Track2Error)):
        identity(bad)


def test_whatever_the_records_are_reading_ends_and_is_bounded():
    chance = random.Random(7)
    for _ in range(400):
        locator = bytes(chance.choice((8, 16, 1, 1, 2, 0, 88, chance.randrange(256))) for _ in range(4 * chance.randrange(5)))
        data = new_data()
        data.said[0x82], data.said[0x94] = b"\x7c\x00", locator
        sent = []

        def answer(command, sent=sent):
            sent.append(command)
            response = bytearray(record(*[(0xDF00 + len(sent), b"\x01"), *ALL][: chance.randrange(6)]))
            if chance.random() < 0.3:
                response[chance.randrange(len(response))] = chance.randrange(256)
            return bytes(response)

        try:
            run(records.read(data), answer)
        except (card.Ended, tlv.TlvError):
            pass
        assert len(sent) <= records.MAX_RECORDS
