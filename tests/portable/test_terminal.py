"""The whole terminal, from power on to the slip, under CPython and MicroPython alike."""

import json
from binascii import unhexlify

from firmware import events
from firmware.emv import tlv
from firmware.events import Event
from tests.portable.plain_card import NUMBER, PlainCard, hexes
from tests.portable.plain_chip import ARQC, ASKED, PlainChip
from tests.portable.plain_keys import authority_row
from tests.portable.plain_ports import Shop

SWIPED = "6212345678901232=3012%s0000000000?"


def open_shop(language="en"):
    shop = Shop(language)
    shop.power_on()
    shop.log_in()
    return shop


def sell(shop, amount="1234", pin=""):
    """A sale up to the menu, both copies printed."""
    shop.choose(1)
    shop.type(amount + " ENTER")
    shop.tap()
    if pin:
        shop.until("EnterPin")
        shop.run(100)
        shop.type(pin + " ENTER")
    shop.until(("PrintSlip", "Declined", "Reversed", "Unresolved", "NotSent"))
    if shop.state != "PrintSlip":
        return shop.state
    shop.until("NextCopy")
    shop.type("ENTER")
    shop.until("Menu")
    return "Approved"


def take_slip(shop):
    """Both copies, up to the menu."""
    shop.until("NextCopy")
    shop.type("ENTER")
    shop.until("Menu")


def sell_by_chip(shop, chip, pin="", amount="1234"):
    """A sale up to the wish to take the card out; then it is pulled."""
    shop.choose(1)
    shop.type(amount + " ENTER")
    shop.insert(chip)
    if pin:
        shop.until("ChipPin")
        shop.run(100)
        shop.type(pin + " ENTER")
    shop.until("TakeCard")
    shop.slot.pull()


def standing(shop):
    """{trace: fen} of the sales that stand in the terminal's books."""
    rows = [record for record in shop.terminal.ledger.newest(100) if record["kind"] == "sale"]
    return {record["trace"]: record["fen"] for record in rows if record["phase"] == "approved" and not record.get("void")}


def test_the_first_pages_in_both_languages():
    for language, word in (("en", "Operator"), ("zh", "操作员")):
        shop = Shop(language)
        shop.power_on()
        assert shop.state == "SelfTest"
        shop.until("Login")
        assert word in shop.text, shop.text
        shop.log_in()
        assert shop.terminal.signed_on() and shop.terminal.ledger.batch == "000007"


def test_a_device_that_knows_no_cards_says_what_to_load():
    for gone, page in (("emv.aids", "tools cards"), ("emv.terminal", "tools cards"), ("host.port", "tools provision")):
        shop = Shop()
        shop.store.commit([("parameters", name, None, None) for name in (gone, "emv.aids")])
        shop.power_on()
        shop.until("Unprovisioned")
        assert page in shop.text, shop.text
        assert [line for line in shop.log.lines if gone in line]


def test_test_keys_prove_nothing_to_a_device_that_takes_real_money():
    for mode, kind, used in (("production", "test", 0), ("production", "live", 1), ("test", "test", 1), ("test", "live", 1)):
        shop = Shop()
        shop.board["mode"] = mode
        shop.vault.approved = True
        shop.store.commit([("parameters", "emv.keys", json.dumps([authority_row(kind=kind)]).encode(), None)])
        shop.power_on()
        shop.log_in()
        assert len(shop.terminal.emv_settings().authority.all()) == used
        assert bool([line for line in shop.log.lines if "not used in production" in line]) == (not used)


def test_a_sale_is_booked_and_printed_in_two_copies():
    for language in ("en", "zh"):
        shop = open_shop(language)
        assert sell(shop) == "Approved"
        paper = "\n".join(shop.printer.paper)
        assert paper.count("12.34") >= 2 and "620000*********0123" in paper and NUMBER not in paper
        assert standing(shop) == shop.host.books and list(shop.host.books.values()) == [1234]
        assert shop.terminal.ledger.totals() == {"sale": [1, 1234]}


