"""Operator number, password, lock-out, change of password."""

from firmware.machine import State
from firmware.screens import Screen
from firmware.states.common import HOME, OK, OK_CANCEL, Digits, Notice, Page, Secret, home, password_of
from firmware.tasks import Tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.screens import Wording
    from firmware.tasks import Work
    from firmware.terminal import Terminal


class Login(Digits):
    """Waits for an operator's number. The resting page of the device."""

    leads_to = ("Password", "LockedOut")
    deadline_ms = 300_000
    resting = True
    most = 2

    def enter(self) -> None:
        self.terminal.operator = ""
        self.terminal.light("idle")
        self.terminal.settle_behind()
        self.wrong = False

    def screen(self) -> Screen:
        terminal = self.terminal
        now = terminal.calendar.now()
        date = ("", "%02d-%02d %02d:%02d" % (now[1], now[2], now[3], now[4]))
        if self.wrong:
            third: Wording = "login.nobody"
        elif terminal.ledger.unresolved():
            third = ("login.unresolved", len(terminal.ledger.unresolved()))
        elif terminal.parts.get("contactless") in ("failed", "gone"):
            third = "part.contactless.bad"
        elif terminal.parts.get("printer") in ("failed", "gone"):
            third = "part.printer.bad"
        else:
            third = ("login.version", ("", terminal.version), date if terminal.calendar.trusted else "login.clock")
        name = ("login.name", ("", terminal.parameter("merchant.name")))
        lines = (name, ("login.number", ("", self.typed)), third)
        return Screen("login.title", lines, keys=OK, corner=self.terminal.corner())

    def on_digit(self, digit: int) -> None:
        self.wrong = False
        super().on_digit(digit)

    def on_confirm(self) -> "State | None":
        number = self.typed
        if len(number) == 1:
            number = "0" + number
        if not number:
            return None
        if not self.terminal.operators.exists(number):
            self.wrong = True
            self.typed = ""
            self.terminal.sound("error")
            return None
        if self.terminal.operators.left_ms(number):
            return LockedOut(number)
        return Password(number)

    def on_cancel(self) -> None:
        self.typed = ""
        self.wrong = False


def logged_in(terminal: "Terminal", operator: str) -> State:
    """The operator's menu; what needs the network begins behind it."""
    terminal.operator = operator
    terminal.sign_on_behind()
    terminal.resolve_behind()
    return home(terminal)


class Password(Secret):
    """The password of a log-in."""

    leads_to = HOME + ("NewPassword", "Notice", "LockedOut")

    def on_right(self) -> "State | None":
        terminal = self.terminal
        terminal.sound("ok")
        if terminal.parameter("operators.force_change") and terminal.vault.is_factory(self.operator):
            return NewPassword(self.operator)
        return logged_in(terminal, self.operator)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class LockedOut(Page):
    """Too many wrong passwords: how long, and who can help."""

    def __init__(self, operator: str = "01") -> None:
        self.operator = operator

    def enter(self) -> None:
        self.terminal.keep_locks()

    def screen(self) -> Screen:
        minutes = (self.terminal.operators.left_ms(self.operator) + 59_999) // 60_000
        helper = {"00": "locked.by_system", "99": "locked.wait"}.get(self.operator, "locked.by_supervisor")
        lines = (("login.operator", ("", self.operator)), ("locked.minutes", minutes), helper)
        return Screen("locked.title", lines, keys=OK, style="alert")


class NewPassword(State):
    """A new password, typed twice: of who is logged in, or of `operator`, whom the factory's password does not log in."""

    leads_to = HOME + ("Notice",)

    def __init__(self, operator: str = "") -> None:
        self.operator = operator
        self.stage = "new"
        self.count = 0
        self.weak = False

    def enter(self) -> None:
        self.run(self._twice())

    def _twice(self) -> "Work[str]":
        operator = self.operator or self.terminal.operator
        while True:
            yield Tell("new")
            result = yield from password_of(operator, "new")
            if result == "weak":
                yield Tell("weak")
                continue
            if result != "ok":
                return result
            yield Tell("repeat")
            return (yield from password_of(operator, "repeat"))

    def on_told(self, value: "Any") -> None:
        self.again()
        if value == "weak":
            self.weak = True
            self.terminal.sound("error")
        elif value in ("new", "repeat"):
            self.stage = value
            self.count = 0
        else:
            self.count = value

    def screen(self) -> Screen:
        if self.weak and self.stage == "new" and not self.count:
            hint = "password.weak"
        else:
            hint = "" if self.stage == "repeat" else "password.forced" if self.operator else "password.rule"
        lines = (hint, "password." + self.stage, ("password.typed", ("", "*" * self.count)))
        return Screen("password.change", lines, keys=OK_CANCEL)

    def on_done(self, result: str) -> "State | None":
        if result == "set":
            if self.operator:
                logged_in(self.terminal, self.operator)
            return Notice("password.change", ("password.set",), sound="ok")
        if result == "different":
            return Notice("password.change", ("password.different", "password.kept"), style="alert", sound="error")
        if result == "storage":
            return Notice("password.change", ("why.store", "password.kept", "do.store"), style="alert", sound="error")
        return self.on_cancel()

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class OldPassword(Secret):
    """Who wants another password knows the one that holds: a terminal left open gives nobody an operator's name."""

    leads_to = HOME + ("NewPassword", "Notice", "LockedOut")
    title = "password.change"

    def on_right(self) -> "State | None":
        return NewPassword()

    def on_wrong(self, left: int) -> "State | None":
        if not left:
            self.terminal.operator = ""
        return super().on_wrong(left)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class Locked(State):
    """The operator locked the device, or left it alone. He or the supervisor opens it."""

    leads_to = ("Unlock",)
    deadline_ms = 300_000
    resting = True

    def __init__(self, operator: str) -> None:
        self.operator = operator

    def enter(self) -> None:
        self.terminal.light("off")
        self.terminal.settle_behind()

    def screen(self) -> Screen:
        return Screen("lock.title", (("login.operator", ("", self.operator)), "lock.open", "lock.supervisor"), keys=OK)

    def on_confirm(self) -> "State | None":
        return Unlock(self.operator, self.operator)

    def on_down(self) -> "State | None":
        return Unlock(self.operator, "00")

    def on_cancel(self) -> None:
        return None


class Unlock(Secret):
    """The password that opens a locked device. The supervisor's signs the operator out."""

    leads_to = HOME + ("Locked", "LockedOut", "Notice")

    def __init__(self, locked: str, operator: str) -> None:
        super().__init__(operator)
        self.locked = locked

    def enter(self) -> "State | None":
        if self.terminal.operators.left_ms(self.operator):
            self.terminal.operator = ""
            return LockedOut(self.operator)
        return super().enter()

    def on_right(self) -> "State | None":
        if self.operator != self.locked:
            self.terminal.operator = ""
        return home(self.terminal)

    def on_wrong(self, left: int) -> "State | None":
        if not left:
            self.terminal.operator = ""
            return LockedOut(self.operator)
        return Locked(self.locked)

    def on_cancel(self) -> "State | None":
        return Locked(self.locked)
