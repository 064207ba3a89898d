"""What takes time, written as if it did not.

A task is a generator. It yields what it wants and is sent what came of it, so that a conversation with a host,
a card or a printer reads from top to bottom, and yet nothing in the firmware waits:

    Ask(port, method, args)   calls `port.method(ticket, *args)`; the answer is the Event that carries the ticket
    Begin(port, method, args) the same, answered at once with the ticket, which stays open: to ask several at a time
    More(ticket)              the next Event on a ticket that is kept open; of several tickets, whichever comes first; a
                              connection that has ended in the meantime says so at once
    Pause(ms)                 a DEADLINE event after that time
    Tell(value)               tells the owner how far it is; answered at once with None
    Hold()                    what the owner says next (`Tasks.answer`)
    Close(ticket)             done with a ticket that an Ask kept open
    Done(name)                gives such a turn back before the task ends
    Turn(name)                the only task that holds this name goes on; the others stand in line, until it ends

Ask and More take `within_ms`: when nothing came by then the answer is the event DEADLINE. A ticket is closed
after its answer unless the Ask says `keep`, and always when the Ask was not answered in time; what is open when the
task ends or is cancelled is closed, and the port is told (`CLOSERS`). A task that is cancelled sees GeneratorExit at its yield.

A task is bound to no state: what must survive a power cut is in the ledger, never in a task.
"""

from heapq import heappop, heappush

from firmware.events import (
    CARD_FOUND,
    CARD_GONE,
    CARD_LOST,
    CARD_PROBLEM,
    CARD_REPLY,
    CARD_SWIPED,
    DEADLINE,
    LINK_DATA,
    LINK_DOWN,
    LINK_STEP,
    LINK_UP,
    MODEM_DONE,
    MODEM_FAILED,
    PRINT_DONE,
    PRINT_STOPPED,
    SECRET_READY,
    SECRET_STOPPED,
    SECRET_TYPED,
    VAULT_DONE,
    VAULT_REFUSED,
    Event,
)
from firmware.tickets import Tickets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")
    Want: TypeAlias = "Ask | Begin | More | Pause | Close | Tell | Hold | Turn | Done"
    Work: TypeAlias = Generator[Want, Any, T]  # the generator of a task that ends with a T; it is sent events, mostly

# What a port may answer. Anything else on its ticket is dropped and counted, as an answer to a closed one is.
ANSWERS = {
    "contactless": (CARD_FOUND, CARD_PROBLEM, CARD_REPLY, CARD_LOST, CARD_GONE),
    "chip": (CARD_FOUND, CARD_PROBLEM, CARD_REPLY, CARD_LOST, CARD_GONE),
    "stripe": (CARD_SWIPED,),
    "vault": (SECRET_TYPED, SECRET_READY, SECRET_STOPPED, VAULT_DONE, VAULT_REFUSED),
    "link": (LINK_STEP, LINK_UP, LINK_DATA, LINK_DOWN),
    "modem": (MODEM_DONE, MODEM_FAILED),
    "printer": (PRINT_DONE, PRINT_STOPPED),
}

# How a port learns that nobody listens any more.
CLOSERS = {"link": "close", "contactless": "cancel", "chip": "cancel", "stripe": "cancel", "vault": "stop"}


class Ask:
    """Calls `port.method(ticket, *args)`; answered by the Event that carries the ticket.

    port       a name of ANSWERS: the ports whose methods take a ticket
    within_ms  milliseconds until DEADLINE answers in its place; 0: waits for ever
    keep       the ticket stays open behind the answer, for `More`
    """

    def __init__(self, port: str, method: str, *args: object, within_ms: int = 0, keep: bool = False) -> None:
        self.port = port
        self.method = method
        self.args = args
        self.within_ms = within_ms
        self.keep = keep


class Begin:
    """Calls `port.method(ticket, *args)`; answered at once with the ticket, which stays open for `More`."""

    def __init__(self, port: str, method: str, *args: object) -> None:
        self.port = port
        self.method = method
        self.args = args


