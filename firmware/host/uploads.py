"""What a settlement uploads of its batch, in which order, and the messages that carry it.

    part           which records                                                    as
    offline        sold without the host, totals changed since, tips                the notice itself, as 0320 with F60.3 201
    chip-offline   approved between card and terminal                               chip data, 203 or 205
    stripe         everything else that was asked for online                        lists of 8, 201; only of halves that differ
    refund         refunds                                                          the refund itself, as 0320 with 201
    notice         completion notices                                               likewise
    chip           sales that a chip has approved after its bank                    chip data, 203 balanced, 205 not
    failed         the chip had the last word and said no                           chip data, 204 balanced, 206 not

A record is in one part at most (`part_of`). Each message is of one record but for the lists. What is uploaded twice, after a
power cut, is the same both times.

Source: reference/host.md §6 (settlement, 4), §3 (fields).
"""

from binascii import unhexlify

from firmware import schemes
from firmware.host import messages
from firmware.iso8583 import batch, codes, unionpay
from firmware.ledger import APPROVED, DECLINED, REVERSED
from firmware.settlement import all_balanced, answered, halves, is_balanced, organisation, records_of
from firmware.transactions import BY_NAME, NOTICE, REPEAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.host.messages import Fields
    from firmware.ledger import Record
    from firmware.settlement import Kept
    from firmware.terminal import Terminal

    Card = tuple[str, str]  # number, expiry YYMM or ""

OFFLINE, CHIP_OFFLINE, STRIPE, REFUND, NOTICES, CHIP, FAILED = PARTS = (
    "offline", "chip-offline", "stripe", "refund", "notice", "chip", "failed",
)  # fmt: skip
UNASKED = "Z"  # first letter of the code of what card or terminal declined without their bank
NEVER_SENT = (26, 35, 36, 52, 53, 64)  # of the message that is told once more: track, PIN, MAC


def part_of(record: "Record") -> str:
    """One of PARTS; "" for what is not uploaded: it moved nothing, or something else stands in its place."""
    row = BY_NAME[record["kind"]]
    if record["phase"] != APPROVED:
        return FAILED if _card_refused(record) else ""
    if not row.sign or record.get("adjusted") or "refused" in record:
        return ""
    if row.unknown == NOTICE or record.get("referral"):
        return OFFLINE
    if record.get("offline55"):
        return CHIP_OFFLINE
    if row.unknown == REPEAT:
        return REFUND if row.sign < 0 else NOTICES
    return CHIP if record.get("chip55") and row.sign > 0 else STRIPE


def _card_refused(record: "Record") -> bool:
    """Whether a chip said no: before anybody was asked, or after its bank had said yes."""
    if not record.get("chip55") or not BY_NAME[record["kind"]].sign:
        return False
    code = record.get("code", "")
    return code[:1] == UNASKED if record["phase"] == DECLINED else record["phase"] == REVERSED and codes.approved(code)


class Upload:
    """One message's worth of records of one part.

    part      place in PARTS
    records   one, or up to batch.ITEMS_LIMIT of a list
    """

    def __init__(self, part: int, records: "list[Record]") -> None:
        self.part = part
        self.records = records

    @property
    def place(self) -> "list[int]":
        """What `Settlement.note` keeps of it once it is done."""
        return [self.part, self.records[-1]["id"]]


def plan(terminal: "Terminal", kept: "Kept") -> "list[list[int]]":
    """The numbers of the records that are uploaded: a list for each of PARTS, in order."""
    ours, theirs = halves(kept["totals"]), answered(kept)
    differs = [not is_balanced(mine, its) for mine, its in zip(ours, theirs)]
    parts: list[list[int]] = [[] for _ in PARTS]
    for record in records_of(terminal.ledger, kept):
        part = part_of(record)
        if part and (part != STRIPE or differs[batch.ORGANISATIONS.index(_organisation(record))]):
            parts[PARTS.index(part)].append(record["id"])
    return parts


def after(parts: "list[list[int]]", place: "list[int] | None") -> "list[tuple[int, list[int]]]":
    """[(part, numbers of one message's records)] of what is still to be uploaded behind a place."""
    found = []
    for part in range(len(parts)):
        if place is not None and part < place[0]:
            continue
        left = [number for number in parts[part] if place is None or part > place[0] or number > place[1]]
        size = batch.ITEMS_LIMIT if PARTS[part] == STRIPE else 1
        found += [(part, left[at : at + size]) for at in range(0, len(left), size)]
    return found


