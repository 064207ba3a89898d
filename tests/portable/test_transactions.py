"""What a terminal does besides sales, from the menu to the slip, under CPython and MicroPython alike."""

from firmware.host import parameter_block
from firmware.iso8583 import batch
from tests.portable.plain_chip import ARQC, ASKED, PlainChip
from tests.portable.plain_ports import CODE, Shop
from tests.portable.test_terminal import SWIPED, open_shop, sell, sell_by_chip, take_slip


def shop_with(*values):
    """A shop, open, whose parameters are these."""
    shop = Shop()
    for name, value in values:
        shop.board["parameters"][name] = value
    shop.power_on()
    shop.log_in()
    return shop


def supervised(shop):
    shop.until("AskSupervisor")
    shop.type("123456 ENTER")


def refund(shop, reference, amount):
    """Up to what came of it."""
    shop.choose(7)
    supervised(shop)
    shop.until("TypeReference")
    shop.type(reference + " ENTER")
    shop.until("ConfirmOriginal")
    shop.type("ENTER " + amount + " ENTER")
    shop.tap()
    shop.until(("NextCopy", "Repeating", "Declined"))
    return shop.state


def booked(shop):
    """{trace: fen} of what stands in the terminal's books, as the host has it."""
    rows = [one for one in shop.terminal.ledger.newest(100) if one["phase"] == "approved" and not one.get("void")]
    return {one["trace"]: -one["fen"] if one["kind"] == "refund" else one["fen"] for one in rows if one["kind"] != "preauth"}


def test_a_refund_whose_answer_is_lost_is_repeated_until_it_is_known():
    shop = open_shop()
    assert sell(shop, "10000") == "Approved"
    shop.link.lose = 4
    assert refund(shop, shop.terminal.ledger.last()["reference"], "3000") == "Repeating"
    assert len(shop.terminal.ledger.to_repeat()) == 1
    shop.type("ENTER")
    shop.until("Menu")
    shop.run(600000)
    assert not shop.terminal.ledger.to_repeat() and "0400" not in shop.host.seen
    assert booked(shop) == shop.host.books and sorted(shop.host.books.values()) == [-3000, 10000]


def test_a_pre_authorisation_holds_and_its_completion_takes():
    shop = open_shop()
    shop.choose(8)
    shop.type("1 10000 ENTER")
    shop.tap()
    take_slip(shop)
    assert shop.host.held == 10000 and shop.host.books == {}
    shop.choose(8)
    shop.type("2")
    shop.until("TypeCode")
    shop.type(CODE + " ENTER")
    shop.until("ConfirmOriginal")
    shop.type("ENTER")
    shop.until("EnterAmount")
    shop.type("8000 ENTER")
    shop.tap()
    shop.until("EnterPin")
    shop.run(100)
    shop.type("135246 ENTER")
    take_slip(shop)
    assert shop.host.held == 0 and booked(shop) == shop.host.books and list(shop.host.books.values()) == [8000]


def test_an_unbalanced_batch_is_uploaded_closed_and_printed():
    shop = shop_with(("stripe.pin", False))
    for _ in range(2):
        shop.choose(1)
        shop.type("500 ENTER")
        shop.swipe((";" + SWIPED % "101").encode())
        take_slip(shop)
    sell_by_chip(shop, PlainChip("cda", (ARQC, ASKED)))
    take_slip(shop)
    shop.host.flag = batch.UNBALANCED
    settle(shop)
    assert [code for code, _ in shop.host.uploads] == ["201", "205", "202"]
    assert [item.fen for item in batch.read_items(shop.host.uploads[0][1][48])] == [500, 500]
    assert shop.terminal.ledger.batch == "000008" and "22.34" in "\n".join(shop.printer.paper)
    assert sell(shop) == "Approved"


def settle(shop):
    """The batch is closed, and back to the menu without the lists."""
    shop.choose(6)
    shop.type("9")
    shop.until("AskSettle")
    shop.type("ENTER")
    shop.until("SettleDone")
    shop.type("ENTER")
    for _ in range(4):
        shop.until(("AskPrint", "Menu"))
        shop.type("CANCEL")
        shop.run(2000)
    shop.until("Menu")


def test_a_settlement_that_the_power_cut_goes_on_where_it_was():
    shop = open_shop()
    for _ in range(3):
        sell(shop)
    shop.choose(6)
    shop.type("9")
    shop.until("AskSettle")
    shop.type("ENTER")
    while not shop.host.uploads:
        shop.step()
    shop.plug()
    shop.power_on()
    shop.until("SettleDone")
    assert [code for code, _ in shop.host.uploads][-3:] == ["203", "203", "207"]
    assert shop.terminal.ledger.batch == "000008" and shop.host.seen.count("0500") == 1


def test_parameters_come_from_the_host_and_nonsense_changes_nothing():
    shop = open_shop()
    rows = [("12", 45000), ("23", 4)]
    shop.host.gives["360"] = parameter_block.block(rows, parameter_block.LAYOUT, shop.ports["text"])
    for garbage in (b"", b"2", b"9", b"1\xff\xff\xff"):
        whole, shop.host.gives["360"] = shop.host.gives["360"], garbage
        download(shop, "1")
        assert shop.terminal.parameter("host.reply_ms") == 30000
        shop.host.gives["360"] = whole
    download(shop, "1")
    assert shop.terminal.parameter("host.reply_ms") == 45000 and shop.terminal.parameter("reversal.tries") == 4


def download(shop, row):
    """One of the menu of downloads, and back to the menu."""
    shop.choose(6)
    shop.type("8 " + row)
    shop.until("Notice")
    shop.type("ENTER")
    shop.until("Menu")


def test_the_doctor_walks_to_the_host_and_says_where_it_stops():
    for down, words in ((False, "All is well"), (True, "Report N309")):
        shop = open_shop()
        shop.link.down = down
        shop.choose(6)
        shop.type("6 1")
        shop.until("Diagnosis")
        assert words in shop.text
        shop.type("ENTER")
        shop.until("Menu")
        assert "NETWORK REPORT" in "\n".join(shop.printer.paper)
