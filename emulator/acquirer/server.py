"""The acquirer behind TCP, with TLS when it is given certificates: thousands of terminals in one thread.

    server = Server(acquirer, port=0).start()
    server.port                    where it listens
    server.down = True             refuses connections and breaks those that are open
    server.deaf = True             accepts, reads, and neither books nor answers
    server.certificate = "expired" what it shows from the next connection on (`certificates`)
    server.close()

A line keeps nobody else waiting: of what a terminal sends, a few messages are answered, then it is the others' turn; late
answers are timers; who does not take its answers is not read. What a line may take of us:

    READ bytes, TURN messages     at a time           KERNEL  bytes in the system's buffers, each way
    PENDING answers to come, or one that has not left: no more is read
    HANDSHAKE_S                   for TLS to begin    FRAME_S   from the first byte of a message to its last
    SEND_S                        to take an answer   idle_s    without a word from either side

Bytes that are no frame close the line. When there are too many lines, the one that was quiet longest makes room.

The books are written in this thread alone; whoever else reads them waits for their lock.
"""

import asyncio
import contextlib
import resource
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

from emulator.acquirer.certificates import Certificates
from emulator.acquirer.core import Acquirer
from emulator.acquirer.secure import Secure, SecureError
from firmware.iso8583.frame import Deframer, FrameError

LOOPBACK = "127.0.0.1"
IDLE_S = 120
HANDSHAKE_S = 10
FRAME_S = 20
SEND_S = 30
LOOK_S = 1  # how often lines are looked at that nothing is heard of
LINES = 8192  # or what the system lets one process have open
SPARE_FILES = 64
BACKLOG = 1024
READ = 4096
KERNEL = 32_768  # bytes of a line that the system keeps, each way
TURN = 8
PENDING = 64
LENGTH_SIZE = 2
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that the other side sees as a broken line
SWITCH_S = 5


class Counts(NamedTuple):
    """What the server has to do: lines open now, lines and messages since its start, lines that it has dropped."""

    open: int
    lines: int
    messages: int
    dropped: int


