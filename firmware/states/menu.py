"""The numbered menus. A row: text, what it needs, what it opens. Only what works is listed.

A menu has as many pages as it needs; the digit of a row is the same on every page.
"""

from firmware.host import messages, session
from firmware.machine import State
from firmware.reading import READERS
from firmware.screens import Screen
from firmware.slip import cells
from firmware.states import download, keys, manage, network, query, settle
from firmware.states.common import home
from firmware.states.login import Locked, OldPassword
from firmware.states.start import SelfTestPage
from firmware.states.steps import begin
from firmware.transactions import (
    ADJUST,
    BALANCE,
    COMPLETE,
    COMPLETE_NOTICE,
    COMPLETE_VOID,
    INSTALMENT,
    MOTO,
    OFFLINE_SALE,
    PREAUTH,
    PREAUTH_ADD,
    PREAUTH_VOID,
    REFUND,
    SALE,
    TIP,
    VOID,
    Transaction,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.screens import Wording
    from firmware.terminal import Terminal

ROWS, COLUMNS = 4, 2  # below a title; two columns where every entry is short
SHORT = 8  # half-width cells that an entry has in two columns
CARD = (READERS, "link")

MODULES = ("module.offline", "module.tip", "module.moto", "module.instalment")


def _row(row: Transaction) -> tuple:
    """The entry of a transaction: there where its module is switched on, and the readers that it needs."""
    needs = CARD if row.card else ("link",)
    return (row.title, needs + ((row.module,) if row.module else ()), lambda t: begin(t, row))


# text key, ports and switches that it needs (of several in one place any), what it opens: the name of another menu, or
# terminal -> State
MENUS = {
    "clerk": (
        _row(SALE),
        _row(VOID),
        _row(BALANCE),
        ("menu.query", (), "query"),
        ("menu.print", ("printer",), "print"),
        ("menu.manage", (), "manage"),
        _row(REFUND),
        ("menu.preauth", ("module.preauth",), "preauth"),
        ("menu.other", (MODULES,), "other"),
    ),
    "preauth": tuple([_row(row) for row in (PREAUTH, COMPLETE, COMPLETE_NOTICE, PREAUTH_VOID, COMPLETE_VOID, PREAUTH_ADD)]),
    "other": tuple([_row(row) for row in (OFFLINE_SALE, ADJUST, TIP, MOTO, INSTALMENT)]),
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
        ("menu.keys", (), "keys"),
    ),
    "keys": (
        ("keys.status", (), lambda t: keys.KeyStatus()),
        ("keys.type", (), lambda t: keys.PickCipher()),
        ("keys.fetch", ("link",), lambda t: keys.FetchMaster()),
    ),
    "query": (
        ("query.list", (), lambda t: query.Transactions()),
        ("query.find", (), lambda t: query.FindTransaction()),
        ("menu.totals", (), lambda t: query.Totals()),
    ),
    "print": (
        ("menu.print_last", ("printer",), query.reprint_last),
        ("menu.print_any", ("printer",), lambda t: query.Transactions(True)),
        ("menu.print_totals", ("printer",), lambda t: settle.print_now(t, settle.TOTALS)),
        ("menu.print_details", ("printer",), lambda t: settle.print_now(t, settle.DETAILS)),
        ("menu.print_settlement", ("printer",), settle.print_last),
    ),
    "manage": (
        ("menu.sign_on", ("link",), lambda t: manage.Working("menu.sign_on", session.sign_on_alone(t, False))),
        ("menu.sign_off", ("link",), lambda t: manage.SignOff()),
        ("menu.lock", (), lambda t: Locked(t.operator)),
        ("password.change", (), lambda t: OldPassword(t.operator)),
        ("menu.change_operator", (), lambda t: t.make_state("Login")),
        ("menu.net", ("link",), "net"),
        ("menu.self_test", (), lambda t: SelfTestPage()),
        ("menu.download", (), "download"),
        ("menu.settle", ("link",), lambda t: settle.AskSettle()),
    ),
    "download": (
        ("download.parameters", ("link",), lambda t: download.Download("parameters")),
        ("download.card-applications", ("link",), lambda t: download.Download("card-applications")),
        ("download.card-keys", ("link",), lambda t: download.Download("card-keys")),
        ("download.blacklist", ("link",), lambda t: download.Download("blacklist")),
        ("download.contactless-limits", ("link",), lambda t: download.Download("contactless-limits")),
        ("download.status-upload", ("link",), lambda t: download.Download("status-upload")),
        ("download.to_do", (), lambda t: download.ToDo()),
        ("changes.title", (), lambda t: download.ChangeLog()),
        ("fees.title", (), lambda t: download.Fees()),
    ),
    "net": (
        ("menu.doctor", ("link",), lambda t: network.Doctor()),
        ("menu.network", ("link",), lambda t: network.Network()),
        ("menu.echo", ("link",), lambda t: manage.Working("menu.echo", session.plain(t, messages.echo))),
        ("menu.sms", ("modem",), lambda t: network.TextMessages()),
        ("menu.sim_pin", ("modem",), lambda t: network.SimPin()),
        ("menu.restart_modem", ("modem",), lambda t: network.RestartModem()),
    ),
    "operators": (
        ("menu.operator_add", (), lambda t: manage.AddOperator()),
        ("menu.operator_remove", (), lambda t: manage.RemoveOperator()),
        ("menu.operator_unlock", (), lambda t: manage.UnlockOperator()),
        ("menu.operator_list", (), lambda t: manage.OperatorList()),
    ),
}
SUBMENUS = {
    "preauth": "menu.preauth", "other": "menu.other", "query": "menu.query", "print": "menu.print", "manage": "menu.manage",
    "net": "menu.net", "operators": "menu.operators", "download": "menu.download", "keys": "menu.keys",
}  # fmt: skip
MAIN = {"00": "supervisor", "99": "system"}


