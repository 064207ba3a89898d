"""What tags mean: name, format, who it comes from, where it lies, and how to show it without a secret.

Formats are those of EMV Book 3, 4.3: a, an, ans text; n digits filled on the left; cn digits filled on the right
with F; b binary; "" a template. `describe` shows an object with the first six and last four digits of a card number
and nothing of a track, a name, a PIN or a certificate that carries the number. An unknown object is shown only
while it is too short to hold a card number. What its bits mean is the business of `meanings`.

M/Chip has meanings of its own for some tags that UnionPay and Visa share: FOREIGN. Who takes a scheme ("unionpay",
"visa", "mastercard", "" for unknown) gets its names and formats; `scheme_of` tells it from the application's name.

Sources: EMV Book 3, Annexes A and B; EMV Book B; PBOC 3.0 parts 5 and 12 (tags of e-cash and qPBOC); M/Chip: EMV Book C-2,
Annex A, as far as public decoders name it.
"""

from binascii import hexlify

from firmware.emv import tlv

CARD, TERMINAL, ISSUER = "card", "terminal", "issuer"

TAGS = (
    (0x42, "Issuer Identification Number", "n", CARD),
    (0x4F, "Application Identifier (ADF Name)", "b", CARD),
    (0x50, "Application Label", "ans", CARD),
    (0x56, "Track 1 Data", "ans", CARD),
    (0x57, "Track 2 Equivalent Data", "b", CARD),
    (0x5A, "Application PAN", "cn", CARD),
    (0x61, "Application Template", "", CARD),
    (0x6F, "File Control Information", "", CARD),
    (0x70, "Record", "", CARD),
    (0x71, "Issuer Script Template 1", "", ISSUER),
    (0x72, "Issuer Script Template 2", "", ISSUER),
    (0x73, "Directory Discretionary Template", "", CARD),
    (0x77, "Response Message Template 2", "", CARD),
    (0x80, "Response Message Template 1", "b", CARD),
    (0x81, "Amount, Authorised (Binary)", "b", TERMINAL),
    (0x82, "Application Interchange Profile", "b", CARD),
    (0x83, "Command Template", "b", TERMINAL),
    (0x84, "Dedicated File Name", "b", CARD),
    (0x86, "Issuer Script Command", "b", ISSUER),
    (0x87, "Application Priority Indicator", "b", CARD),
    (0x88, "Short File Identifier", "b", CARD),
    (0x89, "Authorisation Code", "ans", ISSUER),
    (0x8A, "Authorisation Response Code", "an", ISSUER),
    (0x8C, "Card Risk Management DOL 1", "b", CARD),
    (0x8D, "Card Risk Management DOL 2", "b", CARD),
    (0x8E, "CVM List", "b", CARD),
    (0x8F, "Certification Authority Public Key Index", "b", CARD),
    (0x90, "Issuer Public Key Certificate", "b", CARD),
    (0x91, "Issuer Authentication Data", "b", ISSUER),
    (0x92, "Issuer Public Key Remainder", "b", CARD),
    (0x93, "Signed Static Application Data", "b", CARD),
    (0x94, "Application File Locator", "b", CARD),
    (0x95, "Terminal Verification Results", "b", TERMINAL),
    (0x97, "Transaction Certificate DOL", "b", CARD),
    (0x98, "TC Hash Value", "b", TERMINAL),
    (0x99, "Transaction PIN Data", "b", TERMINAL),
    (0x9A, "Transaction Date", "n", TERMINAL),
    (0x9B, "Transaction Status Information", "b", TERMINAL),
    (0x9C, "Transaction Type", "n", TERMINAL),
    (0x9D, "Directory Definition File Name", "b", CARD),
    (0xA5, "FCI Proprietary Template", "", CARD),
    (0x5F20, "Cardholder Name", "ans", CARD),
    (0x5F24, "Application Expiration Date", "n", CARD),
    (0x5F25, "Application Effective Date", "n", CARD),
    (0x5F28, "Issuer Country Code", "n", CARD),
    (0x5F2A, "Transaction Currency Code", "n", TERMINAL),
    (0x5F2D, "Language Preference", "an", CARD),
    (0x5F30, "Service Code", "n", CARD),
    (0x5F34, "PAN Sequence Number", "n", CARD),
    (0x5F36, "Transaction Currency Exponent", "n", TERMINAL),
    (0x5F50, "Issuer URL", "ans", CARD),
    (0x5F53, "International Bank Account Number", "ans", CARD),
    (0x5F54, "Bank Identifier Code", "ans", CARD),
    (0x5F55, "Issuer Country Code (two letters)", "a", CARD),
    (0x5F56, "Issuer Country Code (three letters)", "a", CARD),
    (0x5F57, "Account Type", "n", TERMINAL),
    (0x9F01, "Acquirer Identifier", "n", TERMINAL),
    (0x9F02, "Amount, Authorised", "n", TERMINAL),
    (0x9F03, "Amount, Other", "n", TERMINAL),
    (0x9F04, "Amount, Other (Binary)", "b", TERMINAL),
    (0x9F05, "Application Discretionary Data", "b", CARD),
    (0x9F06, "Application Identifier of the terminal", "b", TERMINAL),
    (0x9F07, "Application Usage Control", "b", CARD),
    (0x9F08, "Application Version Number of the card", "b", CARD),
    (0x9F09, "Application Version Number of the terminal", "b", TERMINAL),
    (0x9F0A, "Application Selection Registered Data", "b", CARD),
    (0x9F0B, "Cardholder Name Extended", "ans", CARD),
    (0x9F0D, "Issuer Action Code, Default", "b", CARD),
    (0x9F0E, "Issuer Action Code, Denial", "b", CARD),
    (0x9F0F, "Issuer Action Code, Online", "b", CARD),
    (0x9F10, "Issuer Application Data", "b", CARD),
    (0x9F11, "Issuer Code Table Index", "n", CARD),
    (0x9F12, "Application Preferred Name", "ans", CARD),
    (0x9F13, "Last Online ATC Register", "b", CARD),
    (0x9F14, "Lower Consecutive Offline Limit", "b", CARD),
    (0x9F15, "Merchant Category Code", "n", TERMINAL),
    (0x9F16, "Merchant Identifier", "ans", TERMINAL),
    (0x9F17, "PIN Try Counter", "b", CARD),
    (0x9F18, "Issuer Script Identifier", "b", ISSUER),
    (0x9F19, "Token Requestor Identifier", "n", CARD),
    (0x9F1A, "Terminal Country Code", "n", TERMINAL),
    (0x9F1B, "Terminal Floor Limit", "b", TERMINAL),
    (0x9F1C, "Terminal Identification", "an", TERMINAL),
    (0x9F1D, "Terminal Risk Management Data", "b", TERMINAL),
    (0x9F1E, "Interface Device Serial Number", "an", TERMINAL),
    (0x9F1F, "Track 1 Discretionary Data", "ans", CARD),
    (0x9F20, "Track 2 Discretionary Data", "cn", CARD),
    (0x9F21, "Transaction Time", "n", TERMINAL),
    (0x9F22, "CA Public Key Index of the terminal", "b", TERMINAL),
    (0x9F23, "Upper Consecutive Offline Limit", "b", CARD),
    (0x9F24, "Payment Account Reference", "an", CARD),
    (0x9F26, "Application Cryptogram", "b", CARD),
    (0x9F27, "Cryptogram Information Data", "b", CARD),
    (0x9F29, "Extended Selection", "b", CARD),
    (0x9F2A, "Kernel Identifier", "b", CARD),
    (0x9F2D, "ICC PIN Encipherment Public Key Certificate", "b", CARD),
    (0x9F2E, "ICC PIN Encipherment Public Key Exponent", "b", CARD),
    (0x9F2F, "ICC PIN Encipherment Public Key Remainder", "b", CARD),
    (0x9F32, "Issuer Public Key Exponent", "b", CARD),
    (0x9F33, "Terminal Capabilities", "b", TERMINAL),
    (0x9F34, "CVM Results", "b", TERMINAL),
    (0x9F35, "Terminal Type", "n", TERMINAL),
    (0x9F36, "Application Transaction Counter", "b", CARD),
    (0x9F37, "Unpredictable Number", "b", TERMINAL),
    (0x9F38, "Processing Options DOL", "b", CARD),
    (0x9F39, "POS Entry Mode", "n", TERMINAL),
    (0x9F3A, "Amount, Reference Currency", "b", TERMINAL),
    (0x9F3B, "Application Reference Currency", "n", CARD),
    (0x9F3C, "Transaction Reference Currency Code", "n", TERMINAL),
    (0x9F3D, "Transaction Reference Currency Exponent", "n", TERMINAL),
    (0x9F40, "Additional Terminal Capabilities", "b", TERMINAL),
    (0x9F41, "Transaction Sequence Counter", "n", TERMINAL),
    (0x9F42, "Application Currency Code", "n", CARD),
    (0x9F43, "Application Reference Currency Exponent", "n", CARD),
    (0x9F44, "Application Currency Exponent", "n", CARD),
    (0x9F45, "Data Authentication Code", "b", CARD),
    (0x9F46, "ICC Public Key Certificate", "b", CARD),
    (0x9F47, "ICC Public Key Exponent", "b", CARD),
    (0x9F48, "ICC Public Key Remainder", "b", CARD),
    (0x9F49, "Dynamic Data Authentication DOL", "b", CARD),
    (0x9F4A, "Static Data Authentication Tag List", "b", CARD),
    (0x9F4B, "Signed Dynamic Application Data", "b", CARD),
    (0x9F4C, "ICC Dynamic Number", "b", CARD),
    (0x9F4D, "Log Entry", "b", CARD),
    (0x9F4E, "Merchant Name and Location", "ans", TERMINAL),
    (0x9F4F, "Log Format", "b", CARD),
    (0x9F50, "Offline Accumulator Balance", "n", CARD),
    (0x9F51, "Application Currency Code (risk)", "n", CARD),
    (0x9F52, "Application Default Action", "b", CARD),
    (0x9F53, "Consecutive International Limit", "b", CARD),
    (0x9F54, "Cumulative Total Amount Limit", "n", CARD),
    (0x9F56, "Issuer Authentication Indicator", "b", CARD),
    (0x9F57, "Issuer Country Code (risk)", "n", CARD),
    (0x9F58, "Consecutive Offline Lower Limit", "b", CARD),
    (0x9F59, "Consecutive Offline Upper Limit", "b", CARD),
    (0x9F5A, "Application Program Identifier", "b", CARD),
    (0x9F5B, "Issuer Script Results of the chip", "b", TERMINAL),
    (0x9F5C, "Cumulative Total Amount Upper Limit", "n", CARD),
    (0x9F5D, "Available Offline Spending Amount", "n", CARD),
    (0x9F61, "Cardholder Identity Number", "ans", CARD),
    (0x9F62, "Cardholder Identity Type", "n", CARD),
    (0x9F63, "Product Identification Information", "b", CARD),
    (0x9F64, "NATC of Track 1", "b", CARD),
    (0x9F65, "PCVC3 of Track 2", "b", CARD),
    (0x9F66, "Terminal Transaction Qualifiers", "b", TERMINAL),
    (0x9F67, "NATC of Track 2", "b", CARD),
    (0x9F68, "Card Additional Processes", "b", CARD),
    (0x9F69, "Card Authentication Related Data", "b", CARD),
    (0x9F6A, "Unpredictable Number (Numeric)", "n", TERMINAL),
    (0x9F6B, "Track 2 Data", "b", CARD),
    (0x9F6C, "Card Transaction Qualifiers", "b", CARD),
    (0x9F6D, "E-Cash Reset Threshold", "n", CARD),
    (0x9F6E, "Form Factor Indicator", "b", CARD),
    (0x9F74, "E-Cash Issuer Authorisation Code", "an", CARD),
    (0x9F77, "E-Cash Balance Limit", "n", CARD),
    (0x9F78, "E-Cash Single Transaction Limit", "n", CARD),
    (0x9F79, "E-Cash Balance", "n", CARD),
    (0x9F7A, "E-Cash Terminal Support Indicator", "n", TERMINAL),
    (0x9F7B, "E-Cash Terminal Transaction Limit", "n", TERMINAL),
    (0x9F7C, "Customer Exclusive Data", "b", CARD),
    (0x9F7D, "Application Specification Version", "b", CARD),
    (0x9F7E, "Mobile Support Indicator", "b", TERMINAL),
    (0xBF0C, "FCI Issuer Discretionary Data", "", CARD),
    (0xDF31, "Issuer Script Results", "b", TERMINAL),
    (0xDF4B, "POS Cardholder Interaction Information", "b", CARD),
    (0xDF4D, "E-Cash Log Entry", "b", CARD),
    (0xDF60, "Extended Application Indicator", "b", TERMINAL),
    (0xDF69, "SM Algorithm Support Indicator", "b", TERMINAL),
)

