"""The terminal: what the states and the conversations share.

Ports by name, the parameters in force, the ledger, the operators, the calendar, the texts, and the little that is
known between two pages: who is logged in, the open transaction, the state of the parts. Built once a start by
`Terminal(ports, board)`; it reads the store and decides what the first page is (`first_state`).
"""

from binascii import crc32

from firmware import VERSION, calendar, chores
from firmware.emv.settings import Request, Settings
from firmware.iso8583 import fields, unionpay
from firmware.iso8583.codec import Codec
from firmware.ledger import Ledger
from firmware.operators import Operators
from firmware.parameters import Parameters
from firmware.ports import StoreError
from firmware.screens.texts import Texts
from firmware.settlement import Settlement
from firmware.sms import Messages
from firmware.tasks import Pause, Tasks
from firmware.tickets import Tickets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.draft import Draft
    from firmware.emv.torn import Torn
    from firmware.host.nightly import Nightly
    from firmware.machine import Machine, State
    from firmware.ports import Clock, Display, Vault
    from firmware.tasks import Task, Work


# What became of the money, by the phase of the record, and how the table's column `words` says the same.
MONEY = {"approved": "money.taken", "declined": "money.not_taken", "reversed": "money.returned"}
WORDS = {
    "back": {
        "money.taken": "money.given_back",
        "money.not_taken": "money.sale_stands",
        "money.returned": "money.sale_stands_again",
        "money.unknown": "money.back_unknown",
    },
    "refund": {
        "money.taken": "money.given_back",
        "money.not_taken": "money.not_refunded",
        "money.returned": "money.not_refunded",
        "money.unknown": "money.back_unknown",
    },
    "held": {
        "money.taken": "money.held",
        "money.not_taken": "money.not_held",
        "money.returned": "money.not_held_again",
        "money.unknown": "money.held_unknown",
    },
    "changed": {"money.not_taken": "money.sale_stands", "money.returned": "money.sale_stands_again"},
    "taken": {"money.not_taken": "money.still_held", "money.returned": "money.still_held_again"},
    "freed": {
        "money.taken": "money.freed",
        "money.not_taken": "money.still_held",
        "money.returned": "money.still_held_again",
        "money.unknown": "money.freed_unknown",
    },
}
OF_ORIGINAL = ("back", "freed", "changed", "taken")  # words that speak of an original: before there is one nothing was taken


