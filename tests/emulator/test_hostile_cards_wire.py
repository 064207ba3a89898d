"""The whole device with cards that mean harm, and with hands that put cards where none belong, when none belong.

Each time a page says how it ended, nothing is lost, and the terminal's books and the bank's agree to the fen.
"""

import json
import os
import random

import pytest

from drivers.store import SqliteStore
from emulator.browser import api
from emulator.cards.recorded import RecordedCard
from emulator.device import ON
from firmware.ledger import Ledger
from tests.books import disagreements, openings
from tests.emulator.test_bad_input_wire import device_in, log_in, noise, shows, switch_off

FCI = bytes.fromhex("6F1A840E315041592E5359532E444446303100A5088801015F2D027A689000")
APPLICATION = bytes.fromhex("6F188408A000000333010101A50C500A50424F43204445424954")


class Hostile(RecordedCard):
    """says(command) -> its answer; protocol by contacts; wtx: how often it asks for time before each answer."""

    def __init__(self, name, says, protocol="T=0", wtx=0):
        super().__init__([], name=name)
        self.says, self.protocol, self.wtx = says, protocol, wtx
        self.asked = 0

    def apdu(self, command):
        self.asked += 1
        return self.says(command)


def like_a_bank_card(command):
    """Its names are right; all that follows is one object without end."""
    if command[1] == 0xA4:
        return FCI if command[5:6] == b"1" or command[5:6] == b"2" else APPLICATION + b"\x90\x00"
    if command[1] == 0xB2:
        return bytes.fromhex("70104F") + b"\x07" + bytes.fromhex("A0000003330101") + b"\x50\x05LOUD!" + b"\x90\x00"
    return b"\x77\x81\xf0" + b"\x94\x81\xed" + b"\x08\x01\xff\x00" * 59 + b"\x08" + b"\x90\x00"


def garbage(seed):
    chance = random.Random(seed)
    return lambda command: chance.randbytes(chance.choice((2, 3, 17, 128, 250))) + chance.choice((b"", b"\x90\x00", b"\x61\x10"))


CARDS = (
    # name, what it says, protocol, time that it asks for
    ("garbage", garbage(1), "T=0", 0),
    ("garbage in blocks", garbage(2), "T=1", 0),
    ("silence", lambda command: b"", "T=1", 0),
    ("64 KB", lambda command: b"\x6f\x83\x00\xff\xf0" + bytes(0xFFF0) + b"\x90\x00", "T=1", 0),
    ("deep", lambda command: b"".join(b"\x6f\x81" + bytes((size,)) for size in range(240, 0, -3)) + b"\x90\x00", "T=1", 0),
    ("time without end", lambda command: FCI, "T=1", 1_000_000),
    ("records without end", like_a_bank_card, "T=0", 0),
    ("more to fetch", lambda command: b"\x61\xff", "T=1", 0),
)


TAP_ENDS = ("交易失败", "请取走", "请重新", "再挥", "未扣款", "请插卡", "重试", "其他卡", "未识别")
TAPPED = (CARDS[0][:2], ("half a status", lambda command: b"\x90"), CARDS[-2][:2])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with device_in(tmp_path_factory.mktemp("shop") / "device") as device:
        before = openings(device.town.ledger)
        log_in(device)
        yield device
        to_menu(device)
        switch_off(device)
        assert disagreements_of(device, before) == []
        assert device.books().approved_fen, "something was sold"


def disagreements_of(device, before):
    store = SqliteStore(None, {}, device.terminal_folder)
    try:
        town = device.town
        return disagreements(Ledger(store), store, town.ledger, town.terminal_number, town._papers["merchant.number"], before)
    finally:
        store.close()


def to_menu(device):
    for _ in range(30):
        if device.until(lambda: device.shows("1 消费"), 0.2):
            return
        device.keys("CANCEL")
    raise AssertionError("stuck:\n" + device.screen.text)


def put_away(device):
    device.pull()
    device.remove_card()
    device.until(lambda: not device.shows("请拔出") and not device.shows("请取走"), 5)
    to_menu(device)


def sale(device, fen=100):
    """An honest one: the device has lost nothing."""
    sold = len(device.books().approved_fen)
    device.keys("1 %d ENTER" % fen)
    shows(device, "请挥卡")
    device.tap("credit")
    shows(device, "请撕下")
    device.remove_card()
    device.keys("ENTER")
    shows(device, "1 消费")
    device.tear()
    assert device.books().approved_fen[sold:] == [fen]


