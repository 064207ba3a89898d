"""Five hundred of the transactions of `tests.campaign_fuzz`: whole kernels, and the whole terminal, with cards that lie."""

from random import Random

import pytest

from tests import campaign_fuzz, fuzz

FIRST, COUNT, PARTS = 1, 500, 5


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_a_card_says_every_transaction_ends_as_it_must(part):
    size = COUNT // PARTS
    ends, wrong = campaign_fuzz.campaign(range(FIRST + part * size, FIRST + (part + 1) * size), "", tell=lambda text: None)
    assert wrong == {}
    assert sum(ends.values()) == size and len({kind for kind, _ in ends}) == len(fuzz.KINDS)


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_a_seed_is_the_same_transaction_each_time(kind):
    assert fuzz.run(7, kind) == fuzz.run(7, kind)


def test_a_transaction_that_goes_wrong_is_named_by_its_seed(monkeypatch):
    def broken(chance):
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setitem(fuzz.KINDS, "stripe", (broken, 1))
    _, wrong = campaign_fuzz.campaign(range(3, 5), "stripe", tell=lambda text: None)
    assert sorted(wrong) == [3, 4] and wrong[3].startswith("ZeroDivisionError division, test_fuzz_kernels.py:")


def test_a_liar_has_every_lie_and_each_changes_the_answer():
    answer = bytes.fromhex("770C 8202 7C00 9406 080101009000 9000")
    seen = set()
    for seed in range(200):
        chance = Random(seed)
        liar = fuzz.Liar(chance, fuzz.made(fuzz.UNIONPAY[0]), fuzz.made(fuzz.FULL[0]))
        for name in sorted(set(liar.LIES)):
            if getattr(liar, name)(answer) != answer:
                seen.add(name)
    assert seen == set(fuzz.Liar.LIES)
