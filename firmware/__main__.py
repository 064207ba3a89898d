"""Runs the terminal on a board: `python -m firmware --board pi_4 --data /var/lib/kaifu`.

    --board NAME   a file of boards/
    --data DIR     where the terminal keeps its books, keys and log
    --check        only says whether the board's file is in order, and what is where

The one file of this folder that knows drivers: it joins the ports of a board to the machine.
"""

import signal
import sys
from pathlib import Path

from drivers.board import Board, BoardError, check, load
from firmware import runtime
from firmware.events import STOP, Event
from firmware.parameters import ParameterError
from firmware.parameters import check as check_parameter
from firmware.ports import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.assemble import Assembly
    from drivers.inbox import Inbox
    from firmware.machine import Machine
    from firmware.tasks import Work

PARTS_MS = 1_000
BETWEEN_MS = 50  # keys come between
USAGE = "usage: python -m firmware --board NAME [--data DIR] [--check]"


def arguments(argv: list[str]) -> dict[str, str]:
    """{"board", "data", "check"}; ends the program on anything else. (argparse alone would cost a tenth of the start.)"""
    found = {"board": "", "data": "/var/lib/kaifu", "check": ""}
    words = iter(argv)
    for word in words:
        name, _, value = word[2:].partition("=")
        if word == "--check":
            found["check"] = "yes"
        elif word[:2] == "--" and name in ("board", "data"):
            found[name] = value or next(words, "")
        else:
            sys.exit("%s\n%s: not known" % (USAGE, word))
    if not found["board"]:
        sys.exit(USAGE)
    return found


def main(argv: list[str]) -> int:
    """The program's exit status: 0 well, 1 the books cannot be read, 2 the board's file or its buses are wrong."""
    wanted = arguments(argv)
    try:
        board = load(wanted["board"])
        for name in board.parameters:
            check_parameter(name, board.parameters[name])
        if wanted["check"]:
            print("\n".join(check(wanted["board"])))
            return 0
    except ParameterError as error:
        print("%s: parameters.%s" % (board.file, error), file=sys.stderr)
        return 2
    except BoardError as error:
        print(error, file=sys.stderr)
        return 2
    return serve(board, Path(wanted["data"]))


def serve(board: Board, folder: Path) -> int:
    """Runs the terminal until it is told to stop; the exit status."""
    from drivers.assemble import Assembly
    from drivers.inbox import Inbox
    from drivers.wires import WiresError

    inbox = Inbox()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: inbox.post(Event(STOP, 0, None)))
    try:
        assembly = Assembly(board, folder, inbox.post)
    except WiresError as error:
        print(error, file=sys.stderr)
        return 2
    assembly.start_first()
    if assembly.store_error is not None:
        return store_trouble(assembly, inbox, assembly.store_error)
    try:
        machine = power_on(board, assembly.ports)
    except StoreError as error:
        return store_trouble(assembly, inbox, error)
    machine.tick()
    assembly.start_rest()
    if "modem" in assembly.ports:
        assembly.ports["modem"].set_apn(machine.terminal.parameter("network.apn"))
    machine.terminal.tasks.start(rest_behind())
    runtime.run(machine, inbox, assembly.ports["clock"], assembly.ports.get("watchdog"))
    assembly.close()
    return 0


def rest_behind() -> "Work[None]":
    """Imports what the first page does without when the parts have had their time to start: no page and no card waits for it."""
    from firmware.states import first
    from firmware.tasks import Pause

    yield Pause(PARTS_MS)
    first.others()
    yield Pause(BETWEEN_MS)
    from firmware import reading

    reading.kernels()


def power_on(board: Board, ports: "dict[str, Any]") -> "Machine":
    """The machine on its first page. Raises StoreError."""
    from firmware.states import first
    from firmware.terminal import Terminal

    return first.power_on(Terminal(ports, {"name": board.name, "mode": board.mode, "parameters": board.parameters}))


def store_trouble(assembly: "Assembly", inbox: "Inbox", error: StoreError) -> int:
    """The books cannot be read: says so and touches nothing, until it is switched off; then exit status 1."""
    from firmware.screens import Screen
    from firmware.screens.texts import Texts

    kind = type(error).__name__
    assembly.ports["log"].line("the store cannot be opened: %s" % kind)
    lines = ("store." + kind, "store.kept", "vault.do")
    assembly.ports["display"].show(Texts("zh").resolve(Screen("store.title", lines, style="alert")))
    watchdog = assembly.ports.get("watchdog")
    if watchdog is not None:
        watchdog.ready()
    while True:
        event = inbox.wait((watchdog.interval_ms if watchdog is not None else 0) or None)
        if watchdog is not None:
            watchdog.feed()  # a restart would find the same store
        if event is not None and event.name == STOP:
            assembly.close()
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
