"""Kernel 7: a UnionPay card by contactless, online (qPBOC).

    GPO        the PDOL's values; the card computes its cryptogram over them here and now
    AFL        the records it points to: card number, expiry, sequence number
    decide     AAC: declined. TC: this terminal does not authenticate cards offline, so what the card allows in CTQ for
               failed authentication. ARQC: expiry, then how the holder is verified, then online
    verify     CTQ says which method the card wants; 9F66 says what the terminal offers. Where the amount reached the
               terminal's own limit and the card names no method, the row's `cvm_default` decides

TVR stays as the card was told at GPO, because its cryptogram covers it. The CVM result is set afterwards.

Sources: PBOC 3.0 part 12; EMV Book C-7, 3 and C-3, 5 (CTQ rules, which qPBOC shares), as far as reference texts quote them.
"""

from binascii import hexlify

from firmware.emv import apdu, card, dol, tags, tlv, track2
from firmware.emv import outcome as result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from firmware.emv.entry import Candidate, Combination, Selected
    from firmware.emv.settings import Request, Settings

IDENTIFIER = b"\x07"
MAX_RECORDS = 32

AAC, TC, ARQC = 0x00, 0x40, 0x80

# SW of GET PROCESSING OPTIONS: why
GPO_REFUSALS = {0x6984: "not-contactless", 0x6985: "gpo-refused", 0x6986: "see-phone"}

# What the CVM result (9F34) says: method, condition "always", result.
CVM_RESULTS = {
    result.NO_CVM: b"\x3f\x00\x00",
    result.ONLINE_PIN: b"\x02\x00\x00",
    result.SIGNATURE: b"\x1e\x00\x00",
    result.CDCVM: b"\x01\x00\x02",
}


def run(settings: "Settings", request: "Request", selected: "Selected") -> "Generator[bytes, bytes | None, result.Outcome]":
    """From the selected application to the outcome. Ends the tap (`card.Ended`) or raises TlvError, DolError, Track2Error."""
    if selected.pdol is None or not any(tag == 0x9F66 for tag, _ in selected.pdol):
        raise card.Ended("no-pdol")
    candidate = selected.candidate
    said: dict[int, bytes] = {}
    told = terminal_values(settings, request, candidate)
    data, status = yield from card.exchange(apdu.get_processing_options(dol.build(selected.pdol, told)))
    if status != apdu.OK:
        raise card.Ended(GPO_REFUSALS.get(status, "refused"))
    card.take(said, _processing_options(data))
    if 0x9F26 not in said:
        raise card.Ended("no-cryptogram")
    _need(said, 0x82, 2)
    _need(said, 0x9F26, 8)
    _need(said, 0x9F36, 2)
    kind = _cryptogram(said)
    if kind != AAC:
        yield from _records(said)
    for tag, value in tlv.primitives(selected.fci):
        said.setdefault(tag, value)
    said.update(told)  # what the terminal knows, the card does not say
    if not 5 <= len(said.get(0x84, b"")) <= 16:
        said[0x84] = candidate.name
    said.setdefault(0x9F27, bytes((kind,)))
    outcome = card.outcome_of("arqc")
    outcome.tags = said
    outcome.cvm_required = candidate.combination.cvm_exceeded
    _identify(outcome, said, candidate)
    _decide(outcome, kind, said.get(0x9F6C), candidate.combination, request.date)
    said[0x9F34] = CVM_RESULTS[outcome.cvm]
    return outcome


def terminal_values(settings: "Settings", request: "Request", candidate: "Candidate") -> "dict[int, bytes]":
    """All that the terminal can answer to a PDOL."""
    told = dict(settings.terminal)
    told.update(request.tags)
    application = candidate.combination.application
    told[0x95] = b"\x00\x00\x00\x00\x00"
    told[0x9F06] = application.aid
    told[0x9F09] = application.version
    if candidate.combination.ttq is not None:
        told[0x9F66] = candidate.combination.ttq
    return told


def _processing_options(data: bytes) -> "tlv.Tree":
    """The objects of a GPO answer in either format."""
    tree = tlv.decode(data)
    if len(tree) == 1 and tree[0][0] == 0x77:
        return tree[0][1]
    if len(tree) == 1 and tree[0][0] == 0x80 and len(tree[0][1]) >= 2:
        return [(0x82, tree[0][1][:2]), (0x94, tree[0][1][2:])]
    raise card.Ended("malformed")


def _need(said: "dict[int, bytes]", tag: int, size: int) -> None:
    if tag not in said:
        raise card.Ended("missing")
    if len(said[tag]) != size:
        raise card.Ended("malformed")


