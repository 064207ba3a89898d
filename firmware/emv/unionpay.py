"""Kernel 7: a UnionPay card by contactless, online or offline (qPBOC, QuickPass).

    GPO        the PDOL's values; the card computes its cryptogram over them here and now
    no 9F26    the card wants the whole debit/credit flow of PBOC: `contact.over_contactless`, where 9F66 offers it
    AAC        declined; nothing more is read
    records    what the locator points to: card number, dates, certificates
    proof      fDDA (`oda.fast`) for a TC always, for an ARQC where 9F66 offers it and the card has signed
    the file   of exceptions, by `ask.OnException`
    expiry     an expired card is for its issuer, where the card says so in CTQ and the terminal can go online
    the holder by `verification`
    then       a TC that is proven is approved offline; all else goes online

A TC counts offline only for what the terminal left to the card: unproven, or given though 9F66 asked for an online
cryptogram, it goes where CTQ (9F6C) sends a failed authentication:

    CTQ 1:20 and the terminal is online-capable      online
    CTQ 1:10 and the terminal has contacts           another interface
    else                                             declined

The card's claim that its holder was verified on his device (CTQ 2:80) is one that anybody between card and reader can
make; it counts where the signed 9F69 has the same CTQ, and without 9F69 only for the issuer to judge, with an ARQC.

TVR stays as the card was told at GPO, because its cryptogram covers it. The CVM result is set afterwards.

Sources: PBOC 3.0 part 12 (JR/T 0025.12); EMV Book C-7, 3 and C-3, 5 (CTQ rules, which qPBOC shares), as far as reference
texts quote them (reference/emv.md, kernel 3 / 7).
"""

from binascii import hexlify

from firmware.emv import ask, card, contact, entry, oda, records, selection, tags, tapped
from firmware.emv import outcome as result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Flow
    from firmware.emv.data import Data
    from firmware.emv.entry import Combination, Restart, Selected
    from firmware.emv.settings import Request, Settings

IDENTIFIER = b"\x07"

AAC, TC, ARQC = 0x00, 0x40, 0x80

# 9F66, byte 1 to 3
FULL_FLOW, CONTACTS, OFFLINE_ONLY, PIN_OFFERED, SIGNATURE_OFFERED, PROOF_ONLINE = 0x40, 0x10, 0x08, 0x04, 0x02, 0x01
ONLINE_WANTED = 0x80
DEVICE_OFFERED = 0x40
# 9F6C, byte 1 and 2
PIN_WANTED, SIGNATURE_WANTED, FAILED_ONLINE, FAILED_OTHER, EXPIRED_ONLINE = 0x80, 0x40, 0x20, 0x10, 0x08
DEVICE_DONE = 0x80

IC_WITH_CONTACTS = 0x20  # 9F33, byte 1

# SW of GET PROCESSING OPTIONS: why
GPO_REFUSALS = {0x6984: "not-contactless", 0x6985: "gpo-refused", 0x6986: "see-phone"}

OFFLINE_APPROVED, OFFLINE_DECLINED = "Y1", "Z1"

# E-cash: what is left on the card after the payment, or before it; n12 in fen
BALANCES = (0x9F5D, 0x9F79)


def run(settings: "Settings", request: "Request", selected: "Selected", restart: "Restart | None" = None) -> "Flow":
    """From the selected application to the outcome. Ends the tap (`card.Ended`) or raises TlvError, DolError, Track2Error.

    A restart without the issuer's data is a new reading; one with them the kernel has no use for ("refused").
    """
    if restart is not None and restart.issuer_data:
        raise card.Ended("refused")
    if selected.pdol is None or not any(tag == 0x9F66 for tag, _ in selected.pdol):
        raise card.Ended("no-pdol")
    data = entry.activate(settings, request, selected)
    given = yield from tapped.options(data, selected.pdol, GPO_REFUSALS, "refused")
    data.said.update(given)
    if 0x9F26 not in given:
        if not _offers(data, 1, FULL_FLOW):
            raise card.Ended("no-cryptogram")
        outcome = yield from contact.over_contactless(data)
    else:
        outcome = yield from _quick(data, given, selected.candidate.combination)
    outcome.kernel = hexlify(IDENTIFIER).decode()
    outcome.cvm_required = selected.candidate.combination.cvm_exceeded
    if not outcome.label:
        outcome.label = tags.text(selected.candidate.label).strip()[:16]
    return _told(outcome)


def _quick(data: "Data", given: "dict[int, bytes]", combination: "Combination") -> "Flow":
    """qPBOC, from the answer that has the cryptogram."""
    said = data.said
    for tag, size in ((0x82, 2), (0x9F26, 8), (0x9F36, 2)):
        records.need(given, tag, size)
    kind = cryptogram(given)
    if kind != AAC:
        yield from tapped.read(data, given, given.get(0x94, b""))
    if 0x9F6C in said:
        records.need(said, 0x9F6C, 2)
    said.setdefault(0x9F27, bytes((kind,)))
    outcome = card.outcome_of("arqc")
    shown = selection.shown(
        said.get(0x9F12, b""), said.get(0x9F11, b""), said.get(0x50, b""), data.settings.terminal.get(0x9F40, b"")
    )
    records.identify(outcome, said, shown)
    why = "aac"
    if kind != AAC:
        if not outcome.pan:
            raise card.Ended("missing")
        listed = False
        if data.settings.switch("exceptions"):
            listed = yield ask.OnException(outcome.pan, outcome.sequence)
        why = "listed" if listed else _decide(data, kind, outcome, combination)
    _close(outcome, why, data)
    return outcome


