"""The transaction that is being made: everything known of it before and beyond its record.

It lives in memory only, and only while the transaction is open. It holds the card number; so it has no useful
`repr`, and nothing but the host's messages and the vault is given more than its masked form.
"""

from firmware.money import masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.emv.ask import Reply
    from firmware.emv.outcome import Outcome
    from firmware.host.authorise import Result
    from firmware.ledger import Record
    from firmware.tasks import Work
    from firmware.transactions import Transaction


class Draft:
    """One transaction of a kind (`row`), amount in fen, and what the steps add to it.

    Empty strings and None stand for what is not known yet. expiry: YYMM. entry: two digits of ISO 8583 F22.
    """

    def __init__(self, row: "Transaction") -> None:
        self.row = row
        self.fen = 0
        self.card: Outcome | None = None  # the kernel's outcome
        self.pan = ""
        self.expiry = ""
        self.entry = "01"  # F22, first two digits
        self.cvm = "none"
        self.referral = ""  # what the issuer said by telephone: its authorisation code
        self.offline_pins = 0  # how often the card has been given one
        self.fallback = False  # the chip could not be read: the stripe may be
        self.finish: Callable[[Reply], Work[Outcome]] | None = None  # a chip in the slot waits for the issuer's answer
        self.pin_block: bytes | None = None
        self.pin_key: bytes | None = None  # check value of the key that the block was made with
        self.pin_serial: bytes | None = None  # DUKPT: the number of that key
        self.pin_bypassed = False
        self.original: Record | None = None  # the record that this one undoes, completes or changes
        self.reference = self.code = self.of_date = ""  # typed: F37, F38 and date (MMDD) of an original that is in no record
        self.fixed = False  # the amount is the original's
        self.most_fen = 0  # what the original leaves, 0: nothing is known
        self.tip_fen = 0
        self.periods = 0  # instalments
        self.original_pan = ""  # the number it was made with: the same card must come back
        self.record: Record | None = None  # its own, once it was sent
        self.result: Result | None = None  # what the host made of it
        self.released = False  # the supervisor let it pass an unresolved reversal
        self.tries = 1

    def __repr__(self) -> str:
        return "<draft %s>" % self.row.name

    @property
    def masked(self) -> str:
        """The card number as it may be seen: first six and last four digits (PCI DSS 3.4.1)."""
        return masked(self.pan)

    def take_card(self, outcome: "Outcome") -> None:
        """What the card gave: number, expiry, how it was read, how the holder is verified."""
        self.card = outcome
        self.pan = outcome.pan
        self.expiry = outcome.expiry
        self.entry = outcome.entry
        self.cvm = outcome.cvm

    def forget(self) -> None:
        """Nobody needs track, PIN block and the card's data any more: the request is made, and no chip waits for its answer."""
        self.pin_block = self.pin_serial = None
        if self.card is not None and self.finish is None:
            self.card.forget()

    def drop_card(self) -> None:
        """The card was no good: nothing of it stays, and the next one begins anew."""
        self.forget()
        self.card = None
        self.finish = None
        self.pan = self.expiry = self.referral = ""
        self.entry = "01"
        self.cvm = "none"
        self.pin_bypassed = self.fallback = False
        self.offline_pins = 0

    def anew(self, tried: int = 1) -> "Draft":
        """The same wish again: same kind, amount and original; a new tap, a new trace number. tried: what counts as a try."""
        other = Draft(self.row)
        other.fen = self.fen
        other.original = self.original
        other.original_pan = self.original_pan
        other.reference, other.code, other.of_date = self.reference, self.code, self.of_date
        other.fixed = self.fixed
        other.most_fen, other.tip_fen, other.periods = self.most_fen, self.tip_fen, self.periods
        other.tries = self.tries + tried
        other.released = self.released
        if self.card is None:  # without card: the number is the vault's, or was typed
            other.pan = self.pan
            other.expiry = self.expiry
        return other
