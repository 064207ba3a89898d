"""The firmware's process, as the board's supervisor would start and stop it.

Switching on is a new process, the power button is SIGTERM, a pulled plug and a crash are SIGKILL. The process dies
with its parent, however the parent ends: Linux sends it SIGKILL when the *thread* that started it is gone
(prctl PR_SET_PDEATHSIG), so all starts are made by one thread that lives as long as this object.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_LINE = 2000  # characters of one line of output that are kept


class Process:
    """One program, started and ended any number of times.

    command, environment    as for subprocess
    on_line(text)           each line the program writes to stdout or stderr
    on_exit(status)         it has ended: exit status, or minus the signal's number; called once a start, before
                            anybody who waits for the end is let go
    """

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        on_line: Callable[[str], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._command = command
        self._environment = environment
        self._on_line = on_line
        self._on_exit = on_exit
        self._running: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._ended.set()
        self._starts: queue.SimpleQueue[queue.SimpleQueue[object] | None] = queue.SimpleQueue()
        self._starter: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The process, or None when none runs."""
        running = self._running
        return running.pid if running and not self._ended.is_set() else None

    @property
    def running(self) -> bool:
        """Whether the program runs. One that has just ended by itself is waited for. Not for `on_exit` to ask."""
        running = self._running
        if running is not None and running.poll() is not None:
            self._ended.wait()
        return not self._ended.is_set()

    def start(self) -> None:
        """Starts the program; does nothing when it runs. Raises OSError when it cannot be started."""
        if self.running:
            return
        if self._starter is None:
            self._starter = threading.Thread(target=self._start_all, name="starter", daemon=True)
            self._starter.start()
        answer: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._starts.put(answer)
        result = answer.get()
        if isinstance(result, OSError):
            raise result

    def _start_all(self) -> None:
        parent = os.getpid()
        while (answer := self._starts.get()) is not None:
            try:
                running = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in the terminal is for the emulator
                    preexec_fn=lambda: _die_with(parent),
                )
            except OSError as error:
                answer.put(error)
                continue
            self._ended.clear()
            self._running = running
            threading.Thread(target=self._watch, args=(running,), name="firmware", daemon=True).start()
            answer.put(None)

    def _watch(self, running: subprocess.Popen[bytes]) -> None:
        assert running.stdout is not None
        with running.stdout as lines:
            for line in iter(lambda: lines.readline(_LINE), b""):
                self._on_line(line.decode("utf-8", "replace").rstrip())
        status = running.wait()
        try:
            self._on_exit(status)
        finally:
            self._ended.set()

    def end(self, seconds: float) -> bool:
        """Asks the program to end, waits, then insists. True when it went of its own accord."""
        self._signal(signal.SIGTERM)
        if self._ended.wait(seconds):
            return True
        self.kill()
        return False

    def kill(self) -> None:
        """The program is gone when this returns."""
        self._signal(signal.SIGKILL)
        self._ended.wait(10)

    def _signal(self, number: int) -> None:
        running = self._running
        if running and not self._ended.is_set():
            running.send_signal(number)

    def close(self) -> None:
        self.kill()
        if self._starter is not None:
            self._starts.put(None)
            self._starter.join(5)
            self._starter = None


def _die_with(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the request reached the kernel
        os._exit(1)
