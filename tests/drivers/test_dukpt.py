import random

import pytest

from drivers import dukpt, libcrypto, pin_blocks
from drivers.dukpt import DukptError, Series, Transaction, Worn
from tests.firmware.test_tlv import vectors

TDES_START = bytes.fromhex("FFFF9876543210E00000")
AES_START = bytes.fromhex("123456789012345600000000")
STARTS = [("tdes", 16, TDES_START), ("aes", 16, AES_START), ("aes", 24, AES_START), ("aes", 32, AES_START)]
USES = {
    dukpt.PIN: "pin_key",
    dukpt.MAC_REQUEST: "mac_req_key",
    dukpt.MAC_RESPONSE: "mac_rsp_key",
    dukpt.DATA_REQUEST: "data_req_key",
    dukpt.DATA_RESPONSE: "data_rsp_key",
}


def unhex(text):
    return bytes.fromhex(text)


def shown(key):
    return bytes(key).hex().upper()


def test_the_published_triple_des_series_is_ours():
    published = vectors("../host/dukpt_tdes.json")
    initial = dukpt.tdes_initial_key(unhex(published["bdk"]), unhex(published["iksn"]))
    assert shown(initial) == published["ik"]
    data = published["txn_data_ascii"].encode()
    for vector in published["vectors"]:
        serial = unhex(vector["ksn"])
        key = dukpt.transaction_key("tdes", initial, serial)
        assert shown(key) == vector["txn_key"], vector["id"]
        transaction = Transaction("tdes", key, serial)
        for use, name in USES.items():
            assert shown(transaction.working(use, "tdes")) == vector["computed"][name], (vector["id"], use)
        padded = data + bytes(-len(data) % 8)
        request = libcrypto.tdes_cbc_encrypt(transaction.working(dukpt.DATA_REQUEST, "tdes"), padded)
        reply = libcrypto.tdes_cbc_encrypt(transaction.working(dukpt.DATA_RESPONSE, "tdes"), padded)
        assert (shown(request), shown(reply)) == (vector["enc_request"], vector["computed"]["enc_response"])
    assert len(published["vectors"]) >= 12


# name of a vector's key: (usage, cipher)
AES_KEYS = {
    "pin_key_%s": 0x1000,
    "mac_gen_key_%s": 0x2000,
    "mac_ver_key_%s": 0x2001,
    "mac_both_key_%s": 0x2002,
    "data_enc_key_%s": 0x3000,
    "data_dec_key_%s": 0x3001,
    "data_both_key_%s": 0x3002,
    "kek_%s": 0x0002,
}
AES_KINDS = {"tdes2": ("tdes", 16), "tdes3": ("tdes", 24), "aes128": ("aes", 16), "aes192": ("aes", 24), "aes256": ("aes", 32)}


def test_the_published_aes_series_are_ours():
    published = vectors("../host/dukpt_aes.json")
    ran = 0
    for vector in published["vectors"]:
        about = published["sets"][str(vector["bdk_bits"])]
        initial = dukpt.aes_initial_key(unhex(about["bdk"]), unhex(about["ikid"]))
        assert shown(initial) == about["ik"]
        if "update_key" in vector:
            kind, size = AES_KINDS[vector["type"].lower()]
            made = dukpt.aes_update_key(unhex(vector["ik"]), unhex(vector["ikid"]) + bytes(4), kind, size)
            assert shown(made) == vector["update_key"], vector["id"]
            ran += 1
            continue
        serial = unhex(vector["ksn"])
        key = dukpt.transaction_key("aes", initial, serial)
        assert shown(key) == vector["txn_key"], vector["id"]
        known = {**vector.get("computed", {}), **vector}
        for name, usage in AES_KEYS.items():
            for word, (kind, size) in AES_KINDS.items():
                if name % word in known:
                    made = dukpt.aes_derive(key, usage, kind, size, serial[4:])
                    assert shown(made) == known[name % word], (vector["id"], name % word)
        check_use_of_working_keys(about, known, Transaction("aes", key, serial))
        ran += 1
    assert ran >= 12


def check_use_of_working_keys(about, known, transaction):
    data = about["txn_data_ascii"].encode()
    word = "cmac_request_of_txn_data_AES%d" % (transaction.size * 8)
    if word in known:
        assert shown(libcrypto.cmac("aes", transaction.working(dukpt.MAC_REQUEST, "aes"), data)) == known[word]
    if "enc_pinblock_fmt4" in known:
        clear = unhex(about["pinfield_clear"])
        assert pin_blocks.pan_field(about["pan"]) == unhex(about["panfield"])
        with libcrypto.Cipher("aes", unhex(known[known["pin_key_used"]])) as cipher:
            made = pin_blocks.encipher_4(cipher, bytearray(about["pin"].encode()), about["pan"], lambda size: clear[8:])
        assert shown(made) == known["enc_pinblock_fmt4"]