def cryptogram(said: "dict[int, bytes]") -> int:
    """AAC, TC or ARQC: from 9F27, or where the card sends none from the first CVR byte in 9F10. Ends the tap."""
    if 0x9F10 not in said:
        raise card.Ended("missing")
    if 0x9F27 in said:
        records.need(said, 0x9F27, 1)
        kind = said[0x9F27][0] & 0xC0
    else:
        if len(said[0x9F10]) < 5:
            raise card.Ended("malformed")
        kind = (said[0x9F10][4] & 0x30) << 2
    if kind not in (AAC, TC, ARQC):
        raise card.Ended("malformed")
    return kind


def _decide(data: "Data", kind: int, outcome: result.Outcome, combination: "Combination") -> str:
    """Why the outcome is what it is, a key of REASONS; the method of verification is set."""
    wish = data.said.get(0x9F6C, b"\x00\x00")
    proven = False
    if kind == TC or (_offers(data, 1, PROOF_ONLINE) and 0x9F4B in data.said):
        proven = oda.fast(data)
        if not proven or (kind == TC and _online_wanted(data, combination)):
            why = _unproven(data, wish)
            if why != "tc":
                return why
            proven = False
    if expired(outcome.expiry, data.request.date):
        if not wish[0] & EXPIRED_ONLINE or _offers(data, 1, OFFLINE_ONLY):
            return "expired"
        proven = False
    method = verification(data.said.get(0x9F6C), combination)
    if method == result.CDCVM and not _device_claim_holds(data, kind, wish):
        method = "decline"
    if method == "decline":
        return "no-method"
    outcome.cvm = method
    outcome.signature = method == result.SIGNATURE
    if kind == TC and proven and method != result.ONLINE_PIN:
        return "approved"
    if _offers(data, 1, OFFLINE_ONLY):
        return "offline-only"
    if not outcome.track2:
        raise card.Ended("missing")
    return "arqc" if kind == ARQC else "tc"


def _online_wanted(data: "Data", combination: "Combination") -> bool:
    it = combination
    return it.floor_exceeded or it.status_check or it.zero_amount or _offers(data, 2, ONLINE_WANTED)


def _unproven(data: "Data", wish: bytes) -> str:
    """Where CTQ sends a card that was not authenticated: "tc" is online."""
    if wish[0] & FAILED_ONLINE and not _offers(data, 1, OFFLINE_ONLY):
        return "tc"
    if wish[0] & FAILED_OTHER and (_offers(data, 1, CONTACTS) or data.capability(1, IC_WITH_CONTACTS)):
        return "not-authenticated"
    return "unproven"


def _device_claim_holds(data: "Data", kind: int, wish: bytes) -> bool:
    related = data.said.get(0x9F69)
    return kind == ARQC if related is None else related[5:7] == wish


def verification(ctq: "bytes | None", combination: "Combination") -> str:
    """How the holder is verified: a name of `outcome.METHODS`, or "decline"."""
    wish = ctq or b"\x00\x00"
    offer = combination.ttq or b"\x00\x00\x00\x00"
    if wish[0] & PIN_WANTED and offer[0] & PIN_OFFERED:
        return result.ONLINE_PIN
    if wish[1] & DEVICE_DONE and offer[2] & DEVICE_OFFERED:
        return result.CDCVM
    if wish[0] & SIGNATURE_WANTED and offer[0] & SIGNATURE_OFFERED:
        return result.SIGNATURE
    if combination.cvm_exceeded or wish[0] & (PIN_WANTED | SIGNATURE_WANTED):
        return combination.application.cvm_default
    return result.NO_CVM


def expired(expiry: str, today: str) -> bool:
    """Whether a card good to the end of YYMM is over on YYMMDD; years below 50 are 20YY, the others 19YY (EMV Book 4, 6.7.3)."""
    return _century(expiry) < _century(today[:4])


def _century(yymm: str) -> str:
    return ("20" if yymm[:2] < "50" else "19") + yymm


def _offers(data: "Data", byte: int, mask: int) -> bool:
    """A bit of 9F66 as the card was told it."""
    value = data.told.get(0x9F66, b"")
    return len(value) >= byte and bool(value[byte - 1] & mask)


def _close(outcome: result.Outcome, why: str, data: "Data") -> None:
    """The outcome for a reason, with everything that was said."""
    outcome.why = why
    outcome.status, outcome.message = card.REASONS[why][:2]
    if outcome.status in (result.ONLINE, result.APPROVED):
        data.cvm_results = tapped.CVM_RESULTS[outcome.cvm]
    else:
        outcome.cvm, outcome.signature = result.NO_CVM, False
    if why == "not-authenticated":
        outcome.interface = "contact"
    code = {result.APPROVED: OFFLINE_APPROVED, result.DECLINED: OFFLINE_DECLINED}.get(outcome.status, "")
    tapped.respond(data, outcome, code)


def _told(outcome: result.Outcome) -> result.Outcome:
    """The outcome with its messages."""
    if outcome.status == result.ONLINE and outcome.cvm == result.ONLINE_PIN:
        outcome.message = "enter-pin"
    elif outcome.status == result.APPROVED and outcome.signature:
        outcome.message = "approved-sign"
    entry.say(outcome)
    if outcome.status == result.APPROVED and outcome.ui is not None:
        for tag in BALANCES:
            value = outcome.tags.get(tag)
            if value is not None and len(value) == 6 and hexlify(value).isdigit():
                outcome.ui.value = hexlify(value).decode()
                break
    return outcome
