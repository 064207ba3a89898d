"""The public vectors of offline data authentication (`oda_vectors.json`), carried out under CPython and MicroPython alike."""

import hashlib
from binascii import hexlify

from firmware.emv import oda, tlv
from firmware.emv.data import Data
from firmware.emv.settings import Request
from tests.portable.plain_keys import drive, hexes
from tests.portable.plain_settings import card_settings, unionpay_row

NOT_SAID = ("capk", "9A", "9F37", "9F02", "5F2A", "9F66", "gac_response")
SAID = (("dac_9F45", 0x9F45), ("icc_dynamic_number_9F4C", 0x9F4C), ("ac_9F26", 0x9F26))


def vector_data(given):
    key = given["capk"]
    rows = []
    if key:
        digest = hashlib.sha1(hexes(key["rid"] + key["index"] + key["modulus"] + key["exponent"])).digest()
        row = dict(key)
        row.update({"hash": hexlify(digest).decode(), "kind": "test"})
        rows.append(row)
    application = unionpay_row()
    application["ddol"] = given.get("ddol", "")
    settings = card_settings([application], keys=rows)
    data = Data(settings, Request(0, given["9A"], "120000", hexes(given.get("9F37", "00000000")), 1))
    data.choose(settings.applications[0])
    for name, value in given.items():
        if value is not None and name not in NOT_SAID and name == name.upper() and (len(name) == 2 or name[:2] in ("5F", "9F")):
            data.said[int(name, 16)] = hexes(value)
    for name in ("9F02", "5F2A"):
        if name in given:
            data.told[int(name, 16)] = hexes(given[name])
    data.said[0x8F] = hexes(given.get("8F") or key["index"])
    data.said[0x84] = hexes((key or {"rid": "AFFFFFFFFF"})["rid"] + "1234")
    data.static = hexes(given["records_static"])
    return data


def run_vector(case):
    """(whether it held, the data)"""
    given, kind = case["inputs"], case["kind"]
    data = vector_data(given)
    if kind == "sda":
        oda.static(data)
        return not data.has_tvr(1, 0x40), data
    if kind == "dda":
        _, commands = drive(oda.dynamic(data), tlv.encode([(0x80, hexes(given["9F4B"]))]) + b"\x90\x00")
        asked = hexes(given.get("ddol_data", ""))
        assert all([command == hexes("00880000") + bytes((len(asked),)) + asked + b"\x00" for command in commands])
        return not data.has_tvr(1, 0x08), data
    if kind == "cda":
        key = oda.combined_key(data)
        if key is None:
            return False, data
        assert (data.tvr[0], data.tsi[0]) == (0, 0)
        before = hexes(given["pdol_data"] + given["cdol1_data"] + given.get("cdol2_data", ""))
        return oda.combined(data, key, hexes(given["gac_response"]), before), data
    assert kind == "fdda"
    return oda.fast(data), data


def check(cases):
    """Asserts that every case comes out as it says."""
    for case in cases:
        held, data = run_vector(case)
        expected = case["expected"]
        assert held == expected["result"].endswith("ok"), case["id"]
        assert bool(data.tsi[0]) == (case["kind"] != "fdda")
        wanted = sum([int(bit.split(":")[1], 16) for bit in expected.get("tvr_set", ())])
        assert data.tvr[0] & ~0x02 == wanted and not any(data.tvr[1:]), case["id"]
        assert data.has_tvr(1, 0x02) == (case["kind"] == "sda")
        for name, tag in SAID:
            if name in expected:
                assert data.said[tag] == hexes(expected[name]), case["id"]
    assert len(cases) >= 23
