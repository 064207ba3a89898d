"""qPBOC and qVSDC: the whole transaction in the answer to GET PROCESSING OPTIONS.

    what the terminal says in 9F66                            cryptogram
    the card declines                                         AAC
    online cryptogram required                                ARQC
    amount within the card's own limit, nothing noticed       TC, with fDDA
    offline only                                              AAC
    else                                                      ARQC

How the holder is verified (CTQ) follows its row in HABITS and what the terminal offers and requires. The certificates,
9F69 and the signature are read only where they are looked at: for a TC, or where the terminal proves cards online too.

Source: PBOC 3.0 part 12; Book C-3 for the signature, version 01: over 9F37, 9F02, 5F2A and 9F69.
"""

from typing import TYPE_CHECKING

from emulator.cards import cryptogram, pki, risk
from emulator.cards.cryptogram import AAC, ARQC, TC
from emulator.cards.profile import Profile, Records, profile_bytes, quick_records, track2
from firmware.emv import tlv

if TYPE_CHECKING:
    from emulator.cards.application import Application

SEE_PHONE = b"\x69\x86"
PIN, SIGNATURE, DEVICE = "online PIN", "signature", "on the holder's device"
# (below the terminal's limit, from the limit on), each the wishes in order of preference.
HABITS = {
    "by amount": ((), (PIN, SIGNATURE)),
    "always PIN": ((PIN,), (PIN, SIGNATURE)),
    "always signature": ((SIGNATURE,), (SIGNATURE,)),
    "device": ((DEVICE,), (DEVICE, PIN)),
    "never": ((), ()),
}
# wish: (byte and mask of 9F66 that offers it, byte and mask of 9F6C that says it)
_WISHES = {PIN: ((0, 0x04), (0, 0x80)), SIGNATURE: ((0, 0x02), (0, 0x40)), DEVICE: ((2, 0x40), (1, 0x80))}


def wanted(values: "dict[int, bytes]") -> bool:
    """Whether the terminal offers qPBOC."""
    return bool(values.get(0x9F66, bytes(4))[0] & 0x20)


def answer(application: "Application") -> bytes:
    """To GET PROCESSING OPTIONS."""
    profile, values, state, card = application.profile, application.values, application.state, application.card
    if card.locked:
        card.locked = False
        return SEE_PHONE
    if card.locked is not None:
        card.locked = True
    kind = _kind(application)
    proven = bool(profile.quick) and (kind == TC or (kind == ARQC and bool(values[0x9F66][0] & 0x01)))
    values[0x82] = profile_bytes(profile, True)
    values[0x9F36] = state.atc.to_bytes(2, "big")
    one = risk.kinds(kind)
    values[0x9F10] = risk.issuer_data(profile.scheme, one, risk.noticed(state, profile), state, quick=True)
    made = cryptogram.application_cryptogram(profile.scheme, application.key, values)
    if card.wrong_cryptogram:
        made = bytes(byte ^ 0xFF for byte in made)
    ctq = qualifiers(profile, values[0x9F66])
    objects = [(0x82, values[0x82]), (0x9F36, values[0x9F36]), (0x9F26, made), (0x9F10, values[0x9F10])]
    objects += [(0x9F27, bytes((kind,))), (0x9F6C, ctq)]
    objects += [(0x57, track2(application.holder)), (0x5F34, bytes.fromhex(application.holder.sequence[-2:]))]
    if kind != AAC:
        records = quick_records(profile, application.holder, proven)
        if proven:
            records = _with_signature(application, records, ctq)
        application.show(records)
        objects.insert(1, (0x94, records.locator))
    return tlv.encode([(0x77, objects)]) + b"\x90\x00"


def _kind(application):
    profile, values, state = application.profile, application.values, application.state
    if application.card.declines or state.blocked:
        return AAC
    if values[0x9F66][1] & 0x80:
        return ARQC
    if risk.first(TC, state, profile, values[0x9F02]) == TC:
        return TC
    return AAC if values[0x9F66][0] & 0x08 else ARQC


def qualifiers(profile: Profile, ttq: bytes) -> bytes:
    """CTQ: the first wish that the terminal offers, and what the card says anyway."""
    bits = bytearray(bytes.fromhex(profile.ctq))
    for wish in HABITS[profile.habit][1 if ttq[1] & 0x40 else 0]:
        (byte, mask), (place, bit) = _WISHES[wish]
        if ttq[byte] & mask:
            bits[place] |= bit
            break
    return bytes(bits)


def _with_signature(application, records, ctq):
    """The records with 9F69 and, last of all, 9F4B."""
    values = application.values
    authentication = b"\x01" + application._chance(b"quick")[:4] + ctq
    covered = values[0x9F37] + values[0x9F02] + values[0x5F2A] + authentication
    dynamic = b"\x02" + values[0x9F36]
    signed = application._signed(pki.key(application.profile.quick[2]), dynamic, covered)
    certificates = [*records.files[3], tlv.encode([(0x70, [(0x9F69, authentication)])])]
    certificates.append(tlv.encode([(0x70, [(0x9F4B, signed)])]))
    locator = records.locator[:-4] + bytes((3 << 3, 1, len(certificates), 0))
    return Records({**records.files, 3: certificates}, locator, records.static)
