"""Cards of the shelf and of the builder at the terminal's own kernels, with their issuer at the other end."""

import random

import pytest

from emulator.cards import builder, cryptogram, pki, shelf, stripe_mode
from emulator.cards.builder import build
from emulator.cards.catalogue import LONG, NEVER, ROWS, mastercard
from emulator.cards.profile import FULL, MCHIP, STRIPE_MODE, contact_records, quick_records
from firmware.emv import tlv
from tests.card_settings import TERMINAL_DATA
from tests.emulator.holder import ALONE, Holder, settings

ONLINE, OFFLINE = settings(), settings(**ALONE)
OFFLINE_CARD = {"iac": NEVER, "offline_fen": 50_000, "rules": "1F03"}


@pytest.fixture(scope="module")
def sample():
    return shelf.sample(random.Random(5))


def of_shelf(sample, name, **more):
    listed = [pan for pan, _ in sample.exceptions()]
    return Holder(sample.card(name), record=sample.record, listed=listed, **more)


# name: (status, why, 9F34, what was asked) by contacts, the issuer approving
INSERTED = {
    "debit": ("approved", "host", "420300", ["OnlinePin", "GoOnline"]),
    "credit": ("approved", "host", "420300", ["OnlinePin", "GoOnline"]),
    "second": ("approved", "host", "420300", ["OnlinePin", "GoOnline"]),
    "pin-asking": ("approved", "host", "020000", ["OnlinePin", "GoOnline"]),
    "offline-pin": ("approved", "host", "410302", ["OfflinePin", "GoOnline"]),
    "enciphered-pin": ("approved", "host", "440302", ["OfflinePin", "GoOnline"]),
    "pin-and-signature": ("approved", "host", "430300", ["OfflinePin", "GoOnline"]),
    "signature": ("approved", "host", "1E0300", ["GoOnline"]),
    "pin-blocked": ("approved", "host", "420300", ["OnlinePin", "GoOnline"]),
    "last-try": ("approved", "host", "410302", ["OfflinePin", "GoOnline"]),
    "two": ("approved", "host", "420300", ["Choose", "OnlinePin", "GoOnline"]),
    "first-refuses": ("approved", "host", "420300", ["Choose", "Choose", "OnlinePin", "GoOnline"]),
    "confirm": ("approved", "host", "420300", ["Choose", "OnlinePin", "GoOnline"]),
    "no-directory": ("approved", "host", "420300", ["Choose", "OnlinePin", "GoOnline"]),
    "blocked-card": ("end-application", "card-blocked", "3F0000", []),
    "blocked-application": ("end-application", "blocked", "3F0000", []),
    "service": ("declined", "terminal", "420300", ["OnlinePin"]),
    "declines": ("declined", "aac", "420300", ["OnlinePin"]),
    "second-refuses": ("declined", "refused", "420300", ["OnlinePin", "GoOnline"]),
    "chip-refuses": ("try-another-interface", "chip-refused", "420300", ["OnlinePin"]),
    "broken": ("end-application", "malformed", "3F0000", []),
    "wrong-signature": ("declined", "forged", "420300", ["OnlinePin"]),
    "visa": ("approved", "host", "420300", ["OnlinePin", "GoOnline"]),
    "mastercard": ("approved", "host", "420300", ["OnlinePin", "GoOnline"]),
}
# name: bits of TVR, and nothing else but online PIN and floor limit
SEEN = {
    "debit": "0000048000", "sda": "0200048000", "unproven": "8000048000", "unknown-authority": "0800048000",
    "wrong-certificate": "0800048000", "wrong-signature": "0400048000", "version": "0080048000", "expired": "0040048000",
    "future": "0020048000", "service": "0010048000", "listed": "1000048000", "new": "0008008000", "hash": "0000048080",
    "pin-blocked": "0000248000", "long-keys": "0000048000", "f4-keys": "0000048000", "cda": "0000048000",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(INSERTED))
