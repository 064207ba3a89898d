"""The emulated 4G module over its pty: what real ones answer, what the world does to them, connections that connect."""

import os
import queue
import random
import re
import select
import socket
import threading
import time
import tty
import types

import pytest

from emulator.chips import modem_at, modem_sms
from emulator.chips.modem import ModemChip
from emulator.chips.modem_tables import FAMILIES, FAST
from emulator.radio import TOWERS, Message, Radio, Sim, kept_papers, luhn
from emulator.wires import set_speed

PAPERS = {"imei": "860000051234561", "iccid": "89860012345678901237", "imsi": "460011234567890", "number": "+8614401234567"}
NOON = 1_718_424_000  # 2024-06-15 04:00:00 UTC, noon in Beijing
PATIENCE_S = 5.0
FINAL = re.compile(
    rb"\r\n(OK|ERROR|\+CM[ES] ERROR: [^\r]*|SEND OK|SEND FAIL|SHUT OK|DATA ACCEPT:[^\r]*|\d, (?:CLOSE|SEND) OK)\r\n"
)


class Host:
    """The host's end of the wire: writes, and reads until something has come."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self.seen = b""

    def write(self, data):
        os.write(self.fd, data if isinstance(data, bytes) else data.encode())

    def until(self, pattern, seconds=PATIENCE_S):
        """Takes everything up to and with the pattern; fails with what there is."""
        pattern = re.compile(pattern, re.DOTALL) if isinstance(pattern, bytes) else pattern
        end = time.monotonic() + seconds
        while True:
            match = pattern.search(self.seen)
            if match:
                taken, self.seen = self.seen[: match.end()], self.seen[match.end() :]
                return taken
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"{pattern.pattern!r} never came; there is {self.seen!r}")
            self.seen += os.read(self.fd, 4096)

    def quiet(self, seconds=0.05):
        """Whether nothing comes."""
        return not self.seen and not select.select([self.fd], [], [], seconds)[0]

    def drain(self, seconds=0.05):
        while select.select([self.fd], [], [], seconds)[0]:
            self.seen += os.read(self.fd, 4096)
        taken, self.seen = self.seen, b""
        return taken

    def ask(self, command):
        """The lines of an answer, its result last."""
        self.write(command + "\r")
        answer = self.until(FINAL)
        return [line for line in answer.decode("latin-1").replace("\r", "\n").split("\n") if line and line != command]

    def close(self):
        os.close(self.fd)


class Bench:
    """One module, a host on its wire, a world round it."""

    def __init__(self, model="ec20", times=None, on=True, **world):
        self.radio = Radio(PAPERS, now=lambda: NOON)
        for name, value in world.items():
            setattr(self.radio, name, value)
        self.log = []
        self.chip = ModemChip(self.radio, model, log=lambda kind, text: self.log.append(text), fast=True)
        self.chip.times = FAST._replace(**(times or {}))
        self.host = Host(self.chip.open_pty())
        set_speed(self.chip.fd, 115200)
        self.chip.start()
        if on:
            self.start()
            if self.radio.inserted and self.radio.percent:
                self.registered()

    def start(self):
        self.chip.power_on()
        self.host.until(re.escape(self.chip.family.ready[-1]).encode() + b"\r\n")
        self.host.ask("ATE0")

    def registered(self):
        """Waits until the network has taken it."""
        for _ in range(400):
            answer = self.host.ask("AT+CREG?")[-2]
            if answer.split(",")[1] in "15":
                self.host.drain(0.02)
                return self
            self.host.quiet(0.01)
        raise AssertionError(answer)

    def close(self):
        self.chip.close()
        self.host.close()


@pytest.fixture
def bench(request):
    """bench("sim7600", ...) makes one; all are taken away."""
    made = []

    def make(*words, **options):
        made.append(Bench(*words, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def peer():
    """A host on this machine that sends back what it is sent, turned round, and ends when it is sent "bye"."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = queue.SimpleQueue()

    def serve():
        while True:
            try:
                line = listener.accept()[0]
            except OSError:
                return
            seen.put(line)
            threading.Thread(target=talk, args=(line,), daemon=True).start()

    def talk(line):
        with line:
            while True:
                try:
                    data = line.recv(4096)
                except OSError:
                    return
                if not data or data == b"bye":
                    return
                line.sendall(data[::-1])

    threading.Thread(target=serve, daemon=True).start()
    yield types.SimpleNamespace(port=listener.getsockname()[1], line=lambda: seen.get(timeout=PATIENCE_S))
    listener.close()


# -- lines


def test_a_module_echoes_until_it_is_told_not_to(bench):
    b = bench()
    b.host.ask("ATE1")
    b.host.write("AT+CSQ\r")
    assert b.host.until(FINAL) == b"AT+CSQ\r\r\n+CSQ: 25,99\r\n\r\nOK\r\n"
    b.host.write("ATE0\r")
    assert b.host.until(FINAL) == b"ATE0\r\r\nOK\r\n"
    b.host.write("AT+CSQ\r")
    assert b.host.until(FINAL) == b"\r\n+CSQ: 25,99\r\n\r\nOK\r\n"


def test_results_are_numbers_on_request(bench):
    b = bench()
    b.host.write("ATV0\r")
    assert b.host.until(rb"0\r") == b"0\r"
    b.host.write("AT+CSQ\r")
    assert b.host.until(rb"\n0\r") == b"+CSQ: 25,99\r\n0\r"
    b.host.write("AT+WHAT\r")
    assert b.host.until(rb"4\r") == b"4\r"


