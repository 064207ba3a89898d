"""The VERIFY command of an offline PIN, plain or enciphered: what the vault sends to the chip by itself.

    plain        00 20 00 80 08   PIN block
    enciphered   00 20 00 88 Lc   RSA of  7F, PIN block, the card's challenge (8), random to the length of the modulus
    PIN block    2 and the number of digits, the digits, F to eight bytes (ISO 9564-1, format 2)

A modulus of EMV has its first bit set, so a block that begins with 7F is below it.

Source: EMV Book 3, 6.5.12; Book 2, 7.1 and 7.2, B2.1.
"""

from drivers.libcrypto import cleanse, rsa_public
from drivers.pin_blocks import plain_block

PLAINTEXT, ENCIPHERED = "plaintext", "enciphered"
KINDS = (PLAINTEXT, ENCIPHERED)
CHALLENGE_BYTES = 8
MODULUS_BYTES = (64, 248)
EXPONENTS = (3, 65537)


def fits(key: "tuple[bytes, int] | None", challenge: bytes) -> bool:
    """Whether a PIN can be enciphered under what the card gave: (modulus, exponent) and a challenge of eight bytes."""
    if key is None or len(challenge) != CHALLENGE_BYTES:
        return False
    modulus, exponent = key
    return MODULUS_BYTES[0] <= len(modulus) <= MODULUS_BYTES[1] and modulus[0] > 0x7F and exponent in EXPONENTS


def plain(pin: bytearray) -> bytearray:
    """The command with the PIN (ASCII digits) in clear, for the caller to wipe."""
    block = plain_block(2, pin)
    try:
        return _command(0x80, block)
    finally:
        cleanse(block)


def enciphered(pin: bytearray, key: "tuple[bytes, int]", challenge: bytes, random) -> bytearray:
    """The command with the PIN under a key that `fits`. random(n): n unpredictable bytes."""
    modulus, exponent = key
    block = plain_block(2, pin)
    message = bytearray(len(modulus))
    try:
        message[0] = 0x7F
        message[1:9] = block
        message[9:17] = challenge
        message[17:] = random(len(modulus) - 17)
        return _command(0x88, rsa_public(modulus, exponent, message))
    finally:
        cleanse(block, message)


def _command(form, data):
    command = bytearray((0x00, 0x20, 0x00, form, len(data)))
    command += data
    return command
