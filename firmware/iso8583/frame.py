"""What travels around a message on TCP, and how a stream is cut back into frames.

    length (2 bytes, big-endian, not counting itself) | TPDU (5) | header (6) | message

    TPDU      60, destination (2 bytes BCD), source (2 bytes BCD). A reply has the addresses swapped, or not: hosts
              do both, so it is never a reason to refuse.
    header    12 digits: application class 2, software version 2, terminal status 1, requirement 1, sub-version 6.
              In a reply the requirement says what the host wants to be done after this transaction. Some links
              have no header.

TCP gives any split and any merge of what was sent. A length that cannot be right ends the stream: there is no way to
find the next frame behind it.

That is `Framing()`, what UnionPay terminals and hosts speak. Other links leave parts out, or write the length otherwise:

    length    "binary" 2 bytes; "packed" 2 bytes, four digits; "ascii" four characters; "none", for links whose own packets are
              the frames (a dial-up line, a POST)
    counts_itself   the length counts its own bytes too
    tpdu_size, header_size   5 or 0, 6 or 0
    swaps     whether a host answers with the addresses of the TPDU swapped

Source: reference/host.md §1.
"""

from binascii import hexlify, unhexlify
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TPDU_SIZE = 5
HEADER_SIZE = 6
MESSAGE_LEAST = 10  # message type and bitmap
FRAME_LIMIT = 4096  # bytes behind the length

REQUIREMENTS = {
    0: "none",
    1: "parameters",
    2: "status-upload",
    3: "sign-on",
    4: "card-keys",
    5: "card-applications",
    6: "program",
    7: "blacklist",
    8: "currency-rates",
    9: "contactless-limits",
}

Frame = namedtuple("Frame", ("tpdu", "header", "body"))  # three times bytes


class FrameError(ValueError):
    """Bytes that are no frame. position: offset in the stream of the frame's first byte."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__("frame at %d: %s" % (position, why))
        self.position = position
        self.why = why


def pack(tpdu: bytes, header: bytes, body: bytes) -> bytes:
    """One frame, length included: tpdu 5 bytes, header 6 (0 where the link has none), body the message."""
    if len(tpdu) != TPDU_SIZE or len(header) not in (0, HEADER_SIZE):
        raise FrameError(0, "the TPDU has 5 bytes, the header 6")
    size = len(tpdu) + len(header) + len(body)
    if len(body) < MESSAGE_LEAST or size > FRAME_LIMIT:
        raise FrameError(0, "%d bytes do not fit" % size)
    return bytes((size >> 8, size & 255)) + tpdu + header + body


# How a length is written -> its bytes.
LENGTHS = {"binary": 2, "packed": 2, "ascii": 4, "none": 0}


class Framing:
    """How the frames of a link look. Without arguments: UnionPay's. ValueError for what is none."""

    def __init__(
        self,
        length: str = "binary",
        tpdu_size: int = TPDU_SIZE,
        header_size: int = HEADER_SIZE,
        counts_itself: bool = False,
        swaps: bool = True,
        limit: int = FRAME_LIMIT,
    ) -> None:
        if length not in LENGTHS:
            raise ValueError("length: one of %s" % ", ".join(sorted(LENGTHS)))
        if tpdu_size not in (0, TPDU_SIZE) or header_size not in (0, HEADER_SIZE):
            raise ValueError("the TPDU has 5 bytes or none, the header 6 or none")
        self.length = length
        self.length_size = LENGTHS[length]
        self.tpdu_size = tpdu_size
        self.header_size = header_size
        self.own = self.length_size if counts_itself else 0
        self.swaps = swaps
        self.limit = limit

    def pack(self, tpdu: bytes, header: bytes, body: bytes) -> bytes:
        """One frame. FrameError for parts of another size than this link has."""
        if len(tpdu) != self.tpdu_size or len(header) != self.header_size:
            raise FrameError(0, "this link has a TPDU of %d bytes and a header of %d" % (self.tpdu_size, self.header_size))
        size = len(tpdu) + len(header) + len(body)
        if len(body) < MESSAGE_LEAST or size > self.limit:
            raise FrameError(0, "%d bytes do not fit" % size)
        return self._length(size + self.own) + tpdu + header + body

    def unpack(self, data: bytes) -> Frame:
        """The parts of one whole frame. FrameError when it is not exactly one."""
        data = bytes(data)
        begin = self.length_size
        if begin:
            size = self.size_of(data) if len(data) >= begin else -1
            if size != len(data) - begin:
                raise FrameError(0, "length %d, %d bytes came" % (size, len(data) - begin) if size >= 0 else "no length")
        if len(data) - begin < self.least or len(data) - begin > self.limit:
            raise FrameError(0, "%d bytes are no frame" % len(data))
        return self.parts(data)

    def deframer(self) -> "Deframer":
        """For a stream of such frames."""
        return Deframer(framing=self)

    def answering(self, tpdu: bytes) -> bytes:
        """The TPDU of a host's reply on this link."""
        return answering(tpdu) if self.swaps else tpdu

    @property
    def least(self) -> int:
        """Bytes behind the length of the shortest frame."""
        return self.tpdu_size + self.header_size + MESSAGE_LEAST

    def size_of(self, data: bytes) -> int:
        """Bytes behind the length that `data` begins with; -1 when it is no length."""
        if self.length == "binary":
            return (data[0] << 8 | data[1]) - self.own
        digits = hexlify(data[:2]) if self.length == "packed" else data[:4]
        return int(digits) - self.own if digits.isdigit() else -1

    def parts(self, data: bytes) -> Frame:
        """A frame that begins with its length and is whole, cut."""
        tpdu = self.length_size + self.tpdu_size
        header = tpdu + self.header_size
        return Frame(data[self.length_size : tpdu], data[tpdu:header], data[header:])

    def _length(self, size: int) -> bytes:
        if self.length == "binary":
            return bytes((size >> 8, size & 255))
        digits = b"%04d" % size
        return unhexlify(digits) if self.length == "packed" else digits[: self.length_size]