def test_a_pin_is_asked_for_above_the_limit_only():
    shop = open_shop()
    assert sell(shop, "100000") == "Approved"
    assert sell(shop, "100001", "135246") == "Approved"
    assert [record["pin"] for record in shop.terminal.ledger.newest(2)] == [True, False]


def test_a_chip_that_signs_is_proven_asked_for_online_and_told_what_the_issuer_says():
    shop = open_shop()
    shop.host.issuer = tlv.encode([(0x91, hexes("B9814EF5DE5213D43030")), (0x72, hexes("8604 84240000"))])
    chip = PlainChip("cda", (ARQC, ASKED))
    sell_by_chip(shop, chip)
    take_slip(shop)
    assert standing(shop) == shop.host.books and list(shop.host.books.values()) == [1234]
    told = dict(tlv.decode(shop.host.sale[55]))
    assert (told[0x95], told[0x9F27], told[0x9F34]) == (hexes("0000008000"), b"\x80", hexes("5F0302"))
    assert len(chip.commands(0xAE)) == 2 and chip.commands(0x82) and chip.commands(0x84) == []
    assert chip.commands(0x24), "the issuer's script"


def test_a_chip_whose_signature_is_wrong_takes_no_money():
    shop = open_shop()
    chip = PlainChip("cda", (ARQC, ASKED))
    chip.signs = False
    sell_by_chip(shop, chip)
    shop.until(("CardTrouble", "Declined"))
    assert shop.host.books == {} and standing(shop) == {}


def test_the_holder_of_a_chip_types_the_pin_for_the_card_itself():
    shop = open_shop()
    chip = PlainChip("dda")
    chip.change(0x8E, hexes("0000000000000000 0100 1F00"))
    sell_by_chip(shop, chip, "135246")
    take_slip(shop)
    assert chip.commands(0x20) == [hexes("0020008008 26135246FFFFFFFF")]
    assert dict(tlv.decode(shop.host.sale[55]))[0x9F34] == hexes("010002")
    assert "135246" not in "".join(shop.log.lines + shop.printer.paper)


def test_a_chip_that_is_pulled_before_it_has_answered_takes_no_money():
    whole = PlainChip("dda")
    shop = open_shop()
    sell_by_chip(shop, whole)
    take_slip(shop)
    sold = standing(shop)
    last = whole.log.index(whole.commands(0xAE)[0])
    for number in range(last + 1):
        chip = PlainChip("dda")
        chip.instead[number] = None
        shop.choose(1)
        shop.type("1234 ENTER")
        shop.insert(chip)
        shop.until(("ReadChip", "CardTrouble"))
        shop.until(("PresentCard", "CardTrouble"))
        shop.type("CANCEL ENTER")
        shop.until("Menu")
        assert standing(shop) == shop.host.books == sold, number


def test_a_stripe_is_sold_online_and_a_chip_card_has_to_be_inserted():
    shop = open_shop()
    shop.choose(1)
    shop.type("1234 ENTER")
    shop.swipe((";" + SWIPED % "201").encode())
    shop.run(100)
    assert shop.state == "PresentCard" and "insert" in shop.text.lower(), shop.text
    shop.swipe((";" + SWIPED % "101").encode())
    shop.until(("EnterPin", "PrintSlip"))
    if shop.state == "EnterPin":
        shop.run(100)
        shop.type("135246 ENTER")
    take_slip(shop)
    assert standing(shop) == shop.host.books and list(shop.host.books.values()) == [1234]
    assert shop.host.sale[22][:2] == "02" and shop.host.sale[35].startswith("6212345678901232") and 55 not in shop.host.sale


