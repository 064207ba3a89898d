"""The network doctor: where on the way to the bank it stops, step by step, in plain words.

    sim            the SIM is there and open                 4G only
    registration   the network has taken us in, and is strong enough   4G only
    ip             the bearer has given us an address
    name           the host's name has an address
    tcp            the host takes a connection
    tls            it is who it says it is                   where the host speaks TLS
    echo           it answers a message

It looks at the bearer that would carry the next message, or where none would, at the first one that there is. Every step has
its time. The first that fails ends it: what is behind it cannot be tried. A finding has a report code for the telephone:
N, the number of the step, two digits for what was wrong with it.
"""

from firmware.events import LINK_DOWN, LINK_STEP, LINK_UP
from firmware.host import messages
from firmware.host.session import LINK_GRACE_MS, exchange
from firmware.ports import LINK_FAULTS
from firmware.tasks import Ask, Close, More, Pause, Tell, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.tasks import Work
    from firmware.terminal import Terminal

STEPS = ("sim", "registration", "ip", "name", "tcp", "tls", "echo")

# What may be wrong, in the order of the report code's digits. Only ever added to.
FAULTS = (
    ("no-modem", "sim-absent", "sim-pin", "sim-puk", "sim-unknown", "no-signal", "searching", "denied", "radio-off", "no-address")
    + LINK_FAULTS
    + ("garbled", "mac", "mismatch", "code", "no-key", "store")
)  # fmt: skip

PASSING = ("sim-unknown", "searching")
PATIENCE_MS, LOOK_AGAIN_MS = 20_000, 500

REGISTERED = ("home", "roaming")
REGISTRATION_FAULTS = {"searching": "searching", "denied": "denied", "off": "radio-off", "unknown": "searching"}


class Finding:
    """One step. ms: how long it took; fault: of FAULTS, "" where it is well; None for ms: it was passed over."""

    def __init__(self, step: str, ms: "int | None", fault: str = "", detail: str = "") -> None:
        self.step = step
        self.ms = ms
        self.fault = fault
        self.detail = detail

    @property
    def code(self) -> str:
        """The report code; "" where nothing is wrong."""
        return "N%d%02d" % (STEPS.index(self.step) + 1, FAULTS.index(self.fault)) if self.fault else ""


def examine(terminal: "Terminal") -> "Work[list[Finding]]":
    """All steps up to the first that fails -> the findings. Tells each Finding as it is made, and the name of the step that
    begins."""
    yield Turn("host")
    found: list[Finding] = []

    def note(finding: Finding) -> "Work[bool]":
        found.append(finding)
        yield Tell(finding)
        return not finding.fault

    bearer = _bearer(terminal)
    good = True
    for step, look in (("sim", _sim), ("registration", _registration)):
        if good:
            yield Tell(step)
            finding = Finding(step, None)
            if bearer == "modem":
                finding = yield from _patient(terminal, look)
            good = yield from note(finding)
    if good:
        yield Tell("ip")
        good = yield from note(_address(terminal, bearer))
    if good:
        good = yield from _connected(terminal, bearer, note)
    if good:
        yield Tell("echo")
        yield from note((yield from _echo(terminal)))
    return found


def _bearer(terminal: "Terminal") -> str:
    """What would carry the next message; without any the first of the order that the device has; "" for none."""
    rows = {row["name"]: row["state"] for row in terminal.ports["link"].bearers()}
    order = terminal.parameter("network.order")
    for name in order:
        if rows.get(name) == "up":
            return str(name)
    if terminal.has("modem"):
        return "modem"
    there = [name for name in order if name in rows]
    return str(there[0]) if there else ""


def _patient(terminal: "Terminal", look: "Callable[[Terminal], Finding]") -> "Work[Finding]":
    """What `look` finds, once it is past what passes by itself: a module that starts, a network that is looked for."""
    begun = terminal.now_ms()
    while True:
        finding = look(terminal)
        finding.ms = terminal.now_ms() - begun
        if finding.fault not in PASSING or finding.ms >= PATIENCE_MS:
            return finding
        yield Pause(LOOK_AGAIN_MS)


def _sim(terminal: "Terminal") -> Finding:
    if terminal.ports["modem"].state in ("failed", "gone"):
        return Finding("sim", 0, "no-modem")
    sim = terminal.ports["modem"].status()["sim"]
    return Finding("sim", 0, "" if sim == "ready" else "sim-" + sim)


def _registration(terminal: "Terminal") -> Finding:
    status = terminal.ports["modem"].status()
    if status["registered"] in REGISTERED:
        return Finding("registration", 0, "", status["operator"])
    if status["registered"] != "denied" and not status["bars"]:
        return Finding("registration", 0, "no-signal")
    return Finding("registration", 0, REGISTRATION_FAULTS.get(status["registered"], "searching"))


def _address(terminal: "Terminal", bearer: str) -> Finding:
    for row in terminal.ports["link"].bearers():
        if row["name"] == bearer and row["state"] == "up":
            return Finding("ip", 0, "", row["address"])
    return Finding("ip", 0, "no-address")


# Where a fault of the link belongs that does not say it itself: the step after the last one that was done.
OF_FAULT = {"name": "name", "refused": "tcp", "unreachable": "tcp", "no-network": "ip"}
BEHIND = {"": "name", "bearer": "name", "name": "tcp", "tcp": "tls", "tls": "echo"}


def _connected(terminal: "Terminal", bearer: str, note: "Callable[[Finding], Work[bool]]") -> "Work[bool]":
    where = terminal.where()
    where["steps"] = True
    if bearer:
        where["bearers"] = (bearer,)
    wanted = ["name", "tcp"] + (["tls"] if where["tls"] else [])
    done = ""
    yield Tell("name")
    within_ms = where["connect_ms"] + LINK_GRACE_MS
    event = yield Ask("link", "connect", where, within_ms=within_ms, keep=True)
    while event.name == LINK_STEP:
        done, ms = event.value
        if done in wanted:
            wanted.remove(done)
            yield from note(Finding(done, ms))
            yield Tell(BEHIND[done])
        event = yield More(event.ticket, within_ms=within_ms)
    if event.name == LINK_UP:
        yield Close(event.ticket)
        for step in wanted:  # a step that the bearer does without (an address needs no name)
            yield from note(Finding(step, None))
        if not where["tls"]:
            yield from note(Finding("tls", None))
        return True
    why = event.value if event.name == LINK_DOWN else "timeout"
    step = "tls" if why[:3] == "tls" else OF_FAULT.get(why) or BEHIND[done]
    yield from note(Finding(step, 0, why))
    return False


def _echo(terminal: "Terminal") -> "Work[Finding]":
    begun = terminal.now_ms()
    mti, fields = messages.echo(terminal)
    answer = yield from exchange(terminal, mti, fields, False)
    ms = terminal.now_ms() - begun
    if answer.fields is None:
        return Finding("echo", ms, answer.why if answer.why in FAULTS else "broken")
    return Finding("echo", ms, "" if answer.code == "00" else "code", answer.code)
