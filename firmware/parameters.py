"""What can be set, in one table: name, kind, default, limits.

A value is stored as JSON in the store's table "parameters" under its name. A stored value that is not of its
kind or out of its limits is not used: the default is, and the name is listed in `bad` for the start-up page.
Provisioning, the host's download and the technician write through `check`.
"""

import json

from firmware import verification
from firmware.emv.settings import Settings
from firmware.events import DIGITS
from firmware.iso8583.codec import Codec
from firmware.iso8583.fields import quirks
from firmware.ports import BEARERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.ports import Row, Store

REFUSED_REASONS = ("06", "96")  # of a reversal that the host has refused: sources differ (host.md §6, 2)
MAC_METHODS = ("unionpay", "unionpay-binary", "x9.9", "x9.19", "cmac", "cbc", "dukpt-x9.19", "dukpt-cmac")
KEY_KINDS = ("001", "003", "004", "005", "006")  # single, double, with a track key; the last two the same under SM4
PIN_FORMS = ("0", "0-without-pan", "3", "4", "dukpt-0", "dukpt-4")


def bearers(value: "Any") -> None:
    """ValueError unless it is a list of bearers, each once."""
    if not value or len(set(value)) != len(value) or not all([name in BEARERS for name in value]):
        raise ValueError("takes a list of %s" % ", ".join(BEARERS))


def fee_rates(value: "Any") -> None:
    """ValueError unless it is a table of `fees`."""
    from firmware import fees

    fees.check(value)


def block_layout(value: "Any") -> None:
    """ValueError unless it changes a layout of `host.parameter_block`."""
    from firmware.host import parameter_block

    parameter_block.layout(value)


def limit_tags(value: "Any") -> None:
    """ValueError unless it changes the tags of contactless limits of `host.parameter_block`."""
    from firmware.host import parameter_block

    parameter_block.limit_tags(value)


def header(value: "Any") -> None:
    """ValueError unless it is "" or twelve digits (host.md §1)."""
    if value != "" and not (len(value) == 12 and value.isdigit()):
        raise ValueError("takes 12 digits, or nothing")


def time_of_day(value: "Any") -> None:
    """ValueError unless it is "" or hhmm."""
    if value != "" and not (len(value) == 4 and value.isdigit() and value[:2] < "24" and value[2:] < "60"):
        raise ValueError("takes hhmm, or nothing")


def apn(value: "Any") -> None:
    """ValueError unless it is "" or the name of an access point (3GPP TS 23.003, 9.1)."""
    good = isinstance(value, str) and len(value) <= 63 and len(value.encode()) == len(value)  # ASCII
    if not good or not all([c.isdigit() or "a" <= c.lower() <= "z" or c in ".-" for c in value]):
        raise ValueError("takes letters, digits, dots and hyphens, up to 63")


def periods(value: "Any") -> None:
    """ValueError unless it is a list of up to eight numbers of months."""
    if not value or len(value) > 8 or not all([isinstance(one, int) and 1 < one < 100 for one in value]):
        raise ValueError("takes up to 8 numbers of months")


REQUIRED = "required"  # no default: an unprovisioned device says so

