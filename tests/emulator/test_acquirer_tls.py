"""The acquirer's line with TLS: what it shows, and what terminals make of it."""

import socket
import ssl

import pytest

from drivers.store import SqliteStore
from drivers.tls import Contexts, TlsError
from emulator.acquirer import server as servers
from emulator.acquirer.books import Books
from emulator.acquirer.certificates import KINDS, CertificateError, Certificates
from emulator.acquirer.core import Acquirer
from emulator.acquirer.server import Server
from emulator.device import Device
from tests.emulator.test_acquirer_server import DEADLINE_S, ECHO, MERCHANT, TERMINAL, code, hears

REFUSED = {"wrong-name": "tls-name", "expired": "tls-expired", "self-made": "tls-unknown", "old-version": "tls"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("tls"))


class Line:
    """A terminal's end, with the terminal's own TLS."""

    def __init__(self, server, contexts, authority):
        self.plug = socket.create_connection(("127.0.0.1", server.port), DEADLINE_S)
        self.plain = b""
        self.tls = contexts.open(authority, "127.0.0.1", server.port)
        try:
            while not self.tls.ready:
                self.turn()
        except TlsError:
            self.flush()
            hears(self.plug)  # the host has taken note
            self.plug.close()
            raise

    def flush(self):
        self.plug.sendall(self.tls.take())

    def turn(self):
        self.flush()
        data = self.plug.recv(4096)
        assert data, "closed"
        self.plain += b"".join(self.tls.feed(data))
        self.flush()

    def ask(self, *messages):
        """The answers to what is sent in one piece."""
        self.tls.write(b"".join(messages))
        answers = []
        for _ in messages:
            while len(self.plain) < 2 or len(self.plain) < 2 + int.from_bytes(self.plain[:2], "big"):
                self.turn()
            size = 2 + int.from_bytes(self.plain[:2], "big")
            answers.append(self.plain[:size])
            self.plain = self.plain[size:]
        return answers


@pytest.fixture
def log():
    return []


@pytest.fixture
def server(certificates, log):
    books = Books()
    books.add_terminal(TERMINAL, MERCHANT, bytes(range(16)))
    certificates.show("good")
    server = Server(Acquirer(books, log=lambda kind, text: log.append(text)), certificates=certificates).start()
    yield server
    server.close()
    books.close()


def test_a_terminal_that_trusts_the_authority_is_answered(server, certificates):
    line = Line(server, Contexts(), certificates.authority)
    assert [code(answer) for answer in line.ask(ECHO, ECHO)] == ["00", "00"]
    assert code(line.ask(ECHO)[0]) == "00"
    line.plug.close()


def test_a_handshake_and_a_message_in_single_bytes_are_understood(server, certificates):
    line = Line(server, Contexts(), certificates.authority)
    line.tls.write(ECHO)
    for byte in line.tls.take():
        line.plug.sendall(bytes((byte,)))
    while not line.plain:
        line.turn()
    assert code(line.plain) == "00"
    line.plug.close()


@pytest.mark.parametrize("name", REFUSED)
def test_a_terminal_refuses_each_certificate_that_is_not_the_good_one_in_its_own_word(server, certificates, log, name):
    server.certificate = name
    with pytest.raises(TlsError) as refused:
        Line(server, Contexts(), certificates.authority)
    assert refused.value.why == REFUSED[name]
    assert [text for text in log if text.startswith("→ closed: TLS: the terminal")]


def test_a_session_begun_with_the_good_certificate_does_not_outlive_it(server, certificates):
    contexts = Contexts()
    for _ in range(2):
        line = Line(server, contexts, certificates.authority)
        line.ask(ECHO)
        contexts.keep(certificates.authority, "127.0.0.1", server.port, line.tls)
        line.plug.close()
    server.certificate = "expired"
    with pytest.raises(TlsError) as refused:
        Line(server, contexts, certificates.authority)
    assert refused.value.why == "tls-expired"
    server.certificate = "good"
    line = Line(server, contexts, certificates.authority)
    assert code(line.ask(ECHO)[0]) == "00"
    line.plug.close()


