"""Which application of a chip card is used, by contacts.

    directory    SELECT 1PAY.SYS.DDF01, its records until 6A83; anything odd about it, or nothing in it that the
                 terminal knows, and the names are tried instead
    names        SELECT each name of the terminal; where the card's is longer, the next one that begins so; longer ones count
                 where they may
    choice       best priority first; the holder chooses among several, and confirms one that wants it
    selection    SELECT the chosen one; an application that does not answer as it must is dropped, the others are
                 offered again

    status of SELECT    6A81  the card is blocked, or knows no selection: the end
                        6283  this application is blocked: not in the list
                        others than 9000: not there

Source: EMV Book 1, 12.3 and 12.4; Book 4, 11.3.
"""

from binascii import hexlify

from firmware.emv import apdu, ask, card, tags, tlv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Step
    from firmware.emv.data import Data
    from firmware.emv.settings import Application, Settings

MAX_CANDIDATES = 32
MAX_RECORDS = 32  # of the directory; the standard has ten

BLOCKED, NO_SELECTION, NO_RECORD = 0x6283, 0x6A81, 0x6A83
LAST = 16  # priority of an application that names none
LATIN_1 = 1  # the code table that the terminal can show beyond the common character set


class Candidate:
    """An application that card and terminal share.

    application   the terminal's row             name       the card's name for it, 5..16 bytes
    priority      1 (first) .. 15, or LAST       confirm    the holder confirms it even where it is the only one
    label, preferred, table     50, 9F12 and 9F11 as the card has them, b"" for none
    """

    def __init__(self, application: "Application", name: bytes, fields: "dict", table: bytes = b"") -> None:
        rank = fields.get(0x87, b"")[:1] or b"\x00"
        self.application = application
        self.name = name
        self.priority = rank[0] & 15 or LAST
        self.confirm = bool(rank[0] & 0x80)
        self.label = fields.get(0x50, b"")
        self.preferred = fields.get(0x9F12, b"")
        self.table = fields.get(0x9F11, table)

    def shown(self, settings: "Settings") -> str:
        """What the holder is shown: the preferred name where it can be shown, or the label, or the name in hex."""
        return (
            shown(self.preferred, self.table, self.label, settings.terminal.get(0x9F40, b""))
            or hexlify(self.name).decode().upper()
        )


class Selected:
    """An application that answered: its candidate, and its FCI as a tree."""

    def __init__(self, candidate: Candidate, fci: "tlv.Tree") -> None:
        self.candidate = candidate
        self.fci = fci


def shown(preferred: bytes, table: bytes, label: bytes, capabilities: bytes) -> str:
    """A name to show (EMV Book 4, 11.3), "" for none. table: 9F11; capabilities: 9F40 of the terminal."""
    if preferred and len(table) == 1 and _has_table(capabilities, table[0]):
        name = "".join([chr(byte) for byte in preferred if 32 <= byte < 127 or byte > 160])
        if table[0] == LATIN_1 or name == tags.text(preferred):
            name = name.strip()
            if name:
                return name
    return tags.text(label).strip()


def name_of(data: "Data") -> str:
    """A name to show for the application that was selected, "" for none."""
    said = data.said
    return shown(said.get(0x9F12, b""), said.get(0x9F11, b""), said.get(0x50, b""), data.settings.terminal.get(0x9F40, b""))


def _has_table(capabilities: bytes, index: int) -> bool:
    """Whether the additional terminal capabilities have code table `index`, 1..10 (9F40, bytes 4 and 5)."""
    if len(capabilities) < 5 or not 1 <= index <= 10:
        return False
    return bool((capabilities[3] << 8 | capabilities[4]) >> (index - 1) & 1)


def candidates(settings: "Settings") -> "Step":
    """Asks the card for what it has: the Candidates, best first.

    Ends with "card-blocked", "blocked" (all that fit are), "no-chip-application" or "lost".
    """
    found = None
    if settings.switch("pse"):
        found = yield from _directory(settings)
    if not found:
        found = yield from _by_name(settings)
    # The place in the list makes the order the same where sorting is not stable.
    ranked = [(one.priority, at) for at, one in enumerate(found)]
    ranked.sort()
    return [found[at] for _, at in ranked]


def select(ranked: "list[Candidate]", settings: "Settings", again: bool = False) -> "Step":
    """Final selection. Takes Candidates off the list until one answers: Selected.

    again: an application of this list has failed already, so what is left is not taken unasked.
    Ends with "cancelled"; when none is left, with "blocked" or "no-chip-application".
    """
    blocked = False
    while ranked:
        at = 0
        if again or len(ranked) > 1 or ranked[0].confirm or settings.switch("confirm"):
            names = [one.shown(settings) for one in ranked]
            at = yield ask.Choose(names, again, len(ranked) == 1)
            if at is None:
                raise card.Ended("cancelled")
        one = ranked.pop(at)
        data, status = yield from card.exchange(apdu.select(one.name))
        if status == apdu.OK:
            fci = _fci(data)
            if fci is not None and _fits(one, tlv.find(fci, 0x84)):
                return Selected(one, fci)
        blocked = blocked or status == BLOCKED
        again = True
    raise card.Ended("blocked" if blocked else "no-chip-application")


