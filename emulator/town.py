"""What is round the device: its owner's papers, the customers' cards, the bank.

At the first start a device is made as a technician makes one (`drivers/provisioning.py`, the code behind
`python -m tools provision`): a terminal and merchant number and two random key components. The bank is told first and
the device second, so that a start cut short in between is simply done again. Cards and their PKI are made at the same
time (`cards/shelf.py`). Nothing is the same on two desks.

The acquirer listens on loopback, at the same port each time if it can; the device's parameter follows where not. A line with
TLS has a test authority of its own (`acquirer/certificates.py`), which the device is told to trust and nobody else is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from drivers import card_file
from drivers.libcrypto import cleanse
from drivers.provisioning import (
    COMPONENT_BYTES,
    PARAMETERS,
    ProvisioningError,
    combine,
    has_cards,
    is_provisioned,
    load_cards,
    provision,
)
from drivers.store import SqliteStore
from emulator import showcase
from emulator.acquirer.books import Books as Ledger
from emulator.acquirer.certificates import GOOD, CertificateError, Certificates
from emulator.acquirer.rules import Rules
from emulator.acquirer.server import Server
from emulator.acquirer.watch import Watched
from emulator.acquirer.web import Desk, Page
from emulator.cards import shelf
from firmware.emv import parameter_file
from firmware.emv.tags import mask_digits
from firmware.ports import StoreError

MERCHANT_NAME = "开付测试商店"
LATEST = 50  # postings shown
_NAME = re.compile(r"[\w.-]{1,40}")  # what is none is not repeated: it may be what is on a card
MOST_DIGITS = 6  # of a card number, in a rule: rules are shown

# What to type to see something: the first is the page's hint.
EXAMPLES = (
    "amount 12.51 decline 51",
    "next on sale silence",
    "next on sale late 40",
    "next on sale wrong-mac",
    "next cut-after",
    "next 3 on reversal ignore",
    "card debit decline 41",
    "clear",
)


class Books(NamedTuple):
    """What the acquirer's books say, for eyes that do not know SQL.

    approved_fen    the sales that stand, in the order in which they came
    balances_fen    what each card of the shelf can still spend
    postings        [{"trace", "kind", "amount_fen", "code", "state", "stands", "card", "reference"}], newest first
    """

    approved_fen: list[int]
    balances_fen: dict[str, int]
    postings: list[dict[str, Any]]


class _Shown:
    """A switch: while it is on, the acquirer shows this certificate. One is on at a time, at most."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, town: Town, owner: type) -> bool:
        return town.certificate == self._name

    def __set__(self, town: Town, on: bool) -> None:
        if on:
            town.certificate = self._name
        elif town.certificate == self._name:
            town.certificate = GOOD


