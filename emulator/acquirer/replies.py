"""The way back: the fields of a reply, what a person's rule bends in them, and how its bytes arrive."""

from typing import TYPE_CHECKING

from emulator.acquirer.keys import Key
from emulator.acquirer.profile import Profile
from emulator.acquirer.request import Outcome, Request
from firmware import schemes
from firmware.iso8583 import codes, frame, unionpay
from firmware.iso8583.codec import Codec
from firmware.iso8583.frame import Frame

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

ACQUIRER_ID, ISSUER_ID = "00020000", "00010000"
SPLIT_MS = 40
KEPT_BACK = 10_000
F60_DIGITS = 17
ECHOED = (3, 4, 11, 25, 41, 42, 49, 60)  # fields of a request that its reply repeats

Answer = tuple[int, "bytes | None"]


class Replies:
    """Makes the answers of one acquirer."""

    def __init__(self, host: "Acquirer") -> None:
        self._host = host
        self._last_reply = b""
        self._kept_back: dict[str, bytes] = {}  # terminal -> reply that comes in front of its next one

    def fields(self, request: Request, outcome: Outcome) -> dict:
        """What the reply says, but for its MAC."""
        fields = {field: request.fields[field] for field in ECHOED if field in request.fields}
        fields[60] = fields[60][:F60_DIGITS]  # longer ones are taken, and not sent
        today = self._host.local("%m%d")
        fields[12], fields[13] = self._host.local("%H%M%S"), today
        if outcome.code:
            fields[39] = outcome.code
        if request.mti[1] != "8" or request.kind == "sign-on":
            fields[32] = ACQUIRER_ID
            fields[37] = outcome.reference or today + "%08d" % (int.from_bytes(self._host.random(4), "big") % 100_000_000)
        if request.mti[1] == "5":
            fields[15] = today
        if request.mti[1] in "12":
            if request.pan:
                fields[2] = request.pan
            fields[15] = today
            fields[44] = b"%-11s%-11s" % (ISSUER_ID.encode(), ACQUIRER_ID.encode())
            fields[63] = schemes.of_card("", request.pan).encode()
            if not codes.approved(outcome.code):
                fields[63] += codes.look_up(outcome.code).zh.encode("gb18030")
        if outcome.authorisation:
            fields[38] = outcome.authorisation
        fields.update(outcome.extra)
        return {field: value for field, value in fields.items() if value is not None}

    def send(
        self, got: Frame, request: Request, fields: dict, own: Profile, codec: Codec, key: "Key | None"
    ) -> "list[Answer]":  # fmt: skip
        """The fields as bytes, bent by the request's rule, and when they arrive. key: of its MAC; None: no MAC."""
        action = request.action
        if action in BENT:
            field, other = BENT[action]
            if field in fields:
                fields[field] = other(fields[field])
        mti = unionpay.reply_to(request.mti)
        if action == "wrong-mti":
            mti = "0210" if mti != "0210" else "0410"
        if key and action != "no-mac":
            fields[64] = bytes(unionpay.MAC_SIZE)
            span = unionpay.mac_span(codec.pack(mti, fields))
            mac = self._host.engine.mac(key.value, span, own.mac, key.cipher)
            if action == "wrong-mac":
                mac = mac[:-1] + (b"0" if mac[-1:] != b"0" else b"1")
            fields[64] = mac
        body = codec.pack(mti, fields)
        self._host.tell("←", mti, fields, action)
        digit = request.rule.argument if request.rule and action == "require" else self._host.requirement
        header = frame.require(got.header, digit)
        tpdu = frame.answering(got.tpdu) if own.tpdu == "swapped" else got.tpdu
        reply = frame.pack(tpdu, header, body)
        previous, self._last_reply = self._last_reply, reply
        older = (previous or self._older(tpdu, header, mti, fields, codec)) if action == "merged" else b""
        return self._deliver(reply, older, request)

    def _older(self, tpdu, header, mti, fields, codec):
        """A reply to a message that came before the first one: to be merged in front."""
        other = dict(fields)
        if 11 in other:
            other[11] = unionpay.trace((int(other[11]) + 499_998) % unionpay.TRACE_LIMIT + 1)
        return frame.pack(tpdu, header, codec.pack(mti, other))

    def _deliver(self, reply: bytes, older: bytes, request: Request) -> "list[Answer]":
        at, action, terminal = self._host.latency_ms, request.action, request.fields[41]
        if action == "later":
            if len(self._kept_back) >= KEPT_BACK:
                self._kept_back.clear()
            self._kept_back[terminal] = reply
            return []
        kept = self._kept_back.pop(terminal, None)
        before: list[Answer] = [(at, kept)] if kept else []
        if request.rule and action == "late":
            return [*before, (at + request.rule.argument * 1000, reply)]
        if action == "split":
            third = len(reply) // 3
            return [*before, (at, reply[:1]), (at + SPLIT_MS, reply[1:third]), (at + 2 * SPLIT_MS, reply[third:])]
        if action == "merged":
            return [*before, (at, older + reply)]
        if action == "twice":
            return [*before, (at, reply), (at + SPLIT_MS, reply)]
        if action == "half":
            return [*before, (at, reply[: len(reply) // 2]), (at + SPLIT_MS, None)]
        if action == "garbage":
            return [*before, (at, b"\x00\x60" + self._host.random(96))]
        return [*before, (at, reply)]


def _next_digits(text: str) -> str:
    """The number after this one, in as many digits; zeros for what is none."""
    size = len(text)
    return "%0*d" % (size, (int(text) + 1) % 10**size) if text.isdigit() else "0" * size


# What a rule makes wrong: (field, value -> another value).
BENT = {
    "wrong-trace": (11, lambda text: unionpay.trace(unionpay.next_trace(int(text)))),
    "wrong-amount": (4, _next_digits),
    "wrong-terminal": (41, _next_digits),
    "wrong-merchant": (42, _next_digits),
    "wrong-processing": (3, lambda text: "310000" if text != "310000" else "000000"),
}
