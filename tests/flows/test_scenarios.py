"""Each row of `scenarios`: the pages come as it says, the bank has got what it says, and the books agree."""

from collections import Counter as Count

import pytest

from tests.flows import scenarios
from tests.flows.scenarios import INSERT, ROWS, SWIPE, TAP, walked

WAYS = {"contact": INSERT, "contactless": TAP, "stripe": SWIPE}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_transaction_comes_to_what_its_row_says(row):
    shop = walked(row)
    last = shop.seen[-1] if shop.seen else None
    assert (last.why if last else "") == row.why
    if last is not None:
        assert (last.tvr, last.tsi, last.cvmr, last.response) == (row.tvr, row.tsi, row.cvmr, row.response)
    if row.said is not None:
        assert shop.heard == row.said
    assert "".join(record["phase"] for record in shop.made) == row.phase
    assert [words for words in row.slip if words not in shop.paper.replace("\n", "")] == []
    approved = [record for record in shop.terminal.ledger.newest(100) if record["phase"] == "approved"]
    assert shop.paper.count("MERCHANT COPY") == len(approved)
    assert shop.books_agree()


def test_every_card_of_the_shelf_is_taken_in_every_way_it_is_meant_for():
    shelf = scenarios.Shop().shelf
    wanted = {(name, WAYS[interface]) for name in shelf.names for interface in shelf.card(name).interfaces}
    assert wanted - {(row.card, row.way) for row in ROWS} == set()


def test_no_two_rows_have_the_same_name():
    assert [name for name, times in Count(row.name for row in ROWS).items() if times > 1] == []
