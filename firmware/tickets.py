"""Every request has a ticket and every answer carries it.

A ticket belongs to the task that opened it until the task closes it. An answer to a closed ticket (the card
that came too late, the reply after the time-out) finds no owner: it is dropped and counted, and can never be
taken for the answer to a newer question, since numbers are not used twice.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Tickets:
    """Who waits for what. last: the number given out last; dropped: answers that found no owner."""

    def __init__(self) -> None:
        self.last = 0
        self.dropped = 0
        self._owners: dict[int, Any] = {}

    def open(self, owner: object) -> int:
        """A new ticket, 1 or higher, that belongs to `owner`."""
        self.last += 1
        self._owners[self.last] = owner
        return self.last

    def close(self, ticket: int) -> None:
        """Whatever still comes for it is dropped. A ticket that is closed already may be closed again."""
        self._owners.pop(ticket, None)

    def owner(self, ticket: int) -> "Any":
        """Whose ticket it is; None, and counted, when it is closed."""
        found = self._owners.get(ticket)
        if found is None:
            self.dropped += 1
        return found

    def is_open(self, ticket: int) -> bool:
        """Whether somebody still waits on it."""
        return ticket in self._owners

    def __len__(self) -> int:
        return len(self._owners)
