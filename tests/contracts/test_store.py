import random

import pytest

from drivers.store import SqliteStore
from emulator.standins.store import StandIn
from firmware.ports import StoreFull, StoreReadOnly


class DriverRig:
    """SQLite in a folder. Its own limits make it full or read-only, as a medium would."""

    def __init__(self, folder):
        self.points = []
        self.folder = folder
        self.port = SqliteStore(None, {}, folder, reach=self.points.append)

    def restart(self):
        self.port.close()
        self.port = SqliteStore(None, {}, self.folder, reach=self.points.append)

    def make_full(self):
        self.port._db.execute("PRAGMA max_page_count = %d" % self.port._db.execute("PRAGMA page_count").fetchone()[0])

    def make_read_only(self):
        self.port._db.execute("PRAGMA query_only = 1")

    def close(self):
        self.port.close()


class StandInRig:
    def __init__(self):
        self.points = []
        self.port = StandIn(reach=self.points.append)

    def restart(self):
        image = self.port.image()
        self.port = StandIn(reach=self.points.append)
        self.port.restore(image)

    def make_full(self):
        self.port.full = True

    def make_read_only(self):
        self.port.read_only = True

    def close(self):
        self.port.close()


@pytest.fixture(params=["driver", "stand-in"])
def rig(request, tmp_path):
    rig = DriverRig(tmp_path / "data") if request.param == "driver" else StandInRig()
    yield rig
    rig.close()


@pytest.fixture
def store(rig):
    return rig.port


def test_what_was_written_is_read(store):
    store.commit([("sales", "000001", b"\0\xff\n", None), ("trace", "next", b"", "x")])
    assert store.get("sales", "000001") == b"\0\xff\n"
    assert store.get("trace", "next") == b""
    assert store.get("sales", "000002") is None
    assert store.get("trace", "000001") is None


def test_records_survive_a_restart(rig):
    rig.port.commit([("sales", "1", b"one", "open"), ("sales", "2", b"two", None)])
    rig.port.commit([("sales", "3", b"three", "open")], sync=False)
    rig.restart()
    assert rig.port.range("sales") == [("1", b"one"), ("2", b"two"), ("3", b"three")]
    assert rig.port.range("sales", index="open") == [("1", b"one"), ("3", b"three")]


def test_a_later_value_replaces_the_earlier_and_none_deletes(store):
    store.commit([("t", "k", b"1", "open")])
    store.commit([("t", "k", b"2", None)])
    assert store.get("t", "k") == b"2"
    assert store.range("t", index="open") == []
    store.commit([("t", "k", None, None)])
    assert store.get("t", "k") is None
    assert store.range("t") == []
    store.commit([("t", "k", None, None)])


def test_rows_of_one_commit_take_effect_in_their_order(store):
    store.commit([("t", "k", b"1", "a"), ("t", "k", None, None), ("t", "k", b"2", "b"), ("t", "j", b"3", None)])
    assert store.range("t") == [("j", b"3"), ("k", b"2")]
    assert store.range("t", index="a") == []
    assert store.range("t", index="b") == [("k", b"2")]


def test_a_range_is_in_key_order_from_low_to_before_high(store):
    store.commit([("t", key, key.encode(), None) for key in ("b", "d", "a", "c", "B", "é", "中", "")[:-1]])
    store.commit([("u", "c", b"other", None)])
    assert [key for key, _ in store.range("t")] == ["B", "a", "b", "c", "d", "é", "中"]
    assert [key for key, _ in store.range("t", low="b", high="d")] == ["b", "c"]
    assert [key for key, _ in store.range("t", newest=True, limit=2)] == ["中", "é"]
    assert [key for key, _ in store.range("t", low="b", limit=1)] == ["b"]
    assert [key for key, _ in store.range("t", high="c", newest=True, limit=1)] == ["b"]
    assert store.range("t", limit=0) == []
    assert store.range("t", low="c", high="b") == []
    assert store.range("t", high="") == []
    assert store.range("nobody") == []


