"""The slots of a vault: what each is for, under which key its key comes, and what a key block must say to go there.

    slot        comes under   TR-31 usage                          mode of use                       cipher
    transport   nothing       (provisioning puts it there)
    master      transport     K0, K1                               decrypt, both, any                any, no single DES
    pin         master        P0                                   encrypt, both, any                any
    mac         master        M0, M1, M3, M6                       generate and verify, any          any
    track       master        D0                                   encrypt, both, any                any
    dukpt       master        B1, with the serial number (KS, IK)  derive, any                       tdes 16 bytes, aes

What lies in a slot are records (drivers/key_box.py):

    key:SLOT      the key; of a DUKPT series its registers (`dukpt.Series`): the initial key itself is not kept
    cipher:SLOT   its cipher; without this record it is triple DES
    check:dukpt   the check value of the initial key
"""

from collections import namedtuple

from drivers import cup_keys, dukpt, kcv
from drivers.components import MASTER_BYTES, is_weak
from drivers.libcrypto import CIPHERS, KEY_BYTES, Cipher, CryptoError, cleanse

Slot = namedtuple("Slot", ("opener", "usages", "modes"))

SLOTS = {
    "transport": Slot(None, (), ""),
    "master": Slot("transport", ("K0", "K1"), "DBN"),
    "pin": Slot("master", ("P0",), "EBN"),
    "mac": Slot("master", ("M0", "M1", "M3", "M6"), "CN"),
    "track": Slot("master", ("D0",), "EBN"),
    "dukpt": Slot("master", ("B1",), "XN"),
}
WORKING = ("pin", "mac", "track", "dukpt")
ALGORITHMS = {"T": "tdes", "D": "tdes", "A": "aes"}
COMPONENT = "c"  # first sign of the version number: the block holds a component, no key
DEFAULT = "tdes"


class Refused(Exception):
    """The request cannot be met; `why` is the word of the port's VAULT_REFUSED."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def checked_rows(keys: "list[tuple]") -> "list[tuple]":
    """`keys` of the port's load_keys, if each is for another slot, and a master key for itself; else ValueError."""
    slots = [slot for slot, _, _ in keys]
    wanted = set(SLOTS) - {"transport"} if len(slots) == 1 else set(WORKING)
    if not slots or len(set(slots)) != len(slots) or not set(slots) <= wanted:
        raise ValueError("keys go to %s, each once, or to master" % ", ".join(WORKING))
    return list(keys)


def records_of(slot: str, cipher: str, key: "bytes | bytearray") -> "list[tuple[str, bytearray]]":
    """The records of a key in a slot (not "dukpt")."""
    return [("key:" + slot, bytearray(key)), ("cipher:" + slot, bytearray(cipher.encode()))]


def record_names(slot: str) -> "tuple[str, ...]":
    """The records that a slot may have."""
    return ("key:" + slot, "cipher:" + slot) + (("check:" + slot,) if slot == "dukpt" else ())


def opened(
    slot: str, block: "bytes | str", expected: bytes, cipher: str, opener: "bytes | bytearray"
) -> "list[tuple[str, bytearray]]":
    """The records of a key that came in a block under the opener, a key of `cipher`. Raises Refused, CryptoError."""
    if isinstance(block, str):
        return _of_key_block(slot, block, bytes(expected), cipher, opener)
    return _of_cryptogram(slot, bytes(block), bytes(expected), cipher, opener)


def whole(name: str, value: bytearray, records: dict) -> bool:
    """Whether the record of a slot is one."""
    kind, _, slot = name.partition(":")
    if slot not in SLOTS or name not in record_names(slot) or "key:" + slot not in records:
        return False
    cipher = bytes(records.get("cipher:" + slot, DEFAULT.encode())).decode("ascii", "replace")
    if cipher not in KEY_BYTES:
        return False
    if slot != "dukpt":
        sizes = MASTER_BYTES if slot in ("transport", "master") else KEY_BYTES
        return kind == "cipher" or len(value) in sizes[cipher]
    if kind == "check":
        return len(value) == kcv.SHOWN_BYTES
    try:
        series = dukpt.Series(records["key:dukpt"])
    except dukpt.DukptError:
        return False
    series.close()
    return series.cipher == cipher and "check:dukpt" in records


