"""Conversations with the host, as tasks (`firmware.tasks`): one message there and its reply, and the plain ones.

    exchange    one message there and its reply back
    sign_on     0800: working keys, batch number, the clock
    plain       sign-off, echo

What a transaction makes of it is in `authorise`, what ends the unknown in `resolve`.

Only one conversation runs at a time: each begins with Turn("host").

What a reply must be to count (host.md §6): of this trace and terminal, of the same amount and processing code,
decodable, and with a valid MAC where the profile asks for one. Anything else is no answer.
"""

from binascii import unhexlify

from firmware.events import LINK_DATA, LINK_DOWN, LINK_UP, VAULT_DONE
from firmware.host import messages
from firmware.iso8583 import codes, frame, unionpay
from firmware.iso8583.codec import Iso8583Error
from firmware.ports import StoreError
from firmware.tasks import Ask, Close, More, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.events import Event
    from firmware.host.messages import Fields
    from firmware.ports import Link
    from firmware.tasks import Work
    from firmware.terminal import Terminal

MAC_ERRORS = 3  # in a row: then the keys are taken to differ (host.md §4)
VAULT_MS = 15_000  # a vault that says nothing for so long must not hold up the host's turn for ever
LINK_GRACE_MS = 1000  # the link keeps the time of a connection; one that does not is given up so much later
SIGN_ON_REQUIRED = "sign-on"  # in a reply's header (host.md §1)


class Answer:
    """What became of one exchange.

    sent     bytes left the terminal (or may have)
    fields   the reply's fields when a whole, matching, well-signed reply came, else None
    why      when fields is None: "refused", "timeout", "closed" ... (link), "store", "no-key", "rekeyed" (what was made with
             a key that holds no more), "garbled", "mac", "mismatch"
    """

    def __init__(self, sent: bool, fields: "Fields | None" = None, why: str = "") -> None:
        self.sent = sent
        self.fields = fields
        self.why = why

    @property
    def code(self) -> str:
        """F39, two characters; "" without a reply."""
        return self.fields.get(39, "") if self.fields is not None else ""


class Line:
    """A connection that is kept over several exchanges (host.md §1).

    A host that ends it between two messages gets the second one on a new connection, and from then on a connection a message:
    only messages that may arrive twice go this way.
    """

    def __init__(self) -> None:
        self.ticket = 0  # of the connection, 0 while there is none
        self.lasting = True

    def close(self) -> "Work[None]":
        """Ends the connection, if there is one."""
        if self.ticket:
            yield Close(self.ticket)
            self.ticket = 0


def exchange(
    terminal: "Terminal",
    mti: str,
    fields: "Fields",
    signed: bool,
    before_send: "Callable[[], object] | None" = None,
    serial: "bytes | None" = None,
    line: "Line | None" = None,
) -> "Work[Answer]":
    """One request and its reply -> Answer.

    signed: the request carries F64 and its reply is checked for one. before_send: called when the connection stands
    and before the first byte leaves; a StoreError of it means that nothing is sent. serial: of the DUKPT key that the PIN
    block was made with; without one a signed message takes the next. line: the connection is kept for the next exchange on it.
    """
    if signed:
        if terminal.parameter("host.keys") == "dukpt":
            if serial is None:
                serial = yield from next_serial(terminal)
            if serial is None:
                return Answer(False, None, "no-key")
            if serial != terminal.key_serial:  # the vault would make the MAC with a key that the host does not look for
                return Answer(False, None, "rekeyed")
            where = terminal.parameter("host.ksn_field")
            fields[where] = serial + fields.get(where, b"")
        fields[64] = bytes(8)
        body = terminal.codec.pack(mti, fields)[:-8]
        event = yield Ask("vault", "mac", body, terminal.parameter("host.mac"), within_ms=VAULT_MS)
        if event.name != VAULT_DONE:
            return Answer(False, None, "no-key")
        body += event.value
    else:
        body = terminal.codec.pack(mti, fields)
    packet = frame.pack(unhexlify(terminal.parameter("host.tpdu")), unhexlify(terminal.parameter("host.header")), body)

    shared, line = line is not None, line or Line()
    kept = line.ticket != 0
    if not kept:
        why = yield from _connected(terminal, line)
        if why:
            return Answer(False, None, why)
    if before_send is not None:
        try:
            before_send()
        except StoreError:
            yield from line.close()
            return Answer(False, None, "store")
    link: Link = terminal.ports["link"]
    link.send(line.ticket, packet)
    answer = yield from _reply(terminal, line.ticket, mti, fields, signed)
    if kept and answer.why in ENDED:
        line.lasting = False
        yield from line.close()
        why = yield from _connected(terminal, line)
        if why:
            return Answer(True, None, why)
        link.send(line.ticket, packet)
        answer = yield from _reply(terminal, line.ticket, mti, fields, signed)
    terminal.reached = answer.fields is not None
    terminal.chores.counted(terminal.reached)
    if not shared or not line.lasting or answer.fields is None:
        yield from line.close()
    return answer


ENDED = ("closed", "broken")  # what a connection says that the host ended while nobody spoke


def _connected(terminal: "Terminal", line: Line) -> "Work[str]":
    """Opens the line -> "" or why there is none."""
    where = terminal.where()
    event = yield Ask("link", "connect", where, within_ms=where["connect_ms"] + LINK_GRACE_MS, keep=True)
    if event.name != LINK_UP:
        terminal.reached = False
        terminal.chores.counted(False)
        return _why(event)
    line.ticket = event.ticket
    return ""


def next_serial(terminal: "Terminal") -> "Work[bytes | None]":
    """The DUKPT series moved on -> the key serial number, None when the vault cannot."""
    event = yield Ask("vault", "next_transaction", within_ms=VAULT_MS)
    terminal.key_serial = event.value if event.name == VAULT_DONE else None
    return terminal.key_serial