@pytest.mark.parametrize(("mode", "result"), [(0, "ERROR"), (1, "+CME ERROR: 10"), (2, "+CME ERROR: SIM not inserted")])
def test_errors_are_told_as_they_are_asked_for(bench, mode, result):
    b = bench(inserted=False)
    b.host.ask(f"AT+CMEE={mode}")
    assert b.host.ask("AT+CPIN?") == [result]


def test_several_commands_have_one_result_and_the_first_error_ends_the_line(bench):
    b = bench()
    assert b.host.ask("AT+CREG=2;+CSQ;E0;+CMEE?;+COPS=3,2") == ["+CSQ: 25,99", "+CMEE: 1", "OK"]
    assert b.host.ask("AT+CMEE=0;+NOSUCH;+CMEE=2") == ["ERROR"]
    assert b.host.ask("AT+CMEE?") == ["+CMEE: 0", "OK"]


@pytest.mark.parametrize("line", ["AT+NOSUCH", "AT+CSQ=1,2,", "AT+CREG=9", "AT+", "AT+CREG=x", "AT%", "ATD123"])
def test_what_it_does_not_know_is_an_error(bench, line):
    b = bench()
    assert b.host.ask(line)[-1] in ("ERROR", "+CME ERROR: 50")


def test_what_stands_before_the_command_is_not_looked_at(bench):
    b = bench()
    b.host.write(b"\xff\x00~~\nat+csq\r\n")
    assert b.host.until(FINAL).endswith(b"\r\n+CSQ: 25,99\r\n\r\nOK\r\n")
    b.host.write(b"no command\r")
    assert b.host.quiet()


def test_at_the_wrong_speed_nothing_is_understood_and_ipr_changes_it(bench):
    b = bench()
    set_speed(b.chip.fd, 9600)
    b.host.write("AT\r")
    assert b.host.quiet()
    set_speed(b.chip.fd, 115200)
    assert b.host.ask("AT+IPR=9600") == ["OK"]
    b.host.quiet(0.1)
    set_speed(b.chip.fd, 9600)
    assert b.host.ask("AT+IPR?") == ["+IPR: 9600", "OK"]


def test_any_bytes_are_survived(bench):
    chance = random.Random(7)
    b = bench()
    for _ in range(60):
        start = chance.choice([b"AT+", b"AT", b"", b"AT+QI", b"AT+CM", b'AT+CPIN="'])
        b.host.write(start + bytes(chance.choice(b'+=?;,"0123456789AEIQ\x00\x1a\x1b\xff\n ') for _ in range(20)) + b"\r")
    b.host.write(b"\x1a\x1b\r")
    b.host.drain(0.1)
    b.host.write("AT\rATE0V1\r")
    b.host.drain(0.1)
    assert b.host.ask("AT+CMEE=1") == ["OK"]


@pytest.mark.parametrize("model", sorted(FAMILIES))
def test_it_says_who_it_is(bench, model):
    b = bench(model)
    assert b.host.ask("AT+GSN") == [PAPERS["imei"], "OK"]
    assert FAMILIES[model].revision in "".join(b.host.ask("ATI"))
    assert FAMILIES[model].model in b.host.ask("AT+CGMM")[0]
    b.registered()
    name = {"quectel": "AT+QCCID", "simcom": "AT+CICCID", "air": "AT+ICCID"}[FAMILIES[model].dialect]
    assert b.host.ask(name)[0].endswith(": " + PAPERS["iccid"])
    assert b.host.ask("AT+CIMI") == [PAPERS["imsi"], "OK"]


# -- power


def test_it_is_dumb_until_it_has_started(bench):
    b = bench(on=False, times={"boot": 0.4})
    b.host.write("AT\r")
    assert b.host.quiet()
    b.chip.power_on()
    b.host.write("AT\r")
    assert b.host.quiet()
    assert b.host.until(rb"RDY\r\n").startswith(b"\r\nRDY\r\n")


def test_without_power_everything_is_forgotten(bench):
    b = bench()
    b.host.ask("AT+CMEE=0")
    b.chip.reset()
    b.host.write("AT\r")
    assert b.host.quiet()
    assert b.chip.power == "off"
    b.start()
    assert b.host.ask("AT+CMEE?") == ["+CMEE: 1", "OK"]


@pytest.mark.parametrize("command", ["AT+CFUN=1,1", "reset"])
def test_it_restarts(bench, command):
    b = bench()
    if command == "reset":
        b.chip.pull_reset()
    else:
        assert b.host.ask(command) == ["OK"]
    b.host.until(rb"\r\nRDY\r\n")
    b.registered()


@pytest.mark.parametrize(("model", "command", "word"), [("ec20", "AT+QPOWD=1", b"POWERED DOWN"),
                                                        ("sim7600", "AT+CPOF", b"NORMAL POWER DOWN"),
                                                        ("air724", "AT+CPOWD=1", b"NORMAL POWER DOWN")])  # fmt: skip
def test_it_switches_itself_off_and_a_key_switches_it_on(bench, model, command, word):
    b = bench(model)
    b.host.ask(command)
    b.host.until(word + rb"\r\n")
    b.host.write("AT\r")
    assert b.host.quiet()
    b.chip.press_key()
    b.host.until(re.escape(b.chip.family.ready[-1]).encode())


