"""Air724 (AirM2M, LuatOS): connections by CIPSTART, CIPSEND, +RECEIVE, CIPCLOSE after CSTT, CIICR, CIFSR.

What comes is pushed. When the network ends the data connection only CIPSHUT leads out of it.

Sources: AirM2M 4G AT command manual (Air72x), the command set of SIM800; reference/hardware.md 5.2.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from emulator.chips.modem_at import Prompt, Refusal, number, word
from emulator.chips.modem_common import Handler, iccid, kept, need_sim, nothing, power
from emulator.chips.modem_sockets import ENDED, OPEN, OPENING, SEND_MOST, Link

if TYPE_CHECKING:
    from emulator.chips.modem import ModemChip

LINKS = 6
CONTEXT = 5  # what CIICR opens; +CGEV tells of it
INITIAL, START, ACTIVE, STATUS, DEACT = "IP INITIAL", "IP START", "IP GPRSACT", "IP STATUS", "PDP DEACT"
LINK_STATES = {OPENING: "CONNECTING", OPEN: "CONNECTED", ENDED: "REMOTE CLOSING"}


class Events:
    """What the connections tell the host, in SIM800's words. state: as +CIPSTATUS tells it."""

    def __init__(self, chip: ModemChip) -> None:
        self.chip = chip
        self.state = INITIAL

    def opened(self, link: Link, trouble: str) -> None:
        self.chip.urc(f"{link.number}, " + ("CONNECT FAIL" if trouble else "CONNECT OK"))

    def arrived(self, link: Link, first: bool) -> None:
        while link.inbox:
            data = link.take(SEND_MOST)
            self.chip.urc_block(f"+RECEIVE,{link.number},{len(data)}:", data)

    def ended(self, link: Link, reset: bool) -> None:
        self.chip.sockets.links.pop(link.number, None)
        self.chip.urc(f"{link.number}, CLOSED")

    def lost(self, contexts: list[int], links: list[Link]) -> None:
        for link in links:
            self.chip.urc(f"{link.number}, " + ("CONNECT FAIL" if link.state == OPENING else "CLOSED"))
        if CONTEXT in contexts:
            self.state = DEACT
            self.chip.urc("+PDP: DEACT")


def registered(chip: ModemChip) -> None:
    """The time is told without being asked for."""
    if chip.clock_set:
        _, seconds, quarters = chip.clock_set
        chip.urc("+NITZ: %s%+03d,0" % (time.strftime("%Y/%m/%d,%H:%M:%S", time.gmtime(seconds)), quarters))


def cipshut(m: ModemChip, words: list[str]) -> Generator[float, Any, str]:
    yield m.times.activate / 4
    for place in list(m.sockets.links):
        m.sockets.close(place)
    m.network.deactivate(CONTEXT)
    m.sockets.events.state = INITIAL
    return "SHUT OK"


def cstt(m: ModemChip, words: list[str]) -> None:
    events = m.sockets.events
    if events.state != INITIAL:
        raise Refusal(3)
    m.network.contexts[CONTEXT] = word(words, 0, "")
    events.state = START


def ciicr(m: ModemChip, words: list[str]) -> Generator[float, Any, None]:
    need_sim(m)
    events = m.sockets.events
    if events.state != START:
        raise Refusal(3)
    yield m.times.activate
    if not m.network.activate(CONTEXT):
        events.state = DEACT
        raise Refusal(148)
    events.state = ACTIVE


def cifsr(m: ModemChip, words: list[str]) -> str:
    """The address, and no OK behind it."""
    events = m.sockets.events
    if events.state not in (ACTIVE, STATUS):
        raise Refusal
    events.state = STATUS
    m.line(m.network.active[CONTEXT])
    return ""


def cipstatus(m: ModemChip, words: list[str]) -> None:
    def tell() -> None:
        state = m.sockets.events.state
        m.line("STATE: " + ("IP PROCESSING" if m.sockets.links and state == STATUS else state))
        for place in range(LINKS):
            link = m.sockets.links.get(place)
            rest = f'"TCP","{link.host}","{link.port}","{LINK_STATES[link.state]}"' if link else '"","","","INITIAL"'
            m.line(f"C: {place},{'0' if link else ''},{rest}")

    m.after(0.0, tell)


