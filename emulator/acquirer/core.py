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

A person's rule (`rules`) bends this at three places: before anything is booked, in place of the bank's decision, and on
the way back. An answer is (delay in ms, bytes), or (delay in ms, None): the connection is closed.

Source: reference/host.md §2 to §6.
"""

import hmac
import os
import sqlite3
import time
from collections import namedtuple
from collections.abc import Callable

from emulator.acquirer.books import APPROVED, DECLINED, VOIDED, Books, Terminal, Transaction
from emulator.acquirer.keys import Engine, PinFormat, odd_parity
from emulator.acquirer.rules import Rule, Rules
from firmware.emv import tlv
from firmware.iso8583 import codes, frame, unionpay
from firmware.iso8583.codec import Iso8583Error
from firmware.iso8583.describe import describe_fields
from firmware.iso8583.frame import Deframer, Frame, FrameError

LOCAL_S = 8 * 3600  # China has one time zone
ACQUIRER_ID, ISSUER_ID = "00020000", "00010000"
PIN_TRIES = 3
STATUS_CODES = {"lost": "41", "stolen": "43", "restricted": "62", "closed": "57"}
SPLIT_MS = 40
F60_DIGITS = 17

# (message type, processing code, F60.1) -> kind; for management (message type, F60.3) -> kind.
FINANCIAL = {
    ("0200", "000000", unionpay.SALE): "sale",
    ("0200", "200000", unionpay.VOID): "void",
    ("0200", "310000", unionpay.BALANCE): "balance",
    ("0400", "000000", unionpay.SALE): "reversal",
    ("0400", "200000", unionpay.VOID): "reversal",
}
MANAGEMENT = {
    ("0800", unionpay.KEYS_SINGLE): "sign-on",
    ("0800", unionpay.KEYS_DOUBLE): "sign-on",
    ("0800", unionpay.KEYS_TRACK): "sign-on",
    ("0820", unionpay.SIGN_OFF): "sign-off",
    ("0820", unionpay.ECHO): "echo",
}
NEEDED = {
    "sale": (3, 4, 11, 22, 25, 49),
    "void": (3, 4, 11, 22, 25, 49, 61),
    "balance": (3, 11, 22, 25, 49),
    "reversal": (3, 4, 11, 25, 39, 49),
    "sign-on": (11,),
    "sign-off": (11,),
    "echo": (),
}
ECHOED = (3, 4, 11, 25, 41, 42, 49, 60)  # fields of a request that its reply repeats

Answer = tuple[int, "bytes | None"]
# What was decided: F39, fields of the reply, F38, F37, the sale that a void takes back.
Outcome = namedtuple("Outcome", "code extra authorisation reference sale", defaults=((), "", "", None))


class _Request:
    """One request on its way through the checks."""

    def __init__(self, kind: str, mti: str, fields: dict, message: bytes) -> None:
        self.kind, self.mti, self.fields, self.message = kind, mti, fields, message
        self.private = unionpay.read_private60(fields[60])
        self.amount_fen = int(fields.get(4, "0"))
        self.trace = fields.get(11, "")
        self.pan = ""


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
        self._last_reply = b""
        self._acts = {
            "sale": self._sale,
            "void": self._void,
            "balance": self._balance,
            "reversal": self._reversal,
            "sign-on": self._sign_on,
            "sign-off": self._sign_off,
            "echo": self._echo,
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
                request = self._classify(mti, fields, got.body)
            except Iso8583Error as error:
                return self._broken(error)
            self._tell("→", mti, fields)
            try:
                with self.books.writing():
                    return self._respond(got, request)
            except (sqlite3.Error, Iso8583Error) as error:  # a full disk, say: nothing is booked, the terminal hears nothing
                return self._broken(error)

    def _broken(self, why: object) -> "list[Answer]":
        if self.log:
            self.log("iso8583", f"→ closed: {why}")
        return [(self.latency_ms, None)]

    def _classify(self, mti: str, fields: dict, message: bytes) -> _Request:
        if mti[2] not in "02":
            raise Iso8583Error(0, 0, "not a request")
        for field in (41, 42, 60):
            if field not in fields:
                raise Iso8583Error(field, None, "missing")
        private = unionpay.read_private60(fields[60])
        kind = MANAGEMENT.get((mti, private.code)) or FINANCIAL.get((mti, fields.get(3, ""), private.kind)) or ""
        return _Request(kind, mti, fields, message)

    # One request

    def _respond(self, got: Frame, request: _Request) -> "list[Answer]":
        terminal = self.books.terminal(request.fields[41])
        request.pan = self._pan(request, terminal)
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
        reply = self._reply(request, outcome)
        mac_key = terminal.mac_key if terminal and request.mti[1] in "24" and outcome.code not in ("97", "03", "A0") else None
        return self._send(got, request, reply, mac_key, rule)

    def _decide(self, request: _Request, terminal: "Terminal | None", rule: "Rule | None") -> Outcome:
        refusal = self._refusal(request, terminal)
        if refusal:
            return Outcome(refusal)
        assert terminal is not None
        if rule and rule.action == "decline":
            outcome = Outcome(rule.argument)  # in place of the bank's decision
        else:
            outcome = self._acts[request.kind](request, terminal)
        if request.kind in ("sale", "void"):
            outcome = self._record(request, terminal, outcome)
        if rule and rule.action == "approve" and outcome.code == codes.APPROVED:
            outcome = outcome._replace(code=rule.argument)
        return outcome

    def _refusal(self, request: _Request, terminal: "Terminal | None") -> str:
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
        if request.mti[1] == "8":
            return ""
        if terminal.mac_key is None:
            return "77"
        if 64 not in fields:
            return "A0"
        expected = self._engine.mac(terminal.mac_key, unionpay.mac_span(request.message))
        if not hmac.compare_digest(expected, fields[64]):
            return "A0"
        if fields[49] != unionpay.CURRENCY or (request.amount_fen == 0 and request.kind != "balance"):
            return "13"
        if request.kind == "reversal":
            return ""
        if not terminal.signed_on or request.private.batch != "%06d" % terminal.batch:
            return "77"
        key = (terminal.number, request.private.batch, request.trace)
        if self.books.find(*key, ("sale", "void")):
            return "94"
        return "68" if self.books.is_refused(*key) else ""

    def _record(self, request: _Request, terminal: Terminal, outcome: Outcome) -> Outcome:
        """Writes a sale or a void down, gives it its numbers, and books it when it is approved."""
        good = outcome.code == codes.APPROVED
        number = self.books.next_id()
        sale = outcome.sale
        outcome = outcome._replace(
            reference="%s%08d" % (self._date(), number % 100_000_000),
            authorisation="%06d" % (int.from_bytes(self.random(4), "big") % 1_000_000) if good else "",
        )
        self.books.record(
            Transaction(
                number, int(self.clock()), terminal.number, terminal.merchant, request.private.batch, request.trace, request.kind,
                request.pan, request.amount_fen, outcome.code, outcome.reference, outcome.authorisation,
                sale.id if sale else None, APPROVED if good else DECLINED,
            )
        )  # fmt: skip
        if good and sale:
            self.books.set_state(sale.id, VOIDED)
        return outcome

    # Sign-on, sign-off, echo

    def _sign_on(self, request: _Request, terminal: Terminal) -> Outcome:
        size = 8 if request.private.code == unionpay.KEYS_SINGLE else 16
        mac_size = min(size, self.mac_key_bytes)
        pin_key, mac_key = odd_parity(self.random(size)), odd_parity(self.random(mac_size))
        track_key = odd_parity(self.random(16)) if request.private.code == unionpay.KEYS_TRACK else None
        block = b""
        for key in (pin_key, mac_key, track_key):
            if key is not None:
                cryptogram = self._engine.encipher(terminal.master_key, key)
                block += cryptogram + bytes(size - len(cryptogram)) + self._engine.check_value(key)
        self.books.sign_on(terminal.number, pin_key, mac_key, track_key)
        private = unionpay.management("%06d" % terminal.batch, request.private.code)
        return Outcome(codes.APPROVED, {60: private, 62: block})

    def _sign_off(self, request: _Request, terminal: Terminal) -> Outcome:
        if abs(int(request.private.batch) - terminal.batch) > 1:
            return Outcome("77")
        self.books.sign_off(terminal.number)
        return Outcome(codes.APPROVED)

    def _echo(self, request: _Request, terminal: Terminal) -> Outcome:
        return Outcome(codes.APPROVED)

    # Sale, void, balance, reversal

    def _sale(self, request: _Request, terminal: Terminal) -> Outcome:
        code = self._check_card(request, terminal)
        if not code and self.books.balance(request.pan) < request.amount_fen:
            code = "51"
        return Outcome(code or codes.APPROVED)

    def _balance(self, request: _Request, terminal: Terminal) -> Outcome:
        code = self._check_card(request, terminal)
        if code:
            return Outcome(code)
        return Outcome(codes.APPROVED, {54: unionpay.balance("10", "02", self.books.balance(request.pan))})

    def _void(self, request: _Request, terminal: Terminal) -> Outcome:
        try:
            original = unionpay.read_original(request.fields[61])
        except Iso8583Error:
            return Outcome("30")
        sale = self.books.find(terminal.number, original.batch, original.trace, ("sale",))
        if sale is None or sale.state == DECLINED:
            return Outcome("25")
        reference, authorisation = request.fields.get(37, ""), request.fields.get(38, "")
        if reference.strip("0 ") and reference != sale.reference or authorisation.strip() and authorisation != sale.authorisation:
            return Outcome("25")
        if sale.state != APPROVED:
            return Outcome("12")
        if sale.amount_fen != request.amount_fen:
            return Outcome("64")
        if request.pan and request.pan != sale.pan:
            return Outcome("14")
        request.pan = sale.pan
        if 55 in request.fields or 52 in request.fields:
            code = self._check_card(request, terminal)
            if code:
                return Outcome(code)
        return Outcome(codes.APPROVED, sale=sale)

    def _reversal(self, request: _Request, terminal: Terminal) -> Outcome:
        kind = "void" if request.private.kind == unionpay.VOID else "sale"
        key = (terminal.number, request.private.batch, request.trace)
        original = self.books.find(*key, (kind,))
        if original is None:
            self.books.refuse_later(*key)
            return Outcome("25")
        request.pan = original.pan
        if original.amount_fen != request.amount_fen:
            return Outcome("64")
        if original.state == VOIDED:
            return Outcome("12")
        if original.state == APPROVED:
            self.books.undo(original, int(self.clock()))
        return Outcome(codes.APPROVED, authorisation=original.authorisation, reference=original.reference)

    # Cards

    def _pan(self, request: _Request, terminal: "Terminal | None") -> str:
        """The card number of a request, from field 2 or from track 2; "" when there is none."""
        track = request.fields.get(35, "")
        if 2 in request.fields or not track:
            return request.fields.get(2, "")
        if request.fields.get(53, "")[2:3] == "1" and terminal and terminal.track_key:
            try:
                track = self._engine.clear_track(terminal.track_key, track)
            except ValueError:  # what is no hexadecimal was no track either
                return ""
        pan = track.split("D")[0]
        return pan if pan.isdigit() else ""

    def _check_card(self, request: _Request, terminal: Terminal) -> str:
        """The code that the card's bank refuses with before it looks at the money, or ""."""
        card = self.books.card(request.pan)
        if card is None:
            return "14"
        if card["status"] in STATUS_CODES:
            return STATUS_CODES[card["status"]]
        expiry = request.fields.get(14, card["expiry"])
        if expiry != card["expiry"] or card["expiry"] < self._local("%y%m"):
            return "54"
        return self._check_chip(request, card) or self._check_pin(request, terminal, card)

    def _check_chip(self, request: _Request, card: dict) -> str:
        chip = request.fields.get(55)
        if chip is None:
            # A card that was read by chip proves itself; a void may name its card without one.
            by_chip = unionpay.read_entry_mode(request.fields[22])[0] in ("chip", "contactless")
            return "59" if by_chip and request.kind != "void" else ""
        try:
            objects = dict(tlv.decode(chip))
        except tlv.TlvError:
            return "30"
        counter, amount = objects.get(0x9F36), objects.get(0x9F02)
        if not isinstance(counter, bytes) or len(counter) != 2:
            return "30"
        if request.kind == "sale" and amount != bytes.fromhex(request.fields[4]):
            return "59"
        if self.verify and not self.verify(card, chip):
            return "59"
        return "" if self.books.use_counter(request.pan, int.from_bytes(counter, "big")) else "59"

    def _check_pin(self, request: _Request, terminal: Terminal, card: dict) -> str:
        block = request.fields.get(52)
        if block is None:
            return ""
        wrong = card["wrong_pins"]
        if wrong >= PIN_TRIES:
            return "75"
        try:
            pin = self._engine.pin(terminal.pin_key, block, request.pan)
        except PinFormat:
            return "99"
        if hmac.compare_digest(pin, card["pin"]):
            if wrong:
                self.books.count_wrong_pin(request.pan, 0)
            return ""
        self.books.count_wrong_pin(request.pan, wrong + 1)
        return "55"

    # Replies

    def _local(self, form: str) -> str:
        return time.strftime(form, time.gmtime(self.clock() + LOCAL_S))

    def _date(self) -> str:
        return self._local("%m%d")

    def _reply(self, request: _Request, outcome: Outcome) -> dict:
        fields = {field: request.fields[field] for field in ECHOED if field in request.fields}
        fields[60] = fields[60][:F60_DIGITS]  # longer ones are taken, and not sent
        fields[12], fields[13] = self._local("%H%M%S"), self._date()
        fields[39] = outcome.code
        if request.mti[1] != "8" or request.kind == "sign-on":
            fields[32] = ACQUIRER_ID
            fields[37] = outcome.reference or self._date() + "%08d" % (int.from_bytes(self.random(4), "big") % 100_000_000)
        if request.mti[1] == "2":
            if request.pan:
                fields[2] = request.pan
            fields[15] = self._date()
            fields[44] = b"%-11s%-11s" % (ISSUER_ID.encode(), ACQUIRER_ID.encode())
            fields[63] = b"CUP"
            if not codes.approved(outcome.code):
                fields[63] += codes.look_up(outcome.code).zh.encode("gb18030")
        if outcome.authorisation:
            fields[38] = outcome.authorisation
        fields.update(outcome.extra)
        return fields

    def _send(self, got: Frame, request: _Request, fields: dict, mac_key: "bytes | None", rule: "Rule | None") -> "list[Answer]":
        action = rule.action if rule else ""
        if action == "wrong-trace" and request.trace:
            fields[11] = unionpay.trace(unionpay.next_trace(int(request.trace)))
        elif action == "wrong-amount" and 4 in fields:
            fields[4] = unionpay.amount((request.amount_fen + 1) % unionpay.AMOUNT_LIMIT_FEN)
        elif action == "wrong-terminal":
            fields[41] = "%08d" % ((int(fields[41]) + 1) % 100_000_000) if fields[41].isdigit() else "00000000"
        mti = unionpay.reply_to(request.mti)
        if mac_key and action != "no-mac":
            fields[64] = bytes(unionpay.MAC_SIZE)
            mac = self._engine.mac(mac_key, unionpay.mac_span(self._codec.pack(mti, fields)))
            if action == "wrong-mac":
                mac = mac[:-1] + (b"0" if mac[-1:] != b"0" else b"1")
            fields[64] = mac
        body = self._codec.pack(mti, fields)
        self._tell("←", mti, fields, action)
        digit = rule.argument if rule and rule.action == "require" else self.requirement
        reply = frame.pack(frame.answering(got.tpdu), frame.require(got.header, digit), body)
        previous, self._last_reply = self._last_reply, reply
        return self._deliver(reply, previous or self._older(got, mti, fields), action, rule)

    def _older(self, got: Frame, mti: str, fields: dict) -> bytes:
        """A reply to a message that came before the first one: to be merged in front."""
        other = dict(fields)
        if 11 in other:
            other[11] = unionpay.trace((int(other[11]) + 499_998) % unionpay.TRACE_LIMIT + 1)
        return frame.pack(frame.answering(got.tpdu), got.header, self._codec.pack(mti, other))

    def _deliver(self, reply: bytes, older: bytes, action: str, rule: "Rule | None") -> "list[Answer]":
        at = self.latency_ms
        if rule and action == "late":
            return [(at + rule.argument * 1000, reply)]
        if action == "split":
            third = len(reply) // 3
            return [(at, reply[:1]), (at + SPLIT_MS, reply[1:third]), (at + 2 * SPLIT_MS, reply[third:])]
        if action == "merged":
            return [(at, older + reply)]
        if action == "twice":
            return [(at, reply), (at + SPLIT_MS, reply)]
        if action == "half":
            return [(at, reply[: len(reply) // 2]), (at + SPLIT_MS, None)]
        if action == "garbage":
            return [(at, b"\x00\x60" + self.random(96))]
        return [(at, reply)]

    def _tell(self, way: str, mti: str, fields: dict, note: str = "") -> None:
        if self.log:
            lines = describe_fields(mti, fields, decode=lambda data: data.decode("gb18030", "replace"))
            lines[0] = f"{way} {lines[0]}" + (f" [{note}]" if note else "")
            self.log("iso8583", "\n  ".join(lines))


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
