"""The keypad in process, with the rules of the driver: the same debounce time, the same refusal of ghosts."""

from boards.emulator import KEYS_4X4
from drivers.keypad import ghosted
from firmware.events import KEY, Event


class StandIn:
    """`ports.Keypad`. Fingers: `press`, `release`, `tap`, `type`."""

    def __init__(self, world, keys=KEYS_4X4):
        self._world = world
        self._keys = keys
        self._places = {name: (row, column) for row, names in enumerate(keys) for column, name in enumerate(names)}
        self._held: set = set()
        self._down: frozenset = frozenset()
        self._taker = None
        self._moves = 0
        self.latency_ms = 11

    def borrow(self, taker) -> None:
        self._taker = taker

    def give_back(self) -> None:
        self._taker = None

    def press(self, name: str) -> None:
        """A finger goes down; KeyError when there is no such key."""
        self._move(self._held | {self._places[name]})

    def release(self, name: str) -> None:
        """The finger leaves."""
        self._move(self._held - {self._places[name]})

    def tap(self, name: str) -> None:
        """Down, taken by the firmware, and up; all in `latency_ms` and a little."""
        self.press(name)
        self._world.later(self.latency_ms + 1, lambda: self.release(name))

    def type(self, words: str) -> None:
        """Keys by name, digits one after the other, "." for the key 00: "01 ENTER 12.4 ENTER"."""
        names = []
        for word in words.split():
            names += ["00" if letter == "." else letter for letter in word] if word[0] in ".0123456789" else [word]
        pace_ms = 2 * self.latency_ms + 2
        for place, name in enumerate(names):
            # Named now, because the loop goes on before the key is pressed.
            self._world.later(place * pace_ms, lambda name=name: self.tap(name))

    def power_off(self) -> None:
        """The driver forgets what it saw, and the fingers leave."""
        self._taker = None
        self._held, self._down = set(), frozenset()
        self._moves += 1

    def _move(self, held):
        self._held = held
        self._moves += 1
        move = self._moves
        self._world.later(self.latency_ms, lambda: self._settle(move))

    def _settle(self, move):
        if move != self._moves:
            return
        scan = self._seen()
        if ghosted(scan):
            return
        pressed = sorted(scan - self._down)
        self._down = scan
        for key in pressed:
            name = self._keys[key[0]][key[1]]
            if self._taker is None:
                self._world.post(Event(KEY, 0, name))
            elif scan == {key}:
                self._taker(name)

    def _seen(self):
        """What a scan of switches without diodes shows: rows that share a column are one wire."""
        seen = set(self._held)
        grew = True
        while grew:
            grew = False
            for row, column in list(seen):
                for other, shared in list(seen):
                    if shared == column and other != row:
                        more = {(row, there) for at, there in seen if at == other} - seen
                        seen |= more
                        grew = grew or bool(more)
        return frozenset(seen)
