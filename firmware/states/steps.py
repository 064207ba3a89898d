"""The steps of a transaction and how one leads to the next.

A row of `transactions` names its steps; STEPS maps each name to a state; a step says with `wanted` whether this
transaction needs it. `begin` opens a transaction, `after` leads on from a step that is done.
"""

from firmware import reading
from firmware.draft import Draft
from firmware.iso8583.batch import COUNT_LIMIT
from firmware.states import settle
from firmware.states.amount import EnterAmount
from firmware.states.card import PresentCard, TypeLastFour
from firmware.states.confirm import ConfirmAmount
from firmware.states.details import EnterTip, PickPeriods, TypeApproval, TypeNumber
from firmware.states.online import Authorise, Blocked
from firmware.states.original import FindOriginal, TypeCode, TypeReference
from firmware.states.pin import EnterPin
from firmware.states.printing import PrintSlip
from firmware.states.result import BatchFull, OfflineFull, ReaderMissing, ShowBalance
from firmware.states.supervisor import AskSupervisor
from firmware.transactions import (
    AMOUNT,
    APPROVAL,
    AUTHORISE,
    CARD,
    CODE,
    CONFIRM,
    FORGET,
    LAST_FOUR,
    NOTICE,
    NUMBER,
    ORIGINAL,
    PERIODS,
    PIN,
    REFERENCE,
    SALE,
    SHOW,
    SLIP,
    SUPERVISOR,
    TIPPED,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.machine import State
    from firmware.terminal import Terminal
    from firmware.transactions import Transaction

STEPS: "dict[str, Any]" = {  # classes with the methods `wanted` and `of` of a Step
    AMOUNT: EnterAmount,
    SUPERVISOR: AskSupervisor,
    ORIGINAL: FindOriginal,
    REFERENCE: TypeReference,
    CODE: TypeCode,
    NUMBER: TypeNumber,
    APPROVAL: TypeApproval,
    TIPPED: EnterTip,
    PERIODS: PickPeriods,
    CARD: PresentCard,
    LAST_FOUR: TypeLastFour,
    CONFIRM: ConfirmAmount,
    PIN: EnterPin,
    AUTHORISE: Authorise,
    SLIP: PrintSlip,
    SHOW: ShowBalance,
}


def begin(terminal: "Terminal", row: "Transaction") -> "State":
    """The first page of a new transaction, or the page that says why there can be none now."""
    terminal.abandon()
    settling = settle.hinders(terminal) if row.kept else None
    if settling is not None:
        return settling
    if CARD in row.steps and not reading.readers_of(terminal):
        return ReaderMissing()
    if row.kept:
        limit = terminal.parameter("batch.limit") or COUNT_LIMIT
        if terminal.ledger.in_batch() >= min(limit, COUNT_LIMIT):  # a settlement cannot count further
            return BatchFull()
    if row.unknown == NOTICE and terminal.offline_full():
        return OfflineFull()
    terminal.draft = Draft(row)
    if row.unknown not in (NOTICE, FORGET) and terminal.ledger.unresolved():
        return Blocked()
    return first(terminal, terminal.draft)


def first(terminal: "Terminal", draft: Draft) -> "State":
    """The state of the first step that the draft wants."""
    return _from(terminal, draft, 0)


def once_more(terminal: "Terminal", tried: int) -> "State":
    """The open transaction anew, from its card on. tried: what that counts as, of the tries for a PIN."""
    draft = terminal.draft = terminal.open_draft.anew(tried)
    steps = draft.row.steps
    return _from(terminal, draft, steps.index(CARD if CARD in steps else AUTHORISE))


def rest(terminal: "Terminal", fen: int) -> "State":
    """A new sale of what another one has left to be paid: its amount is known."""
    before = terminal.draft
    page = begin(terminal, SALE if before is None or before.row.card else before.row)
    if terminal.draft is not None:
        terminal.draft.fen = fen
        terminal.draft.fixed = True
    return first(terminal, terminal.draft) if isinstance(page, EnterAmount) and terminal.draft is not None else page


def after(terminal: "Terminal", step: str) -> "State":
    """The state of the next step that the open transaction wants."""
    draft = terminal.open_draft
    return _from(terminal, draft, draft.row.steps.index(step) + 1)


def _from(terminal: "Terminal", draft: Draft, place: int) -> "State":
    steps = draft.row.steps
    while not STEPS[steps[place]].wanted(terminal, draft):
        place += 1
    return STEPS[steps[place]].of(draft)
