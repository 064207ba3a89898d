"""A transaction and its issuer: sign on if need be, resolve what is open, write, send, ask the card, write the result.

A chip in the slot has the last word (`draft.finish`): it is given the issuer's answer before the result is written. What
the host approved and the card did not is undone like an unknown result. Where the host could not be reached at all the card
may approve alone (Y3); then, as after an approval without asking (Y1), the sale is written as offline, and the host is told
later (`resolve.deliver`).
"""

from binascii import b2a_base64, hexlify

from firmware import originals
from firmware.emv import tlv
from firmware.emv.ask import Reply
from firmware.emv.outcome import APPROVED
from firmware.events import VAULT_DONE
from firmware.host import messages
from firmware.host.resolve import deliver, repeat, resolve_all, reverse
from firmware.host.session import VAULT_MS, Answer, exchange, next_serial, sign_on
from firmware.iso8583 import codes, unionpay
from firmware.ports import StoreError
from firmware.tasks import Ask, Tell, Turn
from firmware.transactions import NOTICE, REPEAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.draft import Draft
    from firmware.emv.outcome import Outcome
    from firmware.host.messages import Fields
    from firmware.ledger import Record
    from firmware.tasks import Work
    from firmware.terminal import Terminal

DECLINED_OFFLINE = "Z1"
# Why a host could not be reached, of Answer.why: then card and terminal may decide alone. A host that was reached and refused,
# keys that do not fit, a store that is full are no such reasons.
NOT_REACHED = ("refused", "unreachable", "timeout", "name", "closed", "broken")
DUPLICATE = "94"  # the host knows this trace number: a store that was put back to an earlier state (host.md §6)
TRACES_SKIPPED = 50


