"""`python -m tools cards FILE --data DIR`: puts a technician's file of card parameters into a device's store, or shows it.

FILE is JSON, or a text of UnionPay blocks, one in hex a line (`firmware.emv.parameter_file` says what is in either). All of
it is taken, or nothing. Without FILE, --show shows what the device has. The terminal must be stopped.

    --kind test|live   what the keys of a text of blocks are
    --partial 0|1      the value of DF01 in such blocks that lets a longer name fit
    --show             afterwards: applications, keys with their last day, counts; no card number

    status   0 done      1 the store, the vault or the disk failed      2 wrong call, or a file that is refused
"""

import argparse
import json
import os
import sys
from datetime import date, datetime

from drivers import card_file
from drivers.key_box import KeyBox
from drivers.key_file import KeyFile
from drivers.libcrypto import CryptoError
from drivers.store import FILE as STORE_FILE
from drivers.store import SqliteStore
from firmware.emv import parameter_file, settings, tags
from firmware.emv.authority import Key
from firmware.emv.parameter_file import EXCEPTIONS, ParameterFileError
from firmware.ports import StoreError
from tools.emv_trace import value_lines

DONE, FAILED, WRONG = 0, 1, 2
TABLE = "parameters"  # the store's: key = name, value = JSON in UTF-8
SOON_DAYS = 90


def main(argv: "list[str]", say=print, today: "date | None" = None) -> int:
    """The whole tool. -> status."""
    parser = argparse.ArgumentParser(prog="python -m tools cards", description="卡参数：装入、查看 Card parameters: load, show.")
    parser.add_argument("file", nargs="?", metavar="FILE", help="JSON, or UnionPay blocks in hex, one a line")
    parser.add_argument("--data", required=True, metavar="DIR", help="the device's data folder")
    parser.add_argument("--kind", choices=("test", "live"), default="", help="of the keys in a text of blocks")
    parser.add_argument("--partial", choices=("0", "1"), default="1", help="value of DF01 that lets a longer name fit")
    parser.add_argument("--show", action="store_true", help="what the device has")
    try:
        arguments = parser.parse_args(argv)
        if not arguments.file and not arguments.show:
            parser.error("FILE or --show is wanted")
    except SystemExit as end:
        return int(end.code or 0)
    if not os.path.exists(os.path.join(arguments.data, STORE_FILE)):
        say("%s: 没有终端数据 no device's data here" % arguments.data)
        return WRONG
    try:
        store = SqliteStore(None, {}, arguments.data, read_only=not arguments.file)
        try:
            if arguments.file:
                _load(store, arguments, say)
            if arguments.show:
                for line in shown(store, today or date.today()):
                    say(line)
        finally:
            store.close()
    except ParameterFileError as error:
        say("拒绝 Refused, nothing was written: %s: %s" % (arguments.file, error))
        return WRONG
    except StoreError as error:
        busy = "owns the store" in str(error)
        say("请先关闭终端程序 / Stop the terminal first." if busy else "存储失败 The store failed: %s" % error)
        return FAILED
    except (OSError, CryptoError) as error:
        say("失败 Failed: %s" % error)
        return FAILED
    return DONE


def _load(store, arguments, say):
    try:
        data = card_file.fetch(arguments.file)
    except OSError as error:
        raise ParameterFileError(error.strerror or "cannot be read") from error
    except ValueError as error:
        raise ParameterFileError(str(error)) from error
    base = _parameter(store, "emv.aids", [])
    content = parameter_file.read(data, arguments.kind, int(arguments.partial), base)
    taken = parameter_file.parameters(content)
    rows = [(TABLE, name, json.dumps(value, ensure_ascii=False).encode(), None) for name, value in taken.items()]
    if content.get("exceptions") is not None:
        rows += _exception_rows(store, content, arguments.data)
    if not rows:
        raise ParameterFileError("nothing that a device keeps is in it")
    store.commit(rows)
    parts = ["%s %d" % (part, len(content[part])) for part, _, _ in parameter_file.PARAMETERS if part in content]
    if "exceptions" in content:
        parts.append("exceptions %d" % len(content["exceptions"]))
    say("已装入 Loaded: %s" % ", ".join(parts))


