"""RPi.GPIO's API on the shared page, and the parts on the emulator's side of it."""

import threading

import pytest

from drivers.gpio_page import PageGpio
from tests.toys import DEADLINE_S, until
from tests.wired import Wired

ROWS, COLUMNS = (17, 27, 22, 23), (24, 25, 6, 16)


@pytest.fixture
def wired(tmp_path):
    wired = Wired(tmp_path)
    yield wired
    wired.close()


@pytest.fixture
def gpio(wired):
    return wired.near.gpio()


def lowered(gpio, row):
    """What the columns read with one row low and the others let go."""
    gpio.setup(ROWS, gpio.IN, pull_up_down=gpio.PUD_UP)
    gpio.setup(row, gpio.OUT, initial=gpio.LOW)
    return tuple(gpio.input(column) for column in COLUMNS)


def test_an_output_reads_and_shows_its_level(wired, gpio):
    gpio.setup(20, gpio.OUT, initial=gpio.HIGH)
    assert (gpio.input(20), wired.far.gpio.level(20)) == (1, 1)
    gpio.output(20, gpio.LOW)
    assert (gpio.input(20), wired.far.gpio.level(20)) == (0, 0)
    gpio.output((20,), [True])
    gpio.setup(20, gpio.OUT)
    assert gpio.input(20) == 1
    assert gpio.gpio_function(20) == gpio.OUT


def test_an_input_reads_its_pull_until_something_drives_it(wired, gpio):
    gpio.setup(26, gpio.IN, pull_up_down=gpio.PUD_UP)
    assert gpio.input(26) == 1
    wired.far.gpio.drive(26, 0)
    assert gpio.input(26) == 0
    wired.far.gpio.drive(26, None)
    assert gpio.input(26) == 1
    gpio.setup(26, gpio.IN, pull_up_down=gpio.PUD_DOWN)
    assert gpio.input(26) == 0


MISTAKES = [
    (lambda gpio: gpio.output(5, 1), RuntimeError),
    (lambda gpio: gpio.input(5), RuntimeError),
    (lambda gpio: gpio.PWM(5, 100), RuntimeError),
    (lambda gpio: gpio.add_event_detect(5, gpio.FALLING, callback=print), RuntimeError),
    (lambda gpio: gpio.wait_for_edge(5, gpio.FALLING), RuntimeError),
    (lambda gpio: gpio.setup(64, gpio.OUT), ValueError),
    (lambda gpio: gpio.setup("5", gpio.OUT), ValueError),
    (lambda gpio: gpio.setup(5, 7), ValueError),
    (lambda gpio: gpio.setup(5, gpio.OUT, pull_up_down=gpio.PUD_UP), ValueError),
    (lambda gpio: gpio.setmode(gpio.BOARD), ValueError),
    (lambda gpio: (gpio.setup((5, 6), gpio.OUT), gpio.output((5, 6), (1, 0, 1))), RuntimeError),
    (lambda gpio: (gpio.setup(5, gpio.OUT), gpio.PWM(5, 0)), ValueError),
    (lambda gpio: (gpio.setup(5, gpio.OUT), gpio.PWM(5, 10).start(101)), ValueError),
    (lambda gpio: (gpio.setup(5, gpio.OUT), gpio.PWM(5, 10), gpio.PWM(5, 10)), RuntimeError),
]


@pytest.mark.parametrize(("mistake", "error"), MISTAKES, ids=range(len(MISTAKES)))
def test_what_rpi_gpio_refuses_is_refused(gpio, mistake, error):
    with pytest.raises(error):
        mistake(gpio)


def test_pins_need_a_numbering_first(wired):
    gpio = PageGpio(wired.far.folder)
    with pytest.raises(RuntimeError, match="numbering mode"):
        gpio.setup(5, gpio.OUT)
    gpio.close()


def test_a_pressed_key_joins_its_row_and_its_column(wired, gpio):
    keys = wired.keys()
    gpio.setup(COLUMNS, gpio.IN, pull_up_down=gpio.PUD_UP)
    keys.press("6")
    assert [lowered(gpio, row) for row in ROWS] == [(1, 1, 1, 1), (1, 1, 0, 1), (1, 1, 1, 1), (1, 1, 1, 1)]
    keys.release("6")
    assert [lowered(gpio, row) for row in ROWS] == [(1, 1, 1, 1)] * 4


def test_three_keys_on_a_rectangle_show_the_fourth(wired, gpio):
    keys = wired.keys()
    gpio.setup(COLUMNS, gpio.IN, pull_up_down=gpio.PUD_UP)
    for name in ("1", "2", "4"):
        keys.press(name)
    assert lowered(gpio, ROWS[0]) == lowered(gpio, ROWS[1]) == (0, 0, 1, 1)


