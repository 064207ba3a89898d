"""A shop in one file, in the subset that MicroPython runs: every port in memory, a person, and a host that is a function.

    shop = Shop()
    shop.power_on()
    shop.type("01 ENTER 0000 ENTER")
    shop.until("Menu")

Time is a number; nothing waits. The keys are no keys: a "MAC" is a hash of a word and the data, and what is sealed is
turned round. What is tested here is that the whole terminal runs, not how it enciphers.
"""

import json
from binascii import hexlify, unhexlify
from hashlib import sha256
from heapq import heappop, heappush

from firmware import events
from firmware.events import Event
from firmware.iso8583 import batch, frame, unionpay
from firmware.ports import StoreFull
from firmware.states import first
from firmware.terminal import Terminal
from tests.portable.plain_card import PlainCard
from tests.portable.plain_keys import authority_row
from tests.portable.plain_settings import TERMINAL_DATA, UNIONPAY_ROWS

START_S = 1795142040  # 2026-11-20 02:34 UTC
TERMINAL, MERCHANT = "KF000001", "898110153310001"
SETTINGS = (
    ("terminal.number", TERMINAL),
    ("merchant.number", MERCHANT),
    ("merchant.name", "开付小店"),
    ("host.address", "host"),
    ("host.port", 8583),
    ("emv.aids", UNIONPAY_ROWS),
    ("emv.terminal", TERMINAL_DATA),
    ("emv.keys", [authority_row()]),
)
PASSWORDS = (("01", "0000"), ("00", "123456"), ("99", "12345678"))
LENGTHS = {"00": 6, "99": 8}


def digest(*parts):
    return sha256(b"|".join(parts)).digest()


def mac(data):
    return hexlify(digest(b"mac", data))[:8].upper()


class Store:
    """Records in a dict. full: every commit that writes raises StoreFull."""

    def __init__(self):
        self.records = {}
        self.full = False

    def commit(self, rows, sync=True):
        if self.full:
            raise StoreFull("full")
        for table, key, value, index in rows:
            if value is None:
                self.records.pop((table, key), None)
            else:
                self.records[table, key] = (bytes(value), index)

    def get(self, table, key):
        return self.records.get((table, key), (None, None))[0]

    def range(self, table, index=None, low="", high=None, newest=False, limit=None):
        keys = sorted([key for name, key in self.records if name == table])
        keys = [key for key in keys if key >= low and (high is None or key < high)]
        if index is not None:
            keys = [key for key in keys if self.records[table, key][1] == index]
        if newest:
            keys.reverse()
        return [(key, self.records[table, key][0]) for key in keys[:limit]]


class Keypad:
    """A press goes to who borrowed the keys, or to the terminal."""

    def __init__(self, shop):
        self.shop = shop
        self.taker = None

    def borrow(self, taker):
        self.taker = taker

    def give_back(self):
        self.taker = None

    def press(self, name):
        if self.taker is not None:
            self.taker(name)
        else:
            self.shop.post(Event(events.KEY, 0, name))


