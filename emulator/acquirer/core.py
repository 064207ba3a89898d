"""One message in, its answers out: the acquirer and the banks behind it, without socket, clock or chance of their own.

    frame -> unpack -> whose terminal -> a person's rule -> MAC, batch, trace -> card, cryptogram, PIN, money -> books -> reply

What is checked, in this order, and what the answer is when it does not hold:

    97, 03  terminal known, merchant its own          94  trace number new in this batch
    77      signed on, batch the current one          14  card known           41 43 62 57  not lost, stolen, ...
    A0      MAC                                       54  not expired
    30      every field there                         59  cryptogram right, its counter never seen before
    68      not reversed before it came               99  PIN block readable   75  tries left   55  PIN right
    25, 12, 64  for a void: the sale there, not undone, same amount            51  enough money

A reversal is never refused for its batch or its card: 00 when the original is undone, or was never booked, or was
undone before; 25 when no such original came, and then that original is refused should it still come; 12 when a void
took the sale back; 64 when the amount is another.

What card and terminal approved between themselves is uploaded, and booked as a sale whatever is on the account: its
certificate (TC) must be right. 94 when it is there already. Results of scripts and failed chips are noted.

A chip with contacts is answered in field 55 (`issuer`). A chip card that was swiped is refused (57) unless the terminal
says that its chip failed.

A person's rule (`rules`) bends this at three places: before anything is booked, in place of the bank's decision, and on
the way back. An answer is (delay in ms, bytes), or (delay in ms, None): the connection is closed.

Source: reference/host.md §2 to §6.
"""

import hmac
import os
import sqlite3
import time
from collections.abc import Callable

from emulator.acquirer import issuer
from emulator.acquirer.banks import Banks
from emulator.acquirer.books import APPROVED, DECLINED, VOIDED, Books, Terminal, Transaction
from emulator.acquirer.keys import Engine
from emulator.acquirer.management import Management
from emulator.acquirer.replies import Answer, Replies
from emulator.acquirer.request import NEEDED, NOTICES, UPLOADS, Outcome, Request, classify
from emulator.acquirer.rules import Rule, Rules
from firmware.iso8583 import codes, unionpay
from firmware.iso8583.codec import Iso8583Error
from firmware.iso8583.describe import describe_fields
from firmware.iso8583.frame import Deframer, Frame, FrameError

LOCAL_S = 8 * 3600  # China has one time zone
CHIP_ANSWERED = ("sale", "void", "balance")


