"""Whole recorded cards: what a real card was once sent, held against what this terminal sends it."""

from binascii import hexlify, unhexlify

from firmware.emv import ask, contact
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

    BY_INSTRUCTION = (0xA8, 0xAE, 0x88, 0x82)

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


def told_by(case):
    """{tag: value} of what the terminal said in the recording."""
    told = {}
    for stage in ("generate_ac_1", "generate_ac_2"):
        for row in case["derived"].get(stage, {}).get("cdol_values", ()):
            told[row["tag"]] = row["value"]
    return told


def authority_keys(rid):
    rows = []
    for key in vectors("capk.json")["keys"]:
        if key["rid"] == rid and key["kind"] == "test":
            row = {name: key[name] for name in ("rid", "index", "modulus", "exponent", "kind")}
            parts = [unhexlify(key[name]) for name in ("rid", "modulus", "exponent")]
            row["hash"] = hexlify(checksum(parts[0], int(key["index"], 16), parts[1], parts[2])).decode()
            rows.append(row)
    return rows


def replayed(case, time="101500"):
    """(outcome, card, person) of this terminal with the recording's date, amount and unpredictable number."""
    told, derived = told_by(case), case["derived"]
    aid = case["offline_data_authentication"]["aid"]
    terminal = {"9F33": "E0F8C8", "9F35": "22", "9F40": "6000F0A001"}
    terminal.update({tag: told[tag] for tag in ("9F1A", "5F2A", "9F33", "9F35") if tag in told})
    row = {"aid": aid, "terminal_floor_limit_fen": 1000000, "version": "0096"}
    settings = Settings([row], terminal, authority_keys(aid[:10]), switches={"velocity": False})
    request = Request(
        int(told["9F02"]), told["9A"], time, unhexlify(told["9F37"]), 1, told["9C"], min(int(told["9F03"]), int(told["9F02"]))
    )
    reply = ask.Reply(
        unhexlify(told["8A"]).decode(), derived["generate_ac_2"]["requested"] == "TC",
        unhexlify(derived.get("external_authenticate", {}).get("data", "")),
    )  # fmt: skip
    person = Person(reply)
    person.offline_pins = [int(row["sw"], 16) for row in derived.get("verify", ())]
    recorded = RecordedCard(case)
    return carry_out(contact.insert(settings, request), recorded, person), recorded, person


def expected_values(case, stage):
    parts = []
    for row in case["derived"][stage]["cdol_values"]:
        mended = MENDED.get((case["name"], row["tag"]))
        parts.append(mended[0] if mended else row["value"])
    return "".join(parts)


def test_every_recorded_card_is_sent_what_it_was_sent():
    for case in vectors("transcripts.json")["cases"]:
        outcome, recorded, _ = replayed(case)
        derived = case["derived"]
        assert upper(data_of(recorded.commands(0xA8)[0])) == derived["gpo_data"], case["name"]
        if "internal_authenticate_data" in derived:
            assert upper(data_of(recorded.commands(0x88)[0])) == derived["internal_authenticate_data"]
        for command, stage in zip(recorded.commands(0xAE), ("generate_ac_1", "generate_ac_2"), strict=True):
            assert "%02X" % command[2] == derived[stage]["p1"], (case["name"], stage)
            assert upper(data_of(command)) == expected_values(case, stage), (case["name"], stage)
        proofs = [upper(data_of(command)) for command in recorded.commands(0x82)]
        assert proofs == ([derived["external_authenticate"]["data"]] if "external_authenticate" in derived else [])
        assert (outcome.status, upper(outcome.tags[0x9F27])) == ("approved", derived["generate_ac_2"]["cid"])


def test_the_recorded_card_is_authenticated_and_its_holder_verified():
    case = [case for case in vectors("transcripts.json")["cases"] if case["name"] == "emvpt-test-data"][0]
    outcome, recorded, person = replayed(case)
    authentication = case["offline_data_authentication"]
    assert not outcome.tags[0x95][0]  # every certificate and the card's signature hold
    assert upper(outcome.tags[0x9F4C]) == authentication["dda"]["idn"]
    pin = person.was_asked(ask.OfflinePin)[0]
    assert (pin.kind, pin.challenge) == (ask.ENCIPHERED, unhexlify("B34571E839F2E14F"))
    assert upper(pin.key[0]) == authentication["icc_key"]["pk_modulus"]
    assert upper(outcome.tags[0x9F34]) == "440302" and outcome.cvm == "offline-pin"
    assert outcome.aid == authentication["aid"] and outcome.pan and outcome.pan not in repr(outcome)
