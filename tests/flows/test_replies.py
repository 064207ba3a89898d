"""What leaves for the bank, field by field, and which of its answers count."""

import pytest

from emulator.acquirer.keys import Engine
from emulator.world import HOST, TERMINAL
from firmware import events, verification
from firmware.draft import Draft
from firmware.emv import outcome, tlv
from firmware.events import Event
from firmware.host import messages
from firmware.iso8583 import frame, unionpay
from firmware.transactions import SALE
from tests.flows.counter import Counter, tap
from tests.flows.test_void import void

CODEC = unionpay.codec()


def listen(counter, change=None):
    """[(message type, fields)] of what the bank hears from now on; `change(fields)` bends its answers, which are signed anew."""
    heard = []

    def parts(data):
        deframer = frame.Deframer()
        deframer.feed(data)
        return deframer.next()

    def bent(answer):
        packet = parts(answer)
        mti, fields = CODEC.unpack(packet.body)
        if change is None or mti != "0210":
            return answer
        change(fields)
        body = CODEC.pack(mti, fields)
        if 64 in fields:
            body = body[:-8] + Engine().mac(counter.bank.terminal(TERMINAL).mac_key, body[:-8])
        return frame.pack(packet.tpdu, packet.header, body)

    def open_conversation():
        receive = counter.acquirer.open().receive

        def answered(data):
            heard.append(CODEC.unpack(parts(data).body))
            return [(delay, answer if answer is None else bent(answer)) for delay, answer in receive(data)]

        return answered

    counter.link.hosts[HOST] = open_conversation
    return heard


def shop(**parameters):
    counter = Counter(parameters=parameters)
    counter.log_in()
    counter.run(3_000)  # signed on
    return counter


def start(counter, fen=1234, card="debit"):
    counter.walk(("6 管理", "1"), ("请输入金额", "%d ENTER" % fen), ("请挥卡", tap(card)))


def of_type(heard, mti):
    return [fields for kind, fields in heard if kind == mti]


# -- what leaves


@pytest.mark.parametrize("fen, typed", [(100_000, False), (100_001, True)])
def test_a_request_says_whether_a_pin_was_typed_and_which_card_it_was(fen, typed):
    counter = shop()
    heard = listen(counter)
    card = counter.shelf.card("debit")
    counter.sell(fen, pin=card.pin if typed else "")
    (fields,) = of_type(heard, "0200")
    assert fields[22] == ("071" if typed else "072") and fields[23] == card.sequence
    assert fields.get(26) == ("12" if typed else None) and (52 in fields) is typed
    assert fields[53][0] == ("2" if typed else "0") and fields[35].startswith(card.pan + "D")


def test_a_request_says_that_no_pin_was_typed_where_the_holder_has_left_it_out():
    counter = shop()
    heard = listen(counter)
    start(counter, 100_001)
    counter.walk(("密码: 取消", "ENTER"), ("将不带密码交易", "ENTER"), ("请撕下", None))
    (fields,) = of_type(heard, "0200")
    assert fields[22] == "072" and 52 not in fields and 26 not in fields


def test_no_line_of_the_chips_data_is_wider_than_the_paper():
    card = outcome.Outcome(outcome.ONLINE, "authorising", "arqc")
    card.tags = {0x95: bytes(5), 0x84: bytes.fromhex("A0000000041010"), 0x9F27: b"\x80", 0x9F26: bytes(8)}
    lines = messages.kept_of_chip(card)["chip"]
    assert lines == ["ARQC:" + "0" * 16, "TVR:0000000000", "AID:A0000000041010"]


def test_a_void_names_its_original_by_reference_authorisation_batch_and_trace():
    counter = shop()
    counter.sell(1234)
    original = counter.record()
    heard = listen(counter)
    void(counter)
    (fields,) = of_type(heard, "0200")
    assert fields[37] == original["reference"] != "000000000000" and fields[38] == original["authorisation"]
    assert unionpay.read_original(fields[61])[:2] == (original["batch"], original["trace"])


@pytest.mark.parametrize("rule, reason", [("silence", "98"), ("wrong-mac", "A0"), ("cut-after", "98")])
def test_a_reversal_says_why(rule, reason):
    counter = shop()
    heard = listen(counter)
    counter.rules.add("next on sale " + rule)
    start(counter)
    counter.walk(("已冲正", None))
    assert [fields[39] for fields in of_type(heard, "0400")] == [reason]


def test_a_reversal_that_the_host_refuses_is_asked_for_again_as_a_fault():
    counter = shop()
    heard = listen(counter)
    counter.rules.add("next on sale silence")
    counter.rules.add("next on reversal decline 96")
    start(counter)
    counter.walk(("已冲正", None))
    assert [fields[39] for fields in of_type(heard, "0400")] == ["98", "06"] and counter.books_agree()


