"""A card in the slot, and taps that end there: what goes wrong between people, card, terminal and bank, and what stands then."""

import json

import pytest

from emulator.world import MERCHANT, TERMINAL
from firmware.emv import apdu, tlv
from firmware.iso8583 import unionpay
from tests.books import disagreements, openings
from tests.flows.scenarios import (
    CANTEEN,
    HOME,
    OUT,
    PIN,
    SLIPS,
    SOLD,
    Shop,
    insert,
    pin,
    pull,
    refused,
    rows,
    switches,
    tap,
    terminal,
)
from tests.flows.test_cut import RESOLVED_MS, Till, cut_short
from tests.flows.test_replies import listen

UNDONE = (("交易未成功 卡片拒绝 已冲正 未扣款", "ENTER"), HOME)
VOID = (("6 管理", "2"), ("请输入6位密码", "123456 ENTER"))


@pytest.fixture
def shop():
    """A shop with the power on and clerk 01 logged in."""
    return open_shop()


def open_shop(**parameters):
    shop = Shop(parameters=parameters)
    shop.log_in()
    shop.before = openings(shop.bank)
    return shop


def agree(shop):
    shop.settle()
    return disagreements(shop.terminal.ledger, shop.store, shop.bank, TERMINAL, MERCHANT, shop.before) == []


def sold_by_chip(shop, fen=1234, card="debit"):
    shop.sale(fen)
    insert(card)(shop)
    shop.walk(PIN, *SOLD)
    return shop.record()


# -- the card is pulled


ENDS = ("PresentCard", "Reversed", "TakeCard", "NextCopy")


def pulled(how, number, card="debit", parameters=None, rule=""):
    """A sale whose card leaves at a command; (shop, whether it had so many, the page that says what happened)."""
    shop = open_shop(**(parameters or {}))
    if rule:
        shop.rules.add(rule)
    shop.sale(1234)
    setattr(shop.chip, how, number)
    insert(card)(shop)
    shop.until(lambda: shop.state == "ReadChip")
    shop.until(lambda: shop.state in ("ChipPin", *ENDS))
    if shop.state == "ChipPin":
        pin(shop)
        shop.until(lambda: shop.state in ENDS)
    if shop.state == "TakeCard":
        pull(shop)
        shop.until(lambda: shop.state in ("Reversed", "NextCopy"))
    return shop, getattr(shop.chip, how) is None, shop.text


SAYS = {"PresentCard": "卡片拔出太早", "Reversed": "卡片拔出太早 已撤回", "NextCopy": "请撕下"}
TOO_EARLY, UNDONE_BY_HAND, SOLD_ANYWAY = ("PresentCard", ""), ("Reversed", "reversed"), ("NextCopy", "approved")


@pytest.mark.parametrize("how", ["tear_after", "tear_during"])
@pytest.mark.parametrize(
    "card, parameters, rule, wanted",
    [
        ("debit", {}, "", {TOO_EARLY, UNDONE_BY_HAND}),
        ("offline", CANTEEN, "", {TOO_EARLY}),
        ("script", {}, "next on sale script pin-unblock", {TOO_EARLY, UNDONE_BY_HAND, SOLD_ANYWAY}),
        ("script", {}, "next on sale script-before pin-unblock", {TOO_EARLY, UNDONE_BY_HAND}),
    ],
    ids=["online", "offline", "a script after", "a script before"],
)
def test_a_card_pulled_at_any_command_leaves_books_that_agree_and_a_page_that_says_so(card, parameters, rule, wanted, how):
    ends = []
    for number in range(1, 40):
        shop, torn, text = pulled(how, number, card, parameters, rule)
        state = shop.state
        assert agree(shop), (how, number)
        if not torn:
            break
        ends.append((state, shop.record()["phase"] if shop.record() else ""))
        assert SAYS[state] in text
    assert wanted <= set(ends) <= wanted | {SOLD_ANYWAY}
    assert 10 <= len(ends) < 39


def test_a_card_pulled_too_early_is_inserted_again_without_typing_the_amount(shop):
    shop.chip.tear_after = 4
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(("卡片拔出太早 12.34", insert("debit")), PIN, *SOLD)
    assert shop.record()["fen"] == 1234 and agree(shop)


