"""The settlement with the host, step by step as `firmware.settlement` has them, from whichever step it is at.

    OPEN       sign on; reversals, repeats, notices. What is still open then refuses the settlement
    ASK        0500, and what the host thinks of the totals
    UPLOAD     the messages of `uploads.plan` behind the place that is reached, on one connection
    END        0320, 207 or 202; then the batch is over
    SIGN_OFF   0820, where `settle.sign_off` wants it; whatever the host says

No answer leaves a settlement at its step, for the next try. A transaction that the host refuses is noted, and the next one
goes. One about which it says nothing, though it answers an echo, is noted as not uploaded: a single message cannot hold up
the batch for ever. A list that is refused is sent again one by one, to find which of it is meant.
"""

from firmware.host import messages, uploads
from firmware.host.resolve import BETWEEN_TRIES_MS, UNUSABLE, card_of, deliver, repeat_all, resolve_all
from firmware.host.session import Answer, Line, exchange, sign_on
from firmware.iso8583 import batch, codes
from firmware.iso8583.codec import Iso8583Error
from firmware.ledger import OFFLINE
from firmware.ports import StoreError
from firmware.settlement import ASK, DONE, END, OPEN, SIGN_OFF, UPLOAD
from firmware.tasks import Pause, Tell, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.host.messages import Fields
    from firmware.ledger import Record
    from firmware.tasks import Work
    from firmware.terminal import Terminal

TRIES = 3  # of one message that is not answered
DIFFERS = "95"  # some hosts say by F39 that the totals differ, instead of by a flag


class Outcome:
    """What became of a settlement, for the page that tells.

    status    "settled"; "open" (a transaction is open: nothing was told to the host); "not-begun" (the host could not be
              reached: likewise); "no-answer" (it stays at its step); "refused" (by the host, with `code`: likewise);
              "store" (what must be written cannot be: likewise)
    why       Answer.why, or as of `sign_on`
    code      F39
    records   what is open
    kept      the settlement, for "settled"
    """

    def __init__(self, status: str, why: str = "", code: str = "") -> None:
        self.status = status
        self.why = why
        self.code = code
        self.records: list[Record] = []
        self.kept: Any = None


class Progress:
    """How far it is, for the page: the step, and of the upload `done` transactions of `total`."""

    def __init__(self, step: str, done: int = 0, total: int = 0) -> None:
        self.step = step
        self.done = done
        self.total = total


def settle(terminal: "Terminal", by_itself: bool = False) -> "Work[Outcome]":
    """Begins a settlement of the batch, or goes on with the one that is running -> Outcome. Tells Progress."""
    yield Turn("host")
    settlement = terminal.settlement
    if by_itself and terminal.draft is not None:
        return Outcome("not-begun", "busy")  # somebody has begun a transaction while this stood in line
    line = Line()
    try:
        if settlement.running is None:
            settlement.begin(terminal.ledger, terminal.calendar_stamp(), terminal.operator, by_itself)
        while settlement.running is not None:
            kept = settlement.running
            if kept["step"] != UPLOAD:
                yield Tell(Progress(kept["step"]))
            outcome = yield from WORK[kept["step"]](terminal, line)
            if outcome is not None:
                return outcome
        outcome = Outcome("settled")
        outcome.kept = settlement.last()
        return outcome
    except StoreError:
        terminal.log("settlement: the store refuses")
        return Outcome("store", "store")


def _open(terminal: "Terminal", line: Line) -> "Work[Outcome | None]":
    """Whatever the host has to hear of first."""
    ledger = terminal.ledger
    if not terminal.signed_on():
        why = yield from sign_on(terminal)
        if why:
            terminal.settlement.forget()
            return Outcome("not-begun", why)
    yield from resolve_all(terminal)
    yield from repeat_all(terminal)
    yield from deliver(terminal)
    records = ledger.to_reverse() + ledger.to_repeat()
    records += [record for what, record in ledger.notices() if what == OFFLINE and ledger.is_ours(record)]
    if records:
        terminal.settlement.forget()
        outcome = Outcome("open")
        outcome.records = records
        return outcome
    yield Tell(Progress(ASK))
    return (yield from _ask(terminal, line))


