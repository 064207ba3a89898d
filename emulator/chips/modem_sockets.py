"""The connections of a module: TCP that really connects, to this machine and to nowhere else.

What is sent is taken into a buffer at once and travels when there is coverage; what comes is read while there is
room for it, so that a peer feels when nobody reads. A connection that is given up without coverage is kept, unread, until
the air carries again: before that no peer could know of its end.

    opening -> open -> ended (by its peer; what it sent can still be read) -> gone
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from emulator.chips.modem import ModemChip

OPENING, OPEN, ENDED = "opening", "open", "ended"
INBOX, OUTBOX = 10_240, 14_600  # bytes that a module keeps
SEND_MOST = 1460
# Why a connection did not come to be.
NAME, REFUSED, TIMEOUT, LOST = "name", "refused", "timeout", "lost"
_ABORT = struct.pack("ii", 1, 0)


class Events(Protocol):
    """What a maker's commands make of what happens to connections."""

    def __init__(self, chip: ModemChip) -> None: ...

    def opened(self, link: Link, trouble: str) -> None:
        """Connected ("" for trouble), or not."""

    def arrived(self, link: Link, first: bool) -> None:
        """Bytes have come; first: there were none before."""

    def ended(self, link: Link, reset: bool) -> None:
        """The peer has closed it, or broken it off."""

    def lost(self, contexts: list[int], links: list[Link]) -> None:
        """The data connections are gone, and all connections with them: `links`."""


class Link:
    """One connection. inbox: what has come and is not read; sent, read: bytes counted."""

    def __init__(self, number: int, host: str, port: int, context: int = 1) -> None:
        self.number, self.host, self.port, self.context = number, host, port, context
        self.address = ""
        self.state = OPENING
        self.inbox, self.outbox = bytearray(), bytearray()
        self.due = 0.0  # when what is in the outbox has travelled
        self.sent = self.passed = self.read = 0
        self.mode = 0
        self.plug: socket.socket | None = None

    def take(self, most: int) -> bytes:
        """Reads from the inbox."""
        data = bytes(self.inbox[:most])
        del self.inbox[: len(data)]
        self.read += len(data)
        return data


class Sockets:
    """links: by their number; limbo: given up without coverage."""

    def __init__(self, chip: ModemChip, events: Any) -> None:
        self._chip = chip
        self.events = events
        self.links: dict[int, Link] = {}
        self.limbo: list[socket.socket] = []

    # -- what the commands do

    def open(self, link: Link) -> None:
        """Begins to connect; `events.opened` tells how it went."""
        self.links[link.number] = link
        self._at(link, self._chip.times.round * self._slowness, self._connect)
        self._at(link, self._chip.times.connect, self._give_up)

    def send(self, link: Link, data: bytes) -> bool:
        """Takes bytes to be sent; False when there is no room."""
        if link.state != OPEN or len(link.outbox) + len(data) > OUTBOX:
            return False
        if not link.outbox:
            link.due = time.monotonic() + self._chip.times.round * self._slowness
        link.outbox += data
        link.sent += len(data)
        self._at(link, max(0.0, link.due - time.monotonic()), self._flush)
        return True

    def close(self, number: int) -> None:
        """Ends a connection in good order; what it still has to send is sent."""
        link = self.links.pop(number, None)
        if link is None or link.plug is None:
            return
        if not self._chip.network.flows:
            self.limbo.append(link.plug)
            return
        self._push(link)
        link.plug.close()
        self._chip.told()

    def abandon(self) -> list[Link]:
        """All connections are gone, and no peer can be told. Returns them."""
        links = [self.links[number] for number in sorted(self.links)]
        self.limbo += [link.plug for link in links if link.plug]
        self.links.clear()
        return links

    # -- what the thread does

    @property
    def _slowness(self) -> float:
        """A weak signal needs several tries: 1 at its best, 5 at its worst."""
        return 1 + (100 - self._chip.radio.percent) / 25

    def waiting(self) -> dict[int, int]:
        """What to poll."""
        if not self._chip.network.flows:
            return {}
        found = {}
        for link in self.links.values():
            if link.plug is None:
                continue
            if link.state == OPENING:
                found[link.plug.fileno()] = select.POLLOUT
            elif link.state == OPEN and len(link.inbox) < INBOX:
                found[link.plug.fileno()] = select.POLLIN
        return found

    def ready(self, descriptor: int) -> None:
        """A descriptor of `waiting` is."""
        for link in list(self.links.values()):
            if link.plug is not None and link.plug.fileno() == descriptor:
                if link.state == OPENING:
                    trouble = link.plug.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    self._opened(link, REFUSED if trouble else "")
                elif link.state == OPEN:
                    self._receive(link)

    def look(self) -> None:
        """Coverage may have come back."""
        if not self._chip.network.flows:
            return
        self.bury()
        for link in list(self.links.values()):
            if link.state == OPENING and link.plug is None and link.address:
                self._connect(link)
            elif link.outbox and link.due <= time.monotonic():
                self._flush(link)

    def bury(self) -> None:
        """Breaks off what was given up without coverage."""
        for plug in self.limbo:
            with plug:
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.limbo = []

    def _at(self, link: Link, seconds: float, act: Any) -> None:
        self._chip.after(seconds, lambda: act(link) if self.links.get(link.number) is link else None)

    def _connect(self, link: Link) -> None:
        if link.state != OPENING or link.plug is not None:
            return
        address = self._chip.radio.resolve(link.host)
        if address is None and self._chip.network.flows:
            self._opened(link, NAME)
            return
        link.address = address or link.host
        if not self._chip.network.flows:
            return
        if not link.address.startswith("127."):
            self._opened(link, REFUSED)
            return
        link.plug = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        link.plug.setblocking(False)
        link.plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trouble = link.plug.connect_ex((link.address, link.port))
        if trouble not in (0, errno.EINPROGRESS):
            self._opened(link, REFUSED)

    def _give_up(self, link: Link) -> None:
        if link.state == OPENING:
            self._opened(link, TIMEOUT)

    def _opened(self, link: Link, trouble: str) -> None:
        if trouble:
            self.links.pop(link.number, None)
            if link.plug:
                link.plug.close()
        else:
            link.state = OPEN
        self.events.opened(link, trouble)
        self._chip.told()

    def _receive(self, link: Link) -> None:
        assert link.plug is not None
        try:
            data = link.plug.recv(INBOX - len(link.inbox))
        except BlockingIOError:
            return
        except OSError:
            self._end(link, True)
            return
        if not data:
            self._end(link, False)
            return
        first = not link.inbox
        link.inbox += data
        self.events.arrived(link, first)
        self._chip.told()

    def _end(self, link: Link, reset: bool) -> None:
        link.state = ENDED
        assert link.plug is not None
        link.plug.close()
        link.plug = None
        link.outbox.clear()
        self.events.ended(link, reset)
        self._chip.told()

    def _flush(self, link: Link) -> None:
        if self._chip.network.flows and link.state == OPEN:
            self._push(link)
            if link.outbox:
                self._at(link, 0.02, self._flush)

    def _push(self, link: Link) -> None:
        if link.plug is None or not link.outbox:
            return
        try:
            passed = link.plug.send(link.outbox, socket.MSG_NOSIGNAL)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                link.outbox.clear()  # its end is read
            return
        del link.outbox[:passed]
        link.passed += passed
        self._chip.told()

    def view(self) -> list[dict[str, Any]]:
        """For a face."""
        return [
            {"to": f"{link.host}:{link.port}", "state": link.state, "sent": link.passed, "received": link.read + len(link.inbox)}
            for link in list(self.links.values())
        ]
