"""Messages to bytes and back, by table.

    message = message type | bitmap | the fields whose bits are set, in rising order

Bit 1 of the bitmap announces a second bitmap for fields 65 to 128. A table without such fields refuses it.

Every row of the table (`fields`) is turned once into two functions (`parts`), by its coding (`coding`) and by what its
dialect says for all fields (`dialects`); rows 0 and 1, where there are any, are the message type and the bitmap. The list of
functions for a bitmap, or for a set of fields, is kept: a terminal uses a dozen of them.

The encoder is strict: exact lengths, nothing but what the coding allows. The decoder ignores the pad nibble, which hosts
fill as they like, and takes the longer fields that they send; the spaces that pad text stay, so that what was unpacked
packs to the same bytes.
A value never appears in an error; its image names what was read before it.

Source: ISO 8583:1987 and 1993; reference/host.md §2, §7.
"""

from binascii import hexlify, unhexlify

from firmware.iso8583.coding import parse
from firmware.iso8583.fields import UNIONPAY
from firmware.iso8583.parts import OTHER, Stop, closures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from firmware.iso8583.coding import Coding
    from firmware.iso8583.parts import Pack, Unpack

MESSAGE_LIMIT = 4096  # bytes; the longest download block of any known host is below 1,100
PLANS_LIMIT = 64  # kept lists of functions, so that made-up bitmaps cannot fill the memory

TYPE, BITMAP = "n4", "b8"  # codings of rows 0 and 1


class Iso8583Error(ValueError):
    """A message that is not one.

    field       Number of the field; 0 the message type, 1 the bitmap.
    position    Offset in bytes from the message type where reading stopped; None when packing.
    why         What is wrong, without the value.
    image       What was read before it, masked, and how much is left, for a log: "0200 F2 (16 digits), F3 000000, F4 (12
                digits); stopped in F11, 57 of 90 bytes left". "" when packing.
    """

    def __init__(self, field: int, position: "int | None", why: str, image: str = "") -> None:
        place = "" if position is None else " at %d" % position
        super().__init__("F%d%s: %s" % (field, place, why))
        self.field = field
        self.position = position
        self.why = why
        self.image = image


def _refuse(field: int, why: str) -> "NoReturn":
    raise Iso8583Error(field, None, why)


def _coding(field: int, text: str, words: str) -> "Coding":
    try:
        return parse(text, words)
    except ValueError as error:
        why = str(error)
    raise ValueError("field %d: %s" % (field, why))


def _head(table: dict, row: int, usual: str, words: str) -> "Coding":
    """The coding of row 0 or 1, which may only say how it is written."""
    text = table[row][0] if row in table else usual
    coding = _coding(row, text, words)
    if text.split()[0] != usual:
        raise ValueError("field %d: it is always %s" % (row, usual))
    return coding


def _characters(message: bytes) -> "tuple[str, bool]":
    """The message as characters, and whether some byte of it is none of ASCII."""
    try:
        text = message.decode()
    except ValueError:
        text = ""
    if len(text) == len(message):
        return text, False
    return "".join([chr(code) if code < 128 else OTHER for code in message]), True