class Vault:
    """Passwords by number, the keys' slots, and entries typed on the keypad."""

    mode = "software"
    approved = False

    def __init__(self, shop):
        self.shop = shop
        self.state = "ready"
        self.passwords = dict(PASSWORDS)
        self.slots = {"master": bytes(16)}
        self.components = {}
        self.serial = 0
        self.typed = ""
        self.first = ""
        self.ticket = 0

    def check_value(self, slot):
        key = self.slots.get(slot)
        return None if key is None else digest(key)[:4]

    def load_keys(self, ticket, keys):
        for _, cryptogram, check in keys:
            if digest(cryptogram)[:4] != check:
                self._answer(ticket, events.VAULT_REFUSED, "check-value")
                return
        for slot, cryptogram, _ in keys:
            self.slots[slot] = cryptogram
        self._answer(ticket, events.VAULT_DONE, None)

    def mac(self, ticket, data, method="unionpay"):
        self._answer(ticket, events.VAULT_DONE, mac(data))

    def check_mac(self, ticket, data, value, method="unionpay"):
        self._answer(ticket, events.VAULT_DONE, mac(data) == value)

    def encrypt_track(self, ticket, track):
        self._answer(ticket, events.VAULT_DONE, track.replace("=", "D"))

    def next_transaction(self, ticket):
        if "dukpt" not in self.slots:
            self._answer(ticket, events.VAULT_REFUSED, "no-key")
            return
        self.serial += 1
        self._answer(ticket, events.VAULT_DONE, unhexlify("FFFF98765432%08X" % self.serial))

    def install_master(self, ticket, cipher, expected):
        key = digest(b"master", *[self.components[number] for number in sorted(self.components)])
        if len(self.components) < 2 or not digest(key).startswith(expected):
            self.components = {}
            self._answer(ticket, events.VAULT_REFUSED, "bad-data" if expected == b"" else "check-value")
            return
        if expected:
            self.slots = {"master": key}
            self.components = {}
        self._answer(ticket, events.VAULT_DONE, digest(key)[:4])

    def drop_components(self):
        self.components = {}

    def seal(self, ticket, data):
        self._answer(ticket, events.VAULT_DONE, bytes([b ^ 0x5A for b in data]))

    def unseal(self, ticket, sealed):
        self._answer(ticket, events.VAULT_DONE, bytes([b ^ 0x5A for b in sealed]))

    def fingerprint(self, ticket, data):
        self._answer(ticket, events.VAULT_DONE, digest(b"who", data)[:16])

    def is_factory(self, operator):
        return self.passwords.get(operator) == dict(PASSWORDS).get(operator, "0000")

    def add_operator(self, ticket, operator):
        self.passwords[operator] = "0000"
        self._answer(ticket, events.VAULT_DONE, None)

    def remove_operator(self, ticket, operator):
        del self.passwords[operator]
        self._answer(ticket, events.VAULT_DONE, None)

    def enter_pin(self, ticket, pan, minimum, maximum, form="0"):
        def finish():
            if not self.typed:
                return (events.SECRET_STOPPED, "bypass")
            if len(self.typed) < minimum:
                return None
            return (events.SECRET_READY, digest(b"pin", self.typed.encode(), pan.encode())[:8])

        self._enter(ticket, maximum, finish)

    def verify_pin(self, ticket, minimum, maximum, kind, key, challenge):
        assert kind == "plaintext" and key is None

        def said(answer):
            told = (events.SECRET_STOPPED, "lost") if answer is None else (events.SECRET_READY, answer[-2] << 8 | answer[-1])
            self._answer(ticket, told[0], told[1])

        def finish():
            if not self.typed:
                return (events.SECRET_STOPPED, "bypass")
            if minimum <= len(self.typed):
                digits = "2%X%s" % (len(self.typed), self.typed)
                self.shop.keypad.give_back()
                self.shop.slot.carry(unhexlify("0020008008" + digits + "F" * (16 - len(digits))), said)
            return None

        self._enter(ticket, maximum, finish)

    def enter_card(self, ticket):
        self._enter(ticket, 19, lambda: None if len(self.typed) < 13 else (events.SECRET_READY, self.typed))

    def enter_component(self, ticket, number, size):
        def finish():
            if len(self.typed) < 2 * size:
                return None
            self.components[number] = digest(self.typed.encode())
            return (events.SECRET_READY, self.components[number][:4])

        self._enter(ticket, 2 * size, finish)

    def enter_sim_pin(self, ticket):
        self._answer(ticket, events.SECRET_READY, "no-modem")

    def enter_password(self, ticket, operator, purpose):
        def finish():
            if len(self.typed) < LENGTHS.get(operator, 4):
                return None
            if purpose == "check":
                return (events.SECRET_READY, "right" if self.typed == self.passwords.get(operator) else "wrong")
            if purpose == "new":
                self.first = self.typed
                return (events.SECRET_READY, "weak" if self.typed == self.passwords[operator] else "ok")
            if self.typed != self.first:
                return (events.SECRET_READY, "different")
            self.passwords[operator] = self.typed
            return (events.SECRET_READY, "set")

        self._enter(ticket, LENGTHS.get(operator, 4), finish)

    def stop(self, ticket):
        if ticket == self.ticket:
            self.shop.keypad.give_back()
            self.ticket = 0

    def wipe(self):
        self.slots = {}
        self.state = "wiped"

    def _enter(self, ticket, most, finish):
        self.ticket = ticket
        self.typed = ""

        def take(name):
            ended = None
            if name in events.DIGITS:
                self.typed = (self.typed + name)[:most]
            elif name == events.CLEAR:
                self.typed = ""
            elif name == events.BACK:
                self.typed = self.typed[:-1]
            elif name == events.CANCEL:
                ended = (events.SECRET_STOPPED, "cancel")
            elif name == events.CONFIRM:
                ended = finish()
            if ended is None:
                self._answer(ticket, events.SECRET_TYPED, len(self.typed))
            else:
                self.shop.keypad.give_back()
                self._answer(ticket, ended[0], ended[1])

        self.shop.keypad.borrow(take)

    def _answer(self, ticket, name, value):
        self.shop.later(1, lambda: self.shop.post(Event(name, ticket, value)))


