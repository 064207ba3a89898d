"""The original of what undoes, completes or changes another transaction: found, shown, its card number taken from the vault.

    of this batch    by its trace number: void, void of a completion, tip, adjustment
    of any day       by its reference number and date: refund
    held             by the bank's authorisation code and date: what follows a pre-authorisation

Confirm on nothing opens the list of those that can be had. An original that is in no record of this terminal (it was made at
another one, or long ago) can be named all the same where its number is typed in full: then the bank alone knows it.
"""

from firmware import calendar, originals
from firmware.events import VAULT_DONE
from firmware.host import messages
from firmware.money import yuan
from firmware.screens import Screen
from firmware.states.common import OK_CANCEL
from firmware.states.details import Typed
from firmware.states.query import records_page
from firmware.states.step import ENDS, Step
from firmware.tasks import Ask
from firmware.transactions import BY_NAME, CODE, MAIL_ORDER, ORIGINAL, REFERENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.draft import Draft
    from firmware.ledger import Record
    from firmware.machine import State
    from firmware.tasks import Work
    from firmware.terminal import Terminal

AFTER = ("EnterAmount", "EnterTip", "PresentCard", "EnterPin", "Authorise", "ConfirmAmount")  # steps behind an original


def take(terminal: "Terminal", draft: "Draft", record: "Record", card: "tuple[str, str]") -> None:
    """Makes a record the draft's original. card: its number and expiry, from the vault."""
    row = draft.row
    draft.original = record
    if row.holds in ("void", "adjusted"):
        draft.fen = record["fen"] + record.get("added_fen", 0)
        draft.fixed = row.holds == "void"
    elif row.holds in ("refund", "completed"):
        draft.most_fen = originals.left_fen(terminal, draft.row, record)
        draft.fen = record["fen"] + record.get("added_fen", 0) if row.holds == "completed" else draft.most_fen
    there = BY_NAME[record["kind"]].condition != MAIL_ORDER  # nobody brings the card of one
    if row.card and there and (not row.with_card or terminal.parameter(row.with_card)):
        draft.original_pan = card[0]
    else:
        draft.pan, draft.expiry = card


class _Find(Typed):
    """A number is typed that names an original. prompt, shown: its texts; least, most: how many digits it has."""

    prompt = "void.find"
    shown = "void.trace"
    least = 1

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return draft.original is None and not (draft.reference or draft.code)

    def screen(self) -> Screen:
        lines = (self.problem or self.prompt, (self.shown, ("", self.typed)), "void.list")
        return Screen(self.draft.row.title, lines, keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        if not self.typed:
            return PickOriginal()
        if len(self.typed) < self.least:
            self.refuse("original.whole")
            return None
        return self.find()

    def find(self) -> "State | None":
        """What the number names."""
        return None

    def show(self, record: "Record | None") -> "State | None":
        """The original in full, or why it cannot be had."""
        why = originals.problem(self.terminal, self.draft.row, record)
        if why:
            self.refuse(why)
            return None
        return ConfirmOriginal(record)


class FindOriginal(_Find):
    """The original by its trace number, of this batch."""

    step = ORIGINAL
    leads_to = ENDS + ("ConfirmOriginal", "PickOriginal")

    def find(self) -> "State | None":
        return self.show(self.terminal.ledger.by_trace("%06d" % int(self.typed)))


class TypeReference(_Find):
    """The original of a refund by its reference number."""

    step = REFERENCE
    leads_to = ENDS + ("ConfirmOriginal", "PickOriginal", "TypeDate")
    most = least = 12
    prompt = "original.reference"
    shown = "original.typed"

    def find(self) -> "State | None":
        ledger = self.terminal.ledger
        record = ledger.by_reference(self.typed)
        if record is not None:
            return self.show(record)
        if ledger.refunded(self.typed)[0]:
            self.refuse("refund.open")
            return None
        return TypeDate(REFERENCE, self.typed)


class TypeCode(_Find):
    """A pre-authorisation by the bank's authorisation code."""

    step = CODE
    leads_to = ENDS + ("ConfirmOriginal", "PickOriginal", "TypeDate")
    most = least = 6
    prompt = "original.code"
    shown = "original.typed"

    def find(self) -> "State | None":
        records = self.terminal.ledger.by_code(self.typed)
        if not records:
            return TypeDate(CODE, self.typed)
        good = [record for record in records if not originals.problem(self.terminal, self.draft.row, record)]
        return self.show(good[0] if good else records[0])


class TypeDate(_Find):
    """The day of an original that is in no record here: month and day. step: REFERENCE or CODE; number: what was typed."""

    leads_to = ENDS + AFTER
    most = least = 4
    prompt = "original.date"
    shown = "original.typed"

    def __init__(self, step: str = REFERENCE, number: str = "") -> None:
        super().__init__()
        self.step = step
        self.number = number

    def screen(self) -> Screen:
        lines = (self.problem or "original.elsewhere", self.prompt, (self.shown, ("", self.typed)))
        return Screen(self.draft.row.title, lines, keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        if len(self.typed) < self.least or not calendar.is_day(self.typed):
            self.refuse("original.no_day")
            return None
        draft = self.draft
        draft.of_date = self.typed
        if self.step == REFERENCE:
            draft.reference = self.number
        else:
            draft.code = self.number
        return self.terminal.after(self.step)


class PickOriginal(Step):
    """Those that can be had, newest first, as many as a page holds."""

    leads_to = ENDS + ("ConfirmOriginal", "FindOriginal", "TypeReference", "TypeCode")
    FROM = {"trace": FindOriginal, "reference": TypeReference, "code": TypeCode}

    def __init__(self) -> None:
        self.before = 0
        self.shown: list[Record] = []

    def enter(self) -> None:
        self._load()

    def _load(self) -> None:
        terminal, draft, ledger = self.terminal, self.draft, self.terminal.ledger
        found: list[Record] = []
        before = self.before
        while len(found) < 4:
            more = ledger.newest(20, before)
            if not more:
                break
            for record in more:
                if len(found) < 4 and not originals.problem(terminal, draft.row, record):
                    found.append(record)
            before = more[-1]["id"]
            if draft.row.finds == "trace" and more[-1]["batch"] != ledger.batch:
                break  # older batches hold nothing for it
        self.shown = found

    def screen(self) -> Screen:
        if not self.shown:
            return Screen(self.draft.row.title, ("original.none",), keys=OK_CANCEL)
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
        return self.FROM[self.draft.row.finds]()


class ConfirmOriginal(Step):
    """The original in full: number, card, amount. Its card number comes from the vault."""

    leads_to = ENDS + AFTER + ("Notice", "FindOriginal", "TypeReference", "TypeCode")

    def __init__(self, record: "Any" = None) -> None:
        self.record = record

    def screen(self) -> Screen:
        record = self.record
        lines = (("void.of", ("", record["trace"])), ("confirm.card", ("", record["pan"])))
        fen = self.terminal.ledger.stands(record)["fen"]
        return Screen(self.draft.row.name + ".confirm", lines, big=yuan(fen), keys=OK_CANCEL)

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
            lines = ("void.no_number", terminal.money("money.not_taken"))
            return terminal.make_state("Notice", self.draft.row.title, lines, "alert")
        take(terminal, self.draft, self.record, card)
        return terminal.after({"trace": ORIGINAL, "reference": REFERENCE, "code": CODE}[self.draft.row.finds])

    def on_cancel(self) -> "State | None":
        self.draft.original = self.record  # so that the page says what stands
        return super().on_cancel()

    def on_back(self) -> "State | None":
        return PickOriginal.FROM[self.draft.row.finds]()
