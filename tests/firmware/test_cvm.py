"""Cardholder verification against the vectors, the cases written from EMV Book 3, 10.5, and each of its rules."""

import functools
import random
from binascii import hexlify

import pytest

from firmware.emv import ask, card, cvm
from firmware.emv import outcome as result
from tests.firmware.dialogue import Script, data_of, hexes, run, why_ends
from tests.firmware.test_tlv import vectors
from tests.portable import plain_keys

TRIES = ("80CA9F1700", "9F1701039000")
NO_TRIES_GIVEN = ("80CA9F1700", "6A88")
NOTHING = "0000000000000000"


class Holder(Script):
    """Types PINs, and is the vault that carries a plain one to the card."""

    def __init__(self, commands, pins):
        super().__init__(commands)
        self.pins = list(pins)

    def answer(self, step):
        if isinstance(step, bytes):
            return super().answer(step)
        self.questions.append(step)
        pin = self.pins.pop(0)
        if pin == "bypass":
            return ask.BYPASS
        if isinstance(step, ask.OnlinePin):
            return "entered"
        assert step.kind == ask.PLAINTEXT and step.key is None
        block = "2%X%s" % (len(pin), pin)
        answer = super().answer(hexes("0020008008" + block + "F" * (16 - len(block))))
        return None if answer is None else int.from_bytes(answer, "big")


def data_for(rules, said=None, amounts=NOTHING, **kinds):
    objects = {"82": "3800", "8E": amounts + rules, "9F42": "0156", "5A": "6200000000000005"}
    objects.update(said or {})
    return data_of(objects, **kinds)


def verified(rules, commands=(), answers=(), contactless=False, **kinds):
    """(9F34, TVR byte 3 in hex, method)"""
    data = data_for(rules, **kinds)
    given = run(cvm.perform(data, contactless), commands=commands, answers=answers)
    assert bytes(data.tsi) == b"\x40\x00" and bytes(data.tvr[:2] + data.tvr[3:]) == bytes(4)
    assert given.signature is (
        given.method == result.SIGNATURE or data.cvm_results[0] & 0x3F in (3, 5) and not data.cvm_results[2]
    )
    return upper(data.cvm_results), upper(data.tvr[2:3]), given.method


def upper(value):
    return hexlify(value).decode().upper()


def test_every_case_of_cardholder_verification_has_its_results():
    ran = 0
    for case in vectors("flow_made.json")["cases"]:
        if case["topic"] != "cvm":
            continue
        ran += 1
        given, expected = case["inputs"], case["expected"]
        said = {"82": given["aip"], "8E": given["cvm_list"], "5A": "6200000000000005"}
        if given.get("app_currency"):
            said["9F42"] = given["app_currency"]
        terminal = {"9F33": given["caps"], "9F35": given["terminal_type"], "5F2A": given["currency"]}
        data = data_of(said, terminal, amount_fen=given["amount"], kind=given["txn_type"])
        pins = given.get("pin", [])
        holder = Holder(given.get("card", []), [pins] if isinstance(pins, str) else pins)
        if isinstance(expected, str):
            assert expected == "terminate (format error)", case["id"]
            assert why_ends(cvm.perform(data)) == "malformed"
            continue
        outcome = run(cvm.perform(data), holder)
        assert upper(data.cvm_results) == expected["cvm_results"], case["id"]
        assert upper(data.tvr[2:3]) == expected["tvr_byte3"], case["id"]
        assert bool(data.tsi[0] & 0x40) is expected["tsi_cardholder_verification"], case["id"]
        assert data.has_tvr(1, 0x20) is expected.get("tvr_byte1_icc_data_missing", False), case["id"]
        assert outcome.signature is expected.get("signature", False), case["id"]
        assert (outcome.method == result.ONLINE_PIN) is expected.get("online_pin", False), case["id"]
        assert not holder.pins, case["id"]
    assert ran >= 25