class Codec:
    """Packs and unpacks the messages of one host.

    table   {field: (coding, mask, zh, en)}, see `fields`; fields 2 to 128 but for 65, and rows 0 and 1.
    words   what holds for all codings that do not say otherwise, see `coding`: "ascii hex length=ascii".
    Raises ValueError, which names the field, for a table that it does not understand.
    """

    def __init__(self, table: dict = UNIONPAY, words: str = "") -> None:
        self.table = table
        self.words = words
        self.second_bitmap = False
        codings = {0: _head(table, 0, TYPE, words), 1: _head(table, 1, BITMAP, words)}
        for field in table:
            if not isinstance(field, int) or not 0 <= field <= 128 or field == 65:
                raise ValueError("field %r: not one of 2 to 128, 65 left out" % field)
            if field > 1:
                codings[field] = _coding(field, table[field][0], words)
            self.second_bitmap = self.second_bitmap or field > 64
        # The view of half bytes is for packed digits; without any, that of characters.
        self._shift = 1 if [one for one in codings.values() if one.written == "packed"] else 0
        self._pack: "dict[int, Pack]" = {}
        self._unpack: "dict[int, Unpack]" = {}
        for field in codings:
            self._pack[field], self._unpack[field] = closures(field, codings[field], self._shift)
        # Where message type and bitmap are written as the view has it, they are slices of the text too.
        own = ("packed", "raw") if self._shift else ("ascii", "hex")
        self._slices = (codings[0].written, codings[1].written) == own
        self._types: "dict[str, bytes]" = {}  # message type -> as it is sent
        self._plans: "dict[str, list]" = {}  # bitmap in hexadecimal -> [(field, unpack)]
        self._orders: "dict[tuple, tuple]" = {}  # (fields) -> (bitmap as it is sent, [(field, pack)])

    def pack(self, mti: str, fields: dict) -> bytes:
        """The message's bytes: mti four digits, fields {number: str or bytes, as the coding says}.

        Raises Iso8583Error for a field that the table lacks, or for a value that does not fit its coding.
        """
        key = tuple(fields)
        bitmap, order = self._orders.get(key) or self._order(key)
        parts = [self._types.get(mti) or self._type(mti), bitmap]
        field = 0
        try:
            for field, pack in order:
                parts.append(pack(fields[field]))
            return b"".join(parts)
        except Stop as stop:
            why = stop.why
        except (TypeError, AttributeError, ValueError):
            why = "not a value for its coding"
        _refuse(field, why)

    def unpack(self, message: bytes) -> "tuple[str, dict]":
        """(mti, {number: value}) of the bytes of one message, without anything before or behind it.

        Raises Iso8583Error, and nothing else, whatever the bytes are.
        """
        message = bytes(message)
        if len(message) > MESSAGE_LIMIT:
            raise Iso8583Error(0, 0, "%d bytes are too many" % len(message))
        foreign = False
        if self._shift:
            text = hexlify(message).decode()
        else:
            text, foreign = _characters(message)
        mti = ""
        fields: dict = {}
        field = at = 0
        try:
            if self._slices:
                mti = text[:4]
                at = 36 if text[4:5] > "7" and self.second_bitmap else 20
                bitmap = text[4:at]
                if len(text) < at or not mti.isdigit():
                    self._no_head(text)
            else:
                mti, bitmap, at = self._head(message, text)
            field = 1
            plan = self._plans.get(bitmap) or self._plan(bitmap)
            if foreign:
                at = self._careful(plan, message, text, fields, at)
            else:
                for field, unpack in plan:
                    fields[field], at = unpack(message, text, at)
            if at == len(text):
                return mti, fields
            why = "%d bytes too many" % (len(message) - (at >> self._shift))
        except Stop as stop:
            field, at, why = stop.field, at if stop.at is None else stop.at, stop.why
        except IndexError:
            why = "cut short"
        except ValueError:  # UnicodeError is one; MicroPython's too
            why = "not ASCII"
        self._wrong(field, at >> self._shift, why, mti, fields, len(message))

    def _no_head(self, text: str) -> "NoReturn":
        if len(text) < 4:
            raise Stop(0, 0, "cut short")
        if not text[:4].isdigit():
            raise Stop(0, 0, "not digits")
        raise Stop(1, 4, "cut short")

    def _careful(self, plan: list, message: bytes, text: str, fields: dict, at: int) -> int:
        """`fields` from a message in which not every byte is ASCII, in the view of characters -> place behind the last."""
        for field, unpack in plan:
            value, after = unpack(message, text, at)
            if isinstance(value, str) and OTHER in value:
                raise Stop(field, at, "not ASCII")
            fields[field] = value
            at = after
        return at

    def _head(self, message: bytes, text: str) -> "tuple[str, str, int]":
        """(message type, bitmap in hexadecimal, place behind it) where they are not written as the view has it."""
        mti, at = self._unpack[0](message, text, 0)
        first, at = self._unpack[1](message, text, at)
        if first[0] & 0x80 and self.second_bitmap:
            second, at = self._unpack[1](message, text, at)
            first += second
        return mti, hexlify(first).decode(), at

    def _wrong(self, field: int, position: int, why: str, mti: str, fields: dict, size: int) -> "NoReturn":
        from firmware.iso8583.image import image  # rare: not imported before something is wrong

        raise Iso8583Error(field, position, why, image(mti, fields, self.table, field, size - position, size))

    def _type(self, mti: str) -> bytes:
        try:
            data = self._pack[0](mti)
        except (Stop, TypeError, AttributeError, ValueError):
            data = b""
        if not data:
            _refuse(0, "needs 4 digits")
        if len(self._types) >= PLANS_LIMIT:
            self._types.clear()
        self._types[mti] = data
        return data

    def _order(self, key: tuple) -> "tuple[bytes, list]":
        bits = 0
        numbers = []
        for field in key:
            if field not in self._pack or field < 2:
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
        bitmap = bits.to_bytes(width, "big")
        sent = self._pack[1](bitmap[:8]) + (self._pack[1](bitmap[8:]) if width == 16 else b"")
        order = (sent, [(field, self._pack[field]) for field in numbers])
        if len(self._orders) >= PLANS_LIMIT:
            self._orders.clear()
        self._orders[key] = order
        return order

    def _plan(self, text: str) -> list:
        try:
            bitmap = unhexlify(text)
        except ValueError:
            raise Stop(1, 4, "not hexadecimal")
        if len(bitmap) == 8 and bitmap[0] & 0x80:
            raise Stop(1, 4, "this host has no second bitmap")
        plan = []
        for field in range(2, len(bitmap) * 8 + 1):
            if bitmap[(field - 1) >> 3] & (0x80 >> ((field - 1) & 7)):
                if field not in self._unpack:
                    raise Stop(field, 4, "not in this host's table")
                plan.append((field, self._unpack[field]))
        if not plan:
            raise Stop(1, 4, "no field")
        if len(self._plans) >= PLANS_LIMIT:
            self._plans.clear()
        self._plans[text] = plan
        return plan
