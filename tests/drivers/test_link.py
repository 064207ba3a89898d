"""What only the real thing can show: TLS, names, addresses that swallow everything, resets, no thread left."""

import os
import random
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import pytest

from drivers.link import TcpLink
from firmware.events import LINK_DATA, LINK_DOWN, LINK_UP
from tests.toys import Inbox, of, until


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def link(inbox):
    link = TcpLink(inbox.post, {"send_ms": 300})
    yield link
    link.close()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("link-")])


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


def place(listener, **more):
    where = {"address": "127.0.0.1", "port": listener.getsockname()[1], "tls": False, "authority": "", "connect_ms": 5_000}
    return {**where, **more}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """(folder with key.pem and cert.pem for localhost, the certificate as PEM)."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=kaifu test", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder, (folder / "cert.pem").read_text()


@pytest.fixture
def tls_host(listener, authority):
    """Serves one TLS connection: echoes, and ends in good order on "bye"."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority[0] / "cert.pem", authority[0] / "key.pem")

    def serve():
        client, _ = listener.accept()
        client.settimeout(10)
        try:
            with context.wrap_socket(client, server_side=True) as secure:
                while data := secure.recv(65_536):
                    if data == b"bye":
                        secure.unwrap()
                        return
                    secure.sendall(data)
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener
    listener.close()
    thread.join(10)


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1"])
def test_tls_carries_bytes_when_certificate_and_name_are_right(link, inbox, tls_host, authority, address):
    link.connect(1, place(tls_host, tls=True, authority=authority[1], address=address))
    assert inbox.wait(of(1)) == (LINK_UP, 1, None)
    big = random.Random(3).randbytes(300_000)
    link.send(1, big)
    data = b""
    while len(data) < len(big):
        data += inbox.wait(of(1, LINK_DATA)).value
    assert data == big
    link.send(1, b"bye")
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "closed")


def test_tls_refuses_a_certificate_of_an_unknown_authority(link, inbox, tls_host):
    link.connect(1, place(tls_host, tls=True, address="localhost"))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "tls")


def test_tls_refuses_a_certificate_for_another_name(link, inbox, tls_host, authority):
    with socket.create_server(("127.0.0.3", 0)) as other:
        relay = threading.Thread(target=_relay, args=(other, tls_host.getsockname()), daemon=True)
        relay.start()
        link.connect(1, place(other, tls=True, authority=authority[1], address="127.0.0.3"))
        assert inbox.wait(of(1)) == (LINK_DOWN, 1, "tls")
        relay.join(10)


def _relay(listener, there):
    listener.settimeout(10)
    with listener.accept()[0] as one, socket.create_connection(there) as two:
        while True:
            for ready in select.select([one, two], [], [], 10)[0]:
                try:
                    data = ready.recv(65_536)
                except OSError:
                    return
                if not data:
                    return
                (two if ready is one else one).sendall(data)


@pytest.mark.parametrize(
    "authority_text", ["no PEM at all", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "证书"]
)
def test_an_authority_that_is_no_certificate_is_a_tls_problem(link, inbox, listener, authority_text):
    link.connect(1, place(listener, tls=True, authority=authority_text))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "tls")


@pytest.mark.parametrize("seed", range(4))
def test_a_host_that_speaks_no_tls_is_a_tls_problem(link, inbox, listener, authority, seed):
    link.connect(1, place(listener, tls=True, authority=authority[1]))
    client, _ = listener.accept()
    with client:
        client.sendall(random.Random(seed).randbytes(40))
        assert inbox.wait(of(1)) == (LINK_DOWN, 1, "tls")


def test_a_tls_handshake_that_never_ends_is_a_timeout(link, inbox, listener, authority):
    link.connect(1, place(listener, tls=True, authority=authority[1], connect_ms=150))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "timeout")


def test_ssl_is_not_imported_before_it_is_needed():
    code = "import drivers.link, sys; drivers.link.TcpLink(print, {}); sys.exit('ssl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["", "x" * 300, "..", "\0"])