class Display:
    """Keeps the screen."""

    size = (128, 64)
    chinese = True

    def __init__(self):
        self.screen = None

    def show(self, screen):
        self.screen = screen

    def contrast(self, level):
        pass

    def sleep(self):
        pass

    def wake(self):
        pass


class Printer:
    """paper: lines. out: whether there is none left."""

    columns = 32

    def __init__(self, shop):
        self.shop = shop
        self.paper = []
        self.out = False

    def print(self, ticket, job):
        if self.out:
            self.shop.post(Event(events.PRINT_STOPPED, ticket, ("paper-out", 0)))
            return
        for _, text in job:
            self.paper.append(str(text))
        self.shop.later(50, lambda: self.shop.post(Event(events.PRINT_DONE, ticket, None)))

    def status(self):
        return "paper-out" if self.out else "ok"


class Reader:
    """A card that is laid on when the terminal looks for one."""

    state = "ready"

    def __init__(self, shop):
        self.shop = shop
        self.card = None
        self.ticket = 0

    def place(self, card):
        self.card = card
        if self.ticket:
            self.shop.post(Event(events.CARD_FOUND, self.ticket, "A"))

    def activate(self, ticket):
        self.ticket = ticket
        if self.card is not None:
            self.shop.post(Event(events.CARD_FOUND, ticket, "A"))

    def transmit(self, ticket, apdu):
        reply = self.card.apdu(apdu) if self.card is not None else None
        if reply is None:
            self.shop.later(5, lambda: self.shop.post(Event(events.CARD_LOST, ticket, "removed")))
        else:
            self.shop.later(5, lambda: self.shop.post(Event(events.CARD_REPLY, ticket, reply)))

    def release(self, ticket):
        self.card = None
        self.ticket = 0
        self.shop.later(5, lambda: self.shop.post(Event(events.CARD_GONE, ticket, None)))

    def cancel(self, ticket):
        self.ticket = 0
        self.card = None


class Slot(Reader):
    """A chip that is put in with its contacts, and stays in until it is pulled."""

    def __init__(self, shop):
        Reader.__init__(self, shop)
        self.leaving = 0

    @property
    def present(self):
        return self.card is not None

    def place(self, card):
        self.card = card
        if self.ticket:
            self.shop.post(Event(events.CARD_FOUND, self.ticket, "T=0"))

    def pull(self):
        self.card = None
        if self.leaving:
            self.shop.post(Event(events.CARD_GONE, self.leaving, None))
        self.leaving = 0

    def activate(self, ticket):
        self.leaving = 0
        self.ticket = ticket
        if self.card is not None:
            self.place(self.card)

    def transmit(self, ticket, apdu):
        reply = self.card.apdu(apdu) if self.card is not None else None
        if reply is None:
            self.pull()
            self.shop.later(5, lambda: self.shop.post(Event(events.CARD_LOST, ticket, "removed")))
        else:
            self.shop.later(5, lambda: self.shop.post(Event(events.CARD_REPLY, ticket, reply)))

    def release(self, ticket):
        self.ticket = 0
        self.leaving = ticket
        if self.card is None:
            self.shop.later(5, self.pull)

    def cancel(self, ticket):
        self.ticket = self.leaving = 0

    def carry(self, apdu, done):
        done(self.card.apdu(apdu) if self.card is not None else None)


class Stripe:
    """A stripe is text."""

    state = "ready"

    def __init__(self, shop):
        self.shop = shop
        self.ticket = 0

    def swipe(self, text):
        if self.ticket:
            self.shop.post(Event(events.CARD_SWIPED, self.ticket, text))

    def activate(self, ticket):
        self.ticket = ticket

    def cancel(self, ticket):
        self.ticket = 0


