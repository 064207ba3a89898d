"""Processing restrictions: may this application be used here, today, for this?

    TVR    what is compared                                            left out where the card lacks
    2:80   9F08 of the card and 9F09 of the terminal differ            9F08
    2:20   the application begins, 5F25, after today                   5F25
    2:40   it ends, 5F24, before today                                 (it must be there: without, it has ended)
    2:10   its usage control, 9F07, excludes this use                  9F07; the parts by country: 5F28

Usage control has one bit for cash machines and one for all other terminals; then a pair a kind of use, domestic where the
issuer's country is the terminal's, international otherwise. A sale is of goods, of services, or of both, as the terminal's
own capabilities say; the application may be used when it may be for one of them. Cashback is asked for besides.

No decision stops the transaction: the action codes weigh the bits later. A date that is none counts against the card.

Source: EMV Book 3, 10.4; Book 4, 6.3.3 and 6.7.3 (the century); Annex A1 (cash machine: types 14, 15, 16 that pay out).
"""

from binascii import hexlify

from firmware.emv.card import Ended
from firmware.emv.card_data import first_byte, terminal_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.data import Data

VERSIONS_DIFFER, EXPIRED, NOT_YET_EFFECTIVE, NOT_ALLOWED = 0x80, 0x40, 0x20, 0x10

CASH_TYPES = (0x01, 0x12, 0x17)  # 9C: at a machine; by hand, as the schemes number it
SALE, CASHBACK = 0x00, 0x09

# 9F40 byte 1: what the terminal sells
PAYS_OUT, GOODS, SERVICES = 0x80, 0x40, 0x20

# 9F07: byte 1 but for the last two rows, domestic and international
AT_CASH_MACHINES, ELSEWHERE = 0x02, 0x01
FOR_CASH, FOR_GOODS, FOR_SERVICES, FOR_CASHBACK = (0x80, 0x40), (0x20, 0x10), (0x08, 0x04), (0x80, 0x40)


def check(data: "Data") -> None:
    """Sets TVR byte 2. Ends with "malformed" where an object does not have its length."""
    said = data.said
    if 0x9F08 in said and said[0x9F08] != data.told.get(0x9F09):
        data.set_tvr(2, VERSIONS_DIFFER)
    today = data.told.get(0x9A)
    if 0x5F25 in said and not_effective(said[0x5F25], today):
        data.set_tvr(2, NOT_YET_EFFECTIVE)
    if expired(said.get(0x5F24), today):
        data.set_tvr(2, EXPIRED)
    if 0x9F07 in said and not _usable(data, said[0x9F07]):
        data.set_tvr(2, NOT_ALLOWED)


def day(value: "bytes | None") -> str:
    """A date, three bytes YYMMDD, as "YYYYMMDD"; "" for what is none. Years below 50 are of this century."""
    digits = hexlify(value or b"").decode()
    if len(digits) != 6 or not digits.isdigit() or not 1 <= int(digits[2:4]) <= 12 or not 1 <= int(digits[4:]) <= 31:
        return ""
    return ("20" if digits[:2] < "50" else "19") + digits


def expired(date: "bytes | None", today: "bytes | None") -> bool:
    """Whether an application that is good to the end of `date` has ended; YYMMDD, three bytes. True for a date that is none."""
    end, now = day(date), day(today)
    return not end or not now or end < now


def not_effective(date: "bytes | None", today: "bytes | None") -> bool:
    """Whether an application that begins on `date` is not to be used yet. True for a date that is none."""
    start, now = day(date), day(today)
    return not start or not now or start > now


def is_cash(data: "Data") -> bool:
    """Whether money is paid out and nothing sold."""
    return first_byte(data, 0x9C) in CASH_TYPES


def has_cashback(data: "Data") -> bool:
    """Whether money is paid out with a sale."""
    kind = first_byte(data, 0x9C)
    return kind == CASHBACK or (kind == SALE and data.request.other_fen > 0)


def _usable(data: "Data", control: bytes) -> bool:
    if len(control) != 2:
        raise Ended("malformed")
    owner, way = terminal_type(data)
    abilities = first_byte(data, 0x9F40)
    machine = owner == 1 and way > 3 and abilities & PAYS_OUT
    if not control[0] & (AT_CASH_MACHINES if machine else ELSEWHERE):
        return False
    if 0x5F28 not in data.said:
        return True
    abroad = 0 if data.said[0x5F28] == data.told.get(0x9F1A) else 1
    if is_cash(data):
        return bool(control[0] & FOR_CASH[abroad])
    if first_byte(data, 0x9C) not in (SALE, CASHBACK):
        return True
    if has_cashback(data) and not control[1] & FOR_CASHBACK[abroad]:
        return False
    sold = FOR_GOODS[abroad] if abilities & GOODS else 0
    sold |= FOR_SERVICES[abroad] if abilities & SERVICES else 0
    return bool(control[0] & (sold or FOR_GOODS[abroad] | FOR_SERVICES[abroad]))
