"""The whole flow by contacts against a card of plain answers: each way it can end, and what the host and the slip are told."""

import random

import pytest

from firmware.emv import action, ask, card, contact, records, tlv
from firmware.emv.data import Data
from firmware.emv.settings import Request
from tests.firmware.test_selection import hexes, upper
from tests.lying_card import LyingCard, LyingPerson, bounded
from tests.portable.plain_chip import AAC, ARQC, ASKED, TC, Person, PlainChip, carry_out, ok, request_of, settings_of
from tests.portable.plain_keys import NUMBER

CREDIT = "A000000333010102"
# The terminal may approve offline, and nothing speaks against it.
OFFLINE = {
    "terminal_floor_limit_fen": 100000,
    "tac_online": "0000000000",
    "tac_default": "0000000000",
    "tac_denial": "0000000000",
}


def insert(chip, person=None, row=None, amount_fen=1234, **more):
    request = more.pop("request", None) or request_of(amount_fen)
    return carry_out(contact.insert(settings_of(row, **more), request), chip, person)


def instructions(chip):
    return [command[1] for command in chip.log]


def tvr(outcome):
    return upper(outcome.tags[0x95])


# The order, and what is known in the end


def test_a_sale_that_the_issuer_approves_goes_through_every_step():
    chip, person = PlainChip(), Person(ask.Reply("00", True, hexes("0102030405060708")))
    outcome = insert(chip, person)
    assert (outcome.status, outcome.why, outcome.message, outcome.response) == ("approved", "host", "approved", "00")
    select, record, options, cryptogram, authenticate = 0xA4, 0xB2, 0xA8, 0xAE, 0x82
    assert instructions(chip) == (
        [select, record, record, select, options] + [record] * 4 + [cryptogram, authenticate, cryptogram]
    )
    assert upper(chip.log[-1]).startswith("80AE5000") and "3030" + "0102030405060708" in upper(chip.log[-1])
    assert [type(question).__name__ for question in person.asked] == ["OnException", "GoOnline"]


def test_the_question_for_the_issuer_has_all_that_the_request_needs():
    person = Person()
    insert(PlainChip(), person)
    told = person.was_asked(ask.GoOnline)[0].outcome
    assert (told.status, told.entry, told.pan, told.expiry, told.sequence) == ("online", "05", NUMBER, "3012", "001")
    assert (told.service, told.aid, told.label, told.kernel) == ("220", "A000000333010101", "UnionPay Debit", "")
    assert told.track2 == NUMBER + "D3012220000000123" and not told.cvm_required
    field = dict(tlv.decode(told.field55()))
    for tag in (0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A, 0x9F03, 0x9F33):
        assert tag in field, "%X" % tag
    assert told.tags[0x9F39] == b"\x05" and told.response == "" and 0x8A not in told.tags
    assert NUMBER not in repr(told)


def test_the_outcome_of_the_end_is_another_one_than_that_of_the_question():
    person = Person()
    outcome = insert(PlainChip(), person)
    told = person.was_asked(ask.GoOnline)[0].outcome
    told.forget()
    assert outcome.pan == NUMBER and outcome.tags


@pytest.mark.parametrize(
    ("method", "results", "tsi"),
    [("", "8000008000", "6800"), ("sda", "0200008000", "E800"), ("dda", "0000008000", "E800"), ("cda", "0000008000", "E800")],
)
def test_each_way_of_data_authentication_leaves_its_bits(method, results, tsi):
    outcome = insert(PlainChip(method))
    assert (tvr(outcome), upper(outcome.tags[0x9B])) == (results, tsi)


@pytest.mark.parametrize(("method", "results"), [("dda", "0800008000"), ("cda", "0400008000")])
def test_a_wrong_signature_of_the_card_leaves_its_bit(method, results):
    chip = PlainChip(method)
    chip.signs = False
    assert tvr(insert(chip)) == results


# Offline


