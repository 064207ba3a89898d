"""Cardholder verification: the card's list of methods (8E), gone through with what the terminal can do.

    8E      X (4 bytes), Y (4 bytes), then rules of two bytes: code, condition. X and Y are amounts of the card's currency
    code    40 "if this fails, the next rule"; the other six bits name the method
    9F34    code, condition, result (00 unknown to the terminal, 01 failed, 02 successful) of the last method performed;
            3F0000 where the list was not processed, 3F0001 where no method of it was performed

    rule                                                  what follows
    its condition does not hold                           the next rule, and no bit
    it holds, the method is unknown                       TVR 3:40, the rule has failed
    the terminal lacks the method, which needs a PIN      TVR 3:10, the rule has failed
    it lacks another method                               the rule has failed
    the method is performed and fails                     its own bit, the rule has failed
    a rule has failed                                     with 40 in its code the next rule, else the end: TVR 3:80
    the list ends without success                         TVR 3:80

Own bits: a PIN not entered 3:08, no tries left 3:20, an online PIN entered 3:04. A holder who passes over one PIN has
passed over all of the transaction.

By contacts an online PIN is asked for here. Over contactless the card may leave first: the method is noted as performed, the
PIN is asked for after the card; what needs the card or a person meanwhile (offline PIN, document) does not exist there.

Source: EMV Book 3, 10.5 and Annex C3; Book 4, 6.3.4; PBOC 3.0 part 5 (code 20, the identity document; 9F61, 9F62).
"""

from firmware.emv import apdu, ask, card_data, oda, tags
from firmware.emv import outcome as result
from firmware.emv.card import Ended, exchange
from firmware.emv.data import CVM, NO_CVM_PERFORMED
from firmware.emv.restrictions import has_cashback, is_cash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Step
    from firmware.emv.data import Data

DATA_MISSING = 0x20  # TVR byte 1
# TVR byte 3
NOT_SUCCESSFUL, UNKNOWN_METHOD, NO_TRIES_LEFT, NO_PIN_PAD, PIN_NOT_ENTERED, ONLINE_PIN_ENTERED = (
    0x80,
    0x40,
    0x20,
    0x10,
    0x08,
    0x04,
)

VERIFICATION = 0x10  # AIP byte 1
NEXT_RULE, METHOD = 0x40, 0x3F

FAIL, PLAINTEXT, ONLINE, PLAINTEXT_SIGNED, ENCIPHERED, ENCIPHERED_SIGNED = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05
SIGNATURE, NONE, DOCUMENT = 0x1E, 0x1F, 0x20

# method: the bits of 9F33 byte 2 that it needs, all of them
NEEDS = {
    FAIL: 0x00,
    PLAINTEXT: 0x80,
    ONLINE: 0x40,
    PLAINTEXT_SIGNED: 0x80 | 0x20,
    ENCIPHERED: 0x10,
    ENCIPHERED_SIGNED: 0x10 | 0x20,
    SIGNATURE: 0x20,
    NONE: 0x08,
    DOCUMENT: 0x01,
}
PIN_BITS = 0x80 | 0x40 | 0x10
OFFLINE_PINS = {
    PLAINTEXT: ask.PLAINTEXT,
    PLAINTEXT_SIGNED: ask.PLAINTEXT,
    ENCIPHERED: ask.ENCIPHERED,
    ENCIPHERED_SIGNED: ask.ENCIPHERED,
}
SIGNED = (PLAINTEXT_SIGNED, ENCIPHERED_SIGNED)
UNIONPAY = b"\xa0\x00\x00\x03\x33"  # whose document method is; to others the code is unknown

# Third byte of 9F34
UNKNOWN, FAILED, SUCCESSFUL = 0, 1, 2

NOTHING_PERFORMED = b"\x3f\x00\x01"

# VERIFY: besides 63C0, no more tries
BLOCKED = (0x6983, 0x6984)
MAX_TRIES = 15  # a nibble in 63Cx, so no card has more

