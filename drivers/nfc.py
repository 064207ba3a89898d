"""The contactless reader: a PN532 on a UART (`ports.Reader`).

One thread owns the chip; requests go in through a queue, answers come out as events. nfcpy and pyserial are imported
in that thread, so that the terminal does not wait for them. What a tap goes through:

    stage     what the thread does                             goes on with
    LOOKING   looks for cards every `poll_s`, field on         ON: one card took the activation
    ON        waits for commands, field on                     LOST: the card is away or talks nonsense; LEAVING: release
    LOST      waits, field off; a command is answered LOST     LEAVING: release
    LEAVING   looks every `leave_s` whether a card answers,    OVER: none did, twice
              field off between
    OVER      nothing, field off

`cancel`, and a new `activate`, end a tap in any stage at once: its answers stop in the caller's thread, and a wait for
the chip or the card is cut short (`nfc_wire`). Without a tap the field is off and the chip is left alone but for a
question every `check_s` whether it is still there.

A reader that does not answer is "failed" (the chip) or "gone" (the port): the tap is answered, the port is closed and
opened again after `retry_s`, until it is ready. When the line test fails twice at the board's speed, 115200 it is.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from firmware.events import CARD_FOUND, CARD_GONE, CARD_LOST, CARD_PROBLEM, CARD_REPLY, PART, Event

PART_NAME = "contactless"
LOOKING, ON, LOST, LEAVING, OVER = "looking", "on", "lost", "leaving", "over"
BAUDS = (115200, 230400, 460800, 921600)
SHORTEST_APDU, LONGEST_APDU = 4, 261
EMPTY_ROUNDS = 2  # rounds without a card after which there is none: cards at the edge of the field flicker
LINE_FAILURES = 2  # so many failed tests of the line at the board's speed, and it is driven at 115200
STRIKES = 3  # activations in a row that may fail before a card is called unreadable


@contextmanager
def no_library_search() -> Iterator[None]:
    """While nfcpy is imported: it looks for an OpenSSL of its own, for peer-to-peer links that no reader of cards uses.

    `ctypes.util` looks with ldconfig, gcc and ld, each a process of its own; nfcpy goes on without when nothing is found.
    """
    import ctypes.util  # slow itself, and only nfcpy wants it

    find, ctypes.util.find_library = ctypes.util.find_library, lambda name: None
    try:
        yield
    finally:
        ctypes.util.find_library = find


class _Tap:
    """One card's visit, from `activate` to its last answer."""

    def __init__(self, ticket):
        self.tickets = {ticket}
        self.ticket = ticket
        self.ended = threading.Event()  # cancelled, replaced, or the driver closes
        self.stage = LOOKING
        self.card = None
        self.technology = ""
        self.why = "removed"  # in LOST
        self.told = None  # the problem last told
        self.empty = self.strikes = 0