class Terminal:
    """One device from power on to power off.

    machine      the machine that was built on it
    make_state   (name, *arguments) -> State; set with the next two by `states.first.power_on`
    first        draft -> the State of its first step
    rest         fen -> the first State of a sale of what another has left to be paid
    after        step -> the State of the step that follows in the open transaction
    once_more    tries that it counts as -> the open transaction anew: the State of the step that reads its card
    operator     the number of who is logged in, "" for nobody
    draft        the open transaction, or None
    parts        port -> "starting", "ready", "failed", "gone", as far as the parts have said
    power        percent left, None where nobody measures
    reports      defects so far
    card_left    a card that was read stands in the slot, as far as is known: it must not pay twice
    """

    machine: "Machine"
    make_state: "Callable[..., State]"
    first: "Callable[[Draft], State]"
    after: "Callable[[str], State]"
    once_more: "Callable[[int], State]"
    rest: "Callable[[int], State]"

    def __init__(self, ports: "dict[str, Any]", board: "dict[str, Any]") -> None:
        """ports: name -> port, those that the board has. board: {"name", "mode", "parameters"}. Raises StoreError."""
        self.ports = ports
        self.board = board
        self.version = VERSION
        self.mode = board.get("mode", "test")  # the board's, not a parameter: nothing that is stored makes a device productive
        self.display: Display = ports["display"]
        self.vault: Vault = ports["vault"]
        self._clock: Clock = ports["clock"]
        self.tickets = Tickets()
        self.tasks = Tasks(ports, self.tickets, self.now_ms)
        self.parameter = Parameters(ports["store"], board.get("parameters"))
        self.texts = Texts(self.language)
        self.ledger = Ledger(ports["store"])
        self.settlement = Settlement(ports["store"])
        self.messages = Messages(ports["store"])
        self.operators = Operators(ports["store"], self.parameter, self.now_ms)
        self.calendar = calendar.Calendar(self._clock, self.parameter("time.zone_minutes"))
        counters = self.ledger.counters
        self.calendar.restore(counters["offset_s"], bool(counters["confirmed"]), counters["at_s"])
        self.codec = self._codec()
        self.chores = chores.Chores(ports["store"], self.now_ms)
        self.operator = ""
        self.draft: Draft | None = None
        self.parts: dict[str, str] = {}
        self.power: int | None = None
        self.reports = 0
        self.card_left = False
        self._emv: Settings | None = None
        self._torn: Torn | None = None
        self.reached = False  # the host has answered the last message
        self._carried = False  # something would have carried a message, when the network last said that it had changed
        self.mac_errors = 0  # replies in a row whose MAC was wrong
        self.key_serial: bytes | None = None  # DUKPT: the number of the key that the vault would use now
        self._session_open = False
        self._resolving = False
        self._resolver: Task | None = None  # the round of reversals that goes on behind the pages
        self._between: Task | None = None  # the pause between two rounds
        self._upload_asked = False  # the host wants what was approved without it before it goes on
        self._in_vain = False  # the last round met nobody
        self._signing: Task | None = None  # the sign-on that goes on behind the pages
        self._keeping: Task | None = None  # what writes the locks down
        self._nightly: Nightly | None = None  # the settlement by the clock
        self._doing: Task | None = None  # what the host has asked for, done behind the pages

    @property
    def language(self) -> str:
        """The language in force: the parameter's, unless the panel has no glyphs for it."""
        wanted = self.parameter("language")
        return wanted if self.display.chinese else "en"

    # -- time
    def now_ms(self) -> int:
        """Milliseconds since power on: monotonic."""
        return self._clock.ticks_ms()

    def calendar_stamp(self) -> str:
        """Now, local, as YYYYMMDDhhmmss."""
        return calendar.stamp(self.calendar.now())

    def clock_jumped(self, ms: int) -> None:
        """Somebody set the board's clock, by so many ms. The offset to it is written: after a restart the old one were wrong."""
        self.calendar.jumped(ms)
        try:
            self.ledger.note(offset_s=self.calendar.offset_s, confirmed=False)
        except StoreError:
            self.log("the clock's offset cannot be written")

    # -- parts
    def has(self, port: str) -> bool:
        """Whether the board has it at all; `parts` says how it is."""
        return port in self.ports

    def sound(self, name: str) -> None:
        """A tone of `ports.Sound`, where there is one."""
        if "sound" in self.ports:
            self.ports["sound"].play(name)

    def light(self, name: str) -> None:
        """A pattern of `ports.Light`, where there are lamps."""
        if "light" in self.ports:
            self.ports["light"].show(name)

    def log(self, text: str) -> None:
        """A line for the technician; nothing secret in it."""
        if "log" in self.ports:
            self.ports["log"].line(text)

    def report(self, where: str, fault: Exception) -> str:
        """Notes a defect and gives it a code that the help line can look up: where and what kind, never a value."""
        self.reports += 1
        kind = type(fault).__name__
        code = "%04X" % (crc32(("%s %s" % (where, kind)).encode()) & 0xFFFF)
        self.log("fault %s: %s in %s" % (code, kind, where))
        return code

    def log_damage(self) -> None:
        """What was found unreadable at the start, a line each."""
        found = (
            ("parameter", self.parameter.bad),
            ("ledger", self.ledger.damaged),
            ("settlement", self.settlement.damaged),
            ("operator", self.operators.bad),
        )
        for what, names in found:
            for name in names:
                self.log("damaged: %s %s" % (what, name))

    def unusable(self) -> str:
        """Why nobody may log in at all: "wiped" or "broken" keys, "unapproved" vault, "unprovisioned"; "" when all is well."""
        if self.vault.state in ("wiped", "broken"):
            return self.vault.state
        if self.mode == "production" and not self.vault.approved:
            return "unapproved"
        return "unprovisioned" if self.parameter.missing() or self.vault.state == "empty" else ""

    # -- parameters that change while it runs
    def put_in_force(self, names: "list[str]") -> None:
        """These parameters have new values: what was made of the old ones is forgotten."""
        self._emv = None
        if "host.fields" in names:
            self.codec = self._codec()
        if "language" in names:
            self.texts = Texts(self.language)
        if "terminal.number" in names or "merchant.number" in names or "host.keys" in names:
            self.signed_off()

    def _codec(self) -> Codec:
        quirks = self.parameter("host.fields")
        return Codec(fields.quirks(quirks)) if quirks else unionpay.codec()

    # -- the host
    def where(self) -> "dict[str, Any]":
        """The host, as `ports.Link.connect` takes it."""
        p = self.parameter
        return {
            "address": p("host.address"),
            "port": p("host.port"),
            "tls": p("host.tls"),
            "authority": p("host.authority"),
            "connect_ms": p("host.connect_ms"),
            "bearers": tuple(p("network.order")),
        }

    def corner(self) -> str:
        """What would carry a message now, as `screens.Screen.corner` has it; "" where the board has no link."""
        if not self.has("link"):
            return ""
        bearers = {row["name"]: row for row in self.ports["link"].bearers() if row["state"] == "up"}
        for name in self.parameter("network.order"):
            if name in bearers:
                bars = bearers[name]["bars"]
                return name if name == "ethernet" else "%s %d" % (name, 4 if bars is None else bars)
        return "none"

    def network_changed(self) -> None:
        """The network has changed. It may know the time, which a board without a clock of its own does not; and where there is a
        way to the host again, what it has to hear of goes at once. Raises ports.StoreError."""
        carries = self.corner() not in ("", "none")
        under_way = self.draft is not None and self.draft.record is not None  # its own conversation goes on, and resolves it
        if carries and not self._carried and not under_way and self._open():
            self.upload_now()
            self.resolve_behind()
        self._carried = carries
        now_s = self.ports["modem"].network_time() if self.has("modem") else None
        if now_s is not None and not self.calendar.confirmed:
            self.calendar.set_by_network(now_s)
            self.ledger.note(offset_s=self.calendar.offset_s, confirmed=True)

    def sms_came(self, message: "tuple[str, str, str]") -> None:
        """A text message came: sender, stamp or "", text. Kept, so that the merchant can read it. Raises ports.StoreError."""
        sender, stamp, text = message
        self.messages.keep(sender, stamp or self.calendar_stamp(), text)

    def signed_on(self) -> bool:
        """Working keys are there, and the last sign-on is not older than its hours."""
        needed = "dukpt" if self.parameter("host.keys") == "dukpt" else "mac"
        if not self._session_open or self.vault.check_value(needed) is None:
            return False
        age = self._clock.utc_s() - self.ledger.counters["signed_on_s"]
        return 0 <= age < self.parameter("host.sign_on_hours") * 3600

    def signed_on_now(self, batch: int) -> None:
        """The host has answered a sign-on: its batch number (0: none named), our clock. Raises ports.StoreError.

        The reply is not signed, and a new number would put this batch's sales out of reach of void and totals: it is taken
        only while the batch is empty.
        """
        self._session_open = True
        ours = self.ledger.counters["batch"]
        if batch and batch != ours and self.ledger.holds_something():
            self.log("sign-on: the host names batch %06d, ours holds sales: %06d is kept" % (batch, ours))
            batch = ours
        self.ledger.note(
            batch=batch or ours,
            signed_on_s=self._clock.utc_s(),
            offset_s=self.calendar.offset_s,
            confirmed=self.calendar.confirmed,
            at_s=self.calendar.floor_s,
        )

    def signed_off(self) -> None:
        """The working keys count no more: the next conversation signs on first."""
        self._session_open = False

    # -- cards
    def emv_settings(self) -> Settings:
        """The kernel's settings. Its CVM limit is reached at the amount itself, ours beyond it: so it is one fen higher."""
        if self._emv is None:
            rows = [dict(row) for row in self.parameter("emv.aids")]
            for row in rows:
                row["cvm_limit_fen"] = self.parameter("pin.free_fen") + 1
                row["cvm_default"] = "signature" if self.parameter("pin.card_may_waive") else "online-pin"
            switches = dict(self.parameter("emv.switches"))
            switches.setdefault("pin_bypass", self.parameter("pin.bypass"))
            keys = self._authority_keys()
            self._emv = Settings(rows, self.parameter("emv.terminal"), keys, self.parameter("emv.revoked"), switches)
        return self._emv

    def _authority_keys(self) -> "list[dict]":
        """The certification authority keys in force. Test keys prove nothing to a device that takes real money."""
        keys = self.parameter("emv.keys")
        if self.mode == "production" and keys and keys[0]["kind"] != "live":
            self.log("test keys of card schemes are not used in production")
            return []
        return keys

    def expired_keys(self) -> int:
        """How many certification authority keys are past their day."""
        today = self.calendar_stamp()[:8]
        return len([key for key in self.parameter("emv.keys") if key.get("expiry") and key["expiry"] < today])

    def emv_request(self, draft: "Draft") -> Request:
        """What the card is told of this tap: a new unpredictable number each time."""
        stamp = self.calendar_stamp()
        unpredictable = self.ports["random"].random(4)
        chance = int.from_bytes(self.ports["random"].random(2), "big") % 99
        counter = self.ledger.next_trace()
        kind, online = draft.row.emv_type, not draft.row.offline or self.offline_full()
        request = Request(draft.fen, stamp[2:8], stamp[8:], unpredictable, counter, kind, 0, chance, online)
        if self._torn is None:
            from firmware.emv.torn import Torn  # with the kernels, not before the first page

            self._torn = Torn()
        request.torn = self._torn
        request.number_only = draft.row.card == "number"
        return request

    def can_keep(self) -> bool:
        """Whether the store takes a record now: asked before a card is made to approve without its bank."""
        try:
            self.ledger.note()
        except StoreError:
            self.log("the store refuses: nothing is approved offline")
            return False
        return True

    def offline_full(self) -> bool:
        """Whether so much is owed to the host that nothing more is taken without it."""
        return self.ledger.owed >= int(self.parameter("offline.limit"))

    def may_approve(self, fen: int) -> bool:
        """Whether some card may approve this amount with the terminal alone, before anybody has tried to reach the host."""
        limits = [(row.floor_limit_fen or 0, row.terminal_floor_limit_fen or 0) for row in self.emv_settings().applications]
        return any([fen <= contactless or fen < contact for contactless, contact in limits])

    # -- the background: what goes on behind the pages
    def sign_on_behind(self) -> None:
        """Signs on without keeping anybody waiting."""
        if self._going_on(self._signing) or self.signed_on() or self.vault.state != "ready":
            return
        from firmware.host import session  # nothing of it is needed for the first page

        self._signing = self.tasks.start(session.sign_on_alone(self))

    def _going_on(self, task: "Task | None") -> bool:
        return task is not None and not task.ended

    def resolve_behind(self, at_once: bool = True) -> None:
        """Reverses what is unknown and delivers what the host is owed, now (or after `reversal.again_s`) until nothing is left.

        While a transaction is open it waits: that one resolves on its own way to the host. A host that answers again after
        a round that met nobody is not kept waiting.
        """
        back = at_once and self._in_vain and self.reached
        if (self._upload_asked or back) and self.draft is None:
            self._upload_asked = self._in_vain = False
            self.tasks.cancel(self._between)
            at_once, self._resolving = True, self._going_on(self._resolver)
        try:
            if self._resolving or not self._open() or self.vault.state != "ready" or self.settlement.frozen:
                return
        except StoreError:
            self.log("what is to be reversed cannot be read")
            return
        self._resolving = True
        if at_once and self.draft is None:
            from firmware.host import resolve  # not before the first page, where nothing is open

            self._resolver = self.tasks.start(resolve.resolve(self), self._resolved)
        else:
            self._resolved(None)

    def upload_now(self) -> None:
        """The host wants what was approved without it (code 79): the next round does not wait for its time."""
        self._upload_asked = True

    def required(self, name: str) -> None:
        """The header of a reply asks for something (`frame.REQUIREMENTS`): kept, and done after the transaction."""
        chores.required(self.chores, name, self.log)

    def chores_behind(self) -> None:
        """Does what the host has asked for, where nobody waits for it; looks once a power-on for parameters that others set."""
        busy = self._going_on(self._doing) or self.draft is not None or self.settlement.running is not None
        if busy or self.vault.state != "ready":
            return
        from firmware.host import download  # nothing of it is needed for the first page

        if download.wanted(self):
            self._doing = self.tasks.start(download.behind(self))

    def stop_chores(self) -> None:
        """What goes on of them ends here; what it has received is kept for the next try."""
        self.tasks.cancel(self._doing)

    def make_way(self) -> None:
        """A transaction goes to the host now, and resolves what is open itself: nobody waits for the background to do it."""
        self.stop_chores()
        if self._going_on(self._resolver):
            self.tasks.cancel(self._resolver)
            self._resolved(None)

    def _open(self) -> bool:
        """Whether the host has to hear of something: a reversal, a notice."""
        return bool(self.ledger.to_reverse() or self.ledger.to_repeat() or self.ledger.notices())

    def _resolved(self, _result: object) -> None:
        self._in_vain = not self.reached
        if self._open():
            self._between = self.tasks.start(self._later(self.parameter("reversal.again_s") * 1000), self._again)
        else:
            self._resolving = False

    def _later(self, ms: int) -> "Work[None]":
        yield Pause(ms)

    def _again(self, _result: object) -> None:
        self._resolving = False
        self.resolve_behind()

    def settle_behind(self) -> None:
        """Settles behind the pages, at `settle.time` or what was interrupted, while nobody does anything."""
        if self._nightly is None and (self.parameter("settle.time") or self.settlement.running is not None):
            from firmware.host.nightly import Nightly  # not before the first page

            self._nightly = Nightly(self)
        if self._nightly is not None:
            self._nightly.watch()

    def settle_in_front(self) -> None:
        """A page settles: what does so behind it stops, and the page goes on from there."""
        if self._nightly is not None:
            self._nightly.stop()

    def keep_locks(self) -> None:
        """Lets lock-outs run down while the device is on."""
        locked = any([self.operators.left_ms(number) for number in self.operators.numbers()])
        if locked and not self._going_on(self._keeping):
            self._keeping = self.tasks.start(self._later(60_000), self._minute)

    def _minute(self, _result: object) -> None:
        try:
            locked = self.operators.keep_time()
        except StoreError:
            locked = True
        if locked:
            self.keep_locks()

    # -- the open transaction
    @property
    def open_draft(self) -> "Draft":
        """The open transaction, for the pages that there are only while one is open."""
        assert self.draft is not None, "no transaction is open"
        return self.draft

    def abandon(self) -> None:
        """The page is left for good: the phase decides. What was sent has an unknown result now."""
        draft, self.draft = self.draft, None
        if draft is not None and draft.record is not None and draft.record["phase"] == "sent":
            try:
                stored = self.ledger.get(draft.record["id"])
                if stored is not None and stored["phase"] == "sent":
                    self.ledger.unknown(stored, unionpay.REASON_NO_ANSWER)
            except StoreError:
                self.log("the result of %s cannot be written" % draft.record["trace"])

    def money_state(self) -> str:
        """The key of the sentence that says what became of the money of the open transaction."""
        draft = self.draft
        if draft is None or draft.record is None:
            return self.money("money.not_taken")
        return self.money(MONEY.get(draft.record["phase"], "money.unknown"))

    def money(self, key: str) -> str:
        """The key of a sentence about the money as the open transaction means it: to a void "not taken" is "the sale stands"."""
        draft = self.draft
        if draft is None or draft.original is None and draft.row.words in OF_ORIGINAL and not draft.code:
            return key
        return WORDS.get(draft.row.words, {}).get(key, key)