# Of M/Chip.
FOREIGN = {
    "mastercard": (
        (0x9F50, "Offline Accumulator Balance", "n", CARD),
        (0x9F51, "DRDOL", "b", CARD),
        (0x9F53, "Transaction Category Code", "an", TERMINAL),
        (0x9F54, "DS ODS Card", "b", CARD),
        (0x9F5B, "DSDOL", "b", CARD),
        (0x9F5C, "DS Requested Operator ID", "b", TERMINAL),
        (0x9F5D, "Application Capabilities Information", "b", CARD),
        (0x9F60, "CVC3 of Track 1", "b", CARD),
        (0x9F61, "CVC3 of Track 2", "b", CARD),
        (0x9F62, "PCVC3 of Track 1", "b", CARD),
        (0x9F63, "PUNATC of Track 1", "b", CARD),
        (0x9F66, "PUNATC of Track 2", "b", CARD),
        (0x9F69, "UDOL", "b", CARD),
        (0x9F6C, "Mag-stripe Application Version Number of the card", "b", CARD),
        (0x9F6D, "Mag-stripe Application Version Number of the terminal", "b", TERMINAL),
        (0x9F6E, "Third Party Data", "b", CARD),
        (0x9F7C, "Merchant Custom Data", "b", TERMINAL),
    ),
}