def has_cards(folder: "str | os.PathLike") -> bool:
    """Whether the device in `folder` has been told which cards it takes. Raises StoreError."""
    if not os.path.exists(os.path.join(folder, STORE_FILE)):
        return False
    store = SqliteStore(None, {}, folder, read_only=True)
    try:
        return store.get(TABLE, "emv.aids") is not None
    finally:
        store.close()


def take_exceptions(folder: "str | os.PathLike", content: dict) -> None:
    """Makes the exception file of checked content that of a provisioned device. Raises StoreError, OSError, CryptoError,
    ParameterFileError."""
    if not content.get("exceptions"):
        return
    store = SqliteStore(None, {}, folder)
    try:
        store.commit(_exception_rows(store, content, folder))
    finally:
        store.close()


def _exception_rows(store, content, folder):
    old = [who for who, _ in store.range(EXCEPTIONS)]
    if not content["exceptions"]:
        return parameter_file.exceptions(content, bytes, old)
    state, records = KeyFile(folder, os.urandom).read()
    box = KeyBox(state, records, os.urandom, _read_only, _read_only)
    try:
        if box.state != "ready":
            raise ParameterFileError("exceptions: the device has no keys yet to keep them under; provision it first")
        return parameter_file.exceptions(content, box.fingerprint, old)
    finally:
        box.forget()


def _read_only(*_):
    raise OSError("the vault is only read here")


def _parameter(store, name, default):
    value = store.get(TABLE, name)
    try:
        return default if value is None else json.loads(value.decode())
    except ValueError:
        raise ParameterFileError("%s in the store is damaged" % name) from None


def shown(store: SqliteStore, today: date) -> "list[str]":
    """What a device has, line by line. Raises ParameterFileError for a damaged parameter."""
    had = {part: _parameter(store, name, None) for part, name, _ in parameter_file.PARAMETERS}
    content = parameter_file.check({part: value for part, value in had.items() if value is not None})
    lines = []
    rows = content.get("applications")
    lines.append("应用 Applications: %s" % ("none in the store" if rows is None else len(rows)))
    lines += ["  " + _application(row) for row in rows or ()]
    checked = settings.Settings(rows or [], {}, content.get("keys", []), content.get("revoked", []))
    keys = checked.authority.all()
    lines.append("公钥 Keys: %s" % ("%d, %s" % (len(keys), checked.authority.kind) if keys else "none"))
    lines += ["  " + _key(key, today) for key in keys]
    lines.append("吊销证书 Revoked certificates: %d" % len(content.get("revoked", [])))
    lines.append("黑名单 Exception file: %d" % len(store.range(EXCEPTIONS)))
    switched = content.get("switches", {})
    if switched:
        words = ["%s %s" % (name, "on" if on else "off") for name, on in sorted(switched.items())]
        lines.append("开关 Switches: %s" % ", ".join(words))
    for tag, value in content.get("terminal", {}).items():
        lines += value_lines(int(tag, 16), bytes.fromhex(value), "", "  ")
    return lines


# Limits of a row, as the list shows them: key, words.
_LIMITS = (
    ("floor_limit_fen", "floor"),
    ("transaction_limit_fen", "transaction"),
    ("cvm_limit_fen", "CVM"),
    ("terminal_floor_limit_fen", "contact floor"),
)


def _application(row):
    parts = ["%-16s" % row["aid"], "kernel %s" % row["kernel"] if row.get("kernel") else "contact only"]
    parts += ["%s %d.%02d" % (word, row[key] // 100, row[key] % 100) for key, word in _LIMITS if row.get(key) is not None]
    return "  ".join(parts)


def _key(key: Key, today: date) -> str:
    name = "%s %02X" % (key.rid.hex().upper(), key.index)
    scheme = tags.scheme_of(key.rid)
    text = "%-13s %-10s %4d bits, exponent %-5d  %s" % (
        name,
        scheme,
        8 * len(key.modulus),
        key.exponent,
        expiry(key.expiry, today),
    )
    return text


def expiry(day: str, today: date) -> str:
    """The last day of a key in words. day: "YYYYMMDD", "" for a key without one."""
    if not day:
        return "no expiry 无期限"
    try:
        last = datetime.strptime(day, "%Y%m%d").date()
    except ValueError:
        return "%s: no day 日期错误" % day
    left = (last - today).days
    if left < 0:
        return "%s expired 已过期" % last
    return "%s expires in %d days%s" % (last, left, " 即将到期" if left <= SOON_DAYS else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
