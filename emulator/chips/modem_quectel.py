"""Quectel EC20 and EC25: connections by QIOPEN, QISEND, QIRD, QICLOSE over a context of QIACT; what else starts with Q.

Access mode 0 keeps what comes until it is read and tells once that there is something; mode 1 pushes it. A context
that the network has ended must be closed by QIDEACT before it can be opened again.

Sources: Quectel EC2x TCP/IP AT commands manual, EC25 and EC21 AT commands manual; reference/hardware.md 5.2.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from emulator.chips.modem_at import Prompt, Refusal, number, word
from emulator.chips.modem_common import Handler, clock, iccid, kept, need_sim, nothing, power, quality, tries
from emulator.chips.modem_sockets import ENDED, NAME, OPEN, OPENING, REFUSED, SEND_MOST, TIMEOUT, Link

if TYPE_CHECKING:
    from emulator.chips.modem import ModemChip

ERRORS = {
    0: "operate successfully",
    550: "unknown error",
    552: "invalid parameters",
    555: "operation not supported",
    561: "open PDP context failed",
    563: "socket identity has been used",
    565: "DNS parse failed",
    566: "socket connect failed",
    567: "socket has been closed",
    569: "operation timeout",
    570: "PDP context broken down",
    572: "operation not allowed",
}
TROUBLE = {"": 0, NAME: 565, REFUSED: 566, TIMEOUT: 569}
CONTEXTS, LINKS = 16, 12
STATES = {OPENING: 1, OPEN: 2, ENDED: 4}
READ_MOST = 1500
BUFFERED, PUSHED = 0, 1


class Events:
    """What the connections tell the host, in Quectel's words."""

    def __init__(self, chip: ModemChip) -> None:
        self.chip = chip
        self.error = 0
        self.broken: set[int] = set()  # contexts that wait for their QIDEACT

    def opened(self, link: Link, trouble: str) -> None:
        self.error = TROUBLE[trouble]
        self.chip.urc(f"+QIOPEN: {link.number},{self.error}")

    def arrived(self, link: Link, first: bool) -> None:
        if link.mode == PUSHED:
            while link.inbox:
                data = link.take(READ_MOST)
                self.chip.urc_block(f'+QIURC: "recv",{link.number},{len(data)}', data)
        elif first:
            self.chip.urc(f'+QIURC: "recv",{link.number}')

    def ended(self, link: Link, reset: bool) -> None:
        self.chip.urc(f'+QIURC: "closed",{link.number}')

    def lost(self, contexts: list[int], links: list[Link]) -> None:
        for link in links:
            if link.state == OPENING:
                self.chip.urc(f"+QIOPEN: {link.number},570")
        for context in contexts:
            self.broken.add(context)
            self.chip.urc(f'+QIURC: "pdpdeact",{context}')


def registered(chip: ModemChip) -> None:
    """It says nothing of it by itself."""


def _fail(m: ModemChip, code: int) -> Refusal:
    m.sockets.events.error = code
    return Refusal()


def qicsgp(m: ModemChip, words: list[str]) -> None:
    place = number(words, 0, low=1, high=CONTEXTS)
    if len(words) == 1:
        apn = m.network.contexts.get(place, "")
        m.line(f'+QICSGP: 1,"{apn}","","",0')
        return
    number(words, 1, low=1, high=3)
    m.network.contexts[place] = word(words, 2, "")


def qiact(m: ModemChip, words: list[str]) -> Generator[float, Any, None]:
    place = number(words, 0, low=1, high=CONTEXTS)
    need_sim(m)
    yield m.times.activate
    if place in m.network.active or place in m.sockets.events.broken:
        raise _fail(m, 572)
    if not m.network.activate(place):
        raise _fail(m, 561)


def qiact_read(m: ModemChip, words: list[str]) -> None:
    for place, address in sorted(m.network.active.items()):
        m.line(f'+QIACT: {place},1,1,"{address}"')


def qideact(m: ModemChip, words: list[str]) -> Generator[float, Any, None]:
    place = number(words, 0, low=1, high=CONTEXTS)
    yield m.times.activate / 4
    m.sockets.events.broken.discard(place)
    m.network.deactivate(place)


