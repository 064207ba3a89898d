"""Field 62 of downloads: what is read, what is refused, and that what the host's side writes is read as it was."""

import random

import pytest

from emulator.standins import text as texts
from firmware import parameters
from firmware.host import parameter_block as pb

TEXT = texts.StandIn(None)
NAME = "开付小店"


def block(*rows):
    return pb.block(list(rows), pb.LAYOUT, TEXT)


def test_each_tag_becomes_the_value_of_its_parameter_and_the_others_are_kept():
    data = b"1160" + b"1245" + b"132" + b"14" + b"95516".ljust(14) + b"181" + b"1915" + b"200" + b"211"
    data += b"22" + NAME.encode("gbk").ljust(40) + b"232" + b"240" + b"251" + b"26\xff\x00\x80\x01" + b"2710"
    values, kept = pb.read(data, pb.LAYOUT, TEXT)
    assert values == {
        "host.reply_ms": 45_000, "module.tip": True, "tip.percent": 15, "settle.sign_off": True, "merchant.name": NAME,
        "reversal.tries": 3, "offline.limit": 10,
    }  # fmt: skip
    assert (
        kept["26"] == "ff008001"
        and kept["14"] == b"95516".ljust(14).hex()
        and set(kept) == {"11", "13", "14", "20", "24", "25", "26"}
    )
    for name, value in values.items():
        assert parameters.check(name, value) == value


def test_what_one_side_writes_the_other_reads():
    fees = [
        {"method": "debit", "rate": 50, "cap_fen": 2000, "upto_fen": None},
        {"method": "wallet", "rate": 38, "cap_fen": None, "upto_fen": 100_000},
    ]
    rows = [("12", 60_000), ("22", NAME), ("23", 3), ("80", fees), ("18", False)]
    values, kept = pb.read(block(*rows), pb.LAYOUT, TEXT)
    assert [values[pb.LAYOUT[tag][2]] for tag, _ in rows] == [value for _, value in rows] and kept == {}
    assert parameters.check("fees", values["fees"]) == fees


@pytest.mark.parametrize(
    "data, why, where",
    [
        (b"12459912", "unknown-tag", "99"),
        (b"12451", "unknown-tag", "1"),
        (b"12x5", "broken", "12"),
        (b"124", "broken", "12"),
        (b"182", "broken", "18"),
        (b"12451245", "broken", "12"),
        (b"22" + b"\xff" * 40, "broken", "22"),
        (b"80019", "broken", "80"),
        (b"80019" + b"0" * 22, "broken", "80"),
        (b"80xx", "broken", "80"),
        (b"\xff\xfe\x00", "unknown-tag", "??"),
    ],
)
def test_a_block_that_cannot_be_read_to_its_end_gives_nothing_and_names_the_tag(data, why, where):
    with pytest.raises(pb.BlockError) as error:
        pb.read(data, pb.LAYOUT, TEXT)
    assert (error.value.why, error.value.where) == (why, where)


def test_an_acquirer_with_other_tags_is_a_row_of_a_parameter():
    table = pb.layout({"28": [3, "number", "tip.percent"], "27": [4, "kept", ""], "14": None})
    assert pb.read(b"28012270099", table, TEXT) == ({"tip.percent": 12}, {"27": b"0099".hex()})
    with pytest.raises(pb.BlockError):
        pb.read(b"14" + b" " * 14, table, TEXT)


@pytest.mark.parametrize(
    "wrong",
    [
        [], {"1": [1, "kept", ""]}, {"1x": [1, "kept", ""]}, {"28": 4}, {"28": ["2", "kept", ""]}, {"28": [2, "odd", ""]},
        {"28": [2, "number", ""]}, {"28": [2, "number", "no.such"]}, {"28": [2, "kept", "tip.percent"]},
        {"28": [0, "number", "tip.percent"]}, {"28": [5, "fees", "fees"]}, {"28": [100, "kept", ""]},
    ],
)  # fmt: skip
def test_a_layout_that_nobody_could_read_by_is_refused(wrong):
    with pytest.raises(parameters.ParameterError):
        parameters.check("download.layout", wrong)


@pytest.mark.parametrize("wrong", [[], {"FF80": ["kept", ""]}, {"FF8060": ["kept"]}, {"FF8060": ["fen", "no.such"]}])
def test_so_are_limits(wrong):
    with pytest.raises(parameters.ParameterError):
        parameters.check("download.limit_tags", wrong)


