"""What a device is set to: listed, shown, changed, while it is switched off.

    python -m tools parameter --data DIR                         every parameter that differs from its default
    python -m tools parameter --data DIR --all                   every parameter
    python -m tools parameter --data DIR module.tip              one, with what it takes
    python -m tools parameter --data DIR module.tip true         set; JSON, or a text as it is
    python -m tools parameter --data DIR module.tip --default    back to its default

The value is checked as the terminal checks it (`firmware.parameters`), so that nothing is stored which it would refuse. The
device notes the change in its log of changes when it is switched on. Who the device is to the host (its numbers) can be changed
only when nothing is left that the host knows under the old ones.

Exit status: 0, 1 when the device refuses or cannot be read, 2 for a wrong call.
"""

import argparse
import json
import os
import sys
from typing import Any

from drivers.store import SqliteStore
from firmware.ledger import Ledger
from firmware.parameters import REQUIRED, TABLE, ParameterError, check
from firmware.ports import StoreError
from firmware.settlement import Settlement

IDENTITY = ("terminal.number", "merchant.number", "host.address", "host.port")
LONGEST = 60  # characters of a value in the list
WHY = {
    "reversal": "a transaction whose result is unknown is open",
    "notice": "the host has not heard of everything yet",
    "batch": "the batch has to be settled first",
}


class Refused(Exception):
    """The value was not taken; the text says why."""


def _stored(store: SqliteStore) -> "dict[str, Any]":
    """{name: value} of what the device has stored; what cannot be read is left out, as the terminal does."""
    found = {}
    for name, value in store.range("parameters"):
        try:
            found[name] = check(name, json.loads(value.decode()))
        except (ValueError, RuntimeError):
            print("%s: what is stored cannot be used" % name, file=sys.stderr)
    return found


def _text(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else "%s... (%d characters)" % (text[:LONGEST], len(text))


def _takes(name: str) -> str:
    """What a parameter takes, in words."""
    kind, default, low, high = TABLE[name]
    words = {
        "switch": "true or false",
        "number": "a number from %s to %s" % (low, high),
        "choice": "one of %s" % ", ".join(low) if kind == "choice" else "",
        "table": "a table, as JSON",
    }
    usual = "has to be set" if default is REQUIRED else "usually %s" % _text(default)
    return "%s; %s" % (words.get(kind, "text, %s to %s characters" % (low, high)), usual)


def _value(name: str, text: str) -> object:
    """A value as it was typed: JSON, or for a parameter that takes text the text itself."""
    kind, default = TABLE[name][:2]
    if kind in ("text", "pages", "code", "digits", "choice") or default is not REQUIRED and isinstance(default, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def show(store: SqliteStore, name: str, everything: bool) -> None:
    """Prints one parameter, or the list."""
    stored = _stored(store)
    for one in [name] if name else sorted(TABLE):
        default = TABLE[one][1]
        if not (name or everything or one in stored):
            continue
        value = stored.get(one, None if default is REQUIRED else default)
        print("%-26s %s%s" % (one, "-" if value is None else _text(value), "" if one in stored else "   (default)"))
        if name:
            print("%-26s %s" % ("", _takes(one)))


def change(store: SqliteStore, name: str, value: object, default: bool) -> None:
    """Stores a new value, or takes the stored one away. Raises Refused, ParameterError, StoreError."""
    if name in IDENTITY:
        why = "batch" if Settlement(store).running is not None else Ledger(store).left_open()
        if why:
            raise Refused("%s: %s" % (name, WHY[why]))
    if default:
        if TABLE[name][1] is REQUIRED:
            raise Refused("%s: has no default" % name)
        store.commit([("parameters", name, None, None)])
        return
    store.commit([("parameters", name, json.dumps(check(name, value)).encode(), None)])


def main(argv: "list[str]") -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools parameter", description="What a device that is switched off is set to: shows it, changes it."
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="the device's folder")
    parser.add_argument("--all", action="store_true", help="list what stands at its default too")
    parser.add_argument("--default", action="store_true", help="back to the default")
    parser.add_argument("name", nargs="?", default="", help="the parameter, as firmware/parameters.py names it")
    parser.add_argument("value", nargs="?", help="its new value")
    asked = parser.parse_args(argv)
    if asked.name and asked.name not in TABLE:
        near = [name for name in sorted(TABLE) if asked.name.split(".")[-1] in name]
        hint = "; like it: " + ", ".join(near) if near else ""
        print("%s: no such parameter%s" % (asked.name, hint), file=sys.stderr)
        return 2
    if asked.default and (not asked.name or asked.value is not None):
        parser.error("--default goes with a name alone")
    if not os.path.isdir(asked.data):
        print("%s: there is no device in this folder" % asked.data, file=sys.stderr)
        return 1
    try:
        store = SqliteStore(None, {}, asked.data)
    except StoreError as error:
        print("the store cannot be opened: %s; is the device switched off?" % error, file=sys.stderr)
        return 1
    try:
        if asked.value is not None or asked.default:
            change(store, asked.name, None if asked.default else _value(asked.name, asked.value), asked.default)
        show(store, asked.name, asked.all)
    except (Refused, ParameterError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
