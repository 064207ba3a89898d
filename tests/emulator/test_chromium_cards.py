"""Every way of paying with the cards of the shelf, in a real Chromium, by mouse: what the screen and the slip say."""

import re
from typing import NamedTuple

import pytest

from emulator.browser.server import Server
from emulator.device import Device
from firmware import VERSION
from tests import webdriver

if not webdriver.available():
    pytest.skip("chromium and chromium-driver are not installed: the page is not tried", allow_module_level=True)

SCREEN = "return document.querySelector('#screen').getAttribute('aria-label').replaceAll(' ', '').includes(arguments[0])"
BOTH_COPIES = (
    "const text = document.querySelector('#paper').hidden ? '' : document.querySelector('#paper-picture').alt;"
    "return text.includes('持卡人存根') && text.trimEnd().endsWith(arguments[0]) ? text : null"
)
CHIP_LINES = (
    r"ARQC:[0-9A-F]{16}", r"TVR:[0-9A-F]{10}", r"AID:A0000003330101\d\d CSN:01", r"APP LABEL:\S", r"IAD:[0-9A-F]+",
    r"TSI:[0-9A-F]{4} ATC:[0-9A-F]{4} AIP:[0-9A-F]{4}", r"UNPR NO:[0-9A-F]{8} TermCap:[0-9A-F]{6}", r"CVMR:[0-9A-F]{6}",
)  # fmt: skip


class Person:
    """Mouse and eyes in front of the page."""

    def __init__(self, browser, device):
        self.browser, self.device = browser, device
        self.group = ""

    def sees(self, words, seconds=15):
        self.browser.until(SCREEN, words.replace(" ", ""), seconds=seconds)

    def keys(self, *tokens):
        for token in tokens:
            self.browser.click(f'#keypad [data-token="{token}"]')

    def sell(self):
        """From the menu to the card."""
        self.sees("1消费")
        self.browser.press("1", "1", "2", "3", "4", "Enter")
        self.sees("卡")
        self.sees("12.34")

    def choose(self, name):
        """Opens the card's group, as far as it is closed, and the card."""
        row = f'.row[data-card="{name}"]'
        opened = self.browser.run("return document.querySelector(arguments[0]).checkVisibility()", row)
        if not opened:
            groups = self.browser.run(
                "const group = document.querySelector(arguments[0]).closest('details');"
                "return [...group.parentElement.children].indexOf(group) + 1",
                row,
            )
            self.browser.click(f"#cards > details:nth-of-type({groups}) > summary")
        if self.browser.run("return document.querySelector(arguments[0]).getAttribute('aria-expanded')", row) == "false":
            self.browser.click(row)

    def act(self, act, name):
        """The button of the chosen card; a card that is there is taken back by the same button."""
        self.choose(name)
        self.browser.click(f'.card:has([data-card="{name}"]) [data-act="{act}"]')

    def pin(self, name):
        self.sees("密码:")
        self.choose(name)
        self.browser.click(f'.card:has([data-card="{name}"]) .holder')
        self.keys("ENTER")

    def take(self):
        """The slip of a sale that went through, both copies printed and torn off: its text."""
        self.sees("打印下一联")
        self.keys("ENTER")
        text = self.browser.until(BOTH_COPIES, VERSION, seconds=15)
        self.sees("1消费")
        self.browser.click("#paper")
        self.browser.until("return document.querySelector('#paper').hidden")
        return text

    def is_told(self, *words):
        """A page that says no, and that no money was taken; back to the menu."""
        for word in words:
            self.sees(word)
        self.keys("CANCEL")

    def put_back(self):
        self.device.remove_card()
        self.device.pull()


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    with Device(tmp_path_factory.mktemp("device"), fast=True) as device, webdriver.Browser() as browser:
        server = Server(device)
        server.start()
        try:
            browser.open(server.address)
            browser.until("return document.querySelectorAll('#cards .row').length > 25")
            browser.click("#power")
            person = Person(browser, device)
            person.sees("操作员号", 20)
            person.keys("0", "1", "ENTER")
            person.sees("操作员密码")
            person.keys("0", "0", "0", "0", "ENTER")
            yield person
            assert browser.complaints() == []
        finally:
            server.close()


class Sale(NamedTuple):
    """name, way: as the page says; pin: whether it is typed; letter: of the entry; lines: what else the slip says."""

    name: str
    way: str
    pin: bool
    letter: str
    lines: tuple[str, ...]


