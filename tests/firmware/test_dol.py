import random
from binascii import unhexlify

import pytest

from firmware.emv import dol, tags
from tests.firmware.test_tlv import vectors


def test_the_public_vectors_parse_and_build():
    ran = set()
    for case in vectors("dol.json")["cases"]:
        expect = case["expect"]
        ran.update(expect)
        if "error" in expect:
            with pytest.raises(dol.DolError):
                dol.parse(unhexlify(case["dol"]))
            continue
        entries = dol.parse(unhexlify(case["dol"]))
        if "entries" in expect:
            assert entries == [(int(entry["tag"], 16), entry["length"]) for entry in expect["entries"]], case["name"]
        if "length" in expect:
            assert sum(size for _, size in entries) == expect["length"], case["name"]
        if "data" in expect:
            values = {}
            for source in case["sources_in_priority_order"]:
                for entry in source:
                    values.setdefault(int(entry["tag"], 16), unhexlify(entry["value"]))
            assert dol.build(entries, values) == unhexlify(expect["data"]), case["name"]
    assert ran >= {"entries", "length", "data"}


def test_the_vectors_formats_are_those_of_the_dictionary():
    for tag, form in vectors("dol.json")["formats"].items():
        assert tags.format_of(int(tag, 16)) == form, tag


def test_what_the_terminal_lacks_is_zeros():
    case = next(case for case in vectors("misc.json")["cases"] if case["id"] == "dol-some")
    values = {int(tag, 16): unhexlify(value) for tag, value in case["input"]["values"].items()}
    assert dol.build(dol.parse(unhexlify(case["input"]["dol"])), values) == unhexlify(case["expected"])


def test_a_constructed_tag_is_zeros_even_where_there_is_a_value():
    assert dol.build([(0xBF0C, 3)], {0xBF0C: b"abc"}) == bytes(3)


@pytest.mark.parametrize(
    ("form", "value", "length", "fitted"),
    [
        ("n", "123456", 2, "3456"),
        ("n", "1234", 3, "001234"),
        ("cn", "123456", 2, "1234"),
        ("cn", "1234", 3, "1234FF"),
        ("b", "123456", 2, "1234"),
        ("b", "1234", 3, "123400"),
        ("ans", "4142", 3, "414200"),
    ],
)
def test_a_value_is_cut_and_filled_by_its_format(form, value, length, fitted):
    assert dol.fit(unhexlify(value), length, form) == unhexlify(fitted)


def test_a_list_that_is_cut_off_is_refused():
    for bad in ("9F", "9F02", "5F", "9A", "9F8080808001"):
        with pytest.raises(dol.DolError):
            dol.parse(unhexlify(bad))


def test_a_list_that_no_command_can_carry_is_refused():
    assert dol.parse(unhexlify("9F02FF")) == [(0x9F02, 255)]
    with pytest.raises(dol.DolError, match="at most"):
        dol.parse(unhexlify("9F02FF9A01"))


def test_a_list_for_the_options_leaves_room_for_their_tag_and_length():
    assert dol.parse(unhexlify("9F02FC"), dol.MAX_OPTIONS) == [(0x9F02, 252)]
    with pytest.raises(dol.DolError, match="at most"):
        dol.parse(unhexlify("9F02FD"), dol.MAX_OPTIONS)


def test_any_bytes_parse_or_raise_the_one_error():
    chance = random.Random(7)
    for _ in range(2000):
        try:
            entries = dol.parse(chance.randbytes(chance.randrange(20)))
        except dol.DolError:
            continue
        assert len(dol.build(entries, {0x9F02: bytes(6), 0x9A: bytes(3)})) == sum(size for _, size in entries)
