"""Downloads, parameter files and meanings under CPython and MicroPython alike."""

from firmware.emv import authority, download, meanings, parameter_file, tags, tlv
from tests.portable.plain_card import hexes

ROW = {
    "aid": "A000000333010101", "version": "0020", "partial": True, "online_pin": True, "ddol": "9F3704",
    "tac_default": "D84000A800", "tac_online": "D84004F800", "tac_denial": "0010000000", "threshold_fen": 5000,
    "target_percent": 20, "maximum_percent": 99, "terminal_floor_limit_fen": 10000, "floor_limit_fen": 0,
    "transaction_limit_fen": 999999999999, "cvm_limit_fen": 100000, "ecash_limit_fen": 0,
}  # fmt: skip
MODULUS = "C1" * 127 + "01"


def key_row():
    digest = authority.checksum(hexes("A000000333"), 8, hexes(MODULUS), b"\x03")
    return {
        "rid": "A000000333", "index": "08", "modulus": MODULUS, "exponent": "03", "expiry": "20301231",
        "hash": "".join(["%02X" % byte for byte in digest]), "kind": "test",
    }  # fmt: skip


def refused(data, kind=""):
    try:
        parameter_file.read(data, kind)
    except parameter_file.ParameterFileError as error:
        return str(error)
    return ""


def test_rows_go_into_blocks_and_back():
    assert download.application(download.application_block(ROW)) == (ROW, [])
    assert download.key(download.key_block(key_row()), "test") == (key_row(), [])


def test_a_hurt_key_is_refused():
    block = download.key_block(dict(key_row(), expiry=""))
    line = "".join(["%02X" % byte for byte in block])
    assert "checksum" in refused((line[:-2] + "00").encode(), "test")
    assert refused(line.encode(), "test") == ""


def test_a_file_is_json_or_blocks():
    content = parameter_file.read(b'{"applications": [{"aid": "A000000333010101"}], "switches": {"pse": false}}')
    assert parameter_file.parameters(content) == {"emv.aids": [{"aid": "A000000333010101"}], "emv.switches": {"pse": False}}
    for bad in (b"", b"{", b"[1]", b'{"applications": 1}', b'{"terminal": {"9F": "00"}}', b"zz"):
        assert refused(bad), bad


def test_exceptions_become_fingerprints():
    rows = parameter_file.exceptions({"exceptions": ["620000123456"]}, lambda pan: pan[:4], ["00"])
    assert rows == [("exceptions", "00", None, None), ("exceptions", "36323030", b"1", None)]


def test_values_are_told_in_words():
    assert meanings.words(0x9F10, hexes("07010103A0000001")) == ["key 01", "cryptogram version 01", "first: ARQC", "3DES"]
    assert tags.words(0x8E, hexes("000003E80000000042061F00"))[0] == "X 10.00"
    assert tags.words(0x9F27, b"\x4a") == ["TC (approved offline)", "advice required", "PIN try limit exceeded"]
    assert tlv.parse_tag("9F26") == 0x9F26
    for tag in meanings.READERS:
        for size in range(12):
            for scheme in ("", "mastercard"):
                meanings.words(tag, bytes(range(0xF0 - size, 0xF0)), scheme)
