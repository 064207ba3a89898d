"""Every kind of conversation against a host that answers wrongly in every way: `python -m tests.campaign_host`.

    --kind NAME --fault NAME --span NAME    only these; all three: one alone, with its traceback
    --seed N        the seed of what is drawn, 1 if not said        --count N    only so many, drawn by the seed

Prints a line for each kind, and each that did not end as it must, so that it can be repeated alone; exit status 1 when there is
one. Behind each the batch is settled and the books are laid side by side.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from random import Random

from tests import hostile_host

Case = tuple[str, str, str]


def failure(case: Case, seed: int) -> str:
    """What is wrong with it, in a line; "" when nothing is."""
    try:
        hostile_host.run(*case, seed=seed, whole=True)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = str(error).splitlines()[0][:100] if str(error) else ""
        return "%s %s, %s:%d" % (type(error).__name__, words, place.filename.rpartition("/")[2], place.lineno)
    return ""


def chosen(kind: str, fault: str, span: str, count: int, seed: int) -> "list[Case]":
    """The cases of these names, "" for any; of so many, drawn by the seed, 0 for all."""
    wanted = (kind, fault, span)
    found = [
        case for case in hostile_host.cases() if all(not want or want == have for want, have in zip(wanted, case, strict=True))
    ]
    return sorted(Random(seed).sample(found, count)) if 0 < count < len(found) else found


def campaign(cases: "list[Case]", seed: int, tell=print) -> "dict[Case, str]":
    """{case: what is wrong}."""
    wrong: dict[Case, str] = {}
    of_kind = Counter(kind for kind, _, _ in cases)
    done: Counter[str] = Counter()
    for case in cases:
        why = failure(case, seed)
        if why:
            wrong[case] = why
            tell("%s, %s, %s: %s" % (*case, why))
        done[case[0]] += 1
        if done[case[0]] == of_kind[case[0]]:
            tell("%-20s %4d, %d wrong" % (case[0], of_kind[case[0]], sum(1 for one in wrong if one[0] == case[0])))
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="every kind of conversation against a host that answers wrongly")
    parser.add_argument("--kind", choices=tuple(hostile_host.KINDS), default="")
    parser.add_argument("--fault", choices=tuple(hostile_host.FAULTS), default="")
    parser.add_argument("--span", choices=hostile_host.SPANS, default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=0)
    words = parser.parse_args()
    if words.kind and words.fault and words.span:
        print(" ".join(hostile_host.run(words.kind, words.fault, words.span, words.seed, True)))
        return 0
    start = time.monotonic()
    cases = chosen(words.kind, words.fault, words.span, words.count, words.seed)
    wrong = campaign(cases, words.seed)
    print("%d conversations, seed %d, %.0f s: %d wrong" % (len(cases), words.seed, time.monotonic() - start, len(wrong)))
    for case in wrong:
        print('  again: python -m tests.campaign_host --seed %d --kind "%s" --fault "%s" --span %s' % (words.seed, *case))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
