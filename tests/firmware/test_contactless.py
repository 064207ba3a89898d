import random
from binascii import unhexlify

import pytest

from firmware.emv import contactless, tlv
from firmware.emv.contactless import tap
from firmware.emv.outcome import MESSAGES, METHODS, STATUSES
from firmware.emv.settings import Request, SettingsError
from tests.card_settings import UNIONPAY_ROWS, card_settings
from tests.portable.plain_card import AID, NUMBER, PlainCard, drive, hexes, ok

SETTINGS = card_settings()


def request(amount_fen=1234, **more):
    return Request(amount_fen, "261120", "101500", b"\xaa\xbb\xcc\xdd", 17, **more)


def outcome_of(card, amount_fen=1234, settings=SETTINGS):
    return drive(tap(settings, request(amount_fen)), card)


# Selection


def directory(*entries):
    card = PlainCard()
    card.entries = [
        [(0x4F, hexes(aid)), (0x50, label.encode())] + ([(0x87, bytes((priority,)))] if priority is not None else [])
        for aid, label, priority in entries
    ]
    return card


def selected(card):
    return [command[5:-1].hex().upper() for command in card.log[1:] if command[1] == 0xA4]


def test_the_best_priority_is_taken_first_and_none_comes_last():
    card = directory(("A000000333010103", "C", None), ("A000000333010102", "B", 2), ("A000000333010101", "A", 1))
    card.instead = {1: b"\x6a\x82", 2: b"\x62\x83"}
    outcome_of(card)
    assert selected(card) == ["A000000333010101", "A000000333010102", "A000000333010103"]


def test_a_longer_name_fits_a_partial_row_only():
    card = directory((AID + "0102", "long", 1))
    assert outcome_of(card).status == "online"
    card = directory((AID + "0102", "long", 1))
    outcome = outcome_of(card, settings=card_settings([dict(UNIONPAY_ROWS[0], partial=False)]))
    assert (outcome.status, outcome.why) == ("end-application", "no-application")


def test_a_card_of_another_scheme_is_told_to_leave():
    outcome = outcome_of(directory(("A0000000041010", "Mastercard", 1)))
    assert (outcome.status, outcome.why, outcome.message) == ("end-application", "no-application", "try-another-card")


def test_a_card_that_asks_for_another_kernel_is_not_taken():
    card = PlainCard()
    card.entries[0].append((0x9F2A, b"\x03"))
    assert outcome_of(card).why == "no-application"


@pytest.mark.parametrize(
    ("wish", "status"),
    [("800000", "online"), ("C00000", "online"), ("8000", "end-application"), ("810156", "end-application"),
     ("400000", "end-application"), ("000000", "online"), ("07", "online")],
)  # fmt: skip
def test_a_wish_for_a_kernel_has_one_byte_or_names_a_country_in_three(wish, status):
    card = PlainCard()
    card.entries[0].append((0x9F2A, hexes(wish)))
    assert outcome_of(card).status == status


def test_what_a_card_adds_behind_its_directory_is_not_read():
    card = PlainCard()
    behind = (0x6F, [(0xA5, [(0xBF0C, [(0x61, card.entries[0])])])])
    card.instead = {0: ok([(0x6F, [(0x84, b"2PAY.SYS.DDF01")]), behind])}
    assert outcome_of(card).why == "no-directory"


def test_a_card_without_a_payment_directory_is_no_bank_card():
    card = PlainCard()
    card.instead = {0: b"\x6a\x82"}
    outcome = outcome_of(card)
    assert (outcome.status, outcome.why) == ("end-application", "no-directory")


def test_the_next_application_is_tried_when_the_first_refuses_or_lacks_its_list():
    card = directory(("A000000333010101", "A", 1), ("A000000333010102", "B", 2))
    card.instead = {2: b"\x69\x85"}
    assert outcome_of(card).status == "online"
    assert selected(card) == ["A000000333010101", "A000000333010102"]
    card = directory(("A000000333010101", "A", 1), ("A000000333010102", "B", 2))
    card.instead = {1: ok([(0x6F, [(0x84, hexes(AID)), (0xA5, [(0x50, b"A")])])])}
    assert outcome_of(card).status == "online"


