"""Where a settlement is, written before each step, and what came of the earlier ones.

    OPEN       reversals, repeats and uploads that wait are tried; the host has been told nothing yet   -> may be forgotten
    ASK        the totals have been sent, or are about to be                                            -> sent again
    UPLOAD     the host has said what it thinks of them; transactions are uploaded from `place` on      -> goes on there
    END        everything is uploaded; the end message has been sent, or is about to be                 -> sent again
    SIGN_OFF   the host has closed the batch, and the next one has begun here                           -> the sign-off
    DONE       over, and kept: the slip, the lists and the next reprint are made of it

From ASK on the totals are frozen with the batch: no transaction begins while `running` is there. Messages may be repeated
after a power cut, steps are never skipped. Whoever closes a batch without the host (a supervisor, with a reason) ends it from
any step; what was open then stays open in the ledger.

The batch ends and the next one begins in one commit (`Ledger.roll`): there is no moment at which the host has closed it and
nobody here knows.

Tables of the store:
    settlements   key: running number, ten digits. value: JSON; index "running" until DONE, "slip" until the slip is out
    settle_time   key "done": for which moment the settlement by the clock was done last, local seconds

Source: reference/host.md §6 (settlement); reference/products.md §1.3.
"""

import json

from firmware import schemes
from firmware.iso8583.batch import BALANCED, NOTHING, OTHER_CARDS, UNIONPAY_CARDS, Half
from firmware.transactions import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from firmware.ledger import Ledger, Record, Totals
    from firmware.ports import Row, Store

    Kept = dict[str, Any]  # a settlement: NEW says what is in it

OPEN, ASK, UPLOAD, END, SIGN_OFF, DONE = "open", "ask", "upload", "end", "sign-off", "done"

# step: steps that may follow
STEPS: "dict[str, tuple[str, ...]]" = {
    OPEN: (ASK, DONE),
    ASK: (UPLOAD, DONE),
    UPLOAD: (END, DONE),
    END: (SIGN_OFF, DONE),
    SIGN_OFF: (DONE,),
    DONE: (),
}
FROZEN = (ASK, UPLOAD, END, SIGN_OFF)

# What is in a settlement, and with what it begins.
NEW = (
    ("number", 0),
    ("batch", ""),
    ("step", OPEN),
    ("at", ""),  # YYYYMMDDhhmmss, local
    ("operator", ""),
    ("by_itself", False),  # at its time of day
    ("first", 0),  # numbers of the batch's records
    ("last", 0),
    ("totals", None),  # Ledger.totals_by_scheme, as they were sent
    ("host", None),  # the two halves of the host's answer, each a list in the order of Half
    ("host_text", ""),
    ("place", None),  # [part of the upload, last record of it that is done]
    ("uploaded", 0),  # transactions that the host has taken
    ("silent", 0),  # times that nothing was heard of the transaction behind `place`
    ("unsent", None),  # [record, code or ""]: never taken
    ("denied", None),  # [record, code]: refused
    ("closed", 0),  # the supervisor's reason, 1 to REASONS; 0: the host closed it
    ("left", None),  # numbers of the records that were open when a supervisor closed it
    ("slip", True),  # it is still to be printed
)
REASONS = 4
LATE_S = 6 * 3600  # by so much may the settlement by the clock be late: then it waits for the next day


class SettlementError(Exception):
    """A step that the table does not allow: a defect, never a matter of the world."""


def _key(number: int) -> str:
    return "%010d" % number


