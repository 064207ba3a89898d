"""What stands in field 62 of downloads, as tables: the parameter block, the status of the device, black list and limits.

Parameter block (F60.3 360): tags of two ASCII digits, each with a value of fixed length and nothing between them. There is no
length to step over, so one unknown tag makes the rest unreadable: the whole block is refused.

    tag   bytes  form       is
    12    2      seconds    how long the host's answer is waited for
    18    1      flag       tip allowed                     19    2    number    tip, percent
    21    1      flag       sign-off after settlement
    22    40     text       the merchant's name, GBK, spaces behind
    23    1      again      how often a message is sent again: tries less one
    11 13-17 20 24-26       dial-up, key index, switches: no use for them here; kept, and told in the status
    80    -      fees       fee rates: number n2, then method n1 (1 debit 2 credit 3 foreign 4 wallet), rate in hundredths of a
                            percent n4, cap in fen n8 (0: none), for amounts up to n10 (0: all). Ours; no acquirer is known to
                            send it, and another layout is a row of the parameter `download.layout`

Status (F60.3 362): the same tags the other way, behind five of parts (01 to 05, 1: works) and before 51: hours, connections
and successes per thousand since the last status.

Black list (F60.3 390): '0' to '3' as of `download`, the number of entries so far n3, then entries: digits n2, and as many in a
field of 14. An entry is the beginning of card numbers; a whole number is one too.

Contactless limits (F60.3 394): '0' to '3', then tag (6 hexadecimal characters), length n3, value, all ASCII.

Source: host.md §5; for the black list one terminal application; for the limits makers' applications (unconfirmed).
"""

from binascii import hexlify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.ports import Text

    Layout = dict[str, tuple[int, str, str]]

DIGITS = b"0123456789"
NONE, ALL, MORE, ERROR = "0", "1", "2", "3"  # the first character of F62


class BlockError(ValueError):
    """A block that cannot be taken. why: "unknown-tag" or "broken"; where: the tag, or what it is of."""

    def __init__(self, why: str, where: str, text: str) -> None:
        super().__init__("%s: %s" % (where, text))
        self.why = why
        self.where = where


# tag: (bytes, form, parameter)
LAYOUT: "Layout" = {
    "11": (2, "kept", ""),
    "12": (2, "seconds", "host.reply_ms"),
    "13": (1, "kept", ""),
    "14": (14, "kept", ""),
    "15": (14, "kept", ""),
    "16": (14, "kept", ""),
    "17": (14, "kept", ""),
    "18": (1, "flag", "module.tip"),
    "19": (2, "number", "tip.percent"),
    "20": (1, "kept", ""),
    "21": (1, "flag", "settle.sign_off"),
    "22": (40, "text", "merchant.name"),
    "23": (1, "again", "reversal.tries"),
    "24": (1, "kept", ""),
    "25": (1, "kept", ""),
    "26": (4, "kept", ""),
    "27": (2, "number", "offline.limit"),
    "80": (0, "fees", "fees"),
}
# tag: (form, parameter)
LIMITS: "dict[str, tuple[str, str]]" = {
    "FF803A": ("kept", ""),  # seconds in which a torn tap may be repeated
    "FF803C": ("kept", ""),  # and in which its record counts
    "FF8054": ("fen", "pin.free_fen"),  # no PIN up to this amount
    "FF8055": ("kept", ""),  # whether there is such a limit
    "FF8056": ("kept", ""),  # prefixes of list A, list B
    "FF8057": ("kept", ""),
    "FF8058": ("kept", ""),  # verification on the holder's device
    "FF8059": ("kept", ""),  # no signature up to this amount
    "FF805A": ("kept", ""),
    "FF805D": ("kept", ""),
}
METHOD_DIGITS = {"1": "debit", "2": "credit", "3": "foreign", "4": "wallet"}
FEE_ROW = 23  # digits
LONGEST = 99


# ---- forms: bytes of the block <-> value of the parameter


