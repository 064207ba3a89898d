import random

import pytest

from drivers.modem import CURES, AtModem
from drivers.modem_profiles import PROFILES
from firmware.events import MODEM_DONE, MODEM_FAILED, NETWORK, PART, SMS, Event
from tests.drivers.modem_bench import HEALTHY, Bench, Peer

SEARCHING = {"AT+CEREG?": "+CEREG: 2,2\nOK", "AT+CGREG?": "+CGREG: 2,2\nOK", "AT+CREG?": "+CREG: 2,2\nOK"}
DENIED = {"AT+CEREG?": "+CEREG: 2,3\nOK", "AT+CGREG?": "+CGREG: 2,3\nOK", "AT+CREG?": "+CREG: 2,1\nOK"}
DEAF = {"AT+CSQ": "+CSQ: 99,99\nOK", "AT+CESQ": "+CESQ: 99,99,255,255,255,255\nOK"}


@pytest.fixture
def bench():
    made = []

    def make(answers=None, part=None, **more):
        peer = Peer()
        peer.answers.update(answers or {})
        made.append(Bench(peer, part, **more))
        return made[-1]

    yield make
    for one in made:
        one.close_all()


class Gpio:
    """Pins on paper: [(time, pin, level)]."""

    OUT = "out"

    def __init__(self):
        self.bench, self.moves = None, []

    def setup(self, pin, direction, initial):
        self.moves.append((0.0, pin, initial))

    def output(self, pin, level):
        self.moves.append((self.bench.time, pin, level))


# Bring-up.


def test_the_ladder_is_climbed_in_order(bench):
    desk = bench().up()
    wanted = ("AT", "ATE0", "ATV1", "AT+CMEE=1", "AT+GSN", "AT+CEREG=2", "AT+CPIN?", "AT+CIMI", "AT+QCCID", "AT+CNMI=2,1,0,0,0",
              "AT+CEREG?", "AT+COPS?", 'AT+QICSGP=1,1,"3gnet","","",0', "AT+QIACT=1", "AT+QIACT?")  # fmt: skip
    places = [desk.peer.asked.index(text) for text in wanted]
    assert places == sorted(places)
    assert desk.events[-1] == Event(NETWORK, 0, None)
    assert desk.port.status() == {
        "sim": "ready", "registered": "home", "dbm": -63, "bars": 4, "operator": "CHN-UNICOM", "technology": "4G",
        "imei": "860000051234563", "iccid": "89860012345678901234", "cell": ("460", "01", "18BE", "8608A7B"),
        "address": "10.7.8.9", "trouble": "",
    }  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_comes_up(bench, profile):
    assert bench(part={"profile": profile}).up().port.status()["iccid"] == "89860012345678901234"


def test_a_line_that_nobody_asked_for_is_none_of_the_answer_that_it_lies_in(bench):
    mixed = '+CEREG: 2,1,"18BE","8608A7B",7\n+CEREG: 5,"18BE","8608A7C",7\nOK'
    desk = bench({"AT+CEREG?": mixed}).up()
    assert desk.port.status()["cell"] == ("460", "01", "18BE", "8608A7C")
    assert desk.port.status()["registered"] == "roaming"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("+CEREG: 2,5,18BE,8608A7B,7", ("roaming", ("460", "01", "18BE", "8608A7B"))),
        ("+CEREG: 0,1", ("home", None)),
        ('+CEREG: 2,1,"18BE","8608A7B",7,,,"0001"', ("home", ("460", "01", "18BE", "8608A7B"))),
    ],
)
def test_registration_is_read_as_makers_write_it(bench, line, shown):
    desk = bench({"AT+CEREG?": line + "\nOK", "AT+CREG?": "ERROR"}).up()
    assert (desk.port.status()["registered"], desk.port.status()["cell"]) == shown


def test_data_count_and_calls_do_not(bench):
    desk = bench(DENIED).start()
    desk.until(lambda: desk.port.status()["registered"] == "denied")
    desk.run(60)
    assert desk.port.status()["registered"] == "denied" and not desk.peer.count("AT+QIACT=1")


def test_a_radio_that_an_earlier_run_left_off_is_switched_on(bench):
    desk = bench({"AT+CFUN?": "+CFUN: 0\nOK"}).up()
    assert desk.peer.count("AT+CFUN=1") == 1


def test_what_an_earlier_run_left_open_in_the_modem_is_cleared_first(bench):
    asked = bench().up().peer.asked
    assert asked.index("AT+QIDEACT=1") < asked.index("AT+QIACT=1")