def _why(event: "Event") -> str:
    """Why there is no line, or no answer on it."""
    return event.value if event.name == LINK_DOWN else "timeout"


def _reply(terminal: "Terminal", ticket: int, mti: str, sent: "Fields", signed: bool) -> "Work[Answer]":
    """Waits for the reply that belongs to what was sent -> Answer."""
    deframer = frame.Deframer(len(terminal.parameter("host.header")) // 2)
    until = terminal.now_ms() + terminal.parameter("host.reply_ms")
    passed = 0
    while True:
        left = until - terminal.now_ms()
        if left <= 0:  # bytes that never stop are no answer either
            return Answer(True, None, "timeout")
        event = yield More(ticket, within_ms=left)
        if event.name != LINK_DATA:
            return Answer(True, None, _why(event))
        try:
            deframer.feed(event.value)
            while True:
                packet = deframer.next()
                if packet is None:
                    break
                reply_mti, reply = terminal.codec.unpack(packet.body)
                if not messages.belongs(mti, sent, reply_mti, reply):
                    if not passed:  # one line, however many come
                        terminal.log("host: a reply of another message was passed over")
                    passed += 1
                    continue
                return (yield from _judge(terminal, packet, mti, sent, reply, signed))
        except (frame.FrameError, Iso8583Error) as error:
            terminal.log("host: undecodable reply: %s" % error)
            if isinstance(error, Iso8583Error):
                terminal.log("host: " + error.image)
            return Answer(True, None, "garbled")


def _mac_wanted(terminal: "Terminal", mti: str, code: str) -> bool:
    """Whether a reply counts only with a valid MAC: whatever moves money or ends a reversal does, a decline by parameter."""
    ends = codes.REVERSED_CODES if mti == "0400" else ()
    return codes.approved(code) or code in ends or terminal.parameter("host.mac_on_declines")


def _judge(terminal: "Terminal", packet: frame.Frame, mti: str, sent: "Fields", reply: "Fields", signed: bool) -> "Work[Answer]":
    """A reply to this request: is it one that counts?"""
    field = messages.mismatch(mti, sent, reply)
    if field:
        terminal.log("host: reply contradicts the request in field %d" % field)
        return Answer(True, None, "mismatch")
    code = reply.get(39, "")
    if signed and (64 in reply or _mac_wanted(terminal, mti, code)):
        good = False
        if 64 in reply:
            method = terminal.parameter("host.mac")
            event = yield Ask("vault", "check_mac", packet.body[:-8], reply[64], method, within_ms=VAULT_MS)
            good = event.name == VAULT_DONE and event.value
        if not good:
            terminal.log("host: MAC of the reply is wrong or missing")
            terminal.mac_errors += 1
            if code in codes.SIGN_ON_CODES or terminal.mac_errors >= MAC_ERRORS:
                terminal.signed_off()  # the keys differ: sign on before the next message
            return Answer(True, None, "mac")
        terminal.mac_errors = 0
    wanted = frame.requirement(packet.header)
    if wanted == SIGN_ON_REQUIRED or code in codes.SIGN_ON_CODES:
        terminal.signed_off()
    if wanted != frame.REQUIREMENTS[0]:
        terminal.required(wanted)
    return Answer(True, reply)


def sign_on(terminal: "Terminal") -> "Work[str]":
    """Signs on -> "" or why not: Answer.why, "code NN", "load" (the working keys are no keys of ours; the old ones are kept)."""
    try:
        trace = terminal.ledger.spend_trace()
    except StoreError:
        terminal.log("sign-on: the store refuses")
        return "store"
    mti, fields = messages.sign_on(terminal, trace)
    # Once it is sent the host may use new keys that never reach us: signed on is who has got them.
    answer = yield from exchange(terminal, mti, fields, False, terminal.signed_off)
    if answer.fields is None:
        return answer.why
    if answer.code != "00":
        return "code " + answer.code
    reply = answer.fields
    dukpt = terminal.parameter("host.keys") == "dukpt"
    try:
        keys = [] if dukpt else unionpay.keys(reply.get(62, b""))
        batch = int(unionpay.read_private60(reply.get(60, "")).batch)
    except Iso8583Error as error:
        terminal.log("sign-on: %s" % error)
        return "load"
    if keys:
        event = yield Ask("vault", "load_keys", keys, within_ms=VAULT_MS)
        if event.name != VAULT_DONE:
            terminal.log("sign-on: keys refused: %s" % (event.value or "no answer"))
            return "load"
    terminal.mac_errors = 0
    try:
        terminal.calendar.set_by_host(reply.get(13, ""), reply.get(12, ""))
    except ValueError:
        terminal.log("sign-on: the host's date is none")
    try:
        terminal.signed_on_now(batch)
    except StoreError:
        terminal.log("sign-on: the store refuses")
        return "store"
    return ""


def plain(terminal: "Terminal", message: "Callable[[Terminal], tuple[str, Fields]]") -> "Work[str]":
    """Sign-off or echo, as `message` makes it -> "" or why not, as of `sign_on`."""
    yield Turn("host")
    try:
        mti, fields = message(terminal)
    except StoreError:
        return "store"
    answer = yield from exchange(terminal, mti, fields, False)
    if answer.fields is None:
        return answer.why
    return "" if answer.code == "00" else "code " + answer.code


def sign_on_alone(terminal: "Terminal", if_needed: bool = True) -> "Work[str]":
    """Sign-on as a conversation of its own: at log-in, by the menu, before a PIN is asked for."""
    yield Turn("host")
    if if_needed and terminal.signed_on():
        return ""
    return (yield from sign_on(terminal))
