"""The loop: the watchdog is fed whatever happens, a clock that was set is noticed, the end is told."""

import pytest

from drivers import board
from firmware import __main__ as entry
from firmware.events import STOP, Event
from firmware.runtime import run
from tests.flows.counter import Counter


class Inbox:
    """Time passes while somebody waits; `plans` happen at their wait, the last of which switches off."""

    def __init__(self, counter, **plans):
        self.counter = counter
        self.plans = plans
        self.waits = []

    def wait(self, ms):
        self.waits.append(ms)
        self.counter.time_ms += 60_000 if ms is None else ms
        plan = self.plans.get("at_%d" % len(self.waits))
        return plan() if plan else None


class Watchdog:
    interval_ms = 500

    def __init__(self):
        self.told = []

    def ready(self):
        self.told.append("ready")

    def feed(self):
        self.told.append("fed")

    def stopping(self):
        self.told.append("stopping")


@pytest.fixture
def counter():
    counter = Counter()
    counter.log_in()
    counter.run(3_000)
    return counter


def off():
    return Event(STOP, 0, None)


def test_the_watchdog_is_told_of_the_start_fed_in_time_and_told_of_the_end(counter):
    inbox, watchdog = Inbox(counter, at_40=off), Watchdog()
    run(counter.machine, inbox, counter.clock, watchdog)
    assert watchdog.told == ["ready"] + ["fed"] * 40 + ["stopping"]
    assert all(ms is not None and ms <= Watchdog.interval_ms for ms in inbox.waits)


def test_without_a_watchdog_the_loop_sleeps_until_something_is_due(counter):
    inbox = Inbox(counter, at_3=off)
    run(counter.machine, inbox, counter.clock)
    assert max(inbox.waits) > 60_000


@pytest.mark.parametrize("jump_ms", [3_600_000, -86_400_000])
def test_a_clock_that_somebody_sets_changes_neither_our_time_nor_our_trust_in_it(counter, jump_ms):
    before = counter.terminal.calendar.now_s()
    assert counter.terminal.calendar.trusted
    run(counter.machine, Inbox(counter, at_2=lambda: counter.clock.jump(jump_ms), at_4=off), counter.clock, Watchdog())
    assert 0 <= counter.terminal.calendar.now_s() - before <= 3
    assert not counter.terminal.calendar.trusted


@pytest.mark.parametrize("name", board.names())
def test_each_board_is_in_order(name, capsys):
    assert entry.main(["--board", name, "--check"]) == 0
    assert "boards/%s.py is in order" % name in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ['{"pin.free_fen": -1}', '{"no.such": 1}'])
def test_a_parameter_that_a_board_sets_wrongly_is_named_with_its_file(wrong, tmp_path, monkeypatch, capsys):
    import boards

    name = "wrong_%d" % len(wrong)
    good = open(board.FOLDER + "/emulator.py", encoding="utf-8").read()
    (tmp_path / (name + ".py")).write_text(good + '\nBOARD["parameters"] = %s\n' % wrong, encoding="utf-8")
    monkeypatch.setattr(board, "FOLDER", str(tmp_path))
    monkeypatch.setattr(boards, "__path__", [str(tmp_path)])
    assert entry.main(["--board", name, "--check"]) == 2
    said = capsys.readouterr().err
    assert "boards/%s.py: parameters." % name in said and wrong.split('"')[1] in said
