import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drivers import kcv, libcrypto, provisioning, vault_software
from drivers.cup_keys import check_value
from drivers.provisioning import ProvisioningError, combine, has_cards, is_provisioned, load_cards, provision
from drivers.store import SqliteStore
from emulator.standins import keypad as keypads
from firmware.ports import StoreError
from tests.toys import World
from tools import provision as tool

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "terminal.number": "12345678",
    "merchant.number": "898310012345678",
    "merchant.name": "开付商店 Kaifu",
    "host.address": "127.0.0.1",
    "host.port": 7001,
    "host.tls": False,
}
COMPONENTS = [bytes(range(16)), bytes(range(100, 116))]
MASTER = bytes(a ^ b for a, b in zip(*COMPONENTS, strict=True))


def parameters(folder):
    store = SqliteStore(None, {}, folder)
    found = {key: json.loads(value) for key, value in store.range("parameters")}
    store.close()
    return found


def write(folder, *rows):
    store = SqliteStore(None, {}, folder)
    store.commit(list(rows))
    store.close()


def master_check_value(folder):
    vault = vault_software.SoftwareVault(None, {}, folder, keypads.StandIn(World()))
    vault.start()
    found = vault.check_value("master")
    vault.close()
    return found


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    provision(folder, SETTINGS, COMPONENTS, cost=10)
    return folder


# What the emulator calls, too.


def test_a_device_gets_its_numbers_and_its_key(tmp_path):
    folder = tmp_path / "data"
    assert not is_provisioned(folder)
    summary = provision(folder, SETTINGS, COMPONENTS, cost=10)
    assert summary.again is False
    assert is_provisioned(folder)
    assert summary.check_value == master_check_value(folder)
    assert parameters(folder) == {**SETTINGS, "host.authority": "", "host.tpdu": "6000030000"}
    assert os.stat(folder).st_mode & 0o777 == 0o700


def test_the_key_is_both_components_together():
    assert combine(COMPONENTS) == MASTER
    assert combine([*COMPONENTS, b"\x55" * 16]) == bytes(byte ^ 0x55 for byte in MASTER)


@pytest.mark.parametrize(
    "components",
    [
        [],
        COMPONENTS[:1],
        [COMPONENTS[0], COMPONENTS[0]],
        [COMPONENTS[0], bytes(16)],
        [COMPONENTS[0], bytes(8)],
        [bytes(range(16)), bytes(8) + b"\x08" * 8],
        [b"\x11" * 16, b"\x22" * 8 + b"\x23" * 8],
    ],
    ids=["none", "one", "twice the same", "zeros", "short", "half the same", "equal but for parity"],
)
def test_components_that_make_no_good_key_are_refused(tmp_path, components):
    with pytest.raises(ProvisioningError) as caught:
        provision(tmp_path / "data", SETTINGS, components)
    assert caught.value.why == "component"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "name,value",
    [
        ("terminal.number", "1234567"),
        ("terminal.number", "1234 678"),
        ("terminal.number", 12345678),
        ("terminal.number", None),
        ("merchant.number", "89831001234567"),
        ("merchant.name", ""),
        ("merchant.name", "店" * 21),
        ("merchant.name", "two\nlines"),
        ("merchant.name", "\ud800"),
        ("host.address", "a host"),
        ("host.address", ""),
        ("host.port", 0),
        ("host.port", 65536),
        ("host.port", "7001"),
        ("host.port", True),
        ("host.tls", 1),
        ("host.authority", "no certificate"),
        ("host.tpdu", "600003000"),
        ("host.tpdu", "7000030000"),
        ("host.speed", "fast"),
    ],
    ids=range(20),
)
def test_a_wrong_setting_is_named_and_nothing_is_written(tmp_path, name, value):
    with pytest.raises(ProvisioningError, match=name) as caught:
        provision(tmp_path / "data", {**SETTINGS, name: value}, COMPONENTS)
    assert caught.value.why == "setting"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["terminal.number", "merchant.number", "merchant.name", "host.address", "host.port"])
