"""Raspberry Pi 5 and Compute Module 5.

GPIO14, 15 are /dev/ttyAMA0 here; /dev/serial0 is the debug connector and is not used. RPi.GPIO does not know this
board: the package rpi-lgpio gives the same module. The lamps sit on the pins of SPI0, which is off.
The chip reader has uart4 (GPIO12, 13); the stripe reader is one that types, in a USB socket that is named by its place.
"""

KEYS_4X4 = (
    ("1", "2", "3", "CANCEL"),
    ("4", "5", "6", "BACK"),
    ("7", "8", "9", "CLEAR"),
    ("00", "0", "DOWN", "ENTER"),
)

BOARD = {
    "name": "Raspberry Pi 5",
    "wires": "real",
    "header": "raspberry-pi-40",
    "mode": "test",
    "buses": {
        "i2c1": {"node": "/dev/i2c-1", "hz": 400000, "pins": (2, 3)},
        "uart0": {"node": "/dev/ttyAMA0", "pins": (14, 15)},
        "uart2": {"node": "/dev/ttyAMA2", "pins": (4, 5)},
        "uart4": {"node": "/dev/ttyAMA4", "pins": (12, 13)},
        "uart-modem": {"node": "/dev/posmodem"},
        "gpio": {},
    },
    "parts": {
        "display": {"driver": "ssd1306", "bus": "i2c1", "address": 0x3C, "size": (128, 64)},
        "keypad": {"driver": "matrix", "rows": (17, 27, 22, 23), "columns": (24, 25, 6, 16), "keys": KEYS_4X4},
        "contactless": {"driver": "pn532", "bus": "uart0", "baud": 921600, "reset": 20},
        "chip": {"driver": "ccid", "bus": "uart4", "profile": "sec1210"},
        "stripe": {"driver": "hid", "node": "/dev/input/by-path/platform-xhci-hcd.0-usb-0:1:1.0-event-kbd"},
        "printer": {"driver": "escpos", "bus": "uart2", "baud": 115200, "profile": "csn-a2"},
        "sound": {"driver": "buzzer", "pin": 18},
        "light": {"driver": "lamps", "pins": (10, 9, 11, 8)},
        "vault": {"driver": "software"},
        "link": {"driver": "tcp"},
        "modem": {
            "driver": "at", "bus": "uart-modem", "profile": "ec25", "ip": "kernel", "interface": "usb0", "reset": 19, "power": 21,
        },
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
            "dtoverlay=uart0-pi5",
            "dtoverlay=uart2-pi5",
            "dtoverlay=uart4-pi5",
            "dtparam=watchdog=on",
        )),
        ("/boot/firmware/cmdline.txt", (
            "remove console=ttyAMA0,115200",
        )),
        ("/etc/udev/rules.d/60-kaifu.rules", (
            'SUBSYSTEM=="tty", ATTRS{idVendor}=="2c7c", ENV{ID_USB_INTERFACE_NUM}=="02", SYMLINK+="posmodem"',
            'ATTRS{idVendor}=="2c7c", ENV{ID_MM_DEVICE_IGNORE}="1", TEST=="power/control", ATTR{power/control}="on"',
        )),
        ("shell", (
            "apt-get install python3-rpi-lgpio",
            "systemctl mask --now serial-getty@ttyAMA0",
            "usermod -aG i2c,gpio,dialout,input kaifu",
        )),
    ),
}  # fmt: skip
