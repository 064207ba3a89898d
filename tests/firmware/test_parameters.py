import json

import pytest

from emulator.standins.store import StandIn
from firmware.parameters import REQUIRED, TABLE, ParameterError, Parameters, check


def test_every_default_is_a_value_that_its_parameter_takes():
    for name, row in TABLE.items():
        if row[1] is not REQUIRED:
            check(name, row[1])


@pytest.mark.parametrize(
    "name, value",
    [
        ("pin.free_fen", -1), ("pin.free_fen", "1000"), ("pin.free_fen", True), ("pin.free_fen", 10.5),
        ("pin.bypass", 1), ("language", "fr"),
        ("host.tpdu", "60000300"), ("host.tpdu", "60000300AB"), ("terminal.number", "123"), ("emv.aids", "x"), ("no.such", 1),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused_and_named(name, value):
    with pytest.raises(ParameterError, match=name.replace(".", r"\.")):
        check(name, value)


@pytest.mark.parametrize("stored", [b"", b"\xff\xfe", b"{", b'"many"', b"null", b"1e400", json.dumps([1]).encode()])
def test_a_damaged_value_is_not_used_and_its_name_is_told(stored):
    store = StandIn()
    store.commit([("parameters", "pin.free_fen", stored, None)])
    parameters = Parameters(store)
    assert parameters("pin.free_fen") == 100_000 and parameters.bad == ["pin.free_fen"]


def test_what_must_be_set_is_missing_until_it_is():
    store = StandIn()
    parameters = Parameters(store)
    assert "terminal.number" in parameters.missing()
    parameters.set("terminal.number", "KF000001")
    assert "terminal.number" not in Parameters(store).missing()
