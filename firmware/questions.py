"""A kernel's conversation: its commands carried to the card, its questions to those who answer them.

    the holder     which application, a PIN for the issuer, a PIN for the card       a page, and the vault
    the merchant   an identity document, a referral                                  a page
    the books      the card's last sale, the exception file                          by the vault's fingerprint of the card

A page is told the question; the task holds until it has answered.
"""

from binascii import hexlify

from firmware.emv import ask
from firmware.events import CARD_LOST, CARD_REPLY, SECRET_READY, SECRET_STOPPED, SECRET_TYPED, VAULT_DONE, Event
from firmware.host import resolve, session
from firmware.tasks import Ask, Close, Done, Hold, More, Tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.draft import Draft
    from firmware.emv.card import Flow
    from firmware.ports import ChipReader
    from firmware.tasks import Work
    from firmware.terminal import Terminal


class Talk:
    """Carries a kernel's commands to the card and its questions to those who answer them.

    silent    the card has stopped to answer though nobody has taken it away
    """

    def __init__(self, terminal: "Terminal", draft: "Draft", port: str, ticket: int, answer_ms: int) -> None:
        self.terminal = terminal
        self.draft = draft
        self.port = port
        self.ticket = ticket
        self.answer_ms = answer_ms
        self.silent = False

    def go(self, kernel: "Flow", answer: "Any") -> "Work[Any]":
        """Until the kernel's Outcome, or until it wants to go online (`ask.GoOnline`)."""
        reader = self.terminal.ports[self.port]
        while True:
            try:
                want = kernel.send(answer)
            except StopIteration as stop:
                return stop.value
            if isinstance(want, ask.GoOnline):
                return want
            if isinstance(want, (bytes, bytearray)):
                reader.transmit(self.ticket, want)
                event = yield More(self.ticket, within_ms=self.answer_ms)
                answer = event.value if event.name == CARD_REPLY else None
                if event.name == CARD_LOST and event.value == "protocol":
                    self.silent = True
            else:
                answer = yield from QUESTIONS[type(want)](self.terminal, self.draft, want)


# -- the kernel's questions


def _page(terminal: "Terminal", draft: "Draft", question: "Any") -> "Work[Any]":
    """A page asks the person."""
    yield Tell(question)
    answer = yield Hold()
    yield Tell("reading")
    return answer


def _refer(terminal: "Terminal", draft: "Draft", question: "ask.Refer") -> "Work[bool]":
    """The merchant calls the issuer and types its authorisation code, or nothing."""
    draft.referral = yield from _page(terminal, draft, question)
    return bool(draft.referral)


def online_pin(terminal: "Terminal", draft: "Draft", pan: str, slot: "ChipReader | None" = None) -> "Work[str | tuple[str, str]]":
    """A PIN for the issuer -> "typed" (the block is in the draft), "bypass", "cancel", or ("keys", why). Tells the number of
    digits. Keys must be there before the PIN is typed, since the block is made with them."""
    yield Tell("keys")
    p = terminal.parameter
    dukpt = p("host.keys") == "dukpt"
    if not terminal.signed_on() or dukpt:
        terminal.make_way()
        why = yield from session.sign_on_alone(terminal)
        if not why and dukpt:  # the key of this transaction; whatever else wants one goes first
            yield from resolve.resolve_all(terminal)
            if draft.original is not None and terminal.ledger.is_owed(draft.original):
                yield from resolve.deliver(terminal)
            draft.pin_serial = yield from session.next_serial(terminal)
            why = "" if draft.pin_serial is not None else "no-key"
        yield Done("host")  # a PIN is typed as slowly as it likes
        if why:
            return ("keys", why)
    yield Tell("ready")
    most = max(p("pin.minimum"), p("pin.maximum"))
    key = terminal.vault.check_value("pin")  # should another come while the PIN is typed, the block counts for none
    event = yield Ask("vault", "enter_pin", pan, p("pin.minimum"), most, p("host.pin_form"), keep=True)
    event = yield from _typing(event, slot)
    if event.name == SECRET_READY:
        draft.pin_block = event.value
        draft.pin_key = key
        return "typed"
    return event.value if event.name == SECRET_STOPPED else ("keys", "no-key")


