"""The port level: a shop that sells without pause, everything in one process, in virtual time.

Real states, screens, ledger, kernel, messages and slips; two copies of each. The cards compute their cryptograms, and the bank
checks them; no card signs. A batch that is full is settled with the bank, outside of what is measured.
"""

from __future__ import annotations

import time
from typing import Any

from emulator.world import World
from firmware.iso8583.batch import COUNT_LIMIT
from tools.bench.table import Row

FEW, MANY = 900, 20_000  # few: in one batch


class Shop:
    """A world in which clerk 01 sells."""

    PARAMETERS: dict[str, Any] = {"batch.limit": 0, "slip.next_copy_ms": 500}

    def __init__(self, world: World) -> None:
        self.world = world

    def open(self) -> None:
        """Power on, logged in, signed on."""
        world = self.world
        world.power_on()
        world.until("操作员号")
        world.type("01 ENTER")
        world.until("操作员密码")
        world.type("0000 ENTER")
        world.until(lambda: world.state == "Menu")
        world.until(lambda: world.terminal is not None and world.terminal.signed_on())

    def settle(self) -> None:
        """The end of the batch, and back to the menu without its lists."""
        world = self.world
        world.type("6 9 ENTER")
        world.until(lambda: world.state == "SettleDone", within_ms=3_600_000)
        world.type("ENTER")
        world.until(lambda: world.state == "AskPrint")
        while world.state == "AskPrint":
            world.type("CANCEL")
        world.until(lambda: world.state == "Menu")

    def sell(self, count: int) -> None:
        """So many sales from the menu to the menu, one fen up to 9.99. Settles when the batch is full."""
        world = self.world
        for number in range(count):
            if world.terminal is not None and world.terminal.ledger.in_batch() >= COUNT_LIMIT:
                self.settle()
            world.type("1 %d ENTER" % (number % 999 + 1))
            world.until(lambda: world.state == "PresentCard")
            world.place("debit" if number % 3 else "credit")
            world.until(lambda: world.state == "NextCopy")
            world.take()
            world.type("ENTER")
            world.until(lambda: world.state == "Menu")


def rows() -> list[Row]:
    shop = Shop(World(seed=1, parameters=Shop.PARAMETERS))
    shop.open()
    for record in shop.world.shelf.records():
        shop.world.bank.add_card(record | {"balance_fen": 10**12})
    shop.sell(99)
    figures = []
    start = time.process_time()
    shop.sell(FEW)
    figures.append(FEW / (time.process_time() - start) * 60)
    shop.sell(MANY - 2 * FEW - 99)
    shop.settle()
    start = time.process_time()
    shop.sell(FEW)
    figures.append(FEW / (time.process_time() - start) * 60)
    if not shop.world.books_agree():
        raise AssertionError("terminal and bank do not agree after %d sales" % MANY)
    return [
        Row("sales a minute, ports, first %d" % FEW, figures[0], "", least=20_000, note="one core, CPU time"),
        Row("sales a minute, ports, 20,000th", figures[1], "", least=20_000, note="the last %d of 20,000; books agree" % FEW),
    ]
