"""The acquirer on TCP."""

import select
import socket
import struct

import pytest

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
