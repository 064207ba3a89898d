"""The acquirer behind TCP, on loopback: one thread for all connections.

    server = Server(acquirer, port=0).start()
    server.port                    where it listens
    server.down = True             refuses connections and breaks those that are open
    server.deaf = True             accepts, reads, and neither books nor answers
    server.close()

A late answer keeps nobody else waiting: answers wait in a heap, the thread waits for bytes or for the first of them.
"""

import contextlib
import heapq
import selectors
import socket
import struct
import threading
import time

from emulator.acquirer.core import Acquirer

LOOPBACK = "127.0.0.1"
IDLE_S = 120  # a connection on which nothing happens so long is closed
CONNECTIONS = 64
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that the other side sees as a broken line


class Server:
    """Listens on loopback; port 0 takes a free one, and keeps it while the server lives.

    Raises OSError when the port is taken.
    """

    def __init__(self, acquirer: Acquirer, port: int = 0) -> None:
        self.acquirer = acquirer
        self.deaf = False
        self._down = False
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._listener: "socket.socket | None" = self._listen(port)
        self.port: int = self._listener.getsockname()[1]
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._open: dict[socket.socket, _Connection] = {}
        self._due: list[tuple[float, int, _Connection, bytes | None]] = []
        self._count = 0
        self._settled = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="acquirer", daemon=True)

    def start(self) -> "Server":
        self._thread.start()
        return self

    @property
    def down(self) -> bool:
        return self._down

    @down.setter
    def down(self, value: bool) -> None:
        """Takes effect before it returns."""
        self._down = bool(value)
        self._ring()
        with self._settled:
            self._settled.wait_for(
                lambda: self._closing or (self._listener is None) == self._down or not self._thread.is_alive(), 5
            )

    def close(self) -> None:
        self._closing = True
        self._ring()
        if self._thread.is_alive():
            self._thread.join(5)
        else:
            self._end()

    # The thread

    def _run(self) -> None:
        try:
            while not self._closing:
                self._follow_switch()
                for key, events in self._selector.select(self._wait_s()):
                    if key.fileobj is self._bell:
                        with contextlib.suppress(BlockingIOError):
                            self._bell.recv(4096)
                    elif key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._open:
                        self._serve(self._open[key.fileobj], events)
                self._send_due()
        finally:
            self._end()

    def _wait_s(self) -> float:
        now = time.monotonic()
        ends = [connection.heard_s + IDLE_S for connection in self._open.values()]
        ends += [self._due[0][0]] if self._due else []
        return max(0.0, min(ends) - now) if ends else IDLE_S

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            plug, _ = self._listener.accept()
        except OSError:
            return
        if len(self._open) >= CONNECTIONS:
            plug.close()
            return
        plug.setblocking(False)
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open[plug] = _Connection(plug, self.acquirer.open())
        self._selector.register(plug, selectors.EVENT_READ)

    def _serve(self, connection: "_Connection", events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(connection)
            if not events & selectors.EVENT_READ:
                return
            data = connection.plug.recv(8192)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        connection.heard_s = time.monotonic()
        if self.deaf:
            return
        for delay_ms, answer in connection.session.receive(data):
            self._count += 1
            heapq.heappush(self._due, (time.monotonic() + delay_ms / 1000, self._count, connection, answer))

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, connection, answer = heapq.heappop(self._due)
            if connection.plug not in self._open:
                continue
            if answer is None:
                self._drop(connection)
            else:
                connection.waiting += answer
                self._flush(connection)
        for connection in [one for one in self._open.values() if one.heard_s + IDLE_S <= now]:
            self._drop(connection)

    def _flush(self, connection: "_Connection") -> None:
        try:
            while connection.waiting:
                sent = connection.plug.send(connection.waiting)
                connection.waiting = connection.waiting[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(connection)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.waiting else 0)
        self._selector.modify(connection.plug, events)

    def _drop(self, connection: "_Connection", reset: bool = False) -> None:
        if self._open.pop(connection.plug, None) is None:
            return
        self._selector.unregister(connection.plug)
        if reset:
            with contextlib.suppress(OSError):
                connection.plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.plug.close()

    def _follow_switch(self) -> None:
        if self._down and self._listener:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            for connection in list(self._open.values()):
                self._drop(connection, reset=True)
            self._due.clear()
        elif not self._down and self._listener is None:
            with contextlib.suppress(OSError):
                self._listener = self._listen(self.port)
                self._selector.register(self._listener, selectors.EVENT_READ)
        with self._settled:
            self._settled.notify_all()

    def _end(self) -> None:
        for connection in list(self._open.values()):
            self._drop(connection)
        if self._listener:
            self._listener.close()
        with self._settled:
            self._settled.notify_all()
        self._selector.close()
        self._bell.close()
        self._rope.close()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):
            self._rope.send(b"!")

    @staticmethod
    def _listen(port: int) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((LOOPBACK, port))
            listener.listen(16)
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        return listener


class _Connection:
    def __init__(self, plug: socket.socket, session) -> None:
        self.plug = plug
        self.session = session
        self.waiting = b""
        self.heard_s = time.monotonic()
