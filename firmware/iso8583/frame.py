"""What travels around a message on TCP, and how a stream is cut back into frames.

    length (2 bytes, big-endian, not counting itself) | TPDU (5) | header (6) | message

    TPDU      60, destination (2 bytes BCD), source (2 bytes BCD). A reply has the addresses swapped, or not: hosts
              do both, so it is never a reason to refuse.
    header    12 digits: application class 2, software version 2, terminal status 1, requirement 1, sub-version 6.
              In a reply the requirement says what the host wants to be done after this transaction. Some links
              have no header.

TCP gives any split and any merge of what was sent. A length that cannot be right ends the stream: there is no way to
find the next frame behind it.

Source: reference/host.md §1.
"""

from collections import namedtuple

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
    """Cuts a stream of bytes into frames.

    feed(data) as they come, then next() until it gives None; finish() when the other side has closed.
    After a FrameError every further call raises it again.
    """

    def __init__(self, header_size: int = HEADER_SIZE, limit: int = FRAME_LIMIT) -> None:
        self._least = TPDU_SIZE + header_size + MESSAGE_LEAST
        self._header_end = 2 + TPDU_SIZE + header_size
        self._limit = limit
        self._data = b""
        self._position = 0
        self._failure = ""

    def feed(self, data: bytes) -> None:
        """Takes what came. Raises FrameError when more is waiting than a frame may have, and nobody asked for it."""
        self._check()
        self._data += data
        if len(self._data) > 8 * (self._limit + 2):
            self._fail("%d bytes wait" % len(self._data))

    def next(self) -> "Frame | None":
        """The next whole frame, or None until more has come. Raises FrameError for a length that cannot be right."""
        self._check()
        data = self._data
        if len(data) < 2:
            return None
        size = data[0] << 8 | data[1]
        if size < self._least or size > self._limit:
            self._fail("length %d" % size)
        if len(data) < 2 + size:
            return None
        end = 2 + size
        self._data = data[end:]
        self._position += end
        return Frame(data[2 : 2 + TPDU_SIZE], data[2 + TPDU_SIZE : self._header_end], data[self._header_end : end])

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
