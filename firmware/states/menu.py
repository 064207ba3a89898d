"""The numbered menus. A row: text, what it needs, what it opens. Only what works is listed.

A menu has as many pages as it needs; the digit of a row is the same on every page.
"""

from firmware.host import messages, session
from firmware.machine import State
from firmware.reading import READERS
from firmware.screens import Screen
from firmware.slip import cells
from firmware.states import manage, query
from firmware.states.common import home
from firmware.states.login import Locked, OldPassword
from firmware.states.start import SelfTestPage
from firmware.states.steps import begin
from firmware.transactions import BALANCE, SALE, VOID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.terminal import Terminal

ROWS, COLUMNS = 4, 2  # below a title; two columns where every entry is short
SHORT = 8  # half-width cells that an entry has in two columns
CARD = (READERS, "link")

# text key, ports that it needs (of several in one place any), what it opens: the name of another menu, or terminal -> State
MENUS = {
    "clerk": (
        ("sale.title", CARD, lambda t: begin(t, SALE)),
        ("void.title", CARD, lambda t: begin(t, VOID)),
        ("balance.title", CARD, lambda t: begin(t, BALANCE)),
        ("menu.query", (), "query"),
        ("menu.print", ("printer",), "print"),
        ("menu.manage", (), "manage"),
    ),
    "supervisor": (
        ("menu.operators", (), "operators"),
        ("menu.query", (), "query"),
        ("menu.print", ("printer",), "print"),
        ("menu.manage", (), "manage"),
    ),
    "system": (
        ("menu.unlock_supervisor", (), lambda t: manage.unlock(t, "00")),
        ("menu.device", (), lambda t: manage.Device()),
        ("menu.language", (), manage.other_language),
        ("menu.manage", (), "manage"),
        ("menu.card_data", (), lambda t: manage.CardData()),
    ),
    "query": (
        ("query.list", (), lambda t: query.Transactions()),
        ("query.find", (), lambda t: query.FindTransaction()),
        ("menu.totals", (), lambda t: query.Totals()),
    ),
    "print": (
        ("menu.print_last", ("printer",), query.reprint_last),
        ("menu.print_any", ("printer",), lambda t: query.Transactions(True)),
    ),
    "manage": (
        ("menu.sign_on", ("link",), lambda t: manage.Working("menu.sign_on", session.sign_on_alone(t, False))),
        ("menu.sign_off", ("link",), lambda t: manage.SignOff()),
        ("menu.lock", (), lambda t: Locked(t.operator)),
        ("password.change", (), lambda t: OldPassword(t.operator)),
        ("menu.change_operator", (), lambda t: t.make_state("Login")),
        ("menu.echo", ("link",), lambda t: manage.Working("menu.echo", session.plain(t, messages.echo))),
        ("menu.self_test", (), lambda t: SelfTestPage()),
    ),
    "operators": (
        ("menu.operator_add", (), lambda t: manage.AddOperator()),
        ("menu.operator_remove", (), lambda t: manage.RemoveOperator()),
        ("menu.operator_unlock", (), lambda t: manage.UnlockOperator()),
        ("menu.operator_list", (), lambda t: manage.OperatorList()),
    ),
}
SUBMENUS = {"query": "menu.query", "print": "menu.print", "manage": "menu.manage", "operators": "menu.operators"}
MAIN = {"00": "supervisor", "99": "system"}


def _there(terminal: "Terminal", need: "str | tuple[str, ...]") -> bool:
    if isinstance(need, str):
        return terminal.has(need)
    return any([terminal.has(port) for port in need])


class Menu(State):
    """One menu. Back or cancel leads up; an idle main menu locks the device."""

    leads_to = (
        "Menu", "EnterAmount", "AskSupervisor", "FindOriginal", "PresentCard", "CardTrouble", "Blocked", "BatchFull",
        "ReaderMissing", "Transactions", "FindTransaction", "Totals", "PrintSlip", "Notice", "Working", "SignOff", "Locked",
        "OldPassword", "Login", "SelfTestPage", "AddOperator", "RemoveOperator", "UnlockOperator", "OperatorList", "Device",
        "CardData",
    )  # fmt: skip

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.page = 0

    def enter(self) -> None:
        terminal = self.terminal
        if not self.name:
            self.name = MAIN.get(terminal.operator, "clerk")
        self.deadline_ms = terminal.parameter("idle.lock_minutes") * 60_000
        self.again()
        self.items = [row for row in MENUS[self.name] if all([_there(terminal, need) for need in row[1]])]
        short = all([cells(terminal.texts(row[0])) <= SHORT for row in self.items])
        self.room = ROWS * COLUMNS if short else ROWS
        terminal.light("idle")
        terminal.sign_on_behind()
        # A round of reversals has just ended, or a restart began one; what is owed goes while the host is there.
        terminal.resolve_behind(at_once=bool(terminal.ledger.owed) and terminal.reached)

    def screen(self) -> Screen:
        terminal = self.terminal
        pages = (len(self.items) + self.room - 1) // self.room
        first = self.page * self.room
        rows = [(str(first + i + 1), row[0]) for i, row in enumerate(self.items[first : first + self.room])]
        if terminal.ledger.unresolved():
            state = "menu.unresolved"
        elif terminal.ledger.refused_uploads:
            state = "menu.refused"
        elif terminal.ledger.owed:
            state = "menu.owed"
        elif terminal.parts.get("printer") in ("failed", "gone"):
            state = "menu.no_printer"
        elif not terminal.signed_on():
            state = "menu.signed_off"
        else:
            state = ""
        more = ("", " %d/%d" % (self.page + 1, pages)) if pages > 1 else ""
        heading = SUBMENUS[self.name] if self.name in SUBMENUS else ("menu.operator", ("", terminal.operator))
        return Screen(("menu.heading", heading, state, more), menu=rows)

    def on_digit(self, digit: int) -> "State | None":
        if not 1 <= digit <= len(self.items):
            self.terminal.sound("error")
            return None
        opens = self.items[digit - 1][2]
        return Menu(opens) if isinstance(opens, str) else opens(self.terminal)

    def on_down(self) -> None:
        self.page += 1
        if self.page * self.room >= len(self.items):
            self.page = 0

    def on_back(self) -> "State | None":
        return self.on_cancel()

    def on_cancel(self) -> "State | None":
        if self.name in SUBMENUS:
            return home(self.terminal)
        return None

    def on_deadline(self) -> "State | None":
        return Locked(self.terminal.operator)
