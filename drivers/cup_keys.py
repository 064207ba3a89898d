"""What the UnionPay rules do with keys: check value, key block, message authentication code, PIN block.

    check value   first 4 bytes of E(key, eight zero bytes); one dialect sends 3
    key block     a working key enciphered under the master key, ECB. A block of 16 bytes may hold an 8-byte key and
                  eight zero bytes, enciphered or plain; the check value is then that of the 8-byte key
    MAC           XOR of all 8-byte blocks (zero padded), written as 16 hexadecimal characters; E(first half) XOR
                  second half; E of that; the first 8 hexadecimal characters of the result, in ASCII
    PIN block     ISO 9564-1 9.3.2, format 0: 0, length, digits, F...  XOR  0000, the 12 digits of the card number
                  before its check digit

Source: reference/host.md §4; ISO 9564-1:2017 9.3.2.
"""

import struct

from drivers.libcrypto import Cipher, cleanse

ZERO_BLOCK = bytes(8)
PIN_DIGITS = (4, 12)  # ISO 9564-1 9.3.2
PAN_DIGITS = (13, 19)


def check_value(key: "bytes | bytearray") -> bytes:
    """4 bytes that tell two keys apart and tell nothing about the key (8, 16 or 24 bytes)."""
    with Cipher("tdes", key) as cipher:
        return cipher.run(ZERO_BLOCK)[:4]


def open_key_block(master: Cipher, cryptogram: bytes, expected: bytes) -> "bytearray | None":
    """The working key (8 or 16 bytes) in `cryptogram` (8 or 16 bytes) whose check value starts with `expected`.

    `master` deciphers. None when no reading of the block has that check value.
    """
    block = master.run_secret(cryptogram)
    if check_value(block).startswith(expected):
        return block
    if len(block) == 16 and ZERO_BLOCK in (bytes(cryptogram[8:]), block[8:]):
        short = block[:8]
        if check_value(short).startswith(expected):
            cleanse(block)
            return short
        cleanse(short)
    cleanse(block)
    return None


def ecb_mac(key: Cipher, data: bytes) -> bytes:
    """Field 64: 8 ASCII bytes. `key` enciphers; data: the message from its type to the field before 64."""
    data += bytes(-len(data) % 8)
    folded = 0
    for block in struct.unpack(">%dQ" % (len(data) // 8), data):
        folded ^= block
    text = b"%016X" % folded
    (half,) = struct.unpack(">Q", key.run(text[:8]))
    (other,) = struct.unpack(">Q", text[8:])
    return key.run(struct.pack(">Q", half ^ other))[:4].hex().upper().encode()


def pin_block(pin: bytearray, pan: str) -> bytearray:
    """The clear format 0 block, 8 bytes, for the caller to wipe. pin: ASCII digits; pan: the whole card number."""
    block = plain_block(0, pin)
    try:
        account = bytes.fromhex("0000" + checked_pan(pan)[-13:-1])
    except ValueError:
        cleanse(block)
        raise
    for at in range(8):
        block[at] ^= account[at]
    return block


def plain_block(form: int, pin: bytearray) -> bytearray:
    """Format and number of digits, the digits, F to 8 bytes: format 2 as it is, format 0 before the card number."""
    if not PIN_DIGITS[0] <= len(pin) <= PIN_DIGITS[1] or not pin.isdigit():
        raise ValueError("a PIN has 4 to 12 digits")
    block = bytearray(b"\xff" * 8)
    block[0] = form << 4 | len(pin)
    for place, digit in enumerate(pin):
        at = 1 + place // 2
        if place % 2:
            block[at] = block[at] & 0xF0 | digit & 0x0F
        else:
            block[at] = (digit & 0x0F) << 4 | 0x0F
    return block


def checked_pan(pan: str) -> str:
    """`pan` if it is a card number of 13 to 19 digits; else a ValueError that does not show it."""
    if not isinstance(pan, str) or not PAN_DIGITS[0] <= len(pan) <= PAN_DIGITS[1] or not (pan.isascii() and pan.isdigit()):
        raise ValueError("a card number has 13 to 19 digits")
    return pan