def test_flight_mode_leaves_the_network_and_comes_back(bench):
    b = bench()
    assert b.host.ask("AT+CFUN=4") == ["OK"]
    assert b.host.ask("AT+CREG?") == ["+CREG: 0,0", "OK"]
    assert b.host.ask("AT+CSQ") == ["+CSQ: 99,99", "OK"]
    assert b.host.ask("AT+CFUN=1") == ["OK"]
    b.registered()


# -- the SIM


def test_a_sim_comes_and_goes(bench):
    b = bench()
    b.radio.insert(False)
    b.host.until(rb"\r\n\+CPIN: NOT READY\r\n")
    assert b.host.ask("AT+CPIN?") == ["+CME ERROR: 10"]
    assert b.host.ask("AT+CREG?") == ["+CREG: 0,0", "OK"]
    b.radio.insert(True)
    b.host.until(rb"\r\n\+CPIN: READY\r\n")
    b.registered()


def test_a_sim_that_asks_is_opened_by_its_pin(bench):
    b = bench(on=False)
    b.radio.ask_pin(True)
    b.start()
    b.host.until(rb"\+CPIN: SIM PIN\r\n")
    assert b.host.ask("AT+CIMI") == ["+CME ERROR: 11"]
    assert b.host.ask("AT+CPIN=9999") == ["+CME ERROR: 16"]
    assert b.host.ask('AT+QPINC="SC"')[0] == '+QPINC: "SC",2,10'
    assert b.host.ask('AT+CPIN="1234"') == ["OK"]
    b.registered()
    assert b.host.ask("AT+CPIN=1234") == ["+CME ERROR: 3"]


def test_three_wrong_pins_ask_for_the_puk(bench):
    b = bench(on=False)
    b.radio.ask_pin(True)
    b.start()
    b.host.until(rb"SIM PIN\r\n")
    assert [b.host.ask("AT+CPIN=1111")[0] for _ in range(3)] == ["+CME ERROR: 16", "+CME ERROR: 16", "+CME ERROR: 12"]
    assert b.host.ask("AT+CPIN?") == ["+CPIN: SIM PUK", "OK"]
    assert b.host.ask("AT+CPIN=1234") == ["+CME ERROR: 12"]
    assert b.host.ask("AT+CPIN=87654321,2222") == ["+CME ERROR: 16"]
    assert b.host.ask("AT+CPIN=12345678,2222") == ["OK"]
    b.registered()
    assert b.radio.card.pin == "2222" and b.radio.card.tries == 3


def test_a_puk_tried_too_often_kills_the_sim():
    card = Sim("1", "2", "3")
    card.tries = 0
    assert not any(card.unblock("00000000", "1111") for _ in range(11))
    assert card.state == "dead" and not card.verify("1234") and "1234" not in repr(card)


def test_a_pin_is_in_no_log(bench):
    b = bench(on=False)
    b.radio.ask_pin(True)
    b.start()
    b.host.until(rb"SIM PIN\r\n")
    for line in ('AT+CPIN="7391"', "AT+CPIN=7391,6218", 'AT+CLCK="SC",1,"7391"', "AT+CPIN 7391", "7391", "AT7391"):
        b.host.ask("AT") if line == "7391" else None
        b.host.write(line + "\r")
        b.host.drain()
    assert b.host.ask("AT+CPIN=1234") and not [line for line in b.log if "7391" in line or "6218" in line or "1234" in line]
    assert "→ AT+CPIN=…" in b.log and '→ AT+CLCK="SC",1,…' in b.log


# -- the network


def test_the_read_form_has_its_mode_first_and_the_unsolicited_one_has_not(bench):
    b = bench(percent=0)
    assert b.host.ask("AT+CREG=2;+CGREG=1;+CEREG=2") == ["OK"]
    b.radio.signal(80)
    told = b.host.until(rb'\+CEREG: 1,"18BE","8608A7B",7\r\n')
    assert b'\r\n+CREG: 1,"18BE","8608A7B",7\r\n' in told and b"\r\n+CGREG: 1\r\n" in told
    assert b.host.ask("AT+CEREG?") == ['+CEREG: 2,1,"18BE","8608A7B",7', "OK"]
    assert b.host.ask("AT+CGREG?") == ["+CGREG: 1,1", "OK"]


def test_a_lost_signal_is_searched_for_and_found_again(bench):
    b = bench()
    b.host.ask("AT+CEREG=1")
    b.radio.signal(0)
    assert b.host.ask("AT+CSQ") == ["+CSQ: 99,99", "OK"]
    b.host.until(rb"\r\n\+CEREG: 2\r\n")
    assert b.host.ask("AT+COPS?") == ["+COPS: 0", "OK"]
    assert b.host.ask("AT+QNWINFO") == ["+QNWINFO: No Service", "OK"]
    b.radio.signal(60)
    b.host.until(rb"\r\n\+CEREG: 1\r\n")
    assert b.host.ask("AT+COPS?") == ['+COPS: 0,0,"CHN-UNICOM",7', "OK"]


def test_a_signal_that_is_back_at_once_was_never_lost(bench):
    b = bench(times={"lose": 0.4})
    b.host.ask("AT+CEREG=1")
    b.radio.signal(0)
    b.host.ask("AT")
    b.radio.signal(70)
    assert b.host.quiet(0.5)


@pytest.mark.parametrize("why", ["denied", "frozen"])
def test_a_denied_registration_is_not_a_search(bench, why):
    b = bench()
    b.host.ask("AT+CREG=1")
    (b.radio.deny if why == "denied" else b.radio.freeze)(True)
    b.host.until(rb"\r\n\+CREG: 3\r\n")
    (b.radio.deny if why == "denied" else b.radio.freeze)(False)
    b.host.until(rb"\r\n\+CREG: 1\r\n")