def test_a_missing_setting_is_named(tmp_path, name):
    with pytest.raises(ProvisioningError, match=name + " is missing"):
        provision(tmp_path / "data", {key: value for key, value in SETTINGS.items() if key != name}, COMPONENTS)


def test_addresses_of_both_families_and_names_will_do():
    for address in ("10.0.0.1", "::1", "fe80::1", "pos.example.com", "host-1"):
        assert provisioning.checked_settings({**SETTINGS, "host.address": address})["host.address"] == address


def test_a_provisioned_device_is_done_again_on_request_only(folder):
    other = {**SETTINGS, "terminal.number": "87654321"}
    with pytest.raises(ProvisioningError) as caught:
        provision(folder, other, [COMPONENTS[0], b"\x5a\xa5" * 4 + b"\x0f" * 8], cost=10)
    assert caught.value.why == "provisioned"
    assert parameters(folder)["terminal.number"] == "12345678"
    before = master_check_value(folder)
    summary = provision(folder, other, [COMPONENTS[0], b"\x5a\xa5" * 4 + b"\x0f" * 8], again=True, cost=10)
    assert summary.again is True
    assert parameters(folder)["terminal.number"] == "87654321"
    assert master_check_value(folder) == summary.check_value != before


def test_open_transactions_keep_their_keys(folder):
    write(folder, ("transactions", "000001", b"{}", "open"))
    before = master_check_value(folder)
    with pytest.raises(ProvisioningError) as caught:
        provision(folder, SETTINGS, [COMPONENTS[0], b"\x5a\xa5" * 4 + b"\x0f" * 8], again=True, cost=10)
    assert caught.value.why == "open"
    assert master_check_value(folder) == before
    write(folder, ("transactions", "000001", b"{}", None))
    provision(folder, SETTINGS, COMPONENTS, again=True, cost=10)


def test_lost_keys_are_replaced_for_the_open_transactions_of_the_same_terminal(folder):
    write(folder, ("transactions", "000001", b"{}", "open"))
    vault_software.destroy(folder)
    with pytest.raises(ProvisioningError) as caught:
        provision(folder, {**SETTINGS, "terminal.number": "87654321"}, COMPONENTS, again=True, cost=10)
    assert caught.value.why == "open"
    with pytest.raises(ProvisioningError) as caught:
        provision(folder, SETTINGS, COMPONENTS, cost=10)
    assert caught.value.why == "provisioned"
    provision(folder, SETTINGS, COMPONENTS, again=True, cost=10)
    assert vault_software.state(folder) == "ready"


def test_a_running_terminal_is_not_touched(folder):
    store = SqliteStore(None, {}, folder)
    with pytest.raises(StoreError):
        provision(folder, SETTINGS, COMPONENTS, again=True, cost=10)
    store.close()


def test_power_lost_half_way_leaves_a_device_that_says_so(folder, monkeypatch):
    def fail(*_):
        raise OSError(5, "the plug was pulled")

    with monkeypatch.context() as patched:
        patched.setattr(vault_software.os, "rename", fail)
        with pytest.raises(OSError):
            provision(folder, SETTINGS, COMPONENTS, again=True, cost=10)
    assert not is_provisioned(folder)
    provision(folder, SETTINGS, COMPONENTS, cost=10)
    assert is_provisioned(folder)


CARDS = {"emv.aids": [{"aid": "A000000333010101"}], "emv.terminal": {"9F35": "22"}}
LISTED = ["6200001234567890", "6200001234567908"]


def listed(folder):
    store = SqliteStore(None, {}, folder, read_only=True)
    try:
        return {who for who, _ in store.range("exceptions")}
    finally:
        store.close()


def marks(folder, numbers=LISTED):
    return {mark.hex() for mark in vault_software.fingerprints(folder, [number.encode() for number in numbers])}