def _cryptogram(said: "dict[int, bytes]") -> int:
    """AAC, TC or ARQC: from 9F27, or where the card sends none from the first CVR byte in 9F10."""
    if 0x9F10 not in said:
        raise card.Ended("missing")
    if 0x9F27 in said:
        _need(said, 0x9F27, 1)
        kind = said[0x9F27][0] & 0xC0
    else:
        if len(said[0x9F10]) < 5:
            raise card.Ended("malformed")
        kind = (said[0x9F10][4] & 0x30) << 2
    if kind not in (AAC, TC, ARQC):
        raise card.Ended("malformed")
    return kind


def _records(said: "dict[int, bytes]") -> "Generator[bytes, bytes | None, None]":
    """Reads every record of the AFL."""
    locator = said.get(0x94, b"")
    if len(locator) % 4:
        raise card.Ended("malformed")
    reads: list[tuple[int, int]] = []
    for at in range(0, len(locator), 4):
        head, first, last, proven = locator[at : at + 4]
        file = head >> 3
        if head & 7 or not 1 <= file <= 30 or not 1 <= first <= last or proven > last - first + 1:
            raise card.Ended("malformed")
        if len(reads) + last - first >= MAX_RECORDS:
            raise card.Ended("endless")
        reads.extend([(file, number) for number in range(first, last + 1)])
    for file, number in reads:
        data, status = yield from card.exchange(apdu.read_record(file, number))
        if status != apdu.OK:
            raise card.Ended("refused")
        card.take(said, card.template(data, 0x70))


def _identify(outcome: result.Outcome, said: "dict[int, bytes]", candidate: "Candidate") -> None:
    """Who this card is. Card number and expiry from 5A, 5F24 and track 2, which must agree."""
    outcome.aid = hexlify(said[0x84]).decode().upper()
    outcome.kernel = hexlify(candidate.combination.application.kernel).decode().upper()
    outcome.label = tags.text(said.get(0x9F12) or said.get(0x50) or candidate.label)[:16]
    if 0x57 in said:
        outcome.pan, outcome.expiry, outcome.service, outcome.track2 = track2.parse(said[0x57])
    if 0x5A in said:
        number = track2.card_number(track2.compressed(said[0x5A]))
        if outcome.pan and outcome.pan != number:
            raise card.Ended("malformed")
        outcome.pan = number
    if 0x5F24 in said:
        _need(said, 0x5F24, 3)
        date = hexlify(said[0x5F24]).decode()
        if not date.isdigit() or not 1 <= int(date[2:4]) <= 12:
            raise card.Ended("malformed")
        outcome.expiry = date[:4]
    if 0x5F34 in said:
        _need(said, 0x5F34, 1)
        sequence = hexlify(said[0x5F34]).decode()
        if not sequence.isdigit():
            raise card.Ended("malformed")
        outcome.sequence = "0" + sequence


def _decide(outcome: result.Outcome, kind: int, ctq: "bytes | None", combination: "Combination", today: str) -> None:
    if ctq is not None and len(ctq) != 2:
        raise card.Ended("malformed")
    if kind == AAC:
        return _end(outcome, "aac")
    if not outcome.track2:
        raise card.Ended("missing")
    wish = ctq or b"\x00\x00"
    if kind == TC and not wish[0] & 0x20:
        return _end(outcome, "not-authenticated" if wish[0] & 0x10 else "unproven")
    _end(outcome, "arqc" if kind == ARQC else "tc")
    if expired(outcome.expiry, today) and not wish[0] & 0x08:
        return _end(outcome, "expired")
    outcome.cvm = verification(ctq, combination)
    if outcome.cvm == "decline":
        outcome.cvm = result.NO_CVM
        return _end(outcome, "no-method")
    if outcome.cvm == result.ONLINE_PIN:
        outcome.message = "enter-pin"


def verification(ctq: "bytes | None", combination: "Combination") -> str:
    """How the holder is verified: a name of `outcome.METHODS`, or "decline"."""
    wish = ctq or b"\x00\x00"
    offer = combination.ttq or b"\x00\x00\x00\x00"
    if wish[0] & 0x80 and offer[0] & 0x04:
        return result.ONLINE_PIN
    if wish[1] & 0x80 and offer[2] & 0x40:
        return result.CDCVM
    if wish[0] & 0x40 and offer[0] & 0x02:
        return result.SIGNATURE
    if combination.cvm_exceeded or wish[0] & 0xC0:
        return combination.application.cvm_default
    return result.NO_CVM


def expired(expiry: str, today: str) -> bool:
    """Whether a card good to the end of YYMM is over on YYMMDD; years below 50 are 20YY, the others 19YY (EMV Book 4, 6.7.3)."""
    return _century(expiry) < _century(today[:4])


def _century(yymm: str) -> str:
    return ("20" if yymm[:2] < "50" else "19") + yymm


def _end(outcome: result.Outcome, why: str) -> None:
    outcome.why = why
    outcome.status, outcome.message = card.REASONS[why][:2]
