import random

import pytest

from drivers import libcrypto
from drivers.libcrypto import Cipher, CryptoError
from tests.firmware.test_tlv import vectors


def test_single_double_and_triple_length_des_agree_with_published_values():
    # FIPS 46-3 style examples: zeros under 0123456789ABCDEF, and under it with its complement.
    single = bytes.fromhex("0123456789ABCDEF")
    double = single + bytes.fromhex("FEDCBA9876543210")
    assert libcrypto.tdes_ecb_encrypt(single, bytes(8)).hex() == "d5d44ff720683d0d"
    assert libcrypto.tdes_ecb_encrypt(double, bytes(8)).hex() == "08d7b4fb629d0885"
    assert libcrypto.tdes_ecb_encrypt(double + single, bytes(8)).hex() == "08d7b4fb629d0885"


def test_aes_agrees_with_fips_197():
    plain = bytes.fromhex("00112233445566778899aabbccddeeff")
    for size, sealed in (
        (16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
        (24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
        (32, "8ea2b7ca516745bfeafc49904b496089"),
    ):
        assert libcrypto.aes_ecb_encrypt(bytes(range(size)), plain).hex() == sealed
        assert libcrypto.aes_ecb_decrypt(bytes(range(size)), bytes.fromhex(sealed)) == plain


def test_gcm_agrees_with_nist():
    # The GCM specification's test case 14 (256 bits, zeros), and 13 without text.
    assert libcrypto.gcm_seal(bytes(32), bytes(12), b"").hex() == "530f8afbc74536b9a963b4f1c4cb738b"
    sealed = libcrypto.gcm_seal(bytes(32), bytes(12), bytes(16))
    assert sealed.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"


def test_sm4_agrees_with_the_standard():
    ran = 0
    for vector in vectors("../host/sm4.json")["vectors"]:
        key, plain, sealed = (bytes.fromhex(vector[name]) for name in ("key", "plain", "cipher"))
        if "iterations" in vector:
            # Again and again is CBC over zeros, with the text as the vector to begin with.
            with Cipher("sm4", key, True, plain) as cipher:
                assert cipher.run(bytes(16 * vector["iterations"]))[-16:] == sealed
        else:
            assert libcrypto.sm4_ecb_encrypt(key, plain) == sealed
            assert libcrypto.sm4_ecb_decrypt(key, sealed) == plain
        ran += 1
    assert ran >= 5


def test_cmac_agrees_with_nist_for_every_cipher_and_length_of_message():
    # SP 800-38B D.1 (AES-128), D.4 (three-key TDEA); and the definition's two cases around a whole block.
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    assert libcrypto.cmac("aes", key, b"").hex() == "bb1d6929e95937287fa37d129b756746"
    assert libcrypto.cmac("aes", key, message[:16]).hex() == "070a16b46b4d4144f79bdd9dd04a287c"
    third = bytes.fromhex("8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5")
    assert libcrypto.cmac("tdes", third, b"").hex() == "b7a688e122ffaf95"
    assert libcrypto.cmac("tdes", third, message[:8]).hex() == "8e8f293136283797"
    assert libcrypto.cmac("tdes", third[:8], message) == libcrypto.cmac("tdes", third[:8] * 3, message)
    assert libcrypto.cmac("tdes", third[:16], message) == libcrypto.cmac("tdes", third[:16] + third[:8], message)
    assert len(libcrypto.cmac("sm4", key, bytearray(message))) == 16


def test_counter_mode_agrees_with_nist():
    # SP 800-38A F.5.1
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    counter = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    sealed = libcrypto.aes_ctr(key, counter, plain)
    assert sealed.hex() == "874d6191b620e3261bef6864990db6ce"
    assert libcrypto.aes_ctr(key, counter, sealed) == plain
    assert libcrypto.aes_ctr(key, counter, plain[:5]) == sealed[:5] and libcrypto.aes_ctr(key, counter, b"") == b""


def test_keys_and_counters_of_another_length_are_refused():
    for work in (
        lambda: libcrypto.cmac("tdes", bytes(7), b""),
        lambda: libcrypto.cmac("sm4", bytes(24), b""),
        lambda: libcrypto.aes_ctr(bytes(8), bytes(16), b""),
        lambda: libcrypto.aes_ctr(bytes(16), bytes(12), b""),
    ):
        with pytest.raises(CryptoError):
            work()


def test_a_library_without_cmac_says_so(monkeypatch):
    monkeypatch.setattr(libcrypto, "_library", None)
    monkeypatch.setitem(libcrypto.CMAC_FUNCTIONS, "CMAC_that_is_not_there", (None, ()))
    with pytest.raises(CryptoError, match="lacks CMAC_that_is_not_there"):
        libcrypto.cmac("aes", bytes(16), b"")


def test_what_is_enciphered_can_be_deciphered():
    chance = random.Random(1)
    for name, sizes in libcrypto.KEY_BYTES.items():
        for size in sizes:
            for iv in (None, chance.randbytes(16 if name != "tdes" else 8)):
                key, data = bytearray(chance.randbytes(size)), bytearray(chance.randbytes(48))
                with Cipher(name, key, True, iv) as there, Cipher(name, bytes(key), False, iv) as back:
                    sealed = there.run(data)
                    assert sealed != data
                    assert back.run_secret(sealed) == data


def test_a_kept_context_gives_what_a_new_one_gives():
    key = bytes(range(16))
    with Cipher("tdes", key) as cipher:
        for number in range(50):
            block = number.to_bytes(8, "big")
            assert cipher.run(block) == libcrypto.tdes_ecb_encrypt(key, block)


def test_cbc_goes_on_from_call_to_call():
    data = bytes(range(64))
    with Cipher("tdes", bytes(range(16)), iv=bytes(8)) as cipher:
        parts = cipher.run(data[:24]) + cipher.run(data[24:])
    assert parts == libcrypto.tdes_cbc_encrypt(bytes(range(16)), data)
    assert libcrypto.tdes_cbc_decrypt(bytes(range(16)), parts) == data


def test_the_key_that_was_given_is_not_changed():
    key = bytearray(range(16))
    libcrypto.tdes_ecb_encrypt(key, bytes(8))
    assert key == bytearray(range(16))


def test_a_bytearray_is_wiped_where_it_lies():
    first, second, empty = bytearray(b"first"), bytearray(b"second"), bytearray()
    also = first
    libcrypto.cleanse(first, second, empty)
    assert also == bytes(5)
    assert second == bytes(6)


@pytest.mark.parametrize("name,size", [("tdes", 7), ("tdes", 0), ("tdes", 32), ("aes", 8), ("sm4", 24)])
def test_a_key_of_another_length_is_refused_by_name(name, size):
    with pytest.raises(CryptoError, match=name):
        Cipher(name, bytes(size))


def test_half_a_block_is_refused():
    for data in (b"1", bytes(9), bytearray(15)):
        with pytest.raises(CryptoError, match="whole blocks"):
            libcrypto.tdes_ecb_encrypt(bytes(range(8)), data)


def test_nothing_enciphered_is_nothing():
    assert libcrypto.tdes_ecb_encrypt(bytes(range(8)), b"") == b""


def test_a_closed_cipher_says_so():
    cipher = Cipher("aes", bytes(16))
    cipher.close()
    cipher.close()
    with pytest.raises(CryptoError, match="closed"):
        cipher.run(bytes(16))


def test_text_is_no_data():
    with pytest.raises(TypeError):
        libcrypto.tdes_ecb_encrypt(bytes(range(8)), "12345678")


def test_gcm_opens_only_what_was_sealed():
    chance = random.Random(2)
    key, nonce = chance.randbytes(32), chance.randbytes(12)
    for size in (0, 1, 16, 300):
        data, header = chance.randbytes(size), chance.randbytes(size % 7)
        sealed = libcrypto.gcm_seal(key, nonce, data, header)
        assert libcrypto.gcm_open(key, nonce, sealed, header) == data
        for _ in range(40):
            damaged = bytearray(sealed)
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
            with pytest.raises(CryptoError, match="tag"):
                libcrypto.gcm_open(key, nonce, damaged, header)
        for cut in range(min(20, len(sealed))):
            with pytest.raises(CryptoError):
                libcrypto.gcm_open(key, nonce, sealed[:cut], header)
        with pytest.raises(CryptoError):
            libcrypto.gcm_open(key, nonce, sealed, header + b"x")


def test_errors_do_not_show_what_they_are_about():
    for key, data in ((b"KEY-OF-SOMEBODY", bytes(8)), (b"KEY-OF-8", b"DATA-OF-SOMEBODY")):
        with pytest.raises(CryptoError) as caught:
            libcrypto.gcm_open(key, bytes(12), data)
        assert "SOMEBODY" not in str(caught.value)


def test_rsa_gives_what_the_definition_says():
    chance = random.Random(29)
    for size in (64, 128, 144, 248):
        modulus = bytes([0xC1]) + chance.randbytes(size - 2) + b"\x01"
        for exponent in (3, 65537):
            block = b"\x7f" + chance.randbytes(size - 1)
            expected = pow(int.from_bytes(block, "big"), exponent, int.from_bytes(modulus, "big")).to_bytes(size, "big")
            assert libcrypto.rsa_public(modulus, exponent, block) == expected
            assert libcrypto.rsa_public(modulus, exponent, bytearray(block)) == expected
    assert libcrypto.rsa_public(b"\xc1" * 64, 3, bytes(63) + b"\x02") == bytes(63) + b"\x08"


def test_rsa_refuses_a_block_that_is_not_below_the_modulus():
    modulus = b"\xc1" * 64
    for block, exponent in ((modulus, 3), (b"\xff" * 64, 3), (bytes(63), 3), (bytes(65), 3), (bytes(64), 0)):
        with pytest.raises(libcrypto.CryptoError) as caught:
            libcrypto.rsa_public(modulus, exponent, block)
        assert "c1" not in str(caught.value).lower()
    for modulus in (b"", bytes(64), b"\xc1" * 513):
        with pytest.raises(libcrypto.CryptoError):
            libcrypto.rsa_public(modulus, 3, bytes(len(modulus)))


def test_the_library_says_its_version():
    major, minor, fix = libcrypto.version().split(".")
    assert int(major) in (1, 3)
    assert minor.isdigit()
    assert fix.isdigit()


def test_a_machine_without_libcrypto_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(libcrypto, "_library", None)
    monkeypatch.setattr(libcrypto, "SONAMES", ("libcrypto.so.of-nobody",))
    with pytest.raises(CryptoError, match="libssl3"):
        libcrypto.tdes_ecb_encrypt(bytes(range(8)), bytes(8))
    monkeypatch.undo()
    assert len(libcrypto.tdes_ecb_encrypt(bytes(range(8)), bytes(8))) == 8


def test_a_build_without_a_cipher_says_which(monkeypatch):
    monkeypatch.setitem(libcrypto.CIPHERS, "sm4", ("EVP_sm4_that_is_not_there", "EVP_sm4_that_is_not_there", 16))
    with pytest.raises(CryptoError, match="EVP_sm4_that_is_not_there"):
        libcrypto.sm4_ecb_encrypt(bytes(16), bytes(16))
