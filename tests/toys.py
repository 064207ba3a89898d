"""What contract tests need on both sides: a small world in virtual time, and an inbox for threads."""

import heapq
import queue
import random
import threading
import time

from firmware.events import Event

DEADLINE_S = 10.0  # a test that waits longer has failed


class World:
    """Virtual time: `run` does what is due, in order of time, without waiting."""

    def __init__(self, seed=1):
        self.random = random.Random(seed)
        self.events: list[Event] = []
        self._now = 0
        self._due: list = []
        self._count = 0

    def post(self, event):
        self.events.append(event)

    def now_ms(self):
        return self._now

    def later(self, ms, function):
        self._count += 1
        heapq.heappush(self._due, (self._now + ms, self._count, function))

    def run(self, ms=3_600_000):
        """Goes on until nothing is due within `ms`."""
        end = self._now + ms
        while self._due and self._due[0][0] <= end:
            self._now, _, function = heapq.heappop(self._due)
            function()

    def wait(self, wanted):
        """The first event not seen before for which wanted(event) is true."""
        while True:
            for index, event in enumerate(self.events):
                if wanted(event):
                    del self.events[: index + 1]
                    return event
            if not self._due:
                raise AssertionError(f"nothing more happens; seen: {self.events}")
            self._now, _, function = heapq.heappop(self._due)
            function()


class Inbox:
    """Where a driver posts to: `wait` with a deadline."""

    def __init__(self):
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self.post = self._queue.put

    def wait(self, wanted, seconds=DEADLINE_S):
        """The first event not seen before for which wanted(event) is true."""
        seen = []
        end = time.monotonic() + seconds
        while True:
            try:
                event = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not within {seconds} s; seen: {seen}") from None
            if wanted(event):
                return event
            seen.append(event)

    def rest(self):
        """What lies there now."""
        events = []
        while not self._queue.empty():
            events.append(self._queue.get())
        return events


def of(ticket, *names):
    """For `wait`: an event of that ticket, with one of the names if any are given."""
    return lambda event: event.ticket == ticket and (not names or event.name in names)


def until(condition, seconds=DEADLINE_S):
    """Waits for something that another thread does and that posts nothing."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not come true within {seconds} s")
        pause.wait(0.002)
