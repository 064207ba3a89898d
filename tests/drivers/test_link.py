"""What only the real thing can show: TLS, names, addresses that swallow everything, hosts that mean harm, no thread left."""

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

from drivers import link as link_module
from drivers.link import TcpLink
from drivers.tcp import CHUNK
from firmware.events import LINK_DATA, LINK_DOWN, LINK_STEP, LINK_UP
from tests.net import Folder, ToyModem, certificates
from tests.toys import Inbox, of, until


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def linux(tmp_path):
    """A Linux with its Ethernet up."""
    linux = Folder(tmp_path)
    linux.set("eth0", "up", "10.0.0.2", metric=100)
    return linux


@pytest.fixture
def modem():
    modem = ToyModem()
    yield modem
    modem.close()


@pytest.fixture
def link(inbox, linux):
    link = TcpLink(inbox.post, {"send_ms": 300}, system=linux.system())
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
def folder(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def authority(folder):
    """The certificate of the host's authority, as PEM."""
    return (folder / "ours.pem").read_text()


@pytest.fixture
def tls_host(listener, folder, request):
    """Serves one TLS connection with the certificate "good", or that of the parameter: echoes, and ends in good order
    on "bye", without a word on "cut"."""
    shows = getattr(request, "param", "good")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / (shows + ".pem"), folder / (shows + ".key"))

    def serve():
        client, _ = listener.accept()
        client.settimeout(10)
        try:
            with context.wrap_socket(client, server_side=True) as secure:
                while data := secure.recv(65_536):
                    if data == b"bye":
                        secure.unwrap()
                    if data in (b"bye", b"cut"):
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
    link.connect(1, place(tls_host, tls=True, authority=authority, address=address))
    assert inbox.wait(of(1)) == (LINK_UP, 1, "ethernet")
    big = random.Random(3).randbytes(300_000)
    link.send(1, big)
    data = b""
    while len(data) < len(big):
        data += inbox.wait(of(1, LINK_DATA)).value
    assert data == big
    link.send(1, b"bye")
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "closed")


def test_a_tls_stream_that_ends_without_a_goodbye_was_cut(link, inbox, tls_host, authority):
    link.connect(1, place(tls_host, tls=True, authority=authority, address="localhost"))
    inbox.wait(of(1, LINK_UP))
    link.send(1, b"cut")
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "broken")


@pytest.mark.parametrize(
    ("tls_host", "why"),
    [
        ("another authority", "tls-unknown"),
        ("self-made", "tls-unknown"),
        ("another name", "tls-name"),
        ("expired", "tls-expired"),
    ],
    indirect=["tls_host"],
)
@pytest.mark.parametrize("address", ["localhost", "127.0.0.1"])
def test_a_certificate_is_refused_in_a_word_of_its_own(link, inbox, tls_host, authority, address, why):
    link.connect(1, place(tls_host, tls=True, authority=authority, address=address))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, why)


def test_without_an_authority_the_systems_do_not_know_a_host_of_ours(link, inbox, tls_host):
    link.connect(1, place(tls_host, tls=True, address="localhost"))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "tls-unknown")


@pytest.mark.parametrize(
    "authority_text", ["no PEM at all", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "证书"]
)
def test_an_authority_that_is_no_certificate_is_a_tls_problem(link, inbox, listener, authority_text):
    link.connect(1, place(listener, tls=True, authority=authority_text))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "tls")


@pytest.mark.parametrize("seed", range(4))
def test_a_host_that_speaks_no_tls_is_a_tls_problem(link, inbox, listener, authority, seed):
    link.connect(1, place(listener, tls=True, authority=authority))
    client, _ = listener.accept()
    with client:
        client.sendall(random.Random(seed).randbytes(40))
        assert inbox.wait(of(1)) == (LINK_DOWN, 1, "tls")


def test_a_tls_handshake_that_never_ends_is_a_timeout(link, inbox, listener, authority):
    link.connect(1, place(listener, tls=True, authority=authority, connect_ms=150))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "timeout")


def test_ssl_is_not_imported_before_it_is_needed():
    code = "import drivers.link, sys; drivers.link.TcpLink(print, {}).start(); sys.exit('ssl' in sys.modules)"
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
    until(lambda: link._open[1]._handle is not None)
    start = time.monotonic()
    link.close()
    assert time.monotonic() - start < 1
    assert inbox.rest() == []


