"""The display port: drivers on their emulated chips, and the stand-in."""

import pytest

from drivers.display import Sh1106, Ssd1306
from drivers.fonts import Fonts
from emulator import eyes
from emulator.chips.oled import Sh1106Chip, Ssd1306Chip
from emulator.standins.display import StandIn
from firmware.events import PART
from firmware.screens import Screen
from tests.oled_bench import ChipBus
from tests.toys import Inbox, World

MENU = Screen("菜单", menu=(("1", "消费"), ("2", "撤销")))
TAP = Screen("消费", ("请挥卡",), "12.34", ("取消", ""))


class OnChip:
    def __init__(self, driver, chip):
        self.chip = chip()
        self.box = Inbox()
        part = {"size": (128, 64), "address": 0x3C}
        self.port = driver(self.box.post, part, ChipBus({0x3C: self.chip}))
        self.port.retry_s = 0.005
        self.wait = self.box.wait
        self.rest = self.box.rest

    def sees(self, text):
        return eyes.read(self.chip.image()).shows(text)

    def dark(self):
        return not any(self.chip.columns())

    def work(self):
        return self.chip.bytes

    def unplug(self):
        self.chip.absent = True

    def plug_in(self):
        self.chip.reset()
        self.chip.absent = False

    def close(self):
        self.port.close()


class InProcess:
    def __init__(self):
        self.world = World()
        self.port = StandIn(self.world)
        self.wait = self.world.wait

    def rest(self):
        self.world.run(10_000)
        events, self.world.events[:] = list(self.world.events), []
        return events

    def sees(self, text):
        screen = self.port.visible
        texts = [screen.title, *screen.lines, screen.big, *screen.keys, *(entry[1] for entry in screen.menu)] if screen else []
        return any(text in one for one in texts)

    def dark(self):
        return self.port.visible is None

    def work(self):
        return self.port.shown

    def unplug(self):
        self.port.absent = True

    def plug_in(self):
        self.port.absent = False

    def close(self):
        pass


@pytest.fixture(params=["ssd1306", "sh1106", "stand-in"])
def rig(request):
    if request.param != "stand-in" and not Fonts().has_chinese:
        pytest.skip("no Chinese bitmap font: install xfonts-wqy")
    made = {
        "ssd1306": lambda: OnChip(Ssd1306, Ssd1306Chip),
        "sh1106": lambda: OnChip(Sh1106, Sh1106Chip),
        "stand-in": InProcess,
    }[request.param]()
    yield made
    made.close()


def part(state):
    return lambda event: event.name == PART and event.ticket == 0 and event.value == ("display", state)


def test_it_says_how_large_it_is(rig):
    assert rig.port.size == (128, 64)


def test_nothing_is_seen_before_the_first_screen(rig):
    assert rig.dark()


def test_a_screen_that_is_shown_can_be_read(rig):
    rig.port.show(TAP)
    assert rig.sees("请挥卡") and rig.sees("12.34") and rig.sees("取消")
    rig.port.show(MENU)
    assert rig.sees("撤销") and not rig.sees("12.34")


def test_the_same_screen_again_costs_nothing(rig):
    rig.port.show(TAP)
    before = rig.work()
    rig.port.show(Screen("消费", ("请挥卡",), "12.34", ("取消", "")))
    assert rig.work() == before


def test_sleep_darkens_and_waking_brings_the_picture_back(rig):
    rig.port.show(TAP)
    rig.port.sleep()
    assert rig.dark()
    rig.port.wake()
    assert rig.sees("12.34")


def test_a_picture_drawn_while_asleep_is_there_on_waking(rig):
    rig.port.show(TAP)
    rig.port.sleep()
    rig.port.show(MENU)
    assert rig.dark()
    rig.port.wake()
    assert rig.sees("消费") and not rig.sees("请挥卡")


@pytest.mark.parametrize("level", [-1, 256])
def test_a_contrast_beyond_a_byte_is_the_callers_mistake(rig, level):
    with pytest.raises(ValueError):
        rig.port.contrast(level)


def test_a_healthy_panel_posts_nothing(rig):
    rig.port.show(TAP)
    rig.port.contrast(255)
    rig.port.sleep()
    rig.port.wake()
    assert rig.port.state == "ready"
    assert rig.rest() == []


def test_a_panel_that_stops_answering_is_reported_once(rig):
    rig.port.show(TAP)
    rig.unplug()
    rig.port.show(MENU)
    rig.wait(part("gone"))
    rig.port.show(TAP)
    rig.port.sleep()
    rig.port.wake()
    rig.port.contrast(1)
    assert rig.port.state == "gone"
    assert rig.rest() == []


def test_a_panel_that_comes_back_shows_the_last_screen_asked_for(rig):
    rig.port.show(TAP)
    rig.unplug()
    rig.port.show(Screen("消费", ("请输入密码",)))
    rig.wait(part("gone"))
    rig.port.show(MENU)
    rig.plug_in()
    rig.wait(part("ready"))
    assert rig.port.state == "ready"
    assert rig.sees("撤销")


def test_a_panel_that_comes_back_while_asleep_stays_dark(rig):
    rig.port.show(TAP)
    rig.unplug()
    rig.port.show(MENU)
    rig.wait(part("gone"))
    rig.port.sleep()
    rig.plug_in()
    rig.wait(part("ready"))
    assert rig.dark()
    rig.port.wake()
    assert rig.sees("撤销")


def test_a_panel_missing_from_the_start_is_found_later(rig):
    rig.unplug()
    rig.port.show(TAP)
    rig.wait(part("gone"))
    rig.plug_in()
    rig.wait(part("ready"))
    assert rig.sees("12.34")
