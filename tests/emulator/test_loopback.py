"""What the emulator lets nobody else reach, and what it does not repeat."""

import json

import pytest

from emulator.acquirer.books import Books
from emulator.acquirer.core import Acquirer
from emulator.acquirer.server import Server
from emulator.browser import api


def test_the_bank_listens_on_this_machine_only():
    books = Books()
    server = Server(Acquirer(books)).start()
    try:
        assert server._listener.getsockname()[0] == "127.0.0.1"
    finally:
        server.close()
        books.close()


@pytest.mark.parametrize("body", [{"6225880012345678": "x"}, {"keys": "1", "482915": True}])
def test_a_refusal_does_not_repeat_a_number_that_may_be_a_secret(body):
    with pytest.raises(api.Refused) as refused:
        api.post(None, "/api/keys", json.dumps(body).encode())
    assert not any(name in str(refused.value) for name in ("6225880012345678", "482915")) and "not known" in str(refused.value)