def test_a_reversal_names_the_batch_and_trace_of_its_sale_though_a_new_batch_has_begun():
    counter = shop()
    counter.rules.add("next on sale silence")
    counter.rules.add("always on reversal ignore")
    start(counter)
    counter.walk(("交易结果未知", "CANCEL"), ("6 管理", None))
    record = counter.record()
    counter.terminal.ledger.note(batch=9)  # as when a supervisor has closed the batch
    assert counter.terminal.ledger.batch == "000009"
    heard = listen(counter)
    counter.run(100_000)
    first = of_type(heard, "0400")[0]
    assert unionpay.read_private60(first[60]).batch == record["batch"] == "000001" and first[11] == record["trace"]


@pytest.mark.parametrize("fen, wanted", [(100_000, False), (100_001, True)])
def test_the_card_is_told_of_the_limit_at_the_fen_at_which_a_pin_is_wanted(fen, wanted):
    counter = shop()
    told = []
    transmit = counter.reader.transmit

    def carried(ticket, apdu):
        if apdu[1] == 0xA8:
            told.append(apdu[7:11])  # 9F66 comes first
        transmit(ticket, apdu)

    counter.reader.transmit = carried
    start(counter, fen)
    counter.until(lambda: counter.state in ("EnterPin", "NextCopy"))
    assert len(told) == 1 and bool(told[0][1] & 0x40) is wanted


def test_no_two_taps_are_given_the_same_unpredictable_number():
    counter = shop()
    heard = listen(counter)
    for _ in range(3):
        counter.sell(100)
    numbers = [dict(tlv.decode(fields[55]))[0x9F37] for fields in of_type(heard, "0200")]
    assert len(set(numbers)) == 3 and all(len(number) == 4 for number in numbers)


@pytest.mark.parametrize(
    "fen, cvm, waive, asked",
    [
        (100_000, outcome.NO_CVM, False, False), (100_001, outcome.NO_CVM, False, True),
        (100_001, outcome.NO_CVM, True, False), (100_001, outcome.SIGNATURE, False, True),
        (100_001, outcome.SIGNATURE, True, False), (100_001, outcome.CDCVM, False, False),
        (1, outcome.ONLINE_PIN, True, True),
    ],
)  # fmt: skip
def test_the_terminals_own_rule_asks_for_a_pin_whatever_the_card_says_unless_a_parameter_lets_it(fen, cvm, waive, asked):
    counter = Counter(parameters={"pin.card_may_waive": waive})
    counter.power_on()
    draft = Draft(SALE)
    draft.fen = fen
    assert verification.pin_needed(counter.terminal, draft, outcome.CONTACTLESS, cvm, "6225880000000000") is asked


def test_an_approval_by_a_card_whose_holder_signs_stands_without_a_pin():
    counter = Counter()
    counter.power_on()
    draft = Draft(SALE)
    draft.fen = 100_001
    card = outcome.Outcome(outcome.APPROVED, "approved-sign", "approved")
    card.cvm, card.pan = outcome.SIGNATURE, "6225880000000000"
    assert verification.within_free(counter.terminal, draft, card) and not verification.pin_wanted(counter.terminal, draft, card)


@pytest.mark.parametrize("fen", [True, False, -1, "1"])
def test_a_limit_of_a_prefix_that_is_no_amount_is_refused(fen):
    with pytest.raises(ValueError):
        verification.check_bins([["62", fen]])


# -- what counts


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.pop(4), lambda fields: fields.update({3: "200000"}), lambda fields: fields.update({42: "8" * 15}),
        lambda fields: fields.pop(42), lambda fields: fields.pop(39), lambda fields: fields.pop(64),
    ],
    ids=["no amount", "another processing code", "another merchant", "no merchant", "no code", "no MAC"],
)  # fmt: skip
def test_an_approval_that_contradicts_its_request_is_no_answer_though_it_is_well_signed(change):
    counter = shop()
    listen(counter, change)
    start(counter)
    counter.walk(("没有收到有效应答 已冲正", "ENTER"), ("6 管理", None))
    assert counter.record()["phase"] == "reversed" and counter.books_agree()


def test_a_profile_may_take_declines_without_mac_but_never_with_a_wrong_one_and_never_an_approval():
    counter = shop(**{"host.mac_on_declines": False})
    counter.rules.add("next on sale no-mac")
    start(counter, 500, "poor")
    counter.walk(("交易失败 51 余额不足", "ENTER"))
    assert counter.record()["phase"] == "declined"
    for rule, card in (("wrong-mac", "poor"), ("no-mac", "debit")):
        counter.rules.add("next on sale " + rule)
        start(counter, 500, card)
        counter.walk(("没有收到有效应答 已冲正", "ENTER"))
        assert counter.record()["phase"] == "reversed"
    assert counter.books_agree()


