"""A step of a transaction: a state that knows its draft and how to go on."""

from firmware.machine import State
from firmware.screens import Screen
from firmware.states.common import HOME, OK, home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.draft import Draft
    from firmware.terminal import Terminal

# Where any step may lead: the states of all steps, as the rows order them, and the pages that end a transaction.
ENDS = HOME + ("Cancelled",)


class Step(State):
    """step: its name, one of those in `transactions`. The transaction is `draft`."""

    step = ""

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        """Whether this transaction needs the step."""
        return True

    @classmethod
    def of(cls, draft: "Draft") -> "State":
        """The state for this draft."""
        return cls()

    @property
    def draft(self) -> "Draft":
        """The transaction that this is a step of."""
        return self.terminal.open_draft

    def next(self) -> "State | None":
        """The next step. The table of steps names every step's state, so it is looked up late."""
        return self.terminal.after(self.step)

    def on_cancel(self) -> "State | None":
        return Cancelled()


class Cancelled(State):
    """Given up before anything was sent: says that no money was taken."""

    leads_to = HOME
    deadline_ms = 3_000

    def screen(self) -> Screen:
        return Screen("cancelled.title", ("cancelled.what", self.terminal.money("money.not_taken")), keys=OK)

    def on_confirm(self) -> "State | None":
        return home(self.terminal)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)
