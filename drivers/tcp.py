"""TCP by the system, as the bearers offer it: a socket is opened, and tells by events what becomes of it.

    open_socket(address, port, timeout_ms, on_event) -> handle
    send_socket(handle, data)      hold_socket(handle, held)      close_socket(handle)

    on_event(what, value)   "step", (step, ms)   "bearer", "name" or "tcp" is done, in so many milliseconds
                            "up", None           the connection stands
                            "data", bytes        as they came
                            "sent", None         everything handed over has left for the network
                            "down", why          one of ports.LINK_FAULTS; nothing more comes, the handle is spent

`drivers/modem.py` offers the same for sockets in the modem. All of it is called from the loop's thread, and so is
`on_event`, never from within the call that it answers.

A host with several addresses gets a fair part of the time for each. A name is looked up by a thread that is left to
itself when it takes too long, for getaddrinfo cannot be interrupted; there is one a name, however often it is asked
for. Bytes that the other side does not take within "send_ms" break the connection. A socket that is held is not read:
its host finds the window closed.
"""

import errno
import select
import socket
import threading
import time
from collections.abc import Callable

from drivers.loop import Loop, Timer

CHUNK = 65_536
RESOLVERS = 8  # names looked up at a time: a resolver that hangs must not gather threads

_WHY = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "broken",  # it stood, for a moment
    errno.ETIMEDOUT: "timeout",
}  # every other errno while connecting: unreachable

Addresses = list[tuple[int, tuple]]  # (family, what connect() takes)
OnEvent = Callable[[str, object], None]


def numeric(address: str, port: int) -> Addresses:
    """The address as it is when it is one, not a name; else nothing."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
            return [(family, (address, port))]
        except (OSError, ValueError):
            continue
    return []


def is_loopback(address: str) -> bool:
    """Whether it is this machine itself, which no bearer leads to."""
    if address == "localhost":
        return True
    return any(host == "::1" or host.startswith("127.") for _, (host, _) in numeric(address, 0))


class Names:
    """Looks names up: `found(addresses)` is called in the loop's thread, with nothing for a name that there is not."""

    def __init__(self, loop: Loop):
        self._loop = loop
        self._waiting: dict[tuple[str, int], list[Callable[[Addresses], None]]] = {}

    def look_up(self, address: str, port: int, found: Callable[[Addresses], None]) -> None:
        key = (address, port)
        if key in self._waiting:
            self._waiting[key].append(found)
        elif not address or len(self._waiting) >= RESOLVERS:  # the resolver would take "" for this machine
            self._loop.call(lambda: found([]))
        else:
            self._waiting[key] = [found]
            threading.Thread(target=self._ask, args=key, name="link-name", daemon=True).start()

    def _ask(self, address: str, port: int) -> None:
        rows: Addresses = []
        try:
            for family, _, _, _, where in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM):
                if (family, where) not in rows:
                    rows.append((family, where))
        except (OSError, UnicodeError, ValueError):
            pass
        self._loop.call(lambda: self._tell((address, port), rows))

    def _tell(self, key: tuple[str, int], rows: Addresses) -> None:
        for found in self._waiting.pop(key):
            found(rows)


class Sockets:
    """The system's sockets. send_ms: how long the network may refuse to take our bytes."""

    def __init__(self, loop: Loop, send_ms: int):
        self.loop = loop
        self.send_ms = send_ms
        self.names = Names(loop)

    def open_socket(self, address: str, port: int, timeout_ms: int, on_event: OnEvent, device: str = "") -> "Socket":
        """device: the network interface to go by, or "" for what the routes say."""
        return Socket(self, address, port, timeout_ms, on_event, device)

    def send_socket(self, handle: "Socket", data: bytes) -> None:
        handle.send(data)

    def hold_socket(self, handle: "Socket", held: bool) -> None:
        handle.hold(held)

    def close_socket(self, handle: "Socket") -> None:
        """What was handed over is offered to the network once more; no more events."""
        handle.close()