@pytest.mark.parametrize("code", ["94", "68", "55", "77"])
def test_no_other_code_ends_a_reversal(code):
    counter = shop()
    counter.rules.add("next on sale cut-before")
    counter.rules.add("always on reversal decline " + code)
    start(counter)
    counter.walk(("交易结果未知", None))
    assert counter.record()["phase"] == "reversing"


@pytest.mark.parametrize("how", ["77", "99", "header"])
def test_a_host_that_wants_a_sign_on_gets_one_before_anything_else(how):
    counter = shop()
    heard = listen(counter)
    if how == "header":
        counter.acquirer.requirement = 3
        counter.sell(100)
        counter.acquirer.requirement = 0
    else:
        counter.rules.add("next on sale decline " + how)
        start(counter)
        counter.walk(("交易失败 " + how, "ENTER"), ("6 管理", None))
    counter.run(3_000)
    assert [mti for mti, _ in heard] == ["0200", "0800"] and counter.terminal.signed_on()


def test_a_sign_on_grows_old_and_is_made_anew():
    counter = shop()
    heard = listen(counter)
    counter.run(23 * 3_600_000)
    assert counter.terminal.signed_on()
    counter.run(2 * 3_600_000)
    assert not counter.terminal.signed_on() and heard == []
    counter.type("ENTER")
    counter.walk(("终端已锁定", "ENTER"), ("请输入4位密码", "0000 ENTER"), ("6 管理", None))
    counter.run(3_000)
    assert [mti for mti, _ in heard] == ["0800"] and counter.terminal.signed_on()


# -- between "sent" and "result written"


def at_the_bank(counter):
    start(counter)
    counter.until("正在联系银行")
    counter.until(lambda: counter.terminal.draft.record is not None)


def test_no_key_does_anything_while_the_bank_is_asked():
    counter = shop()
    counter.rules.add("next on sale late 10")
    at_the_bank(counter)
    shown = counter.text
    counter.type("CANCEL BACK CLEAR ENTER 5 00 DOWN")
    assert counter.state == "Authorise" and counter.text == shown
    counter.walk(("请撕下", "ENTER"), ("6 管理", None))
    assert counter.record()["phase"] == "approved" and counter.books_agree()


def test_switching_off_waits_for_the_banks_answer():
    counter = shop()
    counter.rules.add("next on sale late 10")
    at_the_bank(counter)
    counter.machine.handle(Event(events.STOP, 0, None))
    assert counter.state == "Authorise" and not counter.machine.stopped
    counter.until(lambda: counter.machine.stopped)
    assert counter.record()["phase"] == "approved" and counter.books_agree()


def test_a_conversation_that_never_ended_would_be_unknown_and_not_unsent():
    counter = shop()
    counter.rules.add("next on sale silence")
    at_the_bank(counter)
    counter.machine.state.deadline_ms = 1_000
    counter.machine.state.again()
    counter.walk(("交易结果未知 是否扣款未知", None))


def test_a_defect_while_the_bank_is_asked_leaves_a_result_that_is_unknown_and_undone():
    counter = Counter(strict=False)
    counter.log_in()
    counter.run(3_000)
    counter.rules.add("next on sale late 10")
    at_the_bank(counter)
    counter.machine.state.on_part = lambda part, state: 1 // 0
    counter.machine.handle(Event(events.PART, 0, ("printer", "gone")))
    assert counter.state == "Fault" and "是否扣款未知" in counter.text
    assert counter.record()["phase"] == "reversing"
    counter.run(120_000)
    assert counter.record()["phase"] == "reversed" and counter.books_agree()


def test_a_sale_that_was_cut_is_reversed_before_the_next_one_is_sent():
    counter = shop()
    counter.rules.add("next on sale silence")
    at_the_bank(counter)
    counter.plug()
    counter.take()
    counter.rules.add("always on reversal ignore")
    counter.power_on()
    counter.walk(("上笔交易 未知", "ENTER"))
    heard = listen(counter)
    counter.log_in()
    assert counter.terminal.ledger.unresolved() == []  # its first round has not ended: the menu lets a sale begin
    start(counter, 500)
    counter.until("有未冲正交易", within_ms=400_000)
    assert of_type(heard, "0400") and not of_type(heard, "0200")


# -- the second try of a reversal, and keys that do not fit


