import pytest

from drivers import kcv
from tests.firmware.test_tlv import vectors


def test_every_published_check_value_is_ours():
    ran = 0
    for vector in vectors("../host/kcv.json")["vectors"]:
        key, published = bytes.fromhex(vector["key"]), bytes.fromhex(vector["kcv"])
        cipher = next(name for word, name in (("SM4", "sm4"), ("AES", "aes"), ("DES", "tdes")) if word in vector["algorithm"])
        whole = kcv.of_cmac(cipher, key) if cipher == "aes" else kcv.of_zeros(cipher, key)
        assert whole == bytes.fromhex(vector["full"]), vector["id"]
        assert whole.startswith(published) and kcv.check_value(cipher, key) == whole[:4]
        assert kcv.fits(cipher, key, published[:8])
        if "cup_kcv4" in vector:
            assert kcv.check_value("tdes", key).hex().upper() == vector["cup_kcv4"]
        if "aes_ecb_zero" in vector:
            other = bytes.fromhex(vector["aes_ecb_zero"])
            assert kcv.of_zeros("aes", key).startswith(other) and kcv.fits("aes", key, other)
        ran += 1
    assert ran >= 17


@pytest.mark.parametrize("cipher", ["tdes", "aes", "sm4"])
def test_another_keys_check_value_does_not_fit(cipher):
    key = bytes(range(16))
    right = kcv.check_value(cipher, key)
    assert kcv.fits(cipher, key, right) and kcv.fits(cipher, key, right[:3])
    assert kcv.fits(cipher, key, right + b"what follows is not looked at")
    for wrong in (right[:2] + b"\0", bytes(4), right[:3] + bytes((right[3] ^ 1,))):
        assert not kcv.fits(cipher, key, wrong)