def _there(terminal: "Terminal", need: "str | tuple[str, ...]") -> bool:
    if not isinstance(need, str):
        return any([_there(terminal, one) for one in need])
    return terminal.parameter(need) if need.startswith("module.") else terminal.has(need)


class Menu(State):
    """One menu. Back or cancel leads up; an idle main menu locks the device."""

    leads_to = (
        "Menu", "Doctor", "Network", "TextMessages", "SimPin", "RestartModem", "EnterAmount", "AskSupervisor",
        "FindOriginal", "TypeReference", "TypeCode", "PresentCard", "CardTrouble", "Blocked", "BatchFull", "OfflineFull",
        "ReaderMissing", "Transactions", "FindTransaction", "Totals", "PrintSlip", "Notice", "Working", "SignOff", "Locked",
        "OldPassword", "Login", "SelfTestPage", "AddOperator", "RemoveOperator", "UnlockOperator", "OperatorList", "Device",
        "CardData", "Download", "ToDo", "ChangeLog", "Fees", "Announce", "AskSettle", "Settle", "SettleDone",
        "PrintSettlement", "KeyStatus", "PickCipher", "FetchMaster",
    )  # fmt: skip

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.page = 0

    def enter(self) -> "State | None":
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
        terminal.resolve_behind(at_once=terminal.reached and bool(terminal.ledger.owed or terminal.ledger.to_repeat()))
        terminal.chores_behind()
        terminal.settle_behind()
        return settle.waiting(terminal) or download.announcement(terminal)

    def screen(self) -> Screen:
        terminal = self.terminal
        pages = (len(self.items) + self.room - 1) // self.room
        first = self.page * self.room
        rows = [(str(first + i + 1), row[0]) for i, row in enumerate(self.items[first : first + self.room])]
        if terminal.settlement.frozen:
            state = "menu.frozen"
        elif terminal.ledger.unresolved():
            state = "menu.unresolved"
        elif terminal.ledger.unanswered():
            state = "menu.unanswered"
        elif terminal.ledger.refused_uploads:
            state = "menu.refused"
        elif terminal.ledger.owed:
            state = "menu.owed"
        elif terminal.parts.get("printer") in ("failed", "gone"):
            state = "menu.no_printer"
        elif not terminal.signed_on():
            state = "menu.signed_off"
        elif terminal.chores.given_up():
            state = "menu.to_do"
        elif terminal.chores.noted and terminal.operator in MAIN:
            state = "menu.noted"
        elif terminal.messages.unread():
            state = "menu.new_sms"
        else:
            state = ""
        if self.name in SUBMENUS:
            state = ""  # the main menu says it, and there is no room for all
        more = ("", " %d/%d" % (self.page + 1, pages)) if pages > 1 else ""
        if self.name in SUBMENUS:
            heading: Wording = SUBMENUS[self.name]
        elif state and more:
            heading = ("", terminal.operator)  # there is no room for more
        else:
            heading = ("menu.operator", ("", terminal.operator))
        return Screen(("menu.heading", heading, state, more), menu=rows, corner=terminal.corner())

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