@pytest.mark.parametrize("number", range(len(CARDS)), ids=[name for name, *_ in CARDS])
def test_a_card_that_means_harm_in_the_slot_ends_on_a_page(shop, number):
    name, says, protocol, wtx = CARDS[number]
    card = Hostile(name, says, protocol, wtx)
    sold = list(shop.books().approved_fen)
    shop.keys("1 1234 ENTER")
    shows(shop, "插卡")
    shop.insert(shop._places.bring(card))
    assert shop.until(lambda: any(map(shop.shows, ("请再插", "请刷卡", "请拔出", "交易失败", "读不出"))), 15), shop.screen.text
    put_away(shop)
    assert card.asked or wtx
    assert shop.books().approved_fen == sold and shop.power == ON


def test_a_chip_that_falls_silent_in_its_slot_is_taken_out_and_may_be_tried_again(shop):
    """Before its number is known it may lead to the stripe; afterwards, when it has shown that it works, it may not."""
    real = shop.town.shelf.card("second").chip
    for instruction, after in ((0xA8, "请刷卡"), (0xAE, "请再插")):
        card = Hostile("mute", lambda command, at=instruction: b"\x90" if command[1] == at else real.apdu(command), "T=1")
        shop.keys("1 700 ENTER")
        shows(shop, "插卡")
        for _ in range(3):
            shop.insert(shop._places.bring(card))
            assert shop.until(lambda: shop.shows("请拔出") or shop.shows("请输密码"), 15), shop.screen.text
            if shop.shows("请输密码"):
                shop.keys("PIN:second ENTER")
                shows(shop, "请拔出")
            shop.pull()
            assert shop.until(lambda: shop.shows("请再插") or shop.shows("请刷卡"), 15), shop.screen.text
            if shop.shows("请刷卡"):
                break
        shows(shop, after)
        put_away(shop)
    sale(shop)


def test_a_card_that_means_harm_on_the_reader_ends_on_a_page(shop):
    sold = list(shop.books().approved_fen)
    for name, says in TAPPED:
        shop.keys("1 1234 ENTER")
        shows(shop, "请挥卡")
        shop.tap(shop._places.bring(Hostile(name, says)))
        assert shop.until(lambda: any(map(shop.shows, TAP_ENDS)), 15), (name, shop.screen.text)
        put_away(shop)
    assert shop.books().approved_fen == sold
    sale(shop)


def test_a_stripe_that_means_harm_is_no_card(shop):
    """On the page that waits for a card, and on one that does not."""
    groove = shop.chips.stripe
    for at_page in (True, False):
        if at_page:
            shop.keys("1 1234 ENTER")
            shows(shop, "插卡")
        for data in (
            b"\x02" + b"7" * 3000, b"\x03" * 300, bytes(range(256)) * 8, (b"\x02%B;?\x03") * 300, b"\x02;=?\x03",
            b"\x02;" + b"9" * 505 + b"?\x03", b"\x02;62" + b"1" * 17 + b"=9999999?\x03", "\x02磁条\x03".encode(),
        ):  # fmt: skip
            os.write(groove.fd, data)
        if at_page:
            to_menu(shop)
    sale(shop)


def test_noise_from_the_slot_takes_no_sale_away(shop):
    noise(shop, "chip", 5)
    shop.keys("1 1234 ENTER")
    assert shop.until(lambda: shop.shows("挥卡"), 10), shop.screen.text
    noise(shop, "chip", 6)
    noise(shop, "stripe", 7)
    shop.tap("credit")
    assert shop.until(lambda: shop.shows("请撕下") or shop.shows("未扣款"), 15), shop.screen.text
    put_away(shop)
    shop.tear()


# -- the browser's hands


def ask(device, path, body):
    """(status, answer) of a POST."""
    try:
        return 200, api.post(device, path, body if isinstance(body, bytes) else json.dumps(body).encode())
    except api.Refused as refused:
        assert str(refused)
        return refused.status, str(refused)


WRONG = (
    {"insert": "nobody"}, {"swipe": "nobody"}, {"place": "nobody"}, {"remove": "nobody"}, {"insert": ""}, {"insert": None},
    {"insert": ["debit"]}, {"insert": {"debit": 1}}, {"insert": "../debit"}, {"insert": "x" * 1001}, {"insert": "\x00"},
    {"insert": "debit", "swipe": "debit"}, {"pull": False}, {"pull": 1}, {"pull": "debit"}, {"swipe": "phone"},
    {"insert": "not-a-bank-card\n"}, {"insert": "\ud800"}, {}, {"tap": "debit"}, b"[]", b"\xff", b"", b"[" * 4000,
)  # fmt: skip


