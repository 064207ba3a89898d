"""What a terminal is set to for cards: one row an application, the data that every transaction shares, the public keys.

All are plain data (JSON), so that they can be parameters of the store; `Settings` checks them once and keeps them in
the form that the kernels need. A row:

    aid                    hex, 5..16 bytes                            must be there
    kernel                 hex of the contactless kernel, "07"; ""     not by contactless
    contact                taken by contacts                           True
    version                hex, 2 bytes, 9F09                          "0020"
    partial                a longer name that begins with `aid` fits   True
    by contacts and in the full flow over contactless:
    tac_denial, tac_online, tac_default   hex, 5 bytes; ""             zeros
    ddol, tdol             hex, what a card without its own is asked for   none
    terminal_floor_limit_fen   9F1B: this and more goes online         0
    threshold_fen          of the biased random selection              0
    target_percent, maximum_percent                                    0
    online_pin             an online PIN is possible (DF18)            True
    by contactless:
    ttq                    hex, 4 bytes, the base of 9F66; ""          none
    extended_selection     9F29 of the card is added to the name       False
    zero_amount_allowed                                                True
    status_check_fen       this very amount asks for the card's status; None  never
    transaction_limit_fen  this and more: not by contactless; None     no limit
    device_limit_fen       the same where the holder is verified on his device (M/Chip); None  `transaction_limit_fen`
    floor_limit_fen        more than this: online; None                `terminal_floor_limit_fen`, then none
    cvm_limit_fen          this and more: verify the holder; None      never by amount
    cvm_default            what the terminal does when it must verify the holder and the card names no method of
                           the terminal's: "online-pin", "signature" or "decline"                       "decline"
    ecash_limit_fen        9F7B; None                                  none

Switches are what makers' kernels let one set; SWITCHES names them with their defaults.

No value of a scheme or of a bank is here: rows come from a technician's file (`parameter_file`) or the host's download.

Source: EMV Book 3, 10 and Book 4, 5; EMV Book A, 5.8 (reader combination data) and Book B, 3.1.
"""

from binascii import unhexlify

from firmware.emv import authority

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.torn import Torn

# name: (default, what it does)
SWITCHES = {
    "pse": (True, "the card's directory is asked for; off: every application of the terminal is tried by name"),
    "confirm": (False, "the holder confirms even a single application"),
    "pin_bypass": (True, "confirm on an empty page goes on without a PIN"),
    "pin_tries": (True, "GET DATA for the tries left before an offline PIN is asked for"),
    "random": (True, "random selection for online"),
    "velocity": (True, "velocity checking"),
    "split_sale": (True, "the amount of the same card's last sale counts towards the floor limit"),
    "exceptions": (True, "the exception file is looked into"),
    "risk_by_aip": (False, "terminal risk management only where the card's AIP asks for it"),
    "force_online": (False, "the merchant wants every transaction online"),
    "referral": (False, "a referral by the issuer (01, 02) is put to the merchant; off: it is a decline"),
    "advice": (True, "a decline that the card wants known is marked for the host's list"),
}

_FLAGS = (
    ("contact", True), ("partial", True), ("online_pin", True), ("extended_selection", False), ("zero_amount_allowed", True),
)  # fmt: skip
_LIMITS = (
    "status_check_fen", "transaction_limit_fen", "device_limit_fen", "floor_limit_fen", "terminal_floor_limit_fen",
    "cvm_limit_fen", "ecash_limit_fen",
)  # fmt: skip
_COUNTS = ("threshold_fen", "target_percent", "maximum_percent")
_CODES = ("tac_denial", "tac_online", "tac_default")
_LISTS = ("ddol", "tdol")
_CVM_DEFAULTS = ("online-pin", "signature", "decline")
_KEYS = (
    ("aid", "kernel", "ttq", "version", "cvm_default") + _LIMITS + _COUNTS + _CODES + _LISTS + tuple([name for name, _ in _FLAGS])
)


class SettingsError(ValueError):
    """A row or a value that cannot be used; the text names it."""