class More:
    """Answered by the next Event on a ticket that is kept open, or on any of several. within_ms and keep as of Ask."""

    def __init__(self, ticket: "int | tuple[int, ...]", within_ms: int = 0, keep: bool = True) -> None:
        self.tickets: tuple[int, ...] = ticket if isinstance(ticket, tuple) else (ticket,)
        self.within_ms = within_ms
        self.keep = keep


class Pause:
    """Answered by DEADLINE after `ms` milliseconds."""

    def __init__(self, ms: int) -> None:
        self.ms = ms


class Close:
    """Done with a ticket that an Ask kept open. Answered at once, with None."""

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket


class Tell:
    """Gives the owner a value while the task goes on. Answered at once, with None."""

    def __init__(self, value: object) -> None:
        self.value = value


class Hold:
    """Answered with what the owner says next, by `Tasks.answer`. No event ends it: the page that is asked has its own limit."""


class Turn:
    """Answered with None when no other task holds the name; held until this one ends."""

    def __init__(self, name: str) -> None:
        self.name = name


class Done:
    """Gives a turn back. Answered at once, with None."""

    def __init__(self, name: str) -> None:
        self.name = name


class Task:
    """One running generator and the tickets it holds."""

    def __init__(self, generator: "Work[Any]", done: "Callable | None", told: "Callable | None") -> None:
        self.generator = generator
        self.done = done
        self.told = told
        self.tickets: dict[int, Ask | Begin] = {}  # ticket -> what opened it
        self.waiting: tuple[int, ...] = ()  # the tickets whose event resumes it
        self.held = False  # it waits for its owner
        self.timer = 0
        self.keep = False
        self.fresh = False  # it waits for the first answer to an Ask
        self.ended_links: dict[int, Event] = {}  # ticket -> how a connection that it keeps has ended while it did not look
        self.turns: list[str] = []
        self.ended = False


