"""Kernel 7, online and offline: what the card decides, the holder, the proof, and the full flow that a card may want."""

import random

import pytest

from firmware.emv import ask, tlv
from firmware.emv.contactless import MAX_STEPS, EntryPoint, tap
from firmware.emv.outcome import FIELD_55_REVERSAL, MESSAGES, METHODS, STATUSES
from firmware.emv.settings import Request
from tests.card_settings import TERMINAL_DATA, UNIONPAY_ROWS, card_settings
from tests.portable.plain_card import NUMBER, PlainCard, drive, hexes, ok
from tests.portable.plain_keys import INDEX, LARGE, MIDDLE, PROVIDER, SMALL
from tests.portable.proven_card import ProvenCard, offline_settings

SETTINGS = card_settings()
OFFLINE = offline_settings()


def request(amount_fen=1234, **more):
    return Request(amount_fen, "261120", "101500", b"\xaa\xbb\xcc\xdd", 17, **more)


def outcome_of(card, amount_fen=1234, settings=SETTINGS, **more):
    return drive(tap(settings, request(amount_fen), **more), card)


def offline(card, amount_fen=1234, settings=OFFLINE):
    outcome = outcome_of(card, amount_fen, settings)
    return outcome.status, outcome.why


def ttq_sent(card):
    return card.log[2][7:11].hex()


# The holder


@pytest.mark.parametrize(
    ("amount_fen", "ttq", "cvm"),
    [(99999, "66804080", "none"), (100000, "66804080", "none"), (100001, "66c04080", "online-pin")],
)
def test_the_pin_begins_one_fen_above_the_limit_and_the_card_is_told_before_it_answers(amount_fen, ttq, cvm):
    card = PlainCard()
    outcome = outcome_of(card, amount_fen)
    assert ttq_sent(card) == ttq
    assert (outcome.status, outcome.cvm, outcome.cvm_required) == ("online", cvm, amount_fen > 100000)
    assert outcome.message == ("enter-pin" if cvm == "online-pin" else "authorising")


@pytest.mark.parametrize(
    ("ctq", "amount_fen", "cvm", "result"),
    [
        ("0000", 500, "none", "3f0000"),
        ("8000", 500, "online-pin", "020000"),
        ("4000", 500, "signature", "1e0000"),
        ("0080", 500, "cdcvm", "010002"),
        ("0080", 200000, "cdcvm", "010002"),
        ("8080", 200000, "online-pin", "020000"),
        ("C000", 500, "online-pin", "020000"),
        ("4080", 500, "cdcvm", "010002"),
    ],
)
def test_the_card_says_how_its_holder_is_verified(ctq, amount_fen, cvm, result):
    outcome = outcome_of(PlainCard(ctq), amount_fen)
    assert (outcome.status, outcome.cvm, outcome.tags[0x9F34].hex()) == ("online", cvm, result)


def test_what_has_no_value_in_the_answer_to_the_options_is_not_there():
    card = PlainCard()
    card.change(0x9F6C, b"")
    card.gpo.append((0x5F34, b""))  # a record has it, with a value
    outcome = outcome_of(card)
    assert (outcome.status, outcome.sequence) == ("online", "001")
    assert 0x9F6C not in outcome.tags


def test_a_card_without_ctq_leaves_it_to_the_terminal():
    for amount_fen, cvm in ((500, "none"), (200000, "online-pin")):
        card = PlainCard()
        card.change(0x9F6C, None)
        assert outcome_of(card, amount_fen).cvm == cvm


def test_a_holder_who_cannot_be_verified_is_declined():
    row = dict(UNIONPAY_ROWS[0], cvm_default="decline")
    outcome = outcome_of(PlainCard(), 200000, card_settings([row]))
    assert (outcome.status, outcome.why, outcome.message) == ("declined", "no-method", "not-authorised")


def test_a_terminal_without_pin_takes_the_signature_that_the_card_allows():
    row = dict(UNIONPAY_ROWS[0], ttq="62004080")
    assert outcome_of(PlainCard("C000"), 200000, card_settings([row])).cvm == "signature"


# What the card decides


def test_a_card_that_declines_is_not_read_further():
    card = PlainCard(cryptogram=0x00)
    outcome = outcome_of(card)
    assert (outcome.status, outcome.why) == ("declined", "aac")
    assert len(card.log) == 3