class Acquirer:
    """The host.

    books      Books: terminals, cards and accounts are added there.
    rules      Rules.
    clock      () -> seconds since 1970 UTC.
    random     (n) -> n bytes: working keys, authorisation codes.
    verify     (card record, field 55) -> bool: whether the cryptogram is the card's. None: not checked.
    log        (kind, text): each message of both directions, decoded and masked; kind "iso8583".
    latency_ms     how long every answer takes.
    mac_key_bytes  16, or 8: then the MAC key is sent as 8 bytes and eight zero bytes, as some hosts do.
    requirement    digit that every reply's header carries (frame.REQUIREMENTS).
    """

    def __init__(
        self,
        books: Books,
        rules: "Rules | None" = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
        verify: "Callable[[dict, bytes], bool] | None" = None,
        log: "Callable[[str, str], None] | None" = None,
    ) -> None:
        self.books = books
        self.rules = rules or Rules()
        self.clock = clock
        self.random = random
        self.verify = verify
        self.log = log
        self.latency_ms = 0
        self.mac_key_bytes = 16
        self.requirement = 0
        self._codec = unionpay.codec()
        self._engine = Engine()
        self._banks = Banks(self, self._engine)
        self._replies = Replies(self, self._engine, self._codec)
        management = Management(self, self._engine)
        self._acts = {
            "sale": self._banks.sale,
            "void": self._banks.void,
            "balance": self._banks.balance,
            "reversal": self._banks.reversal,
            "upload": self._banks.upload,
            "offline": self._banks.offline,
            "script-result": self._banks.notice,
            "failed-chip": self._banks.notice,
            "sign-on": management.sign_on,
            "sign-off": management.sign_off,
            "echo": management.echo,
        }

    # Bytes

    def open(self) -> "Session":
        """A new connection."""
        return Session(self)

    def handle(self, data: bytes) -> "list[Answer]":
        """The answers to one whole frame, length included. Bytes that are no frame close the connection."""
        deframer = Deframer()
        try:
            deframer.feed(data)
            got = deframer.next()
            deframer.finish()
        except FrameError as error:
            return self._broken(error)
        return self.answer(got) if got else self._broken("no frame")

    def answer(self, got: Frame) -> "list[Answer]":
        """The answers to one frame."""
        with self.books.lock:
            try:
                mti, fields = self._codec.unpack(got.body)
                request = classify(mti, fields, got.body)
            except Iso8583Error as error:
                return self._broken(error)
            self.tell("→", mti, fields)
            try:
                with self.books.writing():
                    return self._respond(got, request)
            except (sqlite3.Error, Iso8583Error) as error:  # a full disk, say: nothing is booked, the terminal hears nothing
                return self._broken(error)

    def _broken(self, why: object) -> "list[Answer]":
        if self.log:
            self.log("iso8583", f"→ closed: {why}")
        return [(self.latency_ms, None)]

    def local(self, form: str) -> str:
        """The time in China, by `strftime`."""
        return time.strftime(form, time.gmtime(self.clock() + LOCAL_S))

    def tell(self, way: str, mti: str, fields: dict, note: str = "") -> None:
        """One message to the log."""
        if self.log:
            lines = describe_fields(mti, fields, decode=lambda data: data.decode("gb18030", "replace"))
            lines[0] = f"{way} {lines[0]}" + (f" [{note}]" if note else "")
            self.log("iso8583", "\n  ".join(lines))

    # One request

    def _respond(self, got: Frame, request: Request) -> "list[Answer]":
        terminal = self.books.terminal(request.fields[41])
        request.pan = self._banks.pan(request, terminal)
        rule = self.rules.pick(request.kind, request.amount_fen if 4 in request.fields else None, request.pan)
        action = rule.action if rule else ""
        if action == "ignore":
            return []
        if action == "cut-before":
            return [(self.latency_ms, None)]
        outcome = self._decide(request, terminal, rule)
        if action == "silence":
            return []
        if action == "cut-after":
            return [(self.latency_ms, None)]
        # Sign-on may just have changed the keys; management is answered without a MAC all the same.
        reply = self._replies.fields(request, outcome)
        mac_key = terminal.mac_key if terminal and request.mti[1] in "246" and outcome.code not in ("97", "03", "A0") else None
        return self._replies.send(got, request, reply, mac_key, rule)

    def _decide(self, request: Request, terminal: "Terminal | None", rule: "Rule | None") -> Outcome:
        refusal = self._refusal(request, terminal)
        if refusal:
            return Outcome(refusal)
        assert terminal is not None
        if rule and rule.action == "decline":
            outcome = Outcome(rule.argument)  # in place of the bank's decision
        else:
            outcome = self._acts[request.kind](request, terminal)
        if request.kind in ("sale", "void", *UPLOADS):
            outcome = self._record(request, terminal, outcome)
        if rule and rule.action == "approve" and outcome.code == codes.APPROVED:
            outcome = outcome._replace(code=rule.argument)
        chip = b""
        if request.kind in CHIP_ANSWERED and issuer.is_chip(request):
            chip = issuer.answer(request, self.books.card(request.pan), outcome.code, rule)
        return outcome._replace(extra={**dict(outcome.extra), 55: chip}) if chip else outcome

    def _refusal(self, request: Request, terminal: "Terminal | None") -> str:
        """The code that refuses the message before its meaning is looked at, or ""."""
        fields = request.fields
        if terminal is None:
            return "97"
        if terminal.merchant != fields[42]:
            return "03"
        if not request.kind:
            return "12"
        if any(field not in fields for field in NEEDED[request.kind]):
            return "30"
        if request.mti[1] in "38":
            return ""
        if terminal.mac_key is None:
            return "77"
        if 64 not in fields:
            return "A0"
        expected = self._engine.mac(terminal.mac_key, unionpay.mac_span(request.message))
        if not hmac.compare_digest(expected, fields[64]):
            return "A0"
        if request.kind in NOTICES:
            return ""
        if fields[49] != unionpay.CURRENCY or (request.amount_fen == 0 and request.kind != "balance"):
            return "13"
        if request.kind == "reversal":
            return ""
        if request.kind in UPLOADS:
            before = self.books.find(terminal.number, request.private.batch, request.trace, ("sale", "void"))
            if before is None or codes.look_up(before.code).action == "retry-later":
                return ""
            return before.code if before.state == DECLINED else "94"
        if not terminal.signed_on or request.private.batch != "%06d" % terminal.batch:
            return "77"
        key = (terminal.number, request.private.batch, request.trace)
        if self.books.find(*key, ("sale", "void")):
            return "94"
        return "68" if self.books.is_refused(*key) else ""

    def _record(self, request: Request, terminal: Terminal, outcome: Outcome) -> Outcome:
        """Writes a sale, an upload of one, or a void down, gives it its numbers, and books it when it is approved."""
        good = outcome.code == codes.APPROVED
        number = self.books.next_id()
        sale = outcome.sale
        outcome = outcome._replace(
            reference="%s%08d" % (self.local("%m%d"), number % 100_000_000),
            authorisation="%06d" % (int.from_bytes(self.random(4), "big") % 1_000_000) if good else "",
        )
        kind = "sale" if request.kind in UPLOADS else request.kind
        self.books.record(
            Transaction(
                number, int(self.clock()), terminal.number, terminal.merchant, request.private.batch, request.trace, kind,
                request.pan, request.amount_fen, outcome.code, outcome.reference, outcome.authorisation,
                sale.id if sale else None, APPROVED if good else DECLINED,
            )
        )  # fmt: skip
        if good and sale:
            self.books.set_state(sale.id, VOIDED)
        return outcome


class Session:
    """One connection: bytes as they come, answers as `Acquirer.answer` gives them."""

    def __init__(self, acquirer: Acquirer) -> None:
        self._acquirer = acquirer
        self._deframer = Deframer()

    def receive(self, data: bytes) -> "list[Answer]":
        """The answers to what has become whole."""
        answers: list[Answer] = []
        try:
            self._deframer.feed(data)
            while True:
                got = self._deframer.next()
                if got is None:
                    return answers
                answers += self._acquirer.answer(got)
        except FrameError as error:
            return answers + self._acquirer._broken(error)
