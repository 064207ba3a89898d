"""The composition root: a board's data in, the firmware's ports out.

The catalogue says which class fills which port and on which kind of bus it hangs; what a service of the system
needs besides (a folder, the keypad) is in SERVICES. Ports that the first page does not need are made and started
after it was drawn (`start_rest`): the log-in page does not wait for the reader's driver to be imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from drivers.board import Board
from drivers.wires import open_wires, reset_line
from firmware.events import Event
from firmware.ports import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Port: what its driver is given besides `post` and its part.
SERVICES: dict[str, Callable[[Assembly], tuple]] = {
    "vault": lambda a: (a.folder, a.ports["keypad"]),
    "store": lambda a: (a.folder, a.wires.reach),
    "link": lambda a: (a.wires.reach,),
    "log": lambda a: (a.folder,),
}
FIRST = ("log", "clock", "random", "text", "store", "display", "keypad", "vault", "light", "sound", "watchdog", "link")
LATER = ("contactless", "chip", "stripe", "printer", "modem")


class Assembly:
    """The ports of a running board by name, in `ports`.

    store_error    why there is no store, or None: whoever assembles has a display to say it on.
    """

    def __init__(self, board: Board, folder: Path, post: Callable[[Event], None]) -> None:
        """Raises drivers.wires.WiresError for a bus that is not there."""
        self.board = board
        self.folder = folder
        self.post = post
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            pass  # the store will say what is wrong with it
        self.wires = open_wires(board)
        self.ports: dict[str, Any] = {}
        self.store_error: StoreError | None = None
        self._make_all(FIRST)

    def _make_all(self, names: tuple[str, ...]) -> None:
        for port in names:
            if self.board.has(port):
                try:
                    self.ports[port] = self._make(port)
                except StoreError as error:
                    self.store_error = error

    def _make(self, port: str) -> Any:
        row, part = self.board.row(port), self.board.parts[port]
        cls = getattr(importlib.import_module(row.module), row.cls)
        if row.bus == "i2c":
            return cls(self.post, part, self.wires.i2c(part["bus"]))
        if row.bus == "gpio":
            return cls(self.post, part, self.wires.gpio())
        if row.bus == "uart":
            path = self.wires.uart(part["bus"])
            if port == "modem":  # presses its pins itself, for as long as the module wants it
                return cls(self.post, part, path, self.wires.gpio() if {"reset", "power"} & set(part) else None)
            if "reset" in part:
                return cls(self.post, part, path, reset_line(self.wires.gpio(), part["reset"]))
            return cls(self.post, part, path)
        return cls(self.post, part, *SERVICES.get(port, lambda a: ())(self))

    def start_first(self) -> None:
        """What the first page needs."""
        self._start(FIRST)

    def start_rest(self) -> None:
        """Makes and starts what it does not."""
        self._make_all(LATER)
        if "chip" in self.ports and "vault" in self.ports:
            self.ports["vault"].attach_chip(self.ports["chip"])
        if "modem" in self.ports and "vault" in self.ports:
            self.ports["vault"].attach_modem(self.ports["modem"])
            self.ports["modem"].attach_vault(self.ports["vault"])
        if "modem" in self.ports and "link" in self.ports:
            part = self.board.parts["modem"]
            self.ports["link"].attach_modem(self.ports["modem"], part.get("ip", "modem"), part.get("interface"))
        self._start(LATER)

    def _start(self, names: tuple[str, ...]) -> None:
        for port in names:
            start = getattr(self.ports.get(port), "start", None)
            if start is not None:
                start()

    def close(self) -> None:
        for port in reversed(list(self.ports)):
            close = getattr(self.ports[port], "close", None)
            if close is not None:
                close()
        self.wires.close()
