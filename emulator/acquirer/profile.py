"""How the host talks with one terminal: its ciphers, its PIN blocks, the shape of its messages.

    suite           "tdes", "aes", "sm4": the cipher of the master key and of the working keys. A sign-on with code 005 or
                    006 asks for SM4, whatever is said here
    mac             method of field 64: "unionpay", "unionpay-binary", "x9.9", "x9.19", "cmac", "cbc"
    pin_form        ISO 9564-1 format of field 52: "0", "3", "4"
    keys            "session": working keys at sign-on;  "dukpt": each message has its own, from `base_key` and the key serial
                    number in its field `ksn_field`
    base_key        of DUKPT: 16 bytes for TDES; 16, 24 or 32 for AES
    transport_key   under which a master key is sent (management code 999)
    master_reply    how that reply is made: "B" enciphered, "C" diversified first, "tr31" a key block
    key_bytes       of a working key: 16, 24 or 32
    mac_key_bytes   8: the MAC key is sent as 8 bytes and eight zero bytes
    check_bytes     of a check value: 4 or 3
    header_bytes    6 or 0 in front of a message; -1: as it comes
    tpdu            "swapped" or "same" in replies
    fields          {field: coding} of this terminal's own over the table of UnionPay
    limit_fen       most that one message may ask for; 0: no limit (61)

Source: reference/host.md §1, §2 (deviations), §4.
"""

import json
from typing import Any, NamedTuple

from firmware.iso8583 import unionpay
from firmware.iso8583.codec import Codec
from firmware.iso8583.fields import UNIONPAY, changed

MACS = ("unionpay", "unionpay-binary", "x9.9", "x9.19", "cmac", "cbc")
DUKPT = "dukpt-"  # in front of a terminal's name of a method or form: here the keys say it


class Profile(NamedTuple):
    """A checked profile; see the module. Its text shows no key."""

    suite: str = "tdes"
    mac: str = "unionpay"
    pin_form: str = "0"
    keys: str = "session"
    ksn_field: int = 62
    base_key: bytes = b""
    transport_key: bytes = b""
    master_reply: str = "B"
    key_bytes: int = 16
    mac_key_bytes: int = 16
    check_bytes: int = 4
    header_bytes: int = -1
    tpdu: str = "swapped"
    fields: "dict[int, str]" = {}
    limit_fen: int = 0

    def __repr__(self) -> str:
        return f"<Profile {self.suite} {self.mac} {self.keys}>"


STANDARD = Profile()
# What may be said: values, or lengths of a key.
ALLOWED: "dict[str, Any]" = {
    "suite": ("tdes", "aes", "sm4"),
    "mac": MACS,
    "pin_form": ("0", "3", "4"),
    "keys": ("session", "dukpt"),
    "ksn_field": range(2, 129),
    "base_key": (0, 16, 24, 32),
    "transport_key": (0, 16, 24, 32),
    "master_reply": ("B", "C", "tr31"),
    "key_bytes": (16, 24, 32),
    "mac_key_bytes": (8, 16, 24),
    "check_bytes": (3, 4),
    "header_bytes": (-1, 0, 6),
    "tpdu": ("swapped", "same"),
    "limit_fen": range(10**12),
}
# What is meant where nothing is said: by keys and suite.
MEANT: "dict[tuple[str, str], dict[str, Any]]" = {
    ("session", "aes"): {"mac": "cmac", "pin_form": "4"},
    ("dukpt", "tdes"): {"mac": "x9.19"},
    ("dukpt", "aes"): {"mac": "cmac", "pin_form": "4"},
}


class ProfileError(ValueError):
    """A profile that cannot be; the message names the entry."""


def of(entries: "dict[str, Any]") -> Profile:
    """The profile with these entries; keys as bytes or hexadecimal text. Raises ProfileError."""
    values = {name: _checked(name, value) for name, value in entries.items()}
    profile = _meant(values.get("keys", STANDARD.keys), values.get("suite", STANDARD.suite))._replace(**values)
    if profile.keys == "dukpt":
        sizes = {"tdes": (16,), "aes": (16, 24, 32)}.get(profile.suite, ())
        if len(profile.base_key) not in sizes:
            raise ProfileError("base_key: DUKPT needs one of 16 bytes for TDES, of 16, 24 or 32 for AES")
    if profile.pin_form != "0" and profile.suite != {"3": "tdes", "4": "aes"}[profile.pin_form]:
        raise ProfileError("pin_form: 3 is made with TDES, 4 with AES")
    if profile.key_bytes == 32 and profile.suite != "aes":
        raise ProfileError("key_bytes: 32 are of AES")
    if profile.master_reply == "tr31" and profile.suite == "sm4":
        raise ProfileError("master_reply: TR-31 has no SM4")
    return profile


def _meant(keys: str, suite: str) -> Profile:
    return STANDARD._replace(**MEANT.get((keys, suite), {}))


def _checked(name, value):
    if name == "fields":
        return _fields(value)
    if name not in ALLOWED:
        raise ProfileError(f"{name}: one of {', '.join(Profile._fields)}")
    default = getattr(STANDARD, name)
    if isinstance(default, bytes):
        value = _key(name, value)
        good = len(value) in ALLOWED[name]
    else:
        if isinstance(value, str) and name in ("mac", "pin_form"):
            value = value.removeprefix(DUKPT)
        good = type(value) is type(default) and value in ALLOWED[name]
    if not good:
        raise ProfileError(f"{name}: not one of those that can be")
    return value


def told(profile: Profile) -> "dict[str, Any]":
    """What has to be said of a profile: `of` makes it of that."""
    meant = _meant(profile.keys, profile.suite)
    return {name: value for name, value in profile._asdict().items() if value != getattr(meant, name)}


def _key(name, value):
    if isinstance(value, str):
        try:
            value = bytes.fromhex(value)
        except ValueError:
            raise ProfileError(f"{name}: not hexadecimal") from None
    if not isinstance(value, bytes):
        raise ProfileError(f"{name}: bytes or hexadecimal text")
    return value


def _fields(value):
    try:
        table = {int(field): str(coding) for field, coding in value.items()}
        Codec(changed(UNIONPAY, table))
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise ProfileError(f"fields: {error}") from None
    return table


def text_of(profile: Profile) -> str:
    """The profile as it is kept, "" for the standard one."""
    entries = {name: value.hex() if isinstance(value, bytes) else value for name, value in told(profile).items()}
    return json.dumps(entries) if entries else ""


def read(text: str) -> Profile:
    """The profile that `text_of` wrote."""
    return of(json.loads(text)) if text else STANDARD


def codec_of(profile: Profile) -> Codec:
    """The codec of this terminal's fields."""
    return Codec(changed(UNIONPAY, profile.fields)) if profile.fields else unionpay.codec()
