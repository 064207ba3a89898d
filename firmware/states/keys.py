"""The keys: what is in the slots, a master key by two people, a master key from the host.

    KeyStatus
    PickCipher ── digit ──> TypeMaster ── over, cancel, time ──> KeyDone ──> home
    FetchMaster ─────────────────────────────────────────────────> KeyDone

While a component or the password is typed the keypad is the vault's. What is typed here is a check value, which is no secret:
the digits that two people compare.
"""

from firmware.machine import State
from firmware.screens import Screen
from firmware.states.common import HOME, OK_CANCEL, Notice, Page, home
from firmware.states.result import NotSent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.host.keys import Outcome, Stage
    from firmware.screens import Wording
    from firmware.terminal import Terminal

SLOTS = ("master", "transport", "pin", "mac", "track", "dukpt")
ROWS = 4
CIPHERS = {"tdes": "3DES", "aes": "AES", "sm4": "SM4"}
KINDS = (("tdes", 16), ("tdes", 24), ("sm4", 16), ("aes", 16), ("aes", 24), ("aes", 32))  # cipher, bytes
LETTERS = "ABCDEF"
CHECK_DIGITS = 6
FAR = {"installing": 80, "signing-on": 90}


class KeyStatus(Page):
    """Which slots hold a key, of which cipher, and its check value; down turns the page."""

    leads_to = HOME + ("KeyStatus",)
    deadline_ms = 120_000

    def __init__(self, first: int = 0) -> None:
        self.first = first

    def screen(self) -> Screen:
        vault = self.terminal.vault
        lines: list[Wording] = []
        for slot in SLOTS[self.first : self.first + ROWS]:
            check, cipher = vault.check_value(slot), vault.cipher(slot)
            what = "-"
            if check is not None:
                what = "%s %s" % (CIPHERS.get(cipher or "", "?"), "".join(["%02X" % b for b in check]))
            lines.append(("keys.row", "keys.slot." + slot, ("", what)))
        return Screen("menu.keys", lines)

    def on_down(self) -> "State | None":
        return KeyStatus(0 if self.first + ROWS >= len(SLOTS) else self.first + ROWS)


def hindered(terminal: "Terminal") -> "State | None":
    """The page that says why no key may change now, if there is a reason."""
    from firmware.host import keys  # nothing of it is needed for the first page

    why = keys.hindrance(terminal)
    return Notice("menu.keys", ("keys.hindered." + why, "keys.kept", "keys.settle"), "alert", "error") if why else None


class PickCipher(State):
    """What the new master key is for."""

    leads_to = HOME + ("TypeMaster", "Notice")

    def enter(self) -> "State | None":
        return hindered(self.terminal)

    def screen(self) -> Screen:
        rows = [(str(place + 1), ("", "%s %d" % (CIPHERS[kind[0]], 8 * kind[1]))) for place, kind in enumerate(KINDS)]
        return Screen("keys.pick", menu=rows)

    def on_digit(self, digit: int) -> "State | None":
        if not 1 <= digit <= len(KINDS):
            self.terminal.sound("error")
            return None
        return TypeMaster(*KINDS[digit - 1])

    def on_cancel(self) -> "State | None":
        return home(self.terminal)


