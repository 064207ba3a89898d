"""Where the cards are: on the shelf, on the reader, in the slot; and how a hand moves them.

A card is in one place. A hand that wants it takes it from where it is, so a card on the reader can be put into the slot,
and one in the slot can be swiped. On the reader there is room for two, in the slot for one.

What a card does by itself is done here too: it thinks (`slow_ms`), asks for time (`wtx`), or leaves too early
(`torn_at`); one that has left is in the hand again, which is the shelf.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from emulator.cards.iso7816 import ContactCard
from emulator.cards.iso14443 import IsoDepTag
from emulator.cards.stripe import DAMAGED
from emulator.chips.ccid import CcidChip
from emulator.chips.pn532 import Pn532Chip
from emulator.chips.stripe import StripeChip
from emulator.recordings import Tape

MOST = 2  # cards on the reader
LATE_MS = 30  # a slow card's time for one frame: within the waiting time that its answer to select gives it
SHELF, READER, SLOT = "shelf", "reader", "slot"


class Places:
    """Every method may be called from any thread; what cannot be done is a ValueError that says why.

    card(name)    the card of the name; ValueError when there is none
    touch()       told that a card was moved by a hand
    tape          takes down the card that it was ordered to
    """

    def __init__(
        self,
        reader: Pn532Chip,
        slot: CcidChip,
        groove: StripeChip,
        card: Callable[[str], Any],
        touch: Callable[[], object],
        tape: Tape | None = None,
    ) -> None:
        self._reader, self._slot, self._groove = reader, slot, groove
        self._shelf = card
        self._touched = touch
        self._tape = tape or Tape()
        self._guests: dict[str, Any] = {}
        self._laid: dict[str, IsoDepTag] = {}
        self._inserted: tuple[str, ContactCard] | None = None
        self._lock = threading.RLock()

    def bring(self, card: Any) -> str:
        """A card that is not of the shelf is at hand from now on, under its name. -> the name."""
        with self._lock:
            self._guests[card.name] = card
        return card.name

    # Eyes: they never wait for a hand.

    @property
    def on_reader(self) -> list[str]:
        """The cards that lie on the reader, the first one first."""
        there = list(self._reader.cards)
        return [name for name, tag in self._laid.copy().items() if tag in there]

    @property
    def in_slot(self) -> str:
        """The card in the slot, or ""."""
        inserted = self._inserted
        return inserted[0] if inserted and self._slot.card is inserted[1] else ""

    def of(self, name: str) -> str:
        """SHELF, READER or SLOT."""
        if name in self.on_reader:
            return READER
        return SLOT if name == self.in_slot else SHELF

    # The reader.

    def tap(self, name: str) -> None:
        """Puts this card, and no other, on the reader."""
        with self._lock:
            card = self._able(name, "tappable", "cannot be tapped")
            self._take_away(self.on_reader)
            self._lay(name, card)
        self._touch()

    def second(self, name: str) -> None:
        """Lays another card beside the one on the reader."""
        with self._lock:
            if not self.on_reader:
                raise ValueError("there is no first card on the reader")
            self.place(name)

    def place(self, name: str) -> None:
        """Lays a card on the reader, beside what lies there."""
        with self._lock:
            card = self._able(name, "tappable", "cannot be tapped")
            if name in self.on_reader:
                raise ValueError(f"{name} is on the reader already")
            if len(self.on_reader) == MOST:
                raise ValueError("two cards are on the reader already")
            self._lay(name, card)
        self._touch()

    def remove(self, name: str | None = None) -> None:
        """Takes a card, or all of them, off the reader."""
        with self._lock:
            if name is not None:
                self._card(name)
                if name not in self.on_reader:
                    raise ValueError(f"{name} is not on the reader")
            self._take_away(self.on_reader if name is None else [name])
        self._touch()

    # The slot.

    def insert(self, name: str) -> None:
        """Pushes a card into the slot."""
        with self._lock:
            card = self._able(name, "insertable", "has no contacts")
            there = self.in_slot
            if there:
                raise ValueError(f"{there} is in the slot already")
            self._take(name)
            inserted = ContactCard(self._tape.around(name, card.chip), card.chip.protocol, wtx=card.wtx)
            inserted.nulls, inserted.delay_s = card.wtx, card.slow_ms / 1000
            self._inserted = (name, inserted)
            self._slot.tear_after = card.torn_at
            self._slot.insert(inserted)
            self._tape.begun(lambda: self._slot.card is inserted)
        self._touch()

    def pull(self) -> None:
        """Pulls out what is in the slot; nothing happens when it is empty."""
        with self._lock:
            self._inserted = None
            self._slot.tear_after = None
            self._slot.pull()
        self._touch()

    # The groove.

    def swipe(self, name: str, badly: bool = False) -> None:
        """Draws a card through the groove; badly: so that nothing can be read."""
        with self._lock:
            card = self._able(name, "swipeable", "has no stripe")
            self._take(name)
            self._groove.swipe(DAMAGED if badly else card.stripe)
        self._touch()

    # Inside.

    def _card(self, name: str) -> Any:
        return self._guests.get(name) or self._shelf(name)

    def _touch(self) -> None:
        self._touched()
        self._tape.look()
        self._tape.complain()

    def _able(self, name: str, how: str, why_not: str) -> Any:
        card = self._card(name)
        if not getattr(card, how):
            raise ValueError(f"{name} {why_not}")
        return card

    def _take(self, name: str) -> None:
        """Into the hand, from wherever it is."""
        if name in self.on_reader:
            self._take_away([name])
        if name == self.in_slot:
            self.pull()

    def _lay(self, name: str, card: Any) -> None:
        self._take(name)
        # By contactless a card may not be late: it asks for time, again and again.
        wtx = max(card.wtx, card.slow_ms // LATE_MS)
        tag = IsoDepTag(self._tape.around(name, card), technology=card.technology, wtx=wtx)
        tag.delay_s = LATE_MS / 1000 if card.slow_ms else 0.0
        self._laid = {known: laid for known, laid in self._laid.items() if known in self.on_reader} | {name: tag}
        if card.torn_at is not None:
            self._reader.tear_after = card.torn_at
        self._reader.place(tag)
        self._tape.begun(lambda: tag in self._reader.cards)

    def _take_away(self, names: list[str]) -> None:
        for name in names:
            self._reader.remove(self._laid.pop(name))
        if names and not self._laid:
            self._reader.tear_after = None