def test_the_access_point_is_the_boards_or_the_parameters_or_the_sims(bench):
    desk = bench(part={"apn": "private.bank"}).up()
    assert 'AT+QICSGP=1,1,"private.bank","","",0' in desk.peer.asked
    desk.port.set_apn("ctnet")
    desk.until(lambda: desk.peer.count('AT+QICSGP=1,1,"ctnet","","",0'))
    desk.port.set_apn("")
    desk.until(lambda: desk.peer.count('AT+QICSGP=1,1,"private.bank","","",0') == 2)


@pytest.mark.parametrize("apn", ['a"b', "a b", "a,b", "x" * 64, None, "中"])
def test_what_is_no_access_point_is_the_callers_mistake(apn):
    with pytest.raises(ValueError, match="access point"):
        AtModem(lambda event: None, {"profile": "ec20", "apn": apn}, "")


def test_a_modem_that_starts_at_another_speed_is_found_and_told_the_boards(bench):
    desk = bench()
    desk.peer.baud = 9600

    def ipr(text):
        desk.later(0.01, lambda: setattr(desk.peer, "baud", int(text.partition("=")[2])))
        return "OK"

    desk.peer.answers["AT+IPR="] = ipr
    desk.up()
    assert desk.peer.baud == desk.baud == 115200
    assert desk.time < 30


def test_a_modem_that_keeps_its_speed_is_spoken_to_at_that(bench):
    desk = bench()
    desk.peer.baud = 57600
    desk.peer.answers["AT+IPR="] = "ERROR"
    desk.up()
    assert desk.baud == 57600


def test_idle_it_asks_for_the_signal_now_and_then_and_sleeps_between(bench):
    desk = bench().up()
    before, waits = len(desk.peer.asked), desk.waits
    desk.run(600)
    asked = desk.peer.asked[before:]
    assert 110 <= asked.count("AT+CSQ") <= 125
    assert len(asked) < 200 and desk.waits - waits < 1000


def test_a_signal_that_only_lte_tells_is_told(bench):
    desk = bench({"AT+CSQ": "+CSQ: 99,99\nOK", "AT+CESQ": "+CESQ: 99,99,255,255,20,45\nOK"}).up()
    assert (desk.port.status()["dbm"], desk.port.status()["bars"]) == (-96, 2)


def test_a_change_that_nobody_can_see_is_not_told(bench):
    desk = bench().up()
    desk.run(10)
    before = len(desk.events)
    desk.peer.answers["AT+CSQ"] = "+CSQ: 24,99\nOK"
    desk.run(10)
    assert desk.port.status()["dbm"] == -65 and len(desk.events) == before
    desk.peer.answers["AT+CSQ"] = "+CSQ: 5,99\nOK"
    desk.run(10)
    assert desk.events[before:] == [Event(NETWORK, 0, None)] and desk.port.status()["bars"] == 1


@pytest.mark.parametrize(
    ("profile", "answers", "told"),
    [
        ("ec20", {}, 1_795_142_045),
        ("ec20", {"AT+QLTS=2": '+QLTS: "2026/11/20,10:34:05-14,0"\nOK'}, 1_795_142_045 + 46 * 900),
        ("ec20", {"AT+QLTS=2": '+QLTS: ""\nOK'}, None),
        ("ec20", {"AT+QLTS=2": "ERROR"}, None),
        ("sim7600", {}, 1_795_142_045),
        ("sim7600", {"AT+CCLK?": '+CCLK: "70/01/01,00:00:05+00"\nOK'}, None),
        ("air724", {"AT+CCLK?": '+CCLK: "26/13/20,10:34:05+32"\nOK'}, None),
    ],
)
def test_the_networks_time_is_utc_and_no_clock_that_was_never_set(bench, profile, answers, told):
    desk = bench(answers, {"profile": profile}).up()
    if told is None:
        assert desk.port.network_time() is None
    else:
        start = desk.port.network_time()
        assert told <= start <= told + 2
        desk.run(100)
        assert start + 99 <= desk.port.network_time() <= start + 101


# The SIM.


def test_a_sim_that_is_busy_or_absent_is_asked_again(bench):
    desk = bench({"AT+CPIN?": "+CME ERROR: 14"}).start()
    desk.run(10)
    assert desk.port.status()["sim"] == "unknown"
    desk.peer.answers["AT+CPIN?"] = "+CME ERROR: SIM not inserted"
    desk.until(lambda: desk.port.status()["sim"] == "absent")
    desk.peer.answers["AT+CPIN?"] = HEALTHY["AT+CPIN?"]
    desk.until(lambda: desk.port.status()["address"], 30)


