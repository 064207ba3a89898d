"""Conversations with the host, as tasks (`firmware.tasks`).

    exchange    one message there and its reply back
    sign_on     0800: working keys, batch number, the clock
    authorise   a transaction: sign on if need be, resolve what is open, write, send, ask the card, write the result
    resolve     0400 for everything in the ledger whose result is unknown, then the notices that the host is owed

Only one conversation runs at a time: each begins with Turn("host").

What a reply must be to count (host.md §6): of this trace and terminal, of the same amount and processing code,
decodable, and with a valid MAC where the profile asks for one. Anything else is no answer, and no answer to a
message that was sent means that the host may have booked it: the record turns to REVERSING in the ledger before
anything else happens, and stays until the host says 00, 12 or 25 under a valid MAC.

A chip in the slot has the last word (`draft.finish`): it is given the issuer's answer before the result is written. What
the host approved and the card did not is undone like an unknown result. Where nothing has left the terminal the card
may approve alone (Y3); then the sale is written as offline, and the host is told later.
"""

from binascii import hexlify, unhexlify

from firmware.emv import tlv
from firmware.emv.ask import Reply
from firmware.emv.outcome import APPROVED
from firmware.events import LINK_DATA, LINK_DOWN, LINK_UP, VAULT_DONE
from firmware.host import messages
from firmware.iso8583 import codes, frame, unionpay
from firmware.iso8583.codec import Iso8583Error
from firmware.ledger import OFFLINE
from firmware.ports import StoreError
from firmware.tasks import Ask, Close, More, Pause, Tell, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.draft import Draft
    from firmware.emv.outcome import Outcome
    from firmware.events import Event
    from firmware.host.messages import Fields
    from firmware.ledger import Record
    from firmware.ports import Link
    from firmware.tasks import Work
    from firmware.terminal import Terminal

BETWEEN_TRIES_MS = 2000
DECLINED_OFFLINE = "Z1"
# Why a host could not be reached, of Answer.why: then card and terminal may decide alone. A host that was reached and refused,
# keys that do not fit, a store that is full are no such reasons.
NOT_REACHED = ("refused", "unreachable", "timeout", "name", "closed", "broken")
UNUSABLE = (KeyError, ValueError, TypeError)  # a record that lacks what its message needs (Iso8583Error is a ValueError)
VAULT_MS = 15_000  # a vault that says nothing for so long must not hold up the host's turn for ever
DUPLICATE = "94"  # the host knows this trace number: a store that was put back to an earlier state (host.md §6)
TRACES_SKIPPED = 50
SIGN_ON_REQUIRED = "sign-on"  # in a reply's header (host.md §1)


class Answer:
    """What became of one exchange.

    sent     bytes left the terminal (or may have)
    fields   the reply's fields when a whole, matching, well-signed reply came, else None
    why      when fields is None: "refused", "timeout", "closed" ... (link), "store", "no-key", "garbled", "mac", "mismatch"
    """

    def __init__(self, sent: bool, fields: "Fields | None" = None, why: str = "") -> None:
        self.sent = sent
        self.fields = fields
        self.why = why

    @property
    def code(self) -> str:
        """F39, two characters; "" without a reply."""
        return self.fields.get(39, "") if self.fields is not None else ""


class Result:
    """What became of a transaction, for the page that tells.

    status   "approved"; "declined" (the host said no); "not-sent" (nothing left the terminal); "reversed" (unknown, and
             undone since); "unresolved" (unknown, not undone yet); "no-answer" (unknown, nothing can have moved);
             "blocked" (an unresolved reversal stands before it)
    code     F39 for "declined"
    why      Answer.why
    record   the ledger's record, or None
    fields   the reply's fields, or None
    """

    def __init__(
        self, status: str, code: str = "", why: str = "", record: "Record | None" = None, fields: "Fields | None" = None
    ) -> None:
        self.status = status
        self.code = code
        self.why = why
        self.record = record
        self.fields = fields