@pytest.mark.parametrize(
    ("cvr", "status", "why"), [("A0", "online", "arqc"), ("80", "declined", "aac"), ("90", "declined", "unproven")]
)
def test_without_9f27_the_issuer_data_tell_the_kind_of_cryptogram(cvr, status, why):
    card = PlainCard()
    card.change(0x9F27, None)
    card.change(0x9F10, hexes("07010103%s00000A010A000000000000" % cvr)[:15])
    outcome = outcome_of(card)
    assert (outcome.status, outcome.why) == (status, why)
    assert outcome.tags[0x9F27] == bytes(({"A0": 0x80, "80": 0, "90": 0x40}[cvr],))


@pytest.mark.parametrize(
    ("ctq", "status", "why"),
    [("0000", "declined", "unproven"), ("1000", "try-another-interface", "not-authenticated"), ("2000", "online", "tc")],
)
def test_an_offline_approval_counts_for_nothing_without_proof(ctq, status, why):
    outcome = outcome_of(PlainCard(ctq, cryptogram=0x40))
    assert (outcome.status, outcome.why) == (status, why)


@pytest.mark.parametrize(
    ("expiry", "ctq", "status"),
    [("261130", "0000", "online"), ("261031", "0000", "declined"), ("261031", "0800", "online"), ("991231", "0000", "declined")],
)
def test_an_expired_card_is_declined_unless_it_asks_to_go_online(expiry, ctq, status):
    card = PlainCard(ctq)
    card.records[(1, 1)][1] = (0x5F24, hexes(expiry))
    outcome = outcome_of(card)
    assert outcome.status == status
    assert status == "online" or outcome.why == "expired"


def test_the_expiry_comes_from_the_track_when_there_is_no_date():
    card = PlainCard()
    del card.records[(1, 1)][1]
    card.change(0x57, hexes(NUMBER + "D26102200000001230F"[:18] + "F"))
    assert outcome_of(card).why == "expired"


def test_a_balance_enquiry_asks_for_an_online_cryptogram_of_nothing():
    card = PlainCard()
    drive(tap(SETTINGS, request(0, kind="31")), card)
    assert ttq_sent(card) == "66804080"
    assert card.log[2][7 + 4 + 6 + 6 + 2 + 5 + 2 + 3] == 0x31


@pytest.mark.parametrize(
    ("ctq", "contacts", "status", "why"),
    [
        ("0000", True, "declined", "unproven"),
        ("1000", True, "try-another-interface", "not-authenticated"),
        ("1000", False, "declined", "unproven"),
        ("2000", False, "online", "tc"),
        ("3000", True, "online", "tc"),
    ],
)
def test_without_contacts_a_failed_proof_has_no_other_interface(ctq, contacts, status, why):
    terminal = dict(TERMINAL_DATA, **{"9F33": "E0F8C8" if contacts else "40F8C8"})
    outcome = outcome_of(PlainCard(ctq, 0x40), settings=card_settings(terminal=terminal))
    assert (outcome.status, outcome.why) == (status, why)
    assert outcome.interface == ("contact" if why == "not-authenticated" else "")


def test_a_date_that_is_none_has_passed():
    card = PlainCard()
    card.records[(1, 1)][1] = (0x5F24, hexes("30AB31"))
    assert outcome_of(card).why == "expired"


def test_the_cards_wishes_may_stand_in_a_record_and_have_two_bytes_there_too():
    for value, expected in (("8000", ("online", "arqc")), ("80", ("end-application", "malformed"))):
        card = PlainCard()
        card.change(0x9F6C, None)
        card.records[(2, 1)].append((0x9F6C, hexes(value)))
        outcome = outcome_of(card)
        assert (outcome.status, outcome.why) == expected
        assert outcome.cvm == ("online-pin" if value == "8000" else "none")


def test_a_card_without_records_is_read_by_its_options_alone():
    card = PlainCard()
    card.change(0x94, None)
    outcome = outcome_of(card)
    assert (outcome.status, outcome.expiry, len(card.log)) == ("online", "3012", 3)


def test_a_listed_card_is_declined_and_nobody_is_asked_where_the_switch_is_off():
    asked = []
    outcome = drive(tap(SETTINGS, request()), PlainCard(), listed=True, asked=asked)
    assert (outcome.status, outcome.why, outcome.response) == ("declined", "listed", "Z1")
    assert [(one.pan, one.sequence) for one in asked] == [(NUMBER, "001")]
    assert drive(tap(card_settings(switches={"exceptions": False}), request()), PlainCard(), listed=True).status == "online"


def test_a_card_that_declines_is_not_looked_up():
    asked = []
    drive(tap(SETTINGS, request()), PlainCard(cryptogram=0x00), asked=asked)
    assert asked == []


