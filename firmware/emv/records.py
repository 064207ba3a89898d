"""From the selected application to its data: GET PROCESSING OPTIONS, the file locator, the records.

    options    the PDOL's values, or none -> AIP (82) and file locator (94), as 80 {AIP, locator} or 77 {82, 94, ...}
    locator    four bytes a file: number << 3, first record, last record, how many of them are to be authenticated
    records    files 1-10: one template 70, whose objects become the card's data; 11-30: the issuer's own
    static     what data authentication covers, in the locator's order: of files 1-10 what is inside of 70, of 11-30 the
               whole record; a record that is no template 70 makes authentication fail and nothing else

The card may say no object twice in its records, and one that need not be there says nothing without a value. What a
record says goes before what the FCI or the options said, but the card cannot change its profile, its locator or its
name so.

Source: EMV Book 3, 7, 10.1, 10.2 and 10.3.
"""

from binascii import hexlify

from firmware.emv import apdu, card, dol, tags, tlv, track2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Step
    from firmware.emv.data import Data
    from firmware.emv.outcome import Outcome

MAX_RECORDS = 96
OWN_FORMAT = 11  # files from here on are not of EMV's format

EXPIRY, NUMBER, CDOL_1, CDOL_2 = 0x5F24, 0x5A, 0x8C, 0x8D
MANDATORY = (EXPIRY, NUMBER, CDOL_1, CDOL_2)  # EMV Book 3, table 26
FIXED = (0x82, 0x84, 0x94)
KEPT_EMPTY = MANDATORY + (0x9F4A,)  # an empty list of what is signed is a wrong one

CONDITIONS_NOT_SATISFIED = 0x6985


def fci(data: "Data", tree: "tlv.Tree") -> None:
    """What the application said when it was selected; an object that comes twice counts once."""
    for tag, value in tlv.primitives(tree):
        data.said.setdefault(tag, value)


def options(data: "Data") -> "Step":
    """GET PROCESSING OPTIONS; AIP and locator are in `data.said` afterwards, what was sent in `data.pdol`.

    Ends with "gpo-refused" (6985: another application may do), "refused", "malformed", "missing". Raises TlvError,
    DolError: a PDOL that cannot be answered is found before anything is sent.
    """
    asked = data.said.get(0x9F38, b"")
    data.pdol = dol.build(dol.parse(asked, dol.MAX_OPTIONS), data.values())
    answer, status = yield from card.exchange(apdu.get_processing_options(data.pdol))
    if status != apdu.OK:
        raise card.Ended("gpo-refused" if status == CONDITIONS_NOT_SATISFIED else "refused")
    said: dict[int, bytes] = {}
    card.take(said, processing_options(answer))
    data.said.update(said)


def processing_options(answer: bytes) -> "tlv.Tree":
    """The objects of the answer in either format. Ends with "malformed". Raises TlvError."""
    tree = tlv.decode(answer)
    if len(tree) == 1 and tree[0][0] == 0x77:
        return tree[0][1]
    if len(tree) == 1 and tree[0][0] == 0x80 and len(tree[0][1]) >= 2:
        return [(0x82, tree[0][1][:2]), (0x94, tree[0][1][2:])]
    raise card.Ended("malformed")


def read(data: "Data", mandatory: "tuple[int, ...]" = MANDATORY) -> "Step":
    """Reads all records of the locator into `data.said` and `data.static`.

    Ends with "missing" (a profile, a locator, or one of `mandatory`), "malformed", "refused" or "endless". Raises TlvError.
    """
    need(data.said, 0x82, 2)
    locator = data.said.get(0x94, b"")
    if not locator:
        raise card.Ended("missing")
    if len(locator) % 4:
        raise card.Ended("malformed")
    said: dict[int, bytes] = {}
    loose: dict[int, bytes] = {}
    static = []
    count = 0
    for at in range(0, len(locator), 4):
        head, first, last, proven = locator[at : at + 4]
        file = head >> 3
        if head & 7 or not 1 <= file <= 30 or not 1 <= first <= last or proven > last - first + 1:
            raise card.Ended("malformed")
        count += last - first + 1
        if count > MAX_RECORDS:
            raise card.Ended("endless")
        for number in range(first, last + 1):
            answer, status = yield from card.exchange(apdu.read_record(file, number))
            if status != apdu.OK:
                raise card.Ended("refused")
            if file < OWN_FORMAT:
                card.take(said, card.template(answer, 0x70))
            else:
                _take_loosely(loose, answer)
            if number - first < proven:
                covered = proven_part(answer, file)
                if covered is None:
                    data.static_fits = False
                else:
                    static.append(covered)
    for tag in loose:
        said.setdefault(tag, loose[tag])
    for tag in said:
        if tag not in FIXED and (said[tag] or tag in KEPT_EMPTY):
            data.said[tag] = said[tag]
    data.static = b"".join(static)
    for tag in mandatory:
        if tag not in data.said:
            raise card.Ended("missing")


def proven_part(record: bytes, file: int) -> "bytes | None":
    """What data authentication covers of a record; None for a record that is no template 70."""
    if len(record) < 2 or record[0] != 0x70:
        return None
    size, start = record[1], 2
    if size > 127:
        start += size & 127
        if not 2 < start <= 6 or len(record) < start:
            return None
        size = int.from_bytes(record[2:start], "big")
    if start + size > len(record):
        return None
    return record[0 if file >= OWN_FORMAT else start : start + size]


def _take_loosely(values: "dict[int, bytes]", record: bytes) -> None:
    """The objects of a record whose format is not EMV's, where it has any."""
    try:
        tree = tlv.decode(record)
    except tlv.TlvError:
        return
    if len(tree) == 1 and tree[0][0] == 0x70:
        for tag, value in tlv.primitives(tree):
            values.setdefault(tag, value)


def need(said: "dict[int, bytes]", tag: int, size: int) -> None:
    """Ends with "missing" without the object, with "malformed" where it has another size."""
    if tag not in said:
        raise card.Ended("missing")
    if len(said[tag]) != size:
        raise card.Ended("malformed")


def identify(outcome: "Outcome", said: "dict[int, bytes]", label: str = "") -> None:
    """Who this card is: card number, track, expiry, sequence number, service code, application and its name.

    label: the name that is shown for the application, in place of the card's 50. The number in 5A and the one in track 2
    must agree. An expiry date that is none is left empty: it counts as expired.
    Ends with "malformed". Raises Track2Error.
    """
    outcome.aid = hexlify(said.get(0x84, b"")).decode().upper()
    outcome.label = tags.text(label.encode() or said.get(0x50, b"")).strip()[:16]
    if 0x57 in said:
        outcome.pan, outcome.expiry, outcome.service, outcome.track2 = track2.parse(said[0x57])
    if 0x5A in said:
        number = track2.card_number(track2.compressed(said[0x5A]))
        if outcome.pan and outcome.pan != number:
            raise card.Ended("malformed")
        outcome.pan = number
    if 0x5F24 in said:
        date = hexlify(said[0x5F24]).decode()
        outcome.expiry = date[:4] if len(date) == 6 and date.isdigit() and 1 <= int(date[2:4]) <= 12 else ""
    if 0x5F34 in said:
        need(said, 0x5F34, 1)
        sequence = hexlify(said[0x5F34]).decode()
        if not sequence.isdigit():
            raise card.Ended("malformed")
        outcome.sequence = "0" + sequence
