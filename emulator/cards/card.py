"""A UnionPay card as an application: command APDU in, response APDU out, with a cryptogram of its own.

    state      command                        goes to
    START      SELECT of the directory        START
    any        SELECT of the application      SELECTED
    SELECTED   GET PROCESSING OPTIONS         OPEN: counter up by one and kept, cryptogram over what the terminal said
    OPEN       READ RECORD                    OPEN
    any        reset()                        START: the field was off

The card asks for the issuer (ARQC) in whatever it is not told to decline. How its holder is verified (CTQ) follows its
row in HABITS and what the terminal offers and requires in 9F66.

Source: PBOC 3.0 part 12 (qPBOC); field lengths as in EMV Book 3, Annex A.
"""

from collections.abc import Callable

from emulator.cards import cryptogram, pki
from firmware.emv import apdu as commands
from firmware.emv import tlv
from firmware.emv.dol import DolError, parse

PDOL = bytes.fromhex("9F66049F02069F03069F1A0295055F2A029A039C019F3704DF6001")
ISSUER_DATA = bytes.fromhex("010000000000") + bytes(4)  # e-cash balance and its MAC: none
COUNTRY = bytes.fromhex("0156")
PLAIN, DYNAMIC = bytes.fromhex("1C00"), bytes.fromhex("3C00")  # AIP: without public keys, with them

_OK, _NOT_FOUND, _NO_RECORD, _NOT_NOW = b"\x90\x00", b"\x6a\x82", b"\x6a\x83", b"\x69\x85"
_WRONG_LENGTH, _NO_COMMAND, _NO_CLASS, _NO_DATA = b"\x67\x00", b"\x6d\x00", b"\x6e\x00", b"\x6a\x88"

AAC, ARQC = 0x00, 0x80
_CVR = {AAC: 0x80, ARQC: 0xA0}

# How the holder is verified: (below the terminal's limit, from the limit on), each the wishes in order of preference.
PIN, SIGNATURE, DEVICE = "online PIN", "signature", "on the holder's device"
HABITS = {
    "by amount": ((), (PIN, SIGNATURE)),
    "always PIN": ((PIN,), (PIN, SIGNATURE)),
    "device": ((DEVICE,), (DEVICE, PIN)),
}
# wish: (byte and mask of 9F66 that offers it, byte and mask of 9F6C that says it)
_WISHES = {PIN: ((0, 0x04), (0, 0x80)), SIGNATURE: ((0, 0x02), (0, 0x40)), DEVICE: ((2, 0x40), (1, 0x80))}


