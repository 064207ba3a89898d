"""What happened to the money: the records, their phases, the counters and the totals.

A transaction is always in exactly one phase. The phase is written before the act that it announces, so after a
power cut the phase says what may have happened outside:

    SENT        the host may have booked it            -> unknown: it becomes REVERSING
    APPROVED    money moved                            -> the slip, if it is not printed
    DECLINED    no money moved                         -> nothing
    REVERSING   we asked, or have to ask, to undo it   -> ask again, for ever
    REVERSED    undone, the host said so               -> nothing
    REPEATING   it cannot be undone, only be answered  -> the identical message again, for ever (refund, completion notice)

Before SENT nothing has left the terminal and nothing is written: a sale that was only typed is forgotten. What card and
terminal approve or decline between themselves is written at once as APPROVED or DECLINED (`offline`, `refused`).

What the host has to be told afterwards is a notice: the offline approval ("offline"), the results of issuer scripts
("script"). It is sent again until the host has answered, as soon as the terminal has nothing else to say to it.

One commit each, on disk before the next step:
    `sent`      the record in phase SENT, its trace number, the counters        (before a byte leaves)
    `approved`  the reply, the phase, the totals, the void's mark on its original
    `declined`, `unknown`, `reversed_`  likewise
    `offline`   record, trace number, counters, totals, and its notice to the host
    `printed`   not synced: a lost mark only offers the slip once more

Tables of the store:
    transactions  key: number of the record, ten digits. value: JSON. index "open" while something is to be done
    traces        key: batch + trace. value: number of the record
    totals        key: batch. value: JSON {scheme: {kind: [count, fen]}}
    refunds       key: `refund_key` of a sale. value: JSON {"open": record or 0, "fen": refunded so far}
    references    key: reference number. value: number of the record
    codes         key: authorisation code + record. value: number of the pre-authorisation's record
    notices       key: number of the record and what it is. value: JSON; index "open" until the host has answered for good
    counters      key "now": JSON: trace, batch, record, the clock's offset, the last date

What undoes, completes or changes another transaction holds it while it is open (SENT, REVERSING, REPEATING) and once it is
APPROVED: the column `holds` names the mark in the original's record, which is the holder's number. When the holder is
declined or reversed the original is free again. Refunds hold their original by its reference number, since it may be in no
store of this terminal; several may follow each other, one at a time.

A changed sale (`adjusted`) has left the totals: what changed it stands there with the new total (`stands`). It cannot be undone;
refunds of it go by its own reference number and up to the new total.

What cannot be read as what was written is listed in `damaged` and passed over, never overwritten: a record by its
number; "counters", which then go on behind the newest record; "totals", which are then counted anew.

Source: host.md §3 (trace, batch), §6; design: written before sent.
"""

import json

from firmware import calendar, schemes
from firmware.iso8583 import unionpay
from firmware.transactions import BY_NAME, REPEAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from firmware.ports import Row, Store

    Totals = dict[str, dict[str, list[int]]]
    Record = dict[str, Any]  # SHAPE says what is always in it, `host.messages.record` what a request adds

OFFLINE, SCRIPT = "offline", "script"  # notices
RECENT = 50  # records that are looked through for the same card
PAGE = 100  # records that are read at once

SENT, APPROVED, DECLINED, REVERSING, REVERSED = "sent", "approved", "declined", "reversing", "reversed"
REPEATING = "repeating"
REFUND = "refund"  # the mark that is kept by reference number
NOBODY = -1

# phase: phases that may follow
PHASES: "dict[str, tuple[str, ...]]" = {
    SENT: (APPROVED, DECLINED, REVERSING, REPEATING),
    APPROVED: (),
    DECLINED: (),
    REVERSING: (REVERSED,),
    REVERSED: (),
    REPEATING: (APPROVED, DECLINED),
}
OPEN = (SENT, REVERSING, REPEATING)


class LedgerError(Exception):
    """A step that the phases do not allow: a defect, never a matter of the world."""


