"""Which transaction shows which bit: a table built from the runs themselves, for docs/emv-coverage.md.

    every row of `flows.scenarios`, on the whole terminal, with an emulated card and the bank
    every row of KERNEL_RUNS, for what no terminal with these settings or this shelf comes to: a kernel and a plain card

What cannot be seen is named with its reason in NEVER_TVR, NEVER_TSI, NEVER_STATUS. `python -m tests.emv_coverage` writes the
page.
"""

from functools import lru_cache
from pathlib import Path

from firmware.emv import card, contact, contactless, meanings
from firmware.emv import outcome as result
from tests.flows.scenarios import ROWS, Seen, seen, walked
from tests.portable import plain_chip, plain_kernels
from tests.portable.plain_card import drive
from tests.portable.plain_keys import hexes

PAGE = Path(__file__).parents[1] / "docs" / "emv-coverage.md"
NAMED = 3  # so many transactions are named for each line

NEVER_TVR = {
    (1, 0x01): "XDA, of EMV 4.4: elliptic curves are not implemented",
    (2, 0x04): "reserved, or biometrics of EMV 4.4: not implemented",
    (2, 0x02): "reserved, or biometrics of EMV 4.4: not implemented",
    (2, 0x01): "reserved, or biometrics of EMV 4.4: not implemented",
    (3, 0x02): "reserved, or biometrics of EMV 4.4: not implemented",
    (3, 0x01): "reserved, or biometrics of EMV 4.4: not implemented",
    (4, 0x04): "reserved",
    (4, 0x02): "reserved",
    (4, 0x01): "reserved",
    (5, 0x08): "relay resistance: the card is told that the terminal does not do it",
    (5, 0x04): "relay resistance: the card is told that the terminal does not do it",
    (5, 0x02): "relay resistance: the card is told that the terminal does not do it",
    (5, 0x01): "relay resistance: the card is told that the terminal does not do it",
}
NEVER_TSI = {(byte, mask): "reserved" for byte in (1, 2) for mask in (0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01)
             if (byte, mask) > (2, 0) or mask < 0x04}  # fmt: skip
# Status inside a kernel: Entry Point answers it with the next application, or with no-application.
NEVER_STATUS = {result.SELECT_NEXT: "inside Entry Point only"}

# 9F34 without its bit 40 and its condition: method and result. What a method can come to.
VERDICTS = (
    (0x00, 1), (0x01, 1), (0x01, 2), (0x02, 0), (0x02, 1), (0x03, 0), (0x03, 1), (0x04, 1), (0x04, 2), (0x05, 0), (0x05, 1),
    (0x1E, 0), (0x1F, 2), (0x20, 1), (0x20, 2), (0x3F, 0), (0x3F, 1), (0x3F, 2),
)  # fmt: skip
NOTHING = {
    0: "none performed: no list, or not asked for",
    1: "none performed: no rule fitted",
    2: "none required of a device (kernel 2)",
}
RESPONSES = ("", "Y1", "Z1", "Y3", "Z3", "00")
GOES_ON = (result.ONLINE, result.APPROVED)
FLAGS = ("scripts", "advice", "reverse", "fallback", "cvm_required")
KERNELS = {"": "by contacts", "02": "kernel 2", "03": "kernel 3", "07": "kernel 7"}
STARTS = {
    "A": "a new transaction",
    "B": "a card in the field again",
    "C": "the next application of the card",
    "D": "the same application, its kernel anew",
}


# -- kernels alone


def tapped(made, row=plain_kernels.VISA_ROW, changes=None, terminal=None, **asked):
    return lambda: [
        plain_kernels.tapped(made(), plain_kernels.settings_of(row, changes, terminal), plain_kernels.request_of(**asked))
    ]


def visa(kind=0x80, ctq="0000", **bent):
    """A card of kernel 3. bent: g + tag in hex, of the answer to its options, None for none; r + tag, of its record."""

    def made():
        it = plain_kernels.VisaCard(kind, ctq)
        for name in bent:
            objects, tag = it.gpo if name[0] == "g" else it.records[2, 1], int(name[1:], 16)
            if bent[name] is None:
                del objects[tag]
            else:
                objects[tag] = hexes(bent[name])
        return it

    return made


def device(profile="1B80"):
    return lambda: plain_kernels.MChipCard(0x80, profile)


def inserted(change, number_only=False):
    """A plain chip card, bent, in the slot."""

    def run():
        chip = plain_chip.PlainChip()
        change(chip)
        request = plain_chip.request_of()
        request.number_only = number_only
        return [plain_chip.carry_out(contact.insert(plain_chip.settings_of(), request), chip)]

    return run


def _many_records(chip):
    chip.instead[4] = plain_chip.ok([(0x77, [(0x82, hexes("1C00")), (0x94, hexes("0801FF00" * 4))])])


def _no_cdol(chip):
    chip.said[4, 1] = [pair for pair in chip.said[4, 1] if pair[0] != 0x8C]


def points(*starts):
    """Entry Point entered again and again: the last of these is the one that is looked at."""

    def run():
        settings = plain_kernels.settings_of(plain_kernels.VISA_ROW)
        point = contactless.EntryPoint(settings, plain_kernels.request_of(), plain_kernels.KERNELS)
        outcomes = []
        for start in starts:
            outcomes = [drive(point.start(start), plain_kernels.VisaCard())]
        return outcomes

    return run


