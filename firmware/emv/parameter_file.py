"""A technician's file of card parameters: what a terminal takes, whose keys it trusts, whom it refuses.

Nothing of this is in the code. A file says one part or several, and what it says replaces what the device had of that part:

    part           is                                          parameter
    applications   rows of `settings`                          emv.aids
    terminal       {tag: value}, hex                           emv.terminal
    switches       {name: true or false} of settings.SWITCHES  emv.switches
    keys           rows of `authority`, all test or all live   emv.keys
    revoked        rows of revoked issuer certificates         emv.revoked
    exceptions     card numbers to be refused                  none: store table "exceptions"
    about          a text for people                           none

It is JSON, or a text with one block of `download` in hex a line, "#" before a remark. Blocks go into the applications
that the device has; their keys are a whole new set. Each row is checked before anything is taken, and an error names it.

A card number of the exception file is kept only as the vault's fingerprint of it, and no error shows one.
"""

import json
from binascii import hexlify, unhexlify

from firmware.emv import download, settings, tlv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Content = dict[str, Any]

PARAMETERS = (
    ("applications", "emv.aids", list),
    ("terminal", "emv.terminal", dict),
    ("switches", "emv.switches", dict),
    ("keys", "emv.keys", list),
    ("revoked", "emv.revoked", list),
)
PARTS = tuple([part for part, _, _ in PARAMETERS]) + ("exceptions", "about")
EXCEPTIONS = "exceptions"  # the store's table: key = fingerprint in hex
MAX_BYTES = 8_000_000
MAX_APPLICATIONS = 64
MAX_EXCEPTIONS = 200_000


class ParameterFileError(ValueError):
    """A file that cannot be taken; the text names the part and the row, and says why."""


def read(data: bytes, kind: str = "", partial: int = download.PARTIAL, base: "list[dict[str, Any]] | tuple" = ()) -> "Content":
    """The checked contents of a file. Raises ParameterFileError.

    For blocks only: kind, "test" or "live", is that of the keys; partial is the value of DF01 that lets longer names
    fit; base are the applications that the device has.
    """
    if len(data) > MAX_BYTES:
        raise ParameterFileError("file: more than %d bytes" % MAX_BYTES)
    try:
        text = data.decode()
    except ValueError:
        raise ParameterFileError("file: not UTF-8")
    if text.lstrip()[:1] not in ("{", "["):
        return check(_of_blocks(text, kind, partial, list(base)))
    try:
        content = json.loads(text)
    except (ValueError, RuntimeError) as error:  # not JSON, or nested too deeply
        raise ParameterFileError("file: not JSON (%s)" % error)
    return check(content)


def _of_blocks(text: str, kind: str, partial: int, rows: "list[dict[str, Any]]") -> "Content":
    content: Content = {}
    keys = []
    number = 0
    for line in text.split("\n"):
        number += 1
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        try:
            block = unhexlify("".join(line.split()))
            if download.is_key(block):
                if not kind:
                    raise ParameterFileError("line %d: a key, and nobody has said whether test or live" % number)
                keys.append(download.key(block, kind)[0])
                content["keys"] = keys
            else:
                rows = download.replace(rows, download.application(block, partial)[0])
                content["applications"] = rows
        except download.DownloadError as error:
            raise ParameterFileError("line %d: %s" % (number, error))
        except ParameterFileError:
            raise
        except ValueError:
            raise ParameterFileError("line %d: not hex" % number)
    if not content:
        raise ParameterFileError("file: nothing in it")
    return content


def check(content: "Any") -> "Content":
    """The content as it is, when every row of it can be used. Raises ParameterFileError."""
    if not isinstance(content, dict):
        raise ParameterFileError("file: no table of parts")
    for part in content:
        if part not in PARTS:
            raise ParameterFileError("%s: no such part" % part)
    said = {}
    for part, _, kind in PARAMETERS:
        said[part] = content.get(part, kind())
        if not isinstance(said[part], kind):
            raise ParameterFileError("%s: no %s" % (part, "table" if kind is dict else "list"))
    _check_applications(said["applications"])
    try:
        for tag in said["terminal"]:
            tlv.parse_tag(tag)
    except tlv.TlvError:
        raise ParameterFileError("terminal: %s is no tag" % tag)
    try:
        settings.Settings(said["applications"], said["terminal"], said["keys"], said["revoked"], said["switches"])
    except settings.SettingsError as error:
        raise ParameterFileError(str(error))
    for number, pan in enumerate(_exceptions(content)):
        if not isinstance(pan, str) or not 12 <= len(pan) <= 19 or not all(["0" <= digit <= "9" for digit in pan]):
            raise ParameterFileError("exceptions: row %d is no card number" % (number + 1))
    return content


def _check_applications(rows: "list[Any]") -> None:
    if len(rows) > MAX_APPLICATIONS:
        raise ParameterFileError("applications: %d, at most %d" % (len(rows), MAX_APPLICATIONS))
    seen = set()
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ParameterFileError("application %d: no table" % (number + 1))
        name = (row.get("aid"), row.get("kernel", ""))
        if not isinstance(name[0], str) or not isinstance(name[1], str):
            raise ParameterFileError("application %d: its aid or its kernel is no text" % (number + 1))
        name = (name[0].upper(), name[1].upper())
        if name in seen:
            raise ParameterFileError("application %d: %s is there twice for the same kernel" % (number + 1, name[0]))
        seen.add(name)


def _exceptions(content: "Content") -> "list[Any]":
    rows = content.get("exceptions", [])
    if not isinstance(rows, list):
        raise ParameterFileError("exceptions: no list")
    if len(rows) > MAX_EXCEPTIONS:
        raise ParameterFileError("exceptions: %d, at most %d" % (len(rows), MAX_EXCEPTIONS))
    return rows


def parameters(content: "Content") -> "dict[str, Any]":
    """{parameter: value} of the parts that checked content has."""
    return {name: content[part] for part, name, _ in PARAMETERS if part in content}


def exceptions(
    content: "Content", fingerprint: "Callable[[bytes], bytes]", old: "tuple[str, ...] | list[str]" = ()
) -> "list[tuple[str, str, bytes | None, None]]":
    """Rows for `Store.commit` that make the exception file of checked content the device's; [] where it has none.

    fingerprint: the vault's, card number in ASCII -> 16 bytes; old: the keys that the table has now.
    """
    if "exceptions" not in content:
        return []
    wanted = set([hexlify(fingerprint(pan.encode())).decode() for pan in content["exceptions"]])
    gone: list[tuple[str, str, bytes | None, None]] = [(EXCEPTIONS, who, None, None) for who in old if who not in wanted]
    return gone + [(EXCEPTIONS, who, b"1", None) for who in sorted(wanted)]