class Settlement:
    """The settlements of a store. Raises ports.StoreError when it cannot; then nothing has changed here either.

    running    the one that is not over, or None
    damaged    keys of those that could not be read: they are passed over, never overwritten
    """

    def __init__(self, store: "Store") -> None:
        self._store = store
        self.damaged: list[str] = []
        self.running = self._one(store.range("settlements", "running", "", None, True, 1))
        newest = store.range("settlements", None, "", None, True, 1)
        self._number = int(newest[0][0]) if newest else 0

    def _one(self, rows: "list[tuple[str, bytes]]") -> "Kept | None":
        """The first of the rows that can be read, None without one."""
        for key, value in rows:
            kept = dict(NEW)
            try:
                found = json.loads(value.decode())
                kept.update(found)
                if found["step"] in STEPS and isinstance(found["batch"], str) and isinstance(found["number"], int):
                    return kept
            except (ValueError, TypeError, KeyError, RuntimeError):  # RuntimeError: nested too deeply
                pass
            if key not in self.damaged:
                self.damaged.append(key)
        return None

    def _row(self, kept: "Kept") -> "Row":
        index = "running" if kept["step"] != DONE else "slip" if kept.get("slip") else None
        return ("settlements", _key(kept["number"]), json.dumps(kept).encode(), index)

    def _take(self, kept: "Kept") -> None:
        self.running = kept if kept["step"] != DONE else None

    # -- the steps
    def begin(self, ledger: "Ledger", at: str, operator: str, by_itself: bool = False) -> None:
        """A settlement of the ledger's batch. at: YYYYMMDDhhmmss, local. Nothing else may be running."""
        if self.running is not None:
            raise SettlementError("another settlement is running")
        kept = self.snapshot(ledger, at, operator)
        kept["number"] = self._number + 1
        kept["by_itself"] = by_itself
        self._store.commit([self._row(kept)])
        self._number = kept["number"]
        self._take(kept)

    def snapshot(self, ledger: "Ledger", at: str, operator: str) -> "Kept":
        """The batch as it is, in the form of a settlement that has no number: for the screen, and paper in between."""
        kept: Kept = dict(NEW)
        kept["at"] = at
        kept["operator"] = operator
        self._freeze(kept, ledger)
        return kept

    def _freeze(self, kept: "Kept", ledger: "Ledger") -> None:
        """The batch as it is: what will be sent and uploaded of it."""
        kept["batch"] = ledger.batch
        kept["first"] = ledger.counters["begun"] + 1
        kept["last"] = ledger.counters["record"]
        kept["totals"] = ledger.totals_by_scheme()

    def asking(self, ledger: "Ledger") -> None:
        """The totals are about to leave: from here on they are these. Asked again, nothing changes."""
        if self.current["step"] == OPEN:
            kept = self._next(ASK, {})
            self._freeze(kept, ledger)
            self._store.commit([self._row(kept)])
            self._take(kept)

    def turn(self, step: str, **changes: "Any") -> None:
        """The next step, on disk before it is done. changes: by the names of NEW."""
        kept = self._next(step, changes)
        self._store.commit([self._row(kept)])
        self._take(kept)

    def note(self, **changes: "Any") -> None:
        """How far the upload is. Not synced: what a power cut takes of it is uploaded once more."""
        kept = self._next("", changes)
        self._store.commit([self._row(kept)], False)
        self._take(kept)

    def roll(self, ledger: "Ledger", step: str, **changes: "Any") -> None:
        """The batch is over: this step and the ledger's next batch in one commit. step: SIGN_OFF or DONE."""
        kept = self._next(step, changes)
        ledger.roll([self._row(kept)])
        self._take(kept)

    def forget(self) -> None:
        """Not begun after all: only while the host has been told nothing. What is further on stays."""
        kept = self.running
        if kept is not None and kept["step"] == OPEN:
            self._store.commit([("settlements", _key(kept["number"]), None, None)])
            self.running = None
            self._number -= 1

    @property
    def current(self) -> "Kept":
        """The one that is running. SettlementError without one."""
        if self.running is None:
            raise SettlementError("no settlement is running")
        return self.running

    def _next(self, step: str, changes: "Kept") -> "Kept":
        kept = dict(self.current)
        if step:
            if step not in STEPS[kept["step"]]:
                raise SettlementError("%s does not follow %s" % (step, kept["step"]))
            kept["step"] = step
        kept.update(changes)
        return kept

    # -- what is kept
    @property
    def frozen(self) -> bool:
        """Whether the host may know the totals: no transaction begins."""
        return self.running is not None and self.running["step"] in FROZEN

    def last(self) -> "Kept | None":
        """The newest that is over; None before the first."""
        for row in self._store.range("settlements", None, "", None, True, 3):
            kept = self._one([row])
            if kept is not None and kept["step"] == DONE:
                return kept
        return None

    def to_print(self) -> "Kept | None":
        """The newest whose slip is neither printed nor given up."""
        return self._one(self._store.range("settlements", "slip", "", None, True, 1))

    def printed(self, kept: "Kept") -> None:
        """The slip is out, or given up, and those before it with it."""
        rows = []
        for row in self._store.range("settlements", "slip"):
            one = self._one([row])
            if one is not None and one["number"] <= kept["number"]:
                one["slip"] = False
                rows.append(self._row(one))
        if rows:
            self._store.commit(rows, False)

    # -- the clock
    def is_due(self, time: str, now_s: int) -> bool:
        """Whether the settlement of this time of day (hhmm, "" for never) has not been done yet. now_s: local seconds.

        The first time that somebody asks, the moment before counts as done.
        """
        moment = last_moment(time, now_s)
        if moment < 0:
            return False
        done_s = self._done_s()
        if done_s < 0:
            self.done_by_clock(time, now_s)
            return False
        return done_s < moment and now_s - moment <= LATE_S

    def done_by_clock(self, time: str, now_s: int) -> None:
        """It was done, or there was nothing to do: not again before the next day."""
        self._store.commit([("settle_time", "done", b"%d" % last_moment(time, now_s), None)], False)

    def _done_s(self) -> int:
        found = self._store.get("settle_time", "done")
        return int(found) if found is not None and found.isdigit() else -1


