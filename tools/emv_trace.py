"""An exchange of command and response APDUs, read as the card transaction that it is, and told line by line.

A trace is a list of (command, response or None). The reader follows what each command needs from the answers before it:
the PDOL of the FCI gives names to the bytes of GET PROCESSING OPTIONS, the CDOLs to those of GENERATE AC, the file
locator says which records are signed. What T=0 adds (61, GET RESPONSE; 6C, the same command again) is folded away.

With keys, the offline data authentication of the trace is done again by `firmware.emv.oda`, on what card and terminal said.
Nothing that is told holds more of a card number than six and four digits, nor a track, a name, or a PIN.
"""

from collections.abc import Iterator
from typing import NamedTuple

from firmware.emv import certificates, dol, meanings, oda, records, tags, tlv, track2
from firmware.emv.apdu import OK, PPSE, PSE, status_word
from firmware.emv.card import Ended
from firmware.emv.data import Data
from firmware.emv.settings import Application, Request, Settings, SettingsError

COMMANDS = {
    0xA4: "SELECT",
    0xB2: "READ RECORD",
    0xA8: "GET PROCESSING OPTIONS",
    0xCA: "GET DATA",
    0xAE: "GENERATE AC",
    0x88: "INTERNAL AUTHENTICATE",
    0x82: "EXTERNAL AUTHENTICATE",
    0x84: "GET CHALLENGE",
    0x20: "VERIFY",
    0x2A: "COMPUTE CRYPTOGRAPHIC CHECKSUM",
    0xC0: "GET RESPONSE",
    0xD0: "RECOVER AC",
    0xEA: "EXCHANGE RELAY RESISTANCE DATA",
    0x24: "PIN CHANGE/UNBLOCK",
    0x1E: "APPLICATION BLOCK",
    0x18: "APPLICATION UNBLOCK",
    0x16: "CARD BLOCK",
    0xDA: "PUT DATA",
    0xDC: "UPDATE RECORD",
}
CLASSES = (0x00, 0x04, 0x80, 0x84, 0x8C, 0x0C)
PIN_KINDS = {0x80: "plaintext PIN", 0x88: "enciphered PIN", 0x00: "PIN"}
CRYPTOGRAMS = {0x00: "AAC", 0x40: "TC", 0x80: "ARQC", 0xC0: "RFU"}
LISTS = (0x8C, 0x8D, 0x97, 0x9F38, 0x9F49)  # data object lists
LONGEST = 40  # bytes of a value that are shown in whole

Pair = tuple[bytes, "bytes | None"]


def is_command(data: bytes) -> bool:
    """Whether bytes are a short command APDU of a card transaction, by class, instruction and lengths."""
    if len(data) < 4 or data[0] not in CLASSES or data[1] not in COMMANDS:
        return False
    return len(data) <= 5 or len(data) in (5 + data[4], 6 + data[4])


def folded(pairs: "list[Pair]") -> "list[Pair]":
    """The pairs without what T=0 adds: the command that the terminal meant, and the whole of its answer."""
    whole: list[Pair] = []
    waiting: bytes | None = None  # a command whose answer is still to be fetched
    collected = b""
    for command, response in pairs:
        if waiting is not None and command[:2] == b"\x00\xc0":
            command = waiting
            response = None if response is None else collected + response
        elif waiting is not None:
            whole.append((waiting, collected + b"\x61\x00"))
        waiting, collected = None, b""
        if response is not None and len(response) >= 2 and response[-2] == 0x61:
            waiting, collected = command, response[:-2]
        elif response is not None and len(response) == 2 and response[0] == 0x6C and len(command) in (4, 5, 6 + command[4]):
            continue  # comes again with the right length
        else:
            whole.append((command, response))
    if waiting is not None:
        whole.append((waiting, collected + b"\x61\x00"))
    return whole


