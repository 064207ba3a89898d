"""The vault port over a key box and a keypad: tickets, entries, answers. Where the work is done is somebody else's choice.

While a secret is typed the keypad belongs to the vault, and the firmware hears numbers of digits only:

    state      event                                   next
    none       an entry: `enter_...`, verify_pin       typing: the keypad is borrowed
    typing     digit, CLEAR, BACK                      typing: SECRET_TYPED(n)
    typing     ENTER, CANCEL                           ending: keys are swallowed
    ending     its work is done                        none: the keypad is given back, then the answer
    any        stop(ticket)                            none: the keypad is given back, no answer
    any        wipe()                                  none: VAULT_REFUSED("wiped")

The work on an offline PIN is to send it to the chip and wait for its answer: the vault does so itself, through the
`carry` of the chip reader that `attach_chip` has told it of, and wipes the command when the chip has answered. So it is with
the PIN of the SIM and the modem of `attach_modem`; one that was right is kept, and the modem asks for it (`sim_pin`) when it
starts.

A second entry ends the first with SECRET_STOPPED("cancel"). New working keys hold from VAULT_DONE on.

Keys come from the keypad's thread, which may hold the keypad's own lock: nothing called from there borrows or gives
back.

Source: firmware/ports.py, class Vault.
"""

import hmac
import threading
from collections.abc import Callable

from drivers import kcv, offline_pin, pin_blocks
from drivers.components import MASTER_BYTES, MOST
from drivers.key_box import SIM_PIN_DIGITS, KeyBox
from drivers.key_slots import Refused, checked_rows
from drivers.libcrypto import KEY_BYTES, CryptoError, cleanse
from drivers.passwords import KINDS, password_digits, password_fits
from drivers.secret_entry import READY, STOPPED_CANCEL, TYPED, HexadecimalEntry, SecretEntry
from firmware.events import (
    SECRET_READY,
    SECRET_STOPPED,
    SECRET_TYPED,
    VAULT_DONE,
    VAULT_REFUSED,
    Event,
)

Job = Callable[[], None]

PURPOSES = ("check", "new", "repeat")
STOPPED_LOST = "lost"
NO_MODEM = "no-modem"


