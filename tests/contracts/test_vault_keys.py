"""The vault's keys: how they come in, in which slot, with which cipher, and what is made with them."""

import random

import pytest

from drivers import components, cup_keys, dukpt, kcv, libcrypto, macs, pin_blocks, tr31
from firmware.events import SECRET_READY, SECRET_STOPPED, VAULT_DONE, VAULT_REFUSED
from tests.contracts.vault_rig import MAC_KEY, MASTER, PAN, PIN_KEY, TRACK_KEY, TRANSPORT, key_row, rig_of

AES_MASTER = bytes(range(32))
SM4_MASTER = bytes(range(16))
AES_KEY = bytes(range(100, 116))
INITIAL = bytes.fromhex("6AC292FAA1315B4D858AB3A3D7D5933A")
SERIAL = "FFFF9876543210E00000"
AES_INITIAL = bytes.fromhex("1273671EA26AC29AFA4D1084127652A1")
AES_SERIAL = "1234567890123456"
TRACK = "6222620000000002=30122011234500000000"
ALL = ("master", "pin", "mac", "track", "dukpt")
BAD = (VAULT_REFUSED, "bad-data")


@pytest.fixture(params=["driver", "stand-in"])
def empty(request, tmp_path):
    """A device that was not provisioned."""
    rig = rig_of(request.param, tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def rig(empty):
    """A provisioned device with a transport key, not signed on."""
    empty.provision(MASTER, "tdes", TRANSPORT)
    return empty


@pytest.fixture
def signed_on(rig):
    rig.load()
    return rig


@pytest.fixture
def aes(empty):
    empty.provision(AES_MASTER, "aes")
    return empty


@pytest.fixture
def sm4(empty):
    empty.provision(SM4_MASTER, "sm4")
    return empty


def block_of(key, usage, mode, version="B", protection=MASTER, algorithm="T", number="00", blocks=()):
    header = tr31.Header(version, usage, algorithm, mode, number, "N", blocks)
    return tr31.wrap(protection, header, key, random.Random(5).randbytes)


def held(rig):
    return [rig.port.check_value(slot) for slot in ALL]


# By cryptogram.


def test_keys_of_every_length_come_under_a_triple_des_master_key(rig):
    for size in (8, 16, 24):
        key = bytes(range(40, 40 + size))
        assert rig.answer("load_keys", [key_row("mac", key)]) == (VAULT_DONE, None)
        assert rig.port.check_value("mac") == kcv.check_value("tdes", key)


def test_keys_under_an_aes_master_key_are_aes_keys(aes):
    assert aes.port.check_value("master") == libcrypto.cmac("aes", AES_MASTER, bytes(16))[:4]
    for key in (AES_KEY, bytes(range(32))):
        for check in (kcv.of_zeros("aes", key)[:3], kcv.of_cmac("aes", key)[:5]):
            assert aes.answer("load_keys", [key_row("mac", key, check, AES_MASTER, "aes")]) == (VAULT_DONE, None)
            assert aes.port.check_value("mac") == kcv.check_value("aes", key)
    for size in (8, 24):
        assert aes.answer("load_keys", [("mac", bytes(size), bytes(4))]) == BAD


def test_keys_under_an_sm4_master_key_are_sm4_keys(sm4):
    assert sm4.port.check_value("master") == kcv.of_zeros("sm4", SM4_MASTER)[:4]
    rows = [key_row(slot, AES_KEY, None, SM4_MASTER, "sm4") for slot in ("pin", "mac", "track")]
    assert sm4.answer("load_keys", rows) == (VAULT_DONE, None)
    assert sm4.port.check_value("mac") == kcv.of_zeros("sm4", AES_KEY)[:4]
    assert sm4.answer("load_keys", [("mac", bytes(8), bytes(4))]) == BAD
    sm4.restart()
    assert sm4.port.check_value("mac") == kcv.of_zeros("sm4", AES_KEY)[:4]


def test_a_new_master_key_comes_under_the_transport_key_and_takes_the_working_keys_away(signed_on):
    assert signed_on.port.check_value("transport") == kcv.check_value("tdes", TRANSPORT)
    other = bytes(range(60, 76))
    assert signed_on.answer("load_keys", [key_row("master", other, None, TRANSPORT)]) == (VAULT_DONE, None)
    assert held(signed_on) == [kcv.check_value("tdes", other), None, None, None, None]
    assert signed_on.answer("load_keys", [key_row("mac", MAC_KEY)]) == (VAULT_REFUSED, "check-value")
    assert signed_on.answer("load_keys", [key_row("mac", MAC_KEY, None, other)]) == (VAULT_DONE, None)
    signed_on.restart()
    assert signed_on.port.check_value("master") == kcv.check_value("tdes", other)


def test_a_master_key_that_is_not_right_leaves_the_old_keys(signed_on):
    before = held(signed_on)
    other = bytes(range(60, 76))
    halves = bytes(range(8)) * 2
    for row, why in (
        (key_row("master", other, b"\1\2\3\4", TRANSPORT), "check-value"),
        (key_row("master", other), "check-value"),
        (key_row("master", other[:8], None, TRANSPORT), "bad-data"),
        (key_row("master", halves, None, TRANSPORT), "bad-data"),
        (("master", block_of(other, "K0", "D", protection=MASTER), b""), "bad-data"),
        (("master", block_of(other, "P0", "E", protection=TRANSPORT), b""), "bad-data"),
    ):
        assert signed_on.answer("load_keys", [row]) == (VAULT_REFUSED, why)
    assert held(signed_on) == before


def test_without_a_transport_key_no_master_key_comes_from_outside(empty):
    empty.provision()
    assert empty.answer("load_keys", [key_row("master", AES_KEY, None, TRANSPORT)]) == (VAULT_REFUSED, "no-key")
    assert empty.port.check_value("transport") is None


def test_a_master_key_that_cannot_be_stored_is_not_used(signed_on):
    before = held(signed_on)
    signed_on.break_medium()
    assert signed_on.answer("load_keys", [key_row("master", AES_KEY, None, TRANSPORT)]) == (VAULT_REFUSED, "storage")
    assert held(signed_on) == before


# By key block.


@pytest.mark.parametrize("version", "ABC")
def test_a_key_block_goes_where_it_says(rig, version):
    rows = [
        ("pin", block_of(PIN_KEY, "P0", "E", version), b""),
        ("mac", block_of(MAC_KEY * 2, "M3", "C", version), kcv.check_value("tdes", MAC_KEY * 2)[:3]),
        ("track", block_of(TRACK_KEY, "D0", "N", version), b""),
    ]
    assert rig.answer("load_keys", rows) == (VAULT_DONE, None)
    assert rig.port.check_value("pin") == kcv.check_value("tdes", PIN_KEY)
    assert rig.port.check_value("mac") == kcv.check_value("tdes", MAC_KEY * 2)
    assert rig.port.check_value("track") == kcv.check_value("tdes", TRACK_KEY)


@pytest.mark.parametrize("version", "DE")
def test_an_aes_master_key_opens_blocks_of_both_ciphers(aes, version):
    rows = [
        ("pin", block_of(AES_KEY, "P0", "B", version, AES_MASTER, "A"), kcv.of_cmac("aes", AES_KEY)[:5]),
        ("mac", block_of(PIN_KEY, "M3", "C", version, AES_MASTER), b""),
    ]
    assert aes.answer("load_keys", rows) == (VAULT_DONE, None)
    assert aes.port.check_value("pin") == kcv.check_value("aes", AES_KEY)
    assert aes.port.check_value("mac") == kcv.check_value("tdes", PIN_KEY)
    assert aes.answer("mac", b"data", "x9.19") == (VAULT_DONE, macs.mac("x9.19", "tdes", PIN_KEY, b"data"))


def test_a_master_key_comes_as_a_key_block_under_the_transport_key(rig):
    for usage, mode in (("K0", "B"), ("K1", "D"), ("K0", "N")):
        block = block_of(AES_KEY, usage, mode, protection=TRANSPORT)
        assert rig.answer("load_keys", [("master", block, b"")]) == (VAULT_DONE, None)
        assert rig.port.check_value("master") == kcv.check_value("tdes", AES_KEY)


@pytest.mark.parametrize(
    ("slot", "usage", "mode", "more"),
    [
        ("pin", "M3", "C", {}),
        ("mac", "P0", "E", {}),
        ("track", "P0", "E", {}),
        ("pin", "P0", "D", {}),
        ("mac", "M3", "G", {}),
        ("mac", "M3", "V", {}),
        ("mac", "M7", "C", {}),
        ("track", "D0", "D", {}),
        ("pin", "K0", "B", {}),
        ("pin", "B1", "X", {}),
        ("dukpt", "B1", "X", {}),
        ("dukpt", "B0", "X", {"blocks": [("KS", SERIAL)]}),
        ("pin", "P0", "E", {"number": "c1"}),
        ("pin", "P0", "E", {"algorithm": "A"}),
        ("pin", "P0", "E", {"algorithm": "R"}),
        ("pin", "P0", "E", {"version": "D"}),
        ("pin", "P0", "E", {"protection": TRANSPORT}),
    ],
    ids=range(17),
)
def test_a_key_block_for_something_else_is_refused(signed_on, slot, usage, mode, more):
    before = held(signed_on)
    assert signed_on.answer("load_keys", [(slot, block_of(AES_KEY, usage, mode, **more), b"")]) == BAD
    assert held(signed_on) == before


def test_a_key_block_with_another_check_value_is_refused(signed_on):
    before = held(signed_on)
    block = block_of(AES_KEY, "P0", "E")
    assert signed_on.answer("load_keys", [("pin", block, b"\1\2\3")]) == (VAULT_REFUSED, "check-value")
    assert signed_on.answer("load_keys", [("pin", block, b"\1\2")]) == BAD
    assert held(signed_on) == before


def test_a_key_block_that_was_changed_anywhere_is_refused(rig):
    chance = random.Random(23)
    block = block_of(PIN_KEY, "P0", "E")
    for _ in range(60):
        at = chance.randrange(len(block))
        other = block[:at] + chance.choice("0123456789ABCDEFGZ~é") + block[at + 1 :]
        if other != block:
            assert rig.answer("load_keys", [("pin", other, b"")]) == BAD, at
        assert rig.answer("load_keys", [("pin", block[:at], b"")]) == BAD
    assert rig.port.check_value("pin") is None


# By components.


FIRST, SECOND = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), bytes(range(0xA0, 0xB0))


