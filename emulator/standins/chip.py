"""A reader of chips with contacts in process: cards and their applications, no wire and no TPDUs, in virtual time.

The stages are those of `drivers.chip`; the latencies are those of a card at 9600 baud, and may be changed. Cards are what
`emulator.chips.ccid` takes: an application, or a `ContactCard` round one (its blocks are not used).
"""

from collections.abc import Callable

from drivers import iso7816
from emulator.cards.iso7816 import ContactCard, card_in_slot
from firmware.events import CARD_FOUND, CARD_GONE, CARD_LOST, CARD_PROBLEM, CARD_REPLY, PART, Event

PART_NAME = "chip"
WAITING, ON, LOST, LEAVING, OVER = "waiting", "on", "lost", "leaving", "over"
SHORTEST_APDU, LONGEST_APDU = 4, 261


class _Visit:
    def __init__(self, ticket):
        self.tickets, self.ticket = {ticket}, ticket
        self.stage, self.why, self.told = WAITING, "removed", False


class StandIn:
    """`ports.ChipReader`.

    start_ms, find_ms, apdu_ms, gone_ms   how long it takes to be ready, to notice and reset a card, to carry a command
                 and its answer, to notice that a card has been pulled
    on_apdu      on_apdu("command" | "answer", bytes) or None; not told what the vault has carried
    card         in the slot, or None; `powered` whether it has power
    tear_after   n: the card is pulled after n answered APDUs
    tear_during  n: the card does the n-th APDU and is pulled before its answer is heard
    """

    def __init__(self, world, on_apdu: Callable[[str, bytes], None] | None = None):
        self._world = world
        self._on_apdu = on_apdu or (lambda direction, apdu: None)
        self.start_ms, self.find_ms, self.apdu_ms, self.gone_ms = 100, 60, 30, 30
        self.card: ContactCard | None = None
        self.tear_after: int | None = None
        self.tear_during: int | None = None
        self.state = "starting"
        self._visit: _Visit | None = None
        self._apdus = 0
        self._started, self._plugged = False, True
        self._serial = 0  # counts insertions: a look at one card is none at the next

    def start(self) -> None:
        """Ready after `start_ms`."""
        self._started = True
        self._world.later(self.start_ms, self._open)

    def close(self) -> None:
        """Power off, no more events. It may be started again."""
        self._started, self.state = False, "starting"
        self._end_visit()

    # The bench.

    def insert(self, card) -> None:
        """Into the slot; the card that was there is pulled first."""
        inserted = card_in_slot(card)
        if inserted is self.card:
            return
        self.pull()
        inserted.off()
        self.card = inserted
        self._serial += 1
        self._slot_changed()

    def pull(self) -> None:
        """Out of the slot."""
        card, self.card = self.card, None
        if card is None:
            return
        self._serial += 1
        card.off()
        self._apdus = 0
        visit = self._visit
        if visit:
            visit.told = False
            if visit.stage == ON:
                visit.stage, visit.why = LOST, "removed"
        self._slot_changed()

    def unplug(self) -> None:
        """The reader is gone until `plug_in`."""
        self._plugged = False
        if self.state == "ready":
            self._down()

    def plug_in(self) -> None:
        """The reader is back, and ready after `start_ms`."""
        self._plugged = True
        self._world.later(self.start_ms, self._open)

    @property
    def powered(self) -> bool:
        return self.card is not None and self.card.powered

    # The port.

    @property
    def present(self) -> bool:
        return self.state == "ready" and self.card is not None

    def activate(self, ticket: int) -> None:
        self._end_visit()
        self._visit = visit = _Visit(ticket)
        if self.state == "ready":
            self._look_soon(visit)
        elif self.state != "starting":
            self._later(0, visit, lambda: self._finish(visit, CARD_PROBLEM, "reader-gone"))

    def transmit(self, ticket: int, apdu: bytes) -> None:
        if not SHORTEST_APDU <= len(apdu) <= LONGEST_APDU:
            raise ValueError(f"an APDU of {len(apdu)} bytes")
        visit = self._of(ticket)

        def said(answer, why):
            self._post(*((CARD_LOST, ticket, why) if answer is None else (CARD_REPLY, ticket, answer)))

        self._later(self.apdu_ms, visit, lambda: self._carry(visit, bytes(apdu), said, self._on_apdu))

    def release(self, ticket: int) -> None:
        visit = self._of(ticket)
        visit.ticket = ticket
        self._power_off()
        if visit.stage in (ON, LOST) and self.state == "ready":
            visit.stage = LEAVING
            self._later(self.gone_ms, visit, lambda: self._leave(visit))
        else:
            self._later(0, visit, lambda: self._finish(visit, CARD_GONE, None))

    def cancel(self, ticket: int) -> None:
        if self._visit and ticket in self._visit.tickets:
            self._end_visit()

    def carry(self, apdu: bytes, done: "Callable[[bytes | None], None]") -> None:
        visit = self._visit

        def carried():
            if visit is None or visit is not self._visit:
                done(None)
            else:
                self._carry(visit, bytes(apdu), lambda answer, why: done(answer), lambda direction, apdu: None)

        self._world.later(self.apdu_ms, carried)

    # Inside.

    def _of(self, ticket):
        if self._visit is None:
            self._visit = _Visit(ticket)
            self._visit.stage = OVER
        self._visit.tickets.add(ticket)
        return self._visit

    def _later(self, ms, visit, act):
        """Runs `act` unless the visit has ended meanwhile."""
        self._world.later(ms, lambda: self._visit is visit and act())

    def _post(self, name, ticket, value):
        self._world.post(Event(name, ticket, value))

    def _open(self):
        if not self._started or self.state == "ready":
            return
        if self._plugged:
            self._set_state("ready")
            if self._visit and self._visit.stage == WAITING:
                self._look_soon(self._visit)
        elif self.state == "starting":
            self._down()

    def _down(self):
        visit = self._visit
        self._power_off()
        self._set_state("gone")
        if visit and visit.stage == WAITING:
            self._finish(visit, CARD_PROBLEM, "reader-gone")
        elif visit and visit.stage == LEAVING:
            self._finish(visit, CARD_GONE, None)
        elif visit and visit.stage == ON:
            visit.stage, visit.why = LOST, "reader-gone"

    def _set_state(self, state):
        self.state = state
        self._post(PART, 0, (PART_NAME, state))

    def _power_off(self):
        self._apdus = 0
        if self.card and self.card.powered:
            self.card.off()

    def _end_visit(self):
        self._visit = None
        self._power_off()

    def _finish(self, visit, name, value):
        if visit.stage == OVER and name != CARD_GONE:
            return
        visit.stage = OVER
        self._power_off()
        self._post(name, visit.ticket, value)

    def _slot_changed(self):
        visit = self._visit
        if visit and self.state == "ready":
            if visit.stage == WAITING:
                self._look_soon(visit)
            elif visit.stage == LEAVING:
                self._later(self.gone_ms, visit, lambda: self._leave(visit))

    def _look_soon(self, visit):
        serial = self._serial
        self._later(self.find_ms, visit, lambda: serial == self._serial and self._look(visit))

    def _look(self, visit):
        card = self.card
        if visit.stage != WAITING or self.state != "ready" or card is None or visit.told:
            return
        for warm in (False, True):
            try:
                atr = iso7816.accept(card.power(warm))
            except iso7816.ProtocolError:
                continue
            visit.stage = ON
            self._apdus = 0
            self._post(CARD_FOUND, visit.ticket, "T=%d" % atr.protocol)
            return
        self._power_off()
        visit.told = True
        self._post(CARD_PROBLEM, visit.ticket, "unreadable")

    def _carry(self, visit, apdu, said, on_apdu):
        """One command to the card: said(answer, None) or said(None, why)."""
        if visit.stage == ON and self.tear_after == 0:
            self._tear()
        if visit.stage != ON or self.card is None:
            said(None, visit.why if self.state == "ready" else "reader-gone")
            return
        if self.card.dead:
            self._lose(visit, said)
            return
        on_apdu("command", apdu)
        answer = bytes(self.card.apdu(apdu))
        on_apdu("answer", answer)
        self._apdus += 1
        if self._apdus == self.tear_during:
            self._tear()
            said(None, "removed")
        elif len(answer) < 2:
            self._lose(visit, said)
        else:
            if self._apdus == self.tear_after:
                self._tear()
            said(answer, None)

    def _lose(self, visit, said):
        visit.stage, visit.why = LOST, "protocol"
        self._power_off()
        said(None, "protocol")

    def _leave(self, visit):
        if visit.stage == LEAVING and self.card is None:
            self._finish(visit, CARD_GONE, None)

    def _tear(self):
        self.tear_after = self.tear_during = None
        self.pull()
