"""The pages of a settlement: asking, how far it is, why not, closing it without the host, its paper.

    AskSettle ── confirm ──> Settle ── over ──> SettleDone ──> PrintSettlement ──> AskPrint ──> ... ──> home
                               │  ^                 ^
                             not yet  again         │
                               v  │                 │
                          SettleTrouble ── down ──> SettleSupervisor ──> CloseReason

A settlement that the power cut is gone on with from the start, and one that was done behind the pages shows its result when
somebody comes to the menu.
"""

from firmware.iso8583 import codes
from firmware.machine import State
from firmware.money import yuan
from firmware.ports import StoreError
from firmware.screens import Screen
from firmware.settlement import REASONS, answered, halves
from firmware.states.common import HOME, OK, OK_CANCEL, Notice, home
from firmware.states.printing import PrinterTrouble, PrintSlip, put
from firmware.states.result import NotSent
from firmware.states.supervisor import AskSupervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.host.settle import Outcome, Progress
    from firmware.ports import Job
    from firmware.screens import Wording
    from firmware.settlement import Kept
    from firmware.terminal import Terminal

PROGRESS = {"open": 10, "ask": 20, "upload": 30, "end": 90, "sign-off": 95}
TOTALS, DETAILS, FAILURES = "totals", "details", "failures"


def net(kept: "Kept") -> int:
    """What the batch comes to, in fen."""
    return sum([half.debit_fen - half.credit_fen for half in halves(kept["totals"])])


