"""The supervisor's word: his password inside the operator's session."""

from firmware.states.common import Notice, Secret
from firmware.states.login import LockedOut
from firmware.states.step import ENDS, Cancelled
from firmware.transactions import SUPERVISOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.draft import Draft
    from firmware.machine import State
    from firmware.terminal import Terminal


FIRST = ("EnterAmount", "FindOriginal", "TypeReference", "TypeCode")  # the steps that a transaction may begin with


class AskSupervisor(Secret):
    """The supervisor's password, inside the operator's session."""

    step = SUPERVISOR
    leads_to = ENDS + FIRST + ("LockedOut", "Notice")
    title = "supervisor.title"

    def __init__(self) -> None:
        super().__init__("00")

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return terminal.operator != "00"

    @classmethod
    def of(cls, draft: "Draft") -> "State":
        return cls()

    def enter(self) -> "State | None":
        if self.terminal.operators.left_ms("00"):
            return LockedOut("00")
        return super().enter()

    def on_right(self) -> "State | None":
        terminal = self.terminal
        if terminal.parameter("operators.force_change") and terminal.vault.is_factory(self.operator):
            return Notice(self.title, (("login.operator", ("", self.operator)), "password.forced"), style="alert", sound="error")
        return self.approved()

    def approved(self) -> "State | None":
        """His password was right: where that leads."""
        return self.terminal.after(SUPERVISOR)

    def on_cancel(self) -> "State | None":
        return Cancelled()


class Release(AskSupervisor):
    """The supervisor lets one transaction pass although a reversal is unresolved."""

    leads_to = ENDS + FIRST + ("AskSupervisor", "PresentCard", "EnterPin", "Authorise", "ConfirmAmount", "LockedOut", "Notice")
    title = "release.title"

    def approved(self) -> "State | None":
        terminal = self.terminal
        draft = terminal.open_draft
        draft.released = True
        return terminal.once_more(0) if draft.card is not None or draft.pan else terminal.first(draft)
