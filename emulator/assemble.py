"""Board data in, chips out: what `boards/emulator.py` names, each at the end of its wire.

The mirror of `drivers/assemble.py`, which makes what stands at the other ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from drivers.board import Board
from emulator.chips.ccid import CcidChip
from emulator.chips.gpio import Buzzer, KeyMatrix, Lamps, Pushed
from emulator.chips.modem import ModemChip
from emulator.chips.oled import Sh1106Chip, Ssd1306Chip
from emulator.chips.pn532 import Pn532Chip
from emulator.chips.printer import PrinterChip
from emulator.chips.stripe import StripeChip
from emulator.hands import Hands, Keypad
from emulator.paper import Paper
from emulator.radio import Radio
from emulator.sounds import Sounds
from emulator.wires import Wires

PANELS = {"ssd1306": Ssd1306Chip, "sh1106": Sh1106Chip}
PRINTERS = {"csn-a2": "csn-a2", "epson-tm": "epson-tm", "generic-58": "mute", "raster-58": "mute"}
PAPER_SPEED = 60  # mm/s: what a small thermal head does


class Chips:
    """The chips of one device, and the hands on its keys.

    touch(section)          told that "screen", "leds", "sounds" or "paper" has changed; gives the change's number
    log(kind, text)         told what crosses the wires
    apdu(direction, apdu)   told what passes between reader and card
    watched()               whether a driver reads the keys
    fast                    printing and the mobile network take no time
    radio                   the mobile network

    panel, keypad, hands, lamps, buzzer, sounds, reader, chip, stripe, printer, modem: what there is
    by_part    those that can be broken, by the board's name of the part
    """

    def __init__(
        self,
        board: Board,
        wires: Wires,
        touch: Callable[[str], int],
        log: Callable[[str, str], None],
        apdu: Callable[[str, bytes], None],
        watched: Callable[[], bool],
        fast: bool,
        radio: Radio,
    ) -> None:
        parts = board.parts

        def changed(section: str) -> None:
            touch(section)

        def modem_changed() -> None:
            touch("radio")
            touch("faults")  # a reset mends one

        with contextlib.ExitStack() as made:
            panel = parts["display"]
            self.panel = PANELS[panel["driver"]](size=panel["size"], log=log)
            self.panel.on_change = lambda: changed("screen")
            wires.add_i2c(panel["bus"], {panel["address"]: self.panel})

            keys = parts["keypad"]
            self.keypad = Keypad(wires, keys["rows"], watched)
            made.callback(self.keypad.close)
            self.hands = Hands(KeyMatrix(wires.gpio, keys["rows"], keys["columns"], keys["keys"]), self.keypad)

            light = parts["light"]
            self.lamps = Lamps(wires.gpio, light["pins"], light.get("active_low", False), lambda _: changed("leds"), log)
            self.sounds = Sounds(lambda: touch("sounds"))
            self.buzzer = Buzzer(wires.gpio, parts["sound"]["pin"], self.sounds.heard)

            self.reader = Pn532Chip(wires.add_uart(parts["contactless"]["bus"]), log, apdu)

            self.chip = CcidChip(wires.add_uart(parts["chip"]["bus"]), parts["chip"]["profile"], log, apdu)
            self.stripe = StripeChip(wires.add_uart(parts["stripe"]["bus"]), log=log)

            printer = parts["printer"]
            self.printer = PrinterChip(
                wires.add_uart(printer["bus"]),
                PRINTERS[printer["profile"]],
                Paper(lambda: changed("paper")),
                0 if fast else PAPER_SPEED,
                log,
            )
            made.callback(self.printer.close)
            made.callback(self.reader.close)
            made.callback(self.chip.close)
            self.modem = self._modem(parts["modem"], wires, radio, log, modem_changed, fast)
            made.callback(self.modem.close)
            self.reader.start()
            self.chip.start()
            self.modem.start()
            self.by_part: dict[str, object] = {
                "display": self.panel,
                "contactless": self.reader,
                "chip": self.chip,
                "stripe": self.stripe,
                "printer": self.printer,
                "modem": self.modem,
            }
            self._made = made.pop_all()

    @staticmethod
    def _modem(
        part: dict[str, Any], wires: Wires, radio: Radio, log: Callable[[str, str], None], changed: Callable[[], None], fast: bool
    ) -> ModemChip:
        bus = part["bus"]
        chip = ModemChip(
            radio, part["profile"], wires.add_uart(bus), hang_up=lambda: wires.unplug(bus), come_back=lambda: wires.add_uart(bus),
            log=log, changed=changed, fast=fast,
        )  # fmt: skip
        for pin, push in (("reset", chip.pull_reset), ("power", chip.press_key)):
            if pin in part:
                Pushed(wires.gpio, part[pin], part.get("active_low", False), push)
        return chip

    def power_on(self) -> None:
        """There is power: what has to start by itself does."""
        self.modem.power_on()

    def reset(self) -> None:
        """Power lost: every chip forgets."""
        for chip in (self.panel, self.reader, self.chip, self.stripe, self.printer, self.modem):
            chip.reset()

    def close(self) -> None:
        """Ends their threads; the wires are somebody else's."""
        self._made.close()
