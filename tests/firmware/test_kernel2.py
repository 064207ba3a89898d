import random

import pytest

from emulator.cards.cryptogram import cvc3 as issuer_cvc3
from firmware.emv import action, ask, cvc3, entry, kernel2, kernel2_terms
from firmware.emv import outcome as result
from firmware.emv.card import Ended
from firmware.emv.torn import Record, Torn
from tests.firmware.test_tlv import vectors
from tests.portable.plain_card import ok
from tests.portable.plain_kernels import (
    MASTERCARD_ROW,
    NUMBER,
    MChipCard,
    lying,
    request_of,
    settings_of,
    tapped,
)
from tests.portable.plain_keys import MIDDLE, hexes

HIGH = 50000  # above the limit from which the holder is verified
DEVICE = "1B80"  # AIP: CDA, verifies its holder, EMV mode


def tap(card, row=None, request=None, terminal=None, switches=None, **more):
    return tapped(card, settings_of(MASTERCARD_ROW, row, terminal, switches), request, **more)


def test_the_card_is_told_what_the_terminal_can_do_for_this_amount():
    for fen, offered in ((1234, "E00808"), (HIGH, "E06008")):
        card = MChipCard()
        tap(card, request=request_of(fen))
        assert card.sends(0xAE)[0][-4:-1] == hexes(offered)


def test_nothing_of_the_holder_is_said_before_the_card_is_known():
    card = MChipCard()
    card.pdol = hexes("9F33039F66029F3901")
    outcome = tap(card, {"ttq": "36004080"})
    assert card.values == hexes("E00008 0000 07")
    assert 0x9F66 not in outcome.tags


# AIP, method list, amount: method, 9F34, TVR
HOLDERS = (
    ("1980", "42031E031F03", 1234, "none", "1F0302", "0000000000"),
    ("1980", "42031E031F03", HIGH, "online-pin", "420300", "0000040000"),
    ("1980", "1E031F03", HIGH, "signature", "1E0300", "0000000000"),
    ("1980", "1F03", HIGH, "none", "3F0001", "0000800000"),
    ("1980", "42004103", 1234, "none", "3F0001", "0000800000"),
    ("1980", "44001F00", 1234, "none", "1F0002", "0000000000"),
    ("1980", "40001F00", 1234, "none", "1F0002", "0000000000"),
    ("1980", "0000", 1234, "none", "000001", "0000800000"),
    ("1980", "6F001F00", 1234, "none", "1F0002", "0000400000"),
    ("0980", "1E03", HIGH, "none", "3F0000", "0000000000"),
    ("1B80", "1E03", 1234, "none", "3F0002", "0000000000"),
    ("1B80", "1E03", HIGH, "cdcvm", "010002", "0000000000"),
)


@pytest.mark.parametrize("profile, methods, fen, method, results, tvr", HOLDERS)
def test_the_holder_is_verified_by_list_or_device(profile, methods, fen, method, results, tvr):
    outcome = tap(MChipCard(0x80, profile, methods), {"tac_online": "FFFFFFFFFF"}, request_of(fen))
    assert (outcome.cvm, outcome.tags[0x9F34], outcome.tags[0x95]) == (method, hexes(results), hexes(tvr))
    assert outcome.signature is (method == "signature")
    assert outcome.message == ("enter-pin" if method == "online-pin" else "authorising")


def test_a_row_without_an_online_pin_offers_none():
    assert tap(MChipCard(0x80), {"online_pin": False, "tac_online": "FFFFFFFFFF"}, request_of(HIGH)).cvm == "signature"


def test_a_card_without_a_list_lacks_data():
    card = MChipCard()
    card.change((2, 1), 0x8E, None)
    outcome = tap(card)
    assert (outcome.tags[0x95], outcome.tags[0x9F34]) == (hexes("2000000000"), hexes("3F0000"))


def test_a_terminal_may_not_take_devices_for_it():
    outcome = tap(MChipCard(0x80, DEVICE), {"tac_online": "FFFFFFFFFF"}, request_of(HIGH), {"DF811B": "00"})
    assert outcome.cvm == "online-pin"


