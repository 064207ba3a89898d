"""Raspberry Pi 4 B and Compute Module 4 on its IO board. `python -m firmware --board pi_4 --check` lists the wiring.

The printer has uart3 to itself (GPIO4, 5), found by its hardware address because the ttyAMA numbers of the extra
UARTs differ between kernels; so has the chip reader uart5 (GPIO12, 13). The stripe reader is one that types, in a USB
socket that is named by its place. The lamps sit on the pins of SPI0, which is off.
"""

KEYS_4X4 = (
    ("1", "2", "3", "CANCEL"),
    ("4", "5", "6", "BACK"),
    ("7", "8", "9", "CLEAR"),
    ("00", "0", "DOWN", "ENTER"),
)

BOARD = {
    "name": "Raspberry Pi 4",
    "wires": "real",
    "header": "raspberry-pi-40",
    "mode": "test",
    "buses": {
        "i2c1": {"node": "/dev/i2c-1", "hz": 400000, "pins": (2, 3)},
        "uart0": {"node": "/dev/ttyAMA0", "pins": (14, 15)},
        "uart3": {"by": "fe201600.serial", "pins": (4, 5)},
        "uart5": {"by": "fe201a00.serial", "pins": (12, 13)},
        "uart-modem": {"node": "/dev/posmodem"},
        "gpio": {},
    },
    "parts": {
        "display": {"driver": "ssd1306", "bus": "i2c1", "address": 0x3C, "size": (128, 64)},
        "keypad": {"driver": "matrix", "rows": (17, 27, 22, 23), "columns": (24, 25, 6, 16), "keys": KEYS_4X4},
        "contactless": {"driver": "pn532", "bus": "uart0", "baud": 921600, "reset": 20},
        "chip": {"driver": "ccid", "bus": "uart5", "profile": "sec1210"},
        "stripe": {"driver": "hid", "node": "/dev/input/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.3:1.0-event-kbd"},
        "printer": {"driver": "escpos", "bus": "uart3", "baud": 115200, "profile": "csn-a2"},
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
            "dtoverlay=disable-bt",
            "enable_uart=1",
            "dtoverlay=uart3",
            "dtoverlay=uart5",
            "dtparam=watchdog=on",
        )),
        ("/boot/firmware/cmdline.txt", (
            "remove console=serial0,115200",
        )),
        ("/etc/udev/rules.d/60-kaifu.rules", (
            'SUBSYSTEM=="tty", ATTRS{idVendor}=="2c7c", ENV{ID_USB_INTERFACE_NUM}=="02", SYMLINK+="posmodem"',
            'ATTRS{idVendor}=="2c7c", ENV{ID_MM_DEVICE_IGNORE}="1", TEST=="power/control", ATTR{power/control}="on"',
        )),
        ("shell", (
            "systemctl disable --now hciuart",
            "systemctl mask --now serial-getty@ttyAMA0",
            "usermod -aG i2c,gpio,dialout,input kaifu",
        )),
    ),
}  # fmt: skip
