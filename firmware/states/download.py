"""Downloads by hand, what is still to be done, what was changed, the fee rates: the pages.

The conversations are in `host.download`, loaded when one is asked for. A page that is left in the middle costs nothing: what
has come is kept for the next try.
"""

from firmware.machine import State
from firmware.screens import Screen
from firmware.slip import cells, moment, spread
from firmware.states.common import HOME, OK, Notice, Page, home
from firmware.states.printing import put
from firmware.states.result import NotSent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.host.download import Result
    from firmware.ports import Job
    from firmware.screens import Wording
    from firmware.terminal import Terminal

ROOM = 21  # half-width cells of a line
LINES = 3  # of a page with keys
PRINTED = 50  # entries of the log on paper
# Parameters that the host may change have a name for people; another is shown by the name that the technician gives it.
NAMED = (
    "fees", "exceptions", "merchant.name", "merchant.number", "terminal.number", "host.reply_ms", "reversal.tries", "module.tip",
    "tip.percent", "settle.sign_off", "pin.free_fen", "emv.aids", "emv.keys", "language",
)  # fmt: skip


def name_of(parameter: str) -> "Wording":
    """What people call a parameter."""
    return "changes.name." + parameter if parameter in NAMED else ("", parameter)


def cut(text: str, room: int) -> str:
    """As much of a text as goes into so many half-width cells."""
    out = ""
    for c in text:
        if cells(out + c) > room:
            return out
        out += c
    return out


class Download(State):
    """One download, by hand: how far it is, then what came of it."""

    leads_to = HOME + ("Notice",)
    deadline_ms = 120_000

    def __init__(self, name: str = "parameters") -> None:
        self.name = name
        self.done, self.of = 0, 0

    def enter(self) -> None:
        from firmware.host import download

        self.terminal.stop_chores()
        self.run(download.alone(self.terminal, self.name))

    def screen(self) -> Screen:
        line: Wording = "online.connecting"
        if self.of:
            line = ("download.piece", self.done, self.of)
        elif self.done:
            line = ("download.count", self.done)
        share = 10 + 85 * self.done // self.of if self.of else 30
        return Screen("download." + self.name, (line,), keys=("key.cancel", ""), progress=share)

    def on_told(self, far: "tuple[int, int]") -> None:
        if isinstance(far, tuple):  # a sign-on on the way tells nothing that this page shows
            self.done, self.of = far
            self.again()

    def on_done(self, result: "Result") -> "State | None":
        return Notice("download." + self.name, outcome(self.name, result), "alert" if result.why else "", _sound(result))

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


def _sound(result: "Result") -> str:
    return "error" if result.why else "ok"


def outcome(name: str, result: "Result") -> "tuple[Wording, ...]":
    """What became of a download, in three lines: what happened, what is in force, what to do."""
    from firmware.host.download import WHY

    if not result.why:
        first: Wording = "manage.done" if name == "status-upload" else ("download.done", result.count)
        if result.waits:
            return (first, ("todo.pending", name_of(result.waits[0])))
        return (first,) if name == "status-upload" else (first, "download.in_force")
    if result.why in WHY:
        what: Wording = "download.why." + result.why
    elif result.why.startswith("code "):
        what = ("why.code", ("", result.why[5:]))
    else:
        what = NotSent.WORDS.get(result.why, "why.network")
    if name == "status-upload" or result.why == "none":
        return (what, "download.again") if result.why != "none" else (what, "download.kept")
    if result.detail and cut(result.detail, ROOM) == result.detail:
        return (what, ("", result.detail), "download.kept")
    return (what, "download.kept", "download.again")


class ToDo(Page):
    """What the host has asked for and is not done, what waits for the settlement, what only a technician can do."""

    def lines(self) -> "list[Wording]":
        chores = self.terminal.chores
        found: list[Wording] = [("todo.due", "download." + name) for name in chores.due]
        found += [("todo.pending", name_of(name)) for name in sorted(chores.pending)]
        found += ["todo." + name for name in chores.noted]
        return found or ["todo.none"]

    def screen(self) -> Screen:
        return Screen("download.to_do", self.lines()[:LINES], keys=OK)

    def on_confirm(self) -> "State | None":
        if self.terminal.operator == "99":  # who has seen it, and whose affair it is
            for name in self.terminal.chores.noted:
                self.terminal.chores.forget_note(name)
        return home(self.terminal)


class ChangeLog(Page):
    """What was changed, newest first, an entry a page; confirm prints."""

    leads_to = HOME + ("ChangeLog", "PrintChanges")

    def __init__(self, before: str = "") -> None:
        self.before = before

    def enter(self) -> None:
        from firmware import changes

        self.found = changes.newest(self.terminal.ports["store"], 1, self.before)

    def screen(self) -> Screen:
        if not self.found:
            return Screen("changes.title", ("changes.none",), keys=OK)
        entry = self.found[0][1]
        at = entry["at"]
        title = ("changes.entry", ("", "%s-%s %s:%s" % (at[4:6], at[6:8], at[8:10], at[10:12])), "changes.by." + entry["by"])
        lines = (
            name_of(entry["name"]),
            ("changes.old", ("", cut(entry["old"], ROOM - 5))),
            ("changes.new", ("", cut(entry["new"], ROOM - 5))),
        )
        return Screen(title, lines, keys=("key.back", "key.print") if self.terminal.has("printer") else OK)

    def on_down(self) -> "State | None":
        return ChangeLog(self.found[0][0]) if self.found else ChangeLog()

    def on_back(self) -> "State | None":
        return home(self.terminal)

    def on_confirm(self) -> "State | None":
        return PrintChanges() if self.found and self.terminal.has("printer") else home(self.terminal)


