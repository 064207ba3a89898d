"""One tap, from the card in the field to what the terminal does next: a generator without I/O.

    flow = tap(Settings(), Request(1234, "261120", "101500", unpredictable, 17))
    command = next(flow)
    while True:
        try:
            command = flow.send(reader.transmit(command))      # response APDU, or None: the card was lost
        except StopIteration as done:
            outcome = done.value                                # outcome.Outcome

Whatever a card answers, a tap ends after at most MAX_COMMANDS commands with an outcome, never with another exception.
The order is Entry Point's: pre-processing, directory, candidates, final selection, kernel, and back to the next
application where the kernel asks for it (EMV Book B, 3). A kernel is a row in KERNELS.
"""

from firmware.emv import card, entry, unionpay
from firmware.emv import outcome as result
from firmware.emv.dol import DolError
from firmware.emv.settings import Request, Settings
from firmware.emv.tlv import TlvError
from firmware.emv.track2 import Track2Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    Flow = Generator[bytes, "bytes | None", result.Outcome]

MAX_COMMANDS = 64

# kernel identifier: run(settings, request, selected) -> generator of an Outcome
KERNELS = {unionpay.IDENTIFIER: unionpay.run}


def possible(settings: Settings, request: Request) -> bool:
    """Whether any application takes this amount by contactless: asked before the tap page is shown."""
    return bool(entry.prepare(settings, request, tuple(KERNELS)))


def tap(settings: Settings, request: Request, kernels: dict = KERNELS) -> "Flow":
    """Yields command APDUs, is sent response APDUs or None, returns an Outcome: before the first command where not `possible`."""
    combinations = entry.prepare(settings, request, tuple(kernels))
    if not combinations:
        return card.outcome_of("over-limit")
    flow = _applications(settings, request, combinations, kernels)
    response = None
    for _ in range(MAX_COMMANDS):
        try:
            command = flow.send(response)
        except StopIteration as done:
            return done.value
        except card.Ended as end:
            return card.outcome_of(end.why)
        except (TlvError, DolError, Track2Error):
            return card.outcome_of("malformed")
        response = yield command
    flow.close()
    return card.outcome_of("endless")


def _applications(settings: Settings, request: Request, combinations: "list[entry.Combination]", kernels: dict) -> "Flow":
    ranked = yield from entry.candidates(combinations)
    while True:
        selected = yield from entry.select(ranked, combinations)
        kernel = kernels[selected.candidate.combination.application.kernel]
        try:
            outcome = yield from kernel(settings, request, selected)
        except card.Ended as end:
            if end.why not in card.SELECT_NEXT:
                raise
            continue
        if outcome.status != result.SELECT_NEXT:
            return outcome
