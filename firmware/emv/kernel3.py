"""Kernel 3: a Visa card by contactless (qVSDC).

    options      the PDOL's values, 9F66 among them; the card has its cryptogram ready in the answer
    records      those of the file locator, where there is one
    cryptogram   9F27, or else bits 30 of the fifth byte of 9F10: AAC declined, ARQC online, TC approved offline - unless
                 9F66 asked for an online cryptogram
    limits       what the card may be used for; the expiry and the exception file only for a TC
    proof        fDDA, for a TC that is to be approved here; for any other where 9F66 1:01 is set
    holder       what card (9F6C) and terminal (9F66) agree on
    outcome      declined before online before approved

    9F6C        what it lets the terminal do instead of declining
    1:20        no proof: online                                       not by a terminal that is offline only
    1:10        no proof: by the chip's contacts                       where 9F66 1:10 says there are some
    1:08        expired: online                                        not by a terminal that is offline only
    1:04 1:02   no cash, no cashback: over another interface

    the holder is verified                   when
    by a PIN, online                         9F6C 1:80 and 9F66 1:04
    on his device                            9F6C 2:80: the copy of 9F6C in 9F69 says the same, or without 9F69 it is an ARQC
    by a signature                           9F6C 1:40 and 9F66 1:02
    by what the terminal takes first         9F66 2:40 and no 9F6C: a signature, else a PIN
    as the row says (`cvm_default`)          9F66 2:40 and none of these; the book's own rule is to decline
    not at all                               else

TVR stays as the card was told it, because the cryptogram covers it.

Where card (9F6C 2:40) and terminal (9F66 3:80) can update the card, an ONLINE outcome starts again at B. With the issuer's
answer the kernel then only carries it to the card: EXTERNAL AUTHENTICATE, scripts 71 and 72. The issuer has decided already;
nothing that the card does now changes that.

Not certain, for want of the book: that a usage control or a country that is absent forbids cash; that a failed proof of an
ARQC goes by the same bits of 9F6C as that of a TC; that the issuer's proof is shown whatever the profile says. Proof by
static data (for gates) is not done: it fails.

Sources: EMV Book C-3, 4 and 5, as far as public kernels and reference texts tell; reference/emv.md b.
"""

from firmware.emv import apdu, ask, card, entry, issuer, oda, restrictions, tapped
from firmware.emv import outcome as result
from firmware.emv.data import ISSUER_AUTHENTICATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Flow, Step
    from firmware.emv.data import Data
    from firmware.emv.entry import Restart, Selected
    from firmware.emv.settings import Request, Settings

IDENTIFIER = b"\x03"

AAC, TC, ARQC = 0x00, 0x40, 0x80

# SW of GET PROCESSING OPTIONS: why
GPO_REFUSALS = {0x6984: "not-contactless", 0x6985: "gpo-refused", 0x6986: "see-phone"}

# 9F66
OFFLINE_ONLY, CONTACTS, PIN, SIGNATURE, PROOF_ONLINE = 0x08, 0x10, 0x04, 0x02, 0x01  # byte 1
CRYPTOGRAM_REQUIRED, HOLDER_REQUIRED = 0x80, 0x40  # byte 2
UPDATE = 0x80  # byte 3
# 9F6C
WANTS_PIN, WANTS_SIGNATURE, UNPROVEN_ONLINE, UNPROVEN_ELSEWHERE, EXPIRED_ONLINE, CASH_ELSEWHERE, CASHBACK_ELSEWHERE = (
    0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02,
)  # fmt: skip
ON_DEVICE, CAN_UPDATE = 0x80, 0x40  # byte 2

SIGNS = 0x20  # AIP byte 1: DDA
FORM_FACTOR, TECHNOLOGY = 0x9F6E, 0x0F  # its byte 4: how the device is connected; 0 is this way, whatever the card says
BALANCE = 0x9F5D

# tag, shortest and longest value: what must be there
MANDATORY = ((0x82, 2, 2), (0x9F26, 8, 8), (0x9F36, 2, 2), (0x9F10, 5, 32), (0x57, 1, 19))
OPTIONAL = ((0x9F27, 1, 1), (0x9F6C, 2, 2), (0x5F34, 1, 1))


