"""The state machine: run to completion, declared moves, a deadline and a way out everywhere.

Theory of operation
-------------------
The terminal is always in one state. A state (`State`) says what it shows and what it does with what happens;
it does no I/O, reads no clock and knows no pixels. The machine takes one event, gives it to whom it concerns,
follows the moves that result, draws the screen, and only then looks at the next event:

    a key           the state's `on_digit`, `on_confirm`, `on_cancel` ... by the table KEYS
    an answer       the task that holds the ticket; when the task ends, the state's `on_done(result)`
    a deadline      the state's `on_deadline`: by default what cancel does
    a message       kept by the terminal, and shown by the menu
    the network     the screen is drawn anew: it may show what carries the messages
    a part          noted in `terminal.parts`, then `on_part`
    a global event  GLOBAL_HANDLERS, in every state, by the phase of the open transaction

A handler returns None to stay or the State to go to. The move must be declared in `leads_to`; states named in
GLOBAL_MOVES can be reached from anywhere. An undeclared move, or an exception in a handler, raises when the
machine is strict (tests). In the field it leads to the fault page, which says by the phase of the open
transaction what became of the money: what the ledger holds decides, not where the program was. A store that is
full or damaged is no defect: wherever it refuses, the page StoreTrouble says so.

While a state is UNTOUCHABLE (between "sent" and "result written") no key reaches it, and STOP and LOW_POWER wait.

A state that is RESTING lets the panel go dark at its deadline; the next event lights it, and a key that only does
that does nothing else.
"""

from firmware.events import (
    BACK,
    CANCEL,
    CLEAR,
    CLOCK_JUMP,
    CONFIRM,
    DEADLINE,
    DIGITS,
    DOUBLE_ZERO,
    DOWN,
    GLOBAL,
    KEY,
    LOW_POWER,
    NETWORK,
    PART,
    SMS,
    STOP,
    TAMPER,
    Event,
)
from firmware.ports import StoreError
from firmware.screens import Screen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.tasks import Task, Work
    from firmware.terminal import Terminal

KEYS = {
    CONFIRM: "on_confirm",
    CANCEL: "on_cancel",
    CLEAR: "on_clear",
    BACK: "on_back",
    DOWN: "on_down",
    DOUBLE_ZERO: "on_double_zero",
}

# Reached from any state: by a global event or by a fault.
GLOBAL_MOVES = ("Fault", "StoreTrouble", "Tampered", "Stopping", "PowerLow")

MOVES_AT_ONCE = 16  # states entered by one event before it counts as a loop


class UndeclaredMove(Exception):
    """A state tried to lead where it did not say it leads."""


class State:
    """What the terminal shows and does. Subclasses override what concerns them.

    leads_to      names of the states that it may lead to, besides GLOBAL_MOVES
    deadline_ms   milliseconds without a key until `on_deadline`
    untouchable   no key reaches it, STOP and LOW_POWER wait
    resting       the panel goes dark at the deadline
    joins         goes on with the task of the state before it, which speaks to this one from then on
    terminal      the machine's, from before `enter`

    What an `on_` method returns: None to stay, or the state to go to.
    """

    leads_to: "tuple[str, ...]" = ()
    deadline_ms = 60_000
    untouchable = False
    resting = False
    joins = False
    terminal: "Terminal"

    def enter(self) -> "State | None":
        """Called once on entry; may lead on at once."""
        return None

    def leave(self) -> None:
        """Called once on the way out; tasks of the state are already cancelled, unless the next one joins."""

    def screen(self) -> Screen:
        """What it shows now, in keys. Asked after every event, so it must not change anything."""
        return Screen()

    def on_digit(self, digit: int) -> "State | None":
        """A key 0..9."""
        return None

    def on_double_zero(self) -> "State | None":
        """The key 00: by default two zeros."""
        return self.on_digit(0) or self.on_digit(0)

    def on_confirm(self) -> "State | None":
        """The green key."""
        return None

    def on_cancel(self) -> "State | None":
        """The red key."""
        return None

    def on_clear(self) -> "State | None":
        """The yellow key: what was typed goes."""
        return None

    def on_back(self) -> "State | None":
        """One digit, or one page, back."""
        return None

    def on_down(self) -> "State | None":
        """The next page, or the second choice of this one."""
        return None

    def on_deadline(self) -> "State | None":
        """Nobody has pressed a key for `deadline_ms`: by default what cancel does."""
        return self.on_cancel()

    def on_done(self, result: "Any") -> "State | None":
        """The state's task has ended with this result."""
        return None

    def on_told(self, value: "Any") -> "State | None":
        """The state's task says how far it is."""
        return None

    def on_part(self, part: str, state: str) -> "State | None":
        """A part, by its port's name, is now "starting", "ready", "failed" or "gone"."""
        return None

    # What a state may call.
    def run(self, generator: "Work[Any]") -> None:
        """Starts a task of this state, in place of the one it may have."""
        self.terminal.machine.run_for(self, generator)

    def answer(self, value: "Any") -> bool:
        """Answers the task's Hold; False when no task holds."""
        return self.terminal.machine.answer(value)

    def again(self) -> None:
        """Starts the deadline anew."""
        self.terminal.machine.arm(self)