def _fits(one: Candidate, name: bytes) -> bool:
    """Whether the name in an FCI is the one that was asked for: the very same, or longer where the row allows that."""
    return name.startswith(one.name) and one.application.matches(name)


def _fci(data: bytes) -> "tlv.Tree | None":
    """The contents of an FCI: a name (84) and the proprietary template (A5) must be there. None for anything else."""
    try:
        tree = tlv.decode(data)
    except tlv.TlvError:
        return None
    if len(tree) != 1 or tree[0][0] != 0x6F:
        return None
    fields = _fields(tree[0][1])
    if not 5 <= len(fields.get(0x84, b"")) <= 16 or 0xA5 not in fields:
        return None
    return tree[0][1]


def _fields(tree: "tlv.Tree") -> dict:
    """The objects of one template, the first of each tag."""
    fields: dict = {}
    for tag, value in tree:
        fields.setdefault(tag, value)
    return fields


def _row(settings: "Settings", name: bytes) -> "Application | None":
    """The terminal's row for a name: the one with the longest name of those that fit."""
    best = None
    for row in settings.applications:
        if row.contact and row.matches(name) and (best is None or len(row.aid) > len(best.aid)):
            best = row
    return best


def _directory(settings: "Settings") -> "Step":
    """The candidates of the payment system directory, in its order; None where it is not what it must be."""
    data, status = yield from card.exchange(apdu.select(apdu.PSE))
    if status == NO_SELECTION:
        raise card.Ended("card-blocked")
    fci = _fci(data) if status == apdu.OK else None
    if fci is None or tlv.find(fci, 0x84) != apdu.PSE:
        return None
    proprietary = _fields(tlv.find(fci, 0xA5))
    file, table = proprietary.get(0x88, b""), proprietary.get(0x9F11, b"")
    if len(file) != 1 or not 1 <= file[0] <= 10:
        return None
    found: list[Candidate] = []
    for number in range(1, MAX_RECORDS + 1):
        data, status = yield from card.exchange(apdu.read_record(file[0], number))
        if status == NO_RECORD:
            break
        entries = _entries(data) if status == apdu.OK else None
        if entries is None:
            return None
        for entry in entries:
            fields = _fields(entry)
            _add(found, settings, fields.get(0x4F, b""), fields, table)
    return found


def _entries(data: bytes) -> "list | None":
    """The application templates (61) of a record of the directory; None for what is no record."""
    try:
        tree = tlv.decode(data)
    except tlv.TlvError:
        return None
    if len(tree) != 1 or tree[0][0] != 0x70:
        return None
    return [value for tag, value in tree[0][1] if tag == 0x61]


def _add(found: "list[Candidate]", settings: "Settings", name: bytes, fields: dict, table: bytes = b"") -> None:
    """One more candidate, if it is well formed, the terminal's, and new. A directory (9D) has no name and is passed over."""
    row = _row(settings, name) if 5 <= len(name) <= 16 else None
    if row is None or len(found) >= MAX_CANDIDATES:
        return
    for one in found:
        if one.name == name:
            return
    found.append(Candidate(row, name, fields, table))


def _by_name(settings: "Settings") -> "Step":
    """The candidates among the terminal's own names, in the terminal's order."""
    found: list[Candidate] = []
    blocked = False
    for row in settings.applications:
        if not row.contact:
            continue
        met: set[bytes] = set()
        following = False
        while len(met) < MAX_CANDIDATES:
            data, status = yield from card.exchange(apdu.select(row.aid, following))
            if status == NO_SELECTION and not following:
                raise card.Ended("card-blocked")
            if status != apdu.OK and status >> 8 not in (0x62, 0x63):
                break
            blocked = blocked or status == BLOCKED
            fci = _fci(data)
            if fci is None:
                break
            name = tlv.find(fci, 0x84)
            # A name met before would be met for ever; the very name of the terminal has no other behind it.
            if not name.startswith(row.aid) or name in met:
                break
            met.add(name)
            if status == apdu.OK and row.matches(name):
                fields = _fields(tlv.find(fci, 0xA5))
                _add(found, settings, name, fields)
            if name == row.aid:
                break
            following = True
    if blocked and not found:
        raise card.Ended("blocked")
    if not found:
        raise card.Ended("no-chip-application")
    return found