def run(settings: "Settings", request: "Request", selected: "Selected", restart: "Restart | None" = None) -> "Flow":
    """From the selected application to the outcome. Asks `ask.OnException`.

    Ends the tap (`card.Ended`) or raises TlvError, DolError, Track2Error.
    """
    data = entry.activate(settings, request, selected)
    reply = None if restart is None or not restart.issuer_data else restart.reply
    if reply is not None:
        return (yield from _update(data, selected, reply))
    if selected.pdol is None or not any([tag == 0x9F66 for tag, _ in selected.pdol]):
        raise card.Ended("no-pdol")
    said = yield from tapped.options(data, selected.pdol, GPO_REFUSALS, "refused")
    yield from tapped.read(data, said, said.get(0x94, b""))
    _check(data.said)
    return (yield from Tap(data, selected).decide())


def _check(said: "dict[int, bytes]") -> None:
    """What must be there is, and has its size."""
    for tag, shortest, longest in MANDATORY:
        if tag not in said:
            raise card.Ended("missing")
        if not shortest <= len(said[tag]) <= longest:
            raise card.Ended("malformed")
    for tag, shortest, longest in OPTIONAL:
        if tag in said and not shortest <= len(said[tag]) <= longest:
            raise card.Ended("malformed")
    device = said.get(FORM_FACTOR, b"")
    if len(device) == 4:
        said[FORM_FACTOR] = device[:3] + bytes((device[3] & ~TECHNOLOGY & 0xFF,))


def cryptogram(said: "dict[int, bytes]") -> int:
    """AAC, TC or ARQC; 9F27 is there afterwards. Ends with "malformed"."""
    if 0x9F27 in said:
        kind = said[0x9F27][0] & 0xC0
    else:
        kind = (said[0x9F10][4] & 0x30) << 2
        said[0x9F27] = bytes((kind,))
    if kind not in (AAC, TC, ARQC):
        raise card.Ended("malformed")
    return kind


