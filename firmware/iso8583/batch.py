"""What the private fields of a settlement hold: totals, lists of transactions, results of chips.

    F48 of 0500, 0510   62 digits: UnionPay's cards, then all others; of each half
                        debit amount 12, count 3, credit amount 12, count 3, flag 1
    F48 of 0320         count 2, then of each transaction 40 digits:
                        organisation 2, trace 6, card number 20 (right-justified), amount 12
    F48 of the end      count 4 of everything that was uploaded
    F62 of a chip's     ASCII: "61" done or "71" failed, organisation 2, "00", amount 12, currency 3

The flag is 0 in a request; in the reply the host says what it thinks of the half: 1 balanced, 2 not, 3 error. Whether a host
repeats our sums beside its flag or names its own differs; both are read.

Builders are strict and raise Iso8583Error; readers take a missing second half, and raise it for what cannot be read.

Source: reference/host.md §6 (settlement).
"""

from collections import namedtuple

from firmware.iso8583.codec import Iso8583Error
from firmware.iso8583.unionpay import AMOUNT_LIMIT_FEN, CURRENCY

UNIONPAY_CARDS, OTHER_CARDS = "00", "01"  # organisation
ORGANISATIONS = (UNIONPAY_CARDS, OTHER_CARDS)  # in the order of the halves

UNTOLD, BALANCED, UNBALANCED, ERROR = "0", "1", "2", "3"  # flag
FLAGS = (UNTOLD, BALANCED, UNBALANCED, ERROR)

# F60.3
UPLOAD = "201"
CHIP = {True: "203", False: "205"}  # by whether the host has said that all is balanced
FAILED_CHIP = {True: "204", False: "206"}
END = {True: "207", False: "202"}

HALF = 31
ITEM = 40
ITEMS_LIMIT = 8  # of one message
COUNT_LIMIT = 999  # of one side of a half
UPLOADS_LIMIT = 9999
DONE, FAILED = "61", "71"  # F62

Half = namedtuple("Half", ("debit_fen", "debits", "credit_fen", "credits", "flag"))
NOTHING = Half(0, 0, 0, 0, UNTOLD)
DIFFERENT = Half(0, 0, 0, 0, UNBALANCED)  # no sums, only that they differ


class Item(namedtuple("Item", ("organisation", "trace", "pan", "fen"))):
    """A line of a list; its `repr` holds no card number."""

    def __repr__(self) -> str:
        return "Item(%s)" % self.trace


Result = namedtuple("Result", ("kind", "organisation", "fen"))


def totals(unionpay: Half, others: Half) -> str:
    """F48 of 0500 and 0510."""
    return _half(unionpay) + _half(others)


def _half(half: Half) -> str:
    if half.flag not in FLAGS:
        raise Iso8583Error(48, None, "no such flag")
    if not (0 <= half.debits <= COUNT_LIMIT and 0 <= half.credits <= COUNT_LIMIT):
        raise Iso8583Error(48, None, "count out of range")
    return "%s%03d%s%03d%s" % (_fen(half.debit_fen), half.debits, _fen(half.credit_fen), half.credits, half.flag)


def _fen(fen: int) -> str:
    if not 0 <= fen <= AMOUNT_LIMIT_FEN:
        raise Iso8583Error(48, None, "amount out of range")
    return "%012d" % fen


def read_totals(text: str) -> "tuple[Half, Half]":
    """(UnionPay's cards, other cards) of an F48. A half that is not there is NOTHING."""
    if len(text) < HALF or not text.isdigit():
        raise Iso8583Error(48, None, "needs %d digits" % (2 * HALF))
    second = text[HALF : 2 * HALF]
    return _read_half(text), _read_half(second) if len(second) == HALF else NOTHING


def _read_half(text: str) -> Half:
    return Half(int(text[:12]), int(text[12:15]), int(text[15:27]), int(text[27:30]), text[30])


def items(listed: "list[Item]") -> str:
    """F48 of an upload: 1 to ITEMS_LIMIT transactions."""
    if not 1 <= len(listed) <= ITEMS_LIMIT:
        raise Iso8583Error(48, None, "1 to %d transactions" % ITEMS_LIMIT)
    return "%02d" % len(listed) + "".join([_item(item) for item in listed])


def _item(item: Item) -> str:
    if item.organisation not in ORGANISATIONS or len(item.trace) != 6 or not item.trace.isdigit():
        raise Iso8583Error(48, None, "no organisation or no trace number")
    if not 0 < len(item.pan) <= 20 or not item.pan.isdigit():
        raise Iso8583Error(48, None, "no card number")
    return item.organisation + item.trace + "0" * (20 - len(item.pan)) + item.pan + _fen(item.fen)


def read_items(text: str) -> "list[Item]":
    """The transactions of an F48. Zeros before a card number are none of it."""
    count = int(text[:2]) if text.isdigit() and len(text) > 1 else -1
    if not 0 <= count <= 99 or len(text) < 2 + count * ITEM:
        raise Iso8583Error(48, None, "no list of transactions")
    found = []
    for at in range(2, 2 + count * ITEM, ITEM):
        pan = text[at + 8 : at + 28].lstrip("0")
        found.append(Item(text[at : at + 2], text[at + 2 : at + 8], pan, int(text[at + 28 : at + ITEM])))
    return found


def count(uploaded: int) -> str:
    """F48 of the end."""
    if not 0 <= uploaded <= UPLOADS_LIMIT:
        raise Iso8583Error(48, None, "count out of range")
    return "%04d" % uploaded


def read_count(text: str) -> int:
    """How many were uploaded, by the F48 of an end."""
    if not text or len(text) > 6 or not text.isdigit():
        raise Iso8583Error(48, None, "no count")
    return int(text)


def chip(kind: str, organisation: str, fen: int, currency: str = CURRENCY) -> bytes:
    """F62 of a chip's transaction. kind: DONE or FAILED."""
    if kind not in (DONE, FAILED) or organisation not in ORGANISATIONS or len(currency) != 3:
        raise Iso8583Error(62, None, "no result of a chip")
    if not 0 <= fen <= AMOUNT_LIMIT_FEN:
        raise Iso8583Error(62, None, "amount out of range")
    return ("%s%s00%012d%s" % (kind, organisation, fen, currency)).encode()


def read_chip(data: bytes) -> Result:
    """What the F62 of a chip's transaction says."""
    if len(data) < 18 or not data[:18].isdigit():
        raise Iso8583Error(62, None, "no result of a chip")
    return Result(data[:2].decode(), data[2:4].decode(), int(data[6:18]))
