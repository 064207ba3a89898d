"""Answer to reset, T=0 and T=1 without a wire. Numbers for T=1 from the rules of ISO/IEC 7816-3, 11.6."""

import random

import pytest

from drivers import iso7816
from drivers.iso7816 import T1, Atr, ProtocolError, accept, block, crc16, fetched, procedure, refusal, t0, unblock
from emulator.cards.iso7816 import ATRS, ContactCard
from tests.firmware.test_tlv import vectors

SELECT = bytes.fromhex("00A404000E315041592E5359532E444446303100")
READ = bytes.fromhex("00B2010C00")
T1_CARD = accept(ATRS["T=1"])


def drive(steps, exchange):
    """Runs a generator to its end; exchange(bytes) -> bytes."""
    try:
        out = next(steps)
        while True:
            out = steps.send(exchange(out))
    except StopIteration as end:
        return end.value


def scripted(*answers):
    """An exchange that gives these answers in turn, and what it was sent."""
    sent, left = [], list(answers)

    def exchange(data):
        sent.append(data)
        answer = left.pop(0)
        return bytes.fromhex(answer) if isinstance(answer, str) else answer

    exchange.sent = sent
    return exchange


# Answer to reset.


def with_check(data):
    """An answer to reset with its TCK."""
    data = bytes.fromhex(data)
    return data + bytes((iso7816.xor(data[1:]),))


def is_taken(atr):
    try:
        accept(bytes.fromhex(atr))
    except ProtocolError:
        return False
    return True


def test_an_answer_to_reset_is_taken_or_refused_as_emv_has_it():
    cases = vectors("atr.json")["cases"]
    assert len(cases) >= 8
    for case in cases:
        assert is_taken(case["atr"]) == case["expect"]["emv_compliant"], case["name"]


def test_an_answer_to_reset_is_taken_apart():
    atr = Atr(bytes.fromhex("3FF41300FF9101717C4100DEADBEEFE6"))
    assert (atr.inverse, atr.protocol, atr.historical) == (True, 1, bytes.fromhex("DEADBEEF"))
    assert (atr.specific, atr.speed, atr.guard) == (True, 0x13, 0xFF)
    assert (atr.ifsc, atr.waiting, atr.crc) == (0x7C, 0x41, False)
    assert atr.td == {1: 1, 2: 1}


def test_without_a_word_about_it_a_card_speaks_t0_at_the_default_speed():
    atr = Atr(bytes.fromhex("3B6500002063CB6800"))
    assert (atr.protocol, atr.speed, atr.guard, atr.waiting, atr.ifsc) == (0, 0x11, 0, 0x0A, 32)
    assert atr.parameters() == bytes.fromhex("1100000A00")


def test_a_speed_on_offer_is_not_taken_and_one_that_is_set_is():
    assert accept(bytes.fromhex("3B1096")).speed == 0x11
    assert accept(bytes.fromhex("3BF41300FFD0000A3F0300DEADBEEFDC")).speed == 0x13


@pytest.mark.parametrize(("ta2", "specific", "speed"), [("00", True, 0x13), ("80", True, 0x13), ("10", False, 0x11)])
def test_a_card_that_has_chosen_says_whether_its_speed_is_the_one_it_names(ta2, specific, speed):
    atr = Atr(bytes.fromhex("3B901310" + ta2))
    assert (atr.specific, atr.speed) == (specific, speed) and refusal(atr) == ("" if specific else "TA2")


def test_the_parameters_of_a_t1_card_are_seven_bytes():
    assert T1_CARD.parameters() == bytes.fromhex("11100045002000")


WRONG_ATRS = {
    "nothing": "",
    "TS": "3A00",
    "only TS": "3B",
    "cut in the interface bytes": "3BF013",
    "cut in the historical bytes": "3B6500002063CB68",
    "too much": "3B600000AA",
    "T=1 without TCK": "3B8001",
    "TCK": "3BF41300FF9101717C4100DEADBEEFE7",
    "longer than 33": "3B6F0000" + "00" * 40,
    "interface bytes without end": "3BF0000000" + "F0000000" * 7,
}


@pytest.mark.parametrize("atr", WRONG_ATRS.values(), ids=WRONG_ATRS.keys())
def test_what_is_no_answer_to_reset_is_refused(atr):
    with pytest.raises(ProtocolError):
        Atr(bytes.fromhex(atr))