# 9F62
DOCUMENTS = ("id-card", "officer", "passport", "entry-permit", "temporary-id", "other")


class Result:
    """How the holder was verified. method: of `outcome.METHODS`, "none" also for a failure (TVR 3:80); signature: bool."""

    def __init__(self, method: str = result.NO_CVM, signature: bool = False) -> None:
        self.method = method
        self.signature = signature


def parse(listed: bytes) -> "tuple[int, int, list[tuple[int, int]]]":
    """A list, 8E: X, Y, [(code, condition)]. Ends with "malformed", and with "missing" for a list without rules."""
    if len(listed) < 8 or len(listed) % 2:
        raise Ended("malformed")
    if len(listed) == 8:
        raise Ended("missing")
    rules = [(listed[at], listed[at + 1]) for at in range(8, len(listed), 2)]
    return int.from_bytes(listed[:4], "big"), int.from_bytes(listed[4:8], "big"), rules


def perform(data: "Data", contactless: bool = False) -> "Step":
    """Verifies the holder -> Result; sets 9F34, TVR and TSI. Ends with "malformed", "cancelled" or "lost"."""
    data.cvm_results = NO_CVM_PERFORMED
    if not data.profile(1, VERIFICATION):
        return Result()
    listed = data.said.get(0x8E, b"")
    if len(listed) in (0, 8):
        data.set_tvr(1, DATA_MISSING)
        return Result()
    x, y, rules = parse(listed)
    data.set_tsi(CVM)
    data.cvm_results = NOTHING_PERFORMED
    for code, condition in rules:
        if not holds(data, code, condition, x, y, contactless):
            continue
        verdict = yield from _verify(data, code & METHOD, contactless)
        if verdict is not None:
            data.cvm_results = bytes((code, condition, verdict))
            if verdict != FAILED:
                return _verified(code & METHOD)
        if not code & NEXT_RULE:
            break
    data.set_tvr(3, NOT_SUCCESSFUL)
    return Result()


def known(data: "Data", code: int) -> bool:
    """Whether a code, with or without its 40 bit, names a method."""
    method = code & METHOD
    return method in NEEDS and (method != DOCUMENT or data.told.get(0x9F06, b"")[:5] == UNIONPAY)


def supported(data: "Data", code: int, contactless: bool = False) -> bool:
    """Whether the terminal can perform the method of a code."""
    method = code & METHOD
    if not known(data, method) or not _has(data, NEEDS[method]):
        return False
    if method == ONLINE:
        return data.application.online_pin
    return not contactless or (method not in OFFLINE_PINS and method != DOCUMENT)


def holds(data: "Data", code: int, condition: int, x: int, y: int, contactless: bool = False) -> bool:
    """Whether the condition of a rule is met; one that is unknown never is. x, y: amounts in the card's currency."""
    if condition == 0x00:
        return True
    if condition == 0x03:
        return supported(data, code, contactless)
    if condition < 0x06:
        unattended = card_data.terminal_type(data)[1] > 3
        cash, cashback = is_cash(data), has_cashback(data)
        return {
            0x01: cash and unattended,
            0x02: not cash and not cashback,
            0x04: cash and not unattended,
            0x05: cashback,
        }[condition]
    if condition > 0x09 or data.said.get(0x9F42) is None or data.said[0x9F42] != data.told.get(0x5F2A):
        return False
    amount, limit = data.request.amount_fen, x if condition < 0x08 else y
    return amount > limit if condition & 1 else amount < limit


def _has(data: "Data", bits: int) -> bool:
    capabilities = data.told.get(0x9F33, b"")
    return len(capabilities) > 1 and capabilities[1] & bits == bits


def _verified(method: int) -> Result:
    if method in OFFLINE_PINS:
        return Result(result.OFFLINE_PIN, method in SIGNED)
    if method == ONLINE:
        return Result(result.ONLINE_PIN)
    if method == SIGNATURE:
        return Result(result.SIGNATURE, True)
    return Result(result.DOCUMENT if method == DOCUMENT else result.NO_CVM)


