"""The whole device on a bench: its board, its cards, its bank, and a person's hands.

    firmware's process  --wires-->  chips (display, keys, reader, printer, lamps, buzzer)
                        --TCP---->  acquirer

`Device` makes the wires and the chips that `boards/emulator.py` names, starts the acquirer, keeps the cards, and
starts and ends the firmware's process as a board does. Everything that a person can do or see is a method here; the
browser, the text face and the scripts add nothing of their own.

Power. Chips have power while the device is on, and also after a crash:

    power_on()     a new process
    power_off()    the button: SIGTERM, then the chips lose power
    plug()         SIGKILL and the chips lose power: every chip forgets
    crash()        SIGKILL alone: the chips remember
    stop_at(p)     as plug(), but just when the firmware reaches the named point

Folders: `<folder>/terminal` is what the device itself keeps (its flash), `<folder>/bench` is the world's: the cards,
their PKI, the acquirer's books, the wires.

Every method may be called from any thread. Nothing polls: whoever waits is woken by a change (`changes.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import io
import os
import random
import secrets
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from drivers import board as boards
from drivers.libcrypto import CryptoError
from drivers.provisioning import ProvisioningError
from drivers.wires_emulated import VARIABLE
from emulator import blocks, eyes
from emulator.cards.shelf import ShelfError
from emulator.changes import Changes
from emulator.chips.gpio import Buzzer, KeyMatrix, Lamps
from emulator.chips.oled import Sh1106Chip, Ssd1306Chip
from emulator.chips.pn532 import Pn532Chip
from emulator.chips.printer import PrinterChip
from emulator.hands import Hands, Keypad, keys_of
from emulator.livelog import Entry, LiveLog, describe_answer, describe_command
from emulator.paper import Paper
from emulator.process import Process
from emulator.town import Books, Town
from emulator.wires import Wires
from firmware.ports import StoreError

ROOT = Path(__file__).parents[1]
PANELS = {"ssd1306": Ssd1306Chip, "sh1106": Sh1106Chip}
PRINTERS = {"csn-a2": "csn-a2", "epson-tm": "epson-tm", "generic-58": "mute", "raster-58": "mute"}
PAPER_SPEED = 60  # mm/s: what a small thermal head does
ON, OFF, CRASHED = "on", "off", "crashed"
SECTIONS = ("power", "screen", "leds", "sounds", "paper", "cards", "faults", "rules", "stop", "books", "log")

OFF_S = 15.0  # the button: how long the firmware may take to end in good order
SETTLE_S = 0.008  # a picture crosses the bus in several transfers: a face is shown them together
SWITCH_S = 0.0005  # a chip's thread is not kept waiting by one that reads a picture: drivers wait milliseconds for an answer
SOUNDS = 32  # tones remembered
TORN = 20  # pieces of paper remembered

FAULTS = (
    # name, part, attribute of its chip
    ("paper-out", "printer", "paper_out"),
    ("low-paper", "printer", "paper_low"),
    ("cover-open", "printer", "cover_open"),
    ("hot", "printer", "too_hot"),
    ("printer-silent", "printer", "silent"),
    ("line-down", "line", "down"),
    ("reader-silent", "contactless", "silent"),
    ("display-gone", "display", "absent"),
)


class Unusable(Exception):
    """The device in the folder cannot be used: what is wrong, and where."""


class Busy(Unusable):
    """Another emulator uses the folder."""


class Seen(NamedTuple):
    """What a person sees on the panel: the pixels, and the words in them from top to bottom."""

    image: Any
    sight: eyes.Sight

    @property
    def text(self) -> str:
        return self.sight.text

    @property
    def lines(self) -> list[str]:
        return self.sight.text.splitlines()


class Sound(NamedTuple):
    number: int
    hz: int
    ms: int


class Device:
    """One device in one folder.

    folder           made when it is not there; a device in a new folder is provisioned with keys of its own
    log              told every entry of the live log: (entry)
    acquirer_port    where the acquirer listens; 0: where it did before, or anywhere
    fast             nothing takes the time that it takes in the world (printing)
    command          the firmware, instead of `python -m firmware --board emulator --data <folder>/terminal`

    Raises Busy when another emulator uses the folder, Unusable when what is in it is damaged.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        log: Callable[[Entry], None] | None = None,
        acquirer_port: int = 0,
        fast: bool = False,
        command: list[str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.terminal_folder = self.folder / "terminal"
        bench = self.folder / "bench"
        bench.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.session = secrets.token_hex(4)
        self.changes = Changes(SECTIONS)
        self._log = LiveLog(lambda: self.changes.touch("log"), log)
        self.power = OFF
        self._asked: str | None = None
        self._power_lock = threading.RLock()
        self._stop_point = ""
        self._faults = dict.fromkeys((name for name, _, _ in FAULTS), False)
        self._closed = False
        self.board = boards.load("emulator")
        sys.setswitchinterval(SWITCH_S)
        _learn_to_read(self.board.parts["display"]["size"])
        with contextlib.ExitStack() as made:
            made.enter_context(_taken(bench / "lock"))
            self.town = self._make_town(bench, acquirer_port)
            made.callback(self.town.close)
            self.wires = Wires(bench / "wires", self._heard)
            made.callback(self.wires.close)
            self.wires.on_point(self._stopped_at)
            self._make_chips(fast, made)
            self._process = Process(
                command or [sys.executable, "-m", "firmware", "--board", "emulator", "--data", str(self.terminal_folder)],
                os.environ | {VARIABLE: self.wires.folder, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                self._terminal_said,
                self._ended,
            )
            made.callback(self._process.close)
            self._made = made.pop_all()

    # -- the bench

    def _make_town(self, bench: Path, port: int) -> Town:
        try:
            return Town(bench, self.terminal_folder, port, self._heard)
        except (ShelfError, ProvisioningError, CryptoError, StoreError, sqlite3.DatabaseError, OSError) as error:
            raise Unusable(f"{self.folder}: {error}") from error

    def _make_chips(self, fast: bool, made: contextlib.ExitStack) -> None:
        parts = self.board.parts
        panel = parts["display"]
        self._panel = PANELS[panel["driver"]](size=panel["size"], log=self._heard)
        self._panel.on_change = lambda: self._touched("screen")
        self._seen: Seen | None = None
        self._seen_version = 0
        self._seen_lock = threading.Lock()
        self.wires.add_i2c(panel["bus"], {panel["address"]: self._panel})

        keypad = parts["keypad"]
        matrix = KeyMatrix(self.wires.gpio, keypad["rows"], keypad["columns"], keypad["keys"])
        self._keypad = Keypad(self.wires, keypad["rows"], lambda: self.power == ON)
        made.callback(self._keypad.close)
        self._hands = Hands(matrix, self._keypad)

        light = parts["light"]
        self._lamps = Lamps(
            self.wires.gpio, light["pins"], light.get("active_low", False), lambda _: self._touched("leds"), self._heard
        )
        self._sounds: deque[Sound] = deque(maxlen=SOUNDS)
        self._sounding: tuple[int, float] | None = None
        self._buzzer = Buzzer(self.wires.gpio, parts["sound"]["pin"], self._buzzed)

        self._reader = Pn532Chip(self.wires.add_uart(parts["contactless"]["bus"]), self._heard, self._apdu)
        self._on_reader: list[str] = []
        self._cards_lock = threading.RLock()

        printer = parts["printer"]
        self._printer = PrinterChip(
            self.wires.add_uart(printer["bus"]),
            PRINTERS[printer["profile"]],
            Paper(lambda: self._touched("paper")),
            0 if fast else PAPER_SPEED,
            self._heard,
        )
        self._torn: deque[tuple[int, bytes, str]] = deque(maxlen=TORN)
        self._pieces = 0
        made.callback(self._printer.close)
        made.callback(self._reader.close)
        self._reader.start()

    def _touched(self, section: str) -> None:
        self.changes.touch(section)

    def _heard(self, kind: str, text: str) -> None:
        """What a chip or the acquirer tells of itself."""
        if kind in ("iso8583", "apdu", "power"):
            self._log.add(kind, text)
        else:
            self._log.add("wire", text if kind == "wire" else f"{kind}: {text}")
        if kind == "iso8583":
            self.changes.touch("books")
            self.changes.touch("rules")  # a `next` may have been used up

    def _apdu(self, direction: str, apdu: bytes) -> None:
        self._log.add("apdu", describe_command(apdu) if direction == "command" else describe_answer(apdu))

    def _terminal_said(self, line: str) -> None:
        self._log.add("terminal", line)

    def _buzzed(self, on: bool, hz: int) -> None:
        now = time.monotonic()
        if self._sounding:
            tone, start = self._sounding
            self._sounds.append(Sound(self.changes.touch("sounds"), tone, round((now - start) * 1000)))
        self._sounding = (hz, now) if on else None
        self.changes.touch("sounds")

    # -- power

    @property
    def pid(self) -> int | None:
        """The firmware's process, or None."""
        return self._process.pid

    def power_on(self) -> None:
        """Starts the firmware; does nothing when it runs."""
        with self._power_lock:
            if not self._process.running:
                self._asked = None
                self._log.add("power", "on")
                self._process.start()
                self._set_power(ON)

    def power_off(self) -> None:
        """The power button: the firmware ends in good order (or is ended), then the chips lose power."""
        with self._power_lock:
            self._log.add("power", "off")
            self._end("off", lambda: self._process.end(OFF_S))

    def plug(self) -> None:
        """Pulls the plug: the process dies where it stands, every chip forgets."""
        with self._power_lock:
            self._log.add("power", "plug pulled")
            self._end("plug", self._process.kill)

    def crash(self) -> None:
        """The process dies where it stands; the chips have power and remember."""
        with self._power_lock:
            if self._process.running:
                self._log.add("power", "crash")
                self._asked = "crash"
                self._process.kill()

    def stop_at(self, point: str) -> None:
        """Pulls the plug when the firmware reaches this point for the first time; "" takes the order back."""
        self._stop_point = point
        if point:
            self.wires.arm(point)
        else:
            self.wires.disarm()
        self.changes.touch("stop")

    def _stopped_at(self, point: str) -> None:
        # The firmware waits at the point, so whoever holds the power lock may be waiting for it: the lock is not taken.
        self.wires.disarm()
        self._stop_point = ""
        self._log.add("power", f"plug pulled at {point}")
        self._asked = "plug"
        self._process.kill()
        self.changes.touch("stop")

    def _end(self, asked: str, end: Callable[[], object]) -> None:
        self._asked = asked
        if not self._process.running:
            self._lose_power()
        else:
            end()

    def _ended(self, status: int) -> None:
        """The process is gone. Called by its watcher, before `end` and `kill` return."""
        if self._closed:
            return
        self.wires.process_ended()
        asked = self._asked
        if asked in ("off", "plug") or (asked is None and status == 0):
            self._lose_power()
        else:
            if asked is None:
                self._log.add("power", f"the firmware ended by itself, status {status}")
            self._set_power(CRASHED)
        self._keypad.moved()

    def _lose_power(self) -> None:
        for chip in (self._panel, self._reader, self._printer):
            chip.reset()
        self.wires.reset()
        self._set_power(OFF)
        self.changes.touch("screen")

    def _set_power(self, state: str) -> None:
        self.power = state
        self.changes.touch("power")

    # -- hands

    def press(self, key: str) -> None:
        """One key, by its name in `firmware.events.KEYS`."""
        if key not in {name for row in self.board.parts["keypad"]["keys"] for name in row}:
            raise ValueError("no such key")
        self._type([key])

    def keys(self, text: str) -> None:
        """Types: "01 ENTER 0000 ENTER" (`hands.py`). Returns when the last key is up again."""
        self._type(keys_of(text, self.town.pin))

    def _type(self, keys: list[str]) -> None:
        self._log.add("key", "1 key" if len(keys) == 1 else f"{len(keys)} keys")
        self._hands.type(keys)

    def tap(self, name: str) -> None:
        """Puts this card, and no other, on the reader."""
        with self._cards_lock:
            card = self.town.card(name)
            self._take_away(list(self._on_reader))
            self._put(name, card)

    def second_card(self, name: str) -> None:
        """Lays another card beside the one on the reader."""
        with self._cards_lock:
            if not self._on_reader:
                raise ValueError("there is no first card on the reader")
            self.place(name)

    def place(self, name: str) -> None:
        """Lays a card on the reader, beside what lies there. ValueError when there is no room or it lies there."""
        with self._cards_lock:
            card = self.town.card(name)
            if name in self._on_reader:
                raise ValueError(f"{name} is on the reader already")
            if len(self._on_reader) == 2:
                raise ValueError("two cards are on the reader already")
            self._put(name, card)

    def remove_card(self, name: str | None = None) -> None:
        """Takes a card, or all of them, off the reader."""
        with self._cards_lock:
            if name is None:
                self._take_away(list(self._on_reader))
                return
            self.town.card(name)
            if name not in self._on_reader:
                raise ValueError(f"{name} is not on the reader")
            self._take_away([name])

    def _put(self, name: str, card: object) -> None:
        self._on_reader.append(name)
        self._reader.place(card)
        self.changes.touch("cards")

    def _take_away(self, names: list[str]) -> None:
        for name in names:
            self._on_reader.remove(name)
            self._reader.remove(self.town.card(name))
        if names:
            self.changes.touch("cards")

    def fault(self, name: str, on: bool) -> None:
        """Breaks something, or mends it. ValueError names the faults that there are."""
        for known, part, attribute in FAULTS:
            if known == name:
                chips = {"printer": self._printer, "contactless": self._reader, "display": self._panel, "line": self.town}
                setattr(chips[part], attribute, on)
                self._faults[name] = on
                if part == "display":
                    self._seen_version = -1
                    self.changes.touch("screen")
                self._log.add("wire", f"fault {name} {'on' if on else 'off'}")
                self.changes.touch("faults")
                return
        raise ValueError(f"no such fault: {name}; there are " + " ".join(known for known, _, _ in FAULTS))

    def rule(self, text: str) -> None:
        """What the host does to messages (`emulator/acquirer/rules.py`). ValueError says what is wrong with it."""
        self.town.rule(text)
        self.changes.touch("rules")

    def tear(self) -> str:
        """Tears the paper off; returns what is printed on the piece."""
        piece = self._printer.paper.tear()
        if piece.rows:
            self._pieces += 1
            self._torn.append((self._pieces, piece.png(), piece.text))
        self.changes.touch("paper")
        return piece.text

    # -- eyes

    @property
    def screen(self) -> Seen:
        """What is on the panel now."""
        with self._seen_lock:
            version = self._panel.version
            if self._seen is None or self._seen_version != version:
                image = self._panel.image()
                if self._seen is None or image.tobytes() != self._seen.image.tobytes():
                    self._seen = Seen(image, eyes.read(image))
                self._seen_version = version
            return self._seen

    def screen_png(self) -> bytes:
        """The panel's pixels as PNG, one to one."""
        out = io.BytesIO()
        self.screen.image.save(out, "PNG")
        return out.getvalue()

    @property
    def on_reader(self) -> list[str]:
        """The cards that lie on the reader."""
        return list(self._on_reader)

    @property
    def leds(self) -> dict[str, bool]:
        """Which lamps are lit: "1" .. "4", the last is red."""
        return {str(place): lit for place, lit in enumerate(self._lamps.levels, 1)}

    @property
    def buzzer(self) -> int:
        """What sounds now, in Hz; 0 for silence."""
        return self._buzzer.hz

    @property
    def sounds(self) -> list[Sound]:
        """The last tones, oldest first."""
        return list(self._sounds)

    @property
    def paper_text(self) -> str:
        """What can be read on the paper that hangs out of the printer."""
        return self._printer.paper.text

    @property
    def all_paper_text(self) -> str:
        """The same, after the pieces torn off before (the last few)."""
        return "\n".join([*(text for _, _, text in self._torn), self.paper_text])

    def paper_png(self, torn: int | None = None) -> bytes:
        """A picture of the paper that hangs out, or of a piece torn off. LookupError when it is not kept."""
        if torn is None:
            return self._printer.paper.png()
        for number, png, _ in list(self._torn):
            if number == torn:
                return png
        raise LookupError("that piece of paper is not kept")

    def books(self) -> Books:
        """The acquirer's books."""
        return self.town.books()

    def shows(self, text: str) -> bool:
        """Whether the words are on the screen, however spaced and broken."""
        seen = self.screen
        return seen.sight.shows(text) or _squeezed(text) in _squeezed(seen.text)

    def printed(self, text: str) -> bool:
        """Whether the words are on the paper that hangs out."""
        return _squeezed(text) in _squeezed(self.paper_text)

    def wait_screen(self, text: str, seconds: float = 5.0) -> bool:
        """Waits for the words on the screen."""
        return self.until(lambda: self.shows(text), seconds)

    def wait_paper(self, text: str, seconds: float = 5.0) -> bool:
        """Waits for the words on the paper."""
        return self.until(lambda: self.printed(text), seconds)

    def until(self, check: Callable[[], object], seconds: float) -> bool:
        """Waits until `check()` is true, looking when something on the bench has changed."""
        return self.changes.until(check, seconds)

    @property
    def log(self) -> list[Entry]:
        """The live log as far as it is kept."""
        return self._log.since(0)

    def log_since(self, number: int) -> list[Entry]:
        """Entries of the live log with a higher number."""
        return self._log.since(number)

    # -- the state, for a face

    def state(self, since: int | None = None, wait_s: float = 0.0) -> dict[str, Any]:
        """Everything that can be seen, as JSON has it. With `since`: waits for something newer, gives what changed.

        number    give it as `since` next time         session  differs when another emulator answers
        power     "on", "off", "crashed"
        screen    {"width", "height", "lines": what can be read, "pixels": a row each, four pixels a hex digit}
        leds      {"1": bool ..}                        sounds   [{"number", "hz", "ms"}]
        paper     {"number", "text", "dots": its length, "torn": numbers of the pieces kept}
        cards     [{"name", "title", "number": masked, "bank": bool, "place": "shelf" | "reader"}]
        faults    {name: bool}                          rules    {"now": [text], "examples": [text]}
        stop      the point at which the power will go, or ""
        books     {"postings": [...], "balances_fen": {card: fen}}
        log       [{"number", "at_ms", "kind", "text"}]
        """
        if since is not None and since <= self.changes.number:
            if self.changes.wait(since, wait_s) > since:
                threading.Event().wait(SETTLE_S)
        else:
            since = 0
        # The number comes first: what changes from here on is told again next time, and nothing is told never.
        number = self.changes.number
        state: dict[str, Any] = {"number": number, "session": self.session}
        for section in self.changes.newer(since):
            state[section] = self._log_state(since, number) if section == "log" else getattr(self, f"_{section}_state")()
        return state

    def _power_state(self) -> str:
        return self.power

    def _screen_state(self) -> dict[str, Any]:
        seen = self.screen
        width, height = seen.image.size
        pixels = ["%0*x" % (width // 4, int(row.translate(_BITS), 2)) for row in blocks.rows_of(seen.image)]
        return {"width": width, "height": height, "lines": seen.lines, "pixels": pixels}

    def _leds_state(self) -> dict[str, bool]:
        return self.leds

    def _sounds_state(self) -> list[dict[str, int]]:
        return [sound._asdict() for sound in self.sounds]

    def _paper_state(self) -> dict[str, Any]:
        paper = self._printer.paper
        torn = [number for number, _, _ in list(self._torn)]
        return {"number": self.changes.of("paper"), "text": paper.text, "dots": paper.rows, "torn": torn}

    def _cards_state(self) -> list[dict[str, Any]]:
        with self._cards_lock:
            return [
                {**card, "place": "reader" if card["name"] in self._on_reader else "shelf"} for card in self.town.cards()
            ]

    def _faults_state(self) -> dict[str, bool]:
        return dict(self._faults)

    def _rules_state(self) -> dict[str, list[str]]:
        return self.town.rules()

    def _stop_state(self) -> str:
        return self._stop_point

    def _books_state(self) -> dict[str, Any]:
        books = self.books()
        return {"postings": books.postings, "balances_fen": books.balances_fen}

    def _log_state(self, since: int, number: int) -> list[dict[str, Any]]:
        entries = [entry for entry in self.log_since(since) if entry.number <= number]
        return [entry._asdict() | {"at_ms": round(entry.at_ms, 1)} for entry in entries]

    # -- the end

    def close(self) -> None:
        """Ends everything: process, chips, wires, acquirer. Nothing is left behind but the folder."""
        if self._closed:
            return
        self._closed = True
        self.changes.close()
        self._made.close()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_BITS = str.maketrans(".#", "01")


def _squeezed(text: str) -> str:
    return "".join(text.split())


@functools.lru_cache(maxsize=4)
def _learn_to_read(size: tuple[int, int]) -> None:
    """Half a second of learning the alphabet, before anything runs that has a clock."""
    width, height = size
    eyes.read(Image.frombytes("1", size, random.Random(1).randbytes(width * height // 8)))


@contextlib.contextmanager
def _taken(path: Path) -> Iterator[None]:
    """The folder is this process's; the lock goes with it, however it ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy(f"{path.parent.parent}: another emulator uses this folder") from None
        yield
