"""Offline data authentication under CPython and MicroPython alike, with keys and signatures made for it in `plain_keys`."""

import hashlib

from firmware.emv import oda, tlv
from firmware.emv.card import Ended
from tests.portable.plain_keys import (
    LARGE,
    MIDDLE,
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
OK = b"\x90\x00"


def chain(issuer=MIDDLE, card=SMALL, **bent):
    """The objects of a card whose keys are these; `bent` goes to the card's certificate."""
    objects = issuer_objects(LARGE, issuer)
    objects.update(card_objects(issuer, card, bent.pop("static", STATIC), **bent))
    return objects


def tvr(data):
    return data.tvr[0], data.tsi[0]


def test_static_data_are_authenticated():
    data = data_of(issuer_objects(), STATIC)
    data.said[0x93] = static_signature(MIDDLE, STATIC)
    oda.static(data)
    assert tvr(data) == (0x02, 0x80) and data.said[0x9F45] == hexes("D1CE")


def test_the_largest_keys_have_their_tails_in_the_remainders():
    objects = chain(LARGE, LARGE)
    assert len(objects[0x92]) == 36 and len(objects[0x9F48]) == 42
    data = data_of(objects, STATIC)
    answer = tlv.encode([(0x80, dynamic_signature(LARGE, hexes("CAFE0123")))]) + OK
    _, commands = drive(oda.dynamic(data), answer)
    assert tvr(data) == (0x00, 0x80) and data.said[0x9F4C] == hexes("1122334455667788")
    assert commands == [hexes("0088000004CAFE012300")]


def test_a_signature_over_another_number_is_none():
    data = data_of(chain(), STATIC)
    answer = tlv.encode([(0x77, [(0x9F4B, dynamic_signature(SMALL, hexes("CAFE0124")))])]) + OK
    drive(oda.dynamic(data), answer)
    assert tvr(data) == (0x08, 0x80) and 0x9F4C not in data.said


def test_a_cryptogram_is_signed_with_all_that_went_before():
    data = data_of(chain(), STATIC)
    key = oda.combined_key(data)
    assert key is not None and tvr(data) == (0, 0)
    said = [(0x9F27, b"\x80"), (0x9F36, hexes("0042")), (0x9F10, hexes("07010103A00000"))]
    digest = hashlib.sha1(b"all that went before" + tlv.encode(said)).digest()
    rest = b"\x80" + hexes("A1A2A3A4A5A6A7A8") + digest
    response = tlv.encode([(0x77, said + [(0x9F4B, dynamic_signature(SMALL, hexes("CAFE0123"), rest=rest))])])
    assert oda.combined(data, key, response, b"all that went before")
    assert tvr(data) == (0, 0x80) and data.said[0x9F26] == hexes("A1A2A3A4A5A6A7A8")
    assert not oda.combined(data, key, response, b"and something else")
    assert tvr(data) == (0x04, 0x80)


def test_a_tap_is_signed_over_amount_and_currency():
    related = hexes("015A5AA5A53E00")
    sent = hexes("CAFE0123 000000001234 0156") + related
    data = data_of(chain(MIDDLE, SMALL), STATIC)
    data.said.update({0x9F69: related, 0x9F4B: dynamic_signature(SMALL, sent, "0043")})
    assert oda.fast(data) and data.said[0x9F4C] == hexes("0043") and tvr(data) == (0, 0)
    data.told[0x9F02] = hexes("000000001235")
    assert not oda.fast(data)


def test_the_pin_key_is_signed_without_the_static_data():
    data = data_of(chain(), STATIC)
    key = oda.pin_key(data)
    assert key is not None and key.modulus == SMALL.modulus
    data.said.update(card_objects(MIDDLE, MIDDLE, tags=(0x9F2D, 0x9F2F, 0x9F2E)))
    key = oda.pin_key(data)
    assert key is not None and key.modulus == MIDDLE.modulus


def test_bytes_bent_anywhere_only_set_bits():
    whole = chain()
    whole[0x93] = static_signature(MIDDLE, STATIC)
    whole[0x9F4B] = dynamic_signature(SMALL, hexes("CAFE0123"))
    whole[0x9F69] = hexes("0000000000")
    for tag in whole:
        value = whole[tag]
        for bad in (b"", value[:-1], value + b"\x00", bytes(len(value)), b"\xff" * len(value), b"\x00" + value[1:]):
            if bad == value:
                continue
            data = data_of(whole, STATIC)
            data.said[tag] = bad
            oda.static(data)
            oda.combined_key(data)
            oda.pin_key(data)
            oda.fast(data, allow_old=True)
            try:
                drive(oda.dynamic(data), tlv.encode([(0x80, data.said[0x9F4B])]) + OK)
            except Ended as end:
                assert end.why in ("malformed", "refused")
            assert data.tvr[0] & (0x40 | 0x08 | 0x04) or tag in (0x9F69, 0x9F4B), hex(tag)
