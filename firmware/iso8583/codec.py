"""Messages to bytes and back, by table.

    message = MTI (2 bytes BCD) | bitmap (8 bytes) | the fields whose bits are set, in rising order

Bit 1 of the bitmap announces eight more bytes for fields 65 to 128. A table without such fields refuses it.

Every row of the table (`fields`) is turned once into two closures, `pack(value)` and `unpack(data, text, at)`, where
`text` is the whole message in hexadecimal and `at` counts half bytes: a field of digits is then a slice. The list of
closures for a bitmap, or for a set of fields, is kept: a terminal uses a dozen of them.

The encoder is strict: exact lengths, nothing but what the coding allows. The decoder ignores the pad nibble, which hosts
fill as they like, and takes the longer fields that they send; the spaces that pad text stay, so that what was unpacked
packs to the same bytes.
A value never appears in an error.

Source: ISO 8583:1987; reference/host.md §2.
"""

from binascii import hexlify, unhexlify

from firmware.iso8583.fields import UNIONPAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Pack = Callable[[Any], bytes]  # a str or bytes, as the field's coding has it
    Unpack = Callable[[bytes, str, int], tuple[Any, int]]  # (message, the same in hex, place) -> value, place behind it

MESSAGE_LIMIT = 4096  # bytes; the longest download block of any known host is below 1,100
PLANS_LIMIT = 64  # kept lists of closures, so that made-up bitmaps cannot fill the memory

PREFIX = (0, 0, 1, 2)  # dots in a coding -> bytes of the length

