"""Our kernel and a recorded card: `python -m tools emv FILE --run`.

The card answers as it was recorded; the kernel is given what the recorded terminal had, as far as the card was told of it
(`emv_recording`), or what the call says instead. Each command is told with what sets it apart from the recorded one:

    as recorded            the same command, but for the length that it expects; a PIN is never compared
    other data             the same header: the objects that differ, with both values
    not in the recording   the card refused it; what the recording has of this command instead

Then the outcome, with what each bit of its results means, and what was recorded and not asked for. Nobody is at the keys:
an online PIN counts as entered, a PIN for the card as it was recorded, a wanted choice is the recorded application.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from drivers import card_file
from emulator.cards import pki, recorded
from emulator.cards.recorded import Pair, RecordedCard
from firmware.emv import ask, contact, contactless, parameter_file, tags
from firmware.emv.card import REASONS
from firmware.emv.outcome import Outcome
from firmware.emv.settings import Settings, SettingsError
from tools.emv_recording import INSERT, TAP, VERIFY, Recording, body, exchanges_of, request_of
from tools.emv_trace import Exchange, value_lines

SAME, DIFFERS, CALL_WRONG = 0, 1, 2
DEFAULTS = {
    "amount": "100", "other": "0", "date": "", "time": "120000", "number": "00000000", "counter": "1", "kind": "00",
}  # fmt: skip
SHOWN = (("amount", "amount, fen"), ("number", "9F37"), ("date", "date"), ("time", "time"))
RESULTS = (0x95, 0x9B, 0x9F34)
WANTS = (
    ("reverse", "what the issuer booked is to be undone"),
    ("fallback", "the stripe may be used"),
    ("advice", "the issuer is to be told of the refusal"),
    ("scripts", "the issuer is to be told of its scripts"),
)
NOBODY = "none"  # --answer: the issuer is not reached


class RunError(Exception):
    """It cannot be run; the text says why, and nothing of the card."""


class Done(NamedTuple):
    """A command that the kernel sent, the answer, and the place of the pair that gave it (None: there was none)."""

    command: bytes
    response: bytes
    place: "int | None"


class Run:
    """One transaction with a recorded card. `outcome` and `done` are there after `go`."""

    def __init__(self, recording: Recording, code: "str | None") -> None:
        self.recording = recording
        self.done: list[Done] = []
        self.asked: list[str] = []
        self.outcome: Outcome | None = None
        self._code = code
        self._card = RecordedCard(recording.pairs)

    def go(self, flow: Any) -> Outcome:
        """Drives the kernel to its outcome."""
        answer: Any = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                self.outcome = end.value
                return end.value
            answer = self._answer(bytes(step)) if isinstance(step, (bytes, bytearray)) else QUESTIONS[type(step)](self, step)

    def _answer(self, command):
        response = self._card.apdu(command)
        self.done.append(Done(command, response, self._card.last))
        return response

    def _choose(self, question):
        wanted = self.recording.label()
        return question.names.index(wanted) if wanted in question.names else 0

    def _offline_pin(self, question):
        command = self.recording.pin_answer(question.kind)
        return ask.BYPASS if command is None else int.from_bytes(self._answer(command)[-2:], "big")

    def _go_online(self, question):
        reply = self.recording.reply(self._code)
        said = "answers %s" % reply.code if reply.code else "is not reached"
        more = [tags.name_of(0x91)] if reply.issuer else []
        more += ["%X" % tag for tag, _ in reply.scripts]
        self.asked.append("%s%s" % (said, ", with " + ", ".join(more) if more else ""))
        return reply


QUESTIONS: "dict[type, Callable[[Run, Any], Any]]" = {
    ask.Choose: Run._choose,
    ask.OnlinePin: lambda run, question: "entered",
    ask.OfflinePin: Run._offline_pin,
    ask.CheckDocument: lambda run, question: True,
    ask.LastAmount: lambda run, question: 0,
    ask.OnException: lambda run, question: False,
    ask.Refer: lambda run, question: False,
    ask.GoOnline: Run._go_online,
}


def add_options(parser: Any) -> None:
    """The options of --run."""
    group = parser.add_argument_group("--run: our kernel with the recorded card")
    group.add_argument("--run", action="store_true", help="run it; what is not given below is as recorded")
    group.add_argument("--way", choices=(INSERT, TAP))
    group.add_argument("--number", metavar="HEX8", help="unpredictable number, 9F37")
    group.add_argument("--time", metavar="HHMMSS")
    group.add_argument("--amount", metavar="FEN", type=int)
    group.add_argument("--settings", metavar="FILE", help="parameters of a terminal, as for `python -m tools cards`")
    group.add_argument("--answer", metavar="00|51|...|%s" % NOBODY, help="the issuer's code, or that it is not reached")


def settings_content(path: "str | None") -> "dict[str, Any]":
    """The parts of a technician's file; of ours without one. Raises RunError."""
    try:
        return parameter_file.read(card_file.fetch() if path is None else card_file.fetch(path), "test")
    except OSError as error:
        raise RunError("--settings %s: %s" % (path, error.strerror)) from error
    except ValueError as error:
        raise RunError("--settings %s: %s" % (path, error)) from error


