"""Lays a screen out on a panel of pixels.

The picture is built as a list of columns, one integer each, bit 0 at the top (see `fonts.py`). Its geometry, for
any panel from 128x64 up (rows in pixels from the top, of the upper edge of a Han character):

    0..12        title: white bar, black text, centred; between warning stripes when the style is "alert", else with
                 the sign of what carries the messages at its right end
    1            or, without a title, a line
    14, 27, 39   lines or menu; rows are spread evenly down to the bottom row
    height-12    bottom row: cancel's word left, confirm's right, a progress bar between or instead;
                 or one more line, beside confirm's word if there is no cancel

    big          16 rows, right-aligned so that typed stars do not move, on whole memory pages so that a digit touches
                 two of them: page 4 with at most one line above it, else page 3 in the short form with a line each side.
                 Text too wide for large figures is set in the text size at the same place.

    menu         number in a white box, then the text; two columns where one is too short.

What does not fit is cut with an ellipsis or left out, and `fits` names it. A text never raises.
Measured: 0.1 ms a screen once its glyphs are known (2 shared x86-64 cores).
"""

from __future__ import annotations

from .fonts import BIG_ROWS, SHORT_ROWS, Fonts
from .picture import picture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.screens import Screen

    from .picture import Image

TITLE_ROWS = 13
TITLE_Y = 1
FIRST_Y = 14
BOTTOM = 12
PITCH = 12
MARGIN = 4

TAB_ROWS = 13
TAB_PAD = 4
STRIPES = 4
STRIPE_GAP = 3

HAN_ROWS = 11
MENU_X = 2
MENU_BOX = 9
MENU_GAP = 3

BIG_PAGES = (32, 24)
SHORT_DOWN = 2
PLAIN_DOWN = 4

BAR_TOP, BAR_ROWS = 2, 8

ELLIPSIS = "…"

# Signs of the bearers, a row a string; a strength of 0..4 stands behind as bars.
ART = {
    "modem": ("#.#.#", "#.#.#", ".###.", "..#..", "..#..", "..#..", "..#..", "..#..", "..#.."),
    "wifi": (".###.", "#...#", "..#..", ".#.#.", ".....", "..#..", ".....", ".....", "....."),
    "ethernet": (
        "...#####....", "...#...#....", "...#####....", ".....#......", ".....#......", "..#######...", "..#.....#...",
        "####...####.", "####...####.",
    ),
    "none": (
        "#.#.#.......", "#.#.#.......", ".###..#...#.", "..#....#.#..", "..#.....#...", "..#....#.#..", "..#...#...#.",
        "..#.........", "..#.........",
    ),
}  # fmt: skip
BARS = 4
CORNER = 14  # columns at the right end of a title that a sign takes


def columns_of_art(rows: tuple[str, ...]) -> list[int]:
    """The columns of a drawing, bit 0 at the top."""
    return [sum(1 << y for y, row in enumerate(rows) if row[x] == "#") for x in range(len(rows[0]))]


def sign(corner: str) -> list[int]:
    """The CORNER columns of a `Screen.corner`, as they stand in the white bar before it is inverted."""
    name, _, bars = corner.partition(" ")
    columns = columns_of_art(ART[name])
    for bar in range(BARS if bars else 0):
        rows = 2 + 2 * bar if bar < int(bars) else 1
        columns += [(1 << rows) - 1 << 9 - rows, 0]
    return [column << 1 for column in (columns + [0] * CORNER)[:CORNER]]


SIGNS = ("ethernet", "none", *(f"{name} {bars}" for name in ("wifi", "modem") for bars in range(BARS + 1)))


def stripe(x: int) -> int:
    """The column at `x` of the warning stripes beside an alert's title: two pixels on, two off, leaning left."""
    return sum(1 << y for y in range(TITLE_ROWS) if (x + y) % STRIPES < 2)


