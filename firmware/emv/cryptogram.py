"""GENERATE AC: the card's word on the transaction, and its proof for the issuer.

    asked      P1: 00 AAC, 40 TC, 80 ARQC, and 10 more for a combined signature (CDA)
    data       the values of CDOL1 (8C), the second time of CDOL2 (8D)
    answer     80: CID, counter, cryptogram, issuer's data          77: 9F27, 9F36, 9F26 or 9F4B, 9F10 ...

The card may give what was asked for or less, TC > ARQC > AAC; the second time no ARQC. What gives more is no card. A list
that asks for tag 98 wants SHA-1 over the values of the card's TDOL (97), or of the terminal's own, which TVR 5:80 tells;
a terminal that has none hashes nothing.

With each answer the cryptogram of the one before is forgotten; else an answer only adds: it changes nothing the records said.

Source: EMV Book 3, 5.4, 6.5.5, 9, 10.8 and 10.11.
"""

import hashlib

from firmware.emv import apdu, dol, tlv
from firmware.emv.action import AAC, ARQC, TC
from firmware.emv.card import Ended, exchange, take
from firmware.emv.data import CARD_RISK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Step
    from firmware.emv.data import Data

CDOL_1, CDOL_2, TDOL, TC_HASH = 0x8C, 0x8D, 0x97, 0x98
COMBINED = 0x10  # in P1
DEFAULT_TDOL_USED = 0x80  # TVR byte 5

RANK = {AAC: 0, ARQC: 1, TC: 2}
KIND, ADVICE, REASON = 0xC0, 0x08, 0x07  # masks of CID

CID, COUNTER, PROOF, ISSUER_DATA, SIGNED = 0x9F27, 0x9F36, 0x9F26, 0x9F10, 0x9F4B
# tag: shortest and longest value
SIZES = ((CID, 1, 1), (COUNTER, 2, 2), (PROOF, 8, 8), (ISSUER_DATA, 0, 32))


class Cryptogram:
    """What became of a GENERATE AC.

    status       the card's status word; the rest but dol_values is only there for 9000
    dol_values   the data as they were sent
    kind         action.AAC, TC or ARQC           response   the answer's data, raw
    template     0x77 or 0x80                     signed     bool: 9F4B is in it (for CDA)
    advice       bool: the card wants an advice   reason     CID's reason code, 0..7
    """

    def __init__(self, status: int, dol_values: bytes, response: bytes) -> None:
        self.status = status
        self.dol_values = dol_values
        self.response = response
        self.kind = AAC
        self.template = 0
        self.signed = self.advice = False
        self.reason = 0


def generate(data: "Data", kind: int, dol_tag: int, cda: bool = False) -> "Step":
    """Asks for a cryptogram of `kind` over the list `dol_tag`, CDOL_1 or CDOL_2 -> Cryptogram.

    What the card says goes to `data.said`; sets TSI. Ends with "missing" (the list), "malformed" or "lost". Raises DolError,
    TlvError.
    """
    listed = data.said.get(dol_tag)
    if listed is None:
        raise Ended("missing")
    values = _values(data, dol.parse(listed))
    data.set_tsi(CARD_RISK)
    answer, status = yield from exchange(apdu.generate_ac(kind | (COMBINED if cda and kind != AAC else 0), values))
    given = Cryptogram(status, values, answer)
    if status == apdu.OK:
        read(data, given, kind, dol_tag == CDOL_2)
    return given


def _values(data: "Data", entries: "list[tuple[int, int]]") -> bytes:
    values = data.values()
    if any([tag == TC_HASH for tag, _ in entries]):
        listed = data.said.get(TDOL)
        if listed is None:
            listed = data.application.tdol
            data.set_tvr(5, DEFAULT_TDOL_USED)
            values = data.values()
        values[TC_HASH] = hashlib.sha1(dol.build(dol.parse(listed), values)).digest()
    return dol.build(entries, values)


def read(data: "Data", given: Cryptogram, asked: int, second: bool) -> None:
    """Takes apart the answer of `given` to a request for `asked`. Ends with "missing" or "malformed". Raises TlvError."""
    tree = tlv.decode(given.response)
    if len(tree) != 1 or tree[0][0] not in (0x77, 0x80):
        raise Ended("malformed")
    given.template = tree[0][0]
    said: dict[int, bytes] = {}
    take(said, _bare(tree[0][1]) if given.template == 0x80 else tree[0][1])
    given.signed = SIGNED in said
    if CID not in said or COUNTER not in said or not (given.signed or PROOF in said):
        raise Ended("missing")
    for tag, shortest, longest in SIZES:
        if tag in said and not shortest <= len(said[tag]) <= longest:
            raise Ended("malformed")
    information = said[CID][0]
    given.kind, given.advice, given.reason = information & KIND, bool(information & ADVICE), information & REASON
    if given.kind not in RANK or RANK[given.kind] > RANK[asked] or (second and given.kind == ARQC):
        raise Ended("malformed")
    for tag in (CID, COUNTER, PROOF, ISSUER_DATA, SIGNED):
        data.said.pop(tag, None)
    for tag in said:
        data.said.setdefault(tag, said[tag])


def _bare(value: bytes) -> "tlv.Tree":
    """The objects of an answer without tags."""
    if len(value) < 11:
        raise Ended("malformed")
    tree: tlv.Tree = [(CID, value[:1]), (COUNTER, value[1:3]), (PROOF, value[3:11])]
    return tree + [(ISSUER_DATA, value[11:])] if len(value) > 11 else tree