def locked(desk, pin="1234", tries=3):
    """A SIM with a PIN in the desk's module; returns what it was offered."""
    desk.left, desk.offered = tries, []
    answers = desk.peer.answers

    def offer(text):
        desk.offered.append(text)
        if text == 'AT+CPIN="%s"' % pin:
            answers["AT+CPIN?"] = HEALTHY["AT+CPIN?"]
            return "OK"
        desk.left -= 1
        answers["AT+CPIN?"] = "+CPIN: SIM PIN\nOK" if desk.left else "+CPIN: SIM PUK\nOK"
        return "+CME ERROR: 16" if desk.left else "+CME ERROR: 12"

    answers["AT+CPIN?"] = "+CPIN: SIM PIN\nOK"
    answers["AT+CPIN="] = offer
    answers['AT+QPINC="SC"'] = lambda text: '+QPINC: "SC",%d,10\nOK' % desk.left
    return desk


LADDER = ("AT+CIMI", "AT+CNMI=2,1,0,0,0", "AT+CEREG?", "AT+COPS?", "AT+QIDEACT=1", "AT+QIACT=1", "AT+QIACT?", "AT+CSQ")


@pytest.mark.parametrize("step", LADDER)
def test_a_sim_that_wants_its_pin_is_heard_whatever_the_driver_is_at(bench, step):
    desk = bench()
    whole = desk.peer.answers.get(step, "OK")

    def other_sim(text):
        desk.peer.answers.update(SEARCHING)
        desk.peer.answers[step] = whole
        desk.peer.answers["AT+CPIN?"] = "+CPIN: SIM PIN\nOK"
        return '+CPIN: SIM PIN\n+CEREG: 0\n+QIURC: "pdpdeact",1\n' + whole

    desk.peer.answers[step] = other_sim
    desk.start().until(lambda: desk.port.status()["sim"] == "pin", 15)
    desk.peer.answers.update({text: HEALTHY[text] for text in [*SEARCHING, "AT+CPIN?"]})
    desk.peer.say("+CPIN: READY")
    desk.until(lambda: desk.port.status()["address"], 15)


def test_the_last_try_of_a_pin_is_a_persons(bench):
    desk = locked(bench(pin_source=lambda: bytearray(b"9999")), tries=1).start()
    desk.until(lambda: desk.port.status()["sim"] == "pin")
    desk.run(600)
    assert desk.offered == []


def test_a_pin_that_was_wrong_is_not_tried_again_not_even_by_a_modem_that_began_anew(bench):
    desk = locked(bench(pin_source=lambda: bytearray(b"9999"))).start()
    desk.until(lambda: desk.offered)
    for _ in range(3):
        desk.peer.echo = True
        desk.peer.say("RDY")
        desk.run(100)
    assert len(desk.offered) == 1


def test_three_wrong_ones_by_hand_end_at_the_puk_and_no_more_is_offered(bench):
    desk, words = locked(bench()).start(), []
    desk.until(lambda: desk.port.status()["sim"] == "pin")
    for _ in range(4):
        desk.port.unlock(bytearray(b"0000"), words.append)
        desk.run(5)
    assert words == ["wrong"] * 4 and len(desk.offered) == 3
    assert desk.port.status()["sim"] == "puk"


def test_a_pin_whose_answer_is_lost_is_judged_by_what_the_sim_wants_next(bench):
    desk, words = locked(bench()).start(), []
    desk.until(lambda: desk.port.status()["sim"] == "pin")
    heard = desk.peer.answers["AT+CPIN="]
    desk.peer.answers["AT+CPIN="] = lambda text: heard(text) and None
    desk.port.unlock(bytearray(b"1234"), words.append)
    desk.until(lambda: desk.port.status()["address"])
    assert words == ["right"]


def test_what_is_no_pin_is_not_offered(bench):
    desk, words = locked(bench()).start(), []
    desk.until(lambda: desk.port.status()["sim"] == "pin")
    for pin in (b"12", b'1";+C', b"123456789"):
        desk.port.unlock(bytearray(pin), words.append)
    desk.until(lambda: len(words) == 3)
    assert words == ["wrong"] * 3 and desk.offered == []


def test_of_the_sims_number_only_its_network_is_kept(bench):
    desk = bench().up()
    kept = repr({name: value for name, value in vars(desk.port).items() if name != "_line"})
    assert "460011234567890" not in kept and "46001" in kept


# Cures.


def test_without_a_signal_nothing_is_cured(bench):
    desk = bench({**SEARCHING, **DEAF}).start()
    desk.run(3600)
    assert desk.port.status()["bars"] == 0
    assert not [text for text in desk.peer.asked if text.startswith("AT+CFUN=")]