def test_the_public_lists_are_read():
    for case in vectors("cvm_list.json")["cases"]:
        if "error" in case["expect"]:
            with pytest.raises(card.Ended):
                cvm.parse(hexes(case["cvm_list"]))
            continue
        x, y, rules = cvm.parse(hexes(case["cvm_list"]))
        assert (x, y) == (case["expect"]["amount_x"], case["expect"]["amount_y"])
        expected = [(int(rule["cvm"], 16), int(rule["condition"], 16)) for rule in case["expect"]["rules"]]
        assert rules == expected
    rule = next(case for case in vectors("misc.json")["cases"] if case["id"] == "cvm-rule")
    assert cvm.parse(hexes(rule["input"])) == (0, 0, [(0x41, 0x03)])
    below = next(case for case in vectors("misc.json")["cases"] if case["id"] == "cvm-eval-under-x")["input"]
    assert verified(below["list"][16:], amounts=below["list"][:16], amount_fen=below["amount"]) == ("1F0002", "00", "none")


@pytest.mark.parametrize("listed", ["", "00000000000000", "000000000000000001"])
def test_a_list_that_is_none_ends_the_transaction(listed):
    with pytest.raises(card.Ended, match="malformed"):
        cvm.parse(hexes(listed))


def test_a_card_that_wants_verification_and_has_no_list_lacks_data():
    data = data_of({"82": "3800"})
    assert run(cvm.perform(data)).method == "none"
    assert (upper(data.cvm_results), upper(data.tvr), upper(data.tsi)) == ("3F0000", "2000000000", "0000")


UNATTENDED = {"9F35": "25"}


@pytest.mark.parametrize(
    ("condition", "kind", "terminal", "met"),
    [
        ("00", "00", {}, True),
        ("01", "01", UNATTENDED, True),
        ("01", "01", {}, False),
        ("01", "00", UNATTENDED, False),
        ("02", "00", {}, True),
        ("02", "20", {}, True),
        ("02", "01", {}, False),
        ("02", "01", UNATTENDED, False),
        ("02", "09", {}, False),
        ("03", "00", {}, True),
        ("04", "01", {}, True),
        ("04", "01", UNATTENDED, False),
        ("04", "01", {"9F35": "23"}, True),
        ("01", "01", {"9F35": "23"}, False),
        ("01", "01", {"9F35": "24"}, True),
        ("04", "00", {}, False),
        ("05", "09", {}, True),
        ("05", "00", {}, False),
        ("0A", "00", {}, False),
        ("FF", "00", {}, False),
    ],
)
def test_a_rule_counts_where_its_condition_holds(condition, kind, terminal, met):
    got = verified("1E" + condition, kind=kind, terminal=terminal)
    assert got == ("1E" + condition + "00", "00", "signature") if met else ("3F0001", "80", "none")


def test_cashback_within_a_sale_is_cashback():
    assert verified("1E05", other_fen=100)[0] == "1E0500"
    assert verified("1E021F00", other_fen=100)[0] == "1F0002"


X_Y = "0000138800002710"


@pytest.mark.parametrize(
    ("condition", "amount", "met"),
    [
        ("06", 4999, True),
        ("06", 5000, False),
        ("07", 5000, False),
        ("07", 5001, True),
        ("08", 9999, True),
        ("08", 10000, False),
        ("09", 10000, False),
        ("09", 10001, True),
    ],
)
def test_under_and_over_are_strict_and_in_the_cards_currency(condition, amount, met):
    rules = "1E" + condition + "1F00"
    assert verified(rules, amounts=X_Y, amount_fen=amount)[2] == ("signature" if met else "none")
    assert verified(rules, said={"9F42": "0840"}, amounts=X_Y, amount_fen=amount)[2] == "none"
    abroad = {"9F1A": "0840"}
    assert verified(rules, terminal=abroad, amounts=X_Y, amount_fen=amount)[2] == ("signature" if met else "none")


def verified_with(capabilities, rules, **kinds):
    return verified(rules, terminal={"9F33": capabilities}, **kinds)


