"""The mobile network round the device: towers, an operator, a SIM card, network time, short messages.

A person moves the device to a tower and drags the signal; the module at the other end of the UART (`chips/modem.py`)
sees what a real one would see of it:

    what a person does          what the module makes of it
    signal 0                    no coverage: it searches; what it had opened dies after a while
    another tower               another cell; another area, technology or country where the tower says so
    operator denies             registration is denied, whoever asks
    SIM frozen                  registration is denied to this SIM: the owner did not pay
    no data                     it registers, and is refused a data connection
    SIM out, PIN asked          no SIM; a SIM that wants its PIN, and its PUK after three wrong ones
    time right, wrong, absent   what the network tells of the time at registration

The network carries messages: those to a device that cannot be reached wait until it registers.

Data goes to this machine only: `resolve` knows a few names, and the module connects to loopback alone.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

BEST_DBM, WORST_DBM = -51, -113  # what +CSQ can tell: 31 and 0
BARS_DBM = (-105, -95, -85, -75)  # a bar for each that is reached
TIMES = ("right", "wrong", "absent")
QUARTERS = 32  # the network's time zone, in quarters of an hour
WRONG_BY_S = -400 * 86_400
PIN_TRIES, PUK_TRIES = 3, 10
KEPT = 50  # messages remembered
LONGEST_MESSAGE = 500  # characters

# Names that the network's name server knows, and where they are.
HOSTS = {"localhost": "127.0.0.1", "acquirer.test": "127.0.0.1"}


class Tower(NamedTuple):
    """A cell. network: MCC and MNC; area: TAC or LAC; loss_db: how much weaker than the best it is heard."""

    name: str
    title: tuple[str, str]
    network: str
    operator: str
    short: str
    technology: str
    area: int
    cell: int
    band: int
    channel: int
    loss_db: int


TOWERS = (
    Tower("shop", ("店里", "In the shop"), "46001", "CHN-UNICOM", "UNICOM", "4G", 0x18BE, 0x8608A7B, 3, 1650, 0),
    Tower("street", ("街对面", "Across the street"), "46001", "CHN-UNICOM", "UNICOM", "4G", 0x18BE, 0x8608A7C, 1, 450, 8),
    Tower("suburb", ("城郊", "In the suburbs"), "46001", "CHN-UNICOM", "UNICOM", "3G", 0x2A11, 0x0B1C2D3, 1, 10663, 12),
    Tower("village", ("村里", "In a village"), "46001", "CHN-UNICOM", "UNICOM", "2G", 0x3102, 0x51D7, 8, 45, 18),
    Tower("rival", ("换网漫游", "Another operator's"), "46011", "CHN-CT", "CT", "4G", 0x7A03, 0x5F1EA15, 5, 2452, 4),
)
HOME = "46001"


class Message(NamedTuple):
    """A short message. sent: by the terminal; other: the number at the far end; at: seconds since 1970."""

    number: int
    sent: bool
    other: str
    text: str
    at: float


class Sim:
    """A SIM card. `asks`: it wants its PIN when it is switched on. `frozen`: the operator refuses it."""

    def __init__(self, iccid: str, imsi: str, number: str, pin: str = "1234", puk: str = "12345678") -> None:
        self.iccid, self.imsi, self.number = iccid, imsi, number
        self.pin, self.puk = pin, puk
        self.asks = self.frozen = False
        self.tries, self.puk_tries = PIN_TRIES, PUK_TRIES
        self._open = True

    def __repr__(self) -> str:
        return f"Sim({self.iccid}, {self.state})"

    def power(self) -> None:
        """It is switched on: what was verified is forgotten."""
        self._open = not self.asks

    @property
    def state(self) -> str:
        """ "ready", "pin" (wants it), "puk" (wants that), "dead" (for good)."""
        if not self.puk_tries:
            return "dead"
        if not self.tries:
            return "puk"
        return "ready" if self._open else "pin"

    def verify(self, pin: str) -> bool:
        """Tries a PIN."""
        if not self.tries:
            return False
        if pin != self.pin:
            self.tries -= 1
            return False
        self.tries, self._open = PIN_TRIES, True
        return True

    def unblock(self, puk: str, pin: str) -> bool:
        """Tries the PUK; the right one sets a new PIN."""
        if not self.puk_tries:
            return False
        if puk != self.puk:
            self.puk_tries -= 1
            return False
        self.pin, self.tries, self.puk_tries, self._open = pin, PIN_TRIES, PUK_TRIES, True
        return True

    def restore(self) -> None:
        """As the operator's shop hands it out again: PIN 1234, all tries left."""
        self.pin, self.tries, self.puk_tries = "1234", PIN_TRIES, PUK_TRIES