class AskSettle(State):
    """What would be settled, and whether."""

    leads_to = HOME + ("Settle", "Notice")

    def enter(self) -> "State | None":
        terminal = self.terminal
        if terminal.settlement.running is not None:
            return Settle()
        return None if terminal.ledger.in_batch() else Notice("settle.title", ("settle.empty",))

    def screen(self) -> Screen:
        ledger = self.terminal.ledger
        kept = self.terminal.settlement.snapshot(ledger, "", "")
        lines = (("settle.batch", ("", ledger.batch)), ("settle.count", ledger.in_batch()))
        return Screen("settle.title", lines, big=yuan(net(kept)), keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        return Settle()

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class Settle(State):
    """The conversation with the host. Every step is on disk: cancel stops it where it is."""

    leads_to = HOME + ("SettleTrouble", "SettleDone")
    deadline_ms = 3_600_000  # never reached: each wait of the conversation has its own limit, and progress arms it anew

    def __init__(self, resumed: bool = False) -> None:
        self.resumed = resumed
        self.progress: Progress | None = None

    def enter(self) -> None:
        from firmware.host.settle import settle  # not before the first page

        self.terminal.settle_in_front()
        self.terminal.make_way()
        self.run(settle(self.terminal))

    def screen(self) -> Screen:
        progress = self.progress
        step: Wording = "online.connecting"
        bar = 5
        if progress is not None and progress.total:
            step = ("settle.step.upload", progress.done, progress.total)
            bar = PROGRESS["upload"] + (PROGRESS["end"] - PROGRESS["upload"]) * progress.done // progress.total
        elif progress is not None and progress.step != "upload":
            step = "settle.step." + progress.step
            bar = PROGRESS[progress.step]
        return Screen("settle.title", ("settle.resumed" if self.resumed else "", step), keys=("key.cancel", ""), progress=bar)

    def on_told(self, progress: "Any") -> None:
        if hasattr(progress, "step"):  # what is resolved on the way tells its own
            self.progress = progress
            self.again()

    def on_done(self, outcome: "Outcome") -> "State | None":
        if outcome.status == "settled":
            self.terminal.sound("ok")
            return SettleDone(outcome.kept)
        self.terminal.sound("error")
        return SettleTrouble(outcome)

    def on_cancel(self) -> "State | None":
        from firmware.host.settle import Outcome

        try:
            self.terminal.settlement.forget()
        except StoreError:
            self.terminal.log("settlement: it stays begun: the store refuses")
        return SettleTrouble(Outcome("stopped"))


class SettleTrouble(State):
    """Why the batch is not settled, what that means, and the ways on: again, a supervisor, later."""

    leads_to = HOME + ("Settle", "SettleSupervisor")

    def __init__(self, outcome: "Any" = None) -> None:
        self.outcome = outcome

    def _what(self) -> "Wording":
        outcome = self.outcome
        if outcome is None or outcome.status == "stopped":
            return "settle.stopped"
        if outcome.status == "open":
            record = outcome.records[0]
            return ("settle.open", len(outcome.records), ("", record["trace"]))
        if self._code():
            return ("settle.refused", ("", self._code()))
        return "settle.too_many" if outcome.why == "totals" else NotSent.WORDS.get(outcome.why, "why.network")

    def _code(self) -> str:
        """What the host has refused with, by its answer to a step or to the sign-on before it; "" for nothing."""
        outcome = self.outcome
        if outcome is None:
            return ""
        return outcome.why[5:] if outcome.why.startswith("code ") else outcome.code

    def _words(self) -> "Wording":
        """The words of the host's code, or what has become of the batch."""
        if self._code():
            row = codes.look_up(self._code())
            return ("", row.zh if self.terminal.language == "zh" else row.en)
        return "settle.frozen" if self.terminal.settlement.running is not None else "settle.nothing"

    def screen(self) -> Screen:
        return Screen("settle.trouble", (self._what(), self._words(), "settle.do"), keys=OK_CANCEL, style="alert")

    def on_confirm(self) -> "State | None":
        return Settle()

    def on_down(self) -> "State | None":
        return SettleSupervisor()

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class SettleSupervisor(AskSupervisor):
    """The supervisor's password: he may end a batch without the host."""

    leads_to = HOME + ("CloseReason", "LockedOut", "Notice", "SettleTrouble")

    def approved(self) -> "State | None":
        return CloseReason()

    def on_cancel(self) -> "State | None":
        return SettleTrouble()


class CloseReason(State):
    """Why the batch is closed without the host: a digit, then confirm."""

    leads_to = HOME + ("SettleDone", "SettleTrouble")

    def __init__(self) -> None:
        self.reason = 0

    def screen(self) -> Screen:
        if self.reason:
            lines = ("settle.reason.%d" % self.reason, "settle.close_sure", "settle.close_kept")
            return Screen("settle.close", lines, keys=OK_CANCEL, style="alert")
        return Screen("settle.close", menu=[(str(n), "settle.reason.%d" % n) for n in range(1, REASONS + 1)])

    def on_digit(self, digit: int) -> None:
        if 1 <= digit <= REASONS:
            self.reason = digit
        else:
            self.terminal.sound("error")

    def on_clear(self) -> None:
        self.reason = 0

    def on_confirm(self) -> "State | None":
        if not self.reason:
            return None
        from firmware.host.settle import close

        self.terminal.settle_in_front()
        close(self.terminal, self.reason)
        return SettleDone(self.terminal.settlement.last())

    def on_cancel(self) -> "State | None":
        return SettleTrouble()


class SettleDone(State):
    """What the settlement came to; then its slip."""

    leads_to = HOME + ("PrintSettlement",)
    deadline_ms = 8_000

    def __init__(self, kept: "Any" = None) -> None:
        self.kept = kept

    def enter(self) -> "State | None":
        self.kept = self.kept or self.terminal.settlement.last()
        return home(self.terminal) if self.kept is None else None

    def screen(self) -> Screen:
        from firmware.settlement_slip import VERDICTS, verdict

        kept = self.kept
        both = zip(halves(kept["totals"]), answered(kept))
        worst = max([VERDICTS.index(verdict(ours, theirs)) for ours, theirs in both])
        what = "settle.reason.%d" % kept["closed"] if kept["closed"] else VERDICTS[worst]
        missing = len(kept["unsent"] or ()) + len(kept["denied"] or ()) + len(kept["left"] or ())
        did: Wording = ("settle.missing", missing) if missing else ("settle.uploaded", kept["uploaded"])
        what = {"settle.unbalanced": "settle.differ", "settle.error": "settle.wrong"}.get(what, what)
        title = "settle.closed" if kept["closed"] else "settle.done"
        style = "alert" if missing or worst or kept["closed"] else ""
        next_batch = ("settle.next", ("", self.terminal.ledger.batch))
        return Screen(title, (what, did, next_batch), keys=OK, style=style)

    def on_confirm(self) -> "State | None":
        return PrintSettlement(self.kept, TOTALS)

    def on_cancel(self) -> "State | None":
        return self.on_confirm()


class PrintSettlement(PrintSlip):
    """One of the papers of a settlement, in as many jobs as it takes, then the next paper that is asked for.

    goes_on: whether the others are asked about behind it
    """

    leads_to = HOME + ("PrinterTrouble", "PrintSettlement", "AskPrint")
    trouble_money = "settle.print_kept"

    def __init__(self, kept: "Any" = None, what: str = TOTALS, place: int = 0, again: bool = False, goes_on: bool = True) -> None:
        super().__init__(None, place, again)
        self.kept = kept
        self.what = what
        self.goes_on = goes_on

    def copies(self) -> "tuple[str, ...]":
        from firmware import settlement_slip

        return (self.what,) * (settlement_slip.parts(self.terminal, self.kept) if self.what == DETAILS else 1)

    def job(self) -> "Job":
        from firmware import settlement_slip

        if self.what == DETAILS:
            return settlement_slip.details(self.terminal, self.kept, self.place, self.reprint)
        paper = settlement_slip.totals if self.what == TOTALS else settlement_slip.failures
        return paper(self.terminal, self.kept, self.reprint)

    def enter(self) -> "State | None":
        self.kept = self.kept or self.terminal.settlement.last()
        if self.kept is None or not self.terminal.has("printer"):
            return self.finish(0)
        self.run(put(self.job()))
        return None

    def screen(self) -> Screen:
        lines = ("settle.paper." + self.what, ("print.copy", self.place + 1, len(self.copies())))
        return Screen("settle.title", lines if self.kept is not None else ())

    def on_done(self, why: str) -> "State | None":
        if why:
            return PrinterTrouble(self, why)
        if self.place + 1 < len(self.copies()):
            return self.following()
        return self.finish(self.place + 1)

    def finish(self, copies: int) -> "State | None":
        if self.kept is None or not self.goes_on:
            return home(self.terminal)
        if self.what == TOTALS:
            try:
                self.terminal.settlement.printed(self.kept)
            except StoreError:
                self.terminal.log("settlement: that its slip is out cannot be written")
        return ask(self.terminal, self.kept, self.what) if copies else leave(self.terminal, self.kept)

    def same(self) -> "State | None":
        return PrintSettlement(self.kept, self.what, self.place, self.reprint, self.goes_on)

    def following(self) -> "State | None":
        return PrintSettlement(self.kept, self.what, self.place + 1, self.reprint, self.goes_on)

    def on_cancel(self) -> "State | None":
        return self.finish(self.place)


class AskPrint(State):
    """Whether the next paper is wanted."""

    leads_to = HOME + ("PrintSettlement", "AskPrint")
    deadline_ms = 30_000

    def __init__(self, kept: "Any" = None, what: str = DETAILS) -> None:
        self.kept = kept
        self.what = what

    def screen(self) -> Screen:
        return Screen("settle.title", ("settle.ask." + self.what,), keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        return PrintSettlement(self.kept, self.what)

    def on_cancel(self) -> "State | None":
        return leave(self.terminal, self.kept) if self.kept is None else ask(self.terminal, self.kept, self.what)


def ask(terminal: "Terminal", kept: "Kept", what: str) -> State:
    """The page that asks for the paper behind this one, or the way home."""
    from firmware import settlement_slip

    if what == TOTALS:
        return AskPrint(kept, DETAILS)
    if what == DETAILS and settlement_slip.has_failures(terminal, kept):
        return AskPrint(kept, FAILURES)
    return leave(terminal, kept)


def leave(terminal: "Terminal", kept: "Kept | None") -> State:
    """Home; where the settlement signs off, to the log-in page."""
    if kept is not None and not kept["closed"] and not kept["by_itself"] and terminal.parameter("settle.sign_off"):
        terminal.operator = ""
    return home(terminal)


# -- from the menu


def print_now(terminal: "Terminal", what: str) -> State:
    """Totals or details of the batch as it is."""
    if what == DETAILS and not terminal.ledger.in_batch():
        return Notice("print.title", ("settle.empty",))
    kept = terminal.settlement.snapshot(terminal.ledger, terminal.calendar_stamp(), terminal.operator)
    return PrintSettlement(kept, what, goes_on=False)


def print_last(terminal: "Terminal") -> State:
    """The slip of the last settlement once more, and its other papers if they are wanted."""
    kept = terminal.settlement.last()
    if kept is None:
        return Notice("print.title", ("settle.none",))
    return PrintSettlement(kept, TOTALS, 0, True)


def hinders(terminal: "Terminal") -> "State | None":
    """The settlement that stands before a transaction; None when none does: what the host has not heard of is given up."""
    terminal.settle_in_front()
    if terminal.settlement.running is None:
        return None
    terminal.settlement.forget()
    return Settle() if terminal.settlement.running is not None else None


def waiting(terminal: "Terminal") -> "State | None":
    """The result of a settlement that nobody has seen; None when there is none."""
    kept = terminal.settlement.to_print()
    return SettleDone(kept) if kept is not None else None
