"""A TR-31 key block from a file into a provisioned device: the slot it names, and what it is refused for."""

import json
import random

import pytest

from drivers import kcv, tr31, vault_software
from drivers.provisioning import provision
from drivers.store import SqliteStore
from tests.tools.test_provision import COMPONENTS, MASTER, SETTINGS
from tools import key_block
from tools import provision as tool

CHANCE = random.Random(3)
TRANSPORT = [CHANCE.randbytes(16), CHANCE.randbytes(16)]
CARRIER = bytes(a ^ b for a, b in zip(*TRANSPORT, strict=True))
KEY = CHANCE.randbytes(16)
SERIAL = "FFFF9876543210E00000"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    provision(folder, SETTINGS, COMPONENTS, cost=10, transport=TRANSPORT)
    return folder


def block(tmp_path, usage="K0", mode="D", under=CARRIER, key=KEY, blocks=()):
    path = tmp_path / "key.tr31"
    path.write_text(tr31.wrap(under, tr31.Header("B", usage, "T", mode, "00", "N", blocks), key, CHANCE.randbytes) + "\n")
    return path


def run(folder, path, *more):
    said = []
    return tool.main(["--data", str(folder), "--tr31", str(path), *more], say=said.append, environ={}), said


def held(folder):
    return [vault_software.check_value(folder, slot) for slot in ("master", "pin", "dukpt")]


def test_a_master_key_comes_under_the_transport_key(folder, tmp_path):
    check = kcv.check_value("tdes", KEY).hex().upper()
    assert run(folder, block(tmp_path), "--check-value", check[:6]) == (tool.DONE, ["密钥已装入 Key loaded: master " + check])
    assert held(folder)[0].hex().upper() == check


@pytest.mark.parametrize("usage, mode, blocks, slot", [("P0", "E", (), "pin"), ("B1", "X", [("KS", SERIAL)], "dukpt")])
def test_other_keys_come_under_the_master_key(folder, tmp_path, usage, mode, blocks, slot):
    check = kcv.check_value("tdes", KEY)
    assert key_block.load(folder, block(tmp_path, usage, mode, MASTER, blocks=blocks)) == (slot, check)
    assert check in held(folder) and held(folder)[0] == kcv.check_value("tdes", MASTER)


@pytest.mark.parametrize(
    "made, more",
    [
        ({"under": MASTER}, ()),
        ({}, ("--check-value", "000000")),
        ({}, ("--check-value", "0")),
        ({"usage": "D0", "mode": "E"}, ()),
        ({"usage": "C0", "mode": "G"}, ()),
        ({"usage": "B1", "mode": "X", "under": MASTER}, ()),
    ],
    ids=["another opener", "another check value", "no check value", "a working key", "a usage without slot", "no serial number"],
)
def test_a_block_that_is_not_for_this_slot_and_key_changes_nothing(folder, tmp_path, made, more):
    before = held(folder)
    status, said = run(folder, block(tmp_path, **made), *more)
    assert status == tool.WRONG and said[0].startswith("密钥块 Key block: ") and held(folder) == before


def test_what_is_no_block_and_what_is_no_device_are_said_to_be_none(folder, tmp_path):
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(bytes(range(256)))
    assert run(folder, rubbish)[0] == run(tmp_path / "nowhere", block(tmp_path))[0] == tool.WRONG
    assert run(folder, tmp_path / "no-file")[0] == tool.FAILED


def test_a_master_key_waits_until_the_batch_is_settled(folder, tmp_path):
    store = SqliteStore(None, {}, folder)
    record = {"id": 1, "kind": "sale", "phase": "approved", "batch": "000001", "trace": "000001", "fen": 1234, "scheme": "CUP"}
    store.commit([("totals", "000001", json.dumps({"CUP": {"sale": [1, 1234]}}).encode(), None),
                  ("transactions", "0000000001", json.dumps(record).encode(), None)])  # fmt: skip
    store.close()
    before = held(folder)
    status, said = run(folder, block(tmp_path))
    assert status == tool.NOT_NOW and "settled first" in said[0] and held(folder) == before
    assert run(folder, block(tmp_path, "P0", "E", MASTER))[0] == tool.DONE


def test_a_terminal_that_is_running_keeps_its_keys(folder, tmp_path):
    store = SqliteStore(None, {}, folder)
    assert run(folder, block(tmp_path))[0] == tool.NOT_NOW
    store.close()
