"""TR-31 key blocks: a key under a key block protection key, with words that say what it is for and cannot be changed.

    version, length of all (4), usage (2), algorithm, mode, version number (2), exportability, optional blocks (2), reserved (2)
    optional blocks: name (2), length of the block in hexadecimal (2; or 00, how many pairs follow (2), length), text
    the key enciphered: bits of the key (2 bytes), key, random filling; in hexadecimal
    MAC, in hexadecimal

    version  binding      protection key      cipher of the key data        MAC                     source
    A, C     variant      tdes 8, 16, 24      tdes CBC, from the header     CBC, 4 bytes, of the    TR-31:2010; A is deprecated
                                                                            header and the result
    B        derivation   tdes 16, 24         tdes CBC, from the MAC        CMAC, 8 bytes           X9.143:2021 7
    D        derivation   aes 16, 24, 32      aes CBC, from the MAC         CMAC, 16 bytes          X9.143:2021 7
    E        derivation   aes 16, 24, 32      aes counter, from the MAC     CMAC, 16 bytes          ISO 20038:2017

The MAC of B, D and E is of the header and the key data in clear. Whether usage, algorithm and mode fit what somebody wants
to do with the key is his affair. Hexadecimal digits may be small ones in what is read; what is written has capitals.
No error shows anything of the block but its version.
"""

import hmac
import re
from collections import namedtuple
from collections.abc import Iterable, Sequence

from drivers.libcrypto import CIPHERS, Cipher, aes_ctr, cleanse, cmac, cmac_secret
from drivers.macs import cbc_mac

Binding = namedtuple("Binding", ("cipher", "key_bytes", "mac_bytes", "block", "usage"))
VARIANT, CBC_KEY, MAC_KEY, COUNTER_KEY = -1, 0, 1, 2  # usage of a derivation: X9.143 table 24, ISO 20038 table 1

# version: how it is bound; `block`: what the length of the whole is a multiple of; `usage`: of the key that enciphers
BINDINGS = {
    "A": Binding("tdes", (8, 16, 24), 4, 8, VARIANT),
    "B": Binding("tdes", (16, 24), 8, 8, CBC_KEY),
    "C": Binding("tdes", (8, 16, 24), 4, 8, VARIANT),
    "D": Binding("aes", (16, 24, 32), 16, 16, CBC_KEY),
    "E": Binding("aes", (16, 24, 32), 16, 2, COUNTER_KEY),
}
ENCIPHERING_VARIANT, MAC_VARIANT = 0x45, 0x4D
DERIVED = {("tdes", 16): 0, ("tdes", 24): 1, ("aes", 16): 2, ("aes", 24): 3, ("aes", 32): 4}  # X9.143 table 24
# algorithm of the header: bytes that a block hides the key's length in
HIDING = {"D": 24, "T": 24, "A": 32}
HEADER_CHARS = 16
PADDING = "PB"  # an optional block that carries nothing
MOST_BLOCKS, MOST_CHARS = 99, 9999