def qiopen(m: ModemChip, words: list[str]) -> None:
    """AT+QIOPEN=context,connection,"TCP",host,port[,local port[,access mode]]."""
    context, place = number(words, 0, low=1, high=CONTEXTS), number(words, 1, high=LINKS - 1)
    if word(words, 2).upper() != "TCP":
        raise _fail(m, 555)
    link = Link(place, word(words, 3), number(words, 4, low=1, high=65535), context)
    number(words, 5, 0, high=65535)
    link.mode = number(words, 6, BUFFERED, high=2)
    if link.mode > PUSHED:
        raise _fail(m, 555)
    code = 563 if place in m.sockets.links else 0 if context in m.network.active else 561
    if code:
        m.sockets.events.error = code
        m.after(0.0, lambda: m.urc(f"+QIOPEN: {place},{code}"))
    else:
        m.sockets.open(link)


def _link(m: ModemChip, words: list[str]) -> Link:
    link = m.sockets.links.get(number(words, 0, high=LINKS - 1))
    if link is None:
        raise _fail(m, 567)
    return link


def qisend(m: ModemChip, words: list[str]) -> Generator[Any, Any, str | None]:
    link = _link(m, words)
    count = number(words, 1, high=SEND_MOST) if len(words) > 1 else None
    if count == 0:
        unacked = len(link.outbox)
        m.line(f"+QISEND: {link.sent},{link.sent - unacked},{unacked}")
        return None
    if link.state != OPEN:
        raise _fail(m, 567)
    data = yield Prompt(count, echo=m.settings.get("+QISDE", "1") == "1")
    if data is None:
        return None
    if m.sockets.links.get(link.number) is not link:
        raise _fail(m, 567)
    return "SEND OK" if m.sockets.send(link, data[:SEND_MOST]) else "SEND FAIL"


def qird(m: ModemChip, words: list[str]) -> None:
    link = _link(m, words)
    most = number(words, 1, READ_MOST, high=READ_MOST)
    if len(words) > 1 and most == 0:
        waits = len(link.inbox)
        m.line(f"+QIRD: {link.read + waits},{link.read},{waits}")
        return
    data = link.take(most)
    if data:
        m.block(f"+QIRD: {len(data)}", data)
    else:
        m.line("+QIRD: 0")


def qiclose(m: ModemChip, words: list[str]) -> None:
    m.sockets.close(number(words, 0, high=LINKS - 1))


def qistate(m: ModemChip, words: list[str]) -> None:
    """AT+QISTATE, AT+QISTATE=0,context, AT+QISTATE=1,connection."""
    kind, wanted = (number(words, 0, high=1), number(words, 1)) if words else (2, 0)
    for place, link in sorted(m.sockets.links.items()):
        if kind == 2 or wanted == (link.context, place)[kind]:
            state = STATES[link.state]
            m.line(f'+QISTATE: {place},"TCP","{link.host}",{link.port},0,{state},{link.context},{place},{link.mode},"uart1"')


def qidnsgip(m: ModemChip, words: list[str]) -> None:
    place, name = number(words, 0, low=1, high=CONTEXTS), word(words, 1)
    if place not in m.network.active:
        raise _fail(m, 561)

    def answer() -> None:
        address = m.radio.resolve(name) if m.network.flows else None
        if address is None:
            m.urc('+QIURC: "dnsgip",565')
        else:
            m.urc('+QIURC: "dnsgip",0,1,600')
            m.urc(f'+QIURC: "dnsgip","{address}"')

    m.after(m.times.round, answer)


def qigeterror(m: ModemChip, words: list[str]) -> None:
    code = m.sockets.events.error
    m.line(f"+QIGETERROR: {code},{ERRORS[code]}")


def qnwinfo(m: ModemChip, words: list[str]) -> None:
    tower = m.network.tower
    if tower is None:
        m.line("+QNWINFO: No Service")
        return
    access, band = {
        "4G": ("FDD LTE", f"LTE BAND {tower.band}"),
        "3G": ("WCDMA", f"WCDMA {2100 if tower.band == 1 else 900}"),
        "2G": ("EDGE", f"GSM {900 if tower.band == 8 else 1800}"),
    }[tower.technology]
    m.line(f'+QNWINFO: "{access}","{tower.network}","{band}",{tower.channel}')