def keys_for(component):
    return " ".join("DOWN %d" % (int(digit, 16) - 9) if digit > "9" else digit for digit in component.hex().upper())


def type_component(rig, number, component, cipher=None):
    more = () if cipher is None else (cipher,)
    return rig.secret("enter_component", number, len(component), *more, keys=keys_for(component) + " ENTER")


def test_two_people_type_a_master_key(signed_on):
    whole = components.combine([FIRST, SECOND])
    for number, component in ((1, FIRST), (2, SECOND)):
        answer, typed = type_component(signed_on, number, component)
        assert answer == (SECRET_READY, kcv.check_value("tdes", component))
        assert typed == list(range(1, 33))
    right = kcv.check_value("tdes", whole)
    assert signed_on.answer("install_master", "tdes", b"") == (VAULT_DONE, right)
    assert signed_on.port.check_value("master") == kcv.check_value("tdes", MASTER)
    assert signed_on.answer("install_master", "tdes", right[:3]) == (VAULT_DONE, right)
    assert held(signed_on) == [right, None, None, None, None]
    assert signed_on.answer("install_master", "tdes", right) == BAD
    signed_on.restart()
    assert signed_on.port.check_value("master") == right
    assert signed_on.keys_for_the_firmware() == []


@pytest.mark.parametrize(("cipher", "size"), [("tdes", 24), ("aes", 16), ("aes", 24), ("aes", 32), ("sm4", 16)])
def test_master_keys_of_other_ciphers_are_typed_as_well(rig, cipher, size):
    parts = [bytes(range(start, start + size)) for start in (1, 90, 155)]
    for number, part in enumerate(parts, 1):
        assert type_component(rig, number, part, cipher)[0] == (SECRET_READY, kcv.check_value(cipher, part))
    right = kcv.check_value(cipher, components.combine(parts, cipher))
    assert rig.answer("install_master", cipher, right) == (VAULT_DONE, right)
    rig.restart()
    assert rig.port.state == "ready" and rig.port.check_value("master") == right


