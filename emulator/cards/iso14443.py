"""A contactless card as the field sees it: ISO/IEC 14443-3 states and the 14443-4 block protocol round an application.

The application is any callable `apdu -> answer`, or an object with `apdu(bytes) -> bytes` and `reset()`.

    state     answers               goes to
    IDLE      REQ, WUP              ACTIVE by select() (type A) or ATTRIB (type B: PROTOCOL)
    HALT      WUP                   the same
    ACTIVE    RATS                  PROTOCOL; anything else: IDLE
    PROTOCOL  blocks                HALT by S(DESELECT)
    any       -                     IDLE when the field goes: the card forgets everything, its application is reset

Blocks (14443-4, 7.5.4): the card starts with block number 1 and toggles it for each I-block that it gets (rule D)
and for each R(ACK) with the other number (rule E); an R-block with its own number asks for the last block again
(rule 11); R(NAK) with the other number is answered R(ACK) (rule 12).
"""

IDLE, ACTIVE, PROTOCOL, HALT = "idle", "active", "protocol", "halt"
FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)  # FSDI, FSCI (14443-4, table 1)
UID, PLAIN_UID = bytes.fromhex("08112233"), bytes.fromhex("04a1b2c3")
ATQA = bytes.fromhex("0004")
ATS = bytes.fromhex("0578807002")
ATQB = bytes.fromhex("501122334400000000008171")


class PlainTag:
    """A type A tag that speaks no 14443-4: a transport ticket, a sticker."""

    technology = "A"
    readable = False
    dead = False
    delay_s = 0.0

    def __init__(self, uid: bytes = PLAIN_UID, sak: int = 0x08, atqa: bytes = ATQA):
        self.uid, self.sak, self.atqa, self.state = uid, sak, atqa, IDLE
        self.heard = None

    @property
    def busy(self) -> bool:
        """Whether an exchange of APDUs is under way: a chain or an extension is not finished."""
        return False

    def field_off(self) -> None:
        """No power any more."""
        self.state = IDLE

    def requested(self, wake: bool = False) -> bool:
        """REQ, or WUP with `wake`: whether the card answers."""
        heard = self.state == IDLE or (wake and self.state == HALT)
        if self.state == ACTIVE:
            self.state = IDLE
        return heard

    def select(self) -> None:
        """Chosen by the anticollision."""
        self.state = ACTIVE

    def halt(self) -> None:
        """HLTA, HLTB."""
        self.state = HALT

    def frame(self, data: bytes) -> bytes | None:
        """One frame from the reader, without CRC -> the answer, or None for silence, as here."""
        return None


