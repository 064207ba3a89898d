"""What the cards' banks decide: sale, balance, void and reversal, and whether the card, its cryptogram and its PIN are good.

The order of the checks is that of `core`. A code that refuses is found before any money is looked at.
"""

import hmac
from typing import TYPE_CHECKING

from emulator.acquirer.books import APPROVED, DECLINED, VOIDED, Terminal
from emulator.acquirer.keys import Engine, PinFormat
from emulator.acquirer.request import Outcome, Request
from firmware.emv import tlv
from firmware.iso8583 import codes, unionpay
from firmware.iso8583.codec import Iso8583Error

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

PIN_TRIES = 3
STATUS_CODES = {"lost": "41", "stolen": "43", "restricted": "62", "closed": "57"}


class Banks:
    """The banks behind one acquirer."""

    def __init__(self, host: "Acquirer", engine: Engine) -> None:
        self._host = host
        self._books = host.books
        self._engine = engine

    # What is asked

    def sale(self, request: Request, terminal: Terminal) -> Outcome:
        code = self._check_card(request, terminal)
        if not code and self._books.balance(request.pan) < request.amount_fen:
            code = "51"
        return Outcome(code or codes.APPROVED)

    def balance(self, request: Request, terminal: Terminal) -> Outcome:
        code = self._check_card(request, terminal)
        if code:
            return Outcome(code)
        return Outcome(codes.APPROVED, {54: unionpay.balance("10", "02", self._books.balance(request.pan))})

    def void(self, request: Request, terminal: Terminal) -> Outcome:
        try:
            original = unionpay.read_original(request.fields[61])
        except Iso8583Error:
            return Outcome("30")
        sale = self._books.find(terminal.number, original.batch, original.trace, ("sale",))
        if sale is None or sale.state == DECLINED:
            return Outcome("25")
        reference, authorisation = request.fields.get(37, ""), request.fields.get(38, "")
        if reference.strip("0 ") and reference != sale.reference or authorisation.strip() and authorisation != sale.authorisation:
            return Outcome("25")
        if sale.state != APPROVED:
            return Outcome("12")
        if sale.amount_fen != request.amount_fen:
            return Outcome("64")
        if request.pan and request.pan != sale.pan:
            return Outcome("14")
        request.pan = sale.pan
        if 55 in request.fields or 52 in request.fields:
            code = self._check_card(request, terminal)
            if code:
                return Outcome(code)
        return Outcome(codes.APPROVED, sale=sale)

    def reversal(self, request: Request, terminal: Terminal) -> Outcome:
        kind = "void" if request.private.kind == unionpay.VOID else "sale"
        key = (terminal.number, request.private.batch, request.trace)
        original = self._books.find(*key, (kind,))
        if original is None:
            self._books.refuse_later(*key)
            return Outcome("25")
        request.pan = original.pan
        if original.amount_fen != request.amount_fen:
            return Outcome("64")
        if original.state == VOIDED:
            return Outcome("12")
        if original.state == APPROVED:
            self._books.undo(original, int(self._host.clock()))
        return Outcome(codes.APPROVED, authorisation=original.authorisation, reference=original.reference)

    # Cards

    def pan(self, request: Request, terminal: "Terminal | None") -> str:
        """The card number of a request, from field 2 or from track 2; "" when there is none."""
        track = request.fields.get(35, "")
        if 2 in request.fields or not track:
            return request.fields.get(2, "")
        if request.fields.get(53, "")[2:3] == "1" and terminal and terminal.track_key:
            try:
                track = self._engine.clear_track(terminal.track_key, track)
            except ValueError:  # what is no hexadecimal was no track either
                return ""
        pan = track.split("D")[0]
        return pan if pan.isdigit() else ""

    def _check_card(self, request: Request, terminal: Terminal) -> str:
        """The code that the card's bank refuses with before it looks at the money, or ""."""
        card = self._books.card(request.pan)
        if card is None:
            return "14"
        if card["status"] in STATUS_CODES:
            return STATUS_CODES[card["status"]]
        expiry = request.fields.get(14, card["expiry"])
        if expiry != card["expiry"] or card["expiry"] < self._host.local("%y%m"):
            return "54"
        return self._check_chip(request, card) or self._check_pin(request, terminal, card)

    def _check_chip(self, request: Request, card: dict) -> str:
        chip = request.fields.get(55)
        if chip is None:
            # A card that was read by chip proves itself; a void may name its card without one.
            by_chip = unionpay.read_entry_mode(request.fields[22])[0] in ("chip", "contactless")
            return "59" if by_chip and request.kind != "void" else ""
        try:
            objects = dict(tlv.decode(chip))
        except tlv.TlvError:
            return "30"
        counter, amount = objects.get(0x9F36), objects.get(0x9F02)
        if not isinstance(counter, bytes) or len(counter) != 2:
            return "30"
        if request.kind == "sale" and amount != bytes.fromhex(request.fields[4]):
            return "59"
        if self._host.verify and not self._host.verify(card, chip):
            return "59"
        return "" if self._books.use_counter(request.pan, int.from_bytes(counter, "big")) else "59"

    def _check_pin(self, request: Request, terminal: Terminal, card: dict) -> str:
        block = request.fields.get(52)
        if block is None:
            return ""
        wrong = card["wrong_pins"]
        if wrong >= PIN_TRIES:
            return "75"
        try:
            pin = self._engine.pin(terminal.pin_key, block, request.pan)
        except PinFormat:
            return "99"
        if hmac.compare_digest(pin, card["pin"]):
            if wrong:
                self._books.count_wrong_pin(request.pan, 0)
            return ""
        self._books.count_wrong_pin(request.pan, wrong + 1)
        return "55"