class Machine:
    """Takes a terminal from state to state.

    strict     an undeclared move and a defect in a handler raise instead of leading to the fault page
    state      where it is; None only before `start`
    stopped    it has shut down in good order: no more events
    moves      states entered so far
    """

    state: "State"

    def __init__(self, terminal: "Terminal", strict: bool = False) -> None:
        self.terminal = terminal
        terminal.machine = self
        self.tasks = terminal.tasks
        self.tickets = terminal.tickets
        self.strict = strict
        self.state = None  # type: ignore[assignment]  # every event comes after `start`, which sets it
        self.stopped = False
        self.stop_wanted = False
        self.power_low = False  # noticed, and not yet said
        self.moves = 0
        self._task: Task | None = None
        self._deadline = 0
        self._shown: Screen | None = None
        self._dark = False
        self._goes: State | None = None  # where the handler that ran last wants to go

    # -- the outside
    def start(self, state: State) -> None:
        """Enters the first state and draws it."""
        self._goes = state
        self._follow()
        self._draw()

    def handle(self, event: Event) -> None:
        """One event, to completion: the handler it concerns, the moves that follow, the screen.

        Any event in any state, also answers that come too late: those are dropped. Raises nothing unless strict; then
        UndeclaredMove and whatever a handler raised, but for ports.StoreError, which always has its page.
        """
        if event.name == KEY:
            self._key(event.value)
        elif event.name == PART:
            part, state = event.value
            self.terminal.parts[part] = state
            self._guard(self.state.on_part, part, state)
        elif event.name in GLOBAL:
            self._guard(self._global, event)
        elif event.name == NETWORK:
            self._guard(self.terminal.network_changed)
        elif event.name == SMS:
            self._guard(self.terminal.sms_came, event.value)
        else:
            self._answer(event)
        self._follow()
        if self.power_low and not self.state.untouchable:
            self._guard(self._power_page)
            self._follow()
        if self.stop_wanted and not self.state.untouchable and not self.stopped:
            self._guard(self._make, "Stopping")
            self._follow()
        self._draw()

    def tick(self) -> "int | None":
        """Hands out the deadlines that are due; milliseconds to the next one, None when there is none. Raises as `handle`."""
        while True:
            event = self.tasks.take_due()
            if event is None:
                break
            self.handle(event)
        due = self.tasks.next_due()
        return None if due is None else max(0, due - self.terminal.now_ms())

    # -- for states
    def run_for(self, state: State, generator: "Work[Any]") -> None:
        """Starts a task of `state` in place of the one that runs; what it says and how it ends reach that state, or the one
        that has joined since."""
        self.tasks.cancel(self._task)
        self._task = None
        mine: list[Task] = []

        def heard() -> bool:
            return self._task is mine[0] if mine else self.state is state

        def done(result: "Any") -> None:
            if heard():
                self._task = None
                self._want(self.state.on_done, result)

        def told(value: "Any") -> None:
            if heard():
                self._want(self.state.on_told, value)

        task = self.tasks.start(generator, done, told)
        mine.append(task)
        if not task.ended and self.state is state:
            self._task = task

    def answer(self, value: "Any") -> bool:
        """Answers the Hold of the task that runs; False when none holds."""
        return self.tasks.answer(self._task, value)

    def arm(self, state: State) -> None:
        """Starts the deadline of `state` anew."""
        if self._deadline:
            self.tickets.close(self._deadline)
        self._deadline = self.tasks.timer(self, state.deadline_ms)

    # -- inside
    def _light(self) -> None:
        self._dark = False
        self.terminal.display.wake()
        self.arm(self.state)

    def _key(self, name: str) -> None:
        if self.state.untouchable:
            return
        if self._dark:
            self._light()
            return
        self.terminal.sound("key")
        self.arm(self.state)
        if name in DIGITS:
            self._guard(self.state.on_digit, int(name))
        elif name in KEYS:
            self._guard(getattr(self.state, KEYS[name]))

    def _answer(self, event: Event) -> None:
        owner = self.tickets.owner(event.ticket)
        if owner is None:
            return
        if owner is self:
            if event.name == DEADLINE and event.ticket == self._deadline:
                self.tickets.close(self._deadline)
                self._deadline = 0
                before = self.state
                if before.resting and not self._dark:
                    self._dark = True
                    self.terminal.display.sleep()
                self._guard(before.on_deadline)
                self._follow()
                if self.state is before and not self._deadline:
                    self.arm(before)  # it chose to stay: it gets a new deadline
            return
        self._guard(self.tasks.resume, owner, event)

    def _global(self, event: Event) -> "State | None":
        terminal = self.terminal
        if event.name == TAMPER:
            terminal.vault.wipe()
            terminal.abandon()
            return self._make("Tampered")
        if event.name == STOP:
            self.stop_wanted = True
        elif event.name == LOW_POWER:
            terminal.power = event.value
            self.power_low = event.value <= terminal.parameter("power.stop_percent")
        elif event.name == CLOCK_JUMP:
            terminal.clock_jumped(event.value)
        return None

    def _power_page(self) -> State:
        self.power_low = False
        return self._give_up("PowerLow")

    def _make(self, name: str) -> State:
        return self.terminal.make_state(name)

    def _give_up(self, name: str, *what: str) -> State:
        """The page that ends the open transaction. What the ledger holds decides what it says of the money."""
        arguments = what + (self.terminal.money_state(),)
        page = self.terminal.make_state(name, *arguments)
        self.terminal.abandon()
        return page

    def _want(self, handler: "Callable[[Any], State | None]", value: "Any") -> None:
        """A task ended or spoke, maybe while a handler is running: the move is made when that handler is done."""
        state = handler(value)
        if state is not None:
            self._goes = state

    def _guard(self, handler: "Callable[..., object]", *args: "Any") -> None:
        """Calls a handler and keeps where it wants to go; what it raises leads to the fault page."""
        try:
            result = handler(*args)
            if isinstance(result, State):
                self._goes = result
        except StoreError as trouble:
            self._store_trouble(trouble)
        except Exception as fault:  # any fault in any handler must end on a page, never in a dead terminal
            if self.strict:
                raise
            self._fault(fault)

    def _follow(self) -> None:
        """Makes the moves that are wanted, until none is."""
        count = 0
        while self._goes is not None:
            state, self._goes = self._goes, None
            count += 1
            try:
                self._enter(state, count)
            except StoreError as trouble:
                self._store_trouble(trouble)
            except Exception as fault:  # as above
                if self.strict:
                    raise
                self._fault(fault)
                count = 0

    def _enter(self, state: State, count: int) -> None:
        old = self.state
        name = type(state).__name__
        if count > MOVES_AT_ONCE:
            raise UndeclaredMove("%s is entered again and again" % name)
        if old is not None:
            if name not in old.leads_to and name not in GLOBAL_MOVES:
                raise UndeclaredMove("%s does not lead to %s" % (type(old).__name__, name))
            if not state.joins:
                self.tasks.cancel(self._task)
                self._task = None
            self._leave(old)
        if self._dark:
            self._light()
        self.state = state
        self.moves += 1
        state.terminal = self.terminal
        self.arm(state)
        result = state.enter()
        if result is not None:
            self._goes = result

    def _leave(self, state: State) -> None:
        try:
            state.leave()
        except Exception as fault:  # who cannot even leave is left all the same, or the fault page would never be reached
            if self.strict:
                raise
            self.terminal.report(type(state).__name__, fault)

    def _fault(self, fault: Exception) -> None:
        """The field's way out of a defect: note it, and show the page."""
        where = type(self.state).__name__ if self.state is not None else "start"
        code = self.terminal.report(where, fault)
        if where != "Fault":
            self._goes = self._give_up("Fault", code)

    def _store_trouble(self, trouble: StoreError) -> None:
        """The store refuses: it holds what it held before."""
        kind = type(trouble).__name__
        where = type(self.state).__name__
        self.terminal.log("store: %s in %s" % (kind, where))
        if where != "StoreTrouble":
            self._goes = self._give_up("StoreTrouble", kind)

    def _page(self) -> Screen:
        return self.terminal.texts.resolve(self.state.screen())

    def _draw(self) -> None:
        if self._goes is not None or self.state is None:
            return
        shown: list[Screen] = []
        self._guard(lambda: shown.append(self._page()))
        if not shown:  # a page that cannot be drawn would leave the one before it standing
            self._follow()
            self._guard(lambda: shown.append(self._page()))
        screen = shown[0] if shown else self._shown
        if screen is not None and screen != self._shown:
            self._shown = screen
            self.terminal.display.show(screen)
