"""What a device of the emulator is given before it is switched on for the first time, and what an older one gets later."""

import json

import pytest

from drivers import vault_software
from drivers.store import SqliteStore
from emulator.cards import pki
from emulator.town import Town

CARD_DATA = ("emv.aids", "emv.terminal", "emv.switches", "emv.keys", "emv.revoked")


class Desk:
    def __init__(self, folder):
        self.folder, self.terminal, self.said = folder / "town", folder / "terminal", []

    def start(self):
        """A start of the town, and its end; the numbers that the device is to refuse."""
        town = Town(self.folder, self.terminal, 0, lambda kind, text: self.said.append(text))
        town.close()
        return [pan for pan, _ in town.shelf.exceptions()]

    def kept(self, table):
        store = SqliteStore(None, {}, self.terminal, read_only=True)
        try:
            return dict(store.range(table))
        finally:
            store.close()

    def write(self, *rows):
        store = SqliteStore(None, {}, self.terminal)
        store.commit(list(rows))
        store.close()

    def knows(self, refused):
        """Whether the device has the card data of the emulator's world."""
        found = self.kept("parameters")
        marks = {mark.hex() for mark in vault_software.fingerprints(self.terminal, [pan.encode() for pan in refused])}
        return (
            json.loads(found["emv.aids"])[0]["aid"] == "A000000333010101"
            and json.loads(found["emv.keys"]) == pki.authority_rows()
            and set(self.kept("exceptions")) == marks
            and marks != set()
        )


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(tmp_path_factory.mktemp("desk"))


def test_a_new_device_knows_the_cards_of_the_shelf(desk):
    assert desk.knows(desk.start())


def test_an_older_device_that_was_never_told_is_told_at_its_next_start(desk):
    refused = desk.start()
    rows = [("parameters", name, None, None) for name in CARD_DATA]
    desk.write(*rows, *[("exceptions", who, None, None) for who in desk.kept("exceptions")])
    before = desk.kept("parameters")
    desk.start()
    assert desk.knows(refused) and desk.said[-1] == "the device was told which cards it takes"
    assert {name: value for name, value in desk.kept("parameters").items() if name not in CARD_DATA} == before


def test_what_a_technician_has_loaded_stays(desk):
    desk.start()
    desk.write(("parameters", "emv.aids", b'[{"aid": "A000000333010102"}]', None))
    desk.start()
    assert desk.kept("parameters")["emv.aids"] == b'[{"aid": "A000000333010102"}]'


def test_a_device_without_keys_says_why_it_cannot_be_told(desk):
    desk.start()
    desk.write(("parameters", "emv.aids", None, None))
    vault_software.destroy(desk.terminal)
    desk.start()
    assert desk.said[-1].startswith("the device could not be told which cards it takes") and "keys" in desk.said[-1]