class Vault:
    """`firmware.ports.Vault`, once it is told where its work is done.

    quick(job)   does a job of microseconds, at once or later.
    slow(job)    does a job of milliseconds (a hash, a sync) later, one after the other, and not in the keypad's thread.
    random       random(n) -> n unpredictable bytes.
    """

    mode = "software"
    approved = False

    def __init__(
        self, post, keys: KeyBox, keypad, quick: "Callable[[Job], object]", slow: "Callable[[Job], object]", random
    ) -> None:
        self._post = post
        self._quick = quick
        self._slow = slow
        self._keys = keys
        self._keypad = keypad
        self._fill = random
        self._chip = None
        self._modem = None
        self._guard = threading.RLock()
        self._lending = threading.Lock()
        self._borrowed = False
        self._typing = None  # the entry that the keys go to
        self._open = None  # the entry that is owed an answer: the same, or one that is ending
        self._chosen = None  # (operator, password record) between "new" and "repeat"

    def attach_chip(self, chip) -> None:
        """The reader (`firmware.ports.ChipReader`) that offline PINs go to; a board without one never calls this."""
        self._chip = chip

    def attach_modem(self, modem) -> None:
        """The modem (`firmware.ports.Modem`) that the PIN of the SIM goes to; a board without one never calls this."""
        self._modem = modem

    # For the modem's driver, from any thread.

    def sim_pin(self) -> "bytearray | None":
        """The PIN that this SIM was opened with, for the caller to wipe; None when nobody has typed one."""
        return self._keys.sim_pin()

    def drop_sim_pin(self) -> None:
        """The SIM refused the kept one: it is not tried again, a person has to type it."""
        self._slow(self._drop_sim_pin)

    def _drop_sim_pin(self):
        try:
            self._keys.drop_sim_pin()
        except Refused:
            # It will be offered again at the next start, and dropped then.
            pass

    # Answers at once.

    @property
    def state(self) -> str:
        return self._keys.state

    def check_value(self, slot: str) -> "bytes | None":
        """4 bytes, or None when the slot is empty."""
        return self._keys.check_value(slot)

    def cipher(self, slot: str) -> "str | None":
        """Of the key in the slot, None when it is empty."""
        return self._keys.cipher(slot)

    def is_factory(self, operator: str) -> bool:
        """Whether the operator still has the factory's password."""
        return self._keys.is_factory(operator)

    def wipe(self) -> None:
        """Destroys every key at once."""
        self._keys.wipe()
        with self._guard:
            entry = self._end()
            self._choose(None)
            if entry is not None:
                self._post(Event(VAULT_REFUSED, entry.ticket, "wiped"))
        self._lend()

    # Answered by an event.

    def load_keys(self, ticket: int, keys: "list[tuple[str, bytes | str, bytes]]") -> None:
        keys = checked_rows(keys)
        self._answer(self._slow, ticket, lambda: self._keys.load_keys(keys))

    def install_master(self, ticket: int, cipher: str, expected: bytes) -> None:
        _check_cipher(cipher)
        if expected and not kcv.BYTES[0] <= len(expected) <= kcv.BYTES[1]:
            raise ValueError("a check value has 3 to 8 bytes")
        self._answer(self._slow, ticket, lambda: self._keys.install_master(cipher, expected))

    def drop_components(self) -> None:
        self._keys.drop_components()

    def next_transaction(self, ticket: int) -> None:
        self._answer(self._slow, ticket, self._keys.next_transaction)

    def mac(self, ticket: int, data: bytes, method: str = "unionpay") -> None:
        self._answer(self._quick, ticket, lambda: self._keys.mac(data, method))

    def check_mac(self, ticket: int, data: bytes, mac: bytes, method: str = "unionpay") -> None:
        self._answer(self._quick, ticket, lambda: hmac.compare_digest(self._keys.mac(data, method, reply=True), bytes(mac)))

    def encrypt_track(self, ticket: int, track: str) -> None:
        """As the port says; while a DUKPT transaction is open, under its data key. New keys end it."""
        self._answer(self._quick, ticket, lambda: self._keys.encrypt_track(track))

    def seal(self, ticket: int, data: bytes) -> None:
        self._answer(self._quick, ticket, lambda: self._keys.seal(data))

    def unseal(self, ticket: int, sealed: bytes) -> None:
        self._answer(self._quick, ticket, lambda: self._keys.unseal(sealed))

    def fingerprint(self, ticket: int, data: bytes) -> None:
        self._answer(self._quick, ticket, lambda: self._keys.fingerprint(data))

    def add_operator(self, ticket: int, operator: str) -> None:
        password_digits(operator)
        self._answer(self._slow, ticket, lambda: self._keys.add_operator(operator))

    def remove_operator(self, ticket: int, operator: str) -> None:
        if operator in KINDS:
            raise ValueError("operator %s cannot be removed" % operator)
        password_digits(operator)
        self._answer(self._slow, ticket, lambda: self._keys.remove_operator(operator))

    # Entries.

    def enter_pin(self, ticket: int, pan: str, minimum: int, maximum: int, form: str = "0") -> None:
        _check_digits(minimum, maximum)
        pin_blocks.checked_pan(pan)
        why = self._keys.pin_refusal(form)
        if why:
            self._refuse(ticket, why)
        else:
            entry = SecretEntry(minimum, maximum, bypass=True)
            self._begin(ticket, entry, lambda pin: self._keys.pin_block(pin, pan, form))

    def enter_card(self, ticket: int) -> None:
        why = self._keys.refusal()
        if why:
            self._refuse(ticket, why)
        else:
            self._begin(ticket, SecretEntry(*pin_blocks.PAN_DIGITS), lambda number: number.decode())

    def enter_component(self, ticket: int, number: int, size: int, cipher: str = "") -> None:
        """As the port says; cipher: of the check value, by default AES for 32 bytes and else triple DES."""
        cipher = cipher or ("aes" if size == 32 else "tdes")
        _check_cipher(cipher)
        if not 1 <= number <= MOST or size not in MASTER_BYTES[cipher]:
            raise ValueError("component %r of %r bytes (%s)" % (number, size, cipher))
        why = self._keys.refusal()
        if why:
            self._refuse(ticket, why)
        else:
            self._begin(ticket, HexadecimalEntry(2 * size), lambda digits: self._keys.keep_component(number, digits, cipher))

    def enter_sim_pin(self, ticket: int) -> None:
        why = self._keys.refusal()
        if why:
            self._refuse(ticket, why)
        elif self._modem is None:
            self._quick(lambda: self._post(Event(SECRET_READY, ticket, NO_MODEM)))
        else:
            self._begin(ticket, SecretEntry(*SIM_PIN_DIGITS), bytearray, self._unlock)

    def verify_pin(
        self, ticket: int, minimum: int, maximum: int, kind: str, key: "tuple[bytes, int] | None", challenge: bytes
    ) -> None:
        """As the port says; VAULT_REFUSED("bad-data") for a key or a challenge that no PIN can be enciphered with."""
        _check_digits(minimum, maximum)
        if kind not in offline_pin.KINDS:
            raise ValueError("kind %r" % (kind,))
        why = self._keys.refusal()
        if not why and kind == offline_pin.ENCIPHERED and not offline_pin.fits(key, challenge):
            why = "bad-data"
        if why:
            self._refuse(ticket, why)
        elif self._chip is None:
            self._quick(lambda: self._post(Event(SECRET_STOPPED, ticket, STOPPED_LOST)))
        else:

            def work(pin):
                if kind == offline_pin.PLAINTEXT:
                    return offline_pin.plain(pin)
                return offline_pin.enciphered(pin, key, challenge, self._fill)

            self._begin(ticket, SecretEntry(minimum, maximum, bypass=True), work, self._carry)

    def enter_password(self, ticket: int, operator: str, purpose: str) -> None:
        digits = password_digits(operator)
        if purpose not in PURPOSES:
            raise ValueError("purpose %r" % (purpose,))
        why = self._keys.refusal()
        # The state first: a wipe forgets what was chosen, and is no mistake of the caller's.
        if purpose == "repeat" and not why and (self._chosen is None or self._chosen[0] != operator):
            raise ValueError('"repeat" comes after "new"')
        if purpose == "new" and not why and not self._keys.knows(operator):
            why = "bad-data"
        if why:
            self._refuse(ticket, why)
            return
        work = {"check": self._check_password, "new": self._new_password, "repeat": self._repeat_password}[purpose]
        if purpose != "repeat":
            self._choose(None)
        self._begin(ticket, SecretEntry(digits, digits), lambda typed: work(operator, typed))

    def stop(self, ticket: int) -> None:
        with self._guard:
            if self._open is None or self._open.ticket != ticket:
                return
            self._end()
            self._choose(None)
        self._lend()

    def _check_password(self, operator, typed):
        return "right" if self._keys.check_password(operator, typed) else "wrong"

    def _new_password(self, operator, typed):
        record = self._keys.new_password(operator, typed)
        if record is None:
            return "weak"
        self._choose((operator, record))
        return "ok"

    def _repeat_password(self, operator, typed):
        with self._guard:
            chosen, self._chosen = self._chosen, None
        if chosen is None:
            raise Refused("bad-data")
        record = chosen[1]
        if not password_fits(record, typed):
            cleanse(record)
            return "different"
        self._keys.set_password(operator, record)
        return "set"

    def _choose(self, chosen):
        with self._guard:
            if self._chosen is not None:
                cleanse(self._chosen[1])
            self._chosen = chosen

    # Behind the entries.

    def _begin(self, ticket, secret, work, carry=None):
        with self._guard:
            before = self._end()
            if before is not None:
                self._post(Event(SECRET_STOPPED, before.ticket, STOPPED_CANCEL))
            self._typing = self._open = _Entry(ticket, secret, work, carry)
        self._lend()

    def _end(self):
        """Forgets the open entry, if any, and returns it."""
        entry, self._typing, self._open = self._open, None, None
        if entry is not None:
            entry.secret.wipe()
        return entry

    def _lend(self):
        """Lets the keypad be where it should be."""
        with self._lending:
            wanted = self._typing is not None
            if wanted == self._borrowed:
                return
            self._borrowed = wanted
            if wanted:
                self._keypad.borrow(self._press)
            else:
                self._keypad.give_back()

    def _press(self, key):
        """In the keypad's thread."""
        with self._guard:
            entry = self._typing
            if entry is None:
                return
            outcome = entry.secret.press(key)
            if outcome is None:
                return
            if outcome == TYPED:
                self._post(Event(SECRET_TYPED, entry.ticket, entry.secret.typed))
                return
            self._typing = None
            digits = entry.secret.take() if outcome == READY else None
        self._slow(lambda: self._finish(entry, outcome, digits))

    def _finish(self, entry, outcome, digits):
        self._lend()
        name, value = SECRET_STOPPED, outcome
        if digits is not None:
            try:
                if self._open is entry:
                    name, value = SECRET_READY, entry.work(digits)
            except (Refused, CryptoError) as refused:
                name, value = VAULT_REFUSED, _why(refused)
            finally:
                cleanse(digits)
        if name == SECRET_READY and entry.carry is not None:
            entry.carry(entry, value)
        else:
            self._conclude(entry, name, value)

    def _carry(self, entry, command):
        def done(answer):
            cleanse(command)
            if answer is None or len(answer) < 2:
                self._conclude(entry, SECRET_STOPPED, STOPPED_LOST)
            else:
                self._conclude(entry, SECRET_READY, answer[-2] << 8 | answer[-1])

        self._chip.carry(command, done)

    def _unlock(self, entry, pin):
        kept = bytearray(pin)  # the modem wipes what it is given

        def done(word):
            if word == "right":
                self._slow(lambda: keep(word))
            else:
                cleanse(kept)
                self._conclude(entry, SECRET_READY, word)

        def keep(word):
            try:
                self._keys.keep_sim_pin(kept)
            except Refused:
                # The SIM is open all the same; it is asked for again at the next start.
                pass
            self._conclude(entry, SECRET_READY, word)

        self._modem.unlock(pin, done)

    def _conclude(self, entry, name, value):
        with self._guard:
            if self._open is entry:
                self._open = None
                self._post(Event(name, entry.ticket, value))

    def _answer(self, place, ticket, work):
        def job():
            try:
                name, value = VAULT_DONE, work()
            except (Refused, CryptoError) as refused:
                name, value = VAULT_REFUSED, _why(refused)
            self._post(Event(name, ticket, value))

        place(job)

    def _refuse(self, ticket, why):
        self._quick(lambda: self._post(Event(VAULT_REFUSED, ticket, why)))


def _why(refused):
    """A cipher that the library lacks is a key that nothing can be done with."""
    return refused.why if isinstance(refused, Refused) else "bad-data"


def _check_cipher(cipher):
    if cipher not in KEY_BYTES:
        raise ValueError("no cipher %r" % (cipher,))


def _check_digits(minimum, maximum):
    least, most = pin_blocks.PIN_DIGITS
    if not least <= minimum <= maximum <= most:
        raise ValueError("a PIN has 4 to 12 digits")


class _Entry:
    """work(digits): the answer, or what `carry(entry, what)` takes to somebody else, where there is one."""

    def __init__(self, ticket, secret, work, carry):
        self.ticket = ticket
        self.secret = secret
        self.work = work
        self.carry = carry