def test_a_component_can_be_corrected_and_is_typed_to_its_end(rig):
    keys = "DOWN 7 DOWN DOWN 1 BACK DOWN 00 9 CLEAR ENTER " + keys_for(FIRST) + " 5 ENTER"
    answer, typed = rig.secret("enter_component", 1, 16, keys=keys)
    assert answer == (SECRET_READY, kcv.check_value("tdes", FIRST))
    assert typed == [0, 1, 0, 1, 0, *range(1, 33), 32]


def test_letters_come_after_down(rig):
    component = bytes.fromhex("ABCDEF0123456789" * 2)
    keys = "DOWN 1 DOWN 2 DOWN 3 DOWN 4 DOWN 5 DOWN 6 0123456789 DOWN 1 DOWN 2 DOWN 3 DOWN 4 DOWN 5 DOWN 6 0123456789 ENTER"
    assert rig.secret("enter_component", 1, 16, keys=keys)[0] == (SECRET_READY, kcv.check_value("tdes", component))


def test_a_mistyped_component_keeps_the_old_keys(signed_on):
    before = held(signed_on)
    right = kcv.check_value("tdes", components.combine([FIRST, SECOND]))
    type_component(signed_on, 1, FIRST)
    type_component(signed_on, 2, SECOND[:-1] + b"\x00")
    assert signed_on.answer("install_master", "tdes", right) == (VAULT_REFUSED, "check-value")
    assert held(signed_on) == before
    assert signed_on.answer("install_master", "tdes", b"") == BAD