def exchange(
    terminal: "Terminal", mti: str, fields: "Fields", signed: bool, before_send: "Callable[[], object] | None" = None
) -> "Work[Answer]":
    """One request and its reply -> Answer.

    signed: the request carries F64 and its reply is checked for one. before_send: called when the connection stands
    and before the first byte leaves; a StoreError of it means that nothing is sent.
    """
    if signed:
        fields[64] = bytes(8)
        body = terminal.codec.pack(mti, fields)[:-8]
        event = yield Ask("vault", "mac", body, within_ms=VAULT_MS)
        if event.name != VAULT_DONE:
            return Answer(False, None, "no-key")
        body += event.value
    else:
        body = terminal.codec.pack(mti, fields)
    packet = frame.pack(unhexlify(terminal.parameter("host.tpdu")), unhexlify(terminal.parameter("host.header")), body)

    where = terminal.where()
    event = yield Ask("link", "connect", where, within_ms=where["connect_ms"] + 1000, keep=True)
    if event.name != LINK_UP:
        terminal.reached = False
        return Answer(False, None, _why(event))
    ticket = event.ticket
    if before_send is not None:
        try:
            before_send()
        except StoreError:
            yield Close(ticket)
            return Answer(False, None, "store")
    link: Link = terminal.ports["link"]
    link.send(ticket, packet)
    answer = yield from _reply(terminal, ticket, mti, fields, signed)
    terminal.reached = answer.fields is not None
    yield Close(ticket)
    return answer


def _why(event: "Event") -> str:
    """Why there is no line, or no answer on it."""
    return event.value if event.name == LINK_DOWN else "timeout"


def _reply(terminal: "Terminal", ticket: int, mti: str, sent: "Fields", signed: bool) -> "Work[Answer]":
    """Waits for the reply that belongs to what was sent -> Answer."""
    deframer = frame.Deframer()
    until = terminal.now_ms() + terminal.parameter("host.reply_ms")
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
                    terminal.log("host: a reply of another message was passed over")
                    continue
                return (yield from _judge(terminal, packet, mti, sent, reply, signed))
        except (frame.FrameError, Iso8583Error) as error:
            terminal.log("host: undecodable reply: %s" % error)
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
    if signed and (64 in reply or _mac_wanted(terminal, mti, reply[39])):
        good = False
        if 64 in reply:
            event = yield Ask("vault", "check_mac", packet.body[:-8], reply[64], within_ms=VAULT_MS)
            good = event.name == VAULT_DONE and event.value
        if not good:
            terminal.log("host: MAC of the reply is wrong or missing")
            if reply[39] in codes.SIGN_ON_CODES:
                terminal.signed_off()  # the keys differ: sign on before the next message
            return Answer(True, None, "mac")
    if frame.requirement(packet.header) == SIGN_ON_REQUIRED or reply[39] in codes.SIGN_ON_CODES:
        terminal.signed_off()
    return Answer(True, reply)


def sign_on(terminal: "Terminal") -> "Work[str]":
    """Signs on -> "" or why not: Answer.why, "code NN", "keys"."""
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
    try:
        keys = unionpay.keys(reply.get(62, b""))
        batch = int(unionpay.read_private60(reply.get(60, "")).batch)
    except Iso8583Error as error:
        terminal.log("sign-on: %s" % error)
        return "keys"
    event = yield Ask("vault", "load_keys", keys, within_ms=VAULT_MS)
    if event.name != VAULT_DONE:
        terminal.log("sign-on: keys refused: %s" % (event.value or "no answer"))
        return "keys"
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


def resolve(terminal: "Terminal") -> "Work[int]":
    """Tries to reverse everything whose result is unknown, and to deliver what the host is owed -> how much is still open."""
    yield Turn("host")
    left = yield from resolve_all(terminal)
    return left + (yield from deliver(terminal))


def resolve_all(terminal: "Terminal") -> "Work[int]":
    """The reversals alone, inside a conversation that has its turn already -> number of those that are still open."""
    left = 0
    for record in terminal.ledger.to_reverse():
        done = yield from reverse(terminal, record)
        if not done:
            left += 1
    return left