DEFAULTS = {
    "host.reply_ms": 30_000, "module.tip": False, "tip.percent": 10, "settle.sign_off": False, "reversal.tries": 3,
    "offline.limit": 10,
}  # fmt: skip


def test_the_status_is_that_of_the_standard_to_the_byte():
    said = {"13": b"3", "14": b"02195516      "}
    data = pb.status(lambda name: DEFAULTS[name], said, 72, 999, 980, TEXT)
    assert data == (
        b"011021031041051" b"1160" b"1230" b"133" b"1402195516      " b"15              " b"16              "
        b"17              " b"180" b"1910" b"200" b"210" b"232" b"250" b"2710" b"51" b"0072" b"00999" b"980"
    )  # fmt: skip
    assert len(data) == 127


def test_numbers_that_outgrow_their_places_stay_at_the_largest():
    large = dict(DEFAULTS, **{"tip.percent": 100, "host.reply_ms": 90_000, "reversal.tries": 10, "offline.limit": 123})
    data = pb.status(lambda name: large[name], {}, 100_000, 1_000_000, 1_000_000, TEXT)
    assert b"1290" in data and b"1999" in data and b"239" in data and data.endswith(b"279951999999999999")
    assert pb.status(lambda name: DEFAULTS[name], {}, 0, 0, 0, TEXT).endswith(b"271051000000000000")


def test_the_black_list_comes_in_parts_that_count_on():
    first = pb.list_block(pb.MORE, ["6225880", "62258801234567"], 2, 14)
    assert first[:4] == b"2002" and pb.listed(first, 0, 14) == ("2", ["6225880", "62258801234567"])
    last = pb.list_block(pb.ALL, ["400000"], 3, 14)
    assert pb.listed(last, 2, 14) == ("1", ["400000"])
    assert pb.listed(b"0", 0, 14) == ("0", []) and pb.listed(b"1000", 0, 14) == ("1", [])


@pytest.mark.parametrize(
    "data, so_far",
    [
        (b"", 0), (b"4000", 0), (b"1", 0), (b"10x0", 0), (b"1001", 0), (b"1001" + b"15" + b"0" * 14, 0),
        (b"1001" + b"00" + b" " * 14, 0), (b"1001" + b"06" + b"12345x" + b" " * 8, 0), (b"1001", 2),
        (b"1001" + b"06" + b"123456" + b" " * 8 + b"0", 0),
    ],
)  # fmt: skip
def test_a_part_of_the_black_list_that_is_none_is_refused_without_a_number_in_the_words(data, so_far):
    with pytest.raises(pb.BlockError) as error:
        pb.listed(data, so_far, 14)
    assert "123456" not in str(error.value)


def test_limits_are_tags_with_lengths():
    data = pb.limits_block(pb.ALL, [("FF8054", b"000000100000"), ("FF805D", b"1")])
    assert pb.limits(data, pb.LIMITS) == ("1", {"pin.free_fen": 100_000}, {"FF805D": "31"})


@pytest.mark.parametrize("data", [b"", b"9", b"1FF8054", b"1FF8054012", b"1FF8099001X", b"1FF8054001x", b"1FF80540011" * 2])
def test_limits_that_cannot_be_read_are_refused(data):
    with pytest.raises(pb.BlockError):
        pb.limits(data, pb.LIMITS)


def test_any_bytes_are_read_or_refused_with_the_one_error():
    chance = random.Random(360)
    seeds = [
        b"1245181" + b"22" + NAME.encode("gbk").ljust(40),
        block(("80", [{"method": "debit", "rate": 50}])),
        pb.list_block(pb.MORE, ["6225880", "400000"], 2, 14),
        pb.limits_block(pb.ALL, [("FF8054", b"000000100000")]),
    ]
    for _ in range(3000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        data = bytes(data[: chance.randrange(len(data) + 1)])
        for reader in (
            lambda: pb.read(data, pb.LAYOUT, TEXT),  # noqa: B023
            lambda: pb.listed(data, 0, 14),  # noqa: B023
            lambda: pb.limits(data, pb.LIMITS),  # noqa: B023
        ):
            try:
                reader()
            except pb.BlockError:
                pass
