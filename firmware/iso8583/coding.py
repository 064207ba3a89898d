"""How one field lies on the wire: a small language, and what a line of it says.

A coding is a kind, a length and words, each about one thing alone, so that any of them can be combined:

    n6          six digits                              n..19       up to 19 of them behind a length of two digits
    z..37       digits and the separator of a track     n...999     behind a length of three digits
    a8          eight characters of text                n...17/60   up to 17 are sent, up to 60 are taken
    b8          eight bytes                             x8          C or D, then eight digits

    packed  ascii  ebcdic            digits two to a byte, or a character each        n z x   (text: ascii, ebcdic)
    raw  hex                         bytes as they are, or two hexadecimal characters       b
    length=packed  length=ascii  length=ebcdic  length=binary
                                     how the length in front is written: LL and LLL take one and two bytes packed or
                                     binary, two and three characters
    bytes                            the length counts bytes, not digits              n z, packed
    halves                           the length counts half bytes, not bytes          b
    left  right                      where the digits lie when they are odd: the other end has the odd nibble
    pad0  padF                       what the odd nibble is

What a coding does not say is what its dialect says ("ascii hex length=ascii"), and else: packed, raw, length=packed, pad0,
n right in a fixed field and left behind a length, ascii for text. Of what a dialect says only the words that fit a kind
apply to it; a word of the coding itself that does not fit is an error.
"""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# kind, dots (0, 2, 3: digits of the length in front), size (what may be sent), most (what is taken), written, length,
# unit ("" as the kind counts, "bytes", "halves"), left, pad
Coding = namedtuple("Coding", ("kind", "dots", "size", "most", "written", "length", "unit", "left", "pad"))

# word: (what it is about, the kinds that it fits)
WORDS = {
    "packed": ("written", "nzx"),
    "ascii": ("written", "nzxa"),
    "ebcdic": ("written", "nzxa"),
    "raw": ("written", "b"),
    "hex": ("written", "b"),
    "length=packed": ("length", "nzab"),
    "length=ascii": ("length", "nzab"),
    "length=ebcdic": ("length", "nzab"),
    "length=binary": ("length", "nzab"),
    "bytes": ("unit", "nz"),
    "halves": ("unit", "b"),
    "left": ("side", "nz"),
    "right": ("side", "nz"),
    "pad0": ("pad", "nz"),
    "padF": ("pad", "nz"),
}
WRITTEN = {"n": "packed", "z": "packed", "x": "packed", "a": "ascii", "b": "raw"}
LARGEST = {2: {"length=binary": 255}, 3: {}}  # else 99 and 999


def _wrong(text: str, why: str) -> "NoReturn":
    raise ValueError("unknown coding %r: %s" % (text[:40], why))


def parse(text: str, words: str = "") -> Coding:
    """What a coding says; words: what its dialect says for all fields. ValueError, with the reason, for what is none."""
    if not isinstance(text, str) or not text:
        raise ValueError("a coding is a text like 'n..19', not %r" % type(text).__name__)
    parts = text.split()
    if not parts:
        _wrong(text, "it is empty")
    body = parts[0]
    kind = body[0]
    if kind not in WRITTEN:
        _wrong(text, "the kind is one of n z x a b")
    dots = 0
    while body[1 + dots : 2 + dots] == ".":
        dots += 1
    numbers = body[1 + dots :].split("/")
    for number in numbers:
        if not (0 < len(number) < 5 and number.isdigit() and number.encode() <= b"9999"):
            _wrong(text, "after the kind and the dots comes a number, or two with / between")
    size, most = int(numbers[0]), int(numbers[-1])
    said = _said(text, kind, words.split(), parts[1:])
    fits = len(numbers) < 3 and dots in (0, 2, 3) and 0 < size <= most < 1000
    if not fits or (dots == 0 and (size != most or kind == "z")) or (kind == "x" and dots):
        _wrong(text, "such a length is not possible")
    length = said.get("length", "length=packed")
    unit = said.get("unit", "")
    written = said.get("written", WRITTEN[kind])
    if unit == "bytes" and (written != "packed" or not dots):
        _wrong(text, "bytes are counted where digits are packed behind a length")
    if unit == "halves" and not dots:
        _wrong(text, "nothing is counted without a length in front")
    counted = most * 2 if unit == "halves" else (most + 1) // 2 if unit == "bytes" else most
    if dots and counted > LARGEST[dots].get(length, 99 if dots == 2 else 999):
        _wrong(text, "the length has too few digits")
    left = said.get("side", "left" if dots else "right") == "left"
    return Coding(kind, dots, size, most, written, length, unit, left, "F" if said.get("pad") == "padF" else "0")


def _said(text: str, kind: str, general: "list[str]", own: "list[str]") -> "dict[str, str]":
    """{what it is about: word}: the coding's own words before those of its dialect."""
    said = {}
    for word in general:
        if word not in WORDS:
            _wrong(text, "its dialect says %r" % word[:20])
        about, kinds = WORDS[word]
        if kind in kinds:
            said[about] = word
    mine: "dict[str, str]" = {}
    for word in own:
        if word not in WORDS or kind not in WORDS[word][1]:
            _wrong(text, "%r is no word for it" % word[:20])
        about = WORDS[word][0]
        if about in mine:
            _wrong(text, "%s and %s" % (mine[about], word))
        mine[about] = said[about] = word
    return said
