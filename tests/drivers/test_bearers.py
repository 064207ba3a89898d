"""Which bearers are up, in a Linux that is a folder; and that changes are told."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from drivers import bearers
from drivers.bearers import AVOID_MS, FARTHEST, Bearers, Order, modem_row, most_telling, share_ms, wifi_bars
from drivers.loop import Loop
from firmware.events import NETWORK
from firmware.ports import BEARERS, LINK_FAULTS
from tests.net import Folder, ToyModem
from tests.toys import Inbox, until

FAR = ("ethernet", "wifi", "modem")


@pytest.fixture
def linux(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def network(linux):
    """make(only=..., interfaces=...) -> Bearers; what it posts is in make.inbox."""
    loops = []

    def make(only=BEARERS, interfaces=None):
        loops.append(Loop("link"))
        made.append(Bearers(make.inbox.post, loops[-1], linux.system(interfaces), only))
        return made[-1]

    made = []
    make.inbox = Inbox()
    yield make
    for loop, one in zip(loops, made, strict=True):
        loop.call(one.close)
        loop.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "link"]


def rows(linux, **more):
    return [tuple(one)[1:5] for one in linux.system(**more).read()]


def test_a_machine_without_interfaces_has_no_bearer(linux, tmp_path):
    linux.set("lo", "unknown", "127.0.0.1", carrier="1")
    assert rows(linux) == []
    assert bearers.System(root=str(tmp_path / "nothing here")).read() == []


@pytest.mark.parametrize(
    ("name", "bearer"),
    [
        ("eth0", "ethernet"), ("enp1s0", "ethernet"), ("end0", "ethernet"), ("wlan0", "wifi"), ("wlp2s0", "wifi"),
        ("wwan0", "modem"), ("wwp0s20u4", "modem"), ("ppp0", "modem"), ("usb0", "modem"),
    ],
)  # fmt: skip
def test_an_interface_is_known_by_its_name(linux, name, bearer):
    linux.set(name, "up", "10.0.0.2")
    assert rows(linux) == [(bearer, "up", None, "10.0.0.2")]


def test_what_its_driver_says_counts_more_than_its_name_and_the_board_most(linux):
    linux.set("enx020000000001", "up", "10.0.0.2", uevent="INTERFACE=enx020000000001\nDEVTYPE=wwan\nIFINDEX=7")
    assert rows(linux) == [("modem", "up", None, "10.0.0.2")]
    assert rows(linux, interfaces={"enx020000000001": "wifi"}) == [("wifi", "up", None, "10.0.0.2")]
    for other in ("DEVTYPE=vlan", "MODALIAS=wwan", "DEVTYPE="):
        linux.set("eth0", "up", "10.0.0.2", uevent=other)
        assert [row for row in rows(linux) if row[0] == "ethernet"] == [("ethernet", "up", None, "10.0.0.2")], other


def test_what_is_no_wire_of_ours_is_no_bearer_unless_it_leads_out(linux):
    for name in ("docker0", "veth12", "ifb0", "br0"):
        linux.set(name, "up", "172.17.0.1")
    assert rows(linux) == []
    linux.set("br0", "up", "192.168.1.9", metric=0)
    assert rows(linux) == [("ethernet", "up", None, "192.168.1.9")]


@pytest.mark.parametrize(
    ("state", "carrier", "address", "said"),
    [
        ("down", "0", "", "down"),
        ("lowerlayerdown", "0", "10.0.0.2", "down"),
        ("notpresent", "0", "", "down"),
        ("up", "1", "", "starting"),
        ("up", "1", "169.254.7.7", "starting"),
        ("dormant", "1", "10.0.0.2", "starting"),
        ("up", "1", "10.0.0.2", "up"),
        ("unknown", "1", "10.0.0.2", "up"),
        ("unknown", "0", "10.0.0.2", "down"),
        ("", "", "", "down"),
    ],
)
def test_a_bearer_is_up_when_its_line_is_there_and_it_has_an_address(linux, state, carrier, address, said):
    linux.set("eth0", state, address, carrier=carrier)
    assert rows(linux)[0][1] == said


def test_an_address_of_the_new_kind_will_do(linux):
    linux.set("eth0", "up")
    linux.proc("if_inet6", "fe800000000000000000000000000001 02 40 20 80     eth0\n")
    assert rows(linux) == [("ethernet", "starting", None, "")]
    linux.proc("if_inet6", "20010db8000000000000000000000009 02 40 00 80     eth0\n")
    assert rows(linux) == [("ethernet", "up", None, "2001:db8::9")]


def test_of_two_interfaces_the_one_that_is_up_counts_then_the_one_that_leads_out_best(linux):
    linux.set("eth0", "down")
    linux.set("eth1", "up", "10.0.1.2")
    assert linux.system().read()[0].name == "eth1"
    linux.set("eth2", "up", "10.0.2.2", metric=300)
    linux.set("eth3", "up", "10.0.3.2", metric=100)
    assert linux.system().read()[0].name == "eth3"


@pytest.mark.parametrize(
    ("quality", "level", "bars"),
    [
        (70, -55, 4), (54, -56, 3), (45, -65, 3), (40, -66, 2), (40, -75, 2), (30, -76, 1), (20, -85, 1), (5, -86, 0), (70, 0, 4),
        (35, 100, 2), (0, 0, 0), (900, 9, 4),
    ],
)  # fmt: skip
def test_the_signal_of_wifi_is_told_in_bars(quality, level, bars):
    assert wifi_bars(quality, level) == bars


def test_the_signal_belongs_to_its_interface_and_to_wifi_alone(linux):
    linux.set("wlan0", "up", "10.0.0.3")
    linux.set("eth0", "up", "10.0.0.2")
    linux.signal(-56)
    assert rows(linux) == [("ethernet", "up", None, "10.0.0.2"), ("wifi", "up", 3, "10.0.0.3")]
    linux.signal(-56, "wlan1")
    assert rows(linux)[1] == ("wifi", "up", None, "10.0.0.3")


def test_files_that_say_nonsense_harm_nobody(linux):
    linux.set("eth0", "up", "10.0.0.2", uevent="\0\xff=DEVTYPE==")
    for name in ("route", "ipv6_route", "if_inet6", "wireless"):
        lines = (
            "one",
            "two",
            "eth0 00000000 x x x x nonsense 00000000",
            "zz 02 40 00 80 eth0",
            "z" * 32 + " 1 1 00 1 eth0",
            "eth0: a b",
        )
        linux.proc(name, "\n".join(lines))
    assert rows(linux) == [("ethernet", "up", None, "10.0.0.2")]


# The modem.


@pytest.mark.parametrize(
    ("state", "registered", "said"),
    [
        ("ready", "home", "up"), ("ready", "roaming", "up"), ("ready", "searching", "starting"), ("starting", "home", "starting"),
        ("failed", "off", "failed"), ("gone", "home", "failed"),
    ],
)  # fmt: skip
def test_a_modem_is_up_when_it_is_registered(state, registered, said):
    modem = ToyModem()
    modem.state, modem.registered = state, registered
    assert modem_row(modem) == {"name": "modem", "state": said, "bars": 3, "address": "10.64.0.20"}


def test_a_modem_that_is_left_to_the_kernel_carries_by_its_interface_alone(linux, network):
    one = network()
    one.attach(ToyModem(), "kernel", "eth7")
    assert one.rows() == [{"name": "modem", "state": "starting", "bars": 3, "address": ""}]
    assert one.choose(FAR, False) == []
    linux.set("eth7", "up", "192.168.225.20")
    assert one.choose(FAR, False) == [("modem", "")]
    assert one.rows() == [{"name": "modem", "state": "up", "bars": 3, "address": "192.168.225.20"}]
    linux.set("eth7", "down")
    assert one.choose(FAR, False) == []
    assert one.rows()[0]["state"] == "down"


def test_the_kernels_interface_of_a_modem_goes_before_its_sockets_and_shows_its_signal(linux, network):
    one = network()
    one.attach(ToyModem())
    linux.set("usb0", "up", "192.168.225.20")
    assert one.rows() == [{"name": "modem", "state": "up", "bars": 3, "address": "192.168.225.20"}]
    assert one.choose(FAR, False) == [("modem", "")]
    linux.set("usb0", "down")
    assert one.choose(FAR, False) == [("modem", None)]
    assert one.rows() == [{"name": "modem", "state": "up", "bars": 3, "address": "10.64.0.20"}]


# Which are tried.


def test_those_that_are_up_are_tried_in_the_order_that_was_asked_for(linux, network):
    one = network()
    assert one.choose(FAR, False) == []
    linux.set("eth0", "up", "10.0.0.2", metric=100)
    assert one.choose(FAR, False) == [("ethernet", "")]
    linux.set("wlan0", "up", "10.0.1.2", metric=600)
    one.attach(ToyModem())
    assert one.choose(FAR, False) == [("ethernet", "eth0"), ("wifi", "wlan0"), ("modem", None)]
    assert one.choose(("modem", "wifi"), False) == [("modem", None), ("wifi", "wlan0")]
    one.modem.registered = "searching"
    linux.set("eth0", "down")
    assert one.choose(FAR, False) == [("wifi", "")]


def test_this_machine_itself_is_reached_whatever_is_plugged_in(linux, network):
    assert network().choose(FAR, True) == [("ethernet", "")]
    assert network().choose(("wifi",), True) == []


def test_a_board_may_leave_bearers_out(linux, network):
    linux.set("eth0", "up", "10.0.0.2")
    linux.set("wlan0", "up", "10.0.1.2")
    one = network(only=("modem",))
    one.attach(ToyModem())
    assert [row["name"] for row in one.rows()] == ["modem"]
    assert one.choose(FAR, False) == one.choose(FAR, True) == [("modem", None)]
    assert network(only=("wifi",)).choose(FAR, False) == [("wifi", "")]


def test_what_failed_lately_is_tried_last_for_a_while():
    order = Order()
    order.failed("ethernet", "timeout", 1_000)
    assert order.sort(FAR, 1_001) == ["wifi", "modem", "ethernet"]
    assert order.sort(("ethernet",), 1_001) == ["ethernet"]
    order.failed("wifi", "unreachable", 2_000)
    assert order.sort(FAR, 2_001) == ["modem", "ethernet", "wifi"]
    assert order.sort(FAR, 1_000 + AVOID_MS["timeout"]) == ["ethernet", "modem", "wifi"]
    order.forgive("wifi")
    assert order.sort(FAR, 2_001) == ["wifi", "modem", "ethernet"]


def test_a_host_that_refuses_is_no_fault_of_the_bearer():
    order = Order()
    for why in ("refused", "tls-expired", "closed"):
        order.failed("ethernet", why, 0)
    assert order.sort(FAR, 1) == list(FAR)


def test_a_bearer_that_comes_up_anew_is_forgiven(linux, network):
    one = network()
    linux.set("eth0", "up", "10.0.0.2")
    linux.set("wlan0", "up", "10.0.1.2")
    one.choose(FAR, False)
    one.failed("ethernet", "timeout")
    assert [bearer for bearer, _ in one.choose(FAR, False)] == ["wifi", "ethernet"]
    linux.set("eth0", "down")
    one.choose(FAR, False)
    linux.set("eth0", "up", "10.0.0.2")
    assert [bearer for bearer, _ in one.choose(FAR, False)] == ["ethernet", "wifi"]


def test_the_fault_that_came_farthest_is_told():
    assert sorted(FARTHEST) == sorted(LINK_FAULTS)
    assert set(AVOID_MS) < set(LINK_FAULTS)
    assert most_telling([]) == "no-network"
    assert most_telling(["timeout", "tls-expired", "unreachable"]) == "tls-expired"
    assert most_telling(["name", "no-network"]) == "name"


def test_an_attempt_leaves_time_for_those_that_may_follow():
    left, parts = 10_000, []
    for others in (2, 1, 0):
        parts.append(share_ms(left, others))
        left -= parts[-1]
    assert parts == [5_000, 2_500, 2_500]


# Changes are told.


def told(inbox):
    return [event for event in inbox.rest() if event == (NETWORK, 0, None)]


def test_a_change_is_told_once_and_only_a_change(linux, network):
    one = network()
    linux.set("eth0", "up", "10.0.0.2")
    assert one.rows()[0]["state"] == "up"
    one.choose(FAR, False)
    assert told(network.inbox) == []
    linux.set("eth0", "up", "10.0.0.2", metric=100)  # which nobody sees
    one.choose(FAR, False)
    assert told(network.inbox) == []
    linux.set("eth0", "down")
    one.choose(FAR, False)
    one.choose(FAR, False)
    assert told(network.inbox) == [(NETWORK, 0, None)]
    assert one.rows()[0]["state"] == "down"


def test_a_signal_that_changes_is_noticed_though_nobody_tells(linux, network, monkeypatch):
    monkeypatch.setattr(bearers, "SIGNAL_S", 0.01)
    linux.set("wlan0", "up", "10.0.0.3")
    linux.signal(-50)
    one = network()
    one.start()
    assert one.rows()[0]["bars"] == 4
    linux.signal(-80)
    assert network.inbox.wait(lambda event: event == (NETWORK, 0, None))
    assert one.rows()[0]["bars"] == 1


def test_without_wifi_nobody_looks_again_and_again(linux, network, monkeypatch):
    monkeypatch.setattr(bearers, "SIGNAL_S", 0.0)
    linux.set("eth0", "up", "10.0.0.3")
    one = network()
    looks = []
    system, read = one._system, one._system.read
    monkeypatch.setattr(system, "read", lambda: looks.append(1) or read())
    one.start()
    until(lambda: looks)
    barrier = threading.Event()
    one._loop.call(lambda: one._loop.at(time.monotonic() + 0.02, barrier.set))
    assert barrier.wait(10)
    assert len(looks) == 1


# In a network of its own, where it may: the loopback's switch is what the kernel tells of.
PROGRAM = """
import fcntl, socket, struct, sys
from pathlib import Path
from drivers.link import TcpLink
from firmware.events import NETWORK
from tests.net import Folder
from tests.toys import Inbox, until
linux, inbox = Folder(Path(sys.argv[1])), Inbox()
link = TcpLink(inbox.post, {}, system=linux.system())
link.start()
until(lambda: link.network._seen is not None and link.network._netlink is not None)
assert link.bearers() == []
linux.set("eth0", "up", "10.0.0.2")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    fcntl.ioctl(one, 0x8914, struct.pack("16sh14s", b"lo", 1, b""))  # SIOCSIFFLAGS, IFF_UP
inbox.wait(lambda event: event == (NETWORK, 0, None))
assert link.bearers() == [{"name": "ethernet", "state": "up", "bars": None, "address": "10.0.0.2"}]
link.close()
"""


def test_what_the_kernel_tells_is_a_change(tmp_path):
    own = ["unshare", "--user", "--map-root-user", "--net"]
    try:
        may = subprocess.run([*own, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        may = False
    if not may:
        pytest.skip("this machine gives nobody a network of his own")
    words = [*own, sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
