"""What can be set, in one table: name, kind, default, limits.

A value is stored as JSON in the store's table "parameters" under its name. A stored value that is not of its
kind or out of its limits is not used: the default is, and the name is listed in `bad` for the start-up page.
Provisioning, the host's download and the technician write through `check`.
"""

import json

from firmware import verification
from firmware.emv.settings import Settings
from firmware.events import DIGITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.ports import Store

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
    "host.header": ("digits", "603100310100", 12, 12),
    "host.connect_ms": ("number", 10000, 100, 60000),
    "host.reply_ms": ("number", 30000, 1000, 90000),
    "host.key_kind": ("digits", "003", 3, 3),  # 60.3 of the sign-on: 001, 003, 004
    "host.mac_on_declines": ("switch", True, 0, 0),  # a decline without a valid MAC is no answer
    "host.sign_on_hours": ("number", 24, 1, 168),
    # money
    "sale.maximum_fen": ("number", 999_999_99, 1, 9_999_999_99),
    "sale.confirm_after_tap": ("switch", False, 0, 0),
    "sale.unresolved": ("choice", "block", ("block", "supervisor"), None),  # what an unresolved reversal does to new sales
    "batch.limit": ("number", 500, 0, 5000),  # 0: none
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
    # reversal
    "reversal.tries": ("number", 3, 1, 9),
    "reversal.again_s": ("number", 60, 5, 3600),
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
        value = check(name, value)
        self._store.commit([("parameters", name, json.dumps(value).encode(), None)])
        self._values[name] = value