class Result:
    """What became of a transaction, for the page that tells.

    status   "approved"; "declined" (the host said no); "not-sent" (nothing left the terminal); "reversed" (unknown, and
             undone since); "unresolved" (unknown, not undone yet); "repeating" (unknown, sent again until it is answered);
             "no-answer" (unknown, nothing can have moved); "blocked" (an unresolved reversal stands before it)
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


def authorise(terminal: "Terminal", draft: "Draft") -> "Work[Result]":
    """A transaction with its card read -> Result. Tells "signing-on", "reversing", "authorising", "card"."""
    if draft.row.unknown == NOTICE:
        return (yield from _stored(terminal, draft))
    if draft.card is not None and draft.card.status == APPROVED and draft.row.offline:
        return (yield from _offline(terminal, draft))
    yield Turn("host")
    result = yield from _online(terminal, draft)
    if draft.finish is not None:  # nobody has told the card yet
        alone = result.status == "not-sent" and result.why in NOT_REACHED and draft.row.offline
        alone = alone and not terminal.offline_full() and terminal.can_keep()
        outcome = yield from conclude(draft, Reply(offline=alone))
        if outcome.status == APPROVED:
            return (yield from _offline(terminal, draft))
    draft.forget()
    if codes.look_up(result.code).action == "upload":
        terminal.upload_now()
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


def _stored(terminal: "Terminal", draft: "Draft") -> "Work[Result]":
    """What nobody is asked about: written, and owed to the host."""
    sealed = yield from _sealed(terminal, draft)
    if sealed is None:
        return Result("not-sent", "", "no-key")
    if not originals.stands(terminal, draft):
        return Result("not-sent", "", "original")
    record = messages.record(terminal, draft, unionpay.trace(terminal.ledger.next_trace()), sealed[0], sealed[1])
    return _kept(terminal, draft, record, "")


def _kept(terminal: "Terminal", draft: "Draft", record: "Record", code: str) -> Result:
    if terminal.settlement.frozen:
        return Result("not-sent", "", "settling")
    now_s = terminal.calendar.now_s()
    try:
        terminal.ledger.offline(record, now_s)
    except StoreError:
        return Result("not-sent", "", "store")
    terminal.calendar.used(now_s)
    draft.record = record
    draft.forget()
    return Result("approved", code, "", record)


def _offline(terminal: "Terminal", draft: "Draft") -> "Work[Result]":
    """Card and terminal have approved between themselves: written, and owed to the host."""
    card = draft.card
    assert card is not None, "no card was read"
    sealed = yield from _sealed(terminal, draft)
    if sealed is None:
        return Result("not-sent", "", "no-key")
    record = messages.record(terminal, draft, unionpay.trace(terminal.ledger.next_trace()), sealed[0], sealed[1])
    record["code"] = card.response
    if draft.referral:
        record["authorisation"] = draft.referral
        record["referral"] = True
    chip = card.field55(unionpay.ONLINE_TAGS) + tlv.encode([(0x8A, card.response.encode())])
    record["offline55"] = hexlify(chip).decode()
    return _kept(terminal, draft, record, card.response)


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
    if terminal.settlement.frozen and draft.row.kept:
        return Result("not-sent", "", "settling")
    if not terminal.signed_on() and not draft.pin_block:  # a PIN block is bound to the keys it was made with
        yield Tell("signing-on")
        why = yield from sign_on(terminal)
        if why:
            return Result("not-sent", "", why)
    serial = draft.pin_serial if draft.pin_block else None  # a DUKPT key is the newest one only until the next message
    left = len(ledger.to_reverse())
    if left and serial is None:
        left = yield from resolve_all(terminal)
    if left and draft.row.kept and not draft.released:
        return Result("blocked")
    if draft.original is not None and ledger.is_owed(draft.original):
        if serial is None:
            yield from deliver(terminal)  # the host must have the sale before it can undo it
        draft.original = ledger.get(draft.original["id"]) or draft.original
        if ledger.is_owed(draft.original):
            return Result("not-sent", "", "owed")
    if not originals.stands(terminal, draft):
        return Result("not-sent", "", "original")  # the bank has refused it on the way, or somebody else has it
    if draft.pin_block and serial is None and draft.pin_key != terminal.vault.check_value("pin"):
        return Result("not-sent", "", "rekeyed")  # a sign-on on the way here: the host could not read the PIN block
    if serial is None and terminal.parameter("host.keys") == "dukpt":
        serial = yield from next_serial(terminal)  # before anything is enciphered with it
        if serial is None:
            return Result("not-sent", "", "no-key")
    tracks = yield from _tracks(terminal, draft)
    if tracks is NO_KEY:
        return Result("not-sent", "", "no-key")

    yield Tell("authorising")
    if not draft.row.kept:
        try:
            trace = ledger.spend_trace()
        except StoreError:
            return Result("not-sent", "", "store")
        mti, fields = messages.request(terminal, draft, trace, tracks)
        answer = yield from exchange(terminal, mti, fields, True, None, serial)
        if answer.fields is not None and draft.finish is not None:
            yield from conclude(draft, _reply_of(terminal, answer))
        return _told(terminal, draft, answer)

    sealed = yield from _sealed(terminal, draft)
    if sealed is None:
        return Result("not-sent", "", "no-key")
    trace = unionpay.trace(ledger.next_trace())
    mti, fields = messages.request(terminal, draft, trace, tracks)
    record = messages.record(terminal, draft, trace, sealed[0], sealed[1])
    if draft.row.unknown == REPEAT:
        event = yield Ask("vault", "seal", terminal.codec.pack(mti, fields), within_ms=VAULT_MS)
        if event.name != VAULT_DONE:
            return Result("not-sent", "", "no-key")
        record["message"] = b2a_base64(event.value).decode().strip()
        if tracks is not None:
            record["track_key"] = messages.track_key(terminal) or ONCE

    def write() -> None:
        now_s = terminal.calendar.now_s()
        ledger.sent(record, now_s)
        terminal.calendar.used(now_s)
        draft.record = record

    answer = yield from exchange(terminal, mti, fields, True, write, serial)
    draft.pin_block = None
    if not answer.sent:
        return Result("not-sent", "", answer.why)
    return (yield from _booked(terminal, draft, record, answer))


NO_KEY = ("", "")
ONCE = "once"  # a track key of one message


def _tracks(terminal: "Terminal", draft: "Draft") -> "Work[tuple[str, str] | None]":
    """Tracks 2 and 3 as they are sent: None where that is as they were read, NO_KEY when the vault does not encipher them."""
    card = draft.card
    if card is None or not card.track2 or terminal.parameter("host.track") != "encrypted":
        return None
    sent = []
    for track in (card.track2, card.track3):
        if track:
            event = yield Ask("vault", "encrypt_track", track, within_ms=VAULT_MS)
            if event.name != VAULT_DONE:
                return NO_KEY
            track = event.value
        sent.append(track)
    return (sent[0], sent[1])


def _reply_of(terminal: "Terminal", answer: Answer) -> Reply:
    """What the card is told. What the issuer sent for it and cannot be read is left out; the card may mind."""
    try:
        return messages.issuer_reply(answer.fields or {}, codes.approved(answer.code))
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
            if draft.row.unknown == REPEAT and codes.to_repeat(answer.code):
                return _repeated(terminal, record, Result("repeating", answer.code, "later", record))
            stands = codes.approved(answer.code)  # 94 to a first sending is another message's trace number
            kept.update(messages.in_part(record, answer.fields))
            if draft.finish is not None:
                outcome = yield from conclude(draft, _reply_of(terminal, answer))
                kept.update(messages.kept_of_chip(outcome, record.get("cryptogram", "")))
                if draft.referral and draft.row.offline and outcome.status == APPROVED and not stands:
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


def _repeated(terminal: "Terminal", record: "Record", result: Result) -> Result:
    """What cannot be undone and is not answered yet: written as unknown, and sent again behind the pages."""
    try:
        terminal.ledger.unknown(record, unionpay.REASON_NO_ANSWER)
        terminal.ledger.tried(record)
    except StoreError:
        terminal.log("the result of %s cannot be written" % record["trace"])
        return Result("unresolved", "", "store", record)
    return result


def _undo(terminal: "Terminal", draft: "Draft", record: "Record", reason: str, why: str) -> "Work[Result]":
    """What may have been booked and does not stand: written as unknown, the card told, then reversed. What is repeated
    instead is sent again, `reversal.tries` times in all."""
    if draft.row.unknown == REPEAT:
        return (yield from _again(terminal, record, why))
    try:
        terminal.ledger.unknown(record, reason)
    except StoreError:
        terminal.log("the result of %s cannot be written" % record["trace"])
        return Result("unresolved", "", "store", record)
    if draft.finish is not None:
        yield from conclude(draft, Reply(offline=False))
    done = yield from reverse(terminal, record)
    return Result("reversed" if done else "unresolved", "", why, record)


def _again(terminal: "Terminal", record: "Record", why: str) -> "Work[Result]":
    try:
        terminal.ledger.unknown(record, unionpay.REASON_NO_ANSWER)
    except StoreError:
        terminal.log("the result of %s cannot be written" % record["trace"])
        return Result("unresolved", "", "store", record)
    yield from repeat(terminal, record)
    status = {"approved": "approved", "declined": "declined"}.get(record["phase"], "repeating")
    return Result(status, record.get("code", ""), why, record)
