"""A PN532 and the card on it, through nfcpy. Imports nfcpy; only the owner thread of `drivers.nfc` imports this.

nfcpy gives the commands (`pn532.Chipset`), the analog settings (`pn532.Device`) and the block protocol
(`tt4.IsoDepInitiator`). What is done here instead of there, and why:

    opening       a chip that a dead process left at another speed is found at that speed
    looking       both technologies, two cards each, so that two cards are noticed (EMV Contactless Book D, 9.3)
    activating    after a field reset, as EMV wants it; the ATS is read as ISO/IEC 14443-4, 5.2 says: each of TA1, TB1,
                  TC1 may be missing. nfcpy takes byte 3 for TB1 whatever T0 says
    waiting time  S(WTX) is answered here, in any phase of a chain (nfcpy: only after an I-block)
    a block       one chip command; nfcpy reads and writes the same three registers and the time-out each time
    limits        a card that acknowledges, chains or asks for time for ever is ended after MAX_BLOCKS

    error         means
    ChipError     the reader does not answer as a PN532 any more: open it again
    CardError     this card, `why` as in CARD_LOST or CARD_PROBLEM, or "retry": perhaps it was not in position yet
    Dropped       nobody waits for the answer any more
No message of theirs holds a byte of what card and terminal said, and nfcpy's own log is silenced for that reason.

Sources: NXP UM0701-02 §7.3; ISO/IEC 14443-3 and -4; EMV Contactless Book D.
"""

import errno
import logging
import struct
import time
from collections import namedtuple
from collections.abc import Callable

import nfc.clf
import nfc.tag
from nfc.clf import pn532
from nfc.tag import tt4

from drivers.nfc_wire import ACK, Wire

logging.getLogger("nfc").setLevel(logging.CRITICAL + 1)
_silent = logging.getLogger("nfc.clf.pn532")

SPEEDS = (115200, 921600, 460800, 230400)
WAKE = bytes(10)
GET_VERSION = bytes.fromhex("0000ff02fed4022a00")
VERSION_HEAD = bytes.fromhex("d50332")
SAM_NORMAL = bytes.fromhex("0000ff05fbd4140100001700")
FIND_MS = (40, 100)  # how long each speed is listened to, in the first and the second round
FIND_USB_MS = 1500  # the first bytes through a USB adapter on a Raspberry Pi may take as long (nfcpy, pn532.init)

FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)  # ISO/IEC 14443-4, table 1
ETU_4096_S = 4096 / 13.56e6
ACTIVATION_S = 0.03
FIELD_RESET_S = 0.006  # EMV Contactless Book D, A.5: tRESET 5.1 to 10 ms
LONGEST_WAIT_S = 4.949  # ISO/IEC 14443-4, 7.3: FWT_MAX
LOOK_S = 0.3  # a search takes some tens of milliseconds: nfcpy's settings allow one repetition
MAX_BLOCKS = 128
RETRIES = 2  # EMV Contactless Book D, 10.3.5
ISO_DEP_SAK = 0x20

# What nfcpy may do when bytes are not what it expects.
ODD = (OSError, pn532.Chipset.Error, nfc.clf.Error, IndexError, TypeError, ValueError, AssertionError, struct.error)

Answer = namedtuple("Answer", ("frame_size", "waiting_s", "guard_s"))
Answer.__doc__ = "What a card says of itself: its frame size in bytes, frame waiting time, start-up guard time in seconds."


class ChipError(Exception):
    """The reader is not there. `gone`: the port itself, else the chip. `line`: it was lost by the change of speed."""

    def __init__(self, what, gone=False, line=False):
        super().__init__(what)
        self.gone, self.line = gone, line


class CardError(Exception):
    """Nothing more comes from this card."""

    def __init__(self, why):
        super().__init__(why)
        self.why = why


class Dropped(Exception):
    """Cancelled."""


class _Glitch(Exception):
    """One answer of the chip was lost; the chip is there."""