class Tap:
    """What one card has said, and what the terminal makes of it."""

    def __init__(self, data: "Data", selected: "Selected") -> None:
        self.data = data
        self.selected = selected
        self.offer = data.told.get(0x9F66, bytes(4))
        self.wish = data.said.get(0x9F6C, bytes(2))
        self.kind = cryptogram(data.said)
        self.online = self.kind == ARQC or (self.kind == TC and bool(self.offer[1] & CRYPTOGRAM_REQUIRED))

    def decide(self) -> "Flow":
        """The outcome."""
        why = "aac" if self.kind == AAC else ""
        why = why or (yield from self._restrictions()) or self._proof()
        method = result.NO_CVM
        if not why:
            method = self._holder()
            if method == "decline":
                why = "no-method"
            elif method == result.ONLINE_PIN:
                self.online = True
        if not why and self.online and self._offline_only():
            why = "offline-only"
        if not why:
            why = "approved" if not self.online else "tc" if self.kind == TC else "arqc"
        return self._outcome(why, method)

    def _offline_only(self) -> bool:
        return bool(self.offer[0] & OFFLINE_ONLY)

    def _restrictions(self) -> "Step":
        """Why the card may not be used, "" when it may."""
        data = self.data
        if self.kind == TC:
            if restrictions.expired(data.said.get(0x5F24), data.told.get(0x9A)):
                if not self.wish[0] & EXPIRED_ONLINE or self._offline_only():
                    return "expired"
                self.online = True
            if data.settings.switch("exceptions"):
                who = tapped.outcome(data, self.selected, "aac")
                if (yield ask.OnException(who.pan, who.sequence)):
                    return "listed"
        if restrictions.is_cash(data) and not _allows(data, 0, restrictions.FOR_CASH):
            return "no-cash" if self.wish[0] & CASH_ELSEWHERE else "not-allowed"
        if restrictions.has_cashback(data) and not _allows(data, 1, restrictions.FOR_CASHBACK):
            return "no-cash" if self.wish[0] & CASHBACK_ELSEWHERE else "not-allowed"
        return ""

    def _proof(self) -> str:
        """Why a card that should prove itself and does not is not taken, "" when it is."""
        if self.online and not self.offer[0] & PROOF_ONLINE:
            return ""
        if self.data.profile(1, SIGNS) and oda.fast(self.data, allow_old=True):
            return ""
        if self.wish[0] & UNPROVEN_ONLINE and not self._offline_only():
            self.online = True
            return ""
        return "not-authenticated" if self.wish[0] & UNPROVEN_ELSEWHERE and self.offer[0] & CONTACTS else "unproven"

    def _holder(self) -> str:
        """How the holder is verified: a name of `outcome.METHODS`, or "decline"."""
        said = self.data.said
        required = bool(self.offer[1] & HOLDER_REQUIRED)
        if required and 0x9F6C not in said:
            if self.offer[0] & SIGNATURE:
                return result.SIGNATURE
            return result.ONLINE_PIN if self.offer[0] & PIN else "decline"
        if self.wish[0] & WANTS_PIN and self.offer[0] & PIN:
            return result.ONLINE_PIN
        if self.wish[1] & ON_DEVICE:
            related = said.get(0x9F69)
            holds = self.kind == ARQC if related is None else related[5:7] == self.wish
            return result.CDCVM if holds else "decline"
        if self.wish[0] & WANTS_SIGNATURE and self.offer[0] & SIGNATURE:
            return result.SIGNATURE
        if required:
            return self.data.application.cvm_default
        return result.NO_CVM

    def _outcome(self, why: str, method: str) -> result.Outcome:
        data = self.data
        it = tapped.outcome(data, self.selected, why)
        if it.status not in (result.ONLINE, result.APPROVED):
            method = result.NO_CVM
        it.cvm, it.signature = method, method == result.SIGNATURE
        data.cvm_results = tapped.CVM_RESULTS[method]
        tapped.respond(data, it, {result.APPROVED: "Y1", result.DECLINED: "Z1"}.get(it.status, ""))
        if it.status == result.TRY_ANOTHER_INTERFACE and why == "not-authenticated":
            it.interface = "contact"
        if method == result.ONLINE_PIN and it.status == result.ONLINE:
            it.message = "enter-pin"
        elif it.signature and it.status == result.APPROVED:
            it.message = "approved-sign"
        entry.say(it)
        if it.ui is not None and it.status in (result.ONLINE, result.APPROVED, result.DECLINED):
            it.ui.value = it.hex_of(BALANCE)
        if it.status == result.ONLINE and self.offer[2] & UPDATE and self.wish[1] & CAN_UPDATE:
            it.start = "B"
            it.ui_restart = result.UiRequest("present-card", "ready")
        return it


def _allows(data: "Data", at: int, bits: "tuple[int, int]") -> bool:
    """Whether usage control allows, byte `at` from 0 and (domestic, international) bits."""
    control, country = data.said.get(0x9F07, b""), data.said.get(0x5F28)
    if len(control) != 2 or country is None:
        return False
    return bool(control[at] & bits[0 if country == data.told.get(0x9F1A) else 1])


def _update(data: "Data", selected: "Selected", reply: "ask.Reply") -> "Flow":
    """Carries what the issuer sent to the card that is back. The outcome is the issuer's, whatever the card answers."""
    try:
        if reply.issuer and len(reply.issuer) <= 255:
            data.told[0x91] = reply.issuer
            data.set_tsi(ISSUER_AUTHENTICATION)
            _, status = yield from card.exchange(apdu.external_authenticate(reply.issuer))
            if status != apdu.OK:
                data.set_tvr(5, issuer.AUTHENTICATION_FAILED)
        for before in (True, False):
            yield from issuer.run_scripts(data, reply.scripts, before)
    except card.Ended:
        pass
    it = tapped.outcome(data, selected, "host" if reply.approved else "host-declined")
    it.scripts = issuer.RESULTS in data.told
    tapped.respond(data, it, reply.code)
    return entry.say(it)
