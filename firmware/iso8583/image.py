"""What a message that cannot be read may say of itself in a log.

    0200 F2 (16 digits), F3 000000, F4 (12 digits), F11 000002; stopped in F22, 101 of 123 bytes left

A bit of the bitmap or a length that is wrong moves everything behind it, so a card number may lie in any field. So a value is
shown only where its field has no mask and it is short; and never are more than ten digits shown that follow each other on the
wire, which is what may be shown of a card number anyway.
"""

SHORT = 8  # characters of a value that is shown
TOGETHER = 10  # digits in a row
FIELDS = 40  # that are named


def image(mti: str, fields: dict, table: dict, stopped: int, left: int, size: int) -> str:
    """One line. fields: {number: value} read so far; stopped: the field that could not be read; left, size: bytes."""
    parts = []
    shown = 0
    for number in sorted(fields)[:FIELDS]:
        value = fields[number]
        mask = table[number][1] if number in table else "hide"
        if isinstance(value, str) and not mask and len(value) <= SHORT and shown + len(value) <= TOGETHER and _plain(value):
            shown += len(value)
            parts.append("F%d %s" % (number, value))
        else:
            shown = 0 if value else shown
            unit = "bytes" if not isinstance(value, str) else "digits" if value.isdigit() else "characters"
            parts.append("F%d (%d %s)" % (number, len(value), unit))
    head = mti if len(mti) == 4 and mti.isdigit() else "????"
    return "%s %s; stopped in F%d, %d of %d bytes left" % (head, ", ".join(parts) or "no field", stopped, left, size)


def _plain(value: str) -> bool:
    return all([32 <= ord(character) < 127 for character in value])
