import hashlib
import random
from binascii import hexlify

import pytest

from firmware.emv import certificates, oda, rsa, tlv
from firmware.emv.card import Ended
from firmware.emv.data import Data
from firmware.emv.settings import Request
from tests.card_settings import card_settings
from tests.firmware.test_tlv import vectors
from tests.portable import plain_vectors
from tests.portable.plain_keys import (
    LARGE,
    MIDDLE,
    NUMBER,
    PROVIDER,
    SMALL,
    card_objects,
    data_of,
    drive,
    dynamic_signature,
    hexes,
    issuer_objects,
    static_signature,
)

STATIC = hexes("5A0862000000000000055F24033012315F280201569F0702FF00")
UN = hexes("CAFE0123")
OK = b"\x90\x00"
RELATED = hexes("015A5AA5A53E00")
OLD = hexes("005A5AA5A50000")
TAP = UN + hexes("0000000012340156") + RELATED


def card(issuer=MIDDLE, key=SMALL, static=STATIC, of_issuer=None, of_card=None):
    """Everything that a card says for SDA, DDA and fDDA."""
    objects = issuer_objects(LARGE, issuer, **(of_issuer or {}))
    objects.update(card_objects(issuer, key, static, **(of_card or {})))
    objects[0x93] = static_signature(issuer, static)
    objects[0x9F69] = RELATED
    objects[0x9F4B] = dynamic_signature(key, TAP, "0043")
    return objects


def authenticate(data, key=SMALL, answer=None):
    """DDA with a card that signs what it is sent."""

    def reply(command):
        return answer or tlv.encode([(0x80, dynamic_signature(key, command[5:-1]))]) + OK

    return drive(oda.dynamic(data), reply)[1]


def bits(data):
    return data.tvr[0], data.tsi[0]


def generated(key=SMALL, before=b"PDOL and CDOL", identifier="80", cryptogram="A1A2A3A4A5A6A7A8", un=UN, objects=None, raw=None):
    """The response to GENERATE AC of a card that does CDA."""
    objects = objects or [(0x9F27, hexes("80")), (0x9F36, hexes("0042")), (0x9F10, hexes("07010103A00000"))]
    raw = tlv.encode(objects) if raw is None else raw
    rest = hexes(identifier + cryptogram) + hashlib.sha1(before + raw).digest()
    signature = tlv.encode([(0x9F4B, dynamic_signature(key, un, rest=rest))])
    return tlv.encode([(0x77, raw + signature)])


# The public vectors


def test_the_public_vectors_come_out_as_they_say():
    plain_vectors.check(vectors("oda_vectors.json")["cases"])


def test_a_recorded_card_authenticates_itself():
    record = [case for case in vectors("transcripts.json")["cases"] if case["name"] == "emvpt-test-data"][0]
    known = record["offline_data_authentication"]
    rows = [row for row in vectors("capk.json")["keys"] if (row["rid"], row["index"]) == ("AFFFFFFFFF", "92")]
    row = {name: rows[0][name] for name in ("rid", "index", "modulus", "exponent")}
    settings = card_settings(keys=[dict(row, hash=rows[0]["hash_sha1"], kind="test")])
    data = Data(settings, Request(1, "200724", "120000", hexes("01234567"), 1))
    data.choose(settings.applications[0])
    signature = b""
    for pair in record["apdus"]:
        response = hexes(pair["r"])[:-2]
        if pair["c"].startswith("00C0000083"):
            signature = response
        elif response[:1] == b"\x70":
            data.said.update(tlv.primitives(tlv.decode(response)))
    data.said.update({0x82: hexes(known["aip"]), 0x84: hexes(known["aid"])})
    data.static = hexes(known["static_data_to_be_authenticated"])[: -len(hexes(known["aip"]))]
    assert oda.select(data) == "dda"
    authenticate(data, answer=signature + OK)
    assert bits(data) == (0, 0x80) and data.said[0x9F4C] == hexes(known["dda"]["idn"])
    key = oda.pin_key(data)
    assert key is not None and key.modulus == hexes(known["icc_key"]["pk_modulus"])


