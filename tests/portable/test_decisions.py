"""The terminal's decisions on a card with contacts, under CPython and MicroPython alike; values after EMV Book 3, 10."""

from binascii import hexlify

from firmware.emv import action, ask, cryptogram, cvm, issuer, restrictions, risk
from firmware.emv.card import Ended
from firmware.emv.data import Data
from firmware.emv.settings import Request, Settings
from tests.portable.plain_card import hexes
from tests.portable.plain_settings import TERMINAL_DATA, UNIONPAY_ROWS

CARD = (
    ("5A", "6200000000000005"), ("5F24", "301231"), ("5F25", "200101"), ("5F28", "0156"), ("82", "3C00"),
    ("9F07", "FFC0"), ("9F08", "0020"), ("9F42", "0156"), ("8C", "9F0206 9505 9F3704 9814"), ("8D", "8A02"),
    ("9F0D", "0000000000"), ("9F0E", "0000000000"), ("9F0F", "0000000000"),
)  # fmt: skip


def data_of(*more):
    row = dict(UNIONPAY_ROWS[0])
    row.update({"terminal_floor_limit_fen": 10000, "threshold_fen": 2000, "target_percent": 20, "maximum_percent": 60})
    settings = Settings([row], TERMINAL_DATA)
    data = Data(settings, Request(6000, "261120", "101500", hexes("CAFE0123"), 17, chance=40))
    data.choose(settings.applications[0])
    for tag, value in CARD + more:
        data.said[int(tag, 16)] = hexes(value)
    return data


def run(step, *answers):
    """A step's result, and what it sent and asked."""
    sent = []
    left = list(answers)
    try:
        given = next(step)
        while True:
            sent.append(given)
            given = step.send(left.pop(0))
    except StopIteration as end:
        assert not left
        return end.value, sent


def results(data):
    return hexlify(data.tvr).decode(), hexlify(data.tsi).decode(), hexlify(data.cvm_results).decode()


def test_a_card_that_may_be_used_here_and_today_has_no_bit():
    data = data_of()
    restrictions.check(data)
    assert results(data)[0] == "0000000000"
    data = data_of(("5F24", "261119"), ("5F25", "261121"), ("9F08", "0021"), ("9F07", "0100"))
    restrictions.check(data)
    assert results(data)[0] == "00f0000000"


def test_the_holder_is_verified_by_the_first_rule_that_holds():
    data = data_of(("8E", "00000000 00000000 4201 4103 5E03 1F00"))
    result, sent = run(cvm.perform(data), hexes("9F1701039000"), 0x63C2, 0x9000)
    assert (result.method, result.signature) == ("offline-pin", False)
    assert results(data) == ("0000000000", "4000", "410302")
    assert sent[0] == hexes("80CA9F1700") and [question.tries_left for question in sent[1:]] == [3, 2]


def test_a_pin_passed_over_is_passed_over_everywhere():
    data = data_of(("8E", "00000000 00000000 4203 0103 1F00"))
    result, sent = run(cvm.perform(data), ask.BYPASS)
    assert result.method == "none" and len(sent) == 1
    assert results(data) == ("0000880000", "4000", "010301")


def test_risks_are_counted():
    data = data_of(("9F14", "01"), ("9F23", "05"))
    _, sent = run(risk.manage(data), False, 4000, hexes("9F360200049000"), hexes("9F130200029000"))
    assert results(data)[:2] == ("000000c000", "0800")
    assert sent[2:] == [hexes("80CA9F3600"), hexes("80CA9F1300")]


def test_chance_takes_more_of_the_larger_amounts():
    data = data_of()
    assert not risk.drawn(data, 10000)  # 20 + 40 * 4000 / 8000 = 40, and 41 was drawn
    data.request.chance = 39
    assert risk.drawn(data, 10000)


def test_the_terminal_asks_for_what_the_action_codes_say():
    data = data_of()
    assert action.first(data) == action.TC and data.get(0x8A) == b"Y1"
    data.set_tvr(4, 0x80)
    assert action.first(data) == action.ARQC and data.get(0x8A) is None
    assert action.unreachable(data) == action.AAC and data.get(0x8A) == b"Z3"
    data.set_tvr(2, 0x10)
    assert action.first(data) == action.AAC and data.get(0x8A) == b"Z1"


def test_a_cryptogram_is_asked_for_and_read():
    data = data_of()
    answer = hexes("8012 80 0017 1122334455667788 07010103A00000 9000")
    given, sent = run(cryptogram.generate(data, action.ARQC, cryptogram.CDOL_1), answer)
    told = "000000006000 0000000080 CAFE0123 DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"  # SHA-1 of nothing
    assert sent == [hexes("80AE800023" + told + "00")]
    assert (given.kind, given.template, given.dol_values) == (action.ARQC, 0x80, hexes(told))
    assert data.said[0x9F26] == hexes("1122334455667788") and results(data)[:2] == ("0000000080", "2000")


def test_a_card_that_gives_more_than_was_asked_for_ends_it():
    step = cryptogram.generate(data_of(), action.AAC, cryptogram.CDOL_2)
    next(step)
    try:
        step.send(hexes("800B 40 0017 1122334455667788 9000"))
    except Ended as end:
        assert end.why == "malformed"
    else:
        raise AssertionError("a TC was taken for an AAC")


def test_the_issuer_is_shown_to_the_card_and_its_scripts_are_carried_out():
    data = data_of()
    _, sent = run(issuer.authenticate(data, hexes("B9814EF5DE5213D43030")), hexes("6300"))
    assert sent == [hexes("008200000AB9814EF5DE5213D43030")]
    scripts = ((0x71, hexes("9F180411223344 8604 84160000 8604 84180000")), (0x72, hexes("8604 84240000")))
    first, sent = run(issuer.run_scripts(data, scripts, True), hexes("9000"), hexes("6A80"))
    last, _ = run(issuer.run_scripts(data, scripts, False), hexes("9000"))
    assert sent == [hexes("84160000"), hexes("84180000")]
    assert data.told[0xDF31] == first + last == hexes("1211223344 2000000000")
    assert results(data)[:2] == ("0000000060", "1400")
