"""The paper of a settlement: totals, details, and what did not arrive.

    totals     of each half (UnionPay's cards, others) and card organisation: kind, count, sum; what the host said of the half,
               and the difference where it told its own sums; how the batch was closed, and what is still open
    details    two lines a transaction, in parts of PART records: a long batch is many short jobs
    failures   what was not uploaded, and what the host refused

Everything comes from the settlement as it is kept and from the records of its batch: a reprint says the same.

Fields: products.md §1.3.
"""

from firmware import schemes
from firmware.iso8583.batch import BALANCED, ERROR, Half
from firmware.ledger import APPROVED
from firmware.money import yuan
from firmware.settlement import answered, halves, is_balanced, organisation, records_of
from firmware.slip import ENTRY_LETTERS, WIDTH, cells, moment, spread
from firmware.transactions import BY_NAME, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.ledger import Record
    from firmware.ports import Job
    from firmware.settlement import Kept
    from firmware.terminal import Terminal

NAME, COUNT = 14, 4  # cells of a line of the totals; the sum takes the rest
PART = 40  # records of one job
VERDICTS = ("settle.balanced", "settle.unbalanced", "settle.error")


def verdict(ours: Half, theirs: Half) -> str:
    """The key of what the host said of a half."""
    if is_balanced(ours, theirs):
        return VERDICTS[0]
    return VERDICTS[2] if theirs.flag == ERROR else VERDICTS[1]


def totals(terminal: "Terminal", kept: "Kept", again: bool = False) -> "Job":
    """The totals slip of a settlement that is over; of one that is not, the totals as they are."""
    t = terminal.texts
    job = _head(terminal, kept, "slip.settlement" if kept["number"] else "slip.totals", again)
    job.append(("", t("slip.totals_columns")))
    net = 0
    ours, theirs = halves(kept["totals"]), answered(kept)
    for at, half in enumerate(("slip.cards_own", "slip.cards_other")):
        said = t(verdict(ours[at], theirs[at])) if kept["host"] else ""
        job.append(("rule", ""))
        job.append(("b", spread(t(half), said)))
        job += _half(terminal, kept, at)
        job += _sum(t("slip.debit"), ours[at].debits, ours[at].debit_fen)
        job += _sum(t("slip.credit"), ours[at].credits, -ours[at].credit_fen)
        if kept["host"] and theirs[at].flag != BALANCED and _told(theirs[at]):
            job += _difference(terminal, ours[at], theirs[at])
        net += ours[at].debit_fen - ours[at].credit_fen
    job.append(("rule", ""))
    job.append(("bh", t(("slip.net", ("", yuan(net))))))
    if kept["number"]:
        job += _ending(terminal, kept)
    job.append(("", t(("slip.version", ("", terminal.version)))))
    job.append(("cut", ""))
    return job


def _head(terminal: "Terminal", kept: "Kept", title: str, again: bool = False) -> "Job":
    t = terminal.texts
    p = terminal.parameter
    job: Job = []
    if terminal.mode == "test":
        job.append(("cb", t("slip.test")))
    job.append(("cbh", t(title)))
    if again:
        job.append(("cb", t("slip.again")))
    job.append(("rule", ""))
    job.append(("", t(("slip.merchant", ("", p("merchant.name"))))))
    job.append(("", t(("slip.merchant_number", ("", p("merchant.number"))))))
    operator = t(("slip.operator", ("", kept["operator"]))) if kept["operator"] else ""
    job.append(("", spread(t(("slip.terminal", ("", p("terminal.number")))), operator)))
    job.append(("", t(("slip.batch", ("", kept["batch"])))))
    job.append(("", t(("slip.when", ("", moment(kept["at"]))))))
    return job


def _half(terminal: "Terminal", kept: "Kept", at: int) -> "Job":
    """Count and sum of each kind of a half; of other cards for each organisation."""
    t = terminal.texts
    job: Job = []
    own = organisation(schemes.UNIONPAY)
    found = sorted([scheme for scheme in kept["totals"] if (organisation(scheme) == own) == (at == 0)])
    for scheme in found:
        kinds = kept["totals"][scheme]
        rows = [row for row in TABLE if row.sign and kinds.get(row.name, (0, 0))[0]]
        if rows and at:
            job.append(("", scheme))
        for row in rows:
            job += _sum(t(row.title), kinds[row.name][0], row.sign * kinds[row.name][1])
    return job


def _sum(name: str, count: int, fen: int) -> "Job":
    """One line of the totals; a long name has a line of its own."""
    number, amount = str(count), yuan(fen)
    right = " " * (COUNT - len(number)) + number + " " * (WIDTH - NAME - COUNT - len(amount)) + amount
    if cells(name) > NAME:
        return [("", name), ("", " " * NAME + right)]
    return [("", name + " " * (NAME - cells(name)) + right)]