class Link:
    """Carries whole frames to `shop.host`. lose: so many answers are lost on their way, after the host has booked."""

    def __init__(self, shop):
        self.shop = shop
        self.open = []
        self.down = False
        self.lose = 0

    def bearers(self):
        return [{"name": "ethernet", "state": "down" if self.down else "up", "bars": None, "address": "10.0.0.2"}]

    def connect(self, ticket, where):
        if self.down:
            self.shop.later(20, lambda: self.shop.post(Event(events.LINK_DOWN, ticket, "refused")))
            return
        self.open.append(ticket)
        self.shop.later(20, lambda: self.shop.post(Event(events.LINK_UP, ticket, "ethernet")))

    def send(self, ticket, data):
        answer = self.shop.host.answer(data)
        if self.lose:
            self.lose -= 1
            return
        half = len(answer) // 2
        for piece, ms in ((answer[:half], 30), (answer[half:], 31)):
            self.shop.later(ms, self._hears(ticket, piece))

    def _hears(self, ticket, piece):
        def hear():
            if ticket in self.open:
                self.shop.post(Event(events.LINK_DATA, ticket, piece))

        return hear

    def close(self, ticket):
        if ticket in self.open:
            self.open.remove(ticket)


CODE = "612345"  # of every authorisation


class Host:
    """Signs on, books, undoes, settles, gives.

    books: trace -> fen of what stands, below zero for a refund; held: fen that pre-authorisations hold; decline: the code of
    the next answer, or ""; issuer: field 55 of answers to a sale; sale: the fields of the last sale that was asked for;
    flag: what it thinks of the next totals; uploads: (F60.3, fields) of 0320; gives: F60.3 -> field 62 of a download
    """

    def __init__(self):
        self.codec = unionpay.codec()
        self.books = {}
        self.decline = ""
        self.issuer = b""
        self.sale = {}
        self.seen = []
        self.held = 0
        self.flag = batch.BALANCED
        self.uploads = []
        self.gives = {}

    def answer(self, packet):
        deframer = frame.Deframer()
        deframer.feed(packet)
        asked = deframer.next()
        mti, fields = self.codec.unpack(asked.body)
        self.seen.append(mti)
        reply = {n: fields[n] for n in (3, 4, 11, 41, 42, 49, 60) if n in fields}
        reply.update({12: "103500", 13: "1120", 37: "%012d" % len(self.seen), 39: "00"})
        code = fields[60][8:11]
        if code in self.gives:
            reply[62] = self.gives[code]
        elif mti == "0800":
            key = bytes(range(16))
            reply[62] = (key + digest(key)[:4]) * 2
            reply[60] = "00000007003"
        elif mti == "0500":
            del reply[39]
            reply[48] = batch.totals(*[batch.Half(half[0], half[1], half[2], half[3], self.flag) for half in halves(fields)])
        elif mti == "0320":
            self.uploads.append((code, fields))
        elif mti != "0820":
            assert fields[64] == mac(asked.body[:-8])
            reply[39] = self.book(mti, fields)
            if mti in ("0100", "0200"):
                self.sale = fields
                if reply[39] == "00":
                    reply[38] = CODE
                if self.issuer:
                    reply[55] = self.issuer
            reply[64] = bytes(8)
        body = self.codec.pack(unionpay.reply_to(mti), reply)
        if 64 in reply:
            body = body[:-8] + mac(body[:-8])
        return frame.pack(frame.answering(asked.tpdu), asked.header, body)

    def book(self, mti, fields):
        trace = fields[11]
        if mti == "0400":
            undone = self.books.pop(trace, None)
            return "25" if undone is None else "00"
        if self.decline:
            code, self.decline = self.decline, ""
            return code
        if mti == "0220" and trace in self.books:
            return "94"
        fen = unionpay.fen(fields[4])
        if mti == "0100":
            assert fields[3] == "030000" or fields[38] == CODE
            self.held += fen if fields[3] == "030000" else -fen
            return "00"
        if fields[25] == "06":
            assert fields[38] == CODE and self.held
            self.held = 0
        elif mti == "0220":
            fen = -fen
        elif fields[3] == "200000":
            return "25" if self.books.pop(unionpay.read_original(fields[61]).trace, None) is None else "00"
        self.books[trace] = fen
        return "00"


def halves(fields):
    """The two halves of the totals in field 48."""
    return batch.read_totals(fields[48])


