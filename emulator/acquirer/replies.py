"""The way back: the fields of a reply, what a person's rule bends in them, and how its bytes arrive."""

from typing import TYPE_CHECKING

from emulator.acquirer.keys import Engine
from emulator.acquirer.request import Outcome, Request
from emulator.acquirer.rules import Rule
from firmware.iso8583 import codes, frame, unionpay
from firmware.iso8583.codec import Codec
from firmware.iso8583.frame import Frame

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

ACQUIRER_ID, ISSUER_ID = "00020000", "00010000"
SPLIT_MS = 40
F60_DIGITS = 17
ECHOED = (3, 4, 11, 25, 41, 42, 49, 60)  # fields of a request that its reply repeats

Answer = tuple[int, "bytes | None"]


class Replies:
    """Makes the answers of one acquirer."""

    def __init__(self, host: "Acquirer", engine: Engine, codec: Codec) -> None:
        self._host = host
        self._engine = engine
        self._codec = codec
        self._last_reply = b""

    def fields(self, request: Request, outcome: Outcome) -> dict:
        """What the reply says, but for its MAC."""
        fields = {field: request.fields[field] for field in ECHOED if field in request.fields}
        fields[60] = fields[60][:F60_DIGITS]  # longer ones are taken, and not sent
        today = self._host.local("%m%d")
        fields[12], fields[13] = self._host.local("%H%M%S"), today
        fields[39] = outcome.code
        if request.mti[1] != "8" or request.kind == "sign-on":
            fields[32] = ACQUIRER_ID
            fields[37] = outcome.reference or today + "%08d" % (int.from_bytes(self._host.random(4), "big") % 100_000_000)
        if request.mti[1] == "2":
            if request.pan:
                fields[2] = request.pan
            fields[15] = today
            fields[44] = b"%-11s%-11s" % (ISSUER_ID.encode(), ACQUIRER_ID.encode())
            fields[63] = b"CUP"
            if not codes.approved(outcome.code):
                fields[63] += codes.look_up(outcome.code).zh.encode("gb18030")
        if outcome.authorisation:
            fields[38] = outcome.authorisation
        fields.update(outcome.extra)
        return fields

    def send(self, got: Frame, request: Request, fields: dict, mac_key: "bytes | None", rule: "Rule | None") -> "list[Answer]":
        """The fields as bytes under their MAC, bent by the rule, and when they arrive. No key: no MAC."""
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
        self._host.tell("←", mti, fields, action)
        digit = rule.argument if rule and rule.action == "require" else self._host.requirement
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
        at = self._host.latency_ms
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
            return [(at, b"\x00\x60" + self._host.random(96))]
        return [(at, reply)]
