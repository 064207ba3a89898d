"""Every state is tried with every event: nothing raises, every move is declared, every page can be written in every language."""

import pytest

from drivers.render import Renderer
from emulator.world import World
from firmware import events, ports, tasks
from firmware.draft import Draft
from firmware.emv import ask
from firmware.events import Event
from firmware.host import keys
from firmware.host.authorise import Result
from firmware.host.messages import card_data
from firmware.host.settle import Outcome
from firmware.machine import GLOBAL_MOVES, UndeclaredMove
from firmware.states import catalogue, printing
from firmware.tasks import Ask
from firmware.transactions import (
    BALANCE,
    COMPLETE,
    INSTALMENT,
    MOTO,
    OFFLINE_SALE,
    REFERENCE,
    REFUND,
    SALE,
    TIP,
    VOID,
)

# Where a state may rest for ever: it waits for a person, or only the technician can help.
RESTING = ("Login", "Locked", "Tampered", "Stopping", "Unprovisioned", "VaultTrouble", "PowerLow")

CARD = (
    ("card-found", "A"), ("card-found", "B"),
    ("card-problem", "many"), ("card-problem", "unreadable"), ("card-problem", "reader-gone"),
    ("card-reply", b"\x90\x00"), ("card-reply", b""), ("card-reply", bytes(300)),
    ("card-lost", "removed"), ("card-gone", None),
)  # fmt: skip
SWIPES = (
    b"", b"%E?;E?", b"\xff" * 300, b";6225880000000000=30121010000000000?", b";6225880000000000=30122010000000000?",
    b";6225880000000000=20011010000000000?",
)  # fmt: skip
WORDS = ("right", "wrong", "weak", "set", "different")
REFUSED = [("vault-refused", why) for why in ("no-key", "check-value", "bad-data", "wiped")]

# What each request may be answered, by port and method.
ANSWERS = {
    ("contactless", "activate"): CARD,
    ("chip", "activate"): [("card-found", "T=0"), ("card-found", "T=1"), *CARD[3:]],
    ("stripe", "activate"): [("card-swiped", text) for text in SWIPES],
    ("vault", "enter_password"): [("secret-typed", 0), ("secret-typed", 3), ("secret-stopped", "cancel")]
    + [("secret-ready", word) for word in WORDS],  # "ok" is left to the flows: the vault itself must have said it
    ("vault", "enter_card"): [("secret-typed", 3), ("secret-ready", "6225880000000000"), ("secret-ready", "6225880000000008")]
    + [("secret-stopped", "cancel")],
    ("vault", "enter_sim_pin"): [("secret-typed", 4), ("secret-stopped", "cancel")]
    + [("secret-ready", word) for word in ("right", "wrong", "no-modem")],
    ("modem", "restart"): [("modem-done", None), ("modem-failed", "timeout")],
    ("vault", "enter_pin"): [("secret-typed", 2), ("secret-ready", bytes(8))]
    + [("secret-stopped", why) for why in ("cancel", "bypass")],
    ("vault", "verify_pin"): [("secret-typed", 2), ("secret-ready", 0x9000), ("secret-ready", 0x63C1)]
    + [("secret-stopped", why) for why in ("cancel", "bypass", "lost")],
    ("vault", "fingerprint"): [("vault-done", bytes(16))],
    ("vault", "mac"): [("vault-done", b"12345678")],
    ("vault", "check_mac"): [("vault-done", True), ("vault-done", False)],
    ("vault", "seal"): [("vault-done", b"sealed")],
    ("vault", "unseal"): [("vault-done", card_data("6225880000000000", "3012")), ("vault-done", b"\xff")],
    ("vault", "load_keys"): [("vault-done", None)],
    ("vault", "enter_component"): [("secret-typed", 31), ("secret-ready", bytes(4)), ("secret-stopped", "cancel")],
    ("vault", "install_master"): [("vault-done", bytes(4))],
    ("vault", "add_operator"): [("vault-done", None)],
    ("vault", "remove_operator"): [("vault-done", None)],
    ("link", "connect"): [("link-up", "ethernet"), ("link-step", ("tcp", 20))]
    + [("link-data", data) for data in (b"", b"\x00", bytes(200), b"\xff" * 3000)]
    + [("link-down", why) for why in ports.LINK_FAULTS],
    ("printer", "print"): [("print-done", None)]
    + [("print-stopped", (why, 0)) for why in ("paper-out", "cover-open", "too-hot", "silent")],
}
GLOBALS = (
    Event(events.TAMPER, 0, None),
    Event(events.LOW_POWER, 0, 50),
    Event(events.LOW_POWER, 0, 2),
    Event(events.STOP, 0, None),
    Event(events.CLOCK_JUMP, 0, 3_600_000),
    Event(events.CLOCK_JUMP, 0, -86_400_000),
)


