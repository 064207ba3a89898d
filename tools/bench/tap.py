"""One tap at the wire, and what a sale costs on the disk.

The terminal's side of the tap is a process of its own, so that its CPU time is nobody else's: the reader's driver, nfcpy and
pyserial against the emulated chip on a pty, from `activate` to the tenth answer. The floor of the UART is what the same APDUs
need in the barest frames: ten bytes round each command and each answer, six for the acknowledgement.

Syncs are counted by strace, attached to the firmware while it sells.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from emulator.chips.pn532 import Pn532Chip
from firmware.emv import apdu
from firmware.events import CARD_FOUND, CARD_GONE, CARD_LOST, CARD_REPLY, PART
from tools.bench.bench_device import BenchDevice, cpu_seconds
from tools.bench.codecs import fci
from tools.bench.table import Row, median, say

ROOT = Path(__file__).resolve().parents[2]
TAPS = 30
BAUD = 921600
FRAME, ACK = 10, 6
SALES = 5

# What a contactless transaction exchanges, at its usual size: directory, application, options, seven records.
COMMANDS = [
    apdu.select(b"2PAY.SYS.DDF01"),
    apdu.select(bytes.fromhex("A000000333010101")),
    bytes.fromhex("80A8000023") + b"\x83\x21" + bytes(33) + b"\x00",
    *(bytes([0x00, 0xB2, record, 0x0C, 0x00]) for record in range(1, 8)),
]
SIZES = [48, 206, 120, 60, 90, 110, 180, 180, 80, 100]


class TalkativeCard:
    """Answers each command with as many bytes as a real card does."""

    def __init__(self) -> None:
        sizes = zip(COMMANDS, SIZES, strict=True)
        self._answers = {command: fci()[:size].ljust(size, b"\x00") + b"\x90\x00" for command, size in sizes}

    def apdu(self, command: bytes) -> bytes:
        return self._answers.get(bytes(command), b"\x6a\x82")

    def reset(self) -> None:
        """It keeps nothing."""


def floor_bytes() -> int:
    """What the ten exchanges need on the UART at least."""
    return sum(len(command) + FRAME + ACK + size + 2 + FRAME for command, size in zip(COMMANDS, SIZES, strict=True))


def terminal(path: str) -> None:
    """The terminal's side: waits for a line on stdin before each tap, prints its CPU and wall time in microseconds after it."""
    from drivers.nfc import Pn532

    events: queue.SimpleQueue = queue.SimpleQueue()
    reader = Pn532(events.put, {"baud": BAUD}, path)
    reader.start()

    def wait(*names: str) -> None:
        while True:
            event = events.get(timeout=10)
            if event.name == CARD_LOST:
                raise LookupError("the card was lost: %s" % (event.value,))
            if event.name in names:
                return

    while events.get(timeout=10).name != PART or reader.state != "ready":
        pass
    print("ready", flush=True)
    for ticket, _ in enumerate(iter(sys.stdin.readline, ""), 1):
        cpu, wall = time.process_time(), time.perf_counter()
        reader.activate(ticket)
        wait(CARD_FOUND)
        for command in COMMANDS:
            reader.transmit(ticket, command)
            wait(CARD_REPLY)
        print("%d %d" % ((time.process_time() - cpu) * 1e6, (time.perf_counter() - wall) * 1e6), flush=True)
        reader.release(ticket)
        wait(CARD_GONE)
        print("gone", flush=True)
    reader.close()


def tap_rows() -> list[Row]:
    chip = Pn532Chip.on_pty()
    command = [sys.executable, "-m", "tools.bench.tap", chip.path]
    cpu: list[float] = []
    wall: list[float] = []
    sent: list[float] = []
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        if child.stdout.readline().strip() != "ready":
            raise LookupError("the reader is not ready")
        card = TalkativeCard()
        for _ in range(TAPS):
            chip.place(card)
            before = chip.heard + chip.said
            child.stdin.write("tap\n")
            child.stdin.flush()
            used, taken = map(int, child.stdout.readline().split())
            sent.append(chip.heard + chip.said - before)
            cpu.append(used / 1000)
            wall.append(taken / 1000)
            chip.remove(card)
            child.stdout.readline()
        child.stdin.close()
    chip.close()
    return [
        Row("tap of 10 APDUs: CPU", median(cpu[1:]), "ms", most=6, note="driver, nfcpy, pyserial; median of %d" % len(cpu)),
        Row("tap of 10 APDUs: time", median(wall[1:]), "ms", note="card in the field to the tenth answer, no air time"),
        Row("tap of 10 APDUs: UART", median(sent), "bytes", floor_bytes(), note="beside the floor of the same APDUs"),
    ]


def sale_rows() -> list[Row]:
    """Syncs of a sale, and the CPU time that the firmware spends on one."""
    with tempfile.TemporaryDirectory(prefix="kaifu-bench-") as folder, BenchDevice(Path(folder) / "sale") as device:
        device.power_on()
        device.log_in()
        device.sell()
        pid = device.pid
        if pid is None:
            raise LookupError("the firmware is gone")
        before = cpu_seconds(pid)
        for _ in range(SALES):
            device.sell()
        used = (cpu_seconds(pid) - before) / SALES * 1000
        rows = [Row("a whole sale: firmware's CPU", used, "ms", note="keys, screens, tap, host, two slips; mean of %d" % SALES)]
        commits, checkpoints = count_syncs(device, pid, Path(folder) / "trace")
        if commits is None:
            say("  no strace here: syncs are not counted")
        else:
            note = "on the log, mean of %d; checkpoints besides: %d" % (SALES, checkpoints)
            rows.append(Row("a whole sale: synced commits", commits, "", most=2, note=note))
        device.power_off()
    return rows


def count_syncs(device: BenchDevice, pid: int, trace: Path) -> tuple[float | None, int]:
    """Syncs of the write-ahead log for a sale, and of anything else, over SALES sales. (None, 0) where nothing may be traced."""
    strace = shutil.which("strace")
    if not strace:
        return None, 0
    command = [strace, "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", os.fspath(trace), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as watcher:
        assert watcher.stderr is not None
        if "attached" not in watcher.stderr.readline():
            watcher.kill()
            return None, 0
        for _ in range(SALES):
            device.sell()
        watcher.terminate()
        watcher.stderr.read()
    syncs = re.findall(r"f(?:data)?sync\(\d+<([^>]*)>", trace.read_text())
    logs = [path for path in syncs if path.endswith("-wal")]
    return len(logs) / SALES, len(syncs) - len(logs)


def rows() -> list[Row]:
    return [*tap_rows(), *sale_rows()]


if __name__ == "__main__":
    terminal(sys.argv[1])
