"""A terminal that has been in use: sales made at the port level, put into the store of a device."""

from __future__ import annotations

import os

from drivers.store import SqliteStore
from emulator.world import World
from tools.bench.simulation import Shop

KEEPS = "parameters"  # the table that says who the device is


def records(sales: int) -> list[tuple[str, str, bytes, str | None]]:
    """What the store of a terminal holds after so many sales, but for its parameters."""
    shop = Shop(World(seed=7, parameters=Shop.PARAMETERS))
    shop.open()
    shop.sell(sales)
    return [row for row in shop.world.store.image() if row[0] != KEEPS]


def write(folder: str | os.PathLike[str], sales: int) -> None:
    """Puts the history into the store of a terminal that is switched off."""
    store = SqliteStore(None, {}, folder)
    try:
        rows = records(sales)
        for start in range(0, len(rows), 1000):
            store.commit(rows[start : start + 1000], sync=start + 1000 >= len(rows))
    finally:
        store.close()