REFUSALS = {
    "TD1": with_check("3B8002"),
    "TA1": bytes.fromhex("3B90141000"),
    "TA2": bytes.fromhex("3B90111001"),
    "TC2": bytes.fromhex("3B804014"),
    "TD2": with_check("3B808001"),
    "TB3": with_check("3B8081312055"),
    "TA3": with_check("3B8081310F45"),
    "TC3": with_check("3B808171204501"),
}


@pytest.mark.parametrize(("why", "atr"), REFUSALS.items(), ids=REFUSALS.keys())
def test_a_refusal_names_the_byte(why, atr):
    with pytest.raises(ProtocolError, match=why):
        accept(atr)


def test_a_programming_voltage_is_nobodys_business_any_more():
    assert accept(bytes.fromhex("3B602500")).protocol == 0
    assert accept(bytes.fromhex("3B00")).protocol == 0


def test_any_guard_time_is_taken_by_t0():
    for guard in (0x00, 0x01, 0x10, 0xFE, 0xFF):
        atr = accept(bytes((0x3B, 0x60, 0x00, guard)))
        assert (atr.guard, atr.parameters()[2]) == (guard, guard)


def test_what_a_t0_card_says_of_other_protocols_is_passed_over():
    for protocol, why in ((0x0E, ""), (0x0F, ""), (0x01, "TD2"), (0x02, "TD2")):
        assert refusal(Atr(with_check("3B8080%02X" % protocol))) == why


def test_waiting_times_beyond_what_emv_allows_are_refused():
    """The character waiting time is longer than the guard time: 2^CWI > N + 1, where FF of TC1 is an N of -1."""
    for guard, waiting, why in (
        (0x00, 0x41, ""), (0xFF, 0x40, ""), (0x1E, 0x45, ""), (0x06, 0x43, ""),
        (0x00, 0x40, "TB3"), (0x07, 0x43, "TB3"), (0x1F, 0x45, "TB3"), (0x00, 0x46, "TB3"), (0x00, 0x51, "TB3"),
    ):  # fmt: skip
        atr = Atr(with_check("3BE000%02X813120%02X" % (guard, waiting)))
        assert refusal(atr) == why


def test_any_bytes_for_an_answer_to_reset_are_read_or_refused():
    chance = random.Random(7816)
    for _ in range(3000):
        data = b"\x3b" + chance.randbytes(chance.randrange(34))
        try:
            atr = Atr(data)
        except ProtocolError:
            continue
        assert refusal(atr) in ("", "TA1", "TA2", "TA3", "TB3", "TC1", "TC2", "TC3", "TD1", "TD2")
        assert len(atr.parameters()) == (7 if atr.protocol else 5)


# T=0.


def contact_of(case):
    """What stands on the contact, byte by byte: what the file says; data that it leaves out come with GET RESPONSE."""
    left = [(bytes.fromhex(one["c"]), bytes.fromhex(one["r"])) for one in case["tpdu_exchanges"]]
    data, status = bytes.fromhex(case["expect"]["data"]), bytes.fromhex(case["expect"]["sw"])
    last = left[-1][1]
    if data and (last[0] in (0x61, 0x6C) or len(last) == 2):
        early = status in [answer[-2:] for _, answer in left]
        left.append((bytes((0x00, 0xC0, 0x00, 0x00, len(data))), b"\xc0" + data + (b"\x90\x00" if early else status)))
    return left


def test_t0_behind_one_apdu():
    cases = vectors("t0_tpdu.json")["cases"]
    assert len(cases) >= 6
    for case in cases:
        left = contact_of(case)

        def contact(sent, name=case["name"], left=left):
            if not sent:  # a NULL before the rest
                return left.pop(0)[1]
            wanted, answer = left.pop(0)
            assert sent == wanted, name
            return answer

        answer = drive(t0(bytes.fromhex(case["c_apdu"])), lambda tpdu, contact=contact: drive(procedure(tpdu), contact))
        assert answer == bytes.fromhex(case["expect"]["data"] + case["expect"]["sw"]), case["name"]
        assert left == [], case["name"]


