"""The network in process: connections to hosts that are functions, with the faults of a real line.

A host is a callable that is asked once a connection and returns the conversation's other side:

    open() -> receive
    receive(data) -> [(delay_ms, answer)]    answer: bytes, or None when the host closes the connection

`receive` gets bytes in the pieces that were sent. A host that wants whole messages is wrapped: `framed(handle)`
cuts the stream at its 2-byte length and calls `handle(frame)` with each whole frame, length included.

    link = StandIn(world)
    link.hosts["10.0.0.1", 8583] = framed(acquirer.handle)

Bearers are switches; a switch that is turned is told as NETWORK, and what a bearer carried breaks when it goes:

    link.bearer_up["ethernet"] = False
    link.bearer_fault["wifi"] = "timeout"      up, but each attempt on it ends so
    link.bars["modem"] = 1

Faults are attributes that may change at any time:

    down        None, or the reason with which each attempt to connect ends, on whatever bearer
    deaf        what is sent never reaches the host (nothing is booked); the line stays up
    silent      what the host answers never reaches us (it has booked); the line stays up
    cut         None; "before": the line breaks before the host has got the bytes; "after": it gets and books them
                and the line breaks before its answer
    split       0, or answers arrive in pieces of so many bytes
    merged      all answers to one message arrive in one piece
    late_ms     added to the delay of each answer
"""

from collections.abc import Callable

from drivers.bearers import Order, most_telling, share_ms
from drivers.link import check_where
from firmware.events import LINK_DATA, LINK_DOWN, LINK_STEP, LINK_UP, NETWORK, Event
from firmware.ports import BEARERS

STEPS = ("bearer", "name", "tcp", "tls")
# How many of STEPS are done when an attempt fails; with any other fault, all that come before TLS.
STEPS_DONE = {"no-network": 0, "name": 1, "unreachable": 2, "timeout": 2, "refused": 2}
ADDRESSES = {"ethernet": "192.168.1.20", "wifi": "192.168.2.20", "modem": "10.64.0.20"}


def framed(handle):
    """A host out of `handle(frame) -> [(delay_ms, answer)]`; frame: a 2-byte big-endian length and so many bytes."""

    def open_conversation():
        waiting = bytearray()

        def receive(data):
            waiting.extend(data)
            answers = []
            while len(waiting) >= 2:
                end = 2 + int.from_bytes(waiting[:2], "big")
                if len(waiting) < end:
                    break
                frame = bytes(waiting[:end])
                del waiting[:end]
                answers.extend(handle(frame))
            return answers

        return receive

    return open_conversation


class Switches(dict):
    """Calls changed(name) when a value has become another."""

    def __init__(self, values: dict, changed: Callable[[str], None]):
        super().__init__(values)
        self._changed = changed

    def __setitem__(self, name: str, value: object) -> None:
        before = self[name]  # there are no other bearers
        super().__setitem__(name, value)
        if before != value:
            self._changed(name)


