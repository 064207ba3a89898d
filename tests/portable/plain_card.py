"""A contactless card made of plain answers, to be bent: no keys, no state but a list of the commands it got."""

from binascii import unhexlify

from firmware.emv import ask, tlv

AID = "A000000333010101"
NUMBER = "6200001234567890123"
PDOL = "9F66049F02069F03069F1A0295055F2A029A039C019F3704DF6001"


def hexes(text):
    return unhexlify(text.replace(" ", ""))


class PlainCard:
    """Attributes may be changed before the tap: `entries` (directory), `fci`, `gpo` and `records` as (tag, value) lists.

    `instead` maps a command's number (from 0) to a whole response, or to None: the card is gone.
    """

    def __init__(self, ctq="0000", cryptogram=0x80):
        self.entries = [[(0x4F, hexes(AID)), (0x50, b"UnionPay Debit"), (0x87, b"\x01")]]
        self.pdol = hexes(PDOL)
        self.gpo = [
            (0x82, hexes("7C00")),
            (0x94, hexes("08010100 10010101")),
            (0x9F36, hexes("001A")),
            (0x9F26, hexes("0102030405060708")),
            (0x9F10, hexes("07010103A00000010A010000000000")),
            (0x9F27, bytes((cryptogram,))),
            (0x9F6C, hexes(ctq)),
            (0x57, hexes(NUMBER + "D30122200000001230F")),
        ]
        self.records = {
            (1, 1): [(0x5A, hexes(NUMBER + "F")), (0x5F24, hexes("301231")), (0x5F34, b"\x01")],
            (2, 1): [(0x5F28, hexes("0156")), (0x9F07, hexes("FF00"))],
        }
        self.instead = {}
        self.log = []

    def fci(self):
        objects = [(0x50, b"UnionPay Debit"), (0x87, b"\x01")]
        if self.pdol is not None:
            objects.append((0x9F38, self.pdol))
        return [(0x6F, [(0x84, hexes(AID)), (0xA5, objects)])]

    def change(self, tag, value):
        """Replaces an object of the GPO answer, or removes it with None."""
        self.gpo = [(name, value if name == tag else old) for name, old in self.gpo if name != tag or value is not None]

    def apdu(self, command):
        number = len(self.log)
        self.log.append(command)
        if number in self.instead:
            return self.instead[number]
        if command[1] == 0xA4 and command[5:9] == b"2PAY":
            directory = [(0x61, entry) for entry in self.entries]
            return ok([(0x6F, [(0x84, b"2PAY.SYS.DDF01"), (0xA5, [(0xBF0C, directory)])])])
        if command[1] == 0xA4:
            return ok(self.fci())
        if command[1] == 0xA8:
            return ok([(0x77, self.gpo)])
        if command[1] == 0xB2 and (command[3] >> 3, command[2]) in self.records:
            return ok([(0x70, self.records[(command[3] >> 3, command[2])])])
        return b"\x6a\x82"


def ok(tree):
    return tlv.encode(tree) + b"\x90\x00"


def drive(flow, card, listed=False, asked=None):
    """Runs a tap against a card with `apdu`: its outcome. Questions get a plain answer and are kept in the list `asked`.

    listed: whether the card is on the exception file.
    """
    response = None
    while True:
        try:
            step = flow.send(response)
        except StopIteration as done:
            return done.value
        if isinstance(step, (bytes, bytearray)):
            response = card.apdu(step)
            continue
        if asked is not None:
            asked.append(step)
        response = listed if isinstance(step, ask.OnException) else 0 if isinstance(step, ask.LastAmount) else None
