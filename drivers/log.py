"""The technician's log: text files of bounded size in one folder.

`kaifu.log` is the newest; when it is full it becomes `kaifu.1.log`, the older ones move up, and the oldest is
dropped. A line is `2026-11-20T10:46:04.123Z text`, in UTC, written in one call, so that a crash leaves whole lines.

The log never stands in the way of a sale: what cannot be written (disk full, read-only, folder gone) is counted,
and the first line that goes through again is preceded by the count.
"""

import os
import sys
import threading
import time
from pathlib import Path

NAME = "kaifu"
LONGEST_LINE = 2000
# Control characters are shown, not obeyed: a host's text must not move a technician's terminal.
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


class FileLog:
    """`ports.Log`.

    part     "bytes": bound of one file (default 1,000,000), "files": how many are kept (default 5),
             "stderr": True to have each line there as well.
    folder   Where; made when it is missing.
    """

    def __init__(self, post, part, folder):
        self._folder = Path(folder)
        self._limit = part.get("bytes", 1_000_000)
        self._files = part.get("files", 5)
        self._stderr = part.get("stderr", False)
        self._lock = threading.Lock()
        self._fd = None
        self._size = 0
        self.lost = 0  # lines that could not be written since the last one that could

    def line(self, text: str) -> None:
        """Adds one line. Never raises."""
        text = str(text)
        if len(text) > LONGEST_LINE:
            text = text[:LONGEST_LINE] + " ..."
        now = time.time_ns() // 1_000_000
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000))
        line = f"{stamp}.{now % 1000:03d}Z {text.translate(_VISIBLE)}\n"
        with self._lock:
            self._write(line, stamp)
        if self._stderr:
            try:
                sys.stderr.write(line)
                sys.stderr.flush()
            except (OSError, ValueError, AttributeError):
                pass

    def _write(self, line: str, stamp: str) -> None:
        if self.lost:
            line = f"{stamp}.000Z {self.lost} lines before this one could not be written\n{line}"
        data = line.encode("utf-8", "replace")
        try:
            if self._fd is None:
                self._open()
            if self._size and self._size + len(data) > self._limit:
                self._rotate()
            written = os.write(self._fd, data)
            self._size += written
            if written < len(data):
                # The disk took a part of the line: it goes again, so that the next one begins at a line's start.
                self._size -= written
                os.ftruncate(self._fd, self._size)
                raise OSError("disk full in the middle of a line")
            self.lost = 0
        except OSError:
            self.lost += 1
            self._drop()

    def _path(self, age: int) -> Path:
        return self._folder / (f"{NAME}.{age}.log" if age else f"{NAME}.log")

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path(0), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        self._drop()
        if self._files < 2:
            self._path(0).unlink(missing_ok=True)
        for age in range(self._files - 2, -1, -1):
            if self._path(age).exists():
                os.replace(self._path(age), self._path(age + 1))
        self._open()

    def _drop(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def start(self) -> None:
        """Nothing to start; the file is opened by the first line."""

    def close(self) -> None:
        with self._lock:
            self._drop()
