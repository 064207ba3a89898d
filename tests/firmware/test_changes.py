"""The change log: written with the change, bounded, in words that hold no secret; and the fee rates in it."""

import json

import pytest

from emulator.world import World
from firmware import changes, fees, parameters
from firmware.ports import StoreFull


@pytest.fixture
def world():
    world = World()
    world.power_on()
    world.run(1_000)
    changes.compare(world.terminal)
    return world


def entries(world):
    return [entry for _, entry in changes.newest(world.store, 500)]


def test_a_change_is_written_with_what_was_what_is_when_and_by_whom(world):
    assert changes.put(world.terminal, {"tip.percent": 15, "module.tip": True}, changes.HOST) == ["module.tip", "tip.percent"]
    assert [(e["name"], e["old"], e["new"], e["by"]) for e in entries(world)] == [
        ("tip.percent", "10", "15", "host"),
        ("module.tip", "off", "on", "host"),
    ]
    assert entries(world)[0]["at"] == world.terminal.calendar_stamp()
    assert world.terminal.parameter("tip.percent") == 15


def test_a_value_that_is_the_same_is_no_change(world):
    assert changes.put(world.terminal, {"tip.percent": 10}, changes.HOST) == [] and entries(world) == []


@pytest.mark.parametrize("wrong", [{"tip.percent": 101}, {"tip.percent": 20, "no.such": 1}])
def test_one_wrong_value_changes_nothing(world, wrong):
    with pytest.raises(parameters.ParameterError):
        changes.put(world.terminal, wrong, changes.HOST, [("downloads", "x", b"1", None)])
    assert world.terminal.parameter("tip.percent") == 10 and entries(world) == [] and world.store.get("downloads", "x") is None


def test_a_store_that_refuses_leaves_value_and_log_as_they_were(world):
    world.store.full = True
    with pytest.raises(StoreFull):
        changes.put(world.terminal, {"tip.percent": 15}, changes.HOST)
    assert world.terminal.parameter("tip.percent") == 10 and entries(world) == []


def test_the_log_holds_the_newest_entries_and_no_more(world):
    for number in range(changes.MOST + 30):
        changes.put(world.terminal, {"tip.percent": number % 2}, changes.MENU)
    assert len(world.store.range(changes.TABLE)) == changes.MOST
    assert entries(world)[0]["new"] == "1" and changes.newest(world.store, 1)[0][0] == "%010d" % (changes.MOST + 30)


def test_long_tables_and_certificates_are_kept_as_their_size_and_a_fingerprint(world):
    keys = world.terminal.parameter("emv.keys")[:-1]
    pem = "-----BEGIN CERTIFICATE-----\n" + "A" * 900
    changes.put(world.terminal, {"emv.keys": keys, "host.authority": pem}, changes.TECHNICIAN)
    new = {entry["name"]: entry["new"] for entry in entries(world)}
    assert new["emv.keys"].startswith("%d / " % len(keys)) and len(new["emv.keys"]) < 20
    assert new["host.authority"].startswith("%d / " % len(pem)) and "AAAA" not in new["host.authority"]


def test_the_fingerprint_does_not_depend_on_the_order_of_a_table():
    assert changes.shown("x", {"b": 1, "a": [2, {"d": 1, "c": None}]}) == changes.shown(
        "x", {"a": [2, {"c": None, "d": 1}], "b": 1}
    )
    assert changes.fingerprint("a") != changes.fingerprint("b")


def test_what_was_changed_past_the_firmware_is_found_at_the_next_start(world):
    world.plug()
    world.store.commit([("parameters", "batch.limit", b"77", None)])
    world.power_on()
    assert changes.compare(world.terminal) == ["batch.limit"]
    assert (entries(world)[0]["by"], entries(world)[0]["old"], entries(world)[0]["new"]) == ("technician", "500", "77")
    assert changes.compare(world.terminal) == [] and len(entries(world)) == 1


def test_a_new_device_begins_with_an_empty_log():
    world = World()
    world.power_on()
    assert changes.compare(world.terminal) == [] and changes.newest(world.store, 9) == []


@pytest.mark.parametrize("damage", [b"", b"\xff", b"[1]", b'{"at": 1}', b'{"at":"2","by":"x","name":"","old":"","new":""}'])
def test_an_entry_that_cannot_be_read_is_left_out_and_a_log_of_what_is_in_force_too(world, damage):
    changes.put(world.terminal, {"tip.percent": 15}, changes.HOST)
    world.store.commit(
        [(changes.TABLE, "0000000099", damage or b"x", changes.TELL), (changes.KNOWN, "now", damage or b"x", None)]
    )
    assert [entry["name"] for entry in entries(world)] == ["tip.percent"] and changes.to_tell(world.store) == []
    changes.compare(world.terminal)
    changes.put(world.terminal, {"tip.percent": 16}, changes.HOST)
    assert entries(world)[0]["new"] == "16"


def test_the_language_is_changed_by_the_menu_and_written_down(world):
    from firmware.states import manage

    manage.other_language(world.terminal)
    assert entries(world)[0]["by"] == "menu" and world.terminal.texts.language == "en"


TABLE = [
    {"method": "debit", "rate": 50, "cap_fen": 200_000},
    {"method": "wallet", "rate": 38, "upto_fen": 100_000},
    {"method": "wallet", "rate": 60},
]


def test_rates_are_written_in_words_that_can_be_read_back():
    assert fees.text(TABLE) == "debit 0.50% max 2000.00, wallet <=1000.00 0.38%, wallet 0.60%" and fees.text([]) == "-"
    assert fees.lines(fees.text(TABLE)) == [
        ("debit", "", "0.50% max 2000.00"),
        ("wallet", "<=1000.00", "0.38%"),
        ("wallet", "", "0.60%"),
    ]
    assert fees.lines("-") == fees.lines("nonsense, x") == []


def test_only_the_rates_that_differ_are_told():
    new = [dict(TABLE[0], rate=55), TABLE[2], {"method": "credit", "rate": 60}]
    assert fees.differences(fees.text(TABLE), fees.text(new)) == [
        ("debit", "", "0.50% max 2000.00", "0.55% max 2000.00"),
        ("credit", "", "", "0.60%"),
        ("wallet", "<=1000.00", "0.38%", ""),
    ]
    assert fees.differences(fees.text(TABLE), fees.text(TABLE)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {}, [1], [{"method": "debit"}], [{"method": "gift", "rate": 1}], [{"method": "debit", "rate": 0.55}],
        [{"method": "debit", "rate": True}], [{"method": "debit", "rate": -1}], [{"method": "debit", "rate": 10_001}],
        [{"method": "debit", "rate": 1, "cap_fen": "1"}], [{"method": "debit", "rate": 1, "x": 1}],
        [{"method": "debit", "rate": 1}, {"method": "debit", "rate": 2}],
        [{"method": "debit", "rate": 1, "upto_fen": n} for n in range(17)],
    ],
)  # fmt: skip
def test_rates_that_are_none_are_refused(wrong):
    with pytest.raises(parameters.ParameterError):
        parameters.check("fees", wrong)


def test_rates_survive_the_store(world):
    changes.put(world.terminal, {"fees": TABLE}, changes.HOST)
    assert json.loads(world.store.get("parameters", "fees").decode()) == TABLE
    assert [entry["name"] for _, entry in changes.to_tell(world.store)] == ["fees"]
    changes.told(world.store, [key for key, _ in changes.to_tell(world.store)])
    assert changes.to_tell(world.store) == [] and entries(world)[0]["name"] == "fees"
