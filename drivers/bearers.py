"""Which bearers there are, which are up, and in which order they are tried.

The system's are read from what Linux tells below /sys and /proc; a netlink socket says when to look again. An
interface belongs to a bearer by what the board says ("interfaces"), else by what its driver says (DEVTYPE), else by
its name (KINDS). What carries a default route under none of these names counts as Ethernet: a bridge or a tunnel is
wired as far as the terminal can know. Of several interfaces of a bearer the best state counts, then the best route.

    state      link of the interface   address
    down       none
    starting   there                   none, or one that the interface gave itself (169.254/16)
    up         there                   one of IPv4 or IPv6

The modem carries by an interface of the system's (ECM, PPP), or by its own sockets, which are up when its driver says
that it is registered; its signal is the driver's either way.

The order is the caller's, but a bearer on which connections failed lately comes last for a while (AVOID_MS): what
failed says for how long. It is forgiven when a connection stands on it, or when its interface comes up anew.

Source: Linux Documentation/networking/operstates.rst and Documentation/ABI/testing/sysfs-class-net; wireless.h (wext).
"""

import errno
import fcntl
import os
import select
import socket
import struct
import time
from collections import namedtuple
from collections.abc import Callable, Iterable

from drivers.loop import Loop
from firmware.events import NETWORK, Event
from firmware.ports import BEARERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WIRED, WIRELESS, MODEM = BEARERS

KINDS = (
    ("wl", WIRELESS),
    ("ww", MODEM),
    ("ppp", MODEM),
    ("usb", MODEM),
    ("eth", WIRED),
    ("en", WIRED),
)  # what its name begins with: wlan0 wlp1s0, wwan0 wwp0s1, ppp0, usb0 (ECM), eth0, end0 enp1s0
DEVTYPES = {"wlan": WIRELESS, "wwan": MODEM}
STATES = ("up", "starting", "down")  # from best to worst
OPERSTATES = {"up": True, "dormant": False}  # is the link there? "unknown" is said by the carrier; all others are down
NO_ROUTE = 1 << 32  # the metric of an interface without a default route

# Signal of Wi-Fi: at least so many dBm are so many bars.
BARS = ((-55, 4), (-65, 3), (-75, 2), (-85, 1))
QUALITY = 70  # what a driver that counts no dBm calls perfect

# A bearer on which this happened is tried last for so long. What the host says of itself is no fault of the bearer.
AVOID_MS = {
    "timeout": 60_000,
    "unreachable": 60_000,
    "name": 60_000,
    "no-network": 30_000,
    "broken": 30_000,
    "tls-unknown": 30_000,  # a hotel's log-in page answers in the host's place
    "tls-name": 30_000,
    "tls": 30_000,
}

# Of several attempts the one that came farthest has the most to tell.
FARTHEST = (
    "no-network", "name", "unreachable", "timeout", "refused", "closed", "broken", "tls", "tls-expired", "tls-unknown",
    "tls-name",
)  # fmt: skip

AGAIN_S = 0.2  # changes come in flocks
SIGNAL_S = 10  # nobody tells when a signal changes
BLIND_S = 5  # without netlink

RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR = 0x01, 0x10, 0x40, 0x100
SIOCGIFADDR = 0x8915

Interface = namedtuple("Interface", ("name", "bearer", "state", "bars", "address", "metric"))


def share_ms(left_ms: int, others: int) -> int:
    """How much of the time that is left an attempt may take when so many others may follow it."""
    return left_ms // 2 if others else left_ms


def most_telling(faults: Iterable[str]) -> str:
    """Of the faults of several attempts the one to tell; "no-network" when there was no attempt."""
    return max(faults, key=FARTHEST.index, default="no-network")


class Order:
    """Remembers what failed lately. Times in milliseconds of any clock that never jumps."""

    def __init__(self) -> None:
        self._avoided: dict[str, int] = {}

    def failed(self, bearer: str, why: str, now_ms: int) -> None:
        if why in AVOID_MS:
            self._avoided[bearer] = now_ms + AVOID_MS[why]

    def forgive(self, bearer: str) -> None:
        self._avoided.pop(bearer, None)

    def sort(self, bearers: Iterable[str], now_ms: int) -> list[str]:
        return sorted(bearers, key=lambda bearer: self._avoided.get(bearer, 0) > now_ms)


