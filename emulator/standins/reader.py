"""A contactless reader in process: cards and their applications, no chip and no blocks, in virtual time.

The stages are those of `drivers.nfc`; the latencies are those of a PN532 at 921600 baud with a phone on it, and may be
changed. Cards are what `emulator.chips.pn532` takes: an application, or a tag in frames (its frames are not used).
"""

from collections.abc import Callable

from emulator.cards.iso14443 import card_in_field
from firmware.events import CARD_FOUND, CARD_GONE, CARD_LOST, CARD_PROBLEM, CARD_REPLY, PART, Event

PART_NAME = "contactless"
LOOKING, ON, LOST, LEAVING, OVER = "looking", "on", "lost", "leaving", "over"
SHORTEST_APDU, LONGEST_APDU = 4, 261


class _Tap:
    def __init__(self, ticket):
        self.tickets, self.ticket = {ticket}, ticket
        self.stage, self.card, self.technology = LOOKING, None, ""
        self.why, self.told = "removed", None


class StandIn:
    """`ports.Reader`.

    start_ms, find_ms, apdu_ms, gone_ms   how long it takes to be ready, to notice a card, to carry a command and its
                 answer, to notice that a card has left
    on_apdu      on_apdu("command" | "answer", bytes) or None
    cards        in the field; `field` whether it is on
    tear_after   n: the card leaves after n answered APDUs
    tear_during  n: the card does the n-th APDU and leaves before its answer is heard
    """

    def __init__(self, world, on_apdu: Callable[[str, bytes], None] | None = None):
        self._world = world
        self._on_apdu = on_apdu or (lambda direction, apdu: None)
        self.start_ms, self.find_ms, self.apdu_ms, self.gone_ms = 100, 25, 8, 50
        self.cards: list = []
        self.field = False
        self.tear_after: int | None = None
        self.tear_during: int | None = None
        self.state = "starting"
        self._tap: _Tap | None = None
        self._apdus = 0
        self._started, self._plugged = False, True

    def start(self) -> None:
        """Ready after `start_ms`."""
        self._started = True
        self._world.later(self.start_ms, self._open)

    def close(self) -> None:
        """Field off, no more events. It may be started again."""
        self._started, self.state = False, "starting"
        self._end_tap()

    # The bench.

    def place(self, card) -> None:
        """Into the field: the second card at once is the customer's mistake, or a wallet."""
        tag = card_in_field(card)
        if tag not in self.cards:
            tag.field_off()
            self.cards.append(tag)
            self._field_changed()

    def remove(self, card=None) -> None:
        """Out of the field: this card, or all of them."""
        for tag in list(self.cards):
            if card is None or tag is card or getattr(tag, "app", None) is card:
                self._take_away(tag)

    def unplug(self) -> None:
        """The reader is gone until `plug_in`."""
        self._plugged = False
        if self.state == "ready":
            self._down()

    def plug_in(self) -> None:
        """The reader is back, and ready after `start_ms`."""
        self._plugged = True
        self._world.later(self.start_ms, self._open)

    # The port.

    def activate(self, ticket: int) -> None:
        self._end_tap()
        self._tap = tap = _Tap(ticket)
        if self.state == "ready":
            self._begin(tap)
        elif self.state != "starting":
            self._later(0, tap, lambda: self._finish(tap, CARD_PROBLEM, "reader-gone"))

    def transmit(self, ticket: int, apdu: bytes) -> None:
        if not SHORTEST_APDU <= len(apdu) <= LONGEST_APDU:
            raise ValueError(f"an APDU of {len(apdu)} bytes")
        tap = self._of(ticket)
        self._later(self.apdu_ms, tap, lambda: self._carry(tap, ticket, bytes(apdu)))

    def release(self, ticket: int) -> None:
        tap = self._of(ticket)
        tap.ticket = ticket
        self._field_off()
        if tap.stage in (ON, LOST) and self.state == "ready":
            tap.stage, tap.card = LEAVING, None
            self._later(self.gone_ms, tap, lambda: self._leave(tap))
        else:
            self._later(0, tap, lambda: self._finish(tap, CARD_GONE, None))

    def cancel(self, ticket: int) -> None:
        if self._tap and ticket in self._tap.tickets:
            self._end_tap()

    # Inside.

    def _of(self, ticket):
        if self._tap is None:
            self._tap = _Tap(ticket)
            self._tap.stage = OVER
        self._tap.tickets.add(ticket)
        return self._tap

    def _later(self, ms, tap, act):
        """Runs `act` unless the tap has ended meanwhile."""
        self._world.later(ms, lambda: self._tap is tap and act())

    def _post(self, name, ticket, value):
        self._world.post(Event(name, ticket, value))

    def _open(self):
        if not self._started or self.state == "ready":
            return
        if self._plugged:
            self._set_state("ready")
            if self._tap and self._tap.stage == LOOKING:
                self._begin(self._tap)
        elif self.state == "starting":
            self._down()

    def _down(self):
        tap = self._tap
        self._field_off()
        self._set_state("gone")
        if tap and tap.stage == LOOKING:
            self._finish(tap, CARD_PROBLEM, "reader-gone")
        elif tap and tap.stage == LEAVING:
            self._finish(tap, CARD_GONE, None)
        elif tap and tap.stage == ON:
            tap.stage, tap.card, tap.why = LOST, None, "reader-gone"

    def _set_state(self, state):
        self.state = state
        self._post(PART, 0, (PART_NAME, state))

    def _begin(self, tap):
        self.field = True
        self._later(self.find_ms, tap, lambda: self._look(tap))

    def _field_off(self):
        self.field = False
        self._apdus = 0
        for tag in self.cards:
            tag.field_off()

    def _end_tap(self):
        self._tap = None
        self._field_off()

    def _finish(self, tap, name, value):
        if tap.stage == OVER and name != CARD_GONE:
            return
        tap.stage = OVER
        self._field_off()
        self._post(name, tap.ticket, value)

    def _field_changed(self):
        tap = self._tap
        if tap and self.state == "ready":
            if tap.stage == LOOKING:
                self._later(self.find_ms, tap, lambda: self._look(tap))
            elif tap.stage == LEAVING:
                self._later(self.gone_ms, tap, lambda: self._leave(tap))

    def _look(self, tap):
        if tap.stage != LOOKING or self.state != "ready":
            return
        if not self.cards:
            tap.told = None
            return
        card = self.cards[0]
        if len(self.cards) == 1 and card.readable and not card.dead:
            tap.stage, tap.card, tap.technology = ON, card, card.technology
            self._apdus = 0
            self._post(CARD_FOUND, tap.ticket, card.technology)
            return
        why = "many" if len(self.cards) > 1 else "unreadable"
        if why != tap.told:
            tap.told = why
            self._post(CARD_PROBLEM, tap.ticket, why)

    def _carry(self, tap, ticket, apdu):
        """One command to the card and its answer back."""
        if tap.stage != ON or tap.card is None or tap.card.dead or self.tear_after == 0:
            if self.tear_after == 0 and tap.card:
                self._tear(tap)
            self._lose(tap, ticket, tap.why)
            return
        self._on_apdu("command", apdu)
        answer = bytes(tap.card.apdu(apdu))
        self._on_apdu("answer", answer)
        self._apdus += 1
        if self._apdus == self.tear_during:
            self._tear(tap)
            self._lose(tap, ticket, "removed")
        elif len(answer) < 2:
            self._lose(tap, ticket, "protocol")
        else:
            if self._apdus == self.tear_after:
                self._tear(tap)
            self._post(CARD_REPLY, ticket, answer)

    def _lose(self, tap, ticket, why):
        if tap.stage == ON:
            tap.stage, tap.card, tap.why = LOST, None, why
            self._field_off()
        self._post(CARD_LOST, ticket, why if self.state == "ready" else "reader-gone")

    def _leave(self, tap):
        if tap.stage == LEAVING and not any(tag.technology == tap.technology for tag in self.cards):
            self._finish(tap, CARD_GONE, None)

    def _tear(self, tap):
        self.tear_after = self.tear_during = None
        self._take_away(tap.card)

    def _take_away(self, tag):
        if tag in self.cards:
            self.cards.remove(tag)
        tag.field_off()
        if self._tap and self._tap.card is tag:
            self._tap.card = None
        self._field_changed()
