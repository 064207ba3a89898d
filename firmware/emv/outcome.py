"""What reading a card came to: the kernel's and Entry Point's outcome, and the data that the terminal goes on with.

    status                    what the terminal does
    online                    ask the issuer, after the PIN if `cvm` says so
    approved                  approved: offline, or by contacts after the issuer's answer
    declined                  no money moves; the card said no, or may not be used
    select-next               inside the kernel only: the next application of the card
    try-again                 the same card once more (`message` may send the person to the phone)
    try-another-interface     tap, insert or swipe this card (`interface` says which where the kernel does)
    end-application           this card cannot be used here
    cancelled                 the holder or the merchant gave up

    cvm                       how the holder is verified
    none                      not at all
    online-pin                a PIN, sent to the issuer
    offline-pin               a PIN, checked by the card
    signature                 on the slip (also beside a PIN: `signature`)
    cdcvm                     done on the holder's own device
    document                  an identity document was looked at

Sources: EMV Book A, 9.4 (messages) and Book B, 3.5 (outcomes); Book 4, 6.3 (contact).
"""

from binascii import hexlify

from firmware.emv import tlv
from firmware.money import masked

ONLINE = "online"
APPROVED = "approved"
DECLINED = "declined"
SELECT_NEXT = "select-next"
TRY_AGAIN = "try-again"
TRY_ANOTHER_INTERFACE = "try-another-interface"
END_APPLICATION = "end-application"
CANCELLED = "cancelled"
STATUSES = (ONLINE, APPROVED, DECLINED, TRY_AGAIN, TRY_ANOTHER_INTERFACE, END_APPLICATION, CANCELLED)

NO_CVM, ONLINE_PIN, OFFLINE_PIN = "none", "online-pin", "offline-pin"
SIGNATURE, CDCVM, DOCUMENT = "signature", "cdcvm", "document"
METHODS = (NO_CVM, ONLINE_PIN, OFFLINE_PIN, SIGNATURE, CDCVM, DOCUMENT)

# F22, first two digits
CONTACT, CONTACTLESS, CONTACTLESS_STRIPE, STRIPE = "05", "07", "91", "02"

# Message identifiers of EMV Book A, table 9-3, by name.
MESSAGES = (
    (0x03, "approved"),
    (0x07, "not-authorised"),
    (0x09, "enter-pin"),
    (0x0F, "processing-error"),
    (0x10, "remove-card"),
    (0x14, "welcome"),
    (0x15, "present-card"),
    (0x16, "processing"),
    (0x17, "card-read-ok"),
    (0x18, "insert-or-swipe"),
    (0x19, "present-one-card"),
    (0x1A, "approved-sign"),
    (0x1B, "authorising"),
    (0x1C, "try-another-card"),
    (0x1D, "insert-card"),
    (0x1E, "clear"),
    (0x20, "see-phone"),
    (0x21, "try-again"),
)

# Field 55 of a UnionPay sale, in the order of the acquirers' own terminals; what is absent is left out.
FIELD_55 = (
    0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A, 0x9F03, 0x9F33,
    0x9F34, 0x9F35, 0x9F1E, 0x84, 0x9F09, 0x9F41, 0x9F63, 0x9F74,
)  # fmt: skip
# Of its reversal.
FIELD_55_REVERSAL = (0x95, 0x9F1E, 0x9F10, 0x9F36, 0xDF31)


# UI request statuses (EMV Book A, 9.4)
UI_STATUSES = ("not-ready", "idle", "ready", "processing", "read-ok", "error")


class UiRequest:
    """What a kernel wants shown. message: a name of MESSAGES; status: of UI_STATUSES; hold_ms: at least so long; language,
    value: as the card gives them, "" for none."""

    def __init__(self, message: str, status: str, hold_ms: int = 0, language: str = "", value: str = "") -> None:
        self.message = message
        self.status = status
        self.hold_ms = hold_ms
        self.language = language
        self.value = value


LONGEST = 32  # of the objects in field 55: issuer application data
LONGER = bytes(LONGEST + 1)


class Outcome:
    """The result of a card.

    status, cvm, message   as above; message is a name from MESSAGES
    why          a word for the log and the page: a key of `card.REASONS`
    entry        F22, first two digits: CONTACT, CONTACTLESS, CONTACTLESS_STRIPE, STRIPE
    cvm_required bool: the amount reached the terminal's own CVM limit (so a PIN may be the terminal's rule, not the card's)
    signature    bool: to be signed, alone or beside a PIN
    pan          digits, "" when not read           track2   PAN D YYMM SSS ..., "" when not read
    track3       of a stripe, "" when not read
    expiry       "YYMM" or ""                       sequence "001", or "" when the card has none
    service      three digits of track 2 or ""
    aid          hex of the card's application      label    printable ASCII, its name, or ""
    kernel       hex of the kernel identifier, or "" for contacts
    tags         {tag: bytes}: all that card and terminal said, card number included
    response     8A as the terminal knows it in the end: the host's code, or "Y1", "Z1", "Y3", "Z3"; "" where none
    scripts      bool: issuer scripts were carried out (DF31 in tags has their results), and the host is to be told
    advice       bool: the card wants the host to know of its refusal
    reverse      bool: the host has approved and the card has not: what it booked must be undone
    fallback     bool: the stripe may be used in the chip's place
    interface    "contact", "stripe" or "" for any: of try-another-interface
    start        where Entry Point goes on: "A", "B", "C", "D", "" for not at all
    ui, ui_restart   UiRequest at the outcome and at the restart, or None
    """

    def __init__(self, status: str, message: str, why: str) -> None:
        self.status = status
        self.message = message
        self.why = why
        self.entry = CONTACTLESS
        self.cvm = NO_CVM
        self.cvm_required = self.signature = False
        self.pan = self.track2 = self.track3 = self.expiry = self.sequence = self.service = ""
        self.aid = self.label = self.kernel = ""
        self.tags: dict[int, bytes] = {}
        self.response = ""
        self.scripts = self.advice = self.reverse = self.fallback = False
        self.interface = self.start = ""
        self.ui: UiRequest | None = None
        self.ui_restart: UiRequest | None = None

    def field55(self, order: "tuple[int, ...]" = FIELD_55) -> bytes:
        """The objects of `order` that are there, as TLV, in that order. None is longer than EMV allows any of them to be."""
        return tlv.encode([(tag, self.tags[tag]) for tag in order if len(self.tags.get(tag, LONGER)) <= LONGEST])

    def hex_of(self, tag: int) -> str:
        """An object in upper-case hex for a slip, "" when it is not there. Raises ValueError for a card number or a secret."""
        from firmware.emv import tags as dictionary  # not before the first card: this module's names are used sooner

        if tag in dictionary.NUMBERS or tag in dictionary.SECRETS:
            raise ValueError("tag %X is not for paper" % tag)
        return hexlify(self.tags.get(tag, b"")).decode().upper()

    def forget(self) -> None:
        """Drops card number, track and all data: the transaction is over."""
        self.pan = self.track2 = self.track3 = ""
        self.tags = {}

    def __repr__(self) -> str:
        return "Outcome(%s, %s, cvm %s, %s %s)" % (
            self.status, self.why, self.cvm, masked(self.pan) or "no card number", self.aid
        )  # fmt: skip