def keep_record(world, phase, kind="sale", original=0):
    """A record in the ledger, in the phase asked for, as a sale would have left it."""
    terminal = world.terminal
    sealed = []
    terminal.tasks.start(_sealed(), sealed.append)
    world.run(100)
    record = {
        "kind": kind, "trace": "%06d" % terminal.ledger.next_trace(), "fen": 1234, "at": "20261120103400", "operator": "01",
        "entry": "07", "pin": False, "cvm": "none", "pan": "622588******0000", "sealed": sealed[0], "original": original,
        "sequence": "001", "reversal55": "9505000000000", "chip": [],
    }  # fmt: skip
    record["reversal55"] = "95050000000000"
    if original:
        record["undoes"] = {"trace": "000001", "batch": terminal.ledger.batch, "reference": "", "authorisation": "", "at": ""}
    terminal.ledger.sent(record, terminal.calendar.now_s())
    if phase == "approved":
        terminal.ledger.approved(record, {"code": "00", "reference": "123456789012", "authorisation": "654321"})
    if phase == "reversing":
        terminal.ledger.unknown(record, "98")
        terminal.ledger.tried(record)
    return record


def _sealed():
    from binascii import b2a_base64

    event = yield Ask("vault", "seal", card_data("6225880000000000", "3012"))
    return b2a_base64(event.value).decode().strip()


@pytest.fixture(params=["zh", "en"], autouse=True)
def language(request):
    LANGUAGE[:] = [request.param]


LANGUAGE = ["zh"]


def prepared():
    """A terminal with somebody logged in, one approved sale that waits for its slip, and an open draft."""
    world = World(parameters={"language": LANGUAGE[0]})
    world.power_on()
    world.run(3000)
    terminal = world.terminal
    terminal.operator = "01"
    world.run(200)
    world.kept = keep_record(world, "approved")
    terminal.draft = Draft(SALE)
    terminal.draft.fen = 1234
    return world


def full_draft(world, row=SALE):
    draft = world.terminal.draft = Draft(row)
    draft.fen = 1234 if row.money else 0
    draft.pan, draft.expiry = "6225880000000000", "3012"
    return draft


def _authorise(cls, world):
    full_draft(world)
    return cls()


def _taken(cls, world):
    full_draft(world).record = world.kept
    return cls(Result("approved", "00", "", world.kept))


def _balance(cls, world):
    draft = full_draft(world, BALANCE)
    draft.result = Result("approved", "00", "", None, {54: "1002156C000000012345"})
    return cls()


def _void(cls, world):
    world.terminal.draft = Draft(VOID)
    return cls()


def _printed(world):
    printed = printing.PrintSlip(world.kept)
    printed.terminal = world.terminal
    return printed


def _original(cls, world):
    world.terminal.draft = Draft(VOID)
    return cls(world.kept)


def _slip(cls, world):
    return cls(world.kept)


def _settled(cls, world):
    settlement = world.terminal.settlement
    settlement.begin(world.terminal.ledger, "20261120103400", "01")
    settlement.roll(world.terminal.ledger, "done", closed=2, left=[world.kept["id"]], denied=[[world.kept["id"], "96"]])
    return cls(settlement.last())


def _unsettled(cls, world):
    if world.terminal.settlement.running is None:
        world.terminal.settlement.begin(world.terminal.ledger, "20261120103400", "01")
    world.terminal.settlement.asking(world.terminal.ledger)
    return cls(Outcome("refused", "", "96"))


# How a state of a class comes to be, where its name alone is not enough.
def _of(row):
    def make(cls, world, *arguments):
        full_draft(world, row)
        return cls(*arguments)

    return make


