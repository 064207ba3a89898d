"""Glyphs from the distribution's fonts, and what is left without them."""

import subprocess
import sys
from pathlib import Path

import pytest

from drivers.fonts import BOX, FOLDERS, Fonts, columns, figures

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fonts():
    made = Fonts()
    if not made.has_chinese:
        pytest.skip("no Chinese bitmap font: install xfonts-wqy")
    return made


def test_han_characters_are_twelve_wide_and_eleven_high(fonts):
    for character in "消费撤销查询密码":
        glyph = fonts.glyph(character)
        assert len(glyph) == 12
        assert 0 < max(glyph) < 1 << 11


def test_a_glyph_is_the_fonts_own_pixels(fonts):
    zero = columns([".###."] + ["#...#"] * 6 + [".###."])
    assert fonts.glyph("0") == (*(column << 2 for column in zero), 0)


def test_descenders_are_kept(fonts):
    assert fonts.glyph("g") != fonts.glyph("q")
    assert any(column >> 11 for column in fonts.glyph("g"))


def test_the_width_of_a_text_is_the_sum_of_its_glyphs(fonts):
    assert fonts.width("消费") == 24
    assert fonts.width("") == 0
    assert fonts.width("No 12") == len(fonts.text("No 12"))


def test_a_character_that_the_font_lacks_is_an_empty_box(fonts):
    for character in "\u1234\u25b6\uffff\x07":
        assert not fonts.has_glyph(character)
        assert fonts.glyph(character) is BOX


def test_a_space_is_blank_and_known(fonts):
    assert fonts.has_glyph(" ") and fonts.has_glyph("\u3000")
    assert not any(fonts.text(" \u3000"))


def test_without_a_chinese_font_latin_is_still_legible():
    bare = Fonts(folders=())
    assert not bare.has_chinese
    assert not bare.has_glyph("费")
    letters = {bare.glyph(character) for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"}
    assert len(letters) == 62
    assert bare.width("Cancel") == 36


def test_large_figures_keep_their_pitch_and_their_two_pages():
    for short, rows in ((False, 16), (True, 13)):
        drawn = figures(short)
        assert {len(drawn[digit]) for digit in "0123456789¥"} == {12}
        assert {len(drawn[mark]) for mark in ".,"} == {4}
        assert all(column < 1 << rows for glyph in drawn.values() for column in glyph)
        assert len(set(drawn.values())) == len(drawn)


def test_a_letter_among_the_figures_comes_from_unifont_or_from_the_text_font():
    assert len(Fonts().big_glyph("元")) in (12, 16)
    bare = Fonts(folders=())
    assert bare.big_glyph("A") == tuple(column << 4 for column in bare.glyph("A"))


def test_compressed_fonts_and_other_folders_are_found(tmp_path):
    (tmp_path / "wenquanyi_9pt.pcf.gz").touch()
    assert Fonts(folders=(str(tmp_path / "none"), str(tmp_path))).has_chinese
    assert all(folder.startswith("/usr/") for folder in FOLDERS)


def test_nothing_is_opened_or_imported_before_the_first_glyph():
    program = """
import sys
from drivers.fonts import Fonts
fonts = Fonts()
fonts.has_chinese, fonts.big("12.34")
print("PIL" in sys.modules)
fonts.glyph("A")
print("PIL" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["False", "True"], run.stderr
