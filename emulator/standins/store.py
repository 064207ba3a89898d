"""The store port in memory, for the simulation: fast, and it can fail at any commit.

What it holds is the disk: it outlives the terminal that writes to it, so a restart goes on with the same object.

    fuse(n, after)   the n-th commit from now (1 is the next) raises PowerCut, before it takes effect or after
    power_cut()      what a disk does then: commits made with sync=False since the last synced one are lost
    full             every commit that writes something raises StoreFull
    read_only        every commit raises StoreReadOnly
    image()          a copy of all records, for `restore` here or in another store
"""

from bisect import bisect_left, insort

from drivers.store import checked_rows
from firmware.ports import StoreFull, StoreReadOnly


class PowerCut(BaseException):
    """The terminal has no power any more. No `except Exception` of the firmware may catch that."""


class StandIn:
    """`firmware.ports.Store`. `world` is not used; `reach` as in `drivers.store.SqliteStore`."""

    def __init__(self, world=None, reach=None) -> None:
        self._reach = reach
        self.full = False
        self.read_only = False
        self.commits = 0
        self._fuse: tuple[int, bool] | None = None
        self.restore([])

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to close."""

    # The port.

    def commit(self, rows: "list[tuple]", sync: bool = True) -> None:
        """Writes `rows`, see the port."""
        changes = checked_rows(rows)
        if not changes:
            return
        if self._reach:
            self._reach("commit:begin:" + changes[0][0])
        if self.read_only:
            raise StoreReadOnly("the stand-in is read-only")
        if self.full and any(value is not None for _, _, value, _ in changes):
            raise StoreFull("the stand-in is full")
        blows, after = self._burn()
        if blows and not after:
            self.power_cut()
            raise PowerCut("before commit %d" % self.commits)
        if sync:
            self._unsynced.clear()
        for table, key, value, word in changes:
            if not sync:
                self._unsynced.append((table, key) + self._records.get((table, key), (None, None)))
            self._write(table, key, value, word)
        if blows:
            self.power_cut()
            raise PowerCut("after commit %d" % self.commits)
        if self._reach:
            self._reach("commit:done:" + changes[0][0])

    def get(self, table: str, key: str) -> "bytes | None":
        """The record's value, or None."""
        return self._records.get((table, key), (None,))[0]

    def range(
        self,
        table: str,
        index: "str | None" = None,
        low: str = "",
        high: "str | None" = None,
        newest: bool = False,
        limit: "int | None" = None,
    ) -> "list[tuple[str, bytes]]":
        """[(key, value)], see the port."""
        if limit is not None and limit < 0:
            raise ValueError("a limit below zero")
        keys = self._keys.get((table, index), ())
        first = bisect_left(keys, low)
        last = len(keys) if high is None else max(first, bisect_left(keys, high))
        if limit is not None:
            first, last = (max(first, last - limit), last) if newest else (first, min(last, first + limit))
        wanted = keys[first:last]
        if newest:
            wanted = reversed(wanted)
        return [(key, self._records[table, key][0]) for key in wanted]

    # The world's side.

    def fuse(self, commits: int, after: bool = False) -> None:
        """The `commits`-th commit from now raises PowerCut; 0 takes the fuse out."""
        self._fuse = (self.commits + commits, after) if commits else None

    def power_cut(self) -> None:
        """Forgets the commits that were not synced. The world calls it for power cuts elsewhere than in a commit."""
        while self._unsynced:
            self._write(*self._unsynced.pop())

    def image(self) -> "list[tuple[str, str, bytes, str | None]]":
        """All records as rows."""
        return [(table, key, value, word) for (table, key), (value, word) in self._records.items()]

    def restore(self, image: "list[tuple[str, str, bytes, str | None]]") -> None:
        """Holds what `image` says and nothing else."""
        self._records: dict = {}  # (table, key): (value, index word)
        self._keys: dict = {}  # (table, index word or None for all): sorted keys
        self._unsynced: list = []  # (table, key, value, index word) as they were, the oldest first
        for table, key, value, word in sorted(image, key=lambda row: row[:2]):
            self._write(table, key, value, word)

    def _burn(self):
        self.commits += 1
        if self._fuse and self.commits >= self._fuse[0]:
            after = self._fuse[1]
            self._fuse = None
            return True, after
        return False, False

    def _write(self, table, key, value, word):
        old = self._records.get((table, key))
        if value is None:
            if old is None:
                return
            del self._records[table, key]
            _drop(self._keys[table, None], key)
        else:
            self._records[table, key] = (value, word)
            if old is None:
                _add(self._keys, (table, None), key)
        before = old[1] if old else None
        after = word if value is not None else None
        if before != after:
            if before is not None:
                _drop(self._keys[table, before], key)
            if after is not None:
                _add(self._keys, (table, after), key)


def _add(lists, name, key):
    keys = lists.setdefault(name, [])
    if not keys or key > keys[-1]:
        keys.append(key)
    else:
        insort(keys, key)


def _drop(keys, key):
    del keys[bisect_left(keys, key)]
