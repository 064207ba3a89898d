"""A coding as two functions: the parts of a field put together once, so that a message is packed and read without asking again.

    pack(value) -> bytes                        unpack(data, text, at) -> value, place behind it

`text` is the message seen as characters and `at` counts them. A codec has one of two views, whichever is more often of use:

    half bytes    text is the message in hexadecimal: packed digits are a slice of it          shift 1
    characters    text is the message itself: digits and text in ASCII are a slice of it       shift 0

so `at >> shift` is the place in `data`, which is always there for what the view does not help. In the view of characters a
byte that is none of ASCII is OTHER, and whoever reads the message refuses values that have one.

A field is a way to write values behind a way to write lengths: `_length` makes the second, the others the first.
"""

from binascii import hexlify, unhexlify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from firmware.iso8583.coding import Coding

    Pack = Callable[[Any], bytes]  # a str or bytes, as the field's coding has it
    Unpack = Callable[[bytes, str, int], tuple[Any, int]]

OTHER = "\ufffd"


class Stop(Exception):
    """A value that does not fit. field, why, and where reading stopped, in characters of the view; None when packing."""

    def __init__(self, field: int, at: "int | None", why: str) -> None:
        super().__init__(why)
        self.field = field
        self.at = at
        self.why = why


def _refuse(field: int, why: str) -> "NoReturn":
    raise Stop(field, None, why)


def _stop(field: int, at: int, why: str) -> "NoReturn":
    raise Stop(field, at, why)


# ---- characters

# EBCDIC, code page 037, of the characters 20 to 7E
_EBCDIC = (
    "405A7F7B5B6C507D4D5D5C4E6B604B61F0F1F2F3F4F5F6F7F8F97A5E4C7E6E6F7CC1C2C3C4C5C6C7C8C9D1D2D3D4D5D6D7D8D9E2E3E4E5E6E7E8E9BAE0BB"
    "B06D79818283848586878889919293949596979899A2A3A4A5A6A7A8A9C04FD0A1"
)
_from_ebcdic: "list[str]" = []  # character of each byte, made when a dialect needs it


def _ebcdic_characters() -> "list[str]":
    if not _from_ebcdic:
        codes = unhexlify(_EBCDIC)
        characters = [OTHER] * 256
        for place in range(len(codes)):
            characters[codes[place]] = chr(32 + place)
        _from_ebcdic.extend(characters)
    return _from_ebcdic


def to_ascii(value: str) -> bytes:
    """ValueError for what is not ASCII."""
    data = value.encode()
    if len(data) != len(value):
        raise ValueError("not ASCII")
    return data


def from_ascii(data: bytes) -> str:
    """ValueError for what is not ASCII."""
    value = data.decode()
    if len(value) != len(data):
        raise ValueError("not ASCII")
    return value


def to_ebcdic(value: str) -> bytes:
    """ValueError for what is not printable ASCII."""
    codes = unhexlify(_EBCDIC)
    places = [ord(character) - 32 for character in value]
    if places and not (min(places) >= 0 and max(places) < len(codes)):
        raise ValueError("not ASCII")
    return bytes([codes[place] for place in places])


def from_ebcdic(data: bytes) -> str:
    """ValueError for what has no printable character in ASCII."""
    characters = _ebcdic_characters()
    value = "".join([characters[code] for code in data])
    if OTHER in value:
        raise ValueError("not EBCDIC")
    return value


def _encoder(written: str) -> "Callable[[str], bytes]":
    return to_ebcdic if written == "ebcdic" else to_ascii


def _decoder(written: str) -> "Callable[[bytes], str]":
    return from_ebcdic if written == "ebcdic" else from_ascii


# ---- lengths

