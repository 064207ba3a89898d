"""A new master key: by components that two people type, or by the host under the transport key; then a sign-on under it.

    type_master   who      does                                            it goes on when
                  99       types component 1 into the vault                all digits are there
                  99       types its check value from his paper            it is the component's
                  00       types his password                              it is right
                  00       types component 2, then its check value         as above
                  either   types the check value of the whole              the vault finds the same
                  nobody   the key is put in its slot; sign-on             -

    fetch_master  0800/999: field 62 asks for the key of the parameter `host.master_id`. The reply's field 62 is

                  B and 32 (48, 64) hexadecimal digits of the key, enciphered under the transport key, and 8 of its check value
                  C: the same, diversified by terminal, trace and reference number first: not taken
                  a TR-31 key block (ANSI X9.143) under the transport key

Dual control: the one who is logged in and the supervisor, each with his own password, and neither knows the other's component.
The vault keeps the components in its memory alone; whoever runs `type_master` has them dropped in the end (`drop_components`).

A new master key takes the working keys away, and the host makes new ones under the key that it has: the sign-on is the proof
that both are the same. Until then nothing has been proven, and the pages say so. A key changes only between two batches: what
is open needs the keys that it was made with (`hindrance`).

Source: reference/host.md §3 (TMK download), §4; reference/products.md §1.1, §1.3.
"""

from binascii import hexlify, unhexlify

from firmware import changes
from firmware.events import SECRET_READY, SECRET_TYPED, VAULT_DONE
from firmware.host import messages
from firmware.host.session import VAULT_MS, exchange, sign_on
from firmware.ports import StoreError
from firmware.tasks import Ask, Hold, More, Tell, Turn
from firmware.transactions import MASTER_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.events import Event
    from firmware.host.messages import Fields
    from firmware.tasks import Work
    from firmware.terminal import Terminal

CHECK_DIGITS = 6  # of a check value, that a person types
SUPERVISOR = "00"
MASTER_SIZES = (16, 24, 32)
CHECK_SIZES = (4, 3)
ENCIPHERED, DIVERSIFIED = b"B", b"C"
HEXADECIMAL = b"0123456789ABCDEFabcdef"
LOG_NAME = "key.master"  # in the log of changes
STOPPED = "stopped"

# What hinders a new key -> whether it is so.
HINDRANCES = (
    ("settling", lambda t: t.settlement.running is not None),
    ("reversal", lambda t: t.ledger.left_open() == "reversal"),
    ("notice", lambda t: t.ledger.left_open() == "notice"),
    ("batch", lambda t: t.ledger.left_open() == "batch"),
)
# Why a master key was not taken. Besides these: why of `session.Answer`, "code NN".
WHY = (
    "different",  # the check value that was typed is another
    "component",  # two that make no key
    STOPPED,  # by cancel
    "factory",  # the supervisor still has the password that everybody knows
    "locked",  # he is locked out
    "unusable",  # the vault makes no key of what came
    "diversified",  # a reply of type C
    "none",  # the reply holds no key
    "no-transport",  # there is no key that it could come under
    "storage",  # the vault cannot keep it
)


class Stage:
    """How far the typing of a master key is, for the page.

    name     "component", "check", "password", "whole", "installing", "signing-on"
    part     1 or 2, the component that it is about; 0: the whole
    count    digits that the vault has taken
    check    the check value to compare, 8 hexadecimal digits
    left     tries that the supervisor has left after a wrong password, 0: none was wrong
    """

    def __init__(self, name: str, part: int = 0, count: int = 0, check: str = "", left: int = 0) -> None:
        self.name = name
        self.part = part
        self.count = count
        self.check = check
        self.left = left


class Outcome:
    """What came of it.

    why      "" when the key is in its slot; else why not, with the old keys kept: of WHY, `session.Answer`, "code NN"
    check    check value of the new master key, 8 hexadecimal digits
    signed   what the sign-on under it came to, "" when host and terminal have the same keys; as of `session.sign_on`
    """

    def __init__(self, why: str = "", check: str = "", signed: str = "") -> None:
        self.why = why
        self.check = check
        self.signed = signed


def hindrance(terminal: "Terminal") -> str:
    """Why no key may change now: "settling", "reversal", "notice", "batch"; "" when one may."""
    for name, holds in HINDRANCES:
        if holds(terminal):
            return name
    return ""


def shown(check: "bytes | None") -> str:
    """A check value as people write it; "" for none."""
    return "" if check is None else hexlify(check).decode().upper()


# ---- two people


def type_master(terminal: "Terminal", cipher: str, size: int) -> "Work[Outcome]":
    """Components, check values, the supervisor, the whole -> Outcome. cipher, size in bytes: of the key. Tells a Stage at each
    step; at "check" and "whole" it holds until it is answered with the digits that were typed."""
    if terminal.operators.left_ms(SUPERVISOR):
        return Outcome("locked")
    if terminal.parameter("operators.force_change") and terminal.vault.is_factory(SUPERVISOR):
        return Outcome("factory")
    for part in (1, 2):
        if part == 2:
            why = yield from _supervisor(terminal)
            if why:
                return Outcome(why)
        yield Tell(Stage("component", part))
        event = yield Ask("vault", "enter_component", part, size, cipher, keep=True)
        event = yield from _typing(event, "component", part)
        if event.name != SECRET_READY:
            return _refused(event, "unusable")
        same = yield from _compared("check", part, event.value)
        if not same:
            return Outcome("different")
    event = yield Ask("vault", "install_master", cipher, b"", within_ms=VAULT_MS)
    if event.name != VAULT_DONE:
        return _refused(event, "component")
    whole = event.value
    same = yield from _compared("whole", 0, whole)
    if not same:
        return Outcome("different")
    if hindrance(terminal):
        return Outcome("batch")
    yield Tell(Stage("installing"))
    yield Turn("host")  # nobody uses a working key while they go
    before = terminal.vault.check_value("master")
    event = yield Ask("vault", "install_master", cipher, whole, within_ms=VAULT_MS)
    if event.name != VAULT_DONE:
        return _refused(event, "component")
    return (yield from _proven(terminal, before, changes.MENU))