def test_the_public_certificate_dates_come_out_as_they_say():
    ran = 0
    for case in vectors("dates.json")["cases"]:
        if case["check"] != "certificate_expired":
            continue
        day = (case["transaction_date"] or "").replace("-", "")[2:]
        assert certificates.expired(hexes(case["date"].replace("/", "")), day) is case["expect"], case
        ran += 1
    assert ran >= 6


# The choice


@pytest.mark.parametrize(
    "profile,capabilities,method",
    [
        ("7D00", "E0F8C8", "cda"),
        ("7D00", "E0F8C0", "dda"),
        ("7D00", "E0F880", "sda"),
        ("7D00", "E0F808", "cda"),
        ("7C00", "E0F8C8", "dda"),
        ("5C00", "E0F8C8", "sda"),
        ("5C00", "E0F848", ""),
        ("1C00", "E0F8C8", ""),
        ("", "E0F8C8", ""),
    ],
)
def test_the_best_method_in_common_is_chosen(profile, capabilities, method):
    data = data_of({0x82: hexes(profile)}, capabilities=capabilities)
    assert oda.select(data) == method
    assert bits(data) == (0 if method else 0x80, 0)


# SDA


def test_sda_is_marked_as_selected_whether_it_holds_or_not():
    good, bad = data_of(card(), STATIC), data_of(card(), STATIC + b"\x00")
    oda.static(good)
    oda.static(bad)
    assert bits(good) == (0x02, 0x80) and bits(bad) == (0x42, 0x80)
    assert 0x9F45 in good.said and 0x9F45 not in bad.said


@pytest.mark.parametrize(
    "frame", [{"header": 0x6B}, {"trailer": 0xBD}, {"form": 5}, {"algorithm": "02"}, {"digest": bytes(20)}], ids=str
)
def test_signed_static_data_with_one_field_wrong_fail(frame):
    data = data_of(card(), STATIC)
    data.said[0x93] = static_signature(MIDDLE, STATIC, **frame)
    oda.static(data)
    assert bits(data) == (0x42, 0x80)


# The static data


@pytest.mark.parametrize("listed,aip,holds", [(None, "", True), ("82", "7D00", True), ("82", "", False), (None, "7D00", False)])
def test_the_aip_is_signed_where_the_tag_list_says_so(listed, aip, holds):
    objects = card(static=STATIC + hexes(aip))
    if listed:
        objects[0x9F4A] = hexes(listed)
    data = data_of(objects, STATIC)
    oda.static(data)
    assert data.has_tvr(1, 0x40) is not holds
    assert oda.fast(data) is holds


@pytest.mark.parametrize("listed", ["8295", "8282", "95", "5F24", ""])
def test_a_tag_list_that_is_not_exactly_the_aip_fails(listed):
    for static in (STATIC, STATIC + hexes("7D00")):
        data = data_of(card(static=static), STATIC)
        data.said[0x9F4A] = hexes(listed)
        oda.static(data)
        authenticate(data)
        assert bits(data) == (0x4A, 0x80)


def test_a_listed_record_that_cannot_be_authenticated_fails_every_method():
    data = data_of(card(), STATIC)
    data.static_fits = False
    oda.static(data)
    assert authenticate(data) == [] and oda.combined_key(data) is None and not oda.fast(data)
    assert bits(data) == (0x4E, 0x80)


# What is absent


@pytest.mark.parametrize("tag", [0x8F, 0x90, 0x92, 0x9F32, 0x93], ids=hex)
def test_sda_without_an_object_is_data_missing(tag):
    for value in (None, b""):
        data = data_of(card(LARGE), STATIC)
        data.said[tag] = value if value is not None else data.said[tag]
        if value is None:
            del data.said[tag]
        oda.static(data)
        assert bits(data) == (0x62, 0x80)


