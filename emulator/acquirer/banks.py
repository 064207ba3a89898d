"""What the cards' banks decide: sale, balance, void, reversal and upload, and whether the card, its cryptogram and its PIN
are good.

The order of the checks is that of `core`. A code that refuses is found before any money is looked at.
"""

import hmac
from typing import TYPE_CHECKING

from emulator.acquirer import issuer
from emulator.acquirer.books import APPROVED, DECLINED, VOIDED, Terminal
from emulator.acquirer.keys import Engine, PinFormat
from emulator.acquirer.request import Outcome, Request
from emulator.cards import stripe_mode
from emulator.cards.cryptogram import TC
from firmware.emv import tlv
from firmware.iso8583 import codes, unionpay
from firmware.iso8583.codec import Iso8583Error

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

PIN_TRIES = 3
OFFLINE_CODES = (b"Y1", b"Y3")  # 8A of what card and terminal approved between themselves
CHIP_SERVICES = ("2", "6")  # first digit of the service code of a card with a chip
STRIPE_MODE = "91"  # F22
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

    def upload(self, request: Request, terminal: Terminal) -> Outcome:
        """A sale that the card approved by itself."""
        card = self._books.card(request.pan)
        if card is None:
            return Outcome("14")
        if card["status"] in STATUS_CODES:
            return Outcome(STATUS_CODES[card["status"]])
        try:
            objects = dict(tlv.primitives(tlv.decode(request.fields[55])))
        except tlv.TlvError:
            return Outcome("30")
        if objects.get(0x8A) not in OFFLINE_CODES:
            return Outcome("30")
        certificate = objects.get(0x9F27, b"\x00")[:1] == bytes((TC,)) or 0x9F27 not in objects
        if not certificate or objects.get(0x9F02) != bytes.fromhex(request.fields[4]):
            return Outcome("59")
        return Outcome(self._prove(request, card, objects) or codes.APPROVED)

    def offline(self, request: Request, terminal: Terminal) -> Outcome:
        """A sale that was approved without a chip and without the host: by telephone, say."""
        return Outcome("14" if self._books.card(request.pan) is None else codes.APPROVED)

    def notice(self, request: Request, terminal: Terminal) -> Outcome:
        """What became of scripts, or a chip that failed: noted."""
        results = issuer.script_results(request.fields.get(55, b""))
        original = request.fields.get(61, "")
        trace = original[6:12] if len(original) >= 12 else request.trace
        self._books.note(
            int(self._host.clock()), terminal.number, request.private.batch, trace, request.kind, request.pan, results
        )
        return Outcome(codes.APPROVED)

    # Cards

    def pan(self, request: Request, terminal: "Terminal | None") -> str:
        """The card number of a request, from field 2 or from track 2; "" when there is none."""
        if 2 in request.fields or 35 not in request.fields:
            return request.fields.get(2, "")
        pan = self._track(request, terminal).split("D")[0]
        return pan if pan.isdigit() else ""

    def _track(self, request, terminal):
        """Track 2 in clear, "" for none, and for one that was not enciphered as it says."""
        track = request.fields.get(35, "")
        if track and request.fields.get(53, "")[2:3] == "1" and terminal and terminal.track_key:
            try:
                track = self._engine.clear_track(terminal.track_key, track)
            except ValueError:  # what is no hexadecimal was no track either
                return ""
        return track.replace("=", "D")

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
        return self._check_chip(request, terminal, card) or self._check_pin(request, terminal, card)

    def _check_chip(self, request: Request, terminal: Terminal, card: dict) -> str:
        chip = request.fields.get(55)
        if chip is None:
            return self._check_stripe(request, terminal, card)
        try:
            objects = dict(tlv.decode(chip))
        except tlv.TlvError:
            return "30"
        if request.kind == "sale" and objects.get(0x9F02) != bytes.fromhex(request.fields[4]):
            return "59"
        return self._prove(request, card, objects)

    def _prove(self, request, card, objects):
        """59 for a cryptogram that is not the card's, or that was there before."""
        counter = objects.get(0x9F36)
        if not isinstance(counter, bytes) or len(counter) != 2:
            return "30"
        if self._host.verify and not self._host.verify(card, request.fields[55]):
            return "59"
        late = request.kind == "upload"  # the card may have been online since
        return "" if self._books.use_counter(request.pan, int.from_bytes(counter, "big"), late) else "59"

    def _check_stripe(self, request, terminal, card):
        """A card without chip data: swiped, keyed, in stripe mode, or named by a void."""
        # A card that was read by chip proves itself; a void may name its card without one.
        if unionpay.read_entry_mode(request.fields[22])[0] in ("chip", "contactless"):
            return "" if request.kind == "void" else "59"
        own = self._track(request, terminal).partition("D")[2]
        if not own:
            return ""
        if own[:4] != card["expiry"]:
            return "54"
        if request.fields[22][:2] == STRIPE_MODE:
            counter = stripe_mode.check(card, own)
            return "" if counter is not None and self._books.use_counter(request.pan, counter) else "59"
        if own[4:5] in CHIP_SERVICES and request.private.chip != unionpay.CHIP_FALLBACK:
            return "57"
        return ""

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
