"""A thermal printer on a serial line, by ESC/POS.

One thread owns the port. It sleeps until there is a job, and looks at the paper every two seconds so that a menu
can say "paper out" before a sale. A job goes out line by line:

    state? -> begin -> (line, mark) ... -> last mark answered -> PRINT_DONE

A printer with marks (see `escpos`) proves each line; two lines are on their way at a time, so that the motor does
not stop between them. One without is paced by the time that bytes and paper take, and asked where it can answer.
When the printer says why it cannot go on, or says nothing for too long, the job is dropped there and in the
printer, and PRINT_STOPPED names the first line that is not proven: the next job begins cleanly from its own top.

A port that is pulled is "gone" and tried again each second.
"""

import os
import queue
import select
import termios
import threading
import time
from collections import deque

from drivers import escpos
from firmware.events import PART, PRINT_DONE, PRINT_STOPPED, Event

IDLE_LOOK_S = 2.0
REOPEN_S = 1.0
ANSWER_S = 0.3  # for a question that is answered at once
PATIENCE_S = 2.0  # for a mark, beyond the time that its lines take
LATE_S = 0.5  # a mark that is late by this much makes us ask why
SETTLE_S = 0.1  # answers to a dropped job die out
LEAD_S = 0.5  # how far ahead of the paper bytes are sent without marks
WINDOW = 2  # lines that are on their way, sent and not proven
SLICE = 256


