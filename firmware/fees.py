"""What the acquirer keeps of a payment, as the merchant signed for it: the parameter `fees`.

A row of the table, integers only:

    method     one of METHODS: how it was paid
    rate       hundredths of a percent of the amount: 55 is 0.55 %
    cap_fen    the fee is never more than this; None or absent: no cap
    upto_fen   the row is for amounts up to and with this; None or absent: for every other amount

Nothing is charged by it here: it is what the merchant is shown, told of when it changes, and can hold against his statement.

Text: what the change log keeps of a table. "debit 0.50% max 20.00, credit 0.60%, wallet <=1000.00 0.38%".
"""

from firmware.money import yuan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

METHODS = ("debit", "credit", "foreign", "wallet")
RATE_LIMIT = 10_000
MOST_ROWS = 16
FEN_LIMIT = 9_999_999_999
_KEYS = ("method", "rate", "cap_fen", "upto_fen")


def check(table: "Any") -> None:
    """ValueError says what is wrong with a table of rates."""
    if not isinstance(table, list) or len(table) > MOST_ROWS:
        raise ValueError("takes a list of up to %d rates" % MOST_ROWS)
    seen = set()
    for row in table:
        if not isinstance(row, dict) or not all([key in _KEYS for key in row]) or row.get("method") not in METHODS:
            raise ValueError("a rate has a method of %s" % ", ".join(METHODS))
        if not _is_count(row.get("rate"), RATE_LIMIT):
            raise ValueError("the rate of %s is no number of hundredths of a percent" % row["method"])
        for key in ("cap_fen", "upto_fen"):
            if row.get(key) is not None and not _is_count(row[key], FEN_LIMIT):
                raise ValueError("%s of %s is no amount in fen" % (key, row["method"]))
        name = (row["method"], row.get("upto_fen"))
        if name in seen:
            raise ValueError("two rates for the same amounts of %s" % row["method"])
        seen.add(name)


def _is_count(value: "Any", limit: int) -> bool:
    return isinstance(value, int) and value is not True and value is not False and 0 <= value <= limit


def percent(rate: int) -> str:
    """55 -> "0.55%"."""
    return "%d.%02d%%" % (rate // 100, rate % 100)


def text(table: "list[dict[str, Any]]") -> str:
    """A table as the log keeps it, "-" for none."""
    return ", ".join([_row(row) for row in table]) or "-"


def _row(row: "dict[str, Any]") -> str:
    words = [row["method"]]
    if row.get("upto_fen") is not None:
        words.append("<=" + _plain(row["upto_fen"]))
    words.append(percent(row["rate"]))
    if row.get("cap_fen") is not None:
        words.append("max " + _plain(row["cap_fen"]))
    return " ".join(words)


def _plain(fen: int) -> str:
    return yuan(fen).replace(",", "")  # the comma parts rows


def lines(kept: str) -> "list[tuple[str, str, str]]":
    """[(method, amounts that it is for, rate and cap)] of a text of the log; what is none of ours is left out."""
    found = []
    for part in kept.split(", "):
        words = part.split()
        if len(words) < 2 or words[0] not in METHODS:
            continue
        upto = words[1] if words[1][:2] == "<=" else ""
        found.append((words[0], upto, " ".join(words[2:] if upto else words[1:])))
    return found


def differences(old: str, new: str) -> "list[tuple[str, str, str, str]]":
    """[(method, amounts, rate before, rate from now on)] between two texts of the log; "" where there was or will be none."""
    before, after = lines(old), lines(new)
    found = []
    for method, upto, rate in after:
        was = [one[2] for one in before if one[:2] == (method, upto)]
        if was[:1] != [rate]:
            found.append((method, upto, was[0] if was else "", rate))
    kept = [one[:2] for one in after]
    return found + [(method, upto, rate, "") for method, upto, rate in before if (method, upto) not in kept]
