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
    page.until("return !document.querySelector('#toast').hidden")
    assert "最多放两张卡" in page.text("#toast")
    page.device.remove_card()
    page.complaints()  # the refused card is told by the console too


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
