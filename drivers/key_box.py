"""What a vault holds and what can be done with it: keys in their slots, own keys, operators' passwords. No port, no thread.

    record              made by          is
    key:, cipher:       provisioning,    a key in a slot (drivers/key_slots.py); one use each
        check: SLOT     sign-on
    own:seal            provisioning     32 bytes, AES-GCM; what the firmware keeps in its store
    own:fingerprint     provisioning     32 bytes, HMAC-SHA-256; the same card, the same word, on this device only
    who:NN              provisioning,    an operator's password (drivers/passwords.py)
                        an operator
    sim:pin             whoever typed    the SIM's PIN, 4 to 8 digits

Every change is saved before it counts: `save` gets all records and raises OSError if it cannot. What is never saved:
components of a master key, and the keys of the open DUKPT transaction. After a restart the series goes on with the next.
"""

import hmac
import threading

from drivers import cup_keys, dukpt, kcv, key_slots, macs, passwords, pin_blocks
from drivers.components import ComponentError, combine
from drivers.key_slots import SLOTS, WORKING, Refused
from drivers.libcrypto import NONCE_BYTES, Cipher, CryptoError, cleanse, gcm_open, gcm_seal
from drivers.passwords import ADMINISTRATOR, COST, FIRST_CLERK, SALT_BYTES, SUPERVISOR

OWN_KEY_BYTES = 32
SIM_PIN_DIGITS = (4, 8)

# form of the port: (whether of the DUKPT transaction, {cipher of the key: form of the clear block})
PIN_FORMS = {
    "0": (False, {"tdes": "0", "sm4": "sm4"}),
    "0-without-pan": (False, {"tdes": "0-without-pan", "sm4": "sm4-without-pan"}),
    "3": (False, {"tdes": "3"}),
    "4": (False, {"aes": "4"}),
    "dukpt-0": (True, {"tdes": "0"}),
    "dukpt-4": (True, {"aes": "4"}),
}
# method of the port: method of drivers/macs.py under the transaction's MAC key
DUKPT_MACS = {"dukpt-x9.19": "x9.19", "dukpt-cmac": "cmac"}


def first_records(
    master: "bytes | bytearray",
    random,
    cost: int = COST,
    old=(),
    cipher: str = "tdes",
    transport: "bytes | bytearray | None" = None,
) -> "list[tuple[str, bytearray]]":
    """The records of a device just provisioned; master and transport are keys of the cipher, a single-length one is none.

    `old`: records of the vault that this one replaces; what it sealed stays readable, nothing else is kept.
    """
    given = {"master": master} if transport is None else {"master": master, "transport": transport}
    for slot, key in given.items():
        if len(key) not in key_slots.MASTER_BYTES[cipher]:
            raise ValueError("a %s key of %s does not have %d bytes" % (slot, cipher, len(key)))
    kept = dict(old)
    records = [record for slot, key in given.items() for record in key_slots.records_of(slot, cipher, key)]
    for name in ("own:seal", "own:fingerprint"):
        records.append((name, bytearray(kept[name]) if name in kept else bytearray(random(OWN_KEY_BYTES))))
    for operator in (FIRST_CLERK, SUPERVISOR, ADMINISTRATOR):
        records.append(("who:" + operator, passwords.factory_record(operator, random, cost)))
    return records


