import random
from binascii import unhexlify

import pytest

from firmware.emv import authority, download, tlv
from tests.card_settings import UNIONPAY_ROWS, card_settings
from tests.firmware.test_tlv import vectors

ROW = {
    "aid": "A000000333010101", "version": "0020", "partial": True, "online_pin": True, "ddol": "9F3704",
    "tac_default": "D84000A800", "tac_online": "D84004F800", "tac_denial": "0010000000", "threshold_fen": 5000,
    "target_percent": 20, "maximum_percent": 99, "terminal_floor_limit_fen": 10000, "floor_limit_fen": 0,
    "transaction_limit_fen": 999999999999, "cvm_limit_fen": 100000, "ecash_limit_fen": 0,
}  # fmt: skip


def key_row(modulus=bytes(range(1, 128, 2)) + b"\x01" * 64, exponent="03"):
    digest = authority.checksum(unhexlify("A000000333"), 8, modulus, unhexlify(exponent))
    return {
        "rid": "A000000333", "index": "08", "modulus": modulus.hex().upper(), "exponent": exponent,
        "expiry": "20301231", "hash": digest.hex().upper(), "kind": "test",
    }  # fmt: skip


# Fields of the public blocks, as those who published them name them: key of our row, how their value is read.
FIELDS = {
    "9F06": ("aid", str), "DF11": ("tac_default", str), "DF12": ("tac_online", str), "DF13": ("tac_denial", str),
    "DF14": ("ddol", str), "9F1B": ("terminal_floor_limit_fen", lambda text: int(text, 16)),
    "DF15": ("threshold_fen", lambda text: int(text, 16)), "DF16": ("maximum_percent", int), "DF17": ("target_percent", int),
    "DF01": ("partial", lambda text: text == "01"), "DF18": ("online_pin", lambda text: text == "01"),
    "9F7B": ("ecash_limit_fen", int), "DF19": ("floor_limit_fen", int), "DF20": ("transaction_limit_fen", int),
    "DF21": ("cvm_limit_fen", int),
}  # fmt: skip


def test_the_public_applications_become_rows():
    blocks = vectors("aid_capk_params.json")["aids"]
    assert len(blocks) >= 16
    for block in blocks:
        row, extra = download.application(unhexlify(block["raw"]))
        fields = dict(block["fields"])
        version = fields.pop("9F09", None) or fields.get("9F08")
        fields.pop("9F08", None)
        assert row["version"] == version
        kept = {"%X" % tag: value.hex().upper() for tag, value in extra}
        for tag, value in fields.items():
            if tag in FIELDS:
                name, read = FIELDS[tag]
                assert row[name] == read(value), tag
            else:
                assert kept[tag] == value, tag
        card_settings([row])
        assert download.application(download.application_block(row))[0] == row


def test_the_public_keys_become_rows():
    blocks = vectors("aid_capk_params.json")["ca_keys"]
    assert len(blocks) >= 27
    for block in blocks:
        row, extra = download.key(unhexlify(block["raw"]), "live")
        assert (row["rid"], row["index"], row["expiry"], row["hash"]) == (
            block["rid"], block["index"], block["expiry"], block["hash"],
        )  # fmt: skip
        assert int(row["exponent"], 16) == int(block["exponent"], 16) and extra == []
        assert len(row["modulus"]) == block["bits"] // 4
        assert download.key(download.key_block(row), "live")[0] == row


def test_the_public_status_list_is_read():
    case = vectors("aid_capk_params.json")["terminal_status_list"]
    entries, more = download.status_list(unhexlify(case["raw"]))
    assert len(entries) == case["expected"]["entries"] and more is False
    assert entries[1] == {"name": "A000000333010103", "index": "", "stamp": "0320120629165510", "expiry": ""}


def test_the_public_key_table_loads_as_rows():
    rows = vectors("capk.json")["keys"]
    loaded = 0
    for public in rows:
        row = {
            "rid": public["rid"], "index": public["index"], "modulus": public["modulus"], "exponent": public["exponent"],
            "expiry": "", "hash": public["hash_sha1"], "kind": "live" if public["kind"].startswith("live") else "test",
        }  # fmt: skip
        try:
            block = download.key_block(row)
        except download.DownloadError:
            # Exponent 2 left EMV with version 4; a modulus has at most 1984 bits (tests/firmware/test_authority.py).
            assert row["exponent"] == "02" or public["bits"] > 1984
            continue
        loaded += 1
        assert download.key(block, row["kind"])[0] == row
    assert loaded >= 114


