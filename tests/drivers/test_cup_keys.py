import json
import random
from pathlib import Path

import pytest

from drivers import cup_keys, libcrypto
from drivers.libcrypto import Cipher

VECTORS = Path(__file__).parents[2] / ".." / "shared" / "vectors" / "host"


def vectors(name):
    if not VECTORS.is_dir():
        pytest.skip("no ../shared beside this clone: its vectors are not run")
    return json.loads((VECTORS / name).read_text())


def test_check_values_agree_with_the_vectors():
    checked = 0
    for vector in vectors("kcv.json")["vectors"]:
        if "cup_kcv4" in vector:
            assert cup_keys.check_value(bytes.fromhex(vector["key"])).hex().upper() == vector["cup_kcv4"], vector["id"]
            checked += 1
    assert checked >= 13


def test_macs_agree_with_the_vectors():
    checked = 0
    for vector in vectors("mac.json")["vectors"]:
        if vector["algorithm"] == "UnionPay POS ECB MAC":
            with Cipher("tdes", bytes.fromhex(vector["key"])) as key:
                assert cup_keys.ecb_mac(key, bytes.fromhex(vector["data"])).hex() == vector["f64"], vector["id"]
            checked += 1
    assert checked >= 8


def test_the_worked_example_of_the_mac():
    # reference/host.md §4: the working key under its master key, then a result block that is its own data.
    master = bytes.fromhex("70F2A84CCBC2AE8625CBB0F2C22AB923")
    key = libcrypto.tdes_ecb_decrypt(master, bytes.fromhex("96D605EA176B7E9E"))
    with Cipher("tdes", key) as cipher:
        assert cup_keys.ecb_mac(cipher, bytes.fromhex("4D08F434464FE7BF")) == b"8A9E91B8"
    with Cipher("tdes", bytes.fromhex("0723C80DB5F4CD3D") * 2) as cipher:
        assert cup_keys.ecb_mac(cipher, bytes.fromhex("3761343619AC6492")) == b"B3A092AE"


def test_a_mac_pads_with_zeros():
    with Cipher("tdes", bytes(range(8))) as key:
        assert cup_keys.ecb_mac(key, b"12345678\x01") == cup_keys.ecb_mac(key, b"12345678\x01\0\0\0\0\0\0\0")
        assert len(cup_keys.ecb_mac(key, b"")) == 8


def test_key_blocks_of_every_layout_open():
    checked = 0
    for vector in vectors("cup_keys.json")["keys"]:
        if "tmk" not in vector or "sm4" in vector["id"] or "keys" not in vector:
            continue
        with Cipher("tdes", bytes.fromhex(vector["tmk"]), encrypt=False) as master:
            for key in vector["keys"]:
                opened = cup_keys.open_key_block(master, bytes.fromhex(key["encrypted"]), bytes.fromhex(key["kcv"]))
                assert opened == bytes.fromhex(key["key"]), (vector["id"], key["name"])
                checked += 1
    assert checked >= 13


def test_a_key_block_with_another_check_value_stays_closed():
    with Cipher("tdes", bytes(range(16)), encrypt=False) as master:
        assert cup_keys.open_key_block(master, bytes(range(16)), b"\1\2\3\4") is None
        assert cup_keys.open_key_block(master, bytes(range(8)), b"\1\2\3\4") is None


def test_half_a_double_length_key_is_no_key():
    # Somebody on the line may offer the check value of the first half alone: that would be single DES.
    key = bytes.fromhex("1A2A3D4C5E6E708092A2B5C4D6E6F801")
    block = libcrypto.tdes_ecb_encrypt(bytes(range(16)), key)
    with Cipher("tdes", bytes(range(16)), encrypt=False) as master:
        assert cup_keys.open_key_block(master, block, cup_keys.check_value(key[:8])) is None
        assert cup_keys.open_key_block(master, block, cup_keys.check_value(key)) == key


def test_pin_blocks_agree_with_the_vectors():
    checked = 0
    for vector in vectors("pinblock.json")["vectors"]:
        if vector["format"] != 0:
            continue
        if vector["kind"] == "encode":
            clear = cup_keys.pin_block(bytearray(vector["pin"].encode()), vector["pan"])
            assert clear.hex().upper() == vector["pin_block"], vector["id"]
        elif vector["kind"] == "encrypt_tdes":
            clear = cup_keys.pin_block(bytearray(vector["pin"].encode()), vector["pan"])
            assert libcrypto.tdes_ecb_encrypt(bytes.fromhex(vector["key"]), clear).hex().upper() == vector["f52"]
        elif vector["kind"] == "encode_error":
            with pytest.raises(ValueError):
                cup_keys.pin_block(bytearray(vector["pin"].encode()), vector["pan"])
        else:
            continue
        checked += 1
    assert checked >= 6


def test_a_pin_block_of_any_length_gives_the_pin_back():
    chance = random.Random(3)
    for _ in range(200):
        pin = "".join(chance.choice("0123456789") for _ in range(chance.randint(4, 12)))
        pan = "".join(chance.choice("0123456789") for _ in range(chance.randint(13, 19)))
        block = cup_keys.pin_block(bytearray(pin.encode()), pan)
        field = int("0000" + pan[-13:-1], 16)
        clear = "%016X" % (int.from_bytes(block, "big") ^ field)
        assert clear == "0%X" % len(pin) + pin + "F" * (14 - len(pin))


@pytest.mark.parametrize("pin", [b"123", b"1234567890123", b"12a4", b""], ids=["short", "long", "letter", "none"])
def test_what_is_no_pin_is_refused_unseen(pin):
    with pytest.raises(ValueError) as caught:
        cup_keys.pin_block(bytearray(pin), "6222620000000002")
    assert not pin or pin.decode() not in str(caught.value)


@pytest.mark.parametrize(
    "pan",
    ["123456789012", "12345678901234567890", "62226200000000x2", "６２２２６２００００００００２", None, b"6222620000000002"],
    ids=["short", "long", "letter", "wide digits", "none", "bytes"],
)
def test_what_is_no_card_number_is_refused_unseen(pan):
    with pytest.raises(ValueError) as caught:
        cup_keys.checked_pan(pan)
    assert str(pan) not in str(caught.value)