def test_the_issuers_answer_is_nothing_for_the_card():
    point = EntryPoint(SETTINGS, request())
    assert drive(point.start(), PlainCard()).status == "online"
    outcome = drive(point.start("B", ask.Reply("00", True, bytes(8))), PlainCard())
    assert (outcome.status, outcome.why) == ("end-application", "refused")
    point = EntryPoint(SETTINGS, request())
    torn = PlainCard()
    torn.instead = {3: None}
    assert drive(point.start(), torn).start == "B"
    assert drive(point.start("B"), PlainCard()).status == "online"


# Offline


@pytest.mark.parametrize(("issuer", "card"), [(MIDDLE, SMALL), (MIDDLE, MIDDLE), (LARGE, LARGE)])
def test_a_proven_card_that_approves_is_approved_offline(issuer, card):
    outcome = outcome_of(ProvenCard(issuer=issuer, card=card), settings=OFFLINE)
    assert (outcome.status, outcome.why, outcome.response) == ("approved", "approved", "Y1")
    assert (outcome.cvm, outcome.tags[0x9F34], outcome.tags[0x8A]) == ("none", hexes("3F0000"), b"Y1")
    assert outcome.tags[0x95] == bytes(5) and outcome.tags[0x9F4C] == hexes("1122334455667788")
    assert (outcome.message, outcome.ui.status, outcome.start) == ("approved", "read-ok", "")


def test_the_eight_bytes_of_pbocs_own_9f69_are_taken():
    assert offline(ProvenCard(tail="00")) == ("approved", "approved")


def test_the_old_version_of_the_signature_proves_nothing_here():
    assert offline(ProvenCard(version="00")) == ("declined", "unproven")


def bend_nothing(card):
    card.number = b"\x00\x00\x00\x01"


def bend_no_9f69(card):
    card.record(0x9F69, None)


def bend_another_9f69(card):
    card.record(0x9F69, hexes("01A1A2A3A50000"))


def bend_certificate(card):
    card.record(0x9F46, bytes(128))


def bend_static_data(card):
    card.records[(2, 1)] = [(0x5F28, hexes("0840")), (0x9F07, hexes("FF00"))]


def bend_no_key_index(card):
    card.records[(3, 1)] = [one for one in card.records[(3, 1)] if one[0] != 0x8F]


def bend_no_locator(card):
    card.change(0x94, None)


BENDS = [bend for name, bend in sorted(globals().items()) if name.startswith("bend_")]


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize(
    ("ctq", "status", "why"),
    [("0000", "declined", "unproven"), ("1000", "try-another-interface", "not-authenticated"), ("2000", "online", "tc")],
)
def test_a_proof_that_fails_goes_where_the_card_says(bend, ctq, status, why):
    card = ProvenCard(ctq)
    bend(card)
    assert offline(card) == (status, why)


def test_an_unknown_key_and_a_revoked_one_prove_nothing():
    assert offline(ProvenCard(), settings=offline_settings(keys=[])) == ("declined", "unproven")
    revoked = [{"rid": PROVIDER, "index": INDEX, "serial": "000001"}]
    assert offline(ProvenCard(), settings=offline_settings(revoked)) == ("declined", "unproven")


@pytest.mark.parametrize(("amount_fen", "status"), [(100000, "approved"), (100001, "declined"), (0, "declined")])
def test_what_the_terminal_wants_online_is_not_approved_offline_by_a_card_that_disobeys(amount_fen, status):
    assert offline(ProvenCard(), amount_fen, offline_settings(cvm_limit_fen=None))[0] == status
    if status == "declined":
        assert offline(ProvenCard("2000"), amount_fen, offline_settings(cvm_limit_fen=None)) == ("online", "tc")


def test_the_offline_only_terminal_never_goes_online():
    settings = offline_settings(ttq="7E004080")
    assert offline(ProvenCard(), settings=settings) == ("approved", "approved")
    assert offline(ProvenCard(cryptogram=0x80), settings=settings) == ("declined", "offline-only")
    card = ProvenCard("2000")
    bend_certificate(card)
    assert offline(card, settings=settings) == ("declined", "unproven")
    card = ProvenCard("8000")
    outcome = outcome_of(card, settings=settings)
    assert (outcome.status, outcome.why, outcome.cvm) == ("declined", "offline-only", "none")
    card = ProvenCard("0800")
    card.records[(1, 1)][1] = (0x5F24, hexes("261031"))
    assert offline(card, settings=settings) == ("declined", "expired")


@pytest.mark.parametrize(("ctq", "status", "why"), [("0000", "declined", "expired"), ("0800", "online", "tc")])
def test_an_expired_card_is_not_approved_offline(ctq, status, why):
    card = ProvenCard(ctq)
    card.records[(1, 1)][1] = (0x5F24, hexes("261031"))
    assert offline(card) == (status, why)


