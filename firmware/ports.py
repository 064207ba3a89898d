"""What a board must bring: one class a port, its signatures and docstrings the contract.

Rules for all of them:

* A method without a ticket answers at once and does not block for longer than its bus needs.
* A method with a ticket returns at once; its answers are events that carry the ticket (`events.py`). Answers
  are posted from any thread. After the last answer named in the contract nothing more comes for that ticket.
* Nothing raises for the state of the world (no paper, no card, no network): that is an answer. What raises is
  a caller's mistake (ValueError) and, for the store, the errors below.
* No secret is in an event, a `repr` or an exception, but for the values that a contract names.

The classes are never instantiated and nobody has to derive from them: whatever has these methods is the port. A driver
and its in-process stand-in both pass `tests/contracts/test_<port>.py`, and have the parameters by these names.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from firmware.screens import Screen

    Row = tuple[str, str, bytes | None, str | None]
    Job = list[tuple[str, object]]
else:
    Protocol = object


class StoreError(Exception):
    """The store could not do it; the data are as they were before the call."""


class StoreFull(StoreError):
    """No space left."""


class StoreReadOnly(StoreError):
    """The medium refuses writes."""


class StoreCorrupt(StoreError):
    """What is stored cannot be read as what was written."""


class Display(Protocol):
    """Shows a screen.

    A panel that does not answer is never raised: PART(0, ("display", "gone")) once, and "ready" when it is back and
    repainted. Nothing is posted at a healthy start.
    """

    size: "tuple[int, int]"  # (width, height) in pixels
    chinese: bool  # whether it can draw Han characters; without, the texts are English

    def show(self, screen: "Screen") -> None:
        """Draws a resolved screen (`screens.texts`). The same picture again costs nothing."""

    def contrast(self, level: int) -> None:
        """0..255; ValueError beyond."""

    def sleep(self) -> None:
        """Panel dark; the picture is kept."""

    def wake(self) -> None:
        """Panel lit, with the picture that was shown last."""


class Keypad(Protocol):
    """Sixteen keys.

    Posts KEY(0, name) once a press, never on release; no repeat. A keypad that fails is PART(0, ("keypad", "failed")).
    """

    def borrow(self, taker: "Callable[[str], None]") -> None:
        """For the vault: from now on presses go to `taker(name)` and no KEY is posted.

        It is called from the driver's thread, one key at a time: a press counts only if nothing else is down.
        """

    def give_back(self) -> None:
        """The other way; a press that was under way may still reach the taker."""


class Reader(Protocol):
    """A contactless reader. It carries whole APDUs; what the card's protocol needs below is its own."""

    @property
    def state(self) -> str:
        """ "starting", "ready", "failed", "gone"; each change is also PART(0, (part, state))."""

    def activate(self, ticket: int) -> None:
        """Field on, look for a card, until one is found, `release` or `cancel`.

        CARD_FOUND(technology), or CARD_PROBLEM(why) as often as it is seen (once per appearance).
        """

    def transmit(self, ticket: int, apdu: bytes) -> None:
        """Command APDU, 4..261 bytes -> CARD_REPLY(bytes) or CARD_LOST(why)."""

    def release(self, ticket: int) -> None:
        """Done with the card -> CARD_GONE when it has left the field (at once if it had). Field off."""

    def cancel(self, ticket: int) -> None:
        """Field off, no more answers for this ticket."""


class ChipReader(Protocol):
    """The slot for a chip with contacts: the same as Reader, "in the slot" for "in the field".

    CARD_FOUND("T=0" | "T=1"): the card answered its reset as EMV Book 1 wants it. CARD_PROBLEM("unreadable"): it did not, and
    is still in the slot; the reader goes on looking for the next one.
    """

    @property
    def state(self) -> str:
        """As of Reader."""

    @property
    def present(self) -> bool:
        """Whether a card is in the slot, powered or not."""

    def activate(self, ticket: int) -> None:
        """Waits for a card, or takes the one that is there, and resets it."""

    def transmit(self, ticket: int, apdu: bytes) -> None:
        """As of Reader. GET RESPONSE and the repetition with the right length (61, 6C) are the reader's."""

    def release(self, ticket: int) -> None:
        """Power off -> CARD_GONE when the card has been pulled."""

    def cancel(self, ticket: int) -> None:
        """Power off, no more answers for this ticket."""

    def carry(self, apdu: bytes, done: "Callable[[bytes | None], None]") -> None:
        """For the vault: sends a command that holds a secret to the active card; `done(answer, or None for a lost card)`.

        It is called from the driver's thread. No event is posted and nothing of the command is kept or logged.
        """


