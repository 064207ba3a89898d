"""The drivers there are, and what a board file must say about each.

One row a driver: the port it fills, its name in a board file, where its class is, the kind of bus it hangs on, the
keys it needs, the keys it takes. A check is given a value and says what is wrong with it, or None. A new driver is a
new row; nothing else has to know it.

    bus "i2c", "uart"   the part has a key "bus" that names a bus of that kind
    bus "gpio"          its pins are the bus, and the board has a bus "gpio"
    bus ""              none: a service of the system
"""

from collections import namedtuple

from firmware.events import KEYS
from firmware.ports import BEARERS

Row = namedtuple("Row", ("port", "driver", "module", "cls", "bus", "needs", "takes"))


def whole(low: int, high: int):
    """A check for an int in low..high."""

    def check(value):
        if type(value) is not int:
            return "%r is not a whole number" % (value,)
        if not low <= value <= high:
            return "%d is not in %d..%d" % (value, low, high)
        return None

    return check


def one_of(*choices):
    """A check for one of these values."""

    def check(value):
        if type(value) not in [type(choice) for choice in choices] or value not in choices:
            return "%r is none of %s" % (value, ", ".join(repr(choice) for choice in choices))
        return None

    return check


def word(value):
    """A check for a string that is not empty."""
    return None if isinstance(value, str) and value else "%r is not a text" % (value,)


def node(value):
    """A check for the path of a device."""
    return None if isinstance(value, str) and value.startswith("/dev/") else "%r is not a path below /dev" % (value,)


flag = one_of(False, True)
pin = whole(0, 63)


def pins(value):
    """A check for GPIO numbers."""
    if not isinstance(value, tuple) or not value:
        return "%r is not a tuple of pins" % (value,)
    for one in value:
        wrong = pin(one)
        if wrong:
            return wrong
    return None


def just(count: int):
    """A check for exactly so many GPIO numbers."""

    def check(value):
        wrong = pins(value)
        if wrong:
            return wrong
        return None if len(value) == count else "%d pins where %d are needed" % (len(value), count)

    return check


two_pins = just(2)
four_pins = just(4)


# The checks whose values are GPIO numbers: those must be on the header, and taken once.
PIN_CHECKS = (pin, pins, two_pins, four_pins)


def key_rows(value):
    """A check for the legend of a keypad: a tuple of rows, each key of `firmware.events.KEYS` once."""
    if not isinstance(value, tuple) or not all(isinstance(row, tuple) for row in value):
        return "%r is not a tuple of rows" % (value,)
    names = [name for row in value for name in row]
    for name in names:
        if name not in KEYS:
            return "%r is no key" % (name,)
        if names.count(name) > 1:
            return "%s is there twice" % name
    missing = [name for name in KEYS if name not in names]
    return "%s is missing" % ", ".join(missing) if missing else None


def access_point(value):
    """A check for the name of an access point; "" where the SIM says which."""
    good = isinstance(value, str) and len(value) < 64 and value.isascii()
    good = good and all(char.isalnum() or char in ".-_" for char in value)
    return None if good else "%r is no access point" % (value,)


def bearers(value):
    """A check for a tuple of bearers, each once, at least one."""
    if not isinstance(value, tuple) or not value:
        return "%r is not a tuple of bearers" % (value,)
    for one in value:
        if one not in BEARERS:
            return "%r is none of %s" % (one, ", ".join(BEARERS))
        if value.count(one) > 1:
            return "%s is there twice" % one
    return None


def interfaces(value):
    """A check for {network interface: bearer}."""
    if not isinstance(value, dict):
        return "%r is not {interface: bearer}" % (value,)
    for name, bearer in value.items():
        if word(name):
            return "%r is no interface" % (name,)
        if bearer not in BEARERS:
            return "%r is none of %s" % (bearer, ", ".join(BEARERS))
    return None


# The rows of `drivers/escpos.py`, which is not loaded to check a board.
PROFILES = ("csn-a2", "epson-tm", "generic-58", "raster-58")
# Those of `drivers/chip.py`.
CHIP_PROFILES = ("sec1210", "gempc-twin", "short-apdu")
# Those of `drivers/modem_profiles.py`.
MODEM_PROFILES = ("ec20", "ec25", "sim7600", "a7670", "air724")
ADDRESS = whole(0x08, 0x77)
PANEL = {"address": ADDRESS, "size": one_of((128, 64), (256, 64), (128, 128))}
PANEL_TAKES = {"rotate": whole(0, 3), "contrast": whole(0, 255)}

