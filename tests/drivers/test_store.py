import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.store import FILE, SqliteStore
from emulator.standins.store import PowerCut, StandIn
from firmware.ports import StoreCorrupt, StoreError, StoreFull, StoreReadOnly

ROOT = Path(__file__).parents[2]


def opened(folder, **how):
    return SqliteStore(None, {}, folder, **how)


@pytest.fixture
def folder(tmp_path):
    """A store with something in it, closed."""
    folder = tmp_path / "data"
    store = opened(folder)
    store.commit([("sales", "%05d" % n, bytes([n % 256]) * 300, "open" if n % 50 == 0 else None) for n in range(400)])
    store.close()
    return folder


def test_only_the_owner_may_read_the_files(folder):
    store = opened(folder)
    store.commit([("t", "k", b"v", None)])
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    for name in os.listdir(folder):
        assert stat.S_IMODE(os.stat(folder / name).st_mode) & 0o077 == 0, name
    store.close()


def test_a_second_owner_is_refused_until_the_first_lets_go(folder):
    store = opened(folder)
    with pytest.raises(StoreError, match="another process"):
        opened(folder)
    store.close()
    opened(folder).close()


def test_somebody_may_look_while_the_owner_writes(folder):
    owner, looker = opened(folder), opened(folder, read_only=True)
    owner.commit([("t", "k", b"now", None)])
    assert looker.get("t", "k") == b"now"
    with pytest.raises(StoreReadOnly):
        looker.commit([("t", "k", b"mine", None)])
    looker.close()
    owner.close()


def test_a_closed_store_says_so(folder):
    store = opened(folder)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.get("t", "k")
    with pytest.raises(StoreError, match="closed"):
        store.commit([("t", "k", b"v", None)])


def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path):
    foreign = tmp_path / "foreign.db"
    db = sqlite3.connect(foreign)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    for content in (b"", b"\0" * 4096, b"SQLite format 3\0", os.urandom(8192), foreign.read_bytes()):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(StoreCorrupt):
            opened(tmp_path)
        assert (tmp_path / FILE).read_bytes() == content


def test_a_store_cut_short_is_left_as_it_is(folder):
    whole = (folder / FILE).read_bytes()
    for size in (50, 100, 3000, 4096, 5000, len(whole) - 4096):
        (folder / FILE).write_bytes(whole[:size])
        with pytest.raises(StoreCorrupt):
            opened(folder)
        assert (folder / FILE).read_bytes() == whole[:size]


def test_a_store_of_a_later_version_is_not_touched(folder):
    db = sqlite3.connect(folder / FILE)
    db.execute("PRAGMA user_version = 2")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with pytest.raises(StoreCorrupt, match="version 2"):
        opened(folder)


def test_a_log_without_its_file_is_damage_and_not_a_beginning(folder):
    os.rename(folder / FILE, folder / (FILE + "-wal"))
    with pytest.raises(StoreCorrupt, match="gone"):
        opened(folder)


def test_power_lost_while_the_file_was_made_is_no_damage(tmp_path):
    (tmp_path / (FILE + ".new")).write_bytes(b"half a file")
    store = opened(tmp_path)
    assert store.range("t") == []
    store.close()


def test_one_bit_of_a_value_is_damage_that_names_the_table(folder):
    store = opened(folder)
    store.commit([("sums", "day", b"AMOUNT-12345", None)])
    store.close()
    data = bytearray((folder / FILE).read_bytes())
    at = data.index(b"AMOUNT-12345") + 7
    data[at] ^= 1
    (folder / FILE).write_bytes(data)
    # It is not at an end of a tree: the store opens, the record does not.
    with pytest.raises(StoreCorrupt, match="sums"):
        store = opened(folder)
        try:
            store.get("sums", "day")
        finally:
            store.close()


def test_any_damage_is_a_named_error_or_the_truth(folder):
    """A fuzz slice: what is read is what was written, or StoreError; never another value, never a hang."""
    chance = random.Random(7)
    whole = (folder / FILE).read_bytes()
    truth = {"%05d" % n: bytes([n % 256]) * 300 for n in range(400)}
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3, 40))):
            at = chance.randrange(len(data)) if chance.random() < 0.6 else chance.randrange(200)
            data[at] = chance.randrange(256)
        (folder / FILE).write_bytes(data)
        try:
            store = opened(folder)
        except StoreError:
            continue
        try:
            for key in chance.sample(sorted(truth), 10):
                assert store.get("sales", key) in (truth[key], None)
            for key, value in store.range("sales"):
                assert truth[key] == value
            store.range("sales", index="open")
            store.commit([("t", "k", b"v", None)])
        except StoreError:
            pass
        finally:
            store.close()
            for name in (FILE + "-wal", FILE + "-shm"):
                (folder / name).unlink(missing_ok=True)


def test_a_hundred_thousand_records_open_as_fast_as_none(tmp_path):
    full, empty = tmp_path / "full", tmp_path / "empty"
    store = opened(full)
    value = bytes(150)
    for start in range(0, 100_000, 5000):
        store.commit([("sales", "%08d" % n, value, None) for n in range(start, start + 5000)], sync=False)
    store.commit([("sales", "99999999", value, "open")])
    store.close()
    opened(empty).close()

    def seconds(folder):
        start = time.perf_counter()
        store = opened(folder)
        store.range("sales", index="open")
        spent = time.perf_counter() - start
        store.close()
        return spent

    times = [(seconds(empty), seconds(full)) for _ in range(15)]
    fastest_empty, fastest_full = (min(column) for column in zip(*times, strict=True))
    assert fastest_full < 1.5 * fastest_empty + 0.0005


