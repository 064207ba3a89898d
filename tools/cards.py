"""`python -m tools cards FILE --data DIR`: puts a technician's file of card parameters into a device's store, or shows it.

FILE is JSON, or a text of UnionPay blocks, one in hex a line (`firmware.emv.parameter_file` says what is in either). All of
it is taken, or nothing. Without FILE, --show shows what the device has. The terminal must be stopped.

Keys are test keys or live ones, never both; a file's keys take the place of all that were there. A production terminal uses
live keys alone: with test keys it knows none, and no card can prove itself to it. A test terminal uses either.

    --kind test|live   what the keys of a text of blocks are
    --partial 0|1      the value of DF01 in such blocks that lets a longer name fit
    --show             afterwards: applications, keys with their last day, counts; no card number

    status   0 done      1 the store, the vault or the disk failed      2 wrong call, or a file that is refused
"""

import json
import os
import sys
from datetime import date, datetime

from drivers import card_file
from drivers.libcrypto import CryptoError
from drivers.provisioning import EXCEPTIONS, ProvisioningError, card_rows
from drivers.store import FILE as STORE_FILE
from drivers.store import SqliteStore
from firmware.emv import parameter_file, settings, tags
from firmware.emv.authority import Key
from firmware.emv.parameter_file import ParameterFileError
from firmware.ports import StoreError
from tools.discreet import Parser, discreet
from tools.emv_trace import value_lines

DONE, FAILED, WRONG = 0, 1, 2
TABLE = "parameters"  # the store's: key = name, value = JSON in UTF-8
SOON_DAYS = 90


def main(argv: "list[str]", say=print, today: "date | None" = None) -> int:
    """The whole tool. -> status."""
    parser = Parser(prog="python -m tools cards", description="卡参数：装入、查看 Card parameters: load, show.")
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
        say(discreet("%s: 没有终端数据 no device's data here" % arguments.data))
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
        say(discreet("拒绝 Refused, nothing was written: %s: %s" % (arguments.file, error)))
        return WRONG
    except StoreError as error:
        busy = "owns the store" in str(error)
        say("请先关闭终端程序 / Stop the terminal first." if busy else discreet("存储失败 The store failed: %s" % error))
        return FAILED
    except (OSError, CryptoError) as error:
        say(discreet("失败 Failed: %s" % error))
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
    if not taken and "exceptions" not in content:
        raise ParameterFileError("nothing that a device keeps is in it")
    before = _kind(_parameter(store, "emv.keys", []))
    had = {part: len(_parameter(store, name, ())) for part, name, _ in parameter_file.PARAMETERS}
    try:
        store.commit(card_rows(store, arguments.data, taken, content.get("exceptions")))
    except ProvisioningError as error:
        raise ParameterFileError("exceptions: the device has no keys yet to keep them under; provision it first") from error
    parts = [_loaded(part, len(content[part]), had[part]) for part, _, _ in parameter_file.PARAMETERS if part in content]
    if "exceptions" in content:
        parts.append("exceptions %d" % len(content["exceptions"]))
    say("已装入 Loaded: %s" % ", ".join(parts))
    if "keys" in content:
        for line in _about_keys(before, _kind(content["keys"])):
            say(line)


def _loaded(part, now, before):
    """A file replaces the whole of a part, so one that shrinks says what it was."""
    return "%s %d (%s %d)" % (part, now, "原有 were", before) if now < before else "%s %d" % (part, now)


# Kind of the keys that were loaded: what it means for the terminal. "": there are none now.
_MEANING = {
    "test": "测试密钥：正式终端不使用 / Test keys: a production terminal does not use them.",
    "live": "正式密钥：真卡可脱机认证 / Live keys: real cards can prove themselves, to a test terminal too.",
    "": "没有密钥：卡片都不能脱机认证 / No keys: no card can prove itself offline.",
}
_KINDS = {"test": ("测试", "test"), "live": ("正式", "live")}


def _about_keys(before, now):
    """What the technician should know of the keys that he has just loaded."""
    lines = [_MEANING[now]]
    if before and now and before != now:
        lines.append("原有%s密钥已全部替换 / The keys that were there are gone: they were %s ones." % _KINDS[before])
    return lines


def _kind(rows):
    return rows[0].get("kind", "") if rows else ""


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
