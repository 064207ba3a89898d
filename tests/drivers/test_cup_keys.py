import pytest

from drivers import cup_keys, libcrypto
from drivers.cup_keys import TrackError
from drivers.libcrypto import Cipher
from firmware.iso8583 import unionpay
from firmware.iso8583.codec import Iso8583Error
from tests.firmware.test_tlv import vectors

LENGTHS = {24, 40, 56, 57, 60, 84}


def test_check_values_agree_with_the_vectors():
    checked = 0
    for vector in vectors("../host/kcv.json")["vectors"]:
        if "cup_kcv4" in vector:
            assert cup_keys.check_value(bytes.fromhex(vector["key"])).hex().upper() == vector["cup_kcv4"], vector["id"]
            checked += 1
    assert checked >= 13


def test_macs_agree_with_the_vectors():
    checked = 0
    for vector in vectors("../host/mac.json")["vectors"]:
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


def opened(vector):
    """{slot: key, or None} of the working keys in a sign-on reply."""
    cipher = "sm4" if "sm4" in vector["id"] else "tdes"
    with Cipher(cipher, bytes.fromhex(vector["tmk"]), encrypt=False) as master:
        rows = unionpay.keys(bytes.fromhex(vector["f62"]))
        return {slot: cup_keys.open_key_block(master, block, check, cipher) for slot, block, check in rows}


def test_every_published_reply_with_keys_opens_or_is_refused():
    names = {"PIK": "pin", "MAK": "mac", "TDK": "track"}
    seen = set()
    for vector in vectors("../host/cup_keys.json")["keys"]:
        if "f62" not in vector:
            # A master key of a maker's own download: a letter, key and check value in hexadecimal digits.
            reply = vector["f62_ascii"]
            with Cipher("tdes", bytes.fromhex(vector["klk"]), encrypt=False) as transport:
                key = cup_keys.open_key_block(transport, bytes.fromhex(reply[1:33]), bytes.fromhex(reply[33:]))
            assert (reply[0], key.hex().upper()) == ("B", vector["tmk"])
        elif "keys" in vector:
            wanted = {names[key["name"]]: bytes.fromhex(key["key"]) for key in vector["keys"]}
            assert opened(vector) == wanted, vector["id"]
        elif vector["f62_len"] not in LENGTHS:
            with pytest.raises(Iso8583Error):
                unionpay.keys(bytes.fromhex(vector["f62"]))
        elif "expect_error" in vector:
            assert None in opened(vector).values(), vector["id"]
        else:
            # A real reply, whose master key nobody knows: the parts only.
            assert len(unionpay.keys(bytes.fromhex(vector["f62"]))) in (2, 3)
        seen.add(vector["id"])
    assert len(seen) >= 15


def test_every_published_track_is_sent_as_published():
    published = vectors("../host/cup_keys.json")
    tracks = [vector.get("sample", vector) for vector in published["tracks"]]
    with Cipher("tdes", bytes.fromhex(published["tdk"])) as key:
        for vector in tracks:
            assert cup_keys.encrypted_track(key, vector["track"]) == vector["sent"], vector["track"]
            assert len(vector["track"]) == vector["length"]
    assert len(tracks) >= 6


def test_a_short_track_gets_signs_in_front():
    with Cipher("tdes", bytes(range(16))) as key, Cipher("tdes", bytes(range(16)), encrypt=False) as back:
        for track in ("1", "1234567890123456", "12345678=0"):
            sent = cup_keys.encrypted_track(key, track)
            clear = back.run(bytes.fromhex(sent[:16])).hex().upper() + sent[16:]
            assert len(sent) == 17 and clear.lstrip("F") == track.replace("=", "D")
        assert len(cup_keys.encrypted_track(key, "1" * 18)) == 18


def test_what_is_no_track_is_refused_unseen():
    with Cipher("tdes", bytes(range(16))) as key:
        for track in ("", "622262000000000X2=3012", "1" * 105, "%B6222620000000002^"):
            with pytest.raises(TrackError) as caught:
                cup_keys.encrypted_track(key, track)
            assert "6222" not in str(caught.value)


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


def test_the_pin_block_of_field_52_is_format_0():
    assert cup_keys.pin_block(bytearray(b"1234"), "6222620000000002").hex().upper() == "041212DFFFFFFFFF"
