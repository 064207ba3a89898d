"""The firmware with something done wrong on purpose: `careless_firmware.py HOW[,HOW] --board ... --data ...`.

    never        the store never syncs
    intent       the intent is written without a sync
    afterwards   the intent is written when the reply has come
    approval     the approval is written without a sync
    ethernet     no mistake: its messages go by the system's sockets, not by the modem
"""

import sqlite3
import sys

from boards import emulator
from firmware.__main__ import main
from firmware.ledger import Ledger


def never():
    class Careless(sqlite3.Connection):
        def execute(self, sql, *values):
            if sql.startswith("PRAGMA synchronous"):
                sql = "PRAGMA synchronous = OFF"
            return super().execute(sql, *values)

    connect = sqlite3.connect
    sqlite3.connect = lambda *words, **more: connect(*words, factory=Careless, **more)


def unsynced(name):
    step = getattr(Ledger, name)

    def careless(self, *words):
        commit = self._store.commit
        self._store.commit = lambda rows, sync=True: commit(rows, False)
        try:
            return step(self, *words)
        finally:
            self._store.commit = commit

    setattr(Ledger, name, careless)


def afterwards():
    sent, approved = Ledger.sent, Ledger.approved
    waiting = []

    def careless_sent(self, *words):
        commit = self._store.commit
        self._store.commit = waiting.append
        try:
            return sent(self, *words)
        finally:
            self._store.commit = commit

    def careless_approved(self, *words):
        while waiting:
            self._store.commit(waiting.pop(0))
        approved(self, *words)

    Ledger.sent, Ledger.approved = careless_sent, careless_approved


def ethernet():
    emulator.BOARD["parts"]["link"] = {"driver": "tcp", "only": ("ethernet",)}


WAYS = {
    "never": never,
    "intent": lambda: unsynced("sent"),
    "afterwards": afterwards,
    "approval": lambda: unsynced("approved"),
    "ethernet": ethernet,
}

if __name__ == "__main__":
    for how in sys.argv[1].split(","):
        WAYS[how]()
    sys.exit(main(sys.argv[2:]))
