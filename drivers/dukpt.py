"""DUKPT: every transaction has keys of its own, derived from one that the device no longer has.

    initial key --> one register for each bit of the counter --> transaction key --> PIN, MAC, data keys

A register holds the key of the next counter value whose lowest one bit is its own. To move on is to take the register of
the new counter's lowest one bit, to fill the registers below it from it, and to forget it: who opens the device later finds
no key of an earlier transaction. A counter may have so many ones and no more; with that many, the next is the counter plus
its lowest one bit, for which a register is always there.

                     TDES, ANSI X9.24-1:2009 A            AES, ANSI X9.24-3:2017 6
    serial number    10 bytes, the last 21 bits counter   8 bytes initial key id, 4 bytes counter
    ones at most     10: 1,048,575 transactions           16: 2,448,023,842
    derivation       two DES halves of the register's     AES of: 01, block, usage, algorithm, bits, id, counter
    working keys     the transaction key XOR a variant;   the same derivation, for a usage and an algorithm; triple DES
                     data keys enciphered by themselves   keys among them

A series says its next key serial number before it is used; the keys of one transaction are `Transaction.working`.
"""

from collections.abc import Callable

from drivers.libcrypto import Cipher, cleanse, xor

PIN, MAC_REQUEST, MAC_RESPONSE = "pin", "mac-request", "mac-response"
DATA_REQUEST, DATA_RESPONSE = "data-request", "data-response"
USES = (PIN, MAC_REQUEST, MAC_RESPONSE, DATA_REQUEST, DATA_RESPONSE)


class DukptError(Exception):
    """A key or serial number of no DUKPT series."""


class Worn(DukptError):
    """The last transaction of the series is used."""


# Triple DES.

TDES_BITS, TDES_ONES = 21, 10
TDES_KSN_BYTES, TDES_KEY_BYTES = 10, 16
_HALVES = bytes.fromhex("C0C0C0C000000000") * 2
VARIANTS = {
    PIN: "00000000000000FF",
    MAC_REQUEST: "000000000000FF00",
    MAC_RESPONSE: "00000000FF000000",
    DATA_REQUEST: "0000000000FF0000",
    DATA_RESPONSE: "000000FF00000000",
}


def tdes_initial_key(base: "bytes | bytearray", serial: bytes) -> bytearray:
    """The initial key of a device. base: the base derivation key, 16 bytes; serial: 10 bytes, the counter does not matter."""
    _insist(len(base) == TDES_KEY_BYTES and len(serial) == TDES_KSN_BYTES, "a base key of 16 bytes, a serial number of 10")
    number = serial[:7] + bytes((serial[7] & 0xE0,))
    other = xor(base, _HALVES)
    try:
        with Cipher("tdes", base) as left, Cipher("tdes", other) as right:
            return left.run_secret(number) + right.run_secret(number)
    finally:
        cleanse(other)


def _tdes_next(key, serial, counter):
    """The key of `counter` from that of the counter without its lowest one bit."""
    number = _tdes_serial(serial, counter)[2:]
    other = xor(key, _HALVES)
    try:
        return _tdes_half(other, number) + _tdes_half(key, number)
    finally:
        cleanse(other)


def _tdes_half(key, number):
    left, right = bytearray(key[:8]), bytearray(key[8:])
    mixed = xor(number, right)
    try:
        with Cipher("tdes", left) as cipher:
            sealed = cipher.run_secret(mixed)
        return xor(sealed, right)
    finally:
        cleanse(left, right, mixed)


def _tdes_serial(serial, counter):
    return (int.from_bytes(serial, "big") >> TDES_BITS << TDES_BITS | counter).to_bytes(TDES_KSN_BYTES, "big")


def _tdes_working(key, serial, counter, use, kind):
    if kind != "tdes":
        raise DukptError("a triple DES series has triple DES keys")
    working = xor(key, bytes.fromhex(VARIANTS[use]) * 2)
    if use not in (DATA_REQUEST, DATA_RESPONSE):
        return working
    try:
        with Cipher("tdes", working) as cipher:
            return cipher.run_secret(working)
    finally:
        cleanse(working)


# AES.