def test_each_tower_is_a_cell_of_its_own(bench):
    b = bench()
    b.host.ask("AT+CREG=2")
    for tower in TOWERS[1:]:
        b.radio.move(tower.name)
        access = {"4G": 7, "3G": 2, "2G": 0}[tower.technology]
        stat = 1 if tower.network == "46001" else 5
        b.host.until(f'\\+CREG: {stat},"{tower.area:04X}","{tower.cell:X}",{access}\r\n'.encode())
        assert b.host.ask('AT+QENG="servingcell"')[0].count(f"{tower.network[:3]},{tower.network[3:]}") == 1
    with pytest.raises(ValueError, match="there are shop street"):
        b.radio.move("moon")


def test_operators_are_named_in_words_and_in_numbers_and_looked_for(bench):
    b = bench()
    assert b.host.ask("AT+COPS=3,2") == ["OK"] and b.host.ask("AT+COPS?")[0] == '+COPS: 0,2,"46001",7'
    found = b.host.ask("AT+COPS=?")[0]
    assert '(1,"CHN-CT","CT","46011",7)' in found and found.endswith(",,(0-4),(0-2)")


def test_a_stronger_signal_has_more_bars():
    radio = Radio(PAPERS)
    seen = []
    for percent in (0, 5, 25, 40, 60, 100):
        radio.signal(percent)
        seen.append((radio.dbm, radio.bars))
    assert seen == [(None, 0), (-110, 0), (-97, 1), (-88, 2), (-76, 3), (-51, 4)]
    with pytest.raises(ValueError):
        radio.signal(101)


def test_network_time_is_utc_or_local_as_it_is_asked_for(bench):
    b = bench()
    assert b.host.ask("AT+QLTS=1")[0].startswith('+QLTS: "2024/06/15,04:00:0')
    assert b.host.ask("AT+QLTS=2")[0].startswith('+QLTS: "2024/06/15,12:00:0')
    assert b.host.ask("AT+CCLK?")[0].startswith('+CCLK: "24/06/15,04:00:0')
    b.host.ask("AT+CTZU=3")
    assert re.fullmatch(r'\+CCLK: "24/06/15,12:00:0\d\+32"', b.host.ask("AT+CCLK?")[0])


def test_without_network_time_the_clock_is_where_it_began(bench):
    b = bench(time="absent")
    assert b.host.ask("AT+QLTS=1") == ['+QLTS: ""', "OK"]
    assert b.host.ask("AT+CCLK?")[0].startswith('+CCLK: "80/01/06,')


def test_air_tells_the_time_by_itself(bench):
    b = bench("air724", on=False)
    b.start()
    b.host.until(rb"\+NITZ: 2024/06/15,04:00:00\+32,0\r\n")


# -- connections


def quectel(bench, **options):
    b = bench(**options)
    assert b.host.ask('AT+QICSGP=1,1,"cmnet","","",0') == ["OK"]
    assert b.host.ask("AT+QIACT=1") == ["OK"]
    b.host.drain(0.02)
    return b


def opened(b, port, host="127.0.0.1", number=0):
    assert b.host.ask(f'AT+QIOPEN=1,{number},"TCP","{host}",{port},0,0') == ["OK"]
    return b.host.until(rb"\+QIOPEN: \d+,\d+\r\n").split(b",")[-1].strip()


def test_quectel_sends_receives_and_sees_the_end(bench, peer):
    b = quectel(bench)
    assert re.fullmatch(r'\+QIACT: 1,1,1,"10\.\d+\.\d+\.\d+"', b.host.ask("AT+QIACT?")[0])
    assert opened(b, peer.port, "acquirer.test") == b"0"
    payload = b'\x00\x1a\x1b\r\nOK\r\n+QIURC: "closed",0\r\n'
    b.host.write(f"AT+QISEND=0,{len(payload)}\r")
    assert b.host.until(rb"> ") == b"\r\n> "
    b.host.write(payload)
    assert b.host.until(FINAL) == b"\r\nSEND OK\r\n"
    b.host.until(rb'\r\n\+QIURC: "recv",0\r\n')
    b.host.write("AT+QIRD=0,1500\r")
    expected = b"\r\n+QIRD: %d\r\n" % len(payload) + payload[::-1] + b"\r\n\r\nOK\r\n"
    assert b.host.until(re.escape(expected)) == expected
    assert b.host.ask("AT+QIRD=0,1500") == ["+QIRD: 0", "OK"]
    assert b.host.ask("AT+QISEND=0,0") == [f"+QISEND: {len(payload)},{len(payload)},0", "OK"]
    b.host.write("AT+QISEND=0,3\r")
    b.host.until(rb"> ")
    b.host.write("bye")
    b.host.until(rb'\+QIURC: "closed",0\r\n')
    assert b.host.ask("AT+QISEND=0,3") == ["ERROR"]
    assert b.host.ask("AT+QICLOSE=0") == ["OK"]
    assert not [line for line in b.log if "bye" in line or "closed" in line and "→" in line]


def test_quectel_tells_once_that_there_is_something_and_keeps_the_rest(bench, peer):
    b = quectel(bench)
    opened(b, peer.port)
    line = peer.line()
    line.sendall(b"a" * 100)
    b.host.until(rb'"recv",0\r\n')
    line.sendall(b"b" * 100)
    assert b.host.quiet()
    assert b.host.ask("AT+QIRD=0,0") == ["+QIRD: 200,0,200", "OK"]
    b.host.write("AT+QIRD=0,150\r")
    assert b"a" * 100 + b"b" * 50 in b.host.until(FINAL)
    assert b.host.ask("AT+QIRD=0,0") == ["+QIRD: 200,150,50", "OK"]


