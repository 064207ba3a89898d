"""Cards of the other schemes, to be bent: a Visa-style one (kernel 3) and an M/Chip one (kernel 2), with real signatures.

They have no cryptogram keys: what they give for one is a plain number. Keys are those of `plain_keys`; the card numbers are
of no issuer.
"""

import hashlib

from firmware.emv import contactless, dol, kernel2, kernel3, tlv
from firmware.emv.settings import Request, Settings
from tests.portable.plain_card import drive, ok
from tests.portable.plain_keys import INDEX, LARGE, MIDDLE, SMALL, card_objects, dynamic_signature, hexes, issuer_objects
from tests.portable.plain_settings import TERMINAL_DATA

VISA, MASTERCARD = "A0000000031010", "A0000000041010"
NUMBER = "6200000000000005"
TRACK = NUMBER + "D30122010000012300000F"
PROOF = hexes("0102030405060708")
KERNELS = {kernel2.IDENTIFIER: kernel2.run, kernel3.IDENTIFIER: kernel3.run}

VISA_ROW = {"aid": VISA, "kernel": "03", "ttq": "3600C080", "cvm_limit_fen": 30000}
MASTERCARD_ROW = {
    "aid": MASTERCARD, "kernel": "02", "version": "0002", "cvm_limit_fen": 30000, "transaction_limit_fen": 100000,
    "device_limit_fen": 200000, "cvm_default": "signature",
}  # fmt: skip


# Signed once: signing takes most of the time here.
_ISSUER = {}
_CARDS = {}


def key_row(aid):
    """The authority's key as the scheme's."""
    exponent = LARGE.exponent_bytes()
    digest = hashlib.sha1(hexes(aid[:10] + INDEX) + LARGE.modulus + exponent).digest()
    return {
        "rid": aid[:10], "index": INDEX, "modulus": tlv_hex(LARGE.modulus), "exponent": tlv_hex(exponent), "expiry": "",
        "hash": tlv_hex(digest), "kind": "test",
    }  # fmt: skip


def tlv_hex(value):
    return "".join(["%02X" % byte for byte in value])


def settings_of(row, changes=None, terminal=None, switches=None):
    """Settings with one row, bent."""
    mine = dict(row)
    mine.update(changes or {})
    told = dict(TERMINAL_DATA)
    told.update(terminal or {})
    return Settings([mine], told, [key_row(row["aid"])], (), switches)


def request_of(fen=1234, kind="00", other=0, time="101500", number="AABBCCDD"):
    return Request(fen, "261120", time, hexes(number), 17, kind, other)


def tapped(card, settings, request=None, listed=False, asked=None):
    """The outcome of a tap."""
    return drive(contactless.tap(settings, request or request_of(), KERNELS), card, listed, asked)


class Card:
    """A card with one application. `bend` maps an instruction byte to a response, to None for a card that leaves, or to a
    function of the command that gives one of them, or "go on" for the card's own answer."""

    aid = ""

    def __init__(self):
        self.pdol = b""
        self.gpo = {}
        self.records = {}
        self.bend = {}
        self.log = []
        self.sent = {}

    def apdu(self, command):
        self.log.append(command)
        bent = self.bend.get(command[1], "go on")
        if callable(bent):
            bent = bent(command)
        return self.answer(command) if isinstance(bent, str) else bent

    def answer(self, command):
        if command[1] == 0xA4 and command[5:9] == b"2PAY":
            entry = [(0x61, [(0x4F, hexes(self.aid)), (0x87, b"\x01")])]
            return ok([(0x6F, [(0x84, b"2PAY.SYS.DDF01"), (0xA5, [(0xBF0C, entry)])])])
        if command[1] == 0xA4:
            objects = [(0x50, b"TEST CARD")] + ([(0x9F38, self.pdol)] if self.pdol else [])
            return ok([(0x6F, [(0x84, hexes(self.aid)), (0xA5, objects)])])
        if command[1] == 0xA8:
            field = command[5:-1]
            self.values = field[2:] if field[1] < 128 else field[3:]
            self.sent = taken(self.pdol, self.values)
            self.before_options()
            return ok([(0x77, pairs(self.gpo))])
        if command[1] == 0xB2 and (command[3] >> 3, command[2]) in self.records:
            return ok([(0x70, pairs(self.records[command[3] >> 3, command[2]]))])
        return b"\x6a\x82"

    def before_options(self):
        pass

    def sends(self, instruction):
        """The commands with an instruction byte."""
        return [command for command in self.log if command[1] == instruction]

    def certify(self, static):
        """Certificates over static data, in records 3 and 4."""
        if not _ISSUER:
            _ISSUER.update(issuer_objects(LARGE, MIDDLE))
        if static not in _CARDS:
            _CARDS[static] = card_objects(MIDDLE, SMALL, static, number=NUMBER)
        self.records[3, 1] = dict(_ISSUER)
        self.records[4, 1] = dict(_CARDS[static])


def lying(card, chance):
    """The card, which tells the truth for a while and then does not. chance: a random.Random."""
    truth = chance.randrange(10)
    whole = card.answer

    def lie(command):
        answer = bytearray(whole(command))
        if len(card.log) <= truth:
            return bytes(answer)
        for _ in range(chance.choice((0, 1, 1, 3))):
            answer[chance.randrange(len(answer))] = chance.getrandbits(8)
        if chance.randrange(8) == 0:
            answer = answer[: chance.randrange(len(answer) + 1)]
        return bytes(answer) if chance.randrange(40) else None

    card.bend = {instruction: lie for instruction in (0xA4, 0xA8, 0xB2, 0xAE, 0x2A, 0xD0, 0xCA, 0x82)}
    return card


