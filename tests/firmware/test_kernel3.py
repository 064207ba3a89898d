import random

import pytest

from firmware.emv import ask, kernel3
from firmware.emv import outcome as result
from firmware.emv.authority import Authority
from firmware.emv.contactless import EntryPoint
from tests.portable.plain_card import drive
from tests.portable.plain_kernels import KERNELS, NUMBER, TRACK, VISA_ROW, VisaCard, lying, request_of, settings_of, tapped
from tests.portable.plain_keys import MIDDLE, hexes

FORCED = {"floor_limit_fen": 0}  # every amount asks for an online cryptogram
OFFLINE_ONLY = {"ttq": "3E00C080"}
NO_CONTACTS = {"ttq": "2600C080"}
PROVE_ONLINE = {"ttq": "3700C080"}
REQUIRED = {"cvm_limit_fen": 1}


def tap(card, row=None, request=None, **more):
    return tapped(card, settings_of(VISA_ROW, row), request, **more)


def unproven(kind=0x40, ctq="0000"):
    card = VisaCard(kind, ctq)
    card.signer = None
    return card


def expired(ctq="0000", kind=0x40):
    card = VisaCard(kind, ctq)
    card.records[2, 1][0x5F24] = hexes("261119")
    card.certify(hexes("5A08" + NUMBER + "5F2403261119" + "5F28020156" + "9F0702FFC0"))
    return card


def no_usage(control="0300", ctq="0000", kind=0x80, country="0156"):
    card = VisaCard(kind, ctq)
    card.records[2, 1][0x9F07] = hexes(control)
    card.records[2, 1][0x5F28] = hexes(country)
    return card


# what the card is; the row; the outcome: status, why
DECISIONS = (
    ("an AAC is a decline", lambda: VisaCard(0x00), {}, "declined", "aac"),
    ("an ARQC goes online", lambda: VisaCard(0x80), {}, "online", "arqc"),
    ("an ARQC of an expired card goes online", lambda: expired(kind=0x80), {}, "online", "arqc"),
    ("a TC that is proven is approved", lambda: VisaCard(0x40), {}, "approved", "approved"),
    ("a TC against an online cryptogram goes online", lambda: unproven(), FORCED, "online", "tc"),
    ("a TC of an expired card is a decline", lambda: expired(), {}, "declined", "expired"),
    ("9F6C sends the expired card online", lambda: expired("0800"), {}, "online", "tc"),
    ("not where the terminal is offline only", lambda: expired("0800"), OFFLINE_ONLY, "declined", "expired"),
    ("a TC unproven is a decline", lambda: unproven(), {}, "declined", "unproven"),
    ("9F6C sends the unproven card online", lambda: unproven(ctq="2000"), {}, "online", "tc"),
    ("not where the terminal is offline only, either", lambda: unproven(ctq="2000"), OFFLINE_ONLY, "declined", "unproven"),
    ("or to its contacts", lambda: unproven(ctq="1000"), {}, "try-another-interface", "not-authenticated"),
    ("not where there are none", lambda: unproven(ctq="1000"), NO_CONTACTS, "declined", "unproven"),
    ("online goes before contacts", lambda: unproven(ctq="3000"), {}, "online", "tc"),
    ("an ARQC needs no proof", lambda: unproven(0x80), {}, "online", "arqc"),
    ("but where the terminal wants one", lambda: unproven(0x80), PROVE_ONLINE, "declined", "unproven"),
    ("which the card may waive", lambda: unproven(0x80, "2000"), PROVE_ONLINE, "online", "arqc"),
    ("or give", lambda: VisaCard(0x80), PROVE_ONLINE, "online", "arqc"),
    ("an ARQC ends at a terminal that is offline only", lambda: VisaCard(0x80), OFFLINE_ONLY, "declined", "offline-only"),
)  # fmt: skip


