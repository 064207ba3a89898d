"""The acquirer's end of the day, by its messages: totals, uploads, the end, and what they leave in its books."""

import pytest

from emulator.acquirer.rules import parse
from firmware.iso8583 import batch, unionpay
from firmware.iso8583.batch import NOTHING, Half, Item
from tests.emulator.test_acquirer import CARD, MERCHANT, OTHER, TERMINAL, Till

VISA = "4761739001010010"


class Settler(Till):
    """A terminal that settles."""

    @property
    def host(self):
        return self.acquirer.providers["Settlement"]

    def settle(self, unionpay_half, others=NOTHING, name=None, code="201"):
        """The reply to the totals."""
        fields = {11: self.next_trace(), 48: batch.totals(unionpay_half, others), 49: "156", 63: b"01 "}
        return self.ask("0500", fields | {60: unionpay.management(name or self.batch, code)}, mac=False)

    def flags(self, *halves, **more):
        reply = self.settle(*halves, **more)
        assert 39 not in reply
        return "".join(half.flag for half in batch.read_totals(reply[48]))

    def upload(self, *items, name=None):
        fields = {11: self.next_trace(), 48: batch.items(list(items)), 60: unionpay.management(name or self.batch, "201")}
        return self.ask("0320", fields, mac=False)[39]

    def end(self, count, code="207", name=None):
        fields = {11: self.next_trace(), 48: batch.count(count), 60: unionpay.management(name or self.batch, code)}
        return self.ask("0320", fields, mac=False)[39]


@pytest.fixture
def till():
    till = Settler()
    till.books.add_card(
        {"pan": VISA, "expiry": "3012", "sequence": "001", "pin": "1234", "issuer_key": b"key", "balance_fen": 500_000}
    )
    till.sign_on()
    yield till
    assert till.books.balanced()
    till.books.close()


def claim(debit=0, debits=0, credit=0, credits=0):
    return Half(debit, debits, credit, credits, "0")


def test_totals_that_are_the_books_own_are_balanced_and_the_end_begins_the_next_batch(till):
    request, reply = till.sell(1000)
    till.sell(234)
    assert till.ask("0200", till.void(request, reply))[39] == "00"
    assert till.flags(claim(1234, 2, 1000, 1)) == "11"
    assert till.end(0) == "00"
    (settled,) = till.host.settled(TERMINAL)
    assert (settled.batch, settled.state, settled.claimed) == ("000001", "settled", (claim(1234, 2, 1000, 1), NOTHING))
    assert till.books.terminal(TERMINAL).batch == 2 and till.host.disputes(TERMINAL) == []
    assert till.sell(5)[1][39] == "77", "the old batch takes nothing more"


def test_cards_of_other_organisations_are_counted_apart_and_named_in_the_reply_to_their_sale(till):
    till.sell(1000)
    assert till.sell(70, pan=VISA)[1][63] == b"VIS"
    assert till.flags(claim(1000, 1), claim(70, 1)) == "11"
    assert till.flags(claim(1070, 2)) == "22"
    assert till.flags(claim(1000, 1), claim(71, 1)) == "12"


@pytest.mark.parametrize("wrong", [claim(1001, 1), claim(1000, 2), claim(1000, 1, 1, 0), claim(1000, 1, 0, 1), claim()])
def test_any_other_sum_or_count_is_unbalanced_and_the_reply_names_the_books_own(till, wrong):
    till.sell(1000)
    reply = batch.read_totals(till.settle(wrong)[48])
    assert reply == (Half(1000, 1, 0, 0, "2"), Half(0, 0, 0, 0, "1"))


def test_what_was_declined_or_reversed_is_in_no_total(till):
    till.sell(10_000_000)
    request, _ = till.sell(1000)
    till.reverse(request)
    assert till.flags(NOTHING) == "11"


def test_differences_of_the_uploaded_details_become_disputes(till):
    (one, _), (two, _), (three, _), (four, _) = (till.sell(fen) for fen in (100, 200, 300, 400))
    assert till.flags(claim(1, 1)) == "21"
    given = [
        Item("00", one[11], CARD, 100),
        Item("00", two[11], CARD, 250),
        Item("00", "999999", CARD, 5),
        Item("00", three[11], OTHER, 300),
    ]
    assert till.upload(*given) == "00" and till.upload(*given) == "00", "a repeated list changes nothing"
    assert till.end(4, "202") == "00"
    assert [(d.trace, d.what, d.booked_fen, d.uploaded_fen) for d in till.host.disputes(TERMINAL)] == [
        (two[11], "amount", 200, 250), (three[11], "card", 300, 300), (four[11], "not-uploaded", 400, None),
        ("999999", "not-booked", None, 5),
    ]  # fmt: skip
    assert all("*" in dispute.card for dispute in till.host.disputes(TERMINAL))
    assert till.host.settled(TERMINAL)[0].uploaded == 4