def test_a_card_torn_from_the_field_at_any_command_is_tapped_again():
    for number in range(1, 9):
        shop = open_shop()
        shop.reader.tear_during = number
        shop.sale(1234)
        tap("debit")(shop)
        if shop.reader.tear_during is not None:
            break
        shop.walk(("请重新挥卡 12.34", tap("debit")), *SLIPS)
        assert shop.said(2) == "0200 0210" and agree(shop)
    assert number > 3


# -- the holder


def test_a_card_that_is_inserted_again_is_not_told_of_a_pin_that_it_never_got(shop):
    shop.sale(1234)
    insert("offline-pin")(shop)
    shop.walk(("密码: 取消", lambda shop: (shop.pull(), shop.run(200), shop.type("12"))), ("卡片拔出太早", insert("offline-pin")))
    shop.walk(("密码: 取消", None))
    assert "还可试" not in shop.text


def test_a_wrong_online_pin_offers_the_amount_again(shop):
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(
        ("密码: 取消", "000000 ENTER"), OUT, ("交易失败 55 未扣款", "ENTER"), ("12.34 插卡", insert("debit")), PIN, *SOLD
    )  # fmt: skip
    assert shop.said(2) == "0200 0210 0200 0210" and agree(shop)


def test_the_pin_typed_for_a_card_that_was_pulled_does_not_travel_with_the_next_card(shop):
    """The block of one card's PIN under another's number would count as a wrong try of a holder who has typed none."""
    shop.chip.tear_after = 10
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(PIN, ("卡片拔出太早", tap("credit")), *SLIPS)
    assert not shop.record()["pin"] and shop.record()["entry"] == "07" and agree(shop)


def test_the_fifth_application_is_chosen_from_the_second_page(tmp_path):
    names = ["A0000003330101%02X" % number for number in range(1, 7)]
    directory = [(0x61, [(0x4F, bytes.fromhex(name)), (0x50, b"BANK-" + name[-1:].encode())]) for name in names]
    answers = {
        apdu.select(apdu.PSE): [(0x6F, [(0x84, apdu.PSE), (0xA5, [(0x88, b"\x01")])])],
        apdu.read_record(1, 1): [(0x70, directory)],
    }
    pairs = [{"c": command.hex(), "r": tlv.encode(tree).hex() + "9000"} for command, tree in answers.items()]
    (tmp_path / "card.json").write_text(json.dumps({"apdus": pairs}))
    shop = open_shop(**{"emv.aids": [dict(row, aid=name) for name, row in zip(names, [rows()["emv.aids"][0]] * 6, strict=True)]})
    shop.sale(1234)
    shop.insert_recorded(tmp_path / "card.json")
    shop.walk(("BANK-1 BANK-4", "DOWN"), ("BANK-5 BANK-6", "DOWN"), ("BANK-1 BANK-4", "DOWN"), ("BANK-5", "1"))
    shop.walk(("BANK-1 BANK-4", "DOWN"), ("BANK-6", "1"))  # an application that does not answer is offered no more
    shop.walk(("BANK-1 BANK-4", "DOWN"), ("BANK-1 BANK-4", None))


def test_no_key_does_anything_while_the_chip_works(shop):
    shop.sale(1234)
    insert("debit")(shop)
    shop.until(lambda: shop.state == "ReadChip")
    shop.type("CANCEL BACK ENTER")
    assert shop.state == "ReadChip"
    shop.walk(PIN, *SOLD)
    assert agree(shop)


@pytest.mark.parametrize("card, results", [("full", "420300"), ("debit", "3F0000")])
def test_what_a_cryptogram_covers_is_not_changed_by_a_pin_that_is_left_out(shop, card, results):
    """The whole flow has told the card how the holder is verified; a quick one has not."""
    heard = listen(shop)
    shop.sale(150_000)
    tap(card)(shop)
    shop.walk(("密码: 取消", "ENTER"), ("将不带密码交易", "ENTER"), *SLIPS)
    (fields,) = [fields for mti, fields in heard if mti == "0200"]
    assert dict(tlv.decode(fields[55]))[0x9F34] == bytes.fromhex(results)