# name: (kind, default, minimum or length, maximum)
TABLE: "dict[str, tuple[str, Any, Any, Any]]" = {
    # who the device is
    "terminal.number": ("code", REQUIRED, 8, 8),
    "merchant.number": ("code", REQUIRED, 15, 15),
    "merchant.name": ("text", REQUIRED, 1, 40),
    # the host
    "host.address": ("text", REQUIRED, 1, 253),
    "host.port": ("number", REQUIRED, 1, 65535),
    "host.tls": ("switch", False, 0, 0),
    "host.authority": ("pages", "", 0, 100000),
    "host.tpdu": ("digits", "6000030000", 10, 10),
    "host.header": ("table", "603100310100", lambda value: header(value), None),  # "": a link without header
    "host.fields": ("table", {}, lambda value: Codec(quirks(value)), None),  # what differs from UNIONPAY: {"62": "b...9 halves"}
    "host.connect_ms": ("number", 10000, 100, 60000),
    "host.reply_ms": ("number", 30000, 1000, 90000),
    "host.key_kind": ("choice", "003", KEY_KINDS, None),  # 60.3 of the sign-on (host.md §4)
    "host.master_id": ("digits", "000001", 6, 6),  # of the master key that the host is asked for
    "host.cipher_digit": ("digits", "", 0, 1),  # second digit of F53; "": 0 for keys of 8 bytes, else 6
    "host.mac_on_declines": ("switch", True, 0, 0),  # a decline without a valid MAC is no answer
    "host.sign_on_hours": ("number", 24, 1, 168),
    "host.keys": ("choice", "session", ("session", "dukpt"), None),  # working keys, or a key a transaction
    "host.ksn_field": ("number", 62, 2, 63),  # DUKPT: the field that carries the key serial number
    "host.mac": ("choice", "unionpay", MAC_METHODS, None),  # `ports.Vault.mac`
    "host.pin_form": ("choice", "0", PIN_FORMS, None),  # `ports.Vault.enter_pin`
    "host.pin_field": ("choice", "52", ("52", "59", "63"), None),  # where a PIN block of 16 bytes goes (host.md §4)
    "host.track": ("choice", "clear", ("clear", "encrypted"), None),
    # the network
    "network.order": ("table", ["ethernet", "wifi", "modem"], lambda value: bearers(value), None),  # the first that works
    "network.apn": ("table", "", lambda value: apn(value), None),  # of the SIM's network; "": known by itself
    # what the merchant may do besides sale, void and balance
    "module.refund": ("switch", True, 0, 0),
    "module.preauth": ("switch", True, 0, 0),
    "module.offline": ("switch", False, 0, 0),
    "module.tip": ("switch", False, 0, 0),
    "module.moto": ("switch", False, 0, 0),
    "module.instalment": ("switch", False, 0, 0),
    # money
    "sale.maximum_fen": ("number", 999_999_99, 1, 9_999_999_99),
    "sale.confirm_after_tap": ("switch", False, 0, 0),
    "sale.unresolved": ("choice", "block", ("block", "supervisor"), None),  # what an unresolved reversal does to new sales
    "sale.partial": ("switch", False, 0, 0),  # the bank may approve less than asked for, and the rest is asked for otherwise
    "refund.maximum_fen": ("number", 10_000_00, 1, 9_999_999_99),
    "refund.days": ("number", 30, 1, 365),  # how long a refund is possible, where the sale's date is known
    "preauth.ceiling_percent": ("number", 115, 100, 200),  # a completion is at most so much of what is held
    "tip.percent": ("number", 10, 0, 100),  # a tip is at most so much of the sale
    "instalment.periods": ("table", [3, 6, 12, 24], lambda value: periods(value), None),
    "instalment.project": ("text", "", 0, 30),
    "offline.limit": ("number", 10, 1, 99),  # so many sales that the bank has not heard of, and no more without it
    "batch.limit": ("number", 500, 0, 5000),  # never more than a settlement can count, 999; 0: that
    # settlement
    "settle.time": ("table", "", lambda value: time_of_day(value), None),  # hhmm, by itself at that time of day; "": only by hand
    "settle.sign_off": ("switch", False, 0, 0),  # after the settlement
    # the customer's PIN
    "pin.free_fen": ("number", 100_000, 0, 9_999_999_99),  # no PIN up to and with this amount
    "pin.card_may_waive": ("switch", False, 0, 0),  # above the limit: the card's "none" wins over the terminal's rule
    "pin.free_bins": ("table", [], verification.check_bins, None),  # [[prefix, fen]]: other limits for these card numbers
    "pin.minimum": ("number", 4, 4, 12),
    "pin.maximum": ("number", 6, 4, 12),
    "pin.bypass": ("switch", True, 0, 0),  # confirm on an empty page goes on without a PIN
    "pin.tries": ("number", 3, 1, 9),
    # stripe and fallback
    "stripe.pin": ("switch", True, 0, 0),
    "stripe.last_four": ("switch", False, 0, 0),  # the operator types the last four digits that are printed on the card
    "fallback.allowed": ("switch", True, 0, 0),  # a chip that cannot be read may be swiped
    "fallback.tries": ("number", 2, 1, 9),
    # void
    "void.card": ("switch", True, 0, 0),
    "void.pin": ("switch", False, 0, 0),
    # the other transactions that take something back or finish it
    "refund.card": ("switch", True, 0, 0),
    "preauth_void.card": ("switch", True, 0, 0),
    "preauth_void.pin": ("switch", True, 0, 0),
    "complete.card": ("switch", True, 0, 0),
    "complete.pin": ("switch", True, 0, 0),
    "complete_void.card": ("switch", True, 0, 0),
    "complete_void.pin": ("switch", True, 0, 0),
    # reversal
    "reversal.tries": ("number", 3, 1, 10),  # a host says how often it is sent again: 0 to 9
    "reversal.again_s": ("number", 60, 5, 3600),
    "reversal.refused_reason": ("choice", "06", REFUSED_REASONS, None),  # F39 of one that is sent again after a refusal
    # slip
    "slip.copies": ("number", 2, 0, 3),
    "slip.next_copy_ms": ("number", 4000, 500, 60000),
    "slip.title": ("text", "银联POS签购单", 1, 16),
    # operators
    "operators.force_change": ("switch", True, 0, 0),
    "operators.tries": ("number", 5, 1, 10),
    "operators.lock_minutes": ("number", 30, 1, 1440),
    "idle.lock_minutes": ("number", 10, 1, 240),
    # the device
    "language": ("choice", "zh", ("zh", "en"), None),
    "time.zone_minutes": ("number", 480, -720, 840),
    "power.stop_percent": ("number", 5, 0, 50),
    # downloads
    "download.after_sign_on": ("switch", False, 0, 0),  # applications and keys, on a device that never had them from the host
    "download.mac": ("switch", False, 0, 0),  # F64 on downloads too, which the standard does without
    "download.layout": ("table", {}, block_layout, None),  # what differs from `parameter_block.LAYOUT`: {"28": [2, "kept", ""]}
    "download.limit_tags": ("table", {}, limit_tags, None),  # the same of `parameter_block.LIMITS`
    "download.list_digits": ("number", 14, 6, 19),  # room for a number in the black list
    "fees": ("table", [], fee_rates, None),
    # cards: from a technician's file (`emv.parameter_file`) or the host's download
    "emv.aids": ("table", REQUIRED, lambda value: Settings(value, {}), None),
    "emv.terminal": ("table", REQUIRED, lambda value: Settings([], value), None),
    "emv.switches": ("table", {}, lambda value: Settings([], {}, switches=dict(value)), None),
    "emv.keys": ("table", [], lambda value: Settings([], {}, value), None),
    "emv.revoked": ("table", [], lambda value: Settings([], {}, revoked=value), None),
}

