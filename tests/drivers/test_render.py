"""Screens laid out: against recorded pictures, and by what may and may not happen."""

import random

import pytest

from drivers.fonts import Fonts
from drivers.picture import columns_of, drawn, picture
from drivers.render import Renderer, text_rows
from firmware.screens import Screen
from tests.record_screens import FOLDER, SAMPLES, drawing

SIZES = [(128, 64), (256, 64), (128, 128)]


@pytest.fixture(scope="module")
def chinese():
    if not Fonts().has_chinese:
        pytest.skip("no Chinese bitmap font: install xfonts-wqy")


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_sample_is_drawn_as_recorded(name, chinese):
    path = FOLDER / (name + ".txt")
    assert path.exists(), "not recorded: python -m tests.record_screens"
    assert drawing(name) == path.read_text(encoding="ascii")


def test_every_recording_belongs_to_a_sample():
    assert {path.name for path in FOLDER.iterdir()} == {name + ".txt" for name in SAMPLES}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_sample_fits_every_panel(name, size, chinese):
    renderer = Renderer(size)
    assert renderer.fits(SAMPLES[name]) == []
    assert renderer.draw(SAMPLES[name]).size == size


def test_an_image_and_its_columns_are_the_same_picture():
    renderer = Renderer()
    screen = Screen("Sale", ("Tap",), "12.34", ("No", "Yes"))
    columns = renderer.columns(screen)
    image = renderer.draw(screen)
    assert image.mode == "1"
    assert columns_of(image) == columns
    assert picture(columns, (128, 64)).tobytes() == image.tobytes()
    lines = drawn(columns, 64)
    assert len(lines) == 64 and {len(line) for line in lines} == {128}
    assert all((lines[y][x] == "#") == bool(image.getpixel((x, y))) for x in range(128) for y in range(64))


def test_five_rows_stand_on_the_small_panel_and_ten_on_the_high_one():
    assert text_rows(64) == [14, 27, 39, 52]
    assert len(text_rows(128)) == 9 and text_rows(128)[-1] == 116
    assert min(b - a for a, b in zip(text_rows(128), text_rows(128)[1:], strict=False)) >= 12


def test_ten_han_characters_fit_a_row_and_eleven_are_cut_with_an_ellipsis(chinese):
    renderer = Renderer()
    ten, eleven = "正在打印商户联请稍候", "正在打印商户联请稍候吧"
    assert renderer.fits(Screen("", (ten,))) == []
    assert renderer.fits(Screen("", (eleven,))) == [eleven]
    strip = [column >> 1 & 0xFFF for column in renderer.columns(Screen("", (eleven,)))]
    dots = renderer.fonts.text("…")
    assert strip[4:112] == renderer.fonts.text(eleven[:9]) and strip[112:124] == dots


def test_what_does_not_fit_is_named():
    renderer = Renderer()
    long = "A text that is certainly too long"
    assert renderer.fits(Screen(long)) == [long]
    assert renderer.fits(Screen("a", keys=(long, "b"))) == [long]
    assert renderer.fits(Screen("a", ("1", "2", "3", "4"), keys=("no", ""))) == ["4"]
    assert renderer.fits(Screen("a", ("1", "2", "3"), "12.34", ("no", ""))) == ["3"]
    assert renderer.fits(Screen("a", ("1", "2", "3", "4"), progress=5)) == ["4"]
    assert renderer.fits(Screen("a", menu=tuple((str(n), "x%d" % n) for n in range(9)))) == ["x8"]
    assert renderer.fits(Screen("a", menu=(("1", "short"), ("2", long)))) == [long]
    assert renderer.fits(Screen("a", big="123,456,789,012,345,678")) == ["123,456,789,012,345,678"]


def test_a_fourth_line_may_stand_beside_confirms_word():
    renderer = Renderer()
    assert renderer.fits(Screen("a", ("1", "2", "3", "E-1234"), keys=("", "OK"))) == []
    line = "E-1234 and more than that"
    assert renderer.fits(Screen("a", ("1", "2", "3", line), keys=("", "OK"))) == [line]


def test_an_amount_too_wide_for_large_figures_is_set_smaller_and_still_fits():
    assert Renderer().fits(Screen("a", big="99,999,999,999.99")) == []


def test_the_largest_amount_fits_in_large_figures():
    renderer = Renderer()
    columns = renderer.columns(Screen(big="9,999,999.99"))
    assert renderer.fits(Screen(big="9,999,999.99")) == []
    assert [column >> 32 for column in columns[4:124]] == renderer.fonts.big("9,999,999.99")


@pytest.mark.parametrize("lines", [(), ("a",), ("a", "b")])
def test_typed_stars_and_digits_stay_on_two_memory_pages(lines):
    renderer = Renderer()
    before = renderer.columns(Screen("Pay", lines, "*", ("No", "")))
    after = renderer.columns(Screen("Pay", lines, "**", ("No", "")))
    touched = 0
    for old, new in zip(before, after, strict=True):
        touched |= old ^ new
    pages = [page for page in range(8) if touched >> 8 * page & 0xFF]
    assert len(pages) == 2


def test_progress_grows_with_its_number_and_never_leaves_its_frame():
    renderer = Renderer()
    lit = [sum(column.bit_count() for column in renderer.columns(Screen(progress=n))) for n in (-5, 0, 25, 50, 99, 100, 250)]
    assert lit == sorted(lit) and lit[0] == lit[1] and lit[-1] == lit[-2] and len(set(lit)) == 5


def test_missing_characters_are_named():
    assert Renderer().missing("Sale \u1234\u0001") == "\u1234\u0001"
    assert Renderer(fonts=Fonts(folders=())).missing("Sale 消费") == "消费"


def test_an_alert_looks_different_but_says_the_same():
    plain, alert = (Renderer().columns(Screen("Error", ("x",), style=style)) for style in ("", "alert"))
    assert plain != alert
    assert [column >> 13 for column in plain] == [column >> 13 for column in alert]


def test_a_screen_without_chinese_fonts_is_drawn_in_english():
    renderer = Renderer(fonts=Fonts(folders=()))
    screen = Screen("Sale", ("Tap the card",), "12.34", ("Cancel", "OK"))
    assert renderer.fits(screen) == []
    assert any(renderer.columns(screen))


def test_any_text_is_drawn_without_an_error():
    rng = random.Random(4)

    def text():
        return "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0x3000, 0xD7FF), rng.randrange(0x110000)))) for _ in
                       range(rng.randrange(30)))  # fmt: skip

    for size in (*SIZES, (64, 64), (64, 128)):
        renderer = Renderer(size)
        for _ in range(25):
            menu = tuple((text(), text()) for _ in range(rng.randrange(12))) if rng.random() < 0.4 else ()
            lines = tuple(text() for _ in range(rng.randrange(7)))
            progress = rng.choice((None, -1, 0, 40, 1000))
            screen = Screen(text(), lines, rng.choice(("", text())), (text(), text()), progress, menu, rng.choice(("", "alert")))
            assert len(renderer.columns(screen)) == size[0]
            assert max(renderer.columns(screen)) < 1 << size[1]


@pytest.mark.parametrize("size", [(128, 32), (32, 64), (128, 60)])
def test_a_panel_too_small_for_a_page_is_refused(size):
    with pytest.raises(ValueError):
        Renderer(size)