def _ask(terminal: "Terminal", line: Line) -> "Work[Outcome | None]":
    """The totals there, and back what the host thinks of them."""
    settlement = terminal.settlement

    def about_to_send() -> None:
        settlement.asking(terminal.ledger)

    def totals() -> "tuple[str, Fields]":
        return uploads.totals(terminal, _frozen(terminal))

    answer = yield from _insist(terminal, line, totals, about_to_send)
    if answer.fields is None:
        settlement.forget()  # where nothing has left
        return Outcome("no-answer" if settlement.running is not None else "not-begun", answer.why)
    if answer.code == DIFFERS:
        halves = (batch.DIFFERENT, batch.DIFFERENT)
    elif answer.code and not codes.approved(answer.code):
        return Outcome("refused", "", answer.code)
    else:
        try:
            halves = batch.read_totals(answer.fields.get(48, ""))
        except Iso8583Error as error:
            terminal.log("settlement: %s" % error)
            return Outcome("no-answer", "garbled")
    text = messages.kept_of_reply(terminal, answer.fields)["host_text"]
    settlement.turn(UPLOAD, host=[list(halves[0]), list(halves[1])], host_text=text)
    return None


def _frozen(terminal: "Terminal") -> "Any":
    """The settlement with the totals that go out: while nothing has been told they are those of now."""
    kept = dict(terminal.settlement.current)
    if kept["step"] == OPEN:
        kept["totals"] = terminal.ledger.totals_by_scheme()
        kept["batch"] = terminal.ledger.batch
    return kept


def _insist(
    terminal: "Terminal", line: Line, message: "Callable[[], tuple[str, Fields]]", before: "Callable[[], None] | None" = None
) -> "Work[Answer]":
    """Sends a message up to TRIES times, with a trace number of its own each time, until it is answered for good. Where the
    host wants a sign-on it gets one."""
    answer = Answer(False)
    for attempt in range(TRIES):
        if attempt:
            yield Pause(BETWEEN_TRIES_MS)
        try:
            mti, fields = message()
            answer = yield from exchange(terminal, mti, fields, False, before, line=line)
        except UNUSABLE as error:
            terminal.log("settlement: %s" % error)
            return Answer(False, None, "totals")
        if answer.why == "store":
            raise StoreError(answer.why)
        if answer.fields is None:
            continue
        if answer.code in codes.SIGN_ON_CODES:
            why = yield from sign_on(terminal)
            if why:
                return answer
        elif answer.code == DIFFERS or not codes.to_repeat(answer.code) or answer.code in codes.UPLOADED_CODES:
            return answer
    return answer


# -- the upload


def _upload(terminal: "Terminal", line: Line) -> "Work[Outcome | None]":
    """Everything behind the place that is reached."""
    settlement = terminal.settlement
    parts = uploads.plan(terminal, settlement.current)
    total = sum([len(numbers) for numbers in parts])
    waiting = uploads.after(parts, settlement.current["place"])
    done = total - sum([len(numbers) for _, numbers in waiting])
    for part, numbers in waiting:
        yield Tell(Progress(UPLOAD, done, total))
        records = [record for record in [terminal.ledger.get(number) for number in numbers] if record is not None]
        outcome = yield from _one(terminal, line, uploads.Upload(part, records))
        if outcome is not None:
            return outcome
        done += len(numbers)
    settlement.turn(END)
    return None


def _one(terminal: "Terminal", line: Line, upload: "uploads.Upload") -> "Work[Outcome | None]":
    """One message's worth, and what came of it."""
    settlement = terminal.settlement
    cards: list[tuple[str, str]] = []
    for record in upload.records:
        card = yield from card_of(terminal, record)
        if card is None:
            return (yield from _apart(terminal, line, upload, ""))
        cards.append(card)
    answer = Answer(False)
    for attempt in range(TRIES):
        if attempt:
            yield Pause(BETWEEN_TRIES_MS)
        try:
            mti, fields = uploads.message(terminal, settlement.current, upload, cards)
            answer = yield from exchange(terminal, mti, fields, False, line=line)
        except UNUSABLE:
            return (yield from _apart(terminal, line, upload, ""))
        if answer.code in codes.UPLOADED_CODES:
            _taken(terminal, upload)
            return None
        if answer.fields is not None and not codes.to_repeat(answer.code):
            return (yield from _apart(terminal, line, upload, answer.code))
        if answer.code in codes.SIGN_ON_CODES:
            yield from sign_on(terminal)
    if answer.fields is not None:
        _not_taken(terminal, upload, "unsent", answer.code)
        return None
    if answer.sent:
        mti, fields = messages.echo(terminal)
        alive = yield from exchange(terminal, mti, fields, False, line=line)
        if alive.fields is not None:
            return (yield from _apart(terminal, line, upload, ""))
    return Outcome("no-answer", answer.why)


