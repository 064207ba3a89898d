"""A busy day at the wire: 500 sales in a row, and what becomes of the firmware's memory after the first 50.

A headless device, printing takes no time, copies come without waiting, the batch has no limit. At the end the acquirer's books
must hold every sale.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from drivers.provisioning import PARAMETERS
from drivers.store import SqliteStore
from tools.bench.bench_device import BenchDevice, memory_mb
from tools.bench.table import Row, median, say

SALES, FIRST = 500, 50
SETTINGS = {"batch.limit": 0, "slip.next_copy_ms": 500}


def set_up(device: BenchDevice) -> None:
    """Parameters of the day, in the store of the device that is switched off."""
    store = SqliteStore(None, {}, device.terminal_folder)
    try:
        store.commit([(PARAMETERS, name, json.dumps(value).encode(), None) for name, value in SETTINGS.items()])
    finally:
        store.close()


def rows() -> list[Row]:
    memory, seconds = [], []
    with tempfile.TemporaryDirectory(prefix="kaifu-bench-") as folder, BenchDevice(Path(folder) / "day") as device:
        set_up(device)
        device.power_on()
        device.log_in()
        pid = device.pid
        if pid is None:
            raise LookupError("the firmware is gone")
        for number in range(1, SALES + 1):
            start = time.perf_counter()
            device.sell(str(number))
            device.tear()
            device.forget()
            seconds.append(time.perf_counter() - start)
            memory.append(memory_mb(pid))
            if number % 100 == 0:
                say("  %d sales, %.1f MB" % (number, memory[-1]))
        booked = device.books().approved_fen
        if booked[-SALES:] != list(range(1, SALES + 1)):
            raise AssertionError("the acquirer's books do not hold the day's sales")
        device.power_off()
    growth = 100 * (memory[-1] / memory[FIRST - 1] - 1)
    return [
        Row("busy day: memory grown after %d sales" % FIRST, growth, "%", most=5, note="%d sales, %.1f MB" % (SALES, memory[-1])),
        Row("busy day: seconds a sale", median(seconds), "s", note="median; hands, cards, printer and bank included"),
    ]