def test_nothing_against_it_and_the_terminal_approves_alone():
    chip, person = PlainChip(kinds=(ASKED,)), Person()
    outcome = insert(chip, person, OFFLINE)
    assert (outcome.status, outcome.why, outcome.response, outcome.tags[0x8A]) == ("approved", "approved", "Y1", b"Y1")
    assert upper(chip.log[-1])[4:6] == "50" and not person.was_asked(ask.GoOnline)
    assert outcome.tags[0x9F26] == hexes("0102030405060708")  # from inside of the signature


def test_an_approval_whose_combined_signature_is_wrong_is_a_decline():
    chip = PlainChip(kinds=(ASKED,))
    chip.signs = False
    outcome = insert(chip, None, OFFLINE)
    assert (outcome.status, outcome.why, outcome.response, tvr(outcome)) == ("declined", "forged", "Z1", "0400000000")
    assert len(chip.commands(0xAE)) == 1


def test_what_the_action_codes_deny_is_asked_for_as_a_refusal_without_a_signature():
    chip = PlainChip()
    chip.kinds = [ASKED]
    outcome = insert(chip, None, {"tac_denial": "0000008000"})
    assert (outcome.status, outcome.why, outcome.response) == ("declined", "terminal", "Z1")
    assert upper(chip.log[-1])[:8] == "80AE0000"


@pytest.mark.parametrize(("identifier", "switch", "advice"), [(0x00, True, False), (0x08, True, True), (0x08, False, False)])
def test_a_refusal_of_the_card_may_be_told_to_the_host(identifier, switch, advice):
    outcome = insert(PlainChip(kinds=(identifier,)), switches={"advice": switch})
    assert (outcome.status, outcome.why, outcome.response, outcome.advice) == ("declined", "aac", "Z1", advice)


def test_an_approval_asked_for_that_the_card_wants_online_goes_online_without_a_response_code():
    chip, person = PlainChip(kinds=(ARQC, ASKED)), Person()
    outcome = insert(chip, person, OFFLINE)
    assert person.was_asked(ask.GoOnline)[0].outcome.response == ""
    assert (outcome.status, outcome.response) == ("approved", "00")


@pytest.mark.parametrize("kind", [TC, ARQC])
def test_a_card_that_gives_more_than_it_is_asked_for_is_no_card(kind):
    outcome = insert(PlainChip(kinds=(kind,)), None, {"tac_denial": "0000008000"})
    assert (outcome.status, outcome.why, outcome.response) == ("end-application", "malformed", "")


@pytest.mark.parametrize(("method", "row"), [("", None), ("cda", {"tac_denial": "0000008000"})])
def test_a_signature_that_nobody_has_asked_for_is_no_cryptogram(method, row):
    chip = PlainChip(method)
    signed = [(0x9F27, b"\x00"), (0x9F36, b"\x00\x10"), (0x9F4B, bytes(64))]
    chip.instead[number_of(method, 0xAE)] = ok([(0x77, signed)])
    outcome = insert(chip, None, row)
    assert (outcome.status, outcome.why) == ("end-application", "missing")


# The stripe instead


def number_of(chip_method, instruction, which=0):
    """Which command of an online sale it is, counted from 0."""
    chip = PlainChip(chip_method)
    insert(chip)
    return [at for at, command in enumerate(chip.log) if command[1] == instruction][which]


def test_a_first_cryptogram_refused_by_conditions_lets_the_stripe_be_used():
    chip = PlainChip()
    chip.instead[number_of("cda", 0xAE)] = b"\x69\x85"
    outcome = insert(chip)
    assert (outcome.status, outcome.why) == ("try-another-interface", "chip-refused")
    assert outcome.fallback and outcome.interface == "stripe" and outcome.pan == NUMBER


@pytest.mark.parametrize("word", [b"\x69\x84", b"\x6a\x80", b"\x6f\x00", b"\x67\x00"])
def test_a_first_cryptogram_refused_otherwise_does_not(word):
    chip = PlainChip()
    chip.instead[number_of("cda", 0xAE)] = word
    outcome = insert(chip)
    assert (outcome.status, outcome.why, outcome.fallback) == ("end-application", "refused", False)


