"""What the bits and codes inside a data object mean, in words, for whoever reads a slip, a log or a decoder's output.

`words` looks, in this order: at an object with a structure of its own (READERS), at its bits (BITS), at its code (CODES).
Where a scheme gives a tag of its own meaning, `scheme` ("unionpay", "visa", "mastercard") says whose it is.

Bits are named by byte (from 1) and mask. Bits without a name are RFU or an issuer's own: nothing is said of them.

Sources: EMV Book 3, Annex C and 10.2, Book 4, Annex A; EMV Book B (9F29, 9F2A); PBOC 3.0 parts 5, 12 (9F66, 9F6C, 9F10);
ISO 4217, ISO 3166. Card verification results inside 9F10 are the payment systems' own: Visa's and UnionPay's have the same
bits in the bytes that are shown; M/Chip's are those of M/Chip 4 and Advance. reference/emv.md e: not verified for every profile.
"""

from firmware import stripe

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
        (5, 0x08, "relay resistance threshold exceeded"),
        (5, 0x04, "relay resistance time limits exceeded"),
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
    0x9F07: (
        (1, 0x80, "domestic cash"),
        (1, 0x40, "international cash"),
        (1, 0x20, "domestic goods"),
        (1, 0x10, "international goods"),
        (1, 0x08, "domestic services"),
        (1, 0x04, "international services"),
        (1, 0x02, "at ATMs"),
        (1, 0x01, "at terminals other than ATMs"),
        (2, 0x80, "domestic cashback"),
        (2, 0x40, "international cashback"),
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
    0x9F40: (
        (1, 0x80, "cash"),
        (1, 0x40, "goods"),
        (1, 0x20, "services"),
        (1, 0x10, "cashback"),
        (1, 0x08, "inquiry"),
        (1, 0x04, "transfer"),
        (1, 0x02, "payment"),
        (1, 0x01, "administrative"),
        (2, 0x80, "cash deposit"),
        (3, 0x80, "numeric keys"),
        (3, 0x40, "letter keys"),
        (3, 0x20, "command keys"),
        (3, 0x10, "function keys"),
        (4, 0x80, "prints for the attendant"),
        (4, 0x40, "prints for the holder"),
        (4, 0x20, "display for the attendant"),
        (4, 0x10, "display for the holder"),
        (4, 0x02, "code table 10"),
        (4, 0x01, "code table 9"),
        (5, 0x80, "code table 8"),
        (5, 0x40, "code table 7"),
        (5, 0x20, "code table 6"),
        (5, 0x10, "code table 5"),
        (5, 0x08, "code table 4"),
        (5, 0x04, "code table 3"),
        (5, 0x02, "code table 2"),
        (5, 0x01, "code table 1"),
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
# Low three bits of 9F27.
CRYPTOGRAM_REASONS = {1: "service not allowed", 2: "PIN try limit exceeded", 3: "issuer authentication failed"}

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
CONDITIONS = {
    0x00: "always",
    0x01: "unattended cash",
    0x02: "neither cash nor cashback",
    0x03: "where the terminal has the method",
    0x04: "manual cash",
    0x05: "cashback",
    0x06: "under X",
    0x07: "over X",
    0x08: "under Y",
    0x09: "over Y",
}
RESULTS = ("result unknown", "failed", "successful")
FAIL_THEN_NEXT = 0x40

_COUNTRIES = {
    "0156": "China", "0344": "Hong Kong", "0446": "Macao", "0158": "Taiwan", "0392": "Japan", "0410": "Korea",
    "0702": "Singapore", "0764": "Thailand", "0826": "United Kingdom", "0840": "United States", "0276": "Germany",
    "0250": "France", "0246": "Finland", "0528": "Netherlands",
}  # fmt: skip
_CURRENCIES = {
    "0156": "CNY", "0344": "HKD", "0446": "MOP", "0901": "TWD", "0392": "JPY", "0410": "KRW", "0702": "SGD", "0764": "THB",
    "0826": "GBP", "0840": "USD", "0978": "EUR",
}  # fmt: skip

# tag: {hex of the value: words}
CODES = {
    0x5F28: _COUNTRIES,
    0x9F1A: _COUNTRIES,
    0x5F2A: _CURRENCIES,
    0x9F42: _CURRENCIES,
    0x9C: {"00": "goods and services", "01": "cash", "09": "with cashback", "20": "refund", "30": "inquiry", "31": "balance"},
    0x9F39: {
        "01": "typed", "02": "stripe", "05": "chip", "07": "contactless chip", "80": "stripe after a failed chip",
        "91": "contactless, stripe mode", "98": "contactless, PBOC",
    },
    0x8A: {
        "3030": "approved", "3130": "partly approved", "3131": "approved (VIP)", "3031": "call the issuer",
        "3032": "call the issuer", "3035": "declined", "3531": "not enough money", "3535": "wrong PIN",
        "5931": "approved offline", "5A31": "declined offline", "5933": "not reached, approved offline",
        "5A33": "not reached, declined offline",
    },
    0x9F7A: {"00": "no e-cash", "01": "e-cash"},
    0x9F2A: {"02": "M/Chip", "03": "Visa", "04": "American Express", "05": "JCB", "06": "Discover", "07": "UnionPay"},
}  # fmt: skip

TERMINALS = {"1": "a bank's", "2": "a merchant's", "3": "the holder's own"}
ATTENDANCE = {
    "1": "attended, online only", "2": "attended, offline with online", "3": "attended, offline only",
    "4": "unattended, online only", "5": "unattended, offline with online", "6": "unattended, offline only",
}  # fmt: skip

# Form factor of Visa's and UnionPay's 9F6E: low five bits of byte 1.
FORMS = ("card", "small card", "other form", "phone", "worn on the wrist")

# Card verification results: byte within them (from 1, their length left out), mask, words.
_CVR = (
    (1, 0x08, "issuer authentication failed"),
    (1, 0x04, "offline PIN verified"),
    (1, 0x02, "offline PIN failed"),
    (1, 0x01, "unable to go online"),
    (2, 0x80, "last online transaction not completed"),
    (2, 0x40, "PIN try limit exceeded"),
    (2, 0x20, "velocity counters exceeded"),
    (2, 0x10, "new card"),
    (2, 0x08, "issuer authentication failed last time"),
    (2, 0x04, "issuer authentication not performed last time"),
    (2, 0x02, "application blocked by the PIN try limit"),
    (2, 0x01, "SDA failed last time"),
    (3, 0x08, "script failed last time"),
    (3, 0x04, "DDA failed last time"),
    (3, 0x02, "DDA performed"),
)
_CVR_MCHIP = (
    (1, 0x08, "date check failed"),
    (1, 0x04, "offline PIN verified"),
    (1, 0x02, "offline PIN was enciphered"),
    (1, 0x01, "offline PIN successful"),
    (2, 0x80, "DDA returned"),
    (2, 0x40, "CDA in the first cryptogram"),
    (2, 0x20, "CDA in the second cryptogram"),
    (2, 0x10, "issuer authentication performed"),
    (4, 0x80, "last online transaction not completed"),
    (4, 0x40, "unable to go online"),
    (4, 0x20, "offline PIN not performed"),
    (4, 0x10, "offline PIN failed"),
    (4, 0x08, "PIN try limit exceeded"),
    (4, 0x04, "international"),
    (4, 0x02, "domestic"),
    (4, 0x01, "terminal wrongly takes the offline PIN for good"),
    (5, 0x80, "lower consecutive offline limit exceeded"),
    (5, 0x40, "upper consecutive offline limit exceeded"),
    (5, 0x20, "lower cumulative offline limit exceeded"),
    (5, 0x10, "upper cumulative offline limit exceeded"),
    (5, 0x08, "go online next time"),
    (5, 0x04, "issuer authentication failed"),
    (5, 0x02, "script received"),
    (5, 0x01, "script failed"),
)
_FIRST = ("first: AAC", "first: TC", "first: ARQC", "first: RFU")
_SECOND = ("second: AAC", "second: TC", "", "second: RFU")  # 10: not asked for
_ALGORITHMS = {1: "3DES", 4: "SM4"}

# Tags that these schemes use for something else than what is told here.
FOREIGN = {"mastercard": (0x9F66, 0x9F6C, 0x9F69, 0x9F5D, 0x9F61, 0x9F62, 0x9F63)}


def words(tag: int, value: bytes, scheme: str = "") -> "list[str]":
    """What a value says, part by part; [] where nothing is known. Never raises; a card number is not said."""
    if tag in FOREIGN.get(scheme, ()):
        return []
    reader = READERS.get(tag)
    if reader is not None:
        return reader(value, scheme)
    if tag in BITS:
        return bits(value, BITS[tag])
    word = CODES.get(tag, {}).get(_hex(value))
    return [word] if word else []


def bits(value: bytes, table: "tuple[tuple[int, int, str], ...]") -> "list[str]":
    """The names of the bits that are set."""
    return [text for byte, mask, text in table if byte <= len(value) and value[byte - 1] & mask]


def rule(code: int, condition: int) -> str:
    """One rule of a CVM list: "online PIN, over X, else the next"."""
    text = METHODS.get(code & 0x3F, "method %02X" % (code & 0x3F))
    text += ", " + CONDITIONS.get(condition, "condition %02X" % condition)
    return text + (", else the next" if code & FAIL_THEN_NEXT else "")


def money(minor: int) -> str:
    """1234 -> "12.34": the currencies here have two digits, but for those whose amounts an engineer knows anyway."""
    return "%d.%02d" % (minor // 100, minor % 100)


def _hex(value: bytes) -> str:
    return "".join(["%02X" % byte for byte in value])


def _digits(value: bytes) -> str:
    """BCD as digits, "" for what is none."""
    digits = _hex(value)
    return digits if digits.isdigit() else ""


def _amount(value: bytes, scheme: str) -> "list[str]":
    digits = _digits(value)
    return [money(int(digits))] if len(digits) == 12 else []


def _binary_amount(value: bytes, scheme: str) -> "list[str]":
    return [money(int.from_bytes(value, "big"))] if len(value) == 4 else []


def _date(value: bytes, scheme: str) -> "list[str]":
    digits = _digits(value)
    if len(digits) != 6:
        return []
    return ["%s%s-%s-%s" % ("20" if digits < "50" else "19", digits[:2], digits[2:4], digits[4:])]


def _time(value: bytes, scheme: str) -> "list[str]":
    digits = _digits(value)
    return ["%s:%s:%s" % (digits[:2], digits[2:4], digits[4:])] if len(digits) == 6 else []


def _count(value: bytes, scheme: str) -> "list[str]":
    return ["%d" % int.from_bytes(value, "big")] if 0 < len(value) < 5 else []


def _cryptogram_information(value: bytes, scheme: str) -> "list[str]":
    if len(value) != 1:
        return []
    said = [CRYPTOGRAMS[value[0] >> 6]]
    if value[0] & 0x08:
        said.append("advice required")
    reason = value[0] & 0x07
    if reason:
        said.append(CRYPTOGRAM_REASONS.get(reason, "reason %d" % reason))
    return said


def _cvm_results(value: bytes, scheme: str) -> "list[str]":
    if len(value) != 3:
        return []
    method = METHODS.get(value[0] & 0x3F, "unknown method")
    result = RESULTS[value[2]] if value[2] < len(RESULTS) else "RFU"
    if value[0] & 0x3F == 0x3F:
        return [method, result]
    return [method, CONDITIONS.get(value[1], "condition %02X" % value[1]), result]


def _cvm_list(value: bytes, scheme: str) -> "list[str]":
    if len(value) < 8 or len(value) % 2:
        return ["no CVM list"]
    said = []
    for name, at in (("X", 0), ("Y", 4)):
        amount = int.from_bytes(value[at : at + 4], "big")
        if amount:
            said.append("%s %s" % (name, money(amount)))
    return said + [rule(value[at], value[at + 1]) for at in range(8, len(value), 2)]


def _terminal_type(value: bytes, scheme: str) -> "list[str]":
    code = _hex(value)
    if len(code) != 2 or code[0] not in TERMINALS or code[1] not in ATTENDANCE:
        return []
    return [TERMINALS[code[0]], ATTENDANCE[code[1]]]


def _locator(value: bytes, scheme: str) -> "list[str]":
    """The application file locator, file by file."""
    if not value or len(value) % 4:
        return ["no file locator"]
    said = []
    for at in range(0, len(value), 4):
        first, last, signed = value[at + 1], value[at + 2], value[at + 3]
        text = "SFI %d, record %d" % (value[at] >> 3, first) if first == last else ""
        text = text or "SFI %d, records %d to %d" % (value[at] >> 3, first, last)
        said.append(text + (", %d signed" % signed if signed else ""))
    return said


def _priority(value: bytes, scheme: str) -> "list[str]":
    if len(value) != 1:
        return []
    said = ["priority %d" % (value[0] & 0x0F)] if value[0] & 0x0F else ["no priority"]
    return said + (["to be confirmed by the holder"] if value[0] & 0x80 else [])


def _script_results(value: bytes, scheme: str) -> "list[str]":
    """DF31: five bytes a script."""
    said = []
    for at in range(0, len(value) - 4, 5):
        number = value[at] & 0x0F
        result = ("not carried out", "failed at command %d" % number, "carried out")
        text = result[value[at] >> 4] if value[at] >> 4 < 3 else "RFU"
        said.append("script %s %s" % (_hex(value[at + 1 : at + 5]), text))
    return said


def _service(value: bytes, scheme: str) -> "list[str]":
    return list(stripe.service_rules(_hex(value)[-3:]).words)


def _form(value: bytes, scheme: str) -> "list[str]":
    """9F6E: the device, of Visa and UnionPay; the issuer's country and the device, of M/Chip."""
    if scheme == "mastercard":
        country = _COUNTRIES.get(_hex(value[:2]))
        said = [country] if country else []
        if len(value) > 5 and not value[2] & 0x80:
            said.append("device " + "".join([chr(byte) for byte in value[4:6] if 32 <= byte < 127]))
        return said
    form = value[0] & 0x1F if len(value) == 4 else len(FORMS)
    return [FORMS[form]] if form < len(FORMS) else []


def _authentication_data(value: bytes, scheme: str) -> "list[str]":
    """9F69: version, the card's unpredictable number, its transaction qualifiers."""
    if len(value) < 5:
        return []
    said = ["fDDA version %02X" % value[0], "card's number " + _hex(value[1:5])]
    return said + bits(value[5:7], BITS[0x9F6C])


def _issuer_data(value: bytes, scheme: str) -> "list[str]":
    """9F10: key index, cryptogram version, card verification results."""
    if scheme == "mastercard":
        if len(value) < 8:
            return []
        said = ["key %02X" % value[0], "cryptogram version %02X" % value[1]] + _cryptograms(value[2])
        said += bits(value[2:8], _CVR_MCHIP)
        return said + ["scripts %d" % (value[4] >> 4), "PIN tries %d" % (value[4] & 0x0F)]
    if len(value) >= 7 and value[0] in (0x06, 0x07) and value[3] == 0x03:
        said = ["key %02X" % value[1], "cryptogram version %02X" % value[2]] + _cryptograms(value[4]) + bits(value[4:7], _CVR)
        if value[6] >> 4:
            said.append("scripts %d" % (value[6] >> 4))
        if value[0] == 0x07 and len(value) > 7 and value[7] in _ALGORITHMS:
            said.append(_ALGORITHMS[value[7]])
        return said
    return []


def _cryptograms(byte: int) -> "list[str]":
    """Which cryptograms the card gave: first byte of the card verification results."""
    second = _SECOND[byte >> 6]
    return [_FIRST[byte >> 4 & 3]] + ([second] if second else [])


READERS = {
    0x81: _binary_amount,
    0x87: _priority,
    0x8E: _cvm_list,
    0x94: _locator,
    0x9A: _date,
    0x5F24: _date,
    0x5F25: _date,
    0x5F30: _service,
    0x9F02: _amount,
    0x9F03: _amount,
    0x9F04: _binary_amount,
    0x9F10: _issuer_data,
    0x9F13: _count,
    0x9F17: _count,
    0x9F1B: _binary_amount,
    0x9F21: _time,
    0x9F27: _cryptogram_information,
    0x9F34: _cvm_results,
    0x9F35: _terminal_type,
    0x9F36: _count,
    0x9F5D: _amount,
    0x9F69: _authentication_data,
    0x9F6E: _form,
    0x9F77: _amount,
    0x9F78: _amount,
    0x9F79: _amount,
    0x9F7B: _amount,
    0xDF31: _script_results,
}
