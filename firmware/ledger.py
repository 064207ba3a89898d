"""What happened to the money: the records, their phases, the counters and the totals.

A transaction is always in exactly one phase. The phase is written before the act that it announces, so after a
power cut the phase says what may have happened outside:

    SENT        the host may have booked it            -> unknown: it becomes REVERSING
    APPROVED    money moved                            -> the slip, if it is not printed
    DECLINED    no money moved                         -> nothing
    REVERSING   we asked, or have to ask, to undo it   -> ask again, for ever
    REVERSED    undone, the host said so               -> nothing

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
    totals        key: batch. value: JSON {kind: [count, fen]}
    notices       key: number of the record and what it is. value: JSON; index "open" until the host has answered for good
    counters      key "now": JSON: trace, batch, record, the clock's offset, the last date

A void that is open (SENT, REVERSING, APPROVED) holds its original: `void` in the original's record is the void's
number. When the void is declined or reversed the original is free again.

What cannot be read as what was written is listed in `damaged` and passed over, never overwritten: a record by its
number; "counters", which then go on behind the newest record; "totals", which are then counted anew.

Source: host.md §3 (trace, batch), §6; design: written before sent.
"""

import json

from firmware import calendar
from firmware.iso8583 import unionpay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.ports import Row, Store

    Record = dict[str, Any]  # SHAPE says what is always in it, `host.messages.record` what a request adds

OFFLINE, SCRIPT = "offline", "script"  # notices
RECENT = 50  # records that are looked through for the same card

SENT, APPROVED, DECLINED, REVERSING, REVERSED = "sent", "approved", "declined", "reversing", "reversed"

# phase: phases that may follow
PHASES: "dict[str, tuple[str, ...]]" = {
    SENT: (APPROVED, DECLINED, REVERSING),
    APPROVED: (),
    DECLINED: (),
    REVERSING: (REVERSED,),
    REVERSED: (),
}


class LedgerError(Exception):
    """A step that the phases do not allow: a defect, never a matter of the world."""


COUNTERS = (
    ("trace", 0), ("batch", 1), ("record", 0), ("offset_s", 0), ("confirmed", False), ("at_s", 0), ("signed_on_s", 0),
)  # fmt: skip
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


