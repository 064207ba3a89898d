"""What a swipe says: the text of a magnetic stripe reader as card number, dates and rules.

The reader decodes the flux and sends text, one track after the other, each between a start sentinel and "?":

    track   start    alphabet            at most   what a bank card has there
    1       %        20..5F of ASCII     76        B number ^ name ^ YYMM service own data
    2       ;        30..3F of ASCII     37        number = YYMM service own data
    3       + or ;   30..3F of ASCII     104       format code, number = ...

A date or a service code that the issuer left out is one separator in its place. After "?" comes the LRC, or it was taken
off: the character at that place is taken for one only if a track or nothing follows it, because an LRC can look like
a start sentinel. A track that the reader could not read is "E"; one with a wrong LRC, a character outside its
alphabet, or no end is the same to us. Between tracks STX, ETX, CR, LF and NUL are framing. A second track with ";", or
one that is too long for track 2, is track 3.

The service code says what the card may do, digit by digit: SERVICE. A card number stays in the Swipe and nowhere else:
no error and no repr has a digit of it.

Sources: ISO/IEC 7811-2 (alphabets, LRC), ISO/IEC 7813 (tracks 1 and 2, service code), ISO/IEC 4909 (track 3);
reference/hardware.md 6.2.
"""

from collections import namedtuple

from firmware.emv import track2

MAX_BYTES = 512

# start sentinel: (first character of the alphabet, mask of its bits)
ALPHABETS = {"%": (0x20, 0x3F), ";": (0x30, 0x0F), "+": (0x30, 0x0F)}
LONGEST = {1: 76, 2: 37, 3: 104}
END = "?"
FAILED = "E"
FRAMING = "\x00\x02\x03\r\n"

# why of a StripeError: what it means
REASONS = {
    "unreadable": "no track could be read",
    "no-track2": "track 2 is missing or could not be read",
    "format": "track 2 is not that of a bank card",
    "luhn": "the check digit of the card number is wrong",
}

# For each digit of the service code: value -> (words, what follows from it).
SERVICE: "tuple[dict[str, tuple[str, dict[str, object]]], ...]" = (
    {
        "1": ("international", {}),
        "2": ("international, chip", {"chip": True}),
        "5": ("national", {"national": True}),
        "6": ("national, chip", {"national": True, "chip": True}),
        "7": ("private", {"private": True}),
        "9": ("test", {"test": True}),
    },
    {
        "0": ("normal authorisation", {}),
        "2": ("authorised by the issuer, online", {"online": True}),
        "4": ("authorised by the issuer, online, but for agreements between banks", {"online": True}),
    },
    {
        "0": ("no restriction, PIN required", {"pin": "required"}),
        "1": ("no restriction", {}),
        "2": ("goods and services only", {"cash": False}),
        "3": ("ATM only, PIN required", {"goods": False, "pin": "required"}),
        "4": ("cash only", {"goods": False}),
        "5": ("goods and services only, PIN required", {"cash": False, "pin": "required"}),
        "6": ("no restriction, PIN where there is a PIN pad", {"pin": "asked"}),
        "7": ("goods and services only, PIN where there is a PIN pad", {"cash": False, "pin": "asked"}),
    },
)
# What holds where no digit says otherwise, and what a digit that the standard reserves comes to: the issuer decides.
_PLAIN: "tuple[tuple[str, object], ...]" = (
    ("chip", False), ("national", False), ("private", False), ("test", False), ("online", False),
    ("goods", True), ("cash", True), ("pin", ""),
)  # fmt: skip
_RESERVED: "tuple[str, dict[str, object]]" = ("reserved", {"online": True})

Rules = namedtuple("Rules", ("chip", "national", "private", "test", "online", "goods", "cash", "pin", "words"))


class StripeError(ValueError):
    """A swipe that is of no use. why: a key of REASONS; failed: the tracks that could not be read, such as (1, 3)."""

    def __init__(self, why: str, failed: "tuple[int, ...]" = ()) -> None:
        super().__init__(REASONS[why])
        self.why = why
        self.failed = failed