@pytest.mark.parametrize(
    ("code", "without", "byte"),
    [
        ("41", "E078C8", "10"),
        ("42", "E0B8C8", "10"),
        ("43", "E078C8", "10"),
        ("43", "E0D8C8", "00"),  # it is the signature that is lacking
        ("44", "E0E8C8", "10"),
        ("45", "E0E8C8", "10"),
        ("45", "E0D8C8", "00"),
        ("5E", "E0D8C8", "00"),
        ("60", "E0F8C8", "00"),
    ],
)
def test_a_method_that_the_terminal_lacks_is_not_performed(code, without, byte):
    assert verified_with(without, code + "00")[:2] == ("3F0001", "%02X" % (0x80 | int(byte, 16)))
    assert verified_with(without, code + "03")[:2] == ("3F0001", "80")  # "if the terminal supports it": no bit


def test_no_verification_must_be_supported_too():
    assert verified_with("E0F0C8", "1F00")[:2] == ("3F0001", "80")


def test_a_row_without_online_pin_has_none():
    assert verified("4200 1F00", row={"online_pin": False}) == ("1F0002", "10", "none")
    assert verified("4203 1F00", row={"online_pin": False}) == ("1F0002", "00", "none")


def test_an_unknown_method_is_told_and_the_next_rule_is_taken_where_the_code_says_so():
    assert verified("6F00 1F00") == ("1F0002", "40", "none")
    assert verified("2F00 1F00") == ("3F0001", "C0", "none")
    assert verified("3F00") == ("3F0001", "C0", "none")
    assert verified("0600") == ("3F0001", "C0", "none")


def test_a_rule_to_fail_fails_and_can_be_followed_by_another():
    assert verified("0000 1F00") == ("000001", "80", "none")
    assert verified("4000 1F00") == ("1F0002", "00", "none")
    assert verified("4003") == ("400301", "80", "none")


def test_an_online_pin_is_asked_for_by_the_card_number():
    script = Script(answers=["entered"])
    data = data_for("0200")
    assert run(cvm.perform(data), script).method == "online-pin"
    assert script.questions[0].pan == "6200000000000005"
    assert (upper(data.cvm_results), upper(data.tvr)) == ("020000", "0000040000")


def test_a_pin_pad_that_is_broken_is_absent():
    assert verified("4200 1F00", answers=[ask.BROKEN]) == ("1F0002", "10", "none")
    assert verified("0100", [TRIES], [ask.BROKEN]) == ("3F0001", "90", "none")


def test_one_pin_passed_over_is_all_pins_passed_over():
    assert verified("4203 4103 4403 1E03", answers=[ask.BYPASS]) == ("1E0300", "08", "signature")
    assert verified("4203 0103", answers=[ask.BYPASS]) == ("010301", "88", "none")
    assert verified("4103 4203 1E03", [TRIES], [ask.BYPASS]) == ("1E0300", "08", "signature")


def test_a_holder_who_cancels_ends_the_transaction():
    assert why_ends(cvm.perform(data_for("4200 1F00")), answers=[ask.CANCEL]) == "cancelled"
    assert why_ends(cvm.perform(data_for("4100 1F00")), commands=[TRIES], answers=[ask.CANCEL]) == "cancelled"


def test_an_offline_pin_is_asked_for_while_the_card_gives_tries():
    script = Script([TRIES], [0x63C2, 0x63C1, 0x9000])
    data = data_for("0100")
    assert run(cvm.perform(data), script).method == "offline-pin"
    assert [question.tries_left for question in script.questions] == [3, 2, 1]
    assert (upper(data.cvm_results), upper(data.tvr)) == ("010002", "0000000000")
    assert data.said[0x9F17] == b"\x03"


@pytest.mark.parametrize("left", range(1, 16))
def test_as_many_tries_as_a_card_says_are_left(left):
    assert verified("0100", [NO_TRIES_GIVEN], [0x63C0 | left, 0x9000]) == ("010002", "00", "offline-pin")


@pytest.mark.parametrize("status", [0x63C0, 0x6983, 0x6984])
def test_a_card_that_gives_no_more_tries_says_so_in_one_of_three_ways(status):
    assert verified("0100", [NO_TRIES_GIVEN], [status]) == ("010001", "A0", "none")
    # and no second method asks for a PIN
    assert verified("4100 4300 1F00", [NO_TRIES_GIVEN], [status]) == ("1F0002", "20", "none")


