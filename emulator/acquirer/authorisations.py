"""Pre-authorisations: money that is held on a card until it is completed, voided, or its time is over.

    preauth           holds an amount; its authorisation code (F38) is what everything later names it by, with card and merchant
    preauth-add       holds more, under the same code
    preauth-void      gives all of it back
    complete          takes up to `ceiling_percent` of what is held, and gives the hold back; complete-notice the same, told
                      afterwards: never refused for the money
    complete-void     takes a completion of this batch back; the hold is in force again

Codes: 25 no such hold, 12 it is voided or completed already, 22 its time was over, 61 over the ceiling, 64 another amount.

Source: reference/host.md §3; reference/products.md §1.2.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.acquirer.books import APPROVED, EXPIRED, REVERSED, Hold, Terminal, Transaction
from emulator.acquirer.corrections import Corrections
from emulator.acquirer.request import Outcome, Request
from firmware.iso8583 import codes, unionpay
from firmware.iso8583.codec import Iso8583Error

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

DAY_S = 86_400


class Authorisations:
    """The holds of one acquirer's banks."""

    def __init__(self, host: "Acquirer") -> None:
        self._host = host
        self._books = host.books
        self._cards = host.cards
        self._corrections = Corrections(host)

    def acts(self) -> "dict[str, Callable[[Request, Terminal], Outcome]]":
        """What it answers."""
        return {
            "preauth": self.preauth,
            "preauth-add": self.add,
            "preauth-void": self.void,
            "complete": self.complete,
            "complete-notice": self.complete_notice,
            "complete-void": self.complete_void,
        }

    def preauth(self, request: Request, terminal: Terminal) -> Outcome:
        code = self._cards.check(request, terminal) or self._short(request, request.amount_fen)
        if code:
            return Outcome(code)
        now = int(self._host.clock())
        lasts_s = self._host.hold_days * DAY_S
        if request.rule and request.rule.action == "expire":
            lasts_s = request.rule.argument
        date = self._host.date_of(now)
        hold = Hold(0, request.pan, terminal.merchant, "", date, request.amount_fen, now + lasts_s, APPROVED)
        return Outcome(codes.APPROVED, hold=hold)

    def add(self, request: Request, terminal: Terminal) -> Outcome:
        code, hold = self._hold(request, terminal)
        code = code or self._cards.check(request, terminal) or self._short(request, request.amount_fen)
        return Outcome(code) if code else self._on(hold)

    def void(self, request: Request, terminal: Terminal) -> Outcome:
        code, hold = self._hold(request, terminal)
        if not code and request.amount_fen not in (hold.amount_fen, self._made(hold).amount_fen):
            code = "64"
        if not code and (55 in request.fields or 52 in request.fields):
            code = self._cards.check(request, terminal)
        return Outcome(code) if code else self._on(hold)

    def complete(self, request: Request, terminal: Terminal) -> Outcome:
        code, hold = self._hold(request, terminal)
        code = code or self._over(request, hold) or self._cards.check(request, terminal)
        code = code or self._short(request, request.amount_fen - hold.amount_fen)
        return Outcome(code) if code else self._on(hold)

    def complete_notice(self, request: Request, terminal: Terminal) -> Outcome:
        code, hold = self._hold(request, terminal)
        code = code or self._over(request, hold)
        return Outcome(code) if code else self._on(hold)

    def complete_void(self, request: Request, terminal: Terminal) -> Outcome:
        outcome = self._corrections.undo_whole(request, terminal, ("complete",))
        if outcome.code != codes.APPROVED:
            return outcome
        hold = self._books.hold(outcome.original.original)
        assert hold is not None, "a completion without its hold"
        return outcome._replace(hold=hold, authorisation=hold.authorisation)

    def _on(self, hold):
        """Approved, about this hold."""
        return Outcome(codes.APPROVED, authorisation=hold.authorisation, original=self._made(hold), hold=hold)

    def _made(self, hold: Hold) -> Transaction:
        """The pre-authorisation of a hold."""
        made = self._books.by_id(hold.id)
        assert made is not None, "a hold without its pre-authorisation"
        return made

    def _short(self, request, amount_fen):
        return "51" if self._cards.available(request.pan) < amount_fen else ""

    def _over(self, request, hold):
        return "61" if request.amount_fen * 100 > hold.amount_fen * self._host.ceiling_percent else ""

    def _hold(self, request, terminal):
        """(code, hold): the hold in force that a request names, or why there is none."""
        try:
            named = unionpay.read_original(request.fields.get(61) or "0" * 16)
        except Iso8583Error:
            return "30", None
        if not request.pan:
            made = self._books.find(terminal.number, named.batch, named.trace, ("preauth",))
            request.pan = made.pan if made else ""
        self._books.expire(request.pan, int(self._host.clock()))
        hold = self._books.find_hold(request.pan, terminal.merchant, request.fields[38])
        if hold is None or hold.state == REVERSED or named.date.strip("0") and named.date != hold.date:
            return "25", None
        made = self._made(hold)
        told = ((named.batch, made.batch), (named.trace, made.trace))
        if any(word.strip("0") and word != own for word, own in told):
            return "25", None
        if hold.state != APPROVED:
            return "22" if hold.state == EXPIRED else "12", None
        return "", hold
