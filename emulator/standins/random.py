"""Random bytes out of the world's seed: the same run again has the same bytes."""


class StandIn:
    """`ports.Random` on `world.random`. fixed: {n: bytes} that every draw of n bytes gives, instead of chance."""

    def __init__(self, world):
        self._random = world.random
        self.fixed: dict[int, bytes] = {}

    def random(self, n: int) -> bytes:
        if n < 0:
            raise ValueError("a number of bytes is not negative")
        return self.fixed.get(n) or self._random.randbytes(n)