def test_a_dead_address_leaves_time_for_the_next(link, inbox, full_listener, listener, monkeypatch):
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each.getsockname()) for each in (full_listener, listener)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **more: rows)
    link.connect(1, place(listener, address="two.example", connect_ms=400))
    assert inbox.wait(of(1)) == (LINK_UP, 1, "ethernet")


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
        client.settimeout(10)
        assert client.recv(10) == b""  # it has let go
    assert inbox.rest() == []
    link.close()


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
    for number in range(21):
        link.connect(1, place(listener))
        inbox.wait(of(1, LINK_UP))
        listener.accept()[0].close()
        inbox.wait(of(1, LINK_DOWN))
        if not number:  # the loop's own are there
            before = len(os.listdir("/proc/self/fd"))
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)


# Several bearers. What the resolver says leads the system to one place, the modem knows another.


@pytest.fixture
def far(monkeypatch, listener, modem, link):
    """far(system=...) -> where: the host "host.example", which the modem finds; `system`: what the system's resolver says,
    "right", "wrong" (nobody listens there) or "nothing"."""
    link.attach_modem(modem)
    modem.hosts["host.example"] = "127.0.0.1"

    def make(system="right", **more):
        def look_up(address, port, **words):
            if system == "nothing":
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1" if system == "right" else "127.0.0.9", port))]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return place(listener, address="host.example", **more)

    return make


def test_the_modem_carries_tls_as_the_wire_does(link, inbox, modem, far, tls_host, authority):
    link.connect(1, far(tls=True, authority=authority, bearers=("modem",)))
    assert inbox.wait(of(1)) == (LINK_UP, 1, "modem")
    link.send(1, b"by air")
    assert inbox.wait(of(1)) == (LINK_DATA, 1, b"by air")
    link.send(1, b"bye")
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "closed")


@pytest.mark.parametrize("system", ["wrong", "nothing"])
def test_where_one_bearer_fails_the_next_carries(link, inbox, modem, far, system):
    link.connect(1, far(system))
    assert inbox.wait(of(1)) == (LINK_UP, 1, "modem")


def test_a_bearer_that_swallows_everything_leaves_time_for_the_next(link, inbox, modem, full_listener, listener, monkeypatch):
    link.attach_modem(modem)
    modem.hosts["host.example"] = "127.0.0.1"
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", full_listener.getsockname())]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **more: rows)
    link.connect(1, place(listener, address="host.example", connect_ms=400))
    assert inbox.wait(of(1)) == (LINK_UP, 1, "modem")


def test_a_bearer_on_which_somebody_answers_in_the_hosts_place_does_not_keep_us_from_the_host(
    link, inbox, modem, far, folder, authority, tls_host, monkeypatch
):
    """As a hotel's log-in page does: it speaks for every name, with a certificate of its own."""
    with socket.create_server(("127.0.0.9", tls_host.getsockname()[1])) as portal:
        portal.settimeout(10)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "self-made.pem", folder / "self-made.key")

        def serve():
            try:
                context.wrap_socket(portal.accept()[0], server_side=True)
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        link.connect(1, far("wrong", tls=True, authority=authority))
        assert inbox.wait(of(1)) == (LINK_UP, 1, "modem")
        link.close(1)
        thread.join(10)


def test_of_all_faults_the_one_that_came_farthest_is_told(link, inbox, modem, far, authority, tls_host):
    link.connect(1, far("nothing", tls=True, authority=""))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "tls-unknown")


def test_the_steps_are_told_when_they_are_asked_for(link, inbox, modem, far, authority, tls_host):
    link.connect(1, far("nothing", tls=True, authority=authority, steps=True))
    inbox.wait(of(1, LINK_UP))
    link.close(1)
    link.connect(2, far("right", steps=True))
    steps = []
    while (event := inbox.wait(of(2))).name == LINK_STEP:
        steps.append(event.value[0])
        assert type(event.value[1]) is int and event.value[1] >= 0
    assert event == (LINK_UP, 2, "modem")  # the name failed on Ethernet a moment ago
    assert steps == ["bearer", "name", "tcp"]


