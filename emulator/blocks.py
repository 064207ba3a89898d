"""A one-bit picture drawn with the characters of a terminal.

    half blocks   one character is 1 x 2 pixels: 128 x 64 pixels are 128 columns and 32 rows
    braille       one character is 2 x 4 pixels: 128 x 64 pixels are 64 columns and 16 rows

The pixel order of a braille character is Unicode's: dots 1 2 3 7 down the left side, 4 5 6 8 down the right.
"""

from __future__ import annotations

from collections.abc import Sequence

_HALVES = " ▀▄█"  # neither, upper, lower, both
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def rows_of(image) -> list[str]:
    """A one-bit image (`drivers/picture.py`) as rows of "#" (lit) and "."."""
    width, height = image.size
    data = image.convert("1").tobytes()
    stride = (width + 7) // 8
    table = str.maketrans("01", ".#")
    return [
        format(int.from_bytes(data[y * stride : (y + 1) * stride], "big"), "0%db" % (stride * 8))[:width].translate(table)
        for y in range(height)
    ]


def half_blocks(rows: Sequence[str]) -> list[str]:
    """Rows of "#" and "." as half as many lines of half blocks."""
    lines = []
    for y in range(0, len(rows), 2):
        lower = rows[y + 1] if y + 1 < len(rows) else "." * len(rows[y])
        lines.append("".join(_HALVES[(a == "#") + 2 * (b == "#")] for a, b in zip(rows[y], lower, strict=True)))
    return lines


def braille(rows: Sequence[str]) -> list[str]:
    """Rows of "#" and "." as a quarter as many lines of braille."""
    width = max(map(len, rows), default=0)
    padded = [row.ljust(width + width % 2, ".") for row in rows] + ["." * (width + 1)] * (-len(rows) % 4)
    lines = []
    for y in range(0, len(padded), 4):
        line = []
        for x in range(0, width, 2):
            dots = 0
            for dy, pair in enumerate(_DOTS):
                for dx, dot in enumerate(pair):
                    if padded[y + dy][x + dx] == "#":
                        dots |= dot
            line.append(chr(0x2800 + dots))
        lines.append("".join(line))
    return lines


def framed(lines: Sequence[str]) -> list[str]:
    """The lines in a thin frame."""
    width = max(map(len, lines), default=0)
    return ["┌" + "─" * width + "┐", *("│" + line.ljust(width) + "│" for line in lines), "└" + "─" * width + "┘"]