@pytest.mark.parametrize(
    ("ctq", "status", "cvm", "message"),
    [
        ("0000", "approved", "none", "approved"),
        ("4000", "approved", "signature", "approved-sign"),
        ("0080", "approved", "cdcvm", "approved"),
        ("8000", "online", "online-pin", "enter-pin"),
    ],
)
def test_the_holder_of_a_card_that_approves_is_verified_too(ctq, status, cvm, message):
    outcome = outcome_of(ProvenCard(ctq), settings=OFFLINE)
    assert (outcome.status, outcome.cvm, outcome.message) == (status, cvm, message)
    assert outcome.signature == (cvm == "signature")


def test_a_claim_of_verification_that_was_put_in_on_the_way_is_seen():
    """The device's own word for it (CTQ 2:80) is signed in 9F69; one between card and reader can set the bit outside."""
    assert offline(ProvenCard("0080", claim="0000")) == ("declined", "no-method")
    assert offline(ProvenCard("0080", 0x80, claim="0000")) == ("declined", "no-method")
    assert offline(ProvenCard("0080", 0x80)) == ("online", "arqc")
    assert outcome_of(PlainCard("0080")).cvm == "cdcvm"  # without 9F69 the issuer has the last word
    assert offline(PlainCard("2080", 0x40)) == ("declined", "no-method")  # of an approval he was never asked for


def test_a_verification_by_device_that_the_terminal_does_not_offer_is_none():
    assert outcome_of(ProvenCard("0080"), settings=offline_settings(ttq="76000080")).cvm == "none"


def test_an_online_cryptogram_is_proven_where_the_terminal_offers_it():
    settings = offline_settings(ttq="77004080")
    assert offline(ProvenCard(cryptogram=0x80), settings=settings) == ("online", "arqc")
    assert offline(ProvenCard(cryptogram=0x80), 100001, settings) == ("online", "arqc")  # as 9F66 had asked
    assert offline(PlainCard(), settings=settings) == ("online", "arqc")  # the card does not sign
    for ctq, expected in (("0000", ("declined", "unproven")), ("2000", ("online", "arqc"))):
        card = ProvenCard(ctq, 0x80)
        bend_certificate(card)
        assert offline(card, settings=settings) == expected
        assert offline(card) == ("online", "arqc")  # not looked at where 9F66 does not offer it


def test_the_money_left_on_the_card_is_shown():
    card = ProvenCard()
    card.gpo.append((0x9F5D, hexes("000000004321")))
    outcome = outcome_of(card, settings=OFFLINE)
    assert outcome.ui.value == "000000004321" and outcome.tags[0x9F5D] == hexes("000000004321")
    card.gpo.append((0x9F79, hexes("000000009999")))  # what it was before
    assert outcome_of(card, settings=OFFLINE).ui.value == "000000004321"
    card = ProvenCard()
    card.gpo.append((0x9F5D, hexes("00000000FFFF")))
    assert outcome_of(card, settings=OFFLINE).ui.value == ""


def test_the_issuers_code_for_e_cash_is_for_the_host():
    card = PlainCard()
    card.gpo.append((0x9F74, b"AUTH01"))
    assert dict(tlv.decode(outcome_of(card).field55()))[0x9F74] == b"AUTH01"


# The full flow over contactless


class FullCard(PlainCard):
    """Answers GET PROCESSING OPTIONS without a cryptogram, and then GENERATE AC."""

    def __init__(self, kind=0x80, methods="000000000000000002001F00"):
        PlainCard.__init__(self)
        self.gpo = [(0x82, hexes("1C00")), (0x94, hexes("08010100"))]
        self.records[(1, 1)] += [
            (0x57, hexes(NUMBER + "D30122200000001230F")),
            (0x8C, hexes("9F02069F03069F1A0295055F2A029A039C019F3704")),
            (0x8E, hexes(methods)),
        ]
        self.kind = kind

    def apdu(self, command):
        if command[1] != 0xAE:
            return PlainCard.apdu(self, command)
        self.log.append(command)
        return ok([(0x80, bytes((self.kind,)) + hexes("001A 0102030405060708 07010103A00000"))])


def test_a_card_that_wants_the_full_flow_gets_it():
    card = FullCard()
    outcome = drive(tap(SETTINGS, request()), card)
    assert (outcome.status, outcome.why, outcome.entry, outcome.kernel) == ("online", "arqc", "07", "07")
    assert (outcome.cvm, outcome.message) == ("online-pin", "enter-pin")
    assert outcome.tags[0x9F26] == hexes("0102030405060708") and outcome.tags[0x95][0] & 0x80
    assert [command[1] for command in card.log[2:]] == [0xA8, 0xB2, 0xAE]
    assert outcome.pan == NUMBER and outcome.label == "UnionPay Debit"