class Swipe:
    """One swipe with a track 2 of a bank card.

    pan       12..19 digits                 expiry    "YYMM", "" for a card without end
    service   three digits or ""            name      of track 1 as it is there, "SURNAME/FIRST"; not for any screen
    track1    without sentinels and LRC, "" when not read
    track2    the same with D for "=", at most 37: field 35 of the host
    track3    the same, at most 104: field 36; "" when not read
    failed    numbers of the tracks that are there and could not be read
    agrees    False where track 1 names another number, date or service code than track 2: a stripe that was tampered with
    """

    def __init__(self, tracks: "dict[int, str]", failed: "tuple[int, ...]") -> None:
        self.track1 = tracks.get(1, "")
        self.track2 = tracks.get(2, "").replace("=", "D")
        self.track3 = tracks.get(3, "").replace("=", "D")
        self.failed = failed
        number, mark, rest = tracks.get(2, "").partition("=")
        self.pan, (self.expiry, self.service) = _number(number, mark), _dates(rest, "=")
        self.name = ""
        self.agrees = True
        if self.track1:
            self._first_track()

    def _first_track(self) -> None:
        """Name, and whether track 1 says what track 2 says. A format of another owner than the banks says nothing."""
        parts = self.track1.split("^", 2)
        if self.track1[0] != "B" or len(parts) != 3:
            return
        self.name = parts[1].strip()
        try:
            said = (_number(parts[0][1:].replace(" ", ""), "^"),) + _dates(parts[2], "^")
        except StripeError:
            said = ("", "", "")
        self.agrees = said == (self.pan, self.expiry, self.service)

    def forget(self) -> None:
        """Drops everything that came from the card."""
        self.pan = self.expiry = self.service = self.name = self.track1 = self.track2 = self.track3 = ""

    def __repr__(self) -> str:
        there = [name for name, track in (("1", self.track1), ("2", self.track2), ("3", self.track3)) if track]
        return "Swipe(tracks %s%s)" % (" ".join(there) or "none", "" if self.agrees else ", which disagree")


def parse(text: "bytes | bytearray", check_digit: bool = True) -> Swipe:
    """The text of one swipe. Raises StripeError.

    check_digit: refuse a card number whose last digit is not the one of ISO/IEC 7812-1.
    """
    if len(text) > MAX_BYTES:
        raise StripeError("unreadable")
    tracks, failed = _tracks("".join([chr(byte) for byte in text]))
    if not tracks:
        raise StripeError("unreadable", failed)
    if 2 not in tracks:
        raise StripeError("no-track2", failed)
    swipe = Swipe(tracks, failed)
    if check_digit and not luhn(swipe.pan):
        raise StripeError("luhn", failed)
    return swipe


def _tracks(text: str) -> "tuple[dict[int, str], tuple[int, ...]]":
    """({number: contents}, numbers that failed). An empty track is none; what is outside of the tracks makes it unreadable."""
    found: dict[int, str] = {}
    failed: list[int] = []
    last = at = 0
    while at < len(text):
        start = text[at]
        if start in FRAMING:
            at += 1
            continue
        if start not in ALPHABETS:
            raise StripeError("unreadable", tuple(failed))
        end = text.find(END, at)
        whole = end >= 0
        end = end if whole else len(text)
        inside = text[at + 1 : end]
        number = _which(start, inside, last)
        if number <= last:
            raise StripeError("unreadable", tuple(failed))
        last = number
        good = whole and _fits(inside, number)
        if whole:
            check = text[at : end + 1]
            at = end + 1
            if _is_check_character(text, at):
                good = good and text[at] == lrc(check)
                at += 1
            elif good and text[at : at + 1] in ALPHABETS and text[at] == lrc(check) and _begins(text, at + 1):
                at += 1
        else:
            at = end
        if not good:
            failed.append(number)
        elif inside:
            found[number] = inside
    return found, tuple(failed)


def _which(start: str, inside: str, last: int) -> int:
    if start == "%":
        return 1
    return 3 if start == "+" or last >= 2 or len(inside) > LONGEST[2] else 2


def _is_check_character(text: str, at: int) -> bool:
    """Whether the character behind a track belongs to it, whatever it is worth: it begins no track and is no framing."""
    return at < len(text) and text[at] not in FRAMING and text[at] not in ALPHABETS


def _begins(text: str, at: int) -> bool:
    """Whether a track, framing or the end is at this place."""
    return at == len(text) or text[at] in FRAMING or text[at] in ALPHABETS


