import socket
import threading

import pytest

from drivers.link import TcpLink
from emulator.standins.link import StandIn, framed
from firmware.events import LINK_DATA, LINK_DOWN, LINK_STEP, LINK_UP, NETWORK
from firmware.ports import BEARERS
from tests.net import Folder, ToyModem
from tests.toys import Inbox, World, of


class Server(threading.Thread):
    """A host on loopback out of `open() -> receive`; a thread a connection."""

    def __init__(self, open_conversation):
        super().__init__(daemon=True)
        self.open_conversation = open_conversation
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        receive = self.open_conversation()
        with client:
            while True:
                try:
                    data = client.recv(65_536)
                except OSError:
                    return
                if not data:
                    return
                for _, answer in receive(data):
                    if answer is None:
                        return
                    client.sendall(answer)

    def close(self):
        self.listener.close()


WHERE = {"tls": False, "authority": "", "connect_ms": 5_000}
FAR = "host.example"  # a name, to which a bearer must lead


class DriverRig:
    """The driver in a Linux that is a folder; FAR is 127.0.0.1 by the system's resolver and by the modem."""

    def __init__(self, folder, monkeypatch):
        self.points = []
        self.inbox = Inbox()
        self.linux = Folder(folder)
        self.modem = ToyModem()
        self.modem.hosts[FAR] = "127.0.0.1"
        for bearer in BEARERS:
            self.switch(bearer, True)
        self.port = TcpLink(self.inbox.post, {}, self.points.append, self.linux.system())
        self.port.attach_modem(self.modem)
        self.servers = []
        self.wait = self.inbox.wait
        self.knows = True
        monkeypatch.setattr(socket, "getaddrinfo", self.look_up)

    def look_up(self, address, port, **more):
        if address != FAR or not self.knows:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def host(self, open_conversation, **more):
        server = Server(open_conversation)
        self.servers.append(server)
        return {"address": "127.0.0.1", "port": server.port, **WHERE, **more}

    def nobody(self, **more):
        """An address where nobody listens."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        return {"address": "127.0.0.1", "port": port, **WHERE, **more}

    def switch(self, bearer, up):
        if bearer == "modem":
            self.modem.registered = "home" if up else "searching"
        else:
            name = {"ethernet": "eth0", "wifi": "wlan0"}[bearer]
            self.linux.set(name, "up" if up else "down", "10.0.0.2" if up else "")

    def system_fails(self, fails):
        """Ethernet and Wi-Fi are up, but the host's name is not to be had."""
        self.knows = not fails

    def quiet(self):
        """Whether nothing more has come after everything had time to."""
        barrier = self.host(lambda: lambda data: [(0, data)])
        self.port.connect(999, barrier)
        self.wait(of(999, LINK_UP))
        self.port.send(999, b"barrier")
        self.wait(of(999, LINK_DATA))
        self.port.close(999)
        return not self.inbox.rest()

    def close(self):
        self.port.close()
        self.modem.close()
        for server in self.servers:
            server.close()


class StandInRig:
    def __init__(self, folder, monkeypatch):
        self.points = []
        self.world = World()
        self.port = StandIn(self.world, self.points.append)
        self.wait = self.world.wait

    def host(self, open_conversation, **more):
        port = 1 + len(self.port.hosts)
        where = {"address": "10.1.1.1", "port": port, **WHERE, **more}
        self.port.hosts[where["address"], port] = open_conversation
        return where

    def nobody(self, **more):
        return {**self.host(lambda: None, **more), "port": 60_000}

    def switch(self, bearer, up):
        self.port.bearer_up[bearer] = up

    def system_fails(self, fails):
        self.port.bearer_fault = {"ethernet": "name", "wifi": "name"} if fails else {}

    def quiet(self):
        self.world.run()
        return not self.world.events

    def close(self):
        self.port.close()


@pytest.fixture(params=[DriverRig, StandInRig], ids=["driver", "stand-in"])
def rig(request, tmp_path, monkeypatch):
    rig = request.param(tmp_path, monkeypatch)
    yield rig
    rig.close()


