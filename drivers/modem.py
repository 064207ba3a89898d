"""The 4G modem on a serial line, by AT commands (`ports.Modem`), and streams through its own sockets.

One thread owns the line and has one command open at a time; what others want lies in a queue. From power to a stream:

    rung        what is done                                                goes on when
    speak       AT, at the board's speed and then at the others             it says OK
    settings    no echo, errors as numbers, radio on, who it is             at once: state "ready"
    sim         CPIN?; its PIN from the vault, once; who the SIM is         READY
    network     registration, told unasked and asked for                    home or roaming
    attach      the access point, a context with an address                 there is an address
    up          streams; signal every `poll_s`, all else every `look_s`

What the modem tells unasked moves it on at once; everything is also asked for, because it may not tell. A modem that says
that it has begun anew, or that echoes again, starts at "settings"; a port that is gone is opened again after `retry_s`.

When something does not work, the mildest cure comes first, and the next one when the same thing fails again soon
(reference/hardware.md 5.6):

    socket      close it, open another             radio     CFUN=0, CFUN=1
    context     deactivate and build it again      reset     CFUN=1,1
                                                   power     RESET and PWRKEY, where the board has wired them

After three restarts that did not help the next ones wait 10 minutes, 30, and then an hour each. Without a signal nothing is
cured: there is nothing to be had. A host that cannot be reached is no fault of the modem; after a few in a row the context
is built again, once in a while.

    when a command is not answered      AT until it is; what was on its way is lost for whom it was
    when that is not either             state "failed", all streams broken, speak

The SIM's PIN is given once by itself, not when it is the last try, and then only by a person (`unlock`). It is not kept
here, nor logged; of the SIM's number only the digits of its network are kept.

Source: reference/hardware.md 5; 3GPP TS 27.007, 27.005.
"""

import itertools
import queue
import re
import threading
from collections.abc import Callable
from typing import Any

from drivers import at, sms
from drivers import modem_facts as facts
from drivers.modem_line import Line, LineError
from drivers.modem_profiles import ACCESS_POINTS, BOOT, ICCID, PROFILES, Profile, Step, command
from drivers.modem_sockets import Socket, Sockets
from firmware.events import MODEM_DONE, MODEM_FAILED, NETWORK, PART, SMS, Event

PART_NAME = "modem"
BAUD = 115200
BAUDS = (115200, 9600, 921600, 460800, 230400, 57600, 38400, 19200)
SPEAK, SIM, NETWORK_RUNG, ATTACH, UP = "speak", "sim", "network", "attach", "up"
CURES = ("socket", "context", "radio", "reset", "power")

# What an earlier run may have left the modem waiting for when it died: the rest of the bytes it had announced, or of a text
# message, which the first of these gives up.
OWED = b"\x1b" + bytes(1500)
GAP_S = 1.0  # bytes that were announced come without such a pause
RESYNCS = 5
RESYNC_S = 2.0
SILENT_S = 60.0  # then the module is restarted
UNREGISTERED_S = 90.0
TIMEOUTS = 3  # streams in a row that ran out of time
CALM_S = 600.0  # a cure that is older was for something else
BACK_OFF_S = (0.0, 0.0, 0.0, 600.0, 1800.0, 3600.0)
RESTART_S = 120.0

UNKNOWN: dict[str, Any] = {
    "sim": "unknown", "registered": "unknown", "dbm": None, "bars": 0, "operator": "", "technology": "", "imei": "", "iccid": "",
    "cell": None, "address": "", "trouble": "",
}  # fmt: skip
KEPT = ("imei", "iccid", "trouble")  # of a modem that is away

_APN = re.compile(r"[A-Za-z0-9._-]{0,63}")
_COUNTED = tuple({pattern for profile in PROFILES.values() for pattern in profile.family.counted})
_PAIRED = (r"\+CMT: .*", r"\+CDS: .*", r"\+CMGR: .*", r"\+CMGL: .*")
_URCS = r"%s|\+CMTI: .*|RING|\+CRING: .*|\+CTZ[VE]: .*" % BOOT

# CME and CMS errors that say why a SIM or a message cannot be had.
ABSENT = (10, 13, 15)
SMS_WHY = {310: "no-sim", 311: "no-sim", 312: "no-sim", 313: "no-sim", 316: "no-sim", 331: "not-registered", 332: "timeout"}


class _Closing(Exception):
    """The driver is closed."""


class _Again(Exception):
    """The module has begun anew, or is about to."""


class _Silent(Exception):
    """It does not answer at all."""


class Answer:
    """What came of a command. lines: str; data: [(header, bytes)]; torn: announced bytes did not come."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.data: list[tuple[str, bytes]] = []
        self.torn = False
        self.prompted = False
        self.result: at.Result | None = None

    @property
    def ok(self) -> bool:
        return self.result is not None and self.result.ok

    @property
    def text(self) -> str:
        return self.result.text if self.result else ""

    @property
    def code(self) -> "int | None":
        return self.result.code if self.result else None

    def match(self, pattern: str) -> "re.Match | None":
        """The first line, or the last, that is of this shape."""
        for line in (*self.lines, self.text):
            found = re.fullmatch(pattern, line)
            if found:
                return found
        return None


def check_apn(apn: object) -> "str | None":
    """What is wrong with an access point's name, or None."""
    return None if isinstance(apn, str) and _APN.fullmatch(apn) else "%r is no access point" % (apn,)