def test_a_chip_without_an_application_of_the_terminals_lets_the_stripe_be_used_a_blocked_one_does_not():
    chip = PlainChip()
    chip.names = {"A0000000031010": "Other"}
    outcome = insert(chip)
    assert (outcome.why, outcome.fallback, outcome.interface) == ("no-chip-application", True, "stripe")
    for word, why in ((b"\x6a\x81", "card-blocked"), (b"\x62\x83", "blocked")):
        chip = PlainChip()
        chip.instead[0 if why == "card-blocked" else 3] = word
        outcome = insert(chip)
        assert (outcome.why, outcome.fallback, outcome.interface) == (why, False, "")


# Selection


def test_an_application_that_refuses_its_options_by_conditions_gives_way_to_the_other():
    chip, person = PlainChip(), Person()
    chip.names[CREDIT] = "UnionPay Credit"
    chip.instead[4] = b"\x69\x85"
    outcome = insert(chip, person, aids=("A000000333010101", CREDIT))
    assert outcome.aid == CREDIT and outcome.label == "UnionPay Credit" and outcome.status == "approved"
    choices = person.was_asked(ask.Choose)
    assert [(one.names, one.again, one.single) for one in choices] == [
        (["UnionPay Debit", "UnionPay Credit"], False, False),
        (["UnionPay Credit"], True, True),
    ]


def test_options_refused_by_the_only_application_leave_none():
    chip = PlainChip()
    chip.instead[4] = b"\x69\x85"
    assert insert(chip).why == "no-chip-application"


def test_options_refused_otherwise_are_the_end():
    chip = PlainChip()
    chip.names[CREDIT] = "UnionPay Credit"
    chip.instead[4] = b"\x6a\x81"
    outcome = insert(chip, None, aids=("A000000333010101", CREDIT))
    assert (outcome.status, outcome.why) == ("end-application", "refused")


def test_who_gives_up_at_the_choice_or_at_the_pin_has_given_up():
    chip, person = PlainChip(), Person()
    chip.names[CREDIT] = "UnionPay Credit"
    person.choice = None
    assert insert(chip, person, aids=("A000000333010101", CREDIT)).status == "cancelled"
    chip, person = PlainChip(), Person()
    chip.change(0x8E, hexes("0000000000000000 0200"))
    person.pin = ask.CANCEL
    outcome = insert(chip, person)
    assert (outcome.status, outcome.why, outcome.message) == ("cancelled", "cancelled", "not-authorised")
    assert not chip.commands(0xAE)


# The holder


@pytest.mark.parametrize(
    ("rules", "cvm", "signature", "results"),
    [
        ("0200", "online-pin", False, "020000"),
        ("1E00", "signature", True, "1E0000"),
        ("0100", "offline-pin", False, "010002"),
        ("0300", "offline-pin", True, "030000"),
        ("0400", "offline-pin", False, "040002"),
        ("1F00", "none", False, "1F0002"),
    ],
)
def test_how_the_holder_was_verified_is_in_the_outcome_and_in_the_question(rules, cvm, signature, results):
    chip, person = PlainChip(), Person()
    chip.change(0x8E, hexes("0000000000000000" + rules))
    outcome = insert(chip, person)
    told = person.was_asked(ask.GoOnline)[0].outcome
    assert (outcome.cvm, outcome.signature, upper(outcome.tags[0x9F34])) == (cvm, signature, results)
    assert (told.cvm, told.signature) == (cvm, signature)


# Online


def test_a_decline_of_the_issuer_is_shown_to_the_card():
    chip = PlainChip()
    outcome = insert(chip, Person(ask.Reply("51")))
    assert (outcome.status, outcome.why, outcome.response, outcome.reverse) == ("declined", "host-declined", "51", False)
    assert upper(chip.log[-1])[:8] == "80AE0000" and "3531" in upper(chip.log[-1])


