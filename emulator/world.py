"""The port level: terminal, cards, people and acquirer in one process, under a virtual clock and one seed.

Real states, screens, ledger, kernel and messages; in-process stand-ins for the ports (`standins/`). A sale takes
milliseconds of a real machine and seconds of the world's. Nothing here sleeps or looks at a clock: the world jumps
from event to event. The same seed gives the same world to the last byte.

    world = World(seed=1)
    world.power_on()
    world.type("01 ENTER 0000 ENTER 1 1234 ENTER")
    world.place("debit")
    world.until("请撕下")

A power cut (`plug`) drops the terminal where it stands; what its store and vault had written is still there at the
next `power_on`, and so are the bank's books.
"""

import json
import os
from collections import deque
from collections.abc import Callable
from datetime import datetime
from heapq import heappop, heappush
from random import Random

from drivers import card_file
from emulator.acquirer.books import Books
from emulator.acquirer.core import Acquirer
from emulator.acquirer.rules import Rules
from emulator.cards import shelf
from emulator.cards.iso7816 import card_in_slot
from emulator.cards.iso14443 import card_in_field
from emulator.recordings import Tape, opened
from emulator.standins import (
    chip,
    clock,
    display,
    keypad,
    light,
    link,
    log,
    modem,
    printer,
    random,
    reader,
    sound,
    store,
    stripe,
    vault,
)
from emulator.standins import text as texts
from emulator.standins.store import PowerCut
from firmware.emv import parameter_file
from firmware.events import Event
from firmware.ledger import Ledger
from firmware.machine import Machine
from firmware.runtime import ClockWatch
from firmware.screens import Screen
from firmware.states import first
from firmware.terminal import Terminal
from firmware.transactions import BY_NAME

START_S = 1_795_142_040  # 2026-11-20 02:34 UTC, 10:34 in China
HOST = ("10.0.0.1", 8583)
TERMINAL, MERCHANT = "KF000001", "898110153310001"
SETTINGS = {
    "terminal.number": TERMINAL,
    "merchant.number": MERCHANT,
    "merchant.name": "开付小店",
    "host.address": HOST[0],
    "host.port": HOST[1],
}
MARKS = ("void", "adjusted", "completed")  # of what another transaction has taken the place of
WHOLE = 10_000_000  # steps after which a world that does not come to rest is taken for one that never will


def _coded(parameters):
    return [(name, json.dumps(value).encode(), None) for name, value in parameters.items()]


def standing(ledger: Ledger) -> "list[tuple[str, str, str, int]]":
    """[(batch, trace, kind, fen)], sorted: what stands by the terminal's ledger, in the words of `Books.standing_all`. What a
    bank has approved by telephone is an offline sale to it."""
    return sorted(
        (one["batch"], one["trace"], "offline-sale" if one.get("referral") else one["kind"], one["fen"])
        for one in ledger.newest(100_000)
        if one["phase"] == "approved" and "refused" not in one and not any(one.get(mark) for mark in MARKS)
    )


class Lost(AssertionError):
    """What was waited for did not come; says what is on the screen instead."""


