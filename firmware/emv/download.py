"""UnionPay's parameter blocks, as a host downloads them and as makers' files carry them: TLV there, rows of our tables here.

An application, and what becomes of it in a row of `settings`:

    9F06   name                                        aid
    DF01   name must fit whole, or its beginning        partial (which value is which: an argument, makers differ)
    9F09, 9F08   version of the terminal's application  version (9F09 goes first)
    DF11 DF12 DF13   action codes default, online, denial   tac_default, tac_online, tac_denial
    DF14   DDOL of a card without its own               ddol
    DF15   threshold of the random selection, binary    threshold_fen
    DF16 DF17   largest and plain percentage, BCD       maximum_percent, target_percent
    DF18   online PIN                                   online_pin
    9F1B   floor limit by contacts, binary              terminal_floor_limit_fen
    DF19 DF20 DF21   contactless floor, transaction and CVM limit, n12   floor_limit_fen, transaction_limit_fen, cvm_limit_fen
    9F7B   e-cash limit, n12                            ecash_limit_fen

What a block does not say (kernel, 9F66 ...) comes from the row that is replaced, or from another of the same provider:
`replace`. A key, and its row of `authority`:

    9F06 provider, 9F22 index, DF05 expiry (8 ASCII digits, or 4 bytes BCD), DF06 and DF07 01 (SHA-1, RSA),
    DF02 modulus, DF04 exponent (leading zeros are no part of it), DF03 checksum

Whether a key is a test key no block says: whoever loads it must. Tags that are not in these lists are handed back.

Sources: reference/emv.md c and d; vectors/emv/aid_capk_params.json (fields as reference terminals load them).
"""

from binascii import hexlify, unhexlify

from firmware.emv import authority, tlv
from firmware.emv.settings import Application, SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Extra = list[tuple[int, bytes]]

NAME, INDEX = 0x9F06, 0x9F22
PARTIAL = 1  # value of DF01 for "the beginning is enough"
SHA_1 = RSA = b"\x01"

# tag: (key of the row, form, length or 0 for any)
APPLICATION = (
    (NAME, "aid", "hex", 0),
    (0x9F08, "version", "hex", 2),
    (0x9F09, "version", "hex", 2),
    (0xDF11, "tac_default", "hex", 5),
    (0xDF12, "tac_online", "hex", 5),
    (0xDF13, "tac_denial", "hex", 5),
    (0xDF14, "ddol", "hex", 0),
    (0xDF01, "partial", "flag", 1),
    (0xDF18, "online_pin", "flag", 1),
    (0x9F1B, "terminal_floor_limit_fen", "binary", 4),
    (0xDF15, "threshold_fen", "binary", 4),
    (0xDF16, "maximum_percent", "digits", 1),
    (0xDF17, "target_percent", "digits", 1),
    (0xDF19, "floor_limit_fen", "digits", 6),
    (0xDF20, "transaction_limit_fen", "digits", 6),
    (0xDF21, "cvm_limit_fen", "digits", 6),
    (0x9F7B, "ecash_limit_fen", "digits", 6),
)  # fmt: skip
_BY_TAG = {}
for _row in APPLICATION:
    _BY_TAG[_row[0]] = _row
# What a block never says, so that the row before it has to.
INHERITED = (
    "kernel", "contact", "ttq", "cvm_default", "extended_selection", "zero_amount_allowed", "status_check_fen",
    "device_limit_fen", "tdol",
)  # fmt: skip

EXPIRY, HASH_KIND, KEY_KIND, MODULUS, EXPONENT, CHECKSUM = 0xDF05, 0xDF06, 0xDF07, 0xDF02, 0xDF04, 0xDF03
_KEY_TAGS = (NAME, INDEX, EXPIRY, HASH_KIND, KEY_KIND, MODULUS, EXPONENT, CHECKSUM)

STATUS_LIST, STAMP, MORE = 0xDF26, 0xDF25, 0xDF27


class DownloadError(ValueError):
    """A block that cannot be taken; the text names application or key, and says why."""


def is_key(block: bytes) -> bool:
    """Whether a block is a key's and not an application's. Raises DownloadError for what is no TLV."""
    return any([tag == MODULUS or tag == INDEX for tag, _ in _decode(block)])