@pytest.mark.parametrize(
    "profile, fen, row, why",
    [
        ("1980", 99999, {}, "approved"),
        ("1980", 100000, {}, "no-application"),
        (DEVICE, 100000, {}, "approved"),
        (DEVICE, 199999, {}, "approved"),
        (DEVICE, 200000, {}, "over-limit"),
        (DEVICE, 100000, {"device_limit_fen": None}, "over-limit"),
        (DEVICE, 900000, {"device_limit_fen": None, "transaction_limit_fen": None}, "approved"),
        ("1900", 100000, {}, "no-application"),
    ],
)
def test_the_limit_depends_on_the_device(profile, fen, row, why):
    assert tap(MChipCard(None, profile), row, request_of(fen)).why == why


def test_the_floor_limit_is_exceeded_by_more_than_it():
    for fen, tvr in ((500, "0000000000"), (501, "0000008000")):
        outcome = tap(MChipCard(), {"floor_limit_fen": 500}, request_of(fen))
        assert outcome.tags[0x95] == hexes(tvr)
        assert outcome.status == ("approved" if fen == 500 else "online")


def test_the_terminal_s_own_worries_reach_the_card():
    asked = []
    outcome = tap(MChipCard(), {"tac_denial": "1000000000"}, listed=True, asked=asked)
    assert outcome.tags[0x95] == hexes("1000000000") and outcome.status == "try-another-interface"
    assert [(type(one), one.pan) for one in asked] == [(ask.OnException, NUMBER)]
    assert tap(MChipCard(), {"tac_online": "0000000800"}, switches={"force_online": True}).tags[0x95] == hexes("0000000800")
    assert tap(MChipCard(), switches={"exceptions": False}, listed=True).status == "approved"


def test_restrictions_are_those_of_the_contacts():
    card = MChipCard()
    card.change((2, 1), 0x5F24, hexes("261119"))
    card.change((2, 1), 0x9F08, hexes("0003"))
    assert tap(card).tags[0x95] == hexes("00C0000000")


# --- proof


def test_a_card_or_terminal_without_cda_has_no_proof():
    for mine, terminal in ((MChipCard(profile="1880"), {}), (MChipCard(), {"9F33": "E0F8C0"})):
        outcome = tap(mine, terminal=terminal)
        assert outcome.tags[0x95] == hexes("8000000000") and mine.sends(0xAE)[0][2] == 0x40


def test_keys_that_do_not_hold_are_no_proof():
    card = MChipCard()
    card.records[4, 1][0x9F46] = card.records[4, 1][0x9F46][:-1] + b"\x00"
    outcome = tap(card)
    assert outcome.tags[0x95] == hexes("0400000000") and card.sends(0xAE)[0][2] == 0x40 and outcome.status == "approved"


def test_a_device_without_a_proof_is_asked_for_an_aac():
    card = MChipCard(profile="1A80")
    outcome = tap(card)
    assert card.sends(0xAE)[0][2] == 0x00 and outcome.status == "try-another-interface"


def test_the_tag_list_names_the_profile_and_nothing_else():
    card = MChipCard()
    card.change((2, 1), 0x9F4A, None)
    assert tap(card).tags[0x95] == hexes("2400000000")
    card.change((2, 1), 0x9F4A, hexes("8284"))
    assert tap(card).why == "malformed"


def test_a_signature_that_is_wrong_or_not_there_ends_it():
    for signer in (MIDDLE, None):
        for kind in (0x40, 0x80):
            card = MChipCard(kind)
            card.signer = signer
            outcome = tap(card)
            assert (outcome.status, outcome.why) == ("end-application", "bad-signature")


def test_a_signature_that_nobody_asked_for_must_hold_too():
    card = MChipCard(profile="1880")
    card.more = {0x9F4B: bytes(96)}
    assert tap(card).why == "bad-signature"


def test_an_aac_needs_no_signature():
    card = MChipCard(0x00)
    assert tap(card).why == "chip-instead" and card.sends(0xAE)[0][2] == 0x50


# --- the outcome