def test_in_the_full_flow_the_card_may_decline_or_be_refused():
    assert outcome_of(FullCard(0x00)).why == "aac"
    card = FullCard()
    del card.records[(1, 1)][4]
    assert outcome_of(card).why == "missing"


def test_a_terminal_that_does_not_offer_the_full_flow_sends_the_card_elsewhere():
    row = dict(UNIONPAY_ROWS[0], ttq="26004080")
    for card in (FullCard(), PlainCard()):
        card.change(0x9F26, None)
        outcome = outcome_of(card, settings=card_settings([row]))
        assert (outcome.status, outcome.why) == ("try-another-interface", "no-cryptogram")
    card = PlainCard()
    card.instead = {2: ok([(0x80, hexes("7C00 08010100"))])}
    assert outcome_of(card, settings=card_settings([row])).why == "no-cryptogram"


# What is handed on


def test_field_55_has_its_order_and_leaves_out_what_is_absent():
    outcome = outcome_of(PlainCard())
    tags = [tag for tag, _ in tlv.decode(outcome.field55())]
    assert tags == [
        0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A, 0x9F03, 0x9F33,
        0x9F34, 0x9F35, 0x9F1E, 0x84, 0x9F09, 0x9F41,
    ]  # fmt: skip
    assert [tag for tag, _ in tlv.decode(outcome.field55(FIELD_55_REVERSAL))] == [0x95, 0x9F1E, 0x9F10, 0x9F36]


def test_the_card_cannot_speak_for_the_terminal():
    card = PlainCard()
    card.records[(2, 1)] += [(0x9F02, bytes(6)), (0x95, b"\xff" * 5), (0x9F37, bytes(4))]
    outcome = outcome_of(card)
    assert (outcome.tags[0x9F02], outcome.tags[0x95], outcome.tags[0x9F37].hex()) == (hexes("000000001234"), bytes(5), "aabbccdd")


def test_no_image_of_an_outcome_has_the_card_number():
    outcome = outcome_of(PlainCard())
    assert NUMBER not in repr(outcome) and "620000*********0123" in repr(outcome)
    with pytest.raises(ValueError):
        outcome.hex_of(0x57)
    assert outcome.hex_of(0x9F36) == "001A" and outcome.hex_of(0x9F5D) == ""
    outcome.forget()
    assert outcome.pan == outcome.track2 == "" and outcome.tags == {}


class Liar:
    """Any of the cards here; each of its answers is true, bent, or noise."""

    def __init__(self, chance):
        self.chance = chance
        ctq, kind = chance.choice(("0000", "0080", "2000", "1000", "C8F0", "4800")), chance.choice((0x00, 0x40, 0x40, 0x80, 0xC0))
        made = chance.randrange(4)
        self.card = (PlainCard(ctq, kind) if made == 0 else FullCard(kind)) if made < 2 else ProvenCard(ctq, kind)
        self.asked = 0

    def apdu(self, command):
        self.asked += 1
        chance = self.chance
        data = bytearray(self.card.apdu(command))
        lie = chance.randrange(40)
        if lie == 0:
            return None
        if lie == 1:
            return chance.randbytes(chance.randrange(300))
        if lie == 2:
            return bytes(data[: chance.randrange(len(data))])
        if lie == 3 and len(data) > 40:  # an object under another name
            data[chance.randrange(4, 40)] ^= 1
        if lie in (4, 5, 6):
            for _ in range(chance.randrange(1, 5)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data)


def test_400_lying_cards_at_a_terminal_that_approves_offline_all_end_in_an_outcome():
    chance = random.Random(11)
    seen = set()
    settings = [offline_settings(ttq=ttq) for ttq in ("76004080", "77004080", "7E004080", "36004080")]
    for _ in range(400):
        card = Liar(chance)
        amount_fen = chance.choice((0, 1234, 100001))
        outcome = outcome_of(card, amount_fen, chance.choice(settings))
        assert outcome.status in STATUSES and outcome.cvm in METHODS
        assert outcome.message in [name for _, name in MESSAGES]
        assert card.asked <= MAX_STEPS
        if outcome.status == "approved":
            assert amount_fen == 1234 and outcome.pan and outcome.response == "Y1"
        seen.add(outcome.why)
    assert seen >= {"approved", "arqc", "aac", "tc", "unproven", "lost", "malformed", "missing"}