def test_a_row_comes_back_from_its_block():
    row, extra = download.application(download.application_block(ROW))
    assert row == ROW and extra == []
    key = key_row()
    assert download.key(download.key_block(key), "test") == (key, [])


def test_which_value_of_df01_means_a_partial_name_is_the_callers_word():
    block = download.application_block(ROW)
    assert download.application(block, partial=1)[0]["partial"] is True
    assert download.application(block, partial=0)[0]["partial"] is False
    assert download.application_block(ROW, partial=0) != block
    assert download.application(download.application_block(ROW, partial=0), partial=0)[0] == ROW


def test_the_floor_limit_is_binary_and_the_contactless_limits_are_digits():
    block = tlv.encode([(0x9F06, unhexlify(ROW["aid"])), (0x9F1B, unhexlify("00002710")), (0xDF19, unhexlify("000000002710"))])
    row, _ = download.application(block)
    assert row["terminal_floor_limit_fen"] == 10000 and row["floor_limit_fen"] == 2710


@pytest.mark.parametrize("expiry", [b"20301231", unhexlify("20301231")])
def test_an_expiry_comes_as_text_or_as_digits(expiry):
    tree = [(tag, expiry if tag == download.EXPIRY else value) for tag, value in tlv.decode(download.key_block(key_row()))]
    assert download.key(tlv.encode(tree), "test")[0]["expiry"] == "20301231"


def test_leading_zeros_of_an_exponent_are_no_part_of_it():
    tree = [
        (tag, b"\x00\x00\x03" if tag == download.EXPONENT else value) for tag, value in tlv.decode(download.key_block(key_row()))
    ]
    assert download.key(tlv.encode(tree), "test")[0] == key_row()


def changed(tag, value):
    """A key's block with one object replaced, or taken away."""
    tree = [(name, value if name == tag else old) for name, old in tlv.decode(download.key_block(key_row()))]
    return tlv.encode([(name, old) for name, old in tree if old is not None])


@pytest.mark.parametrize(
    "block, why",
    [
        (changed(0xDF03, bytes(20)), "A000000333 08: its checksum is wrong"),
        (changed(0xDF03, None), "DF03 is missing"),
        (changed(0x9F22, None), "9F22 is missing"),
        (changed(0xDF02, bytes(128)), "no modulus"),
        (changed(0xDF07, b"\x04"), "no RSA key"),
        (changed(0xDF06, b"\x02"), "no RSA key"),
        (changed(0xDF05, b"20301331"), "no date"),
        (changed(0xDF05, b"2030"), "no date"),
        (changed(0xDF05, b"203012310"), "no date"),
        (changed(0x9F06, b"\xa0\x00"), "five bytes"),
        (changed(0xDF04, b"\x05"), "neither 3 nor 65537"),
        (download.key_block(key_row()) + tlv.encode([(0x9F22, b"\x09")]), "9F22 is there twice"),
        (b"", "empty"),
        (b"\x9f\x06\x05\xa0", "runs past"),
    ],
)
def test_a_key_that_is_hurt_is_refused_with_its_name_and_the_reason(block, why):
    with pytest.raises(download.DownloadError, match=why):
        download.key(block, "test")


def with_object(tag, value):
    return download.application_block(ROW) + tlv.encode([(tag, value)])


@pytest.mark.parametrize(
    "block, why",
    [
        (tlv.encode([(0xDF01, b"\x01")]), "aid is missing"),
        (tlv.encode([(0x9F06, b"\xa0")]), "aid has 1 bytes"),
        (with_object(0xDF11, bytes(5)), "A000000333010101: DF11 is there twice"),
        (with_object(0x9F1B, b"\x00"), "9F1B has 1 bytes, not 4"),
        (with_object(0xDF18, b"\x02"), "DF18 is neither"),
        (with_object(0xDF16, b"\x9a"), "DF16 is not digits"),
        (with_object(0xDF21, b"\x00\x00\x00\x00\x00\x0f"), "DF21 is not digits"),
    ],
)
def test_an_application_that_cannot_be_used_is_refused_with_its_name_and_the_reason(block, why):
    with pytest.raises(download.DownloadError, match=why):
        download.application(block)