def parse_ats(ats: bytes) -> Answer:
    """Answer to select, as in ISO/IEC 14443-4, 5.2. Values for future use count as the defaults. ValueError."""
    if not ats or ats[0] != len(ats):
        raise ValueError("the ATS has another length than it says")
    fsci, fwi, sfgi = 2, 4, 0
    at = 2
    if len(ats) > 1:
        fsci = ats[1] & 15
        at += ats[1] >> 4 & 1
        if ats[1] & 0x20:
            if at >= len(ats):
                raise ValueError("the ATS ends before TB1")
            fwi, sfgi = ats[at] >> 4, ats[at] & 15
            at += 1
        at += ats[1] >> 6 & 1
        if at > len(ats):
            raise ValueError("the ATS ends before its interface bytes")
    return Answer(FRAME_SIZES[min(fsci, 8)], _waiting_s(fwi), _waiting_s(sfgi) if 0 < sfgi < 15 else 0.0)


def parse_atqb(atqb: bytes) -> Answer:
    """Answer to request of type B, ISO/IEC 14443-3, 7.9. ValueError."""
    if len(atqb) < 12 or atqb[0] != 0x50:
        raise ValueError("not an ATQB")
    return Answer(FRAME_SIZES[min(atqb[10] >> 4, 8)], _waiting_s(atqb[11] >> 4), 0.0)


def _waiting_s(index):
    return ETU_4096_S * (1 << (4 if index == 15 else index))


def timeout_index(seconds: float) -> int:
    """RFConfiguration's number for the shortest time-out that is not shorter: 100 us << (n - 1), n 1..16."""
    index = 1
    while index < 16 and (100e-6 * (1 << (index - 1))) < seconds:
        index += 1
    return index