def test_two_outputs_against_each_other_are_counted(wired, gpio):
    keys = wired.keys()
    gpio.setup(COLUMNS, gpio.IN, pull_up_down=gpio.PUD_UP)
    keys.press("1")
    keys.press("4")
    lowered(gpio, ROWS[0])
    assert wired.far.gpio.shorts == 0
    gpio.setup(ROWS[1], gpio.OUT, initial=gpio.HIGH)
    gpio.input(COLUMNS[0])
    assert wired.far.gpio.shorts == 1


def test_a_wait_ends_when_a_key_moves(wired, gpio):
    keys = wired.keys()
    assert not gpio.wait_change(0)
    keys.press("1")
    assert gpio.wait_change(DEADLINE_S)
    assert not gpio.wait_change(0)
    thread = threading.Thread(target=lambda: keys.release("1"))
    thread.start()
    assert gpio.wait_change(DEADLINE_S)
    thread.join()


def test_a_change_before_the_wait_is_not_lost(wired, gpio):
    keys = wired.keys()
    for _ in range(100_000 // 64):
        keys.press("1")
        keys.release("1")
    assert gpio.wait_change(0)
    assert not gpio.wait_change(0)


def test_lamps_tell_each_change_once(wired, gpio):
    seen = []
    lamps = wired.lamps(on_change=seen.append)
    pins = wired.board.parts["light"]["pins"]
    gpio.setup(pins, gpio.OUT, initial=0)
    gpio.output(pins, (1, 0, 0, 0))
    until(lambda: seen == [(True, False, False, False)])
    gpio.output(pins, (1, 0, 0, 0))
    gpio.output(pins, (1, 0, 0, 1))
    until(lambda: seen[1:] == [(True, False, False, True)])
    assert lamps.levels == (True, False, False, True)
    assert ("light", "*..*") in wired.log


def test_lamps_that_are_lit_by_a_low_level_are_dark_when_nothing_drives_them(wired, gpio):
    lamps = wired.lamps(active_low=True)
    pins = wired.board.parts["light"]["pins"]
    assert lamps.levels == (False,) * 4
    gpio.setup(pins, gpio.OUT, initial=1)
    gpio.output(pins[0], 0)
    assert lamps.levels == (True, False, False, False)


def test_the_buzzer_tells_when_it_sounds_and_how_high(wired, gpio):
    seen = []
    buzzer = wired.buzzer(on_change=lambda on, hz: seen.append((on, hz)))
    gpio.setup(18, gpio.OUT, initial=0)
    pwm = gpio.PWM(18, 2700)
    pwm.start(50)
    until(lambda: seen == [(True, 2700)])
    pwm.ChangeFrequency(440.5)
    until(lambda: seen[1:] == [(True, 440)])
    pwm.ChangeDutyCycle(0)
    until(lambda: seen[2:] == [(False, 0)])
    pwm.stop()
    assert buzzer.hz == 0


def test_a_process_that_died_sounds_no_more_and_leaves_its_lamps(wired, gpio):
    buzzer, lamps = wired.buzzer(), wired.lamps()
    pins = wired.board.parts["light"]["pins"]
    gpio.setup((18, *pins), gpio.OUT, initial=0)
    gpio.output(pins, (1, 1, 0, 0))
    gpio.PWM(18, 2700).start(50)
    assert buzzer.hz == 2700
    wired.far.process_ended()
    assert buzzer.hz == 0
    assert lamps.levels == (True, True, False, False)


def test_power_lost_makes_all_dark_and_silent(wired, gpio):
    buzzer, lamps, keys = wired.buzzer(), wired.lamps(), wired.keys()
    pins = wired.board.parts["light"]["pins"]
    gpio.setup((18, *pins), gpio.OUT, initial=1)
    gpio.PWM(18, 2700).start(50)
    keys.press("5")
    wired.far.reset()
    keys.reset()
    assert lamps.levels == (False,) * 4
    assert buzzer.hz == 0
    # The finger is still there.
    gpio.setup(COLUMNS, gpio.IN, pull_up_down=gpio.PUD_UP)
    assert lowered(gpio, ROWS[1]) == (1, 0, 1, 1)


def test_cleanup_lets_all_pins_go(wired, gpio):
    lamps = wired.lamps()
    pins = wired.board.parts["light"]["pins"]
    gpio.setup(pins, gpio.OUT, initial=1)
    gpio.cleanup(pins[0])
    assert lamps.levels == (False, True, True, True)
    gpio.cleanup()
    assert lamps.levels == (False,) * 4


def test_the_log_says_that_a_key_moved_and_not_which(wired):
    keys = wired.keys()
    keys.press("7")
    keys.press("9")
    keys.release_all()
    assert keys.held == set()
    assert wired.log == [("key", "down"), ("key", "down"), ("key", "up"), ("key", "up")]


def test_a_key_that_is_not_there_cannot_be_pressed(wired):
    with pytest.raises(KeyError):
        wired.keys().press("F1")