def luhn(digits: str) -> str:
    """The digits with their check digit."""
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        double = digit * 2 if place % 2 == 0 else digit
        total += double - 9 if double > 9 else double
    return digits + str(-total % 10)


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def new_papers() -> dict[str, str]:
    """The numbers of a new module and a new SIM: they differ on each desk and belong to nobody."""
    return {
        "imei": luhn("86000005" + _digits(6)),
        "iccid": luhn("898600" + _digits(13)),
        "imsi": HOME + _digits(10),
        "number": "+861440" + _digits(7),
    }


def kept_papers(path: Path) -> dict[str, str]:
    """Those of this desk, made when there are none in the file."""
    made = new_papers()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(isinstance(found.get(name), str) for name in made):
            return {name: found[name] for name in made}
    except (OSError, ValueError):
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(made, indent=1), encoding="utf-8")
    os.replace(new, path)
    return made


class Radio:
    """The world of one module. Each method may be called from any thread; `listeners` are told of each change.

    papers   {"imei", "iccid", "imsi", "number"}
    now      the true time, in seconds since 1970
    hosts    names and where they are, beside HOSTS
    """

    def __init__(self, papers: dict[str, str] | None = None, now: Callable[[], float] = time.time) -> None:
        papers = papers or new_papers()
        self.imei = papers["imei"]
        self.card = Sim(papers["iccid"], papers["imsi"], papers["number"])
        self.hosts = dict(HOSTS)
        self.centre = "+8613010112500"
        self.listeners: list[Callable[[], object]] = []
        self.percent = 80
        self.tower = TOWERS[0]
        self.inserted = True
        self.denied = False
        self.no_data = False
        self.time = "right"
        self._now = now
        self._lock = threading.Lock()
        self._waiting: deque[Message] = deque()
        self._messages: deque[Message] = deque(maxlen=KEPT)
        self._count = 0

    # -- what a person does

    def signal(self, percent: int) -> None:
        """How well the tower is heard, 0 (not at all) to 100."""
        if not 0 <= percent <= 100:
            raise ValueError("a signal is 0 to 100 percent")
        self.percent = percent
        self._changed()

    def move(self, name: str) -> None:
        """To another tower. ValueError names those that there are."""
        for tower in TOWERS:
            if tower.name == name:
                self.tower = tower
                self._changed()
                return
        raise ValueError("no such tower; there are " + " ".join(tower.name for tower in TOWERS))

    def insert(self, there: bool) -> None:
        """The SIM card is put in, or taken out."""
        self.inserted = there
        self._changed()

    def ask_pin(self, asks: bool) -> None:
        """Whether the SIM wants its PIN from its next start on; asking starts it anew."""
        self.card.asks = asks
        if not asks:
            self.card.restore()
        self.card.power()
        self._changed()

    def freeze(self, frozen: bool) -> None:
        """The operator bars this SIM."""
        self.card.frozen = frozen
        self._changed()

    def deny(self, denied: bool) -> None:
        """The operator lets nobody in."""
        self.denied = denied
        self._changed()

    def bar_data(self, barred: bool) -> None:
        """The operator gives this SIM no data connection."""
        self.no_data = barred
        self._changed()

    def open(self) -> None:
        """The operator refuses nothing."""
        self.denied = self.no_data = False
        self._changed()

    def tell_time(self, how: str) -> None:
        """What the network says of the time: one of TIMES."""
        if how not in TIMES:
            raise ValueError("network time is " + ", ".join(TIMES))
        self.time = how
        self._changed()

    def sim(self, what: str) -> None:
        """What is done to the SIM card, by a word of SIM_ACTS. ValueError names them."""
        _act(self, SIM_ACTS, what)

    def network(self, what: str) -> None:
        """What the operator does, by a word of NETWORK_ACTS. ValueError names them."""
        _act(self, NETWORK_ACTS, what)

    def send(self, text: str, sender: str = "10010") -> None:
        """A message to the terminal; it waits in the network until the terminal can be reached."""
        if not 0 < len(text) <= LONGEST_MESSAGE:
            raise ValueError(f"a message has 1 to {LONGEST_MESSAGE} characters")
        if not re.fullmatch(r"\+?[0-9]{3,15}", sender):
            raise ValueError("a sender is a number of 3 to 15 digits")
        with self._lock:
            self._waiting.append(self._keep(False, sender, text))
        self._changed()

    # -- what the module hears

    @property
    def dbm(self) -> int | None:
        """What the module measures, or None where there is nothing to hear."""
        if not self.percent:
            return None
        level = WORST_DBM + round(self.percent * (BEST_DBM - WORST_DBM) / 100) - self.tower.loss_db
        return max(level, WORST_DBM)

    @property
    def bars(self) -> int:
        """0 to 4, as a telephone shows it."""
        level = self.dbm
        return 0 if level is None else sum(level >= limit for limit in BARS_DBM)

    @property
    def roaming(self) -> bool:
        return self.tower.network != HOME

    def clock(self) -> tuple[int, int] | None:
        """(seconds since 1970 UTC, time zone in quarters of an hour) as the network tells it, or None."""
        if self.time == "absent":
            return None
        return int(self._now()) + (WRONG_BY_S if self.time == "wrong" else 0), QUARTERS

    def resolve(self, name: str) -> str | None:
        """The address of a host: of a name that the network knows, or the address that the name is."""
        if name.count(".") == 3 and all(part.isascii() and part.isdigit() and int(part) < 256 for part in name.split(".")):
            return name
        return self.hosts.get(name.lower())

    # -- messages

    def next_message(self) -> Message | None:
        """The message that waits longest, or None; it stays until `delivered`."""
        with self._lock:
            return self._waiting[0] if self._waiting else None

    def delivered(self, message: Message) -> None:
        """The module has it."""
        with self._lock:
            if self._waiting and self._waiting[0] is message:
                self._waiting.popleft()
        self._changed()

    def receive(self, number: str, text: str) -> None:
        """The terminal has sent a message."""
        with self._lock:
            self._keep(True, number, text)
        self._changed()

    @property
    def messages(self) -> list[Message]:
        """The last ones in both directions, oldest first."""
        with self._lock:
            return list(self._messages)

    @property
    def waiting(self) -> set[int]:
        """The numbers of those that have not reached the terminal."""
        with self._lock:
            return {message.number for message in self._waiting}

    def _keep(self, sent: bool, other: str, text: str) -> Message:
        self._count += 1
        message = Message(self._count, sent, other, text, self._now())
        self._messages.append(message)
        return message

    def _changed(self) -> None:
        for listener in list(self.listeners):
            listener()

    def view(self) -> dict[str, Any]:
        """All of it for a face; no PIN is in it."""
        waiting = self.waiting
        return {
            "signal": self.percent,
            "dbm": self.dbm,
            "bars": self.bars,
            "tower": self.tower.name,
            "towers": [
                {
                    "name": tower.name, "title": tower.title, "technology": tower.technology, "operator": tower.operator,
                    "cell": f"{tower.network[:3]}-{tower.network[3:]} {tower.area:04X} {tower.cell:X}",
                }
                for tower in TOWERS
            ],
            "sim": {
                "in": self.inserted, "asks": self.card.asks, "state": self.card.state, "tries": self.card.tries,
                "frozen": self.card.frozen, "iccid": self.card.iccid, "number": self.card.number,
            },
            "denied": self.denied,
            "no_data": self.no_data,
            "time": self.time,
            "messages": [message._asdict() | {"waits": message.number in waiting} for message in self.messages],
        }  # fmt: skip


# Word, what it does. Of the SIM card, and of the operator.
SIM_ACTS: dict[str, Callable[[Radio], None]] = {
    "in": lambda radio: radio.insert(True),
    "out": lambda radio: radio.insert(False),
    "asks": lambda radio: radio.ask_pin(True),
    "free": lambda radio: radio.ask_pin(False),
    "frozen": lambda radio: radio.freeze(True),
    "thawed": lambda radio: radio.freeze(False),
}
NETWORK_ACTS: dict[str, Callable[[Radio], None]] = {
    "open": lambda radio: radio.open(),
    "denied": lambda radio: radio.deny(True),
    "admitted": lambda radio: radio.deny(False),
    "no-data": lambda radio: radio.bar_data(True),
    "data": lambda radio: radio.bar_data(False),
    "time-right": lambda radio: radio.tell_time("right"),
    "time-wrong": lambda radio: radio.tell_time("wrong"),
    "time-absent": lambda radio: radio.tell_time("absent"),
}


def _act(radio: Radio, acts: dict[str, Callable[[Radio], None]], what: str) -> None:
    act = acts.get(what)
    if act is None:
        raise ValueError("it is one of: " + ", ".join(acts))
    act(radio)