def deliver(terminal: "Terminal") -> "Work[int]":
    """Sends the notices, oldest first, until one is not answered -> number of what is still owed.

    00 and 94 (the host has it already) settle one; a refusal takes it off the queue and is kept with its code.
    """
    ledger = terminal.ledger
    notices = ledger.notices()
    left = len(notices)
    if notices and not terminal.signed_on():
        why = yield from sign_on(terminal)
        if why:
            return left
    for what, record in notices:
        try:
            card = yield from _card_of(terminal, record)
            if card is None:
                terminal.log("notice of %s: the card number cannot be unsealed" % record["trace"])
                continue
            if what == OFFLINE:
                mti, fields = messages.upload(terminal, record, card[0], card[1])
            else:
                mti, fields = messages.script_notice(terminal, record, card[0], card[1], ledger.spend_trace())
            answer = yield from exchange(terminal, mti, fields, True)
            if answer.fields is None:
                if answer.sent and what != OFFLINE:
                    continue  # a host that is silent about results may still take money
                break
            taken = answer.code in codes.UPLOADED_CODES
            if not taken and (answer.code in codes.SIGN_ON_CODES or codes.look_up(answer.code).action == "retry-later"):
                break
            if not taken:
                terminal.log("notice of %s: refused with %s" % (record["trace"], answer.code))
            ledger.told(what, record, messages.kept_of_reply(terminal, answer.fields), taken)
            left -= 1
        except StoreError:
            terminal.log("notice of %s: the store refuses" % record["trace"])
            break
        except UNUSABLE:
            terminal.log("notice of %s: its record cannot be made into a message" % record["trace"])
    return left


def _card_of(terminal: "Terminal", record: "Record") -> "Work[tuple[str, str] | None]":
    """(card number, expiry) of a record, as the vault keeps them; None when it cannot be had."""
    try:
        event = yield Ask("vault", "unseal", messages.sealed_of(record), within_ms=VAULT_MS)
        return messages.parse_card_data(event.value if event.name == VAULT_DONE else b"")
    except ValueError:
        return None


def reverse(terminal: "Terminal", record: "Record") -> "Work[bool]":
    """One round of 0400 for one record -> True when the host undid it (or never had it).

    A record that has had its round is asked for once; a new one `reversal.tries` times. Never deleted.
    """
    ledger = terminal.ledger
    try:
        if record["phase"] == "sent":
            ledger.unknown(record, unionpay.REASON_NO_ANSWER)
        yield Tell("reversing")
        card = yield from _card_of(terminal, record)
        if card is None:
            terminal.log("reversal of %s: the card number cannot be unsealed" % record["trace"])
            ledger.tried(record)
            return False
        pan, expiry = card
        tries = 1 if record.get("rounds") else terminal.parameter("reversal.tries")
        if record.get("rounds") and not terminal.signed_on():
            yield from sign_on(terminal)  # a sign-on that was cut short leaves the host with keys that we never got
        answer = Answer(False)
        for attempt in range(tries):
            if attempt:
                yield Pause(BETWEEN_TRIES_MS)
                if answer.why == "mac" or answer.code in codes.SIGN_ON_CODES:
                    yield from sign_on(terminal)  # host and terminal disagree about the keys
            mti, fields = messages.reversal(terminal, record, pan, expiry)
            answer = yield from exchange(terminal, mti, fields, True)
            if answer.fields is not None:
                if answer.code in codes.REVERSED_CODES:
                    ledger.reversed_(record, messages.kept_of_reply(terminal, answer.fields))
                    return True
                record["reason"] = unionpay.REASON_FAULT  # answered, but refused (host.md §6, 2)
            elif answer.why == "mac":
                record["reason"] = unionpay.REASON_MAC
        ledger.tried(record)
    except StoreError:
        terminal.log("reversal of %s: the store refuses" % record["trace"])
    except UNUSABLE:
        terminal.log("reversal of %s: its record cannot be made into a message" % record["trace"])
    return False


def authorise(terminal: "Terminal", draft: "Draft") -> "Work[Result]":
    """A transaction with its card read -> Result. Tells "signing-on", "reversing", "authorising", "card"."""
    if draft.card is not None and draft.card.status == APPROVED and draft.row.offline:
        return (yield from _offline(terminal, draft))
    yield Turn("host")
    result = yield from _online(terminal, draft)
    if draft.finish is not None:  # nobody has told the card yet
        alone = result.status == "not-sent" and result.why in NOT_REACHED and draft.row.offline and terminal.can_keep()
        outcome = yield from conclude(draft, Reply(offline=alone))
        if outcome.status == APPROVED:
            return (yield from _offline(terminal, draft))
    draft.forget()
    return result


