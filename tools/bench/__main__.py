"""`make bench`: our figures beside other people's, in one run.

    python -m tools.bench [GROUP ...]     default: all but "day" and "settlement", which take minutes

Timings depend on the machine and on what else it does; ratios hold better. Exit status 0 whatever the figures are: they are
for people, and no test depends on them.
"""

from __future__ import annotations

import importlib
import platform
import sys

from tools.bench.table import Row, lines, say

# name: (module and, unless it is `rows`, function, what it measures)
GROUPS = {
    "codecs": ("tools.bench.codecs", "ISO 8583 and TLV beside pyiso8583 and pyemv"),
    "cards": ("tools.bench.cards", "a tap with fDDA and a chip sale with CDA: CPU; the largest legal inputs"),
    "start": ("tools.bench.start", "power on to the log-in page, to the reader; memory; idle CPU; with 5,000 sales on record"),
    "keys": ("tools.bench.keys", "key to pixels; bytes on the display's bus"),
    "tap": ("tools.bench.tap", "one tap at the wire: CPU, bytes; synced commits of a sale"),
    "world": ("tools.bench.simulation", "sales a minute at the port level, the first and the 20,000th"),
    "lists": ("tools.bench.settlement:short", "a settlement of 500 swiped and of some tapped, over 300 ms there and back"),
    "settlement": ("tools.bench.settlement", "the same with 500 tapped as well, each of which takes a message"),
    "acquirer": ("tools.bench.acquirer", "the host under 1,000 terminals for a minute; its cost a sale; TLS"),
    "day": ("tools.bench.day", "500 sales in a row at the wire, and what becomes of the memory"),
}
DEFAULT = ("codecs", "cards", "start", "keys", "tap", "world", "lists", "acquirer")


def main(argv: list[str]) -> int:
    unknown = [name for name in argv if name not in GROUPS]
    if unknown:
        for name, (_, what) in GROUPS.items():
            print("  %-10s %s" % (name, what), file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in argv or DEFAULT:
        say("%s: %s" % (name, GROUPS[name][1]))
        module, _, function = GROUPS[name][0].partition(":")
        rows += getattr(importlib.import_module(module), function or "rows")()
    print("%s, Python %s, %s" % (platform.machine(), platform.python_version(), platform.system()))
    print("\n".join(lines(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