def test_an_aac_sends_a_card_to_its_contacts_and_a_phone_away():
    outcome = tap(MChipCard(0x00))
    assert (outcome.status, outcome.interface, outcome.message) == ("try-another-interface", "contact", "insert-card")
    assert tap(MChipCard(0x00), terminal={"9F33": "C0F8C8"}).why == "aac"
    for third_party, why in (
        ("0156000030303132", "chip-instead"),
        ("0156000033303132", "aac"),
        ("0156800033303132", "chip-instead"),
    ):
        card = MChipCard(0x00)
        card.change((2, 1), 0x9F6E, hexes(third_party))
        outcome = tap(card)
        assert outcome.why == why and outcome.response == ("Z1" if why == "aac" else "")
    assert tap(MChipCard(), {"tac_denial": "FFFFFFFFFF"}, terminal={"9F33": "C0F8C0"}).why == "terminal"


def test_a_refund_only_reads_the_card():
    outcome = tap(MChipCard(0x00), request=request_of(kind="20"))
    assert (outcome.status, outcome.why, outcome.pan) == ("end-application", "data-only", NUMBER)


def test_an_approval_says_who_signs():
    outcome = tap(MChipCard(methods="1E03"), request=request_of(HIGH))
    assert (outcome.status, outcome.message, outcome.response) == ("approved", "approved-sign", "Y1")


@pytest.mark.parametrize("word", ["000100", "000200", "000001", "000008"])
def test_a_phone_may_want_another_tap(word):
    for profile in ("1980", "0000"):
        card = MChipCard(profile=profile)
        card.phone = hexes(word)
        card.checksum.pop(0x9F61)
        outcome = tap(card)
        assert (outcome.status, outcome.why, outcome.start) == ("try-again", "see-phone", "B")
        assert outcome.ui.message == outcome.message


def test_the_terminal_has_the_words_for_it():
    card = MChipCard()
    card.phone = hexes("000200")
    assert tap(card, terminal={"DF8131": "000200000200210000000000000007"}).message == "try-again"
    assert tap(card).message == "see-phone"
    assert tap(card, terminal={"DF8131": "0000"}).message == "see-phone"


def test_a_phone_that_wants_nothing_is_a_card():
    card = MChipCard()
    card.phone = hexes("001000")
    assert tap(card).status == "approved"


def test_the_balance_is_read_where_it_is_wanted_and_can_be_had():
    card = MChipCard()
    card.change((2, 1), 0x9F5D, hexes("000200"))
    outcome = tap(card, terminal={"DF8104": "", "DF8105": ""})
    assert outcome.tags[0xDF8104] == outcome.tags[0xDF8105] == hexes("000000004321")
    assert outcome.ui.value == "000000004321" and len(card.sends(0xCA)) == 2
    card.log.clear()
    assert tap(card).ui.value == "" and not card.sends(0xCA)
    card.bend[0xCA] = None
    assert tap(card, terminal={"DF8105": ""}).status == "approved"
    assert tap(card, terminal={"DF8104": ""}).why == "lost"
    card.change((2, 1), 0x9F5D, hexes("000000"))
    assert tap(card, terminal={"DF8104": ""}).status == "approved"


# --- what a card may not do


@pytest.mark.parametrize("word", ["6984", "6985", "6986", "6A81"])
def test_any_refusal_of_the_options_is_for_the_next_application(word):
    card = MChipCard()
    card.bend[0xA8] = hexes(word)
    assert tap(card).why == "no-application"


@pytest.mark.parametrize("tag", [0x5A, 0x5F24, 0x8C])
def test_what_must_be_there_is_missed(tag):
    card = MChipCard()
    card.change((2, 1), tag, None)
    assert tap(card).why == "missing"
    card = MChipCard()
    del card.gpo[0x94]
    assert tap(card).why == "missing"


def test_a_locator_with_nothing_but_the_stripe_is_none():
    card = MChipCard()
    card.gpo[0x94] = hexes("08010100")
    assert tap(card).why == "malformed"


