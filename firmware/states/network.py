"""The network: its state, the doctor, text messages, the SIM's PIN, the module switched off and on."""

from firmware import slip
from firmware.events import MODEM_DONE, SECRET_READY
from firmware.host import doctor
from firmware.machine import State
from firmware.screens import Screen
from firmware.states.common import HOME, OK, OK_CANCEL, Notice, Page, home, secret
from firmware.states.printing import put
from firmware.tasks import Ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.ports import Job
    from firmware.screens import Wording
    from firmware.tasks import Work
    from firmware.terminal import Terminal

RESTART_MS = 120_000


class Doctor(State):
    """The examination, a step a line while it goes on."""

    leads_to = HOME + ("Diagnosis",)
    deadline_ms = 300_000  # each wait of the examination has its own limit
    ROOM = 3

    def __init__(self) -> None:
        self.found: list[doctor.Finding] = []
        self.step = ""

    def enter(self) -> None:
        self.run(doctor.examine(self.terminal))

    def on_told(self, value: "Any") -> None:
        if isinstance(value, doctor.Finding):
            self.found.append(value)
        else:
            self.step = value
        self.again()

    def screen(self) -> Screen:
        lines: list[Wording] = [line_of(finding) for finding in self.found if finding.ms is not None]
        if self.step:
            lines.append(("doctor.trying", "doctor.step." + self.step))
        done = 100 * len(self.found) // len(doctor.STEPS)
        return Screen("menu.doctor", lines[-self.ROOM :], keys=("key.cancel", ""), progress=done)

    def on_done(self, found: "list[doctor.Finding]") -> "State | None":
        return Diagnosis(found)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


def line_of(finding: "doctor.Finding") -> "Wording":
    """A step and how it went, in one line."""
    step = "doctor.step." + finding.step
    if finding.fault:
        return ("doctor.bad", step)
    return ("doctor.well", step, finding.ms or 0) if finding.ms is not None else ("doctor.passed", step)


class Diagnosis(Page):
    """What was found: where it stops, what that means, what to do; or that all is well. Down turns the list of steps."""

    leads_to = HOME + ("Diagnosis", "PrintReport")
    deadline_ms = 120_000
    ROOM = 3

    def __init__(self, found: "Any" = None, place: int = 0) -> None:
        self.found: list[doctor.Finding] = found or []
        self.place = place  # 0: the diagnosis; then the steps, ROOM a page

    def enter(self) -> None:
        if not self.place:
            self.terminal.sound("error" if self._bad() is not None else "ok")

    def _bad(self) -> "doctor.Finding | None":
        bad = [finding for finding in self.found if finding.fault]
        return bad[0] if bad else None

    def screen(self) -> Screen:
        keys = ("key.cancel", "key.print") if self.terminal.has("printer") else OK
        bad = self._bad()
        if self.place:
            lines = [line_of(finding) for finding in self.found[(self.place - 1) * self.ROOM : self.place * self.ROOM]]
            return Screen("menu.doctor", lines, keys=keys)
        if bad is None:
            total = sum([one.ms or 0 for one in self.found])
            return Screen("menu.doctor", ("doctor.all_well", ("doctor.total", total)), keys=keys)
        lines = [("doctor.stops", "doctor.step." + bad.step), "doctor.what." + bad.fault, "doctor.do." + bad.fault]
        return Screen(("doctor.code", ("", bad.code)), lines, keys=keys, style="alert")

    def on_down(self) -> "State | None":
        pages = (len(self.found) + self.ROOM - 1) // self.ROOM
        return Diagnosis(self.found, (self.place + 1) % (pages + 1))

    def on_confirm(self) -> "State | None":
        return PrintReport(self.found) if self.terminal.has("printer") else home(self.terminal)


def report(terminal: "Terminal", found: "list[doctor.Finding]") -> "Job":
    """The findings on paper (网络诊断单), with the report code, who we are, and what the modem said of itself."""
    t, p = terminal.texts, terminal.parameter
    job: Job = [
        ("cbh", t("doctor.slip")), ("rule", ""),
        ("", t(("slip.merchant", ("", p("merchant.name"))))), ("", t(("slip.terminal", ("", p("terminal.number"))))),
        ("", t(("slip.when", ("", slip.moment(terminal.calendar_stamp()))))),
        ("", "%s:%d" % (p("host.address"), p("host.port"))), ("rule", ""),
    ]  # fmt: skip
    for finding in found:
        name = t("doctor.step." + finding.step)
        right = t("doctor.what." + finding.fault) if finding.fault else "-" if finding.ms is None else "%d ms" % finding.ms
        job.append(("b" if finding.fault else "", slip.spread(name, right)))
        if finding.detail:
            job.append(("", "  " + finding.detail))
    bad = [finding for finding in found if finding.fault]
    if bad:
        job += [("rule", ""), ("bh", t(("doctor.code", ("", bad[0].code)))), ("", t("doctor.do." + bad[0].fault))]
    if terminal.has("modem"):
        status = terminal.ports["modem"].status()
        job += [("rule", ""), ("", "IMEI " + status["imei"]), ("", "ICCID " + status["iccid"])]
        if status["technology"]:  # else nothing is heard, and what the status keeps is of before
            heard = "-" if status["dbm"] is None else "%d dBm" % status["dbm"]
            job.append(("", "%s %s %s" % (status["operator"], status["technology"], heard)))
        if status["cell"]:
            job.append(("", "CELL " + "-".join(status["cell"])))
    job.append(("cut", ""))
    return job