# Registered application providers.
SCHEMES = {
    "A000000333": "unionpay",
    "A000000003": "visa",
    "A000000004": "mastercard",
    "A000000025": "amex",
    "A000000065": "jcb",
    "A000000152": "discover",
    "A000000324": "discover",
}

# template: what EMV puts there. An object that is nowhere here is in a record (70) or in an answer (77), as the card likes.
TEMPLATES = {
    0x61: (0x4F, 0x50, 0x87, 0x73, 0x9D, 0x9F12, 0x9F0A, 0x9F29, 0x9F2A),
    0x6F: (0x84, 0xA5),
    0xA5: (0x50, 0x87, 0x88, 0x5F2D, 0x9F11, 0x9F12, 0x9F38, 0xBF0C),
    0xBF0C: (0x61, 0x9F4D, 0x9F4F, 0x5F50, 0x5F53, 0x5F54, 0x5F55, 0x5F56, 0x42, 0x9F0A, 0x9F5A, 0xDF4D),
    0x71: (0x86, 0x9F18),
    0x72: (0x86, 0x9F18),
    0x77: (0x82, 0x94, 0x9F26, 0x9F27, 0x9F36, 0x9F10, 0x9F4B, 0x9F6C, 0x57, 0x5F34, 0x9F5D),
    0x80: (0x82, 0x94, 0x9F26, 0x9F27, 0x9F36, 0x9F10, 0x9F4B),
}  # fmt: skip

