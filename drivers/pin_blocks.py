"""PIN blocks: a PIN in a shape that can be enciphered, and back.

    form               clear block (N: number of digits, P: a digit of the PIN)              source: ISO 9564-1
    0                  0 N P.. F to 16   XOR   0000, the 12 digits before the check digit    9.3.2
    0-without-pan      0 N P.. F to 16                                                       UnionPay, F53 "1...": mobile
    1                  1 N P.. anything                                                      9.3.3, decoded only
    2                  2 N P.. F to 16                                                       9.3.4, to the chip
    3                  3 N P.. random A..F to 16   XOR   as 0                                9.3.5
    sm4                as 0 over 32: F to 32, the account's 12 digits at the end             UnionPay, one worked example
    sm4-without-pan    0 N P.. F to 32

Format 4 is no block of its own, it is enciphered with the account in between (AES, 9.4):

    PIN field    4 N P.. A to 16, then 16 random digits
    PAN field    number of digits - 12, digits, 0 to 32; an account of less than 12 digits: 0, its digits right in 12
    block        E(E(PIN field) XOR PAN field)

A PIN is ASCII digits in a bytearray, and so is every clear block: the caller wipes them. No error shows a digit.
"""

from drivers.libcrypto import Cipher, cleanse, xor

PIN_DIGITS = (4, 12)  # ISO 9564-1 9.1
PAN_DIGITS = (13, 19)
SHORT_PAN_DIGITS = (1, 19)  # format 4

# form: (control digit, digits of the block, whether with the account)
FORMS = {
    "0": (0, 16, True),
    "0-without-pan": (0, 16, False),
    "1": (1, 16, False),
    "2": (2, 16, False),
    "3": (3, 16, True),
    "sm4": (0, 32, True),
    "sm4-without-pan": (0, 32, False),
}
F, A = 0xF, 0xA


class PinBlockError(ValueError):
    """No PIN, no card number, or no PIN block of the form."""


def checked_pan(pan: str, least: int = PAN_DIGITS[0]) -> str:
    """`pan` if it is a card number of 13 (`least`) to 19 digits; else an error that does not show it."""
    if not isinstance(pan, str) or not least <= len(pan) <= PAN_DIGITS[1] or not (pan.isascii() and pan.isdigit()):
        raise PinBlockError("a card number has %d to %d digits" % (least, PAN_DIGITS[1]))
    return pan


def plain_block(control: int, pin: bytearray, digits: int = 16, fill: int = F) -> bytearray:
    """Control digit, number of digits, the digits, `fill` to the end: what all forms begin with."""
    if not PIN_DIGITS[0] <= len(pin) <= PIN_DIGITS[1] or not pin.isdigit():
        raise PinBlockError("a PIN has 4 to 12 digits")
    block = bytearray((fill << 4 | fill,)) * (digits // 2)
    block[0] = control << 4 | len(pin)
    for place, digit in enumerate(pin, 2):
        _put(block, place, digit & 0x0F)
    return block


def encode(form: str, pin: bytearray, pan: str, random) -> bytearray:
    """The clear block. pan: the whole card number ("" where the form has none); random(n) -> n unpredictable bytes."""
    control, digits, with_pan = _form(form)
    if form == "1":
        raise PinBlockError("form 1 is read, not made")
    block = plain_block(control, pin, digits)
    try:
        if form == "3":
            for place in range(2 + len(pin), digits):
                _put(block, place, _random_letter(random))
        if with_pan:
            _mix(block, pan)
    except PinBlockError:
        cleanse(block)
        raise
    return block


def decode(form: str, block: "bytes | bytearray", pan: str) -> bytearray:
    """The PIN in a clear block. PinBlockError when it is none, or another card's."""
    control, digits, with_pan = _form(form)
    if len(block) * 2 != digits:
        raise PinBlockError("a block of form %s has %d bytes" % (form, digits // 2))
    clear = bytearray(block)
    try:
        if with_pan:
            _mix(clear, pan)
        fills = {"1": range(16), "3": range(A, 16)}.get(form, (F,))
        return _digits_of(clear, control, fills, digits)
    finally:
        cleanse(clear)


def encipher_4(cipher: Cipher, pin: bytearray, pan: str, random) -> bytes:
    """The format 4 block, 16 bytes. `cipher` enciphers (AES); pan: 1 to 19 digits."""
    account = pan_field(pan)
    field = pin_field(pin, random)
    try:
        first = cipher.run_secret(field)
        mixed = xor(first, account)
        try:
            return cipher.run(mixed)
        finally:
            cleanse(first, mixed)
    finally:
        cleanse(field)


def decipher_4(cipher: Cipher, block: "bytes | bytearray", pan: str) -> bytearray:
    """The PIN in a format 4 block. `cipher` deciphers (AES)."""
    if len(block) != 16:
        raise PinBlockError("a block of form 4 has 16 bytes")
    account = pan_field(pan)
    mixed = cipher.run_secret(block)
    first = xor(mixed, account)
    field = cipher.run_secret(first)
    try:
        return pin_of_field(field)
    finally:
        cleanse(mixed, first, field)


def pin_field(pin: bytearray, random) -> bytearray:
    """The first half of format 4 in clear, 16 bytes."""
    field = plain_block(4, pin, 16, A)
    field += bytes(8)
    field[8:] = random(8)
    return field


def pin_of_field(field: "bytes | bytearray") -> bytearray:
    """The PIN in a clear PIN field of format 4."""
    if len(field) != 16:
        raise PinBlockError("a PIN field has 16 bytes")
    return _digits_of(field, 4, (A,), 16)


def pan_field(pan: str) -> bytes:
    """The account of format 4, 16 bytes."""
    checked_pan(pan, SHORT_PAN_DIGITS[0])
    text = "%d%s" % (max(0, len(pan) - 12), "0" * (12 - len(pan)) + pan)
    return bytes.fromhex(text + "0" * (32 - len(text)))


def _form(form):
    if form not in FORMS:
        raise PinBlockError("no form %r" % (form,))
    return FORMS[form]


def _mix(block, pan):
    """XOR of the account's twelve digits into the end of the block, in place."""
    account = bytes.fromhex(checked_pan(pan)[-13:-1])
    for at in range(6):
        block[len(block) - 6 + at] ^= account[at]


def _digits_of(block, control, fills, digits):
    size = block[0] & 0x0F
    if block[0] >> 4 != control:
        raise PinBlockError("the block is of another form")
    if not PIN_DIGITS[0] <= size <= PIN_DIGITS[1]:
        raise PinBlockError("a PIN has 4 to 12 digits")
    pin = bytearray(size)
    for place in range(2, digits):
        value = block[place // 2] & 0x0F if place % 2 else block[place // 2] >> 4
        if value > 9 if place < 2 + size else value not in fills:
            cleanse(pin)
            raise PinBlockError("a digit that is none" if place < 2 + size else "the filling is wrong")
        if place < 2 + size:
            pin[place - 2] = ord("0") + value
    return pin


def _put(block, place, value):
    at = place // 2
    block[at] = block[at] & 0xF0 | value if place % 2 else block[at] & 0x0F | value << 4


def _random_letter(random):
    """A to F, each as likely."""
    while True:
        byte = random(1)[0]
        if byte < 252:
            return A + byte % 6
