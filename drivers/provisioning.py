"""Gives a device its identity: who it is for the host, where the host is, the master key, and which cards it takes.

A key comes in two components or three that different people hold; it is their XOR, so that one of them knows nothing. The
check value (drivers/kcv.py) is what people compare. Beside the master key a device may get a transport key, under which
other master keys come later from the host; both are keys of one cipher.

What is written, in this order, so that a power cut at any point leaves a device that says it is not provisioned:

    1  parameter terminal.number is deleted, if there was one
    2  the vault is made anew: master key, transport key, own keys, the factory's operators
    3  all parameters and the exception file, in one commit

Card data come from the caller, who has checked them (`firmware.emv.parameter_file`): a device without any says at its start
that it has none. A card number of the exception file is kept only as the vault's fingerprint of it.

A device that has both a vault and terminal.number is provisioned; it is done again only on request, and never while
the ledger holds an open transaction: its reversal needs the keys and the numbers that it was sent with. Where the keys
are lost already (wiped, damaged), new ones under the same numbers are what the reversal waits for: that is allowed.

Source: reference/products.md §6 (split knowledge, dual control: PCI DSS 3.7.6, PCI PIN 3.1); reference/host.md §1.
"""

import json
import os
import re
from collections import namedtuple
from collections.abc import Sequence

from drivers import kcv, vault_software
from drivers.components import ComponentError
from drivers.components import combine as combined
from drivers.key_slots import Refused
from drivers.libcrypto import cleanse
from drivers.passwords import COST
from drivers.store import FILE as STORE_FILE
from drivers.store import SqliteStore

PARAMETERS = "parameters"  # the store's table: key = name, value = JSON in UTF-8
TRANSACTIONS, OPEN = "transactions", "open"
EXCEPTIONS = "exceptions"  # the store's table: key = fingerprint in hex
APPLICATIONS = "emv.aids"  # without it a device takes no card
NUMBERS = ("terminal.number", "merchant.number")
COMPONENT_BYTES = 16  # where nothing else is said: of a double-length triple DES key
Summary = namedtuple("Summary", ("check_value", "again", "forgotten", "transport"))
Setting = namedtuple("Setting", ("name", "kind", "default", "check", "wanted"))

NEEDED = object()  # a setting without default


class ProvisioningError(Exception):
    """why: "setting", "component", "provisioned", "open" or "keys" (there are none yet to keep an exception file under);

    detail: which, and what would be right; never a key.
    """

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__("%s: %s" % (why, detail) if detail else why)
        self.why = why
        self.detail = detail


def _matches(pattern):
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


def _name_of_a_shop(value):
    try:
        return value.isprintable() and value.strip() != "" and len(value.encode("gb18030")) <= 40
    except UnicodeEncodeError:
        return False


def _authority(value):
    return value == "" or ("-----BEGIN CERTIFICATE-----" in value and "-----END CERTIFICATE-----" in value)


# Field 41, field 42, field 43 of ISO 8583, then the way to the host.
SETTINGS = (
    Setting("terminal.number", str, NEEDED, _matches("[0-9A-Za-z]{8}"), "8 letters or digits"),
    Setting("merchant.number", str, NEEDED, _matches("[0-9A-Za-z]{15}"), "15 letters or digits"),
    Setting("merchant.name", str, NEEDED, _name_of_a_shop, "1 to 40 bytes of GB18030 text"),
    Setting("host.address", str, NEEDED, _matches("[0-9A-Za-z:][0-9A-Za-z:.-]{1,252}"), "a name or an IP address"),
    Setting("host.port", int, NEEDED, lambda value: 1 <= value <= 65535, "1 to 65535"),
    Setting("host.tls", bool, True, lambda value: True, "true or false"),
    Setting("host.authority", str, "", _authority, "certificates in PEM, or nothing for the system's"),
    Setting("host.tpdu", str, "6000030000", _matches("60[0-9]{8}"), "60 and 8 digits"),
)


def checked_settings(settings: dict) -> dict:
    """`settings` with the defaults put in. ProvisioningError("setting") names the first that is wrong, missing or unknown."""
    unknown = set(settings) - {setting.name for setting in SETTINGS}
    if unknown:
        raise ProvisioningError("setting", "%s is unknown" % sorted(unknown)[0])
    checked = {}
    for name, kind, default, check, wanted in SETTINGS:
        value = settings.get(name, default)
        if value is NEEDED:
            raise ProvisioningError("setting", "%s is missing: %s" % (name, wanted))
        if type(value) is not kind or not check(value):
            raise ProvisioningError("setting", "%s: %s" % (name, wanted))
        checked[name] = value
    return checked


def combine(components: "Sequence[bytes | bytearray]", cipher: str = "tdes") -> bytearray:
    """The key, for the caller to wipe. ProvisioningError("component") for what makes no good key of the cipher."""
    try:
        return combined(components, cipher)
    except ComponentError as error:
        raise ProvisioningError("component", str(error)) from None