class Stripe(Protocol):
    """A reader of magnetic stripes that gives text."""

    @property
    def state(self) -> str:
        """ "starting", "ready", "failed", "gone"; each change is also PART(0, (part, state))."""

    def activate(self, ticket: int) -> None:
        """CARD_SWIPED(bytes) for every swipe until `cancel`: the text of one swipe as the reader sent it, framing taken off,
        at most 512 bytes; `firmware.stripe` reads it. What was swiped before is not told."""

    def cancel(self, ticket: int) -> None:
        """No more answers for this ticket."""


class Vault(Protocol):
    """Keys and secrets. The firmware never holds a key and never sees a secret typed.

    All tickets may also be answered VAULT_REFUSED("no-key" | "wiped"); what has to be kept, "storage" when it cannot be:
    then nothing has changed. New keys hold from VAULT_DONE on. A second entry ends the first with SECRET_STOPPED("cancel").
    Operators: "00".."99".

    A key lives in a slot, with its cipher ("tdes", "aes", "sm4"), and does what the slot is for and nothing else:

        "transport"   the device's own, from the factory: opens a master key that comes enciphered, or as a TR-31 block
        "master"      opens working keys
        "pin"         PIN blocks              "mac"   MACs              "track"   tracks
        "dukpt"       the initial key of a DUKPT series; `next_transaction` moves it on
    """

    mode: str  # what kind of vault: "software" (not approved) or the name of an approved device
    approved: bool  # whether production mode may start on it

    @property
    def state(self) -> str:
        """ "ready", "empty" (no master key), "wiped", "broken" (the sealed key file is damaged)."""

    def check_value(self, slot: str) -> "bytes | None":
        """Key check value, 4 bytes; None when the slot is empty."""

    def cipher(self, slot: str) -> "str | None":
        """What the key in the slot is for: "tdes", "aes" or "sm4"; None when the slot is empty."""

    def load_keys(self, ticket: int, keys: "list[tuple[str, bytes | str, bytes]]") -> None:
        """keys: [(slot, block, check value)], all or nothing. Not "transport".

        block, bytes: the key enciphered (ECB) under the master key, "master" under "transport"; 8, 16, 24 or 32 bytes
        (UnionPay also sends an 8-byte key followed by eight zero bytes); its cipher is that of the key that opens it. A check
        value of 3 to 8 bytes. block, str: a TR-31 key block (ANSI X9.143), whose usage must be the slot's; check value b"" or
        as above. A new master key takes the working keys away.
        VAULT_DONE(None), or VAULT_REFUSED("check-value" | "no-key" | "bad-data") with the old keys kept.
        """

    def enter_component(self, ticket: int, number: int, size: int, cipher: str = "") -> None:
        """Takes the keypad for component `number` (1, 2, 3) of a master key of `size` bytes: 2 * size hexadecimal digits.
        cipher: of the check value that is told; "": AES for 32 bytes, else triple DES.

        DOWN and then 1..6 types A..F. SECRET_TYPED(n) after each digit, then SECRET_READY(check value of the component, 4
        bytes) on confirm after the last, or SECRET_STOPPED("cancel"). The component is kept in the vault's memory alone, until
        `install_master`, `drop_components`, a wipe or a restart. The person before the keypad is the firmware's affair.
        """

    def install_master(self, ticket: int, cipher: str, expected: bytes) -> None:
        """The components, combined (XOR), become the master key when the check value of the result begins with `expected`.

        -> VAULT_DONE(check value, 4 bytes), or VAULT_REFUSED("check-value" | "bad-data": fewer than two components, or of
        unequal size) with the old keys kept. The components are forgotten either way; the working keys when it is installed.
        expected: 3 to 8 bytes, or b"": VAULT_DONE tells the check value of the combination and nothing is installed yet.
        """

    def drop_components(self) -> None:
        """Forgets what `enter_component` took."""

    def next_transaction(self, ticket: int) -> None:
        """Moves the DUKPT series on, and keeps that before it answers -> VAULT_DONE(key serial number: 10 bytes TDES, 12 AES).

        From then on PIN block, MAC and track are made with the keys of that number. VAULT_REFUSED("no-key") without "dukpt",
        "worn" at the end of the series.
        """

    def mac(self, ticket: int, data: bytes, method: str = "unionpay") -> None:
        """-> VAULT_DONE(8 bytes) under "mac", or under the DUKPT transaction's request key for a method "dukpt-...".

        method: "unionpay" (ECB, 8 ASCII characters; TDES or SM4), "unionpay-binary" (the same, first 8 bytes), "x9.9", "x9.19"
        (last block, 8 bytes; ISO 9797-1 algorithms 1 and 3), "cmac" (first 8 bytes), "cbc" (zero padded, first 8 bytes of the
        last block; SM4), "dukpt-x9.19", "dukpt-cmac". VAULT_REFUSED("bad-data") where key and method do not fit.
        """

    def check_mac(self, ticket: int, data: bytes, mac: bytes, method: str = "unionpay") -> None:
        """-> VAULT_DONE(bool): whether `mac`, 8 bytes, is that of the data. DUKPT: under the response key."""

    def encrypt_track(self, ticket: int, track: str) -> None:
        """-> VAULT_DONE(str): the digits of a track (separator D or =), its 16 digits before the last byte enciphered under
        "track" as UnionPay does; a track shorter than 17 is padded with F in front."""

    def seal(self, ticket: int, data: bytes) -> None:
        """Encrypts for the store -> VAULT_DONE(bytes)."""

    def unseal(self, ticket: int, sealed: bytes) -> None:
        """-> VAULT_DONE(bytes), or VAULT_REFUSED("bad-data")."""

    def fingerprint(self, ticket: int, data: bytes) -> None:
        """Keyed hash, the same for the same data on this device -> VAULT_DONE(16 bytes)."""

    def enter_card(self, ticket: int) -> None:
        """Takes the keypad for a card number of 13 to 19 digits, for transactions without a card. SECRET_TYPED(n), then
        SECRET_READY(the number, str) on confirm, or SECRET_STOPPED("cancel").

        The one secret that is handed on: as a card read would have brought it. So that it is in no recording of keys.
        """

    def enter_pin(self, ticket: int, pan: str, minimum: int, maximum: int, form: str = "0") -> None:
        """Takes the keypad for a PIN of minimum..maximum digits. SECRET_TYPED(n) after each key, then

        SECRET_READY(PIN block under "pin", or under the DUKPT transaction's PIN key for a form "dukpt-..."),
        SECRET_STOPPED("bypass") for confirm on nothing, or SECRET_STOPPED("cancel"). CLEAR empties, BACK takes one back;
        confirm on too few digits does nothing.
        form, ISO 9564-1: "0" (8 bytes; 16 under an SM4 key), "0-without-pan" (PAN part zero), "3" (8 bytes, TDES), "4" (16
        bytes, AES), "dukpt-0", "dukpt-4". VAULT_REFUSED("bad-data") where key and form do not fit.
        """

    def verify_pin(
        self, ticket: int, minimum: int, maximum: int, kind: str, key: "tuple[bytes, int] | None", challenge: bytes
    ) -> None:
        """Offline PIN: takes the keypad as `enter_pin`, then builds the VERIFY command and sends it to the chip itself.

        kind: "plaintext" or "enciphered" under key (modulus, exponent) with the card's challenge, 8 bytes. After the last
        SECRET_TYPED: SECRET_READY(the card's status word, int), SECRET_STOPPED("bypass" | "cancel" | "lost").
        """

    def enter_sim_pin(self, ticket: int) -> None:
        """Takes the keypad for the PIN of the SIM, 4 to 8 digits, and gives it to the modem. SECRET_TYPED(n), then

        SECRET_READY("right" | "wrong" | "no-modem") or SECRET_STOPPED("cancel"). A right one is kept for the next starts.
        """

    def enter_password(self, ticket: int, operator: str, purpose: str) -> None:
        """Takes the keypad for a password: 4 digits for 01-98, 6 for 00, 8 for 99. SECRET_TYPED(n) as for a PIN, then

        SECRET_READY(word) by the purpose: "check": "right" or "wrong"; "new": "ok" or "weak" (the factory's, the old one,
        or all digits equal); "repeat" (after "new"): "set" or "different". Or SECRET_STOPPED("cancel").
        """

    def is_factory(self, operator: str) -> bool:
        """Whether the operator still has the password that he was made with."""

    def add_operator(self, ticket: int, operator: str) -> None:
        """-> VAULT_DONE(None): he has the factory's password of his kind."""

    def remove_operator(self, ticket: int, operator: str) -> None:
        """-> VAULT_DONE(None): his password is forgotten."""

    def stop(self, ticket: int) -> None:
        """Ends an entry; the keypad is given back; no more answers for this ticket."""

    def wipe(self) -> None:
        """Destroys every key at once; state becomes "wiped"."""


