"""`make bench`: our figures beside other people's, in one run.

    python -m tools.bench [GROUP ...]     default: all but "day", which takes minutes

Timings depend on the machine and on what else it does; ratios hold better. Exit status 0 whatever the figures are: they are
for people, and no test depends on them.
"""

from __future__ import annotations

import importlib
import platform
import sys

from tools.bench.table import Row, lines, say

# name: (module, what it measures)
GROUPS = {
    "codecs": ("tools.bench.codecs", "ISO 8583 and TLV beside pyiso8583 and pyemv"),
    "cards": ("tools.bench.cards", "a tap with fDDA and a chip sale with CDA: CPU; the largest legal inputs"),
    "start": ("tools.bench.start", "power on to the log-in page, to the reader; memory; idle CPU; with 5,000 sales on record"),
    "keys": ("tools.bench.keys", "key to pixels; bytes on the display's bus"),
    "tap": ("tools.bench.tap", "one tap at the wire: CPU, bytes; synced commits of a sale"),
    "world": ("tools.bench.simulation", "sales a minute at the port level, 1,000 and 20,000"),
    "day": ("tools.bench.day", "500 sales in a row at the wire, and what becomes of the memory"),
}
DEFAULT = ("codecs", "cards", "start", "keys", "tap", "world")


def main(argv: list[str]) -> int:
    unknown = [name for name in argv if name not in GROUPS]
    if unknown:
        for name, (_, what) in GROUPS.items():
            print("  %-8s %s" % (name, what), file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in argv or DEFAULT:
        say("%s: %s" % (name, GROUPS[name][1]))
        rows += importlib.import_module(GROUPS[name][0]).rows()
    print("%s, Python %s, %s" % (platform.machine(), platform.python_version(), platform.system()))
    print("\n".join(lines(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