class PrintChanges(State):
    """The newest entries on paper."""

    leads_to = HOME + ("Notice",)
    deadline_ms = 125_000

    def enter(self) -> "State | None":
        if not self.terminal.has("printer"):
            return home(self.terminal)
        self.run(put(log_job(self.terminal)))
        return None

    def screen(self) -> Screen:
        return Screen("changes.title", ("print.report",), keys=("key.cancel", ""))

    def on_done(self, why: str) -> "State | None":
        if why:
            return Notice("printer." + why, ("printer.do." + why, "print.later"), "alert", "alert")
        return home(self.terminal)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


def log_job(terminal: "Terminal") -> "Job":
    """The log as a slip: when, who, what, from, to."""
    from firmware import changes

    t = terminal.texts
    job: Job = [("cbh", t("changes.title")), ("", terminal.parameter("merchant.name")), ("rule", "")]
    for _, entry in changes.newest(terminal.ports["store"], PRINTED):
        job.append(("", spread(moment(entry["at"]), t("changes.by." + entry["by"]))))
        job.append(("b", t(name_of(entry["name"]))))
        job += [("", t(("changes.old", ("", entry["old"])))), ("", t(("changes.new", ("", entry["new"]))))]
    return job + [("rule", ""), ("feed", 3), ("cut", "")]


class Announce(State):
    """A change that the merchant must hear of, once: each rate that was, and that is. Only a key takes it off."""

    leads_to = HOME + ("Announce",)
    deadline_ms = 60_000

    def __init__(self, place: int = 0) -> None:
        self.place = place
        self.keys: list[str] = []
        self.rows: list[tuple[str, tuple[str, str, str, str]]] = []

    def enter(self) -> "State | None":
        from firmware import changes, fees

        for key, entry in changes.to_tell(self.terminal.ports["store"]):
            self.keys.append(key)
            self.rows += [(entry["at"], row) for row in fees.differences(entry["old"], entry["new"])]
        if self.place < len(self.rows):
            self.terminal.sound("alert")
            return None
        changes.told(self.terminal.ports["store"], self.keys)
        return home(self.terminal)

    def screen(self) -> Screen:
        if self.place >= len(self.rows):
            return Screen("fees.title")
        at, (method, upto, old, new) = self.rows[self.place]
        lines = (
            ("fees.of", "fees." + method, ("", upto)),
            ("changes.old", rate_words(old)),
            ("changes.new", rate_words(new)),
        )
        return Screen(("fees.changed", ("", "%s-%s" % (at[4:6], at[6:8]))), lines, keys=OK, style="alert")

    def on_confirm(self) -> "State | None":
        return Announce(self.place + 1)

    def on_cancel(self) -> "State | None":
        return self.on_confirm()

    def on_deadline(self) -> "State | None":
        """Nobody was there: said again to the next one who logs in."""
        self.terminal.chores.hushed = self.terminal.operator
        return home(self.terminal)


def rate_words(kept: str) -> "Wording":
    """A rate of the log in the language in force."""
    rate, _, cap = kept.partition(" max ")
    if not kept:
        return ("", "-")
    return ("fees.capped", ("", rate), ("", cap)) if cap else ("", rate)


class Fees(Page):
    """What the acquirer keeps of each kind of payment; down turns the page."""

    leads_to = HOME + ("Fees",)

    def __init__(self, first: int = 0) -> None:
        self.first = first

    def lines(self) -> "list[Wording]":
        from firmware import fees

        found: list[Wording] = []
        for method, upto, kept in fees.lines(fees.text(self.terminal.parameter("fees"))):
            rate, _, cap = kept.partition(" max ")
            found.append(("fees.line", "fees." + method, ("", upto + " " + rate if upto else rate)))
            if cap:
                found.append(("fees.cap", ("", cap)))
        return found

    def screen(self) -> Screen:
        lines = self.lines()
        return Screen("fees.title", lines[self.first : self.first + LINES] if lines else ("fees.none",), keys=OK)

    def on_down(self) -> "State | None":
        first = self.first + LINES
        return Fees(first if first < len(self.lines()) else 0)


def announcement(terminal: "Terminal") -> "State | None":
    """The page that comes before the menu, when there is something to tell the merchant."""
    from firmware import changes

    if terminal.operator in ("", "99") or terminal.chores.hushed == terminal.operator:
        return None
    return Announce() if changes.to_tell(terminal.ports["store"]) else None
