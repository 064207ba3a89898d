"""Entry Point: which application of the card goes to which kernel.

    pre-processing   before the tap: what the amount means for each row; 9F66 is ready before the field is on
    directory        SELECT 2PAY.SYS.DDF01: names, priorities, kernels that the card would like
    candidates       every row that fits an entry, and whose kernel the entry accepts; best priority first
    final selection  SELECT the best; an application that does not answer is dropped, the next is taken
    activation       the kernel gets what was selected; after a restart also that, with the issuer's answer

What the amount does to a row:

    amount                                      indicator          9F66, byte 2
    = status_check_fen                          status_check       80
    = 0; a row may forbid it                    zero_amount        80
    >= transaction limit                        not by contactless
    >  floor limit                              floor_exceeded     80
    >= limit of the holder's verification       cvm_exceeded       40

Source: EMV Book A, 5.8; Book B, 3.1 (pre-processing), 3.3 (selection) and 3.4 (activation).
"""

from firmware.emv import apdu, card, dol, tlv
from firmware.emv import outcome as result
from firmware.emv.data import Data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.ask import Reply
    from firmware.emv.card import Step
    from firmware.emv.settings import Application, Request, Settings

MAX_ENTRIES = 32

VISA = b"\xa0\x00\x00\x00\x03"
# The kernel of a card that names none, by the first five bytes of its application (Book B, table 3-6).
DEFAULT_KERNELS = (
    (b"\xa0\x00\x00\x00\x04", b"\x02"),  # Mastercard
    (VISA, b"\x03"),
    (b"\xa0\x00\x00\x00\x25", b"\x04"),  # American Express
    (b"\xa0\x00\x00\x00\x65", b"\x05"),  # JCB
    (b"\xa0\x00\x00\x01\x52", b"\x06"),  # Discover
    (b"\xa0\x00\x00\x03\x24", b"\x06"),  # Discover
    (b"\xa0\x00\x00\x03\x33", b"\x07"),  # UnionPay
)
_ANY = b""


class Combination:
    """A row after pre-processing: an application that this amount may use.

    application, ttq (bytes or None), and what the amount did: status_check, zero_amount, floor_exceeded, cvm_exceeded.
    """

    def __init__(self, application: "Application") -> None:
        self.application = application
        self.ttq: bytes | None = None
        self.status_check = self.zero_amount = self.floor_exceeded = self.cvm_exceeded = False

    def given_to(self, application: "Application") -> "Combination":
        """The same, what the amount did included, for another kernel's row."""
        it = Combination(application)
        it.ttq, it.status_check, it.zero_amount = self.ttq, self.status_check, self.zero_amount
        it.floor_exceeded, it.cvm_exceeded = self.floor_exceeded, self.cvm_exceeded
        return it


class Candidate:
    """An entry of the card's directory with a combination that takes it. `order` is its place in the directory."""

    def __init__(self, combination: Combination, name: bytes, priority: int, order: int, extension: bytes, label: bytes) -> None:
        self.combination = combination
        self.name = name
        self.priority = priority
        self.order = order
        self.extension = extension
        self.label = label


class Selected:
    """An application that answered, as its kernel gets it.

    candidate   where it comes from           name    as it was selected, 5..16 bytes, extension included
    fci         its answer as a tree          pdol    its parsed list of what it wants to know, None without one
    start       "A".."D": where Entry Point was entered last
    """

    def __init__(self, candidate: Candidate, name: bytes, fci: "tlv.Tree", pdol: "list[tuple[int, int]] | None") -> None:
        self.candidate = candidate
        self.name = name
        self.fci = fci
        self.pdol = pdol
        self.start = "A"


class Restart:
    """A kernel runs again in the same transaction. start: "B", "C", "D"; reply: what came of going online, None for nothing."""

    def __init__(self, start: str, reply: "Reply | None" = None) -> None:
        self.start = start
        self.reply = reply

    @property
    def issuer_data(self) -> bool:
        """Whether the issuer has sent something for the card: 91, 71, 72."""
        return self.reply is not None and bool(self.reply.issuer or self.reply.scripts)


# What the reader itself shows (Book A, 9.4): the kernel's and Entry Point's own requests are in the outcome.
PRESENT = result.UiRequest("present-card", "ready")
ONE_CARD = result.UiRequest("present-one-card", "error")
REMOVE = result.UiRequest("card-read-ok", "read-ok")

HOLD_MS = 1300  # how long a message stays before the next one, where the terminal sets nothing else


def say(outcome: result.Outcome) -> result.Outcome:
    """Gives an outcome the user interface requests that its status and message call for, and its restart. The outcome."""
    if outcome.status == result.TRY_AGAIN:
        outcome.start = "B"
        outcome.ui = result.UiRequest(outcome.message, "not-ready", HOLD_MS)
        outcome.ui_restart = result.UiRequest(outcome.message, "ready")
    elif outcome.status in (result.ONLINE, result.APPROVED, result.DECLINED):
        outcome.ui = result.UiRequest(outcome.message, "read-ok")
    else:
        outcome.ui = result.UiRequest(outcome.message, "error")
    return outcome


def activate(settings: "Settings", request: "Request", selected: Selected, mode: bytes = b"\x07") -> Data:
    """The data of a kernel's run: the application chosen, 9F66, 9F2A and 9F39 (`mode`: 07 chip, 91 stripe data) told, and
    what the application said when it was selected; its name, 84, is the selected one where the card says none that can be."""
    data = Data(settings, request)
    combination = selected.candidate.combination
    data.choose(combination.application)
    data.told[0x9F2A] = combination.application.kernel
    data.told[0x9F39] = mode
    if combination.ttq is not None:
        data.told[0x9F66] = combination.ttq
    for tag, value in tlv.primitives(selected.fci):
        data.said.setdefault(tag, value)
    if not 5 <= len(data.said.get(0x84, b"")) <= 16:
        data.said[0x84] = selected.name
    return data