_LENGTHS = [bytes([(i // 10) << 4 | i % 10]) for i in range(100)]
_COUNTS = [(i >> 4) * 10 + (i & 15) if i >> 4 < 10 and i & 15 < 10 else -1 for i in range(256)]


class Iso8583Error(ValueError):
    """A message that is not one.

    field       Number of the field; 0 the message type, 1 the bitmap.
    position    Offset in bytes from the message type where reading stopped; None when packing.
    why         What is wrong, without the value.
    """

    def __init__(self, field: int, position: "int | None", why: str) -> None:
        place = "" if position is None else " at %d" % position
        super().__init__("F%d%s: %s" % (field, place, why))
        self.field = field
        self.position = position
        self.why = why


def _refuse(field: int, why: str) -> "NoReturn":
    raise Iso8583Error(field, None, why)


def _stop(field: int, at: int, why: str) -> "NoReturn":
    raise Iso8583Error(field, at // 2, why)


# One maker a kind and length: (field, size, ...) -> (pack, unpack).


def _digits_fixed(field: int, size: int, left: bool, pad: str) -> "tuple[Pack, Unpack]":
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


def _length(field: int, prefix: int, size: int, most: int) -> "tuple[list[bytes], Callable]":
    """The lengths 0 to `size` as they are sent, and a reader that takes up to `most`: (data, at) -> count."""
    if prefix == 1:
        heads = _LENGTHS[: size + 1]

        def read(data: bytes, at: int) -> int:
            count = _COUNTS[data[at >> 1]]
            if count < 0:
                _stop(field, at, "length is not BCD")
            if count > most:
                _stop(field, at, "length %d is over %d" % (count, most))
            return count

        return heads, read

    heads = [_LENGTHS[i // 100] + _LENGTHS[i % 100] for i in range(size + 1)]

    def read_two(data: bytes, at: int) -> int:
        at >>= 1
        high = _COUNTS[data[at]]
        low = _COUNTS[data[at + 1]]
        if high < 0 or low < 0:
            _stop(field, at * 2, "length is not BCD")
        count = high * 100 + low
        if count > most:
            _stop(field, at * 2, "length %d is over %d" % (count, most))
        return count

    return heads, read_two


def _digits_variable(field: int, size: int, most: int, prefix: int, track: bool, left: bool, pad: str) -> "tuple[Pack, Unpack]":
    heads, read = _length(field, prefix, size, most)
    why = "takes up to %d digits" % size
    skip = prefix * 2

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


def _digits_in_bytes(field: int, size: int, most: int, prefix: int, track: bool, left: bool, pad: str) -> "tuple[Pack, Unpack]":
    """Digits whose length counts bytes: an odd count can be told from an even one only where the pad is F."""
    heads, read = _length(field, prefix, (size + 1) // 2, (most + 1) // 2)
    why = "takes up to %d digits" % size
    skip = prefix * 2

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


def _text_fixed(field: int, size: int) -> "tuple[Pack, Unpack]":
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


def _text_variable(field: int, size: int, most: int, prefix: int) -> "tuple[Pack, Unpack]":
    heads, read = _length(field, prefix, size, most)
    why = "takes up to %d ASCII characters" % size

    def pack(value: str) -> bytes:
        data = value.encode()
        count = len(data)
        if count > size or len(value) != count:
            _refuse(field, why)
        return heads[count] + data

    def unpack(data: bytes, text: str, at: int) -> "tuple[str, int]":
        count = read(data, at)
        begin = (at >> 1) + prefix
        raw = data[begin : begin + count]
        if len(raw) != count:
            _stop(field, begin * 2, "cut short")
        value = raw.decode()
        if len(value) != count:
            _stop(field, begin * 2, "not ASCII")
        return value, (begin + count) * 2

    return pack, unpack


def _bytes_fixed(field: int, size: int) -> "tuple[Pack, Unpack]":
    why = "needs %d bytes" % size

    def pack(value: bytes) -> bytes:
        if len(value) != size:
            _refuse(field, why)
        return bytes(value)

    def unpack(data: bytes, text: str, at: int) -> "tuple[bytes, int]":
        begin = at >> 1
        end = begin + size
        value = data[begin:end]
        if len(value) != size:
            _stop(field, at, "cut short")
        return value, end * 2

    return pack, unpack


def _bytes_variable(field: int, size: int, most: int, prefix: int, halves: bool) -> "tuple[Pack, Unpack]":
    heads, read = _length(field, prefix, size * 2 if halves else size, most * 2 if halves else most)
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
        begin = (at >> 1) + prefix
        end = begin + count
        value = data[begin:end]
        if len(value) != count:
            _stop(field, begin * 2, "cut short")
        return value, end * 2

    return pack, unpack


def _closures(field: int, coding: str) -> "tuple[Pack, Unpack]":
    """The pair for one row. Raises ValueError for a coding that this module does not know."""
    words = coding.split() or [""]
    kind = words[0][:1]
    dots = words[0].count(".")
    numbers = words[0][1 + dots :].split("/")
    size = int(numbers[0])
    most = int(numbers[-1])
    good = kind in ("n", "z", "a", "b") and dots in (0, 2, 3) and len(numbers) < 3 and 0 < size <= most < 1000
    for word in words[1:]:
        good = good and word in ("left", "right", "padF", "bytes", "halves")
    prefix = PREFIX[dots] if good else 0
    halves = "halves" in words
    most_sent = most * 2 if halves else most
    good = good and most_sent < (100 if prefix == 1 else 1000) and (prefix > 0 or kind != "z" and size == most)
    if not good:
        raise ValueError("field %d: unknown coding %r" % (field, coding))
    if kind == "b":
        return _bytes_variable(field, size, most, prefix, halves) if prefix else _bytes_fixed(field, size)
    if kind == "a":
        return _text_variable(field, size, most, prefix) if prefix else _text_fixed(field, size)
    pad = "F" if "padF" in words else "0"
    if not prefix:
        return _digits_fixed(field, size, "left" in words, pad)
    make = _digits_in_bytes if "bytes" in words else _digits_variable
    return make(field, size, most, prefix, kind == "z", "right" not in words, pad)


class Codec:
    """Packs and unpacks the messages of one host.

    table   {field: (coding, mask, zh, en)}, see `fields`; fields 2 to 128 but for 65.
    Raises ValueError for a table that it does not understand.
    """

    def __init__(self, table: dict = UNIONPAY) -> None:
        self.table = table
        self.second_bitmap = False
        self._pack = {}
        self._unpack = {}
        for field in table:
            if not 2 <= field <= 128 or field == 65:
                raise ValueError("field %r: not one of 2 to 128, 65 left out" % field)
            self.second_bitmap = self.second_bitmap or field > 64
            self._pack[field], self._unpack[field] = _closures(field, table[field][0])
        self._plans: "dict[bytes, list]" = {}  # bitmap -> [(field, unpack)]
        self._orders: "dict[tuple, tuple]" = {}  # (fields) -> (bitmap, [(field, pack)])

    def pack(self, mti: str, fields: dict) -> bytes:
        """The message's bytes: mti four digits, fields {number: str or bytes, as the coding says}.

        Raises Iso8583Error for a field that the table lacks, or for a value that does not fit its coding.
        """
        key = tuple(fields)
        bitmap, order = self._orders.get(key) or self._order(key)
        if len(mti) != 4 or not mti.isdigit():
            _refuse(0, "needs 4 digits")
        parts = [unhexlify(mti), bitmap]
        field = 0
        try:
            for field, pack in order:
                parts.append(pack(fields[field]))
        except Iso8583Error:
            raise
        except (TypeError, AttributeError, ValueError):
            _refuse(field, "not a value for its coding")
        return b"".join(parts)

    def unpack(self, message: bytes) -> "tuple[str, dict]":
        """(mti, {number: value}) of the bytes of one message, without anything before or behind it.

        Raises Iso8583Error, and nothing else, whatever the bytes are.
        """
        message = bytes(message)
        if len(message) > MESSAGE_LIMIT:
            _stop(0, 0, "%d bytes are too many" % len(message))
        text = hexlify(message).decode()
        mti = text[:4]
        if len(text) < 20:
            _stop(1 if len(text) >= 4 else 0, 0, "cut short")
        if not mti.isdigit():
            _stop(0, 0, "not BCD")
        at = 20
        bitmap = message[2:10]
        if message[2] & 0x80 and self.second_bitmap:
            at = 36
            bitmap = message[2:18]
        plan = self._plans.get(bitmap) or self._plan(bitmap)
        fields = {}
        field = 1
        try:
            for field, unpack in plan:
                fields[field], at = unpack(message, text, at)
        except Iso8583Error:
            raise
        except IndexError:
            _stop(field, at, "cut short")
        except ValueError:  # UnicodeError is one; MicroPython's too
            _stop(field, at, "not ASCII")
        if at != len(text):
            _stop(field, at, "%d bytes too many" % (len(message) - at // 2))
        return mti, fields

    def _order(self, key: tuple) -> "tuple[bytes, list]":
        bits = 0
        numbers = []
        for field in key:
            if field not in self._pack:
                _refuse(field if isinstance(field, int) else 0, "not in this host's table")
            numbers.append(field)
        if not numbers:
            _refuse(1, "no field")
        numbers.sort()
        width = 16 if numbers[-1] > 64 else 8
        for field in numbers:
            bits |= 1 << (width * 8 - field)
        if width == 16:
            bits |= 1 << 127
        order = (bits.to_bytes(width, "big"), [(field, self._pack[field]) for field in numbers])
        if len(self._orders) >= PLANS_LIMIT:
            self._orders.clear()
        self._orders[key] = order
        return order

    def _plan(self, bitmap: bytes) -> list:
        if len(bitmap) not in (8, 16):
            _stop(1, 4, "cut short")
        if len(bitmap) == 8 and bitmap[0] & 0x80:
            _stop(1, 4, "this host has no second bitmap")
        plan = []
        for field in range(2, len(bitmap) * 8 + 1):
            if bitmap[(field - 1) >> 3] & (0x80 >> ((field - 1) & 7)):
                if field not in self._unpack:
                    _stop(field, 4, "not in this host's table")
                plan.append((field, self._unpack[field]))
        if not plan:
            _stop(1, 4, "no field")
        if len(self._plans) >= PLANS_LIMIT:
            self._plans.clear()
        self._plans[bitmap] = plan
        return plan