class World:
    """One shop.

    seed        all chance of the world
    strict      defects raise instead of leading to the fault page
    parameters  what differs from the defaults, by name
    keys        of the vault: "master", "transport" (bytes), "cipher"; by default a triple DES master key by chance
    """

    def __init__(
        self, seed: int = 1, strict: bool = True, parameters: dict | None = None, keys: dict | None = None
    ) -> None:  # fmt: skip
        self.random = Random(seed)
        self.strict = strict
        self.time_ms = 0
        self._events: deque[Event] = deque()
        self._plans: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self.machine: Machine | None = None
        self.terminal: Terminal | None = None
        self.cut = False

        self.rules = Rules()
        self.shelf = shelf.sample(self.random)
        self.bank = Books()
        self.acquirer = Acquirer(
            self.bank, self.rules, lambda: START_S + self.time_ms / 1000, self.random.randbytes, self.shelf.verify
        )
        keys = dict(keys or {})
        self.master = keys.pop("master", None) or self.random.randbytes(16)
        self.bank.add_terminal(TERMINAL, MERCHANT, self.master)
        self.bank.source = self.shelf

        self.clock = clock.StandIn(self, START_S)
        self.store = store.StandIn(self)
        self.keypad = keypad.StandIn(self)
        self.vault = vault.StandIn(self, self.keypad, self.master, **keys)
        self.display = display.StandIn(self)
        self.printer = printer.StandIn(self)
        self.reader = reader.StandIn(self)
        self.chip = chip.StandIn(self)
        self.vault.attach_chip(self.chip)
        self.stripe = stripe.StandIn(self)
        self.link = link.StandIn(self)
        self.link.hosts[HOST] = lambda: self.acquirer.open().receive
        self.modem = modem.StandIn(self, self.link.hosts)
        self.modem.attach_vault(self.vault)
        self.vault.attach_modem(self.modem)
        self.log = log.StandIn(self)
        self.chance = random.StandIn(self)
        self._tape = Tape()
        self.ports = {
            "display": self.display,
            "keypad": self.keypad,
            "contactless": self.reader,
            "chip": self.chip,
            "stripe": self.stripe,
            "vault": self.vault,
            "printer": self.printer,
            "link": self.link,
            "modem": self.modem,
            "store": self.store,
            "clock": self.clock,
            "random": self.chance,
            "text": texts.StandIn(self),
            "sound": sound.StandIn(self),
            "light": light.StandIn(self),
            "log": self.log,
        }
        self.store.commit([("parameters", name, json.dumps(value).encode(), None) for name, value in SETTINGS.items()])
        cards = parameter_file.read(card_file.fetch()) | {"keys": self.shelf.authority_rows()}
        cards["exceptions"] = [pan for pan, _ in self.shelf.exceptions()]
        self.store.commit([("parameters", *row) for row in _coded(parameter_file.parameters(cards))])
        self.store.commit(parameter_file.exceptions(cards, self.vault.own_fingerprint))
        self.board = {"name": "world", "parameters": {"operators.force_change": False, **(parameters or {})}}

    # -- what the stand-ins use
    def now_ms(self) -> int:
        return self.time_ms

    def post(self, event: Event) -> None:
        self._events.append(event)

    def later(self, ms: int, function: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._plans, (self.time_ms + ms, self._count, function))

    # -- power
    def power_on(self) -> None:
        """A new terminal on the same store, vault and chips."""
        self.cut = False
        self._events.clear()
        self.clock.power_on_ms = self.time_ms
        for port in (self.vault, self.reader, self.chip, self.stripe, self.display, self.printer, self.modem):
            getattr(port, "start", lambda: None)()
        self._guarded(self._start)

    def _start(self):
        self.terminal = Terminal(self.ports, self.board)
        self.watch = ClockWatch(self.clock)
        self.machine = first.power_on(self.terminal, self.strict)

    def plug(self) -> None:
        """The power is gone: the terminal forgets, the chips forget, what travels is lost."""
        self.machine = self.terminal = None
        self._events.clear()
        self._plans.clear()
        self.store.power_cut()
        self.link.close()
        for port in (self.vault, self.reader, self.chip, self.stripe, self.modem):
            port.close()
        self.printer.power_off()
        self.display.screen, self.display.asleep = None, False
        self.keypad.power_off()

    # -- time
    def step(self, until_ms: int) -> bool:
        """One event, or a jump to the next thing that is due. False when nothing is due before `until_ms`."""
        machine = self.machine
        if machine is not None and not machine.stopped:
            if self._events:
                event = self._events.popleft()
                self._guarded(lambda: machine.handle(event))
                return True
            due = machine.tasks.next_due()
            due = None if due is None else due + self.clock.power_on_ms
        else:
            self._events.clear()
            due = None
        planned = self._plans[0][0] if self._plans else None
        if planned is not None and (due is None or planned <= due):
            if planned > until_ms:
                return False
            at, _, function = heappop(self._plans)
            self.time_ms = max(self.time_ms, at)
            self._guarded(function)
            return True
        if machine is None or due is None or due > until_ms:
            return False
        self.time_ms = max(self.time_ms, due)
        self._guarded(machine.tick)
        return True

    def _guarded(self, function):
        """Runs what the terminal does; a power cut in it ends the terminal, not the world."""
        try:
            function()
        except PowerCut:
            self.plug()
            self.cut = True

    def run(self, ms: int) -> None:
        """Lets so much time pass."""
        end = self.time_ms + ms
        for _ in range(WHOLE):
            if not self.step(end):
                self.time_ms = end
                return
        raise Lost("the world does not come to rest")

    def until(self, wanted: "str | Callable[[], bool]", within_ms: int = 300_000) -> None:
        """Until the screen shows the text, or the condition holds. Raises Lost."""
        holds = wanted if callable(wanted) else lambda: wanted in self.text
        end = self.time_ms + within_ms
        while not holds():
            if self.cut:
                raise Lost("the power went before %r" % (wanted,))
            if not self.step(end):
                raise Lost("no %r within %d ms; the screen is:\n%s" % (wanted, within_ms, self.text))

    # -- eyes and hands
    @property
    def screen(self) -> "Screen | None":
        return self.display.visible if self.machine is not None else None

    @property
    def text(self) -> str:
        """Everything that the screen says, a line each."""
        screen = self.screen
        if screen is None:
            return ""
        lines = [screen.title, *screen.lines, screen.big, *["%s %s" % row for row in screen.menu]]
        return "\n".join(line for line in lines + [" ".join(screen.keys)] if line.strip())

    @property
    def state(self) -> str:
        """The name of the terminal's state."""
        return type(self.machine.state).__name__ if self.machine is not None else ""

    def type(self, words: str) -> None:
        """Types keys one after the other and waits until the last is taken."""
        self.keypad.type(words)
        presses = sum(1 if word in self.keypad._places and word != "00" else len(word) for word in words.split())
        self.run(presses * (2 * self.keypad.latency_ms + 2) + 2 * self.keypad.latency_ms)

    def place(self, name: str) -> None:
        """Holds a card of the shelf to the reader."""
        self._lay(name, self.shelf.card(name))

    def place_recorded(self, path: "str | os.PathLike") -> None:
        """Holds the card of a file to the reader. ValueError says what is wrong with the file."""
        card = opened(path)
        self._lay(card.name, card)

    def _lay(self, name, card):
        tag = card_in_field(self._tape.around(name, card))
        self.reader.place(tag)
        self._tape.begun(lambda: tag in self.reader.cards)

    def record(self, path: "str | os.PathLike") -> None:
        """The card that is placed or inserted next is taken down into a file, written when it is taken away."""
        self._tape.order(path)

    def inject(self, number: bytes, date: str, time: str) -> None:
        """What cards are told from now on: this unpredictable number (4 bytes), and this day and hour (YYMMDD, HHMMSS in
        China), from which the clock goes on until the host says another. ValueError for what is none."""
        if len(number) != 4:
            raise ValueError("an unpredictable number has four bytes")
        self.clock.set_utc(int(datetime.strptime(date + time + "+0800", "%y%m%d%H%M%S%z").timestamp()))
        self.chance.fixed[4] = bytes(number)

    def take(self) -> None:
        """Takes the card away."""
        self.reader.remove()
        self._left()

    def _left(self):
        self._tape.look()
        self._tape.complain()

    def insert(self, name: str) -> None:
        """Puts a card of the shelf into the slot."""
        card = self.shelf.card(name)
        self._push(name, getattr(card, "chip", None) or card)

    def insert_recorded(self, path: "str | os.PathLike") -> None:
        """Puts the card of a file into the slot. ValueError says what is wrong with the file."""
        card = opened(path)
        self._push(card.name, card)

    def _push(self, name, face):
        card = card_in_slot(self._tape.around(name, face))
        self.chip.insert(card)
        self._tape.begun(lambda: self.chip.card is card)

    def pull(self) -> None:
        """Pulls the card out of the slot."""
        self.chip.pull()
        self._left()

    def swipe(self, name: str) -> None:
        """Draws a card of the shelf through the stripe reader."""
        self.stripe.swipe(self.shelf.card(name).stripe)

    # -- the books
    def books_agree(self) -> bool:
        """Whether terminal and bank, to the fen, have the same standing transactions, and none is open."""
        assert self.terminal is not None, "the power is off"
        ledger = self.terminal.ledger
        if ledger.to_reverse() or ledger.to_repeat() or ledger.notices():
            return False
        approved = [one for one in ledger.newest(100_000) if one["phase"] == "approved" and "refused" not in one]
        undone = {one["id"]: one["original"] for one in approved if BY_NAME[one["kind"]].holds == "void" and one["original"]}
        held = {one["void"]: one["id"] for one in approved if one.get("void")}
        if undone != held:
            return False
        return standing(ledger) == sorted(self.bank.standing_all(TERMINAL)) and self.bank.balanced()
