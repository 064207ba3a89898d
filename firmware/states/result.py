"""What a transaction came to. Each page answers: what happened, was money taken, what to do now."""

from firmware.iso8583 import codes, unionpay
from firmware.iso8583.codec import Iso8583Error
from firmware.money import yuan
from firmware.screens import Screen
from firmware.states.common import HOME, OK, OK_CANCEL, Page, home
from firmware.states.printing import PrintTrouble
from firmware.states.step import Step
from firmware.transactions import SHOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.host.authorise import Result
    from firmware.machine import State
    from firmware.screens import Wording

WRONG_PIN = "55"


class ResultPage(Page):
    """What the host, or the way there, made of a transaction. result: None stands for an empty page."""

    deadline_ms = 60_000

    def __init__(self, result: "Result | None" = None) -> None:
        self.result = result


class Declined(ResultPage):
    """The bank said no, in words. A wrong PIN offers the same amount anew: new tap, new trace number."""

    leads_to = HOME + ("PresentCard", "ConfirmAmount", "EnterPin", "Authorise")

    def _again(self) -> bool:
        draft = self.terminal.draft
        if self.result is None or draft is None or self.result.code != WRONG_PIN:
            return False
        return draft.tries < self.terminal.parameter("pin.tries")

    def screen(self) -> Screen:
        code = codes.look_up(self.result.code if self.result is not None else "")
        language = 0 if self.terminal.language == "zh" else 1
        do = "declined.again" if self._again() else ("", codes.ACTIONS[code.action][language])
        lines = (("", (code.zh, code.en)[language]), self.terminal.money("money.not_taken"), do)
        return Screen(("declined.title", ("", code.code)), lines, keys=OK_CANCEL if self._again() else OK, style="alert")

    def on_confirm(self) -> "State | None":
        if not self._again():
            return home(self.terminal)
        return self.terminal.once_more(1)


class NotSent(ResultPage):
    """Nothing left the terminal, or nothing that could move money: why, and that it may be done again."""

    WORDS = {
        "refused": "why.host", "unreachable": "why.network", "timeout": "why.timeout", "name": "why.name", "tls": "why.tls",
        "tls-unknown": "why.tls-unknown", "tls-name": "why.tls-name", "tls-expired": "why.tls-expired",
        "no-network": "why.no-network",
        "closed": "why.closed", "broken": "why.closed", "store": "why.store", "no-key": "why.keys",
        "load": "why.load", "rekeyed": "why.rekeyed",
        "owed": "why.owed", "original": "why.original",
        "settling": "why.settling", "garbled": "why.garbled", "mac": "why.mac", "mismatch": "why.garbled",
    }  # fmt: skip
    # What does not mend itself: who does it, as the network doctor says.
    DO = {
        "store": "do.store", "load": "doctor.do.code", "no-network": "doctor.do.no-network", "name": "doctor.do.name",
        "unreachable": "doctor.do.unreachable", "tls": "doctor.do.tls", "tls-unknown": "doctor.do.tls-unknown",
        "tls-name": "doctor.do.tls-name", "tls-expired": "doctor.do.tls-expired",
    }  # fmt: skip

    def __init__(self, result: "Result | str | None" = None) -> None:
        self.why = result if isinstance(result, str) else result.why if result is not None else ""

    def screen(self) -> Screen:
        if self.why.startswith("code "):
            what: Wording = ("why.code", ("", self.why[5:]))
        else:
            what = self.WORDS.get(self.why, "why.network")
        if self.why == "original":
            return Screen("not_sent.title", (what, "cancelled.what", "do.query"), keys=OK, style="alert")
        do = self.DO.get(self.why, "do.again")
        return Screen("not_sent.title", (what, self.terminal.money("money.not_taken"), do), keys=OK, style="alert")


class Reversed(ResultPage):
    """No answer came, or the card had the last word and refused; the host has undone it since: no sale was made, or the one to
    be voided stands."""

    WORDS = {"card": "reversed.card", "pulled": "reversed.pulled"}

    def screen(self) -> Screen:
        money = self.terminal.money("money.returned")
        what = self.WORDS.get(self.result.why if self.result is not None else "", "reversed.what")
        return Screen("reversed.title", (what, money, "do.again"), keys=OK, style="alert")