def test_a_network_that_is_not_found_in_spite_of_a_signal_is_looked_for_by_ever_stronger_means(bench):
    desk = bench(SEARCHING).start()
    desk.until(lambda: desk.peer.count("AT+CFUN=1,1") >= 6, 40_000)
    first, *rest = desk.peer.times("AT+CFUN=1,1")
    assert desk.peer.times("AT+CFUN=0")[0] < first
    gaps = [later - earlier for earlier, later in zip([first, *rest], rest, strict=False)]
    assert gaps[1] < 600 <= gaps[2] and 1800 <= gaps[3] and 3600 <= gaps[4]


def test_a_network_that_denies_is_asked_again_now_and_then_and_the_module_is_not_restarted(bench):
    desk = bench(DENIED).start()
    desk.run(3600)
    assert 3 <= desk.peer.count("AT+CFUN=0") <= 20 and not desk.peer.count("AT+CFUN=1,1")


def test_a_context_that_is_refused_takes_the_ladder_to_the_pins(bench):
    gpio = Gpio()
    desk = gpio.bench = bench({"AT+QIACT=1": "+CME ERROR: 30"}, {"reset": 19, "power": 21}, gpio=gpio)
    seen = []
    desk.start()
    desk.until(lambda: seen.append(desk.port.status()["trouble"]) or len(gpio.moves) > 3)
    order = [one for place, one in enumerate(seen) if one and (place == 0 or seen[place - 1] != one)]
    assert order[: len(CURES) - 1] == list(CURES[1:])
    down, up = gpio.moves[2:4]
    assert (down[1:], up[1:]) == ((19, True), (19, False)) and up[0] - down[0] == pytest.approx(0.3)
    desk.peer.answers["AT+QIACT=1"] = "OK"
    desk.until(lambda: desk.port.status()["address"])
    assert desk.port.status()["trouble"] == ""


def test_a_context_that_is_refused_for_long_is_not_asked_for_without_pause(bench):
    desk = bench({"AT+QIACT=1": "ERROR"}).start()
    desk.run(1200)
    before = desk.peer.count("AT+QIACT=1")
    desk.run(600)
    assert desk.peer.count("AT+QIACT=1") - before <= 40


def test_a_silent_modem_is_failed_and_its_reset_is_pressed(bench):
    gpio = Gpio()
    desk = gpio.bench = bench(part={"reset": 19, "active_low": True}, gpio=gpio).up()
    desk.peer.baud = 0
    desk.until(lambda: desk.port.state == "failed")
    assert gpio.moves == [(0.0, 19, True)]
    desk.until(lambda: len(gpio.moves) == 3)
    assert [level for _, _, level in gpio.moves] == [True, False, True]
    desk.peer.baud, desk.peer.echo = 115200, True
    desk.until(lambda: desk.port.state == "ready" and desk.port.status()["address"])


def test_a_module_that_is_off_gets_its_key_as_soon_as_it_would_have_spoken(bench):
    gpio = Gpio()
    desk = gpio.bench = bench(part={"reset": 19, "power": 21}, gpio=gpio)
    desk.peer.baud = 0
    output = gpio.output

    def key(pin, level):
        output(pin, level)
        if (pin, level) == (21, False):
            desk.later(10, lambda: setattr(desk.peer, "baud", 115200))

    gpio.output = key
    desk.up()
    assert [pin for _, pin, _ in gpio.moves[2:]] == [21, 21]
    assert gpio.moves[2][0] < 30 and desk.time < 60


def test_a_modem_that_does_not_come_back_is_restarted_less_and_less_often(bench):
    gpio = Gpio()
    desk = gpio.bench = bench(part={"power": 21}, gpio=gpio)
    desk.peer.baud = 0
    desk.start()
    desk.run(6 * 3600)
    presses = [when for when, _, level in gpio.moves if level is True]
    gaps = [later - earlier for earlier, later in zip(presses, presses[1:], strict=False)]
    assert gaps[0] < 120 and gaps[1] < 120 and gaps[2] >= 600 and gaps[3] >= 1800 and min(gaps[4:]) >= 3600


def test_a_module_that_says_that_it_began_anew_is_set_up_again(bench):
    desk = bench().up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    desk.peer.echo = True
    desk.peer.say("RDY")
    desk.until(lambda: stream.why == "broken")
    desk.until(lambda: desk.port.status()["address"])
    assert desk.peer.count("ATE0") == 2 and not desk.peer.echo
    states = [value[1] for value in desk.said(PART)]
    assert states == ["ready", "starting", "ready"]


def test_a_module_that_began_anew_without_a_word_is_found_out_by_its_echo(bench):
    desk = bench().up()
    desk.peer.echo = True
    desk.until(lambda: desk.peer.count("ATE0") == 2, 10)


