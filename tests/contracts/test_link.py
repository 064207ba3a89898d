import socket
import threading

import pytest

from drivers.link import TcpLink
from emulator.standins.link import StandIn, framed
from firmware.events import LINK_DATA, LINK_DOWN, LINK_UP
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


class DriverRig:
    def __init__(self):
        self.points = []
        self.inbox = Inbox()
        self.port = TcpLink(self.inbox.post, {}, self.points.append)
        self.servers = []
        self.wait = self.inbox.wait

    def host(self, open_conversation):
        server = Server(open_conversation)
        self.servers.append(server)
        return {"address": "127.0.0.1", "port": server.port, "tls": False, "authority": "", "connect_ms": 5_000}

    def nobody(self):
        """An address where nobody listens."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        return {"address": "127.0.0.1", "port": port, "tls": False, "authority": "", "connect_ms": 5_000}

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
        for server in self.servers:
            server.close()


class StandInRig:
    def __init__(self):
        self.points = []
        self.world = World()
        self.port = StandIn(self.world, self.points.append)
        self.wait = self.world.wait

    def host(self, open_conversation):
        port = 1 + len(self.port.hosts)
        self.port.hosts["10.1.1.1", port] = open_conversation
        return {"address": "10.1.1.1", "port": port, "tls": False, "authority": "", "connect_ms": 5_000}

    def nobody(self):
        return {**self.host(lambda: None), "port": 60_000}

    def quiet(self):
        self.world.run()
        return not self.world.events

    def close(self):
        self.port.close()


@pytest.fixture(params=[DriverRig, StandInRig], ids=["driver", "stand-in"])
def rig(request):
    rig = request.param()
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
    assert rig.wait(of(5)) == (LINK_UP, 5, None)
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
    assert rig.wait(of(5)) == (LINK_UP, 5, None)


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
    [{"port": 0}, {"port": 65_536}, {"port": "80"}, {"connect_ms": 0}, {"tls": 1}, {"address": None}, {"authority": None}],
)
def test_a_place_that_cannot_be_is_the_callers_mistake(rig, wrong):
    with pytest.raises(ValueError, match="link: "):
        rig.port.connect(5, {**rig.host(echo), **wrong})


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
