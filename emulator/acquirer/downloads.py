"""What the host gives its terminals besides money: parameters, applications, keys, black list, limits; and the status they send.

`Downloads.offer` says what there is; every terminal is given the same. Lists and long data go out in several messages of
`per_message` entries: F62 begins with 0 nothing, 1 all, 2 more, 3 error. What is asked for by a count goes on behind it.

What a person or a test may set, so that it goes wrong:

    parameters, limits, applications, keys   any bytes
    endless      the host says "more" for ever      failing   the host says "error"

Source: reference/host.md §5.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from emulator.acquirer.books import Terminal
from emulator.acquirer.request import PLAIN, Kind, Message, Outcome, Request
from firmware.emv import download, tlv
from firmware.host import parameter_block
from firmware.host.parameter_block import ALL, ERROR, MORE, NONE
from firmware.iso8583 import codes

if TYPE_CHECKING:
    from emulator.acquirer.core import Acquirer

INQUIRY, DOWNLOAD = "0820", "0800"
TABLE = (
    ("parameters", DOWNLOAD, "360"),
    ("parameters-end", DOWNLOAD, "361"),
    ("status-upload", INQUIRY, "362"),
    ("card-key", DOWNLOAD, "370"),
    ("card-keys-end", DOWNLOAD, "371"),
    ("card-keys", INQUIRY, "372"),
    ("application", DOWNLOAD, "380"),
    ("applications-end", DOWNLOAD, "381"),
    ("applications", INQUIRY, "382"),
    ("blacklist", DOWNLOAD, "390"),
    ("blacklist-end", DOWNLOAD, "391"),
    ("limits", DOWNLOAD, "394"),
    ("limits-end", DOWNLOAD, "395"),
)
ENDS = ("parameters-end", "card-keys-end", "applications-end", "blacklist-end", "limits-end")
NEEDED = {name: (62,) for name in ("status-upload", "card-key", "card-keys", "application", "applications")}
ROWS = tuple(Kind(name, (Message(mti, code=code),), NEEDED.get(name, ()), **PLAIN) for name, mti, code in TABLE)
NAME_KEYS = (download.NAME, download.INDEX)


class Downloads:
    """What one acquirer offers.

    parameters     bytes of F62 of 360, b"" none            limits      bytes of F62 of 394, b"" none
    applications   {name: block}                            keys        {provider + index: block}, both by hex
    blacklist      numbers, or beginnings of numbers        list_room   bytes that each is given
    statuses       [(terminal, F62 of 362)] as they came    ended       [(terminal, kind)]: ends that were reported
    """

    def __init__(self, host: "Acquirer") -> None:
        self._host = host
        self.parameters = b""
        self.limits = b""
        self.applications: dict[str, bytes] = {}
        self.keys: dict[str, bytes] = {}
        self.blacklist: list[str] = []
        self.list_room = 14
        self.per_message = 8
        self.endless = False
        self.failing = False
        self.statuses: list[tuple[str, bytes]] = []
        self.ended: list[tuple[str, str]] = []

    def offer(
        self,
        applications: "Iterable[dict[str, Any]]" = (),
        keys: "Iterable[dict[str, str]]" = (),
        blacklist: "Iterable[str]" = (),
    ) -> None:
        """Rows of `firmware.emv.settings` and `authority`, numbers for the black list; of several rows of a name the first."""
        for row in applications:
            self.applications.setdefault(row["aid"].upper(), download.application_block(row))
        for row in keys:
            self.keys.setdefault(row["rid"].upper() + row["index"].upper(), download.key_block(row))
        self.blacklist += list(blacklist)

    def acts(self) -> "dict[str, Callable[[Request, Terminal], Outcome]]":
        """What it answers."""
        acts: dict[str, Callable[[Request, Terminal], Outcome]] = {name: self._end for name in ENDS}
        acts.update(
            {
                "parameters": lambda request, terminal: self._whole(self.parameters),
                "limits": lambda request, terminal: self._whole(self.limits or NONE.encode()),
                "status-upload": self._status,
                "applications": self._applications,
                "application": lambda request, terminal: self._one(request, self.applications),
                "card-keys": self._keys,
                "card-key": lambda request, terminal: self._one(request, self.keys),
                "blacklist": self._blacklist,
            }
        )
        return acts

    def _end(self, request: Request, terminal: Terminal) -> Outcome:
        self.ended.append((terminal.number, request.kind))
        return Outcome(codes.APPROVED)

    def _status(self, request: Request, terminal: Terminal) -> Outcome:
        self.statuses.append((terminal.number, request.fields[62]))
        return Outcome(codes.APPROVED)

    def _whole(self, data: bytes) -> Outcome:
        return Outcome(codes.APPROVED, {62: data} if data else {})

    def _applications(self, request: Request, terminal: Terminal) -> Outcome:
        return self._list(request, [[(download.NAME, bytes.fromhex(name))] for name in self.applications])

    def _keys(self, request: Request, terminal: Terminal) -> Outcome:
        entries = []
        for name, block in self.keys.items():
            expiry = tlv.find(_tree(block), download.EXPIRY) or b"20991231"
            pair = bytes.fromhex(name)
            entries.append([(download.NAME, pair[:5]), (download.INDEX, pair[5:]), (download.EXPIRY, expiry)])
        return self._list(request, entries)

    def _list(self, request: Request, entries: "list[Any]") -> Outcome:
        asked = request.fields[62]
        if len(asked) != 3 or not asked.isdigit():
            return Outcome("30")
        begin = int(asked[1:])
        part = entries[begin : begin + self.per_message]
        if self.failing:
            return Outcome(codes.APPROVED, {62: ERROR.encode()})
        if not entries:
            return Outcome(codes.APPROVED, {62: NONE.encode()})
        more = self.endless or begin + len(part) < len(entries)
        body = b"".join(tlv.encode(entry) for entry in part)
        return Outcome(codes.APPROVED, {62: (MORE if more else ALL).encode() + body})

    def _one(self, request: Request, blocks: "dict[str, bytes]") -> Outcome:
        values = dict(_tree(request.fields[62]))
        name = "".join(values.get(tag, b"").hex().upper() for tag in NAME_KEYS)
        block = blocks.get(name)
        return Outcome(codes.APPROVED, {62: NONE.encode() if block is None else ALL.encode() + block})

    def _blacklist(self, request: Request, terminal: Terminal) -> Outcome:
        asked = request.fields.get(62, b"000")
        if len(asked) != 3 or not asked.isdigit():
            return Outcome("30")
        begin = max(0, int(asked) - 1)
        part = self.blacklist[begin : begin + self.per_message]
        if self.failing or not self.blacklist:
            return Outcome(codes.APPROVED, {62: (ERROR if self.failing else NONE).encode() + b"000"})
        total = begin + len(part)
        state = MORE if self.endless or total < len(self.blacklist) else ALL
        return Outcome(codes.APPROVED, {62: parameter_block.list_block(state, part, total, self.list_room)})


def _tree(block: bytes) -> "list[Any]":
    try:
        return tlv.decode(block)
    except tlv.TlvError:
        return []
