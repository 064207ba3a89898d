"""The PIN: typed once, into the vault, after the card has left.

Asked for when the amount is above the limit of `pin.free_fen` (none at the limit itself), or when the card asks.
Above the limit a card that wants none may waive it only by parameter; a phone that has verified its holder
(CDCVM) counts as a PIN. Keys must be there before the PIN is typed, since the block is made with them.
"""

from firmware.emv.outcome import CDCVM, ONLINE_PIN
from firmware.events import SECRET_READY, SECRET_TYPED
from firmware.host import session
from firmware.machine import State
from firmware.money import yuan
from firmware.screens import Screen
from firmware.states.common import HOME, OK_CANCEL
from firmware.states.result import NotSent
from firmware.states.step import ENDS, Cancelled, Step
from firmware.tasks import Ask, More, Tell
from firmware.transactions import PIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.draft import Draft
    from firmware.tasks import Work
    from firmware.terminal import Terminal

NO_CVM_PERFORMED = b"\x3f\x00\x00"  # tag 9F34, EMV Book 4, A4


def needed(terminal: "Terminal", draft: "Draft") -> bool:
    """Whether this transaction wants a PIN, by its row, the amount and the card."""
    rule = draft.row.pin
    if rule == "always":
        return True
    if rule != "limit":
        return terminal.parameter(rule)
    if draft.cvm == ONLINE_PIN:
        return True
    if draft.fen <= terminal.parameter("pin.free_fen") or draft.cvm == CDCVM:
        return False
    return not terminal.parameter("pin.card_may_waive")


def ask_pin(terminal: "Terminal", draft: "Draft") -> "Work[str | tuple[str, str]]":
    """A task -> "typed" (the block is in the draft), "bypass", "cancel", or ("keys", why). Tells the number of digits."""
    yield Tell("keys")
    why = yield from session.sign_on_alone(terminal)
    if why:
        return ("keys", why)
    p = terminal.parameter
    most = max(p("pin.minimum"), p("pin.maximum"))
    event = yield Ask("vault", "enter_pin", draft.pan, p("pin.minimum"), most, keep=True)
    yield Tell(0)
    while event.name == SECRET_TYPED:
        yield Tell(event.value)
        event = yield More(event.ticket)
    if event.name == SECRET_READY:
        draft.pin_block = event.value
        draft.pin_key = terminal.vault.check_value("pin")
        return "typed"
    return event.value


class EnterPin(Step):
    """Stars for the digits that the vault has taken."""

    step = PIN
    leads_to = ENDS + ("Authorise", "PinLeftOut", "NotSent", "EnterPin")

    def __init__(self) -> None:
        self.count = 0
        self.keys_ready = False

    @classmethod
    def wanted(cls, terminal: "Terminal", draft: "Draft") -> bool:
        return needed(terminal, draft) and not draft.pin_bypassed

    def enter(self) -> None:
        self.keys_ready = self.terminal.signed_on()
        self.run(ask_pin(self.terminal, self.draft))

    def on_told(self, value: "Any") -> None:
        if value == "keys":
            return
        self.keys_ready = True
        self.count = value
        self.again()

    def screen(self) -> Screen:
        draft = self.draft
        big = yuan(draft.fen) if draft.row.money else ""
        if not self.keys_ready:
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

    leads_to = HOME + ("Cancelled", "Authorise", "EnterPin")

    def screen(self) -> Screen:
        return Screen("pin.left_out.title", ("pin.left_out.what", "pin.left_out.risk", "pin.left_out.do"), keys=OK_CANCEL)

    def on_confirm(self) -> "State | None":
        draft = self.terminal.open_draft
        draft.pin_bypassed = True
        if draft.card is not None:
            draft.card.tags[0x9F34] = NO_CVM_PERFORMED  # the kernel had counted on a PIN
        return self.terminal.after(PIN)

    def on_back(self) -> "State | None":
        return EnterPin()

    def on_cancel(self) -> "State | None":
        return Cancelled()