def test_a_device_is_told_which_cards_it_takes_and_which_it_refuses(tmp_path):
    folder = tmp_path / "data"
    assert not has_cards(folder)
    provision(folder, SETTINGS, COMPONENTS, cost=10, cards=CARDS, exceptions=LISTED)
    found = parameters(folder)
    assert has_cards(folder) and {name: found[name] for name in CARDS} == CARDS
    assert listed(folder) == marks(folder) and len(listed(folder)) == 2
    everything = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert not any(number.encode() in everything for number in LISTED)


def test_done_again_a_device_keeps_the_cards_that_nobody_names(tmp_path):
    folder = tmp_path / "data"
    provision(folder, SETTINGS, COMPONENTS, cost=10, cards=CARDS, exceptions=LISTED)
    summary = provision(folder, SETTINGS, COMPONENTS, again=True, cost=10)
    assert summary.forgotten == 0 and listed(folder) == marks(folder) and parameters(folder)["emv.aids"] == CARDS["emv.aids"]
    provision(folder, SETTINGS, COMPONENTS, again=True, cost=10, exceptions=LISTED[:1])
    assert listed(folder) == marks(folder, LISTED[:1])


def test_an_exception_file_whose_keys_are_lost_is_not_kept_as_if_it_worked(tmp_path):
    folder = tmp_path / "data"
    provision(folder, SETTINGS, COMPONENTS, cost=10, cards=CARDS, exceptions=LISTED)
    vault_software.destroy(folder)
    assert provision(folder, SETTINGS, COMPONENTS, again=True, cost=10).forgotten == 2
    assert listed(folder) == set() and has_cards(folder)
    load_cards(folder, {}, LISTED)
    assert listed(folder) == marks(folder)


def test_an_exception_file_wants_keys_to_be_kept_under(tmp_path):
    folder = tmp_path / "data"
    provision(folder, SETTINGS, COMPONENTS, cost=10)
    vault_software.destroy(folder)
    with pytest.raises(ProvisioningError) as caught:
        load_cards(folder, CARDS, LISTED)
    assert caught.value.why == "keys" and not has_cards(folder)
    load_cards(folder, CARDS, [])
    assert has_cards(folder)


def test_a_running_terminal_keeps_its_cards(folder):
    store = SqliteStore(None, {}, folder)
    with pytest.raises(StoreError):
        load_cards(folder, CARDS)
    store.close()
    assert not has_cards(folder)


def test_no_error_shows_a_component(tmp_path):
    secret = "0123456789abcdef0123456789abcdef"
    for components in ([bytes.fromhex(secret)], [bytes.fromhex(secret)] * 2, [bytes.fromhex(secret)[:9], bytes(16)]):
        with pytest.raises(ProvisioningError) as caught:
            provision(tmp_path / "data", SETTINGS, components)
        assert secret[:6] not in str(caught.value)


# The tool.


class Person:
    """Answers in order; keeps what was said. `secrets` are typed unseen."""

    def __init__(self, answers, secrets=()):
        self.answers = list(answers)
        self.secrets = list(secrets)
        self.asked = []
        self.heard = []

    def ask(self, prompt):
        self.asked.append(prompt)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    def ask_secret(self, prompt):
        self.asked.append(prompt)
        if not self.secrets:
            raise EOFError
        return self.secrets.pop(0)

    def runs(self, *argv, environ=()):
        return tool.main(list(map(str, argv)), self.ask, self.ask_secret, self.heard.append, dict(environ))

    def heard_all(self):
        return "\n".join(self.heard)


FIRST, SECOND = (component.hex() for component in COMPONENTS)
TYPED = ["12345678", "898310012345678", "开付商店", "127.0.0.1", "7001", "n", "", ""]


def test_two_people_at_the_keyboard_provision_a_device(tmp_path):
    person = Person([*TYPED, "y", "y", "y"], [FIRST, SECOND.upper()])
    assert person.runs("--data", tmp_path / "data") == 0
    assert is_provisioned(tmp_path / "data")
    found = parameters(tmp_path / "data")
    assert (found["merchant.name"], found["host.tls"], found["host.tpdu"]) == ("开付商店", False, "6000030000")
    shown = person.heard_all()
    for component in (*COMPONENTS, MASTER):
        assert tool._shown(bytearray(component)) in shown
        assert component.hex() not in shown.lower()
    assert shown.count(master_check_value(tmp_path / "data").hex().upper()) == 2


