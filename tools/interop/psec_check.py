"""PIN blocks, MACs, check values and TR-31 key blocks of psec and ours, both ways.

DUKPT, SM4, CMAC and version E of the key blocks are not in psec: they are compared with the published values (tests/drivers)
and DUKPT with the acquirer's own implementation (tests/emulator/test_keys_agree.py), no third one here.
"""

from __future__ import annotations

import warnings
from random import Random
from typing import Any

from drivers import kcv, libcrypto, macs, pin_blocks, tr31
from tools.interop.result import Result, Unavailable

PADDINGS = (1, 2, 3)
VERSIONS = "ABCD"  # what psec has
KEYS = {"T": (16, 24), "D": (8,), "A": (16, 24, 32)}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
NAMES = ("KS", "IK", "LB", "TT", "10")  # of optional blocks; never PB


def compare(chance: Random, count: int) -> list[Result]:
    """The comparisons with `count` rounds each. Raises Unavailable."""
    try:
        import psec
    except ImportError as error:
        raise Unavailable("%s: pip install -r requirements-interop.txt" % error) from None
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its library has moved triple DES to a place of its own, and says so at each use
        for name, work in (
            ("psec: PIN blocks 0, 2, 3, 4", pin_block),
            ("psec: MACs, CBC and retail, three paddings", mac),
            ("psec: check values", check_value),
            ("psec: key blocks A to D", key_block),
        ):
            result = Result(name)
            for _ in range(count):
                result.messages += 1
                work(psec, chance, result)
            results.append(result)
    return results


def digits(chance: Random, least: int, most: int) -> str:
    return "".join(chance.choice("0123456789") for _ in range(chance.randint(least, most)))


def pin_block(psec: Any, chance: Random, result: Result) -> None:
    pin, pan, key = digits(chance, 4, 12), digits(chance, 13, 19), chance.randbytes(chance.choice((16, 24, 32)))
    typed = bytearray(pin.encode())
    theirs = psec.pinblock
    result.same("0", bytes(pin_blocks.encode("0", typed, pan, None)), theirs.encode_pinblock_iso_0(pin, pan))
    result.same("2", bytes(pin_blocks.encode("2", typed, "", None)), theirs.encode_pinblock_iso_2(pin))
    result.same("0 read", pin_blocks.decode("0", theirs.encode_pinblock_iso_0(pin, pan), pan).decode(), pin)
    result.same("3", theirs.decode_pinblock_iso_3(bytes(pin_blocks.encode("3", typed, pan, chance.randbytes)), pan), pin)
    result.same("3 read", pin_blocks.decode("3", theirs.encode_pinblock_iso_3(pin, pan), pan).decode(), pin)
    result.same("4 account", pin_blocks.pan_field(pan), theirs.encode_pan_field_iso_4(pan))
    with libcrypto.Cipher("aes", key) as there, libcrypto.Cipher("aes", key, encrypt=False) as back:
        ours = pin_blocks.encipher_4(there, typed, pan, chance.randbytes)
        result.same("4", theirs.decipher_pinblock_iso_4(key, ours, pan), pin)
        made = theirs.encipher_pinblock_iso_4(key, pin, pan)
        result.same("4 read", pin_blocks.decipher_4(back, made, pan).decode(), pin)


def mac(psec: Any, chance: Random, result: Result) -> None:
    data, padding = chance.randbytes(chance.randrange(1, 200)), chance.choice(PADDINGS)
    for cipher, algorithm, sizes in (
        ("tdes", psec.mac.Algorithm.DES, (8, 16, 24)),
        ("aes", psec.mac.Algorithm.AES, (16, 24, 32)),
    ):
        key, size = chance.randbytes(chance.choice(sizes)), libcrypto.CIPHERS[cipher][2]
        theirs = psec.mac.generate_cbc_mac(key, data, padding, size, algorithm)
        result.same("CBC %s, padding %d" % (cipher, padding), macs.cbc_mac(cipher, key, data, padding), theirs)
    first, second = chance.randbytes(8), chance.randbytes(8)
    theirs = psec.mac.generate_retail_mac(first, second, data, padding, 8)
    result.same("retail, padding %d" % padding, macs.retail_mac(first, second, data, padding), theirs)
    theirs = psec.mac.generate_retail_mac(first, second, data, 1, 8)
    result.same("x9.19", macs.mac("x9.19", "tdes", first + second, data), theirs)


def check_value(psec: Any, chance: Random, result: Result) -> None:
    key = chance.randbytes(chance.choice((8, 16, 24)))
    result.same("tdes", kcv.check_value("tdes", key), psec.des.generate_kcv(key, 4))


def key_block(psec: Any, chance: Random, result: Result) -> None:
    version = chance.choice(VERSIONS)
    algorithm = chance.choice("TDA")
    protection = chance.randbytes(chance.choice(tr31.BINDINGS[version].key_bytes))
    key = chance.randbytes(chance.choice(KEYS[algorithm]))
    words = ("P0", algorithm, chance.choice("EBN"), chance.choice(("00", "12")), chance.choice("NES"))
    blocks = [(name, text(chance)) for name in chance.sample(NAMES, chance.randrange(3))]
    ours = tr31.wrap(protection, tr31.Header(version, *words, blocks), key, chance.randbytes)
    header, theirs = psec.tr31.unwrap(protection, ours)
    result.same("version " + version, theirs, key)
    result.same("header", tuple(words_of(header)), (version, *words))
    result.same("optional blocks", dict(header.blocks), dict(blocks))
    given = psec.tr31.Header(version, *words)
    for name, value in blocks:
        given.blocks[name] = value
    found, opened = tr31.unwrap(protection, psec.tr31.wrap(protection, given, key))
    result.same("version %s read" % version, bytes(opened), key)
    result.same("header read", (found.version, found.usage, found.algorithm, found.mode, found.number, found.exportability),
                (version, *words))  # fmt: skip
    result.same("optional blocks read", found.blocks, blocks)


def words_of(header: Any) -> tuple[str, ...]:
    """The words of one of the peer's headers."""
    return (header.version_id, header.key_usage, header.algorithm, header.mode_of_use, header.version_num, header.exportability)


def text(chance: Random) -> str:
    """Of an optional block: none, short, or too long for a length of two digits."""
    return "".join(chance.choice(LETTERS) for _ in range(chance.choice((0, 1, 16, 20, 251, 252, 600))))
