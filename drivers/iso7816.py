"""Chips with contacts, sans I/O: the answer to reset, and the two protocols below an APDU.

    Atr(bytes)          reads an answer to reset; `refusal(atr)` says why EMV does not take it
    t0(apdu)            APDU -> TPDUs of header and data, for a reader that deals with procedure bytes itself
    procedure(tpdu)     TPDU -> what goes over the contact, for a reader that leaves the procedure bytes to its host
    T1(atr).apdu(apdu)  APDU -> blocks
    fetched(apdu)       APDU -> APDUs: 61xx and 6Cxx by T=1, or by a reader that takes APDUs

The last four are generators: each yields bytes for the card, is sent what came back (b"" when the card was silent),
and returns the answer. ProtocolError is all that they raise, whatever comes, and each asks a limited number of times.

T=0: a command with data and an answer goes without its Le, and the answer is fetched; the host sees none of it.

    the card says       what is done
    61xx                GET RESPONSE for xx bytes; what comes is added to the answer
    6Cxx                the same header again with xx
    62xx, 63xx          after data, where an answer was asked for: GET RESPONSE; the answer keeps this first status
    anything else       is the status

T=1: a damaged or missing block is asked for again with an R-block, twice; then the blocks start anew (S(RESYNCH)),
but only while the card cannot yet have the whole command. Later it might carry it out a second time: the card is lost.

Sources: ISO/IEC 7816-3:2006, 8 (reset), 10 and 12.2 (T=0), 11 (T=1); EMV Book 1, 8.3, 9.2, Annex A.
"""

from collections.abc import Generator

Step = Generator[bytes, bytes, bytes]

T0, T1_PROTOCOL = 0, 1
LONGEST_ATR = 32
DEFAULT_IFSC, IFSD = 32, 254
NULL = 0x60
MOST_TPDUS = 40  # for one APDU: no answer of 256 bytes comes in smaller parts from a card that means well
MOST_NULLS = 10_000
MOST_BLOCKS = 600  # for one APDU: a byte a block, with a repetition for each
MOST_EXTENSIONS = 200
TRIES = 3  # of one block
R, S = 0x80, 0xC0  # an I-block has 00
MORE = 0x20


class ProtocolError(Exception):
    """The card does not keep to its protocol: what about it. The text holds no data of the card."""


# Answer to reset.


class Atr:
    """An answer to reset, taken apart. ProtocolError when it is cut short, too long or its check byte is wrong.

    inverse     the convention
    ta, tb, tc  {number: interface byte}
    td          {number: protocol that it names}
    protocol    the first one offered
    historical  bytes
    specific    whether the card has chosen its protocol and speed itself (TA2)
    speed       TA1 when it holds, else 11 hex
    guard       TC1 (N), 0 when absent
    ifsc        T=1: the largest block that the card takes; crc: whether it checks blocks by CRC
    waiting     T=0: WI; T=1: BWI and CWI in the two halves
    """

    def __init__(self, atr: bytes) -> None:
        if len(atr) < 2 or len(atr) > LONGEST_ATR + 1:
            raise ProtocolError("an answer to reset of %d bytes" % len(atr))
        if atr[0] not in (0x3B, 0x3F):
            raise ProtocolError("TS is none")
        self.raw = bytes(atr)
        self.inverse = atr[0] == 0x3F
        tables: tuple[dict, dict, dict, dict] = ({}, {}, {}, {})
        self.ta, self.tb, self.tc, self.td = tables
        at, follow, number = 2, atr[1] >> 4, 1
        while follow:
            for bit, table in enumerate(tables):
                if follow >> bit & 1:
                    if at >= len(atr):
                        raise ProtocolError("cut short at interface bytes %d" % number)
                    table[number] = atr[at]
                    at += 1
            follow = self.td[number] >> 4 if number in self.td else 0
            number += 1
        self.td = {place: value & 15 for place, value in self.td.items()}
        named = [self.td[place] for place in sorted(self.td)]
        self.protocol = named[0] if named else T0
        self.historical = bytes(atr[at : at + (atr[1] & 15)])
        at += atr[1] & 15
        checked = any(one != T0 for one in named)
        if len(atr) != at + checked:
            raise ProtocolError("%d bytes where %d are said" % (len(atr), at + checked))
        if checked and xor(atr[1:]):
            raise ProtocolError("TCK is wrong")
        self.specific = 2 in self.ta and not self.ta[2] & 0x10
        self.speed = self.ta.get(1, 0x11) if self.specific else 0x11
        self.guard = self.tc.get(1, 0)
        t1 = min([place + 1 for place, value in self.td.items() if value == 1 and place > 1], default=0)
        self.ifsc = self.ta.get(t1, DEFAULT_IFSC)
        self.crc = bool(self.tc.get(t1, 0) & 1)
        self.waiting = self.tb.get(t1, 0x4D) if self.protocol else self.tc.get(2, 0x0A)

    def __repr__(self) -> str:
        return "Atr(T=%d)" % self.protocol

    def parameters(self) -> bytes:
        """The structure of CCID's SetParameters for this card (CCID 1.1, 6.1.7), 5 bytes for T=0, 7 for T=1."""
        convention = 2 if self.inverse else 0
        if self.protocol == T0:
            return bytes((self.speed, convention, self.guard, self.waiting, 0))
        return bytes((self.speed, 0x10 | convention | self.crc, self.guard, self.waiting, 0, self.ifsc, 0))


