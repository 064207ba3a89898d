"""The host's cryptography: working keys, check values, MACs, PIN blocks, enciphered tracks, keys that change by message.

    unionpay   the message, padded with zero bytes, folded into one block by exclusive or; that as hexadecimal characters;
               the first half enciphered, exclusive or with the second half, enciphered again; the first 8 hexadecimal
               characters of that ("unionpay-binary": its first 8 bytes)
    x9.9       CBC, padded with zero bytes, the last block (ISO/IEC 9797-1 algorithm 1); "cbc" the same, its first 8 bytes
    x9.19      CBC under the first half of the key, the last block deciphered under the second half and enciphered under
               the first (algorithm 3)
    cmac       NIST SP 800-38B, the first 8 bytes

    PIN 0      0, length, PIN, F..., exclusive or with 0000 and the 12 digits of the card number before its check digit.
               Under SM4 both are 16 bytes long: F to the end, zeros in front of the 12 digits
    PIN 3      3 for 0, and digits A to F at random for F
    PIN 4      4, length, PIN, A to 16 digits, 16 at random; enciphered, exclusive or with the block of the card number,
               enciphered again. AES
    track      the 16 digits that end one byte before the last byte, triple DES; shorter tracks have F in front

    DUKPT      the key of a message from the base key and the key serial number that came with it, bit by bit of its counter

Source: reference/host.md §4; ISO 9564-1:2017 9.3; ANSI X9.24-1:2009 annex A; ANSI X9.24-3:2017 6. Written apart from the
terminal's vault, so that the two check each other.
"""

import hmac
from typing import NamedTuple

from drivers.libcrypto import Cipher, CryptoError

KEEP = 8192  # key schedules: those of the terminals that are at work
BLOCK = {"tdes": 8, "aes": 16, "sm4": 16}
TRACK_DIGITS = 16
PIN_SIZES = range(4, 13)
# Of keys that AES DUKPT derives: ANSI X9.24-3 table 5.
ALGORITHMS = {("tdes", 16): b"\0\0", ("aes", 16): b"\0\2", ("aes", 24): b"\0\3", ("aes", 32): b"\0\4"}


class Key(NamedTuple):
    """A key and the cipher that it is for. Its text does not show it."""

    cipher: str
    value: bytes

    def __repr__(self) -> str:
        return f"<Key {self.cipher}>"


class KeySet(NamedTuple):
    """What the host uses for one message; None for what there is no key for."""

    pin: "Key | None"
    mac: "Key"
    reply_mac: "Key"
    track: "Key | None"


class PinFormat(ValueError):
    """A deciphered block that is none of this format for this card: another key, or another card number."""