ROWS = (
    Row("display", "ssd1306", "drivers.display", "Ssd1306", "i2c", PANEL, PANEL_TAKES),
    Row("display", "sh1106", "drivers.display", "Sh1106", "i2c", PANEL, PANEL_TAKES),
    Row("keypad", "matrix", "drivers.keypad", "MatrixKeypad", "gpio",
        {"rows": pins, "columns": pins, "keys": key_rows}, {}),
    Row("contactless", "pn532", "drivers.nfc", "Pn532", "uart",
        {}, {"baud": one_of(115200, 230400, 460800, 921600), "reset": pin}),
    Row("chip", "ccid", "drivers.chip", "CcidReader", "uart", {"profile": one_of(*CHIP_PROFILES)}, {}),
    Row("stripe", "serial", "drivers.stripe", "SerialStripe", "uart",
        {}, {"baud": one_of(1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)}),
    Row("stripe", "hid", "drivers.stripe_hid", "HidStripe", "", {"node": node}, {}),
    Row("printer", "escpos", "drivers.printer", "EscposPrinter", "uart",
        {"baud": one_of(9600, 19200, 38400, 57600, 115200), "profile": one_of(*PROFILES)}, {"pace": flag}),
    Row("sound", "buzzer", "drivers.sound", "PwmBuzzer", "gpio", {"pin": pin}, {}),
    Row("light", "lamps", "drivers.light", "Lamps", "gpio", {"pins": four_pins}, {"active_low": flag}),
    Row("vault", "software", "drivers.vault_software", "SoftwareVault", "", {}, {"password_cost": whole(1, 10_000_000)}),
    Row("link", "tcp", "drivers.link", "TcpLink", "",
        {}, {"send_ms": whole(1, 600_000), "only": bearers, "interfaces": interfaces}),
    Row("modem", "at", "drivers.modem", "AtModem", "uart",
        {"profile": one_of(*MODEM_PROFILES)},
        {"baud": one_of(9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600), "apn": access_point,
         "ip": one_of("modem", "kernel"), "interface": word, "sms": one_of("pdu", "text"), "reset": pin, "power": pin,
         "active_low": flag}),
    Row("store", "sqlite", "drivers.store", "SqliteStore", "", {}, {}),
    Row("clock", "system", "drivers.clock", "SystemClock", "", {}, {}),
    Row("random", "system", "drivers.random", "SystemRandom", "", {}, {}),
    Row("text", "gb18030", "drivers.text", "Gb18030", "", {}, {}),
    Row("watchdog", "systemd", "drivers.watchdog", "SystemdWatchdog", "", {}, {}),
    Row("log", "file", "drivers.log", "FileLog", "",
        {}, {"bytes": whole(1_000, 1_000_000_000), "files": whole(1, 100), "stderr": flag}),
)  # fmt: skip

CATALOGUE = {(row.port, row.driver): row for row in ROWS}

# What a board file says instead of a driver where it wants a part to be left out.
NO_DRIVER = "none"

# Each board has these: without them there is no terminal.
NEEDED_PORTS = ("display", "keypad", "vault", "store", "clock", "random", "text", "log")

# Bus kind: keys it needs on real wires, keys it takes on any. A real UART also needs `node` or `by`.
BUSES = {
    "i2c": ({"node": node, "hz": whole(10_000, 1_000_000)}, {"hz": whole(10_000, 1_000_000), "pins": two_pins}),
    "uart": ({}, {"pins": two_pins}),
    "gpio": ({}, {}),
}

# The two pins of a bus, in the order of its key "pins".
SIGNALS = {"i2c": ("SDA", "SCL"), "uart": ("TX", "RX")}

# GPIO number: place on the header. 0 and 1 belong to the EEPROM of a HAT.
HEADERS = {
    "raspberry-pi-40": {
        2: 3, 3: 5, 4: 7, 14: 8, 15: 10, 17: 11, 18: 12, 27: 13, 22: 15, 23: 16, 24: 18, 10: 19, 9: 21, 25: 22,
        11: 23, 8: 24, 7: 26, 5: 29, 6: 31, 12: 32, 13: 33, 19: 35, 16: 36, 26: 37, 20: 38, 21: 40,
    },
}  # fmt: skip
