"""Pictures out of dots: panels, paper, PNG files."""

import io
import random
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from drivers import picture, slipfont

ROOT = Path(__file__).parents[2]
WHITE, BLACK = (250, 250, 250), (10, 10, 10)


def opened(png):
    return Image.open(io.BytesIO(png))


def test_noise_is_the_same_as_columns_as_an_image_and_as_a_file():
    chance = random.Random(8)
    columns = [chance.getrandbits(64) for _ in range(128)]
    image = picture.picture(columns, (128, 64))
    assert picture.columns_of(image) == columns
    file = opened(picture.png(image))
    assert file.size == (128, 64)
    assert picture.columns_of(file.convert("1")) == columns


def test_a_burnt_dot_is_black_at_its_place():
    image = picture.burnt(b"\x80\x00" + b"\x00\x01", 16)
    assert image.size == (16, 2)
    assert [(x, y) for y in range(2) for x in range(16) if not image.getpixel((x, y))] == [(0, 0), (15, 1)]


def test_a_strip_has_margins_and_nothing_between_its_teeth():
    dots = picture.burnt(b"\xff" * 2 * 20, 16)
    strip = opened(picture.strip_png(dots, 10, 6, WHITE, BLACK))
    assert strip.size == (16 + 2 * 10, 20 + 4 * 6)
    middle = strip.height // 2
    assert strip.getpixel((2, middle)) == (*WHITE, 255)
    assert strip.getpixel((18, middle)) == (*BLACK, 255)
    ends = [strip.getpixel((x, y))[3] for x in range(strip.width) for y in (0, strip.height - 1)]
    assert 0 in ends and 255 in ends


def test_characters_of_different_height_stand_on_one_line():
    cells = [slipfont.Cell("A"), slipfont.Cell("B", 2, 2)]
    rows = slipfont.burn(cells, 0, 48)
    assert len(rows) == 48 and {len(row) for row in rows} == {48}
    small = [row[0] for row in rows]  # the first eight dots are the small letter's
    assert not any(small[:24]) and any(small[24:])
    assert any(any(row[2:]) for row in rows[:24])


def test_white_on_black_is_the_opposite_and_a_line_under_it_fills_the_last_row():
    plain, inverse = (slipfont.burn([slipfont.Cell("A", invert=invert)], 0, 24) for invert in (False, True))
    first = slice(0, 1)
    assert all(one[first] == bytes((other[0] ^ 0xFF,)) for one, other in zip(plain, inverse, strict=True))
    assert slipfont.burn([slipfont.Cell(" ", underline=True)], 0, 24)[-1][:2] == b"\xff\xf0"


@pytest.mark.parametrize("module", ["drivers.picture", "drivers.slipfont", "emulator.device", "emulator.world"])
def test_pillow_is_not_imported_before_the_first_picture(module):
    code = f"import {module}, sys; print('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "False\n"
