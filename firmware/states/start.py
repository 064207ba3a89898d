"""From power on to the log-in page: self-test, what the last transaction came to.

Log-in never waits for the network, nor for a part that is slow: what is wrong with a part is said on the page
that needs it. The self-test page stays only when something must be read: a part that failed, a parameter that
was refused, a clock that cannot be right.
"""

from firmware.machine import State
from firmware.money import yuan
from firmware.ports import StoreError
from firmware.screens import Screen
from firmware.states.common import HOME, OK, OK_CANCEL, Page, home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.screens import Wording
    from firmware.terminal import Terminal

# What is shown by name; the rest works, or nothing is shown at all.
READERS = ("contactless", "chip", "stripe")
TEST_PARTS = READERS + ("printer",)


class SelfTest(State):
    """Parts, software version, date."""

    leads_to = ("Login", "Unprovisioned", "VaultTrouble", "LastSale", "Settle")
    deadline_ms = 1

    def enter(self) -> None:
        terminal = self.terminal
        if terminal.vault.state == "ready":
            try:
                terminal.ledger.resolve_cut()
            except StoreError:
                terminal.log("what was cut cannot be marked: the store refuses")
            terminal.resolve_behind()
        terminal.log_damage()
        if self.troubles():
            self.deadline_ms = 5_000
            self.again()
        terminal.keep_locks()

    def troubles(self) -> "list[Wording]":
        """Keys of what is wrong, most urgent first."""
        terminal = self.terminal
        found: list[Wording] = []
        if terminal.parameter.bad:
            found.append(("start.bad_parameter", ("", terminal.parameter.bad[0])))
        if terminal.ledger.damaged:
            found.append(("start.damaged", ("", terminal.ledger.damaged[0])))
        for part in TEST_PARTS:
            if terminal.parts.get(part) in ("failed", "gone"):
                found.append("part.%s.bad" % part)
        if terminal.calendar.trusted and terminal.expired_keys():
            found.append("start.keys")
        if not terminal.calendar.trusted and terminal.ledger.counters["record"]:
            found.append("start.clock")
        return found

    def screen(self) -> Screen:
        return self_test(self.terminal, self.troubles())

    def on_deadline(self) -> "State | None":
        return self.on_confirm()

    def on_part(self, part: str, state: str) -> None:
        if state in ("failed", "gone"):
            self.deadline_ms = 5_000
            self.again()

    def on_confirm(self) -> "State | None":
        terminal = self.terminal
        why = terminal.unusable()
        if why:
            return Unprovisioned() if why == "unprovisioned" else VaultTrouble(why)
        if terminal.settlement.running is not None:
            return terminal.make_state("Settle", True)
        if terminal.ledger.open():
            return LastSale()
        return terminal.make_state("Login")

    def on_cancel(self) -> "State | None":
        return self.on_confirm()


def self_test(terminal: "Terminal", troubles: "list[Wording]") -> Screen:
    """The self-test page: version, date, mode, then the troubles or the parts."""
    now = terminal.calendar.now()
    lines: list[Wording] = [("start.version", ("", terminal.version), ("", "%04d-%02d-%02d" % now[:3]))]
    if troubles:
        lines += troubles[:2]
    else:
        lines.append(("start.readers",) + tuple(["state." + _state(terminal, part) for part in READERS]))
        if terminal.has("printer"):
            lines.append("part.printer." + _state(terminal, "printer"))
    lines.append("start.test_mode" if terminal.mode == "test" else "start.production")
    return Screen("start.title", lines[:4])


def _state(terminal: "Terminal", part: str) -> str:
    if not terminal.has(part):
        return "none"
    return "ok" if terminal.parts.get(part) == "ready" else "wait"


class SelfTestPage(Page):
    """The same, asked for from the menu."""

    def screen(self) -> Screen:
        return self_test(self.terminal, [])


class Unprovisioned(State):
    """No terminal number, no master key, no cards that it takes: says so and what to do. A technician's tool is the way out."""

    leads_to = ("SelfTest",)

    def enter(self) -> None:
        missing = self.terminal.parameter.missing()
        if missing:
            self.terminal.log("not provisioned: no %s" % ", ".join(missing))

    def screen(self) -> Screen:
        missing = self.terminal.parameter.missing()
        if self.terminal.vault.state != "empty" and all([name.startswith("emv.") for name in missing]):
            return Screen("unprovisioned.title", ("unprovisioned.cards", "unprovisioned.do", "unprovisioned.load"), style="alert")
        return Screen("unprovisioned.title", ("unprovisioned.what", "unprovisioned.do", "unprovisioned.how"), style="alert")

    def on_cancel(self) -> None:
        return None


class VaultTrouble(State):
    """The keys are wiped, their file is damaged, or production mode wants an approved vault. Nothing is overwritten."""

    leads_to = ()

    def __init__(self, why: str = "wiped") -> None:
        self.why = why

    def screen(self) -> Screen:
        return Screen("vault.title", ("vault." + self.why, "vault.money", "vault.do"), style="alert")

    def on_cancel(self) -> None:
        return None


class LastSale(State):
    """What an open transaction came to when the power was cut, the newest first.

    Cancel gives its slip up (it can be printed from the menu); time alone leaves it to the next start.
    """

    leads_to = HOME + ("PrintSlip", "LastSale")
    deadline_ms = 15_000

    def enter(self) -> "State | None":
        records = self.terminal.ledger.open()
        if not records:
            return home(self.terminal)
        self.record = records[-1]
        return None

    def screen(self) -> Screen:
        record = self.record
        what = ("query.amount", record["kind"] + ".title", ("", yuan(record["fen"])))
        if record["phase"] == "approved":
            return Screen("last.title", (what, "last.approved", "last.print"), keys=OK_CANCEL)
        goes_on = "last.repeating" if record["phase"] == "repeating" else "last.reversing"
        return Screen("last.title", (what, "last.unknown", goes_on), keys=OK, style="alert")

    def on_confirm(self) -> "State | None":
        if self.record["phase"] == "approved" and self.terminal.has("printer"):
            return self.terminal.make_state("PrintSlip", self.record)
        return home(self.terminal)

    def on_cancel(self) -> "State | None":
        if self.record["phase"] != "approved":
            return home(self.terminal)
        self.terminal.ledger.printed(self.record, 0, True)
        return LastSale() if self.terminal.ledger.to_print() else home(self.terminal)

    def on_deadline(self) -> "State | None":
        return home(self.terminal)