def _number(data: bytes, text: "Text | None" = None) -> int:
    if not data or not all([byte in DIGITS for byte in data]):
        raise ValueError("no digits")
    return int(data)


def _flag(data: bytes, text: "Text | None") -> bool:
    if data not in (b"0", b"1"):
        raise ValueError("neither 0 nor 1")
    return data == b"1"


def _words(data: bytes, text: "Text | None") -> str:
    assert text is not None, "text needs the port"
    bare = data.rstrip(b" ")
    words = text.decode(bare)
    if text.encode(words) != bare:
        raise ValueError("no GBK text")
    return words


def _fees(data: bytes, text: "Text | None") -> "list[dict[str, Any]]":
    rows = []
    for at in range(2, len(data), FEE_ROW):
        method = METHOD_DIGITS.get(chr(data[at]))
        if method is None:
            raise ValueError("no such method")
        rate, cap, upto = [_number(data[at + low : at + high]) for low, high in ((1, 5), (5, 13), (13, FEE_ROW))]
        rows.append({"method": method, "rate": rate, "cap_fen": cap or None, "upto_fen": upto or None})
    return rows


def _fees_bytes(rows: "Any", size: int, text: "Text | None") -> bytes:
    out = "%02d" % len(rows)
    for row in rows:
        digit = [one for one in sorted(METHOD_DIGITS) if METHOD_DIGITS[one] == row["method"]][0]
        out += "%s%04d%08d%010d" % (digit, row["rate"], row.get("cap_fen") or 0, row.get("upto_fen") or 0)
    return out.encode()


def _padded(value: "Any", size: int, text: "Text | None") -> bytes:
    assert text is not None, "text needs the port"
    data = text.encode(value)
    return data + b" " * (size - len(data))


def _digits_of(value: int, size: int) -> bytes:
    return ("%0*d" % (size, min(max(0, value), 10**size - 1))).encode()


