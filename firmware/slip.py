"""The slip (签购单), line by line, from the ledger's record: never from what was on a screen.

A job is a list of (style, text) as `ports.Printer` takes it. Each line of SLIP is a row: the text key of its label,
a function that finds its value, a style; a row without a value is left out. Labels come from the language in
force; Chinese slips carry the English words that the schemes ask for.

Fields: products.md §1.4, numbers in brackets.
"""

from firmware.money import yuan
from firmware.transactions import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.ledger import Record
    from firmware.ports import Job
    from firmware.terminal import Terminal

WIDTH = 32  # cells of a plain line on 58 mm paper

MERCHANT, CARDHOLDER = "merchant", "cardholder"
COPIES = (MERCHANT, CARDHOLDER, "bank")

ENTRY_LETTERS = {"01": "M", "02": "S", "05": "I", "07": "C", "91": "C"}
TAPPED = ("07", "91")


def cells(text: str) -> int:
    """Width in half-width cells: a Han character takes two."""
    return sum([2 if ord(c) > 0x2E80 else 1 for c in text])


def spread(left: str, right: str, width: int = WIDTH) -> str:
    """Left and right in one line, when both fit."""
    gap = width - cells(left) - cells(right)
    return left + " " * max(1, gap) + right


def moment(stamp: str) -> str:
    """ "20261120103400" -> "2026/11/20 10:34:00"."""
    return "%s/%s/%s %s:%s:%s" % (stamp[:4], stamp[4:6], stamp[6:8], stamp[8:10], stamp[10:12], stamp[12:14])


def _when(record: "Record") -> str:
    """The host's time where it answered, in the year that brings it nearest to ours; ours where it did not."""
    stamp = record["at"]
    date = record.get("host_date")
    if date and record.get("host_time"):
        year = int(stamp[:4])
        if stamp[4:6] == "12" and date[:2] == "01":
            year += 1
        elif stamp[4:6] == "01" and date[:2] == "12":
            year -= 1
        stamp = "%04d%s%s" % (year, date, record["host_time"])
    return moment(stamp)


def _signed(record: "Record") -> str:
    return ("-" if BY_NAME[record["kind"]].sign < 0 else "") + yuan(record["fen"])


def _undoes(record: "Record", name: str) -> str:
    return record.get("undoes", {}).get(name, "")


# label, value(record), style. The expiry date [11] is left out: nobody needs it on paper, and PCI DSS would rather not see it.
SLIP = (
    ("slip.card", lambda r: "%s /%s" % (r["pan"], ENTRY_LETTERS.get(r["entry"], "")), "b"),  # 9
    ("slip.issuer", lambda r: r.get("issuer", ""), ""),  # 7
    ("slip.acquirer", lambda r: r.get("acquirer", ""), ""),  # 8
    ("slip.batch", lambda r: r["batch"], ""),  # 12
    ("slip.trace", lambda r: r["trace"], ""),  # 13
    ("slip.authorisation", lambda r: r.get("authorisation", ""), ""),  # 14
    ("slip.reference", lambda r: r.get("reference", ""), ""),  # 15
    ("slip.when", _when, ""),  # 16
)
NOTES = (
    ("slip.offline", lambda r: r.get("code", "") if r.get("offline55") and not r.get("referral") else ""),
    ("slip.original_trace", lambda r: _undoes(r, "trace")),
    ("slip.original_reference", lambda r: _undoes(r, "reference")),
    ("slip.original_authorisation", lambda r: _undoes(r, "authorisation")),
    ("slip.original_date", lambda r: _undoes(r, "date")),
    ("slip.periods", lambda r: "%d" % r["periods"] if r.get("periods") else ""),
    ("slip.asked", lambda r: yuan(r["asked_fen"]) if r.get("asked_fen") else ""),
    ("slip.host", lambda r: r.get("host_text", "")),
)


NO_RECEIPT = ("refused", "voided", "adjusted")  # what became of it since, so that its slip proves nothing


def standing(record: "Record") -> str:
    """What became of it, in the words of the page: its phase; "voided", "adjusted"; "refused" by the host it was brought to."""
    if "refused" in record:
        return "refused"
    phase = record.get("phase", "approved")
    if phase != "approved":
        return str(phase)
    return "voided" if record.get("void") else "adjusted" if record.get("adjusted") else "approved"


