import random

import pytest

from drivers import cup_keys, libcrypto
from firmware.events import SECRET_READY, SECRET_STOPPED, SECRET_TYPED, VAULT_DONE, VAULT_REFUSED
from tests.contracts.vault_rig import MAC_KEY, MASTER, PAN, PIN_KEY, TRACK_KEY, key_row, rig_of
from tests.portable.plain_keys import LARGE, MIDDLE, SMALL


@pytest.fixture(params=["driver", "stand-in"])
def empty(request, tmp_path):
    """A device that was not provisioned."""
    rig = rig_of(request.param, tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def rig(empty):
    """A provisioned device, not signed on."""
    empty.provision()
    return empty


@pytest.fixture
def signed_on(rig):
    rig.load()
    return rig


def clear_pin(block):
    """What the host reads in a PIN block."""
    clear = libcrypto.tdes_ecb_decrypt(PIN_KEY, block)
    text = "%016X" % (int.from_bytes(clear, "big") ^ int("0000" + PAN[-13:-1], 16))
    size = int(text[1], 16)
    assert text[0] == "0"
    assert set(text[2 + size :]) <= {"F"}
    return text[2 : 2 + size]


# Keys.


def test_a_vault_without_master_key_says_so(empty):
    assert empty.port.state == "empty"
    assert empty.port.check_value("master") is None
    for name, arguments in (
        ("load_keys", ([key_row("mac", MAC_KEY)],)),
        ("mac", (b"data",)),
        ("check_mac", (b"data", b"12345678")),
        ("seal", (b"data",)),
        ("unseal", (bytes(40),)),
        ("fingerprint", (b"data",)),
        ("enter_pin", (PAN, 4, 12)),
        ("enter_card", ()),
        ("enter_component", (1, 16)),
        ("install_master", ("tdes", b"")),
        ("enter_sim_pin", ()),
        ("encrypt_track", ("6222620000000002=3012",)),
        ("next_transaction", ()),
        ("verify_pin", (4, 12, "plaintext", None, b"")),
        ("enter_password", ("01", "check")),
        ("enter_password", ("01", "new")),
        ("enter_password", ("01", "repeat")),
        ("add_operator", ("02",)),
    ):
        assert empty.answer(name, *arguments) == (VAULT_REFUSED, "no-key"), name
    empty.type("1")
    assert empty.keys_for_the_firmware() == ["1"]


def test_check_values_tell_which_keys_there_are(rig):
    assert rig.port.state == "ready"
    assert rig.port.check_value("master") == bytes.fromhex("08D7B4FB")
    assert [rig.port.check_value(slot) for slot in ("pin", "mac", "track")] == [None, None, None]
    rig.load()
    assert rig.port.check_value("pin") == bytes.fromhex("9BE3BD43")
    assert rig.port.check_value("mac") == bytes.fromhex("EBD139FD")
    assert rig.port.check_value("track") is None


def test_the_vault_says_that_it_is_not_approved(rig):
    assert rig.port.mode == "software"
    assert rig.port.approved is False


def test_a_working_key_comes_in_every_form_that_hosts_send(rig):
    master = libcrypto.tdes_ecb_encrypt
    for cryptogram in (
        master(MASTER, MAC_KEY),
        master(MASTER, MAC_KEY) + bytes(8),
        master(MASTER, MAC_KEY + bytes(8)),
    ):
        assert rig.answer("load_keys", [("mac", cryptogram, bytes.fromhex("EBD139FD"))]) == (VAULT_DONE, None)
        assert rig.port.check_value("mac") == bytes.fromhex("EBD139FD")
    assert rig.answer("load_keys", [key_row("track", TRACK_KEY, bytes.fromhex("8593CF"))]) == (VAULT_DONE, None)
    assert rig.port.check_value("track") == bytes.fromhex("8593CF42")


def test_one_wrong_check_value_keeps_all_the_old_keys(signed_on):
    other = bytes(range(16))
    keys = [key_row("mac", other), key_row("pin", other, b"\1\2\3\4")]
    assert signed_on.answer("load_keys", keys) == (VAULT_REFUSED, "check-value")
    assert signed_on.port.check_value("mac") == bytes.fromhex("EBD139FD")
    assert signed_on.port.check_value("pin") == bytes.fromhex("9BE3BD43")


@pytest.mark.parametrize(
    "cryptogram,check_value",
    [
        (bytes(7), bytes(4)),
        (bytes(32), bytes(4)),
        (b"", bytes(4)),
        (bytes(16), b""),
        (bytes(16), bytes(2)),
        (bytes(16), bytes(9)),
    ],
    ids=range(6),
)
def test_what_is_no_key_is_bad_data(rig, cryptogram, check_value):
    assert rig.answer("load_keys", [("mac", cryptogram, check_value)]) == (VAULT_REFUSED, "bad-data")


@pytest.mark.parametrize(
    "slots",
    [["transport"], ["master", "mac"], ["mac", "mac"], ["other"], []],
    ids=["transport", "master and others", "twice", "unknown", "none"],
)
def test_a_slot_that_no_key_from_outside_has_is_a_mistake(rig, slots):
    with pytest.raises(ValueError):
        rig.port.load_keys(1, [key_row(slot, MAC_KEY) for slot in slots])
    with pytest.raises(ValueError):
        rig.port.check_value("other")


def test_any_keys_from_the_host_are_an_answer(rig):
    chance = random.Random(11)
    for _ in range(60):
        keys = [(slot, chance.randbytes(chance.choice((8, 16, chance.randrange(40)))), chance.randbytes(chance.randrange(10)))
                for slot in chance.sample(("pin", "mac", "track"), chance.randint(1, 3))]  # fmt: skip
        name, why = rig.answer("load_keys", keys)
        assert (name, why) in ((VAULT_REFUSED, "check-value"), (VAULT_REFUSED, "bad-data"))
    assert rig.port.check_value("mac") is None


def test_keys_and_seals_survive_a_restart(signed_on):
    _, sealed = signed_on.answer("seal", b"card")
    _, finger = signed_on.answer("fingerprint", b"card")
    signed_on.restart()
    assert signed_on.port.check_value("pin") == bytes.fromhex("9BE3BD43")
    assert signed_on.answer("mac", bytes.fromhex("4D08F434464FE7BF"))[0] == VAULT_DONE
    assert signed_on.answer("unseal", sealed) == (VAULT_DONE, b"card")
    assert signed_on.answer("fingerprint", b"card") == (VAULT_DONE, finger)


def test_keys_that_cannot_be_stored_are_not_used(signed_on):
    signed_on.break_medium()
    assert signed_on.answer("load_keys", [key_row("mac", bytes(range(8)))]) == (VAULT_REFUSED, "storage")
    assert signed_on.port.check_value("mac") == bytes.fromhex("EBD139FD")


# Messages and records.


def test_the_mac_is_the_one_that_the_host_computes(signed_on):
    data = bytes.fromhex("0200302004C020C09811") + bytes(range(120))
    with libcrypto.Cipher("tdes", MAC_KEY) as key:
        right = cup_keys.ecb_mac(key, data)
    assert signed_on.answer("mac", data) == (VAULT_DONE, right)
    assert signed_on.answer("check_mac", data, right) == (VAULT_DONE, True)
    for wrong in (right[:7], b"", right + b"0", right.lower(), b"00000000", b"\xff" * 8):
        assert signed_on.answer("check_mac", data, wrong) == (VAULT_DONE, False)


def test_a_new_mac_key_is_used_at_once(signed_on):
    _, before = signed_on.answer("mac", b"data")
    other = bytes(range(16))
    assert signed_on.answer("load_keys", [key_row("mac", other)]) == (VAULT_DONE, None)
    with libcrypto.Cipher("tdes", other) as key:
        assert signed_on.answer("mac", b"data") == (VAULT_DONE, cup_keys.ecb_mac(key, b"data"))
    assert signed_on.answer("mac", b"data")[1] != before


def test_without_working_keys_nothing_is_signed_and_no_pin_taken(rig):
    assert rig.answer("mac", b"data") == (VAULT_REFUSED, "no-key")
    assert rig.answer("check_mac", b"data", b"12345678") == (VAULT_REFUSED, "no-key")
    assert rig.answer("enter_pin", PAN, 4, 12) == (VAULT_REFUSED, "no-key")


def test_what_was_sealed_comes_back_and_nothing_else(rig):
    _, sealed = rig.answer("seal", PAN.encode())
    _, again = rig.answer("seal", PAN.encode())
    assert sealed != again
    assert PAN.encode() not in sealed
    assert rig.answer("unseal", sealed) == (VAULT_DONE, PAN.encode())
    for wrong in (b"", sealed[:-1], sealed[:20], bytes([sealed[0] ^ 1]) + sealed[1:], bytes(60)):
        assert rig.answer("unseal", wrong) == (VAULT_REFUSED, "bad-data")


def test_a_fingerprint_is_the_same_for_the_same_data_only(rig):
    prints = [rig.answer("fingerprint", data)[1] for data in (b"a", b"b", b"a", b"")]
    assert [len(one) for one in prints] == [16] * 4
    assert prints[0] == prints[2]
    assert len(set(prints)) == 3


# PIN.


def test_a_pin_becomes_a_block_and_only_its_length_is_told(signed_on):
    (name, block), typed = signed_on.secret("enter_pin", PAN, 4, 12, keys="123456 ENTER")
    assert (name, typed) == (SECRET_READY, [1, 2, 3, 4, 5, 6])
    assert clear_pin(block) == "123456"
    assert signed_on.keys_for_the_firmware() == []


def test_the_pin_can_be_corrected(signed_on):
    (_, block), typed = signed_on.secret("enter_pin", PAN, 4, 6, keys="99 CLEAR 1239 BACK 4 ENTER")
    assert typed == [1, 2, 0, 1, 2, 3, 4, 3, 4]
    assert clear_pin(block) == "1234"


def test_more_digits_than_the_most_and_other_keys_do_nothing(signed_on):
    (_, block), typed = signed_on.secret("enter_pin", PAN, 4, 5, keys="123 00 DOWN 4567 ENTER")
    assert typed == [1, 2, 3, 4, 5, 5, 5]
    assert clear_pin(block) == "12345"


def test_confirm_on_too_few_digits_does_nothing(signed_on):
    (name, block), typed = signed_on.secret("enter_pin", PAN, 6, 6, keys="1234 ENTER 56 ENTER")
    assert (name, clear_pin(block), typed) == (SECRET_READY, "123456", [1, 2, 3, 4, 5, 6])


def test_confirm_on_nothing_is_a_bypass(signed_on):
    assert signed_on.secret("enter_pin", PAN, 4, 12, keys="ENTER") == ((SECRET_STOPPED, "bypass"), [])
    assert signed_on.secret("enter_pin", PAN, 4, 12, keys="12 CLEAR ENTER") == ((SECRET_STOPPED, "bypass"), [1, 2, 0])


def test_cancel_ends_the_pin(signed_on):
    assert signed_on.secret("enter_pin", PAN, 4, 12, keys="1234 CANCEL")[0] == (SECRET_STOPPED, "cancel")


def test_the_keys_are_the_firmwares_again_after_each_end(signed_on):
    for number, keys in enumerate(("1234 ENTER", "ENTER", "12 CANCEL")):
        signed_on.secret("enter_pin", PAN, 4, 12, keys=keys)
        signed_on.type("7")
        assert signed_on.keys_for_the_firmware() == ["7"] * (number + 1)


@pytest.mark.parametrize("arguments", [("1234", 4, 12), (PAN, 3, 12), (PAN, 4, 13), (PAN, 6, 4)], ids=range(4))
def test_a_pin_for_no_card_or_of_no_length_is_a_mistake(signed_on, arguments):
    with pytest.raises(ValueError) as caught:
        signed_on.port.enter_pin(1, *arguments)
    assert PAN not in str(caught.value)


def test_stop_ends_an_entry_without_an_answer(signed_on):
    ticket = signed_on.ask("enter_pin", PAN, 4, 12)
    signed_on.type("12")
    signed_on.port.stop(ticket + 1)
    signed_on.type("3")
    signed_on.port.stop(ticket)
    signed_on.type("4 ENTER")
    assert [(event.name, event.value) for event in signed_on.rest()] == [(SECRET_TYPED, 1), (SECRET_TYPED, 2), (SECRET_TYPED, 3)]
    assert signed_on.keys_for_the_firmware() == ["4", "ENTER"]
    signed_on.port.stop(ticket)


def test_a_second_entry_ends_the_first(signed_on):
    first = signed_on.ask("enter_pin", PAN, 4, 12)
    signed_on.type("98")
    (name, block), _ = signed_on.secret("enter_pin", PAN, 4, 12, keys="1234 ENTER")
    assert (name, clear_pin(block)) == (SECRET_READY, "1234")
    assert signed_on.keys_for_the_firmware() == []
    later = signed_on.ask("enter_password", "01", "check")
    third = signed_on.ask("enter_pin", PAN, 4, 12)
    assert signed_on.wait(later).value == "cancel"
    signed_on.port.stop(third)
    assert first != later


def test_any_keys_end_as_the_rules_say(signed_on):
    chance = random.Random(13)
    names = ["0", "5", "9", "00", "CLEAR", "BACK", "DOWN", "ENTER"]
    for _ in range(60):
        keys = [chance.choice(names) for _ in range(chance.randint(0, 12))] + ["CANCEL"]
        digits, end = "", None
        for key in keys:
            if key == "CANCEL" or (key == "ENTER" and not digits):
                end = (SECRET_STOPPED, "cancel" if key == "CANCEL" else "bypass")
            elif key == "ENTER" and len(digits) >= 4:
                end = (SECRET_READY, digits)
            elif key.isdigit() and len(key) == 1:
                digits = (digits + key)[:6]
            elif key == "CLEAR":
                digits = ""
            elif key == "BACK":
                digits = digits[:-1]
            if end:
                break
        (name, value), _ = signed_on.secret("enter_pin", PAN, 4, 6, keys=" ".join(keys))
        assert (name, clear_pin(value) if name == SECRET_READY else value) == end, keys


# Offline PIN.

CHALLENGE = bytes.fromhex("B34571E839F2E14F")
PLAINTEXT = (4, 12, "plaintext", None, b"")


def key_of(key):
    return key.modulus, key.exponent


def deciphered(key, command):
    """What the card reads in an enciphered VERIFY."""
    assert command[:5] == bytes((0x00, 0x20, 0x00, 0x88, key.size)) and len(command) == 5 + key.size
    return key.sign(command[5:])


@pytest.mark.parametrize("pin", ["1234", "12345", "123456", "1234567", "12345678", "123456789012"])
def test_a_plain_pin_goes_to_the_chip_and_its_status_word_comes_back(rig, pin):
    (name, word), typed = rig.secret("verify_pin", *PLAINTEXT, keys=pin + " ENTER")
    assert (name, word, typed) == (SECRET_READY, 0x9000, list(range(1, len(pin) + 1)))
    block = "2%X%s" % (len(pin), pin)
    assert rig.chip.got == [bytes.fromhex("0020008008" + block + "F" * (16 - len(block)))]
    assert rig.keys_for_the_firmware() == []


@pytest.mark.parametrize("key", [LARGE, MIDDLE, SMALL], ids=["1984", "1024", "768"])
def test_an_enciphered_pin_is_under_the_cards_key_with_its_challenge(rig, key):
    fillings = set()
    for _ in range(2):
        (name, word), _ = rig.secret("verify_pin", 4, 6, "enciphered", key_of(key), CHALLENGE, keys="482915 ENTER")
        assert (name, word) == (SECRET_READY, 0x9000)
        clear = deciphered(key, rig.chip.got[-1])
        assert clear[:17] == bytes.fromhex("7F 26482915FFFFFFFF") + CHALLENGE
        fillings.add(clear[17:])
    assert len(fillings) == 2 and all(len(filling) == key.size - 17 for filling in fillings)


@pytest.mark.parametrize("answer,word", [("63C2", 0x63C2), ("6983", 0x6983), ("AA6984", 0x6984)])
def test_a_refusal_by_the_card_is_an_answer_like_any_other(rig, answer, word):
    rig.chip.response = bytes.fromhex(answer)
    assert rig.secret("verify_pin", *PLAINTEXT, keys="1234 ENTER")[0] == (SECRET_READY, word)


@pytest.mark.parametrize("answer", [None, b"", b"\x90"])
def test_a_card_that_has_left_is_lost(rig, answer):
    rig.chip.response = answer
    assert rig.secret("verify_pin", *PLAINTEXT, keys="1234 ENTER")[0] == (SECRET_STOPPED, "lost")


def test_bypass_and_cancel_tell_the_card_nothing(rig):
    assert rig.secret("verify_pin", *PLAINTEXT, keys="ENTER") == ((SECRET_STOPPED, "bypass"), [])
    assert rig.secret("verify_pin", *PLAINTEXT, keys="12 CANCEL") == ((SECRET_STOPPED, "cancel"), [1, 2])
    assert rig.secret("verify_pin", 6, 6, "plaintext", None, b"", keys="1234 ENTER 56 ENTER")[1] == [1, 2, 3, 4, 5, 6]
    assert len(rig.chip.got) == 1


def test_the_command_is_wiped_once_the_card_has_answered(rig):
    rig.secret("verify_pin", *PLAINTEXT, keys="1234 ENTER")
    rig.secret("verify_pin", 4, 6, "enciphered", key_of(SMALL), CHALLENGE, keys="1234 ENTER")
    assert [len(command) for command in rig.chip.given] == [13, 101]
    assert not any(any(command) for command in rig.chip.given)


def test_the_keypad_is_the_firmwares_while_the_card_thinks(rig):
    rig.chip.holds = True
    ticket = rig.ask("verify_pin", *PLAINTEXT)
    rig.type("1234 ENTER")
    told = [(event.name, event.value) for event in rig.rest()]
    assert told == [(SECRET_TYPED, number) for number in (1, 2, 3, 4)]
    rig.type("7")
    assert rig.keys_for_the_firmware() == ["7"]
    rig.chip.answer()
    assert rig.wait(ticket).value == 0x9000


def test_a_card_that_answers_after_stop_is_not_heard(rig):
    rig.chip.holds = True
    first = rig.ask("verify_pin", *PLAINTEXT)
    rig.type("1234 ENTER")
    rig.rest()
    rig.port.stop(first)
    second = rig.ask("verify_pin", *PLAINTEXT)
    rig.type("56")
    rig.chip.answer()
    rig.type("78 ENTER")
    events = rig.rest()
    assert {event.ticket for event in events} == {second} and len(rig.chip.owed) == 1
    rig.chip.answer()
    assert rig.wait(second).value == 0x9000


def test_a_second_entry_ends_one_that_waits_for_the_card(rig):
    rig.chip.holds = True
    first = rig.ask("verify_pin", *PLAINTEXT)
    rig.type("1234 ENTER")
    rig.rest()
    second = rig.ask("enter_password", "01", "check")
    assert (rig.wait(first).value, rig.port.stop(second)) == ("cancel", None)
    rig.chip.answer()
    assert rig.rest() == []


def test_a_key_that_no_pin_fits_under_is_refused_before_the_pin_is_typed(rig):
    small, challenge = key_of(SMALL), CHALLENGE
    for key, given in (
        (None, challenge),
        (small, challenge[:7]),
        (small, b""),
        ((b"\xc3" * 249, 3), challenge),
        ((b"\xc3" * 63, 3), challenge),
        ((b"\x7f" * 128, 3), challenge),
        ((b"", 3), challenge),
        ((SMALL.modulus, 17), challenge),
    ):
        assert rig.answer("verify_pin", 4, 12, "enciphered", key, given) == (VAULT_REFUSED, "bad-data")
    rig.type("5")
    assert rig.keys_for_the_firmware() == ["5"] and rig.chip.got == []


def test_a_pin_of_no_length_or_of_no_kind_is_a_mistake(rig):
    for arguments in ((3, 12, "plaintext"), (4, 13, "plaintext"), (6, 4, "plaintext"), (4, 12, "biometric"), (4, 12, "")):
        with pytest.raises(ValueError):
            rig.port.verify_pin(1, *arguments, None, b"")


def test_without_a_chip_reader_the_card_is_lost_at_once(rig):
    rig.port.attach_chip(None)
    assert rig.answer("verify_pin", *PLAINTEXT) == (SECRET_STOPPED, "lost")


def test_a_wipe_ends_an_offline_pin_that_waits_for_the_card(rig):
    rig.chip.holds = True
    ticket = rig.ask("verify_pin", *PLAINTEXT)
    rig.type("1234 ENTER")
    rig.rest()
    rig.port.wipe()
    rig.chip.answer()
    assert [(event.ticket, event.name, event.value) for event in rig.rest()] == [(ticket, VAULT_REFUSED, "wiped")]
    assert rig.answer("verify_pin", *PLAINTEXT) == (VAULT_REFUSED, "wiped")


# Passwords.


@pytest.mark.parametrize("operator,password", [("01", "0000"), ("00", "123456"), ("99", "12345678")], ids=["01", "00", "99"])
def test_the_factorys_passwords_open(rig, operator, password):
    assert rig.port.is_factory(operator)
    assert rig.secret("enter_password", operator, "check", keys=password + " ENTER")[0] == (SECRET_READY, "right")
    other = password[:-1] + "9"
    assert rig.secret("enter_password", operator, "check", keys=other + " ENTER")[0] == (SECRET_READY, "wrong")


def test_a_password_has_as_many_digits_as_its_kind(rig):
    (name, value), typed = rig.secret("enter_password", "00", "check", keys="ENTER 1234 ENTER 5678 ENTER")
    assert (name, value) == (SECRET_READY, "right")
    assert typed == [1, 2, 3, 4, 5, 6, 6, 6]
    assert rig.secret("enter_password", "00", "check", keys="12 CANCEL")[0] == (SECRET_STOPPED, "cancel")
    assert rig.keys_for_the_firmware() == []


def test_an_unknown_operators_password_is_wrong(rig):
    assert rig.secret("enter_password", "42", "check", keys="0000 ENTER")[0] == (SECRET_READY, "wrong")
    assert not rig.port.is_factory("42")
    assert rig.answer("enter_password", "42", "new") == (VAULT_REFUSED, "bad-data")


def test_a_new_password_is_typed_twice(rig):
    assert rig.secret("enter_password", "01", "new", keys="4821 ENTER")[0] == (SECRET_READY, "ok")
    assert rig.port.is_factory("01")
    assert rig.secret("enter_password", "01", "repeat", keys="4821 ENTER")[0] == (SECRET_READY, "set")
    assert not rig.port.is_factory("01")
    assert rig.secret("enter_password", "01", "check", keys="0000 ENTER")[0] == (SECRET_READY, "wrong")
    rig.restart()
    assert rig.secret("enter_password", "01", "check", keys="4821 ENTER")[0] == (SECRET_READY, "right")
    assert not rig.port.is_factory("01")


def test_another_second_time_changes_nothing(rig):
    rig.secret("enter_password", "00", "new", keys="482148 ENTER")
    assert rig.secret("enter_password", "00", "repeat", keys="482149 ENTER")[0] == (SECRET_READY, "different")
    assert rig.secret("enter_password", "00", "check", keys="123456 ENTER")[0] == (SECRET_READY, "right")
    with pytest.raises(ValueError):
        rig.port.enter_password(1, "00", "repeat")


def test_weak_passwords_are_refused(rig):
    for weak in ("0000", "7777"):
        assert rig.secret("enter_password", "01", "new", keys=weak + " ENTER")[0] == (SECRET_READY, "weak")
    rig.secret("enter_password", "01", "new", keys="4821 ENTER")
    rig.secret("enter_password", "01", "repeat", keys="4821 ENTER")
    assert rig.secret("enter_password", "01", "new", keys="4821 ENTER")[0] == (SECRET_READY, "weak")
    assert rig.secret("enter_password", "99", "new", keys="12345678 ENTER")[0] == (SECRET_READY, "weak")


def test_what_was_chosen_is_forgotten_by_anything_but_its_repetition(rig):
    for interrupt in (
        lambda: rig.secret("enter_password", "01", "check", keys="0000 ENTER"),
        lambda: rig.port.stop(rig.ask("enter_password", "01", "repeat")),
        rig.restart,
    ):
        rig.secret("enter_password", "01", "new", keys="4821 ENTER")
        interrupt()
        with pytest.raises(ValueError):
            rig.port.enter_password(1, "01", "repeat")
    rig.secret("enter_password", "01", "new", keys="4821 ENTER")
    with pytest.raises(ValueError):
        rig.port.enter_password(1, "00", "repeat")


def test_operators_come_with_the_factorys_password_and_go(rig):
    assert rig.answer("add_operator", "02") == (VAULT_DONE, None)
    assert rig.port.is_factory("02")
    assert rig.secret("enter_password", "02", "check", keys="0000 ENTER")[0] == (SECRET_READY, "right")
    rig.secret("enter_password", "02", "new", keys="4821 ENTER")
    rig.secret("enter_password", "02", "repeat", keys="4821 ENTER")
    assert rig.answer("add_operator", "02") == (VAULT_DONE, None)
    assert rig.port.is_factory("02")
    assert rig.answer("remove_operator", "02") == (VAULT_DONE, None)
    assert rig.answer("remove_operator", "02") == (VAULT_DONE, None)
    assert rig.secret("enter_password", "02", "check", keys="0000 ENTER")[0] == (SECRET_READY, "wrong")


def test_a_password_that_cannot_be_stored_is_not_set(rig):
    rig.secret("enter_password", "01", "new", keys="4821 ENTER")
    rig.break_medium()
    assert rig.secret("enter_password", "01", "repeat", keys="4821 ENTER")[0] == (VAULT_REFUSED, "storage")
    assert rig.port.is_factory("01")


def test_mistakes_of_the_caller_are_raised(rig):
    for name, arguments in (
        ("enter_password", ("1", "check")),
        ("enter_password", ("001", "check")),
        ("enter_password", ("ab", "check")),
        ("enter_password", (1, "check")),
        ("enter_password", ("01", "else")),
        ("add_operator", ("x1",)),
        ("remove_operator", ("00",)),
        ("remove_operator", ("99",)),
    ):
        with pytest.raises(ValueError):
            getattr(rig.port, name)(1, *arguments)
    with pytest.raises(ValueError):
        rig.port.is_factory("1")


# The end of it.


def test_a_wiped_vault_has_nothing_left(signed_on):
    _, sealed = signed_on.answer("seal", b"card")
    signed_on.port.wipe()
    assert signed_on.port.state == "wiped"
    assert [signed_on.port.check_value(slot) for slot in ("master", "pin", "mac", "track")] == [None] * 4
    for name, arguments in (
        ("load_keys", ([key_row("mac", MAC_KEY)],)),
        ("mac", (b"data",)),
        ("unseal", (sealed,)),
        ("fingerprint", (b"data",)),
        ("enter_pin", (PAN, 4, 12)),
        ("enter_card", ()),
        ("enter_component", (1, 16)),
        ("install_master", ("tdes", b"")),
        ("enter_sim_pin", ()),
        ("encrypt_track", ("6222620000000002=3012",)),
        ("next_transaction", ()),
        ("enter_password", ("01", "check")),
        ("enter_password", ("01", "repeat")),
        ("add_operator", ("02",)),
    ):
        assert signed_on.answer(name, *arguments) == (VAULT_REFUSED, "wiped"), name
    assert not signed_on.port.is_factory("01")
    signed_on.restart()
    assert signed_on.port.state == "wiped"
    signed_on.port.wipe()


def test_a_wipe_ends_an_entry(signed_on):
    ticket = signed_on.ask("enter_pin", PAN, 4, 12)
    signed_on.type("12")
    signed_on.port.wipe()
    signed_on.type("34 ENTER")
    ends = [(event.ticket, event.name, event.value) for event in signed_on.rest() if event.name != SECRET_TYPED]
    assert ends == [(ticket, VAULT_REFUSED, "wiped")]
    assert signed_on.keys_for_the_firmware() == ["3", "4", "ENTER"]


def test_an_empty_vault_can_be_wiped(empty):
    empty.port.wipe()
    assert empty.port.state == "wiped"
