"""Every public vector of the issuer's side, against the emulator's cards and issuers."""

import pytest

from emulator.acquirer.keys import Engine
from emulator.cards import cryptogram, derivation, messaging
from tests.firmware.test_tlv import vectors

FILE = "crypto_vectors.json"


def of(text):
    return bytes.fromhex(text)


# operation: inputs of the file -> result
OPERATIONS = {
    "key_check_value": lambda v: Engine().check_value(of(v["key"]))[: v["length"]],
    "icc_master_key_option_a": lambda v: derivation.option_a(of(v["iss_mk"]), v["pan"], v["psn"]),
    "icc_master_key_option_b": lambda v: derivation.option_b(of(v["iss_mk"]), v["pan"], v["psn"]),
    "session_key_emv_common": lambda v: derivation.common(of(v["icc_mk"]), of(v["r"])),
    "session_key_visa_secure_messaging": lambda v: derivation.xor(of(v["icc_mk"]), of(v["atc"])),
    "session_key_emv2000_tree": lambda v: derivation.tree(
        of(v["icc_mk"]), of(v["atc"]), v["height"], v["branch_factor"], of(v["iv"])
    ),
    "mac_iso9797_alg3": lambda v: cryptogram.mac(of(v["key1"] + v["key2"]), of(v["data"]), v["padding"])[: v["length"]],
    "application_cryptogram": lambda v: cryptogram.mac(of(v["sk_ac"]), of(v["data"]), {"EMV": 2, "VISA": 1}[v["padding_type"]])[
        : v.get("length", 8)
    ],
    "arpc_method_1": lambda v: cryptogram.arpc_1(of(v["sk_ac"]), of(v["arqc"]), of(v["arpc_rc"])),
    "arpc_method_2": lambda v: cryptogram.arpc_2(of(v["sk_ac"]), of(v["arqc"]), of(v["csu"]), of(v["prop_auth_data"])),
    "script_command_mac": lambda v: messaging.command_mac(of(v["sk_smi"]), of(v["command"]), v["length"]),
    "script_command_data_encipher": lambda v: messaging.encipher(of(v["sk_smc"]), of(v["command_data"]), v["encryption_type"]),
    "pin_block_visa_vis": lambda v: messaging.pin_block_vis(of(v["icc_mk_ac"]), v["pin"], v.get("current_pin", "")),
    "pin_block_iso9564_format_2": lambda v: messaging.pin_block_2(v["pin"]),
    "cvc3": lambda v: b"%05d" % cryptogram.cvc3(of(v["icc_cvc3"]), of(v["track_template"]), of(v["atc"]), of(v["un"])),
}


def expected_of(operation, text):
    return text.encode() if operation == "cvc3" else of(text)


def test_every_vector_of_every_operation_holds():
    given, ran = vectors(FILE)["vectors"], 0
    assert set(given) == set(OPERATIONS)
    for operation, rows in given.items():
        for row in rows:
            assert OPERATIONS[operation](row["inputs"]) == expected_of(operation, row["expected"]), (operation, row["test"])
            ran += 1
    assert ran >= 88


def test_whatever_must_be_rejected_is():
    rows = vectors(FILE)["must_be_rejected"]
    for row in rows:
        with pytest.raises(ValueError, match="bytes|digits|padding"):
            OPERATIONS[row["op"]](row["inputs"])
    assert len(rows) >= 16


# A whole transaction of each scheme, from the issuer's master keys on.


def flow(scheme):
    """(inputs, [(step, inputs, expected)])"""
    (row,) = [row for row in vectors(FILE)["scheme_flows"] if row["scheme"] == scheme]
    return row["inputs"], [(step["step"], step["inputs"], of(step["expected"])) for step in row["steps"]]


def card_keys(given):
    return [
        derivation.option_a(of(given[name]), given["pan"], given["psn"]) for name in ("iss_mk_ac", "iss_mk_smi", "iss_mk_smc")
    ]


def objects(given, issuer_data):
    values = {int(tag, 16): of(value) for tag, value in given.items() if tag not in ("cvr", "arpc_rc")}
    return values | {0x9F10: issuer_data}


