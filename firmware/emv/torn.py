"""Torn transactions: the card left before its cryptogram arrived, and may have counted the money already.

The next time the same card is there for the same sale, it is asked for the cryptogram that it has (RECOVER AC) instead of a
new one. A record keeps what that cryptogram covers: everything the terminal said, the values of PDOL and CDOL1, and what
was asked for. Of the card it keeps a hash, and no number.

    kept       at most `records`, the oldest goes first
    used       once, by the same card, for the same amount, currency, kind and application
    too old    after `lifetime_s`, by the transactions' own date and time, or when they go backwards

The book compares card and sequence number only, and would give the merchant the old sale for a new one of another amount.

Source: EMV Book C-2, 3.7 and 4.6 (torn transaction log, DF811C lifetime, DF811D number of records).
"""

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.data import Data

RECORDS, LIFETIME_S = 5, 300

_SAME = (0x9F02, 0x9F03, 0x5F2A, 0x9C, 0x9F06)
_DAY_S = 86400


class Record:
    """One torn transaction. data: as it was (`told`, `tvr`, `cvm_results`, `pdol`); values: of CDOL1; asked: 00, 40 or 80;
    combined: whether a combined signature was asked for; method, signature: how the holder was verified."""

    def __init__(self, data: "Data", values: bytes, asked: int, combined: bool, method: str, signature: bool) -> None:
        self.card = _card(data)
        self.told = dict(data.told)
        self.tvr = bytes(data.tvr)
        self.cvm_results = data.cvm_results
        self.pdol = data.pdol
        self.values = values
        self.asked = asked
        self.combined = combined
        self.method = method
        self.signature = signature


class Torn:
    """The log. It lives as long as the terminal wants it to: nothing is lost but a recovery when it goes."""

    def __init__(self, records: int = RECORDS, lifetime_s: int = LIFETIME_S) -> None:
        self.records = records
        self.lifetime_s = lifetime_s
        self._kept: list[Record] = []

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, record: Record) -> None:
        """Keeps a record, in the place of an older one of the same card."""
        self._kept = [one for one in self._kept if one.card != record.card]
        self._kept.append(record)
        while len(self._kept) > self.records:
            self._kept.pop(0)

    def find(self, data: "Data") -> "Record | None":
        """The record of this card and sale, or None; what has become too old is dropped."""
        self._kept = [one for one in self._kept if 0 <= _age_s(one.told, data.told) <= self.lifetime_s]
        card = _card(data)
        for one in self._kept:
            if one.card == card and not [tag for tag in _SAME if one.told.get(tag) != data.told.get(tag)]:
                return one
        return None

    def drop(self, record: Record) -> None:
        """Forgets a record."""
        self._kept = [one for one in self._kept if one is not record]


def _card(data: "Data") -> bytes:
    """Which card: a hash over its number and sequence number."""
    return hashlib.sha256(data.said.get(0x5A, b"") + b"/" + data.said.get(0x5F34, b"")).digest()


def _age_s(then: "dict[int, bytes]", now: "dict[int, bytes]") -> int:
    """Seconds between two transactions of one day; less than nothing for two days, or none that can be read."""
    if then.get(0x9A) != now.get(0x9A):
        return -_DAY_S
    return _seconds(now.get(0x9F21, b"")) - _seconds(then.get(0x9F21, b""))


def _seconds(time: bytes) -> int:
    if len(time) != 3:
        return _DAY_S
    hours, minutes, seconds = [(part >> 4) * 10 + (part & 15) for part in time]
    return hours * 3600 + minutes * 60 + seconds