def test_quectel_pushes_what_comes_in_mode_1(bench, peer):
    b = quectel(bench)
    b.host.ask(f'AT+QIOPEN=1,3,"TCP","127.0.0.1",{peer.port},0,1')
    b.host.until(rb"\+QIOPEN: 3,0\r\n")
    peer.line().sendall(b"\r\nOK\r\n")
    b.host.until(rb'\r\n\+QIURC: "recv",3,6\r\n\r\nOK\r\n')


def test_a_buffer_has_an_end_and_its_peer_feels_it(bench, peer):
    b = quectel(bench)
    opened(b, peer.port)
    peer.line().sendall(b"x" * 30_000)
    b.host.until(rb'"recv",0\r\n')
    b.host.drain(0.1)
    held = int(b.host.ask("AT+QIRD=0,0")[0].split(",")[-1])
    assert held == 10_240
    got = 0
    while got < 30_000:
        b.host.write("AT+QIRD=0,1500\r")
        head = b.host.until(rb"\+QIRD: \d+\r\n")
        got += int(re.search(rb": (\d+)", head)[1])
        b.host.until(FINAL)
    assert got == 30_000


@pytest.mark.parametrize(("host", "code"), [("192.0.2.1", b"566"), ("nowhere.test", b"565"), ("8.8.8.8", b"566")])
def test_only_this_machine_can_be_reached(bench, host, code):
    b = quectel(bench)
    assert opened(b, 443, host) == code
    assert b.host.ask("AT+QIGETERROR")[0].startswith("+QIGETERROR: " + code.decode())


def test_nobody_listens(bench, peer):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert opened(quectel(bench), port) == b"566"


def test_a_number_that_is_used_and_a_context_that_is_not_open_are_told(bench, peer):
    b = quectel(bench)
    assert opened(b, peer.port) == b"0"
    assert opened(b, peer.port) == b"563"
    b.host.ask("AT+QIDEACT=1")
    assert opened(b, peer.port) == b"561"
    assert b.host.ask("AT+QIACT?") == ["OK"]


def test_lost_coverage_holds_data_and_gives_it_up_after_a_while(bench, peer):
    b = quectel(bench, times={"drop": 0.8})
    opened(b, peer.port)
    b.radio.signal(0)
    b.host.write("AT+QISEND=0,5\r")
    b.host.until(rb"> ")
    b.host.write("hello")
    b.host.until(rb"SEND OK\r\n")  # taken by the module, not by its peer
    assert b.host.ask("AT+QISEND=0,0") == ["+QISEND: 5,0,5", "OK"]
    b.host.until(rb'\+QIURC: "pdpdeact",1\r\n')
    assert peer.line().fileno() > 0 and b.host.ask("AT+QIRD=0,0")[-1] == "ERROR"
    b.radio.signal(90)
    b.registered()
    assert b.host.ask("AT+QIACT=1") == ["ERROR"]
    assert b.host.ask("AT+QIDEACT=1") == ["OK"]
    assert b.host.ask("AT+QIACT=1") == ["OK"]
    assert opened(b, peer.port) == b"0"


def test_data_sent_without_coverage_travels_when_it_is_back(bench, peer):
    b = quectel(bench, times={"drop": 30.0, "lose": 30.0})
    opened(b, peer.port)
    b.radio.signal(0)
    b.host.write("AT+QISEND=0,5\r")
    b.host.until(rb"> ")
    b.host.write("hello")
    b.host.until(rb"SEND OK\r\n")
    assert b.host.quiet()
    b.radio.signal(50)
    b.host.until(rb'"recv",0\r\n')
    b.host.write("AT+QIRD=0,10\r")
    assert b"olleh" in b.host.until(FINAL)


def test_a_refused_data_connection_is_not_a_refused_registration(bench):
    b = bench(no_data=True)
    assert b.host.ask("AT+CGATT?") == ["+CGATT: 0", "OK"]
    assert b.host.ask("AT+QIACT=1") == ["ERROR"]
    assert b.host.ask("AT+QIGETERROR")[0] == "+QIGETERROR: 561,open PDP context failed"


def test_names_are_looked_up(bench):
    b = quectel(bench)
    assert b.host.ask('AT+QIDNSGIP=1,"acquirer.test"') == ["OK"]
    b.host.until(rb'\+QIURC: "dnsgip",0,1,600\r\n\r\n\+QIURC: "dnsgip","127.0.0.1"\r\n')
    b.host.ask('AT+QIDNSGIP=1,"nowhere.test"')
    b.host.until(rb'\+QIURC: "dnsgip",565\r\n')