def test_a_card_that_declines_what_the_issuer_approved_makes_a_reversal_due():
    outcome = insert(PlainChip(kinds=(ARQC, AAC)), Person(ask.Reply("00", True)))
    assert (outcome.status, outcome.why, outcome.response, outcome.reverse) == ("declined", "card-declined", "00", True)


@pytest.mark.parametrize("answer", [None, b"\x69\x85", b"\x90\x00", b"\x77\x03\x9f\x27\x90\x00", b"\x6f\x00"])
@pytest.mark.parametrize("approved", [True, False])
def test_whatever_becomes_of_the_card_after_the_issuer_was_asked_there_is_no_second_try(answer, approved):
    chip = PlainChip()
    chip.instead[number_of("cda", 0xAE, 1)] = answer
    outcome = insert(chip, Person(ask.Reply("00" if approved else "05", approved)))
    assert (outcome.status, outcome.message, outcome.reverse) == ("declined", "not-authorised", approved)
    assert outcome.pan == NUMBER and not outcome.fallback
    assert (outcome.why == "host-declined") is not approved


def test_a_second_signature_that_is_wrong_declines_and_makes_a_reversal_due():
    chip = PlainChip()

    class Turncoat(Person):
        def answer(self, question):
            chip.signs = not isinstance(question, ask.GoOnline)
            return Person.answer(self, question)

    outcome = insert(chip, Turncoat(ask.Reply("00", True)))
    assert (outcome.status, outcome.why, outcome.reverse, tvr(outcome)) == ("declined", "forged", True, "0400008000")


@pytest.mark.parametrize("template", [0x77, 0x80])
def test_a_request_whose_signature_is_wrong_is_answered_at_once_by_a_refusal(template):
    chip, person = PlainChip(), Person()
    chip.signs = template == 0x80  # an answer without tags carries no signature at all
    chip.template = template
    outcome = insert(chip, person)
    assert (outcome.status, outcome.why, outcome.response) == ("declined", "forged", "Z1")
    assert not person.was_asked(ask.GoOnline) and not outcome.reverse
    first, second = [upper(command) for command in chip.commands(0xAE)]
    assert (first[:8], second[:8]) == ("80AE9000", "80AE0000")
    assert "0400008000" in second and "5A31" in second


@pytest.mark.parametrize("answer", [None, b"\x69\x85", b"\x90\x00"])
def test_a_wrong_signature_stays_a_decline_whatever_the_card_does_next(answer):
    chip, person = PlainChip(), Person()
    chip.signs = False
    chip.instead[number_of("cda", 0xAE) + 1] = answer
    outcome = insert(chip, person)
    assert (outcome.status, outcome.why, outcome.response) == ("declined", "forged", "Z1")


def test_a_card_whose_keys_cannot_be_recovered_is_not_asked_for_a_combined_signature():
    chip = PlainChip()
    chip.change(0x9F46, None)
    chip.kinds = [ARQC, ASKED]
    outcome = insert(chip)
    assert [upper(command)[4:6] for command in chip.commands(0xAE)] == ["80", "40"]
    assert (outcome.status, tvr(outcome)) == ("approved", "2400008000")


# The issuer cannot be reached


@pytest.mark.parametrize(
    ("default", "kinds", "status", "why", "response", "asked"),
    [
        ("0000000000", (ARQC, ASKED), "approved", "approved", "Y3", "50"),
        ("0000008000", (ARQC, ASKED), "declined", "unreachable", "Z3", "00"),
        ("0000000000", (ARQC, AAC), "declined", "unreachable", "Z3", "50"),
    ],
)
def test_without_an_answer_the_default_action_codes_decide_and_the_card(default, kinds, status, why, response, asked):
    chip = PlainChip(kinds=kinds)
    outcome = insert(chip, Person(ask.Reply()), {"tac_default": default})
    assert (outcome.status, outcome.why, outcome.response, outcome.reverse) == (status, why, response, False)
    sent = upper(chip.log[-1])
    assert sent[4:6] == asked and ("5933" if asked == "50" else "5A33") in sent


