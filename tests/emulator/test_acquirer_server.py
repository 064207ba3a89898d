"""The acquirer on TCP."""

import random
import select
import socket
import struct

import pytest

from emulator.acquirer import server as servers
from emulator.acquirer.books import Books
from emulator.acquirer.core import Acquirer
from emulator.acquirer.server import Server
from firmware.iso8583 import frame, unionpay

TERMINAL, MERCHANT = "12345678", "898310012345678"
TPDU, HEADER = bytes.fromhex("6000030000"), bytes.fromhex("603100310000")
ECHO = frame.pack(
    TPDU, HEADER, unionpay.codec().pack("0820", {41: TERMINAL, 42: MERCHANT, 60: unionpay.management("000001", "301")})
)
DEADLINE_S = 5


@pytest.fixture
def server():
    books = Books()
    books.add_terminal(TERMINAL, MERCHANT, bytes(range(16)))
    server = Server(Acquirer(books)).start()
    yield server
    server.close()
    books.close()


def dial(server):
    return socket.create_connection(("127.0.0.1", server.port), DEADLINE_S)


def read_frame(plug):
    data = b""
    while len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]:
        more = plug.recv(4096)
        assert more, "closed"
        data += more
    return data


def code(data):
    return unionpay.codec().unpack(data[13:])[1][39]


def hears(plug):
    """What is still to come until the other side has closed, or broken off."""
    data = b""
    try:
        while piece := plug.recv(65_536):
            data += piece
    except ConnectionResetError:
        pass
    return data


@pytest.fixture
def hasty(monkeypatch):
    """The server looks after its lines all the time, and has no patience."""
    for name, seconds in {"LOOK_S": 0.01, "FRAME_S": 0.05, "SEND_S": 0.05}.items():
        monkeypatch.setattr(servers, name, seconds)


def other(server, **options):
    return Server(server.acquirer, **options).start()


def test_a_request_is_answered_and_the_line_stays_up(server):
    with dial(server) as plug:
        for _ in range(3):
            plug.sendall(ECHO)
            assert code(read_frame(plug)) == "00"


def test_a_request_in_pieces_is_answered_once(server):
    with dial(server) as plug:
        for byte in ECHO:
            plug.sendall(bytes((byte,)))
        assert code(read_frame(plug)) == "00"


def test_a_late_answer_keeps_no_other_connection_waiting(server):
    server.acquirer.rules.add("next late 600")
    with dial(server) as slow, dial(server) as quick:
        slow.sendall(ECHO)
        quick.sendall(ECHO)
        # Whichever came first is the late one.
        answered, _, _ = select.select([slow, quick], [], [], DEADLINE_S)
        assert len(answered) == 1 and code(read_frame(answered[0])) == "00"
        assert select.select([slow, quick], [], [], 0)[0] == []


def test_an_answer_comes_after_its_delay(server):
    server.acquirer.latency_ms = 60
    with dial(server) as plug:
        plug.sendall(ECHO)
        plug.settimeout(0.02)
        with pytest.raises(TimeoutError):
            plug.recv(1)
        plug.settimeout(DEADLINE_S)
        assert code(read_frame(plug)) == "00"


def test_a_host_that_cuts_closes_the_line(server):
    server.acquirer.rules.add("next cut-after")
    with dial(server) as plug:
        plug.sendall(ECHO)
        assert plug.recv(100) == b""


def test_half_an_answer_arrives_before_the_line_is_closed(server):
    server.acquirer.rules.add("next half")
    with dial(server) as plug:
        plug.sendall(ECHO)
        data = b""
        while piece := plug.recv(100):
            data += piece
        assert 2 < len(data) < 2 + struct.unpack(">H", data[:2])[0]


def test_nonsense_closes_the_line_and_the_host_goes_on(server):
    with dial(server) as plug:
        plug.sendall(b"GET / HTTP/1.1\r\n\r\n")
        try:
            assert plug.recv(100) == b""
        except ConnectionResetError:
            pass
    with dial(server) as plug:
        plug.sendall(ECHO)
        assert code(read_frame(plug)) == "00"


def test_a_line_that_is_down_refuses_and_breaks_and_comes_back_on_its_port(server):
    port = server.port
    with dial(server) as plug:
        plug.sendall(ECHO)
        read_frame(plug)
        server.down = True
        with pytest.raises(OSError):
            if plug.recv(1) == b"":
                raise OSError("closed")
        with pytest.raises(OSError):
            dial(server)
    server.down = False
    assert server.port == port
    with dial(server) as plug:
        plug.sendall(ECHO)
        assert code(read_frame(plug)) == "00"


