"""The page in a real Chromium without a window: what a person with mouse, keyboard or phone can do and see."""

import pytest

from emulator.browser.server import Server
from emulator.device import Device
from tests import webdriver
from tests.emulator.bench import on, toy_device

if not webdriver.available():
    pytest.skip("chromium and chromium-driver are not installed: the page is not tried", allow_module_level=True)

LIT = "let n = 0; const p = document.querySelector('#screen').getContext('2d').getImageData(0, 0, 128, 64).data;"
LIT += " for (let i = 0; i < p.length; i += 4) n += p[i + 2] > 128; return n;"
SCREEN = "return document.querySelector('#screen').getAttribute('aria-label')"


@pytest.fixture(scope="module")
def browser():
    with webdriver.Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with toy_device(tmp_path_factory.mktemp("toy")) as device:
        server = Server(device)
        server.start()
        yield server
        server.close()


@pytest.fixture
def page(browser, served):
    """The page of the toy terminal, ready."""
    device = served.device
    device.plug()
    device.remove_card()
    device.tear()
    on(device)
    browser.open(served.address)
    shows(browser, "ready")
    shelved(browser)
    yield browser
    assert browser.complaints() == []


@pytest.fixture
def device(served):
    return served.device


def shows(browser, text, seconds=10):
    return browser.until(SCREEN + ".includes(arguments[0])", text, seconds=seconds)


def shelved(browser):
    browser.until("return document.querySelectorAll('#cards .row').length > 25")


def key(token):
    return f'#keypad [data-token="{token}"]'


def card(name):
    return f'[data-card="{name}"]'


def test_a_person_logs_in_sells_and_tears_off_the_slip(browser, tmp_path):
    with Device(tmp_path, fast=True) as device:
        server = Server(device)
        server.start()
        try:
            browser.open(server.address)
            browser.until("return document.querySelector('#link').classList.contains('off')")
            assert browser.run(LIT) == 0
            browser.click("#power")
            shows(browser, "操作员号", 20)
            for token in ("0", "1", "ENTER"):
                browser.click(key(token))
            shows(browser, "操作员密码")
            browser.press("0", "0", "0", "0", "Enter")
            shows(browser, "1 消费")
            browser.press("1")
            shows(browser, "请输入金额")
            browser.press("1", "2", "3", "4", "Enter")
            shows(browser, "请挥卡")
            shows(browser, "12.34")
            assert browser.run(LIT) > 300
            shelved(browser)
            browser.drag(card("debit"), "#reader")
            shows(browser, "打印下一联", 20)
            browser.click("#landed " + card("debit"))
            browser.press("Enter")
            browser.until("return document.querySelector('#paper-picture').alt.includes('持卡人存根')", seconds=30)
            assert "金额:RMB 12.34" in browser.run("return document.querySelector('#paper-picture').alt")
            assert browser.run("return document.querySelector('#paper-picture').naturalHeight") > 500
            assert device.books().approved_fen == [1234]
            browser.click("#tab-host")
            assert "12.34" in browser.text("#books")
            browser.click("#paper")
            browser.until("return document.querySelector('#paper').hidden")
            browser.click("#tab-slips")
            browser.until("const slip = document.querySelector('#slips img'); return slip && slip.naturalHeight > 500")
            browser.click("#tab-log")
            log = browser.run("return document.querySelector('#log').textContent")
            assert "0200" in log and "GET PROCESSING OPTIONS" in log
            assert device.town.shelf.card("debit").pan not in log
            assert browser.complaints() == []
            browser.open("about:blank")
        finally:
            server.close()


def test_the_canvas_has_the_pixels_of_the_panel(page, device):
    lit = sum(row.count("#") for row in _rows(device))
    assert lit > 100
    assert page.run(LIT) == lit


def _rows(device):
    from emulator import blocks

    return blocks.rows_of(device.screen.image)


def test_keys_work_by_mouse_and_by_keyboard(page, device):
    page.click(key("7"))
    page.press("8", "*", "Backspace")
    shows(page, "7800BACK")
    page.press("Delete", "ArrowDown", "Enter")
    assert device.wait_paper("typed 7800BACKCLEARDOWN")


def test_fast_typing_arrives_whole_and_in_order(page, device):
    page.press(*"31415926535897932384")
    page.press("Enter")
    assert device.wait_paper("typed 31415926535897932384", 10)


def test_what_is_typed_into_a_field_is_not_typed_on_the_keypad(page, device):
    page.write("#filter", "123")
    page.run("document.querySelector('#filter').value = ''; document.querySelector('#filter').blur()")
    page.press("9", "Enter")
    assert device.wait_paper("typed 9")


def test_a_key_that_has_the_focus_is_pressed_by_enter(page, device):
    page.run(f"document.querySelector('{key('4')}').focus()")
    page.press("Enter")
    shows(page, "4")
    page.run("document.activeElement.blur()")
    page.press("Enter")
    assert device.wait_paper("typed 4")


def test_a_card_is_dragged_onto_the_reader_and_away(page, device):
    page.drag(card("debit"), "#reader")
    shows(page, "card A")
    assert device.on_reader == ["debit"]
    page.drag("#landed " + card("debit"), "#shelf-title")
    shows(page, "card gone")
    assert device.on_reader == []


def test_a_card_dropped_beside_the_reader_stays_on_the_shelf(page, device):
    page.drag(card("debit"), "#filter")
    page.press("5")
    shows(page, "5")
    assert device.on_reader == []