def is_provisioned(folder: "str | os.PathLike") -> bool:
    """Whether `folder` holds a device that was given its identity. Raises StoreError, OSError, CryptoError."""
    if not os.path.isdir(folder) or vault_software.state(folder) == "empty":
        return False
    if not os.path.exists(os.path.join(folder, STORE_FILE)):
        return False
    store = SqliteStore(None, {}, folder, read_only=True)
    try:
        return store.get(PARAMETERS, SETTINGS[0].name) is not None
    finally:
        store.close()


def provision(
    folder: "str | os.PathLike",
    settings: dict,
    components: "Sequence[bytes | bytearray]",
    again: bool = False,
    random=os.urandom,
    cost: int = COST,
    cards: "dict | None" = None,
    exceptions: "Sequence[str] | None" = None,
    transport: "Sequence[bytes | bytearray] | None" = None,
    cipher: str = "tdes",
) -> "Summary":
    """Makes the device in `folder`, a new one or, with `again`, one that was provisioned before.

    settings: {name: value} for SETTINGS; components: of the master key; transport: those of the transport key (None: the
    device has none), all as long as the cipher's keys are; cards, exceptions: as of `card_rows`. -> Summary(check value of
    the master key, whether there was something to replace, how many cards of the exception file were lost with the keys that
    they were kept under, check value of the transport key or None). Raises ProvisioningError; StoreError when a running
    terminal owns the folder, or the store is damaged; OSError; CryptoError, also where the library lacks the cipher. Nothing
    is written before all of it is known to be good.
    """
    settings = checked_settings(settings)
    master, carrier = combine(components, cipher), None
    try:
        carrier = None if transport is None else combine(transport, cipher)
        if carrier == master:
            raise ProvisioningError("component", "the transport key is the master key")
        # First of all, so that a cipher that the library lacks is known before anything is written.
        check_values = [None if key is None else kcv.check_value(cipher, key) for key in (master, carrier)]
        store = SqliteStore(None, {}, folder)
        try:
            first = SETTINGS[0].name
            was = store.get(PARAMETERS, first) is not None
            keys = vault_software.state(folder)
            if was and keys != "empty" and not again:
                raise ProvisioningError("provisioned")
            if store.range(TRANSACTIONS, index=OPEN, limit=1):
                same = all(store.get(PARAMETERS, name) == _json(settings[name]) for name in NUMBERS)
                if keys == "ready" or not same:
                    raise ProvisioningError("open")
            if was:
                store.commit([(PARAMETERS, first, None, None)])
            vault_software.create(folder, master, random, cost, cipher, carrier)
            forgotten = 0 if keys == "ready" or exceptions is not None else len(store.range(EXCEPTIONS))
            # Marks that were made with lost keys fit no card any more.
            rows = card_rows(store, folder, cards or {}, [] if forgotten else exceptions)
            store.commit(rows + [(PARAMETERS, name, _json(value), None) for name, value in settings.items()])
            return Summary(check_values[0], was, forgotten, check_values[1])
        finally:
            store.close()
    finally:
        cleanse(master, carrier or bytearray())


def has_cards(folder: "str | os.PathLike") -> bool:
    """Whether the device in `folder` has been told which cards it takes. Raises StoreError."""
    if not os.path.exists(os.path.join(folder, STORE_FILE)):
        return False
    store = SqliteStore(None, {}, folder, read_only=True)
    try:
        return store.get(PARAMETERS, APPLICATIONS) is not None
    finally:
        store.close()


def load_cards(folder: "str | os.PathLike", cards: dict, exceptions: "Sequence[str] | None" = None) -> None:
    """Other card data for a provisioned device that is switched off: all of it, or nothing.

    As of `card_rows`. Raises ProvisioningError("keys"); StoreError, also when a running terminal owns the folder; OSError;
    CryptoError.
    """
    store = SqliteStore(None, {}, folder)
    try:
        store.commit(card_rows(store, folder, cards, exceptions))
    finally:
        store.close()


def card_rows(store: SqliteStore, folder: "str | os.PathLike", cards: dict, exceptions: "Sequence[str] | None") -> "list[tuple]":
    """Rows for `commit` that make these the device's card data.

    cards: {parameter: value}, checked by the caller; what it does not name stays. exceptions: the numbers of the whole
    exception file; None: the old one stays. Raises ProvisioningError("keys"), StoreError, OSError, CryptoError.
    """
    rows = [(PARAMETERS, name, _json(value), None) for name, value in cards.items()]
    if exceptions is None:
        return rows
    try:
        marks = vault_software.fingerprints(folder, [number.encode() for number in exceptions]) if exceptions else []
    except Refused as refused:
        raise ProvisioningError("keys") from refused
    listed = {mark.hex() for mark in marks}
    gone = [who for who, _ in store.range(EXCEPTIONS) if who not in listed]
    rows += [(EXCEPTIONS, who, None, None) for who in gone]
    return rows + [(EXCEPTIONS, who, b"1", None) for who in sorted(listed)]


def _json(value):
    return json.dumps(value, ensure_ascii=False).encode()