class Engine:
    """Block ciphers with the schedules of the last keys kept, and what is made of them. Not for several threads at once.

    cipher: "tdes" (keys of 8, 16 or 24 bytes), "aes" (16, 24, 32), "sm4" (16).
    """

    def __init__(self) -> None:
        self._ciphers: dict[tuple[str, bytes, bool], Cipher] = {}

    def _run(self, cipher: str, key: bytes, data: bytes, encrypt: bool) -> bytes:
        found = self._ciphers.get((cipher, key, encrypt))
        if found is None:
            if len(self._ciphers) >= KEEP:
                self._ciphers.clear()
            found = self._ciphers[cipher, key, encrypt] = Cipher(cipher, key, encrypt)
        return found.run(data)

    def encipher(self, key: bytes, data: bytes, cipher: str = "tdes") -> bytes:
        """ECB; data a multiple of the block. Raises CryptoError."""
        return self._run(cipher, key, data, True)

    def decipher(self, key: bytes, data: bytes, cipher: str = "tdes") -> bytes:
        """The inverse of `encipher`."""
        return self._run(cipher, key, data, False)

    def check_value(self, key: bytes, size: int = 4, cipher: str = "tdes") -> bytes:
        """The first bytes of a block of zeros enciphered."""
        return self.encipher(key, bytes(BLOCK[cipher]), cipher)[:size]

    # MAC

    def mac(self, key: bytes, data: bytes, method: str = "unionpay", cipher: str = "tdes") -> bytes:
        """8 bytes over `data`. Raises CryptoError where key and cipher do not fit."""
        if method == "cmac":
            return self._cmac(key, data, cipher)[:8]
        if method in ("x9.9", "cbc"):
            return self._chain(cipher, key, _padded(data, BLOCK[cipher]))[:8]
        if method == "x9.19":
            return self._retail(key, data)
        return self._folded(key, data, method == "unionpay-binary", cipher)

    def check_mac(self, key: bytes, data: bytes, mac: bytes, method: str = "unionpay", cipher: str = "tdes") -> bool:
        """Whether `mac` is that of `data`."""
        return hmac.compare_digest(self.mac(key, data, method, cipher), mac)

    def _folded(self, key, data, binary, cipher):
        size = BLOCK[cipher]
        data = _padded(data, size)
        folded = 0
        for at in range(0, len(data), size):
            folded ^= int.from_bytes(data[at : at + size], "big")
        image = b"%0*X" % (2 * size, folded)
        mixed = _xor(self.encipher(key, image[:size], cipher), image[size:])
        made = self.encipher(key, mixed, cipher)
        return made[:8] if binary else made[:4].hex().upper().encode()

    def _chain(self, cipher, key, data):
        """The last block of CBC with a zero vector."""
        size = BLOCK[cipher]
        block = bytes(size)
        for at in range(0, len(data), size):
            block = self.encipher(key, _xor(block, data[at : at + size]), cipher)
        return block

    def _retail(self, key, data):
        first, second = key[:8], key[8:16] or key[:8]
        return self.encipher(first, self.decipher(second, self._chain("tdes", first, _padded(data, 8))))

    def _cmac(self, key, data, cipher):
        size = BLOCK[cipher]
        whole = bool(data) and len(data) % size == 0
        one = _doubled(self.encipher(key, bytes(size), cipher))
        if not whole:
            one = _doubled(one)
            data = data + b"\x80" + bytes(-(len(data) + 1) % size)
        return self._chain(cipher, key, data[:-size] + _xor(data[-size:], one))

    # PIN

    def pin(
        self, key: bytes, block: bytes, pan: str, form: str = "0", cipher: str = "tdes", with_pan: bool = True
    ) -> str:  # fmt: skip
        """The PIN in an enciphered block. with_pan False: the card number's part is zero. Raises PinFormat."""
        try:
            clear = self._pin_field(key, block, pan if with_pan else "0", form, cipher)
        except (CryptoError, ValueError):
            raise PinFormat("not a block under this key") from None
        size = int(clear[1], 16)
        pin, pad = clear[2 : 2 + size], clear[2 + size :]
        fill = {"0": "f", "3": "abcdef", "4": "a"}[form]
        if form == "4":
            pad = pad[: 14 - size]
        if clear[0] != form or size not in PIN_SIZES or not pin.isdigit() or pad.strip(fill):
            raise PinFormat(f"not a format {form} block for this card")
        return pin

    def _pin_field(self, key, block, pan, form, cipher):
        clear = self.decipher(key, block, cipher)
        if form == "4":
            text = "%X%s" % (max(len(pan) - 12, 0), pan.rjust(12, "0"))
            return self.decipher(key, _xor(clear, bytes.fromhex(text + "0" * (32 - len(text)))), cipher).hex()
        digits = pan[-13:-1].rjust(12, "0")
        return _xor(clear, bytes.fromhex(digits.rjust(2 * len(clear), "0"))).hex()

    # Tracks

    def clear_track(self, key: bytes, track: str) -> str:
        """A track as it was read, from the one that was sent with its tail enciphered, triple DES. Raises ValueError."""
        end = len(track) - 2 + len(track) % 2
        begin = end - TRACK_DIGITS
        if begin < 0:
            return track
        block = self.decipher(key, bytes.fromhex(track[begin:end]))
        return (track[:begin] + block.hex().upper() + track[end:]).lstrip("F")

    # DUKPT

    def dukpt(self, base_key: bytes, number: bytes, suite: str, pin: str = "", mac: str = "") -> KeySet:
        """The keys of the message with this key serial number: 10 bytes for TDES, 12 for AES. Raises CryptoError.

        pin, mac: the ciphers they are for, "" for the suite's; an AES series has triple DES keys too. Tracks are triple DES.
        """
        if suite == "aes":
            return self._dukpt_aes(base_key, number, pin or suite, mac or suite)
        return self._dukpt_tdes(base_key, number)

    def _dukpt_tdes(self, base_key, number):
        if len(number) != 10:
            raise CryptoError("a key serial number of %d bytes" % len(number))
        counter = int.from_bytes(number[7:], "big") & 0x1FFFFF
        register = number[2:7] + (int.from_bytes(number[7:], "big") & ~0x1FFFFF).to_bytes(3, "big")
        initial = number[:2] + register[:6]
        mask = bytes.fromhex("C0C0C0C000000000") * 2
        key = self.encipher(base_key, initial) + self.encipher(_xor(base_key, mask), initial)
        register = int.from_bytes(register, "big")
        for bit in range(20, -1, -1):
            if counter >> bit & 1:
                register |= 1 << bit
                key = self._generated(_xor(key, mask), register) + self._generated(key, register)
        pin, mac, reply, data = (
            _xor(key, bytes.fromhex(variant) * 2)
            for variant in ("00000000000000FF", "000000000000FF00", "00000000FF000000", "0000000000FF0000")
        )
        return KeySet(*(Key("tdes", one) for one in (pin, mac, reply, self.encipher(data, data))))

    def _generated(self, key, register):
        """Half of the next key: the register enciphered between two whitenings."""
        right = key[8:]
        return _xor(self.encipher(key[:8], _xor(register.to_bytes(8, "big"), right)), right)

    def _dukpt_aes(self, base_key, number, pin, mac):
        if len(number) != 12:
            raise CryptoError("a key serial number of %d bytes" % len(number))
        size, series, counter = len(base_key), number[:8], int.from_bytes(number[8:], "big")
        key = self._derived(base_key, "8001", "aes", size, series)
        reached = 0
        for bit in range(31, -1, -1):
            if counter >> bit & 1:
                reached |= 1 << bit
                key = self._derived(key, "8000", "aes", size, series[4:] + reached.to_bytes(4, "big"))
        uses = (("1000", pin), ("2000", mac), ("2001", mac), ("3000", "tdes"))
        made = []
        for usage, cipher in uses:
            length = size if cipher == "aes" else 16
            made.append(Key(cipher, self._derived(key, usage, cipher, length, series[4:] + number[8:])))
        return KeySet(*made)

    def _derived(self, key, usage, cipher, size, context):
        head = bytes.fromhex(usage) + ALGORITHMS[cipher, size] + (size * 8).to_bytes(2, "big") + context
        blocks = range(1, (size + 15) // 16 + 1)
        return b"".join(self.encipher(key, bytes((1, block)) + head, "aes") for block in blocks)[:size]


def _xor(one: bytes, other: bytes) -> bytes:
    size = len(one)
    if len(other) != size:
        raise ValueError("%d bytes and %d" % (size, len(other)))
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(size, "big")


def _padded(data: bytes, size: int) -> bytes:
    return data + bytes(-len(data) % size) or bytes(size)


def _doubled(block: bytes) -> bytes:
    """Twice the block in the field of its size, SP 800-38B 6.1."""
    size = len(block)
    number = int.from_bytes(block, "big") << 1
    if number >> (8 * size):
        number = number & ((1 << 8 * size) - 1) ^ (0x87 if size == 16 else 0x1B)
    return number.to_bytes(size, "big")


def odd_parity(key: bytes) -> bytes:
    """`key` with the last bit of each byte set so that the number of ones is odd, as DES keys are kept."""
    return bytes(byte & 0xFE | (bin(byte >> 1).count("1") + 1) % 2 for byte in key)
