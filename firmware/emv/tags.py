"""What tags mean: name, format, who it comes from, its bits in words, and how to show it without a secret.

Formats are those of EMV Book 3, 4.3: a, an, ans text; n digits filled on the left; cn digits filled on the right
with F; b binary; "" a template. `describe` shows an object with the first six and last four digits of a card number
and nothing of a track, a name, a PIN or a certificate that carries the number. An unknown object is shown only
while it is too short to hold a card number.

Sources: EMV Book 3, Annexes A to C; EMV Book B; PBOC 3.0 parts 5 and 12 (tags of e-cash and qPBOC, CTQ and TTQ).
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
    (0x5F20, "Cardholder Name", "ans", CARD),
    (0x5F24, "Application Expiration Date", "n", CARD),
    (0x5F25, "Application Effective Date", "n", CARD),
    (0x5F28, "Issuer Country Code", "n", CARD),
    (0x5F2A, "Transaction Currency Code", "n", TERMINAL),
    (0x5F2D, "Language Preference", "an", CARD),
    (0x5F30, "Service Code", "n", CARD),
    (0x5F34, "PAN Sequence Number", "n", CARD),
    (0x5F36, "Transaction Currency Exponent", "n", TERMINAL),
    (0x61, "Application Template", "", CARD),
    (0x6F, "File Control Information", "", CARD),
    (0x70, "Record", "", CARD),
    (0x71, "Issuer Script Template 1", "", ISSUER),
    (0x72, "Issuer Script Template 2", "", ISSUER),
    (0x77, "Response Message Template 2", "", CARD),
    (0x80, "Response Message Template 1", "b", CARD),
    (0x81, "Amount, Authorised (Binary)", "b", TERMINAL),
    (0x82, "Application Interchange Profile", "b", CARD),
    (0x83, "Command Template", "b", TERMINAL),
    (0x84, "Dedicated File Name", "b", CARD),
    (0x86, "Issuer Script Command", "b", ISSUER),
    (0x87, "Application Priority Indicator", "b", CARD),
    (0x88, "Short File Identifier", "b", CARD),
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
    (0x99, "Transaction PIN Data", "b", TERMINAL),
    (0x9A, "Transaction Date", "n", TERMINAL),
    (0x9B, "Transaction Status Information", "b", TERMINAL),
    (0x9C, "Transaction Type", "n", TERMINAL),
    (0x9F01, "Acquirer Identifier", "n", TERMINAL),
    (0x9F02, "Amount, Authorised", "n", TERMINAL),
    (0x9F03, "Amount, Other", "n", TERMINAL),
    (0x9F04, "Amount, Other (Binary)", "b", TERMINAL),
    (0x9F06, "Application Identifier of the terminal", "b", TERMINAL),
    (0x9F07, "Application Usage Control", "b", CARD),
    (0x9F08, "Application Version Number of the card", "b", CARD),
    (0x9F09, "Application Version Number of the terminal", "b", TERMINAL),
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
    (0x9F19, "Token Requestor Identifier", "n", CARD),
    (0x9F1A, "Terminal Country Code", "n", TERMINAL),
    (0x9F1B, "Terminal Floor Limit", "b", TERMINAL),
    (0x9F1C, "Terminal Identification", "an", TERMINAL),
    (0x9F1E, "Interface Device Serial Number", "an", TERMINAL),
    (0x9F1F, "Track 1 Discretionary Data", "ans", CARD),
    (0x9F20, "Track 2 Discretionary Data", "cn", CARD),
    (0x9F21, "Transaction Time", "n", TERMINAL),
    (0x9F23, "Upper Consecutive Offline Limit", "b", CARD),
    (0x9F24, "Payment Account Reference", "an", CARD),
    (0x9F26, "Application Cryptogram", "b", CARD),
    (0x9F27, "Cryptogram Information Data", "b", CARD),
    (0x9F29, "Extended Selection", "b", CARD),
    (0x9F2A, "Kernel Identifier", "b", CARD),
    (0x9F2D, "ICC PIN Encipherment Public Key Certificate", "b", CARD),
    (0x9F32, "Issuer Public Key Exponent", "b", CARD),
    (0x9F33, "Terminal Capabilities", "b", TERMINAL),
    (0x9F34, "CVM Results", "b", TERMINAL),
    (0x9F35, "Terminal Type", "n", TERMINAL),
    (0x9F36, "Application Transaction Counter", "b", CARD),
    (0x9F37, "Unpredictable Number", "b", TERMINAL),
    (0x9F38, "Processing Options DOL", "b", CARD),
    (0x9F39, "POS Entry Mode", "n", TERMINAL),
    (0x9F40, "Additional Terminal Capabilities", "b", TERMINAL),
    (0x9F41, "Transaction Sequence Counter", "n", TERMINAL),
    (0x9F42, "Application Currency Code", "n", CARD),
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
    (0x9F5D, "Available Offline Spending Amount", "n", CARD),
    (0x9F61, "Cardholder Identity Number", "ans", CARD),
    (0x9F62, "Cardholder Identity Type", "n", CARD),
    (0x9F63, "Product Identification Information", "b", CARD),
    (0x9F66, "Terminal Transaction Qualifiers", "b", TERMINAL),
    (0x9F69, "Card Authentication Related Data", "b", CARD),
    (0x9F6B, "Track 2 Data", "b", CARD),
    (0x9F6C, "Card Transaction Qualifiers", "b", CARD),
    (0x9F74, "E-Cash Issuer Authorisation Code", "an", CARD),
    (0x9F77, "E-Cash Balance Limit", "n", CARD),
    (0x9F78, "E-Cash Single Transaction Limit", "n", CARD),
    (0x9F79, "E-Cash Balance", "n", CARD),
    (0x9F7A, "E-Cash Terminal Support Indicator", "n", TERMINAL),
    (0x9F7B, "E-Cash Terminal Transaction Limit", "n", TERMINAL),
    (0xA5, "FCI Proprietary Template", "", CARD),
    (0xBF0C, "FCI Issuer Discretionary Data", "", CARD),
    (0xDF31, "Issuer Script Results", "b", TERMINAL),
    (0xDF60, "Extended Application Indicator", "b", TERMINAL),
    (0xDF69, "SM Algorithm Support Indicator", "b", TERMINAL),
)

# Of these only the first six and last four digits of the number are shown.
NUMBERS = (0x5A, 0x57, 0x9F6B)
# Of these only the length is shown. The two certificates give the card number to everybody who has the public keys.
SECRETS = (0x56, 0x5F20, 0x86, 0x99, 0x9F0B, 0x9F1F, 0x9F20, 0x9F24, 0x9F2D, 0x9F46, 0x9F61)
MAX_UNKNOWN = 5  # bytes: ten digits are no card number

# tag: ((byte from 1, mask, words), ...)
BITS = {
    0x95: (
        (1, 0x80, "offline data authentication not performed"),
        (1, 0x40, "static data authentication failed"),
        (1, 0x20, "card data missing"),
        (1, 0x10, "card on the exception file"),
        (1, 0x08, "dynamic data authentication failed"),
        (1, 0x04, "combined data authentication failed"),
        (1, 0x02, "static data authentication selected"),
        (1, 0x01, "extended data authentication selected"),
        (2, 0x80, "application versions differ"),
        (2, 0x40, "application expired"),
        (2, 0x20, "application not yet effective"),
        (2, 0x10, "service not allowed"),
        (2, 0x08, "new card"),
        (3, 0x80, "cardholder verification not successful"),
        (3, 0x40, "unrecognised verification method"),
        (3, 0x20, "PIN try limit exceeded"),
        (3, 0x10, "PIN pad absent or broken"),
        (3, 0x08, "PIN not entered"),
        (3, 0x04, "online PIN entered"),
        (4, 0x80, "floor limit exceeded"),
        (4, 0x40, "lower consecutive offline limit exceeded"),
        (4, 0x20, "upper consecutive offline limit exceeded"),
        (4, 0x10, "selected at random for online"),
        (4, 0x08, "merchant forced online"),
        (5, 0x80, "default TDOL used"),
        (5, 0x40, "issuer authentication failed"),
        (5, 0x20, "script failed before the last cryptogram"),
        (5, 0x10, "script failed after the last cryptogram"),
    ),
    0x9B: (
        (1, 0x80, "offline data authentication performed"),
        (1, 0x40, "cardholder verification performed"),
        (1, 0x20, "card risk management performed"),
        (1, 0x10, "issuer authentication performed"),
        (1, 0x08, "terminal risk management performed"),
        (1, 0x04, "script processing performed"),
    ),
    0x82: (
        (1, 0x40, "SDA"),
        (1, 0x20, "DDA"),
        (1, 0x10, "cardholder verification"),
        (1, 0x08, "terminal risk management"),
        (1, 0x04, "issuer authentication"),
        (1, 0x02, "on-device verification"),
        (1, 0x01, "CDA"),
        (2, 0x80, "EMV mode over contactless"),
        (2, 0x01, "relay resistance"),
    ),
    0x9F33: (
        (1, 0x80, "manual key entry"),
        (1, 0x40, "magnetic stripe"),
        (1, 0x20, "chip with contacts"),
        (2, 0x80, "plaintext offline PIN"),
        (2, 0x40, "online PIN"),
        (2, 0x20, "signature"),
        (2, 0x10, "enciphered offline PIN"),
        (2, 0x08, "no verification"),
        (2, 0x01, "identity document"),
        (3, 0x80, "SDA"),
        (3, 0x40, "DDA"),
        (3, 0x20, "card capture"),
        (3, 0x08, "CDA"),
    ),
    0x9F66: (
        (1, 0x80, "magnetic stripe mode"),
        (1, 0x40, "full debit/credit over contactless"),
        (1, 0x20, "qPBOC/qVSDC"),
        (1, 0x10, "chip with contacts"),
        (1, 0x08, "offline only"),
        (1, 0x04, "online PIN"),
        (1, 0x02, "signature"),
        (1, 0x01, "data authentication for online"),
        (2, 0x80, "online cryptogram required"),
        (2, 0x40, "cardholder verification required"),
        (2, 0x20, "offline PIN with contacts"),
        (3, 0x80, "issuer update"),
        (3, 0x40, "on-device verification"),
        (4, 0x80, "fDDA version 01"),
    ),
    0x9F6C: (
        (1, 0x80, "online PIN required"),
        (1, 0x40, "signature required"),
        (1, 0x20, "authentication failed: go online"),
        (1, 0x10, "authentication failed: try another interface"),
        (1, 0x08, "expired: go online"),
        (1, 0x04, "no cash"),
        (1, 0x02, "no cashback"),
        (2, 0x80, "on-device verification performed"),
        (2, 0x40, "issuer update"),
    ),
}  # fmt: skip

CRYPTOGRAMS = ("AAC (declined)", "TC (approved offline)", "ARQC (go online)", "RFU")

METHODS = {
    0x00: "fail",
    0x01: "plaintext offline PIN",
    0x02: "online PIN",
    0x03: "plaintext offline PIN and signature",
    0x04: "enciphered offline PIN",
    0x05: "enciphered offline PIN and signature",
    0x1E: "signature",
    0x1F: "no verification",
    0x20: "identity document",
    0x3F: "none performed",
}
RESULTS = ("result unknown", "failed", "successful")

_ROWS = {}
for _row in TAGS:
    _ROWS[_row[0]] = _row


def name_of(tag: int) -> str:
    """The name, or "unknown"."""
    return _ROWS[tag][1] if tag in _ROWS else "unknown"


def format_of(tag: int) -> str:
    """The format; "b" for an unknown tag."""
    return _ROWS[tag][2] if tag in _ROWS else "b"


def source_of(tag: int) -> str:
    """One of "card", "terminal", "issuer", "unknown"."""
    return _ROWS[tag][3] if tag in _ROWS else "unknown"


def is_constructed(tag: int) -> bool:
    """Whether the tag's first byte says that it holds objects."""
    while tag > 0xFF:
        tag >>= 8
    return bool(tag & 0x20)


