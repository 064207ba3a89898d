"""`python -m tools iso8583 decode|encode|diff|redact`: messages between terminal and acquirer, read, made and compared.

decode [HEX|FILE|-]          every message in words, secrets masked; there is no way to unmask them
encode [JSON|FILE|-]         {"mti": "0200", "fields": {"3": "000000", ...}} to hex; bytes are hex, {"text": "..."} is GBK,
                             {"60.1": "22", "60.2": "000001", ...} a private field by its parts, {"9F26": "..."} field 55 by
                             its tags; with "tpdu" and "header" a whole frame
diff A B                     field by field, tag by tag; says when what is hidden differs
redact [HEX|FILE|-]          the same message with harmless values of the same length, as hex, to be sent to somebody

HEX      with or without blanks; FILE: hex, one message or one a line, or the bytes themselves; "-" or nothing is the
         standard input
--dialect NAME    unionpay (default), unionpay-128, 1987-ascii, 1987-binary, 1987-ebcdic, 1993-ascii
--quirks FILE     what the host does differently, JSON: {"62": "b...499 halves", "36": null}, or a profile
                  {"dialect": "unionpay", "fields": {...}, "frame": {"header": false, "length": "ascii"}}
--frame PARTS     what stands in front of the message: auto (found out), none, or some of length,tpdu,header
--json            decode: the masked lines as JSON

status   0 done; diff: the same    1 no message; diff: they differ    2 wrong call, or nothing that can be read
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from firmware.emv import tags, tlv
from firmware.iso8583 import describe, frame, subfields
from firmware.iso8583.codec import Iso8583Error
from firmware.iso8583.coding import parse
from firmware.iso8583.dialects import DIALECTS
from tools import iso8583_message, iso8583_redact
from tools.discreet import Parser, discreet
from tools.iso8583_message import LARGEST, Found, Link, NoMessage, Unreadable, hexadecimal

GOOD, DIFFERENT, WRONG = 0, 1, 2


def gbk(data: bytes) -> str:
    return data.decode("gb18030", "replace")


def main(argv: "list[str]", say=print, stdin=None) -> int:
    """The whole tool. -> status."""
    parser = Parser(prog="python -m tools iso8583", description="解读、生成、比较报文 Read, make and compare messages.")
    verbs = parser.add_subparsers(dest="verb", metavar="decode|encode|diff|redact", required=True)
    for name, help in (
        ("decode", "解读 every message in words, secrets masked"),
        ("encode", "生成 JSON to hex"),
        ("diff", "比较 two messages, field by field"),
        ("redact", "脱敏 harmless values of the same length, as hex"),
    ):
        verb = verbs.add_parser(name, help=help, description=help)
        if name == "diff":
            verb.add_argument("first", metavar="HEX|FILE")
            verb.add_argument("second", metavar="HEX|FILE")
        else:
            verb.add_argument("what", nargs="?", default="-", metavar="JSON|FILE" if name == "encode" else "HEX|FILE")
        verb.add_argument("--dialect", choices=sorted(DIALECTS), default="", metavar="NAME", help=", ".join(sorted(DIALECTS)))
        verb.add_argument("--quirks", metavar="FILE", help="what the host does differently, JSON")
        verb.add_argument("--frame", metavar="PARTS", default="auto", help="auto, none, or some of length,tpdu,header")
        if name == "decode":
            verb.add_argument("--json", action="store_true", help="masked, as JSON")
    try:
        given = parser.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    source = stdin or sys.stdin
    try:
        link = iso8583_message.link(given.dialect, given.quirks, given.frame)
        return VERBS[given.verb](given, link, say, source)
    except Unreadable as error:
        print(discreet("%s: %s" % (given.verb, error)), file=sys.stderr)
        return DIFFERENT if isinstance(error, NoMessage) else WRONG


def _data(what: str, source: Any) -> bytes:
    """What an argument stands for. Raises Unreadable."""
    if what == "-":
        stream = getattr(source, "buffer", source)
        data = stream.read(LARGEST + 1)
        data = data.encode() if isinstance(data, str) else data
    elif not os.path.exists(what) and (hexadecimal(what) is not None or what.lstrip()[:1] == "{"):
        data = what.encode()
    else:
        try:
            with open(what, "rb") as file:
                data = file.read(LARGEST + 1)
        except FileNotFoundError:
            raise Unreadable("no such file, and not hex") from None
        except (OSError, ValueError) as error:
            raise Unreadable(getattr(error, "strerror", None) or "cannot be read") from None
    if len(data) > LARGEST:
        raise Unreadable("more than %d bytes" % LARGEST)
    if not data.strip():
        raise Unreadable("nothing in it")
    return data


# ---- decode


def around(found: Found, link: Link) -> "list[str]":
    """What stood in front of a message, in words."""
    lines = []
    if found.length:
        lines.append("length %d" % link.framing.size_of(found.length))
    if found.tpdu:
        digits = found.tpdu.hex().upper()
        lines.append("TPDU %s: to %s, from %s" % (digits, digits[2:6], digits[6:]))
    if found.header:
        digits = found.header.hex().upper()
        lines.append(
            "header %s: class %s, version %s, terminal %s, required %s, sub-version %s"
            % (digits, digits[:2], digits[2:4], digits[4], frame.requirement(found.header), digits[6:])
        )
    return lines + ([found.remark] if found.remark else [])


def decode(arguments: Any, link: Link, say: Any, source: Any) -> int:
    found = iso8583_message.messages(_data(arguments.what, source), link)
    if arguments.json:
        shown = [_json(one, link) for one in found]
        say(json.dumps(shown if len(shown) > 1 else shown[0], ensure_ascii=False, indent=2))
        return GOOD
    for place, one in enumerate(found):
        if len(found) > 1:
            say("%s-- %d of %d" % ("\n" if place else "", place + 1, len(found)))
        lines = describe.describe_fields(one.mti, one.fields, link.codec.table, gbk, parts=True)
        for line in around(one, link) + lines:
            say(line)
    return GOOD


def _json(found: Found, link: Link) -> "dict[str, Any]":
    lines = describe.describe_fields(found.mti, found.fields, link.codec.table, gbk)
    shown = {line.split(" ", 1)[0][1:]: line.split(": ", 1)[1] for line in lines[1:] if not line.startswith(" ")}
    head = {"tpdu": found.tpdu.hex().upper(), "header": found.header.hex().upper()}
    return {**{name: value for name, value in head.items() if value}, "mti": found.mti, "title": lines[0][5:], "fields": shown}


# ---- encode


def encode(arguments: Any, link: Link, say: Any, source: Any) -> int:
    try:
        content = json.loads(_data(arguments.what, source))
    except (ValueError, RecursionError):
        raise Unreadable("no JSON") from None
    mti, fields, tpdu, header = _message(content, link)
    try:
        body = link.codec.pack(mti, fields)
        if tpdu or header or (link.shape and link.shape[0]):
            has = frame.Framing(link.framing.length, len(tpdu), len(header), bool(link.framing.own))
            body = has.pack(tpdu, header, body) if link.shape is None or link.shape[0] else tpdu + header + body
    except (Iso8583Error, ValueError) as error:
        raise NoMessage(str(error)) from error
    say(body.hex().upper())
    return GOOD


def _message(content: Any, link: Link):
    """(mti, fields, TPDU, header) of the JSON form. Raises Unreadable, which names the place."""
    if not isinstance(content, dict) or not isinstance(content.get("fields"), dict) or not isinstance(content.get("mti"), str):
        raise Unreadable('takes {"mti": "0200", "fields": {"3": "000000"}}')
    for name in content:
        if name not in ("mti", "fields", "tpdu", "header", "title"):
            raise Unreadable("%s: there are mti, fields, tpdu, header" % name[:20])
    mti = content["mti"]
    fields: "dict[int, Any]" = {}
    plain = {int(key): value for key, value in content["fields"].items() if key.isdecimal() and key.isascii() and len(key) < 4}
    for key, value in content["fields"].items():
        if not (key.isdecimal() and key.isascii() and int(key[:4]) in link.codec.table and int(key[:4]) > 1):
            raise Unreadable("field %s: not in this dialect" % key[:10])
        field = int(key)
        coding = parse(link.codec.table[field][0], link.codec.words)
        try:
            fields[field] = _value(mti, plain, field, coding.kind == "b", value)
        except (Iso8583Error, tlv.TlvError, ValueError) as error:
            raise Unreadable("field %d: %s" % (field, error)) from error
    around = []
    for name, size in (("tpdu", 5), ("header", 6)):
        part = content.get(name, "")
        data = b"" if part == "" else hexadecimal(part) if isinstance(part, str) else None
        if data is None or len(data) not in (0, size):
            raise Unreadable("%s: %d bytes in hex" % (name, size))
        around.append(data)
    return mti, fields, around[0], around[1]


def _value(mti: str, fields: "dict[int, Any]", field: int, binary: bool, value: Any) -> Any:
    if isinstance(value, dict):
        if list(value) == ["text"] and isinstance(value["text"], str):
            return value["text"].encode("gb18030") if binary else value["text"]
        names = [name for name in value if "." in name]
        if names:
            layout = subfields.layout_of(mti, fields, field)
            if layout is None:
                raise ValueError("has no parts in this message")
            made = subfields.join(field, layout, value)
            return made.encode() if binary and isinstance(made, str) else made
        return tlv.encode([(tlv.parse_tag(tag), _hex(part)) for tag, part in value.items()])
    if not isinstance(value, str):
        raise ValueError("takes a text, or its parts")
    return _hex(value) if binary else value


def _hex(value: Any) -> bytes:
    data = hexadecimal(value) if isinstance(value, str) and value else b"" if value == "" else None
    if data is None:
        raise ValueError('bytes are hex, or {"text": "..."}')
    return data


# ---- diff


def diff(arguments: Any, link: Link, say: Any, source: Any) -> int:
    pair = []
    for what in (arguments.first, arguments.second):
        found = iso8583_message.messages(_data(what, source), link)
        if len(found) != 1:
            raise Unreadable("%d messages where one is compared" % len(found))
        pair.append(found[0])
    lines = differences(pair[0], pair[1], link)
    for line in lines:
        say(line)
    if not lines:
        say("the same: %s %s" % (pair[0].mti, " ".join(describe.title(pair[0].mti, pair[0].fields))))
    return DIFFERENT if lines else GOOD


def differences(first: Found, second: Found, link: Link) -> "list[str]":
    """What two messages say differently, masked."""
    lines = []
    for name, one, other in (
        ("TPDU", first.tpdu.hex().upper(), second.tpdu.hex().upper()),
        ("header", first.header.hex().upper(), second.header.hex().upper()),
        ("message type", first.mti, second.mti),
    ):
        if one != other:
            lines.append("%s: %s | %s" % (name, one or "none", other or "none"))
    table = link.codec.table
    for field in sorted(set(first.fields) | set(second.fields)):
        if first.fields.get(field) == second.fields.get(field):
            continue
        name = "F%d %s %s" % (field, table[field][2], table[field][3])
        if field not in first.fields or field not in second.fields:
            which = 1 if field in first.fields else 2
            lines.append(
                "%s: only in the %s: %s"
                % (name, ("first", "second")[which - 1], _shown((first, second)[which - 1], field, table))
            )
            continue
        one, other = _shown(first, field, table), _shown(second, field, table)
        hidden = " (what is hidden differs)" if one == other else ""
        lines.append("%s: %s | %s%s" % (name, one, other, hidden))
        lines += ["  " + line for line in _inside(first, second, field, table)]
    return lines


def _shown(found: Found, field: int, table: dict) -> str:
    lines = describe.describe_fields(found.mti, {field: found.fields[field]}, table, gbk)
    return lines[1].split(": ", 1)[1]


def _inside(first: Found, second: Found, field: int, table: dict) -> "list[str]":
    """The parts or tags of a field that differ."""
    named: "list[list[tuple[str, str, str, Any]]]" = []
    if table[field][1] == "chip":
        try:
            one, other = (tlv.primitives(tlv.decode(found.fields[field])) for found in (first, second))
        except tlv.TlvError:
            return []
        named = [
            [("%X" % tag, tags.name_of(tag), tags.show(tag, value), value) for tag, value in parts] for parts in (one, other)
        ]
    else:
        for found in (first, second):
            layout = subfields.layout_of(found.mti, found.fields, field) if describe.knows_parts(table) else None
            try:
                parts = subfields.split(field, layout, found.fields[field]) if layout else []
            except Iso8583Error:
                return []
            named.append(
                [(part.name, "%s %s" % (part.zh, part.en), describe.part_shown(part.mask, value), value) for part, value in parts]
            )
    return _lines(*named)


def _lines(one: list, other: list) -> "list[str]":
    lines = []
    firsts, seconds = _numbered(one), _numbered(other)
    for key in list(firsts) + [key for key in seconds if key not in firsts]:
        left, right = firsts.get(key), seconds.get(key)
        if left and right and left[3] == right[3]:
            continue
        if left and right:
            hidden = " (what is hidden differs)" if left[2] == right[2] else ""
            lines.append("%s %s: %s | %s%s" % (left[0], left[1], left[2], right[2], hidden))
        elif left:
            lines.append("%s %s: only in the first" % (left[0], left[1]))
        elif right:
            lines.append("%s %s: only in the second" % (right[0], right[1]))
    if not lines and [row[0] for row in one] != [row[0] for row in other]:
        lines.append("the same in another order")
    return lines


def _numbered(rows: list) -> dict:
    """{(name, how many of that name came before): row}."""
    seen: "dict[str, int]" = {}
    out = {}
    for row in rows:
        seen[row[0]] = seen.get(row[0], -1) + 1
        out[(row[0], seen[row[0]])] = row
    return out


# ---- redact


def redact(arguments: Any, link: Link, say: Any, source: Any) -> int:
    generous = iso8583_redact.generous(link.codec)
    for found in iso8583_message.messages(_data(arguments.what, source), link):
        fields = iso8583_redact.redacted(found.mti, found.fields, link.codec.table)
        try:
            body = generous.pack(found.mti, fields)
        except Iso8583Error as error:
            raise NoMessage("cannot be written again: %s" % error) from error
        say(found.around(body).hex().upper())
    return GOOD


VERBS = {"decode": decode, "encode": encode, "diff": diff, "redact": redact}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