class Town:
    """The world of one device. `down` cuts the line to the acquirer.

    folder      where it is kept: the cards, the acquirer's books, who the device is
    terminal    the device's own folder, provisioned when it is not
    port        where the acquirer listens; 0: where it did before, or anywhere
    log         told (kind, text): the acquirer's messages, decoded and masked; "rules", "faults" when somebody at the
                acquirer's page has changed them
    tls         whether the line of a new device has TLS; one that is there keeps what it has
    """

    wrong_name, expired, self_made = _Shown("wrong-name"), _Shown("expired"), _Shown("self-made")

    def __init__(
        self, folder: Path, terminal: Path, port: int, log: Callable[[str, str], None], tls: bool = False
    ) -> None:  # fmt: skip
        self._folder = folder
        self._log = log
        self._page: Page | None = None
        self.shelf = shelf.load(folder / "cards")
        self.ledger = Ledger(folder / "acquirer.db")
        self.ledger.add_cards(self.shelf.records())
        self.acquirer = Watched(self.ledger, Rules(), verify=self.shelf.verify, log=log)
        self._papers = self._read_papers()
        known = is_provisioned(terminal)
        self._certificates = self._make_certificates(bool(self._papers.get("authority")) if known else tls, known)
        self._server = self._listen(port)
        if not known:
            self._make_terminal(terminal)
        else:
            self._tell_line(terminal)
            self._tell_cards(terminal)

    @property
    def port(self) -> int:
        """Where the acquirer listens."""
        return self._server.port

    @property
    def terminal_number(self) -> str:
        return self._papers["terminal.number"]

    @property
    def down(self) -> bool:
        return self._server.down

    @down.setter
    def down(self, cut: bool) -> None:
        self._server.down = cut
        self.acquirer.changes.touch("line")

    @property
    def tls(self) -> bool:
        """Whether the line to the acquirer has TLS."""
        return self._server.tls

    @property
    def certificate(self) -> str:
        """What the acquirer shows, one of `certificates.KINDS`; "" without TLS."""
        return self._server.certificate

    @certificate.setter
    def certificate(self, name: str) -> None:
        """Raises ValueError for a name that there is not, and without TLS."""
        try:
            self._server.certificate = name
        except CertificateError as error:
            raise ValueError(str(error)) from error
        self.acquirer.changes.touch("line")

    def open_page(self, port: int = 0) -> str:
        """Serves the acquirer's own page until the town is closed; its address. Another port when this one is taken."""
        if self._page is None:
            names = {card.pan: card.title for card in self.shelf.bank_cards()}
            desk = Desk(self.acquirer, self._server, names, self.rule, self._changed)
            try:
                self._page = Page(desk, port)
            except (OSError, OverflowError):
                self._page = Page(desk, 0)
            self._page.start()
        return self._page.address

    def _changed(self, section: str) -> None:
        self._log("faults" if section == "line" else section, "changed at the acquirer")

    def _make_certificates(self, tls: bool, known: bool) -> Certificates | None:
        try:
            return Certificates(self._folder / "tls") if tls else None
        except CertificateError as error:
            if known:
                raise
            self._log("power", f"the line to the acquirer has no TLS: {error}")
            return None

    def _listen(self, port: int) -> Server:
        before = self._papers.get("port", 0)
        try:
            return Server(self.acquirer, port or before, certificates=self._certificates).start()
        except OSError:
            if port:
                raise
            return Server(self.acquirer, 0, certificates=self._certificates).start()

    # -- the owner's papers

    def _read_papers(self) -> dict[str, Any]:
        try:
            papers = json.loads((self._folder / "papers.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return papers if isinstance(papers, dict) else {}

    def _write_papers(self) -> None:
        path = self._folder / "papers.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self._papers, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(new, path)

    def _make_terminal(self, terminal: Path) -> None:
        self._papers = {
            "terminal.number": "".join(secrets.choice("0123456789") for _ in range(8)),
            "merchant.number": "8983100" + "5311" + "".join(secrets.choice("0123456789") for _ in range(4)),
            **self._line(),
        }
        components = [bytearray(os.urandom(COMPONENT_BYTES)) for _ in range(2)]
        master = combine(components)
        try:
            self.ledger.add_terminal(self._papers["terminal.number"], self._papers["merchant.number"], bytes(master))
            self._write_papers()
            settings = {
                "terminal.number": self._papers["terminal.number"],
                "merchant.number": self._papers["merchant.number"],
                "merchant.name": MERCHANT_NAME,
                "host.address": "127.0.0.1",
                "host.port": self.port,
                "host.tls": self.tls,
                "host.authority": self._authority,
            }
            cards, listed = self._card_data()
            summary = provision(terminal, settings, components, cards=cards, exceptions=listed)
        finally:
            cleanse(master, *components)
        self._log("power", f"a new device: terminal {self.terminal_number}, key check value {summary.check_value.hex().upper()}")

    def _card_data(self) -> tuple[dict[str, Any], list[str]]:
        """What a device here has to know of cards, as a technician's file would say it: the file that comes along, the keys
        of the shelf's authorities, and the numbers that are to be refused."""
        content = parameter_file.read(card_file.fetch()) | {"keys": self.shelf.authority_rows()}
        return parameter_file.parameters(content), [pan for pan, _ in self.shelf.exceptions()]

    def _tell_cards(self, terminal: Path) -> None:
        """A device of an older start, which knew cards without being told, is told now."""
        try:
            if has_cards(terminal):
                return
            load_cards(terminal, *self._card_data())
        except (StoreError, ProvisioningError) as error:
            self._log("power", f"the device could not be told which cards it takes: {error}")
            return
        self._log("power", "the device was told which cards it takes")

    @property
    def _authority(self) -> str:
        return self._certificates.authority if self._certificates else ""

    def _line(self) -> dict[str, Any]:
        """What the device has been told of the line, for the papers."""
        mark = hashlib.sha256(self._authority.encode()).hexdigest() if self._authority else ""
        return {"port": self.port, "authority": mark}

    def _tell_line(self, terminal: Path) -> None:
        """The acquirer could not have its old port, or has another authority: the device is told, as a technician would."""
        line = self._line()
        if all(self._papers.get(name, "") == value for name, value in line.items()):
            return
        told = {"host.port": self.port, "host.authority": self._authority}
        try:
            store = SqliteStore(None, {}, terminal)
            try:
                store.commit([(PARAMETERS, name, json.dumps(value).encode(), None) for name, value in told.items()])
            finally:
                store.close()
        except StoreError as error:
            self._log("power", f"the device could not be told where the acquirer is: {error}")
            return
        self._papers |= line
        self._write_papers()

    # -- cards

    def card(self, name: str) -> Any:
        """A card of the shelf. ValueError names those that there are."""
        if name not in self.shelf.names:
            shown = f"no such card: {name}" if _NAME.fullmatch(name) else "no such card"
            raise ValueError(f"{shown}; there are " + " ".join(self.shelf.names))
        return self.shelf.card(name)

    def cards(self) -> list[dict[str, Any]]:
        """[{"name", "title", "number": masked, "bank": whether it is a bank card, "acts": of "tap", "insert", "swipe",
        "group", "shows": (Chinese, English) of `showcase.py`}], as they lie on the shelf."""
        return [self._card_row(self.shelf.card(name)) for name in showcase.order(self.shelf.names)]

    def _card_row(self, card: Any) -> dict[str, Any]:
        label = showcase.LABELS.get(card.name, showcase.OTHERS)
        can = (("tap", card.tappable), ("insert", card.insertable), ("swipe", card.swipeable))
        return {
            "name": card.name, "title": card.title, "number": mask_digits(card.pan) if card.pan else "", "bank": bool(card.pan),
            "acts": [act for act, able in can if able], "group": label.group, "shows": label.shows,
        }  # fmt: skip

    def pin(self, name: str) -> str:
        """The card's PIN, for its holder's fingers. ValueError for what has none."""
        for card in self.shelf.bank_cards():
            if card.name == name:
                return card.pin
        raise ValueError(f"no card with a PIN: {name}")

    # -- the bank

    def rule(self, text: str) -> None:
        """A rule of `acquirer/rules.py`, "remove RULE", or "clear". `card NAME` may name a card of the shelf."""
        try:
            self._rule(text.split())
        finally:
            self.acquirer.changes.touch("rules")

    def _rule(self, words: list[str]) -> None:
        if words == ["clear"]:
            self.acquirer.rules.clear()
            return
        if len(words) > 1 and "card" in words[:-1]:
            place = words.index("card") + 1
            numbers = {card.name: card.pan for card in self.shelf.bank_cards()}
            if words[place] in numbers:
                words[place] = numbers[words[place]][-4:]
            elif len(words[place]) > MOST_DIGITS:
                raise ValueError("the last four digits of a card are enough")
        if words[:1] == ["remove"]:
            self.acquirer.rules.remove(" ".join(words[1:]))
        else:
            self.acquirer.rules.add(" ".join(words))

    def rules(self) -> dict[str, list[str]]:
        return {"now": self.acquirer.rules.list(), "examples": list(EXAMPLES)}

    def books(self) -> Books:
        """The books as they are now."""
        approved = [amount for _, _, amount in self.ledger.standing(self.terminal_number)]
        balances = {card.name: self.ledger.balance(card.pan) for card in self.shelf.bank_cards()}
        postings = [
            {
                "trace": row.trace, "kind": row.kind, "amount_fen": row.amount_fen, "code": row.code, "state": row.state,
                "stands": row.state == "approved", "card": row.card, "reference": row.reference,
            }
            for row in self.ledger.latest(LATEST)
        ]  # fmt: skip
        return Books(approved, balances, postings)

    def close(self) -> None:
        self.acquirer.changes.close()
        if self._page:
            self._page.close()
        self._server.close()
        self.ledger.close()