class Tasks:
    """Runs tasks: gives them tickets, timers and turns, and hands them their events."""

    def __init__(self, ports: "dict[str, Any]", tickets: Tickets, now_ms: "Callable[[], int]") -> None:
        self.ports = ports
        self.tickets = tickets
        self.now_ms = now_ms
        self._timers: list[tuple[int, int]] = []  # (due, ticket)
        self._lines: dict[str, list[Task]] = {}  # turn name -> tasks, the first holds it

    def start(self, generator: "Work[Any]", done: "Callable | None" = None, told: "Callable | None" = None) -> Task:
        """Runs the generator to its first wait. `done(result)` is called when it returns, `told(value)` for each Tell."""
        task = Task(generator, done, told)
        self._step(task, None)
        return task

    def cancel(self, task: "Task | None") -> None:
        """Ends a task where it waits and closes its tickets; `done` is not called. None and ended tasks are let be."""
        if task is not None and not task.ended:
            task.ended = True
            task.generator.close()
            self._tidy(task)

    def timer(self, owner: object, ms: int) -> int:
        """A ticket that gets DEADLINE after `ms`. Close the ticket to take it back."""
        ticket = self.tickets.open(owner)
        heappush(self._timers, (self.now_ms() + ms, ticket))
        return ticket

    def next_due(self) -> "int | None":
        """When the earliest live timer is due, in ticks; None when there is none."""
        timers = self._timers
        while timers and not self.tickets.is_open(timers[0][1]):
            heappop(timers)
        return timers[0][0] if timers else None

    def take_due(self) -> "Event | None":
        """The DEADLINE event of a timer that is due now, or None."""
        due = self.next_due()
        if due is None or due > self.now_ms():
            return None
        return Event(DEADLINE, heappop(self._timers)[1], None)

    def resume(self, task: Task, event: Event) -> None:
        """Hands a task an event that one of its tickets got."""
        if event.ticket == task.timer:
            known = event.name == DEADLINE
        else:
            ask = task.tickets.get(event.ticket)
            known = ask is not None and event.name in ANSWERS[ask.port]
        if not known:
            self.tickets.dropped += 1
            return
        if event.ticket != task.timer and event.ticket not in task.waiting:
            if event.name == LINK_DOWN:
                task.ended_links[event.ticket] = event  # nothing else will come: it is told when it looks again
            return  # something more on a ticket that it keeps but does not look at now
        tickets, task.waiting = task.waiting, ()
        if task.timer:
            self.tickets.close(task.timer)
            task.timer = 0
        if not task.keep or (task.fresh and event.name == DEADLINE):
            for ticket in tickets:
                self._close(task, ticket)
        self._step(task, event)

    def answer(self, task: "Task | None", value: object) -> bool:
        """Says something to a task that holds; False, and nothing happens, when there is none that does."""
        if task is None or task.ended or not task.held:
            return False
        task.held = False
        self._step(task, value)
        return True

    def _step(self, task: Task, value: "Any") -> None:
        while not task.ended:
            try:
                want = task.generator.send(value)
            except StopIteration as stop:
                task.ended = True
                self._tidy(task)
                if task.done:
                    task.done(stop.value)
                return
            except Exception:
                task.ended = True
                self._tidy(task)  # whoever waits for its turn must not wait for ever
                raise
            value = None
            if isinstance(want, Close):
                self._close(task, want.ticket)
                continue
            if isinstance(want, Tell):
                if task.told:
                    task.told(want.value)
                continue
            if isinstance(want, Begin):
                value = self._open(task, want)
                continue
            if isinstance(want, Hold):
                task.held = True
                return
            if isinstance(want, Done):
                self._give_back(task, want.name)
                continue
            if isinstance(want, More) and task.ended_links:
                ended = [task.ended_links[ticket] for ticket in want.tickets if ticket in task.ended_links]
                if ended:
                    value = ended[0]
                    continue
            if isinstance(want, Turn):
                line = self._lines.setdefault(want.name, [])
                if task not in line:
                    line.append(task)
                    task.turns.append(want.name)
                if line[0] is not task:
                    return
                continue
            self._wait(task, want)
            return

    def _wait(self, task: Task, want: "Ask | More | Pause") -> None:
        if isinstance(want, Pause):
            task.timer = self.timer(task, want.ms)
            return
        if want.within_ms:
            task.timer = self.timer(task, want.within_ms)
        task.keep = want.keep
        task.fresh = isinstance(want, Ask)
        if isinstance(want, More):
            task.waiting = want.tickets
            return
        ticket = self.tickets.open(task)
        task.waiting = (ticket,)
        self._call(task, ticket, want)

    def _open(self, task: Task, want: Begin) -> int:
        ticket = self.tickets.open(task)
        self._call(task, ticket, want)
        return ticket

    def _call(self, task: Task, ticket: int, want: "Ask | Begin") -> None:
        task.tickets[ticket] = want
        getattr(self.ports[want.port], want.method)(ticket, *want.args)

    def _close(self, task: Task, ticket: int) -> None:
        self.tickets.close(ticket)
        ask = task.tickets.pop(ticket, None)
        task.ended_links.pop(ticket, None)
        if ask is not None and ask.port in CLOSERS:
            getattr(self.ports[ask.port], CLOSERS[ask.port])(ticket)

    def _tidy(self, task: Task) -> None:
        if task.timer:
            self.tickets.close(task.timer)
            task.timer = 0
        for ticket in list(task.tickets):
            self._close(task, ticket)
        for name in list(task.turns):
            self._give_back(task, name)

    def _give_back(self, task: Task, name: str) -> None:
        if name not in task.turns:
            return
        task.turns.remove(name)
        line = self._lines[name]
        held = line[0] is task
        line.remove(task)
        if held and line:
            self._step(line[0], None)
