import random

import pytest

from firmware import stripe
from tests.firmware.test_tlv import vectors

NUMBER = "6212345678901232"
TRACK1 = "B" + NUMBER + "^LI/LEI^30122010000000"
TRACK2 = NUMBER + "=30122010000012300000"
SHORT = NUMBER[:11]
TRACK3 = "01" + NUMBER + "=1561560000000000000003000000114000002==0=0"


def test_the_public_track_2_is_read():
    cases = [case for case in vectors("misc.json")["cases"] if case["op"] == "track2"]
    assert cases
    for case in cases:
        expected = case["expected"]
        if expected == "rejected":
            with pytest.raises(stripe.StripeError):
                stripe.parse(case["input"].encode(), check_digit=False)
            continue
        swipe = stripe.parse(case["input"].encode(), check_digit=False)
        assert (swipe.pan, swipe.expiry, swipe.service) == (expected["pan"], expected["expiry_yymm"], expected["service_code"])
        assert swipe.track2.endswith(expected["service_code"] + expected["discretionary"])


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("there", [(2,), (1, 2), (2, 3), (1, 2, 3)])
def test_tracks_come_in_any_combination_with_and_without_check_characters(there, check):
    text = [track if number in there else "" for number, track in ((1, TRACK1), (2, TRACK2), (3, TRACK3))]
    swipe = stripe.parse(stripe.compose(*text, check=check))
    assert (swipe.track1, swipe.track2, swipe.track3) == (text[0], text[1].replace("=", "D"), text[2].replace("=", "D"))
    assert (swipe.pan, swipe.expiry, swipe.service) == (NUMBER, "3012", "201")
    assert swipe.agrees and swipe.failed == ()
    assert swipe.name == ("LI/LEI" if 1 in there else "")


@pytest.mark.parametrize(
    "frame", [b"\x02%s\r\x03", b"%s\r\n", b"\x02%s\x03", b"%s\r", b"%s\x00"], ids=["stx-cr-etx", "cr-lf", "stx-etx", "cr", "nul"]
)
def test_framing_is_passed_over(frame):
    swipe = stripe.parse(frame % stripe.compose(TRACK1, TRACK2))
    assert swipe.pan == NUMBER and swipe.failed == ()


def test_readers_that_end_each_track_with_a_return_are_understood():
    text = ("%" + TRACK1 + "?\r;" + TRACK2 + "?\r+" + TRACK3 + "?\r").encode()
    assert stripe.parse(text).track3.startswith("01" + NUMBER)


def test_track_3_may_begin_as_track_2_does():
    text = (";" + TRACK2 + "?;" + TRACK3 + "?").encode()
    assert stripe.parse(text).track3 == TRACK3.replace("=", "D")
    with pytest.raises(stripe.StripeError) as caught:
        stripe.parse((";" + TRACK3 + "?").encode())
    assert caught.value.why == "no-track2"


def with_check_character(wanted):
    """A track 2 whose check character is this one."""
    for number in range(100):
        track = ";%s=30122010000%02d?" % (NUMBER, number)
        if stripe.lrc(track) == wanted:
            return track
    raise AssertionError(wanted)


@pytest.mark.parametrize("wanted", list("0123456789:;<=>?"))
def test_a_check_character_may_look_like_anything(wanted):
    track = with_check_character(wanted)
    for rest in ("", "+" + TRACK3 + "?", "\r", ";" + TRACK3 + "?"):
        swipe = stripe.parse((track + wanted + rest).encode())
        assert swipe.track2 == track[1:-1].replace("=", "D")
        assert bool(swipe.track3) == (len(rest) > 1)
        assert stripe.parse((track + rest).encode()).failed == ()


def test_the_check_character_is_the_exclusive_or_of_the_data_bits_with_both_sentinels():
    assert stripe.lrc(";0?") == "4"  # B xor 0 xor F
    assert stripe.lrc("+0?") == "4"  # the same on the stripe
    assert stripe.lrc("%B?") == "X"  # 05 xor 22 xor 1F = 38, written 20 higher
    with pytest.raises(ValueError):
        stripe.lrc("B?")


