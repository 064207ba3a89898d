"""A card at the edge of the field answers now and then: it has not left, and it is not told to have left."""

from emulator.cards.iso14443 import IsoDepTag
from firmware.events import CARD_GONE, Event
from tests.drivers.test_nfc import FCI, Bench
from tests.toys import of, until


class Flickering(IsoDepTag):
    """Does not hear every other call, once it is `far`."""

    far = False
    calls = 0

    def requested(self, wake=False):
        heard = super().requested(wake)
        if not self.far:
            return heard
        self.calls += 1
        return heard and self.calls % 2 == 0


def test_a_card_that_answers_every_other_time_has_not_left():
    bench = Bench()
    try:
        card = Flickering(lambda command: FCI)
        bench.tap(card)
        card.far = True
        ticket = next(bench.tickets)
        bench.driver.release(ticket)
        until(lambda: card.calls >= 12)
        assert bench.inbox.rest() == []
        bench.chip.remove()
        assert bench.wait(of(ticket)) == Event(CARD_GONE, ticket, None)
    finally:
        bench.close()
