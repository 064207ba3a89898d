"""The buzzer in process: what it plays, by the driver's table of tones."""

from drivers.sound import CLICK, TONES


class StandIn:
    """`ports.Sound`. `playing`: the tone that sounds now, or None; `played`: how often each was begun."""

    def __init__(self, world):
        self._world = world
        self._name = None
        self._until_ms = 0
        self.played = dict.fromkeys(TONES, 0)

    @property
    def playing(self):
        return self._name if self._world.now_ms() < self._until_ms else None

    def play(self, name: str) -> None:
        if name not in TONES:
            raise ValueError("no tone %r" % (name,))
        if name == CLICK and self.playing not in (None, CLICK):
            return
        self._name = name
        self._until_ms = self._world.now_ms() + sum(ms for _, ms in TONES[name])
        self.played[name] += 1