def cipmux(m: ModemChip, words: list[str]) -> None:
    if m.sockets.events.state != INITIAL or number(words, 0, high=1) != 1:
        raise Refusal(3)


def cipstart(m: ModemChip, words: list[str]) -> None:
    place = number(words, 0, high=LINKS - 1)
    if word(words, 1).upper() != "TCP":
        raise Refusal(4)
    link = Link(place, word(words, 2), number(words, 3, low=1, high=65535), CONTEXT)
    if m.sockets.events.state != STATUS:
        raise Refusal(3)
    if place in m.sockets.links:
        raise Refusal(before=f"{place}, ALREADY CONNECT")
    m.sockets.open(link)


def _link(m: ModemChip, words: list[str]) -> Link:
    link = m.sockets.links.get(number(words, 0, high=LINKS - 1))
    if link is None or link.state != OPEN:
        raise Refusal(3)
    return link


def cipsend(m: ModemChip, words: list[str]) -> Generator[Any, Any, str]:
    link = _link(m, words)
    count = number(words, 1, low=1, high=SEND_MOST) if len(words) > 1 else None
    data = yield Prompt(count)
    if data is None:
        return "OK"
    if m.sockets.links.get(link.number) is not link or not m.sockets.send(link, data[:SEND_MOST]):
        return f"{link.number}, SEND FAIL"
    quick = m.settings.get("+CIPQSEND", "0") == "1"
    return f"DATA ACCEPT:{link.number},{len(data)}" if quick else f"{link.number}, SEND OK"


def cipack(m: ModemChip, words: list[str]) -> None:
    link = _link(m, words)
    m.line(f"+CIPACK: {link.sent},{link.sent - len(link.outbox)},{len(link.outbox)}")


def cipclose(m: ModemChip, words: list[str]) -> str:
    place = number(words, 0, high=LINKS - 1)
    if place not in m.sockets.links:
        raise Refusal(3)
    m.sockets.close(place)
    return f"{place}, CLOSE OK"


def cdnsgip(m: ModemChip, words: list[str]) -> None:
    name = word(words, 0)
    address = m.radio.resolve(name) if m.network.flows else None
    if not m.network.active:
        raise Refusal(3)
    m.after(m.times.round, lambda: m.urc(f'+CDNSGIP: 1,"{name}","{address}"' if address else "+CDNSGIP: 0,8"))


def cced(m: ModemChip, words: list[str]) -> None:
    """AT+CCED=0,1: the cell that it is in."""
    tower, level = m.network.tower, m.network.dbm
    if tower is None or level is None:
        raise Refusal(30)
    place = f"{tower.network[:3]},{tower.network[3:]}"
    if tower.technology == "4G":
        m.line(f"+CCED:LTE current cell:{place},{tower.cell},{power(level)},{tower.band},{tower.channel},{tower.area},12,9")
    else:
        m.line(f"+CCED:GSM current cell info:{place},{tower.area:04x},{tower.cell:04x},33,{(level + 113)}")


def cpowd(m: ModemChip, words: list[str]) -> None:
    m.shut_down()


def reset(m: ModemChip, words: list[str]) -> None:
    m.after(0.05, m.reboot)


COMMANDS: dict[str, Handler] = {
    "+CIPSHUT": cipshut, "+CSTT=": cstt, "+CIICR": ciicr, "+CIFSR": cifsr, "+CIPSTATUS": cipstatus, "+CIPMUX=": cipmux,
    "+CIPSTART=": cipstart, "+CIPSEND=": cipsend, "+CIPACK=": cipack, "+CIPCLOSE=": cipclose, "+CDNSGIP=": cdnsgip,
    "+CCED=": cced, "+ICCID": iccid("+ICCID"), "+CCID": iccid("+CCID"), "+CICCID": iccid("+ICCID"), "+CPOWD=": cpowd,
    "+CPOF": cpowd, "+RESET": reset, "+RSTSET": reset, "+CIPMODE=": nothing, "+CIPHEAD=": nothing,
    "+CIPQSEND=": kept("+CIPQSEND")[0], "+CIPQSEND?": kept("+CIPQSEND")[1],
}  # fmt: skip
