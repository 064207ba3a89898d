"""The grammar of AT commands, from the module's side: a line taken apart, errors put into words, secrets kept out of a log.

    AT+CREG=2;+COPS?       several commands, one result
    ATE0V1                 basic commands need no separator
    AT+CSQ   AT+CSQ?   AT+CSQ=?   AT+CSQ=1,"a,b"     execute, read, test, set

A command is looked up by its name and form: "+CREG?" reads, "+CREG=" sets, "+CSQ" executes; "E", "&F", "S" are basic.

Sources: ITU-T V.250 5.2, 5.3; 3GPP TS 27.007 9.2 (+CME ERROR), 3GPP TS 27.005 3.2.5 (+CMS ERROR).
"""

from __future__ import annotations

import re
from typing import NamedTuple

CME = {
    3: "operation not allowed",
    4: "operation not supported",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    16: "incorrect password",
    21: "invalid index",
    30: "no network service",
    50: "incorrect parameters",
    100: "unknown",
    107: "GPRS services not allowed",
    148: "unspecified GPRS error",
}
CMS = {
    304: "Invalid PDU mode parameter",
    305: "Invalid text mode parameter",
    310: "SIM not inserted",
    311: "SIM PIN required",
    316: "SIM PUK required",
    321: "Invalid memory index",
    322: "Memory full",
    331: "No network service",
    500: "Unknown error",
}


class Refusal(Exception):
    """A command is refused: by a code of CME or CMS, or in words of its own. Without any: a plain ERROR."""

    def __init__(self, cme: int = 0, cms: int = 0, before: str = "") -> None:
        super().__init__(cme or cms or before or "ERROR")
        self.cme, self.cms = cme, cms
        self.before = before  # a line that comes before the ERROR

    def result(self, mode: int) -> str:
        """The result code under +CMEE=mode."""
        if self.cms:
            return f"+CMS ERROR: {CMS[self.cms] if mode == 2 else self.cms}"
        if self.cme and mode:
            return f"+CME ERROR: {CME[self.cme] if mode == 2 else self.cme}"
        return "ERROR"


class Prompt(NamedTuple):
    """What a handler yields to be given bytes. size: so many, whatever they are; None: up to Ctrl-Z, and ESC gives None."""

    size: int | None
    text: bytes = b"\r\n> "
    echo: bool = True


class Command(NamedTuple):
    """name: "+CREG"; form: "?", "=", "=?" or ""; text: what stands after the "=", or the digits of a basic one."""

    name: str
    form: str
    text: str

    @property
    def key(self) -> str:
        return self.name + self.form


_EXTENDED = re.compile(r"([+^*$#%][A-Z0-9]+)\s*(=\?|=|\?|)", re.IGNORECASE)
_REST = re.compile(r'(?:[^;"]|"[^"]*"?)*')
_BASIC = re.compile(r"(&?[A-Z])(\d*)(?:(=)(\d*)|(\?))?", re.IGNORECASE)


def commands(line: str) -> list[Command]:
    """What stands after the AT of a line. Raises Refusal for what is no command."""
    found, place = [], 0
    while place < len(line):
        if line[place] in " ;\0":
            place += 1
            continue
        match = _EXTENDED.match(line, place)
        if match:
            name, form = match[1].upper(), match[2]
            rest = _REST.match(line, match.end())
            text = rest[0].strip() if rest else ""
            if text and form != "=":
                raise Refusal
            found.append(Command(name, form, text))
            place = rest.end() if rest else match.end()
            continue
        match = _BASIC.match(line, place)
        if not match:
            raise Refusal
        found.append(Command(match[1].upper(), match[3] or match[5] or "", match[4] or match[2]))
        place = match.end()
    return found


def arguments(text: str) -> list[str]:
    """The arguments of a set command; quotes are taken off, what is left out is ""."""
    found, word, quoted = [], "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            found.append(word.strip())
            word = ""
        else:
            word += character
    return [*found, word.strip()] if text.strip() else []


def number(words: list[str], place: int, default: int | None = None, low: int = 0, high: int = 2**31) -> int:
    """A whole argument in its bounds. Raises Refusal."""
    word = words[place] if place < len(words) else ""
    if not word:
        if default is None:
            raise Refusal(50)
        return default
    if not (word.isascii() and word.isdigit() and low <= int(word[:12]) <= high):
        raise Refusal(50)
    return int(word)


def word(words: list[str], place: int, default: str | None = None) -> str:
    """A text argument. Raises Refusal when it is needed and not there."""
    if place < len(words) and words[place]:
        return words[place]
    if default is None:
        raise Refusal(50)
    return default


# How many arguments a log may show, where some are secret.
SHOWN = {
    "+CPIN": 0, "+CLCK": 2, "+CPWD": 1, "+QICSGP": 3, "+CSTT": 1, "+CGAUTH": 2, "+CGPCO": 0, "+CUSD": 1, "+CPBW": 1,
}  # fmt: skip
_LONG = re.compile(r"\d{13,}")


def mask_numbers(text: str) -> str:
    """Numbers as long as a card's with their first six and last four digits."""
    return _LONG.sub(lambda match: match[0][:6] + "*" * (len(match[0]) - 10) + match[0][-4:], text)


def masked(line: str, known: set[str]) -> str:
    """A command line as a log may show it; of a command that nobody knows, and of what is none, nothing but the size."""
    try:
        shown = []
        for command in commands(line):
            if command.name not in known:
                return f"AT… {len(line)} characters"
            text = command.text
            most = SHOWN.get(command.name)
            if most is not None and command.form == "=":
                words = text.split(",")
                text = ",".join(words[:most] + ["…"] * (len(words) > most))
            shown.append(f"{command.name}{command.form}{text}" if command.form else command.name + text)
        return mask_numbers("AT" + ";".join(shown))
    except Refusal:
        return f"AT… {len(line)} characters"
