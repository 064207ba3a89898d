"""The bench: power, hands, eyes, faults, and that nothing is left behind."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from drivers.store import SqliteStore
from emulator.cards.stripe import DAMAGED
from emulator.device import CRASHED, FAULTS, OFF, ON, SECTIONS, Busy
from tests.emulator.bench import TOY, no_threads_but, on, toy_device
from tests.toys import until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """One device for all tests that leave it as it was."""
    with toy_device(tmp_path_factory.mktemp("device")) as device:
        yield device


@pytest.fixture
def device(kept):
    kept.plug()
    kept.remove_card()
    kept.pull()
    kept.tear()
    for name, _, _ in FAULTS:
        kept.fault(name, False)
    return on(kept)


@pytest.fixture
def running(kept):
    """The same device as the last test left it, switched on, its cards on the shelf: for tests that do not care what it shows."""
    kept.remove_card()
    kept.pull()
    return kept if kept.power == ON else on(kept)


def test_what_is_typed_is_seen(device):
    device.keys("12 3 .")
    assert device.wait_screen("12300")
    assert device.screen.lines[0] == "TOY"


def test_a_key_is_never_lost_or_doubled(device):
    device.keys("11223344556677889900")
    device.keys("ENTER")
    assert device.wait_paper("typed 11223344556677889900")


def test_keys_of_two_people_do_not_mix(device):
    people = [threading.Thread(target=device.keys, args=(digit * 4,)) for digit in "12"]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert device.until(lambda: device.shows("11112222") or device.shows("22221111"), 5), device.screen.text


@pytest.mark.parametrize("text", ["", "  ", "01 ENTRE", "12x", "1 " * 501])
def test_what_is_no_key_is_refused_before_anything_is_pressed(running, text):
    with pytest.raises(ValueError):
        running.keys(text)


def test_a_word_with_digits_that_is_no_key_is_not_repeated_in_the_error(running):
    with pytest.raises(ValueError, match="a word with digits") as caught:
        running.keys("48291S")
    assert "48291" not in str(caught.value)


def test_the_log_tells_that_keys_were_pressed_but_not_which(running):
    start = running.changes.number
    running.keys("73 CLEAR")
    typed = [entry.text for entry in running.log_since(start) if entry.kind == "key"]
    assert typed == ["3 keys"]


def test_paper_comes_out_and_is_torn_off(device):
    device.keys("77 ENTER")
    assert device.wait_paper("typed 77")
    assert device.wait_screen("printed")
    piece = device.tear()
    assert "typed 77" in piece
    assert device.paper_text.strip() == ""
    number = device.state()["paper"]["torn"][-1]
    assert Image.open(io.BytesIO(device.paper_png(number))).width >= 384
    with pytest.raises(LookupError):
        device.paper_png(number + 1)


def test_nothing_is_torn_off_where_there_is_no_paper(running):
    before = running.state()["paper"]["torn"]
    assert running.tear() == ""
    assert running.state()["paper"]["torn"] == before


def test_a_card_is_noticed_when_it_comes_and_when_it_goes(device):
    device.tap("debit")
    assert device.wait_screen("card A")
    device.remove_card()
    assert device.wait_screen("card gone")


def test_two_cards_on_the_reader_are_noticed(device):
    device.fault("reader-silent", True)
    device.tap("debit")
    device.second_card("credit")
    device.fault("reader-silent", False)
    assert device.wait_screen("card many", 15)


def test_a_reader_has_room_for_two_cards(device):
    with pytest.raises(ValueError, match="no first card"):
        device.second_card("debit")
    device.place("debit")
    with pytest.raises(ValueError, match="on the reader already"):
        device.place("debit")
    device.place("credit")
    names = [card["name"] for card in device.state()["cards"]]
    with pytest.raises(ValueError, match="two cards"):
        device.place(next(name for name in names if name not in ("debit", "credit")))
    with pytest.raises(ValueError, match="there are debit"):
        device.place("umbrella")
    device.remove_card("debit")
    assert device.on_reader == ["credit"]
    with pytest.raises(ValueError, match="not on the reader"):
        device.remove_card("debit")


def test_tapping_another_card_takes_the_first_away(device):
    device.tap("debit")
    device.tap("credit")
    assert device.on_reader == ["credit"]


def place_of(device, name):
    return next(card["place"] for card in device.state()["cards"] if card["name"] == name)


def test_a_card_is_on_the_shelf_on_the_reader_or_in_the_slot_and_never_in_two_places(running):
    assert place_of(running, "debit") == "shelf"
    running.place("debit")
    assert place_of(running, "debit") == "reader"
    running.insert("debit")
    assert (place_of(running, "debit"), running.on_reader, running.in_slot) == ("slot", [], "debit")
    running.tap("debit")
    assert (place_of(running, "debit"), running.on_reader, running.in_slot) == ("reader", ["debit"], "")
    running.insert("debit")
    running.swipe("debit")
    assert (place_of(running, "debit"), running.in_slot) == ("shelf", "")
    running.remove_card()


def test_a_slot_holds_one_card(running):
    running.insert("credit")
    with pytest.raises(ValueError, match="credit is in the slot already"):
        running.insert("debit")
    assert (running.in_slot, place_of(running, "debit")) == ("credit", "shelf")
    running.pull()
    running.pull()
    assert running.in_slot == ""


@pytest.mark.parametrize(
    ("act", "name", "reason"),
    [("insert", "phone", "no contacts"), ("swipe", "phone", "no stripe"), ("tap", "stripe", "cannot be tapped"),
     ("place", "chip-dead", "cannot be tapped"), ("insert", "umbrella", "no such card"), ("swipe", "umbrella", "no such card")],
)  # fmt: skip
def test_what_a_card_does_not_have_cannot_be_used(running, act, name, reason):
    with pytest.raises(ValueError, match=reason):
        getattr(running, act)(name)


def test_a_card_that_leaves_by_itself_is_back_on_the_shelf(running):
    running.insert("torn")
    number = running.state()["number"]
    running.chips.chip.pull()
    assert (running.in_slot, place_of(running, "torn")) == ("", "shelf")
    assert "cards" in running.state(number, 5)
    running.insert("torn")
    assert running.in_slot == "torn"
    running.pull()


def test_a_swipe_is_told_without_what_is_on_the_stripe(running):
    start = running.changes.number
    running.swipe("stripe")
    running.swipe("debit", badly=True)
    told = [entry.text for entry in running.log_since(start)]
    card = running.town.shelf.card("stripe")
    assert [text for text in told if "swiped" in text] == [
        f"card: swiped, {len(card.stripe)} characters", f"card: swiped, {len(DAMAGED)} characters",
    ]  # fmt: skip
    assert not any(card.pan in text for text in told)


def test_every_card_of_the_shelf_says_what_it_is_for_and_what_it_can_do(running):
    cards = running.state()["cards"]
    assert [card["name"] for card in cards[:2]] == ["debit", "second"]
    for card in cards:
        assert card["acts"] and all(card["group"]) and all(card["shows"]), card["name"]
        there = running.town.shelf.card(card["name"])
        able = {"tap": there.tappable, "insert": there.insertable, "swipe": there.swipeable}
        assert {act for act, can in able.items() if can} == set(card["acts"])
    groups = [card["group"][0] for card in cards]
    assert groups == sorted(groups, key=groups.index), "a group stands together"


def test_a_pulled_plug_leaves_every_chip_without_memory(device):
    device.keys("1")
    assert device.until(lambda: device.leds["1"], 5)
    device.plug()
    assert device.power == OFF
    assert device.screen.text == ""
    assert not device.screen.image.getbbox()
    assert not any(device.leds.values())
    on(device)


def test_after_a_crash_the_panel_shows_what_it_showed(device):
    device.keys("42")
    assert device.wait_screen("42")
    device.crash()
    assert device.power == CRASHED
    assert device.shows("42")
    device.power_on()
    assert device.until(lambda: not device.shows("42"), 10)


def test_a_program_that_fails_has_crashed_and_its_words_are_in_the_log(device):
    start = device.changes.number
    device.keys("CANCEL")
    assert device.until(lambda: device.power == CRASHED, 5)
    entries = [(entry.kind, entry.text) for entry in device.log_since(start)]
    assert ("terminal", "cancelled: ready") in entries
    assert ("power", "the firmware ended by itself, status 1") in entries


def test_the_button_lets_the_program_end_in_good_order(device):
    start = device.changes.number
    device.power_off()
    assert device.power == OFF
    assert ("terminal", "stopping") in [(entry.kind, entry.text) for entry in device.log_since(start)]
    assert device.screen.text == ""


def test_power_on_twice_is_one_process(running):
    pid = running.pid
    running.power_on()
    assert running.pid == pid
    assert running.power == ON


def test_the_power_goes_at_a_named_point_once(device):
    device.stop_at("typed")
    assert device.state()["stop"] == "typed"
    device.keys("5")
    assert device.until(lambda: device.power == OFF, 5)
    assert device.state()["stop"] == ""
    on(device)
    device.keys("6")
    assert device.wait_screen("6")


def test_a_point_can_be_taken_back(device):
    device.stop_at("typed")
    device.stop_at("")
    device.keys("6")
    assert device.wait_screen("6")
    assert device.power == ON


@pytest.mark.parametrize("name", [name for name, _, _ in FAULTS])
def test_each_fault_is_seen_in_the_state_and_mended(running, name):
    running.fault(name, True)
    assert running.state()["faults"][name]
    running.fault(name, False)
    assert not running.state()["faults"][name]


def test_an_unknown_fault_names_those_that_there_are(running):
    with pytest.raises(ValueError, match="paper-out"):
        running.fault("gremlins", True)


def test_a_panel_that_fell_off_shows_nothing_and_comes_back(device):
    device.fault("display-gone", True)
    assert device.screen.text == ""
    device.fault("display-gone", False)
    device.keys("8")
    assert device.wait_screen("8", 10)


def test_each_key_is_heard(running):
    before = running.changes.number

    def heard():
        return [sound for sound in running.sounds if sound.number > before]

    for count in (1, 2):
        running.keys("1")
        assert running.until(lambda count=count: len(heard()) == count, 5)
    assert all(sound.hz > 100 and 5 < sound.ms < 500 for sound in heard())


def test_the_state_is_json_and_has_every_section(running):
    state = json.loads(json.dumps(running.state()))
    assert set(state) == {"number", "session", *SECTIONS}
    assert state["screen"]["width"] == 128 and len(state["screen"]["pixels"]) == 64
    assert state["screen"]["lines"][:1] == ["TOY"]


def test_the_pixels_of_the_state_are_those_of_the_picture(running):
    screen = running.state()["screen"]
    image = Image.open(io.BytesIO(running.screen_png())).convert("1")
    for y, row in enumerate(screen["pixels"]):
        bits = f"{int(row, 16):0128b}"
        assert bits == "".join("1" if image.getpixel((x, y)) else "0" for x in range(128))


def test_a_state_since_waits_and_gives_what_changed(device):
    device.plug()
    number = device.state()["number"]
    assert set(device.state(number, 0.05)) == {"number", "session"}
    finger = threading.Thread(target=device.fault, args=("hot", True))
    finger.start()
    state = device.state(number, 5)
    finger.join()
    assert state["number"] > number
    assert state["faults"]["hot"]
    assert "screen" not in state
    assert state["log"][0]["text"] == "fault hot on"


def test_a_number_of_another_emulator_gives_everything_at_once(running):
    start = time.monotonic()
    assert "screen" in running.state(10**9, 20)
    assert time.monotonic() - start < 5


def test_rules_are_listed_and_wrong_ones_say_why(running):
    running.rule("amount 12.51 decline 51")
    assert running.state()["rules"]["now"] == ["amount 12.51 decline 51"]
    with pytest.raises(ValueError, match="decline"):
        running.rule("next explode")
    running.rule("remove amount 12.51 decline 51")
    running.rule("card debit decline 41")
    (rule,) = running.state()["rules"]["now"]
    assert rule.startswith("card ") and len(rule.split()[1]) == 4
    with pytest.raises(ValueError, match="four digits"):
        running.rule("card 6212341234567890 decline 41")
    running.rule("clear")
    assert running.state()["rules"]["now"] == []


def test_no_whole_card_number_is_in_the_state(device):
    device.tap("debit")
    assert device.wait_screen("card A")
    text = json.dumps(device.state())
    for card in device.town.shelf.bank_cards():
        assert card.pan not in text
        assert card.pin not in text


def test_a_folder_is_for_one_emulator(running):
    with pytest.raises(Busy, match="another emulator"):
        toy_device(running.folder)


def test_waiting_costs_no_time_of_the_processor(running):
    threading.Event().wait(0.3)
    before = time.process_time()
    threading.Event().wait(0.5)
    assert time.process_time() - before < 0.05


def test_a_device_keeps_its_identity_and_is_made_only_once(tmp_path):
    with toy_device(tmp_path) as first:
        number, port = first.town.terminal_number, first.town.port
    with toy_device(tmp_path) as second:
        assert second.town.terminal_number == number
        assert second.town.port == port
        assert not [entry for entry in second.log if "a new device" in entry.text]
    assert parameter(tmp_path, "host.port") == port
    with toy_device(tmp_path / "other") as other:
        assert other.town.terminal_number != number


def test_the_device_is_told_when_the_acquirer_must_move(tmp_path):
    with toy_device(tmp_path) as first:
        port = first.town.port
    with toy_device(tmp_path / "squatter", acquirer_port=port):
        with toy_device(tmp_path) as second:
            assert second.town.port != port
            moved = second.town.port
        assert parameter(tmp_path, "host.port") == moved


def parameter(folder, name):
    store = SqliteStore(None, {}, folder / "terminal", read_only=True)
    try:
        return json.loads(store.get("parameters", name))
    finally:
        store.close()


def test_closing_leaves_no_process_thread_file_or_wire(tmp_path):
    with toy_device(tmp_path / "warm"):
        pass
    threads, files = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    device = on(toy_device(tmp_path))
    pid = device.pid
    device.close()
    device.close()
    assert no_threads_but(threads)
    assert len(os.listdir("/proc/self/fd")) == files
    assert not os.path.exists(f"/proc/{pid}")
    assert os.listdir(tmp_path / "bench" / "wires") == []


def test_the_firmware_dies_with_its_emulator(tmp_path):
    program = (
        "import sys, threading; sys.path.insert(0, sys.argv[1]); from emulator.device import Device\n"
        "device = Device(sys.argv[2], command=sys.argv[3:] + [sys.argv[2]]); device.power_on()\n"
        "assert device.wait_screen('ready', 20); print(device.pid, flush=True); threading.Event().wait()\n"
    )
    command = [sys.executable, "-c", program, str(ROOT), str(tmp_path), *TOY]
    emulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        pid = int(emulator.stdout.readline())
        assert os.path.exists(f"/proc/{pid}")
        emulator.send_signal(signal.SIGKILL)
        emulator.wait(10)
        until(lambda: not alive(pid))
    finally:
        emulator.kill()
        emulator.wait(10)
        emulator.stdout.close()
    with toy_device(tmp_path) as device:
        on(device)


def alive(pid):
    """Whether the process runs: one that nobody has buried yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_random_orders_leave_a_device_that_works(device):
    """Power, cards, faults, keys and tears in any order, from several threads at once."""
    chance = random.Random(20)
    acts = [
        device.power_on, device.plug, device.crash, device.power_on, device.tear, device.remove_card, lambda: device.tap("debit"),
        device.pull, lambda: device.swipe("debit"), lambda: device.insert("debit") if not device.in_slot else None,
        lambda: device.keys("1"), lambda: device.fault("paper-out", chance.random() < 0.5), lambda: device.stop_at("typed"),
    ]  # fmt: skip

    def hands():
        for _ in range(12):
            chance.choice(acts)()

    people = [threading.Thread(target=hands) for _ in range(3)]
    for person in people:
        person.start()
    for person in people:
        person.join(60)
    assert not any(person.is_alive() for person in people)
    device.stop_at("")
    device.fault("paper-out", False)
    device.plug()
    on(device)
    device.keys("123")
    assert device.wait_screen("123")


def test_a_face_that_follows_sees_every_entry_of_the_log_once(device):
    number, texts = device.state()["number"], []
    writer = threading.Thread(target=lambda: [device._log.add("wire", f"line {n}") for n in range(500)])
    writer.start()
    while "line 499" not in texts:
        state = device.state(number, 5)
        number = state["number"]
        texts += [entry["text"] for entry in state.get("log", ()) if entry["text"].startswith("line ")]
    writer.join()
    assert texts == [f"line {n}" for n in range(500)]
