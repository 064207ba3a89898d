"""Entry Point: one transaction at the contactless reader, from the amount to what the terminal does next, without I/O.

    flow = tap(settings, Request(1234, "261120", "101500", unpredictable, 17))
    step = next(flow)
    while True:
        try:
            step = flow.send(answer_to(step))       # a command: the response APDU, or None for a lost card; a question of
        except StopIteration as done:               # `ask`: its answer
            outcome = done.value                    # outcome.Outcome

Whatever a card answers, a tap ends after at most MAX_STEPS commands and questions with an outcome, never with another
exception. Where it may be entered, and entered again after an outcome (`outcome.start`):

    A   a new transaction: pre-processing, then B         an amount that no application takes: another interface
    B   a card in the field: directory, candidates, then C
        with something of the issuer's for the card (91, 71, 72) the application of before is selected again, and no other
        as the first start: the field was on before the amount was known, so no limit was looked at
    C   final selection of the best candidate left, then D
    D   its kernel: KERNELS

A kernel that wants the next application (select-next) loses its candidate and C follows at once; every other outcome goes
to the terminal, which shows `outcome.ui`, and where `start` says so comes back later: to `EntryPoint.start`, after it has
shown `EntryPoint.ui_before`. A tap that was torn is such an outcome, with B.

Source: EMV Book B, 3; Book A, 6 and 9.
"""

from firmware.emv import card, entry, kernel2, kernel3, tlv, unionpay
from firmware.emv import outcome as result
from firmware.emv.dol import DolError
from firmware.emv.settings import Request, Settings
from firmware.emv.tlv import TlvError
from firmware.emv.track2 import Track2Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.ask import Reply
    from firmware.emv.card import Flow

MAX_STEPS = 256

# kernel identifier: run(settings, request, selected, restart=None) -> generator of an Outcome
KERNELS = {unionpay.IDENTIFIER: unionpay.run, kernel3.IDENTIFIER: kernel3.run, kernel2.IDENTIFIER: kernel2.run}

_LANGUAGES = 0x5F2D


def possible(settings: Settings, request: Request, kernels: dict = KERNELS) -> bool:
    """Whether any application takes this amount by contactless: asked before the tap page is shown."""
    return bool(entry.prepare(settings, request, tuple(kernels)))


def tap(settings: Settings, request: Request, kernels: dict = KERNELS) -> "Flow":
    """Yields command APDUs and questions, is sent their answers, returns an Outcome: at once where not `possible`."""
    return (yield from EntryPoint(settings, request, kernels).start())


class EntryPoint:
    """One transaction, over as many starts as it takes.

    combinations   after pre-processing     ranked   candidates of the card, best first     selected   the kernel's, or None
    outcome        the last one, or None
    """

    def __init__(self, settings: Settings, request: Request, kernels: dict = KERNELS) -> None:
        self.settings = settings
        self.request = request
        self.kernels = kernels
        self.combinations: list[entry.Combination] = []
        self.ranked: list[entry.Candidate] = []
        self.selected: entry.Selected | None = None
        self.outcome: result.Outcome | None = None

    def ui_before(self, start: str) -> "result.UiRequest | None":
        """What to show before `start`: what the last outcome wants shown at its restart, or "present card" for a new card."""
        if self.outcome is not None and self.outcome.ui_restart is not None:
            return self.outcome.ui_restart
        return entry.PRESENT if start in ("A", "B") else None

    def start(self, point: str = "A", reply: "Reply | None" = None) -> "Flow":
        """Enters at "A", "B", "C" or "D". reply: what came of going online, for a restart after an online request.

        Raises ValueError for C and D before anything was selected, and for another point.
        """
        if point not in ("A", "B", "C", "D") or (point in ("C", "D") and self.selected is None):
            raise ValueError("Entry Point cannot be entered at %s" % point)
        restart = None if self.outcome is None or point == "A" else entry.Restart(point, reply)
        if point == "A" or (restart is None and point == "B"):
            self.combinations = entry.prepare(self.settings, self.request, tuple(self.kernels), point == "A")
            self.selected = None
        self.outcome = None
        outcome = yield from self._guarded(self._run(point, restart))
        self.outcome = outcome
        return outcome

    def _guarded(self, flow: "Flow") -> "Flow":
        """The flow, its every end an outcome."""
        answer = None
        for _ in range(MAX_STEPS):
            try:
                step = flow.send(answer)
            except StopIteration as done:
                return done.value
            except card.Ended as end:
                # What is left of SELECT_NEXT here has no next one.
                return entry.say(card.outcome_of(end.why if end.why in card.REASONS else "refused"))
            except (TlvError, DolError, Track2Error):
                return entry.say(card.outcome_of("malformed"))
            answer = yield step
        flow.close()
        return entry.say(card.outcome_of("endless"))

    def _run(self, point: str, restart: "entry.Restart | None") -> "Flow":
        if not self.combinations:
            raise card.Ended("over-limit")
        selected = self.selected
        if point in ("A", "B"):
            if selected is not None and restart is not None and restart.issuer_data:
                self.ranked = [selected.candidate]
            else:
                self.ranked = yield from entry.candidates(self.combinations)
        if point != "D":
            selected = None
        while True:
            if selected is None:
                selected = yield from entry.select(self.ranked, self.combinations)
            self.selected = selected
            selected.start = point
            try:
                outcome = yield from self._kernel(selected, restart)
            except card.Ended as end:
                if end.why not in card.SELECT_NEXT:
                    raise
                outcome = None
            if outcome is not None and outcome.status != result.SELECT_NEXT:
                return outcome
            self.ranked = self.ranked[1:]
            selected = None

    def _kernel(self, selected: entry.Selected, restart: "entry.Restart | None") -> "Flow":
        run = self.kernels[selected.candidate.combination.application.kernel]
        outcome = yield from run(self.settings, self.request, selected, restart)
        language = tlv.find(selected.fci, _LANGUAGES)
        for ui in (outcome.ui, outcome.ui_restart):
            if ui is not None and not ui.language and language:
                ui.language = _language(language)
        return outcome


def _language(preference: bytes) -> str:
    """The card's first language, two small letters; "" where it says none that can be."""
    first = preference[:2]
    if len(first) == 2 and all([0x61 <= letter | 0x20 <= 0x7A for letter in first]):
        return bytes([letter | 0x20 for letter in first]).decode()
    return ""
