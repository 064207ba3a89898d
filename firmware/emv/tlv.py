"""BER-TLV as EMV uses it: bytes in, an ordered list of (tag, value) out, and back.

    tag      integer as it is written: 0x9F26, 0x5A, 0x9F8201; at most four bytes
    value    bytes of a primitive object, a list of (tag, value) of a constructed one
    order    kept, and so are unknown tags and repeated ones: what they mean is the caller's business

Between objects 00 and FF are padding (ISO/IEC 7816-4, 5.2.2), so no tag begins with either. Definite lengths only, in
up to four bytes, not necessarily the shortest. Depth and size are bounded and the work is linear in the size.

Source: EMV Book 3, Annex B.
"""

from binascii import unhexlify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Tree = list[tuple[int, Any]]  # Any: bytes, or a Tree

MAX_DEPTH = 8
MAX_SIZE = 65535


class TlvError(ValueError):
    """Bytes that are no BER-TLV, or a tree that has no coding. The text names the place, never the value."""


def decode(data: "bytes | bytearray") -> "Tree":
    """Every object in `data`, in order. Raises TlvError."""
    size = len(data)
    if size > MAX_SIZE:
        raise TlvError("%d bytes, at most %d" % (size, MAX_SIZE))
    return _decode(bytes(data), 0, size, MAX_DEPTH)


def _decode(data: bytes, at: int, end: int, depth: int) -> "Tree":
    if depth < 0:
        raise TlvError("nested too deep at %d" % at)
    tree: Tree = []
    try:
        while at < end:
            first = tag = data[at]
            at += 1
            if first & 31 == 31:
                if first == 0xFF:
                    continue
                more = data[at]
                at += 1
                tag = tag << 8 | more
                while more & 0x80:
                    if tag > 0xFFFFFF:
                        raise TlvError("tag too long at %d" % at)
                    more = data[at]
                    at += 1
                    tag = tag << 8 | more
            elif not first:
                continue
            length = data[at]
            at += 1
            if length > 127:
                count = length & 127
                if not 0 < count < 5:
                    raise TlvError("length form %02X at %d" % (length, at - 1))
                length = 0
                while count:
                    length = length << 8 | data[at]
                    at += 1
                    count -= 1
            stop = at + length
            if stop > end:
                raise TlvError("tag %X runs past the end at %d" % (tag, at))
            if first & 32:
                tree.append((tag, _decode(data, at, stop, depth - 1)))
            else:
                tree.append((tag, data[at:stop]))
            at = stop
    except IndexError:
        raise TlvError("cut off at %d" % at)
    return tree


def encode(tree: "Tree") -> bytes:
    """The shortest coding of a tree. A constructed tag may also carry bytes: contents coded already. Raises TlvError."""
    return _encode(tree, MAX_DEPTH)


def _encode(tree: "list | tuple", depth: int) -> bytes:
    if depth < 0:
        raise TlvError("nested too deep")
    parts = []
    for tag, value in tree:
        name = tag_bytes(tag)
        if isinstance(value, (list, tuple)):
            if not name[0] & 32:
                raise TlvError("tag %X is primitive and holds no objects" % tag)
            value = _encode(value, depth - 1)
        parts.append(name)
        parts.append(length_bytes(len(value)))
        parts.append(value)
    return b"".join(parts)


def tag_bytes(tag: int) -> bytes:
    """A tag as it is written. Raises TlvError for an integer that is no tag."""
    size = 1
    while size < 4 and tag >> (8 * size):
        size += 1
    if tag <= 0 or tag >> 32:
        raise TlvError("no tag: %d" % tag)
    name = tag.to_bytes(size, "big")
    well_formed = name[0] != 0xFF and (name[0] & 31 == 31) == (size > 1)
    for at in range(1, size):
        well_formed = well_formed and (name[at] > 127) == (at < size - 1)
    if not well_formed:
        raise TlvError("no tag: %X" % tag)
    return name


def parse_tag(text: str) -> int:
    """A tag as people write it, "9F26". Raises TlvError for what is none."""
    try:
        tag = int.from_bytes(unhexlify(text), "big")
    except (ValueError, TypeError):
        raise TlvError("no tag: not hex")
    tag_bytes(tag)
    return tag


def length_bytes(length: int) -> bytes:
    """The shortest length field. Raises TlvError past MAX_SIZE."""
    if length < 128:
        return bytes((length,))
    if length < 256:
        return bytes((0x81, length))
    if length <= MAX_SIZE:
        return bytes((0x82, length >> 8, length & 255))
    raise TlvError("%d bytes, at most %d" % (length, MAX_SIZE))


def find(tree: "Tree", tag: int) -> "Any":
    """The value (bytes, or a list) of the first object with this tag, depth first; None when there is none."""
    for name, value in tree:
        if name == tag:
            return value
        if isinstance(value, list):
            found = find(value, tag)
            if found is not None:
                return found
    return None


def find_all(tree: "Tree", tag: int) -> "list[Any]":
    """The values of all objects with this tag, depth first. An object inside a found one is not looked for."""
    found = []
    for name, value in tree:
        if name == tag:
            found.append(value)
        elif isinstance(value, list):
            found.extend(find_all(value, tag))
    return found


def primitives(tree: "Tree") -> "list[tuple[int, bytes]]":
    """All primitive objects in order, the templates around them left out."""
    flat = []
    for name, value in tree:
        if isinstance(value, list):
            flat.extend(primitives(value))
        else:
            flat.append((name, value))
    return flat
