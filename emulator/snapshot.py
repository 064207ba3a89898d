"""Everything that can be seen of a device, as JSON has it: what a face draws.

    number    give it as `since` next time         session  differs when another emulator answers
    power     "on", "off", "crashed"
    screen    {"width", "height", "lines": what can be read, "pixels": a row each, four pixels a hex digit}
    leds      {"1": bool ..}                        sounds   [{"number", "hz", "ms"}]
    paper     {"number", "text", "dots": its length, "torn": numbers of the pieces kept}
    cards     [{"name", "title", "number": masked, "bank": bool, "acts": of "tap", "insert", "swipe",
              "group": [Chinese, English], "shows": [Chinese, English], "place": "shelf" | "reader" | "slot"}]
    faults    {name: bool}                          rules    {"now": [text], "examples": [text]}
    stop      the point at which the power will go, or ""
    radio     the mobile network (`Radio.view`), and "module": what is seen of the 4G module (`ModemChip.view`)
    books     {"postings": [...], "balances_fen": {card: fen}}
    log       [{"number", "at_ms", "kind", "text"}]

Each section is told when it has changed since the number that the face knows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emulator import blocks

if TYPE_CHECKING:
    from emulator.device import Device

SETTLE_S = 0.008  # a picture crosses the bus in several transfers: a face is shown them together
_BITS = str.maketrans(".#", "01")


def _screen(device: Device) -> dict[str, Any]:
    seen = device.screen
    width, height = seen.image.size
    pixels = ["%0*x" % (width // 4, int(row.translate(_BITS), 2)) for row in blocks.rows_of(seen.image)]
    return {"width": width, "height": height, "lines": seen.lines, "pixels": pixels}


def _paper(device: Device) -> dict[str, Any]:
    paper = device.paper
    return {"number": device.changes.of("paper"), "text": paper.text, "dots": paper.rows, "torn": device.torn}


def _books(device: Device) -> dict[str, Any]:
    books = device.books()
    return {"postings": books.postings, "balances_fen": books.balances_fen}


VIEWS: dict[str, Callable[[Device], Any]] = {
    "power": lambda device: device.power,
    "screen": _screen,
    "leds": lambda device: device.leds,
    "sounds": lambda device: [sound._asdict() for sound in device.sounds],
    "paper": _paper,
    "cards": lambda device: device.cards(),
    "faults": lambda device: device.faults,
    "rules": lambda device: device.town.rules(),
    "stop": lambda device: device.stop_point,
    "radio": lambda device: device.radio.view() | {"module": device.chips.modem.view()},
    "books": _books,
}
SECTIONS = (*VIEWS, "log")


def snapshot(device: Device, since: int | None, wait_s: float) -> dict[str, Any]:
    """The sections changed after `since`, waited for if there are none yet; without it all of them at once."""
    if since is not None and since <= device.changes.number:
        if device.changes.wait(since, wait_s) > since:
            threading.Event().wait(SETTLE_S)
    else:
        since = 0
    # The number comes first: what changes from here on is told again next time, and nothing is told never.
    number = device.changes.number
    state: dict[str, Any] = {"number": number, "session": device.session}
    for section in device.changes.newer(since):
        state[section] = _log(device, since, number) if section == "log" else VIEWS[section](device)
    return state


def _log(device: Device, since: int, number: int) -> list[dict[str, Any]]:
    entries = [entry for entry in device.log_since(since) if entry.number <= number]
    return [entry._asdict() | {"at_ms": round(entry.at_ms, 1)} for entry in entries]