AES_PARTS = [bytes(range(32)), bytes(range(90, 122))]
CARRIERS = [bytes(range(200, 216)), bytes(range(50, 66))]


def keys_of(folder):
    vault = vault_software.SoftwareVault(None, {}, folder, keypads.StandIn(World()))
    vault.start()
    found = [vault.check_value(slot) for slot in ("master", "transport")]
    vault.close()
    return found


def test_a_device_may_have_a_transport_key_and_another_cipher(tmp_path):
    folder = tmp_path / "data"
    summary = provision(folder, SETTINGS, COMPONENTS, cost=10, transport=CARRIERS)
    assert keys_of(folder) == [summary.check_value, summary.transport]
    assert summary.transport == check_value(combine(CARRIERS))
    summary = provision(folder, SETTINGS, AES_PARTS, again=True, cost=10, cipher="aes")
    assert summary.check_value == kcv.check_value("aes", combine(AES_PARTS, "aes"))
    assert keys_of(folder) == [summary.check_value, None]
    summary = provision(folder, SETTINGS, COMPONENTS, again=True, cost=10, cipher="sm4", transport=CARRIERS)
    assert keys_of(folder) == [kcv.check_value("sm4", MASTER), summary.transport]


def test_a_cipher_that_the_library_lacks_is_told_before_anything_is_written(folder, monkeypatch):
    before = keys_of(folder)
    monkeypatch.setitem(libcrypto.CIPHERS, "sm4", ("EVP_sm4_that_is_not_there", "EVP_sm4_that_is_not_there", 16))
    with pytest.raises(libcrypto.CryptoError, match="built without"):
        provision(folder, SETTINGS, COMPONENTS, again=True, cost=10, cipher="sm4")
    assert is_provisioned(folder) and keys_of(folder) == before


@pytest.mark.parametrize("transport", [COMPONENTS, CARRIERS[:1], AES_PARTS], ids=["the master key", "one", "long"])
def test_components_that_make_no_transport_key_are_refused(folder, transport):
    before = keys_of(folder)
    with pytest.raises(ProvisioningError) as caught:
        provision(folder, SETTINGS, COMPONENTS, again=True, cost=10, transport=transport)
    assert caught.value.why == "component" and keys_of(folder) == before


def test_two_people_type_a_transport_key_too(tmp_path):
    secrets = [FIRST, SECOND, *(part.hex() for part in CARRIERS)]
    person = Person([*TYPED, *"yyyyyy"], secrets)
    assert person.runs("--data", tmp_path / "data", "--transport") == 0
    shown = [tool._shown(bytearray(key)) for key in (MASTER, combine(CARRIERS))]
    assert [value.hex().upper() for value in keys_of(tmp_path / "data")] == shown
    assert all(person.heard_all().count(value) == 2 for value in shown)


def test_components_of_an_aes_key_are_as_long_as_it(tmp_path):
    person = Person([*TYPED, *"yyy"], [FIRST[:30], *(part.hex() for part in AES_PARTS)])
    assert person.runs("--data", tmp_path / "data", "--cipher", "aes") == 0
    assert keys_of(tmp_path / "data")[0] == kcv.check_value("aes", combine(AES_PARTS, "aes"))
    assert "32/48/64" in person.heard_all()
    assert Person([*TYPED, "y", "y"], [FIRST, AES_PARTS[0].hex()]).runs("--data", tmp_path / "b", "--cipher", "aes") == 2
    assert not (tmp_path / "b").exists()


def test_what_was_mistyped_is_asked_again(tmp_path):
    answers = ["1234", "12345678", *TYPED[1:], "n", "y", "y", "y"]
    person = Person(answers, ["12 34", FIRST, FIRST, SECOND])
    assert person.runs("--data", tmp_path / "data") == 0
    assert master_check_value(tmp_path / "data") == check_value(bytearray(MASTER))