def test_a_name_that_cannot_be_is_a_name_problem(link, inbox, listener, name):
    link.connect(1, place(listener, address=name))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "name")


def test_a_name_that_the_resolver_does_not_know_is_a_name_problem(link, inbox, listener, monkeypatch):
    def nobody_knows(*arguments, **more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody_knows)
    link.connect(1, place(listener, address="no-such-host.example"))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "name")


def test_a_resolver_that_does_not_answer_is_a_timeout(link, inbox, listener, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **more: answer.wait(10) and [])
    link.connect(1, place(listener, address="slow.example", connect_ms=100))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "timeout")
    link.connect(2, place(listener, address="slow.example"))
    link.close(2)
    answer.set()
    until(lambda: "link-name" not in [thread.name for thread in threading.enumerate()])
    assert inbox.rest() == []


@pytest.fixture
def full_listener():
    """A listener whose backlog is full: further connections get no answer, like a host behind a wall."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(8):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        yield listener
        for client in waiting:
            client.close()


def test_a_host_that_never_answers_is_a_timeout_at_the_deadline(link, inbox, full_listener):
    start = time.monotonic()
    link.connect(1, place(full_listener, connect_ms=150))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "timeout")
    assert 0.14 < time.monotonic() - start < 1.5


def test_close_does_not_wait_for_a_connection_in_the_making(link, inbox, full_listener):
    link.connect(1, place(full_listener, connect_ms=60_000))
    until(lambda: any(thread.name == "link-1" for thread in threading.enumerate()))
    start = time.monotonic()
    link.close()
    assert time.monotonic() - start < 1
    assert inbox.rest() == []


def test_a_dead_address_leaves_time_for_the_next(link, inbox, full_listener, listener, monkeypatch):
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each.getsockname()) for each in (full_listener, listener)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **more: rows)
    link.connect(1, place(listener, address="two.example", connect_ms=400))
    assert inbox.wait(of(1)) == (LINK_UP, 1, None)


def test_a_network_without_a_route_is_unreachable(link, inbox, listener):
    link.connect(1, place(listener, address="255.255.255.255"))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "unreachable")


def test_a_reset_is_a_broken_line(link, inbox, listener):
    link.connect(1, place(listener))
    inbox.wait(of(1, LINK_UP))
    client, _ = listener.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "broken")


def test_a_host_that_takes_nothing_breaks_the_line_in_time(link, inbox, listener):
    link.connect(1, place(listener))
    inbox.wait(of(1, LINK_UP))
    client, _ = listener.accept()
    with client:
        link.send(1, bytes(20_000_000))
        assert inbox.wait(of(1)) == (LINK_DOWN, 1, "broken")


def test_nothing_is_posted_once_close_has_returned_even_when_bytes_are_in_hand(inbox, listener):
    link = TcpLink(inbox.post, {}, lambda point: point == "link:receive" and link.close(1))
    link.connect(1, place(listener))
    inbox.wait(of(1, LINK_UP))
    client, _ = listener.accept()
    with client:
        client.sendall(b"too late")
        until(lambda: "link-1" not in [thread.name for thread in threading.enumerate()])
    assert inbox.rest() == []


def test_what_was_sent_before_close_still_leaves(link, inbox, listener):
    link.connect(1, place(listener))
    inbox.wait(of(1, LINK_UP))
    client, _ = listener.accept()
    client.settimeout(10)
    with client:
        link.send(1, b"last words")
        link.close(1)
        data = b""
        while piece := client.recv(100):
            data += piece
    assert data == b"last words"


def test_an_idle_connection_costs_no_time(link, inbox, listener):
    link.connect(1, place(listener))
    inbox.wait(of(1, LINK_UP))
    used = time.process_time()
    select.select([], [], [], 0.2)
    assert time.process_time() - used < 0.02


def test_connections_leave_no_descriptor_behind(link, inbox, listener):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        link.connect(1, place(listener))
        inbox.wait(of(1, LINK_UP))
        listener.accept()[0].close()
        inbox.wait(of(1, LINK_DOWN))
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)
