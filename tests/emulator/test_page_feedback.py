"""What the page tells a person who does not know it: what is off, what cannot be done, what was set and how to take it back."""

import pytest

from emulator.browser.server import Server
from tests import webdriver
from tests.emulator.bench import on, toy_device

if not webdriver.available():
    pytest.skip("chromium and chromium-driver are not installed: the page is not tried", allow_module_level=True)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with toy_device(tmp_path_factory.mktemp("toy")) as device, webdriver.Browser() as browser:
        server = Server(device)
        server.start()
        on(device)
        browser.open(server.address)
        browser.until("return document.querySelector('#screen').getAttribute('aria-label').includes('ready')")
        browser.device = device
        yield browser
        server.close()


def shown(page, selector):
    return page.run("return document.querySelectorAll(arguments[0] + ':not([hidden])').length", selector)


def test_the_display_bus_is_quiet_until_it_is_asked_for(page):
    page.until("return document.querySelectorAll('#log [data-kind=panel]').length")
    assert shown(page, "#log [data-kind=panel]") == 0
    page.write("#filter", "ssd1306")
    assert shown(page, "#log [data-kind=panel]") > 0
    page.run("const f = document.querySelector('#filter'); f.value = ''; f.dispatchEvent(new Event('input')); f.blur()")
    assert shown(page, "#log [data-kind=panel]") == 0
    page.click("#kinds button[title=panel]")
    assert shown(page, "#log [data-kind=panel]") > 0
    page.click("#kinds button[title=panel]")


def test_a_third_card_is_refused_in_words(page):
    for name in ("debit", "credit"):
        page.device.place(name)
    page.until("return document.querySelectorAll('#landed .bankcard').length == 2")
    page.click('[data-card="second"]')
    page.click('[data-act="tap"]')
    page.until("return !document.querySelector('#toast').hidden")
    assert "最多放两张卡" in page.text("#toast")
    page.device.remove_card()
    page.complaints()  # the refused card is told by the console too


def test_a_second_card_does_not_fit_into_the_slot(page):
    page.device.insert("credit")
    page.until("return document.querySelector('#inserted .bankcard')")
    page.drag('[data-card="debit"]', "#mouth")
    page.until("return document.querySelector('#toast').textContent.includes('插卡口里已有一张卡')")
    page.device.pull()
    page.complaints()


def test_what_a_card_cannot_do_is_grey_and_says_why(page):
    page.click("#cards details:nth-of-type(3) summary")
    page.click('[data-card="phone"]')
    able = "return [...document.querySelectorAll('[data-act]')].map(button => [button.disabled, button.title])"
    assert page.run(able) == [[False, ""], [True, "此卡没有芯片触点 has no contacts"], [True, "此卡没有磁条 has no stripe"]]
    page.drag('[data-card="phone"]', "#groove")
    page.until("return document.querySelector('#toast').textContent.includes('此卡没有磁条')")
    page.complaints()


def test_a_card_is_found_by_what_it_shows(page):
    page.write("#find", "fDDA")
    rows = (
        "return [...document.querySelectorAll('#cards .row')].filter(row => row.checkVisibility()).map(row => row.dataset.card)"
    )
    assert page.run(rows) == ["flash", "flash-wrong", "flash-online", "flash-contact"]
    page.press("Enter")
    page.until("return document.querySelector('[data-card=flash]').getAttribute('aria-expanded') == 'true'")
    page.run("const f = document.querySelector('#find'); f.value = ''; f.dispatchEvent(new Event('input')); f.blur()")
    shown = page.run(rows)
    assert "flash" in shown and "debit" not in shown
    page.run("document.activeElement.blur()")


def test_a_point_and_the_rules_can_be_taken_back(page):
    page.click("#tab-faults")
    page.write("#stop", "typed")
    page.click("#stop-form button")
    page.until("return !document.querySelector('#disarm').hidden")
    page.click("#disarm")
    assert page.device.until(lambda: page.device.state()["stop"] == "", 5)
    page.click("#tab-host")
    page.click("#examples button")
    page.click("#rule-form button")
    page.until("return !document.querySelector('#clear-rules').hidden")
    page.click("#clear-rules")
    assert page.device.until(lambda: page.device.state()["rules"]["now"] == [], 5)


def test_a_dark_device_says_how_it_is_switched_on(page):
    assert shown(page, "#dark-hint") == 0
    page.click("#plug")
    page.until("return !document.querySelector('#dark-hint').hidden")
    assert "电源键" in page.text("#dark-hint")
    assert shown(page, "#plug") == 0
    page.click("#power")
    page.until("return document.querySelector('#dark-hint').hidden")
    assert page.complaints() == []
