"""A key in components that different people hold: it is their XOR, so that one of them knows nothing of it.

Source: reference/products.md §6 (split knowledge, dual control: PCI DSS 3.7.6, PCI PIN 3.1).
"""

from collections.abc import Sequence

from drivers.libcrypto import KEY_BYTES, cleanse, xor

LEAST, MOST = 2, 3
# cipher: bytes that a master key may have; a single-length triple DES key is none
MASTER_BYTES = {cipher: tuple(size for size in sizes if size > 8) for cipher, sizes in KEY_BYTES.items()}


class ComponentError(ValueError):
    """What was given makes no good key; it says which component and never shows one."""


def combine(components: "Sequence[bytes | bytearray]", cipher: str = "tdes") -> bytearray:
    """The key, for the caller to wipe. Raises ComponentError."""
    if not LEAST <= len(components) <= MOST:
        raise ComponentError("two or three are wanted")
    sizes = MASTER_BYTES[cipher]
    key = bytearray(len(components[0]))
    for place, component in enumerate(components, 1):
        if len(component) not in sizes or len(component) != len(key):
            wanted = " or ".join(str(size) for size in sizes)
            raise ComponentError("number %d: all have %s bytes (%s)" % (place, wanted, cipher))
        if not any(component):
            raise ComponentError("number %d is all zeros" % place)
        mixed = xor(key, component)
        cleanse(key)
        key = mixed
    if is_weak(key, cipher):
        cleanse(key)
        raise ComponentError("together they make a single-length key")
    return key


def is_weak(key: "bytes | bytearray", cipher: str) -> bool:
    """All zeros, or triple DES with two neighbours equal, which is single DES. Bit 0 of a DES byte is parity."""
    if cipher != "tdes":
        return not any(key)
    thirds = [bytes(byte & 0xFE for byte in key[at : at + 8]) for at in range(0, len(key), 8)]
    return any(one == other for one, other in zip(thirds, thirds[1:], strict=False))