@pytest.mark.parametrize("tag", [0x8F, 0x90, 0x92, 0x9F32, 0x9F46, 0x9F47, 0x9F48], ids=hex)
def test_dda_and_cda_without_an_object_are_data_missing(tag):
    objects = card(LARGE, LARGE)
    del objects[tag]
    data = data_of(objects, STATIC)
    assert authenticate(data, LARGE) == [] and bits(data) == (0x28, 0x80)
    data = data_of(objects, STATIC)
    assert oda.combined_key(data) is None and bits(data) == (0x24, 0x80)
    data = data_of(objects, STATIC)
    assert not oda.fast(data) and oda.pin_key(data) is None and bits(data) == (0, 0)


def test_no_authority_key_is_no_missing_data():
    for other in (b"\xe2", b"\xe1\xe1"):
        data = data_of(card(), STATIC)
        data.said[0x8F] = other
        assert authenticate(data) == [] and bits(data) == (0x08, 0x80)
    data = data_of(card(), STATIC)
    data.said[0x84] = hexes("A000000004010101")
    assert authenticate(data) == [] and bits(data) == (0x08, 0x80)


def test_without_a_name_from_the_card_the_terminals_own_finds_the_key():
    data = data_of(card(), STATIC)
    del data.said[0x84]
    authenticate(data)
    assert bits(data) == (0, 0x80)


# Certificates


@pytest.mark.parametrize(
    "bent",
    [
        {"header": 0x6B},
        {"trailer": 0xBB},
        {"form": 4},
        {"algorithms": "0201"},
        {"algorithms": "0103"},
        {"expiry": "1026"},
        {"expiry": "1326"},
        {"expiry": "1299"},
        {"expiry": "1A30"},
        {"name": "6201FFFF"},
        {"name": "62000001"},
        {"name": "FF01FFFF"},
        {"exponent": b"\x05"},
        {"exponent": b"\x01" * 200},
        {"sizes": (128, 3)},
        {"sizes": (127, 1)},
        {"sizes": (249, 1)},
        {"sizes": (0, 1)},
        {"digest": bytes(20)},
    ],
    ids=str,
)
def test_an_issuer_certificate_with_one_field_wrong_fails(bent):
    data = data_of(card(of_issuer=bent), STATIC)
    oda.static(data)
    assert bits(data) == (0x42, 0x80)


def test_an_exponent_has_the_length_that_the_certificate_says():
    data = data_of(card(of_issuer={"exponent": b"\x00\x00\x03"}), STATIC)
    oda.static(data)
    assert bits(data) == (0x02, 0x80)
    data.said[0x9F32] = b"\x03"
    oda.static(data)
    assert bits(data) == (0x42, 0x80)


@pytest.mark.parametrize("name", ["6200FFFF", "620FFFFF", "62000000", "620000FF", "62FF0000", "FFFFFFFF"])
def test_the_issuer_identifier_is_compared_digit_by_digit_and_f_is_none(name):
    data = data_of(card(of_issuer={"name": name}), STATIC)
    oda.static(data)
    assert bits(data) == (0x02, 0x80)


@pytest.mark.parametrize(
    "bent",
    [
        {"header": 0x6B},
        {"trailer": 0xBB},
        {"form": 2},
        {"algorithms": "0201"},
        {"algorithms": "0100"},
        {"expiry": "1026"},
        {"number": "6200000000000013"},
        {"number": "62000000000000"},
        {"exponent": b"\x02"},
        {"sizes": (96, 3)},
        {"sizes": (63, 1)},
        {"extra": b"\x00"},
        {"digest": bytes(20)},
    ],
    ids=str,
)
def test_a_card_certificate_with_one_field_wrong_fails(bent):
    data = data_of(card(of_card=bent), STATIC)
    assert authenticate(data) == [] and bits(data) == (0x08, 0x80)


def test_a_certificate_is_good_to_the_end_of_its_month():
    for expiry, holds in (("1126", True), ("1026", False), ("0127", True), ("1230", True), ("0149", True), ("0150", False)):
        for place in ("of_issuer", "of_card"):
            data = data_of(card(**{place: {"expiry": expiry}}), STATIC)
            assert oda.fast(data) is holds, (expiry, place)


