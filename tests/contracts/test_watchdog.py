import os
import socket

import pytest

from drivers.watchdog import SystemdWatchdog
from emulator.standins.watchdog import StandIn
from tests.toys import World


class Supervisor:
    """systemd's side of the socket."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(5)
        self.environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}

    def heard(self):
        return self.socket.recv(4096).decode()


@pytest.fixture(params=["path", "abstract"])
def supervisor(request, tmp_path):
    address = str(tmp_path / "notify") if request.param == "path" else f"@kaifu-test-{os.getpid()}"
    supervisor = Supervisor(address)
    yield supervisor
    supervisor.socket.close()


@pytest.fixture(params=["driver", "stand-in"])
def port(request, tmp_path):
    if request.param == "stand-in":
        yield StandIn(World())
        return
    supervisor = Supervisor(str(tmp_path / "notify"))
    port = SystemdWatchdog(None, {}, supervisor.environ)
    yield port
    port.close()
    supervisor.socket.close()


def test_it_wants_food_twice_in_the_time_that_it_bears(port):
    assert port.interval_ms == 10_000


def test_each_call_returns_nothing_and_raises_nothing(port):
    assert [port.ready(), port.feed(), port.status("menu\nREADY=0"), port.stopping()] == [None] * 4


def test_the_supervisor_hears_each_state(supervisor):
    port = SystemdWatchdog(None, {}, supervisor.environ)
    port.ready()
    port.feed()
    port.status("等待\nSTOPPING=1")
    port.stopping()
    assert [supervisor.heard() for _ in range(4)] == ["READY=1", "WATCHDOG=1", "STATUS=等待 STOPPING=1", "STOPPING=1"]
    port.close()
    port.feed()


@pytest.mark.parametrize(
    ("change", "interval"),
    [({"WATCHDOG_PID": "1"}, 0), ({"WATCHDOG_PID": ""}, 10_000), ({"WATCHDOG_USEC": "soon"}, 0), ({"NOTIFY_SOCKET": ""}, 0)],
)
def test_the_interval_is_for_this_process_and_a_number(supervisor, change, interval):
    port = SystemdWatchdog(None, {}, {**supervisor.environ, **change})
    assert port.interval_ms == interval
    port.close()


def test_without_a_supervisor_nothing_happens():
    port = SystemdWatchdog(None, {}, {})
    port.ready()
    port.feed()
    assert port.interval_ms == 0


def test_a_supervisor_that_is_away_or_does_not_listen_blocks_nothing(tmp_path):
    supervisor = Supervisor(str(tmp_path / "notify"))
    port = SystemdWatchdog(None, {}, supervisor.environ)
    for _ in range(5_000):  # its queue is full long before
        port.feed()
    supervisor.socket.close()
    port.feed()
    port.close()


def test_the_stand_in_strikes_after_twice_the_interval():
    world = World()
    port = StandIn(world, interval_ms=1_000)
    port.ready()
    for pause_ms, struck in ((1_900, False), (2_000, False), (2_001, True)):
        world.later(pause_ms, port.feed)
        world.run()
        assert port.struck() is struck
    assert port.fed == 3