class Printer(Protocol):
    """Puts a slip on paper."""

    columns: int  # cells in a plain line (32 on 58 mm paper; a Han character takes 2)

    def print(self, ticket: int, job: "Job") -> None:
        """job: list of (style, text) -> PRINT_DONE, or PRINT_STOPPED((why, index of the job's line not printed)).

        style is a string of letters: "c" centred, "b" bold, "h" double height, "w" double width, "" plain; or one of
        ("rule", "") a line across, ("feed", n) n empty lines, ("cut", "") end of a copy (tear-off feed, cut where there is
        a knife), ("picture", (width, rows)) 1-bit rows as bytes, at most 384 dots wide.
        Text longer than the paper is wide goes on in the next line.
        """

    def status(self) -> str:
        """What is known, at once: "ok", "paper-low", "paper-out", "cover-open", "too-hot", "silent", "unknown"."""


BEARERS = ("ethernet", "wifi", "modem")

# Why there is no connection, or no more.
LINK_FAULTS = (
    "refused",  # a host is there, nobody listens
    "unreachable",  # no route to it
    "no-network",  # no bearer is up
    "timeout",  # no answer before the deadline
    "name",  # the host's name cannot be resolved
    "tls-unknown",  # its certificate is signed by nobody whom we trust: self-made, or another authority
    "tls-name",  # its certificate is another host's
    "tls-expired",  # its certificate is past its day, or not valid yet: perhaps our clock is wrong
    "tls",  # no TLS, an old TLS, an authority of ours that cannot be read
    "closed",  # the other side ended the stream in good order
    "broken",  # reset, or bytes not taken
)


