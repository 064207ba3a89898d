"""A person with an emulated card at the terminal's kernels, and the card's issuer at the other end: no terminal between."""

from drivers import card_file
from emulator.acquirer import issuer
from emulator.acquirer.request import Request as Message
from emulator.acquirer.rules import parse
from emulator.cards import builder, cryptogram, pki
from firmware.emv import ask, contact, contactless, parameter_file, tlv
from firmware.emv.settings import Request
from tests.card_settings import TERMINAL_DATA, card_settings

KEYS = pki.authority_rows()
ROWS = parameter_file.read(card_file.fetch())["applications"]
UNPREDICTABLE = bytes.fromhex("01020304")


def settings(terminal=TERMINAL_DATA, switches=None, **row):
    """A new device's, with the shelf's authorities; row: what is different for every application."""
    return card_settings([dict(one, **row) for one in ROWS], terminal, KEYS, switches=switches)


# Card and terminal may settle it between themselves: nothing speaks for online but what the test is about.
ALONE = {
    "terminal_floor_limit_fen": 1_000_000, "floor_limit_fen": 1_000_000, "tac_online": "0000000000", "tac_default": "0000000000",
    "ddol": "9F3704",
}  # fmt: skip


class Holder:
    """card: of the builder or the shelf.

    code, rule    what the issuer answers, and a rule of `acquirer.rules`; code None: it cannot be reached
    record        of the issuer, or card number -> record
    pins          what is typed, one after the other; "" goes on without
    asked         what was asked, in order;  proven: whether the issuer accepted the cryptogram
    """

    def __init__(self, card, code="00", rule=None, pins=(), listed=(), record=None):
        self.card, self.code, self.rule = card, code, parse("next " + rule) if rule else None
        self.pins, self.listed = list(pins), listed
        self.record = builder.record_of(card) if record is None else record
        self.asked, self.proven, self.commands = [], None, []
        self.key = None

    def insert(self, amount_fen=1234, at=None, kind="00"):
        request = Request(amount_fen, "261120", "101500", UNPREDICTABLE, 17, kind)
        return self.drive(contact.insert(at or settings(), request), self.card.chip)

    def tap(self, amount_fen=1234, at=None):
        return self.drive(
            contactless.tap(at or settings(), Request(amount_fen, "261120", "101500", UNPREDICTABLE, 17)), self.card
        )

    def drive(self, flow, face):
        self.asked, self.commands = [], []
        face.reset()
        answer = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as done:
                return done.value
            if isinstance(step, bytes):
                self.commands.append(step)
                answer = face.apdu(step)
            else:
                self.asked.append(type(step).__name__)
                answer = getattr(self, type(step).__name__)(step, face)

    # Questions

    def Choose(self, question, face):
        return 0

    def OnlinePin(self, question, face):
        return "entered"

    def OfflinePin(self, question, face):
        pin = self.pins.pop(0) if self.pins else self.card.pin
        if not pin:
            return ask.BYPASS
        block = bytes.fromhex(("2%X" % len(pin) + pin).ljust(16, "F"))
        if question.kind == ask.PLAINTEXT:
            return int.from_bytes(face.apdu(bytes.fromhex("0020008008") + block), "big")
        modulus, exponent = question.key
        clear = b"\x7f" + block + question.challenge + bytes(len(modulus) - 17)
        hidden = pow(int.from_bytes(clear, "big"), exponent, int.from_bytes(modulus, "big")).to_bytes(len(modulus), "big")
        return int.from_bytes(face.apdu(bytes.fromhex("00200088") + bytes((len(hidden),)) + hidden)[-2:], "big")

    def CheckDocument(self, question, face):
        return True

    def LastAmount(self, question, face):
        return 0

    def OnException(self, question, face):
        return question.pan in self.listed

    def Refer(self, question, face):
        return False

    def GoOnline(self, question, face):
        chip = question.outcome.field55()
        record = self.record(question.outcome.pan) if callable(self.record) else self.record
        self.proven = cryptogram.verify(record, chip)
        if self.code is None:
            return ask.Reply()
        fields = {55: chip, 22: question.outcome.entry + "1", 11: "000042", 60: "22000001000600", 4: "000000001234"}
        message = Message("sale", "0200", fields, b"")
        return reply_of(self.code, issuer.answer(message, record, self.code, self.rule))


def reply_of(code, chip):
    """What the terminal tells its kernel of a reply."""
    tree = tlv.decode(chip)
    scripts = tuple((tag, tlv.encode(value)) for tag, value in tree if tag in (0x71, 0x72))
    return ask.Reply(code, code == "00", tlv.find(tree, 0x91) or b"", scripts)