def test_a_chip_that_does_not_answer_may_be_swiped():
    shop = open_shop()
    shop.choose(1)
    shop.type("1234 ENTER")
    for _ in range(2):
        dead = PlainChip()
        dead.instead[0] = dead.instead[1] = b"\x6f\x00"
        dead.directory = False
        dead.names = {}
        shop.insert(dead)
        shop.run(3000)
        shop.slot.pull()
        shop.run(100)
    shop.swipe((";" + SWIPED % "201").encode())
    shop.until(("EnterPin", "PrintSlip"))
    if shop.state == "EnterPin":
        shop.run(100)
        shop.type("135246 ENTER")
    take_slip(shop)
    assert list(shop.host.books.values()) == [1234] and 55 not in shop.host.sale


def test_a_wrong_password_counts_down_and_survives_a_restart():
    shop = Shop()
    shop.power_on()
    for _ in range(2):
        shop.until("Login")
        shop.type("01 ENTER 1111 ENTER")
        shop.until("Notice")
        shop.plug()
        shop.power_on()
    assert shop.terminal.operators._rows["01"]["wrong"] == 2


def test_a_decline_and_an_unreadable_card_take_no_money():
    shop = open_shop()
    shop.host.decline = "51"
    assert sell(shop) == "Declined"
    shop.type("ENTER")
    card = PlainCard()
    card.instead[1] = b"\x6f\x85\x90\x00"
    shop.choose(1)
    shop.type("500 ENTER")
    shop.tap(card)
    shop.until("CardTrouble")
    shop.type("CANCEL")
    shop.until("Menu")
    assert standing(shop) == shop.host.books == {}


def test_the_slip_starts_again_after_the_paper_was_loaded():
    shop = open_shop()
    shop.choose(1)
    shop.type("1234 ENTER")
    shop.printer.out = True
    shop.tap()
    shop.until("PrinterTrouble")
    shop.printer.out = False
    shop.type("ENTER")
    shop.until("NextCopy")
    shop.type("ENTER")
    shop.until("Menu")
    assert "\n".join(shop.printer.paper).count("12.34") >= 2


def test_a_void_takes_the_sale_back():
    shop = open_shop()
    sell(shop)
    shop.choose(2)
    shop.until("AskSupervisor")
    shop.type("123456 ENTER")
    shop.until("FindOriginal")
    shop.type("ENTER")
    shop.until("PickOriginal")
    shop.type("1")
    shop.until("ConfirmOriginal")
    shop.type("ENTER")
    shop.tap()
    shop.until("NextCopy")
    shop.type("ENTER")
    shop.until("Menu")
    assert standing(shop) == shop.host.books == {}
    assert "-12.34" in "\n".join(shop.printer.paper)


def test_a_lost_answer_is_reversed_at_once():
    shop = open_shop()
    shop.link.lose = 1
    assert sell(shop) == "Reversed"
    assert shop.host.books == {} and not shop.terminal.ledger.to_reverse()


def test_an_unresolved_sale_blocks_and_is_reversed_after_a_restart():
    shop = open_shop()
    shop.link.lose = 4
    assert sell(shop) == "Unresolved"
    shop.type("ENTER")
    shop.until("Menu")
    shop.choose(1)
    shop.until("Blocked")
    shop.plug()
    shop.power_on()
    shop.until("LastSale")
    shop.run(20000)
    shop.log_in()
    assert not shop.terminal.ledger.to_reverse() and shop.host.books == {}
    assert sell(shop) == "Approved"


def test_a_power_cut_after_sending_is_resolved_at_the_next_start():
    shop = open_shop()
    shop.choose(1)
    shop.type("1234 ENTER")
    shop.tap()
    seen = len(shop.host.seen)
    while len(shop.host.seen) == seen:
        shop.step()
    assert list(shop.host.books.values()) == [1234]
    shop.plug()
    shop.power_on()
    shop.run(30000)
    assert shop.host.books == {} and not shop.terminal.ledger.to_reverse()
    assert shop.terminal.ledger.last()["phase"] == "reversed"


