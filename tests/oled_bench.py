"""An I2C bus of Python objects: what the display driver needs of smbus2, with emulated chips behind it."""

from __future__ import annotations

import errno


class ChipBus:
    """`write_i2c_block_data` and `i2c_rdwr` of smbus2.SMBus; no chip at an address is a missing acknowledge."""

    def __init__(self, chips: dict) -> None:
        self.chips = chips

    def write_i2c_block_data(self, address, register, data):
        self._chip(address).write(bytes([register, *data]))

    def i2c_rdwr(self, *messages):
        for message in messages:
            self._chip(message.addr).write(bytes(message))

    def _chip(self, address):
        if address not in self.chips:
            raise OSError(errno.ENXIO, "no acknowledge")
        return self.chips[address]
