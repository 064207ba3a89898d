"""The OLED drivers on their emulated chips: pixels, bytes on the bus, faults."""

import atexit
import errno
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from drivers.display import Sh1106, Ssd1306, spans, windows
from drivers.render import Renderer
from emulator.chips.oled import Sh1106Chip, Ssd1306Chip
from firmware.events import PART, Event
from firmware.screens import Screen
from tests.oled_bench import ChipBus
from tests.toys import Inbox

ROOT = Path(__file__).parents[2]
PART_DATA = {"size": (128, 64), "address": 0x3C}
PANELS = {"ssd1306": (Ssd1306, Ssd1306Chip), "sh1106": (Sh1106, Sh1106Chip)}

GONE = Event(PART, 0, ("display", "gone"))
READY = Event(PART, 0, ("display", "ready"))


class Bench:
    def __init__(self, kind, part=PART_DATA):
        driver, chip = PANELS[kind]
        self.chip = chip()
        self.box = Inbox()
        self.bus = ChipBus({0x3C: self.chip})
        self.port = driver(self.box.post, dict(part), self.bus)
        self.port.retry_s = 0.005
        self.renderer = Renderer(self.port.size)

    def cost(self, screen):
        """Shows a screen; gives the bytes it took on the bus, and checks every pixel."""
        before = self.chip.bytes
        self.port.show(screen)
        assert self.chip.columns() == self.renderer.columns(screen)
        return self.chip.bytes - before

    def lose_and_find(self, screen):
        self.chip.absent = True
        self.port.show(screen)
        assert self.box.wait(lambda event: True) == GONE
        self.chip.reset()
        self.chip.absent = False
        assert self.box.wait(lambda event: True) == READY


@pytest.fixture(params=sorted(PANELS))
def bench(request):
    made = Bench(request.param)
    yield made
    made.port.close()