def conclude(draft: "Draft", reply: Reply) -> "Work[Outcome]":
    """Tells the chip in the slot what came of asking the issuer -> its last word. Only while `draft.finish` is there."""
    finish, draft.finish = draft.finish, None
    assert finish is not None, "no chip waits"
    yield Tell("card")
    outcome = yield from finish(reply)
    draft.card = outcome
    return outcome


def _sealed(terminal: "Terminal", draft: "Draft") -> "Work[tuple[bytes, bytes] | None]":
    """(card data enciphered for the store, the card's fingerprint); None when the vault does not."""
    event = yield Ask("vault", "seal", messages.card_data(draft.pan, draft.expiry), within_ms=VAULT_MS)
    if event.name != VAULT_DONE:
        return None
    sealed = event.value
    event = yield Ask("vault", "fingerprint", draft.pan.encode(), within_ms=VAULT_MS)
    return (sealed, event.value) if event.name == VAULT_DONE else None


def _offline(terminal: "Terminal", draft: "Draft") -> "Work[Result]":
    """Card and terminal have approved between themselves: written, and owed to the host."""
    card = draft.card
    assert card is not None, "no card was read"
    sealed = yield from _sealed(terminal, draft)
    if sealed is None:
        return Result("not-sent", "", "no-key")
    ledger = terminal.ledger
    record = messages.record(terminal, draft, unionpay.trace(ledger.next_trace()), sealed[0], sealed[1])
    record["code"] = card.response
    if draft.referral:
        record["authorisation"] = draft.referral
        record["referral"] = True
    chip = card.field55(unionpay.ONLINE_TAGS) + tlv.encode([(0x8A, card.response.encode())])
    record["offline55"] = hexlify(chip).decode()
    now_s = terminal.calendar.now_s()
    try:
        ledger.offline(record, now_s)
    except StoreError:
        return Result("not-sent", "", "store")
    terminal.calendar.used(now_s)
    draft.record = record
    draft.forget()
    return Result("approved", card.response, "", record)


def refused(terminal: "Terminal", draft: "Draft", outcome: "Outcome") -> "Work[None]":
    """Card or terminal declined and nobody was asked: kept for the list, where there is a number to keep."""
    if not draft.row.kept or not outcome.pan:
        return None
    draft.take_card(outcome)
    sealed = yield from _sealed(terminal, draft)
    if sealed is not None:
        record = messages.record(terminal, draft, unionpay.trace(terminal.ledger.next_trace()), sealed[0], sealed[1])
        record["original"] = 0  # it holds nothing
        record["code"] = outcome.response or DECLINED_OFFLINE
        record["advice"] = outcome.advice
        try:
            terminal.ledger.refused(record, terminal.calendar.now_s())
        except StoreError:
            terminal.log("a decline by the card cannot be written")
    draft.drop_card()
    return None


def _online(terminal: "Terminal", draft: "Draft") -> "Work[Result]":
    """The issuer is asked."""
    ledger = terminal.ledger
    if not terminal.signed_on() and not draft.pin_block:  # a PIN block is bound to the keys it was made with
        yield Tell("signing-on")
        why = yield from sign_on(terminal)
        if why:
            return Result("not-sent", "", why)
    left = yield from resolve_all(terminal)
    if left and draft.row.kept and not draft.released:
        return Result("blocked")
    if draft.original is not None and draft.original.get("owed"):
        yield from deliver(terminal)  # the host must have the sale before it can undo it
        draft.original = ledger.get(draft.original["id"]) or draft.original
        if draft.original.get("owed"):
            return Result("not-sent", "", "owed")
    if draft.pin_block and draft.pin_key != terminal.vault.check_value("pin"):
        return Result("not-sent", "", "keys")  # a sign-on on the way here: the host could not read the PIN block

    yield Tell("authorising")
    if not draft.row.kept:
        try:
            trace = ledger.spend_trace()
        except StoreError:
            return Result("not-sent", "", "store")
        mti, fields = messages.request(terminal, draft, trace)
        answer = yield from exchange(terminal, mti, fields, True)
        if answer.fields is not None and draft.finish is not None:
            yield from conclude(draft, _reply_of(terminal, answer))
        return _told(terminal, draft, answer)

    sealed = yield from _sealed(terminal, draft)
    if sealed is None:
        return Result("not-sent", "", "no-key")
    trace = unionpay.trace(ledger.next_trace())
    mti, fields = messages.request(terminal, draft, trace)
    record = messages.record(terminal, draft, trace, sealed[0], sealed[1])

    def write() -> None:
        now_s = terminal.calendar.now_s()
        ledger.sent(record, now_s)
        terminal.calendar.used(now_s)
        draft.record = record

    answer = yield from exchange(terminal, mti, fields, True, write)
    draft.pin_block = None
    if not answer.sent:
        return Result("not-sent", "", answer.why)
    return (yield from _booked(terminal, draft, record, answer))