COUNTERS = (
    ("trace", 0), ("batch", 1), ("record", 0), ("offset_s", 0), ("confirmed", False), ("at_s", 0), ("signed_on_s", 0),
    ("begun", 0),
)  # fmt: skip
ADDED = {"begun": 0}  # counters that an older device has not written
# Marks: nothing else may have what has one of them.
BARS = (("void", "void.already"), ("adjusted", "void.adjusted"), ("completed", "void.completed"), ("adding", "preauth.open"))
SHAPE = (("id", int), ("fen", int), ("kind", str), ("phase", str), ("trace", str), ("batch", str))


def _key(number: int) -> str:
    return "%010d" % number


def _parsed(value: bytes) -> "Any":
    """What the JSON says; None when it is none."""
    try:
        return json.loads(value.decode())
    except (ValueError, RuntimeError):  # RuntimeError: nested too deeply
        return None


def _is_count(row: object) -> bool:
    return isinstance(row, list) and len(row) == 2 and isinstance(row[0], int) and isinstance(row[1], int)


def _totals_row(batch: str, totals: "Totals") -> "Row":
    return ("totals", batch, json.dumps(totals).encode(), None)


def _is_totals(kinds: object) -> bool:
    return isinstance(kinds, dict) and all([_is_count(kinds[kind]) for kind in kinds])


def _copy(totals: "Totals") -> "Totals":
    return {scheme: {kind: list(totals[scheme][kind]) for kind in totals[scheme]} for scheme in totals}


def _count(totals: "Totals", record: "Record", sign: int) -> None:
    """One record more in the totals, or less."""
    kinds = totals.setdefault(record.get("scheme", schemes.UNIONPAY), {})
    count, fen = kinds.get(record["kind"], (0, 0))
    kinds[record["kind"]] = [count + sign, fen + sign * record["fen"]]


def refund_key(record: "Record") -> str:
    """What its refunds are kept by: the reference number, or where the host gave none batch and trace."""
    return record.get("reference") or record["batch"] + "-" + record["trace"]


def _row_of(record: "Record") -> "Any":
    """What the table of transactions says of its kind."""
    return BY_NAME[record["kind"]]


