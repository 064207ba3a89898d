"""The main job without a window: switches the device on, logs in, sells 12.34 by tapping a card.

    python -m tools.demo [SCRIPT]       default: emulator/scripts/sale.txt, english/sale.txt without Chinese fonts

Prints each step, each new screen in words and as it looks on the panel, and the slip. The device is a new one, at the wire,
with cards and an acquirer of its own; nothing of it is kept. Printing and the mobile network take no time (`Device`, fast): all
else is as it is. Exit status 1 when a step does not come out as written.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import unicodedata
from pathlib import Path

from drivers.fonts import Fonts
from emulator import blocks, script
from emulator.device import Device

SCRIPTS = Path(__file__).resolve().parents[1] / "emulator" / "scripts"


class Teller:
    """Tells the steps, and the screens between them."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._seen = ""
        narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < 132
        self._draw = blocks.braille if narrow else blocks.half_blocks

    def step(self, text: str) -> None:
        self.screen()
        print("  " + text.partition(": ")[2], flush=True)

    def screen(self) -> None:
        """Prints the panel, when it has changed and is lit."""
        seen = self._device.screen
        if seen.text and seen.text != self._seen:
            self._seen = seen.text
            print("\n" + " | ".join(line.strip() for line in seen.lines))
            print("\n".join(blocks.framed(self._draw(blocks.rows_of(seen.image)))), flush=True)


def main(argv: list[str]) -> int:
    path = Path(argv[0]) if argv else SCRIPTS / ("sale.txt" if Fonts().has_chinese else "english/sale.txt")
    with tempfile.TemporaryDirectory(prefix="kaifu-") as folder, Device(folder, fast=True) as device:
        teller = Teller(device)
        try:
            done = script.run(device, path, None, teller.step)
        except script.ScriptError as error:
            print(error, file=sys.stderr)
            return 2
        except script.Failed as failure:
            print(failure, file=sys.stderr)
            return 1
        teller.screen()
        print("\n".join(slip(device.all_paper_text.strip("\n").splitlines())))
        print("%d steps as written" % done)
    return 0


def slip(lines: list[str]) -> list[str]:
    """The paper between its edges. A Han character takes two columns of the paper and of a terminal."""
    widths = [sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line) for line in lines]
    edge = "+" + "-" * max(widths, default=0) + "+"
    inside = ["|" + line + " " * (max(widths) - width) + "|" for line, width in zip(lines, widths, strict=True)]
    return [edge, *inside, edge]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:  # whoever read along has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