def test_a_command_that_is_not_answered_costs_its_stream_and_no_other(bench):
    desk = bench().up()
    one, two = desk.open_socket(), desk.open_socket()
    desk.until(lambda: one.up and two.up)
    desk.peer.answers["AT+QISEND="] = None
    desk.port.send_socket(one.handle, b"lost")
    desk.until(lambda: one.why == "broken")
    del desk.peer.answers["AT+QISEND="]
    desk.port.send_socket(two.handle, b"kept")
    desk.until(lambda: b"kept" in desk.peer.payloads)
    assert desk.port.state == "ready" and two.why is None


def test_a_modem_that_waits_for_bytes_because_its_prompt_was_lost_is_given_them(bench):
    desk = bench().up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    desk.peer.prompt = b"\r\n\xff\xfe"
    desk.port.send_socket(stream.handle, b"x" * 700)
    desk.until(lambda: stream.why == "broken")
    desk.until(lambda: desk.peer.count("AT+QICLOSE=0"))
    assert desk.port.state == "ready" and len(desk.peer.payloads[0]) == 700 and b"x" not in desk.peer.payloads[0]


def test_a_port_that_vanishes_and_comes_back_at_another_speed(bench):
    desk = bench().up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    desk.there = False
    desk.until(lambda: desk.port.state == "gone")
    assert stream.why == "broken" and desk.port.status()["address"] == ""
    assert desk.port.status()["imei"]  # it may be asked for when the modem is away
    desk.run(3600)
    assert len(desk.said(PART)) == 2
    desk.there, desk.peer.baud, desk.peer.echo = True, 9600, True
    desk.peer.answers["AT+IPR="] = "ERROR"
    desk.until(lambda: desk.port.status()["address"])


def test_a_restart_by_hand_ends_when_it_is_ready_or_when_it_never_is(bench):
    desk = bench().up()
    desk.port.restart(7)
    desk.until(lambda: Event(MODEM_DONE, 7, None) in desk.events)
    assert desk.peer.count("AT+CFUN=1,1") == 1 and desk.port.state == "ready"
    desk.peer.baud = 0
    desk.port.restart(8)
    desk.until(lambda: Event(MODEM_FAILED, 8, "timeout") in desk.events, 200)
    desk.there = False
    desk.until(lambda: desk.port.state == "gone")
    desk.port.restart(9)
    desk.until(lambda: Event(MODEM_FAILED, 9, "no-modem") in desk.events, 10)


# Streams.


@pytest.mark.parametrize(
    ("error", "why"),
    [(565, "name"), (566, "refused"), (567, "refused"), (569, "timeout")],
)
def test_what_the_modem_says_of_a_host_is_told_as_the_links_fault(bench, error, why):
    desk = bench().up()
    desk.peer.answers["AT+QIOPEN="] = lambda text: desk.peer.say("+QIOPEN: 0,%d" % error, 0.5) or "OK"
    stream = desk.open_socket()
    desk.until(lambda: stream.why)
    assert stream.why == why
    desk.until(lambda: desk.peer.count("AT+QICLOSE=0"))
    assert desk.port.status()["trouble"] == ""


def test_an_open_that_fails_at_once_is_explained_by_the_modems_last_error(bench):
    desk = bench({"AT+QIGETERROR": '+QIGETERROR: 566,"socket connect failed"\nOK', "AT+QIOPEN=": "ERROR"}).up()
    stream = desk.open_socket()
    desk.until(lambda: stream.why == "refused")


@pytest.mark.parametrize(("error", "trouble", "cure"), [(563, "socket", "AT+QICLOSE=0"), (561, "context", "AT+QIDEACT=1")])
def test_the_modems_own_trouble_is_cured_and_the_stream_tried_again(bench, error, trouble, cure):
    desk = bench().up()
    before, errors = desk.peer.count(cure), [error]

    def opened(text):
        place = text.partition(",")[2][0]
        desk.peer.say("+QIOPEN: %s,%d" % (place, errors.pop() if errors else 0), 0.1)
        return "OK"

    desk.peer.answers["AT+QIOPEN="] = opened
    stream = desk.open_socket()
    seen = set()
    desk.until(lambda: seen.add(desk.port.status()["trouble"]) or stream.up)
    assert trouble in seen and desk.peer.count(cure) == before + 1
    assert desk.port.status()["trouble"] == ""


def test_a_deadline_is_kept_while_the_modem_thinks_about_something_else(bench):
    desk = bench({"AT+QIACT=1": None}).start()
    desk.until(lambda: desk.peer.count("AT+QIACT=1"))
    begun, stream = desk.time, desk.open_socket(timeout_ms=5_000)
    desk.until(lambda: stream.why)
    assert stream.why == "no-network" and desk.time - begun == pytest.approx(5.0)


