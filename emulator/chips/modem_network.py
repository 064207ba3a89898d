"""SIM, registration and data connections of a module, as the world around it lets them be.

    SIM         absent -> busy -> ready | pin | puk
    registered  0 not looking   2 looking   1 at home   3 denied   5 roaming
    data        attached, contexts (APN by number), those of them that are active (address by number)

`look` compares what is with what the world allows, and begins what leads there; it is called after every change. Lost
coverage stops data at once, is told after `times.lose`, and takes the connections with it after `times.drop`.

Sources: 3GPP TS 27.007 7.2, 10.1.20, 10.1.22 (registration states), 24.301 5.5 (attach).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.radio import HOME, Tower

if TYPE_CHECKING:
    from emulator.chips.modem import ModemChip

WORDS = {0: "off", 1: "home", 2: "searching", 3: "denied", 5: "roaming"}
ACCESS = {"4G": 7, "3G": 2, "2G": 0}  # <AcT>
REPORTS = ("+CREG", "+CGREG", "+CEREG")
UNKNOWN_SIGNAL = 99


class Network:
    """sim, stat: see above; tower: where it is registered, or None; functions: +CFUN."""

    def __init__(self, chip: ModemChip) -> None:
        self._chip = chip
        self.radio = chip.radio
        self.functions = 1
        self.automatic = True  # +COPS=0; False after +COPS=2
        self.sim = "absent"
        self.stat = 0
        self.tower: Tower | None = None
        self.detached = False  # by +CGATT=0
        self.contexts: dict[int, str] = {1: ""}
        self.active: dict[int, str] = {}
        self.reports = dict.fromkeys(REPORTS, 0)
        self._told: dict[str, str] = {}
        self._planned: tuple[int, Tower | None] | None = None
        self._plan = 0
        self._sim_plan = 0
        self._drop = 0
        self._dropping = False
        self._subnet = 1

    # -- the signal

    @property
    def dbm(self) -> int | None:
        return self.radio.dbm if self.functions == 1 else None

    @property
    def rssi(self) -> int:
        """As +CSQ has it."""
        level = self.dbm
        return UNKNOWN_SIGNAL if level is None else (level + 113) // 2

    # -- what follows from the world

    def look(self) -> None:
        self._look_sim()
        self._look_registration()
        self._look_data()

    def _look_sim(self) -> None:
        there = self.radio.inserted and self.functions != 0
        if not there:
            if self.sim != "absent":
                self._set_sim("absent", self._chip.family.sim_out)
        elif self.sim == "absent":
            self._sim_plan += 1
            self.sim = "busy"
            self.radio.card.power()
            self._later(self._chip.times.sim, self._sim_read, lambda plan=self._sim_plan: plan == self._sim_plan)  # type: ignore[misc]
        elif self.sim != "busy":
            state = {"dead": "puk"}.get(self.radio.card.state, self.radio.card.state)
            if state != self.sim:
                self.sim_read()

    def _sim_read(self) -> None:
        if self.sim == "busy":
            self.sim_read()

    def sim_read(self) -> None:
        """The SIM has said what it wants."""
        state = {"dead": "puk"}.get(self.radio.card.state, self.radio.card.state)
        lines = {"ready": self._chip.family.sim_ready, "pin": ("+CPIN: SIM PIN",), "puk": ("+CPIN: SIM PUK",)}[state]
        self._set_sim(state, lines)

    def _set_sim(self, state: str, lines: tuple[str, ...]) -> None:
        self.sim = state
        self._sim_plan += 1
        for text in lines:
            self._chip.urc(text)
        self._chip.told()

    def _allowed(self) -> tuple[int, Tower | None]:
        """The state that the world leads to."""
        if self.functions != 1 or self.sim != "ready" or not self.automatic:
            return 0, None
        if self.radio.dbm is None:
            return 2, None
        tower = self.radio.tower
        if self.radio.denied or self.radio.card.frozen:
            return 3, None
        return (1 if tower.network == HOME else 5), tower

    def _look_registration(self) -> None:
        wanted = self._allowed()
        if wanted == (self.stat, self.tower):
            self._planned = None
            self._plan += 1
            return
        if wanted == self._planned:
            return
        times = self._chip.times
        if wanted[0] == 0:
            self._register(*wanted)
            return
        if wanted[0] == 2:
            seconds = times.lose if self.stat in (1, 5) else 0.0
        elif self.stat in (1, 5):
            seconds = times.move if wanted[0] in (1, 5) else times.lose
        else:
            if self.stat != 2:
                self._register(2, None)
            seconds = times.register
        self._planned = wanted
        self._plan += 1
        self._later(seconds, lambda: self._register(*wanted), lambda plan=self._plan: plan == self._plan)  # type: ignore[misc]

    def _register(self, stat: int, tower: Tower | None) -> None:
        self._planned = None
        self._plan += 1
        new = stat in (1, 5) and self.stat not in (1, 5)
        self.stat, self.tower = stat, tower
        for name, mode in self.reports.items():
            if mode:
                text = self.report(name, mode)
                if text != self._told.get(name):
                    self._told[name] = text
                    self._chip.urc(f"{name}: {text}")
        if new:
            self._hear_time()
            for text in self._chip.family.registered:
                self._chip.urc(text)
            self._chip.dialect.registered(self._chip)
        self._chip.told()

    def _hear_time(self) -> None:
        told = self.radio.clock()
        if told is None:
            return
        seconds, quarters = told
        self._chip.clock_set = (time.monotonic(), seconds, quarters)
        zone = "%+03d" % quarters
        mode = self._chip.settings.get("+CTZR", "0")
        if mode == "1":
            self._chip.urc(f'+CTZV: "{zone}"')
        elif mode == "2":
            self._chip.urc('+CTZE: "%s",0,"%s"' % (zone, time.strftime("%Y/%m/%d,%H:%M:%S", time.gmtime(seconds))))

    def _look_data(self) -> None:
        if not self.active:
            return
        if self.flows:
            self._dropping = False
            self._drop += 1
            return
        # Without coverage the connection is kept for a while; whoever refuses it, or has no SIM, ends it at once.
        kept = self.stat in (1, 2, 5) and not self.radio.no_data
        if kept and self._dropping:
            return
        self._dropping = True
        self._drop += 1
        self._later(self._chip.times.drop if kept else 0.0, self._drop_data, lambda drop=self._drop: drop == self._drop)  # type: ignore[misc]

    def _drop_data(self) -> None:
        if self.active and not self.flows:
            self.lose_data()

    def lose_data(self) -> None:
        """The network has ended the data connection."""
        lost = list(self.active)
        self.active.clear()
        self._dropping = False
        self._chip.sockets.events.lost(lost, self._chip.sockets.abandon())
        self._chip.told()

    def _later(self, seconds: float, act: Callable[[], None], still: Callable[[], bool]) -> None:
        network = self

        def due() -> None:
            if still() and self._chip.network is network:
                act()

        if seconds:
            self._chip.after(seconds, due)
        else:
            due()

    # -- what the commands ask

    @property
    def word(self) -> str:
        return WORDS[self.stat]

    @property
    def operator(self) -> str:
        return self.tower.operator if self.tower else ""

    @property
    def technology(self) -> str:
        return self.tower.technology if self.tower else ""

    @property
    def address(self) -> str:
        return next(iter(self.active.values()), "")

    @property
    def attached(self) -> bool:
        return self.stat in (1, 5) and not self.radio.no_data and not self.detached

    @property
    def flows(self) -> bool:
        """Whether a packet would come through now."""
        return self.attached and self.radio.dbm is not None

    def report(self, name: str, mode: int) -> str:
        """What stands behind "+CREG: " of an unsolicited line; of +CGREG and +CEREG likewise."""
        stat = self.stat
        if name == "+CEREG" and self.tower and self.tower.technology != "4G":
            stat = 0
        if mode < 2 or stat not in (1, 5) or self.tower is None:
            return str(stat)
        return f'{stat},"{self.tower.area:04X}","{self.tower.cell:X}",{ACCESS[self.tower.technology]}'

    def ask(self, name: str, mode: int) -> None:
        """+CREG=n and its like."""
        self.reports[name] = mode
        self._told[name] = self.report(name, mode)

    def activate(self, number: int) -> bool:
        """Opens a data connection; False when the network gives none."""
        if not self.flows:
            return False
        if number not in self.active:
            self._subnet = self._subnet % 250 + 1
            self.active[number] = f"10.64.{number}.{self._subnet + 1}"
            self._chip.told()
        return True

    def deactivate(self, number: int) -> None:
        """Closes a data connection, and what runs over it."""
        if self.active.pop(number, None):
            self._chip.sockets.abandon()
            self._chip.told()
