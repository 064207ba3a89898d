"""The customer sees card and amount once more and confirms; by parameter."""

from firmware.money import yuan
from firmware.screens import Screen
from firmware.states.common import OK_CANCEL
from firmware.states.step import ENDS, Step
from firmware.transactions import CONFIRM


class ConfirmAmount(Step):
    step = CONFIRM
    leads_to = ENDS + ("EnterPin", "Authorise")

    @classmethod
    def wanted(cls, terminal, draft):
        return terminal.parameter("sale.confirm_after_tap")

    def screen(self):
        draft = self.draft
        lines = ("confirm.prompt", ("confirm.card", ("", draft.masked)))
        return Screen(draft.row.title, lines, big=yuan(draft.fen), keys=OK_CANCEL)

    def on_confirm(self):
        return self.next()
