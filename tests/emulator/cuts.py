"""A shop on real wires whose power can go at any named point or moment, and whose books are compared afterwards.

    shop.cut_at(Shop.sale, ("link:sent", 1))     the plug is pulled when the sale reaches that point for the first time
    shop.recover()                               power on, nobody logs in, until nothing is open; [] when the books agree
"""

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager

from drivers.store import SqliteStore
from emulator.device import ON, Device
from firmware.ledger import Ledger
from firmware.transactions import VOID
from tests.books import disagreements, openings
from tests.toys import until

CARD, CHIP = "debit", "offline"  # the chip of the second asks for no PIN
SALE_FEN = 1234
PATIENCE_S = 20.0
RESOLVED_S = 40.0
LATE_S = 2.0  # from what a walk waits for to the last point behind it
SETTINGS = {"reversal.again_s": 5, "slip.next_copy_ms": 500}


class Gone(Exception):
    """The power went while somebody waited for the terminal."""


class Shop:
    def __init__(self, folder, **options):
        self.device = Device(folder, fast=True, **options)
        self.device.wires.on_point(self._at_point)
        self._pull = None
        self._seen: Counter = Counter()
        self.before = openings(self.bank)
        self.set(SETTINGS)

    def close(self):
        self.device.close()

    @property
    def bank(self):
        return self.device.town.ledger

    def set(self, settings):
        """Parameters, as a technician sets them while the terminal is off."""
        store = SqliteStore(None, {}, self.device.terminal_folder)
        try:
            store.commit([("parameters", name, json.dumps(value).encode(), None) for name, value in settings.items()])
        finally:
            store.close()

    # -- what a person does; Gone when the power goes

    def see(self, *texts):
        """Waits for all of the words; raises Gone when the terminal has no power any more."""
        device = self.device
        if not device.until(lambda: device.power != ON or all(map(device.shows, texts)), PATIENCE_S):
            raise AssertionError("no %s; the screen is:\n%s" % (" ".join(texts), device.screen.text))
        if device.power != ON:
            raise Gone

    def see_one(self, *texts):
        """The first of the words that comes to the screen."""
        device = self.device
        if not device.until(lambda: device.power != ON or any(map(device.shows, texts)), PATIENCE_S):
            raise AssertionError("none of %s; the screen is:\n%s" % (" ".join(texts), device.screen.text))
        if device.power != ON:
            raise Gone
        return next((text for text in texts if device.shows(text)), "")

    def open(self):
        """Switched on, clerk 01 logged in, signed on, at the menu."""
        device = self.device
        device.power_on()
        while (page := self.see_one("1 消费", "操作员号", "上笔")) == "上笔":
            device.keys("CANCEL")
        if page == "操作员号":
            device.keys("01 ENTER")
            self.see("操作员密码")
            device.keys("0000 ENTER")
            self.see("1 消费")
        if not device.until(lambda: device.power != ON or not device.shows("未签到"), PATIENCE_S):
            raise AssertionError("no sign-on; the screen is:\n%s" % device.screen.text)

    def sale(self):
        """A sale from the menu to the menu, both copies printed."""
        device = self.device
        device.keys("1 %d ENTER" % SALE_FEN)
        self._by_card()

    def chip(self):
        """A sale by the chip in the slot, which has its word after the bank's."""
        device = self.device
        device.keys("1 %d ENTER" % SALE_FEN)
        self.see("插卡")
        device.insert(CHIP)
        try:
            self.see("请拔出卡片")
        finally:
            device.pull()
        self.see("打印下一联")
        device.keys("ENTER")
        self.see("1 消费")

    def void(self):
        """Takes back the newest sale that stands, from the menu to the menu."""
        device = self.device
        device.keys("2")
        self.see("主管密码")
        device.keys("123456 ENTER")
        self.see("原凭证号")
        device.keys("%s ENTER" % self.original)
        self.see("确认撤销")
        device.keys("ENTER")
        self._by_card()

    def _by_card(self):
        device = self.device
        self.see("请挥卡")
        device.tap(CARD)
        try:
            self.see("打印下一联")
        finally:
            device.remove_card()
        device.keys("ENTER")
        self.see("1 消费")

    def resolve(self):
        """Switched on, nobody there, until nothing is open."""
        device = self.device
        device.power_on()
        with self.ledger() as (ledger, _):
            until(lambda: device.power != ON or not ledger.to_reverse(), RESOLVED_S)
        if device.power != ON:
            raise Gone

    def prepare(self, walk):
        """The menu; for a void a sale that stands; for a recovery a sale that was cut, and no power."""
        if walk is Shop.resolve:
            assert self.cut_at(Shop.sale, ("link:sent", 1))
            self.device.remove_card()
            return
        self.open()
        if walk is Shop.void:
            self.original = self._voidable()
            if not self.original:
                self.sale()
                self.original = self._voidable()

    def _voidable(self):
        with self.ledger() as (ledger, _):
            tapped = [record for record in ledger.newest(100) if record["entry"] == "07" and not ledger.problem(record, VOID)]
            return tapped[0]["trace"] if tapped else ""

    # -- power

    def points(self, walk):
        """[(point, how often until now)] of one whole walk, in order."""
        self.prepare(walk)
        self._pull = None
        self._seen.clear()
        found = []
        self.device.wires.on_point(lambda point: found.append((point, self._count(point))))
        self.device.wires.arm()
        try:
            walk(self)
            # What a walk waits for may be seen while the firmware is still on its way to the point behind it.
            until(lambda: sum((":begin:" in point) - (":done:" in point) for point, _ in found) == 0)
        finally:
            self.device.wires.disarm()
            self.device.wires.on_point(self._at_point)
        return found

    def seconds(self, walk):
        """How long one whole walk takes."""
        self.prepare(walk)
        start = time.monotonic()
        walk(self)
        return time.monotonic() - start

    def cut_at(self, walk, place, cut=Device.plug):
        """Walks until the firmware reaches the point for that time, and there cuts. Whether it came to that."""
        self.prepare(walk)
        self._seen.clear()
        self._pull = (place, cut)
        self.device.wires.arm(place[0])
        try:
            return self._cut_short(walk) or self.device.until(lambda: self.device.power != ON, LATE_S)
        finally:
            self._pull = None
            self.device.wires.disarm()

    def cut_after(self, walk, seconds, cut=Device.plug):
        """Walks, and cuts after so many seconds, wherever the firmware is then. Whether the walk was cut short."""
        self.prepare(walk)
        timer = threading.Timer(seconds, cut, (self.device,))
        timer.start()
        try:
            return self._cut_short(walk)
        finally:
            timer.cancel()
            timer.join()

    def cut_start_after(self, seconds, cut=Device.plug):
        """Switches on and cuts again before anybody could log in."""
        timer = threading.Timer(seconds, cut, (self.device,))
        timer.start()
        self.device.power_on()
        timer.join()

    def _cut_short(self, walk):
        try:
            walk(self)
        except Gone:
            return True
        return False

    def _count(self, point):
        self._seen[point] += 1
        return self._seen[point]

    def _at_point(self, point):
        """The firmware waits at the point until this returns."""
        if self._pull is not None and self._pull[0] == (point, self._count(point)):
            self.device.wires.disarm()
            self._pull[1](self.device)

    # -- the books

    @contextmanager
    def ledger(self):
        """(ledger, store) as they are on the terminal's disk, while it runs or not."""
        store = SqliteStore(None, {}, self.device.terminal_folder, read_only=True)
        try:
            yield Ledger(store), store
        finally:
            store.close()

    def differ(self):
        """How the books differ now, in words."""
        with self.ledger() as (ledger, store):
            number = self.device.town.terminal_number
            merchant = json.loads(store.get("parameters", "merchant.number"))
            return disagreements(ledger, store, self.bank, number, merchant, self.before)

    def recover(self):
        """Power on, nobody there, until nothing is open; then how the books differ."""
        self.resolve()
        return self.differ()
