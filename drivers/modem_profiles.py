"""What the makers of modems do differently, as tables. `modem.py` and `modem_sockets.py` know no maker.

A family is a way to have sockets on the modem; a profile is a module of that family with its sizes and its commands for
things around. A step is a command with its limit; {apn}, {id}, {host}, {port}, {n} are filled in:

    Step(text, seconds, answer, success, failure, late, lenient, settle_s)

as in `drivers.at.Command`; lenient: an error is no matter; settle_s: listen for so long after it, because some firmware
says "OK" behind what ends the command.

    family      attach and detach     open answers                    receive
    quectel     QIACT, QIDEACT        URC +QIOPEN: id,error           asked for: QIRD
    simcom      NETOPEN, NETCLOSE     URC +CIPOPEN: id,error          asked for: CIPRXGET=2
    luat        CIICR, CIPSHUT        URC id, CONNECT OK              pushed: +RECEIVE

URCs of a family are [(pattern, kind)], with groups "id", "error", "address" where there are any. Kinds: "opened",
"recv", "closed", "deact" (the context is gone, and all sockets with it), "name" (an address or an error).

Open errors are {number or word: (one of ports.LINK_FAULTS, whose fault)}; whose: "host", "context" (has to be built
again) or "socket" (the modem's own trouble with this socket).

Sources: reference/hardware.md 5.1, 5.2, 5.5; Quectel EC2x TCP/IP application note; SIMCom SIM7500/7600 AT manual; Luat AT
manual. Not tried on a real modem.
"""

from collections import namedtuple
from typing import NamedTuple

from drivers.at import Command


class Step(NamedTuple):
    """A command; see the module."""

    text: str
    seconds: float = 5.0
    answer: "str | None" = None
    success: str = "OK"
    failure: "str | None" = None
    late: bool = False
    lenient: bool = False
    settle_s: float = 0.0


Family = namedtuple(
    "Family",
    (
        "attach",  # Steps from a registered modem to a context
        "detach",
        "address",  # Step that tells the context's address: the group "address" of its answer; no answer: no context
        "resolve",  # Step that asks for a name's address; a URC "name" answers
        "open",
        "why",  # Step that tells the error of the last open, where `open` said nothing but ERROR; or None
        "send",  # Step with a prompt; "accepted" of what ends it or answers it, where it tells how many were taken
        "busy",  # pattern of the line that says: not now, the modem's buffer is full; or None
        "read",  # Step that fetches what has come, or None: it is pushed
        "rest",  # the last group of a header of `read`: how many more there are; or it is read until empty
        "counted",
        "urcs",
        "close",
        "errors",
    ),
)

# What ends with the module restarting says so, or not.
BOOT = r"RDY|START|SYSSTART|\*ATREADY.*|(?:NORMAL )?POWER(?:ED)? DOWN|SHUTDOWN"

_IP = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"

QUECTEL = Family(
    attach=(
        Step('AT+QICSGP=1,1,"{apn}","","",0'),
        Step("AT+QIACT=1", 150.0),
    ),
    detach=(Step("AT+QIDEACT=1", 40.0, lenient=True),),
    address=Step("AT+QIACT?", 10.0, r'\+QIACT: ?1,1,\d,"(?P<address>%s)".*' % _IP),
    resolve=Step('AT+QIDNSGIP=1,"{host}"', 10.0),
    open=Step('AT+QIOPEN=1,{id},"TCP","{host}",{port},0,0', 10.0),
    why=Step("AT+QIGETERROR", 5.0, r"\+QIGETERROR: ?(?P<error>\d+).*"),
    send=Step("AT+QISEND={id},{n}", 20.0, None, "SEND OK", "SEND FAIL"),
    busy="SEND FAIL",
    read=Step("AT+QIRD={id},{n}", 5.0, r"\+QIRD: ?\d+.*"),
    rest=False,
    counted=(r"\+QIRD: ?(?P<n>\d+).*",),
    urcs=(
        (r"\+QIOPEN: ?(?P<id>\d+),(?P<error>\d+)", "opened"),
        (r'\+QIURC: ?"recv",(?P<id>\d+).*', "recv"),
        (r'\+QIURC: ?"closed",(?P<id>\d+)', "closed"),
        (r'\+QIURC: ?"pdpdeact",\d+', "deact"),
        (r'\+QIURC: ?"dnsgip","(?P<address>%s)"' % _IP, "name"),
        (r'\+QIURC: ?"dnsgip",(?P<error>[1-9]\d*)', "name"),
    ),
    close=Step("AT+QICLOSE={id}", 10.0, lenient=True),
    errors={
        "551": ("unreachable", "socket"),
        "553": ("unreachable", "socket"),
        "554": ("unreachable", "socket"),
        "561": ("no-network", "context"),
        "563": ("unreachable", "socket"),
        "564": ("name", "host"),
        "565": ("name", "host"),
        "566": ("refused", "host"),
        "567": ("refused", "host"),
        "569": ("timeout", "host"),
        "570": ("no-network", "context"),
        "572": ("no-network", "context"),
        "573": ("no-network", "context"),
    },
)

