"""The load that the acquirer is measured under: right to the last digit, and paced. No figure is looked at."""

import pytest

from tools.bench import acquirer
from tools.bench.acquirer import Load, Terminal, load


@pytest.mark.parametrize("tls", [False, True])
def test_every_sale_of_the_load_is_approved_and_counted(tls):
    measured = load(3, 0.1, 0.4, tls)
    assert measured.asked == measured.answered == len(measured.answer_ms) == 12
    assert measured.cpu_s > 0 and measured.p99_ms > 0 and measured.took_s >= 0.3


def test_a_sale_that_is_not_approved_is_no_figure(monkeypatch):
    monkeypatch.setattr(acquirer, "PIN", "123456")
    card = Terminal.card
    monkeypatch.setattr(Terminal, "card", lambda self: card(self) | {"pin": "654321"})
    with pytest.raises(LookupError, match="55"):
        load(1, 0.1, 0.1)


def test_each_terminal_has_a_card_and_a_number_of_its_own():
    terminals = [Terminal(place) for place in range(25)]
    assert len({terminal.pan for terminal in terminals}) == len({terminal.number for terminal in terminals}) == 25
    assert [terminals[place].merchant[-4:] for place in (0, 9, 10, 24)] == ["0001", "0001", "0002", "0003"]


def test_the_cost_of_a_sale_is_that_of_those_that_were_answered():
    assert Load(4, 2, [1.0, 9.0], 1.0, 0.004).cpu_ms_a_sale == 2.0
    assert Load(4, 0, [], 1.0, 0.004).p99_ms == float("inf")
