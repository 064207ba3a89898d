import os
import random

import pytest

from drivers import kcv, tr31
from drivers.tr31 import Header, Tr31Error
from tests.firmware.test_tlv import vectors

# ISO 20038:2017 B.2: version E
ISO_KEY = b"256-bit AES wrapping (ISO 20038)"
ISO_BLOCK = "E0084B0TV16N0000B2AE5E26BBA7F246E84D5EA24167E208A6B66EF2E27E55A52DB52F0AEACB94C57547"
BLOCK = "B0104B0TX12S0100KS1800604B120F9292800000BB68BE8680A400D9191AD4ECE45B6E6C0D21C4738A52190E248719E24B433627"
PROTECTION = bytes.fromhex("1D22BF32387C600AD97F9B97A51311AC")


def opens(vector):
    header, key = tr31.unwrap(bytes.fromhex(vector["kbpk"]), vector["block"])
    assert key.hex().upper() == vector["key"], vector["id"]
    wanted = vector["header"]
    words = (header.version, header.usage, header.algorithm, header.mode, header.number, header.exportability)
    names = ("version", "usage", "algorithm", "mode", "version_num", "exportability")
    assert words == tuple(wanted[name] for name in names), vector["id"]
    assert dict(header.blocks) == wanted["blocks"]
    if "kcv_source" in vector:
        cipher = {"A": "aes"}.get(header.algorithm, "tdes")
        assert kcv.fits(cipher, key, bytes.fromhex(vector["kcv_source"]))


def refused(work):
    with pytest.raises(Tr31Error) as caught:
        work()
    return str(caught.value)


def test_every_published_key_block_opens_and_every_wrong_one_is_refused():
    ran = 0
    for vector in vectors("../host/tr31.json")["vectors"]:
        kind = vector["kind"]
        if kind == "unwrap":
            opens(vector)
        elif kind == "unwrap_error":
            refused(lambda vector=vector: tr31.unwrap(bytes.fromhex(vector["kbpk_hex"]), vector["block"]))
        elif kind == "header_error":
            refused(lambda vector=vector: tr31.read_header(vector["header"]))
        else:
            # The standard prints two blocks whose length is another than they say.
            for name in ("block_8_3_2_1", "block_8_3_2_2"):
                refused(lambda text=vector[name]: tr31.unwrap(bytes(16), text))
        ran += 1
    assert ran >= 26


def test_a_block_of_iso_20038_opens():
    header, key = tr31.unwrap(ISO_KEY, ISO_BLOCK)
    assert key == b"wrapped 3DES key"
    assert (header.version, header.usage, header.mode, header.number) == ("E", "B0", "V", "16")


BLOCKS = (
    [],
    [("KS", "FFFF9876543210E00000")],
    [("TT", ""), ("LB", "a label with spaces ~")],
    [("XX", "x" * 251), ("YY", "y" * 252), ("ZZ", "z" * 1000)],
)


@pytest.mark.parametrize("version", sorted(tr31.BINDINGS))
def test_what_was_wrapped_is_what_comes_out(version):
    chance = random.Random(41)
    for size in tr31.BINDINGS[version].key_bytes:
        for blocks in BLOCKS:
            for key_size, algorithm in ((8, "D"), (16, "T"), (24, "T"), (32, "A"), (20, "H")):
                protection, key = chance.randbytes(size), chance.randbytes(key_size)
                header = Header(version, "P0", algorithm, "E", "00", "N", blocks)
                text = tr31.wrap(protection, header, key, chance.randbytes)
                assert int(text[1:5]) == len(text)
                found, opened = tr31.unwrap(bytearray(protection), text)
                assert (opened, found.blocks, repr(found)) == (key, list(blocks), repr(header))
                low, _ = tr31.read_header(text)
                assert low.block("KS") == dict(blocks).get("KS")


def test_the_length_of_a_key_is_hidden():
    header = Header("B", "P0", "T", "E")
    sizes = {len(tr31.wrap(bytes(range(16)), header, bytes(size), os.urandom)) for size in (8, 16, 24)}
    assert len(sizes) == 1
    assert len(tr31.wrap(bytes(range(16)), header, bytes(8), os.urandom, hiding=0)) < min(sizes)


@pytest.mark.parametrize(("protection", "block"), [(PROTECTION, BLOCK), (ISO_KEY, ISO_BLOCK)], ids=["B", "E"])
def test_a_block_that_was_changed_anywhere_is_refused(protection, block):
    for at, char in enumerate(block):
        for other in {"0", "1", "F", "Z", " ", "é"} - {char}:
            refused(lambda at=at, other=other: tr31.unwrap(protection, block[:at] + other + block[at + 1 :]))
        refused(lambda at=at: tr31.unwrap(protection, block[:at]))
    for more in ("0", "00" * 8, block):
        refused(lambda more=more: tr31.unwrap(protection, block + more))


def test_small_hexadecimal_digits_are_read_too():
    assert tr31.unwrap(PROTECTION, BLOCK[:40] + BLOCK[40:].lower())[1] == tr31.unwrap(PROTECTION, BLOCK)[1]


def test_any_text_is_a_block_or_one_error():
    chance = random.Random(43)
    signs = "ABCDE0123456789PTK é~"
    for _ in range(1500):
        text = "".join(chance.choice(signs) for _ in range(chance.randrange(120)))
        if chance.random() < 0.7:
            size = 16 + 8 * chance.randrange(12)
            count = chance.choice(("00", "01", "02", "99"))
            text = (chance.choice("ABCDE") + "%04dP0TE00N%s00" % (size, count) + text + "0" * 120)[:size]
        try:
            header, _ = tr31.read_header(text)
        except Tr31Error:
            pass
        else:
            assert len(header.blocks) <= 99
        refused(lambda text=text: tr31.unwrap(bytes(range(16)), text))


def test_what_cannot_be_wrapped_is_refused():
    good = Header("B", "P0", "T", "E")
    for work in (
        lambda: Header("F", "P0", "T", "E"),
        lambda: Header("B", "P", "T", "E"),
        lambda: Header("B", "P0", "", "E"),
        lambda: Header("B", "P0", "T", "é"),
        lambda: Header("B", "P0", "T", "E", blocks=[("K", "")]),
        lambda: Header("B", "P0", "T", "E", blocks=[("KS", "é")]),
        lambda: Header("B", "P0", "T", "E", blocks=[("KS", "")] * 100).written(24),
        lambda: Header("B", "P0", "T", "E", blocks=[("KS", "x" * 9999)]).written(24),
        lambda: Header("B", "P0", "T", "E", blocks=[("KS", "x" * 99999)]).written(24),
        lambda: tr31.wrap(bytes(8), good, bytes(16), os.urandom),
        lambda: tr31.wrap(bytes(16), good, b"", os.urandom),
        lambda: tr31.wrap(bytes(16), good, bytes(9000), os.urandom),
    ):
        refused(work)


def test_no_error_shows_anything_of_the_block():
    said = {
        refused(lambda: tr31.unwrap(PROTECTION, BLOCK[:60] + "0" + BLOCK[61:])),
        refused(lambda: tr31.unwrap(bytes(16), BLOCK)),
        refused(lambda: tr31.unwrap(PROTECTION, BLOCK[:-1] + "X")),
        refused(lambda: tr31.unwrap(PROTECTION, "B0104P0TE00N0100KS18" + "9" * 84)),
    }
    assert not any(part in text for text in said for part in ("BB68", "0060", "3627", "999"))