def test_the_steps_begin_again_with_the_next_bearer(link, inbox, modem, far, authority, tls_host):
    link.connect(1, far("wrong", tls=True, authority=authority, steps=True))
    steps = []
    while (event := inbox.wait(of(1))).name == LINK_STEP:
        steps.append(event.value[0])
    assert event == (LINK_UP, 1, "modem")
    assert steps == ["bearer", "name", "bearer", "name", "tcp", "tls"]
    link.close(1)


def test_a_board_that_has_only_a_modem_sends_even_what_stays_in_the_machine_by_it(inbox, modem, listener, linux):
    link = TcpLink(inbox.post, {"only": ("modem",)}, system=linux.system())
    link.attach_modem(modem)
    try:
        assert [row["name"] for row in link.bearers()] == ["modem"]
        link.connect(1, place(listener))
        assert inbox.wait(of(1)) == (LINK_UP, 1, "modem")
        modem.registered = "searching"
        link.connect(2, place(listener))
        assert inbox.wait(of(2)) == (LINK_DOWN, 2, "no-network")
    finally:
        link.close()


class LostModem(ToyModem):
    """Takes the order to open a socket and is never heard of again; or fails in some other way."""

    def __init__(self, then):
        super().__init__()
        self.then = then

    def open_socket(self, address, port, timeout_ms, on_event):
        return self.then(on_event)

    def send_socket(self, handle, data):
        pass

    def close_socket(self, handle):
        pass


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (lambda on_event: None, "timeout"),
        (lambda on_event: on_event("down", "no-network"), "no-network"),
        (lambda on_event: on_event("down", "what no driver says"), "broken"),
        (lambda on_event: (on_event("up", None), on_event("down", "broken")), "broken"),
        (lambda on_event: (on_event("down", "timeout"), on_event("up", None), on_event("data", b"ghost")), "timeout"),
        (lambda on_event: (on_event("data", b"?"), on_event("sent", None), on_event("down", "closed")), "closed"),
    ],
)
def test_a_modem_that_fails_in_the_middle_of_anything_is_one_answer(link, inbox, listener, authority, then, why):
    link.attach_modem(LostModem(then))
    link.connect(1, place(listener, bearers=("modem",), connect_ms=100, tls=True, authority=authority))
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, why)
    assert inbox.rest() == []


# Hosts that mean harm.


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_host_that_never_stops_is_not_read_while_nobody_takes_it_and_loses_nothing(link, inbox, listener):
    link.connect(1, place(listener))
    inbox.wait(of(1, LINK_UP))
    client, _ = listener.accept()
    size = 4_000_000
    stream = random.Random(5).randbytes(size)
    threading.Thread(target=client.sendall, args=(stream,), daemon=True).start()
    until(lambda: link._open[1]._held)
    waiting = inbox.rest()  # all that has come, and it is all that comes
    held = sum(len(event.value) for event in waiting)
    assert link_module.MOST_UNTAKEN < held <= link_module.MOST_UNTAKEN + 2 * CHUNK
    link.connect(2, place(listener))
    inbox.wait(of(2, LINK_UP))
    link.close(2)
    assert inbox.rest() == []
    data = b"".join(event.value for event in waiting)
    del waiting
    while len(data) < size:
        data += inbox.wait(of(1, LINK_DATA)).value
    assert data == stream
    client.close()


def test_a_modem_cannot_be_held_and_is_cut_off_instead(link, inbox, modem, listener):
    link.attach_modem(modem)
    link.connect(1, place(listener, bearers=("modem",)))
    inbox.wait(of(1, LINK_UP))
    client, _ = listener.accept()
    client.settimeout(10)
    kept = []
    with client, pytest.raises(OSError):
        while True:
            client.sendall(bytes(CHUNK))
            kept += inbox.rest()
    kept += inbox.rest()
    while kept[-1].name == LINK_DATA:
        kept.append(inbox.wait(of(1)))
    assert kept.pop() == (LINK_DOWN, 1, "broken")
    assert sum(len(event.value) for event in kept) <= link_module.MOST_UNHELD + CHUNK


