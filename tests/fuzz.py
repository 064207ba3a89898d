"""Whole transactions with a card that lies, each from one number: the seed draws the card, its lies, the people and the settings.

    contact     `contact.insert`, to the last word of the card
    unionpay    kernel 7, quick            full        kernel 7, the whole PBOC flow over contactless
    visa        kernel 3                   mastercard  kernel 2, both modes
    stripe      `stripe.parse`
    terminal    three sales at the port level: pages, people, host and books, with the stand-ins for the readers

`run(seed)` gives what was done and how it ended, and raises where it did not end as it must: with a named outcome, in a
bounded number of steps, with data that a message can carry, and with books that agree.
"""

import json
from random import Random

from drivers import card_file
from emulator.cards import builder, pki
from emulator.cards.catalogue import ROWS
from emulator.world import TERMINAL, World
from firmware import stripe
from firmware.emv import ask, card, contact, contactless, parameter_file, tlv
from firmware.emv.outcome import APPROVED, FIELD_55, FIELD_55_REVERSAL, MESSAGES, METHODS, ONLINE, STATUSES, TRY_AGAIN
from firmware.emv.settings import Request, Settings
from firmware.iso8583.unionpay import ONLINE_TAGS
from tests.lying_card import LIES, LyingCard, LyingPerson, bounded

HONEST_FOR = (0, 0, 0, 0, 2, 4, 8, 15)
SALES = 3
PRESSES = 60  # of a person at the pages of one sale
GIVE_UP_MS = 5_000
REST_MS = 900_000  # long enough for every reversal to be tried again
CERTIFICATES = (0x8F, 0x90, 0x92, 0x93, 0x9F32, 0x9F46, 0x9F47, 0x9F48, 0x9F4B, 0x9F2D, 0x9F2E, 0x9F4A)
FILE = parameter_file.read(card_file.fetch())
TERMINALS = {
    "9F33": ("E0F8C8", "E0F8C8", "E0B8C8", "60D8C8", "E0F0C8", "E00808", "E0F8E9"),
    "9F35": ("22", "22", "21", "23", "25", "14"),
}


LISTS = (0x8C, 0x8D, 0x8E, 0x97, 0x9F38, 0x9F49, 0x9F69)
LOCATORS = (b"\x08\x01\x01\x00" * 63, b"\x08\x01\xff\x00", b"\xf0\x01\xff\xff" * 30, b"\x08\x01\x05\x05" * 9)


