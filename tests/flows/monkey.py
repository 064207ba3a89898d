"""A monkey at the counter: it types anything, with enough sense to come deep into the flows, and things go wrong around it.

    monkey = Monkey(seed)
    monkey.work(5_000)           so many keys
    monkey.leave()               everything is mended, the power goes once more, nobody is there; [] or how the books differ

Everything that a merchant may do is switched on: all kinds of transactions, settlement, downloads, sign-on and sign-off. What
goes wrong: cards, readers, paper, disk, line and bearers, keys, the host's answers, the clock, the power.
"""

from random import Random

from drivers import card_file
from emulator.acquirer.rules import KINDS
from emulator.world import MERCHANT, TERMINAL
from firmware import events
from firmware.emv import parameter_file
from firmware.events import Event
from firmware.host import parameter_block as pb
from firmware.parameters import TABLE
from firmware.ports import BEARERS
from tests.books import disagreements, openings
from tests.flows.counter import Counter

WRONG = [
    "silence", "late 40", "wrong-mac", "no-mac", "wrong-trace", "wrong-amount", "wrong-terminal", "half", "garbage", "cut-before", "cut-after",
    "split", "merged", "twice", "later", "ignore", "decline 55", "decline 51", "decline A0", "decline 99", "decline 96", "decline 77", "require 3",
    "require 1", "require 2", "require 5", "require 7", "require 9", "approve 11", "unbalance", "settle-error", "partial 0.50",
]  # fmt: skip
SHELF = Counter().shelf
TAPPABLE = ("debit", "debit", "debit", "credit", "pin-asking", "phone", "visa", "offline")
INSERTABLE = [name for name in SHELF.names if getattr(SHELF.card(name), "insertable", False)]
SWIPEABLE = [name for name in SHELF.names if getattr(SHELF.card(name), "swipeable", False)]
MODULES = {name: True for name in TABLE if name.startswith("module.")}
SWITCHES = (
    "sale.confirm_after_tap", "sale.partial", "void.pin", "void.card", "refund.card", "preauth_void.card", "preauth_void.pin",
    "complete.card", "complete.pin", "complete_void.card", "complete_void.pin", "settle.sign_off", "stripe.pin", "stripe.last_four",
)  # fmt: skip
LEFT_ALONE_MS = 1_200_000

# The menu: what a day is made of, the rest now and then.
TRADE = ("1", "1", "1", "2", "3", "7", "7", "8 1", "8 1", "8 2", "8 3", "8 4", "8 5", "8 6", "9 1", "9 1", "9 2", "9 3", "9 4", "9 5")
OFFICE = ("4", "4 1", "4 3", "5", "5 1", "5 3", "5 4", "6 1", "6 2", "6 3", "6 5", "6 6 3", "6 9", "6 9", "6 9", "6 8 1", "6 8 2", "6 8 4", "6 8 6", "6 8 7")


