"""What a board must bring: one class a port, its docstring the contract.

Rules for all of them:

* A method without a ticket answers at once and does not block for longer than its bus needs.
* A method with a ticket returns at once; its answers are events that carry the ticket (`events.py`). Answers
  are posted from any thread. After the last answer named in the contract nothing more comes for that ticket.
* Nothing raises for the state of the world (no paper, no card, no network): that is an answer. What raises is
  a caller's mistake (ValueError) and, for the store, the errors below.
* No secret is in an event, a `repr` or an exception, but for the values that a contract names.

The classes are never instantiated; they are the list. A driver and its in-process stand-in both pass
`tests/contracts/test_<port>.py`.
"""


class StoreError(Exception):
    """The store could not do it; the data are as they were before the call."""


class StoreFull(StoreError):
    """No space left."""


class StoreReadOnly(StoreError):
    """The medium refuses writes."""


class StoreCorrupt(StoreError):
    """What is stored cannot be read as what was written."""


class Display:
    """Shows a screen.

    size                 (width, height) in pixels.
    show(screen)         Draws a resolved `screens.Screen`. The same picture again costs nothing.
                         A panel that does not answer is never raised: PART(0, ("display", "gone")) once, and "ready"
                         when it is back and repainted. Nothing is posted at a healthy start.
    contrast(level)      0..255, ValueError beyond.
    sleep(), wake()      Panel dark, panel lit; the picture is kept.
    """


class Keypad:
    """Sixteen keys.

    Posts KEY(0, name) once a press, never on release; no repeat.
    borrow(taker)        From now on presses go to `taker(name)` (called from the driver's thread, one key at a
                         time: a press counts only if nothing else is down) and no KEY is posted. For the vault.
    give_back()          The other way; a press that was under way may still reach the taker.
    A keypad that fails is PART(0, ("keypad", "failed")).
    """


class Reader:
    """A card reader: contactless, chip.

    activate(ticket)     Field on, look for a card: CARD_FOUND(technology), or CARD_PROBLEM(why) as often as it is
                         seen (once per appearance). Goes on until a card is found, `release` or `cancel`.
    transmit(ticket, apdu)   Command APDU, 4..261 bytes -> CARD_REPLY(bytes) or CARD_LOST(why).
    release(ticket)      Done with the card: CARD_GONE when it has left the field (at once if it had). Field off.
    cancel(ticket)       Field off, no more answers for this ticket.
    state                "starting", "ready", "failed", "gone"; each change is also PART(0, (part, state)).
    """


class Vault:
    """Keys and secrets. The firmware never holds a key and never sees a secret typed.

    mode                 What kind of vault: "software" (not approved) or the name of an approved device.
    approved             bool: whether production mode may start on it.
    state                "ready", "empty" (no master key), "wiped", "broken" (the sealed key file is damaged).
    check_value(slot)    Key check value, 4 bytes, or None when the slot is empty. Slots: "master", "pin", "mac", "track".

    load_keys(ticket, keys)            keys: [(slot, cryptogram, check_value)], each enciphered under the master key
                                       (3DES ECB, 8 or 16 bytes; UnionPay also sends an 8-byte key followed by eight
                                       zero bytes). All or nothing: VAULT_DONE(None), or VAULT_REFUSED("check-value" |
                                       "no-key" | "bad-data") with the old keys kept.
    mac(ticket, data)                  UnionPay ECB MAC under "mac" -> VAULT_DONE(8 ASCII bytes).
    check_mac(ticket, data, mac)       -> VAULT_DONE(bool).
    seal(ticket, data)                 Encrypts for the store -> VAULT_DONE(bytes).
    unseal(ticket, sealed)             -> VAULT_DONE(bytes) or VAULT_REFUSED("bad-data").
    fingerprint(ticket, data)          Keyed hash, the same for the same data on this device -> VAULT_DONE(16 bytes).

    enter_pin(ticket, pan, minimum, maximum)   Takes the keypad. SECRET_TYPED(n) after each key, then
                         SECRET_READY(PIN block, 8 bytes, ISO 9564 format 0 under "pin"), SECRET_STOPPED("bypass")
                         for confirm on nothing, or SECRET_STOPPED("cancel"). CLEAR empties, BACK takes one back;
                         confirm on too few digits does nothing.
    enter_password(ticket, operator, purpose)  Takes the keypad, SECRET_TYPED(n) likewise, then SECRET_READY:
                         purpose "check": "right" or "wrong"; "new": "ok" or "weak" (the factory's, the old one, or all
                         digits equal); "repeat" (after "new"): "set" or "different". SECRET_STOPPED("cancel").
                         Operators 01-98: 4 digits, 00: 6, 99: 8.
    is_factory(operator) bool: the operator still has the password that he was made with.
    add_operator(ticket, operator), remove_operator(ticket, operator)     -> VAULT_DONE(None). A new one has the
                         factory's password of his kind.
    stop(ticket)         Ends an entry; the keypad is given back; no more answers.
    wipe()               Destroys every key at once; state becomes "wiped".

    All tickets may also be answered VAULT_REFUSED("no-key" | "wiped"); what has to be kept, "storage" when it cannot be:
    then nothing has changed. A second entry ends the first with SECRET_STOPPED("cancel"). New keys hold from VAULT_DONE on.
    """


