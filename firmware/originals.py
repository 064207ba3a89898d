"""What may be undone, completed or changed, and how much of it is left: asked by the pages, and again on the way to the host,
since a refusal from the bank, a reversal or a settlement may have come in between."""

from firmware import calendar
from firmware.ledger import refund_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.draft import Draft
    from firmware.ledger import Record
    from firmware.terminal import Terminal
    from firmware.transactions import Transaction

DAY_S = 86_400


def problem(terminal: "Terminal", row: "Transaction", record: "Record | None") -> str:
    """ "" for a record that a transaction of this row may have as its original, otherwise the key of the reason's text."""
    why = terminal.ledger.problem(record, row)
    if why or record is None:
        return why
    if row.holds == "refund":
        age_s = terminal.calendar.now_s() - calendar.seconds(calendar.parse_stamp(record["at"]))
        if age_s > terminal.parameter("refund.days") * DAY_S:
            return "refund.too_old"
        if left_fen(terminal, row, record) <= 0:
            return "refund.all"
    return ""


def left_fen(terminal: "Terminal", row: "Transaction", record: "Record") -> int:
    """What an original leaves: of a sale what is not refunded yet, of a pre-authorisation what a completion may come to."""
    if row.holds == "refund":
        return int(terminal.ledger.stands(record)["fen"]) - terminal.ledger.refunded(refund_key(record))[1]
    held = int(record["fen"]) + int(record.get("added_fen", 0))
    return held * int(terminal.parameter("preauth.ceiling_percent")) // 100 if row.holds == "completed" else held


def stands(terminal: "Terminal", draft: "Draft") -> bool:
    """Whether the original of a draft is what it was when the pages took it; read anew."""
    if draft.original is None:
        return not (draft.row.holds == "refund" and terminal.ledger.refunded(draft.reference)[0])
    record = terminal.ledger.get(draft.original["id"])
    if record is None or problem(terminal, draft.row, record):
        return False
    draft.original = record
    if draft.row.holds in ("refund", "completed"):
        return draft.fen <= left_fen(terminal, draft.row, record)
    if draft.row.holds == "void":
        return bool(draft.fen == record["fen"] + record.get("added_fen", 0))
    return True