def test_hosts_that_do_not_answer_have_the_context_built_again_once_in_a_while(bench):
    desk = bench({"AT+QIOPEN=": "OK"}).up()
    for _ in range(12):
        stream = desk.open_socket(timeout_ms=10_000)
        desk.until(lambda stream=stream: stream.why == "timeout")
    assert desk.peer.count("AT+QIACT=1") == 2
    assert not desk.peer.count("AT+CFUN=0")


def test_a_context_that_the_network_ends_breaks_all_and_is_built_again(bench):
    desk = bench().up()
    streams = [desk.open_socket() for _ in range(3)]
    desk.until(lambda: all(one.up for one in streams))
    desk.peer.answers["AT+QIACT?"] = HEALTHY["AT+QIACT?"].replace("10.7.8.9", "10.7.8.10")
    desk.peer.say('+QIURC: "pdpdeact",1')
    desk.until(lambda: all(one.why == "broken" for one in streams))
    desk.until(lambda: desk.port.status()["address"] == "10.7.8.10")
    assert desk.peer.asked.index("AT+QIDEACT=1", desk.peer.asked.index("AT+QIACT=1")) > 0


def test_a_context_that_is_gone_without_a_word_is_missed(bench):
    desk = bench().up()
    gone = ["OK"]
    desk.peer.answers["AT+QIACT?"] = lambda text: gone.pop() if gone else HEALTHY["AT+QIACT?"]
    desk.until(lambda: desk.peer.count("AT+QIACT=1") == 2, 70)


def test_what_came_before_the_end_is_read_before_the_end_is_told(bench):
    desk = bench().up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    desk.peer.inbound = b'OK\r\n+QIURC: "closed",0\r\n' * 200
    desk.peer.say('+QIURC: "closed",0')
    desk.until(lambda: stream.why == "closed")
    assert stream.data == b'OK\r\n+QIURC: "closed",0\r\n' * 200


def test_bytes_that_were_announced_and_do_not_come_break_the_stream(bench):
    desk = bench().up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    desk.peer.answers["AT+QIRD="] = lambda text: desk.bytes(b"\r\n+QIRD: 500\r\nonly so many") and None
    desk.bytes = lambda data: desk.say(data) or True
    desk.peer.say('+QIURC: "recv",0')
    desk.until(lambda: stream.why == "broken")
    assert stream.data == b""


def test_a_full_modem_is_offered_the_bytes_again_and_given_up_in_time(bench):
    desk = bench().up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    full = [True] * 5
    desk.peer.sent = lambda data: "SEND FAIL" if full and full.pop() else "SEND OK"
    desk.port.send_socket(stream.handle, b"patience")
    desk.until(lambda: len(desk.peer.payloads) == 6)
    assert stream.why is None and set(desk.peer.payloads) == {b"patience"}
    desk.peer.sent = lambda data: "SEND FAIL"
    desk.port.send_socket(stream.handle, b"in vain")
    begun = desk.time
    desk.until(lambda: stream.why == "broken")
    assert desk.time - begun == pytest.approx(20, abs=0.5)


def test_what_is_sent_leaves_in_pieces_that_the_modem_takes(bench):
    desk = bench().up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    desk.port.send_socket(stream.handle, b"a" * 3000)
    desk.port.send_socket(stream.handle, b"b" * 10)
    desk.until(lambda: sum(map(len, desk.peer.payloads)) == 3010)
    assert [len(one) for one in desk.peer.payloads] == [1460, 1460, 90]
    assert b"".join(desk.peer.payloads) == b"a" * 3000 + b"b" * 10


@pytest.mark.parametrize("late", ["+CIPSEND: 0,{n},{k}\nOK", "OK\n+CIPSEND: 0,{n},{k}"])
def test_simcom_tells_how_many_bytes_it_took_and_gets_the_rest_again(bench, late):
    desk = bench(part={"profile": "sim7600"})
    desk.peer.answers["AT+CIPOPEN="] = lambda text: desk.peer.say("+CIPOPEN: 0,0", 0.1) or "OK"
    desk.peer.sent = lambda data: late.format(n=len(data), k=min(40, len(data)))
    desk.up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    desk.port.send_socket(stream.handle, bytes(range(100)))
    desk.until(lambda: len(desk.peer.payloads) == 3)
    assert desk.peer.payloads == [bytes(range(100)), bytes(range(40, 100)), bytes(range(80, 100))]


def test_simcom_says_that_a_stream_is_lost_instead_of_taking_bytes(bench):
    desk = bench(part={"profile": "a7670"})
    desk.peer.answers["AT+CIPOPEN="] = lambda text: desk.peer.say("+CIPOPEN: 0,0", 0.1) or "OK"
    desk.peer.sent = lambda data: "+CIPSEND: 0,%d,-1\nERROR" % len(data)
    desk.up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    desk.port.send_socket(stream.handle, b"x")
    desk.until(lambda: stream.why == "broken")


