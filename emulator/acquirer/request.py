"""A request on its way through the acquirer: what kind it is, and what is decided of it.

A kind is a row of a table. Its messages say how it is told apart, by message type, F3, F25, F60.1 and F60.3; where two
rows fit, the one that says more wins. A module of the acquirer that answers kinds of its own brings its rows and adds
them (`add`); `core.PROVIDERS` lists those modules.

Source: reference/host.md §3.
"""

from collections import namedtuple
from typing import TYPE_CHECKING, Any

from firmware.iso8583 import unionpay
from firmware.iso8583.codec import Iso8583Error

if TYPE_CHECKING:
    from emulator.acquirer.keys import KeySet
    from emulator.acquirer.rules import Rule

# How a message is told: (message type, F3, F25, F60.1, F60.3); "" fits anything.
Message = namedtuple("Message", "mti processing condition kind code", defaults=("", "", "", ""))

_Kind = namedtuple(
    "_Kind",
    "name messages needed mac sign_on money written recorded reversible",
    defaults=((), True, True, "amount", "", "", False),
)


class Kind(_Kind):
    """One kind of request.

    name        as rules and books call it
    messages    tuple of Message
    needed      fields without which it is refused (30); 41, 42 and 60 are always needed
    mac         whether request and reply carry a MAC
    sign_on     whether the terminal must be signed on, and, where the host is asked, in the current batch
    money       "amount": F4 and F49 must be good;  "currency": F49;  "": neither is looked at
    written     whether the books keep it as a transaction: "asked" (its trace number must be new in the batch), "told" (it is
                so already, or will be repeated until it is answered: the same again is 94, and books nothing), or ""
    recorded    the kind it is in the books, when that is another
    reversible  whether a reversal (0400) can undo it
    """

    __slots__ = ()


KINDS: "dict[str, Kind]" = {}
_by_type: "dict[str, list[tuple[Message, str]]]" = {}
_found: "dict[Message, str]" = {}
FOUND_LIMIT = 1024
REVERSAL = "0400"


def add(*rows: Kind) -> None:
    """Takes rows into the table; one of the same name takes the older one's place."""
    for row in rows:
        KINDS[row.name] = row
    _found.clear()
    _by_type.clear()
    for row in KINDS.values():
        for message in row.messages:
            _by_type.setdefault(message.mti, []).append((message, row.name))
            if row.reversible:
                _by_type.setdefault(REVERSAL, []).append((message._replace(mti=REVERSAL), "reversal"))
    for told in _by_type.values():
        told.sort(key=lambda pair: sum(1 for word in pair[0] if word), reverse=True)


def kind_of(message: Message) -> str:
    """The name of the kind that a message is, "" for none."""
    found = _found.get(message)
    if found is None:
        found = ""
        for row, name in _by_type.get(message.mti, ()):
            if all(not word or word == got for word, got in zip(row, message, strict=True)):
                found = name
                break
        if len(_found) >= FOUND_LIMIT:
            _found.clear()
        _found[message] = found
    return found


def recorded() -> "set[str]":
    """The kinds that the books keep."""
    return {row.recorded or row.name for row in KINDS.values() if row.written}


def _sent(mti: str, processing: str, kind: str, *conditions: str) -> "tuple[Message, ...]":
    return tuple(Message(mti, processing, condition, kind) for condition in conditions or ("",))


def _codes(mti: str, *codes: str) -> "tuple[Message, ...]":
    return tuple(Message(mti, code=code) for code in codes)


MONEY = (3, 4, 11, 22, 25, 49)  # fields of every message that moves money
PLAIN: "dict[str, Any]" = {"mac": False, "sign_on": False, "money": ""}  # what moves none