class Monkey:
    # state: what a person might well type there
    SENSE = {
        "Login": ("01 ENTER 0000 ENTER", "01 ENTER 0000 ENTER", "01 ENTER 0000 ENTER", "00 ENTER 123456 ENTER", "99 ENTER 12345678 ENTER"),
        "Password": ("0000 ENTER",),
        "Unlock": ("0000 ENTER", "123456 ENTER"),
        "EnterAmount": ("100 ENTER", "99999 ENTER", "100000 ENTER", "100001 ENTER", "ENTER", "ENTER", "5000 ENTER"),
        "AskSupervisor": ("123456 ENTER",),
        "Release": ("123456 ENTER",),
        "SettleSupervisor": ("123456 ENTER", "CANCEL"),
        "EnterPin": ("123456 ENTER", "ENTER"),
        "PickOriginal": ("1", "1", "2", "DOWN"),
        "TypeDate": ("1120 ENTER", "1119 ENTER"),
        "TypeExpiry": ("1230 ENTER",),
        "TypeApproval": ("123456 ENTER",),
        "EnterTip": ("100 ENTER", "1 ENTER"),
        "PickPeriods": ("1", "2", "4"),
        "SettleTrouble": ("ENTER", "CANCEL", "DOWN"),
        "CloseReason": ("1 ENTER", "4 ENTER", "CANCEL"),
        "ChooseApplication": ("1", "2", "ENTER"),
        "ChipPin": ("123456 ENTER", "ENTER", "482913 ENTER"),
        "Refer": ("ENTER", "CANCEL"),
        "CheckDocument": ("ENTER", "CANCEL"),
    }

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        settings = {name: random.random() < 0.5 for name in SWITCHES}
        settings |= MODULES | {
            "sale.unresolved": random.choice(("block", "supervisor")),
            "language": random.choice(("zh", "en")),
            "reversal.again_s": 5,
            "batch.limit": random.choice((0, 6, 500)),
            "settle.time": random.choice(("", "1040", "1200")),
        }
        self.world = Counter(seed=seed, parameters=settings)
        self._offer()
        self.before = openings(self.world.bank)
        self.world.power_on()
        self.keys = 0
        self.states: set[str] = set()

    def _offer(self):
        """What there is to download changes nothing that would end the trade."""
        host = self.world.acquirer.providers["Downloads"]
        rows = parameter_file.read(card_file.fetch())["applications"]
        host.offer(rows, self.world.shelf.authority_rows(), ["900001", "6258"])
        host.parameters = pb.block([("12", 45_000), ("23", 4)], pb.LAYOUT, self.world.ports["text"])
        host.limits = pb.limits_block(pb.ALL, [("FF8054", b"000000030000"), ("FF805D", b"1")])

    # -- the day
    def work(self, keys: int) -> None:
        """Until it has typed so many keys."""
        while self.keys < keys:
            self.act()

    def leave(self) -> "list[str]":
        """Everything is mended, the power goes and comes, and nobody is there: how the books differ then."""
        world = self.world
        self.heal()
        world.take()
        world.pull()
        world.plug()
        world.power_on()
        world.run(LEFT_ALONE_MS)
        return disagreements(world.terminal.ledger, world.store, world.bank, TERMINAL, MERCHANT, self.before)

    def act(self):
        world, random = self.world, self.random
        if world.machine is None or world.machine.stopped:
            world.plug()
            world.power_on()
            return
        self.states.add(world.state)
        choice = random.random()
        if choice < 0.8:
            words = random.choice(events.KEYS)
            if world.state == "PresentCard" and random.random() < 0.7:
                self.show_a_card()
            elif world.state == "TakeCard":
                world.pull()
            elif random.random() < 0.8:
                words = self.sense()
            world.type(words)
            self.keys += len(words.split())
        elif choice < 0.85:
            world.place(random.choice(world.shelf.names))
        elif choice < 0.86:
            world.insert(random.choice(INSERTABLE))
        elif choice < 0.87:
            world.swipe(random.choice(SWIPEABLE))
        elif choice < 0.91:
            world.take()
            world.pull()
        elif choice < 0.96:
            world.run(random.choice((10, 100, 1_000, 5_000, 70_000, 700_000)))
        elif choice < 0.98:
            self.spoil()
        else:
            self.heal()

    def sense(self) -> str:
        """What a person might well type on this page."""
        state, random = self.world.state, self.random
        ledger = self.world.terminal.ledger
        records = ledger.newest(12)
        record = random.choice(records) if records and random.random() < 0.6 else {}
        if state == "Menu":
            return random.choice(TRADE if random.random() < 0.8 else OFFICE)
        if state == "FindOriginal" and record:
            return record["trace"] + " ENTER"
        if state == "TypeReference" and record:
            return (record.get("reference") or "%012d" % random.randrange(10**12)) + " ENTER"
        if state == "TypeCode" and record:
            return (record.get("authorisation") or "%06d" % random.randrange(10**6)) + " ENTER"
        if state == "TypeNumber":
            return self.world.shelf.card(random.choice(TAPPABLE)).pan + " ENTER"
        return random.choice(self.SENSE.get(state, ("ENTER",)))

    def show_a_card(self):
        world, random = self.world, self.random
        draft = world.terminal.draft
        tapped = random.choice(TAPPABLE)
        if draft is not None and draft.original_pan and random.random() < 0.8:
            tapped = next((name for name in world.shelf.names if world.shelf.card(name).pan == draft.original_pan), tapped)
        way = random.random()
        if way < 0.6 and getattr(world.shelf.card(tapped), "tappable", True):
            world.place(tapped)
            world.run(random.choice((100, 500, 1_500)))
            world.take()
        elif way < 0.85:
            world.insert(random.choice(INSERTABLE))
            world.run(random.choice((200, 1_000, 3_000)))
            if random.random() < 0.1:
                world.pull()
        else:
            world.swipe(random.choice(SWIPEABLE))

    def spoil(self):
        world, random = self.world, self.random
        what = random.randrange(13)
        if what in (0, 12):
            world.rules.add("next on %s %s" % (random.choice(sorted(KINDS)), random.choice(WRONG)))
        elif what == 1:
            world.printer.paper_out, world.printer.cover_open, world.printer.silent = (random.random() < 0.3 for _ in range(3))
        elif what == 2:
            world.link.down = random.choice((None, "refused", "timeout", "tls", "name"))
            world.link.cut = random.choice((None, "before", "after"))
        elif what == 3:
            world.link.split, world.link.merged = random.choice((0, 1, 7)), random.random() < 0.5
            world.link.silent, world.link.deaf = random.random() < 0.3, random.random() < 0.3
        elif what == 4:
            world.reader.tear_after, world.reader.tear_during = random.choice((None, 0, 1, 2, 3)), random.choice((None, 1, 2, 3, 4))
        elif what == 5:
            world.reader.unplug()
        elif what == 6:
            world.store.fuse(random.randrange(1, 6), random.random() < 0.5)
        elif what == 7:
            world.store.full, world.vault.full = random.random() < 0.5, random.random() < 0.5
        elif what == 9:
            random.choice((world.chip, world.stripe)).unplug()
        elif what == 10:
            world.chip.tear_after, world.chip.tear_during = random.choice((None, 5, 12)), random.choice((None, 3, 9, 15))
        elif what == 11:
            for bearer in BEARERS:
                world.link.bearer_up[bearer] = random.random() < 0.5
                world.link.bearer_fault[bearer] = random.choice((None, None, "timeout", "unreachable"))
        elif random.random() < 0.5:
            world.plug()
        else:
            event = random.choice((Event(events.CLOCK_JUMP, 0, random.randrange(-(10**8), 10**8)), Event(events.LOW_POWER, 0, 2)))
            world.post(event)
            world.post(Event(events.LOW_POWER, 0, 80))

    def heal(self):
        world = self.world
        world.rules.clear()
        world.printer.paper_out = world.printer.cover_open = world.printer.silent = False
        world.link.down = world.link.cut = None
        world.link.split, world.link.merged, world.link.silent, world.link.deaf = 0, False, False, False
        for bearer in BEARERS:
            world.link.bearer_up[bearer] = True
        world.link.bearer_fault.clear()
        world.reader.tear_after = world.reader.tear_during = None
        world.chip.tear_after = world.chip.tear_during = None
        for reader in (world.reader, world.chip, world.stripe):
            reader.plug_in()
        world.store.fuse(0)
        world.store.full = world.vault.full = False