def test_cancel_while_the_card_is_to_be_taken_out_takes_nothing_back(shop):
    shop.sale(1234)
    insert("debit")(shop)
    shop.until(lambda: shop.state == "ChipPin")
    played = dict(shop.ports["sound"].played)
    shop.walk(PIN, ("交易成功 请拔出卡片", None))
    assert shop.ports["sound"].played["ok"] > played["ok"]  # heard before the card is out
    shop.walk(("请拔出卡片", "CANCEL"), *SLIPS)
    assert shop.record()["phase"] == "approved" and agree(shop)


def test_a_pin_that_the_card_blocks_leads_to_what_its_list_has_next(shop):
    shop.sale(1234)
    insert("offline-pin")(shop)
    wrong = "000000 ENTER"
    shop.walk(("密码: 取消", wrong), ("还可试2次", wrong), ("还可试1次", wrong))
    assert shop.shelf.card("offline-pin").applications[0].state.tries == 0
    shop.walk(("无则按确认 密码: 取消", pin), *SOLD)  # the issuer's PIN, which the list has next
    assert shop.seen[-1].tvr == "0000248000" and shop.seen[-1].cvmr == "420300"
    assert agree(shop)


def test_cancel_at_the_pin_gives_the_card_back_and_asks_nobody(shop):
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(("密码: 取消", "CANCEL"), ("取消", pull), HOME)
    assert shop.said(2) == "" and shop.record() is None and shop.seen[-1].why == "cancelled"


def test_a_document_that_is_not_the_holders_is_a_rule_that_fails():
    shop = open_shop(**terminal(**{"9F33": "E0F9C8"}))
    shop.shelf.card("document").applications[0].profile = shop.shelf.card("document").applications[0].profile._replace(rules="2003")
    shop.sale(1234)
    insert("document")(shop)
    shop.walk(("核对证件 身份证 999999200001010000", "CANCEL"), *SOLD)
    assert (shop.seen[-1].tvr, shop.seen[-1].cvmr) == ("0000808000", "200301") and agree(shop)


@pytest.mark.parametrize("fen, wanted", [(30_000, False), (30_001, True)])
def test_a_card_number_with_a_limit_of_its_own_needs_a_pin_above_it(fen, wanted):
    shop = open_shop()
    prefix = shop.shelf.card("debit").pan[:6]
    shop = open_shop(**{"pin.free_bins": [[prefix[:2], 200_000], [prefix, 30_000], [prefix[:4], 100_000]]})
    shop.sale(fen)
    tap("debit")(shop)
    shop.walk(*((PIN,) if wanted else ()), *SLIPS)
    assert shop.record()["pin"] is wanted and shop.record()["free_fen"] == 30_000
    assert ("未超过300.00元，免密免签" in shop.paper) is not wanted


# -- the field


def test_two_cards_in_the_field_are_one_too_many(shop):
    shop.sale(1234)
    shop.place("debit")
    shop.place("credit")
    shop.walk(("只能放一张卡", lambda shop: shop.take()), ("12.34", tap("debit")), *SLIPS)
    assert agree(shop)


def test_stripe_mode_sends_its_code_in_the_track_and_nothing_of_a_chip(shop):
    fields = []
    note = shop.acquirer.log
    shop.acquirer.log = lambda kind, text: (fields.append(text), note(kind, text))
    shop.sale(1234)
    tap("mastercard-stripe")(shop)
    shop.walk(*SLIPS)
    request = next(text for text in fields if text.startswith("→ 0200"))
    assert "  55 " not in request and shop.record()["entry"] == "91" and agree(shop)


def test_stripe_mode_has_no_digits_to_compare_with_the_cards_face():
    shop = open_shop(**{"stripe.last_four": True})
    shop.sale(1234)
    tap("mastercard-stripe")(shop)
    shop.walk(*SLIPS)
    assert shop.record()["entry"] == "91" and "TypeLastFour" not in shop.pages


