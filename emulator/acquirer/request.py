"""A request on its way through the acquirer, and what is decided of it."""

from collections import namedtuple

from firmware.iso8583 import unionpay
from firmware.iso8583.codec import Iso8583Error

CHIP_UPLOAD, OFFLINE_SALE = "36", "30"  # F60.1
SCRIPT_RESULT = "951"  # F60.3
UPLOADS = ("upload", "offline")  # of what was approved without the host
NOTICES = ("script-result", "failed-chip")

# (message type, processing code, F60.1) -> kind; for management and notices (message type, F60.3) -> kind.
FINANCIAL = {
    ("0200", "000000", unionpay.SALE): "sale",
    ("0200", "200000", unionpay.VOID): "void",
    ("0200", "310000", unionpay.BALANCE): "balance",
    ("0400", "000000", unionpay.SALE): "reversal",
    ("0400", "200000", unionpay.VOID): "reversal",
    ("0200", "000000", CHIP_UPLOAD): "upload",
    ("0220", "000000", CHIP_UPLOAD): "upload",
    ("0220", "000000", OFFLINE_SALE): "offline",
}
MANAGEMENT = {
    ("0620", SCRIPT_RESULT): "script-result",
    ("0320", "204"): "failed-chip",
    ("0320", "206"): "failed-chip",
    ("0800", unionpay.KEYS_SINGLE): "sign-on",
    ("0800", unionpay.KEYS_DOUBLE): "sign-on",
    ("0800", unionpay.KEYS_TRACK): "sign-on",
    ("0820", unionpay.SIGN_OFF): "sign-off",
    ("0820", unionpay.ECHO): "echo",
}
NEEDED = {
    "sale": (3, 4, 11, 22, 25, 49),
    "void": (3, 4, 11, 22, 25, 49, 61),
    "balance": (3, 11, 22, 25, 49),
    "reversal": (3, 4, 11, 25, 39, 49),
    "upload": (3, 4, 11, 22, 25, 49, 55),
    "offline": (3, 4, 11, 22, 25, 49),
    "script-result": (11, 55),
    "failed-chip": (11,),
    "sign-on": (11,),
    "sign-off": (11,),
    "echo": (),
}

# What was decided: F39, fields of the reply, F38, F37, the sale that a void takes back.
Outcome = namedtuple("Outcome", "code extra authorisation reference sale", defaults=((), "", "", None))


class Request:
    """One request.

    kind            one of NEEDED, or "" for a message that means nothing here.
    mti, fields     as unpacked;  message: the bytes they came in, for the MAC.
    private         field 60;  amount_fen: field 4, 0 without;  trace: field 11, "" without.
    pan             the card number, "" while it is not known.
    """

    def __init__(self, kind: str, mti: str, fields: dict, message: bytes) -> None:
        self.kind, self.mti, self.fields, self.message = kind, mti, fields, message
        self.private = unionpay.read_private60(fields[60])
        self.amount_fen = int(fields.get(4, "0"))
        self.trace = fields.get(11, "")
        self.pan = ""


def classify(mti: str, fields: dict, message: bytes) -> Request:
    """The request that a message is. Raises Iso8583Error for what no terminal asks."""
    if mti[2] not in "02":
        raise Iso8583Error(0, 0, "not a request")
    for field in (41, 42, 60):
        if field not in fields:
            raise Iso8583Error(field, None, "missing")
    private = unionpay.read_private60(fields[60])
    kind = MANAGEMENT.get((mti, private.code)) or FINANCIAL.get((mti, fields.get(3, ""), private.kind)) or ""
    return Request(kind, mti, fields, message)
