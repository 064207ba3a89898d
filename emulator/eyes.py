"""Reads a panel as a person does: the text, off the pixels.

The pixels are compared with the glyphs of `drivers.fonts` at the places where `drivers.render` puts text: nothing is
guessed. Reading a strip of pixels is spelling: at each column the widest glyph whose columns all agree is tried first,
and where the rest cannot be spelt the next one. A page is read under one layout after another (large figures high, large
figures low, rows only ...); the first reading that gives the very same pixels when it is drawn again is right, and
`exact` says so. A picture that no layout explains, half painted or disturbed, is read as far as it goes.

Letters: ASCII, the symbols and the 6763 Han characters of GB/T 2312. Characters that the font draws alike are read as
the first of them; `Sight.shows` compares with that in mind.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from drivers.fonts import BIG_ROWS, SHORT_ROWS, TEXT_ROWS, Fonts, Glyph, figures
from drivers.picture import columns_of
from drivers.render import (
    BAR_ROWS,
    BAR_TOP,
    BIG_PAGES,
    CORNER,
    HAN_ROWS,
    MARGIN,
    MENU_BOX,
    MENU_GAP,
    MENU_X,
    PLAIN_DOWN,
    SHORT_DOWN,
    SIGNS,
    STRIPE_GAP,
    TAB_PAD,
    TAB_ROWS,
    TITLE_ROWS,
    TITLE_Y,
    Renderer,
    sign,
    stripe,
    text_rows,
)  # fmt: skip
from firmware.screens import Screen

if TYPE_CHECKING:
    from drivers.picture import Image

ASCII = "".join(map(chr, range(0x20, 0x7F)))
UNREADABLE = "\ufffd"

# How far a glyph's own columns may begin before its ink, or end after it.
BEARING = 16

# Rows of GB/T 2312 whose characters stand on screens: symbols, full-width forms, Han of both levels. Greek, Cyrillic,
# kana and frames are left out: some are drawn like Latin letters.
GB_ROWS = (1, 3, *range(16, 88))


def gb2312() -> Iterable[str]:
    """The characters of the rows above."""
    for row in GB_ROWS:
        for cell in range(1, 95):
            try:
                yield bytes((0xA0 + row, 0xA0 + cell)).decode("gbk")
            except UnicodeDecodeError:
                continue  # not assigned


class Alphabet:
    """Glyphs by their pixels."""

    def __init__(self, characters: Iterable[str], glyph: Callable[[str], Glyph]) -> None:
        self._letters: dict[Glyph, str] = {}
        self._same: dict[str, str] = {}
        for character in characters:
            columns = glyph(character)
            if any(columns) or character == " ":
                self._same[character] = self._letters.setdefault(columns, character)
        self._widths = sorted({len(columns) for columns in self._letters}, reverse=True)

    def plain(self, text: str) -> str:
        """The text with each character replaced by the first one that is drawn like it."""
        return "".join(self._same.get(character, character) for character in text)

    def spell(self, columns: Sequence[int]) -> str | None:
        """The text that fills these columns exactly, or None."""
        dead: set[int] = set()
        path = [(0, "")]
        while path:
            place = path[-1][0]
            if place == len(columns):
                return "".join(letter for _, letter in path)
            for width in self._widths:
                after = place + width
                if after <= len(columns) and after not in dead:
                    letter = self._letters.get(tuple(columns[place:after]))
                    if letter is not None:
                        path.append((after, letter))
                        break
            else:
                dead.add(place)
                path.pop()
        return None

    def spell_left(self, columns: Sequence[int]) -> str | None:
        """The text that begins at the first column and ends somewhere; "" where there is no ink."""
        ink = _ink(columns)
        if ink is None:
            return ""
        # The last glyph may end with blank columns, even beyond the strip where that is the panel's edge.
        padded = [*columns[: ink[1]], *[0] * BEARING]
        for end in range(ink[1], len(padded) + 1):
            text = self.spell(padded[:end])
            if text is not None:
                return text
        return None

    def spell_right(self, columns: Sequence[int]) -> str | None:
        """The text that ends with the last column and begins somewhere; "" where there is no ink."""
        ink = _ink(columns)
        if ink is None:
            return ""
        for start in range(ink[0], max(ink[0] - BEARING, 0) - 1, -1):
            text = self.spell(columns[start:])
            if text is not None:
                return text
        return None

    def spell_centred(self, columns: Sequence[int]) -> str | None:
        """The text that stands in the middle; "" where there is no ink."""
        ink = _ink(columns)
        if ink is None:
            return ""
        for width in range(ink[1] - ink[0], len(columns) + 1):
            left = (len(columns) - width) // 2
            if left <= ink[0] and left + width >= ink[1]:
                text = self.spell(columns[left : left + width])
                if text is not None:
                    return text
        return None

    def glean(self, columns: Sequence[int]) -> str:
        """Whatever can be read: letters where there are some, one UNREADABLE for a stretch of other ink."""
        found = ""
        place = 0
        while place < len(columns):
            for width in self._widths:
                letter = self._letters.get(tuple(columns[place : place + width]))
                if letter is not None and place + width <= len(columns):
                    found += letter
                    place += width
                    break
            else:
                if columns[place] and not found.endswith(UNREADABLE):
                    found += UNREADABLE
                place += 1
        return " ".join(found.split())


class Sight:
    """What is on the panel.

    title, lines, big, keys, progress, menu, style, corner     as in `firmware.screens.Screen`, of what can be read
    exact        whether these, drawn again, give the same pixels
    text         every row from top to bottom, joined by newlines
    """

    def __init__(self, screen: Screen, rows: Iterable[str], exact: bool, plain: Callable[[str], str]) -> None:
        self.title, self.lines, self.big = screen.title, screen.lines, screen.big
        self.keys, self.progress, self.menu, self.style = screen.keys, screen.progress, screen.menu, screen.style
        self.corner = screen.corner
        self.exact = exact
        self.text = "\n".join(row for row in rows if row)
        self._plain = plain

    def shows(self, text: str) -> bool:
        """Whether the text stands in one of the rows."""
        return self._plain(text) in self.text

    def __repr__(self) -> str:
        return "Sight(%r)" % self.text


class Eyes:
    """Reads one kind of panel."""

    def __init__(self, size: tuple[int, int] = (128, 64), fonts: Fonts | None = None) -> None:
        self.size = self.width, self.height = size
        self.fonts = fonts or Fonts()
        self._renderer = Renderer(size, self.fonts)
        self._rows = text_rows(self.height)

    def read(self, image: Image | Sequence[int]) -> Sight:
        """What stands on the panel: an image of mode "1" of the panel's size, or its columns."""
        columns = list(image) if isinstance(image, (list, tuple)) else columns_of(image)  # type: ignore[arg-type]
        page = _Page(self, columns)
        for layout in self._layouts(page):
            for screen in layout:
                if self._renderer.columns(screen) == columns:
                    return Sight(screen, page.in_order(screen), True, self.letters.plain)
        return Sight(Screen(page.title), page.gleaned(), False, self.letters.plain)

    @cached_property
    def letters(self) -> Alphabet:
        return Alphabet(self._known, self.fonts.glyph)

    @cached_property
    def figures(self) -> tuple[Alphabet, Alphabet]:
        """The large figures, in the high and in the short form."""
        drawn = figures(), figures(short=True)
        high, short = (Alphabet(forms, forms.__getitem__) for forms in drawn)
        return high, short

    @cached_property
    def big_letters(self) -> tuple[Alphabet, Alphabet]:
        """Whatever may stand at the figures' place; slow to make, seldom needed."""
        big_glyph = self.fonts.big_glyph
        return Alphabet(self._known, big_glyph), Alphabet(self._known, lambda character: big_glyph(character, True))

    @cached_property
    def _known(self) -> list[str]:
        return [character for character in (*ASCII, "¥", *gb2312()) if self.fonts.has_glyph(character)]

    def _layouts(self, page: _Page) -> Iterable[Iterable[Screen]]:
        yield page.with_big(False, self.figures[0], 0, BIG_ROWS)
        yield page.with_big(True, self.figures[1], SHORT_DOWN, SHORT_ROWS)
        yield page.plain()
        yield page.with_big(False, self.letters, PLAIN_DOWN, TEXT_ROWS)
        yield page.with_big(True, self.letters, SHORT_DOWN, TEXT_ROWS)
        yield page.with_big(False, self.big_letters[0], 0, BIG_ROWS)
        yield page.with_big(True, self.big_letters[1], SHORT_DOWN, SHORT_ROWS)


