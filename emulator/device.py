"""The whole device on a bench: its board, its cards, its bank, and a person's hands.

    firmware's process  --wires-->  chips (display, keys, reader, printer, lamps, buzzer)
                        --TCP---->  acquirer

Everything that a person can do or see is a method here; the browser, the text face and the scripts add nothing of
their own. What is behind the methods:

    town        the acquirer, the cards, who the device is          places    where the cards are
    wires       the wires that the firmware opens                   faults    what is broken
    assemble    the chips at their ends                             glass     what can be read on the panel
    radio       the mobile network round the 4G module
    power       button, plug, crash, the firmware's process         paper     what hangs out, what was torn off
    livelog     what crossed the wires                              snapshot  all that can be seen, for a face
    recordings  cards from files, cards taken down

Folders: `<folder>/terminal` is what the device itself keeps (its flash), `<folder>/bench` is the world's: the cards,
their PKI, the acquirer's books, the wires.

Every method may be called from any thread. Nothing polls: whoever waits is woken by a change (`changes.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from drivers import board as boards
from drivers import picture
from drivers.libcrypto import CryptoError
from drivers.provisioning import ProvisioningError
from drivers.store import SqliteStore
from drivers.wires_emulated import VARIABLE
from emulator import eyes
from emulator.acquirer.certificates import CertificateError
from emulator.assemble import Chips
from emulator.cards.shelf import ShelfError
from emulator.changes import Changes
from emulator.faults import FAULTS, Faults
from emulator.glass import Glass, Seen, squeezed
from emulator.hands import keys_of
from emulator.livelog import Entry, LiveLog, Polls, describe_answer, describe_command
from emulator.paper import Paper, Pieces
from emulator.places import Places
from emulator.power import CRASHED, OFF, OFF_S, ON, Power
from emulator.radio import Radio, kept_papers
from emulator.recordings import Tape, opened
from emulator.snapshot import SECTIONS, snapshot
from emulator.sounds import Sound
from emulator.town import Books, Town
from emulator.wires import Wires
from firmware import parameters
from firmware.ports import StoreError

__all__ = ["CRASHED", "FAULTS", "OFF", "OFF_S", "ON", "SECTIONS", "Busy", "Device", "Seen", "Sound", "Unusable"]

ROOT = Path(__file__).parents[1]
SWITCH_S = 0.0005  # a chip's thread is not kept waiting by one that reads a picture: drivers wait milliseconds for an answer
TORN = 20  # pieces of paper remembered


class Unusable(Exception):
    """The device in the folder cannot be used: what is wrong, and where."""


class Busy(Unusable):
    """Another emulator uses the folder."""


class Device:
    """One device in one folder.

    folder           made when it is not there; a device in a new folder is provisioned with keys of its own
    log              told every entry of the live log: (entry)
    acquirer_port    where the acquirer listens; 0: where it did before, or anywhere
    fast             nothing takes the time that it takes in the world (printing)
    tls              whether the line to the acquirer has TLS, in a new folder; in another it is as it was
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
        tls: bool = False,
        command: list[str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.terminal_folder = self.folder / "terminal"
        bench = self.folder / "bench"
        try:
            bench.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Unusable(f"{self.folder}: {error.strerror}") from error
        self.session = secrets.token_hex(4)
        self.changes = Changes(SECTIONS)
        self._closed = False
        self._log = LiveLog(lambda: self.changes.touch("log"), log)
        self._polls = Polls(lambda text: self._log.add("modem", text))
        self._tape = Tape(lambda text: self._log.add("wire", f"card: {text}"))
        self.board = boards.load("emulator")
        sys.setswitchinterval(SWITCH_S)
        eyes.learn(self.board.parts["display"]["size"])
        with contextlib.ExitStack() as made:
            made.enter_context(_taken(bench / "lock"))
            self.town: Town = self._make_town(bench, acquirer_port, tls)
            made.callback(self.town.close)
            self.radio: Radio = self._make_radio(bench)
            self.wires = Wires(bench / "wires", self._heard)
            made.callback(self.wires.close)
            self.chips: Chips = Chips(
                self.board, self.wires, self.changes.touch, self._heard, self._apdu, lambda: self.power == ON, fast, self.radio
            )
            made.callback(self.chips.close)
            self._power = Power(
                command or [sys.executable, "-m", "firmware", "--board", "emulator", "--data", str(self.terminal_folder)],
                os.environ | {VARIABLE: self.wires.folder, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                self.wires,
                self.chips,
                self._log,
                self.changes.touch,
            )
            made.callback(self._power.close)
            self._glass = Glass(self.chips.panel)
            self._places = Places(
                self.chips.reader, self.chips.chip, self.chips.stripe, self.town.card,
                lambda: self.changes.touch("cards"), self._tape,
            )  # fmt: skip
            made.callback(self._tape.close)
            self._pieces = Pieces(TORN)
            self._faults = Faults(self.chips.by_part | {"line": self.town})
            self._made = made.pop_all()

    # -- the bench

    def _make_town(self, bench: Path, port: int, tls: bool) -> Town:
        try:
            return Town(bench, self.terminal_folder, port, self._heard, tls)
        except (
            ShelfError, ProvisioningError, CertificateError, CryptoError, StoreError, sqlite3.DatabaseError, OSError
        ) as error:  # fmt: skip
            raise Unusable(f"{self.folder}: {error}") from error

    def _make_radio(self, bench: Path) -> Radio:
        try:
            radio = Radio(kept_papers(bench / "radio.json"))
        except OSError as error:
            raise Unusable(f"{self.folder}: {error}") from error
        radio.listeners.append(lambda: self.changes.touch("radio"))
        return radio

    def _heard(self, kind: str, text: str) -> None:
        """What a chip or the acquirer tells of itself."""
        if kind in ("rules", "faults"):
            self.changes.touch(kind)
            return
        if kind == "card":
            self.changes.touch("cards")  # one may have left by itself
            self._tape.look()
        if kind == "modem":
            self._polls.hear(text)
        elif kind in ("iso8583", "apdu", "power"):
            self._log.add(kind, text)
        else:
            self._log.add("wire", text if kind == "wire" else f"{kind}: {text}")
        if kind == "iso8583":
            self.changes.touch("books")
            self.changes.touch("rules")  # a `next` may have been used up

    def _apdu(self, direction: str, apdu: bytes) -> None:
        self._log.add("apdu", describe_command(apdu) if direction == "command" else describe_answer(apdu))

    # -- power

    @property
    def power(self) -> str:
        """ON, OFF or CRASHED."""
        return self._power.state

    @property
    def pid(self) -> int | None:
        """The firmware's process, or None."""
        return self._power.pid

    def power_on(self) -> None:
        """Starts the firmware; does nothing when it runs."""
        self._power.on()

    def power_off(self) -> None:
        """The power button: the firmware ends in good order (or is ended), then the chips lose power."""
        self._power.off()

    def plug(self) -> None:
        """Pulls the plug: the process dies where it stands, every chip forgets."""
        self._power.plug()

    def crash(self) -> None:
        """The process dies where it stands; the chips have power and remember."""
        self._power.crash()

    def stop_at(self, point: str) -> None:
        """Pulls the plug when the firmware reaches this point for the first time; "" takes the order back."""
        self._power.stop_at(point)

    @property
    def stop_point(self) -> str:
        """The point at which the plug will be pulled, or ""."""
        return self._power.stop_point

    # -- hands

    def press(self, key: str) -> None:
        """One key, by its name in `firmware.events.KEYS`."""
        if key not in {name for row in self.board.parts["keypad"]["keys"] for name in row}:
            raise ValueError("no such key")
        self._type([key])

    def keys(self, text: str) -> None:
        """Types: "01 ENTER 0000 ENTER" (`hands.py`). Returns when the last key is up again."""
        self._type(keys_of(text, self._pin, self._face))

    def _pin(self, name: str) -> str:
        """The PIN of a card, or of the SIM."""
        return self.radio.card.pin if name == "sim" else self.town.pin(name)

    def _face(self, name: str) -> tuple[str, str]:
        """What stands on a card: its number, month and year of its expiry."""
        card = self.town.shelf.card(name)
        return card.pan, card.expiry[2:] + card.expiry[:2]

    def _type(self, keys: list[str]) -> None:
        self._log.add("key", "1 key" if len(keys) == 1 else f"{len(keys)} keys")
        self.chips.hands.type(keys)

    def tap(self, name: str) -> None:
        """Puts this card, and no other, on the reader. ValueError here and below: it cannot be done, and why."""
        self._places.tap(name)

    def second_card(self, name: str) -> None:
        """Lays another card beside the one on the reader."""
        self._places.second(name)

    def place(self, name: str) -> None:
        """Lays a card on the reader, beside what lies there. ValueError when there is no room or it lies there."""
        self._places.place(name)

    def remove_card(self, name: str | None = None) -> None:
        """Takes a card, or all of them, off the reader."""
        self._places.remove(name)

    def insert(self, name: str) -> None:
        """Pushes a card into the slot."""
        self._places.insert(name)

    def pull(self) -> None:
        """Pulls out what is in the slot; nothing happens when it is empty."""
        self._places.pull()

    def swipe(self, name: str, badly: bool = False) -> None:
        """Draws a card through the groove; badly: so that nothing can be read."""
        self._places.swipe(name, badly)

    def insert_file(self, path: str | os.PathLike[str]) -> None:
        """Pushes a recorded card into the slot; it is called as its file is."""
        self._places.insert(self._places.bring(opened(path)))

    def tap_file(self, path: str | os.PathLike[str]) -> None:
        """Puts a recorded card, and no other, on the reader."""
        self._places.tap(self._places.bring(opened(path)))

    def record(self, path: str | os.PathLike[str]) -> None:
        """The card that is inserted or tapped next is taken down into a file, which is written when it leaves."""
        self._tape.order(path)

    def fault(self, name: str, on: bool) -> None:
        """Breaks something, or mends it. ValueError names the faults that there are."""
        self._faults.set(name, on)
        self._log.add("wire", f"fault {name} {'on' if on else 'off'}")
        self.changes.touch("faults")
        self.changes.touch("radio")

    def signal(self, percent: int) -> None:
        """How well the mobile network is heard: 0 (not at all) to 100."""
        self.radio.signal(percent)
        level = self.radio.dbm
        self._log.add("modem", f"signal {percent} %: " + (f"{level} dBm" if level is not None else "no coverage"))

    def tower(self, name: str) -> None:
        """Carries the device to a place with another tower (`emulator/radio.py`)."""
        self.radio.move(name)
        self._log.add("modem", f"at the tower {name}")

    def sim(self, what: str) -> None:
        """What is done to the SIM card: a word of `radio.SIM_ACTS`."""
        self.radio.sim(what)
        self._log.add("modem", f"SIM {what}")

    def network(self, what: str) -> None:
        """What the mobile operator does: a word of `radio.NETWORK_ACTS`."""
        self.radio.network(what)
        self._log.add("modem", f"operator: {what}")

    def sms(self, text: str, sender: str = "10010") -> None:
        """Sends the terminal a short message."""
        self.radio.send(text, sender)
        self._log.add("modem", f"a message of {len(text)} characters to the terminal")

    def rule(self, text: str) -> None:
        """What the host does to messages (`emulator/acquirer/rules.py`). ValueError says what is wrong with it."""
        self.town.rule(text)
        self.changes.touch("rules")

    def parameter(self, name: str, value: str) -> None:
        """Sets a parameter, as a technician does it while the device is off. value: JSON. ValueError says what is wrong."""
        if self.power == ON:
            raise ValueError("parameters are set while the device is off")
        try:
            wanted = json.loads(value)
        except ValueError:
            raise ValueError(f'{value} is not JSON: true, 12, or "a text in quotes"') from None
        checked = parameters.check(name, wanted)
        store = SqliteStore(None, {}, self.terminal_folder)
        try:
            store.commit([("parameters", name, json.dumps(checked).encode(), None)])
        finally:
            store.close()

    def tear(self) -> str:
        """Tears the paper off; returns what is printed on the piece."""
        torn = self.paper.tear()
        self._pieces.add(torn)
        self.changes.touch("paper")
        return torn.text

    # -- eyes

    @property
    def screen(self) -> Seen:
        """What is on the panel now."""
        return self._glass.seen

    def screen_png(self) -> bytes:
        """The panel's pixels as PNG, one to one."""
        return picture.png(self.screen.image)

    def cards(self) -> list[dict[str, Any]]:
        """Every card: what `Town.cards` says, and its "place": "shelf", "reader" or "slot"."""
        return [card | {"place": self._places.of(card["name"])} for card in self.town.cards()]

    @property
    def on_reader(self) -> list[str]:
        """The cards that lie on the reader."""
        return self._places.on_reader

    @property
    def in_slot(self) -> str:
        """The card in the slot, or ""."""
        return self._places.in_slot

    @property
    def leds(self) -> dict[str, bool]:
        """Which lamps are lit: "1" .. "4", the last is red."""
        return {str(place): lit for place, lit in enumerate(self.chips.lamps.levels, 1)}

    @property
    def buzzer(self) -> int:
        """What sounds now, in Hz; 0 for silence."""
        return self.chips.buzzer.hz

    @property
    def sounds(self) -> list[Sound]:
        """The last tones, oldest first."""
        return self.chips.sounds.last

    @property
    def faults(self) -> dict[str, bool]:
        """What is broken, by the names of FAULTS."""
        return self._faults.now

    @property
    def paper(self) -> Paper:
        """The paper that hangs out of the printer."""
        return self.chips.printer.paper

    @property
    def torn(self) -> list[int]:
        """The numbers of the pieces of paper that are kept."""
        return [piece.number for piece in self._pieces]

    @property
    def paper_text(self) -> str:
        """What can be read on the paper that hangs out of the printer."""
        return self.paper.text

    @property
    def all_paper_text(self) -> str:
        """The same, after the pieces torn off before (the last few)."""
        return "\n".join([*(piece.text for piece in self._pieces), self.paper_text])

    def paper_png(self, torn: int | None = None) -> bytes:
        """A picture of the paper that hangs out, or of a piece torn off. LookupError when it is not kept."""
        return self.paper.png() if torn is None else self._pieces.png(torn)

    def books(self) -> Books:
        """The acquirer's books."""
        return self.town.books()

    def shows(self, text: str) -> bool:
        """Whether the words are on the screen, however spaced and broken."""
        return self.screen.shows(text)

    def printed(self, text: str) -> bool:
        """Whether the words are on the paper that hangs out."""
        return squeezed(text) in squeezed(self.paper_text)

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

    def state(self, since: int | None = None, wait_s: float = 0.0) -> dict[str, Any]:
        """Everything that can be seen (`snapshot.py`). With `since`: waits for something newer, gives what changed."""
        return snapshot(self, since, wait_s)

    # -- the end

    def close(self) -> None:
        """Ends everything: process, chips, wires, acquirer. Nothing is left behind but the folder."""
        if self._closed:
            return
        self._closed = True
        self.changes.close()
        self._made.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _taken(path: Path) -> Iterator[None]:
    """The folder is this process's; the lock goes with it, however it ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy(f"{path.parent.parent}: another emulator uses this folder") from None
        yield