def run(content: Any, keys: "list[dict] | None", options: Namespace, today: str, say: "Callable[[str], object]") -> int:
    """One recording: pairs of (command, response or None). -> SAME, or DIFFERS. Raises RunError."""
    recording = Recording(_pairs(content))
    file = settings_content(options.settings)
    values, sources = _values(recording, options, today)
    code = {None: None, NOBODY: ""}.get(options.answer, options.answer)
    if code and (len(code) != 2 or not code.isascii() or not code.isalnum()):
        raise RunError("--answer: two letters or digits, or %s" % NOBODY)
    try:
        request = request_of(values)
        settings = _settings(recording, file, keys, options.settings is not None, request.amount_fen)
    except (SettingsError, ValueError) as error:
        raise RunError(str(error)) from error
    way = options.way or recording.way
    played = Run(recording, code)
    outcome = played.go((contactless.tap if way == TAP else contact.insert)(settings, request))
    say("%s: %s" % (way, ", ".join("%s %s (%s)" % (label, values[name], sources[name]) for name, label in SHOWN)))
    say("")
    differs = False
    for line, same in _commands(played):
        say(line)
        differs = differs or not same
    say("")
    for line in _summary(played, outcome):
        say(line)
    return DIFFERS if differs else SAME


def _pairs(content):
    if not isinstance(content, list):
        raise RunError("no exchange with a card in it")
    pairs = [
        Pair(command, response)
        for command, response in content
        if len(command) >= 4 and response is not None and len(response) >= 2
    ]
    if not pairs:
        raise RunError("no command with its answer in it")
    return recorded.joined(pairs)


def _values(recording, options, today):
    """({name: text} of the request, {name: where it comes from})."""
    found = recording.request()
    given = {"amount": options.amount, "number": options.number, "date": options.date, "time": options.time}
    values, sources = {}, {}
    for name, default in DEFAULTS.items():
        if given.get(name) is not None:
            values[name], sources[name] = str(given[name]), "given"
        elif name in found:
            values[name], sources[name] = found[name].lstrip("0") or "0" if name == "amount" else found[name], "recorded"
        else:
            values[name], sources[name] = default or today, "not recorded"
    return values, sources


def _settings(recording, file, keys, own, amount_fen):
    """own: the call names a file, which goes before what was recorded."""
    if keys is None:
        keys = file.get("keys") or pki.authority_rows()
    rows, terminal = file.get("applications", []), file.get("terminal", {})
    if own:
        terminal = {**recording.terminal({}), **{tag.upper(): value for tag, value in terminal.items()}}
        return Settings(rows, terminal, keys, file.get("revoked", ()), file.get("switches"))
    return Settings(recording.applications(rows, amount_fen), recording.terminal(terminal), keys)


def _commands(played: Run) -> "Iterator[tuple[str, bool]]":
    """(line, whether nothing in it differs), command by command."""
    recording = played.recording
    exchanges, scheme = exchanges_of([Pair(done.command, done.response) for done in played.done])
    for number, (done, exchange) in enumerate(zip(played.done, exchanges, strict=True), 1):
        pair = None if done.place is None else recording.pairs[done.place]
        same = pair is not None and (body(pair.command) == body(done.command) or done.command[1] == VERIFY)
        verdict = "as recorded" if same else "not in the recording" if pair is None else "other data"
        yield "%3d  %s  =>  %s: %s" % (number, exchange.what, exchange.status, verdict), same
        if pair is None:
            for what in _instead(recording, done.command):
                yield "       recorded: " + what, False
        elif not same:
            for line in _differences(exchange, done.command, pair.command, scheme):
                yield "       " + line, False


def _instead(recording: Recording, command: bytes) -> "list[str]":
    """What was recorded of the same instruction and is another command."""
    if command[1] not in (0xAE, 0xA8, 0x88, 0x20):
        return []
    pairs = zip(recording.pairs, recording.exchanges, strict=True)
    return [exchange.what for pair, exchange in pairs if pair.command[1] == command[1]]


def _differences(exchange: Exchange, command: bytes, other: bytes, scheme: str) -> "list[str]":
    sent, theirs = body(command)[5:], body(other)[5:]
    at = len(sent) - sum(len(value) for _, value in exchange.sent)
    if not exchange.sent or len(sent) != len(theirs) or at < 0:
        return ["%d bytes, recorded %d" % (len(sent), len(theirs)) if len(sent) != len(theirs) else "other bytes"]
    lines = []
    for tag, value in exchange.sent:
        recorded_value = theirs[at : at + len(value)]
        at += len(value)
        if value != recorded_value:
            shown = (tag, tags.name_of(tag, scheme), tags.show(tag, value, scheme), tags.show(tag, recorded_value, scheme))
            lines.append("%X %s: %s, recorded %s" % shown)
    return lines or ["other bytes"]


def _summary(played: Run, outcome: Outcome) -> "Iterator[str]":
    recording = played.recording
    used = {done.place for done in played.done}
    spare = [exchange.what for place, exchange in enumerate(recording.exchanges) if place not in used]
    if spare:
        yield "Recorded, and not asked for"
        yield from ("  " + what for what in dict.fromkeys(spare))
        yield ""
    yield "Outcome"
    rows = [("status", "%s: %s (%s)" % (outcome.status, REASONS[outcome.why][2], outcome.why))]
    rows += [("issuer", text) for text in played.asked]
    if outcome.aid:
        rows.append(("application", ("%s %s" % (outcome.aid, outcome.label)).strip()))
    if outcome.pan:
        rows.append(("card", tags.mask_digits(outcome.pan)))
    rows.append(("holder", outcome.cvm + (" and signature" if outcome.signature and outcome.cvm != "signature" else "")))
    if outcome.response:
        rows.append(("response", outcome.response))
    rows += [(name, text) for name, text in WANTS if getattr(outcome, name)]
    for word, text in rows:
        yield "  %-12s %s" % (word, text)
    scheme = tags.scheme_of(bytes.fromhex(outcome.aid)) if outcome.aid else ""
    for tag in RESULTS:
        if tag in outcome.tags:
            yield from value_lines(tag, outcome.tags[tag], scheme, "  ")
