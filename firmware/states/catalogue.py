"""Every state there is, by name. The pages before somebody has logged in do without most of them: see `first`."""

from firmware.machine import GLOBAL_MOVES, State
from firmware.states import (
    amount,
    card,
    common,
    confirm,
    details,
    download,
    keys,
    login,
    manage,
    menu,
    network,
    online,
    original,
    pin,
    printing,
    query,
    result,
    settle,
    start,
    step,
    supervisor,
    trouble,
)

ALL: "tuple[type[State], ...]" = (
    start.SelfTest, start.Unprovisioned, start.VaultTrouble, start.LastSale, start.SelfTestPage,
    login.Login, login.Password, login.LockedOut, login.OldPassword, login.NewPassword, login.Locked, login.Unlock,
    menu.Menu,
    amount.EnterAmount, card.PresentCard, card.ReadChip, card.ChooseApplication, card.ChipPin, card.CheckDocument, card.Refer,
    card.TakeCard, card.CardTrouble, card.TypeLastFour, confirm.ConfirmAmount, pin.EnterPin, pin.PinLeftOut,
    online.Authorise, online.Blocked, step.Cancelled,
    result.Declined, result.NotSent, result.Reversed, result.Unresolved, result.Repeating, result.AskRest,
    result.BatchFull, result.OfflineFull, result.ReaderMissing, result.ShowBalance,
    printing.PrintSlip, printing.PrintTrouble, printing.Approved, printing.NextCopy, printing.PrinterTrouble,
    supervisor.AskSupervisor, supervisor.Release,
    original.FindOriginal, original.TypeReference, original.TypeCode, original.TypeDate, original.PickOriginal,
    original.ConfirmOriginal,
    details.TypeNumber, details.TypeExpiry, details.TypeApproval, details.EnterTip, details.PickPeriods,
    query.Transactions, query.TransactionPage, query.FindTransaction, query.Totals,
    settle.AskSettle, settle.Settle, settle.SettleTrouble, settle.SettleSupervisor, settle.CloseReason, settle.SettleDone,
    settle.PrintSettlement, settle.AskPrint,
    manage.Working, manage.SignOff, manage.AddOperator, manage.RemoveOperator, manage.UnlockOperator,
    manage.OperatorList, manage.Device, manage.CardData,
    download.Download, download.ToDo, download.ChangeLog, download.PrintChanges, download.Announce, download.Fees,
    network.Doctor, network.Diagnosis, network.PrintReport, network.Network, network.TextMessages, network.SimPin,
    network.RestartModem,
    keys.KeyStatus, keys.PickCipher, keys.TypeMaster, keys.FetchMaster, keys.KeyDone,
    common.Notice,
    trouble.Fault, trouble.StoreTrouble, trouble.Tampered, trouble.Stopping, trouble.PowerLow,
)  # fmt: skip
BY_NAME = {state.__name__: state for state in ALL}


def moves() -> "list[tuple[str, str]]":
    """Every declared move, for the diagram. Those of GLOBAL_MOVES, possible from anywhere, are not repeated."""
    found = []
    for state in ALL:
        for name in state.leads_to:
            if name not in GLOBAL_MOVES:
                found.append((state.__name__, name))
    return found


def example(state: "type[State]") -> State:
    """A state of the class as it may stand alone, for tests and the diagram."""
    return state()
