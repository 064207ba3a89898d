"""The amount, typed in fen: 1 2 3 4 is 12.34.

Where the original tells what is likely (the rest of a refund, what is held) that stands there to begin with, and the first
digit takes its place. A digit that would make too much is not taken, and the shorter amount has to be confirmed twice.
"""

from firmware.money import yuan
from firmware.screens import Screen
from firmware.states.common import OK_CANCEL
from firmware.states.step import ENDS, Step
from firmware.transactions import AMOUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.draft import Draft
    from firmware.machine import State
    from firmware.screens import Wording
    from firmware.terminal import Terminal


class EnterAmount(Step):
    """An entry of fen, up to `sale.maximum_fen`."""

    step = AMOUNT
    leads_to = ENDS + ("PresentCard", "PickPeriods", "TypeNumber", "ConfirmAmount", "EnterPin", "Authorise")

    def __init__(self) -> None:
        self.refused: Wording | None = None
        self.fresh = True  # nothing was typed yet
        self.dropped = False  # a digit was not taken: what stands there is not what was typed

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return not draft.fixed

    def screen(self) -> Screen:
        return Screen(self.draft.row.title, (self.refused or "amount.prompt",), big=yuan(self.draft.fen), keys=OK_CANCEL)

    def on_digit(self, digit: int) -> None:
        self._take(self._begun() * 10 + digit)

    def on_double_zero(self) -> None:
        self._take(self._begun() * 100)

    def _begun(self) -> int:
        """What a digit is put behind."""
        return 0 if self.fresh else self.draft.fen

    def _most(self) -> int:
        """The largest amount that this transaction may have."""
        draft, p = self.draft, self.terminal.parameter
        most: int = p("refund.maximum_fen" if draft.row.holds == "refund" else "sale.maximum_fen")
        return min(most, draft.most_fen) if draft.most_fen else most

    def _take(self, fen: int) -> None:
        most = self._most()
        self.fresh = False
        if fen <= most:
            self.draft.fen = fen
            self.refused = None
        else:
            self.dropped = True
            self._refuse(("amount.over", ("", yuan(most))))

    def _refuse(self, text: "Wording") -> None:
        self.refused = text
        self.terminal.sound("error")

    def on_clear(self) -> None:
        self.draft.fen = 0
        self.fresh = self.dropped = False
        self.refused = None

    def on_back(self) -> None:
        self.draft.fen //= 10
        self.fresh = self.dropped = False
        self.refused = None

    def on_confirm(self) -> "State | None":
        if not self.draft.fen:
            self._refuse("amount.zero")
            return None
        if self.draft.fen > self._most():
            self._refuse(("amount.over", ("", yuan(self._most()))))
            return None
        if self.dropped:
            self.dropped = False
            self._refuse("confirm.prompt")
            return None
        return self.next()
