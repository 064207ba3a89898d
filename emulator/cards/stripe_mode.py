"""M/Chip in stripe mode: a track with holes, and COMPUTE CRYPTOGRAPHIC CHECKSUM for what fills them.

The card gives its tracks and, as bit maps, the places for three numbers in their discretionary data: the checksum (CVC3),
the terminal's unpredictable number and the transaction counter. Bits count from the right of the discretionary data.

Source: EMV Book C-2 as public descriptions have it; CVC3: `crypto_vectors.json`.
"""

from typing import TYPE_CHECKING

from emulator.cards import cryptogram, derivation
from emulator.cards.profile import Holder, Records, compressed
from firmware.emv import tlv

if TYPE_CHECKING:
    from emulator.cards.application import Application

# Discretionary data, from the right: digit 0 says how long the unpredictable number is, 1 to 3 are for CVC3, 4 for the
# unpredictable number, 5 and 6 for the counter. Bit maps: of CVC3; of the number and the counter, the counter's on the left.
CVC3_PLACES, NUMBER_PLACES, COUNTER_DIGITS = 0x0E, 0x70, 2
DISCRETIONARY = "0" * 13


def tracks(holder: Holder) -> "tuple[bytes, bytes]":
    """(track 1, track 2) with holes: tags 56 and 9F6B."""
    first = f"B{holder.pan}^{holder.name}^{holder.expiry}{holder.service}{DISCRETIONARY}".encode()
    return first, compressed(f"{holder.pan}D{holder.expiry}{holder.service}{DISCRETIONARY}")


def records(application: "Application") -> Records:
    """The only record of stripe mode."""
    first, second = tracks(application.holder)
    objects = [
        (0x9F6C, b"\x00\x01"), (0x9F62, CVC3_PLACES.to_bytes(6, "big")), (0x9F63, NUMBER_PLACES.to_bytes(6, "big")),
        (0x56, first), (0x9F64, bytes((COUNTER_DIGITS,))), (0x9F65, CVC3_PLACES.to_bytes(2, "big")),
        (0x9F66, NUMBER_PLACES.to_bytes(2, "big")), (0x9F6B, second), (0x9F67, bytes((COUNTER_DIGITS,))),
        (0x9F68, bytes.fromhex("00000000000000005E0342031F03")),
    ]  # fmt: skip
    return Records({1: [tlv.encode([(0x70, objects)])]}, bytes((1 << 3, 1, 1, 0)), b"")


def checksum(application: "Application", command: bytes) -> bytes:
    """COMPUTE CRYPTOGRAPHIC CHECKSUM; the command carries the unpredictable number, four bytes."""
    data = command[5 : 5 + command[4]] if len(command) > 5 else b""
    if not application.contactless or application.stage != "open" or command[2:4] != b"\x8e\x80":
        return b"\x69\x85"
    if len(data) != 4:
        return b"\x67\x00"
    application.stage = "done"
    counter = application.state.atc.to_bytes(2, "big")
    key = cvc3_key(application.issuer_key, application.holder.pan, application.holder.sequence)
    one, two = (cryptogram.cvc3(key, track, counter, data) for track in tracks(application.holder))
    if application.card.wrong_cryptogram:
        one, two = one ^ 0xFFFF, two ^ 0xFFFF
    objects = [(0x9F61, two.to_bytes(2, "big")), (0x9F60, one.to_bytes(2, "big")), (0x9F36, counter)]
    return tlv.encode([(0x77, objects)]) + b"\x90\x00"


def cvc3_key(issuer_key: bytes, pan: str, sequence: str) -> bytes:
    """The card's key for CVC3. Issuers have another master key for it; here it is the cryptograms'."""
    return derivation.option_a(issuer_key, pan, sequence)


def check(record: dict, own: str) -> "int | None":
    """The counter of the card that filled this track, None for a wrong checksum.

    record: the card's, with pan, sequence, issuer_key, last_atc; own: the digits after the separator of track 2.
    """
    discretionary = own[7:20]
    if len(discretionary) != 13 or not own.isdigit():
        return None
    from_right = discretionary[::-1]
    given, number, low = int(from_right[1:4][::-1]), int(from_right[4]), int(from_right[5:7][::-1])
    track = compressed(f"{record['pan']}D{own[:7]}{DISCRETIONARY}")
    counter = record["last_atc"] + 1
    counter += (low - counter) % 10**COUNTER_DIGITS
    if counter > 0xFFFF:
        return None
    key = cvc3_key(record["issuer_key"], record["pan"], record["sequence"])
    made = cryptogram.cvc3(key, track, counter.to_bytes(2, "big"), bytes.fromhex("%08d" % number))
    return counter if made % 1000 == given else None
