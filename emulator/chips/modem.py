"""A 4G module at the other end of its UART: AT commands in, answers and unsolicited lines out, connections that connect.

    bytes -> lines -> commands (`modem_at`) -> handlers      what all modules have      `modem_common`
                                                             SIM, registration, data    `modem_network`
                                                             short messages             `modem_sms`
                                                             connections                `modem_sockets`
                                                             a maker's own commands     `modem_quectel`, `_simcom`, `_air`

A handler is a function of (module, words). It says lines with `line` and may be a generator: it yields seconds to wait,
or a `Prompt` and gets the bytes that are typed at it. It returns the final result, None for "OK", "" for none. While it
waits no other command is taken, but unsolicited lines come whenever something happens, as they do on a real module.

Everything runs in one thread that sleeps until the wire, a connection, a clock or a person wakes it.

Sources: ITU-T V.250; 3GPP TS 27.007, 27.005; reference/hardware.md 5.
"""

from __future__ import annotations

import heapq
import os
import pty
import random
import select
import threading
import time
import tty
from collections.abc import Callable, Generator
from typing import Any

from emulator.chips import modem_air, modem_common, modem_quectel, modem_simcom
from emulator.chips.modem_at import Command, Prompt, Refusal, arguments, commands, mask_numbers, masked
from emulator.chips.modem_network import Network
from emulator.chips.modem_sms import Messages
from emulator.chips.modem_sockets import Sockets
from emulator.chips.modem_tables import FAMILIES, FAST, REAL
from emulator.radio import Radio
from emulator.wires import speed_of

OFF, BOOTING, ON = "off", "booting", "on"
DIALECTS = {"quectel": modem_quectel, "simcom": modem_simcom, "air": modem_air}
NUMERIC = {"OK": "0", "CONNECT": "1", "RING": "2", "NO CARRIER": "3", "ERROR": "4"}
LINE_MOST = 2048
OUT_MOST = 65_536  # nobody reads: what comes after is lost, as on a wire without flow control
ESCAPE, SUBSTITUTE = 0x1B, 0x1A
STORM_S, NOISE_S = 0.03, 0.4
STORM = ("RING", '+QIND: "csq",{rssi},99', "+CRING: VOICE", "+CGEV: NW MODIFY 1,0", "+CIEV: 2,4", '+CUSD: 2,"?",15')
_WIRED = ("silent", "noise", "storm", "gone")

Wish = Any  # what a handler's generator yields: seconds, or a Prompt


