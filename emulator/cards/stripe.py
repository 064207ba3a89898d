"""The magnetic stripe of an emulated card, as a reader gives it: tracks 1 and 2 as text, sentinels included.

    %B number ^ name ^ YYMM service discretionary ?  ; number = YYMM service discretionary ?

The first digit of the service code is 2 on a card with a chip and 1 on one without.

Source: ISO/IEC 7813, 6 and 7.
"""

from emulator.cards.profile import Holder

DAMAGED = "%E?;E?"  # what a reader says of two tracks that it cannot read


def text(holder: Holder) -> str:
    """Tracks 1 and 2."""
    tail = f"{holder.expiry}{holder.service}{holder.discretionary}"
    return f"%B{holder.pan}^{holder.name:<26.26}^{tail}?;{holder.pan}={tail}?"
