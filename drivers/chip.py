"""The slot for chips with contacts: a CCID reader on a UART (`ports.ChipReader`).

One thread owns the reader; requests go in through a queue, answers come out as events. What a visit goes through:

    stage     what the thread does                              goes on with
    WAITING   looks for a card every `poll_s`, and whenever     ON: it answered its reset as EMV wants it
              the reader tells of a movement
    ON        waits for commands, the card has power            LOST: pulled, or it talks nonsense; LEAVING: release
    LOST      waits; a command is answered LOST                 LEAVING: release
    LEAVING   power off; looks every `leave_s`                  OVER: the card has been pulled
    OVER      nothing

`cancel`, and a new `activate`, end a visit in any stage at once: its answers stop in the caller's thread and a wait for
the card is cut short. Without a visit the slot is looked at every `check_s`, so that `present` is true and a reader
that has gone is noticed.

A cold reset whose answer is not EMV's is followed by a warm one (EMV Book 1, 8.4). What the reader leaves to its host is
in PROFILES: T=0 and T=1 (`drivers.iso7816`), or nothing. A command is never sent to a card a second time because its
answer was lost: the card is lost instead. A reader that does not answer is "failed", a port that is away "gone"; it is
opened again after `retry_s` until it is ready.
"""

import os
import queue
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from firmware.events import CARD_FOUND, CARD_GONE, CARD_LOST, CARD_PROBLEM, CARD_REPLY, PART, Event

PART_NAME = "chip"
WAITING, ON, LOST, LEAVING, OVER = "waiting", "on", "lost", "leaving", "over"
SHORTEST_APDU, LONGEST_APDU = 4, 261
TRIES = 3

# level: what the reader takes, "tpdu" or "apdu"; power: bPowerSelect, 1 is 5 V, which every payment card takes, 0 leaves
# it to the reader; tell: the escape that has it tell of card movements
Profile = namedtuple("Profile", ("baud", "level", "power", "tell"))
PROFILES = {
    "sec1210": Profile(115200, "tpdu", 1, b""),
    "gempc-twin": Profile(115200, "tpdu", 1, b"\x01\x01\x01"),
    "short-apdu": Profile(115200, "apdu", 0, b""),
}


class _Visit:
    """One card's visit, from `activate` to its last answer."""

    def __init__(self, ticket):
        self.tickets = {ticket}
        self.ticket = ticket
        self.ended = threading.Event()  # cancelled, replaced, or the driver closes
        self.stage = WAITING
        self.why = "removed"  # in LOST
        self.told = False  # that the card in the slot is unreadable
        self.pulled = 0  # `Wire.pulled` when this card was found


def drive(steps, exchange):
    """Runs a generator of `drivers.iso7816`: exchange(bytes) -> what came back."""
    try:
        out = next(steps)
        while True:
            out = steps.send(exchange(out))
    except StopIteration as end:
        return end.value


class _Removed(Exception):
    """There is no card any more."""


