"""What an operator types where no card says it: the card's number, its expiry, the bank's word by telephone, a tip, how many
instalments."""

from firmware.events import SECRET_READY
from firmware.machine import State
from firmware.money import masked, yuan
from firmware.screens import Screen
from firmware.states.common import OK_CANCEL, Digits, secret
from firmware.states.step import ENDS, Cancelled, Step
from firmware.stripe import luhn
from firmware.transactions import APPROVAL, NUMBER, PERIODS, TIPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.draft import Draft
    from firmware.screens import Wording
    from firmware.tasks import Work
    from firmware.terminal import Terminal


class TypeNumber(Step):
    """The card's number, typed into the vault; its first and last digits are shown once it is whole."""

    step = NUMBER
    leads_to = ENDS + ("TypeExpiry", "TypeNumber")
    deadline_ms = 120_000

    def __init__(self, problem: str = "") -> None:
        self.count = 0
        self.problem = problem

    def enter(self) -> None:
        if self.problem:
            self.terminal.sound("error")
        self.run(self._typed())

    def _typed(self) -> "Work[str]":
        event = yield from secret("enter_card")
        return event.value if event.name == SECRET_READY else ""

    def on_told(self, count: int) -> None:
        self.count = count
        self.problem = ""
        self.again()

    def screen(self) -> Screen:
        lines = (self.problem or "number.prompt", ("number.typed", self.count))
        return Screen(self.draft.row.title, lines, keys=OK_CANCEL)

    def on_done(self, number: str) -> "State | None":
        if not number:
            return Cancelled()
        if not luhn(number):
            return TypeNumber("number.wrong")
        self.draft.pan = number
        return TypeExpiry()


class Typed(Digits):
    """Digits of the open transaction, with the reason why the last ones were refused."""

    leads_to = ENDS
    prompt = ""
    shown = "original.typed"

    def __init__(self) -> None:
        super().__init__()
        self.problem: Wording = ""

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return True

    @classmethod
    def of(cls, draft: "Draft") -> "State":
        return cls()

    @property
    def draft(self) -> "Draft":
        """The transaction that this is a step of."""
        return self.terminal.open_draft

    def refuse(self, why: "Wording") -> None:
        """Says why not, and begins anew."""
        self.problem = why
        self.typed = ""
        self.terminal.sound("error")

    def on_digit(self, digit: int) -> None:
        self.problem = ""
        super().on_digit(digit)

    def on_cancel(self) -> "State | None":
        return Cancelled()


class TypeExpiry(Typed):
    """The expiry as it stands on the card: month, then year."""

    leads_to = ENDS + ("TypeApproval", "ConfirmAmount", "Authorise")
    most = 4

    def screen(self) -> Screen:
        lines = (("confirm.card", ("", masked(self.draft.pan))), self.problem or "number.expiry", (self.shown, ("", self.typed)))
        return Screen(self.draft.row.title, lines, keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        month, year = self.typed[:2], self.typed[2:]
        if len(self.typed) < self.most or not 1 <= int(month) <= 12:
            self.refuse("number.no_month")
            return None
        if year + month < self.terminal.calendar_stamp()[2:6]:
            self.refuse("card.trouble.expired")
            return None
        self.draft.expiry = year + month
        return self.terminal.after(NUMBER)


class TypeApproval(Typed):
    """The authorisation code that the bank has given by telephone."""

    step = APPROVAL
    leads_to = ENDS + ("ConfirmAmount", "Authorise")
    most = 6

    def screen(self) -> Screen:
        lines = (self.problem or "approval.prompt", (self.shown, ("", self.typed)))
        return Screen(self.draft.row.title, lines, keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        if len(self.typed) < self.most:
            self.refuse("original.whole")
            return None
        self.draft.code = self.typed
        return self.terminal.after(APPROVAL)


class EnterTip(Typed):
    """The tip in fen; the new total is shown with it."""

    step = TIPPED
    leads_to = ENDS + ("Authorise",)
    most = 9

    @property
    def tip_fen(self) -> int:
        """What is typed."""
        return int(self.typed or "0")

    def screen(self) -> Screen:
        total = ("tip.total", ("", yuan(self.draft.fen + self.tip_fen)))
        return Screen(self.draft.row.title, (self.problem or "tip.prompt", total), big=yuan(self.tip_fen), keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        draft = self.draft
        most = draft.fen * self.terminal.parameter("tip.percent") // 100
        if not self.tip_fen:
            self.refuse("amount.zero")
            return None
        if self.tip_fen > most:
            self.refuse(("amount.over", ("", yuan(most))))
            return None
        draft.tip_fen = self.tip_fen
        draft.fen += self.tip_fen
        return self.terminal.after(TIPPED)


class PickPeriods(Step):
    """How many instalments."""

    step = PERIODS
    leads_to = ENDS + ("PresentCard", "ConfirmAmount", "EnterAmount")

    def screen(self) -> Screen:
        rows = [(str(place + 1), ("periods.line", count)) for place, count in enumerate(self._choices())]
        return Screen("periods.title", menu=rows)

    def _choices(self) -> "list[int]":
        choices: list[int] = self.terminal.parameter("instalment.periods")
        return choices

    def on_digit(self, digit: int) -> "State | None":
        choices = self._choices()
        if not 1 <= digit <= len(choices):
            self.terminal.sound("error")
            return None
        self.draft.periods = choices[digit - 1]
        return self.next()

    def on_back(self) -> "State | None":
        return self.terminal.make_state("EnterAmount")
