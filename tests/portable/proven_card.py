"""A UnionPay card whose GPO answer is signed (fDDA), with the keys of `plain_keys`: made anew for what the terminal says."""

from firmware.emv import tlv
from tests.portable.plain_card import NUMBER, PlainCard, hexes
from tests.portable.plain_keys import LARGE, MIDDLE, SMALL, authority_row, card_objects, dynamic_signature, issuer_objects
from tests.portable.plain_settings import UNIONPAY_ROWS, card_settings

# Offline up to a thousand yuan, like a terminal of a canteen or a bus.
OFFLINE_ROW = dict(UNIONPAY_ROWS[0], ttq="76004080", floor_limit_fen=100000, terminal_floor_limit_fen=100000)


def offline_settings(revoked=(), keys=None, switches=None, **row):
    """Settings with the authority's key, in which a TC may be approved."""
    keys = [authority_row()] if keys is None else keys
    return card_settings([dict(OFFLINE_ROW, **row)], keys=keys, revoked=revoked, switches=switches)


_made: dict = {}


def certificates(issuer, card, static):
    """The objects of an issuer and of a card, each sorted; made once, since signing takes its time."""
    name = (issuer.size, card.size, static)
    if name not in _made:
        first, second = issuer_objects(LARGE, issuer), card_objects(issuer, card, static, number=NUMBER)
        _made[name] = (sorted(first.items()), sorted(second.items()))
    return _made[name]


class ProvenCard(PlainCard):
    """Signs GET PROCESSING OPTIONS.

    ctq, cryptogram   as of PlainCard      issuer, card   keys of plain_keys; the authority's is LARGE
    related           9F69: version, card's number, CTQ; `claim`: what its CTQ says, in the card's own words by default
    number            what is signed in place of the terminal's unpredictable number, None for that one
    """

    def __init__(self, ctq="0000", cryptogram=0x40, issuer=MIDDLE, card=SMALL, claim=None, version="01", tail=""):
        PlainCard.__init__(self, ctq, cryptogram)
        self.key = card
        self.number = None
        self.related = hexes(version + "A1A2A3A4" + (ctq if claim is None else claim) + tail)
        self.change(0x94, hexes("08010100 10010101 18010200"))
        first, second = certificates(issuer, card, tlv.encode(self.records[(2, 1)]))
        self.records[(3, 1)] = list(first)
        self.records[(3, 2)] = second + [(0x9F69, self.related)]
        self.gpo.append((0x9F4B, b""))

    def record(self, tag, value):
        """Replaces an object of the last record, or removes it with None."""
        last = self.records[(3, 2)]
        self.records[(3, 2)] = [(name, value if name == tag else old) for name, old in last if name != tag or value is not None]

    def apdu(self, command):
        if command[1] == 0xA8 and len(self.log) not in self.instead:
            told = command[7:]
            sent = (self.number or told[29:33]) + told[4:10] + told[23:25] + self.related
            if self.related[:1] == b"\x00":
                sent = told[29:33]
            self.change(0x9F4B, dynamic_signature(self.key, sent))
        return PlainCard.apdu(self, command)
