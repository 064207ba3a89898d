"""Sign-on, sign-off, operators, the device: what is not a transaction."""

from firmware.events import VAULT_DONE
from firmware.host import messages, session
from firmware.machine import State
from firmware.operators import CLERK, FACTORY, role
from firmware.screens import Screen
from firmware.states.common import HOME, OK, OK_CANCEL, Digits, Notice, Page, home
from firmware.states.result import NotSent
from firmware.tasks import Ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.screens import Wording
    from firmware.tasks import Work
    from firmware.terminal import Terminal


class Working(State):
    """Runs a conversation and says how it ended."""

    leads_to = HOME + ("Notice",)
    deadline_ms = 120_000

    def __init__(self, title: str = "menu.echo", conversation: "Work[str] | None" = None) -> None:
        self.title = title
        self.conversation = conversation

    def enter(self) -> "State | None":
        if self.conversation is None:
            return home(self.terminal)
        self.run(self.conversation)
        return None

    def screen(self) -> Screen:
        return Screen(self.title, ("online.connecting",), keys=("key.cancel", ""), progress=30)

    def on_done(self, why: str) -> "State | None":
        if not why:
            return self.well()
        what = ("why.code", ("", why[5:])) if why.startswith("code ") else NotSent.WORDS.get(why, "why.network")
        return Notice(self.title, (what, NotSent.DO.get(why, "card.do.later")), style="alert", sound="error")

    def well(self) -> "State | None":
        return Notice(self.title, ("manage.done",), sound="ok")

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class SignOff(Working):
    """签退: tells the host, and the operator is logged out."""

    def __init__(self) -> None:
        super().__init__("menu.sign_off")

    def enter(self) -> "State | None":
        self.conversation = session.plain(self.terminal, lambda t: messages.sign_off(t, t.ledger.spend_trace()))
        return super().enter()

    def well(self) -> "State | None":
        self.terminal.signed_off()
        self.terminal.operator = ""
        return super().well()


class OperatorNumber(Digits):
    """Asks for a clerk's number and does something with it."""

    leads_to = HOME + ("Notice",)
    most = 2
    title = "menu.operators"

    def __init__(self) -> None:
        super().__init__()
        self.problem = ""

    def screen(self) -> Screen:
        return Screen(self.title, (self.problem or "operators.prompt", ("login.number", ("", self.typed))), keys=OK_CANCEL)

    def on_digit(self, digit: int) -> None:
        self.problem = ""
        super().on_digit(digit)

    def on_confirm(self) -> "State | None":
        number = self.typed if len(self.typed) == 2 else "0" + self.typed
        if not self.typed:
            return None
        problem = self.check(number)
        if problem:
            self.problem = problem
            self.typed = ""
            self.terminal.sound("error")
            return None
        return self.do(number)

    def check(self, number: str) -> str:
        """The key of why not, or ""."""
        return "" if self.terminal.operators.exists(number) else "login.nobody"

    def do(self, number: str) -> "State | None":
        return home(self.terminal)

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class _ByVault(OperatorNumber):
    """The vault must do it first: it keeps the passwords."""

    method = ""
    done = ""
    hints = ()  # type: tuple[str, ...]

    def do(self, number: str) -> "State | None":
        self.number = number
        self.run(self._ask(number))
        return None

    def _ask(self, number: str) -> "Work[bool]":
        event = yield Ask("vault", self.method, number)
        return event.name == VAULT_DONE

    def on_done(self, good: bool) -> "State | None":
        if not good:
            return Notice(self.title, ("why.keys",), style="alert")
        self.write(self.number)
        return Notice(self.title, ((self.done, ("", self.number)),) + self.hints, sound="ok")

    def write(self, number: str) -> None:
        """What the store keeps of it."""


class AddOperator(_ByVault):
    """A new clerk: the vault gives him a password, then the store his record."""

    title = "menu.operator_add"
    done = "operators.added"
    hints = ("operators.first_password",)
    method = "add_operator"

    def check(self, number: str) -> str:
        if self.terminal.operators.exists(number):
            return "operators.exists"
        return "" if role(number) == CLERK else "operators.clerks_only"

    def write(self, number: str) -> None:
        self.terminal.operators.add(number)


class RemoveOperator(_ByVault):
    """The store first: whoever is not in it cannot log in, even if the vault could not forget him."""

    title = "menu.operator_remove"
    done = "operators.removed"
    method = "remove_operator"

    def check(self, number: str) -> str:
        if number in FACTORY:
            return "operators.not_this"
        return super().check(number)

    def do(self, number: str) -> "State | None":
        self.terminal.operators.remove(number)
        return super().do(number)


class UnlockOperator(OperatorNumber):
    """Ends the lock of an operator whom the one who is logged in may unlock."""

    title = "menu.operator_unlock"

    def check(self, number: str) -> str:
        if not self.terminal.operators.exists(number):
            return "login.nobody"
        return "" if self.terminal.operators.may_unlock(self.terminal.operator, number) else "operators.clerks_only"

    def do(self, number: str) -> "State | None":
        return unlock(self.terminal, number)


class OperatorList(Page):
    """Who there is, as many as a page holds; down turns it."""

    PAGE = 21

    def __init__(self) -> None:
        self.first = 0

    def screen(self) -> Screen:
        numbers = self.terminal.operators.numbers()[self.first : self.first + self.PAGE]
        lines = [("", " ".join(numbers[at : at + 7])) for at in range(0, len(numbers), 7)]
        return Screen("menu.operator_list", lines, keys=OK)

    def on_down(self) -> None:
        self.first += self.PAGE
        if self.first >= len(self.terminal.operators.numbers()):
            self.first = 0


def unlock(terminal: "Terminal", number: str) -> State:
    """Ends the lock of an operator, and says so."""
    terminal.operators.unlock(number)
    return Notice("menu.operator_unlock", (("operators.unlocked", ("", number)),), sound="ok")


def other_language(terminal: "Terminal") -> State:
    """Chinese to English and back."""
    from firmware import changes

    changes.put(terminal, {"language": "en" if terminal.parameter("language") == "zh" else "zh"}, changes.MENU)
    return Notice("changes.name.language", ("manage.done",), sound="ok")


class CardData(Page):
    """Which cards the device takes, whose keys it trusts, and how long."""

    def screen(self) -> Screen:
        terminal = self.terminal
        keys = terminal.parameter("emv.keys")
        expired = terminal.expired_keys()
        ends = sorted([key["expiry"] for key in keys if key.get("expiry") and key["expiry"] >= terminal.calendar_stamp()[:8]])
        lines: list[Wording] = [
            ("cards.applications", len(terminal.parameter("emv.aids")), len(keys)),
            "cards.kind." + (keys[0]["kind"] if keys else "none"),
        ]
        if expired:
            lines.append(("cards.expired", expired))
        elif ends:
            lines.append(("cards.next", ("", "%s-%s-%s" % (ends[0][:4], ends[0][4:6], ends[0][6:]))))
        lines.append(("cards.listed", terminal.ledger.exceptions()))
        return Screen("menu.card_data", lines, style="alert" if expired else "")


class Device(Page):
    """Who the device is: numbers, host, vault."""

    def screen(self) -> Screen:
        p = self.terminal.parameter
        vault = self.terminal.vault
        check = vault.check_value("master")
        lines = (
            ("device.terminal", ("", p("terminal.number"))),
            ("", p("merchant.number")),
            ("", "%s:%d" % (p("host.address"), p("host.port"))),
            ("device.key", ("", "".join(["%02X" % b for b in check]) if check else "-")),
        )
        return Screen("menu.device", lines)