# Kinds of text: what a character must be, and what to call it.
TEXTS = {
    "text": (lambda c: c >= " " and c != "\x7f", "text"),
    "pages": (lambda c: True, "text"),
    "code": (lambda c: " " < c < "\x7f", "letters and digits"),
    "digits": (lambda c: c in DIGITS, "digits"),
}


class ParameterError(ValueError):
    """A value that its parameter does not take."""


def check(name: str, value: "Any") -> "Any":
    """The value as it will be used; ParameterError names the parameter and says what it takes."""
    row = TABLE.get(name)
    if row is None:
        raise ParameterError("%s: no such parameter" % name)
    kind, _, low, high = row
    if kind == "switch":
        if value is not True and value is not False:
            raise ParameterError("%s: takes true or false" % name)
    elif kind == "number":
        if not isinstance(value, int) or value is True or value is False or not low <= value <= high:
            raise ParameterError("%s: takes a number from %d to %d" % (name, low, high))
    elif kind == "choice":
        if value not in low:
            raise ParameterError("%s: takes one of %s" % (name, ", ".join(low)))
    elif kind in TEXTS:
        fits, what = TEXTS[kind]
        if not isinstance(value, str) or not low <= len(value) <= high or not all([fits(c) for c in value]):
            raise ParameterError("%s: takes %s, %d to %d" % (name, what, low, high))
    elif kind == "table":
        try:
            low(value)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise ParameterError("%s: %s" % (name, error if isinstance(error, ValueError) else "takes a table"))
    return value


class Parameters:
    """The values in force: `parameters("pin.free_fen")`, of the kind that TABLE gives the name. KeyError where none is set.

    board: what the board's file sets instead of a default. bad: names whose stored value was refused.
    """

    def __init__(self, store: "Store", board: "dict[str, Any] | None" = None) -> None:
        self._store = store
        self._values: dict[str, Any] = {}
        self.bad: list[str] = []
        for name in TABLE:
            default = TABLE[name][1]
            if default is not REQUIRED:
                self._values[name] = default
        ours = board or {}
        for name in ours:
            self._values[name] = check(name, ours[name])
        for name, value in store.range("parameters"):
            try:
                self._values[name] = check(name, json.loads(value.decode()))
            except (ValueError, RuntimeError):  # no JSON, JSON nested too deeply, or not what the parameter takes
                self.bad.append(name)

    def __call__(self, name: str) -> "Any":
        return self._values[name]

    def missing(self) -> "list[str]":
        """Names that a device cannot do without and that nobody has set."""
        return sorted(name for name in TABLE if name not in self._values)

    def set(self, name: str, value: object) -> None:
        """Checks, stores and uses a new value. ParameterError, ports.StoreError: the old one stays."""
        self.put({name: value})

    def put(self, values: "dict[str, Any]", rows: "list[Row] | tuple" = ()) -> None:
        """Several values and other rows of the store in one commit, as `set`. `changes.put` also writes the log."""
        checked = {name: check(name, values[name]) for name in values}
        wanted: list[Row] = list(rows)
        for name in sorted(checked):
            wanted.append(("parameters", name, json.dumps(checked[name]).encode(), None))
        self._store.commit(wanted)
        self._values.update(checked)

    def value(self, name: str) -> "Any":
        """The value in force, None where none is set."""
        return self._values.get(name)