def test_the_stripe_s_record_is_read_where_stripe_mode_is_off():
    card = MChipCard()
    tap(card, terminal={"DF811B": "A0"})
    assert len(card.sends(0xB2)) == 4
    assert tap(MChipCard(profile="0000"), terminal={"DF811B": "A0"}).why == "no-mode"
    assert tap(MChipCard(), terminal={"DF811B": "60"}).entry == "91"


def test_a_refused_cryptogram_ends_it():
    card = MChipCard()
    card.bend[0xAE] = b"\x69\x85"
    assert tap(card).why == "refused"
    card.bend[0xAE] = ok([(0x77, [(0x9F27, b"\x80")])])
    assert tap(card).why == "missing"


def test_a_cryptogram_above_the_wish_is_none():
    card = MChipCard(0x40)
    card.signer = None
    assert tap(card, {"tac_denial": "FFFFFFFFFF"}, terminal={"9F33": "E0F8C0"}).why == "malformed"


# --- torn


def with_log(log, fen=1234, **more):
    request = request_of(fen, **more)
    request.torn = log
    return request


def torn_once(log, **more):
    """A card that has given a cryptogram which did not arrive."""
    card = MChipCard()
    card.bend[0xAE] = lambda command: card.generate(command[2], command[5:-1]) and None
    assert tap(card, request=with_log(log, **more)).why == "lost"
    del card.bend[0xAE]
    card.log.clear()
    return card


def test_a_recovered_sale_is_that_of_the_last_time():
    log = Torn()
    card = torn_once(log)
    outcome = tap(card, request=with_log(log, number="11111111", time="101959"))
    assert (outcome.status, len(log)) == ("approved", 0)
    assert outcome.tags[0x9F37] == hexes("AABBCCDD") and outcome.tags[0x9F21] == hexes("101500")
    assert len(card.sends(0xD0)) == 1 and not card.sends(0xAE)


def test_a_recovered_sale_is_asked_for_and_proven_with_what_was_told_the_last_time():
    log, card = Torn(), MChipCard()
    card.pdol = hexes("9F3704")
    card.change((2, 1), 0x9F51, hexes("9F3704 9505 9F3403"))
    card.bend[0xAE] = lambda command: card.generate(command[2], command[5:-1]) and None
    lost = tap(card, request=with_log(log, fen=HIGH))
    del card.bend[0xAE]
    outcome = tap(card, request=with_log(log, fen=HIGH, number="11111111", time="102000"), switches={"force_online": True})
    assert (lost.why, outcome.status, card.sends(0xD0)[0][5:-1]) == ("lost", "approved", hexes("AABBCCDD 0000040000 420300"))
    assert outcome.tags[0x95] == hexes("0000040000")


@pytest.mark.parametrize(
    "again",
    [{"fen": 1235}, {"time": "102001"}, {"time": "101459"}, {"kind": "20"}, {"other": 100}],
    ids=["amount", "late", "early", "kind", "cashback"],
)
def test_another_sale_is_not_recovered(again):
    log = Torn()
    card = torn_once(log)
    outcome = tap(card, request=with_log(log, **again))
    assert outcome.tags[0x9F02] == hexes("%012d" % again.get("fen", 1234)) and not card.sends(0xD0)


def test_a_card_that_has_nothing_to_recover_makes_a_new_cryptogram():
    log = Torn()
    card = torn_once(log)
    card.left = None
    assert tap(card, request=with_log(log, number="11111111")).tags[0x9F37] == hexes("11111111")
    assert [command[1] for command in card.log][-2:] == [0xD0, 0xAE] and len(log) == 0


def test_a_recovery_may_be_torn_as_well():
    log = Torn()
    card = torn_once(log)
    card.bend[0xD0] = None
    assert tap(card, request=with_log(log)).why == "lost" and len(log) == 1
    card.bend = {0xD0: b"\x6a\x88", 0xAE: None}
    assert tap(card, request=with_log(log, number="22222222")).why == "lost" and len(log) == 1
    del card.bend[0xD0]
    card.bend[0xD0] = b"\x90\x00"
    assert tap(card, request=with_log(log, number="33333333")).why == "malformed" and len(log) == 0
    assert card.sends(0xD0)[-1][5:9] == hexes("22222222")


