"""The acquirer's own page, and the HTTP API behind it, on this machine for this machine (`emulator/browser/server.py`).

    GET  /api/state            everything: see `Desk.state`
    GET  /api/state?since=n    waits until something is newer than n (at most 25 s), answers what changed
    GET  /api/table?name=...   a table of `tables.py`; &find=... narrows it
    GET  /api/statement?...    card=HANDLE or merchant=NUMBER: {"rows": the last entries of the account, newest first}
    POST /api/rule             {"add": "amount 12.51 decline 51"} | {"remove": "..."} | {"clear": true}
    POST /api/line             {"down": bool} | {"deaf": bool} | {"certificate": "expired"} | {"latency_ms": 0 to 60000} |
                               {"requirement": digit}
    POST /api/card             {"card": handle, "status": "lost"}

A POST is answered {"ok": true}, what cannot be done with a status and {"error": "..."}, as the device's API does.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulator.acquirer.certificates import KINDS, CertificateError
from emulator.acquirer.request import KINDS as MESSAGES
from emulator.acquirer.rules import ACTIONS
from emulator.acquirer.server import Server
from emulator.acquirer.tables import NAMES, Tables
from emulator.acquirer.watch import Watched
from emulator.browser import api
from emulator.browser.api import Answer, Refused
from emulator.browser.server import PageServer

PAGE = Path(__file__).parent / "page"
SETTLE_S = 0.15  # a message and its answer, or a hundred terminals' messages, are told together
LONGEST_DELAY_MS = 60_000

# What to type to see something: the first is the page's hint.
EXAMPLES = (
    "amount 12.51 decline 51",
    "tail 55 decline 55",
    "next on sale partial 5.00",
    "next on sale silence",
    "next cut-after",
    "next 3 on reversal ignore",
    "next on sale late 40",
    "next on sale wrong-mac",
    "next on sale merged",
    "next half",
    "always require 3",
    "next on settlement unbalance",
    "next on preauth expire 60",
    "next script pin-unblock",
)


class Desk:
    """What a person at the host sees and does.

    names        {card number: what it is called}
    rule         what takes a rule, "remove RULE" or "clear"; None: the acquirer's rules do
    on_change    told "rules" or "line" when a person has changed them here
    """

    def __init__(
        self,
        acquirer: Watched,
        server: Server,
        names: dict[str, str] | None = None,
        rule: Callable[[str], None] | None = None,
        on_change: Callable[[str], None] | None = None,
    ) -> None:
        self.acquirer = acquirer
        self.server = server
        self.tables = Tables(acquirer, names)
        self.session = secrets.token_hex(4)
        self._rule = rule or self._own_rule
        self._on_change = on_change

    def state(self, since: int | None = None, wait_s: float = 0.0) -> dict[str, Any]:
        """{"number": give it as `since` next time, "session": differs when another host answers, and what changed of

        line      {"address", "port", "tls", "certificate", "certificates", "down", "deaf", "latency_ms", "requirement", "open":
                  lines open now, "lines", "messages", "dropped": since the start}
        rules     {"now": [text], "examples": [text], "actions": {name: [its value, explanation]}, "kinds": [name]}
        traffic   messages, oldest first (`watch.Heard.as_json`)}
        """
        changes = self.acquirer.changes
        if since is not None and since <= changes.number:
            if changes.wait(since, wait_s) > since:
                threading.Event().wait(SETTLE_S)
        else:
            since = 0
        number = changes.number
        state: dict[str, Any] = {"number": number, "session": self.session}
        views: dict[str, Callable[[], Any]] = {"line": self._line, "rules": self._rules}
        newer = changes.newer(since)
        for name, view in views.items():
            if name in newer or "traffic" in newer:
                state[name] = view()
        if "traffic" in newer:
            state["traffic"] = [one.as_json() for one in self.acquirer.heard(since) if one.number <= number]
        return state

    def _line(self):
        server, counts = self.server, self.server.counts
        return {
            "address": server.address, "port": server.port, "tls": server.tls, "certificate": server.certificate,
            "certificates": list(KINDS) if server.tls else [], "down": server.down, "deaf": server.deaf,
            "latency_ms": self.acquirer.latency_ms, "requirement": self.acquirer.requirement, **counts._asdict(),
        }  # fmt: skip

    def _rules(self):
        return {
            "now": self.acquirer.rules.list(),
            "examples": list(EXAMPLES),
            "actions": {name: list(row) for name, row in ACTIONS.items()},
            "kinds": list(MESSAGES),
        }

    # What a person does. ValueError and LookupError say what is wrong with it.

    def rule(self, text: str) -> None:
        """Puts a rule in force, or "remove RULE", or "clear"."""
        self._rule(text)
        self._changed("rules")

    def _own_rule(self, text):
        rules = self.acquirer.rules
        if text == "clear":
            rules.clear()
        elif text.startswith("remove "):
            rules.remove(text.removeprefix("remove "))
        else:
            rules.add(text)

    def line(self, name: str, value: Any) -> None:
        """Changes one of the line's switches."""
        if name in ("down", "deaf"):
            if not isinstance(value, bool):
                raise ValueError(f"{name} is true or false")
            setattr(self.server, name, value)
        elif name == "certificate":
            try:
                self.server.certificate = str(value)
            except CertificateError as error:
                raise ValueError(str(error)) from error
        else:
            most = {"latency_ms": LONGEST_DELAY_MS, "requirement": 9}.get(name)
            if most is None:
                raise ValueError("down, deaf, certificate, latency_ms or requirement")
            if type(value) is not int or not 0 <= value <= most:
                raise ValueError(f"{name} is a number up to {most}")
            setattr(self.acquirer, name, value)
        self._changed("line")

    def card(self, handle: str, status: str) -> None:
        """A card becomes lost, stolen, ..., or active again."""
        self.tables.set_status(handle, status)
        self.acquirer.changes.touch("traffic")

    def _changed(self, section):
        self.acquirer.changes.touch(section)
        if self._on_change:
            self._on_change(section)