class Pn532:
    """`ports.Reader`.

    post     takes events, from any thread
    part     its part of the board: "baud" 115200 (default), 230400, 460800 or 921600
    path     the UART's device
    reset    pulses the chip's reset pin and returns when the chip may be spoken to; None if it is not wired
    fault    the kind of the last error that nobody foresaw, or None
    """

    poll_s = 0.04
    leave_s = 0.04
    check_s = 30.0
    retry_s = (0.2, 0.5, 1.0, 2.0, 5.0)

    def __init__(self, post: Callable[[Event], None], part: dict, path: str, reset: Callable[[], None] | None = None):
        baud = part.get("baud", BAUDS[0])
        if baud not in BAUDS:
            raise ValueError(f"pn532: baud {baud!r} is none of {BAUDS}")
        self.state = "starting"
        self.fault: str | None = None
        self._post, self._path, self._baud, self._reset = post, path, baud, reset
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._tap: _Tap | None = None  # the callers' view
        self._current: _Tap | None = None  # the owner's
        self._chip: Any = None  # nfc_chip.Chip
        self._closing = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="nfc", daemon=True)

    def start(self) -> None:
        """Begins to open the reader; PART tells how that went."""
        self._thread.start()

    def close(self) -> None:
        """Field off, port closed; no more events."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            if self._tap:
                self._tap.ended.set()
        self._requests.put(("close", None, 0, b""))
        self._ring()
        if self._thread.is_alive():
            self._thread.join(5)
        if not self._thread.is_alive():
            os.close(self._bell)

    # The port.

    def activate(self, ticket: int) -> None:
        """See `ports.Reader`. A tap that is still open ends without further answers."""
        tap = _Tap(ticket)
        with self._lock:
            if self._tap:
                self._tap.ended.set()
            self._tap = tap
        self._requests.put(("activate", tap, ticket, b""))
        self._ring()

    def transmit(self, ticket: int, apdu: bytes) -> None:
        """See `ports.Reader`. ValueError for a command that is not 4 to 261 bytes long."""
        if not SHORTEST_APDU <= len(apdu) <= LONGEST_APDU:
            raise ValueError(f"an APDU of {len(apdu)} bytes")
        self._ask_owner("transmit", ticket, bytes(apdu))

    def release(self, ticket: int) -> None:
        """See `ports.Reader`."""
        self._ask_owner("release", ticket, b"")

    def cancel(self, ticket: int) -> None:
        """See `ports.Reader`. Any ticket of the tap ends it; one of an earlier tap does nothing."""
        with self._lock:
            tap = self._tap
            if tap is None or ticket not in tap.tickets:
                return
            tap.ended.set()
            self._tap = None
        self._requests.put(("off", None, ticket, b""))
        self._ring()

    def _ask_owner(self, verb, ticket, apdu):
        with self._lock:
            tap = self._tap
            if tap is None:
                tap = _Tap(ticket)
                tap.stage = OVER
            tap.tickets.add(ticket)
        self._requests.put((verb, tap, ticket, apdu))

    def _ring(self):
        if self._thread.is_alive():
            os.eventfd_write(self._bell, 1)

    # The owner's thread.

    def _run(self):
        try:
            with no_library_search():
                from drivers import nfc_chip  # nfcpy takes tens of milliseconds
        except ImportError as error:
            self.fault = type(error).__name__
            self._down("failed")
            while not self._closing:
                self._refuse_for(self.check_s)
            return
        self._errors = nfc_chip
        failures = line_failures = 0
        while not self._closing:
            try:
                self._chip = nfc_chip.Chip(self._path, self._baud, self._bell, self._dropped, self._reset)
                self._state("ready")
                failures = 0
                self._serve()
            except nfc_chip.Dropped:
                pass
            except nfc_chip.ChipError as error:
                line_failures += error.line
                if line_failures >= LINE_FAILURES:
                    self._baud = BAUDS[0]
                self._down("gone" if error.gone else "failed")
            except Exception as error:  # noqa: BLE001 - nothing that a wire says may end this thread
                self.fault = type(error).__name__
                self._down("failed")
            if self._chip:
                self._leave_chip()
            if not self._closing and self.state != "ready":
                self._refuse_for(self.retry_s[min(failures, len(self.retry_s) - 1)])
                failures += 1

    def _dropped(self):
        return self._closing or (self._current is not None and self._current.ended.is_set())

    def _leave_chip(self):
        chip, self._chip = self._chip, None
        if self.state == "ready":
            chip.close()
        else:
            chip.abandon()

    def _serve(self):
        """Requests and rounds, until the reader is closed (returns) or lost (ChipError)."""
        while True:
            try:
                verb, tap, ticket, apdu = self._requests.get(timeout=self._pause())
            except queue.Empty:
                verb, tap, ticket, apdu = "round", self._current, 0, b""
            if self._closing:
                return
            try:
                if tap is not None and tap.ended.is_set():
                    verb = "off" if tap is self._current else ""
                self._do(verb, tap, ticket, apdu)
            except self._errors.Dropped:
                if self._closing:
                    return
                self._off()

    def _pause(self):
        stage = self._current.stage if self._current else OVER
        return {LOOKING: self.poll_s, LEAVING: self.leave_s}.get(stage, self.check_s)

    def _do(self, verb, tap, ticket, apdu):
        if verb == "activate":
            earlier, self._current = self._current, tap
            if earlier:
                self._chip.mute()
            self._look(tap)
        elif verb == "transmit":
            self._transmit(tap, ticket, apdu)
        elif verb == "release":
            tap.ticket = ticket
            if tap.stage in (ON, LOST):
                self._current = tap
                tap.stage, tap.card, tap.empty = LEAVING, None, 0
                self._chip.mute()
                self._leave(tap)
            else:
                self._finish(tap)
        elif verb == "off":
            if self._current and self._current.ended.is_set():
                self._off()
        elif verb == "round":
            stage = tap.stage if tap else OVER
            if stage == LOOKING:
                self._look(tap)
            elif stage == LEAVING:
                self._leave(tap)
            else:
                self._chip.check()

    def _off(self):
        self._current = None
        self._chip.mute()

    def _finish(self, tap):
        tap.stage = OVER
        self._answer(tap, CARD_GONE, tap.ticket, None)
        if tap is self._current:
            self._off()

    def _look(self, tap):
        """One round: what is in the field, and the card activated if there is just one."""
        seen = self._chip.seen()
        if not seen:
            tap.empty += 1
            if tap.empty >= EMPTY_ROUNDS:
                tap.told, tap.strikes = None, 0
            return
        tap.empty = 0
        why = "many"
        if len(seen) == 1:
            try:
                card = self._chip.activate(seen)
            except self._errors.CardError as error:
                why = error.why
            else:
                if card.guard_s and tap.ended.wait(card.guard_s):
                    raise self._errors.Dropped
                tap.stage, tap.card, tap.technology = ON, card, seen
                self._answer(tap, CARD_FOUND, tap.ticket, seen)
                return
        self._chip.mute()
        if why == "retry":
            tap.strikes += 1
            if tap.strikes < STRIKES:
                return
            why = "unreadable"
        if why != tap.told:
            tap.told = why
            self._answer(tap, CARD_PROBLEM, tap.ticket, why)

    def _transmit(self, tap, ticket, apdu):
        if tap.stage == ON:
            try:
                answer = tap.card.transmit(apdu)
            except self._errors.CardError as error:
                self._lose(tap, ticket, error.why)
                self._chip.mute()
            except self._errors.Dropped:
                raise
            except Exception:
                self._lose(tap, ticket, "reader-gone")
                raise
            else:
                self._answer(tap, CARD_REPLY, ticket, answer)
        else:
            self._answer(tap, CARD_LOST, ticket, tap.why)

    def _lose(self, tap, ticket, why):
        tap.stage, tap.card, tap.why = LOST, None, why
        self._answer(tap, CARD_LOST, ticket, why)

    def _leave(self, tap):
        """One round after `release`."""
        if tap.technology and self._chip.is_there(tap.technology):
            tap.empty = 0
            return
        tap.empty += 1
        if tap.empty >= EMPTY_ROUNDS:
            self._finish(tap)

    # A reader that is away.

    def _down(self, state):
        self._state(state)
        tap, self._current = self._current, None
        if tap:
            if tap.stage == LOOKING:
                self._answer(tap, CARD_PROBLEM, tap.ticket, "reader-gone")
                tap.stage = OVER
            elif tap.stage == LEAVING:
                self._answer(tap, CARD_GONE, tap.ticket, None)
                tap.stage = OVER
            elif tap.stage == ON:
                tap.stage, tap.card, tap.why = LOST, None, "reader-gone"

    def _refuse_for(self, seconds):
        """Answers requests while there is no reader."""
        end = time.monotonic() + seconds
        while not self._closing:
            try:
                verb, tap, ticket, _ = self._requests.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return
            if tap is None or tap.ended.is_set():
                continue
            if verb == "activate":
                tap.stage = OVER
                self._answer(tap, CARD_PROBLEM, ticket, "reader-gone")
            elif verb == "transmit":
                self._answer(tap, CARD_LOST, ticket, "reader-gone")
            elif verb == "release":
                tap.stage = OVER
                self._answer(tap, CARD_GONE, ticket, None)

    def _state(self, state):
        with self._lock:
            if state == self.state or self._closing:
                return
            self.state = state
            self._post(Event(PART, 0, (PART_NAME, state)))

    def _answer(self, tap, name, ticket, value):
        with self._lock:
            if not tap.ended.is_set() and not self._closing:
                self._post(Event(name, ticket, value))
