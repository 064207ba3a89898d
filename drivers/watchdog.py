"""systemd's notification protocol as the watchdog port.

A state is one datagram of `NAME=value` lines to the socket that the environment names; a name that begins with
"@" lies in the abstract name space. The unit wants `Type=notify`, `NotifyAccess=main` and `WatchdogSec=`.

    NOTIFY_SOCKET   where to; absent: nobody supervises us and every call does nothing
    WATCHDOG_USEC   after so many microseconds without WATCHDOG=1 we are killed; we ask to be fed twice as often
    WATCHDOG_PID    whom the two lines above are meant for

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket


class SystemdWatchdog:
    """`ports.Watchdog`. `environ` is the process's own unless a test gives another."""

    def __init__(self, post, part, environ=None):
        environ = os.environ if environ is None else environ
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = None
        if address[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self.interval_ms = self._interval(environ) if self._socket else 0

    @staticmethod
    def _interval(environ) -> int:
        whom, period_us = environ.get("WATCHDOG_PID", ""), environ.get("WATCHDOG_USEC", "")
        if whom and whom != str(os.getpid()):
            return 0
        return int(period_us) // 2000 if period_us.isdecimal() else 0

    def ready(self) -> None:
        self._tell("READY=1")

    def feed(self) -> None:
        self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; a line break in it would be read as another state."""
        self._tell("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(state.encode("utf-8", "replace"), self._address)
        except OSError:
            # A supervisor that is away or behind must not stop a sale; it will notice the missing food by itself.
            pass

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