def refusal(atr: Atr) -> str:
    """Why a payment terminal does not take this answer to reset; "" when it does (EMV Book 1, 8.3.3).

    A speed that the card offers (TA1 without TA2) is not asked for: it goes on at the default. TB1 and TB2 spoke of a
    programming voltage that no card needs any more; they are passed over (ISO/IEC 7816-3:2006). TC1 may ask for any guard
    time; by T=1 only for one that fits into the character waiting time (TB3).
    """
    for wrong, why in (
        (atr.protocol > 1, "TD1"),
        (2 in atr.ta and (atr.ta[2] & 0x10 or atr.ta[2] & 15 != atr.protocol), "TA2"),
        (atr.specific and not 0x11 <= atr.ta.get(1, 0x11) <= 0x13, "TA1"),
        (2 in atr.tc and atr.tc[2] != 0x0A, "TC2"),
        (2 in atr.td and atr.td[2] not in ((1,) if atr.protocol else (14, 15)), "TD2"),
    ):
        if wrong:
            return why
    return _refusal_t1(atr) if atr.protocol else ""


def _refusal_t1(atr):
    if 2 not in atr.td or 3 not in atr.tb:
        return "TB3"
    if not 0x10 <= atr.ifsc <= 0xFE:
        return "TA3"
    bwi, cwi = atr.tb[3] >> 4, atr.tb[3] & 15
    extra = 0 if atr.guard == 0xFF else atr.guard + 1
    if bwi > 4 or cwi > 5 or 1 << cwi <= extra:
        return "TB3"
    return "TC3" if atr.tc.get(3, 0) else ""


def accept(atr: bytes) -> Atr:
    """An answer to reset that EMV takes. ProtocolError for any other."""
    read = Atr(atr)
    why = refusal(read)
    if why:
        raise ProtocolError("%s is not EMV's" % why)
    return read


# T=0


def t0(apdu: bytes) -> Step:
    """A command APDU by T=0 -> its answer, status word included. Yields TPDUs: header of five bytes, then data."""
    head, tail = bytes(apdu[:4]), bytes(apdu[4:])
    has_data = len(tail) > 1
    answers = len(tail) == 1 or (has_data and len(tail) == tail[0] + 2)
    if has_data and len(tail) not in (tail[0] + 1, tail[0] + 2):
        raise ProtocolError("the command's length is wrong")
    tpdu = head + (tail[: 1 + tail[0]] if has_data else tail or b"\x00")
    repeatable = answers and not has_data
    data, warning = b"", b""
    for _ in range(MOST_TPDUS):
        answer = yield tpdu
        if len(answer) < 2:
            raise ProtocolError("silent" if not answer else "an answer without a status word")
        data += answer[:-2]
        sw1, sw2 = answer[-2], answer[-1]
        if sw1 == 0x61:
            tpdu, repeatable = bytes((0x00, 0xC0, 0x00, 0x00, sw2)), True
        elif sw1 == 0x6C and repeatable and len(answer) == 2:
            tpdu = tpdu[:4] + bytes((sw2,))
        elif sw1 in (0x62, 0x63) and has_data and answers and len(answer) == 2 and not (warning or data):
            warning = bytes(answer)
            tpdu, repeatable = b"\x00\xc0\x00\x00\x00", True
        elif warning:
            return data + warning
        else:
            return data + bytes(answer[-2:])
    raise ProtocolError("no end of answers")


