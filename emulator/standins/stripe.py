"""A reader of magnetic stripes in process, in virtual time."""

from firmware.events import CARD_SWIPED, PART, Event

PART_NAME = "stripe"
LONGEST = 512


class StandIn:
    """`ports.Stripe`. start_ms, swipe_ms: how long it takes to be ready, and to read what is swiped."""

    def __init__(self, world) -> None:
        self._world = world
        self.start_ms, self.swipe_ms = 100, 40
        self.state = "starting"
        self._ticket: int | None = None
        self._turn = 0  # counts activations: a swipe that began in one is none of the next
        self._started, self._plugged = False, True

    def start(self) -> None:
        """Ready after `start_ms`."""
        self._started = True
        self._world.later(self.start_ms, self._open)

    def close(self) -> None:
        """No more events. It may be started again."""
        self._started, self.state, self._ticket = False, "starting", None

    # The bench.

    def swipe(self, text: "str | bytes") -> None:
        """A card is drawn through; text as the reader sends it ("%B...?;...?"), without framing."""
        data = text.encode("ascii", "replace") if isinstance(text, str) else bytes(text)
        turn = self._turn
        if self.state == "ready" and self._ticket is not None and 0 < len(data) <= LONGEST:
            self._world.later(self.swipe_ms, lambda: self._swiped(turn, data))

    def unplug(self) -> None:
        """The reader is gone until `plug_in`."""
        self._plugged = False
        if self.state == "ready":
            self._set_state("gone")

    def plug_in(self) -> None:
        """The reader is back, and ready after `start_ms`."""
        self._plugged = True
        self._world.later(self.start_ms, self._open)

    # The port.

    def activate(self, ticket: int) -> None:
        self._ticket = ticket
        self._turn += 1

    def cancel(self, ticket: int) -> None:
        if self._ticket == ticket:
            self._ticket = None

    # Inside.

    def _swiped(self, turn, data):
        if turn == self._turn and self._ticket is not None and self.state == "ready":
            self._world.post(Event(CARD_SWIPED, self._ticket, data))

    def _open(self):
        if self._started and self.state != "ready":
            if self._plugged:
                self._set_state("ready")
            elif self.state == "starting":
                self._set_state("gone")

    def _set_state(self, state):
        self.state = state
        self._world.post(Event(PART, 0, (PART_NAME, state)))
