"""The kernel's random number generator as the random port."""

import os


class SystemRandom:
    """`ports.Random`: getrandom(2), which waits at the first boot until it has been seeded."""

    def __init__(self, post, part):
        pass

    def random(self, n: int) -> bytes:
        """n unpredictable bytes. Raises ValueError for a negative n."""
        return os.urandom(n)

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to end."""