@pytest.mark.parametrize(
    ("status_word", "status", "message"),
    [
        (b"\x69\x84", "try-another-interface", "insert-or-swipe"),
        (b"\x69\x86", "try-again", "see-phone"),
        (b"\x69\x85", "end-application", "try-another-card"),
        (b"\x6f\x00", "end-application", "try-another-card"),
    ],
)
def test_a_refusal_of_processing_options_says_what_to_do(status_word, status, message):
    card = PlainCard()
    card.instead = {2: status_word}
    outcome = outcome_of(card)
    assert (outcome.status, outcome.message) == (status, message)


def test_an_amount_that_no_application_takes_needs_no_card():
    settings = card_settings([dict(UNIONPAY_ROWS[0], transaction_limit_fen=50000)])
    assert contactless.possible(settings, request(49999)) and not contactless.possible(settings, request(50000))
    outcome = drive(tap(settings, request(50000)), PlainCard())
    assert (outcome.status, outcome.why) == ("try-another-interface", "over-limit")


# Broken cards


@pytest.mark.parametrize("number", range(5))
def test_a_card_that_leaves_at_any_command_may_be_tapped_again(number):
    card = PlainCard()
    card.instead = {number: None}
    outcome = outcome_of(card)
    assert (outcome.status, outcome.why, outcome.message) == ("try-again", "lost", "try-again")
    assert outcome.pan == ""


@pytest.mark.parametrize("tag", [0x82, 0x9F36, 0x9F26, 0x9F10, 0x57])
def test_an_object_that_must_be_there_is_missed(tag):
    card = PlainCard()
    card.change(tag, None)
    outcome = outcome_of(card)
    assert (outcome.status, outcome.why) == ("end-application", "missing")


def broken_twice(card):
    card.records[(2, 1)].append((0x5F34, b"\x01"))


def broken_other_number(card):
    card.records[(1, 1)][0] = (0x5A, hexes("6200009999999999999F"))


def broken_number(card):
    card.records[(1, 1)][0] = (0x5A, hexes("62000012345678FFF0FF"))


def broken_track(card):
    card.change(0x57, b"\xff" * 19)


def broken_track_date(card):
    card.change(0x57, hexes(NUMBER + "D30002200000001230F"))


def broken_sequence(card):
    card.records[(1, 1)][2] = (0x5F34, b"\xfa")


def broken_record_template(card):
    card.instead = {3: ok([(0x71, [])])}


def broken_locator(card):
    card.change(0x94, hexes("080101"))


def broken_locator_file(card):
    card.change(0x94, hexes("F8010100"))


def broken_locator_backwards(card):
    card.change(0x94, hexes("08050100"))


def broken_locator_zero(card):
    card.change(0x94, hexes("08000100"))


def broken_cryptogram_kind(card):
    card.change(0x9F27, b"\xc0")


def broken_cryptogram_size(card):
    card.change(0x9F26, b"\x01\x02")


def broken_given_twice(card):
    card.records[(2, 1)].append((0x9F36, hexes("001B")))


def broken_ctq(card):
    card.change(0x9F6C, b"\x80")


def broken_pdol(card):
    card.pdol = hexes("9F6604 9F02FF")


@pytest.mark.parametrize("bend", [bend for name, bend in sorted(globals().items()) if name.startswith("broken_")])
def test_a_card_that_answers_what_no_card_may_answer_is_sent_away(bend):
    card = PlainCard()
    bend(card)
    outcome = outcome_of(card)
    assert (outcome.status, outcome.why) == ("end-application", "malformed")
    assert outcome.pan == "" and outcome.tags == {}


def test_a_locator_of_a_thousand_records_is_not_read():
    card = PlainCard()
    card.change(0x94, hexes("0801FF00" * 5))
    outcome = outcome_of(card)
    assert outcome.why == "endless" and len(card.log) == 3


def test_a_card_with_a_hundred_applications_that_all_refuse_comes_to_an_end():
    card = directory(*[(AID + "%04d" % number, "A", 1) for number in range(100)])
    card.instead = dict.fromkeys(range(2, 300, 2), b"\x69\x85")
    outcome = outcome_of(card)
    assert outcome.status == "end-application"
    assert len(card.log) <= contactless.MAX_STEPS


