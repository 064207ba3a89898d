"""Pictures of one bit a dot: columns, rows and images into each other, and PNG files out of them.

    columns   one integer each, left to right, bit 0 at the top: how OLED controllers keep their memory (`fonts.py`)
    rows      bytes, the left dot in the highest bit: how a print head takes them (`slipfont.py`)
    image     Pillow's, mode "1"

Whoever shows a picture or looks at one does it through here; nobody outside `drivers/` needs Pillow, and it is not
imported before the first picture.
"""

from __future__ import annotations

from io import BytesIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from PIL.Image import Image as Image

Colour = tuple[int, int, int]

# Heat spreads: the edges of a burnt dot are softer than its middle, and the middle stays dark.
SPREAD = 0.6
DARKER, DARK = 1.25, 40


def picture(columns: list[int], size: tuple[int, int]) -> Image:
    """The columns as an image of `size` (width, height), its height a multiple of 8."""
    from PIL import Image

    width, height = size
    data = b"".join([column.to_bytes(height // 8, "little") for column in columns])
    # Column-major data are the mirrored picture's rows; "1;R" reads the lowest bit first.
    return Image.frombytes("1", (height, width), data, "raw", "1;R").transpose(Image.Transpose.TRANSPOSE)


def columns_of(image: Image) -> list[int]:
    """The columns of an image whose height is a multiple of 8."""
    from PIL import Image as Pillow

    width, height = image.size
    data = image.transpose(Pillow.Transpose.TRANSPOSE).tobytes("raw", "1;R")
    deep = height // 8
    return [int.from_bytes(data[x * deep : x * deep + deep], "little") for x in range(width)]


def drawn(columns: list[int], height: int, lit: str = "#", dark: str = ".") -> list[str]:
    """The columns as text, one line a row of pixels."""
    return ["".join(lit if column >> y & 1 else dark for column in columns) for y in range(height)]


def burnt(rows: bytes, width: int) -> Image:
    """Rows of `width` dots, a multiple of 8, as an image on white paper: 1 is black, which is 0 in the image."""
    from PIL import Image

    return Image.frombytes("1", (width, len(rows) * 8 // width), rows, "raw", "1;I")


def png(image: Image) -> bytes:
    """The image as a PNG file, a dot a pixel."""
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def strip_png(dots: Image, margin: int, tooth: int, paper: Colour, ink: Colour) -> bytes:
    """A strip of paper as a person sees it, as a PNG file: ink that has run a little, torn edges.

    dots      what is burnt, 0 is black.
    margin    bare paper at each side, in dots.
    tooth     height of the teeth at both ends, in dots; what is round the paper is transparent.
    """
    from PIL import Image, ImageDraw, ImageFilter

    width, height = dots.width + 2 * margin, dots.height + 4 * tooth
    heat = Image.new("L", (width, height), 255)
    heat.paste(dots.convert("L"), (margin, 2 * tooth))
    soft = heat.filter(ImageFilter.GaussianBlur(SPREAD)).point(lambda shade: max(0, min(255, int(shade * DARKER - DARK))))
    strip = Image.new("RGB", (width, height), paper)
    strip.paste(Image.new("RGB", (width, height), ink), mask=soft.point(lambda shade: 255 - shade))
    edge = Image.new("L", (width, height), 0)
    teeth = [(x, tooth * (x // tooth % 2)) for x in range(0, width + tooth, tooth)]
    below = [(x, height - 1 - y) for x, y in reversed(teeth)]
    ImageDraw.Draw(edge).polygon(teeth + below, fill=255)
    strip.putalpha(edge)
    file = BytesIO()
    strip.save(file, "PNG", compress_level=1)  # a slip is asked for again at each line that is printed
    return file.getvalue()
