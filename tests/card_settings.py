"""The settings of a new device, from the technician's file that comes along: what tests of the kernels begin with and bend.

Tests that MicroPython runs as well have `tests/portable/plain_settings.py`.
"""

from drivers import card_file
from firmware.emv import parameter_file
from firmware.emv.settings import Settings

_CONTENT = parameter_file.read(card_file.fetch())
UNIONPAY_ROWS = [row for row in _CONTENT["applications"] if row["aid"].startswith("A000000333")]
TERMINAL_DATA = _CONTENT["terminal"]


def card_settings(rows=UNIONPAY_ROWS, terminal=TERMINAL_DATA, keys=(), revoked=(), switches=None):
    """Settings; what is not given is as in a new device that takes UnionPay alone."""
    return Settings(rows, terminal, keys, revoked, switches)
