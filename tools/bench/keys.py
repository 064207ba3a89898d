"""From a finger on a key to the pixels it changes, through driver, debounce, machine, renderer and bus; bytes on the bus.

A press is timed from the moment at which the key's contact closes to the last pixel that it changes. The fingers leave pauses,
as a person does: nothing is under way when the next key goes down.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tools.bench.bench_device import LOG_IN, MENU, BenchDevice, quiet
from tools.bench.table import Row, percentile

PRESSES = 240
ROUND = "123456"
PAUSE_S = 0.03
LUMA_FRAME = 1034  # bytes that luma.oled alone sends for any picture: 1024 of memory, the window, control bytes


def settle(device: BenchDevice) -> None:
    quiet(lambda: device.bus_bytes, PAUSE_S)


def press(device: BenchDevice, key: str) -> tuple[float, int]:
    """(seconds to the last pixel, bytes on the bus with addresses) for one key. Seconds 0 when no pixel changed."""
    settle(device)
    device.forget()
    before = device.bus_bytes
    start = time.perf_counter()
    device.press(key)
    settle(device)
    last = max((at for at, _ in device.pictures), default=start)
    return last - start, device.bus_bytes - before


def amount_page(device: BenchDevice) -> None:
    device.need(MENU)
    device.press("1")
    device.need("请输入金额")


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="kaifu-bench-") as folder, BenchDevice(Path(folder) / "keys") as device:
        device.power_on()
        device.need(LOG_IN)
        time.sleep(1.0)  # the reader's start is over
        digit = max(press(device, key)[1] for key in "01")
        device.press("ENTER")
        device.need("操作员密码")
        star = max(press(device, "0")[1] for _ in range(4))
        device.press("ENTER")
        device.need(MENU)
        time.sleep(1.0)  # sign-on is over
        amount_page(device)
        press(device, "CLEAR")
        same = press(device, "CLEAR")[1]
        amounts, times = [], []
        while len(times) < PRESSES:
            for key in ROUND:
                seconds, sent = press(device, key)
                times.append(seconds * 1000)
                amounts.append(sent)
            press(device, "CLEAR")
        device.power_off()
    how = "%d presses on the amount page, debounce included" % len(times)
    return [
        Row("key to pixels, median", percentile(times, 50), "ms", note=how),
        Row("key to pixels, p99", percentile(times, 99), "ms", most=20, note=how),
        Row("bus: digit of a number", digit, "bytes", most=32, note="all that travels; luma alone %d" % LUMA_FRAME),
        Row("bus: star of a password", star, "bytes", most=32),
        Row("bus: digit of an amount", max(amounts), "bytes", most=256, note="the most of all presses"),
        Row("bus: the same picture", same, "bytes", most=0),
    ]