def value_lines(tag: int, value: bytes, scheme: str, indent: str) -> "Iterator[str]":
    """One object: name, value, and what it means, bits with their place."""
    name = tags.name_of(tag, scheme)
    shown = tags.show(tag, value, scheme)
    if len(value) > LONGEST and shown == value.hex().upper():
        shown = "%s... (%d bytes)" % (shown[:16], len(value))
    head = "%s%-4X %s: %s" % (indent, tag, name, shown)
    deeper = indent + "     "
    said = tags.words(tag, value, scheme)
    if tag in meanings.BITS and said:
        yield head
        for byte, mask, text in meanings.BITS[tag]:
            if byte <= len(value) and value[byte - 1] & mask:
                yield "%s%d:%02X %s" % (deeper, byte, mask, text)
    elif tag in LISTS or (tag == 0x9F69 and scheme == "mastercard"):
        yield head
        try:
            yield from ("%s%-4X %2d  %s" % (deeper, one, size, tags.name_of(one, scheme)) for one, size in dol.parse(value))
        except dol.DolError as error:
            yield deeper + "no data object list: %s" % error
    elif len(said) < 2:
        yield head.rstrip() + ("  " + said[0] if said else "")
    else:
        yield head
        yield from (deeper + text for text in said)


def tree_lines(tree: "tlv.Tree", scheme: str = "", indent: str = "") -> "Iterator[str]":
    """A decoded TLV string, one object a line and its meaning below."""
    for tag, value in tree:
        if isinstance(value, list):
            yield "%s%-4X %s" % (indent, tag, tags.name_of(tag, scheme))
            yield from tree_lines(value, scheme, indent + "  ")
        else:
            yield from value_lines(tag, value, scheme, indent)


class Exchange(NamedTuple):
    """what: the command in words; status: of its answer; sent: the objects that it carried by one of the card's lists."""

    what: str
    status: str
    sent: "list[tuple[int, bytes]]"