def test_when_something_may_have_left_the_terminal_it_approves_nothing_by_itself():
    chip = PlainChip()
    outcome = insert(chip, Person(ask.Reply(offline=False)), {"tac_default": "0000000000"})
    assert (outcome.status, outcome.response) == ("declined", "Z3")
    assert upper(chip.log[-1])[4:6] == "00" and "5A33" in upper(chip.log[-1])


def test_a_card_pulled_while_the_issuer_could_not_be_reached_has_not_been_approved():
    chip = PlainChip()
    chip.instead[number_of("cda", 0xAE, 1)] = None
    outcome = insert(chip, Person(ask.Reply()), {"tac_default": "0000000000"})
    assert (outcome.status, outcome.why, outcome.response, outcome.reverse) == ("declined", "lost", "Z3", False)


def test_a_terminal_that_is_never_online_asks_nobody():
    row = dict(OFFLINE)
    for kinds, default, status, response in (
        ((ARQC, ASKED), "0000000000", "approved", "Y3"),
        ((ASKED,), "0000000000", "approved", "Y1"),
        ((ASKED,), "8000000000", "declined", "Z1"),
    ):
        chip, person = PlainChip("", kinds=kinds), Person()
        row["tac_default"] = default
        outcome = insert(chip, person, row, terminal={"9F35": "23"})
        assert (outcome.status, outcome.response) == (status, response)
        assert not person.was_asked(ask.GoOnline)


# The issuer's own words to its card

PROOF = hexes("B9814EF5DE5213D43030")
COMMAND = "860D8424000008CF323F09A0F6AB9E"
BEFORE, AFTER = (0x71, hexes("9F180411223344" + COMMAND)), (0x72, hexes("9F180455667788" + COMMAND))


def test_proof_then_first_scripts_then_cryptogram_then_second_scripts():
    chip = PlainChip()
    outcome = insert(chip, Person(ask.Reply("00", True, PROOF, (AFTER, BEFORE))))
    assert instructions(chip)[-5:] == [0xAE, 0x82, 0x24, 0xAE, 0x24]
    assert chip.commands(0x82) == [hexes("008200000A") + PROOF]
    assert outcome.scripts and upper(outcome.tags[0xDF31]) == "20112233442055667788"
    assert (outcome.status, upper(outcome.tags[0x9B])) == ("approved", "FC00")


def test_proof_that_the_card_does_not_believe_changes_a_bit_and_no_decision():
    chip = PlainChip()
    chip.words[0x82] = b"\x63\x00"
    outcome = insert(chip, Person(ask.Reply("00", True, PROOF)))
    assert upper(chip.log[-1])[4:6] == "50" and "0000008040" in upper(chip.log[-1])
    assert (outcome.status, tvr(outcome)) == ("approved", "0000008040")


def test_a_script_that_fails_after_the_last_cryptogram_is_told_and_changes_nothing():
    chip = PlainChip()
    chip.words[0x24] = b"\x6a\x80"
    outcome = insert(chip, Person(ask.Reply("00", True, scripts=(AFTER,))))
    assert (outcome.status, tvr(outcome), upper(outcome.tags[0xDF31])) == ("approved", "0000008010", "1155667788")


def test_a_card_pulled_after_the_last_cryptogram_was_approved_all_the_same():
    chip = PlainChip()
    chip.instead[number_of("cda", 0xAE, 1) + 1] = None
    outcome = insert(chip, Person(ask.Reply("00", True, scripts=(AFTER,))))
    assert (outcome.status, outcome.why, outcome.reverse, outcome.scripts) == ("approved", "host", False, True)
    assert upper(outcome.tags[0xDF31]) == "1155667788"


