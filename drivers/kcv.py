"""Check values: a few bytes that tell two keys apart and tell nothing about the key, for people and hosts to compare.

    cipher       of what                             shown    source
    tdes, sm4    E(key, one block of zeros)          4 bytes  UnionPay; 3 in one dialect and in TR-31
    aes          CMAC(key, one block of zeros)       4 bytes  ANSI X9.24-1:2017 A; X9.143 shows 5

Some tools still show E(key, zeros) for AES: what somebody else says may be either.

Source: reference/host.md §4; vectors/host/kcv.json.
"""

import hmac

from drivers.libcrypto import CIPHERS, Cipher, cmac

SHOWN_BYTES = 4
BYTES = (3, 8)  # how long one may be that comes from outside


def of_zeros(cipher: str, key: "bytes | bytearray") -> bytes:
    """E(key, zeros), one block. Raises CryptoError."""
    with Cipher(cipher, key) as schedule:
        return schedule.run(bytes(schedule.block))


def of_cmac(cipher: str, key: "bytes | bytearray") -> bytes:
    """CMAC(key, zeros), one block. Raises CryptoError."""
    return cmac(cipher, key, bytes(CIPHERS[cipher][2]))


def check_value(cipher: str, key: "bytes | bytearray") -> bytes:
    """What is shown: 4 bytes. Raises CryptoError."""
    return (of_cmac if cipher == "aes" else of_zeros)(cipher, key)[:SHOWN_BYTES]


def fits(cipher: str, key: "bytes | bytearray", expected: bytes) -> bool:
    """Whether `expected`, 3 to 8 bytes, is a check value of the key. More than 4 say no more than 4."""
    wanted = bytes(expected[:SHOWN_BYTES])
    methods = (of_zeros, of_cmac) if cipher == "aes" else (of_zeros,)
    return any(hmac.compare_digest(method(cipher, key)[: len(wanted)], wanted) for method in methods)