class Ledger:
    """The records and counters of a store. Raises ports.StoreError when it cannot; then nothing has changed here either.

    damaged    what could not be read: keys of records, "counters", "totals"
    owed       how many notices the host has not answered
    refused_uploads   how many of this batch's offline sales the host would not take
    counters   {name of COUNTERS: int or bool}; offset_s, at_s (local) and signed_on_s (UTC) in seconds
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
        self._store.commit([("counters", "now", json.dumps(counters).encode(), None)])
        batch_changed = counters["batch"] != self.counters["batch"]
        self.counters = counters
        if batch_changed:
            self._totals = self._load_totals()
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
            if isinstance(kept, dict) and all([isinstance(kept.get(name), (int, bool)) for name, _ in COUNTERS]):
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

    def _load_totals(self) -> "dict[str, list[int]]":
        found = self._store.get("totals", self.batch)
        if found is None:
            return {}
        totals = _parsed(found)
        if isinstance(totals, dict) and all([_is_count(totals[kind]) for kind in totals]):
            return totals
        self.damaged.append("totals")
        return self._counted()

    def _counted(self) -> "dict[str, list[int]]":
        """The totals of this batch, from its records."""
        totals: dict[str, list[int]] = {}
        before = 0
        while True:
            records = self.newest(100, before)
            for record in records:
                if record["batch"] == self.batch and record["phase"] == APPROVED and "refused" not in record:
                    count, fen = totals.get(record["kind"], (0, 0))
                    totals[record["kind"]] = [count + 1, fen + record["fen"]]
            if len(records) < 100:
                return totals
            before = records[-1]["id"]

    def totals(self) -> "dict[str, list[int]]":
        """{kind: [count, fen]} of the approved transactions of this batch; a reversed one is not in it."""
        return {kind: list(self._totals[kind]) for kind in self._totals}

    # -- the life of a record
    def sent(self, record: "Record", now_s: int) -> "Record":
        """Writes the intent. record: as `host.messages.record` made it, with "trace" as `next_trace` gave it, six digits.

        now_s: local seconds since 1970-01-01. Returns it with "id", "phase" and "batch". LedgerError when it names an
        original that cannot be undone.
        """
        rows, counters = self._begun(record, SENT, now_s)
        original = self._hold(record, record["id"])
        if original is not None:
            rows.append(self._row(original))
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
        """Approved by card and terminal: the record, the totals and the notice that the host is owed."""
        record["slip"] = True
        record["owed"] = True
        rows, counters = self._begun(record, APPROVED, now_s)
        totals = self._with(record, 1)
        rows.append(("totals", record["batch"], json.dumps(totals).encode(), None))
        rows.append(self._notice(record, OFFLINE))
        self._store.commit(rows)
        self.counters = counters
        self._totals = totals
        self.owed += 1

    def refused(self, record: "Record", now_s: int) -> None:
        """Declined by card or terminal, and nobody was asked: kept for the list."""
        rows, counters = self._begun(record, DECLINED, now_s)
        self._store.commit(rows)
        self.counters = counters

    def _with(self, record: "Record", sign: int) -> "dict[str, list[int]]":
        """The totals with one more, or with one less."""
        totals = self.totals()
        count, fen = totals.get(record["kind"], (0, 0))
        totals[record["kind"]] = [count + sign, fen + sign * record["fen"]]
        return totals

    def _commit(self, rows: "list[Row]", record: "Record") -> None:
        """A record's next phase, with the notice of what became of the issuer's scripts where it holds that."""
        scripts = bool(record.get("script55")) and not record.get("scripts_owed")
        if scripts:
            record["scripts_owed"] = True
            rows = [self._row(record)] + rows[1:] + [self._notice(record, SCRIPT)]
        self._store.commit(rows)
        self.owed += 1 if scripts else 0

    def approved(self, record: "Record", reply: "dict[str, Any]") -> None:
        """The reply (`host.messages.kept_of_reply`), the phase and the totals, in one."""
        new = self._turn(record, APPROVED, reply)
        totals = self._with(new, 1)
        rows = [self._row(new), ("totals", new["batch"], json.dumps(totals).encode(), None)]
        self._commit(rows, new)
        self._totals = totals
        record.update(new)

    # -- notices
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

        An offline sale that the host would not take is no money: it leaves the totals.
        """
        rows: list[Row] = []
        totals = self._totals
        if what == OFFLINE:
            new = self.get(record["id"]) or dict(record)
            new["owed"] = False
            if taken:
                new.update({name: reply[name] for name in reply if reply[name] and name != "code"})
            else:
                new["refused"] = reply.get("code", "")
                if new["batch"] == self.batch:
                    totals = self._with(new, -1)
                    rows.append(("totals", new["batch"], json.dumps(totals).encode(), None))
            rows.append(self._row(new))
            record.update(new)
        if taken:
            rows.append(("notices", _key(record["id"]) + what, None, None))
        else:
            index = "refused " + record["batch"] if what == OFFLINE else "kept"
            rows.append(self._notice(record, what, reply.get("code", ""), index))
        self._store.commit(rows)
        self._totals = totals
        self.owed -= 1
        self.refused_uploads = self._count_refused()

    def last_fen(self, who: str) -> int:
        """The amount of a card's newest approved sale, by the vault's fingerprint of it; 0 for none among the last RECENT."""
        for record in self.newest(RECENT):
            if record.get("who") == who and record["phase"] == APPROVED and record["kind"] == "sale":
                return record["fen"]
        return 0

    def exceptions(self) -> int:
        """How many cards the exception file holds."""
        return len(self._store.range("exceptions"))

    def on_exception(self, who: str) -> bool:
        """Whether the exception file has the card with this fingerprint."""
        return self._store.get("exceptions", who) is not None

    def declined(self, record: "Record", reply: "dict[str, str]") -> None:
        """The host said no: no money moved, and the original of a void is free again."""
        self._end(record, DECLINED, reply)

    def unknown(self, record: "Record", reason: str) -> None:
        """No valid reply: from now on it is to be reversed. reason: F39 of the reversal, 98, A0, 06 (host.md §6)."""
        new = self._turn(record, REVERSING, {"reason": reason, "rounds": 0})
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
        rows = [self._row(new)]
        original = self._free(new)
        if original is not None:
            rows.append(self._row(original))
        self._commit(rows, new)
        record.update(new)

    def _turn(self, record: "Record", phase: str, changes: "dict[str, Any]") -> "Record":
        if phase not in PHASES[record["phase"]]:
            raise LedgerError("%s does not follow %s" % (phase, record["phase"]))
        new = dict(record)
        new.update(changes)
        new["phase"] = phase
        if phase == APPROVED:
            new["slip"] = True
        return new

    def _hold(self, record: "Record", number: int) -> "Record | None":
        if not record.get("original"):
            return None
        original = self.get(record["original"])
        if original is None or original["phase"] != APPROVED or original.get("void"):
            raise LedgerError("the original cannot be undone")
        original["void"] = number
        return original

    def _free(self, record: "Record") -> "Record | None":
        if not record.get("original"):
            return None
        original = self.get(record["original"])
        if original is None or original.get("void") != record["id"]:
            return None
        original["void"] = 0
        return original

    def _row(self, record: "Record") -> "Row":
        busy = record["phase"] in (SENT, REVERSING) or (record["phase"] == APPROVED and record.get("slip"))
        return ("transactions", _key(record["id"]), json.dumps(record).encode(), "open" if busy else None)

    # -- questions
    def _read(self, key: str, value: bytes) -> "Record | None":
        """The record; None when it is damaged."""
        record = _parsed(value)
        try:
            if all([isinstance(record[name], kind) for name, kind in SHAPE]) and record["phase"] in PHASES:
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
        """Those whose result is unknown, oldest first."""
        return [record for record in self.open() if record["phase"] in (SENT, REVERSING)]

    def to_print(self) -> "list[Record]":
        """Approved ones whose slip is neither printed nor given up, oldest first."""
        return [record for record in self.open() if record["phase"] == APPROVED]

    def unresolved(self) -> "list[Record]":
        """Reversals that have had at least one whole round without an answer."""
        return [record for record in self.to_reverse() if record.get("rounds", 0) > 0]

    def in_batch(self) -> int:
        """How many approved transactions this batch holds."""
        return sum([self._totals[kind][0] for kind in self._totals])

    def voidable(self, record: "Record | None") -> str:
        """ "" for an approved sale of this batch that no void holds, otherwise the key of the reason's text."""
        if record is None:
            return "void.not_found"
        if record["kind"] != "sale" or record["batch"] != self.batch:
            return "void.not_a_sale"
        if record.get("void"):
            return "void.already"
        if "refused" in record:
            return "void.not_approved"
        if record["phase"] != APPROVED:
            return "void.not_approved"
        return ""

    def resolve_cut(self) -> None:
        """After a start: what was SENT when the power went has an unknown result."""
        for record in self.to_reverse():
            if record["phase"] == SENT:
                self.unknown(record, "98")
