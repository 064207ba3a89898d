"""What a vault holds and what can be done with it: keys, working keys, operators' passwords. No port, no thread.

    record             made by          is
    key:master         provisioning     16 bytes; the host's working keys come enciphered under it
    key:pin, :mac,     sign-on          8 or 16 bytes; one use each
        :track
    own:seal           provisioning     32 bytes, AES-GCM; what the firmware keeps in its store
    own:fingerprint    provisioning     32 bytes, HMAC-SHA-256; the same card, the same word, on this device only
    who:NN             provisioning,    1 made in the factory | cost (4) | salt (16) | PBKDF2-HMAC-SHA-256 (32)
                       an operator

A four-digit password has ten thousand values: the hash slows a thief of the *opened* file by little, the seal of
the file is what protects it, and the lock-out (the firmware's) protects the keypad. The cost is chosen so that one
check takes about 50 ms on a Raspberry Pi Zero 2 W.

Every change is saved before it counts: `save` gets all records and raises OSError if it cannot.
"""

import hashlib
import hmac
import struct
import threading

from drivers import cup_keys
from drivers.libcrypto import NONCE_BYTES, Cipher, CryptoError, cleanse, gcm_open, gcm_seal

WORKING = ("pin", "mac", "track")
SLOTS = ("master",) + WORKING
COST = 20_000
SALT_BYTES = 16
OWN_KEY_BYTES = 32

SUPERVISOR, ADMINISTRATOR, FIRST_CLERK = "00", "99", "01"
# (operators, digits, password from the factory): reference/products.md §0.
KINDS = {SUPERVISOR: (6, b"123456"), ADMINISTRATOR: (8, b"12345678")}
CLERK = (4, b"0000")

_RECORD = struct.Struct(">BI16s32s")


class Refused(Exception):
    """The request cannot be met; `why` is the word of the port's VAULT_REFUSED."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def password_digits(operator: str) -> int:
    """How many digits the operator's password has. ValueError when there can be no such operator."""
    return _kind(operator)[0]


def _kind(operator):
    if type(operator) is not str or len(operator) != 2 or not (operator.isascii() and operator.isdigit()):
        raise ValueError("an operator is two digits")
    return KINDS.get(operator, CLERK)


def first_records(master: "bytes | bytearray", random, cost: int = COST, old=()) -> "list[tuple[str, bytearray]]":
    """The records of a device just provisioned. master: 16 bytes.

    `old`: records of the vault that this one replaces; what it sealed stays readable, nothing else is kept.
    """
    if len(master) != 16:
        raise ValueError("a master key has 16 bytes")
    kept = dict(old)
    records = [("key:master", bytearray(master))]
    for name in ("own:seal", "own:fingerprint"):
        records.append((name, bytearray(kept[name]) if name in kept else bytearray(random(OWN_KEY_BYTES))))
    for operator in (FIRST_CLERK, SUPERVISOR, ADMINISTRATOR):
        records.append(("who:" + operator, _factory_record(operator, random, cost)))
    return records


def _factory_record(operator, random, cost):
    return _password_record(bytearray(_kind(operator)[1]), random(SALT_BYTES), cost, True)


def _password_record(digits, salt, cost, factory):
    return bytearray(_RECORD.pack(factory, cost, salt, hashlib.pbkdf2_hmac("sha256", digits, salt, cost)))


def password_fits(record: bytearray, digits: bytearray) -> bool:
    """Whether `digits` is the password of which `record` was made."""
    _, cost, salt, digest = _RECORD.unpack(record)
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha256", digits, salt, cost), digest)


def checked_slots(keys: "list[tuple]") -> "list[tuple[str, bytes, bytes]]":
    """`keys` of the port's load_keys, if each is for another slot of WORKING; else ValueError."""
    slots = [slot for slot, _, _ in keys]
    if not slots or len(set(slots)) != len(slots) or not set(slots) <= set(WORKING):
        raise ValueError("working keys go to %s, each once" % ", ".join(WORKING))
    return list(keys)