def _apart(terminal: "Terminal", line: Line, upload: "uploads.Upload", code: str) -> "Work[Outcome | None]":
    """A list that is not taken as a whole goes one by one; what is alone is noted. code: the host's refusal, "" without one."""
    if len(upload.records) == 1:
        _not_taken(terminal, upload, "denied" if code else "unsent", code)
        return None
    for record in upload.records:
        outcome = yield from _one(terminal, line, uploads.Upload(upload.part, [record]))
        if outcome is not None:
            return outcome
    return None


def _taken(terminal: "Terminal", upload: "uploads.Upload") -> None:
    """The host has it. What it has not booked yet goes on being delivered as a notice of its own."""
    settlement = terminal.settlement
    settlement.note(place=upload.place, uploaded=settlement.current["uploaded"] + len(upload.records))


def _not_taken(terminal: "Terminal", upload: "uploads.Upload", name: str, code: str) -> None:
    """Noted. name: "denied" with a code that is final, or "unsent"."""
    settlement = terminal.settlement
    for record in upload.records:
        terminal.log("settlement: %s is not uploaded (%s)" % (record["trace"], code or "-"))
    noted = (settlement.current[name] or []) + [[record["id"], code] for record in upload.records]
    settlement.note(place=upload.place, **{name: noted})


# -- the end


def _end(terminal: "Terminal", line: Line) -> "Work[Outcome | None]":
    """The host closes the batch, and so does the ledger."""
    settlement = terminal.settlement
    answer = yield from _insist(terminal, line, lambda: uploads.end(terminal, settlement.current))
    if answer.fields is None:
        return Outcome("no-answer", answer.why)
    if answer.code not in codes.UPLOADED_CODES:
        return Outcome("refused", "", answer.code)
    settlement.roll(terminal.ledger, SIGN_OFF if terminal.parameter("settle.sign_off") else DONE)
    return None


def _sign_off(terminal: "Terminal", line: Line) -> "Work[Outcome | None]":
    """Automatic sign-off. The batch is over: nothing depends on what the host says to it."""
    mti, fields = messages.sign_off(terminal, terminal.ledger.spend_trace())
    answer = yield from exchange(terminal, mti, fields, False, line=line)
    if answer.code != codes.APPROVED:
        terminal.log("settlement: sign-off: %s" % (answer.code or answer.why))
    terminal.signed_off()
    terminal.settlement.turn(DONE)
    return None


WORK: "dict[str, Callable[[Terminal, Line], Work[Outcome | None]]]" = {
    OPEN: _open,
    ASK: _ask,
    UPLOAD: _upload,
    END: _end,
    SIGN_OFF: _sign_off,
}


def close(terminal: "Terminal", reason: int) -> None:
    """A supervisor ends the batch without the host. reason: 1 to settlement.REASONS. Raises ports.StoreError.

    What is open stays open in the ledger and goes on being reversed, repeated and uploaded. The next conversation signs on
    first: the host says which batch it is in.
    """
    settlement = terminal.settlement
    ledger = terminal.ledger
    if settlement.running is None:
        settlement.begin(ledger, terminal.calendar_stamp(), terminal.operator)
    elif settlement.running["step"] == SIGN_OFF:  # the batch is over already
        settlement.turn(DONE)
        return
    left = [record["id"] for record in ledger.to_reverse() + ledger.to_repeat()]
    left += [record["id"] for what, record in ledger.notices() if what == OFFLINE]
    settlement.roll(ledger, DONE, closed=reason, left=left)
    terminal.signed_off()
