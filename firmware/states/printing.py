"""Slips: the merchant's copy, then the customer's. Printing never touches the money.

When the printer stops in a copy that copy starts again from its top once the operator says so. Giving up leaves
the transaction as it is: it can be printed from the menu at any time.
"""

from firmware import slip
from firmware.events import PRINT_DONE
from firmware.machine import State
from firmware.money import yuan
from firmware.ports import StoreError
from firmware.screens import Screen
from firmware.states.common import HOME, OK, OK_CANCEL, home
from firmware.tasks import Ask
from firmware.transactions import SLIP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.draft import Draft
    from firmware.ports import Job
    from firmware.tasks import Work
    from firmware.terminal import Terminal

PRINT_MS = 120_000


def put(job: "Job") -> "Work[str]":
    """A task: prints a job -> "" or why the printer stopped."""
    event = yield Ask("printer", "print", job, within_ms=PRINT_MS)
    if event.name == PRINT_DONE:
        return ""
    return event.value[0] if event.value else "silent"


class PrintSlip(State):
    """Prints the copies of one record, one after the other."""

    step = SLIP
    leads_to = HOME + ("NextCopy", "PrinterTrouble", "Approved", "AskRest")
    deadline_ms = PRINT_MS + 5_000
    kind = "slip"
    trouble_money = "print.money_stands"  # what a printer in trouble leaves as it is

    def __init__(self, record: "Any" = None, place: int = 0, again: bool = False) -> None:
        self.record = record
        self.place = place
        self.reprint = again

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return True

    @classmethod
    def of(cls, draft: "Draft") -> "State":
        return cls(draft.record)

    def copies(self) -> "tuple[str, ...]":
        """The copies that come out, one after the other."""
        return slip.COPIES[: self.terminal.parameter("slip.copies")]

    def job(self) -> "Job":
        """The copy of this place."""
        return slip.build(self.terminal, self.record, self.copies()[self.place], self.reprint)

    def enter(self) -> "State | None":
        if not self.terminal.has("printer") or self.place >= len(self.copies()):
            return Approved(self)
        self.run(put(self.job()))
        return None

    def screen(self) -> Screen:
        record = self.record
        what = "print.again" if self.reprint else record["kind"] + ".done"
        lines = (what, ("print.copy", self.place + 1, len(self.copies())))
        return Screen(record["kind"] + ".title", lines, big=yuan(record["fen"]))

    def on_done(self, why: str) -> "State | None":
        if why:
            return PrinterTrouble(self, why)
        if self.place + 1 < len(self.copies()):
            return NextCopy(self)
        return self.finish(self.place + 1)

    def finish(self, copies: int) -> "State | None":
        """So many copies are out, and there will be no more."""
        try:
            self.terminal.ledger.printed(self.record, copies)
        except StoreError:
            self.terminal.log("slip of %s: the mark cannot be written" % self.record["trace"])
        rest_fen = self.record.get("asked_fen", 0) - self.record["fen"]
        draft = self.terminal.draft
        takes = draft is not None and draft.row.sign > 0 and not draft.row.finds  # a sale of its own
        if takes and rest_fen > 0 and draft is not None and draft.record is self.record:
            return self.terminal.make_state("AskRest", rest_fen)
        return home(self.terminal)

    def same(self) -> "State | None":
        """This copy from its top."""
        return type(self)(self.record, self.place, self.reprint)

    def following(self) -> "State | None":
        """The next copy from its top."""
        return type(self)(self.record, self.place + 1, self.reprint)

    def on_cancel(self) -> "State | None":
        return self.finish(self.place)


class PrintTrouble(PrintSlip):
    """The report of an unresolved transaction: one copy, and no mark on the record, which stays open."""

    trouble_money = "print.money_unknown"

    def copies(self) -> "tuple[str, ...]":
        return ("trouble",)

    def job(self) -> "Job":
        return slip.trouble(self.terminal, self.record)

    def screen(self) -> Screen:
        return Screen("unresolved.title", ("print.report",), big=yuan(self.record["fen"]))

    def finish(self, copies: int) -> "State | None":
        return home(self.terminal)


class Approved(State):
    """The result on the screen, where no slip is printed: no printer, or a parameter of no copies."""

    leads_to = HOME + ("AskRest",)
    deadline_ms = 10_000

    def __init__(self, printed: "Any" = None) -> None:
        self.printed = printed

    def screen(self) -> Screen:
        record = self.printed.record
        return Screen(record["kind"] + ".title", (record["kind"] + ".done",), big=yuan(record["fen"]), keys=OK)

    def on_confirm(self) -> "State | None":
        return self.printed.finish(0)

    def on_cancel(self) -> "State | None":
        return self.printed.finish(0)


class NextCopy(State):
    """Tear off; the next copy comes by a key or after a while."""

    leads_to = HOME + ("PrintSlip", "AskRest")
    deadline_ms = 4_000

    def __init__(self, printed: "Any" = None) -> None:
        self.printed = printed

    def enter(self) -> None:
        self.deadline_ms = self.terminal.parameter("slip.next_copy_ms")
        self.again()

    def screen(self) -> Screen:
        record = self.printed.record
        return Screen(record["kind"] + ".title", ("print.tear", "print.next"), big=yuan(record["fen"]), keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        return self.printed.following()

    def on_cancel(self) -> "State | None":
        return self.printed.finish(self.printed.place + 1)

    def on_deadline(self) -> "State | None":
        return self.on_confirm()


class PrinterTrouble(State):
    """Paper out, cover open, too hot, no answer. The transaction stands."""

    leads_to = HOME + ("PrintSlip", "PrintTrouble", "PrintSettlement", "AskPrint", "AskRest")
    deadline_ms = 180_000

    def __init__(self, printed: "Any" = None, why: str = "paper-out") -> None:
        self.printed = printed
        self.why = why

    def enter(self) -> None:
        self.terminal.sound("alert")

    def screen(self) -> Screen:
        money = self.printed.trouble_money if self.printed is not None else PrintSlip.trouble_money
        return Screen("printer." + self.why, (money, "printer.do." + self.why, "print.later"), keys=OK_CANCEL, style="alert")

    def on_confirm(self) -> "State | None":
        return self.printed.same()

    def on_cancel(self) -> "State | None":
        return self.printed.finish(self.printed.place)
