"""What can happen to the terminal.

An event is (name, ticket, value). Answers carry the ticket of the request they answer; what nobody asked for
(a key, a part that comes or goes, the global events) carries ticket 0. The value of each kind is stated here
and nowhere else.
"""

from collections import namedtuple

Event = namedtuple("Event", ("name", "ticket", "value"))

# Keys: value is one of KEYS.
KEY = "key"
DIGITS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
DOUBLE_ZERO, CONFIRM, CANCEL, CLEAR, BACK, DOWN = "00", "ENTER", "CANCEL", "CLEAR", "BACK", "DOWN"
KEYS = DIGITS + (DOUBLE_ZERO, CONFIRM, CANCEL, CLEAR, BACK, DOWN)

# A part of the device: value is (part, state), state one of PART_STATES.
PART = "part"
PART_STATES = ("starting", "ready", "failed", "gone")

# Answers of a card reader.
CARD_FOUND = "card-found"  # technology: "A", "B"; by contacts "T=0", "T=1"
CARD_PROBLEM = "card-problem"  # "many", "unreadable", "reader-gone"; the reader goes on looking but for the last
CARD_REPLY = "card-reply"  # response APDU, bytes, status word included
CARD_LOST = "card-lost"  # "removed", "protocol", "reader-gone"
CARD_GONE = "card-gone"  # None: the card left the field after `release`
CARD_SWIPED = "card-swiped"  # text of one swipe, bytes

# Answers of the vault.
SECRET_TYPED = "secret-typed"  # number of digits typed so far, int
SECRET_READY = "secret-ready"  # what the request defines
SECRET_STOPPED = "secret-stopped"  # "cancel", "bypass", "lost"
VAULT_DONE = "vault-done"  # what the request defines
VAULT_REFUSED = "vault-refused"  # "no-key", "check-value", "bad-data", "wiped", "storage"

# Answers of the link.
LINK_STEP = "link-step"  # (step, ms): one step on the way to LINK_UP is done: "bearer", "name", "tcp", "tls"
LINK_UP = "link-up"  # name of the bearer that carries the connection, one of ports.BEARERS
LINK_DATA = "link-data"  # bytes, as they came: any split, any merge
LINK_DOWN = "link-down"  # one of ports.LINK_FAULTS

# The network and the modem.
NETWORK = "network"  # None: what `Link.bearers` or `Modem.status` tells has changed
MODEM_DONE = "modem-done"  # what the request defines
MODEM_FAILED = "modem-failed"  # "no-modem", "no-sim", "not-registered", "refused", "timeout"
SMS = "sms"  # (sender, stamp YYYYMMDDhhmmss local or "", text): one message that came

# Answers of the printer.
PRINT_DONE = "print-done"  # None
PRINT_STOPPED = "print-stopped"  # (why, line): why "paper-out", "cover-open", "too-hot", "silent"

# Made by the runtime.
DEADLINE = "deadline"  # None

# Global events: handled in every state, by what the open transaction's phase allows.
TAMPER = "tamper"  # None
LOW_POWER = "low-power"  # percent left, int
STOP = "stop"  # None: shut down in good order
CLOCK_JUMP = "clock-jump"  # milliseconds, int, signed
GLOBAL = (TAMPER, LOW_POWER, STOP, CLOCK_JUMP)

ANSWERS = (
    CARD_FOUND, CARD_PROBLEM, CARD_REPLY, CARD_LOST, CARD_GONE, CARD_SWIPED, SECRET_TYPED, SECRET_READY, SECRET_STOPPED,
    VAULT_DONE, VAULT_REFUSED, LINK_STEP, LINK_UP, LINK_DATA, LINK_DOWN, MODEM_DONE, MODEM_FAILED, PRINT_DONE, PRINT_STOPPED,
    DEADLINE,
)  # fmt: skip
