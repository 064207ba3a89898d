"""A byte stream to a host over the system's network: TCP, with TLS on top when asked for.

One thread a connection. It sleeps in one poll() over the socket and a wake-up descriptor and goes through

    resolve -> connect (each address in turn) -> TLS handshake -> stream

Everything up to LINK_UP shares the deadline that `connect` was given; bytes that the other side does not take
within "send_ms" break the connection; how long to wait for an answer is the caller's business. `close` and the end
of a connection are decided under one lock, so nothing is posted for a ticket once `close` has returned.

    why            seen as
    refused        a host is there, nobody listens
    unreachable    no route, no network
    timeout        no answer before the deadline
    name           the name cannot be resolved
    tls            certificate, host name or protocol refused, or an authority that is no PEM
    closed         the other side ended the stream in good order
    broken         reset, or bytes not taken

The named points (see wires.reach) are "link:connect", "link:send", "link:sent", "link:receive".
"""

import errno
import os
import select
import socket
import threading
import time

from firmware.events import LINK_DATA, LINK_DOWN, LINK_UP, Event

CHUNK = 16_384
TURN = 64  # chunks received before a send gets its chance
SEND_MS = 10_000

_WHY = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "refused",
    errno.ETIMEDOUT: "timeout",
}  # every other errno while connecting: unreachable

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


class TcpLink:
    """`ports.Link`.

    part     "send_ms": how long the network may refuse to take our bytes (default 10,000).
    reach    Called with the name of each point that is reached.
    """

    def __init__(self, post, part, reach=None):
        self._post = post
        self._send_ms = part.get("send_ms", SEND_MS)
        self._reach = reach or (lambda point: None)
        self._lock = threading.RLock()
        self._open: dict[int, _Connection] = {}
        self._contexts: dict = {}

    def start(self) -> None:
        """Nothing to start: threads belong to connections."""

    def connect(self, ticket: int, where: dict) -> None:
        check_where(where)
        with self._lock:
            if ticket in self._open:
                raise ValueError(f"link: ticket {ticket} is already open")
            connection = self._open[ticket] = _Connection(self, ticket, dict(where))
        connection.thread.start()

    def send(self, ticket: int, data: bytes) -> None:
        """A ticket that is down is ignored: its LINK_DOWN may still be on its way to the caller."""
        with self._lock:
            connection = self._open.get(ticket)
            if connection and data:
                connection.push(bytes(data))

    def close(self, ticket: int | None = None) -> None:
        """Ends one connection, or all of them when the driver is put away."""
        with self._lock:
            tickets = list(self._open) if ticket is None else [ticket]
            ended = [self._open.pop(each) for each in tickets if each in self._open]
            for connection in ended:
                connection.stop()
        if ticket is None:
            for connection in ended:
                if connection.thread is not threading.current_thread():
                    connection.thread.join(2)

    def _answer(self, connection: "_Connection", name, value, last=False) -> bool:
        """Posts unless the ticket was closed meanwhile; says whether it was posted."""
        with self._lock:
            if self._open.get(connection.ticket) is not connection:
                return False
            if last:
                del self._open[connection.ticket]
            self._post(Event(name, connection.ticket, value))
            return True

    def _context(self, authority: str):
        """Reading the system's authorities takes a tenth of a second on a small board: once is enough."""
        import ssl

        with self._lock:
            if authority not in self._contexts:
                self._contexts[authority] = ssl.create_default_context(cadata=authority or None)
            return self._contexts[authority]


class _Down(Exception):
    """The connection ends; the argument is the reason that LINK_DOWN carries."""


class _Stopped(Exception):
    """The caller has closed the ticket."""