# name: (value of the bytes, bytes of the value)
FORMS: "dict[str, tuple[Callable[..., Any], Callable[..., bytes]]]" = {
    "kept": (lambda data, text: None, lambda value, size, text: value),
    "flag": (_flag, lambda value, size, text: b"1" if value else b"0"),
    "number": (_number, lambda value, size, text: _digits_of(value, size)),
    "fen": (_number, lambda value, size, text: _digits_of(value, size)),
    "seconds": (lambda data, text: _number(data) * 1000, lambda value, size, text: _digits_of(value // 1000, size)),
    "again": (lambda data, text: _number(data) + 1, lambda value, size, text: _digits_of(value - 1, size)),
    "text": (_words, _padded),
    "fees": (_fees, _fees_bytes),
}


# ---- tables of an acquirer


def layout(changes: "Any") -> "Layout":
    """LAYOUT with the rows of `download.layout` over it: {tag: [bytes, form, parameter]}, or null to take one away.

    Raises ValueError that names the tag.
    """
    if not isinstance(changes, dict):
        raise ValueError("takes a table of tags")
    out = {tag: LAYOUT[tag] for tag in LAYOUT}
    for tag in changes:
        row = changes[tag]
        if len(tag) != 2 or not all([c in "0123456789" for c in tag]):
            raise ValueError("%s is no tag of two digits" % tag)
        if row is None:
            out.pop(tag, None)
            continue
        if not isinstance(row, (list, tuple)) or len(row) != 3 or not isinstance(row[0], int) or not 0 <= row[0] <= LONGEST:
            raise ValueError("tag %s: takes bytes, form and parameter" % tag)
        _check_form(tag, row[1], row[2])
        if (row[0] == 0) != (row[1] == "fees"):
            raise ValueError("tag %s: %d bytes of %s" % (tag, row[0], row[1]))
        out[tag] = (row[0], row[1], row[2])
    return out


def limit_tags(changes: "Any") -> "dict[str, tuple[str, str]]":
    """LIMITS with the rows of `download.limit_tags` over it: {tag: [form, parameter]} or null. ValueError as of `layout`."""
    if not isinstance(changes, dict):
        raise ValueError("takes a table of tags")
    out = {tag: LIMITS[tag] for tag in LIMITS}
    for tag in changes:
        row = changes[tag]
        if len(tag) != 6 or not all([c in "0123456789ABCDEF" for c in tag]):
            raise ValueError("%s is no tag of six hexadecimal characters" % tag)
        if row is None:
            out.pop(tag, None)
            continue
        if not isinstance(row, (list, tuple)) or len(row) != 2:
            raise ValueError("tag %s: takes form and parameter" % tag)
        _check_form(tag, row[0], row[1])
        out[tag] = (row[0], row[1])
    return out


def _check_form(tag: str, form: "Any", parameter: "Any") -> None:
    from firmware.parameters import TABLE  # which asks this module for its own tables

    if form not in FORMS:
        raise ValueError("tag %s: no such form" % tag)
    if (form == "kept") != (parameter == "") or (parameter and parameter not in TABLE):
        raise ValueError("tag %s: no such parameter" % tag)


# ---- the parameter block


def read(data: bytes, table: "Layout", text: "Text") -> "tuple[dict[str, Any], dict[str, str]]":
    """({parameter: value}, {tag that is only kept: its bytes in hex}) of a block. Raises BlockError: then none of it counts."""
    values: dict[str, Any] = {}
    kept: dict[str, str] = {}
    at = 0
    seen = set()
    while at < len(data):
        tag = "".join([chr(byte) if byte in DIGITS else "?" for byte in data[at : at + 2]])
        row = table.get(tag)
        if row is None:
            raise BlockError("unknown-tag", tag, "unknown at %d" % at)
        if tag in seen:
            raise BlockError("broken", tag, "there twice")
        seen.add(tag)
        size, form, parameter = row
        at += 2
        if form == "fees":
            count = data[at : at + 2]
            size = 2 + FEE_ROW * (int(count) if len(count) == 2 and all([byte in DIGITS for byte in count]) else LONGEST)
        value = data[at : at + size]
        at += size
        if len(value) != size:
            raise BlockError("broken", tag, "cut short")
        if parameter:
            values[parameter] = _value(tag, form, value, text)
        else:
            kept[tag] = hexlify(value).decode()
    return values, kept


def _value(tag: str, form: str, data: bytes, text: "Text | None") -> "Any":
    try:
        return FORMS[form][0](data, text)
    except ValueError as error:
        raise BlockError("broken", tag, str(error))


def block(rows: "list[tuple[str, Any]]", table: "Layout", text: "Text") -> bytes:
    """The block that says [(tag, value of its parameter, or bytes for one that is kept)]: the host's side, and our status."""
    out = b""
    for tag, value in rows:
        size, form, _ = table[tag]
        data = FORMS[form][1](value, size, text)
        if size and len(data) != size:
            raise BlockError("broken", tag, "%d bytes, not %d" % (len(data), size))
        out += tag.encode() + data
    return out


# ---- the status

PARTS = b"011021031041051"  # five parts that work; which is which no source says, so no failure is reported this way
FIRST = b"1160"
# What the status says, in this order: tag, parameter, or what stands for a value that the host never sent.
STATUS = (
    ("12", "host.reply_ms", b""),
    ("13", "", b"0"),
    ("14", "", b" " * 14),
    ("15", "", b" " * 14),
    ("16", "", b" " * 14),
    ("17", "", b" " * 14),
    ("18", "module.tip", b""),
    ("19", "tip.percent", b""),
    ("20", "", b"0"),
    ("21", "settle.sign_off", b""),
    ("23", "reversal.tries", b""),
    ("25", "", b"0"),
    ("27", "offline.limit", b""),
)


def status(
    parameter: "Callable[[str], Any]", kept: "dict[str, bytes]", hours: int, connections: int, successes: int, text: "Text"
) -> bytes:
    """Field 62 of the status upload. kept: what the host said of tags that are only kept; numbers since the last one."""
    rows = []
    for tag, name, default in STATUS:
        value = parameter(name) if name else kept.get(tag, default)
        rows.append((tag, value if name or len(value) == len(default) else default))
    rate = successes * 1000 // connections if connections else 0
    tail = b"51" + _digits_of(hours, 4) + _digits_of(connections, 5) + _digits_of(rate, 3)
    return PARTS + FIRST + block(rows, LAYOUT, text) + tail


# ---- lists


def state_of(data: bytes, what: str) -> str:
    """The first character of F62, one of NONE, ALL, MORE, ERROR. Raises BlockError."""
    if not data or not 48 <= data[0] <= 51:
        raise BlockError("broken", what, "does not begin with 0 to 3")
    return chr(data[0])


def listed(data: bytes, so_far: int, room: int) -> "tuple[str, list[str]]":
    """(state, the numbers of one message of the black list). so_far: how many came before. Raises BlockError, no number in it.

    room: bytes that a number is given.
    """
    state = state_of(data, "390")
    if state in (NONE, ERROR) and len(data) < 4:
        return state, []
    if len(data) < 4 or not all([byte in DIGITS for byte in data[1:4]]):
        raise BlockError("broken", "390", "no count")
    count = int(data[1:4]) - so_far
    if count < 0 or len(data) != 4 + count * (2 + room):
        raise BlockError("broken", "390", "%d bytes for %d entries" % (len(data), count))
    numbers: list[str] = []
    for at in range(4, len(data), 2 + room):
        size, digits = data[at : at + 2], data[at + 2 : at + 2 + room]
        if not all([byte in DIGITS for byte in size]) or not 1 <= int(size) <= room:
            raise BlockError("broken", "390", "entry %d has no length" % (len(numbers) + 1))
        digits = digits[: int(size)]
        if not all([byte in DIGITS for byte in digits]):
            raise BlockError("broken", "390", "entry %d is no number" % (len(numbers) + 1))
        numbers.append(digits.decode())
    return state, numbers


def list_block(state: str, numbers: "list[str]", total: int, room: int) -> bytes:
    """One message of the black list, the host's side. total: entries with those before."""
    out = ("%s%03d" % (state, total)).encode()
    for number in numbers:
        if not 0 < len(number) <= room:
            raise BlockError("broken", "390", "%d digits do not fit into %d" % (len(number), room))
        out += b"%02d" % len(number) + number.encode() + b" " * (room - len(number))
    return out


def limits(data: bytes, table: "dict[str, tuple[str, str]]") -> "tuple[str, dict[str, Any], dict[str, str]]":
    """(state, {parameter: value}, {tag that is only kept: hex}) of contactless limits. Raises BlockError."""
    state = state_of(data, "394")
    values: dict[str, Any] = {}
    kept: dict[str, str] = {}
    at = 1
    while at < len(data):
        tag = "".join([chr(byte) if 48 <= byte < 71 else "?" for byte in data[at : at + 6]])
        size = data[at + 6 : at + 9]
        if len(size) != 3 or not all([byte in DIGITS for byte in size]):
            raise BlockError("broken", tag, "no length")
        value = data[at + 9 : at + 9 + int(size)]
        if len(value) != int(size):
            raise BlockError("broken", tag, "cut short")
        at += 9 + len(value)
        row = table.get(tag)
        if row is None:
            raise BlockError("unknown-tag", tag, "unknown")
        if row[1]:
            if row[1] in values:
                raise BlockError("broken", tag, "there twice")
            values[row[1]] = _value(tag, row[0], value, None)
        else:
            kept[tag] = hexlify(value).decode()
    return state, values, kept


def limits_block(state: str, rows: "list[tuple[str, bytes]]") -> bytes:
    """The message that says [(tag, value)], the host's side."""
    out = state.encode()
    for tag, value in rows:
        out += tag.encode() + b"%03d" % len(value) + value
    return out
