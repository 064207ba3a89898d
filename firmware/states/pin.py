"""The PIN of a card that is back in its holder's hand: typed once, into the vault.

When it is asked for: `firmware.verification`. Keys must be there before the PIN is typed, since the block is made with
them. A chip that waits in the slot has its own page for the PIN of its list (`card.ChipPin`); where the transaction itself
wants a PIN besides, this page joins the chip's task, which takes it.
"""

from firmware import questions, reading, verification
from firmware.emv.data import NO_CVM_PERFORMED
from firmware.machine import State
from firmware.money import yuan
from firmware.screens import Screen
from firmware.states.common import HOME, OK_CANCEL
from firmware.states.result import NotSent
from firmware.states.step import ENDS, Cancelled, Step
from firmware.transactions import PIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.draft import Draft
    from firmware.terminal import Terminal


QUICK, GENERATES = "07", 0x8C  # kernel 7 without GENERATE AC: a card that is asked for one has CDOL1


class EnterPin(Step):
    """Stars for the digits that the vault has taken."""

    step = PIN
    joins = True
    leads_to = ENDS + ("Authorise", "PinLeftOut", "NotSent", "EnterPin")

    def __init__(self) -> None:
        self.count = 0
        self.keys_ready = False

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        if draft.pin_block is not None or draft.pin_bypassed:
            return False
        if draft.card is not None:
            return verification.pin_wanted(terminal, draft, draft.card)
        return verification.pin_needed(terminal, draft, draft.entry, draft.cvm, draft.pan)

    def enter(self) -> None:
        self.keys_ready = self.terminal.signed_on() and self.terminal.parameter("host.keys") != "dukpt"
        if not self.answer("pin"):
            self.run(questions.online_pin(self.terminal, self.draft, self.draft.pan))

    def on_told(self, value: "Any") -> "State | None":
        if isinstance(value, reading.PinTyped):
            return self.on_done(value.result)
        if isinstance(value, int):
            self.count = value
        if isinstance(value, int) or value == "ready":
            self.keys_ready = True
            self.again()
        return None

    def screen(self) -> Screen:
        draft = self.draft
        big = yuan(draft.fen) if draft.row.money else ""
        if not self.keys_ready:  # the vault does not listen to the keys yet
            return Screen(draft.row.title, ("online.signing-on",), big=big)
        hint = "pin.bypass_hint" if self.terminal.parameter("pin.bypass") else "pin.prompt"
        return Screen(draft.row.title, (hint, ("pin.typed", ("", "*" * self.count))), big=big, keys=OK_CANCEL)

    def on_done(self, result: "str | tuple[str, str]") -> "State | None":
        if result == "typed":
            return self.next()
        if result == "bypass":
            if self.terminal.parameter("pin.bypass"):
                return PinLeftOut()
            return EnterPin()
        if isinstance(result, tuple):
            return NotSent(result[1])
        return self.on_cancel()


class PinLeftOut(State):
    """Confirm on an empty page: says that the transaction goes on without a PIN."""

    joins = True
    leads_to = HOME + ("Cancelled", "Authorise", "EnterPin")

    def screen(self) -> Screen:
        return Screen("pin.left_out.title", ("pin.left_out.what", "pin.left_out.risk", "pin.left_out.do"), keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        draft = self.terminal.open_draft
        draft.pin_bypassed = True
        if draft.card is not None and draft.card.kernel == QUICK and GENERATES not in draft.card.tags:
            draft.card.tags[0x9F34] = NO_CVM_PERFORMED  # the kernel had counted on a PIN, and no cryptogram covers it
        return self.terminal.after(PIN)

    def on_back(self) -> "State | None":
        return EnterPin()

    def on_cancel(self) -> "State | None":
        return Cancelled()