class TypeMaster(State):
    """Two people, two components, three check values. However it ends, the vault forgets the components."""

    leads_to = HOME + ("KeyDone",)
    deadline_ms = 120_000

    def __init__(self, cipher: str = "tdes", size: int = 16) -> None:
        self.cipher = cipher
        self.size = size
        self.stage: Stage | None = None
        self.typed = ""
        self.shifted = False

    def enter(self) -> None:
        from firmware.host import keys

        self.run(keys.type_master(self.terminal, self.cipher, self.size))

    def leave(self) -> None:
        self.terminal.vault.drop_components()

    def on_told(self, stage: "Stage") -> None:
        self.again()
        if self.stage is None or stage.name != self.stage.name:
            self.typed = ""
            self.shifted = False
        self.stage = stage

    def _comparing(self) -> bool:
        return self.stage is not None and self.stage.name in ("check", "whole")

    def screen(self) -> Screen:
        stage = self.stage
        if stage is None:
            return Screen("menu.keys")
        if stage.name in FAR:
            return Screen("menu.keys", ("keys." + stage.name,), progress=FAR[stage.name])
        if stage.name == "password":
            again: Wording = ("password.left", stage.left) if stage.left else "keys.second_person"
            return Screen("supervisor.title", (again, ("password.typed", ("", "*" * stage.count))), keys=OK_CANCEL)
        title: Wording = ("keys.component", stage.part) if stage.part else "keys.whole"
        if stage.name == "component":
            who = ("keys.who", ("", self.terminal.operator if stage.part == 1 else "00"))
            return Screen(title, (who, ("keys.count", stage.count, 2 * self.size), "keys.letters"), keys=OK_CANCEL)
        shown = self.typed + ("+" if self.shifted else "")
        return Screen(title, (("keys.check", ("", stage.check)), "keys.compare", ("keys.typed", ("", shown))), keys=OK_CANCEL)

    def on_digit(self, digit: int) -> None:
        shifted, self.shifted = self.shifted, False
        if not self._comparing():
            return
        sign = str(digit) if not shifted else LETTERS[digit - 1 : digit] if digit else ""
        if sign and len(self.typed) < CHECK_DIGITS:
            self.typed += sign
        else:
            self.terminal.sound("error")

    def on_down(self) -> None:
        self.shifted = self._comparing() and not self.shifted

    def on_clear(self) -> None:
        self.typed = ""
        self.shifted = False

    def on_back(self) -> None:
        if not self.shifted:
            self.typed = self.typed[:-1]
        self.shifted = False

    def on_confirm(self) -> None:
        if not self._comparing():
            return
        if len(self.typed) < CHECK_DIGITS:
            self.terminal.sound("error")
            return
        typed, self.typed, self.shifted = self.typed, "", False
        self.answer(typed)

    def on_done(self, outcome: "Outcome") -> "State | None":
        return KeyDone(outcome)

    def on_cancel(self) -> "State | None":
        from firmware.host import keys

        if self.stage is not None and self.stage.name in FAR:  # the key is being changed: that ends by itself
            return None
        return KeyDone(keys.Outcome(keys.STOPPED))


class FetchMaster(State):
    """The host is asked for the master key. What it sends it uses itself from then on, so nobody stops this half-way."""

    leads_to = HOME + ("KeyDone", "Notice")
    deadline_ms = 600_000  # never reached: each wait of the conversation has its own limit

    def __init__(self) -> None:
        self.stage = "online.connecting"

    def enter(self) -> "State | None":
        hindrance = hindered(self.terminal)
        if hindrance is not None:
            return hindrance
        from firmware.host import keys

        self.terminal.stop_chores()
        self.run(keys.fetch_master(self.terminal))
        return None

    def on_told(self, stage: "Any") -> None:
        self.stage = "keys." + stage.name

    def screen(self) -> Screen:
        return Screen("keys.fetch", (self.stage,), progress=30)

    def on_done(self, outcome: "Outcome") -> "State | None":
        return KeyDone(outcome)

    def on_deadline(self) -> "State | None":
        return home(self.terminal)


class KeyDone(Page):
    """What came of it: the new key and whether the host has the same; or why not, and that the old keys are kept."""

    deadline_ms = 120_000
    DO = {
        "no-transport": "keys.do.transport", "batch": "keys.settle", "storage": "do.store", "diversified": "doctor.do.code",
        "none": "doctor.do.code",
    }  # fmt: skip

    def __init__(self, outcome: "Outcome | None" = None) -> None:
        self.outcome = outcome

    def enter(self) -> None:
        good = self.outcome is not None and not self.outcome.why and not self.outcome.signed
        self.terminal.sound("ok" if good else "error")

    def screen(self) -> Screen:
        from firmware.host import keys

        outcome = self.outcome or keys.Outcome(keys.STOPPED)
        if outcome.why:
            do = self.DO.get(outcome.why, "keys.again")
            return Screen("keys.not_changed", (words(outcome.why), "keys.kept", do), style="alert")
        new = ("keys.new", ("", outcome.check))
        if not outcome.signed:
            return Screen("keys.changed", (new, "keys.agreed"))
        other = "keys.disagreed" if outcome.signed == "load" else "keys.unproven"
        return Screen("keys.changed", (new, words(outcome.signed), other, "keys.after"), style="alert")


def words(why: str) -> "Wording":
    """Why, in a line."""
    from firmware.host import keys

    if why in keys.WHY or why == "batch":
        return "keys.why." + why
    if why.startswith("code "):
        return ("why.code", ("", why[5:]))
    return NotSent.WORDS.get(why, "why.network")