@pytest.mark.parametrize(
    ("name", "scheme", "issuer_data"),
    [("VisaCVN10", "visa", "06010A{cvr}"), ("MasterCardCVN20", "mastercard", "0114{cvr}")],
)
def test_a_transaction_of_the_scheme_holds_from_the_master_keys_to_the_pin_change(name, scheme, issuer_data):
    given, steps = flow(name)
    key, mac_key, data_key = card_keys(given)
    values, ran = {}, 0
    for step, inputs, expected in steps:
        if step == "ARQC":
            values = objects(inputs, of(issuer_data.format(cvr=inputs["cvr"])))
            assert cryptogram.application_cryptogram(scheme, key, values) == expected
            values[0x9F26] = expected
        elif step == "ARPC":
            session = cryptogram.session_of(scheme, key, values)
            assert cryptogram.arpc_1(session, values[0x9F26], of(inputs["arpc_rc"])) == expected
        elif step == "script MAC":
            head = of(inputs["command_header"])[:4]
            made = messaging.secured(scheme, mac_key, data_key, head, b"", values[0x9F36], values[0x9F26])
            assert made == of(inputs["command_header"]) + expected
        else:
            current = inputs.get("current_pin", "")
            head = of("84240001" if current else "84240002")
            text = messaging.new_pin(scheme, key, inputs["pin"], current)
            assert messaging.secured(scheme, mac_key, data_key, head, text, values[0x9F36], values[0x9F26]) == expected
        ran += 1
    assert ran == len(steps) >= 4


def test_a_transaction_of_interac_holds_with_the_same_parts():
    """No card of the shelf is Interac's: its keys come from counter and unpredictable number, its scripts have neither."""
    given, steps = flow("InteracCVN133")
    key, mac_key, data_key = card_keys(given)
    (_, inputs, arqc), (_, answer, arpc), (_, script, mac), (_, change, command) = steps
    values = objects(inputs, of(inputs["9F10"]))
    session = derivation.common(key, values[0x9F36] + bytes(2) + values[0x9F37])
    data = cryptogram.signed_data(values, slice(0, 32))
    assert cryptogram.mac(session, data) == arqc
    assert cryptogram.arpc_1(session, arqc, of(answer["arpc_rc"])) == arpc
    mac_session, data_session = derivation.common(mac_key, arqc), derivation.common(data_key, arqc)
    assert messaging.command_mac(mac_session, of(script["command_header"])) == mac
    head = of("8424000210")
    hidden = messaging.encipher(data_session, messaging.pin_block_2(change["pin"]), messaging.MASTERCARD)
    assert head + hidden + messaging.command_mac(mac_session, head + hidden) == command


# What the vectors do not reach


def test_a_new_pin_is_read_back_from_its_command():
    key, session = bytes(range(16)), bytes(range(16, 32))
    for scheme, rules in messaging.RULES.items():
        for current in ("", "482915"):
            hidden = messaging.encipher(session, messaging.new_pin(scheme, key, "13579", current), rules.kind)
            assert messaging.read_pin(scheme, key, session, hidden, current) == "13579"
            with pytest.raises(ValueError, match="PIN|padding"):
                messaging.read_pin(scheme, key, bytes(16), hidden, current)


def test_damaged_data_of_a_script_is_refused():
    for data in (b"", bytes(7), bytes(8)):
        with pytest.raises(ValueError, match="blocks|padding"):
            messaging.decipher(bytes(16), data)


def test_a_version_that_a_scheme_does_not_have_is_refused():
    for scheme, issuer_data in (
        ("unionpay", "07010A03A00000"),
        ("visa", "06010103A00000"),
        ("jcb", "07010103A00000"),
        ("visa", ""),
    ):
        with pytest.raises(ValueError, match="version"):
            cryptogram.version_of(scheme, of(issuer_data))


def test_each_byte_of_a_derived_key_has_odd_parity():
    keys = [
        derivation.option_a(bytes(16), "6200001234567890", "001"), derivation.option_b(bytes(16), "6200001234567890123", "001"),
        derivation.pboc(bytes(range(16)), 7), derivation.of_counter(bytes(range(16)), 7),
        derivation.xor(bytes(range(16)), b"\0\7"),
        derivation.tree(bytes(range(16)), b"\0\7"),
    ]  # fmt: skip
    assert all(bin(byte).count("1") % 2 for key in keys for byte in key) and len(set(keys)) == len(keys)


def test_each_counter_has_a_key_of_its_own():
    made = {derivation.pboc(bytes(range(16)), atc) for atc in (0, 1, 2, 255, 256, 65535)}
    assert len(made) == 6
