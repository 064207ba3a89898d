import json
import random
import stat

import pytest

from emulator.cards import pki, shelf
from emulator.cards.card import Card
from firmware.emv import tlv
from firmware.emv.contactless import tap
from firmware.emv.settings import Request
from tests.card_settings import card_settings
from tests.portable.plain_card import drive

SETTINGS = card_settings(keys=pki.authority_rows())


@pytest.fixture
def sample():
    return shelf.sample(random.Random(5))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with a shelf in it, made from a seed."""
    folder = tmp_path_factory.mktemp("cards")
    shelf.load(folder, random.Random(8))
    return folder


def outcome_of(card, amount_fen=1234):
    card.reset()
    return drive(tap(SETTINGS, Request(amount_fen, "261120", "101500", b"\xaa\xbb\xcc\xdd", 17)), card)


def record_of(cards, name):
    pan = cards.card(name).pan
    return next(record for record in cards.records() if record["pan"] == pan)


# A tap


@pytest.mark.parametrize("name", ["debit", "credit", "second", "poor", "pin-asking", "phone"])
def test_a_good_card_goes_online_with_a_cryptogram_that_its_issuer_accepts(sample, name):
    outcome = outcome_of(sample.card(name))
    card = sample.card(name)
    assert (outcome.status, outcome.why, outcome.pan, outcome.expiry) == ("online", "arqc", card.pan, card.expiry)
    assert outcome.sequence == card.sequence and outcome.label == card.label
    assert sample.verify(record_of(sample, name), outcome.field55())


@pytest.mark.parametrize("tag", [0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37, 0x82, 0x9F36, 0x9F10, 0x9F26])
def test_any_change_to_what_the_cryptogram_covers_is_noticed(sample, tag):
    field = tlv.decode(outcome_of(sample.card("debit")).field55())
    place = 4 if tag == 0x9F10 else -1
    changed = []
    for name, value in field:
        if name == tag:
            value = bytearray(value)
            value[place] ^= 1
            value = bytes(value)
        changed.append((name, value))
    record = record_of(sample, "debit")
    assert sample.verify(record, tlv.encode(field))
    assert not sample.verify(record, tlv.encode(changed))
    assert not sample.verify(record, tlv.encode([(name, value) for name, value in field if name != tag]))


def test_one_cards_cryptogram_is_not_anothers(sample):
    field = outcome_of(sample.card("debit")).field55()
    assert not sample.verify(record_of(sample, "second"), field)


def test_any_bytes_are_no_cryptogram(sample):
    chance, record = random.Random(11), record_of(sample, "debit")
    field = outcome_of(sample.card("debit")).field55()
    for _ in range(300):
        data = bytearray(field)
        data[chance.randrange(len(data))] = chance.randrange(256)
        assert sample.verify(record, bytes(data)) in (True, False)
        assert not sample.verify(record, chance.randbytes(chance.randrange(60)))


def test_the_counter_rises_with_every_tap_and_is_told_before_the_answer(sample):
    card, told = sample.card("debit"), []
    card.changed = lambda changed: told.append(changed.atc)
    counters = [outcome_of(card).hex_of(0x9F36) for _ in range(3)]
    assert counters == ["0001", "0002", "0003"] and told == [1, 2, 3]


def test_a_card_that_leaves_before_the_processing_options_keeps_its_counter(sample):
    card = sample.card("debit")
    flow = tap(SETTINGS, Request(1, "261120", "101500", bytes(4), 1))
    command = next(flow)
    command = flow.send(card.apdu(command))
    with pytest.raises(StopIteration):
        flow.send(None)
    assert card.atc == 0


@pytest.mark.parametrize(
    ("name", "small", "large"),
    [
        ("debit", "none", "online-pin"),
        ("credit", "none", "online-pin"),
        ("pin-asking", "online-pin", "online-pin"),
        ("phone", "cdcvm", "cdcvm"),
    ],
)
def test_each_card_has_its_way_to_verify_its_holder(sample, name, small, large):
    assert outcome_of(sample.card(name), 100000).cvm == small
    assert outcome_of(sample.card(name), 100001).cvm == large


def test_the_cards_that_do_not_work_each_end_in_their_way(sample):
    assert outcome_of(sample.card("expired")).why == "expired"
    assert outcome_of(sample.card("broken")).status == "end-application"
    assert outcome_of(sample.card("not-a-bank-card")).why == "no-directory"


def test_a_card_may_be_told_to_decline_to_lie_and_to_refuse(sample):
    card = sample.card("debit")
    card.declines = True
    assert outcome_of(card).why == "aac"
    card.declines, card.wrong_cryptogram = False, True
    outcome = outcome_of(card)
    assert outcome.status == "online" and not sample.verify(record_of(sample, "debit"), outcome.field55())
    card.wrong_cryptogram, card.refuses = False, {0xA8: b"\x69\x86"}
    assert outcome_of(card).message == "see-phone"


def test_a_card_keeps_its_order_of_commands(sample):
    card = sample.card("debit")
    options = bytes.fromhex("80A8000024832226804080") + bytes(30) + b"\x00"
    assert card.apdu(options) == b"\x69\x85"
    assert card.apdu(bytes.fromhex("00B2010C00")) == b"\x69\x85"
    select = bytes.fromhex("00A4040008A00000033301010100")
    assert card.apdu(select)[-2:] == b"\x90\x00"
    assert card.apdu(options[:-4] + b"\x00") == b"\x67\x00"
    assert card.apdu(options)[-2:] == b"\x90\x00"
    assert card.apdu(options) == b"\x69\x85"
    assert card.apdu(bytes.fromhex("00B2090C00")) == b"\x6a\x83"
    assert card.apdu(bytes.fromhex("80CA9F3600")) == bytes.fromhex("9F360200019000")
    card.reset()
    assert card.apdu(bytes.fromhex("00B2010C00")) == b"\x69\x85"


def test_any_command_gets_an_answer(sample):
    chance = random.Random(13)
    for name in sample.names:
        card = sample.card(name)
        for _ in range(300):
            command = chance.randbytes(chance.randrange(12))
            if chance.randrange(2):
                command = bytes((chance.choice((0, 0x80)), chance.choice((0xA4, 0xA8, 0xB2, 0xCA)))) + command
            assert len(card.apdu(command)) >= 2


# The shelf


def test_numbers_pass_luhn_begin_as_their_schemes_do_and_differ_in_their_last_digits(sample):
    records = sample.records()
    prefixes = {"unionpay": "62", "visa": "4", "mastercard": "5"}
    for record in records:
        number = record["pan"]
        assert number.startswith(prefixes[record["scheme"]]) and shelf.luhn(number[:-1]) == number[-1]
        assert len(number) in (16, 19)
    assert len({record["pan"][-4:] for record in records}) == len(records) > 50
    assert shelf.luhn("7992739871") == "3"


def test_the_first_cards_keep_the_numbers_that_a_seed_always_gave(sample):
    chance = random.Random(5)
    for _ in range(32):
        chance.getrandbits(8)
    digits = "62" + "".join(str(chance.randrange(10)) for _ in range(16))
    assert sample.card("debit").pan[:-1] == digits


def test_the_same_seed_gives_the_same_shelf_and_another_seed_another():
    one, same, other = (shelf.sample(random.Random(seed)).records() for seed in (1, 1, 2))
    assert one == same
    assert not {record["pan"] for record in one} & {record["pan"] for record in other}


def test_the_acquirers_records_have_what_it_needs(sample):
    for record in sample.records():
        assert set(record) == {
            "pan", "expiry", "sequence", "pin", "issuer_key", "mac_key", "data_key", "scheme", "balance_fen", "status",
            "last_atc",
        }  # fmt: skip
        assert len(record["pin"]) == 6 and {len(record[key]) for key in ("issuer_key", "mac_key", "data_key")} == {16}
        assert sample.record(record["pan"]) == record
    assert sample.record("6200000000000000005") is None


def test_every_card_says_how_it_can_be_used(sample):
    ways = {
        name: (sample.card(name).insertable, sample.card(name).tappable, sample.card(name).swipeable) for name in sample.names
    }
    assert ways["debit"] == (True, True, True) and ways["phone"] == (False, True, False)
    assert ways["stripe"] == (False, False, True) and ways["insert-only"] == (True, False, True)
    for name, (insertable, _, swipeable) in ways.items():
        card = sample.card(name)
        assert (card.chip is not None) == insertable and bool(card.stripe) == swipeable
        assert card.title


def test_a_stripe_has_the_number_and_says_whether_there_is_a_chip(sample):
    debit, plain = sample.card("debit"), sample.card("stripe")
    assert debit.stripe == f"%B{debit.pan}^{'TEST/CARD':<26}^35122200000000?;{debit.pan}=35122200000000?"
    assert plain.stripe.endswith(f";{plain.pan}=35121200000000?")
    assert sample.card("stripe-damaged").stripe == "%E?;E?"


def test_the_exception_file_is_told_and_the_authorities_are_keys_that_a_terminal_takes(sample):
    assert sample.exceptions() == [(sample.card("listed").pan, "001")]
    keys = card_settings(keys=sample.authority_rows()).authority.all()
    assert {(key.rid.hex(), 8 * len(key.modulus)) for key in keys} >= {
        ("a000000333", 1152), ("a000000333", 1984), ("a000000003", 1408), ("a000000004", 1152),
    }  # fmt: skip
    assert {key.kind for key in keys} == {"test"} and {key.exponent for key in keys} == {3, 65537}


def test_a_shelf_that_was_kept_before_there_were_more_cards_gets_them_and_keeps_its_own(tmp_path):
    new = shelf.load(tmp_path, random.Random(4))
    kept = json.loads((tmp_path / shelf.FILE).read_text())
    first = {name: kept["cards"][name] for name in ("debit", "credit")}
    for own in first.values():
        del own["mac_key"], own["data_key"]
    (tmp_path / shelf.FILE).write_text(json.dumps({"cards": first, "keys": {}, "certificates": {}}))
    (tmp_path / shelf.COUNTERS).write_text(json.dumps({"debit": 41}))
    again = shelf.load(tmp_path, random.Random(6))
    assert again.card("debit").pan == new.card("debit").pan and again.card("debit").atc == 41
    assert again.card("second").pan != new.card("second").pan and len(again.card("two").applications) == 2
    assert shelf.load(tmp_path).records() == again.records()


def test_a_kept_shelf_is_the_same_after_a_restart_with_its_counters(kept):
    first = shelf.load(kept)
    for _ in range(3):
        outcome_of(first.card("debit"))
    again = shelf.load(kept)
    assert again.records() == first.records()
    assert again.card("debit").atc == first.card("debit").atc >= 3
    assert again.card("credit").atc == 0


def test_what_is_kept_is_for_its_owner_alone(kept):
    outcome_of(shelf.load(kept).card("second"))
    for name in (shelf.FILE, shelf.COUNTERS):
        assert stat.S_IMODE((kept / name).stat().st_mode) == 0o600


def test_a_kept_card_goes_online_too(kept):
    cards = shelf.load(kept)
    outcome = outcome_of(cards.card("debit"))
    assert cards.verify(record_of(cards, "debit"), outcome.field55())
    assert outcome.tags[0x82] == b"\x78\x00"


def test_what_a_card_remembers_is_kept_with_its_counter(kept):
    card = shelf.load(kept).card("last-try")
    chip = card.chip
    for command in ("00A4040008A00000033301010100", "80A80000028300", "0020008008241111FFFFFFFFFF"):
        answer = chip.apdu(bytes.fromhex(command))
    assert answer == b"\x63\xc0"
    state = shelf.load(kept).card("last-try").applications[0].state
    assert (state.tries, state.atc) == (0, 1)


def test_a_damaged_shelf_is_named_and_shows_no_secret(tmp_path):
    (tmp_path / shelf.FILE).write_text('{"cards": {"debit": {"pan": "6200001234567890"}}, "certificates": {}}')
    with pytest.raises(shelf.ShelfError, match="cards.json") as caught:
        shelf.load(tmp_path)
    assert "6200001234567890" not in str(caught.value)


def test_no_image_of_a_card_has_its_number_or_pin(kept):
    cards = shelf.load(kept)
    card = cards.card("debit")
    for shown in (repr(card), repr(cards), repr(pki.key("card-768"))):
        assert card.pan not in shown and card.pin not in shown
    assert isinstance(card, Card)


# Public keys


def test_a_key_has_the_length_asked_for_and_undoes_itself():
    for exponent in (3, 65537):
        key = pki.make_key(512, random.Random(3), exponent)
        assert key.modulus.bit_length() == 512
        block = b"\x6a" + bytes(62) + b"\xbc"
        assert key.recover(key.sign(block)) == block and key.sign(key.recover(block)) == block
        assert pki.make_key(512, random.Random(3), exponent).modulus == key.modulus
        assert pki.Key.from_json(key.to_json()).modulus == key.modulus


def test_the_published_keys_are_as_long_as_they_are_said_to_be():
    for name, (bits, exponent) in pki.KEYS.items():
        key = pki.key(name)
        assert (key.modulus.bit_length(), key.exponent) == (bits, exponent)
        block = b"\x6a" + bytes(key.size - 2) + b"\xbc"
        assert key.recover(key.sign(block)) == block


def test_a_certificate_is_whole_and_has_the_rest_of_a_modulus_that_does_not_fit():
    top, issuer, card = pki.key("authority-1152"), pki.key("issuer-1024"), pki.key("card-768")
    for signer, subject, kind, identity, room in (
        (top, issuer, pki.ISSUER, b"\x62\x00\x00\xff", 108), (issuer, card, pki.CARD, b"\x62" * 10, 86),
    ):  # fmt: skip
        certificate, rest = pki.certify(signer, subject, kind, identity, 7)
        block = signer.recover(certificate)
        assert len(rest) == subject.size - room and pki.is_whole(block, kind, rest + b"\x03")
        assert not pki.is_whole(block, kind, rest + b"\x05") and not pki.is_whole(b"", kind, b"")
        assert block[-21 - room : -21] + rest == subject.public
