"""The OLED chips byte by byte, without the driver."""

import errno
import random

import pytest

from emulator.chips.oled import Sh1106Chip, Ssd1306Chip

CHIPS = [Ssd1306Chip, Sh1106Chip]


def lit(kind):
    chip = kind()
    chip.write(bytes([0x00, 0x8D, 0x14, 0xAF] if kind is Ssd1306Chip else [0x00, 0xAF]))
    return chip


def at(chip, page, column):
    """Page addressing, which both have."""
    column += chip.left
    chip.write(bytes([0x00, 0xB0 | page, column & 15, 0x10 | column >> 4]))


def blank(chip):
    for page in range(8):
        at(chip, page, 0)
        chip.write(b"\x40" + bytes(128))


@pytest.mark.parametrize("kind", CHIPS)
def test_a_data_byte_is_eight_pixels_with_the_lowest_bit_on_top(kind):
    chip = lit(kind)
    blank(chip)
    at(chip, 3, 5)
    chip.write(b"\x40\x81\x01")
    points = [(x, y) for y, line in enumerate(chip.lines()) for x, mark in enumerate(line) if mark == "#"]
    assert points == [(5, 24), (6, 24), (5, 31)]
    assert [point for point in points if not chip.image().getpixel(point)] == []


@pytest.mark.parametrize("kind", CHIPS)
def test_the_memory_comes_up_as_noise_and_dark(kind):
    chip = kind()
    assert not any(chip.columns())
    assert 100 < sum(column.bit_count() for column in lit(kind).columns()) < 128 * 64 - 100


def test_the_ssd1306_stays_dark_without_its_charge_pump():
    chip = Ssd1306Chip()
    chip.write(b"\x00\xaf")
    assert not any(chip.columns())
    chip.write(b"\x00\x8d\x14")
    assert any(chip.columns())


def test_a_window_is_filled_row_by_row_and_begins_again():
    chip = lit(Ssd1306Chip)
    blank(chip)
    chip.write(bytes([0x00, 0x20, 0x00, 0x21, 10, 12, 0x22, 2, 3]))
    chip.write(bytes([0x40, 1, 2, 3, 4, 5, 6, 7]))
    assert [column >> 16 for column in chip.columns()[9:14]] == [0, 0x0407, 0x0502, 0x0603, 0]


def test_vertical_addressing_fills_column_by_column():
    chip = lit(Ssd1306Chip)
    blank(chip)
    chip.write(bytes([0x00, 0x20, 0x01, 0x21, 10, 11, 0x22, 2, 3]))
    chip.write(bytes([0x40, 1, 2, 3, 4]))
    assert [column >> 16 for column in chip.columns()[10:12]] == [0x0201, 0x0403]


def test_commands_may_be_split_over_transfers_and_control_bytes():
    chip = lit(Ssd1306Chip)
    chip.write(b"\x00\x81")
    chip.write(b"\x00\x77")
    assert chip.level == 0x77
    chip.write(b"\x80\x81\x80\x10\x80\xa7")
    assert chip.level == 0x10 and chip.inverse


def test_a_control_byte_for_one_byte_may_be_followed_by_data():
    chip = lit(Ssd1306Chip)
    blank(chip)
    at(chip, 0, 0)
    chip.write(b"\xc0\xff\x40\x0f")
    assert chip.columns()[:3] == [0xFF, 0x0F, 0]


@pytest.mark.parametrize("kind", CHIPS)
def test_inverse_and_all_on_are_seen(kind):
    chip = lit(kind)
    blank(chip)
    full = (1 << 64) - 1
    chip.write(b"\x00\xa7")
    assert chip.columns() == [full] * 128
    chip.write(b"\x00\xa6\xa5")
    assert chip.columns() == [full] * 128
    chip.write(b"\x00\xa4")
    assert not any(chip.columns())


@pytest.mark.parametrize("kind", CHIPS)
def test_orientation_start_line_and_multiplex_move_the_picture(kind):
    chip = lit(kind)
    blank(chip)
    at(chip, 0, 0)
    chip.write(b"\x40\x01")
    chip.write(b"\x00\xa0\xc0")
    assert chip.columns()[127] == 1 << 63
    chip.write(b"\x00\xa1\xc8\x41")
    assert chip.columns()[0] == 1 << 63
    chip.write(b"\x00\xa8\x1f")
    assert not any(chip.columns())


def test_the_sh1106_has_no_windows_and_shows_the_middle_of_its_memory():
    chip = lit(Sh1106Chip)
    blank(chip)
    chip.write(b"\x00\x21\x22")
    assert chip.unknown == 2
    chip.write(b"\x00\xb0\x00\x10")
    chip.write(b"\x40\xff\xff\x0f")
    assert chip.columns()[:2] == [0x0F, 0]


@pytest.mark.parametrize("kind", CHIPS)
def test_a_power_cut_forgets_everything(kind):
    chip = lit(kind)
    chip.write(b"\x00\x81\x10\xa7")
    chip.reset()
    assert not any(chip.columns())
    assert (chip.on, chip.inverse, chip.level) == (False, False, 0x7F)


@pytest.mark.parametrize("kind", CHIPS)
def test_an_absent_panel_does_not_answer_and_is_dark(kind):
    chip = lit(kind)
    chip.absent = True
    before = chip.bytes
    for call in (lambda: chip.write(b"\x00\xe3"), lambda: chip.read(1)):
        with pytest.raises(OSError) as problem:
            call()
        assert problem.value.errno == errno.EREMOTEIO
    assert chip.bytes == before and not any(chip.columns())


def test_reading_gives_the_status():
    chip = lit(Ssd1306Chip)
    assert chip.read(2) == b"\x06\x06"
    chip.write(b"\x00\xae")
    assert chip.read(1) == b"\x46"


def test_bytes_are_counted_with_the_address():
    chip = Ssd1306Chip()
    chip.write(b"\x00\xe3")
    chip.read(1)
    assert (chip.bytes, chip.transfers) == (5, 2)


def test_a_change_of_the_glass_is_told_once_and_nothing_else_is():
    chip = lit(Ssd1306Chip)
    blank(chip)
    told = []
    chip.on_change = lambda: told.append(chip.version)
    at(chip, 0, 0)
    chip.write(b"\x40\x00")
    assert told == []
    at(chip, 0, 0)
    chip.write(b"\x40\x01")
    assert len(told) == 1


def test_a_panel_that_is_pulled_off_tells_that_the_glass_changed():
    chip = lit(Ssd1306Chip)
    told = []
    chip.on_change = lambda: told.append(any(chip.columns()))
    chip.absent = True
    chip.absent = True
    chip.absent = False
    assert told == [False, True]


def test_traffic_is_logged_in_words():
    said = []
    chip = Ssd1306Chip(log=lambda kind, text: said.append((kind, text)))
    chip.write(b"\x00\xaf\x81\x20\x26")
    chip.write(b"\x40\x01\x02")
    assert said[:2] == [("i2c", "ssd1306 on"), ("i2c", "ssd1306 contrast 32")]
    assert "2 bytes" in said[-1][1]


@pytest.mark.parametrize("kind", CHIPS)
def test_any_bytes_are_taken(kind):
    rng = random.Random(6)
    for size in ((128, 64), (128, 32)):
        chip = kind(size)
        for _ in range(1500):
            chip.write(rng.randbytes(rng.randrange(12)))
            if rng.random() < 0.02:
                assert chip.image().size == size
                assert len(chip.lines()) == size[1]