class AtModem:
    """`ports.Modem`, and the socket service for the link.

    post     takes events, from any thread
    part     its part of the board: "profile", a key of PROFILES; "baud" (115200), "apn" (by the SIM), "ip": "modem" or "kernel",
             "sms": "pdu" or "text", "reset" and "power": pins that press the module's RESET and PWRKEY, high while they
             do ("active_low": low)
    path     the port's device
    gpio     RPi.GPIO's API, for the pins
    line     what to use instead of a `Line` on the path
    pin_source   called when the SIM asks: its PIN (wiped here), or None; not again once that was wrong
    pin_refused  called when it was wrong
    fault    the kind of the last error that nobody foresaw, or None
    """

    poll_s = 5.0
    look_s = 60.0
    clock_s = 3600.0
    retry_s: "tuple[float, ...]" = (0.2, 0.5, 1.0, 2.0, 5.0)
    speak_s = 20.0
    at_s = 0.5  # between two AT
    quiet_s = 0.3  # nothing may come for so long when it speaks again
    sms_wait_s = 60.0  # a message waits so long for a SIM that starts and a network that is looked for

    def __init__(
        self,
        post: Callable[[Event], None],
        part: dict,
        path: str,
        gpio: Any = None,
        pin_source: "Callable[[], bytearray | None] | None" = None,
        line: Any = None,
    ) -> None:
        self.state = "starting"
        self.fault: str | None = None
        self.pin_source = pin_source
        self.pin_refused: Callable[[], None] | None = None
        self._post, self._gpio = post, gpio
        self._profile: Profile = PROFILES[part["profile"]]
        self._baud = self._board_baud = part.get("baud", BAUD)
        self._kernel = part.get("ip", "modem") == "kernel"
        self._pdu = self._wants_pdu = part.get("sms", "pdu") == "pdu"
        self._pins = {name: part[name] for name in ("reset", "power") if name in part}
        self._pressed = not part.get("active_low", False)
        if self._pins and gpio is not None:
            for pin in self._pins.values():
                gpio.setup(pin, gpio.OUT, initial=not self._pressed)
        self._line = line or Line(path)
        self._channel = at.Channel(_URCS, _COUNTED, _PAIRED)
        self._sockets = Sockets(self._profile, self)
        self._joiner = sms.Joiner()
        self._lock = threading.RLock()
        self._facts = dict(UNKNOWN)
        self._clock: tuple[int, float] | None = None  # UTC, and when it was
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._closing = False
        self._apn, self._own_apn = "", part.get("apn", "")
        self.set_apn(self._own_apn)
        # The owner's.
        self._answer: Answer | None = None
        self._heard_at = 0.0
        self._rung = SPEAK
        self._due = self._poll_due = self._look_due = self._clock_due = 0.0
        self._booting = self._again = self._quiet = False
        self._network_since = 0.0
        self._mcc_mnc: tuple[str, str] | None = None
        self._area = ""
        self._home = ""  # the first digits of the SIM's number
        self._regs: dict[str, facts.Registration] = {}
        self._refresh = self._deact = self._renew = False
        self._fix = -1  # the cure that is wanted
        self._cured, self._cured_at = -1, 0.0  # the last one
        self._timeouts = 0
        self._renewed_at = self._radio_at = -CALM_S
        self._restarts_done = 0
        self._restarted_at = 0.0
        self._gone_since: float | None = None
        self._spoke, self._presses = False, 0
        self._pin_refused = False  # or it is being tried
        self._sim_told = 0  # unasked: 1 that it is ready, 2 that it is not
        self._board_speed_tried = False
        self._switched = False  # to an interface of the kernel, by this run
        self._clean = False  # no sockets of an earlier run in the modem
        self._restarts: list[tuple[int, float]] = []
        self._restart_wanted = False
        self._unlocks: list[tuple[bytearray, Callable[[str], None]]] = []
        self._outgoing: list[dict] = []
        self._stored: list[int] = []
        self._list_due: float | None = None
        self._reference = 0
        self._thread = threading.Thread(target=self._run, name=PART_NAME, daemon=True)

    def start(self) -> None:
        """Begins to open the modem; PART tells how that went."""
        self._thread.start()

    def attach_vault(self, vault: Any) -> None:
        """Where the PIN of the SIM is kept: `sim_pin()`, and `drop_sim_pin()` when it was wrong."""
        self.pin_source, self.pin_refused = vault.sim_pin, vault.drop_sim_pin

    def close(self) -> None:
        """No more events; streams end without a word."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._line.wake()
        if self._thread.is_alive():
            self._thread.join(5)
        if not self._thread.is_alive():
            self._line.shut()
        self._take_requests()
        self._answer_unlocks("no-modem")

    # The port.

    def status(self) -> dict:
        """See `ports.Modem`."""
        with self._lock:
            return dict(self._facts)

    def network_time(self) -> "int | None":
        """See `ports.Modem`."""
        with self._lock:
            return None if self._clock is None else self._clock[0] + int(self._line.now() - self._clock[1])

    def send_sms(self, ticket: int, number: str, text: str) -> None:
        """See `ports.Modem`. ValueError for what is no number, and for a text of more than 255 parts."""
        self._reference = (self._reference + 1) & 0xFF
        self._ask_owner("sms", (ticket, number, text, sms.submit(number, text, self._reference)))

    def restart(self, ticket: int) -> None:
        """See `ports.Modem`."""
        self._ask_owner("restart", ticket)

    def unlock(self, pin: bytearray, done: "Callable[[str], None]") -> None:
        """See `ports.Modem`. "no-modem" also when no SIM asks for a PIN."""
        with self._lock:
            if not self._closing:
                self._ask_owner("unlock", (pin, done))
                return
        pin[:] = bytes(len(pin))
        done("no-modem")

    def set_apn(self, apn: str) -> None:
        """The access point for the next context; "": by the board's, else by the SIM. ValueError for what is none."""
        wrong = check_apn(apn)
        if wrong:
            raise ValueError("modem: " + wrong)
        changed, self._apn = self._apn != (apn or self._own_apn), apn or self._own_apn
        if changed:
            self._ask_owner("renew", None)

    # The streams; `on_event` is called in the owner's thread.

    def open_socket(self, address: str, port: int, timeout_ms: int, on_event: "Callable[[str, object], None]") -> Socket:
        """A stream to a host -> its handle. on_event(name, value), until "down" or `close_socket`:

        ("step", ("bearer" | "name" | "tcp", ms))     ("up", None)     ("data", bytes)     ("down", one of ports.LINK_FAULTS)
        ("sent", None): the modem has taken all that was handed over, which says nothing of the host
        """
        socket = Socket(address, port, self._line.now(), timeout_ms, on_event)
        self._ask_owner("open", socket)
        return socket

    def send_socket(self, handle: Socket, data: bytes) -> None:
        """After "up". What is not taken ends the stream as "broken"."""
        if data:
            self._ask_owner("send", (handle, bytes(data)))

    def hold_socket(self, handle: Socket, held: bool) -> None:
        """Whether no more bytes are wanted for now: those that come stay in the modem as far as it can keep them."""
        handle.held = held
        self._line.wake()

    def close_socket(self, handle: Socket) -> None:
        """Nothing comes for it when this has returned; what was sent before is offered to the network."""
        handle.stop()
        self._ask_owner("close", handle)

    def _ask_owner(self, verb, value):
        self._requests.put((verb, value))
        self._line.wake()

    # The owner's thread.

    def _run(self):
        failures = 0
        while not self._closing:
            try:
                self._begin()
                failures = 0
                self._serve()
            except _Closing:
                break
            except _Again:
                self._lost("starting")
            except _Silent:
                self._lost("failed")
            except LineError as error:
                self._lost("gone" if error.gone else "failed")
                if self._gone_since is None:
                    self._gone_since = self._line.now()
                self._away(self.retry_s[min(failures, len(self.retry_s) - 1)])
                failures += 1
            except Exception as error:  # noqa: BLE001 - nothing that a wire says may end this thread
                self.fault = type(error).__name__
                self._lost("failed")
                self._away(self.retry_s[min(failures, len(self.retry_s) - 1)])
                failures += 1
        self._line.close()

    def _lost(self, state):
        """The module is away, or begins anew: nothing that was known of it holds."""
        self._answer = None
        self._channel.forget()
        self._sockets.lose()
        self._joiner.clear()
        self._stored, self._list_due = [], None
        self._regs, self._mcc_mnc, self._clean = {}, None, False
        self._deact = self._quiet = False
        self._rung, self._sim_told = SPEAK, 0
        self._know(**{name: value for name, value in UNKNOWN.items() if name not in KEPT})
        self._state(state)

    def _away(self, seconds):
        """The port is away: requests are answered, and later it is tried again."""
        self._line.close()
        end = self._in(seconds)
        while not self._closing and self._line.now() < end:
            self._refuse()
            if self._pins and self._gone_since is not None:
                long = self._line.now() - self._gone_since >= SILENT_S
                if (self._restart_wanted or long) and self._may_restart():
                    self._restart_wanted, self._gone_since = False, self._line.now()
                    self._press_pins()
            self._line.wait(end)

    def _rest(self, seconds):
        """Time passes; the line is heard."""
        end = self._line.now() + seconds
        while self._line.now() < end:
            self._turn(end)

    def _turn(self, until):
        """Waits once, hears what came, looks at deadlines."""
        self._take_requests()
        self._check()
        times = [until, *self._sockets.deadlines(), *[end for _, end in self._restarts]]
        if self._channel.owing:
            times.append(self._heard_at + GAP_S)
        self._line.wait(min(times))
        data = self._line.read()
        if data:
            self._heard_at = self._line.now()
            found = self._channel.feed(data)
        elif self._channel.owing and self._line.now() >= self._heard_at + GAP_S:
            found = self._channel.stalled()
        else:
            found = []
        for what, value in found:
            self._heard(what, value)
        self._sockets.expire()
        self._expire_restarts()
        self._check()

    def _check(self):
        if self._closing:
            raise _Closing
        if self._booting:
            return
        if self._restart_wanted:
            self._restart_wanted = False
            self._press_restart()
        if self._again:
            raise _Again

    # Requests.

    def _take_requests(self):
        """Out of the queue, to where the owner will do them. Asks nothing of the modem."""
        while True:
            try:
                verb, value = self._requests.get_nowait()
            except queue.Empty:
                return
            if verb == "open":
                self._sockets.add(value)
            elif verb == "send":
                socket, data = value
                socket.outbox += data
            elif verb == "restart":
                self._restarts.append((value, self._line.now() + RESTART_S))
                self._restart_wanted = True
            elif verb == "unlock":
                self._unlocks.append(value)
            elif verb == "sms":
                self._queue_sms(*value)
            elif verb == "renew":
                self._renew = self._rung in (ATTACH, UP)

    def _refuse(self):
        """What is asked of a modem that is not there."""
        self._take_requests()
        self._sockets.expire()
        hopeless = self.hopeless()
        if hopeless:
            self._sockets.drop(hopeless)
            self._answer_unlocks("no-modem")
            for message in self._outgoing:
                self._tell(MODEM_FAILED, message["ticket"], "no-modem")
            self._outgoing = []
        if self._restart_wanted and self.state == "gone" and not self._pins:
            self._restart_wanted = False
            self._finish_restarts("no-modem")
        self._expire_restarts()

    def _answer_unlocks(self, word):
        unlocks, self._unlocks = self._unlocks, []
        for pin, done in unlocks:
            pin[:] = bytes(len(pin))
            done(word)

    def _finish_restarts(self, why=None):
        restarts, self._restarts = self._restarts, []
        for ticket, _ in restarts:
            self._tell(*((MODEM_DONE, ticket, None) if why is None else (MODEM_FAILED, ticket, why)))

    def _expire_restarts(self):
        now = self._line.now()
        for one in [one for one in self._restarts if now >= one[1]]:
            self._restarts.remove(one)
            self._tell(MODEM_FAILED, one[0], "timeout")

    # Commands.

    def ask(self, step: Step, data: "bytes | None" = None, **values: object) -> "Answer | None":
        """A step's command and its answer; None when it was not answered, and the modem speaks again. For `Sockets`."""
        answer = self._exchange(command(step, data is not None, **values), step.seconds, data)
        if answer is None:
            self._resync(data)
        elif step.settle_s:
            self._settle(step.settle_s)
        return answer

    def _say(self, text, seconds=5.0, answer=None):
        """A command without a table -> Answer or None."""
        return self.ask(Step(text, seconds, answer))

    def _exchange(self, asked, seconds, data=None, rest=b""):
        """One command -> Answer, or None when the time is over. rest: what a secret command goes on with."""
        stale = self._line.read()
        for what, value in self._channel.feed(stale) if stale else ():
            self._heard(what, value)
        self._check()
        answer = self._answer = Answer()
        self._line.write(self._channel.begin(asked))
        if rest:
            self._line.write(rest)
        end = self._line.now() + seconds
        try:
            while answer.result is None and self._line.now() < end:
                self._turn(end)
                if answer.prompted and data is not None:
                    self._line.write(data)
                    data = None
        finally:
            self._answer = None
            self._channel.abandon()
        return answer if answer.result is not None else None

    def _resync(self, data):
        """A command was not answered: AT until the modem answers. `data`: what it may still wait for."""
        for attempt in range(RESYNCS):
            if data is not None and attempt == 0:
                self._line.write(b"\x1b")
            if data is not None and attempt == 2:
                # It has not heard that the data are over: the stream that they were for is broken anyway.
                self._line.write(bytes(len(data)))
            answer = self._exchange(at.Command("AT"), RESYNC_S)
            if answer is not None and answer.ok:
                self._settle(self.quiet_s)
                return
        raise _Silent

    def _settle(self, seconds):
        """Listens until nothing has come for so long: late answers belong to nobody."""
        end = self._line.now() + seconds
        for _ in range(20):
            before = self._heard_at
            while self._line.now() < end:
                self._turn(end)
            if self._heard_at <= before:
                return
            end = self._heard_at + seconds

    def _heard(self, what, value):
        answer = self._answer
        if what == at.URC:
            self._urc(value)
        elif what == at.TORN:
            if answer is not None:
                answer.torn = True
            self._sockets.torn(value)
        elif what == at.DATA and (answer is None or self._profile.family.read is None):
            self._sockets.pushed(*value)
        elif what == at.ECHO:
            self._again = self._again or self._quiet  # it has forgotten that we want none
        elif answer is not None:
            if what == at.LINE:
                answer.lines.append(value)
                if re.match(r"\+C[GE]?REG:", value):
                    self._registration(value)  # at once: what comes unasked behind it is newer
            elif what == at.DATA:
                answer.data.append(value)
            elif what == at.PROMPT:
                answer.prompted = True
            elif what == at.END:
                answer.result = value

    def _urc(self, line):
        """What nobody asked for. Asks nothing: another command may be open."""
        if re.fullmatch(BOOT, line):
            self._again = True
        elif self._sockets.heard(line):
            pass
        elif re.match(facts.UNASKED, line):
            self._registration(line)
        elif line.startswith(("+CPIN:", "+SIMCARD:")):
            lost = self._rung != SPEAK and "READY" not in line.replace("NOT READY", "")
            self._sim_told = max(self._sim_told, 2 if lost else 1)  # a step that is under way will not overrule it
        elif line.startswith("+CMTI:"):
            place = at.fields(line)[-1]
            if place.isdigit() and len(place) < 6:
                self._stored.append(int(place))
        elif line.startswith("+CMT:") and "\n" in line:
            self._direct(line)
        elif line.startswith(("+CTZV:", "+CTZE:")):
            self._clock_due = 0.0

    # Bring-up.

    def _begin(self):
        """From a port to a modem that speaks and is as we want it."""
        self._booting = True
        self._speak()
        self._gone_since = None
        self._spoke, self._presses = True, 0
        self._booting = self._again = False
        self._say("ATE0")
        self._quiet = True
        for text in ("ATV1", "AT+CMEE=1"):
            self._say(text)
        self._radio_on()
        imei = self._say("AT+GSN", 5.0, r'(?:\+GSN: ?)?"?(?P<imei>\d{14,16})"?') or Answer()
        found = imei.match(r'(?:\+GSN: ?)?"?(?P<imei>\d{14,16})"?')
        if found:
            self._know(imei=found["imei"])
        for text in ("AT+CREG=2", "AT+CGREG=2", "AT+CEREG=2", "AT+CTZU=1"):
            self._say(text)
        now = self._line.now()
        self._rung, self._due, self._poll_due, self._network_since = SIM, now, now, now
        self._look_due, self._clock_due = now + self.look_s, 0.0
        self._state("ready")
        self._finish_restarts()

    def _radio_on(self):
        """An earlier run may have died between CFUN=0 and CFUN=1."""
        answer = self._say("AT+CFUN?", 5.0, r"\+CFUN: ?\d+.*")
        found = answer and answer.match(r"\+CFUN: ?(\d+).*")
        if found and found[1] != "1":
            self._say("AT+CFUN=1", 15.0)

    def _speak(self):
        """AT until it is answered, at any speed. Raises LineError when there is no port."""
        since = self._line.now()
        # One that has never spoken may be off: it gets its key as soon as it would have started by itself.
        off = "power" in self._pins and not self._spoke
        restart_due = since + (self._profile.boot_s if off else SILENT_S)
        # One of the other speeds in turn: a module that finds the speed by itself is not to be confused.
        others = itertools.cycle([baud for baud in dict.fromkeys((self._board_baud, *BAUDS)) if baud != self._baud])
        while True:
            for baud, tries in ((self._baud, 4), (next(others), 2)):
                if self._answers_at(baud, tries):
                    self._baud = baud
                    self._to_board_speed()
                    return
            self._refuse()
            now = self._line.now()
            if now - since >= self.speak_s:
                self._state("failed")
            if self._restart_wanted or now >= restart_due:
                self._restart_wanted = False
                restart_due = now + SILENT_S
                if self._pins and self._may_restart():
                    self._press_pins()
            elif self.state == "failed":
                self._rest(2.0)

    def _answers_at(self, baud, tries=2):
        self._line.open(baud)
        self._channel.forget()
        for number in range(tries):
            answer = self._exchange(at.Command("AT"), self.at_s)
            if answer is not None and answer.ok:
                self._settle(self.quiet_s)
                return True
            if not number:
                self._line.write(OWED)
        return False

    def _to_board_speed(self):
        """To the speed that the board wants, if the module can be told to; tried once."""
        found = self._baud
        if found == self._board_baud or self._board_speed_tried:
            return
        self._board_speed_tried = True
        answer = self._exchange(at.Command("AT+IPR=%d" % self._board_baud), 2.0)
        if answer is not None and answer.ok:
            self._baud = self._board_baud
            if not self._answers_at(self._board_baud):
                self._baud = found
                if not self._answers_at(found):
                    raise _Silent

    def _hear_sim(self):
        """What the modem told of its SIM counts behind whatever it was at when it did."""
        told, self._sim_told = self._sim_told, 0
        if told == 2 or told and self._rung == SIM:
            self._rung, self._due = SIM, self._line.now()

    def _advance(self):
        """One step on the ladder."""
        self._due = {SIM: self._look_at_sim, NETWORK_RUNG: self._look_for_network, ATTACH: self._attach, UP: self._stay_up}[
            self._rung
        ]()

    def _in(self, seconds):
        return self._line.now() + seconds

    # The SIM.

    def _look_at_sim(self):
        answer = self._say("AT+CPIN?", 5.0, r"\+CPIN: ?.*")
        word = at.fields(answer.lines[0])[0].upper() if answer is not None and answer.lines else ""
        if word == "READY":
            self._know(sim="ready")
            self._pin_refused = False
            return self._sim_ready()
        if word in ("SIM PIN", "SIM PUK"):
            self._know(sim="pin" if word == "SIM PIN" else "puk")
            if word == "SIM PIN" and not self._pin_refused:
                self._pin_by_itself()
                return self._in(0.5 if self._facts["sim"] != "pin" else 30.0)
            return self._in(30.0)
        code = answer.code if answer is not None else None
        if code == 11 or code == 12:
            self._know(sim="pin" if code == 11 else "puk")
        elif code in ABSENT or word in ("NOT INSERTED", "SIM REMOVED", "NOT READY"):
            self._sockets.lose()
            self._know(sim="absent", iccid="", address="")
            self._clean = False
        return self._in(1.0 if code == 14 else 5.0)

    def _pin_by_itself(self):
        tries = self._profile.tries
        if tries is not None:
            answer = self.ask(tries)
            left = answer.match(tries.answer) if answer is not None else None
            if left and int(left["tries"]) < 2:
                return  # the last try is a person's
        pin = self.pin_source() if self.pin_source is not None else None
        if pin is not None:
            self._pin_refused = True  # until the SIM is ready
            if self._give_pin(pin) == "wrong" and self.pin_refused is not None:
                self.pin_refused()

    def _give_pin(self, pin):
        """-> "right", "wrong", "no-modem"; wipes it. What the SIM wants afterwards decides when the answer does not."""
        whole = bytearray(b'"') + pin + b'"\r'
        try:
            if not 4 <= len(pin) <= 8 or not all(0x30 <= byte <= 0x39 for byte in pin):
                return "wrong"
            answer = self._exchange(at.Command("AT+CPIN=", secret=True), 10.0, rest=whole)
        finally:
            whole[:] = bytes(len(whole))
            pin[:] = bytes(len(pin))
        if answer is None:
            self._resync(None)
        if answer is not None and answer.ok:
            self._know(sim="unknown")
            self._due = self._in(0.5)
            return "right"
        self._pin_refused = True
        wrong = answer is not None and answer.code in (11, 12, 16)
        wants = self._say("AT+CPIN?", 5.0, r"\+CPIN: ?.*")
        word = at.fields(wants.lines[0])[0].upper() if wants is not None and wants.lines else ""
        if word == "READY":
            self._due = self._in(0.0)
            return "right"
        if word in ("SIM PIN", "SIM PUK"):
            self._know(sim="pin" if word == "SIM PIN" else "puk")
        return "wrong" if wrong or word == "SIM PUK" else "no-modem"

    def _unlock_one(self):
        pin, done = self._unlocks.pop(0)
        if self._facts["sim"] == "pin":
            word = self._give_pin(pin)
        else:
            pin[:] = bytes(len(pin))
            word = "wrong" if self._facts["sim"] == "puk" else "no-modem"
        done(word)

    def _sim_ready(self):
        answer = self._say("AT+CIMI", 5.0, r"(?:\+CIMI: ?)?\d{14,15}")
        found = answer and answer.match(r"(?:\+CIMI: ?)?(\d{5})\d+")
        if not found:
            return self._in(1.0)  # it says READY before it can be read
        self._home = found[1]
        answer = self._say(self._profile.iccid, 5.0, ICCID)
        found = answer and answer.match(ICCID)
        if found:
            self._know(iccid=found["iccid"].rstrip("Ff"))
        self._set_messages()
        self._rung = NETWORK_RUNG
        self._network_since = self._line.now()
        return self._network_since

    # The network.

    def _look_for_network(self):
        self._read_registration()
        if self._facts["dbm"] is None:
            self._signal()
        if self.registered():
            self._who()
            self._rung = ATTACH
            return self._line.now()
        self._impatient()
        return self._in(2.0 if self._line.now() - self._network_since < 30 else 5.0)

    def _impatient(self):
        """Not registered for long: with a signal there must be something wrong."""
        now = self._line.now()
        if self._facts["dbm"] is None:
            self._network_since = now
        elif now - self._network_since >= UNREGISTERED_S:
            self._network_since = now
            if self._facts["registered"] != "denied":
                self._want("radio")
            elif now - self._radio_at >= CALM_S:
                self._radio_at = now
                self._cycle_radio()  # the network may have thought better of it

    def _read_registration(self):
        for kind in ("E", "G", ""):
            self._say("AT+C%sREG?" % kind, 5.0, facts.ASKED % kind)

    def _registration(self, line):
        told = facts.registration(line)
        if told is None:
            return
        self._regs[told.kind] = told
        # Data need LTE or the packet domain; calls alone count only where nothing is known of those.
        packet = [self._regs[kind] for kind in ("E", "G") if kind in self._regs]
        stats = [facts.STATS.get(one.stat, "unknown") for one in packet]
        if not stats or all(stat == "unknown" for stat in stats):
            packet = list(self._regs.values())
            stats = [facts.STATS.get(one.stat, "unknown") for one in packet]
        word = next((word for word in ("home", "roaming", "denied", "searching", "unknown") if word in stats), "off")
        was = self._facts["registered"]
        if word != was:
            self._mcc_mnc = None  # whose network this is has to be asked
        here = next((one for one, stat in zip(packet, stats, strict=True) if stat == word and one.cell), None)
        news: dict[str, Any] = {"registered": word}
        if word not in ("home", "roaming"):
            news["technology"], news["cell"] = "", None
        elif here is not None:
            news["technology"] = here.technology or self._facts["technology"]
            if self._mcc_mnc:
                news["cell"] = (*self._mcc_mnc, here.area, here.cell)
        self._know(**news)
        if word != was:
            self._network_since = self._line.now()
            if self._rung == NETWORK_RUNG:
                self._due = self._network_since
        if word != was or here is not None and here.area != self._area:
            self._refresh, self._area = True, here.area if here is not None else ""

    def _who(self):
        """Operator, cell, time."""
        self._refresh = False
        number, technology = "", ""
        for form, digits in ((2, True), (0, False)):
            self._say("AT+COPS=3,%d" % form)
            answer = self._say("AT+COPS?", 10.0, r"\+COPS: ?.*")
            if answer is None or not answer.lines:
                continue
            name, technology = facts.operator(answer.lines[0])
            if digits:
                number = name
            else:
                self._know(operator=name or number, technology=technology or self._facts["technology"])
        self._mcc_mnc = facts.network(number)
        if self._mcc_mnc is None and self._profile.cell is not None:
            answer = self.ask(self._profile.cell)
            found = answer.match(self._profile.cell.answer) if answer is not None else None
            self._mcc_mnc = (found["mcc"], found["mnc"]) if found else None
        for one in list(self._regs.values()):
            if self._mcc_mnc and one.cell and facts.STATS.get(one.stat) in ("home", "roaming"):
                self._know(cell=(*self._mcc_mnc, one.area, one.cell))
                break
        self._ask_clock()

    def _ask_clock(self):
        self._clock_due = self._in(self.clock_s)
        answer = self.ask(self._profile.clock)
        found = answer.match(self._profile.clock.answer) if answer is not None else None
        told = facts.utc(found["time"], found["zone"]) if found else None
        if told is not None:
            with self._lock:
                self._clock = (told, self._line.now())

    def _signal(self):
        answer = self._say("AT+CSQ", 5.0, r"\+CSQ: ?\d+,.*")
        dbm = facts.signal(answer.lines[0]) if answer is not None and answer.lines else None
        bars = facts.bars(dbm)
        if dbm is None:
            answer = self._say("AT+CESQ", 5.0, r"\+CESQ: ?.*")
            dbm = facts.lte_signal(answer.lines[0]) if answer is not None and answer.lines else None
            bars = facts.bars(dbm, lte=True)
        self._know(dbm=dbm, bars=bars)

    # The context.

    def _attach(self):
        if not self.registered():
            self._rung = NETWORK_RUNG
            return self._line.now()
        if self._kernel:
            return self._attach_kernel()
        family = self._profile.family
        if not self._clean:
            self._detach()  # an earlier run may have left sockets in the modem
            self._clean = True
        for step in family.attach:
            answer = self.ask(step, apn=self._access_point())
            if not step.lenient and (answer is None or not answer.ok):
                self._clean = False
                if self.registered():
                    self._want("context")
                return self._in(5.0)
        return self._attached()

    def _attached(self):
        address = self._ask_address()
        if not address:
            self._clean = False
            self._want("context")
            return self._in(5.0)
        self._rung = UP
        self._restarts_done = 0
        self._know(address=address, trouble="")
        return self._in(self.look_s)

    def _attach_kernel(self):
        """The system makes the connection; the modem has to be the right kind of interface for it."""
        self._say('AT+CGDCONT=1,"IP","%s"' % self._access_point())
        if self._profile.kernel is not None and not self._switched:
            step, mode, switch = self._profile.kernel
            self._switched = True
            answer = self.ask(step)
            found = answer.match(step.answer) if answer is not None else None
            if found and found["mode"] != mode and (self._say(switch) or Answer()).ok:
                self._reset_module()
        self._rung = UP
        self._know(address=self._ask_address(), trouble="")
        return self._in(self.look_s)

    def _access_point(self):
        if self._apn:
            return self._apn
        return next((name for homes, name in ACCESS_POINTS if self._home in homes), "")

    def _ask_address(self):
        """Of the context; "" when there is none."""
        step = self._profile.family.address
        if self._kernel:
            step = Step("AT+CGPADDR=1", 5.0, r'\+CGPADDR: ?1,"?(?P<address>\d{1,3}(?:\.\d{1,3}){3})"?.*')
        answer = self.ask(step)
        if answer is None or not answer.ok:
            return ""
        for pattern in (step.answer, step.success):
            found = answer.match(pattern) if pattern else None
            if found and "address" in found.groupdict() and found["address"] != "0.0.0.0":
                return found["address"]
        return ""

    def _detach(self):
        for step in self._profile.family.detach:
            self.ask(step)

    def _stay_up(self):
        """Whether the context is still there, now and then."""
        if self.registered():
            address = self._ask_address()
            if not address and not self._kernel:
                self._deact = True
            elif address:
                self._know(address=address)
        return self._in(self.look_s)

    # What `Sockets` wants to know.

    def now(self) -> float:
        return self._line.now()

    def attached(self) -> bool:
        return self._rung == UP and not self._deact and not self._renew and not self._kernel

    def registered(self) -> bool:
        return self._facts["registered"] in ("home", "roaming")

    def hopeless(self) -> "str | None":
        """Why there will be no stream soon."""
        out = self._kernel or self.state in ("failed", "gone") or self._facts["sim"] in ("pin", "puk", "absent")
        return "no-network" if out or self._facts["registered"] == "denied" else None

    def trouble(self, what: str) -> None:
        """What a stream has met. Asks nothing: a command may be open."""
        if what == "deact":
            self._deact = True
            self._sockets.lose()
        elif what == "timeout":
            self._timeouts += 1
            if self._timeouts >= TIMEOUTS and self.registered() and self._line.now() - self._renewed_at >= CALM_S:
                self._renewed_at, self._timeouts, self._renew = self._line.now(), 0, True
        else:
            self._want(what)

    def well(self) -> None:
        """A host was reached: whatever was wrong is over."""
        self._timeouts = self._restarts_done = 0
        self._cured = self._fix = -1
        self._know(trouble="")

    # Cures.

    def _want(self, cure):
        self._fix = max(self._fix, CURES.index(cure))

    def _cure(self):
        """The one that is wanted, or the one after the last when that was lately and did not help."""
        now = self._line.now()
        if now - self._cured_at > CALM_S:
            self._cured = -1
        level = min(max(self._fix, self._cured + 1), len(CURES) - 1)
        self._fix = -1
        wait_s = 1.0
        if CURES[level] in ("reset", "power") and not self._may_restart():
            level, wait_s = CURES.index("context"), 30.0  # not yet: the mild one meanwhile
        else:
            self._cured, self._cured_at = level, now
        self._know(trouble=CURES[level])
        {
            "socket": lambda: None,
            "context": lambda: self._renew_context(wait_s),
            "radio": self._cycle_radio,
            "reset": self._reset_module,
            "power": self._power_module,
        }[CURES[level]]()

    def _renew_context(self, wait_s=0.0):
        self._renew = self._deact = False
        self._sockets.lose()
        self._know(address="")
        if self._rung == UP or self._rung == ATTACH:
            if not self._kernel:
                self._detach()
            self._clean = True
            self._rung, self._due = ATTACH, self._in(wait_s)

    def _cycle_radio(self):
        self._sockets.lose()
        self._regs = {}
        self._know(address="", registered="off", technology="", cell=None)
        self._say("AT+CFUN=0", 15.0)
        self._say("AT+CFUN=1", 15.0)
        self._clean = False
        self._rung, self._due = SIM, self._in(1.0)

    def _may_restart(self):
        wait_s = BACK_OFF_S[min(self._restarts_done, len(BACK_OFF_S) - 1)]
        if self._restarts_done and self._line.now() - self._restarted_at < wait_s:
            return False
        self._restarts_done += 1
        self._restarted_at = self._line.now()
        return True

    def _reset_module(self):
        self._say("AT+CFUN=1,1", 15.0)
        self._leave_for_boot()

    def _power_module(self):
        if not self._pins:
            self._reset_module()
        self._press_pins()
        self._leave_for_boot()

    def _press_restart(self):
        """By hand, of a module that speaks."""
        if "reset" in self._pins:
            self._press_pins()
        else:
            self._line.write(b"\rAT+CFUN=1,1\r")
        self._leave_for_boot()

    def _leave_for_boot(self):
        """It takes a moment until it stops to answer; what it says then is the new one's."""
        self._lost("starting")
        self._booting, self._again = True, False
        end = self._in(2.0)
        while self._line.now() < end and not self._again:
            self._turn(end)
        raise _Again

    def _press_pins(self):
        """RESET and PWRKEY by turns, where both are wired. Whatever the line says meanwhile is read later."""
        order = ("reset", "power") if self._spoke else ("power", "reset")
        names = [name for name in order if name in self._pins]
        if not names or self._gpio is None:
            return
        name = names[self._presses % len(names)]
        self._presses += 1
        self._gpio.output(self._pins[name], self._pressed)
        end = self._in(self._profile.reset_s if name == "reset" else self._profile.power_s)
        while self._line.now() < end and not self._closing:
            self._line.wait(end)
        self._gpio.output(self._pins[name], not self._pressed)

    # Up and about.

    def _serve(self):
        while True:
            self._take_requests()
            self._check()
            self._hear_sim()
            now = self._line.now()
            busy = self._sockets.work()
            if self._unlocks:
                self._unlock_one()
            elif self._deact or self._renew:
                self._know(trouble="context")
                self._renew_context()
            elif self._fix >= 0:
                self._cure()
            elif now >= self._due:
                self._advance()
            elif not busy and self._message():
                pass
            elif not busy and self._refresh and self._facts["sim"] == "ready":
                self._refresh = False
                if self.registered():
                    self._who()
            elif not busy and now >= self._poll_due:
                self._poll()
            elif not busy:
                self._turn(self._next())

    def _next(self):
        times = [self._due, self._poll_due, *self._sockets.dues()]
        if self._facts["sim"] == "ready":  # messages lie on it
            if self._list_due is not None:
                times.append(self._list_due)
            waiting = self._joiner.next_due
            if waiting is not None:
                times.append(waiting + self._joiner.patience_s)
        return min(times)

    def _poll(self):
        """Nobody wants anything: what a person sees is kept fresh."""
        self._poll_due = self._in(self.poll_s)
        self._signal()
        now = self._line.now()
        if now >= self._look_due and self._facts["sim"] == "ready":
            self._look_due = now + self.look_s
            self._read_registration()
        if now >= self._clock_due and self.registered():
            self._ask_clock()
        if self._rung == UP and not self.registered():
            self._impatient()

    # Messages.

    def _set_messages(self):
        self._pdu = self._wants_pdu
        if self._pdu:
            answer = self._say("AT+CMGF=0")
            self._pdu = answer is not None and answer.ok
        if not self._pdu:
            for text in ("AT+CMGF=1", 'AT+CSCS="UCS2"', "AT+CSMP=17,167,0,8"):
                self._say(text)
        self._say("AT+CNMI=2,1,0,0,0")
        self._list_due = self._line.now()

    def _queue_sms(self, ticket, number, text, parts):
        message = {"ticket": ticket, "number": number, "text": text, "parts": parts, "begun": False}
        message["until"] = self._in(self.sms_wait_s)
        self._outgoing.append(message)

    def _message(self):
        """One thing about messages -> whether there was one."""
        now = self._line.now()
        if self._outgoing and self._send_part():
            return True
        if self._facts["sim"] != "ready":
            return False
        if self._stored:
            self._fetch(self._stored.pop(0))
            return True
        if self._list_due is not None and now >= self._list_due:
            self._fetch_all()
            return True
        late = self._joiner.due(now)
        self._hand_on(late)
        return bool(late)

    def _send_part(self):
        """-> False when it has to wait."""
        message = self._outgoing[0]
        why = self._sms_hindrance()
        if why is not None and self._line.now() < message["until"] and self._starting():
            return False
        if not self._pdu and not message["begun"]:
            message["parts"] = [(None, sms.ucs2(text)) for text in sms.texts(message["text"])]
        message["begun"] = True
        if why is None:
            length, body = message["parts"][0]
            to = str(length) if length is not None else '"%s"' % sms.ucs2(message["number"])
            step = Step("AT+CMGS=" + to, 60.0, r"\+CMGS: ?\d+.*")
            answer = self.ask(step, data=body.encode("ascii") + b"\x1a")
            if answer is None:
                why = "timeout"
            elif not answer.ok:
                why = SMS_WHY.get(answer.code, "refused")
            else:
                message["parts"].pop(0)
        if why is not None or not message["parts"]:
            self._outgoing.pop(0)
            self._tell(*((MODEM_DONE, message["ticket"], None) if why is None else (MODEM_FAILED, message["ticket"], why)))
        return True

    def _starting(self):
        """Whether there may be a SIM and a network soon."""
        return self._facts["sim"] == "unknown" or self._facts["sim"] == "ready" and self._rung in (SIM, NETWORK_RUNG)

    def _sms_hindrance(self):
        if self._facts["sim"] != "ready":
            return "no-sim"
        stats = [facts.STATS.get(one.stat) for one in self._regs.values()]
        return None if "home" in stats or "roaming" in stats else "not-registered"

    def _fetch(self, place):
        answer = self._say("AT+CMGR=%d" % place, 10.0, r"\+CMGR: .*")
        if answer is None:
            return
        if answer.code in (314, 512):  # SIM busy
            self._list_due = self._in(5.0)
        elif answer.lines and "\n" in answer.lines[0]:
            self._came(answer.lines[0], place, 1)

    def _fetch_all(self):
        self._list_due = None
        text = "AT+CMGL=4" if self._pdu else 'AT+CMGL="ALL"'
        answer = self._exchange(at.Command(text, r"\+CMGL: .*", many=True), 30.0)
        if answer is None:
            self._resync(None)
        if answer is None or not answer.ok:
            self._list_due = self._in(30.0)
            return
        for line in answer.lines:
            place = at.fields(line.partition("\n")[0])[0]
            if "\n" in line and place.isdigit():
                self._came(line, int(place), 2)

    def _came(self, line, place, status_at):
        """A stored message: header and body."""
        header, _, body = line.partition("\n")
        values = at.fields(header)
        status = values[status_at - 1] if len(values) >= status_at else ""
        if status.isdigit() and int(status) > 1 or status.startswith("STO"):
            return  # one that somebody has written and stored
        message = self._read_pdu(body) if self._pdu else self._read_text(values[status_at:], body)
        if message is None:
            self._say("AT+CMGD=%d" % place, 10.0)  # what nobody can read is in the way of the next ones
        else:
            self._hand_on(self._joiner.add(message, place, self._line.now()))

    def _direct(self, line):
        """One that the modem does not store. Called while a command may be open."""
        header, _, body = line.partition("\n")
        message = self._read_pdu(body) if self._pdu else self._read_text(at.fields(header), body)
        if message is not None:
            for whole, _ in self._joiner.add(message, None, self._line.now()):
                self._tell(SMS, 0, (whole.sender, whole.stamp, whole.text))

    def _read_pdu(self, body):
        try:
            return sms.deliver(body)
        except sms.SmsError:
            return None

    def _read_text(self, values, body):
        """values: sender, name, stamp."""
        sender = sms.from_ucs2(values[0]) if values else ""
        digits = re.sub(r"[^0-9]", "", values[2][:17]) if len(values) > 2 else ""
        stamp = "20" + digits if sms.is_time(digits) else ""
        return sms.Message(sender, stamp, sms.from_ucs2(body), None)

    def _hand_on(self, whole):
        for message, places in whole:
            self._tell(SMS, 0, (message.sender, message.stamp, message.text))
            for place in places:
                if place is not None:
                    self._say("AT+CMGD=%d" % place, 10.0)

    # Telling.

    def _know(self, **news):
        with self._lock:
            seen = any(self._facts[name] != value for name, value in news.items() if name != "dbm")
            self._facts.update(news)
            if seen and not self._closing:
                self._post(Event(NETWORK, 0, None))

    def _state(self, state):
        with self._lock:
            if state == self.state or self._closing:
                return
            self.state = state
            self._post(Event(PART, 0, (PART_NAME, state)))

    def _tell(self, name, ticket, value):
        with self._lock:
            if not self._closing:
                self._post(Event(name, ticket, value))