def test_a_command_with_data_goes_without_its_le_and_its_answer_is_fetched():
    card = scripted("6102", "ABCD9000")
    assert drive(t0(SELECT), card) == bytes.fromhex("ABCD9000")
    assert card.sent == [SELECT[:-1], bytes.fromhex("00C0000002")]


def test_get_response_has_class_zero_whatever_the_commands_was():
    card = scripted("6102", "ABCD9000")
    drive(t0(bytes.fromhex("8CAE40000102") + b"\x00"), card)
    assert card.sent[1] == bytes.fromhex("00C0000002")


def test_an_answer_in_parts_is_put_together():
    card = scripted("6102", "ABCD6101", "6C01", "EF9000")
    assert drive(t0(SELECT), card) == bytes.fromhex("ABCDEF9000")


def test_a_wrong_length_of_get_response_is_put_right_there():
    card = scripted("6110", "6C02", "ABCD9000")
    assert drive(t0(SELECT), card) == bytes.fromhex("ABCD9000")
    assert card.sent[1:] == [bytes.fromhex("00C0000010"), bytes.fromhex("00C0000002")]


def test_a_wrong_length_is_put_right_and_256_bytes_are_00():
    whole = bytes(range(256)) + b"\x90\x00"
    card = scripted("6C00", whole)
    assert drive(t0(bytes.fromhex("00B2010C10")), card) == whole
    assert card.sent == [bytes.fromhex("00B2010C10"), READ]


def test_a_wrong_length_is_no_reason_to_repeat_a_command_with_data():
    card = scripted("6C10")
    assert drive(t0(SELECT), card) == b"\x6c\x10"
    assert card.sent == [SELECT[:-1]]


def test_a_warning_after_data_has_its_data_fetched_and_stays_the_status():
    card = scripted("6283", "6C02", "ABCD9000")
    assert drive(t0(SELECT), card) == bytes.fromhex("ABCD6283")
    assert card.sent[1] == bytes.fromhex("00C0000000")


def test_a_warning_without_data_stays_alone():
    assert drive(t0(SELECT), scripted("6300", "6D00")) == b"\x63\x00"


def test_tries_left_after_verify_are_a_status_and_nothing_is_fetched():
    card = scripted("63C2")
    assert drive(t0(bytes.fromhex("0020008008241234FFFFFFFFFF")), card) == b"\x63\xc2"
    assert len(card.sent) == 1


@pytest.mark.parametrize("answers", [["61"], [""], ["6110"] * 50, ["6C01", "6C02"] * 30], ids=["cut", "silent", "61s", "6Cs"])
def test_t0_ends_whatever_the_card_says(answers):
    with pytest.raises(ProtocolError):
        drive(t0(READ), scripted(*answers))


def test_a_command_whose_length_is_wrong_is_not_sent():
    with pytest.raises(ProtocolError):
        next(t0(bytes.fromhex("00A4040005AABB")))


def test_a_length_of_zero_asks_for_256_bytes():
    whole = bytes(range(256)) + b"\x90\x00"
    assert drive(procedure(READ), scripted((b"\xb2" + whole).hex())) == whole


def test_null_bytes_are_waited_out_in_any_portions():
    card = scripted("60", "6060", "B2", "AB", "CD90", "00")
    assert drive(procedure(bytes.fromhex("00B2010C02")), card) == bytes.fromhex("ABCD9000")
    assert card.sent == [bytes.fromhex("00B2010C02"), b"", b"", b"", b"", b""]


def test_a_card_may_ask_for_its_data_byte_by_byte():
    card = scripted("5B", "5B", "A4", "9000")
    assert drive(procedure(bytes.fromhex("00A4040004DEADBEEF")), card) == b"\x90\x00"
    assert card.sent == [bytes.fromhex("00A4040004"), b"\xde", b"\xad", b"\xbe\xef"]


def test_a_card_may_give_its_answer_byte_by_byte():
    card = scripted("4DAB", "4DCD", "9000")
    assert drive(procedure(bytes.fromhex("00B2010C02")), card) == bytes.fromhex("ABCD9000")


@pytest.mark.parametrize(
    "answers", [["60"] * 20_000, [""], ["11"], ["A4", "A4"], ["60", ""]], ids=["nulls", "silent", "none", "more", "falls silent"]
)
def test_procedure_bytes_that_are_none_end_it(answers):
    with pytest.raises(ProtocolError):
        drive(procedure(bytes.fromhex("00A4040001AA")), scripted(*answers))