SIMCOM = Family(
    attach=(
        Step('AT+CGDCONT=1,"IP","{apn}"'),
        Step("AT+CIPRXGET=1"),
        Step("AT+NETOPEN", 120.0, r"\+NETOPEN: ?0", "OK", r"\+NETOPEN: ?[1-9]\d*", late=True),
    ),
    detach=(Step("AT+NETCLOSE", 60.0, r"\+NETCLOSE: ?\d+", "OK", late=True, lenient=True),),
    address=Step("AT+IPADDR", 10.0, r"\+IPADDR: ?(?P<address>%s)" % _IP),
    resolve=Step('AT+CDNSGIP="{host}"', 10.0),
    open=Step('AT+CIPOPEN={id},"TCP","{host}",{port}', 10.0),
    why=None,
    send=Step("AT+CIPSEND={id},{n}", 20.0, r"\+CIPSEND: ?{id},\d+,(?P<accepted>-?\d+)", "OK", late=True),
    busy=None,
    read=Step("AT+CIPRXGET=2,{id},{n}", 5.0, r"\+CIPRXGET: ?2,.*"),
    rest=True,
    counted=(r"\+CIPRXGET: ?2,\d+,(?P<n>\d+),(?P<rest>\d+)",),
    urcs=(
        (r"\+CIPOPEN: ?(?P<id>\d+),(?P<error>\d+)", "opened"),
        (r"\+CIPRXGET: ?1,(?P<id>\d+)", "recv"),
        (r"\+IPCLOSE: ?(?P<id>\d+),\d+", "closed"),
        (r"\+CIPEVENT: ?NETWORK CLOSED.*", "deact"),
        (r'\+CDNSGIP: ?1,"[^"]*","(?P<address>%s)".*' % _IP, "name"),
        (r"\+CDNSGIP: ?0,(?P<error>\d+)", "name"),
    ),
    close=Step("AT+CIPCLOSE={id}", 10.0, r"\+CIPCLOSE: ?{id},\d+", "OK", late=True, lenient=True),
    errors={
        "1": ("no-network", "context"),
        "2": ("no-network", "context"),
        "3": ("unreachable", "host"),
        "5": ("refused", "host"),  # also said of the modem's own trouble
        "6": ("unreachable", "socket"),
        "8": ("unreachable", "socket"),
        "9": ("unreachable", "socket"),
        "10": ("timeout", "host"),
        "11": ("name", "host"),
        "12": ("refused", "host"),
    },
)

LUAT = Family(
    attach=(
        Step("AT+CIPSHUT", 10.0, None, "SHUT OK", lenient=True),
        Step("AT+CIPMUX=1"),
        Step("AT+CIPQSEND=1"),
        Step('AT+CSTT="{apn}","",""'),
        Step("AT+CIICR", 85.0),
    ),
    detach=(Step("AT+CIPSHUT", 10.0, None, "SHUT OK", lenient=True),),
    address=Step("AT+CIFSR", 10.0, None, r"(?P<address>%s)" % _IP, settle_s=0.1),
    resolve=Step('AT+CDNSGIP="{host}"', 10.0),
    open=Step('AT+CIPSTART={id},"TCP","{host}",{port}', 10.0),
    why=None,
    send=Step("AT+CIPSEND={id},{n}", 20.0, None, r"DATA ACCEPT: ?{id},(?P<accepted>\d+)|{id}, ?SEND OK", r"{id}, ?SEND FAIL"),
    busy=None,
    read=None,
    rest=False,
    counted=(r"\+RECEIVE, ?(?P<id>\d+), ?(?P<n>\d+):?",),
    urcs=(
        (r"(?P<id>\d+), ?(?:CONNECT OK|ALREADY CONNECT)", "opened"),
        (r"(?P<id>\d+), ?(?P<error>CONNECT FAIL)", "opened"),
        (r"(?P<id>\d+), ?CLOSED", "closed"),
        (r"\+PDP:? ?DEACT", "deact"),
        (r'\+CDNSGIP: ?1,"[^"]*","(?P<address>%s)".*' % _IP, "name"),
        (r"\+CDNSGIP: ?0,(?P<error>\d+)", "name"),
    ),
    close=Step("AT+CIPCLOSE={id}", 10.0, None, r"(?:{id}, ?)?CLOSE OK", lenient=True),
    errors={"CONNECT FAIL": ("refused", "host")},
)