def test_the_reversal_of_stripe_mode_has_nothing_of_a_chip_either(shop):
    heard = listen(shop)
    shop.rules.add("next on sale silence")
    shop.sale(1234)
    tap("mastercard-stripe")(shop)
    shop.walk(("已冲正", "ENTER"), HOME)
    assert [55 in fields for mti, fields in heard if mti == "0400"] == [False] and agree(shop)


# -- the bank


def test_a_bank_that_answers_too_late_finds_the_card_told_no_and_the_sale_undone(shop):
    shop.rules.add("next on sale late 40")
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(PIN, OUT, ("没有收到有效应答 已冲正 未扣款", "ENTER"), HOME)
    assert (shop.seen[-1].why, shop.seen[-1].response) == ("unreachable", "Z3")
    assert shop.record()["phase"] == "reversed" and agree(shop)


def test_a_reply_with_a_wrong_mac_is_none_to_the_card_either(shop):
    shop.rules.add("next on sale wrong-mac")
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(PIN, OUT, ("已冲正 未扣款", "ENTER"), HOME)
    assert shop.seen[-1].response == "Z3" and agree(shop)


def test_a_reversal_that_is_not_answered_stands_until_it_is(shop):
    shop.rules.add("next on sale silence")
    shop.rules.add("next 3 on reversal silence")
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(PIN, OUT, ("交易结果未知", "ENTER"))
    shop.run(RESOLVED_MS)
    assert shop.record()["phase"] == "reversed" and agree(shop)


def test_what_the_card_made_of_its_scripts_is_told_to_the_bank(shop):
    shop.rules.add("next on sale script pin-unblock")
    shop.sale(1234)
    insert("last-try")(shop)
    shop.walk(("还剩1次", "000000 ENTER"), *SOLD)
    shop.settle()
    assert shop.said(2) == "0200 0210 0620 0630"
    assert shop.shelf.card("last-try").applications[0].state.tries == 3
    assert [notice.results[:2] for notice in shop.bank.notices(TERMINAL)] == ["20"]
    assert agree(shop)


def test_the_notice_of_scripts_brings_the_cryptogram_of_their_transaction(shop):
    heard = listen(shop)
    shop.rules.add("next on sale script pin-unblock")
    sold_by_chip(shop, card="script")
    shop.settle()
    ((_, fields),) = [(mti, fields) for mti, fields in heard if mti == "0620"]
    assert {0x9F26, 0x9F37, 0x82, 0x9A, 0xDF31} <= set(dict(tlv.decode(fields[55])))
    assert unionpay.read_original(fields[61])[:2] == (shop.record()["batch"], shop.record()["trace"]) != ("", fields[11])
    assert (fields[37], fields[38]) == (shop.record()["reference"], shop.record()["authorisation"])


def test_a_notice_of_scripts_that_is_not_answered_is_sent_again(shop):
    shop.rules.add("next on sale wrong-script pin-unblock")
    shop.rules.add("next on script-result silence")
    sold_by_chip(shop, card="script")
    assert shop.terminal.ledger.notices() and not shop.books_agree()
    shop.settle()
    assert shop.said(2) == "0200 0210 0620 0620 0630" and agree(shop)


def test_a_referral_is_a_decline_where_nobody_calls(shop):
    shop.rules.add("next on sale decline 01")
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(PIN, OUT, *refused("01"))
    assert (shop.seen[-1].why, shop.seen[-1].response) == ("host-declined", "01") and agree(shop)


def test_a_referral_that_the_issuer_turns_down_by_telephone_is_a_decline():
    shop = open_shop(**switches(referral=True))
    shop.rules.add("next on sale decline 01")
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(PIN, ("须询问发卡行 请致电发卡行", "CANCEL"), OUT, *refused("01"))
    assert shop.seen[-1].why == "host-declined" and agree(shop)


def test_a_referral_leaves_the_same_books_at_both_ends_whatever_is_said_on_the_telephone():
    for key in ("123456 ENTER", "CANCEL"):
        shop = open_shop(**switches(referral=True))
        shop.rules.add("next on sale decline 01")
        shop.sale(1234)
        insert("debit")(shop)
        shop.walk(PIN, ("须询问发卡行", key), ("拔出卡片", pull))
        shop.run(120_000)
        assert agree(shop), key


# -- void and balance


