"""Pages that a global event or a defect leads to, from anywhere."""

from firmware.machine import State
from firmware.screens import Screen
from firmware.states.common import HOME, OK, home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.terminal import Terminal

ONWARD = HOME + ("Unprovisioned", "VaultTrouble")


def onward(terminal: "Terminal") -> State:
    """Where a page leads that can come from anywhere: home, or back to why this device may not be used at all."""
    why = terminal.unusable()
    if not why:
        return home(terminal)
    terminal.abandon()
    return terminal.make_state("Unprovisioned") if why == "unprovisioned" else terminal.make_state("VaultTrouble", why)


class Fault(State):
    """A defect in the terminal. The ledger decided the money before this page came."""

    leads_to = ONWARD
    deadline_ms = 60_000

    def __init__(self, code: str = "0000", money: str = "money.not_taken") -> None:
        self.code = code
        self.money = money

    def enter(self) -> None:
        self.terminal.light("error")
        self.terminal.sound("error")
        self.terminal.resolve_behind()

    def screen(self) -> Screen:
        return Screen("fault.title", (("fault.code", ("", self.code)), self.money, "fault.do"), keys=OK, style="alert")

    def on_confirm(self) -> "State | None":
        return onward(self.terminal)

    def on_cancel(self) -> "State | None":
        return onward(self.terminal)


class StoreTrouble(State):
    """The store is full, read-only or damaged. Nothing was changed; what needs no writing goes on."""

    leads_to = ONWARD
    deadline_ms = 60_000

    def __init__(self, kind: str = "StoreError", money: str = "money.not_taken") -> None:
        self.kind = kind
        self.money = money

    def enter(self) -> None:
        self.terminal.light("error")
        self.terminal.sound("error")

    def screen(self) -> Screen:
        return Screen("store.trouble", ("store." + self.kind, self.money, "do.store"), keys=OK, style="alert")

    def on_confirm(self) -> "State | None":
        return onward(self.terminal)

    def on_cancel(self) -> "State | None":
        return onward(self.terminal)


class Tampered(State):
    """The case was opened: the keys are gone. The device comes back only from the technician."""

    leads_to = ()
    deadline_ms = 3_600_000

    def enter(self) -> None:
        self.terminal.operator = ""
        self.terminal.light("error")

    def screen(self) -> Screen:
        return Screen("tamper.title", ("tamper.what", "vault.money", "vault.do"), style="alert")


class Stopping(State):
    """Shutting down in good order."""

    leads_to = ()

    def enter(self) -> None:
        self.terminal.light("off")
        self.terminal.machine.stopped = True

    def screen(self) -> Screen:
        return Screen("stopping.title", ("stopping.what",))


class PowerLow(State):
    """Too little charge to begin anything. Goes away when the charger is there."""

    leads_to = ONWARD
    deadline_ms = 30_000

    def __init__(self, money: str = "money.not_taken") -> None:
        self.money = money

    def screen(self) -> Screen:
        return Screen("power.title", (("power.what", self.terminal.power or 0), self.money, "power.do"), style="alert")

    def on_deadline(self) -> "State | None":
        power = self.terminal.power
        if power is None or power > self.terminal.parameter("power.stop_percent"):
            return onward(self.terminal)
        return None

    def on_confirm(self) -> "State | None":
        return self.on_deadline()

    def on_cancel(self) -> "State | None":
        return self.on_deadline()
