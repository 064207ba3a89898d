"""Processing restrictions against the vectors of emv-utils, and each rule of EMV Book 3, 10.4."""

import random
from binascii import hexlify

import pytest

from firmware.emv import card, restrictions
from tests.firmware.dialogue import data_of, hexes
from tests.firmware.test_tlv import vectors

DATES = {"application_expired": restrictions.expired, "application_not_effective": restrictions.not_effective}


def checked(said, terminal=None, **request):
    """TVR byte 2 for a card that is good in every other way."""
    objects = {"5F24": "301231"}
    objects.update(said)
    data = data_of(objects, terminal, **request)
    restrictions.check(data)
    assert bytes(data.tvr[:1] + data.tvr[2:]) == bytes(4)
    return "%02X" % data.tvr[1]


def test_the_public_vectors_set_their_bits():
    for case in vectors("processing_restrictions.json")["cases"]:
        told = {entry["tag"]: entry["value"] for entry in case["terminal_config"] + case["transaction_data"]}
        said = {entry["tag"]: entry["value"] for entry in case["icc_data"]}
        version, kind, date = told.pop("9F09", "0020"), told.pop("9C", "00"), told.pop("9A")
        data = data_of(said, told, {"version": version}, kind=kind, date=date)
        restrictions.check(data)
        assert hexlify(data.tvr).decode() == case["expect"]["tvr"], case["name"]


def test_the_public_dates_of_applications_are_judged_alike():
    ran = 0
    for case in vectors("dates.json")["cases"]:
        if case["check"] in DATES:
            ran += 1
            assert DATES[case["check"]](day(case["date"]), day(case["transaction_date"])) is case["expect"], case
    assert ran >= 9


def day(text):
    return hexes(text[2:].replace("-", "")) if text else None


def test_versions_are_compared_only_where_the_card_has_one():
    assert checked({}) == "00"
    assert checked({"9F08": "0020"}) == "00"
    assert checked({"9F08": "0030"}) == "80"


@pytest.mark.parametrize(
    ("said", "byte"),
    [
        ({"5F24": "261120"}, "00"),  # good to the end of its day
        ({"5F24": "261119"}, "40"),
        ({"5F24": "500101"}, "40"),  # 1950
        ({"5F24": "490101"}, "00"),
        ({"5F24": "301301"}, "40"),
        ({"5F24": "30"}, "40"),
        ({"5F25": "261120"}, "00"),
        ({"5F25": "261121"}, "20"),
        ({"5F25": "991231"}, "00"),  # 1999
        ({"5F25": "AA0101"}, "20"),
        ({"5F25": ""}, "20"),
    ],
)
def test_a_date_counts_to_its_day_and_one_that_is_none_against_the_card(said, byte):
    assert checked(said) == byte


def test_an_application_without_an_end_has_ended():
    data = data_of()
    restrictions.check(data)
    assert data.has_tvr(2, 0x40)


ATM, SHOP, KIOSK = {"9F35": "14", "9F40": "8000000000"}, {}, {"9F35": "25", "9F40": "2000000000"}


@pytest.mark.parametrize(
    ("control", "country", "terminal", "kind", "allowed"),
    [
        ("FF C0", "0156", SHOP, "00", True),
        ("FE C0", "0156", SHOP, "00", False),
        ("FE C0", None, SHOP, "00", False),  # the terminal's kind needs no country
        ("01 00", None, SHOP, "00", True),
        ("FD C0", "0156", ATM, "01", False),
        ("82 00", "0156", ATM, "01", True),
        ("FD C0", "0156", {"9F35": "14", "9F40": "6000000000"}, "00", True),  # pays nothing out: no cash machine
        ("FD C0", "0156", {"9F35": "24", "9F40": "E000000000"}, "00", True),  # a merchant's, so none either
        ("FD C0", "0156", {"9F35": "13", "9F40": "E000000000"}, "00", True),  # attended
        ("81 00", "0156", SHOP, "01", True),
        ("41 00", "0156", SHOP, "12", False),  # cash by hand
        ("41 00", "0156", SHOP, "17", False),
        ("21 00", "0840", {"9F1A": "0840"}, "00", True),  # the terminal's country, whatever its currency
        ("21 00", "0156", {"9F1A": "0840"}, "00", False),
        ("41 00", "0156", SHOP, "01", False),
        ("41 00", "0840", SHOP, "01", True),
        ("21 00", "0156", SHOP, "00", True),
        ("09 00", "0156", SHOP, "00", True),  # services, which this shop sells as well
        ("11 00", "0156", SHOP, "00", False),
        ("11 00", "0840", SHOP, "00", True),
        ("05 00", "0840", SHOP, "00", True),
        ("21 00", "0156", KIOSK, "00", False),  # sells services alone
        ("09 00", "0156", KIOSK, "00", True),
        ("29 00", "0156", SHOP, "09", False),
        ("29 80", "0156", SHOP, "09", True),
        ("29 40", "0156", SHOP, "09", False),
        ("15 40", "0840", SHOP, "09", True),
        ("01 00", "0156", SHOP, "20", True),  # a refund is no use of the kinds named
        ("01 00", "0156", SHOP, "31", True),
    ],
)
def test_usage_control_is_by_terminal_country_and_kind(control, country, terminal, kind, allowed):
    said = {"9F07": control}
    if country:
        said["5F28"] = country
    assert checked(said, terminal, kind=kind) == ("00" if allowed else "10")


def test_cashback_within_a_sale_needs_its_own_bit():
    assert checked({"9F07": "2900", "5F28": "0156"}, other_fen=100) == "10"
    assert checked({"9F07": "2980", "5F28": "0156"}, other_fen=100) == "00"


def test_usage_control_of_another_length_ends_the_transaction():
    with pytest.raises(card.Ended, match="malformed"):
        checked({"9F07": "FF"})


def test_whatever_the_card_says_bits_are_set_or_it_ends_as_malformed():
    chance = random.Random(9)
    for _ in range(2000):
        said = {tag: chance.randbytes(chance.randrange(5)).hex() for tag in ("9F08", "5F24", "5F25", "9F07", "5F28")}
        try:
            checked(said, kind=chance.choice(("00", "01", "09")))
        except card.Ended as end:
            assert end.why == "malformed"