add(
    Kind("sale", _sent("0200", "000000", "22"), MONEY, written="asked", reversible=True),
    Kind("void", _sent("0200", "200000", "23"), (*MONEY, 61), written="asked", reversible=True),
    Kind("refund", _sent("0220", "200000", "25"), (*MONEY, 37, 61), written="told"),
    Kind("preauth", _sent("0100", "030000", "10"), MONEY, written="asked", reversible=True),
    Kind("preauth-add", _sent("0100", "030000", "10", "60"), (*MONEY, 38), written="asked", reversible=True),
    Kind("preauth-void", _sent("0100", "200000", "11"), (*MONEY, 38, 61), written="asked", reversible=True),
    Kind("complete", _sent("0200", "000000", "20"), (*MONEY, 38, 61), written="asked", reversible=True),
    Kind("complete-notice", _sent("0220", "000000", "24"), (*MONEY, 38, 61), written="told"),
    Kind("complete-void", _sent("0200", "200000", "21"), (*MONEY, 37, 38, 61), written="asked", reversible=True),
    Kind("balance", _sent("0200", "310000", "01"), (3, 11, 22, 25, 49), money="currency"),
    Kind("offline-sale", _sent("0220", "000000", "30"), (*MONEY, 38), sign_on=False, written="told"),
    Kind("adjust", _sent("0220", "000000", "32"), (*MONEY, 48, 61), sign_on=False, written="told"),
    Kind("tip", _sent("0220", "000000", "34"), (*MONEY, 48, 61), sign_on=False, written="told"),
    Kind("moto", _sent("0200", "000000", "22", "08", "18"), (*MONEY, 2, 14), written="asked", reversible=True),
    Kind("instalment", _sent("0200", "000000", "22", "64"), (*MONEY, 62), written="asked", reversible=True),
    Kind(
        "upload", _sent("0200", "000000", "36") + _sent("0220", "000000", "36"), (*MONEY, 55),
        sign_on=False, written="told", recorded="sale",
    ),
    Kind("reversal", (), (3, 4, 11, 25, 39, 49), sign_on=False),
    Kind("script-result", _codes("0620", "951"), (11, 55), sign_on=False, money=""),
    Kind("failed-chip", _codes("0320", "204", "206"), (11,), **PLAIN),
    Kind("sign-on", _codes("0800", "001", "003", "004", "005", "006"), (11,), **PLAIN),
    Kind("sign-off", _codes("0820", unionpay.SIGN_OFF), (11,), **PLAIN),
    Kind("echo", _codes("0820", unionpay.ECHO), (), **PLAIN),
    Kind("master-key", _codes("0800", "999"), (), **PLAIN),
)  # fmt: skip

# What was decided. code: F39, "" where the reply has none; extra: other fields of the reply (None: not sent); authorisation,
# reference: F38, F37, made where they are ""; original: the Transaction that this one undoes, adjusts or gives back; hold:
# the one that it makes (number 0), raises or ends; amount_fen: what is booked when it is not F4; tip_fen: of it, a tip.
Outcome = namedtuple(
    "Outcome",
    "code extra authorisation reference original hold amount_fen tip_fen",
    defaults=((), "", "", None, None, None, 0),
)


class Request:
    """One request.

    kind            one of KINDS, or "" for a message that means nothing here;  row: of it, or None.
    undoes          the kind that a reversal undoes, "" for everything else.
    mti, fields     as unpacked;  message: the bytes they came in, for the MAC.
    private         field 60;  amount_fen: field 4, 0 without;  trace: field 11, "" without.
    pan             the card number, "" while it is not known.
    keys            keys.KeySet of this message, None without.
    ksn_counter     the counter of its DUKPT keys, -1 without.
    rule            rules.Rule that a person made for it, None without.
    """

    def __init__(self, kind: str, mti: str, fields: dict, message: bytes, undoes: str = "") -> None:
        self.kind, self.mti, self.fields, self.message = kind, mti, fields, message
        self.undoes = undoes
        self.row = KINDS.get(kind)
        self.private = unionpay.read_private60(fields[60])
        self.amount_fen = int(fields.get(4, "0"))
        self.trace = fields.get(11, "")
        self.pan = ""
        self.keys: "KeySet | None" = None
        self.ksn_counter = -1
        self.rule: "Rule | None" = None

    @property
    def action(self) -> str:
        """What its rule does, "" without."""
        return self.rule.action if self.rule else ""

    @property
    def recorded(self) -> str:
        """The kind it is in the books."""
        return self.row.recorded or self.kind if self.row else ""


def classify(mti: str, fields: dict, message: bytes) -> Request:
    """The request that a message is. Raises Iso8583Error for what no terminal asks."""
    if mti[2] not in "02":
        raise Iso8583Error(0, 0, "not a request")
    for field in (41, 42, 60):
        if field not in fields:
            raise Iso8583Error(field, None, "missing")
    private = unionpay.read_private60(fields[60])
    told = Message(mti, fields.get(3, ""), fields.get(25, ""), private.kind, private.code)
    undoes = ""
    if mti == REVERSAL:
        undoes = kind_of(told._replace(mti="0200")) or kind_of(told._replace(mti="0100"))
    return Request(kind_of(told), mti, fields, message, undoes)
