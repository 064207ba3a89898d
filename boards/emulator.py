"""The emulated handheld: the parts of a Raspberry Pi 4 device, with an emulator at the other end of each wire.

Pins and buses are a Pi 4's, so that the drivers run as they do there. There is no `node`: the folder named by the
environment variable KAIFU_WIRES holds one end of each wire under the bus's name.
"""

KEYS_4X4 = (
    ("1", "2", "3", "CANCEL"),
    ("4", "5", "6", "BACK"),
    ("7", "8", "9", "CLEAR"),
    ("00", "0", "DOWN", "ENTER"),
)

BOARD = {
    "name": "Emulated handheld",
    "wires": "emulated",
    "header": "raspberry-pi-40",
    "mode": "test",
    "parameters": {"operators.force_change": False},
    "buses": {
        "i2c1": {"hz": 400000, "pins": (2, 3)},
        "uart0": {"pins": (14, 15)},
        "uart3": {"pins": (4, 5)},
        "uart5": {"pins": (12, 13)},
        "uart-usb": {},
        "uart-modem": {},
        "gpio": {},
    },
    "parts": {
        "display": {"driver": "ssd1306", "bus": "i2c1", "address": 0x3C, "size": (128, 64)},
        "keypad": {"driver": "matrix", "rows": (17, 27, 22, 23), "columns": (24, 25, 6, 16), "keys": KEYS_4X4},
        "contactless": {"driver": "pn532", "bus": "uart0", "baud": 921600},
        "chip": {"driver": "ccid", "bus": "uart5", "profile": "sec1210"},
        "stripe": {"driver": "serial", "bus": "uart-usb", "baud": 9600},
        "printer": {"driver": "escpos", "bus": "uart3", "baud": 115200, "profile": "csn-a2", "pace": False},
        "sound": {"driver": "buzzer", "pin": 18},
        "light": {"driver": "lamps", "pins": (10, 9, 11, 8)},
        "vault": {"driver": "software"},
        "link": {"driver": "tcp", "only": ("modem",)},
        "modem": {"driver": "at", "bus": "uart-modem", "profile": "ec20", "reset": 19},
        "store": {"driver": "sqlite"},
        "clock": {"driver": "system"},
        "random": {"driver": "system"},
        "text": {"driver": "gb18030"},
        "watchdog": {"driver": "none"},
        "log": {"driver": "file"},
    },
    "setup": (),
}
