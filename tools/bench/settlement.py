"""The end of the day over a slow line: a settlement of 500, beside the round trips that it needs.

A shop sells in virtual time. Then its terminal starts anew on a store that is a file, with the link that talks TCP and the
clock on the wall, and settles with the emulated acquirer; between the two is a line that takes its time. The pages, the ledger,
the messages and the link's driver are the terminal's own; display, keys and vault are stand-ins, which take none.

The floor: a message cannot be answered before a round trip, the next one not be sent before that, and a connection costs one
as well. Lists have eight transactions each, and go where the totals differ; what a chip has said goes alone, always.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from drivers.inbox import Inbox
from drivers.link import TcpLink
from drivers.store import SqliteStore
from emulator.acquirer.server import LOOPBACK, Server
from emulator.acquirer.settlement import SETTLED, Settlement
from emulator.world import TERMINAL, World
from firmware.iso8583.batch import ITEMS_LIMIT
from tools.bench.simulation import Shop
from tools.bench.table import Row, say

TRIP_MS = 300
SALES = 500
FEW = 40  # chips of the short run
AROUND = 3  # round trips besides the upload: the connection, the totals, the end
STILL_S = 60  # what is longer than this without an end is stuck


class SlowLine:
    """TCP to another port of this machine and back, `trip_ms` there and back. Until a connection stands takes as long."""

    def __init__(self, port: int, trip_ms: int) -> None:
        self.connections = 0
        self._far = port
        self._half_s = trip_ms / 2000
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._connected, LOOPBACK, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow-line", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Waits for what is on its way; both its ends have hung up before."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        if under_way:
            await asyncio.wait(under_way, timeout=5)

    async def _connected(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        self.connections += 1
        stands = self._loop.time() + 2 * self._half_s
        far, to_far = await asyncio.open_connection(LOOPBACK, self._far)
        await asyncio.gather(self._carry(near, to_far, stands), self._carry(far, to_near, stands))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stands: float) -> None:
        """One direction: what comes goes on half a trip later, in order."""
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            data = b" "
            while data:
                at, data = await on_the_way.get()
                await asyncio.sleep(at - self._loop.time())
                writer.write(data)
            writer.close()

        arriving = asyncio.ensure_future(arrive())
        data = b" "
        while data:
            try:
                data = await reader.read(65_536)
            except OSError:
                data = b""
            on_the_way.put_nowait((max(stands, self._loop.time()) + self._half_s, data))
        await arriving


class Till(Shop):
    """A shop whose totals may be swiped together or tapped, and which then settles on the wall clock."""

    PARAMETERS = Shop.PARAMETERS | {"stripe.pin": False}

    def __init__(self) -> None:
        super().__init__(World(seed=11, parameters=self.PARAMETERS))
        self.open()
        for record in self.world.shelf.records():
            self.world.bank.add_card(record | {"balance_fen": 10**12})

    def swipe(self, count: int) -> None:
        """So many sales by stripe, from the menu to the menu."""
        world = self.world
        for number in range(count):
            world.type("1 %d ENTER" % (number % 999 + 1))
            world.until(lambda: world.state == "PresentCard")
            world.swipe("stripe")
            world.until(lambda: world.state == "NextCopy")
            world.type("ENTER")
            world.until(lambda: world.state == "Menu")

    def settle_seconds(self, folder: Path, trip_ms: int) -> tuple[float, int, int]:
        """The batch settled over TCP: seconds from the key to the result, messages to the host, connections."""
        world, inbox = self.world, Inbox()
        world.plug()
        server = Server(world.acquirer).start()
        line = SlowLine(server.port, trip_ms)
        store = SqliteStore(None, {}, folder)
        link = TcpLink(inbox.post, {})
        try:
            store.commit(world.store.image())
            host = {"host.address": LOOPBACK, "host.port": line.port}
            store.commit([("parameters", name, json.dumps(value).encode(), None) for name, value in host.items()])
            world.vault.quick_ms = world.vault.slow_ms = 0
            world.ports |= {"store": store, "link": link}
            link.start()
            world.power_on()
            world.until("操作员号")
            world.type("01 ENTER 0000 ENTER")
            terminal = world.terminal
            assert terminal is not None
            self._pace(inbox, lambda: world.state == "Menu" and terminal.signed_on())
            world.type("6 9")
            before = server.messages, line.connections
            start = time.perf_counter()
            world.keypad.type("ENTER")
            self._pace(inbox, lambda: world.state not in ("AskSettle", "Settle"))
            seconds = time.perf_counter() - start
            books = world.acquirer.providers["Settlement"]
            assert isinstance(books, Settlement)
            if world.state != "SettleDone" or books.settled(TERMINAL)[0].state != SETTLED:
                raise AssertionError("not settled, but: %s" % world.text)
            return seconds, server.messages - before[0], line.connections - before[1]
        finally:
            link.close()
            server.close()
            line.close()
            store.close()

    def _pace(self, inbox: Inbox, holds: Callable[[], bool]) -> None:
        """The world goes on as the clock on the wall does."""
        world = self.world
        start, at = time.monotonic(), world.time_ms
        told, still = world.text, start
        while not holds():
            now = time.monotonic()
            due = at + int((now - start) * 1000)
            while world.step(due):
                pass
            world.time_ms = max(world.time_ms, due)
            event = inbox.wait(1)
            if event is not None:
                world.post(event)
            if world.text != told:
                told, still = world.text, now
            elif now - still > STILL_S:
                raise AssertionError("nothing moves at: %s" % told)


def settled(kind: str, count: int, trip_ms: int = TRIP_MS) -> Row:
    """The row of a settlement of so many. kind: "swiped" or "tapped"."""
    till = Till()
    if kind == "swiped":
        till.swipe(count)
        till.world.rules.add("next on settlement unbalance")
        uploads = (count + ITEMS_LIMIT - 1) // ITEMS_LIMIT
    else:
        till.sell(count)
        uploads = count
    with tempfile.TemporaryDirectory(prefix="kaifu-bench-") as folder:
        seconds, messages, connections = till.settle_seconds(Path(folder), trip_ms)
    note = "floor: %d round trips of %d ms; %d messages, %d connection" % (uploads + AROUND, trip_ms, messages, connections)
    return Row("settlement of %d %s" % (count, kind), seconds, "s", (uploads + AROUND) * trip_ms / 1000, most=1.1, note=note)


def rows() -> list[Row]:
    return [settled("swiped", SALES), settled("tapped", SALES)]


def short() -> list[Row]:
    say("  %d tapped instead of %d: `make bench ARGS=settlement` runs the whole" % (FEW, SALES))
    return [settled("swiped", SALES), settled("tapped", FEW)]
