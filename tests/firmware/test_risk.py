"""Terminal risk management against the vectors of emv-utils, and each rule of EMV Book 3, 10.6."""

import random
from binascii import hexlify

import pytest

from firmware.emv import ask, card, risk
from tests.firmware.dialogue import Script, data_of, hexes, run, why_ends
from tests.firmware.test_tlv import vectors

NUMBER = "6200000000000005"
FLOOR = {"terminal_floor_limit_fen": 10000}
LIMITS = {"9F14": "12", "9F23": "34"}


def managed(said=None, row=FLOOR, commands=(), answers=(), **kinds):
    """TVR in hex; TSI is looked at here."""
    data = data_of(said, row=row, **kinds)
    assert run(risk.manage(data), commands=commands, answers=answers) is None
    assert bytes(data.tsi) == b"\x08\x00"
    return hexlify(data.tvr).decode().upper()


def counters(now, then):
    """The card's answers to the two commands of velocity checking; a status word stands for a refusal."""
    return [
        (command, answer if len(answer) == 4 and answer[0] == "6" else tag + "02" + answer + "9000")
        for command, tag, answer in (("80CA9F3600", "9F36", now), ("80CA9F1300", "9F13", then))
    ]


def test_the_public_vectors_set_their_bits():
    for case in vectors("terminal_risk_management.json")["cases"]:
        floor = int(case["terminal_config"][0]["value"], 16)
        amount = int(case["transaction_data"][0]["value"], 16)
        said = {entry["tag"]: entry["value"] for entry in case["icc_data"]}
        data = data_of(said, row={"terminal_floor_limit_fen": floor}, amount_fen=amount)
        answers = []
        if "5A" in said:
            same = [row["amount"] for row in case["transaction_log"] if row["pan_cn"].rstrip("F") == said["5A"]]
            answers = [False, same[-1] if same else 0]
        run(risk.manage(data), commands=[(apdu["c"], apdu["r"]) for apdu in case["apdus"]], answers=answers)
        assert hexlify(data.tvr).decode() == case["expect"]["tvr"], case["name"]
        assert hexlify(data.tsi).decode() == case["expect"]["tsi"], case["name"]


@pytest.mark.parametrize(("amount", "tvr"), [(9999, "0000000000"), (10000, "0000008000"), (10001, "0000008000")])
def test_the_floor_limit_is_reached_by_an_amount_equal_to_it(amount, tvr):
    assert managed(amount_fen=amount) == tvr


def test_a_row_without_a_floor_limit_lets_nothing_below_it():
    assert managed(row={"terminal_floor_limit_fen": None}, amount_fen=0) == "0000008000"


def test_two_halves_of_a_sale_reach_the_floor_limit_together():
    assert managed({"5A": NUMBER}, answers=[False, 4999]) == "0000000000"
    assert managed({"5A": NUMBER}, answers=[False, 5000]) == "0000008000"


def test_the_log_is_asked_for_this_card_and_no_other():
    script = Script(answers=[False, 0])
    run(risk.manage(data_of({"5A": NUMBER + "FFFF", "5F34": "01"}, row=FLOOR)), script)
    exception, last = script.questions
    assert isinstance(exception, ask.OnException) and isinstance(last, ask.LastAmount)
    assert (exception.pan, exception.sequence) == (last.pan, last.sequence) == (NUMBER, "001")


def test_the_log_is_not_asked_where_the_amount_alone_is_enough_or_the_switch_is_off():
    assert managed({"5A": NUMBER}, answers=[False], amount_fen=10000) == "0000008000"
    assert managed({"5A": NUMBER}, answers=[False], switches={"split_sale": False}) == "0000000000"


def test_a_card_on_the_exception_file_is_marked():
    assert managed({"5A": NUMBER}, answers=[True, 0]) == "1000000000"
    assert managed({"5A": NUMBER}, answers=[0], switches={"exceptions": False}) == "0000000000"


def test_the_merchant_can_force_it_online():
    assert managed(switches={"force_online": True}) == "0000000800"


BIASED = {"terminal_floor_limit_fen": 10000, "threshold_fen": 2000, "target_percent": 20, "maximum_percent": 60}


@pytest.mark.parametrize(
    ("amount", "drawn"),
    [
        (0, 20),
        (1999, 20),
        (2000, 20),
        (3999, 29),  # 20 + 40 * 1999 / 8000 = 29.995
        (4000, 30),
        (6000, 40),
        (9999, 59),
    ],
)
def test_so_many_of_a_hundred_are_drawn(amount, drawn):
    """`chance` has 99 values, as a number from 1 to 99 has: those up to the target percentage are drawn."""
    tvrs = [managed(row=BIASED, amount_fen=amount, chance=chance) for chance in range(99)]
    assert tvrs == ["0000001000"] * drawn + ["0000000000"] * (99 - drawn)