def test_any_procedure_bytes_end():
    chance = random.Random(1)
    for _ in range(500):
        try:
            answer = drive(
                t0(chance.choice((SELECT, READ))),
                lambda tpdu: drive(procedure(tpdu), lambda sent: chance.randbytes(chance.randrange(6))),
            )
            assert len(answer) >= 2
        except ProtocolError:
            pass


def test_by_t1_too_an_answer_may_have_to_be_fetched():
    card = scripted("6C02", "ABCD9000")
    assert drive(fetched(READ), card) == bytes.fromhex("ABCD9000")
    assert card.sent[1] == bytes.fromhex("00B2010C02")
    card = scripted("6101", "EF9000")
    assert drive(fetched(SELECT), card) == bytes.fromhex("EF9000")
    with pytest.raises(ProtocolError):
        drive(fetched(SELECT), scripted(*["6101"] * 50))
    with pytest.raises(ProtocolError):
        drive(fetched(SELECT), scripted("90"))


# T=1.


def test_the_check_bytes():
    assert block(0x00, bytes.fromhex("00A4")).hex() == "00000200a4a6"
    assert block(0xC1, b"\xfe").hex() == "00c101fe3e"
    assert crc16(b"123456789") == 0x906E
    whole = block(0x40, b"ab", crc=True)
    assert unblock(whole, crc=True) == (0x40, b"ab") and whole[-2:] == crc16(whole[:-2]).to_bytes(2, "little")


@pytest.mark.parametrize("damage", range(6))
def test_a_block_with_a_changed_byte_is_none(damage):
    whole = bytearray(block(0x00, b"ab"))
    whole[damage] ^= 1
    assert unblock(bytes(whole)) is None


def card_of(application, **options):
    card = ContactCard(application, "T=1", **options)
    card.power()
    return card


def exchange_with(card):
    return lambda data: card.tpdu(data) or b""


def test_the_block_size_is_told_first_and_once():
    card = card_of(lambda command: b"\x90\x00")
    sent = []

    def exchange(data):
        sent.append(data)
        return card.tpdu(data)

    link = T1(T1_CARD)
    assert drive(link.apdu(SELECT), exchange) == b"\x90\x00"
    assert drive(link.apdu(READ), exchange) == b"\x90\x00"
    assert [one[1] for one in sent] == [0xC1, 0x00, 0x40]
    assert sent[0] == bytes.fromhex("00C101FE3E")


@pytest.mark.parametrize("part", [1, 31, 32, 254])
@pytest.mark.parametrize("size", [0, 1, 32, 33, 255])
def test_commands_and_answers_are_chained_both_ways(part, size):
    heard = []
    card = card_of(lambda command: heard.append(command) or bytes(range(256)) + b"\x90\x00", part=part)
    command = bytes.fromhex("80AE4000") + (bytes((size,)) + bytes(range(size)) if size else b"") + b"\x00"
    assert drive(T1(T1_CARD).apdu(command), exchange_with(card)) == bytes(range(256)) + b"\x90\x00"
    assert heard == [command]


def test_a_card_may_ask_for_more_time_and_the_reader_is_told_how_much():
    link, seen = T1(T1_CARD), []
    card = card_of(lambda command: b"\x90\x00", wtx=3)

    def exchange(data):
        seen.append((data[1], link.extension))
        return card.tpdu(data)

    assert drive(link.apdu(READ), exchange) == b"\x90\x00"
    assert seen == [(0xC1, 1), (0x00, 1), (0xE3, 2), (0xE3, 2), (0xE3, 2)]


def test_a_card_may_change_the_size_of_its_blocks():
    card = scripted(block(0xE1, b"\xfe"), block(0xC1, b"\x10"), block(0x90), block(0x00, b"\x90\x00"))
    assert drive(T1(T1_CARD).apdu(bytes(5) + bytes(27)), card) == b"\x90\x00"


FAULTS = {"bad check byte": "bad_blocks", "not heard": "lost_blocks"}