_FIXED = re.compile(r"[A-Za-z0-9]{16}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_NAME = re.compile(r"[A-Za-z0-9]{2}")
_TEXT = re.compile(r"[\x20-\x7e]*")


class Tr31Error(ValueError):
    """No key block, not for us, or one that somebody has changed."""


class Header:
    """The words of a key block: version "A" to "E", usage "P0", algorithm "T", mode "E", number "00", exportability "N".

    blocks: [(name, text)] of the optional ones, without the padding.
    """

    FIELDS = (
        ("version", "[A-E]"),
        ("usage", "[A-Za-z0-9]{2}"),
        ("algorithm", "[A-Za-z0-9]"),
        ("mode", "[A-Za-z0-9]"),
        ("number", "[A-Za-z0-9]{2}"),
        ("exportability", "[A-Za-z0-9]"),
    )

    def __init__(
        self,
        version: str,
        usage: str,
        algorithm: str,
        mode: str,
        number: str = "00",
        exportability: str = "N",
        blocks: "Iterable[tuple[str, str]]" = (),
        reserved: str = "00",
    ) -> None:
        self.version = version
        self.usage = usage
        self.algorithm = algorithm
        self.mode = mode
        self.number = number
        self.exportability = exportability
        self.blocks = list(blocks)
        self.reserved = reserved
        for name, pattern in self.FIELDS:
            if not re.fullmatch(pattern, getattr(self, name)):
                raise Tr31Error("the %s is none" % name)
        for name, text in self.blocks:
            if not _NAME.fullmatch(name) or not _TEXT.fullmatch(text):
                raise Tr31Error("an optional block is none")

    def block(self, name: str) -> "str | None":
        """The text of an optional block, or None."""
        return dict(self.blocks).get(name)

    def written(self, data_bytes: int) -> str:
        """The header of a block with so many bytes of key data."""
        bound = BINDINGS[self.version]
        texts = [_optional(name, text) for name, text in self.blocks]
        size = sum(map(len, texts))
        unit = CIPHERS[bound.cipher][2]
        if size % unit:
            texts.append(_optional(PADDING, "0" * (-(size + 4) % unit)))
        if len(texts) > MOST_BLOCKS:
            raise Tr31Error("more than %d optional blocks" % MOST_BLOCKS)
        whole = HEADER_CHARS + sum(map(len, texts)) + 2 * (data_bytes + bound.mac_bytes)
        if whole > MOST_CHARS:
            raise Tr31Error("the block becomes longer than %d characters" % MOST_CHARS)
        words = (self.usage, self.algorithm, self.mode, self.number, self.exportability)
        return "%s%04d%s%02d%s%s" % (self.version, whole, "".join(words), len(texts), self.reserved, "".join(texts))

    def __repr__(self) -> str:
        return "Header(%s)" % ", ".join(getattr(self, name) for name, _ in self.FIELDS)


def read_header(text: str) -> "tuple[Header, int]":
    """The header that a key block begins with, and its length in characters. Raises Tr31Error."""
    if len(text) < HEADER_CHARS or not _FIXED.fullmatch(text[:HEADER_CHARS]):
        raise Tr31Error("a header has 16 letters and digits")
    if text[0] not in BINDINGS:
        raise Tr31Error("there are versions A to E")
    if not _number(text[1:5]) or not _number(text[12:14]):
        raise Tr31Error("the length or the number of optional blocks is no number")
    at, blocks = HEADER_CHARS, []
    for _ in range(int(text[12:14])):
        name, value, at = _read_optional(text, at)
        if name.upper() != PADDING:
            blocks.append((name, value))
    return Header(text[0], text[5:7], text[7], text[8], text[9:11], text[11], blocks, text[14:16]), at


def unwrap(protection: "bytes | bytearray", text: str) -> "tuple[Header, bytearray]":
    """Header and key of a block; the key is the caller's to wipe. Raises Tr31Error, CryptoError."""
    header, at = read_header(text)
    bound = _bound(header.version, protection)
    if int(text[1:5]) != len(text):
        raise Tr31Error("the block is longer or shorter than it says")
    if len(text) % bound.block:
        raise Tr31Error("version %s: the length is no multiple of %d" % (header.version, bound.block))
    end = len(text) - 2 * bound.mac_bytes
    if end < at or not _HEX.fullmatch(text[end:]):
        raise Tr31Error("there is no whole MAC")
    if not _HEX.fullmatch(text[at:end]):
        raise Tr31Error("the key is not in hexadecimal digits")
    sealed, tag = bytes.fromhex(text[at:end]), bytes.fromhex(text[end:])
    if not sealed or len(sealed) % (1 if bound.usage == COUNTER_KEY else CIPHERS[bound.cipher][2]):
        raise Tr31Error("the key is not in whole blocks")
    clear = _opened(bound, protection, text[:at].encode(), sealed, tag)
    try:
        bits = clear[0] << 8 | clear[1] if len(clear) > 1 else 0
        if not bits or bits % 8:
            raise Tr31Error("the key is not in whole bytes")
        if bits // 8 > len(clear) - 2:
            raise Tr31Error("the key is longer than what it lies in")
        return header, clear[2 : 2 + bits // 8]
    finally:
        cleanse(clear)


def wrap(protection: "bytes | bytearray", header: Header, key: "bytes | bytearray", random, hiding: "int | None" = None) -> str:
    """The block of a key. random(n) -> n unpredictable bytes; hiding: bytes that its length is hidden in, by default the
    longest key of its algorithm. Raises Tr31Error, CryptoError."""
    bound = _bound(header.version, protection)
    if not 0 < len(key) <= 0xFFFF // 8:
        raise Tr31Error("a key of %d bytes" % len(key))
    if hiding is None:
        hiding = HIDING.get(header.algorithm, 0)
    size = 2 + max(hiding, len(key))
    if bound.usage != COUNTER_KEY:
        size += -size % CIPHERS[bound.cipher][2]
    head = header.written(size)
    clear = bytearray(size)
    try:
        clear[:2] = (len(key) * 8).to_bytes(2, "big")
        clear[2 : 2 + len(key)] = key
        clear[2 + len(key) :] = random(size - 2 - len(key))
        sealed, tag = _sealed(bound, protection, head.encode(), clear)
        return head + sealed.hex().upper() + tag.hex().upper()
    finally:
        cleanse(clear)


def _opened(bound, protection, head, sealed, tag):
    """The key data in clear; Tr31Error when the MAC is another."""
    enciphering, authenticating = _keys(bound, protection)
    try:
        if bound.usage == VARIANT:
            right = _variant_mac(bound, authenticating, head, sealed)
            if not hmac.compare_digest(right, tag):
                raise Tr31Error("the MAC is another: changed, or under another key")
            with Cipher(bound.cipher, enciphering, False, head[: bound.block]) as cipher:
                return cipher.run_secret(sealed)
        clear = _ciphered(bound, enciphering, tag, sealed, False)
        covered = bytearray(head) + clear
        try:
            if hmac.compare_digest(cmac(bound.cipher, authenticating, covered), tag):
                return clear
        finally:
            cleanse(covered)
        cleanse(clear)
        raise Tr31Error("the MAC is another: changed, or under another key")
    finally:
        cleanse(enciphering, authenticating)


def _sealed(bound, protection, head, clear):
    enciphering, authenticating = _keys(bound, protection)
    try:
        if bound.usage == VARIANT:
            with Cipher(bound.cipher, enciphering, True, head[: bound.block]) as cipher:
                sealed = cipher.run(clear)
            return sealed, _variant_mac(bound, authenticating, head, sealed)
        covered = bytearray(head) + clear
        try:
            tag = cmac(bound.cipher, authenticating, covered)
        finally:
            cleanse(covered)
        return _ciphered(bound, enciphering, tag, clear, True), tag
    finally:
        cleanse(enciphering, authenticating)


def _variant_mac(bound, key, head, sealed):
    return cbc_mac(bound.cipher, key, head + sealed)[: bound.mac_bytes]


def _ciphered(bound, key, tag, data, encrypt):
    if bound.usage == COUNTER_KEY:
        return aes_ctr(key, tag, data)
    with Cipher(bound.cipher, key, encrypt, tag) as cipher:
        return cipher.run_secret(data)


def _keys(bound, protection):
    """The keys that encipher and that authenticate, for the caller to wipe."""
    if bound.usage == VARIANT:
        return tuple(bytearray(byte ^ variant for byte in protection) for variant in (ENCIPHERING_VARIANT, MAC_VARIANT))
    return _derived(bound, protection, bound.usage), _derived(bound, protection, MAC_KEY)


def _derived(bound, protection, usage):
    size, unit = len(protection), CIPHERS[bound.cipher][2]
    tail = usage.to_bytes(2, "big") + b"\0" + DERIVED[bound.cipher, size].to_bytes(2, "big") + (size * 8).to_bytes(2, "big")
    key = bytearray(size)
    for number, at in enumerate(range(0, size, unit), 1):
        part = cmac_secret(bound.cipher, protection, bytes((number,)) + tail)
        key[at : at + unit] = part[: size - at]
        cleanse(part)
    return key


def _bound(version, protection):
    bound = BINDINGS[version]
    if len(protection) not in bound.key_bytes:
        raise Tr31Error("version %s: not under a key of %d bytes" % (version, len(protection)))
    return bound


def _number(text: "Sequence[str]") -> bool:
    return all(char in "0123456789" for char in text)


def _optional(name, text):
    size = len(text) + 4
    if size <= 0xFF:
        return "%s%02X%s" % (name, size, text)
    if size + 6 > 0xFFFF:
        raise Tr31Error("an optional block is too long")
    return "%s0002%04X%s" % (name, size + 6, text)


def _read_optional(text, at):
    """(name, text, where it ends) of the optional block at `at`."""
    name, size = text[at : at + 2], text[at + 2 : at + 4]
    if not _NAME.fullmatch(name) or len(size) != 2 or not _HEX.fullmatch(size):
        raise Tr31Error("an optional block is none")
    first, length = 4, int(size, 16)
    if not length:
        pairs = text[at + 4 : at + 6]
        if len(pairs) != 2 or not _HEX.fullmatch(pairs) or not int(pairs, 16):
            raise Tr31Error("the length of an optional block is none")
        first = 6 + 2 * int(pairs, 16)
        size = text[at + 6 : at + first]
        if len(size) != first - 6 or not _HEX.fullmatch(size):
            raise Tr31Error("the length of an optional block is none")
        length = int(size, 16)
    if length < first or at + length > len(text):
        raise Tr31Error("an optional block is longer or shorter than it says")
    value = text[at + first : at + length]
    if not _TEXT.fullmatch(value):
        raise Tr31Error("an optional block is no text")
    return name, value, at + length
