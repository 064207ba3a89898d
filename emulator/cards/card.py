"""A card: one application or more, a way to them by contacts and one by contactless, a stripe, and what is wrong with it.

    card.apdu(command)         by contactless: the directory is 2PAY.SYS.DDF01
    card.chip.apdu(command)    by contacts: 1PAY.SYS.DDF01; None where it has no chip
    card.stripe                the text of a swipe, "" where it has no stripe

The applications of a card share nothing but the plastic: each has its number, counter and PIN tries.

Source: EMV Book 1, 11.3 and 12 (directories, partial names); ISO/IEC 7813 (stripe).
"""

from collections.abc import Callable

from emulator.cards import stripe
from emulator.cards.application import (
    NO_CLASS,
    NO_COMMAND,
    NO_FUNCTION,
    NO_RECORD,
    NOT_FOUND,
    WRONG_LENGTH,
    Application,
    answered,
)
from emulator.cards.profile import Holder, Profile
from firmware.emv import apdu as commands

PSE = b"1PAY.SYS.DDF01"
DIRECTORY_FILE = 1
SELECT, READ_RECORD = 0xA4, 0xB2
ATR_T0, ATR_T1 = bytes.fromhex("3B650000") + b"KAIFU", bytes.fromhex("3BE000008131FE45EB")  # EMV Book 1, 8.2
FAULTS = (
    "declines", "wrong_cryptogram", "garbage", "wrong_signature", "wrong_certificate", "refuses_second", "locked",
    "advice", "torn_at", "slow_ms", "wtx", "blocked", "dead",
)  # fmt: skip


class Chip:
    """The contacts of a card. atr: its answer to reset, b"" for none; protocol: "T=0" or "T=1"."""

    def __init__(self, card: "Card", protocol: str = "T=0") -> None:
        self.card = card
        self.protocol = protocol

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def atr(self) -> bytes:
        return b"" if self.card.dead else ATR_T1 if self.protocol == "T=1" else ATR_T0

    def reset(self) -> None:
        """Power off: the card has forgotten where it was."""
        self.card.reset()

    def apdu(self, command: bytes) -> bytes:
        """The answer, status word included, to any bytes."""
        return self.card.answer(command, contactless=False)