class StandIn:
    """`ports.Link`. `reach` is called with the named points, as by `drivers.link`, before the world goes on."""

    def __init__(self, world, reach=None):
        self.world = world
        self.reach = reach or (lambda point: None)
        self.hosts: dict = {}
        self.connect_ms = 20
        self.travel_ms = 10
        self.bearer_up = Switches(dict.fromkeys(BEARERS, True), self._switched)
        self.bearer_fault: dict[str, str] = {}
        self.bars = Switches({"ethernet": None, "wifi": 4, "modem": 4}, lambda bearer: self._tell())
        self.down: str | None = None
        self.deaf = False
        self.silent = False
        self.cut: str | None = None
        self.split = 0
        self.merged = False
        self.late_ms = 0
        self._open: dict = {}
        self._order = Order()
        self._under_way: list = []  # what has left us and has not reached the host

    # The port.

    def connect(self, ticket: int, where: dict) -> None:
        check_where(where)
        if ticket in self._open:
            raise ValueError(f"link: ticket {ticket} is already open")
        self._open[ticket] = _Conversation()
        self.reach("link:connect")
        up = [name for name in where.get("bearers", BEARERS) if self.bearer_up[name]]
        ways = self._order.sort(up, self.world.now_ms())
        if ways:
            self._attempt(ticket, dict(where), ways, self.world.now_ms() + where["connect_ms"], [])
        else:
            self._later(0, ticket, lambda talk: self._end(ticket, "no-network"))

    def bearers(self) -> list[dict]:
        return [
            {
                "name": name,
                "state": "up" if self.bearer_up[name] else "down",
                "bars": self.bars[name],
                "address": ADDRESSES[name] if self.bearer_up[name] else "",
            }
            for name in BEARERS
        ]

    def send(self, ticket: int, data: bytes) -> None:
        talk = self._open.get(ticket)
        if talk is None or talk.receive is None or not data:
            return
        data = bytes(data)
        self.reach("link:send")
        if not self.deaf and self.cut != "before":
            # The host goes on with what has left us, whatever becomes of the connection.
            parcel = (ticket, talk, data, self.cut)
            self._under_way.append(parcel)
            self.world.later(self.travel_ms, lambda: self._deliver(parcel))
        self.reach("link:sent")
        if self.cut:
            self._later(2 * self.travel_ms, ticket, lambda talk: self._end(ticket, "broken"))

    def close(self, ticket: int | None = None) -> None:
        """Ends one connection, or all of them: the device has lost its power. What is under way arrives all the same."""
        if ticket is None:
            self._open.clear()
            while self._under_way:
                self._deliver(self._under_way[0])
        else:
            self._open.pop(ticket, None)

    # What a person or a test does to the line.

    def drop(self) -> None:
        """The line goes down under all open connections."""
        for ticket, talk in list(self._open.items()):
            if talk.receive is not None:
                self._end(ticket, "broken")

    # The line itself.

    def _later(self, ms, ticket, act):
        """Runs act(conversation) unless the ticket has been closed meanwhile."""
        talk = self._open[ticket]
        self.world.later(ms, lambda: self._open.get(ticket) is talk and act(talk))

    def _attempt(self, ticket, where, ways, end_ms, faults):
        """Tries the first of `ways`, and the others when it fails, as `drivers.link` does."""
        bearer, others = ways[0], ways[1:]
        why = self.down or self.bearer_fault.get(bearer)
        host = self.hosts.get((where["address"], where["port"]))
        if why is None and host is None:
            known = any(address == where["address"] for address, port in self.hosts)
            why = "refused" if known else "unreachable"
        ms = share_ms(end_ms - self.world.now_ms(), len(others)) if why == "timeout" else self.connect_ms

        def settle(talk):
            steps = len(STEPS) - (not where["tls"]) if why is None else STEPS_DONE.get(why, 3)
            if where.get("steps", False):
                for step in STEPS[:steps]:
                    self.world.post(Event(LINK_STEP, ticket, (step, self.connect_ms if step == "tcp" else 0)))
            if why is None:
                self._order.forgive(bearer)
                talk.bearer, talk.receive = bearer, host()
                self.world.post(Event(LINK_UP, ticket, bearer))
                return
            faults.append(why)
            self._order.failed(bearer, why, self.world.now_ms())
            if others:
                self._attempt(ticket, where, others, end_ms, faults)
            else:
                self._end(ticket, most_telling(faults))

        self._later(ms, ticket, settle)

    def _switched(self, bearer):
        if self.bearer_up[bearer]:
            self._order.forgive(bearer)
        else:
            for ticket, talk in list(self._open.items()):
                if talk.bearer == bearer:
                    self._end(ticket, "broken")
        self._tell()

    def _tell(self):
        self.world.post(Event(NETWORK, 0, None))

    def _deliver(self, parcel):
        if parcel in self._under_way:  # else it has arrived when the power went
            self._under_way.remove(parcel)
            self._arrive(*parcel)

    def _arrive(self, ticket, talk, data, cut):
        answers = talk.receive(data)
        if cut or self.silent:
            return
        if self.merged:
            answers = _merge(answers)
        for delay_ms, answer in answers:
            delay_ms += self.travel_ms + self.late_ms
            if self._open.get(ticket) is not talk:
                return
            if answer is None:
                self._later(delay_ms, ticket, lambda talk: self._end(ticket, "closed"))
                continue
            size = self.split or len(answer) or 1
            for start in range(0, len(answer), size):
                piece = bytes(answer[start : start + size])
                self._later(delay_ms + start // size, ticket, lambda talk, piece=piece: self._hear(ticket, piece))

    def _hear(self, ticket, piece):
        self.reach("link:receive")
        self.world.post(Event(LINK_DATA, ticket, piece))

    def _end(self, ticket, why):
        del self._open[ticket]
        self.world.post(Event(LINK_DOWN, ticket, why))


class _Conversation:
    def __init__(self):
        self.receive = None  # until the line is up
        self.bearer = None  # what carries it then


def _merge(answers):
    """One answer at the time of the last, and the closing after it if there is one."""
    data = b"".join(answer for delay_ms, answer in answers if answer is not None)
    last = max((delay_ms for delay_ms, answer in answers if answer is not None), default=0)
    merged = [(last, data)] if data else []
    return merged + [(delay_ms, None) for delay_ms, answer in answers if answer is None]