def application(block: bytes, partial: int = PARTIAL) -> "tuple[dict[str, Any], Extra]":
    """(row of `settings` with what the block says, objects that are not in the list, in order). Raises DownloadError.

    partial: the value of DF01 that means that a longer name fits, 0 or 1.
    """
    tree = _decode(block)
    row: dict[str, Any] = {}
    extra: Extra = []
    versions: dict[int, str] = {}
    where = "application %s" % _shown(tree)
    for tag, value in tree:
        known = _BY_TAG.get(tag)
        if known is None or isinstance(value, list):
            extra.append((tag, tlv.encode(value) if isinstance(value, list) else value))
            continue
        _, key, form, size = known
        if size and len(value) != size:
            raise DownloadError("%s: %X has %d bytes, not %d" % (where, tag, len(value), size))
        said = _value(value, form, "%s: %X" % (where, tag))
        if key == "partial":
            said = said == (partial == 1)
        if key == "version":
            versions[tag] = said
            continue
        if key in row and row[key] != said:
            raise DownloadError("%s: %X is there twice, and differs" % (where, tag))
        row[key] = said
    if versions:
        row["version"] = versions[0x9F09] if 0x9F09 in versions else versions[0x9F08]
    if not row.get("ddol", "-"):
        row.pop("ddol")
    try:
        Application(row, where)
    except SettingsError as error:
        raise DownloadError(str(error))
    return row, extra


def _value(value: bytes, form: str, where: str) -> "Any":
    if form == "hex":
        return hexlify(value).decode().upper()
    if form == "binary":
        return int.from_bytes(value, "big")
    digits = hexlify(value).decode()
    if form == "digits":
        if not digits.isdigit():
            raise DownloadError("%s is not digits" % where)
        return int(digits)
    if value not in (b"\x00", b"\x01"):
        raise DownloadError("%s is neither 00 nor 01" % where)
    return value == b"\x01"


def application_block(row: "dict[str, Any]", partial: int = PARTIAL) -> bytes:
    """The block of a row; what has no place in one is left out. Raises DownloadError for a row that cannot be used."""
    try:
        Application(row)
    except SettingsError as error:
        raise DownloadError(str(error))
    tree = []
    for tag, key, form, size in APPLICATION:
        said = row.get(key)
        if said is None or said == "" or tag == 0x9F08:
            continue
        if form == "hex":
            tree.append((tag, unhexlify(said)))
        elif form == "flag":
            tree.append((tag, b"\x01" if bool(said) == (key != "partial" or partial == 1) else b"\x00"))
        elif form == "binary":
            tree.append((tag, min(said, 0xFFFFFFFF).to_bytes(size, "big")))
        else:
            tree.append((tag, unhexlify("%0*d" % (2 * size, min(said, 10 ** (2 * size) - 1)))))
    return tlv.encode(tree)


def replace(rows: "list[dict[str, Any]]", row: "dict[str, Any]") -> "list[dict[str, Any]]":
    """The rows with this one in its old place, or at the end. What blocks never say it has from the row of the same name, or
    else from the first row of the same provider."""
    provider = row["aid"][:10].upper()
    old = None
    for known in rows:
        same = known["aid"].upper() == row["aid"].upper()
        if same or (old is None and known["aid"][:10].upper() == provider):
            old = known
        if same:
            break
    whole = {}
    for key in INHERITED:
        if old is not None and key in old:
            whole[key] = old[key]
    whole.update(row)
    kept = []
    placed = False
    for known in rows:
        if known["aid"].upper() != row["aid"].upper():
            kept.append(known)
        elif not placed:
            kept.append(whole)
            placed = True
    return kept if placed else kept + [whole]


