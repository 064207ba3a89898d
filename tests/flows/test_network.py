"""The network on the screen: the sign in the title, the doctor, text messages, the SIM's PIN."""

import pytest

from firmware.host import doctor
from firmware.ports import LINK_FAULTS
from tests.flows.counter import Counter

NET = (("6 管理", "6"), ("6 网络", "6"))


@pytest.fixture
def counter():
    made = Counter(parameters={"network.order": ["modem"]})
    made.log_in()
    return made


def examined(counter):
    """To the doctor's diagnosis."""
    counter.walk(*NET, ("1 网络诊断", "1"))
    counter.until(lambda: counter.state == "Diagnosis")


def test_the_doctor_says_that_all_is_well_with_the_time_of_each_step(counter):
    examined(counter)
    assert "网络正常 主机有应答" in counter.text
    counter.type("DOWN")
    assert "SIM卡 " in counter.text and "ms" in counter.text
    counter.type("DOWN")
    assert "连接主机" in counter.text
    counter.type("ENTER")
    counter.until("6 管理")
    assert "网络诊断单" in counter.paper and "主机应答" in counter.paper and "IMEI" in counter.paper


def sim_out(counter):
    counter.modem.insert("absent")


def denied(counter):
    counter.modem.deny()
    counter.modem.insert("ready")


@pytest.mark.parametrize(
    "break_it, words, code",
    [
        (sim_out, "停在:SIM卡 没有SIM卡 请插好SIM卡", "N101"),
        (lambda c: c.modem.insert("pin"), "停在:SIM卡 SIM卡要密码", "N102"),
        (lambda c: c.modem.signal(None), "停在:网络注册 没有信号 换个地方", "N205"),
        (denied, "停在:网络注册 网络拒绝注册", "N207"),
        (lambda c: c.modem.unplug(), "停在:SIM卡 4G模块没有响应", "N100"),
    ],
)
def test_the_doctor_names_what_is_wrong_with_the_modem(counter, break_it, words, code):
    break_it(counter)
    counter.link.bearer_up["modem"] = False
    counter.run(20_000)
    examined(counter)
    for word in words.split():
        assert word in counter.text
    assert code in counter.text
    counter.type("ENTER")
    counter.until("6 管理")
    assert code in counter.paper


@pytest.mark.parametrize("why", [why for why in LINK_FAULTS if why not in ("closed", "broken")])
def test_the_doctor_says_where_the_way_to_the_host_stops(counter, why):
    counter.link.down = why
    examined(counter)
    assert "停在:" in counter.text and "报告码 N" in counter.text
    counter.type("CANCEL")
    counter.until("6 管理")


def test_the_doctor_says_when_the_host_takes_the_line_and_does_not_answer(counter):
    counter.link.deaf = True
    examined(counter)
    assert "停在:主机应答" in counter.text and "没有回音" in counter.text


def test_every_fault_has_a_report_code_of_its_own():
    codes = [doctor.Finding(step, 0, fault).code for step in doctor.STEPS for fault in doctor.FAULTS]
    assert len(set(codes)) == len(codes) and all(len(code) == 4 for code in codes)


def test_the_title_shows_what_carries_messages_and_follows_it(counter):
    counter.until(lambda: counter.screen.corner == "modem 4")
    counter.link.bars["modem"] = 1
    counter.until(lambda: counter.screen.corner == "modem 1")
    counter.link.bearer_up["modem"] = False
    counter.until(lambda: counter.screen.corner == "none")
    counter.link.bearer_up["modem"] = True
    counter.until(lambda: counter.screen.corner == "modem 1")


def test_a_text_message_is_announced_kept_over_a_restart_and_read(counter):
    counter.modem.bring("10010", "余额不足10元，请充值。" * 4)
    counter.until("有新短信")
    counter.plug()
    counter.log_in()
    counter.walk(*NET, ("4 短信", "4"), ("10010 请充值", "DOWN CANCEL"), ("6 管理", None))
    assert "有新短信" not in counter.text


def test_the_pin_of_a_sim_is_typed_once_and_kept(counter):
    counter.modem.insert("pin", "4321")
    counter.run(3_000)
    counter.walk(*NET, ("1 网络诊断", "5"), ("请输入SIM卡密码", "1111 ENTER"), ("密码不对", "ENTER"), ("6 管理", None))
    counter.walk(*NET, ("1 网络诊断", "5"), ("请输入SIM卡密码", "4321 ENTER"), ("SIM卡已打开", "ENTER"), ("6 管理", None))
    counter.plug()
    counter.log_in()
    counter.run(20_000)
    assert counter.modem.status()["sim"] == "ready"


def test_the_module_can_be_switched_off_and_on(counter):
    counter.walk(*NET, ("1 网络诊断", "6"))
    counter.until("正在重启")
    counter.until("成功", within_ms=200_000)


def test_the_state_of_the_network_is_on_two_pages(counter):
    counter.walk(*NET, ("2 网络状态", "2"), ("4G 已连", "DOWN"), ("信号", "CANCEL"), ("6 管理", None))


def test_a_clock_that_nobody_has_set_is_set_by_the_mobile_network():
    counter = Counter()
    counter.modem.utc_s = 1_795_142_040 + 3_600
    counter.link.down = "unreachable"
    counter.log_in()
    counter.until(lambda: counter.terminal.calendar.confirmed)
    assert counter.terminal.calendar_stamp().startswith("2026112011")


def test_the_second_page_names_who_carries_the_messages_and_from_which_cell(counter):
    counter.run(5_000)
    counter.walk(*NET, ("2 网络状态", "2"), ("4G 已连", "DOWN"), ("信号", None))
    status = counter.modem.status()
    assert status["cell"][2] != status["cell"][3]
    assert "%s %s" % (status["operator"], status["technology"]) in counter.text
    assert "%s-%s" % (status["cell"][2], status["cell"][3]) in counter.text


def test_the_report_ends_where_the_way_to_the_host_stops(counter):
    counter.link.down = "refused"
    examined(counter)
    counter.type("ENTER")
    counter.until("6 管理")
    assert "网络诊断单" in counter.paper and "主机应答" not in counter.paper