def _supervisor(terminal: "Terminal") -> "Work[str]":
    """The second person proves himself -> "", or "locked", "stopped"."""
    operators = terminal.operators
    left = 0
    while True:
        yield Tell(Stage("password", 2, 0, "", left))
        event = yield Ask("vault", "enter_password", SUPERVISOR, "check", keep=True)
        event = yield from _typing(event, "password", 2, left)
        if event.name != SECRET_READY:
            return STOPPED
        if event.value == "right":
            try:
                operators.right(SUPERVISOR)
            except StoreError:
                terminal.log("operator %s: the store refuses, his wrong tries stay counted" % SUPERVISOR)
            return ""
        left = operators.wrong(SUPERVISOR)
        terminal.sound("error")
        if not left:
            return "locked"


def _typing(event: "Event", name: str, part: int, left: int = 0) -> "Work[Event]":
    """Tells the number of digits until the vault has what it wants."""
    while event.name == SECRET_TYPED:
        yield Tell(Stage(name, part, event.value, "", left))
        event = yield More(event.ticket)
    return event


def _compared(name: str, part: int, check: bytes) -> "Work[bool]":
    """Shows a check value, and is told what stands on the paper -> whether it is the same."""
    yield Tell(Stage(name, part, 0, shown(check)))
    typed = yield Hold()
    return bool(typed == shown(check)[:CHECK_DIGITS])


def _refused(event: "Event", bad: str) -> Outcome:
    """bad: what "bad-data" means here."""
    words = {"bad-data": bad, "check-value": "different", "storage": "storage"}
    return Outcome(words.get(event.value, STOPPED))


# ---- the host


def fetch_master(terminal: "Terminal") -> "Work[Outcome]":
    """Asks the host for the master key, takes it and signs on under it -> Outcome. Tells Stage("installing"), "signing-on"."""
    yield Turn("host")
    if terminal.vault.check_value("transport") is None:
        return Outcome("no-transport")
    if hindrance(terminal):
        return Outcome("batch")
    try:
        mti, fields = request(terminal)
    except StoreError:
        return Outcome("store")
    answer = yield from exchange(terminal, mti, fields, False)
    if answer.fields is None:
        return Outcome(answer.why)
    if answer.code != "00":
        return Outcome("code " + answer.code)
    try:
        block, check = parse(answer.fields.get(62, b""))
    except ValueError as error:
        terminal.log("master key: %s" % error)
        return Outcome(str(error))
    yield Tell(Stage("installing"))
    before = terminal.vault.check_value("master")
    event = yield Ask("vault", "load_keys", [("master", block, check)], within_ms=VAULT_MS)
    if event.name != VAULT_DONE:
        terminal.log("master key: refused: %s" % (event.value or "no answer"))
        return Outcome("storage" if event.value == "storage" else "unusable")
    return (yield from _proven(terminal, before, changes.HOST))


def request(terminal: "Terminal") -> "tuple[str, Fields]":
    """0800 with F60.3 999: MTI and fields (host.md §3). Raises ports.StoreError."""
    mti, fields = messages.management(terminal, MASTER_KEY, terminal.ledger.spend_trace())
    fields[62] = terminal.parameter("host.master_id").encode()
    return mti, fields


def parse(data: bytes) -> "tuple[bytes | str, bytes]":
    """(key enciphered, or key block; check value, b"" with a key block) of field 62 of a reply.

    ValueError, whose text is one of WHY: "none", "diversified".
    """
    text = data.rstrip(b" \x00")
    sizes = [(key, check) for key in MASTER_SIZES for check in CHECK_SIZES if len(text) == 1 + 2 * (key + check)]
    if sizes and all([digit in HEXADECIMAL for digit in text[1:]]):  # an odd number of signs, which no key block has
        if text[:1] == DIVERSIFIED:
            raise ValueError("diversified")
        if text[:1] == ENCIPHERED:
            key, _ = sizes[0]
            return unhexlify(text[1 : 1 + 2 * key]), unhexlify(text[1 + 2 * key :])
    if len(text) < 16 or len(text) % 2 or text[:1] not in (b"A", b"B", b"C", b"D", b"E") or text[1:5] != b"%04d" % len(text):
        raise ValueError("none")
    if not all([32 < sign < 127 for sign in text]):
        raise ValueError("none")
    return text.decode(), b""


# ---- behind both


def _proven(terminal: "Terminal", before: "bytes | None", by: str) -> "Work[Outcome]":
    """The new key stands: it is logged, and a sign-on says whether the host has the same. Only with the host's turn."""
    terminal.signed_off()
    check = shown(terminal.vault.check_value("master"))
    terminal.log("master key: %s, was %s" % (check, shown(before)))
    try:
        changes.put(terminal, {}, by, (), ((LOG_NAME, shown(before) or "-", check),))
    except StoreError:
        terminal.log("master key: the store refuses, its change is not in the log")
    yield Tell(Stage("signing-on"))
    why = yield from sign_on(terminal)
    return Outcome("", check, why)
