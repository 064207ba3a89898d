"""Raspberry Pi Zero 2 W.

Two UARTs only, and the good one (PL011) is Bluetooth's until `disable-bt`: it goes to the reader. The printer sits
behind a USB serial adapter in the first socket of the hub, the chip reader behind one in the second, a stripe reader
that types sits in the third: found by the socket and not by the order of plugging.
"""

KEYS_4X4 = (
    ("1", "2", "3", "CANCEL"),
    ("4", "5", "6", "BACK"),
    ("7", "8", "9", "CLEAR"),
    ("00", "0", "DOWN", "ENTER"),
)

BOARD = {
    "name": "Raspberry Pi Zero 2 W",
    "wires": "real",
    "header": "raspberry-pi-40",
    "mode": "test",
    "buses": {
        "i2c1": {"node": "/dev/i2c-1", "hz": 400000, "pins": (2, 3)},
        "uart0": {"node": "/dev/ttyAMA0", "pins": (14, 15)},
        "uart-usb": {"node": "/dev/serial/by-path/platform-3f980000.usb-usb-0:1.1:1.0-port0"},
        "uart-usb2": {"node": "/dev/serial/by-path/platform-3f980000.usb-usb-0:1.2:1.0-port0"},
        "gpio": {},
    },
    "parts": {
        "display": {"driver": "ssd1306", "bus": "i2c1", "address": 0x3C, "size": (128, 64)},
        "keypad": {"driver": "matrix", "rows": (17, 27, 22, 23), "columns": (24, 25, 6, 16), "keys": KEYS_4X4},
        "contactless": {"driver": "pn532", "bus": "uart0", "baud": 921600, "reset": 20},
        "chip": {"driver": "ccid", "bus": "uart-usb2", "profile": "sec1210"},
        "stripe": {"driver": "hid", "node": "/dev/input/by-path/platform-3f980000.usb-usb-0:1.3:1.0-event-kbd"},
        "printer": {"driver": "escpos", "bus": "uart-usb", "baud": 115200, "profile": "csn-a2"},
        "sound": {"driver": "buzzer", "pin": 18},
        "light": {"driver": "lamps", "pins": (10, 9, 11, 8)},
        "vault": {"driver": "software"},
        "link": {"driver": "tcp"},
        "store": {"driver": "sqlite"},
        "clock": {"driver": "system"},
        "random": {"driver": "system"},
        "text": {"driver": "gb18030"},
        "watchdog": {"driver": "systemd"},
        "log": {"driver": "file"},
    },
    "setup": (
        ("/boot/firmware/config.txt", (
            "dtparam=i2c_arm=on",
            "dtparam=i2c_arm_baudrate=400000",
            "dtparam=spi=off",
            "dtoverlay=disable-bt",
            "enable_uart=1",
            "dtparam=watchdog=on",
        )),
        ("/boot/firmware/cmdline.txt", (
            "remove console=serial0,115200",
        )),
        ("shell", (
            "systemctl disable --now hciuart",
            "systemctl mask --now serial-getty@ttyAMA0",
            "usermod -aG i2c,gpio,dialout,input kaifu",
        )),
    ),
}  # fmt: skip
