"""The public vectors of offline data authentication under MicroPython: `micropython -m tests.portable_vectors FILE`.

It stands outside tests/portable, whose modules do no I/O.
"""

import json
import sys

from tests.portable import plain_vectors

with open(sys.argv[1]) as file:
    cases = json.load(file)["cases"]
plain_vectors.check(cases)
print("%d vectors of offline data authentication came out" % len(cases))
