"""Kernels 2 and 3 under CPython and MicroPython alike, with cards that really sign."""

from firmware.emv import cvc3, kernel2
from firmware.emv.torn import Torn
from tests.portable.plain_kernels import (
    MASTERCARD_ROW,
    NUMBER,
    PROOF,
    VISA_ROW,
    MChipCard,
    VisaCard,
    request_of,
    settings_of,
    tapped,
)
from tests.portable.plain_keys import hexes


def test_a_visa_card_goes_online():
    outcome = tapped(VisaCard(), settings_of(VISA_ROW))
    assert (outcome.status, outcome.why, outcome.kernel, outcome.cvm) == ("online", "arqc", "03", "none")
    assert outcome.tags[0x9F26] == PROOF and outcome.tags[0x9F39] == b"\x07" and outcome.pan == NUMBER


def test_a_visa_card_is_approved_offline_when_it_proves_itself():
    for version in (0, 1):
        outcome = tapped(VisaCard(0x40, version=version), settings_of(VISA_ROW))
        assert (outcome.status, outcome.response, outcome.tags[0x8A]) == ("approved", "Y1", b"Y1")
    card = VisaCard(0x40)
    card.related = hexes("01112233440001")
    card.records[4, 1][0x9F69] = card.related
    assert tapped(card, settings_of(VISA_ROW)).status == "approved"


def test_an_mchip_card_signs_its_cryptogram():
    card = MChipCard()
    outcome = tapped(card, settings_of(MASTERCARD_ROW))
    assert (outcome.status, outcome.why, outcome.kernel) == ("approved", "approved", "02")
    assert outcome.tags[0x9F26] == PROOF and outcome.tags[0x95] == bytes(5)
    assert card.sends(0xAE)[0][2] == 0x50


def test_a_stripe_mode_card_fills_its_tracks():
    card = MChipCard(profile="0000")
    outcome = tapped(card, settings_of(MASTERCARD_ROW))
    assert (outcome.status, outcome.why, outcome.entry) == ("online", "stripe-data", "91")
    assert outcome.track2 == NUMBER + "D30122010007751020972"
    assert card.sends(0x2A) == [hexes("802A8E8004 00000097 00")]


def test_a_torn_cryptogram_is_recovered():
    card, log = MChipCard(), Torn()
    request = request_of()
    request.torn = log
    card.bend[0xAE] = lambda command: card.generate(command[2], command[5:-1]) and None
    assert tapped(card, settings_of(MASTERCARD_ROW), request).why == "lost" and len(log) == 1
    again = request_of(number="01020304", time="101510")
    again.torn = log
    outcome = tapped(card, settings_of(MASTERCARD_ROW), again)
    assert (outcome.status, outcome.tags[0x9F37], len(log)) == ("approved", hexes("AABBCCDD"), 0)
    assert card.sends(0xD0) == [kernel2.recover_ac(hexes("AABBCCDD000000001234"))]


def test_a_code_goes_to_the_places_that_the_card_names():
    said = {
        0x9F6B: hexes(NUMBER + "D30122010000000000000F"), 0x9F61: hexes("2EF4"), 0x9F65: hexes("0038"), 0x9F66: hexes("03C6"),
        0x9F67: b"\x04", 0x9F36: hexes("0012"),
    }  # fmt: skip
    cvc3.fill(said, "00000089", True)
    assert said[0x9F6B] == hexes(NUMBER + "D30122010000018020897F")
