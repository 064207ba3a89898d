"""What passes between terminal and card, in words and masked: for a technician's log.

    command(apdu)     one line                              "READ RECORD 1 of file 1"
    response(bytes)   the status, then one line an object   ["9000 ok, 84 bytes", "70 Record", "  5A Application PAN: ..."]

Nothing is shown that `tags` masks; data that are no TLV are shown by length only.
"""

from binascii import hexlify

from firmware.emv import apdu as commands
from firmware.emv import tags, tlv

_NAMES = {
    0x20: "VERIFY",
    0x82: "EXTERNAL AUTHENTICATE",
    0x84: "GET CHALLENGE",
    0x88: "INTERNAL AUTHENTICATE",
    0xA4: "SELECT",
    0xA8: "GET PROCESSING OPTIONS",
    0xAE: "GENERATE AC",
    0xB2: "READ RECORD",
    0xC0: "GET RESPONSE",
    0xCA: "GET DATA",
}


def command(apdu: bytes) -> str:
    """A command APDU as one line."""
    if len(apdu) < 4:
        return "no command (%d bytes)" % len(apdu)
    instruction, first, second = apdu[1], apdu[2], apdu[3]
    data = apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
    name = _NAMES.get(instruction, "command %02X %02X" % (apdu[0], instruction))
    if instruction == 0xA4 and first == 4:
        shown = tags.text(data) if data[:1].isdigit() else hexlify(data).decode().upper()
        return "%s %s%s" % (name, shown, " (next)" if second & 3 == 2 else "")
    if instruction == 0xB2:
        return "%s %d of file %d" % (name, first, second >> 3)
    if instruction == 0xCA:
        tag = first << 8 | second
        return "%s %X %s" % (name, tag, tags.name_of(tag))
    return "%s (%d bytes)" % (name, len(data)) if data else name


def response(data: bytes) -> "list[str]":
    """A response APDU as lines."""
    if len(data) < 2:
        return ["no response (%d bytes)" % len(data)]
    lines = [commands.status_word(data[-2] << 8 | data[-1])]
    if len(data) > 2:
        lines[0] += ", %d bytes" % (len(data) - 2)
        try:
            lines.extend(tags.describe(data[:-2]))
        except tlv.TlvError:
            lines.append("no TLV")
    return lines