def test_a_card_is_placed_by_keyboard_and_taken_away(page, device):
    page.run(f"document.querySelector('{card('debit')}').focus()")
    page.press("ArrowDown", "Enter")
    page.until("return document.querySelector('[data-card=second]').getAttribute('aria-expanded') == 'true'")
    page.press("Tab", "Enter")
    shows(page, "card A")
    page.until("return document.activeElement.textContent.includes('拿开')")
    page.press("Enter")
    shows(page, "card gone")
    page.press("Tab", "Enter")
    page.until("return document.activeElement.textContent.includes('拔卡')")
    assert device.in_slot == "second"
    page.press("Enter")
    assert device.until(lambda: device.in_slot == "", 5)


def test_a_card_is_dragged_into_the_slot_and_pulled_out(page, device):
    page.drag(card("debit"), "#mouth")
    page.until("return document.querySelector('#inserted .bankcard')")
    assert device.in_slot == "debit"
    page.drag("#inserted " + card("debit"), "#reader")
    assert device.until(lambda: device.on_reader == ["debit"] and device.in_slot == "", 5)
    page.until("return document.querySelector('#landed .bankcard')")
    page.drag("#landed " + card("debit"), "#mouth")
    page.until("const card = document.querySelector('#inserted .bankcard'); return card && !card.getAnimations().length")
    page.click("#inserted .number")  # the part that looks out of the slot
    assert device.until(lambda: device.in_slot == "", 5)


def test_a_card_drawn_along_the_groove_is_swiped_once(page, device):
    start = device.changes.number

    def swipes():
        return [entry.text for entry in device.log_since(start) if "swiped" in entry.text]

    page.drag(card("debit"), "#groove")
    assert device.until(lambda: len(swipes()) == 1, 5)
    page.drag_along(card("debit"), "#groove", -90, 90)
    assert device.until(lambda: len(swipes()) == 2, 5)
    page.press("1")
    shows(page, "1")
    assert len(swipes()) == 2
    page.until("return !document.querySelector('.flying, .slide .bankcard, .target')")


def test_the_plug_darkens_the_panel_and_the_button_lights_it(page, device):
    page.click("#plug")
    page.until("return document.querySelector('#device').dataset.power == 'off'")
    assert page.run(LIT) == 0
    page.click("#power")
    shows(page, "ready")
    page.click("#crash")
    page.until("return document.querySelector('#device').dataset.power == 'crashed'")
    assert page.run(LIT) > 0


def test_faults_and_rules_are_set_from_the_page(page, device):
    page.click("#tab-faults")
    page.click('[data-fault="hot"]')
    assert device.until(lambda: device.state()["faults"]["hot"], 5)
    page.click('[data-fault="hot"]')
    assert device.until(lambda: not device.state()["faults"]["hot"], 5)
    page.click("#tab-host")
    page.write("#rule", "nonsense")
    page.click("#rule-form button")
    page.until("return document.querySelector('#rule-error').textContent.includes('nonsense')")
    page.run("document.querySelector('#rule').value = ''")
    page.write("#rule", "amount 12.51 decline 51")
    page.click("#rule-form button")
    page.until("return document.querySelector('#rules').textContent.includes('amount 12.51 decline 51')")
    device.rule("clear")
    page.complaints()  # the refused rule is told by the console too


def test_the_log_is_filtered_by_kind_and_by_text(page, device):
    page.press("1")
    page.until("return document.querySelector('#log [data-kind=key]:not([hidden])')")
    page.click("#kinds button[title=key]")
    assert not page.run("return document.querySelector('#log [data-kind=key]:not([hidden])')")
    page.click("#kinds button[title=key]")
    page.write("#filter", "ssd1306")
    shown = page.run("return [...document.querySelectorAll('#log li:not([hidden])')].map(line => line.textContent)")
    assert shown and all("ssd1306" in line for line in shown)
    page.run("document.querySelector('#filter').value = ''; document.querySelector('#filter').blur()")


def test_the_page_says_when_the_emulator_is_gone(browser, tmp_path):
    with toy_device(tmp_path) as device:
        server = Server(device)
        server.start()
        browser.open(server.address)
        browser.until("return document.querySelector('#link').classList.contains('off')")
        server.close()
    browser.until("return !document.querySelector('#gone').hidden")
    browser.complaints()


def test_nothing_sticks_out_and_everything_has_a_name(page):
    unnamed = (
        "return [...document.querySelectorAll('button, input, [role=img], canvas')].filter(node =>"
        " !(node.getAttribute('aria-label') || node.textContent.trim() || node.closest('label'))).map(node => node.outerHTML)"
    )
    assert page.run(unnamed) == []
    for width, height in ((1280, 800), (1024, 768), (800, 800), (390, 844), (360, 640)):
        page.resize(width, height)
        assert page.run("return document.documentElement.scrollWidth") <= width
    page.resize(1280, 800)
    assert page.run("return document.documentElement.scrollHeight") <= 800


def test_a_phone_has_the_whole_keypad_in_reach(page, device):
    page.resize(390, 844)
    page.click(key("6"))
    page.click(key("ENTER"))
    assert device.wait_paper("typed 6")
    box = page.run(f"const b = document.querySelector('{key('1')}').getBoundingClientRect(); return [b.width, b.height]")
    assert min(box) >= 36
    page.resize(1280, 800)