def wrong_asked(device):
    for body in WRONG:
        status, why = ask(device, "/api/card", body)
        assert status in (400, 409) and len(why) < 5000, (body, why)
        why.encode()


def test_hands_at_odd_times_are_told_no_or_do_what_they_can(shop):
    put_away(shop)
    wrong_asked(shop)  # at the menu
    assert ask(shop, "/api/card", {"pull": True})[0] == 200, "an empty slot stays empty"
    assert ask(shop, "/api/card", {"insert": "debit"})[0] == 200
    assert ask(shop, "/api/card", {"insert": "debit"})[0] == 409
    assert ask(shop, "/api/card", {"place": "debit"})[0] == 200 and shop.in_slot == "", "it was in the hand in between"
    assert ask(shop, "/api/card", {"place": "debit"})[0] == 409
    assert ask(shop, "/api/card", {"swipe": "debit"})[0] == 200 and shop.on_reader == []
    sale(shop, 200)


def test_hands_while_a_pin_is_typed_take_no_money(shop):
    for number, disturb in enumerate((({"swipe": "debit"},), ({"pull": True}, {"insert": "second"}))):
        sold = list(shop.books().approved_fen)
        shop.keys("1 3000 ENTER")
        shows(shop, "插卡")
        shop.insert("debit")
        shows(shop, "请输密码")
        shop.keys("12")
        wrong_asked(shop)
        assert ask(shop, "/api/card", {"insert": "credit"})[0] == 409, "the slot is taken"
        assert ask(shop, "/api/card", {"swipe": "stripe"})[0] == 200
        for body in disturb:
            assert ask(shop, "/api/card", body)[0] == 200
        shop.keys("CLEAR PIN:debit ENTER")
        assert shop.until(lambda: not shop.shows("请输密码"), 15), shop.screen.text
        put_away(shop)
        assert shop.books().approved_fen == sold, number


def test_hands_while_it_prints_lose_no_paper_and_no_money(shop):
    sold = len(shop.books().approved_fen)
    shop.fault("paper-out", True)
    shop.keys("1 400 ENTER")
    shows(shop, "请挥卡")
    shop.tap("credit")
    shows(shop, "打印机缺纸")
    wrong_asked(shop)
    for body in (
        {"insert": "debit"},
        {"swipe": "stripe"},
        {"swipe": "stripe"},
        {"place": "second"},
        {"pull": True},
        {"remove": True},
    ):
        assert ask(shop, "/api/card", body)[0] == 200, body
    shop.fault("paper-out", False)
    shop.keys("ENTER")
    assert shop.wait_paper("金额:RMB4.00", 15), shop.paper_text
    shows(shop, "请撕下")
    to_menu(shop)
    assert shop.books().approved_fen[sold:] == [400]
    shop.tear()


def test_hands_while_it_is_off_and_while_it_starts(shop):
    switch_off(shop)
    wrong_asked(shop)
    for body in ({"insert": "debit"}, {"swipe": "stripe"}, {"place": "credit"}):
        assert ask(shop, "/api/card", body)[0] == 200
    assert ask(shop, "/api/keys", {"keys": "1 2 ENTER"})[0] == 200
    for word in ("on", "on"):
        assert ask(shop, "/api/power", {"do": word})[0] == 200
    for body in ({"swipe": "stripe"}, {"pull": True}, {"insert": "second"}, {"pull": True}, {"remove": True}):
        assert ask(shop, "/api/card", body)[0] == 200
    shows(shop, "操作员号")
    shop.keys("01 ENTER 0000 ENTER")
    shows(shop, "1 消费")
    sale(shop, 500)


def test_a_card_that_is_in_the_slot_from_the_start_sells_nothing_by_itself(shop):
    sold = list(shop.books().approved_fen)
    shop.insert("debit")
    shop.keys("1 600 ENTER")
    assert shop.until(lambda: shop.shows("请输密码") or shop.shows("请拔出") or shop.shows("插卡"), 10), shop.screen.text
    put_away(shop)
    assert shop.books().approved_fen == sold


def test_a_folder_that_is_none_is_said_on_the_panel(tmp_path):
    with device_in(tmp_path / "device") as device:
        device.terminal_folder.rename(tmp_path / "away")
        device.terminal_folder.write_text("this is a file")
        device.power_on()
        shows(device, "账本打不开", "技术人员")
        device.keys("1 ENTER CANCEL")
        switch_off(device)