class Ledger:
    """The records and counters of a store. Raises ports.StoreError when it cannot; then nothing has changed here either.

    damaged    what could not be read: keys of records, "counters", "totals"
    owed       how many notices the host has not answered
    refused_uploads   how many of this batch's offline sales the host would not take
    counters   {name of COUNTERS: int or bool}; offset_s, at_s (local) and signed_on_s (UTC) in seconds; begun: the last record
               before this batch, because a host may name a batch number anew
    """

    def __init__(self, store: "Store") -> None:
        self._store = store
        self.damaged: list[str] = []
        self.counters = self._load_counters()
        self._totals = self._load_totals()
        self.owed = len(store.range("notices", "open"))
        self.refused_uploads = self._count_refused()

    # -- counters
    @property
    def trace(self) -> int:
        """The trace number used last."""
        return self.counters["trace"]

    @property
    def batch(self) -> str:
        """The batch number, six digits (F60.2)."""
        return "%06d" % self.counters["batch"]

    def next_trace(self) -> int:
        """1..999999, then 1 again. Used only once it is committed: by `sent` or `spend_trace`."""
        return unionpay.next_trace(self.counters["trace"])

    def spend_trace(self) -> str:
        """A trace number, six digits, for a message that leaves no record; committed before use."""
        trace = self.next_trace()
        self.note(trace=trace)
        return unionpay.trace(trace)

    def skip_traces(self, count: int) -> None:
        """Leaves out trace numbers that the host has seen already."""
        self.note(trace=(self.counters["trace"] + count - 1) % unionpay.TRACE_LIMIT + 1)

    def note(self, **changes: int) -> None:
        """Commits counters, by the names of COUNTERS."""
        counters = self._counters(changes)
        if counters["batch"] != self.counters["batch"]:
            self._begin_batch(counters, [])
            return
        self._store.commit([("counters", "now", json.dumps(counters).encode(), None)])
        self.counters = counters

    def roll(self, rows: "list[Row]") -> None:
        """Commits `rows`, and in the same commit begins the next batch: 1 after 999999. Raises ports.StoreError."""
        self._begin_batch(self._counters({"batch": unionpay.next_trace(self.counters["batch"])}), rows)

    def _begin_batch(self, counters: "dict[str, int]", rows: "list[Row]") -> None:
        counters["begun"] = counters["record"]
        totals: Row = ("totals", "%06d" % counters["batch"], None, None)  # of a batch that had the same number
        self._store.commit(rows + [totals, ("counters", "now", json.dumps(counters).encode(), None)])
        self.counters = counters
        self._totals = {}
        self.refused_uploads = self._count_refused()

    def _counters(self, changes: "dict[str, int]") -> "dict[str, int]":
        counters = dict(self.counters)
        counters.update(changes)
        return counters

    def _load_counters(self) -> "dict[str, int]":
        counters: dict[str, int] = dict(COUNTERS)
        found = self._store.get("counters", "now")
        if found is not None:
            kept = _parsed(found)
            if isinstance(kept, dict) and all([isinstance(kept.get(name, ADDED.get(name)), (int, bool)) for name, _ in COUNTERS]):
                counters.update(kept)
                numbers = (counters["trace"], counters["batch"])
                if all([0 <= number <= unionpay.TRACE_LIMIT for number in numbers]) and counters["record"] >= 0:
                    return counters
            self.damaged.append("counters")
        return self._counters_behind(self._store.range("transactions", None, "", None, True, 1))

    def _counters_behind(self, newest: "list[tuple[str, bytes]]") -> "dict[str, int]":
        """The counters as the newest record leaves them: no number is given out twice."""
        counters: dict[str, int] = dict(COUNTERS)
        if newest:
            counters["record"] = int(newest[0][0])
            for record in self.newest(1):
                counters["trace"], counters["batch"] = int(record["trace"]), int(record["batch"])
                try:
                    counters["at_s"] = calendar.seconds(calendar.parse_stamp(record.get("at", "")))
                except ValueError:
                    pass
        return counters

    def _load_totals(self, batch: str = "") -> "Totals":
        """Those of a batch, this one's without a name."""
        found = self._store.get("totals", batch or self.batch)
        if found is None:
            return {}
        totals = _parsed(found)
        if isinstance(totals, dict) and all([_is_totals(totals[scheme]) for scheme in totals]):
            return totals
        if "totals" not in self.damaged:
            self.damaged.append("totals")
        return self._counted(batch or self.batch)

    def _counted(self, batch: str) -> "Totals":
        """The totals of a batch, from its records."""
        totals: Totals = {}
        for record in self.batch_records(batch):
            if record["phase"] == APPROVED and "refused" not in record and not record.get("adjusted"):
                _count(totals, record, 1)
        return totals

    def totals(self, batch: str = "") -> "dict[str, list[int]]":
        """{kind: [count, fen]} of the approved transactions of a batch (this one's); a reversed one is not in it."""
        found: dict[str, list[int]] = {}
        totals = self.totals_by_scheme(batch)
        for scheme in totals:
            for kind in totals[scheme]:
                count, fen = found.get(kind, (0, 0))
                found[kind] = [count + totals[scheme][kind][0], fen + totals[scheme][kind][1]]
        return found

    def totals_by_scheme(self, batch: str = "") -> "Totals":
        """{scheme: {kind: [count, fen]}}, schemes as of `schemes.NAMES`."""
        return _copy(self._totals if batch in ("", self.batch) else self._load_totals(batch))

    def batch_records(self, batch: str = "") -> "Iterator[Record]":
        """Every record of a batch (this one), by trace number, read a page at a time; a damaged one is left out."""
        batch = batch or self.batch
        begun = self.counters["begun"] if batch == self.batch else 0
        low = batch
        while True:
            rows = self._store.range("traces", None, low, batch + "~", False, PAGE)
            for _, value in rows:
                number = _parsed(value.lstrip(b"0"))
                record = self.get(number) if isinstance(number, int) else None
                if record is not None and record["batch"] == batch and record["id"] > begun:
                    yield record
            if len(rows) < PAGE:
                return
            low = rows[-1][0] + " "

    # -- the life of a record
    def sent(self, record: "Record", now_s: int) -> "Record":
        """Writes the intent. record: as `host.messages.record` made it, with "trace" as `next_trace` gave it, six digits.

        now_s: local seconds since 1970-01-01. Returns it with "id", "phase" and "batch". LedgerError when it names an
        original that it cannot have.
        """
        rows, counters = self._begun(record, SENT, now_s)
        rows += self._hold(record)
        self._store.commit(rows)
        self.counters = counters
        return record

    def _begun(self, record: "Record", phase: str, now_s: int) -> "tuple[list[Row], dict[str, int]]":
        """A new record in its first phase: the rows that write it, and the counters behind it."""
        number = self.counters["record"] + 1
        record["id"] = number
        record["phase"] = phase
        record["batch"] = self.batch
        counters = self._counters({"trace": int(record["trace"]), "record": number, "at_s": max(now_s, self.counters["at_s"])})
        rows = [
            self._row(record),
            ("traces", record["batch"] + record["trace"], _key(number).encode(), None),
            ("counters", "now", json.dumps(counters).encode(), None),
        ]
        return rows, counters

    def offline(self, record: "Record", now_s: int) -> None:
        """Approved without the host: the record, its mark, the totals and the notice that the host is owed."""
        record["slip"] = True
        record["owed"] = True
        rows, counters = self._begun(record, APPROVED, now_s)
        rows += self._hold(record)
        totals = _copy(self._totals)
        _count(totals, record, 1)
        original = self._adjusted(record)
        if original is not None:
            _count(totals, original, -1)
        rows.append(_totals_row(record["batch"], totals))
        rows.append(self._notice(record, OFFLINE))
        self._store.commit(rows)
        self.counters = counters
        self._totals = totals
        self.owed += 1

    def _adjusted(self, record: "Record") -> "Record | None":
        """The sale whose total this record changes: it stands in the totals in its place."""
        return self.get(record["original"]) if _row_of(record).holds == "adjusted" else None

    def refused(self, record: "Record", now_s: int) -> None:
        """Declined by card or terminal, and nobody was asked: kept for the list."""
        rows, counters = self._begun(record, DECLINED, now_s)
        self._store.commit(rows)
        self.counters = counters

    def _commit(self, rows: "list[Row]", record: "Record") -> None:
        """A record's next phase, with the notice of what became of the issuer's scripts where it holds that."""
        scripts = bool(record.get("script55")) and not record.get("scripts_owed")
        if scripts:
            record["scripts_owed"] = True
            rows = [self._row(record)] + rows[1:] + [self._notice(record, SCRIPT)]
        self._store.commit(rows)
        self.owed += 1 if scripts else 0

    def approved(self, record: "Record", reply: "dict[str, Any]") -> None:
        """The reply (`host.messages.kept_of_reply`), the phase, the totals and what it leaves on others, in one."""
        new = self._turn(record, APPROVED, reply)
        new["scheme"] = schemes.of_reply(reply.get("organisation", ""), record.get("scheme", schemes.UNIONPAY))
        totals = self._totals_of(new)
        _count(totals, new, 1)
        self._commit([self._row(new)] + self._totals_rows(new, totals) + self._consequences(new), new)
        if self.is_ours(new):
            self._totals = totals
        record.update(new)

    def is_ours(self, record: "Record") -> bool:
        """Whether it is of this batch: not of an earlier one that had the same number."""
        return record["batch"] == self.batch and record["id"] > self.counters["begun"]

    def _totals_of(self, record: "Record") -> "Totals":
        """A copy of the totals that it stands in."""
        return _copy(self._totals) if self.is_ours(record) else self._load_totals(record["batch"])

    def _totals_rows(self, record: "Record", totals: "Totals") -> "list[Row]":
        """The row that keeps them; none when its batch's number has begun anew since, and its totals are gone."""
        gone = record["batch"] == self.batch and not self.is_ours(record)
        return [] if gone else [_totals_row(record["batch"], totals)]

    def _consequences(self, record: "Record") -> "list[Row]":
        """What an approval changes besides its own record."""
        rows: list[Row] = []
        row = _row_of(record)
        rows += self._reference_rows(record)
        if row.name == "preauth" and record.get("authorisation"):
            rows.append(("codes", record["authorisation"] + _key(record["id"]), _key(record["id"]).encode(), None))
        original = self.get(record["original"]) if record.get("original") else None
        if row.name == "preauth-add" and original is not None:
            original["added_fen"] = original.get("added_fen", 0) + record["fen"]
            original["adding"] = 0  # the next one may follow
            rows.append(self._row(original))
        if row.name == "complete-void" and original is not None:
            rows += self._free(original)  # what was held may be taken once more
        if row.holds == REFUND:
            rows.append(self._refund_row(record, 0, self.refunded(record["of_reference"])[1] + record["fen"]))
            if original is not None:
                original["refunded_fen"] = original.get("refunded_fen", 0) + record["fen"]
                rows.append(self._row(original))
        return rows

    def _reference_rows(self, record: "Record") -> "list[Row]":
        """By which `by_reference` finds it."""
        if _row_of(record).sign <= 0 or not record.get("reference"):
            return []
        return [("references", record["reference"], _key(record["id"]).encode(), None)]

    # -- notices
    def is_owed(self, record: "Record") -> bool:
        """Whether the host has still to hear of it, or of what has changed its total."""
        return bool(record.get("owed") or self.stands(record).get("owed"))

    def _notice(self, record: "Record", what: str, code: str = "", index: str = "open") -> "Row":
        value = {"record": record["id"], "what": what, "code": code}
        return ("notices", _key(record["id"]) + what, json.dumps(value).encode(), index)

    def _count_refused(self) -> int:
        return len(self._store.range("notices", "refused " + self.batch))

    def notices(self) -> "list[tuple[str, Record]]":
        """What the host has to be told: (OFFLINE or SCRIPT, the record), money before results, oldest first."""
        found = []
        for key, value in self._store.range("notices", "open") if self.owed else ():
            notice = _parsed(value)
            record = self.get(notice["record"]) if isinstance(notice, dict) and isinstance(notice.get("record"), int) else None
            if record is None:
                if key not in self.damaged:
                    self.damaged.append(key)
                continue
            found.append((notice.get("what", OFFLINE), record))
        return [one for one in found if one[0] == OFFLINE] + [one for one in found if one[0] != OFFLINE]

    def told(self, what: str, record: "Record", reply: "dict[str, str]", taken: bool) -> None:
        """The host has answered a notice. taken: it booked it; otherwise it is kept as refused, with the code, for people.

        An offline sale that the host would not take is no money: it leaves the totals, and what it changed stands as before.
        """
        rows: list[Row] = []
        totals = self._totals
        if what == OFFLINE:
            new = self.get(record["id"]) or dict(record)
            new["owed"] = False
            if taken:
                new.update({name: reply[name] for name in reply if reply[name] and name not in ("code", "organisation")})
                totals = self._moved(new, reply.get("organisation", ""), rows)
                rows += self._reference_rows(new)
            else:
                new["refused"] = reply.get("code", "")
                totals = self._without(new, rows)
                if self._store.get("totals", new["batch"]) is not None:  # else its batch's number was begun anew, and closed
                    rows += self._totals_rows(new, totals)
            rows.append(self._row(new))
            record.update(new)
        if taken:
            rows.append(("notices", _key(record["id"]) + what, None, None))
        else:
            index = "refused " + record["batch"] if what == OFFLINE else "kept"
            rows.append(self._notice(record, what, reply.get("code", ""), index))
        self._store.commit(rows)
        if self.is_ours(record):
            self._totals = totals
        self.owed -= 1
        self.refused_uploads = self._count_refused()

    def _moved(self, record: "Record", organisation: str, rows: "list[Row]") -> "Totals":
        """The totals once the host has said whose card it is: it counts among those."""
        totals = self._totals_of(record)
        before = record.get("scheme", schemes.UNIONPAY)
        now = schemes.of_reply(organisation, before)
        if now != before and not record.get("adjusted") and self._store.get("totals", record["batch"]) is not None:
            _count(totals, record, -1)
            record["scheme"] = now
            _count(totals, record, 1)
            rows += self._totals_rows(record, totals)
        record["scheme"] = now
        return totals

    def _without(self, record: "Record", rows: "list[Row]") -> "Totals":
        """The totals without a refused offline transaction; `rows` gets the original that is free again."""
        totals = self._totals_of(record)
        if not record.get("adjusted"):  # else what changed it stands there in its place
            _count(totals, record, -1)
        original = self._adjusted(record)
        rows += self._free(record)
        if original is not None and "refused" not in original:
            _count(totals, original, 1)
        return totals

    def last_fen(self, who: str) -> int:
        """The amount of a card's newest approved sale, by the vault's fingerprint of it; 0 for none among the last RECENT."""
        for record in self.newest(RECENT):
            if record.get("who") == who and record["phase"] == APPROVED and _row_of(record).sign > 0:
                return record["fen"]
        return 0

    def exceptions(self) -> int:
        """How many cards the exception file holds."""
        return len(self._store.range("exceptions"))

    def on_exception(self, who: str) -> bool:
        """Whether the exception file has the card with this fingerprint."""
        return self._store.get("exceptions", who) is not None

    def declined(self, record: "Record", reply: "dict[str, str]") -> None:
        """The host said no: no money moved, and its original is free again."""
        self._end(record, DECLINED, reply)

    def unknown(self, record: "Record", reason: str) -> None:
        """No valid reply: from now on it is to be reversed, or repeated. reason: F39 of the reversal, 98, A0, 06 (host.md §6)."""
        phase = REPEATING if _row_of(record).unknown == REPEAT else REVERSING
        new = self._turn(record, phase, {"reason": reason, "rounds": 0})
        self._commit([self._row(new)], new)
        record.update(new)

    def tried(self, record: "Record") -> None:
        """One more round of reversals went unanswered."""
        new = dict(record)
        new["rounds"] = new.get("rounds", 0) + 1
        self._store.commit([self._row(new)])
        record.update(new)

    def reversed_(self, record: "Record", reply: "dict[str, str]") -> None:
        """The host undid it. 12 and 25 (nothing to undo) are the same to us."""
        self._end(record, REVERSED, {"undone": reply.get("code", "")})

    def printed(self, record: "Record", copies: int, sync: bool = False) -> None:
        """How many copies came out. Not synced unless asked for: a lost mark only offers the slip again."""
        # The stored one: while the page stood the reversal of a void may have changed it.
        new = self.get(record["id"]) or dict(record)
        new["printed"] = max(copies, new.get("printed", 0))
        new["slip"] = False
        self._store.commit([self._row(new)], sync)
        record.update(new)

    def _end(self, record: "Record", phase: str, reply: "dict[str, str]") -> None:
        new = self._turn(record, phase, reply)
        self._commit([self._row(new)] + self._free(new), new)
        record.update(new)

    def _turn(self, record: "Record", phase: str, changes: "dict[str, Any]") -> "Record":
        if phase not in PHASES[record["phase"]]:
            raise LedgerError("%s does not follow %s" % (phase, record["phase"]))
        new = dict(record)
        new.update(changes)
        new["phase"] = phase
        if phase == APPROVED:
            new["slip"] = True
        if phase in (APPROVED, DECLINED):
            for name in ("message", "track_key"):  # nobody sends it again: the track goes with it
                new.pop(name, None)
        return new

    def _hold(self, record: "Record") -> "list[Row]":
        """The mark on what a new record undoes, completes or changes. LedgerError where somebody else has one there."""
        row = _row_of(record)
        if row.holds == REFUND:
            busy, fen = self.refunded(record["of_reference"])
            original = self.get(record["original"]) if record.get("original") else None
            if busy or original is not None and fen + record["fen"] > self.stands(original)["fen"]:
                raise LedgerError("a refund of this original is open, or all of it is refunded")
            return [self._refund_row(record, record["id"], fen)]
        if not row.holds or not record.get("original"):
            return []
        original = self.get(record["original"])
        if self.problem(original, row):
            raise LedgerError("the original cannot be had")
        assert original is not None
        original[row.holds] = record["id"]
        return [self._row(original)]

    def _free(self, record: "Record") -> "list[Row]":
        """The mark taken away again."""
        row = _row_of(record)
        if row.holds == REFUND:
            busy, fen = self.refunded(record["of_reference"])
            return [self._refund_row(record, 0, fen)] if busy == record["id"] else []
        original = self.get(record["original"]) if row.holds and record.get("original") else None
        if original is None or original.get(row.holds) != record["id"]:
            return []
        original[row.holds] = 0
        return [self._row(original)]

    def _refund_row(self, record: "Record", busy: int, fen: int) -> "Row":
        return ("refunds", record["of_reference"], json.dumps({"open": busy, "fen": fen}).encode(), None)

    def refunded(self, reference: str) -> "tuple[int, int]":
        """(the refund of this reference number that is open, 0 for none; how much has been refunded of it from here, in fen).
        NOBODY where that cannot be read: then nothing more is refunded."""
        found = self._store.get("refunds", reference)
        kept = _parsed(found) if found is not None else {}
        if not isinstance(kept, dict) or not all([isinstance(kept.get(name, 0), int) for name in ("open", "fen")]):
            if reference not in self.damaged:
                self.damaged.append(reference)
            busy = [record["id"] for record in self.to_repeat() if record.get("of_reference") == reference]
            original = self.by_reference(reference)
            if original is None:
                return (NOBODY, 0)
            return (busy[0] if busy else 0, int(original.get("refunded_fen", 0)))
        return (kept.get("open", 0), kept.get("fen", 0))

    def _row(self, record: "Record") -> "Row":
        busy = record["phase"] in OPEN or (record["phase"] == APPROVED and record.get("slip"))
        return ("transactions", _key(record["id"]), json.dumps(record).encode(), "open" if busy else None)

    # -- questions
    def _read(self, key: str, value: bytes) -> "Record | None":
        """The record; None when it is damaged."""
        record = _parsed(value)
        try:
            shaped = all([isinstance(record[name], kind) for name, kind in SHAPE])
            if shaped and record["phase"] in PHASES and record["kind"] in BY_NAME:
                return record
        except (TypeError, KeyError):
            pass
        if key not in self.damaged:
            self.damaged.append(key)
        return None

    def get(self, number: int) -> "Record | None":
        """The record of that number, read anew; None when there is none, or it is damaged."""
        found = self._store.get("transactions", _key(number))
        return None if found is None else self._read(_key(number), found)

    def by_trace(self, trace: str) -> "Record | None":
        """The record of this batch with that trace number, six digits; None when there is none, or it is damaged."""
        found = self._store.get("traces", self.batch + trace)
        number = 0 if found is None else _parsed(found.lstrip(b"0"))
        return self.get(number) if isinstance(number, int) and number else None

    def last(self) -> "Record | None":
        """The newest record; None when there is none, or it is damaged."""
        return self.get(self.counters["record"]) if self.counters["record"] else None

    def newest(self, limit: int, before: int = 0) -> "list[Record]":
        """Up to `limit` records of any batch and phase, newest first; with `before` those older than that number."""
        high = _key(before) if before else None
        found: list[Record] = []
        while True:
            wanted = limit - len(found)
            rows = self._store.range("transactions", None, "", high, True, wanted)
            for key, value in rows:
                record = self._read(key, value)
                if record is not None:
                    found.append(record)
                high = key
            if len(found) == limit or len(rows) < wanted:
                return found

    def open(self) -> "list[Record]":
        """Records that want something done, oldest first."""
        records = [self._read(key, value) for key, value in self._store.range("transactions", "open")]
        return [record for record in records if record is not None]

    def to_reverse(self) -> "list[Record]":
        """Those whose result is unknown and that can be undone, oldest first."""
        return [record for record in self.open() if record["phase"] in OPEN and _row_of(record).unknown != REPEAT]

    def to_repeat(self) -> "list[Record]":
        """Those whose result is unknown and that are sent again until they are answered, oldest first."""
        return [record for record in self.open() if record["phase"] in OPEN and _row_of(record).unknown == REPEAT]

    def to_print(self) -> "list[Record]":
        """Approved ones whose slip is neither printed nor given up, oldest first."""
        return [record for record in self.open() if record["phase"] == APPROVED]

    def unresolved(self) -> "list[Record]":
        """Reversals that have had at least one whole round without an answer."""
        return [record for record in self.to_reverse() if record.get("rounds", 0) > 0]

    def unanswered(self) -> "list[Record]":
        """The same of what is repeated."""
        return [record for record in self.to_repeat() if record.get("rounds", 0) > 0]

    def in_batch(self) -> int:
        """How many approved transactions this batch holds."""
        totals = self.totals()
        return sum([totals[kind][0] for kind in totals])

    def left_open(self) -> str:
        """What the host knows, or has yet to hear, under our present name and keys: "reversal" (a result that is unknown),
        "notice", "batch" (something to settle), "" for nothing."""
        if self.to_reverse() or self.to_repeat():
            return "reversal"
        return "notice" if self.owed else "batch" if self.in_batch() else ""

    def holds_something(self) -> bool:
        """Whether something of this batch has moved money, or may have."""
        return self.in_batch() > 0 or any([self.is_ours(record) for record in self.to_reverse() + self.to_repeat()])

    def by_reference(self, reference: str) -> "Record | None":
        """The approved record with this reference number, of any batch, and of what has changed the total of another that
        other; None when this terminal has none."""
        found = self._store.get("references", reference)
        number = _parsed(found.lstrip(b"0")) if found is not None else None
        record = self.get(number) if isinstance(number, int) else None
        if record is None or record["phase"] != APPROVED:
            return None
        while _row_of(record).holds == "adjusted":
            changed = self._adjusted(record)
            if changed is None or changed["id"] >= record["id"]:
                return None
            record = changed
        return record

    def stands(self, record: "Record") -> "Record":
        """What stands in a record's place: what has changed its total since, or itself."""
        while record.get("adjusted", 0) > record["id"]:
            newer = self.get(record["adjusted"])
            if newer is None:
                break
            record = newer
        return record

    def by_code(self, code: str) -> "list[Record]":
        """The pre-authorisations that the bank has given this authorisation code, newest first."""
        found = []
        for _, value in self._store.range("codes", None, code, code + "~", True):
            number = _parsed(value.lstrip(b"0"))
            record = self.get(number) if isinstance(number, int) else None
            if record is not None and record["phase"] == APPROVED:
                found.append(record)
        return found

    def problem(self, record: "Record | None", row: "Any") -> str:
        """ "" for a record that a transaction of this row may have as its original, otherwise the key of the reason's text."""
        if record is None:
            return "void.not_found"
        if record["kind"] not in row.undoes or (row.finds == "trace" and record["batch"] != self.batch):
            return "void.not_a_sale"
        if record["phase"] != APPROVED or "refused" in record:
            return "void.not_approved"
        if row.finds == "trace" and record.get("id", 0) <= self.counters["begun"]:
            return "void.not_a_sale"
        for mark, why in BARS:
            if record.get(mark) and (mark, row.holds) != ("adjusted", REFUND):
                return why
        refunded = self.refunded(refund_key(record))
        if row.holds == REFUND:
            return "refund.open" if refunded[0] else ""
        return "void.refunded" if refunded != (0, 0) else ""

    def resolve_cut(self) -> None:
        """After a start: what was SENT when the power went has an unknown result."""
        for record in self.open():
            if record["phase"] == SENT:
                self.unknown(record, unionpay.REASON_NO_ANSWER)
