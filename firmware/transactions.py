"""Every kind of transaction is a row of this table.

A row says what the message is, which steps the terminal walks, who may start it, what sign it has in the
totals, and how an unknown result ends. A new kind is a new row; an `if` on a kind elsewhere means that the
table lacks a column.

    steps       names of steps, in order; `states/steps.py` maps them to states, each of which says whether this
                transaction wants it (no PIN under the limit, no card for a void without card)
    sign        +1 money comes in (debit), -1 it goes back (credit), 0 none moved
    unknown     what becomes of a request whose answer is not known:
                "reverse"  0400, until it is known             "repeat"  the identical message, until it is answered
                "forget"   nothing can have moved              "notice"  nobody waits for an answer: stored first, told later
    kept        whether it has a record in the ledger
    finds       how its original is found: "trace" (of this batch), "reference" (any day), "code" (an authorisation), "" none
    undoes      the kinds that its original may be of
    names       how its message names the original: "reference" F37, "code" F38, "original" F61 of batch and trace, "dated" with
                the date, "nothing" 16 zeros, "organisation" F63
    holds       the mark that it leaves on its original, so that nobody does the same twice
    same        its condition code is its original's
    card        "full" the kernels do all that a card can do; "number" the card is read for its number; "" no card
    pin         "limit" by amount and card; "always"; "never"; or the name of a switch parameter
    with_card   the switch that says whether a card is wanted though the original's number is known; "" always
    offline     whether card and terminal may approve it between themselves
    words       what is said of the money: "" taken or not, "back" given back by a void, "refund", "held", "freed", "changed",
                "taken" of what was held
    module      the switch that brings it into the menu, "" always

What moves no money and has no pages of its own is a row of the second table: message type, code (60.3), whether it has a trace
number. Settlement and downloads, which are conversations of many messages, have their tables beside their steps
(`host/settle.py`, `host/download.py`).

Codes: host.md §3 (processing code, condition code, 60.1, 60.3).
"""

AMOUNT, SUPERVISOR, ORIGINAL, CARD, LAST_FOUR, CONFIRM, PIN, AUTHORISE, SLIP, SHOW = (
    "amount", "supervisor", "original", "card", "last-four", "confirm", "pin", "authorise", "slip", "show",
)  # fmt: skip
REFERENCE, CODE, NUMBER, PERIODS, APPROVAL, TIPPED = "reference", "code", "number", "periods", "approval", "tipped"

MAIL_ORDER = "08"  # F25
REVERSE, REPEAT, FORGET, NOTICE = "reverse", "repeat", "forget", "notice"


class Transaction:
    """A row of the table.

    mti, processing, condition, kind: message type, F3, F25, F60.1. title: the key of its page's text.
    """

    def __init__(
        self,
        name: str,
        mti: str,
        processing: str,
        condition: str,
        kind: str,
        steps: "tuple[str, ...]",
        sign: int = 0,
        unknown: str = FORGET,
        kept: bool = False,
        finds: str = "",
        undoes: "tuple[str, ...]" = (),
        names: "tuple[str, ...]" = (),
        holds: str = "",
        same: bool = False,
        card: str = "full",
        pin: str = "limit",
        with_card: str = "",
        title: str = "",
        emv_type: str = "00",
        money: bool = True,
        offline: bool = False,
        words: str = "",
        module: str = "",
    ) -> None:
        self.name = name
        self.mti = mti
        self.processing = processing
        self.condition = condition
        self.kind = kind  # 60.1
        self.steps = steps
        self.sign = sign
        self.unknown = unknown
        self.kept = kept
        self.finds = finds
        self.undoes = undoes
        self.names = names
        self.holds = holds
        self.same = same
        self.card = card
        self.pin = pin
        self.with_card = with_card
        self.title = title or name + ".title"
        self.emv_type = emv_type  # tag 9C
        self.money = money  # F4 is sent
        self.offline = offline
        self.words = words
        self.module = module

    def __repr__(self) -> str:
        return "<%s>" % self.name