class Liar(LyingCard):
    """Tells the truth for a while, lies inside objects and not only about them, and has another card to answer for it."""

    LIES = LIES + ("_value",) * 6 + ("_locator", "_locator", "_list", "_list", "_certificate", "_certificate", "_other", "_other")

    def __init__(self, chance, honest, other):
        super().__init__(chance, honest)
        self.other = other
        self.truths = chance.choice(HONEST_FOR)
        self.command = b""

    def apdu(self, command):
        self.command = command
        if self.truths:
            self.truths -= 1
            return self.honest.apdu(command)
        chance = self.chance
        answer = self.honest.apdu(command) if chance.random() > 0.02 else chance.choice(self.before)
        if answer is None or chance.random() < 0.01:
            return None
        if chance.random() < self.rate:
            answer = getattr(self, chance.choice(self.LIES))(answer)
        self.before = self.before[-7:] + [answer]
        return answer

    def _bent(self, answer, wanted, bend):
        """The answer with one of its objects bent, all lengths made right: one of `wanted`, or any."""
        try:
            tree = tlv.decode(answer[:-2])
        except tlv.TlvError:
            return self._byte(answer)
        places = []

        def collect(level):
            for at, (tag, value) in enumerate(level):
                if isinstance(value, list):
                    collect(value)
                elif not wanted or tag in wanted:
                    places.append((level, at))

        collect(tree)
        if not places:
            return self._byte(answer)
        level, at = self.chance.choice(places)
        tag, value = level[at]
        level[at] = (tag, bend(bytes(value)))
        return tlv.encode(tree) + answer[-2:]

    def _value(self, answer):
        return self._bent(answer, (), self._bend)

    def _certificate(self, answer):
        return self._bent(answer, CERTIFICATES, self._bend)

    def _locator(self, answer):
        """Files without end, the same file again and again, more records to be proven than there are."""
        chance = self.chance
        long = chance.choice(LOCATORS + (self._noise(4),))
        return self._bent(answer, (0x94,), lambda value: chance.choice((long, value + long, value * 3)))

    def _list(self, answer):
        """A list of data objects, or of methods to verify the holder, with what no list may have."""
        chance = self.chance
        more = chance.choice(
            (b"\x9f\x37", b"\x9f\x37\xff", b"\x9f\x80", b"\x9f\xff\xff\xff\x01", b"\x95\x81\x05", self._noise(3))
        )
        return self._bent(answer, LISTS, lambda value: chance.choice((value + more, more, more + value, more * 80, value[:-1])))

    def _bend(self, value):
        chance = self.chance
        turn = bytearray(value)
        if turn:
            turn[chance.randrange(len(turn))] ^= 1 << chance.randrange(8)
        return chance.choice(
            (
                b"",
                value[:-1],
                value[1:],
                value[: len(value) // 2],
                value + b"\x00",
                value * 2,
                bytes(len(value)),
                b"\xff" * len(value),
                bytes(turn),
                bytes(turn),
                self._noise(len(value)),
                self._noise(chance.choice((1, 8, 130, 252))),
            )
        )

    def _other(self, answer):
        return self.other.apdu(self.command)


class Face:
    """A liar where the readers of the port level expect a card: what it does not say itself is the honest card's."""

    def __init__(self, card, liar):
        self.card = card
        self.liar = liar

    def __getattr__(self, name):
        return getattr(self.card, name)

    def apdu(self, command):
        return self.liar.apdu(bytes(command)) or b""


def _tagged(by_air, *schemes):
    return [row for row in ROWS if (row.applications[0].contactless if by_air else row.applications[0].contact)
            and row.applications[0].scheme in schemes and not row.faults.get("dead")]  # fmt: skip


FULL = [row for row in ROWS if row.name == "full"]
BY_CONTACT = _tagged(False, "unionpay", "visa", "mastercard")
UNIONPAY, VISA, MASTERCARD = _tagged(True, "unionpay"), _tagged(True, "visa"), _tagged(True, "mastercard")
NUMBERS = {"unionpay": "6200123456789012347", "visa": "4999990000000003", "mastercard": "5599990000000005"}


def made(row):
    """A new card of the catalogue, with the tests' own keys."""
    drawn = [{"pan": NUMBERS[one.scheme], "pin": "123456", **builder.TEST_KEYS} for one in row.applications]
    return builder.make(row, drawn)


def offline(row, chance):
    """The row of a terminal that may approve by itself."""
    row = dict(row, terminal_floor_limit_fen=100_000, floor_limit_fen=100_000)
    row["tac_online"] = chance.choice((row["tac_online"], "0000000000"))
    if row.get("ttq"):
        row["ttq"] = chance.choice(("76004080", "7E004080", "36004080", "B6204080"))
    return row


def settings_of(chance):
    """A terminal online only, or one that may approve by itself; with more capabilities or fewer."""
    rows = FILE["applications"]
    if chance.random() < 0.5:
        rows = [offline(row, chance) for row in rows]
    terminal = dict(FILE["terminal"])
    for tag, values in TERMINALS.items():
        terminal[tag] = chance.choice(values)
    switches = {name: chance.random() < 0.5 for name in ("confirm", "pse", "referral", "force_online", "risk_by_aip")}
    return Settings(rows, terminal, pki.authority_rows(), (), switches)


def request_of(chance):
    amount = chance.choice((0, 1, 1234, 99_999, 100_001, 999_999_999_999))
    kind = chance.choice(("00", "00", "00", "01", "09", "20", "31"))
    other = amount // 3 if kind == "09" else 0
    return Request(amount, "261120", "101500", chance.randbytes(4), chance.randrange(10**8), kind, other, chance.randrange(99))


def check(outcome, steps, most):
    """What is true of every outcome, whatever the card has said."""
    assert outcome.why in card.REASONS, outcome.why
    assert outcome.status in STATUSES, outcome.status
    assert outcome.cvm in METHODS, outcome.cvm
    assert outcome.message in [name for _, name in MESSAGES], outcome.message
    assert steps <= most, steps
    assert not (len(outcome.pan) > 10 and outcome.pan in repr(outcome)), "a card number is shown"
    for order in (FIELD_55, FIELD_55_REVERSAL, ONLINE_TAGS):
        tlv.decode(outcome.field55(order))
    if outcome.status in (ONLINE, APPROVED):
        assert outcome.pan.isdigit() and 8 <= len(outcome.pan) <= 19, "no number that a message can carry"
        assert outcome.expiry == "" or (outcome.expiry.isdigit() and len(outcome.expiry) == 4), "no expiry"
        assert outcome.sequence == "" or (outcome.sequence.isdigit() and len(outcome.sequence) == 3), "no sequence number"
        assert len(outcome.track2) <= 37 and set(outcome.track2) <= set("0123456789D"), "no track"
        assert len(outcome.field55(ONLINE_TAGS)) <= 255, "field 55 is too long"
    assert outcome.label.isascii() and (outcome.label.isprintable() or not outcome.label), "no name for a page"


class Witness(LyingPerson):
    """Remembers what the issuer and the merchant have said: `replies`, `agreed`."""

    def __init__(self, chance):
        super().__init__(chance)
        self.replies = []
        self.agreed = False

    def answer(self, question):
        given = super().answer(question)
        if isinstance(question, ask.GoOnline):
            self.replies.append(given)
        if isinstance(question, ask.Refer):
            self.agreed = self.agreed or given
        return given


def contacts(chance):
    row, other = chance.choice(BY_CONTACT), chance.choice(BY_CONTACT)
    liar = Liar(chance, made(row).chip, made(other).chip)
    person = Witness(chance)
    outcome, steps = bounded(contact.insert(settings_of(chance), request_of(chance)), liar, person)
    check(outcome, steps, contact.MAX_STEPS)
    assert outcome.status != ONLINE and len(person.replies) <= 1, "the issuer is asked once, by a question"
    reply = person.replies[0] if person.replies else None
    booked = reply is not None and reply.approved
    approved = outcome.status == APPROVED
    assert outcome.reverse == (booked and not approved), "what the host has booked, or nothing, is undone"
    if approved and reply is not None and reply.code:
        assert booked or person.agreed, "nobody has approved"
        assert outcome.response == reply.code
    elif approved:
        assert outcome.response in ("Y1", "Y3") and (reply is None or reply.offline), "an approval that nobody may give"
    return outcome.why


def taps(rows):
    def tap(chance):
        liar = Liar(chance, made(chance.choice(rows)), made(chance.choice(rows + UNIONPAY)))
        point = contactless.EntryPoint(settings_of(chance), request_of(chance))
        person, start, reply = LyingPerson(chance), "A", None
        for _ in range(4):
            outcome, steps = bounded(point.start(start, reply), liar, person)
            check(outcome, steps, contactless.MAX_STEPS)
            assert outcome.start in ("", "A", "B", "C", "D"), outcome.start
            if outcome.start not in ("B", "C", "D") or (outcome.start != "B" and point.selected is None):
                break
            start = outcome.start
            reply = None if outcome.status == TRY_AGAIN else person._reply()
        return outcome.why

    return tap


def swipes(chance):
    """The text of a stripe, spoilt."""
    text = bytearray(made(chance.choice([row for row in ROWS if "stripe" in row.interfaces])).stripe.encode())
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(text) + 1)
        act = chance.randrange(5)
        if act == 0:
            text[at:at] = chance.randbytes(chance.choice((1, 1, 2, 600)))
        elif act == 1:
            del text[at : at + chance.randrange(1, 30)]
        elif act == 2 and at < len(text):
            text[at] = chance.choice(b";?=%^+E0123456789\r\n\x00 \xff")
        elif act == 3:
            text += text[:at]
        elif at < len(text):
            text[at] ^= 1 << chance.randrange(8)
    try:
        swipe = stripe.parse(bytes(text), chance.random() < 0.5)
    except stripe.StripeError as error:
        assert error.why in stripe.REASONS
        assert not any(run.isdigit() for run in str(error).split() if len(run) > 4), "digits of a card are shown"
        return error.why
    assert swipe.pan.isdigit() and 12 <= len(swipe.pan) <= 19
    assert swipe.expiry == "" or len(swipe.expiry) == 4
    assert len(swipe.track2) <= 37 and len(swipe.track3) <= 104
    assert swipe.pan not in repr(swipe)
    stripe.expired(swipe.expiry, "261120")
    stripe.service_rules(swipe.service)
    return "read"