def test_each_card_of_the_shelf_does_by_contacts_what_its_title_says(sample, name):
    holder = of_shelf(sample, name)
    outcome = holder.insert()
    asked = [question for question in holder.asked if question not in ("LastAmount", "OnException")]
    assert (outcome.status, outcome.why, outcome.hex_of(0x9F34), asked) == INSERTED[name]
    assert holder.proven in (True, None)


@pytest.mark.parametrize("name", sorted(SEEN))
def test_each_card_of_the_shelf_is_seen_for_what_it_is(sample, name):
    assert of_shelf(sample, name).insert().hex_of(0x95) == SEEN[name]


# name: (status, why, how the holder is verified) by contactless, below the limit
TAPPED = {
    "debit": ("online", "arqc", "none"), "pin-asking": ("online", "arqc", "online-pin"), "phone": ("online", "arqc", "cdcvm"),
    "signature": ("online", "arqc", "signature"), "expired": ("declined", "expired", "none"),
    "declines": ("declined", "aac", "none"), "blocked-application": ("end-application", "no-application", "none"),
    "full": ("online", "arqc", "online-pin"), "visa": ("online", "arqc", "none"), "mastercard": ("online", "arqc", "none"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TAPPED))
def test_each_card_of_the_shelf_does_by_contactless_what_its_title_says(sample, name):
    outcome = of_shelf(sample, name).tap()
    assert (outcome.status, outcome.why, outcome.cvm) == TAPPED[name]
    if outcome.status == "online":
        assert cryptogram.verify(sample.record(outcome.pan), outcome.field55())


# name: (status, why) by contactless where card and terminal may settle it between themselves
OFFLINE_TAPS = {
    "flash": ("approved", "approved"), "offline": ("approved", "approved"), "flash-wrong": ("declined", "unproven"),
    "flash-online": ("online", "tc"), "flash-contact": ("try-another-interface", "not-authenticated"),
    "visa": ("online", "arqc"), "visa-offline": ("approved", "approved"), "debit": ("online", "arqc"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OFFLINE_TAPS))
def test_a_card_that_may_approve_by_contactless_proves_itself_first(sample, name):
    outcome = of_shelf(sample, name).tap(at=OFFLINE)
    assert (outcome.status, outcome.why) == OFFLINE_TAPS[name]
    if outcome.status == "approved":
        assert outcome.tags[0x9F27] == b"\x40" and cryptogram.verify(sample.record(outcome.pan), outcome.field55())


def test_a_locked_phone_sends_its_holder_to_it_once(sample):
    holder = of_shelf(sample, "wallet")
    assert holder.tap().message == "see-phone"
    outcome = holder.tap()
    assert (outcome.status, outcome.cvm) == ("online", "cdcvm")
    assert holder.tap().message == "see-phone"


def test_the_first_eight_may_be_in_any_slot_that_their_row_names():
    for row in ROWS:
        assert set(row.interfaces) <= {"contact", "contactless", "stripe"} and row.interfaces and row.applications
    assert len(ROWS) >= 25 and len({row.name for row in ROWS}) == len(ROWS)


# What a card decides


def test_a_card_approves_alone_up_to_its_limit_and_its_certificate_is_right():
    card = build(**OFFLINE_CARD)
    for fen, response in ((50_000, "Y1"), (50_001, "00")):
        holder = Holder(card)
        outcome = holder.insert(fen, OFFLINE)
        assert (outcome.status, outcome.response, outcome.tags[0x9F27]) == ("approved", response, b"\x40")
        assert cryptogram.verify(holder.record, outcome.field55())


def test_a_card_counts_what_it_did_alone_and_asks_its_issuer_from_its_limit_on():
    card = build(**OFFLINE_CARD, run=(2, 4))
    responses = [Holder(card).insert(100, OFFLINE).response for _ in range(4)]
    assert responses == ["Y1", "Y1", "00", "Y1"]