class Unresolved(ResultPage):
    """No answer, and no answer to the reversal: unknown is never shown as failed."""

    WORDS = {"card": "unresolved.card", "store": "why.store"}

    leads_to = HOME + ("PrintTrouble",)

    def screen(self) -> Screen:
        money = self.terminal.money("money.unknown")
        what = self.WORDS.get(self.result.why if self.result is not None else "", "unresolved.what")
        return Screen("unresolved.title", (what, money, "unresolved.do"), keys=OK, style="alert")

    def on_deadline(self) -> "State | None":
        return self.on_confirm()  # the report is printed though nobody asked for it

    def on_confirm(self) -> "State | None":
        record = self.terminal.open_draft.record
        if record is not None and self.terminal.has("printer"):
            return PrintTrouble(record)
        return home(self.terminal)


class Repeating(ResultPage):
    """No answer to what cannot be undone: it is sent again behind the pages until the bank has answered."""

    leads_to = HOME + ("PrintTrouble",)

    def screen(self) -> Screen:
        lines = ("unresolved.what", self.terminal.money("money.unknown"), "repeating.do")
        return Screen("unresolved.title", lines, keys=OK, style="alert")

    def on_deadline(self) -> "State | None":
        return self.on_confirm()

    def on_confirm(self) -> "State | None":
        record = self.terminal.open_draft.record
        if record is not None and self.terminal.has("printer"):
            return PrintTrouble(record)
        return home(self.terminal)


class AskRest(Page):
    """The bank has approved less than was asked for: the rest is asked for otherwise. rest_fen: how much that is."""

    leads_to = HOME + ("PresentCard", "TypeNumber", "Blocked", "BatchFull", "ReaderMissing", "Settle")
    deadline_ms = 120_000

    def __init__(self, rest_fen: int = 0) -> None:
        self.rest_fen = rest_fen

    def enter(self) -> None:
        self.terminal.sound("alert")

    def screen(self) -> Screen:
        return Screen("rest.title", ("rest.what", "rest.do"), big=yuan(self.rest_fen), keys=OK_CANCEL, style="alert")

    def on_confirm(self) -> "State | None":
        return self.terminal.rest(self.rest_fen)


class BatchFull(Page):
    """The batch holds as many transactions as `batch.limit` allows: it is settled first."""

    leads_to = HOME + ("AskSettle",)

    def screen(self) -> Screen:
        return Screen("batch.title", ("batch.full", "money.not_taken", "batch.do"), keys=OK_CANCEL, style="alert")

    def on_confirm(self) -> "State | None":
        return self.terminal.make_state("AskSettle")


class OfflineFull(Page):
    """So much is owed to the bank that nothing more is stored before it has heard of some."""

    def screen(self) -> Screen:
        return Screen("batch.title", ("offline.full", "money.not_taken", "offline.do"), keys=OK, style="alert")


class ReaderMissing(Page):
    """There is no reader now, and this kind of transaction wants a card."""

    def screen(self) -> Screen:
        return Screen("card.trouble.title", ("card.trouble.reader", "money.not_taken", "card.do.reader"), keys=OK, style="alert")


class ShowBalance(Step):
    """The balance on the screen, never on paper."""

    step = SHOW
    leads_to = HOME
    deadline_ms = 20_000

    def screen(self) -> Screen:
        draft = self.terminal.draft
        text = ""
        if draft is not None and draft.result is not None and draft.result.fields is not None:
            try:
                text = yuan(unionpay.read_balances(draft.result.fields.get(54, ""))[-1].fen)
            except Iso8583Error:
                text = "--"
        return Screen("balance.title", (("confirm.card", ("", draft.masked if draft else "")),), big=text, keys=OK)

    def on_confirm(self) -> "State | None":
        return home(self.terminal)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)
