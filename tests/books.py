"""What the terminal and the bank each believe, laid side by side, for tests that cut something in between."""

import json

from emulator.world import standing
from firmware.ledger import APPROVED, Ledger
from firmware.money import masked
from firmware.transactions import BY_NAME

NEWEST = 10**10  # no record has so high a number


def openings(bank) -> "dict[str, int]":
    """{card number: fen} before anything was sold: `disagreements` wants it later."""
    return {pan: bank.balance(pan) for pan in bank.cards()}


def _moved(totals: dict) -> dict:
    """The totals without the kinds that have come to nothing."""
    kept = {scheme: {kind: row for kind, row in totals[scheme].items() if row[0]} for scheme in totals}
    return {scheme: kinds for scheme, kinds in kept.items() if kinds}


def _spans(ledger: Ledger, store) -> "dict[str, tuple[int, int] | None]":
    """{batch: numbers of its first and last record}: a host may name the number of a closed batch anew. None where two batches
    that are over had the same: an answer that comes late may have gone to the totals of the other."""
    spans = {}
    for _, value in store.range("settlements"):
        kept = json.loads(value)
        spans[kept["batch"]] = None if kept["batch"] in spans else (kept["first"], kept["last"])
    spans[ledger.batch] = (ledger.counters["begun"] + 1, NEWEST)
    return spans


def _holds(approved: "list[dict]") -> "list[dict]":
    """The pre-authorisations that are in force."""
    return [one for one in approved if one["kind"] == "preauth" and not one.get("void") and not one.get("completed")]


def disagreements(ledger: Ledger, store, bank, terminal: str, merchant: str, before: "dict[str, int]") -> "list[str]":
    """Every way in which the terminal's books and the bank's differ, in words, to the fen; [] when they agree.

    store: the store of the ledger. bank: emulator.acquirer.books.Books. before: `openings` of the bank.
    """
    found = []
    for record in ledger.to_reverse() + ledger.to_repeat():
        found.append("%s %s is open: %s" % (record["kind"], record["trace"], record["phase"]))

    records = ledger.newest(100_000)
    ours = standing(ledger)
    theirs = sorted(tuple(row) for row in bank.standing_all(terminal))
    if ours != theirs:
        found.append("what stands: the terminal has %s, the bank %s" % (ours, theirs))
    if not bank.balanced():
        found.append("the bank's own books do not balance")

    approved = [one for one in records if one["phase"] == APPROVED and "refused" not in one and not one.get("adjusted")]
    net = sum(BY_NAME[record["kind"]].sign * record["fen"] for record in approved)
    if net != bank.takings(merchant):
        found.append("the merchant is owed %d fen by the terminal's books, %d by the bank's" % (net, bank.takings(merchant)))
    spans = _spans(ledger, store)
    for batch, kept in store.range("totals"):
        counted = {}
        span = spans.get(batch, (0, NEWEST))
        if span is None:
            continue
        for record in approved:
            if record["batch"] == batch and span[0] <= record["id"] <= span[1]:
                kinds = counted.setdefault(record["scheme"], {})
                count, fen = kinds.get(record["kind"], (0, 0))
                kinds[record["kind"]] = [count + 1, fen + record["fen"]]
        if counted != _moved(json.loads(kept)):
            found.append("totals of batch %s: kept %s, counted %s" % (batch, json.loads(kept), counted))

    for pan, balance in before.items():
        spent = sum(BY_NAME[record["kind"]].sign * record["fen"] for record in approved if record["pan"] == masked(pan))
        left = bank.balance(pan) + bank.held(pan)
        if balance - spent != left:
            found.append("card %s: spent %d fen, the bank says %d" % (masked(pan), spent, balance - left))
        held = sum(record["fen"] + record.get("added_fen", 0) for record in _holds(approved) if record["pan"] == masked(pan))
        if held != bank.held(pan):
            found.append("card %s: the terminal has %d fen held, the bank %d" % (masked(pan), held, bank.held(pan)))

    traces = [(record["batch"], record["trace"]) for record in records]
    if len(set(traces)) != len(traces):
        found.append("a trace number was used twice")
    return found