def echo():
    return lambda data: [(0, data)]


def collect(rig, ticket, length):
    data = b""
    while len(data) < length:
        data += rig.wait(of(ticket)).value
    return data


def test_bytes_go_there_and_back(rig):
    rig.port.connect(5, rig.host(echo))
    assert rig.wait(of(5)) == (LINK_UP, 5, "ethernet")
    rig.port.send(5, b"\x00\xffhello")
    assert collect(rig, 5, 7) == b"\x00\xffhello"
    rig.port.close(5)
    assert rig.quiet()


def test_much_goes_there_and_back(rig):
    big = bytes(range(256)) * 4_000
    rig.port.connect(5, rig.host(echo))
    rig.wait(of(5, LINK_UP))
    rig.port.send(5, big)
    assert collect(rig, 5, len(big)) == big


def test_what_is_sent_in_pieces_arrives_in_order(rig):
    rig.port.connect(5, rig.host(echo))
    rig.wait(of(5, LINK_UP))
    for number in range(100):
        rig.port.send(5, b"%03d" % number)
    assert collect(rig, 5, 300) == b"".join(b"%03d" % number for number in range(100))


def test_a_host_that_speaks_before_it_closes_is_heard_to_the_end(rig):
    rig.port.connect(5, rig.host(lambda: lambda data: [(0, b"goodbye"), (0, None)]))
    rig.wait(of(5, LINK_UP))
    rig.port.send(5, b"hello")
    assert collect(rig, 5, 7) == b"goodbye"
    assert rig.wait(of(5)) == (LINK_DOWN, 5, "closed")
    assert rig.quiet()


def test_where_nobody_listens_the_connection_is_refused(rig):
    rig.port.connect(5, rig.nobody())
    assert rig.wait(of(5)) == (LINK_DOWN, 5, "refused")
    assert rig.quiet()


def test_two_connections_do_not_mix(rig):
    where = rig.host(echo)
    rig.port.connect(1, where)
    rig.wait(of(1, LINK_UP))
    rig.port.connect(2, where)
    rig.wait(of(2, LINK_UP))
    rig.port.send(1, b"one")
    assert collect(rig, 1, 3) == b"one"
    rig.port.close(1)
    rig.port.send(2, b"two")
    assert collect(rig, 2, 3) == b"two"


def test_after_close_nothing_comes(rig):
    where = rig.host(echo)
    rig.port.connect(1, where)
    rig.port.close(1)
    rig.port.connect(2, where)
    rig.wait(of(2, LINK_UP))
    rig.port.send(2, b"late")
    rig.port.close(2)
    assert rig.quiet()


def test_a_ticket_that_is_down_ignores_send_and_close(rig):
    rig.port.connect(5, rig.nobody())
    rig.wait(of(5, LINK_DOWN))
    rig.port.send(5, b"nobody hears")
    rig.port.close(5)
    rig.port.close(12_345)
    assert rig.quiet()


def test_a_ticket_can_be_used_again_after_its_end(rig):
    rig.port.connect(5, rig.nobody())
    rig.wait(of(5, LINK_DOWN))
    rig.port.connect(5, rig.host(echo))
    assert rig.wait(of(5)) == (LINK_UP, 5, "ethernet")


def test_the_named_points_are_reached_in_order(rig):
    rig.port.connect(5, rig.host(echo))
    rig.wait(of(5, LINK_UP))
    rig.port.send(5, b"ping")
    rig.wait(of(5, LINK_DATA))
    assert rig.points == ["link:connect", "link:send", "link:sent", "link:receive"]


def test_a_ticket_that_is_open_is_not_connected_again(rig):
    where = rig.host(echo)
    rig.port.connect(5, where)
    with pytest.raises(ValueError, match="ticket 5"):
        rig.port.connect(5, where)


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 0}, {"port": 65_536}, {"port": "80"}, {"connect_ms": 0}, {"tls": 1}, {"address": None}, {"authority": None},
        {"bearers": "modem"}, {"bearers": ("pigeon",)}, {"steps": 1},
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_is_the_callers_mistake(rig, wrong):
    with pytest.raises(ValueError, match="link: "):
        rig.port.connect(5, {**rig.host(echo), **wrong})


