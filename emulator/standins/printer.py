"""A printer without a wire: the job is on the paper when its time has passed.

Faults are attributes that may change at any time:

    paper_out, cover_open, too_hot, silent   as on the printer; looked at when a job is due
    paper_low            only the status knows
    paper_left_lines     None, or so many lines of paper until it runs out
    stop_at              None, or (why, line): the next job stops there, once
"""

from collections import deque

from drivers import escpos
from firmware.events import PRINT_DONE, PRINT_STOPPED, Event


class StandIn:
    """`ports.Printer` in virtual time. Text is what `drivers.escpos` would put on the paper with that profile."""

    def __init__(self, world, profile="csn-a2", keep=100):
        self.world = world
        self.line_ms = 10
        self.paper_out = self.cover_open = self.too_hot = self.silent = self.paper_low = False
        self.paper_left_lines: int | None = None
        self.stop_at: tuple | None = None
        self._profile = escpos.PROFILES[profile]
        self.columns = self._profile.columns
        self._jobs: deque = deque(maxlen=keep)  # [(style, text)] as far as it was printed, oldest first
        self._free_at = 0
        self._power = 0  # counts power cuts: jobs of before are not finished

    # The port.

    def print(self, ticket: int, job: list) -> None:
        escpos.check_job(job)
        job = list(job)
        power = self._power
        self._free_at = max(self.world.now_ms(), self._free_at) + self.line_ms * (len(job) + 1)
        self.world.later(self._free_at - self.world.now_ms(), lambda: self._power == power and self._finish(ticket, job))

    def status(self) -> str:
        for state, name in (
            (self.silent, escpos.FAILED), (self.cover_open, escpos.COVER), (self.paper_out, escpos.OUT),
            (self.too_hot, escpos.HOT), (self.paper_low, escpos.LOW),
        ):  # fmt: skip
            if state:
                return name
        return escpos.OK

    # The world's side.

    def power_off(self) -> None:
        """What was not printed never will be; the paper stays."""
        self._power += 1
        self._free_at = 0

    @property
    def text(self) -> str:
        """What can be read on the paper."""
        return "\n".join(
            line for job in self._jobs for style, value in job for line in escpos.plain_lines(style, value, self._profile)
        )

    def tear(self) -> str:
        """The text of the paper that is torn off."""
        text = self.text
        self._jobs.clear()
        return text

    def _finish(self, ticket, job):
        why, line = self._stop(job)
        printed = job[:line] if why else job
        if printed:
            self._jobs.append(printed)
        if why:
            self.world.post(Event(PRINT_STOPPED, ticket, (why, line)))
        else:
            self.world.post(Event(PRINT_DONE, ticket, None))

    def _stop(self, job):
        """(why, first line not printed), or ("", 0)."""
        if self.stop_at is not None:
            (why, line), self.stop_at = self.stop_at, None
            return why, min(line, max(0, len(job) - 1))
        status = self.status()
        if status in escpos.TROUBLE:
            return status, 0
        if self.paper_left_lines is not None:
            for index, (style, value) in enumerate(job):
                lines = len(escpos.plain_lines(style, value, self._profile))
                if lines > self.paper_left_lines:
                    self.paper_left_lines = None
                    self.paper_out = True
                    return escpos.OUT, index
                self.paper_left_lines -= lines
        return "", 0
