"""What the terminal says to an M/Chip card, and what both modes of kernel 2 ask before they go on.

Values that the book gives the kernel are tags of the terminal's settings; these are the defaults of those that are not set:

    DF811B   20   kernel configuration: 80 no stripe mode, 40 no EMV mode, 20 the holder may be verified on his device
    DF811A   the list for COMPUTE CRYPTOGRAPHIC CHECKSUM of a card without its own (9F69): 9F6A, four bytes
    DF8131   the phone's messages: rows of mask (3), value (3), message, status
    9F6D     version of stripe mode          9F7E     01: the terminal knows phones; 02 is added where one must verify
    DF8118, DF8119   the second byte of 9F33, where the holder must be verified, and where not: as 9F33 is set, a signature
                     and an online PIN; and no verification
    DF8104, DF8105   empty: the card's offline balance is wanted before, after the cryptogram; not set: it is not

Limits are the row's, and begin with the amount itself: the book's are what may just be paid. `cvm_limit_fen` is
the book's DF8126 and one fen more, `transaction_limit_fen` DF8124, `device_limit_fen` DF8125.

9F66 is the card's here (PUNATC), and never the terminal's.

Source: EMV Book C-2, 2.2, 4.4 and Annex A (as public kernels follow it).
"""

from firmware.emv import entry, tapped
from firmware.emv import outcome as result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.data import Data
    from firmware.emv.entry import Selected
    from firmware.emv.settings import Request, Settings

CONFIGURATION, UDOL, PHONE_MESSAGES, VERSION, MOBILE = 0xDF811B, 0xDF811A, 0xDF8131, 0x9F6D, 0x9F7E
METHODS_REQUIRED, METHODS_FREE = 0xDF8118, 0xDF8119
DEFAULTS = (
    (CONFIGURATION, b"\x20"),
    (UDOL, b"\x9f\x6a\x04"),
    (
        PHONE_MESSAGES,
        b"\x00\x00\x01\x00\x00\x01\x20\x00\x00\x08\x00\x00\x08\x00\x20\x00\x00\x04\x00\x00\x04\x00\x20\x00"
        b"\x00\x01\x00\x00\x01\x00\x20\x00\x00\x02\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x07\x00",
    ),
    (VERSION, b"\x00\x01"),
    (MOBILE, b"\x01"),
)
# DF811B
NO_STRIPE_MODE, NO_EMV_MODE, ON_DEVICE = 0x80, 0x40, 0x20
# 9F33 byte 2: a PIN for the issuer, a signature; nothing. A PIN for the card is not possible over contactless.
VERIFIES, VERIFIES_NOTHING = 0x60, 0x08
COMBINED = 0x08  # byte 3: the only authentication

DEVICE_VERIFIES = 0x02  # AIP byte 1

# DF4B, the phone's word: byte 2, byte 3
PHONE = 0xDF4B
VERIFIED = 0x10
TAP_AGAIN = (0x03, 0x0F)


def begin(settings: "Settings", request: "Request", selected: "Selected") -> "Data":
    """The data of a run, with what the terminal says before anything is known of the card."""
    data = entry.activate(settings, request, selected)
    told = data.told
    told.pop(0x9F66, None)
    for tag, value in DEFAULTS:
        told.setdefault(tag, value)
    own = (told.get(0x9F33, b"") + bytes(3))[:3]
    verifies = own[1] & VERIFIES
    told.setdefault(METHODS_REQUIRED, bytes((verifies,)))
    told.setdefault(METHODS_FREE, bytes((VERIFIES_NOTHING,)))
    told[0x9F33] = bytes((own[0], 0, own[2] & COMBINED))
    return data


def configured(data: "Data", mask: int) -> bool:
    """A bit of the kernel configuration."""
    return bool((data.told[CONFIGURATION] + b"\x00")[0] & mask)


def on_device(data: "Data") -> bool:
    """Whether the card is a device that verifies its holder, and the terminal lets it."""
    return data.profile(1, DEVICE_VERIFIES) and configured(data, ON_DEVICE)


def over_limit(data: "Data") -> bool:
    """Whether the amount is too much for contactless with this card."""
    row = data.application
    limit = row.transaction_limit_fen
    if on_device(data) and row.device_limit_fen is not None:
        limit = row.device_limit_fen
    return limit is not None and data.request.amount_fen >= limit


def next_one() -> result.Outcome:
    """The outcome for an amount that is too much for this application: the card may have another."""
    return result.Outcome(result.SELECT_NEXT, "insert-or-swipe", "over-limit")


def wants_another_tap(said: "dict[int, bytes]") -> bool:
    """Whether the phone wants its holder to do something, and to be tapped again."""
    word = said.get(PHONE, b"")
    return len(word) == 3 and bool(word[1] & TAP_AGAIN[0] or word[2] & TAP_AGAIN[1])


def another_tap(data: "Data", selected: "Selected") -> result.Outcome:
    """The outcome for that, with the message that the terminal has for it."""
    it = tapped.outcome(data, selected, "see-phone")
    table, word = data.told[PHONE_MESSAGES], data.said[PHONE]
    for at in range(0, len(table) - 7, 8):
        row = table[at : at + 8]
        if [word[place] & row[place] for place in range(3)] == [row[3], row[4], row[5]]:
            for code, name in result.MESSAGES:
                if code == row[6]:
                    it.message = name
            break
    tapped.respond(data, it, "")
    return entry.say(it)
