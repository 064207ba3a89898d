"""The clock in virtual time."""


class StandIn:
    """`ports.Clock` on `world.now_ms()`. The wall clock is that plus an offset which can be set and made to jump."""

    def __init__(self, world, utc_s=1_790_000_000):
        self._world = world
        self.power_on_ms = 0  # world time at which the device was switched on
        self._offset_ms = 0
        self.set_utc(utc_s)

    def ticks_ms(self) -> int:
        return self._world.now_ms() - self.power_on_ms

    def utc_s(self) -> int:
        return (self._world.now_ms() + self._offset_ms) // 1000

    def set_utc(self, utc_s: int) -> None:
        """The wall clock shows `utc_s` now and goes on from there."""
        self._offset_ms = utc_s * 1000 - self._world.now_ms()

    def jump(self, ms: int) -> None:
        """The wall clock moves by so many milliseconds, forwards or backwards; ticks do not."""
        self._offset_ms += ms