def words(tag: int, value: bytes) -> "list[str]":
    """The bits that are set, in words; [] where the tag has none that are known."""
    if tag == 0x9F27 and len(value) == 1:
        return [CRYPTOGRAMS[value[0] >> 6]]
    if tag == 0x9F34 and len(value) == 3:
        result = RESULTS[value[2]] if value[2] < len(RESULTS) else "RFU"
        return [METHODS.get(value[0] & 0x3F, "unknown method"), "condition %02X" % value[1], result]
    return [text for byte, mask, text in BITS.get(tag, ()) if byte <= len(value) and value[byte - 1] & mask]


def mask_digits(digits: str) -> str:
    """A card number with its first six and last four digits; stars alone where that would be more than half of it."""
    if len(digits) < 13:
        return "*" * len(digits)
    return digits[:6] + "*" * (len(digits) - 10) + digits[-4:]


def show(tag: int, value: bytes) -> str:
    """A primitive value, masked."""
    digits = hexlify(value).decode().upper()
    if tag in NUMBERS:
        return mask_digits(digits.split("D")[0].rstrip("F"))
    if tag in SECRETS or (tag not in _ROWS and len(value) > MAX_UNKNOWN):
        return "(%d bytes)" % len(value)
    if format_of(tag) in ("a", "an", "ans"):
        return text(value)
    return digits


def text(value: bytes) -> str:
    """The printable ASCII of a text object; a card cannot put a control character on a screen or a slip."""
    return "".join([chr(byte) for byte in value if 32 <= byte < 127])


def describe(data: "bytes | tlv.Tree") -> "list[str]":
    """Lines that show a TLV string, or a decoded tree, one object a line, masked. Raises TlvError."""
    lines: list[str] = []
    _describe(tlv.decode(data) if isinstance(data, (bytes, bytearray)) else data, "", lines)
    return lines


def _describe(tree: "tlv.Tree", indent: str, lines: "list[str]") -> None:
    for tag, value in tree:
        head = "%s%X %s" % (indent, tag, name_of(tag))
        if isinstance(value, list):
            lines.append(head)
            _describe(value, indent + "  ", lines)
            continue
        if tag == 0x80 and len(value) > 2:  # AIP and file locator, or a cryptogram: no card number in either
            head += ", format 1"
        said = words(tag, value)
        lines.append("%s: %s%s" % (head, show(tag, value), " (" + ", ".join(said) + ")" if said else ""))
