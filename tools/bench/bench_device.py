"""A device for benchmarks: it notes when each picture came, and what its process costs."""

from __future__ import annotations

import compileall
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulator import eyes
from emulator.device import Device

ROOT = Path(__file__).resolve().parents[2]
COMPILED = ("firmware", "drivers", "boards")
LOG_IN = "操作员号"
MENU = "1 消费"
READER_STILL_S = 0.4


def compile_all() -> None:
    """What an installed device has: a .pyc beside each source, and leave to write one."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for folder in COMPILED:
        if not compileall.compile_dir(ROOT / folder, quiet=1):
            raise LookupError("%s cannot be compiled" % folder)


class BenchDevice(Device):
    """`pictures`: (time.perf_counter() when it came, columns of the glass), oldest first, since `forget`."""

    def __init__(self, folder: str | os.PathLike[str], **options: Any) -> None:
        self.pictures: list[tuple[float, list[int]]] = []
        compile_all()
        super().__init__(folder, fast=True, **options)
        told = self.chips.panel.on_change

        def note() -> None:
            self.pictures.append((time.perf_counter(), self.chips.panel.columns()))
            if told:
                told()

        self.chips.panel.on_change = note

    def forget(self) -> None:
        self.pictures.clear()

    def first_picture(self, text: str) -> float:
        """When the first of the noted pictures that shows the text came. LookupError when there is none."""
        from drivers.picture import picture

        for at, columns in list(self.pictures):
            if eyes.read(picture(columns, self.chips.panel.size)).shows(text):
                return at
        raise LookupError(text)

    def start_seconds(self) -> tuple[float, float]:
        """Switches on: seconds from the order to start the process to the log-in page on the glass, and to the reader ready.

        The reader is ready when nothing more is said on its UART. Nothing is looked at before both are over: whoever reads
        pixels meanwhile takes the time that is measured.
        """
        self.forget()
        before = said = self.uart_bytes
        start = last = time.perf_counter()
        self.power_on()
        while said == before or time.perf_counter() - last < READER_STILL_S:
            time.sleep(0.001)
            if self.uart_bytes != said:
                last, said = time.perf_counter(), self.uart_bytes
            if time.perf_counter() - start > 30:
                raise LookupError("the reader does not come to rest")
        return self.first_picture(LOG_IN) - start, last - start

    def need(self, text: str, seconds: float = 20) -> None:
        """Waits for the words on the screen. LookupError with what is there instead."""
        if not self.wait_screen(text, seconds):
            raise LookupError("no %s, but: %s" % (text, self.screen.text))

    def log_in(self) -> None:
        self.need(LOG_IN, 30)
        self.keys("01 ENTER")
        self.need("操作员密码")
        self.keys("0000 ENTER")
        self.need(MENU)

    def sell(self, amount: str = "1234", card: str = "debit") -> None:
        """From the menu to the menu, both copies printed."""
        self.keys("1")
        self.need("请输入金额")
        self.keys(amount + " ENTER")
        self.need("请挥卡")
        self.tap(card)
        self.need("打印下一联", 30)
        self.remove_card()
        self.keys("ENTER")
        self.need(MENU, 30)

    @property
    def bus_bytes(self) -> int:
        """Bytes seen on the display's bus so far."""
        return self.chips.panel.bytes

    @property
    def bus_transfers(self) -> int:
        return self.chips.panel.transfers

    @property
    def uart_bytes(self) -> int:
        """Bytes seen on the reader's UART so far, both ways."""
        return self.chips.reader.heard + self.chips.reader.said


def quiet(check: Callable[[], object], for_s: float = 0.15, most_s: float = 5.0) -> None:
    """Waits until what `check` gives has stayed the same for so long."""
    end = time.monotonic() + most_s
    last, since = check(), time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < for_s:
        time.sleep(0.01)
        now = check()
        if now != last:
            last, since = now, time.monotonic()


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path("/proc/%d/status" % pid).read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmRSS")


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process that live now, to the nanosecond, as the scheduler counts it."""
    total = 0
    for task in Path("/proc/%d/task" % pid).iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9