def last_moment(time: str, now_s: int) -> int:
    """When it was hhmm last, in local seconds; -1 for what is no time of day."""
    if len(time) != 4 or not time.isdigit() or int(time[:2]) > 23 or int(time[2:]) > 59:
        return -1
    moment = now_s // 86400 * 86400 + int(time[:2]) * 3600 + int(time[2:]) * 60
    return moment if moment <= now_s else moment - 86400


def records_of(ledger: "Ledger", kept: "Kept") -> "Iterator[Record]":
    """Every record of a settlement's batch, oldest first; a damaged one is left out."""
    for number in range(kept["first"], kept["last"] + 1):
        record = ledger.get(number)
        if record is not None and record["batch"] == kept["batch"]:
            yield record


def organisation(scheme: str) -> str:
    """Which half of the totals a card organisation belongs to: the digits that the messages have for it."""
    return UNIONPAY_CARDS if scheme == schemes.UNIONPAY else OTHER_CARDS


def halves(totals: "Totals") -> "tuple[Half, Half]":
    """What the host is told of the totals: (UnionPay's cards, other cards)."""
    sums = {UNIONPAY_CARDS: [0, 0, 0, 0], OTHER_CARDS: [0, 0, 0, 0]}
    for scheme in totals:
        half = sums[organisation(scheme)]
        for kind in totals[scheme]:
            sign = BY_NAME[kind].sign if kind in BY_NAME else 0
            if sign:
                at = 0 if sign > 0 else 2
                half[at] += totals[scheme][kind][1]
                half[at + 1] += totals[scheme][kind][0]
    return _half(sums[UNIONPAY_CARDS]), _half(sums[OTHER_CARDS])


def _half(sums: "list[int]") -> Half:
    return Half(sums[0], sums[1], sums[2], sums[3], NOTHING.flag)


def answered(kept: "Kept") -> "tuple[Half, Half]":
    """What the host has said of the two halves; NOTHING where it has not."""
    host = kept["host"]
    return (Half(*host[0]), Half(*host[1])) if host else (NOTHING, NOTHING)


def is_balanced(ours: Half, theirs: Half) -> bool:
    """Whether the host agrees with a half. One that is empty here, and of which it says nothing, is no matter."""
    return theirs.flag == BALANCED or (theirs.flag == NOTHING.flag and not ours.debits and not ours.credits)


def all_balanced(kept: "Kept") -> bool:
    """Whether the host agrees with both halves."""
    ours, theirs = halves(kept["totals"]), answered(kept)
    return is_balanced(ours[0], theirs[0]) and is_balanced(ours[1], theirs[1])