class KeyBox:
    """`records` in use. All methods may be called from any thread; the key schedules are kept.

    save(records)   makes a changed set of records last.
    destroy()       makes the records that lasted unreadable.
    """

    def __init__(self, state: str, records, random, save, destroy, cost: int = COST) -> None:
        self._guard = threading.RLock()  # held for microseconds
        self._writing = threading.Lock()  # held while `save` syncs; taken before _guard
        self._records = dict(records)
        self._random = random
        self._save = save
        self._destroy = destroy
        self._cost = cost
        self._ciphers: dict = {}
        self._check_values: dict = {}
        self._nobody = bytearray(_RECORD.pack(False, cost, bytes(SALT_BYTES), bytes(32)))
        self.state = state if state != "ready" or self._whole() else "broken"

    def _whole(self):
        for name, value in self._records.items():
            kind = name.partition(":")[0]
            wanted = {"key": (8, 16), "own": (OWN_KEY_BYTES,), "who": (_RECORD.size,)}.get(kind)
            if wanted is None or len(value) not in wanted or (kind == "who" and _RECORD.unpack(value)[1] < 1):
                return False
        return all(name in self._records for name in ("key:master", "own:seal", "own:fingerprint"))

    def refusal(self, slot: "str | None" = None) -> "str | None":
        """Why nothing can be done with the slot (or at all): "wiped", "no-key", or None when it can."""
        with self._guard:
            if self.state == "ready":
                return None if slot is None or "key:" + slot in self._records else "no-key"
            return "wiped" if self.state == "wiped" else "no-key"

    def check_value(self, slot: str) -> "bytes | None":
        """4 bytes, or None when the slot is empty. ValueError when there is no such slot."""
        if slot not in SLOTS:
            raise ValueError("no slot %r" % (slot,))
        with self._guard:
            if self.refusal(slot):
                return None
            if slot not in self._check_values:
                self._check_values[slot] = cup_keys.check_value(self._records["key:" + slot])
            return self._check_values[slot]

    def load_keys(self, keys: "list[tuple[str, bytes, bytes]]") -> None:
        """Puts the host's working keys into their slots, all or none. Refused keeps the old ones."""
        fresh = []
        with self._guard:
            self._insist("master")
            try:
                with Cipher("tdes", self._records["key:master"], encrypt=False) as master:
                    for slot, cryptogram, expected in keys:
                        if len(cryptogram) not in (8, 16) or not 3 <= len(expected) <= 8:
                            raise Refused("bad-data")
                        # A check value may be sent in 3 bytes; more than 4 say no more than 4.
                        key = cup_keys.open_key_block(master, bytes(cryptogram), bytes(expected)[:4])
                        if key is None:
                            raise Refused("check-value")
                        fresh.append(("key:" + slot, key))
            except Refused:
                cleanse(*(key for _, key in fresh))
                raise
        self._change(fresh)

    def mac(self, data: bytes) -> bytes:
        """UnionPay ECB MAC under "mac", 8 ASCII bytes."""
        with self._guard:
            return cup_keys.ecb_mac(self._cipher("mac"), data)

    def pin_block(self, pin: bytearray, pan: str) -> bytes:
        """The format 0 block enciphered under "pin", 8 bytes."""
        clear = cup_keys.pin_block(pin, pan)
        try:
            with self._guard:
                return self._cipher("pin").run(clear)
        finally:
            cleanse(clear)

    def seal(self, data: bytes) -> bytes:
        """nonce, ciphertext, tag."""
        with self._guard:
            self._insist()
            nonce = bytes(self._random(NONCE_BYTES))
            return nonce + gcm_seal(self._records["own:seal"], nonce, data)

    def unseal(self, sealed: bytes) -> bytes:
        """What was sealed. Refused("bad-data") for anything else."""
        with self._guard:
            self._insist()
            try:
                return bytes(gcm_open(self._records["own:seal"], bytes(sealed[:NONCE_BYTES]), sealed[NONCE_BYTES:]))
            except CryptoError:
                raise Refused("bad-data") from None

    def fingerprint(self, data: bytes) -> bytes:
        """16 bytes, the same for the same data."""
        with self._guard:
            self._insist()
            return hmac.digest(self._records["own:fingerprint"], data, "sha256")[:16]

    # Operators.

    def knows(self, operator: str) -> bool:
        with self._guard:
            return "who:" + operator in self._records

    def is_factory(self, operator: str) -> bool:
        """The operator's password was never changed."""
        _kind(operator)
        with self._guard:
            record = self._records.get("who:" + operator)
            return record is not None and _RECORD.unpack(record)[0] == 1

    def check_password(self, operator: str, digits: bytearray) -> bool:
        """Takes as long for an operator that does not exist."""
        _kind(operator)
        with self._guard:
            self._insist()
            record = self._records.get("who:" + operator)
            copy = bytearray(self._nobody if record is None else record)
        fits = password_fits(copy, digits)
        cleanse(copy)
        return fits and record is not None

    def new_password(self, operator: str, digits: bytearray) -> "bytearray | None":
        """A record for `set_password`, or None when the password is weak: the factory's, the old one, all equal."""
        same = digits.count(digits[0]) == len(digits)
        if same or hmac.compare_digest(digits, _kind(operator)[1]) or self.check_password(operator, digits):
            return None
        return _password_record(digits, self._random(SALT_BYTES), self._cost, False)

    def set_password(self, operator: str, record: bytearray) -> None:
        if not self.knows(operator):
            raise Refused("bad-data")
        self._change([("who:" + operator, record)])

    def add_operator(self, operator: str) -> None:
        """The operator has the factory's password from now on, whether he is new or not."""
        self._change([("who:" + operator, _factory_record(operator, self._random, self._cost))])

    def remove_operator(self, operator: str) -> None:
        _kind(operator)
        self._change([("who:" + operator, None)])

    def wipe(self) -> None:
        """Nothing is left, in memory first, then on the medium."""
        with self._guard:
            self.state = "wiped"
            self.forget()
        with self._writing:
            self._destroy()

    def forget(self) -> None:
        """Wipes the memory only."""
        with self._guard:
            for cipher in self._ciphers.values():
                cipher.close()
            self._ciphers.clear()
            self._check_values.clear()
            cleanse(*self._records.values())
            self._records.clear()

    def _insist(self, slot=None):
        why = self.refusal(slot)
        if why:
            raise Refused(why)

    def _cipher(self, slot):
        cipher = self._ciphers.get(slot)
        if cipher is None:
            self._insist(slot)
            cipher = self._ciphers[slot] = Cipher("tdes", self._records["key:" + slot])
        return cipher

    def _change(self, fresh):
        """Saves the records with `fresh` put in (None takes out), then uses them."""
        with self._writing:
            with self._guard:
                self._insist()
                changed = dict(self._records)
            for name, value in fresh:
                if value is None:
                    changed.pop(name, None)
                else:
                    changed[name] = value
            try:
                self._save(sorted(changed.items()))
            except OSError:
                cleanse(*(value for _, value in fresh if value is not None))
                raise Refused("storage") from None
            with self._guard:
                if self.state != "ready":
                    cleanse(*changed.values())
                    self._insist()
                for name, _ in fresh:
                    old = self._records.get(name)
                    if old is not None:
                        cleanse(old)
                    slot = name.partition(":")[2]
                    self._check_values.pop(slot, None)
                    if name.startswith("key:") and slot in self._ciphers:
                        self._ciphers.pop(slot).close()
                self._records = changed
