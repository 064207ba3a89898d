"""The data elements of one transaction: what the terminal says, what the card says, and the results that grow between them.

    told    {tag: bytes} of the terminal: its settings, the chosen application's, the request's
    said    {tag: bytes} of the card: directory, FCI, GPO, records, cryptograms
    tvr, tsi, cvm_results   tags 95, 9B, 9F34: they live here and nowhere else
    pdol    the values that the card was sent with GET PROCESSING OPTIONS, which a combined signature covers
    static  the records to be authenticated, in the order of the file locator, without the AIP that 9F4A may add
    static_fits   no record was listed for authentication that cannot be

What the terminal knows, the card does not say: `get` and `values` look at `told` first.

Bits are named by byte (from 1) and mask, as in EMV Book 3, Annex C: `data.set_tvr(4, 0x80)`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.settings import Application, Request, Settings

NO_CVM_PERFORMED = b"\x3f\x00\x00"

# TSI, byte 1
ODA, CVM, CARD_RISK, ISSUER_AUTHENTICATION, RISK, SCRIPTS = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04


class Data:
    """See above. application: None until one is chosen (`choose`)."""

    application: "Application"

    def __init__(self, settings: "Settings", request: "Request") -> None:
        self.settings = settings
        self.request = request
        self.told: dict[int, bytes] = dict(settings.terminal)
        self.told.update(request.tags)
        self.said: dict[int, bytes] = {}
        self.tvr = bytearray(5)
        self.tsi = bytearray(2)
        self.cvm_results = NO_CVM_PERFORMED
        self.pdol = b""
        self.static = b""
        self.static_fits = True

    def choose(self, application: "Application") -> None:
        """The transaction is this application's: 9F06, 9F09 and 9F1B are its own; what another said is forgotten."""
        self.application = application
        self.told[0x9F06] = application.aid
        self.told[0x9F09] = application.version
        self.told[0x9F1B] = min(application.terminal_floor_limit_fen or 0, 0xFFFFFFFF).to_bytes(4, "big")
        self.told.pop(0x9F7B, None)  # another application's
        if application.ecash_limit_fen is not None:
            self.told[0x9F7B] = _digits(application.ecash_limit_fen)
        elif 0x9F7B in self.settings.terminal:
            self.told[0x9F7B] = self.settings.terminal[0x9F7B]
        self.said = {}
        self.tvr = bytearray(5)
        self.tsi = bytearray(2)
        self.cvm_results = NO_CVM_PERFORMED
        self.pdol = b""
        self.static = b""
        self.static_fits = True

    def get(self, tag: int) -> "bytes | None":
        """A value, whoever says it; None when nobody does."""
        if tag == 0x95:
            return bytes(self.tvr)
        if tag == 0x9B:
            return bytes(self.tsi)
        if tag == 0x9F34:
            return self.cvm_results
        return self.told.get(tag, self.said.get(tag))

    def values(self) -> "dict[int, bytes]":
        """Everything by tag, for a data object list or the host."""
        values = dict(self.said)
        values.update(self.told)
        values[0x95] = bytes(self.tvr)
        values[0x9B] = bytes(self.tsi)
        values[0x9F34] = self.cvm_results
        return values

    def set_tvr(self, byte: int, mask: int) -> None:
        self.tvr[byte - 1] |= mask

    def has_tvr(self, byte: int, mask: int) -> bool:
        return bool(self.tvr[byte - 1] & mask)

    def set_tsi(self, mask: int) -> None:
        """A bit of its first byte."""
        self.tsi[0] |= mask

    def capability(self, byte: int, mask: int) -> bool:
        """A bit of the terminal capabilities, 9F33."""
        value = self.told.get(0x9F33, b"")
        return len(value) >= byte and bool(value[byte - 1] & mask)

    def profile(self, byte: int, mask: int) -> bool:
        """A bit of the card's application interchange profile, 82."""
        value = self.said.get(0x82, b"")
        return len(value) >= byte and bool(value[byte - 1] & mask)


def _digits(fen: int) -> bytes:
    return int("%012d" % fen, 16).to_bytes(6, "big")