@pytest.mark.parametrize(
    "parts",
    [[], [FIRST], [FIRST, FIRST], [FIRST, bytes(16)], [FIRST, bytes(range(24))], [FIRST, FIRST[:8] * 2 + SECOND[:8]]],
    ids=["none", "one", "twice the same", "zeros", "unequal", "another length"],
)
def test_components_that_make_no_key_are_bad_data(signed_on, parts):
    before = held(signed_on)
    for number, part in enumerate(parts, 1):
        type_component(signed_on, number, part)
    assert signed_on.answer("install_master", "tdes", b"\1\2\3\4") == BAD
    assert held(signed_on) == before


def test_components_are_forgotten_when_somebody_says_so_and_at_a_restart(rig):
    for forget in (rig.port.drop_components, rig.restart):
        type_component(rig, 1, FIRST)
        type_component(rig, 2, SECOND)
        forget()
        assert rig.answer("install_master", "tdes", b"") == BAD


def test_a_component_that_is_not_finished_is_none(rig):
    type_component(rig, 1, FIRST)
    assert rig.secret("enter_component", 2, 16, keys="12 CANCEL")[0] == (SECRET_STOPPED, "cancel")
    rig.port.stop(rig.ask("enter_component", 2, 16))
    assert rig.answer("install_master", "tdes", b"") == BAD


def test_a_component_typed_again_replaces_the_first(rig):
    type_component(rig, 1, SECOND)
    type_component(rig, 1, FIRST)
    type_component(rig, 2, SECOND)
    right = kcv.check_value("tdes", components.combine([FIRST, SECOND]))
    assert rig.answer("install_master", "tdes", right) == (VAULT_DONE, right)


def test_a_master_key_that_cannot_be_kept_can_be_installed_again(signed_on):
    type_component(signed_on, 1, FIRST)
    type_component(signed_on, 2, SECOND)
    right = kcv.check_value("tdes", components.combine([FIRST, SECOND]))
    before = held(signed_on)
    signed_on.break_medium()
    assert signed_on.answer("install_master", "tdes", right) == (VAULT_REFUSED, "storage")
    assert held(signed_on) == before
    assert signed_on.answer("install_master", "tdes", b"") == (VAULT_DONE, right)


def test_a_wipe_takes_the_components_too(rig):
    type_component(rig, 1, FIRST)
    rig.port.wipe()
    assert rig.answer("install_master", "tdes", b"") == (VAULT_REFUSED, "wiped")


def test_components_and_ciphers_that_there_are_not_are_mistakes(rig):
    for name, arguments in (
        ("enter_component", (0, 16)),
        ("enter_component", (4, 16)),
        ("enter_component", (1, 8)),
        ("enter_component", (1, 15)),
        ("enter_component", (1, 32, "tdes")),
        ("enter_component", (1, 16, "rot13")),
        ("install_master", ("rot13", b"")),
        ("install_master", ("tdes", b"\1\2")),
        ("install_master", ("tdes", bytes(9))),
    ):
        with pytest.raises(ValueError):
            getattr(rig.port, name)(1, *arguments)