# Bearers.


@pytest.mark.parametrize("first", BEARERS)
def test_the_first_bearer_that_is_up_carries_the_connection(rig, first):
    for bearer in BEARERS[: BEARERS.index(first)]:
        rig.switch(bearer, False)
    rig.port.connect(5, rig.host(echo, address=FAR))
    assert rig.wait(of(5)) == (LINK_UP, 5, first)
    rig.port.send(5, b"hello")
    assert collect(rig, 5, 5) == b"hello"


def test_the_order_is_the_callers(rig):
    rig.port.connect(5, rig.host(echo, address=FAR, bearers=["modem", "ethernet"]))
    assert rig.wait(of(5)) == (LINK_UP, 5, "modem")
    rig.switch("modem", False)
    rig.port.connect(6, rig.host(echo, address=FAR, bearers=("modem", "wifi")))
    assert rig.wait(of(6)) == (LINK_UP, 6, "wifi")


def test_where_no_bearer_is_up_there_is_no_network(rig):
    for bearer in BEARERS:
        rig.switch(bearer, False)
    rig.port.connect(5, rig.host(echo, address=FAR))
    assert rig.wait(of(5)) == (LINK_DOWN, 5, "no-network")
    rig.switch("ethernet", True)
    rig.port.connect(5, rig.host(echo, address=FAR, bearers=("modem", "wifi")))
    assert rig.wait(of(5)) == (LINK_DOWN, 5, "no-network")


def test_a_bearer_that_fails_lets_the_next_one_try_and_comes_last_the_next_time(rig):
    rig.system_fails(True)
    rig.port.connect(5, rig.host(echo, address=FAR))
    assert rig.wait(of(5)) == (LINK_UP, 5, "modem")
    rig.system_fails(False)
    rig.port.connect(6, rig.host(echo, address=FAR))
    assert rig.wait(of(6)) == (LINK_UP, 6, "modem")
    rig.port.connect(7, rig.host(echo, address=FAR, bearers=("ethernet", "wifi")))
    assert rig.wait(of(7)) == (LINK_UP, 7, "ethernet")  # the only ones: they are tried all the same
    rig.port.connect(8, rig.host(echo, address=FAR))
    assert rig.wait(of(8)) == (LINK_UP, 8, "ethernet")  # and it did well


def test_when_all_bearers_fail_the_fault_that_came_farthest_is_told(rig):
    rig.system_fails(True)
    rig.port.connect(5, rig.nobody(address=FAR))
    assert rig.wait(of(5)) == (LINK_DOWN, 5, "refused")
    rig.port.connect(5, rig.nobody(address=FAR, bearers=("ethernet", "wifi")))
    assert rig.wait(of(5)) == (LINK_DOWN, 5, "name")
    assert rig.quiet()


def test_the_steps_of_each_attempt_are_told_to_who_asks(rig):
    rig.system_fails(True)
    rig.port.connect(5, rig.host(echo, address=FAR, bearers=("wifi", "modem"), steps=True))
    steps = []
    while True:
        event = rig.wait(of(5))
        if event.name != LINK_STEP:
            break
        step, ms = event.value
        assert type(ms) is int
        steps.append(step)
    assert event == (LINK_UP, 5, "modem")
    assert steps == ["bearer", "bearer", "name", "tcp"]


def test_the_bearers_are_told_in_their_order(rig):
    rig.switch("wifi", False)
    rows = rig.port.bearers()
    assert [row["name"] for row in rows] == list(BEARERS)
    assert all(set(row) == {"name", "state", "bars", "address"} for row in rows)
    assert [row["state"] == "up" for row in rows] == [True, False, True]
    assert [bool(row["address"]) for row in rows] == [True, False, True]
    assert rows[0]["bars"] is None and rows[2]["bars"] in range(5)


