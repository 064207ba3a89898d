"""Pre-authorisations at the host: what is held, what is taken of it, when it is over."""

import pytest

from firmware.iso8583 import unionpay
from tests.emulator.acquirer_desk import Desk, f61
from tests.emulator.test_acquirer import CARD, MASTER_KEY, MERCHANT, NOW_S, OTHER, POOR, TERMINAL

DAY_S = 86_400


@pytest.fixture
def desk():
    desk = Desk()
    desk.now_s = NOW_S
    desk.acquirer.clock = lambda: desk.now_s
    yield desk
    assert desk.books.balanced()
    desk.books.close()


def held(desk, amount_fen=1000):
    """(request, reply) of a pre-authorisation."""
    return desk.done("0100", desk.preauth(amount_fen))


def test_what_is_held_cannot_be_spent_and_is_nobodys_income(desk):
    _, reply = held(desk, 450_000)
    assert desk.mti == "0110" and len(reply[38]) == 6 and reply[44] and reply[63][:3] == b"CUP"
    assert desk.books.balance(CARD) == 50_000 and desk.books.held(CARD) == 450_000 and desk.books.takings(MERCHANT) == 0
    assert desk.sell(50_001)[1][39] == "51"
    assert desk.code("0100", desk.preauth(50_001)) == "51"
    assert desk.sell(50_000)[1][39] == "00"


@pytest.mark.parametrize(
    "code, change",
    [
        ("51", {"f2": POOR}),
        ("14", {"f2": "6222620000000012"}),
        ("59", {"f55": None}),
        ("30", {"f22": None}),
        ("13", {"f49": "840"}),
    ],
)
def test_a_card_is_checked_before_anything_is_held(desk, code, change):
    assert desk.code("0100", desk.preauth(1000, **change)) == code
    assert desk.books.held(CARD) == 0 and desk.stands() == []


def test_a_completion_takes_up_to_the_ceiling_and_gives_the_rest_back(desk):
    for taken in (1, 1000, 1150):
        _, reply = held(desk)
        before = desk.spent() - 1000
        request, done = desk.done("0200", desk.complete(reply, taken))
        assert desk.spent() - before == taken and desk.books.held(CARD) == 0 and done[38] == reply[38]
    _, reply = held(desk)
    assert desk.code("0200", desk.complete(reply, 1151)) == "61"
    desk.acquirer.ceiling_percent = 100
    assert desk.code("0200", desk.complete(reply, 1001)) == "61"
    assert desk.stands()[-1] == ("preauth", 1000)
    assert desk.books.takings(MERCHANT) == 1 + 1000 + 1150


def test_a_completion_over_what_is_held_needs_the_money(desk):
    _, reply = held(desk, 500_000)
    assert desk.code("0200", desk.complete(reply, 500_001)) == "51"
    assert desk.code("0220", desk.notice(reply, 500_001)) == "00"
    assert desk.books.balance(CARD) == -1


def test_a_completion_by_notice_is_taken_from_a_card_that_was_lost_since(desk):
    _, reply = held(desk)
    desk.books.set_status(CARD, "lost")
    assert desk.code("0200", desk.complete(reply, 900)) == "41"
    desk.done("0220", desk.notice(reply, 900))
    assert desk.mti == "0230" and desk.stands() == [("complete-notice", 900)]
    assert desk.code("0220", desk.notice(held_again(desk), 1151)) == "61"


def held_again(desk):
    desk.books.set_status(CARD, "active")
    return held(desk)[1]


def test_more_can_be_held_under_the_same_code(desk):
    request, reply = held(desk)
    more, added = desk.done("0100", desk.preauth_add(reply, 500))
    assert added[38] == reply[38] and desk.books.held(CARD) == 1500
    assert desk.books.holds(CARD)[0].amount_fen == 1500
    assert desk.code("0200", desk.complete(reply, 1726)) == "61"
    desk.done("0200", desk.complete(reply, 1725))
    assert desk.spent() == 1725 and desk.books.held(CARD) == 0
    assert desk.code("0100", desk.preauth_add(reply, 1)) == "12"
    assert desk.reverse(more)[39] == "12" and desk.reverse(request)[39] == "12"


def test_a_hold_that_was_raised_is_voided_not_reversed(desk):
    request, reply = held(desk)
    more, _ = desk.done("0100", desk.preauth_add(reply, 500))
    assert desk.reverse(request)[39] == "12" and desk.books.held(CARD) == 1500
    assert desk.reverse(more)[39] == "00" and desk.books.held(CARD) == 1000
    assert desk.reverse(request)[39] == "00" and desk.books.held(CARD) == 0
    assert desk.reverse(more)[39] == "00" and desk.stands() == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_void_gives_all_that_is_held_back(desk, whole):
    request, reply = held(desk)
    desk.done("0100", desk.preauth_add(reply, 500))
    void = desk.preauth_void(request, reply, f4=unionpay.amount(1500 if whole else 1000))
    desk.done("0100", void)
    assert desk.spent() == 0 and desk.books.held(CARD) == 0
    assert desk.code("0100", desk.preauth_void(request, reply)) == "12"
    assert desk.code("0200", desk.complete(reply, 1000)) == "12"