def test_a_sale_is_undone_with_the_same_card_in_the_slot(shop):
    trace = sold_by_chip(shop)["trace"]
    shop.walk(*VOID, ("原凭证号", trace + " ENTER"), ("确认撤销", "ENTER"), ("插卡", insert("debit")), PIN, *SOLD)
    assert (shop.record()["kind"], shop.record()["phase"], shop.record()["entry"]) == ("void", "approved", "05")
    assert agree(shop)


def test_the_slip_goes_on_naming_the_cryptogram_that_went_to_the_bank(shop):
    record = sold_by_chip(shop)
    assert record["cryptogram"].startswith("ARQC:") and record["cryptogram"] in shop.paper and " TC:" not in shop.paper


def test_a_sale_is_not_undone_with_another_card_in_the_slot(shop):
    trace = sold_by_chip(shop)["trace"]
    shop.walk(
        *VOID, ("原凭证号", trace + " ENTER"), ("确认撤销", "ENTER"), ("插卡", insert("credit")),
        ("拔出", pull), ("不是原交易的卡", "CANCEL"), HOME,
    )  # fmt: skip
    assert shop.record()["kind"] == "sale" and agree(shop)


def test_the_balance_is_asked_by_chip(shop):
    shop.walk(("6 管理", "3"), ("插卡", None))
    shop.run(150)
    insert("poor")(shop)
    shop.walk(PIN, OUT, ("余额查询 1.00", "CANCEL"), HOME)
    assert shop.record() is None and shop.said(2) == "0200 0210"


def test_a_device_that_declines_a_balance_has_given_its_data_and_no_more(shop):
    shop.shelf.card("mastercard").declines = True
    shop.walk(("6 管理", "3"), ("请挥卡", None))
    shop.run(150)
    tap("mastercard")(shop)
    shop.walk(("交易未完成 未扣款", "CANCEL"), HOME)
    assert shop.seen[-1].why == "data-only" and shop.said(2) == ""


# -- the power


class ChipTill(Till):
    card = ""

    def walk_sale(self, card):
        self.card = card
        self.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("插卡", lambda till: till.run(200)))
        self.insert(card)
        self.walk(PIN, *SOLD)

    def again(self):
        self.pull()
        super().again()


def ready():
    till = ChipTill(parameters={"reversal.again_s": 60})
    till.log_in()
    till.run(5_000)
    return till


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("card, rule", [("debit", ""), ("second-refuses", ""), ("debit", "next on sale silence")])
def test_the_books_agree_whichever_commit_of_a_chip_sale_the_power_goes_at(card, rule, after):
    def walk(till):
        if rule:
            till.rules.add(rule)
        try:
            till.walk_sale(card)
        except AssertionError:
            if not till.cut and till.state not in ("Reversed", "Menu"):
                raise

    till = ready()
    commits = till.store.commits
    walk(till)
    till.run(RESOLVED_MS)
    commits = till.store.commits - commits
    assert commits >= 3
    for number in range(1, commits + 1):
        till = ready()
        till.store.fuse(number, after)
        cut_short(till, walk)
        till.run(RESOLVED_MS)
        assert till.cut, "commit %d did not come" % number
        till.again()
        assert till.differ() == [], "at commit %d: %s" % (number, till.differ())


def test_the_power_goes_while_the_card_has_its_last_word():
    """Between the bank's answer and the result on disk: what is sent counts as unknown, and is undone."""
    cuts = set()
    for number in range(1, 16):
        till = ready()
        told = []
        till.chip._on_apdu = lambda way, apdu, till=till, told=told, number=number: (
            told.append(way), till.later(0, till.plug) if len(told) == 2 * number else None,
        )  # fmt: skip
        till.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("插卡", lambda till: till.run(200)))
        till.card = "debit"
        till.insert("debit")
        try:
            till.walk(PIN, ("请撕下", None))
        except AssertionError:
            pass
        till.chip._on_apdu = lambda way, apdu: None
        if till.machine is not None:
            break
        till.again()
        assert till.differ() == [], number
        cuts.add(till.record()["phase"] if till.record() else "")
    assert cuts == {"", "reversed", "approved"}
