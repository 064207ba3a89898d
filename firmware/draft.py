"""The transaction that is being made: everything known of it before and beyond its record.

It lives in memory only, and only while the transaction is open. It holds the card number; so it has no useful
`repr`, and nothing but the host's messages and the vault is given more than its masked form.
"""

from firmware.money import masked


class Draft:
    def __init__(self, row: "object") -> None:
        self.row = row
        self.fen = 0
        self.card = None  # the kernel's outcome
        self.pan = ""
        self.expiry = ""
        self.entry = "01"  # F22, first two digits
        self.cvm = "none"
        self.pin_block = None
        self.pin_key = None  # check value of the key that the block was made with
        self.pin_bypassed = False
        self.original = None  # the record that this one undoes
        self.original_pan = ""  # the number it was made with: the same card must come back
        self.record = None  # its own, once it was sent
        self.result = None
        self.released = False  # the supervisor let it pass an unresolved reversal
        self.tries = 1

    def __repr__(self) -> str:
        return "<draft %s>" % self.row.name

    @property
    def masked(self) -> str:
        return masked(self.pan)

    def take_card(self, outcome: "object") -> None:
        """What the tap gave."""
        self.card = outcome
        self.pan = outcome.pan
        self.expiry = outcome.expiry
        self.entry = "07"
        self.cvm = outcome.cvm

    def forget(self) -> None:
        """The request is made: nobody needs track, PIN block and the card's data any more."""
        self.pin_block = None
        if self.card is not None:
            self.card.forget()

    def anew(self) -> "Draft":
        """The same wish again: same kind, amount and original; a new tap, a new trace number."""
        other = Draft(self.row)
        other.fen = self.fen
        other.original = self.original
        other.original_pan = self.original_pan
        other.tries = self.tries + 1
        if self.card is None:  # a void without card: the number is the vault's
            other.pan = self.pan
            other.expiry = self.expiry
        return other