def test_a_range_over_an_index_word_has_only_its_records(store):
    store.commit([("t", "%03d" % n, b"v", ("open", "sent", None)[n % 3]) for n in range(30)])
    assert [key for key, _ in store.range("t", index="sent")] == ["%03d" % n for n in range(1, 30, 3)]
    assert [key for key, _ in store.range("t", index="sent", low="010", high="020")] == ["010", "013", "016", "019"]
    assert [key for key, _ in store.range("t", index="open", newest=True, limit=2)] == ["027", "024"]
    assert store.range("t", index="") == []


@pytest.mark.parametrize(
    "row",
    [
        ("t", "k", "text", None),
        ("t", "k", bytearray(b"v"), None),
        ("t", 1, b"v", None),
        (None, "k", b"v", None),
        ("", "k", b"v", None),
        ("t", "", b"v", None),
        ("t", "k", b"v", 1),
        ("t", "k", b"v"),
        ("t", "\ud800", b"v", None),
        None,
    ],
    ids=range(10),
)
def test_a_row_that_is_none_is_refused_and_nothing_is_written(store, row):
    with pytest.raises(ValueError):
        store.commit([("t", "before", b"v", None), row])
    assert store.range("t") == []
    store.commit([("t", "after", b"v", None)])
    assert store.get("t", "after") == b"v"


def test_a_limit_below_zero_is_a_mistake(store):
    with pytest.raises(ValueError):
        store.range("t", limit=-1)


def test_a_commit_of_nothing_does_nothing(rig):
    rig.port.commit([])
    assert rig.points == []


def test_the_points_around_a_commit_name_its_first_table(rig):
    rig.port.commit([("transactions", "1", b"v", None), ("trace", "next", b"v", None)])
    rig.port.commit([("marks", "1", b"v", None)], sync=False)
    assert rig.points == ["commit:begin:transactions", "commit:done:transactions", "commit:begin:marks", "commit:done:marks"]


def test_a_full_medium_keeps_what_it_has(rig):
    rig.port.commit([("t", "old", b"v", "open")])
    rig.make_full()
    with pytest.raises(StoreFull):
        for number in range(100):
            rig.port.commit([("t", "old", b"changed", None), ("t", "new%02d" % number, bytes(100_000), None)])
    assert rig.port.get("t", "new00") is None
    assert rig.port.get("t", "old") == b"v"
    assert rig.port.range("t", index="open") == [("old", b"v")]
    assert rig.points[-1] == "commit:begin:t"


def test_a_read_only_medium_still_reads(rig):
    rig.port.commit([("t", "old", b"v", None)])
    rig.make_read_only()
    with pytest.raises(StoreReadOnly):
        rig.port.commit([("t", "new", b"v", None)])
    assert rig.port.range("t") == [("old", b"v")]


def test_any_order_of_writes_gives_what_a_dictionary_gives(rig):
    chance = random.Random(5)
    store, records = rig.port, {}
    keys = ["%02d" % n for n in range(25)]
    for _ in range(150):
        rows = []
        for _ in range(chance.randint(1, 5)):
            table, key = chance.choice(("a", "b")), chance.choice(keys)
            value = None if chance.random() < 0.3 else chance.randbytes(chance.randint(0, 40))
            word = chance.choice((None, None, "open", "sent"))
            rows.append((table, key, value, word))
            if value is None:
                records.pop((table, key), None)
            else:
                records[table, key] = (value, word)
        store.commit(rows, sync=chance.random() < 0.5)
        table, word = chance.choice(("a", "b")), chance.choice((None, "open", "sent"))
        low, high = chance.choice(keys), chance.choice([*keys, None])
        newest, limit = chance.random() < 0.5, chance.choice((None, 0, 1, 7))
        wanted = sorted(
            ((key, value) for (at, key), (value, its) in records.items()
             if at == table and (word is None or its == word) and key >= low and (high is None or key < high)),
            reverse=newest,
        )  # fmt: skip
        assert store.range(table, word, low, high, newest, limit) == wanted[:limit]
        assert store.get(table, low) == records.get((table, low), (None,))[0]