Profile = namedtuple(
    "Profile",
    (
        "family",
        "sockets",  # at once
        "chunk",  # most bytes of one send
        "read",  # most bytes of one receive
        "iccid",
        "clock",  # Step that tells the network's time, and what it tells: "local" with its zone
        "tries",  # Step that tells how often the SIM's PIN may still be tried: group "tries"; or None
        "cell",  # Step that tells the serving cell where COPS gives no numbers: groups "mcc", "mnc"; or None
        "kernel",  # (Step that tells in its group "mode" what its USB is, the mode to be, the command for it); or None
        "reset_s",  # how long the reset pin is held
        "power_s",  # how long the power key is held: once switches off, once more switches on
        "boot_s",  # from then on until it speaks, at the latest
    ),
)

_LOCAL = r'"(?P<time>\d\d(?:\d\d)?/\d\d?/\d\d?,\d\d:\d\d:\d\d)(?P<zone>[+-]\d\d?)?(?:,\d)?"'
_CCLK = Step("AT+CCLK?", 5.0, r"\+CCLK: ?" + _LOCAL)
_QLTS = Step("AT+QLTS=2", 5.0, r"\+QLTS: ?" + _LOCAL)
_QPINC = Step('AT+QPINC="SC"', 5.0, r'\+QPINC: ?"SC", ?(?P<tries>\d+),.*')
_SPIC = Step("AT+SPIC", 5.0, r"\+SPIC: ?(?P<tries>\d+),.*")
_QENG = Step('AT+QENG="servingcell"', 5.0, r'\+QENG: ?"servingcell","[^"]*","[^"]*","[^"]*",(?P<mcc>\d{3}),(?P<mnc>\d{2,3}),.*')
_CPSI = Step("AT+CPSI?", 5.0, r"\+CPSI: ?[^,]*,[^,]*,(?P<mcc>\d{3})-(?P<mnc>\d{2,3}),.*")
_ECM = (Step('AT+QCFG="usbnet"', 5.0, r'\+QCFG: ?"usbnet",(?P<mode>\d+)'), "1", 'AT+QCFG="usbnet",1')

ICCID = r'(?:\+[A-Z]*ICCID:|\+Q?CCID:)? ?"?(?P<iccid>\d{18,20}[0-9A-Fa-f]?)"?'

_EC2X = Profile(QUECTEL, 11, 1460, 1500, "AT+QCCID", _QLTS, _QPINC, _QENG, _ECM, 0.3, 0.7, 15.0)
_SIM7600 = Profile(SIMCOM, 10, 1460, 1500, "AT+CICCID", _CCLK, _SPIC, _CPSI, None, 0.3, 3.0, 20.0)

PROFILES = {
    "ec20": _EC2X,
    "ec25": _EC2X._replace(sockets=12),
    "sim7600": _SIM7600,
    "a7670": _SIM7600._replace(reset_s=2.5, power_s=3.0),
    "air724": Profile(LUAT, 6, 1460, 1460, "AT+CCID", _CCLK, None, None, None, 0.3, 2.0, 15.0),
}

# The access point of each network of China, by the first digits of the SIM's number, for whoever names none.
ACCESS_POINTS = (
    (("46000", "46002", "46004", "46007", "46008"), "cmnet"),
    (("46001", "46006", "46009"), "3gnet"),
    (("46003", "46005", "46011"), "ctnet"),
    (("46015",), "cbnet"),
)


def command(step: Step, prompt: bool = False, **values: object) -> Command:
    """The step's command with its values filled in. Patterns take {id} alone: braces of theirs are none of ours."""

    def pattern(text):
        return text.replace("{id}", str(values["id"])) if text and "id" in values else text

    text = step.text
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return Command(
        text, pattern(step.answer), success=pattern(step.success), failure=pattern(step.failure), late=step.late, prompt=prompt
    )