def money(fen):
    return "%s.%02d" % (format(fen // 100, ","), fen % 100)


def amount(text, lines=1):
    return Screen("Sale", ("Amount", "Limit 50,000.00")[:lines], text, ("Cancel", "OK"))


def test_what_is_drawn_is_on_the_glass_pixel_by_pixel(bench):
    rng = random.Random(1)
    for _ in range(60):
        words = ["".join(chr(rng.randrange(32, 127)) for _ in range(rng.randrange(20))) for _ in range(6)]
        bench.cost(Screen(words[0], words[1:4], rng.choice(["", "12.34", "****"]), (words[4][:4], words[5][:4])))


def test_the_same_picture_costs_nothing(bench):
    bench.cost(amount("12.34"))
    assert bench.cost(amount("12.34")) == 0


def test_a_digit_of_a_number_in_a_line_costs_at_most_32_bytes(bench):
    for row in range(4):
        lines = ["Trace"] * 4
        for before in " 0123456789":
            for after in "0123456789":
                lines[row] = "No 12" + before
                bench.cost(Screen("Find", lines))
                lines[row] = "No 12" + after
                assert bench.cost(Screen("Find", lines)) <= 32


def test_a_password_star_costs_at_most_32_bytes_large_or_in_a_line(bench):
    for lines in (1, 2):
        bench.cost(amount("*", lines))
        for stars in (2, 3, 4, 5, 6, 7, 8, 7, 6):
            assert bench.cost(amount("*" * stars, lines)) <= 32
    for row in range(4):
        for stars in range(9):
            text = [""] * row + ["Password " + "*" * stars]
            cost = bench.cost(Screen("Log in", text))
            assert stars == 0 or cost <= 32


def test_the_first_star_costs_at_most_32_bytes(bench):
    bench.cost(amount(""))
    assert bench.cost(amount("*")) <= 32


def test_an_amount_digit_costs_at_most_256_bytes_up_to_9_999_999_99(bench):
    most = 0
    rng = random.Random(2)
    numbers = [999_999_999, 888_888_888, 123_456_789, 534_357_042, 292_162_324, 850_584_841, 101_010_101]
    numbers += [rng.randrange(10**9) for _ in range(40)]
    for lines in (1, 2):
        for number in numbers:
            digits = "%09d" % number
            bench.cost(amount("0.00", lines))
            for count in range(1, 10):
                most = max(most, bench.cost(amount(money(int(digits[:count])), lines)))
    # 256 is promised; the joined windows stay below it.
    assert 200 < most <= 250


def test_the_first_picture_is_painted_before_the_panel_is_lit(bench):
    seen = []
    bench.chip.on_change = lambda: seen.append(bench.chip.columns())
    bench.port.start()
    bench.port.show(amount("12.34"))
    wanted = bench.renderer.columns(amount("12.34"))
    assert all(columns == wanted or not any(columns) for columns in seen)
    assert seen[-1] == wanted


def test_luma_initialises_the_chip_without_a_warning_or_an_unknown_command():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bench = Bench("ssd1306")
        bench.cost(amount("12.34"))
    assert bench.chip.unknown == 0
    assert bench.chip.level == 0xCF


@pytest.mark.parametrize("kind", sorted(PANELS))
def test_the_boards_contrast_is_used(kind):
    bench = Bench(kind, {**PART_DATA, "contrast": 40})
    bench.cost(amount("1.00"))
    assert bench.chip.level == 40
    bench.port.contrast(200)
    assert bench.chip.level == 200


@pytest.mark.parametrize("kind", sorted(PANELS))
def test_a_panel_mounted_upside_down_shows_the_picture_turned(kind):
    bench = Bench(kind, {**PART_DATA, "rotate": 2})
    bench.port.show(amount("12.34"))
    upright = bench.renderer.columns(amount("12.34"))
    turned = [int(format(column, "064b")[::-1], 2) for column in reversed(upright)]
    assert bench.chip.columns() == turned


def test_a_panel_mounted_on_its_side_is_narrow_and_high():
    bench = Bench("ssd1306", {**PART_DATA, "rotate": 1})
    assert bench.port.size == (64, 128)
    bench.port.show(Screen("Sale", ("Tap",)))
    image = bench.renderer.draw(Screen("Sale", ("Tap",))).rotate(-90, expand=True)
    assert bench.chip.image().tobytes() == image.tobytes()


@pytest.mark.parametrize("number", [errno.EREMOTEIO, errno.EIO, errno.ENXIO, errno.ETIMEDOUT, errno.EBUSY])
def test_a_missing_acknowledge_of_any_kind_is_a_panel_gone(bench, number, monkeypatch):
    bench.cost(amount("1.00"))

    def no_answer():
        raise OSError(number, "bus")

    monkeypatch.setattr(bench.chip, "_answer", no_answer)
    bench.port.show(amount("2.00"))
    assert bench.box.wait(lambda event: True) == GONE
    monkeypatch.undo()
    assert bench.box.wait(lambda event: True) == READY
    assert bench.chip.columns() == bench.renderer.columns(amount("2.00"))


def test_a_panel_lost_in_the_middle_of_a_picture_is_painted_whole_later(bench):
    bench.cost(amount("1.00"))
    whole = bench.chip._answer
    left = [1]

    def once():
        left[0] -= 1
        if left[0] < 0:
            bench.chip.absent = True
        whole()

    bench.chip._answer = once
    bench.port.show(Screen("Menu", ("a", "b", "c")))
    assert bench.box.wait(lambda event: True) == GONE
    del bench.chip._answer
    bench.chip.reset()
    bench.chip.absent = False
    assert bench.box.wait(lambda event: True) == READY
    assert bench.chip.columns() == bench.renderer.columns(Screen("Menu", ("a", "b", "c")))


def test_contrast_and_sleep_survive_a_panel_that_forgot_them(bench):
    bench.cost(amount("1.00"))
    bench.port.contrast(33)
    bench.lose_and_find(amount("2.00"))
    assert bench.chip.level == 33
    bench.port.sleep()
    bench.lose_and_find(amount("3.00"))
    assert not bench.chip.lit
    bench.port.wake()
    assert bench.chip.columns() == bench.renderer.columns(amount("3.00"))


def test_a_panel_found_missing_by_a_contrast_is_painted_whole_later(bench):
    bench.cost(amount("1.00"))
    bench.chip.absent = True
    bench.port.contrast(5)
    assert bench.box.wait(lambda event: True) == GONE
    bench.chip.reset()
    bench.chip.absent = False
    assert bench.box.wait(lambda event: True) == READY
    assert bench.chip.columns() == bench.renderer.columns(amount("1.00"))


def test_while_the_panel_is_gone_a_screen_does_not_touch_the_bus(bench):
    bench.port.retry_s = 60.0
    bench.chip.absent = True
    bench.port.show(amount("1.00"))
    bench.box.wait(lambda event: event == GONE)
    bench.chip.absent = False
    before = bench.chip.transfers
    bench.port.show(amount("2.00"))
    bench.port.contrast(9)
    assert bench.chip.transfers == before


def test_losing_the_panel_again_and_again_leaves_no_exit_handlers(bench):
    bench.lose_and_find(amount("1.00"))
    handlers = atexit._ncallbacks()
    for fen in range(200, 900, 100):
        bench.lose_and_find(amount(money(fen)))
    assert atexit._ncallbacks() == handlers


def test_a_panel_that_is_absent_at_power_on_leaves_no_exit_handlers(bench):
    bench.cost(amount("1.00"))
    handlers = atexit._ncallbacks()
    other = Bench("ssd1306")
    other.chip.absent = True
    other.port.start()
    other.box.wait(lambda event: event == GONE)
    other.port.close()
    assert atexit._ncallbacks() == handlers


def test_the_picture_stays_on_the_panel_at_exit():
    program = """
import atexit
from drivers.display import Ssd1306
from emulator.chips.oled import Ssd1306Chip
from firmware.screens import Screen
from tests.oled_bench import ChipBus
chip = Ssd1306Chip()
atexit.register(lambda: print(chip.lit, any(chip.columns())))
Ssd1306(print, {"size": (128, 64), "address": 0x3C}, ChipBus({0x3C: chip})).show(Screen("Bye"))
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["True", "True"], run.stderr


def test_making_a_driver_imports_neither_pillow_nor_luma():
    program = """
import sys
from drivers.display import Ssd1306
Ssd1306(print, {"size": (128, 64), "address": 0x3C}, 1)
print(sorted({name.split(".")[0] for name in sys.modules} & {"PIL", "luma", "smbus2"}))
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "[]", run.stderr


def test_a_port_is_opened_through_smbus2(tmp_path, monkeypatch):
    import smbus2.smbus2 as kernel

    chip = Ssd1306Chip()

    def ioctl(descriptor, request, argument=0):
        if request == kernel.I2C_RDWR:
            for number in range(argument.nmsgs):
                message = argument.msgs[number]
                chip.write(bytes(message.buf[place][0] for place in range(message.len)))
        elif request == kernel.I2C_SMBUS:
            block = argument.data.contents.block
            chip.write(bytes([argument.command]) + bytes(block[1 : block[0] + 1]))
        return 0

    monkeypatch.setattr(kernel, "ioctl", ioctl)
    node = tmp_path / "i2c-1"
    node.touch()
    port = Ssd1306(Inbox().post, dict(PART_DATA), str(node))
    port.show(amount("12.34"))
    assert chip.columns() == Renderer().columns(amount("12.34"))


def test_a_port_that_does_not_exist_is_a_panel_gone(tmp_path):
    box = Inbox()
    port = Ssd1306(box.post, dict(PART_DATA), str(tmp_path / "i2c-9"))
    port.start()
    assert box.wait(lambda event: True) == GONE
    port.close()


def test_difference_of_random_frames_is_always_covered():
    rng = random.Random(3)
    for _ in range(300):
        old = [bytes(rng.choices((0, 1), (20, 1), k=128)) for _ in range(8)]
        new = [bytes(rng.choices((a, 9), (9, rng.random()))[0] for a in page) for page in old]
        for found in (windows(old, new), spans(old, new, 7)):
            made = [bytearray(page) for page in old]
            for first_page, last_page, first, last in found:
                for page in range(first_page, last_page + 1):
                    made[page][first : last + 1] = new[page][first : last + 1]
            assert made == new
        cost = sum(10 + (q - p + 1) * (b - a + 1) for p, q, a, b in windows(old, new))
        assert cost <= 10 + 8 * 128