@pytest.mark.parametrize(
    ("sale", "first", "reasons", "signs_on"),
    [
        ("silence", "ignore", ["98", "98"], False),
        ("silence", "wrong-mac", ["98", "A0"], True),
        ("wrong-mac", "silence", ["A0", "A0"], False),
        ("silence", "decline 77", ["98", "06"], True),
    ],
)
def test_the_next_try_of_a_reversal_says_what_became_of_the_one_before_it(sale, first, reasons, signs_on):
    counter = shop()
    heard = listen(counter)
    counter.rules.add("next on sale " + sale)
    counter.rules.add("next on reversal " + first)
    start(counter)
    counter.walk(("已冲正", "ENTER"), ("6 管理", None))
    assert [fields[39] for fields in of_type(heard, "0400")] == reasons
    between = ["0800"] if signs_on else []
    assert [mti for mti, _ in heard] == ["0200", "0400", *between, "0400"], "keys that differ are made anew before the next try"
    assert counter.books_agree()


def ask_balance(counter):
    counter.walk(("6 管理", "3"), ("请挥卡", tap("debit")), ("密码", counter.shelf.card("debit").pin + " ENTER"))
    counter.until(lambda: counter.state in ("ShowBalance", "NotSent"))
    counter.walk(("", "CANCEL"), ("6 管理", None))


def test_three_wrong_macs_in_a_row_mean_other_keys_and_a_good_one_between_them_does_not():
    counter = shop()
    heard = listen(counter)
    for rule in ("wrong-mac", "wrong-mac", "", "wrong-mac", "wrong-mac"):
        if rule:
            counter.rules.add("next on balance " + rule)
        ask_balance(counter)
    assert [mti for mti, _ in heard] == ["0200"] * 5 and counter.terminal.mac_errors == 2 and counter.terminal.signed_on()
    counter.rules.add("next on balance wrong-mac")
    ask_balance(counter)
    ask_balance(counter)
    assert [mti for mti, _ in heard][5:] == ["0200", "0800", "0200"] and counter.terminal.mac_errors == 0


SALE_SENT = {3: "000000", 4: "000000001234", 11: "000007", 41: "T" * 8, 42: "M" * 15, 60: "22000001"}
SALE_ANSWER = {3: "000000", 4: "000000001234", 11: "000007", 39: "00", 41: "T" * 8, 42: "M" * 15}


@pytest.mark.parametrize(
    ("mti", "code", "counts"),
    [
        ("0200", "00", False), ("0200", "11", False), ("0220", "94", False), ("0400", "25", False), ("0200", "51", True),
        ("0400", "96", True),
    ],
)  # fmt: skip
def test_whatever_settles_a_message_must_name_our_merchant_and_a_refusal_need_not(mti, code, counts):
    answer = {**SALE_ANSWER, 39: code}
    assert messages.mismatch(mti, SALE_SENT, answer) == 0
    assert messages.mismatch(mti, SALE_SENT, {**answer, 42: "N" * 15}) == (0 if counts else 42)


def test_an_answer_belongs_to_its_request_by_its_type_its_trace_number_and_its_terminal():
    assert messages.belongs("0200", SALE_SENT, "0210", SALE_ANSWER)
    assert not messages.belongs("0200", SALE_SENT, "0410", SALE_ANSWER)
    for other in ({11: "000008"}, {41: "U" * 8}):
        assert not messages.belongs("0200", SALE_SENT, "0210", {**SALE_ANSWER, **other})
    without = {number: SALE_SENT[number] for number in SALE_SENT if number != 11}
    assert messages.belongs("0820", without, "0830", {**SALE_ANSWER, 11: "000008"}), "an echo has no trace number"


@pytest.mark.parametrize("kind, name", [(0x00, "AAC"), (0x40, "TC"), (0x80, "ARQC")])
def test_the_slip_names_the_cryptogram_by_its_kind_and_each_value_of_the_chip_by_its_tag(kind, name):
    card = outcome.Outcome(outcome.ONLINE, "authorising", "arqc")
    named = {
        0x95: "TVR", 0x84: "AID", 0x5F34: "CSN", 0x9B: "TSI", 0x9F36: "ATC", 0x82: "AIP", 0x9F37: "UNPR NO", 0x9F33: "TermCap",
        0x9F10: "IAD", 0x9F34: "CVMR",
    }  # fmt: skip
    card.tags = {tag: bytes([0xA0 + at] * 3) for at, tag in enumerate(named)} | {0x9F27: bytes([kind]), 0x9F26: b"\x11" * 8}
    printed = " ".join(messages.kept_of_chip(card)["chip"])
    assert printed.startswith("%s:%s" % (name, "11" * 8))
    for at, tag in enumerate(named):
        assert "%s:%s" % (named[tag], ("%02X" % (0xA0 + at)) * 3) in printed
    assert messages.kept_of_chip(card, "ARQC:00")["chip"][0].startswith("ARQC:00"), "that of the request, where there was one"


def test_a_chip_that_has_made_no_cryptogram_has_none_on_the_slip():
    card = outcome.Outcome(outcome.DECLINED, "", "")
    card.tags = {0x95: bytes(5), 0x9F27: b"\x00"}
    assert messages.kept_of_chip(card)["chip"] == ["TVR:" + "00" * 5]
