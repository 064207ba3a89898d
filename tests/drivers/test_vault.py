import gc
import os
import random
import stat
import threading

import pytest

from drivers import cup_keys, dukpt, key_file, libcrypto, macs, tr31, vault_software
from drivers.key_box import KeyBox, first_records
from drivers.key_file import KeyFile
from drivers.secret_entry import SecretEntry
from drivers.vault_software import SoftwareVault
from emulator.standins import keypad as keypads
from firmware.events import PART, SECRET_READY, SECRET_TYPED, VAULT_DONE, VAULT_REFUSED
from tests.toys import Inbox, World, of

MASTER = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
SERIES = dukpt.Series.begin("tdes", MASTER, bytes(10)).record


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    vault_software.create(folder, MASTER, cost=10)
    return folder


class Device:
    """A vault that is switched on, with fingers on its keypad."""

    def __init__(self, folder, random=os.urandom):
        self.fingers = World()
        self.keypad = keypads.StandIn(self.fingers)
        self.inbox = Inbox()
        self.vault = SoftwareVault(self.inbox.post, {}, folder, self.keypad, random, cost=10)
        self.vault.start()

    def answer(self, name, *arguments):
        getattr(self.vault, name)(1, *arguments)
        event = self.inbox.wait(of(1))
        return event.name, event.value


@pytest.fixture
def switch_on():
    devices = []

    def switch_on(folder, random=os.urandom):
        devices.append(Device(folder, random))
        return devices[-1]

    yield switch_on
    for device in devices:
        device.vault.close()