# DUKPT.


def tdes_series(initial=INITIAL, serial=SERIAL):
    return ("dukpt", block_of(initial, "B1", "X", blocks=[("KS", serial)]), kcv.check_value("tdes", initial))


def aes_series(version="D"):
    return ("dukpt", block_of(AES_INITIAL, "B1", "X", version, AES_MASTER, "A", blocks=[("IK", AES_SERIAL)]), b"")


@pytest.fixture
def tdes_dukpt(rig):
    assert rig.answer("load_keys", [tdes_series()]) == (VAULT_DONE, None)
    return rig


@pytest.fixture
def aes_dukpt(aes):
    assert aes.answer("load_keys", [aes_series()]) == (VAULT_DONE, None)
    return aes


def test_each_transaction_has_the_next_serial_number_and_its_keys(tdes_dukpt):
    data = b"4012345678909D987"
    assert tdes_dukpt.port.check_value("dukpt") == kcv.check_value("tdes", INITIAL)
    for counter in (1, 2, 3):
        serial = bytes.fromhex(SERIAL[:-1] + "%d" % counter)
        assert tdes_dukpt.answer("next_transaction") == (VAULT_DONE, serial)
        keys = dukpt.Transaction("tdes", dukpt.transaction_key("tdes", INITIAL, serial), serial)
        request, reply = (keys.working(use, "tdes") for use in (dukpt.MAC_REQUEST, dukpt.MAC_RESPONSE))
        for method in ("x9.19", "cmac"):
            asked = "dukpt-" + method
            assert tdes_dukpt.answer("mac", data, asked) == (VAULT_DONE, macs.mac(method, "tdes", request, data))
            theirs = macs.mac(method, "tdes", reply, data)
            assert tdes_dukpt.answer("check_mac", data, theirs, asked) == (VAULT_DONE, True)
            ours = macs.mac(method, "tdes", request, data)
            assert tdes_dukpt.answer("check_mac", data, ours, asked) == (VAULT_DONE, False)
        (name, block), _ = tdes_dukpt.secret("enter_pin", PAN, 4, 12, "dukpt-0", keys="1234 ENTER")
        clear = libcrypto.tdes_ecb_decrypt(keys.working(dukpt.PIN, "tdes"), block)
        assert (name, pin_blocks.decode("0", clear, PAN)) == (SECRET_READY, b"1234")
        with libcrypto.Cipher("tdes", keys.working(dukpt.DATA_REQUEST, "tdes")) as key:
            right = cup_keys.encrypted_track(key, TRACK)
        assert tdes_dukpt.answer("encrypt_track", TRACK) == (VAULT_DONE, right)


def test_the_published_values_of_the_first_transaction(tdes_dukpt):
    tdes_dukpt.answer("next_transaction")
    data = b"4012345678909D987"
    assert tdes_dukpt.answer("mac", data, "dukpt-x9.19")[1][:4].hex().upper() == "9CCC7817"
    reply = macs.mac("x9.19", "tdes", bytes.fromhex("042666B46E84CFA368DE96282F397BC9"), data)
    assert reply.hex().upper().startswith("20364223")
    assert tdes_dukpt.answer("check_mac", data, reply, "dukpt-x9.19") == (VAULT_DONE, True)
    assert tdes_dukpt.secret("enter_pin", "4012345678909", 4, 12, "dukpt-0", keys="1234 ENTER")[0] == (
        SECRET_READY,
        bytes.fromhex("1B9C1845EB993A7A"),
    )


def test_an_aes_series_gives_keys_of_both_ciphers(aes_dukpt):
    serial = bytes.fromhex(AES_SERIAL + "00000001")
    assert aes_dukpt.answer("next_transaction") == (VAULT_DONE, serial)
    keys = dukpt.Transaction("aes", dukpt.transaction_key("aes", AES_INITIAL, serial), serial)
    for method, kind, inner in (("dukpt-cmac", "aes", "cmac"), ("dukpt-x9.19", "tdes", "x9.19")):
        right = macs.mac(inner, kind, keys.working(dukpt.MAC_REQUEST, kind), b"data")
        assert aes_dukpt.answer("mac", b"data", method) == (VAULT_DONE, right)
    (_, block), _ = aes_dukpt.secret("enter_pin", PAN, 4, 12, "dukpt-4", keys="123456 ENTER")
    with libcrypto.Cipher("aes", keys.working(dukpt.PIN, "aes"), encrypt=False) as cipher:
        assert pin_blocks.decipher_4(cipher, block, PAN) == b"123456"
    (_, block), _ = aes_dukpt.secret("enter_pin", PAN, 4, 12, "dukpt-0", keys="123456 ENTER")
    clear = libcrypto.tdes_ecb_decrypt(keys.working(dukpt.PIN, "tdes"), block)
    assert pin_blocks.decode("0", clear, PAN) == b"123456"


