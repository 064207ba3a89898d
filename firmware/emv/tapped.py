"""What contactless kernels have in common: the options, the records, and who the card is.

A kernel of the schemes' own books keeps one list of what the card has said, and an object may come into it once: what
the answer to GET PROCESSING OPTIONS gave, a record does not give again. (By contacts a record goes before the options:
`records`.) Only the profile, the file locator and the name (82, 94, 84) are left out of it: records cannot change them.

Source: EMV Book C-2, 4.5 (storing card data); Book C-3, 5.4.2 (no object twice); Book B, 3.5 (outcome).
"""

from binascii import hexlify

from firmware.emv import apdu, card, dol, records, selection, tags
from firmware.emv import outcome as result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Step
    from firmware.emv.data import Data
    from firmware.emv.entry import Selected

# What the CVM result (9F34) says: method, condition "always", result.
CVM_RESULTS = {
    result.NO_CVM: b"\x3f\x00\x00",
    result.ONLINE_PIN: b"\x02\x00\x00",
    result.SIGNATURE: b"\x1e\x00\x00",
    result.CDCVM: b"\x01\x00\x02",
}


def options(data: "Data", pdol: "list[tuple[int, int]] | None", refusals: "dict[int, str]", otherwise: str) -> "Step":
    """GET PROCESSING OPTIONS -> what the card answered, {tag: bytes}, without what has no value; what was sent is in `data.pdol`.

    refusals: why, by status word; otherwise: why, for any other. Ends with those, with "malformed" or "lost". Raises
    TlvError, DolError.
    """
    data.pdol = dol.build(pdol or [], data.values())
    answer, status = yield from card.exchange(apdu.get_processing_options(data.pdol))
    if status != apdu.OK:
        raise card.Ended(refusals.get(status, otherwise))
    said: dict[int, bytes] = {}
    card.take(said, records.processing_options(answer))
    return {tag: said[tag] for tag in said if said[tag] or tag in records.FIXED}


def read(data: "Data", said: "dict[int, bytes]", locator: bytes) -> "Step":
    """Reads the records of a file locator, none for an empty one, into `data.said`, beside `said`: the answer to the options.

    Ends as `records.read` does, and with "malformed" for an object that says something else there. Raises TlvError.
    """
    before = data.said
    data.said = {0x82: said.get(0x82, b""), 0x94: locator}
    if locator:
        yield from records.read(data, ())
    found = data.said
    data.said = before
    for tag in said:
        if tag in found and tag not in records.FIXED and found[tag] != said[tag]:
            raise card.Ended("malformed")
        if tag != 0x84:
            before[tag] = said[tag]
    for tag in found:
        if tag not in records.FIXED:
            before[tag] = found[tag]


def outcome(data: "Data", selected: "Selected", why: str) -> result.Outcome:
    """The outcome for a reason, with the card and all data. Ends with "malformed". Raises Track2Error."""
    it = card.outcome_of(why)
    candidate = selected.candidate
    said = data.said
    records.identify(it, said, selection.name_of(data))
    if not it.label:
        it.label = tags.text(candidate.label).strip()[:16]
    it.kernel = hexlify(candidate.combination.application.kernel).decode().upper()
    it.cvm_required = candidate.combination.cvm_exceeded
    return it


def respond(data: "Data", it: result.Outcome, code: str) -> None:
    """Sets 8A, which is the terminal's own word where no issuer has spoken, and completes the outcome's data. "": no 8A."""
    if code:
        data.told[0x8A] = code.encode()
    else:
        data.told.pop(0x8A, None)
    it.response = code
    it.tags = data.values()