def ipv4_of(name: str) -> str:
    """The interface's IPv4 address by the kernel, or ""."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            answer = fcntl.ioctl(one, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


class System:
    """What Linux tells. root: where /sys and /proc are; ipv4: (name) -> address or ""; interfaces: {name: bearer}."""

    def __init__(self, interfaces: dict[str, str] | None = None, root: str = "/", ipv4: Callable[[str], str] = ipv4_of):
        self._named = dict(interfaces or {})
        self._root = root
        self._ipv4 = ipv4

    def name(self, interface: str, bearer: str) -> None:
        """This interface belongs to that bearer, whatever else it says."""
        self._named[interface] = bearer

    def read(self) -> list[Interface]:
        """One a bearer, the best, in the order of ports.BEARERS."""
        metrics, signals, addresses = self._metrics(), self._signals(), self._ipv6()
        found: dict[str, Interface] = {}
        for name in self._list("sys/class/net"):
            bearer = self._bearer(name, name in metrics)
            if bearer is None:
                continue
            address = self._ipv4(name) or addresses.get(name, "")
            bars = signals.get(name) if bearer == WIRELESS else None
            one = Interface(name, bearer, self._state(name, address), bars, address, metrics.get(name, NO_ROUTE))
            if bearer not in found or _rank(one) < _rank(found[bearer]):
                found[bearer] = one
        return [found[bearer] for bearer in BEARERS if bearer in found]

    def _list(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(os.path.join(self._root, path)))
        except OSError:
            return []

    def _text(self, path: str) -> str:
        try:
            with open(os.path.join(self._root, path), encoding="latin-1") as file:
                return file.read()
        except OSError:  # gone since it was listed; a carrier is not told while the interface is off
            return ""

    def _bearer(self, name: str, routed: bool) -> str | None:
        if name == "lo":
            return None
        if name in self._named:
            return self._named[name]
        for line in self._text("sys/class/net/%s/uevent" % name).splitlines():
            key, _, value = line.partition("=")
            if key == "DEVTYPE" and value in DEVTYPES:
                return DEVTYPES[value]
        for start, bearer in KINDS:
            if name.startswith(start):
                return bearer
        return WIRED if routed else None

    def _state(self, name: str, address: str) -> str:
        told = self._text("sys/class/net/%s/operstate" % name).strip()
        if told == "unknown":  # PPP and tunnels do not say
            there = self._text("sys/class/net/%s/carrier" % name).strip() == "1"
        elif told in OPERSTATES:
            there = True
        else:
            return "down"
        if not there:
            return "down"
        return "up" if OPERSTATES.get(told, True) and address and not address.startswith("169.254.") else "starting"

    def _metrics(self) -> dict[str, int]:
        """{interface: metric of its best default route}."""
        found: dict[str, int] = {}
        for line in self._text("proc/net/route").splitlines()[1:]:
            row = line.split()
            if len(row) > 7 and row[1] == row[7] == "00000000" and row[6].isdigit():
                found[row[0]] = min(int(row[6]), found.get(row[0], NO_ROUTE))
        for line in self._text("proc/net/ipv6_route").splitlines():
            row = line.split()
            if len(row) > 9 and row[1] == "00" and row[9] != "lo" and set(row[0]) == {"0"}:
                found.setdefault(row[9], NO_ROUTE - 1)
        return found

    def _ipv6(self) -> dict[str, str]:
        """{interface: its first address that is good beyond it}."""
        found: dict[str, str] = {}
        for line in self._text("proc/net/if_inet6").splitlines():
            row = line.split()
            if len(row) == 6 and row[3] == "00" and len(row[0]) == 32:
                try:
                    found.setdefault(row[5], socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0])))
                except ValueError:
                    continue
        return found

    def _signals(self) -> dict[str, int]:
        """{interface: bars 0..4}."""
        found: dict[str, int] = {}
        for line in self._text("proc/net/wireless").splitlines()[2:]:
            name, _, values = line.partition(":")
            row = values.split()
            try:
                found[name.strip()] = wifi_bars(float(row[1]), float(row[2]))
            except (IndexError, ValueError):
                continue
        return found


def wifi_bars(quality: float, level: float) -> int:
    """0..4 for what /proc/net/wireless tells: the level in dBm where the driver counts dBm (below zero), else the quality."""
    if level < 0:
        return next((bars for least, bars in BARS if level >= least), 0)
    return max(0, min(4, int(quality * 4 // QUALITY)))


def _rank(one: Interface) -> tuple:
    return (STATES.index(one.state), one.metric)


def modem_row(modem: "Any") -> dict:
    """The row of `ports.Link.bearers` for a modem with sockets of its own."""
    status = modem.status()
    state = modem.state
    if state == "ready":
        hopeless = status.get("sim") in ("absent", "pin", "puk") or status["registered"] in ("denied", "off")
        state = "up" if status["registered"] in ("home", "roaming") else "down" if hopeless else "starting"
    elif state == "gone":
        state = "failed"
    return {"name": MODEM, "state": state, "bars": status["bars"], "address": status["address"]}


class Bearers:
    """What there is now, and NETWORK when it changes. only: the bearers that may be used."""

    def __init__(self, post: Callable[[Event], object], loop: Loop, system: System, only: tuple[str, ...] = BEARERS):
        self._post = post
        self._loop = loop
        self._system = system
        self._only = only
        self._seen: list[Interface] | None = None
        self._netlink: socket.socket | None = None
        self._watching = False
        self._due = False  # a look is due because of what netlink told
        self._timed = False  # or because nobody tells
        self.order = Order()
        self._modem: Any = None
        self._by_sockets = False

    def start(self) -> None:
        """Watches from then on."""
        self._loop.call(self._watch)

    def attach(self, modem: "Any", ip: str = "modem", interface: str | None = None) -> None:
        """ip: "modem": by its sockets, "kernel": by an interface of the system's. interface: its name, where no rule knows it."""
        self._modem, self._by_sockets = modem, ip == "modem"
        if interface:
            self._system.name(interface, MODEM)

    @property
    def modem(self) -> "Any":
        """The one that carries by its own sockets."""
        return self._modem

    def close(self) -> None:
        """From the loop's thread."""
        if self._netlink is not None:
            self._loop.unwatch(self._netlink.fileno())
            self._netlink.close()
            self._netlink = None

    def rows(self) -> list[dict]:
        """`ports.Link.bearers`, from any thread."""
        seen = self._seen
        if seen is None:
            seen = self._seen = self._system.read()
        rows = {one.bearer: {"name": one.bearer, "state": one.state, "bars": one.bars, "address": one.address} for one in seen}
        if self._modem is not None:
            row = modem_row(self._modem)
            if MODEM in rows and (rows[MODEM]["state"] == "up" or not self._by_sockets):
                rows[MODEM]["bars"] = row["bars"]
            else:
                if row["state"] == "up" and not self._by_sockets:
                    row.update(state="starting", address="")  # the interface is still to come
                rows[MODEM] = row
        return [rows[bearer] for bearer in BEARERS if bearer in rows and bearer in self._only]

    def choose(self, wanted: Iterable[str], loopback: bool) -> list[tuple[str, str | None]]:
        """Those of `wanted` that are up, in the order to try them: [(bearer, interface to go by, "" for what the routes
        say, None for the modem's own sockets)]. This machine itself is reached as by Ethernet, whatever is plugged in."""
        up = {one.bearer: one.name for one in self._look() if one.state == "up" and one.bearer in self._only}
        many = len(up) > 1
        ways: dict[str, str | None] = {bearer: name if many else "" for bearer, name in up.items()}
        if loopback:
            ways = {WIRED: ""}
        if MODEM not in ways and self._by_sockets and modem_row(self._modem)["state"] == "up":
            ways[MODEM] = None
        usable = [bearer for bearer in wanted if bearer in ways and bearer in self._only]
        return [(bearer, ways[bearer]) for bearer in self.order.sort(usable, _now_ms())]

    def coming(self, wanted: Iterable[str]) -> bool:
        """Whether one of `wanted` may be up soon: it starts, or is a modem that the board has and nobody has attached yet."""
        states = {row["name"]: row["state"] for row in self.rows()}
        if self._modem is None and self._only == (MODEM,):
            states[MODEM] = "starting"
        return any(states.get(bearer) == "starting" for bearer in wanted)

    def failed(self, bearer: str, why: str) -> None:
        self.order.failed(bearer, why, _now_ms())

    def _look(self) -> list[Interface]:
        """Reads anew; NETWORK when it is not as it was."""
        before, seen = self._seen, self._system.read()
        self._seen = seen
        if before is not None and _visible(before) != _visible(seen):
            was = {one.bearer: one.state for one in before}
            for one in seen:
                if one.state == "up" and was.get(one.bearer) != "up":
                    self.order.forgive(one.bearer)
            self._post(Event(NETWORK, 0, None))
        blind = self._netlink is None
        if self._watching and not self._timed and (blind or any(one.bearer == WIRELESS for one in seen)):
            self._timed = True
            self._loop.at(time.monotonic() + (BLIND_S if blind else SIGNAL_S), self._time)
        return seen

    def _watch(self) -> None:
        self._watching = True
        try:
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
            self._netlink.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR))
            self._loop.watch(self._netlink.fileno(), select.POLLIN, lambda ready: self._told())
        except OSError:
            self.close()
        self._look()

    def _told(self) -> None:
        """What the messages say is read from /sys: they are only taken away. ENOBUFS: more than there was room for."""
        assert self._netlink is not None
        while True:
            try:
                self._netlink.recv(65_536)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    break
        if not self._due:
            self._due = True
            self._loop.at(time.monotonic() + AGAIN_S, self._settled)

    def _settled(self) -> None:
        self._due = False
        self._look()

    def _time(self) -> None:
        self._timed = False
        self._look()


def _visible(seen: list[Interface]) -> list[tuple]:
    return [(one.bearer, one.state, one.bars, one.address) for one in seen]


def _now_ms() -> int:
    return int(time.monotonic() * 1000)
