"""What the host has asked for besides transactions, and what of it is still to be done.

A reply's header may ask for something (host.md §1, digits 1 to 9); it is done after the transaction. Asked for is remembered in
the store before the reply is looked at any further, so a power cut forgets nothing:

    due         a download, or the status: done from the menu page, behind it, until it succeeded; MOST_TRIES tries a power-on,
                then given up for now, which the menu says; a sale never waits for it
    noted       what only a technician can do: another program; currency rates, which this terminal does not use
    pending     values that must wait until the batch is settled (`changes.IDENTITY`)

What a host asks for in each reply is done once in AGAIN_MS. Sign-on is no chore: the session does it before its next message.

Kept beside it: which data ever came from the host (`loaded`), what it said of parameters that we have no use for (`said`), the
lengths of the numbers on the black list (`sizes`), and since power on how often the host was asked and answered.

Store: table "chores", key "now": JSON. One read at the start; written when something changes.
"""

import json

from firmware.ports import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.ports import Row, Store

TABLE, KEY = "chores", "now"
# What is done by itself, by its name in `frame.REQUIREMENTS`, in the order in which it is done.
DOWNLOADS = ("parameters", "card-applications", "card-keys", "blacklist", "contactless-limits", "status-upload")
NOTED = ("program", "currency-rates")
MOST_TRIES = 3  # a power-on
RETRY_MS = 60_000  # after a failure
AGAIN_MS = 3_600_000  # after a success

# What is kept, and of which kind: a stored value of another kind is not used.
_KINDS = (("due", list), ("noted", list), ("pending", dict), ("loaded", list), ("said", dict), ("sizes", list))


class Chores:
    """What is to be done. Raises ports.StoreError where it says so, and not otherwise.

    doing      the chore that is being done now, "" for none: the host's asking for it is no news
    asked, answered, since_ms   of the host, since the last status upload
    """

    def __init__(self, store: "Store", now_ms: "Callable[[], int]") -> None:
        self._store = store
        self._now_ms = now_ms
        self._kept: dict[str, Any] = {name: kind() for name, kind in _KINDS}
        self._tries: dict[str, int] = {}
        self._not_before: dict[str, int] = {}
        self.doing = ""
        self.compared = False  # `changes.compare` has been made since power on
        self.hushed = ""  # the operator who let the announcement pass without a key
        self.asked = self.answered = 0
        self.since_ms = now_ms()
        found = store.get(TABLE, KEY)
        try:
            stored = json.loads(found.decode()) if found else {}
        except (ValueError, RuntimeError):
            stored = {}
        if isinstance(stored, dict):
            for name, kind in _KINDS:
                if isinstance(stored.get(name), kind):
                    self._kept[name] = stored[name]

    # -- questions
    @property
    def due(self) -> "list[str]":
        """What is to be done, in its order."""
        return [name for name in DOWNLOADS if name in self._kept["due"]]

    @property
    def noted(self) -> "list[str]":
        """What a technician should know."""
        return [name for name in NOTED if name in self._kept["noted"]]

    @property
    def pending(self) -> "dict[str, Any]":
        """{parameter: value} that waits for an empty batch."""
        return self._kept["pending"]

    @property
    def said(self) -> "dict[str, str]":
        """{tag: bytes in hex} of the host's parameter block that are only kept."""
        return self._kept["said"]

    @property
    def sizes(self) -> "list[int]":
        """Lengths of what the host's black list names, in digits."""
        return [size for size in self._kept["sizes"] if isinstance(size, int) and 0 < size < 20]

    def loaded(self, name: str) -> bool:
        """Whether this download was ever made."""
        return name in self._kept["loaded"]

    def next(self) -> str:
        """What may be done now, "" for nothing."""
        for name in self.due:
            if self._tries.get(name, 0) < MOST_TRIES and self._now_ms() >= self._not_before.get(name, 0):
                return name
        return ""

    def given_up(self) -> bool:
        """Whether something is due that has had its tries."""
        return any([self._tries.get(name, 0) >= MOST_TRIES for name in self.due])

    # -- what happens
    def required(self, name: str) -> None:
        """A reply asks for it: a name of `frame.REQUIREMENTS`. Raises StoreError, and does it all the same."""
        if name == self.doing:
            return
        for where, names in (("due", DOWNLOADS), ("noted", NOTED)):
            if name in names and name not in self._kept[where]:
                changes = {where: self._kept[where] + [name]}
                try:
                    self._store.commit([self.row(changes)])
                finally:
                    self.take(changes)

    def counted(self, answered: bool) -> None:
        """The host was asked, and has answered or not."""
        self.asked += 1
        self.answered += answered

    def told_status(self) -> None:
        """The numbers of the status are counted anew."""
        self.asked = self.answered = 0
        self.since_ms = self._now_ms()

    def done(self, name: str) -> "dict[str, Any]":
        """The changes that its success means, for `row` and `take`."""
        due = [one for one in self._kept["due"] if one != name]
        loaded = self._kept["loaded"]
        return {"due": due, "loaded": loaded if name in loaded else loaded + [name]}

    def ended(self, name: str, well: bool) -> None:
        """It was tried: the next try of it waits, longer when there is nothing left to do."""
        self._tries[name] = 0 if well else self._tries.get(name, 0) + 1
        self._not_before[name] = self._now_ms() + (AGAIN_MS if well else RETRY_MS)

    def forget_note(self, name: str) -> None:
        """A technician has seen it. Raises StoreError."""
        changes = {"noted": [one for one in self._kept["noted"] if one != name]}
        self._store.commit([self.row(changes)])
        self.take(changes)

    def row(self, changes: "dict[str, Any]") -> "Row":
        """The row that keeps what is known with these changes, to be committed with what they belong to."""
        kept = dict(self._kept)
        kept.update(changes)
        return (TABLE, KEY, json.dumps(kept).encode(), None)

    def take(self, changes: "dict[str, Any]") -> None:
        """They are written."""
        self._kept.update(changes)


def required(chores: Chores, name: str, log: "Callable[[str], None]") -> None:
    """`Chores.required` for who has something better to do than to fail."""
    try:
        chores.required(name)
    except StoreError:
        log("the host asks for %s, and the store refuses to keep that" % name)