@pytest.mark.parametrize("made, row, status, why", [case[1:] for case in DECISIONS], ids=[case[0] for case in DECISIONS])
def test_the_decision(made, row, status, why):
    outcome = tap(made(), row)
    assert (outcome.status, outcome.why) == (status, why)
    assert outcome.response == {"approved": "Y1", "declined": "Z1"}.get(status, "")
    assert outcome.tags.get(0x8A, b"").decode() == outcome.response
    assert outcome.tags[0x95] == bytes(5)
    assert outcome.interface == ("contact" if why == "not-authenticated" else "")
    assert (outcome.pan, outcome.sequence, outcome.label) == (NUMBER, "001", "TEST CARD")


# 9F66 of the row, whether required, 9F6C, kind: method or why it is declined
HOLDERS = (
    ("3600C080", False, "0000", 0x80, "none"),
    ("3600C080", True, None, 0x80, "signature"),
    ("3400C080", True, None, 0x80, "online-pin"),
    ("3000C080", True, None, 0x80, "no-method"),
    ("3600C080", True, "0000", 0x80, "no-method"),
    ("3600C080", False, "8000", 0x80, "online-pin"),
    ("3200C080", False, "8000", 0x80, "none"),
    ("3600C080", False, "C080", 0x80, "online-pin"),
    ("3200C080", False, "C080", 0x80, "cdcvm"),
    ("3600C080", True, "4000", 0x80, "signature"),
    ("3400C080", True, "4000", 0x80, "no-method"),
    ("3600C080", True, "0080", 0x40, "cdcvm"),
)


@pytest.mark.parametrize("ttq, required, ctq, kind, expected", HOLDERS)
def test_the_holder_is_verified_as_card_and_terminal_agree(ttq, required, ctq, kind, expected):
    card = VisaCard(kind, ctq or "0000")
    if ctq is None:
        del card.gpo[0x9F6C]
    outcome = tap(card, {"ttq": ttq, "cvm_limit_fen": 1 if required else None})
    assert outcome.cvm_required is required
    if expected == "no-method":
        assert (outcome.status, outcome.why, outcome.cvm) == ("declined", "no-method", "none")
        return
    assert outcome.cvm == expected and outcome.signature is (expected == "signature")
    assert outcome.message == ("enter-pin" if expected == "online-pin" else "approved" if kind == 0x40 else "authorising")
    nothing = {"none": "3F0000", "online-pin": "020000", "signature": "1E0000", "cdcvm": "010002"}
    assert outcome.tags[0x9F34] == hexes(nothing[expected])


def test_the_row_may_name_a_method_where_the_card_names_none():
    outcome = tap(VisaCard(0x40), {"cvm_limit_fen": 1, "cvm_default": "online-pin"})
    assert (outcome.status, outcome.why, outcome.cvm) == ("online", "tc", "online-pin")


def test_an_approved_sale_with_a_signature_says_so():
    outcome = tap(VisaCard(0x40, "4000"), REQUIRED)
    assert (outcome.status, outcome.message, outcome.signature) == ("approved", "approved-sign", True)


def test_a_device_claims_what_its_signed_data_say():
    card = VisaCard(0x40, "0080")
    card.related = hexes("01112233440000")
    assert tap(card).why == "no-method"
    card = VisaCard(0x80, "0080")
    card.signer = None
    assert tap(card).cvm == "cdcvm"
    card = VisaCard(0x40, "2080")
    card.signer = None
    assert tap(card).why == "no-method"


CASH, CASHBACK = {"kind": "01"}, {"kind": "09", "other": 100}


@pytest.mark.parametrize(
    "kind, control, country, ctq, why",
    [
        (CASH, "8100", "0156", "0000", "arqc"),
        (CASH, "4100", "0156", "0000", "not-allowed"),
        (CASH, "4100", "0840", "0000", "arqc"),
        (CASH, "8100", "0840", "0000", "not-allowed"),
        (CASH, "0100", "0156", "0400", "no-cash"),
        (CASH, "0100", "0156", "0200", "not-allowed"),
        (CASHBACK, "0180", "0156", "0000", "arqc"),
        (CASHBACK, "0140", "0156", "0000", "not-allowed"),
        (CASHBACK, "0140", "0840", "0000", "arqc"),
        (CASHBACK, "0100", "0156", "0200", "no-cash"),
        (CASHBACK, "0100", "0156", "0400", "not-allowed"),
    ],
)
def test_cash_needs_leave(kind, control, country, ctq, why):
    outcome = tap(no_usage(control, ctq, country=country), {}, request_of(**kind))
    assert outcome.why == why
    assert outcome.status == {"arqc": "online", "no-cash": "try-another-interface", "not-allowed": "declined"}[why]


