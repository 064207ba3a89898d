"""Message authentication codes: one row a method.

    method            key                what it is                                            its 8 bytes
    unionpay          tdes, sm4          XOR of all blocks, as hexadecimal text; E(first half)  first 8 characters of the
                                         XOR second half; E of that                             result's text
    unionpay-binary   tdes, sm4          the same                                              first 8 bytes of the result
    x9.9              tdes               ISO 9797-1 algorithm 1: the last block of CBC         all
    x9.19             tdes, 16 bytes     algorithm 3: CBC under K1, D under K2, E under K1     all
    cmac              any                algorithm 5 (NIST SP 800-38B)                         first 8
    cbc               sm4                as x9.9, blocks of 16                                 first 8

All but CMAC pad with zeros (ISO 9797-1 padding method 1). Methods 2 and 3 are there for other people's codes.

Source: reference/host.md §4; ISO/IEC 9797-1:2011; ANSI X9.9, X9.19; vectors/host/mac.json.
"""

import struct
from collections.abc import Callable

from drivers.libcrypto import CIPHERS, KEY_BYTES, Cipher, cleanse, cmac

MAC_BYTES = 8
ANY_TDES = {"tdes": KEY_BYTES["tdes"]}


class MacError(ValueError):
    """The key does not fit the method, or there is no such method."""


def padded(data: bytes, method: int, block: int) -> bytes:
    """`data` made whole blocks by ISO 9797-1 padding method 1 (zeros), 2 (one bit, zeros) or 3 (length, then zeros)."""
    if method == 2:
        data = data + b"\x80"
    whole = data + bytes(-len(data) % block)
    if method == 3:
        return (len(data) * 8).to_bytes(block, "big") + whole
    if method not in (1, 2):
        raise MacError("padding method %d" % method)
    return whole or bytes(block)


def cbc_mac(cipher: str, key: "bytes | bytearray", data: bytes, padding: int = 1) -> bytes:
    """ISO 9797-1 algorithm 1: one block."""
    block = CIPHERS[cipher][2]
    with Cipher(cipher, key, True, bytes(block)) as schedule:
        return schedule.run(padded(data, padding, block))[-block:]


def retail_mac(first: "bytes | bytearray", second: "bytes | bytearray", data: bytes, padding: int = 1) -> bytes:
    """ISO 9797-1 algorithm 3 with DES: 8 bytes. Each key 8 bytes; 16 make it triple DES, as some do."""
    with Cipher("tdes", second, False) as back, Cipher("tdes", first) as forth:
        return forth.run(back.run(cbc_mac("tdes", first, data, padding)))


def unionpay_block(key: Cipher, data: bytes) -> bytes:
    """The result of the UnionPay ECB MAC, one block of the cipher; `key` enciphers."""
    block = key.block
    data = padded(data, 1, block)
    words = struct.unpack(">%dQ" % (len(data) // 8), data)
    folded = 0
    for first in range(block // 8):
        part = 0
        for word in words[first :: block // 8]:
            part ^= word
        folded = folded << 64 | part
    text = folded.to_bytes(block, "big").hex().upper().encode()
    half = int.from_bytes(key.run(text[:block]), "big") ^ int.from_bytes(text[block:], "big")
    return key.run(half.to_bytes(block, "big"))


def _unionpay(cipher, key, data):
    return _unionpay_binary(cipher, key, data)[:4].hex().upper().encode()


def _unionpay_binary(cipher, key, data):
    with Cipher(cipher, key) as schedule:
        return unionpay_block(schedule, data)


def _x919(_, key, data):
    first, second = bytearray(key[:8]), bytearray(key[8:])
    try:
        return retail_mac(first, second, data)
    finally:
        cleanse(first, second)


# method: ({cipher: lengths of its key}, function(cipher, key, data) -> 8 bytes or more)
METHODS: "dict[str, tuple[dict, Callable]]" = {
    "unionpay": ({**ANY_TDES, "sm4": (16,)}, _unionpay),
    "unionpay-binary": ({**ANY_TDES, "sm4": (16,)}, _unionpay_binary),
    "x9.9": (ANY_TDES, cbc_mac),
    "x9.19": ({"tdes": (16,)}, _x919),
    "cmac": (KEY_BYTES, cmac),
    "cbc": ({"sm4": (16,)}, cbc_mac),
}


def fits(method: str, cipher: str, size: int) -> bool:
    """Whether a key of `size` bytes of the cipher makes MACs by the method. MacError when there is no such method."""
    if method not in METHODS:
        raise MacError("no method %r" % (method,))
    return size in METHODS[method][0].get(cipher, ())


def mac(method: str, cipher: str, key: "bytes | bytearray", data: bytes) -> bytes:
    """The 8 bytes of a message. Raises MacError, CryptoError."""
    if not fits(method, cipher, len(key)):
        raise MacError("%s: not with a key of %d bytes (%s)" % (method, len(key), cipher))
    return METHODS[method][1](cipher, key, bytes(data))[:MAC_BYTES]