def prepare(
    settings: "Settings", request: "Request", kernels: "tuple[bytes, ...] | None" = None, indicators: bool = True
) -> "list[Combination]":
    """Pre-processing: the combinations that this amount may use. `kernels`: those the terminal has; None: all.

    indicators: False where the field was on before the amount was known: no limit is looked at, 9F66 is as it is set.
    """
    ready = []
    for row in settings.applications:
        if not row.kernel or (kernels is not None and row.kernel not in kernels):
            continue
        combination = _prepare(row, request.amount_fen, request.online) if indicators else _unprepared(row)
        if combination is not None:
            ready.append(combination)
    return ready


def _unprepared(row: "Application") -> Combination:
    it = Combination(row)
    it.ttq = row.ttq
    return it


def _prepare(row: "Application", amount: int, online: bool) -> "Combination | None":
    it = Combination(row)
    offline_only = row.ttq is not None and row.ttq[0] & 0x08
    it.status_check = amount == row.status_check_fen
    it.zero_amount = amount == 0
    if it.zero_amount and (not row.zero_amount_allowed or offline_only):
        return None
    limit = row.transaction_limit_fen
    if limit is not None and amount >= max(limit, row.device_limit_fen or 0):  # a kernel with two limits knows later which
        return None
    floor = row.floor_limit_fen if row.floor_limit_fen is not None else row.terminal_floor_limit_fen
    it.floor_exceeded = floor is not None and amount > floor
    it.cvm_exceeded = row.cvm_limit_fen is not None and amount >= row.cvm_limit_fen
    if row.ttq is not None:
        second = row.ttq[1] & 0x3F
        if it.floor_exceeded or it.status_check or it.zero_amount or online:
            second |= 0x80
        if it.cvm_exceeded:
            second |= 0x40
        it.ttq = row.ttq[:1] + bytes((second,)) + row.ttq[2:]
    return it


def candidates(combinations: "list[Combination]") -> "Step":
    """Asks the card for its directory: a list of Candidate, best first. Ends the tap when there is none."""
    data, status = yield from card.exchange(apdu.select(apdu.PPSE))
    if status != apdu.OK:
        raise card.Ended("no-directory")
    directory = tlv.decode(data)[:1]  # what a card adds behind the template is not read
    fci = tlv.find(directory, 0xBF0C)
    if fci is None or directory[0][0] != 0x6F:
        raise card.Ended("no-directory")
    found = []
    order = 0
    for tag, entry in fci:
        if tag == 0x61 and order < MAX_ENTRIES:
            found.extend(_match(combinations, entry, order))
            order += 1
    if not found:
        raise card.Ended("no-application")
    # The place in the list makes the order the same where sorting is not stable.
    ranked = [(one.priority, one.order, at) for at, one in enumerate(found)]
    ranked.sort()
    return [found[at] for _, _, at in ranked]


def _match(combinations: "list[Combination]", entry: "tlv.Tree", order: int) -> "list[Candidate]":
    """The candidates of one directory entry; none for an entry that is not well formed."""
    fields: dict = {}
    for tag, value in entry:
        fields.setdefault(tag, value)
    name = fields.get(0x4F, b"")
    kernel = _requested_kernel(fields.get(0x9F2A, b""), name)
    if not 5 <= len(name) <= 16 or kernel is None:
        return []
    rank = fields.get(0x87, b"\x00")
    priority = (rank[0] & 15 if rank else 0) or 16  # no priority comes last
    extension, label = fields.get(0x9F29, b""), fields.get(0x9F12) or fields.get(0x50, b"")
    return [
        Candidate(one, name, priority, order, extension, label)
        for one in combinations
        if one.application.matches(name) and kernel in (_ANY, one.application.kernel)
    ]


def _requested_kernel(asked: bytes, name: bytes) -> "bytes | None":
    """The kernel that an entry wants, _ANY, or None when the wish cannot be read (Book B, 3.3.2.5 step 3 C)."""
    if not asked:
        for scheme, kernel in DEFAULT_KERNELS:
            if name.startswith(scheme):
                return kernel
        return _ANY
    if asked[0] < 0x80:
        return asked[:1] if asked[0] else _ANY
    if len(asked) < 3:
        return None
    return asked[:3] if asked[0] & 0x3F else _ANY


def select(ranked: "list[Candidate]", combinations: "list[Combination]") -> "Step":
    """Final selection: Selected. Its candidate stays at the head of the list; those that did not answer are taken off.

    Ends the tap when none is left.
    """
    while ranked:
        one = ranked[0]
        name = one.name
        if one.combination.application.extended_selection and len(name) + len(one.extension) <= 16:
            name += one.extension
        data, status = yield from card.exchange(apdu.select(name))
        if status == apdu.OK:
            fci = card.template(data, 0x6F)
            asked = tlv.find(fci, 0x9F38)
            pdol = dol.parse(asked, dol.MAX_OPTIONS) if asked else None
            if one.combination.application.kernel != b"\x03" or not name.startswith(VISA) or _asks(pdol, 0x9F66):
                return Selected(one, name, fci, pdol)
            # An old Visa card: kernel 1 if the terminal has it, else not at all (Book B, 3.3.3.3).
            for other in combinations:
                if other.application.kernel == b"\x01" and other.application.matches(one.name):
                    one.combination = one.combination.given_to(other.application)
                    return Selected(one, name, fci, pdol)
        ranked.pop(0)
    raise card.Ended("no-application")


def _asks(pdol: "list[tuple[int, int]] | None", tag: int) -> bool:
    return pdol is not None and any(name == tag for name, _ in pdol)