def text_rows(height: int) -> list[int]:
    """Where the rows under the title begin on a panel of this height; the last is the bottom row."""
    span = height - BOTTOM - FIRST_Y
    steps = span // PITCH
    return [FIRST_Y + (2 * span * n + steps) // (2 * steps) for n in range(steps + 1)]


class Canvas:
    """A picture as columns; bit 0 of a column is its topmost pixel."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.width, self.height = size
        self.columns = [0] * self.width

    def put(self, x: int, y: int, columns: list[int]) -> None:
        """Adds the pixels of `columns`, its left upper corner at (x, y)."""
        mine = self.columns
        for place, column in enumerate(columns, x):
            mine[place] |= column << y

    def invert(self, x: int, y: int, width: int, rows: int) -> None:
        mask = (1 << rows) - 1 << y
        for place in range(x, x + width):
            self.columns[place] ^= mask

    def round(self, x: int, y: int, width: int, rows: int) -> None:
        """Takes the corners off a white box."""
        for place in (x, x + width - 1):
            self.columns[place] &= ~(1 << y | 1 << y + rows - 1)

    def bounded(self) -> list[int]:
        """The columns without what hangs over the lower edge."""
        mask = (1 << self.height) - 1
        return [column & mask for column in self.columns]


class Renderer:
    """Draws screens for one panel.

    size     (width, height) in pixels, the height a multiple of 8; at least 64x64.
    fonts    the letters; its own when not given.
    """

    def __init__(self, size: tuple[int, int] = (128, 64), fonts: Fonts | None = None) -> None:
        if size[0] < 64 or size[1] < 64 or size[1] % 8:
            raise ValueError("no layout for a panel of %dx%d" % size)
        self.size = size
        self.fonts = fonts or Fonts()

    def draw(self, screen: Screen) -> Image:
        """The screen as a Pillow image of mode "1"."""
        return picture(self.columns(screen), self.size)

    def columns(self, screen: Screen) -> list[int]:
        """The screen as columns."""
        return _Layout(self.size, self.fonts, screen).canvas.bounded()

    def fits(self, screen: Screen) -> list[str]:
        """The texts of the screen that are cut, left out or drawn over each other; empty when all is well."""
        return _Layout(self.size, self.fonts, screen).offending

    def missing(self, text: str) -> str:
        """The characters of `text` that the fonts lack."""
        return "".join(character for character in text if not self.fonts.has_glyph(character))


class _Layout:
    """One screen being laid out."""

    def __init__(self, size: tuple[int, int], fonts: Fonts, screen: Screen) -> None:
        self.canvas = Canvas(size)
        self.width, self.height = size
        self.fonts = fonts
        self.offending: list[str] = []
        # How far a line in the bottom row may go, and whether one may stand there at all.
        self.bottom_end = self.width
        self.bottom_free = screen.progress is None and not screen.keys[0]
        rows = text_rows(self.height)
        self.bottom = rows[-1]

        self._keys(*screen.keys)
        if screen.progress is not None:
            self._progress(screen.progress, screen.keys)
        if screen.title:
            self._title(screen.title, screen.style == "alert", screen.corner)
        else:
            rows.insert(0, TITLE_Y)
        if screen.big:
            rows = self._big(screen.big, len(screen.lines), rows)
        if not self.bottom_free:
            rows = [row for row in rows if row != self.bottom]
        self._lines(screen.lines, rows)
        self._menu(screen.menu, rows[len(screen.lines) :])

    def _text(self, text: str, room: int) -> list[int]:
        """The columns of `text`, cut to `room` pixels."""
        columns = self.fonts.text(text)
        if len(columns) <= room:
            return columns
        self.offending.append(text)
        dots = self.fonts.text(ELLIPSIS if self.fonts.has_glyph(ELLIPSIS) else "..")
        while text and self.fonts.width(text) > room - len(dots):
            text = text[:-1]
        return (self.fonts.text(text) + dots)[: max(room, 0)]

    def _title(self, title: str, alert: bool, corner: str) -> None:
        width = self.width - (CORNER if corner and not alert else 0)
        text = self._text(title, width - 2 * MARGIN - (2 * STRIPE_GAP if alert else 0))
        left = (width - len(text)) // 2
        if width < self.width:
            self.canvas.put(width, TITLE_Y, sign(corner))
        self.canvas.put(left, TITLE_Y, text)
        if not alert:
            self.canvas.invert(0, 0, self.width, TITLE_ROWS)
            return
        right = left + len(text) + STRIPE_GAP
        self.canvas.invert(left - STRIPE_GAP, 0, len(text) + 2 * STRIPE_GAP, TITLE_ROWS)
        for x in (*range(left - STRIPE_GAP), *range(right, self.width)):
            self.canvas.columns[x] |= stripe(x)

    def _keys(self, left: str, right: str) -> None:
        room = ((self.width - MARGIN) // 2 if left and right else self.width) - 2 * TAB_PAD
        for text, is_left in ((left, True), (right, False)):
            if text:
                columns = self._text(text, room)
                wide = len(columns) + 2 * TAB_PAD
                x = 0 if is_left else self.width - wide
                self.canvas.put(x + TAB_PAD, self.bottom, columns)
                self.canvas.invert(x, self.height - TAB_ROWS, wide, TAB_ROWS)
                self.canvas.round(x, self.height - TAB_ROWS, wide, TAB_ROWS)
                if not is_left:
                    self.bottom_end = x

    def _progress(self, percent: int, keys: tuple[str, ...]) -> None:
        left, right = self._bar(keys)
        if right - left < 8:
            return
        outline = (1 << BAR_ROWS) - 1
        hollow = 1 | 1 << BAR_ROWS - 1
        lit = left + 2 + (right - left - 4) * min(max(percent, 0), 100) // 100
        middle = [outline if x < lit else hollow for x in range(left + 2, right - 2)]
        self.canvas.put(left, self.bottom + BAR_TOP, [outline, hollow, *middle, hollow, outline])

    def _bar(self, keys: tuple[str, ...]) -> tuple[int, int]:
        """The columns that a progress bar may take: [left, right)."""
        left = self.fonts.width(keys[0]) + 2 * TAB_PAD if keys[0] else 0
        return left + MARGIN, self.bottom_end - MARGIN

    def _big(self, text: str, lines: int, rows: list[int]) -> list[int]:
        """Draws the large text; gives the rows that it leaves free."""
        page = BIG_PAGES[0]
        free = self._around(rows, page, page + BIG_ROWS)
        short = lines > len(free)
        if short:
            page = BIG_PAGES[1]
            free = self._around(rows, page + SHORT_DOWN, page + SHORT_DOWN + SHORT_ROWS)
        columns, down = self.fonts.big(text, short), SHORT_DOWN if short else 0
        if len(columns) > self.width - MARGIN:
            columns, down = self._text(text, self.width - 2 * MARGIN), SHORT_DOWN if short else PLAIN_DOWN
        self.canvas.put(self.width - MARGIN - len(columns), page + down, columns)
        return free

    def _around(self, rows: list[int], top: int, end: int) -> list[int]:
        last = [] if self.bottom_free else [self.bottom]
        return [row for row in rows if row not in last and (row + HAN_ROWS < top or row >= end)]

    def _lines(self, lines: tuple[str, ...], rows: list[int]) -> None:
        for line, y in zip(lines, rows, strict=False):
            end = self.bottom_end if y == self.bottom else self.width
            self.canvas.put(MARGIN, y, self._text(line, end - MARGIN))
        self.offending += lines[len(rows) :]

    def _menu(self, menu: tuple[tuple[str, str], ...], rows: list[int]) -> None:
        if not rows or not menu:
            self.offending += [text for _, text in menu]
            return
        split = len(menu) > len(rows)
        pitch = self.width // 2 if split else self.width
        for place, (number, text) in enumerate(menu):
            column, row = divmod(place, len(rows))
            if column > (1 if split else 0):
                self.offending.append(text)
                continue
            x, y = MENU_X + column * pitch, rows[row]
            end = self.bottom_end if y == self.bottom else self.width
            digit = self._text(number, pitch // 4)
            wide = max(MENU_BOX, len(digit) + 3)
            self.canvas.put(x + 2, y, digit)
            self.canvas.invert(x, y, wide, HAN_ROWS)
            self.canvas.put(x + wide + MENU_GAP, y, self._text(text, min((column + 1) * pitch, end) - x - wide - MENU_GAP))