SALE = Transaction(
    "sale", mti="0200", processing="000000", condition="00", kind="22",
    steps=(AMOUNT, CARD, LAST_FOUR, CONFIRM, PIN, AUTHORISE, SLIP),
    sign=+1, unknown=REVERSE, kept=True, offline=True,
)  # fmt: skip
VOID = Transaction(
    "void", mti="0200", processing="200000", condition="00", kind="23",
    steps=(SUPERVISOR, ORIGINAL, CARD, LAST_FOUR, PIN, AUTHORISE, SLIP),
    sign=-1, unknown=REVERSE, kept=True, finds="trace", undoes=("sale", "moto", "instalment"),
    names=("reference", "code", "original"), holds="void", same=True, pin="void.pin", with_card="void.card", emv_type="20",
    words="back",
)  # fmt: skip
REFUND = Transaction(
    "refund", mti="0220", processing="200000", condition="00", kind="25",
    steps=(SUPERVISOR, REFERENCE, AMOUNT, CARD, LAST_FOUR, CONFIRM, AUTHORISE, SLIP),
    sign=-1, unknown=REPEAT, kept=True, finds="reference",
    undoes=("sale", "moto", "instalment", "offline-sale", "complete", "complete-notice"),
    names=("reference", "code", "dated", "organisation"), holds="refund", card="number", pin="never", with_card="refund.card",
    emv_type="20", module="module.refund", words="refund",
)  # fmt: skip
PREAUTH = Transaction(
    "preauth", mti="0100", processing="030000", condition="06", kind="10",
    steps=(AMOUNT, CARD, LAST_FOUR, CONFIRM, PIN, AUTHORISE, SLIP),
    unknown=REVERSE, kept=True, module="module.preauth", words="held",
)  # fmt: skip
PREAUTH_ADD = Transaction(
    "preauth-add", mti="0100", processing="030000", condition="60", kind="10",
    steps=(CODE, AMOUNT, CARD, LAST_FOUR, PIN, AUTHORISE, SLIP),
    unknown=REVERSE, kept=True, finds="code", undoes=("preauth",), names=("code", "nothing"), holds="adding",
    module="module.preauth", words="held",
)  # fmt: skip
PREAUTH_VOID = Transaction(
    "preauth-void", mti="0100", processing="200000", condition="06", kind="11",
    steps=(SUPERVISOR, CODE, AMOUNT, CARD, LAST_FOUR, PIN, AUTHORISE, SLIP),
    unknown=REVERSE, kept=True, finds="code", undoes=("preauth",),
    names=("code", "dated"), holds="void", card="number", pin="preauth_void.pin",
    with_card="preauth_void.card", emv_type="20", module="module.preauth", words="freed",
)  # fmt: skip
COMPLETE = Transaction(
    "complete", mti="0200", processing="000000", condition="06", kind="20",
    steps=(CODE, AMOUNT, CARD, LAST_FOUR, PIN, AUTHORISE, SLIP),
    sign=+1, unknown=REVERSE, kept=True, finds="code", undoes=("preauth",),
    names=("code", "dated"), holds="completed", card="number",
    pin="complete.pin", with_card="complete.card", module="module.preauth", words="taken",
)  # fmt: skip
COMPLETE_NOTICE = Transaction(
    "complete-notice", mti="0220", processing="000000", condition="06", kind="24",
    steps=(CODE, AMOUNT, CARD, LAST_FOUR, AUTHORISE, SLIP),
    sign=+1, unknown=REPEAT, kept=True, finds="code", undoes=("preauth",),
    names=("code", "dated"), holds="completed", card="number", pin="never",
    with_card="complete.card", module="module.preauth", words="taken",
)  # fmt: skip
COMPLETE_VOID = Transaction(
    "complete-void", mti="0200", processing="200000", condition="06", kind="21",
    steps=(SUPERVISOR, ORIGINAL, CARD, LAST_FOUR, PIN, AUTHORISE, SLIP),
    sign=-1, unknown=REVERSE, kept=True, finds="trace", undoes=("complete",),
    names=("reference", "code", "dated"), holds="void", card="number",
    pin="complete_void.pin", with_card="complete_void.card", emv_type="20", module="module.preauth", words="back",
)  # fmt: skip
BALANCE = Transaction(
    "balance", mti="0200", processing="310000", condition="00", kind="01",
    steps=(CARD, PIN, AUTHORISE, SHOW),
    pin="always", emv_type="31", money=False,
)  # fmt: skip
OFFLINE_SALE = Transaction(
    "offline-sale", mti="0220", processing="000000", condition="00", kind="30",
    steps=(SUPERVISOR, AMOUNT, NUMBER, APPROVAL, CONFIRM, AUTHORISE, SLIP),
    sign=+1, unknown=NOTICE, kept=True, card="", pin="never", module="module.offline",
)  # fmt: skip
ADJUST = Transaction(
    "adjust", mti="0220", processing="000000", condition="00", kind="32",
    steps=(SUPERVISOR, ORIGINAL, AMOUNT, AUTHORISE, SLIP),
    sign=+1, unknown=NOTICE, kept=True, finds="trace", undoes=("offline-sale", "adjust"),
    names=("reference", "code", "original"), holds="adjusted", card="", pin="never",
    module="module.offline", words="changed",
)  # fmt: skip
TIP = Transaction(
    "tip", mti="0220", processing="000000", condition="00", kind="34",
    steps=(ORIGINAL, TIPPED, AUTHORISE, SLIP),
    sign=+1, unknown=NOTICE, kept=True, finds="trace", undoes=("sale",),
    names=("reference", "code", "original"), holds="adjusted", card="", pin="never",
    module="module.tip", words="changed",
)  # fmt: skip
MOTO = Transaction(
    "moto", mti="0200", processing="000000", condition=MAIL_ORDER, kind="22",
    steps=(AMOUNT, NUMBER, CONFIRM, AUTHORISE, SLIP),
    sign=+1, unknown=REVERSE, kept=True, card="", pin="never", module="module.moto",
)  # fmt: skip
INSTALMENT = Transaction(
    "instalment", mti="0200", processing="000000", condition="64", kind="22",
    steps=(AMOUNT, PERIODS, CARD, LAST_FOUR, CONFIRM, PIN, AUTHORISE, SLIP),
    sign=+1, unknown=REVERSE, kept=True, module="module.instalment",
)  # fmt: skip

TABLE = (
    SALE, VOID, REFUND, PREAUTH, PREAUTH_ADD, PREAUTH_VOID, COMPLETE, COMPLETE_NOTICE, COMPLETE_VOID, BALANCE,
    OFFLINE_SALE, ADJUST, TIP, MOTO, INSTALMENT,
)  # fmt: skip
BY_NAME = {row.name: row for row in TABLE}


class Management:
    """A row of the second table. code: F60.3, "" where a parameter says it; traced: it has a trace number (F11)."""

    def __init__(self, name: str, mti: str, code: str, traced: bool = True) -> None:
        self.name = name
        self.mti = mti
        self.code = code
        self.traced = traced

    def __repr__(self) -> str:
        return "<%s>" % self.name


SIGN_ON = Management("sign-on", "0800", "")
SIGN_OFF = Management("sign-off", "0820", "002")
ECHO = Management("echo", "0820", "301", traced=False)
STATUS_UPLOAD = Management("status-upload", "0820", "362", traced=False)
SCRIPT_RESULT = Management("script-result", "0620", "951")
MASTER_KEY = Management("master-key", "0800", "999")