def test_a_target_of_none_draws_nothing_and_one_of_99_everything():
    for chance in (0, 98):
        assert managed(chance=chance) == "0000000000"
        row = dict(FLOOR, target_percent=99, maximum_percent=99)
        assert managed(row=row, chance=chance) == "0000001000"


def test_nothing_is_drawn_from_the_floor_limit_on_or_offline_only_or_with_the_switch_off():
    sure = dict(FLOOR, target_percent=99, maximum_percent=99)
    assert managed(row=sure, amount_fen=10000, chance=0) == "0000008000"
    assert managed(row=sure, chance=0, terminal={"9F35": "23"}) == "0000000000"
    assert managed(row=sure, chance=0, terminal={"9F35": "26"}) == "0000000000"
    assert managed(row=sure, chance=0, switches={"random": False}) == "0000000000"


def test_the_amount_alone_is_drawn_and_not_the_sale_before():
    row = dict(FLOOR, target_percent=99, maximum_percent=99)
    assert managed({"5A": NUMBER}, row=row, answers=[False, 9000], amount_fen=5000, chance=0) == "0000009000"


def test_a_maximum_that_is_not_set_leaves_the_target_to_all_amounts():
    assert managed(row=dict(FLOOR, target_percent=10), amount_fen=9999, chance=9) == "0000001000"


@pytest.mark.parametrize(
    ("now", "then", "tvr"),
    [
        ("0012", "0000", "0008000000"),  # a new card, and 12 is not more than the lower limit
        ("0013", "0001", "0000000000"),
        ("0014", "0001", "0000004000"),
        ("0035", "0001", "0000004000"),
        ("0036", "0001", "0000006000"),
        ("0005", "0005", "0000006000"),
        ("0004", "0005", "0000006000"),
        ("0000", "0000", "0008006000"),
        ("6A88", "0001", "2000006000"),
        ("0005", "6A88", "2000006000"),
        ("6D00", "0000", "2008006000"),
    ],
)
def test_velocity_is_counted_since_the_last_time_online(now, then, tvr):
    assert managed(LIMITS, commands=counters(now, then)) == tvr


@pytest.mark.parametrize(
    "answer", ["9000", "9F3601059000", "9F13020005 9000", "9F3603000005 9000", "0005 9000", "77059F36020005 9000"]
)
def test_a_counter_that_is_not_given_as_an_object_of_its_length_is_not_given(answer):
    commands = [("80CA9F3600", answer), ("80CA9F1300", "9F130200019000")]
    assert managed(LIMITS, commands=commands) == "2000006000"


def test_velocity_needs_both_limits_of_the_card_and_its_switch():
    assert managed({"9F14": "12"}) == managed({"9F23": "34"}) == "0000000000"
    assert managed({"9F14": "12", "9F23": ""}) == "0000000000"
    assert managed(LIMITS, switches={"velocity": False}) == "0000000000"


def test_what_the_card_counts_is_kept():
    data = data_of(LIMITS, row=FLOOR)
    run(risk.manage(data), commands=counters("0013", "0001"))
    assert data.said[0x9F36] == hexes("0013") and data.said[0x9F13] == hexes("0001")


def test_where_the_switch_leaves_it_to_the_card_its_profile_decides():
    data = data_of({"82": "3400", "5A": NUMBER}, switches={"risk_by_aip": True, "force_online": True}, amount_fen=20000)
    run(risk.manage(data), answers=[True])
    assert bytes(data.tvr) == hexes("1000000800") and bytes(data.tsi) == bytes(2)
    switches = {"risk_by_aip": True}
    assert managed({"82": "3C00"}, amount_fen=20000, switches=switches) == "0000008000"
    assert managed({"82": "3400"}, amount_fen=20000) == "0000008000"


def test_a_card_that_leaves_is_lost_and_a_number_of_other_than_digits_is_malformed():
    assert why_ends(risk.manage(data_of(LIMITS, row=FLOOR)), commands=[("80CA9F3600", None)]) == "lost"
    assert why_ends(risk.manage(data_of({"5A": "62AB"}, row=FLOOR))) == "malformed"


def test_whatever_the_card_answers_the_check_ends():
    chance = random.Random(5)
    for _ in range(500):
        data = data_of({tag: chance.randbytes(chance.randrange(4)).hex() for tag in ("9F14", "9F23")}, row=FLOOR)
        step, sent = risk.manage(data), None
        try:
            for _ in range(8):
                step.send(sent)
                sent = chance.randbytes(chance.randrange(12)) or None
            pytest.fail("it goes on")
        except card.Ended as end:
            assert end.why in ("lost", "malformed")
        except StopIteration:
            assert bytes(data.tsi) == b"\x08\x00"