class Clock:
    def __init__(self, shop):
        self.shop = shop

    def ticks_ms(self):
        return self.shop.ms - self.shop.on_ms

    def utc_s(self):
        return START_S + self.shop.ms // 1000


class Chance:
    def random(self, n):
        return digest(b"chance")[:n]


class Text:
    def encode(self, text):
        return text.encode()

    def decode(self, data):
        return "".join([chr(b) if b < 128 else "?" for b in data])


class Log:
    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


class Shop:
    """The world: `ms` is its time; `store`, `vault` and `host` outlive the terminal."""

    def __init__(self, language="en"):
        self.ms = 0
        self.on_ms = 0
        self.count = 0
        self.plans = []
        self.events = []
        self.host = Host()
        self.store = Store()
        self.store.commit([("parameters", name, json.dumps(value).encode(), None) for name, value in SETTINGS])
        self.keypad = Keypad(self)
        self.vault = Vault(self)
        self.display = Display()
        self.printer = Printer(self)
        self.reader = Reader(self)
        self.slot = Slot(self)
        self.stripe = Stripe(self)
        self.link = Link(self)
        self.log = Log()
        self.ports = {
            "display": self.display, "keypad": self.keypad, "contactless": self.reader, "chip": self.slot,
            "stripe": self.stripe, "vault": self.vault, "printer": self.printer, "link": self.link, "store": self.store,
            "clock": Clock(self), "random": Chance(), "text": Text(), "log": self.log,
        }  # fmt: skip
        self.board = {"name": "plain", "parameters": {"operators.force_change": False, "language": language}}
        self.machine = None
        self.terminal = None

    def post(self, event):
        self.events.append(event)

    def later(self, ms, act):
        self.count += 1
        heappush(self.plans, (self.ms + ms, self.count, act))

    def power_on(self):
        self.on_ms = self.ms
        self.terminal = Terminal(self.ports, self.board)
        self.machine = first.power_on(self.terminal, True)
        for port in ("contactless", "chip", "stripe"):
            self.post(Event(events.PART, 0, (port, "ready")))

    def plug(self):
        """No power: what was not in the store is gone."""
        self.events = []
        self.plans = []
        self.keypad.give_back()
        for port in (self.reader, self.slot, self.stripe):
            port.cancel(0)
        self.link.open = []
        self.vault.ticket = 0
        self.machine = None

    def step(self):
        """The next thing that happens; False when nothing ever will."""
        if self.events:
            self.machine.handle(self.events.pop(0))
            return True
        due = self.machine.tasks.next_due()
        due = None if due is None else due + self.on_ms
        if self.plans and (due is None or self.plans[0][0] <= due):
            at, _, act = heappop(self.plans)
            self.ms = max(self.ms, at)
            act()
            return True
        if due is None:
            return False
        self.ms = max(self.ms, due)
        self.machine.tick()
        return True

    def run(self, ms):
        """Lets so much time pass."""
        end = self.ms + ms
        woken = []
        self.later(ms, lambda: woken.append(1))
        while not woken:
            self.step()
        assert self.ms == end

    @property
    def state(self):
        return type(self.machine.state).__name__

    @property
    def text(self):
        screen = self.display.screen
        return "\n".join([screen.title, screen.big] + list(screen.lines) + [text for _, text in screen.menu])

    def until(self, wanted, within_ms=120000):
        """Until a state of that name is reached, or one of those names."""
        wanted = (wanted,) if isinstance(wanted, str) else wanted
        end = self.ms + within_ms
        while self.state not in wanted or self.events:
            assert self.ms <= end and self.step(), "%s instead of %s: %s" % (self.state, wanted, self.text)

    def type(self, words):
        for word in words.split():
            for key in [word] if word in events.KEYS else list(word):
                self.keypad.press(key)
                self.run(5)

    def tap(self, card=None):
        self.until("PresentCard")
        self.reader.place(card or PlainCard())

    def insert(self, chip):
        self.until("PresentCard")
        self.slot.place(chip)

    def swipe(self, text):
        self.until("PresentCard")
        self.stripe.swipe(text)

    def log_in(self):
        self.until("Login")
        self.type("01 ENTER 0000 ENTER")
        self.until("Menu")
        self.run(1000)

    def choose(self, row):
        """Presses the digit of the clerk's menu that opens a row."""
        self.until("Menu")
        self.type(str(row))