def _of_cryptogram(slot, cryptogram, expected, cipher, opener):
    # A series has a serial number, for which there is no place here.
    if slot == "dukpt" or not kcv.BYTES[0] <= len(expected) <= kcv.BYTES[1]:
        raise Refused("bad-data")
    if len(cryptogram) not in KEY_BYTES[cipher] or len(cryptogram) % CIPHERS[cipher][2]:
        raise Refused("bad-data")
    with Cipher(cipher, opener, encrypt=False) as opening:
        key = cup_keys.open_key_block(opening, cryptogram, expected, cipher)
    if key is None:
        raise Refused("check-value")
    try:
        _insist(slot != "master" or _good_master(key, cipher))
        return records_of(slot, cipher, key)
    finally:
        cleanse(key)


def _of_key_block(slot, text, expected, cipher, opener):
    from drivers import tr31  # the start of a device that has its keys does not need it

    if expected and not kcv.BYTES[0] <= len(expected) <= kcv.BYTES[1]:
        raise Refused("bad-data")
    try:
        header, key = tr31.unwrap(opener, text)
    except tr31.Tr31Error:
        raise Refused("bad-data") from None
    try:
        theirs = ALGORITHMS.get(header.algorithm)
        _insist(tr31.BINDINGS[header.version].cipher == cipher)
        _insist(header.usage in SLOTS[slot].usages and header.mode in SLOTS[slot].modes)
        # A key is not wrapped under a weaker one: AES does not come under triple DES.
        _insist(theirs == "tdes" or theirs == cipher)
        _insist(len(key) in KEY_BYTES[theirs] and not header.number.startswith(COMPONENT))
        _insist(slot != "master" or _good_master(key, theirs))
        if expected and not kcv.fits(theirs, key, expected):
            raise Refused("check-value")
        if slot == "dukpt":
            return _series(header, theirs, key)
        return records_of(slot, theirs, key)
    finally:
        cleanse(key)


def _series(header, cipher, key):
    try:
        series = dukpt.Series.begin(cipher, key, _serial(header, cipher))
    except (dukpt.DukptError, ValueError):
        raise Refused("bad-data") from None
    check = bytearray(kcv.check_value(cipher, key))
    return [("key:dukpt", series.record), ("cipher:dukpt", bytearray(cipher.encode())), ("check:dukpt", check)]


def _serial(header, cipher):
    """Of the optional block: KS with 8 or 10 bytes, IK with 8."""
    text = header.block("KS" if cipher == "tdes" else "IK")
    if text is None or len(text) not in (16, 20):
        raise ValueError("no serial number")
    size = dukpt.TDES_KSN_BYTES if cipher == "tdes" else dukpt.AES_KSN_BYTES
    number = bytes.fromhex(text)
    return number + bytes(size - len(number))


def _good_master(key, cipher):
    return len(key) in MASTER_BYTES[cipher] and not is_weak(key, cipher)


def _insist(good):
    if not good:
        raise Refused("bad-data")


def check_value(slot: str, records: dict) -> "bytes | None":
    """4 bytes, or None when the slot is empty or the library lacks its cipher."""
    if "key:" + slot not in records:
        return None
    if slot == "dukpt":
        return bytes(records["check:dukpt"])
    try:
        return kcv.check_value(cipher_of(slot, records), records["key:" + slot])
    except CryptoError:
        return None


def cipher_of(slot: str, records: dict) -> str:
    """The cipher of the key in a slot."""
    found = records.get("cipher:" + slot)
    return DEFAULT if found is None else bytes(found).decode()