@pytest.mark.parametrize("model", ["sim7600", "a7670"])
def test_simcom_sends_receives_and_sees_the_end(bench, peer, model):
    b = bench(model)
    assert b.host.ask('AT+CIPOPEN=0,"TCP","127.0.0.1",80') == ["+CIPOPEN: 0,2", "ERROR"]
    b.host.ask('AT+CGDCONT=1,"IP","cmnet"')
    b.host.ask("AT+CIPRXGET=1")
    assert b.host.ask("AT+NETOPEN") == ["OK"]
    b.host.until(rb"\r\n\+NETOPEN: 0\r\n")
    assert b.host.ask("AT+NETOPEN") == ["+IP ERROR: Network is already opened", "ERROR"]
    assert b.host.ask("AT+IPADDR")[0].startswith("+IPADDR: 10.")
    assert b.host.ask(f'AT+CIPOPEN=1,"TCP","127.0.0.1",{peer.port}') == ["OK"]
    b.host.until(rb"\+CIPOPEN: 1,0\r\n")
    b.host.write("AT+CIPSEND=1,6\r")
    assert b.host.until(rb">") == b"\r\n>"
    b.host.write("\r\nOK\r\n")
    assert b.host.until(rb"\+CIPSEND: 1,6,6\r\n").startswith(b"\r\nOK\r\n\r\n+CIPSEND")
    b.host.until(rb"\+CIPRXGET: 1,1\r\n")
    assert b.host.ask("AT+CIPRXGET=4,1") == ["+CIPRXGET: 4,1,6", "OK"]
    b.host.write("AT+CIPRXGET=2,1,100\r")
    b.host.until(rb"\r\n\+CIPRXGET: 2,1,6,0\r\n\n\rKO\n\r\r\n\r\nOK\r\n")
    assert b.host.ask("AT+CIPRXGET=2,1,100") == ["+IP ERROR: No data", "ERROR"]
    b.host.write("AT+CIPSEND=1,3\r")
    b.host.until(rb">")
    b.host.write("bye")
    b.host.until(rb"\+IPCLOSE: 1,1\r\n")
    assert b.host.ask("AT+CIPSEND=1,3") == ["+CIPERROR: 4", "ERROR"]
    assert b.host.ask("AT+NETCLOSE") == ["OK"]
    b.host.until(rb"\+NETCLOSE: 0\r\n")


def test_simcom_pushes_what_comes_unless_it_is_told_to_keep_it(bench, peer):
    b = bench("sim7600")
    b.host.ask("AT+NETOPEN")
    b.host.until(rb"\+NETOPEN: 0\r\n")
    b.host.ask(f'AT+CIPOPEN=0,"TCP","localhost",{peer.port}')
    b.host.until(rb"\+CIPOPEN: 0,0\r\n")
    peer.line().sendall(b"12345")
    b.host.until(b"\\r\\nRECV FROM:127.0.0.1:%d\\r\\n\\+IPD5\\r\\n12345" % peer.port)


def test_simcom_tells_when_the_network_is_gone_and_must_be_closed(bench, peer):
    b = bench("sim7600", times={"drop": 0.1})
    b.host.ask("AT+NETOPEN")
    b.host.until(rb"\+NETOPEN: 0\r\n")
    b.host.ask(f'AT+CIPOPEN=0,"TCP","127.0.0.1",{peer.port}')
    b.host.until(rb"\+CIPOPEN: 0,0\r\n")
    b.radio.signal(0)
    b.host.until(rb"\+IPCLOSE: 0,2\r\n.*\+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY\r\n")
    b.radio.signal(80)
    b.registered()
    assert b.host.ask("AT+NETOPEN?") == ["+NETOPEN: 1", "OK"]
    assert b.host.ask("AT+CIPSEND=0,5") == ["+CIPERROR: 2", "ERROR"]
    b.host.ask("AT+NETCLOSE")
    b.host.until(rb"\+NETCLOSE: 0\r\n")
    b.host.ask("AT+NETOPEN")
    b.host.until(rb"\+NETOPEN: 0\r\n")


def air(bench, **options):
    b = bench("air724", **options)
    assert b.host.ask("AT+CIPSHUT") == ["SHUT OK"]
    for command in ("AT+CIPMUX=1", "AT+CIPQSEND=1", 'AT+CSTT="cmnet","",""', "AT+CIICR"):
        assert b.host.ask(command) == ["OK"]
    b.host.write("AT+CIFSR\r")
    b.host.until(rb"\r\n10\.\d+\.\d+\.\d+\r\n")
    return b


def test_air_sends_receives_and_sees_the_end(bench, peer):
    b = air(bench)
    assert b.host.ask(f'AT+CIPSTART=0,"TCP","127.0.0.1",{peer.port}') == ["OK"]
    b.host.until(rb"\r\n0, CONNECT OK\r\n")
    b.host.write("AT+CIPSEND=0,4\r")
    b.host.until(rb"\r\n> ")
    b.host.write("OK\r\n")
    b.host.until(rb"\r\nDATA ACCEPT:0,4\r\n")
    b.host.until(rb"\r\n\+RECEIVE,0,4:\r\n\n\rKO")
    assert b.host.ask("AT+CIPACK=0") == ["+CIPACK: 4,4,0", "OK"]
    b.host.write("AT+CIPSEND=0,3\r")
    b.host.until(rb"> ")
    b.host.write("bye")
    b.host.until(rb"\r\n0, CLOSED\r\n")
    assert b.host.ask("AT+CIPSEND=0,3")[-1] == "+CME ERROR: 3"


def test_air_leaves_a_lost_context_by_shutting_it(bench, peer):
    b = air(bench, times={"drop": 0.1})
    b.host.ask(f'AT+CIPSTART=1,"TCP","127.0.0.1",{peer.port}')
    b.host.until(rb"1, CONNECT OK\r\n")
    b.radio.signal(0)
    b.host.until(rb"\+PDP: DEACT\r\n")
    b.radio.signal(80)
    b.registered()
    assert b.host.ask("AT+CIICR")[-1] == "+CME ERROR: 3"
    assert b.host.ask("AT+CIPSHUT") == ["SHUT OK"]
    assert b.host.ask('AT+CSTT="cmnet"') == ["OK"] and b.host.ask("AT+CIICR") == ["OK"]