class Page(PageServer):
    """Serves the desk. port 0 takes any free one."""

    folder = PAGE
    files = {
        "/": ("index.html", "text/html; charset=utf-8"),
        "/style.css": ("style.css", "text/css; charset=utf-8"),
        "/page.js": ("page.js", "text/javascript; charset=utf-8"),
        "/icon.svg": ("icon.svg", "image/svg+xml"),
    }

    def __init__(self, desk: Desk, port: int = 0) -> None:
        self.desk = desk
        super().__init__(port)

    def ask(self, path: str, query: dict[str, list[str]]) -> Answer:
        desk = self.desk
        try:
            if path == "/api/state":
                since = _one(query, "since")
                return _json(desk.state(_number(since), api.WAIT_S) if since else desk.state())
            if path == "/api/table":
                name = _one(query, "name")
                if name not in NAMES:
                    raise Refused(404, "tables are " + ", ".join(NAMES))
                return _json(desk.tables.ask(name, _one(query, "find")))
            if path == "/api/statement":
                return _json({"rows": desk.tables.statement(_one(query, "card"), _one(query, "merchant"))})
        except LookupError as error:
            raise Refused(404, str(error.args[0])) from None
        raise Refused(404, "no such path: " + path)

    def tell(self, path: str, body: bytes) -> Answer:
        act = _POSTS.get(path)
        if act is None:
            raise Refused(404, "no such path: " + path)
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        if not isinstance(asked, dict):
            raise Refused(400, "the body is not a JSON object")
        try:
            act(self.desk, asked)
        except (ValueError, LookupError) as error:
            raise Refused(409, str(error.args[0]) if error.args else str(error)) from None
        return _json({"ok": True})


def _tell_rule(desk: Desk, asked: dict[str, Any]) -> None:
    ((word, value),) = _exactly(asked, 1)
    if word == "clear" and value is True:
        desk.rule("clear")
    elif word == "remove" and isinstance(value, str):
        desk.rule("remove " + value)
    elif word == "add" and isinstance(value, str) and len(value) <= api.LONGEST_TEXT:
        desk.rule(value)
    else:
        raise Refused(400, 'a rule is {"add": "..."}, {"remove": "..."} or {"clear": true}')


def _tell_line(desk: Desk, asked: dict[str, Any]) -> None:
    ((name, value),) = _exactly(asked, 1)
    desk.line(name, value)


def _tell_card(desk: Desk, asked: dict[str, Any]) -> None:
    if set(asked) != {"card", "status"} or not all(isinstance(value, str) for value in asked.values()):
        raise Refused(400, 'a card is {"card": handle, "status": "..."}')
    desk.card(asked["card"], asked["status"])


_POSTS: dict[str, Callable[[Desk, dict[str, Any]], None]] = {
    "/api/rule": _tell_rule,
    "/api/line": _tell_line,
    "/api/card": _tell_card,
}


def _exactly(asked: dict[str, Any], count: int) -> list[tuple[str, Any]]:
    if len(asked) != count:
        raise Refused(400, f"{count} thing at a time")
    return list(asked.items())


def _one(query: dict[str, list[str]], name: str) -> str:
    values = query.get(name, [""])
    if len(values) != 1 or len(values[0]) > api.LONGEST_TEXT:
        raise Refused(400, f"{name} once, and short")
    return values[0]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refused(400, "since is a number that an earlier answer gave")
    return int(text)


def _json(value: object) -> Answer:
    return Answer("application/json", json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