def test_a_card_without_tries_is_not_offered_a_pin():
    assert verified("4100 1F00", [("80CA9F1700", "9F1701009000")]) == ("1F0002", "20", "none")
    assert verified("0100", [("80CA9F1700", "9F1701009000")]) == ("010001", "A0", "none")


def test_a_card_that_refuses_verify_in_another_way_has_failed():
    assert verified("4100 1F00", [NO_TRIES_GIVEN], [0x6A81]) == ("1F0002", "00", "none")
    assert verified("0100", [NO_TRIES_GIVEN], [0x6700]) == ("010001", "80", "none")


def test_with_the_switch_off_the_tries_are_not_asked_for():
    assert verified("0100", answers=[0x9000], switches={"pin_tries": False}) == ("010002", "00", "offline-pin")


def test_a_card_that_leaves_at_the_pin_is_lost():
    assert why_ends(cvm.perform(data_for("0100")), commands=[TRIES], answers=[None]) == "lost"
    assert why_ends(cvm.perform(data_for("0100")), commands=[("80CA9F1700", None)]) == "lost"


def test_a_card_that_always_has_a_try_left_is_asked_no_more_often_than_a_card_can_count():
    assert verified("0100", [TRIES], [0x63C3] * 15) == ("010001", "80", "none")


def test_a_pin_and_a_signature_are_unknown_until_both_are_checked():
    assert verified("0300", [TRIES], [0x9000]) == ("030000", "00", "offline-pin")
    assert verified("0300", [NO_TRIES_GIVEN], [0x6983]) == ("030001", "A0", "none")


@functools.cache
def certificates():
    """What the issuer gives a card with a key of DDA and one for PINs."""
    objects = plain_keys.issuer_objects()
    objects.update(plain_keys.card_objects())
    objects.update(plain_keys.card_objects(card=plain_keys.MIDDLE, tags=PIN_KEY))
    return objects


PIN_KEY = (0x9F2D, 0x9F2F, 0x9F2E)


def enciphered(rules="0400", lacking=()):
    objects = dict(certificates())
    for tag in lacking:
        del objects[tag]
    data = plain_keys.data_of(objects)
    data.said[0x8E] = hexes(NOTHING + rules)
    return data


CHALLENGES = ["0102030405060708", "1112131415161718"]


@pytest.mark.parametrize(("lacking", "key"), [((), plain_keys.MIDDLE), (PIN_KEY[:1], plain_keys.SMALL)])
def test_an_enciphered_pin_has_a_new_challenge_for_each_try(lacking, key):
    data = enciphered(lacking=lacking)
    script = Script([TRIES] + [("0084000000", challenge + "9000") for challenge in CHALLENGES], [0x63C2, 0x9000])
    assert run(cvm.perform(data), script).method == "offline-pin"
    assert (upper(data.cvm_results), upper(data.tvr)) == ("040002", "0000000000")
    assert [question.challenge for question in script.questions] == [hexes(challenge) for challenge in CHALLENGES]
    for question in script.questions:
        assert (question.kind, question.key) == (ask.ENCIPHERED, (key.modulus, key.exponent))


def test_an_enciphered_pin_and_a_signature_go_together():
    data = enciphered("0500")
    given = run(cvm.perform(data), commands=[TRIES, ("0084000000", CHALLENGES[0] + "9000")], answers=[0x9000])
    assert (given.method, given.signature, upper(data.cvm_results)) == ("offline-pin", True, "050000")


@pytest.mark.parametrize("answer", ["6D00", "01020304050607 9000", "010203040506070809 9000", "9000"])
def test_without_a_challenge_of_eight_bytes_no_pin_is_asked_for(answer):
    data = enciphered("4400 1F00")
    run(cvm.perform(data), commands=[TRIES, ("0084000000", answer)])
    assert (upper(data.cvm_results), upper(data.tvr)) == ("1F0002", "0000000000")


def test_without_a_key_that_holds_no_pin_is_asked_for():
    data = enciphered("0400", lacking=(0x90,))
    run(cvm.perform(data), commands=[TRIES])
    assert (upper(data.cvm_results), upper(data.tvr)) == ("040001", "0000800000")


