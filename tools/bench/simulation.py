"""The port level: a shop that sells without pause, everything in one process, in virtual time.

Real states, screens, ledger, kernel, messages and slips; two copies of each. The cards compute their cryptograms, and the bank
checks them; no card signs.
"""

from __future__ import annotations

import time
from typing import Any

from emulator.world import World
from tools.bench.table import Row

FEW, MANY = 1_000, 20_000


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

    def sell(self, count: int) -> None:
        """So many sales from the menu to the menu, one fen up to 9.99."""
        world = self.world
        for number in range(count):
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
    shop.sell(100)
    figures = []
    start = time.process_time()
    shop.sell(FEW)
    figures.append(FEW / (time.process_time() - start) * 60)
    shop.sell(MANY - 2 * FEW - 100)
    start = time.process_time()
    shop.sell(FEW)
    figures.append(FEW / (time.process_time() - start) * 60)
    if not shop.world.books_agree():
        raise AssertionError("terminal and bank do not agree after %d sales" % MANY)
    return [
        Row("sales a minute, ports, first 1,000", figures[0], "", least=20_000, note="one core, CPU time"),
        Row("sales a minute, ports, 20,000th", figures[1], "", least=20_000, note="the last 1,000 of 20,000; books agree"),
    ]
