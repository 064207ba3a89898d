"""Looks for secrets in bytes, in any coding in which a program might have left them.

A secret of digits (card number, PIN, password) is looked for as
    text         ASCII, UTF-16 of both orders; in groups of four as cards have it
    BCD          two digits a byte, whatever nibble stands before or behind an odd one
    swapped      BCD with the nibbles of each byte swapped, as telephone numbers are written
    base64       of the text and of the BCD, however many bytes stand before it, in both alphabets
and one of bytes (key, PIN block) as the bytes, hex of both cases, hex in UTF-16, swapped, base64.

A name is text of both cases, and hex of it. Of a track all that follows the number is looked for too: in track 2 as the chip
has it, its date, service code and the issuer's own digits.

Of a card number each run of ten digits counts (twelve in BCD), so that the first six and the last four alone do not. Of a
key each half. A number too short to differ from noise is not looked for in BCD.
"""

import base64
import re
import sys
import zlib

RUN = 10  # digits of a card number that must not stand together
PACKED_RUN = 12  # the same in BCD
START = 4
SHORTEST = 5  # bytes; what is shorter is in any noise
PNG = b"\x89PNG\r\n\x1a\n"
GROUPED = re.compile(rb"(?<=[0-9])[ -](?=[0-9])")


def base64_cores(data):
    """What is in any base64 text of the data: for each place modulo 3, the characters that depend on nothing else."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + data)
        first = -(-before * 8 // 6)
        last = (before + len(data)) * 8 // 6
        yield text[first:last]
        yield base64.b64encode(bytes(before) + data, b"-_")[first:last]


def swapped(data):
    return bytes((byte & 15) << 4 | byte >> 4 for byte in data)


def of_bytes(data, halves=True):
    """Every form of a secret that is bytes. halves: of each half of it."""
    parts = [data[:8], data[8:16]] if halves and len(data) == 16 else [data]
    for part in parts:
        yield "bytes", part
        yield "swapped", swapped(part)
        for text in (part.hex(), part.hex().upper()):
            yield "hex", text.encode()
            yield "UTF-16", text.encode("utf-16-le")
            yield "UTF-16", text.encode("utf-16-be")[:-1]
        if len(part) >= 8:
            for core in base64_cores(part):
                yield "base64", core


def of_digits(digits, runs=False):
    """Every form of a secret that is digits. runs: of each run of ten of them."""
    for run in cut(digits, RUN) if runs else [digits]:
        yield "text", run.encode()
        yield "UTF-16", run.encode("utf-16-le")
        yield "UTF-16", run.encode("utf-16-be")
    for run in cut(digits, PACKED_RUN) if runs else [digits]:
        for packed in bcd(run):
            yield "BCD", packed
            yield "swapped", swapped(packed)
    for core in base64_cores(digits.encode()):
        yield "base64", core
    for packed in bcd(digits):
        for core in base64_cores(packed):
            yield "base64 of BCD", core


def of_text(text):
    """Every form of a secret that is letters."""
    for form in (text, text.upper(), text.lower(), text.title()):
        data = form.encode()
        for coding in ("utf-8", "utf-16-le", "utf-16-be"):
            yield "text", form.encode(coding)
        for hexed in (data.hex(), data.hex().upper()):
            yield "hex", hexed.encode()
        for core in base64_cores(data):
            yield "base64", core


def cut(digits, size):
    return [digits[at : at + size] for at in range(len(digits) - size + 1)]


def bcd(digits):
    """The whole bytes in a packed number, for either place of its first digit."""
    for at in (0, 1):
        packed = bytes.fromhex(digits[at : at + (len(digits) - at) // 2 * 2])
        if len(packed) >= SHORTEST:
            yield packed


class Searcher:
    """`find(bytes)` says which secrets are there: [(name, coding)], never the secret.

    There are thousands of forms: those are looked for of which the first four bytes stand anywhere in the data.
    """

    def __init__(self):
        self._needles = {}  # needle: (name, coding)
        self._starts = {}  # its first four bytes as a number: [needle]

    def add(self, name, forms):
        for coding, needle in forms:
            if needle not in self._needles:
                self._starts.setdefault(int.from_bytes(needle[:START], sys.byteorder), []).append(needle)
            self._needles[needle] = (name, coding)

    def name(self, name, text):
        self.add(name, of_text(text))

    def track(self, name, tail):
        """tail: the digits behind the separator of tracks 1 and 2."""
        self.add(name, of_digits(tail))

    def card(self, name, number):
        self.add(name, of_digits(number, runs=True))

    def digits(self, name, digits):
        self.add(name, of_digits(digits))

    def key(self, name, data):
        self.add(name, of_bytes(bytes(data)))

    def __len__(self):
        return len(self._needles)

    def find(self, data):
        data = data + b"\n" + unpacked(data)
        data += b"\n" + GROUPED.sub(b"", data)
        starts = set()
        for at in range(START):
            starts.update(memoryview(data)[at : at + (len(data) - at) // START * START].cast("I"))
        likely = [needle for start in starts & self._starts.keys() for needle in self._starts[start]]
        return sorted({self._needles[needle] for needle in likely if needle in data})


def unpacked(data):
    """The texts in a PNG, compressed or not."""
    if not data.startswith(PNG):
        return b""
    out = []
    at = len(PNG)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += size + 12
        if kind not in (b"zTXt", b"iTXt"):
            continue
        for start in range(len(body)):
            try:
                out.append(zlib.decompress(body[start:]))
                break
            except zlib.error:
                continue
    return b"\n".join(out)