class KeyBox:
    """`records` in use. All methods may be called from any thread.

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
        self._check_values: dict = {}
        self._components: dict[int, bytearray] = {}
        self._transaction: dukpt.Transaction | None = None
        self._nobody = passwords.record_of_nobody(cost)
        self.state = state if state != "ready" or self._whole() else "broken"

    def _whole(self):
        for name, value in self._records.items():
            kind, _, slot = name.partition(":")
            good = {
                "own": lambda value: len(value) == OWN_KEY_BYTES,
                "who": passwords.is_record,
                "sim": _is_sim_pin,
            }.get(kind)
            if not (good(value) if good else key_slots.whole(name, value, self._records)):
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
                self._check_values[slot] = key_slots.check_value(slot, self._records)
            return self._check_values[slot]

    def cipher(self, slot: str) -> "str | None":
        """The cipher of the key in a slot; None when it is empty. ValueError when there is no such slot."""
        if slot not in SLOTS:
            raise ValueError("no slot %r" % (slot,))
        with self._guard:
            return None if self.refusal(slot) else key_slots.cipher_of(slot, self._records)

    # Keys come in.

    def load_keys(self, keys: "list[tuple[str, bytes | str, bytes]]") -> None:
        """Puts the host's keys into their slots, all or none. Refused keeps the old ones."""
        fresh: list = []
        with self._guard:
            try:
                for slot, block, expected in keys:
                    opener = SLOTS[slot].opener
                    fresh += key_slots.opened(slot, block, expected, *self._key(opener))
            except (Refused, CryptoError):
                cleanse(*(value for _, value in fresh))
                raise
        self._install(fresh)

    def keep_component(self, number: int, digits: bytearray, cipher: str) -> bytes:
        """Takes a component of a master key, hexadecimal digits; its check value, 4 bytes."""
        component = _of_hexadecimal(digits)
        found = kcv.check_value(cipher, component)
        with self._guard:
            self._insist()
            self._drop_component(number)
            self._components[number] = component
        return found

    def install_master(self, cipher: str, expected: bytes) -> bytes:
        """As the port says: the check value of the components together, which are the master key from then on."""
        with self._guard:
            self._insist()
            try:
                key = combine([self._components[number] for number in sorted(self._components)], cipher)
            except ComponentError:
                self.drop_components()
                raise Refused("bad-data") from None
        try:
            found = kcv.check_value(cipher, key)
            if not expected:
                return found
            if not kcv.fits(cipher, key, expected):
                self.drop_components()
                raise Refused("check-value")
            self._install(key_slots.records_of("master", cipher, key))
            self.drop_components()
            return found
        except CryptoError:
            self.drop_components()
            raise
        finally:
            cleanse(key)

    def drop_components(self) -> None:
        """Forgets what `keep_component` took."""
        with self._guard:
            for number in list(self._components):
                self._drop_component(number)

    def _drop_component(self, number):
        cleanse(self._components.pop(number, bytearray()))

    def _install(self, fresh):
        """Saves keys. A new master key takes the working keys away; any new key ends the open transaction."""
        slots = {name.partition(":")[2] for name, _ in fresh}
        gone = [name for slot in WORKING for name in key_slots.record_names(slot)] if "master" in slots else []
        self._change(fresh + [(name, None) for name in gone])
        self._begin(None)

    # DUKPT.

    def next_transaction(self) -> bytes:
        """Moves the series on, saves that, and gives the key serial number."""
        with self._guard:
            self._insist("dukpt")
            series = dukpt.Series(self._records["key:dukpt"])
        try:
            transaction = series.advance()
        except dukpt.Worn:
            series.close()
            raise Refused("worn") from None
        try:
            self._change([("key:dukpt", series.record)])
        except Refused:
            transaction.close()
            raise
        self._begin(transaction)
        return transaction.serial

    def _begin(self, transaction):
        with self._guard:
            before, self._transaction = self._transaction, transaction
            if before is not None:
                before.close()

    def _working(self, use, kind):
        """(cipher, key) of the open transaction, the key for the caller to wipe."""
        self._insist("dukpt")
        if self._transaction is None:
            raise Refused("no-key")
        # Triple DES keys come of every series, AES keys of an AES one.
        if kind == "aes" and self._transaction.cipher != "aes":
            raise Refused("bad-data")
        return kind, self._transaction.working(use, kind)

    # What keys are for.

    def mac(self, data: bytes, method: str = "unionpay", reply: bool = False) -> bytes:
        """8 bytes. Refused("bad-data") where key and method do not fit. reply: under the key for the host's messages."""
        with self._guard:
            if method not in DUKPT_MACS:
                cipher, key = self._key("mac")
                return _mac(method, cipher, key, data)
            self._insist("dukpt")
            kind = "aes" if method == "dukpt-cmac" and key_slots.cipher_of("dukpt", self._records) == "aes" else "tdes"
            kind, key = self._working(dukpt.MAC_RESPONSE if reply else dukpt.MAC_REQUEST, kind)
            try:
                return _mac(DUKPT_MACS[method], kind, key, data)
            finally:
                cleanse(key)

    def pin_refusal(self, form: str = "0") -> "str | None":
        """Why no PIN can be taken in this form, or None when one can."""
        try:
            with self._guard:
                self._pin_key(form, lambda kind, key: None)
        except Refused as refused:
            return refused.why
        return None

    def pin_block(self, pin: bytearray, pan: str, form: str = "0") -> bytes:
        """The enciphered block. pin: ASCII digits; pan: the whole card number."""
        with self._guard:
            return self._pin_key(form, lambda kind, key: self._sealed_pin(PIN_FORMS[form][1][kind], kind, key, pin, pan))

    def _pin_key(self, form, work):
        if form not in PIN_FORMS:
            raise Refused("bad-data")
        of_transaction, clears = PIN_FORMS[form]
        if not of_transaction:
            kind, key = self._key("pin")
            if kind not in clears:
                raise Refused("bad-data")
            return work(kind, key)
        (kind,) = clears
        kind, key = self._working(dukpt.PIN, kind)
        try:
            return work(kind, key)
        finally:
            cleanse(key)

    def _sealed_pin(self, clear_form, kind, key, pin, pan):
        with Cipher(kind, key) as cipher:
            if clear_form == "4":
                return pin_blocks.encipher_4(cipher, pin, pan, self._random)
            clear = pin_blocks.encode(clear_form, pin, pan, self._random)
            try:
                return cipher.run(clear)
            finally:
                cleanse(clear)

    def encrypt_track(self, track: str) -> str:
        """The digits to send: under the open transaction's data key, without one under "track". Refused("bad-data") for
        what is no track, and for a key that is not triple DES."""
        with self._guard:
            if self._transaction is None:
                kind, key = self._key("track")
                return _track(kind, key, track)
            kind, key = self._working(dukpt.DATA_REQUEST, "tdes")
            try:
                return _track(kind, key, track)
            finally:
                cleanse(key)

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

    # The SIM.

    def sim_pin(self) -> "bytearray | None":
        """A copy of the SIM's PIN, for the caller to wipe; None when none is kept."""
        with self._guard:
            kept = self._records.get("sim:pin") if self.state == "ready" else None
            return None if kept is None else bytearray(kept)

    def keep_sim_pin(self, pin: bytearray) -> None:
        """Keeps it from now on; `pin` becomes the box's own."""
        self._change([("sim:pin", pin)])

    def drop_sim_pin(self) -> None:
        """Forgets it: the SIM has another."""
        self._change([("sim:pin", None)])

    # Operators.

    def knows(self, operator: str) -> bool:
        with self._guard:
            return "who:" + operator in self._records

    def is_factory(self, operator: str) -> bool:
        """The operator's password was never changed."""
        passwords.kind(operator)
        with self._guard:
            record = self._records.get("who:" + operator)
            return record is not None and passwords.is_factory(record)

    def check_password(self, operator: str, digits: bytearray) -> bool:
        """Takes as long for an operator that does not exist."""
        passwords.kind(operator)
        with self._guard:
            self._insist()
            record = self._records.get("who:" + operator)
            copy = bytearray(self._nobody if record is None else record)
        fits = passwords.password_fits(copy, digits)
        cleanse(copy)
        return fits and record is not None

    def new_password(self, operator: str, digits: bytearray) -> "bytearray | None":
        """A record for `set_password`, or None when the password is weak: the factory's, the old one, all equal."""
        if passwords.is_weak(operator, digits) or self.check_password(operator, digits):
            return None
        return passwords.record_of(digits, self._random(SALT_BYTES), self._cost)

    def set_password(self, operator: str, record: bytearray) -> None:
        if not self.knows(operator):
            raise Refused("bad-data")
        self._change([("who:" + operator, record)])

    def add_operator(self, operator: str) -> None:
        """The operator has the factory's password from now on, whether he is new or not."""
        self._change([("who:" + operator, passwords.factory_record(operator, self._random, self._cost))])

    def remove_operator(self, operator: str) -> None:
        passwords.kind(operator)
        self._change([("who:" + operator, None)])

    # The end of it.

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
            self.forget_unsaved()
            self._check_values.clear()
            cleanse(*self._records.values())
            self._records.clear()

    def forget_unsaved(self) -> None:
        """Wipes what a power cut takes: components, and the keys of the open transaction."""
        self.drop_components()
        self._begin(None)

    def _insist(self, slot=None):
        why = self.refusal(slot)
        if why:
            raise Refused(why)

    def _key(self, slot):
        """(cipher, key) of a slot."""
        self._insist(slot)
        return key_slots.cipher_of(slot, self._records), self._records["key:" + slot]

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
                    self._check_values.pop(name.partition(":")[2], None)
                self._records = changed


def _mac(method, cipher, key, data):
    try:
        return macs.mac(method, cipher, key, data)
    except macs.MacError:
        raise Refused("bad-data") from None


def _track(cipher, key, track):
    if cipher != "tdes":
        raise Refused("bad-data")
    try:
        with Cipher(cipher, key) as schedule:
            return cup_keys.encrypted_track(schedule, track)
    except cup_keys.TrackError:
        raise Refused("bad-data") from None


def _of_hexadecimal(digits):
    """Bytes of ASCII hexadecimal digits, without a copy that nobody wipes."""
    out = bytearray(len(digits) // 2)
    for place, digit in enumerate(digits):
        out[place // 2] |= (digit - 48 if digit < 58 else digit - 55) << (0 if place % 2 else 4)
    return out


def _is_sim_pin(value):
    return SIM_PIN_DIGITS[0] <= len(value) <= SIM_PIN_DIGITS[1] and value.isdigit()
