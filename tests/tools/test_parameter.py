"""What a technician sets on a device that is switched off."""

import json

import pytest

from drivers.store import SqliteStore
from firmware.ledger import Ledger
from tools import parameter


@pytest.fixture
def device(tmp_path):
    store = SqliteStore(None, {}, tmp_path)
    store.commit([("parameters", "terminal.number", json.dumps("KF000001").encode(), None)])
    store.close()
    return tmp_path


def said(device, capsys, *words):
    status = parameter.main(["--data", str(device), *words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_the_list_names_what_differs_and_all_names_everything(device, capsys):
    assert said(device, capsys)[1].split() == ["terminal.number", '"KF000001"']
    assert 'host.mac                   "unionpay"   (default)' in said(device, capsys, "--all")[1]


def test_a_value_is_set_and_taken_back(device, capsys):
    status, out, _ = said(device, capsys, "module.tip", "true")
    assert status == 0 and "module.tip                 true" in out and "true or false; usually false" in out
    assert said(device, capsys, "slip.title", "小店签购单")[0] == 0
    assert "小店签购单" in said(device, capsys)[1]
    assert said(device, capsys, "module.tip", "--default")[0] == 0 and "module.tip" not in said(device, capsys)[1]


@pytest.mark.parametrize(
    "words, what",
    [
        (("module.tip", "perhaps"), "takes true or false"),
        (("settle.time", "2560"), "takes hhmm"),
        (("host.mac", "md5"), "takes one of"),
        (("terminal.number", "--default"), "has no default"),
    ],
)
def test_a_wrong_value_is_refused_and_the_old_one_stays(device, capsys, words, what):
    before = said(device, capsys)[1]
    status, _, err = said(device, capsys, *words)
    assert status == 1 and what in err and said(device, capsys)[1] == before


def test_who_the_device_is_waits_for_the_settlement(device, capsys):
    store = SqliteStore(None, {}, device)
    ledger = Ledger(store)
    record = ledger.sent({"kind": "sale", "trace": "000001", "fen": 100, "original": 0}, 1)
    store.close()
    assert "unknown is open" in said(device, capsys, "terminal.number", "KF000002")[2]
    store = SqliteStore(None, {}, device)
    Ledger(store).approved(record, {"code": "00"})
    store.close()
    assert "settled first" in said(device, capsys, "terminal.number", "KF000002")[2]
    assert said(device, capsys, "module.tip", "true")[0] == 0


def test_a_name_that_is_none_brings_those_like_it(device, capsys):
    status, _, err = said(device, capsys, "tip")
    assert status == 2 and "module.tip" in err and "tip.percent" in err


def test_a_folder_without_a_device_and_a_running_one_are_told(tmp_path, device, capsys):
    assert "no device" in said(tmp_path / "nothing", capsys)[2]
    store = SqliteStore(None, {}, device)
    try:
        status, _, err = said(device, capsys)
        assert status == 1 and "switched off" in err
    finally:
        store.close()
