"""The card's pages: present it, wait while the chip works, choose, type the PIN, take it away.

One task (`firmware.reading`) runs behind all of them. A page joins it, shows what it tells, and answers what it asks:

    PresentCard --inserted--> ReadChip --question--> ChooseApplication, ChipPin, CheckDocument, Refer --> ReadChip
    ReadChip --read--> the next step of the transaction, which joins too --> Authorise --> TakeCard --> what it came to
"""

from firmware import reading, stripe
from firmware.emv import ask
from firmware.host.authorise import Result
from firmware.machine import State
from firmware.money import yuan
from firmware.reading import Remove, Trouble, Waiting
from firmware.screens import Screen
from firmware.states import online
from firmware.states.common import CANCEL_ONLY, HOME, OK, OK_CANCEL, Digits, home
from firmware.states.step import ENDS, Cancelled, Step
from firmware.transactions import CARD, LAST_FOUR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.draft import Draft
    from firmware.screens import Wording
    from firmware.terminal import Terminal

# What is asked for, by the readers that may be used.
PROMPTS = {
    ("contactless", "chip", "stripe"): "card.any",
    ("contactless", "chip"): "card.tap_or_insert",
    ("contactless", "stripe"): "card.tap_or_swipe",
    ("contactless",): "card.present",
    ("chip", "stripe"): "card.insert_or_swipe",
    ("chip",): "card.insert",
    ("stripe",): "card.swipe",
}

# What the page says of the card before, by `Waiting.why`.
WHY = {
    "over-limit": "card.why.over-limit",
    "not-contactless": "card.why.no-tap",
    "no-cryptogram": "card.why.no-tap",
    "not-authenticated": "card.why.no-tap",
    "no-cash": "card.why.no-tap",
    "chip-instead": "card.why.no-tap",
    "reader": "card.why.reader",
    "phone": "card.trouble.phone",
    "again": "card.why.again",
    "pulled": "card.why.pulled",
    "chip-again": "card.why.chip-again",
    "fallback": "card.trouble.chip",
    "swipe-again": "card.why.swipe-again",
    "must-insert": "card.why.must-insert",
}

AFTER_CARD = ("TypeLastFour", "ConfirmAmount", "EnterPin", "Authorise")


def ended(terminal: "Terminal", result: "Any") -> "State | None":
    """Where a card's task leads that has ended: with trouble, or with what the transaction came to."""
    if isinstance(result, Result):
        return online.told(terminal, result)
    if isinstance(result, Trouble):
        return CardTrouble(result.why) if result.why else Cancelled()
    draft = terminal.open_draft
    draft.take_card(result)
    return terminal.after(CARD)


class CardPage(Step):
    """A page that the card's task speaks to."""

    joins = True
    step = CARD
    leads_to = ENDS + AFTER_CARD + (
        "CardTrouble", "PresentCard", "ReadChip", "ChooseApplication", "ChipPin", "CheckDocument", "Refer", "TakeCard",
        "PinLeftOut", "Declined", "NotSent", "Reversed", "Unresolved", "Repeating", "Blocked", "PrintSlip", "ShowBalance",
    )  # fmt: skip

    def on_told(self, value: "Any") -> "State | None":
        if isinstance(value, Waiting):
            return PresentCard(value)
        if value == "inserted":
            return ReadChip()
        if value == "read":
            return self.next()
        if value == "reading":
            return ReadChip()
        if isinstance(value, Remove):
            return TakeCard(value.result)
        page = PAGES.get(type(value))
        return page(value) if page is not None else None

    def on_done(self, result: "Any") -> "State | None":
        return ended(self.terminal, result)


def big(draft: "Draft") -> str:
    """The amount in big digits, where the transaction has one."""
    return yuan(draft.fen) if draft.row.money else ""


