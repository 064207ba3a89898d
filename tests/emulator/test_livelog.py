"""The live log shows what happened and no secret."""

import random
import threading

from emulator.changes import Changes
from emulator.hands import keys_of
from emulator.livelog import LiveLog, Polls, describe_answer, describe_command

PAN = "6212345678901234567"
TRACK = bytes.fromhex("5713" + PAN + "D30122010000012345F")


def test_commands_are_named():
    assert describe_command(bytes.fromhex("00A404000E325041592E5359532E444446303100")) == "→ SELECT 2PAY.SYS.DDF01"
    assert describe_command(bytes.fromhex("00A4040008A00000033301010100")) == "→ SELECT A000000333010101"
    assert describe_command(bytes.fromhex("00B2011400")) == "→ READ RECORD SFI 2 record 1"
    assert describe_command(bytes.fromhex("80CA9F3600")) == "→ GET DATA tag 9F36"
    assert describe_command(b"\x80\x77\x00\x00") == "→ INS 77"


def test_of_a_pin_in_a_command_only_the_kind_is_told():
    assert describe_command(bytes.fromhex("0020008008") + bytes.fromhex("244829FFFFFFFFFF")) == "→ VERIFY plaintext PIN"
    assert describe_command(bytes.fromhex("0020008880") + bytes(128)) == "→ VERIFY enciphered PIN"
    assert describe_command(bytes.fromhex("0020000004") + bytes(4)) == "→ VERIFY a secret"


def test_an_answer_shows_its_objects_and_hides_the_number():
    text = describe_answer(bytes.fromhex("7015") + TRACK + b"\x90\x00")
    assert text.startswith("← 9000 ok\n")
    assert "621234*********4567" in text
    assert PAN not in text and PAN[6:15] not in text


def test_what_is_no_tlv_is_only_counted():
    assert describe_answer(bytes.fromhex("5A0A62") + b"\x90\x00") == "← 9000 ok\n  3 bytes"
    assert describe_answer(b"\x90") == "← 1 bytes, no answer"
    assert describe_command(b"\x00") == "→ 1 bytes, no command"


def test_any_bytes_are_described():
    chance = random.Random(5)
    for _ in range(2000):
        data = chance.randbytes(chance.randrange(40))
        assert describe_command(data) and describe_answer(data)


def polled(text):
    """What is told of a modem's log, written in one line."""
    told = []
    polls = Polls(told.append)
    for line in text.split("; "):
        polls.hear(line)
    return "; ".join(told)


def test_of_what_a_modem_is_asked_again_and_again_only_the_news_is_told():
    weak, strong = "→ AT+CSQ; ← +CSQ: 9,99; ← OK", "→ AT+CSQ; ← +CSQ: 25,99; ← OK"
    none = "→ AT+CSQ; ← +CME ERROR: 10"
    assert polled("; ".join([strong] * 100)) == strong
    assert polled("; ".join([strong, weak, weak, strong, none, none, strong])) == "; ".join([strong, weak, strong, none, strong])
    other = "→ AT+CEREG?; ← +CEREG: 2,1; ← OK"
    assert polled("; ".join([strong, other] * 9)) == strong + "; " + other


def test_all_else_that_passes_between_driver_and_modem_is_told_as_it_comes():
    asked = "→ AT+QISEND=0,85; ← >; → 85 bytes; ← SEND OK"
    assert polled("; ".join([asked, asked])) == "; ".join([asked, asked])
    cell = '← +CREG: 1,"18BE","8608A7B",7'
    poll = "→ AT+CREG?; ← +CREG: 2,1; ← OK"
    assert polled("; ".join([poll, cell, poll, cell])) == "; ".join([poll, cell, cell])
    within = "→ AT+CREG?; %s; ← +CREG: 2,1; ← OK" % cell
    assert polled("; ".join([poll, within])) == "; ".join([poll, within])
    torn = "→ AT+CSQ; → AT; ← OK"
    assert polled("; ".join([torn, torn])) == torn + "; → AT; ← OK", "that nobody answers, again, is no news"


def test_a_modem_that_begins_anew_is_heard_from_the_beginning():
    poll, begun = "→ AT+CPIN?; ← +CPIN: READY; ← OK", "EC20F is up"
    assert polled("; ".join([poll, begun, poll, poll])) == "; ".join([poll, begun, poll])


def test_numbers_rise_and_old_entries_go():
    changes = Changes(("log",))
    log = LiveLog(lambda: changes.touch("log"), kept=10)
    people = [threading.Thread(target=lambda: [log.add("wire", str(n)) for n in range(200)]) for _ in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    entries = log.since(0)
    assert len(entries) == 10
    assert [entry.number for entry in entries] == sorted({entry.number for entry in entries})
    assert log.since(entries[-3].number) == entries[-2:]
    assert log.since(entries[-1].number) == []


def test_a_long_entry_is_cut():
    log = LiveLog(lambda: 1)
    log.add("terminal", "x" * 100_000)
    assert len(log.since(0)[0].text) == 4000


def test_keys_are_read_as_a_person_writes_them():
    assert keys_of("01 ENTER 0000 确认 . cancel * ▼ PIN:debit", {"debit": "482915"}.get) == [
        *"01", "ENTER", *"0000", "ENTER", "00", "CANCEL", "00", "DOWN", *"482915",
    ]  # fmt: skip


def test_what_stands_on_a_card_is_typed_as_it_stands_there():
    assert keys_of("CARD:debit ENTER expiry:debit", {}.get, {"debit": ("622588", "1230")}.get) == [*"622588", "ENTER", *"1230"]


def test_a_condition_is_looked_at_again_when_something_changed():
    changes = Changes(("a", "b"))
    seen = []
    waiter = threading.Thread(target=lambda: seen.append(changes.until(lambda: changes.of("b") > 1, 10)))
    waiter.start()
    changes.touch("a")
    number = changes.touch("b")
    waiter.join(5)
    assert seen == [True]
    assert changes.newer(number - 1) == ["b"]
    assert changes.newer(number) == []
    assert not changes.until(lambda: False, 0.01)


def test_who_waits_is_let_go_at_the_end():
    changes = Changes(("a",))
    seen = []
    waiter = threading.Thread(target=lambda: seen.append(changes.until(lambda: False, 60)))
    waiter.start()
    changes.close()
    waiter.join(5)
    assert seen == [False]