# Name in a profile -> (attribute of Framing, values)
_SETTINGS: "dict[str, tuple[str, dict[Any, Any]]]" = {
    "length": ("length", {name: name for name in LENGTHS}),
    "tpdu": ("tpdu_size", {True: TPDU_SIZE, False: 0}),
    "header": ("header_size", {True: HEADER_SIZE, False: 0}),
    "counts_itself": ("counts_itself", {True: True, False: False}),
    "swaps": ("swaps", {True: True, False: False}),
}


def framing(value: "dict[str, Any]", usual: "Framing | None" = None) -> Framing:
    """A Framing of its JSON form {"length": "ascii", "tpdu": false, "header": false, "counts_itself": false, "swaps": true}.

    What is not named is as in `usual`. ValueError names what is wrong.
    """
    usual = usual or Framing()
    if not isinstance(value, dict):
        raise ValueError("takes a table of %s" % ", ".join(sorted(_SETTINGS)))
    made: "dict[str, Any]" = {
        "length": usual.length,
        "tpdu_size": usual.tpdu_size,
        "header_size": usual.header_size,
        "counts_itself": bool(usual.own),
        "swaps": usual.swaps,
    }
    for name, one in value.items():
        if name not in _SETTINGS:
            raise ValueError("%s: one of %s" % (str(name)[:20], ", ".join(sorted(_SETTINGS))))
        attribute, values = _SETTINGS[name]
        wanted = [key for key in values if key is one or isinstance(one, str) and key == one]
        if not wanted:
            raise ValueError("%s: one of %s" % (name, ", ".join(sorted([str(key) for key in values]))))
        made[attribute] = values[wanted[0]]
    return Framing(**made)


def requirement(header: bytes) -> str:
    """What the host wants to be done after this transaction, one of REQUIREMENTS; "none" without a header."""
    return REQUIREMENTS.get(header[2] & 15, "none") if len(header) == HEADER_SIZE else "none"


def require(header: bytes, digit: int) -> bytes:
    """`header` with the requirement set to `digit`, 0 to 9: the host's side."""
    if len(header) != HEADER_SIZE:
        return header
    return header[:2] + bytes((header[2] & 0xF0 | digit,)) + header[3:]


def answering(tpdu: bytes) -> bytes:
    """The TPDU of a reply: the addresses swapped."""
    return tpdu[:1] + tpdu[3:5] + tpdu[1:3]


class Deframer:
    """Cuts a stream of bytes into frames: UnionPay's, with or without header, or those of `framing`.

    feed(data) as they come, then next() until it gives None; finish() when the other side has closed.
    After a FrameError every further call raises it again.
    """

    def __init__(self, header_size: int = HEADER_SIZE, limit: int = FRAME_LIMIT, framing: "Framing | None" = None) -> None:
        self._framing = framing or Framing(header_size=header_size, limit=limit)
        if not self._framing.length_size:
            raise ValueError("a stream without lengths has no frames")
        self._data = b""
        self._position = 0
        self._failure = ""

    def feed(self, data: bytes) -> None:
        """Takes what came. Raises FrameError when more is waiting than a frame may have, and nobody asked for it."""
        self._check()
        self._data += data
        if len(self._data) > 8 * (self._framing.limit + 4):
            self._fail("%d bytes wait" % len(self._data))

    def next(self) -> "Frame | None":
        """The next whole frame, or None until more has come. Raises FrameError for a length that cannot be right."""
        self._check()
        data = self._data
        framing = self._framing
        begin = framing.length_size
        if len(data) < begin:
            return None
        size = framing.size_of(data)
        if size < framing.least or size > framing.limit:
            self._fail("length %d" % size if size >= 0 else "no length")
        end = begin + size
        if len(data) < end:
            return None
        self._data = data[end:]
        self._position += end
        return framing.parts(data[:end])

    def finish(self) -> None:
        """No more bytes will come. Raises FrameError when a frame was begun and not ended."""
        self._check()
        if self._data:
            self._fail("cut short, %d bytes came" % len(self._data))

    def _check(self) -> None:
        if self._failure:
            raise FrameError(self._position, self._failure)

    def _fail(self, why: str) -> None:
        self._failure = why
        self._data = b""
        raise FrameError(self._position, why)