class _Connection:
    def __init__(self, link, ticket, where):
        self.link = link
        self.ticket = ticket
        self.where = where
        self.thread = threading.Thread(target=self._run, name=f"link-{ticket}", daemon=True)
        self._socket = None
        self._deadline = time.monotonic() + where["connect_ms"] / 1000
        self._outbox: list[bytes] = []
        self._stopped = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # Called under the link's lock, from any thread, while the connection is in its table.

    def push(self, data):
        self._outbox.append(data)
        os.eventfd_write(self._wake, 1)

    def stop(self):
        self._stopped = True
        os.eventfd_write(self._wake, 1)

    # The connection's own thread.

    def _run(self):
        why = "broken"
        try:
            self.link._reach("link:connect")
            self._connect(self._resolve())
            if self.where["tls"]:
                self._secure()
            if self.link._answer(self, LINK_UP, None):
                self._stream()
        except _Stopped:
            why = None
            self._part()
        except _Down as down:
            why = down.args[0]
        finally:
            if self._socket is not None:
                self._socket.close()
            if why is not None:
                self.link._answer(self, LINK_DOWN, why, last=True)
            with self.link._lock:
                # Under the lock, and out of the table: nobody can write to the descriptor's successor.
                if self.link._open.get(self.ticket) is self:
                    del self.link._open[self.ticket]
                os.close(self._wake)
                self._wake = None

    def _wait(self, events, until):
        """Sleeps until the socket is ready for `events`, something else is to be looked at, or `until` has passed.
        Returns whether the socket is ready. Raises _Stopped when the ticket is closed."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if events:
            poll.register(self._socket, events)
        while True:
            left = None if until is None else max(0.0, until - time.monotonic()) * 1000
            ready = dict(poll.poll(left))
            woken = self._wake in ready
            if woken:
                os.eventfd_read(self._wake)
                if self._stopped:
                    raise _Stopped
            if len(ready) > woken:
                return True
            if woken or until is not None and time.monotonic() >= until:
                return False

    def _resolve(self):
        """The host's addresses. getaddrinfo cannot be interrupted, so a name is looked up by a thread that is
        left to itself when it takes too long."""
        address, port = self.where["address"], self.where["port"]
        if not address:
            raise _Down("name")  # the resolver would take it for this machine
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, address)
                return [(family, (address, port))]
            except (OSError, ValueError):
                continue
        found = []
        done = threading.Event()

        def look_up():
            try:
                found.extend((row[0], row[4]) for row in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError, ValueError):
                pass
            done.set()
            with self.link._lock:
                if self._wake is not None:
                    os.eventfd_write(self._wake, 1)

        threading.Thread(target=look_up, name="link-name", daemon=True).start()
        while not done.is_set():
            self._wait(0, self._deadline)
            self._check_deadline()
        if not found:
            raise _Down("name")
        return found

    def _check_deadline(self):
        if time.monotonic() >= self._deadline:
            raise _Down("timeout")

    def _connect(self, addresses):
        why = "unreachable"
        for index, (family, address) in enumerate(addresses):
            # A dead address must not eat the time of the living ones behind it.
            now = time.monotonic()
            until = now + (self._deadline - now) / (len(addresses) - index)
            try:
                self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                code = self._socket.connect_ex(address)
                if code == errno.EINPROGRESS:
                    code = self._result(until)
            except OSError as error:
                code = error.errno
            if code == 0:
                return
            why = _WHY.get(code, "unreachable")
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        raise _Down(why)

    def _result(self, until) -> int:
        """The errno of the connection that is being made."""
        while not self._wait(select.POLLOUT, until):
            if time.monotonic() >= until:
                return errno.ETIMEDOUT
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _secure(self):
        import ssl

        try:
            context = self.link._context(self.where["authority"])
            self._socket = context.wrap_socket(self._socket, server_hostname=self.where["address"], do_handshake_on_connect=False)
            while True:
                try:
                    return self._socket.do_handshake()
                except ssl.SSLWantReadError:
                    events = select.POLLIN
                except ssl.SSLWantWriteError:
                    events = select.POLLOUT
                self._wait(events, self._deadline)
                self._check_deadline()
        except ssl.SSLError:
            raise _Down("tls") from None
        except OSError:
            raise _Down("broken") from None
        except (ValueError, TypeError):  # a host name that no certificate can have, an authority that is no ASCII
            raise _Down("tls") from None

    def _stream(self):
        sending = b""
        until = None
        while True:
            more, events = self._receive()
            if not sending:
                with self.link._lock:
                    sending, self._outbox = b"".join(self._outbox), []
                if sending:
                    until = time.monotonic() + self.link._send_ms / 1000
                    self.link._reach("link:send")
            if sending:
                sent, wanted = self._try(self._socket.send, sending)
                sending = sending[sent or 0 :]
                if not sending:
                    self.link._reach("link:sent")
                    until = None
                    continue
                if time.monotonic() >= until:
                    raise _Down("broken")
                events |= wanted or select.POLLOUT
            if not more:
                self._wait(events, until)

    def _receive(self):
        """Hands on what is there, in turns so that a talkative host cannot keep us from sending. TLS may hold bytes
        that poll() does not know of, so it reads until dry. Returns (more may be there, what to wait for)."""
        for _ in range(TURN):
            data, wanted = self._try(self._socket.recv, CHUNK)
            if data is None:
                return False, select.POLLIN | wanted
            if not data:
                raise _Down("closed")
            self.link._reach("link:receive")
            if not self.link._answer(self, LINK_DATA, data):
                raise _Stopped
        return True, select.POLLIN

    def _try(self, function, argument):
        """(result, 0), or (None, what to wait for: 0 for what the function itself waits for)."""
        try:
            return function(argument), 0
        except BlockingIOError:
            return None, 0
        except OSError as error:
            if self.where["tls"]:
                import ssl

                # A renegotiation may want to read before it can write, and the other way round.
                if isinstance(error, ssl.SSLWantReadError):
                    return None, select.POLLIN
                if isinstance(error, ssl.SSLWantWriteError):
                    return None, select.POLLOUT
                if isinstance(error, ssl.SSLZeroReturnError):
                    raise _Down("closed") from None
            raise _Down("broken") from None

    def _part(self):
        """The caller has gone: what was queued is offered once, and TLS says goodbye if it can without waiting."""
        if self._socket is None:
            return
        try:
            if self._outbox:
                self._socket.send(b"".join(self._outbox))
            if hasattr(self._socket, "unwrap"):
                self._socket.unwrap()
        except (OSError, ValueError):
            pass
