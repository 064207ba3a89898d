"""Which card organisation a card belongs to: settlement keeps UnionPay's own cards apart from all others.

The host's word (F63 of a reply, three letters) wins; before it is known the card's application says it, then the first
digits of its number.

Source: host.md §2 (F63), §6 (F48 of the settlement); ISO/IEC 7812-1 (first digits), the registered RIDs of EMV applications.
"""

UNIONPAY = "CUP"
NAMES = ("CUP", "VIS", "MCC", "MAE", "JCB", "DCC", "AMX")

RIDS = (
    ("A000000333", "CUP"), ("A000000003", "VIS"), ("A000000004", "MCC"), ("A000000065", "JCB"), ("A000000152", "DCC"),
    ("A000000025", "AMX"),
)  # fmt: skip
PREFIXES = (
    ("62", "CUP"), ("81", "CUP"), ("4", "VIS"), ("35", "JCB"), ("34", "AMX"), ("37", "AMX"), ("36", "DCC"), ("30", "DCC"),
    ("38", "DCC"), ("5", "MCC"), ("2", "MCC"), ("9", "CUP"),
)  # fmt: skip


def of_card(aid: str, pan: str) -> str:
    """One of NAMES. aid: upper-case hex, "" without chip; pan: at least its first digits. UnionPay for what nobody knows."""
    for rid, name in RIDS:
        if aid.startswith(rid):
            return name
    for prefix, name in PREFIXES:
        if pan.startswith(prefix):
            return name
    return UNIONPAY


def of_reply(organisation: str, known: str) -> str:
    """The same once the host has answered: what it says (three letters), or what was known where it says nothing usable."""
    return organisation if organisation in NAMES else known