@pytest.mark.parametrize("attribute", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("after", range(9))
def test_a_damaged_or_missing_block_is_asked_for_again_and_the_command_done_once(attribute, times, after):
    done = []
    card = card_of(lambda command: done.append(command) or bytes(80) + b"\x90\x00", part=30)
    count = [0]

    def exchange(data):
        if count[0] == after:
            setattr(card, attribute, times)
        count[0] += 1
        return card.tpdu(data) or b""

    assert drive(T1(T1_CARD).apdu(SELECT + bytes(60)), exchange) == bytes(80) + b"\x90\x00"
    assert done == [SELECT + bytes(60)]


def test_three_damaged_answers_to_a_whole_command_lose_the_card_and_nothing_is_done_twice():
    done = []
    card = card_of(lambda command: done.append(command) or b"\x90\x00")
    link = T1(T1_CARD)
    assert drive(link.apdu(READ), exchange_with(card)) == b"\x90\x00"
    card.bad_blocks = 3
    with pytest.raises(ProtocolError):
        drive(link.apdu(SELECT), exchange_with(card))
    assert done == [READ, SELECT]
    with pytest.raises(ProtocolError, match="out of step"):
        drive(link.apdu(SELECT), exchange_with(card))


def test_before_the_command_is_whole_the_blocks_may_start_anew():
    done, sent = [], []
    card = card_of(lambda command: done.append(command) or b"\x90\x00")

    def exchange(data):
        sent.append(data[1])
        if len(sent) == 2:
            card.bad_blocks = 3
        return card.tpdu(data) or b""

    assert drive(T1(T1_CARD).apdu(SELECT + bytes(60)), exchange) == b"\x90\x00"
    assert done == [SELECT + bytes(60)]
    assert sent == [0xC1, 0x20, 0x81, 0x81, 0xC0, 0xC1, 0x20, 0x60, 0x00]


@pytest.mark.parametrize(
    "answers",
    [
        [b""] * 20,
        [block(0xE1, b"\xfe")] + [block(0xC3, b"\x01")] * 1000,
        [block(0xE1, b"\xfe"), block(0xC2)],
        [block(0xE1, b"\xfe")] + [block(0x40, b"\x90\x00")] * 5,
        [block(0xE1, b"\xfe"), block(0xC1, b"\xff")],
        [block(0xE1, b"\xfe")] + [block(0x20, b"a"), block(0x60, b"a")] * 1000,
        [block(0xE1, b"\x20")] * 20,
    ],
    ids=["silence", "extensions", "abort", "wrong number", "block size", "endless chain", "another size"],
)
def test_t1_ends_whatever_the_card_says(answers):
    with pytest.raises(ProtocolError):
        drive(T1(T1_CARD).apdu(READ), scripted(*answers))


def test_any_blocks_end():
    chance = random.Random(2)
    pcbs = (0x00, 0x40, 0x20, 0x60, 0x80, 0x90, 0x81, 0x92, 0xC0, 0xC1, 0xC3, 0xE0, 0xE1, 0xE3, 0xC2)

    def exchange(data):
        kind = chance.randrange(10)
        if kind == 0:
            return chance.randbytes(chance.randrange(8))
        if kind == 1:
            return data
        return block(chance.choice(pcbs), chance.randbytes(chance.choice((0, 1, 2))))

    outcomes = set()
    for _ in range(1500):
        link = T1(T1_CARD)
        try:
            drive(link.apdu(chance.choice((READ, SELECT + bytes(70)))), exchange)
            outcomes.add("answer")
        except ProtocolError:
            outcomes.add("error")
    assert outcomes == {"answer", "error"}


def test_a_card_that_checks_by_crc_is_spoken_to_by_crc():
    atr = Atr(with_check("3BE000008171204501"))
    assert atr.crc and refusal(atr) == "TC3"
    card = card_of(lambda command: command + b"\x90\x00", atr=atr.raw)
    assert drive(T1(atr).apdu(SELECT), exchange_with(card)) == SELECT + b"\x90\x00"


def test_errors_say_nothing_of_what_went_over_the_contact():
    secret = bytes.fromhex("0020008008241234FFFFFFFFFF")
    texts = []
    for answers in (["61"], [""], ["61AA"] * 60):
        try:
            drive(t0(secret), scripted(*answers))
        except ProtocolError as error:
            texts.append(str(error))
    assert len(texts) == 3 and not any("1234" in text or "AA" in text for text in texts)