def test_scripts_run_for_a_card_that_is_declined_too():
    chip = PlainChip()
    outcome = insert(chip, Person(ask.Reply("41", scripts=(BEFORE, AFTER))))
    assert outcome.status == "declined" and len(chip.commands(0x24)) == 2 and outcome.scripts


def test_more_commands_of_the_issuer_than_any_card_needs_do_not_undo_what_was_decided():
    many = tuple([(0x72, hexes("8604" + "84240000") * 32)] * 16)
    outcome = insert(PlainChip(), Person(ask.Reply("00", True, scripts=many)))
    assert (outcome.status, outcome.why) == ("approved", "host")
    before = tuple([(0x71, script) for _, script in many])
    outcome = insert(PlainChip(), Person(ask.Reply("00", True, scripts=before)))
    assert (outcome.status, outcome.why, outcome.reverse) == ("declined", "endless", True)


def test_the_issuers_data_shorter_than_the_card_asks_for_is_filled_on_the_right():
    chip = PlainChip()
    insert(chip, Person(ask.Reply("00", True, hexes("01020304050607"))))
    assert upper(chip.log[-1])[10:30] == "3030" + "0102030405060700"


# Referral


@pytest.mark.parametrize(
    ("switch", "word", "status", "asked"),
    [(True, True, "approved", "50"), (True, False, "declined", "00"), (False, True, "declined", "00")],
)
@pytest.mark.parametrize("code", ["01", "02"])
def test_a_referral_is_the_merchants_word_where_the_terminal_is_set_so(code, switch, word, status, asked):
    chip, person = PlainChip(), Person(ask.Reply(code))
    person.refers = word
    outcome = insert(chip, person, switches={"referral": switch})
    assert (outcome.status, outcome.response, outcome.reverse) == (status, code, False)
    assert upper(chip.log[-1])[4:6] == asked and len(person.was_asked(ask.Refer)) == int(switch)


def test_a_card_that_declines_what_the_issuer_has_allowed_by_telephone_leaves_nothing_to_be_undone():
    outcome = insert(PlainChip(kinds=(ARQC, AAC)), Person(ask.Reply("01")), switches={"referral": True})
    assert (outcome.status, outcome.why, outcome.reverse) == ("declined", "card-declined", False)


# Lost, broken, lying


def test_a_card_lost_before_the_issuer_was_asked_may_be_put_in_again():
    last = number_of("cda", 0xAE)
    for number in range(last + 1):
        chip = PlainChip()
        chip.instead[number] = None
        outcome = insert(chip)
        assert (outcome.status, outcome.why, outcome.entry) == ("try-again", "lost", "05"), number


def test_every_response_broken_in_every_way_ends_with_an_outcome():
    count = number_of("dda", 0xAE, 1) + 1
    for number in range(count):
        for bad in (
            b"",
            b"\x90",
            b"\x90\x00",
            b"\x6a\x82",
            b"\x6f\x85\x90\x00",
            b"\x77\x01\x9f\x90\x00",
            bytes(300),
            b"\x70\x00\x90\x00",
        ):
            chip = PlainChip("dda")
            chip.instead[number] = bad
            outcome = insert(chip)
            assert outcome.why in card.REASONS and outcome.status in contact.result.STATUSES


def test_a_locator_of_more_records_than_any_card_has_is_the_end():
    chip = PlainChip()
    chip.instead[4] = hexes("8006 7C00 08 01 FF 00 9000")
    outcome = insert(chip)
    assert (outcome.status, outcome.why) == ("end-application", "endless")


def test_the_card_number_of_the_track_is_that_of_the_card():
    chip = PlainChip("")
    chip.change(0x57, hexes("6200000000000013D3012220000000123F"))
    assert insert(chip).why == "malformed"