# name: a function that gives the outcomes
KERNEL_RUNS = {
    "kernel 3, above the limit": tapped(visa(), changes={"transaction_limit_fen": 1000}),
    "kernel 3, cash for the chip": tapped(visa(ctq="0400", r9F07="0300"), kind="01"),
    "kernel 3, cash for nobody": tapped(visa(r9F07="0300"), kind="01"),
    "kernel 3, no counter": tapped(visa(g9F36=None)),
    "kernel 3, no method": tapped(visa(), changes={"cvm_limit_fen": 1}),
    "kernel 3, a terminal that is offline only": tapped(visa(), changes={"ttq": "3E00C080"}),
    "kernel 2, the data of a refund": tapped(lambda: plain_kernels.MChipCard(0x00), plain_kernels.MASTERCARD_ROW, kind="20"),
    "kernel 2, a device below the limit": tapped(device(), plain_kernels.MASTERCARD_ROW, {"tac_online": "FFFFFFFFFF"}, fen=1234),
    "by contacts, a list without end": inserted(_many_records),
    "by contacts, no CDOL": inserted(_no_cdol),
    "by contacts, for its number": inserted(lambda chip: None, number_only=True),
}
STARTED = {
    "A": points("A"),
    "B": points("A", "B"),
    "C": points("A", "C"),
    "D": points("A", "D"),
}


# -- the runs


@lru_cache(maxsize=1)
def runs() -> "list[tuple[str, Seen]]":
    """What every run has said, by its name, in the order of the tables."""
    found = [(row.name, it) for row in ROWS for it in walked(row).seen]
    return found + [(name, seen(outcome)) for name, run in KERNEL_RUNS.items() for outcome in run()]


def bits(places, value) -> "dict[tuple[int, int], list[str]]":
    """{(byte, mask): names of the runs that set it}. value(seen) -> hex of the tag."""
    found: dict = {(byte, mask): [] for byte, mask in places}
    for name, it in runs():
        data = bytes.fromhex(value(it))
        for byte, mask in found:
            if len(data) >= byte and data[byte - 1] & mask:
                _add(found[byte, mask], name)
    return found


def every_bit(size):
    return [(byte, 0x80 >> place) for byte in range(1, size + 1) for place in range(8)]


def by(value) -> "dict[object, list[str]]":
    """{value(seen): names of the runs that have it}."""
    found: dict = {}
    for name, it in runs():
        for one in value(it):
            _add(found.setdefault(one, []), name)
    return found


def verdicts() -> "dict[object, list[str]]":
    """{(method, result): names}."""

    def of(it):
        data = bytes.fromhex(it.cvmr)
        return [(data[0] & 0x3F, data[2])] if data else []

    return by(of)


def starts() -> "dict[str, list[str]]":
    """{point of entry: names of the runs that enter there}."""
    taps = [row.name for row in ROWS if row.way == "tap"]
    return {
        point: (taps if point == "A" else []) + (["Entry Point, entered at " + point] if run() else [])
        for point, run in STARTED.items()
    }


def _add(names, name):
    if name not in names:
        names.append(name)


# -- the page

HEAD = """# Which transaction shows which bit

Written by `make emv-coverage`, from the runs: a test fails when this page is not what they give. A name is a row of
`tests/flows/scenarios.py` (how, which card of the shelf, what is special) or of `tests/emv_coverage.py` (kernel, what). The
first three are named; there may be more.

"""


def page() -> str:
    """docs/emv-coverage.md."""
    tables = (
        ("Terminal verification results, 95", "bit", _bits(0x95, every_bit(5), lambda it: it.tvr, NEVER_TVR)),
        ("Transaction status information, 9B", "bit", _bits(0x9B, every_bit(2), lambda it: it.tsi, NEVER_TSI)),
        ("Cardholder verification results, 9F34", "method and result",
         [("%02X, %d" % place, _verdict(*place), verdicts().get(place, [])) for place in VERDICTS]),
        ("Outcomes", "status", _each(result.STATUSES, lambda it: [it.status])
         + [(status, "never: " + NEVER_STATUS[status], []) for status in NEVER_STATUS]),
        ("Reasons", "why", _each(card.REASONS, lambda it: [it.why], lambda why: card.REASONS[why][2])),
        ("Where Entry Point is entered", "start", [(start, STARTS[start], names) for start, names in starts().items()]),
        ("Where an outcome sends it", "start", _each(("", "B"), lambda it: [it.start], lambda key: STARTS.get(key, "nowhere"))),
        ("How the holder is verified", "method", _each(result.METHODS, lambda it: [it.cvm] if it.status in GOES_ON else [])),
        ("Authorisation response, 8A", "code", _each(RESPONSES, lambda it: [it.response])),
        ("What else an outcome says", "flag", _each(FLAGS, lambda it: it.flags)),
        ("Kernels", "kernel", _each(KERNELS, lambda it: [it.kernel] if it.tvr else [], KERNELS.get)),
    )  # fmt: skip
    return HEAD + "\n".join([_table(*one) for one in tables])


def _bits(tag, places, value, never):
    words = {(byte, mask): text for byte, mask, text in meanings.BITS[tag]}
    shown = bits(places, value)
    return [("%d:%02X" % place, "never: " + never[place] if place in never else words[place], shown[place]) for place in shown]


def _each(keys, value, words=lambda key: ""):
    found = by(value)
    return [(key or "none", words(key), found.get(key, [])) for key in keys]


def _verdict(method, verdict):
    return NOTHING[verdict] if method == 0x3F else "%s: %s" % (meanings.METHODS[method], meanings.RESULTS[verdict])


def _table(title, first, lines):
    """lines: (what, words, names of the runs)."""
    text = ["## " + title, "", "| %s | says | transactions |" % first, "|---|---|---|"]
    return "\n".join([*text, *["| %s | %s | %s |" % (what, words, "; ".join(names[:NAMED])) for what, words, names in lines], ""])


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE.name, "written")
