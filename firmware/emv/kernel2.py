"""Kernel 2: a Mastercard or Maestro card by contactless (M/Chip), in EMV mode; `kernel2_stripe` is its other mode.

    options       any refusal: the next application of the card
    mode          EMV where the card (82 2:80) and the terminal know it, else stripe mode
    records       all of the locator, but for the stripe's own at its front
    limit         too much for contactless: the next application; a device that verifies its holder has a limit of its own
    proof         CDA or none (1:80): its keys now, its signature with the cryptogram
    balance       GET DATA 9F50, where it is wanted and the card can
    restrictions  as by contacts
    holder        a device: verified by itself where that is required, whatever the list (8E) says. A card: the list, with the
                  methods that this amount leaves; a PIN that is lacking is a rule that fails, and no bit
    risk          floor limit (amount > limit: 4:80); the terminal's exception file (1:10) and forced online (4:08) besides
    action        as by contacts. A device without a proof to be had gives an AAC
    torn          the cryptogram of the last time is asked for first: `torn`
    cryptogram    GENERATE AC, with CDA but for an AAC
    balance       as above, after it

    the answer                                 outcome
    signature wrong, or not there as asked     end of application
    the phone wants another tap                to the phone, then again
    TC                                         approved
    ARQC                                       online
    AAC, a sale or cash                        by contacts, where card and terminal have them; a device is declined
    AAC, anything else                         end of application: its data are what is wanted

There is no second cryptogram and nothing of the issuer's goes to the card.

Not supported, and so said to the card: data storage (no DSDOL, no operator identifier) and the relay resistance protocol
(TVR 5: 00). CDA on an AAC is not asked for, which cards of newer make allow (9F5D). Not certain: that a certificate list
9F4A that names more than the AIP ends the application, while an absent one only fails CDA.

Source: EMV Book C-2, 6 and 7 (S3, S4, S456, S9, S10, S11, S910, CVM, TAA, GAC), as public kernels follow it; EMV Book 3, 10.
"""

from firmware.emv import (
    action,
    apdu,
    ask,
    card,
    cryptogram,
    cvm,
    dol,
    entry,
    kernel2_stripe,
    kernel2_terms,
    oda,
    restrictions,
    tapped,
)
from firmware.emv import outcome as result
from firmware.emv.torn import Record, Torn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Flow, Step
    from firmware.emv.certificates import CardKey
    from firmware.emv.data import Data
    from firmware.emv.entry import Restart, Selected
    from firmware.emv.settings import Request, Settings

IDENTIFIER = b"\x02"

EMV_MODE = 0x80  # AIP byte 2
COMBINED = 0x01  # AIP byte 1
MANDATORY = (0x5F24, 0x5A, 0x8C)

# TVR
NOT_PERFORMED, DATA_MISSING, ON_EXCEPTION_FILE, CDA_FAILED = 0x80, 0x20, 0x10, 0x04  # byte 1
NO_PIN_PAD = 0x10  # byte 3
FLOOR_LIMIT, FORCED = 0x80, 0x08  # byte 4

DRDOL, ABILITIES, BALANCE, THIRD_PARTY = 0x9F51, 0x9F5D, 0x9F50, 0x9F6E
BALANCE_BEFORE, BALANCE_AFTER = 0xDF8104, 0xDF8105
GIVES_BALANCE = 0x02  # 9F5D byte 2

VERIFIED_ON_DEVICE, NOT_REQUIRED = b"\x01\x00\x02", b"\x3f\x00\x02"  # 9F34
CONTACTS = 0x20  # 9F33 byte 1


def run(
    settings: "Settings",
    request: "Request",
    selected: "Selected",
    restart: "Restart | None" = None,
    torn: "Torn | None" = None,
) -> "Flow":
    """From the selected application to the outcome. Asks `ask.OnException`. A restart is a new reading.

    torn: the log of torn transactions; without it, `request.torn` where the caller has put one; else nothing is recovered.
    Ends the tap (`card.Ended`) or raises TlvError, DolError, Track2Error.
    """
    data = kernel2_terms.begin(settings, request, selected)
    said = yield from tapped.options(data, selected.pdol, {}, "gpo-refused")
    for tag in (0x82, 0x94):
        if not said.get(tag):
            raise card.Ended("missing")
    if len(said[0x82]) != 2:
        raise card.Ended("malformed")
    data.said[0x82] = said[0x82]
    if data.profile(2, EMV_MODE) and not kernel2_terms.configured(data, kernel2_terms.NO_EMV_MODE):
        if torn is None:
            torn = request.torn
        return (yield from Tap(data, selected, Torn(0) if torn is None else torn).run(said))
    if kernel2_terms.configured(data, kernel2_terms.NO_STRIPE_MODE):
        raise card.Ended("no-mode")
    return (yield from kernel2_stripe.run(data, selected, said))