class Card:
    """A card of the shelf.

    name, title          what it is called, and for people
    pan, expiry, sequence, pin   digits: number, YYMM, three digits, six digits
    aid, label           application name as bytes, ASCII
    issuer_key           the issuer's master key, 16 bytes: for the acquirer's records
    atc                  the transaction counter; `changed(card)` is called after each change, before the answer goes out
    balance_fen          what is on the account at the acquirer when it is opened
    habit                a key of HABITS

    Faults, plain attributes: `declines` (AAC), `wrong_cryptogram`, `garbage` (noise for GET PROCESSING OPTIONS),
    `refuses` ({instruction byte: status word}).
    """

    technology = "A"

    def __init__(
        self,
        name: str,
        title: str,
        pan: str,
        expiry: str,
        pin: str,
        aid: bytes,
        label: str,
        issuer_key: bytes,
        sequence: str = "001",
        atc: int = 0,
        balance_fen: int = 0,
        habit: str = "by amount",
        changed: "Callable[[Card], None] | None" = None,
    ) -> None:
        self.name, self.title = name, title
        self.pan, self.expiry, self.sequence, self.pin = pan, expiry, sequence, pin
        self.aid, self.label, self.habit = aid, label, habit
        self.issuer_key = issuer_key
        self.atc = atc
        self.balance_fen = balance_fen
        self.changed = changed
        self.declines = self.wrong_cryptogram = self.garbage = False
        self.refuses: dict[int, bytes] = {}
        self._key = cryptogram.card_key(issuer_key, pan, sequence)
        self._records = self._personalise()
        self._selected = self._open = False

    def __repr__(self) -> str:
        return f"Card({self.name}, {self.pan[:6]}..{self.pan[-4:]})"

    def reset(self) -> None:
        """The field was off: the card has forgotten where it was."""
        self._selected = self._open = False

    def apdu(self, command: bytes) -> bytes:
        """The answer, status word included, to any bytes."""
        if len(command) < 4:
            return _WRONG_LENGTH
        instruction = command[1]
        if instruction in self.refuses:
            return self.refuses[instruction]
        answer = _INSTRUCTIONS.get(instruction)
        if answer is None:
            return _NO_COMMAND
        if command[0] not in (0x00, 0x80):
            return _NO_CLASS
        return answer(self, command)

    # Commands

    def _select(self, command):
        self._selected = self._open = False
        name = command[5 : 5 + command[4]] if len(command) > 5 else b""
        if command[2] != 0x04 or not name:
            return _NOT_FOUND
        if name == commands.PPSE:
            entry = [(0x4F, self.aid), (0x50, self.label.encode()), (0x87, b"\x01")]
            return _answer([(0x6F, [(0x84, name), (0xA5, [(0xBF0C, [(0x61, entry)])])])])
        if not self.aid.startswith(name) or len(name) < 5 or command[3] & 2:
            return _NOT_FOUND
        self._selected = True
        proprietary = [
            (0x50, self.label.encode()),
            (0x87, b"\x01"),
            (0x9F38, PDOL),
            (0x5F2D, b"zh"),
            (0xBF0C, [(0x9F4D, b"\x0b\x0a")]),
        ]
        return _answer([(0x6F, [(0x84, self.aid), (0xA5, proprietary)])])

    def _processing_options(self, command):
        told = _told(command)
        if told is None:
            return _WRONG_LENGTH
        if not self._selected or self._open or self.atc >= 0xFFFF:
            return _NOT_NOW
        self._open = True
        self.atc += 1
        if self.changed:
            self.changed(self)
        if self.garbage:
            return bytes((self.atc * 31 + at * 7) & 0xFF for at in range(40)) + _OK
        kind = AAC if self.declines else ARQC
        values = dict(told)
        values[0x82] = DYNAMIC if len(self._records) > 1 else PLAIN
        values[0x9F36] = self.atc.to_bytes(2, "big")
        values[0x9F10] = bytes.fromhex("07010103") + bytes((_CVR[kind],)) + bytes.fromhex("0000010A") + ISSUER_DATA
        values[0x9F26] = cryptogram.arqc(self._key, values)
        if self.wrong_cryptogram:
            values[0x9F26] = bytes(byte ^ 0xFF for byte in values[0x9F26])
        objects = [(tag, values[tag]) for tag in (0x82, 0x9F36, 0x9F26, 0x9F10)]
        objects += [(0x9F27, bytes((kind,))), (0x9F6C, self._qualifiers(told[0x9F66]))]
        objects += [(0x57, self._track()), (0x5F34, bytes.fromhex(self.sequence[-2:]))]
        if kind != AAC:
            objects.insert(1, (0x94, b"".join(bytes((file << 3, 1, len(records), 0)) for file, records in self._records)))
        return _answer([(0x77, objects)])

    def _read_record(self, command):
        if not self._open:
            return _NOT_NOW
        for file, records in self._records:
            if command[3] == file << 3 | 4 and 1 <= command[2] <= len(records):
                return records[command[2] - 1] + _OK
        return _NO_RECORD

    def _get_data(self, command):
        if self._selected and command[2:4] == b"\x9f\x36":
            return _answer([(0x9F36, self.atc.to_bytes(2, "big"))])
        return _NO_DATA

    # What is on it

    def _personalise(self):
        """[(file, [its records, coded])]"""
        day = {"02": "28", "04": "30", "06": "30", "09": "30", "11": "30"}.get(self.expiry[2:], "31")
        number = bytes.fromhex(self.pan + "F" * (len(self.pan) % 2))
        dates = [(0x5F24, bytes.fromhex(self.expiry + day)), (0x5F25, bytes.fromhex("200101"))]
        rules = [(0x5F28, COUNTRY), (0x9F07, b"\xff\x00"), (0x9F08, b"\x00\x20")]
        return [(1, [tlv.encode([(0x70, record)]) for record in ([(0x5A, number), *dates], rules)])]

    def certificates(self, authority: pki.Key, issuer: pki.Key, key: pki.Key) -> "list[bytes]":
        """The records with the public keys: the issuer's, signed by the authority, and the card's, signed by the issuer."""
        serial = int(self.pan[-7:-1])
        of_issuer, issuer_rest = pki.certify(authority, issuer, pki.ISSUER, bytes.fromhex(self.pan[:6] + "FF"), serial)
        whole = bytes.fromhex(self.pan + "F" * (20 - len(self.pan)))
        of_card, card_rest = pki.certify(issuer, key, pki.CARD, whole, serial)
        exponent = bytes((pki.EXPONENT,))
        records = [
            [(0x8F, bytes((pki.CA_INDEX,))), (0x90, of_issuer)],
            [(0x92, issuer_rest), (0x9F32, exponent), (0x9F46, of_card)],
            [(0x9F47, exponent)] + ([(0x9F48, card_rest)] if card_rest else []),
        ]
        return [tlv.encode([(0x70, record)]) for record in records]

    def carry(self, certificates: "list[bytes]") -> None:
        """Puts records made by `certificates` on the card."""
        self._records = [*self._records[:1], (2, certificates)]

    def _track(self):
        digits = f"{self.pan}D{self.expiry}2200000000"
        return bytes.fromhex(digits + "F" * (len(digits) % 2))

    def _qualifiers(self, ttq):
        """CTQ: the first wish that the terminal offers."""
        qualifiers = bytearray(2)
        for wish in HABITS[self.habit][1 if ttq[1] & 0x40 else 0]:
            (byte, mask), (place, bit) = _WISHES[wish]
            if ttq[byte] & mask:
                qualifiers[place] |= bit
                break
        return bytes(qualifiers)


_INSTRUCTIONS = {0xA4: Card._select, 0xA8: Card._processing_options, 0xB2: Card._read_record, 0xCA: Card._get_data}


class NoBankCard:
    """A chip that speaks the same protocol and holds no payment application: a library card."""

    technology = "A"
    pan = ""

    def __init__(self, name: str, title: str) -> None:
        self.name, self.title = name, title

    def reset(self) -> None:
        """Nothing to forget."""

    def apdu(self, command: bytes) -> bytes:
        """No application by any name."""
        return _NOT_FOUND if command[1:2] == b"\xa4" else _NO_COMMAND


def _answer(tree):
    return tlv.encode(tree) + _OK


def _told(command):
    """{tag: value} of the PDOL's values in a GET PROCESSING OPTIONS, or None when they do not fit the list."""
    try:
        entries = parse(PDOL)
        (tag, data), *more = tlv.decode(command[5 : 5 + command[4]])
    except (tlv.TlvError, DolError, IndexError, ValueError):
        return None
    if tag != 0x83 or more or len(data) != sum(size for _, size in entries):
        return None
    values, at = {}, 0
    for name, size in entries:
        values[name] = data[at : at + size]
        at += size
    return values