_LENGTHS = [bytes([(i // 10) << 4 | i % 10]) for i in range(100)]
_COUNTS = [(i >> 4) * 10 + (i & 15) if i >> 4 < 10 and i & 15 < 10 else -1 for i in range(256)]
_PAIRS = {"%02d" % count: count for count in range(100)}
_heads: "dict[tuple[str, int], list[bytes]]" = {}  # (how, dots): the lengths as they are sent, shared by all fields


def _written(how: str, dots: int) -> "list[bytes]":
    """The lengths from 0 as they are sent."""
    heads = _heads.get((how, dots))
    if heads is None:
        if how == "length=packed":
            heads = _LENGTHS if dots == 2 else [_LENGTHS[i // 100] + _LENGTHS[i % 100] for i in range(1000)]
        elif how == "length=binary":
            heads = [bytes([i]) for i in range(256)] if dots == 2 else [bytes([i >> 8, i & 255]) for i in range(1000)]
        else:
            form = "%02d" if dots == 2 else "%03d"
            encode = _encoder(how[len("length=") :])
            heads = [encode(form % i) for i in range(100 if dots == 2 else 1000)]
        _heads[(how, dots)] = heads
    return heads


def _length(field: int, coding: "Coding", most: int, shift: int) -> "tuple[list[bytes], Callable[[bytes, int], int], int]":
    """The lengths as they are sent; a reader (data, at) -> count that takes up to `most`; what it passes over in the view."""
    heads = _written(coding.length, coding.dots)
    width = len(heads[0])

    def over(at: int, count: int) -> "NoReturn":
        _stop(field, at, "length %d is over %d" % (count, most))

    def read_packed_byte(data: bytes, at: int) -> int:
        count = _COUNTS[data[at >> shift]]
        if count < 0:
            _stop(field, at, "length is not BCD")
        if count > most:
            over(at, count)
        return count

    def read_packed_bytes(data: bytes, at: int) -> int:
        begin = at >> shift
        high = _COUNTS[data[begin]]
        low = _COUNTS[data[begin + 1]]
        if high < 0 or low < 0:
            _stop(field, at, "length is not BCD")
        count = high * 100 + low
        if count > most:
            over(at, count)
        return count

    def read_binary(data: bytes, at: int) -> int:
        begin = at >> shift
        count = data[begin] if width == 1 else data[begin] << 8 | data[begin + 1]
        if count > most:
            over(at, count)
        return count

    decode = _decoder(coding.length[len("length=") :])

    def read_digits(data: bytes, at: int) -> int:
        begin = at >> shift
        raw = data[begin : begin + width]
        try:
            digits = decode(raw)
        except ValueError:
            digits = ""
        if len(digits) != width or not digits.isdigit():
            _stop(field, at, "cut short" if len(raw) < width else "length is not digits")
        count = int(digits)
        if count > most:
            over(at, count)
        return count

    if coding.length == "length=packed":
        read = read_packed_byte if width == 1 else read_packed_bytes
    else:
        read = read_binary if coding.length == "length=binary" else read_digits
    return heads, read, width << shift


# ---- digits, two to a byte: in the view of half bytes


def _digits_fixed(field: int, coding: "Coding") -> "tuple[Pack, Unpack]":
    size, left, pad = coding.size, coding.left, coding.pad
    why = "needs %d digits" % size
    odd = size % 2
    first = odd if not left else 0
    width = size + odd

    def pack(value: str) -> bytes:
        if len(value) != size or not value.isdigit():
            _refuse(field, why)
        return unhexlify(value)

    def pack_odd(value: str) -> bytes:
        if len(value) != size or not value.isdigit():
            _refuse(field, why)
        return unhexlify(value + pad if left else pad + value)

    def unpack(data: bytes, text: str, at: int) -> "tuple[str, int]":
        end = at + size
        value = text[at:end]
        if len(value) != size:
            _stop(field, at, "cut short")
        if not value.isdigit():
            _stop(field, at, "not BCD")
        return value, end

    def unpack_odd(data: bytes, text: str, at: int) -> "tuple[str, int]":
        value = text[at + first : at + first + size]
        if len(value) != size:
            _stop(field, at, "cut short")
        if not value.isdigit():
            _stop(field, at, "not BCD")
        return value, at + width

    return (pack_odd, unpack_odd) if odd else (pack, unpack)


def _digits_variable(field: int, coding: "Coding") -> "tuple[Pack, Unpack]":
    size, left, pad = coding.size, coding.left, coding.pad
    track = coding.kind == "z"
    heads, read, skip = _length(field, coding, coding.most, 1)
    why = "takes up to %d digits" % size

    def pack(value: str) -> bytes:
        count = len(value)
        if count > size or not (value.isdigit() or count == 0):
            _refuse(field, why)
        if count % 2:
            value = value + pad if left else pad + value
        return heads[count] + unhexlify(value)

    def pack_track(value: str) -> bytes:
        count = len(value)
        if count > size:
            _refuse(field, why)
        value = value.replace("=", "D")
        if count % 2:
            value = value + pad if left else pad + value
        return heads[count] + unhexlify(value)

    def unpack(data: bytes, text: str, at: int) -> "tuple[str, int]":
        count = read(data, at)
        at += skip
        end = at + count
        if count % 2:
            end += 1
            value = text[at : end - 1] if left else text[at + 1 : end]
        else:
            value = text[at:end]
        if len(value) != count:
            _stop(field, at, "cut short")
        if track:
            value = value.upper()
        elif not value.isdigit() and count:
            _stop(field, at, "not BCD")
        return value, end

    return (pack_track if track else pack), unpack


def _digits_in_bytes(field: int, coding: "Coding") -> "tuple[Pack, Unpack]":
    """Digits whose length counts bytes: an odd count can be told from an even one only where the pad is F."""
    size, left, pad = coding.size, coding.left, coding.pad
    track = coding.kind == "z"
    heads, read, skip = _length(field, coding, (coding.most + 1) // 2, 1)
    why = "takes up to %d digits" % size

    def pack(value: str) -> bytes:
        count = len(value)
        value = value.replace("=", "D") if track else value
        if count > size or not (track or value.isdigit() or count == 0):
            _refuse(field, why)
        if count % 2:
            if pad != "F":
                _refuse(field, "an odd number of digits cannot be told from an even one")
            value = value + pad if left else pad + value
        return heads[len(value) // 2] + unhexlify(value)

    def unpack(data: bytes, text: str, at: int) -> "tuple[str, int]":
        end = at + skip + read(data, at) * 2
        at += skip
        if end > len(text):
            _stop(field, at, "cut short")
        value = text[at:end].upper()
        if pad == "F" and value:
            if left and value[-1] == "F":
                value = value[:-1]
            elif not left and value[0] == "F":
                value = value[1:]
        if not (track or value.isdigit() or not value):
            _stop(field, at, "not BCD")
        return value, end

    return pack, unpack


SIGNS = ("C", "D")


def _signed_packed(field: int, coding: "Coding") -> "tuple[Pack, Unpack]":
    """C or D as a character, then digits two to a byte."""
    size = coding.size
    why = "needs C or D and %d digits" % size
    odd = size % 2
    width = 2 + size + odd

    def pack(value: str) -> bytes:
        if len(value) != size + 1 or value[0] not in SIGNS or not value[1:].isdigit():
            _refuse(field, why)
        return value[0].encode() + unhexlify(("0" if odd else "") + value[1:])

    def unpack(data: bytes, text: str, at: int) -> "tuple[str, int]":
        end = at + width
        digits = text[at + 2 + odd : end]
        if len(digits) != size:
            _stop(field, at, "cut short")
        sign = chr(data[at >> 1])
        if sign not in SIGNS or not digits.isdigit():
            _stop(field, at, "no amount with its sign")
        return sign + digits, end

    return pack, unpack


# ---- a character each


def _digits_only(value: str) -> bool:
    return value.isdigit() or not value


def _track(value: str) -> bool:
    return not value.replace("=", "").replace("D", "") or all([character in "0123456789ABCDEF=" for character in value])


def _signed(value: str) -> bool:
    return value[:1] in SIGNS and value[1:].isdigit()


def _any(value: str) -> bool:
    return True


# kind: (how it is called, whether a value may be sent, whether one is taken)
_CHARACTERS = {
    "n": ("digits", _digits_only, _digits_only),
    "z": ("digits of a track", _track, _any),
    "x": ("characters: C or D, then digits", _signed, _signed),
    "a": ("%s characters", _any, _any),
}


def _characters(field: int, coding: "Coding", shift: int) -> "tuple[Pack, Unpack]":
    """Whatever is written a character to a byte, in any view; `_plain` is the same for ASCII in the view of characters."""
    name, sends, takes = _CHARACTERS[coding.kind]
    name = name % ("EBCDIC" if coding.written == "ebcdic" else "ASCII") if "%" in name else name
    size = coding.size + (coding.kind == "x")
    encode, decode = _encoder(coding.written), _decoder(coding.written)
    foreign = "not EBCDIC" if coding.written == "ebcdic" else "not ASCII"
    why = ("takes up to %d %s" if coding.dots else "needs %d %s") % (size, name)
    heads: "list[bytes]" = []
    read = None
    skip = 0
    if coding.dots:
        heads, read, skip = _length(field, coding, coding.most, shift)

    def pack(value: str) -> bytes:
        count = len(value)
        if (count > size if heads else count != size) or not sends(value):
            _refuse(field, why)
        try:
            data = encode(value)
        except ValueError:
            _refuse(field, why)
        return heads[count] + data if heads else data

    def unpack(data: bytes, text: str, at: int) -> "tuple[str, int]":
        count = size if read is None else read(data, at)
        at += skip
        begin = at >> shift
        raw = data[begin : begin + count]
        if len(raw) != count:
            _stop(field, at, "cut short")
        try:
            value = decode(raw)
        except ValueError:
            _stop(field, at, foreign)
        if not takes(value):
            _stop(field, at, "not %s" % name)
        return value, at + (count << shift)

    return pack, unpack


def _text_fixed(field: int, size: int) -> "tuple[Pack, Unpack]":
    """ASCII text in the view of half bytes."""
    why = "needs %d ASCII characters" % size
    width = size * 2

    def pack(value: str) -> bytes:
        data = value.encode()
        # Other than ASCII takes more bytes than characters.
        if len(data) != size or len(value) != size:
            _refuse(field, why)
        return data

    def unpack(data: bytes, text: str, at: int) -> "tuple[str, int]":
        begin = at >> 1
        raw = data[begin : begin + size]
        if len(raw) != size:
            _stop(field, at, "cut short")
        value = raw.decode()
        if len(value) != size:
            _stop(field, at, "not ASCII")
        return value, at + width

    return pack, unpack


def _plain(field: int, coding: "Coding") -> "tuple[Pack, Unpack]":
    """ASCII behind a length in ASCII, or without one, in the view of characters: slices of the text."""
    pack_any, _ = _characters(field, coding, 0)
    size, most = coding.size, coding.most
    digits = coding.kind == "n"

    def pack_digits(value: str) -> bytes:
        data = value.encode()
        if len(data) != size or not data.isdigit():
            _refuse(field, "needs %d digits" % size)
        return data

    def pack_text(value: str) -> bytes:
        data = value.encode()
        if len(data) != size or len(value) != size:
            _refuse(field, "needs %d ASCII characters" % size)
        return data

    def unpack_digits(data: bytes, text: str, at: int) -> "tuple[str, int]":
        end = at + size
        value = text[at:end]
        if len(value) != size:
            _stop(field, at, "cut short")
        if not value.isdigit():
            _stop(field, at, "not digits")
        return value, end

    def unpack_text(data: bytes, text: str, at: int) -> "tuple[str, int]":
        end = at + size
        value = text[at:end]
        if len(value) != size:
            _stop(field, at, "cut short")
        return value, end

    if not coding.dots:
        return (pack_digits, unpack_digits) if digits else (pack_text, unpack_text)
    three = coding.dots == 3
    skip = coding.dots
    heads = _written(coding.length, coding.dots)

    def pack_digits_behind(value: str) -> bytes:
        data = value.encode()
        count = len(data)
        if count > size or not (data.isdigit() or count == 0):
            _refuse(field, "takes up to %d digits" % size)
        return heads[count] + data

    def unpack_behind(data: bytes, text: str, at: int) -> "tuple[str, int]":
        begin = at + skip
        head = text[at:begin]
        if three:
            count = int(head) if len(head) == 3 and head.isdigit() else -1
        else:
            count = _PAIRS.get(head, -1)
        if count < 0:
            _stop(field, at, "cut short" if len(head) < skip else "length is not digits")
        if count > most:
            _stop(field, at, "length %d is over %d" % (count, most))
        end = begin + count
        value = text[begin:end]
        if len(value) != count:
            _stop(field, begin, "cut short")
        if digits and not value.isdigit() and count:
            _stop(field, begin, "not digits")
        return value, end

    return (pack_digits_behind if digits else pack_any), unpack_behind


# ---- bytes


def _bytes_fixed(field: int, coding: "Coding", shift: int) -> "tuple[Pack, Unpack]":
    size = coding.size
    why = "needs %d bytes" % size

    def pack(value: bytes) -> bytes:
        if len(value) != size:
            _refuse(field, why)
        return bytes(value)

    def unpack(data: bytes, text: str, at: int) -> "tuple[bytes, int]":
        begin = at >> shift
        end = begin + size
        value = data[begin:end]
        if len(value) != size:
            _stop(field, at, "cut short")
        return value, end << shift

    return pack, unpack


def _bytes_variable(field: int, coding: "Coding", shift: int) -> "tuple[Pack, Unpack]":
    size = coding.size
    halves = coding.unit == "halves"
    heads, read, skip = _length(field, coding, coding.most * 2 if halves else coding.most, shift)
    why = "takes up to %d bytes" % size

    def pack(value: bytes) -> bytes:
        count = len(value)
        if count > size:
            _refuse(field, why)
        return heads[count * 2 if halves else count] + bytes(value)

    def unpack(data: bytes, text: str, at: int) -> "tuple[bytes, int]":
        count = read(data, at)
        if halves:
            count = (count + 1) // 2
        at += skip
        begin = at >> shift
        end = begin + count
        value = data[begin:end]
        if len(value) != count:
            _stop(field, at, "cut short")
        return value, end << shift

    return pack, unpack


def to_hex(value: bytes) -> bytes:
    """Hexadecimal characters, capitals."""
    return hexlify(value).upper()


def _hex(field: int, coding: "Coding", shift: int) -> "tuple[Pack, Unpack]":
    """Bytes as hexadecimal characters."""
    size = coding.size
    halves = coding.unit == "halves"
    why = ("takes up to %d bytes" if coding.dots else "needs %d bytes") % size
    heads: "list[bytes]" = []
    read = None
    skip = 0
    if coding.dots:
        heads, read, skip = _length(field, coding, coding.most * 2 if halves else coding.most, shift)

    def pack(value: bytes) -> bytes:
        count = len(value)
        if count > size if heads else count != size:
            _refuse(field, why)
        data = to_hex(bytes(value))
        return heads[count * 2 if halves else count] + data if heads else data

    def unpack(data: bytes, text: str, at: int) -> "tuple[bytes, int]":
        count = size * 2
        if read is not None:
            count = read(data, at) * (1 if halves else 2)
        at += skip
        begin = at >> shift
        raw = data[begin : begin + count]
        if len(raw) != count:
            _stop(field, at, "cut short")
        try:
            value = unhexlify(raw)
        except ValueError:
            _stop(field, at, "not hexadecimal")
        return value, at + (count << shift)

    return pack, unpack


def closures(field: int, coding: "Coding", shift: int) -> "tuple[Pack, Unpack]":
    """The two functions of a field. They raise Stop, IndexError for a length that is cut off, or ValueError, TypeError and
    AttributeError for a value of another type.

    Digits that are packed need shift 1.
    """
    kind, written = coding.kind, coding.written
    if kind == "b":
        if written == "hex":
            return _hex(field, coding, shift)
        return _bytes_variable(field, coding, shift) if coding.dots else _bytes_fixed(field, coding, shift)
    if written == "packed":
        if kind == "x":
            return _signed_packed(field, coding)
        if coding.unit == "bytes":
            return _digits_in_bytes(field, coding)
        return _digits_variable(field, coding) if coding.dots else _digits_fixed(field, coding)
    if shift and kind == "a" and written == "ascii" and not coding.dots:
        return _text_fixed(field, coding.size)
    plain = written == "ascii" and (not coding.dots or coding.length == "length=ascii")
    if plain and not shift and kind != "x":
        return _plain(field, coding)
    return _characters(field, coding, shift)