class Trace:
    """A transaction. `lines()` tells it; afterwards `exchanges` has one for each pair that was told, in their order, and
    `wrong` says whether something in it does not hold."""

    def __init__(self, pairs: "list[Pair]", keys: "list[dict] | None" = None, today: str = "") -> None:
        self.pairs = folded(pairs)
        self._keys = keys
        self._today = today
        self.wrong = False
        self.scheme = ""
        self.exchanges: list[Exchange] = []
        self._said: dict[int, bytes] = {}
        self._told: dict[int, bytes] = {}
        self._records: dict[tuple[int, int], bytes] = {}
        self._from_records: set[int] = set()
        self._files = b""
        self._aid = b""
        self._sent_options = b""
        self._sent_first = b""
        self._cryptograms: list[tuple[str, str, bool]] = []  # asked, given, with CDA
        self._signed: list[tuple[bytes, bytes, bool]] = []  # response of a CDA cryptogram, data, whether the second
        self._internal: tuple[bytes, bytes] | None = None
        self._events: list[tuple[str, str]] = []

    def lines(self) -> "Iterator[str]":
        """Every exchange, then what it came to."""
        for number, (command, response) in enumerate(self.pairs):
            yield from self._exchange(number + 1, command, response)
            yield ""
        yield from self._summary()

    # -- one exchange
    def _exchange(self, number, command, response):
        if len(command) < 4:
            self.wrong = True
            self.exchanges.append(Exchange("no command", "", []))
            yield "%3d  %s: no command" % (number, command.hex().upper())
            return
        size = command[4] if len(command) > 5 else 0
        data = command[5 : 5 + size]
        word = None if response is None or len(response) < 2 else response[-2] << 8 | response[-1]
        answer = b"" if response is None else response[:-2]
        name = COMMANDS.get(command[1], "command %02X %02X" % (command[0], command[1]))
        detail, sent = self._command(command, data)
        status = "no answer" if word is None else status_word(word)
        self.exchanges.append(Exchange((name + " " + detail).strip(), status, sent))
        yield "%3d  %s  =>  %s" % (number, self.exchanges[-1].what, status)
        if len(data) < size:
            self.wrong = True
            yield "       cut off: %d of %d bytes" % (len(data), size)
        if sent:
            yield "     sent"
            for tag, value in sent:
                self._told[tag] = value
                yield from value_lines(tag, value, self.scheme, "       ")
        if word is not None:
            yield from self._answer(command, data, answer, word)

    def _command(self, command, data):
        """(what the head says, objects that were sent by a list)."""
        ins, p1, p2 = command[1], command[2], command[3]
        if ins == 0xA4:
            if data in (PSE, PPSE):
                return data.decode(), []
            scheme = tags.scheme_of(data)
            return data.hex().upper() + (" (%s)" % scheme if scheme else "") + (", next" if p2 & 2 else ""), []
        if ins == 0xB2:
            return "SFI %d record %d" % (p2 >> 3, p1), []
        if ins == 0xCA:
            tag = p1 << 8 | p2 if p1 else p2
            return "%X %s" % (tag, tags.name_of(tag, self.scheme)), []
        if ins == 0x20:
            return PIN_KINDS.get(p2, "secret") + ", not shown", []
        if ins == 0xA8:
            return "", self._by_list(0x9F38, _without_83(data))
        if ins == 0xAE:
            asked = CRYPTOGRAMS[p1 & 0xC0] + (" with CDA" if p1 & 0x10 else "")
            second = bool(self._cryptograms)
            return "%d, asks %s" % (1 + second, asked), self._by_list(0x8D if second else 0x8C, data)
        if ins == 0x88:
            return "", self._by_list(0x9F49, data) or [(0x9F37, data)]
        if ins == 0x82:
            return "%d bytes of the issuer" % len(data), [(0x91, data)] if data else []
        if ins == 0x2A:
            return "", self._by_list(0x9F69, data)
        return ("%d bytes" % len(data) if data else ""), []

    def _by_list(self, tag, data):
        """What was sent, by the list that asks for it; [] where there is none that fits."""
        try:
            entries = dol.parse(self._said.get(tag, b""))
        except dol.DolError:
            return []
        if sum(size for _, size in entries) != len(data):
            return []
        found, at = [], 0
        for name, size in entries:
            found.append((name, data[at : at + size]))
            at += size
        return found

    def _answer(self, command, data, answer, word):
        ins = command[1]
        tree = None
        if answer and ins != 0x84:
            try:
                tree = _opened(ins, tlv.decode(answer))
            except tlv.TlvError as error:
                self.wrong = True
                yield "     answer: no TLV: %s" % error
        elif answer:
            yield "     answer: %d bytes" % len(answer)
        twice = self._twice(command, tree) if ins == 0xB2 and tree is not None else []
        self._follow(command, data, answer, tree, word)
        if tree is not None:
            yield from tree_lines(tree, self.scheme, "     ")
        for tag in twice:
            self.wrong = True
            yield "     %X is said a second time, which no card may" % tag

    def _twice(self, command, tree):
        """Objects that another record has said already (EMV Book 3, 10.2)."""
        if (command[3] >> 3, command[2]) in self._records:
            return []
        return [tag for tag, _ in tlv.primitives(tree) if tag in self._from_records]

    def _follow(self, command, data, answer, tree, word):
        """Keeps what later commands and the summary need."""
        ins, good = command[1], word == OK
        if ins == 0xA4 and tree is not None:
            self._said, self._records, self._files, self._cryptograms = {}, {}, b"", []
            self._from_records = set()
            name = tlv.find(tree, 0x84)
            self._aid = name if isinstance(name, bytes) else data
            self.scheme = tags.scheme_of(self._aid)
        if tree is not None and ins != 0x88:
            for tag, value in tlv.primitives(tree):
                self._said.setdefault(tag, value) if ins == 0xB2 else self._said.__setitem__(tag, value)
        if ins == 0xA8 and good:
            self._sent_options, self._files = _without_83(data), self._said.get(0x94, b"")
        elif ins == 0xB2 and good:
            self._records[command[3] >> 3, command[2]] = answer
            if tree is not None and self._aid not in (PSE, PPSE):
                self._from_records.update(tag for tag, _ in tlv.primitives(tree))
        elif ins == 0x88 and good:
            self._internal = data, answer
        elif ins == 0x20:
            kind = PIN_KINDS.get(command[3], "PIN")
            self._events.append(("holder", "%s: %s" % (kind, "right" if good else status_word(word))))
        elif ins == 0x82:
            self._events.append(("issuer", "authentication %s" % ("taken" if good else "refused, " + status_word(word))))
        elif ins in (0x24, 0x1E, 0x18, 0x16, 0xDA, 0xDC):
            self._events.append(("script", "%s: %s" % (COMMANDS[ins], status_word(word))))
        elif ins == 0xAE:
            self._generated(command, data, answer, good)

    def _generated(self, command, data, answer, good):
        second = bool(self._cryptograms)
        asked = CRYPTOGRAMS[command[2] & 0xC0]
        identifier = self._said.get(0x9F27, b"")
        given = CRYPTOGRAMS[identifier[0] & 0xC0] if good and len(identifier) == 1 else "refused"
        with_cda = bool(command[2] & 0x10)
        self._cryptograms.append((asked, given, with_cda))
        if with_cda and good:
            self._signed.append((answer, self._sent_options + self._sent_first + data, second))
        if not second:
            self._sent_first = data

    # -- what it came to
    def _summary(self):
        value = {**self._said, **self._told}.get
        rows = []
        name = tags.text(value(0x9F12) or value(0x50) or b"").strip()
        if self._aid and self._aid not in (PSE, PPSE):
            rows.append(("application", ("%s %s %s" % (self._aid.hex().upper(), self.scheme, name)).strip()))
        rows += self._card(value)
        if value(0x9F02):
            currency = tags.words(0x5F2A, value(0x5F2A) or b"")
            amount = tags.words(0x9F02, value(0x9F02)) + currency + tags.words(0x9A, value(0x9A) or b"")
            rows.append(("amount", ", ".join(amount)))
        rows += self._authentication(value)
        rows += self._events
        for at, (asked, given, with_cda) in enumerate(self._cryptograms):
            text = "asked %s%s, given %s" % (asked, " with CDA" if with_cda else "", given)
            rows.append(("second AC" if at else "first AC", text))
        if not self._cryptograms and value(0x9F26) and value(0x9F36):
            given = tags.words(0x9F27, value(0x9F27) or b"") or tags.words(0x9F10, value(0x9F10) or b"", self.scheme)[2:3]
            rows.append(("cryptogram", ", ".join(given) or "there"))
        if value(0x9F36):
            rows.append(("ATC", "%d" % int.from_bytes(value(0x9F36), "big")))
        if not rows:
            return
        yield "Transaction"
        for word, text in rows:
            yield "  %-12s %s" % (word, text)
        for tag in (0x95, 0x9F34, 0x9B):
            if tag in self._told:
                yield from value_lines(tag, self._told[tag], self.scheme, "  ")

    def _card(self, value):
        shown = tags.show(0x5A, value(0x5A)) if value(0x5A) else tags.show(0x57, value(0x57)) if value(0x57) else ""
        if not shown:
            return []
        until = tags.words(0x5F24, value(0x5F24) or b"")
        if not until and value(0x57):
            try:
                expiry = track2.parse(value(0x57))[1]
                until = ["20%s-%s" % (expiry[:2], expiry[2:])] if expiry else []
            except track2.Track2Error:
                until = []
        sequence = ", sequence %s" % value(0x5F34).hex() if value(0x5F34) else ""
        return [("card", shown + ", good to " + (until[0] if until else "?") + sequence)]

    def _authentication(self, value):
        """Offline data authentication, done again: [("SDA", "holds"), ...]."""
        if 0x8F not in self._said:
            return []
        provider, index = self._aid[:5], self._said[0x8F]
        key_name = "%s %s" % (provider.hex().upper(), index.hex().upper())
        if self._keys is None:
            return [("key", "%s; --keys FILE to check the signatures" % key_name)]
        data = self._data(value)
        if isinstance(data, str):
            return [("key", data)]
        key = data.settings.authority.find(provider, index[0]) if len(index) == 1 else None
        if key is None:
            return [("key", "%s is not among the keys" % key_name)]
        rows = [("key", "%s, %d bits, %s" % (key_name, 8 * len(key.modulus), key.kind))]
        for method, holds in self._methods(data):
            if not holds:
                self.wrong = True
            rows.append((method, "holds" if holds else "does not hold"))
        return rows

    def _methods(self, data):
        if 0x93 in self._said:
            oda.static(data)
            yield "SDA", not data.has_tvr(1, oda.SDA_FAILED)
        if self._internal is not None:
            sent, answer = self._internal
            data.application.ddol = _list_of(sent, self._said.get(0x9F49, b""))
            data.said.pop(0x9F49, None)
            data.told[0x9F37] = self._told.get(0x9F37, sent)
            yield "DDA", _dynamic(data, sent, answer)
        for answer, covered, second in self._signed:
            key = oda.combined_key(data)
            yield "CDA, second AC" if second else "CDA, first AC", oda.combined(data, key, answer, covered)
        if 0x9F4B in self._said and not self._signed and self._internal is None:
            yield "fDDA", oda.fast(data, allow_old=True)

    def _data(self, value):
        """Card and terminal as the kernels have them; a text where the keys cannot be used."""
        day = (value(0x9A) or b"").hex() or self._today
        try:
            row = {"aid": self._aid.hex()}
            chosen = Settings([row], {}, self._keys or [])
            request = Request(0, day, "000000", bytes(4), 0)
        except (SettingsError, ValueError) as error:
            return "cannot be checked: %s" % error
        data = Data(chosen, request)
        data.choose(Application(row))
        data.told.update(self._told)
        data.said.update(self._said)
        data.static, data.static_fits = self._static()
        return data

    def _static(self):
        """(the records that are signed, in the order of the file locator, whether all are there and can be)."""
        parts, fits = [], True
        for at in range(0, len(self._files) - 3, 4):
            file, first, signed = self._files[at] >> 3, self._files[at + 1], self._files[at + 3]
            for record in range(first, first + signed):
                answer = self._records.get((file, record))
                part = None if answer is None else records.proven_part(answer, file)
                fits = fits and part is not None
                parts.append(part or b"")
        return b"".join(parts), fits