@pytest.mark.parametrize("answers", [["y", "y", "n"], ["y", "n", "n", "n"], ["n"] * 3, ["y"], []], ids=range(5))
def test_without_every_confirmation_nothing_is_written(tmp_path, answers):
    person = Person([*TYPED, *answers], [FIRST, SECOND, SECOND, SECOND] if answers[:1] == ["y"] else [FIRST] * 3)
    assert person.runs("--data", tmp_path / "data") == 4
    assert not (tmp_path / "data").exists()


def test_three_wrong_settings_end_the_tool(tmp_path):
    assert Person(["1", "2", "3"]).runs("--data", tmp_path / "data") == 2


def test_a_setting_from_the_environment_or_a_file_is_not_asked_for(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(SETTINGS), "utf-8")
    person = Person(["", "", "y", "y", "y"], [FIRST, SECOND])
    environ = {"KAIFU_TERMINAL_NUMBER": "00000042", "KAIFU_HOST_TLS": "true", "KAIFU_HOST_PORT": "8443"}
    assert person.runs("--data", tmp_path / "data", "--settings", file, environ=environ) == 0
    found = parameters(tmp_path / "data")
    assert (found["terminal.number"], found["host.tls"], found["host.port"]) == ("00000042", True, 8443)


def test_the_tool_says_why_it_does_not(folder):
    person = Person([*TYPED, "y", "y", "y"], [FIRST, SECOND])
    assert person.runs("--data", folder) == 3
    assert "--again" in person.heard[-1]
    write(folder, ("transactions", "000001", b"{}", "open"))
    person = Person([*TYPED, "y", "y", "y"], [FIRST, SECOND])
    assert person.runs("--data", folder, "--again") == 3
    assert "未完成的交易" in person.heard[-1]
    store = SqliteStore(None, {}, folder)
    person = Person([*TYPED, "y", "y", "y"], [FIRST, SECOND])
    assert person.runs("--data", folder, "--again") == 3
    assert "Stop the terminal" in person.heard[-1]
    store.close()


def test_a_damaged_store_is_left_alone(folder):
    (folder / "store.db").write_bytes(b"damaged")
    person = Person([*TYPED, "y", "y", "y"], [FIRST, SECOND])
    assert person.runs("--data", folder, "--again") == 5
    assert (folder / "store.db").read_bytes() == b"damaged"


