"""The slip's lines, from records as the ledger keeps them."""

import pytest

from firmware import slip
from tests.flows.counter import Counter

RECORD = {
    "kind": "sale", "pan": "622588******1234", "entry": "07", "cvm": "none", "pin": False, "signature": False, "fen": 1234,
    "batch": "000001", "trace": "000007", "at": "20261120103400", "operator": "01", "free_fen": 30_000,
}  # fmt: skip
SIGNS = "持卡人签名"


@pytest.fixture(scope="module")
def terminal():
    world = Counter()
    world.power_on()
    return world.terminal


def text(terminal, copy=slip.MERCHANT, **changes):
    return "\n".join(row[1] for row in slip.build(terminal, {**RECORD, **changes}, copy) if isinstance(row[1], str))


@pytest.mark.parametrize(("entry", "letter"), [("01", "M"), ("02", "S"), ("05", "I"), ("07", "C"), ("91", "C")])
def test_how_the_card_was_read_is_a_letter_behind_its_number(terminal, entry, letter):
    assert "622588******1234 /" + letter in text(terminal, entry=entry)


@pytest.mark.parametrize(
    ("changes", "words", "signs"),
    [
        ({"pin": True}, "已验证密码，无需签名", False),
        ({"pin": True, "signature": True}, "已验证密码\n" + SIGNS, True),
        ({"entry": "05", "cvm": "offline-pin"}, "已验证密码，无需签名", False),
        ({"entry": "05", "cvm": "offline-pin", "signature": True}, "已验证密码\n" + SIGNS, True),
        ({"entry": "05"}, "无需密码和签名", False),
        ({"entry": "05", "cvm": "signature"}, "", True),
        ({"entry": "02"}, "", True),
        ({"fen": 30_000}, "未超过300.00元，免密免签", False),
        ({"fen": 30_000, "entry": "91"}, "未超过300.00元，免密免签", False),
        ({"fen": 30_001}, "", True),
        ({"fen": 30_000, "cvm": "signature"}, "", True),
        ({"kind": "void"}, "", True),
    ],
)
def test_the_slip_says_how_the_holder_agreed_or_lets_him_sign_the_merchants_copy(terminal, changes, words, signs):
    shown = text(terminal, **changes)
    assert words in shown and (SIGNS in shown) is signs
    assert ("免密" in shown, "无需" in shown, "已验证" in shown) == ("免密" in words, "无需" in words, "已验证" in words)
    assert SIGNS not in text(terminal, slip.CARDHOLDER, **changes)


@pytest.mark.parametrize(
    ("at", "date", "shown"),
    [
        ("20261231235959", "0101", "2027/01/01 00:00:01"),
        ("20270101000001", "1231", "2026/12/31 00:00:01"),
        ("20261120103400", "1120", "2026/11/20 00:00:01"),
    ],
)
def test_the_hosts_date_is_in_the_year_that_brings_it_nearest_to_ours(terminal, at, date, shown):
    assert shown in text(terminal, at=at, host_date=date, host_time="000001")


def test_only_what_the_card_has_approved_is_called_approved_offline(terminal):
    assert "脱机批准:Y1" in text(terminal, code="Y1", offline55="9F2600")
    assert "脱机批准" not in text(terminal, code="01", offline55="9F2600", referral=True)
