"""Who may log in, who is locked out, who unlocks whom.

    01..98   clerk (操作员): sells, queries, changes his own password
    00       supervisor (主管): approves voids, adds and removes clerks, unlocks them
    99       system administrator (系统管理员): parameters, keys; unlocks 00

Five wrong tries lock an operator for a time that counts only while the device is powered: switching it off and
on does not shorten it, and neither does setting the clock. The count is on disk before the operator hears
"wrong", so that pulling the plug gives no free try. Passwords are the vault's.

Table "operators", key: number. value: JSON {"wrong": n, "left_ms": powered time left of the lock}.
Source: products.md §0; PCI DSS 8.3.4.
"""

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.parameters import Parameters
    from firmware.ports import Row as StoreRow
    from firmware.ports import Store

    Row = dict[str, int]

CLERK, SUPERVISOR, SYSTEM = "clerk", "supervisor", "system"
UNLOCKED_BY = {CLERK: ("00", "99"), SUPERVISOR: ("99",), SYSTEM: ()}
PASSWORD_DIGITS = {CLERK: 4, SUPERVISOR: 6, SYSTEM: 8}
FACTORY = ("01", "00", "99")


def role(number: str) -> str:
    """CLERK, SUPERVISOR or SYSTEM, by the number alone."""
    return SUPERVISOR if number == "00" else SYSTEM if number == "99" else CLERK


def _read(value: bytes) -> "Row | None":
    """The row of a record; None when it is none."""
    try:
        row = json.loads(value.decode())
        if isinstance(row["wrong"], int) and isinstance(row["left_ms"], int) and row["wrong"] >= 0 and row["left_ms"] >= 0:
            return row
    except (ValueError, KeyError, TypeError, RuntimeError):  # RuntimeError: nested too deeply
        pass
    return None


class Operators:
    """The operators that there are, by number "00".."99". A number that nobody has is the caller's mistake: KeyError.

    now_ms: the monotonic clock, in milliseconds. What writes raises ports.StoreError when the store cannot.
    """

    def __init__(self, store: "Store", parameter: "Parameters", now_ms: "Callable[[], int]") -> None:
        self._store = store
        self._parameter = parameter
        self._now_ms = now_ms
        self._rows: dict[str, Row] = {}
        self._since: dict[str, int] = {}  # number -> ticks when `left_ms` was right
        self.bad: list[str] = []  # numbers whose record is damaged: locked, as after too many tries
        for number, value in store.range("operators"):
            row = _read(value)
            if row is None:
                row = {"wrong": 0, "left_ms": parameter("operators.lock_minutes") * 60_000}
                self.bad.append(number)
            self._rows[number] = row
            self._since[number] = now_ms()
        if not self._rows:
            for number in FACTORY:
                self._rows[number] = {"wrong": 0, "left_ms": 0}

    def numbers(self) -> "list[str]":
        """All of them, in order."""
        return sorted(self._rows)

    def exists(self, number: str) -> bool:
        """Whether there is an operator of that number."""
        return number in self._rows

    def left_ms(self, number: str) -> int:
        """Milliseconds of powered time until the operator may try again; 0 when he may, or is none."""
        row = self._rows.get(number)
        if row is None or not row["left_ms"]:
            return 0
        return max(0, row["left_ms"] - (self._now_ms() - self._since.get(number, self._now_ms())))

    def wrong(self, number: str) -> int:
        """A wrong password, on disk when this returns. Tries left; 0: locked."""
        row = dict(self._rows[number])
        row["wrong"] += 1
        self._rows[number] = row  # counts even if it cannot be written
        left = self._parameter("operators.tries") - row["wrong"]
        if left <= 0:
            row["wrong"] = 0
            row["left_ms"] = self._parameter("operators.lock_minutes") * 60_000
            self._since[number] = self._now_ms()
        self._write(number, row)
        return max(0, left)

    def right(self, number: str) -> None:
        """The right password: his wrong tries are forgotten."""
        row = self._rows[number]
        if row["wrong"] or row["left_ms"]:
            self._write(number, {"wrong": 0, "left_ms": 0})

    def unlock(self, number: str) -> None:
        """Ends his lock at once, with all his tries."""
        self._write(number, {"wrong": 0, "left_ms": 0})

    def may_unlock(self, who: str, whom: str) -> bool:
        """Whether the operator `who` may end the lock of `whom`."""
        return who in UNLOCKED_BY[role(whom)]

    def add(self, number: str) -> None:
        """A new operator, not locked. His password is the vault's."""
        self._write(number, {"wrong": 0, "left_ms": 0})

    def remove(self, number: str) -> None:
        """He is gone once this returns."""
        self._store.commit([("operators", number, None, None)])
        del self._rows[number]

    def keep_time(self) -> bool:
        """Writes down how long the locks still last; called every minute. True while somebody is locked."""
        locked = False
        for number in self._rows:
            row = self._rows[number]
            if row["left_ms"]:
                self._write(number, {"wrong": row["wrong"], "left_ms": self.left_ms(number)})
                locked = locked or self._rows[number]["left_ms"] > 0
        return locked

    def _write(self, number: str, row: "Row") -> None:
        rows: list[StoreRow] = []
        for other in FACTORY:
            if other in self._rows and other != number and not self._store.get("operators", other):
                rows.append(("operators", other, json.dumps(self._rows[other]).encode(), None))
        rows.append(("operators", number, json.dumps(row).encode(), None))
        self._store.commit(rows)
        self._rows[number] = row
        self._since[number] = self._now_ms()
