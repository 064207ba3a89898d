"""The dynamic code of a stripe-mode card, and where it goes: into the discretionary data of its tracks.

The issuer sees only a track, so everything that it needs to check the code travels in it:

    what                       how much                             into
    CVC3, as a decimal         its last digits, as many as there    the positions of PCVC3
                               are positions
    the terminal's number      its last nUN digits                  the last nUN positions of PUNATC
    the card's counter (ATC)   its last NATC digits                 the first NATC positions of PUNATC
    how many digits of the     one digit, 5 more (modulo 10) where  the last digit
    terminal's number: nUN     the holder was verified on his device

    nUN = positions of PUNATC - NATC, 0 to 8

A position is a bit that is set; the lowest bit is the last digit. Tags by track:

               track        CVC3    PCVC3   PUNATC  NATC
    track 1    56           9F60    9F62    9F63    9F64
    track 2    9F6B         9F61    9F65    9F66    9F67

Source: EMV Book C-2, 4.7 and S13.18 to S13.22, as public kernels follow it.
"""

from binascii import unhexlify

from firmware.emv import track2

TRACK_1, TRACK_2 = 0x56, 0x9F6B
# track: CVC3, PCVC3, PUNATC, NATC
TAGS = {TRACK_1: (0x9F60, 0x9F62, 0x9F63, 0x9F64), TRACK_2: (0x9F61, 0x9F65, 0x9F66, 0x9F67)}

MAX_DIGITS = 8  # of the terminal's number
ON_DEVICE = 5
FIXED = 7  # expiry and service code, before the discretionary data


class Cvc3Error(ValueError):
    """A card whose tracks and positions do not fit together. The text has no digit of them."""


def positions(bits: bytes) -> "list[int]":
    """The places of the bits that are set, the lowest first: 0 is the last digit."""
    number = int.from_bytes(bits, "big")
    return [at for at in range(8 * len(bits)) if number >> at & 1]


def digits_asked(said: "dict[int, bytes]") -> int:
    """nUN of a card, the same for each track that it has. Raises Cvc3Error."""
    count = _asked(said, TRACK_2)
    if said.get(TRACK_1) and _asked(said, TRACK_1) != count:
        raise Cvc3Error("the tracks ask for different numbers of digits")
    return count


def _asked(said: "dict[int, bytes]", track: int) -> int:
    _, code_at, number_at, counter = TAGS[track]
    if not said.get(code_at) or not said.get(number_at) or len(said.get(counter, b"")) != 1:
        raise Cvc3Error("a track without its positions")
    count = len(positions(said[number_at])) - said[counter][0]
    if not 0 <= count <= MAX_DIGITS:
        raise Cvc3Error("%d digits are asked for" % count)
    return count


def fill(said: "dict[int, bytes]", unpredictable: str, on_device: bool) -> None:
    """Fills the tracks in `said`. unpredictable: eight digits. Raises Cvc3Error, Track2Error."""
    count = digits_asked(said)
    last = (count + (ON_DEVICE if on_device else 0)) % 10
    number, expiry, service, track = track2.parse(said[TRACK_2])
    at = len(number) + 1 + FIXED
    track = track[:at] + _filled(said, TRACK_2, track[at:], unpredictable, count, last)
    said[TRACK_2] = unhexlify(track if len(track) % 2 == 0 else track + "F")
    if said.get(TRACK_1):
        first = said[TRACK_1]
        parts = first.split(b"^", 2)
        if len(parts) != 3 or parts[0][:1] != b"B" or max(first) > 0x5F or min(first) < 0x20:
            raise Cvc3Error("track 1 is none")
        at = len(first) - len(parts[2]) + FIXED
        text = _filled(said, TRACK_1, first[at:].decode(), unpredictable, count, last)
        said[TRACK_1] = first[:at] + text.encode()


def _filled(said: "dict[int, bytes]", track: int, own: str, unpredictable: str, count: int, last: int) -> str:
    """The discretionary data with everything in place."""
    code_tag, code_at, number_at, counter = TAGS[track]
    digits = list(own)
    _put(digits, positions(said[code_at]), "%05d" % int.from_bytes(said[code_tag], "big"))
    places = positions(said[number_at])
    _put(digits, places[:count], unpredictable)
    _put(digits, places[count:], "%05d" % int.from_bytes(said[0x9F36], "big"))
    _put(digits, [0], str(last))
    return "".join(digits)


def _put(digits: "list[str]", places: "list[int]", number: str) -> None:
    """The last digits of a number, the very last into the lowest place; zeros where it has no more."""
    for order in range(len(places)):
        at = len(digits) - 1 - places[order]
        if at < 0:
            raise Cvc3Error("a position outside the track")
        digits[at] = number[len(number) - 1 - order] if order < len(number) else "0"


def masked_number(number: bytes, count: int) -> str:
    """The terminal's number (4 bytes) as eight digits, of which only the last `count` are not zero."""
    return "%08d" % (int.from_bytes(number, "big") % 10**count)