def test_a_certificate_of_another_length_than_its_signer_fails():
    for tag in (0x90, 0x9F46, 0x93):
        for change in (lambda value: value[:-1], lambda value: b"\x00" + value, lambda value: value + b"\x00"):
            data = data_of(card(), STATIC)
            data.said[tag] = change(data.said[tag])
            oda.static(data)
            authenticate(data)
            assert data.tvr[0] & 0x48 and not data.has_tvr(1, 0x20)


def test_a_remainder_of_another_length_than_what_is_missing_fails():
    for change in (lambda value: value[:-1], lambda value: value + b"\x00"):
        data = data_of(card(LARGE, LARGE), STATIC)
        data.said[0x92] = change(data.said[0x92])
        oda.static(data)
        assert bits(data) == (0x42, 0x80)


def test_a_remainder_beside_a_key_that_fits_is_hashed_and_is_no_part_of_it():
    assert 0x92 not in issuer_objects(LARGE, MIDDLE)
    data = data_of(card(), STATIC)
    data.said[0x92] = b"\xbb"
    oda.static(data)
    assert bits(data) == (0x42, 0x80)
    data = data_of(card(of_issuer={"extra": b"\xbb"}), STATIC)
    assert data.said[0x92] == b"\xbb"
    oda.static(data)
    assert bits(data) == (0x02, 0x80)


def test_a_key_of_less_than_512_bits_is_none():
    for size in (63, 10, 1, 0):
        objects = card_objects(LARGE, SMALL, sizes=(size, 1))
        signer = certificates.CardKey(LARGE.modulus, LARGE.exponent)
        assert certificates.card_key(objects[0x9F46], signer, b"", b"\x03", b"", NUMBER, "261120") is None


def test_a_withdrawn_issuer_certificate_fails():
    rows = [{"rid": PROVIDER, "index": "E1", "serial": serial} for serial in ("000002", "000001")]
    data = data_of(card(), STATIC, revoked=rows)
    oda.static(data)
    assert authenticate(data) == [] and bits(data) == (0x4A, 0x80)
    data = data_of(card(), STATIC, revoked=rows[:1])
    assert authenticate(data) and bits(data) == (0, 0x80)


def test_the_card_number_is_that_of_track_2_where_there_is_no_5a():
    data = data_of(card(), STATIC)
    del data.said[0x5A]
    assert not oda.fast(data)
    data.said[0x57] = hexes("6200000000000005D30122010000")
    assert oda.fast(data)


# DDA


@pytest.mark.parametrize(
    "own,default,sent",
    [
        ("9F3704", "", "CAFE0123"),
        (None, "9F3704", "CAFE0123"),
        ("", "9F3704", "CAFE0123"),
        ("9A039F3704", "9F3704", "261120CAFE0123"),
        ("9F3704DF7F029F0206", "", "CAFE01230000000000001234"),
        ("9A03", "9F3704", None),
        ("9F3700", "", None),
        ("9F37", "9F3704", None),
        ("9F37FF9A01", "9F3704", None),
        (None, "9A03", None),
        (None, "", None),
    ],
)
def test_the_ddol_is_the_cards_else_the_terminals_and_must_ask_for_the_number(own, default, sent):
    data = data_of(card(), STATIC, ddol=default)
    if own is not None:
        data.said[0x9F49] = hexes(own)
    commands = authenticate(data)
    if sent is None:
        assert commands == [] and bits(data) == (0x08, 0x80)
    else:
        sent = hexes(sent)
        assert commands == [b"\x00\x88\x00\x00" + bytes((len(sent),)) + sent + b"\x00"] and bits(data) == (0, 0x80)


def test_the_signature_comes_in_either_template():
    signature = dynamic_signature(SMALL, UN)
    for answer in ([(0x80, signature)], [(0x77, [(0x9F4B, signature)])], [(0x77, [(0xDF01, b"\x01"), (0x9F4B, signature)])]):
        data = data_of(card(), STATIC)
        authenticate(data, answer=tlv.encode(answer) + OK)
        assert bits(data) == (0, 0x80) and data.said[0x9F4C] == hexes("1122334455667788")


