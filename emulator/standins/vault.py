"""The vault port in one process, in virtual time: the same keys, ciphers and entries, no file and no thread.

It holds what the sealed file would hold, so it outlives the terminal: after a power cut the same object goes on.
Passwords are hashed once (`cost` 1): the hash is the driver's affair, and a simulated year has many log-ins.
"""

from drivers.key_box import KeyBox, first_records
from drivers.vault import Vault


class StandIn(Vault):
    """`firmware.ports.Vault`.

    master      the bytes of the master key; None: a device that was not provisioned.
    cipher      whose keys master and transport are.
    transport   the bytes of the transport key; None: it has none.
    keypad      the stand-in whose keys are borrowed.
    quick_ms    latency of a MAC, a seal;  slow_ms: of a password, a key load, a PIN block.
    full        a switch: what must be saved cannot be, VAULT_REFUSED("storage").
    """

    def __init__(
        self, world, keypad, master: "bytes | None" = None, cipher: str = "tdes", transport: "bytes | None" = None
    ) -> None:
        self._world = world
        self.quick_ms = 1
        self.slow_ms = 5
        self.full = False
        if master is None:
            state, records = "empty", []
        else:
            state, records = "ready", first_records(master, world.random.randbytes, 1, (), cipher, transport)
        keys = KeyBox(state, records, world.random.randbytes, self._save, lambda: None, cost=1)
        super().__init__(self._to_the_world, keys, keypad, self._quickly, self._slowly, world.random.randbytes)

    def own_fingerprint(self, data: bytes) -> bytes:
        """The fingerprint, at once: what a technician's tool has when it loads an exception file."""
        return self._keys.fingerprint(data)

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """What a power cut does: an entry ends without an answer, the keys stay."""
        with self._guard:
            self._end()
            self._choose(None)
        self._lend()
        self._keys.forget_unsaved()

    def _quickly(self, job) -> None:
        self._world.later(self.quick_ms, job)

    def _slowly(self, job) -> None:
        self._world.later(self.slow_ms, job)

    def _to_the_world(self, event):
        self._world.post(event)

    def _save(self, records):
        if self.full:
            raise OSError("the stand-in is full")