def test_a_wrong_check_character_fails_its_track_alone():
    good = stripe.compose(TRACK1, TRACK2, check=True).decode()
    at = good.index("?") + 1
    swipe = stripe.parse((good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]).encode())
    assert swipe.failed == (1,) and swipe.track1 == "" and swipe.pan == NUMBER
    with pytest.raises(stripe.StripeError) as caught:
        stripe.parse((good[:-1] + ("0" if good[-1] != "0" else "1")).encode())
    assert caught.value.why == "no-track2" and caught.value.failed == (2,)


@pytest.mark.parametrize(
    "text, why, failed",
    [
        ("%E?;E?+E?", "unreadable", (1, 2, 3)),
        ("%E?", "unreadable", (1,)),
        ("", "unreadable", ()),
        ("\x02\r\x03", "unreadable", ()),
        ("hello", "unreadable", ()),
        ("%?;?+?", "unreadable", ()),
        (";" + "=" * 600 + "?", "unreadable", ()),
        ("%T1?;E?", "no-track2", (2,)),
        ("%T1?", "no-track2", ()),
        ("+T3?", "no-track2", ()),
        ("%T1?;T2", "no-track2", (2,)),
        (";N=3012201A?", "unreadable", (2,)),
        ("+T3?%T1?", "unreadable", ()),
        ("%T1?%T1?;T2?", "unreadable", ()),
        (";N?", "format", ()),
        (";S=3012201?", "format", ()),
        (";N5678=3012201?", "format", ()),
        (";N=30?", "format", ()),
        (";N=3013201?", "format", ()),
        (";=3012201?", "format", ()),
        (";L3=3012201?", "luhn", ()),
    ],
)
def test_a_swipe_that_is_of_no_use_says_why(text, why, failed):
    for short, meant in (("N", NUMBER), ("S", SHORT), ("L", NUMBER[:-1]), ("T1", TRACK1), ("T2", TRACK2), ("T3", TRACK3)):
        text = text.replace(short, meant)
    with pytest.raises(stripe.StripeError) as caught:
        stripe.parse(text.encode())
    assert (caught.value.why, caught.value.failed) == (why, failed)
    assert str(caught.value) == stripe.REASONS[why]


def test_a_failing_track_1_or_3_is_told_and_does_not_hinder():
    swipe = stripe.parse(("%E?;" + TRACK2 + "?+E?").encode())
    assert swipe.failed == (1, 3) and swipe.pan == NUMBER and swipe.agrees


def test_the_host_gets_track_2_with_d_and_at_most_37_characters():
    longest = NUMBER + "=3012201" + "1" * (37 - len(NUMBER) - 8)
    assert stripe.parse((";" + longest + "?").encode()).track2 == longest.replace("=", "D")
    with pytest.raises(stripe.StripeError):
        stripe.parse((";" + longest + "1?").encode())


@pytest.mark.parametrize(
    "rest, expiry, service",
    [("=201123", "", "201"), ("3012=123", "3012", ""), ("==123", "", ""), ("3012", "3012", ""), ("0000201", "", "201")],
)
def test_a_date_or_a_service_code_may_be_left_out(rest, expiry, service):
    swipe = stripe.parse((";" + NUMBER + "=" + rest + "?").encode())
    assert (swipe.expiry, swipe.service) == (expiry, service)


@pytest.mark.parametrize("old, new", [("1232", "9999"), ("^3012", "^3112"), ("201", "101"), ("^LI", "9^LI"), ("^3012", "^3099")])
def test_a_track_1_that_says_otherwise_is_noticed(old, new):
    assert not stripe.parse(stripe.compose(TRACK1.replace(old, new), TRACK2)).agrees


