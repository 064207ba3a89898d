"""The amount, typed in fen: 1 2 3 4 is 12.34."""

from firmware.money import yuan
from firmware.screens import Screen
from firmware.states.common import OK_CANCEL
from firmware.states.step import ENDS, Step
from firmware.transactions import AMOUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.machine import State
    from firmware.screens import Wording


class EnterAmount(Step):
    """An entry of fen, up to `sale.maximum_fen`."""

    step = AMOUNT
    leads_to = ENDS + ("PresentCard",)

    def __init__(self) -> None:
        self.refused: Wording | None = None

    def screen(self) -> Screen:
        return Screen(self.draft.row.title, (self.refused or "amount.prompt",), big=yuan(self.draft.fen), keys=OK_CANCEL)

    def on_digit(self, digit: int) -> None:
        self._take(self.draft.fen * 10 + digit)

    def on_double_zero(self) -> None:
        self._take(self.draft.fen * 100)

    def _take(self, fen: int) -> None:
        most = self.terminal.parameter("sale.maximum_fen")
        if fen <= most:
            self.draft.fen = fen
            self.refused = None
        else:
            self._refuse(("amount.over", ("", yuan(most))))

    def _refuse(self, text: "Wording") -> None:
        self.refused = text
        self.terminal.sound("error")

    def on_clear(self) -> None:
        self.draft.fen = 0
        self.refused = None

    def on_back(self) -> None:
        self.draft.fen //= 10
        self.refused = None

    def on_confirm(self) -> "State | None":
        if self.draft.fen:
            return self.next()
        self._refuse("amount.zero")
        return None