class Server:
    """Listens on one address, loopback unless another is named; port 0 takes a free one, and keeps it while the server lives.

    certificates   None: no TLS
    idle_s         after so long without a word a line is closed
    lines          most that are open at a time; None: LINES, or what the system allows

    Raises OSError when the port is taken.
    """

    def __init__(
        self,
        acquirer: Acquirer,
        port: int = 0,
        address: str = LOOPBACK,
        certificates: "Certificates | None" = None,
        idle_s: float = IDLE_S,
        lines: "int | None" = None,
    ) -> None:
        self.acquirer = acquirer
        self.address = address
        self.certificates = certificates
        self.idle_s = idle_s
        self.deaf = False
        self.most = lines or min(LINES, max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES))
        self.loop = asyncio.new_event_loop()
        self.buffer = memoryview(bytearray(READ))  # one for all: what is read is taken before anything else is read
        self.lines: dict[_Line, None] = {}
        self.lines_seen = self.messages = self.dropped = 0
        self._down = False
        self._serving: asyncio.base_events.Server | None = None
        self._ended = asyncio.Event()
        try:
            self._listener: socket.socket | None = _listen(address, port)
        except OSError:
            self.loop.close()
            raise
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="acquirer", daemon=True)

    def start(self) -> "Server":
        self._thread.start()
        return self

    @property
    def down(self) -> bool:
        return self._down

    @down.setter
    def down(self, value: bool) -> None:
        """Takes effect before it returns. It stays down while somebody else has its port."""
        self._down = bool(value)
        self._do(self._follow_switch)

    @property
    def tls(self) -> bool:
        return self.certificates is not None

    @property
    def certificate(self) -> str:
        """What it shows, one of `certificates.KINDS`; "" without TLS."""
        return self.certificates.shown if self.certificates else ""

    @certificate.setter
    def certificate(self, name: str) -> None:
        """Raises ValueError for a name that there is not, and without TLS."""
        if self.certificates is None:
            raise ValueError("the line to this host has no TLS")
        self.certificates.show(name)

    @property
    def counts(self) -> Counts:
        return Counts(len(self.lines), self.lines_seen, self.messages, self.dropped)

    def close(self) -> None:
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(SWITCH_S)
        elif not self.loop.is_closed():
            self._end()
            self.loop.close()

    def _do(self, act: "Callable[[], Awaitable[None]]") -> None:
        """Has the loop's thread do it, and returns when it is done. A server that does not run does it when it starts."""
        if not self._thread.is_alive() or self.loop.is_closed():
            return
        done = asyncio.run_coroutine_threadsafe(cast("Any", act()), self.loop)
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            done.result(SWITCH_S)

    # The thread

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(self._wrong)
        try:
            self.loop.run_until_complete(self._live())
        finally:
            self.loop.close()

    async def _live(self) -> None:
        await self._follow_switch()
        looking = self.loop.call_later(LOOK_S, self._look)
        try:
            await self._ended.wait()
        finally:
            looking.cancel()
            self._ended.set()
            self._end()
            await asyncio.sleep(0)  # lines that were given up are closed

    def _wrong(self, loop: asyncio.AbstractEventLoop, told: "dict[str, Any]") -> None:
        """What went wrong outside of a line: no more files, say."""
        error = told.get("exception")
        if error is not None:
            self.acquirer.broken("%s in the host" % type(error).__name__)

    async def _follow_switch(self) -> None:
        if self._down:
            if self._serving:
                self._serving.close()
                self._serving = None
            self._hang_up()
            for line in list(self.lines):
                line.reset()
        elif self._serving is None:
            try:
                listener = self._listener or _listen(self.address, self.port)
                self._listener = None
                self._serving = await self.loop.create_server(lambda: _Line(self), sock=listener, backlog=BACKLOG)
            except OSError:
                self._down = True

    def _hang_up(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None

    def _look(self) -> None:
        """Closes what takes too long. Every line in turn, for each may wait for something else."""
        if self._ended.is_set():
            return
        now = self.loop.time()
        for line in list(self.lines):
            line.look(now)
        self.loop.call_later(LOOK_S, self._look)

    def _end(self) -> None:
        if self._serving:
            self._serving.close()
            self._serving = None
        self._hang_up()
        for line in list(self.lines):
            line.leave()

    def take(self, line: "_Line") -> None:
        """A line has come: the one that was quiet longest may have to go."""
        self.lines_seen += 1
        self.lines[line] = None
        if len(self.lines) > self.most:
            self.dropped += 1
            min(self.lines, key=lambda one: one.active_s).reset()


class _Line(asyncio.BufferedProtocol):
    """One connection. Everything here runs in the loop's thread."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.active_s = server.loop.time()  # when anything was last heard or said
        self._secure: Secure | None = Secure(server.certificates.context) if server.certificates else None
        self._deframer = Deframer(0)
        self._unread = 0  # bytes of a message that is not whole yet, or not answered
        self._begun_s = self.active_s
        self._stuck_s: float | None = None  # since when the other side has not taken what was said
        self._timers: set[asyncio.TimerHandle] = set()
        self._working = False

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)
        self.server.take(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.active_s = self.server.loop.time()
        data = bytes(self.server.buffer[:nbytes])
        if self._secure:
            data = self._uncover(data)
        if data and not self.server.deaf:
            self._hear(data)

    def connection_lost(self, exc: "Exception | None") -> None:
        self.server.lines.pop(self, None)
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def pause_writing(self) -> None:
        self._stuck_s = self.server.loop.time()
        self._hold()

    def resume_writing(self) -> None:
        self._stuck_s = None
        self._hold()

    # Listening

    def _uncover(self, data: bytes) -> bytes:
        assert self._secure is not None
        plain = b""
        try:
            plain = self._secure.feed(data)
            self._flush()
        except SecureError as error:
            self._flush()
            self._drop(error)
            return b""
        if self._secure.ended and not plain:
            self.leave()
        return plain

    def _hear(self, data: bytes) -> None:
        if not self._unread:
            self._begun_s = self.active_s
        self._unread += len(data)
        try:
            self._deframer.feed(data)
        except FrameError as error:
            self._drop(error)
            return
        if not self._working:
            self._work()

    def _work(self) -> None:
        """Answers a few messages; comes back for the others when everybody else has had a turn."""
        self._working = False
        try:
            for _ in range(TURN):
                if self.transport.is_closing():
                    return
                got = self._deframer.next()
                if got is None:
                    self._hold()
                    return
                self._unread -= LENGTH_SIZE + sum(map(len, got))
                self._begun_s = self.server.loop.time()
                self.server.messages += 1
                for delay_ms, answer in self.server.acquirer.answer(got):
                    self._answer(delay_ms, answer)
        except FrameError as error:
            self._drop(error)
            return
        except Exception as error:  # what nobody foresaw ends one line, not the host; what it was about may be a card
            self._drop("%s in the host" % type(error).__name__)
            return
        self._working = True
        self._hold()
        self.server.loop.call_soon(self._work)

    def _hold(self) -> None:
        """Reads on, unless there is enough to do."""
        if self._working or self._stuck_s is not None or len(self._timers) >= PENDING:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    # Speaking

    def _answer(self, delay_ms: int, answer: "bytes | None") -> None:
        if not delay_ms:
            self._say(answer)
            return

        def due() -> None:
            self._timers.discard(timer)
            self._say(answer)
            self._hold()

        timer = self.server.loop.call_later(delay_ms / 1000, due)
        self._timers.add(timer)

    def _say(self, answer: "bytes | None") -> None:
        """None: the line is cut, without a goodbye."""
        if self.transport.is_closing():
            return
        if answer is None:
            self.transport.close()
            return
        self.active_s = self.server.loop.time()
        if self._secure is None:
            self.transport.write(answer)
            return
        try:
            self._secure.write(answer)
        except SecureError as error:
            self._drop(error)
        self._flush()

    def _flush(self) -> None:
        data = self._secure.take() if self._secure else b""
        if data and not self.transport.is_closing():
            self.transport.write(data)

    # Its end

    def look(self, now: float) -> None:
        """Closes what takes too long."""
        if self._stuck_s is not None:
            if now - self._stuck_s > SEND_S:
                self._drop("does not take its answer")
        elif self._secure and not self._secure.ready:
            if now - self._begun_s > HANDSHAKE_S:
                self._drop("TLS: the handshake does not come to an end")
        elif self._unread and not self._working:
            if now - self._begun_s > FRAME_S:
                self._drop("a message that does not come to an end")
        elif now - self.active_s > self.server.idle_s and not self._timers:
            self.leave()

    def leave(self) -> None:
        """Ends it in good order."""
        if self._secure and self._secure.ready and not self.transport.is_closing():
            self._secure.close()
            self._flush()
        if self._stuck_s is None:
            self.transport.close()
        else:
            self.transport.abort()

    def reset(self) -> None:
        """Ends it as a broken line."""
        plug = self.transport.get_extra_info("socket")
        if plug is not None:
            with contextlib.suppress(OSError):
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def _drop(self, why: object) -> None:
        """Ends it because of what the other side did, and says so."""
        self.server.dropped += 1
        if self._stuck_s is None:
            self.transport.close()  # an alert of TLS still leaves
        else:
            self.transport.abort()
        self.server.acquirer.broken(why)


def _listen(address: str, port: int) -> socket.socket:
    # asyncio sends without delay only where TCP is named.
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for side in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            listener.setsockopt(socket.SOL_SOCKET, side, KERNEL)  # lines have what their listener has
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
