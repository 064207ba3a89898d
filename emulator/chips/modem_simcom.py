"""SIMCom SIM7600 and A7670: connections by NETOPEN, CIPOPEN, CIPSEND, CIPRXGET, CIPCLOSE.

With +CIPRXGET=1 what comes is kept until it is read, and told once; with 0 it is pushed behind a head. When the network
ends the data connection, the service stays "opened" and useless until NETCLOSE.

Sources: SIM7500_SIM7600_SIM7800 and A7600 series TCPIP application notes and AT command manuals; reference/hardware.md 5.2.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from emulator.chips.modem_at import Prompt, Refusal, number, word
from emulator.chips.modem_common import Handler, iccid, kept, need_sim, nothing, power, quality, tries
from emulator.chips.modem_sockets import NAME, OPEN, OPENING, REFUSED, SEND_MOST, TIMEOUT, Link

if TYPE_CHECKING:
    from emulator.chips.modem import ModemChip

LINKS = 10
CONTEXT = 1
READ_MOST = 1500
# <err> of +CIPOPEN and +CIPERROR.
NETWORK_FAILURE, NOT_OPENED, WRONG, NOT_SUPPORTED, NO_SOCKET, TIMED_OUT, NO_NAME = 1, 2, 3, 4, 5, 10, 11
TROUBLE = {"": 0, NAME: NO_NAME, REFUSED: NO_SOCKET, TIMEOUT: TIMED_OUT}
CLOSED, OPENED, BROKEN = "closed", "opened", "broken"
MODES = {"4G": 8, "3G": 4, "2G": 3}


class Events:
    """What the connections tell the host, in SIMCom's words. state: of the service that NETOPEN opens."""

    def __init__(self, chip: ModemChip) -> None:
        self.chip = chip
        self.state = CLOSED

    @property
    def buffered(self) -> bool:
        return self.chip.settings.get("+CIPRXGET", "0") == "1"

    def opened(self, link: Link, trouble: str) -> None:
        self.chip.urc(f"+CIPOPEN: {link.number},{TROUBLE[trouble]}")

    def arrived(self, link: Link, first: bool) -> None:
        if self.buffered:
            if first:
                self.chip.urc(f"+CIPRXGET: 1,{link.number}")
            return
        while link.inbox:
            data = link.take(READ_MOST)
            self.chip.urc_block(f"RECV FROM:{link.address}:{link.port}\r\n+IPD{len(data)}", data)

    def ended(self, link: Link, reset: bool) -> None:
        self.chip.urc(f"+IPCLOSE: {link.number},{3 if reset else 1}")
        if not link.inbox:
            self.chip.sockets.links.pop(link.number, None)

    def lost(self, contexts: list[int], links: list[Link]) -> None:
        for link in links:
            if link.state == OPENING:
                self.chip.urc(f"+CIPOPEN: {link.number},{NETWORK_FAILURE}")
            else:
                self.chip.urc(f"+IPCLOSE: {link.number},2")
        if self.state == OPENED and CONTEXT in contexts:
            self.state = BROKEN
            self.chip.urc("+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY")


def registered(chip: ModemChip) -> None:
    """It says nothing of it by itself."""


def netopen(m: ModemChip, words: list[str]) -> None:
    need_sim(m)
    if m.sockets.events.state != CLOSED:
        raise Refusal(before="+IP ERROR: Network is already opened")

    def done() -> None:
        good = m.network.activate(CONTEXT)
        m.sockets.events.state = OPENED if good else CLOSED
        m.urc(f"+NETOPEN: {0 if good else 1}")

    m.after(m.times.activate, done)


def netopen_read(m: ModemChip, words: list[str]) -> None:
    m.line(f"+NETOPEN: {int(m.sockets.events.state != CLOSED)}")


def netclose(m: ModemChip, words: list[str]) -> None:
    if m.sockets.events.state == CLOSED:
        raise Refusal(before="+NETCLOSE: 2")

    def done() -> None:
        for place in list(m.sockets.links):
            m.sockets.close(place)
        m.network.deactivate(CONTEXT)
        m.sockets.events.state = CLOSED
        m.urc("+NETCLOSE: 0")

    m.after(m.times.activate / 4, done)


def ipaddr(m: ModemChip, words: list[str]) -> None:
    address = m.network.active.get(CONTEXT)
    if not address:
        raise Refusal(before="+IP ERROR: Network not opened")
    m.line("+IPADDR: " + address)


def cipopen(m: ModemChip, words: list[str]) -> None:
    place = number(words, 0, high=LINKS - 1)
    if word(words, 1).upper() != "TCP":
        raise Refusal(before=f"+CIPOPEN: {place},{NOT_SUPPORTED}")
    link = Link(place, word(words, 2), number(words, 3, low=1, high=65535))
    if place in m.sockets.links:
        raise Refusal(before="+IP ERROR: Connection is already created")
    if m.sockets.events.state == CLOSED:
        raise Refusal(before=f"+CIPOPEN: {place},{NOT_OPENED}")
    if m.sockets.events.state == BROKEN:
        m.after(0.0, lambda: m.urc(f"+CIPOPEN: {place},{NETWORK_FAILURE}"))
    else:
        m.sockets.open(link)


def cipopen_read(m: ModemChip, words: list[str]) -> None:
    for place in range(LINKS):
        link = m.sockets.links.get(place)
        m.line(f'+CIPOPEN: {place},"TCP","{link.host}",{link.port},-1' if link else f"+CIPOPEN: {place}")


