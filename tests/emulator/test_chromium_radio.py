"""The mobile network on the page, in a real Chromium: what a person drags and ticks is what the module hears."""

import pytest

from emulator import script
from emulator.browser.server import Server
from emulator.device import Device
from tests import webdriver
from tests.emulator.bench import on, toy_device
from tests.emulator.test_scripts import SCRIPTS

if not webdriver.available():
    pytest.skip("chromium and chromium-driver are not installed: the page is not tried", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
    with webdriver.Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with toy_device(tmp_path_factory.mktemp("toy")) as device:
        yield on(device)


@pytest.fixture(scope="module")
def served(device):
    server = Server(device)
    server.start()
    yield server
    server.close()


@pytest.fixture
def page(browser, served):
    browser.open(served.address)
    browser.click("#air")
    browser.until("return document.querySelectorAll('#towers input').length === 5")
    yield browser
    assert browser.complaints() == []


def says(page, selector, text):
    return page.until("return document.querySelector(arguments[0]).textContent.includes(arguments[1])", selector, text)


def tick(page, name):
    page.run("document.querySelector(arguments[0]).click()", f'[data-radio="{name}"], [data-fault="{name}"]')


def test_bars_and_words_follow_the_signal(page, device):
    says(page, "#cell-state", "已登记")
    says(page, "#cell-state", "CHN-UNICOM")
    page.slide("#signal", 0.8, 0.0)
    assert device.until(lambda: device.radio.percent == 0, 5)
    says(page, "#signal-level", "无信号")
    says(page, "#cell-state", "搜索网络")
    assert page.run("return document.querySelector('.bars.large').dataset.bars") == "0"
    page.slide("#signal", 0.0, 0.95)
    assert device.until(lambda: device.radio.percent > 85, 5)
    says(page, "#cell-state", "已登记")
    page.until("return document.querySelector('.bars.large').dataset.bars === '4'")


def test_towers_sim_operator_and_faults_are_ticked(page, device):
    tick(page, "rival")
    says(page, "#cell-state", "漫游")
    tick(page, "shop")
    tick(page, "in")
    says(page, "#sim-state", "未插")
    tick(page, "in")
    tick(page, "asks")
    says(page, "#sim-state", "等待 PIN")
    tick(page, "asks")
    tick(page, "denied")
    says(page, "#cell-state", "被拒绝")
    tick(page, "denied")
    tick(page, "modem-gone")
    says(page, "#cell-state", "模块不在")
    tick(page, "modem-gone")
    says(page, "#cell-state", "已登记")
    tick(page, "time-absent")
    assert device.until(lambda: device.radio.time == "absent", 5)
    assert page.run("return document.querySelectorAll('#faults [data-fault^=modem]').length") == 0


def test_a_message_to_the_terminal_is_sent_and_listed(page, device):
    page.write("#sms", "流量即将用完")
    page.click("#sms-form button")
    says(page, "#messages", "流量即将用完")
    assert device.radio.messages[-1].text == "流量即将用完"
    says(page, "#messages", "delivered")


def test_a_signal_dragged_to_nothing_in_mid_sale_and_back_ends_in_the_truth(browser, tmp_path):
    with Device(tmp_path, fast=True) as device:
        server = Server(device)
        server.start()
        try:
            browser.open(server.address)
            browser.click("#air")
            steps = tmp_path / "steps.txt"

            def play(text):
                steps.write_text(text, encoding="utf-8")
                script.run(device, steps)

            play(f"include {SCRIPTS}/login.txt\nexpect modem online\nrule next on sale late 3")
            play("keys 1 5000 ENTER\nwait screen 请挥卡")
            play("tap debit\nexpect acquirer approved 50.00")
            browser.slide("#signal", 0.8, 0.0)
            says(browser, "#cell-state", "搜索网络")
            play("wait screen 正在冲正\nremove card\nexpect no screen 未扣款")
            browser.slide("#signal", 0.0, 0.7)
            play("wait screen 已冲正\nexpect screen 未扣款\nexpect acquirer nothing\nkeys ENTER\nexpect screen 1 消费")
            assert browser.complaints() == []
        finally:
            server.close()
