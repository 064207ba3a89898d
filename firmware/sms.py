"""Text messages that came: the last LIMIT of them, newest first, and whether somebody has seen them.

    sms    key: number, ten digits. value: JSON {"from", "at": YYYYMMDDhhmmss, "text"}; index "new" until it was shown

A message comes from anybody: it is shown as what it is, and changes nothing.
"""

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.ports import Row, Store

LIMIT = 50
LONGEST = 500  # characters that are kept of one


class Messages:
    """The messages of a store. All methods raise ports.StoreError when it cannot."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._unread: int | None = None

    def unread(self) -> int:
        """How many nobody has seen."""
        if self._unread is None:
            self._unread = len(self._store.range("sms", "new"))
        return self._unread

    def keep(self, sender: str, stamp: str, text: str) -> None:
        """Puts a message in front; the oldest beyond LIMIT goes."""
        kept = self._store.range("sms", None, "", None, True, LIMIT)
        number = int(kept[0][0]) + 1 if kept else 1
        value = json.dumps({"from": sender[:20], "at": stamp, "text": text[:LONGEST]}).encode()
        rows: list[Row] = [("sms", "%010d" % number, value, "new")]
        if len(kept) == LIMIT:
            rows.append(("sms", kept[-1][0], None, None))
        self._store.commit(rows)
        self._unread = None

    def newest(self) -> "list[dict]":
        """[{"from", "at", "text"}], newest first; what cannot be read is left out."""
        found = []
        for _, value in self._store.range("sms", None, "", None, True, LIMIT):
            try:
                message = json.loads(value.decode())
                found.append({name: str(message[name]) for name in ("from", "at", "text")})
            except (ValueError, KeyError, TypeError):
                pass
        return found

    def seen(self) -> None:
        """All of them have been shown."""
        rows: list[Row] = [("sms", key, value, None) for key, value in self._store.range("sms", "new")]
        if rows:
            self._store.commit(rows)
        self._unread = 0
