"""The card's own risk management: what it makes of what the terminal asks for, and how it says so in 9F10.

    first cryptogram     asked AAC   AAC
                         asked ARQC  ARQC; a card that declines: AAC
                         asked TC    TC where nothing below speaks against it; else ARQC

        its limit for one amount, its run of offline transactions, a new card, an online transaction that was not brought
        to an end, an issuer who was not authenticated, a PIN that is blocked

    second cryptogram    asked AAC   AAC
                         asked TC    with the issuer's answer: TC; AAC where a strict card has not seen a right ARPC
                                     without (Y3): TC while the run is not over its upper limit, and the card is not new

CVR, of 9F10, by the bits of VIS, which PBOC shares: byte 1 the two cryptograms, PIN and issuer; byte 2 what was noticed;
byte 3 the scripts. M/Chip has its own; here only its first byte says something.

Sources: EMV Book 3, 10.8 and Annex C7; VIS 1.5 and PBOC 3.0 part 5 for the CVR, as public descriptions have it.
"""

from emulator.cards.cryptogram import AAC, ARQC, CHOSEN, TC
from emulator.cards.profile import Profile

NOT_ASKED = 0x80  # of the second cryptogram, in the CVR
_FIRST = {AAC: 0x00, TC: 0x10, ARQC: 0x20}
_SECOND = {AAC: 0x00, TC: 0x40}
# CVR byte 1: ISSUER_FAILED, PIN_GOOD, PIN_WRONG, UNREACHABLE; byte 2: the rest
ISSUER_FAILED, PIN_DONE, PIN_FAILED, UNREACHABLE = 0x08, 0x04, 0x02, 0x01
UNFINISHED, BLOCKED_PIN, TOO_MANY, NEW, LAST_FAILED, NOT_DONE = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04

QUICK_DATA = bytes.fromhex("0A") + bytes.fromhex("010000000000") + bytes(4)  # e-cash balance and its MAC: none


class State:
    """What a card's application remembers from one transaction to the next.

    atc, online   the transaction counter, and its value at the last one that the issuer answered (LOATC); 0: never
    tries         PIN tries left;  pin: digits
    blocked       the application;  unfinished, issuer_failed: of the last online transaction
    scripts, script_failed   commands since the last cryptogram
    """

    NAMES = ("atc", "online", "tries", "pin", "blocked", "unfinished", "issuer_failed", "scripts", "script_failed")

    def __init__(self, profile: Profile, pin: str) -> None:
        self.atc = self.online = 1 if profile.run and profile.seen else 0
        self.tries = profile.tries if profile.tries_left < 0 else profile.tries_left
        self.pin = pin
        self.blocked = profile.blocked
        self.unfinished = self.issuer_failed = self.script_failed = False
        self.scripts = 0

    def to_json(self) -> dict:
        return {name: getattr(self, name) for name in self.NAMES}

    def update(self, kept: dict) -> None:
        """Takes what `to_json` gave."""
        for name in self.NAMES:
            if name in kept:
                setattr(self, name, type(getattr(self, name))(kept[name]))


def is_new(state: State, profile: Profile) -> bool:
    """Whether the issuer has never answered this card."""
    return state.online == 0 and not profile.seen


def noticed(state: State, profile: Profile) -> int:
    """CVR byte 2 before the first cryptogram."""
    bits = (UNFINISHED if state.unfinished else 0) | (BLOCKED_PIN if not state.tries else 0)
    bits |= (LAST_FAILED if state.issuer_failed else 0) | (NEW if is_new(state, profile) else 0)
    if profile.run and state.atc - state.online > profile.run[0]:
        bits |= TOO_MANY
    return bits


def first(asked: int, state: State, profile: Profile, amount: bytes, declines: bool = False) -> int:
    """AAC, TC or ARQC. amount: tag 9F02; one that is none is over every limit."""
    if declines or state.blocked or asked == AAC:
        return AAC
    if (
        asked == TC
        and profile.offline_fen
        and amount.hex().isdigit()
        and int(amount.hex()) <= profile.offline_fen
        and not noticed(state, profile)
    ):
        return TC
    return ARQC


def second(asked: int, state: State, profile: Profile, answered: bool, proven: bool) -> int:
    """AAC or TC. answered: the issuer was reached; proven: its ARPC was right."""
    if asked != TC or state.blocked:
        return AAC
    if answered:
        return AAC if profile.strict and profile.issuer and not proven else TC
    over = bool(profile.run) and state.atc - state.online > profile.run[1]
    return AAC if over or is_new(state, profile) else TC


def issuer_data(scheme: str, one: int, other: int, state: State, quick: bool = False) -> bytes:
    """9F10. one, other: CVR bytes 1 and 2."""
    version = CHOSEN[scheme]
    scripts = min(state.scripts, 15) << 4 | (0x08 if state.script_failed else 0)
    if scheme == "mastercard":
        return bytes((0x01, version, one & 0xF0, 0, 0, other, scripts, 0)) + bytes(10)
    head = bytes((0x01, version, 0x03, one, other, scripts))
    if scheme == "visa":
        return bytes((len(head),)) + head
    return b"\x07" + head + b"\x01" + (QUICK_DATA if quick else b"")


def kinds(one: int, other: "int | None" = None) -> int:
    """The upper half of CVR byte 1 for the two cryptograms; other None: not asked for yet."""
    return _FIRST[one] | (NOT_ASKED if other is None else _SECOND[other])
