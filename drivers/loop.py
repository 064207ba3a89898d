"""One thread that waits for many things: descriptors, moments, and what other threads want done.

    call(function)             from any thread: runs it in the loop's thread, soon and in order
    at(moment, function)       runs it when `time.monotonic()` has reached the moment, unless the timer is cancelled
    watch(fd, events, function)   runs function(what is ready) whenever poll() says so, until `unwatch`

Functions run one after the other, so what only they touch needs no lock. One that raises is reported as a thread's
exception is, and the loop goes on: the other connections are not to suffer. The thread starts with the first call.
"""

import heapq
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

JOIN_S = 2


class Timer:
    """What `Loop.at` returns; `cancel` from the loop's thread."""

    def __init__(self, function: Callable[[], object]):
        self.function: Callable[[], object] | None = function

    def cancel(self) -> None:
        self.function = None


class Loop:
    """`name` is the thread's."""

    def __init__(self, name: str):
        self._name = name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = -1
        self._ended = False
        self._calls: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._watched: dict[int, Callable[[int], object]] = {}
        self._poll = select.poll()

    # From any thread.

    def call(self, function: Callable[[], object]) -> None:
        """A loop that has ended drops it."""
        with self._lock:
            if self._ended:
                return
            self._calls.append(function)
            if self._thread is None:
                self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                self._poll.register(self._wake, select.POLLIN)
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            elif self._thread is not threading.current_thread():
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Runs what was called before, and ends. Waits for it, unless it is a function of the loop that asks."""
        self.call(self._end)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(JOIN_S)

    # From the loop's thread.

    def at(self, moment: float, function: Callable[[], object]) -> Timer:
        timer = Timer(function)
        self._count += 1
        heapq.heappush(self._timers, (moment, self._count, timer))
        return timer

    def watch(self, fd: int, events: int, function: Callable[[int], object]) -> None:
        """Again for the same descriptor: with other events."""
        self._poll.register(fd, events)
        self._watched[fd] = function

    def unwatch(self, fd: int) -> None:
        """To be called before the descriptor is closed; one that is not watched is let be."""
        if self._watched.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def _end(self) -> None:
        with self._lock:
            self._ended = True

    def _run(self) -> None:
        while True:
            while self._calls:
                self._do(self._calls.popleft())
            if self._ended:
                break
            now = time.monotonic()
            while self._timers and (self._timers[0][0] <= now or self._timers[0][2].function is None):
                timer = heapq.heappop(self._timers)[2]
                if timer.function is not None:
                    self._do(timer.function)
            if self._calls:
                continue
            left = max(0.0, self._timers[0][0] - now) * 1000 if self._timers else None
            for fd, ready in self._poll.poll(left):
                if fd == self._wake:
                    os.eventfd_read(fd)
                elif fd in self._watched:  # else the one before has stopped watching it
                    function = self._watched[fd]
                    self._do(lambda function=function, ready=ready: function(ready))  # type: ignore[misc]
        with self._lock:
            os.close(self._wake)

    def _do(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception:
            kind, error, trace = sys.exc_info()
            threading.excepthook(threading.ExceptHookArgs((kind, error, trace, threading.current_thread())))
