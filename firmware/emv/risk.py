"""Terminal risk management: what the terminal itself knows against an offline approval.

    check               TVR    when
    exception file      1:10   the card number is on it
    forced online       4:08   the merchant wants it (switch "force_online")
    floor limit         4:80   the amount, with that of the card's last sale here, reaches 9F1B (a card's sale in two halves)
    random selection    4:10   below the floor limit, and the number drawn, 1 .. 99, is at most the target
    velocity            4:40   more transactions since the last one online than 9F14, the lower limit
                        4:20   than 9F23, the upper limit
                        4:60   the counters cannot be had (1:20 as well), or do not count up
                        2:08   never online before: a new card

The target percentage rises in a line from the threshold, where it is `target_percent`, to the floor limit, where it would
be `maximum_percent`: large amounts are drawn more often. An offline-only terminal draws none.

The first two say nothing about the offline risk of an amount, and are looked at even where the switch "risk_by_aip" leaves
the rest to the card's AIP 1:08.

Source: EMV Book 3, 10.6; Book 4, 6.3.5.
"""

from firmware.emv import ask, card_data
from firmware.emv.action import OFFLINE_ONLY
from firmware.emv.data import RISK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Step
    from firmware.emv.data import Data

DATA_MISSING, ON_EXCEPTION_FILE, NEW_CARD = 0x20, 0x10, 0x08
FLOOR_LIMIT, LOWER_LIMIT, UPPER_LIMIT, SELECTED, FORCED = 0x80, 0x40, 0x20, 0x10, 0x08

_TO_BE_PERFORMED = 0x08  # AIP, byte 1


def manage(data: "Data") -> "Step":
    """Does every check that the switches leave on; sets TVR and TSI. Ends with "lost" or "malformed"."""
    switch = data.settings.switch
    number, sequence = card_data.account(data)
    if switch("exceptions") and number:
        if (yield ask.OnException(number, sequence)):
            data.set_tvr(1, ON_EXCEPTION_FILE)
    if switch("force_online"):
        data.set_tvr(4, FORCED)
    if switch("risk_by_aip") and not data.profile(1, _TO_BE_PERFORMED):
        return
    floor = card_data.number(data, 0x9F1B)
    amount = total = data.request.amount_fen
    if switch("split_sale") and number and amount < floor:
        total += yield ask.LastAmount(number, sequence)
    if total >= floor:
        data.set_tvr(4, FLOOR_LIMIT)
    if switch("random") and amount < floor and card_data.terminal_type(data)[1] not in OFFLINE_ONLY:
        if drawn(data, floor):
            data.set_tvr(4, SELECTED)
    if switch("velocity"):
        yield from _velocity(data)
    data.set_tsi(RISK)


def drawn(data: "Data", floor: int) -> bool:
    """Whether an amount below the floor limit is one of those that chance sends online."""
    row, amount = data.application, data.request.amount_fen
    above = data.request.chance + 1 - row.target_percent
    if amount < row.threshold_fen:
        return above <= 0
    rise = max(0, row.maximum_percent - row.target_percent)
    return above * (floor - row.threshold_fen) <= rise * (amount - row.threshold_fen)


def _velocity(data: "Data") -> "Step":
    lower, upper = data.said.get(0x9F14), data.said.get(0x9F23)
    if not lower or not upper:
        return
    now = yield from card_data.counter(data, 0x9F36)
    then = yield from card_data.counter(data, 0x9F13)
    if then == 0:
        data.set_tvr(2, NEW_CARD)
    if now is None or then is None:
        data.set_tvr(1, DATA_MISSING)
        data.set_tvr(4, LOWER_LIMIT | UPPER_LIMIT)
    elif now <= then:
        data.set_tvr(4, LOWER_LIMIT | UPPER_LIMIT)
    else:
        if now - then > int.from_bytes(lower, "big"):
            data.set_tvr(4, LOWER_LIMIT)
        if now - then > int.from_bytes(upper, "big"):
            data.set_tvr(4, UPPER_LIMIT)
