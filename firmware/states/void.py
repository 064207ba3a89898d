"""Void: the supervisor approves, the original is found, the same card comes back."""

from firmware.events import VAULT_DONE
from firmware.host import messages
from firmware.money import yuan
from firmware.screens import Screen
from firmware.states.common import OK_CANCEL, Digits, Notice, Secret
from firmware.states.login import LockedOut
from firmware.states.query import records_page
from firmware.states.step import ENDS, Cancelled, Step
from firmware.tasks import Ask
from firmware.transactions import ORIGINAL, SUPERVISOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.draft import Draft
    from firmware.ledger import Record
    from firmware.machine import State
    from firmware.tasks import Work
    from firmware.terminal import Terminal


class AskSupervisor(Secret):
    """The supervisor's password, inside the operator's session."""

    step = SUPERVISOR
    leads_to = ENDS + ("FindOriginal", "LockedOut", "Notice")
    title = "supervisor.title"

    def __init__(self) -> None:
        super().__init__("00")

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return terminal.operator != "00"

    @classmethod
    def of(cls, draft: "Draft") -> "State":
        return cls()

    def enter(self) -> "State | None":
        if self.terminal.operators.left_ms("00"):
            return LockedOut("00")
        return super().enter()

    def on_right(self) -> "State | None":
        terminal = self.terminal
        if terminal.parameter("operators.force_change") and terminal.vault.is_factory(self.operator):
            return Notice(self.title, (("login.operator", ("", self.operator)), "password.forced"), style="alert", sound="error")
        return self.approved()

    def approved(self) -> "State | None":
        """His password was right: where that leads."""
        return self.terminal.after(SUPERVISOR)

    def on_cancel(self) -> "State | None":
        return Cancelled()


class Release(AskSupervisor):
    """The supervisor lets one transaction pass although a reversal is unresolved."""

    leads_to = ENDS + (
        "EnterAmount", "AskSupervisor", "FindOriginal", "PresentCard", "EnterPin", "Authorise", "LockedOut", "Notice",
    )  # fmt: skip
    title = "release.title"

    def approved(self) -> "State | None":
        terminal = self.terminal
        draft = terminal.open_draft
        draft.released = True
        return terminal.once_more(0) if draft.card is not None or draft.pan else terminal.first(draft)


class FindOriginal(Digits):
    """The original by its trace number; confirm on nothing opens the list."""

    step = ORIGINAL
    leads_to = ENDS + ("ConfirmOriginal", "PickOriginal")

    def __init__(self) -> None:
        super().__init__()
        self.problem = ""

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return draft.original is None

    @classmethod
    def of(cls, draft: "Draft") -> "State":
        return cls()

    def screen(self) -> Screen:
        return Screen("void.title", (self.problem or "void.find", ("void.trace", ("", self.typed)), "void.list"), keys=OK_CANCEL)

    def on_digit(self, digit: int) -> None:
        self.problem = ""
        super().on_digit(digit)

    def on_confirm(self) -> "State | None":
        if not self.typed:
            return PickOriginal()
        ledger = self.terminal.ledger
        record = ledger.by_trace("%06d" % int(self.typed))
        problem = ledger.voidable(record)
        if problem:
            self.problem = problem
            self.typed = ""
            self.terminal.sound("error")
            return None
        return ConfirmOriginal(record)

    def on_cancel(self) -> "State | None":
        return Cancelled()


class PickOriginal(Step):
    """Sales of this batch that can be voided, newest first."""

    leads_to = ENDS + ("ConfirmOriginal", "FindOriginal")

    def __init__(self) -> None:
        self.before = 0
        self.shown: list[Record] = []

    def enter(self) -> None:
        self._load()

    def _load(self) -> None:
        ledger = self.terminal.ledger
        found: list[Record] = []
        before = self.before
        while len(found) < 4:
            more = ledger.newest(20, before)
            if not more:
                break
            for record in more:
                if not ledger.voidable(record) and len(found) < 4:
                    found.append(record)
            before = more[-1]["id"]
            if more[-1]["batch"] != ledger.batch:
                break  # older batches hold nothing that could be voided
        self.shown = found

    def screen(self) -> Screen:
        if not self.shown:
            return Screen("void.title", ("void.none",), keys=OK_CANCEL)
        return Screen("void.pick", menu=records_page(self.shown))

    def on_digit(self, digit: int) -> "State | None":
        if 1 <= digit <= len(self.shown):
            return ConfirmOriginal(self.shown[digit - 1])
        return None

    def on_down(self) -> None:
        if len(self.shown) == 4:
            self.before = self.shown[-1]["id"]
        else:
            self.before = 0
        self._load()

    def on_back(self) -> "State | None":
        return FindOriginal()


class ConfirmOriginal(Step):
    """The original in full: number, card, amount. Its card number comes from the vault."""

    leads_to = ENDS + ("PresentCard", "EnterPin", "Authorise", "Notice", "FindOriginal")

    def __init__(self, record: "Any" = None) -> None:
        self.record = record

    def screen(self) -> Screen:
        record = self.record
        lines = (("void.of", ("", record["trace"])), ("confirm.card", ("", record["pan"])))
        return Screen("void.confirm", lines, big=yuan(record["fen"]), keys=OK_CANCEL)

    def on_confirm(self) -> None:
        self.run(self._number())

    def _number(self) -> "Work[tuple[str, str] | None]":
        try:
            event = yield Ask("vault", "unseal", messages.sealed_of(self.record))
            return messages.parse_card_data(event.value) if event.name == VAULT_DONE else None
        except ValueError:
            return None

    def on_done(self, card: "tuple[str, str] | None") -> "State | None":
        terminal = self.terminal
        if card is None:
            return Notice("void.title", ("void.no_number", "money.sale_stands"), style="alert")
        draft = self.draft
        draft.original = self.record
        draft.fen = self.record["fen"]
        if terminal.parameter("void.card"):
            draft.original_pan = card[0]
        else:
            draft.pan, draft.expiry = card
        return terminal.after(ORIGINAL)

    def on_cancel(self) -> "State | None":
        self.draft.original = self.record  # so that the page says what stands
        return super().on_cancel()

    def on_back(self) -> "State | None":
        return FindOriginal()
