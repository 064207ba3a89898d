"""Whole recorded cards: what a real card was once sent, held against what this terminal sends it."""

import itertools
from binascii import hexlify, unhexlify

from firmware.emv import apdu, ask, contact, contactless, dol, tags, tlv
from firmware.emv.authority import checksum
from firmware.emv.settings import Request, Settings
from tests.firmware.test_selection import joined, upper
from tests.firmware.test_tlv import vectors
from tests.portable.plain_chip import Person, carry_out

# What the recording terminal got wrong, and what is right instead: (case, tag of a data object list) -> value.
MENDED = {
    ("emvpt-test-data", "95"): ("0040000000", "the application ended in 2018 and the transaction is of 2020: expired"),
}


class RecordedCard:
    """Answers a command as the recording does: the same but for the length expected; cryptograms and the like by instruction.

    The answer is the next one of the recording, since a command may be answered otherwise once another application is
    selected; for one that came earlier in the recording the first.
    """

    BY_INSTRUCTION = (0xA8, 0xAE, 0x88, 0x82, 0x2A)

    def __init__(self, case):
        self.pairs = [(unhexlify(command), response) for command, response in joined(case["apdus"])]
        self.at = 0
        self.log = []

    def apdu(self, command):
        self.log.append(command)
        for at in list(range(self.at, len(self.pairs))) + list(range(self.at)):
            said, response = self.pairs[at]
            if bare(said) == bare(command) or (command[1] == said[1] and command[1] in self.BY_INSTRUCTION):
                self.at = at + 1
                return response
        return b"\x6a\x88"

    def commands(self, instruction):
        return [command for command in self.log if command[1] == instruction]


def bare(command):
    """A command without the length that it expects."""
    return command[:4] if len(command) == 5 else command[: 5 + command[4]]


def data_of(command):
    return command[5 : 5 + command[4]]


def said_by(case):
    """{tag: value} of what the card said, and the list that it asked its options with."""
    said, pdol = {}, b""
    for command, response in RecordedCard(case).pairs:
        try:
            tree = tlv.decode(response[:-2])
        except tlv.TlvError:
            continue
        if command[1] == 0xA4:
            pdol = tlv.find(tree, 0x9F38) or b""
            name = tlv.find(tree, 0x84)
            if name and not name.endswith(b"PAY.SYS.DDF01"):
                said[0x84] = name
        elif command[1] == 0xA8:
            said[0x9F38] = pdol
            if tree and tree[0][0] == 0x80:
                said[0x82] = tree[0][1][:2]
        said.update(tlv.primitives(tree))
    return said


def split(listed, values):
    """[(tag, value)] of the answer to a list."""
    parts, at = [], 0
    for tag, size in dol.parse(listed or b""):
        parts.append((tag, values[at : at + size]))
        at += size
    return parts


def options_of(command):
    """The values in GET PROCESSING OPTIONS, without 83 and its length."""
    data = data_of(command)
    return data[3 if len(data) > 129 else 2 :]


def directory_of(name):
    """What a card says whose recording begins with the application."""
    entry = [(0x61, [(0x4F, name), (0x87, b"\x01")])]
    return tlv.encode([(0x6F, [(0x84, apdu.PPSE), (0xA5, [(0xBF0C, entry)])])]) + b"\x90\x00"


STAGES = ("options", "first cryptogram", "second cryptogram")


def stages(commands, said):
    """{stage: [(tag, value)]} of what a terminal told this card."""
    told = {}
    options = [command for command in commands if command[1] == 0xA8]
    if options:
        told[STAGES[0]] = split(said.get(0x9F38), options_of(options[-1]))
    cryptograms = [command for command in commands if command[1] == 0xAE]
    for stage, command, listed in zip(STAGES[1:], cryptograms, (0x8C, 0x8D), strict=False):
        told[stage] = [("P1", command[2:3])] + split(said.get(listed), data_of(command))
    return told


# The kernel's own, or counted by the recording terminal: how the card is used, which transaction of the terminal it is.
OWN = (0x9F39, 0x9F41)
# Of one transaction, or of its application: not among the settings of the terminal.
PASSING = (
    0x9F02, 0x9F03, 0x81, 0x9F04, 0x9A, 0x9F21, 0x9C, 0x9F37, 0x95, 0x9B, 0x9F34, 0x8A, 0x91, 0x98, 0x9F06, 0x9F09, 0x9F1B,
    0x9F66,
)  # fmt: skip
KERNELS = {"A000000333": "07", "A000000003": "03", "A000000004": "02"}