def _reply_of(terminal: "Terminal", answer: Answer) -> Reply:
    """What the card is told. What the issuer sent for it and cannot be read is left out; the card may mind."""
    try:
        return messages.issuer_reply(answer.fields, codes.approved(answer.code), not answer.sent)
    except tlv.TlvError as error:
        terminal.log("host: field 55: %s" % error)
        return Reply(answer.code, codes.approved(answer.code))


def _told(terminal: "Terminal", draft: "Draft", answer: Answer) -> Result:
    """The result of a transaction that leaves no record: nothing can have moved."""
    if answer.fields is None:
        return Result("no-answer" if answer.sent else "not-sent", "", answer.why)
    if codes.approved(answer.code):
        return Result("approved", answer.code, "", None, answer.fields)
    return Result("declined", answer.code, "", None, answer.fields)


def _booked(terminal: "Terminal", draft: "Draft", record: "Record", answer: Answer) -> "Work[Result]":
    """The result of a transaction that was sent: the card has its word, it is written, then told."""
    ledger = terminal.ledger
    why = answer.why
    try:
        if answer.fields is not None:
            kept: Record = messages.kept_of_reply(terminal, answer.fields)
            stands = codes.approved(answer.code)
            if draft.finish is not None:
                outcome = yield from conclude(draft, _reply_of(terminal, answer))
                kept.update(messages.kept_of_chip(outcome, record.get("cryptogram", "")))
                if draft.referral and outcome.status == APPROVED and not stands:
                    ledger.declined(record, kept)  # this message was; what its bank said by telephone is another
                    return (yield from _offline(terminal, draft))
                if outcome.scripts:
                    kept["script55"] = hexlify(outcome.field55(unionpay.SCRIPT_TAGS)).decode()
                if stands and outcome.status != APPROVED:
                    record.update(kept)
                    why = "pulled" if outcome.why == "lost" else "card"
                    return (yield from _undo(terminal, draft, record, unionpay.REASON_FAULT, why))
            if stands:
                ledger.approved(record, kept)
            else:
                ledger.declined(record, kept)
                if answer.code == DUPLICATE:
                    _skip(terminal)
            return Result("approved" if stands else "declined", answer.code, "", record, answer.fields)
    except StoreError:
        # On disk it is SENT: the next round, or the next start, reverses it. An approval that cannot be written is none.
        terminal.log("the result of %s cannot be written" % record["trace"])
        return Result("unresolved", answer.code, "store", record)
    reason = unionpay.REASON_MAC if why == "mac" else unionpay.REASON_NO_ANSWER
    return (yield from _undo(terminal, draft, record, reason, why))


def _skip(terminal: "Terminal") -> None:
    """The host knows our trace numbers already: the next ones are further on. It is no part of the result."""
    try:
        terminal.ledger.skip_traces(TRACES_SKIPPED)
    except StoreError:
        terminal.log("the trace numbers cannot be moved on")


def _undo(terminal: "Terminal", draft: "Draft", record: "Record", reason: str, why: str) -> "Work[Result]":
    """What may have been booked and does not stand: written as unknown, the card told, then reversed."""
    try:
        terminal.ledger.unknown(record, reason)
    except StoreError:
        terminal.log("the result of %s cannot be written" % record["trace"])
        return Result("unresolved", "", "store", record)
    if draft.finish is not None:
        yield from conclude(draft, Reply(offline=False))
    done = yield from reverse(terminal, record)
    return Result("reversed" if done else "unresolved", "", why, record)
