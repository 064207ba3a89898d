"""`ports.Modem` and the socket service: the driver on the emulated module, in each family, and the stand-in."""

import os
import pty
import socket
import threading
import time
import tty

import pytest

from drivers.modem import AtModem
from emulator.chips.modem import ModemChip
from emulator.radio import Radio
from emulator.standins.modem import StandIn
from firmware.events import MODEM_DONE, MODEM_FAILED, NETWORK, PART, SMS, Event
from firmware.ports import LINK_FAULTS
from tests.toys import Inbox, World, of, until

NAME = "acquirer.test"
CALM = {"home", "roaming"}


class Server(threading.Thread):
    """A host on loopback out of `open() -> receive`, as the stand-ins have them."""

    def __init__(self, open_conversation):
        super().__init__(daemon=True)
        self.open_conversation = open_conversation
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        receive = self.open_conversation()
        with client:
            while True:
                try:
                    data = client.recv(65_536)
                    for _, answer in receive(data) if data else [(0, None)]:
                        if answer is None:
                            return
                        client.sendall(answer)
                except OSError:
                    return


class DriverRig:
    def __init__(self, folder, model):
        self.path = str(folder / "tty")
        self.slave = self.master = None
        self.radio = Radio()
        self.chip = ModemChip(
            self.radio, model, self.plug(), hang_up=self.hang_up, come_back=self.plug, fast=True, strict_baud=True
        )
        self.chip.start()
        self.chip.power_on()
        self.inbox = Inbox()
        self.port = AtModem(self.inbox.post, {"profile": model}, self.path)
        self.port.retry_s = (0.02,)
        self.port.poll_s = 0.05
        self.port.at_s, self.port.quiet_s, self.port.sms_wait_s = 0.05, 0.02, 0.1
        self.wait = self.inbox.wait
        self.servers = []

    def plug(self):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        if os.path.lexists(self.path):
            os.unlink(self.path)
        os.symlink(os.ttyname(self.slave), self.path)
        return self.master

    def hang_up(self):
        os.unlink(self.path)
        os.close(self.slave)
        os.close(self.master)
        self.slave = self.master = None

    def true(self, condition):
        until(condition)

    def host(self, open_conversation):
        server = Server(open_conversation)
        self.servers.append(server)
        return "127.0.0.1", server.port

    def nobody(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return "127.0.0.1", listener.getsockname()[1]

    def now_s(self):
        return time.time()

    def signal(self, heard):
        self.radio.signal(80 if heard else 0)

    def sim(self, state):
        self.radio.insert(state != "absent")
        self.radio.ask_pin(state == "pin")

    def deny(self, denied):
        self.radio.deny(denied)

    def bring(self, number, text):
        self.radio.send(text, number)

    def sent(self):
        return [(one.other, one.text) for one in self.radio.messages if one.sent]

    def unplug(self):
        self.chip.gone = True

    def plug_in(self):
        self.chip.gone = False

    def roam(self):
        self.radio.move("rival")

    def pin(self, right):
        return bytearray(self.radio.card.pin.encode() if right else b"9999")

    def close(self):
        self.port.close()
        self.chip.close()
        for server in self.servers:
            server.listener.close()
        if self.master is not None:
            self.hang_up()
        assert self.port.fault is None


class StandInRig:
    def __init__(self):
        self.world = World()
        self.port = self.modem = StandIn(self.world, utc_s=1_795_142_040)
        self.modem.names[NAME] = "127.0.0.1"
        self.wait = self.world.wait
        self.hosts = 0

    def true(self, condition):
        """In virtual time: until it is so, or nothing more happens."""
        while not condition():
            assert self.world._due, self.port.status()
            self.world.run(self.world._due[0][0] - self.world.now_ms())

    def host(self, open_conversation):
        self.hosts += 1
        self.modem.hosts["127.0.0.1", self.hosts] = open_conversation
        return "127.0.0.1", self.hosts

    def nobody(self):
        self.host(lambda: lambda data: [])
        return "127.0.0.1", 60_000

    def now_s(self):
        return 1_795_142_040 + self.world.now_ms() / 1000

    def signal(self, heard):
        self.modem.signal(-63 if heard else None)

    def sim(self, state):
        self.modem.insert(state)

    def deny(self, denied):
        self.modem.deny(denied)

    def bring(self, number, text):
        self.modem.bring(number, text)

    def sent(self):
        return self.modem.sent

    def unplug(self):
        self.modem.unplug()

    def plug_in(self):
        self.modem.plug_in()

    def roam(self):
        self.modem.operator = "CHN-CT"
        self.modem.move(("460", "11", "7A03", "5F1EA15"), roaming=True)

    def pin(self, right):
        return bytearray(self.modem.pin.encode() if right else b"9999")

    def close(self):
        self.port.close()


MODELS = ["ec20", "sim7600", "air724"]


@pytest.fixture(params=[*MODELS, "stand-in"])
def rig(request, tmp_path):
    made = StandInRig() if request.param == "stand-in" else DriverRig(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture
def up(rig):
    """Registered, with an address."""
    rig.port.start()
    rig.true(lambda: rig.port.status()["address"])
    return rig


class Stream:
    """What comes of one socket."""

    def __init__(self, rig, where, timeout_ms=5_000):
        self.rig, self.events, self.data = rig, [], b""
        self.handle = rig.port.open_socket(*where, timeout_ms, self.on_event)

    def on_event(self, name, value):
        if name == "data":
            self.data += value
        else:
            self.events.append((name, value))

    def steps(self):
        return [value[0] for name, value in self.events if name == "step"]

    def until_up(self):
        self.rig.true(lambda: ("up", None) in self.events)
        return self

    def until_down(self):
        self.rig.true(lambda: self.events and self.events[-1][0] == "down")
        return self.events[-1][1]

    def send(self, data):
        self.rig.port.send_socket(self.handle, data)

    def until_heard(self, size):
        self.rig.true(lambda: len(self.data) >= size)
        return self.data

    def close(self):
        self.rig.port.close_socket(self.handle)


def echo():
    return lambda data: [(0, data)]


def test_it_comes_up_says_so_and_tells_who_and_where_it_is(up):
    assert up.port.state == "ready"
    status = up.port.status()
    assert {name: status[name] for name in ("sim", "registered", "bars", "operator", "technology", "trouble")} == {
        "sim": "ready", "registered": "home", "bars": 4, "operator": "CHN-UNICOM", "technology": "4G", "trouble": "",
    }  # fmt: skip
    assert status["cell"] == ("460", "01", "18BE", "8608A7B")
    assert -75 <= status["dbm"] <= -51
    assert len(status["imei"]) == 15 and len(status["iccid"]) == 20


def test_each_change_is_told(rig):
    rig.port.start()
    assert rig.wait(of(0, PART)) == Event(PART, 0, ("modem", "ready"))
    assert rig.wait(of(0, NETWORK)) == Event(NETWORK, 0, None)
    rig.true(lambda: rig.port.status()["address"])
    rig.signal(False)
    rig.true(lambda: rig.port.status()["bars"] == 0)
    rig.wait(of(0, NETWORK))


def test_the_networks_time_is_known_and_goes_on(up):
    up.true(lambda: up.port.network_time() is not None)
    assert abs(up.port.network_time() - up.now_s()) <= 2


def test_another_operator_is_roaming_in_another_cell(up):
    up.roam()
    up.true(lambda: up.port.status()["cell"] == ("460", "11", "7A03", "5F1EA15") and up.port.status()["operator"] == "CHN-CT")
    assert up.port.status()["registered"] == "roaming"


def test_bytes_go_there_and_back_and_each_step_is_told(up):
    stream = Stream(up, up.host(echo)).until_up()
    assert stream.steps() == ["bearer", "tcp"]
    data = b'\x00\r\nOK\r\n+QIURC: "closed",0\r\n> \x1a\x1b\xff'
    stream.send(data)
    assert stream.until_heard(len(data)) == data


def test_it_is_told_when_the_modem_has_taken_everything(up):
    stream = Stream(up, up.host(lambda: lambda data: [])).until_up()
    stream.send(b"x" * 5_000)
    up.true(lambda: ("sent", None) in stream.events)
    assert stream.events.count(("sent", None)) == 1


def test_a_stream_that_is_held_says_nothing_until_it_is_let_go_and_then_all_of_it(up):
    stream = Stream(up, up.host(lambda: lambda data: [(0, b"much" * 300), (0, None)])).until_up()
    up.port.hold_socket(stream.handle, True)
    stream.send(b"?")
    other = Stream(up, up.host(echo)).until_up()
    other.send(b"goes on")
    assert other.until_heard(7) == b"goes on"
    assert stream.data == b"" and stream.events[-1][0] != "down"
    up.port.hold_socket(stream.handle, False)
    assert stream.until_down() == "closed"
    assert stream.data == b"much" * 300


def test_a_name_is_resolved_in_the_modem(up):
    where = (NAME, up.host(echo)[1])
    assert Stream(up, where).until_up().steps() == ["bearer", "name", "tcp"]


def test_much_goes_there_and_back(up):
    big = bytes(range(256)) * 40
    stream = Stream(up, up.host(echo)).until_up()
    stream.send(big)
    assert stream.until_heard(len(big)) == big


def test_several_streams_do_not_mix(up):
    where = up.host(echo)
    streams = [Stream(up, where).until_up() for _ in range(4)]
    for number, stream in enumerate(streams):
        stream.send(b"%d" % number * 300)
    for number, stream in enumerate(streams):
        assert stream.until_heard(300) == b"%d" % number * 300


def test_a_stream_more_than_the_modem_has_room_for_waits_for_a_place(up):
    where = up.host(echo)
    streams = [Stream(up, where) for _ in range(13)]
    up.true(lambda: sum(("up", None) in one.events for one in streams) >= 6)
    waiting = [one for one in streams if ("up", None) not in one.events]
    assert waiting
    for one in streams:
        if one not in waiting:
            one.close()
    for one in waiting:
        one.until_up()
        one.close()


def test_where_nobody_listens_it_is_refused(up):
    assert Stream(up, up.nobody()).until_down() == "refused"


def test_a_name_that_nobody_knows_is_told_as_such(up):
    assert Stream(up, ("nowhere.test", 80)).until_down() == "name"


@pytest.mark.parametrize("address", ['a",1;+CFUN=0;"', "a b", "", "x" * 300])
def test_what_cannot_be_a_name_is_none(up, address):
    assert Stream(up, (address, 80)).until_down() == "name"


def test_a_host_that_speaks_before_it_closes_is_heard_to_the_end(up):
    stream = Stream(up, up.host(lambda: lambda data: [(0, b"goodbye" * 300), (0, None)])).until_up()
    stream.send(b"hello")
    assert stream.until_down() == "closed"
    assert stream.data == b"goodbye" * 300


def test_after_close_nothing_comes_and_the_place_is_free_again(up):
    where = up.host(echo)
    for _ in range(8):
        stream = Stream(up, where).until_up()
        stream.send(b"unheard")
        stream.close()
        seen = list(stream.events), stream.data
        other = Stream(up, where).until_up()
        other.send(b"heard")
        assert other.until_heard(5) == b"heard"
        other.close()
        assert (stream.events, stream.data) == seen


def test_a_stream_that_is_closed_before_it_is_up_says_nothing(up):
    where = up.host(echo)
    stream = Stream(up, where)
    stream.close()
    seen = list(stream.events)
    Stream(up, where).until_up()
    assert stream.events == seen


def test_without_a_signal_a_stream_is_no_network_in_its_time_and_with_one_it_comes_up(up):
    up.signal(False)
    up.true(lambda: up.port.status()["registered"] not in CALM)
    assert Stream(up, up.host(echo), 300).until_down() == "no-network"
    stream = Stream(up, up.host(echo), 60_000)
    up.signal(True)
    stream.until_up()


def test_a_denied_modem_says_so_and_has_no_network(up):
    up.deny(True)
    up.true(lambda: up.port.status()["registered"] == "denied")
    assert Stream(up, up.host(echo), 60_000).until_down() == "no-network"
    up.deny(False)


def test_without_a_sim_there_is_no_network_and_with_one_there_is(up):
    up.sim("absent")
    up.true(lambda: up.port.status()["sim"] == "absent")
    assert Stream(up, up.host(echo), 60_000).until_down() == "no-network"
    up.port.send_sms(7, "10086", "?")
    assert up.wait(of(7)) == (MODEM_FAILED, 7, "no-sim")


def test_a_sim_that_asks_for_its_pin_gets_the_kept_one(rig):
    rig.sim("pin")
    pins = [rig.pin(True)]
    rig.port.pin_source = lambda: pins[0]
    rig.port.start()
    rig.true(lambda: rig.port.status()["address"])
    assert not any(pins[0])


def test_a_wrong_pin_is_tried_once_and_then_a_person_is_asked(rig):
    rig.sim("pin")
    asked, refused, words = [], [], []
    rig.port.pin_source = lambda: asked.append(1) or rig.pin(False)
    rig.port.pin_refused = lambda: refused.append(1)
    rig.port.start()
    rig.true(lambda: refused)
    assert rig.port.status()["sim"] == "pin"
    typed = rig.pin(False)
    rig.port.unlock(typed, words.append)
    rig.true(lambda: words == ["wrong"])
    assert not any(typed)
    rig.port.unlock(rig.pin(True), words.append)
    rig.true(lambda: rig.port.status()["address"])
    assert words == ["wrong", "right"] and asked == refused == [1]


def test_a_pin_is_of_no_use_without_a_sim_that_asks(up):
    words, typed = [], up.pin(True)
    up.port.unlock(typed, words.append)
    up.true(lambda: words)
    assert words == ["no-modem"] and not any(typed)


def test_messages_go_and_come_in_chinese_and_in_parts(up):
    for text in ("余额", "balance {1}~", "您尾号的账户" * 40, "long [enough] to go in parts " * 12):
        up.port.send_sms(3, "10086", text)
        assert up.wait(of(3)) == (MODEM_DONE, 3, None)
        assert up.sent()[-1] == ("10086", text)
        up.bring("10010", text)
        sender, stamp, heard = up.wait(of(0, SMS)).value
        assert (sender, heard) == ("10010", text)
        assert stamp == "" or len(stamp) == 14


def test_a_message_without_a_network_fails_and_says_why(up):
    up.signal(False)
    up.true(lambda: up.port.status()["registered"] not in CALM)
    up.port.send_sms(7, "10086", "?")
    assert up.wait(of(7)) == (MODEM_FAILED, 7, "not-registered")


@pytest.mark.parametrize("number", ["", "12;+CFUN=0", '"', "1" * 21, "+"])
def test_what_is_no_number_is_the_callers_mistake(rig, number):
    with pytest.raises(ValueError, match="sms: "):
        rig.port.send_sms(1, number, "text")


def test_a_restart_by_hand_breaks_what_was_open_and_ends_ready(up):
    stream = Stream(up, up.host(echo)).until_up()
    up.port.restart(9)
    assert up.wait(of(0, PART)).value == ("modem", "ready")  # of the first start
    assert up.wait(of(0, PART)).value == ("modem", "starting")
    assert up.wait(of(9)) == (MODEM_DONE, 9, None)
    assert stream.events[-1] == ("down", "broken")
    Stream(up, up.host(echo), 60_000).until_up()


def test_a_modem_that_vanishes_breaks_its_streams_and_comes_back(up):
    stream = Stream(up, up.host(echo)).until_up()
    up.unplug()
    assert stream.until_down() == "broken"
    up.true(lambda: up.port.state == "gone")
    assert up.port.status()["sim"] == "unknown" and up.port.status()["address"] == ""
    assert Stream(up, up.host(echo), 60_000).until_down() == "no-network"
    words = []
    up.port.unlock(bytearray(b"1234"), words.append)
    up.port.send_sms(4, "10086", "?")
    assert up.wait(of(4)) == (MODEM_FAILED, 4, "no-modem")
    up.true(lambda: words == ["no-modem"])
    up.plug_in()
    up.true(lambda: up.port.state == "ready")
    Stream(up, up.host(echo), 60_000).until_up()


def test_every_end_is_one_that_the_link_knows(up):
    for where in (up.nobody(), ("nowhere.test", 1), ("::1", 80)):
        assert Stream(up, where).until_down() in LINK_FAULTS


@pytest.mark.parametrize("model", MODELS)
def test_a_line_full_of_noise_and_of_lines_that_nobody_asked_for_corrupts_no_stream(model, tmp_path):
    rig = DriverRig(tmp_path, model)
    try:
        rig.port.start()
        rig.true(lambda: rig.port.status()["address"])
        rig.chip.storm = rig.chip.noise = True
        data = bytes(range(256)) * 12
        heard = []
        for _ in range(20):
            stream = Stream(rig, rig.host(echo), 5_000)
            rig.true(lambda stream=stream: ("up", None) in stream.events or stream.events[-1:] and stream.events[-1][0] == "down")
            stream.send(data)
            rig.true(lambda stream=stream: len(stream.data) == len(data) or stream.events[-1][0] == "down")
            stream.close()
            assert data.startswith(stream.data)
            heard.append(stream.data)
            if heard.count(data) == 3:
                break
        assert heard.count(data) == 3
    finally:
        rig.close()


@pytest.mark.parametrize("model", MODELS)
def test_a_signal_that_goes_for_long_breaks_what_was_open_and_all_is_well_when_it_is_back(model, tmp_path):
    rig = DriverRig(tmp_path, model)
    try:
        rig.port.start()
        rig.true(lambda: rig.port.status()["address"])
        stream = Stream(rig, rig.host(echo)).until_up()
        rig.signal(False)
        stream.send(b"nobody hears")
        assert stream.until_down() in ("broken", "closed") and not stream.data
        rig.signal(True)
        stream = Stream(rig, rig.host(echo), 60_000).until_up()
        stream.send(b"heard")
        assert stream.until_heard(5) == b"heard"
        assert rig.port.status()["trouble"] == ""
    finally:
        rig.close()
