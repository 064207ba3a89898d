"""The glyphs of a slip, 24 dots high: for heads that lack a Chinese font, and for the head of the emulated printer.

Unifont of the distribution, drawn at one and a half times its 16 dots, is crisp on a 203 dpi head: ASCII 12 x 24,
everything else 24 x 24. Where it is missing, WenQuanYi's 16 dots are enlarged; without either, Pillow's own face
shows ASCII and a frame stands for the rest.

Dots are rows of bytes, the left dot in the highest bit, 1 is black.
"""

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import NamedTuple

DOTS = 384
HEIGHT = 24

_UNIFONT = "/usr/share/fonts/opentype/unifont/unifont.otf"
_WENQUANYI = "/usr/share/fonts/X11/misc/wenquanyi_12pt.pcf"


@cache
def _face():
    """(font, side of its Han character in dots)."""
    from PIL import ImageFont

    for path, size, side in ((_UNIFONT, 24, 24), (_WENQUANYI, 16, 16)):
        try:
            return ImageFont.truetype(path, size), side
        except OSError:
            continue
    return ImageFont.load_default(20), 0


@lru_cache(2048)
def glyph(character: str, bold: bool = False):
    """One character as an image of mode "1" (`picture.py`), black is 1: 12 or 24 dots wide, 24 high."""
    from PIL import Image, ImageChops, ImageDraw

    font, side = _face()
    width = 12 if character < "\x80" else 24
    if side == 24:
        image = _drawn(font, character, width, HEIGHT)
    elif side:
        narrow = _drawn(font, character, max(int(font.getlength(character)), 1), side).convert("L")
        image = narrow.resize((width, HEIGHT), Image.Resampling.BICUBIC).point(lambda shade: shade > 110, "1")
    elif character < "\x80":
        image = _drawn(font, character, width, HEIGHT)
    else:
        image = Image.new("1", (width, HEIGHT))
        ImageDraw.Draw(image).rectangle((2, 2, width - 3, HEIGHT - 3), outline=255)
    if bold:
        # A printer's bold: the same dots once more, one to the right.
        moved = Image.new("1", image.size)
        moved.paste(image, (1, 0))
        image = ImageChops.logical_or(image, moved)
    return image


def _drawn(font, character, width, height):
    from PIL import Image, ImageDraw

    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    draw.fontmode = "1"
    # A Latin or Greek letter in a Han cell stands in its middle.
    left = max(0, (width - int(font.getlength(character))) // 2)
    draw.text((left, 0), character, font=font, fill=255)
    return image


class Cell(NamedTuple):
    """One character in a line, and how it is burnt: so many times as wide and as high, bold, white on black, underlined."""

    character: str
    wide: int = 1
    high: int = 1
    bold: bool = False
    invert: bool = False
    underline: bool = False

    @property
    def dots(self) -> int:
        """How wide it is."""
        return self.wide * (12 if self.character < "\x80" else 24)


def burn(cells: Iterable[Cell], left: int, height: int) -> list[bytes]:
    """A line of cells as `height` rows of 48 bytes, from dot `left` on; what is too long is cut off at the right.

    Cells of different height stand on one base line.
    """
    from PIL import Image, ImageChops, ImageDraw

    line = Image.new("1", (DOTS, height))
    for cell in cells:
        image = glyph(cell.character, cell.bold)
        if cell.wide * cell.high > 1:
            image = image.resize((image.width * cell.wide, image.height * cell.high), Image.Resampling.NEAREST)
        if cell.invert:
            image = ImageChops.invert(image)
        line.paste(image, (left, height - image.height))
        if cell.underline:
            ImageDraw.Draw(line).line((left, height - 1, left + image.width - 1, height - 1), fill=255)
        left += image.width
    dots = line.tobytes()
    return [dots[start : start + DOTS // 8] for start in range(0, len(dots), DOTS // 8)]


def rows(text: str, bold: bool = False, wide: int = 1, high: int = 1, centred: bool = False) -> list[bytes]:
    """One line of text as 24 * high rows of 48 bytes. What is too long is cut off at the right."""
    cells = [Cell(character, wide, high, bold) for character in text]
    left = max(0, DOTS - sum(cell.dots for cell in cells)) // 2 if centred else 0
    return burn(cells, left, HEIGHT * high)