SALES = (
    Sale("debit", "tap", False, "C", ("AID:A000000333010101", "免密免签")),
    Sale("debit", "insert", True, "I", ("CVMR:420300", "TSI:F800", "已验证密码")),
    Sale("credit", "tap", False, "C", ("AID:A000000333010102", "免密免签")),
    Sale("credit", "insert", True, "I", ("CVMR:420300", "TSI:F800", "APP LABEL:PBOC CREDIT")),
    Sale("phone", "tap", False, "C", ("CVMR:010002", "已在持卡人设备上验证", "APP LABEL:UnionPay Pay")),
    Sale("offline-pin", "insert", True, "I", ("CVMR:410302", "已验证密码")),
    Sale("visa", "tap", False, "C", ()),
    Sale("stripe", "swipe", True, "S", ("已验证密码", "持卡人签名")),
)


@pytest.mark.parametrize("sale", SALES, ids=[f"{sale.name}-{sale.way}" for sale in SALES])
def test_a_card_pays_and_the_slip_says_how(person, sale):
    person.sell()
    person.act(sale.way, sale.name)
    if sale.pin:
        person.pin(sale.name)
    if sale.way == "insert":
        person.sees("请拔出卡片")
        person.act("insert", sale.name)
    slip = person.take()
    person.put_back()
    card = person.device.town.shelf.card(sale.name)
    assert f"{card.pan[:6]}{'*' * (len(card.pan) - 10)}{card.pan[-4:]} /{sale.letter}" in slip
    assert card.pan not in slip
    for line in sale.lines:
        assert line in slip
    if sale.name not in ("stripe", "visa"):
        for line in CHIP_LINES:
            assert re.search(line, slip), line


@pytest.mark.parametrize("name", ["debit", "credit", "expired", "blocked-card"])
def test_a_swiped_chip_card_is_sent_to_the_slot(person, name):
    person.sell()
    person.act("swipe", name)
    person.is_told("芯片卡请插卡")
    person.is_told("未扣款")


def test_a_dead_chip_is_tried_twice_and_then_swiped(person):
    person.sell()
    person.act("insert", "chip-dead")
    person.sees("芯片读不出请再插")
    person.act("insert", "chip-dead")
    person.act("insert", "chip-dead")
    person.sees("芯片读不出")
    person.sees("请刷卡")
    person.act("insert", "chip-dead")
    person.act("swipe", "chip-dead")
    person.pin("chip-dead")
    slip = person.take()
    assert " /S" in slip and "持卡人签名" in slip and "ARQC" not in slip


def test_an_expired_card_is_refused_by_the_bank_in_the_slot_and_by_the_terminal_on_the_reader(person):
    person.sell()
    person.act("insert", "expired")
    person.pin("expired")
    person.sees("请拔出卡片")
    person.act("insert", "expired")
    person.is_told("54", "此卡已过期", "未扣款")
    person.sell()
    person.act("tap", "expired")
    person.sees("请取走卡片")
    person.act("tap", "expired")
    person.is_told("卡片已过期", "未扣款")


def test_a_blocked_card_is_refused_by_its_name_in_the_slot(person):
    for name in ("blocked-card", "blocked-application"):
        person.sell()
        person.act("insert", name)
        person.sees("请拔出卡片")
        person.act("insert", name)
        person.is_told("已被锁定", "未扣款")


def test_a_blocked_card_is_refused_on_the_reader(person):
    person.sell()
    person.act("tap", "blocked-card")
    person.sees("请取走卡片")
    person.act("tap", "blocked-card")
    person.is_told("交易未完成", "不是可受理的银行卡", "未扣款")


def test_neither_the_log_nor_the_state_holds_a_number_a_pin_or_a_track(person):
    told = "\n".join(entry.text for entry in person.device.log)
    state = str(person.device.state())
    assert "VERIFY plaintext PIN" in told and "swiped, " in told
    for name in {sale.name for sale in SALES} | {"chip-dead", "expired", "blocked-card"}:
        card = person.device.town.shelf.card(name)
        for text in (told, state):
            assert card.pan not in text
            assert card.pin not in re.findall(r"\d+", text)
            assert "2" + card.pin + "F" not in text
    assert person.device.books().approved_fen == [1234] * (len(SALES) + 1)  # and the dead chip