def _without_83(data: bytes) -> bytes:
    """The values inside of the command template of GET PROCESSING OPTIONS."""
    try:
        tree = tlv.decode(data)
    except tlv.TlvError:
        return b""
    return tree[0][1] if len(tree) == 1 and tree[0][0] == 0x83 else b""


def _opened(ins: int, tree: "tlv.Tree") -> "tlv.Tree":
    """An answer in format 1 (tag 80) as the objects that it stands for (EMV Book 3, 6.5.5 and 6.5.8)."""
    if len(tree) != 1 or tree[0][0] != 0x80:
        return tree
    value = tree[0][1]
    if ins == 0xA8 and len(value) >= 2:
        return [(0x82, value[:2]), (0x94, value[2:])]
    if ins == 0xAE and len(value) >= 11:
        found = [(0x9F27, value[:1]), (0x9F36, value[1:3]), (0x9F26, value[3:11])]
        return found + ([(0x9F10, value[11:])] if len(value) > 11 else [])
    if ins == 0x88:
        return [(0x9F4B, value)]
    return tree


def _list_of(sent: bytes, asked: bytes) -> bytes:
    """The DDOL that makes what was sent: the card's, or else the unpredictable number alone."""
    return asked or b"\x9f\x37" + bytes((len(sent),))


def _dynamic(data, sent, answer):
    """DDA: whether the answer to INTERNAL AUTHENTICATE is signed over what was sent. The card's part is played from the trace."""
    steps = oda.dynamic(data)
    try:
        command = next(steps)
        if command[5 : 5 + command[4]] != sent:
            return False
        steps.send(answer + b"\x90\x00")
    except StopIteration:
        return not data.has_tvr(1, oda.DDA_FAILED)
    except (Ended, certificates.Missing):
        return False
    return False
