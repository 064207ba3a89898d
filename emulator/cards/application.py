"""A payment application on a card: command APDU in, response APDU out, by contacts and by contactless.

    stage      command                                     goes to
    IDLE       SELECT of its name                          SELECTED
    SELECTED   GET PROCESSING OPTIONS                      OPEN: counter up by one and kept
    OPEN       READ RECORD, GET DATA, VERIFY, INTERNAL AUTHENTICATE, GET CHALLENGE      OPEN
    OPEN       GENERATE AC                                 ASKED after an ARQC, else DONE
    ASKED      EXTERNAL AUTHENTICATE, once                 ASKED
    ASKED      GENERATE AC                                 DONE
    OPEN ..    issuer's commands (class 84)                the same
    any        reset()                                     IDLE

By contactless a qPBOC application answers GET PROCESSING OPTIONS with its cryptogram (`quick`), one of M/Chip in stripe
mode has COMPUTE CRYPTOGRAPHIC CHECKSUM (`stripe_mode`), and the others do what they do by contacts, but for the PIN.

It really computes: cryptograms, DDA and CDA signatures, the check of the ARPC and of scripts' MACs.

Source: EMV Book 3, 6.5 and 9; Book 2, 6 and 8.
"""

import hashlib
import hmac
from typing import TYPE_CHECKING

from emulator.cards import cryptogram, derivation, messaging, pki, quick, risk, stripe_mode
from emulator.cards.cryptogram import AAC, ARQC
from emulator.cards.profile import (
    FULL,
    LOG,
    MCHIP,
    PDOL,
    PDOL_VISA,
    QPBOC,
    STRIPE_MODE,
    Holder,
    Profile,
    cdols,
    contact_records,
    profile_bytes,
)
from firmware.emv import dol, tlv

if TYPE_CHECKING:
    from emulator.cards.card import Card

OK, NOT_FOUND, NO_RECORD, NOT_NOW = b"\x90\x00", b"\x6a\x82", b"\x6a\x83", b"\x69\x85"
WRONG_LENGTH, WRONG_PLACE, NO_COMMAND, NO_CLASS = b"\x67\x00", b"\x6a\x86", b"\x6d\x00", b"\x6e\x00"
NO_DATA, NO_FUNCTION, BLOCKED = b"\x6a\x88", b"\x6a\x81", b"\x62\x83"
PIN_BLOCKED, NOT_PROVEN, WRONG_DATA, UNSAFE = b"\x69\x83", b"\x63\x00", b"\x69\x84", b"\x69\x88"

IDLE, SELECTED, OPEN, ASKED, DONE = "idle", "selected", "open", "asked", "done"