def test_a_host_that_is_held_and_resets_is_a_broken_line(link, inbox, listener):
    link.connect(1, place(listener))
    inbox.wait(of(1, LINK_UP))
    client, _ = listener.accept()
    threading.Thread(target=_flood, args=(client,), daemon=True).start()
    until(lambda: link._open[1]._held)
    reset(client)
    used = time.process_time()
    select.select([], [], [], 0.2)
    assert time.process_time() - used < 0.05  # and meanwhile costs nothing
    while (event := inbox.wait(of(1))).name == LINK_DATA:
        pass
    assert event == (LINK_DOWN, 1, "broken")


def _flood(client):
    try:
        while True:
            client.sendall(bytes(CHUNK))
    except OSError:
        pass


@pytest.mark.parametrize("after", [0, 1, 5, 200])
def test_a_reset_in_the_handshake_is_a_broken_line(link, inbox, listener, authority, after):
    link.connect(1, place(listener, tls=True, authority=authority))
    client, _ = listener.accept()
    client.settimeout(10)
    for _ in range(after):
        client.recv(1)
    reset(client)
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "broken")


def test_a_host_that_hangs_up_in_the_handshake_speaks_no_tls(link, inbox, listener, authority):
    link.connect(1, place(listener, tls=True, authority=authority))
    client, _ = listener.accept()
    client.settimeout(10)
    client.recv(65_536)
    client.close()
    assert inbox.wait(of(1)) == (LINK_DOWN, 1, "tls")


def test_a_handshake_that_drips_is_over_at_the_deadline(link, inbox, listener, authority):
    link.connect(1, place(listener, tls=True, authority=authority, connect_ms=300))
    client, _ = listener.accept()
    with client:
        client.recv(65_536)
        for byte in b"\x16\x03\x03\x40\x00\x02" + bytes(10_000):
            try:
                client.send(bytes((byte,)))
            except OSError:
                break
            select.select([], [], [], 0.01)
            events = inbox.rest()
            if events:
                break
        assert (events or [inbox.wait(of(1))]) == [(LINK_DOWN, 1, "timeout")]


def test_what_a_host_says_after_the_end_is_heard_by_nobody(link, inbox, listener):
    link.connect(1, place(listener))
    inbox.wait(of(1, LINK_UP))
    client, _ = listener.accept()
    link.close(1)
    link.connect(1, place(listener))  # the same ticket again
    assert inbox.wait(of(1)) == (LINK_UP, 1, "ethernet")
    try:
        client.sendall(b"ghost")
    except OSError:
        pass
    other, _ = listener.accept()
    with client, other:
        other.sendall(b"alive")
        assert inbox.wait(of(1)) == (LINK_DATA, 1, b"alive")


@pytest.mark.parametrize("seed", range(6))
def test_any_stream_through_tls_or_not_ends_in_one_answer(link, inbox, listener, authority, seed):
    chance = random.Random(seed)
    link.connect(1, place(listener, tls=bool(seed % 2), authority=authority))
    client, _ = listener.accept()
    with client:
        for _ in range(chance.randrange(1, 6)):
            try:
                client.sendall(chance.randbytes(chance.randrange(1, 3_000)))
            except OSError:
                break
        if chance.random() < 0.5:
            reset(client)
    while (event := inbox.wait(of(1))).name != LINK_DOWN:
        assert event.name in (LINK_UP, LINK_DATA)
    assert event.value in ("tls", "broken", "closed")
    assert inbox.rest() == []


def test_a_defect_in_one_connection_leaves_the_others_alone(inbox, listener, monkeypatch):
    def reach(point):
        if point == "link:send":
            raise RuntimeError("a defect")

    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    link = TcpLink(inbox.post, {}, reach)
    try:
        for ticket in (1, 2):
            link.connect(ticket, place(listener))
            inbox.wait(of(ticket, LINK_UP))
        link.send(1, b"fails")
        assert inbox.wait(of(1)) == (LINK_DOWN, 1, "broken")
        assert [one.exc_type for one in told] == [RuntimeError]
        listener.accept()[0].close()
        listener.accept()[0].sendall(b"lives")
        assert inbox.wait(of(2)) == (LINK_DATA, 2, b"lives")
    finally:
        link.close()