class IsoDepTag(PlainTag):
    """A payment card or phone.

    app          see above
    technology   "A" or "B"
    uid          4, 7 or 10 bytes (type B: the first 4 are the PUPI)
    ats, atqb    what it says of itself; frame size and waiting time are taken from there by the reader
    wtx          how many waiting time extensions it asks for before each answer
    wtx_chained  it also asks for one in the middle of a chained answer
    block_size   its own I-blocks carry so many bytes at most (the reader's frame size, when smaller, wins)
    Faults, each counted down: lose_blocks (not heard), lose_answers (done, but not heard by the reader).
    dead         answers nothing any more, but is there
    delay_s      it thinks so long before each frame
    heard        callable(direction, apdu), direction "command" or "answer"; set by the reader chip
    """

    readable = True

    def __init__(
        self,
        app,
        technology: str = "A",
        uid: bytes = UID,
        ats: bytes = ATS,
        sak: int = 0x20,
        wtx: int = 0,
        atqa: bytes = ATQA,
        atqb: bytes = ATQB,
        block_size: int = 253,
    ):
        super().__init__(uid, sak, atqa)
        if technology not in ("A", "B"):
            raise ValueError(f"technology {technology!r}")
        self.app, self.technology, self.ats, self.atqb = app, technology, ats, atqb
        self.wtx, self.wtx_chained, self.block_size = wtx, False, block_size
        self.lose_blocks = self.lose_answers = 0
        self.dead = False
        self._apdu = getattr(app, "apdu", app)
        self._forget()

    # What a stand-in without blocks needs of a card.

    def apdu(self, command: bytes) -> bytes:
        """What the application answers."""
        return self._apdu(command)

    def reset(self) -> None:
        """The card has no power any more."""
        self._forget()
        if hasattr(self.app, "reset"):
            self.app.reset()

    # The air.

    @property
    def busy(self) -> bool:
        return bool(self._command or self._answer or self._waiting is not None)

    def field_off(self):
        self.state = IDLE
        self.reset()

    def frame(self, data):
        if self.dead or not data:
            return None
        if self.lose_blocks:
            self.lose_blocks -= 1
            return None
        answer = self._block(data) if self.state == PROTOCOL else self._activation(data)
        if answer is not None and self.lose_answers:
            self.lose_answers -= 1
            return None
        return answer

    def attrib(self, cid: int) -> None:
        """ATTRIB by a reader chip that does it itself, with 64-byte frames and a card identifier."""
        self._enter(5, cid)

    def _forget(self):
        self._number, self._cid, self._frame_size = 1, 0, 16
        self._command, self._answer, self._last, self._waiting, self._extensions = b"", b"", b"", None, 0

    def _enter(self, size_index, cid):
        self._forget()
        self.state = PROTOCOL
        self._cid, self._frame_size = cid, FRAME_SIZES[min(size_index, 8)]

    def _activation(self, data):
        if self.technology == "A":
            if self.state == ACTIVE and self.sak & 0x20 and data[0] == 0xE0 and len(data) == 2:
                self._enter(data[1] >> 4, data[1] & 15)
                return self.ats
        elif data[0] == 0x05 and len(data) == 3:
            return self.atqb if self.requested(bool(data[2] & 0x08)) else None
        elif data[0] == 0x1D and len(data) >= 9 and data[1:5] == self.atqb[1:5]:
            self._enter(data[6] & 15, data[8] & 15)
            return bytes([self._cid])
        if self.state == ACTIVE:
            self.state = IDLE
        return None

    # 14443-4.

    def _block(self, data):
        pcb, body = data[0], data[1:]
        if pcb & 0x08:  # a card identifier follows
            if not body or body[0] & 15 != self._cid:
                return None
            head, body = data[1:2], body[1:]
        elif self._cid:
            return None
        else:
            head = b""
        if pcb & 0xF7 == 0xC2:
            self.state = HALT
            return data[: 1 + len(head)]
        if len(data) + 2 > FRAME_SIZES[min(self._fsci(), 8)]:
            return None
        if pcb & 0xE2 == 0x02:
            return self._information(pcb, body)
        if pcb & 0xE6 == 0xA2:
            return self._receipt(pcb)
        if pcb & 0xF7 == 0xF2 and self._waiting is not None:
            return self._go_on()
        return None

    def _fsci(self):
        if self.technology == "B":
            return self.atqb[10] >> 4
        return self.ats[1] & 15 if len(self.ats) > 1 else 2

    def _information(self, pcb, body):
        self._number ^= 1
        self._answer, self._waiting = b"", None
        self._command += body
        if pcb & 0x10:
            return self._say(bytes([0xA2 | self._number]))
        command, self._command = self._command, b""
        if self.heard:
            self.heard("command", command)
        self._waiting, self._extensions = command, self.wtx
        return self._go_on()

    def _go_on(self):
        """The next extension, or what was worked out meanwhile."""
        if self._extensions:
            self._extensions -= 1
            return self._say(b"\xf2\x01")
        waiting, self._waiting = self._waiting, None
        if waiting:
            self._answer = bytes(self._apdu(waiting))
            if self.heard:
                self.heard("answer", self._answer)
        return self._next_part()

    def _next_part(self):
        room = min(self._frame_size - 3, self.block_size)
        part, self._answer = self._answer[:room], self._answer[room:]
        return self._say(bytes([0x02 | (0x10 if self._answer else 0) | self._number]) + part)

    def _receipt(self, pcb):
        if pcb & 1 == self._number:
            return self._last or None
        if pcb & 0x10:
            return bytes([0xA2 | self._number])
        if not self._answer:
            return None
        self._number ^= 1
        if self.wtx_chained:
            self._waiting, self._extensions = b"", 1
            return self._go_on()
        return self._next_part()

    def _say(self, block):
        self._last = block
        return block


def card_in_field(card):
    """`card` itself when it speaks in frames, else a type A card round it as the application."""
    return card if hasattr(card, "frame") else IsoDepTag(card)
