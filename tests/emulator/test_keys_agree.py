"""The terminal's cryptography and the acquirer's were written apart: on any input they say the same."""

import random

import pytest

from drivers import cup_keys, dukpt, kcv, macs, pin_blocks
from drivers.libcrypto import KEY_BYTES, Cipher
from emulator.acquirer.keys import Engine

ROUNDS = 12
FORMS = [("0", "0", "tdes"), ("3", "3", "tdes"), ("sm4", "0", "sm4")]


@pytest.fixture
def chance():
    return random.Random(47)


def digits(chance, least, most):
    return "".join(chance.choice("0123456789") for _ in range(chance.randint(least, most)))


@pytest.mark.parametrize("method", sorted(macs.METHODS))
def test_macs_agree(chance, method):
    engine = Engine()
    for cipher, sizes in macs.METHODS[method][0].items():
        for size in sizes:
            for _ in range(ROUNDS):
                key, data = chance.randbytes(size), chance.randbytes(chance.randrange(1, 200))
                assert macs.mac(method, cipher, key, data) == engine.mac(key, data, method, cipher)


def test_check_values_agree(chance):
    for cipher, sizes in KEY_BYTES.items():
        for size in sizes:
            key = chance.randbytes(size)
            assert kcv.of_zeros(cipher, key)[:4] == Engine().check_value(key, 4, cipher)


@pytest.mark.parametrize(("form", "theirs", "cipher"), FORMS, ids=[form for form, _, _ in FORMS])
def test_the_acquirer_reads_our_pin_blocks(chance, form, theirs, cipher):
    for _ in range(ROUNDS):
        key, pin, pan = chance.randbytes(16), digits(chance, 4, 12), digits(chance, 13, 19)
        with Cipher(cipher, key) as schedule:
            block = schedule.run(pin_blocks.encode(form, bytearray(pin.encode()), pan, chance.randbytes))
        assert Engine().pin(key, block, pan, theirs, cipher) == pin


def test_the_acquirer_reads_our_pin_blocks_of_form_4(chance):
    for size in (16, 24, 32):
        key, pin, pan = chance.randbytes(size), digits(chance, 4, 12), digits(chance, 13, 19)
        with Cipher("aes", key) as schedule:
            block = pin_blocks.encipher_4(schedule, bytearray(pin.encode()), pan, chance.randbytes)
        assert Engine().pin(key, block, pan, "4", "aes") == pin


def test_the_acquirer_reads_our_tracks(chance):
    for _ in range(ROUNDS * 2):
        key, track = chance.randbytes(16), digits(chance, 13, 19) + "D" + digits(chance, 1, 18)
        with Cipher("tdes", key) as schedule:
            assert Engine().clear_track(key, cup_keys.encrypted_track(schedule, track)) == track


def test_the_keys_of_a_triple_des_series_agree(chance):
    base, start = chance.randbytes(16), chance.randbytes(7) + bytes((chance.randrange(8) << 5, 0, 0))
    series = dukpt.Series.begin("tdes", dukpt.tdes_initial_key(base, start), start)
    for _ in range(ROUNDS * 5):
        ours = series.advance()
        keys = Engine().dukpt(base, ours.serial, "tdes")
        for use, theirs in ((dukpt.PIN, keys.pin), (dukpt.MAC_REQUEST, keys.mac), (dukpt.MAC_RESPONSE, keys.reply_mac),
                            (dukpt.DATA_REQUEST, keys.track)):  # fmt: skip
            assert ours.working(use, "tdes") == theirs.value


@pytest.mark.parametrize("size", [16, 24, 32])
def test_the_keys_of_an_aes_series_agree(chance, size):
    base, start = chance.randbytes(size), chance.randbytes(8) + bytes(4)
    series = dukpt.Series.begin("aes", dukpt.aes_initial_key(base, start[:8]), start)
    for _ in range(ROUNDS * 5):
        ours = series.advance()
        for kind in ("aes", "tdes"):
            keys = Engine().dukpt(base, ours.serial, "aes", kind, kind)
            for use, theirs in ((dukpt.PIN, keys.pin), (dukpt.MAC_REQUEST, keys.mac), (dukpt.MAC_RESPONSE, keys.reply_mac)):
                assert ours.working(use, kind) == theirs.value
        assert ours.working(dukpt.DATA_REQUEST, "tdes") == keys.track.value