class CcidReader:
    """`ports.ChipReader`.

    post     takes events, from any thread
    part     its part of the board: "profile", a key of PROFILES
    path     the UART's device
    fault    the kind of the last error that nobody foresaw, or None
    """

    poll_s = 0.1
    leave_s = 0.1
    check_s = 1.0
    answer_s = 3.0
    status_s = 0.5
    retry_s = (0.2, 0.5, 1.0, 2.0, 5.0)

    def __init__(self, post: Callable[[Event], None], part: dict, path: str) -> None:
        self.state = "starting"
        self.present = False
        self.fault: str | None = None
        self._post, self._path = post, path
        self._profile = PROFILES[part["profile"]]
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._visit: _Visit | None = None  # the callers' view
        self._current: _Visit | None = None  # the owner's
        self._wire: Any = None  # ccid_wire.Wire
        self._card: Any = None  # iso7816.T1, or None for T=0 and for a reader that takes APDUs
        self._closing = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="chip", daemon=True)

    def start(self) -> None:
        """Begins to open the reader; PART tells how that went."""
        self._thread.start()

    def close(self) -> None:
        """Power off, port closed; no more events. What the vault still waits for is answered None."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            if self._visit:
                self._visit.ended.set()
            self._requests.put(("off", None, 0, b"", None))
        self._ring()
        if self._thread.is_alive():
            self._thread.join(5)
        if not self._thread.is_alive():
            os.close(self._bell)
            self._drain()

    # The port.

    def activate(self, ticket: int) -> None:
        """See `ports.ChipReader`. A visit that is still open ends without further answers."""
        visit = _Visit(ticket)
        with self._lock:
            if self._visit:
                self._visit.ended.set()
            self._visit = visit
        self._ask("activate", visit, ticket)

    def transmit(self, ticket: int, apdu: bytes) -> None:
        """See `ports.ChipReader`. ValueError for a command that is not 4 to 261 bytes long."""
        if not SHORTEST_APDU <= len(apdu) <= LONGEST_APDU:
            raise ValueError(f"an APDU of {len(apdu)} bytes")
        self._ask("transmit", self._open_visit(ticket), ticket, bytes(apdu))

    def release(self, ticket: int) -> None:
        """See `ports.ChipReader`."""
        self._ask("release", self._open_visit(ticket), ticket)

    def cancel(self, ticket: int) -> None:
        """See `ports.ChipReader`. Any ticket of the visit ends it; one of an earlier visit does nothing."""
        with self._lock:
            visit = self._visit
            if visit is None or ticket not in visit.tickets:
                return
            visit.ended.set()
            self._visit = None
        self._ask("off", None, ticket)

    def carry(self, apdu: bytes, done: "Callable[[bytes | None], None]") -> None:
        """See `ports.ChipReader`. `done` is called once in every case, None also when the visit has ended.

        The command is not copied for keeping: whoever wipes it does so when `done` is called.
        """
        with self._lock:
            visit = self._visit
        self._ask("carry", visit, 0, apdu, done)

    def _open_visit(self, ticket):
        with self._lock:
            visit = self._visit
            if visit is None:
                visit = _Visit(ticket)
                visit.stage = OVER
            visit.tickets.add(ticket)
        return visit

    def _ask(self, verb, visit, ticket, apdu=b"", done=None):
        with self._lock:
            if not self._closing:
                self._requests.put((verb, visit, ticket, apdu, done))
                self._ring()
                return
        if done:
            done(None)

    def _ring(self):
        if self._thread.is_alive():
            os.eventfd_write(self._bell, 1)

    def _drain(self):
        while True:
            try:
                done = self._requests.get_nowait()[4]
            except queue.Empty:
                return
            if done:
                done(None)

    # The owner's thread.

    def _run(self):
        from drivers import ccid_wire, iso7816  # the first page does not wait for them

        self._ccid, self._iso = ccid_wire, iso7816
        failures = 0
        while not self._closing:
            try:
                self._open()
                self._state("ready")
                failures = 0
                self._serve()
            except ccid_wire.Dropped:
                pass
            except ccid_wire.WireError as error:
                self._down("gone" if error.gone else "failed")
            except Exception as error:  # noqa: BLE001 - nothing that a wire says may end this thread
                self.fault = type(error).__name__
                self._down("failed")
            self._leave_wire()
            if not self._closing and self.state != "ready":
                self._refuse_for(self.retry_s[min(failures, len(self.retry_s) - 1)])
                failures += 1
        self._drain()

    def _dropped(self):
        return self._closing or (self._current is not None and self._current.ended.is_set())

    def _open(self):
        """Finds the reader in whatever state an earlier run has left it."""
        self._wire = self._ccid.Wire(self._path, self._profile.baud, self._bell, self._dropped)
        self._status()
        self._command(self._ccid.POWER_OFF)
        if self._profile.tell:
            self._command(self._ccid.ESCAPE, self._profile.tell)

    def _leave_wire(self):
        wire, self._wire = self._wire, None
        self._card = None
        self._seen(False)
        if wire is None:
            return
        if self.state == "ready":
            try:
                wire.command(self._ccid.POWER_OFF, within_s=self.status_s)
            except (self._ccid.WireError, self._ccid.Garbled):
                pass
        wire.close()

    def _serve(self):
        """Requests and rounds, until the reader is closed (returns) or lost (WireError)."""
        while not self._closing:
            request = self._next_request()
            if request is None:
                self._wire.rest(self._pause())
                request = self._next_request() or ("round", self._current, 0, b"", None)
            if self._closing:
                if request[4]:
                    request[4](None)
                return
            verb, visit, ticket, apdu, done = request
            if visit is not None and visit.ended.is_set():
                if done:
                    done(None)
                verb = "off"
            try:
                self._do(verb, visit, ticket, apdu, done)
            except self._ccid.Dropped:
                if self._closing:
                    return
                self._off()

    def _next_request(self):
        try:
            return self._requests.get_nowait()
        except queue.Empty:
            return None

    def _pause(self):
        stage = self._current.stage if self._current else OVER
        return {WAITING: self.poll_s, LEAVING: self.leave_s}.get(stage, self.check_s)

    def _do(self, verb, visit, ticket, apdu, done):
        if verb == "activate":
            earlier, self._current = self._current, visit
            if earlier:
                self._power_off()
            self._look(visit)
        elif verb == "transmit":
            self._transmit(visit, ticket, apdu)
        elif verb == "carry":
            self._carry(visit, apdu, done)
        elif verb == "release":
            self._release(visit, ticket)
        elif verb == "off":
            if self._current and self._current.ended.is_set():
                self._off()
        else:
            self._round(visit)

    def _round(self, visit):
        stage = visit.stage if visit else OVER
        if stage == WAITING:
            self._look(visit)
        elif stage == LEAVING:
            self._leave(visit)
        else:
            card = self._status()
            if stage == ON and (card != self._ccid.ACTIVE or self._wire.pulled != visit.pulled):
                visit.stage, visit.why = LOST, "removed"

    def _off(self):
        self._current = None
        self._power_off()

    def _finish(self, visit):
        visit.stage = OVER
        self._answer(visit, CARD_GONE, visit.ticket, None)
        if visit is self._current:
            self._current = None

    # The slot.

    def _command(self, kind, data=b"", three=bytes(3)):
        """A command that may be said again: status, power, parameters."""
        for attempt in range(TRIES):
            try:
                reply = self._wire.command(kind, data, three, self.status_s)
                self._seen(reply.card != self._ccid.ABSENT)
                return reply
            except self._ccid.Garbled:
                continue
            except self._ccid.WireError as error:
                if error.gone or attempt + 1 == TRIES:
                    raise
        raise self._ccid.WireError("the reader cannot be understood")

    def _status(self):
        self._wire.moved = False
        return self._command(self._ccid.STATUS).card

    def _seen(self, present):
        with self._lock:
            self.present = present

    def _power_off(self):
        self._card = None
        self._command(self._ccid.POWER_OFF)

    def _look(self, visit):
        """One look into the slot; a card in it is reset, once."""
        if self._wire.pulled != visit.pulled:
            visit.told, visit.pulled = False, self._wire.pulled
        if self._status() == self._ccid.ABSENT:
            visit.told = False
            return
        if visit.told:
            return
        visit.pulled = self._wire.pulled
        try:
            atr = self._reset()
        except _Removed:
            return
        if atr is None:
            self._power_off()
            visit.told = True
            self._answer(visit, CARD_PROBLEM, visit.ticket, "unreadable")
            return
        visit.stage = ON
        self._answer(visit, CARD_FOUND, visit.ticket, "T=%d" % atr.protocol)

    def _reset(self):
        """Cold reset, then a warm one -> the card's Atr, or None for a card that is none for us."""
        power = bytes((self._profile.power, 0, 0))
        for _ in ("cold", "warm"):
            try:
                reply = self._wire.command(self._ccid.POWER_ON, b"", power, self.answer_s, cut=True)
            except self._ccid.Garbled:
                continue
            if reply.card == self._ccid.ABSENT:
                raise _Removed
            if reply.failed:
                continue
            try:
                atr = self._iso.accept(reply.data)
            except self._iso.ProtocolError:
                continue
            if self._profile.level == "apdu":
                self._card = None
                return atr
            asked = self._command(self._ccid.SET_PARAMETERS, atr.parameters(), bytes((atr.protocol, 0, 0)))
            if asked.failed:
                continue
            self._card = self._iso.T1(atr) if atr.protocol else None
            return atr
        return None

    def _transmit(self, visit, ticket, apdu):
        try:
            answer, why = self._exchange(visit, apdu)
        except self._ccid.WireError:
            self._answer(visit, CARD_LOST, ticket, "reader-gone")
            raise
        if answer is None:
            self._answer(visit, CARD_LOST, ticket, why)
        else:
            self._answer(visit, CARD_REPLY, ticket, answer)

    def _carry(self, visit, apdu, done):
        answer = None
        try:
            if visit is not None:
                answer, _ = self._exchange(visit, apdu)
        finally:
            done(answer)

    def _exchange(self, visit, apdu):
        """(answer, "") or (None, why)."""
        if visit.stage != ON:
            return None, visit.why
        try:
            if self._wire.pulled != visit.pulled:
                raise _Removed
            answer = self._talk(apdu)
            if len(answer) >= 2:
                return answer, ""
            visit.why = "protocol"
        except _Removed:
            visit.why = "removed"
        except (self._iso.ProtocolError, self._ccid.Garbled):
            visit.why = "protocol"
        except self._ccid.WireError:
            visit.stage, visit.why = LOST, "reader-gone"
            raise
        visit.stage = LOST
        self._power_off()
        if not self.present:
            visit.why = "removed"
        return None, visit.why

    def _talk(self, apdu):
        """A command and its answer, by what the card speaks and what the reader takes."""
        if self._profile.level == "apdu":
            return drive(self._iso.fetched(apdu), self._through)
        if self._card is None:
            return drive(self._iso.t0(apdu), self._through)
        return drive(self._iso.fetched(apdu), lambda whole: drive(self._card.apdu(whole), self._block))

    def _block(self, block):
        """A T=1 block to the card -> its answer, b"" for none: the protocol asks again."""
        extension = self._card.extension
        return self._through(block, extension if extension > 1 else 0, lenient=True)

    def _through(self, data, extension=0, lenient=False):
        """One TPDU, block or APDU to the card -> what it answers; lenient: b"" when it is silent."""
        within_s = self.answer_s * max(1, extension)
        reply = self._wire.command(self._ccid.TRANSFER, data, bytes((extension, 0, 0)), within_s, cut=True)
        if reply.card != self._ccid.ACTIVE:
            raise _Removed
        if not reply.failed:
            return reply.data
        if lenient:
            return b""
        raise self._iso.ProtocolError("the reader has no answer")

    def _release(self, visit, ticket):
        visit.ticket = ticket
        if visit.stage not in (ON, LOST):
            self._finish(visit)
            return
        self._current = visit
        visit.stage = LEAVING
        self._power_off()
        self._leave(visit)

    def _leave(self, visit):
        """One look after `release`."""
        if self._wire.pulled != visit.pulled or self._status() == self._ccid.ABSENT:
            self._finish(visit)

    # A reader that is away.

    def _down(self, state):
        self._seen(False)
        self._state(state)
        visit, self._current = self._current, None
        if visit:
            if visit.stage == WAITING:
                self._answer(visit, CARD_PROBLEM, visit.ticket, "reader-gone")
                visit.stage = OVER
            elif visit.stage == LEAVING:
                self._answer(visit, CARD_GONE, visit.ticket, None)
                visit.stage = OVER
            elif visit.stage == ON:
                visit.stage, visit.why = LOST, "reader-gone"

    def _refuse_for(self, seconds):
        """Answers requests while there is no reader."""
        end = time.monotonic() + seconds
        while not self._closing:
            try:
                verb, visit, ticket, _, done = self._requests.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return
            if done:
                done(None)
            if visit is None or visit.ended.is_set():
                continue
            if verb == "activate":
                visit.stage = OVER
                self._answer(visit, CARD_PROBLEM, ticket, "reader-gone")
            elif verb == "transmit":
                self._answer(visit, CARD_LOST, ticket, "reader-gone")
            elif verb == "release":
                visit.stage = OVER
                self._answer(visit, CARD_GONE, ticket, None)

    def _state(self, state):
        with self._lock:
            if state == self.state or self._closing:
                return
            self.state = state
            self._post(Event(PART, 0, (PART_NAME, state)))

    def _answer(self, visit, name, ticket, value):
        with self._lock:
            if not visit.ended.is_set() and not self._closing:
                self._post(Event(name, ticket, value))