def test_cash_is_not_allowed_by_a_card_that_says_nothing_of_it():
    for tag in (0x9F07, 0x5F28):
        card = VisaCard()
        del card.records[2, 1][tag]
        assert tap(card, {}, request_of(kind="01")).why == "not-allowed"


def test_the_exception_file_is_for_a_tc():
    asked = []
    assert tap(VisaCard(0x40), listed=True, asked=asked).why == "listed"
    assert [(type(one), one.pan, one.sequence) for one in asked] == [(ask.OnException, NUMBER, "001")]
    assert tap(VisaCard(0x80), listed=True).status == "online"
    settings = settings_of(VISA_ROW, switches={"exceptions": False})
    assert tapped(VisaCard(0x40), settings, listed=True).status == "approved"


def test_the_kind_of_cryptogram_is_told_by_either_object():
    for issuer_data in ("06010A03A00000", "1F220103A0000000"):
        assert kernel3.cryptogram({0x9F10: hexes(issuer_data)}) == 0x80
    assert kernel3.cryptogram({0x9F10: hexes("06010A03A00000"), 0x9F27: b"\x48"}) == 0x40
    card = VisaCard(0x40)
    assert tap(card).tags[0x9F27] == b"\x40"
    for odd in (0xC0, 0xC8):
        card = VisaCard()
        card.gpo[0x9F27] = bytes((odd,))
        assert tap(card).why == "malformed"


@pytest.mark.parametrize("tag", [0x9F26, 0x9F36, 0x9F10, 0x57, 0x82])
def test_what_must_be_there_is_missed(tag):
    card = VisaCard()
    card.gpo.pop(tag)
    if tag == 0x82:
        card.gpo.pop(0x94)
    assert tap(card).why == "missing"


@pytest.mark.parametrize(
    "tag, value", [(0x9F26, "01"), (0x9F36, "01"), (0x9F10, "0601"), (0x9F10, "06010A03"), (0x9F6C, "00"), (0x9F27, "8000")]
)
def test_what_has_the_wrong_size_is_no_answer(tag, value):
    card = VisaCard()
    card.gpo[tag] = hexes(value)
    assert tap(card).why == "malformed"


def test_an_object_may_come_twice_only_when_it_says_the_same():
    card = VisaCard()
    card.records[2, 1][0x57] = hexes(TRACK)
    assert tap(card).why == "arqc"
    card.records[2, 1][0x57] = hexes(TRACK[:-2] + "1F")
    assert tap(card).why == "malformed"


def test_two_card_numbers_are_none():
    card = VisaCard()
    card.records[2, 1][0x5A] = hexes("6200000000000013")
    assert tap(card).why == "malformed"


@pytest.mark.parametrize(
    "word, status, why",
    [
        ("6984", "try-another-interface", "not-contactless"),
        ("6985", "end-application", "no-application"),
        ("6986", "try-again", "see-phone"),
        ("6A81", "end-application", "refused"),
    ],
)
def test_a_refusal_has_its_meaning(word, status, why):
    card = VisaCard()
    card.bend[0xA8] = hexes(word)
    outcome = tap(card)
    assert (outcome.status, outcome.why) == (status, why)
    assert outcome.start == ("B" if status == "try-again" else "")


def test_a_form_factor_is_contactless_whatever_it_says():
    card = VisaCard()
    card.gpo[0x9F6E] = hexes("20700F0F")
    assert tap(card).tags[0x9F6E] == hexes("20700F00")


def test_the_offline_balance_is_shown():
    card = VisaCard(0x40)
    card.gpo[0x9F5D] = hexes("000000012345")
    assert tap(card).ui.value == "000000012345"


