"""Streams through sockets on the modem, by the tables of its family.

The owner's thread calls `work` and `heard`; the owner lends it `ask(step, ...)`, its clock, and what the network is at. One
socket goes through

    state     what it waits for                                         goes on with
    WAITING   the context, and one of the modem's places                NAMING, or OPENING for an address
    NAMING    the address of its name; one socket at a time             OPENING, also without an answer: the modem
                                                                        looks the name up itself when it opens
    OPENING   the modem's word for it                                   UP
    UP        bytes, until nobody wants it any more or it is lost       OVER
    OVER      its place is given back to the modem

Everything up to UP shares the deadline that the caller gave. What the modem accepts is not what the host has got: a stream
whose bytes could not be handed over or fetched whole is "broken", never repaired.
"""

import re
import threading
from collections.abc import Callable
from typing import Any

from drivers.modem_profiles import Family, Profile

WAITING, NAMING, OPENING, UP, OVER = "waiting", "naming", "opening", "up", "over"
STALE = "stale"
NAME_S = 20.0  # for a name's address; then the modem is left to look it up itself
FULL_S = 0.2  # a modem whose buffer is full is asked again after so long
SEND_S = 20.0  # and for so long
HELD = 65_536  # bytes that are pushed are kept for a caller who wants none now, up to so many
GRIP_S = 0.5  # `stop` waits so long at most for an answer that is being given

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


class Socket:
    """What `Modem.open_socket` hands out; its caller only hands it back."""

    def __init__(self, address: str, port: int, now: float, timeout_ms: int, on_event: Callable[[str, object], None]) -> None:
        self.address, self.port = address, port
        self.began, self.deadline = now, now + timeout_ms / 1000
        self.step_at = now  # when the step that it is at began
        self.state = WAITING
        self.id: int | None = None
        self.wanted = True  # until `stop`
        self.told_bearer = False
        self.outbox = bytearray()
        self.held = False  # the caller wants no bytes now
        self.inbox = bytearray()  # pushed meanwhile
        self.send_at = 0.0  # not before
        self.full_since: float | None = None
        self.unread = False
        self.ended_by: str | None = None  # the other side's end, told when all has been read
        self.tries = 0
        self.grip = threading.RLock()  # held while an answer is given
        self._on_event = on_event

    def tell(self, name: str, value: object) -> None:
        """Calls the caller, unless he wants nothing any more."""
        with self.grip:
            if self.wanted:
                self._on_event(name, value)

    def stop(self) -> None:
        """No more answers. One that is being given in another thread is waited for, unless that thread waits for us."""
        self.wanted = False
        if self.grip.acquire(timeout=GRIP_S):
            self.grip.release()