def test_a_card_over_its_upper_limit_declines_when_nobody_is_reached():
    card = build(**OFFLINE_CARD, run=(1, 2))
    results = []
    for _ in range(5):
        outcome = Holder(card, code=None).insert(100, OFFLINE)
        results.append((outcome.status, outcome.response))
    assert results == [("approved", "Y1"), ("approved", "Y3"), ("declined", "Z3"), ("declined", "Z3"), ("declined", "Z3")]


def test_a_new_card_goes_online_first_and_then_knows_its_issuer():
    card = build(**OFFLINE_CARD, run=(2, 4), seen=False)
    first, second = (Holder(card).insert(100, OFFLINE) for _ in range(2))
    assert (first.hex_of(0x95), first.response) == ("0008000000", "00")
    assert (second.hex_of(0x95), second.response) == ("0000000000", "Y1")


def test_a_card_whose_issuer_could_not_be_reached_remembers_it():
    card = build(**OFFLINE_CARD)
    assert Holder(card, code=None).insert(60_000, OFFLINE).response == "Y3"
    assert Holder(card).insert(100, OFFLINE).response == "00"
    assert Holder(card).insert(100, OFFLINE).response == "Y1"


# The issuer


def test_the_right_arpc_is_accepted_and_a_wrong_one_is_noticed():
    card = build()
    for rule, tvr, tsi in ((None, "0000048000", "F800"), ("wrong-arpc", "0000048040", "F800"), ("no-arpc", "0000048000", "E800")):
        outcome = Holder(card, rule=rule).insert()
        assert (outcome.status, outcome.hex_of(0x95), outcome.hex_of(0x9B)) == ("approved", tvr, tsi)


@pytest.mark.parametrize("rule", ["wrong-arpc", "no-arpc"])
def test_a_strict_card_declines_what_it_has_no_proof_of_and_the_booking_is_undone(rule):
    outcome = Holder(build(strict=True), rule=rule).insert()
    assert (outcome.status, outcome.why, outcome.reverse) == ("declined", "card-declined", True)
    assert Holder(build(strict=True)).insert().status == "approved"


@pytest.mark.parametrize("scheme", ["unionpay", "visa", "mastercard"])
def test_a_script_is_carried_out_whoevers_card_it_is(scheme):
    base = {"visa": {"scheme": "visa", "aid": "A0000000031010"}, "mastercard": mastercard._asdict(), "unionpay": {}}[scheme]
    card = build(**{**base, "rules": "41031F03", "tries_left": 1})
    assert Holder(card, pins=["000000", ""]).insert().hex_of(0x95)[4] == "2"
    state = card.applications[0].state
    assert state.tries == 0
    outcome = Holder(card, rule="script pin-unblock").insert()
    assert outcome.scripts and outcome.hex_of(0xDF31)[:2] == "20" and outcome.hex_of(0x9B)[1] in "4C" and state.tries == 3


def test_a_script_with_a_wrong_mac_is_refused_and_told():
    card = build()
    outcome = Holder(card, rule="wrong-script block-card").insert()
    assert outcome.hex_of(0xDF31)[:2] == "11" and outcome.hex_of(0x95) == "0000048010" and not card.blocked


def test_a_script_before_the_last_cryptogram_blocks_the_application_at_once():
    card = build()
    outcome = Holder(card, rule="script-before block-application").insert()
    assert (outcome.status, outcome.why) == ("declined", "card-declined")
    assert Holder(card).insert().why == "blocked"


def test_a_blocked_card_answers_nothing_any_more():
    card = build()
    assert Holder(card, rule="script block-card").insert().status == "approved"
    assert Holder(card).insert().why == "card-blocked"
    kept = card.to_json()
    again = build()
    again.update(kept)
    assert again.blocked and again.applications[0].state.atc == 1


# The PIN