class Liar:
    """A card that answers each command with the true answer, bent, or with noise."""

    def __init__(self, chance):
        self.chance = chance
        self.card = PlainCard("%04X" % chance.randrange(65536), chance.choice((0x00, 0x40, 0x80, 0xC0)))
        self.asked = 0

    def apdu(self, command):
        self.asked += 1
        chance = self.chance
        data = bytearray(self.card.apdu(command))
        lie = chance.randrange(12)
        if lie == 0:
            return None
        if lie == 1:
            return chance.randbytes(chance.randrange(300))
        if lie == 2:
            return bytes(data[: chance.randrange(len(data))])
        if lie < 6:
            for _ in range(chance.randrange(1, 5)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        if lie == 6:
            at = chance.randrange(len(data))
            data[at:at] = chance.randbytes(chance.randrange(1, 6))
        return bytes(data)


def test_500_lying_cards_all_end_in_an_outcome():
    chance = random.Random(3)
    seen = set()
    for _ in range(500):
        card = Liar(chance)
        outcome = outcome_of(card, chance.choice((1, 1234, 100001, 999999999999)))
        assert outcome.status in STATUSES and outcome.cvm in METHODS
        assert outcome.message in [name for _, name in MESSAGES]
        assert card.asked <= contactless.MAX_STEPS
        if outcome.status == "online":
            assert outcome.track2 and len(outcome.tags[0x9F26]) == 8
            tlv.decode(outcome.field55())
        seen.add((outcome.status, outcome.why))
    assert {status for status, _ in seen} >= {"online", "declined", "try-again", "end-application"}
    assert len(seen) > 8


# Settings


def test_a_wrong_setting_is_named():
    row = UNIONPAY_ROWS[0]
    for change, named in (
        ({"aid": "A0"}, "aid has 1 bytes"),
        ({"aid": "xyz"}, "aid is not hex"),
        ({"ttq": "26"}, "ttq has 1 bytes"),
        ({"flor": 1}, "unknown key flor"),
        ({"cvm_limit_fen": -1}, "cvm_limit_fen is no amount"),
        ({"cvm_limit_fen": "100000"}, "cvm_limit_fen is no amount"),
        ({"partial": 1}, "partial is not true or false"),
        ({"cvm_default": "pin"}, "cvm_default is none of"),
    ):
        with pytest.raises(SettingsError, match="application 1: " + named):
            card_settings([dict(row, **change)])
    with pytest.raises(SettingsError, match="aid is missing"):
        card_settings([{"kernel": "07"}])
    with pytest.raises(SettingsError, match="9F1A is not hex"):
        card_settings(terminal={"9F1A": "0"})


def test_a_request_that_no_card_can_be_told_is_refused():
    for amount, date, unpredictable in (
        (-1, "261120", bytes(4)),
        (10**12, "261120", bytes(4)),
        (1, "2611", bytes(4)),
        (1, "261120", b""),
    ):
        with pytest.raises(ValueError):
            Request(amount, date, "101500", unpredictable, 1)


def test_the_vectors_for_tracks_and_packed_digits_hold():
    from firmware.emv import track2
    from tests.firmware.test_tlv import vectors

    for case in vectors("misc.json")["cases"]:
        if case["op"] == "compressed_numeric":
            if case["expected"] == "rejected":
                with pytest.raises(track2.Track2Error):
                    track2.compressed(unhexlify(case["input"]))
            else:
                assert track2.compressed(unhexlify(case["input"])) == case["expected"]["digits"]
        if case["op"] == "track2" and case["expected"] != "rejected":
            digits = case["input"].strip(";?").replace("=", "D")
            number, expiry, service, _ = track2.parse(unhexlify(digits + "F" * (len(digits) % 2)))
            expected = case["expected"]
            assert (number, expiry, service) == (expected["pan"], expected["expiry_yymm"], expected["service_code"])


def test_the_vectors_for_commands_hold():
    from firmware.emv import apdu
    from tests.firmware.test_tlv import vectors

    cases = {case["id"]: case for case in vectors("misc.json")["cases"]}
    assert apdu.read_record(1, 1) == unhexlify(cases["readrec-sfi1-rec1"]["expected"])
    assert apdu.get_data(0x9F17) == unhexlify(cases["getdata-9f17"]["expected"])
    card = PlainCard()
    card.instead = {2: b"\x90\x00"}  # gpo-format2-empty: rejected
    assert outcome_of(card).why == "malformed"