def test_luat_pushes_what_comes_in_the_middle_of_anything(bench):
    desk = bench(part={"profile": "air724"})
    payload = b"\r\nOK\r\n0, CLOSED\r\nERROR\r\n"
    desk.peer.answers["AT+CIPSTART="] = lambda text: desk.peer.say("0, CONNECT OK", 0.1) or "OK"
    desk.peer.sent = lambda data: "DATA ACCEPT:0,%d" % len(data)

    def signal(text):
        desk.say(b"\r\n+CSQ: 2\r\n+RECEIVE,0,%d:\r\n" % len(payload) + payload + b"\r\n+CSQ: 25,99\r\n\r\nOK\r\n")

    desk.up()
    stream = desk.open_socket()
    desk.until(lambda: stream.up)
    desk.peer.answers["AT+CSQ"] = signal
    desk.until(lambda: stream.data)
    assert stream.data == payload and stream.why is None and desk.port.status()["dbm"] == -63
    desk.say(b"\r\n+RECEIVE,0,400:\r\ncut off")
    desk.until(lambda: stream.why == "broken")


def test_an_interface_of_the_kernel_is_only_switched_on_and_watched(bench):
    kinds = {"now": "0"}
    desk = bench({"AT+CGPADDR=1": '+CGPADDR: 1,"10.9.9.9"\nOK'}, {"ip": "kernel", "interface": "usb0"})
    desk.peer.answers['AT+QCFG="usbnet"'] = lambda text: '+QCFG: "usbnet",%s\nOK' % kinds["now"]
    desk.peer.answers['AT+QCFG="usbnet",1'] = lambda text: kinds.update(now="1") or "OK"
    desk.up()
    assert desk.port.status()["address"] == "10.9.9.9" and desk.peer.count("AT+CFUN=1,1") == 1
    assert not desk.peer.count("AT+QIACT=1")
    stream = desk.open_socket(timeout_ms=60_000)
    begun = desk.time
    desk.until(lambda: stream.why == "no-network")
    assert desk.time - begun < 1


# Messages.

HELLO = "07911326040000F0040B911346610089F60000208062917314080CC8F71D14969741F977FD07"


def test_messages_that_came_while_nobody_was_there_are_told_and_taken_off_the_sim(bench):
    desk = bench({"AT+CMGL=4": "+CMGL: 3,1,,31\t%s\n+CMGL: 5,1,,9\r\n0791ZZ\n+CMGL: 6,2,,31\t%s\nOK" % (HELLO, HELLO)}).up()
    desk.until(lambda: desk.peer.count("AT+CMGD=5"))
    assert desk.said(SMS) == [("+31641600986", "20020826193741", "How are you?")]
    assert desk.peer.count("AT+CMGD=3") == 1 and not desk.peer.count("AT+CMGD=6")


def test_a_message_that_is_told_is_fetched_and_deleted(bench):
    desk = bench({"AT+CMGR=7": "+CMGR: 0,,31\t%s\nOK" % HELLO}).up()
    desk.peer.say('+CMTI: "SM",7')
    desk.until(lambda: desk.peer.count("AT+CMGD=7"))
    assert [one[2] for one in desk.said(SMS)] == ["How are you?"]


def test_a_message_that_the_modem_does_not_store_is_told_as_it_comes(bench):
    desk = bench().up()
    desk.say(b"\r\n+CMT: ,31\r\n" + HELLO.encode() + b"\r\n")
    desk.until(lambda: desk.said(SMS))
    assert desk.said(SMS)[0][0] == "+31641600986"


def test_a_long_message_with_a_part_missing_is_told_in_the_end_with_a_gap(bench):
    # Two of three parts, UCS-2: reference 7.
    head = "0891683108200505F0440D91683108108300F000086211020143502310"
    parts = {1: head + "050003070301" + "4F60597D4F60597D4F60", 3: head + "050003070303" + "518D89C1518D89C1518D"}
    desk = bench({"AT+CMGR=%d" % place: "+CMGR: 0,,40\t%s\nOK" % pdu for place, pdu in parts.items()}).up()
    desk.peer.say('+CMTI: "ME",3')
    desk.peer.say('+CMTI: "ME",1')
    desk.run(300)
    assert desk.said(SMS) == []
    desk.until(lambda: desk.said(SMS))
    assert desk.said(SMS)[0][2] == "你好你好你…再见再见再"
    desk.until(lambda: desk.peer.count("AT+CMGD=1") and desk.peer.count("AT+CMGD=3"))


