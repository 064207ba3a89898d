"""Letters for a small panel: the distribution's bitmap fonts, read glyph by glyph when they are first wanted.

A glyph is a tuple of columns, left to right. A column is an integer whose bit 0 is the topmost pixel: the order in
which OLED controllers keep their memory, so that text is composed, compared and sent without turning it.

    size     rows   font                                       for
    text     12     WenQuanYi 9pt (PCF, package xfonts-wqy)    titles, lines, menus, keys: Han 12 wide, Latin 2..10
    figures  16     drawn below                                amounts and stars: two memory pages of the panel
    big      16     Unifont (package fonts-unifont)            whatever else stands among the figures

Where WenQuanYi is missing, Pillow's own 6x11 font takes its place: Latin only, `has_chinese` says so.
Nothing is opened and Pillow is not imported before the first glyph.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

Glyph = tuple[int, ...]

TEXT_ROWS = 12
BIG_ROWS = 16
SHORT_ROWS = 13

FOLDERS = (
    "/usr/share/fonts/X11/misc", "/usr/share/fonts/opentype/unifont", "/usr/share/fonts/truetype/unifont",
    "/usr/share/fonts/misc", "/usr/share/fonts/wenquanyi/wenquanyi-bitmapfont", "/usr/share/fonts/wqy-bitmap",
    "/usr/share/fonts/wenquanyi-bitmapsong", "/usr/share/fonts/unifont", "/usr/share/fonts/Unifont",
    "/usr/local/share/fonts",
)  # fmt: skip
WENQUANYI = ("wenquanyi_9pt.pcf", "wenquanyi_9pt.pcf.gz")
UNIFONT = ("unifont.otf", "unifont.ttf")

# A Han character stands on rows -10..0 from the base line, a Latin descender reaches row 1.
WENQUANYI_TOP = -10
UNIFONT_TOP = -14

SPACE: Glyph = (0,) * 6

# What stands for a character that the font lacks: an empty box, so that the gap is seen.
BOX: Glyph = (0x1FC, 0x104, 0x104, 0x104, 0x1FC, 0)

# Rows 14 and 15 hang below the base line. The short form leaves out the rows marked with "<": 13 remain.
FIGURES = (
    ("0123456789", """
..######.. ....##.... ..######.. ..######.. ......###. ########## ..######.. ########## ..######.. ..######..
.########. ...###.... .########. .########. .....####. ########## .########. ########## .########. .########.
###....### .#####.... ###....### ###....### ....##.##. ##........ ###....##. ........## ###....### ###....###
##......## .##.##.... ##......## ##......## ...##..##. ##........ ##........ .......### ##......## ##......## <
##......## ....##.... ........## ........## ..##...##. ##........ ##........ .......##. ##......## ##......##
##......## ....##.... .......### .......### .##....##. ########.. ##.#####.. ......###. ###....### ##......##
##......## ....##.... ......###. ...######. ##.....##. #########. #########. ......##.. .########. ###....###
##......## ....##.... .....###.. ...######. ##.....##. .......### ###....### .....###.. .########. .#########
##......## ....##.... ....###... .......### ########## ........## ##......## .....##... ###....### ..#####.##
##......## ....##.... ...###.... ........## ########## ........## ##......## ....###... ##......## ........##
##......## ....##.... ..###..... ##......## .......##. ##......## ##......## ....##.... ##......## ........## <
###....### ....##.... .###...... ###....### .......##. ###....### ###....### ....##.... ###....### .##....###
.########. .########. ########## .########. .......##. .########. .########. ....##.... .########. .########.
..######.. .########. ########## ..######.. .......##. ..######.. ..######.. ....##.... ..######.. ..######..
.......... .......... .......... .......... .......... .......... .......... .......... .......... ..........
.......... .......... .......... .......... .......... .......... .......... .......... .......... .......... <
"""),
    (".,-*¥", """
