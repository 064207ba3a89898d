"""A 4G modem in process, in virtual time: SIM, network, messages, and streams to hosts that are functions.

It does what `drivers.modem` does with a module that works; AT commands, their errors and the cures for them are not here.
Hosts are those of `standins.link`: `hosts[address, port]` is called once a stream and gives `receive(data)` ->
[(delay_ms, answer or None)].

    modem = StandIn(world, link.hosts)
    modem.names["acquirer.test"] = "10.0.0.1"
    modem.signal(None)                             nothing is heard; streams stay, and carry nothing

What a person or a test does: `signal`, `insert`, `deny`, `move`, `bring`, `drop`, `unplug`, `plug_in`.
"""

import re
from collections.abc import Callable

from drivers import modem_facts as facts
from drivers import sms
from firmware.events import MODEM_DONE, MODEM_FAILED, NETWORK, PART, SMS, Event

PART_NAME = "modem"
SOCKETS = 11
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


class Socket:
    """A stream: what `open_socket` hands out."""

    def __init__(self, address: str, port: int, deadline_ms: int, on_event: Callable[[str, object], None]) -> None:
        self.address, self.port = address, port
        self.deadline_ms = deadline_ms
        self.on_event: Callable[[str, object], None] | None = on_event
        self.state = "waiting"  # "opening", "up"
        self.since_ms = 0
        self.receive: Callable | None = None
        self.unheard: list[bytes] = []  # sent while nothing was heard
        self.held = False
        self.inbox: list[bytes | None] = []  # came while the caller wanted none; None: the end


