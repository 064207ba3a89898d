"""`python -m tools emv FILE|HEX`: explains a TLV string, a command, or a whole exchange with a card, in words.

    HEX     a TLV string (field 55, a record, an answer), or one command APDU
    FILE    a TLV string in hex; lines of hex, "C:" and "R:" in front of command and response or turn by turn; JSON: a list
            of {"c", "r"}, one such a line, {"apdus": [...]} or {"cases": [...]}; "-" is the standard input
    --keys FILE    keys of the authorities (as for `python -m tools cards`): the signatures of the card are checked
    --kind         what the keys of a text of blocks are, "test" or "live"
    --case NAME    only that one of several
    --date YYMMDD  the day of a trace that does not say it
    --run          our kernel runs against the recorded card (`emv_run`); --way, --number, --date, --time, --amount,
                   --settings FILE, --answer say what it is given; without them it is given what was recorded

    status   0 explained    1 explained, and something in it is wrong: no TLV, a signature that does not hold
             2 wrong call, or nothing that can be read
             with --run: 0 every command is as recorded    1 the kernel sent something else

Card numbers are shown with six and four digits; tracks, names and PINs not at all.
"""

import json
import os
import re
import sys
from datetime import date

from firmware.emv import parameter_file, tags, tlv
from tools import emv_run
from tools.discreet import Parser, discreet
from tools.emv_trace import Trace, is_command, tree_lines

GOOD, WRONG_INSIDE, WRONG = 0, 1, 2
LARGEST = 4_000_000
# Longer signs first. A letter and a colon are no hex, whose groups have two digits.
_TURN = re.compile(r"^(-->|<--|->|<-|>+|<+|→|←|(?:CMD|RSP|APDU|TX|RX|SW|C|R)(?=\s*[:=]))\s*[:=]?\s*(.*)$", re.IGNORECASE)
_COMMAND_SIGNS = ("C", "CMD", "APDU", "TX", ">", ">>", "->", "-->", "→")


class Unreadable(Exception):
    """Nothing that can be explained; the text says where, and quotes nothing."""


def main(argv: "list[str]", say=print, stdin=None) -> int:
    """The whole tool. -> status."""
    parser = Parser(prog="python -m tools emv", description="解读芯片卡数据 Explain card data, APDUs, transactions.")
    parser.add_argument("what", metavar="FILE|HEX")
    parser.add_argument("--keys", metavar="FILE")
    parser.add_argument("--kind", choices=("test", "live"), default="test")
    parser.add_argument("--case", metavar="NAME")
    parser.add_argument("--date", metavar="YYMMDD")
    emv_run.add_options(parser)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        keys = None if arguments.keys is None else _keys(arguments.keys, arguments.kind)
        parts = read(_text(arguments.what, stdin or sys.stdin))
        if arguments.case is not None:
            parts = [part for part in parts if part[0] == arguments.case]
            if not parts:
                raise Unreadable("no case of that name")
    except Unreadable as error:
        print(discreet("%s: %s" % (_named(arguments.what), error)), file=sys.stderr)
        return WRONG
    status, today = GOOD, date.today().strftime("%y%m%d")
    for number, (name, content) in enumerate(parts):
        if len(parts) > 1 or name:
            say("%s%s" % ("\n" if number else "", discreet(name) or "part %d" % (number + 1)))
            say("")
        try:
            if arguments.run:
                status = max(status, emv_run.run(content, keys, arguments, today, say))
            elif _explain(content, keys, arguments.date or today, say):
                status = WRONG_INSIDE
        except emv_run.RunError as error:
            print(discreet("%s: %s" % (_named(arguments.what), error)), file=sys.stderr)
            return WRONG
    return status


def _named(what):
    return what if os.path.exists(what) or what == "-" else "input"


