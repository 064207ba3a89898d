import random

import pytest

from drivers import libcrypto, macs
from drivers.libcrypto import Cipher
from tests.firmware.test_tlv import vectors

KEY = bytes(range(16))


def unhex(vector, *names):
    return [bytes.fromhex(vector[name]) for name in names]


def run(vector):
    """(what we make, what is published) of a vector."""
    kind = vector["algorithm"]
    (data,) = unhex(vector, "data")
    if kind.startswith("ISO 9797-1 padding"):
        return macs.padded(data, int(kind[-1]), vector["block_len"]), bytes.fromhex(vector["result"])
    published = bytes.fromhex(vector["mac"])
    if "alg 3, key1" in kind:
        made = macs.retail_mac(*unhex(vector, "key1", "key2"), data, vector["padding"])
    elif kind == "ISO 9797-1 alg 1, TDES":
        made = macs.cbc_mac("tdes", *unhex(vector, "key"), data, vector["padding"])
    elif kind.startswith("ANSI X9.9"):
        made = macs.mac("x9.9", "tdes", *unhex(vector, "key"), data)
    elif kind.startswith("ANSI X9.19"):
        made = macs.mac("x9.19", "tdes", *unhex(vector, "key"), data)
    elif "CMAC" in kind:
        made = libcrypto.cmac("aes" if "AES" in kind else "tdes", *unhex(vector, "key"), data)
    elif kind.startswith("UnionPay POS ECB MAC"):
        cipher = "sm4" if "SM4" in kind else "tdes"
        made, published = macs.mac("unionpay", cipher, *unhex(vector, "key"), data), bytes.fromhex(vector["f64"])
        if "first8_raw" in vector["trace"]:
            binary = macs.mac("unionpay-binary", cipher, *unhex(vector, "key"), data)
            assert binary.hex().upper() == vector["trace"]["first8_raw"]
        with Cipher(cipher, *unhex(vector, "key")) as key:
            assert macs.unionpay_block(key, data).hex().upper() == vector["trace"]["enc_block2"]
    else:
        raise AssertionError(kind)
    return made[: vector.get("length", len(published))], published


def test_every_published_mac_is_ours():
    ran = 0
    for vector in vectors("../host/mac.json")["vectors"]:
        made, published = run(vector)
        assert made == published, vector["id"]
        ran += 1
    assert ran >= 29


def test_the_published_macs_of_dukpt_transactions_are_ours_too():
    published = vectors("../host/dukpt_tdes.json")
    data = published["txn_data_ascii"].encode()
    for vector in published["vectors"]:
        request, reply = unhex(vector["computed"], "mac_req_key", "mac_rsp_key")
        assert macs.mac("x9.19", "tdes", request, data)[:4].hex().upper() == vector["mac_request4"]
        assert macs.mac("x9.19", "tdes", reply, data)[:4].hex().upper() == vector["mac_response4"]
        assert macs.mac("cmac", "tdes", request, data).hex().upper() == vector["cmac_request8"]
        assert macs.mac("cmac", "tdes", reply, data).hex().upper() == vector["cmac_response8"]


def test_a_single_length_key_and_its_doubled_one_sign_the_same():
    short, data = KEY[:8], bytes(range(50))
    for method in ("unionpay", "x9.9"):
        assert macs.mac(method, "tdes", short, data) == macs.mac(method, "tdes", short * 2, data)
    assert macs.mac("x9.19", "tdes", short * 2, data) == macs.mac("x9.9", "tdes", short, data)


def test_every_method_gives_eight_bytes_of_any_message():
    chance = random.Random(31)
    for method, (keys, _) in macs.METHODS.items():
        for cipher, sizes in keys.items():
            for size in sizes:
                key = chance.randbytes(size)
                made = {macs.mac(method, cipher, key, chance.randbytes(length)) for length in (0, 1, 7, 8, 15, 16, 17, 300)}
                assert {len(one) for one in made} == {8} and len(made) == 8, (method, cipher)


def test_a_key_that_does_not_fit_the_method_is_refused_by_name():
    for method, cipher, size in (("x9.19", "tdes", 8), ("x9.9", "aes", 16), ("cbc", "tdes", 16), ("unionpay", "aes", 16)):
        with pytest.raises(macs.MacError, match=method):
            macs.mac(method, cipher, bytes(size), b"data")
    for wrong in (lambda: macs.fits("hmac", "aes", 16), lambda: macs.padded(b"", 4, 8)):
        with pytest.raises(macs.MacError):
            wrong()