@pytest.mark.parametrize("seed", range(10))
def test_a_card_that_lies_about_everything_leaves_a_named_outcome_and_never_hangs(seed):
    chance = random.Random(seed)
    seen = set()
    for _ in range(50):
        lying = LyingCard(chance, PlainChip(chance.choice(("", "sda", "dda", "cda"))))
        flow = contact.insert(settings_of(chance.choice((OFFLINE, None))), request_of(chance.randrange(200000)))
        outcome, steps = bounded(flow, lying, LyingPerson(chance))
        assert outcome.why in card.REASONS and outcome.status in contact.result.STATUSES
        assert steps <= contact.MAX_STEPS
        assert not (outcome.pan and outcome.pan in repr(outcome) and len(outcome.pan) > 10)
        seen.add(outcome.why)
    assert len(seen) > 3


# The same over contactless


def full_flow(chip, row=None, amount_fen=1234):
    """`over_contactless` as kernel 7 calls it, after its GET PROCESSING OPTIONS."""
    settings = settings_of(row)
    data = Data(settings, request_of(amount_fen))
    data.choose(settings.applications[0])
    data.told[0x9F39] = b"\x07"

    def flow():
        answer = yield from card.exchange(hexes("00A40400 08 A000000333010101 00"))
        records.fci(data, tlv.decode(answer[0]))
        yield from records.options(data)
        return (yield from contact.over_contactless(data))

    person = Person()
    return carry_out(flow(), chip, person), person


@pytest.mark.parametrize(
    ("kinds", "row", "status", "why", "response"),
    [
        ((ARQC,), None, "online", "arqc", ""),
        ((ARQC,), OFFLINE, "online", "arqc", ""),
        ((AAC,), None, "declined", "aac", "Z1"),
        ((ASKED,), OFFLINE, "approved", "approved", "Y1"),
    ],
)
def test_the_full_flow_over_contactless_ends_with_the_first_cryptogram(kinds, row, status, why, response):
    chip = PlainChip(kinds=kinds)
    outcome, person = full_flow(chip, row)
    assert (outcome.status, outcome.why, outcome.response, outcome.entry) == (status, why, response, "07")
    assert len(chip.commands(0xAE)) == 1 and not person.was_asked(ask.GoOnline)
    assert outcome.pan == NUMBER and outcome.aid == "A000000333010101" and not outcome.fallback


def test_an_online_pin_is_asked_for_after_the_card_has_left_the_field():
    chip = PlainChip()
    chip.change(0x8E, hexes("0000000000000000 4100 0200"))
    outcome, person = full_flow(chip)
    assert (outcome.status, outcome.cvm, outcome.message) == ("online", "online-pin", "enter-pin")
    assert not person.was_asked(ask.OnlinePin) and not person.was_asked(ask.OfflinePin)


def test_a_request_with_a_wrong_signature_is_declined_over_contactless_without_another_command():
    chip = PlainChip()
    chip.signs = False
    outcome, _ = full_flow(chip)
    assert (outcome.status, outcome.why, outcome.response, len(chip.commands(0xAE))) == ("declined", "forged", "Z1", 1)


def test_the_second_list_need_not_be_there_over_contactless():
    chip = PlainChip()
    chip.change(0x8D, None)
    assert full_flow(chip)[0].status == "online"
    chip = PlainChip()
    chip.change(0x8D, None)
    assert insert(chip).why == "missing"


def test_the_response_codes_are_those_of_the_action_analysis():
    assert contact.OFFLINE_APPROVED.encode() == action.APPROVED_OFFLINE
    assert contact.OFFLINE_DECLINED.encode() == action.DECLINED_OFFLINE
    assert contact.UNREACHED_APPROVED.encode() == action.APPROVED_UNREACHED
    assert contact.UNREACHED_DECLINED.encode() == action.DECLINED_UNREACHED


def test_a_request_of_a_cash_advance_tells_the_card_its_kind():
    chip = PlainChip()
    insert(chip, request=Request(5000, "261120", "101500", hexes("CAFE0123"), 1, "01"))
    assert upper(chip.commands(0xAE)[0])[58:60] == "01"
