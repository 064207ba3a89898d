"""Bytes, however they were copied out of a log or a capture, to messages: what is around one is found by trying.

    length, TPDU, header, message      any of the first three may be missing, and all may come several times over

A link's framing says how its parts look; which of them were copied along is not said by the bytes, so each shape is tried and
the first in which everything fits is taken. A length that does not fit is told and passed over: logs have them.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from firmware.iso8583 import dialects
from firmware.iso8583.codec import Codec, Iso8583Error
from firmware.iso8583.frame import FrameError, Framing

LARGEST = 1_000_000
# length, TPDU, header: tried in this order
SHAPES = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (0, 0, 0), (1, 0, 0))
PARTS = ("length", "tpdu", "header")


class Unreadable(Exception):
    """Nothing that can be read; the text says where and why, and quotes nothing."""


class NoMessage(Unreadable):
    """Bytes, but no message of this dialect in them."""


class Link(NamedTuple):
    """How a host speaks. shape: which parts of the framing stand in front (length, TPDU, header), None to find out."""

    name: str
    codec: Codec
    framing: Framing
    shape: tuple[int, int, int] | None = None


class Found(NamedTuple):
    """A message and what was around it; b"" for a part that was not there."""

    length: bytes
    tpdu: bytes
    header: bytes
    body: bytes
    mti: str
    fields: dict[int, Any]
    remark: str = ""

    def around(self, body: bytes) -> bytes:
        """Another body of the same size in the same place."""
        return self.length + self.tpdu + self.header + body


def link(dialect: str, quirks: str | None, shape: str) -> Link:
    """The link of the options. Raises Unreadable."""
    try:
        name, codec, framing = dialects.profile(_profile(dialect, quirks))
    except ValueError as error:
        raise Unreadable(str(error)) from error
    return Link(name, codec, framing, _shape(shape))


def _profile(dialect: str, path: str | None) -> dict[str, Any]:
    if path is None:
        return {"dialect": dialect or "unionpay"}
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(LARGEST))
    except OSError as error:
        raise Unreadable("--quirks %s: %s" % (path, error.strerror)) from error
    except (ValueError, RecursionError) as error:
        raise Unreadable("--quirks %s: no JSON" % path) from error
    if isinstance(content, dict) and content and all(key.isdigit() for key in content):
        content = {"fields": content}
    if not isinstance(content, dict):
        raise Unreadable('--quirks %s: a table like {"62": "b...499 halves"}, or a profile' % path)
    if dialect and content.get("dialect", dialect) != dialect:
        raise Unreadable("--quirks %s: is of another dialect than --dialect" % path)
    return {**content, "dialect": content.get("dialect", dialect or "unionpay")}


def _shape(text: str) -> tuple[int, int, int] | None:
    if text == "auto":
        return None
    words = [] if text == "none" else text.split(",")
    if len(set(words)) != len(words) or not set(words) <= set(PARTS):
        raise Unreadable("--frame: auto, none, or some of length,tpdu,header")
    return tuple(int(part in words) for part in PARTS)  # type: ignore[return-value]


def hexadecimal(text: str) -> bytes | None:
    """Bytes of hex with blanks, colons or 0x between, or None."""
    compact = re.sub(r"0x|[\s:,]", "", text)
    if not compact or not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", compact):
        return None
    return bytes.fromhex(compact)


def messages(data: bytes, link: Link) -> list[Found]:
    """Every message in what was given: hex in any layout, one a line or one in all, or the bytes themselves.

    Raises Unreadable: NoMessage when the bytes hold none of this dialect.
    """
    readings = list(_readings(data))
    failures = []
    for chunks in readings:
        try:
            return [found for chunk in chunks for found in _of_bytes(chunk, link)]
        except NoMessage as error:
            failures.append(error)
    if not failures:
        raise Unreadable("nothing in it")
    raise failures[0]


def _readings(data: bytes):
    """What the input may mean, likely things first: lists of chunks of bytes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    whole = hexadecimal(text)
    lines = [line.split("#", 1)[0].strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    each = [hexadecimal(line) for line in lines]
    if whole is not None:
        yield [whole]
    if len(lines) > 1 and each and None not in each:
        yield each
    elif len(each) == 1 and each[0] is not None and whole is None:
        yield each
    if text.strip("\r\n") and whole is not None:
        yield [text.strip("\r\n").encode()]
    if data and whole is None:
        yield [data]


def _of_bytes(data: bytes, link: Link) -> list[Found]:
    if link.shape is None or link.shape[0]:
        several = _stream(data, link)
        if len(several) > 1:
            return several
    return [_one(data, link)]


def _stream(data: bytes, link: Link) -> list[Found]:
    """Whole frames one behind the other, or nothing."""
    if not link.framing.length_size:
        return []
    deframer = link.framing.deframer()
    found = []
    try:
        for begin in range(0, len(data), 1024):
            deframer.feed(data[begin : begin + 1024])
            while (got := deframer.next()) is not None:
                mti, fields = link.codec.unpack(got.body)
                head = link.framing.pack(*got)[: link.framing.length_size]
                found.append(Found(head, got.tpdu, got.header, got.body, mti, fields))
        deframer.finish()
    except (FrameError, Iso8583Error):
        return []
    return found


def _one(data: bytes, link: Link) -> Found:
    shapes = [link.shape] if link.shape else list(SHAPES)
    furthest: tuple[float, str] = (-1.0, "too short")
    for patient in (False, True):
        for shape in shapes:
            cut = _cut(data, link.framing, shape, patient)
            if cut is None:
                continue
            length, tpdu, header, body, remark = cut
            try:
                mti, fields = link.codec.unpack(body)
            except Iso8583Error as error:
                likely = _likely(tpdu) + (error.position or 0) / max(1, len(body)) + error.image.count(", F")
                if likely > furthest[0]:
                    furthest = (likely, "%s (%s)" % (error, error.image))
                continue
            return Found(length, tpdu, header, body, mti, fields, remark)
    raise NoMessage("no message of %s in %d bytes: %s" % (link.name, len(data), furthest[1]))


def _likely(tpdu: bytes) -> float:
    return 10.0 if tpdu[:1] == b"\x60" else 0.0


def _cut(data: bytes, framing: Framing, shape: tuple[int, int, int], patient: bool):
    """(length, TPDU, header, body, remark) in this shape, or None. patient: with a length that does not fit."""
    size = framing.length_size if shape[0] else 0
    # What was copied along may be more than the framing of this dialect has.
    tpdu = size + (5 if shape[1] else 0)
    header = tpdu + (6 if shape[2] else 0)
    if len(data) < header + 4 or (shape[0] and not size):
        return None
    remark = ""
    if size:
        told = framing.size_of(data)
        if told != len(data) - size:
            if not patient:
                return None
            remark = "the length says %s, %d bytes follow" % (told if told >= 0 else "nothing", len(data) - size)
    elif patient:
        return None
    return data[:size], data[size:tpdu], data[tpdu:header], data[header:], remark
