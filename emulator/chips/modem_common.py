"""The commands that all modules have: who it is, its SIM, its signal, its registration, its clock.

Each is a function of (module, words); `COMMANDS` says by what it is called.

Sources: ITU-T V.250; 3GPP TS 27.007 5 to 10; reference/hardware.md 5.1.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from emulator.chips import modem_sms
from emulator.chips.modem_at import Refusal, number, word
from emulator.chips.modem_network import ACCESS, REPORTS, UNKNOWN_SIGNAL
from emulator.radio import PIN_TRIES, TOWERS

if TYPE_CHECKING:
    from emulator.chips.modem import ModemChip

Handler = Callable[["ModemChip", list[str]], Any]
BAUDS = (0, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
SIM_TROUBLE = {"absent": 10, "busy": 14, "pin": 11, "puk": 12}


def need_sim(m: ModemChip) -> None:
    """Raises Refusal unless the SIM can be used."""
    if m.network.sim != "ready":
        raise Refusal(SIM_TROUBLE[m.network.sim])


# -- basic


def nothing(m: ModemChip, words: list[str]) -> None:
    """Taken, and without effect here."""


def echo(m: ModemChip, words: list[str]) -> None:
    m.echo = words[0] == "1"


def verbose(m: ModemChip, words: list[str]) -> None:
    m.verbose = words[0] == "1"


def quiet(m: ModemChip, words: list[str]) -> None:
    m.quiet = words[0] == "1"


def factory(m: ModemChip, words: list[str]) -> None:
    m.echo, m.verbose, m.quiet, m.cmee = True, True, False, m.family.cmee


def identify(m: ModemChip, words: list[str]) -> None:
    for text in m.family.about:
        m.line(text.format(imei=m.radio.imei))


def _named(attribute: str, name: str) -> Handler:
    def tell(m: ModemChip, words: list[str]) -> None:
        value = getattr(m.family, attribute)
        m.line(f'{name}: "{value}"' if m.family.dialect == "air" else value)

    return tell


def imei(m: ModemChip, words: list[str]) -> None:
    m.line(m.radio.imei)


def kept(name: str, default: str = "0") -> tuple[Handler, Handler]:
    """A setting that is taken and can be read back."""

    def write(m: ModemChip, words: list[str]) -> None:
        m.settings[name] = ",".join(words)

    def read(m: ModemChip, words: list[str]) -> None:
        m.line(f"{name}: {m.settings.get(name, default)}")

    return write, read


def cmee(m: ModemChip, words: list[str]) -> None:
    m.cmee = number(words, 0, 0, high=2)


def cmee_read(m: ModemChip, words: list[str]) -> None:
    m.line(f"+CMEE: {m.cmee}")


def ipr(m: ModemChip, words: list[str]) -> None:
    """The speed changes when the answer is out."""
    baud = number(words, 0)
    if baud not in BAUDS:
        raise Refusal(50)
    m.after(0.05, lambda: setattr(m, "baud", baud))


def ipr_read(m: ModemChip, words: list[str]) -> None:
    m.line(f"+IPR: {m.baud}")


def cfun(m: ModemChip, words: list[str]) -> None:
    mode, restart = number(words, 0, high=7), number(words, 1, 0, high=1)
    if restart or mode == 6:
        m.after(0.05, m.reboot)
        return
    if mode not in (0, 1, 4):
        raise Refusal(50)
    m.network.functions = mode
    m.network.look()


def cfun_read(m: ModemChip, words: list[str]) -> None:
    m.line(f"+CFUN: {m.network.functions}")


# -- the SIM


def cpin_read(m: ModemChip, words: list[str]) -> None:
    state = m.network.sim
    if state in ("absent", "busy"):
        raise Refusal(SIM_TROUBLE[state])
    m.line("+CPIN: " + {"ready": "READY", "pin": "SIM PIN", "puk": "SIM PUK"}[state])


def cpin(m: ModemChip, words: list[str]) -> None:
    """AT+CPIN=pin, or AT+CPIN=puk,new pin."""
    network, card = m.network, m.radio.card
    if network.sim in ("absent", "busy"):
        raise Refusal(SIM_TROUBLE[network.sim])
    if network.sim == "ready":
        raise Refusal(3)
    code, new = word(words, 0), word(words, 1, "")
    if network.sim == "puk":
        if not new:
            raise Refusal(12)
        right = _is_pin(new) and card.unblock(code, new)
    else:
        right = _is_pin(code) and card.verify(code)
    if not right:
        state = {"dead": "puk"}.get(card.state, card.state)
        gone = state != network.sim
        network.sim = state
        m.told()
        raise Refusal(12 if gone else 16)
    m.after(m.times.sim, lambda: network.sim_read() if network.sim != "absent" and m.network is network else None)
    network.sim = "busy"


def _is_pin(text: str) -> bool:
    return re.fullmatch(r"[0-9]{4,8}", text) is not None


def clck(m: ModemChip, words: list[str]) -> None:
    """Only "SC", whether the SIM asks for its PIN."""
    if word(words, 0) != "SC":
        raise Refusal(4)
    mode, card = number(words, 1, high=2), m.radio.card
    need_sim(m)
    if mode == 2:
        m.line(f"+CLCK: {int(card.asks)}")
        return
    if not (_is_pin(word(words, 2)) and card.verify(words[2])):
        raise Refusal(16)
    card.asks = bool(mode)
    m.told()


def tries(m: ModemChip) -> tuple[int, int]:
    return m.radio.card.tries, m.radio.card.puk_tries


def cpinr(m: ModemChip, words: list[str]) -> None:
    pin, puk = tries(m)
    m.line(f"+CPINR: SIM PIN,{pin},{PIN_TRIES}")
    m.line(f"+CPINR: SIM PUK,{puk},10")


def cimi(m: ModemChip, words: list[str]) -> None:
    need_sim(m)
    m.line(m.radio.card.imsi)


def iccid(name: str) -> Handler:
    def tell(m: ModemChip, words: list[str]) -> None:
        if m.network.sim in ("absent", "busy"):
            raise Refusal(SIM_TROUBLE[m.network.sim])
        m.line(f"{name}: {m.radio.card.iccid}")

    return tell


def cnum(m: ModemChip, words: list[str]) -> None:
    need_sim(m)
    m.line(f'+CNUM: ,"{m.radio.card.number}",145')


# -- the signal and the network


def csq(m: ModemChip, words: list[str]) -> None:
    m.line(f"+CSQ: {m.network.rssi},{UNKNOWN_SIGNAL}")


def cesq(m: ModemChip, words: list[str]) -> None:
    level = m.network.dbm
    if level is None:
        m.line("+CESQ: 99,99,255,255,255,255")
        return
    rsrp = max(0, min(97, power(level) + 141))
    m.line(f"+CESQ: 99,99,255,255,{max(0, min(34, 2 * (quality(level) + 20)))},{rsrp}")


def power(level: int) -> int:
    """RSRP in dBm of an LTE carrier of 20 MHz, whose whole strength is `level`."""
    return max(-140, level - 27)


def quality(level: int) -> int:
    """RSRQ in dB: worse where there is little."""
    return -8 if level > -95 else -12 if level > -105 else -17


def report(name: str) -> tuple[Handler, Handler]:
    """+CREG, +CGREG, +CEREG."""

    def write(m: ModemChip, words: list[str]) -> None:
        m.network.ask(name, number(words, 0, 0, high=2))

    def read(m: ModemChip, words: list[str]) -> None:
        mode = m.network.reports[name]
        m.line(f"{name}: {mode},{m.network.report(name, mode)}")

    return write, read


def cops_read(m: ModemChip, words: list[str]) -> None:
    tower = m.network.tower
    mode = 0 if m.network.automatic else 2
    if tower is None:
        m.line(f"+COPS: {mode}")
        return
    shape = m.settings.get("+COPS", "0")
    name = {"0": tower.operator, "1": tower.short, "2": tower.network}[shape]
    m.line(f'+COPS: {mode},{shape},"{name}",{ACCESS[tower.technology]}')


def cops(m: ModemChip, words: list[str]) -> Generator[float, Any, None]:
    mode = number(words, 0, high=4)
    if mode == 3:
        m.settings["+COPS"] = str(number(words, 1, high=2))
        return
    m.network.automatic = mode != 2
    m.network.look()
    yield 0.0
    for _ in range(60):
        if mode == 2 or m.network.stat in (1, 5):
            return
        yield m.times.register / 2 + 0.01
    raise Refusal(30)


def cops_test(m: ModemChip, words: list[str]) -> Generator[float, Any, None]:
    yield m.times.search
    found: dict[str, str] = {}
    for tower in TOWERS:
        here = m.network.tower is not None and tower.network == m.network.tower.network
        state = 2 if here else 1
        found[tower.network] = f'({state},"{tower.operator}","{tower.short}","{tower.network}",{ACCESS[tower.technology]})'
    heard = list(found.values()) if m.network.dbm is not None else []
    m.line("+COPS: " + ",".join([*heard, "", "(0-4)", "(0-2)"]))


def cgatt_read(m: ModemChip, words: list[str]) -> None:
    m.line(f"+CGATT: {int(m.network.attached)}")


def cgatt(m: ModemChip, words: list[str]) -> Generator[float, Any, None]:
    wanted = bool(number(words, 0, high=1))
    m.network.detached = not wanted
    yield m.times.activate
    if wanted and not m.network.attached:
        raise Refusal(107 if m.network.stat in (1, 5) else 30)
    if not wanted and m.network.active:
        m.network.lose_data()


def cgdcont(m: ModemChip, words: list[str]) -> None:
    place = number(words, 0, low=1, high=16)
    if len(words) == 1:
        m.network.contexts.pop(place, None)
    elif words[1].upper() in ("IP", "IPV4V6", "IPV6"):
        m.network.contexts[place] = word(words, 2, "")
    else:
        raise Refusal(50)


def cgdcont_read(m: ModemChip, words: list[str]) -> None:
    for place, apn in sorted(m.network.contexts.items()):
        m.line(f'+CGDCONT: {place},"IP","{apn}","{m.network.active.get(place, "0.0.0.0")}",0,0')


def cgact(m: ModemChip, words: list[str]) -> Generator[float, Any, None]:
    on, place = number(words, 0, high=1), number(words, 1, 1, low=1, high=16)
    yield m.times.activate
    if not on:
        m.network.deactivate(place)
    elif not m.network.activate(place):
        raise Refusal(148)


def cgact_read(m: ModemChip, words: list[str]) -> None:
    for place in sorted(m.network.contexts):
        m.line(f"+CGACT: {place},{int(place in m.network.active)}")


def cgpaddr(m: ModemChip, words: list[str]) -> None:
    place = number(words, 0, 1, low=1, high=16)
    m.line(f'+CGPADDR: {place},"{m.network.active.get(place, "0.0.0.0")}"')


# -- the clock


def clock(m: ModemChip) -> tuple[float, int]:
    """(seconds since 1970 as the module counts them, time zone in quarters); its epoch plus its age where nobody told."""
    if m.clock_set is None:
        return m.family.epoch + time.monotonic() % 1000, 0
    at, seconds, quarters = m.clock_set
    return seconds + time.monotonic() - at, quarters


def cclk_read(m: ModemChip, words: list[str]) -> None:
    """Local time with its zone; Quectel's +CTZU=1 keeps UTC, its +CTZU=3 local time, both with the zone behind."""
    seconds, quarters = clock(m)
    if not (m.family.dialect == "quectel" and m.settings.get("+CTZU", "0") in ("0", "1")):
        seconds += quarters * 900
    m.line('+CCLK: "%s%+03d"' % (time.strftime("%y/%m/%d,%H:%M:%S", time.gmtime(seconds)), quarters))