def test_a_bearer_that_comes_or_goes_is_told(rig):
    assert rig.port.bearers()[0]["state"] == "up"
    rig.switch("ethernet", False)
    rig.port.connect(5, rig.host(echo, address=FAR))
    rig.wait(of(0, NETWORK))
    assert rig.port.bearers()[0]["state"] == "down"


# The stand-in's faults.


@pytest.fixture
def line():
    """(world, link, booked): ticket 1 is up; the host books each frame and answers "ok" after 100 ms."""
    world = World()
    link = StandIn(world)
    booked = []

    def handle(frame):
        booked.append(frame)
        return [(100, b"\x00\x02ok")]

    link.hosts["host", 1] = framed(handle)
    link.connect(1, {"address": "host", "port": 1, "tls": False, "authority": "", "connect_ms": 1_000})
    world.wait(of(1, LINK_UP))
    return world, link, booked


FRAME = b"\x00\x03abc"


def seen(world):
    world.run()
    return [(event.name, event.value) for event in world.events]


def test_framed_puts_split_frames_together_and_takes_merged_ones_apart(line):
    world, link, booked = line
    link.send(1, FRAME[:1])
    link.send(1, FRAME[1:] + FRAME + b"\x00")
    link.send(1, b"\x00")
    assert seen(world) == [(LINK_DATA, b"\x00\x02ok")] * 3
    assert booked == [FRAME, FRAME, b"\x00\x00"]


@pytest.mark.parametrize(
    ("fault", "heard", "books"),
    [
        ({"deaf": True}, [], 0),
        ({"silent": True}, [], 1),
        ({"cut": "before"}, [(LINK_DOWN, "broken")], 0),
        ({"cut": "after"}, [(LINK_DOWN, "broken")], 1),
        ({"split": 3}, [(LINK_DATA, b"\x00\x02o"), (LINK_DATA, b"k")], 1),
    ],
)
def test_a_fault_decides_what_is_booked_and_what_is_heard(line, fault, heard, books):
    world, link, booked = line
    for name, value in fault.items():
        setattr(link, name, value)
    link.send(1, FRAME)
    assert seen(world) == heard
    assert len(booked) == books


def test_answers_can_be_late_and_merged(line):
    world, link, _ = line
    link.late_ms, link.merged = 30_000, True
    link.send(1, FRAME + FRAME)
    before = world.now_ms()
    assert world.wait(of(1)) == (LINK_DATA, 1, b"\x00\x02ok\x00\x02ok")
    assert world.now_ms() - before >= 30_100


def test_a_line_that_is_down_refuses_and_drops(line):
    world, link, _ = line
    link.drop()
    link.down = "timeout"
    link.connect(2, {"address": "host", "port": 1, "tls": False, "authority": "", "connect_ms": 700})
    assert seen(world) == [(LINK_DOWN, "broken"), (LINK_DOWN, "timeout")]


def test_an_unknown_host_is_unreachable(line):
    world, link, _ = line
    link.connect(2, {"address": "elsewhere", "port": 1, "tls": False, "authority": "", "connect_ms": 700})
    assert seen(world) == [(LINK_DOWN, "unreachable")]


def test_a_switch_breaks_what_its_bearer_carries_and_nothing_else(line):
    world, link, _ = line
    place = {"address": "host", "port": 1, "tls": False, "authority": "", "connect_ms": 1_000}
    link.connect(2, {**place, "bearers": ("modem",)})
    assert world.wait(of(2)) == (LINK_UP, 2, "modem")
    link.bearer_up["modem"] = False
    link.bearer_up["modem"] = False
    link.bars["wifi"] = 1
    assert [tuple(event) for event in world.events] == [(LINK_DOWN, 2, "broken"), (NETWORK, 0, None), (NETWORK, 0, None)]
    assert [row["bars"] for row in link.bearers()] == [None, 1, 4]
    with pytest.raises(KeyError):
        link.bearer_up["pigeon"] = True
