import hashlib
import json
import random
import stat
import time

import pytest

from emulator.cards import cryptogram, pki, shelf
from emulator.cards.card import Card
from firmware.emv import tlv
from firmware.emv.contactless import tap
from firmware.emv.settings import Request, Settings
from tests.firmware.test_tlv import vectors
from tests.portable.plain_card import drive

SETTINGS = Settings()
DATA = bytes(range(40))


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


# Keys and cryptograms


def test_the_public_vectors_for_card_keys_hold():
    for vector in vectors("crypto_vectors.json")["vectors"]["icc_master_key_option_a"]:
        given = vector["inputs"]
        made = cryptogram.card_key(bytes.fromhex(given["iss_mk"]), given["pan"], given["psn"])
        assert made == bytes.fromhex(vector["expected"])


def test_the_public_vectors_for_the_mac_hold():
    ran = 0
    for vector in vectors("crypto_vectors.json")["vectors"]["mac_iso9797_alg3"]:
        given = vector["inputs"]
        made = cryptogram.mac(bytes.fromhex(given["key1"] + given["key2"]), bytes.fromhex(given["data"]))
        assert given["padding"] == 2 and made[: given["length"]] == bytes.fromhex(vector["expected"])
        ran += 1
    assert ran == 19


def test_the_public_vectors_for_cryptograms_hold():
    ran = 0
    for vector in vectors("crypto_vectors.json")["vectors"]["application_cryptogram"]:
        given = vector["inputs"]
        if given["padding_type"] == "EMV":
            assert cryptogram.mac(bytes.fromhex(given["sk_ac"]), bytes.fromhex(given["data"])) == bytes.fromhex(
                vector["expected"]
            )
            ran += 1
    assert ran == 5


def test_keys_that_are_not_double_length_are_refused():
    for size in (8, 15, 24):
        for function, rest in (
            (cryptogram.card_key, ("6200001234567890", "01")),
            (cryptogram.session_key, (1,)),
            (cryptogram.mac, (DATA,)),
        ):
            with pytest.raises(ValueError, match="16 bytes"):
                function(bytes(size), *rest)


def test_each_byte_of_a_derived_key_has_odd_parity():
    for made in (cryptogram.card_key(bytes(16), "6200001234567890", "001"), cryptogram.session_key(bytes(range(16)), 7)):
        assert all(bin(byte).count("1") % 2 for byte in made)


def test_each_counter_has_a_key_of_its_own():
    made = {cryptogram.session_key(bytes(range(16)), atc) for atc in (0, 1, 2, 255, 256, 65535)}
    assert len(made) == 6


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


def test_a_tap_at_port_level_is_cheap(sample):
    best = 1.0
    for _ in range(10):
        start = time.process_time()
        outcome_of(sample.card("debit"))
        best = min(best, time.process_time() - start)
    assert best < 0.002


# The shelf


def test_numbers_pass_luhn_begin_with_62_and_differ_in_their_last_digits(sample):
    numbers = [card.pan for card in sample.bank_cards()]
    assert all(number.startswith("62") and shelf.luhn(number[:-1]) == number[-1] for number in numbers)
    assert {len(number) for number in numbers} == {16, 19}
    assert len({number[-4:] for number in numbers}) == len(numbers)
    assert shelf.luhn("7992739871") == "3"


def test_the_same_seed_gives_the_same_shelf_and_another_seed_another():
    one, same, other = (shelf.sample(random.Random(seed)).records() for seed in (1, 1, 2))
    assert one == same
    assert not {record["pan"] for record in one} & {record["pan"] for record in other}


def test_the_acquirers_records_have_what_it_needs(sample):
    for record in sample.records():
        assert set(record) == {"pan", "expiry", "sequence", "pin", "issuer_key", "balance_fen", "status", "last_atc"}
        assert len(record["pin"]) == 6 and len(record["issuer_key"]) == 16


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


def test_a_kept_card_goes_online_too_and_shows_its_certificates(kept):
    cards = shelf.load(kept)
    outcome = outcome_of(cards.card("debit"))
    assert cards.verify(record_of(cards, "debit"), outcome.field55())
    assert outcome.tags[0x8F] == b"\xe1" and outcome.tags[0x82] == b"\x3c\x00"


def test_a_damaged_shelf_is_named_and_shows_no_secret(tmp_path):
    (tmp_path / shelf.FILE).write_text('{"cards": {"debit": {"pan": "6200001234567890"}}, "certificates": {}}')
    with pytest.raises(shelf.ShelfError, match="cards.json") as caught:
        shelf.load(tmp_path)
    assert "6200001234567890" not in str(caught.value)


def test_no_image_of_a_card_has_its_number_or_pin(kept):
    cards = shelf.load(kept)
    card = cards.card("debit")
    for shown in (repr(card), repr(cards), str(pki.make_key(64, random.Random(1)))):
        assert card.pan not in shown and card.pin not in shown
    assert isinstance(card, Card)


# Public keys


def test_the_certificates_recover_from_the_authority_down(kept):
    keys = {who: pki.Key.from_json(key) for who, key in json.loads((kept / shelf.FILE).read_text())["keys"].items()}
    card = shelf.load(kept).card("debit")
    tags = outcome_of(card).tags
    issuer = unwrapped(keys["authority"], tags[0x90], pki.ISSUER, 4, tags.get(0x92, b""))
    assert issuer == keys["issuer"].public
    own = unwrapped(keys["issuer"], tags[0x9F46], pki.CARD, 10, tags.get(0x9F48, b""))
    assert own == keys["debit"].public


def unwrapped(signer, certificate, kind, identity, remainder):
    """The certified modulus, every field checked (EMV Book 2, tables 6 and 14)."""
    block = signer.recover(certificate)
    assert (block[0], block[1], block[-1]) == (0x6A, kind, 0xBC)
    at = 2 + identity + 2 + 3
    assert block[at : at + 2] == b"\x01\x01"
    size = block[at + 2]
    body = block[1:-21]
    assert hashlib.sha1(body + remainder + bytes((pki.EXPONENT,))).digest() == block[-21:-1]
    return (block[at + 4 : -21] + remainder)[:size]


def test_a_key_has_the_length_asked_for_and_undoes_itself():
    key = pki.make_key(512, random.Random(3))
    assert key.modulus.bit_length() == 512
    block = b"\x6a" + bytes(62) + b"\xbc"
    assert key.recover(key.sign(block)) == block
    assert pki.make_key(512, random.Random(3)).modulus == key.modulus
