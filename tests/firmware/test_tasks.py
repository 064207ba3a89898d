"""Tasks: tickets, timers, turns, and what is told to a port whose answer nobody waits for any more."""

import pytest

from firmware.events import CARD_FOUND, CARD_SWIPED, DEADLINE, LINK_DATA, LINK_DOWN, LINK_UP, VAULT_DONE, Event
from firmware.tasks import Ask, Begin, Close, Hold, More, Pause, Tasks, Tell, Turn
from firmware.tickets import Tickets


class Port:
    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name,) + arguments)


class Bench:
    def __init__(self):
        self.time = 0
        self.ports = {"vault": Port(), "link": Port(), "stripe": Port()}
        self.tickets = Tickets()
        self.tasks = Tasks(self.ports, self.tickets, lambda: self.time)
        self.results = []
        self.told = []

    def start(self, generator):
        return self.tasks.start(generator, self.results.append, self.told.append)

    def post(self, name, ticket, value=None):
        owner = self.tickets.owner(ticket)
        if owner is not None:
            self.tasks.resume(owner, Event(name, ticket, value))

    def later(self, ms):
        self.time += ms
        event = self.tasks.take_due()
        while event is not None:
            self.tasks.resume(self.tickets.owner(event.ticket), event)
            event = self.tasks.take_due()


@pytest.fixture
def bench():
    return Bench()


def one(*arguments, **more):
    event = yield Ask(*arguments, **more)
    return event.name, event.value


def test_an_answer_ends_the_wait_and_closes_the_ticket(bench):
    bench.start(one("vault", "mac", b"x"))
    assert bench.ports["vault"].calls == [("mac", 1, b"x")]
    bench.post(VAULT_DONE, 1, b"m")
    assert bench.results == [(VAULT_DONE, b"m")]
    bench.post(VAULT_DONE, 1, b"again")
    assert bench.results == [(VAULT_DONE, b"m")] and bench.tickets.dropped == 1 and len(bench.tickets) == 0


def test_what_is_not_answered_in_time_is_closed_and_the_port_is_told(bench):
    bench.start(one("link", "connect", {}, within_ms=500, keep=True))
    bench.later(499)
    assert bench.results == []
    bench.later(1)
    assert bench.results == [(DEADLINE, None)]
    (asked, ticket, _), closed = bench.ports["link"].calls
    assert asked == "connect" and closed == ("close", ticket)
    bench.post(LINK_UP, ticket)
    assert bench.tickets.dropped == 1


def test_a_ticket_that_is_kept_gives_more(bench):
    def talk():
        event = yield Ask("link", "connect", {}, keep=True)
        ticket = event.ticket
        first = yield More(ticket, within_ms=100)
        second = yield More(ticket, within_ms=100)
        yield Close(ticket)
        return first.value, second.name

    bench.start(talk())
    bench.post(LINK_UP, 1)
    bench.post(LINK_DATA, 1, b"abc")
    bench.later(100)
    assert bench.results == [(b"abc", DEADLINE)]
    assert bench.ports["link"].calls[-1] == ("close", 1)


def test_a_connection_that_ends_while_its_task_does_something_else_says_so_when_it_is_looked_at(bench):
    def work():
        event = yield Ask("link", "connect", keep=True)
        link = event.ticket
        yield Ask("vault", "mac")
        event = yield More(link, within_ms=100)
        yield Close(link)
        return event.name, event.value

    bench.start(work())
    bench.post(LINK_UP, 1)
    bench.post(LINK_DATA, 1, b"not looked at")
    bench.post(LINK_DOWN, 1, "closed")
    bench.post(VAULT_DONE, 2)
    assert bench.results == [(LINK_DOWN, "closed")] and bench.ports["link"].calls[-1] == ("close", 1)


def test_a_cancelled_task_closes_what_it_holds_and_never_reports(bench):
    task = bench.start(one("vault", "enter_pin", "pan", 4, 6, keep=True))
    bench.tasks.cancel(task)
    assert bench.ports["vault"].calls[-1] == ("stop", 1) and bench.results == [] and len(bench.tickets) == 0


def test_turns_are_taken_in_order_and_passed_on_at_the_end(bench):
    log = []

    def worker(name):
        yield Turn("host")
        log.append(name + " begins")
        yield Pause(10)
        log.append(name + " ends")

    bench.start(worker("a"))
    second = bench.start(worker("b"))
    bench.start(worker("c"))
    bench.tasks.cancel(second)
    assert log == ["a begins"]
    bench.later(10)
    bench.later(10)
    assert log == ["a begins", "a ends", "c begins", "c ends"]


def test_a_task_that_holds_a_turn_and_fails_passes_it_on(bench):
    def bad():
        yield Turn("host")
        yield Pause(1)
        raise KeyError("defect")

    def good():
        yield Turn("host")
        return "went"

    bench.start(bad())
    bench.start(good())
    with pytest.raises(KeyError):
        bench.later(1)
    assert bench.results == ["went"]


def test_telling_does_not_wait(bench):
    def talker():
        yield Tell(1)
        yield Tell(2)
        return 3

    bench.start(talker())
    assert bench.told == [1, 2] and bench.results == [3]


def test_a_ticket_that_was_not_answered_in_time_is_closed_while_its_task_goes_on(bench):
    def tries():
        yield Ask("link", "connect", {}, within_ms=500, keep=True)
        yield Pause(1000)

    bench.start(tries())
    bench.later(500)
    (_, ticket, _), closed = bench.ports["link"].calls
    assert closed == ("close", ticket) and bench.results == []
    bench.later(1000)
    assert bench.results == [None] and len(bench.ports["link"].calls) == 2


def test_only_a_task_that_holds_is_answered_and_once(bench):
    def asks():
        said = yield Hold()
        event = yield Pause(10)
        return said, event.name

    task = bench.start(asks())
    assert bench.tasks.answer(task, "yes") and not bench.tasks.answer(task, "no")
    bench.later(10)
    assert bench.results == [("yes", DEADLINE)] and not bench.tasks.answer(task, "late") and not bench.tasks.answer(None, "")


def test_a_port_is_heard_only_with_what_it_may_say_and_told_when_nobody_listens(bench):
    def waits():
        ticket = yield Begin("stripe", "activate")
        event = yield More(ticket)
        return event.name

    bench.start(waits())
    bench.post(CARD_FOUND, 1)
    assert bench.results == [] and bench.tickets.dropped == 1
    bench.post(CARD_SWIPED, 1, b"text")
    assert bench.results == [CARD_SWIPED] and bench.ports["stripe"].calls == [("activate", 1), ("cancel", 1)]