class ModemChip:
    """One module on the master of a raw pty; whoever made it keeps a slave open.

    radio      the world that it is in
    model      a key of `modem_tables.FAMILIES`
    fd         the master; without it `open_pty` makes one
    hang_up    what to do so that the port is not there; come_back() makes it anew and returns its master
    log        log("modem", text): what crosses the wire, without secrets and payload
    fast       nothing takes the time that it takes in the world

    State: `power` (OFF, BOOTING, ON), `network`, `sockets`, `messages`. Switches, at any time: `silent` (hears and says
    nothing, until its RESET is pulled), `gone` (no power, and no port where it was), `noise` (bytes that nobody sent),
    `storm` (unsolicited lines without end, in the middle of anything).
    """

    def __init__(
        self,
        radio: Radio,
        model: str = "ec20",
        fd: int | None = None,
        *,
        hang_up: Callable[[], None] | None = None,
        come_back: Callable[[], int] | None = None,
        log: Callable[[str, str], None] | None = None,
        changed: Callable[[], None] | None = None,
        fast: bool = False,
        strict_baud: bool = True,
    ) -> None:
        if model not in FAMILIES:
            raise ValueError(f"modem: {model!r} is none of {', '.join(FAMILIES)}")
        self.radio, self.model, self.family = radio, model, FAMILIES[model]
        self.dialect: Any = DIALECTS[self.family.dialect]
        self.commands = modem_common.COMMANDS | self.dialect.COMMANDS
        self._known = {name.rstrip("?=") for name in self.commands}
        self.times = FAST if fast else REAL
        self.fd, self.strict_baud = fd, strict_baud
        self.baud = 115200
        self.path = ""
        self.silent = self.noise = self.storm = self.gone = False
        self._hang_up, self._come_back = hang_up, come_back
        self._log = log or (lambda kind, text: None)
        self._changed = changed or (lambda: None)
        self._chance = random.Random(1)
        self._lock = threading.RLock()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._orders: list[Callable[[], None]] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._closing = False
        self._thread: threading.Thread | None = None
        self._own: tuple[int, int] | None = None
        self.power = OFF
        self._restart()
        radio.listeners.append(self._ring)

    def _restart(self) -> None:
        """As after a loss of power: everything that is set with AT commands is as the maker left it."""
        self._timers = []
        self.echo, self.verbose, self.quiet, self.cmee = True, True, False, self.family.cmee
        self.settings: dict[str, str] = {}
        self.clock_set: tuple[float, int, int] | None = None  # monotonic, UTC, quarters: what the network told last
        self._in = bytearray()
        self._out = bytearray()
        self._task: Generator[Wish, Any, Any] | None = None
        self._prompt: Prompt | None = None
        self._typed = bytearray()
        self._later: list[tuple[str, bytes | None]] = []
        self.network = Network(self)
        self.sockets = Sockets(self, self.dialect.Events(self))
        self.messages = Messages(self)
        self._noisy = self._stormy = False

    # -- life

    def open_pty(self) -> str:
        """A pty of its own; returns the slave's path."""
        self._own = pty.openpty()
        tty.setraw(self._own[1])
        self.fd = self._own[0]
        self.path = os.ttyname(self._own[1])
        return self.path

    def start(self) -> None:
        """Serves from a thread of its own until `close`."""
        self._thread = threading.Thread(target=self._run, name="modem-chip", daemon=True)
        self._thread.start()

    def power_on(self) -> None:
        """It gets power: it starts, if it does not run."""
        self._order(self._boot)

    def reset(self) -> None:
        """Power lost: it forgets everything and is off."""
        done = threading.Event()
        self._order(self._die, done)
        if self._thread and self._thread is not threading.current_thread():
            done.wait(5)

    def press_key(self) -> None:
        """PWRKEY: on when it is off, off in good order when it is on."""
        self._order(lambda: self._boot() if self.power == OFF else self.shut_down())

    def pull_reset(self) -> None:
        """The RESET line: it starts anew, whatever it was at; one that had fallen silent speaks again."""

        def start_anew() -> None:
            self._log("modem", "RESET is pulled")
            self.silent = False
            self.reboot()

        self._order(start_anew)

    def close(self) -> None:
        """Ends its thread and its connections; the pty is somebody else's, unless it is its own."""
        if self._closing:
            return
        self.radio.listeners.remove(self._ring)
        self._closing = True
        self._ring()
        if self._thread:
            self._thread.join(5)
        self.sockets.abandon()
        self.sockets.bury()
        os.close(self._bell)
        for descriptor in self._own or ():
            os.close(descriptor)
        self._own = None

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _WIRED and self.__dict__.get("_thread"):
            self._ring()

    def _order(self, act: Callable[[], None], done: threading.Event | None = None) -> None:
        """Something for the chip's own thread to do; at once when there is none."""
        if self._thread is None:
            act()
            return
        with self._lock:
            self._orders.append(act)
            if done:
                self._orders.append(done.set)
        self._ring()

    def _ring(self) -> None:
        if not self._closing or self._thread:
            try:
                os.eventfd_write(self._bell, 1)
            except OSError:
                pass  # closed in this moment

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """act() later, unless the module loses power before."""
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._count, act))

    def told(self) -> None:
        """Something that a person may see has changed."""
        self._changed()

    # -- power

    def _boot(self) -> None:
        if self.power == OFF and not self.gone:
            self.power = BOOTING
            self.told()
            self.after(self.times.boot, self._booted)

    def _booted(self) -> None:
        self.power = ON
        self._in.clear()
        self._log("modem", f"{self.family.model} is up")
        for text in self.family.ready:
            self.urc(text)
        self.told()

    def _die(self) -> None:
        if self.power != OFF:
            self._log("modem", f"{self.family.model} has no power")
        self.sockets.abandon()
        kept = self.sockets.limbo
        self.power = OFF
        self._restart()
        self.sockets.limbo = kept
        self.told()

    def shut_down(self) -> None:
        """Off in good order."""

        def done() -> None:
            for text in self.family.down:
                self.urc(text)
            self._write()
            self._die()

        self.after(self.times.down, done)

    def reboot(self) -> None:
        """Off and on again."""
        self._write()
        self._die()
        self._boot()

    # -- the thread

    def _run(self) -> None:
        while True:
            poll = select.poll()
            poll.register(self._bell, select.POLLIN)
            with self._lock:
                if self._closing:
                    return
                self._look()
                if self.fd is not None:
                    poll.register(self.fd, select.POLLIN | (select.POLLOUT if self._out else 0))
                waiting = self.sockets.waiting()
                for descriptor, events in waiting.items():
                    poll.register(descriptor, events)
                wait = self._until_next()
            try:
                ready = dict(poll.poll(wait))
            except OSError:
                ready = {}
            with self._lock:
                if self._bell in ready:
                    os.eventfd_read(self._bell)
                if self.fd is not None and ready.get(self.fd, 0) & select.POLLIN:
                    self._read()
                for descriptor in waiting:
                    if descriptor in ready:
                        self.sockets.ready(descriptor)
                self._do_due()

    def _until_next(self) -> float | None:
        """Milliseconds until the next timer."""
        return max(0.0, (self._timers[0][0] - time.monotonic()) * 1000) if self._timers else None

    def _do_due(self) -> None:
        orders, self._orders = self._orders, []
        for act in orders:
            act()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _look(self) -> None:
        """Makes of the world and of the switches what follows from them, and lets out what is to be said."""
        if self.gone and (self.fd is not None or self.power != OFF):
            self._die()
            if self._hang_up:
                self._hang_up()
                self.fd = None
        elif not self.gone and self.fd is None and self._come_back:
            self.fd = self._come_back()
            self._boot()
        if self.power == ON:
            self.network.look()
            self.messages.look()
            self._disturb()
        if self._task is None and self._in and self.power == ON:
            self._feed()
        self.sockets.look()
        self._write()

    def _disturb(self) -> None:
        if self.storm and not self._stormy:
            self._stormy = True
            self._blow()
        if self.noise and not self._noisy:
            self._noisy = True
            self._crackle()

    def _blow(self) -> None:
        self._stormy = self.storm
        if self.storm:
            self.urc(self._gust())
            self.after(STORM_S, self._blow)

    def _gust(self) -> str:
        return self._chance.choice(STORM).format(rssi=self.network.rssi)

    def _crackle(self) -> None:
        self._noisy = self.noise
        if self.noise:
            self._say(self._static())
            self.after(NOISE_S, self._crackle)

    def _static(self) -> bytes:
        return bytes(self._chance.choice(b"\x00\x7f\x80\xc3\xf0\xfe\xff+AT~") for _ in range(self._chance.randrange(1, 7)))

    # -- what comes in

    def _read(self) -> None:
        assert self.fd is not None
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            return
        if self.silent or self.power != ON or not data:
            return
        if self.strict_baud and self.baud and speed_of(self.fd) != self.baud:
            return
        self._in += data
        self._feed()

    def _feed(self) -> None:
        """Takes what has come, up to where a command waits."""
        while self._in and self.power == ON:
            if self._prompt is not None:
                self._type()
            elif self._task is not None:
                return
            else:
                end = self._in.find(b"\r")
                if end < 0:
                    if len(self._in) > LINE_MOST:
                        self._in.clear()
                    return
                line = bytes(self._in[:end])
                del self._in[: end + 1]
                self._take(line)

    def _take(self, line: bytes) -> None:
        """One line. What stands before its AT is not looked at; without one there is no answer."""
        line = line.lstrip(b"\n")
        if self.echo and line:
            self._say(line + b"\r")
        start = line.upper().find(b"AT")
        if start < 0:
            if line:
                self._log("modem", f"→ {len(line)} bytes that are no command")
            return
        text = line[start + 2 :].decode("latin-1")
        self._log("modem", "→ " + masked(text, self._known))
        self._task = self._obey(text)
        self._go_on(None)

    def _obey(self, text: str) -> Generator[Wish, Any, None]:
        final: str | None = None
        try:
            for command in commands(text):
                final = yield from self._do(command)
        except Refusal as refusal:
            if refusal.before:
                self.line(refusal.before)
            final = refusal.result(self.cmee)
        self._result("OK" if final is None else final)

    def _do(self, command: Command) -> Generator[Wish, Any, str | None]:
        handler = self.commands.get(command.key)
        if handler is None:
            if command.form == "=?" and command.name in self._known:
                return None
            raise Refusal
        words = [command.text] if command.name[-1:].isalpha() and len(command.name) < 3 else arguments(command.text)
        result = handler(self, words)
        if isinstance(result, Generator):
            result = yield from result
        return result

    def _go_on(self, value: Any) -> None:
        """Lets the handler run until it waits, or is done."""
        task = self._task
        if task is None:
            return
        try:
            wish = task.send(value)
        except StopIteration:
            self._task = None
            self._feed()
            return
        if isinstance(wish, Prompt):
            self._prompt = wish
            self._typed.clear()
            self._say(wish.text)
            self._log("modem", "← >")
            return
        self.after(wish, lambda: self._go_on(None))

    def _type(self) -> None:
        """Bytes typed at a prompt."""
        prompt = self._prompt
        assert prompt is not None
        if prompt.size is not None:
            take = bytes(self._in[: prompt.size - len(self._typed)])
            del self._in[: len(take)]
            self._typed += take
            done: bool | None = len(self._typed) == prompt.size
        else:
            ends = [place for place in (self._in.find(SUBSTITUTE), self._in.find(ESCAPE)) if place >= 0]
            place = min(ends, default=-1)
            take = bytes(self._in[: place if place >= 0 else len(self._in)])
            done = None if place >= 0 and self._in[place] == ESCAPE else place >= 0
            del self._in[: len(take) + (place >= 0)]
            self._typed += take
        if self.echo and prompt.echo:
            self._say(take)
        if done is False:
            return
        self._prompt = None
        typed = bytes(self._typed)
        self._typed.clear()
        self._log("modem", f"→ {len(typed)} bytes" if done else "→ ESC")
        self._go_on(typed if done else None)
        later, self._later = self._later, []
        for text, data in later:
            if data is None:
                self.urc(text)
            else:
                self.urc_block(text, data)

    # -- what goes out

    def line(self, text: str, shown: str | None = None) -> None:
        """A line of an answer. shown: what the log says instead."""
        self._log("modem", "← " + mask_numbers(text if shown is None else shown))
        self._say(text.encode("latin-1", "replace") + b"\r\n" if not self.verbose else b"\r\n" + _coded(text) + b"\r\n")
        if self.storm:
            self.urc(self._gust())

    def pair(self, head: str, body: str) -> None:
        """A line, and one behind it whose text is nobody's affair."""
        self.block(head, _coded(body))

    def urc_pair(self, head: str, body: str) -> None:
        """The same, unsolicited."""
        self.urc_block(head, _coded(body) + b"\r\n")

    def block(self, head: str, data: bytes, tail: bytes = b"\r\n") -> None:
        """A line, and the bytes that it announces."""
        self._log("modem", f"← {mask_numbers(head)} and {len(data)} bytes")
        self._say(b"\r\n" + _coded(head) + b"\r\n" + data + tail)

    def urc(self, text: str) -> None:
        """An unsolicited line; it waits while bytes are typed at a prompt."""
        if self._prompt is not None:
            self._later.append((text, None))
            return
        self._log("modem", "← " + mask_numbers(text))
        self._say(b"\r\n" + _coded(text) + b"\r\n")

    def urc_block(self, head: str, data: bytes) -> None:
        """An unsolicited line, and the bytes that it announces."""
        if self._prompt is not None:
            self._later.append((head, data))  # in their order: a stream's bytes, and its end behind them
            return
        self.block(head, data, b"")

    def _result(self, text: str) -> None:
        if not text or self.quiet:
            return
        self._log("modem", "← " + text)
        if self.verbose:
            self._say(b"\r\n" + _coded(text) + b"\r\n")
        else:
            self._say(NUMERIC.get(text, text).encode() + b"\r")

    def _say(self, data: bytes) -> None:
        if self.silent or len(self._out) > OUT_MOST:
            return
        if self.noise and self._chance.random() < 0.3:
            self._out += self._static()
        self._out += data

    def _write(self) -> None:
        """Lets out what there is room for."""
        if self.fd is None:
            self._out.clear()
        if not self._out:
            return
        os.set_blocking(self.fd, False)  # type: ignore[arg-type]
        try:
            sent = os.write(self.fd, self._out)  # type: ignore[arg-type]
            del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()
        finally:
            os.set_blocking(self.fd, True)  # type: ignore[arg-type]

    # -- for a face

    def view(self) -> dict[str, Any]:
        """What can be seen of it: no payload, no secret."""
        network = self.network
        return {
            "model": self.family.model,
            "power": "gone" if self.gone else "silent" if self.silent else self.power,
            "sim": network.sim,
            "stat": network.stat,
            "registered": network.word,
            "operator": network.operator,
            "technology": network.technology,
            "address": network.address,
            "sockets": self.sockets.view(),
        }


def _coded(text: str) -> bytes:
    return text.encode("latin-1", "replace")