def test_a_deaf_host_takes_connections_and_never_answers(server):
    server.deaf = True
    with dial(server) as plug:
        plug.sendall(ECHO)
        plug.settimeout(0.1)
        with pytest.raises(TimeoutError):
            plug.recv(1)


def test_a_port_that_is_taken_is_an_error_and_a_closed_server_is_gone(server):
    with pytest.raises(OSError):
        Server(server.acquirer, server.port)
    server.close()
    with pytest.raises(OSError):
        dial(server)


def test_a_server_that_was_never_started_can_be_closed():
    books = Books()
    Server(Acquirer(books)).close()
    books.close()


def test_messages_that_come_in_one_packet_are_all_answered_in_their_order(server):
    traces = ["%06d" % number for number in range(1, 41)]
    asked = b""
    for trace in traces:
        fields = {11: trace, 41: TERMINAL, 42: MERCHANT, 60: unionpay.management("000001", "002")}
        asked += frame.pack(TPDU, HEADER, unionpay.codec().pack("0820", fields))
    with dial(server) as plug:
        plug.sendall(asked)
        answers, deframer = [], frame.Deframer()
        while len(answers) < len(traces):
            deframer.feed(plug.recv(4096))
            while got := deframer.next():
                answers.append(unionpay.codec().unpack(got.body)[1][11])
        assert answers == traces


def test_who_asks_without_end_and_takes_no_answer_holds_nobody_up_and_is_dropped(hasty, server):
    with dial(server) as greedy, dial(server) as patient:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.settimeout(0.05)
        try:
            while True:
                greedy.sendall(ECHO * 100)
        except (TimeoutError, OSError):
            pass
        for _ in range(3):
            patient.sendall(ECHO)
            assert code(read_frame(patient)) == "00"
        greedy.settimeout(DEADLINE_S)
        hears(greedy)
    assert server.counts.dropped == 1


def test_a_message_that_does_not_come_to_an_end_is_given_up(hasty, server):
    with dial(server) as plug:
        plug.sendall(ECHO + ECHO[:-1])
        assert code(hears(plug)) == "00"
    assert server.counts.dropped == 1


def test_a_line_on_which_nothing_happens_is_closed_and_one_with_an_answer_to_come_is_not(hasty, server):
    short = other(server, idle_s=0.02)
    try:
        with dial(short) as quiet, dial(short) as waiting:
            server.acquirer.latency_ms = 300
            waiting.sendall(ECHO)
            assert hears(quiet) == b""
            assert code(read_frame(waiting)) == "00"
    finally:
        short.close()


def test_when_there_are_too_many_lines_the_quietest_makes_room(server):
    small = other(server, lines=2)
    try:
        with dial(small) as first, dial(small) as second:
            for plug in (first, second, first):
                plug.sendall(ECHO)
                read_frame(plug)
            with dial(small) as third:
                third.sendall(ECHO)
                assert code(read_frame(third)) == "00"
                assert hears(second) == b""
                first.sendall(ECHO)
                assert code(read_frame(first)) == "00"
    finally:
        small.close()


def test_hundreds_of_terminals_are_answered_at_once(server):
    plugs = [dial(server) for _ in range(300)]
    try:
        for plug in plugs:
            plug.sendall(ECHO)
        assert {code(read_frame(plug)) for plug in plugs} == {"00"}
        assert server.counts.open == len(plugs) and server.counts.messages == len(plugs)
    finally:
        for plug in plugs:
            plug.close()


def test_small_pieces_leave_at_once(server):
    with dial(server) as plug:
        plug.sendall(ECHO)
        read_frame(plug)
        (line,) = server.lines
        assert line.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_goes_wrong_in_the_host_ends_one_line_and_not_the_host(server):
    def full(kind, text):
        raise OSError("the log's disk is full")

    with dial(server) as other_plug:
        other_plug.sendall(ECHO)
        read_frame(other_plug)
        server.acquirer.log = full
        with dial(server) as plug:
            plug.sendall(ECHO)
            assert hears(plug) == b""
        server.acquirer.log = None
        other_plug.sendall(ECHO)
        assert code(read_frame(other_plug)) == "00"


def test_any_bytes_at_all_leave_the_host_as_it_was(server):
    chance = random.Random(4)
    for _ in range(60):
        with dial(server) as plug:
            image = bytearray(ECHO * 2)
            for _ in range(chance.randrange(6)):
                image[chance.randrange(len(image))] = chance.randrange(256)
            plug.sendall(bytes(image[: chance.randrange(1, len(image) + 1)]))
            plug.shutdown(socket.SHUT_WR)
            hears(plug)
    with dial(server) as plug:
        plug.sendall(ECHO)
        assert code(read_frame(plug)) == "00"
