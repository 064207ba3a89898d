"""Asking the host, and the pages for each thing that may come of it.

Between "sent" and "result written" no key does anything (`untouchable`); the conversation always ends by itself,
since every wait in it has its own limit.
"""

from firmware.emv import ask
from firmware.host.authorise import Result, authorise
from firmware.host.resolve import resolve
from firmware.machine import State
from firmware.money import yuan
from firmware.reading import Remove
from firmware.screens import Screen
from firmware.states.common import HOME, OK_CANCEL, home
from firmware.states.result import Declined, NotSent, Repeating, Reversed, Unresolved
from firmware.states.step import Step
from firmware.transactions import AUTHORISE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.terminal import Terminal

PROGRESS = {"connecting": 10, "signing-on": 20, "reversing": 40, "authorising": 60, "repeating": 70, "card": 80}


class Authorise(Step):
    """The conversation with the host, from which no key leads away. A chip in the slot has its word in it."""

    step = AUTHORISE
    joins = True
    leads_to = (
        "Declined", "NotSent", "Reversed", "Unresolved", "Repeating", "Blocked", "PrintSlip", "ShowBalance", "TakeCard", "Refer",
    )  # fmt: skip
    deadline_ms = 1_200_000  # never reached: each wait of the conversation has its own limit
    untouchable = True

    def __init__(self, stage: str = "") -> None:
        self.stage = stage or "connecting"
        self.goes_on = bool(stage)  # the conversation is under way, and speaks to this page again

    def enter(self) -> None:
        if self.goes_on:
            return
        self.terminal.make_way()
        if not self.answer("go"):
            self.run(authorise(self.terminal, self.draft))

    def screen(self) -> Screen:
        draft = self.draft
        big = yuan(draft.fen) if draft.row.money else ""
        return Screen(draft.row.title, ("online." + self.stage,), big=big, progress=PROGRESS[self.stage])

    def on_told(self, stage: "Any") -> "State | None":
        if isinstance(stage, Remove):  # the result is written, and the chip is still in the slot
            assert isinstance(stage.result, Result)
            _sound(self.terminal, stage.result)
            return self.terminal.make_state("TakeCard", stage.result)
        if isinstance(stage, ask.Refer):
            return self.terminal.make_state("Refer", stage)
        if stage in PROGRESS:
            self.stage = stage
        return None

    def on_done(self, result: Result) -> "State | None":
        _sound(self.terminal, result)
        return told(self.terminal, result)

    def on_deadline(self) -> "State | None":
        """Should it come to that: what was sent is unknown from here on, and says so."""
        record = self.terminal.open_draft.record
        return NotSent("timeout") if record is None else Unresolved(Result("unresolved", "", "timeout", record))


def _sound(terminal: "Terminal", result: Result) -> None:
    good = result.status == "approved"
    terminal.sound("ok" if good else "error")
    terminal.light("done" if good else "error")


def told(terminal: "Terminal", result: Result) -> State:
    """The page for what a transaction came to: its slip, or why there is none."""
    terminal.open_draft.result = result
    if result.status == "approved":
        return terminal.after(AUTHORISE)
    return PAGES[result.status](result)


class Blocked(State):
    """A reversal that nobody answered stands before new card transactions. Confirm tries it again."""

    leads_to = HOME + (
        "EnterAmount", "AskSupervisor", "FindOriginal", "TypeReference", "TypeCode", "Release", "Blocked", "Authorise",
        "ConfirmAmount", "PresentCard", "EnterPin",
    )  # fmt: skip

    def __init__(self, result: "Result | None" = None) -> None:
        self.busy = False

    def enter(self) -> "State | None":
        if not self.terminal.ledger.to_reverse():
            return self._on()
        return None

    def screen(self) -> Screen:
        if self.busy:
            return Screen("blocked.title", ("online.reversing",), progress=PROGRESS["reversing"])
        count = len(self.terminal.ledger.to_reverse())
        do = "blocked.release" if self._may_release() else "blocked.call"
        return Screen("blocked.title", (("blocked.what", count), "blocked.retry", do), keys=OK_CANCEL, style="alert")

    def _may_release(self) -> bool:
        return self.terminal.parameter("sale.unresolved") == "supervisor"

    def on_confirm(self) -> None:
        if self.busy:
            return None
        self.busy = True
        self.run(resolve(self.terminal))
        return None

    def on_down(self) -> "State | None":
        if self._may_release() and not self.busy:
            return self.terminal.make_state("Release")
        return None

    def on_done(self, left: int) -> "State | None":
        self.busy = False
        if self.terminal.ledger.to_reverse():
            self.terminal.sound("error")
            return None
        return self._on()

    def on_deadline(self) -> "State | None":
        return None if self.busy else self.on_cancel()  # a round ends by itself

    def _on(self) -> "State | None":
        draft = self.terminal.open_draft
        if draft.card is not None or draft.pan:  # it came up on the way to the host: the card is asked anew
            return self.terminal.once_more(0)
        return self.terminal.first(draft)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


PAGES = {
    "declined": Declined,
    "not-sent": NotSent,
    "no-answer": NotSent,
    "reversed": Reversed,
    "unresolved": Unresolved,
    "repeating": Repeating,
    "blocked": Blocked,
}
