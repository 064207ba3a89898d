"""Technicians' files of card parameters on disk: where ours lie, and how one is fetched.

What is in them is read and checked by `firmware.emv.parameter_file`. `card_files/unionpay.json` is what a new device begins
with: UnionPay, Visa and Mastercard applications with the values of public reference terminals, and no key of anybody.
"""

import os

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "card_files")
FIRST = os.path.join(FOLDER, "unionpay.json")
LARGEST = 8_000_000


def fetch(path: "str | os.PathLike" = FIRST) -> bytes:
    """The bytes of a file. Raises OSError; ValueError for one that no parameter file is as long as."""
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError("more than %d bytes" % LARGEST)
    return data
