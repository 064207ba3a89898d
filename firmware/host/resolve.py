"""What the host has to hear of besides: reversals of whatever is unknown, then the notices that it is owed.

    resolve       all of it, as a conversation of its own
    resolve_all   0400 for every record whose result is unknown and can be undone
    repeat_all    the identical message again for those that can not (refund, completion notice)
    deliver       the sales that it has not heard of, the results of issuer scripts

A message that was sent and not answered may have been booked: its record is REVERSING in the ledger before anything else
happens, and stays so until the host says 00, 12 or 25 under a valid MAC (host.md §6). One that has no reversal is REPEATING,
and stays so until the host says 00, 94 (it has it) or refuses it.
"""

from binascii import a2b_base64

from firmware.events import VAULT_DONE
from firmware.host import messages
from firmware.host.session import VAULT_MS, Answer, exchange, sign_on
from firmware.iso8583 import codes, unionpay
from firmware.ledger import OFFLINE
from firmware.ports import StoreError
from firmware.tasks import Ask, Pause, Tell, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.ledger import Record
    from firmware.tasks import Work
    from firmware.terminal import Terminal

BETWEEN_TRIES_MS = 2000
UNUSED = ("mac", "garbled", "mismatch")  # of Answer.why: the host has spoken, and what it said does not count
UNUSABLE = (KeyError, ValueError, TypeError)  # a record that lacks what its message needs (Iso8583Error is a ValueError)


def resolve(terminal: "Terminal") -> "Work[int]":
    """Tries to settle everything whose result is unknown, and to deliver what the host is owed -> how much is still open."""
    yield Turn("host")
    left = yield from resolve_all(terminal)
    left += yield from repeat_all(terminal)
    return left + (yield from deliver(terminal))


def repeat_all(terminal: "Terminal") -> "Work[int]":
    """The repeated messages alone -> number of those that are still open."""
    left = 0
    for record in terminal.ledger.to_repeat():
        done = yield from repeat(terminal, record)
        if not done:
            left += 1
    return left


def resolve_all(terminal: "Terminal") -> "Work[int]":
    """The reversals alone, inside a conversation that has its turn already -> number of those that are still open."""
    left = 0
    for record in terminal.ledger.to_reverse():
        done = yield from reverse(terminal, record)
        if not done:
            left += 1
    return left


def deliver(terminal: "Terminal") -> "Work[int]":
    """Sends the notices, oldest first, until the host is silent -> number of what is still owed.

    00 and 94 (the host has it already) settle one; a refusal takes it off the queue and is kept with its code. One that the host
    wants later, or answers with what is no answer, stands in nobody's way but that of what changes its total.
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
            if not terminal.signed_on():
                break  # the host has said so on the way: it would refuse them all
            if what == OFFLINE and _original_owed(terminal, record):
                continue
            card = yield from card_of(terminal, record)
            if card is None:
                terminal.log("notice of %s: the card number cannot be unsealed" % record["trace"])
                continue
            if what == OFFLINE:
                mti, fields = messages.message_of(terminal, record, card[0], card[1])
            else:
                mti, fields = messages.script_notice(terminal, record, card[0], card[1], ledger.spend_trace())
            answer = yield from exchange(terminal, mti, fields, True)
            if answer.fields is None:
                if answer.sent and (what != OFFLINE or answer.why in UNUSED):
                    continue  # a host that is silent about results may still take money
                break
            taken = codes.approved(answer.code) or answer.code in codes.UPLOADED_CODES
            if not taken and codes.to_repeat(answer.code):
                continue
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


def _original_owed(terminal: "Terminal", record: "Record") -> bool:
    """Whether the host has not heard yet of what this one changes: it would refuse it for good."""
    original = terminal.ledger.get(record["original"]) if record.get("original") else None
    return original is not None and bool(original.get("owed"))


def card_of(terminal: "Terminal", record: "Record") -> "Work[tuple[str, str] | None]":
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
        card = yield from card_of(terminal, record)
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
                record["reason"] = terminal.parameter("reversal.refused_reason")
            elif answer.why == "mac":
                record["reason"] = unionpay.REASON_MAC
        ledger.tried(record)
    except StoreError:
        terminal.log("reversal of %s: the store refuses" % record["trace"])
    except UNUSABLE:
        terminal.log("reversal of %s: its record cannot be made into a message" % record["trace"])
    return False


def repeat(terminal: "Terminal", record: "Record") -> "Work[bool]":
    """One round of the identical message for one record -> True when the host has answered it for good. Its MAC is made anew:
    the keys may have changed since."""
    ledger = terminal.ledger
    try:
        if record["phase"] == "sent":
            ledger.unknown(record, unionpay.REASON_NO_ANSWER)
        yield Tell("repeating")
        event = yield Ask("vault", "unseal", a2b_base64(record["message"]), within_ms=VAULT_MS)
        if event.name != VAULT_DONE:
            terminal.log("repetition of %s: the message cannot be unsealed" % record["trace"])
            ledger.tried(record)
            return False
        message = event.value
        for attempt in range(1 if record.get("rounds") else terminal.parameter("reversal.tries")):
            if attempt:
                yield Pause(BETWEEN_TRIES_MS)
            if not terminal.signed_on():
                yield from sign_on(terminal)
            mti, fields = terminal.codec.unpack(message)
            if record.get("track_key", "") != messages.track_key(terminal) and "track_key" in record:
                card = yield from card_of(terminal, record)
                messages.without_tracks(fields, card)  # nobody could decipher them
            answer = yield from exchange(terminal, mti, fields, True)
            if answer.fields is not None and not codes.to_repeat(answer.code):
                kept = messages.kept_of_reply(terminal, answer.fields)
                kept.update(messages.in_part(record, answer.fields))
                if codes.approved(answer.code) or answer.code in codes.UPLOADED_CODES:
                    ledger.approved(record, kept)
                else:
                    ledger.declined(record, kept)
                return True
        ledger.tried(record)
    except StoreError:
        terminal.log("repetition of %s: the store refuses" % record["trace"])
    except UNUSABLE:
        terminal.log("repetition of %s: its record cannot be made into a message" % record["trace"])
    return False