WRITER = """
import sys
from drivers.store import SqliteStore
store = SqliteStore(None, {}, sys.argv[1], reach=lambda point: print(point, flush=True))
for number in range(%d):
    store.commit([("sales", "%%06d" %% number, b"v" * 300, "open"), ("trace", "next", b"%%d" %% number, None)], sync=%s)
%s
"""


def writer(folder, commits, sync, then="", tracer=()):
    code = WRITER % (commits, sync, then)
    return subprocess.Popen(
        [*tracer, sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_what_a_killed_process_had_committed_is_there(tmp_path):
    process = writer(tmp_path / "data", 100_000, "True")
    committed = 0
    for line in process.stdout:
        committed += line == "commit:done:sales\n"
        if committed == 100:
            break
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0]
    committed += rest.count("commit:done:sales\n")
    store = opened(tmp_path / "data")
    keys = [key for key, _ in store.range("sales")]
    assert keys == ["%06d" % n for n in range(len(keys))]
    assert committed <= len(keys) <= committed + 1
    assert store.get("trace", "next") == b"%d" % (len(keys) - 1)
    store.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
@pytest.mark.parametrize(
    "sync,per_commit", [("True", {1}), ("False", {0}), ("number % 2 == 1", {0, 1})], ids=["synced", "not synced", "by turns"]
)
def test_a_synced_commit_costs_one_sync_and_another_none(tmp_path, sync, per_commit):
    trace = tmp_path / "trace"
    process = writer(
        tmp_path / "data", 50, sync, "import os; os._exit(0)", ("strace", "-f", "-e", "trace=fdatasync,fsync,write", "-o", trace)
    )
    out, err = process.communicate(timeout=60)
    if not out and "ptrace" in err.lower():
        pytest.skip("strace may not trace here")
    syncs = []
    for line in trace.read_text().splitlines():
        if "commit:begin" in line:
            syncs.append(0)
        elif "sync(" in line and syncs:
            syncs[-1] += 1
    assert len(syncs) == 50
    # The first commit to a fresh log also syncs the log's header.
    assert set(syncs[1:]) == per_commit
    assert set(syncs[2::2]) == {min(per_commit)}


def test_rows_before_the_one_that_fails_are_taken_back(folder):
    store = opened(folder)
    store._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
    with pytest.raises(StoreError):
        store.commit([("t", "1", b"v", None), ("t", "2", bytes(2000), None), ("t", "3", b"v", None)])
    assert store.range("t") == []
    store.commit([("t", "4", b"v", None)])
    assert store.range("t") == [("4", b"v")]
    store.close()


def test_a_store_that_cannot_be_made_says_read_only_or_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        opened(tmp_path / "file" / "data")
    with pytest.raises(StoreError):
        opened(tmp_path / "nothing", read_only=True)


def test_a_folder_with_any_name_will_do(tmp_path):
    for name in ("a b", "50% ?x=1#y", "数据"):
        store = opened(tmp_path / name)
        store.commit([("t", "k", b"v", None)])
        store.close()
        assert (tmp_path / name / FILE).exists()


# The stand-in's own: what the simulation does to it.


def test_the_fuse_blows_before_or_after_the_commit_takes_effect():
    for after in (False, True):
        store = StandIn()
        store.commit([("t", "1", b"v", None)])
        store.fuse(2, after)
        store.commit([("t", "2", b"v", None)])
        with pytest.raises(PowerCut):
            store.commit([("t", "3", b"v", None)])
        assert (store.get("t", "3") == b"v") is after
        store.commit([("t", "4", b"v", None)])


def test_no_handler_of_errors_stops_a_power_cut():
    assert not issubclass(PowerCut, Exception)


def test_a_power_cut_takes_the_commits_that_were_not_synced():
    store = StandIn()
    store.commit([("t", "1", b"old", "open")])
    store.commit([("t", "0", b"kept", None)], sync=False)
    store.commit([("t", "2", b"v", None)])
    store.commit([("t", "1", b"new", None), ("t", "3", b"v", None)], sync=False)
    store.commit([("t", "1", None, None)], sync=False)
    store.power_cut()
    assert store.range("t") == [("0", b"kept"), ("1", b"old"), ("2", b"v")]
    assert store.range("t", index="open") == [("1", b"old")]


def test_a_fuse_that_was_taken_out_does_not_blow():
    store = StandIn()
    store.fuse(1)
    store.fuse(0)
    store.commit([("t", "1", b"v", None)])
    assert store.commits == 1


def test_a_full_stand_in_lets_records_be_deleted():
    store = StandIn()
    store.commit([("t", "1", b"v", None)])
    store.full = True
    with pytest.raises(StoreFull):
        store.commit([("t", "2", b"v", None)])
    store.commit([("t", "1", None, None)])
    assert store.range("t") == []


def test_an_image_is_a_copy():
    store = StandIn()
    store.commit([("t", "1", b"v", "open")])
    image = store.image()
    store.commit([("t", "2", b"v", None)])
    store.restore(image)
    assert store.range("t") == [("1", b"v")]
    assert store.range("t", index="open") == [("1", b"v")]