def test_chips_and_notices_are_details_too(till):
    (one, _), (two, _) = till.sell(100), till.sell(200)
    till.flags(claim(1, 1))
    common = {2: CARD, 14: "3012", 22: "072", 23: "001", 49: "156"}
    chip = common | {
        4: one[4],
        11: one[11],
        55: one[55],
        60: unionpay.management(till.batch, "205"),
        62: batch.chip("61", "00", 100),
    }
    assert till.ask("0320", chip, mac=False)[39] == "00"
    assert till.ask("0320", chip | {62: batch.chip("61", "00", 101)}, mac=False)[39] == "30"
    notice = common | {3: "000000", 4: two[4], 11: two[11], 25: "00", 60: "30" + till.batch + "201"}
    assert till.ask("0320", notice, mac=False)[39] == "00"
    assert till.end(2, "202") == "00" and till.host.disputes(TERMINAL) == []


def test_a_settled_batch_is_answered_again_and_nothing_changes(till):
    till.sell(100)
    first = till.settle(claim(100, 1))[48]
    till.end(0)
    till.sign_on()
    assert till.batch == "000002"
    assert till.settle(claim(100, 1), name="000001")[48] == first == till.settle(claim(7, 7), name="000001")[48]
    assert till.upload(Item("00", "000001", CARD, 1), name="000001") == "00" and till.end(0, name="000001") == "00"
    assert till.books.terminal(TERMINAL).batch == 2 and len(till.host.settled(TERMINAL)) == 1


def test_totals_may_be_sent_again_before_the_end_and_the_last_count(till):
    till.sell(100)
    assert till.flags(claim(7, 7)) == "21" and till.upload(Item("00", "999999", CARD, 1)) == "00"
    assert till.flags(claim(100, 1)) == "11" and till.end(0) == "00"
    assert till.host.disputes(TERMINAL) == [] and len(till.host.settled(TERMINAL)) == 1


def test_a_batch_that_nobody_knows_and_a_terminal_that_has_not_signed_on_are_refused(till):
    assert till.settle(NOTHING, name="000009")[39] == "77" == till.upload(Item("00", "000001", CARD, 1), name="000009")
    assert till.end(0, name="000009") == "77"
    assert till.upload(Item("00", "000001", CARD, 1)) == "22" == till.end(0), "no totals came before"
    till.ask("0820", {11: till.next_trace(), 60: unionpay.management(till.batch, unionpay.SIGN_OFF)}, mac=False)
    assert till.settle(NOTHING)[39] == "77"


@pytest.mark.parametrize("text", ["1", "01" + "0" * 28, "99" + "0" * 40])
def test_fields_that_are_none_are_refused(till, text):
    private = {60: unionpay.management(till.batch, "201")}
    assert till.ask("0500", {11: till.next_trace(), 48: text[:30]} | private, mac=False)[39] == "30"
    till.settle(NOTHING)
    assert till.ask("0320", {11: till.next_trace(), 48: text} | private, mac=False)[39] == "30"


def test_a_person_may_have_the_totals_differ_or_be_in_error(till):
    till.sell(100)
    till.acquirer.rules.add("next on settlement unbalance")
    assert till.flags(claim(100, 1)) == "21"
    till.acquirer.rules.add("next on settlement settle-error")
    assert till.flags(claim(100, 1)) == "33" and till.flags(claim(100, 1)) == "11"
    till.books.add_card({"pan": "4761739001010028", "expiry": "3012", "sequence": "1", "pin": "1", "balance_fen": 5})
    till.acquirer.rules.add("always on settlement unbalance")
    assert till.flags(NOTHING, claim(1, 1)) == "22", "the half that the terminal has something in is the one that is bent"
    assert str(parse("always on batch-list,batch-chip,batch-notice,batch-end silence"))


def test_the_books_of_a_merchant_do_not_move_by_a_settlement(till):
    till.sell(100)
    before = till.books.takings(MERCHANT)
    till.flags(claim(1, 1))
    till.upload(Item("00", "999999", CARD, 12345))
    till.end(1, "202")
    assert till.books.takings(MERCHANT) == before == 100