MAKE = {
    "Password": lambda cls, w: cls("01"),
    "OldPassword": lambda cls, w: cls("01"),
    "LockedOut": lambda cls, w: cls("01"),
    "Locked": lambda cls, w: cls("01"),
    "Unlock": lambda cls, w: cls("01", "00"),
    "Authorise": _authorise,
    "EnterPin": _authorise,
    "PinLeftOut": _authorise,
    "ConfirmAmount": _authorise,
    "ShowBalance": _balance,
    "TypeLastFour": _authorise,
    "ReadChip": _authorise,
    "TakeCard": _taken,
    "ChooseApplication": lambda cls, w: cls(ask.Choose(["UnionPay Debit", "A VERY LONG NAME OF A CARD"] * 5)),
    "ChipPin": lambda cls, w: cls(ask.OfflinePin(ask.PLAINTEXT, tries_left=2)),
    "CheckDocument": lambda cls, w: cls(ask.CheckDocument("passport", "G12345678")),
    "Refer": lambda cls, w: cls(ask.Refer("01")),
    "Declined": lambda cls, w: cls(Result("declined", "55")),
    "NotSent": lambda cls, w: cls(Result("not-sent", "", "refused")),
    "PrintSlip": _slip,
    "PrintTrouble": _slip,
    "Approved": lambda cls, w: cls(_printed(w)),
    "NextCopy": lambda cls, w: cls(_printed(w)),
    "PrinterTrouble": lambda cls, w: cls(_printed(w), "cover-open"),
    "AskSupervisor": _void,
    "FindOriginal": _void,
    "PickOriginal": _void,
    "TypeReference": _of(REFUND),
    "TypeCode": _of(COMPLETE),
    "TypeDate": lambda cls, w: _of(REFUND)(cls, w, REFERENCE, "123456789012"),
    "TypeNumber": _of(MOTO),
    "TypeExpiry": _of(MOTO),
    "TypeApproval": _of(OFFLINE_SALE),
    "EnterTip": _of(TIP),
    "PickPeriods": _of(INSTALMENT),
    "Repeating": lambda cls, w: _of(REFUND)(cls, w, Result("repeating", "", "timeout", w.kept)),
    "AskRest": lambda cls, w: cls(500),
    "ConfirmOriginal": _original,
    "TransactionPage": _slip,
    "Notice": lambda cls, w: cls("password.title", ("password.wrong",)),
    "SettleTrouble": _unsettled,
    "SettleDone": _settled,
    "PrintSettlement": _settled,
    "AskPrint": _settled,
    "KeyDone": lambda cls, w: cls(keys.Outcome("", "0123ABCD", "load")),
}


def enter(world, cls):
    """Puts the machine into a state of the class, as a declared move would have."""
    machine = world.machine
    machine.tasks.cancel(machine._task)
    machine._task = None
    state = MAKE.get(cls.__name__, lambda cls, w: cls())(cls, world)
    machine.state = None
    machine._goes = state
    machine._follow()
    machine._draw()
    return state


RENDERER = Renderer((128, 64))


def all_texts(world):
    """The page of the state has all its words, all its glyphs, and fits."""
    screen = world.terminal.texts.resolve(world.machine.state.screen())
    assert RENDERER.fits(screen) == [], world.state
    words = [screen.title, screen.big, *screen.lines, *screen.keys, *(text for _, text in screen.menu)]
    assert RENDERER.missing("".join(words)) == "", world.state


def waiting(world):
    """(ticket, request) of every answer that some task waits for now."""
    owners = world.terminal.tickets._owners
    return [
        (ticket, task.tickets[ticket])
        for ticket, task in sorted(owners.items())
        if isinstance(task, tasks.Task) and ticket in task.tickets
    ]


@pytest.mark.parametrize("cls", catalogue.ALL, ids=lambda cls: cls.__name__)
def test_each_key_is_taken_or_ignored_in_each_state(cls):
    world = prepared()
    for key in events.KEYS:
        enter(world, cls)
        world.machine.handle(Event(events.KEY, 0, key))
        all_texts(world)
        if world.machine.stopped:
            world = prepared()


