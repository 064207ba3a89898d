"""What the UnionPay rules do with keys: check value, key block, MAC, PIN block, track.

    check value   first 4 bytes of E(key, zeros); one dialect sends 3
    key block     a working key enciphered under the master key, ECB. A block of 16 bytes may hold an 8-byte key and
                  eight zero bytes, enciphered or plain; the check value is then that of the 8-byte key
    MAC           `drivers.macs`, method "unionpay"
    PIN block     ISO 9564-1 format 0, of the cipher's block length
    track         of the digits (separator D), the 16 that end one byte before the end (two digits, or one when the number
                  of digits is odd), enciphered under the track key (triple DES) and put back; a track of less than 17
                  gets F in front. What hosts want under SM4 has no source: it is not made

Source: reference/host.md §4; vectors/host/cup_keys.json.
"""

from drivers import kcv, macs, pin_blocks
from drivers.libcrypto import Cipher, cleanse

ZERO_BLOCK = bytes(8)
TRACK_DIGITS = 104  # of the third track, the longest
TRACK_TAKEN = 16


class TrackError(ValueError):
    """No track: other signs than digits and separators, or too many."""


def check_value(key: "bytes | bytearray", cipher: str = "tdes") -> bytes:
    """4 bytes of E(key, zeros) that tell two keys apart."""
    return kcv.of_zeros(cipher, key)[:4]


def open_key_block(master: Cipher, cryptogram: bytes, expected: bytes, cipher: str = "tdes") -> "bytearray | None":
    """The working key in `cryptogram` whose check value starts with `expected`; it is of the master key's cipher.

    `master` deciphers. None when no reading of the block has that check value. Raises CryptoError for a length that no
    key of the cipher has.
    """
    block = master.run_secret(cryptogram)
    try:
        if kcv.fits(cipher, block, expected):
            return block[:]
        if cipher == "tdes" and len(block) == 16 and ZERO_BLOCK in (bytes(cryptogram[8:]), block[8:]):
            short = block[:8]
            if kcv.fits(cipher, short, expected):
                return short
            cleanse(short)
        return None
    finally:
        cleanse(block)


def ecb_mac(key: Cipher, data: bytes) -> bytes:
    """Field 64: 8 ASCII bytes. `key` enciphers; data: the message from its type to the field before 64."""
    return macs.unionpay_block(key, data)[:4].hex().upper().encode()


def pin_block(pin: bytearray, pan: str) -> bytearray:
    """The clear format 0 block, 8 bytes, for the caller to wipe. pin: ASCII digits; pan: the whole card number."""
    return pin_blocks.encode("0", pin, pan, None)


def encrypted_track(key: Cipher, track: str) -> str:
    """The digits to send. `key` enciphers, blocks of 8; track: digits, D or = between them. Raises TrackError."""
    digits = track.replace("=", "D")
    if not 0 < len(digits) <= TRACK_DIGITS or not set(digits) <= set("0123456789D"):
        raise TrackError("a track has 1 to %d digits" % TRACK_DIGITS)
    digits = "F" * (TRACK_TAKEN + 1 - len(digits)) + digits
    end = len(digits) - (1 if len(digits) % 2 else 2)
    taken = bytearray.fromhex(digits[end - TRACK_TAKEN : end])
    try:
        return digits[: end - TRACK_TAKEN] + key.run(taken).hex().upper() + digits[end:]
    finally:
        cleanse(taken)
