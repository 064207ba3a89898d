"""Command APDUs that a terminal sends, and the words for a card's status. All commands are short, ISO/IEC 7816-4.

Source: EMV Book 1, 11 and Book 3, 6.5.
"""

PSE = b"1PAY.SYS.DDF01"
PPSE = b"2PAY.SYS.DDF01"

OK = 0x9000

STATUS_WORDS = {
    0x9000: "ok",
    0x6283: "application blocked",
    0x6300: "authentication failed",
    0x6700: "wrong length",
    0x6982: "security status not satisfied",
    0x6983: "PIN blocked",
    0x6984: "not usable here: try another interface",
    0x6985: "conditions not satisfied",
    0x6986: "not allowed: see phone",
    0x6A81: "function not supported",
    0x6A82: "not found",
    0x6A83: "record not found",
    0x6A86: "wrong parameters",
    0x6A88: "data not found",
    0x6D00: "command not supported",
    0x6E00: "class not supported",
}


def select(name: bytes, next_one: bool = False) -> bytes:
    """SELECT by name, 1..16 bytes."""
    return b"\x00\xa4\x04" + (b"\x02" if next_one else b"\x00") + bytes((len(name),)) + name + b"\x00"


def get_processing_options(data: bytes) -> bytes:
    """GET PROCESSING OPTIONS with the PDOL's values, up to 252 bytes."""
    size = len(data)
    field = (b"\x83" + bytes((size,)) if size < 128 else b"\x83\x81" + bytes((size,))) + data
    return b"\x80\xa8\x00\x00" + bytes((len(field),)) + field + b"\x00"


def read_record(file: int, record: int) -> bytes:
    """READ RECORD of a short file identifier, 1..30."""
    return bytes((0x00, 0xB2, record, file << 3 | 4, 0x00))


def get_data(tag: int) -> bytes:
    """GET DATA of a two-byte tag."""
    return bytes((0x80, 0xCA, tag >> 8, tag & 255, 0x00))


def internal_authenticate(data: bytes) -> bytes:
    """INTERNAL AUTHENTICATE over the DDOL's values, up to 255 bytes."""
    return b"\x00\x88\x00\x00" + bytes((len(data),)) + data + b"\x00"


def external_authenticate(data: bytes) -> bytes:
    """EXTERNAL AUTHENTICATE with the issuer's authentication data, 8..16 bytes; no answer but the status word."""
    return b"\x00\x82\x00\x00" + bytes((len(data),)) + data


def generate_ac(kind: int, data: bytes) -> bytes:
    """GENERATE AC. kind: 00 AAC, 40 TC, 80 ARQC, and 10 for a combined signature; data: the CDOL's values, up to 255 bytes."""
    return bytes((0x80, 0xAE, kind, 0x00)) + (bytes((len(data),)) + data if data else b"") + b"\x00"


def get_challenge() -> bytes:
    """GET CHALLENGE: eight bytes, for an enciphered PIN."""
    return b"\x00\x84\x00\x00\x00"


def status_word(word: int) -> str:
    """Four hex digits and, where known, the words."""
    known = STATUS_WORDS.get(word)
    if known is None and word & 0xFFF0 == 0x63C0:
        known = "%d tries left" % (word & 15)
    return "%04X %s" % (word, known) if known else "%04X" % word