def key(block: bytes, kind: str) -> "tuple[dict[str, str], Extra]":
    """(row of `authority`, objects that are not in the list). kind: "test" or "live". Raises DownloadError.

    The checksum is checked: a key that was hurt on its way is refused.
    """
    tree = _decode(block)
    said: dict[int, bytes] = {}
    extra: Extra = []
    where = "key %s" % _shown(tree)
    for tag, value in tree:
        if tag not in _KEY_TAGS:
            extra.append((tag, tlv.encode(value) if isinstance(value, list) else value))
        elif said.get(tag, value) != value:
            raise DownloadError("%s: %X is there twice, and differs" % (where, tag))
        else:
            said[tag] = value
    for tag in (NAME, INDEX, MODULUS, EXPONENT, CHECKSUM):
        if tag not in said:
            raise DownloadError("%s: %X is missing" % (where, tag))
    if said.get(HASH_KIND, SHA_1) != SHA_1 or said.get(KEY_KIND, RSA) != RSA:
        raise DownloadError("%s: no RSA key with a SHA-1 checksum" % where)
    exponent = said[EXPONENT]
    while exponent[:1] == b"\x00":
        exponent = exponent[1:]
    row = {
        "rid": _text(said[NAME]),
        "index": _text(said[INDEX]),
        "modulus": _text(said[MODULUS]),
        "exponent": _text(exponent),
        "expiry": _expiry(said.get(EXPIRY, b""), where),
        "hash": _text(said[CHECKSUM]),
        "kind": kind,
    }
    try:
        authority.key_of(row)
    except authority.AuthorityError as error:
        raise DownloadError(str(error))
    return row, extra


def key_block(row: "dict[str, str]") -> bytes:
    """The block of a key's row, expiry as ASCII. Raises DownloadError for a row that cannot be used."""
    try:
        authority.key_of(row)
    except authority.AuthorityError as error:
        raise DownloadError(str(error))
    tree = [(NAME, unhexlify(row["rid"])), (INDEX, unhexlify(row["index"]))]
    if row.get("expiry"):
        tree.append((EXPIRY, row["expiry"].encode()))
    tree += [(HASH_KIND, SHA_1), (KEY_KIND, RSA), (MODULUS, unhexlify(row["modulus"]))]
    tree += [(EXPONENT, unhexlify(row["exponent"])), (CHECKSUM, unhexlify(row["hash"]))]
    return tlv.encode(tree)


def _expiry(value: bytes, where: str) -> str:
    if not value:
        return ""
    digits = hexlify(value).decode() if len(value) == 4 else "".join([chr(byte) for byte in value])
    if len(digits) != 8 or not all(["0" <= c <= "9" for c in digits]):
        raise DownloadError("%s: DF05 is no date" % where)
    if not 1 <= int(digits[4:6]) <= 12 or not 1 <= int(digits[6:]) <= 31:
        raise DownloadError("%s: DF05 is no date" % where)
    return digits


def status_list(data: bytes) -> "tuple[list[dict[str, str]], bool]":
    """What a host has for the terminal: ([{"name", "index", "stamp", "expiry"}], whether there is more). Raises DownloadError.

    name: an application's, or a key's provider with its index; stamp (DF25) and expiry (DF05) as far as they are told.
    """
    more = False
    inside = b""
    for tag, value in _decode(data):
        if tag == STATUS_LIST and not isinstance(value, list):
            inside += value
        elif tag == MORE:
            more = bool(value) and value != b"\x00"
        elif not isinstance(value, list):
            inside += tlv.encode([(tag, value)])
    entries: list[dict[str, str]] = []
    for tag, value in _decode(inside) if inside else []:
        if tag == NAME:
            entries.append({"name": _text(value), "index": "", "stamp": "", "expiry": ""})
        elif not entries:
            raise DownloadError("list: it does not begin with a name")
        elif tag == INDEX:
            entries[-1]["index"] = _text(value)
        elif tag == STAMP:
            entries[-1]["stamp"] = _text(value)
        elif tag == EXPIRY:
            entries[-1]["expiry"] = _expiry(value, "list")
    return entries, more


def _decode(block: bytes) -> "tlv.Tree":
    try:
        tree = tlv.decode(block)
    except tlv.TlvError as error:
        raise DownloadError("block: %s" % error)
    if not tree:
        raise DownloadError("block: empty")
    return tree


def _shown(tree: "tlv.Tree") -> str:
    """Name and index, for an error."""
    parts = [_text(value) for tag, value in tree if tag in (NAME, INDEX) and not isinstance(value, list) and len(value) <= 16]
    return " ".join(parts[:2]) or "without name"


def _text(value: bytes) -> str:
    return hexlify(value).decode().upper()
