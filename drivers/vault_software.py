"""A vault in software: the sealed key file, the system's libcrypto, a thread of its own for what takes time.

It is not an approved PIN device and says so (`approved` is False): keys and PIN digits are in the memory of a
general-purpose computer for as long as they are needed. The firmware runs on it in test mode only.
"""

import os
import queue
import threading
from collections.abc import Iterable

from drivers.key_box import KeyBox, first_records
from drivers.key_file import KeyFile
from drivers.key_slots import checked_rows
from drivers.libcrypto import cleanse
from drivers.passwords import COST
from drivers.vault import Job, Vault
from firmware.events import PART, Event


class SoftwareVault(Vault):
    """`firmware.ports.Vault` on the key file in `folder`.

    part      the board's entry; no keys of its own.
    keypad    whose keys the entries borrow.
    random    random(n) -> n unpredictable bytes.
    cost      iterations of PBKDF2 for new passwords; an old one keeps its own.

    The file is read by `start`; until then the state is "empty". Work of microseconds (a MAC, a seal) is answered
    before the call returns, the rest from the vault's thread.
    """

    def __init__(self, post, part: dict, folder: "str | os.PathLike", keypad, random=os.urandom, cost: int = COST) -> None:
        self._cost = cost
        self._random = random
        self._file = KeyFile(folder, random)
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        super().__init__(post, self._box("empty", ()), keypad, quick=_at_once, slow=self._jobs.put, random=random)

    def start(self) -> None:
        """Reads the keys and begins to answer. Raises CryptoError where there is no libcrypto."""
        try:
            state, records = self._file.read()
        except OSError:
            state, records = "broken", []
        self._keys = self._box(state, records)
        self._thread = threading.Thread(target=self._work, name="vault", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread after the jobs it has, gives the keypad back and wipes the memory."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        with self._guard:
            self._end()
            self._choose(None)
        self._lend()
        self._keys.forget()

    def _work(self):
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job()

    def _box(self, state, records):
        return KeyBox(state, records, self._random, self._file.write, self._destroy, self._cost)

    def _destroy(self):
        try:
            self._file.wipe()
        except OSError:
            # The memory is clean, the medium is not: a matter for a technician.
            self._post(Event(PART, 0, ("vault", "failed")))


def _at_once(job: Job) -> None:
    job()


def create(
    folder: "str | os.PathLike",
    master: "bytes | bytearray",
    random=os.urandom,
    cost: int = COST,
    cipher: str = "tdes",
    transport: "bytes | bytearray | None" = None,
) -> None:
    """Makes the vault of a device: master key, transport key (both of the cipher), own keys, the factory's operators 01, 00
    and 99.

    A vault that was there is replaced; what it sealed can still be unsealed. Raises OSError.
    """
    file = KeyFile(folder, random)
    old = file.read()[1]
    records = first_records(master, random, cost, old, cipher, transport)
    try:
        file.make()
        file.write(records)
    finally:
        cleanse(*(value for _, value in records), *(value for _, value in old))


def destroy(folder: "str | os.PathLike") -> None:
    """Wipes the vault of a device that is switched off, for good. Raises OSError."""
    KeyFile(folder, os.urandom).wipe()


def fingerprints(folder: "str | os.PathLike", data: "Iterable[bytes]") -> "list[bytes]":
    """What the vault of a device that is switched off would say to each `fingerprint`: 16 bytes. Raises Refused, OSError,
    CryptoError."""
    found, records = KeyFile(folder, os.urandom).read()
    box = KeyBox(found, records, os.urandom, _never, _never)
    try:
        return [box.fingerprint(one) for one in data]
    finally:
        box.forget()


def load_keys(folder: "str | os.PathLike", keys: "list[tuple[str, bytes | str, bytes]]") -> None:
    """What `Vault.load_keys` does, for a device that is switched off. Raises Refused: then the old keys are kept; OSError,
    CryptoError."""
    file = KeyFile(folder, os.urandom)
    found, records = file.read()
    box = KeyBox(found, records, os.urandom, file.write, _never)
    try:
        box.load_keys(checked_rows(keys))
    finally:
        box.forget()


def check_value(folder: "str | os.PathLike", slot: str) -> "bytes | None":
    """What `Vault.check_value` would say. Raises OSError, CryptoError."""
    found, records = KeyFile(folder, os.urandom).read()
    box = KeyBox(found, records, os.urandom, _never, _never)
    try:
        return box.check_value(slot)
    finally:
        box.forget()


def _never(*_):
    raise OSError("the vault is only read here")


def state(folder: "str | os.PathLike") -> str:
    """The state that a vault on `folder` would start in. Raises OSError, CryptoError."""
    found, records = KeyFile(folder, os.urandom).read()
    cleanse(*(value for _, value in records))
    return found
