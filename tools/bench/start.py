"""From power on to the log-in page and to a ready reader, beside a process that only imports the packages.

Both processes are started the same way, by the emulator's own starter, one after the other in turn; both have their .pyc
files (the first start of each is not counted). Medians.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from emulator.process import Process
from tools.bench import history
from tools.bench.bench_device import LOG_IN, BenchDevice, cpu_seconds, memory_mb
from tools.bench.table import Row, median, say

STARTS = 9
IDLE_S = 10.0
IMPORTS = "import serial, smbus2, PIL.Image, luma.oled.device, nfc"
PEER = IMPORTS + "; print('ready', flush=True); import time; time.sleep(60)"


class Peer:
    """A process that imports and then does nothing."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._at = 0.0
        self.process = Process([sys.executable, "-c", PEER], dict(os.environ), self._line, lambda status: None)

    def _line(self, text: str) -> None:
        if text == "ready":
            self._at = time.perf_counter()
            self._ready.set()

    def start_seconds(self) -> float:
        self._ready.clear()
        start = time.perf_counter()
        self.process.start()
        if not self._ready.wait(30):
            raise LookupError("the peer's packages cannot be imported")
        return self._at - start


def _plain(folder: Path) -> tuple[list[float], list[float], list[float], float, float, float]:
    """Times of our page, our reader and the peer; our memory, the peer's, our CPU while idle in percent."""
    pages, readers, peers = [], [], []
    peer = Peer()
    with BenchDevice(folder) as device:
        for turn in range(STARTS + 1):
            page, ready = device.start_seconds()
            device.power_off()
            other = peer.start_seconds()
            peer.process.kill()
            if turn:
                pages.append(page)
                readers.append(ready)
                peers.append(other)
        peer.start_seconds()
        device.power_on()
        device.need(LOG_IN)
        time.sleep(1.5)
        pid, other_pid = device.pid, peer.process.pid
        if pid is None or other_pid is None:
            raise LookupError("a process is gone")
        ours, others = memory_mb(pid), memory_mb(other_pid)
        before = cpu_seconds(pid)
        time.sleep(IDLE_S)
        idle = 100 * (cpu_seconds(pid) - before) / IDLE_S
        device.power_off()
    peer.process.close()
    return pages, readers, peers, ours, others, idle


def _with_history(folder: Path, sales: int) -> tuple[float, float]:
    """Median start with so many sales on record, and without, in turn."""
    full, empty = [], []
    with BenchDevice(folder / "full") as one, BenchDevice(folder / "empty") as other:
        history.write(one.terminal_folder, sales)
        for turn in range(STARTS + 1):
            for device, times in ((one, full), (other, empty)):
                seconds, _ = device.start_seconds()
                device.power_off()
                if turn:
                    times.append(seconds)
    return median(full), median(empty)


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="kaifu-bench-") as folder:
        pages, readers, peers, ours, others, idle = _plain(Path(folder) / "plain")
        peer_ms = median(peers) * 1000
        how = "a process that imports the packages; median of %d" % STARTS
        say("  with 5,000 sales on record")
        full, empty = _with_history(Path(folder), 5_000)
    return [
        Row("exec to log-in page", median(pages) * 1000, "ms", peer_ms, most=1.0, note=how),
        Row("exec to reader ready", median(readers) * 1000, "ms", peer_ms, most=1.5, note="the same process"),
        Row("memory while idle", ours, "MB", others, most=1.7, note="the same process, resident"),
        Row("CPU while idle", idle, "%", most=1.0, note="%d s on the log-in page" % IDLE_S),
        Row("log-in page with 5,000 sales", full * 1000, "ms", empty * 1000, most=1.2, note="our own start with none"),
    ]