# Of these only the first six and last four digits of the number are shown.
NUMBERS = (0x5A, 0x57, 0x9F6B)
# Of these only the length is shown. The two certificates give the card number to everybody who has the public keys.
SECRETS = (
    0x56, 0x5F20, 0x5F53, 0x86, 0x99, 0x9F05, 0x9F0B, 0x9F1F, 0x9F20, 0x9F24, 0x9F2D, 0x9F46, 0x9F61, 0x9F7C,
)  # fmt: skip
MAX_UNKNOWN = 5  # bytes: ten digits are no card number

_ROWS = {}
for _row in TAGS:
    _ROWS[_row[0]] = _row
_FOREIGN = {}
for _scheme in FOREIGN:
    for _row in FOREIGN[_scheme]:
        _FOREIGN[_scheme, _row[0]] = _row
_UNKNOWN = (0, "unknown", "b", "unknown")


def _row_of(tag: int, scheme: str) -> "tuple[int, str, str, str]":
    return _FOREIGN.get((scheme, tag)) or _ROWS.get(tag, _UNKNOWN)


def name_of(tag: int, scheme: str = "") -> str:
    """The name, or "unknown"."""
    return _row_of(tag, scheme)[1]


def format_of(tag: int, scheme: str = "") -> str:
    """The format; "b" for an unknown tag."""
    return _row_of(tag, scheme)[2]