class PresentCard(CardPage):
    """The amount in big digits, and what to do with the card. waiting: the task waits already, and this page goes on with it."""

    STAGES = {
        "reading": ("card.reading", "reading", ""),
        "remove": ("card.remove", "", ""),
        "left": ("card.left", "", "alert"),
        "many": ("card.many", "ready", "alert"),
        "unreadable": ("card.unreadable", "ready", "alert"),
    }

    def __init__(self, waiting: "Waiting | None" = None) -> None:
        self.waiting = waiting
        self.joins = waiting is not None
        self.stage = ""

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return not draft.pan  # a void without card has it from the vault

    def enter(self) -> None:
        if self.waiting is None:
            self.run(reading.read(self.terminal, self.draft))
        else:
            self._show()

    def _show(self) -> None:
        self.stage = ""
        self.terminal.light("ready")
        if self.waiting is not None and self.waiting.why:
            self.terminal.sound("alert")

    def leave(self) -> None:
        self.terminal.light("off")

    def on_part(self, part: str, state: str) -> "State | None":
        """A stripe reader that goes tells nobody who waits for it; the others do."""
        waited = self.waiting is not None and part in self.waiting.readers
        return PresentCard() if part == "stripe" and waited and not self.stage and state in ("failed", "gone") else None

    def screen(self) -> Screen:
        draft = self.draft
        if self.stage:
            words, _, style = self.STAGES[self.stage]
            return Screen(draft.row.title, (words,), big=big(draft), keys=("", "") if self.stage == "reading" else CANCEL_ONLY,
                          style=style)  # fmt: skip
        readers = self.waiting.readers if self.waiting is not None else reading.readers_of(self.terminal)
        why = self.waiting.why if self.waiting is not None else ""
        prompt: Wording = PROMPTS.get(readers, "card.present")
        lines: tuple[Wording, ...] = (WHY[why], prompt) if why in WHY else (prompt,)
        return Screen(draft.row.title, lines, big=big(draft), keys=CANCEL_ONLY, style="alert" if why else "")

    def on_told(self, value: "Any") -> "State | None":
        if isinstance(value, Waiting):
            self.waiting = value
            self._show()
        elif isinstance(value, str) and value in self.STAGES:
            self.stage = value
            _, light, style = self.STAGES[value]
            if light:
                self.terminal.light(light)
            if style:
                self.terminal.sound("alert")
        else:
            return super().on_told(value)
        self.again()
        return None


class ReadChip(CardPage):
    """The chip works: the card must stay where it is."""

    deadline_ms = 120_000

    def enter(self) -> None:
        self.terminal.light("reading")

    def leave(self) -> None:
        self.terminal.light("off")

    def screen(self) -> Screen:
        draft = self.draft
        return Screen(draft.row.title, ("chip.working", "chip.stay"), big=big(draft))

    def on_told(self, value: "Any") -> "State | None":
        if value == "reading":
            return None
        return super().on_told(value)

    def on_cancel(self) -> "State | None":
        return None

    def on_deadline(self) -> "State | None":
        return Cancelled()


class TakeCard(CardPage):
    """What it came to, as far as that is known, and the wish to take the card out. Confirm goes on without waiting."""

    deadline_ms = 60_000
    WORDS = {"approved": ".done", "declined": "declined.short", "unresolved": "unresolved.title"}

    def __init__(self, result: "Any" = None) -> None:
        self.result = result

    def enter(self) -> None:
        self.terminal.sound("card")

    def screen(self) -> Screen:
        draft = self.draft
        lines: tuple[Wording, ...] = ("chip.take",)
        word = self.WORDS.get(self.result.status, "") if isinstance(self.result, Result) else ""
        if word and draft.row.kept:
            lines = (draft.row.name + word if word[:1] == "." else word, "chip.take")
        return Screen(draft.row.title, lines, big=big(draft), keys=OK)

    def on_told(self, value: "Any") -> "State | None":
        if isinstance(value, Remove):
            self.terminal.sound("alert")
            return None
        return super().on_told(value)

    def on_confirm(self) -> "State | None":
        return ended(self.terminal, self.result) if self.result is not None else None

    def on_cancel(self) -> "State | None":
        return self.on_confirm() if self.result is not None else Cancelled()