def _told(half: Half) -> bool:
    """Whether the host named sums beside its flag."""
    return bool(half.debits or half.credits or half.debit_fen or half.credit_fen)


def _difference(terminal: "Terminal", ours: Half, theirs: Half) -> "Job":
    """What the host has, and by how much we have more or less."""
    t = terminal.texts
    job: Job = []
    for name, mine, its in (
        ("slip.host_debit", (ours.debits, ours.debit_fen), (theirs.debits, theirs.debit_fen)),
        ("slip.host_credit", (ours.credits, -ours.credit_fen), (theirs.credits, -theirs.credit_fen)),
    ):
        if mine != its:
            job += _sum(t(name), its[0], its[1])
            job += _sum(t("slip.difference"), mine[0] - its[0], mine[1] - its[1])
    return job


def _ending(terminal: "Terminal", kept: "Kept") -> "Job":
    """How the batch was closed, and what is to be looked after."""
    t = terminal.texts
    lines = []
    if kept["closed"]:
        lines.append(t(("slip.closed", "settle.reason.%d" % kept["closed"])))
    if kept["uploaded"]:
        lines.append(t(("slip.uploaded", kept["uploaded"])))
    for name in ("unsent", "denied"):
        if kept[name]:
            lines.append(t(("slip.%s_count" % name, len(kept[name]))))
    if kept["host_text"]:
        lines.append(t(("slip.host", ("", kept["host_text"]))))
    job: Job = [("", line) for line in lines]
    if kept["closed"]:
        job += _list(terminal, "slip.left", [(number, "") for number in kept["left"] or ()])
        job += _failures(terminal, kept)
        job.append(("", t("slip.closed_note")))
        job.append(("feed", 2))
    return job


def parts(terminal: "Terminal", kept: "Kept") -> int:
    """How many jobs the details are."""
    return max(1, (kept["last"] - kept["first"] + PART) // PART)


def details(terminal: "Terminal", kept: "Kept", part: int, again: bool = False) -> "Job":
    """The transactions that count, of one part of the batch's records. part: from 0."""
    job = _head(terminal, kept, "slip.details", again) if not part else []
    first = kept["first"] + part * PART
    piece = dict(kept)
    piece["first"], piece["last"] = first, min(first + PART - 1, kept["last"])
    for record in records_of(terminal.ledger, piece):
        if record["phase"] == APPROVED and not record.get("adjusted") and "refused" not in record:
            job += _lines(terminal, record, record.get("authorisation", "") or record.get("reference", ""))
    if part + 1 >= parts(terminal, kept):
        job.append(("rule", ""))
        job.append(("cut", ""))
    return job


def _lines(terminal: "Terminal", record: "Record", note: str) -> "Job":
    sign = -1 if BY_NAME[record["kind"]].sign < 0 else 1
    name = "%s %s" % (record["trace"], terminal.texts(BY_NAME[record["kind"]].title))
    card = "%s /%s" % (record["pan"], ENTRY_LETTERS.get(record["entry"], ""))
    return _pair(name, yuan(sign * record["fen"])) + _pair(card, note)


def _pair(left: str, right: str) -> "Job":
    """Left and right in one line, in two where one is too short."""
    if cells(left) + 1 + cells(right) <= WIDTH:
        return [("", spread(left, right))]
    return [("", left), ("", spread("", right))]


def has_failures(terminal: "Terminal", kept: "Kept") -> bool:
    """Whether there is anything for the list of failures."""
    return bool(kept["unsent"] or kept["denied"] or _refused(terminal, kept))


def failures(terminal: "Terminal", kept: "Kept", again: bool = False) -> "Job":
    """What was not uploaded, and what the host refused, each with the host's code."""
    return _head(terminal, kept, "slip.failures", again) + _failures(terminal, kept) + [("cut", "")]


def _failures(terminal: "Terminal", kept: "Kept") -> "Job":
    denied = [(number, code) for number, code in kept["denied"] or ()] + _refused(terminal, kept)
    job = _list(terminal, "slip.unsent", [(number, code) for number, code in kept["unsent"] or ()])
    return job + _list(terminal, "slip.denied", denied)


def _refused(terminal: "Terminal", kept: "Kept") -> "list[tuple[int, str]]":
    """Offline sales of the batch that the host would not take when it was told of them."""
    return [(record["id"], record["refused"]) for record in records_of(terminal.ledger, kept) if "refused" in record]


def _list(terminal: "Terminal", title: str, listed: "list[tuple[int, str]]") -> "Job":
    if not listed:
        return []
    t = terminal.texts
    job: Job = [("rule", ""), ("b", t(title))]
    for number, code in listed:
        record = terminal.ledger.get(number)
        if record is not None:
            job += _lines(terminal, record, t(("slip.code", ("", code))) if code else "")
    return job