def message(terminal: "Terminal", kept: "Kept", upload: Upload, cards: "list[Card]") -> "tuple[str, Fields]":
    """The message of an upload, cards: of its records. Raises ValueError, KeyError, TypeError for a record that lacks
    what it needs, ports.StoreError."""
    record, (pan, expiry) = upload.records[0], cards[0]
    part = PARTS[upload.part]
    if part == STRIPE:
        return _list(terminal, kept, upload.records, cards)
    if part in (CHIP, CHIP_OFFLINE, FAILED):
        return _chip(terminal, kept, record, pan, expiry, part)
    told = _told(terminal, record, pan, expiry)
    told[60] = told[60][:2] + kept["batch"] + batch.UPLOAD
    fields = {number: told[number] for number in told if number not in NEVER_SENT}
    fields[2] = pan  # a swiped card was named by its track
    return "0320", fields


def _list(terminal: "Terminal", kept: "Kept", records: "list[Record]", cards: "list[Card]") -> "tuple[str, Fields]":
    fields = messages.identity(terminal)
    fields[11] = terminal.ledger.spend_trace()
    listed = []
    for record, card in zip(records, cards):
        listed.append(batch.Item(_organisation(record), record["trace"], card[0], record["fen"]))
    fields[48] = batch.items(listed)
    fields[60] = unionpay.management(kept["batch"], batch.UPLOAD)
    return "0320", fields


def _chip(terminal: "Terminal", kept: "Kept", record: "Record", pan: str, expiry: str, part: str) -> "tuple[str, Fields]":
    balanced = all_balanced(kept)
    fields = messages.identity(terminal)
    fields[2] = pan
    fields[4] = unionpay.amount(record["fen"])
    fields[11] = record["trace"]
    if expiry:
        fields[14] = expiry
    fields[22] = record["entry"] + ("1" if record["pin"] else "2")
    if record.get("sequence"):
        fields[23] = record["sequence"]
    fields[55] = unhexlify(record["offline55" if part == CHIP_OFFLINE else "chip55"])
    fields[49] = unionpay.CURRENCY
    code = batch.FAILED_CHIP[balanced] if part == FAILED else batch.CHIP[balanced]
    fields[60] = unionpay.financial(unionpay.MANAGEMENT, kept["batch"], partial=record.get("partial", False), code=code)
    result = batch.FAILED if part == FAILED else batch.DONE
    fields[62] = batch.chip(result, _organisation(record), record["fen"])
    return "0320", fields


def _organisation(record: "Record") -> str:
    """Whose card it was made with, in the digits that the messages have for it."""
    return organisation(record.get("scheme", schemes.UNIONPAY))


def _told(terminal: "Terminal", record: "Record", pan: str, expiry: str) -> "Fields":
    """The fields that the host was told of it with, as far as the record has them."""
    fields = messages.message_of(terminal, record, pan, expiry)[1]
    row = BY_NAME[record["kind"]]
    if row.unknown == REPEAT:
        fields[60] = row.kind + record["batch"] + batch.UPLOAD
        fields.pop(48, None)
    return fields


def totals(terminal: "Terminal", kept: "Kept") -> "tuple[str, Fields]":
    """0500: what the terminal has of the batch. Raises ports.StoreError; Iso8583Error when it is more than the field holds."""
    fields = messages.identity(terminal)
    fields[48] = batch.totals(*halves(kept["totals"]))
    fields[11] = terminal.ledger.spend_trace()
    fields[49] = unionpay.CURRENCY
    fields[60] = unionpay.management(kept["batch"], batch.UPLOAD)
    fields[63] = unionpay.operator(kept["operator"] or "01")
    return "0500", fields


def end(terminal: "Terminal", kept: "Kept") -> "tuple[str, Fields]":
    """0320 that closes the batch. Raises ports.StoreError."""
    fields = messages.identity(terminal)
    fields[11] = terminal.ledger.spend_trace()
    fields[48] = batch.count(kept["uploaded"])
    fields[60] = unionpay.management(kept["batch"], batch.END[all_balanced(kept)])
    return "0320", fields