class ChooseApplication(CardPage):
    """The card has more than one application, or wants the one confirmed."""

    ROWS = 4

    def __init__(self, question: "Any" = None) -> None:
        self.names: list[str] = question.names if question is not None else []
        self.single = question is not None and question.single
        self.tried = question is not None and question.again
        self.first = 0

    def screen(self) -> Screen:
        title = "choose.again" if self.tried else "choose.title"
        if self.single:
            return Screen(title, (("choose.single", ("", self.names[0])),), keys=OK_CANCEL)
        shown = self.names[self.first : self.first + self.ROWS]
        return Screen(title, menu=[(str(at + 1), ("", name[:16])) for at, name in enumerate(shown)])

    def on_cancel(self) -> "State | None":
        return None if self.answer(None) else Cancelled()

    def on_digit(self, digit: int) -> None:
        index = self.first + digit - 1
        if not self.single and 1 <= digit <= self.ROWS and index < len(self.names):
            self.answer(index)

    def on_confirm(self) -> None:
        if self.single:
            self.answer(0)

    def on_down(self) -> None:
        if not self.single:
            self.first = self.first + self.ROWS if self.first + self.ROWS < len(self.names) else 0


class ChipPin(CardPage):
    """Stars for the digits that the vault has taken, the card in the slot: a PIN for the card, or for the issuer."""

    def __init__(self, question: "Any" = None) -> None:
        self.offline = isinstance(question, ask.OfflinePin)
        self.ready = self.offline
        self.left = question.tries_left if isinstance(question, ask.OfflinePin) else None
        self.count = 0

    def enter(self) -> None:
        if self.left is not None and self.left < 3:
            self.terminal.sound("alert")
        self.answer(None)

    def on_told(self, value: "Any") -> "State | None":
        if isinstance(value, int):
            self.count = value
        if isinstance(value, int) or value == "ready":
            self.ready = True
            self.again()
            return None
        return super().on_told(value)

    def screen(self) -> Screen:
        draft = self.draft
        if not self.ready:  # the vault does not listen to the keys yet
            return Screen(draft.row.title, ("online.signing-on",), big=big(draft))
        hint: Wording = "pin.bypass_hint" if self.terminal.parameter("pin.bypass") else "pin.prompt"
        if self.offline and draft.offline_pins > 1 and self.left is not None:
            hint = ("pin.wrong", self.left)
        elif self.left is not None and self.left < 3:
            hint = ("pin.left", self.left)
        return Screen(draft.row.title, (hint, ("pin.typed", ("", "*" * self.count))), big=big(draft), keys=OK_CANCEL)


class CheckDocument(CardPage):
    """The holder's identity document: the operator compares it."""

    def __init__(self, question: "Any" = None) -> None:
        self.kind = question.kind if question is not None else "other"
        self.number = question.number if question is not None else ""

    def screen(self) -> Screen:
        return Screen("document.title", ("document." + self.kind, ("", self.number), "document.do"), keys=OK_CANCEL)

    def on_confirm(self) -> None:
        self.answer(True)

    def on_cancel(self) -> "State | None":
        return None if self.answer(False) else Cancelled()


class Refer(CardPage):
    """The issuer wants to be called. Its code and confirm: it has agreed; cancel: it has not, and the card is told."""

    MOST = 6
    deadline_ms = 300_000

    def __init__(self, question: "Any" = None) -> None:
        self.typed = ""

    def on_told(self, value: "Any") -> "State | None":
        return online.Authorise("card") if value == "reading" else super().on_told(value)

    def screen(self) -> Screen:
        return Screen("refer.title", ("refer.what", ("refer.code", ("", self.typed)), "refer.do"), keys=OK_CANCEL)

    def on_digit(self, digit: int) -> None:
        if len(self.typed) < self.MOST:
            self.typed += str(digit)

    def on_clear(self) -> None:
        self.typed = ""

    def on_back(self) -> None:
        self.typed = self.typed[:-1]

    def on_confirm(self) -> None:
        if len(self.typed) == self.MOST:
            self.answer(self.typed)
        else:
            self.terminal.sound("error")

    def on_cancel(self) -> "State | None":
        return None if self.answer("") else Cancelled()