class Socket:
    """One connection, from the look-up of its host's name to its end."""

    def __init__(self, sockets: Sockets, address: str, port: int, timeout_ms: int, on_event: OnEvent, device: str):
        self._loop = sockets.loop
        self._send_s = sockets.send_ms / 1000
        self._on_event: OnEvent | None = on_event
        self._device = device
        self._socket: socket.socket | None = None
        self._up = False
        self._held = False
        self._outbox = bytearray()
        self._addresses: Addresses = []
        self._why = "name"  # of the address that was tried last
        self._timer: Timer | None = None
        self._since = time.monotonic()
        self._deadline = self._since + timeout_ms / 1000
        self._arm(self._deadline, lambda: self._end("timeout"))
        self._tell("step", ("bearer", 0))
        found = numeric(address, port)
        if found:
            self._loop.call(lambda: self._found(found))
        else:
            sockets.names.look_up(address, port, self._found)

    # What the link asks for.

    def send(self, data: bytes) -> None:
        if not self._up:
            return
        if not self._outbox:
            self._arm(time.monotonic() + self._send_s, lambda: self._end("broken"))
        self._outbox += data
        self._write()

    def hold(self, held: bool) -> None:
        if held != self._held:
            self._held = held
            self._watch()

    def close(self) -> None:
        self._on_event = None
        if self._up and self._outbox and self._socket is not None:
            try:
                self._socket.send(self._outbox)
            except OSError:
                pass
        self._drop()

    # What becomes of it.

    def _tell(self, what: str, value: object) -> None:
        """Later: whoever opened the socket is not to be told before he has its handle."""
        self._loop.call(lambda: self._on_event and self._on_event(what, value))

    def _end(self, why: str) -> None:
        if self._on_event is not None:
            told, self._on_event = self._on_event, None
            self._drop()
            self._loop.call(lambda: told("down", why))

    def _drop(self) -> None:
        self._up = False
        self._addresses = []
        self._outbox.clear()
        self._arm(None)
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _arm(self, moment: float | None, function: Callable[[], None] = lambda: None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if moment is None else self._loop.at(moment, function)

    def _step(self, step: str) -> None:
        now = time.monotonic()
        self._tell("step", (step, round((now - self._since) * 1000)))
        self._since = now

    # The way up.

    def _found(self, addresses: Addresses) -> None:
        if self._on_event is None:
            return  # closed, or out of time, while the name was looked up
        if addresses:
            self._step("name")
        self._addresses = list(addresses)
        self._try_next()

    def _try_next(self) -> None:
        while self._addresses:
            now = time.monotonic()
            # A dead address must not eat the time of the living ones behind it.
            until = now + (self._deadline - now) / len(self._addresses)
            family, address = self._addresses.pop(0)
            try:
                code = self._begin(family, address)
            except OSError as error:
                code = error.errno or errno.EIO
            if code == errno.EINPROGRESS and self._socket is not None:
                self._loop.watch(self._socket.fileno(), select.POLLOUT, self._settled)
                self._arm(until, lambda: self._failed(errno.ETIMEDOUT))
                return
            if code == 0:
                return self._stands()
            self._leave(code)
        self._end(self._why)

    def _begin(self, family: int, address: tuple) -> int:
        one = self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._device and not is_loopback(address[0]):
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device.encode())
            except PermissionError:
                pass  # kernels before 5.7 leave it to root: the routes decide
        return one.connect_ex(address)

    def _settled(self, ready: int) -> None:
        assert self._socket is not None
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._failed(code)
        else:
            self._stands()

    def _failed(self, code: int) -> None:
        self._leave(code)
        self._try_next()

    def _leave(self, code: int) -> None:
        self._why = _WHY.get(code, "unreachable")
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _stands(self) -> None:
        self._up = True
        self._addresses = []
        self._arm(None)
        self._step("tcp")
        self._tell("up", None)
        self._watch()

    # The stream.

    def _watch(self) -> None:
        """While nothing is wanted of it it is not watched at all: poll() would tell of a reset again and again."""
        if not self._up or self._socket is None:
            return
        events = (0 if self._held else select.POLLIN) | (select.POLLOUT if self._outbox else 0)
        if events:
            self._loop.watch(self._socket.fileno(), events, self._ready)
        else:
            self._loop.unwatch(self._socket.fileno())

    def _ready(self, ready: int) -> None:
        if self._outbox and ready & (select.POLLOUT | select.POLLERR | select.POLLHUP):
            self._write()
        if not self._held and self._socket is not None and ready & ~select.POLLOUT:
            self._read()

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            return self._end("broken")
        if data:
            self._tell("data", data)
        else:
            self._end("closed")

    def _write(self) -> None:
        assert self._socket is not None
        try:
            sent = self._socket.send(self._outbox)
        except BlockingIOError:
            sent = 0
        except OSError:
            return self._end("broken")
        del self._outbox[:sent]
        if not self._outbox:
            self._arm(None)
            self._tell("sent", None)
        self._watch()
