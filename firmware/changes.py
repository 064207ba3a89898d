"""What was changed in the parameters: the log that the merchant can read.

Every change is written in the same commit as the new value. An entry of the store's table "changes":

    key     number, ten digits, counted up          index   "tell" while the merchant still has to be told of it
    value   JSON {"at": YYYYMMDDhhmmss, "by": one of WHO, "name", "old", "new"}

The log holds the newest MOST entries. Values are kept as people read them (`shown`): long tables as their size and a
fingerprint, certificates the same, so that no entry is long, and a card number or a key has no way into one.

What a technician's tool writes while the terminal is off goes past all this. So the store also keeps what was in force
(table "changes_known"), and `compare` writes the differences down at the next start: no change escapes the log, whoever made it.

A change of ANNOUNCED is also put before the merchant, once.
"""

import hashlib
import json
from binascii import hexlify

from firmware import fees, parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.ports import Row, Store
    from firmware.terminal import Terminal

    Entry = dict[str, str]

HOST, MENU, TECHNICIAN = "host", "menu", "technician"
WHO = (HOST, MENU, TECHNICIAN)
TABLE, KNOWN = "changes", "changes_known"
TELL = "tell"
MOST = 200
LONGEST = 40  # characters of a value that is kept as it is
ANNOUNCED = ("fees",)
# What names the merchant to bank and customer: never changed in the middle of a batch.
IDENTITY = ("terminal.number", "merchant.number", "merchant.name")
CARDS = "exceptions"  # the black list has entries too, though it is no parameter


def put(
    terminal: "Terminal",
    values: "dict[str, Any]",
    by: str,
    rows: "list[Row] | tuple" = (),
    counts: "tuple[tuple[str, str, str], ...]" = (),
) -> "list[str]":
    """Checks the values, writes them with their entries and `rows` in one commit, and puts them in force -> names that changed.

    counts: (name, old, new) of what is changed by `rows` themselves. Raises parameters.ParameterError, ports.StoreError: then
    nothing has changed.
    """
    changed = {}
    for name in sorted(values):
        value = parameters.check(name, values[name])
        if terminal.parameter.value(name) != value:
            changed[name] = value
    told = list(counts)
    known = _known(terminal.ports["store"])
    for name in sorted(changed):
        new = shown(name, changed[name])
        told.append((name, _before(terminal, name), new))
        known[name] = new
    more = _entries(terminal, told, by)
    if changed and known:
        more.append((KNOWN, "now", json.dumps(known).encode(), None))
    terminal.parameter.put(changed, list(rows) + more)
    terminal.put_in_force(sorted(changed))
    return sorted(changed)


def _before(terminal: "Terminal", name: str) -> str:
    value = terminal.parameter.value(name)
    return "-" if value is None else shown(name, value)


def _entries(terminal: "Terminal", told: "list[tuple[str, str, str]]", by: str) -> "list[Row]":
    """The rows of so many new entries, and those that take the oldest away."""
    if not told:
        return []
    store = terminal.ports["store"]
    newest = store.range(TABLE, newest=True, limit=1)
    number = int(newest[0][0]) if newest else 0
    rows: list[Row] = []
    for name, old, new in told:
        number += 1
        entry = {"at": terminal.calendar_stamp(), "by": by, "name": name, "old": old, "new": new}
        rows.append((TABLE, _key(number), json.dumps(entry).encode(), TELL if name in ANNOUNCED else None))
    for key, _ in store.range(TABLE, high=_key(max(0, number - MOST + 1))):
        rows.append((TABLE, key, None, None))
    return rows


def _key(number: int) -> str:
    return "%010d" % number


def shown(name: str, value: "Any") -> str:
    """A value as the log keeps it."""
    if name == "fees":
        return fees.text(value)
    if value is True or value is False:
        return "on" if value else "off"
    if isinstance(value, (list, dict)):
        text = canonical(value)
        return text if len(text) <= LONGEST and not name.startswith("emv.") else "%d / %s" % (len(value), fingerprint(text))
    text = str(value)
    return text if len(text) <= LONGEST else "%d / %s" % (len(text), fingerprint(text))


def canonical(value: "Any") -> str:
    """A value as a text that does not depend on the order of its tables."""
    if isinstance(value, dict):
        return "{%s}" % ", ".join(["%s: %s" % (name, canonical(value[name])) for name in sorted(value)])
    if isinstance(value, list):
        return "[%s]" % ", ".join([canonical(one) for one in value])
    return json.dumps(value)


def fingerprint(text: str) -> str:
    """Eight characters by which two people can tell whether they speak of the same data."""
    return hexlify(hashlib.sha256(text.encode()).digest()).decode().upper()[:8]


def _known(store: "Store") -> "dict[str, str]":
    found = store.get(KNOWN, "now")
    try:
        known = json.loads(found.decode()) if found else {}
    except (ValueError, RuntimeError):
        known = {}
    return known if isinstance(known, dict) else {}


def compare(terminal: "Terminal") -> "list[str]":
    """Writes down what somebody changed past this module, since it was last looked at -> their names. Raises ports.StoreError.

    The first time, on a new device, there is nothing to compare with: what is in force is noted and no entry made.
    """
    store = terminal.ports["store"]
    before = _known(store)
    now = {}
    for name in parameters.TABLE:
        value = terminal.parameter.value(name)
        if value is not None:
            now[name] = shown(name, value)
    if now == before:
        return []
    # A name that nobody knew is a parameter of a newer firmware: its default changes nothing.
    names = sorted([name for name in before if before[name] != now.get(name, "-")]) if before else []
    names += sorted([name for name in ANNOUNCED if before and name not in before and name in now and now[name] != "-"])
    rows = _entries(terminal, [(name, before.get(name, "-"), now.get(name, "-")) for name in names], TECHNICIAN)
    store.commit(rows + [(KNOWN, "now", json.dumps(now).encode(), None)])
    return names


def newest(store: "Store", limit: int, before: str = "") -> "list[tuple[str, Entry]]":
    """[(key, entry)], newest first; with `before` those older than that key. What cannot be read is left out."""
    found = []
    for key, value in store.range(TABLE, None, "", before or None, True, limit):
        entry = _entry(value)
        if entry is not None:
            found.append((key, entry))
    return found


def to_tell(store: "Store") -> "list[tuple[str, Entry]]":
    """What the merchant has not been told yet, oldest first."""
    return [(key, entry) for key, entry in [(key, _entry(value)) for key, value in store.range(TABLE, TELL)] if entry is not None]


def told(store: "Store", keys: "list[str]") -> None:
    """He has seen them. Raises ports.StoreError."""
    rows: list[Row] = []
    for key in keys:
        value = store.get(TABLE, key)
        if value is not None:
            rows.append((TABLE, key, value, None))
    store.commit(rows)


def _entry(value: bytes) -> "Entry | None":
    try:
        entry = json.loads(value.decode())
    except (ValueError, RuntimeError):
        return None
    names = ("at", "by", "name", "old", "new")
    good = isinstance(entry, dict) and all([isinstance(entry.get(name), str) for name in names])
    return entry if good and len(entry["at"]) == 14 and entry["by"] in WHO else None


def batch_is_empty(terminal: "Terminal") -> bool:
    """Whether nothing is left that the host knows under the old identity: no transaction to settle, to reverse or to tell."""
    return not terminal.ledger.left_open() and terminal.settlement.running is None