def test_a_full_store_stops_a_sale_before_it_is_sent():
    shop = open_shop()
    shop.store.full = True
    assert sell(shop) == "NotSent"
    shop.store.full = False
    assert shop.host.books == {} and standing(shop) == {}


def test_a_stored_parameter_that_is_none_is_not_used():
    shop = Shop()
    for name, value in (("slip.copies", b"\xff{"), ("pin.free_fen", json.dumps("x").encode())):
        shop.store.commit([("parameters", name, value, None)])
    shop.power_on()
    assert shop.terminal.parameter.bad == ["pin.free_fen", "slip.copies"] and shop.terminal.parameter("slip.copies") == 2


def test_noise_of_the_host_is_no_answer():
    shop = open_shop()
    answer = shop.host.answer
    for noise in (b"", b"\xff" * 40, bytes(40), unhexlify("0004") + bytes(4), bytes(range(256))):
        shop.host.answer = lambda packet, noise=noise: noise
        assert sell(shop) == "Unresolved"
        shop.host.answer = answer
        shop.type("ENTER")
        shop.choose(1)
        shop.until("Blocked")
        shop.type("ENTER")
        shop.until("EnterAmount")
        assert not shop.terminal.ledger.to_reverse() and not standing(shop)
        shop.type("CANCEL")
        shop.until("Cancelled")
        shop.type("ENTER")
    assert sell(shop) == "Approved"


def test_tamper_destroys_the_keys_and_stop_ends_in_good_order():
    shop = open_shop()
    shop.machine.handle(Event(events.TAMPER, 0, None))
    assert shop.vault.state == "wiped" and shop.state == "Tampered"
    shop.machine.handle(Event(events.STOP, 0, None))
    assert shop.machine.stopped


def test_what_is_in_the_menus_opens():
    shop = open_shop()
    sell(shop)
    for keys, state in (
        ("4 1", "Transactions"),
        ("4 1 1", "TransactionPage"),
        ("4 2 2 ENTER", "TransactionPage"),
        ("4 3", "Totals"),
        ("5 1", "PrintSlip"),
        ("6 6 1", "Doctor"),
        ("6 6 2", "Network"),
        ("6 6 3", "Working"),
        ("6 7", "SelfTestPage"),
        ("6 8 7", "ToDo"),
        ("6 8 8", "ChangeLog"),
        ("6 8 9", "Fees"),
        ("6 9", "AskSettle"),
        ("6 3", "Locked"),
    ):
        shop.until("Menu")
        shop.type(keys)
        assert shop.state == state, (keys, shop.state)
        shop.run(2000)
        for _ in range(4):
            if shop.state != "Locked":
                shop.type("CANCEL")
        shop.run(10000)
    shop.type("ENTER 0000 ENTER")
    shop.until("Menu")
    shop.type("6 4 0000 ENTER 2468 ENTER 2468 ENTER")
    shop.until("Menu")
    assert shop.vault.passwords["01"] == "2468"


def test_the_supervisor_keeps_the_operators_and_99_the_language():
    shop = open_shop()
    for operator, password, keys, state in (
        ("00", "123456", "1 1 07 ENTER", "Notice"),
        ("00", "123456", "1 4", "OperatorList"),
        ("00", "123456", "1 2 07 ENTER", "Notice"),
        ("99", "12345678", "2", "Device"),
        ("99", "12345678", "3", "Notice"),
    ):
        shop.until("Menu")
        shop.type("CANCEL 4 5" if shop.terminal.operator in ("00", "99") else "6 5")
        shop.until("Login")
        shop.type("%s ENTER %s ENTER" % (operator, password))
        shop.until("Menu")
        shop.type(keys)
        assert shop.state == state, (keys, shop.state, shop.text)
        shop.until("Menu")
    assert shop.terminal.parameter("language") == "zh" and shop.terminal.operators.numbers() == ["00", "01", "99"]