def _verify(data: "Data", method: int, contactless: bool) -> "Step":
    """A method whose condition holds: UNKNOWN, FAILED or SUCCESSFUL; None: it was not performed, and so has failed."""
    if not known(data, method):
        data.set_tvr(3, UNKNOWN_METHOD)
        return None
    if not supported(data, method, contactless):
        if _lacks_pin(data, method, contactless):
            data.set_tvr(3, NO_PIN_PAD)
        return None
    if method == FAIL:
        return FAILED
    if method == NONE:
        return SUCCESSFUL
    if method == SIGNATURE:
        return UNKNOWN
    if method == DOCUMENT:
        return (yield from _document(data))
    if data.has_tvr(3, PIN_NOT_ENTERED):
        return FAILED
    if method == ONLINE:
        return (yield from _online_pin(data, contactless))
    verdict = yield from _offline_pin(data, OFFLINE_PINS[method])
    return UNKNOWN if verdict == SUCCESSFUL and method in SIGNED else verdict


def _lacks_pin(data: "Data", method: int, contactless: bool) -> bool:
    """Whether it is the PIN, and not the signature beside it, that the terminal lacks."""
    pin = NEEDS[method] & PIN_BITS
    return bool(pin) and (method == ONLINE or contactless or not _has(data, pin))


def _online_pin(data: "Data", contactless: bool) -> "Step":
    if not contactless:
        answer = yield ask.OnlinePin(card_data.account(data)[0])
        if answer != "entered":
            return _not_entered(data, answer)
    data.set_tvr(3, ONLINE_PIN_ENTERED)
    return UNKNOWN


def _offline_pin(data: "Data", kind: str) -> "Step":
    """A PIN for the card, as long as it gives another try."""
    left = None
    if not data.has_tvr(3, NO_TRIES_LEFT) and data.settings.switch("pin_tries"):
        left = yield from card_data.counter(data, 0x9F17)
    if left == 0:
        data.set_tvr(3, NO_TRIES_LEFT)
    if data.has_tvr(3, NO_TRIES_LEFT):
        return FAILED
    key = None
    if kind == ask.ENCIPHERED:
        found = oda.pin_key(data)
        if found is None:
            return FAILED
        key = (found.modulus, found.exponent)
    for _ in range(MAX_TRIES):
        challenge = b""
        if key is not None:
            challenge, status = yield from exchange(apdu.get_challenge())
            if status != apdu.OK or len(challenge) != 8:
                return FAILED
        answer = yield ask.OfflinePin(kind, key, challenge, left)
        if answer is None:
            raise Ended("lost")
        if answer in (ask.BYPASS, ask.CANCEL, ask.BROKEN):
            return _not_entered(data, answer)
        if answer == apdu.OK:
            return SUCCESSFUL
        left = answer & 15
        if answer == 0x63C0 or answer in BLOCKED:
            data.set_tvr(3, NO_TRIES_LEFT)
        if answer & 0xFFF0 != 0x63C0 or not left:
            return FAILED
    return FAILED


def _not_entered(data: "Data", answer: str) -> "int | None":
    if answer == ask.CANCEL:
        raise Ended("cancelled")
    if answer == ask.BYPASS:
        data.set_tvr(3, PIN_NOT_ENTERED)
        return FAILED
    data.set_tvr(3, NO_PIN_PAD)
    return None


def _document(data: "Data") -> "Step":
    """The merchant looks at an identity document; a card without its number has none to compare."""
    kind, number = data.said.get(0x9F62), tags.text(data.said.get(0x9F61, b""))
    if not kind or not number:
        return FAILED
    answer = yield ask.CheckDocument(DOCUMENTS[min(kind[0], len(DOCUMENTS) - 1)], number)
    if answer == ask.CANCEL:
        raise Ended("cancelled")
    return SUCCESSFUL if answer is True else FAILED
