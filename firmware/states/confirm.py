"""The customer sees card and amount once more and confirms; by parameter."""

from firmware.emv.outcome import APPROVED
from firmware.money import yuan
from firmware.screens import Screen
from firmware.states.common import OK_CANCEL
from firmware.states.step import ENDS, Step
from firmware.transactions import CONFIRM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.draft import Draft
    from firmware.machine import State
    from firmware.terminal import Terminal


class ConfirmAmount(Step):
    """Card and amount once more, before anything goes to the host."""

    step = CONFIRM
    joins = True
    leads_to = ENDS + ("EnterPin", "Authorise")

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        if draft.card is None:
            return True  # nobody has seen card and amount together
        # What card and terminal have approved between themselves is done: a page could only take it back.
        return terminal.parameter("sale.confirm_after_tap") and draft.card.status != APPROVED

    def screen(self) -> Screen:
        draft = self.draft
        lines = ("confirm.prompt", ("confirm.card", ("", draft.masked)))
        return Screen(draft.row.title, lines, big=yuan(draft.fen), keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        return self.next()