def authority_keys(rid):
    rows = []
    for key in vectors("capk.json")["keys"]:
        if key["rid"] == rid and key["index"] not in [row["index"] for row in rows] and int(key["exponent"], 16) in (3, 65537):
            row = {name: key[name] for name in ("rid", "index", "modulus", "exponent")}
            parts = [unhexlify(key[name]) for name in ("rid", "modulus", "exponent")]
            row["hash"] = hexlify(checksum(parts[0], int(key["index"], 16), parts[1], parts[2])).decode()
            rows.append(dict(row, kind="test"))
    return [row for row in rows if len(row["modulus"]) <= 2 * 248]


class Recording:
    """What a recording tells of its terminal: the same settings, as far as they can be told, make the same decisions."""

    def __init__(self, case):
        self.case = case
        self.card = RecordedCard(case)
        self.said = said_by(case)
        self.commands = [command for command, _ in self.card.pairs]
        self.told = stages(self.commands, self.said)
        self.values = {}
        for stage in self.told:
            for tag, value in self.told[stage]:
                self.values.setdefault(tag, value)
        for command in self.commands:
            if command[1] == 0x2A:  # of stripe mode: the number in digits
                digits = dict(split(self.said.get(0x9F69, b"\x9f\x6a\x04"), data_of(command))).get(0x9F6A, b"")
                self.values.setdefault(0x9F37, int(upper(digits) or "0").to_bytes(4, "big"))
        self.directory = any(command[5:9] == b"2PAY" for command in self.commands)
        self.tapped = self.directory or 0x9F66 in self.values

    def number(self, tag, otherwise):
        text = upper(self.values.get(tag, b""))
        return int(text) if text.isdigit() else otherwise

    def request(self, time):
        value = self.values.get
        amount = self.number(0x9F02, int.from_bytes(value(0x81, b""), "big"))
        asked = self.values.get("P1", b"\x00")[0]
        return Request(
            amount, upper(value(0x9A, b"\x20\x01\x01")), upper(value(0x9F21, b"")) or time, value(0x9F37, bytes(4)),
            self.number(0x9F41, 1), upper(value(0x9C, b"\x00")), min(self.number(0x9F03, 0), amount),
            online=bool(value(0x9F66, bytes(4))[1] & 0x80 if self.tapped else asked & 0x80),
        )  # fmt: skip

    def row(self):
        """The application, with the limits and codes that lead to what was decided."""
        tvr, amount = self.values.get(0x95, bytes(5)), self.number(0x9F02, 0)
        asked = self.values.get("P1", b"\x80")[0]
        name = upper(self.values.get(0x9F06, self.said[0x84]))
        same = self.said.get(0x9F08, b"\x00\x96")
        row = {
            "aid": name, "version": upper(same if not tvr[1] & 0x80 else bytes((same[0] ^ 1, same[1]))),
            "terminal_floor_limit_fen": 0 if tvr[3] & 0x80 else amount + 1, "ddol": "9F3704",
            "target_percent": 99 if tvr[3] & 0x10 else 0, "maximum_percent": 99 if tvr[3] & 0x10 else 0,
            "threshold_fen": amount + 1 if tvr[3] & 0x10 else 0, "tac_denial": upper(tvr) if not asked & 0xC0 else "",
            "tac_online": "FFFFFFFFFF" if asked & 0x80 else "",
        }  # fmt: skip
        if self.tapped:
            ttq = self.values.get(0x9F66, unhexlify("66004080"))
            row.update(kernel=KERNELS[name[:10]], ttq=upper(ttq), cvm_limit_fen=0 if ttq[1] & 0x40 else None)
            row["floor_limit_fen"] = 0 if tvr[3] & 0x80 else amount
        return row

    def settings(self, methods, proofs, keys):
        terminal = {"9F33": "E0%02X%02X" % (methods, proofs), "9F35": "22", "9F40": "6000F0A001"}
        for tag, value in self.values.items():
            if tag != "P1" and tags.source_of(tag) == tags.TERMINAL and tag not in PASSING + OWN:
                terminal["%X" % tag] = upper(value)
        row, tvr = self.row(), self.values.get(0x95, bytes(5))
        velocity = any(command[1:4] == b"\xca\x9f\x13" for command in self.commands)
        switches = {"velocity": velocity, "force_online": bool(tvr[3] & 0x08)}
        switches["pin_tries"] = any(command[1:4] == b"\xca\x9f\x17" for command in self.commands)
        return Settings([row], terminal, authority_keys(row["aid"][:10]) if keys else (), switches=switches)

    def reply(self):
        last = dict(self.told.get(STAGES[2], ()))
        proofs = [data_of(command) for command in self.commands if command[1] == 0x82]
        code = last.get(0x8A, b"").decode("ascii", "replace")
        if not last or (code in ("Y3", "Z3") and not proofs):
            return ask.Reply()
        return ask.Reply(code or "00", bool(last["P1"][0] & 0x40), proofs[0] if proofs else last.get(0x91, b"").rstrip(b"\x00"))

    def carried_out(self, time, methods, proofs, pin, keys):
        """(outcome, card, person) of this terminal with the recording's date, amount and unpredictable number."""
        person, card = Person(self.reply()), RecordedCard(self.case)
        if self.tapped and not self.directory:
            card.pairs.insert(0, (apdu.select(apdu.PPSE), directory_of(self.said[0x84])))
        person.pin = pin
        verified = [int.from_bytes(answer[-2:], "big") for command, answer in card.pairs if command[1] == 0x20]
        person.offline_pins = verified + [0x9000, ask.BYPASS]
        run = contactless.tap if self.tapped else contact.insert
        return carry_out(run(self.settings(methods, proofs, keys), self.request(time)), card, person), card, person

    def differences(self, card):
        """[(stage, tag, ours, theirs)]"""
        found, ours = [], stages(card.log, self.said)
        for stage in self.told:
            mine = ours.get(stage, [])
            for at, (tag, value) in enumerate(self.told[stage]):
                here = mine[at][1] if at < len(mine) else b""
                name = tag if tag == "P1" else "%X" % tag
                wanted = MENDED.get((self.case["name"], name), (upper(value),))[0]
                if tag not in OWN and upper(here) != wanted:
                    found.append((stage, name, upper(here), wanted))
        for instruction in (0x88, 0x82, 0x2A):
            theirs = [data_of(command) for command in self.commands if command[1] == instruction]
            sent = [data_of(command) for command in card.commands(instruction)]
            if theirs != sent:
                found.append(("command", "%02X" % instruction, b"".join(sent).hex(), b"".join(theirs).hex()))
        return found


