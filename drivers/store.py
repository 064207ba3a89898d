"""The store port on SQLite: every commit is all or nothing, and on the medium when it returns.

One SQLite table holds the records of all of the firmware's tables; `record` is its primary key and its file order,
so that a range is one walk. A partial index holds only the records that were written with an index word (the open
transactions, not the years of closed ones), so that start-up costs the same with ten records and with a million.

    write-ahead log, synchronous FULL    one fdatasync a commit, and a few at each checkpoint
    write-ahead log, synchronous NORMAL  `commit(sync=False)`: none; a power cut may lose the last of these, never
                                         a synced one, and a later synced commit carries them along

SQLite has no check sums, so each record carries a CRC-32 of itself: a bit that fell over on the card is StoreCorrupt
and not another amount. At opening only what is needed is looked at: the header, the schema, the ends of each tree.

The file is made under another name and renamed, so an empty file is damage and not a beginning. A lock file keeps a
second process away; `read_only=True` opens beside a running owner, to look.

Source: sqlite.org/wal.html, /pragma.html#pragma_synchronous, /fileformat2.html (header), /rescode.html.
"""

import errno
import fcntl
import os
import sqlite3
import struct
import threading
import zlib

from firmware.ports import StoreCorrupt, StoreError, StoreFull, StoreReadOnly

FILE = "store.db"
LOCK = "store.lock"
APPLICATION_ID = 0x4B616966  # "Kaif"
VERSION = 1
CHECKPOINT_PAGES = 400  # bounds what start-up after a crash has to replay to 1.6 MB

SCHEMA = (
    (
        "record",
        "CREATE TABLE record (tab TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, word TEXT,"
        + " crc INTEGER NOT NULL, PRIMARY KEY (tab, key)) WITHOUT ROWID",
    ),
    ("record_word", "CREATE INDEX record_word ON record (tab, word, key) WHERE word IS NOT NULL"),
)

PUT = "INSERT OR REPLACE INTO record (tab, key, value, word, crc) VALUES (?, ?, ?, ?, ?)"
DELETE = "DELETE FROM record WHERE tab = ? AND key = ?"
GET = "SELECT value, word, crc FROM record WHERE tab = ? AND key = ?"
RANGE = "SELECT key, value, word, crc FROM record WHERE tab = ? AND key >= ?"
# Left to itself SQLite prefers the primary key, which walks every record of the table.
INDEXED = "SELECT key, value, word, crc FROM record INDEXED BY record_word WHERE tab = ? AND key >= ? AND word = ?"
# The first and the last record of each tree.
ENDS = (
    "SELECT tab, key, value, word, crc FROM record ORDER BY tab, key LIMIT 1",
    "SELECT tab, key, value, word, crc FROM record ORDER BY tab DESC, key DESC LIMIT 1",
    "SELECT tab, key, value, word, crc FROM record WHERE word IS NOT NULL ORDER BY tab, word, key LIMIT 1",
    "SELECT tab, key, value, word, crc FROM record WHERE word IS NOT NULL ORDER BY tab DESC, word DESC, key DESC LIMIT 1",
)

SQLITE_ERRORS = {
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_READONLY: StoreReadOnly,
    sqlite3.SQLITE_PERM: StoreReadOnly,
    sqlite3.SQLITE_CORRUPT: StoreCorrupt,
    sqlite3.SQLITE_NOTADB: StoreCorrupt,
}
SYSTEM_ERRORS = {
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
    errno.EROFS: StoreReadOnly,
    errno.EACCES: StoreReadOnly,
    errno.EPERM: StoreReadOnly,
}


