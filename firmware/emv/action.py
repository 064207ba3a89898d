"""Terminal action analysis: what the terminal asks the card for, from the results so far and two opinions on them.

The issuer's action codes (on the card) and the acquirer's (the application's row) have the bits of TVR. A bit of TVR that is
set in either of them is a hit; of each there are three, for three questions:

    codes     card    without it   question
    denial    9F0E    no bit       is this so bad that money must not move?
    online    9F0F    every bit    must the issuer decide?
    default   9F0D    every bit    nobody can ask the issuer: must it be no?

    terminal (units of 9F35)   denial hit   else
    1, 4  online only          AAC          ARQC
    2, 5  both                 AAC          online hit: ARQC, else TC
    3, 6  offline only         AAC          default hit: AAC, else TC

Where an ARQC was given and the issuer cannot be reached: default hit: AAC, else TC. An acquirer's code that is not in the
row is no bit. The authorisation response code, 8A, tells the card what it was: Y1, Z1 offline; Y3, Z3 after no answer.

What only the issuer may approve, a void or a balance, is asked for as by a terminal that is online only.

Source: EMV Book 3, 10.7; Book 4, 6.3.6 and Annex A6.
"""

from firmware.emv.card import Ended
from firmware.emv.card_data import terminal_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.data import Data

AAC, TC, ARQC = 0x00, 0x40, 0x80  # as in CID and in P1 of GENERATE AC

APPROVED_OFFLINE, DECLINED_OFFLINE = b"Y1", b"Z1"
APPROVED_UNREACHED, DECLINED_UNREACHED = b"Y3", b"Z3"

ONLINE_ONLY, OFFLINE_ONLY = (1, 4), (3, 6)

_NO_BIT, _EVERY_BIT = bytes(5), b"\xff\xff\xff\xff\xff"


def first(data: "Data") -> int:
    """What the first GENERATE AC asks for: AAC, TC or ARQC. Sets 8A, Z1 or Y1, but for ARQC. Ends with "malformed"."""
    way = terminal_type(data)[1]
    if _hit(data, 0x9F0E, _NO_BIT, data.application.tac_denial):
        return _decided(data, AAC, DECLINED_OFFLINE)
    if way in ONLINE_ONLY or data.request.online:
        return _decided(data, ARQC, b"")
    if way in OFFLINE_ONLY:
        if _hit(data, 0x9F0D, _EVERY_BIT, data.application.tac_default):
            return _decided(data, AAC, DECLINED_OFFLINE)
    elif _hit(data, 0x9F0F, _EVERY_BIT, data.application.tac_online):
        return _decided(data, ARQC, b"")
    return _decided(data, TC, APPROVED_OFFLINE)


def unreachable(data: "Data") -> int:
    """What the second GENERATE AC asks for when the issuer was not reached: AAC or TC. Sets 8A, Z3 or Y3."""
    if _hit(data, 0x9F0D, _EVERY_BIT, data.application.tac_default):
        return _decided(data, AAC, DECLINED_UNREACHED)
    return _decided(data, TC, APPROVED_UNREACHED)


def _hit(data: "Data", tag: int, missing: bytes, acquirer: bytes) -> bool:
    issuer = data.said.get(tag, missing)
    if len(issuer) != 5:
        raise Ended("malformed")
    return any([data.tvr[at] & (issuer[at] | acquirer[at]) for at in range(5)])


def _decided(data: "Data", kind: int, response: bytes) -> int:
    if response:
        data.told[0x8A] = response
    else:
        data.told.pop(0x8A, None)
    return kind