class Card:
    """A card of the shelf.

    name, title          what it is called, and for people
    applications         [Application], in the order of its directories
    pan, expiry, sequence, pin, aid, label, issuer_key, atc, habit    of the first application (pin: of the one in use)
    balance_fen          what is on the account at the acquirer when it is opened
    interfaces           of "contact", "contactless", "stripe"
    changed              changed(card) is called after each change of what it remembers, before the answer goes out
    stripe               the text of a swipe

    Faults are plain attributes:
    declines, wrong_cryptogram        AAC; a cryptogram that nobody can check
    wrong_signature, wrong_certificate   of DDA, CDA and fDDA; the issuer's
    garbage                           noise for GET PROCESSING OPTIONS
    refuses, refuses_second           {instruction byte: status word}; the status word for the second GENERATE AC, or b""
    advice                            bits that it adds to the cryptogram's kind (9F27)
    locked                            a telephone that wants its holder first: refused once, it is unlocked; None: no telephone
    blocked, dead                     the card; no answer to reset by contacts
    torn_at, slow_ms, wtx             for who holds it: it leaves after so many answers (None: stays), thinks, asks for time
    """

    technology = "A"

    def __init__(
        self,
        name: str,
        title: str,
        interfaces: "tuple[str, ...]" = ("contact", "contactless", "stripe"),
        balance_fen: int = 0,
        protocol: str = "T=0",
        directory: bool = True,
        changed: "Callable[[Card], None] | None" = None,
    ) -> None:
        self.name, self.title = name, title
        self.interfaces = interfaces
        self.balance_fen = balance_fen
        self.directory = directory
        self.changed = changed
        self.applications: list[Application] = []
        self.chip = Chip(self, protocol) if "contact" in interfaces else None
        self.stripe = ""
        self.declines = self.wrong_cryptogram = self.garbage = self.wrong_signature = self.wrong_certificate = False
        self.blocked = self.dead = False
        self.refuses: dict[int, bytes] = {}
        self.refuses_second = b""
        self.locked: bool | None = None
        self.advice = self.slow_ms = self.wtx = 0
        self.torn_at: int | None = None
        self._selected: Application | None = None
        self._at_directory = False
        self._found = b""

    def add(self, profile: Profile, holder: Holder, pin: str, issuer_key: bytes, mac_key: bytes, data_key: bytes) -> Application:
        """Puts an application on it; the first one's number is on the stripe."""
        application = Application(self, profile, holder, pin, issuer_key, mac_key, data_key)
        self.applications.append(application)
        if "stripe" in self.interfaces and not self.stripe:
            self.stripe = stripe.text(holder)
        return application

    def __repr__(self) -> str:
        return f"Card({self.name}, {self.pan[:6]}..{self.pan[-4:]})"

    @property
    def pan(self) -> str:
        return self.applications[0].holder.pan

    @property
    def expiry(self) -> str:
        return self.applications[0].holder.expiry

    @property
    def sequence(self) -> str:
        return self.applications[0].holder.sequence

    @property
    def pin(self) -> str:
        """Of the application that is in use, else of the first."""
        return (self._selected or self.applications[0]).state.pin

    @property
    def aid(self) -> bytes:
        return self.applications[0].profile.aid

    @property
    def label(self) -> str:
        return self.applications[0].profile.label

    @property
    def habit(self) -> str:
        return self.applications[0].profile.habit

    @property
    def issuer_key(self) -> bytes:
        return self.applications[0].issuer_key

    @property
    def atc(self) -> int:
        return self.applications[0].state.atc

    @atc.setter
    def atc(self, value: int) -> None:
        self.applications[0].state.atc = value

    @property
    def insertable(self) -> bool:
        return "contact" in self.interfaces

    @property
    def tappable(self) -> bool:
        return "contactless" in self.interfaces

    @property
    def swipeable(self) -> bool:
        return "stripe" in self.interfaces

    def keep(self) -> None:
        """Something that it remembers has changed."""
        if self.changed:
            self.changed(self)

    def to_json(self) -> dict:
        """What it remembers."""
        return {"blocked": self.blocked, "applications": [application.state.to_json() for application in self.applications]}

    def update(self, kept: "dict | int") -> None:
        """Takes what `to_json` gave; a number is the counter of a card that remembered nothing else."""
        if isinstance(kept, int):
            self.atc = kept
            return
        self.blocked = bool(kept.get("blocked"))
        for application, state in zip(self.applications, kept.get("applications", ()), strict=False):
            application.state.update(state)

    def reset(self) -> None:
        """The field or the power was off: the card has forgotten where it was."""
        self._selected, self._at_directory, self._found = None, False, b""
        for application in self.applications:
            application.reset()

    def apdu(self, command: bytes) -> bytes:
        """The answer by contactless, status word included, to any bytes."""
        return self.answer(command, contactless=True)

    def answer(self, command: bytes, contactless: bool) -> bytes:
        """The answer, status word included, to any bytes."""
        if len(command) < 4 or (len(command) > 5 and len(command) < 5 + command[4]):
            return WRONG_LENGTH
        instruction = command[1]
        if instruction in self.refuses:
            return self.refuses[instruction]
        if command[0] not in (0x00, 0x80, 0x84, 0x04, 0x8C):
            return NO_CLASS if instruction in KNOWN else NO_COMMAND
        if instruction == SELECT:
            return self._select(command, contactless)
        if instruction == READ_RECORD and self._at_directory:
            return self._read_directory(command)
        if self._selected is None:
            return b"\x69\x85" if instruction in KNOWN else NO_COMMAND
        return self._selected.apdu(command)

    def _select(self, command, contactless):
        for application in self.applications:
            application.reset()
        last, self._selected, self._at_directory = self._selected, None, False
        name = command[5 : 5 + command[4]] if len(command) > 5 else b""
        if self.blocked or ("contactless" if contactless else "contact") not in self.interfaces:
            return NO_FUNCTION
        if command[2] != 0x04 or not name:
            return NOT_FOUND
        here = [one for one in self.applications if (one.profile.contactless if contactless else one.profile.contact)]
        if name == (commands.PPSE if contactless else PSE):
            return self._directory(name, here, contactless)
        fitting = [one for one in here if one.profile.aid.startswith(name) and len(name) >= 5]
        if command[3] & 2:  # the next one with this name
            begin = fitting.index(last) + 1 if last in fitting and self._found == name else len(fitting)
            fitting = fitting[begin:]
        if not fitting:
            return NOT_FOUND
        self._selected, self._found = fitting[0], name
        return fitting[0].select(contactless)

    def _directory(self, name, here, contactless):
        if not self.directory and not contactless:
            return NOT_FOUND
        if contactless:
            entries = [(0x61, one.entry(True)) for one in here]
            return answered([(0x6F, [(0x84, name), (0xA5, [(0xBF0C, entries)])])])
        self._at_directory = True
        proprietary = [(0x88, bytes((DIRECTORY_FILE,))), (0x5F2D, b"zh"), (0x9F11, b"\x01")]
        return answered([(0x6F, [(0x84, name), (0xA5, proprietary)])])

    def _read_directory(self, command):
        here = [one for one in self.applications if one.profile.contact]
        if command[3] != DIRECTORY_FILE << 3 | 4 or not 1 <= command[2] <= len(here):
            return NO_RECORD
        return answered([(0x70, [(0x61, here[command[2] - 1].entry(False))])])


KNOWN = (0x16, 0x18, 0x1E, 0x20, 0x24, 0x2A, 0x82, 0x84, 0x88, 0xA4, 0xA8, 0xAE, 0xB2, 0xCA)


class NoBankCard:
    """A chip that speaks the same protocol and holds no payment application: a library card."""

    technology = "A"
    pan = ""
    stripe = ""
    dead = False
    insertable = tappable = True
    swipeable = False

    def __init__(self, name: str, title: str) -> None:
        self.name, self.title = name, title
        self.interfaces = ("contact", "contactless")
        self.chip = self
        self.protocol, self.atr = "T=0", ATR_T0
        self.torn_at: int | None = None
        self.slow_ms = self.wtx = 0

    def reset(self) -> None:
        """Nothing to forget."""

    def apdu(self, command: bytes) -> bytes:
        """No application by any name."""
        return NOT_FOUND if command[1:2] == b"\xa4" else NO_COMMAND
