"""The mobile network as a part of the bench: what a person does to it by the API and by scripts, and what can be seen."""

import json
import os

import pytest

from emulator import script
from emulator.browser import api
from emulator.text import draw
from tests.emulator.bench import on, toy_device


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    with toy_device(tmp_path_factory.mktemp("radio")) as device:
        yield on(device)


@pytest.fixture
def device(kept):
    kept.signal(80)
    kept.tower("shop")
    kept.network("open")
    for act in ("in", "free", "thawed"):
        kept.sim(act)
    for name in kept.faults:
        if name.startswith("modem-"):
            kept.fault(name, False)
    return kept


def module(device):
    return device.chips.modem.view()


def becomes(device, **wanted):
    return device.until(lambda: wanted.items() <= module(device).items(), 10)


def post(device, **body):
    return json.loads(api.post(device, "/api/radio", json.dumps(body).encode()).body)


def test_the_module_registers_when_there_is_power_and_forgets_without(device):
    assert becomes(device, power="on", registered="home", operator="CHN-UNICOM", technology="4G")
    device.plug()
    assert module(device)["power"] == "off" and module(device)["registered"] == "off"
    on(device)
    assert becomes(device, registered="home")


def test_what_a_person_does_is_done_by_the_api(device):
    assert post(device, signal=0) == {"ok": True} and becomes(device, registered="searching")
    assert post(device, signal=55) and becomes(device, registered="home")
    assert post(device, tower="rival") and becomes(device, registered="roaming", operator="CHN-CT")
    assert post(device, sim="out") and becomes(device, registered="off", sim="absent")
    assert post(device, sim="in") and becomes(device, sim="ready")
    assert post(device, network="denied") and becomes(device, registered="denied")
    post(device, sms="hello", **{"from": "10086"})
    assert device.radio.messages[-1].text == "hello" and device.radio.messages[-1].other == "10086"
    state = device.state()["radio"]
    assert (state["signal"], state["tower"], state["denied"], state["module"]["model"]) == (55, "rival", True, "EC20F")
    json.dumps(state)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"signal": 101}, 409), ({"signal": -1}, 409), ({"signal": True}, 400), ({"signal": "80"}, 400), ({}, 400),
        ({"tower": "moon"}, 409), ({"sim": "eaten"}, 409), ({"network": "ours"}, 409), ({"tower": 1}, 400),
        ({"sms": ""}, 400), ({"sms": "x" * 501}, 409), ({"sms": "x", "from": "me"}, 409), ({"sms": "x", "to": "me"}, 400),
        ({"signal": 1, "tower": "shop"}, 400),
    ],
)  # fmt: skip
def test_nonsense_is_refused(device, body, status):
    with pytest.raises(api.Refused) as refused:
        post(device, **body)
    assert refused.value.status == status


def test_a_vanished_module_takes_its_port_with_it_and_brings_it_back(device):
    wire = device.wires.folder + "/" + device.board.parts["modem"]["bus"]
    assert os.path.exists(wire)
    device.fault("modem-gone", True)
    assert device.until(lambda: not os.path.lexists(wire), 5) and module(device)["power"] == "gone"
    device.fault("modem-gone", False)
    assert becomes(device, power="on", registered="home") and os.path.exists(wire)


def test_the_script_says_what_cannot_be_done(device, tmp_path):
    for step, reason in (
        ("tower moon", "no such tower"), ("sim eaten", "one of: in, out"), ("modem melted", "gone, silent"),
        ("signal 500", "0 to 100"), ("network ours", "denied"),
    ):  # fmt: skip
        (tmp_path / "a.txt").write_text(step, encoding="utf-8")
        with pytest.raises(script.Failed, match=reason):
            script.run(device, tmp_path / "a.txt")


def test_the_text_face_shows_the_bars(device):
    device.signal(100)
    assert any("4G ▂▄▆█" in line for line in draw(device, (120, 40), "", ""))
    device.signal(0)
    assert any("4G ×" in line for line in draw(device, (120, 40), "", ""))


def test_the_sims_pin_is_typed_and_never_told(device):
    device.sim("asks")
    before = device.log[-1].number
    assert device._pin("sim") == device.radio.card.pin
    device.keys("PIN:sim")
    told = json.dumps(device.state()["radio"]) + " ".join(entry.text for entry in device.log_since(before))
    assert '"asks": true' in told and '"pin":' not in told and "keys" in told and device.radio.card.puk not in told


def test_the_papers_of_module_and_sim_stay_with_the_desk(tmp_path):
    with toy_device(tmp_path) as device:
        first = device.radio.imei, device.radio.card.iccid
    with toy_device(tmp_path) as device:
        assert (device.radio.imei, device.radio.card.iccid) == first
