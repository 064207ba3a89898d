"""What a recording of a card says of the terminal and the issuer that it was made with.

A recording is pairs of command and response. The lists of the card (PDOL, DDOL, CDOL) give names to what the terminal
sent, so that the same terminal can be set up again as far as the card was told of it:

    said to the card         becomes
    amount, date, UN ...     the request
    9F33, 9F35, 9F1A ...     the terminal's data
    9F66, 95                 the limits that make the same of the amount
    SELECT by name           the applications that the terminal knows
    8A, EXTERNAL AUTHENTICATE, script commands     what the issuer answered

The first cryptogram goes before other commands; the number of a dynamic authentication is the one that was signed.
"""

from datetime import datetime

from emulator.cards.recorded import Pair
from firmware.emv import ask, entry, tags, tlv
from firmware.emv.apdu import PPSE, PSE
from firmware.emv.settings import Application, Request
from firmware.iso8583 import codes
from tools.emv_trace import Exchange, Trace

SELECT, OPTIONS, RECORD, VERIFY, GENERATE, INTERNAL, EXTERNAL, CHECKSUM = 0xA4, 0xA8, 0xB2, 0x20, 0xAE, 0x88, 0x82, 0x2A
SCRIPTS = (0x16, 0x18, 0x1E, 0x24, 0xDA, 0xDC, 0xE2, 0xD2)
OK = b"\x90\x00"
AMOUNT, OTHER, DAY, HOUR, KIND, NUMBER, COUNTER = 0x9F02, 0x9F03, 0x9A, 0x9F21, 0x9C, 0x9F37, 0x9F41
TVR, RESPONSE, AUTHENTICATION, QUALIFIERS, VERSION, CARD_VERSION, FLOOR = 0x95, 0x8A, 0x91, 0x9F66, 0x9F09, 0x9F08, 0x9F1B

# Of the terminal, but of this one transaction, or of a row.
PASSING = (
    AMOUNT, OTHER, 0x81, 0x9F04, DAY, HOUR, KIND, NUMBER, COUNTER, TVR, 0x9B, 0x9F34, RESPONSE, 0x89, 0x98, 0x99, 0x9F06, VERSION,
    FLOOR, 0x9F7B, QUALIFIERS, 0x9F2A, 0x9F39, 0x9F4C,
)  # fmt: skip
TAP, INSERT = "tap", "insert"


class Recording:
    """pairs: whole APDUs; exchanges: what each was; way: TAP or INSERT; names: the applications selected, in order;
    told: {tag: value} that the card was told, said: {tag: value} that it said, as far as they matter here."""

    def __init__(self, pairs: "list[Pair]") -> None:
        self.pairs = pairs
        self.exchanges, self.scheme = exchanges_of(pairs)
        self.names = _names(pairs)
        self.said = _said(pairs)
        self._generated = self._good(GENERATE)
        self.told = self._told()
        self.way = TAP if any(_data(pair.command) == PPSE for pair in pairs) else self._guessed()

    def _good(self, instruction):
        """Places of a command that was answered 9000."""
        return [at for at, pair in enumerate(self.pairs) if pair.command[1] == instruction and pair.response[-2:] == OK]

    def _guessed(self):
        return TAP if QUALIFIERS in self.told and not self._generated else INSERT

    def _told(self):
        told: dict[int, bytes] = {}
        order = self._generated[:1] + self._good(INTERNAL) + self._good(OPTIONS) + self._good(CHECKSUM) + self._generated[1:]
        for at in order:
            for tag, value in self.exchanges[at].sent:
                told.setdefault(tag, value)
        for at in self._good(INTERNAL):
            told.update((tag, value) for tag, value in self.exchanges[at].sent if tag == NUMBER)
        return told

    # -- the request
    def request(self) -> "dict[str, str]":
        """What can be read of {"amount", "other", "date", "time", "number", "counter", "kind"}: digits, hex for the number."""
        found = {}
        for name, tag, size in (
            ("amount", AMOUNT, 6), ("other", OTHER, 6), ("date", DAY, 3), ("time", HOUR, 3), ("number", NUMBER, 4),
            ("counter", COUNTER, 4), ("kind", KIND, 1),
        ):  # fmt: skip
            value = self.told.get(tag, b"")
            text = value.hex().upper()
            if len(value) == size and (tag == NUMBER or text.isdigit()) and _is_when(name, text):
                found[name] = text
        return found

    # -- the terminal
    def terminal(self, base: "dict[str, str]") -> "dict[str, str]":
        """The terminal's data: those of `base`, and instead of them those that the card was told."""
        mine = {
            "%X" % tag: value.hex().upper()
            for tag, value in self.told.items()
            if tags.source_of(tag) == tags.TERMINAL and tag not in PASSING
        }
        return {**{tag.upper(): value for tag, value in base.items()}, **mine}

    def applications(self, base: "list[dict]", amount_fen: int) -> "list[dict]":
        """Rows for the names that were selected, from those of `base` where they fit, with limits that make of the amount
        what the recorded terminal made of it."""
        rows: list[dict] = []
        for name in self.names:
            found = [row for row in base if Application(row).matches(name)]
            row = dict(found[0]) if found else {"kernel": _kernel(name).hex()}
            row.update(aid=name.hex(), transaction_limit_fen=None, **self._limits(row, amount_fen))
            rows.append(row)
        return rows or base

    def _limits(self, row, amount_fen):
        changed: dict = {}
        tvr, qualifiers = self.told.get(TVR, b""), self.told.get(QUALIFIERS, b"")
        first = bool(self._generated) and TVR in dict(self.exchanges[self._generated[0]].sent)
        if VERSION in self.told and len(self.told[VERSION]) == 2:
            changed["version"] = self.told[VERSION].hex()
        elif first and len(tvr) == 5 and not tvr[1] & 0x80 and len(self.said.get(CARD_VERSION, b"")) == 2:
            changed["version"] = self.said[CARD_VERSION].hex()
        if FLOOR in self.told:
            changed["terminal_floor_limit_fen"] = int.from_bytes(self.told[FLOOR], "big")
        elif first and len(tvr) == 5:
            changed["terminal_floor_limit_fen"] = 0 if tvr[3] & 0x80 else amount_fen + 1
        if len(qualifiers) == 4:
            online, verify = qualifiers[1] & 0x80, qualifiers[1] & 0x40
            changed.update(
                ttq=(qualifiers[:1] + bytes((qualifiers[1] & 0x3F,)) + qualifiers[2:]).hex(),
                floor_limit_fen=0 if online else amount_fen, cvm_limit_fen=0 if verify else amount_fen + 1,
            )  # fmt: skip
        return changed

    # -- people and the issuer
    def label(self) -> str:
        """What the application is called that was used, "" where it has no name."""
        return tags.text(self.said.get(0x9F12) or self.said.get(0x50) or b"").strip()

    def pin_answer(self, kind: str) -> "bytes | None":
        """VERIFY as it was sent for a kind of PIN (`ask.PLAINTEXT`, `ask.ENCIPHERED`), None where none was."""
        reference = 0x88 if kind == ask.ENCIPHERED else 0x80
        for pair in self.pairs:
            if pair.command[1] == VERIFY and pair.command[3] == reference:
                return pair.command
        return None

    def reply(self, code: "str | None") -> "ask.Reply":
        """The issuer's answer; code: instead of the recorded one, "" for an issuer that is not reached."""
        external = [pair.command for pair in self.pairs if pair.command[1] == EXTERNAL]
        if code is None:
            code = self._code(bool(external))
        if not code:
            return ask.Reply()
        issuer = _data(external[0]) if external else self.told.get(AUTHENTICATION, b"")
        return ask.Reply(code, codes.approved(code), issuer, tuple(self._scripts()))

    def _code(self, reached):
        said = self.told.get(RESPONSE, b"")
        code = tags.text(said) if len(said) == 2 else ""
        if code in ("Y3", "Z3") and not reached:
            return ""
        if len(code) == 2 and code[0] not in "YZ" and code.isalnum():
            return code
        second = self.pairs[self._generated[1]].command[2] & 0xC0 if len(self._generated) > 1 else 0x40
        return "00" if second == 0x40 else "05"

    def _scripts(self):
        """Script commands before the second cryptogram as a template 71, later ones as a 72."""
        border = self._generated[1] if len(self._generated) > 1 else len(self.pairs)
        for tag, part in ((0x71, self.pairs[:border]), (0x72, self.pairs[border:])):
            commands = [pair.command for pair in part if pair.command[1] in SCRIPTS]
            if commands:
                yield tag, tlv.encode([(0x86, command) for command in commands])