AES_BITS, AES_ONES = 32, 16
AES_KSN_BYTES, AES_ID_BYTES = 12, 8
AES_KEY_BYTES = (16, 24, 32)
# usage of the derivation: X9.24-3 table 4
KEY_ENCIPHERING, DERIVATION, INITIAL = 0x0002, 0x8000, 0x8001
USAGES = {PIN: 0x1000, MAC_REQUEST: 0x2000, MAC_RESPONSE: 0x2001, DATA_REQUEST: 0x3000, DATA_RESPONSE: 0x3001}
# (cipher, bytes of the key): algorithm, X9.24-3 table 5
ALGORITHMS = {("tdes", 16): 0, ("tdes", 24): 1, ("aes", 16): 2, ("aes", 24): 3, ("aes", 32): 4}


def aes_derive(key: "bytes | bytearray", usage: int, kind: str, size: int, context: bytes) -> bytearray:
    """A key of `size` bytes for the cipher `kind`. context: 8 bytes, whose key it is."""
    _insist(len(key) in AES_KEY_BYTES and (kind, size) in ALGORITHMS, "a derivation key of 16, 24 or 32 bytes")
    head = usage.to_bytes(2, "big") + ALGORITHMS[kind, size].to_bytes(2, "big") + (size * 8).to_bytes(2, "big") + context
    blocks = b"".join(bytes((1, number)) + head for number in range(1, (size + 15) // 16 + 1))
    with Cipher("aes", key) as cipher:
        made = cipher.run_secret(blocks)
    derived = made[:size]
    cleanse(made)
    return derived


def aes_initial_key(base: "bytes | bytearray", key_id: bytes) -> bytearray:
    """The initial key of a device, as long as the base derivation key. key_id: 8 bytes."""
    _insist(len(key_id) == AES_ID_BYTES, "an initial key id of 8 bytes")
    return aes_derive(base, INITIAL, "aes", len(base), key_id)


def aes_update_key(initial: "bytes | bytearray", serial: bytes, kind: str = "aes", size: int = 16) -> bytearray:
    """What another initial key for the same device is enciphered under (X9.24-3 6.6)."""
    every = 0xFFFFFFFF
    key = transaction_key("aes", initial, serial, every)
    try:
        return aes_derive(key, KEY_ENCIPHERING, kind, size, _aes_context(serial, every))
    finally:
        cleanse(key)


def _aes_next(key, serial, counter):
    return aes_derive(key, DERIVATION, "aes", len(key), _aes_context(serial, counter))


def _aes_context(serial, counter):
    return serial[4:8] + counter.to_bytes(4, "big")


def _aes_serial(serial, counter):
    return serial[:AES_ID_BYTES] + counter.to_bytes(4, "big")


def _aes_working(key, serial, counter, use, kind):
    return aes_derive(key, USAGES[use], kind, len(key) if kind == "aes" else 16, _aes_context(serial, counter))


# Both.

# cipher: (bits of the counter, ones at most, bytes of the serial number, of the key, next key, serial number, working key)
_RULES: "dict[str, tuple[int, int, int, tuple, Callable, Callable, Callable]]" = {
    "tdes": (TDES_BITS, TDES_ONES, TDES_KSN_BYTES, (TDES_KEY_BYTES,), _tdes_next, _tdes_serial, _tdes_working),
    "aes": (AES_BITS, AES_ONES, AES_KSN_BYTES, AES_KEY_BYTES, _aes_next, _aes_serial, _aes_working),
}


def counter_of(cipher: str, serial: bytes) -> int:
    """The transaction counter in a key serial number."""
    bits, _, size = _rules(cipher)[:3]
    _insist(len(serial) == size, "a serial number of %d bytes" % size)
    return int.from_bytes(serial, "big") & ((1 << bits) - 1)


def after(cipher: str, counter: int) -> int:
    """The counter that comes next. Raises Worn."""
    bits, ones = _rules(cipher)[:2]
    following = counter + (1 if counter.bit_count() < ones else counter & -counter)
    if following >> bits:
        raise Worn("the last key of the series is used")
    return following


def serial_number(cipher: str, serial: bytes, counter: int) -> bytes:
    """The key serial number of a series with another counter."""
    return _rules(cipher)[5](serial, counter)


def transaction_key(cipher: str, initial: "bytes | bytearray", serial: bytes, counter: "int | None" = None) -> bytearray:
    """The key of one transaction straight from the initial key, as the host has it: from the highest one bit down."""
    if counter is None:
        counter = counter_of(cipher, serial)
    bits, _, size, sizes, following, _, _ = _rules(cipher)
    _insist(len(initial) in sizes and len(serial) == size, "a key or a serial number of another length")
    key, reached = bytearray(initial), 0
    for bit in range(bits - 1, -1, -1):
        if counter >> bit & 1:
            reached |= 1 << bit
            derived = following(key, serial, reached)
            cleanse(key)
            key = derived
    return key


class Transaction:
    """The keys of one transaction; `close` wipes them. The repr shows the serial number only."""

    def __init__(self, cipher: str, key: bytearray, serial: bytes) -> None:
        self.cipher = cipher
        self.serial = serial
        self._key = key

    @property
    def size(self) -> int:
        """Bytes of an AES working key; 16 for triple DES."""
        return len(self._key)

    def working(self, use: str, kind: str) -> bytearray:
        """The working key for one of USES and a cipher, "tdes" (16 bytes) or "aes", for the caller to wipe."""
        counter = counter_of(self.cipher, self.serial)
        return _rules(self.cipher)[6](self._key, self.serial, counter, use, kind)

    def close(self) -> None:
        cleanse(self._key)

    def __repr__(self) -> str:
        return "Transaction(%s)" % self.serial.hex().upper()


class Series:
    """What a device keeps of a DUKPT series: its serial number and the registers, as one record that can be saved.

        cipher (1: 0 tdes, 1 aes) | bytes of a key (1) | serial number of the last transaction | registers, lowest bit first

    An empty register is zeros.
    """

    CIPHERS = ("tdes", "aes")

    def __init__(self, record: "bytes | bytearray") -> None:
        """From a record; it becomes the series' own. Raises DukptError."""
        _insist(len(record) > 2 and record[0] < len(self.CIPHERS), "no record of a series")
        self.cipher = self.CIPHERS[record[0]]
        bits, _, size, sizes, self._following = _rules(self.cipher)[:5]
        self._key_bytes, self._at = record[1], 2 + size
        _insist(record[1] in sizes and len(record) == self._at + bits * record[1], "a record of another length")
        self.record = bytearray(record)

    @classmethod
    def begin(cls, cipher: str, initial: "bytes | bytearray", serial: bytes) -> "Series":
        """The series of an initial key. serial: its counter is zero. The initial key is the caller's to wipe."""
        bits, _, size, sizes, following = _rules(cipher)[:5]
        _insist(len(initial) in sizes and len(serial) == size, "a key or a serial number of another length")
        _insist(counter_of(cipher, serial) == 0, "the series does not begin at its beginning")
        head = bytes((cls.CIPHERS.index(cipher), len(initial))) + serial
        series = cls(head + bytes(bits * len(initial)))
        for bit in range(bits):
            series._fill(bit, following(initial, serial, 1 << bit))
        return series

    @property
    def serial(self) -> bytes:
        """Of the last transaction; with the counter zero before the first."""
        return bytes(self.record[2 : self._at])

    def advance(self) -> "Transaction":
        """Moves on to the next transaction and gives its keys. Raises Worn. Save `record` before they are used."""
        serial = self.serial
        counter = after(self.cipher, counter_of(self.cipher, serial))
        lowest = (counter & -counter).bit_length() - 1
        place = self._at + lowest * self._key_bytes
        key = self.record[place : place + self._key_bytes]
        if counter.bit_count() < _rules(self.cipher)[1]:
            for bit in range(lowest):
                self._fill(bit, self._following(key, serial, counter | 1 << bit))
        self._fill(lowest, bytearray(self._key_bytes))
        serial = serial_number(self.cipher, serial, counter)
        self.record[2 : self._at] = serial
        return Transaction(self.cipher, key, serial)

    def close(self) -> None:
        cleanse(self.record)

    def _fill(self, bit, key):
        at = self._at + bit * self._key_bytes
        self.record[at : at + self._key_bytes] = key
        cleanse(key)

    def __repr__(self) -> str:
        return "Series(%s)" % self.serial.hex().upper()


def _rules(cipher):
    if cipher not in _RULES:
        raise DukptError("there is DUKPT for tdes and aes")
    return _RULES[cipher]


def _insist(good, what):
    if not good:
        raise DukptError(what)
