"""What a contactless terminal is set to: one row an application, and the data that every transaction shares.

Both are plain data (JSON), so that they can be parameters of the store; `Settings` checks them once and keeps them in
the form that the kernel needs. A row:

    aid                    hex, 5..16 bytes                            must be there
    kernel                 hex of the kernel identifier, "07"          must be there
    ttq                    hex, 4 bytes, the base of 9F66; ""          none
    version                hex, 2 bytes, 9F09                          "0020"
    partial                a longer name that begins with `aid` fits   True
    extended_selection     9F29 of the card is added to the name       False
    zero_amount_allowed                                                True
    status_check_fen       this very amount asks for the card's status; None  never
    transaction_limit_fen  this and more: not by contactless; None     no limit
    floor_limit_fen        more than this: online; None                `terminal_floor_limit_fen`, then none
    cvm_limit_fen          this and more: verify the holder; None      never by amount
    cvm_default            what the terminal does when it must verify the holder and the card names no method of
                           the terminal's: "online-pin", "signature" or "decline"                       "decline"

Source: EMV Book A, 5.8 (reader combination data) and Book B, 3.1; the UnionPay values: reference terminals, as
parameters DF19 (floor), DF20 (transaction), DF21 (CVM).
"""

from binascii import unhexlify

# China UnionPay: debit, credit, quasi-credit. The holder is verified from 1000.01 on, so the limit is one fen above
# 1000.00; no transaction limit; floor 0, so that every amount goes online.
_UNIONPAY = (
    ("kernel", "07"),
    ("ttq", "26004080"),
    ("version", "0020"),
    ("transaction_limit_fen", None),
    ("floor_limit_fen", 0),
    ("cvm_limit_fen", 100001),
    ("cvm_default", "online-pin"),
)
DEFAULT_AIDS = [dict((("aid", _aid),) + _UNIONPAY) for _aid in ("A000000333010101", "A000000333010102", "A000000333010103")]

# Attended, online only, with PIN pad and printer; China, yuan.
DEFAULT_TERMINAL = {
    "9F1A": "0156",
    "5F2A": "0156",
    "5F36": "02",
    "9F33": "206800",
    "9F35": "21",
    "9F40": "6000F0A001",
    "9F1E": "3030303030303031",
    "9F39": "07",
    "9F7A": "00",
    "DF60": "00",
    "DF69": "00",
}

_FLAGS = (("partial", True), ("extended_selection", False), ("zero_amount_allowed", True))
_LIMITS = ("status_check_fen", "transaction_limit_fen", "floor_limit_fen", "terminal_floor_limit_fen", "cvm_limit_fen")
_CVM_DEFAULTS = ("online-pin", "signature", "decline")
_KEYS = ("aid", "kernel", "ttq", "version", "cvm_default") + _LIMITS + tuple([name for name, _ in _FLAGS])


class SettingsError(ValueError):
    """A row or a value that cannot be used; the text names it."""


class Application:
    """A row, checked. Attributes as the row's keys, with `aid`, `kernel`, `ttq` (None: none) and `version` as bytes."""

    def __init__(self, row: dict, where: str = "row") -> None:
        for key in row:
            if key not in _KEYS:
                raise SettingsError("%s: unknown key %s" % (where, key))
        self.aid = _hex(row, "aid", where, 5, 16)
        self.kernel = _hex(row, "kernel", where, 1, 8)
        self.ttq = _hex(row, "ttq", where, 4, 4) if row.get("ttq") else None
        self.version = _hex(row, "version", where, 2, 2) if "version" in row else b"\x00\x20"
        self.cvm_default = row.get("cvm_default", "decline")
        if self.cvm_default not in _CVM_DEFAULTS:
            raise SettingsError("%s: cvm_default is none of %s" % (where, ", ".join(_CVM_DEFAULTS)))
        flags = [row.get(name, default) for name, default in _FLAGS]
        limits = [row.get(name) for name in _LIMITS]
        for name, value in zip([name for name, _ in _FLAGS], flags):
            if value is not True and value is not False:
                raise SettingsError("%s: %s is not true or false" % (where, name))
        for name, value in zip(_LIMITS, limits):
            if value is not None and (not isinstance(value, int) or value is True or value is False or value < 0):
                raise SettingsError("%s: %s is no amount in fen" % (where, name))
        self.partial, self.extended_selection, self.zero_amount_allowed = flags
        self.status_check_fen, self.transaction_limit_fen = limits[:2]
        self.floor_limit_fen, self.terminal_floor_limit_fen, self.cvm_limit_fen = limits[2:]

    def matches(self, name: bytes) -> bool:
        """Whether a name in the card's directory is this application."""
        return name == self.aid or (self.partial and name.startswith(self.aid))


class Settings:
    """applications: rows in the order of preference; terminal: {hex tag: hex value}. Raises SettingsError."""

    def __init__(self, applications: "list[dict]" = DEFAULT_AIDS, terminal: "dict[str, str]" = DEFAULT_TERMINAL) -> None:
        self.applications = [Application(row, "application %d" % (at + 1)) for at, row in enumerate(applications)]
        self.terminal: dict[int, bytes] = {}
        for tag in terminal:
            try:
                self.terminal[int(tag, 16)] = unhexlify(terminal[tag])
            except (ValueError, TypeError):
                raise SettingsError("terminal: %s is not hex" % tag)


class Request:
    """One transaction, as the card is told of it.

    amount_fen      0 .. 999999999999, everything included     other_fen   cashback, part of it
    date            "YYMMDD"                                   time        "HHMMSS", both local
    unpredictable   4 bytes                                    counter     0 .. 99999999, 9F41: the trace number
    kind            two digits, 9C: "00" goods, "31" balance, "20" refund
    """

    def __init__(
        self, amount_fen: int, date: str, time: str, unpredictable: bytes, counter: int, kind: str = "00", other_fen: int = 0
    ) -> None:
        if not 0 <= amount_fen <= 999999999999 or not 0 <= other_fen <= amount_fen:
            raise ValueError("amount out of range")
        if len(unpredictable) != 4:
            raise ValueError("the unpredictable number has four bytes")
        self.amount_fen = amount_fen
        self.other_fen = other_fen
        self.date = date
        self.kind = kind
        self.tags: dict[int, bytes] = {
            0x9F02: bcd("%012d" % amount_fen),
            0x9F03: bcd("%012d" % other_fen),
            0x81: min(amount_fen, 0xFFFFFFFF).to_bytes(4, "big"),
            0x9F04: min(other_fen, 0xFFFFFFFF).to_bytes(4, "big"),
            0x9A: bcd(date, 6),
            0x9F21: bcd(time, 6),
            0x9C: bcd(kind, 2),
            0x9F37: bytes(unpredictable),
            0x9F41: bcd("%08d" % (counter % 100000000)),
        }


def bcd(digits: str, size: "int | None" = None) -> bytes:
    """Two digits a byte. Raises ValueError for anything else, or another number of digits than `size`."""
    if not digits.isdigit() or len(digits) % 2 or (size is not None and len(digits) != size):
        raise ValueError("not %s digits" % (size or "an even number of"))
    return unhexlify(digits)


def _hex(row: dict, key: str, where: str, low: int, high: int) -> bytes:
    try:
        value = unhexlify(row[key])
    except KeyError:
        raise SettingsError("%s: %s is missing" % (where, key))
    except (ValueError, TypeError):
        raise SettingsError("%s: %s is not hex" % (where, key))
    if not low <= len(value) <= high:
        raise SettingsError("%s: %s has %d bytes, not %d to %d" % (where, key, len(value), low, high))
    return value