@pytest.mark.parametrize(
    "code, change",
    [
        ("25", {"f38": "000000"}), ("25", {"f2": OTHER}), ("25", {"f61": f61("000001", "000099", "0921")}),
        ("25", {"f61": f61("000009", "000000", "0921")}), ("25", {"f61": f61(date="0920")}), ("30", {"f61": "12"}),
        ("30", {"f38": None}), ("77", {"f60": unionpay.financial("11", "000009")}),
    ],
)  # fmt: skip
def test_what_names_no_hold_is_refused(desk, code, change):
    request, reply = held(desk)
    assert desk.code("0100", desk.preauth_void(request, reply, **change)) == code
    assert desk.books.held(CARD) == 1000


def test_a_void_of_another_amount_is_refused(desk):
    request, reply = held(desk)
    assert desk.code("0100", desk.preauth_void(request, reply, f4=unionpay.amount(999))) == "64"


def test_a_hold_is_named_without_its_place_or_without_its_card(desk):
    request, reply = held(desk)
    desk.done("0100", desk.preauth_void(request, reply, f61=f61(date="0921")))
    request, reply = held(desk)
    desk.done("0100", desk.preauth_void(request, reply, f2=None, f14=None))
    request, reply = held(desk)
    desk.done("0100", desk.preauth_void(request, reply, f61=f61()))
    assert desk.books.held(CARD) == 0


def test_a_hold_is_completed_at_another_terminal_of_its_merchant_and_no_other(desk):
    _, reply = held(desk)
    for number, merchant, code in (("99999992", "M" * 15, "25"), ("99999991", MERCHANT, "00")):
        desk.books.add_terminal(number, merchant, MASTER_KEY)
        desk.books.sign_on(number, None, desk.keys["mac"], None)
        assert desk.code("0200", desk.complete(reply, 900, f41=number, f42=merchant)) == code


def test_a_voided_completion_leaves_the_hold_in_force(desk):
    _, reply = held(desk)
    completion = desk.done("0200", desk.complete(reply, 900))
    void, _ = desk.done("0200", desk.complete_void(*completion))
    assert desk.spent() == 1000 and desk.books.held(CARD) == 1000 and desk.books.takings(MERCHANT) == 0
    assert desk.code("0200", desk.complete_void(*completion)) == "12"
    desk.done("0200", desk.complete(reply, 1100))
    assert desk.spent() == 1100
    assert desk.reverse(void)[39] == "12", "the hold went on without it"
    assert desk.reverse(completion[0])[39] == "12"


@pytest.mark.parametrize(
    "code, change",
    [("25", {"f37": "9" * 12}), ("25", {"f38": "XXXXXX"}), ("64", {"f4": unionpay.amount(1)}), ("14", {"f2": OTHER})],
)
def test_a_void_that_does_not_fit_its_completion_is_refused(desk, code, change):
    completion = desk.done("0200", desk.complete(held(desk)[1], 900))
    assert desk.code("0200", desk.complete_void(*completion, **change)) == code
    assert desk.spent() == 900


def test_a_completion_by_notice_is_not_voided_but_refunded(desk):
    notice = desk.done("0220", desk.notice(held(desk)[1], 900))
    assert desk.code("0200", desk.complete_void(*notice)) == "25"
    desk.done("0220", desk.refund(notice[1], 900))
    assert desk.spent() == 0


def test_a_hold_is_over_after_its_days(desk):
    request, reply = held(desk)
    desk.now_s += 30 * DAY_S - 1
    assert desk.code("0100", desk.preauth(499_001)) == "51"
    desk.now_s += 1
    assert desk.code("0200", desk.complete(reply, 900)) == "22"
    assert desk.spent() == 0 and desk.stands() == []
    assert [(hold.amount_fen, hold.state) for hold in desk.books.holds(CARD)] == [(1000, "expired")]
    assert desk.reverse(request)[39] == "00" and desk.spent() == 0


def test_a_rule_lets_a_hold_end_early(desk):
    desk.acquirer.rules.add("next on preauth expire 60")
    request, reply = held(desk)
    desk.now_s += 60
    assert desk.code("0100", desk.preauth_void(request, reply)) == "22"
    assert desk.books.held(CARD) == 0 and [row.kind for row in desk.books.statement("held:" + CARD)] == ["expiry", "preauth"]


def test_holds_outlive_the_batch(desk):
    _, reply = held(desk)
    desk.books.next_batch(TERMINAL)
    desk.sign_on()
    assert desk.batch == "000002"
    desk.done("0200", desk.complete(reply, 900))
    assert desk.books.totals(TERMINAL, "000002") == {"complete": (1, 900)}


def test_a_person_sees_holds_masked(desk):
    _, reply = held(desk)
    (hold,) = desk.books.holds()
    assert hold == ("622262******0004", MERCHANT, reply[38], "0921", 1000, NOW_S + 30 * DAY_S, "approved")
    assert desk.books.holds(OTHER) == []