class Chip:
    """An open reader.

    path, baud   the port, and the speed to work at
    bell         eventfd that cuts long waits short
    dropped()    whether nobody waits any more
    reset()      pulses the chip's reset pin, or None
    ChipError when no PN532 answers, Dropped.
    """

    def __init__(self, path: str, baud: int, bell: int, dropped: Callable[[], bool], reset: Callable[[], None] | None = None):
        self._dropped = dropped
        try:
            self._wire = Wire(path, SPEEDS[0], bell, dropped)
        except (OSError, ValueError) as error:
            kept = getattr(error, "errno", None) in (errno.EACCES, errno.EBUSY, errno.EAGAIN)
            raise ChipError("the port cannot be opened", gone=not kept) from None
        try:
            self._open(path, baud, reset)
        except BaseException:
            self._wire.close()
            raise

    def _open(self, path, baud, reset):
        usb = "ttyUSB" in path
        if not self._find(usb):
            if reset is None:
                raise self._silent()
            reset()
            if not self._find(usb):
                raise self._silent()
        try:
            self._chipset = pn532.Chipset(self._wire, logger=_silent)
            if self._wire.baudrate != baud:
                self._change_speed(baud)
            # The constructor tests the line with 262 bytes and writes the settings of the field.
            self._device = pn532.Device(self._chipset, logger=_silent)
        except ODD:
            raise ChipError("the line fails", self._wire.gone, line=baud != SPEEDS[0] and not self._wire.gone) from None
        self._timeout_index = None
        self._blocks = 0

    def _change_speed(self, baud):
        self._chipset.set_serial_baudrate(baud)
        time.sleep(len(ACK) * 10 / self._wire.baudrate)  # the ACK has to leave at the old speed
        self._wire.baudrate = baud
        time.sleep(0.001)

    def _find(self, usb):
        """Looks for the chip at each speed; leaves the wire at the right one, the chip awake and in normal mode."""
        for listen_ms in FIND_MS:
            for speed in SPEEDS:
                if self._dropped():
                    raise Dropped
                try:
                    self._wire.baudrate = speed
                    self._wire.write(WAKE + GET_VERSION)
                    first = self._wire.read(FIND_USB_MS if usb and speed == SPEEDS[0] else listen_ms)
                    if first != ACK or not self._wire.read(listen_ms)[5:].startswith(VERSION_HEAD):
                        continue
                    self._wire.write(WAKE + SAM_NORMAL)
                    if self._wire.read(100) == ACK and self._wire.read(100)[5:7] == b"\xd5\x15":
                        return True
                except OSError:
                    if self._wire.gone:
                        raise self._silent() from None
        return False

    def _silent(self):
        return ChipError("the port has gone" if self._wire.gone else "no PN532 answers", gone=self._wire.gone)

    def check(self) -> None:
        """Whether the reader is there: ChipError if not."""
        for _ in range(2):
            try:
                if self._chipset.command(0x02, b"", 0.1)[:1] == b"\x32":
                    return
            except ODD:
                pass
        raise self._silent()

    def close(self) -> None:
        """Field off, the chip at 115200 and asleep, the port closed. Never raises."""
        try:
            self.mute()
            self._device.close()
        except (*ODD, ChipError, Dropped):
            pass
        self._wire.close()

    def abandon(self) -> None:
        """Closes the port of a reader that does not answer."""
        self._wire.close()

    # The field.

    def mute(self) -> None:
        """Field off; the cards in it forget everything."""
        for _ in range(2):
            try:
                self._ask(0x32, b"\x01\x02", 0.1)
                return
            except _Glitch:
                continue
        raise self._silent()

    def seen(self) -> str:
        """The technology of each card in the field, as "A", "AB", "AA"...; "" for none. The field stays on."""
        found = ""
        for technology, data in (("A", b"\x02\x00"), ("B", b"\x02\x03\x00")):
            try:
                answer = self._ask(0x4A, data, LOOK_S)
            except _Glitch:
                continue
            found += technology * min(answer[0] if answer else 0, 2)
        return found

    def is_there(self, technology: str) -> bool:
        """After a field reset, whether any card of that technology answers. Field off again."""
        try:
            answer = self._ask(0x4A, b"\x01\x00" if technology == "A" else b"\x01\x03\x00", LOOK_S)
        except _Glitch:
            return True
        finally:
            self.mute()
        return bool(answer and answer[0])

    def activate(self, technology: str) -> "Card":
        """Field reset, then the card of that technology is made ready for APDUs. CardError("unreadable" | "retry")."""
        self.mute()
        time.sleep(FIELD_RESET_S)
        try:
            target, answer = self._activate_a() if technology == "A" else self._activate_b()
        except (_Glitch, *ODD):
            raise CardError("retry") from None
        return Card(self, target, answer)

    def _activate_a(self):
        found = self._ask(0x4A, b"\x01\x00", LOOK_S)
        if not found or not found[0]:
            raise CardError("retry")
        sak, uid_end = found[4], 6 + found[5]
        if not sak & ISO_DEP_SAK:
            raise CardError("unreadable")
        if len(found) > uid_end:
            # It has sent RATS by itself, which we had switched off: it lost its power and its settings.
            raise ChipError("the reader has started anew")
        target = nfc.clf.RemoteTarget("106A", sens_res=found[3:1:-1], sel_res=found[4:5], sdd_res=found[6:uid_end])
        answer = parse_ats(bytes(self._first(target, b"\xe0\x80")))
        return target, answer

    def _activate_b(self):
        target = self._guarded(self._device.sense_ttb, nfc.clf.RemoteTarget("106B"))
        if target is None:
            raise CardError("retry")
        answer = parse_atqb(bytes(target.sensb_res))
        if not target.sensb_res[10] & 1:
            raise CardError("unreadable")
        if not self._first(target, b"\x1d" + bytes(target.sensb_res[1:5]) + b"\x00\x08\x01\x00"):
            raise CardError("retry")
        return target, answer

    def _first(self, target, data):
        """The first frame to a card, nfcpy's way: it also sets speed and framing, which stay."""
        self._timeout_index = None
        return self._guarded(self._device.send_cmd_recv_rsp, target, bytearray(data), ACTIVATION_S)

    # Commands.

    def _ask(self, code, data, timeout_s):
        """One command -> its answer's data. _Glitch when that was lost, ChipError, Dropped."""
        if self._dropped() and timeout_s > 0.1:
            raise Dropped
        return self._guarded(self._chipset.command, code, data, timeout_s)

    def _guarded(self, call, *arguments):
        try:
            return call(*arguments)
        except OSError:
            if self._dropped():
                raise Dropped from None
            if self._wire.gone:
                raise self._silent() from None
            self.check()
            raise _Glitch from None
        except (pn532.Chipset.Error, IndexError, TypeError, ValueError, AssertionError, struct.error):
            raise _Glitch from None

    def start_apdu(self) -> None:
        """A new command begins: the count of its blocks too."""
        self._blocks = 0

    def through(self, block, seconds):
        """One block to the card -> its answer, not empty. nfcpy's CommunicationErrors, ChipError, Dropped."""
        self._blocks += 1
        if self._blocks > MAX_BLOCKS:
            raise nfc.clf.ProtocolError("too many blocks")
        index = timeout_index(seconds)
        try:
            if index != self._timeout_index:
                self._timeout_index = None
                self._ask(0x32, bytes((0x02, 0x0A, 0x0B, index)), 0.1)
                self._timeout_index = index
            answer = self._ask(0x42, block, 100e-6 * (1 << (index - 1)) + 0.1)
        except _Glitch:
            raise nfc.clf.TransmissionError("the reader lost it") from None
        status = answer[0] & 0x3F if answer else 0xFF
        if status == 0x01:
            raise nfc.clf.TimeoutError("no answer")
        if status or len(answer) < 2:
            raise nfc.clf.TransmissionError("not understood")
        return answer[1:]