def test_a_recovered_cryptogram_has_tags_and_a_signature():
    log = Torn()
    card = torn_once(log)
    card.bend[0xD0] = ok([(0x80, hexes("40005E") + bytes(8))])
    assert tap(card, request=with_log(log)).why == "malformed"
    card = torn_once(log)
    card.bend[0xD0] = ok([(0x77, [(0x9F27, b"\x40"), (0x9F36, bytes(2)), (0x9F26, bytes(8))])])
    assert tap(card, request=with_log(log)).why == "bad-signature"


def test_a_card_that_does_not_recover_is_not_kept():
    log = Torn()
    card = MChipCard()
    card.change((2, 1), 0x9F51, None)
    card.bend[0xAE] = None
    assert tap(card, request=with_log(log)).why == "lost" and len(log) == 0


def test_the_log_is_bounded_and_holds_no_card_number():
    log = Torn(records=2)
    data = kernel2_terms.begin(settings_of(MASTERCARD_ROW), request_of(), selected())
    kept = []
    for number in ("01", "02", "03", "03"):
        data.said[0x5A] = hexes(NUMBER + number)
        kept.append(Record(data, b"", action.TC, True, "none", False))
        log.add(kept[-1])
    assert len(log) == 2
    for record in kept:
        assert hexes(NUMBER) not in b"".join([value for value in vars(record).values() if isinstance(value, bytes)])
        assert hexes(NUMBER) not in b"".join(record.told.values())


def test_in_the_log_one_card_has_one_place_and_the_oldest_goes_first():
    log = Torn(records=2)
    data = kernel2_terms.begin(settings_of(MASTERCARD_ROW), request_of(), selected())

    def of(number, sequence="01"):
        data.said[0x5A], data.said[0x5F34] = hexes(NUMBER + number), hexes(sequence)
        return data

    for number in ("01", "02", "02"):
        log.add(Record(of(number), b"", action.TC, True, "none", False))
    assert log.find(of("01")) and log.find(of("02")) and not log.find(of("02", "02"))
    log.add(Record(of("03"), b"", action.TC, True, "none", False))
    assert not log.find(of("01")) and log.find(of("02")) and log.find(of("03"))
    data.told[0x9A] = hexes("261121")
    assert not log.find(of("03")) and len(log) == 0


def selected():
    row = settings_of(MASTERCARD_ROW).applications[0]
    candidate = entry.Candidate(entry.Combination(row), row.aid, 1, 0, b"", b"")
    return entry.Selected(candidate, row.aid, [], None)


def test_a_log_may_be_given_to_the_kernel_itself():
    mine, log = MChipCard(), Torn()
    mine.bend[0xAE] = None
    flow = kernel2.run(settings_of(MASTERCARD_ROW), request_of(), selected(), None, log)
    step = next(flow)
    with pytest.raises(Ended):
        while True:
            step = flow.send(mine.apdu(step) if isinstance(step, bytes) else False)
    assert len(log) == 1


# --- stripe mode


def stripe_card():
    return MChipCard(profile="0000")


def test_the_stripe_s_track_carries_what_the_issuer_needs():
    case = vectors("crypto_vectors.json")["vectors"]["cvc3"][0]
    given = case["inputs"]
    # The code of the vector is 29488 for counter 94 and number 899.
    key, template = hexes(given["icc_cvc3"]), hexes(given["track_template"])
    assert issuer_cvc3(key, template, hexes(given["atc"]), hexes(given["un"])) == int(case["expected"])
    said = {
        0x9F6B: template, 0x9F61: int(case["expected"]).to_bytes(2, "big"), 0x9F36: hexes(given["atc"]),
        0x9F65: hexes("003E"), 0x9F66: hexes("0FC0"), 0x9F67: b"\x03",
    }  # fmt: skip
    cvc3.fill(said, given["un"], False)
    filled = said[0x9F6B].hex().upper()
    assert filled == "5123456789012345D3512101" + "0" + "094" + "899" + "29488" + "3" + "F"
    # What the issuer does: everything that it computes the code from is in the track.
    own = filled[24:-1]
    number, counter = int(own[4:7]), int(own[1:4])
    expected = issuer_cvc3(key, template, counter.to_bytes(2, "big"), hexes("%08d" % number))
    assert own[7:12] == "%05d" % expected and own[-1] == "3"


