"""Reading a card by whichever reader it comes to: one task from "present a card" to the end of the card's part.

    waiting     every reader that may be used is asked at once; the first card wins, the others are let go
    tap         the kernel's conversation in the field, and the card taken away before a PIN is typed
    insert      the kernel's conversation in the slot; its questions become pages, and the card stays until the issuer has
                answered and the card has had its last word
    swipe       the text of a stripe

Which readers may be used grows and shrinks on the way: a chip card that is swiped has to be inserted, a chip that cannot be
read may be swiped (fallback), a card that does not want contactless has to be inserted.

A card that was read and stands in the slot still is to be taken out before anything else: it must not pay for the next
customer.

What the task tells its page: Waiting, Remove, PinTyped, a word ("reading", "inserted", "read", "many" ...), or a question
of `emv.ask`, after which it holds until the page has answered. What it ends with: an Outcome (nobody was asked yet), a
Result (the chip's transaction is over), or Trouble.

Source: reference/emv.md a and b; EMV Book 4, 11 (the merchant's side); products.md §1.2 (sale).
"""

from firmware import questions, stripe, verification
from firmware.emv import ask
from firmware.emv.outcome import (
    APPROVED,
    CANCELLED,
    DECLINED,
    ONLINE,
    SIGNATURE,
    STRIPE,
    TRY_AGAIN,
    TRY_ANOTHER_INTERFACE,
    Outcome,
)
from firmware.events import (
    CARD_FOUND,
    CARD_GONE,
    CARD_PROBLEM,
    CARD_SWIPED,
    Event,
)
from firmware.host import authorise
from firmware.questions import Talk
from firmware.tasks import Begin, Close, Hold, More, Pause, Tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.draft import Draft
    from firmware.emv.settings import Settings
    from firmware.tasks import Work
    from firmware.terminal import Terminal

READERS = ("contactless", "chip", "stripe")
CARD_ANSWER_MS = 6_000  # longer than the longest waiting time a card may ask for (ISO 14443-4, FWI 14: 4.95 s)
CHIP_ANSWER_MS = 60_000  # a chip may ask for time as often as it likes; the reader gives up before
TAPS = 3
EMPTIED_MS = 300
INTERFACES = {"contact": "chip", "stripe": "stripe"}  # of an outcome: the reader
REMOVE_AFTER_MS = 700  # a card that is taken away at once needs no words


class Waiting:
    """The page waits for a card. readers: those that are asked; why: what happened before, a key of the page, or ""."""

    def __init__(self, readers: "tuple[str, ...]", why: str = "") -> None:
        self.readers = readers
        self.why = why


class Remove:
    """The card is to be taken out of the slot. result: what the task will end with, None while it goes on."""

    def __init__(self, result: object = None) -> None:
        self.result = result


class PinTyped:
    """The PIN that the page has asked for: result as of `online_pin`."""

    def __init__(self, result: "str | tuple[str, str]") -> None:
        self.result = result


class Trouble:
    """Why there is no usable card; the key of the page's sentence, "" when somebody gave up."""

    def __init__(self, why: str) -> None:
        self.why = why


def kernels() -> "tuple[Any, Any]":
    """The modules `emv.contactless` and `emv.contact`, imported by the first who asks: the first page does without them."""
    from firmware.emv import contact, contactless

    return contactless, contact


def readers_of(terminal: "Terminal") -> "tuple[str, ...]":
    """The card readers that the board has and that are not out of order."""
    return tuple([port for port in READERS if terminal.has(port) and terminal.parts.get(port) not in ("failed", "gone")])


def read(terminal: "Terminal", draft: "Draft") -> "Work[Outcome | authorise.Result | Trouble]":
    """See above."""
    return (yield from _Reading(terminal, draft).run())


