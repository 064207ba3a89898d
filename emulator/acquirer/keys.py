"""The host's cryptography: working keys, check values, MAC, PIN block, enciphered tracks.

    MAC     the message, padded with zero bytes, folded into 8 bytes by exclusive or; that as 16 hexadecimal
            characters; the first 8 enciphered, exclusive or with the last 8, enciphered again; the first 8
            hexadecimal characters of that
    PIN     ISO 9564 format 0: 0, length, PIN, F..., exclusive or with 0000 and the 12 digits of the card number
            before its check digit
    track   the 16 digits that end one byte before the last byte, 3DES ECB

Source: reference/host.md §4. Written apart from the terminal's vault, so that the two check each other.
"""

from struct import unpack

from drivers.libcrypto import Cipher

KEEP = 64  # key schedules


class PinFormat(ValueError):
    """A deciphered block that is no format 0 block for this card: another key, or another card number."""


class Engine:
    """3DES ECB with the schedules of the last keys kept. Not for several threads at once."""

    def __init__(self) -> None:
        self._ciphers: dict[tuple[bytes, bool], Cipher] = {}

    def _run(self, key: bytes, data: bytes, encrypt: bool) -> bytes:
        cipher = self._ciphers.get((key, encrypt))
        if cipher is None:
            if len(self._ciphers) >= KEEP:
                self._ciphers.clear()
            cipher = self._ciphers[key, encrypt] = Cipher("tdes", key, encrypt)
        return cipher.run(data)

    def encipher(self, key: bytes, data: bytes) -> bytes:
        """3DES ECB; key 8 (single DES), 16 or 24 bytes, data a multiple of 8."""
        return self._run(key, data, True)

    def decipher(self, key: bytes, data: bytes) -> bytes:
        """The inverse of `encipher`."""
        return self._run(key, data, False)

    def check_value(self, key: bytes) -> bytes:
        """First four bytes of eight zero bytes enciphered."""
        return self.encipher(key, bytes(8))[:4]

    def mac(self, key: bytes, data: bytes) -> bytes:
        """The UnionPay ECB MAC of `data`, 8 ASCII bytes."""
        data = data + bytes(-len(data) % 8)
        folded = 0
        for block in unpack(">%dQ" % (len(data) // 8), data):
            folded ^= block
        image = b"%016X" % folded
        first = self.encipher(key, image[:8])
        mixed = bytes(a ^ b for a, b in zip(first, image[8:], strict=True))
        return self.encipher(key, mixed)[:4].hex().upper().encode()

    def pin(self, key: bytes, block: bytes, pan: str) -> str:
        """The PIN in an enciphered format 0 block. Raises PinFormat."""
        mask = bytes.fromhex("0000" + pan[-13:-1].rjust(12, "0"))
        clear = bytes(a ^ b for a, b in zip(self.decipher(key, block), mask, strict=True)).hex()
        size = int(clear[1], 16)
        pin, pad = clear[2 : 2 + size], clear[2 + size :]
        if clear[0] != "0" or not 4 <= size <= 12 or not pin.isdigit() or pad.strip("f"):
            raise PinFormat("not a format 0 block for this card")
        return pin

    def clear_track(self, key: bytes, track: str) -> str:
        """A track as it was read, from the one that was sent with its tail enciphered."""
        end = len(track) - 2 + len(track) % 2
        begin = end - 16
        if begin < 0:
            return track
        block = self.decipher(key, bytes.fromhex(track[begin:end]))
        return track[:begin] + block.hex().upper() + track[end:]


def odd_parity(key: bytes) -> bytes:
    """`key` with the last bit of each byte set so that the number of ones is odd, as DES keys are kept."""
    return bytes(byte & 0xFE | (bin(byte >> 1).count("1") + 1) % 2 for byte in key)