@pytest.mark.parametrize("old, new", [("3456", " 3456 "), ("B", "A"), ("^", "/"), ("^LI/LEI^", "")])
def test_a_track_1_that_says_the_same_or_nothing_agrees(old, new):
    assert stripe.parse(stripe.compose(TRACK1.replace(old, new), TRACK2)).agrees


@pytest.mark.parametrize(
    "service, chip", [("201", True), ("601", True), ("101", False), ("501", False), ("", False), ("799", False)]
)
def test_the_first_digit_of_the_service_code_tells_a_chip(service, chip):
    assert stripe.chip_card(service) is chip
    assert stripe.service_rules(service).chip is chip


@pytest.mark.parametrize(
    "service, online, pin, goods, cash",
    [
        ("101", False, "", True, True),
        ("121", True, "", True, True),
        ("140", True, "required", True, True),
        ("102", False, "", True, False),
        ("103", False, "required", False, True),
        ("104", False, "", False, True),
        ("105", False, "required", True, False),
        ("106", False, "asked", True, True),
        ("107", False, "asked", True, False),
        ("198", True, "", True, True),
        ("", True, "", True, True),
    ],
)
def test_the_service_code_decides_on_issuer_pin_and_use(service, online, pin, goods, cash):
    rules = stripe.service_rules(service)
    assert (rules.online, rules.pin, rules.goods, rules.cash) == (online, pin, goods, cash)
    assert len(rules.words) == (3 if service else 1) and all(rules.words)


def test_national_private_and_test_cards_are_told_apart():
    assert stripe.service_rules("520").national and stripe.service_rules("620").national
    assert stripe.service_rules("720").private and stripe.service_rules("920").test
    assert not stripe.service_rules("120").national


@pytest.mark.parametrize(
    "expiry, today, over",
    [
        ("2611", "261130", False), ("2611", "261201", True), ("2612", "270101", True), ("4912", "261120", False),
        ("9912", "261120", True), ("5001", "261120", True), ("0001", "991231", False), ("", "261120", False),
    ],
)  # fmt: skip
def test_a_card_is_good_to_the_end_of_its_month(expiry, today, over):
    assert stripe.expired(expiry, today) is over


def test_the_check_digit_of_a_card_number():
    for good in ("4111111111111111", "5555555555554444", "378282246310005", NUMBER, "00"):
        assert stripe.luhn(good)
    for bad in ("4111111111111112", "1234567890123456", "", "0", "411111111111111A"):
        assert not stripe.luhn(bad)


def test_the_last_four_must_all_be_typed():
    assert stripe.last_four(NUMBER, "1232")
    for typed in ("1233", "232", "", "01232", "123A"):
        assert not stripe.last_four(NUMBER, typed)


def test_neither_a_swipe_nor_an_error_shows_the_card():
    swipe = stripe.parse(stripe.compose(TRACK1, TRACK2, TRACK3))
    shown = repr(swipe) + str(swipe)
    assert NUMBER[:4] not in shown and "LEI" not in shown and NUMBER[-4:] not in shown
    swipe.forget()
    left = "".join([str(value) for value in vars(swipe).values()])
    assert NUMBER[:6] not in left and "LEI" not in left


def test_any_text_is_a_swipe_or_the_one_error():
    chance = random.Random(813)
    seed = stripe.compose(TRACK1, TRACK2, TRACK3, True)
    read = 0
    for turn in range(3000):
        if turn % 3:
            text = bytearray(seed)
            for _ in range(chance.randrange(1, 4)):
                text[chance.randrange(len(text))] = chance.choice(b"%;+?=^E0123456789\r\x02\xff")
            del text[: chance.randrange(3)]
        else:
            text = bytes(chance.choice(b"%;+?=^E0123456789\r\x02B") for _ in range(chance.randrange(60)))
        try:
            swipe = stripe.parse(text)
        except stripe.StripeError as error:
            assert error.why in stripe.REASONS
            continue
        read += 1
        assert 12 <= len(swipe.pan) <= 19 and swipe.track2.startswith(swipe.pan + "D") and len(swipe.track2) <= 37
    assert read > 100