def test_a_serial_number_is_used_once_whatever_happens(tdes_dukpt):
    seen = []
    for number in range(6):
        seen.append(tdes_dukpt.answer("next_transaction")[1])
        if number % 2:
            tdes_dukpt.restart()
    assert len(set(seen)) == 6
    tdes_dukpt.break_medium()
    assert tdes_dukpt.answer("next_transaction") == (VAULT_REFUSED, "storage")


def test_a_transaction_that_was_not_kept_has_no_keys(tdes_dukpt):
    tdes_dukpt.answer("next_transaction")
    before = tdes_dukpt.answer("mac", b"data", "dukpt-x9.19")
    tdes_dukpt.break_medium()
    assert tdes_dukpt.answer("next_transaction") == (VAULT_REFUSED, "storage")
    assert tdes_dukpt.answer("mac", b"data", "dukpt-x9.19") == before


def test_before_the_first_transaction_and_after_a_restart_there_are_no_keys(tdes_dukpt):
    for _ in range(2):
        assert tdes_dukpt.answer("mac", b"data", "dukpt-x9.19") == (VAULT_REFUSED, "no-key")
        assert tdes_dukpt.answer("enter_pin", PAN, 4, 12, "dukpt-0") == (VAULT_REFUSED, "no-key")
        assert tdes_dukpt.answer("encrypt_track", TRACK) == (VAULT_REFUSED, "no-key")
        tdes_dukpt.answer("next_transaction")
        assert tdes_dukpt.answer("mac", b"data", "dukpt-x9.19")[0] == VAULT_DONE
        tdes_dukpt.restart()


def test_a_series_that_is_loaded_again_begins_at_its_beginning(tdes_dukpt):
    tdes_dukpt.answer("next_transaction")
    assert tdes_dukpt.answer("load_keys", [tdes_series(serial=SERIAL[:16])]) == (VAULT_DONE, None)
    assert tdes_dukpt.answer("mac", b"data", "dukpt-x9.19") == (VAULT_REFUSED, "no-key")
    assert tdes_dukpt.answer("next_transaction")[1].hex().upper() == SERIAL[:-1] + "1"


def test_a_series_without_a_place_to_begin_is_bad_data(rig):
    for serial in ("FFFF9876543210E00001", "FFFF9876543210", "XXXX9876543210E00000", ""):
        assert rig.answer("load_keys", [tdes_series(serial=serial)]) == BAD
    for initial in (INITIAL[:8], INITIAL + INITIAL[:8]):
        assert rig.answer("load_keys", [tdes_series(initial=initial)]) == BAD
    assert rig.answer("load_keys", [key_row("dukpt", INITIAL)]) == BAD
    assert rig.answer("next_transaction") == (VAULT_REFUSED, "no-key")


def test_new_working_keys_end_the_open_transaction(tdes_dukpt):
    tdes_dukpt.answer("next_transaction")
    assert tdes_dukpt.answer("load_keys", [key_row("track", TRACK_KEY)]) == (VAULT_DONE, None)
    assert tdes_dukpt.answer("mac", b"data", "dukpt-x9.19") == (VAULT_REFUSED, "no-key")
    assert tdes_dukpt.answer("encrypt_track", TRACK) == (VAULT_DONE, "6222620000000002D301A711E31DE8FFE1E00")
    assert tdes_dukpt.answer("next_transaction")[1].hex().upper() == SERIAL[:-1] + "2"