_CLOCK = re.compile(r"(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)([+-]\d\d)?")


def cclk(m: ModemChip, words: list[str]) -> None:
    match = _CLOCK.fullmatch(word(words, 0))
    if not match:
        raise Refusal(50)
    try:
        local = time.strptime("20" + match[0][:17], "%Y/%m/%d,%H:%M:%S")
    except ValueError:
        raise Refusal(50) from None
    quarters = int(match[7] or 0)
    m.clock_set = (time.monotonic(), calendar.timegm(local) - quarters * 900, quarters)


def _pair(name: str, handlers: tuple[Handler, Handler]) -> dict[str, Handler]:
    return {name + "=": handlers[0], name + "?": handlers[1]}


COMMANDS: dict[str, Handler] = {
    "E": echo, "V": verbose, "Q": quiet, "Z": factory, "&F": factory, "&W": nothing, "&C": nothing, "&D": nothing,
    "X": nothing, "H": nothing, "S=": nothing, "I": identify,
    "+CGMI": _named("maker", "+CGMI"), "+GMI": _named("maker", "+GMI"), "+CGMM": _named("model", "+CGMM"),
    "+GMM": _named("model", "+GMM"), "+CGMR": _named("revision", "+CGMR"), "+GMR": _named("revision", "+GMR"),
    "+CGSN": imei, "+GSN": imei, "+CMEE=": cmee, "+CMEE?": cmee_read, "+IPR=": ipr, "+IPR?": ipr_read,
    "+CFUN=": cfun, "+CFUN?": cfun_read,
    "+CPIN?": cpin_read, "+CPIN=": cpin, "+CLCK=": clck, "+CPINR": cpinr, "+CIMI": cimi, "+CNUM": cnum,
    "+CSQ": csq, "+CESQ": cesq, "+COPS?": cops_read, "+COPS=": cops, "+COPS=?": cops_test,
    "+CGATT?": cgatt_read, "+CGATT=": cgatt, "+CGDCONT=": cgdcont, "+CGDCONT?": cgdcont_read,
    "+CGACT=": cgact, "+CGACT?": cgact_read, "+CGPADDR": cgpaddr, "+CGPADDR=": cgpaddr,
    "+CCLK?": cclk_read, "+CCLK=": cclk,
    **_pair("+CTZU", kept("+CTZU")), **_pair("+CTZR", kept("+CTZR")), **_pair("+CGAUTH", kept("+CGAUTH", "1,0")),
    **_pair("+IFC", kept("+IFC", "0,0")), **_pair("+CGEREP", kept("+CGEREP", "0,0")), **_pair("+ICF", kept("+ICF", "3,3")),
    **{key: handler for name in REPORTS for key, handler in _pair(name, report(name)).items()},
    **modem_sms.COMMANDS,
}  # fmt: skip
