"""What an issuer sends to its card under keys of their own: authenticated, enciphered, and a new PIN in it.

    MAC       ISO/IEC 9797-1 algorithm 3, padding method 2, over the command's header (its length the MAC's included), the
              transaction counter, the cryptogram and the data; the leftmost bytes of it
    data      VISA: a length byte in front, padding always. MASTERCARD: padding only where the data has no whole blocks
    PIN       VISA: length, PIN, F..., mixed with the card's own key, and with the PIN of now where it is known
              ISO 9564 format 2: 2, length, PIN, F...

UnionPay's cards have the session keys of their cryptograms, MACs of four bytes, and VISA's data and PIN: PBOC 3.0 part 5 was
not open to check that. A second command of a script has the same counter and cryptogram in its MAC as the first.

Sources: EMV Book 2, 9 and D2; VIS and M/Chip as public implementations have them (`crypto_vectors.json`).
"""

from collections.abc import Callable
from typing import NamedTuple

from drivers.libcrypto import tdes_cbc_decrypt, tdes_cbc_encrypt, tdes_ecb_decrypt, tdes_ecb_encrypt
from emulator.cards import derivation
from emulator.cards.cryptogram import mac
from emulator.cards.derivation import double, sized

VISA, MASTERCARD = "VISA", "MASTERCARD"


class Rules(NamedTuple):
    """One scheme's. size: bytes of a MAC; session: (card key, counter, cryptogram) -> key; kind: of enciphered data."""

    size: int
    session: Callable[[bytes, bytes, bytes], bytes]
    kind: str


def _pboc(key: bytes, atc: bytes, made: bytes) -> bytes:
    return derivation.pboc(key, int.from_bytes(atc, "big"))


def _xor(key: bytes, atc: bytes, made: bytes) -> bytes:
    return derivation.xor(key, atc)


def _common(key: bytes, atc: bytes, made: bytes) -> bytes:
    return derivation.common(key, made)


RULES = {"unionpay": Rules(4, _pboc, VISA), "visa": Rules(8, _xor, VISA), "mastercard": Rules(8, _common, MASTERCARD)}


def secured(scheme: str, mac_key: bytes, data_key: bytes, head: bytes, text: bytes, atc: bytes, made: bytes) -> bytes:
    """A whole command for the card.

    mac_key, data_key: the card's; head: class to P2; text: what is enciphered for it, b"" for none; atc, made: of the
    transaction's first cryptogram.
    """
    rules = RULES[scheme]
    hidden = encipher(rules.session(data_key, atc, made), text, rules.kind) if text else b""
    begin = head + bytes((len(hidden) + rules.size,))
    return begin + hidden + command_mac(rules.session(mac_key, atc, made), begin + atc + made + hidden, rules.size)


def new_pin(scheme: str, card_key: bytes, pin: str, current: str = "") -> bytes:
    """The PIN as `secured` enciphers it. card_key: of the cryptograms; current: only VISA's rules know what to do with it."""
    return pin_block_2(pin) if RULES[scheme].kind == MASTERCARD else pin_block_vis(card_key, pin, current)


def read_pin(scheme: str, card_key: bytes, session: bytes, hidden: bytes, current: str = "") -> str:
    """The new PIN in the data of PIN CHANGE. Raises ValueError."""
    kind = RULES[scheme].kind
    clear = decipher(session, hidden, kind)
    return read_pin_block_2(clear) if kind == MASTERCARD else read_pin_block_vis(card_key, clear, current)


def command_mac(key: bytes, command: bytes, size: int = 8) -> bytes:
    """The MAC of a script command: `size` bytes, 4 to 8."""
    return mac(key, command)[:size]


def encipher(key: bytes, data: bytes, kind: str = VISA) -> bytes:
    """The data of a command. kind: VISA or MASTERCARD. ValueError for another key length."""
    double(key)
    if kind == VISA:
        return tdes_ecb_encrypt(key, _padded(bytes((len(data),)) + data))
    return tdes_cbc_encrypt(key, data if len(data) % 8 == 0 else _padded(data))


def decipher(key: bytes, data: bytes, kind: str = VISA) -> bytes:
    """What was enciphered; MASTERCARD with its padding, if any. Raises ValueError for what was not."""
    double(key)
    if not data or len(data) % 8:
        raise ValueError("enciphered data has whole blocks")
    if kind == MASTERCARD:
        return tdes_cbc_decrypt(key, data)
    clear = tdes_ecb_decrypt(key, data)
    text = clear[1 : 1 + clear[0]]
    if clear != _padded(clear[:1] + text):
        raise ValueError("the padding is wrong")
    return text


def pin_block_vis(card_key: bytes, pin: str, current: str = "") -> bytes:
    """Eight bytes. card_key: of the cryptograms; current: the PIN of now, "" where the command does without."""
    block = bytes.fromhex(("%02X" % _digits("a PIN", pin) + pin).ljust(16, "F"))
    mask = bytes(4) + double(card_key)[4:8]
    if current:
        _digits("the current PIN", current)
        mask = bytes(a ^ b for a, b in zip(mask, bytes.fromhex(current.ljust(16, "0")), strict=True))
    return bytes(a ^ b for a, b in zip(block, mask, strict=True))


def read_pin_block_vis(card_key: bytes, block: bytes, current: str = "") -> str:
    """The PIN in it. Raises ValueError."""
    sized("a PIN block", block, 8)
    mask = bytes(4) + double(card_key)[4:8]
    if current:
        mask = bytes(a ^ b for a, b in zip(mask, bytes.fromhex(current.ljust(16, "0")), strict=True))
    clear = bytes(a ^ b for a, b in zip(block, mask, strict=True)).hex()
    pin = clear[2 : 2 + int(clear[:2], 16)]
    if pin_block_vis(card_key, pin, current) != block:
        raise ValueError("no PIN block")
    return pin


def pin_block_2(pin: str) -> bytes:
    """ISO 9564 format 2: eight bytes; also what VERIFY carries."""
    return bytes.fromhex(("2%X" % _digits("a PIN", pin) + pin).ljust(16, "F"))


def read_pin_block_2(block: bytes) -> str:
    """The PIN in it. Raises ValueError."""
    clear = sized("a PIN block", block, 8).hex()
    pin = clear[2 : 2 + int(clear[1], 16)]
    if pin_block_2(pin) != block:
        raise ValueError("no PIN block")
    return pin


def _digits(what, pin):
    if not 4 <= len(pin) <= 12 or not (pin.isascii() and pin.isdigit()):
        raise ValueError(f"{what} has 4 to 12 digits")
    return len(pin)


def _padded(data):
    return data + b"\x80" + bytes(-(len(data) + 1) % 8)
