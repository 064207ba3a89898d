"""A chip card with contacts made of plain answers, to be bent; its certificates and signatures are real, of `plain_keys`.

Its cryptogram is a constant: no key of an issuer is here. It keeps the values it was sent, since a combined signature
covers them.
"""

import hashlib

from firmware.emv import ask, tlv
from firmware.emv.settings import Request, Settings
from tests.portable.plain_keys import (
    MIDDLE,
    NUMBER,
    SMALL,
    authority_row,
    card_objects,
    dynamic_signature,
    hexes,
    issuer_objects,
    static_signature,
)
from tests.portable.plain_settings import TERMINAL_DATA, UNIONPAY_ROWS

AID = "A000000333010101"
PDOL = hexes("9F1A02 9F3704")
CDOL_1 = hexes("9F0206 9F0306 9F1A02 9505 5F2A02 9A03 9C01 9F3704")
CDOL_2 = hexes("8A02 9108 9505 9F3704")
UNPREDICTABLE = hexes("CAFE0123")
ASKED = None  # in `kinds`: the card gives what it is asked for

AAC, TC, ARQC = 0x00, 0x40, 0x80
PROFILES = {"": "1C00", "sda": "5C00", "dda": "3C00", "cda": "3D00"}

_KEYS = {}


class PlainChip:
    """Attributes may be changed before it is inserted.

    names    {AID in hex: label} in the order of its directory      directory  False: it has none
    fci      objects of the proprietary template                    said       objects of its records, by (file, record)
    kinds    CID of each cryptogram, or ASKED                       signs      False: its dynamic signatures are wrong
    template of its cryptograms: 0x77 or 0x80                       counters   {tag: value} for GET DATA
    instead  {number of the command: whole response, None: gone}
    words    {instruction: status word as bytes} of what it only acknowledges
    """

    def __init__(self, method="cda", kinds=(ARQC, ASKED)):
        self.names = {AID: "UnionPay Debit"}
        self.directory = True
        self.pdol = PDOL
        self.profile = hexes(PROFILES[method])
        self.counters = {0x9F17: b"\x03", 0x9F36: hexes("0010"), 0x9F13: hexes("000E")}
        self.kinds = list(kinds)
        self.template = 0x77
        self.signs = True
        self.instead = {}
        self.words = {}
        self.log = []
        self.given = 0
        self.sent = b""
        static = [(0x5A, hexes(NUMBER)), (0x5F24, hexes("301231")), (0x5F28, hexes("0156")), (0x9F07, hexes("FF00"))]
        covered = tlv.encode(static)
        keys = keys_of(method, covered)
        self.said = {
            (1, 1): [(0x57, hexes(NUMBER + "D3012220000000123F")), (0x5F34, b"\x01")],
            (2, 1): static,
            (3, 1): [(tag, keys[tag]) for tag in sorted(keys)] if method else [(0x9F4D, b"\x0b\x0a")],
            (4, 1): [
                (0x8C, CDOL_1),
                (0x8D, CDOL_2),
                (0x8E, hexes("0000000000000000 5F03")),
                (0x9F08, hexes("0020")),
                (0x9F0D, bytes(5)),
                (0x9F0E, bytes(5)),
                (0x9F0F, bytes(5)),
                (0x9F42, hexes("0156")),
            ],
        }

    def change(self, tag, value):
        """Replaces an object of its records, or removes it with None, or adds it."""
        for place in self.said:
            self.said[place] = [row for row in self.said[place] if row[0] != tag]
        if value is not None:
            self.said[(4, 1)].append((tag, value))

    def apdu(self, command):
        number = len(self.log)
        self.log.append(command)
        if number in self.instead:
            return self.instead[number]
        instruction = command[1]
        if instruction == 0xA4:
            return self._select(command[5:-1], command[3] == 2)
        if instruction == 0xB2:
            return self._record(command[3] >> 3, command[2])
        if instruction == 0xA8:
            self.sent = command[7:-1]
            locator = b"".join([bytes((place[0] << 3, 1, 1, int(place[0] == 2))) for place in sorted(self.said)])
            return ok([(0x77, [(0x82, self.profile), (0x94, locator)])])
        if instruction == 0xCA:
            tag = command[2] << 8 | command[3]
            return ok([(tag, self.counters[tag])]) if tag in self.counters else b"\x6a\x88"
        if instruction == 0x88:
            return ok([(0x77, [(0x9F4B, dynamic_signature(SMALL, command[5:-1] if self.signs else b""))])])
        if instruction == 0x84:
            return b"12345678\x90\x00"
        if instruction == 0xAE:
            return self._cryptogram(command)
        return self.words.get(instruction, b"\x90\x00")

    def commands(self, instruction):
        """The commands of one kind that it got."""
        return [command for command in self.log if command[1] == instruction]

    def _select(self, name, following):
        if name == b"1PAY.SYS.DDF01" and self.directory:
            return ok([(0x6F, [(0x84, name), (0xA5, [(0x88, b"\x01")])])])
        for aid in self.names:
            if hexes(aid).startswith(name) and not following:
                objects = [(0x50, self.names[aid].encode())]
                if self.pdol is not None:
                    objects.append((0x9F38, self.pdol))
                return ok([(0x6F, [(0x84, hexes(aid)), (0xA5, objects)])])
        return b"\x6a\x82"

    def _record(self, file, number):
        selected = len(self.commands(0xA8)) > 0
        if not selected and file == 1 and number == 1:
            entries = []
            for aid in self.names:
                rank = bytes((len(entries) + 1,))
                entries.append((0x61, [(0x4F, hexes(aid)), (0x50, self.names[aid].encode()), (0x87, rank)]))
            return ok([(0x70, entries)])
        if selected and (file, number) in self.said:
            return ok([(0x70, self.said[(file, number)])])
        return b"\x6a\x83"

    def _cryptogram(self, command):
        self.sent += command[5:-1]
        kind = self.kinds[self.given] if self.given < len(self.kinds) else ASKED
        self.given += 1
        kind = command[2] & 0xC0 if kind is ASKED else kind
        counter, cryptogram, issuer_data = hexes("0010"), hexes("0102030405060708"), hexes("07010103A0A80001")
        if self.template == 0x80:
            return ok([(0x80, bytes((kind,)) + counter + cryptogram + issuer_data)])
        objects = [(0x9F27, bytes((kind,))), (0x9F36, counter), (0x9F10, issuer_data)]
        if command[2] & 0x10 and kind & 0xC0:
            digest = hashlib.sha1(self.sent + tlv.encode(objects)).digest()
            rest = bytes((kind,)) + cryptogram + (digest if self.signs else bytes(20))
            # Its lists of data for a cryptogram end with the terminal's unpredictable number.
            objects.append((0x9F4B, dynamic_signature(SMALL, command[-5:-1], rest=rest)))
        else:
            objects.append((0x9F26, cryptogram))
        return ok([(0x77, objects)])


