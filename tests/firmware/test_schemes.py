"""Which card organisation a card counts among: by its application, by its first digits, by what the host says."""

import pytest

from firmware import schemes

NO_APPLICATION = ""


@pytest.mark.parametrize(
    ("first", "name"),
    [
        ("62", "CUP"), ("81", "CUP"), ("9", "CUP"), ("4", "VIS"), ("51", "MCC"), ("55", "MCC"), ("2221", "MCC"), ("2720", "MCC"),
        ("3528", "JCB"), ("34", "AMX"), ("37", "AMX"), ("30", "DCC"), ("36", "DCC"), ("38", "DCC"),
        ("60", "CUP"), ("33", "CUP"), ("1", "CUP"), ("", "CUP"),
    ],
)  # fmt: skip
def test_a_card_without_a_chip_counts_where_its_first_digits_say_and_else_among_unionpays(first, name):
    assert schemes.of_card(NO_APPLICATION, first) == name


@pytest.mark.parametrize(
    ("aid", "name"),
    [
        ("A000000333010101", "CUP"), ("A0000000031010", "VIS"), ("A0000000041010", "MCC"), ("A0000000651010", "JCB"),
        ("A0000001523010", "DCC"), ("A00000002501", "AMX"),
    ],
)  # fmt: skip
def test_the_application_says_more_than_the_first_digits(aid, name):
    other = "4" if name != "VIS" else "62"
    assert schemes.of_card(aid, other) == name


def test_an_application_that_nobody_knows_leaves_it_to_the_first_digits():
    assert schemes.of_card("F0000000010101", "4") == "VIS"


def test_the_host_has_the_last_word_where_it_names_an_organisation():
    assert all(schemes.of_reply(name, "CUP") == name for name in ("CUP", "VIS", "MCC", "MAE", "JCB", "DCC", "AMX"))
    for nothing in ("", "000", "XXX", "vis"):
        assert schemes.of_reply(nothing, "VIS") == "VIS"