OF_TERMINALS = {"batch.limit": 0, "slip.next_copy_ms": 500, "sale.unresolved": "supervisor"}
HOST_RULES = (
    "decline 51", "decline 01", "silence", "ignore", "cut-after", "wrong-mac", "garbage", "wrong-arpc", "no-arpc",
    "script pin-unblock", "script-before block-application", "wrong-script pin-unblock",
)  # fmt: skip


class Clerk:
    """Makes sales at the port level, with whatever card comes, and presses what the pages seem to want, or not."""

    def __init__(self, chance):
        self.chance = chance
        self.world = World(chance.randrange(10**6), parameters=OF_TERMINALS)
        if chance.random() < 0.4:  # a terminal that may approve by itself
            rows = [json.dumps([offline(row, chance) for row in FILE["applications"]]).encode()]
            self.world.store.commit([("parameters", "emv.aids", row, None) for row in rows])
        self.card = None

    def work(self):
        """The sales, then a rest; -> phase and code of each that was written down."""
        world = self.world
        world.power_on()
        world.until("操作员号")
        world.type("01 ENTER")
        world.until("操作员密码")
        world.type("0000 ENTER")
        world.until(lambda: world.state == "Menu")
        for _ in range(SALES):
            self._sale()
        self._away()
        world.run(REST_MS)
        assert world.terminal.reports == 0, "a fault was reported"
        assert self._books_agree(), "the books do not agree"
        return [(record["phase"] + " " + record.get("code", "")).strip() for record in world.terminal.ledger.newest(SALES)]

    def _books_agree(self):
        """To the fen; an offline approval that the bank has refused, as it may one by a card that lies, is marked so."""
        ledger, bank = self.world.terminal.ledger, self.world.bank
        ours = [
            (record["batch"], record["trace"], record["fen"])
            for record in ledger.newest(100)
            if record["phase"] == "approved" and not record.get("refused")
        ]
        nothing_open = not ledger.to_reverse() and not ledger.owed
        return nothing_open and sorted(ours) == sorted(bank.standing(TERMINAL)) and bank.balanced()

    def _sale(self):
        """As long as the clerk has patience; then the card is taken away, and cancel has to lead home."""
        world = self.world
        if self.chance.random() < 0.4:
            world.rules.add("next on sale " + self.chance.choice(HOST_RULES))
        world.type("1")
        for _ in range(PRESSES):
            if world.state == "Menu":
                break
            getattr(self, "_" + world.state, self._page)()
            world.run(self.chance.choice((200, 1_500, 4_000)))
        for _ in range(PRESSES):
            self._away()
            if world.state == "Menu":
                return
            world.type("CANCEL")
            world.run(GIVE_UP_MS)
        raise AssertionError("no way home from %s" % world.state)

    def _away(self):
        self.world.take()
        self.world.pull()

    def _EnterAmount(self):
        self.world.type("%d ENTER" % self.chance.choice((1, 1234, 100_001)))

    def _PresentCard(self):
        chance, world = self.chance, self.world
        self._away()
        names = world.shelf.names[:-1]
        own, other = world.shelf.card(chance.choice(names)), world.shelf.card(chance.choice(names))
        self.card = own
        way = chance.choice(("tap", "insert", "insert", "swipe", "none"))
        if way == "tap" and own.tappable:
            world.reader.place(Face(own, Liar(chance, own, other)))
        elif way == "insert" and own.insertable:
            honest, stranger = own.chip, other.chip or own.chip
            world.chip.insert(Face(honest, Liar(chance, honest, stranger)))
        elif way == "swipe":
            world.stripe.swipe(own.stripe or ";1=2?")
        else:
            world.type("CANCEL")

    def _EnterPin(self):
        pin = getattr(self.card, "pin", "") or "123456"
        self.world.type(self.chance.choice((pin + " ENTER", pin + " ENTER", "000000 ENTER", "ENTER", "CANCEL")))

    _ChipPin = _EnterPin

    def _ChooseApplication(self):
        self.world.type(self.chance.choice(("1", "2", "ENTER", "CANCEL")))

    def _TakeCard(self):
        self._away()
        self.world.type("ENTER")

    def _page(self):
        if self.chance.random() < 0.1:
            self._away()
        self.world.type(self.chance.choice(("ENTER", "ENTER", "ENTER", "CANCEL")))


def shop(chance):
    return ", ".join(sorted(Clerk(chance).work())) or "nothing"


# what is done: (how, how often of a hundred)
KINDS = {
    "contact": (contacts, 36),
    "unionpay": (taps(UNIONPAY), 20),
    "full": (taps(FULL), 10),
    "visa": (taps(VISA), 10),
    "mastercard": (taps(MASTERCARD), 10),
    "stripe": (swipes, 8),
    "terminal": (shop, 6),
}
_DRAW = [name for name, (_, often) in KINDS.items() for _ in range(often)]


def run(seed: int, kind: str = "") -> "tuple[str, str]":
    """(what was done, how it ended). kind: of KINDS; "": as the seed draws it. Raises whatever went wrong."""
    chance = Random(seed)
    drawn = chance.choice(_DRAW)
    kind = kind or drawn
    return kind, KINDS[kind][0](chance)