class Application:
    """One application of a card.

    profile, holder   what it is and whose
    state             what it remembers
    issuer_key, mac_key, data_key   the issuer's master keys: cryptograms, scripts' MACs, enciphered data
    """

    def __init__(
        self, card: "Card", profile: Profile, holder: Holder, pin: str, issuer_key: bytes, mac_key: bytes, data_key: bytes
    ) -> None:
        self.card, self.profile, self.holder = card, profile, holder
        self.issuer_key, self.mac_key, self.data_key = issuer_key, mac_key, data_key
        self.key = derivation.option_a(issuer_key, holder.pan, holder.sequence)
        self.state = risk.State(profile, pin)
        self.reset()

    def reset(self) -> None:
        """No power: it has forgotten where it was."""
        self.stage = IDLE
        self.contactless = False
        self.values: dict[int, bytes] = {}  # what the terminal said in this transaction
        self.told = b""  # the values of PDOL and CDOLs, for CDA
        self.challenge = self.cryptogram = b""
        self.drawn = 0
        self.pin_bits = 0
        self.proven: "bool | None" = None
        self._records = None

    # Selection

    def entry(self, contactless: bool) -> list:
        """Its objects in a directory."""
        profile = self.profile
        objects = [(0x4F, profile.aid), (0x50, profile.label.encode())]
        if profile.preferred:
            objects.append((0x9F12, profile.preferred.encode()))
        return [*objects, (0x87, self._priority())]

    def _priority(self):
        return bytes((self.profile.priority | (0x80 if self.profile.confirm else 0),))

    def pdol(self, contactless: bool) -> bytes:
        """Tag 9F38, b"" for none."""
        if contactless and self.profile.contactless in (QPBOC, FULL):
            return PDOL_VISA if self.profile.scheme == "visa" else PDOL
        if contactless:
            return bytes.fromhex("9F3501") if self.profile.contactless == MCHIP else b""
        return bytes.fromhex(self.profile.pdol)

    def select(self, contactless: bool) -> bytes:
        """The FCI."""
        self.reset()
        self.stage, self.contactless = SELECTED, contactless
        objects = [(0x50, self.profile.label.encode()), (0x87, self._priority())]
        pdol = self.pdol(contactless)
        if pdol:
            objects.append((0x9F38, pdol))
        objects.append((0x5F2D, b"zh"))
        if self.profile.preferred:
            objects += [(0x9F11, b"\x01"), (0x9F12, self.profile.preferred.encode())]
        objects.append((0xBF0C, [(0x9F4D, LOG)]))
        fci = tlv.encode([(0x6F, [(0x84, self.profile.aid), (0xA5, objects)])])
        return fci + (BLOCKED if self.state.blocked else OK)

    # Commands

    def apdu(self, command: bytes) -> bytes:
        """The answer to a command other than SELECT."""
        if self.stage == IDLE:
            return NOT_NOW
        if command[0] & 0x04:
            return self._issuers(command)
        answer = _INSTRUCTIONS.get(command[1])
        return answer(self, command) if answer else NO_COMMAND

    def _processing_options(self, command):
        entries = dol.parse(self.pdol(self.contactless))
        data = _template(command)
        if data is None or len(data) != sum(size for _, size in entries):
            return WRONG_LENGTH
        if self.profile.options:
            return bytes.fromhex(self.profile.options)
        if self.stage != SELECTED or self.state.atc >= 0xFFFF:
            return NOT_NOW
        self._hear(entries, data)
        self.told = data
        self.state.atc += 1
        self.stage = OPEN
        self.card.keep()
        if self.card.garbage:
            return bytes((self.state.atc * 31 + at * 7) & 0xFF for at in range(40)) + OK
        way = self.profile.contactless
        if self.contactless and way == QPBOC and quick.wanted(self.values):
            return quick.answer(self)
        if self.contactless and way == STRIPE_MODE:
            self._records = stripe_mode.records(self)
        else:
            if way == QPBOC and self.contactless and not self.values.get(0x9F66, bytes(4))[0] & 0x40:
                return NOT_NOW
            self._records = contact_records(self.profile, self.holder, self.contactless)
        aip = profile_bytes(self.profile, self.contactless and way in (MCHIP, STRIPE_MODE))
        self.values[0x82] = aip
        if self.profile.format == 0x80 and not (self.contactless and way == STRIPE_MODE):
            return answered([(0x80, aip + self._records.locator)])
        return answered([(0x77, [(0x82, aip), (0x94, self._records.locator)])])

    def show(self, records) -> None:
        """The records that READ RECORD gives out from now on."""
        self._records = records

    def _read_record(self, command):
        if self._records is None:
            return NOT_NOW
        records = self._records.files.get(command[3] >> 3, [])
        if command[3] & 7 != 4 or not 1 <= command[2] <= len(records):
            return NO_RECORD
        record = records[command[2] - 1]
        if self.card.wrong_certificate and b"\x90\x81" in record:
            at = record.index(b"\x90\x81") + 8
            record = record[:at] + bytes((record[at] ^ 1,)) + record[at + 1 :]
        return record + OK

    def _get_data(self, command):
        state = self.state
        known = {0x9F36: state.atc.to_bytes(2, "big"), 0x9F17: bytes((state.tries,))}
        if self.profile.run or not self.profile.seen:
            known[0x9F13] = state.online.to_bytes(2, "big")
        value = known.get(command[2] << 8 | command[3])
        return answered([(command[2] << 8 | command[3], value)]) if value is not None else NO_DATA

    def _get_challenge(self, command):
        self.challenge = self._chance(b"challenge")[:8]
        return self.challenge + OK

    def _verify(self, command):
        if self.contactless or self.stage != OPEN:
            return NOT_NOW
        state, data = self.state, body(command)
        if not state.tries:
            return PIN_BLOCKED
        if command[3] == 0x88:
            data = self._deciphered(data)
            if data is None:
                return WRONG_DATA
        elif command[3] != 0x80:
            return WRONG_PLACE
        try:
            pin = messaging.read_pin_block_2(data)
        except ValueError:
            return WRONG_DATA
        if hmac.compare_digest(pin, state.pin):
            state.tries, self.pin_bits = self.profile.tries, risk.PIN_DONE
            self.card.keep()
            return OK
        state.tries -= 1
        self.pin_bits = risk.PIN_DONE | risk.PIN_FAILED
        self.card.keep()
        return bytes((0x63, 0xC0 | state.tries))

    def _deciphered(self, data):
        """The PIN block of an enciphered PIN, or None for what was not made for this card and this challenge."""
        names = self.profile.chain
        pair = pki.key(self.profile.pin_key or names[2])
        challenge, self.challenge = self.challenge, b""
        if len(data) != pair.size or not challenge:
            return None
        clear = pair.sign(data)
        return clear[1:9] if clear[0] == 0x7F and clear[9:17] == challenge else None

    def _internal_authenticate(self, command):
        data = body(command)
        if self.stage != OPEN or self.profile.oda not in ("dda", "cda"):
            return NOT_NOW
        if len(data) != 4:
            return WRONG_LENGTH
        number = self._chance(b"dynamic")[:8]
        signed = self._signed(pki.key(self.profile.chain[2]), bytes((len(number),)) + number, data)
        if self.profile.format == 0x80:
            return answered([(0x80, signed)])
        return answered([(0x77, [(0x9F4B, signed)])])

    def _signed(self, pair, dynamic, terminal):
        signed = pki.sign_dynamic(pair, dynamic, terminal)
        return signed[:-1] + bytes((signed[-1] ^ 1,)) if self.card.wrong_signature else signed

    # Cryptograms

    def _generate(self, command):
        asked, wants_cda = command[2] & 0xC0, bool(command[2] & 0x10)
        if self.stage not in (OPEN, ASKED) or asked == 0xC0:
            return NOT_NOW
        second = self.stage == ASKED
        if second and self.card.refuses_second:
            return self.card.refuses_second
        entries = dol.parse(cdols(self.profile)[1 if second else 0])
        data = body(command)
        if len(data) != sum(size for _, size in entries):
            return WRONG_LENGTH
        self._hear(entries, data)
        self.told += data
        one, other, kind = self._second(asked) if second else self._first(asked)
        state = self.state
        self.stage = ASKED if kind == ARQC else DONE
        self.values[0x9F36] = state.atc.to_bytes(2, "big")
        self.values[0x9F10] = risk.issuer_data(self.profile.scheme, one, other, state)
        made = cryptogram.application_cryptogram(self.profile.scheme, self.key, self.values)
        if self.card.wrong_cryptogram:
            made = bytes(byte ^ 0xFF for byte in made)
        if second:
            state.scripts, state.script_failed = 0, False
        else:
            self.cryptogram = made
        self.card.keep()
        return self._cryptogram_answer(kind | self.card.advice, made, wants_cda and kind != AAC and self.profile.oda == "cda")

    def _first(self, asked):
        """(CVR bytes 1 and 2, kind)"""
        kind = risk.first(asked, self.state, self.profile, self.values.get(0x9F02, b""), self.card.declines)
        other = risk.noticed(self.state, self.profile)
        if kind == ARQC:
            self.state.unfinished = True
        return risk.kinds(kind) | self.pin_bits, other, kind

    def _second(self, asked):
        state = self.state
        answered_ = self.values.get(0x8A, b"")[:1] not in (b"Y", b"Z")
        if answered_ and self.proven is None and any(self.values.get(0x91, b"")):
            self._check_issuer(self.values[0x91])
        kind = risk.second(asked, state, self.profile, answered_, bool(self.proven))
        bits = risk.ISSUER_FAILED if self.proven is False else 0 if answered_ else risk.UNREACHABLE
        other = risk.noticed(state, self.profile) & ~risk.UNFINISHED
        if answered_:
            state.online, state.unfinished = state.atc, False
            state.issuer_failed = self.proven is False
            other |= risk.NOT_DONE if self.profile.issuer and self.proven is None else 0
        return risk.kinds(ARQC, kind) | self.pin_bits | bits, other, kind

    def _cryptogram_answer(self, kind, made, combined):
        counter, issuer_data = self.values[0x9F36], self.values[0x9F10]
        if not combined:
            if self.profile.format == 0x80:
                return answered([(0x80, bytes((kind,)) + counter + made + issuer_data)])
            return answered([(0x77, [(0x9F27, bytes((kind,))), (0x9F36, counter), (0x9F26, made), (0x9F10, issuer_data)])])
        before, after = [(0x9F27, bytes((kind,))), (0x9F36, counter)], [(0x9F10, issuer_data)]
        digest = hashlib.sha1(self.told + tlv.encode(before + after)).digest()
        number = self._chance(b"combined")[:8]
        dynamic = bytes((len(number),)) + number + bytes((kind,)) + made + digest
        signed = self._signed(pki.key(self.profile.chain[2]), dynamic, self.values[0x9F37])
        return answered([(0x77, [*before, (0x9F4B, signed), *after])])

    # The issuer

    def _external_authenticate(self, command):
        data = body(command)
        if self.stage != ASKED or self.proven is not None or not self.profile.issuer:
            return NOT_NOW
        if not 8 <= len(data) <= 16:
            return WRONG_LENGTH
        return OK if self._check_issuer(data) else NOT_PROVEN

    def _check_issuer(self, data):
        session = cryptogram.session_of(self.profile.scheme, self.key, self.values)
        code = data[8:10] if len(data) >= 10 else bytes(2)
        self.proven = hmac.compare_digest(cryptogram.arpc_1(session, self.cryptogram, code), data[:8])
        return self.proven

    def _issuers(self, command):
        """A command under the issuer's MAC."""
        state = self.state
        if not self.cryptogram:
            return NOT_NOW
        state.scripts += 1
        answer = self._carried_out(command)
        if answer != OK:
            state.script_failed = True
        self.card.keep()
        return answer

    def _carried_out(self, command):
        rules = messaging.RULES[self.profile.scheme]
        data = body(command)
        head, text, given = command[:5], data[: len(data) - rules.size], data[len(data) - rules.size :]
        keys = [derivation.option_a(key, self.holder.pan, self.holder.sequence) for key in (self.mac_key, self.data_key)]
        mac_key, data_key = (rules.session(key, self.values[0x9F36], self.cryptogram) for key in keys)
        expected = messaging.command_mac(mac_key, head + self.values[0x9F36] + self.cryptogram + text, rules.size)
        if not hmac.compare_digest(expected, given):
            return UNSAFE
        act = _ISSUERS.get(command[1])
        return act(self, command, text, data_key) if act else NO_COMMAND

    def _block_card(self, command, text, key):
        self.card.blocked = True
        return OK

    def _block(self, command, text, key):
        self.state.blocked = True
        return OK

    def _unblock(self, command, text, key):
        self.state.blocked = False
        return OK

    def _change_pin(self, command, text, key):
        state = self.state
        if command[3] == 0:
            state.tries = self.profile.tries
            return OK
        if command[3] not in (1, 2):
            return WRONG_PLACE
        try:
            state.pin = messaging.read_pin(self.profile.scheme, self.key, key, text, state.pin if command[3] == 1 else "")
        except ValueError:
            return WRONG_DATA
        state.tries = self.profile.tries
        return OK

    # Small things

    def _hear(self, entries, data):
        at = 0
        for tag, size in entries:
            self.values[tag] = data[at : at + size]
            at += size

    def _chance(self, what):
        """Bytes that nobody without the card's key can foresee, and that a card with the same past has as well."""
        self.drawn += 1
        past = b"%d %d %s " % (self.state.atc, self.drawn, what) + self.values.get(0x9F37, b"") + self.challenge
        return hashlib.sha256(self.key + past).digest()


def body(command: bytes) -> bytes:
    """The data field of a short command."""
    return command[5 : 5 + command[4]] if len(command) > 5 else b""


def _template(command):
    """The data in template 83, or None."""
    try:
        (tag, data), *more = tlv.decode(body(command))
    except (tlv.TlvError, ValueError):
        return None
    return data if tag == 0x83 and not more else None


def answered(tree: list) -> bytes:
    """Objects and the good status word."""
    return tlv.encode(tree) + OK


_INSTRUCTIONS = {
    0xA8: Application._processing_options,
    0xB2: Application._read_record,
    0xCA: Application._get_data,
    0x84: Application._get_challenge,
    0x20: Application._verify,
    0x88: Application._internal_authenticate,
    0xAE: Application._generate,
    0x82: Application._external_authenticate,
    0x2A: stripe_mode.checksum,
}
_ISSUERS = {
    0x16: Application._block_card,
    0x1E: Application._block,
    0x18: Application._unblock,
    0x24: Application._change_pin,
}