class _Reading:
    """One card's way. readers: those that may be used now; why: what the page says of the card before."""

    def __init__(self, terminal: "Terminal", draft: "Draft") -> None:
        self.terminal = terminal
        self.draft = draft
        self.settings: Settings = terminal.emv_settings()
        draft.drop_card()
        self.readers = readers_of(terminal)
        self.why = ""
        self.taps = 0
        self.chip_failures = 0
        self.contactless, self.contact = kernels()
        if "contactless" in self.readers and not self.contactless.possible(self.settings, terminal.emv_request(draft)):
            self.readers = self._without("contactless")
            self.why = "over-limit"

    def _without(self, *ports: str) -> "tuple[str, ...]":
        return tuple([port for port in self.readers if port not in ports])

    def run(self) -> "Work[Outcome | authorise.Result | Trouble]":
        terminal, draft = self.terminal, self.draft
        if draft.row.offline and terminal.may_approve(draft.fen) and not terminal.can_keep():
            return Trouble("store")  # a card that approved now would have done so for nothing
        while True:
            if not self.readers:
                return Trouble(self.why or "reader")
            found = yield from self._wait()
            if found is None:
                continue
            port, event, ticket = found
            self.draft.pin_block = None  # what was typed for the card before
            done = yield from getattr(self, "_" + port)(event, ticket)
            if done is not None:
                return done

    def _wait(self) -> "Work[tuple[str, Event, int] | None]":
        """Until a card comes: (reader, event, ticket), the other readers let go; None when the readers have changed."""
        if "chip" in self.readers:
            yield from self._emptied()
        tickets: dict[int, str] = {}
        for port in self.readers:
            tickets[(yield Begin(port, "activate"))] = port
        yield Tell(Waiting(self.readers, self.why))
        while True:
            event = yield More(tuple(tickets))
            port = tickets[event.ticket]
            if event.name in (CARD_FOUND, CARD_SWIPED):
                break
            if event.name != CARD_PROBLEM:
                continue
            if event.value == "reader-gone":
                self.why = "reader"
                self.readers = self._without(port)
            elif port == "chip":
                readers = self.readers
                yield from self._chip_failed("unreadable")
                if self.readers == readers:  # the reader looks at the next card that comes
                    yield Tell(Waiting(self.readers, self.why))
                    continue
            else:
                yield Tell(event.value)
                continue
            yield from self._close(tickets)
            return None
        del tickets[event.ticket]
        yield from self._close(tickets)
        return port, event, event.ticket

    def _emptied(self) -> "Work[None]":
        """The card of the transaction before is out of the slot."""
        told = False
        while self.terminal.card_left and self.terminal.ports["chip"].present:
            if not told:  # a page on which the card must stay is no page to say so
                yield Tell(Waiting(self.readers, self.why))
            told = True
            yield Tell("left")
            yield Pause(EMPTIED_MS)
        self.terminal.card_left = False

    def _close(self, tickets: "dict[int, str]") -> "Work[None]":
        for ticket in sorted(tickets):
            yield Close(ticket)

    # -- tap
    def _contactless(self, event: "Event", ticket: int) -> "Work[Any]":
        terminal, draft = self.terminal, self.draft
        yield Tell("reading")
        self.taps += 1
        kernel = self.contactless.tap(self.settings, terminal.emv_request(draft))
        outcome = yield from Talk(terminal, draft, "contactless", ticket, CARD_ANSWER_MS).go(kernel, None)
        if outcome.status == TRY_AGAIN and self.taps < TAPS:
            yield from removed(terminal, "contactless", ticket)
            self.why = "phone" if outcome.message == "see-phone" else "again"
            return None
        yield from self._let_go(ticket, outcome)
        if outcome.status == TRY_ANOTHER_INTERFACE:
            self.why = outcome.why
            self.readers = self._without("contactless")
            only = INTERFACES.get(outcome.interface)
            if only in self.readers:
                self.readers = (only,)
            return None
        if outcome.status == DECLINED:
            yield from authorise.refused(terminal, draft, outcome)
        return self._judged(outcome)

    def _let_go(self, ticket: int, outcome: Outcome) -> "Work[None]":
        """A card that was read may be taken away: said by light and tone, and waited for where a PIN is typed next."""
        if outcome.status in (ONLINE, APPROVED):
            self.terminal.light("done")
            self.terminal.sound("card")
            if outcome.status == APPROVED and not verification.within_free(self.terminal, self.draft, outcome):
                outcome.status = ONLINE  # above the limit of this card's prefix: its bank decides, with the PIN
            if not verification.pin_wanted(self.terminal, self.draft, outcome):
                return
        yield from removed(self.terminal, "contactless", ticket)

    def _judged(self, outcome: Outcome) -> "Outcome | Trouble":
        """What the terminal itself has to say about a card that a kernel has read."""
        if outcome.status not in (ONLINE, APPROVED):
            return Trouble(outcome.why)
        if self.draft.original_pan and outcome.pan != self.draft.original_pan:
            return Trouble("other-card")
        return outcome

    # -- insert
    def _chip(self, event: "Event", ticket: int) -> "Work[Any]":
        terminal, draft = self.terminal, self.draft
        yield Tell("inserted")
        terminal.card_left = True
        draft.offline_pins = 0
        talk = Talk(terminal, draft, "chip", ticket, CHIP_ANSWER_MS)
        kernel = self.contact.insert(self.settings, terminal.emv_request(draft))
        step = yield from talk.go(kernel, None)
        ended: Any
        if isinstance(step, ask.GoOnline) or step.status in (APPROVED, ONLINE):
            outcome = step.outcome if isinstance(step, ask.GoOnline) else step
            if draft.original_pan and outcome.pan != draft.original_pan:
                ended = Trouble("other-card")
            else:
                draft.take_card(outcome)
                if isinstance(step, ask.GoOnline):
                    draft.finish = lambda reply: talk.go(kernel, reply)
                ended = yield from self._authorised()
        elif step.status == TRY_ANOTHER_INTERFACE or step.fallback or step.why == "malformed" and not step.pan:
            yield from self._pulled(ticket)
            yield from self._chip_failed(step.why)
            return None
        elif step.status == TRY_AGAIN and talk.silent:
            yield from self._pulled(ticket)
            if step.pan:
                self.why = "chip-again"  # it was a chip that works: no way to the stripe
            else:
                yield from self._chip_failed(step.why)
            return None
        elif step.status == TRY_AGAIN:
            self.why = "pulled"
            return None
        else:
            if step.status == DECLINED:
                yield from authorise.refused(terminal, draft, step)
            ended = Trouble("" if step.status == CANCELLED else step.why)
            if draft.original_pan and step.pan not in ("", draft.original_pan):
                ended = Trouble("other-card")
        yield from self._pulled(ticket, ended)
        return ended

    def _authorised(self) -> "Work[authorise.Result | Trouble]":
        """The card has said what it has to say: the pages go on from here, and say when the host is to be asked."""
        yield Tell("read")
        while True:
            command = yield Hold()
            if command != "pin":
                return (yield from authorise.authorise(self.terminal, self.draft))
            typed = yield from questions.online_pin(self.terminal, self.draft, self.draft.pan)
            yield Tell(PinTyped(typed))

    def _pulled(self, ticket: int, ended: object = None) -> "Work[None]":
        """Power off; waits until the card is out of the slot, and says so. The page may go on without waiting."""
        reader = self.terminal.ports["chip"]
        reader.release(ticket)
        event = yield More(ticket, within_ms=REMOVE_AFTER_MS)
        while event.name not in (CARD_GONE, CARD_PROBLEM):
            yield Tell(Remove(ended))
            event = yield More(ticket, within_ms=2_000)
        self.terminal.card_left = False
        return None

    def _chip_failed(self, why: str) -> "Work[None]":
        """The chip cannot be read: once more, then by the stripe where that is allowed."""
        self.chip_failures += 1
        p = self.terminal.parameter
        last = self.chip_failures >= p("fallback.tries") or why in ("chip-refused", "no-chip-application")
        if not last:
            self.why = "chip-again"
            return None
        self.readers = self._without("chip", "contactless")
        self.why = "fallback"
        if "stripe" in self.readers and p("fallback.allowed"):
            self.draft.fallback = True
        else:
            self.readers = ()
            self.why = why if why == "no-chip-application" else "chip-dead"
        yield Tell("chip-failed")

    # -- swipe
    def _stripe(self, event: "Event", ticket: int) -> "Work[Any]":
        terminal, draft = self.terminal, self.draft
        yield Close(ticket)
        try:
            swipe = stripe.parse(event.value)
        except stripe.StripeError:
            terminal.sound("alert")
            self.why = "swipe-again"
            return None
        if stripe.chip_card(swipe.service) and not draft.fallback and terminal.has("chip"):
            if "chip" in readers_of(terminal) or not terminal.parameter("fallback.allowed"):
                terminal.sound("alert")
                self.why = "must-insert"
                return None if "chip" in self.readers else Trouble("must-insert")
            draft.fallback = True  # the slot is out of order
        why = yield from self._stripe_refused(swipe)
        if why:
            return Trouble(why)
        outcome = outcome_of(swipe)
        if draft.original_pan and outcome.pan != draft.original_pan:
            return Trouble("other-card")
        terminal.light("done")
        terminal.sound("card")
        return outcome

    def _stripe_refused(self, swipe: "stripe.Swipe") -> "Work[str]":
        if stripe.expired(swipe.expiry, self.terminal.calendar_stamp()[2:8]):
            return "expired"
        listed = yield from questions.on_exception(self.terminal, self.draft, ask.OnException(swipe.pan, ""))
        return "listed" if listed else ""


def outcome_of(swipe: "stripe.Swipe") -> Outcome:
    """A stripe as the rest of the terminal takes a card: to be asked online, and signed."""
    outcome = Outcome(ONLINE, "authorising", "stripe")
    outcome.entry = STRIPE
    outcome.cvm = SIGNATURE
    outcome.signature = True
    outcome.pan, outcome.expiry, outcome.service = swipe.pan, swipe.expiry, swipe.service
    outcome.track2, outcome.track3 = swipe.track2, swipe.track3
    return outcome


def removed(terminal: "Terminal", port: str, ticket: int) -> "Work[None]":
    """Waits until the card has left the field; says so when it takes a while."""
    terminal.ports[port].release(ticket)
    event = yield More(ticket, within_ms=REMOVE_AFTER_MS)
    while event.name not in (CARD_GONE, CARD_PROBLEM):
        yield Tell("remove")
        event = yield More(ticket)