def fetched(apdu: bytes) -> Step:
    """A command APDU -> its answer, status word included. Yields APDUs, the first of them as it is."""
    command, data = bytes(apdu), b""
    for _ in range(MOST_TPDUS):
        answer = yield command
        if len(answer) < 2:
            raise ProtocolError("an answer without a status word")
        data += answer[:-2]
        answers = len(command) == 5 or (len(command) > 5 and len(command) == command[4] + 6)
        if answer[-2] == 0x61:
            command = bytes((0x00, 0xC0, 0x00, 0x00, answer[-1]))
        elif answer[-2] == 0x6C and answers and len(answer) == 2:
            command = command[:-1] + answer[-1:]
        else:
            return data + bytes(answer[-2:])
    raise ProtocolError("no end of answers")


def procedure(tpdu: bytes) -> Step:
    """A TPDU byte by byte as ISO/IEC 7816-3, 10.3.3 has it -> data and status word.

    Yields what goes to the card, b"" when only more is awaited; is sent whatever has come, in any portions.
    """
    header, data = bytes(tpdu[:5]), bytes(tpdu[5:])
    instruction = header[1]
    due = 0 if data else header[4] or 256  # bytes of an answer
    sending: bytes = header
    got = bytearray()
    said = bytearray()
    nulls = 0
    while True:
        came = yield sending
        if not came:
            raise ProtocolError("silent")
        got += came
        sending = b""
        while got:
            byte = got[0]
            if byte == NULL:
                nulls += 1
                if nulls > MOST_NULLS:
                    raise ProtocolError("waits for ever")
                del got[:1]
            elif byte in (instruction, instruction ^ 0xFF):
                count = 1 if byte != instruction else max(len(data), due)
                if data:
                    del got[:1]
                    sending, data = sending + data[:count], data[count:]
                elif due:
                    if len(got) <= count:
                        break
                    said += got[1 : 1 + count]
                    del got[: 1 + count]
                    due -= count
                else:
                    raise ProtocolError("more is asked for than there is")
            elif byte & 0xF0 in (0x60, 0x90):
                if len(got) < 2:
                    break
                return bytes(said) + bytes(got[:2])
            else:
                raise ProtocolError("a procedure byte that is none")


# T=1


def xor(data: bytes) -> int:
    """LRC: all bytes combined by exclusive or."""
    value = 0
    for byte in data:
        value ^= byte
    return value


