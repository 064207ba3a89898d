"""A card in the slot, from its reset to the end of the transaction: a generator without I/O.

    flow = insert(settings, Request(1234, "261120", "101500", unpredictable, 17))
    step = next(flow)
    while True:
        try:
            step = flow.send(answer_to(step))       # a command: the response APDU or None; a question of `ask`: its answer
        except StopIteration as done:
            outcome = done.value                    # outcome.Outcome

    1  selection        which application; one whose options are refused (6985) is dropped, the others are offered again
    2  records          GET PROCESSING OPTIONS, the records of its locator
       where only the card's number is wanted (refund, completion) it ends here
    3  authentication   SDA or DDA now, CDA with the cryptograms
    4  restrictions     versions, dates, usage
    5  the holder       the methods of the card's list
    6  risk             floor limit, chance, velocity
    7  action           what the terminal asks for
    8  first cryptogram

        the card answers     then
        AAC                  declined, Z1
        TC                   approved, Y1; declined where a combined signature is wrong
        ARQC                 online; with a wrong signature a second cryptogram at once: AAC
        6985                 the stripe may be used instead

    9  online: the issuer's authentication, its scripts 71, second cryptogram, its scripts 72

        the issuer           asked for      the card answers TC     AAC
        approves             TC             approved                declined: what the issuer booked must be undone
        declines             AAC            malformed               declined
        is not reached       TC or AAC      approved, Y3            declined, Z3

From the moment when the issuer is asked there is no way back: whatever the card does then, it is a decline, and one that
undoes an approval. From the second cryptogram on, nothing that the card does changes the result.

The same order over contactless ends with the first cryptogram (`over_contactless`).

Source: EMV Book 3, 8 to 10; Book 4, 6.3 and 12.2; Book 2, 6.6 (combined signature).
"""

from firmware.emv import (
    action,
    apdu,
    ask,
    card,
    card_data,
    cryptogram,
    cvm,
    issuer,
    oda,
    records,
    restrictions,
    risk,
    selection,
)
from firmware.emv import outcome as result
from firmware.emv.data import Data
from firmware.emv.dol import DolError
from firmware.emv.tlv import TlvError
from firmware.emv.track2 import Track2Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Flow, Step
    from firmware.emv.certificates import CardKey
    from firmware.emv.settings import Request, Settings

MAX_STEPS = 256  # commands and questions

NOT_AUTHENTICATED = (1, 0x80)  # TVR: offline data authentication was not performed
CONDITIONS_NOT_SATISFIED = 0x6985

# 8A where the issuer has given none
OFFLINE_APPROVED, OFFLINE_DECLINED = "Y1", "Z1"
UNREACHED_APPROVED, UNREACHED_DECLINED = "Y3", "Z3"
REFERRALS = ("01", "02")
# Why the chip cannot be used though there is nothing against the card: by the stripe, then.
FALLBACK = ("no-chip-application", "chip-refused")

# Over contactless the second cryptogram is never asked for, so its list need not be there.
MANDATORY_CONTACTLESS = (records.EXPIRY, records.NUMBER, records.CDOL_1)

_IDENTITY = ("pan", "track2", "expiry", "sequence", "service", "aid", "label")


def insert(settings: "Settings", request: "Request") -> "Flow":
    """Yields command APDUs and questions of `ask`, is sent their answers, returns an Outcome whatever the card answers."""
    session = Session(Data(settings, request), result.CONTACT)
    flow = session.run()
    answer = None
    for _ in range(MAX_STEPS):
        try:
            step = flow.send(answer)
        except StopIteration as done:
            return done.value
        except card.Ended as end:
            return session.ended(end.why)
        except (TlvError, DolError, Track2Error):
            return session.ended("malformed")
        answer = yield step
    flow.close()
    return session.ended("endless")


def over_contactless(data: Data) -> "Flow":
    """The full flow over contactless, after GET PROCESSING OPTIONS: ends with the first cryptogram.

    data: its application chosen, FCI and options in `said`, what was sent in `pdol`, 9F39 in `told`. An ARQC is the
    outcome ONLINE: an online PIN is then still to be asked for. Questions are those that need no holder. Ends the tap
    (`card.Ended`) or raises TlvError, DolError, Track2Error as a kernel does.
    """
    return (yield from Session(data, result.CONTACTLESS).process())


