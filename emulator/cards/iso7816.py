"""A card with contacts as the reader's pins see it: answer to reset, and T=0 or T=1 round an application.

The application is any callable `apdu -> answer`, or an object with `apdu(bytes) -> bytes` and `reset()`; its `atr`,
when it has one, is what it answers to a reset (b"": nothing).

    T=0   the header says a command's length and nothing says whether data come back: an answer to a command with data
          waits behind 61xx for GET RESPONSE, a wrong Le is put right by 6Cxx (ISO/IEC 7816-3, 12.2)
    T=1   blocks; the card's half of the rules of ISO/IEC 7816-3, 11.6: it sends its last block again for an R-block
          that asks for it, extends its time by S(WTX), and takes S(IFS) and S(RESYNCH)

What is below a TPDU, the procedure bytes and the single bits, is between the reader chip and the card and not here.
"""

from collections.abc import Callable

from drivers import iso7816

ATRS = {"T=0": bytes.fromhex("3B650000300102AABB"), "T=1": bytes.fromhex("3BE5000081312045300102AABB12")}
IFSC = 32
GET_RESPONSE = b"\x00\xc0\x00\x00"
HIDDEN_AFTER_WARNING = (0x62, 0x63)


class ContactCard:
    """A payment card in the slot.

    app          see above
    protocol     "T=0" or "T=1": which of the two it speaks; as its ATR says
    atr          what it answers to a cold reset, warm_atr to a warm one; b"" is silence
    part         T=1: its own blocks carry so many bytes at most
    wtx          T=1: how many waiting time extensions it asks for before each answer
    nulls        T=0: how many NULL procedure bytes (60) it sends before each answer; the reader chip deals with them
    warns_first  T=0: an answer with a warning (62xx, 63xx) says the warning, then has the data fetched
    Faults, each counted down: bad_blocks (T=1: sent with a wrong check byte), lost_blocks (T=1: not heard).
    dead         answers nothing any more, but is there
    delay_s      it thinks so long before each answer
    heard        callable(direction, apdu), direction "command" or "answer"; set by the reader chip
    """

    def __init__(
        self,
        app,
        protocol: str = "",
        atr: "bytes | None" = None,
        warm_atr: "bytes | None" = None,
        part: int = 254,
        wtx: int = 0,
    ) -> None:
        if atr is None:
            atr = getattr(app, "atr", None)
        if atr is None:
            atr = ATRS[protocol or "T=0"]
        self.app, self.atr, self.warm_atr = app, atr, atr if warm_atr is None else warm_atr
        self.protocol = protocol or spoken(self.warm_atr)
        self.part, self.wtx, self.nulls, self.warns_first = part, wtx, 0, False
        self.bad_blocks = self.lost_blocks = 0
        self.dead = False
        self.delay_s = 0.0
        self.heard: "Callable[[str, bytes], None] | None" = None
        self.powered = False
        self._apdu = getattr(app, "apdu", app)
        self._forget()

    # Power.

    def power(self, warm: bool = False) -> bytes:
        """Reset: its answer, b"" for none."""
        self.off()
        self.powered = True
        return b"" if self.dead else (self.warm_atr if warm else self.atr)

    def off(self) -> None:
        """No power any more."""
        self.powered = False
        self._forget()
        if hasattr(self.app, "reset"):
            self.app.reset()

    # What a stand-in, or a reader that takes whole APDUs, needs of a card.

    def apdu(self, command: bytes) -> bytes:
        """What the application answers."""
        if self.heard:
            self.heard("command", command)
        answer = bytes(self._apdu(command))
        if self.heard:
            self.heard("answer", answer)
        return answer

    # The pins.

    @property
    def busy(self) -> bool:
        """Whether an exchange of one APDU is under way: an answer waits to be fetched, a chain is not finished."""
        return bool(self._fetch or self._asked or self._command or self._answer or self._waiting is not None)

    def tpdu(self, data: bytes) -> "bytes | None":
        """One TPDU (T=0: header and data; T=1: a block) -> the answer, None for silence."""
        if self.dead or not self.powered:
            return None
        return self._header(data) if self.protocol == "T=0" else self._block(data)

    def _forget(self):
        self._fetch = b""  # T=0: what GET RESPONSE gets
        self._status = b""
        self._asked, self._kept = b"", b""  # T=0: the command whose Le was wrong, and its answer
        self._ns = self._nr = 0
        self._ifsd = IFSC
        self._command, self._answer, self._last = b"", b"", b""
        self._waiting: "bytes | None" = None
        self._extensions = 0
        self._crc = crc_of(self.atr)

    # T=0

    def _header(self, tpdu):
        if len(tpdu) < 5:
            return None
        head, size, data = tpdu[:4], tpdu[4], tpdu[5:]
        if head == GET_RESPONSE:
            return self._fetched(size)
        self._fetch = b""
        if data:
            self._asked = b""
            return self._put_by(self.apdu(tpdu))
        if head != self._asked:
            self._asked, self._kept = head, self.apdu(tpdu)
        kept = self._kept
        if len(kept) < 3 or len(kept) - 2 == (size or 256):
            self._asked = b""
            return kept
        return bytes((0x6C, (len(kept) - 2) & 0xFF))

    def _put_by(self, answer):
        """An answer to a command with data: at once when it is a status word alone."""
        if len(answer) < 3:
            return answer
        self._fetch, self._status = answer[:-2], answer[-2:]
        if self.warns_first and self._status[0] in HIDDEN_AFTER_WARNING:
            warning, self._status = self._status, b"\x90\x00"
            return warning
        return bytes((0x61, len(self._fetch) & 0xFF))

    def _fetched(self, size):
        fetch = self._fetch
        if not fetch:
            return b"\x69\x85"
        if len(fetch) < (size or 256):
            return bytes((0x6C, len(fetch) & 0xFF))
        part, self._fetch = fetch[: size or 256], fetch[size or 256 :]
        return part + (bytes((0x61, len(self._fetch) & 0xFF)) if self._fetch else self._status)

    # T=1

    def _block(self, data):
        if self.lost_blocks:
            self.lost_blocks -= 1
            return None
        block = iso7816.unblock(data, self._crc)
        if block is None:
            return self._say(0x81 | self._nr << 4, b"", last=False)
        pcb, body = block
        if not pcb & 0x80:
            return self._information(pcb, body)
        if pcb & 0xC0 == 0x80:
            return self._receipt(pcb)
        if pcb == 0xC1 and len(body) == 1:
            self._ifsd = body[0]
            return self._say(0xE1, body)
        if pcb == 0xC0:
            self._forget()
            return self._say(0xE0, b"")
        if pcb == 0xE3 and self._waiting is not None:
            return self._go_on()
        return self._say(0x82 | self._nr << 4, b"", last=False)

    def _information(self, pcb, body):
        if pcb >> 6 & 1 != self._nr:
            return self._say(0x82 | self._nr << 4, b"", last=False)
        self._nr ^= 1
        self._answer, self._waiting = b"", None
        self._command += body
        if pcb & 0x20:
            return self._say(0x80 | self._nr << 4, b"")
        self._waiting, self._command, self._extensions = self._command, b"", self.wtx
        return self._go_on()

    def _go_on(self):
        """The next extension, or what was worked out meanwhile."""
        if self._extensions:
            self._extensions -= 1
            return self._say(0xC3, b"\x02")
        command, self._waiting = self._waiting, None
        self._answer = self.apdu(command)
        return self._next_part()

    def _next_part(self):
        size = min(self.part, self._ifsd)
        part, self._answer = self._answer[:size], self._answer[size:]
        block = self._say(self._ns << 6 | (0x20 if self._answer else 0), part)
        self._ns ^= 1
        return block

    def _receipt(self, pcb):
        wanted = pcb >> 4 & 1
        if wanted == self._ns and self._answer:
            return self._next_part()
        return self._repeat()

    def _repeat(self):
        return self._spoil(self._last) if self._last else self._say(0x82 | self._nr << 4, b"", last=False)

    def _say(self, pcb, body, last=True):
        block = iso7816.block(pcb, body, self._crc)
        if last:
            self._last = block
        return self._spoil(block)

    def _spoil(self, block):
        if not self.bad_blocks:
            return block
        self.bad_blocks -= 1
        return block[:-1] + bytes((block[-1] ^ 0x55,))


def spoken(atr: bytes) -> str:
    """The protocol that an answer to reset offers first; "T=0" for what is none."""
    try:
        return "T=%d" % iso7816.Atr(atr).protocol
    except iso7816.ProtocolError:
        return "T=0"


def crc_of(atr: bytes) -> bool:
    """Whether an answer to reset asks for a CRC in the blocks."""
    try:
        return iso7816.Atr(atr).crc
    except iso7816.ProtocolError:
        return False


def card_in_slot(card) -> ContactCard:
    """`card` itself when it has contacts, else a card with contacts round it as the application."""
    return card if isinstance(card, ContactCard) else ContactCard(card)
