"""What a card's issuer says to the chip itself, in field 55 of the reply.

    91        the issuer's authentication: ARPC by method 1, and the response code that it covers
    71, 72    scripts: an identifier and one command under the issuer's MAC, before or after the chip's last cryptogram

A reply to a contactless card has none: it has left. Nor has one to a chip whose cryptogram was wrong.

Source: EMV Book 2, 8.2 (ARPC) and 9; Book 3, 10.10; PBOC 3.0 part 5 (commands).
"""

from emulator.acquirer.request import Request
from emulator.acquirer.rules import Rule
from emulator.cards import cryptogram, derivation, messaging
from firmware.emv import tlv
from firmware.iso8583 import unionpay

# Name of a rule's command: class to P2.
COMMANDS = {
    "pin-unblock": bytes.fromhex("84240000"),
    "block-application": bytes.fromhex("841E0000"),
    "unblock-application": bytes.fromhex("84180000"),
    "block-card": bytes.fromhex("84160000"),
}
TEMPLATES = {"script": 0x72, "script-before": 0x71, "wrong-script": 0x72}
UNPROVEN = ("14", "30", "59")  # codes of a chip that the issuer does not talk to


def is_chip(request: Request) -> bool:
    """Whether the card is still there to be spoken to: a chip with contacts."""
    return 55 in request.fields and unionpay.read_entry_mode(request.fields.get(22, ""))[0] == "chip"


def answer(request: Request, card: "dict | None", code: str, rule: "Rule | None") -> bytes:
    """Field 55 of the reply, b"" for none. card: the record with the issuer's keys; code: F39."""
    if card is None or not is_chip(request) or code in UNPROVEN or "mac_key" not in card:
        return b""
    try:
        values = dict(tlv.primitives(tlv.decode(request.fields[55])))
        scheme = card.get("scheme", "unionpay")
        key, mac_key, data_key = (
            derivation.option_a(card[name], card["pan"], card["sequence"]) for name in ("issuer_key", "mac_key", "data_key")
        )
        made, counter = values[0x9F26], values[0x9F36]
        proof = cryptogram.arpc_1(cryptogram.session_of(scheme, key, values), made, code.encode())
    except (tlv.TlvError, ValueError, KeyError):
        return b""
    action = rule.action if rule else ""
    if action == "wrong-arpc":
        proof = bytes(byte ^ 0xFF for byte in proof)
    objects: list = [] if action == "no-arpc" else [(0x91, proof + code.encode())]
    if rule and action in TEMPLATES:
        command = messaging.secured(scheme, mac_key, data_key, COMMANDS[rule.argument], b"", counter, made)
        if action == "wrong-script":
            command = command[:-1] + bytes((command[-1] ^ 0xFF,))
        objects.append((TEMPLATES[action], [(0x9F18, bytes.fromhex("%08d" % int(request.trace or 0))), (0x86, command)]))
    return tlv.encode(objects)


def script_results(chip: bytes) -> str:
    """The results in a notice's field 55 (DF31), hex; "" for none."""
    try:
        return (tlv.find(tlv.decode(chip), 0xDF31) or b"").hex().upper()
    except (tlv.TlvError, AttributeError):
        return ""
