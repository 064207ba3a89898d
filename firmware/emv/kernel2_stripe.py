"""Kernel 2 in stripe mode: the card fills a code of this one moment into the track of a stripe.

    records    the first of the locator where it is the stripe's own (08010100), else all: tracks, and where the code goes
    number     as many digits as the card has places for
    checksum   COMPUTE CRYPTOGRAPHIC CHECKSUM over it -> the card's counter and CVC3, or its phone's word
    track      `cvc3.fill`; the issuer checks it, so it always goes online

    CVC3       phone's word     then
    there                       online
    not there  to tap again     to the phone
    not there  another          declined
    not there  none             an answer that no card may give

Where the holder must be verified, a device has done it (and says so) or it is declined; for a card the row's `cvm_default`
is what the terminal does. The pauses after a code that did not come, which the book has against guessing, are not
the kernel's: it has no clock.

Source: EMV Book C-2, 6: S7, S78, S13 and S14, as public kernels follow it. What S14 does with a device that gives a code
and was not asked for it by its holder is not certain: here it is a decline.
"""

from binascii import unhexlify

from firmware.emv import action, apdu, card, card_data, cvc3, dol, entry, kernel2_terms, tapped, track2
from firmware.emv import outcome as result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Flow, Step
    from firmware.emv.data import Data
    from firmware.emv.entry import Selected

RECORD = b"\x08\x01\x01\x00"  # the locator of the stripe's data
UDOL, NUMBER, DEVICE_MUST_VERIFY = 0x9F69, 0x9F6A, 0x02
CVC3_1, CVC3_2 = 0x9F60, 0x9F61


def run(data: "Data", selected: "Selected", said: "dict[int, bytes]") -> "Flow":
    """From the answer to the options (`said`) to the outcome. Ends the tap, or raises as a kernel does."""
    data.told[0x9F39] = b"\x91"
    locator = said[0x94]
    yield from tapped.read(data, said, RECORD if locator.startswith(RECORD) else locator)
    for tag in (cvc3.TRACK_2,) + cvc3.TAGS[cvc3.TRACK_2][1:]:
        if not data.said.get(tag):
            raise card.Ended("missing")
    if kernel2_terms.over_limit(data):
        return kernel2_terms.next_one()
    try:
        digits = cvc3.digits_asked(data.said)
        number = cvc3.masked_number(data.request.unpredictable, digits)
        given = yield from _checksum(data, selected, number)
        if not given:
            if kernel2_terms.wants_another_tap(data.said):
                return kernel2_terms.another_tap(data, selected)
            return _outcome(data, selected, "aac", result.NO_CVM)
        verified = bool((data.said.get(kernel2_terms.PHONE) or bytes(3))[1] & kernel2_terms.VERIFIED)
        cvc3.fill(data.said, number, verified)
    except cvc3.Cvc3Error:
        raise card.Ended("malformed")
    method = _holder(data, selected, verified)
    if method == "decline":
        return _outcome(data, selected, "no-method", result.NO_CVM)
    if card_data.terminal_type(data)[1] in action.OFFLINE_ONLY:
        return _outcome(data, selected, "offline-only", result.NO_CVM)
    return _outcome(data, selected, "stripe-data", method)


def _checksum(data: "Data", selected: "Selected", number: str) -> "Step":
    """COMPUTE CRYPTOGRAPHIC CHECKSUM: whether the card has given its code; if not, its phone's word is there."""
    data.told[NUMBER] = unhexlify(number)
    if kernel2_terms.on_device(data) and selected.candidate.combination.cvm_exceeded:
        data.told[kernel2_terms.MOBILE] = bytes(((data.told[kernel2_terms.MOBILE] + b"\x00")[0] | DEVICE_MUST_VERIFY,))
    listed = data.said.get(UDOL) or data.told[kernel2_terms.UDOL]
    answer, status = yield from card.exchange(checksum(dol.build(dol.parse(listed), data.values())))
    if status != apdu.OK:
        raise card.Ended("refused")
    said: dict[int, bytes] = {}
    card.take(said, card.template(answer, 0x77))
    for tag in said:
        if data.said.get(tag):
            raise card.Ended("malformed")
        data.said[tag] = said[tag]
    for tag, size in ((0x9F36, 2), (CVC3_2, 2), (CVC3_1, 2), (kernel2_terms.PHONE, 3)):
        if data.said.get(tag) and len(data.said[tag]) != size:
            raise card.Ended("malformed")
    if not data.said.get(0x9F36):
        raise card.Ended("missing")
    if not data.said.get(CVC3_2):
        if data.said.get(kernel2_terms.PHONE):
            return False
        raise card.Ended("missing")
    if data.said.get(cvc3.TRACK_1) and not data.said.get(CVC3_1):
        raise card.Ended("missing")
    return True


def checksum(values: bytes) -> bytes:
    """COMPUTE CRYPTOGRAPHIC CHECKSUM over a list's values."""
    return b"\x80\x2a\x8e\x80" + bytes((len(values),)) + values + b"\x00"


def _holder(data: "Data", selected: "Selected", verified: bool) -> str:
    """How the holder is verified: a name of `outcome.METHODS`, or "decline"."""
    combination = selected.candidate.combination
    if not combination.cvm_exceeded:
        return result.NO_CVM
    if kernel2_terms.on_device(data):
        return result.CDCVM if verified else "decline"
    return combination.application.cvm_default


def _outcome(data: "Data", selected: "Selected", why: str, method: str) -> result.Outcome:
    it = tapped.outcome(data, selected, why)
    it.entry = result.CONTACTLESS_STRIPE
    it.pan, it.expiry, it.service, it.track2 = track2.parse(data.said[cvc3.TRACK_2])
    it.cvm, it.signature = method, method == result.SIGNATURE
    data.cvm_results = tapped.CVM_RESULTS[method]
    tapped.respond(data, it, "Z1" if it.status == result.DECLINED else "")
    if method == result.ONLINE_PIN:
        it.message = "enter-pin"
    return entry.say(it)
