"""`make interop`: what we make, read by other people's programs, and what they make, read by us, on random inputs.

    python -m tools.interop [PEER ...] [--count N] [--seed N]

Exit status 0: all the same; 1: a difference, or a peer that is not installed; 2: wrong call.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from random import Random

from tools.interop.result import Unavailable

COUNT = 1000
# name: (module with compare(chance, count) -> [Result], what is compared); a module raises Unavailable where its peer is not
# here. Imported one by one, so that a peer that is missing takes nobody else with it.
PEERS = {
    "pyiso8583": ("tools.interop.pyiso8583", "messages in UnionPay's dialect and in 1987's, both ways"),
    "wireshark": ("tools.interop.wireshark", "messages in 1987's dialect, read by tshark"),
    "psec": ("tools.interop.psec_check", "PIN blocks, MACs, check values and key blocks, both ways"),
}


def main(argv: list[str], say=print) -> int:
    """The whole comparison. -> status."""
    parser = argparse.ArgumentParser(prog="python -m tools.interop", description=__doc__.split("\n")[0])
    parser.add_argument("peer", nargs="*", metavar="PEER", help="; ".join("%s: %s" % (name, PEERS[name][1]) for name in PEERS))
    parser.add_argument("--count", type=int, default=COUNT, help="random inputs of each kind, %d" % COUNT)
    parser.add_argument("--seed", type=int, help="the same inputs again")
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    unknown = [name for name in arguments.peer if name not in PEERS]
    if unknown or arguments.count < 1:
        print("no such peer: there are %s" % ", ".join(PEERS) if unknown else "--count: 1 or more", file=sys.stderr)
        return 2
    seed = arguments.seed if arguments.seed is not None else time.time_ns() % 10**9
    say("seed %d" % seed)
    status = 0
    for name in arguments.peer or PEERS:
        try:
            module = importlib.import_module(PEERS[name][0])
            results = module.compare(Random("%d %s" % (seed, name)), arguments.count)
        except (Unavailable, ImportError) as error:
            say("absent %s: %s" % (name, error))
            status = 1
            continue
        for result in results:
            say(result.line())
            for line in result.details():
                say(line)
            status = max(status, int(bool(result.wrong)))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