def test_fast_authentication_covers_the_amount():
    card = VisaCard(0x40)
    whole = card.before_options
    card.before_options = lambda: (card.sent.update({0x9F02: hexes("000000000001")}), whole())
    assert tap(card).why == "unproven"
    card = VisaCard(0x40)
    card.signer = MIDDLE
    assert tap(card).why == "unproven"


def test_the_old_version_of_the_signature_is_taken_by_this_kernel():
    assert tap(VisaCard(0x40, version=0)).why == "approved"


def test_a_card_that_does_not_sign_by_its_profile_has_no_proof():
    card = VisaCard(0x40)
    card.gpo[0x82] = hexes("0000")
    assert tap(card).why == "unproven"


UPDATABLE = {"ttq": "3600C080"}


def online(card, row=None):
    point = EntryPoint(settings_of(VISA_ROW, row or UPDATABLE), request_of(), KERNELS)
    outcome = drive(point.start(), card)
    return point, outcome


def test_an_update_needs_both_sides():
    assert online(VisaCard(ctq="0040"))[1].start == "B"
    assert online(VisaCard(ctq="0040"))[1].ui_restart.message == "present-card"
    assert online(VisaCard(ctq="0000"))[1].start == ""
    assert online(VisaCard(ctq="0040"), {"ttq": "36004080"})[1].start == ""


SCRIPTS = ((0x72, hexes("9F180411223344 8609841E000004DEADBEEF")), (0x71, hexes("8609841E000004CAFEBABE")))


def test_the_issuer_s_data_go_to_the_card_that_comes_back():
    card = VisaCard(ctq="0040")
    point, _ = online(card)
    card.log.clear()
    card.bend = {0x82: b"\x90\x00", 0x1E: b"\x90\x00"}
    reply = ask.Reply("00", True, hexes("00112233445566773030"), SCRIPTS)
    outcome = drive(point.start("B", reply), card)
    assert (outcome.status, outcome.why, outcome.response, outcome.scripts) == ("approved", "host", "00", True)
    assert outcome.tags[0xDF31] == hexes("2000000000 2011223344")
    assert [command[1] for command in card.log] == [0xA4, 0x82, 0x1E, 0x1E]
    assert outcome.tags[0x95] == bytes(5) and outcome.tags[0x9B][0] & 0x14 == 0x14


def test_nothing_that_the_card_does_then_changes_the_issuer_s_word():
    for approved, status in ((True, "approved"), (False, "declined")):
        for bend in ({0x82: b"\x63\x00", 0x1E: b"\x69\x85"}, {0x82: None}, {0x82: b"\x90\x00", 0x1E: None}, {0x82: b""}):
            card = VisaCard(ctq="0040")
            point, _ = online(card)
            card.bend = bend
            outcome = drive(point.start("B", ask.Reply("00" if approved else "05", approved, bytes(10), SCRIPTS)), card)
            assert outcome.status == status
    assert outcome.tags[0x95] == bytes(5) and 0xDF31 not in outcome.tags


def test_a_restart_without_the_issuer_s_data_is_a_new_reading():
    card = VisaCard(ctq="0040")
    point, _ = online(card)
    assert drive(point.start("B", ask.Reply("00", True)), card).why == "arqc"


def test_a_card_that_lies_ends_in_an_outcome():
    chance = random.Random(3)
    settings = settings_of(VISA_ROW, PROVE_ONLINE)
    seen = set()
    for _ in range(400):
        card = lying(VisaCard(chance.choice((0, 0x40, 0x80)), "%04X" % chance.getrandbits(16)), chance)
        outcome = tapped(card, settings)
        assert outcome.status in result.STATUSES
        seen.add(outcome.why)
    assert {"malformed", "refused", "lost", "arqc", "aac", "approved", "unproven"} <= seen


def test_a_key_that_the_terminal_lacks_proves_nothing():
    settings = settings_of(VISA_ROW)
    settings.authority = Authority()
    assert tapped(VisaCard(0x40), settings).why == "unproven"
