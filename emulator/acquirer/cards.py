"""Whether a card is good: known, not reported, not expired, its chip or its stripe its own, its PIN right.

The order of the checks is that of `core`. A code that refuses is found before any money is looked at.
"""

import hmac
from typing import TYPE_CHECKING

from drivers.libcrypto import CryptoError
from emulator.acquirer.books import Terminal
from emulator.acquirer.keys import PinFormat
from emulator.acquirer.request import Request
from emulator.cards import stripe_mode
from firmware.emv import tlv
from firmware.iso8583 import unionpay

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

PIN_TRIES = 3
CHIP_SERVICES = ("2", "6")  # first digit of the service code of a card with a chip
STRIPE_MODE = "91"  # F22
STATUS_CODES = {"lost": "41", "stolen": "43", "restricted": "62", "closed": "57"}
# Kinds whose chip must prove itself, and for which amount; the others may name their card without it.
PROVEN = ("sale", "balance", "preauth", "preauth-add", "instalment")
OF_AMOUNT = ("sale", "preauth", "preauth-add", "instalment")
SM4_PIN = b"SM016"  # in front of a PIN block of 16 bytes in field 63
CODE_PIN = b"A1016"  # the same in field 59


class Cards:
    """The cards of one acquirer's banks."""

    def __init__(self, host: "Acquirer") -> None:
        self._host = host
        self._books = host.books
        self._engine = host.engine

    def pan(self, request: Request, terminal: "Terminal | None") -> str:
        """The card number of a request, from field 2 or from track 2; "" when there is none."""
        if 2 in request.fields or 35 not in request.fields:
            return request.fields.get(2, "")
        pan = self._track(request).split("D")[0]
        return pan if pan.isdigit() else ""

    def available(self, pan: str) -> int:
        """What a card can spend now, in fen."""
        self._books.expire(pan, int(self._host.clock()))
        return self._books.balance(pan)

    def known(self, pan: str) -> str:
        """The code that a card is refused with because of what its bank knows of it, or ""."""
        card = self._books.card(pan)
        return "14" if card is None else STATUS_CODES.get(card["status"], "")

    def check(self, request: Request, terminal: Terminal) -> str:
        """The code that the card's bank refuses with before it looks at the money, or ""."""
        refused = self.known(request.pan)
        if refused:
            return refused
        card = self._books.card(request.pan)
        assert card is not None
        expiry = request.fields.get(14, card["expiry"])
        if expiry != card["expiry"] or card["expiry"] < self._host.local("%y%m"):
            return "54"
        return self._check_chip(request, card) or self._check_pin(request, terminal, card)

    def prove(self, request: Request, card: dict, objects: dict) -> str:
        """59 for a cryptogram that is not the card's, or that was there before."""
        counter = objects.get(0x9F36)
        if not isinstance(counter, bytes) or len(counter) != 2:
            return "30"
        if self._host.verify and not self._host.verify(card, request.fields[55]):
            return "59"
        late = request.kind == "upload"  # the card may have been online since
        return "" if self._books.use_counter(request.pan, int.from_bytes(counter, "big"), late) else "59"

    def _track(self, request):
        """Track 2 in clear, "" for none, and for one that was not enciphered as it says."""
        track = request.fields.get(35, "")
        if track and request.fields.get(53, "")[2:3] == "1" and request.keys and request.keys.track:
            try:
                track = self._engine.clear_track(request.keys.track.value, track)
            except (ValueError, CryptoError):  # what is no hexadecimal was no track either
                return ""
        return track.replace("=", "D")

    def _check_chip(self, request, card):
        chip = request.fields.get(55)
        if chip is None:
            return self._check_stripe(request, card)
        if request.mti == "0220":
            return ""  # the chip was asked, if at all, for something else
        try:
            objects = dict(tlv.decode(chip))
        except tlv.TlvError:
            return "30"
        if request.kind in OF_AMOUNT and objects.get(0x9F02) != bytes.fromhex(request.fields[4]):
            return "59"
        return self.prove(request, card, objects)

    def _check_stripe(self, request, card):
        """A card without chip data: swiped, keyed, in stripe mode, or named by what undoes or completes."""
        if unionpay.read_entry_mode(request.fields[22])[0] in ("chip", "contactless"):
            return "59" if request.kind in PROVEN else ""
        own = self._track(request).partition("D")[2]
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

    def _check_pin(self, request, terminal, card):
        block = self._pin_block(request)
        if block is None:
            return ""
        wrong = card["wrong_pins"]
        if wrong >= PIN_TRIES:
            return "75"
        key = request.keys.pin
        if key is None:
            return "99"
        with_pan = request.fields.get(53, "2")[:1] != "1"
        try:
            pin = self._engine.pin(key.value, block, request.pan, terminal.profile.pin_form, key.cipher, with_pan)
        except PinFormat:
            return "99"
        if hmac.compare_digest(pin, card["pin"]):
            if wrong:
                self._books.count_wrong_pin(request.pan, 0)
            return ""
        self._books.count_wrong_pin(request.pan, wrong + 1)
        return "55"

    def _pin_block(self, request):
        """The PIN block, from field 52, or from 63 or 59 where field 52 is too short for it; None without."""
        block = request.fields.get(52)
        if block is None or any(block):
            return block
        for field, head in ((63, SM4_PIN), (59, CODE_PIN)):
            data = request.fields.get(field, b"")
            if isinstance(data, bytes) and head in data:
                return data.partition(head)[2][:16]
        return block