@pytest.mark.parametrize(("cipher", "size", "start"), STARTS, ids=["tdes", "aes 16", "aes 24", "aes 32"])
def test_a_device_and_its_host_have_the_same_keys(cipher, size, start):
    initial = bytes(range(size))
    series = Series.begin(cipher, initial, start)
    for number in range(1, 300):
        transaction = series.advance()
        assert dukpt.counter_of(cipher, transaction.serial) == number
        if number < 20 or number % 37 == 0:
            right = Transaction(cipher, dukpt.transaction_key(cipher, initial, transaction.serial), transaction.serial)
            for use in dukpt.USES:
                assert transaction.working(use, cipher) == right.working(use, cipher)
        series = Series(series.record)  # as it is kept


def moved(series, counter):
    """The series as if that had been its last transaction; its registers are then those of other counters."""
    serial = dukpt.serial_number(series.cipher, series.serial, counter)
    series.record[2 : 2 + len(serial)] = serial
    return series


def test_counters_with_too_many_ones_are_passed_over():
    follows = {0xEFF800 & 0x1FFFFF: [0xFF801, 0xFF802, 0xFF804, 0xFF808]}
    for counter, wanted in follows.items():
        for one in wanted:
            counter = dukpt.after("tdes", counter)
            assert counter == one
    assert dukpt.after("aes", 0x0001FFFE) == 0x00020000
    assert dukpt.after("aes", 0x0000FFFF) == 0x00010000
    assert dukpt.after("aes", 0xFFFE4000) == 0xFFFE8000


def test_the_counters_of_a_triple_des_series_are_all_those_of_ten_ones_at_most():
    counter, count, most = 0, 0, 0
    while True:
        try:
            counter = dukpt.after("tdes", counter)
        except Worn:
            break
        count += 1
        most = max(most, counter.bit_count())
    assert (count, most, counter) == (1_048_575, 10, 0x1FF800)


@pytest.mark.parametrize(("cipher", "last"), [("tdes", 0x1FF800), ("aes", 0xFFFF0000)])
def test_after_the_last_key_the_series_is_worn(cipher, last):
    series = moved(Series.begin(cipher, bytes(range(16)), TDES_START if cipher == "tdes" else AES_START), last)
    before = bytes(series.record)
    with pytest.raises(Worn):
        series.advance()
    assert series.record == before


@pytest.mark.parametrize(("cipher", "size", "start"), STARTS[:2], ids=["tdes", "aes"])
def test_who_opens_the_device_finds_no_key_of_an_earlier_transaction(cipher, size, start):
    initial = bytes(range(40, 40 + size))
    series = Series.begin(cipher, initial, start)
    used = [initial]
    for _ in range(70):
        series.advance()
        assert not any(bytes(key) in series.record for key in used)
        used.append(dukpt.transaction_key(cipher, initial, series.serial))
    assert not any(bytes(key) in series.record for key in used)


def test_a_closed_transaction_and_series_hold_nothing():
    series = Series.begin("tdes", bytes(range(16)), TDES_START)
    transaction = series.advance()
    key = transaction._key
    transaction.close()
    series.close()
    assert not any(key) and not any(series.record)


def test_no_repr_shows_a_key():
    series = Series.begin("tdes", bytes(range(16)), TDES_START)
    assert repr(series) == "Series(FFFF9876543210E00000)"
    assert repr(series.advance()) == "Transaction(FFFF9876543210E00001)"


def test_what_is_no_series_is_refused():
    for work in (
        lambda: Series.begin("sm4", bytes(16), TDES_START),
        lambda: Series.begin("tdes", bytes(24), TDES_START),
        lambda: Series.begin("tdes", bytes(16), TDES_START[:9]),
        lambda: Series.begin("tdes", bytes(16), TDES_START[:9] + b"\1"),
        lambda: Series.begin("aes", bytes(16), TDES_START),
        lambda: dukpt.tdes_initial_key(bytes(8), TDES_START),
        lambda: dukpt.tdes_initial_key(bytes(16), TDES_START[:8]),
        lambda: dukpt.aes_initial_key(bytes(16), bytes(7)),
        lambda: dukpt.aes_initial_key(bytes(8), bytes(8)),
        lambda: dukpt.transaction_key("tdes", bytes(8), TDES_START),
        lambda: dukpt.counter_of("aes", TDES_START),
        lambda: Transaction("tdes", bytearray(16), TDES_START).working(dukpt.PIN, "aes"),
    ):
        with pytest.raises(DukptError):
            work()


def test_any_bytes_are_a_series_or_an_error():
    chance = random.Random(37)
    good = Series.begin("tdes", bytes(range(16)), TDES_START).record
    for _ in range(200):
        data = bytearray(chance.randbytes(chance.randrange(40))) if chance.random() < 0.5 else good[: chance.randrange(len(good))]
        if data and chance.random() < 0.5:
            data[0] = chance.randrange(3)
        with pytest.raises(DukptError):
            Series(data)