def test_a_new_master_key_ends_the_series(tdes_dukpt):
    tdes_dukpt.answer("next_transaction")
    assert tdes_dukpt.answer("load_keys", [key_row("master", AES_KEY, None, TRANSPORT)]) == (VAULT_DONE, None)
    assert tdes_dukpt.answer("mac", b"data", "dukpt-x9.19") == (VAULT_REFUSED, "no-key")
    assert tdes_dukpt.answer("next_transaction") == (VAULT_REFUSED, "no-key")


# MACs, tracks, PIN forms.


def test_each_method_has_its_mac(rig):
    key = PIN_KEY
    assert rig.answer("load_keys", [key_row("mac", key)]) == (VAULT_DONE, None)
    for method in ("unionpay", "unionpay-binary", "x9.9", "x9.19", "cmac"):
        right = macs.mac(method, "tdes", key, b"some data")
        assert rig.answer("mac", b"some data", method) == (VAULT_DONE, right) and len(right) == 8
        assert rig.answer("check_mac", b"some data", right, method) == (VAULT_DONE, True)
        assert rig.answer("check_mac", b"some datA", right, method) == (VAULT_DONE, False)


def test_a_method_that_does_not_fit_the_key_is_bad_data(signed_on):
    for method in ("x9.19", "cbc", "hmac", ""):
        assert signed_on.answer("mac", b"data", method) == BAD
        assert signed_on.answer("check_mac", b"data", bytes(8), method) == BAD
    assert signed_on.answer("mac", b"data", "dukpt-x9.19") == (VAULT_REFUSED, "no-key")


def test_aes_and_sm4_keys_make_their_macs(aes):
    assert aes.answer("load_keys", [key_row("mac", AES_KEY, None, AES_MASTER, "aes")]) == (VAULT_DONE, None)
    assert aes.answer("mac", b"data", "cmac") == (VAULT_DONE, libcrypto.cmac("aes", AES_KEY, b"data")[:8])
    for method in ("unionpay", "x9.9", "cbc"):
        assert aes.answer("mac", b"data", method) == BAD


def test_an_sm4_key_signs_as_unionpay_does(sm4):
    key = bytes.fromhex("12345678901234567890123456789012")
    assert sm4.answer("load_keys", [key_row("mac", key, None, SM4_MASTER, "sm4")]) == (VAULT_DONE, None)
    data = b"6000112018111411003020170930101010120171025000755000000005553"
    assert sm4.answer("mac", data) == (VAULT_DONE, b"1E80F373")
    assert sm4.answer("mac", data, "unionpay-binary") == (VAULT_DONE, bytes.fromhex("1E80F37340B0FEE6"))
    assert sm4.answer("mac", data, "cbc")[0] == VAULT_DONE
    assert sm4.answer("mac", data, "x9.9") == BAD


def test_a_track_is_sent_with_its_end_enciphered(rig):
    assert rig.answer("encrypt_track", TRACK) == (VAULT_REFUSED, "no-key")
    assert rig.answer("load_keys", [key_row("track", TRACK_KEY)]) == (VAULT_DONE, None)
    sent = (VAULT_DONE, "6222620000000002D301A711E31DE8FFE1E00")
    assert rig.answer("encrypt_track", TRACK) == sent
    assert rig.answer("encrypt_track", "6222620000000002D30122011234500000000") == sent
    for nothing in ("", "62226200000000x2=3012", "1" * 105, "F" * 20):
        assert rig.answer("encrypt_track", nothing) == BAD


def test_a_track_key_that_is_not_triple_des_enciphers_none(sm4):
    assert sm4.answer("load_keys", [key_row("track", AES_KEY, None, SM4_MASTER, "sm4")]) == (VAULT_DONE, None)
    assert sm4.answer("encrypt_track", TRACK) == BAD


def pin_in(rig, form, keys="482915 ENTER"):
    (name, block), typed = rig.secret("enter_pin", PAN, 4, 12, form, keys=keys)
    assert (name, typed) == (SECRET_READY, [1, 2, 3, 4, 5, 6])
    return block


def test_a_triple_des_key_takes_pins_in_the_old_forms(signed_on):
    for form in ("0", "0-without-pan", "3"):
        clear = libcrypto.tdes_ecb_decrypt(PIN_KEY, pin_in(signed_on, form))
        assert pin_blocks.decode(form, clear, PAN) == b"482915"
    assert pin_in(signed_on, "3") != pin_in(signed_on, "3")
    for form in ("4", "1", "2", "sm4", "dukpt-4", ""):
        assert signed_on.answer("enter_pin", PAN, 4, 12, form)[0] == VAULT_REFUSED
    assert signed_on.answer("enter_pin", PAN, 4, 12, "4") == BAD