def test_wrong_pins_count_down_and_a_right_one_gives_all_tries_back():
    card = build(rules="41031F03")
    state = card.applications[0].state
    assert Holder(card, pins=["111111", "222222", card.pin]).insert().hex_of(0x9F34) == "410302" and state.tries == 3
    assert Holder(card, pins=["111111", "222222", "333333"]).insert().hex_of(0x95) == "0000208000" and state.tries == 0


def test_an_enciphered_pin_is_for_one_challenge():
    card = build(rules="44031F03", pin_key="pin-896")
    assert Holder(card).insert().hex_of(0x9F34) == "440302"
    for command in ("00A4040008A00000033301010100", "80A80000028300"):
        card.chip.apdu(bytes.fromhex(command))
    challenge = card.chip.apdu(bytes.fromhex("0084000000"))[:8]
    pair = pki.key("pin-896")
    block = bytes.fromhex("26123456FFFFFFFF")
    hidden = pair.recover(b"\x7f" + block + challenge + bytes(pair.size - 17))
    verify = bytes.fromhex("00200088") + bytes((pair.size,)) + hidden
    assert card.chip.apdu(verify) == b"\x90\x00"
    assert card.chip.apdu(verify) == b"\x69\x84"
    assert card.chip.apdu(bytes.fromhex("0084000000"))[:8] != challenge


def test_a_pin_is_not_verified_by_contactless():
    card = build(rules="41031F03", contactless=FULL)
    for command in ("00A4040008A00000033301010100", "80A80000248322" + "66004080" + "00" * 30):
        card.apdu(bytes.fromhex(command))
    assert card.apdu(bytes.fromhex("002000800826123456FFFFFFFF")) == b"\x69\x85"


# Proving the card

CHAINS = [
    ("unionpay-1152", "issuer-1024", "card-768"), ("unionpay-1408", "issuer-1024", "card-1024"),
    ("unionpay-1984", "issuer-1984", "card-1984"), ("unionpay-1984-f4", "issuer-1408-f4", "card-1152-f4"),
    ("unionpay-1984", "issuer-1984", "card-1408"),
]  # fmt: skip


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain[2])
@pytest.mark.parametrize("form", [0x77, 0x80])
def test_every_chain_of_keys_proves_a_card_in_both_forms_of_answer(chain, form):
    for oda in ("sda", "dda", "cda") if chain[2] != "card-1984" else ("sda", "dda"):
        card = build(chain=chain, oda=oda, format=form, pdol="9F1A025F2A02", **OFFLINE_CARD)
        outcome = Holder(card).insert(at=OFFLINE)
        assert (outcome.status, outcome.response, outcome.hex_of(0x95)) == (
            "approved",
            "Y1",
            "0200000000" if oda == "sda" else "0" * 10,
        )


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain[2])
def test_every_chain_of_keys_proves_a_card_by_contactless(chain):
    outcome = Holder(build(quick=chain, **OFFLINE_CARD)).tap(at=OFFLINE)
    assert (outcome.status, outcome.why) == ("approved", "approved")


def test_a_card_is_proved_online_too_where_the_terminal_asks_for_it():
    rows = settings(ttq="67004080")
    assert Holder(build()).tap(at=rows).hex_of(0x9F4B)
    assert not Holder(build()).tap().hex_of(0x9F4B)


def test_the_combined_signature_covers_the_second_cryptogram_too():
    outcome = Holder(build(oda="cda", format=0x77)).insert()
    assert (outcome.status, outcome.tags[0x9F27]) == ("approved", b"\x40")
    bad = build(oda="cda", format=0x77, faults={"wrong_signature": True})
    assert Holder(bad).insert().why == "forged"


def test_no_record_is_longer_than_an_answer_may_be(sample):
    for card in sample.bank_cards():
        for application in card.applications:
            layouts = [
                contact_records(application.profile, application.holder),
                quick_records(application.profile, application.holder, True),
            ]
            for records in layouts:
                assert all(len(record) <= 256 for file in records.files.values() for record in file)
                objects = [
                    tag for file in records.files.values() for record in file for tag, _ in tlv.primitives(tlv.decode(record))
                ]
                assert len(objects) == len(set(objects))