@pytest.mark.parametrize(
    "answer,why",
    [
        ("6985", "refused"),
        ("6300", "refused"),
        ("9000", "malformed"),
        ("7700 9000", "malformed"),
        ("8003 9000", "malformed"),
        ("7003 9F4B00 9000", "malformed"),
        ("8001AA 8001AA 9000", "malformed"),
        ("90", "malformed"),
    ],
)
def test_an_answer_that_is_no_signature_ends_the_transaction(answer, why):
    with pytest.raises(Ended) as ended:
        authenticate(data_of(card(), STATIC), answer=hexes(answer))
    assert ended.value.why == why


def test_a_card_that_leaves_is_lost():
    with pytest.raises(Ended) as ended:
        drive(oda.dynamic(data_of(card(), STATIC)), None)
    assert ended.value.why == "lost"


@pytest.mark.parametrize(
    "bent",
    [
        {"header": 0x6B},
        {"trailer": 0xBD},
        {"form": 3},
        {"algorithm": "02"},
        {"digest": bytes(20)},
        {"number": ""},
        {"number": "11"},
        {"number": "112233445566778899"},
        {"length": 0},
        {"length": 8},
        {"length": 255},
    ],
    ids=str,
)
def test_signed_dynamic_data_with_one_field_wrong_fail(bent):
    data = data_of(card(), STATIC)
    authenticate(data, answer=tlv.encode([(0x80, dynamic_signature(SMALL, UN, **bent))]) + OK)
    assert bits(data) == (0x08, 0x80) and 0x9F4C not in data.said


# CDA


def test_a_cda_answer_is_checked_against_all_that_was_sent_before():
    data = data_of(card(), STATIC)
    key = oda.combined_key(data)
    assert bits(data) == (0, 0)
    assert oda.combined(data, key, generated(), b"PDOL and CDOL")
    assert bits(data) == (0, 0x80)
    assert (data.said[0x9F26], data.said[0x9F4C]) == (hexes("A1A2A3A4A5A6A7A8"), hexes("1122334455667788"))
    assert not oda.combined(data, key, generated(), b"PDOL and CDOL and more")
    assert bits(data) == (0x04, 0x80)


def test_the_hash_of_the_signature_covers_the_number_alone():
    data = data_of(card(), STATIC)
    key = oda.combined_key(data)
    assert not oda.combined(data, key, generated(un=UN + b"PDOL and CDOL"), b"PDOL and CDOL")


def test_the_objects_of_the_answer_are_hashed_as_they_came():
    first = [(0x9F36, hexes("0042")), (0x9F27, b"\x40")]
    long_form = hexes("9F2781 01 40 9F36820002 0042")
    data = data_of(card(), STATIC)
    key = oda.combined_key(data)
    for answer in (generated(objects=first, identifier="40"), generated(raw=long_form, identifier="40")):
        assert oda.combined(data, key, answer, b"PDOL and CDOL")
    swapped = tlv.decode(generated(objects=first, identifier="40"))
    swapped[0][1][:2] = swapped[0][1][1::-1]
    assert not oda.combined(data, key, tlv.encode(swapped), b"PDOL and CDOL")


def test_the_signature_may_stand_anywhere_and_padding_is_not_hashed():
    data = data_of(card(), STATIC)
    key = oda.combined_key(data)
    inner = tlv.decode(generated())[0][1]
    padded = b"\x00" + tlv.encode(inner[3:]) + b"\x00\xff" + tlv.encode(inner[:3]) + b"\x00"
    whole = b"\x00" + tlv.encode([(0x77, padded)]) + b"\x00"
    assert oda.combined(data, key, whole, b"PDOL and CDOL")