def test_a_stripe_sale_goes_online_with_the_track():
    outcome = tap(stripe_card())
    assert (outcome.status, outcome.why, outcome.entry, outcome.cvm) == ("online", "stripe-data", "91", "none")
    assert outcome.track2 == NUMBER + "D30122010007751020972" and outcome.pan == NUMBER
    assert (outcome.expiry, outcome.service, outcome.tags[0x9F39]) == ("3012", "201", b"\x91")
    assert outcome.tags[0x56].endswith(b"^30122010007751731972") and outcome.tags[0x9F6A] == hexes("00000097")


def test_a_card_with_its_own_list_is_told_what_it_asks():
    card = stripe_card()
    card.records[1, 1][0x9F69] = hexes("9F6A049F7E019F0206")
    tap(card, request=request_of())
    assert card.sends(0x2A)[0][5:-1] == hexes("00000097 01 000000001234")
    card = MChipCard(profile="0200")
    card.records[1, 1][0x9F69] = hexes("9F7E01")
    tap(card, request=request_of(HIGH))
    assert card.sends(0x2A)[0][5:-1] == b"\x03"
    card.log.clear()
    tap(card, request=request_of(1234))
    assert card.sends(0x2A)[0][5:-1] == b"\x01"  # below the limit nobody must verify


@pytest.mark.parametrize(
    "profile, fen, phone, row, status, method, last",
    [
        ("0000", 1234, "", {}, "online", "none", "2"),
        ("0000", HIGH, "", {}, "online", "signature", "2"),
        ("0000", HIGH, "", {"cvm_default": "online-pin"}, "online", "online-pin", "2"),
        ("0000", HIGH, "", {"cvm_default": "decline"}, "declined", "none", "2"),
        ("0000", 1234, "001000", {}, "online", "none", "7"),
        ("0200", HIGH, "001000", {}, "online", "cdcvm", "7"),
        ("0200", HIGH, "000000", {}, "declined", "none", "2"),
        ("0200", 1234, "000000", {}, "online", "none", "2"),
    ],
)
def test_a_stripe_s_holder_is_verified_by_device_or_row(profile, fen, phone, row, status, method, last):
    card = MChipCard(profile=profile)
    card.phone = hexes(phone)
    outcome = tap(card, row, request_of(fen))
    assert (outcome.status, outcome.cvm, outcome.track2[-1]) == (status, method, last)
    assert outcome.signature is (method == "signature")


def test_an_offline_terminal_has_no_use_for_a_stripe():
    assert tap(stripe_card(), terminal={"9F35": "23"}).why == "offline-only"


def test_a_phone_without_a_code_and_without_a_wish_is_a_decline():
    card = stripe_card()
    card.checksum.pop(0x9F61)
    card.phone = hexes("000000")
    assert (tap(card).status, tap(card).why) == ("declined", "aac")
    card.phone = b""
    assert tap(card).why == "missing"


@pytest.mark.parametrize("tag", [0x9F6B, 0x9F65, 0x9F66, 0x9F67])
def test_a_stripe_without_its_places_is_none(tag):
    card = stripe_card()
    del card.records[1, 1][tag]
    assert tap(card).why == "missing"


@pytest.mark.parametrize(
    "digits, verified, last", [(0, False, "0"), (3, False, "3"), (4, True, "9"), (5, True, "0"), (8, False, "8"), (8, True, "3")]
)
def test_the_last_digit_of_the_track_says_how_many_digits_of_the_number_it_holds(digits, verified, last):
    said = {
        0x9F6B: hexes(NUMBER + "D30122010000000000000F"), 0x9F61: b"\x00\x01", 0x9F36: b"\x00\x02", 0x9F65: b"\x00\x02",
        0x9F66: ((1 << digits + 2) - 4).to_bytes(2, "big"), 0x9F67: b"\x00",
    }  # fmt: skip
    cvc3.fill(said, "12345678", verified)
    own = said[0x9F6B].hex().upper().rstrip("F")[24:]
    assert own == "0" * (11 - digits) + "12345678"[8 - digits :] + "1" + last