class EscposPrinter:
    """`ports.Printer`.

    part     "profile": a name of `escpos.PROFILES`, "baud", "pace": False where neither the wire nor the paper
             takes time (default True).
    path     The serial device.
    """

    def __init__(self, post, part, path):
        self._post = post
        self._profile = escpos.PROFILES[part["profile"]]
        self._baud = part["baud"]
        self._pace_it = part.get("pace", True)
        self._path = path
        self.columns = self._profile.columns
        self.reopen_s = REOPEN_S
        self.look_s = IDLE_LOOK_S
        self.patience_s = PATIENCE_S
        self.answer_s = ANSWER_S
        self._status = "unknown"
        self._state = None  # of the part, as last posted
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._port = None
        self._begun = False  # bytes of a job have been sent
        self._talked = False  # it has answered since the port was opened
        self._marks: deque = deque()  # answers to marks, as statuses
        self._owed = 0  # marks that are not answered yet
        self._asked = bytearray()  # answers to questions, as bytes
        self._free_at = 0.0  # when the paper stops moving, as far as we can know

    # The port.

    def print(self, ticket: int, job: list) -> None:
        escpos.check_job(job)
        self._jobs.put((ticket, list(job)))

    def status(self) -> str:
        return self._status

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="printer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread, in the middle of a job if there is one."""
        if self._closing:
            return
        self._closing = True
        self._jobs.put(None)
        os.eventfd_write(self._wake, 1)
        if self._thread is not None:
            self._thread.join(5)
        os.close(self._wake)

    # The thread.

    def _run(self):
        try:
            while True:
                if self._open():
                    self._serve()
                self._serve_without_port()
        except _Closing:
            pass
        finally:
            self._shut()

    def _open(self) -> bool:
        import serial

        self._shut()
        try:
            self._port = serial.Serial(self._path, self._baud, timeout=0, write_timeout=self.patience_s, exclusive=True)
        except (OSError, ValueError, termios.error):
            self._show("silent", "gone")
            return False
        self._talked = False
        self._owed = 0
        return True

    def _shut(self):
        if self._port is not None:
            try:
                self._port.close()
            except OSError:
                pass
            self._port = None

    def _serve(self):
        """Looks at the paper, prints what comes; returns when the port is gone."""
        ticket, job, done = None, None, 0
        try:
            while True:
                self._look()
                ticket, job = self._next(self.look_s)
                if ticket is None:
                    continue
                for done, trouble in self._put(job):
                    if trouble:
                        self._forget()
                        self._stopped(ticket, trouble, done)
                        break
                else:
                    self._post(Event(PRINT_DONE, ticket, None))
                ticket, done = None, 0
        except OSError:
            self._show("silent", "gone")
            if ticket is not None:
                self._stopped(ticket, "silent", max(0, min(done, len(job) - 1)))

    def _serve_without_port(self):
        end = time.monotonic() + self.reopen_s
        while (left := end - time.monotonic()) > 0:
            ticket, _ = self._next(left)
            if ticket is not None:
                self._stopped(ticket, "silent", 0)

    def _next(self, seconds):
        try:
            item = self._jobs.get(timeout=seconds)
        except queue.Empty:
            return None, None
        if item is None:
            raise _Closing
        return item

    def _stopped(self, ticket, why, line):
        self._post(Event(PRINT_STOPPED, ticket, (why, line)))

    def _show(self, status, state):
        self._status = status
        if state != self._state:
            self._state = state
            self._post(Event(PART, 0, ("printer", state)))

    # One job.

    def _put(self, job):
        """Prints; yields (first line that is not proven, trouble) after each step, trouble "" while all is well."""
        profile = self._profile
        self._begun = False
        status = self._look()
        if status in escpos.TROUBLE:
            yield 0, status
            return
        chunks = escpos.encode(job, profile)
        self._begun = True
        self._write(escpos.begin(profile))
        proven = 0
        for sent, chunk in enumerate(chunks, 1):
            self._write(chunk.data, chunk.dots)
            if profile.mark:
                self._mark()
                if sent - proven < WINDOW:
                    continue
                trouble = self._proof(chunks[proven:sent])
            else:
                trouble = self._trouble_without_marks()
            proven += not trouble
            yield proven, trouble
        while proven < len(chunks):
            trouble = self._proof(chunks[proven:])
            proven += not trouble
            yield proven, trouble
        if not profile.mark and chunks:
            self._pause(self._free_at - time.monotonic())
            yield len(chunks) - 1, self._trouble_without_marks()

    def _forget(self):
        """What the printer still holds of the job must not come out before the next one."""
        if self._begun:
            self._begun = False
            self._write(escpos.forget(self._profile))
            self._pause(SETTLE_S)
            if self._profile.drop:
                self._owed = 0  # the marks were forgotten with the lines

    def _trouble_without_marks(self):
        status = self._look() if self._talked else "unknown"
        return status if status in escpos.TROUBLE else ""

    def _proof(self, chunks) -> str:
        """Waits for the oldest mark that is on its way; the trouble that it tells, or that keeps it away."""
        takes = sum(len(chunk.data) * 10 / self._baud + chunk.dots / (8 * self._profile.mm_s) for chunk in chunks)
        now = time.monotonic()
        end = now + self.patience_s + 2 * takes
        ask_at = min(now + LATE_S, end) if self._profile.ask else end
        while not self._marks:
            self._read(ask_at)
            now = time.monotonic()
            if self._marks or now < ask_at:
                continue
            status = self._ask() if self._profile.ask else None
            if status not in escpos.TROUBLE and now >= end:
                status = "silent"
            if status in escpos.TROUBLE:
                self._show(status, "failed" if status == "silent" else "ready")
                return status
            ask_at = min(now + LATE_S, end)
        status = self._marks.popleft()
        self._show(status, "ready")
        return status if status in escpos.TROUBLE else ""

    # Questions.

    def _look(self) -> str:
        """Asks for the state of the paper while nothing is on its way, and shows it."""
        _ = self._port.in_waiting  # raises where the port is gone, even if nothing is to be asked
        if self._profile.answers == "never":
            self._show("unknown", "ready")
            return self._status
        self._read(0)
        self._marks.clear()
        status = self._ask() if self._profile.ask else self._ask_by_mark()
        if status is None:
            silent = self._profile.answers == "always" or self._talked
            self._show("silent" if silent else "unknown", "failed" if silent else "ready")
        else:
            self._show(status, "failed" if status == "silent" else "ready")
        return self._status

    def _ask(self):
        """The answer to the questions that are answered at once, or None; says "silent" where silence is a fault."""
        self._asked.clear()
        self._write(self._profile.ask)
        end = time.monotonic() + self.answer_s
        while len(self._asked) < escpos.DLE_EOT_ANSWERS and time.monotonic() < end:
            self._read(end)
        status = escpos.read_ask(bytes(self._asked[: escpos.DLE_EOT_ANSWERS]))
        if status is not None:
            self._talked = True
        elif self._profile.answers == "always" or self._talked:
            return "silent"
        return status

    def _ask_by_mark(self):
        # Answers to the marks of a job that was stopped come first; what counts is the last.
        end = time.monotonic() + (self.patience_s if self._owed else self.answer_s)
        self._mark()
        while self._owed and time.monotonic() < end:
            self._read(end)
        self._owed = 0
        if not self._marks:
            return None
        self._talked = True
        return self._marks.pop()

    def _mark(self):
        self._write(self._profile.mark)
        self._owed += 1

    # Bytes.

    def _read(self, until):
        """Sorts what has come, or comes before `until`, into answers to marks and answers to questions."""
        if not self._ready(self._port.fd, until - time.monotonic()):
            return
        for byte in self._port.read(256):
            if self._profile.ask and escpos.is_real_time(byte):
                self._asked.append(byte)
            elif self._profile.mark and (status := escpos.read_mark(byte, self._profile)) is not None:
                self._marks.append(status)
                self._owed = max(0, self._owed - 1)

    def _write(self, data, dots=0):
        for start in range(0, len(data), SLICE):
            piece = data[start : start + SLICE]
            self._port.write(piece)
            self._pace(len(piece) * 10 / self._baud)
        self._pace(dots / (8 * self._profile.mm_s) - len(data) * 10 / self._baud)

    def _pace(self, takes_s):
        """Keeps us from being further ahead of wire and paper than a printer can keep in its buffer."""
        if not self._pace_it or takes_s <= 0:
            return
        self._free_at = max(time.monotonic(), self._free_at) + takes_s
        self._pause(self._free_at - LEAD_S - time.monotonic())

    def _pause(self, seconds):
        self._ready(None, seconds)

    def _ready(self, fd, seconds) -> bool:
        """Waits for bytes on fd, for at most so long. Raises _Closing when the driver is put away."""
        if self._closing:
            raise _Closing
        if fd is None and seconds <= 0:
            return False
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if fd is not None:
            poll.register(fd, select.POLLIN)
        ready = [number for number, _ in poll.poll(max(0.0, seconds) * 1000)]
        if self._wake in ready:
            raise _Closing
        return fd in ready


class _Closing(Exception):
    """The driver is being put away."""
