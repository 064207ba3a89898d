"""Reading text off the pixels: what is drawn is what is read."""

import random

import pytest

from drivers.fonts import Fonts
from drivers.render import Renderer
from emulator import eyes
from firmware.screens import Screen
from tests.record_screens import SAMPLES

SIZES = [(128, 64), (256, 64), (128, 128)]


@pytest.fixture(scope="module")
def reader():
    if not Fonts().has_chinese:
        pytest.skip("no Chinese bitmap font: install xfonts-wqy")
    return eyes.Eyes()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_sample_is_read_word_for_word(name, size, reader):
    screen = SAMPLES[name]
    sight = eyes.read(Renderer(size).draw(screen))
    assert sight.exact
    assert (sight.title, sight.lines, sight.big, sight.keys) == (screen.title, screen.lines, screen.big, screen.keys)
    assert (sight.menu, sight.progress, sight.style) == (screen.menu, screen.progress, screen.style)


def test_the_text_is_every_row_from_top_to_bottom(reader):
    sight = reader.read(Renderer().draw(Screen("消费", ("请输入金额", "超过限额"), "12.34", ("取消", "确认"))))
    assert sight.text == "消费\n请输入金额\n12.34\n超过限额\n取消 确认"
    menu = reader.read(Renderer().draw(Screen("菜单", menu=(("1", "消费"), ("2", "撤销")))))
    assert menu.text == "菜单\n1 消费\n2 撤销"


def test_every_character_that_the_font_has_is_read_as_itself_or_its_likeness(reader):
    letters = reader.letters
    known = [character for character in (*eyes.ASCII, *eyes.gb2312()) if reader.fonts.has_glyph(character)]
    assert len(known) > 6900
    differing = []
    for character in known:
        glyph = reader.fonts.glyph(character)
        if any(glyph):
            read = letters.spell(glyph)
            assert read == letters.plain(character)
            if read != character:
                differing.append(character)
                assert reader.fonts.glyph(read) == glyph
    assert len(differing) <= 6


def test_random_screens_are_read_as_they_were_drawn(reader):
    rng = random.Random(7)
    han = [character for character in eyes.gb2312() if reader.fonts.has_glyph(character)]
    pools = [han, list(eyes.ASCII), han + list(eyes.ASCII) * 40]
    plain = reader.letters.plain
    read = 0
    for _ in range(400):
        pool = rng.choice(pools)

        def word(most, pool=pool):
            return "".join(rng.choice(pool) for _ in range(rng.randint(0, most))).replace("\u3000", "").strip()

        menu = tuple((str(n + 1), word(3) or "x") for n in range(rng.randint(1, 6))) if rng.random() < 0.3 else ()
        lines = () if menu else tuple(word(8) for _ in range(rng.randint(0, 3))) + ("x",)
        amount = "%d.%02d" % (rng.randrange(10**6), rng.randrange(100))
        big = "" if menu else rng.choice(("", "*" * rng.randint(1, 8), amount, word(3)))
        progress = rng.choice((None, None, rng.randint(0, 100)))
        screen = Screen(word(6), lines, big, (word(3), word(3)), progress, menu, "")
        if screen.title and rng.random() < 0.3:
            screen.style = "alert"
        if reader._renderer.fits(screen):
            continue
        sight = reader.read(reader._renderer.draw(screen))
        read += 1
        assert sight.exact
        assert (sight.title, sight.big, sight.keys) == (plain(screen.title), plain(big), tuple(map(plain, screen.keys)))
        assert sight.lines == tuple(map(plain, lines))
        assert sight.menu == tuple((number, plain(text)) for number, text in menu)
    assert read > 150


def test_characters_drawn_alike_are_found_under_either_name(reader):
    sight = reader.read(Renderer().draw(Screen("", ("丨",))))
    assert sight.shows("丨") and sight.shows("｜")


def test_shows_looks_for_words_in_a_row_and_not_across_rows(reader):
    sight = reader.read(Renderer().draw(Screen("消费", ("请挥卡",), "12.34")))
    assert sight.shows("挥卡") and sight.shows("12.34")
    assert not sight.shows("消费请") and not sight.shows("112.34")


def test_a_dark_panel_says_nothing(reader):
    sight = reader.read([0] * 128)
    assert sight.text == "" and sight.exact


def test_a_disturbed_picture_is_read_as_far_as_it_goes(reader):
    screen = Screen("消费", ("请挥卡", "金额 12.34"))
    columns = Renderer().columns(screen)
    columns[10] ^= 0x3 << 16
    sight = reader.read(columns)
    assert not sight.exact
    assert sight.shows("金额 12.34") and sight.shows("消费")
    assert eyes.UNREADABLE in sight.text


def test_a_half_painted_page_is_not_taken_for_a_whole_one(reader):
    before = Renderer().columns(Screen("消费", ("请挥卡",), "12.34", ("取消", "")))
    after = Renderer().columns(Screen("交易成功", ("金额 12.34",), keys=("", "确认")))
    upper = (1 << 24) - 1
    mixed = [old & ~upper | new & upper for old, new in zip(before, after, strict=True)]
    assert reader.read(mixed).text != reader.read(after).text


def test_any_pixels_are_looked_at_without_an_error(reader):
    rng = random.Random(8)
    page = Renderer().columns(SAMPLES["declined"])
    for _ in range(60):
        noise = [rng.getrandbits(64) & rng.getrandbits(64) & rng.getrandbits(64) for _ in range(128)]
        assert not reader.read(noise).exact
        scratched = list(page)
        for _ in range(rng.randrange(1, 40)):
            scratched[rng.randrange(128)] ^= 1 << rng.randrange(64)
        assert isinstance(reader.read(scratched).text, str)


def test_without_a_chinese_font_english_is_read():
    bare = Fonts(folders=())
    screen = Screen("Sale", ("Tap the card", "or press Cancel"), "12.34", ("Cancel", "OK"))
    sight = eyes.Eyes((128, 64), bare).read(Renderer((128, 64), bare).draw(screen))
    assert sight.exact
    assert sight.text == "Sale\nTap the card\n12.34\nor press Cancel\nCancel OK"