def build(terminal: "Terminal", record: "Record", copy: str, again: bool = False) -> "Job":
    """One copy, of COPIES, of the slip of an approved transaction. again: a reprint, and says so."""
    t = terminal.texts
    p = terminal.parameter
    job: Job = []
    if terminal.mode == "test":
        job.append(("cb", t("slip.test")))  # 28
    job.append(("cbh", p("slip.title")))  # 1
    job.append(("c", "POS SALES SLIP"))
    if again:
        job.append(("cb", t("slip.again")))  # 22
    job.append(("rule", ""))
    job.append(("", t("slip.copy." + copy)))  # 2
    job.append(("", t(("slip.merchant", ("", p("merchant.name"))))))  # 3
    job.append(("", t(("slip.merchant_number", ("", p("merchant.number"))))))  # 4
    terminal_number = t(("slip.terminal", ("", p("terminal.number"))))
    job.append(("", spread(terminal_number, t(("slip.operator", ("", record["operator"]))))))  # 5, 6
    job.append(("rule", ""))
    job.append(("bh", t(("slip.kind", record["kind"] + ".title"))))  # 10
    state = standing(record)
    if state in NO_RECEIPT:
        job.append(("cb", t("slip.state." + state)))
    for label, value, style in SLIP:
        text = value(record)
        if text:
            job.append((style, t((label, ("", text)))))
    if record.get("tip_fen"):
        job.append(("", t(("slip.tip", ("", yuan(record["tip_fen"]))))))  # 18
    job.append(("bh", t(("slip.amount", ("", _signed(record))))))  # 17
    notes = [t((label, ("", value(record)))) for label, value in NOTES if value(record)]
    notes += list(record.get("chip") or ())  # 20
    if notes:
        job.append(("rule", ""))
        job.append(("", t("slip.note")))  # 19
        job += [("", line) for line in notes]
    job += _consent(terminal, record, copy)
    job.append(("", t("slip.lend")))  # 26
    job.append(("", t(("slip.version", ("", terminal.version)))))
    job.append(("cut", ""))
    return job


def _consent(terminal: "Terminal", record: "Record", copy: str) -> "Job":
    """23-25: how the holder agreed: by PIN, on his device, by an amount that needs nothing, or by signing the merchant's copy."""
    t = terminal.texts
    lines: Job = [("rule", "")]
    words = _agreement(terminal, record)
    if words:
        lines.append(("", words))
    if (record.get("signature") or not words) and copy == MERCHANT:
        lines.append(("", t("slip.signature")))
        lines.append(("feed", 2))
        lines.append(("rule", ""))
    lines.append(("", t("slip.agree")))
    return lines


FREE = ("sale", "preauth")  # kinds that a small amount frees from PIN and signature


def _agreement(terminal: "Terminal", record: "Record") -> str:
    """The words for it; "" where nothing but a signature does."""
    t = terminal.texts
    cvm = record.get("cvm")
    if record.get("pin") or cvm == "offline-pin":
        return t("slip.pin_and_signature" if record.get("signature") else "slip.pin")
    if cvm in ("cdcvm", "document"):
        return t("slip." + cvm)
    if record["kind"] == "moto":
        return t("slip.moto")  # nobody is there to sign
    if record.get("signature") or cvm == "signature" or record["kind"] not in FREE:
        return ""
    if record["entry"] not in TAPPED:
        return t("slip.no_signature") if cvm == "none" and record["entry"] == "05" else ""
    free_fen = record.get("free_fen", terminal.parameter("pin.free_fen"))
    return t(("slip.free", ("", yuan(free_fen)))) if record["fen"] <= free_fen else ""


def trouble(terminal: "Terminal", record: "Record") -> "Job":
    """The report of a transaction whose result is unknown and whose reversal was not answered. Not a receipt."""
    t = terminal.texts
    p = terminal.parameter
    job: Job = []
    if terminal.mode == "test":
        job.append(("cb", t("slip.test")))
    job += [
        ("cbh", t("trouble.title")),
        ("c", t("trouble.no_receipt")),
        ("rule", ""),
        ("", t(("slip.merchant", ("", p("merchant.name"))))),
        ("", t(("slip.merchant_number", ("", p("merchant.number"))))),
        ("", spread(t(("slip.terminal", ("", p("terminal.number")))), t(("slip.operator", ("", record["operator"]))))),
        ("b", t(("slip.kind", record["kind"] + ".title"))),
        ("", t(("slip.card", ("", record["pan"])))),
        ("", t(("slip.batch", ("", record["batch"])))),
        ("", t(("slip.trace", ("", record["trace"])))),
        ("", t(("slip.when", ("", moment(record["at"]))))),
        ("bh", t(("slip.amount", ("", _signed(record))))),
        ("rule", ""),
        ("", t("trouble.what." + BY_NAME[record["kind"]].unknown)),
        ("", t("trouble.money." + (BY_NAME[record["kind"]].words or "taken"))),
        ("", t("trouble.do." + BY_NAME[record["kind"]].unknown)),
        ("cut", ""),
    ]
    return job
