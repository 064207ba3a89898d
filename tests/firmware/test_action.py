"""Terminal action analysis against the cases written from EMV Book 3, 10.7."""

from binascii import hexlify

import pytest

from firmware.emv import action, card
from tests.firmware.dialogue import data_of, hexes
from tests.firmware.test_tlv import vectors

KINDS = {action.AAC: "AAC", action.TC: "TC", action.ARQC: "ARQC"}
QUIET = {"9F0D": "0000000000", "9F0E": "0000000000", "9F0F": "0000000000"}


def data_for(tvr, said=QUIET, kind="22", **codes):
    row = {"tac_denial": "", "tac_online": "", "tac_default": ""}
    row.update(codes)
    data = data_of(said, {"9F35": kind}, row)
    data.tvr[:] = hexes(tvr)
    return data


def first(*args, **kinds):
    return KINDS[action.first(data_for(*args, **kinds))]


def test_every_case_of_action_analysis_asks_for_its_cryptogram():
    ran = 0
    for case in vectors("flow_made.json")["cases"]:
        if case["topic"] != "taa":
            continue
        ran += 1
        given = case["inputs"]
        said = {}
        for tag, name in (("9F0E", "iac_denial"), ("9F0F", "iac_online"), ("9F0D", "iac_default")):
            if given[name] is not None:
                said[tag] = given[name]
        codes = {name: given[name] for name in ("tac_denial", "tac_online", "tac_default")}
        data = data_for(given["tvr"], said, given["terminal_type"], **codes)
        decide = action.unreachable if "stage" in given else action.first
        assert KINDS[decide(data)] == case["expected"]["request"], case["id"]
        if "arc" in case["expected"]:
            assert data.get(0x8A).decode() == case["expected"]["arc"], case["id"]
    assert ran >= 10


def test_nothing_wrong_is_approved_offline_with_y1():
    data = data_for("0000000000")
    assert action.first(data) == action.TC and data.get(0x8A) == b"Y1"


def test_an_online_only_terminal_never_asks_for_an_approval():
    for kind in ("21", "24", "11", "34"):
        assert first("0000000000", kind=kind) == "ARQC"


@pytest.mark.parametrize("kind", ["22", "23", "25", "26"])
def test_what_only_the_issuer_may_approve_is_asked_for_online(kind):
    data = data_for("0000000000", kind=kind)
    data.request.online = True
    assert action.first(data) == action.ARQC
    data.request.online = False
    assert action.first(data) == action.TC


def test_an_offline_only_terminal_never_goes_online():
    for kind in ("23", "26"):
        assert first("0000008000", kind=kind, tac_online="0000008000") == "TC"
        assert first("0000008000", kind=kind, tac_default="0000008000") == "AAC"


def test_a_missing_issuer_code_is_every_bit_for_online_and_default_and_none_for_denial():
    assert first("0000000800", {"9F0D": "0000000000"}) == "ARQC"
    assert first("0000000800", {"9F0F": "0000000000"}, "23") == "AAC"
    assert first("0000000000", {}) == "TC"
    assert action.unreachable(data_for("0000000800", {})) == action.AAC


def test_either_opinion_is_enough():
    assert first("0000004000", dict(QUIET, **{"9F0E": "0000004000"})) == "AAC"
    assert first("0000004000", tac_denial="0000004000") == "AAC"
    assert first("0000004000", dict(QUIET, **{"9F0F": "0000004000"})) == "ARQC"
    assert first("0000004000", tac_online="0000004000") == "ARQC"


def test_an_issuer_that_cannot_be_reached_leaves_it_to_the_default_codes():
    data = data_for("0000008000", tac_default="0000008000")
    assert action.unreachable(data) == action.AAC and data.get(0x8A) == b"Z3"
    data = data_for("0000008000", tac_denial="0000008000", tac_online="0000008000")
    assert action.unreachable(data) == action.TC and data.get(0x8A) == b"Y3"


def test_going_online_there_is_no_response_code_yet():
    data = data_for("0000000800", {})
    data.told[0x8A] = b"Y1"
    assert action.first(data) == action.ARQC and data.get(0x8A) is None


@pytest.mark.parametrize("tag", ["9F0D", "9F0E", "9F0F"])
@pytest.mark.parametrize("code", ["", "00000000", "000000000000"])
def test_an_action_code_of_another_length_ends_the_transaction(tag, code):
    data = data_for("0000000000", dict(QUIET, **{tag: code}), "23" if tag == "9F0D" else "22")
    with pytest.raises(card.Ended, match="malformed"):
        action.first(data)


def test_every_pair_of_codes_and_results_gives_the_same_as_bit_by_bit():
    for bit in range(40):
        mask = hexlify((1 << bit).to_bytes(5, "big")).decode()
        other = hexlify((1 << (bit + 7) % 40).to_bytes(5, "big")).decode()
        assert first(mask, tac_denial=mask) == "AAC" and first(mask, tac_denial=other) == "TC"
        assert first(mask, tac_online=mask) == "ARQC" and first(mask, tac_online=other) == "TC"
