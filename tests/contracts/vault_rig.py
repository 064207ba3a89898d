"""Both vaults as one: the driver on its files and the stand-in, with a keypad, a chip and a modem before them."""

from drivers import cup_keys, libcrypto, vault_software
from drivers.vault_software import SoftwareVault
from emulator.standins import keypad as keypads
from emulator.standins.vault import StandIn
from firmware.events import KEY, KEYS, SECRET_TYPED, VAULT_DONE
from tests.toys import Inbox, World, of

MASTER = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
TRANSPORT = bytes.fromhex("70F2A84CCBC2AE8625CBB0F2C22AB923")
PIN_KEY = bytes.fromhex("1A2A3D4C5E6E708092A2B5C4D6E6F801")
MAC_KEY = bytes.fromhex("4F5D6E7C8A9BA8B6")
TRACK_KEY = bytes.fromhex("C1D3E3F4041626384A5B6D7C8F9EA1B0")
PAN = "6222620000000002"


class Chip:
    """The reader's side of `carry`: notes the command as it came and answers at once, or when it is told to."""

    def __init__(self):
        self.got = []
        self.given = []  # the commands themselves, as the vault keeps them
        self.response = b"\x90\x00"
        self.holds = False
        self.owed = []

    def carry(self, apdu, done):
        self.got.append(bytes(apdu))
        self.given.append(apdu)
        self.owed.append(done)
        if not self.holds:
            self.answer()

    def answer(self):
        self.owed.pop(0)(self.response)


class Modem:
    """The modem's side of `unlock`: its SIM has one PIN."""

    def __init__(self, pin="482915"):
        self.pin = pin.encode()
        self.given = []  # what the vault handed over
        self.there = True
        self.holds = False
        self.owed = []

    def unlock(self, pin, done):
        self.given.append(pin)
        word = "no-modem" if not self.there else "right" if bytes(pin) == self.pin else "wrong"
        libcrypto.cleanse(pin)
        self.owed.append(lambda: done(word))
        if not self.holds:
            self.answer()

    def answer(self):
        self.owed.pop(0)()


class Rig:
    """A vault and the stand-in keypad in front of it; tickets are numbered by `ask`."""

    def begin(self):
        self.tickets = 0
        self.fingers = World()
        self.keypad = keypads.StandIn(self.fingers)
        self.chip = Chip()
        self.modem = Modem()

    def ask(self, name, *arguments):
        self.tickets += 1
        getattr(self.port, name)(self.tickets, *arguments)
        return self.tickets

    def answer(self, name, *arguments):
        """(name, value) of the one answer."""
        event = self.wait(self.ask(name, *arguments))
        return event.name, event.value

    def type(self, words):
        """Names of keys, or digits; "00" is the key of that name."""
        for word in words.split():
            for key in [word] if word in KEYS else word:
                self.keypad.tap(key)
                self.fingers.run()

    def keys_for_the_firmware(self):
        return [event.value for event in self.fingers.events if event.name == KEY]

    def secret(self, name, *arguments, keys):
        """The last answer to an entry, and the numbers of digits told before it."""
        ticket = self.ask(name, *arguments)
        self.type(keys)
        typed = []
        while True:
            event = self.wait(ticket)
            if event.name != SECRET_TYPED:
                return (event.name, event.value), typed
            typed.append(event.value)

    def load(self):
        assert self.answer("load_keys", [key_row("pin", PIN_KEY), key_row("mac", MAC_KEY)]) == (VAULT_DONE, None)

    def attach(self):
        self.port.attach_chip(self.chip)
        self.port.attach_modem(self.modem)


class DriverRig(Rig):
    def __init__(self, folder):
        self.begin()
        self.folder = folder
        self.switch_on()

    def provision(self, master=MASTER, cipher="tdes", transport=None):
        vault_software.create(self.folder, master, cost=10, cipher=cipher, transport=transport)
        self.restart()

    def switch_on(self):
        self.inbox = Inbox()
        self.port = SoftwareVault(self.inbox.post, {}, self.folder, self.keypad, cost=10)
        self.attach()
        self.port.start()

    def restart(self):
        self.port.close()
        self.switch_on()

    def wait(self, ticket):
        return self.inbox.wait(of(ticket))

    def rest(self):
        # Jobs are done in their order, so what comes before this answer is all there is.
        done = self.ask("remove_operator", "55")
        events = []
        while True:
            event = self.inbox.wait(lambda event: True)
            if event.ticket == done:
                return events
            events.append(event)

    def break_medium(self):
        (self.folder / "vault.key").unlink()

    def close(self):
        self.port.close()


class StandInRig(Rig):
    def __init__(self):
        self.begin()
        self.world = World()
        self.port = StandIn(self.world, self.keypad)

    def provision(self, master=MASTER, cipher="tdes", transport=None):
        self.port = StandIn(self.world, self.keypad, master, cipher, transport)
        self.attach()

    def restart(self):
        self.port.close()

    def wait(self, ticket):
        return self.world.wait(of(ticket))

    def rest(self):
        self.world.run()
        events, self.world.events[:] = list(self.world.events), []
        return events

    def break_medium(self):
        self.port.full = True

    def close(self):
        self.port.close()


def rig_of(kind, folder):
    """A device that was not provisioned. kind: "driver" or "stand-in"."""
    return DriverRig(folder / "data") if kind == "driver" else StandInRig()


def key_row(slot, key, check_value=None, master=MASTER, cipher="tdes"):
    """A row of load_keys: the key enciphered under the master key."""
    with libcrypto.Cipher(cipher, master) as under:
        return slot, under.run(key), check_value or cup_keys.check_value(key, cipher)
