"""The device's power: the button, the plug, and the firmware's process that lives on it.

    what happens                       process   chips      state then
    on()                               starts    power      ON
    off(): the button                  SIGTERM   forget     OFF
    plug()                             SIGKILL   forget     OFF
    crash()                            SIGKILL   remember   CRASHED
    stop_at(p), and p is reached       SIGKILL   forget     OFF
    it ends by itself, status 0        -         forget     OFF
    it ends by itself, other status    -         remember   CRASHED

Chips that remember are as the process left them: the next one finds them so, as on a board that was not switched off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from emulator.assemble import Chips
from emulator.livelog import LiveLog
from emulator.process import Process
from emulator.wires import Wires

ON, OFF, CRASHED = "on", "off", "crashed"
OFF_S = 15.0  # the button: how long the firmware may take to end in good order


class Power:
    """Starts and ends one firmware. Every method may be called from any thread.

    command, environment    the firmware's
    touch(section)          told that "power", "stop" or "screen" has changed

    state         ON, OFF or CRASHED
    stop_point    where the plug will be pulled, or ""
    """

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        wires: Wires,
        chips: Chips,
        log: LiveLog,
        touch: Callable[[str], object],
    ) -> None:
        self.state = OFF
        self.stop_point = ""
        self._wires = wires
        self._chips = chips
        self._log = log
        self._touch = touch
        self._asked: str | None = None
        self._lock = threading.RLock()
        self._closed = False
        self._process = Process(command, environment, lambda line: log.add("terminal", line), self._ended)
        wires.on_point(self._stopped_at)

    @property
    def pid(self) -> int | None:
        """The firmware's process, or None."""
        return self._process.pid

    def on(self) -> None:
        """Starts the firmware; does nothing when it runs."""
        with self._lock:
            if not self._process.running:
                self._asked = None
                self._log.add("power", "on")
                self._chips.power_on()
                self._process.start()
                self._set(ON)

    def off(self) -> None:
        """The power button: the firmware ends in good order (or is ended), then the chips lose power."""
        with self._lock:
            self._log.add("power", "off")
            self._end("off", lambda: self._process.end(OFF_S))

    def plug(self) -> None:
        """Pulls the plug: the process dies where it stands, every chip forgets."""
        with self._lock:
            self._log.add("power", "plug pulled")
            self._end("plug", self._process.kill)

    def crash(self) -> None:
        """The process dies where it stands; the chips have power and remember."""
        with self._lock:
            if self._process.running:
                self._log.add("power", "crash")
                self._asked = "crash"
                self._process.kill()

    def stop_at(self, point: str) -> None:
        """Pulls the plug when the firmware reaches this point for the first time; "" takes the order back."""
        self.stop_point = point
        if point:
            self._wires.arm(point)
        else:
            self._wires.disarm()
        self._touch("stop")

    def close(self) -> None:
        """Ends the process for good; nobody is told any more."""
        self._closed = True
        self._process.close()

    def _stopped_at(self, point: str) -> None:
        # The firmware waits at the point, so whoever holds the lock may be waiting for it: the lock is not taken.
        self._wires.disarm()
        self.stop_point = ""
        self._log.add("power", f"plug pulled at {point}")
        self._asked = "plug"
        self._process.kill()
        self._touch("stop")

    def _end(self, asked: str, end: Callable[[], object]) -> None:
        self._asked = asked
        if not self._process.running:
            self._lose()
        else:
            end()

    def _ended(self, status: int) -> None:
        """The process is gone. Called by its watcher, before `end` and `kill` return."""
        if self._closed:
            return
        self._wires.process_ended()
        asked = self._asked
        if asked in ("off", "plug") or (asked is None and status == 0):
            self._lose()
        else:
            if asked is None:
                self._log.add("power", f"the firmware ended by itself, status {status}")
            self._set(CRASHED)
        self._chips.keypad.moved()

    def _lose(self) -> None:
        self._chips.reset()
        self._wires.reset()
        self._set(OFF)
        self._touch("screen")

    def _set(self, state: str) -> None:
        self.state = state
        self._touch("power")