class Sockets:
    """All of them.

    ask(step, data=None, socket=None, **values) -> the owner's Answer: `ok`, `text`, `lines`, `data`; None for no answer
    now()           seconds
    attached()      whether there is a context          registered()   whether there is a network
    hopeless()      one of ports.LINK_FAULTS when there will be none soon, else None
    trouble(what)   "socket" or "context": something is wrong with it
    well()          a host has been reached
    """

    def __init__(self, profile: Profile, owner: Any) -> None:
        self._profile = profile
        self._family: Family = profile.family
        self._owner = owner
        self._urcs = [(re.compile(pattern), kind) for pattern, kind in self._family.urcs]
        self.all: list[Socket] = []
        self._places: list[Socket | str | None] = [None] * profile.sockets  # STALE: to be given back
        self._naming: Socket | None = None
        self._names = True  # the modem knows the command for names

    # From the owner.

    def add(self, socket: Socket) -> None:
        self.all.append(socket)

    @property
    def up(self) -> bool:
        """Whether any is."""
        return any(socket.state == UP for socket in self.all)

    def deadlines(self) -> "list[float]":
        """When `expire` has something to do."""
        return [socket.deadline for socket in self.all if socket.state in (WAITING, NAMING, OPENING)]

    def dues(self) -> "list[float]":
        """When `work` has something to do that nothing else announces."""
        times = [socket.send_at for socket in self.all if socket.state == UP and socket.full_since is not None]
        return times + [socket.step_at + NAME_S for socket in self.all if socket.state == NAMING]

    def expire(self) -> None:
        """Deadlines; also while a command is under way."""
        now = self._owner.now()
        for socket in list(self.all):
            if socket.state in (WAITING, NAMING, OPENING) and now >= socket.deadline:
                waited = socket.state == WAITING and not (self._owner.attached() and self._owner.registered())
                if socket.state == OPENING and socket.wanted:
                    self._owner.trouble("timeout")
                self._end(socket, "no-network" if waited else "timeout")

    def lose(self, why: str = "broken") -> None:
        """The context is gone, or the modem itself, and all sockets with it. Those that are not up yet begin anew."""
        self._places = [None] * len(self._places)  # the modem has forgotten them
        self._naming, self._names = None, True
        for socket in list(self.all):
            socket.id = None
            if socket.state in (NAMING, OPENING):
                socket.state = WAITING
            elif socket.state == UP:
                self._end(socket, why)

    def drop(self, why: str) -> None:
        """There will be none soon: those that wait are told."""
        for socket in list(self.all):
            self._end(socket, why)
            if socket.id is None:
                self.all.remove(socket)

    def heard(self, line: str) -> bool:
        """A URC -> whether it is one of ours."""
        for pattern, kind in self._urcs:
            match = pattern.fullmatch(line)
            if match:
                self._urc(kind, match.groupdict())
                return True
        return False

    def pushed(self, header: str, data: bytes) -> None:
        """Bytes that came without being asked for."""
        for pattern in self._family.counted:
            match = re.fullmatch(pattern, header)
            if match and "id" in match.groupdict():
                socket = self._at(match["id"])
                if socket is not None and socket.state == UP:
                    socket.inbox += data
                    self._hand_on(socket)

    def _hand_on(self, socket):
        if socket.inbox and not socket.held:
            data, socket.inbox = bytes(socket.inbox), bytearray()
            socket.tell("data", data)
        elif len(socket.inbox) > HELD:
            self._end(socket, "broken")

    def torn(self, header: str) -> None:
        """Bytes were announced and did not come: whose stream it was has a hole."""
        for pattern in self._family.counted:
            match = re.fullmatch(pattern, header)
            socket = self._at(match["id"]) if match and "id" in match.groupdict() else None
            if socket is not None and socket.state == UP:
                self._end(socket, "broken")

    def work(self) -> bool:
        """One turn for each -> whether there may be more to do at once."""
        busy = self._give_back()
        for socket in list(self.all):
            if not socket.wanted and socket.state != OVER:
                self._offer(socket)
                socket.state = OVER
            if socket.state == OVER:
                self._let_go(socket)
                busy = True
            elif socket.state == WAITING:
                busy = self._start(socket) or busy
            elif socket.state == NAMING and self._owner.now() >= socket.step_at + NAME_S:
                self._naming = None
                self._open(socket, socket.address)
            elif socket.state == UP:
                busy = self._serve(socket) or busy
        return busy

    # One socket.

    def _at(self, place):
        holder = self._places[int(place)] if int(place) < len(self._places) else None
        return holder if isinstance(holder, Socket) else None

    def _urc(self, kind, found):
        if kind == "deact":
            self._owner.trouble("deact")
        elif kind == "name":
            socket, self._naming = self._naming, None
            if socket is not None and socket.state == NAMING:
                self._named(socket, found.get("address"))
        else:
            socket = self._at(found["id"])
            if socket is None:
                return
            if kind == "recv":
                socket.unread = True
            elif kind == "closed":
                self._closed(socket)
            elif socket.state == OPENING:
                self._opened(socket, found.get("error") or "0")

    def _closed(self, socket):
        if socket.state == OPENING:
            self._end(socket, "refused")
        elif socket.state == UP:
            socket.ended_by = "closed"
            socket.unread = self._family.read is not None

    def _start(self, socket):
        hopeless = self._owner.hopeless()
        if hopeless:
            self._end(socket, hopeless)
            return True
        if not (self._owner.attached() and self._owner.registered()):
            return False
        if not socket.told_bearer:
            socket.told_bearer = True
            self._step(socket, "bearer")
        if not _HOST.fullmatch(socket.address):
            self._end(socket, "unreachable" if ":" in socket.address else "name")
            return True
        if _ADDRESS.fullmatch(socket.address) or not self._names:
            return self._open(socket, socket.address)
        if self._naming is not None or None not in self._places:
            return False
        self._naming, socket.state = socket, NAMING
        answer = self._owner.ask(self._family.resolve, host=socket.address)
        if socket.state == NAMING and (answer is None or not answer.ok):
            self._naming = None
            # Without an error of the name itself the modem does not know the command.
            self._names = answer is None
            return self._open(socket, socket.address)
        return True

    def _named(self, socket, address):
        if address is None:
            self._end(socket, "name")
            return
        self._step(socket, "name")
        # Opened by `work`: the owner may be in the middle of a command.
        socket.address, socket.state = address, WAITING

    def _open(self, socket, host):
        if None not in self._places:
            socket.state = WAITING
            return False
        socket.id = self._places.index(None)
        self._places[socket.id] = socket
        socket.state = OPENING
        answer = self._owner.ask(self._family.open, id=socket.id, host=host, port=socket.port)
        if socket.state != OPENING:
            return True  # its end came before the answer
        if answer is None:
            self._owner.trouble("socket")
            self._end(socket, "unreachable")
        elif not answer.ok:
            self._opened(socket, self._reason(answer))
        return True

    def _reason(self, answer):
        if self._family.why is not None:
            told = self._owner.ask(self._family.why)
            if told is not None and told.ok and told.lines:
                match = re.fullmatch(self._family.why.answer, told.lines[0])
                if match:
                    return match["error"]
        return str(answer.code) if answer.code is not None else "?"

    def _opened(self, socket, error):
        if error == "0":
            socket.state = UP
            self._step(socket, "tcp")
            socket.tell("up", None)
            self._owner.well()
            return
        why, whose = self._family.errors.get(error, ("unreachable", "socket"))
        if whose == "host":
            self._end(socket, why)
            return
        # The modem's own trouble: once more, on another place or with a new context, while there is time.
        self._owner.trouble(whose)
        socket.tries += 1
        if socket.tries > 1:
            self._end(socket, why)
        else:
            self._places[socket.id] = STALE  # whoever calls this may be in the middle of a command
            socket.id, socket.state = None, WAITING

    def _serve(self, socket):
        more = False
        self._hand_on(socket)
        if socket.unread and not socket.held:
            more = self._read(socket)
        if socket.state == UP and socket.ended_by and not socket.unread and not socket.inbox:
            self._end(socket, socket.ended_by)
            return True
        if socket.state == UP and socket.outbox and not socket.ended_by and self._owner.now() >= socket.send_at:
            more = self._send(socket) or more
        return more

    def _read(self, socket):
        family = self._family
        socket.unread = False  # a URC behind the answer sets it again
        answer = self._owner.ask(family.read, id=socket.id, n=self._profile.read)
        if socket.state != UP:
            return True
        if answer is None or (answer.torn and not answer.data):
            # What was on its way is lost, and nobody knows how much that was.
            self._end(socket, "broken")
            return True
        if answer.ok and answer.data:
            header, data = answer.data[0]
            if data:
                socket.tell("data", data)
            socket.unread = socket.unread or (_rest(family, header) > 0 if family.rest else bool(data))
        return True

    def _send(self, socket):
        family = self._family
        piece = bytes(socket.outbox[: self._profile.chunk])
        answer = self._owner.ask(family.send, data=piece, id=socket.id, n=len(piece))
        if socket.state != UP:
            return True
        taken = _accepted(family, answer, socket.id, len(piece))
        now = self._owner.now()
        if taken is None:
            self._end(socket, "broken")
        elif taken == 0:
            socket.full_since = now if socket.full_since is None else socket.full_since
            socket.send_at = now + FULL_S
            if now - socket.full_since >= SEND_S:
                self._end(socket, "broken")
            return False
        else:
            del socket.outbox[:taken]
            socket.full_since = None
            if not socket.outbox:
                socket.tell("sent", None)
        return True

    def _offer(self, socket):
        """The caller has gone: what he has sent is offered once."""
        if socket.state == UP and socket.outbox and not socket.ended_by:
            piece = bytes(socket.outbox[: self._profile.chunk])
            self._owner.ask(self._family.send, data=piece, id=socket.id, n=len(piece))

    def _step(self, socket, name):
        now = self._owner.now()
        socket.tell("step", (name, int((now - socket.step_at) * 1000)))
        socket.step_at = now

    def _end(self, socket, why):
        """Told at once; the modem is told by `work`."""
        if socket.state == OVER:
            return
        socket.state = OVER
        if self._naming is socket:
            self._naming = None
        socket.tell("down", why)
        socket.wanted = False

    def _let_go(self, socket):
        if socket in self.all:
            self.all.remove(socket)
        if self._naming is socket:
            self._naming = None
        if socket.id is not None:
            self._places[socket.id], socket.id = STALE, None
            self._give_back()

    def _give_back(self):
        """The modem closes what nobody holds; what is heard of it until then belongs to nobody."""
        stale = [place for place, holder in enumerate(self._places) if holder == STALE]
        for place in stale:
            self._owner.ask(self._family.close, id=place)
            self._places[place] = None
        return bool(stale)


def _rest(family, header):
    for pattern in family.counted:
        match = re.fullmatch(pattern, header)
        if match:
            return int(match["rest"])
    return 0


def _accepted(family, answer, place, size):
    """How many bytes the modem has taken; 0: none for now; None: the stream is lost."""
    if answer is None:
        return None
    if not answer.ok:
        return 0 if family.busy and re.fullmatch(family.busy, answer.text) else None
    for pattern, lines in ((family.send.answer, answer.lines), (family.send.success, [answer.text])):
        match = re.fullmatch(pattern.replace("{id}", str(place)), lines[0]) if pattern and lines else None
        if match and match.groupdict().get("accepted") is not None:
            taken = int(match["accepted"])
            return min(taken, size) if taken >= 0 else None
    return size
