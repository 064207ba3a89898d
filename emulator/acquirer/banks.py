"""What the cards' banks decide on a card that is there: sales, balance, and what is uploaded or told afterwards."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.acquirer import issuer
from emulator.acquirer.books import Terminal
from emulator.acquirer.request import Outcome, Request
from emulator.cards.cryptogram import TC
from firmware.emv import tlv
from firmware.iso8583 import codes, unionpay

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

PARTIAL = "10"
OFFLINE_CODES = (b"Y1", b"Y3")  # 8A of what card and terminal approved between themselves
PLAN_BYTES = 33  # F62 of an instalment sale: periods 2, project 30, mode 1


class Banks:
    """The banks behind one acquirer."""

    def __init__(self, host: "Acquirer") -> None:
        self._host = host
        self._books = host.books
        self._cards = host.cards

    def acts(self) -> "dict[str, Callable[[Request, Terminal], Outcome]]":
        """What it answers."""
        return {
            "sale": self.sale,
            "moto": self.moto,
            "instalment": self.instalment,
            "balance": self.balance,
            "upload": self.upload,
            "offline-sale": self.offline_sale,
            "script-result": self.notice,
            "failed-chip": self.notice,
        }

    def sale(self, request: Request, terminal: Terminal) -> Outcome:
        code = self._cards.check(request, terminal)
        if code:
            return Outcome(code)
        available, amount = self._cards.available(request.pan), request.amount_fen
        part = amount
        if request.rule and request.rule.action == "partial":
            part = min(amount, request.rule.argument)
        elif request.private.partial == "1" and 0 < available < amount:
            part = available
        if part > available:
            return Outcome("51")
        if part == amount:
            return Outcome(codes.APPROVED)
        return Outcome(PARTIAL, {4: unionpay.amount(part)}, amount_fen=part)

    def moto(self, request: Request, terminal: Terminal) -> Outcome:
        """An order by mail or telephone: a card number and its expiry, and nothing of the card itself."""
        if 35 in request.fields or unionpay.read_entry_mode(request.fields[22])[0] != "manual":
            return Outcome("30")
        return Outcome(self._cards.check(request, terminal) or self._short(request) or codes.APPROVED)

    def instalment(self, request: Request, terminal: Terminal) -> Outcome:
        plan = request.fields[62]
        if len(plan) != PLAN_BYTES or not plan[:2].isdigit() or plan[:2] in (b"00", b"01") or not plan[-1:].isdigit():
            return Outcome("30")
        code = self._cards.check(request, terminal) or self._short(request)
        if code:
            return Outcome(code)
        periods = int(plan[:2])
        each = request.amount_fen // periods
        first = request.amount_fen - each * (periods - 1)
        text = "共%d期，首期%d.%02d元，每期%d.%02d元" % (periods, *divmod(first, 100), *divmod(each, 100))
        return Outcome(codes.APPROVED, {62: text.encode("gb18030")})

    def _short(self, request):
        """51 when there is not enough on the account."""
        return "51" if self._cards.available(request.pan) < request.amount_fen else ""

    def balance(self, request: Request, terminal: Terminal) -> Outcome:
        code = self._cards.check(request, terminal)
        if code:
            return Outcome(code)
        return Outcome(codes.APPROVED, {54: unionpay.balance("10", "02", self._cards.available(request.pan))})

    def upload(self, request: Request, terminal: Terminal) -> Outcome:
        """A sale that the card approved by itself."""
        refused = self._cards.known(request.pan)
        if refused:
            return Outcome(refused)
        try:
            objects = dict(tlv.primitives(tlv.decode(request.fields[55])))
        except tlv.TlvError:
            return Outcome("30")
        if objects.get(0x8A) not in OFFLINE_CODES:
            return Outcome("30")
        certificate = objects.get(0x9F27, b"\x00")[:1] == bytes((TC,)) or 0x9F27 not in objects
        if not certificate or objects.get(0x9F02) != bytes.fromhex(request.fields[4]):
            return Outcome("59")
        card = self._books.card(request.pan)
        assert card is not None
        return Outcome(self._cards.prove(request, card, objects) or codes.APPROVED)

    def offline_sale(self, request: Request, terminal: Terminal) -> Outcome:
        """A sale that was approved by telephone: booked whatever is on the account."""
        tip = request.fields.get(48) or "0"
        if int(tip) > request.amount_fen:
            return Outcome("13")
        if self._books.card(request.pan) is None:
            return Outcome("14")
        return Outcome(codes.APPROVED, authorisation=request.fields[38], tip_fen=int(tip))

    def notice(self, request: Request, terminal: Terminal) -> Outcome:
        """What became of scripts, or a chip that failed: noted."""
        results = issuer.script_results(request.fields.get(55, b""))
        original = request.fields.get(61, "")
        trace = original[6:12] if len(original) >= 12 else request.trace
        self._books.note(
            int(self._host.clock()), terminal.number, request.private.batch, trace, request.kind, request.pan, results
        )
        return Outcome(codes.APPROVED)