def test_unknown_objects_are_kept_aside_in_order():
    _, extra = download.application(with_object(0xDF25, b"\x02") + tlv.encode([(0xDF24, b"\x00"), (0xDF24, b"\x01")]))
    assert extra == [(0xDF25, b"\x02"), (0xDF24, b"\x00"), (0xDF24, b"\x01")]


def test_the_two_kinds_of_block_are_told_apart():
    assert download.is_key(download.key_block(key_row())) and not download.is_key(download.application_block(ROW))


def test_a_downloaded_row_takes_the_place_of_the_old_one_and_what_blocks_never_say_from_it():
    rows = download.replace(UNIONPAY_ROWS, ROW)
    assert [row["aid"] for row in rows] == [row["aid"] for row in UNIONPAY_ROWS]
    assert rows[0]["kernel"] == "07" and rows[0]["ttq"] == UNIONPAY_ROWS[0]["ttq"]
    assert rows[0]["cvm_limit_fen"] == 100000
    card_settings(rows)


def test_the_row_of_the_same_name_goes_before_its_siblings_however_it_is_written():
    rows = [dict(UNIONPAY_ROWS[0], aid="A000000333010101"), dict(UNIONPAY_ROWS[0], aid="a00000033301010a", ttq="36004080")]
    kept = download.replace(rows, dict(ROW, aid="A00000033301010A"))
    assert [row["aid"] for row in kept] == ["A000000333010101", "A00000033301010A"] and kept[1]["ttq"] == "36004080"


def test_percentages_and_action_codes_are_each_in_their_own_object():
    said = dict(tlv.decode(download.application_block(ROW)))
    assert (said[0xDF16], said[0xDF17]) == (b"\x99", b"\x20")
    assert [said[tag].hex().upper() for tag in (0xDF11, 0xDF12, 0xDF13)] == ["D84000A800", "D84004F800", "0010000000"]


def test_the_terminals_version_goes_before_the_cards_own_list_of_them():
    block = download.application_block(ROW)
    for more in ([(0x9F08, b"\x00\x30")], [(0x9F08, b"\x00\x10")]):
        assert download.application(tlv.encode(more) + block)[0]["version"] == "0020"


def test_an_amount_that_a_block_cannot_hold_is_the_largest_that_it_can():
    row = dict(ROW, floor_limit_fen=10**12, threshold_fen=2**32, terminal_floor_limit_fen=2**40)
    said = download.application(download.application_block(row))[0]
    assert (said["floor_limit_fen"], said["threshold_fen"], said["terminal_floor_limit_fen"]) == (
        10**12 - 1,
        2**32 - 1,
        2**32 - 1,
    )


def test_a_new_application_of_a_known_provider_is_added_and_takes_from_its_sibling():
    new = dict(ROW, aid="A000000333010106")
    rows = download.replace(UNIONPAY_ROWS, new)
    assert len(rows) == len(UNIONPAY_ROWS) + 1 and rows[-1]["kernel"] == "07"
    stranger = dict(ROW, aid="A0000000651010")
    assert "kernel" not in download.replace(UNIONPAY_ROWS, stranger)[-1]


def test_a_status_list_that_says_there_is_more_says_so():
    inside = tlv.encode([(0x9F06, unhexlify("A000000333")), (0x9F22, b"\x08"), (0xDF05, b"20301231")])
    entries, more = download.status_list(tlv.encode([(0xDF26, inside), (0xDF27, b"\x01")]))
    assert entries == [{"name": "A000000333", "index": "08", "stamp": "", "expiry": "20301231"}] and more
    with pytest.raises(download.DownloadError, match="begin"):
        download.status_list(tlv.encode([(0xDF25, b"\x01")]))


def test_any_bytes_are_a_block_or_the_one_error():
    chance = random.Random(380)
    seeds = [download.application_block(ROW), download.key_block(key_row()), with_object(0xDF25, b"\x02")]
    taken = 0
    for _ in range(3000):
        block = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 4)):
            block[chance.randrange(len(block))] = chance.randrange(256)
        block = bytes(block[: chance.randrange(len(block)) or None])
        for read in (download.application, lambda data: download.key(data, "test"), download.status_list, download.is_key):
            try:
                read(block)
                taken += 1
            except download.DownloadError:
                pass
    assert taken > 100
