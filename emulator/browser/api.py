"""The HTTP API: what a program may ask the device, without a socket in sight.

    GET  /api/state              everything: see `Device.state`
    GET  /api/state?since=n      waits until something is newer than n (at most 25 s), answers what changed
    GET  /api/screen.png         the panel's pixels
    GET  /api/paper.png          the paper that hangs out of the printer; ?torn=n: a piece torn off
    POST /api/keys               {"keys": "01 ENTER"}
    POST /api/card               {"place": "debit"} | {"remove": true} | {"remove": "debit"} on the reader
                                 {"insert": "debit"} | {"pull": true} in the slot; {"swipe": "debit"} through the groove
    POST /api/power              {"do": "on" | "off" | "plug" | "crash"}
    POST /api/fault              {"name": "paper-out", "on": true} | {"rule": "..."} | {"stop": "commit:done:..."}
                                 an empty stop takes the last one back
    POST /api/paper              {"tear": true}
    POST /api/radio              {"signal": 0..100} | {"tower": "shop"} | {"sim": "out"} | {"network": "denied"}
                                 {"sms": "text", "from": "10010"}; the words are those of `emulator/radio.py`

A POST is answered {"ok": true}. What cannot be done is answered with a status and {"error": "..."}: 400 for a body
that says nothing sensible, 404 for an unknown path, 405 for the wrong method, 409 for something that this device
cannot do now, 413 and 415 for a body too long or not JSON. `placing` a card on a reader that holds one lays it beside;
a card that is elsewhere is taken from there first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from emulator.device import Device

WAIT_S = 25.0  # a long poll; shorter than any proxy's or browser's patience
LONGEST_BODY = 4096
LONGEST_TEXT = 1000  # characters of a string in a body
_SECRET = re.compile(r"(?:%B|\^).*|[0-9](?:[ :-]?[0-9]){4,}", re.DOTALL)  # a first track, a number


class Refused(Exception):
    """The request is refused: HTTP status and why. What it said is repeated but for what may be a secret."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(_SECRET.sub("*", why))
        self.status = status


class Answer(NamedTuple):
    kind: str
    body: bytes


def get(device: Device, path: str, query: dict[str, list[str]]) -> Answer:
    """Answers a GET below /api/. Raises Refused."""
    if path == "/api/state":
        since = _number(query, "since")
        return _json(device.state() if since is None else device.state(since, WAIT_S))
    if path == "/api/screen.png":
        return Answer("image/png", device.screen_png())
    if path == "/api/paper.png":
        try:
            return Answer("image/png", device.paper_png(_number(query, "torn")))
        except LookupError as error:
            raise Refused(404, str(error.args[0])) from None
    raise Refused(405 if path in POSTS else 404, "POST this" if path in POSTS else "no such path: " + path)


def post(device: Device, path: str, body: bytes) -> Answer:
    """Answers a POST with a JSON body. Raises Refused."""
    act = POSTS.get(path)
    if act is None:
        raise Refused(405 if path in GETS else 404, "GET this" if path in GETS else "no such path: " + path)
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(asked, dict):
        raise Refused(400, "the body is not a JSON object")
    try:
        act(device, asked)
    except (ValueError, LookupError) as error:
        raise Refused(409, str(error.args[0]) if error.args else str(error)) from None
    return _json({"ok": True})


def _keys(device: Device, asked: dict[str, Any]) -> None:
    _only(asked, "keys")
    device.keys(_text(asked, "keys"))


def _card(device: Device, asked: dict[str, Any]) -> None:
    acts: dict[str, Callable[[str], None]] = {"place": device.place, "insert": device.insert, "swipe": device.swipe}
    for name, act in acts.items():
        if name in asked:
            _only(asked, name)
            act(_text(asked, name))
            return
    if "pull" in asked:
        _only(asked, "pull")
        if asked["pull"] is not True:
            raise Refused(400, 'the slot is emptied by {"pull": true}')
        device.pull()
    elif asked.get("remove") is True:
        _only(asked, "remove")
        device.remove_card()
    else:
        _only(asked, "remove")
        device.remove_card(_text(asked, "remove"))


def _power(device: Device, asked: dict[str, Any]) -> None:
    _only(asked, "do")
    acts: dict[str, Callable[[], object]] = {
        "on": device.power_on, "off": device.power_off, "plug": device.plug, "crash": device.crash,
    }  # fmt: skip
    act = acts.get(_text(asked, "do"))
    if act is None:
        raise Refused(400, "do is one of: " + ", ".join(acts))
    act()


def _fault(device: Device, asked: dict[str, Any]) -> None:
    if "rule" in asked:
        _only(asked, "rule")
        device.rule(_text(asked, "rule"))
    elif "stop" in asked:
        _only(asked, "stop")
        device.stop_at("" if asked["stop"] == "" else _text(asked, "stop"))
    else:
        _only(asked, "name", "on")
        if not isinstance(asked.get("on"), bool):
            raise Refused(400, "on is true or false")
        device.fault(_text(asked, "name"), asked["on"])


def _paper(device: Device, asked: dict[str, Any]) -> None:
    _only(asked, "tear")
    if asked.get("tear") is not True:
        raise Refused(400, 'the only thing to do with paper is {"tear": true}')
    device.tear()


def _radio(device: Device, asked: dict[str, Any]) -> None:
    acts: dict[str, Callable[[str], None]] = {"tower": device.tower, "sim": device.sim, "network": device.network}
    for name, act in acts.items():
        if name in asked:
            _only(asked, name)
            act(_text(asked, name))
            return
    if "sms" in asked:
        _only(asked, "sms", "from")
        device.sms(_text(asked, "sms"), _text(asked, "from") if "from" in asked else "10010")
        return
    _only(asked, "signal")
    if type(asked.get("signal")) is not int:
        raise Refused(400, "signal is a whole number, 0 to 100")
    device.signal(asked["signal"])


GETS = ("/api/state", "/api/screen.png", "/api/paper.png")
POSTS: dict[str, Callable[[Any, dict[str, Any]], None]] = {
    "/api/keys": _keys,
    "/api/card": _card,
    "/api/power": _power,
    "/api/fault": _fault,
    "/api/paper": _paper,
    "/api/radio": _radio,
}


def _only(asked: dict[str, Any], *known: str) -> None:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise Refused(400, "not known here: " + ", ".join(map(repr, unknown[:5])))


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        raise Refused(400, f"{name} is a text of 1 to {LONGEST_TEXT} characters")
    return value


def _number(query: dict[str, list[str]], name: str) -> int | None:
    values = query.get(name)
    if values is None:
        return None
    if len(values) != 1 or not (values[0].isascii() and values[0].isdigit() and len(values[0]) < 16):
        raise Refused(400, f"{name} is a number that an earlier answer gave")
    return int(values[0])


def _json(value: object) -> Answer:
    return Answer("application/json", json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
