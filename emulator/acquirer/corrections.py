"""What changes something that is booked: void, refund, adjustment, tip, reversal.

    void       the original by batch and trace (F61), of this terminal and this batch, whole
    refund     the original by its reference number (F37), of this merchant, any day; in parts, up to what is left. Without a
               reference by batch and trace, when F61 has them; by the card alone never (25)
    adjust     an offline sale by batch and trace: a new total
    tip        an online sale by batch and trace: what it was, and a tip (F48)
    reversal   by its own batch and trace, whatever became of the card

Codes: 25 no such original, 12 it is undone or changed already, 64 the amount does not fit, 14 another card.

Source: reference/host.md §3, §6; reference/products.md §1.2.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.acquirer.books import (
    ADJUSTED,
    APPROVED,
    DECLINED,
    EXPIRED,
    MOVES,
    RAISED,
    REVERSED,
    Terminal,
    Transaction,
)
from emulator.acquirer.request import KINDS, Outcome, Request
from firmware.iso8583 import codes, unionpay
from firmware.iso8583.codec import Iso8583Error

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

VOIDABLE = ("sale", "moto", "instalment")
REFUNDABLE = (*VOIDABLE, "offline-sale", "adjust", "tip", "complete", "complete-notice")
CHANGES = ("adjust", "tip")


class Corrections:
    """Changes of what is in one acquirer's books."""

    def __init__(self, host: "Acquirer") -> None:
        self._host = host
        self._books = host.books
        self._cards = host.cards

    def acts(self) -> "dict[str, Callable[[Request, Terminal], Outcome]]":
        """What it answers."""
        return {
            "void": self.void,
            "refund": self.refund,
            "adjust": self.adjust,
            "tip": self.tip,
            "reversal": self.reversal,
        }

    def void(self, request: Request, terminal: Terminal) -> Outcome:
        return self.undo_whole(request, terminal, VOIDABLE)

    def undo_whole(self, request: Request, terminal: Terminal, kinds: "tuple[str, ...]") -> Outcome:
        """Undoes the original of these kinds that F61 names, with or without its card."""
        try:
            named = unionpay.read_original(request.fields[61])
        except Iso8583Error:
            return Outcome("30")
        original = self._books.find(terminal.number, named.batch, named.trace, kinds)
        if original is None or original.state == DECLINED or named.batch != request.private.batch:
            return Outcome("25")
        if not self._named(request, original):
            return Outcome("25")
        if original.state != APPROVED or self._books.followers(original.id, ("refund",)):
            return Outcome("12")
        if original.amount_fen != request.amount_fen:
            return Outcome("64")
        if request.pan and request.pan != original.pan:
            return Outcome("14")
        request.pan = original.pan
        if 55 in request.fields or 52 in request.fields:
            code = self._cards.check(request, terminal)
            if code:
                return Outcome(code)
        return Outcome(codes.APPROVED, original=original)

    def _named(self, request, original):
        """Whether reference and authorisation, where they are told, are the original's."""
        reference, authorisation = request.fields.get(37, ""), request.fields.get(38, "")
        if reference.strip("0 ") and reference != original.reference:
            return False
        return not authorisation.strip("0 ") or authorisation == original.authorisation

    def refund(self, request: Request, terminal: Terminal) -> Outcome:
        try:
            named = unionpay.read_original(request.fields[61])
        except Iso8583Error:
            return Outcome("30")
        reference = request.fields[37]
        if reference.strip("0 "):
            original = self._books.by_reference(terminal.merchant, reference)
        else:
            original = self._books.find(terminal.number, named.batch, named.trace, REFUNDABLE)
        if original is None or original.kind not in REFUNDABLE or original.state in (DECLINED, REVERSED):
            return Outcome("25")
        if not self._dated(original, named):
            return Outcome("25")
        if request.pan and request.pan != original.pan:
            return Outcome("14")
        current = self._current(original)
        if current.state != APPROVED:
            return Outcome("12")
        given = sum(one.amount_fen for one in self._books.followers(current.id, ("refund",)))
        if request.amount_fen > current.amount_fen - given:
            return Outcome("64")
        request.pan = original.pan
        return Outcome(codes.APPROVED, original=current)

    def _dated(self, original, named):
        """Whether what F61 tells of the original is so; zeros tell nothing."""
        told = ((named.batch, original.batch), (named.trace, original.trace), (named.date, self._host.date_of(original.at_s)))
        return all(not word.strip("0") or word == own for word, own in told)

    def _current(self, transaction: Transaction) -> Transaction:
        """The transaction, or what it was adjusted to."""
        while transaction.state == ADJUSTED:
            transaction = self._books.followers(transaction.id, CHANGES)[-1]
        return transaction

    def adjust(self, request: Request, terminal: Terminal) -> Outcome:
        return self._change(request, terminal, ("offline-sale", "adjust"))

    def tip(self, request: Request, terminal: Terminal) -> Outcome:
        return self._change(request, terminal, (*VOIDABLE, "tip"))

    def _change(self, request, terminal, kinds):
        try:
            named = unionpay.read_original(request.fields[61])
        except Iso8583Error:
            return Outcome("30")
        original = self._books.find(terminal.number, named.batch, named.trace, kinds)
        if original is None or original.state in (DECLINED, REVERSED) or not self._named(request, original):
            return Outcome("25")
        if request.pan and request.pan != original.pan:
            return Outcome("14")
        current = self._current(original)
        if current.state != APPROVED or self._books.followers(current.id, ("refund",)):
            return Outcome("12")
        tip = int(request.fields[48] or "0")
        if tip > request.amount_fen:
            return Outcome("13")
        # A tip leaves what was sold as it was; an adjustment may change both.
        if request.kind == "tip" and request.amount_fen - tip != current.amount_fen - current.tip_fen:
            return Outcome("64")
        request.pan = original.pan
        return Outcome(codes.APPROVED, original=current, tip_fen=tip, authorisation=original.authorisation)

    def reversal(self, request: Request, terminal: Terminal) -> Outcome:
        row = KINDS[request.undoes]
        key = (terminal.number, request.private.batch, request.trace)
        original = self._books.find(*key, (row.recorded or row.name,))
        if original is None:
            self._books.refuse_later(*key)
            return Outcome("25")
        request.pan = original.pan
        if request.amount_fen not in (original.asked_fen or original.amount_fen, original.amount_fen):
            return Outcome("64")
        if original.state not in (APPROVED, DECLINED, REVERSED, EXPIRED) or not self._alone(original):
            return Outcome("12")
        if original.state == APPROVED:
            self._books.undo(original, int(self._host.clock()))
        return Outcome(codes.APPROVED, authorisation=original.authorisation, reference=original.reference)

    def _alone(self, original):
        """Whether nothing was built on it since: no refund, no additional hold, and its own hold as it left it."""
        if original.state != APPROVED:
            return True
        hold = self._books.hold_of(original)
        if hold is not None:
            left = MOVES[original.kind].hold
            if hold.state != (APPROVED if left == RAISED else left):
                return False
        return not self._books.followers(original.id, ("refund", "preauth-add"))