def _text(what, stdin):
    if what == "-":
        return stdin.read(LARGEST)
    if _hex(what) is not None and not os.path.exists(what):
        return what
    try:
        with open(what, "rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise Unreadable("no such file, and not hex") from None
    except (OSError, ValueError) as error:
        raise Unreadable(getattr(error, "strerror", None) or "cannot be read") from None
    if len(data) > LARGEST:
        raise Unreadable("more than %d bytes" % LARGEST)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Unreadable("neither text nor JSON") from None


def _keys(path, kind):
    try:
        with open(path, "rb") as file:
            content = parameter_file.read(file.read(LARGEST + 1), kind)
    except OSError as error:
        raise Unreadable("--keys %s: %s" % (path, error.strerror)) from error
    except parameter_file.ParameterFileError as error:
        raise Unreadable("--keys %s: %s" % (path, error)) from error
    if not content.get("keys"):
        raise Unreadable("--keys %s: no key in it" % path)
    return content["keys"]


def read(text: str) -> "list[tuple[str, bytes | list]]":
    """[(name or "", TLV bytes or a list of (command, response or None))]. Raises Unreadable."""
    text = text.strip("\ufeff \t\r\n")
    if not text:
        raise Unreadable("nothing in it")
    if text[0] in "{[":
        return _of_json(text)
    lines = [(number + 1, line.split("#", 1)[0].strip()) for number, line in enumerate(text.splitlines())]
    lines = [(number, line) for number, line in lines if line]
    if any(_TURN.match(line) for _, line in lines):
        return [("", _of_turns(lines))]
    chunks = [(number, _bytes(line, "line %d" % number)) for number, line in lines]
    if is_command(chunks[0][1]):
        turns = [chunk for _, chunk in chunks]
        return [("", [(turns[at], turns[at + 1] if at + 1 < len(turns) else None) for at in range(0, len(turns), 2)])]
    return [("", b"".join(chunk for _, chunk in chunks))]


def _of_turns(lines):
    pairs, waiting = [], None
    for number, line in lines:
        match = _TURN.match(line)
        if match is None:
            raise Unreadable("line %d: neither C: nor R: in front" % number)
        sign, data = match.group(1).upper(), _bytes(match.group(2), "line %d" % number)
        if sign in _COMMAND_SIGNS:
            if waiting is not None:
                pairs.append((waiting, None))
            waiting = data
        elif waiting is None:
            raise Unreadable("line %d: a response without a command" % number)
        else:
            pairs.append((waiting, data))
            waiting = None
    return pairs + ([(waiting, None)] if waiting is not None else [])


def _of_json(text):
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        try:
            content = [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise Unreadable("begins like JSON and is none") from None
    if isinstance(content, dict) and isinstance(content.get("cases"), list):
        return [_case(case, "case %d" % (number + 1)) for number, case in enumerate(content["cases"])] or _nothing()
    return [_case(content, "")]


def _nothing():
    raise Unreadable("no case in it")


def _case(content, where):
    name = ""
    if isinstance(content, dict):
        name = str(content.get("name") or content.get("id") or where)
        content = content.get("apdus") or content.get("exchanges") or ([content] if "c" in content else None)
    if not isinstance(content, list):
        raise Unreadable("%s: no list of commands and responses" % (where or "JSON"))
    pairs = []
    for number, pair in enumerate(content):
        at = "%s exchange %d" % (where, number + 1)
        if isinstance(pair, list) and len(pair) == 2:
            command, response = pair
        elif isinstance(pair, dict):
            command = pair.get("c", pair.get("command"))
            response = pair.get("r", pair.get("response"))
            if command is None:  # a recording's head: who, when
                continue
        else:
            raise Unreadable("%s: neither {c, r} nor a pair" % at.strip())
        pairs.append((_bytes(command, at.strip()), None if response is None else _bytes(response, at.strip())))
    if not pairs:
        raise Unreadable("%s: no exchange in it" % (where or "JSON"))
    return name, pairs


def _hex(text):
    """Bytes of hex with blanks or colons between, or None."""
    compact = re.sub(r"[\s:]", "", text)
    if not compact or not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", compact):
        return None
    return bytes.fromhex(compact)


def _bytes(text, where):
    data = _hex(text) if isinstance(text, str) else None
    if data is None:
        raise Unreadable("%s: not hex" % where)
    return data


def _explain(content, keys, day, say):
    """-> whether something in it is wrong."""
    if isinstance(content, list):
        trace = Trace(content, keys, day)
        for line in trace.lines():
            say(line)
        return trace.wrong
    body, word = _without_status(content)
    try:
        tree = tlv.decode(body)
    except tlv.TlvError as error:
        say("no TLV: %s" % error)
        return True
    scheme = ""
    for tag, value in tlv.primitives(tree):
        if tag in (0x4F, 0x84, 0x9F06):
            scheme = scheme or tags.scheme_of(value)
    for line in tree_lines(tree, scheme):
        say(line)
    if word:
        say("SW   %s" % word)
    return False


def _without_status(data):
    """(TLV, "9000" of an answer that was copied whole, or ""). At the end of TLV an empty 90 is nothing that anybody sends."""
    return (data[:-2], "9000") if len(data) > 2 and data[-2:] == b"\x90\x00" else (data, "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
