import json
from datetime import date

import pytest

from drivers import vault_software
from drivers.provisioning import provision
from drivers.store import SqliteStore
from firmware.emv import download
from tests.firmware.test_download import ROW, key_row
from tests.tools.test_provision import COMPONENTS, SETTINGS
from tools import cards

NUMBER = "6200001234567890"
TODAY = date(2026, 11, 20)


@pytest.fixture
def device(tmp_path):
    provision(tmp_path / "data", SETTINGS, COMPONENTS, cost=1)
    return tmp_path / "data"


class Bench:
    """The technician, with a file and a device."""

    def __init__(self, device, folder):
        self.device = device
        self.file = folder / "cards.json"
        self.said = []

    def load(self, content, *options):
        self.file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return self.run(str(self.file), *options)

    def run(self, *options):
        self.said = []
        return cards.main([*options, "--data", str(self.device)], say=self.said.append, today=TODAY)

    def kept(self, table):
        store = SqliteStore(None, {}, self.device, read_only=True)
        try:
            return dict(store.range(table))
        finally:
            store.close()


@pytest.fixture
def bench(device, tmp_path):
    return Bench(device, tmp_path)


def test_a_file_goes_into_the_device_and_is_shown(bench):
    assert bench.load({"applications": [ROW], "keys": [key_row()], "terminal": {"9F35": "22"}}, "--show") == cards.DONE
    kept = bench.kept("parameters")
    assert json.loads(kept["emv.aids"]) == [ROW] and json.loads(kept["emv.keys"]) == [key_row()]
    text = "\n".join(bench.said)
    assert "Loaded: applications 1, terminal 1, keys 1" in text
    assert "A000000333 08 unionpay   1024 bits, exponent 3      2030-12-31 expires in 1502 days" in text
    assert "Keys: 1, test" in text and "9F35 Terminal Type: 22\n       a merchant's\n" in text


def test_what_a_file_does_not_say_stays(bench):
    bench.load({"applications": [ROW], "keys": [key_row()]})
    assert bench.load({"switches": {"pse": False}}) == cards.DONE
    kept = bench.kept("parameters")
    assert json.loads(kept["emv.aids"]) == [ROW] and json.loads(kept["emv.switches"]) == {"pse": False}
    assert json.loads(kept["terminal.number"]) == SETTINGS["terminal.number"]


def test_a_text_of_blocks_goes_into_the_applications_of_the_device(bench):
    bench.load({"applications": [dict(ROW, kernel="07", ttq="66004080", cvm_limit_fen=1)]})
    blocks = download.application_block(ROW).hex() + "\n" + download.key_block(key_row()).hex()
    assert bench.load(blocks.encode()) == cards.WRONG and "test or live" in bench.said[0]
    assert bench.load(blocks.encode(), "--kind", "test") == cards.DONE
    kept = bench.kept("parameters")
    assert json.loads(kept["emv.aids"])[0]["kernel"] == "07" and json.loads(kept["emv.aids"])[0]["cvm_limit_fen"] == 100000
    assert json.loads(kept["emv.keys"])[0]["kind"] == "test"


@pytest.mark.parametrize(
    "content, why",
    [
        ({"applications": [ROW], "keys": [dict(key_row(), hash="00" * 20)]}, "checksum"),
        ({"applications": [dict(ROW, aid="A0")]}, "application 1: aid has 1 bytes"),
        ({"about": "nothing"}, "nothing that a device keeps"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason_and_nothing_is_written(bench, content, why):
    before = bench.kept("parameters")
    assert bench.load(content) == cards.WRONG
    assert why in bench.said[0] and "nothing was written" in bench.said[0]
    assert bench.kept("parameters") == before


def test_exceptions_are_kept_as_the_vaults_fingerprints_and_the_list_is_the_files(bench, device):
    assert bench.load({"exceptions": [NUMBER, "6200001234567891"]}) == cards.DONE
    who = vault_software.fingerprints(device, [NUMBER.encode()])[0].hex()
    assert len(bench.kept("exceptions")) == 2 and who in bench.kept("exceptions")
    assert bench.load({"exceptions": [NUMBER]}) == cards.DONE and list(bench.kept("exceptions")) == [who]
    assert bench.load({"exceptions": []}) == cards.DONE and bench.kept("exceptions") == {}
    everything = b"".join(path.read_bytes() for path in device.iterdir() if path.is_file())
    assert NUMBER.encode() not in everything


def test_exceptions_want_a_vault(bench, device):
    for name in ("vault.key", "vault.sealed"):
        (device / name).unlink()
    assert bench.load({"exceptions": [NUMBER]}) == cards.WRONG and "provision" in bench.said[0]


def test_it_is_said_what_the_keys_are_good_for(bench):
    bench.load({"keys": [key_row()]})
    assert "Test keys: a production terminal does not use them" in bench.said[1] and len(bench.said) == 2
    bench.load({"keys": [dict(key_row(), kind="live")]})
    assert "Live keys" in bench.said[1] and "they were test ones" in bench.said[2]
    bench.load({"keys": []})
    assert "No keys" in bench.said[1] and len(bench.said) == 2
    assert bench.load({"keys": [key_row(), dict(key_row(), index="09", kind="live")]}) == cards.WRONG
    assert json.loads(bench.kept("parameters")["emv.keys"]) == []


def test_a_running_terminal_keeps_its_parameters(bench, device):
    store = SqliteStore(None, {}, device)
    try:
        assert bench.load({"applications": [ROW]}) == cards.FAILED and "Stop the terminal" in bench.said[0]
    finally:
        store.close()


def test_wrong_calls_are_told(bench, device, tmp_path, capsys):
    assert bench.run() == cards.WRONG
    assert bench.run(str(tmp_path / "absent")) == cards.WRONG
    assert cards.main(["--show", "--data", str(tmp_path / "nowhere")], say=bench.said.append) == cards.WRONG
    assert cards.main(["--help"]) == 0
    assert "FILE or --show" in capsys.readouterr().err


def test_a_device_without_cards_shows_so(bench):
    assert bench.run("--show") == cards.DONE
    assert "Applications: none in the store" in bench.said[0] and "Keys: none" in bench.said[1]


@pytest.mark.parametrize(
    "day, text",
    [
        ("", "no expiry"), ("20261119", "2026-11-19 expired"), ("20261120", "expires in 0 days"),
        ("20301231", "2030-12-31 expires in 1502 days"), ("20260230", "no day"),
    ],
)  # fmt: skip
def test_the_last_day_of_a_key_is_told(day, text):
    assert text in cards.expiry(day, TODAY)
    assert ("即将到期" in cards.expiry(day, TODAY)) == (day == "20261120")