def test_air_tells_a_failed_connection(bench):
    b = air(bench)
    b.host.ask('AT+CIPSTART=0,"TCP","192.0.2.1","80"')
    b.host.until(rb"\r\n0, CONNECT FAIL\r\n")


# -- short messages


def test_a_message_that_comes_is_told_read_and_deleted(bench):
    b = bench()
    b.host.ask("AT+CMGF=1;+CNMI=2,1,0,0,0")
    b.radio.send("Your bill is 12.34 [CNY]", "10010")
    b.host.until(rb'\r\n\+CMTI: "ME",0\r\n')
    assert b.host.ask("AT+CMGR=0") == ['+CMGR: "REC UNREAD","10010",,"24/06/15,12:00:00+32"', "Your bill is 12.34 [CNY]", "OK"]
    assert b.host.ask('AT+CMGL="REC UNREAD"') == ["OK"]
    assert b.host.ask('AT+CMGL="ALL"')[0].startswith('+CMGL: 0,"REC READ"')
    assert b.host.ask("AT+CMGD=0") == ["OK"]
    assert b.host.ask("AT+CMGR=0") == ["+CMS ERROR: 321"]
    assert not [line for line in b.log if "bill" in line]


def test_chinese_is_told_in_hexadecimal_and_as_a_pdu(bench):
    b = bench()
    b.host.ask("AT+CMGF=1;+CNMI=2,1")
    b.radio.send("余额不足")
    b.host.until(rb"\+CMTI[^\r]*\r\n")
    assert b.host.ask("AT+CMGR=0")[1] == "余额不足".encode("utf-16-be").hex().upper()
    b.host.ask("AT+CMGF=0")
    head, pdu, _ = b.host.ask("AT+CMGR=0")
    assert pdu.endswith("08" + "余额不足".encode("utf-16-be").hex().upper()) and head == f"+CMGR: 1,,{len(pdu) // 2 - 9}"


def test_a_message_to_nobody_waits_in_the_network(bench):
    b = bench()
    b.host.ask("AT+CNMI=2,1")
    b.radio.signal(0)
    b.radio.send("later")
    assert len(b.radio.waiting) == 1 and b.host.quiet()
    b.radio.signal(50)
    b.host.until(rb"\+CMTI[^\r]*\r\n")
    assert not b.radio.waiting


def test_messages_are_sent_as_text_and_as_pdu(bench):
    b = bench()
    b.host.ask("AT+CMGF=1")
    b.host.write('AT+CMGS="+8613900000000"\r')
    b.host.until(rb"> ")
    b.host.write("hello\x1a")
    assert b"\r\n+CMGS: 1\r\n" in b.host.until(FINAL)
    b.host.ask("AT+CMGF=0")
    # An SMS-SUBMIT written by hand: to 10010, UCS-2, relative validity.
    b.host.write("AT+CMGS=17\r")
    b.host.until(rb"> ")
    b.host.write("00110005810110F00008AA044F60597D\x1a")
    assert b"+CMS ERROR: 304" in b.host.until(FINAL)
    b.host.write("AT+CMGS=15\r")
    b.host.until(rb"> ")
    b.host.write("00110005810110F00008AA044F60597D\x1a")
    assert b"\r\n+CMGS: 2\r\n" in b.host.until(FINAL)
    assert [(m.other, m.text) for m in b.radio.messages] == [("+8613900000000", "hello"), ("10010", "你好")]
    b.host.write("AT+CMGS=15\r")
    b.host.until(rb"> ")
    b.host.write("0011\x1b")
    assert b.host.until(FINAL).endswith(b"OK\r\n")


def test_without_a_network_nothing_is_sent(bench):
    b = bench(percent=0)
    b.host.until(rb"PB DONE\r\n")
    b.host.ask("AT+CMGF=1")
    b.host.write('AT+CMGS="10010"\r')
    b.host.until(rb"> ")
    b.host.write("x\x1a")
    assert b"+CMS ERROR: 331" in b.host.until(FINAL)


@pytest.mark.parametrize(
    "text", ["", "a", "hellohello", "price: 5€ {[~]}", "x" * 160, "y" * 161, "好" * 70, "好" * 71 + "a", "z€" * 150]
)
def test_pdus_hold_what_is_put_into_them(text):
    parts = modem_sms.deliver(Message(7, False, "+8613912345678", text, NOON), "+8613010112500")
    back = ""
    for pdu in parts:
        body = pdu[1 + pdu[0] :]
        header = bool(body[0] & 0x40)
        digits = body[1]
        place = 3 + (digits + 1) // 2
        coding, stamp, count, data = body[place + 1], body[place + 2 : place + 9], body[place + 9], body[place + 10 :]
        assert stamp == bytes.fromhex("42605121000023") and len(body) <= 164
        skip = 6 if header else 0
        if coding == 8:
            back += data[skip:].decode("utf-16-be")
        else:
            fill = 1 if header else 0
            back += modem_sms.spelt(modem_sms.unpack(data[skip:], count - (7 if header else 0), fill))
    assert back == text
    assert len(modem_sms.BASIC) == 128


def test_seven_bits_are_packed_as_the_standard_says():
    assert modem_sms.pack(modem_sms.septets("hellohello")).hex() == "e8329bfd4697d9ec37"
    assert modem_sms.semi("8613010112500") == bytes.fromhex("683110102105f0")