class Session:
    """One card in the slot: its data, and what is certain so far."""

    def __init__(self, data: Data, entry: str) -> None:
        self.data = data
        self.entry = entry
        self.identity: result.Outcome | None = None
        self.verification: cvm.Result | None = None
        self.reply: ask.Reply | None = None
        self.decided: result.Outcome | None = None  # nothing that the card does changes it

    def run(self) -> "Flow":
        """From the selection on, by contacts."""
        settings = self.data.settings
        ranked = yield from selection.candidates(settings)
        again = False
        while True:
            selected = yield from selection.select(ranked, settings, again)
            self._begin(selected)
            try:
                yield from records.options(self.data)
                break
            except card.Ended as end:
                if end.why not in card.SELECT_NEXT:
                    raise
            again = True
        return (yield from self.process())

    def _begin(self, selected: "selection.Selected") -> None:
        data, candidate = self.data, selected.candidate
        data.choose(candidate.application)
        data.told[0x9F39] = bytes((int(self.entry, 16),))
        records.fci(data, selected.fci)
        for tag, value in ((0x50, candidate.label), (0x9F12, candidate.preferred), (0x9F11, candidate.table)):
            if value:
                data.said.setdefault(tag, value)

    def process(self) -> "Flow":
        """From the options on: records to outcome."""
        data = self.data
        contactless = self.entry != result.CONTACT
        yield from records.read(data, MANDATORY_CONTACTLESS if contactless else records.MANDATORY)
        self._identify()
        if data.request.number_only and not contactless:
            return self._outcome("read")
        key = yield from self._authenticate()
        restrictions.check(data)
        self.verification = yield from cvm.perform(data, contactless=contactless)
        yield from risk.manage(data)
        asked = action.first(data)
        first = yield from self._generate(asked, records.CDOL_1, key)
        proven = self._proven(first, key, first.dol_values)
        if first.kind == action.AAC:
            self._respond(OFFLINE_DECLINED)
            return self._outcome("terminal" if asked == action.AAC else "aac", first)
        if first.kind == action.TC:
            self._respond(OFFLINE_APPROVED if proven else OFFLINE_DECLINED)
            return self._outcome("approved" if proven else "forged", first)
        if not proven:
            self._respond(OFFLINE_DECLINED)
            self.decided = self._outcome("forged", first)
            if not contactless:
                yield from self._generate(action.AAC, records.CDOL_2, None)
                self._fill(self.decided)
            return self.decided
        data.told.pop(0x8A, None)  # Y1, where the terminal had asked for a TC
        if not contactless:
            return (yield from self._online(first, key))
        outcome = self._outcome("arqc", first)
        if outcome.cvm == result.ONLINE_PIN:
            outcome.message = "enter-pin"
        return outcome

    def _identify(self) -> None:
        self.identity = result.Outcome("", "", "")
        records.identify(self.identity, self.data.said, selection.name_of(self.data))

    def _authenticate(self) -> "Step":
        """SDA or DDA; for CDA the card's key, which the cryptograms are held against: CardKey or None."""
        method = oda.select(self.data)
        if method == "sda":
            oda.static(self.data)
        elif method == "dda":
            yield from oda.dynamic(self.data)
        elif method == "cda":
            return oda.combined_key(self.data)
        return None

    def _generate(self, kind: int, dol_tag: int, key: "CardKey | None") -> "Step":
        """A cryptogram, with a combined signature where there is a key for it and the answer matters."""
        combined = key is not None and kind != action.AAC
        if key is not None and not combined and dol_tag == records.CDOL_1:
            self.data.set_tvr(*NOT_AUTHENTICATED)  # a refusal is not signed: what was chosen is not done (Book 2, 6.6)
        given = yield from cryptogram.generate(self.data, kind, dol_tag, cda=combined)
        if given.status == CONDITIONS_NOT_SATISFIED and dol_tag == records.CDOL_1:
            raise card.Ended("chip-refused")
        if given.status != apdu.OK:
            raise card.Ended("refused")
        if not combined and 0x9F26 not in self.data.said:
            raise card.Ended("missing")
        return given

    def _proven(self, given: "cryptogram.Cryptogram", key: "CardKey | None", values: bytes) -> bool:
        """Whether nothing is wrong with the combined signature; without one to be had, nothing is. A refusal needs none."""
        if key is None or given.kind == action.AAC:
            return True
        return oda.combined(self.data, key, given.response, self.data.pdol + values)

    def _online(self, first: "cryptogram.Cryptogram", key: "CardKey | None") -> "Flow":
        """The issuer, and everything after."""
        data = self.data
        reply = ask.Reply()
        if card_data.terminal_type(data)[1] not in action.OFFLINE_ONLY:
            reply = yield ask.GoOnline(self._outcome("arqc", first))
        self.reply = reply
        if reply.code:
            self._respond(reply.code)
            yield from issuer.authenticate(data, reply.issuer)
            yield from issuer.run_scripts(data, reply.scripts, True)
            approves = reply.approved
            if not approves and reply.code in REFERRALS and data.settings.switch("referral") and not data.request.online:
                approves = yield ask.Refer(reply.code)
            asked = action.TC if approves else action.AAC
        else:
            approves = False
            self._respond(UNREACHED_DECLINED)
            asked = action.unreachable(data) if reply.offline else action.AAC
        last = yield from self._generate(asked, records.CDOL_2, key)
        proven = self._proven(last, key if asked == action.TC else None, first.dol_values + last.dol_values)
        self.decided = self._decision(reply, last, approves, proven)
        if reply.code:
            yield from issuer.run_scripts(data, reply.scripts, False)
        self._fill(self.decided)
        return self.decided

    def _decision(self, reply: "ask.Reply", last: "cryptogram.Cryptogram", approves: bool, proven: bool) -> result.Outcome:
        """What the second cryptogram makes of the issuer's answer."""
        good = last.kind == action.TC and proven
        if approves:
            why = "host" if good else "forged" if last.kind == action.TC else "card-declined"
        elif reply.code:
            why = "host-declined"
        else:
            why = "approved" if good else "forged" if last.kind == action.TC else "unreachable"
            self._respond(UNREACHED_APPROVED if good else UNREACHED_DECLINED)
        outcome = self._outcome(why, last)
        outcome.reverse = reply.approved and not good
        return outcome

    def ended(self, why: str) -> result.Outcome:
        """The outcome where the card, or a person, has ended it."""
        if self.decided is not None:
            self._fill(self.decided)
            return self.decided
        if self.reply is None:
            self.data.told.pop(0x8A, None)
            return self._outcome(why)
        if not self.reply.code:
            self._respond(UNREACHED_DECLINED)
        outcome = self._outcome("host-declined" if self.reply.code and not self.reply.approved else why)
        outcome.status, outcome.message = result.DECLINED, "not-authorised"
        outcome.reverse = self.reply.approved
        return outcome

    def _respond(self, code: str) -> None:
        self.data.told[0x8A] = code.encode()

    def _outcome(self, why: str, given: "cryptogram.Cryptogram | None" = None) -> result.Outcome:
        outcome = card.outcome_of(why)
        outcome.entry = self.entry
        if self.identity is not None:
            for name in _IDENTITY:
                setattr(outcome, name, getattr(self.identity, name))
        if self.verification is not None:
            outcome.cvm = self.verification.method
            outcome.signature = self.verification.signature
        if why in FALLBACK and self.entry == result.CONTACT:
            outcome.fallback, outcome.interface = True, "stripe"
        if given is not None and given.kind == action.AAC:
            outcome.advice = given.advice and self.data.settings.switch("advice")
        self._fill(outcome)
        return outcome

    def _fill(self, outcome: result.Outcome) -> None:
        """The data elements as they are now: scripts change them after the decision."""
        outcome.tags = self.data.values()
        outcome.response = self.data.told.get(0x8A, b"").decode()
        outcome.scripts = issuer.RESULTS in outcome.tags