def files(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def test_only_the_owner_may_read_the_key_files(folder):
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert set(os.listdir(folder)) == {"vault.key", "vault.sealed"}
    for name in os.listdir(folder):
        assert stat.S_IMODE(os.stat(folder / name).st_mode) == 0o600


def test_no_key_and_no_password_is_in_the_files(folder, switch_on):
    device = switch_on(folder)
    working = bytes(range(16))
    keys = [("mac", libcrypto.tdes_ecb_encrypt(MASTER, working), cup_keys.check_value(working))]
    assert device.answer("load_keys", keys) == (VAULT_DONE, None)
    everything = b"".join(files(folder).values())
    for secret in (MASTER, MASTER.hex().encode(), working, b"12345678", b"123456", b"key:master"):
        assert secret not in everything


def test_making_the_same_vault_twice_gives_other_files(tmp_path):
    for name in ("one", "two"):
        vault_software.create(tmp_path / name, MASTER, cost=10)
    assert not set(files(tmp_path / "one").values()) & set(files(tmp_path / "two").values())


def test_a_sealed_file_of_another_device_is_broken(tmp_path, folder, switch_on):
    vault_software.create(tmp_path / "other", MASTER, cost=10)
    (folder / "vault.sealed").write_bytes((tmp_path / "other" / "vault.sealed").read_bytes())
    assert switch_on(folder).vault.state == "broken"


@pytest.mark.parametrize("name", ["vault.key", "vault.sealed"])
def test_any_damage_is_broken_and_left_as_it_is(folder, switch_on, name):
    chance = random.Random(17)
    whole = (folder / name).read_bytes()
    damaged = [whole[:size] for size in range(0, len(whole), 7)] + [
        whole + b"\0",
        chance.randbytes(len(whole)),
        chance.randbytes(99999),
    ]
    for _ in range(40):
        one = bytearray(whole)
        one[chance.randrange(len(one))] ^= 1 << chance.randrange(8)
        damaged.append(bytes(one))
    for content in damaged:
        (folder / name).write_bytes(content)
        assert vault_software.state(folder) == "broken", content[:8]
        assert (folder / name).read_bytes() == content
    vault = switch_on(folder)
    before = files(folder)
    assert vault.answer("mac", b"data") == (VAULT_REFUSED, "no-key")
    assert vault.answer("add_operator", "02") == (VAULT_REFUSED, "no-key")
    assert files(folder) == before


def test_a_lost_device_key_is_broken_and_nothing_at_all_is_empty(folder, tmp_path):
    (folder / "vault.key").unlink()
    assert vault_software.state(folder) == "broken"
    assert vault_software.state(tmp_path / "nowhere") == "empty"


def test_power_lost_between_the_two_files_is_empty(folder):
    (folder / "vault.sealed").unlink()
    assert vault_software.state(folder) == "empty"


def test_records_that_make_no_vault_are_broken(folder, switch_on):
    good = first_records(MASTER, os.urandom, cost=10)
    bad = [
        [row for row in good if row[0] != "key:master"],
        [row for row in good if row[0] != "own:seal"],
        [*good, ("other", bytearray(1))],
        [*good, ("key:mac", bytearray(7))],
        [*good, ("cipher:mac", bytearray(b"tdes"))],
        [*good, ("key:mac", bytearray(16)), ("cipher:mac", bytearray(b"rot13"))],
        [*good, ("key:mac", bytearray(24)), ("cipher:mac", bytearray(b"sm4"))],
        [*good, ("key:mac", bytearray(16)), ("check:mac", bytearray(4))],
        [*good, ("key:transport", bytearray(8))],
        [*good, ("key:dukpt", bytearray(16)), ("check:dukpt", bytearray(4))],
        [*good, ("key:dukpt", SERIES), ("check:dukpt", bytearray(3))],
        [*good, ("key:dukpt", SERIES)],
        [*good, ("key:dukpt", SERIES), ("check:dukpt", bytearray(4)), ("cipher:dukpt", bytearray(b"aes"))],
        [*good, ("sim:pin", bytearray(b"12a4"))],
        [*good, ("sim:pin", bytearray(b"123"))],
        [*good, ("who:02", bytearray(5))],
        [*good, ("who:02", bytearray(53))],
        [],
    ]
    for records in bad:
        KeyFile(folder, os.urandom).write(records)
        assert switch_on(folder).vault.state == "broken"
    more = [("key:dukpt", SERIES), ("check:dukpt", bytearray(4)), ("sim:pin", bytearray(b"1234"))]
    for records in (good, good + more):
        KeyFile(folder, os.urandom).write(records)
        assert switch_on(folder).vault.state == "ready"


def test_a_file_from_before_there_were_other_ciphers_still_opens(folder, switch_on):
    working = bytearray(range(16))
    records = [row for row in first_records(MASTER, os.urandom, cost=10) if not row[0].startswith("cipher:")]
    KeyFile(folder, os.urandom).write([*records, ("key:mac", working), ("key:pin", bytearray(range(8)))])
    device = switch_on(folder)
    assert device.vault.check_value("master") == bytes.fromhex("08D7B4FB")
    assert device.vault.check_value("pin") == cup_keys.check_value(bytes(range(8)))
    assert device.answer("mac", b"data") == (VAULT_DONE, macs.mac("unionpay", "tdes", working, b"data"))
    other = bytes(range(50, 74))
    keys = [("mac", libcrypto.tdes_ecb_encrypt(MASTER, other), cup_keys.check_value(other))]
    assert device.answer("load_keys", keys) == (VAULT_DONE, None)
    assert device.vault.check_value("mac") == cup_keys.check_value(other)


def test_a_cipher_that_the_library_lacks_is_a_refusal(tmp_path, switch_on, monkeypatch):
    key = bytes(range(16))
    vault_software.create(tmp_path / "data", key, cost=10, cipher="sm4")
    row = ("mac", libcrypto.sm4_ecb_encrypt(key, MASTER), cup_keys.check_value(MASTER, "sm4"))
    monkeypatch.setitem(libcrypto.CIPHERS, "sm4", ("EVP_sm4_that_is_not_there", "EVP_sm4_that_is_not_there", 16))
    device = switch_on(tmp_path / "data")
    assert (device.vault.state, device.vault.check_value("master")) == ("ready", None)
    assert device.answer("load_keys", [row]) == (VAULT_REFUSED, "bad-data")
    monkeypatch.undo()
    assert device.answer("load_keys", [row]) == (VAULT_DONE, None)


def test_the_keys_of_a_transaction_and_the_components_are_not_in_the_files(folder, switch_on):
    device = switch_on(folder)
    header = tr31.Header("B", "B1", "T", "X", blocks=[("KS", "FFFF9876543210E00000")])
    block = tr31.wrap(MASTER, header, bytes(range(16)), os.urandom)
    assert device.answer("load_keys", [("dukpt", block, b"")]) == (VAULT_DONE, None)
    assert device.answer("next_transaction")[0] == VAULT_DONE
    _, records = KeyFile(folder, os.urandom).read()
    kept = b"".join(bytes(value) for _, value in records)
    used = dukpt.transaction_key("tdes", bytes(range(16)), bytes.fromhex("FFFF9876543210E00001"))
    assert bytes(range(16)) not in kept and bytes(used) not in kept


def test_any_bytes_under_a_good_seal_are_a_vault_or_broken(folder):
    chance = random.Random(19)
    device_key = (folder / "vault.key").read_bytes()
    for _ in range(300):
        plain = chance.randbytes(chance.randrange(60))
        nonce = chance.randbytes(12)
        sealed = libcrypto.gcm_seal(device_key, nonce, plain, key_file.MAGIC)
        (folder / "vault.sealed").write_bytes(key_file.MAGIC + nonce + sealed)
        assert KeyFile(folder, os.urandom).read()[0] in ("ready", "broken")


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
def test_a_write_that_fails_leaves_the_old_file(folder, switch_on, monkeypatch, call):
    device = switch_on(folder)
    before = files(folder)

    def fail(*_):
        raise OSError(28, "No space left on device")

    working = bytes(range(16))
    keys = [("mac", libcrypto.tdes_ecb_encrypt(MASTER, working), cup_keys.check_value(working))]
    with monkeypatch.context() as patched:
        patched.setattr(key_file.os, call, fail)
        assert device.answer("load_keys", keys) == (VAULT_REFUSED, "storage")
    assert {name: data for name, data in files(folder).items() if not name.endswith(".new")} == before
    assert device.vault.check_value("mac") is None
    assert device.answer("load_keys", keys) == (VAULT_DONE, None)
    assert device.vault.check_value("mac") == cup_keys.check_value(working)


def test_a_new_file_is_synced_before_it_takes_the_name_of_the_old_one(folder, monkeypatch):
    calls = []

    def noted(name, real):
        def call(*arguments):
            calls.append(name)
            return real(*arguments)

        return call

    for name in ("write", "fsync", "rename"):
        monkeypatch.setattr(key_file.os, name, noted(name, getattr(os, name)))
    KeyFile(folder, os.urandom).write([("key:master", bytearray(16))])
    # The last one is the folder's.
    assert calls == ["write", "fsync", "rename", "fsync"]


def test_a_wipe_overwrites_the_device_key_and_takes_the_sealed_file(folder, switch_on):
    key_before = os.stat(folder / "vault.key").st_ino
    (folder / "vault.sealed.new").write_bytes(b"left by a power cut")
    switch_on(folder).vault.wipe()
    assert files(folder) == {"vault.key": bytes(32)}
    assert os.stat(folder / "vault.key").st_ino == key_before
    assert vault_software.state(folder) == "wiped"


def test_a_device_that_is_off_can_be_destroyed(folder):
    vault_software.destroy(folder)
    assert vault_software.state(folder) == "wiped"


def test_power_lost_in_a_wipe_is_wiped_all_the_same(folder):
    (folder / "vault.key").write_bytes(bytes(32))
    assert vault_software.state(folder) == "wiped"


def test_a_wipe_that_cannot_reach_the_medium_is_told(folder, switch_on):
    device = switch_on(folder)
    for name in os.listdir(folder):
        (folder / name).unlink()
    folder.rmdir()
    device.vault.wipe()
    event = device.inbox.wait(lambda event: event.name == PART)
    assert event.value == ("vault", "failed")
    assert device.vault.state == "wiped"


def test_a_wiped_vault_can_be_made_anew(folder, switch_on):
    vault_software.destroy(folder)
    vault_software.create(folder, MASTER, cost=10)
    device = switch_on(folder)
    assert device.vault.state == "ready"
    assert device.vault.check_value("master") == bytes.fromhex("08D7B4FB")


def test_what_the_old_vault_sealed_the_new_one_can_read_and_nothing_else_is_kept(folder, switch_on):
    device = switch_on(folder)
    _, sealed = device.answer("seal", b"card")
    _, finger = device.answer("fingerprint", b"card")
    device.answer("add_operator", "02")
    working = bytes(range(16))
    device.answer("load_keys", [("mac", libcrypto.tdes_ecb_encrypt(MASTER, working), cup_keys.check_value(working))])
    device.vault.close()
    vault_software.create(folder, bytes(range(16)), cost=10)
    device = switch_on(folder)
    assert device.answer("unseal", sealed) == (VAULT_DONE, b"card")
    assert device.answer("fingerprint", b"card") == (VAULT_DONE, finger)
    assert device.vault.check_value("master") == cup_keys.check_value(bytes(range(16)))
    assert device.vault.check_value("mac") is None
    assert not device.vault.is_factory("02")


def test_a_master_key_of_another_length_is_a_mistake(tmp_path):
    with pytest.raises(ValueError):
        vault_software.create(tmp_path, bytes(8))
    assert os.listdir(tmp_path) == []


def test_closing_wipes_every_record_in_memory():
    records = first_records(MASTER, os.urandom, cost=10)
    box = KeyBox("ready", records, os.urandom, lambda records: None, lambda: None, cost=10)
    box.check_value("master")
    box.forget()
    assert [bytes(value) for _, value in records] == [bytes(len(value)) for _, value in records]


def test_typed_digits_are_wiped_from_memory(folder, switch_on):
    device = switch_on(folder)
    device.vault.enter_password(7, "99", "check")
    for digit in "91827364":
        device.keypad.tap(digit)
        device.fingers.run()
    entries = [thing for thing in gc.get_objects() if isinstance(thing, SecretEntry) and thing.typed]
    assert [repr(entry) for entry in entries] == ["SecretEntry(8 typed)"]
    device.keypad.tap("ENTER")
    device.fingers.run()
    assert device.inbox.wait(of(7, SECRET_READY)).value == "wrong"
    assert entries[0].typed == 0
    assert not any(entries[0]._digits)


def test_the_chip_may_answer_from_a_thread_of_its_own(folder, switch_on):
    device = switch_on(folder)
    answering = []

    class Chip:
        def carry(self, apdu, done):
            answering.append(threading.Thread(target=done, args=(b"\x63\xc2",)))
            answering[-1].start()

    device.vault.attach_chip(Chip())
    device.vault.verify_pin(7, 4, 12, "plaintext", None, b"")
    for key in ("1", "2", "3", "4", "ENTER"):
        device.keypad.tap(key)
        device.fingers.run()
    assert device.inbox.wait(of(7, SECRET_READY)).value == 0x63C2
    answering[0].join()


def test_an_answer_that_comes_after_stop_is_not_posted(folder, switch_on):
    """ENTER was pressed, the hash is still to be made, and the firmware has lost its patience."""
    held, drawing = threading.Event(), threading.Event()

    def slow_random(size):
        drawing.set()
        held.wait(10)
        return os.urandom(size)

    device = switch_on(folder, slow_random)
    device.vault.add_operator(1, "02")  # keeps the vault's thread busy
    assert drawing.wait(10)
    device.vault.enter_password(2, "01", "check")
    for key in ("0", "0", "0", "0", "ENTER", "5"):
        device.keypad.tap(key)
        device.fingers.run()
    device.vault.stop(2)
    held.set()
    device.vault.add_operator(3, "03")
    seen = []
    device.inbox.wait(lambda event: seen.append(event) or event.ticket == 3)
    device.keypad.tap("6")
    device.fingers.run()
    assert [event.name for event in seen if event.ticket == 2] == [SECRET_TYPED] * 4
    assert [event.value for event in device.fingers.events] == ["6"]


def test_macs_from_many_threads_are_right(folder, switch_on):
    device = switch_on(folder)
    working = bytes(range(16))
    device.answer("load_keys", [("mac", libcrypto.tdes_ecb_encrypt(MASTER, working), cup_keys.check_value(working))])
    wrong = []

    def work(number):
        data = bytes([number]) * 64
        with libcrypto.Cipher("tdes", working) as key:
            right = cup_keys.ecb_mac(key, data)
        answers = []
        for _ in range(200):
            answers.append(device.vault._keys.mac(data))
        wrong.extend(answer for answer in answers if answer != right)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_closing_ends_the_thread_and_may_be_repeated(folder):
    device = Device(folder)
    names = [thread.name for thread in threading.enumerate()]
    device.vault.close()
    device.vault.close()
    assert "vault" in names
    assert "vault" not in [thread.name for thread in threading.enumerate()]