def keys_of(method, covered):
    """The objects of data authentication; made once, since the private operations take their time."""
    if method not in _KEYS:
        keys = issuer_objects()
        if method == "sda":
            keys[0x93] = static_signature(MIDDLE, covered)
        elif method:
            keys.update(card_objects(static=covered))
            keys[0x9F49] = hexes("9F3704")
        _KEYS[method] = keys
    return _KEYS[method]


def ok(tree):
    return tlv.encode(tree) + b"\x90\x00"


def settings_of(row=None, terminal=None, switches=None, aids=(AID,)):
    """A UnionPay terminal; row, terminal: what differs from the defaults."""
    rows = []
    for aid in aids:
        one = dict(UNIONPAY_ROWS[0])
        one["aid"] = aid
        one.update(row or {})
        rows.append(one)
    values = dict(TERMINAL_DATA)
    values.update(terminal or {})
    return Settings(rows, values, [authority_row()], (), switches)


def request_of(amount_fen=1234, **more):
    return Request(amount_fen, "261120", "101500", UNPREDICTABLE, 17, **more)


class Person:
    """Answers what a kernel asks; `asked` keeps the questions. Attributes may be changed before."""

    def __init__(self, reply=None):
        self.reply = reply or ask.Reply("00", True)
        self.choice = 0
        self.pin = "entered"
        self.offline_pins = [0x9000]
        self.document = True
        self.last_fen = 0
        self.exception = False
        self.refers = True
        self.asked = []

    def answer(self, question):
        self.asked.append(question)
        if isinstance(question, ask.Choose):
            return self.choice
        if isinstance(question, ask.OnlinePin):
            return self.pin
        if isinstance(question, ask.OfflinePin):
            return self.offline_pins.pop(0)
        if isinstance(question, ask.CheckDocument):
            return self.document
        if isinstance(question, ask.LastAmount):
            return self.last_fen
        if isinstance(question, ask.OnException):
            return self.exception
        if isinstance(question, ask.Refer):
            return self.refers
        return self.reply

    def was_asked(self, kind):
        return [question for question in self.asked if isinstance(question, kind)]


def carry_out(flow, chip, person=None):
    """Runs a transaction: its outcome."""
    person = person or Person()
    answer = None
    while True:
        try:
            step = flow.send(answer)
        except StopIteration as done:
            return done.value
        answer = chip.apdu(step) if isinstance(step, bytes) else person.answer(step)