@pytest.mark.parametrize("cls", catalogue.ALL, ids=lambda cls: cls.__name__)
def test_each_answer_is_taken_in_each_state_to_any_depth(cls):
    """Every answer to what the state asks, and to what it asks then, in all orders of three."""
    seen = set()

    def go(path):
        world = prepared()
        enter(world, cls)
        for place, name, value in path:
            ticket, _ = waiting(world)[place]
            world.machine.handle(Event(name, ticket, value))
            all_texts(world)
        pending = waiting(world)
        if not pending or len(path) == 3:
            return
        asks = tuple((asked.port, asked.method) for _, asked in pending)
        here = (world.state, asks, len(path), path[-1][1] if path else "")
        if here in seen:
            return
        seen.add(here)
        for place, (port, method) in enumerate(asks):
            refused = REFUSED if port == "vault" else []
            for name, value in list(ANSWERS[port, method]) + refused:
                go([*path, (place, name, value)])

    go([])


@pytest.mark.parametrize("cls", catalogue.ALL, ids=lambda cls: cls.__name__)
def test_an_answer_of_the_wrong_kind_or_to_a_closed_ticket_is_dropped_and_counted(cls):
    world = prepared()
    enter(world, cls)
    tickets = world.terminal.tickets
    dropped = tickets.dropped
    for name in events.ANSWERS:
        world.machine.handle(Event(name, 10_000_000, None))
    assert tickets.dropped == dropped + len(events.ANSWERS)
    for ticket, asked in waiting(world):
        for name in events.ANSWERS:
            if name not in tasks.ANSWERS[asked.port]:
                before = tickets.dropped
                world.machine.handle(Event(name, ticket, None))
                assert tickets.dropped == before + 1


@pytest.mark.parametrize("cls", catalogue.ALL, ids=lambda cls: cls.__name__)
def test_each_global_event_and_each_part_is_handled_in_each_state(cls):
    for event in GLOBALS:
        world = prepared()
        enter(world, cls)
        world.machine.handle(event)
        all_texts(world)
        if event.name == events.TAMPER:
            assert world.vault.state == "wiped" and world.state == "Tampered"
        if event.name == events.STOP:
            assert world.machine.stopped or world.machine.state.untouchable
    world = prepared()
    for part in ("contactless", "chip", "stripe", "printer", "display", "keypad"):
        for state in events.PART_STATES:
            enter(world, cls)
            world.machine.handle(Event(events.PART, 0, (part, state)))
            all_texts(world)


@pytest.mark.parametrize("cls", catalogue.ALL, ids=lambda cls: cls.__name__)
def test_each_state_has_a_deadline_and_a_way_out(cls):
    assert 0 < cls.deadline_ms <= 3_600_000
    world = prepared()
    enter(world, cls)
    if cls.__name__ in RESTING:
        world.run(8_000_000)
        assert world.state in (cls.__name__, "Stopping") or world.state in HOMES
        return
    for _ in range(20):
        if world.state in HOMES:
            return
        world.run(700_000)
    raise AssertionError("%s never ends: %s" % (cls.__name__, world.state))


HOMES = RESTING + ("Menu",)


def test_every_declared_move_names_a_state_and_every_state_can_be_reached():
    names = {cls.__name__ for cls in catalogue.ALL}
    reached = {"SelfTest"} | set(GLOBAL_MOVES)
    for source, target in catalogue.moves():
        assert target in names, "%s leads to %s, which is no state" % (source, target)
        reached.add(target)
    assert names <= reached, sorted(names - reached)


def test_an_undeclared_move_is_refused():
    world = prepared()
    enter(world, catalogue.BY_NAME["Totals"])
    world.machine._goes = catalogue.BY_NAME["EnterAmount"]()
    with pytest.raises(UndeclaredMove):
        world.machine._follow()


def test_a_defect_in_the_field_ends_on_the_fault_page_and_never_stops_the_terminal():
    world = prepared()
    world.machine.strict = False
    state = enter(world, catalogue.BY_NAME["EnterAmount"])
    state.on_digit = lambda digit: 1 // 0
    world.machine.handle(Event(events.KEY, 0, "1"))
    assert world.state == "Fault"
    assert world.terminal.texts("money.not_taken") in world.text
    world.type("ENTER")
    assert world.state == "Menu"