def pairs(objects):
    return [(tag, objects[tag]) for tag in sorted(objects)]


def taken(listed, values):
    """{tag: value} of a list's values."""
    found, at = {}, 0
    for tag, size in dol.parse(listed):
        found[tag] = values[at : at + size]
        at += size
    return found


class VisaCard(Card):
    """An offline-capable qVSDC card. `version`: of fDDA, 1 or 0; `signer`: what it signs with, None for nothing."""

    aid = VISA

    def __init__(self, kind=0x80, ctq="0000", version=1):
        Card.__init__(self)
        self.pdol = hexes("9F66049F02069F03069F1A0295055F2A029A039C019F3704")
        self.version = version
        self.signer = SMALL
        self.related = hexes("%02X11223344" % version + ctq)
        self.gpo = {
            0x82: hexes("2000"), 0x94: hexes("10010101 18010100 20010100"),
            0x9F36: hexes("001A"), 0x9F26: PROOF, 0x9F10: bytes((6, 1, 10, 3, 0x80 | kind >> 2, 0, 0)), 0x9F6C: hexes(ctq),
            0x57: hexes(TRACK), 0x5F34: b"\x01",
        }  # fmt: skip
        self.records[2, 1] = {0x5A: hexes(NUMBER), 0x5F24: hexes("301231"), 0x5F28: hexes("0156"), 0x9F07: hexes("FFC0")}
        self.certify(tlv.encode(pairs(self.records[2, 1])))

    def before_options(self):
        if self.signer is not None:
            new = self.version == 1
            covered = self.sent[0x9F37]
            if new:
                covered += self.sent[0x9F02] + self.sent[0x5F2A] + self.related
            self.records[4, 1][0x9F4B] = dynamic_signature(self.signer, covered)
            self.records[4, 1][0x9F69] = self.related


class MChipCard(Card):
    """A card of both modes, with CDA. `kind`: what it gives, None for what it is asked for; `phone`: DF4B of its answers."""

    aid = MASTERCARD

    def __init__(self, kind=None, profile="1980", methods="42031E031F03", **static):
        Card.__init__(self)
        self.kind = kind
        self.cdol = hexes("9F02069F03069F1A0295055F2A029A039C019F37049F35019F34039F3303")
        self.drdol = hexes("9F37049F0206")
        self.gpo = {0x82: hexes(profile), 0x94: hexes("0801010010010101 18010100 20010100")}
        self.phone = b""
        self.more = {}
        self.signer = SMALL
        self.counter = 0x005E
        self.left = None
        self.checksum = {0x9F61: hexes("2EF4"), 0x9F60: hexes("609B"), 0x9F36: hexes("1E47")}
        self.records[1, 1] = {
            0x9F6C: hexes("0001"), 0x9F62: hexes("000000000038"), 0x9F63: hexes("0000000003C6"), 0x9F64: b"\x04",
            0x56: b"B" + NUMBER.encode() + b"^TEST/CARD^30122010000000000000", 0x9F65: hexes("0038"), 0x9F66: hexes("03C6"),
            0x9F6B: hexes(NUMBER + "D30122010000000000000F"), 0x9F67: b"\x04",
        }  # fmt: skip
        self.records[2, 1] = {
            0x5A: hexes(NUMBER), 0x57: hexes(TRACK), 0x5F24: hexes("301231"), 0x5F34: b"\x01", 0x8C: self.cdol,
            0x8E: bytes(8) + hexes(methods), 0x9F4A: b"\x82", 0x9F42: hexes("0156"), 0x9F0D: bytes(5), 0x9F0E: bytes(5),
            0x9F0F: hexes("0000008000"), 0x9F51: self.drdol,
        }  # fmt: skip
        self.resign()

    def change(self, record, tag, value):
        """Another value in a record, None for none; what is signed is signed anew."""
        if value is None:
            self.records[record].pop(tag, None)
        else:
            self.records[record][tag] = value
        self.resign()

    def resign(self):
        self.certify(tlv.encode(pairs(self.records[2, 1])) + self.gpo[0x82])

    def answer(self, command):
        if command[1] == 0xAE:
            return self.generate(command[2], command[5:-1])
        if command[1] == 0x2A:
            found = dict(self.checksum)
            if self.phone:
                found[0xDF4B] = self.phone
            return ok([(0x77, pairs(found))])
        if command[1] == 0xD0:
            return self.left or b"\x6a\x88"
        if command[1:4] == b"\xca\x9f\x50":
            return ok([(0x9F50, hexes("000000004321"))])
        return Card.answer(self, command)

    def generate(self, asked, values):
        number = taken(self.cdol, values)[0x9F37]
        kind = asked & 0xC0 if self.kind is None else self.kind
        said = {0x9F27: bytes((kind,)), 0x9F36: self.counter.to_bytes(2, "big"), 0x9F10: hexes("0110A00003220000")}
        said.update(self.more)
        if self.phone:
            said[0xDF4B] = self.phone
        if asked & 0x10 and kind and self.signer is not None:
            covered = hashlib.sha1(self.values + values + tlv.encode(pairs(said))).digest()
            signature = dynamic_signature(self.signer, number, rest=bytes((kind,)) + PROOF + covered)
            answer = [(0x77, pairs(said) + [(0x9F4B, signature)])]
        else:
            said[0x9F26] = PROOF
            answer = [(0x77, pairs(said))]
        self.left = ok(answer)
        return self.left