class Link(Protocol):
    """A byte stream to a host over whatever network there is. One connection a ticket."""

    def connect(self, ticket: int, where: dict) -> None:
        """-> LINK_UP(bearer); or LINK_DOWN(one of LINK_FAULTS) with nothing sent.

        where: {"address": str, "port": int, "tls": bool, "authority": str (PEM, "" = system), "connect_ms": int,
        "bearers": tuple of names of BEARERS, the first that is up and connects is taken, those that failed lately last;
        default: all, in their order, "steps": whether LINK_STEP is posted for each step that is done; default: False}.
        With several bearers the steps begin again with each that is tried.
        After LINK_UP any number of LINK_DATA, and LINK_DOWN when the other side or the network ends it.
        """

    def send(self, ticket: int, data: bytes) -> None:
        """After LINK_UP. Failure is a LINK_DOWN("broken"); bytes may have left."""

    def close(self, ticket: int) -> None:
        """No more answers for this ticket."""

    def bearers(self) -> "list[dict]":
        """What there is, as known now: [{"name": of BEARERS, "state": "up" | "down" | "starting" | "failed", "bars": 0..4 or
        None where nobody measures, "address": our IP or ""}]. A change is also NETWORK(0, None)."""


class Modem(Protocol):
    """The 4G modem beyond the byte stream (which is the link's)."""

    @property
    def state(self) -> str:
        """ "starting", "ready", "failed", "gone"; each change is also PART(0, ("modem", state))."""

    def status(self) -> dict:
        """What is known, at once; a change is also NETWORK(0, None):

        {"sim": "ready" | "pin" | "puk" | "absent" | "unknown", "registered": "home" | "roaming" | "searching" | "denied" |
        "off" | "unknown", "dbm": int or None, "bars": 0..4, "operator": str, "technology": "4G" | "3G" | "2G" | "",
        "imei": str, "iccid": str, "cell": (mcc, mnc, area, cell) of str or None, "address": our IP or "",
        "trouble": "" or what the recovery is at: "socket", "context", "radio", "reset", "power"}
        """

    def set_apn(self, apn: str) -> None:
        """The network's access point from the next attachment on; "": the board's, or the one that the SIM's network is known
        for. ValueError for what is none."""

    def network_time(self) -> "int | None":
        """Seconds since 1970-01-01 UTC by the network's clock, carried on to now; None when it told none."""

    def send_sms(self, ticket: int, number: str, text: str) -> None:
        """-> MODEM_DONE(None) or MODEM_FAILED(why). Longer ones go in parts. What comes is SMS(0, ...)."""

    def restart(self, ticket: int) -> None:
        """The recovery's last step by hand: switches the module off and on -> MODEM_DONE(None) when it is ready again, or
        MODEM_FAILED(why)."""

    def unlock(self, pin: bytearray, done: "Callable[[str], None]") -> None:
        """For the vault: gives the SIM its PIN; done("right" | "wrong" | "no-modem"). Wipes `pin`. Never posts it, never logs it.

        Called from any thread; a PIN that was wrong is not tried again by itself.
        """