DOCUMENT = {"9F61": "3131303130353139", "9F62": "00"}
WITH_DOCUMENT = {"9F33": "E0F9C8"}


def test_a_document_is_looked_at_where_card_and_terminal_are_unionpays():
    data = data_for("2000", DOCUMENT, terminal=WITH_DOCUMENT)
    script = Script(answers=[True])
    assert run(cvm.perform(data), script).method == "document"
    assert (script.questions[0].kind, script.questions[0].number) == ("id-card", "11010519")
    assert upper(data.cvm_results) == "200002"
    assert verified("6000 1F00", said=DOCUMENT, terminal=WITH_DOCUMENT, answers=[False]) == ("1F0002", "00", "none")
    assert verified("6000 1F00", said={"9F62": "00"}, terminal=WITH_DOCUMENT) == ("1F0002", "00", "none")
    assert why_ends(cvm.perform(data_for("2000", DOCUMENT, terminal=WITH_DOCUMENT)), answers=[ask.CANCEL]) == "cancelled"
    other = {"aid": "A0000000031010"}
    assert verified("6000 1F00", said=DOCUMENT, terminal=WITH_DOCUMENT, row=other) == ("1F0002", "40", "none")


@pytest.mark.parametrize(("kind", "name"), [("01", "officer"), ("04", "temporary-id"), ("05", "other"), ("99", "other")])
def test_a_document_has_a_name(kind, name):
    script = Script(answers=[True])
    run(cvm.perform(data_for("2000", {"9F61": "31", "9F62": kind}, terminal=WITH_DOCUMENT)), script)
    assert script.questions[0].kind == name


def test_over_contactless_nobody_is_asked_while_the_card_is_there():
    assert verified("4200", contactless=True) == ("420000", "04", "online-pin")
    assert verified("4103 4303 4403 4503 1E03", contactless=True) == ("1E0300", "00", "signature")
    assert verified("4100 4300 1F00", contactless=True) == ("1F0002", "10", "none")
    assert verified("6003 1F00", said=DOCUMENT, terminal=WITH_DOCUMENT, contactless=True) == ("1F0002", "00", "none")


def test_a_question_never_shows_whose_it_is():
    script = Script(answers=["entered"])
    run(cvm.perform(data_for("0200")), script)
    assert "6200" not in repr(script.questions[0])


def test_whatever_list_and_answers_come_the_verification_ends():
    chance = random.Random(3)
    answers = ("entered", ask.BYPASS, ask.BROKEN, ask.CANCEL, True, None, 0x9000, 0x63C1, 0x63C0, 0x6983)
    for _ in range(1000):
        rules = bytes(chance.choice((0x40, 0x00)) | chance.choice(list(range(8)) + [0x1E, 0x1F, 0x20]) for _ in range(4))
        listed = bytes(8) + b"".join(bytes((code, chance.choice((0, 0, 3, 2, 6, 9, 70)))) for code in rules)
        data = enciphered()
        data.said[0x8E] = listed[: chance.choice((len(listed), len(listed), 13, 8, 3))]
        data.told[0x9F33] = bytes((0xE0, chance.randrange(256), 0xC8))
        step, sent = cvm.perform(data, chance.random() < 0.2), None
        try:
            for _ in range(100):
                given = step.send(sent)
                if isinstance(given, bytes):
                    sent = chance.choice((b"\x90\x00", bytes(8) + b"\x90\x00", b"\x9f\x17\x01\x02\x90\x00", b"\x6a\x81"))
                elif isinstance(given, ask.OfflinePin):
                    sent = chance.choice(answers[6:] + (ask.BYPASS, ask.BROKEN, None))
                else:
                    sent = chance.choice(answers[:5])
            pytest.fail("it goes on")
        except card.Ended as end:
            assert end.why in ("malformed", "cancelled", "lost")
        except StopIteration as end:
            assert end.value.method in result.METHODS and len(data.cvm_results) == 3
            assert (data.cvm_results[2] == 1) is data.has_tvr(3, 0x80)