def test_a_message_goes_as_a_pdu_and_why_it_does_not_is_told(bench):
    desk = bench().up()
    desk.peer.sent = lambda data: "+CMGS: 5\nOK"
    desk.port.send_sms(4, "+8613800138000", "hellohello")
    desk.until(lambda: Event(MODEM_DONE, 4, None) in desk.events)
    assert desk.peer.payloads == [b"0011000D91683108108300F00000A70AE8329BFD4697D9EC37"]
    assert "AT+CMGS=24" in desk.peer.asked
    for code, why in ((500, "refused"), (331, "not-registered"), (310, "no-sim"), (332, "timeout")):
        desk.peer.sent = lambda data, code=code: "+CMS ERROR: %d" % code
        desk.port.send_sms(code, "10086", "?")
        desk.until(lambda code=code, why=why: Event(MODEM_FAILED, code, why) in desk.events)
    desk.peer.sent = lambda data: None
    desk.port.send_sms(6, "10086", "?")
    desk.until(lambda: Event(MODEM_FAILED, 6, "timeout") in desk.events)
    assert len(desk.peer.payloads) == 6  # one that may have left is not sent again


def test_without_pdus_texts_go_and_come_in_ucs2(bench):
    header = '+CMGR: "REC UNREAD","002B0031",,"26/11/20,10:34:05+32"'
    desk = bench({"AT+CMGF=0": "ERROR", 'AT+CMGL="ALL"': "OK", "AT+CMGR=1": header + "\t4F59989D\nOK"}).up()
    desk.peer.sent = lambda data: "+CMGS: 5\nOK"
    desk.port.send_sms(4, "10086", "余额" * 40)
    desk.until(lambda: Event(MODEM_DONE, 4, None) in desk.events)
    assert 'AT+CMGS="00310030003000380036"' in desk.peer.asked
    assert [len(one) for one in desk.peer.payloads] == [280, 40]
    desk.peer.say('+CMTI: "ME",1')
    desk.until(lambda: desk.said(SMS))
    assert desk.said(SMS) == [("+1", "20261120103405", "余额")]


def test_a_message_waits_a_while_for_a_network_that_is_looked_for(bench):
    desk = bench(SEARCHING).start()
    desk.until(lambda: desk.port.status()["registered"] == "searching")
    desk.port.send_sms(4, "10086", "?")
    desk.run(30)
    desk.peer.sent = lambda data: "+CMGS: 5\nOK"
    desk.peer.answers.update(HEALTHY)
    desk.peer.say('+CEREG: 1,"18BE","8608A7B",7')
    desk.until(lambda: Event(MODEM_DONE, 4, None) in desk.events, 10)


# Noise.


@pytest.mark.parametrize("seed", range(6))
def test_noise_and_lines_in_the_middle_of_anything_do_not_stop_it(bench, seed):
    chance = random.Random(seed)
    desk = bench()
    plain = desk.say
    scraps = (
        b"\r\nRING\r\n",
        b'\r\n+QIND: "csq",20,99\r\n',
        b"\xff\xfe\x00",
        b"\r\n+CREG: 1\r\n",
        b"\r\n^MODE: 17,17\r\n",
        b"\r\n\r\n",
    )

    def noisy(data):
        if chance.random() < 0.3:
            plain(chance.choice(scraps))
        if chance.random() < 0.02:
            data = bytes(one for one in data if chance.random() > 0.05)
        plain(data)

    desk.say = noisy
    desk.start()
    desk.run(1800)
    desk.say = plain
    desk.until(lambda: desk.port.status()["address"] and desk.port.status()["trouble"] == "", 5000)
    stream = desk.open_socket(timeout_ms=120_000)
    desk.until(lambda: stream.up or stream.why)
    assert stream.up


@pytest.mark.parametrize("seed", range(8))
def test_a_modem_that_answers_with_anything_at_all_ends_nothing(bench, seed):
    chance = random.Random(seed)
    desk = bench()
    honest = desk.peer._take
    words = (*HEALTHY.values(), "OK", "ERROR", "+CME ERROR: 10", "> ", "+QIRD: 900", '+QIURC: "recv",0', "+CMGL: x,y", "+CMTI: ,",
             "+QIOPEN: 99,0", "+RECEIVE,77,5:", "+CEREG: ,,,", '+QLTS: "', "+CPIN:", "+COPS: 0", "RDY", "SEND OK")  # fmt: skip

    def liar(text):
        desk.peer.asked.append(text)
        desk.peer.reply("\n".join(chance.choice(words) for _ in range(chance.randrange(4))))

    desk.peer._take = liar
    desk.start()
    streams = [desk.open_socket(timeout_ms=20_000) for _ in range(3)]
    desk.run(600)
    desk.peer._take = honest
    desk.peer._want = None
    desk.until(lambda: desk.port.status()["address"], 20_000)
    assert all(one.why or one.up for one in streams)
