import random

import pytest

from firmware.emv.authority import Authority, AuthorityError, checksum, key_of
from firmware.emv.settings import SettingsError
from tests.card_settings import card_settings
from tests.firmware.test_tlv import vectors
from tests.portable.plain_keys import LARGE, MIDDLE, authority_row, hexes


def refusal_of(key):
    """Why no terminal may take a published key: the exponent 2 left EMV with version 4, and a modulus has at most 1984 bits and
    is odd. "" for a good one."""
    if int(key["exponent"], 16) not in (3, 65537):
        return "exponent"
    return "no modulus" if not 512 <= key["bits"] <= 1984 or not int(key["modulus"], 16) & 1 else ""


def rows():
    for key in vectors("capk.json")["keys"]:
        row = {name: key[name] for name in ("rid", "index", "modulus", "exponent")}
        yield key, dict(row, hash=key["hash_sha1"], kind="test")


def bent(**columns):
    return dict(authority_row(), **columns)


def test_the_published_keys_have_their_checksums_and_load():
    loaded = 0
    for key, row in rows():
        assert checksum(hexes(row["rid"]), int(row["index"], 16), hexes(row["modulus"]), hexes(row["exponent"])) == hexes(
            row["hash"]
        )
        why = refusal_of(key)
        if why:
            with pytest.raises(AuthorityError, match=why):
                Authority([row])
            continue
        found = Authority([row]).find(hexes(row["rid"]), int(row["index"], 16))
        assert found is not None and found.modulus == hexes(row["modulus"])
        assert found.exponent == int(row["exponent"], 16) and 8 * len(found.modulus) == key["bits"]
        loaded += 1
    assert loaded >= 114


def test_a_published_key_with_one_digit_changed_is_refused():
    for _, row in rows():
        modulus = row["modulus"]
        with pytest.raises(AuthorityError):
            key_of(dict(row, modulus=modulus[:20] + ("0" if modulus[20] != "0" else "1") + modulus[21:]))


def test_leading_zeros_of_the_exponent_are_not_hashed():
    row = authority_row(MIDDLE)
    assert key_of(dict(row, exponent="000003")).exponent == 3
    digest = checksum(hexes(row["rid"]), int(row["index"], 16), hexes(row["modulus"]), hexes("000003")).hex()
    with pytest.raises(AuthorityError, match="checksum"):
        key_of(dict(row, exponent="000003", hash=digest))


def test_test_and_live_keys_never_mix():
    other = authority_row(MIDDLE, "live")
    other["index"] = "E2"
    other["hash"] = checksum(hexes(other["rid"]), 0xE2, MIDDLE.modulus, b"\x03").hex()
    with pytest.raises(AuthorityError, match="test and live"):
        Authority([authority_row(), other])
    assert (Authority([other]).kind, Authority([authority_row()]).kind, Authority().kind) == ("live", "test", "")


def test_two_keys_of_one_name_are_refused():
    with pytest.raises(AuthorityError, match="A000000333 E1 is there twice"):
        Authority([authority_row(LARGE), authority_row(MIDDLE)])


@pytest.mark.parametrize(
    "row,why",
    [
        (bent(hash="00" * 20), "checksum"),
        (bent(exponent="05"), "neither 3 nor 65537"),
        (bent(exponent=""), "neither 3 nor 65537"),
        (bent(modulus="C3" * 249), "no modulus"),
        (bent(modulus="C3" * 63), "no modulus"),
        (bent(modulus="00" + "C3" * 100), "no modulus"),
        (bent(modulus="C3" * 100 + "C2"), "no modulus"),
        (bent(rid="A0000003"), "five bytes"),
        (bent(index="0102"), "five bytes"),
        (bent(index="x"), "not hex"),
        (bent(modulus=7), "not hex"),
        (bent(kind="both"), "neither test nor live"),
        (bent(kind=None), "neither test nor live"),
        (bent(expiry="20261301"), "expiry"),
        (bent(expiry="20260230"), "expiry"),
        (bent(expiry="261231"), "expiry"),
        (bent(expiry=20261231), "expiry"),
        (bent(expires="20261231"), "unknown column expires"),
        ({"rid": "A000000333"}, "a part is missing"),
        ("key", "no table"),
        (None, "no table"),
    ],
    ids=range(21),
)
def test_a_row_that_is_no_key_is_refused_with_its_reason(row, why):
    with pytest.raises(AuthorityError, match=why):
        Authority([row])
    with pytest.raises(SettingsError, match=why):
        card_settings(keys=[row])


def test_a_key_is_good_to_the_end_of_its_last_day():
    key = key_of(bent(expiry="20261231"))
    assert not key.expired("20261231") and key.expired("20270101")
    assert not key_of(authority_row()).expired("99991231")


def test_a_key_is_found_by_provider_and_index_and_shown_by_its_name():
    authority = Authority([authority_row()])
    assert authority.find(hexes("A000000333"), 0xE1) is authority.all()[0]
    assert authority.find(hexes("A000000333"), 0xE2) is None and authority.find(hexes("A000000004"), 0xE1) is None
    assert repr(authority.all()) == "[Key(A000000333 E1, 1984 bits, test)]"


def test_revoked_is_a_serial_number_under_one_key():
    authority = Authority([], [{"rid": "A000000333", "index": "E1", "serial": "000001"}])
    provider = hexes("A000000333")
    assert authority.is_revoked(provider, 0xE1, hexes("000001"))
    assert not authority.is_revoked(provider, 0xE1, hexes("000002"))
    assert not authority.is_revoked(provider, 0xE2, hexes("000001"))
    for row in ({"rid": "A000000333", "index": "E1"}, {"rid": "A000000333", "index": "E1", "serial": "01"}, 5):
        with pytest.raises(AuthorityError):
            Authority([], [row])


def test_more_keys_than_any_terminal_has_are_refused():
    with pytest.raises(AuthorityError, match="at most 512"):
        Authority([authority_row()] * 513)


def test_any_row_is_a_key_or_refused():
    chance = random.Random(23)
    values = [None, 0, True, "", "0", "00", "A000000333", "E1", "03", "010001", "x", "AB" * 100, [], {}, b"\x03", "é" * 8, "test"]
    refused = 0
    for _ in range(500):
        row = dict(authority_row())
        for name in chance.sample(sorted(row), chance.randint(1, 3)):
            row[name] = chance.choice(values)
        if chance.random() < 0.3:
            row["expiry"] = chance.choice(values)
        try:
            Authority([row])
        except AuthorityError:
            refused += 1
    assert refused > 400
