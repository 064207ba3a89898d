"""A host on its own, for any maker's terminal: terminals, keys and cards in a folder, line and page before them.

    books.db      the books                            keys.json     the master key and the transport key, in components
    cards.json    test cards, for people to change     tls/          the test authority and the certificates

All terminals have one master key, as test hosts have. They are numbered from 10000001, ten to a merchant. A folder that was
used before goes on where it was; a larger number of terminals adds to those that are there.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from drivers import kcv
from drivers.components import combine
from drivers.libcrypto import xor
from emulator.acquirer import profile as profiles
from emulator.acquirer.books import Books
from emulator.acquirer.certificates import LOCAL_NAMES, Certificates
from emulator.acquirer.keys import odd_parity
from emulator.acquirer.rules import Rules
from emulator.acquirer.server import LOOPBACK, Server
from emulator.acquirer.watch import Watched
from emulator.acquirer.web import Desk, Page
from emulator.cards import cryptogram
from emulator.cards.shelf import luhn

KEY_BYTES = 16
FIRST_TERMINAL = 10_000_001
MERCHANT = "89831005311%04d"
TO_A_MERCHANT = 10
MOST_TERMINALS = 90_000
# Test cards of a new folder: beginning of the number, digits, PIN, balance.
CARDS = (
    ("622262", 16, "482915", "10000.00"),
    ("621700", 19, "135790", "50.00"),
    ("624361", 16, "246802", "100000.00"),
    ("476173", 16, "0915", "10000.00"),
    ("541333", 16, "4315", "10000.00"),
)
EXPIRY, SEQUENCE = "3012", "001"


class HostError(Exception):
    """The host cannot be made; the text says what is wrong, and where."""


class KeyInfo(NamedTuple):
    """A key in two components. Its text shows neither."""

    components: tuple[bytes, bytes]
    check_value: str
    of_components: tuple[str, str]

    def __repr__(self) -> str:
        return f"<Key {self.check_value}>"

    @property
    def value(self) -> bytes:
        return bytes(xor(*self.components))


class Host:
    """Everything of a host, listening.

    terminals      how many there are to be
    port, address  of the line; names: by which terminals reach it, for the certificate
    web_port       of the page, on this machine only
    tls            whether the line has TLS
    cards          the file of the cards, None: cards.json in the folder
    profile        entries of `acquirer.profile` for all terminals; None: as it was
    rules          files of rules

    Raises HostError; OSError for a port that is taken; rules.RuleError, profile.ProfileError, certificates.CertificateError.
    """

    def __init__(
        self,
        folder: Path,
        terminals: int = 1,
        port: int = 0,
        address: str = LOOPBACK,
        names: "tuple[str, ...]" = LOCAL_NAMES,
        web_port: int = 0,
        tls: bool = False,
        cards: "Path | None" = None,
        profile: "dict[str, Any] | None" = None,
        rules: "tuple[Path, ...]" = (),
        log: "Callable[[str, str], None] | None" = None,
    ) -> None:
        if not 1 <= terminals <= MOST_TERMINALS:
            raise HostError(f"{terminals} terminals: 1 to {MOST_TERMINALS}")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.ExitStack() as made:
            made.enter_context(_taken(folder / "lock"))
            in_force = Rules()
            for path in rules:
                in_force.load(path)
            wanted = profiles.of(profile) if profile is not None else None
            certificates = Certificates(folder / "tls", names) if tls else None
            self.authority = folder / "authority.pem" if certificates else None
            if certificates and self.authority:
                self.authority.write_text(certificates.authority, encoding="ascii")
            self.keys, fresh = _keys(folder / "keys.json", wanted.suite if wanted else "")
            self.cards = cards or folder / "cards.json"
            known = _cards(self.cards, make=cards is None)
            self.books = Books(folder / "books.db")
            made.callback(self.books.close)
            self.books.add_cards(known)
            self.terminals = self._register(terminals, profile, fresh)
            self.acquirer = Watched(self.books, in_force, verify=_proven, log=log)
            self.server = Server(self.acquirer, port, address, certificates)
            made.callback(self.server.close)
            names_of = {card["pan"]: card["name"] for card in known if "name" in card}
            self.page = Page(Desk(self.acquirer, self.server, names_of), web_port)
            made.callback(self.page.close)
            made.callback(self.acquirer.changes.close)  # first of all: nobody waits any more
            self._made = made.pop_all()
        self.server.start()
        self.page.start()

    def _register(self, count, profile, again):
        """[(number, merchant)] of all terminals; those that are not there yet are added, all of them `again` for new keys."""
        rows = [
            ("%08d" % (FIRST_TERMINAL + place), MERCHANT % (place // TO_A_MERCHANT + 1), self.keys["master"].value)
            for place in range(count)
        ]
        with self.books.writing():
            fresh = [row for row in rows if again or self.books.terminal(row[0]) is None]
            entries = {} if profile is None else dict(profile)
            self.books.add_terminals(fresh, {"transport_key": self.keys["transport"].value} | entries)
            added = {row[0] for row in fresh}
            for row in rows:
                if profile is not None and row[0] not in added:
                    self.books.set_profile(row[0], entries)
        return [row[:2] for row in rows]

    def close(self) -> None:
        self._made.close()


def _taken(path: Path) -> Any:
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise HostError(f"{path.parent}: another host uses this folder") from None
    return file


def _keys(path: Path, suite: str) -> "tuple[dict[str, KeyInfo], bool]":
    """The keys of the folder, and whether they were just made. suite: "" for the one that they were made for."""
    try:
        kept = json.loads(path.read_text(encoding="ascii")) if path.exists() else {}
        suite = suite or kept.get("suite", "tdes")
        fresh = not kept or kept["suite"] != suite
        if fresh:
            kept = {"suite": suite, **{name: [part.hex().upper() for part in _drawn()] for name in ("master", "transport")}}
        made = {name: _key_info(suite, [bytes.fromhex(part) for part in kept[name]]) for name in ("master", "transport")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HostError(f"{path}: {type(error).__name__}; remove it for new keys") from None
    kept |= {name + " check values": [*key.of_components, key.check_value] for name, key in made.items()}
    _write(path, kept)
    return made, fresh


def _drawn():
    first, key = os.urandom(KEY_BYTES), odd_parity(os.urandom(KEY_BYTES))
    return first, bytes(xor(first, key))


def _key_info(suite: str, parts: "list[bytes]") -> KeyInfo:
    one, other = parts
    values = [kcv.check_value(suite, key).hex().upper() for key in (combine(parts, suite), one, other)]
    return KeyInfo((one, other), values[0], (values[1], values[2]))


def _cards(path: Path, make: bool) -> "list[dict[str, Any]]":
    """The cards of a file, as `Books.add_cards` takes them.

    A card: {"number", "expiry": YYMM, "balance": "10.00"} and, where known, "sequence", "pin", "name", "scheme" and the issuer's
    keys "issuer_key", "mac_key", "data_key" in hexadecimal; without issuer_key a chip is believed.
    """
    try:
        if make and not path.exists():
            _write(path, [_test_card(*row) for row in CARDS])
        return [_card(dict(entry)) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{error.strerror}" if isinstance(error, OSError) else f"no list of cards ({type(error).__name__})"
        raise HostError(f"{path}: {why}") from None


def _test_card(begin, size, pin, balance):
    digits = begin + "".join(str(byte % 10) for byte in os.urandom(size - len(begin) - 1))
    return {"number": digits + luhn(digits), "expiry": EXPIRY, "sequence": SEQUENCE, "pin": pin, "balance": balance}


def _card(entry: "dict[str, Any]") -> "dict[str, Any]":
    whole, _, part = str(entry.pop("balance")).partition(".")
    record = {"pan": entry.pop("number"), "sequence": SEQUENCE, "pin": "", "last_atc": 0, "status": "active"}
    record |= {name: bytes.fromhex(value) if name.endswith("_key") else str(value) for name, value in entry.items()}
    if not (record["pan"].isdigit() and record["expiry"].isdigit() and len(record["expiry"]) == 4):
        raise ValueError
    return record | {"balance_fen": int(whole) * 100 + int((part + "00")[:2])}


def _proven(card: "dict[str, Any]", chip: bytes) -> bool:
    return "issuer_key" not in card or cryptogram.verify(card, chip)


def _write(path: Path, content: object) -> None:
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)
