"""A terminal of forty lines on the real drivers, for tests of the bench under it.

Shows the keys typed, as digits up to ENTER; ENTER prints them; a card on the reader shows its technology. Named points:
"typed" after each key. `python toy_terminal.py DATA`.
"""

import queue
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from drivers.board import load
from drivers.display import Ssd1306
from drivers.keypad import MatrixKeypad
from drivers.light import Lamps
from drivers.nfc import Pn532
from drivers.printer import EscposPrinter
from drivers.sound import PwmBuzzer
from drivers.wires import open_wires
from firmware.events import CARD_FOUND, CARD_GONE, CARD_PROBLEM, KEY, PRINT_DONE, STOP, Event
from firmware.screens import Screen


def main():
    events = queue.SimpleQueue()
    board = load("emulator")
    wires = open_wires(board)
    parts = board.parts
    signal.signal(signal.SIGTERM, lambda *_: events.put(Event(STOP, 0, None)))
    display = Ssd1306(events.put, parts["display"], wires.i2c(parts["display"]["bus"]))
    keypad = MatrixKeypad(events.put, parts["keypad"], wires.gpio())
    sound = PwmBuzzer(events.put, parts["sound"], wires.gpio())
    light = Lamps(events.put, parts["light"], wires.gpio())
    printer = EscposPrinter(events.put, parts["printer"], wires.uart(parts["printer"]["bus"]))
    reader = Pn532(events.put, parts["contactless"], wires.uart(parts["contactless"]["bus"]))
    running = [display, keypad, sound, light, printer, reader]
    for part in running:
        part.start()
    typed, note = "", "ready"
    light.show("ready")
    reader.activate(1)
    while True:
        display.show(Screen(title="TOY", lines=(note,), big=typed))
        event = events.get()
        if event.name == STOP:
            print("stopping", flush=True)
            break
        if event.name == KEY:
            sound.play("key")
            wires.reach("typed")
            if event.value == "ENTER":
                printer.print(2, [("", "typed " + typed), ("cut", "")])
                note, typed = "printing", ""
            elif event.value == "CANCEL":
                raise SystemExit("cancelled: " + note)
            else:
                typed += event.value
        elif event.name == PRINT_DONE:
            note = "printed"
        elif event.name == CARD_FOUND:
            note = "card " + event.value
            reader.release(1)
        elif event.name == CARD_PROBLEM:
            note = "card " + event.value
        elif event.name == CARD_GONE:
            note = "card gone"
            reader.activate(1)
    for part in reversed(running):
        part.close()


if __name__ == "__main__":
    main()