class _Page:
    """One picture being read."""

    def __init__(self, eyes: Eyes, columns: list[int]) -> None:
        self.width, self.height = eyes.size
        self.columns = columns
        self.letters = eyes.letters
        self.fonts = eyes.fonts
        self.title, self.style = self._title()
        self.rows = [*([] if self.title else [TITLE_Y]), *text_rows(self.height)]
        self.bottom = self.rows[-1]
        self.keys, self.left_end, self.right_end = self._keys()
        self.progress = self._progress()
        self.bottom_free = self.progress is None and not self.keys[0]

    def _strip(self, y: int, rows: int, start: int = 0, end: int | None = None) -> list[int]:
        mask = (1 << rows) - 1
        return [column >> y & mask for column in self.columns[start:end]]

    def _title(self) -> tuple[str, str]:
        full = (1 << TITLE_ROWS) - 1
        bar = self._strip(0, TITLE_ROWS)
        left = 0
        while left < self.width and bar[left] == stripe(left):
            left += 1
        right = self.width
        while right > left and bar[right - 1] == stripe(right - 1):
            right -= 1
        style = "alert" if left else ""
        self.corner = self._sign(bar)
        if self.corner:
            right -= CORNER
        inner = [(column ^ full) >> TITLE_Y for column in bar[left:right]]
        if style:
            return self.letters.spell(inner[STRIPE_GAP:-STRIPE_GAP] or [0]) or "", style
        return (self.letters.spell_centred(inner) or "" if bar[0] == full else ""), style

    def _sign(self, bar: list[int]) -> str:
        """The sign at the right end of the title, "" for none."""
        full = (1 << TITLE_ROWS) - 1
        end = [column ^ full for column in bar[-CORNER:]]
        for name in SIGNS:
            if end == [column << TITLE_Y for column in sign(name)]:
                return name
        return ""

    def _keys(self) -> tuple[tuple[str, str], int, int]:
        """The two words, where the left one's tab ends and where the right one's begins."""
        full = (1 << TAB_ROWS) - 1
        corner = full & ~(1 | 1 << TAB_ROWS - 1)
        strip = self._strip(self.height - TAB_ROWS, TAB_ROWS)
        found = ["", ""]
        ends = [0, self.width]
        edges = [x for x, column in enumerate(strip) if column == corner]
        for left, right in ((left, right) for left in edges for right in edges if right > left):
            if left and right < self.width - 1:
                continue
            word = [(column ^ full) >> 1 for column in strip[left + TAB_PAD : right + 1 - TAB_PAD]]
            text = self.letters.spell(word) if word else None
            if text:
                side = 1 if left else 0
                found[side] = text
                ends[side] = left if side else right + 1
        return (found[0], found[1]), ends[0], ends[1]

    def _progress(self) -> int | None:
        left, right = self.left_end + MARGIN, self.right_end - MARGIN
        strip = self._strip(self.bottom + BAR_TOP, BAR_ROWS, left, right)
        outline, hollow = (1 << BAR_ROWS) - 1, 1 | 1 << BAR_ROWS - 1
        inside = strip[2:-2]
        if len(strip) < 8 or strip[0] != outline or strip[1] != hollow or strip[-1] != outline or strip[-2] != hollow:
            return None
        lit = sum(column == outline for column in inside)
        return -(-100 * lit // len(inside))

    def _line(self, y: int) -> str | None:
        end = self.right_end if y == self.bottom else self.width
        strip = self._strip(y, TEXT_ROWS, 0, end)
        return None if any(strip[:MARGIN]) else self.letters.spell_left(strip[MARGIN:])

    def _screen(self, lines: Sequence[str], big: str = "", menu: Sequence[tuple[str, str]] = ()) -> Screen:
        return Screen(self.title, lines, big, self.keys, self.progress, menu, self.style, self.corner)

    def with_big(self, short: bool, alphabet: Alphabet, down: int, high: int) -> Iterable[Screen]:
        """The page read with large text at one place: what it may have been."""
        page = BIG_PAGES[short]
        big = alphabet.spell_right(self._strip(page + down, high, 0, self.width - MARGIN))
        if not big:
            return
        top, end = (page + SHORT_DOWN, page + SHORT_DOWN + SHORT_ROWS) if short else (page, page + BIG_ROWS)
        rows = [y for y in self.rows if (y != self.bottom or self.bottom_free) and (y + HAN_ROWS < top or y >= end)]
        lines = [self._line(y) for y in rows]
        yield from self._trimmed([line or "" for line in lines], big)

    def plain(self) -> Iterable[Screen]:
        """The page read as rows of text or of a menu."""
        rows = [y for y in self.rows if y != self.bottom or self.bottom_free]
        half = self.width // 2
        right = [self._entry(y, half) for y in rows]
        left = [self._entry(y, 0, half if any(right) else None) for y in rows]
        if any(left):
            yield self._screen((), menu=[entry for entry in (*left, *right) if entry])
        yield from self._trimmed([self._line(y) or "" for y in rows], "")

    def _trimmed(self, lines: list[str], big: str) -> Iterable[Screen]:
        """The lines without empty ones at the end, then with them: their number decides where large text stands."""
        count = len(lines)
        while count and not lines[count - 1]:
            count -= 1
        for length in range(count, len(lines) + 1):
            yield self._screen(lines[:length], big)

    def _entry(self, y: int, start: int, end: int | None = None) -> tuple[str, str] | None:
        """A menu's entry, (number, text), in the part of a row that begins at `start`."""
        full = (1 << HAN_ROWS) - 1
        left = start + MENU_X
        if y == self.bottom:
            end = min(end or self.width, self.right_end)
        strip = self._strip(y, HAN_ROWS, left, end)
        wide = MENU_BOX
        while wide + MENU_GAP <= len(strip) and strip[0] == full:
            number = self.letters.spell_left([column ^ full for column in strip[2 : wide - 1]])
            if number and strip[wide - 1] == full and strip[wide] == 0:
                text = self.letters.spell_left(self._strip(y, TEXT_ROWS, left + wide + MENU_GAP, end))
                return None if text is None else (number, text)
            wide += 1
        return None

    def in_order(self, screen: Screen) -> list[str]:
        """The rows as they stand from top to bottom."""
        keys = " ".join(word for word in screen.keys if word)
        menu = [" ".join(entry) for entry in screen.menu]
        rows = list(screen.lines)
        if screen.big:
            above = sum(1 for y in self.rows if y + HAN_ROWS < BIG_PAGES[1] + SHORT_DOWN)
            rows[above:above] = [screen.big]
        return [screen.title, *rows, *menu, keys]

    def gleaned(self) -> list[str]:
        """Every row as far as it can be read."""
        rows = [self.letters.glean(self._strip(y, TEXT_ROWS, MARGIN)) for y in self.rows if y != self.bottom]
        bottom = self._strip(self.bottom, TEXT_ROWS, self.left_end or MARGIN, self.right_end)
        last = [self.keys[0], self.letters.glean(bottom), self.keys[1]]
        return [self.title, *rows, " ".join(word for word in last if word)]


def _ink(columns: Sequence[int]) -> tuple[int, int] | None:
    """The first column with ink and the one after the last, or None."""
    lit = [x for x, column in enumerate(columns) if column]
    return (lit[0], lit[-1] + 1) if lit else None


@lru_cache(maxsize=8)
def _eyes(size: tuple[int, int]) -> Eyes:
    return Eyes(size)


def read(image: Image) -> Sight:
    """What stands in a picture of a panel, an image of mode "1"."""
    return _eyes(image.size).read(image)


@lru_cache(maxsize=8)
def learn(size: tuple[int, int]) -> None:
    """Half a second of learning the alphabet, before anything runs that has a clock: noise makes the eyes try every layout."""
    chance = random.Random(1)
    _eyes(size).read([chance.getrandbits(size[1]) for _ in range(size[0])])
