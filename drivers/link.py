"""A byte stream to a host over whatever network there is: TCP by one of the bearers, with TLS on our side when asked for.

    bearers.py   which are up, in which order they are tried     tcp.py   sockets of the system
    tls.py       TLS between bytes and bytes                     modem.py sockets in the modem (attached: `attach_modem`)

One thread, the loop's, does it all. A connection is a generator in it: it yields until when it waits, and is sent
(what, value), what being an event of its socket (tcp.py), "send" for bytes of ours, or "time" when the time is up.

    for each bearer that is up, in order:   open -> TLS handshake      each in its share of what is left of connect_ms
        it failed: nothing of ours has been sent, so the next may try; the order remembers
    LINK_UP(bearer)                         from here on the connection lives and dies with this bearer
    stream -> LINK_DOWN(why)

The firmware may be slower than a host that never stops: pieces that it has not dropped yet are counted, and from
MOST_UNTAKEN on the socket is not read; a modem, which cannot be held, is cut off at MOST_UNHELD. How long to wait for an
answer is the firmware's business.

`close` and the end of a connection are decided under one lock, so nothing is posted for a ticket once `close` has
returned. The named points (see wires.reach) are "link:connect", "link:send", "link:sent", "link:receive".
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator

from drivers.bearers import Bearers, System, most_telling, share_ms
from drivers.loop import Loop, Timer
from drivers.tcp import Sockets, is_loopback
from drivers.tls import Contexts, Tls, TlsError
from firmware.events import LINK_DATA, LINK_DOWN, LINK_STEP, LINK_UP, Event
from firmware.ports import BEARERS, LINK_FAULTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Waits = Generator["float | None", tuple[str, Any], Any]

SEND_MS = 10_000
MOST_UNTAKEN = 256 * 1024
MOST_UNHELD = 4 * MOST_UNTAKEN
LOOK_S = 0.02  # how often a socket that is held is looked after
LOOK_AGAIN_S = 0.2  # while a bearer starts

_WHERE = (("address", str), ("port", int), ("tls", bool), ("authority", str), ("connect_ms", int))


def check_where(where: dict) -> None:
    """Raises ValueError unless `where` has the shape that `ports.Link.connect` asks for."""
    wrong = [key for key, kind in _WHERE if not isinstance(where.get(key), kind)]
    if wrong:
        raise ValueError(f"link: where lacks {', '.join(wrong)}, or has it of another type")
    if not 0 < where["port"] < 65536:
        raise ValueError("link: port must be 1..65535")
    if where["connect_ms"] <= 0:
        raise ValueError("link: connect_ms must be positive")
    if not isinstance(where.get("steps", False), bool):
        raise ValueError("link: steps must be True or False")
    bearers = where.get("bearers", BEARERS)
    if not isinstance(bearers, (tuple, list)) or [name for name in bearers if name not in BEARERS]:
        raise ValueError(f"link: bearers must be some of {', '.join(BEARERS)}")


class TcpLink:
    """`ports.Link`.

    part     "send_ms": how long the network may refuse to take our bytes (default 10,000).
             "only": the bearers that the board may use (default: all); "interfaces": {network interface: bearer}.
    reach    Called with the name of each point that is reached.
    system   What Linux tells of its interfaces, for whoever has another Linux.
    """

    def __init__(
        self,
        post: Callable[[Event], object],
        part: dict,
        reach: Callable[[str], object] | None = None,
        system: System | None = None,
    ):
        self._post = post
        self.reach = reach or (lambda point: None)
        self._lock = threading.RLock()
        self._open: dict[int, _Connection] = {}
        self.loop = Loop("link")
        self.sockets = Sockets(self.loop, part.get("send_ms", SEND_MS))
        self.network = Bearers(post, self.loop, system or System(part.get("interfaces")), part.get("only", BEARERS))
        self.contexts = Contexts()

    def start(self) -> None:
        """Watches the bearers from then on."""
        self.network.start()

    def attach_modem(self, modem: "Any", ip: str = "modem", interface: str | None = None) -> None:
        """`ports.Modem`, with the socket service of `tcp.py` unless `ip` is "kernel": then the system has an interface for it,
        called `interface` or so that it is known."""
        self.network.attach(modem, ip, interface)

    def bearers(self) -> list[dict]:
        return self.network.rows()

    def connect(self, ticket: int, where: dict) -> None:
        check_where(where)
        with self._lock:
            if ticket in self._open:
                raise ValueError(f"link: ticket {ticket} is already open")
            connection = self._open[ticket] = _Connection(self, ticket, dict(where))
        self.loop.call(connection.start)

    def send(self, ticket: int, data: bytes) -> None:
        """A ticket that is down is ignored: its LINK_DOWN may still be on its way to the caller."""
        with self._lock:
            connection = self._open.get(ticket)
        if connection and data:
            piece = bytes(data)
            self.loop.call(lambda: connection.happen("send", piece))

    def close(self, ticket: int | None = None) -> None:
        """Ends one connection, or all of them when the driver is put away. What was sent before still leaves."""
        with self._lock:
            tickets = list(self._open) if ticket is None else [ticket]
            ended = [self._open.pop(each) for each in tickets if each in self._open]
        for connection in ended:
            self.loop.call(connection.stop)
        if ticket is None:
            self.loop.call(self.network.close)
            self.loop.close()

    def answer(self, connection: "_Connection", name: str, value: object, last: bool = False) -> bool:
        """Posts unless the ticket was closed meanwhile; says whether it was posted."""
        with self._lock:
            if self._open.get(connection.ticket) is not connection:
                return False
            if last:
                del self._open[connection.ticket]
            self._post(Event(name, connection.ticket, value))
            return True


class _Down(Exception):
    """The attempt, or the connection, ends; `why` is one of ports.LINK_FAULTS."""

    def __init__(self, why: object):
        super().__init__(why)
        self.why = why if why in LINK_FAULTS else "broken"


class _Piece(bytes):
    """Bytes handed to the firmware. When nobody holds them any more they count as taken."""

    taken: "deque[int]"

    def __del__(self) -> None:
        self.taken.append(len(self))  # from any thread; nothing else is safe here


class _Connection:
    """One ticket. All but the making runs in the loop's thread."""

    def __init__(self, link: TcpLink, ticket: int, where: dict):
        self.link = link
        self.ticket = ticket
        self.where = where
        self._began = time.monotonic()
        self._service: Any = None
        self._handle: Any = None
        self._tls: Tls | None = None
        self._timer: Timer | None = None
        self._untaken = 0
        self._taken: deque[int] = deque()
        self._held = False
        self._ended = False
        self._ear: Callable[[str, object], None] | None = None
        self._work = self._live()

    def start(self) -> None:
        self._resume(None)

    def happen(self, what: str, value: object) -> None:
        """Something it may be waiting for."""
        if what == "down":
            self._handle = None  # spent
        if not self._ended:
            self._resume((what, value))

    def stop(self) -> None:
        """Nobody listens any more."""
        self._ended = True
        self._work.close()
        self._disarm()
        self._hang_up()

    def _resume(self, event: "tuple[str, Any] | None") -> None:
        self._disarm()
        why = ""
        try:
            until = self._work.send(event)  # type: ignore[arg-type]  # None begins it
            if until is not None:
                self._timer = self.link.loop.at(until, lambda: self.happen("time", None))
            return
        except StopIteration:
            pass  # closed, from within one of the named points
        except _Down as down:
            why = down.why
        except Exception:
            self._end("broken")
            raise
        self._end(why)

    def _end(self, why: str) -> None:
        self._ended = True
        self._hang_up()
        self.link.answer(self, LINK_DOWN, why, last=True)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Its life.

    def _live(self) -> "Waits":
        self.link.reach("link:connect")
        bearer, plain = yield from self._arrive()
        if self.link.answer(self, LINK_UP, bearer):
            yield from self._stream(plain)

    def _arrive(self) -> "Waits":
        """Waits for one that starts, tries those that are up -> (name of the one that carries, plain pieces that came with the
        end of the handshake)."""
        network, where = self.link.network, self.where
        end = self._began + where["connect_ms"] / 1000
        wanted = where.get("bearers", BEARERS)
        ways = network.choose(wanted, is_loopback(where["address"]))
        while not ways and network.coming(wanted) and time.monotonic() < end:
            yield min(end, time.monotonic() + LOOK_AGAIN_S)
            ways = network.choose(wanted, is_loopback(where["address"]))
        faults = []
        for number, (bearer, device) in enumerate(ways):
            left_ms = int((end - time.monotonic()) * 1000)
            if faults and left_ms <= 0:
                break
            until = time.monotonic() + share_ms(left_ms, len(ways) - number - 1) / 1000
            try:
                plain = yield from self._attempt(device, until)
            except _Down as down:
                network.failed(bearer, down.why)
                faults.append(down.why)
                self._hang_up()
            else:
                network.order.forgive(bearer)
                return bearer, plain
        raise _Down(most_telling(faults))

    def _attempt(self, device: str | None, until: float) -> "Waits":
        where = self.where
        ms = max(1, int((until - time.monotonic()) * 1000))
        place = (where["address"], where["port"], ms, self._hears())
        if device is None:
            self._service = self.link.network.modem
            self._handle = self._service.open_socket(*place)
        else:
            self._service = self.link.sockets
            self._handle = self._service.open_socket(*place, device)
        while True:
            what, value = yield until
            if what == "step":
                self._step(*value)
            elif what == "up":
                break
            elif what == "down":
                raise _Down(value)
            elif what == "time":
                raise _Down("timeout")
        return (yield from self._secure(until)) if where["tls"] else []

    def _hears(self) -> Callable[[str, object], None]:
        """What its socket calls, from any thread. A socket that has been given up is not heard any more."""

        def on_event(what: str, value: object) -> None:
            self.link.loop.call(lambda: self.happen(what, value) if self._ear is on_event else None)

        self._ear = on_event
        return on_event

    def _step(self, step: str, ms: int) -> None:
        if self.where.get("steps", False):
            self.link.answer(self, LINK_STEP, (step, ms))

    def _secure(self, until: float) -> "Waits":
        """The TLS handshake -> plain pieces that came with its end."""
        began, where = time.monotonic(), self.where
        plain: list[bytes] = []
        try:
            tls = self._tls = self.link.contexts.open(where["authority"], where["address"], where["port"])
            self._flush()
            while not tls.ready:
                what, value = yield until
                if what == "data":
                    plain = tls.feed(value)
                    self._flush()
                elif what == "down":
                    raise _Down("tls" if value == "closed" else value)
                elif what == "time":
                    raise _Down("timeout")
        except TlsError as error:
            self._flush()
            raise _Down(error.why) from None
        self._step("tls", round((time.monotonic() - began) * 1000))
        return plain

    def _stream(self, plain: list[bytes]) -> "Waits":
        link, tls = self.link, self._tls
        self._hand_on(plain)
        leaving = False  # bytes of the firmware's that the network has not taken yet
        while True:
            what, value = yield self._spare()
            try:
                if leaving and what in ("sent", "data"):  # who answers has heard
                    leaving = False
                    link.reach("link:sent")
                if what == "data":
                    self._hand_on([value] if tls is None else tls.feed(value))
                elif what == "send":
                    leaving = True
                    link.reach("link:send")
                    if tls is None:
                        self._service.send_socket(self._handle, value)
                    else:
                        tls.write(value)
            except TlsError as error:
                self._hand_on(error.plain)
                raise _Down("broken") from None
            if tls is not None:
                self._flush()
                if tls.ended:
                    raise _Down("closed")
            if what == "down":
                raise _Down("broken" if value == "closed" and tls is not None else value)

    def _flush(self) -> None:
        data = self._tls.take() if self._tls is not None else b""
        if data and self._handle is not None:
            self._service.send_socket(self._handle, data)

    def _hand_on(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.link.reach("link:receive")
            counted = _Piece(piece)
            counted.taken = self._taken
            self._untaken += len(piece)
            if not self.link.answer(self, LINK_DATA, counted):
                return

    def _spare(self) -> float | None:
        """Holds the socket while the firmware has enough; when to look again."""
        while self._taken:
            self._untaken -= self._taken.popleft()
        full = self._untaken > MOST_UNTAKEN
        hold = getattr(self._service, "hold_socket", None)
        if hold is not None and full != self._held:
            self._held = full
            hold(self._handle, full)
        if hold is None and self._untaken > MOST_UNHELD:
            raise _Down("broken")
        return time.monotonic() + LOOK_S if self._held else None

    def _hang_up(self) -> None:
        """Gives the socket back, with a goodbye where TLS has one."""
        if self._tls is not None:
            where = self.where
            self.link.contexts.keep(where["authority"], where["address"], where["port"], self._tls)
            self._tls.close()
            self._flush()
        self._tls = None
        if self._handle is not None:
            self._service.close_socket(self._handle)
            self._handle = None
        self._ear = None
