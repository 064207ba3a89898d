"""Random bytes out of the world's seed: the same run again has the same bytes."""


class StandIn:
    """`ports.Random` on `world.random`."""

    def __init__(self, world):
        self._random = world.random

    def random(self, n: int) -> bytes:
        if n < 0:
            raise ValueError("a number of bytes is not negative")
        return self._random.randbytes(n)