@pytest.mark.parametrize(
    "tag, value",
    [
        (0x9F67, "0B"),  # more digits of the counter than places
        (0x9F66, "FFFF"),  # more digits of the number than eight
        (0x9F67, "0404"),
        (0x9F63, "0000000003C7"),  # another number of digits on track 1
        (0x9F64, "03"),
        (0x9F62, ""),
        (0x9F65, "8000"),  # a place outside the track
        (0x9F62, "800000000000"),
        (0x56, "41"),
        (0x56, "425E5E"),
        (0x56, "425E5EFF"),
        (0x9F6B, "6200000000000005D3012"),
    ],
)
def test_places_that_do_not_fit_are_no_stripe(tag, value):
    card = stripe_card()
    card.records[1, 1][tag] = hexes(value + "F" * (len(value) % 2))
    assert tap(card).why == "malformed"


@pytest.mark.parametrize(
    "answer, why",
    [
        ({0x9F61: "2EF4", 0x9F36: "1E47"}, "missing"),
        ({0x9F61: "2EF4", 0x9F60: "609B"}, "missing"),
        ({0x9F61: "2E", 0x9F60: "609B", 0x9F36: "1E47"}, "malformed"),
        ({0x9F61: "2EF4", 0x9F60: "60", 0x9F36: "1E47"}, "malformed"),
        ({0x9F61: "2EF4", 0x9F60: "609B", 0x9F36: "47"}, "malformed"),
        ({0x9F61: "2EF4", 0x9F60: "609B", 0x9F36: "1E47", 0xDF4B: "00"}, "malformed"),
        ({0x9F61: "2EF4", 0x9F60: "609B", 0x9F36: "1E47", 0x9F65: "0038"}, "malformed"),
    ],
)
def test_a_checksum_lacks_nothing(answer, why):
    card = stripe_card()
    card.checksum = {tag: hexes(answer[tag]) for tag in answer}
    assert tap(card).why == why


def test_a_refused_checksum_ends_it():
    card = stripe_card()
    card.bend[0x2A] = b"\x69\x85"
    assert tap(card).why == "refused"
    card.bend[0x2A] = None
    assert tap(card).why == "lost"


def test_a_card_with_one_track_needs_no_other():
    card = stripe_card()
    for tag in (0x56, 0x9F62, 0x9F63, 0x9F64):
        del card.records[1, 1][tag]
    del card.checksum[0x9F60]
    outcome = tap(card)
    assert outcome.why == "stripe-data" and 0x56 not in outcome.tags


def test_a_number_has_as_many_digits_as_there_are_places():
    assert [cvc3.masked_number(b"\xff\xff\xff\xff", count) for count in (0, 3, 8)] == ["00000000", "00000295", "94967295"]


def test_a_card_that_lies_ends_in_an_outcome():
    chance = random.Random(2)
    settings = settings_of(MASTERCARD_ROW, None, {"DF8104": "", "DF8105": ""})
    log = Torn()
    seen = set()
    for _ in range(500):
        mine = MChipCard(chance.choice((None, 0, 0x40, 0x80, 0xC0)), chance.choice(("1980", "1B80", "0000", "0200")))
        mine.change((2, 1), 0x9F5D, hexes("000200"))
        mine.phone = chance.choice((b"", bytes(3), b"\x00\x10\x00", b"\x00\x02\x00"))
        outcome = tapped(lying(mine, chance), settings, with_log(log, chance.choice((1234, HIGH))))
        assert outcome.status in result.STATUSES and len(log) <= 5
        seen.add(outcome.why)
    assert {"malformed", "missing", "refused", "lost", "approved", "stripe-data", "see-phone", "bad-signature"} <= seen