class Card:
    """A card that takes APDUs."""

    def __init__(self, chip, target, answer):
        self.technology = target.brty[-1]
        self._chip = chip
        self._waiting_s = answer.waiting_s
        self.guard_s = answer.guard_s
        self._blocks = tt4.IsoDepInitiator(self, min(answer.frame_size, 256), answer.waiting_s)
        self._blocks.n_retry_ack = self._blocks.n_retry_nak = min(self._blocks.n_retry_nak, RETRIES)

    def transmit(self, apdu: bytes) -> bytes:
        """Command APDU -> response APDU, status word included. CardError("removed" | "protocol"), ChipError, Dropped."""
        self._chip.start_apdu()
        try:
            answer = bytes(self._blocks.exchange(apdu))
        except tt4.Type4TagCommandError as error:
            raise CardError("protocol" if error.errno == nfc.tag.PROTOCOL_ERROR else "removed") from None
        except nfc.clf.ProtocolError:
            raise CardError("protocol") from None
        except nfc.clf.CommunicationError:
            raise CardError("removed") from None
        except (IndexError, TypeError, ValueError):
            raise CardError("protocol") from None
        if len(answer) < 2:
            raise CardError("protocol")
        return answer

    def exchange(self, block, timeout):
        """One block, for nfcpy's IsoDepInitiator."""
        answer = self._chip.through(block, timeout)
        while answer[0] & 0xFE == 0xF2:
            multiplier = answer[1] & 0x3F if len(answer) == 2 else 0
            if not 1 <= multiplier <= 59:
                raise nfc.clf.ProtocolError("waiting time extension")
            longer_s = min(multiplier * self._waiting_s, LONGEST_WAIT_S)
            answer = self._chip.through(bytes((0xF2, multiplier)), longer_s)
        if block[0] & 0xF6 == 0xA2 and answer[0] & 0xE2 != 0x02:
            # nfcpy would take any block for the rest of a chained answer.
            raise nfc.clf.ProtocolError("an I-block was due")
        return answer