def test_a_terminal_without_tls_is_hung_up_on_and_the_log_says_why(server, log):
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as plug:
        plug.sendall(ECHO)
        plug.shutdown(socket.SHUT_WR)
        hears(plug)
    assert "not TLS: a terminal without it?" in log[-1]


def test_a_handshake_that_does_not_go_on_is_given_up(server, log, monkeypatch):
    monkeypatch.setattr(servers, "LOOK_S", 0.01)
    monkeypatch.setattr(servers, "HANDSHAKE_S", 0.05)
    hasty = Server(server.acquirer, certificates=server.certificates).start()
    try:
        with socket.create_connection(("127.0.0.1", hasty.port), DEADLINE_S) as plug:
            plug.sendall(b"\x16\x03\x01")
            assert hears(plug) == b""
        assert "does not come to an end" in log[-1]
    finally:
        hasty.close()


def test_a_closing_host_says_goodbye(server, certificates):
    line = Line(server, Contexts(), certificates.authority)
    line.ask(ECHO)
    server.close()
    while not line.tls.ended:
        line.turn()
    line.plug.close()


def test_certificates_are_made_once_and_their_keys_are_nobodys_elses(certificates, tmp_path):
    first = Certificates(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = Certificates(tmp_path)
    assert again.authority == first.authority and files == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    assert "PRIVATE" not in first.authority and first.authority != certificates.authority
    Certificates(tmp_path, ("host.example", "127.0.0.1"))
    assert len(list(tmp_path.iterdir())) == len(files) + 1  # other names, another certificate


def test_only_certificates_that_there_are_can_be_shown(server, certificates):
    with pytest.raises(ValueError, match="good, wrong-name"):
        server.certificate = "beautiful"
    assert server.certificate == "good" and set(REFUSED) == set(KINDS) - {"good"}
    plain = Server(server.acquirer)
    with pytest.raises(ValueError, match="no TLS"):
        plain.certificate = "expired"
    plain.close()


def test_without_the_command_or_a_good_file_there_is_an_error_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "authority.pem").write_text("nothing")
    with pytest.raises(CertificateError, match="authority.pem|openssl"):
        Certificates(tmp_path / "damaged")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CertificateError, match="openssl is not installed"):
        Certificates(tmp_path / "empty")


def test_the_good_certificate_stands_before_any_other_client_too(server, certificates):
    context = ssl.create_default_context(cadata=certificates.authority)
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as plug:
        with context.wrap_socket(plug, server_hostname="localhost") as secure:
            secure.sendall(ECHO)
            assert code(secure.recv(4096)) == "00"


def test_a_device_with_tls_signs_on_and_says_in_plain_words_what_is_wrong_with_the_host(tmp_path):
    with Device(tmp_path, fast=True, tls=True) as device:
        told = SqliteStore(None, {}, device.terminal_folder, read_only=True)
        kept = dict(told.range("parameters"))
        told.close()
        assert kept["host.tls"] == b"true" and b"BEGIN CERTIFICATE" in kept["host.authority"]
        device.power_on()
        walk(device, ("操作员号", "01 ENTER"), ("操作员密码", "0000 ENTER"))
        for fault, words in (
            ("tls-wrong-name", "主机证书名称不符"),
            ("tls-expired", "主机证书已过期"),
            ("tls-self-made", "主机证书不可信"),
        ):
            device.fault(fault, True)
            assert [name for name, on in device.faults.items() if on] == [fault]
            walk(device, ("1 消费", "1"), ("请输入金额", "100 ENTER"), ("请挥卡", ""))
            device.tap("debit")
            walk(device, (words, ""), ("未扣款", ""))
            device.remove_card()
            device.fault(fault, False)
            walk(device, ("未扣款", "ENTER"))
        assert device.books().approved_fen == []
        walk(device, ("1 消费", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", ""))
        device.tap("debit")
        walk(device, ("打印下一联", ""))
        assert device.books().approved_fen == [1234]


def walk(device, *steps):
    for words, keys in steps:
        assert device.wait_screen(words, 20), device.screen.text
        if keys:
            device.keys(keys)
