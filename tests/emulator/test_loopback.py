"""What the emulator lets nobody else reach, and what it does not repeat."""

import json
import socket
import sys
from pathlib import Path

import pytest

from emulator.acquirer.books import Books
from emulator.acquirer.core import Acquirer
from emulator.acquirer.server import Server
from emulator.browser import api

LISTENS = "0A"


def listening(port):
    """The addresses at which this machine's kernel lets anybody in at the port, in its own hex."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            address, _, number = line.split()[1].rpartition(":")
            if line.split()[3] == LISTENS and int(number, 16) == port:
                found.add(address)
    return found


def test_the_bank_listens_on_this_machine_only():
    books = Books()
    server = Server(Acquirer(books)).start()
    try:
        socket.create_connection(("127.0.0.1", server.port), 5).close()
        assert listening(server.port) == {"%08X" % int.from_bytes(socket.inet_aton("127.0.0.1"), sys.byteorder)}
    finally:
        server.close()
        books.close()


@pytest.mark.parametrize("body", [{"6225880012345678": "x"}, {"keys": "1", "482915": True}])
def test_a_refusal_does_not_repeat_a_number_that_may_be_a_secret(body):
    with pytest.raises(api.Refused) as refused:
        api.post(None, "/api/keys", json.dumps(body).encode())
    assert not any(name in str(refused.value) for name in ("6225880012345678", "482915")) and "not known" in str(refused.value)