.. .. ........ ........ ##......##
.. .. ........ ........ ##......##
.. .. ........ ...##... .##....##.
.. .. ........ ...##... .##....##. <
.. .. ........ ##.##.## ..##..##..
.. .. ........ .######. ...####...
.. .. ######## ..####.. .########.
.. .. ######## ..####.. ....##....
.. .. ........ .######. .########.
.. .. ........ ##.##.## ....##....
.. .. ........ ...##... ....##.... <
.. .. ........ ...##... ....##....
## ## ........ ........ ....##....
## ## ........ ........ ....##....
.. .# ........ ........ ..........
.. #. ........ ........ .......... <
"""),
)  # fmt: skip
FIGURE_GAP = (0, 0)

# Pillow's mask bytes, 0 and 255, as the digits that int() reads.
BITS = bytes(ord("1" if value else "0") for value in range(256))


def columns(rows: Iterable[str], dot: str = "#") -> Glyph:
    """The columns of a picture drawn as text: equally long rows, `dot` for a lit pixel."""
    rows = list(rows)
    return tuple(sum(1 << y for y, row in enumerate(rows) if row[x] == dot) for x in range(len(rows[0])))


def figures(short: bool = False) -> dict[str, Glyph]:
    """The large figures by character, 16 rows or (short) 13, the gap to the next one included."""
    found = {}
    for characters, drawing in FIGURES:
        rows = [row.split() for row in drawing.strip().split("\n")]
        rows = [row for row in rows if not (short and row[-1] == "<")]
        for place, character in enumerate(characters):
            found[character] = columns(row[place] for row in rows) + FIGURE_GAP
    return {**found, " ": SPACE}


class Fonts:
    """The letters of one process.

    folders     where to look for font files, best first.
    """

    def __init__(self, folders: tuple[str, ...] = FOLDERS) -> None:
        self.wenquanyi = _find(folders, WENQUANYI)
        self.unifont = _find(folders, UNIFONT)
        self._text: _Face | None = None
        self._big: _Face | None = None
        self._figures: dict[bool, dict[str, Glyph]] = {}
        self._glyphs: dict[str, Glyph] = {" ": SPACE}

    @property
    def has_chinese(self) -> bool:
        """Whether Han characters can be drawn."""
        return self.wenquanyi is not None

    def has_glyph(self, character: str) -> bool:
        return self.glyph(character) is not BOX

    def glyph(self, character: str) -> Glyph:
        """The text glyph of one character, 12 rows; an empty box where the font has none."""
        found = self._glyphs.get(character)
        if found is None:
            if self._text is None:
                self._text = _open(self.wenquanyi, 12, WENQUANYI_TOP)
            found = self._glyphs[character] = self._text.glyph(character, TEXT_ROWS) or BOX
        return found

    def big_glyph(self, character: str, short: bool = False) -> Glyph:
        """The large glyph of one character, 16 rows or (short) 13."""
        drawn = self._figures.get(short)
        if drawn is None:
            drawn = self._figures[short] = figures(short)
        found = drawn.get(character)
        if found is None:
            found = drawn[character] = self.glyph(character) if short else self._big_letter(character)
        return found

    def _big_letter(self, character: str) -> Glyph:
        if self._big is None and self.unifont:
            self._big = _open(self.unifont, 16, UNIFONT_TOP)
        found = self._big.glyph(character, BIG_ROWS) if self._big else ()
        # Without Unifont the text glyph stands there, at the foot.
        return found or tuple(column << BIG_ROWS - TEXT_ROWS for column in self.glyph(character))

    def text(self, text: str) -> list[int]:
        """The columns of a line of text, 12 rows."""
        return [column for character in text for column in self.glyph(character)]

    def big(self, text: str, short: bool = False) -> list[int]:
        """The columns of a line of large figures, 16 rows or (short) 13."""
        return [column for character in text for column in self.big_glyph(character, short)]

    def width(self, text: str) -> int:
        """Pixels that a line of text takes."""
        return sum(len(self.glyph(character)) for character in text)


class _Face:
    """One opened font. `first` is the first glyph row kept, counted from the base line."""

    def __init__(self, font: object, first: int) -> None:
        self._font = font
        self._first = first
        self._absent = self._raw("\uffff")

    def glyph(self, character: str, rows: int) -> Glyph:
        """Columns cut to `rows`, or () where the font draws nothing of its own."""
        raw = self._raw(character)
        if raw is None or raw == self._absent:
            return ()
        advance, left, top, width, height, dots = raw
        cells = [0] * max(advance, left + width)
        down, mask = top - self._first, (1 << rows) - 1
        for x in range(width if height else 0):
            column = int(dots[x::width][::-1].translate(BITS), 2)
            cells[left + x] = (column << down if down > 0 else column >> -down) & mask
        # Only a real space may be empty: WenQuanYi has blank glyphs for characters that it lacks.
        return tuple(cells) if any(cells) or character.isspace() else ()

    def _raw(self, character: str) -> tuple[int, int, int, int, int, bytes] | None:
        font = self._font
        mask, (left, top) = font.getmask2(character, "1", anchor="ls")  # type: ignore[attr-defined]
        width, height = mask.size
        return round(font.getlength(character)), left, top, width, height, bytes(mask)  # type: ignore[attr-defined]


class _BuiltIn(_Face):
    """Pillow's own font: Latin 1, 6x11, ten rows above the base of the cell."""

    def _raw(self, character: str) -> tuple[int, int, int, int, int, bytes] | None:
        if not " " <= character <= "\u00ff" or "\u007f" <= character <= "\u00a0":
            return None
        mask = self._font.getmask(character, "1")  # type: ignore[attr-defined]
        width, height = mask.size
        return width, 0, self._first, width, height, bytes(mask)


def _open(path: str | None, size: int, first: int) -> _Face:
    from PIL import ImageFont

    if path is None:
        return _BuiltIn(ImageFont.load_default_imagefont(), first)
    # The basic engine: shaping would cost a library and bitmap fonts have nothing to shape.
    return _Face(ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC), first)


def _find(folders: tuple[str, ...], names: tuple[str, ...]) -> str | None:
    for folder in folders:
        for name in names:
            path = os.path.join(folder, name)
            if os.path.exists(path):
                return path
    return None