def cipsend(m: ModemChip, words: list[str]) -> Generator[Any, Any, None]:
    place = number(words, 0, high=LINKS - 1)
    count = number(words, 1, low=1, high=SEND_MOST) if len(words) > 1 and words[1] else None
    link = m.sockets.links.get(place)
    if m.sockets.events.state != OPENED:
        raise Refusal(before=f"+CIPERROR: {NOT_OPENED}")
    if link is None or link.state != OPEN:
        raise Refusal(before=f"+CIPERROR: {NOT_SUPPORTED}")
    data = yield Prompt(count, b"\r\n>")
    if data is None:
        return
    if m.sockets.links.get(place) is not link or not m.sockets.send(link, data[:SEND_MOST]):
        raise Refusal(before=f"+CIPERROR: {NETWORK_FAILURE}")
    m.after(0.0, lambda: m.urc(f"+CIPSEND: {place},{len(data)},{len(data)}"))


def ciprxget(m: ModemChip, words: list[str]) -> None:
    mode = number(words, 0, high=4)
    if mode < 2:
        m.settings["+CIPRXGET"] = str(mode)
        return
    link = m.sockets.links.get(number(words, 1, high=LINKS - 1))
    if link is None:
        raise Refusal(before="+IP ERROR: No data")
    if mode == 4:
        m.line(f"+CIPRXGET: 4,{link.number},{len(link.inbox)}")
        return
    data = link.take(number(words, 2, READ_MOST, low=1, high=READ_MOST))
    if not data:
        raise Refusal(before="+IP ERROR: No data")
    shown = data if mode == 2 else data.hex().upper().encode()
    m.block(f"+CIPRXGET: {mode},{link.number},{len(data)},{len(link.inbox)}", shown)


def cipclose(m: ModemChip, words: list[str]) -> None:
    place = number(words, 0, high=LINKS - 1)
    if place not in m.sockets.links:
        raise Refusal(before=f"+CIPCLOSE: {place},{NOT_SUPPORTED}")
    m.sockets.close(place)
    m.after(0.0, lambda: m.urc(f"+CIPCLOSE: {place},0"))


def cipclose_read(m: ModemChip, words: list[str]) -> None:
    m.line("+CIPCLOSE: " + ",".join(str(int(place in m.sockets.links)) for place in range(LINKS)))


def cdnsgip(m: ModemChip, words: list[str]) -> Generator[float, Any, None]:
    name = word(words, 0)
    yield m.times.round
    address = m.radio.resolve(name) if m.network.flows else None
    if address is None:
        raise Refusal(before=f"+CDNSGIP: 0,{TIMED_OUT}")
    m.line(f'+CDNSGIP: 1,"{name}","{address}"')


def cpsi(m: ModemChip, words: list[str]) -> None:
    tower, level = m.network.tower, m.network.dbm
    if tower is None or level is None:
        m.line("+CPSI: NO SERVICE," + ("Online" if m.network.functions == 1 else "Low Power Mode"))
        return
    place = f"{tower.network[:3]}-{tower.network[3:]},0x{tower.area:04X},{tower.cell}"
    if tower.technology == "4G":
        strengths = f"{quality(level) * 10},{power(level) * 10},{level * 10},{max(0, (level + 110) // 2)}"
        m.line(f"+CPSI: LTE,Online,{place},12,EUTRAN-BAND{tower.band},{tower.channel},5,5,{strengths}")
    elif tower.technology == "3G":
        m.line(f"+CPSI: WCDMA,Online,{place},WCDMA IMT 2000,60,{tower.channel},0,6,62,{-level},31,20,500")
    else:
        m.line(f"+CPSI: GSM,Online,{place},{tower.channel} EGSM 900,{level},0,{-level}-{-level}")


def cnsmod(m: ModemChip, words: list[str]) -> None:
    m.line(f"+CNSMOD: 0,{MODES.get(m.network.technology, 0)}")


def spic(m: ModemChip, words: list[str]) -> None:
    pin, puk = tries(m)
    m.line(f"+SPIC: {pin},{puk},3,10")


def cpof(m: ModemChip, words: list[str]) -> None:
    m.shut_down()


def creset(m: ModemChip, words: list[str]) -> None:
    m.after(0.05, m.reboot)


_STORED = {"+CIPTIMEOUT": "120000,120000,120000", "+CIPCCFG": "10,0,0,1,1,0,500", "+CIPHEAD": "1", "+CIPSRIP": "1"}

COMMANDS: dict[str, Handler] = {
    "+NETOPEN": netopen, "+NETOPEN?": netopen_read, "+NETCLOSE": netclose, "+IPADDR": ipaddr, "+CIPOPEN=": cipopen,
    "+CIPOPEN?": cipopen_read, "+CIPSEND=": cipsend, "+CIPRXGET=": ciprxget, "+CIPCLOSE=": cipclose,
    "+CIPCLOSE?": cipclose_read, "+CDNSGIP=": cdnsgip, "+CICCID": iccid("+ICCID"), "+CPSI?": cpsi, "+CNSMOD?": cnsmod,
    "+SPIC": spic, "+CPOF": cpof, "+CRESET": creset, "+CIPMODE=": nothing, "+CIPSENDMODE=": nothing, "+CSCLK=": nothing,
    **{name + "=": kept(name)[0] for name in _STORED}, **{name + "?": kept(name, value)[1] for name, value in _STORED.items()},
}  # fmt: skip