def test_an_aes_key_takes_pins_in_form_4(aes):
    assert aes.answer("load_keys", [key_row("pin", AES_KEY, None, AES_MASTER, "aes")]) == (VAULT_DONE, None)
    with libcrypto.Cipher("aes", AES_KEY, encrypt=False) as cipher:
        assert pin_blocks.decipher_4(cipher, pin_in(aes, "4"), PAN) == b"482915"
    for form in ("0", "0-without-pan", "3"):
        assert aes.answer("enter_pin", PAN, 4, 12, form) == BAD


def test_an_sm4_key_takes_pins_of_16_bytes(sm4):
    assert sm4.answer("load_keys", [key_row("pin", AES_KEY, None, SM4_MASTER, "sm4")]) == (VAULT_DONE, None)
    for form, clear_form in (("0", "sm4"), ("0-without-pan", "sm4-without-pan")):
        clear = libcrypto.sm4_ecb_decrypt(AES_KEY, pin_in(sm4, form))
        assert pin_blocks.decode(clear_form, clear, PAN) == b"482915"
    assert sm4.answer("enter_pin", PAN, 4, 12, "3") == BAD


# A card number, and the PIN of the SIM.


def test_a_card_number_is_typed_unseen_and_handed_on(rig):
    (name, value), typed = rig.secret("enter_card", keys=PAN + " ENTER")
    assert (name, value, typed) == (SECRET_READY, PAN, list(range(1, 17)))
    assert rig.keys_for_the_firmware() == []


def test_a_card_number_has_13_to_19_digits(rig):
    (name, value), typed = rig.secret("enter_card", keys="ENTER 123456789012 ENTER 3 BACK 45678901 ENTER")
    assert (name, value) == (SECRET_READY, "1234567890124567890")
    assert typed[-1] == 19
    assert rig.secret("enter_card", keys="12 CANCEL")[0] == (SECRET_STOPPED, "cancel")


def test_the_right_pin_of_the_sim_is_kept(rig):
    assert rig.port.sim_pin() is None
    assert rig.secret("enter_sim_pin", keys="1111 ENTER") == ((SECRET_READY, "wrong"), [1, 2, 3, 4])
    assert rig.port.sim_pin() is None
    assert rig.secret("enter_sim_pin", keys="ENTER 482915 ENTER")[0] == (SECRET_READY, "right")
    assert rig.port.sim_pin() == b"482915"
    rig.restart()
    assert rig.port.sim_pin() == b"482915"
    assert not any(any(pin) for pin in rig.modem.given)
    rig.port.drop_sim_pin()
    rig.rest()
    assert rig.port.sim_pin() is None


def test_a_right_pin_that_cannot_be_kept_is_right_all_the_same(rig):
    rig.break_medium()
    assert rig.secret("enter_sim_pin", keys="482915 ENTER")[0] == (SECRET_READY, "right")
    assert rig.port.sim_pin() is None
    rig.port.drop_sim_pin()


def test_without_a_modem_the_sim_has_no_pin(rig):
    rig.modem.there = False
    assert rig.secret("enter_sim_pin", keys="482915 ENTER")[0] == (SECRET_READY, "no-modem")
    rig.port.attach_modem(None)
    assert rig.answer("enter_sim_pin") == (SECRET_READY, "no-modem")
    rig.type("5")
    assert rig.keys_for_the_firmware() == ["5"]


def test_a_pin_that_proves_right_after_stop_is_kept_and_not_told(rig):
    rig.modem.holds = True
    ticket = rig.ask("enter_sim_pin")
    rig.type("482915 ENTER")
    rig.rest()
    rig.port.stop(ticket)
    rig.modem.answer()
    assert rig.rest() == []
    assert rig.port.sim_pin() == b"482915"


def test_a_wipe_takes_the_pin_of_the_sim(rig):
    rig.secret("enter_sim_pin", keys="482915 ENTER")
    rig.port.wipe()
    assert rig.port.sim_pin() is None
    assert rig.answer("enter_sim_pin") == (VAULT_REFUSED, "wiped")
