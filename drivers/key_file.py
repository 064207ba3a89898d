"""Secrets on a medium: a sealed file, and the device key that opens it.

    vault.key      32 random bytes, mode 0600, made when the device is provisioned; all zeros after a wipe
    vault.sealed   "KFV" 01, 12-byte nonce, AES-256-GCM of the records under the device key; the first 4 bytes are
                   covered by the tag
    record         length of the name (1), name, length of the value (2, big-endian), value

    vault.key     vault.sealed     state
    none          none             "empty"
    zeros         any              "wiped"
    whole         none             "empty"    a power cut between the two when they were made
    whole         opens            "ready"
    anything else                  "broken"   never overwritten but by making new keys

A new sealed file is written beside the old one, synced, and renamed over it. The wipe overwrites the device key in
place first: from then on the sealed file is noise, wherever the medium keeps copies of it. Both files lie on one
medium here, so the seal holds against a copy of one file, not against somebody who takes the board: an approved
vault keeps the device key in a chip.
"""

import os
import struct

from drivers import libcrypto

DEVICE_KEY = "vault.key"
SEALED = "vault.sealed"
MAGIC = b"KFV\x01"
KEY_BYTES = 32
LARGEST = 65536


class KeyFile:
    """The two files in `folder`. Records are [(name, bytearray)]; OSError is left to the caller."""

    def __init__(self, folder: "str | os.PathLike", random) -> None:
        self._folder = os.fspath(folder)
        self._random = random

    def read(self) -> "tuple[str, list[tuple[str, bytearray]]]":
        """(state, records); records only when the state is "ready"."""
        device_key, sealed = self._file(DEVICE_KEY), self._file(SEALED)
        try:
            if device_key is not None and len(device_key) == KEY_BYTES and not any(device_key):
                return "wiped", []
            if sealed is None:
                return ("empty" if device_key is None or len(device_key) == KEY_BYTES else "broken"), []
            if device_key is None or len(device_key) != KEY_BYTES or not sealed.startswith(MAGIC):
                return "broken", []
            nonce, body = bytes(sealed[4:16]), sealed[16:]
            try:
                plain = libcrypto.gcm_open(device_key, nonce, body, MAGIC)
            except libcrypto.CryptoError:
                return "broken", []
            records = _parse(plain)
            libcrypto.cleanse(plain)
            return ("broken", []) if records is None else ("ready", records)
        finally:
            if device_key is not None:
                libcrypto.cleanse(device_key)

    def make(self) -> None:
        """A device key if there is no usable one. The first `write` after it makes the vault."""
        os.makedirs(self._folder, 0o700, exist_ok=True)
        device_key = self._file(DEVICE_KEY)
        if device_key is None or len(device_key) != KEY_BYTES or not any(device_key):
            device_key = bytearray(self._random(KEY_BYTES))
            self._replace(DEVICE_KEY, device_key)
        libcrypto.cleanse(device_key)

    def write(self, records: "list[tuple[str, bytearray]]") -> None:
        """Replaces the sealed file; on the medium when it returns, the old one or the new one at every moment."""
        plain = _build(records)
        device_key = self._file(DEVICE_KEY)
        try:
            if device_key is None or len(device_key) != KEY_BYTES or not any(device_key):
                raise FileNotFoundError("no device key")
            nonce = bytes(self._random(libcrypto.NONCE_BYTES))
            self._replace(SEALED, MAGIC + nonce + libcrypto.gcm_seal(device_key, nonce, plain, MAGIC))
        finally:
            libcrypto.cleanse(plain)
            if device_key is not None:
                libcrypto.cleanse(device_key)

    def wipe(self) -> None:
        """Zeros over the device key, where it lies; then the sealed file goes."""
        file = os.open(os.path.join(self._folder, DEVICE_KEY), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(file, bytes(KEY_BYTES))
            os.ftruncate(file, KEY_BYTES)
            os.fsync(file)
        finally:
            os.close(file)
        for name in (SEALED, SEALED + ".new", DEVICE_KEY + ".new"):
            try:
                os.unlink(os.path.join(self._folder, name))
            except FileNotFoundError:
                pass
        self._sync_folder()

    def _file(self, name):
        try:
            with open(os.path.join(self._folder, name), "rb", buffering=0) as file:
                data = bytearray(LARGEST + 1)
                size = file.readinto(data)
                found = data[:size]
                libcrypto.cleanse(data)
                return found
        except FileNotFoundError:
            return None

    def _replace(self, name, data):
        path = os.path.join(self._folder, name)
        file = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if os.write(file, data) != len(data):
                raise OSError("short write")
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(path + ".new", path)
        self._sync_folder()

    def _sync_folder(self):
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _build(records):
    size = sum(3 + len(name.encode()) + len(value) for name, value in records)
    if size > LARGEST - 64:
        raise OSError("too many records")
    # One piece of its final size: a bytearray that grows leaves copies behind.
    plain, at = bytearray(size), 0
    for name, value in records:
        word = name.encode()
        struct.pack_into(">B%dsH" % len(word), plain, at, len(word), word, len(value))
        at += 3 + len(word)
        plain[at : at + len(value)] = value
        at += len(value)
    return plain


def _parse(plain):
    records, at, end = [], 0, len(plain)
    while at < end:
        size = plain[at]
        if at + 3 + size > end:
            return None
        try:
            name = plain[at + 1 : at + 1 + size].decode()
        except UnicodeDecodeError:
            return None
        (length,) = struct.unpack_from(">H", plain, at + 1 + size)
        at += 3 + size
        if at + length > end:
            return None
        records.append((name, plain[at : at + length]))
        at += length
    return records
