"""What a person can make go wrong at the host beyond the first rules: parts, late answers, other fields, rules from a file."""

import pytest

from emulator.acquirer.request import KINDS
from emulator.acquirer.rules import RuleError, Rules, parse
from tests.emulator.acquirer_desk import Desk
from tests.emulator.test_acquirer import OTHER, TERMINAL


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    assert desk.books.balanced()
    desk.books.close()


@pytest.mark.parametrize("action, field", [("wrong-processing", 3), ("wrong-merchant", 42)])
def test_a_rule_spoils_a_field_under_a_good_mac(desk, action, field):
    desk.acquirer.rules.add("next " + action)
    request = desk.sale()
    reply = desk.ask("0200", request)
    assert reply[field] != request.get(field, "898310012345678") and reply[39] == "00"
    assert desk.sell()[1][39] == "00"


def test_a_rule_answers_with_the_message_type_of_another_request(desk):
    desk.acquirer.rules.add("next 2 wrong-mti")
    desk.sell()
    assert desk.mti == "0410"
    desk.code("0100", desk.preauth(100))
    assert desk.mti == "0210"


def test_a_late_answer_comes_in_front_of_the_next_one_to_its_terminal(desk):
    desk.acquirer.rules.add("next later")
    request = desk.sale()
    assert desk.answers("0200", request) == []
    desk.books.add_terminal("99999991", "M" * 15, bytes(16))
    assert len(desk.answers("0820", {41: "99999991", 42: "M" * 15, 60: "00000001301"}, mac=False)) == 1
    (_, old), (_, new) = desk.answers("0400", {**request, 39: "98"})
    assert desk.read(old)[11] == request[11] and desk.mti == "0210"
    assert desk.read(new)[39] == "00" and desk.mti == "0410"
    assert len(desk.answers("0200", desk.sale())) == 1


def test_a_rule_by_amount_means_what_a_bank_decides_and_not_what_it_is_told(desk):
    desk.acquirer.rules.add("amount 5.00 decline 05")
    assert desk.code("0220", desk.offline(500)) == "00"
    for mti, request in (
        ("0200", desk.sale(500)), ("0100", desk.preauth(500)), ("0200", desk.moto(500)), ("0200", desk.instalment(500)),
    ):  # fmt: skip
        assert desk.code(mti, request) == "05"
    assert desk.stands() == [("offline-sale", 500)]


def test_a_part_is_no_more_than_the_rule_says_and_needs_the_money(desk):
    desk.acquirer.rules.add("card 0018 on sale partial 2.50")
    request, reply = desk.sell(1000, pan=OTHER)
    assert reply[39] == "10" and int(reply[4]) == 250
    assert desk.sell(250, pan=OTHER)[1][39] == "00"
    assert desk.sell(1000)[1][39] == "00"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_can_be_named(kind):
    assert str(parse(f"next on {kind} silence")) == f"next on {kind} silence"


@pytest.mark.parametrize(
    "text", ["next partial", "next partial 0", "next partial 0.00", "next partial x", "next expire", "next expire -1"]
)
def test_a_value_that_cannot_be_is_refused(text):
    with pytest.raises(RuleError):
        parse(text)


def test_a_file_of_rules_is_put_in_force_whole_or_not_at_all(tmp_path):
    path = tmp_path / "afternoon.rules"
    path.write_text("# the bank is slow\nalways on sale late 3   # every sale\n\nrule tail 51 decline 51\n", encoding="utf-8")
    rules = Rules()
    assert [str(rule) for rule in rules.load(path)] == rules.list() == ["always on sale late 3", "tail 51 decline 51"]
    path.write_text("next silence\nnext on lunch silence\n", encoding="utf-8")
    with pytest.raises(RuleError) as caught:
        rules.load(path)
    assert "afternoon.rules:2" in str(caught.value) and "'lunch'" in str(caught.value)
    assert len(rules.list()) == 2
    with pytest.raises(OSError):
        rules.load(tmp_path / "none")


def test_a_message_of_no_kind_is_bent_by_no_rule(desk):
    desk.acquirer.rules.add("always decline 05")
    assert desk.code("0200", desk.sale(f3="010000")) == "12"
    assert desk.sell()[1][39] == "05"
    assert desk.books.standing(TERMINAL) == []