def crc16(data: bytes) -> int:
    """The CRC of ISO/IEC 13239: polynomial 1021 reflected, all ones at the start, inverted at the end."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value ^ 0xFFFF


def block(pcb: int, body: bytes = b"", crc: bool = False) -> bytes:
    """A T=1 block: NAD 00, PCB, length, body and check bytes."""
    whole = bytes((0, pcb, len(body))) + body
    if crc:
        check = crc16(whole)
        return whole + bytes((check & 0xFF, check >> 8))
    return whole + bytes((xor(whole),))


def unblock(data: bytes, crc: bool = False) -> "tuple[int, bytes] | None":
    """(PCB, body) of a sound block, None for anything else."""
    tail = 2 if crc else 1
    if len(data) < 3 + tail or data[0] or data[2] > 254 or len(data) != 3 + data[2] + tail:
        return None
    body = bytes(data[3:-tail])
    return (data[1], body) if block(data[1], body, crc) == bytes(data) else None


class T1:
    """The terminal's half of T=1 with one card, from its reset on.

    extension    the multiplier of the waiting time for the answer to the block that was yielded last; 1 as a rule
    """

    def __init__(self, atr: Atr) -> None:
        self._crc = atr.crc
        self._ifsc = self._first_ifsc = atr.ifsc
        self._started = False
        self._broken = False
        self.extension = 1
        self._reset()

    def _reset(self):
        self._ns = self._nr = 0
        self._ifsc = self._first_ifsc
        self._started = False

    def apdu(self, apdu: bytes) -> Step:
        """A command APDU -> its answer, status word included. After a ProtocolError the card must be reset."""
        if self._broken:
            raise ProtocolError("out of step")
        self._broken, self._count, self._extensions = True, 0, 0
        resynched = False
        while True:
            try:
                answer = yield from self._carry(bytes(apdu))
            except _Again:
                if resynched:
                    raise ProtocolError("out of step") from None
                resynched = True
                yield from self._resynch()
                continue
            self._broken = False
            return answer

    def _carry(self, apdu):
        if not self._started:
            yield from self._announce()
        left = apdu
        while True:
            part, left = left[: self._ifsc], left[self._ifsc :]
            pcb, body = yield from self._send(self._ns << 6 | (MORE if left else 0), part, safe=bool(left))
            self._ns ^= 1
            if not left:
                break
            if pcb & S != R:
                raise ProtocolError("an answer in the middle of a command")
        answer = bytearray()
        while True:
            if pcb & 0x80:
                raise ProtocolError("no answer block")
            answer += body
            self._nr ^= 1
            if len(answer) > 65538:
                raise ProtocolError("no end of answers")
            if not pcb & MORE:
                return bytes(answer)
            pcb, body = yield from self._send(R | self._nr << 4, b"", safe=False)

    def _announce(self):
        """S(IFS request): the terminal takes blocks of 254 bytes. A card that does not know it goes on with 32."""
        pcb, body = yield from self._send(0xC1, bytes((IFSD,)), safe=True)
        if pcb != 0xE1 or body != bytes((IFSD,)):
            raise ProtocolError("no answer to S(IFS)")
        self._started = True

    def _resynch(self):
        for _ in range(TRIES):
            got = unblock((yield from self._exchange(block(0xC0, b"", self._crc))), self._crc)
            if got == (0xE0, b""):
                self._reset()
                return
        raise ProtocolError("does not come into step")

    def _exchange(self, data):
        self._count += 1
        if self._count > MOST_BLOCKS:
            raise ProtocolError("too many blocks")
        got = yield data
        self.extension = 1
        return got

    def _send(self, pcb, body, safe):
        """Sends one block until a block comes that answers it -> (PCB, body). _Again when it may start anew."""
        ours = out = block(pcb, body, self._crc)
        failures = repeats = 0
        while True:
            got = unblock((yield from self._exchange(out)), self._crc)
            if got is not None:
                theirs, data = got
                if theirs in (0xC1, 0xC3) and len(data) == 1:
                    out = self._granted(theirs, data)
                    continue
                if self._answers(pcb, theirs, data):
                    return got
                if theirs == 0xC2:
                    raise ProtocolError("the card gives up")
                repeat = theirs & S == R and self._asks_again(pcb, theirs)
            else:
                repeat = False
            failures += not repeat
            repeats += repeat
            if failures >= TRIES or repeats >= TRIES:
                if safe:
                    raise _Again
                raise ProtocolError("silent or damaged, %d times" % (failures + repeats))
            if repeat or pcb & S == S:
                out = ours
            else:
                out = block(R | self._nr << 4 | (1 if got is None else 2), b"", self._crc)

    def _granted(self, theirs, data):
        """The answer to the card's S(IFS) or S(WTX)."""
        self._extensions += 1
        if self._extensions > MOST_EXTENSIONS:
            raise ProtocolError("waits for ever")
        if theirs == 0xC1:
            if not 1 <= data[0] <= 254:
                raise ProtocolError("a block size that is none")
            self._ifsc = data[0]
        else:
            self.extension = max(1, data[0])
        return block(theirs | MORE, data, self._crc)

    def _answers(self, pcb, theirs, data):
        """Whether a sound block is what answers the block sent with `pcb`."""
        if pcb & S == S:
            return theirs == pcb | MORE
        if not theirs & 0x80:
            if pcb & MORE and not pcb & 0x80:
                return False
            return theirs & 0x1F == 0 and theirs >> 6 & 1 == self._nr
        # An R-block answers a part of a chain when it asks for the next one.
        chained = not pcb & 0x80 and pcb & MORE
        return bool(chained) and theirs & 0xEF == R and theirs >> 4 & 1 != pcb >> 6 & 1 and not data

    def _asks_again(self, pcb, theirs):
        """Whether an R-block asks for the block sent with `pcb` once more."""
        return bool(pcb & 0x80) or theirs >> 4 & 1 == pcb >> 6 & 1


class _Again(Exception):
    """The exchange of blocks may start anew: the card cannot have carried anything out."""