@pytest.fixture
def factory(tmp_path):
    """(arguments, the two component files) for a line where nobody types."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(SETTINGS), "utf-8")
    paths = []
    for name, text in (("first", FIRST + "\n"), ("second", " ".join((SECOND[:16], SECOND[16:])))):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o600)
        paths.append(path)
    arguments = ["--data", tmp_path / "data", "--settings", settings, "--component", paths[0], "--component", paths[1]]
    return [*arguments, "--check-value", tool._shown(bytearray(MASTER)).lower()], paths


def test_a_factory_provisions_without_anybody(factory, tmp_path):
    person = Person([])
    assert person.runs(*factory[0]) == 0
    assert person.asked == []
    assert master_check_value(tmp_path / "data") == check_value(bytearray(MASTER))


def test_the_factorys_mistakes_are_named(factory, tmp_path):
    arguments, (first, second) = factory
    for wrong, status in (
        ([*arguments[:-1], "00000000"], 4),
        (arguments[:-2], 2),
        (arguments[:6] + arguments[8:], 2),
        ([*arguments[:6], "--component", first, *arguments[8:]], 2),
        ([*arguments[:6], "--component", tmp_path / "nothing", *arguments[8:]], 2),
        ([*arguments[:2], *arguments[4:]], 2),
        (["--data", tmp_path / "data", "--settings", first, *arguments[4:]], 2),
        (arguments[2:], 2),
    ):
        assert Person([]).runs(*wrong) == status, wrong
    second.chmod(0o644)
    assert Person([]).runs(*arguments) == 2
    second.chmod(0o600)
    second.write_text("not hexadecimal digits at all...")
    assert Person([]).runs(*arguments) == 2
    assert not (tmp_path / "data").exists()


def test_a_factory_gives_a_transport_key_too(factory, tmp_path):
    more = []
    for number, part in enumerate(CARRIERS):
        path = tmp_path / ("carrier-%d" % number)
        path.write_text(part.hex())
        path.chmod(0o600)
        more += ["--transport-component", path]
    right = tool._shown(combine(CARRIERS))
    for wrong, status in (
        ([*more, "--transport-check-value", "00000000"], 4),
        (more, 2),
        ([*more[:2], "--transport-check-value", right], 2),
        (["--transport-check-value", right], 2),
        (["--transport"], 2),
    ):
        assert Person([]).runs(*factory[0], *wrong) == status, wrong
    assert Person([]).runs("--data", tmp_path / "data", *more) == 2
    assert not (tmp_path / "data").exists()
    assert Person([]).runs(*factory[0], *more, "--transport-check-value", right) == 0
    assert keys_of(tmp_path / "data")[1].hex().upper() == right


def test_the_list_of_tools_and_the_command_line_work(factory, tmp_path):
    def run(*argv):
        return subprocess.run(
            [sys.executable, "-m", "tools", *map(str, argv)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )

    assert run().returncode == 0
    assert "provision" in run("--help").stdout
    assert run("nothing").returncode == 2
    # No terminal to type on, and no files either.
    assert run("provision", "--data", tmp_path / "data").returncode == 2
    done = run("provision", *factory[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert FIRST not in done.stdout


def provisioned(tmp_path, *options):
    """The tool with everything in files: (status, what it said, the device's parameters)."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(SETTINGS), "utf-8")
    for number, component in enumerate(COMPONENTS):
        path = tmp_path / ("component-%d" % number)
        path.write_text(component.hex())
        path.chmod(0o600)
        options += ("--component", str(path))
    said = []
    folder = tmp_path / "data"
    options += ("--settings", str(settings), "--check-value", check_value(MASTER).hex())
    status = tool.main(["--data", str(folder), *options], say=said.append, environ={})
    return status, "\n".join(said), parameters(folder) if (folder / "store.db").exists() else {}


def test_a_new_device_takes_the_cards_of_the_file_that_comes_along(tmp_path):
    status, said, found = provisioned(tmp_path)
    assert status == tool.DONE, said
    assert found["emv.aids"][0]["aid"] == "A000000333010101" and found["emv.terminal"]["9F1A"] == "0156"
    assert found["emv.keys"] == []


def test_a_device_takes_the_cards_of_the_file_that_is_named_and_keeps_them(tmp_path):
    cards = tmp_path / "cards.json"
    content = {"applications": [{"aid": "A0000000651010"}], "terminal": {"9F35": "22"}, "exceptions": ["6200001234567890"]}
    cards.write_text(json.dumps(content))
    status, said, found = provisioned(tmp_path, "--cards", str(cards))
    assert status == tool.DONE and found["emv.aids"] == content["applications"], said
    store = SqliteStore(None, {}, tmp_path / "data", read_only=True)
    assert len(store.range("exceptions")) == 1
    store.close()
    status, said, found = provisioned(tmp_path, "--again")
    assert status == tool.DONE and found["emv.aids"] == content["applications"], said


def test_a_lost_exception_file_is_told(tmp_path):
    folder = tmp_path / "data"
    provision(folder, SETTINGS, COMPONENTS, cost=10, cards=CARDS, exceptions=LISTED)
    vault_software.destroy(folder)
    status, said, _ = provisioned(tmp_path, "--again")
    assert status == tool.DONE and "The exception file went with the old keys" in said


def test_a_bad_card_file_stops_before_anything_is_written(tmp_path):
    cards = tmp_path / "cards.json"
    cards.write_text(json.dumps({"applications": [{"aid": "A0"}]}))
    status, said, found = provisioned(tmp_path, "--cards", str(cards))
    assert status == tool.WRONG and "application 1: aid has 1 bytes" in said and found == {}
