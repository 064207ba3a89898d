"""A hostile host on real wires: the firmware's process, its modem, real sockets and TLS on loopback, and somebody in between.

The port level tries everything (`tests/hostile_host.py`); here a few of each sort show that the drivers end them likewise: a
page that says that nothing was taken, a process that goes on, memory that does not grow, books that agree.
"""

import os
import socket
import struct
import threading
import time

import pytest

from emulator.device import Device

RESET = struct.pack("ii", 1, 0)
REPLY_MS = 1_000  # as short as the parameter may be
FLOOD_BYTES = 3_000_000
GROWTH_KB = 16_000


class Between:
    """A line from the terminal to the acquirer's port. The next connections are spoilt as `plan` says, one function each."""

    def __init__(self, port):
        self.far = port
        self.plan = []
        self.said = []  # what the acquirer has said, a piece each
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._ended.set()
        self._listener.close()

    def _accept(self):
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near, self.plan.pop(0) if self.plan else None), daemon=True).start()

    def _carry(self, near, spoil):
        try:
            with near, socket.create_connection(("127.0.0.1", self.far)) as far:
                if spoil is not None and spoil in AT_ONCE:
                    near.recv(4096)
                    spoil(self, near, b"")
                    return
                threading.Thread(target=_pump, args=(near, far), daemon=True).start()
                while piece := far.recv(65_536):
                    if spoil is not None and not spoil(self, near, piece):
                        return
                    if spoil is None:
                        self.said.append(piece)
                        near.sendall(piece)
                near.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end has hung up


def _pump(source, sink):
    try:
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


# -- what becomes of the first piece that the host says. True: it goes on


def reset_after(count):
    def spoil(between, near, piece):
        near.sendall(piece[:count])
        time.sleep(0.05)  # so that it has arrived when the line breaks
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    return spoil


def hang_up(between, near, piece):
    near.sendall(piece[: len(piece) // 2])


def drip(between, near, piece):
    for at in range(len(piece)):
        near.sendall(piece[at : at + 1])
        time.sleep(0.1)


def flood(between, near, piece):
    near.settimeout(REPLY_MS / 1000)
    for _ in range(FLOOD_BYTES // 65_536):
        near.sendall(b"\xff" * 65_536)


def others(between, near, piece):
    """Whole answers to other messages, by the thousand."""
    near.settimeout(REPLY_MS / 1000)
    for _ in range(2_000):
        near.sendall(between.said[0])
    near.recv(1)


def earlier(between, near, piece):
    near.sendall(between.said[-1])
    near.settimeout(2 * REPLY_MS / 1000)
    near.recv(1)


def no_tls(between, near, piece):
    near.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def older_tls(between, near, piece):
    """A hello of TLS 1.0, whatever was offered."""
    hello = b"\x03\x01" + os.urandom(32) + b"\x00" + b"\x00\x2f" + b"\x00"
    message = b"\x02" + len(hello).to_bytes(3, "big") + hello
    near.sendall(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)
    near.settimeout(5)
    near.recv(4096)


def no_version(between, near, piece):
    near.sendall(b"\x15\x03\x01\x00\x02\x02\x46")


AT_ONCE = (no_tls, older_tls, no_version)  # they do not wait for the host


def bent_records():
    """The handshake goes through; in what comes later a bit falls over."""
    pieces = []

    def spoil(between, near, piece):
        pieces.append(piece)
        if len(pieces) > 1:
            piece = piece[:-3] + bytes((piece[-3] ^ 4,)) + piece[-2:]
        near.sendall(piece)
        return True

    return spoil


def cut_records():
    """Likewise; what comes later ends in the middle, and without a goodbye."""
    pieces = []

    def spoil(between, near, piece):
        pieces.append(piece)
        near.sendall(piece if len(pieces) == 1 else piece[:-20])
        return len(pieces) == 1

    return spoil


# -- the device


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "TLS"])
def line(request, tmp_path_factory):
    """(device, who stands between, whether with TLS), at the menu."""
    with Device(tmp_path_factory.mktemp("device"), fast=True, tls=request.param) as device:
        between = Between(device.town.port)
        for name, value in (("host.port", between.port), ("host.reply_ms", REPLY_MS), ("reversal.tries", 2)):
            device.parameter(name, str(value))
        device.power_on()
        shows(device, "操作员号")
        device.keys("01 ENTER 0000 ENTER")
        shows(device, "1 消费")
        sell(device, "请撕下")
        yield device, between, request.param
        said = [entry.text for entry in device.log if entry.kind == "terminal"]
        assert not [line for line in said if "Traceback" in line or "Error" in line], said
        between.close()


def shows(device, *words):
    for word in words:
        assert device.wait_screen(word, 30), (word, device.screen.text)


def sell(device, *words, fen="1234"):
    device.keys("1 %s ENTER" % fen)
    shows(device, "请挥卡")
    device.tap("debit")
    shows(device, *words)
    device.remove_card()
    device.keys("ENTER")
    shows(device, "1 消费")


def kilobytes(device):
    with open("/proc/%d/status" % device.pid) as file:
        return next(int(row.split()[1]) for row in file if row.startswith("VmRSS"))


IN_CLEAR = {
    "reset before a byte": reset_after(0),
    "reset before the last byte": reset_after(-1),
    "hung up": hang_up,
    "drip": drip,
    "flood": flood,
    "others": others,
    "earlier": earlier,
}
IN_TLS = {"no TLS": no_tls, "older TLS": older_tls, "no version": no_version, "bent": bent_records(), "cut": cut_records()}


def test_whatever_a_host_does_nothing_is_taken_and_the_next_sale_is_made(line):
    device, between, tls = line
    before, approved = kilobytes(device), len(device.books().approved_fen)
    for name, spoil in (IN_TLS if tls else IN_CLEAR).items():
        between.plan.append(spoil)
        sell(device, "未扣款")
        assert not between.plan, name
    assert kilobytes(device) - before < GROWTH_KB
    sell(device, "请撕下", fen="700")
    books = device.books()
    assert len(books.approved_fen) == approved + 1 and 700 in books.approved_fen


@pytest.mark.parametrize("line", [True], indirect=True, ids=["TLS"])
def test_a_certificate_that_is_not_the_hosts_is_said_and_nothing_leaves(line):
    device, _, _ = line
    for shown, words in (("wrong-name", "证书"), ("expired", "证书"), ("self-made", "证书")):
        device.town.certificate = shown
        sell(device, words, "未扣款")
    device.town.certificate = "good"
    sell(device, "请撕下", fen="800")
    assert 800 in device.books().approved_fen