# What no recording tells: bytes 2 and 3 of 9F33, whether the holder typed a PIN, whether the terminal had the keys. One choice of
# these fits.
METHODS = (0xF8, 0xF0, 0xE8, 0x78, 0x70, 0x68, 0x60, 0x28, 0x20, 0x08, 0x40, 0x48, 0xB8, 0xB0, 0xA8)
PROOFS = (0xC8, 0xC0, 0x80, 0x40, 0x00)


def replayed(case, time="101500"):
    """(outcome, card, person, differences) of the run that is nearest to the recording."""
    recording, best = Recording(case), None
    for choice in itertools.product((True, False), PROOFS, ("entered", ask.BYPASS), METHODS):
        keys, proofs, pin, methods = choice
        outcome, card, person = recording.carried_out(time, methods, proofs, pin, keys)
        found = recording.differences(card)
        if best is None or len(found) < len(best[3]):
            best = (outcome, card, person, found)
        if not found:
            break
    return best


def test_every_recorded_card_is_sent_what_it_was_sent():
    ran = 0
    for case in vectors("transcripts.json")["cases"]:
        recording = Recording(case)
        if recording.tapped and upper(recording.said[0x84])[:10] not in KERNELS:
            continue  # of a scheme whose kernel is not built
        outcome, _, _, differences = replayed(case)
        assert differences == [], case["name"]
        answers = [recording.told[stage] for stage in STAGES[1:] if stage in recording.told]
        if len(answers) == 2:
            assert outcome.status == ("approved" if answers[1][0][1][0] & 0x40 else "declined"), case["name"]
        assert outcome.why not in ("malformed", "missing", "refused", "endless"), case["name"]
        ran += 1
    assert ran


def test_the_recorded_card_is_authenticated_and_its_holder_verified():
    case = [case for case in vectors("transcripts.json")["cases"] if case["name"] == "emvpt-test-data"][0]
    outcome, _, person, _ = replayed(case)
    authentication = case["offline_data_authentication"]
    assert not outcome.tags[0x95][0]  # every certificate and the card's signature hold
    assert upper(outcome.tags[0x9F4C]) == authentication["dda"]["idn"]
    pin = person.was_asked(ask.OfflinePin)[0]
    assert (pin.kind, pin.challenge) == (ask.ENCIPHERED, unhexlify("B34571E839F2E14F"))
    assert upper(pin.key[0]) == authentication["icc_key"]["pk_modulus"]
    assert upper(outcome.tags[0x9F34]) == "440302" and outcome.cvm == "offline-pin"
    assert outcome.aid == authentication["aid"] and outcome.pan and outcome.pan not in repr(outcome)