def exchanges_of(pairs: "list[Pair]") -> "tuple[list[Exchange], str]":
    """([what each pair is], the scheme of the application), as the trace tells it."""
    trace = Trace([])
    trace.pairs = list(pairs)
    for _ in trace.lines():
        pass
    return trace.exchanges, trace.scheme


def body(command: bytes) -> bytes:
    """A command without the length that it expects, which is not the same over every wire."""
    return command[: 5 + command[4]] if len(command) > 5 else command[:4]


def _data(command):
    return command[5 : 5 + command[4]] if len(command) > 5 else b""


def _names(pairs):
    names = []
    for pair in pairs:
        command, name = pair.command, _data(pair.command)
        if command[1] == SELECT and 5 <= len(name) <= 16 and name not in (PSE, PPSE, *names):
            names.append(name)
    return names


def _said(pairs):
    """Of the application that was used: what came after the last selection that succeeded."""
    said: dict[int, bytes] = {}
    for command, response in pairs:
        if command[1] == SELECT and _data(command) not in (PSE, PPSE) and response[-2:] == OK:
            said = {}
        try:
            for tag, value in tlv.primitives(tlv.decode(response[:-2])):
                said.setdefault(tag, value)
        except tlv.TlvError:
            continue
    return said


def _kernel(name):
    for scheme, kernel in entry.DEFAULT_KERNELS:
        if name.startswith(scheme):
            return kernel
    return b""


def _is_when(name, text):
    """Whether a date or a time is one; other names have no such limits."""
    form = {"date": "%y%m%d", "time": "%H%M%S"}.get(name)
    if form is None:
        return True
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def request_of(values: "dict[str, str]") -> Request:
    """The request that values, as of `Recording.request`, all of them, make. ValueError names the one that is wrong."""
    for name in ("date", "time"):
        if len(values[name]) != 6 or not values[name].isdigit() or not _is_when(name, values[name]):
            raise ValueError("--%s: no %s" % (name, name))
    try:
        number = bytes.fromhex(values["number"])
    except ValueError:
        number = b""
    if len(number) != 4:
        raise ValueError("--number: not four bytes in hex")
    amount = int(values["amount"])
    if not 0 <= amount <= 999999999999:
        raise ValueError("--amount: out of range")
    other = min(int(values["other"]), amount)
    return Request(amount, values["date"], values["time"], number, int(values["counter"]), values["kind"], other)