def qeng(m: ModemChip, words: list[str]) -> None:
    if word(words, 0) != "servingcell":
        raise Refusal(50)
    tower, level = m.network.tower, m.network.dbm
    if tower is None or level is None:
        state = "LIMSRV" if m.network.stat == 3 else "SEARCH"
        m.line(f'+QENG: "servingcell","{state}"')
        return
    head = f'+QENG: "servingcell","{"CONNECT" if m.network.active else "NOCONN"}"'
    place = f"{tower.network[:3]},{tower.network[3:]}"
    if tower.technology == "4G":
        m.line(
            f'{head},"LTE","FDD",{place},{tower.cell:X},12,{tower.channel},{tower.band},5,5,'
            f"{tower.area:04X},{power(level)},{quality(level)},{level},{max(0, (level + 110) // 2)},{max(0, level + 100)}"
        )
    elif tower.technology == "3G":
        m.line(f'{head},"WCDMA",{place},{tower.area:04X},{tower.cell:X},{tower.channel},60,1,{level},-6')
    else:
        m.line(f'{head},"GSM",{place},{tower.area:04X},{tower.cell:X},33,{tower.channel},"900",{level}')


def qcsq(m: ModemChip, words: list[str]) -> None:
    tower, level = m.network.tower, m.network.dbm
    if tower is None or level is None:
        m.line('+QCSQ: "NOSERVICE"')
    elif tower.technology == "4G":
        m.line(f'+QCSQ: "LTE",{level},{power(level)},{max(0, (level + 130) * 2)},{quality(level)}')
    else:
        m.line(f'+QCSQ: "{"WCDMA" if tower.technology == "3G" else "GSM"}",{level}')


def qlts(m: ModemChip, words: list[str]) -> None:
    """Mode 0: as it was told last; 1: UTC now; 2: local time now."""
    mode = number(words, 0, 0, high=2)
    if m.clock_set is None:
        m.line('+QLTS: ""')
        return
    seconds, quarters = clock(m) if mode else (m.clock_set[1], m.clock_set[2])
    if mode == 2:
        seconds += quarters * 900
    m.line('+QLTS: "%s%+03d,0"' % (time.strftime("%Y/%m/%d,%H:%M:%S", time.gmtime(seconds)), quarters))


def qpinc(m: ModemChip, words: list[str]) -> None:
    pin, puk = tries(m)
    m.line(f'+QPINC: "SC",{pin},{puk}')
    m.line('+QPINC: "P2",3,10')


def qinistat(m: ModemChip, words: list[str]) -> None:
    m.line(f"+QINISTAT: {7 if m.network.sim == 'ready' else 1 if m.network.sim in ('pin', 'puk') else 0}")


def qsimstat(m: ModemChip, words: list[str]) -> None:
    m.line(f"+QSIMSTAT: {m.settings.get('+QSIMSTAT', '0')},{int(m.network.sim != 'absent')}")


def qpowd(m: ModemChip, words: list[str]) -> None:
    number(words, 0, 1, high=1)
    m.shut_down()


def qcfg(m: ModemChip, words: list[str]) -> None:
    """AT+QCFG=name reads a setting, AT+QCFG=name,value writes it."""
    name = word(words, 0)
    if len(words) > 1:
        m.settings["+QCFG " + name] = ",".join(words[1:])
    elif name == "usbnet":
        m.line(f'+QCFG: "usbnet",{m.settings.get("+QCFG usbnet", "0")}')
    else:
        raise Refusal(50)


_STORED = {"+QSIMSTAT": "0", "+QSIMDET": "0,0", "+QSCLK": "0", "+QISDE": "1"}

COMMANDS: dict[str, Handler] = {
    "+QICSGP=": qicsgp, "+QIACT=": qiact, "+QIACT?": qiact_read, "+QIDEACT=": qideact, "+QIOPEN=": qiopen,
    "+QISEND=": qisend, "+QIRD=": qird, "+QICLOSE=": qiclose, "+QISTATE": qistate, "+QISTATE?": qistate, "+QISTATE=": qistate,
    "+QIDNSGIP=": qidnsgip, "+QIGETERROR": qigeterror, "+QICFG=": nothing, "+QIDNSCFG=": nothing,
    "+QCCID": iccid("+QCCID"), "+ICCID": iccid("+ICCID"), "+QNWINFO": qnwinfo, "+QENG=": qeng, "+QCSQ": qcsq, "+QLTS": qlts,
    "+QLTS=": qlts, "+QPINC?": qpinc, "+QPINC=": qpinc, "+QINISTAT": qinistat, "+QPOWD": qpowd, "+QPOWD=": qpowd,
    "+QURCCFG=": nothing, "+QCFG=": qcfg, "+QINDCFG=": nothing,
    **{name + "=": kept(name)[0] for name in _STORED}, **{name + "?": kept(name, value)[1] for name, value in _STORED.items()},
    "+QSIMSTAT?": qsimstat,
}  # fmt: skip