class Printer:
    """Puts a slip on paper.

    print(ticket, job)   job: list of (style, text). style is a string of letters: "c" centred, "b" bold, "h" double
                         height, "w" double width, "" plain; or ("rule", "") a line across, ("feed", n) n empty lines,
                         ("cut", "") end of a copy (tear-off feed, cut where there is a knife),
                         ("picture", (width, rows)) 1-bit rows as bytes, at most 384 dots wide.
                         Text longer than the paper is wide goes on in the next line.
                         PRINT_DONE, or PRINT_STOPPED((why, index of the job's line not printed)).
    columns              Cells in a plain line (32 on 58 mm paper; a Han character takes 2).
    status()             What is known, at once: "ok", "paper-low", "paper-out", "cover-open", "too-hot", "silent", "unknown".
    """


class Link:
    """A byte stream to a host over whatever network there is. One connection a ticket.

    connect(ticket, where)   where: {"address": str, "port": int, "tls": bool, "authority": str (PEM, "" = system),
                         "connect_ms": int} -> LINK_UP, or LINK_DOWN(why) with nothing sent. After LINK_UP any
                         number of LINK_DATA, and LINK_DOWN when the other side or the network ends it.
    send(ticket, data)   After LINK_UP. Failure is a LINK_DOWN("broken"); bytes may have left.
    close(ticket)        No more answers.
    """


class Store:
    """Keeps records.

    commit(rows, sync=True)      rows: [(table, key, value, index)]; table, key: str; value: bytes, or None to delete;
                         index: str or None. All or nothing; with sync on disk when it returns. Raises StoreFull,
                         StoreReadOnly, StoreCorrupt, StoreError.
    get(table, key)      bytes or None.
    range(table, index=None, low="", high=None, newest=False, limit=None)
                         [(key, value)] with low <= key < high, in key order or backwards; with `index` only the
                         records that were written with it.
    """


class Clock:
    """Time as the board has it, which may be wrong.

    ticks_ms()           Milliseconds since power on: monotonic, never jumps.
    utc_s()              Seconds since 1970-01-01 UTC as the board believes, int.
    """


class Random:
    """random(n)         n unpredictable bytes."""


class Text:
    """Text in messages and on paper, which is GB18030 (a superset of GBK).

    encode(text)         bytes; a character that it lacks becomes "?".
    decode(data)         str; never raises, bad bytes become "?".
    """


class Sound:
    """play(name)        "key", "ok", "alert", "error", "card". Returns at once; the newest ends the one before, but a key's
    click does not cut into another tone.
    """


class Light:
    """Four lamps as EMV's card-processing sequence has them (Book A, 9.3).

    show(name)           "off", "idle" (first blinks), "ready" (first steady), "reading" (two), "done" (all four),
                         "error" (last, red).
    """


class Watchdog:
    """Tells the system's supervisor.

    ready(), feed(), status(text), stopping(). Each returns at once and does nothing where there is no supervisor.
    interval_ms          How often it wants to be fed; 0: never.
    """


class Log:
    """line(text)        One line for the technician; the caller has masked it."""


PORTS = (
    "display", "keypad", "contactless", "vault", "printer", "link", "store", "clock", "random", "text",
    "sound", "light", "watchdog", "log",
)  # fmt: skip