class PrintReport(State):
    """The findings on paper."""

    leads_to = HOME + ("Notice",)
    deadline_ms = 130_000

    def __init__(self, found: "Any" = None) -> None:
        self.found = found or []

    def enter(self) -> "State | None":
        if not self.terminal.has("printer"):
            return home(self.terminal)
        self.run(put(report(self.terminal, self.found)))
        return None

    def screen(self) -> Screen:
        return Screen("menu.doctor", ("print.report",))

    def on_done(self, why: str) -> "State | None":
        if why:
            return Notice("menu.doctor", ("printer." + why, "printer.do." + why), style="alert", sound="error")
        return home(self.terminal)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class Network(Page):
    """What carries messages now, and what there is besides; down shows what the modem says of itself."""

    leads_to = HOME + ("Network",)
    deadline_ms = 60_000

    def __init__(self, second: bool = False) -> None:
        self.second = second

    def screen(self) -> Screen:
        terminal = self.terminal
        if self.second and terminal.has("modem"):
            status = terminal.ports["modem"].status()
            cell = status["cell"]
            lines: list[Wording] = [
                ("", "%s %s" % (status["operator"] or "-", status["technology"])),
                ("network.signal", ("", "-" if status["dbm"] is None else "%d dBm" % status["dbm"])),
                ("", status["iccid"] or "-"),
                ("", "%s-%s" % (cell[2], cell[3]) if cell else "-"),
            ]
            return Screen("menu.network", lines, corner=terminal.corner())
        rows = terminal.ports["link"].bearers()
        lines = [("network.row", "network." + row["name"], "network." + row["state"]) for row in rows]
        lines += [("", row["address"]) for row in rows if row["name"] == terminal.corner().split(" ")[0] and row["address"]]
        return Screen("menu.network", lines[:4] or ("network.none",), corner=terminal.corner())

    def on_down(self) -> "State | None":
        return Network(not self.second)


class TextMessages(Page):
    """Text messages that came, newest first; down turns the page."""

    leads_to = HOME + ("TextMessages",)
    deadline_ms = 120_000
    CELLS = 20
    ROWS = 3

    def __init__(self, place: int = 0) -> None:
        self.place = place
        self.pages: list[tuple[str, list[str]]] = []

    def enter(self) -> None:
        self.terminal.messages.seen()
        for message in self.terminal.messages.newest():
            rows = wrapped(message["text"], self.CELLS)
            for first in range(0, max(1, len(rows)), self.ROWS):
                at = message["at"]
                heading = "%s %s-%s %s:%s" % (message["from"][-11:], at[4:6], at[6:8], at[8:10], at[10:12])
                self.pages.append((heading, rows[first : first + self.ROWS]))

    def screen(self) -> Screen:
        if not self.pages:
            return Screen("menu.sms", ("sms.none",), keys=OK)
        heading, rows = self.pages[self.place % len(self.pages)]
        return Screen(("", heading), [("", row) for row in rows])

    def on_down(self) -> None:
        self.place += 1


def wrapped(text: str, width: int) -> "list[str]":
    """The text in rows of so many half-width cells; what no panel shows becomes a space."""
    rows = [""]
    for character in text:
        character = character if character >= " " else " "
        if slip.cells(rows[-1] + character) > width:
            rows.append("")
        rows[-1] += character
    return rows if rows[-1] else rows[:-1]


class SimPin(State):
    """The PIN of the SIM, typed into the vault, which gives it to the modem."""

    leads_to = HOME + ("Notice",)
    deadline_ms = 120_000

    def __init__(self) -> None:
        self.count = 0

    def enter(self) -> None:
        self.run(self._typed())

    def _typed(self) -> "Work[str]":
        event = yield from secret("enter_sim_pin")
        return str(event.value) if event.name == SECRET_READY else ""

    def on_told(self, count: int) -> None:
        self.count = count
        self.again()

    def screen(self) -> Screen:
        return Screen("menu.sim_pin", ("sim.prompt", ("password.typed", ("", "*" * self.count))), keys=OK_CANCEL)

    def on_done(self, result: str) -> "State | None":
        if not result:
            return home(self.terminal)
        right = result == "right"
        lines = ("sim." + result,) if right else ("sim." + result, "sim.do")
        return Notice("menu.sim_pin", lines, style="" if right else "alert", sound="ok" if right else "error")

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class RestartModem(State):
    """The module switched off and on by hand."""

    leads_to = HOME + ("Notice",)
    deadline_ms = RESTART_MS + 5_000

    def enter(self) -> None:
        self.run(self._restarted())

    def _restarted(self) -> "Work[str]":
        event = yield Ask("modem", "restart", within_ms=RESTART_MS)
        return "" if event.name == MODEM_DONE else "bad"

    def screen(self) -> Screen:
        return Screen("menu.restart_modem", ("network.restarting",), progress=30)

    def on_done(self, why: str) -> "State | None":
        if why:
            return Notice("menu.restart_modem", ("doctor.what.no-modem", "doctor.do.no-modem"), style="alert", sound="error")
        return Notice("menu.restart_modem", ("manage.done",), sound="ok")

    def on_cancel(self) -> "State | None":
        return home(self.terminal)