def _fits(inside: str, number: int) -> bool:
    if number > 1:
        return len(inside) <= LONGEST[number] and all(["0" <= c <= "9" or c == "=" for c in inside])
    return inside != FAILED and len(inside) <= LONGEST[1] and all([" " <= c <= "_" and c not in "%?" for c in inside])


def _number(digits: str, mark: str) -> str:
    try:
        number = track2.card_number(digits)
    except track2.Track2Error:
        number = ""
    if not number or not mark:
        raise StripeError("format")
    return number


def _dates(rest: str, separator: str) -> "tuple[str, str]":
    """(expiry, service code), "" for one that a separator stands for. 0000 is how some debit cards say that they never end."""
    expiry = service = ""
    if rest[:1] == separator:
        rest = rest[1:]
    else:
        expiry, rest = rest[:4], rest[4:]
        if len(expiry) < 4 or not expiry.isdigit() or (expiry != "0000" and not 1 <= int(expiry[2:]) <= 12):
            raise StripeError("format")
    if len(rest) > 2 and rest[:3].isdigit():
        service = rest[:3]
    return "" if expiry == "0000" else expiry, service


def lrc(track: str) -> str:
    """The check character of a track from start to end sentinel: XOR of the data bits of all its characters.

    Its own parity is the reader's business. Raises ValueError for what does not begin with a start sentinel.
    """
    if track[:1] not in ALPHABETS or not track:
        raise ValueError("no start sentinel")
    base, mask = ALPHABETS[";" if track[0] == "+" else track[0]]
    total = 0
    for at, letter in enumerate(track):
        # Readers write "+" for track 3; on the stripe its sentinel is that of track 2.
        total ^= (ord(";" if at == 0 and letter == "+" else letter) - base) & mask
    return chr(base + total)


def compose(track1: str = "", track2: str = "", track3: str = "", check: bool = False) -> bytes:
    """What a reader sends for these contents ("" for a track that is not there); check: with the LRC of each."""
    parts = []
    for start, inside in (("%", track1), (";", track2), ("+", track3)):
        if inside:
            track = start + inside.replace("D", "=") + END if start != "%" else start + inside + END
            parts.append(track + (lrc(track) if check else ""))
    return "".join(parts).encode()


def luhn(pan: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B). False for what is no number."""
    if len(pan) < 2 or not all(["0" <= c <= "9" for c in pan]):
        return False
    total = 0
    for at in range(len(pan)):
        digit = int(pan[-1 - at])
        if at % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def chip_card(service: str) -> bool:
    """Whether the card has a chip that must be used before its stripe: a service code of 2.. or 6.. ."""
    return service[:1] in ("2", "6")


def service_rules(service: str) -> Rules:
    """What a service code allows and asks for; "" (the card has none) leaves everything to the issuer.

    chip      the chip must be used first                   online   only the issuer may approve
    national, private, test   where the card is good        goods, cash   what it may be used for
    pin       "required", "asked" (where there is a PIN pad) or ""
    words     one text a digit, for people
    """
    rules = dict(_PLAIN)
    words = []
    if not (len(service) == 3 and service.isdigit()):
        rules["online"] = True
        words.append("no service code")
    else:
        for at, meanings in enumerate(SERVICE):
            said, follows = meanings.get(service[at], _RESERVED)
            words.append(said)
            rules.update(follows)
    return Rules(*([rules[name] for name, _ in _PLAIN] + [tuple(words)]))


def expired(expiry: str, today: str) -> bool:
    """Whether a card good to the end of YYMM has ended on YYMMDD; a card without a date never has. YY below 50 is 20YY."""
    if not expiry:
        return False
    if len(expiry) != 4 or len(today) != 6 or not (expiry + today).isdigit():
        raise ValueError("not YYMM and YYMMDD")
    return _month(expiry) < _month(today)


def _month(date: str) -> int:
    year = int(date[:2])
    return (year + (100 if year < 50 else 0)) * 12 + int(date[2:4])


def last_four(pan: str, typed: str) -> bool:
    """Whether what the cashier typed from the card's face is the end of the number on its stripe."""
    return len(typed) == 4 and typed.isdigit() and pan[-4:] == typed