# Other schemes


def test_m_chip_combines_its_signature_by_contactless():
    card = build(**mastercard._asdict())
    assert card.applications[0].profile.contactless == MCHIP
    outcome = Holder(card).tap()
    assert (outcome.status, outcome.hex_of(0x95)[:2], len(outcome.tags[0x9F4B])) == ("online", "00", 128)


def test_a_track_that_was_filled_in_stripe_mode_is_checked_by_its_issuer():
    card = build(**mastercard._replace(contactless=STRIPE_MODE)._asdict(), service="201", pan="5599990000000003")
    record = builder.record_of(card)
    for last in (0, 1, 2):
        outcome = Holder(card).tap()
        own = outcome.track2.partition("D")[2]
        assert outcome.entry == "91" and outcome.pan == card.pan
        assert stripe_mode.check(record | {"last_atc": last}, own) == last + 1
        wrong = own[:-4] + str((int(own[-4]) + 1) % 10) + own[-3:]
        assert stripe_mode.check(record | {"last_atc": last}, wrong) is None
        assert stripe_mode.check(record | {"last_atc": last}, own[:-1] + "D") is None


def test_full_pboc_by_contactless_has_the_cryptogram_of_its_flow():
    card = build(contactless=FULL)
    holder = Holder(card)
    outcome = holder.tap()
    assert (outcome.status, outcome.tags[0x9F27]) == ("online", b"\x80")
    assert cryptogram.verify(holder.record, outcome.field55())


# The description


def test_a_property_that_is_none_is_named():
    with pytest.raises(ValueError, match="colour"):
        build(colour="red")
    with pytest.raises(ValueError, match="melts"):
        build(faults={"melts": True})


def test_a_terminal_that_only_takes_some_methods_gets_what_the_card_has():
    terminal = dict(TERMINAL_DATA, **{"9F33": "E00008"})
    outcome = Holder(build(rules="1F00")).insert(at=settings(terminal))
    assert outcome.hex_of(0x9F34) == "3F0001"


def test_any_command_gets_an_answer_by_contacts(sample):
    chance = random.Random(17)
    classes, instructions = (0, 0x80, 0x84), (0x16, 0x18, 0x1E, 0x20, 0x24, 0x2A, 0x82, 0x84, 0x88, 0xA4, 0xA8, 0xAE, 0xB2, 0xCA)
    start = [bytes.fromhex(command) for command in ("00A4040008A00000033301010100", "80A80000028300", "00B2011400")]
    for name in ("debit", "credit", "mastercard", "two", "hash", "not-a-bank-card"):
        chip = sample.card(name).chip
        for _ in range(150):
            chip.reset()
            for command in start[: chance.randrange(4)]:
                chip.apdu(command)
            for _ in range(3):
                command = bytes((chance.choice(classes), chance.choice(instructions), *chance.randbytes(2)))
                data = chance.randbytes(chance.choice((0, 0, 4, 8, 10, 29, 60)))
                command += (bytes((len(data),)) + data if data else b"") + bytes(chance.randrange(2))
                assert 2 <= len(chip.apdu(command)) <= 258


def test_no_image_of_an_application_has_its_number_or_pin(sample):
    card = sample.card("debit")
    for shown in (repr(card), repr(card.applications[0]), repr(card.chip), repr(card.applications[0].state), repr(sample)):
        assert card.pan not in shown and card.pin not in shown


def test_long_keys_fit_by_contactless():
    card = build(quick=LONG, **OFFLINE_CARD)
    holder = Holder(card)
    assert holder.tap(at=OFFLINE).status == "approved"
    assert [len(command) for command in holder.commands].count(5) >= 6
