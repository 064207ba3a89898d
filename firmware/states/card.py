"""The tap: the amount in big digits, the card, the kernel's conversation with it, the card taken away again."""

from firmware.emv import contactless
from firmware.emv.outcome import ONLINE, TRY_AGAIN
from firmware.events import CARD_FOUND, CARD_GONE, CARD_PROBLEM, CARD_REPLY
from firmware.machine import State
from firmware.money import yuan
from firmware.screens import Screen
from firmware.states import pin
from firmware.states.common import CANCEL_ONLY, HOME, OK_CANCEL, home
from firmware.states.step import ENDS, Step
from firmware.tasks import Ask, More, Tell
from firmware.transactions import CARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.draft import Draft
    from firmware.emv.outcome import Outcome
    from firmware.ports import Reader
    from firmware.tasks import Work
    from firmware.terminal import Terminal

CARD_ANSWER_MS = 6_000  # longer than the longest waiting time a card may ask for (ISO 14443-4, FWI 14: 4.95 s)
TRIES = 3
REMOVE_AFTER_MS = 700  # a card that is taken away at once needs no words


class Trouble:
    """Why there is no usable card; the key of the page's sentence."""

    def __init__(self, why: str) -> None:
        self.why = why


def tap(terminal: "Terminal", draft: "Draft") -> "Work[Outcome | Trouble]":
    """A task -> the kernel's Outcome (status online), or Trouble. Tells "many", "unreadable", "reading", "again", "remove"."""
    settings = terminal.emv_settings()
    reader: Reader = terminal.ports["contactless"]
    for attempt in range(TRIES):
        if attempt:
            yield Tell("again")
        event = yield Ask("contactless", "activate", keep=True)
        while event.name == CARD_PROBLEM and event.value != "reader-gone":
            yield Tell(event.value)
            event = yield More(event.ticket)
        if event.name != CARD_FOUND:
            return Trouble("reader")
        ticket = event.ticket
        yield Tell("reading")
        outcome = yield from _converse(reader, ticket, contactless.tap(settings, terminal.emv_request(draft)))
        if outcome.status == TRY_AGAIN and attempt < TRIES - 1:
            yield from _removed(reader, ticket)
            continue
        if outcome.status != ONLINE:
            return Trouble(outcome.why)
        if draft.original_pan and outcome.pan != draft.original_pan:
            return Trouble("other-card")
        draft.take_card(outcome)
        terminal.light("done")
        terminal.sound("card")
        if pin.EnterPin.wanted(terminal, draft):
            yield from _removed(reader, ticket)  # the PIN is typed with the card back in the holder's hand
        return outcome
    return Trouble("lost")


def _converse(reader: "Reader", ticket: int, kernel: "contactless.Flow") -> "Work[Outcome]":
    """Carries the kernel's commands to the card -> Outcome."""
    answer: bytes | None = None
    while True:
        try:
            command = kernel.send(answer)
        except StopIteration as stop:
            return stop.value
        reader.transmit(ticket, command)
        event = yield More(ticket, within_ms=CARD_ANSWER_MS)
        answer = event.value if event.name == CARD_REPLY else None


def _removed(reader: "Reader", ticket: int) -> "Work[None]":
    """Waits until the card has left the field; says so when it takes a while."""
    reader.release(ticket)
    event = yield More(ticket, within_ms=REMOVE_AFTER_MS)
    while event.name not in (CARD_GONE, CARD_PROBLEM):
        yield Tell("remove")
        event = yield More(ticket)


class PresentCard(Step):
    """The amount in big digits, and what to do with the card."""

    step = CARD
    leads_to = ENDS + ("CardTrouble", "ConfirmAmount", "EnterPin", "Authorise")

    def __init__(self) -> None:
        self.stage = "present"

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return not draft.pan  # a void without card has it from the vault

    def enter(self) -> "State | None":
        if not contactless.possible(self.terminal.emv_settings(), self.terminal.emv_request(self.draft)):
            return CardTrouble("over-limit")
        self.terminal.light("ready")
        self.run(tap(self.terminal, self.draft))
        return None

    def leave(self) -> None:
        self.terminal.light("off")

    def screen(self) -> Screen:
        draft = self.draft
        big = yuan(draft.fen) if draft.row.money else ""
        keys = CANCEL_ONLY if self.stage != "reading" else ("", "")
        style = "alert" if self.stage in ("many", "unreadable") else ""
        return Screen(draft.row.title, ("card." + self.stage,), big=big, keys=keys, style=style)

    def on_told(self, stage: str) -> None:
        self.stage = stage
        self.again()
        if stage in ("many", "unreadable", "again"):
            self.terminal.sound("alert")
            self.terminal.light("ready")
        elif stage == "reading":
            self.terminal.light("reading")
        return None

    def on_done(self, result: "Outcome | Trouble") -> "State | None":
        if isinstance(result, Trouble):
            return CardTrouble(result.why)
        return self.next()


class CardTrouble(State):
    """This card, or this reader, will not do: what happened, no money taken, what to do."""

    leads_to = HOME + ("PresentCard",)
    WORDS = {
        "reader": ("card.trouble.reader", "card.do.reader"),
        "lost": ("card.trouble.lost", "card.do.hold"),
        "see-phone": ("card.trouble.phone", "card.do.phone"),
        "over-limit": ("card.trouble.amount", "card.do.amount"),
        "not-contactless": ("card.trouble.interface", "card.do.other"),
        "no-cryptogram": ("card.trouble.interface", "card.do.other"),
        "not-authenticated": ("card.trouble.interface", "card.do.other"),
        "no-directory": ("card.trouble.no_bank_card", "card.do.other"),
        "no-application": ("card.trouble.no_bank_card", "card.do.other"),
        "aac": ("card.trouble.refused", "card.do.other"),
        "unproven": ("card.trouble.refused", "card.do.other"),
        "no-method": ("card.trouble.refused", "card.do.other"),
        "expired": ("card.trouble.expired", "card.do.other"),
        "other-card": ("card.trouble.other", "card.do.original"),
    }
    OTHERWISE = ("card.trouble.unreadable", "card.do.other")

    def __init__(self, why: str = "unreadable") -> None:
        self.why = why

    def enter(self) -> None:
        self.terminal.light("error")
        self.terminal.sound("error")

    def leave(self) -> None:
        self.terminal.light("off")

    def screen(self) -> Screen:
        what, do = self.WORDS.get(self.why, self.OTHERWISE)
        return Screen("card.trouble.title", (what, self.terminal.money("money.not_taken"), do), keys=OK_CANCEL, style="alert")

    def on_confirm(self) -> "State | None":
        return PresentCard()

    def on_cancel(self) -> "State | None":
        return home(self.terminal)
