"""A TR-31 key block from a file into the vault of a device that is provisioned and switched off.

The block says itself what its key is for, and so which slot it goes to, and under which key it comes (`drivers.key_slots`):
a master key under the transport key, a working key or the initial key of a DUKPT series under the master key.

A master key takes the working keys away, so it waits until nothing is left that needs them: no sale in the batch, nothing to
reverse, to repeat or to tell, no settlement at half way.

Source: ANSI X9.143; reference/products.md §1.3 (key changes only after settlement).
"""

import os

from drivers import tr31, vault_software
from drivers.key_slots import SLOTS, Refused
from drivers.store import SqliteStore
from firmware.ledger import Ledger
from firmware.settlement import Settlement

MOST = 9999  # characters that a block may have
CHECK_DIGITS = (6, 8, 10)
WORDS = {
    "no-key": "the key that it comes under is not there",
    "check-value": "the check value is another",
    "bad-data": "it is for another device or another key, or somebody has changed it",
    "wiped": "the keys of this device were wiped",
    "storage": "the key file cannot be written",
}


class BlockError(Exception):
    """The key was not taken and the old ones are kept; the text says why. later: it can be, when the batch is settled."""

    def __init__(self, why: str, later: bool = False) -> None:
        super().__init__(why)
        self.later = later


def load(folder: "str | os.PathLike", path: "str | os.PathLike", check_value: "str | None" = None) -> "tuple[str, bytes]":
    """Puts the key into its slot -> (slot, check value). check_value: 6 to 10 hexadecimal digits to compare it with.

    Raises BlockError; StoreError, also when a running terminal owns the folder; OSError; CryptoError.
    """
    expected = _digits(check_value)
    with open(path, "rb") as file:
        text = file.read(MOST + 2).decode("ascii", "replace").strip()
    try:
        header, _ = tr31.read_header(text)
    except tr31.Tr31Error as error:
        raise BlockError(str(error)) from None
    slots = [slot for slot, row in SLOTS.items() if header.usage in row.usages]
    if not slots:
        raise BlockError("no slot takes a key of usage %s" % header.usage)
    if not os.path.isdir(folder):
        raise BlockError("there is no device in this folder")
    store = SqliteStore(None, {}, folder)
    try:
        if slots[0] == "master":
            _insist_on_an_empty_batch(store)
        vault_software.load_keys(folder, [(slots[0], text, expected)])
        found = vault_software.check_value(folder, slots[0])
    except Refused as refused:
        raise BlockError(WORDS.get(refused.why, refused.why)) from None
    finally:
        store.close()
    assert found is not None, "the key that was loaded is not there"
    return slots[0], found


def _insist_on_an_empty_batch(store: SqliteStore) -> None:
    left = Ledger(store).left_open()
    if left in ("reversal", "notice"):
        raise BlockError("open transactions: switch the terminal on to resolve them", True)
    if left or Settlement(store).running is not None:
        raise BlockError("the batch has to be settled first", True)


def _digits(text: "str | None") -> bytes:
    """A check value as bytes, b"" for none."""
    try:
        found = bytes.fromhex(text or "")
    except ValueError:
        found = b"?"
    if text is not None and 2 * len(found) not in CHECK_DIGITS:
        raise BlockError("a check value has 6 to 10 hexadecimal digits")
    return found