class Store(Protocol):
    """Keeps records. Every method raises StoreFull, StoreReadOnly, StoreCorrupt or StoreError when it cannot."""

    def commit(self, rows: "list[Row]", sync: bool = True) -> None:
        """rows: [(table, key, value, index)], all or nothing; with sync on disk when it returns.

        table, key: str; value: bytes, or None to delete; index: str or None.
        """

    def get(self, table: str, key: str) -> "bytes | None":
        """The record's value, or None."""

    def range(
        self,
        table: str,
        index: "str | None" = None,
        low: str = "",
        high: "str | None" = None,
        newest: bool = False,
        limit: "int | None" = None,
    ) -> "list[tuple[str, bytes]]":
        """[(key, value)] with low <= key < high, in key order or, with newest, backwards, at most `limit`.

        index: only the records that were written with it. ValueError for a limit below zero.
        """


class Clock(Protocol):
    """Time as the board has it, which may be wrong."""

    def ticks_ms(self) -> int:
        """Milliseconds since power on: monotonic, never jumps."""

    def utc_s(self) -> int:
        """Seconds since 1970-01-01 UTC as the board believes."""


class Random(Protocol):
    """Chance that nobody can foresee."""

    def random(self, n: int) -> bytes:
        """n unpredictable bytes."""


class Text(Protocol):
    """Text in messages and on paper, which is GB18030 (a superset of GBK)."""

    def encode(self, text: str) -> bytes:
        """A character that it lacks becomes "?"."""

    def decode(self, data: bytes) -> str:
        """Never raises: bad bytes become "?"."""


class Sound(Protocol):
    """Tones."""

    def play(self, name: str) -> None:
        """ "key", "ok", "alert", "error", "card". Returns at once.

        The newest ends the one before, but a key's click does not cut into another tone.
        """


class Light(Protocol):
    """Four lamps as EMV's card-processing sequence has them (Book A, 9.3)."""

    def show(self, name: str) -> None:
        """ "off", "idle" (first blinks), "ready" (first steady), "reading" (two), "done" (all four), "error" (last alone)."""


class Watchdog(Protocol):
    """Tells the system's supervisor. Each method returns at once and does nothing where there is no supervisor."""

    interval_ms: int  # how often it wants to be fed; 0: never

    def ready(self) -> None:
        """The terminal is up."""

    def feed(self) -> None:
        """The terminal is alive."""

    def status(self, text: str) -> None:
        """One line for whoever looks; nothing secret."""

    def stopping(self) -> None:
        """The terminal shuts down in good order."""


class Log(Protocol):
    """What the technician reads."""

    def line(self, text: str) -> None:
        """One line; the caller has masked it."""


# Every port: its name in a board file and in `Terminal.ports`, its contract.
CONTRACTS = (
    ("display", Display),
    ("keypad", Keypad),
    ("contactless", Reader),
    ("chip", ChipReader),
    ("stripe", Stripe),
    ("vault", Vault),
    ("printer", Printer),
    ("link", Link),
    ("modem", Modem),
    ("store", Store),
    ("clock", Clock),
    ("random", Random),
    ("text", Text),
    ("sound", Sound),
    ("light", Light),
    ("watchdog", Watchdog),
    ("log", Log),
)
PORTS = tuple([name for name, _ in CONTRACTS])
