"""The settlement behind the pages: at its time of day, and the one that was interrupted, until it is over.

Once a minute somebody looks: when the terminal is idle (log-in page, lock, menu; no transaction open), and a settlement is due
or stands at a step that was not answered, it goes on. A page that settles takes over (`stop`): the step is on disk. What came
of it is shown, and its slip printed, when the next person comes to the menu.

By the clock a batch is settled once a day, only when it holds something, and only while the date can be trusted.
"""

from firmware.host.settle import Outcome, settle
from firmware.ports import StoreError
from firmware.tasks import Pause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.tasks import Task, Work
    from firmware.terminal import Terminal

MINUTE_MS = 60_000
AGAIN_MS = 600_000  # after a try that came to nothing
IDLE = ("Login", "Locked", "Menu")  # states


class Nightly:
    """Watches over the settlement of one terminal."""

    def __init__(self, terminal: "Terminal") -> None:
        self._terminal = terminal
        self._watching: Task | None = None
        self._task: Task | None = None
        self._tried_ms = -AGAIN_MS

    def watch(self) -> None:
        """Looks once a minute from now on, if it does not already."""
        if self._watching is None or self._watching.ended:
            self._watching = self._terminal.tasks.start(self._watch())

    def stop(self) -> None:
        """Nothing goes on behind the pages any more."""
        if self._task is not None and not self._task.ended:
            self._terminal.tasks.cancel(self._task)
            self._tried_ms = self._terminal.now_ms()

    def _watch(self) -> "Work[None]":
        terminal = self._terminal
        while terminal.parameter("settle.time") or terminal.settlement.running is not None:
            try:
                if self._wanted():
                    self._task = terminal.tasks.start(settle(terminal, True), self._settled)
            except StoreError:
                terminal.log("settlement by the clock: the store refuses")
            yield Pause(MINUTE_MS)

    def _wanted(self) -> bool:
        """Whether to begin, or to go on, now."""
        terminal = self._terminal
        if self._task is not None and not self._task.ended or terminal.vault.state != "ready":
            return False
        due = self._due()
        if not due and terminal.settlement.running is None:
            return False
        idle = terminal.draft is None and type(terminal.machine.state).__name__ in IDLE
        return idle and terminal.now_ms() - self._tried_ms >= AGAIN_MS

    def _due(self) -> bool:
        terminal = self._terminal
        time, now_s = terminal.parameter("settle.time"), terminal.calendar.now_s()
        if not terminal.calendar.trusted or not terminal.settlement.is_due(time, now_s):
            return False
        if terminal.ledger.in_batch():
            return True
        terminal.settlement.done_by_clock(time, now_s)
        return False

    def _settled(self, outcome: Outcome) -> None:
        terminal = self._terminal
        self._tried_ms = terminal.now_ms()
        if outcome.status == "settled":
            try:
                terminal.settlement.done_by_clock(terminal.parameter("settle.time"), terminal.calendar.now_s())
            except StoreError:
                terminal.log("settlement by the clock: its day cannot be written")
        else:
            terminal.log("settlement behind the pages: %s %s" % (outcome.status, outcome.why or outcome.code))
