"""Every kind of transaction is a row of this table.

A row says what the message is, which steps the terminal walks, who may start it, what sign it has in the
totals, and how an unknown result ends. A new kind is a new row; an `if` on a kind elsewhere means that the
table lacks a column.

    steps       names of steps, in order; `states/steps.py` maps them to states, each of which says whether this
                transaction wants it (no PIN under the limit, no card for a void without card)
    sign        +1 money comes in, -1 it goes back, 0 none moved
    unknown     what ends an unknown result: "reverse" (0400, until it is known), "forget" (nothing can have moved)
    kept        whether it has a record in the ledger
    undoes      the kind of the original that it needs
    offline     whether card and terminal may approve it between themselves

Codes: host.md §3 (processing code, condition code, 60.1).
"""

AMOUNT, SUPERVISOR, ORIGINAL, CARD, LAST_FOUR, CONFIRM, PIN, AUTHORISE, SLIP, SHOW = (
    "amount", "supervisor", "original", "card", "last-four", "confirm", "pin", "authorise", "slip", "show",
)  # fmt: skip


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
        unknown: str = "forget",
        kept: bool = False,
        undoes: "str | None" = None,
        pin: str = "limit",
        title: str = "",
        emv_type: str = "00",
        money: bool = True,
        offline: bool = False,
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
        self.undoes = undoes
        self.pin = pin  # "limit": by amount and card; "always"; or the name of a switch parameter
        self.title = title or name + ".title"
        self.emv_type = emv_type  # tag 9C
        self.money = money  # F4 is sent
        self.offline = offline

    def __repr__(self) -> str:
        return "<%s>" % self.name


SALE = Transaction(
    "sale", mti="0200", processing="000000", condition="00", kind="22",
    steps=(AMOUNT, CARD, LAST_FOUR, CONFIRM, PIN, AUTHORISE, SLIP),
    sign=+1, unknown="reverse", kept=True, offline=True,
)  # fmt: skip
VOID = Transaction(
    "void", mti="0200", processing="200000", condition="00", kind="23",
    steps=(SUPERVISOR, ORIGINAL, CARD, LAST_FOUR, PIN, AUTHORISE, SLIP),
    sign=-1, unknown="reverse", kept=True, undoes="sale", pin="void.pin", emv_type="20",
)  # fmt: skip
BALANCE = Transaction(
    "balance", mti="0200", processing="310000", condition="00", kind="01",
    steps=(CARD, PIN, AUTHORISE, SHOW),
    pin="always", emv_type="31", money=False,
)  # fmt: skip

TABLE = (SALE, VOID, BALANCE)
BY_NAME = {row.name: row for row in TABLE}
