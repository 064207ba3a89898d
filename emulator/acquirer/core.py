"""One message in, its answers out: the acquirer and the banks behind it, without socket, clock or chance of their own.

    frame -> unpack -> whose terminal -> a person's rule -> MAC, batch, trace -> card, cryptogram, PIN, money -> books -> reply

What is checked, in this order, and what the answer is when it does not hold:

    97, 03  terminal known, merchant its own          94  trace number new in this batch
    30      every field there                         14  card known           41 43 62 57  not lost, stolen, ...
    77      signed on                                 54  not expired
    A0      MAC; DUKPT keys never used before         59  cryptogram right, its counter never seen before
    13 61   currency, amount, the terminal's limit    99  PIN block readable   75  tries left   55  PIN right
    77      batch the current one                     51  enough money
    68      not reversed before it came               25, 12, 64, 22, 61  its original there, untouched, the amount fits

What is told (0220) is booked once: the same again is 94, or the same refusal; another message under its trace number is
64 or 12. What is asked (0100, 0200) is never answered twice: 94.

A reversal is never refused for its batch or its card: 00 when the original is undone, or was never booked, or was
undone before; 25 when no such original came, and then that original is refused should it still come; 12 when something
was built on the original since; 64 when the amount is another.

What card and terminal approved between themselves is uploaded, and booked as a sale whatever is on the account: its
certificate (TC) must be right. Results of scripts and failed chips are noted.

A chip with contacts is answered in field 55 (`issuer`). A chip card that was swiped is refused (57) unless the terminal
says that its chip failed.

A person's rule (`rules`) bends this at three places: before anything is booked, in place of the bank's decision, and on
the way back. An answer is (delay in ms, bytes), or (delay in ms, None): the connection is closed.

Source: reference/host.md §2 to §6.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from typing import Protocol

from drivers.libcrypto import CryptoError
from emulator.acquirer import authorisations, banks, corrections, downloads, issuer, management, profile, settlement
from emulator.acquirer.books import APPROVED, DECLINED, Books, Terminal, Transaction
from emulator.acquirer.cards import Cards
from emulator.acquirer.keys import Engine, Key, KeySet
from emulator.acquirer.replies import Answer, Replies
from emulator.acquirer.request import Outcome, Request, add, classify, recorded
from emulator.acquirer.rules import Rule, Rules
from firmware.iso8583 import codes, unionpay
from firmware.iso8583.codec import Codec, Iso8583Error
from firmware.iso8583.describe import describe_fields
from firmware.iso8583.frame import HEADER_SIZE, Deframer, Frame, FrameError

LOCAL_S = 8 * 3600  # China has one time zone
UNPROTECTED = ("97", "03", "A0")  # codes whose reply has no MAC: there may be no key in common
KSN_BYTES = {"tdes": 10, "aes": 12}
KSN_COUNTER = {"tdes": (3, 0x1FFFFF), "aes": (4, 0xFFFFFFFF)}


class Provider(Protocol):
    """Who answers kinds of requests: made with the acquirer. `ROWS` of its module are its rows of the table of kinds."""

    def __init__(self, host: "Acquirer") -> None: ...

    def acts(self) -> "dict[str, Callable[[Request, Terminal], Outcome]]": ...


PROVIDERS: "tuple[type[Provider], ...]" = (
    banks.Banks,
    corrections.Corrections,
    authorisations.Authorisations,
    management.Management,
    settlement.Settlement,
    downloads.Downloads,
)
add(*settlement.ROWS, *downloads.ROWS)


class Acquirer:
    """The host.

    books      Books: terminals, cards and accounts are added there.
    rules      Rules.
    clock      () -> seconds since 1970 UTC.
    random     (n) -> n bytes: working keys, authorisation codes.
    verify     (card record, field 55) -> bool: whether the cryptogram is the card's. None: not checked.
    log        (kind, text): each message of both directions, decoded and masked; kind "iso8583".
    latency_ms        how long every answer takes.
    mac_key_bytes     16, or 8: then the MAC key is sent as 8 bytes and eight zero bytes, as some hosts do.
    requirement       digit that every reply's header carries (frame.REQUIREMENTS).
    ceiling_percent   most that a completion may take of what is held.
    hold_days         how long a pre-authorisation holds.
    providers         {class name: Provider}: `providers["Settlement"]`.
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
        self.ceiling_percent = 115
        self.hold_days = 30
        self.engine = Engine()
        self.cards = Cards(self)
        self._codecs: dict[str, Codec] = {"": unionpay.codec()}
        self._replies = Replies(self)
        self.providers: dict[str, Provider] = {provider.__name__: provider(self) for provider in PROVIDERS}
        self._acts: dict[str, Callable[[Request, Terminal], Outcome]] = {}
        for one in self.providers.values():
            self._acts.update(one.acts())
        self._recorded = tuple(sorted(recorded()))

    # Bytes

    def open(self) -> "Session":
        """A new connection."""
        return Session(self)

    def handle(self, data: bytes) -> "list[Answer]":
        """The answers to one whole frame, length included. Bytes that are no frame close the connection."""
        deframer = Deframer(0)
        try:
            deframer.feed(data)
            got = deframer.next()
            deframer.finish()
        except FrameError as error:
            return self.broken(error)
        return self.answer(got) if got else self.broken("no frame")

    def answer(self, got: Frame) -> "list[Answer]":
        """The answers to one frame, its header apart from its message or still in front of it."""
        got = _split(got)
        with self.books.lock:
            try:
                mti, fields, codec = self._unpack(got.body)
                request = classify(mti, fields, got.body)
            except Iso8583Error as error:
                return self.broken(error)
            self.tell("→", mti, fields)
            try:
                with self.books.writing():
                    return self._respond(got, request, codec)
            # A full disk, say: nothing is booked, the terminal hears nothing.
            except (sqlite3.Error, Iso8583Error, CryptoError) as error:
                return self.broken(error)

    def broken(self, why: object) -> "list[Answer]":
        """The end of a connection, told to the log."""
        if self.log:
            self.log("iso8583", f"→ closed: {why}")
        return [(self.latency_ms, None)]

    def local(self, form: str) -> str:
        """The time in China, by `strftime`."""
        return time.strftime(form, time.gmtime(self.clock() + LOCAL_S))

    def date_of(self, at_s: int) -> str:
        """The day in China of a time, MMDD."""
        return time.strftime("%m%d", time.gmtime(at_s + LOCAL_S))

    def tell(self, way: str, mti: str, fields: dict, note: str = "") -> None:
        """One message to the log."""
        if self.log:
            lines = describe_fields(mti, fields, decode=lambda data: data.decode("gb18030", "replace"))
            lines[0] = f"{way} {lines[0]}" + (f" [{note}]" if note else "")
            self.log("iso8583", "\n  ".join(lines))

    def _unpack(self, body: bytes) -> "tuple[str, dict, Codec]":
        """A message by the table of its terminal. Which terminal it is, is told by field 41: any table that reads it will do."""
        failure: Iso8583Error | None = None
        for codec in self._tables():
            try:
                mti, fields = codec.unpack(body)
            except Iso8583Error as error:
                failure = failure or error
                continue
            terminal = self.books.terminal(fields.get(41, ""))
            own = self._codec(terminal.profile) if terminal else codec
            return (mti, fields, codec) if own is codec else (*own.unpack(body), own)
        assert failure is not None
        raise failure

    def _tables(self):
        yield self._codecs[""]
        for one in self.books.profiles():
            if one.fields:
                yield self._codec(one)

    def _codec(self, one: "profile.Profile") -> Codec:
        if not one.fields:
            return self._codecs[""]
        name = repr(sorted(one.fields.items()))
        if name not in self._codecs:
            self._codecs[name] = profile.codec_of(one)
        return self._codecs[name]

    # One request

    def _respond(self, got: Frame, request: Request, codec: Codec) -> "list[Answer]":
        terminal = self.books.terminal(request.fields[41])
        own = terminal.profile if terminal else profile.STANDARD
        if own.header_bytes not in (-1, len(got.header)):
            return self.broken("a header of %d bytes" % len(got.header))
        if terminal:
            request.keys = self._keys(request, terminal)
        request.pan = self.cards.pan(request, terminal)
        rule = self.rules.pick(request.kind, request.amount_fen if 4 in request.fields else None, request.pan)
        request.rule = rule
        action = request.action
        if action == "ignore":
            return []
        if action == "cut-before":
            return [(self.latency_ms, None)]
        outcome = self._decide(request, terminal, rule)
        if action == "silence":
            return []
        if action == "cut-after":
            return [(self.latency_ms, None)]
        reply = self._replies.fields(request, outcome)
        # Management, sign-on among it, is answered without a MAC, unless it came with one.
        signed = request.row and (request.row.mac or 64 in request.fields)
        key = request.keys.reply_mac if request.keys and signed and outcome.code not in UNPROTECTED else None
        return self._replies.send(got, request, reply, own, codec, key)

    def _keys(self, request: Request, terminal: Terminal) -> "KeySet | None":
        """The keys of this message; a key serial number is taken out of its field."""
        own, cipher = terminal.profile, terminal.cipher
        if own.keys == "session":
            if terminal.mac_key is None:
                return None
            mac = Key(cipher, terminal.mac_key)
            pin = Key(cipher, terminal.pin_key) if terminal.pin_key else None
            # Nobody has written down how a block of 16 bytes lies in a track.
            track = Key(cipher, terminal.track_key) if terminal.track_key and cipher == "tdes" else None
            return KeySet(pin, mac, mac, track)
        data = request.fields.get(own.ksn_field, b"")
        size = KSN_BYTES[own.suite]
        if not isinstance(data, bytes) or len(data) < size:
            return None
        number, rest = data[:size], data[size:]
        request.fields[own.ksn_field] = rest
        if not rest:
            del request.fields[own.ksn_field]
        width, mask = KSN_COUNTER[own.suite]
        request.ksn_counter = int.from_bytes(number[-width:], "big") & mask
        for_pin, for_mac = ("aes" if own.pin_form == "4" else "tdes"), ("aes" if own.mac == "cmac" else "tdes")
        return self.engine.dukpt(own.base_key, number, own.suite, for_pin, for_mac)

    def _decide(self, request: Request, terminal: "Terminal | None", rule: "Rule | None") -> Outcome:
        refusal = self._refusal(request, terminal)
        if refusal:
            return Outcome(refusal)
        assert terminal is not None
        if rule and rule.action == "decline":
            outcome = Outcome(rule.argument)  # in place of the bank's decision
        else:
            outcome = self._acts[request.kind](request, terminal)
        if request.row and request.row.written:
            outcome = self._record(request, terminal, outcome)
        if rule and rule.action == "approve" and outcome.code == codes.APPROVED:
            outcome = outcome._replace(code=rule.argument)
        chip = b""
        if request.mti in ("0100", "0200") and request.kind != "upload" and issuer.is_chip(request):
            chip = issuer.answer(request, self.books.card(request.pan), outcome.code, rule)
        return outcome._replace(extra={**dict(outcome.extra), 55: chip}) if chip else outcome

    def _refusal(self, request: Request, terminal: "Terminal | None") -> str:
        """The code that refuses the message before its meaning is looked at, or ""."""
        fields, row = request.fields, request.row
        if terminal is None:
            return "97"
        if terminal.merchant != fields[42]:
            return "03"
        if row is None or request.kind not in self._acts:
            return "12"
        if any(field not in fields for field in row.needed):
            return "30"
        if row.mac or 64 in fields:
            code = self._check_mac(request, terminal)
            if code:
                return code
        if row.money and (fields.get(49) != unionpay.CURRENCY or (row.money == "amount" and request.amount_fen == 0)):
            return "13"
        if row.money == "amount" and request.kind != "reversal" and 0 < terminal.profile.limit_fen < request.amount_fen:
            return "61"
        if row.written == "told":
            before = self.books.find(terminal.number, request.private.batch, request.trace, self._recorded)
            if before is not None and not (before.state == DECLINED and codes.to_repeat(before.code)):
                return self._again(request, before)
        if not row.sign_on:
            return ""
        if not terminal.signed_on:
            return "77"
        if row.written == "told":  # it may be of a batch that is closed by now
            return ""
        if request.private.batch != "%06d" % terminal.batch:
            return "77"
        key = (terminal.number, request.private.batch, request.trace)
        if self.books.find(*key, self._recorded):
            return "94"
        return "68" if self.books.is_refused(*key) else ""

    def _check_mac(self, request: Request, terminal: Terminal) -> str:
        """77 without a key, A0 for a MAC that is wrong, or was made with keys that were used before."""
        own = terminal.profile
        if request.keys is None:
            return "A0" if own.keys == "dukpt" else "77"
        key, mac = request.keys.mac, request.fields.get(64, b"")
        if not self.engine.check_mac(key.value, unionpay.mac_span(request.message), mac, own.mac, key.cipher):
            return "A0"
        fresh = own.keys == "session" or self.books.use_ksn(terminal.number, request.ksn_counter)
        return "" if fresh else "A0"

    def _again(self, request: Request, before: Transaction) -> str:
        """What a told message is answered whose trace number was there before."""
        if request.amount_fen != (before.asked_fen or before.amount_fen):
            return "64"
        if request.recorded != before.kind or (request.pan and before.pan and request.pan != before.pan):
            return "12"
        return before.code if before.state == DECLINED else "94"

    def _record(self, request: Request, terminal: Terminal, outcome: Outcome) -> Outcome:
        """Writes a transaction down, gives it its numbers, and books it when it is approved."""
        good = codes.approved(outcome.code)
        number = self.books.next_id()
        authorisation = outcome.authorisation
        if good and not authorisation:
            authorisation = "%06d" % (int.from_bytes(self.random(4), "big") % 1_000_000)
        reference = "%s%08d" % (self.local("%m%d"), number % 100_000_000)
        outcome = outcome._replace(reference=reference, authorisation=authorisation if good else "")
        amount_fen = request.amount_fen if outcome.amount_fen is None else outcome.amount_fen
        hold = outcome.hold
        if hold is not None and not hold.id:
            hold = hold._replace(id=number, authorisation=authorisation)
        self.books.record(
            Transaction(
                number, int(self.clock()), terminal.number, terminal.merchant, request.private.batch, request.trace,
                request.recorded, request.pan, amount_fen, outcome.code, reference, outcome.authorisation,
                outcome.original.id if outcome.original else None, APPROVED if good else DECLINED, request.amount_fen,
                outcome.tip_fen,
            ),
            hold,
        )  # fmt: skip
        return outcome


def _split(got: Frame) -> Frame:
    """The frame with its header apart. A header begins with its class, 60 to 69; a message type never does."""
    if not got.header and got.body[0] >> 4 == 6 and len(got.body) > HEADER_SIZE:
        return Frame(got.tpdu, got.body[:HEADER_SIZE], got.body[HEADER_SIZE:])
    return got


class Session:
    """One connection: bytes as they come, answers as `Acquirer.answer` gives them."""

    def __init__(self, acquirer: Acquirer) -> None:
        self._acquirer = acquirer
        self._deframer = Deframer(0)

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
            return answers + self._acquirer.broken(error)