class Tap:
    """One card in EMV mode."""

    def __init__(self, data: "Data", selected: "Selected", torn: Torn) -> None:
        self.data = data
        self.selected = selected
        self.torn = torn
        self.key: CardKey | None = None
        self.combined = False
        self.method = result.NO_CVM
        self.signature = False

    def run(self, said: "dict[int, bytes]") -> "Flow":
        """From the answer to the options to the outcome."""
        data = self.data
        yield from tapped.read(data, said, self._locator(said[0x94]))
        if kernel2_terms.over_limit(data):
            return kernel2_terms.next_one()
        for tag in MANDATORY:
            if not data.said.get(tag):
                raise card.Ended("missing")
        who = tapped.outcome(data, self.selected, "arqc")
        self._keys()
        self._limit_methods()
        yield from self._balance(BALANCE_BEFORE)
        restrictions.check(data)
        yield from self._holder()
        yield from self._risk(who)
        asked = action.first(data)
        self.combined = self.key is not None and asked != action.AAC
        if self.key is None and kernel2_terms.on_device(data):
            asked = action.AAC
        given = yield from self._cryptogram(asked)
        try:
            yield from self._balance(BALANCE_AFTER)
        except card.Ended:
            pass  # the cryptogram is here, the card need not be
        if not self._proven(given):
            raise card.Ended("bad-signature")
        if kernel2_terms.wants_another_tap(data.said):
            return kernel2_terms.another_tap(data, self.selected)
        return self._outcome(self._decide(given.kind, asked))

    def _locator(self, locator: bytes) -> bytes:
        """What is to be read: the stripe's own record is not, where the terminal would use it for stripe mode."""
        stripe = kernel2_stripe.RECORD
        if locator.startswith(stripe) and not kernel2_terms.configured(self.data, kernel2_terms.NO_STRIPE_MODE):
            locator = locator[len(stripe) :]
        if not locator:
            raise card.Ended("malformed")
        return locator

    def _keys(self) -> None:
        """The card's key for CDA, or the bits that say why there is none."""
        data = self.data
        if not data.profile(1, COMBINED) or not data.capability(3, kernel2_terms.COMBINED):
            data.set_tvr(1, NOT_PERFORMED)
            return
        listed = data.said.get(0x9F4A)
        if listed and listed != b"\x82":
            raise card.Ended("malformed")
        if not listed:
            data.set_tvr(1, DATA_MISSING | CDA_FAILED)
            return
        self.key = oda.combined_key(data)

    def _limit_methods(self) -> None:
        """9F33 offers what verifies the holder for this amount."""
        told = self.data.told
        required = self.selected.candidate.combination.cvm_exceeded
        methods = told[kernel2_terms.METHODS_REQUIRED if required else kernel2_terms.METHODS_FREE]
        told[0x9F33] = told[0x9F33][:1] + (methods + b"\x00")[:1] + told[0x9F33][2:]

    def _balance(self, when: int) -> "Step":
        """Reads the offline balance where the terminal has asked for it by a tag without a value, and the card can."""
        data = self.data
        if when not in data.told or not (data.said.get(ABILITIES, b"") + bytes(2))[1] & GIVES_BALANCE:
            return
        answer, status = yield from card.exchange(apdu.get_data(BALANCE))
        if status == apdu.OK and len(answer) == 9 and answer[:3] == b"\x9f\x50\x06":
            data.told[when] = answer[3:]

    def _holder(self) -> "Step":
        data = self.data
        if kernel2_terms.on_device(data):
            required = self.selected.candidate.combination.cvm_exceeded
            data.cvm_results = VERIFIED_ON_DEVICE if required else NOT_REQUIRED
            self.method = result.CDCVM if required else result.NO_CVM
            return
        verified = yield from cvm.perform(data, contactless=True)
        data.tvr[2] &= 0xFF ^ NO_PIN_PAD
        self.method, self.signature = verified.method, verified.signature

    def _risk(self, who: result.Outcome) -> "Step":
        data = self.data
        if self.selected.candidate.combination.floor_exceeded:
            data.set_tvr(4, FLOOR_LIMIT)
        if data.settings.switch("force_online"):
            data.set_tvr(4, FORCED)
        if data.settings.switch("exceptions"):
            if (yield ask.OnException(who.pan, who.sequence)):
                data.set_tvr(1, ON_EXCEPTION_FILE)

    def _cryptogram(self, asked: int) -> "Step":
        """The card's cryptogram: that of a torn transaction, or a new one."""
        recovers = bool(self.data.said.get(DRDOL))
        record = self.torn.find(self.data) if recovers else None
        if record is not None:
            given = yield from self._recover(record)
            if given is not None:
                return given
        flow = cryptogram.generate(self.data, asked, cryptogram.CDOL_1, cda=self.combined)
        command = next(flow)
        values = command[5 : 5 + command[4]] if len(command) > 5 else b""
        answer = yield command
        if record is not None:
            self.torn.drop(record)
        if answer is None and recovers:
            self.torn.add(Record(self.data, values, asked, self.combined, self.method, self.signature))
        try:
            flow.send(answer)
        except StopIteration as done:
            given = done.value
        if given.status != apdu.OK:
            raise card.Ended("refused")
        return given

    def _recover(self, record: Record) -> "Step":
        """RECOVER AC: the cryptogram that a torn transaction has left on the card, None when there is none."""
        data = self.data
        values = data.values()
        values.update(record.told)
        values[0x95], values[0x9F34] = record.tvr, record.cvm_results
        answer, status = yield from card.exchange(recover_ac(dol.build(dol.parse(data.said[DRDOL]), values)))
        if status != apdu.OK:
            return None
        self.torn.drop(record)
        data.told = dict(record.told)
        data.tvr = bytearray(record.tvr)
        data.cvm_results, data.pdol = record.cvm_results, record.pdol
        self.combined, self.method, self.signature = record.combined, record.method, record.signature
        given = cryptogram.Cryptogram(status, record.values, answer)
        cryptogram.read(data, given, record.asked, False)
        if given.template != 0x77:
            raise card.Ended("malformed")
        return given

    def _proven(self, given: "cryptogram.Cryptogram") -> bool:
        """Whether the answer is signed as it was asked for. Without a signature an AAC is as good."""
        if given.signed:
            return oda.combined(self.data, self.key, given.response, self.data.pdol + given.dol_values)
        return not self.combined or given.kind == action.AAC

    def _decide(self, kind: int, asked: int) -> str:
        """Why: a key of REASONS."""
        data = self.data
        if kind == action.TC:
            return "approved"
        if kind == action.ARQC:
            return "arqc"
        sale = (restrictions.SALE, restrictions.CASHBACK)
        if not restrictions.is_cash(data) and data.told[0x9C][0] not in sale:
            return "data-only"
        if data.capability(1, CONTACTS) and not _is_device(data.said.get(THIRD_PARTY, b"")):
            return "chip-instead"
        return "terminal" if asked == action.AAC else "aac"

    def _outcome(self, why: str) -> result.Outcome:
        data = self.data
        it = tapped.outcome(data, self.selected, why)
        if it.status in (result.ONLINE, result.APPROVED):
            it.cvm, it.signature = self.method, self.signature
        if why == "chip-instead":
            it.interface = "contact"
        if it.status == result.ONLINE and it.cvm == result.ONLINE_PIN:
            it.message = "enter-pin"
        elif it.status == result.APPROVED and it.signature:
            it.message = "approved-sign"
        tapped.respond(data, it, {result.APPROVED: "Y1", result.DECLINED: "Z1"}.get(it.status, ""))
        entry.say(it)
        if it.ui is not None and it.status == result.APPROVED:
            it.ui.value = it.hex_of(BALANCE_AFTER)
        return it


def recover_ac(values: bytes) -> bytes:
    """RECOVER AC over a list's values."""
    return b"\x80\xd0\x00\x00" + bytes((len(values),)) + values + b"\x00"


def _is_device(third_party: bytes) -> bool:
    """Whether 9F6E tells of something else than a card. Its type, two digits of text, is there where the third byte says so."""
    return len(third_party) >= 6 and third_party[2] < 0x80 and third_party[4:6] != b"00"