def source_of(tag: int, scheme: str = "") -> str:
    """One of "card", "terminal", "issuer", "unknown"."""
    return _row_of(tag, scheme)[3]


def templates_of(tag: int) -> "list[int]":
    """The templates in which the object may lie, 70 and 77 for a card's that is in no other."""
    found = [template for template in sorted(TEMPLATES) if tag in TEMPLATES[template]]
    return found or ([0x70, 0x77] if source_of(tag) == CARD and not is_constructed(tag) else [])


def scheme_of(aid: bytes) -> str:
    """The scheme of an application's name, "" for an unknown one."""
    return SCHEMES.get(hexlify(aid[:5]).decode().upper(), "")


def is_constructed(tag: int) -> bool:
    """Whether the tag's first byte says that it holds objects."""
    while tag > 0xFF:
        tag >>= 8
    return bool(tag & 0x20)


def words(tag: int, value: bytes, scheme: str = "") -> "list[str]":
    """What a value means, in words; [] where nothing is known."""
    from firmware.emv import meanings  # long tables, for people: a payment needs none of them

    return meanings.words(tag, value, scheme)


def mask_digits(digits: str) -> str:
    """A card number with its first six and last four digits; stars alone where that would be more than half of it."""
    if len(digits) < 13:
        return "*" * len(digits)
    return digits[:6] + "*" * (len(digits) - 10) + digits[-4:]


def show(tag: int, value: bytes, scheme: str = "") -> str:
    """A primitive value, masked."""
    digits = hexlify(value).decode().upper()
    if tag in NUMBERS:
        number = digits.split("D")[0].rstrip("F")
        # What is no card number may be a track whose separator is lost: its last digits are not the number's.
        return mask_digits(number) if len(number) < 20 and number.isdigit() else "(%d bytes)" % len(value)
    if tag in SECRETS or (tag not in _ROWS and (scheme, tag) not in _FOREIGN and len(value) > MAX_UNKNOWN):
        return "(%d bytes)" % len(value)
    if format_of(tag, scheme) in ("a", "an", "ans"):
        return text(value)
    return digits


def text(value: bytes) -> str:
    """The printable ASCII of a text object; a card cannot put a control character on a screen or a slip."""
    return "".join([chr(byte) for byte in value if 32 <= byte < 127])


def describe(data: "bytes | tlv.Tree", scheme: str = "") -> "list[str]":
    """Lines that show a TLV string, or a decoded tree, one object a line, masked. Raises TlvError.

    scheme: whose tags these are; "" to tell it from the application's name in the data.
    """
    tree = tlv.decode(data) if isinstance(data, (bytes, bytearray)) else data
    lines: list[str] = []
    _describe(tree, "", scheme or _scheme_in(tree), lines)
    return lines


def _scheme_in(tree: "tlv.Tree") -> str:
    for tag, value in tlv.primitives(tree):
        if tag in (0x4F, 0x84, 0x9F06) and scheme_of(value):
            return scheme_of(value)
    return ""


def _describe(tree: "tlv.Tree", indent: str, scheme: str, lines: "list[str]") -> None:
    for tag, value in tree:
        head = "%s%X %s" % (indent, tag, name_of(tag, scheme))
        if isinstance(value, list):
            lines.append(head)
            _describe(value, indent + "  ", scheme, lines)
            continue
        if tag == 0x80 and len(value) > 2:  # AIP and file locator, or a cryptogram: no card number in either
            head += ", format 1"
        said = words(tag, value, scheme)
        lines.append("%s: %s%s" % (head, show(tag, value, scheme), " (" + ", ".join(said) + ")" if said else ""))