def _typing(event: "Event", slot: "ChipReader | None" = None) -> "Work[Event]":
    """Tells the number of digits, until the vault has what it wants, or the card that the PIN is for has left its slot."""
    yield Tell(0)
    while event.name == SECRET_TYPED:
        if slot is not None and not slot.present:
            yield Close(event.ticket)
            return Event(SECRET_STOPPED, 0, "lost")
        yield Tell(event.value)
        event = yield More(event.ticket)
    return event


def _online_pin(terminal: "Terminal", draft: "Draft", question: "ask.OnlinePin") -> "Work[str]":
    """The kernel's wish for a PIN that the issuer checks. The holder of another card than the original's is not asked for it."""
    if draft.original_pan and question.pan != draft.original_pan:
        return ask.CANCEL
    yield Tell(question)
    yield Hold()
    typed = yield from online_pin(terminal, draft, question.pan, terminal.ports["chip"])
    yield Tell("reading")
    if isinstance(typed, tuple):
        return ask.BROKEN
    if typed in ("typed", "lost"):  # a card that has left says so at the next command
        return "entered"
    return _left_out(terminal, typed)


def _left_out(terminal: "Terminal", typed: str) -> str:
    return ask.BYPASS if typed == "bypass" and terminal.parameter("pin.bypass") else ask.CANCEL


def _offline_pin(terminal: "Terminal", draft: "Draft", question: "ask.OfflinePin") -> "Work[Any]":
    """A PIN that the card checks: the vault sends it there itself."""
    draft.offline_pins += 1
    yield Tell(question)
    yield Hold()
    p = terminal.parameter
    most = max(p("pin.minimum"), p("pin.maximum"))
    arguments = (p("pin.minimum"), most, question.kind, question.key, question.challenge)
    event = yield Ask("vault", "verify_pin", *arguments, keep=True)
    event = yield from _typing(event, terminal.ports["chip"])
    yield Tell("reading")
    if event.name == SECRET_READY:
        return event.value
    if event.name != SECRET_STOPPED:
        return ask.BROKEN
    if event.value == "lost":
        return None
    return _left_out(terminal, event.value)


def _fingerprint(pan: str) -> "Work[str]":
    event = yield Ask("vault", "fingerprint", pan.encode(), within_ms=session.VAULT_MS)
    return hexlify(event.value).decode() if event.name == VAULT_DONE else ""


def _last_amount(terminal: "Terminal", draft: "Draft", question: "ask.LastAmount") -> "Work[int]":
    who = yield from _fingerprint(question.pan)
    return terminal.ledger.last_fen(who) if who else 0


def on_exception(terminal: "Terminal", draft: "Draft", question: "ask.OnException") -> "Work[bool]":
    """Whether the card is on the exception file, which knows cards by the vault's fingerprint alone."""
    # The host's list names beginnings of card numbers, each known by the fingerprint of so many digits.
    sizes = [size for size in terminal.chores.sizes if size < len(question.pan)]
    for size in sizes + [len(question.pan)]:
        who = yield from _fingerprint(question.pan[:size])
        if not who:
            terminal.log("the exception file was not looked into: the vault makes no fingerprint")
            return False
        if terminal.ledger.on_exception(who):
            return True
    return False


QUESTIONS: "dict[Any, Callable[..., Work[Any]]]" = {
    ask.Choose: _page,
    ask.CheckDocument: _page,
    ask.Refer: _refer,
    ask.OnlinePin: _online_pin,
    ask.OfflinePin: _offline_pin,
    ask.LastAmount: _last_amount,
    ask.OnException: on_exception,
}
