import json
import random
import time
from binascii import hexlify, unhexlify
from pathlib import Path

import pytest

from firmware.emv import tags, tlv

VECTORS = Path(__file__).parents[2] / ".." / "shared" / "vectors" / "emv"


def vectors(name):
    if not VECTORS.exists():
        pytest.skip("no ../shared beside this clone: its vectors are not run")
    return json.loads((VECTORS / name).read_text())


def to_tree(tree):
    return [(tlv.parse_tag(tag), to_tree(value) if isinstance(value, dict) else unhexlify(value)) for tag, value in tree.items()]


def replaced(tree, wanted, value):
    return [
        (tag, value if tag == wanted else replaced(old, wanted, value) if isinstance(old, list) else old) for tag, old in tree
    ]


def test_the_public_vectors_decode_and_encode():
    ran = 0
    for case in vectors("tlv.json")["cases"]:
        expected, given = case["expected"], case["input"]
        ran += 1
        if case["op"] == "encode":
            given = {given["tag"]: given["value"]} if "value" in given else given
            if expected["ok"]:
                assert tlv.encode(to_tree(given)) == unhexlify(expected["bytes"]), case["id"]
            else:
                with pytest.raises(tlv.TlvError):
                    tlv.encode(to_tree(given))
            continue
        data = unhexlify(given)
        if not expected.get("ok", True):
            with pytest.raises(tlv.TlvError):
                tlv.decode(data)
            continue
        tree = tlv.decode(data)
        if "tree" in expected:
            assert tree == to_tree(expected["tree"]), case["id"]
        if "find_tag" in expected:
            assert len(tlv.find_all(tree, int(expected["find_tag"], 16))) == expected["count"], case["id"]
        if case["op"].startswith("decode then encode"):
            assert tlv.encode(tree) == data
        if case["op"].startswith("decode, set 50"):
            assert tlv.encode(replaced(tree, 0x50, b"SomeLongApplicationLabel")) == unhexlify(expected["bytes"])
    assert ran >= 29


def test_padding_between_objects_is_passed_over():
    assert tlv.decode(unhexlify("00009C0100FFFF00E0069C0101FF0000")) == [(0x9C, b"\x00"), (0xE0, [(0x9C, b"\x01")])]


def test_order_and_repeated_tags_are_kept():
    tree = tlv.decode(unhexlify("9C0101DF0101019C0102"))
    assert [tag for tag, _ in tree] == [0x9C, 0xDF01, 0x9C]
    assert tlv.find(tree, 0x9C) == b"\x01" and tlv.find_all(tree, 0x9C) == [b"\x01", b"\x02"]


def test_an_indefinite_length_is_refused():
    with pytest.raises(tlv.TlvError, match="length form 80"):
        tlv.decode(unhexlify("E0809C01010000"))


def test_nesting_has_an_end():
    data = b"\x9c\x00"
    for _ in range(tlv.MAX_DEPTH):
        data = b"\xe0" + tlv.length_bytes(len(data)) + data
    assert tlv.encode(tlv.decode(data)) == data
    with pytest.raises(tlv.TlvError, match="deep"):
        tlv.decode(b"\xe0" + tlv.length_bytes(len(data)) + data)


def test_size_has_an_end():
    with pytest.raises(tlv.TlvError, match="at most"):
        tlv.decode(bytes(tlv.MAX_SIZE + 1))
    with pytest.raises(tlv.TlvError, match="at most"):
        tlv.encode([(0x50, bytes(tlv.MAX_SIZE + 1))])


def test_integers_that_are_no_tags_are_refused():
    for tag in (0, -1, 0xFF, 0x9F, 0x5A00, 0x9F80, 0x9F0001, 0x9F8001FF80, 0xFF01):
        with pytest.raises(tlv.TlvError):
            tlv.tag_bytes(tag)


def test_a_tag_is_read_as_people_write_it():
    assert tlv.parse_tag("9F26") == tlv.parse_tag("9f26") == 0x9F26 and tlv.parse_tag("9F8201") == 0x9F8201
    for text in ("", "00X", "9", "9F", "9F0001", "00", "5A00", "FF01", None, 26):
        with pytest.raises(tlv.TlvError, match="no tag"):
            tlv.parse_tag(text)


def test_objects_under_a_primitive_tag_are_refused():
    with pytest.raises(tlv.TlvError, match="primitive"):
        tlv.encode([(0x5A, [(0x9C, b"")])])


def test_no_error_shows_a_value():
    with pytest.raises(tlv.TlvError) as caught:
        tlv.decode(unhexlify("5A0A6200001234567890"))
    assert "62000012" not in str(caught.value)


def test_any_bytes_decode_or_raise_the_one_error_and_what_decodes_comes_back():
    chance = random.Random(20261120)
    seeds = [unhexlify("6F1A840E315041592E5359532E4444463031A5088801025F2D02656E"), unhexlify("9F820101FFE0039F0300")]
    decoded = 0
    for turn in range(4000):
        if turn % 2:
            data = chance.randbytes(chance.randrange(40))
        else:
            data = bytearray(chance.choice(seeds))
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            tree = tlv.decode(data)
        except tlv.TlvError:
            continue
        decoded += 1
        assert tlv.decode(tlv.encode(tree)) == tree
        assert all(isinstance(line, str) for line in tags.describe(tree))
    assert decoded > 100


def test_the_work_grows_with_the_size_alone():
    def cost(objects):
        data = b"\x9f\x36\x02\x00\x01" * objects
        best = 1.0
        for _ in range(5):
            start = time.process_time()
            tlv.decode(data)
            best = min(best, time.process_time() - start)
        return best

    assert cost(8000) < 3 * 4 * cost(2000)


def test_a_description_masks_numbers_tracks_names_and_certificates():
    record = [
        (0x5A, unhexlify("6200001234567890")),
        (0x57, unhexlify("6200001234567890D30122200000123F")),
        (0x5F20, b"ZHANG/SAN"),
        (0x9F46, bytes(range(64))),
        (0x99, bytes(8)),
        (0xDF7F, unhexlify("6200001234567890")),
        (0x9F36, b"\x00\x1a"),
    ]
    shown = "\n".join(tags.describe(tlv.encode([(0x70, record)])))
    assert shown.count("620000******7890") == 2
    assert "123456" not in shown and "ZHANG" not in shown and "D3012" not in shown
    assert hexlify(bytes(range(16))).decode() not in shown.lower()
    assert "DF7F unknown: (8 bytes)" in shown
    assert "9F36 Application Transaction Counter: 001A" in shown


def test_a_short_number_is_all_stars():
    assert tags.mask_digits("123456789012") == "*" * 12
    assert tags.mask_digits("000000000000000") == "000000*****0000"


def test_a_label_loses_what_is_not_printable():
    assert tags.text(b"Union\x1b@Pay\x00\xe4\xb8") == "Union@Pay"


def test_every_tag_of_the_dictionary_can_be_written():
    for tag, name, form, source in tags.TAGS:
        assert tlv.tag_bytes(tag) and name
        assert form in ("a", "an", "ans", "n", "cn", "b", "")
        assert source in ("card", "terminal", "issuer")
        assert tags.is_constructed(tag) == (form == ""), "%X" % tag
    assert len({row[0] for row in tags.TAGS}) == len(tags.TAGS)