def test_any_pdu_is_read_or_refused():
    chance = random.Random(3)
    good = bytes.fromhex("00110005810110F00008AA044F60597D")
    assert modem_sms.submitted(good, 15).text == "你好"
    for _ in range(500):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        data = bytes(data[: chance.randrange(len(data) + 1)])
        try:
            modem_sms.submitted(data, max(0, len(data) - 1))
        except modem_sms.PduError:
            pass


# -- what a person does to the module


def test_a_silent_module_is_silent_and_then_as_before(bench):
    b = bench()
    b.chip.silent = True
    b.host.write("AT\r")
    assert b.host.quiet()
    b.chip.silent = False
    assert b.host.ask("AT+CREG?") == ["+CREG: 0,1", "OK"]


def test_a_silent_module_is_woken_by_its_reset_line(bench):
    b = bench()
    b.chip.silent = True
    b.chip.pull_reset()
    b.host.until(rb"RDY\r\n")
    assert not b.chip.silent


def test_unsolicited_lines_come_in_the_middle_of_anything(bench, peer):
    b = quectel(bench)
    b.chip.storm = True
    b.host.write("AT+CSQ\r")
    answer = b.host.until(rb"\r\nOK\r\n")
    lines = [line for line in answer.decode().split("\r\n") if line]
    assert lines.index("+CSQ: 25,99") < len(lines) - 2 and lines[-1] == "OK"
    b.host.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,0')
    b.host.until(rb"\+QIOPEN: 0,0\r\n")
    b.host.write("AT+QISEND=0,50\r")
    b.host.until(rb"\r\n> ")
    assert b.host.quiet(0.1)  # not while bytes are typed
    b.host.write(b"x" * 50)
    b.host.until(rb"SEND OK\r\n")
    b.host.until(rb'"recv",0\r\n')
    b.host.write("AT+QIRD=0,1500\r")
    b.host.until(rb"\+QIRD: 50\r\n" + b"x" * 50 + rb"\r\n\r\nOK\r\n")


def test_noise_is_on_the_line_and_goes_away(bench):
    b = bench()
    b.chip.noise = True
    b.host.until(rb"[\x80-\xff].*[\x80-\xff]")
    b.chip.noise = False
    b.host.ask("AT")
    b.host.drain()
    b.host.write("AT+CSQ\r")
    assert b.host.until(FINAL) == b"\r\n+CSQ: 25,99\r\n\r\nOK\r\n"


def test_a_module_that_is_gone_hangs_up_and_comes_back_as_new(bench):
    radio = Radio(PAPERS)
    pairs = []

    def plug():
        pairs.append(os.openpty())
        tty.setraw(pairs[-1][1])
        set_speed(pairs[-1][0], 115200)
        return pairs[-1][0]

    def unplug():
        for descriptor in pairs[-1]:
            os.close(descriptor)

    chip = ModemChip(radio, "ec25", plug(), hang_up=unplug, come_back=plug, fast=True)
    chip.start()
    try:
        chip.power_on()
        host = Host(os.ttyname(pairs[0][1]))
        host.until(rb"RDY\r\n")
        chip.gone = True
        with pytest.raises(OSError):
            while True:
                if not os.read(host.fd, 100):
                    raise OSError
        host.close()
        chip.gone = False
        for _ in range(500):
            if len(pairs) == 2:
                break
            threading.Event().wait(0.01)
        host = Host(os.ttyname(pairs[1][1]))
        host.until(rb"RDY\r\n")
        host.close()
    finally:
        chip.close()
        unplug()


def test_it_leaves_no_thread_behind():
    before = set(threading.enumerate())
    b = Bench()
    b.close()
    assert set(threading.enumerate()) <= before


def test_papers_are_made_once_and_kept(tmp_path):
    first = kept_papers(tmp_path / "radio.json")
    assert kept_papers(tmp_path / "radio.json") == first
    assert luhn(first["imei"][:-1]) == first["imei"] and len(first["imei"]) == 15 and len(first["iccid"]) == 20
    (tmp_path / "radio.json").write_text("{}")
    assert kept_papers(tmp_path / "radio.json") != first


def test_a_log_shows_no_long_number_and_no_unknown_command():
    known = {"+CPIN", "+CSQ", "+CMGS", "E", "+QICSGP"}
    assert modem_at.masked("+CMGS=8986001234567890123", known) == "AT+CMGS=898600*********0123"
    assert modem_at.masked('+QICSGP=1,1,"cmnet","user","word",1', known) == 'AT+QICSGP=1,1,"cmnet",…'
    assert modem_at.masked("+SECRET=1", known) == "AT… 9 characters"
    assert modem_at.masked("E0+CSQ;+CPIN?", known) == "ATE0;+CSQ;+CPIN?"


def test_every_change_of_the_world_is_told():
    radio = Radio(PAPERS)
    told = []
    radio.listeners.append(lambda: told.append(1))
    acts = (
        (radio.signal, 5), (radio.move, "rival"), (radio.insert, False), (radio.ask_pin, True), (radio.freeze, True),
        (radio.deny, True), (radio.bar_data, True), (radio.tell_time, "absent"), (radio.send, "x"),
    )  # fmt: skip
    for act, value in acts:
        before = len(told)
        act(value)
        assert len(told) == before + 1
    seen = radio.view()
    assert seen["tower"] == "rival" and seen["sim"]["in"] is False and seen["messages"][0]["waits"]
    assert set(seen["sim"]) == {"in", "asks", "state", "tries", "frozen", "iccid", "number"} and radio.roaming
