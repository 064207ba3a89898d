"""What several states share: the way home, pages that only tell, entries of digits, entries of secrets."""

from firmware.events import SECRET_READY, SECRET_TYPED
from firmware.machine import State
from firmware.operators import PASSWORD_DIGITS, role
from firmware.ports import StoreError
from firmware.screens import Screen
from firmware.tasks import Ask, More, Tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.events import Event
    from firmware.screens import Wording
    from firmware.tasks import Work
    from firmware.terminal import Terminal

HOME: "tuple[str, ...]" = ("Menu", "Login")
OK_CANCEL = ("key.cancel", "key.confirm")
OK = ("", "key.confirm")
CANCEL_ONLY = ("key.cancel", "")


def home(terminal: "Terminal") -> State:
    """The menu of who is logged in, or the log-in page. Whatever was open is over."""
    terminal.abandon()
    terminal.light("idle")
    return terminal.make_state("Menu" if terminal.operator else "Login")


class Page(State):
    """Tells something; confirm, cancel or time leads home."""

    leads_to = HOME
    deadline_ms = 30_000

    def on_confirm(self) -> "State | None":
        return home(self.terminal)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class Notice(Page):
    """One or more lines, then home: "done", "wrong password", "nothing found"."""

    deadline_ms = 8_000

    def __init__(self, title: "Wording", lines: "tuple[Wording, ...]", style: str = "", sound: str = "") -> None:
        self.title = title
        self.lines = lines
        self.style = style
        self.sound = sound

    def enter(self) -> None:
        if self.sound:
            self.terminal.sound(self.sound)

    def screen(self) -> Screen:
        return Screen(self.title, self.lines, keys=OK, style=self.style)


class Digits(State):
    """An entry of up to `most` digits that are no secret; they are shown as typed."""

    most = 6

    def __init__(self) -> None:
        self.typed = ""

    def on_digit(self, digit: int) -> None:
        if len(self.typed) < self.most:
            self.typed += str(digit)
        else:
            self.terminal.sound("error")

    def on_clear(self) -> None:
        self.typed = ""

    def on_back(self) -> None:
        self.typed = self.typed[:-1]


def secret(method: str, *arguments: object) -> "Work[Event]":
    """A task: one of the vault's entries, to its last event. Tells the number of digits."""
    event = yield Ask("vault", method, *arguments, keep=True)
    while event.name == SECRET_TYPED:
        yield Tell(event.value)
        event = yield More(event.ticket)
    return event


def password_of(operator: str, purpose: str) -> "Work[str]":
    """A task: takes one password -> "right", "wrong", "ok", "weak", "set", "different"; "storage" when the vault could
    not keep it; "" when it was stopped."""
    event = yield from secret("enter_password", operator, purpose)
    return event.value if event.name == SECRET_READY or event.value == "storage" else ""


class Secret(State):
    """A password is being typed into the vault; the firmware sees how many digits."""

    title = "password.title"
    prompt = "password.prompt"

    def __init__(self, operator: str) -> None:
        self.operator = operator
        self.count = 0

    def enter(self) -> "State | None":
        self.run(password_of(self.operator, "check"))
        return None

    def on_told(self, count: int) -> None:
        self.count = count
        self.again()

    def screen(self) -> Screen:
        digits = PASSWORD_DIGITS[role(self.operator)]
        lines = (("login.operator", ("", self.operator)), (self.prompt, digits), ("password.typed", ("", "*" * self.count)))
        return Screen(self.title, lines, keys=OK_CANCEL)

    def on_done(self, result: str) -> "State | None":
        operators = self.terminal.operators
        if result == "right":
            try:
                operators.right(self.operator)
            except StoreError:
                self.terminal.log("operator %s: the store refuses, his wrong tries stay counted" % self.operator)
            return self.on_right()
        if result == "wrong":
            self.terminal.sound("error")
            left = operators.wrong(self.operator)
            return self.on_wrong(left)
        return self.on_cancel()

    def on_right(self) -> "State | None":
        return home(self.terminal)

    def on_wrong(self, left: int) -> "State | None":
        """`left` tries are left, 0: locked."""
        if not left:
            return self.terminal.make_state("LockedOut", self.operator)
        return Notice(self.title, ("password.wrong", ("password.left", left)), style="alert")
