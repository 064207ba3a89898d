"""Enquiry: the list of transactions, one of them, the totals. Reprint by the same pages."""

from firmware.machine import State
from firmware.money import yuan
from firmware.screens import Screen
from firmware.slip import standing
from firmware.states.common import HOME, OK, OK_CANCEL, Digits, Notice, Page, home
from firmware.states.printing import PrintSlip, PrintTrouble
from firmware.transactions import BY_NAME, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.ledger import Record
    from firmware.screens import Wording
    from firmware.terminal import Terminal

PAGE = 4


def mark(record: "Record") -> str:
    """The key of the sign for what became of it, "" for a plain approval."""
    if "refused" in record:
        return "mark.refused"
    if record["phase"] == "approved":
        return "mark.voided" if record.get("void") else "mark.adjusted" if record.get("adjusted") else ""
    return {"declined": "mark.declined", "reversed": "mark.reversed"}.get(record["phase"], "mark.unknown")


def records_page(records: "list[Record]") -> "list[tuple[str, Wording]]":
    """Menu rows: number to press, trace number and amount."""
    rows: list[tuple[str, Wording]] = []
    for place, record in enumerate(records):
        sign = "-" if BY_NAME[record["kind"]].sign < 0 else ""
        amount = ("", "%s %s%s" % (record["trace"], sign, yuan(record["fen"])))
        rows.append((str(place + 1), ("query.row", amount, mark(record))))
    return rows


class Transactions(State):
    """Newest first, four a page; a digit opens one."""

    leads_to = HOME + ("TransactionPage",)

    def __init__(self, reprint: bool = False) -> None:
        self.reprint = reprint
        self.pages = [0]
        self.shown: list[Record] = []

    def enter(self) -> None:
        self.shown = self.terminal.ledger.newest(PAGE, self.pages[-1])

    def screen(self) -> Screen:
        if not self.shown:
            return Screen("query.list", ("query.none",), keys=OK_CANCEL)
        return Screen("query.list", menu=records_page(self.shown))

    def on_down(self) -> None:
        if len(self.shown) < PAGE:
            return None
        self.pages.append(self.shown[-1]["id"])
        self.enter()
        if not self.shown:
            self.pages = [0]
            self.enter()
        return None

    def on_back(self) -> None:
        if len(self.pages) > 1:
            self.pages.pop()
            self.enter()

    def on_digit(self, digit: int) -> "State | None":
        if 1 <= digit <= len(self.shown):
            return TransactionPage(self.shown[digit - 1], self.reprint)
        return None

    def on_confirm(self) -> "State | None":
        return home(self.terminal)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class TransactionPage(Page):
    """One transaction in full, on two pages."""

    leads_to = HOME + ("PrintSlip", "PrintTrouble", "TransactionPage")

    def __init__(self, record: "Any" = None, reprint: bool = False, second: bool = False) -> None:
        self.record = record
        self.reprint = reprint
        self.second = second

    def screen(self) -> Screen:
        record = self.record
        state = "phase." + standing(record)
        if not self.second:
            amount = ("query.amount", record["kind"] + ".title", ("", yuan(record["fen"])))
            lines: tuple[Wording, ...] = (amount, ("confirm.card", ("", record["pan"])), ("query.state", state))
        else:
            at = record["at"]
            lines = (
                ("query.at", ("", "%s-%s %s:%s" % (at[4:6], at[6:8], at[8:10], at[10:12]))),
                ("query.reference", ("", record.get("reference") or "-")),
                ("query.authorisation", ("", record.get("authorisation") or "-")),
            )
        return Screen(("query.one", ("", record["trace"])), lines, keys=("key.back", "key.print") if self._printable() else OK)

    def on_down(self) -> "State | None":
        return TransactionPage(self.record, self.reprint, not self.second)

    def _printable(self) -> bool:
        return self.record["phase"] in ("approved", "reversing", "repeating") and self.terminal.has("printer")

    def on_confirm(self) -> "State | None":
        if not self._printable():
            return home(self.terminal)
        # Read anew: a reversal may have ended since the page was opened.
        self.record = self.terminal.ledger.get(self.record["id"])
        if not self._printable():
            return TransactionPage(self.record)
        return PrintSlip(self.record, again=True) if self.record["phase"] == "approved" else PrintTrouble(self.record)


class FindTransaction(Digits):
    """One transaction by its trace number."""

    leads_to = HOME + ("TransactionPage",)

    def __init__(self) -> None:
        super().__init__()
        self.problem = ""

    def screen(self) -> Screen:
        return Screen("query.find", (self.problem or "query.trace_prompt", ("void.trace", ("", self.typed))), keys=OK_CANCEL)

    def on_digit(self, digit: int) -> None:
        self.problem = ""
        super().on_digit(digit)

    def on_confirm(self) -> "State | None":
        if not self.typed:
            return None
        record = self.terminal.ledger.by_trace("%06d" % int(self.typed))
        if record is None:
            self.problem = "void.not_found"
            self.typed = ""
            self.terminal.sound("error")
            return None
        return TransactionPage(record)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class Totals(Page):
    """What the batch comes to, then count and sum of each kind that moves money; confirm turns the page."""

    leads_to = HOME + ("Totals",)

    def __init__(self, place: int = 0) -> None:
        self.place = place

    def rows(self) -> "list[tuple[Wording, int]]":
        """(line, fen) a page."""
        totals = self.terminal.ledger.totals()
        net = 0
        found: list[tuple[Wording, int]] = []
        for row in TABLE:
            if row.sign and (row.name in totals or not row.module):
                count, fen = totals.get(row.name, (0, 0))
                net += row.sign * fen
                found.append((("totals.line", row.title, count), fen))
        found.insert(0, ("totals.net", net))
        return found

    def screen(self) -> Screen:
        rows = self.rows()
        line, fen = rows[self.place]
        return Screen(("totals.title", self.place + 1, len(rows)), (line,), big=yuan(fen), keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        return Totals((self.place + 1) % len(self.rows()))

    def on_down(self) -> "State | None":
        return self.on_confirm()


def reprint_last(terminal: "Terminal") -> State:
    """The slip of the newest approved transaction once more, or the page that says there is none."""
    before = 0
    while True:
        records = terminal.ledger.newest(20, before)
        if not records:
            return Notice("print.title", ("query.none",))
        for record in records:
            if record["phase"] == "approved":
                return PrintSlip(record, again=True)
        before = records[-1]["id"]
