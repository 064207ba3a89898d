"""Where the drivers' threads post and the firmware's loop waits."""

from queue import Empty, SimpleQueue

from firmware.events import Event


class Inbox:
    def __init__(self) -> None:
        self._queue: SimpleQueue[Event] = SimpleQueue()
        self.post = self._queue.put  # from any thread, and from a signal handler

    def wait(self, ms: int | None) -> Event | None:
        """The next event; None when none came within `ms` milliseconds (None: waits for ever)."""
        try:
            return self._queue.get(timeout=None if ms is None else ms / 1000)
        except Empty:
            return None