@pytest.mark.parametrize(
    "changed",
    [
        {"identifier": "40"},
        {"un": b"\xca\xfe\x01\x24"},
        {"before": b"something else"},
        {"key": MIDDLE},
        {"objects": [(0x9F36, b"\x00\x42")]},
        {"objects": [(0x9F27, b"\x80"), (0x9F26, b"12345678")]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_cda_answer_with_one_part_wrong_fails(changed):
    data = data_of(card(), STATIC)
    assert not oda.combined(data, oda.combined_key(data), generated(**changed), b"PDOL and CDOL")
    assert bits(data) == (0x04, 0x80) and 0x9F26 not in data.said


def test_a_cryptogram_in_clear_must_be_the_signed_one():
    objects = [(0x9F27, b"\x80"), (0x9F26, hexes("A1A2A3A4A5A6A7A8"))]
    data = data_of(card(), STATIC)
    assert oda.combined(data, oda.combined_key(data), generated(objects=objects), b"PDOL and CDOL")


@pytest.mark.parametrize(
    "answer", ["", "80128000F3B0189101D11416C106010A03A4A002", "7700", "77039F2701", "77049F2701807700", "9F270180"]
)
def test_an_answer_without_a_signature_fails_cda(answer):
    data = data_of(card(), STATIC)
    assert not oda.combined(data, oda.combined_key(data), hexes(answer), b"")
    assert bits(data) == (0x04, 0x80)


def test_cda_without_a_key_fails_at_once():
    data = data_of({}, STATIC)
    assert oda.combined_key(data) is None and bits(data) == (0x24, 0x80)
    assert not oda.combined(data, None, generated(), b"PDOL and CDOL")


# fDDA


def test_fdda_covers_number_amount_currency_and_the_whole_of_9f69():
    assert oda.fast(data_of(card(), STATIC))
    for tag, value in ((0x9F02, "000000001235"), (0x5F2A, "0978"), (0x9F37, "CAFE0124")):
        data = data_of(card(), STATIC)
        data.told[tag] = hexes(value)
        assert not oda.fast(data)
    data = data_of(card(), STATIC)
    data.said[0x9F69] = RELATED[:-1] + b"\x80"
    assert not oda.fast(data) and bits(data) == (0, 0)


@pytest.mark.parametrize("size", [5, 7, 8, 16])
def test_9f69_may_be_longer_or_shorter_than_seven_bytes(size):
    related = (RELATED + bytes(16))[:size]
    data = data_of(card(), STATIC)
    data.said[0x9F69] = related
    data.said[0x9F4B] = dynamic_signature(SMALL, TAP[:-7] + related, "0043")
    assert oda.fast(data) and data.said[0x9F4C] == hexes("0043")


def test_9f69_of_no_length_that_it_may_have_fails():
    for size in (1, 4, 17, 40):
        related = (RELATED + bytes(40))[:size]
        data = data_of(card(), STATIC)
        data.said[0x9F69] = related
        data.said[0x9F4B] = dynamic_signature(SMALL, TAP[:-7] + related, "0043")
        assert not oda.fast(data)


@pytest.mark.parametrize("related,holds", [(OLD, True), (None, True), (hexes("02") + OLD[1:], False), (RELATED, False)])
def test_the_old_version_signs_the_number_alone_and_only_where_it_is_allowed(related, holds):
    data = data_of(card(), STATIC)
    data.said[0x9F4B] = dynamic_signature(SMALL, UN, "0043")
    del data.said[0x9F69]
    if related:
        data.said[0x9F69] = related
    assert oda.fast(data, allow_old=True) is holds
    assert not oda.fast(data)


def test_fdda_without_a_signature_fails():
    data = data_of(card(), STATIC)
    del data.said[0x9F4B]
    assert not oda.fast(data)


# The PIN key


def test_the_pin_key_is_the_cards_pin_key_where_it_has_one():
    data = data_of(card(), STATIC)
    assert oda.pin_key(data).modulus == SMALL.modulus and oda.pin_key(data).exponent == 3
    data.said.update(card_objects(MIDDLE, MIDDLE, tags=(0x9F2D, 0x9F2F, 0x9F2E)))
    data.static_fits = False
    assert oda.pin_key(data).modulus == MIDDLE.modulus


def test_a_pin_key_that_does_not_hold_is_not_replaced():
    for bent in ({"number": "6200000000000013"}, {"expiry": "1026"}, {"static": STATIC}):
        data = data_of(card(), STATIC)
        data.said.update(card_objects(MIDDLE, MIDDLE, tags=(0x9F2D, 0x9F2F, 0x9F2E), **bent))
        assert oda.pin_key(data) is None and bits(data) == (0, 0)
    data = data_of(card(), STATIC)
    data.said.update(card_objects(MIDDLE, MIDDLE, tags=(0x9F2D, 0x9F2F, 0x9F2E)))
    del data.said[0x9F2E]
    assert oda.pin_key(data) is None


# Whatever comes


def test_a_signature_is_as_long_as_the_modulus_and_below_it():
    assert rsa.recover(SMALL.modulus, SMALL.modulus, 3) is None
    assert rsa.recover(b"", b"", 3) is None
    assert rsa.recover(bytes(63), b"\xff" * 63, 3) is None
    assert rsa.recover(bytes(249), b"\xff" * 249, 3) is None
    assert rsa.recover(bytes(96), bytes(96), 3) is None
    assert rsa.recover(bytes(96), SMALL.modulus, 17) is None
    assert rsa.recover(bytes(96), SMALL.modulus, 65537) == bytes(96)


def test_no_key_shows_more_than_its_length():
    assert repr(certificates.CardKey(SMALL.modulus, 3)) == "CardKey(768 bits)"


def test_any_bytes_fail_and_never_raise():
    chance = random.Random(31)
    good = card()
    tags = sorted(good) + [0x5A, 0x57, 0x82, 0x84, 0x9F4A, 0x9F49, 0x9F2D, 0x9F2E, 0x9F2F, 0x9F48, 0x92]
    for turn in range(250):
        data = data_of(good, STATIC)
        for tag in chance.sample(tags, chance.randint(1, 3)):
            value = bytearray(data.said.get(tag, b"\x9f\x37\x04"))
            for _ in range(chance.randint(1, 3)):
                if value:
                    value[chance.randrange(len(value))] = chance.randrange(256)
            data.said[tag] = bytes(value) if turn % 3 else chance.randbytes(chance.choice((0, 1, 3, 5, 96, 128, 248, 255)))
        oda.select(data)
        oda.static(data)
        key = oda.combined_key(data)
        answer = bytearray(generated())
        answer[chance.randrange(len(answer))] = chance.randrange(256)
        assert oda.combined(data, key, bytes(answer), b"PDOL and CDOL") in (True, False)
        oda.pin_key(data)
        oda.fast(data, allow_old=bool(turn % 2))
        try:
            authenticate(data, answer=chance.randbytes(chance.randrange(300)) if turn % 2 else None)
        except Ended as end:
            assert end.why in ("refused", "malformed")
        assert data.tsi[0] == 0x80 and not any(data.tvr[1:])


@pytest.mark.parametrize("signer", [LARGE, MIDDLE], ids=["large", "middle"])
def test_blocks_that_are_really_signed_but_say_anything_fail_and_never_raise(signer):
    """What an issuer signs is his, and may be nonsense: lengths in it are not believed."""
    chance = random.Random(37)
    keys = certificates.CardKey(signer.modulus, signer.exponent)
    for _ in range(40):
        form = chance.choice((2, 3, 4, 5))
        inner = bytes((form,)) + chance.randbytes(signer.size - 23)
        if chance.random() < 0.5:
            inner = inner[:1] + b"\x01" + inner[2:]
        more = chance.randbytes(chance.randrange(60))
        block = b"\x6a" + inner + hashlib.sha1(inner + more).digest() + b"\xbc"
        certificate = signer.sign(block)
        try:
            assert certificates.issuer_key(certificate, keys, more[:-1], more[-1:], NUMBER, "261120") is None
            assert certificates.card_key(certificate, keys, more[:-1], more[-1:], b"", NUMBER, "261120") is None
        except certificates.Missing:
            assert len(more) < 2
        certificates.static_code(certificate, keys, more)
        certificates.dynamic_data(certificate, keys, more)


def test_the_work_on_an_answer_is_linear_in_its_size():
    data = data_of(card(), STATIC)
    key = oda.combined_key(data)
    long_answer = tlv.encode([(0x77, [(0x9F10, bytes(60000))])])
    assert not oda.combined(data, key, long_answer, b"")
    assert not oda.combined(data, key, b"\x77\x82\xff\xf0" + b"\x00" * 65520, b"")
    assert hexlify(data.tvr) == b"0400000000"
