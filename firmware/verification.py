"""Whether the holder has to type a PIN, by the row of the transaction, the card, the way it was read, and the amount.

    entry          rule
    stripe         a PIN, by parameter: a stripe proves nothing
    by contacts    the kernel has done it, by the card's own list
    contactless    none up to and with the limit (no PIN, no signature), unless the card asks; above it a PIN, unless the
                   holder's device has verified him or, by parameter, the card waives it

The limit is `pin.free_fen`, or that of the longest prefix in `pin.free_bins` that the number begins with.
"""

from firmware.emv.outcome import APPROVED, CDCVM, CONTACT, NO_CVM, ONLINE_PIN, STRIPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.draft import Draft
    from firmware.emv.outcome import Outcome
    from firmware.terminal import Terminal


FIXED = {"always": True, "never": False}  # rules of a row that nothing changes


def free_fen(terminal: "Terminal", pan: str) -> int:
    """Up to and with this amount the card needs neither PIN nor signature."""
    found, limit = -1, terminal.parameter("pin.free_fen")
    for prefix, fen in terminal.parameter("pin.free_bins"):
        if len(prefix) > found and pan.startswith(prefix):
            found, limit = len(prefix), fen
    return limit


def pin_wanted(terminal: "Terminal", draft: "Draft", card: "Outcome") -> bool:
    """The same of a card as its kernel has read it. One that is approved already is: nobody would look at a PIN."""
    return card.status != APPROVED and pin_needed(terminal, draft, card.entry, card.cvm, card.pan)


def within_free(terminal: "Terminal", draft: "Draft", card: "Outcome") -> bool:
    """Whether an approval between card and terminal may stand: somebody has verified the holder, or nobody has to."""
    return card.cvm != NO_CVM or not pin_needed(terminal, draft, card.entry, card.cvm, card.pan)


def pin_needed(terminal: "Terminal", draft: "Draft", entry: str, cvm: str, pan: str) -> bool:
    """Whether this transaction wants a PIN that the issuer checks, from a card read in that way."""
    rule = draft.row.pin
    if rule in FIXED:
        return FIXED[rule]
    if rule != "limit":
        return terminal.parameter(rule)
    if entry == CONTACT:
        return False
    if cvm == ONLINE_PIN:
        return True
    if entry == STRIPE:
        return terminal.parameter("stripe.pin")
    if draft.fen <= free_fen(terminal, pan) or cvm == CDCVM:
        return False
    return not terminal.parameter("pin.card_may_waive")


def check_bins(table: object) -> None:
    """`pin.free_bins`: [[prefix of a card number, fen], ...]. ValueError says what is wrong."""
    if not isinstance(table, list) or len(table) > 10_000:
        raise ValueError("takes a list of [prefix, amount]")
    for row in table:
        good = isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and row[0].isdigit() and len(row[0]) <= 12
        if not good or not isinstance(row[1], int) or row[1] is True or row[1] is False or row[1] < 0:
            raise ValueError("%s is no prefix of up to 12 digits with an amount in fen" % (row,))