PAGES: "dict[Any, Any]" = {
    ask.Choose: ChooseApplication,
    ask.OnlinePin: ChipPin,
    ask.OfflinePin: ChipPin,
    ask.CheckDocument: CheckDocument,
    ask.Refer: Refer,
}


class TypeLastFour(Digits):
    """The last four digits as they are printed on the card: a copied stripe has others."""

    step = LAST_FOUR
    leads_to = ENDS + ("ConfirmAmount", "EnterPin", "Authorise", "CardTrouble")
    most = 4
    TRIES = 3

    def __init__(self) -> None:
        super().__init__()
        self.wrong = 0

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return draft.entry == "02" and terminal.parameter("stripe.last_four")

    @classmethod
    def of(cls, draft: "Draft") -> "State":
        return cls()

    def screen(self) -> Screen:
        prompt = "last_four.wrong" if self.wrong else "last_four.prompt"
        lines: tuple[Wording, ...] = (prompt, ("last_four.typed", ("", self.typed)))
        return Screen("last_four.title", lines, keys=OK_CANCEL, style="alert" if self.wrong else "")

    def on_confirm(self) -> "State | None":
        if len(self.typed) < self.most:
            return None
        if stripe.last_four(self.terminal.open_draft.pan, self.typed):
            return self.terminal.after(LAST_FOUR)
        self.typed = ""
        self.wrong += 1
        self.terminal.sound("error")
        return CardTrouble("last-four") if self.wrong >= self.TRIES else None

    def on_cancel(self) -> "State | None":
        return Cancelled()


class CardTrouble(State):
    """This card, or this reader, will not do: what happened, no money taken, what to do."""

    leads_to = HOME + ("PresentCard",)
    WORDS = {
        "reader": ("card.trouble.reader", "card.do.reader"),
        "store": ("why.store", "do.store"),
        "lost": ("card.trouble.lost", "card.do.hold"),
        "see-phone": ("card.trouble.phone", "card.do.phone"),
        "over-limit": ("card.trouble.amount", "card.do.amount"),
        "not-contactless": ("card.trouble.interface", "card.do.other"),
        "no-cryptogram": ("card.trouble.interface", "card.do.other"),
        "not-authenticated": ("card.trouble.interface", "card.do.other"),
        "no-directory": ("card.trouble.no_bank_card", "card.do.other"),
        "no-application": ("card.trouble.no_bank_card", "card.do.other"),
        "no-chip-application": ("card.trouble.no_bank_card", "card.do.other"),
        "aac": ("card.trouble.refused", "card.do.other"),
        "unproven": ("card.trouble.refused", "card.do.other"),
        "no-method": ("card.trouble.refused", "card.do.other"),
        "refused": ("card.trouble.refused", "card.do.other"),
        "not-allowed": ("card.trouble.not_allowed", "card.do.other"),
        "host-declined": ("card.trouble.refused", "card.do.issuer"),
        "offline-only": ("card.trouble.unreachable", "card.do.other"),
        "bad-signature": ("card.trouble.forged", "card.do.keep"),
        "terminal": ("card.trouble.declined", "card.do.other"),
        "forged": ("card.trouble.forged", "card.do.keep"),
        "listed": ("card.trouble.listed", "card.do.keep"),
        "unreachable": ("card.trouble.unreachable", "card.do.later"),
        "card-declined": ("card.trouble.refused", "card.do.other"),
        "card-blocked": ("card.trouble.blocked", "card.do.issuer"),
        "blocked": ("card.trouble.blocked", "card.do.issuer"),
        "chip-dead": ("card.trouble.chip", "card.do.other"),
        "must-insert": ("card.trouble.insert", "card.do.insert"),
        "last-four": ("card.trouble.last_four", "card.do.keep"),
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