class StandIn:
    """`ports.Modem`, and the socket service.

    start_ms, sim_ms, register_ms, attach_ms, connect_ms, travel_ms, sms_ms   how long things take
    hosts        as of `standins.link`        names      {name: address}
    sim          "ready", "pin", "puk", "absent"; pin, tries: of the SIM
    sent         [(number, text)] that left
    utc_s        the network's clock when the world began, or None for a network that tells none
    """

    def __init__(self, world, hosts: "dict | None" = None, utc_s: "int | None" = None) -> None:
        self._world = world
        self.hosts: dict = {} if hosts is None else hosts
        self.names: dict[str, str] = {}
        self.utc_s = utc_s
        self.start_ms, self.sim_ms, self.register_ms, self.attach_ms = 2_000, 500, 1_500, 500
        self.connect_ms, self.travel_ms, self.sms_ms = 150, 60, 1_000
        self.sim, self.pin, self.tries, self.asks = "ready", "1234", 3, False
        self.dbm: int | None = -63
        self.denied = self.roaming = False
        self.operator, self.technology = "CHN-UNICOM", "4G"
        self.cell = ("460", "01", "18BE", "8608A7B")
        self.imei, self.iccid = "860000051234563", "89860012345678901234"
        self.sent: list[tuple[str, str]] = []
        self.state = "starting"
        self.apn = ""
        self.pin_source: Callable[[], bytearray | None] | None = None
        self.pin_refused: Callable[[], None] | None = None
        self._pin_tried = False
        self._registered = "unknown"
        self._sim_read = False
        self._address = ""
        self._started, self._plugged = False, True
        self._life = 0  # counts starts: what was planned in one is none of the next
        self._told: dict = {}
        self._restarts: list[int] = []
        self._waiting: list[tuple[str, str]] = []
        self._open: list[Socket] = []

    def start(self) -> None:
        """Ready after `start_ms`."""
        self._started = True
        self._boot()

    def close(self) -> None:
        """No more events. It may be started again."""
        self._started, self._pin_tried, self.state = False, False, "starting"
        self._life += 1
        self._open.clear()
        self._forget()

    def attach_vault(self, vault) -> None:
        """See `drivers.modem`."""
        self.pin_source, self.pin_refused = vault.sim_pin, vault.drop_sim_pin

    # The bench.

    def signal(self, dbm: "int | None") -> None:
        """How well the tower is heard; None: not at all."""
        self.dbm = dbm
        if dbm is None and self._registered in ("home", "roaming"):
            self._registered = "searching"
        elif dbm is not None:
            self._search()
            for socket in list(self._open):
                unheard, socket.unheard = socket.unheard, []
                for data in unheard:
                    self._carry(socket, data)
        self._changed()

    def insert(self, sim: str = "ready", pin: str = "1234") -> None:
        """A SIM is put in ("ready", "pin", "puk"), or taken out ("absent")."""
        self.sim, self.pin, self.tries, self.asks = sim, pin, 0 if sim == "puk" else 3, sim == "pin"
        self._forget()
        self._break("broken")
        if self.state == "ready":
            self._later(self.sim_ms, self._read_sim)
        self._changed()

    def deny(self, denied: bool = True) -> None:
        """The network lets nobody in."""
        self.denied = denied
        if denied and self._registered not in ("unknown", "off"):
            self._registered, self._address = "denied", ""
            self._break("broken")
        elif self._registered == "denied":
            self._registered = "searching"
            self._search()
        self._changed()

    def move(self, cell: "tuple[str, str, str, str]", roaming: bool = False) -> None:
        """To another cell."""
        self.cell, self.roaming = cell, roaming
        if self._registered in ("home", "roaming"):
            self._registered = "roaming" if roaming else "home"
        self._changed()

    def bring(self, number: str, text: str) -> None:
        """A message comes; it waits in the network until there is one."""
        self._waiting.append((number, text))
        self._deliver_messages()

    def drop(self) -> None:
        """The network ends the context; a new one is built."""
        self._address = ""
        self._break("broken")
        self._changed()
        self._later(self.attach_ms, self._attach)

    def unplug(self) -> None:
        """The module is gone until `plug_in`."""
        self._plugged = False
        if self._started:
            self._fall("gone")

    def plug_in(self) -> None:
        """It is back, and starts."""
        self._plugged = True
        if self._started:
            self._boot()

    # The port.

    def status(self) -> dict:
        on = self.state == "ready"
        here = on and self._registered in ("home", "roaming")
        dbm = self.dbm if on else None
        return {
            "sim": self.sim if on and self._sim_read else "unknown",
            "registered": self._registered if on else "unknown",
            "dbm": dbm,
            "bars": facts.bars(dbm),
            "operator": self.operator if here else "",
            "technology": self.technology if here else "",
            "imei": self.imei if on else "",
            "iccid": self.iccid if on and self._sim_read and self.sim == "ready" else "",
            "cell": self.cell if here else None,
            "address": self._address,
            "trouble": "",
        }

    def network_time(self) -> "int | None":
        if self.utc_s is None or self.state != "ready" or self._registered not in ("home", "roaming"):
            return None
        return self.utc_s + self._world.now_ms() // 1000

    def send_sms(self, ticket: int, number: str, text: str) -> None:
        sms.submit(number, text, 0)  # raises what is wrong with it

        def leave():
            here = self.status()
            why = None
            if self.state != "ready":
                why = "no-modem"
            elif here["sim"] != "ready":
                why = "no-sim"
            elif here["registered"] not in ("home", "roaming"):
                why = "not-registered"
            if why is None:
                self.sent.append((number, text))
            self._post(*((MODEM_DONE, ticket, None) if why is None else (MODEM_FAILED, ticket, why)))

        self._later(self.sms_ms if self.state == "ready" else 0, leave)

    def restart(self, ticket: int) -> None:
        if not self._plugged:
            self._later(0, lambda: self._post(MODEM_FAILED, ticket, "no-modem"))
            return
        self._restarts.append(ticket)
        self._fall("starting")
        self._boot()

    def unlock(self, pin: bytearray, done: "Callable[[str], None]") -> None:
        typed = bytes(pin)
        pin[:] = bytes(len(pin))

        def tried():
            if self.state != "ready" or not self._sim_read or self.sim not in ("pin", "puk"):
                done("no-modem")
            else:
                done("right" if self._try_pin(typed) else "wrong")

        self._world.later(100, tried)

    def set_apn(self, apn: str) -> None:
        """The access point for the next context."""
        self.apn = apn

    # The socket service.

    def open_socket(self, address: str, port: int, timeout_ms: int, on_event: Callable[[str, object], None]) -> Socket:
        """See `drivers.modem`."""
        now_ms = self._world.now_ms()
        socket = Socket(address, port, now_ms + timeout_ms, on_event)
        socket.since_ms = now_ms
        self._open.append(socket)
        self._world.later(timeout_ms, lambda: self._expire(socket))
        self._world.later(0, self._try_all)
        return socket

    def send_socket(self, handle: Socket, data: bytes) -> None:
        """See `drivers.modem`."""
        if handle in self._open and handle.state == "up" and data:
            self._carry(handle, bytes(data))

    def hold_socket(self, handle: Socket, held: bool) -> None:
        """See `drivers.modem`."""
        handle.held = held
        if not held:
            inbox, handle.inbox = handle.inbox, []
            for answer in inbox:
                self._later(0, lambda answer=answer: self._come(handle, answer))

    def close_socket(self, handle: Socket) -> None:
        """See `drivers.modem`."""
        handle.on_event = None
        if handle in self._open:
            self._open.remove(handle)
            self._world.later(0, self._try_all)

    # Inside: the module.

    def _post(self, name, ticket, value):
        self._world.post(Event(name, ticket, value))

    def _later(self, ms, act):
        """Runs it unless the module has fallen or begun anew meanwhile."""
        life = self._life
        self._world.later(ms, lambda: life == self._life and act())

    def _changed(self):
        shown = {name: value for name, value in self.status().items() if name != "dbm"}
        if self._started and shown != self._told:
            self._told = shown
            self._post(NETWORK, 0, None)

    def _forget(self):
        self._registered, self._address, self._sim_read = "unknown", "", False

    def _fall(self, state):
        self._life += 1
        self._forget()
        self._break("broken")
        if state != self.state:
            self.state = state
            self._post(PART, 0, (PART_NAME, state))
        if state == "gone":
            for socket in list(self._open):
                self._end(socket, "no-network")
        self._changed()

    def _boot(self):
        self._later(self.start_ms if self._plugged else 0, self._ready if self._plugged else lambda: self._fall("gone"))

    def _ready(self):
        if self.state == "ready":
            return
        self.state = "ready"
        if self.asks and self.sim == "ready":
            self.sim = "pin"
        self._post(PART, 0, (PART_NAME, "ready"))
        for ticket in self._restarts:
            self._post(MODEM_DONE, ticket, None)
        self._restarts = []
        self._later(self.sim_ms, self._read_sim)
        self._changed()

    def _read_sim(self):
        self._sim_read = True
        if self.sim == "pin" and not self._pin_tried and self.pin_source is not None:
            pin = self.pin_source()
            if pin is not None:
                self._pin_tried = True
                right = self._try_pin(bytes(pin))
                pin[:] = bytes(len(pin))
                if not right and self.pin_refused is not None:
                    self.pin_refused()
        self._changed()
        self._search()
        self._try_all()

    def _try_pin(self, pin):
        if self.sim == "puk":
            return False
        right = pin == self.pin.encode()
        self.tries = 3 if right else self.tries - 1
        self.sim = "ready" if right else "pin" if self.tries else "puk"
        self._pin_tried = not right
        self._changed()
        self._search()
        return right

    def _search(self):
        if self.state != "ready" or self.sim != "ready" or not self._sim_read or self._registered in ("home", "roaming"):
            return
        self._registered = "denied" if self.denied else "searching"
        self._changed()
        if self.dbm is not None and not self.denied:
            self._later(self.register_ms, self._register)

    def _register(self):
        if self._registered == "searching" and self.dbm is not None and self.sim == "ready":
            self._registered = "roaming" if self.roaming else "home"
            self._changed()
            self._deliver_messages()
            self._later(self.attach_ms, self._attach)

    def _attach(self):
        if self._registered in ("home", "roaming"):
            self._address = self._address or "10.64.1.2"
            self._changed()
            self._try_all()

    def _deliver_messages(self):
        if self.state == "ready" and self._registered in ("home", "roaming") and self._waiting:
            waiting, self._waiting = self._waiting, []
            for number, text in waiting:
                self._later(self.sms_ms, lambda number=number, text=text: self._post(SMS, 0, (number, "", text)))

    # Inside: streams.

    def _tell(self, socket, name, value):
        if socket.on_event is not None and self._started:
            socket.on_event(name, value)

    def _end(self, socket, why):
        if socket in self._open:
            self._open.remove(socket)
            self._tell(socket, "down", why)
            socket.on_event = None
            self._world.later(0, self._try_all)

    def _break(self, why):
        """What is open is lost; what is being opened begins anew."""
        for socket in list(self._open):
            if socket.state == "up":
                self._end(socket, why)
            else:
                socket.state = "waiting"

    def _expire(self, socket):
        if socket in self._open and socket.state != "up":
            self._end(socket, "timeout" if socket.state == "opening" else "no-network")

    def _try_all(self):
        out = self.state in ("gone", "failed") or self._registered == "denied" or self._sim_read and self.sim != "ready"
        for socket in list(self._open):
            if socket.state == "waiting" and out:
                self._end(socket, "no-network")
            elif socket.state == "waiting" and self._address and self._registered in ("home", "roaming"):
                if sum(one.state != "waiting" for one in self._open) < SOCKETS:
                    socket.state = "opening"
                    self._step(socket, "bearer")
                    self._reach_host(socket)

    def _step(self, socket, name):
        now_ms = self._world.now_ms()
        self._tell(socket, "step", (name, now_ms - socket.since_ms))
        socket.since_ms = now_ms

    def _reach_host(self, socket):
        address, why = socket.address, None
        if not _ADDRESS.fullmatch(address):
            address = self.names.get(address, "")
        host = self.hosts.get((address, socket.port)) or self.hosts.get((socket.address, socket.port))
        known = any(address == one for one, _ in self.hosts)
        if host is None:
            why = ("refused" if known else "timeout") if address else "name"
        if why == "timeout":
            return  # nothing answers: its deadline will end it
        if why != "name" and address != socket.address:
            self._step(socket, "name")

        def reached():
            if socket not in self._open or socket.state != "opening" or self.dbm is None:
                return
            if why is not None:
                self._end(socket, why)
                return
            socket.state, socket.receive = "up", host()
            self._step(socket, "tcp")
            self._tell(socket, "up", None)

        self._later(self.connect_ms, reached)

    def _carry(self, socket, data):
        if self.dbm is None:
            socket.unheard.append(data)
            return

        self._later(self.travel_ms, lambda: socket in self._open and self._tell(socket, "sent", None))

        def arrive():
            answers = socket.receive(data)
            for delay_ms, answer in answers:
                self._later(delay_ms + self.travel_ms, lambda answer=answer: self._come(socket, answer))

        # What has left us arrives, whatever becomes of the stream.
        self._world.later(self.travel_ms, arrive)

    def _come(self, socket, answer):
        if socket not in self._open or self.dbm is None:
            return
        if socket.held:
            socket.inbox.append(answer)
        elif answer is None:
            self._end(socket, "closed")
        elif answer:
            self._tell(socket, "data", bytes(answer))
