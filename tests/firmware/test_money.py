import random

import pytest

from firmware.money import masked, yuan


@pytest.mark.parametrize(
    "fen, text",
    [
        (0, "0.00"), (1, "0.01"), (99, "0.99"), (100, "1.00"), (99999, "999.99"), (100000, "1,000.00"),
        (123456789, "1,234,567.89"), (-5, "-0.05"),
    ],
)
def test_fen_are_written_as_yuan(fen, text):
    assert yuan(fen) == text


def test_any_amount_is_written_as_the_standard_library_would():
    chance = random.Random(3)
    for _ in range(2000):
        fen = chance.randrange(0, 10 ** chance.randrange(1, 13))
        assert yuan(fen) == "%s.%02d" % (format(fen // 100, ","), fen % 100)


def test_a_card_number_shows_its_first_six_and_last_four():
    assert masked("6225880000001234") == "622588******1234"
    assert masked("123456789012") == "*" * 12