def checked_rows(rows: "list[tuple]") -> "list[tuple[str, str, bytes | None, str | None]]":
    """The rows of a commit as tuples. Raises ValueError, which names the place of the row, never a value."""
    checked = []
    for place, row in enumerate(rows):
        try:
            table, key, value, index = row
        except (TypeError, ValueError):
            raise ValueError("row %d is not (table, key, value, index)" % place) from None
        if type(table) is not str or type(key) is not str or not table or not key:
            raise ValueError("row %d: table and key are words" % place)
        if value is not None and type(value) is not bytes:
            raise ValueError("row %d: the value is bytes, or None to delete" % place)
        if index is not None and type(index) is not str:
            raise ValueError("row %d: the index is a word or None" % place)
        if not (table.isascii() and key.isascii() and (index is None or index.isascii())):
            (table + key + (index or "")).encode()  # Half a surrogate pair is UnicodeEncodeError, a ValueError.
        checked.append((table, key, value, index))
    return checked


class SqliteStore:
    """`firmware.ports.Store` in the file `store.db` of `folder`, which is made if need be, for its owner only.

    part    the board's entry; no keys of its own.
    reach   called with "commit:begin:<table>" before and "commit:done:<table>" after each commit, where <table> is
            that of the first row: the named points at which a test cuts the power.

    The constructor opens, or raises StoreCorrupt (the file is left as it was), StoreReadOnly, StoreFull, or
    StoreError when another process owns the folder.
    """

    def __init__(self, post, part: dict, folder: "str | os.PathLike", reach=None, read_only: bool = False) -> None:
        self._folder = os.fspath(folder)
        self._path = os.path.join(self._folder, FILE)
        self._reach = reach or _nowhere
        self._read_only = read_only
        self._guard = threading.Lock()
        self._synced = True
        self._lock: int | None = None
        self._db: sqlite3.Connection | None = None
        try:
            if not read_only:
                os.makedirs(self._folder, 0o700, exist_ok=True)
                self._lock = _own(os.path.join(self._folder, LOCK))
                if not os.path.exists(self._path):
                    self._create()
            self._look_at_the_header()
            self._open()
        except sqlite3.Error as error:
            named = self._named(error)
            self.close()
            raise named from error
        except OSError as error:
            self.close()
            raise SYSTEM_ERRORS.get(error.errno or 0, StoreError)("%s: %s" % (FILE, error.strerror)) from error
        except StoreError:
            self.close()
            raise

    def start(self) -> None:
        """Nothing to start: the constructor opened the file."""

    def close(self) -> None:
        """Writes the log into the file and lets go of it."""
        with self._guard:
            if self._db is not None:
                self._db.close()
                self._db = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def commit(self, rows: "list[tuple]", sync: bool = True) -> None:
        """Writes `rows`, see the port. Raises ValueError for rows that are none, before anything is written."""
        changes = checked_rows(rows)
        if not changes:
            return
        table = changes[0][0]
        self._reach("commit:begin:" + table)
        with self._guard:
            db = self._opened()
            try:
                if sync != self._synced:
                    db.execute("PRAGMA synchronous = " + ("FULL" if sync else "NORMAL"))
                    self._synced = sync
                db.execute("BEGIN IMMEDIATE")
                for table_, key, value, word in changes:
                    if value is None:
                        db.execute(DELETE, (table_, key))
                    else:
                        db.execute(PUT, (table_, key, value, word, _crc(table_, key, value, word)))
                db.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._named(error) from error
            finally:
                self._roll_back()
        self._reach("commit:done:" + table)

    def get(self, table: str, key: str) -> "bytes | None":
        """The record's value, or None."""
        found = self._read(GET, (table, key))
        if not found:
            return None
        value, word, crc = found[0]
        return _verified(table, key, value, word, crc)

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
        values: list
        sql, values = (RANGE, [table, low]) if index is None else (INDEXED, [table, low, index])
        if high is not None:
            sql, values = sql + " AND key < ?", values + [high]
        sql += " ORDER BY key DESC" if newest else " ORDER BY key"
        if limit is not None:
            if limit < 0:
                raise ValueError("a limit below zero")
            sql, values = sql + " LIMIT ?", values + [limit]
        return [(key, _verified(table, key, value, word, crc)) for key, value, word, crc in self._read(sql, values)]

    def _read(self, sql, values):
        with self._guard:
            try:
                return self._opened().execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise self._named(error) from error

    def _opened(self):
        if self._db is None:
            raise StoreError("the store is closed")
        return self._db

    def _create(self):
        """A new file with nothing in it but the schema, complete before it has its name."""
        if os.path.exists(self._path + "-wal"):
            raise StoreCorrupt("%s is gone, its log is there" % FILE)
        new = self._path + ".new"
        if os.path.exists(new):
            os.unlink(new)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        db = sqlite3.connect(new, isolation_level=None)
        try:
            db.execute("PRAGMA application_id = %d" % APPLICATION_ID)
            db.execute("PRAGMA user_version = %d" % VERSION)
            for _, sql in SCHEMA:
                db.execute(sql)
            db.execute("PRAGMA journal_mode = WAL")
        finally:
            db.close()
        file = os.open(new, os.O_RDONLY)
        os.fsync(file)
        os.close(file)
        os.rename(new, self._path)
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _look_at_the_header(self):
        """SQLite would take an empty file for a new one, and write its header into it."""
        with open(self._path, "rb") as file:
            header = file.read(100)
        if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
            raise StoreCorrupt("%s is not a store" % FILE)
        version, application = struct.unpack(">I4xI", header[60:72])
        if application != APPLICATION_ID:
            raise StoreCorrupt("%s is not a store of this terminal" % FILE)
        if version != VERSION:
            raise StoreCorrupt("%s has version %d, this firmware reads version %d" % (FILE, version, VERSION))

    def _open(self):
        path = self._path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        uri = "file:%s?mode=%s" % (path, "ro" if self._read_only else "rw")
        self._db = db = sqlite3.connect(uri, timeout=2.0, isolation_level=None, check_same_thread=False, uri=True)
        db.execute("PRAGMA cell_size_check = ON")
        db.execute("PRAGMA wal_autocheckpoint = %d" % CHECKPOINT_PAGES)
        db.execute("PRAGMA synchronous = FULL")
        schema = db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
        if tuple(schema) != SCHEMA:
            raise StoreCorrupt("%s has another schema" % FILE)
        if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            raise StoreCorrupt("%s is not in write-ahead mode" % FILE)
        for sql in ENDS:
            for table, key, value, word, crc in db.execute(sql):
                _verified(table, key, value, word, crc)

    def _roll_back(self):
        """Ends a transaction that did not come to its COMMIT."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself, which is what was wanted.

    def _named(self, error):
        """The port's exception for SQLite's."""
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            # Raised by Python's own layer: text that is no UTF-8, a number that fits nowhere.
            return StoreCorrupt("%s: unreadable record" % FILE)
        kind = SQLITE_ERRORS.get(code & 0xFF, StoreError)
        if code & 0xFF == sqlite3.SQLITE_IOERR and self._no_space():
            kind = StoreFull
        return kind("%s: %s" % (FILE, error.sqlite_errorname))

    def _no_space(self):
        try:
            return os.statvfs(self._folder).f_bavail == 0
        except OSError:
            return False


def _nowhere(point):
    pass


def _own(path):
    """An open, locked file; the kernel unlocks it when the process ends, however it ends."""
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise StoreError("another process owns the store") from error
        raise
    return file


def _crc(table, key, value, word):
    names = "\0".join((table, key, "-" if word is None else "+" + word))
    return zlib.crc32(value, zlib.crc32(names.encode()))


def _verified(table, key, value, word, crc):
    try:
        if type(value) is bytes and _crc(table, key, value, word) == crc:
            return value
    except (TypeError, ValueError):
        pass  # A column of another type: damaged as well.
    raise StoreCorrupt("%s: table %r holds a damaged record" % (FILE, table))