class Application:
    """A row, checked. Attributes as the row's keys, hex as bytes.

    kernel       b"" where the row is not for contactless     ttq   None: none
    tac_...      five bytes, zeros where the row has none     ddol, tdol   b"" where it has none
    """

    aid: bytes
    kernel: bytes
    ttq: "bytes | None"
    version: bytes
    cvm_default: str
    contact: bool
    partial: bool
    online_pin: bool
    extended_selection: bool
    zero_amount_allowed: bool
    status_check_fen: "int | None"
    transaction_limit_fen: "int | None"
    device_limit_fen: "int | None"
    floor_limit_fen: "int | None"
    terminal_floor_limit_fen: "int | None"
    cvm_limit_fen: "int | None"
    ecash_limit_fen: "int | None"
    threshold_fen: int
    target_percent: int
    maximum_percent: int
    tac_denial: bytes
    tac_online: bytes
    tac_default: bytes
    ddol: bytes
    tdol: bytes

    def __init__(self, row: dict, where: str = "row") -> None:
        for key in row:
            if key not in _KEYS:
                raise SettingsError("%s: unknown key %s" % (where, key))
        self.aid = _hex(row, "aid", where, 5, 16)
        self.kernel = _hex(row, "kernel", where, 1, 8) if row.get("kernel") else b""
        self.ttq = _hex(row, "ttq", where, 4, 4) if row.get("ttq") else None
        self.version = _hex(row, "version", where, 2, 2) if "version" in row else b"\x00\x20"
        self.cvm_default = row.get("cvm_default", "decline")
        if self.cvm_default not in _CVM_DEFAULTS:
            raise SettingsError("%s: cvm_default is none of %s" % (where, ", ".join(_CVM_DEFAULTS)))
        for name, default in _FLAGS:
            flag = row.get(name, default)
            if flag is not True and flag is not False:
                raise SettingsError("%s: %s is not true or false" % (where, name))
            setattr(self, name, flag)
        for name in _LIMITS:
            limit = row.get(name)
            if limit is not None and not _is_count(limit):
                raise SettingsError("%s: %s is no amount in fen" % (where, name))
            setattr(self, name, limit)
        for name in _COUNTS:
            count = row.get(name, 0)
            if not _is_count(count) or (name.endswith("percent") and count > 99):
                raise SettingsError("%s: %s is no number that fits" % (where, name))
            setattr(self, name, count)
        for name in _CODES:
            setattr(self, name, _hex(row, name, where, 5, 5) if row.get(name) else bytes(5))
        for name in _LISTS:
            setattr(self, name, _hex(row, name, where, 1, 252) if row.get(name) else b"")

    def matches(self, name: bytes) -> bool:
        """Whether a name in the card's directory is this application."""
        return name == self.aid or (self.partial and name.startswith(self.aid))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value is not True and value is not False and value >= 0


class Settings:
    """What the kernels are set to. Raises SettingsError.

    applications   rows in the order of preference          terminal   {hex tag: hex value}
    keys           rows of `authority`, all test or all live    revoked    rows of `authority.Revoked`
    switches       {name of SWITCHES: bool}, those that differ from their defaults
    """

    def __init__(
        self,
        applications: "list[dict]",
        terminal: "dict[str, str]",
        keys: "list[dict] | tuple" = (),
        revoked: "list[dict] | tuple" = (),
        switches: "dict[str, bool] | None" = None,
    ) -> None:
        self.applications = [Application(row, "application %d" % (at + 1)) for at, row in enumerate(applications)]
        self.terminal: dict[int, bytes] = {}
        for tag in terminal:
            try:
                self.terminal[int(tag, 16)] = unhexlify(terminal[tag])
            except (ValueError, TypeError):
                raise SettingsError("terminal: %s is not hex" % tag)
        try:
            self.authority = authority.Authority(keys, revoked)
        except authority.AuthorityError as error:
            raise SettingsError(str(error))
        self._switches = {name: SWITCHES[name][0] for name in SWITCHES}
        if switches is not None and not isinstance(switches, dict):
            raise SettingsError("switches: no table")
        for name, on in (switches or {}).items():
            if name not in SWITCHES or (on is not True and on is not False):
                raise SettingsError("switches: %s is none, or not true or false" % name)
            self._switches[name] = on

    def switch(self, name: str) -> bool:
        """Whether a switch of SWITCHES is on. KeyError for another name."""
        return self._switches[name]


class Request:
    """One transaction, as the card is told of it.

    amount_fen      0 .. 999999999999, everything included     other_fen   cashback, part of it
    date            "YYMMDD"                                   time        "HHMMSS", both local
    unpredictable   4 bytes                                    counter     0 .. 99999999, 9F41: the trace number
    kind            two digits, 9C: "00" goods, "01" cash, "09" goods with cashback, "20" refund, "31" balance
    torn            the terminal's log of torn transactions (`torn.Torn`), or None
    chance          0 .. 98, drawn for this transaction: random selection for online takes it below the target percentage
    online          only the issuer may approve it
    number_only     by contacts the card is read for its number and asked for nothing (UnionPay's simplified flow)
    """

    def __init__(
        self,
        amount_fen: int,
        date: str,
        time: str,
        unpredictable: bytes,
        counter: int,
        kind: str = "00",
        other_fen: int = 0,
        chance: int = 98,
        online: bool = False,
    ) -> None:
        if not 0 <= amount_fen <= 999999999999 or not 0 <= other_fen <= amount_fen:
            raise ValueError("amount out of range")
        if len(unpredictable) != 4:
            raise ValueError("the unpredictable number has four bytes")
        self.amount_fen = amount_fen
        self.other_fen = other_fen
        self.date = date
        self.kind = kind
        self.unpredictable = bytes(unpredictable)
        self.chance = chance
        self.online = online
        self.torn: Torn | None = None
        self.number_only = False
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
