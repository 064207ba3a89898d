"""Both ends of the wires in one process, for tests of drivers on their chips."""

from drivers.board import load
from drivers.wires_emulated import EmulatedWires
from emulator.chips.gpio import Buzzer, KeyMatrix, Lamps
from emulator.wires import Wires


class Wired:
    """`far`: the emulator's ends; `near`: the firmware's ends; `board`: whose wires they are."""

    def __init__(self, folder):
        self.board = load("emulator")
        self.log = []
        self.far = Wires(folder / "wires", log=lambda kind, text: self.log.append((kind, text)))
        self.near = EmulatedWires(self.board, self.far.folder)

    def keys(self):
        part = self.board.parts["keypad"]
        return KeyMatrix(self.far.gpio, part["rows"], part["columns"], part["keys"], self._note)

    def lamps(self, **settings):
        return Lamps(self.far.gpio, self.board.parts["light"]["pins"], log=self._note, **settings)

    def buzzer(self, **settings):
        return Buzzer(self.far.gpio, self.board.parts["sound"]["pin"], log=self._note, **settings)

    def close(self):
        self.near.close()
        self.far.close()

    def _note(self, kind, text):
        self.log.append((kind, text))
